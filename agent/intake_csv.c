/* CSV, taken apart in the window.
 *
 * A field is a span of the window, or of `undoubled` when it holds "" and so
 * differs from what lies in the file. The window shows a whole row or the end
 * of the file, so one pass over it decides; a row that fails is eaten up to
 * the end of its first line, because a stray quote would otherwise swallow
 * every row up to the next quote. */
#include "agent/intake_csv.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct csv {
    struct intake_window window;
    struct csv_row row;
    struct csv_row header;
    uint8_t header_bytes[INTAKE_ROW_MAX];
    uint8_t undoubled[INTAKE_ROW_MAX];
    size_t undoubled_size;
    bool stops[256]; /* bytes that may end a field without quotes */
    uint8_t delimiter;
};

/* One pass over a row. at never passes end. */
struct pass {
    const uint8_t *at, *end;
    uint64_t line_ends; /* inside quotes */
    bool row_ended;
};

/* At a delimiter, a line end or the end of the file: the field is over. */
static bool field_end(const struct csv *c, struct pass *p)
{
    const uint8_t *at = p->at;

    if (at == p->end) {
        p->row_ended = true;
        return true;
    }
    if (*at == c->delimiter) {
        p->at++;
        return true;
    }
    if (*at == '\r' && at + 1 < p->end)
        at++;
    if (*at != '\n')
        return false;
    p->at = at + 1;
    p->row_ended = true;
    return true;
}

static void plain_field(struct csv *c, struct pass *p, struct span *field)
{
    const uint8_t *first = p->at;

    for (;;) {
        while (p->at < p->end && !c->stops[*p->at])
            p->at++;
        field->data = first;
        field->size = (size_t)(p->at - first);
        if (field_end(c, p))
            return;
        p->at++; /* a CR that ends nothing */
    }
}

/* Copies what is quoted from first to last, with "" as one quote. There is
 * room: all fields of a row together are not longer than the row. */
static struct span undouble(struct csv *c, const uint8_t *first,
                            const uint8_t *last)
{
    uint8_t *out = c->undoubled + c->undoubled_size;
    size_t size = 0;

    for (const uint8_t *at = first; at < last; at++) {
        out[size++] = *at;
        if (*at == '"')
            at++;
    }
    c->undoubled_size += size;
    return span_of(out, size);
}

static const char *quoted_field(struct csv *c, struct pass *p,
                                struct span *field)
{
    const uint8_t *first = ++p->at;
    bool doubled = false;

    for (;; p->at++) {
        while (p->at < p->end && *p->at != '"') {
            p->line_ends += *p->at == '\n';
            p->at++;
        }
        if (p->at == p->end)
            return "a quote is not closed";
        p->at++;
        if (p->at == p->end || *p->at != '"')
            break;
        doubled = true;
    }
    *field = doubled ? undouble(c, first, p->at - 1)
                     : span_of(first, (size_t)(p->at - 1 - first));
    return field_end(c, p) ? NULL : "something follows a closing quote";
}

/* The columns of a row that begins at p->at; what is wrong, or NULL. */
static const char *take_apart(struct csv *c, struct pass *p,
                              struct csv_row *row)
{
    c->undoubled_size = 0;
    row->column_count = 0;
    do {
        struct span *field = &row->columns[row->column_count];
        const char *wrong = NULL;

        if (row->column_count == CSV_COLUMNS_MAX)
            return "it has too many columns";
        if (p->at < p->end && *p->at == '"')
            wrong = quoted_field(c, p, field);
        else
            plain_field(c, p, field);
        if (wrong)
            return wrong;
        row->column_count++;
    } while (!p->row_ended);
    return NULL;
}

static size_t without_line_end(const uint8_t *data, size_t size)
{
    if (size > 0 && data[size - 1] == '\n')
        size--;
    else
        return size;
    return size > 0 && data[size - 1] == '\r' ? size - 1 : size;
}

/* Takes the row at the front of rest apart, and eats it. */
static void take_row(struct csv *c, struct span rest, struct csv_row *row)
{
    const size_t most = INTAKE_ROW_MAX + 2; /* with its line end */
    bool cut = rest.size > most;
    struct pass p = {rest.data, rest.data + (cut ? most : rest.size), 0, false};
    size_t size;

    row->line = c->window.line;
    row->wrong = take_apart(c, &p, row);
    size = (size_t)(p.at - rest.data);
    row->raw = span_of(rest.data, without_line_end(rest.data, size));
    if ((cut && p.at == p.end && p.at[-1] != '\n') ||
        row->raw.size > INTAKE_ROW_MAX)
        row->wrong = "it is over 64 KiB";
    else if (!row->wrong && memchr(row->raw.data, 0, row->raw.size))
        row->wrong = "it holds a zero byte";
    if (row->wrong)
        intake_window_line(&row->raw, &c->window);
    else
        intake_window_eat(&c->window, size,
                          p.line_ends + (size > row->raw.size));
}

/* The next row that is not blank; false at the end of the source. */
static enum sotto_err next_row(bool *found, struct csv *c, struct csv_row *row,
                               struct why *why)
{
    for (;;) {
        struct span rest;
        enum sotto_err err = intake_window_ahead(&rest, &c->window, why);

        *found = !err && rest.size > 0;
        if (!*found)
            return err;
        take_row(c, rest, row);
        if (row->raw.size > 0)
            return SOTTO_OK;
    }
}

/* Copies the header out of the window, quotes undone. */
static void keep_header(struct csv *c)
{
    uint8_t *out = c->header_bytes;

    c->header = c->row;
    for (size_t i = 0; i < c->header.column_count; i++) {
        struct span *name = &c->header.columns[i];

        if (name->size > 0)
            memcpy(out, name->data, name->size);
        name->data = out;
        out += name->size;
    }
}

static enum sotto_err read_header(struct csv *c, struct why *why)
{
    const char *file = intake_source_name(c->window.source);
    bool found;
    enum sotto_err err = next_row(&found, c, &c->row, why);

    if (err)
        return err;
    if (!found)
        return why_say(why, SOTTO_EDECODE,
                       "%s:1: it is empty; its first line names the columns",
                       file);
    if (c->row.wrong)
        return why_say(why, SOTTO_EDECODE,
                       "%s:%llu: the line that names the columns: %s", file,
                       (unsigned long long)c->row.line, c->row.wrong);
    keep_header(c);
    return SOTTO_OK;
}

enum sotto_err csv_open(struct csv **out, struct intake_source *source,
                        char delimiter, struct why *why)
{
    struct csv *c = calloc(1, sizeof(*c));
    enum sotto_err err;

    if (!c)
        return why_say(why, SOTTO_ENOMEM, "%s: no memory to read it",
                       intake_source_name(source));
    intake_window_init(&c->window, source);
    c->delimiter = (uint8_t)delimiter;
    c->stops[c->delimiter] = c->stops['\r'] = c->stops['\n'] = true;
    err = read_header(c, why);
    if (err)
        csv_close(c);
    else
        *out = c;
    return err;
}

void csv_close(struct csv *c)
{
    if (!c)
        return;
    sodium_memzero(c, sizeof(*c)); /* rows of people went through here */
    free(c);
}

const struct csv_row *csv_header(const struct csv *c)
{
    return &c->header;
}

enum sotto_err csv_next(const struct csv_row **row, struct csv *c,
                        struct why *why)
{
    bool found;
    enum sotto_err err = next_row(&found, c, &c->row, why);

    *row = NULL;
    if (err || !found)
        return err;
    c->row.number++;
    if (!c->row.wrong && c->row.column_count != c->header.column_count)
        c->row.wrong = "it has not as many columns as the first line";
    *row = &c->row;
    return SOTTO_OK;
}
