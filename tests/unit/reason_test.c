/* Tests of drop reasons and counters. */
#include "policy/reason.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void every_reason_has_its_own_counter_name(void **state)
{
    (void)state;
    for (unsigned i = 0; i < DROP_COUNT; i++) {
        const char *name = drop_name((enum drop_reason)i);

        assert_true(counter_name_ok(span_text(name)));
        assert_true(strlen(drop_text((enum drop_reason)i)) > 10);
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(name, drop_name((enum drop_reason)j));
        if (i == DROP_NOT)
            assert_int_equal(drop_err((enum drop_reason)i), SOTTO_OK);
        else
            assert_int_not_equal(drop_err((enum drop_reason)i), SOTTO_OK);
    }
    assert_string_equal(drop_name(DROP_NO_CONSENT), "no_consent");
    assert_string_equal(drop_name((enum drop_reason)999), "unknown");
}

static void adds_under_one_name(void **state)
{
    struct counters c = {0};

    (void)state;
    assert_int_equal(counters_add(&c, "no_consent", 3), SOTTO_OK);
    assert_int_equal(counters_add(&c, "adjustment", 4), SOTTO_OK);
    assert_int_equal(counters_add(&c, "no_consent", 5), SOTTO_OK);
    assert_int_equal(c.drop_count, 2);
    assert_int_equal(c.drops[0].count, 8);
    assert_int_equal(counters_dropped(&c), 12);
}

static void refuses_when_full_and_keeps_counting_known_names(void **state)
{
    struct counters c = {0};

    (void)state;
    for (char i = 0; i < COUNTERS_MAX; i++) {
        char name[3] = {'x', (char)('a' + i % 26), (char)('a' + i / 26)};
        char text[4] = {name[0], name[1], name[2], 0};

        assert_int_equal(counters_add(&c, text, 1), SOTTO_OK);
    }
    assert_int_equal(counters_add(&c, "one_more", 1), SOTTO_EFULL);
    assert_int_equal(counters_add(&c, "xaa", 1), SOTTO_OK);
    assert_int_equal(counters_dropped(&c), COUNTERS_MAX + 1);
}

static void refuses_names_that_are_none(void **state)
{
    static const char *const bad[] = {
        "", "Upper", "a b", "a.b", "a\n", "a23456789012345678901234567890123"};
    struct counters c = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(counters_add(&c, bad[i], 1), SOTTO_EINVAL);
    assert_int_equal(c.drop_count, 0);
}

static void never_wraps(void **state)
{
    struct counters c = {0};

    (void)state;
    counters_add(&c, "a", UINT64_MAX - 1);
    counters_add(&c, "a", 5);
    counters_add(&c, "b", 5);
    assert_true(c.drops[0].count == UINT64_MAX);
    assert_true(counters_dropped(&c) == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_has_its_own_counter_name),
        cmocka_unit_test(adds_under_one_name),
        cmocka_unit_test(refuses_when_full_and_keeps_counting_known_names),
        cmocka_unit_test(refuses_names_that_are_none),
        cmocka_unit_test(never_wraps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
