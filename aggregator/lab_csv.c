/* What the columns of an interaction file mean; the records are read by
 * records.c. What a line holds is never repeated in an error. */
#include "aggregator/lab_csv.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/records.h"
#include "base/when.h"

#define SECONDS_MAX INT64_C(253402300799) /* the end of the year 9999 */

enum column { USER, ITEM, VALUE, TIME, COLUMN_COUNT };
static const char *const column_names[COLUMN_COUNT] = {"user", "item", "value",
                                                       "time"};

struct reader {
    struct records *records;
    const char *path;
    struct why *why;
    uint32_t fields_expected;  /* 0 before the first record */
    int columns[COLUMN_COUNT]; /* places of the fields; -1: absent */
};

static unsigned long long line_of(const struct reader *r)
{
    return records_line(r->records);
}

static struct span column(const struct reader *r, int which)
{
    return records_field(r->records, (uint32_t)r->columns[which]);
}

/* Looks at the first record: names, or already data? */
static enum sotto_err settle_columns(struct reader *r, bool *header)
{
    int user = records_find(r->records, column_names[USER]);
    int item = records_find(r->records, column_names[ITEM]);

    r->fields_expected = records_fields(r->records);
    *header = user >= 0 && item >= 0;
    if (*header) {
        for (int c = 0; c < COLUMN_COUNT; c++)
            r->columns[c] = records_find(r->records, column_names[c]);
        return SOTTO_OK;
    }
    if (records_fields(r->records) < 2 ||
        records_fields(r->records) > COLUMN_COUNT)
        return records_say(r->records,
                           "no header with user and item, and not two to four "
                           "fields; write user,item[,value][,time]");
    for (int c = 0; c < COLUMN_COUNT; c++)
        r->columns[c] = c < (int)records_fields(r->records) ? c : -1;
    return SOTTO_OK;
}

static enum sotto_err read_value(struct reader *r, float *value)
{
    const char *text = (const char *)column(r, VALUE).data;
    char *end;

    *value = strtof(text, &end);
    if (*end || strspn(text, "+-.0123456789eE") != strlen(text) ||
        !isfinite(*value))
        return records_say(
            r->records, "the value is not a number; write digits with a point, "
                        "such as 1 or 2.5");
    return SOTTO_OK;
}

static enum sotto_err read_day(struct reader *r, int32_t *day)
{
    struct span text = column(r, TIME);
    int64_t seconds, ms;

    if (int_parse(&seconds, text) == SOTTO_OK && seconds >= 0 &&
        seconds <= SECONDS_MAX)
        ms = seconds * 1000;
    else if (when_parse(&ms, text))
        return records_say(r->records,
                           "the time is not one; write 2026-12-01, "
                           "2026-12-01T08:26:00Z or seconds since 1970");
    *day = (int32_t)(ms / DAY_MS);
    return SOTTO_OK;
}

static enum sotto_err read_row(struct reader *r, struct lab_row *row)
{
    if (records_fields(r->records) != r->fields_expected)
        return why_say(r->why, SOTTO_EINVAL,
                       "%s:%llu: %u fields where the first line has %u; make "
                       "every line the same",
                       r->path, line_of(r), records_fields(r->records),
                       r->fields_expected);
    for (int c = 0; c < COLUMN_COUNT; c++) {
        if (r->columns[c] >= 0 && !column(r, c).size)
            return why_say(r->why, SOTTO_EINVAL,
                           "%s:%llu: the %s is empty; fill it in or leave "
                           "the line out",
                           r->path, line_of(r), column_names[c]);
    }
    *row = (struct lab_row){
        .user = column(r, USER), .item = column(r, ITEM), .value = 1};
    if (r->columns[VALUE] >= 0 && read_value(r, &row->value))
        return SOTTO_EINVAL;
    if (r->columns[TIME] >= 0)
        return read_day(r, &row->day);
    return SOTTO_OK;
}

static enum sotto_err rows(struct reader *r, uint64_t rows_max,
                           lab_take_row *take, void *context)
{
    uint64_t count = 0;
    bool first = true, header = false;
    struct lab_row row;
    enum sotto_err err;

    while ((err = records_next(r->records)) == SOTTO_OK) {
        if (first) {
            first = false;
            err = settle_columns(r, &header);
            if (err)
                return err;
            if (header)
                continue;
        }
        if (count++ == rows_max)
            return why_say(r->why, SOTTO_ETOOBIG,
                           "%s:%llu: more than %llu rows; split the file",
                           r->path, line_of(r), (unsigned long long)rows_max);
        err = read_row(r, &row);
        if (err)
            return err;
        err = take(context, &row);
        if (err)
            return why_say(r->why, err, "%s:%llu: %s; use a smaller file",
                           r->path, line_of(r), err_text(err));
    }
    if (err == SOTTO_ENOTFOUND && !count)
        return records_say(r->records, "no rows; write one user,item a line");
    return err == SOTTO_ENOTFOUND ? SOTTO_OK : err;
}

enum sotto_err lab_csv_read(const char *path, uint64_t rows_max,
                            lab_take_row *take, void *context, struct why *why)
{
    struct reader r = {.path = path, .why = why};
    enum sotto_err err = records_open(&r.records, path, why);

    if (!err)
        err = rows(&r, rows_max, take, context);
    records_close(r.records);
    return err;
}

void lab_csv_field(FILE *out, struct span field)
{
    const char *bytes = (const char *)field.data;
    bool plain = field.size > 0;

    for (size_t i = 0; i < field.size && plain; i++)
        plain = !strchr("\",\r\n", bytes[i]);
    if (plain) {
        fwrite(bytes, 1, field.size, out);
        return;
    }
    putc('"', out);
    for (size_t i = 0; i < field.size; i++) {
        if (bytes[i] == '"')
            putc('"', out);
        putc(bytes[i], out);
    }
    putc('"', out);
}
