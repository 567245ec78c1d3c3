/* The error table and sentences for people. */
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void every_code_has_its_own_name_and_sentence(void **state)
{
    (void)state;
    for (int i = 0; i < SOTTO_ERR_COUNT; i++) {
        const char *name = err_name((enum sotto_err)i);

        assert_true(strlen(name) > 1);
        assert_true(strlen(err_text((enum sotto_err)i)) > 5);
        assert_true(i == 0 || name[0] == 'E');
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(name, err_name((enum sotto_err)j));
            assert_string_not_equal(err_text((enum sotto_err)i),
                                    err_text((enum sotto_err)j));
        }
    }
}

static void answers_for_values_outside_the_table(void **state)
{
    (void)state;
    assert_string_equal(err_name(SOTTO_ERR_COUNT), "EUNKNOWN");
    assert_string_equal(err_name((enum sotto_err) - 1), "EUNKNOWN");
    assert_non_null(err_text((enum sotto_err)1000));
    assert_int_not_equal(err_exit((enum sotto_err)1000), EXIT_GOOD);
}

static void only_success_exits_with_zero(void **state)
{
    (void)state;
    assert_int_equal(err_exit(SOTTO_OK), EXIT_GOOD);
    for (int i = 1; i < SOTTO_ERR_COUNT; i++)
        assert_int_not_equal(err_exit((enum sotto_err)i), EXIT_GOOD);
    assert_int_equal(err_exit(SOTTO_EINVAL), EXIT_USAGE);
    assert_int_equal(err_exit(SOTTO_EDECODE), EXIT_USAGE);
    assert_int_equal(err_exit(SOTTO_ECRYPTO), EXIT_INTEGRITY);
    assert_int_equal(err_exit(SOTTO_EDENIED), EXIT_REFUSED);
}

static void saying_why_returns_the_error(void **state)
{
    struct why why;

    (void)state;
    assert_int_equal(why_say(&why, SOTTO_EIO, "%s:%d: bad", "a.yaml", 7),
                     SOTTO_EIO);
    assert_string_equal(why.text, "a.yaml:7: bad");
    assert_int_equal(why_say(NULL, SOTTO_EFULL, "nobody asks"), SOTTO_EFULL);
}

static void a_sentence_may_contain_the_one_before(void **state)
{
    struct why why;

    (void)state;
    why_say(&why, SOTTO_EIO, "inner");
    why_say(&why, SOTTO_EIO, "outer: %s", why.text);
    assert_string_equal(why.text, "outer: inner");
}

/* Every alignment of a long text of 1, 2, 3 and 4-byte characters. */
static void cuts_a_long_text_at_a_character(void **state)
{
    const char *const characters[] = {"x", "\xc3\xa9", "\xe2\x82\xac",
                                      "\xf0\x9f\x98\x80"};

    (void)state;
    for (size_t c = 0; c < 4; c++) {
        size_t width = strlen(characters[c]);

        for (size_t lead = 0; lead < 4; lead++) {
            char text[2000] = "aaaa";
            size_t size = lead, kept;
            struct why why;

            while (size < 1000) {
                memcpy(text + size, characters[c], width + 1);
                size += width;
            }
            why_say(&why, SOTTO_OK, "%s", text);
            kept = strlen(why.text);
            assert_true(kept < sizeof(why.text));
            assert_true(kept + 2 * width >= sizeof(why.text) - 1);
            assert_int_equal((kept - lead) % width, 0);
            assert_memory_equal(why.text, text, kept);
        }
    }
}

__attribute__((format(printf, 3, 4))) static size_t
print_into(char *out, size_t out_size, const char *format, ...)
{
    va_list args;
    size_t size;

    va_start(args, format);
    size = text_vprint(out, out_size, format, args);
    va_end(args);
    return size;
}

static void fits_a_text_into_one_byte(void **state)
{
    char out[2] = {'#', '#'};

    (void)state;
    assert_int_equal(print_into(out, 1, "%s", "long"), 0);
    assert_int_equal(out[0], '\0');
    assert_int_equal(out[1], '#');
    assert_int_equal(print_into(out, 2, "%s", "y"), 1);
    assert_string_equal(out, "y");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_own_name_and_sentence),
        cmocka_unit_test(answers_for_values_outside_the_table),
        cmocka_unit_test(only_success_exits_with_zero),
        cmocka_unit_test(saying_why_returns_the_error),
        cmocka_unit_test(a_sentence_may_contain_the_one_before),
        cmocka_unit_test(cuts_a_long_text_at_a_character),
        cmocka_unit_test(fits_a_text_into_one_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
