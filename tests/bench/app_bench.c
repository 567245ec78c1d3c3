/* What an application pays: the calls of libsotto by its public header, and in
 * the same run what a call could cost at best. bench.py runs it, a verb at a
 * time; it prints "name value" lines, times in nanoseconds.
 *
 * Every call is timed by itself with clock_gettime, whose own cost is in the
 * figures and is printed as `clock`. */
#include "sotto/sotto.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define COUNT_MAX 10000000
#define THREADS_MAX 64
#define RECORD 400       /* bytes of the limits' records, as of the workload */
#define RING (64u << 20) /* bytes of the limits' ring */

struct samples {
    uint64_t *ns;
    size_t count;
};

static void must(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "app_bench: %s failed\n", what);
        exit(1);
    }
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void pause_ms(unsigned ms)
{
    usleep(ms * 1000);
}

static struct samples samples_make(size_t count)
{
    struct samples s = {calloc(count + 1, sizeof(uint64_t)), count};

    must(s.ns, "memory");
    memset(s.ns, 1, count * sizeof(uint64_t)); /* no page faults while timing */
    return s;
}

static int by_size(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

static void samples_print(struct samples *s, const char *name)
{
    static const struct {
        const char *name;
        size_t of_1000;
    } at[] = {{"p50", 500}, {"p99", 990}, {"p999", 999}};

    qsort(s->ns, s->count, sizeof(uint64_t), by_size);
    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        printf("%s_%s %llu\n", name, at[i].name,
               (unsigned long long)s->ns[s->count * at[i].of_1000 / 1000]);
    free(s->ns);
}

/* ---- the library ---- */

static struct sotto *app_open(char **argv)
{
    struct sotto_options o = {.size = sizeof o,
                              .dir = argv[0],
                              .token_file = argv[1],
                              .bundle_file = argv[2],
                              .bundle_code = argv[3]};
    struct sotto *s = NULL;
    struct sotto_why why;

    if (sotto_open(&s, &o, &why) != SOTTO_OK) {
        fprintf(stderr, "app_bench: %s\n", why.text);
        exit(1);
    }
    must(sotto_identify(s, "3a4bd6cee6-visitor-17") == SOTTO_OK, "identify");
    return s;
}

static void app_close(struct sotto *s)
{
    sotto_close(s, 0, NULL);
}

static struct sotto_counts counts(struct sotto *s)
{
    struct sotto_counts c = {.size = sizeof c};

    must(sotto_stats(s, &c) == SOTTO_OK, "stats");
    return c;
}

/* Product Viewed with the six properties of the workload. */
struct viewed {
    char product[16];
    struct sotto_property p[6];
    struct sotto_event event;
};

static void viewed_make(struct viewed *v, unsigned number)
{
    snprintf(v->product, sizeof v->product, "P%05u", number % 20000);
    v->p[0] = sotto_text("product_id", v->product);
    v->p[1] = sotto_text("category", "jackets");
    v->p[2] = sotto_text("name", "Nordic Parka 45");
    v->p[3] = sotto_money("price", INT64_C(18160000) + number % 97 * 10000);
    v->p[4] = sotto_int("position", number % 24 + 1);
    v->p[5] = sotto_text("currency", "EUR");
    v->event = (struct sotto_event){.size = sizeof v->event,
                                    .name = "Product Viewed",
                                    .properties = v->p,
                                    .property_count = 6};
}

/* Calls in bursts of a hundred with a millisecond between, so that the ring
 * never fills and the library's thread works meanwhile. */
static void bench_track(char **argv, size_t count)
{
    struct sotto *s = app_open(argv);
    struct samples clock = samples_make(count), calls = samples_make(count);
    struct sotto_counts c;

    for (size_t i = 0; i < count; i++) {
        uint64_t start = now_ns();
        clock.ns[i] = now_ns() - start;
    }
    for (size_t i = 0; i < count; i++) {
        struct viewed v;
        uint64_t start;
        enum sotto_status status;

        viewed_make(&v, (unsigned)i);
        start = now_ns();
        status = sotto_track(s, &v.event);
        calls.ns[i] = now_ns() - start;
        must(status == SOTTO_OK, "track");
        if (i % 100 == 99)
            pause_ms(1);
    }
    samples_print(&clock, "clock");
    samples_print(&calls, "track");
    c = counts(s);
    must(c.dropped == 0 && c.fields_emptied == 0, "taking every event whole");
    app_close(s);
}

struct caller {
    pthread_t thread;
    struct sotto *sotto;
    struct samples calls;
};

static void *call_sync(void *argument)
{
    struct caller *c = argument;
    struct viewed v;

    for (size_t i = 0; i < c->calls.count; i++) {
        uint64_t start;

        viewed_make(&v, (unsigned)i);
        start = now_ns();
        must(sotto_track_sync(c->sotto, &v.event, 60000, NULL) == SOTTO_OK,
             "track_sync");
        c->calls.ns[i] = now_ns() - start;
    }
    return NULL;
}

static void bench_sync(char **argv, size_t count, size_t threads)
{
    struct caller callers[THREADS_MAX];
    struct samples all = samples_make(count * threads);
    struct sotto *s = app_open(argv);
    uint64_t start = now_ns();

    for (size_t i = 0; i < threads; i++) {
        callers[i].sotto = s;
        callers[i].calls = samples_make(count);
        must(!pthread_create(&callers[i].thread, NULL, call_sync, &callers[i]),
             "thread");
    }
    for (size_t i = 0; i < threads; i++) {
        pthread_join(callers[i].thread, NULL);
        memcpy(all.ns + i * count, callers[i].calls.ns,
               count * sizeof(uint64_t));
        free(callers[i].calls.ns);
    }
    printf("sync_each %llu\n",
           (unsigned long long)((now_ns() - start) / (count * threads)));
    samples_print(&all, "sync");
    app_close(s);
}

/* A busy app for so many seconds, whatever the network does. */
static void bench_busy(char **argv, size_t seconds)
{
    struct sotto *s = app_open(argv);
    uint64_t end = now_ns() + seconds * 1000000000u;

    for (unsigned i = 0; now_ns() < end; i++) {
        struct viewed v;

        viewed_make(&v, i);
        must(sotto_track(s, &v.event) == SOTTO_OK, "track");
        pause_ms(2);
    }
    app_close(s);
}

static uint64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* As many events as fast as they are taken, until all are sealed on the disk:
 * the CPU time of the whole process, making the events included. */
static void bench_fill(char **argv, size_t count)
{
    struct sotto *s = app_open(argv);
    uint64_t start = cpu_ns();
    struct viewed v;

    for (unsigned i = 0; i < count; i++) {
        viewed_make(&v, i);
        while (sotto_track(s, &v.event) == SOTTO_EFULL)
            pause_ms(1);
    }
    must(sotto_track_sync(s, &v.event, 60000, NULL) == SOTTO_OK, "sealing");
    printf("fill_each %llu\n",
           (unsigned long long)((cpu_ns() - start) / count));
    app_close(s);
}

/* From track() until a document that was made after it has been applied, with
 * everything up. Nothing else is under way: what was published is awaited. */
static void bench_fresh(char **argv, size_t count)
{
    struct sotto *s = app_open(argv);
    struct samples waits = samples_make(count);
    struct sotto_item items[10];
    struct sotto_list list = {.size = sizeof list};

    for (size_t i = 0; i < count; i++) {
        uint64_t before, start, quiet;
        struct viewed v;

        before = counts(s).documents;
        for (quiet = now_ns(); now_ns() - quiet < 300000000u; pause_ms(5)) {
            uint64_t now = counts(s).documents;

            if (now != before)
                quiet = now_ns();
            before = now;
        }
        viewed_make(&v, (unsigned)(i * 7 + 1));
        start = now_ns();
        must(sotto_track(s, &v.event) == SOTTO_OK, "track");
        while (counts(s).documents == before) {
            must(now_ns() - start < 20000000000u, "publishing in 20 s");
            usleep(500);
        }
        must(sotto_lists(s, SOTTO_FOR_YOU, items, 10, &list) == SOTTO_OK,
             "lists");
        waits.ns[i] = now_ns() - start;
    }
    samples_print(&waits, "fresh");
    app_close(s);
}

static void bench_lists(char **argv, size_t count)
{
    struct sotto *s = app_open(argv);
    struct samples calls = samples_make(count);
    struct sotto_item items[10];
    struct sotto_list list = {.size = sizeof list};

    for (size_t i = 0; i < count; i++) {
        uint64_t start = now_ns();

        must(sotto_lists(s, SOTTO_FOR_YOU, items, 10, &list) == SOTTO_OK,
             "lists");
        calls.ns[i] = now_ns() - start;
    }
    must(list.count > 0, "a list with items");
    printf("lists_personal %d\n", list.personal);
    samples_print(&calls, "lists");
    app_close(s);
}

/* ---- the limits ---- */

static int file_in(const char *dir, const char *name)
{
    char path[4096];
    int fd;

    must(snprintf(path, sizeof path, "%s/%s", dir, name) < (int)sizeof path,
         "path");
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(fd >= 0, path);
    unlink(path);
    return fd;
}

/* A record copied into a mapped ring and published by its head: what any
 * journal in memory has to do. */
static void limit_ring(const char *dir, size_t count)
{
    struct samples calls = samples_make(count);
    uint8_t record[RECORD], *ring;
    _Atomic uint64_t *head;
    int fd = file_in(dir, "limit.ring");
    uint64_t at = 64;

    memset(record, 7, sizeof record);
    must(!ftruncate(fd, RING), "ftruncate");
    ring = mmap(NULL, RING, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                fd, 0);
    must(ring != MAP_FAILED, "mmap");
    head = (_Atomic uint64_t *)(void *)ring;
    for (size_t i = 0; i < count; i++) {
        uint64_t start = now_ns();

        if (at + RECORD > RING)
            at = 64;
        memcpy(ring + at, record, RECORD);
        at += RECORD;
        *head = at;
        calls.ns[i] = now_ns() - start;
    }
    samples_print(&calls, "ring");
    munmap(ring, RING);
    close(fd);
}

static void limit_flush(const char *dir, size_t count)
{
    struct samples calls = samples_make(count);
    uint8_t page[4096] = {1};
    int fd = file_in(dir, "limit.flush");

    must(write(fd, page, sizeof page) == (ssize_t)sizeof page, "write");
    must(!fsync(fd), "fsync"); /* then blocks are there, as in a used log */
    for (size_t i = 0; i < count; i++) {
        uint64_t start = now_ns();

        must(pwrite(fd, page, sizeof page, 0) == (ssize_t)sizeof page, "write");
        must(!fdatasync(fd), "fdatasync");
        calls.ns[i] = now_ns() - start;
    }
    samples_print(&calls, "flush");
    close(fd);
}

/* An event is a row, committed by itself: how trackers with a database work. */
static void limit_sqlite(const char *dir, size_t count)
{
    struct samples calls = samples_make(count);
    uint8_t record[RECORD] = {7};
    char path[4096];
    sqlite3 *db;
    sqlite3_stmt *q;

    must(snprintf(path, sizeof path, "%s/limit.db", dir) < (int)sizeof path,
         "path");
    must(!sqlite3_open(path, &db), "sqlite3_open");
    must(!sqlite3_exec(db,
                       "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                       "CREATE TABLE IF NOT EXISTS e(id INTEGER PRIMARY KEY,"
                       " v BLOB)",
                       NULL, NULL, NULL),
         "schema");
    must(!sqlite3_prepare_v2(db, "INSERT INTO e(v) VALUES(?)", -1, &q, NULL),
         "prepare");
    for (size_t i = 0; i < count; i++) {
        uint64_t start = now_ns();

        sqlite3_bind_blob(q, 1, record, RECORD, SQLITE_STATIC);
        must(sqlite3_step(q) == SQLITE_DONE, "insert");
        sqlite3_reset(q);
        calls.ns[i] = now_ns() - start;
    }
    samples_print(&calls, "sqlite");
    sqlite3_finalize(q);
    sqlite3_close(db);
}

static size_t number(const char *text)
{
    unsigned long n = strtoul(text, NULL, 10);

    must(n > 0 && n <= COUNT_MAX, "a number");
    return n;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";

    if (!strcmp(verb, "limits") && argc == 6) { /* ring dir, disk dir, n, n */
        limit_ring(argv[2], number(argv[4]));
        limit_flush(argv[3], number(argv[5]));
        limit_sqlite(argv[3], number(argv[5]));
        return 0;
    }
    if (argc == 8 && !strcmp(verb, "sync")) {
        size_t threads = number(argv[7]);

        must(threads <= THREADS_MAX, "so many threads");
        bench_sync(argv + 2, number(argv[6]), threads);
        return 0;
    }
    if (argc == 7) { /* home, token file, bundle file, code, n */
        static const struct {
            const char *name;
            void (*run)(char **argv, size_t n);
        } verbs[] = {{"track", bench_track},
                     {"busy", bench_busy},
                     {"fill", bench_fill},
                     {"fresh", bench_fresh},
                     {"lists", bench_lists}};

        for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
            if (!strcmp(verb, verbs[i].name)) {
                verbs[i].run(argv + 2, number(argv[6]));
                return 0;
            }
    }
    fprintf(stderr, "app_bench: run it by packaging/bench\n");
    return 2;
}
