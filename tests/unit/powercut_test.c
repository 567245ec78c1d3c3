/* Power cuts under the spool and the log: seeded random operations over a disk
 * that at a cut drops, tears and reorders what was not synced. After every cut
 * what was reported committed is there, once, and the parts of the state agree
 * with each other: mark, rows, acknowledgements, watermark, chain.
 *
 * The ring is played by its positions. A batch takes those from the spool's
 * mark on, so after a cut the ranges of the rows must join without a gap (lost)
 * and without an overlap (doubled). An operation that a cut interrupted may be
 * there or not, but whole. spool_test fails every single disk operation of a
 * call; here calls follow each other, through checkpoints and recoveries. */
#include "agent/spool.h"
#include "aggregator/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/dict.h"
#include "support/faultvfs.h"
#include "support/sample_policy.h"

#define SPOOL_CUTS 300
#define LOG_CUTS 150
#define SEQUENCES_MAX 20000
#define FILLER_MAX (100 * 1024) /* so that checkpoints come often */
#define FAR_MS (INT64_C(1) << 40)

struct tally {
    unsigned cuts, torn, operations;
    uint64_t lost, doubled;
};

static struct tally all; /* of both tests, for the line at the end */

static void tally_check(const char *name, const struct tally *t)
{
    printf("power cuts under the %s: cuts %u, torn %u, operations %u, lost "
           "%llu, doubled %llu\n",
           name, t->cuts, t->torn, t->operations, (unsigned long long)t->lost,
           (unsigned long long)t->doubled);
    all.cuts += t->cuts;
    all.torn += t->torn;
    all.lost += t->lost;
    all.doubled += t->doubled;
    assert_int_equal(t->lost, 0);
    assert_int_equal(t->doubled, 0);
}

/* Every third cut loses all that was not synced; after the others a coin
 * decides on each block. */
static void power(struct faultdisk *disk, uint64_t *rng, struct tally *t)
{
    bool torn = sample_below(rng, 3) != 0;

    faultdisk_power(disk, torn ? sample_random(rng) | 1 : 0);
    t->cuts++;
    t->torn += torn;
}

/* Which disk operation is cut: within a few commits, or late enough that a
 * checkpoint gets through before it. */
static uint64_t cut_at(uint64_t *rng)
{
    return 1 + sample_below(rng, sample_below(rng, 9) ? 300 : 4000);
}

/* Bytes that no compression makes smaller; mostly a few, sometimes many. */
static struct span filler(uint8_t *room, uint64_t *rng)
{
    size_t limit = sample_below(rng, 8) ? 1000 : FILLER_MAX;
    size_t size = sizeof(uint64_t) + sample_below(rng, (unsigned)limit), at;

    for (at = 0; at + sizeof(uint64_t) <= size; at += sizeof(uint64_t)) {
        uint64_t word = sample_random(rng);
        memcpy(room + at, &word, sizeof(word));
    }
    return span_of(room, at);
}

/* ---- the spool ---- */

struct promise { /* what a caller was told is durable */
    uint64_t next, acked, mark;
};

struct row {
    uint64_t from, to; /* positions of the ring */
    uint64_t hash;     /* of the envelope */
};

struct spooler {
    struct faultdisk *disk;
    struct spool *s;
    struct keys *keys;
    struct peer peer;
    struct buf sealed, out;
    uint64_t rng, nth; /* the disk operation that is cut */
    struct promise told, under_way;
    struct tally tally;
    struct row rows[SEQUENCES_MAX];
    uint8_t room[FILLER_MAX + 1000 + sizeof(uint64_t)];
};

static enum sotto_err spooler_open(struct spooler *p)
{
    const struct spool_config config = {"cut.db", INT64_C(32) << 20, 0,
                                        "cut-spool"};
    struct why why;

    return spool_open(&p->s, &config, &why);
}

static enum sotto_err spooler_commit(struct spooler *p)
{
    const struct spool_state *t = spool_state(p->s);
    uint64_t to = t->ring_mark + 1 + sample_below(&p->rng, 50);
    struct row *row = &p->rows[t->next_sequence];
    struct counters total = {.produced = to, .accepted = to};
    struct spool_cursor cursor = {{9}, span_of(&to, sizeof(to))};
    struct spool_entry e = {.kind = KIND_BATCH, .ring_mark = to};
    struct envelope head = {
        .kind = KIND_BATCH, .stream = t->stream, .sequence = t->next_sequence};

    assert_true(t->next_sequence < SEQUENCES_MAX);
    memcpy(head.chain, t->chain, HASH_SIZE);
    assert_int_equal(envelope_write(&p->sealed, &head, filler(p->room, &p->rng),
                                    p->keys, &p->peer),
                     SOTTO_OK);
    memcpy(e.chain, head.chain, HASH_SIZE);
    e.envelope = span_of(p->sealed.data, p->sealed.size);
    e.events = (uint32_t)(to - t->ring_mark);
    e.total = &total;
    e.cursors = &cursor;
    e.cursor_count = 1;
    *row = (struct row){t->ring_mark, to,
                        hash64(p->sealed.data, p->sealed.size, 0)};
    p->under_way.next = t->next_sequence + 1;
    p->under_way.mark = to;
    return spool_commit(p->s, &e);
}

static enum sotto_err spooler_ack(struct spooler *p)
{
    const struct spool_state *t = spool_state(p->s);
    unsigned waiting = (unsigned)(t->next_sequence - t->acked - 1);
    int64_t now_ms = sample_below(&p->rng, 4) ? 0 : FAR_MS; /* evicts all */

    if (waiting)
        p->under_way.acked = t->acked + 1 + sample_below(&p->rng, waiting);
    return spool_ack(p->s, p->under_way.acked, now_ms);
}

static enum sotto_err spooler_refuse(struct spooler *p)
{
    const struct spool_state *t = spool_state(p->s);

    if (t->acked + 1 == t->next_sequence)
        return SOTTO_OK;
    p->under_way.acked = t->acked + 1;
    return spool_refused(p->s, t->acked + 1, "undecodable", 0);
}

static enum sotto_err spooler_rewind(struct spooler *p)
{
    uint64_t acked = spool_state(p->s)->acked, missing;
    struct spool_row row;

    if (!acked || spool_get(p->s, acked, &row, &p->out))
        return SOTTO_OK; /* replay keeps none, or the disk is gone */
    p->under_way.acked = acked - 1;
    return spool_rewind(p->s, acked - 1, &missing);
}

/* Closing writes everything into the database itself. */
static enum sotto_err spooler_reopen(struct spooler *p)
{
    spool_close(p->s);
    p->s = NULL;
    return spooler_open(p);
}

static void spooler_step(struct spooler *p)
{
    unsigned which = sample_below(&p->rng, 20);
    enum sotto_err err;

    p->under_way = p->told;
    p->tally.operations++;
    if (which < 12)
        err = spooler_commit(p);
    else if (which < 16)
        err = spooler_ack(p);
    else if (which < 17)
        err = spooler_refuse(p);
    else if (which < 18)
        err = spooler_rewind(p);
    else
        err = spooler_reopen(p);
    if (err)
        assert_true(faultdisk_count(p->disk) >= p->nth);
    else
        p->told = p->under_way;
}

static bool promise_kept(const struct promise *q, const struct spool_state *t)
{
    return q->next == t->next_sequence && q->acked == t->acked &&
           q->mark == t->ring_mark;
}

/* Rows down from next: the same bytes as were committed, in one chain, none
 * missing that is not acknowledged. */
static void spooler_check_rows(struct spooler *p)
{
    const struct spool_state *t = spool_state(p->s);
    uint64_t sequence = t->next_sequence - 1, waiting = 0;
    uint8_t after[HASH_SIZE], chain[HASH_SIZE];
    struct spool_row row;
    struct envelope e;
    struct span bytes;

    memcpy(after, t->chain, HASH_SIZE);
    for (; sequence > 0; sequence--) {
        if (spool_get(p->s, sequence, &row, &p->out)) {
            p->tally.lost += sequence > t->acked ? sequence - t->acked : 0;
            break; /* of what is acknowledged, the oldest are gone */
        }
        bytes = span_of(p->out.data, p->out.size);
        assert_int_equal(hash64(bytes.data, bytes.size, 0),
                         p->rows[sequence].hash);
        assert_memory_equal(row.chain, after, HASH_SIZE);
        assert_int_equal(envelope_parse(&e, bytes), SOTTO_OK);
        waiting += sequence > t->acked ? bytes.size : 0;
        memset(chain, 0, HASH_SIZE);
        if (sequence > 1 && !spool_get(p->s, sequence - 1, &row, &p->sealed))
            memcpy(chain, row.chain, HASH_SIZE);
        else if (sequence > 1)
            continue; /* the one before is evicted */
        memcpy(after, chain, HASH_SIZE);
        assert_int_equal(envelope_chain(chain, &e), SOTTO_OK);
        assert_memory_equal(chain, e.chain, HASH_SIZE);
    }
    assert_int_equal(t->waiting_bytes, waiting);
}

static void spooler_check(struct spooler *p)
{
    const struct spool_state *t = spool_state(p->s);
    const struct row *last = &p->rows[t->next_sequence - 1];
    uint8_t source[16] = {9};
    uint64_t cursor = 0;

    if (t->next_sequence < p->told.next)
        p->tally.lost += p->told.next - t->next_sequence;
    if (last->to < t->ring_mark)
        p->tally.lost += t->ring_mark - last->to;
    else
        p->tally.doubled += last->to - t->ring_mark;
    assert_true(promise_kept(&p->told, t) || promise_kept(&p->under_way, t) ||
                p->tally.lost || p->tally.doubled);
    spooler_check_rows(p);
    if (!spool_cursor_get(p->s, source, &p->out)) {
        assert_int_equal(p->out.size, sizeof(cursor));
        memcpy(&cursor, p->out.data, sizeof(cursor));
    }
    assert_int_equal(cursor, last->to);
    assert_int_equal(t->last.produced, last->to);
    assert_int_equal(t->accepted, last->to);
    assert_int_equal(t->accepted, t->acked_events + t->waiting_events +
                                      t->voided_events + t->refused_events);
    p->told = (struct promise){t->next_sequence, t->acked, t->ring_mark};
    p->under_way = p->told;
}

/* The power comes back; sometimes it goes again while the file is opened. */
static void spooler_power(struct spooler *p)
{
    spool_close(p->s);
    p->s = NULL;
    power(p->disk, &p->rng, &p->tally);
    if (!sample_below(&p->rng, 3)) {
        faultdisk_arm(p->disk, FAULT_CUT, 1 + sample_below(&p->rng, 8));
        if (!spooler_open(p))
            spool_close(p->s);
        p->s = NULL;
        power(p->disk, &p->rng, &p->tally);
    }
    assert_int_equal(spooler_open(p), SOTTO_OK);
}

static void the_spool_keeps_what_it_said(void **state)
{
    struct spooler *p = calloc(1, sizeof(*p));

    (void)state;
    assert_non_null(p);
    p->rng = 20260101;
    assert_int_equal(keys_make(&p->keys), SOTTO_OK);
    keys_peer(p->keys, &p->peer);
    buf_init(&p->sealed, FRAME_MAX);
    buf_init(&p->out, FRAME_MAX);
    p->disk = faultdisk_make("cut-spool");
    assert_int_equal(spooler_open(p), SOTTO_OK);
    p->told = (struct promise){1, 0, 0};
    while (p->tally.cuts < SPOOL_CUTS && !p->tally.lost && !p->tally.doubled) {
        p->nth = cut_at(&p->rng);
        faultdisk_arm(p->disk, FAULT_CUT, p->nth);
        while (faultdisk_count(p->disk) < p->nth)
            spooler_step(p);
        spooler_power(p);
        spooler_check(p);
    }
    spool_close(p->s);
    faultdisk_free(p->disk);
    keys_free(p->keys);
    buf_fini(&p->sealed);
    buf_fini(&p->out);
    tally_check("spool", &p->tally);
    free(p);
}

/* ---- the log ---- */

#define AGENTS 3
#define GROUP_MAX 6

/* The log's file is not locked exclusively, so its WAL index needs memory that
 * connections share. There is one connection: plain memory will do. */
static void *shared[64];
static int (*disk_open)(sqlite3_vfs *, const char *, sqlite3_file *, int,
                        int *);

static int shared_map(sqlite3_file *f, int region, int size, int extend,
                      void volatile **out)
{
    (void)f;
    assert_true((size_t)region < sizeof(shared) / sizeof(shared[0]));
    if (!shared[region] && extend)
        shared[region] = calloc(1, (size_t)size);
    *out = shared[region];
    return SQLITE_OK;
}

static int shared_lock(sqlite3_file *f, int offset, int count, int flags)
{
    (void)f;
    (void)offset;
    (void)count;
    (void)flags;
    return SQLITE_OK;
}

static void shared_barrier(sqlite3_file *f)
{
    (void)f;
}

static int shared_unmap(sqlite3_file *f, int remove)
{
    (void)f;
    (void)remove;
    for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++) {
        free(shared[i]);
        shared[i] = NULL;
    }
    return SQLITE_OK;
}

static int shared_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f,
                       int flags, int *out_flags)
{
    static sqlite3_io_methods methods;
    int rc = disk_open(vfs, name, f, flags, out_flags);

    if (rc != SQLITE_OK || !(flags & SQLITE_OPEN_MAIN_DB))
        return rc;
    methods = *f->pMethods;
    methods.iVersion = 2;
    methods.xShmMap = shared_map;
    methods.xShmLock = shared_lock;
    methods.xShmBarrier = shared_barrier;
    methods.xShmUnmap = shared_unmap;
    f->pMethods = &methods;
    return SQLITE_OK;
}

struct written {   /* an entry of the log */
    uint64_t hash; /* of its payload */
    uint32_t events;
    bool chunk;
};

struct logger {
    struct faultdisk *disk;
    struct store *store;
    char dir[64], key[96];
    uint64_t rng, nth;
    uint64_t told[AGENTS], under_way[AGENTS]; /* watermarks */
    struct tally tally;
    struct buf scratch;
    struct written entries[AGENTS][SEQUENCES_MAX];
    uint8_t room[GROUP_MAX][FILLER_MAX + 1000 + sizeof(uint64_t)];
};

static enum sotto_err logger_open(struct logger *l)
{
    return store_open(&l->store, l->dir, l->key, NULL);
}

/* The chain is not checked by the log, so any 32 bytes of their own do. */
static void chain_of(uint8_t chain[HASH_SIZE], uint32_t agent,
                     uint64_t sequence)
{
    memset(chain, (int)agent + 1, HASH_SIZE);
    memcpy(chain, &sequence, sizeof(sequence));
}

static void logger_entry(struct logger *l, struct log_entry *e, uint8_t *room)
{
    uint32_t agent = sample_below(&l->rng, AGENTS);
    unsigned kind = sample_below(&l->rng, 10);

    memset(e, 0, sizeof(*e));
    e->agent = agent;
    e->stream = agent + 1;
    e->sequence = ++l->under_way[agent];
    assert_true(e->sequence < SEQUENCES_MAX);
    e->kind = kind == 0 ? KIND_VOID : KIND_BATCH;
    chain_of(e->chain, agent, e->sequence);
    e->events = 1 + sample_below(&l->rng, 100);
    if (kind < 2)
        e->reason = "undecodable";
    else
        e->payload = filler(room, &l->rng);
    l->entries[agent][e->sequence] = (struct written){
        kind < 2 ? 0 : hash64(e->payload.data, e->payload.size, 0), e->events,
        kind >= 2};
}

static void logger_step(struct logger *l)
{
    struct log_entry group[GROUP_MAX];
    size_t count = 1 + sample_below(&l->rng, GROUP_MAX);
    enum sotto_err err;

    memcpy(l->under_way, l->told, sizeof(l->told));
    l->tally.operations++;
    if (!sample_below(&l->rng, 10)) { /* closing checkpoints */
        store_close(l->store);
        l->store = NULL;
        err = logger_open(l);
    } else {
        for (size_t i = 0; i < count; i++)
            logger_entry(l, &group[i], l->room[i]);
        err = log_append(l->store, group, count);
    }
    if (err)
        assert_true(faultdisk_count(l->disk) >= l->nth);
    else
        memcpy(l->told, l->under_way, sizeof(l->told));
}

struct found {
    uint64_t marks[AGENTS], events[AGENTS];
};

static enum sotto_err found_stream(void *context, const struct log_stream *s)
{
    struct found *f = context;
    uint8_t chain[HASH_SIZE];

    assert_true(s->agent < AGENTS);
    f->marks[s->agent] = s->watermark;
    f->events[s->agent] = s->events + s->voided_events + s->refused_events;
    chain_of(chain, s->agent, s->watermark);
    assert_memory_equal(s->chain, chain, HASH_SIZE);
    return SOTTO_OK;
}

/* Every chunk up to the watermarks, once and in order. */
static void logger_check_chunks(struct logger *l, const struct found *f)
{
    uint64_t seen[AGENTS] = {0};
    struct log_chunk c;
    enum sotto_err err;

    memset(&c, 0, sizeof(c));
    while ((err = log_read(l->store, c.number, &c, &l->scratch)) == SOTTO_OK) {
        assert_true(c.agent < AGENTS);
        l->tally.doubled += c.sequence <= seen[c.agent];
        for (uint64_t n = seen[c.agent] + 1; n < c.sequence; n++)
            l->tally.lost += l->entries[c.agent][n].chunk;
        assert_true(c.sequence <= f->marks[c.agent]);
        assert_int_equal(hash64(c.payload.data, c.payload.size, 0),
                         l->entries[c.agent][c.sequence].hash);
        seen[c.agent] = c.sequence;
    }
    assert_int_equal(err, SOTTO_ENOTFOUND);
    for (uint32_t agent = 0; agent < AGENTS; agent++)
        for (uint64_t n = seen[agent] + 1; n <= f->marks[agent]; n++)
            l->tally.lost += l->entries[agent][n].chunk;
}

static void logger_check_stream(struct logger *l, const struct found *f,
                                uint32_t agent)
{
    uint8_t want[HASH_SIZE], chain[HASH_SIZE];
    uint64_t events = 0, n;

    for (n = 1; n <= f->marks[agent]; n++) {
        events += l->entries[agent][n].events;
        chain_of(want, agent, n);
        assert_int_equal(log_chain(l->store, agent, agent + 1, n, chain),
                         SOTTO_OK);
        assert_memory_equal(chain, want, HASH_SIZE);
    }
    assert_int_equal(f->events[agent], events);
    assert_int_equal(log_chain(l->store, agent, agent + 1, n, chain),
                     SOTTO_ENOTFOUND);
}

static void logger_check(struct logger *l)
{
    struct found f = {{0}, {0}};

    assert_int_equal(log_stream_each(l->store, found_stream, &f), SOTTO_OK);
    for (int i = 0; i < AGENTS; i++)
        if (f.marks[i] < l->told[i])
            l->tally.lost += l->told[i] - f.marks[i];
    assert_true(!memcmp(f.marks, l->told, sizeof(f.marks)) ||
                !memcmp(f.marks, l->under_way, sizeof(f.marks)) ||
                l->tally.lost);
    logger_check_chunks(l, &f);
    for (uint32_t agent = 0; agent < AGENTS; agent++)
        logger_check_stream(l, &f, agent);
    memcpy(l->told, f.marks, sizeof(l->told));
}

static void logger_make(struct logger *l)
{
    char path[128];
    sqlite3_stmt *mode;
    sqlite3_vfs *vfs;
    FILE *file;

    snprintf(l->dir, sizeof(l->dir), "/tmp/sotto-powercut-XXXXXX");
    assert_non_null(mkdtemp(l->dir));
    snprintf(l->key, sizeof(l->key), "%s/store.key", l->dir);
    l->disk = faultdisk_make("cut-log");
    vfs = sqlite3_vfs_find("cut-log");
    disk_open = vfs->xOpen;
    vfs->xOpen = shared_open;
    sqlite3_vfs_register(vfs, 1); /* the one that store_open uses */
    assert_int_equal(store_create(l->dir, l->key, NULL), SOTTO_OK);
    /* store_open looks for the file on the machine's own disk. */
    snprintf(path, sizeof(path), "%s/aggregator.db", l->dir);
    assert_int_not_equal(access(path, F_OK), 0);
    file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(logger_open(l), SOTTO_OK);
    mode = store_prepare(l->store, "PRAGMA journal_mode");
    assert_int_equal(store_row(mode), SOTTO_OK);
    assert_true(span_equal(store_blob(mode, 0), span_text("wal")));
    store_done(mode);
}

static void logger_free(struct logger *l)
{
    char path[128];

    store_close(l->store);
    faultdisk_free(l->disk);
    snprintf(path, sizeof(path), "%s/aggregator.db", l->dir);
    unlink(path);
    unlink(l->key);
    rmdir(l->dir);
    buf_fini(&l->scratch);
    free(l);
}

static void the_log_keeps_what_it_said(void **state)
{
    struct logger *l = calloc(1, sizeof(*l));
    struct tally tally;

    (void)state;
    assert_non_null(l);
    l->rng = 20260102;
    buf_init(&l->scratch, 2 * FRAME_MAX);
    logger_make(l);
    while (l->tally.cuts < LOG_CUTS && !l->tally.lost && !l->tally.doubled) {
        l->nth = cut_at(&l->rng);
        faultdisk_arm(l->disk, FAULT_CUT, l->nth);
        while (faultdisk_count(l->disk) < l->nth)
            logger_step(l);
        store_close(l->store);
        l->store = NULL;
        power(l->disk, &l->rng, &l->tally);
        assert_int_equal(logger_open(l), SOTTO_OK);
        logger_check(l);
    }
    tally = l->tally;
    logger_free(l);
    tally_check("log", &tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_spool_keeps_what_it_said),
        cmocka_unit_test(the_log_keeps_what_it_said),
    };

    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    printf("powercut: cuts %u, torn %u, lost %llu, doubled %llu\n", all.cuts,
           all.torn, (unsigned long long)all.lost,
           (unsigned long long)all.doubled);
    return failed;
}
