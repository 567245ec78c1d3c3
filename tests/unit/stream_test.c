/* Tests of delivery/stream: one rule each. The whole conversation with the
 * other side is in watermark_test.c. */
#include "delivery/stream.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/when.h"
#include "wire/message.h"

#define ID 77

static struct stream_reply reply_of(uint32_t verdict, uint64_t sequence,
                                    uint64_t watermark)
{
    struct stream_reply r = {verdict, ID, sequence, watermark, 5000};

    return r;
}

static void offers_a_window_in_order(void **state)
{
    struct stream s;
    uint64_t i;

    (void)state;
    stream_init(&s, ID, 10, 100, 8);
    for (i = 11; i <= 18; i++)
        assert_int_equal(stream_next(&s, 0), i);
    assert_int_equal(stream_next(&s, 0), 0);
    assert_int_equal(stream_wake_ms(&s), INT64_MAX);
    assert_false(stream_idle(&s));
}

static void offers_nothing_beyond_what_exists(void **state)
{
    struct stream s;

    (void)state;
    stream_init(&s, ID, 0, 1, 4);
    assert_true(stream_idle(&s));
    assert_int_equal(stream_next(&s, 0), 0);
    stream_added(&s, 2);
    assert_false(stream_idle(&s));
    assert_int_equal(stream_next(&s, 0), 1);
    assert_int_equal(stream_next(&s, 0), 0);
}

static void an_acknowledgement_moves_the_mark(void **state)
{
    struct stream_reply r = reply_of(VERDICT_ACK, 2, 2);
    struct stream s;

    (void)state;
    stream_init(&s, ID, 0, 3, 4);
    stream_next(&s, 0);
    stream_next(&s, 0);
    assert_int_equal(stream_replied(&s, 2, &r, 0), STREAM_ACK);
    assert_int_equal(s.acked, 2);
    r = reply_of(VERDICT_ACK, 1, 1); /* overtaken: older news */
    assert_int_equal(stream_replied(&s, 1, &r, 0), STREAM_NOTHING);
    assert_int_equal(s.acked, 2);
    assert_true(stream_idle(&s));
}

static void a_lost_request_is_offered_again_after_its_backoff(void **state)
{
    struct stream s;

    (void)state;
    stream_init(&s, ID, 0, 9, 4);
    assert_int_equal(stream_next(&s, 0), 1);
    stream_failed(&s, 1, 1000, 500);
    assert_int_equal(stream_wake_ms(&s), 1500);
    stream_added(&s, 10); /* new events do not shorten it */
    assert_int_equal(stream_next(&s, 1499), 0);
    assert_int_equal(stream_next(&s, 1500), 1);
    assert_int_equal(stream_next(&s, 1500), 0); /* a probe goes alone */
}

static void a_retry_waits_and_acknowledges_nothing(void **state)
{
    struct stream_reply r = reply_of(VERDICT_RETRY, 4, 2);
    struct stream s;

    (void)state;
    stream_init(&s, ID, 0, 5, 4);
    while (stream_next(&s, 0))
        ;
    assert_int_equal(stream_replied(&s, 4, &r, 1000), STREAM_NOTHING);
    assert_int_equal(s.acked, 0); /* whose 1 and 2? their answers tell */
    assert_int_equal(stream_next(&s, 5999), 0);
    assert_int_equal(stream_next(&s, 6000), 4); /* 1 to 3 are in flight */
}

static void tells_a_fork_and_a_refusal(void **state)
{
    struct stream_reply r = reply_of(VERDICT_FORK, 3, 1);
    struct stream s;

    (void)state;
    stream_init(&s, ID, 2, 5, 4);
    assert_int_equal(stream_next(&s, 0), 3);
    assert_int_equal(stream_replied(&s, 3, &r, 0), STREAM_FORK);
    assert_int_equal(stream_next(&s, 0), 4);
    r = reply_of(VERDICT_REFUSED, 4, 4);
    assert_int_equal(stream_replied(&s, 4, &r, 0), STREAM_REFUSED);
    assert_int_equal(s.acked, 4);
}

static void a_refusal_that_was_not_committed_waits(void **state)
{
    struct stream_reply r = reply_of(VERDICT_REFUSED, 1, 0);
    struct stream s;

    (void)state;
    stream_init(&s, ID, 0, 5, 4);
    assert_int_equal(stream_next(&s, 0), 1);
    assert_int_equal(stream_replied(&s, 1, &r, 0), STREAM_NOTHING);
    assert_int_equal(s.acked, 0);
    assert_int_equal(stream_next(&s, 4999), 0);
    assert_int_equal(stream_next(&s, 5000), 1);
}

static void an_aggregator_behind_our_mark_means_rewind(void **state)
{
    struct stream_reply r = reply_of(VERDICT_RETRY, 11, 4);
    struct stream s;

    (void)state;
    stream_init(&s, ID, 10, 12, 4);
    assert_int_equal(stream_next(&s, 0), 11);
    assert_int_equal(stream_replied(&s, 11, &r, 0), STREAM_REWIND);
}

static void a_restored_agent_is_told_what_was_common(void **state)
{
    struct stream_reply r = reply_of(VERDICT_ACK, 1, 9);
    struct stream s;

    (void)state;
    stream_init(&s, ID, 0, 3, 4); /* 1 and 2 wait; they had up to 9 of us */
    assert_int_equal(stream_next(&s, 0), 1);
    assert_int_equal(stream_next(&s, 0), 2);
    stream_added(&s, 4);
    assert_int_equal(stream_next(&s, 0), 3);
    r = reply_of(VERDICT_FORK, 3, 2); /* overtakes the others */
    assert_int_equal(stream_replied(&s, 3, &r, 0), STREAM_NOTHING);
    r = reply_of(VERDICT_ACK, 2, 3); /* they have a 3, which is not ours */
    assert_int_equal(stream_replied(&s, 2, &r, 0), STREAM_ACK);
    assert_int_equal(s.acked, 2);
    r = reply_of(VERDICT_ACK, 1, 9);
    assert_int_equal(stream_replied(&s, 1, &r, 0), STREAM_NOTHING);
    assert_int_equal(stream_next(&s, stream_wake_ms(&s)), 3);
    r = reply_of(VERDICT_FORK, 3, 2);
    assert_int_equal(stream_replied(&s, 3, &r, 0), STREAM_FORK);
    assert_int_equal(s.acked, 2);
}

static void ignores_what_is_not_ours(void **state)
{
    struct stream_reply replies[2];
    struct stream s;
    size_t i;

    (void)state;
    replies[0] = reply_of(VERDICT_ACK, 1, 1);
    replies[0].stream = ID + 1;
    replies[1] = reply_of(VERDICT_ACK, 2, 2); /* another request's */
    for (i = 0; i < 2; i++) {
        stream_init(&s, ID, 0, 9, 4);
        assert_int_equal(stream_next(&s, 0), 1);
        assert_int_equal(stream_replied(&s, 1, &replies[i], 0), STREAM_NOTHING);
        assert_int_equal(s.acked, 0);
        assert_int_equal(stream_next(&s, 0), 0); /* and does not spin */
        assert_int_equal(stream_next(&s, stream_wake_ms(&s)), 1);
    }
    stream_init(&s, ID, 0, 9, 4);
    replies[1] = reply_of(VERDICT_ACK, 1, 1);
    assert_int_equal(stream_replied(&s, 1, &replies[1], 0), STREAM_NOTHING);
    assert_int_equal(s.acked, 0); /* it was never sent */
}

/* A wait from outside is a number like any other. */
static void bounds_a_wait(void **state)
{
    struct stream_reply r = reply_of(VERDICT_RETRY, 1, 0);
    struct stream s;

    (void)state;
    r.wait_ms = INT64_MAX;
    stream_init(&s, ID, 0, 9, 4);
    stream_next(&s, 0);
    stream_replied(&s, 1, &r, 0);
    assert_in_range(stream_wake_ms(&s), 1, DAY_MS);
    r.wait_ms = INT64_MIN;
    stream_init(&s, ID, 0, 9, 4);
    stream_next(&s, 0);
    stream_replied(&s, 1, &r, 0);
    assert_in_range(stream_wake_ms(&s), 1, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offers_a_window_in_order),
        cmocka_unit_test(offers_nothing_beyond_what_exists),
        cmocka_unit_test(an_acknowledgement_moves_the_mark),
        cmocka_unit_test(a_lost_request_is_offered_again_after_its_backoff),
        cmocka_unit_test(a_retry_waits_and_acknowledges_nothing),
        cmocka_unit_test(tells_a_fork_and_a_refusal),
        cmocka_unit_test(a_refusal_that_was_not_committed_waits),
        cmocka_unit_test(an_aggregator_behind_our_mark_means_rewind),
        cmocka_unit_test(a_restored_agent_is_told_what_was_common),
        cmocka_unit_test(ignores_what_is_not_ours),
        cmocka_unit_test(bounds_a_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
