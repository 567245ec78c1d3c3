/* One record at a time: its fields are copied, unquoted and each ended by a
 * zero, into one buffer of fixed size, so memory does not depend on the file.
 * What a line holds is never repeated in an error. */
#include "aggregator/lab_csv.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/when.h"

#define RECORD_BYTES 65536
#define FIELDS_MAX 64
#define INPUT_BYTES (256 * 1024)
#define SECONDS_MAX INT64_C(253402300799) /* the end of the year 9999 */

enum column { USER, ITEM, VALUE, TIME, COLUMN_COUNT };
static const char *const column_names[COLUMN_COUNT] = {"user", "item", "value",
                                                       "time"};

struct reader {
    FILE *file;
    const char *path;
    struct why *why;
    uint64_t line;        /* being read */
    uint64_t record_line; /* where the record began */
    size_t at, end;       /* in input */
    uint32_t field_count;
    uint32_t fields_expected;  /* 0 before the first record */
    int columns[COLUMN_COUNT]; /* places of the fields; -1: absent */
    size_t starts[FIELDS_MAX + 1];
    size_t used;
    char record[RECORD_BYTES];
    char input[INPUT_BYTES];
};

static enum sotto_err say(struct reader *r, const char *what)
{
    return why_say(r->why, SOTTO_EINVAL, "%s:%llu: %s", r->path,
                   (unsigned long long)r->record_line, what);
}

/* The next byte, or EOF. */
static int next(struct reader *r)
{
    if (r->at == r->end) {
        r->at = 0;
        r->end = fread(r->input, 1, sizeof r->input, r->file);
        if (r->end == 0)
            return EOF;
    }
    return (unsigned char)r->input[r->at++];
}

static int peek(struct reader *r)
{
    int byte = next(r);

    if (byte != EOF)
        r->at--;
    return byte;
}

static enum sotto_err put(struct reader *r, int byte)
{
    if (r->used == sizeof r->record)
        return say(r, "the line is longer than 64 KiB; check that quotes are "
                      "closed and that this is a CSV file");
    r->record[r->used++] = (char)byte;
    return SOTTO_OK;
}

static enum sotto_err field_end(struct reader *r)
{
    enum sotto_err err = put(r, 0);

    if (err)
        return err;
    if (r->field_count == FIELDS_MAX)
        return say(r, "more than 64 fields; expected user,item[,value][,time]");
    r->field_count++;
    r->starts[r->field_count] = r->used;
    return SOTTO_OK;
}

/* The inside of a quoted field, up to and with the closing quote. */
static enum sotto_err quoted(struct reader *r)
{
    for (;;) {
        int byte = next(r);
        enum sotto_err err;

        if (byte == EOF)
            return say(r, "a quote is not closed; close it, or double a quote "
                          "that is part of the text");
        if (byte == '"' && peek(r) != '"')
            return SOTTO_OK;
        if (byte == '"')
            next(r);
        if (byte == '\n')
            r->line++;
        if (byte == 0)
            return say(r, "a zero byte; this is not a text file");
        err = put(r, byte);
        if (err)
            return err;
    }
}

enum ending { MORE, LAST, BAD };

/* One field with what follows it: a comma (MORE) or the end of the record. */
static enum ending field(struct reader *r)
{
    bool was_quoted = peek(r) == '"';

    if (was_quoted) {
        next(r);
        if (quoted(r))
            return BAD;
    }
    for (;;) {
        int byte = next(r);

        if (byte == '\r' && (peek(r) == '\n' || peek(r) == EOF))
            byte = next(r);
        if (byte == ',' || byte == '\n' || byte == EOF) {
            r->line += byte == '\n';
            if (field_end(r))
                return BAD;
            return byte == ',' ? MORE : LAST;
        }
        if (was_quoted || byte == '"') {
            say(r, "a quote inside a field; put the whole field in quotes and "
                   "double the quotes of the text");
            return BAD;
        }
        if (byte == 0 || byte == '\r') {
            say(r, "a control character; this is not a text file with LF or "
                   "CRLF line ends");
            return BAD;
        }
        if (put(r, byte))
            return BAD;
    }
}

/* The next record that is not empty. SOTTO_ENOTFOUND at the end. */
static enum sotto_err record(struct reader *r)
{
    enum ending ending;

    do {
        r->used = r->field_count = 0;
        r->starts[0] = 0;
        r->record_line = r->line;
        if (peek(r) == EOF) {
            if (!ferror(r->file))
                return SOTTO_ENOTFOUND;
            return why_say(r->why, SOTTO_EIO, "%s:%llu: cannot be read: %s",
                           r->path, (unsigned long long)r->line,
                           strerror(errno));
        }
        do {
            ending = field(r);
        } while (ending == MORE);
        if (ending == BAD)
            return SOTTO_EINVAL;
    } while (r->field_count == 1 && r->used == 1);
    return SOTTO_OK;
}

static struct span field_span(const struct reader *r, int which)
{
    return span_of(r->record + r->starts[which],
                   r->starts[which + 1] - r->starts[which] - 1);
}

static int find_name(const struct reader *r, const char *name)
{
    for (uint32_t n = 0; n < r->field_count; n++) {
        if (strcasecmp(r->record + r->starts[n], name) == 0)
            return (int)n;
    }
    return -1;
}

/* Looks at the first record: names, or already data? */
static enum sotto_err settle_columns(struct reader *r, bool *header)
{
    int user = find_name(r, column_names[USER]);
    int item = find_name(r, column_names[ITEM]);

    r->fields_expected = r->field_count;
    *header = user >= 0 && item >= 0;
    if (*header) {
        for (int c = 0; c < COLUMN_COUNT; c++)
            r->columns[c] = find_name(r, column_names[c]);
        return SOTTO_OK;
    }
    if (r->field_count < 2 || r->field_count > COLUMN_COUNT)
        return say(r, "no header with user and item, and not two to four "
                      "fields; write user,item[,value][,time]");
    for (int c = 0; c < COLUMN_COUNT; c++)
        r->columns[c] = c < (int)r->field_count ? c : -1;
    return SOTTO_OK;
}

static enum sotto_err read_value(struct reader *r, float *value)
{
    const char *text = r->record + r->starts[r->columns[VALUE]];
    char *end;

    *value = strtof(text, &end);
    if (*end || strspn(text, "+-.0123456789eE") != strlen(text) ||
        !isfinite(*value))
        return say(r, "the value is not a number; write digits with a point, "
                      "such as 1 or 2.5");
    return SOTTO_OK;
}

static enum sotto_err read_day(struct reader *r, int32_t *day)
{
    struct span text = field_span(r, r->columns[TIME]);
    int64_t seconds, ms;

    if (int_parse(&seconds, text) == SOTTO_OK && seconds >= 0 &&
        seconds <= SECONDS_MAX)
        ms = seconds * 1000;
    else if (when_parse(&ms, text))
        return say(r, "the time is not one; write 2026-12-01, "
                      "2026-12-01T08:26:00Z or seconds since 1970");
    *day = (int32_t)(ms / DAY_MS);
    return SOTTO_OK;
}

static enum sotto_err read_row(struct reader *r, struct lab_row *row)
{
    if (r->field_count != r->fields_expected)
        return why_say(r->why, SOTTO_EINVAL,
                       "%s:%llu: %u fields where the first line has %u; make "
                       "every line the same",
                       r->path, (unsigned long long)r->record_line,
                       r->field_count, r->fields_expected);
    for (int c = 0; c < COLUMN_COUNT; c++) {
        if (r->columns[c] >= 0 && !field_span(r, r->columns[c]).size)
            return why_say(r->why, SOTTO_EINVAL,
                           "%s:%llu: the %s is empty; fill it in or leave "
                           "the line out",
                           r->path, (unsigned long long)r->record_line,
                           column_names[c]);
    }
    *row = (struct lab_row){.user = field_span(r, r->columns[USER]),
                            .item = field_span(r, r->columns[ITEM]),
                            .value = 1};
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

    while ((err = record(r)) == SOTTO_OK) {
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
                           r->path, (unsigned long long)r->record_line,
                           (unsigned long long)rows_max);
        err = read_row(r, &row);
        if (err)
            return err;
        err = take(context, &row);
        if (err)
            return why_say(r->why, err, "%s:%llu: %s; use a smaller file",
                           r->path, (unsigned long long)r->record_line,
                           err_text(err));
    }
    if (err == SOTTO_ENOTFOUND && !count)
        return say(r, "no rows; write one user,item a line");
    return err == SOTTO_ENOTFOUND ? SOTTO_OK : err;
}

static void skip_byte_order_mark(struct reader *r)
{
    if (peek(r) == 0xef && r->end - r->at >= 3 &&
        memcmp(r->input + r->at, "\xef\xbb\xbf", 3) == 0)
        r->at += 3;
}

enum sotto_err lab_csv_read(const char *path, uint64_t rows_max,
                            lab_take_row *take, void *context, struct why *why)
{
    struct reader *r = calloc(1, sizeof *r);
    enum sotto_err err;

    if (!r)
        return why_say(why, SOTTO_ENOMEM, "%s: no memory", path);
    r->path = path;
    r->why = why;
    r->line = r->record_line = 1;
    r->file = fopen(path, "rb");
    if (!r->file) {
        err = errno == ENOENT ? SOTTO_ENOTFOUND : SOTTO_EIO;
        why_say(why, err, "%s: cannot be opened: %s; check the path", path,
                strerror(errno));
        free(r);
        return err;
    }
    skip_byte_order_mark(r);
    err = rows(r, rows_max, take, context);
    fclose(r->file);
    free(r);
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
