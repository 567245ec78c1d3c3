/* Tests of agent/journal: against a queue model, with threads, with sudden
 * death at random moments, and with every byte of a ring damaged in turn. */
#include "agent/journal.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/dict.h"

#define RING_BYTES ((size_t)64 * 1024)
#define RING_SLOTS (RING_BYTES / JOURNAL_SLOT)
#define PAGE 4096

struct place {
    char dir[64];
    char ring[80], bad[96];
};

static int place_setup(void **state)
{
    struct place *p = calloc(1, sizeof(*p));

    assert_non_null(p);
    snprintf(p->dir, sizeof(p->dir), "%s/sotto-journal-XXXXXX",
             access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->ring, sizeof(p->ring), "%s/ring", p->dir);
    snprintf(p->bad, sizeof(p->bad), "%s/ring.bad", p->dir);
    *state = p;
    return 0;
}

static int place_teardown(void **state)
{
    struct place *p = *state;

    unlink(p->ring);
    unlink(p->bad);
    rmdir(p->dir);
    free(p);
    return 0;
}

static struct journal *ring_open(const struct place *p, uint64_t expected)
{
    struct journal *j = NULL;
    uint64_t recovered;
    struct why why;

    assert_int_equal(journal_open(&j, p->ring, RING_BYTES, &recovered, &why),
                     SOTTO_OK);
    assert_int_equal(recovered, expected);
    return j;
}

/* xorshift64*: the tests repeat exactly. */
static uint64_t roll(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(0x2545f4914f6cdd1d);
}

/* The payload of number: any reader can check it. */
static size_t payload_fill(uint8_t *out, uint64_t number, size_t size)
{
    uint64_t seed = hash64(&number, sizeof(number), 1) | 1, word;
    size_t i, part;

    for (i = 0; i < size; i += part) {
        word = roll(&seed);
        part = size - i < sizeof(word) ? size - i : sizeof(word);
        memcpy(out + i, &word, part);
    }
    if (size >= sizeof(number))
        memcpy(out, &number, sizeof(number));
    return size;
}

static size_t size_of_number(uint64_t number)
{
    uint64_t h = hash64(&number, sizeof(number), 2);

    if (h % 16 == 0)
        return h / 16 % (JOURNAL_RECORD_MAX + 1);
    return h / 16 % 300;
}

static enum sotto_err append_number(struct journal *j, uint64_t number)
{
    uint8_t bytes[JOURNAL_RECORD_MAX];
    size_t size = payload_fill(bytes, number, size_of_number(number));
    size_t cut = size ? number % size : 0;

    return journal_append(j, JOURNAL_EVENT, (uint32_t)number,
                          span_of(bytes, cut),
                          span_of(bytes + cut, size - cut));
}

static bool record_is(const struct journal_record *rec, uint64_t number)
{
    uint8_t bytes[JOURNAL_RECORD_MAX];
    size_t size = payload_fill(bytes, number, size_of_number(number));

    return rec->kind == JOURNAL_EVENT && rec->policy == (uint32_t)number &&
           span_equal(rec->payload, span_of(bytes, size));
}

static void file_write(const char *path, const void *bytes, size_t size,
                       off_t at)
{
    int fd = open(path, O_RDWR | O_CREAT, 0600);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, size, at), (ssize_t)size);
    close(fd);
}

static void file_read(const char *path, void *bytes, size_t size, off_t at)
{
    int fd = open(path, O_RDONLY);

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, bytes, size, at), (ssize_t)size);
    close(fd);
}

/* Everything outside tail..head is zero. */
static void assert_wiped(const struct place *p, const struct journal *j)
{
    static uint8_t image[RING_BYTES];
    static const uint8_t zeros[JOURNAL_SLOT];
    uint64_t tail = journal_tail(j);
    uint64_t used = journal_used(j) / JOURNAL_SLOT, i;

    file_read(p->ring, image, sizeof(image), PAGE);
    for (i = used; i < RING_SLOTS; i++)
        assert_memory_equal(image + (tail + i) % RING_SLOTS * JOURNAL_SLOT,
                            zeros, sizeof(zeros));
}

static void keeps_parts_kind_policy_and_order(void **state)
{
    struct journal *j = ring_open(*state, 0);
    struct journal_record rec;

    assert_int_equal(journal_read(j, journal_tail(j), &rec), SOTTO_EAGAIN);
    assert_int_equal(journal_append(j, JOURNAL_EVENT_CURSOR, 7,
                                    span_text("row"), span_text("+cursor")),
                     SOTTO_OK);
    assert_int_equal(journal_append(j, JOURNAL_FORGET, 8, span_of(NULL, 0),
                                    span_of(NULL, 0)),
                     SOTTO_OK);
    assert_int_equal(journal_read(j, journal_tail(j), &rec), SOTTO_OK);
    assert_int_equal(rec.kind, JOURNAL_EVENT_CURSOR);
    assert_int_equal(rec.policy, 7);
    assert_true(span_equal(rec.payload, span_text("row+cursor")));
    assert_int_equal(journal_read(j, rec.next, &rec), SOTTO_OK);
    assert_int_equal(rec.kind, JOURNAL_FORGET);
    assert_int_equal(rec.payload.size, 0);
    assert_int_equal(journal_read(j, rec.next, &rec), SOTTO_EAGAIN);
    journal_close(j);
}

static void refuses_when_full_and_takes_again_after_release(void **state)
{
    struct journal *j = ring_open(*state, 0);
    static const uint8_t bytes[JOURNAL_RECORD_MAX];
    struct journal_record rec;
    struct span most = span_of(bytes, sizeof(bytes)), none = span_of(NULL, 0);
    int taken = 0;

    assert_int_equal(
        journal_append(j, JOURNAL_EVENT, 0, most, span_of(bytes, 1)),
        SOTTO_ETOOBIG);
    while (!journal_append(j, JOURNAL_EVENT, 0, most, none))
        taken++;
    assert_int_equal(taken, (int)(RING_SLOTS / 129));
    while (!journal_append(j, JOURNAL_EVENT, 0, none, none))
        taken++;
    assert_int_equal(journal_used(j), journal_capacity(j));
    assert_int_equal(journal_append(j, JOURNAL_EVENT, 0, none, none),
                     SOTTO_EFULL);
    assert_int_equal(journal_read(j, journal_tail(j), &rec), SOTTO_OK);
    journal_release(j, rec.next);
    assert_int_equal(journal_append(j, JOURNAL_EVENT, 0, most, none), SOTTO_OK);
    assert_int_equal(journal_append(j, JOURNAL_EVENT, 0, none, none),
                     SOTTO_EFULL);
    journal_close(j);
}

/* Random appends, reads, releases and reopenings against numbers in order. */
static void agrees_with_a_queue(void **state)
{
    struct place *p = *state;
    struct journal *j = ring_open(p, 0);
    struct journal_record rec;
    uint64_t seed = 42, first = 0, next = 0, read, at, step;
    enum sotto_err err;

    for (step = 0; step < 20000; step++) {
        switch (roll(&seed) % 16) {
        case 0:
            at = journal_tail(j);
            for (read = roll(&seed) % 64; read && first < next; read--) {
                assert_int_equal(journal_read(j, at, &rec), SOTTO_OK);
                assert_true(record_is(&rec, first));
                at = rec.next;
                first++;
            }
            journal_release(j, at);
            break;
        case 1:
            if (step % 8)
                break;
            assert_wiped(p, j);
            journal_close(j);
            j = ring_open(p, next - first);
            break;
        default:
            err = append_number(j, next);
            next += !err;
            assert_true(!err || err == SOTTO_EFULL);
        }
    }
    assert_true(journal_tail(j) > 20 * RING_SLOTS); /* it did go round */
    journal_close(j);
}

#define PRODUCERS 4
#define PER_PRODUCER 20000
struct producer {
    struct journal *j;
    uint64_t index;
};

static void *produce(void *arg)
{
    struct producer *p = arg;
    uint64_t i;

    for (i = 0; i < PER_PRODUCER; i++)
        while (append_number(p->j, i << 8 | p->index) == SOTTO_EFULL)
            sched_yield();
    return NULL;
}

static void many_producers_lose_nothing_and_keep_their_order(void **state)
{
    struct journal *j = ring_open(*state, 0);
    struct producer producers[PRODUCERS];
    pthread_t threads[PRODUCERS];
    uint64_t expected[PRODUCERS] = {0}, at = 0, got = 0, index;
    struct journal_record rec;
    enum sotto_err err;

    for (index = 0; index < PRODUCERS; index++) {
        producers[index] = (struct producer){j, index};
        assert_int_equal(
            pthread_create(&threads[index], NULL, produce, &producers[index]),
            0);
    }
    while (got < (uint64_t)PRODUCERS * PER_PRODUCER) {
        err = journal_read(j, at, &rec);
        if (err == SOTTO_EAGAIN) {
            journal_release(j, at);
            sched_yield();
            continue;
        }
        assert_int_equal(err, SOTTO_OK);
        index = rec.policy & 0xff;
        assert_true(index < PRODUCERS);
        assert_true(record_is(&rec, expected[index]++ << 8 | index));
        at = rec.next;
        if (++got % 100 == 0)
            journal_release(j, at);
    }
    for (index = 0; index < PRODUCERS; index++)
        pthread_join(threads[index], NULL);
    assert_int_equal(journal_read(j, at, &rec), SOTTO_EAGAIN);
    journal_close(j);
}

/* What outlives the child that is killed: how many appends have returned, and,
 * as a spool would keep it in one transaction, what was drained. */
struct drained {
    uint64_t mark;
    uint64_t next[2]; /* number expected next, by producer */
};
struct survivor {
    _Atomic uint64_t returned[2];
    _Atomic uint32_t current; /* which of drained is committed */
    struct drained drained[2];
};
struct doomed {
    struct journal *j;
    struct survivor *s;
    uint64_t index;
};

static void *produce_until_killed(void *arg)
{
    struct doomed *d = arg;
    uint64_t next = atomic_load(&d->s->returned[d->index]);

    for (;;)
        if (!append_number(d->j, next << 8 | d->index))
            atomic_store(&d->s->returned[d->index], ++next);
        else
            sched_yield();
    return NULL;
}

/* An unhandled SIGALRM ends the process where it stands, as SIGKILL does; the
 * kernel's timer chooses the moment without a second process that waits. */
static void die_within_us(uint64_t us)
{
    struct itimerval timer = {{0, 0}, {0, (suseconds_t)us}};

    setitimer(ITIMER_REAL, &timer, NULL);
}

/* The child: two producers, and a consumer that drains in small groups. Every
 * eighth dies early, perhaps while it recovers the ring. */
static void child_run(const struct place *p, struct survivor *s, uint64_t dice,
                      uint64_t range_us)
{
    struct doomed doomed[2];
    struct journal_record rec;
    struct drained next;
    struct journal *j;
    uint64_t recovered, at, index, group = 0;
    pthread_t thread;

    if (dice % 8 == 0)
        die_within_us(1 + dice / 8 % 200);
    if (journal_open(&j, p->ring, RING_BYTES, &recovered, NULL))
        _exit(1);
    if (dice % 8)
        die_within_us(1 + dice / 8 % range_us);
    next = s->drained[atomic_load(&s->current)];
    journal_release(j, next.mark);
    for (index = 0; index < 2; index++) {
        doomed[index] = (struct doomed){j, s, index};
        if (pthread_create(&thread, NULL, produce_until_killed, &doomed[index]))
            _exit(2);
    }
    for (at = journal_tail(j);; sched_yield()) {
        while (group < 20 && !journal_read(j, at, &rec)) {
            next.next[rec.policy & 0xff]++;
            at = next.mark = rec.next;
            group++;
        }
        group = 0;
        s->drained[!atomic_load(&s->current)] = next;
        atomic_store(&s->current, !atomic_load(&s->current));
        journal_release(j, at);
    }
}

/* What a dead child left: each number whose append returned, once, in order;
 * beyond them at most the one that was in the making. */
static void check_survivors(const struct place *p, struct survivor *s,
                            bool drain)
{
    struct drained now = s->drained[atomic_load(&s->current)];
    struct journal_record rec;
    struct journal *j = NULL;
    uint64_t recovered, at, index, returned;
    enum sotto_err err;

    assert_int_equal(journal_open(&j, p->ring, RING_BYTES, &recovered, NULL),
                     SOTTO_OK);
    journal_release(j, now.mark);
    at = journal_tail(j);
    while (!(err = journal_read(j, at, &rec))) {
        index = rec.policy & 0xff;
        assert_true(index < 2);
        assert_true(record_is(&rec, now.next[index]++ << 8 | index));
        at = now.mark = rec.next;
    }
    assert_int_equal(err, SOTTO_EAGAIN);
    assert_true(at <= journal_tail(j) + journal_used(j) / JOURNAL_SLOT);
    for (index = 0; index < 2; index++) {
        returned = atomic_load(&s->returned[index]);
        assert_in_range(now.next[index] - returned, 0, 1);
        atomic_store(&s->returned[index], now.next[index]);
    }
    if (drain) {
        s->drained[atomic_load(&s->current)] = now;
        journal_release(j, now.mark);
    }
    journal_close(j);
}

static void a_kill_at_any_moment_loses_and_doubles_nothing(void **state)
{
    struct place *p = *state;
    struct survivor *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t seed = 7, dice, before, range_us = 2000;
    int status, worked = 0;
    pid_t pid;

    assert_ptr_not_equal(s, MAP_FAILED);
    while (worked < 250) {
        dice = roll(&seed);
        before = atomic_load(&s->returned[0]);
        pid = fork();
        if (pid == 0)
            child_run(p, s, dice, range_us);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        if (atomic_load(&s->returned[0]) > before)
            worked++;
        else if (dice % 8) /* a slow machine: it had not begun yet */
            range_us += range_us / 4;
        assert_true(range_us < 900000);
        check_survivors(p, s, roll(&seed) % 2);
    }
    munmap(s, sizeof(*s));
}

static void a_half_written_record_hides_nobody(void **state)
{
    struct place *p = *state;
    struct journal *j = ring_open(p, 0);
    struct journal_record rec;
    uint64_t at[5], mark = 0, i, n = 0;

    for (i = 0; i < 5; i++) {
        at[i] = journal_tail(j) + journal_used(j) / JOURNAL_SLOT;
        assert_int_equal(append_number(j, i), SOTTO_OK);
    }
    journal_close(j);
    /* As dead producers leave it: payload there, position not. */
    for (i = 1; i < 5; i += 3)
        file_write(p->ring, &mark, sizeof(mark),
                   (off_t)(PAGE + at[i] * JOURNAL_SLOT));
    j = ring_open(p, 3);
    /* The place of the dead record is passed, its bytes are gone. */
    for (mark = journal_tail(j); !journal_read(j, mark, &rec); n++) {
        assert_true(record_is(&rec, n == 0 ? 0 : n + 1));
        mark = rec.next;
    }
    assert_int_equal(n, 3);
    assert_int_equal(append_number(j, 9), SOTTO_OK);
    assert_int_equal(journal_read(j, mark, &rec), SOTTO_OK);
    assert_true(record_is(&rec, 9));
    journal_release(j, rec.next);
    assert_wiped(p, j);
    journal_close(j);
    j = ring_open(p, 0);
    assert_int_equal(journal_tail(j), rec.next); /* never used twice */
    journal_close(j);
}

static void takes_a_mark_inside_a_hole_or_beyond_its_head(void **state)
{
    struct place *p = *state;
    struct journal *j = ring_open(p, 0);
    struct journal_record rec;
    uint64_t zero = 0, mark;

    assert_int_equal(append_number(j, 0), SOTTO_OK);
    mark = journal_used(j) / JOURNAL_SLOT;
    assert_int_equal(append_number(j, 1), SOTTO_OK);
    journal_close(j);
    file_write(p->ring, &zero, sizeof(zero),
               (off_t)(PAGE + mark * JOURNAL_SLOT));
    j = ring_open(p, 1);
    journal_release(j, mark); /* where a filler now stands */
    assert_int_equal(append_number(j, 2), SOTTO_OK);
    assert_int_equal(journal_read(j, mark, &rec), SOTTO_OK);
    assert_true(record_is(&rec, 2));
    journal_release(j, 123456); /* a header that had lost its head */
    assert_int_equal(journal_used(j), 0);
    assert_int_equal(append_number(j, 3), SOTTO_OK);
    assert_int_equal(journal_read(j, 123456, &rec), SOTTO_OK);
    assert_true(record_is(&rec, 3));
    journal_close(j);
}

#define IMAGE_SIZE (PAGE + RING_BYTES)
#define HEAD_SIZE 32 /* magic, id, slots, checksum */

/* A ring whose few records wrap; the image, and where each record is. */
static uint64_t make_image(const struct place *p, uint8_t *image,
                           uint64_t *positions, uint64_t *first)
{
    struct journal *j = ring_open(p, 0);
    struct journal_record rec;
    uint64_t next = 0, count, at;

    for (;; journal_release(j, rec.next), ++*first) {
        while (journal_used(j) < RING_BYTES / 8)
            next += !append_number(j, next);
        at = journal_tail(j);
        if (at > RING_SLOTS - 64)
            break;
        assert_int_equal(journal_read(j, at, &rec), SOTTO_OK);
    }
    assert_true(at < RING_SLOTS && journal_head(j) > RING_SLOTS);
    for (count = 0; !journal_read(j, at, &rec); at = rec.next)
        positions[count++] = rec.position;
    assert_int_equal(count, next - *first);
    journal_close(j);
    file_read(p->ring, image, IMAGE_SIZE, 0);
    return count;
}

/* Reads all; what is delivered is one of ours, whole, in order. */
static uint64_t count_intact(struct journal *j, const uint64_t *positions,
                             uint64_t first, uint64_t count)
{
    struct journal_record rec;
    uint64_t at = journal_tail(j), i = 0, intact = 0;
    enum sotto_err err;

    while ((err = journal_read(j, at, &rec)) != SOTTO_EAGAIN) {
        assert_true(rec.next > at);
        at = rec.next;
        if (err) {
            assert_int_equal(err, SOTTO_EDECODE);
            continue;
        }
        while (i < count && positions[i] < rec.position)
            i++;
        assert_true(i < count && positions[i] == rec.position);
        assert_true(record_is(&rec, first + i));
        i++;
        intact++;
    }
    return intact;
}

static void damage_costs_at_most_the_record_it_hits(void **state)
{
    struct place *p = *state;
    static uint8_t image[IMAGE_SIZE];
    static uint64_t positions[RING_SLOTS];
    uint64_t first = 0, seed = 3, count, recovered, intact, aside = 0;
    struct journal *j;
    struct why why;
    size_t byte;
    uint8_t bit;

    count = make_image(p, image, positions, &first);
    for (byte = 0; byte < IMAGE_SIZE; byte++) {
        bit = (uint8_t)(1 << roll(&seed) % 8);
        file_write(p->ring, image, IMAGE_SIZE, 0);
        bit ^= image[byte];
        file_write(p->ring, &bit, 1, (off_t)byte);
        assert_int_equal(
            journal_open(&j, p->ring, RING_BYTES, &recovered, &why), SOTTO_OK);
        intact = count_intact(j, positions, first, count);
        assert_int_equal(intact, recovered);
        if (byte < HEAD_SIZE) {
            assert_int_equal(intact, 0);
            assert_non_null(strstr(why.text, "set aside"));
            aside++;
        } else {
            assert_true(intact >= count - (byte >= PAGE));
        }
        journal_close(j);
    }
    assert_int_equal(aside, HEAD_SIZE);
}

static void damage_while_open_is_told_and_skipped(void **state)
{
    struct place *p = *state;
    static uint8_t image[IMAGE_SIZE];
    static uint64_t positions[RING_SLOTS];
    uint64_t first = 0, seed = 5, count, told = 0, intact;
    struct journal *j;
    uint8_t damaged;
    size_t byte;

    count = make_image(p, image, positions, &first);
    j = ring_open(p, count);
    for (byte = PAGE; byte < IMAGE_SIZE; byte++) {
        damaged = (uint8_t)(image[byte] ^ 1 << roll(&seed) % 8);
        file_write(p->ring, &damaged, 1, (off_t)byte);
        intact = count_intact(j, positions, first, count);
        told += intact < count;
        file_write(p->ring, &image[byte], 1, (off_t)byte);
    }
    assert_true(told > RING_BYTES / 16);
    assert_int_equal(count_intact(j, positions, first, count), count);
    journal_close(j);
}

static void sets_aside_what_is_no_ring(void **state)
{
    static const char *const texts[] = {"", "hello", "a page"};
    struct place *p = *state;
    char page[8192];
    struct journal *j;
    uint64_t recovered;
    struct why why;
    size_t i;

    for (i = 0; i < 3; i++) {
        memset(page, 'x', sizeof(page));
        unlink(p->ring);
        unlink(p->bad);
        file_write(p->ring, i == 2 ? page : texts[i],
                   i == 2 ? sizeof(page) : strlen(texts[i]), 0);
        assert_int_equal(
            journal_open(&j, p->ring, RING_BYTES, &recovered, &why), SOTTO_OK);
        assert_int_equal(access(p->bad, F_OK), i ? 0 : -1);
        assert_int_equal(why.text[0] != '\0', i > 0);
        assert_int_equal(journal_capacity(j), RING_BYTES);
        journal_close(j);
    }
}

/* A truncated ring would end its reader with SIGBUS. */
static void sets_aside_a_truncated_ring(void **state)
{
    struct place *p = *state;

    journal_close(ring_open(p, 0));
    assert_int_equal(truncate(p->ring, IMAGE_SIZE - 1), 0);
    journal_close(ring_open(p, 0));
    assert_int_equal(access(p->bad, F_OK), 0);
}

static void has_one_owner_a_size_and_a_range(void **state)
{
    struct place *p = *state;
    struct journal *j = ring_open(p, 0), *other = NULL;
    uint64_t id = journal_id(j), recovered;
    struct stat st;
    struct why why;

    assert_int_equal(
        journal_open(&other, p->ring, RING_BYTES, &recovered, &why),
        SOTTO_ELOCKED);
    assert_null(other);
    assert_int_equal(stat(p->ring, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true((size_t)st.st_blocks * 512 >= IMAGE_SIZE); /* not sparse */
    journal_close(j);
    assert_int_equal(
        journal_open(&other, p->ring, RING_BYTES - 1, &recovered, &why),
        SOTTO_EINVAL);
    assert_int_equal(
        journal_open(&other, p->ring, (size_t)1 << 31, &recovered, &why),
        SOTTO_EINVAL);
    assert_int_equal(
        journal_open(&j, p->ring, 4 * RING_BYTES, &recovered, &why), SOTTO_OK);
    assert_int_equal(journal_capacity(j), RING_BYTES); /* keeps its size */
    assert_true(id && journal_id(j) == id);
    journal_close(j);
}

static void counters_survive(void **state)
{
    struct place *p = *state;
    struct journal *j = ring_open(p, 0);

    atomic_fetch_add(&journal_counters(j)->drops[DROP_NO_CONSENT], 3);
    atomic_fetch_add(&journal_counters(j)->session, 9);
    journal_close(j);
    j = ring_open(p, 0);
    assert_int_equal(journal_counters(j)->drops[DROP_NO_CONSENT], 3);
    assert_int_equal(journal_counters(j)->session, 9);
    assert_int_equal(journal_counters(j)->fields_emptied, 0);
    journal_close(j);
}

int main(void)
{
#define IN_PLACE(test)                                                         \
    cmocka_unit_test_setup_teardown(test, place_setup, place_teardown)
    const struct CMUnitTest tests[] = {
        IN_PLACE(keeps_parts_kind_policy_and_order),
        IN_PLACE(refuses_when_full_and_takes_again_after_release),
        IN_PLACE(agrees_with_a_queue),
        IN_PLACE(many_producers_lose_nothing_and_keep_their_order),
        IN_PLACE(a_kill_at_any_moment_loses_and_doubles_nothing),
        IN_PLACE(a_half_written_record_hides_nobody),
        IN_PLACE(takes_a_mark_inside_a_hole_or_beyond_its_head),
        IN_PLACE(damage_costs_at_most_the_record_it_hits),
        IN_PLACE(damage_while_open_is_told_and_skipped),
        IN_PLACE(sets_aside_what_is_no_ring),
        IN_PLACE(sets_aside_a_truncated_ring),
        IN_PLACE(has_one_owner_a_size_and_a_range),
        IN_PLACE(counters_survive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
