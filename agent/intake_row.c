/* What a map makes of a row: the first rule that holds decides, then time and
 * fields are taken. Nothing is allocated; the event borrows from the row. */
#include "agent/intake_map_form.h"

#include "base/when.h"

#include <string.h>
#include <strings.h>

static bool equal_nocase(struct span text, const char *word)
{
    return text.size == strlen(word) &&
           strncasecmp((const char *)text.data, word, text.size) == 0;
}

static bool bool_of(int64_t *value, struct span text)
{
    static const char *const words[][2] = {
        {"false", "true"}, {"0", "1"}, {"no", "yes"}};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        for (*value = 0; *value < 2; ++*value)
            if (equal_nocase(text, words[i][*value]))
                return true;
    return false;
}

bool map_convert(struct raw_field *f, struct span text, int as, bool absolute)
{
    bool good = true;

    f->kind = RAW_INT;
    if (as == AS_INT) {
        good = int_parse(&f->number, text) == SOTTO_OK;
    } else if (as == AS_MONEY) {
        f->kind = RAW_MONEY;
        good = money_parse(&f->number, text) == SOTTO_OK;
    } else if (as == AS_BOOL) {
        f->kind = RAW_BOOL;
        good = bool_of(&f->number, text);
    } else if (as == AS_TIME) {
        good = when_parse(&f->number, text) == SOTTO_OK;
    }
    if (good && as != AS_TEXT && absolute && f->number < 0) {
        good = f->number != INT64_MIN;
        f->number = good ? -f->number : 0;
    }
    if (good && as != AS_TEXT)
        return true;
    f->kind = RAW_TEXT;
    f->text = text;
    return good;
}

static bool time_of(int64_t *ms, struct span text, int format)
{
    if (format == TIME_ISO)
        return when_parse(ms, text) == SOTTO_OK;
    if (format == TIME_UNIX_MS)
        return int_parse(ms, text) == SOTTO_OK;
    if (money_parse(ms, text)) /* millionths of a second */
        return false;
    *ms /= 1000;
    return true;
}

static bool starts(struct span text, struct span with)
{
    return text.size >= with.size &&
           memcmp(text.data, with.data, with.size) == 0;
}

static bool number_holds(enum test test, int64_t a, int64_t b)
{
    switch (test) {
    case TEST_GREATER:
        return a > b;
    case TEST_GREATER_EQUAL:
        return a >= b;
    case TEST_LESS:
        return a < b;
    case TEST_LESS_EQUAL:
        return a <= b;
    case TEST_EQUAL:
        return a == b;
    default:
        return a != b; /* TEST_NOT_EQUAL: the other tests have no number */
    }
}

static bool holds(const struct condition *c, struct span cell)
{
    int64_t number;

    if (c->is_number)
        return money_parse(&number, cell) == SOTTO_OK &&
               number_holds(c->test, number, c->number);
    switch (c->test) {
    case TEST_STARTS:
        return starts(cell, c->text);
    case TEST_NOT_STARTS:
        return !starts(cell, c->text);
    case TEST_EMPTY:
        return cell.size == 0;
    case TEST_NOT_EMPTY:
        return cell.size > 0;
    case TEST_EQUAL:
        return span_equal(cell, c->text);
    default:
        return !span_equal(cell, c->text); /* TEST_NOT_EQUAL */
    }
}

static struct span cell_of(const struct map_binding *b,
                           const struct csv_row *row, uint16_t column)
{
    return row->columns[b->at[column]];
}

/* The first rule whose conditions all hold, or NULL. */
static const struct rule *rule_of(const struct intake_map *m,
                                  const struct map_binding *b,
                                  const struct csv_row *row)
{
    for (size_t i = 0; i < m->rule_count; i++) {
        const struct rule *r = &m->rules[i];
        size_t n = 0;

        while (
            n < r->condition_count &&
            holds(&r->conditions[n], cell_of(b, row, r->conditions[n].column)))
            n++;
        if (n == r->condition_count)
            return r;
    }
    return NULL;
}

static size_t fields_of(const struct intake_map *m, const struct map_binding *b,
                        const struct csv_row *row, struct raw_field *fields)
{
    size_t count = 0;

    for (size_t i = 0; i < m->field_count; i++) {
        const struct field *f = &m->fields[i];
        struct span cell;

        fields[count] = f->value;
        if (!f->is_constant) {
            cell = cell_of(b, row, f->column);
            if (cell.size == 0)
                continue;
            map_convert(&fields[count], cell, f->as, f->absolute);
        }
        count++;
    }
    return count;
}

const char *intake_map_row(const struct intake_map *m,
                           const struct map_binding *b,
                           const struct csv_row *row, struct raw_event *raw,
                           struct raw_field fields[RAW_FIELDS_MAX])
{
    const struct rule *r = rule_of(m, b, row);

    if (!r)
        return MAP_UNMATCHED;
    if (r->refuse[0])
        return r->refuse;
    raw->name = r->event.size > 0 ? r->event : cell_of(b, row, r->event_column);
    if (raw->name.size == 0)
        return MAP_BAD_ROW;
    if (!time_of(&raw->time_ms, cell_of(b, row, m->time_column),
                 m->time_format))
        return drop_name(DROP_BAD_TIME);
    raw->fields = fields;
    raw->field_count = fields_of(m, b, row, fields);
    return NULL;
}

/* The header's own names are not shown: of a file that has none, it is a row
 * of somebody's data. */
enum sotto_err intake_map_bind(struct map_binding *b,
                               const struct intake_map *m,
                               const struct csv_row *header, const char *file,
                               struct why *why)
{
    for (size_t i = 0; i < m->column_count; i++) {
        struct span name = m->columns[i];
        size_t found = 0;

        for (size_t at = 0; at < header->column_count; at++)
            if (span_equal(header->columns[at], name)) {
                b->at[i] = (uint16_t)at;
                found++;
            }
        if (found != 1)
            return why_say(why, SOTTO_EINVAL,
                           "%s:%llu: %s column \"%.*s\", which %s names; the "
                           "first line has to name each column once%s",
                           file, (unsigned long long)header->line,
                           found ? "there is more than one" : "there is no",
                           (int)name.size, (const char *)name.data, m->file,
                           found ? "" : "; is the delimiter right?");
    }
    return SOTTO_OK;
}

enum sotto_err intake_map_consent(uint32_t *purposes,
                                  const struct intake_map *m,
                                  const struct policy *p, struct why *why)
{
    *purposes = 0;
    for (size_t i = 0; i < m->consent_count; i++) {
        struct span name = m->consent[i];
        int purpose = policy_purpose_find(p, name);

        if (purpose < 0)
            return why_say(why, SOTTO_EINVAL,
                           "%s: consent: the policy has no purpose `%.*s`; "
                           "write one that it has, or none",
                           m->file, (int)name.size, (const char *)name.data);
        *purposes |= UINT32_C(1) << purpose;
    }
    return SOTTO_OK;
}

char intake_map_delimiter(const struct intake_map *m)
{
    return m->delimiter;
}
