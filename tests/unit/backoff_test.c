/* Delays stay in their window and double up to the limit. */
#include "link/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void stays_between_half_the_bound_and_the_bound(void **state)
{
    (void)state;
    for (uint32_t random = 1; random != 0 && random < 4000000000u;
         random = random * 3 + 1) {
        struct backoff b = {.min_ms = 500, .max_ms = 60000};
        int64_t bound = 500;

        for (int i = 0; i < 20; i++) {
            int64_t delay = backoff_next(&b, random);

            assert_true(delay >= bound / 2 && delay <= bound);
            bound = bound * 2 < 60000 ? bound * 2 : 60000;
        }
        if (random > UINT32_MAX / 4)
            break;
    }
}

static void both_ends_are_reached(void **state)
{
    struct backoff b = {.min_ms = 100, .max_ms = 1000};

    (void)state;
    assert_int_equal(backoff_next(&b, 0), 50);
    backoff_reset(&b);
    assert_int_equal(backoff_next(&b, 50), 100);
    assert_int_equal(backoff_next(&b, 100), 200);
}

static void a_success_begins_again(void **state)
{
    struct backoff b = {.min_ms = 100, .max_ms = 1000};

    (void)state;
    for (int i = 0; i < 100; i++)
        backoff_next(&b, 7);
    assert_int_equal(backoff_next(&b, 500), 1000);
    backoff_reset(&b);
    assert_int_equal(backoff_next(&b, 50), 100);
}

static void never_overflows(void **state)
{
    struct backoff b = {
        .min_ms = 1, .max_ms = 3600 * 1000, .failures = UINT32_MAX};

    (void)state;
    assert_true(backoff_next(&b, UINT32_MAX) <= 3600 * 1000);
    assert_int_equal(b.failures, UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stays_between_half_the_bound_and_the_bound),
        cmocka_unit_test(both_ends_are_reached),
        cmocka_unit_test(a_success_begins_again),
        cmocka_unit_test(never_overflows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
