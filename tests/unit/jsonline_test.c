/* The strict reader of a line: what it takes and refuses, and that it agrees
 * with jansson, which reads the same grammar another way. */
#include "agent/jsonline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

static struct jsonline reader;

/* Reads all of it; *first is the first value, or its first entry's. */
static bool reads(struct span text, struct jsonline_value *first)
{
    struct span key;

    jsonline_begin(&reader, text);
    if (!jsonline_value(&reader, first))
        return false;
    if (first->kind == JSONLINE_OBJECT)
        while (jsonline_member(&reader, &key) && jsonline_value(&reader, first))
            jsonline_skip(&reader, first);
    else
        jsonline_skip(&reader, first);
    return jsonline_end(&reader);
}

static struct jsonline_value value_of(const char *text)
{
    struct jsonline_value v = {.kind = JSONLINE_NULL};

    assert_true(reads(span_text(text), &v));
    return v;
}

static void reads_texts(void **state)
{
    static const char *const rows[][2] = {
        {"\"\"", ""},
        {"\"plain\"", "plain"},
        {"\"a\\\"\\\\\\/\\b\\f\\n\\r\\tz\"", "a\"\\/\b\f\n\r\tz"},
        {"\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00!\"",
         "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80!"},
        {"\"caf\xc3\xa9\\n\"", "caf\xc3\xa9\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_true(
            span_equal(value_of(rows[i][0]).text, span_text(rows[i][1])));
}

static void reads_numbers_exactly(void **state)
{
    static const char *const reals[] = {"0.1",
                                        "-2.50",
                                        "301.72",
                                        "123456789.12345",
                                        "1e-7",
                                        "-0.0",
                                        "0.1234567890123456789",
                                        "9007199254740993.0",
                                        "1.7e308",
                                        "4.9e-324",
                                        "5E+3"};

    (void)state;
    assert_int_equal(value_of("-9223372036854775808").number, INT64_MIN);
    assert_int_equal(value_of("9223372036854775807").number, INT64_MAX);
    for (size_t i = 0; i < sizeof(reals) / sizeof(reals[0]); i++) {
        struct jsonline_value v = value_of(reals[i]);
        double exact = strtod(reals[i], NULL);

        assert_int_equal(v.kind, JSONLINE_REAL);
        assert_memory_equal(&v.real, &exact, sizeof(exact));
    }
}

static void refuses_what_is_no_json(void **state)
{
    static const char *const rows[] = {
        "",
        " ",
        "{",
        "}",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{,}",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "+1",
        "0x1",
        "NaN",
        "tru",
        "nulls",
        "\"",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\t\"",
        "\"\xff\"",
        "\"\xc0\x80\"",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"\\u0061\":2}",
        "1 2",
        "{} {}",
        "9223372036854775808",
        "-9223372036854775809",
        "1e999",
        "[1}",
        "{]",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct jsonline_value v;

        if (reads(span_text(rows[i]), &v))
            fail_msg("read: %s", rows[i]);
    }
    assert_true(value_of("[{\"a\":1},{\"a\":{\"a\":2}}]").kind ==
                JSONLINE_ARRAY); /* the same key, of other objects */
}

static void bounds_depth_and_keys(void **state)
{
    char text[32 * JSONLINE_KEYS_MAX] = "";
    struct jsonline_value v;

    (void)state;
    for (int depth = JSONLINE_DEPTH_MAX; depth < JSONLINE_DEPTH_MAX + 2;
         depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        assert_int_equal(reads(span_of(text, 2 * (size_t)depth), &v),
                         depth == JSONLINE_DEPTH_MAX);
    }
    for (int keys = JSONLINE_KEYS_MAX; keys < JSONLINE_KEYS_MAX + 2; keys++) {
        size_t size = 0;

        for (int i = 0; i < keys; i++)
            size += (size_t)snprintf(text + size, sizeof(text) - size,
                                     "%s\"%d\":%d", i ? "," : "{", i, i);
        text[size++] = '}';
        assert_int_equal(reads(span_of(text, size), &v),
                         keys == JSONLINE_KEYS_MAX);
    }
}

static uint32_t drawn = 1;
static uint32_t draw(uint32_t below)
{
    drawn = drawn * 1664525u + 1013904223u; /* Numerical Recipes */
    return (drawn >> 8) % below;
}

/* Lines made of pieces of JSON, then a byte changed in half of them. */
static void agrees_with_jansson(void **state)
{
    static const char *const pieces[] = {"{",
                                         "}",
                                         "[",
                                         "]",
                                         ",",
                                         ":",
                                         "\"a\"",
                                         "\"b\"",
                                         "\"\\u00e9\\n\"",
                                         "1",
                                         "-2.5",
                                         "1e3",
                                         "true",
                                         "false",
                                         "null",
                                         " ",
                                         "\"a\":1",
                                         "\"c\":{}",
                                         "\"d\":[1,2]",
                                         "\"\xc3\xa9\"",
                                         "0",
                                         "\\",
                                         "\"",
                                         "\"\\ud83d\\ude00\"",
                                         "12345678901234567890"};
    unsigned taken = 0;

    (void)state;
    for (int round = 0; round < 300000; round++) {
        char text[400] = "{\"k\":";
        size_t size = round % 3 ? 5 : 0;
        struct jsonline_value v;
        json_t *tree;
        bool mine;

        for (uint32_t i = draw(8) + 1; i > 0; i--) {
            const char *piece = pieces[draw(sizeof(pieces) / sizeof(*pieces))];

            memcpy(text + size, piece, strlen(piece));
            size += strlen(piece);
        }
        if (round % 3)
            text[size++] = '}';
        if (draw(2))
            text[draw((uint32_t)size)] = (char)draw(256);
        tree = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY,
                          NULL);
        mine = reads(span_of(text, size), &v);
        if (mine != (tree != NULL))
            fail_msg("%.*s: jansson %d", (int)size, text, tree != NULL);
        taken += mine;
        json_decref(tree);
    }
    assert_true(taken > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_texts),
        cmocka_unit_test(reads_numbers_exactly),
        cmocka_unit_test(refuses_what_is_no_json),
        cmocka_unit_test(bounds_depth_and_keys),
        cmocka_unit_test(agrees_with_jansson),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
