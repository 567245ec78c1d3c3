/* Fails the nth allocation, write, flush and open of a whole small story, for
 * every n: an agent enrols, tracks, imports, delivers, answers from its lists,
 * a visitor withdraws; the aggregator takes, stores, folds and publishes. Both
 * programs are whole, on a stage instead of a loop and a network.
 *
 * Each n is told twice. Once only that call fails: then the story must go well
 * to its end, for an error that passes must not need a restart, save of an open
 * that said so. Then all calls from the nth on fail, as on a full or dying
 * machine: whatever comes of that, it may not crash. After either, both are
 * opened again without faults: all that was accepted is stored exactly once,
 * the counters balance, and the views equal the fold of the log. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "agent/core.h"
#include "base/log.h"
#include "nth_far.h"
#include "support/faults.h"
#include "support/parts.h"
#include "support/stage.h"

#define WALL_MS INT64_C(1770000000000)
#define IMPORTED 40    /* items from here on are imported rows */
#define HEAL_MS 900000 /* an error that passes is forgotten by then */
#define ENDURE_MS 2000 /* how long one that stays is looked at */
#define HANG_S 60      /* a story takes milliseconds */
#define REPORTS_MAX 12 /* findings printed in full */

static const char settings_text[] = "ring_size: 64 KiB\n"
                                    "batch_bytes: 16 KiB\n"
                                    "batch_events: 5\n"
                                    "batch_age: PT0.2S\n";

static const char *const kind_names[] = {"allocation", "write", "flush",
                                         "open"};

/* ---- a directory that can be put back ---- */

static const char *const kept[] = {
    "home/agent.yaml", "home/agent.keys",          "home/token",
    "home/officer",    "aggregator/aggregator.db", "aggregator.key",
};
#define KEPT (sizeof kept / sizeof *kept)

struct story {
    struct fixture fixture;
    char aggregator_dir[400];
    struct buf files[KEPT];
    struct core *agent;
    struct aggregator *aggregator;
    bool accepted[FAR_ITEMS];
    struct import_cursor cursor; /* of the last row that was accepted */
    unsigned next, next_row;
    /* How it is told. */
    enum fault_kind kind;
    uint64_t nth;
    bool on_and_on, auditing;
    /* What came of it. */
    uint64_t lost, doubled, findings;
};

static struct story *told; /* for the handler of a crash */

static void path_of(const struct story *s, const char *name, char out[400])
{
    snprintf(out, 400, "%s/%s", s->fixture.dir, name);
}

static void keep_files(struct story *s)
{
    char path[400];

    for (size_t i = 0; i < KEPT; i++) {
        path_of(s, kept[i], path);
        buf_init(&s->files[i], 1 << 20);
        parts_must(!buf_read_file(&s->files[i], path), path);
    }
}

static void put_back(struct story *s)
{
    static const char *const dirs[] = {"home", "aggregator", "ring"};
    char path[400];

    for (size_t i = 0; i < 3; i++) {
        path_of(s, dirs[i], path);
        fixture_remove(path);
        parts_must(mkdir(path, 0700) == 0, path);
    }
    path_of(s, "aggregator.audit", path); /* begun anew with the store */
    parts_must(unlink(path) == 0 || errno == ENOENT, path);
    for (size_t i = 0; i < KEPT; i++) {
        FILE *f;

        path_of(s, kept[i], path);
        f = fopen(path, "wb");
        parts_must(f && fwrite(s->files[i].data, 1, s->files[i].size, f) ==
                            s->files[i].size,
                   path);
        fclose(f);
        parts_must(chmod(path, 0600) == 0, path);
    }
}

static void make_home(struct story *s, struct span bundle,
                      const uint8_t secret[32])
{
    struct token t = {.address = span_text("tcp://stage:1"),
                      .name = span_text("till"),
                      .expires_ms = INT64_MAX};
    const struct keys *keys = s->fixture.aggregator;
    struct buf text;
    struct why why;

    memcpy(t.sign_pk, keys->sign_pk, PK_SIZE);
    memcpy(t.box_pk, keys->box_pk, PK_SIZE);
    memcpy(t.secret, secret, 32);
    buf_init(&text, 4096);
    parts_must(!token_write(&text, &t), "token_write");
    parts_must(!home_make(s->fixture.home, span_of(text.data, text.size),
                          bundle, s->fixture.code, &why),
               "home_make");
    buf_wipe(&text);
}

static void story_make(struct story *s)
{
    struct bundle officer;
    struct span bundle;
    struct buf file;
    uint8_t secret[32];

    memset(s, 0, sizeof *s);
    fixture_make(&s->fixture, NULL, "tcp://stage:1", settings_text);
    path_of(s, "aggregator", s->aggregator_dir);
    bundle = parts_read(&file, s->fixture.bundle_file);
    parts_must(!bundle_open(&officer, bundle, s->fixture.code), "bundle_open");
    far_make(s->aggregator_dir, s->fixture.aggregator,
             span_of(officer.policy.data, officer.policy.size), secret);
    make_home(s, bundle, secret);
    bundle_fini(&officer);
    buf_wipe(&file);
    keep_files(s);
}

static void story_free(struct story *s)
{
    for (size_t i = 0; i < KEPT; i++)
        buf_fini(&s->files[i]);
    fixture_free(&s->fixture);
}

/* ---- findings ---- */

static void finding(struct story *s, const char *what)
{
    if (s->findings++ < REPORTS_MAX)
        fprintf(stderr, "nth: %s %llu%s: %s\n", kind_names[s->kind],
                (unsigned long long)s->nth,
                s->on_and_on ? " and all after it" : "", what);
}

static void crashed(int number)
{
    char text[160];
    int size = snprintf(text, sizeof text, "nth: crashed (%s) %s %s %llu%s\n",
                        strsignal(number), told->auditing ? "after" : "at",
                        kind_names[told->kind], (unsigned long long)told->nth,
                        told->on_and_on ? " and all after it" : "");

    if (write(STDERR_FILENO, text, (size_t)size) == size)
        _exit(1);
    _exit(2);
}

/* ---- the programs ---- */

static bool open_agent(struct story *s)
{
    struct why why = {""};
    bool fresh = !s->agent;
    enum sotto_err err = SOTTO_OK;

    if (fresh)
        err = core_open(&s->agent, stage_loop(), s->fixture.home, true, &why);
    if (!err && fresh)
        core_produce_begin(s->agent);
    if (err) {
        s->agent = NULL;
        log_info("nth", "the agent: %s: %s", err_text(err), why.text);
    }
    return !err;
}

static bool open_aggregator(struct story *s)
{
    struct why why = {""};
    enum sotto_err err = SOTTO_OK;

    if (!s->aggregator)
        err = far_open(&s->aggregator, s->aggregator_dir, &why);
    if (err) {
        s->aggregator = NULL;
        log_info("nth", "the aggregator: %s: %s", err_text(err), why.text);
    }
    return !err;
}

static bool open_both(struct story *s)
{
    return open_aggregator(s) && open_agent(s);
}

static void agent_stopped(void *owner)
{
    *(bool *)owner = true;
}

static bool is_true(void *context)
{
    return *(bool *)context;
}

static void close_both(struct story *s)
{
    bool stopped = false;

    if (s->agent) {
        core_produce_end(s->agent);
        core_stop(s->agent, agent_stopped, &stopped);
        parts_must(stage_until(is_true, &stopped, 60000), "core_stop");
    }
    s->agent = NULL;
    far_close(s->aggregator);
    s->aggregator = NULL;
}

static bool settled(void *context)
{
    struct story *s = context;
    struct core *c = s->agent;

    return batcher_idle(c->batcher) && !spool_state(c->spool)->waiting_rows &&
           far_settled(s->aggregator) && lists_applied(c->lists) > 0;
}

/* ---- the story ---- */

static void track(struct story *s, unsigned count)
{
    struct parts_row row;

    for (unsigned i = 0; i < count; i++) {
        unsigned n = s->next++;

        s->accepted[n] =
            take_event(&s->agent->take, parts_row(&row, n)) == DROP_NOT;
    }
}

/* As an import does: a row that the ring took is not given again. */
static void import(struct story *s, unsigned count)
{
    struct parts_row row;

    for (unsigned i = 0; i < count; i++) {
        struct import_cursor cursor = {.source = {9}, .row = s->cursor.row + 1};
        unsigned n = s->next_row++;

        parts_row(&row, n);
        row.raw.time_ms = WALL_MS;
        s->accepted[n] = take_import(&s->agent->take, NULL, &row.raw, 0,
                                     &cursor) == DROP_NOT;
        if (s->accepted[n])
            s->cursor = cursor;
    }
}

static void visit(struct story *s, const char *who, unsigned count)
{
    (void)core_consent(s->agent, "personalise", true);
    (void)take_identify(&s->agent->take, span_text("userId"), span_text(who));
    track(s, count);
}

static void wait_for_it(struct story *s)
{
    if (!stage_until(settled, s, s->on_and_on ? ENDURE_MS : HEAL_MS) &&
        !s->on_and_on)
        finding(s, "an error that passed is not healed");
}

static void ask(struct story *s)
{
    static struct answer answer;
    const struct span who = span_text("anna");
    enum sotto_err err = core_recommend(s->agent, NULL, 3, &answer);

    if (!err)
        err = core_recommend(s->agent, &who, 3, &answer);
    if (err && !s->on_and_on && s->kind != FAULT_ALLOCATION)
        finding(s, "no list");
}

static void tell(struct story *s)
{
    if (!open_both(s))
        return; /* it said so: the audit opens again and tells a short one */
    visit(s, "anna", 5);
    wait_for_it(s);
    ask(s);
    visit(s, "otto", 4);
    (void)core_consent(s->agent, "personalise", false);
    (void)take_session_end(&s->agent->take);
    import(s, 3);
    track(s, 1);
    wait_for_it(s);
    ask(s);
}

/* ---- the audit ---- */

static void compare(struct story *s, const struct far_audit *found)
{
    uint64_t lost = 0, doubled = 0, accepted = 0;

    for (unsigned i = 0; i < FAR_ITEMS; i++) {
        accepted += s->accepted[i];
        lost += s->accepted[i] && !found->stored[i];
        doubled +=
            found->stored[i] > 1 || (found->stored[i] && !s->accepted[i]);
    }
    s->lost += lost;
    s->doubled += doubled + found->others;
    if (lost)
        finding(s, "an accepted event is lost");
    if (doubled || found->others)
        finding(s, "an event is stored twice");
    if (found->lost)
        finding(s, "something was refused, voided or passed over");
    if (found->said_accepted != accepted ||
        found->said_produced != accepted + found->said_dropped)
        finding(s, "the counters do not balance");
    if (!found->views_agree)
        finding(s, "a view differs from the fold of the log");
}

static void check_cursor(struct story *s)
{
    struct import_cursor c = {.row = 0};
    struct buf bytes;

    buf_init(&bytes, CURSOR_BYTES_MAX);
    if (!spool_cursor_get(s->agent->spool, s->cursor.source, &bytes) &&
        cursor_decode(&c, span_of(bytes.data, bytes.size)))
        finding(s, "the import's cursor is damaged");
    if (c.row != s->cursor.row)
        finding(s, "the import's cursor does not say what was taken");
    buf_fini(&bytes);
}

static void audit(struct story *s)
{
    static struct answer answer;
    struct far_audit found;

    faults_off();
    s->auditing = true; /* from here on nothing may fail */
    if (!open_both(s)) {
        finding(s, "does not open after the faults");
        return;
    }
    track(s, 1);
    if (!stage_until(settled, s, HEAL_MS)) {
        finding(s, "is not drained after the faults");
        return;
    }
    far_look(s->aggregator, &found);
    compare(s, &found);
    check_cursor(s);
    if (core_recommend(s->agent, NULL, 3, &answer) || answer.count == 0)
        finding(s, "no list after the faults");
}

/* ---- every n ---- */

static unsigned descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;

    parts_must(dir, "/proc/self/fd");
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static void begin(struct story *s)
{
    s->next = 0;
    s->next_row = IMPORTED;
    memset(s->accepted, 0, sizeof s->accepted);
    s->cursor = (struct import_cursor){.source = {9}};
    s->auditing = false;
    put_back(s);
    stage_begin(WALL_MS);
}

/* Whether it came to be told: both programs opened. */
static bool tell_with(struct story *s, enum fault_kind kind, uint64_t nth,
                      bool on_and_on)
{
    bool opened;

    alarm(HANG_S);
    s->kind = kind;
    s->nth = nth;
    s->on_and_on = on_and_on;
    faults_arm(kind, nth, on_and_on);
    tell(s);
    opened = s->agent && s->aggregator;
    close_both(s);
    return opened;
}

/* The audit, and a look at what is left open. */
static void end(struct story *s, unsigned descriptors_before)
{
    audit(s);
    close_both(s);
    if (descriptors() != descriptors_before)
        finding(s, "a file is left open");
    if (sqlite3_memory_used() != 0)
        finding(s, "memory of SQLite is left");
}

static void run(struct story *s, enum fault_kind kind, uint64_t nth,
                bool on_and_on)
{
    unsigned before = descriptors();

    begin(s);
    (void)tell_with(s, kind, nth, on_and_on);
    end(s, before);
}

/* In both ways. Where the first one ends with an open that failed, nothing was
 * accepted: the second is told over what it left, and one audit is for both. */
static void run_both(struct story *s, enum fault_kind kind, uint64_t nth)
{
    unsigned before = descriptors();

    begin(s);
    if (tell_with(s, kind, nth, false)) {
        end(s, before);
        begin(s);
    }
    (void)tell_with(s, kind, nth, true);
    end(s, before);
}

/* ---- the tellers ---- */

#define TELLERS 2

struct sum { /* of all tellers, in memory that they share */
    uint64_t counts[FAULT_KINDS];
    struct {
        uint64_t lost, doubled, findings;
        bool done;
    } of[TELLERS];
};

static void tell_kind(struct story *s, enum fault_kind kind, uint64_t from,
                      uint64_t to, uint64_t stride)
{
    for (uint64_t n = from; n <= to; n += stride)
        run_both(s, kind, n);
}

/* Every stride-th n; of these every TELLERS-th. */
static void tell_share(struct story *s, unsigned teller, uint64_t stride,
                       struct sum *sum)
{
    uint64_t counts[FAULT_KINDS];

    run(s, FAULT_ALLOCATION, 0, false);
    for (int kind = 0; kind < FAULT_KINDS; kind++)
        counts[kind] = faults_count((enum fault_kind)kind);
    parts_must(s->findings == 0, "the story without a fault");
    if (teller == 0)
        memcpy(sum->counts, counts, sizeof counts);
    for (int kind = 0; kind < FAULT_KINDS; kind++)
        tell_kind(s, (enum fault_kind)kind, 1 + teller * stride, counts[kind],
                  TELLERS * stride);
    sum->of[teller].lost = s->lost;
    sum->of[teller].doubled = s->doubled;
    sum->of[teller].findings = s->findings;
    sum->of[teller].done = true;
}

static void tell_one(struct story *s, const char *kind, uint64_t n,
                     bool on_and_on)
{
    stage_aloud(true);
    for (int i = 0; i < FAULT_KINDS; i++)
        if (strcmp(kind, kind_names[i]) == 0)
            run(s, (enum fault_kind)i, n, on_and_on);
}

static uint64_t number(const char *text)
{
    char *end;
    unsigned long long n = strtoull(text, &end, 10);

    parts_must(*text && !*end, "a number");
    return n;
}

static int tell_all(struct story *s, uint64_t stride)
{
    struct sum *sum = mmap(NULL, sizeof *sum, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t lost = 0, doubled = 0, findings = 0;
    pid_t tellers[TELLERS];

    parts_must(sum != MAP_FAILED, "mmap");
    for (unsigned i = 0; i < TELLERS; i++) {
        tellers[i] = fork();
        parts_must(tellers[i] >= 0, "fork");
        if (tellers[i] == 0) {
            story_make(s);
            tell_share(s, i, stride, sum);
            story_free(s);
            exit(0); /* with the look for leaks */
        }
    }
    for (unsigned i = 0; i < TELLERS; i++) {
        int status = 1;

        parts_must(waitpid(tellers[i], &status, 0) == tellers[i], "waitpid");
        lost += sum->of[i].lost;
        doubled += sum->of[i].doubled;
        findings += sum->of[i].findings + (status || !sum->of[i].done);
    }
    printf("nth: allocations %llu, writes %llu, flushes %llu, opens %llu "
           "failed%s; lost %llu, doubled %llu\n",
           (unsigned long long)sum->counts[FAULT_ALLOCATION],
           (unsigned long long)sum->counts[FAULT_WRITE],
           (unsigned long long)sum->counts[FAULT_FLUSH],
           (unsigned long long)sum->counts[FAULT_OPEN],
           stride > 1 ? " (a part of them)" : "", (unsigned long long)lost,
           (unsigned long long)doubled);
    if (findings)
        fprintf(stderr, "nth: %llu findings\n", (unsigned long long)findings);
    munmap(sum, sizeof *sum);
    return findings > 0;
}

/* nth_test: all. nth_test --stride N: every Nth, for slow builds. nth_test KIND
 * N [on]: that one, with what the programs say. */
int main(int argc, char **argv)
{
    static struct story s;

    told = &s;
    faults_install();
    mallopt(M_MMAP_THRESHOLD, 64 << 20); /* big buffers come and go all along */
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    if (access("/dev/shm", W_OK) == 0) /* a disk would only be slower */
        setenv("TMPDIR", "/dev/shm", 0);
    signal(SIGABRT, crashed);
    signal(SIGSEGV, crashed);
    signal(SIGALRM, crashed);
    if (argc == 1)
        return tell_all(&s, 1);
    if (argc == 3 && strcmp(argv[1], "--stride") == 0)
        return tell_all(&s, number(argv[2]));
    parts_must(argc >= 3, "nth_test [--stride N | KIND N [on]]");
    story_make(&s);
    tell_one(&s, argv[1], number(argv[2]), argc > 3);
    story_free(&s);
    return s.findings > 0;
}
