/* CSV: what a writer wrote is what the reader gives, and a bad row costs one
 * row. */
#include "agent/intake_csv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15); /* SplitMix64, Steele et al. */
    uint64_t z = *state;

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

struct reader {
    struct intake_source *source;
    struct csv *csv;
    struct why why;
};

static enum sotto_err reader_try(struct reader *r, struct span bytes)
{
    enum sotto_err err;

    r->csv = NULL;
    assert_int_equal(
        intake_source_open_bytes(&r->source, "a.csv", bytes, &r->why),
        SOTTO_OK);
    err = csv_open(&r->csv, r->source, ',', &r->why);
    if (err)
        intake_source_close(r->source);
    return err;
}

static void reader_open(struct reader *r, struct span bytes)
{
    assert_int_equal(reader_try(r, bytes), SOTTO_OK);
}

static const struct csv_row *next(struct reader *r)
{
    const struct csv_row *row;

    assert_int_equal(csv_next(&row, r->csv, &r->why), SOTTO_OK);
    return row;
}

static void reader_close(struct reader *r)
{
    assert_null(next(r)); /* all was read, and it stays so */
    assert_null(next(r));
    csv_close(r->csv);
    intake_source_close(r->source);
}

static void expect_cell(const struct csv_row *row, size_t at, const char *want)
{
    assert_non_null(row);
    assert_null(row->wrong);
    assert_true(at < row->column_count);
    assert_true(span_equal(row->columns[at], span_text(want)));
}

static void reads_rfc_4180(void **state)
{
    static const char text[] = "\xef\xbb\xbf"
                               "a,\"b \"\"c\",d\r\n"
                               "1,,\"x,y\"\r\n"
                               "\r\n"
                               "\"two\nlines\",\"\",5\" wide\n"
                               "\"\"\"\",q,last";
    struct reader r;
    const struct csv_row *row;

    (void)state;
    reader_open(&r, span_text(text));
    assert_int_equal(csv_header(r.csv)->column_count, 3);
    expect_cell(csv_header(r.csv), 0, "a");
    expect_cell(csv_header(r.csv), 1, "b \"c");
    row = next(&r);
    expect_cell(row, 0, "1");
    expect_cell(row, 1, "");
    expect_cell(row, 2, "x,y");
    assert_true(span_equal(row->raw, span_text("1,,\"x,y\"")));
    row = next(&r);
    expect_cell(row, 0, "two\nlines");
    expect_cell(row, 1, "");
    expect_cell(row, 2, "5\" wide");
    assert_int_equal(row->line, 4);
    row = next(&r);
    expect_cell(row, 0, "\"");
    expect_cell(row, 2, "last");
    assert_int_equal(row->line, 6);
    assert_int_equal(row->number, 3);
    expect_cell(csv_header(r.csv), 1, "b \"c"); /* it stayed */
    reader_close(&r);
}

#define COLUMNS 5
#define ROWS 400
#define CELL_MAX 24

static void put_cell(struct buf *b, struct span cell, bool quote)
{
    assert_int_equal(buf_append(b, "\"", quote), SOTTO_OK);
    for (size_t i = 0; i < cell.size; i++) {
        assert_int_equal(buf_append(b, "\"", cell.data[i] == '"'), SOTTO_OK);
        assert_int_equal(buf_append(b, &cell.data[i], 1), SOTTO_OK);
    }
    assert_int_equal(buf_append(b, "\"", quote), SOTTO_OK);
}

/* Random cells of the characters that matter; long ones now and then, so that
 * rows cross the window's end at all places. */
static void what_was_written_is_read(void **state)
{
    static const uint8_t alphabet[] = {'a', ',', '"', '\r', '\n', ' ', 0xc3};
    static uint8_t cells[ROWS][COLUMNS][CELL_MAX];
    static size_t sizes[ROWS][COLUMNS], pads[ROWS];
    static uint8_t pad[4000];
    uint64_t seed = 7;

    (void)state;
    memset(pad, 'p', sizeof(pad));
    for (int turn = 0; turn < 20; turn++) {
        struct reader r;
        struct buf b;

        buf_init(&b, 16 * 1024 * 1024);
        buf_append(&b, "a,b,c,d,e,f\n", 12);
        for (size_t i = 0; i < ROWS; i++) {
            for (size_t j = 0; j < COLUMNS; j++) {
                bool quote = next_random(&seed) % 2;
                size_t size = sizes[i][j] = next_random(&seed) % CELL_MAX;

                for (size_t k = 0; k < size; k++) {
                    cells[i][j][k] = alphabet[next_random(&seed) % 7];
                    quote |= strchr(",\"\r\n", cells[i][j][k]) != NULL;
                }
                put_cell(&b, span_of(cells[i][j], size), quote);
                buf_append(&b, ",", 1);
            }
            pads[i] = next_random(&seed) % sizeof(pad);
            buf_append(&b, pad, pads[i]);
            if (next_random(&seed) % 2)
                buf_append(&b, "\r", 1);
            buf_append(&b, "\n", 1);
        }
        reader_open(&r, span_of(b.data, b.size));
        for (size_t i = 0; i < ROWS; i++) {
            const struct csv_row *row = next(&r);

            assert_non_null(row);
            assert_null(row->wrong);
            assert_int_equal(row->column_count, COLUMNS + 1);
            for (size_t j = 0; j < COLUMNS; j++)
                assert_true(span_equal(row->columns[j],
                                       span_of(cells[i][j], sizes[i][j])));
            assert_int_equal(row->columns[COLUMNS].size, pads[i]);
        }
        reader_close(&r);
        buf_fini(&b);
    }
}

/* Each bad line stands between two good ones, which are read. */
static void a_bad_row_costs_one_row(void **state)
{
    static const char *const bad[] = {
        "only one", "one,two,three", "x,\"open", "x,\"closed\"and more",
        "\"a\"b,c", "\"a\"b",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct buf b;
        struct reader r;
        const struct csv_row *row;

        buf_init(&b, 1000);
        buf_append(&b, "a,b\n1,2\n", 8);
        buf_append(&b, bad[i], strlen(bad[i]));
        buf_append(&b, "\n3,4\n", 5);
        reader_open(&r, span_of(b.data, b.size));
        expect_cell(next(&r), 0, "1");
        row = next(&r);
        assert_non_null(row->wrong);
        assert_true(span_equal(row->raw, span_text(bad[i])));
        assert_int_equal(row->line, 3);
        row = next(&r);
        expect_cell(row, 1, "4");
        assert_int_equal(row->line, 4);
        assert_int_equal(row->number, 3);
        reader_close(&r);
        buf_fini(&b);
    }
}

static void a_zero_byte_makes_a_row_bad(void **state)
{
    struct reader r;

    (void)state;
    reader_open(&r, span_of("a,b\n1,\0\n3,4\n", 12));
    assert_non_null(next(&r)->wrong);
    expect_cell(next(&r), 0, "3");
    reader_close(&r);
}

/* Rows of exactly the limit are read; one byte more is a bad row, whatever the
 * line end and however far the excess goes. */
static void a_row_over_64_kib_is_bad(void **state)
{
    static const size_t over[] = {0, 1, 2, 3, 70000, 600000};
    static const char *const ends[] = {"\n", "\r\n"};

    (void)state;
    for (size_t i = 0; i < 12; i++) {
        size_t size = INTAKE_ROW_MAX + over[i / 2];
        const char *end = ends[i % 2];
        struct buf b;
        struct reader r;
        const struct csv_row *row;

        buf_init(&b, 1000000);
        buf_append(&b, "a,b\n", 4);
        buf_reserve(&b, size);
        memset(b.data + b.size, 'x', size);
        b.data[b.size + 5] = ',';
        b.size += size;
        buf_append(&b, end, strlen(end));
        buf_append(&b, "1,2\n", 4);
        reader_open(&r, span_of(b.data, b.size));
        row = next(&r);
        assert_int_equal(row->wrong != NULL, over[i / 2] > 0);
        assert_int_equal(row->raw.size, INTAKE_ROW_MAX);
        row = next(&r);
        expect_cell(row, 0, "1");
        assert_int_equal(row->line, 3);
        reader_close(&r);
        buf_fini(&b);
    }
}

static void a_quote_left_open_does_not_swallow_the_file(void **state)
{
    struct buf b;
    struct reader r;

    (void)state;
    buf_init(&b, 1000000);
    buf_append(&b, "a,b\n\"1,2\n", 9);
    for (int i = 0; i < 50000; i++)
        buf_append(&b, "3,4\n", 4);
    reader_open(&r, span_of(b.data, b.size));
    assert_non_null(next(&r)->wrong);
    for (int i = 0; i < 50000; i++)
        expect_cell(next(&r), 1, "4");
    reader_close(&r);
    buf_fini(&b);
}

static void counts_columns_up_to_256(void **state)
{
    char text[600];
    struct reader r;

    (void)state;
    memset(text, ',', sizeof(text));
    reader_open(&r, span_of(text, 255));
    assert_int_equal(csv_header(r.csv)->column_count, 256);
    reader_close(&r);
    assert_int_equal(reader_try(&r, span_of(text, 256)), SOTTO_EDECODE);
    assert_non_null(strstr(r.why.text, "a.csv:1:"));
}

static void a_file_without_header_is_an_error(void **state)
{
    struct reader r;

    (void)state;
    assert_int_equal(reader_try(&r, span_of("", 0)), SOTTO_EDECODE);
    assert_int_equal(reader_try(&r, span_text("\n\r\n\n")), SOTTO_EDECODE);
    assert_int_equal(reader_try(&r, span_text("\"a\n1\n")), SOTTO_EDECODE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_rfc_4180),
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(a_bad_row_costs_one_row),
        cmocka_unit_test(a_zero_byte_makes_a_row_bad),
        cmocka_unit_test(a_row_over_64_kib_is_bad),
        cmocka_unit_test(a_quote_left_open_does_not_swallow_the_file),
        cmocka_unit_test(counts_columns_up_to_256),
        cmocka_unit_test(a_file_without_header_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
