/* The shortcut of fresh batches: in order, bounded, never in the way. */
#include "aggregator/fresh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void put(struct fresh_queue *q, uint64_t number, uint32_t events)
{
    struct fresh *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    buf_init(&f->plain, 64);
    f->chunk.number = number;
    f->chunk.events = events;
    fresh_put(q, f);
}

static void assert_next(struct fresh_queue *q, uint64_t number)
{
    struct fresh *f = fresh_take(q, number - 1);

    assert_non_null(f);
    assert_int_equal(f->chunk.number, number);
    fresh_free(f);
}

static void gives_the_next_chunk_and_no_other(void **state)
{
    struct fresh_queue q;

    (void)state;
    fresh_init(&q);
    assert_null(fresh_take(&q, 0));
    put(&q, 3, 1);
    put(&q, 4, 1);
    assert_null(fresh_take(&q, 0));
    assert_null(fresh_take(&q, 1));
    assert_next(&q, 3);
    assert_next(&q, 4);
    assert_null(fresh_take(&q, 4));
    put(&q, 5, 1);
    assert_next(&q, 5);
    fresh_fini(&q);
}

static void gives_up_what_is_folded_already(void **state)
{
    struct fresh_queue q;

    (void)state;
    fresh_init(&q);
    for (uint64_t n = 1; n <= 4; n++)
        put(&q, n, 1);
    assert_next(&q, 4);
    assert_int_equal(q.events, 0);
    for (uint64_t n = 5; n <= 6; n++)
        put(&q, n, 1);
    assert_null(fresh_take(&q, 9));
    assert_int_equal(q.events, 0);
    put(&q, 10, 1);
    fresh_fini(&q); /* with one in it */
}

static void keeps_no_more_than_it_has_room_for(void **state)
{
    struct fresh_queue q;

    (void)state;
    fresh_init(&q);
    put(&q, 1, FRESH_EVENTS_MAX - 10);
    put(&q, 2, 11);
    put(&q, 3, 10);
    assert_int_equal(q.events, FRESH_EVENTS_MAX);
    assert_next(&q, 1);
    assert_null(fresh_take(&q, 1)); /* the log has it */
    assert_next(&q, 3);
    fresh_fini(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_next_chunk_and_no_other),
        cmocka_unit_test(gives_up_what_is_folded_already),
        cmocka_unit_test(keeps_no_more_than_it_has_room_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
