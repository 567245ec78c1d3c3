/* Trusted time under clocks that are wrong, stand, or begin anew. */
#include "agent/trusted.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define DAY (INT64_C(24) * 3600 * 1000)
#define YEAR (365 * DAY)
#define NOW (55 * YEAR)

struct hands {
    int64_t wall, mono;
};

static int64_t read_wall(void *context)
{
    return ((struct hands *)context)->wall;
}

static int64_t read_mono(void *context)
{
    return ((struct hands *)context)->mono;
}

static void time_is_the_aggregators_once_it_signed(void **state)
{
    struct hands hands = {1000, 50};
    const struct clock clock = {read_wall, read_mono, &hands};
    struct trusted_time t = {.clock = &clock};

    (void)state;
    assert_int_equal(trusted_now(&t), 1000);
    trusted_confirm(&t, 9000);
    hands.wall = 5; /* somebody sets the clock */
    assert_int_equal(trusted_now(&t), 9000);
    hands.mono += 70;
    assert_int_equal(trusted_now(&t), 9070);
    trusted_confirm(&t, 9060);
    assert_int_equal(trusted_now(&t), 9060);
    /* What cannot be a time changes nothing. */
    trusted_confirm(&t, INT64_MIN);
    trusted_confirm(&t, INT64_MAX);
    assert_int_equal(trusted_now(&t), 9060);
}

/* After a start without the aggregator, at NOW by the spool. */
static struct trusted_time begun(const struct clock *clock)
{
    struct trusted_time t = {.clock = clock};

    trusted_begin(&t, NOW);
    return t;
}

static void without_a_floor_there_is_only_the_wall_clock(void **state)
{
    struct hands hands = {1000, 50};
    const struct clock clock = {read_wall, read_mono, &hands};
    struct trusted_time t = {.clock = &clock};

    (void)state;
    trusted_begin(&t, 0);
    assert_int_equal(trusted_now(&t), 1000);
    assert_int_equal(trusted_stamp(&t), 0);
    trusted_confirm(&t, NOW);
    assert_int_equal(trusted_stamp(&t), NOW);
}

static void a_machine_without_a_clock_goes_on_from_the_floor(void **state)
{
    struct hands hands = {20, 20}; /* 1970 */
    const struct clock clock = {read_wall, read_mono, &hands};
    struct trusted_time t = begun(&clock);

    (void)state;
    hands.wall += 500;
    hands.mono += 500;
    assert_int_equal(trusted_now(&t), NOW + 500);
    assert_int_equal(trusted_stamp(&t), NOW + 500);
}

static void a_machine_that_was_off_is_believed_but_not_sure(void **state)
{
    struct hands hands = {NOW + 30 * DAY, 20};
    const struct clock clock = {read_wall, read_mono, &hands};
    struct trusted_time t = begun(&clock);

    (void)state;
    assert_int_equal(trusted_now(&t), NOW + 30 * DAY);
    assert_int_equal(trusted_stamp(&t), NOW);
}

static void a_wall_clock_that_jumps_is_not_believed(void **state)
{
    struct hands hands = {NOW, 20};
    const struct clock clock = {read_wall, read_mono, &hands};
    struct trusted_time t = begun(&clock);

    (void)state;
    hands.wall = NOW + 10 * YEAR;
    assert_int_equal(trusted_now(&t), NOW);
    hands.wall = NOW - 10 * YEAR;
    assert_int_equal(trusted_now(&t), NOW);
    hands.mono += 9; /* it stands */
    hands.wall = NOW;
    assert_int_equal(trusted_now(&t), NOW + 9);
    assert_int_equal(trusted_stamp(&t), NOW + 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_is_the_aggregators_once_it_signed),
        cmocka_unit_test(without_a_floor_there_is_only_the_wall_clock),
        cmocka_unit_test(a_machine_without_a_clock_goes_on_from_the_floor),
        cmocka_unit_test(a_machine_that_was_off_is_believed_but_not_sure),
        cmocka_unit_test(a_wall_clock_that_jumps_is_not_believed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
