/* The batcher with a real ring, spool and policies: when a batch closes, what
 * is committed with it, and that nothing is lost or doubled on the way. */
#include "agent/batcher.h"

#include <setjmp.h>
#include <stdarg.h>

#include <unistd.h>

#include <cmocka.h>

#include "../support/parts.h"
#include "../support/sample_policy.h"
#include "agent/cursor.h"

#define ROOMY (64 * 1024 * 1024)
#define HOUR_MS (3600 * 1000)

static struct parts *make(int64_t spool_bytes)
{
    static struct parts p;

    parts_make(&p, "tcp://127.0.0.1:1", spool_bytes);
    p.settings.batch_age_ms = HOUR_MS;
    parts_batcher(&p);
    return &p;
}

static void track(struct parts *p, unsigned from, unsigned count)
{
    for (unsigned i = from; i < from + count; i++)
        assert_int_equal(parts_track(p, i), DROP_NOT);
}

static uint32_t turn(struct parts *p, bool flush)
{
    uint32_t committed;

    assert_int_equal(batcher_turn(p->batcher, flush, &committed), SOTTO_OK);
    return committed;
}

static void assert_batch(struct parts *p, uint64_t sequence, unsigned first,
                         uint32_t count)
{
    struct parts_opened o;

    parts_spooled(p, sequence, &o);
    assert_int_equal(o.e.kind, KIND_BATCH);
    assert_int_equal(o.e.sequence, sequence);
    assert_int_equal(o.events, count);
    assert_true(o.in_order);
    if (count > 0)
        assert_int_equal(o.first, first);
}

static void closes_by_count(void **state)
{
    struct parts *p = make(ROOMY);
    struct counters c;

    (void)state;
    batcher_close(p->batcher);
    p->settings.batch_events = 3;
    parts_batcher(p);
    track(p, 0, 7);
    assert_int_equal(turn(p, false), 2);
    assert_int_equal(spool_state(p->spool)->waiting_events, 6);
    assert_false(batcher_idle(p->batcher));
    batcher_counters(p->batcher, &c);
    assert_int_equal(c.accepted, 7);
    assert_int_equal(turn(p, true), 1);
    assert_batch(p, 1, 0, 3);
    assert_batch(p, 2, 3, 3);
    assert_batch(p, 3, 6, 1);
    assert_true(batcher_idle(p->batcher));
    assert_int_equal(batcher_mark(p->batcher), journal_head(p->journal));
    parts_free(p);
}

static void closes_by_bytes_and_loses_nothing(void **state)
{
    struct parts *p = make(ROOMY);
    struct parts_opened o;
    unsigned next = 0;

    (void)state;
    batcher_close(p->batcher);
    p->settings.batch_bytes = 16 * 1024;
    parts_batcher(p);
    track(p, 0, 1500);
    assert_true(turn(p, false) >= 2);
    turn(p, true);
    for (uint64_t s = 1; s < spool_state(p->spool)->next_sequence; s++) {
        parts_spooled(p, s, &o);
        assert_true(o.in_order);
        assert_int_equal(o.first, next);
        next = o.last + 1;
    }
    assert_int_equal(next, 1500);
    parts_free(p);
}

static void closes_by_age(void **state)
{
    struct parts *p = make(ROOMY);
    int64_t until = clock_mono_ms(&clock_system) + 5000;

    (void)state;
    track(p, 0, 2);
    assert_int_equal(turn(p, false), 0);
    p->settings.batch_age_ms = 2;
    while (turn(p, false) == 0)
        assert_true(clock_mono_ms(&clock_system) < until);
    assert_batch(p, 1, 0, 2);
    assert_int_equal(turn(p, false), 0);
    parts_free(p);
}

static void closes_when_the_policy_changes(void **state)
{
    struct parts *p = make(ROOMY);
    const struct policy *second;
    struct parts_opened o;
    uint32_t number;
    struct buf container;
    struct why why;

    (void)state;
    track(p, 0, 2);
    parts_policy(p, &container, 2, NULL);
    assert_int_equal(policyset_add(&p->policies,
                                   span_of(container.data, container.size),
                                   &why),
                     SOTTO_OK);
    second = policyset_current(&p->policies, &number);
    assert_int_equal(take_policy(&p->take, second, number), SOTTO_OK);
    track(p, 2, 3);
    assert_int_equal(turn(p, false), 1);
    assert_int_equal(turn(p, true), 1);
    assert_batch(p, 1, 0, 2);
    assert_batch(p, 2, 2, 3);
    parts_spooled(p, 1, &o);
    assert_memory_equal(o.e.policy, p->fixture.policy->hash, HASH_SIZE);
    parts_spooled(p, 2, &o);
    assert_memory_equal(o.e.policy, second->hash, HASH_SIZE);
    buf_fini(&container);
    parts_free(p);
}

static void a_flush_of_nothing_commits_nothing(void **state)
{
    struct parts *p = make(ROOMY);

    (void)state;
    assert_int_equal(turn(p, true), 0);
    assert_int_equal(spool_state(p->spool)->next_sequence, 1);
    assert_true(batcher_idle(p->batcher));
    parts_free(p);
}

static void a_full_spool_holds_the_batch_as_it_was_sealed(void **state)
{
    struct parts *p = make(4096);
    uint32_t committed;
    unsigned next = 0;
    enum sotto_err err;
    uint64_t held;

    (void)state;
    do {
        track(p, next, 2);
        next += 2;
        err = batcher_turn(p->batcher, true, &committed);
    } while (!err);
    assert_int_equal(err, SOTTO_EFULL);
    held = spool_state(p->spool)->next_sequence;
    track(p, next, 1); /* later than the seal */
    assert_int_equal(batcher_turn(p->batcher, true, &committed), SOTTO_EFULL);
    assert_false(batcher_idle(p->batcher));
    assert_int_equal(spool_ack(p->spool, held - 1, 1000), SOTTO_OK);
    assert_int_equal(turn(p, false), 1); /* the owner kicks the link by this */
    assert_int_equal(turn(p, true), 1);
    assert_batch(p, held, next - 2, 2);
    assert_batch(p, held + 1, next, 1);
    parts_free(p);
}

static enum sotto_err rewrite(void *context, struct buf *out,
                              struct span envelope, uint64_t stream,
                              uint64_t sequence, uint8_t chain[HASH_SIZE])
{
    struct parts *p = context;

    return envelope_rewrite(out, envelope, stream, sequence, chain,
                            p->home->keys);
}

/* The link opens another stream while a sealed envelope waits for room. */
static void moves_with_the_stream(void **state)
{
    struct parts *p = make(4096);
    const struct spool_rewrite moved = {rewrite, p};
    struct parts_opened o;
    uint32_t committed;
    unsigned next = 0;
    uint8_t before[HASH_SIZE], who[16] = {7};

    (void)state;
    do {
        track(p, next++, 1);
    } while (!batcher_turn(p->batcher, true, &committed));
    assert_int_equal(spool_fork(p->spool, 4711, &moved), SOTTO_OK);
    assert_int_equal(
        spool_ack(p->spool, spool_state(p->spool)->next_sequence - 1, 1000),
        SOTTO_OK);
    memcpy(before, spool_state(p->spool)->chain, HASH_SIZE);
    assert_int_equal(turn(p, false), 1);
    assert_batch(p, next, next - 1, 1);
    parts_spooled(p, next, &o);
    assert_int_equal(o.e.stream, 4711);
    /* The same of a withdrawal, which no open batch stands behind. */
    for (;;) {
        track(p, next, 1);
        if (batcher_turn(p->batcher, true, &committed))
            break;
        next++;
    }
    assert_int_equal(
        spool_ack(p->spool, spool_state(p->spool)->next_sequence - 1, 1000),
        SOTTO_OK);
    turn(p, true);
    for (;;) {
        if (journal_append(p->journal, JOURNAL_FORGET, 1, span_of(who, 16),
                           span_of(NULL, 0)))
            fail();
        if (batcher_turn(p->batcher, true, &committed))
            break;
    }
    assert_int_equal(spool_fork(p->spool, 4712, &moved), SOTTO_OK);
    assert_int_equal(
        spool_ack(p->spool, spool_state(p->spool)->next_sequence - 1, 1000),
        SOTTO_OK);
    assert_int_equal(turn(p, false), 1);
    parts_spooled(p, spool_state(p->spool)->next_sequence - 1, &o);
    assert_int_equal(o.e.kind, KIND_FORGET);
    assert_int_equal(o.e.stream, 4712);
    assert_memory_equal(o.forgotten, who, 16);
    parts_free(p);
}

static struct import_cursor cursor_at(uint64_t row, uint64_t refused)
{
    struct import_cursor c = {.row = row, .reason_count = 1};

    memset(c.source, 5, sizeof c.source);
    memset(c.running, 6, sizeof c.running);
    strcpy(c.reasons[0].name, "bad_row");
    c.reasons[0].count = refused;
    return c;
}

static void cursors_are_committed_with_their_events(void **state)
{
    struct parts *p = make(ROOMY);
    struct import_cursor c = cursor_at(10, 4), back;
    struct parts_opened o;
    struct parts_row row;
    struct buf bytes;

    (void)state;
    buf_init(&bytes, 4096);
    assert_int_equal(take_import(&p->take, NULL, parts_row(&row, 0), 0, &c),
                     DROP_NOT);
    turn(p, false);
    assert_int_equal(spool_cursor_get(p->spool, c.source, &bytes),
                     SOTTO_ENOTFOUND);
    assert_int_equal(turn(p, true), 1);
    assert_int_equal(spool_cursor_get(p->spool, c.source, &bytes), SOTTO_OK);
    assert_int_equal(cursor_decode(&back, span_of(bytes.data, bytes.size)),
                     SOTTO_OK);
    assert_memory_equal(&back, &c, sizeof c);
    assert_batch(p, 1, 0, 1);
    /* Refused rows alone travel in a batch of no events. */
    c = cursor_at(20, 14);
    assert_int_equal(take_import(&p->take, NULL, NULL, 0, &c), DROP_NOT);
    assert_int_equal(turn(p, true), 1);
    parts_spooled(p, 2, &o);
    assert_int_equal(o.events, 0);
    assert_int_equal(o.counters.produced, 15);
    assert_int_equal(o.counters.accepted, 1);
    assert_string_equal(o.counters.drops[0].name, "bad_row");
    assert_int_equal(o.counters.drops[0].count, 14);
    buf_fini(&bytes);
    parts_free(p);
}

/* Every day another file; all of them count, and each can be resumed. */
static void a_hundred_imports_are_remembered(void **state)
{
    struct parts *p = make(ROOMY);
    struct counters c;
    struct buf bytes;

    (void)state;
    buf_init(&bytes, 4096);
    for (unsigned i = 0; i < 100; i++) {
        struct import_cursor at = cursor_at(i, 1);
        struct parts_row row;

        at.source[0] = (uint8_t)i;
        at.done = 1;
        assert_int_equal(
            take_import(&p->take, NULL, parts_row(&row, i), 0, &at), DROP_NOT);
        turn(p, true);
        assert_int_equal(spool_cursor_get(p->spool, at.source, &bytes),
                         SOTTO_OK);
    }
    assert_int_equal(batcher_corrupt(p->batcher), 0);
    for (int again = 0; again < 2; again++) {
        batcher_counters(p->batcher, &c);
        assert_int_equal(c.accepted, 100);
        assert_int_equal(c.produced, 200);
        batcher_close(p->batcher);
        parts_batcher(p);
    }
    buf_fini(&bytes);
    parts_free(p);
}

static void a_withdrawal_stands_where_it_happened(void **state)
{
    struct parts *p = make(ROOMY);
    struct parts_opened o;
    uint8_t who[16];

    (void)state;
    memset(who, 9, sizeof who);
    track(p, 0, 2);
    assert_int_equal(journal_append(p->journal, JOURNAL_FORGET, 1,
                                    span_of(who, 16), span_of(NULL, 0)),
                     SOTTO_OK);
    track(p, 2, 1);
    assert_int_equal(turn(p, false), 2);
    assert_int_equal(turn(p, true), 1);
    assert_batch(p, 1, 0, 2);
    parts_spooled(p, 2, &o);
    assert_int_equal(o.e.kind, KIND_FORGET);
    assert_memory_equal(o.forgotten, who, 16);
    assert_batch(p, 3, 2, 1);
    assert_int_equal(spool_state(p->spool)->waiting_events, 3);
    parts_free(p);
}

static void reopen(struct parts *p)
{
    parts_close(p);
    parts_open(p);
    parts_batcher(p);
}

/* Anything may happen between two turns, but every event taken is in exactly
 * one batch, in order, and the counters balance and never shrink. */
static void nothing_is_lost_or_doubled(void **state)
{
    uint64_t rng = 20261122, refused = 0, dropped = 0, produced = 0;
    struct parts *p = make(ROOMY);
    unsigned taken = 0, next = 0;
    struct parts_opened o;
    struct counters c;

    (void)state;
    p->settings.batch_events = 7;
    reopen(p);
    for (int step = 0; step < 400; step++) {
        struct import_cursor at = cursor_at(taken + refused, refused + 1);
        struct parts_row row;

        switch (sample_below(&rng, 8)) {
        case 0:
            turn(p, true);
            break;
        case 1:
            turn(p, false);
            break;
        case 2:
            reopen(p);
            break;
        case 3:
            take_drop(&p->take, DROP_NO_CONSENT);
            dropped++;
            break;
        case 4:
            assert_int_equal(
                take_import(&p->take, NULL, parts_row(&row, taken++), 0, &at),
                DROP_NOT);
            refused++;
            break;
        case 5:
            if (sample_below(&rng, 8) == 0) { /* the machine started again */
                turn(p, true);
                parts_close(p);
                assert_int_equal(unlink(p->ring_path), 0);
                parts_open(p);
                parts_batcher(p);
                dropped = 0; /* what no commit had seen is gone with it */
                batcher_counters(p->batcher, &c);
                dropped = c.produced - c.accepted - refused;
            }
            break;
        default:
            track(p, taken++, 1);
            break;
        }
        turn(p, false);
        batcher_counters(p->batcher, &c);
        assert_int_equal(c.accepted, taken);
        assert_int_equal(c.produced, taken + refused + dropped);
        assert_true(c.produced >= produced || step == 0 ||
                    journal_used(p->journal) == 0);
        produced = c.produced;
    }
    turn(p, true);
    for (uint64_t s = 1; s < spool_state(p->spool)->next_sequence; s++) {
        parts_spooled(p, s, &o);
        assert_int_equal(o.counters.produced,
                         o.counters.accepted + counters_dropped(&o.counters));
        if (o.events == 0)
            continue;
        assert_true(o.in_order);
        assert_int_equal(o.first, next);
        next = o.last + 1;
        assert_int_equal(o.counters.accepted, next);
    }
    assert_int_equal(next, taken);
    parts_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closes_by_count),
        cmocka_unit_test(closes_by_bytes_and_loses_nothing),
        cmocka_unit_test(closes_by_age),
        cmocka_unit_test(closes_when_the_policy_changes),
        cmocka_unit_test(a_flush_of_nothing_commits_nothing),
        cmocka_unit_test(a_full_spool_holds_the_batch_as_it_was_sealed),
        cmocka_unit_test(moves_with_the_stream),
        cmocka_unit_test(cursors_are_committed_with_their_events),
        cmocka_unit_test(a_hundred_imports_are_remembered),
        cmocka_unit_test(a_withdrawal_stands_where_it_happened),
        cmocka_unit_test(nothing_is_lost_or_doubled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
