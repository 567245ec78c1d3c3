/* Tests of patterns: by example, and against a matcher that backtracks. */
#include "policy/pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../support/sample_policy.h"

static bool matches(const char *pattern, const char *text)
{
    struct pattern p;
    struct why why;

    if (pattern_compile(&p, span_text(pattern), &why))
        fail_msg("%s: %s", pattern, why.text);
    return pattern_match(&p, span_text(text));
}

static void matches_whole_texts_only(void **state)
{
    (void)state;
    assert_true(matches("[A-Za-z0-9 _-]{1,32}", "SKU-12 b_c"));
    assert_false(matches("[A-Za-z0-9 _-]{1,32}", ""));
    assert_false(matches("[A-Za-z0-9 _-]{1,32}", "a@b"));
    assert_false(
        matches("[A-Z]{1,32}", "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG")); /* 33 */
    assert_true(matches("[A-Z]{1,32}", "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF"));
    assert_false(matches("ab", "abc"));
    assert_false(matches("ab", "xab"));
    assert_true(matches("P\\.[0-9]+", "P.17"));
    assert_false(matches("P\\.[0-9]+", "Px17"));
    assert_true(matches("a?b*c+", "c"));
    assert_true(matches("[\\]\\^-]+", "]^-"));
    assert_true(matches("[a]{63}", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                   "aaaaaaaaaaaaaaaaaaaa"));
    assert_true(matches("[a-c]{0,63}", ""));
    assert_false(matches("a+", "\xc3\xa4"));
}

static void refuses_what_it_does_not_know_and_says_where(void **state)
{
    static const struct {
        const char *pattern;
        const char *where;
    } rows[] = {
        {"", "character 1"},
        {"a.b", "character 2"},
        {"(a)", "character 1"},
        {"a|b", "character 2"},
        {"[^a]", "character 2"},
        {"[]", "character 2"},
        {"[a", "character 3"},
        {"[z-a]", "upside down"},
        {"*a", "nothing to repeat"},
        {"a**", "nothing to repeat"},
        {"a{2,1}", "second number"},
        {"a{0}", "second number"},
        {"a{", "number"},
        {"a{1", "}"},
        {"a{1,}", "number"},
        {"\\d", "punctuation"},
        {"a\\", "punctuation"},
        {"\xc3\xa4", "ASCII"},
        {"a{64}", "63"},
        {"a{60}b{4}", "63"},
        {"a{9999}", "}"},
        {"a]", "character 2"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pattern p;
        struct why why = {""};

        assert_int_equal(pattern_compile(&p, span_text(rows[i].pattern), &why),
                         SOTTO_EINVAL);
        if (!strstr(why.text, rows[i].where))
            fail_msg("%s says: %s", rows[i].pattern, why.text);
    }
}

/* A pattern as a list, and its meaning by trying everything. */
struct item {
    const char *set;  /* its characters, written out */
    const char *text; /* as in a pattern */
    unsigned min, max;
};

static bool backtrack(const struct item *items, size_t count, const char *text)
{
    if (count == 0)
        return *text == '\0';
    for (unsigned n = 0; n <= items->max; n++) {
        if (n >= items->min && backtrack(items + 1, count - 1, text + n))
            return true;
        if (text[n] == '\0' || !strchr(items->set, text[n]))
            return false;
    }
    return false;
}

static void agrees_with_backtracking(void **state)
{
    static const struct item sets[] = {
        {"a", "a", 0, 0},       {"b", "b", 0, 0},     {"ab", "[ab]", 0, 0},
        {"abc", "[a-c]", 0, 0}, {"c-", "[c-]", 0, 0},
    };
    uint64_t rng = 42;
    unsigned hits = 0;

    (void)state;
    for (unsigned round = 0; round < 60000; round++) {
        struct item items[6];
        size_t count = 1 + sample_below(&rng, 6);
        char pattern[100] = "", text[10];
        size_t text_size = sample_below(&rng, 9);
        bool expected;

        for (size_t i = 0; i < count; i++) {
            static const char *const repeats[] = {"", "?", "*", "+"};
            unsigned kind = sample_below(&rng, 6);
            size_t at = strlen(pattern);

            items[i] = sets[sample_below(&rng, 5)];
            items[i].min = kind == 0 || kind == 3;
            items[i].max = kind < 2 ? 1 : 1000;
            if (kind < 4) {
                snprintf(pattern + at, sizeof(pattern) - at, "%s%s",
                         items[i].text, repeats[kind]);
                continue;
            }
            items[i].min = sample_below(&rng, 4);
            items[i].max = items[i].min + sample_below(&rng, 3);
            if (items[i].max == 0)
                items[i].max = 1;
            snprintf(pattern + at, sizeof(pattern) - at, "%s{%u,%u}",
                     items[i].text, items[i].min, items[i].max);
        }
        for (size_t i = 0; i < text_size; i++)
            text[i] = "abc-"[sample_below(&rng, 4)];
        text[text_size] = '\0';
        expected = backtrack(items, count, text);
        hits += expected;
        if (matches(pattern, text) != expected)
            fail_msg("%s on %s", pattern, text);
    }
    assert_in_range(hits, 3000, 57000); /* both answers were tested */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_whole_texts_only),
        cmocka_unit_test(refuses_what_it_does_not_know_and_says_where),
        cmocka_unit_test(agrees_with_backtracking),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
