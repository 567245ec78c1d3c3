/* Tests of agent/spool: what each call does, then every call with a fault at
 * every disk operation and a power cut after it: all of it or nothing. */
#include "agent/spool.h"

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

#define DISK "fault"
#define MAX (1 << 20)
#define OLD_MS 1000 /* made_ms of row n is n * OLD_MS */

struct bench {
    struct faultdisk *disk;
    struct spool *s;
    struct keys *keys;
    struct peer peer;
    struct spool_config config;
    struct buf bytes, out;
    bool timeless; /* add does not know the time */
};

static void bench_open(struct bench *b)
{
    struct why why;

    assert_int_equal(spool_open(&b->s, &b->config, &why), SOTTO_OK);
}

static void bench_reopen(struct bench *b)
{
    spool_close(b->s);
    bench_open(b);
}

static int bench_setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));

    assert_non_null(b);
    assert_true(sodium_init() >= 0);
    assert_int_equal(keys_make(&b->keys), SOTTO_OK);
    keys_peer(b->keys, &b->peer);
    buf_init(&b->bytes, FRAME_MAX);
    buf_init(&b->out, FRAME_MAX);
    b->disk = faultdisk_make(DISK);
    b->config = (struct spool_config){"spool.db", MAX, 0, DISK};
    bench_open(b);
    *state = b;
    return 0;
}

static int bench_teardown(void **state)
{
    struct bench *b = *state;

    spool_close(b->s);
    faultdisk_free(b->disk);
    keys_free(b->keys);
    buf_fini(&b->bytes);
    buf_fini(&b->out);
    free(b);
    return 0;
}

static enum sotto_err write_envelope(struct bench *b, struct buf *out,
                                     uint32_t kind, uint64_t stream,
                                     uint64_t sequence,
                                     uint8_t chain[HASH_SIZE])
{
    struct envelope head = {
        .kind = kind, .stream = stream, .sequence = sequence};
    enum sotto_err err;

    memcpy(head.chain, chain, HASH_SIZE);
    err = envelope_write(out, &head, span_of(&sequence, sizeof(sequence)),
                         b->keys, &b->peer);
    memcpy(chain, head.chain, HASH_SIZE);
    return err;
}

/* Commits the next batch, of ten events, as row n at n * OLD_MS. */
static enum sotto_err add(struct bench *b)
{
    const struct spool_state *t = spool_state(b->s);
    struct counters total = {.produced = t->next_sequence * 11};
    struct spool_entry e = {.kind = KIND_BATCH, .events = 10};

    memcpy(e.chain, t->chain, HASH_SIZE);
    assert_int_equal(write_envelope(b, &b->bytes, KIND_BATCH, t->stream,
                                    t->next_sequence, e.chain),
                     SOTTO_OK);
    assert_int_equal(counters_add(&total, "too_old", 3), SOTTO_OK);
    e.envelope = span_of(b->bytes.data, b->bytes.size);
    e.ring_mark = t->ring_mark + 5;
    e.now_ms = b->timeless ? 0 : (int64_t)t->next_sequence * OLD_MS;
    e.total = &total;
    return spool_commit(b->s, &e);
}

static void add_rows(struct bench *b, int count)
{
    while (count--)
        assert_int_equal(add(b), SOTTO_OK);
}

/* The rows stand in one chain that ends where the state says. */
static void check_rows(struct bench *b)
{
    const struct spool_state *t = spool_state(b->s);
    uint64_t sequence, rows = 0, events = 0, bytes = 0;
    uint8_t chain[HASH_SIZE];
    struct spool_row row;
    struct envelope e;

    memcpy(chain, t->acked_chain, HASH_SIZE);
    for (sequence = t->acked + 1; sequence < t->next_sequence; sequence++) {
        assert_int_equal(spool_get(b->s, sequence, &row, &b->out), SOTTO_OK);
        assert_int_equal(envelope_parse(&e, span_of(b->out.data, b->out.size)),
                         SOTTO_OK);
        assert_int_equal(envelope_verify(&e, span_of(b->out.data, b->out.size),
                                         b->keys->sign_pk),
                         SOTTO_OK);
        assert_int_equal(envelope_chain(chain, &e), SOTTO_OK);
        assert_memory_equal(e.chain, chain, HASH_SIZE);
        assert_memory_equal(row.chain, chain, HASH_SIZE);
        assert_int_equal(e.sequence, sequence);
        assert_int_equal(e.stream, t->stream);
        rows++;
        events += row.events;
        bytes += b->out.size;
    }
    assert_memory_equal(t->chain, chain, HASH_SIZE);
    assert_int_equal(t->waiting_rows, rows);
    assert_int_equal(t->waiting_events, events);
    assert_int_equal(t->waiting_bytes, bytes);
    /* No event is lost from the books. */
    assert_int_equal(t->accepted, t->acked_events + t->waiting_events +
                                      t->voided_events + t->refused_events);
}

static enum sotto_err rewrite_row(void *context, struct buf *out,
                                  struct span envelope, uint64_t stream,
                                  uint64_t sequence, uint8_t chain[HASH_SIZE])
{
    struct bench *b = context;

    return envelope_rewrite(out, envelope, stream, sequence, chain, b->keys);
}

static enum sotto_err void_row(void *context, struct buf *out,
                               struct span envelope, uint64_t stream,
                               uint64_t sequence, uint8_t chain[HASH_SIZE])
{
    struct bench *b = context;

    return envelope_void(out, envelope, stream, sequence, chain, 10, "expired",
                         b->keys);
}

/* A stand-in whose chain is another. */
static enum sotto_err strange_row(void *context, struct buf *out,
                                  struct span envelope, uint64_t stream,
                                  uint64_t sequence, uint8_t chain[HASH_SIZE])
{
    (void)envelope;
    return write_envelope(context, out, KIND_BATCH, stream, sequence, chain);
}

static void keeps_what_was_committed(void **state)
{
    struct bench *b = *state;
    const struct spool_state *t = spool_state(b->s);
    uint64_t stream = t->stream;
    struct spool_row row;

    assert_true(stream != 0);
    assert_int_equal(t->next_sequence, 1);
    assert_int_equal(spool_ring(b->s, 99), SOTTO_OK);
    add_rows(b, 3);
    bench_reopen(b);
    t = spool_state(b->s);
    assert_int_equal(t->stream, stream);
    assert_int_equal(t->next_sequence, 4);
    assert_int_equal(t->ring, 99);
    assert_int_equal(t->ring_mark, 15);
    assert_int_equal(t->last.produced, 33);
    assert_int_equal(t->last.drop_count, 1);
    assert_string_equal(t->last.drops[0].name, "too_old");
    assert_int_equal(t->last.drops[0].count, 3);
    assert_int_equal(t->base.produced, 0);
    check_rows(b);
    assert_int_equal(spool_get(b->s, 4, &row, &b->out), SOTTO_ENOTFOUND);
    assert_int_equal(spool_get(b->s, 2, &row, &b->out), SOTTO_OK);
    assert_int_equal(row.made_ms, 2 * OLD_MS);
    assert_int_equal(row.events, 10);
}

static void a_new_ring_starts_from_the_last_total(void **state)
{
    struct bench *b = *state;
    const struct spool_state *t = spool_state(b->s);

    assert_int_equal(spool_ring(b->s, 1), SOTTO_OK);
    add_rows(b, 2);
    assert_int_equal(spool_ring(b->s, 1), SOTTO_OK); /* the same: nothing */
    assert_int_equal(t->ring_mark, 10);
    assert_int_equal(spool_ring(b->s, 2), SOTTO_OK);
    assert_int_equal(t->ring_mark, 0);
    assert_int_equal(t->base.produced, 22);
    bench_reopen(b);
    assert_int_equal(spool_state(b->s)->base.drops[0].count, 3);
}

static void refuses_what_does_not_fit(void **state)
{
    struct bench *b = *state;
    const struct spool_state *t = spool_state(b->s);
    struct spool_entry e = {.kind = KIND_BATCH, .events = 1};
    static const uint8_t big[5000];
    struct spool_cursor cursor = {{1}, {big, sizeof(big)}};
    struct spool_row row;
    uint64_t i, bytes;
    int count = 0;

    /* another sequence than the next */
    assert_int_equal(
        write_envelope(b, &b->bytes, KIND_BATCH, t->stream, 2, e.chain),
        SOTTO_OK);
    e.envelope = span_of(b->bytes.data, b->bytes.size);
    assert_int_equal(spool_commit(b->s, &e), SOTTO_EINVAL);
    add_rows(b, 1);
    e.envelope = span_of(NULL, 0); /* a mark that falls */
    assert_int_equal(spool_commit(b->s, &e), SOTTO_EINVAL);
    e.ring_mark = t->ring_mark;
    e.cursors = &cursor;
    e.cursor_count = 1;
    assert_int_equal(spool_commit(b->s, &e), SOTTO_ETOOBIG);
    b->config.bytes_max = 4000;
    bench_reopen(b);
    while (!add(b))
        count++;
    assert_in_range(count, 3, 40);
    assert_int_equal(add(b), SOTTO_EFULL);
    assert_true(spool_state(b->s)->waiting_bytes <= 4000);
    assert_int_equal(spool_ack(b->s, 2, 0), SOTTO_OK);
    assert_int_equal(add(b), SOTTO_OK); /* what is acked makes room */
    for (i = 1, bytes = 0; i < spool_state(b->s)->next_sequence; i++)
        if (!spool_get(b->s, i, &row, &b->out))
            bytes += b->out.size;
    assert_true(bytes <= 4000);
    check_rows(b);
}

static void an_acknowledged_row_is_kept_for_a_while(void **state)
{
    struct bench *b = *state;
    const struct spool_state *t;
    struct spool_row row;

    b->config.replay_ms = 1000;
    bench_reopen(b);
    t = spool_state(b->s);
    add_rows(b, 5);
    assert_int_equal(spool_ack(b->s, 9, 0), SOTTO_EINVAL);
    assert_int_equal(spool_ack(b->s, 2, 5000), SOTTO_OK);
    assert_int_equal(spool_ack(b->s, 1, 5000), SOTTO_OK); /* older news */
    assert_int_equal(t->acked, 2);
    assert_int_equal(t->acked_events, 20);
    assert_int_equal(spool_get(b->s, 1, &row, &b->out), SOTTO_OK);
    assert_int_equal(spool_ack(b->s, 3, 6000), SOTTO_OK);
    assert_int_equal(spool_get(b->s, 2, &row, &b->out), SOTTO_ENOTFOUND);
    assert_int_equal(spool_get(b->s, 3, &row, &b->out), SOTTO_OK);
    check_rows(b);
    bench_reopen(b);
    check_rows(b);
}

static void replay_takes_a_quarter_at_most(void **state)
{
    struct bench *b = *state;
    struct spool_row row;
    uint64_t i, kept = 0, bytes = 0;

    b->config.bytes_max = 8000;
    bench_reopen(b);
    for (i = 1; i <= 40; i++) {
        add_rows(b, 1);
        assert_int_equal(spool_ack(b->s, i, 0), SOTTO_OK);
    }
    for (i = 1; i <= 40; i++) {
        if (spool_get(b->s, i, &row, &b->out))
            continue;
        kept++;
        bytes += b->out.size;
    }
    assert_true(kept > 0 && bytes <= 2000);
    assert_int_equal(spool_get(b->s, 40, &row, &b->out), SOTTO_OK);
}

static void a_restored_aggregator_gets_replay(void **state)
{
    struct bench *b = *state;
    const struct spool_state *t = spool_state(b->s);
    uint64_t missing;

    add_rows(b, 6);
    assert_int_equal(spool_ack(b->s, 5, 0), SOTTO_OK);
    assert_int_equal(spool_rewind(b->s, 6, &missing), SOTTO_EINVAL);
    assert_int_equal(spool_rewind(b->s, 2, &missing), SOTTO_OK);
    assert_int_equal(missing, 0);
    assert_int_equal(t->acked, 2);
    assert_int_equal(t->waiting_rows, 4);
    check_rows(b);
    bench_reopen(b);
    check_rows(b);
}

static void rewinding_says_what_is_gone(void **state)
{
    struct bench *b = *state;
    const struct spool_state *t;
    uint64_t missing;

    b->config.replay_ms = 1000;
    bench_reopen(b);
    t = spool_state(b->s);
    add_rows(b, 6);
    assert_int_equal(spool_ack(b->s, 3, 1000), SOTTO_OK);
    assert_int_equal(spool_ack(b->s, 5, 2000), SOTTO_OK); /* 1 to 3 go */
    assert_int_equal(spool_rewind(b->s, 1, &missing), SOTTO_OK);
    assert_int_equal(missing, 2);
    assert_int_equal(t->acked, 3);
    assert_int_equal(t->acked_events, 30);
    check_rows(b);
}

static void a_refused_row_is_set_aside_and_counted_once(void **state)
{
    struct bench *b = *state;
    const struct spool_state *t = spool_state(b->s);
    struct spool_row row;
    uint64_t missing;

    add_rows(b, 4);
    assert_int_equal(spool_refused(b->s, 9, "wrong_sender", 0),
                     SOTTO_ENOTFOUND);
    assert_int_equal(spool_refused(b->s, 2, "undecodable", 0), SOTTO_OK);
    assert_int_equal(t->acked, 2);
    assert_int_equal(t->acked_events, 10);
    assert_int_equal(t->refused_events, 10);
    assert_int_equal(spool_get(b->s, 2, &row, &b->out), SOTTO_OK);
    check_rows(b);
    assert_int_equal(spool_rewind(b->s, 0, &missing), SOTTO_OK);
    assert_int_equal(spool_refused(b->s, 2, "undecodable", 0), SOTTO_OK);
    assert_int_equal(t->refused_events, 10);
    check_rows(b);
}

static void a_fork_moves_all_that_is_kept_to_a_new_stream(void **state)
{
    struct bench *b = *state;
    const struct spool_state *t = spool_state(b->s);
    const struct spool_rewrite rewrite = {rewrite_row, b};

    add_rows(b, 8);
    for (uint64_t acked = 0; acked <= 8; acked += 4) {
        uint64_t stream = 1000 + acked;

        if (acked)
            assert_int_equal(spool_ack(b->s, acked, 0), SOTTO_OK);
        assert_int_equal(spool_fork(b->s, 0, &rewrite), SOTTO_EINVAL);
        assert_int_equal(spool_fork(b->s, t->stream, &rewrite), SOTTO_EINVAL);
        assert_int_equal(spool_fork(b->s, stream, &rewrite), SOTTO_OK);
        assert_int_equal(t->stream, stream);
        assert_int_equal(t->acked, 0);
        assert_int_equal(t->acked_events, 0);
        assert_int_equal(t->next_sequence, 9);
        check_rows(b);
        bench_reopen(b);
        t = spool_state(b->s);
        check_rows(b);
    }
}

/* What replay has let go is over there. */
static void a_fork_leaves_what_is_gone(void **state)
{
    struct bench *b = *state;
    const struct spool_state *t = spool_state(b->s);
    const struct spool_rewrite rewrite = {rewrite_row, b};

    b->config.replay_ms = 1000;
    bench_reopen(b);
    add_rows(b, 4);
    assert_int_equal(spool_ack(b->s, 1, 0), SOTTO_OK);
    assert_int_equal(spool_ack(b->s, 2, 5000), SOTTO_OK); /* 1 is let go */
    assert_int_equal(spool_fork(b->s, 1000, &rewrite), SOTTO_OK);
    t = spool_state(b->s);
    assert_int_equal(t->next_sequence, 4);
    assert_int_equal(t->acked_events, 10);
    check_rows(b);
}

static void expires_the_oldest_waiting_batches(void **state)
{
    struct bench *b = *state;
    const struct spool_state *t = spool_state(b->s);
    const struct spool_rewrite make_void = {void_row, b};
    const struct spool_rewrite other = {strange_row, b};
    struct spool_row row;
    uint64_t voided;

    add_rows(b, 6);
    assert_int_equal(spool_ack(b->s, 1, 0), SOTTO_OK);
    assert_int_equal(spool_expire(b->s, OLD_MS, &make_void, &voided), SOTTO_OK);
    assert_int_equal(voided, 0);
    assert_int_equal(spool_expire(b->s, 4 * OLD_MS, &other, &voided),
                     SOTTO_EINVAL); /* the later rows would no longer follow */
    check_rows(b);
    assert_int_equal(spool_expire(b->s, 4 * OLD_MS, &make_void, &voided),
                     SOTTO_OK);
    assert_int_equal(voided, 20); /* rows 2 and 3 */
    assert_int_equal(t->voided_events, 20);
    assert_int_equal(t->waiting_rows, 5);
    assert_int_equal(spool_get(b->s, 3, &row, &b->out), SOTTO_OK);
    assert_int_equal(row.kind, KIND_VOID);
    assert_int_equal(spool_get(b->s, 4, &row, &b->out), SOTTO_OK);
    assert_int_equal(row.kind, KIND_BATCH);
    check_rows(b);
    assert_int_equal(spool_expire(b->s, 4 * OLD_MS, &make_void, &voided),
                     SOTTO_OK);
    assert_int_equal(voided, 0); /* a void is not voided again */
}

/* Sealed by a machine that did not know the time: not old, but undated. */
static void a_row_without_a_time_gets_one_when_it_is_known(void **state)
{
    struct bench *b = *state;
    const struct spool_rewrite make_void = {void_row, b};
    struct spool_row row;
    uint64_t voided;

    b->timeless = true;
    add_rows(b, 2);
    assert_int_equal(spool_state(b->s)->time_ms, 0);
    assert_int_equal(spool_expire(b->s, INT64_C(1) << 40, &make_void, &voided),
                     SOTTO_OK);
    assert_int_equal(voided, 0);
    assert_int_equal(spool_ack(b->s, 1, 0), SOTTO_OK);
    assert_int_equal(spool_date(b->s, 70 * OLD_MS), SOTTO_OK);
    bench_reopen(b);
    assert_int_equal(spool_state(b->s)->time_ms, 70 * OLD_MS);
    assert_int_equal(spool_get(b->s, 2, &row, &b->out), SOTTO_OK);
    assert_int_equal(row.made_ms, 70 * OLD_MS);
    b->timeless = false;
    add_rows(b, 1); /* row 3, at its time */
    assert_int_equal(spool_state(b->s)->time_ms, 3 * OLD_MS);
    assert_int_equal(spool_ack(b->s, 2, 80 * OLD_MS), SOTTO_OK);
    assert_int_equal(spool_state(b->s)->time_ms, 80 * OLD_MS);
    assert_int_equal(spool_expire(b->s, 60 * OLD_MS, &make_void, &voided),
                     SOTTO_OK);
    assert_int_equal(voided, 10);
    check_rows(b);
}

static void count_cursor(void *context, const struct spool_cursor *c)
{
    *(size_t *)context += c->bytes.size * c->source[0];
}

static enum sotto_err check_policy(void *context, uint32_t number,
                                   struct span container)
{
    assert_int_equal(container.size, number);
    ++*(uint32_t *)context;
    return number == 3 ? SOTTO_ECLOSED : SOTTO_OK;
}

static void keeps_cursors_and_numbers_policies(void **state)
{
    struct bench *b = *state;
    struct spool_cursor cursors[2] = {{{1}, span_text("here")},
                                      {{2}, span_text("there")}};
    struct spool_entry e = {.cursors = cursors, .cursor_count = 2};
    uint8_t hash[HASH_SIZE] = {0};
    uint32_t number, seen = 0;
    size_t sum = 0;

    assert_int_equal(spool_commit(b->s, &e), SOTTO_OK);
    assert_int_equal(spool_state(b->s)->next_sequence, 1);
    assert_int_equal(spool_cursor_each(b->s, count_cursor, &sum), SOTTO_OK);
    assert_int_equal(sum, 4 + 2 * 5);
    assert_int_equal(spool_cursor_get(b->s, cursors[1].source, &b->out),
                     SOTTO_OK);
    assert_true(
        span_equal(span_of(b->out.data, b->out.size), span_text("there")));
    assert_int_equal(spool_cursor_get(b->s, hash, &b->out), SOTTO_ENOTFOUND);
    for (hash[0] = 1; hash[0] <= 4; hash[0]++) {
        assert_int_equal(
            spool_policy_put(b->s, hash, span_of("abcdef", hash[0]), &number),
            SOTTO_OK);
        assert_int_equal(number, hash[0]);
    }
    hash[0] = 2;
    assert_int_equal(spool_policy_put(b->s, hash, span_text("x"), &number),
                     SOTTO_OK);
    assert_int_equal(number, 2); /* known: the number it has */
    assert_int_equal(spool_policy_each(b->s, check_policy, &seen),
                     SOTTO_ECLOSED);
    assert_int_equal(seen, 3);
}

/* A flipped bit in a row's number: the sum of the rows is the same. */
static void refuses_rows_with_a_gap(void **state)
{
    struct bench *b = *state;
    struct why why;
    sqlite3 *db;

    add_rows(b, 6);
    assert_int_equal(spool_ack(b->s, 2, 0), SOTTO_OK);
    spool_close(b->s);
    b->s = NULL;
    assert_int_equal(
        sqlite3_open_v2("spool.db", &db, SQLITE_OPEN_READWRITE, DISK),
        SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "PRAGMA locking_mode = EXCLUSIVE;"
                                  "UPDATE row SET sequence = 64 + 5"
                                  " WHERE sequence = 5",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(spool_open(&b->s, &b->config, &why), SOTTO_EDECODE);
    b->s = NULL;
}

static void refuses_a_newer_file_and_no_database(void **state)
{
    struct bench *b = *state;
    struct spool *s = NULL;
    struct why why;
    sqlite3 *db;
    FILE *f;
    char path[] = "/tmp/sotto-spool-XXXXXX";
    struct spool_config config = {path, MAX, 0, NULL};

    spool_close(b->s);
    assert_int_equal(
        sqlite3_open_v2("spool.db", &db, SQLITE_OPEN_READWRITE, DISK),
        SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "PRAGMA locking_mode = EXCLUSIVE;"
                                  "PRAGMA user_version = 2",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(spool_open(&b->s, &b->config, &why), SOTTO_EVERSION);
    b->s = NULL;
    f = fdopen(mkstemp(path), "w");
    assert_non_null(f);
    fprintf(f, "%01000d", 0);
    fclose(f);
    assert_int_equal(spool_open(&s, &config, &why), SOTTO_EDECODE);
    assert_non_null(strstr(why.text, path));
    unlink(path);
}

/* ---- faults ---- */

static enum sotto_err op_commit(struct bench *b)
{
    return add(b);
}

static enum sotto_err op_cursor(struct bench *b)
{
    struct spool_cursor c = {{7}, span_text("place")};
    struct spool_entry e = {.ring_mark = spool_state(b->s)->ring_mark + 1,
                            .cursors = &c,
                            .cursor_count = 1};

    return spool_commit(b->s, &e);
}

static enum sotto_err op_ring(struct bench *b)
{
    return spool_ring(b->s, 4711);
}

static enum sotto_err op_ack(struct bench *b)
{
    return spool_ack(b->s, 4, 0);
}

static enum sotto_err op_ack_evicting(struct bench *b)
{
    return spool_ack(b->s, 4, INT64_C(1) << 40);
}

static enum sotto_err op_refuse(struct bench *b)
{
    return spool_refused(b->s, 3, "undecodable", 0);
}

static enum sotto_err op_rewind(struct bench *b)
{
    uint64_t missing;

    return spool_rewind(b->s, 0, &missing);
}

static enum sotto_err op_fork(struct bench *b)
{
    const struct spool_rewrite rewrite = {rewrite_row, b};

    return spool_fork(b->s, 12345, &rewrite);
}

static enum sotto_err op_expire(struct bench *b)
{
    const struct spool_rewrite make_void = {void_row, b};
    uint64_t voided;

    return spool_expire(b->s, 4 * OLD_MS, &make_void, &voided);
}

static enum sotto_err op_date(struct bench *b)
{
    return spool_date(b->s, INT64_C(1) << 40);
}

static enum sotto_err op_policy(struct bench *b)
{
    uint8_t hash[HASH_SIZE] = {5};
    uint32_t number;

    return spool_policy_put(b->s, hash, span_text("policy"), &number);
}

static const struct operation {
    const char *name;
    enum sotto_err (*run)(struct bench *b);
} operations[] = {
    {"commit", op_commit}, {"cursor", op_cursor},      {"ring", op_ring},
    {"ack", op_ack},       {"evict", op_ack_evicting}, {"refuse", op_refuse},
    {"rewind", op_rewind}, {"fork", op_fork},          {"expire", op_expire},
    {"policy", op_policy}, {"date", op_date},
};

static void mix_policy_count(uint64_t *h, uint32_t number)
{
    *h = hash64(&number, sizeof(number), *h);
}

static enum sotto_err mix_policy(void *context, uint32_t number,
                                 struct span container)
{
    (void)container;
    mix_policy_count(context, number);
    return SOTTO_OK;
}

static void mix_cursor(void *context, const struct spool_cursor *c)
{
    uint64_t *h = context;

    *h = hash64(c->bytes.data, c->bytes.size, *h);
}

/* A number that any difference in what is kept would change. Signatures are
 * of kept rows only, so it is the same after a reopening. */
static uint64_t fingerprint(struct bench *b)
{
    const struct spool_state *t = spool_state(b->s);
    uint64_t numbers[] = {
        t->stream,        t->next_sequence, t->acked,
        t->ring,          t->ring_mark,     t->accepted,
        t->acked_events,  t->voided_events, t->refused_events,
        t->waiting_rows,  t->waiting_bytes, t->waiting_events,
        t->base.produced, t->last.produced, (uint64_t)t->time_ms,
    };
    uint64_t h = hash64(numbers, sizeof(numbers), 1), i;
    struct spool_row row;

    h = hash64(t->chain, HASH_SIZE, h);
    h = hash64(t->acked_chain, HASH_SIZE, h);
    for (i = 1; i < t->next_sequence; i++) {
        if (spool_get(b->s, i, &row, &b->out))
            continue;
        h = hash64(b->out.data, b->out.size, h + i + row.events);
        h = hash64(row.chain, HASH_SIZE, h);
    }
    assert_int_equal(spool_cursor_each(b->s, mix_cursor, &h), SOTTO_OK);
    assert_int_equal(spool_policy_each(b->s, mix_policy, &h), SOTTO_OK);
    return h;
}

/* The same without what is random in a run: streams, seals, sizes. */
static uint64_t shape(struct bench *b)
{
    const struct spool_state *t = spool_state(b->s);
    uint64_t numbers[] = {
        t->next_sequence,     t->acked,          t->ring,
        t->ring_mark,         t->accepted,       t->acked_events,
        t->voided_events,     t->refused_events, t->waiting_rows,
        t->waiting_events,    t->base.produced,  t->last.produced,
        (uint64_t)t->time_ms,
    };
    uint64_t h = hash64(numbers, sizeof(numbers), 1), i;
    struct spool_row row;

    for (i = 1; i < t->next_sequence; i++) {
        if (spool_get(b->s, i, &row, &b->out))
            continue;
        numbers[0] = i;
        numbers[1] = row.kind;
        numbers[2] = row.events;
        h = hash64(numbers, 3 * sizeof(numbers[0]), h);
    }
    assert_int_equal(spool_cursor_each(b->s, mix_cursor, &h), SOTTO_OK);
    assert_int_equal(spool_policy_each(b->s, mix_policy, &h), SOTTO_OK);
    return h;
}

static struct bench *bench_filled(void **state)
{
    struct bench *b;

    bench_setup(state);
    b = *state;
    add_rows(b, 6);
    assert_int_equal(spool_ack(b->s, 1, 0), SOTTO_OK);
    return b;
}

static uint64_t shape_when_done(const struct operation *op)
{
    void *state;
    struct bench *b = bench_filled(&state);
    uint64_t before = shape(b), done;

    assert_int_equal(op->run(b), SOTTO_OK);
    done = shape(b);
    assert_true(done != before);
    bench_teardown(&state);
    return done;
}

/* One operation with one fault, then a power cut. Returns whether the fault
 * came at all. */
static bool fault_once(const struct operation *op, enum fault fault,
                       uint64_t nth, uint64_t coin, uint64_t done)
{
    void *state;
    struct bench *b = bench_filled(&state);
    uint64_t before, after, found;
    enum sotto_err err;
    bool came;

    before = fingerprint(b);
    faultdisk_arm(b->disk, fault, nth);
    err = op->run(b);
    came = faultdisk_count(b->disk) >= nth;
    if (err)
        assert_true(came && (err == SOTTO_EIO || err == SOTTO_EFULL));
    if (fault == FAULT_FULL && err)
        assert_int_equal(err, SOTTO_EFULL);
    after = fingerprint(b); /* in the process: undone, or done */
    assert_int_equal(after == before, err != SOTTO_OK);
    if (err && fault == FAULT_ONCE) { /* and it can be done again */
        assert_int_equal(op->run(b), SOTTO_OK);
        check_rows(b);
        after = fingerprint(b);
        err = SOTTO_OK;
    }
    faultdisk_arm(b->disk, FAULT_CUT, 1);
    spool_close(b->s);
    faultdisk_power(b->disk, coin);
    bench_open(b);
    check_rows(b);
    found = fingerprint(b);
    if (!err)
        assert_int_equal(found, after); /* what was said to be durable is */
    else /* the frames of a failed commit may still have reached the disk */
        assert_true(found == before || shape(b) == done);
    bench_teardown(&state);
    return came;
}

static void every_fault_leaves_all_or_nothing(void **state)
{
    size_t i, runs = 0;
    uint64_t nth, coin, done;
    bool came;
    int fault;

    (void)state;
    for (i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        done = shape_when_done(&operations[i]);
        for (fault = FAULT_ONCE; fault <= FAULT_CUT; fault++)
            for (nth = 1, came = true; came; nth++, runs++) {
                coin = nth % 2 ? 0 : nth * 977;
                came = fault_once(&operations[i], (enum fault)fault, nth, coin,
                                  done);
                fault_once(&operations[i], (enum fault)fault, nth, ~coin, done);
            }
    }
    assert_true(runs > 100);
}

/* Opening and making the file, with a fault at each of its operations. */
static void a_fault_while_it_is_made_is_survived(void **state)
{
    struct bench *b = *state;
    struct why why;
    uint64_t nth;
    enum sotto_err err;

    for (nth = 1;; nth++) {
        spool_close(b->s);
        faultdisk_free(b->disk);
        b->disk = faultdisk_make(DISK);
        b->s = NULL;
        faultdisk_arm(b->disk, FAULT_CUT, nth);
        err = spool_open(&b->s, &b->config, &why);
        if (!err && faultdisk_count(b->disk) < nth)
            break;
        if (!err)
            spool_close(b->s);
        faultdisk_power(b->disk, nth % 2 ? nth : 0);
        bench_open(b);
        add_rows(b, 2);
        check_rows(b);
    }
    assert_true(nth > 10);
}

int main(void)
{
#define ON_BENCH(test)                                                         \
    cmocka_unit_test_setup_teardown(test, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        ON_BENCH(keeps_what_was_committed),
        ON_BENCH(a_new_ring_starts_from_the_last_total),
        ON_BENCH(refuses_what_does_not_fit),
        ON_BENCH(an_acknowledged_row_is_kept_for_a_while),
        ON_BENCH(replay_takes_a_quarter_at_most),
        ON_BENCH(a_restored_aggregator_gets_replay),
        ON_BENCH(rewinding_says_what_is_gone),
        ON_BENCH(a_refused_row_is_set_aside_and_counted_once),
        ON_BENCH(a_fork_moves_all_that_is_kept_to_a_new_stream),
        ON_BENCH(a_fork_leaves_what_is_gone),
        ON_BENCH(expires_the_oldest_waiting_batches),
        ON_BENCH(a_row_without_a_time_gets_one_when_it_is_known),
        ON_BENCH(keeps_cursors_and_numbers_policies),
        ON_BENCH(refuses_rows_with_a_gap),
        ON_BENCH(refuses_a_newer_file_and_no_database),
        cmocka_unit_test(every_fault_leaves_all_or_nothing),
        ON_BENCH(a_fault_while_it_is_made_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
