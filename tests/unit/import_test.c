/* Imports: each row once, whatever stops a run and wherever it goes on. */
#include "agent/import.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/when.h"

static const uint8_t key[32] = {1, 2, 3};

/* A store: what was stored, with the cursor that came with it. */
struct store {
    uint64_t events;       /* taken */
    uint64_t sum;          /* of their field n, to tell events apart */
    uint64_t refunds;      /* of them, by name */
    uint64_t with_user[2]; /* by is-refund */
    uint64_t calls, cursor_calls;
    uint64_t fail_at_call; /* 0: never */
    uint64_t drop_every;   /* the policy drops events whose n it divides */
    uint64_t progress_rows;
    uint32_t known, granted;
    struct import_cursor cursor;
    bool has_cursor;
};

static const struct raw_field *field(const struct raw_event *raw,
                                     const char *path)
{
    for (size_t i = 0; i < raw->field_count; i++)
        if (span_equal(raw->fields[i].path, span_text(path)))
            return &raw->fields[i];
    return NULL;
}

static enum sotto_err take(void *context, const struct raw_event *raw,
                           uint32_t known, uint32_t granted,
                           const struct import_cursor *cursor,
                           enum drop_reason *dropped)
{
    struct store *s = context;
    const struct raw_field *n;

    if (++s->calls == s->fail_at_call)
        return SOTTO_ECLOSED;
    if (raw) {
        bool refund = span_equal(raw->name, span_text("Order Refunded"));

        assert_int_equal(cursor->done, 0);
        n = field(raw, "n");
        if (n && s->drop_every && (uint64_t)n->number % s->drop_every == 0) {
            *dropped = DROP_NO_CONSENT;
            return SOTTO_OK;
        }
        s->events++;
        s->sum += n ? (uint64_t)n->number : 0;
        s->refunds += refund;
        s->with_user[refund] += field(raw, "userId") != NULL;
        s->known = known;
        s->granted = granted;
    } else {
        s->cursor_calls++;
    }
    if (s->has_cursor)
        assert_true(cursor->row >= s->cursor.row);
    s->cursor = *cursor;
    s->has_cursor = true;
    return SOTTO_OK;
}

static enum sotto_err progress(void *context, uint64_t rows, uint64_t bytes,
                               uint64_t total)
{
    struct store *s = context;

    assert_true(bytes <= total);
    s->progress_rows = rows;
    return SOTTO_OK;
}

static struct why why;

static enum sotto_err run(struct store *s, const struct import_options *o,
                          struct import_report *report)
{
    const struct import_cursor none = {.row = 0};
    const struct import_cursor start = s->has_cursor ? s->cursor : none;
    const struct import_sink sink = {take, progress, s};

    return import_run(o, &start, &sink, report, &why);
}

static uint64_t reason(const struct import_cursor *c, const char *name)
{
    for (size_t i = 0; i < c->reason_count; i++)
        if (strcmp(c->reasons[i].name, name) == 0)
            return c->reasons[i].count;
    return 0;
}

static uint64_t reasons(const struct import_cursor *c)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < c->reason_count; i++)
        sum += c->reasons[i].count;
    return sum;
}

struct fixture {
    char file[40];
    struct intake_map *map;
    struct import_options csv, ndjson;
};

static void write_file(const struct fixture *f, const char *text, size_t size)
{
    FILE *out = fopen(f->file, "wb");

    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
}

static int setup(void **state)
{
    static const char yaml[] = "time: {column: at}\n"
                               "fields: {n: {column: n, as: int}}\n"
                               "consent: [personalise]\n"
                               "rows:\n"
                               "  - when: [\"n < 0\"]\n"
                               "    refuse: negative\n"
                               "  - when: [\"n > 0\"]\n"
                               "    event: E\n";
    struct fixture *f = calloc(1, sizeof(*f));
    int fd;

    assert_non_null(f);
    strcpy(f->file, "/tmp/sotto_importXXXXXX");
    fd = mkstemp(f->file);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(
        intake_map_load_text(&f->map, "m.yaml", span_text(yaml), &why), 0);
    f->csv.file = f->ndjson.file = f->file;
    f->csv.key = f->ndjson.key = key;
    f->csv.map = f->map;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    unlink(f->file);
    intake_map_free(f->map);
    free(f);
    return 0;
}

/* Rows of every kind: events, refused by name, unmatched, without a time, not
 * rows at all. The n of an event is a power of two, so that a sum tells which
 * were taken how often. */
static const char small_csv[] = "at,n\n"
                                "1970-01-01,1\n"
                                "1970-01-01,-1\n"
                                "1970-01-01,2\n"
                                "never,4\n"
                                "1970-01-01,\"8\"\n"
                                "ragged\n"
                                "1970-01-01,0\n"
                                "1970-01-01,16\n"
                                "1970-01-01,-1\n";
#define SMALL_ROWS 9
#define SMALL_SUM (1 + 2 + 8 + 16)

static const char small_ndjson[] =
    "{\"type\":\"page\",\"n\":1,\"timestamp\":5}\n"
    "\n"
    "not json\n"
    "{\"type\":\"page\",\"n\":2,\"timestamp\":5}\n"
    "{\"type\":\"page\",\"n\":4}\n"
    "{\"type\":\"page\",\"n\":8,\"timestamp\":\"never\"}\n"
    "{\"type\":\"page\",\"n\":16,\"timestamp\":5}\n";

static void expect_small(const struct store *s)
{
    assert_int_equal(s->events, 4);
    assert_int_equal(s->sum, SMALL_SUM);
    assert_int_equal(s->cursor.row, SMALL_ROWS);
    assert_int_equal(s->cursor.done, 1);
    assert_int_equal(reason(&s->cursor, "negative"), 2);
    assert_int_equal(reason(&s->cursor, "bad_time"), 1);
    assert_int_equal(reason(&s->cursor, MAP_BAD_ROW), 1);
    assert_int_equal(reason(&s->cursor, MAP_UNMATCHED), 1);
    assert_int_equal(reasons(&s->cursor), 5);
}

static void every_row_is_an_event_or_counted(void **state)
{
    struct fixture *f = *state;
    struct store s = {.events = 0};
    struct import_report report;

    write_file(f, small_csv, strlen(small_csv));
    assert_int_equal(run(&s, &f->csv, &report), SOTTO_OK);
    expect_small(&s);
    assert_int_equal(report.rows, SMALL_ROWS);
    assert_int_equal(report.accepted, 4);
    assert_int_equal(report.skipped, 0);
    assert_int_equal(s.progress_rows, SMALL_ROWS);
    assert_memory_equal(&report.cursor, &s.cursor, sizeof(s.cursor));
}

static void ndjson_rows_are_events_or_counted(void **state)
{
    struct fixture *f = *state;
    struct store s = {.events = 0};
    struct import_report report;

    write_file(f, small_ndjson, strlen(small_ndjson));
    assert_int_equal(run(&s, &f->ndjson, &report), SOTTO_OK);
    assert_int_equal(s.sum, 1 + 2 + 16);
    assert_int_equal(report.rows, 6);
    assert_int_equal(reason(&report.cursor, MAP_BAD_ROW), 1);
    assert_int_equal(reason(&report.cursor, "bad_time"), 2);
}

/* The sink fails at its nth call, for every n; the next run goes on from what
 * was stored. */
static void resumes_at_every_row(void **state)
{
    struct fixture *f = *state;

    write_file(f, small_csv, strlen(small_csv));
    for (uint64_t n = 1; n <= 5; n++) {
        struct store s = {.fail_at_call = n};
        struct import_report report;
        uint64_t stored_reasons;

        assert_int_equal(run(&s, &f->csv, &report), SOTTO_ECLOSED);
        s.fail_at_call = 0;
        stored_reasons = reasons(&s.cursor);
        assert_int_equal(run(&s, &f->csv, &report), SOTTO_OK);
        expect_small(&s);
        assert_int_equal(report.skipped + report.accepted +
                             reasons(&report.cursor) - stored_reasons,
                         SMALL_ROWS);
    }
}

/* The same from the report's cursor, which also speaks of refused rows, with a
 * run for each call of the sink. */
static void goes_on_from_a_reported_cursor(void **state)
{
    struct fixture *f = *state;
    struct store s = {.events = 0};
    struct import_report report;
    enum sotto_err err;
    int runs = 0;

    write_file(f, small_csv, strlen(small_csv));
    do {
        s.fail_at_call = s.calls + 2; /* one call succeeds */
        err = run(&s, &f->csv, &report);
        s.cursor = report.cursor;
        s.has_cursor = true;
        runs++;
    } while (err == SOTTO_ECLOSED);
    assert_int_equal(err, SOTTO_OK);
    assert_int_equal(runs, 5);
    expect_small(&s);
}

static void a_finished_file_adds_nothing_until_it_grows(void **state)
{
    struct fixture *f = *state;
    struct store s = {.events = 0};
    struct import_report report;
    uint64_t calls;
    char longer[300];
    int size = snprintf(longer, sizeof(longer), "%s1970-01-01,32\n", small_csv);

    write_file(f, small_csv, strlen(small_csv));
    assert_int_equal(run(&s, &f->csv, &report), SOTTO_OK);
    calls = s.calls;
    assert_int_equal(run(&s, &f->csv, &report), SOTTO_OK);
    assert_int_equal(s.calls, calls);
    assert_int_equal(report.skipped, SMALL_ROWS);
    assert_int_equal(report.accepted, 0);
    expect_small(&s);

    write_file(f, longer, (size_t)size);
    assert_int_equal(run(&s, &f->csv, &report), SOTTO_OK);
    assert_int_equal(report.accepted, 1);
    assert_int_equal(s.sum, SMALL_SUM + 32);
    assert_int_equal(s.cursor.done, 1);
}

/* Each byte of what was read, changed; and rows that went away. */
static void a_changed_file_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct store first = {.events = 0};
    struct import_report report;
    char text[sizeof(small_csv)];

    write_file(f, small_csv, strlen(small_csv));
    assert_int_equal(run(&first, &f->csv, &report), SOTTO_OK);
    for (size_t i = strlen("at,n\n"); i < strlen(small_csv); i++) {
        struct store s = first;

        memcpy(text, small_csv, sizeof(text));
        text[i] = text[i] == '7' ? '8' : '7';
        if (small_csv[i] == '\n' && i + 1 == strlen(small_csv))
            continue; /* see below: the last row grows */
        write_file(f, text, strlen(text));
        assert_int_equal(run(&s, &f->csv, &report), SOTTO_ECRYPTO);
        assert_int_equal(s.calls, first.calls);
        assert_non_null(strstr(why.text, "before row 9"));
    }
    for (size_t size = strlen("at,n\n"); size < strlen(small_csv) - 1; size++) {
        struct store s = first;

        write_file(f, small_csv, size);
        assert_int_equal(run(&s, &f->csv, &report), SOTTO_ECRYPTO);
    }
    memcpy(text, small_csv, sizeof(text));
    memcpy(text, "n,at", 4); /* the columns changed places */
    write_file(f, text, strlen(text));
    assert_int_equal(run(&first, &f->csv, &report), SOTTO_ECRYPTO);
}

static void what_the_policy_drops_is_counted_by_its_reason(void **state)
{
    struct fixture *f = *state;

    write_file(f, small_csv, strlen(small_csv));
    for (uint64_t n = 0; n <= 4; n++) {
        struct store s = {.drop_every = 2, .fail_at_call = n};
        struct import_report report;

        if (n > 0) {
            enum sotto_err err = run(&s, &f->csv, &report);

            assert_int_equal(err, SOTTO_ECLOSED);
            s.fail_at_call = 0;
        }
        assert_int_equal(run(&s, &f->csv, &report), SOTTO_OK);
        assert_int_equal(s.sum, 1);
        assert_int_equal(reason(&s.cursor, "no_consent"), 3);
        assert_int_equal(reasons(&s.cursor), 8);
    }
}

static void the_cursor_is_saved_among_refused_rows(void **state)
{
    struct fixture *f = *state;
    struct store s = {.events = 0};
    struct import_report report;
    struct buf b;

    buf_init(&b, 1000000);
    buf_append(&b, "at,n\n", 5);
    for (int i = 0; i < 25000; i++)
        buf_append(&b, "1970-01-01,-1\n", 14);
    write_file(f, (const char *)b.data, b.size);
    buf_fini(&b);
    s.fail_at_call = 3;
    assert_int_equal(run(&s, &f->csv, &report), SOTTO_ECLOSED);
    assert_int_equal(s.cursor_calls, 2);
    assert_int_equal(s.cursor.row, 20000);
    assert_int_equal(s.cursor.done, 0);
    s.fail_at_call = 0;
    assert_int_equal(run(&s, &f->csv, &report), SOTTO_OK);
    assert_int_equal(reason(&s.cursor, "negative"), 25000);
}

static void consent_comes_from_the_map_or_the_event(void **state)
{
    static const char line[] =
        "{\"type\":\"page\",\"timestamp\":5,\"context\":{\"consent\":"
        "{\"categoryPreferences\":{\"measure\":false,\"personalise\":true}}}}";
    struct fixture *f = *state;
    struct store s = {.events = 0}, t = {.events = 0};
    struct import_report report;
    struct policy *p = calloc(1, sizeof(*p));

    assert_non_null(p);
    p->purpose_count = 2;
    strcpy(p->purposes[0].name, "measure");
    strcpy(p->purposes[1].name, "personalise");
    f->csv.policy = f->ndjson.policy = p;
    write_file(f, small_csv, strlen(small_csv));
    assert_int_equal(run(&s, &f->csv, &report), SOTTO_OK);
    assert_int_equal(s.known, 2);
    assert_int_equal(s.granted, 2);
    write_file(f, line, strlen(line));
    assert_int_equal(run(&t, &f->ndjson, &report), SOTTO_OK);
    assert_int_equal(t.known, 3);
    assert_int_equal(t.granted, 2);
    p->purpose_count = 1; /* the map names one that is not there */
    write_file(f, small_csv, strlen(small_csv));
    assert_int_equal(run(&s, &f->csv, &report), SOTTO_EINVAL);
    free(p);
}

static void sources_are_told_apart_by_name_and_key(void **state)
{
    struct fixture *f = *state;
    struct store s = {.events = 0};
    struct import_report report;
    struct import_options other = f->csv;
    static const uint8_t key2[32] = {9};
    uint8_t a[16], b[16];

    import_source_id(a, &f->csv);
    other.source_name = "other";
    import_source_id(b, &other);
    assert_memory_not_equal(a, b, 16);
    other.source_name = f->file; /* the default is the real path */
    import_source_id(b, &other);
    assert_memory_equal(a, b, 16);
    other.key = key2;
    import_source_id(b, &other);
    assert_memory_not_equal(a, b, 16);

    write_file(f, small_csv, strlen(small_csv));
    assert_int_equal(run(&s, &f->csv, &report), SOTTO_OK);
    assert_int_equal(run(&s, &other, &report), SOTTO_EINVAL);
}

static void an_unreadable_file_ends_it(void **state)
{
    struct fixture *f = *state;
    struct store s = {.events = 0};
    struct import_report report;

    write_file(f, "", 0);
    assert_int_equal(run(&s, &f->csv, &report), SOTTO_EDECODE);
    write_file(f, "\x1f\x8b\x08", 3);
    assert_int_equal(run(&s, &f->ndjson, &report), SOTTO_EDECODE);
    write_file(f, "at,m\n", 5);
    assert_int_equal(run(&s, &f->csv, &report), SOTTO_EINVAL);
    unlink(f->file);
    assert_int_equal(run(&s, &f->csv, &report), SOTTO_ENOTFOUND);
    assert_int_equal(s.calls, 0);
}

/* Counts found with another program (Python's csv module). */
static void online_retail_counts_come_out(void **state)
{
    static const char file[] =
        SOTTO_SHARED_DIR "/data/online-retail/online_retail.csv.xz";
    struct import_options o = {.file = file, .source_name = "r", .key = key};
    struct intake_map *map;
    struct store s = {.events = 0};
    struct import_report report;

    (void)state;
    if (access(file, R_OK) != 0) {
        print_message("skipped: %s is not there\n", file);
        skip();
    }
    assert_int_equal(
        intake_map_load(&map, SOTTO_CONF_DIR "/online-retail.map.yaml", &why),
        SOTTO_OK);
    o.map = map;
    s.fail_at_call = 300000;
    assert_int_equal(run(&s, &o, &report), SOTTO_ECLOSED);
    s.fail_at_call = 0;
    assert_int_equal(run(&s, &o, &report), SOTTO_OK);
    assert_int_equal(s.events - s.refunds, 530103);
    assert_int_equal(s.with_user[0], 397884);
    assert_int_equal(s.refunds, 9288);
    assert_int_equal(s.with_user[1], 8905);
    assert_int_equal(reason(&s.cursor, "adjustment"), 3);
    assert_int_equal(reason(&s.cursor, "write_off"), 1336);
    assert_int_equal(reason(&s.cursor, "zero_price"), 1179);
    assert_int_equal(reasons(&s.cursor), 3 + 1336 + 1179);
    assert_int_equal(s.cursor.row, 541909);
    assert_int_equal(s.cursor.done, 1);
    intake_map_free(map);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_row_is_an_event_or_counted),
        TEST(ndjson_rows_are_events_or_counted),
        TEST(resumes_at_every_row),
        TEST(goes_on_from_a_reported_cursor),
        TEST(a_finished_file_adds_nothing_until_it_grows),
        TEST(a_changed_file_is_noticed),
        TEST(what_the_policy_drops_is_counted_by_its_reason),
        TEST(the_cursor_is_saved_among_refused_rows),
        TEST(consent_comes_from_the_map_or_the_event),
        TEST(sources_are_told_apart_by_name_and_key),
        TEST(an_unreadable_file_ends_it),
        cmocka_unit_test(online_retail_counts_come_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
