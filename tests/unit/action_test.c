/* Tests of the tables of actions, types and normalizations. */
#include "policy/action.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void every_action_has_a_whole_row(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ACTION_COUNT; i++) {
        const struct action_row *row = &action_rows[i];
        size_t size = strlen(row->reveals);

        assert_true(row->name && row->parameters && row->takes && row->makes);
        assert_true(size > 20 && row->reveals[size - 1] == '.');
        assert_int_equal(action_of(span_text(row->name)), i);
    }
}

static void names_and_values_agree(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TYPE_COUNT; i++)
        assert_int_equal(type_of(span_text(type_name((enum value_type)i))), i);
    for (unsigned i = 0; i < NORMALIZE_COUNT; i++)
        assert_int_equal(
            normalize_of(span_text(normalize_name((enum normalize)i))), i);
}

static void unknown_names_are_none_of_them(void **state)
{
    (void)state;
    assert_int_equal(action_of(span_text("kee")), ACTION_COUNT);
    assert_int_equal(action_of(span_text("keepx")), ACTION_COUNT);
    assert_int_equal(action_of(span_of("", 0)), ACTION_COUNT);
    assert_int_equal(type_of(span_text("TEXT")), TYPE_COUNT);
    assert_int_equal(normalize_of(span_text("upper")), NORMALIZE_COUNT);
    assert_string_equal(type_name(TYPE_COUNT), "unknown");
    assert_string_equal(normalize_name(NORMALIZE_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_action_has_a_whole_row),
        cmocka_unit_test(names_and_values_agree),
        cmocka_unit_test(unknown_names_are_none_of_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
