/* Tests of delivery/sync. */
#include "delivery/sync.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void parks_sends_and_resyncs(void **state)
{
    struct sync s = {0, 0};

    (void)state;
    assert_int_equal(sync_polled(&s, 0, false), SYNC_PARK);
    assert_int_equal(sync_next(&s), 1);
    assert_int_equal(sync_next(&s), 2);
    assert_int_equal(sync_polled(&s, 1, false), SYNC_SEND);
    assert_int_equal(s.applied, 1);
    assert_int_equal(sync_polled(&s, 2, false), SYNC_PARK);
    assert_int_equal(sync_polled(&s, 2, true), SYNC_RESYNC);
}

static void a_restored_side_goes_on_above_the_agent(void **state)
{
    struct sync s = {5, 5};

    (void)state;
    assert_int_equal(sync_polled(&s, 9, false), SYNC_RESYNC);
    sync_restart(&s, 9);
    assert_int_equal(sync_next(&s), 10);
    assert_int_equal(sync_polled(&s, 9, false), SYNC_SEND);
    assert_int_equal(sync_polled(&s, 10, false), SYNC_PARK);
}

static void a_resync_never_gives_a_number_twice(void **state)
{
    struct sync s = {20, 3};

    (void)state;
    assert_int_equal(sync_polled(&s, 3, true), SYNC_RESYNC);
    sync_restart(&s, 3);
    assert_int_equal(sync_next(&s), 21);
    assert_int_equal(sync_polled(&s, 3, false), SYNC_SEND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parks_sends_and_resyncs),
        cmocka_unit_test(a_restored_side_goes_on_above_the_agent),
        cmocka_unit_test(a_resync_never_gives_a_number_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
