/* Segment calls: paths, names, times, consent; and lines that are none. */
#include "agent/intake_ndjson.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/when.h"

struct fixture {
    struct policy policy;
    struct ndjson *n;
    struct ndjson_row row;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct why why;

    assert_non_null(f);
    f->policy.purpose_count = 3;
    strcpy(f->policy.purposes[0].name, "measure");
    strcpy(f->policy.purposes[1].name, "personalise");
    strcpy(f->policy.purposes[2].name, "campaign");
    assert_int_equal(ndjson_open(&f->n, NULL, &f->policy, &why), SOTTO_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    ndjson_close(f->n);
    free(f);
    return 0;
}

static const struct ndjson_row *parse_span(struct fixture *f, struct span line)
{
    memset(&f->row, 0, sizeof(f->row));
    f->row.line = line;
    ndjson_parse(f->n, &f->row);
    return &f->row;
}

static const struct ndjson_row *parse(struct fixture *f, const char *line)
{
    return parse_span(f, span_text(line));
}

static const struct raw_field *field(const struct ndjson_row *row,
                                     const char *path)
{
    for (size_t i = 0; i < row->raw.field_count; i++)
        if (span_equal(row->raw.fields[i].path, span_text(path)))
            return &row->raw.fields[i];
    return NULL;
}

static void makes_fields_of_a_track_call(void **state)
{
    const struct ndjson_row *row = parse(
        *state,
        "{\"type\":\"track\",\"event\":\"Product Viewed\",\"userId\":\"u1\","
        "\"timestamp\":\"2026-12-01T08:26:00.123Z\",\"anonymousId\":7,"
        "\"properties\":{\"price\":2.5,\"quantity\":3,\"gift\":true,"
        "\"none\":null,\"products\":[{\"x\":1}]},"
        "\"context\":{\"page\":{\"url\":\"/caf\\u00e9\"}}}");

    assert_null(row->wrong);
    assert_true(span_equal(row->raw.name, span_text("Product Viewed")));
    assert_int_equal(row->raw.time_ms, INT64_C(1796113560123));
    assert_int_equal(row->raw.field_count, 6);
    assert_true(span_equal(field(row, "userId")->text, span_text("u1")));
    assert_int_equal(field(row, "anonymousId")->kind, RAW_INT);
    assert_int_equal(field(row, "anonymousId")->number, 7);
    assert_int_equal(field(row, "properties.price")->kind, RAW_REAL);
    assert_true(field(row, "properties.price")->real == 2.5);
    assert_int_equal(field(row, "properties.quantity")->number, 3);
    assert_int_equal(field(row, "properties.gift")->kind, RAW_BOOL);
    assert_int_equal(field(row, "properties.gift")->number, 1);
    assert_true(span_equal(field(row, "context.page.url")->text,
                           span_text("/caf\xc3\xa9")));
}

static void names_the_other_calls(void **state)
{
    static const char *const names[][2] = {
        {"page", "Page"},   {"screen", "Screen"}, {"identify", "Identify"},
        {"group", "Group"}, {"alias", "Alias"},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char line[100];

        snprintf(line, sizeof(line), "{\"type\":\"%s\",\"name\":\"home\"}",
                 names[i][0]);
        assert_null(parse(*state, line)->wrong);
        assert_true(span_equal(((struct fixture *)*state)->row.raw.name,
                               span_text(names[i][1])));
    }
}

static void reads_times(void **state)
{
    static const struct {
        const char *members;
        int64_t ms;
        bool wrong;
    } rows[] = {
        {"\"a\":1", WHEN_NONE, false},
        {"\"timestamp\":1796113560123", INT64_C(1796113560123), false},
        {"\"timestamp\":null,\"originalTimestamp\":\"1970-01-02\"", DAY_MS,
         false},
        {"\"timestamp\":5,\"originalTimestamp\":\"1970-01-02\"", 5, false},
        {"\"timestamp\":\"soon\"", WHEN_NONE, true},
        {"\"timestamp\":1.5", WHEN_NONE, true},
        {"\"timestamp\":{}", WHEN_NONE, true},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char line[200];
        const struct ndjson_row *row;

        snprintf(line, sizeof(line), "{\"type\":\"page\",%s}", rows[i].members);
        row = parse(*state, line);
        assert_null(row->wrong);
        assert_int_equal(row->time_wrong, rows[i].wrong);
        if (!rows[i].wrong)
            assert_int_equal(row->raw.time_ms, rows[i].ms);
    }
}

static void reads_consent_by_purpose(void **state)
{
    const struct ndjson_row *row =
        parse(*state, "{\"type\":\"page\",\"context\":{\"consent\":"
                      "{\"categoryPreferences\":{\"campaign\":true,"
                      "\"measure\":false,\"other\":true,"
                      "\"personalise\":\"yes\"}}}}");

    assert_null(row->wrong);
    assert_int_equal(row->consent_known, 1u | 4u);
    assert_int_equal(row->consent_granted, 4u);
    row = parse(*state, "{\"type\":\"page\"}");
    assert_int_equal(row->consent_known, 0);
}

static void refuses_what_is_no_call(void **state)
{
    static const char *const lines[] = {
        "",
        "{",
        "[]",
        "3",
        "{}",
        "{\"type\":\"track\"}",
        "{\"type\":\"track\",\"event\":\"\"}",
        "{\"type\":\"track\",\"event\":3}",
        "{\"type\":\"other\"}",
        "{\"type\":3}",
        "{\"type\":\"page\",\"a\":1,\"a\":2}",
        "{\"type\":\"page\"} x",
        "{\"type\":\"page\",\"a\":\"\xff\"}",
        "{\"type\":\"page\",\"a\":\"\\u0000\"}",
        "{\"type\":\"page\",\"a\":99999999999999999999}",
        "{\"type\":\"page\",\"a\":1e999}",
    };

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_non_null(parse(*state, lines[i])->wrong);
    assert_non_null(
        parse_span(*state, span_of("{\"type\":\"page\"\0}", 16))->wrong);
}

/* Nesting: too deep for a path, and as deep as a line can be. */
static void bounds_the_depth(void **state)
{
    static const int depths[] = {NDJSON_DEPTH_MAX - 1, NDJSON_DEPTH_MAX, 2000,
                                 10000};

    for (size_t i = 0; i < 4; i++) {
        struct buf b;

        buf_init(&b, INTAKE_ROW_MAX);
        buf_append(&b, "{\"type\":\"page\",\"a\":", 19);
        for (int d = 1; d < depths[i]; d++)
            buf_append(&b, "{\"a\":", 5);
        buf_append(&b, "{}", 2);
        for (int d = 0; d < depths[i]; d++)
            buf_append(&b, "}", 1);
        assert_int_equal(
            parse_span(*state, span_of(b.data, b.size))->wrong != NULL, i > 0);
        buf_fini(&b);
    }
}

static void bounds_fields_and_paths(void **state)
{
    for (int count = RAW_FIELDS_MAX; count <= RAW_FIELDS_MAX + 1; count++) {
        char line[4000] = "{\"type\":\"page\"";
        size_t used = strlen(line);
        const struct ndjson_row *row;

        for (int i = 0; i < count; i++)
            used += (size_t)snprintf(line + used, sizeof(line) - used,
                                     ",\"f%d\":%d", i, i);
        snprintf(line + used, sizeof(line) - used, "}");
        row = parse(*state, line);
        assert_int_equal(row->wrong != NULL, count > RAW_FIELDS_MAX);
    }
    for (int size = PATH_MAX_SIZE - 2; size <= PATH_MAX_SIZE; size++) {
        char key[PATH_MAX_SIZE + 1] = "", line[200];
        const struct ndjson_row *row;

        memset(key, 'k', (size_t)size - 1);
        snprintf(line, sizeof(line),
                 "{\"type\":\"page\",\"p\":{\"%s\":1,\"\":2}}", key);
        row = parse(*state, line);
        assert_null(row->wrong);
        assert_int_equal(row->raw.field_count, size + 1 <= PATH_MAX_SIZE);
    }
}

static void reads_lines_and_passes_over_blank_ones(void **state)
{
    struct buf b;
    struct intake_source *s;
    struct ndjson *n;
    struct ndjson_row *row;
    struct why why;

    (void)state;
    buf_init(&b, 200000);
    buf_append(&b, "{}\r\n\n \t\n", 8);
    buf_reserve(&b, INTAKE_ROW_MAX + 1);
    memset(b.data + b.size, ' ', INTAKE_ROW_MAX + 1);
    b.size += INTAKE_ROW_MAX + 1;
    buf_append(&b, "\n{\"type\":\"page\"}", 16);
    assert_int_equal(
        intake_source_open_bytes(&s, "a", span_of(b.data, b.size), &why), 0);
    assert_int_equal(ndjson_open(&n, s, NULL, &why), SOTTO_OK);
    assert_int_equal(ndjson_next(&row, n, &why), SOTTO_OK);
    assert_true(span_equal(row->line, span_text("{}")));
    assert_int_equal(ndjson_next(&row, n, &why), SOTTO_OK);
    ndjson_parse(n, row);
    assert_non_null(row->wrong);
    assert_int_equal(row->line_number, 4);
    assert_int_equal(ndjson_next(&row, n, &why), SOTTO_OK);
    ndjson_parse(n, row);
    assert_null(row->wrong);
    assert_int_equal(row->line_number, 5);
    assert_int_equal(row->number, 3);
    assert_int_equal(ndjson_next(&row, n, &why), SOTTO_OK);
    assert_null(row);
    ndjson_close(n);
    intake_source_close(s);
    buf_fini(&b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(makes_fields_of_a_track_call),
        TEST(names_the_other_calls),
        TEST(reads_times),
        TEST(reads_consent_by_purpose),
        TEST(refuses_what_is_no_call),
        TEST(bounds_the_depth),
        TEST(bounds_fields_and_paths),
        cmocka_unit_test(reads_lines_and_passes_over_blank_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
