/* A record's fields are copied, unquoted and each ended by a zero, into one
 * buffer of fixed size, so memory does not depend on the file. What a line
 * holds is never repeated in an error. */
#include "aggregator/records.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RECORD_BYTES 65536
#define INPUT_BYTES (256 * 1024)

struct records {
    FILE *file;
    const char *path;
    struct why *why;
    uint64_t line;        /* being read */
    uint64_t record_line; /* where the record began */
    size_t at, end;       /* in input */
    uint32_t field_count;
    size_t starts[RECORD_FIELDS_MAX + 1];
    size_t used;
    char record[RECORD_BYTES];
    char input[INPUT_BYTES];
};

enum sotto_err records_say(struct records *r, const char *what)
{
    return why_say(r->why, SOTTO_EINVAL, "%s:%llu: %s", r->path,
                   (unsigned long long)r->record_line, what);
}

/* The next byte, or EOF. */
static int next(struct records *r)
{
    if (r->at == r->end) {
        r->at = 0;
        r->end = fread(r->input, 1, sizeof r->input, r->file);
        if (r->end == 0)
            return EOF;
    }
    return (unsigned char)r->input[r->at++];
}

static int peek(struct records *r)
{
    int byte = next(r);

    if (byte != EOF)
        r->at--;
    return byte;
}

static enum sotto_err put(struct records *r, int byte)
{
    if (r->used == sizeof r->record)
        return records_say(
            r, "the line is longer than 64 KiB; check that quotes are "
               "closed and that this is a CSV file");
    r->record[r->used++] = (char)byte;
    return SOTTO_OK;
}

static enum sotto_err field_end(struct records *r)
{
    enum sotto_err err = put(r, 0);

    if (err)
        return err;
    if (r->field_count == RECORD_FIELDS_MAX)
        return records_say(r,
                           "more than 64 fields; check that this is a CSV file "
                           "with commas");
    r->field_count++;
    r->starts[r->field_count] = r->used;
    return SOTTO_OK;
}

/* The inside of a quoted field, up to and with the closing quote. */
static enum sotto_err quoted(struct records *r)
{
    for (;;) {
        int byte = next(r);
        enum sotto_err err;

        if (byte == EOF)
            return records_say(
                r, "a quote is not closed; close it, or double a quote "
                   "that is part of the text");
        if (byte == '"' && peek(r) != '"')
            return SOTTO_OK;
        if (byte == '"')
            next(r);
        if (byte == '\n')
            r->line++;
        if (byte == 0)
            return records_say(r, "a zero byte; this is not a text file");
        err = put(r, byte);
        if (err)
            return err;
    }
}

enum ending { MORE, LAST, BAD };

/* One field with what follows it: a comma (MORE) or the end of the record. */
static enum ending field(struct records *r)
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
            records_say(
                r, "a quote inside a field; put the whole field in quotes and "
                   "double the quotes of the text");
            return BAD;
        }
        if (byte == 0 || byte == '\r') {
            records_say(
                r, "a control character; this is not a text file with LF or "
                   "CRLF line ends");
            return BAD;
        }
        if (put(r, byte))
            return BAD;
    }
}

enum sotto_err records_next(struct records *r)
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

uint32_t records_fields(const struct records *r)
{
    return r->field_count;
}

uint64_t records_line(const struct records *r)
{
    return r->record_line;
}

struct span records_field(const struct records *r, uint32_t which)
{
    return span_of(r->record + r->starts[which],
                   r->starts[which + 1] - r->starts[which] - 1);
}

int records_find(const struct records *r, const char *name)
{
    for (uint32_t n = 0; n < r->field_count; n++) {
        if (strcasecmp(r->record + r->starts[n], name) == 0)
            return (int)n;
    }
    return -1;
}

static void skip_byte_order_mark(struct records *r)
{
    if (peek(r) == 0xef && r->end - r->at >= 3 &&
        memcmp(r->input + r->at, "\xef\xbb\xbf", 3) == 0)
        r->at += 3;
}

enum sotto_err records_open(struct records **out, const char *path,
                            struct why *why)
{
    struct records *r = calloc(1, sizeof *r);
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
    *out = r;
    return SOTTO_OK;
}

void records_close(struct records *r)
{
    if (!r)
        return;
    fclose(r->file);
    free(r);
}
