/* See risk_data.h. What a cell holds is never repeated in an error. */
#include "aggregator/risk_data.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "aggregator/records.h"
#include "base/cli.h"

#define VALUE_BYTES_MAX ((size_t)4 << 30)
#define NAME_BYTES_MAX 4096
#define NUMBER_SIZE 64 /* a text that is longer is no number */

void risk_data_init(struct risk_data *d)
{
    memset(d, 0, sizeof *d);
}

void risk_data_fini(struct risk_data *d)
{
    for (uint32_t c = 0; c < d->column_count; c++) {
        dict_fini(&d->columns[c].names);
        dict_fini(&d->columns[c].values);
        free(d->columns[c].cells);
    }
    memset(d, 0, sizeof *d);
}

struct span risk_data_column(const struct risk_data *d, uint32_t column)
{
    return dict_key(&d->columns[column].names, 0);
}

/* In any case, as in the CSV files of the laboratory; -1: none. */
static int find_column(const struct risk_data *d, struct span name)
{
    for (uint32_t c = 0; c < d->column_count; c++) {
        struct span other = risk_data_column(d, c);

        if (other.size == name.size &&
            strncasecmp((const char *)other.data, (const char *)name.data,
                        name.size) == 0)
            return (int)c;
    }
    return -1;
}

enum sotto_err risk_data_name(struct risk_data *d, struct span name)
{
    struct risk_column *c = &d->columns[d->column_count];
    uint32_t number;
    enum sotto_err err;

    if (find_column(d, name) >= 0)
        return SOTTO_EEXIST;
    if (d->column_count == RISK_COLUMNS_MAX)
        return SOTTO_ETOOBIG;
    dict_init(&c->names, 1, NAME_BYTES_MAX, 0);
    dict_init(&c->values, RISK_ROWS_MAX, VALUE_BYTES_MAX, 0);
    err = dict_intern(&c->names, name, &number);
    if (err)
        dict_fini(&c->names);
    else
        d->column_count++;
    return err;
}

static enum sotto_err grow(struct risk_data *d)
{
    uint32_t capacity = d->capacity ? d->capacity * 2 : 1024;

    if (d->rows == RISK_ROWS_MAX)
        return SOTTO_ETOOBIG;
    for (uint32_t c = 0; c < d->column_count; c++) {
        uint32_t *cells = realloc(d->columns[c].cells,
                                  capacity * sizeof *d->columns[c].cells);

        if (!cells)
            return SOTTO_ENOMEM;
        d->columns[c].cells = cells;
    }
    d->capacity = capacity;
    return SOTTO_OK;
}

enum sotto_err risk_data_add(struct risk_data *d, const struct span *texts)
{
    enum sotto_err err = d->rows == d->capacity ? grow(d) : SOTTO_OK;

    for (uint32_t c = 0; c < d->column_count && !err; c++)
        err = dict_intern(&d->columns[c].values, texts[c],
                          &d->columns[c].cells[d->rows]);
    if (!err)
        d->rows++;
    return err;
}

/* --- numbers ------------------------------------------------------------ */

/* Decimal, as people write it: "inf" and "0x1" are words. */
static bool number_of(struct span text, double *value)
{
    char copy[NUMBER_SIZE], *end;

    if (text.size == 0 || text.size >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    if (strspn(copy, "+-.0123456789eE") != text.size)
        return false;
    *value = strtod(copy, &end);
    return *end == 0 && isfinite(*value);
}

struct ranked {
    double value;
    uint32_t number;
};

static int by_value(const void *a, const void *b)
{
    double x = ((const struct ranked *)a)->value,
           y = ((const struct ranked *)b)->value;

    return (x > y) - (x < y);
}

/* Turns cells into ranks if all values are numbers; texts of one number (1 and
 * 1.0) share a rank. values: how many numbers cells are below. */
static enum sotto_err rank_cells(const struct risk_data *d,
                                 struct risk_column *c, bool *ordered,
                                 uint32_t *values)
{
    struct ranked *all = malloc(((size_t)c->values.count + 1) * sizeof *all);
    uint32_t *rank = malloc(((size_t)c->values.count + 1) * sizeof *rank);
    uint32_t n = 0, ranks = 0;
    bool numbers = true;

    *ordered = false;
    *values = c->values.count;
    for (; all && rank && numbers && n < c->values.count; n++) {
        all[n].number = n;
        numbers = number_of(dict_key(&c->values, n), &all[n].value);
    }
    if (all && rank && numbers && n > 0) {
        qsort(all, n, sizeof *all, by_value);
        for (uint32_t i = 0; i < n; i++) {
            ranks += i > 0 && all[i].value > all[i - 1].value;
            rank[all[i].number] = ranks;
        }
        for (uint32_t row = 0; row < d->rows; row++)
            c->cells[row] = rank[c->cells[row]];
        *ordered = true;
        *values = ranks + 1;
    }
    numbers = all && rank;
    free(all);
    free(rank);
    return numbers ? SOTTO_OK : SOTTO_ENOMEM;
}

/* --- a CSV file --------------------------------------------------------- */

static struct span trimmed(struct span text)
{
    while (text.size > 0 && (*text.data == ' ' || *text.data == '\t')) {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && (text.data[text.size - 1] == ' ' ||
                             text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

static enum sotto_err name_columns(struct risk_data *d, struct records *r,
                                   bool header)
{
    double value;

    for (uint32_t n = 0; n < records_fields(r); n++) {
        struct span name = trimmed(records_field(r, n));
        char number[16];
        enum sotto_err err;

        if (header && (name.size == 0 || number_of(name, &value)))
            return records_say(
                r, "a name is missing or a number: is this the line of column "
                   "names? Without one use --no-header; columns are then 1, "
                   "2, 3 …");
        if (!header) {
            snprintf(number, sizeof number, "%u", n + 1);
            name = span_text(number);
        }
        err = risk_data_name(d, name);
        if (err == SOTTO_EEXIST)
            return records_say(r, "two columns have the same name; without a "
                                  "line of names use --no-header");
        if (err)
            return err;
    }
    return SOTTO_OK;
}

static enum sotto_err add_record(struct risk_data *d, struct records *r,
                                 const char *path, struct why *why)
{
    struct span texts[RISK_COLUMNS_MAX];

    _Static_assert(RECORD_FIELDS_MAX <= RISK_COLUMNS_MAX, "a record fits");
    if (records_fields(r) != d->column_count)
        return why_say(why, SOTTO_EINVAL,
                       "%s:%llu: %u fields where the first line has %u; make "
                       "every line the same",
                       path, (unsigned long long)records_line(r),
                       records_fields(r), d->column_count);
    for (uint32_t n = 0; n < d->column_count; n++)
        texts[n] = trimmed(records_field(r, n));
    return risk_data_add(d, texts);
}

static enum sotto_err read_records(struct risk_data *d, struct records *r,
                                   const char *path, bool header,
                                   struct why *why)
{
    enum sotto_err err = records_next(r);

    if (!err)
        err = name_columns(d, r, header);
    if (!err && header)
        err = records_next(r);
    while (!err) {
        err = add_record(d, r, path, why);
        if (!err)
            err = records_next(r);
    }
    if (err == SOTTO_ENOTFOUND && d->rows == 0)
        return why_say(why, SOTTO_EINVAL,
                       "%s: no rows; nothing can be said of it", path);
    return err == SOTTO_ENOTFOUND ? SOTTO_OK : err;
}

enum sotto_err risk_read_csv(struct risk_data *d, const char *path, bool header,
                             struct why *why)
{
    struct records *r = NULL;
    enum sotto_err err = records_open(&r, path, why);

    if (!err) {
        why->text[0] = 0;
        err = read_records(d, r, path, header, why);
        if (err && !*why->text)
            why_say(why, err, "%s: %s; use a smaller file", path,
                    err_text(err));
    }
    records_close(r);
    return err;
}

/* --- choosing ----------------------------------------------------------- */

static enum sotto_err no_such_column(const struct risk_data *d,
                                     struct span name, struct why *why)
{
    const char *names[RISK_COLUMNS_MAX + 1] = {NULL};
    char texts[RISK_COLUMNS_MAX][64], given[64];
    const char *near;

    for (uint32_t c = 0; c < d->column_count; c++) {
        struct span text = risk_data_column(d, c);

        snprintf(texts[c], sizeof texts[c], "%.*s", (int)text.size,
                 (const char *)text.data);
        names[c] = texts[c];
    }
    snprintf(given, sizeof given, "%.*s", (int)name.size,
             (const char *)name.data);
    near = cli_nearest(given, names);
    return why_say(why, SOTTO_EINVAL,
                   "\"%s\" is no column of the table; %s%s%s", given,
                   near ? "did you mean \"" : "the first is \"",
                   near ? near : texts[0], near ? "\"?" : "\"");
}

static enum sotto_err choose_one(struct risk_table *out, struct risk_data *d,
                                 uint32_t column, int sensitive,
                                 struct why *why)
{
    struct span name = risk_data_column(d, column);

    if ((int)column == sensitive)
        return why_say(why, SOTTO_EINVAL,
                       "\"%.*s\" cannot be both sensitive and a "
                       "quasi-identifier; take it out of one",
                       (int)name.size, (const char *)name.data);
    for (uint32_t i = 0; i < out->column_count; i++)
        if (out->columns[i] == d->columns[column].cells)
            return why_say(why, SOTTO_EINVAL,
                           "\"%.*s\" is named twice; name it once",
                           (int)name.size, (const char *)name.data);
    out->columns[out->column_count++] = d->columns[column].cells;
    return SOTTO_OK;
}

static enum sotto_err choose_named(struct risk_table *out, struct risk_data *d,
                                   const char *list, int sensitive,
                                   struct why *why)
{
    enum sotto_err err = SOTTO_OK;

    for (const char *at = list, *end; at && !err; at = *end ? end + 1 : NULL) {
        struct span name;
        int column;

        end = at + strcspn(at, ",");
        name = trimmed(span_of(at, (size_t)(end - at)));
        column = find_column(d, name);
        err = column < 0 ? no_such_column(d, name, why)
                         : choose_one(out, d, (uint32_t)column, sensitive, why);
    }
    return err;
}

enum sotto_err risk_choose(struct risk_table *out, struct risk_data *d,
                           const struct risk_choice *choice, struct why *why)
{
    int sensitive = -1;
    enum sotto_err err = SOTTO_OK;

    *out = (struct risk_table){.rows = d->rows};
    if (choice->sensitive) {
        struct span name = trimmed(span_text(choice->sensitive));

        sensitive = find_column(d, name);
        if (sensitive < 0)
            return no_such_column(d, name, why);
    }
    if (choice->quasi)
        err = choose_named(out, d, choice->quasi, sensitive, why);
    for (uint32_t c = 0; c < d->column_count && !choice->quasi; c++)
        if ((int)c != sensitive)
            out->columns[out->column_count++] = d->columns[c].cells;
    if (!err && out->column_count == 0)
        return why_say(why, SOTTO_EINVAL,
                       "no quasi-identifier is left; name some with --qi");
    if (err || sensitive < 0)
        return err;
    out->sensitive = d->columns[sensitive].cells;
    err = rank_cells(d, &d->columns[sensitive], &out->ordered,
                     &out->sensitive_values);
    return err ? why_say(why, err, "no memory to sort the sensitive column")
               : SOTTO_OK;
}
