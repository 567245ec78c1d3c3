/* Tests of the YAML walker: what it fills, what it refuses, and where it says
 * that the fault is. */
#include "config/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const colours[] = {"red", "green", "blue", NULL};

struct settings {
    struct span name;
    int64_t port, timeout_ms, at_ms, price, size;
    bool quiet;
    int colour;
    struct yaml_node list;
};

/* clang-format off */
static const struct yaml_key keys[] = {
    {"name", YAML_TEXT, offsetof(struct settings, name), true, 1, 8, NULL,
     "who it is"},
    {"port", YAML_INT, offsetof(struct settings, port), false, 1, 65535, NULL,
     NULL},
    {"timeout", YAML_DURATION, offsetof(struct settings, timeout_ms), false, 0,
     60000, NULL, NULL},
    {"at", YAML_TIME, offsetof(struct settings, at_ms), false, 0, 0, NULL, NULL},
    {"price", YAML_MONEY, offsetof(struct settings, price), false, 0, 0, NULL,
     NULL},
    {"size", YAML_SIZE, offsetof(struct settings, size), false, 1, 1 << 30,
     NULL, NULL},
    {"quiet", YAML_BOOL, offsetof(struct settings, quiet), false, 0, 0, NULL,
     NULL},
    {"colour", YAML_CHOICE, offsetof(struct settings, colour), false, 0, 0,
     colours, NULL},
    {"list", YAML_NODE, offsetof(struct settings, list), false, 0, 0, NULL,
     NULL},
    {NULL, YAML_TEXT, 0, false, 0, 0, NULL, NULL},
};
/* clang-format on */

static struct yaml *opened(const char *text)
{
    struct yaml *y = NULL;
    struct why why = {""};

    if (yaml_open_text(&y, "t.yaml", span_text(text), &why))
        fail_msg("%s", why.text);
    return y;
}

static void fills_each_kind_by_the_table(void **state)
{
    struct settings s = {.timeout_ms = 5};
    struct why why;
    struct yaml *y = opened("name: shop\n"
                            "port: 8080 # a comment\n"
                            "timeout: PT15S\n"
                            "at: 2026-12-01\n"
                            "price: -2.55\n"
                            "size: 64 KiB\n"
                            "quiet: true\n"
                            "colour: blue\n"
                            "list: [a, 'b c', \"d\\x41\"]\n");

    (void)state;
    assert_int_equal(yaml_fill(yaml_root(y), keys, &s, &why), SOTTO_OK);
    assert_true(span_equal(s.name, span_text("shop")));
    assert_int_equal(s.port, 8080);
    assert_int_equal(s.timeout_ms, 15000);
    assert_int_equal(s.at_ms, INT64_C(1796083200000));
    assert_int_equal(s.price, -2550000);
    assert_int_equal(s.size, 65536);
    assert_true(s.quiet);
    assert_int_equal(s.colour, 2);
    assert_true(yaml_is_sequence(s.list));
    yaml_close(y);
}

static void an_absent_key_keeps_the_default(void **state)
{
    struct settings s = {.timeout_ms = 5, .colour = 1};
    struct why why;
    struct yaml *y = opened("name: shop\n");

    (void)state;
    assert_int_equal(yaml_fill(yaml_root(y), keys, &s, &why), SOTTO_OK);
    assert_int_equal(s.timeout_ms, 5);
    assert_int_equal(s.colour, 1);
    assert_false(yaml_is_sequence(s.list));
    yaml_close(y);
}

static void reads_sizes_and_refuses_those_that_overflow(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes; /* -1: refused */
    } rows[] = {
        {"512", 512},  {"4MiB", 4 << 20}, {"1 GiB", 1 << 30},
        {"2 GiB", -1}, {"-1 KiB", -1},    {"9007199254740993 KiB", -1},
        {"KiB", -1},   {"1.5 MiB", -1},   {"64 kib", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct settings s = {.size = -7};
        char text[80];
        struct why why;
        struct yaml *y;
        enum sotto_err err;

        snprintf(text, sizeof(text), "name: n\nsize: %s\n", rows[i].text);
        y = opened(text);
        err = yaml_fill(yaml_root(y), keys, &s, &why);
        assert_int_equal(err, rows[i].bytes < 0 ? SOTTO_EINVAL : SOTTO_OK);
        if (!err)
            assert_int_equal(s.size, rows[i].bytes);
        yaml_close(y);
    }
}

/* Each is refused, at that place, with those words. */
static const struct refused {
    const char *text;
    const char *place;
    const char *words;
} refused[] = {
    /* syntax */
    {"", "t.yaml:", "empty"},
    {"# only a comment\n", "t.yaml:", "empty"},
    {"name: [a\n", "t.yaml:2:1:", "bracket"},
    {"name: 'a\n", "t.yaml:1:8:", "quote"},
    {"name: a\nname: b\n", "t.yaml:2:1:", "twice"},
    {"a: {b: 1, b: 2}\n", "t.yaml:1:11:", "twice"},
    {"name: a\n---\nname: b\n", "t.yaml:", "more than one document"},
    {"name: a\n---\nname: [\n", "t.yaml:4:", "bracket"},
    /* the parts of the format that are refused */
    {"name: &x a\n", "t.yaml:1:10: name:", "anchors"},
    {"name: &x {a: b}\n", "t.yaml:1:", "anchors"},
    {"a: &x b\nname: *x\n", "t.yaml:1:7: a:", "anchors"},
    {"name: *x\n", "t.yaml:1:8: name:", "aliases"},
    {"name: !!str a\n", "t.yaml:1:13: name:", "tags"},
    {"name: !own {a: b}\n", "t.yaml:1:", "tags"},
    {"<<: {a: b}\n", "t.yaml:1:1: <<:", "merge keys"},
    {"? [a, b]\n: c\n", "t.yaml:1:4:", "plain text"},
    {"name:\n", "t.yaml:1:1: name:", "no value"},
    {"list: [a, ]\nname: {x: }\n", "t.yaml:2:8: name.x:", "no value"},
    {"name: \"a\\0b\"\n", "t.yaml:1:7: name:", "zero byte"},
    {"a: [[[[[[[[[[[[[[[[b]]]]]]]]]]]]]]]]\n", "t.yaml:1:", "16 levels"},
    /* the schema */
    {"- a\n", "t.yaml:1:3:", "must be a mapping"},
    {"nam: shop\n", "t.yaml:1:1: nam:", "did you mean `name`?"},
    {"name: n\n'whatever': 1\n", "t.yaml:2:1: whatever:", "known are: name,"},
    {"port: 1\n", "t.yaml:1:1:", "needs the key `name`: who it is"},
    {"name: far too long\n", "t.yaml:1:7: name:", "over 8 bytes"},
    {"name: ''\n", "t.yaml:1:7: name:", "empty"},
    {"name: [a]\n", "t.yaml:1:8: name:", "not a list"},
    {"name: {a: b}\n", "t.yaml:1:8: name:", "not a mapping"},
    {"name: n\nport: 70000\n", "t.yaml:2:7: port:", "from 1 to 65535"},
    {"name: n\nport: \"80\"\n", "t.yaml:2:7: port:", "without quotes"},
    {"name: n\nport: 8o\n", "t.yaml:2:7: port:", "whole number"},
    {"name: n\ntimeout: 15s\n", "t.yaml:2:10: timeout:", "PT15M"},
    {"name: n\ntimeout: PT2M\n", "t.yaml:2:10: timeout:", "to PT1M"},
    {"name: n\nat: never\n", "t.yaml:2:5: at:", "2026-12-01"},
    {"name: n\nprice: 1e3\n", "t.yaml:2:8: price:", "2.55"},
    {"name: n\nquiet: yes\n", "t.yaml:2:8: quiet:", "true or false"},
    {"name: n\nquiet: 'true'\n", "t.yaml:2:8: quiet:", "true or false"},
    {"name: n\ncolour: gren\n", "t.yaml:2:9: colour:", "mean `green`?"},
    {"name: n\ncolour: 17\n", "t.yaml:2:9: colour:", "red, green, blue"},
};

static void refuses_with_place_path_and_mend(void **state)
{
    int failures = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        const struct refused *r = &refused[i];
        struct settings s = {0};
        struct yaml *y = NULL;
        struct why why = {""};
        enum sotto_err err =
            yaml_open_text(&y, "t.yaml", span_text(r->text), &why);

        if (!err) {
            err = yaml_fill(yaml_root(y), keys, &s, &why);
            yaml_close(y);
        }
        if (err != SOTTO_EINVAL ||
            strncmp(why.text, r->place, strlen(r->place)) != 0 ||
            !strstr(why.text, r->words)) {
            print_error("row %zu: %s%s: %s\nwanted %s ... %s\n", i, r->text,
                        err_name(err), why.text, r->place, r->words);
            failures++;
        }
    }
    assert_int_equal(failures, 0);
}

static void sixteen_levels_are_deep_enough(void **state)
{
    struct yaml *y = opened("a: [[[[[[[[[[[[[[b]]]]]]]]]]]]]]\n");

    (void)state;
    yaml_close(y);
}

static void refuses_bytes_that_are_no_text(void **state)
{
    static const char *const broken[] = {
        "name: \xc2\xa3 \xff\n",           "name: \xc2\xa3 \xc0\x80\n",
        "name: \xc2\xa3 \xed\xa0\x80",     "name: \xc2\xa3 \xe2\x82",
        "name: \xc2\xa3 \xf4\x90\x80\x80",
    };
    static const char zero[] = "name: a\nport: \0001\n";
    struct yaml *y = NULL;
    struct why why;

    (void)state;
    assert_int_equal(
        yaml_open_text(&y, "t.yaml", span_of(zero, sizeof(zero) - 1), &why),
        SOTTO_EINVAL);
    assert_non_null(
        strstr(why.text, "t.yaml:2:7: holds a byte that is no text (0x00)"));
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        assert_int_equal(
            yaml_open_text(&y, "t.yaml", span_text(broken[i]), &why),
            SOTTO_EINVAL);
        assert_non_null(strstr(why.text, "t.yaml:1:9:"));
    }
    yaml_close(opened("name: \xc2\xa3 \xe2\x82\xac \xf0\x9f\x9b\x92\n"));
}

static void refuses_a_text_over_its_limit(void **state)
{
    char *text = calloc(1, YAML_BYTES_MAX + 1);
    struct yaml *y = NULL;
    struct why why;

    (void)state;
    assert_non_null(text);
    memset(text, ' ', YAML_BYTES_MAX + 1);
    assert_int_equal(
        yaml_open_text(&y, "t.yaml", span_of(text, YAML_BYTES_MAX + 1), &why),
        SOTTO_ETOOBIG);
    free(text);
}

struct walked {
    char text[64];
    enum sotto_err stop;
};

static enum sotto_err on_each(void *context, struct span key,
                              struct yaml_node value, struct why *why)
{
    struct walked *w = context;
    struct span text;
    size_t used = strlen(w->text);

    assert_int_equal(yaml_text(value, &text, why), SOTTO_OK);
    snprintf(w->text + used, sizeof(w->text) - used, "%.*s=%.*s;",
             (int)key.size, key.size > 0 ? (const char *)key.data : "",
             (int)text.size, (const char *)text.data);
    return w->stop;
}

static void walks_in_the_order_of_the_file(void **state)
{
    struct yaml *y = opened("map: {Product Viewed: 1, b: 2}\nlist: [x, y]\n");
    struct walked map = {.text = ""}, list = {.text = ""};
    struct walked once = {.text = "", .stop = SOTTO_EFULL};
    struct walked none = {.text = ""};
    struct why why;
    struct yaml_node root = yaml_root(y);

    (void)state;
    assert_int_equal(yaml_each(yaml_get(root, "map"), &why, on_each, &map), 0);
    assert_string_equal(map.text, "Product Viewed=1;b=2;");
    assert_int_equal(yaml_each(yaml_get(root, "list"), &why, on_each, &list),
                     0);
    assert_string_equal(list.text, "=x;=y;");
    assert_int_equal(yaml_each(yaml_get(root, "list"), &why, on_each, &once),
                     SOTTO_EFULL);
    assert_string_equal(once.text, "=x;");
    assert_null(yaml_get(root, "other").node);
    assert_int_equal(
        yaml_each(yaml_get(yaml_get(root, "map"), "b"), &why, on_each, &none),
        SOTTO_EINVAL);
    yaml_close(y);
}

static void names_the_path_through_lists_and_mappings(void **state)
{
    struct yaml *y = opened("events:\n"
                            "  Product Viewed:\n"
                            "    rows:\n"
                            "      - when: x\n"
                            "      - when: {}\n");
    struct yaml_node n = yaml_root(y);
    struct why why;
    int line, column;

    (void)state;
    n = yaml_get(yaml_get(n, "events"), "Product Viewed");
    yaml_place(n, &line, &column);
    assert_int_equal(line, 3);
    assert_int_equal(column, 5);
    assert_int_equal(yaml_wrong(n, &why, "is %d", 7), SOTTO_EINVAL);
    assert_string_equal(why.text, "t.yaml:3:5: events.Product Viewed: is 7");
    assert_int_equal(yaml_wrong(yaml_get(n, "rows"), &why, "no"), SOTTO_EINVAL);
    assert_string_equal(why.text, "t.yaml:4:9: events.Product Viewed.rows: no");
    yaml_close(y);
}

/* Whatever is cut from a good text: an answer, never a crash or a leak. */
static void survives_every_cut_and_flip(void **state)
{
    static const char good[] = "name: shop\nlist: [a, {b: \"c\\t\"}]\nat: "
                               "2026-12-01\n# end\nprice: 2.5\n";
    char text[sizeof(good)];

    (void)state;
    for (size_t i = 0; i < sizeof(good) - 1; i++)
        for (int flip = 0; flip < 9; flip++) {
            struct settings s = {0};
            struct yaml *y = NULL;
            struct why why;

            memcpy(text, good, sizeof(good));
            if (flip < 8)
                text[i] = (char)(text[i] ^ (1 << flip));
            if (!yaml_open_text(&y, "t.yaml",
                                span_of(text, flip < 8 ? sizeof(good) - 1 : i),
                                &why)) {
                (void)yaml_fill(yaml_root(y), keys, &s, &why);
                yaml_close(y);
            }
        }
}

static void reads_files_and_says_which_is_missing(void **state)
{
    char path[] = "/tmp/yaml_test_XXXXXX";
    struct yaml *y = NULL;
    struct why why;
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "name: a\n", 8), 8);
    close(fd);
    assert_int_equal(yaml_open_file(&y, path, &why), SOTTO_OK);
    yaml_close(y);
    unlink(path);
    assert_int_equal(yaml_open_file(&y, path, &why), SOTTO_ENOTFOUND);
    assert_non_null(strstr(why.text, path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_each_kind_by_the_table),
        cmocka_unit_test(an_absent_key_keeps_the_default),
        cmocka_unit_test(reads_sizes_and_refuses_those_that_overflow),
        cmocka_unit_test(refuses_with_place_path_and_mend),
        cmocka_unit_test(sixteen_levels_are_deep_enough),
        cmocka_unit_test(refuses_bytes_that_are_no_text),
        cmocka_unit_test(refuses_a_text_over_its_limit),
        cmocka_unit_test(walks_in_the_order_of_the_file),
        cmocka_unit_test(names_the_path_through_lists_and_mappings),
        cmocka_unit_test(survives_every_cut_and_flip),
        cmocka_unit_test(reads_files_and_says_which_is_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
