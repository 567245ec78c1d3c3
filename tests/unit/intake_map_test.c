/* Maps: what a rule makes of a row, and an error for every slip. */
#include "agent/intake_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/when.h"

#define HEAD                                                                   \
    "time: {column: at}\n"                                                     \
    "fields:\n"                                                                \
    "  userId: who\n"

struct fixture {
    struct intake_map *map;
    struct intake_source *source;
    struct csv *csv;
    struct map_binding binding;
    struct raw_field fields[RAW_FIELDS_MAX];
    struct raw_event raw;
    struct why why;
};

static enum sotto_err load(struct fixture *f, const char *yaml)
{
    return intake_map_load_text(&f->map, "m.yaml", span_text(yaml), &f->why);
}

static void begin(struct fixture *f, const char *yaml, const char *csv)
{
    if (load(f, yaml))
        fail_msg("%s", f->why.text);
    assert_int_equal(
        intake_source_open_bytes(&f->source, "a.csv", span_text(csv), &f->why),
        SOTTO_OK);
    assert_int_equal(
        csv_open(&f->csv, f->source, intake_map_delimiter(f->map), &f->why),
        SOTTO_OK);
}

static void end(struct fixture *f)
{
    csv_close(f->csv);
    intake_source_close(f->source);
    intake_map_free(f->map);
}

static void bind(struct fixture *f)
{
    if (intake_map_bind(&f->binding, f->map, csv_header(f->csv), "a.csv",
                        &f->why))
        fail_msg("%s", f->why.text);
}

/* What the next row is: the event's name or the refusal. */
static const char *next(struct fixture *f)
{
    static char name[100];
    const struct csv_row *row;
    const char *refusal;

    assert_int_equal(csv_next(&row, f->csv, &f->why), SOTTO_OK);
    assert_non_null(row);
    refusal = intake_map_row(f->map, &f->binding, row, &f->raw, f->fields);
    if (refusal)
        return refusal;
    snprintf(name, sizeof(name), "%.*s", (int)f->raw.name.size,
             (const char *)f->raw.name.data);
    return name;
}

static const struct raw_field *field(const struct fixture *f, const char *path)
{
    for (size_t i = 0; i < f->raw.field_count; i++)
        if (span_equal(f->raw.fields[i].path, span_text(path)))
            return &f->raw.fields[i];
    return NULL;
}

static void makes_fields_of_all_kinds(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f,
          "delimiter: \"\\t\"\n"
          "time: {column: at, format: unix}\n"
          "fields:\n"
          "  a: text\n"
          "  b: {column: int, as: int, absolute: true}\n"
          "  c: {column: money, as: money, absolute: true}\n"
          "  d: {column: yes no, as: bool}\n"
          "  e: {column: day, as: time}\n"
          "  f: {value: GBP}\n"
          "  g: {value: \"-7\", as: int, absolute: true}\n"
          "rows: [{event: {column: kind}}]\n",
          "text\tint\tmoney\tyes no\tday\tat\tkind\n"
          "x\t-5\t-2.55\tNO\t1970-01-02\t1.5\tSold\n"
          "\tfive\t0.1234567\tperhaps\ttoday\t1\tSold\n"
          "\t-9223372036854775808\t\ttrue\t\t1\tSold\n"
          "x\t1\t1\t1\t1970-01-02\tnoon\tSold\n"
          "x\t1\t1\t1\t1970-01-02\t1\t\n");
    bind(&f);
    assert_string_equal(next(&f), "Sold");
    assert_int_equal(f.raw.time_ms, 1500);
    assert_int_equal(f.raw.field_count, 7);
    assert_true(span_equal(field(&f, "a")->text, span_text("x")));
    assert_int_equal(field(&f, "b")->kind, RAW_INT);
    assert_int_equal(field(&f, "b")->number, 5);
    assert_int_equal(field(&f, "c")->kind, RAW_MONEY);
    assert_int_equal(field(&f, "c")->number, 2550000);
    assert_int_equal(field(&f, "d")->kind, RAW_BOOL);
    assert_int_equal(field(&f, "d")->number, 0);
    assert_int_equal(field(&f, "e")->number, DAY_MS);
    assert_true(span_equal(field(&f, "f")->text, span_text("GBP")));
    assert_int_equal(field(&f, "g")->number, 7);

    assert_string_equal(next(&f), "Sold"); /* what does not fit stays text */
    assert_int_equal(f.raw.field_count, 6);
    assert_null(field(&f, "a"));
    for (const char *path = "b\0c\0d\0e\0"; *path; path += 2)
        assert_int_equal(field(&f, path)->kind, RAW_TEXT);
    assert_true(span_equal(field(&f, "c")->text, span_text("0.1234567")));

    assert_string_equal(next(&f), "Sold"); /* it has no absolute value */
    assert_int_equal(field(&f, "b")->kind, RAW_TEXT);
    assert_int_equal(field(&f, "d")->number, 1);
    assert_string_equal(next(&f), "bad_time");
    assert_string_equal(next(&f), MAP_BAD_ROW); /* an event without a name */
    end(&f);
}

static void times_may_be_iso_or_milliseconds(void **state)
{
    static const char *const formats[] = {"iso", "unix_ms"};
    static const char *const cells[] = {"1970-01-01T00:00:01.500Z", "1500"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char yaml[200], csv[100];
        struct fixture f;

        snprintf(yaml, sizeof(yaml),
                 "time: {column: at, format: %s}\nfields: {a: who}\n"
                 "rows: [{event: E}]\n",
                 formats[i]);
        snprintf(csv, sizeof(csv), "who,at\nx,%s\nx,%s\n", cells[i],
                 cells[1 - i]);
        begin(&f, yaml, csv);
        bind(&f);
        assert_string_equal(next(&f), "E");
        assert_int_equal(f.raw.time_ms, 1500);
        assert_string_equal(next(&f), "bad_time");
        end(&f);
    }
}

/* One condition against one cell. */
static void conditions_hold_as_written(void **state)
{
    static const struct {
        const char *condition, *cell;
        bool holds;
    } rows[] = {
        {"x > 0", "0.000001", true},   {"x > 0", "0", false},
        {"x > 0", "-1", false},        {"x > 0", "", false},
        {"x > 0", "one", false},       {"x > 0", "0.0000001", false},
        {"x >= 2.5", "2.50", true},    {"x >= 2.5", "2.49", false},
        {"x < -1", "-1.000001", true}, {"x < -1", "-1", false},
        {"x <= -1", "-1", true},       {"x <= -1", "0", false},
        {"x = 5", "5.0", true},        {"x = 5", "6", false},
        {"x = 5", "five", false},      {"x != 5", "6", true},
        {"x != 5", "5.0", false},      {"x != 5", "five", false},
        {"x = a b", "a b", true},      {"x = a b", "a", false},
        {"x != a b", "a", true},       {"x != a b", "a b", false},
        {"x starts C", "C1", true},    {"x starts C", "c1", false},
        {"x starts CC", "C", false},   {"x not starts C", "1", true},
        {"x not starts C", "", true},  {"x not starts C", "C1", false},
        {"x is empty", "", true},      {"x is empty", " ", false},
        {"x not empty", "a", true},    {"x not empty", "", false},
        {"x y z = 1", "1", true},      {"x > y starts q", "q", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char yaml[200], csv[100];
        struct fixture f;

        snprintf(yaml, sizeof(yaml),
                 HEAD "rows:\n  - when: [\"%s\"]\n    event: E\n",
                 rows[i].condition);
        snprintf(csv, sizeof(csv), "who,at,x,x y z\nu,1970-01-01,%s,%s\n",
                 rows[i].cell, rows[i].cell);
        if (strncmp(rows[i].condition, "x > y", 5) == 0) {
            /* the first test in the text counts, so this is no number */
            assert_int_equal(load(&f, yaml), SOTTO_EINVAL);
            continue;
        }
        begin(&f, yaml, csv);
        bind(&f);
        if (strcmp(next(&f), rows[i].holds ? "E" : MAP_UNMATCHED) != 0)
            fail_msg("%s of \"%s\"", rows[i].condition, rows[i].cell);
        end(&f);
    }
}

static void the_first_rule_that_holds_decides(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f,
          HEAD "rows:\n"
               "  - when: \"n > 5\"\n"
               "    refuse: high\n"
               "  - when: [\"n > 3\", \"who = u\"]\n"
               "    event: Some\n"
               "  - when: [\"n > 3\"]\n"
               "    refuse: not-u\n"
               "  - refuse: rest\n",
          "n,who,at\n6,u,1970-01-01\n4,u,1970-01-01\n4,v,1970-01-01\n"
          "1,u,1970-01-01\n");
    bind(&f);
    assert_string_equal(next(&f), "high");
    assert_string_equal(next(&f), "Some");
    assert_string_equal(next(&f), "not-u");
    assert_string_equal(next(&f), "rest");
    end(&f);
}

static void columns_have_to_be_there_once(void **state)
{
    static const char *const csvs[] = {"who,when\n", "who,at,at\n",
                                       "Secret Name,2026\n"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct fixture f;

        begin(&f, HEAD "rows: [{event: E}]\n", csvs[i]);
        assert_int_equal(intake_map_bind(&f.binding, f.map, csv_header(f.csv),
                                         "a.csv", &f.why),
                         SOTTO_EINVAL);
        assert_non_null(strstr(f.why.text, "a.csv:1:"));
        assert_non_null(strstr(f.why.text, "\"at\""));
        assert_null(strstr(f.why.text, "Secret"));
        end(&f);
    }
}

static void consent_names_purposes_of_the_policy(void **state)
{
    struct policy *p = calloc(1, sizeof(*p));
    struct fixture f;
    uint32_t bits;

    (void)state;
    assert_non_null(p);
    p->purpose_count = 2;
    strcpy(p->purposes[0].name, "measure");
    strcpy(p->purposes[1].name, "personalise");
    assert_int_equal(
        load(&f, HEAD "consent: [personalise]\nrows: [{event: E}]\n"), 0);
    assert_int_equal(intake_map_consent(&bits, f.map, p, &f.why), SOTTO_OK);
    assert_int_equal(bits, 2);
    p->purpose_count = 1;
    assert_int_equal(intake_map_consent(&bits, f.map, p, &f.why), SOTTO_EINVAL);
    assert_non_null(strstr(f.why.text, "personalise"));
    intake_map_free(f.map);
    free(p);
}

#define EVENT "rows: [{event: E}]\n"
#define THIRTEEN                                                               \
    "rows: [{when: n > 0, refuse: a}, {when: n > 0, refuse: b},\n"             \
    " {when: n > 0, refuse: c}, {when: n > 0, refuse: d},\n"                   \
    " {when: n > 0, refuse: e}, {when: n > 0, refuse: f},\n"                   \
    " {when: n > 0, refuse: g}, {when: n > 0, refuse: h},\n"                   \
    " {when: n > 0, refuse: i}, {when: n > 0, refuse: j},\n"                   \
    " {when: n > 0, refuse: k}, {when: n > 0, refuse: l},\n"                   \
    " {when: n > 0, refuse: a}, {when: n > 0, refuse: %s}]\n"
#define FOUR_RULES                                                             \
    "{when: n > 0, refuse: a}, {when: n > 0, refuse: a}, "                     \
    "{when: n > 0, refuse: a}, {when: n > 0, refuse: a},"
#define NINE "[a > 1, a > 1, a > 1, a > 1, a > 1, a > 1, a > 1, a > 1, a > 1]"

static void every_slip_is_an_error_with_its_place(void **state)
{
    static const struct {
        const char *yaml, *place, *says;
    } rows[] = {
        {"fields: {a: b}\n" EVENT, "m.yaml:1:", "time"},
        {"time: {column: at}\n" EVENT, "m.yaml:1:", "fields"},
        {HEAD, "m.yaml:1:", "rows"},
        {HEAD "row: []\n", "m.yaml:4:", "did you mean `rows`"},
        {HEAD "format: xls\n" EVENT, "m.yaml:4:9:", "csv"},
        {HEAD "delimiter: ;;\n" EVENT, "m.yaml:4:", "over 1 byte"},
        {HEAD "delimiter: '\"'\n" EVENT, "m.yaml:1:", "delimiter"},
        {"time: {column: at, format: us}\nfields: {a: b}\n" EVENT,
         "m.yaml:1:", "unix_ms"},
        {"time: at\nfields: {a: b}\n" EVENT, "m.yaml:1:", "mapping"},
        {"time: {column: at}\nfields: [a]\n" EVENT,
         "m.yaml:2:", "path: column"},
        {HEAD "  b: {as: int}\n" EVENT, "m.yaml:4:", "`column` or `value`"},
        {HEAD "  b: {column: c, value: d}\n" EVENT,
         "m.yaml:4:", "`column` or `value`"},
        {HEAD "  b: {column: c, as: number}\n" EVENT, "m.yaml:4:", "money"},
        {HEAD "  b: {column: c, absolute: true}\n" EVENT,
         "m.yaml:4:", "absolute"},
        {HEAD "  b: {value: x, as: int}\n" EVENT, "m.yaml:4:", "type int"},
        {HEAD "  userId: c\n" EVENT, "m.yaml:4:", "twice"},
        {HEAD "consent: yes\n" EVENT, "m.yaml:4:", "list"},
        {HEAD "consent: {a: b}\n" EVENT, "m.yaml:4:", "list of purposes"},
        {HEAD "rows: []\n", "m.yaml:1:", "one rule"},
        {HEAD "rows: {a: b}\n", "m.yaml:4:", "list"},
        {HEAD "rows: [{when: a > 1}]\n", "m.yaml:4:", "`event` or `refuse`"},
        {HEAD "rows: [{event: E, refuse: f}]\n",
         "m.yaml:4:", "`event` or `refuse`"},
        {HEAD "rows: [{event: {colum: E}}]\n", "m.yaml:4:", "`column`"},
        {HEAD "rows: [{event: {}}]\n", "m.yaml:4:", "column"},
        {HEAD "rows:\n- refuse: a\n- refuse: b\n",
         "m.yaml:6:", "never reached"},
        {HEAD "rows: [{refuse: Too Big}]\n", "m.yaml:4:", "a-z"},
        {HEAD "rows: [{refuse: a23456789012345678901234567890123}]\n",
         "m.yaml:4:", "32"},
        {HEAD "rows: [{refuse: bad_row}]\n", "m.yaml:4:", "another name"},
        {HEAD "rows: [{refuse: no_consent}]\n", "m.yaml:4:", "another name"},
        {HEAD "rows: [{when: [a is big], refuse: b}]\n",
         "m.yaml:4:", "no condition"},
        {HEAD "rows: [{when: [a>1], refuse: b}]\n",
         "m.yaml:4:", "no condition"},
        {HEAD "rows: [{when: [\" > 1\"], refuse: b}]\n",
         "m.yaml:4:", "no condition"},
        {HEAD "rows: [{when: [\"a = \"], refuse: b}]\n",
         "m.yaml:4:", "is empty"},
        {HEAD "rows: [{when: [a > b], refuse: b}]\n", "m.yaml:4:", "number"},
        {HEAD "rows: [{when: [a > 0.1234567], refuse: b}]\n",
         "m.yaml:4:", "six decimals"},
        {HEAD "rows: [{when: {a: b}, refuse: b}]\n",
         "m.yaml:4:", "list of conditions"},
        {HEAD "rows: [{when: " NINE ", refuse: b}]\n",
         "m.yaml:4:", "8 conditions"},
        {HEAD "rows: [" FOUR_RULES FOUR_RULES FOUR_RULES FOUR_RULES
              " {refuse: b}]\n",
         "m.yaml:4:", "16 rules"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture f;
        enum sotto_err err = load(&f, rows[i].yaml);

        if (err != SOTTO_EINVAL)
            fail_msg("%d: %s", (int)err, rows[i].yaml);
        if (strncmp(f.why.text, rows[i].place, strlen(rows[i].place)) != 0 ||
            !strstr(f.why.text, rows[i].says))
            fail_msg("\"%s\" lacks \"%s\" or \"%s\"", f.why.text, rows[i].place,
                     rows[i].says);
    }
}

static void counts_twelve_names_of_refusals(void **state)
{
    char yaml[1000];
    struct fixture f;

    (void)state;
    snprintf(yaml, sizeof(yaml), HEAD THIRTEEN, "b");
    assert_int_equal(load(&f, yaml), SOTTO_OK);
    intake_map_free(f.map);
    snprintf(yaml, sizeof(yaml), HEAD THIRTEEN, "m");
    assert_int_equal(load(&f, yaml), SOTTO_EINVAL);
    assert_non_null(strstr(f.why.text, "12 names"));
}

static void a_rule_may_have_eight_conditions(void **state)
{
    struct fixture f;

    (void)state;
    if (load(&f, HEAD "rows: [{when: [a > 1, a > 1, a > 1, a > 1, a > 1, "
                      "a > 1, a > 1, a > 1], refuse: b}]\n"))
        fail_msg("%s", f.why.text);
    intake_map_free(f.map);
}

static void the_maps_that_are_shipped_load(void **state)
{
    static const char *const files[] = {
        SOTTO_CONF_DIR "/generic.map.yaml",
        SOTTO_CONF_DIR "/online-retail.map.yaml",
    };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;

        if (intake_map_load(&f.map, files[i], &f.why))
            fail_msg("%s", f.why.text);
        intake_map_free(f.map);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_fields_of_all_kinds),
        cmocka_unit_test(times_may_be_iso_or_milliseconds),
        cmocka_unit_test(conditions_hold_as_written),
        cmocka_unit_test(the_first_rule_that_holds_decides),
        cmocka_unit_test(columns_have_to_be_there_once),
        cmocka_unit_test(consent_names_purposes_of_the_policy),
        cmocka_unit_test(every_slip_is_an_error_with_its_place),
        cmocka_unit_test(counts_twelve_names_of_refusals),
        cmocka_unit_test(a_rule_may_have_eight_conditions),
        cmocka_unit_test(the_maps_that_are_shipped_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
