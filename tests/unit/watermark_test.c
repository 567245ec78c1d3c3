/* Tests of delivery/watermark: each verdict, then both sides of a delivery
 * over a network that loses, doubles and reorders, with deaths of either side
 * and an aggregator restored from an old copy. */
#include "delivery/watermark.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/dict.h"
#include "delivery/stream.h"
#include "wire/message.h"

/* The chain after a sequence; branch tells two histories apart. */
static void chain_of(uint8_t out[32], uint64_t sequence, uint64_t branch)
{
    uint64_t h = hash64(&sequence, sizeof(sequence), branch);

    memset(out, 0, 32);
    memcpy(out, &h, sizeof(h));
}

static enum watermark_verdict verdict(const struct watermark *w,
                                      uint64_t sequence, uint64_t branch)
{
    uint8_t chain[32], ours[32];

    chain_of(chain, sequence, branch);
    chain_of(ours, sequence, 0);
    return watermark_decide(w, sequence, chain, ours, ours);
}

static void tells_next_duplicate_early_gap_and_fork(void **state)
{
    struct watermark w = {.stream = 1, .upto = 10, .committed = 9};
    uint8_t chain[32];

    (void)state;
    assert_int_equal(verdict(&w, 11, 0), WATERMARK_NEXT);
    assert_int_equal(verdict(&w, 11, 1), WATERMARK_FORK);
    assert_int_equal(verdict(&w, 10, 0), WATERMARK_DUPLICATE);
    assert_int_equal(verdict(&w, 1, 0), WATERMARK_DUPLICATE);
    assert_int_equal(verdict(&w, 10, 1), WATERMARK_FORK);
    assert_int_equal(verdict(&w, 12, 1), WATERMARK_EARLY_HOLD);
    assert_int_equal(verdict(&w, 18, 0), WATERMARK_EARLY_HOLD);
    assert_int_equal(verdict(&w, 19, 0), WATERMARK_GAP);
    assert_int_equal(verdict(&w, UINT64_MAX, 0), WATERMARK_GAP);
    assert_int_equal(verdict(&w, 0, 0), WATERMARK_GAP);
    chain_of(chain, 3, 1); /* forgotten counts as the same */
    assert_int_equal(watermark_decide(&w, 3, chain, NULL, NULL),
                     WATERMARK_DUPLICATE);
}

static void a_failed_commit_forgets_what_was_taken(void **state)
{
    struct watermark w = {.stream = 1};
    uint8_t chain[32], before[32];

    (void)state;
    chain_of(chain, 1, 0);
    watermark_take(&w, 1, chain);
    w.committed = 1;
    memcpy(before, chain, 32);
    chain_of(chain, 2, 0);
    watermark_take(&w, 2, chain);
    assert_int_equal(verdict(&w, 2, 0), WATERMARK_DUPLICATE);
    watermark_rollback(&w, before);
    assert_int_equal(w.upto, 1);
    assert_memory_equal(w.chain, before, 32);
    assert_int_equal(verdict(&w, 2, 0), WATERMARK_NEXT);
}

/* ---- both sides ---- */

#define ROWS_MAX 400
#define NET_MAX 256

struct packet {
    bool reply;
    uint64_t sequence; /* of the request */
    uint64_t nonce;    /* of this attempt; echoed */
    uint64_t watermark;
    uint32_t verdict;
};

struct world {
    uint64_t seed, now_ms;
    bool faults;
    struct packet net[NET_MAX];
    size_t net_count;

    struct stream stream; /* the agent; the next two are durable */
    uint64_t made, acked;
    uint64_t asked[STREAM_WINDOW_MAX]; /* requests that will time out */
    uint64_t deadline[STREAM_WINDOW_MAX];
    uint64_t nonce[STREAM_WINDOW_MAX], nonces;

    struct watermark mark; /* the aggregator; committed is durable */
    bool held[ROWS_MAX + 1];
    uint64_t held_ms[ROWS_MAX + 1]; /* since when */
    bool waiting[ROWS_MAX + 1];     /* a reply is owed */
    uint64_t owed[ROWS_MAX + 1];    /* to this attempt */
    uint64_t copy;                  /* committed when the backup was made */
    uint64_t rewinds;
    uint32_t taken[ROWS_MAX + 1]; /* how often in the durable log */
};

static uint64_t roll(struct world *w, uint64_t below)
{
    w->seed ^= w->seed >> 12;
    w->seed ^= w->seed << 25;
    w->seed ^= w->seed >> 27;
    return w->seed * UINT64_C(0x2545f4914f6cdd1d) % below;
}

static void net_send(struct world *w, struct packet p)
{
    uint64_t copies = 1;

    if (w->faults && roll(w, 6) == 0)
        copies = roll(w, 2) * 2; /* lost or doubled */
    while (copies-- && w->net_count < NET_MAX)
        w->net[w->net_count++] = p;
}

static void agent_start(struct world *w)
{
    stream_init(&w->stream, 1, w->acked, w->made + 1, 8);
    memset(w->asked, 0, sizeof(w->asked));
}

static void agent_turn(struct world *w)
{
    uint64_t sequence;
    size_t i;

    for (i = 0; i < STREAM_WINDOW_MAX; i++) {
        if (w->asked[i] && w->deadline[i] <= w->now_ms) {
            stream_failed(&w->stream, w->asked[i], (int64_t)w->now_ms,
                          (int64_t)roll(w, 500));
            w->asked[i] = 0;
        }
        if (w->asked[i])
            continue;
        sequence = stream_next(&w->stream, (int64_t)w->now_ms);
        if (!sequence)
            continue;
        assert_true(sequence > w->acked && sequence <= w->made);
        assert_true(sequence <= w->acked + WATERMARK_EARLY);
        w->asked[i] = sequence;
        w->deadline[i] = w->now_ms + 3000;
        w->nonce[i] = ++w->nonces;
        net_send(w, (struct packet){false, sequence, w->nonces, 0, 0});
    }
}

static void agent_replied(struct world *w, const struct packet *p)
{
    struct stream_reply r = {p->verdict, 1, p->sequence, p->watermark, 200};
    size_t i;

    for (i = 0;
         i < STREAM_WINDOW_MAX && !(w->asked[i] && w->nonce[i] == p->nonce);
         i++)
        ;
    if (i == STREAM_WINDOW_MAX)
        return; /* its request is over: the link drops it */
    w->asked[i] = 0;
    switch (stream_replied(&w->stream, p->sequence, &r, (int64_t)w->now_ms)) {
    case STREAM_ACK:
        assert_true(w->stream.acked > w->acked);
        w->acked = w->stream.acked;
        break;
    case STREAM_REWIND:
        assert_true(p->watermark < w->acked);
        w->acked = p->watermark;
        w->rewinds++;
        agent_start(w);
        break;
    case STREAM_NOTHING:
        break;
    default:
        fail_msg("no fork and no refusal here");
    }
}

static void aggregator_take(struct world *w, uint64_t sequence)
{
    uint8_t chain[32];

    chain_of(chain, sequence, 0);
    watermark_take(&w->mark, sequence, chain);
}

static void aggregator_asked(struct world *w, uint64_t sequence, uint64_t nonce)
{
    w->owed[sequence] = nonce;
    switch (verdict(&w->mark, sequence, 0)) {
    case WATERMARK_NEXT:
        aggregator_take(w, sequence);
        while (w->mark.upto < ROWS_MAX && w->held[w->mark.upto + 1]) {
            w->held[w->mark.upto + 1] = false;
            aggregator_take(w, w->mark.upto + 1);
        }
        w->waiting[sequence] = true;
        break;
    case WATERMARK_EARLY_HOLD:
        w->held[sequence] = w->waiting[sequence] = true;
        w->held_ms[sequence] = w->now_ms;
        break;
    case WATERMARK_DUPLICATE:
        w->waiting[sequence] = true;
        break;
    case WATERMARK_GAP:
        net_send(w, (struct packet){true, sequence, w->owed[sequence],
                                    w->mark.committed, VERDICT_RETRY});
        break;
    default:
        fail_msg("one history cannot fork");
    }
}

static void aggregator_commit(struct world *w)
{
    uint64_t sequence;

    while (w->mark.committed < w->mark.upto)
        w->taken[++w->mark.committed]++;
    for (sequence = 1; sequence <= w->mark.committed; sequence++) {
        if (!w->waiting[sequence])
            continue;
        w->waiting[sequence] = false;
        net_send(w, (struct packet){true, sequence, w->owed[sequence],
                                    w->mark.committed, VERDICT_ACK});
    }
}

static void aggregator_let_go(struct world *w)
{
    uint64_t sequence;

    for (sequence = 1; sequence <= ROWS_MAX; sequence++) {
        if (!w->held[sequence] ||
            w->now_ms - w->held_ms[sequence] < WATERMARK_HOLD_MS)
            continue;
        w->held[sequence] = w->waiting[sequence] = false;
        net_send(w, (struct packet){true, sequence, w->owed[sequence],
                                    w->mark.committed, VERDICT_RETRY});
    }
}

static void aggregator_start(struct world *w)
{
    uint8_t chain[32];

    chain_of(chain, w->mark.committed, 0);
    watermark_rollback(&w->mark, chain);
    memset(w->held, 0, sizeof(w->held));
    memset(w->waiting, 0, sizeof(w->waiting));
}

/* Back to an older copy: connections break, so no old reply arrives later. */
static void aggregator_restore(struct world *w)
{
    while (w->mark.committed > w->copy)
        w->taken[w->mark.committed--]--;
    aggregator_start(w);
    w->net_count = 0;
}

static void net_deliver(struct world *w)
{
    size_t at = w->faults ? roll(w, w->net_count) : 0;
    struct packet p = w->net[at];

    memmove(&w->net[at], &w->net[at + 1],
            (--w->net_count - at) * sizeof(w->net[0]));
    if (p.reply)
        agent_replied(w, &p);
    else
        aggregator_asked(w, p.sequence, p.nonce);
}

static void check(const struct world *w, bool restores)
{
    uint64_t sequence;

    if (!restores)
        assert_true(w->acked <= w->mark.committed);
    assert_true(w->mark.committed <= w->mark.upto);
    assert_true(w->mark.upto <= w->made);
    for (sequence = 1; sequence <= w->made; sequence++)
        assert_int_equal(w->taken[sequence], sequence <= w->mark.committed);
}

static void step(struct world *w, bool restores)
{
    w->now_ms += roll(w, 40);
    if (w->faults) {
        if (w->made < ROWS_MAX - 1 && roll(w, 4) == 0)
            stream_added(&w->stream, ++w->made + 1);
        if (roll(w, 150) == 0)
            agent_start(w);
        if (roll(w, 150) == 0)
            aggregator_start(w);
        if (restores && roll(w, 300) == 0)
            w->copy = w->mark.committed;
        if (restores && roll(w, 300) == 0)
            aggregator_restore(w);
    }
    agent_turn(w);
    if (w->net_count)
        net_deliver(w);
    if (roll(w, 5) == 0)
        aggregator_commit(w);
    aggregator_let_go(w);
    check(w, restores);
}

/* One run: faults, then peace, in which everything must arrive. A restore that
 * no request has noticed yet is told by the next envelope, so one is made. */
static uint64_t run(uint64_t seed, bool restores)
{
    struct world w = {.seed = seed, .faults = true, .mark = {.stream = 1}};
    int i;

    agent_start(&w);
    aggregator_start(&w);
    for (i = 0; i < 2000; i++)
        step(&w, restores);
    w.faults = false;
    stream_added(&w.stream, ++w.made + 1);
    for (i = 0; w.acked < w.made && i < 50000; i++)
        step(&w, restores);
    assert_int_equal(w.acked, w.made);
    assert_int_equal(w.mark.committed, w.made);
    assert_true(w.made > 100);
    return w.rewinds;
}

static void everything_is_taken_once_in_order(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 100; seed++)
        assert_int_equal(run(seed * 7919, false), 0);
}

static void a_restored_aggregator_is_replayed_to(void **state)
{
    uint64_t seed, rewinds = 0;

    (void)state;
    for (seed = 1; seed <= 100; seed++)
        rewinds += run(seed * 104729, true);
    assert_true(rewinds > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_next_duplicate_early_gap_and_fork),
        cmocka_unit_test(a_failed_commit_forgets_what_was_taken),
        cmocka_unit_test(everything_is_taken_once_in_order),
        cmocka_unit_test(a_restored_aggregator_is_replayed_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
