/* Reading the body of a batch: nothing in it is believed.
 *
 * Each column is unpacked into one cell a row of its type and each value is
 * checked against its field while that is done, so that batch_view_event only
 * copies. Memory is bounded by the events in the body (a byte each) times the
 * fields of their type.
 *
 * Invariant: in a view that batch_decode gave out every cell is in range. */
#include "policy/batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/dict.h"
#include "policy/batch_form.h"
#include "wire/pack.h"

struct column {
    struct span presence; /* empty: every row has a value, if cells is set */
    int64_t *cells;       /* a row each; NULL: no row has a value */
};

struct type_rows {
    uint32_t count;
    struct column *columns; /* by field; NULL if count is 0 */
};

struct batch_view {
    const struct policy *policy;
    struct counters counters;
    struct span identities;
    uint32_t text_count;
    struct span *texts;
    struct span order;  /* a byte per event */
    uint32_t *consents; /* per event */
    uint32_t *rows;     /* per event: its row among those of its type */
    struct type_rows *types;
    uint64_t *numbers; /* while decoding: a column */
};

void batch_view_free(struct batch_view *v)
{
    if (!v)
        return;
    for (unsigned t = 0; v->types && t < v->policy->event_count; t++) {
        struct column *columns = v->types[t].columns;

        for (unsigned f = 0; columns && f < v->policy->events[t].field_count;
             f++)
            free(columns[f].cells);
        free(columns);
    }
    free(v->types);
    free(v->texts);
    free(v->consents);
    free(v->rows);
    free(v->numbers);
    free(v);
}

static enum sotto_err decode_counter(struct counters *c,
                                     const msgpack_object *o)
{
    const msgpack_object *at;
    uint32_t count, before = c->drop_count;
    struct span name;
    uint64_t value;
    char text[COUNTER_NAME_MAX + 1];
    enum sotto_err err = get_array(o, 2, 2, &at, &count);

    if (err)
        return err;
    if (get_text(&at[0], COUNTER_NAME_MAX, &name) || name.size == 0 ||
        get_uint(&at[1], UINT64_MAX, &value))
        return SOTTO_EDECODE;
    memcpy(text, name.data, name.size);
    text[name.size] = '\0';
    err = counters_add(c, text, value);
    if (!err && c->drop_count == before)
        err = SOTTO_EDECODE; /* a name comes once */
    return err;
}

static enum sotto_err decode_counters(struct counters *c,
                                      const msgpack_object *o)
{
    const msgpack_object *at, *drops;
    uint32_t count, drop_count;

    if (get_array(o, BATCH_COUNTERS, BATCH_COUNTERS, &at, &count) ||
        get_uint(&at[0], UINT64_MAX, &c->produced) ||
        get_uint(&at[1], UINT64_MAX, &c->accepted) ||
        get_uint(&at[2], UINT64_MAX, &c->fields_emptied) ||
        get_array(&at[3], 0, COUNTERS_MAX, &drops, &drop_count))
        return SOTTO_EDECODE;
    for (uint32_t i = 0; i < drop_count; i++)
        if (decode_counter(c, &drops[i]))
            return SOTTO_EDECODE;
    return SOTTO_OK;
}

/* A pseudonym that came twice would be two people. */
static enum sotto_err check_identities(struct span ids)
{
    uint32_t count = (uint32_t)(ids.size / 16);
    enum sotto_err err = SOTTO_OK;
    struct dict seen;

    if (ids.size % 16)
        return SOTTO_EDECODE;
    dict_init(&seen, count, ids.size, 0);
    for (uint32_t i = 0; !err && i < count; i++) {
        uint32_t number;

        err =
            dict_intern(&seen, span_of(ids.data + (size_t)i * 16, 16), &number);
        if (!err && number != i)
            err = SOTTO_EDECODE;
    }
    dict_fini(&seen);
    return err;
}

static enum sotto_err decode_texts(struct batch_view *v,
                                   const msgpack_object *o)
{
    const msgpack_object *at;

    if (get_array(o, 0, BATCH_TEXTS_MAX, &at, &v->text_count))
        return SOTTO_EDECODE;
    v->texts = calloc(v->text_count + 1u, sizeof(*v->texts));
    if (!v->texts)
        return SOTTO_ENOMEM;
    for (uint32_t i = 0; i < v->text_count; i++)
        if (get_text(&at[i], TEXT_SIZE_MAX, &v->texts[i]) ||
            !event_text_fits(v->texts[i]))
            return SOTTO_EDECODE;
    return SOTTO_OK;
}

/* count numbers into v->numbers. */
static enum sotto_err decode_numbers(struct batch_view *v, uint32_t count,
                                     const msgpack_object *o)
{
    struct span bytes;
    size_t width;

    if (get_bin(o, (size_t)count * sizeof(uint64_t), &bytes))
        return SOTTO_EDECODE;
    if (count == 0)
        return SOTTO_OK;
    width = bytes.size / count;
    if (width * count != bytes.size)
        return SOTTO_EDECODE;
    memset(v->numbers, 0, count * sizeof(*v->numbers));
    for (size_t byte = 0; byte < width; byte++)
        for (uint32_t i = 0; i < count; i++)
            v->numbers[i] |= (uint64_t)bytes.data[byte * count + i]
                             << (8 * byte);
    return SOTTO_OK;
}

static enum sotto_err decode_order(struct batch_view *v,
                                   const msgpack_object *o)
{
    size_t count;

    if (get_bin(o, BATCH_EVENTS_MAX, &v->order))
        return SOTTO_EDECODE;
    count = v->order.size;
    v->consents = calloc(count + 1, sizeof(*v->consents));
    v->rows = calloc(count + 1, sizeof(*v->rows));
    v->numbers = calloc(count + 1, sizeof(*v->numbers));
    v->types = calloc(v->policy->event_count, sizeof(*v->types));
    if (!v->consents || !v->rows || !v->numbers || !v->types)
        return SOTTO_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        if (v->order.data[i] >= v->policy->event_count)
            return SOTTO_EDECODE;
        v->rows[i] = v->types[v->order.data[i]].count++;
    }
    return SOTTO_OK;
}

static enum sotto_err decode_consent(struct batch_view *v,
                                     const msgpack_object *sets_at,
                                     const msgpack_object *numbers_at)
{
    uint64_t all = (UINT64_C(1) << v->policy->purpose_count) - 1;
    uint32_t count = (uint32_t)v->order.size;
    uint32_t sets[BATCH_SETS_MAX], set_count;
    const msgpack_object *at;

    if (get_array(sets_at, 0, BATCH_SETS_MAX, &at, &set_count))
        return SOTTO_EDECODE;
    for (uint32_t i = 0; i < set_count; i++) {
        uint64_t set;

        if (get_uint(&at[i], all, &set))
            return SOTTO_EDECODE;
        sets[i] = (uint32_t)set;
    }
    if (decode_numbers(v, count, numbers_at))
        return SOTTO_EDECODE;
    for (uint32_t i = 0; i < count; i++) {
        if (v->numbers[i] >= set_count)
            return SOTTO_EDECODE;
        v->consents[i] = sets[v->numbers[i]];
    }
    return SOTTO_OK;
}

static bool has_value(const struct column *c, uint32_t row)
{
    return c->presence.size == 0 || (c->presence.data[row / 8] >> row % 8 & 1);
}

/* How many rows have a value, 0 if presence is wrong: all of them are said by
 * an empty presence, none by nil. */
static uint32_t presence_count(struct span presence, uint32_t rows)
{
    uint32_t count = 0;

    if (presence.size == 0)
        return rows;
    if (presence.size != (rows + 7) / 8 ||
        (rows % 8 && presence.data[presence.size - 1] >> rows % 8))
        return 0;
    for (size_t i = 0; i < presence.size; i++)
        count += (uint32_t)__builtin_popcount(presence.data[i]);
    return count < rows ? count : 0;
}

/* Wraps where it would leave 64 bits; check_values refuses what is no time. */
static void scale_times(uint64_t *numbers, uint32_t count, int64_t base,
                        uint64_t scale)
{
    uint64_t time = (uint64_t)base;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t step = (numbers[i] / 2 + (numbers[i] & 1)) * scale;

        time = numbers[i] & 1 ? time - step : time + step;
        numbers[i] = time;
    }
}

static bool scale_values(uint64_t *numbers, uint32_t count, int64_t base,
                         uint64_t scale)
{
    const uint64_t most = (uint64_t)INT64_MAX - (uint64_t)base;

    for (uint32_t i = 0; i < count; i++) {
        if (numbers[i] > most / scale)
            return false;
        numbers[i] = (uint64_t)base + numbers[i] * scale;
    }
    return true;
}

/* The values of a column, in v->numbers, as the field means them; false if
 * one cannot be. */
static bool check_refs(const struct batch_view *v, const struct policy_field *f,
                       uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t number = v->numbers[i];

        if (f->type == TYPE_TEXT) {
            if (number >= v->text_count ||
                !event_text_made(f, v->texts[number]))
                return false;
        } else if (f->type == TYPE_ID) {
            struct event_value id = {.present = true};

            if (number >= v->identities.size / 16)
                return false;
            memcpy(id.id, v->identities.data + number * 16, 16);
            if (!event_value_fits(f, &id))
                return false;
        } else {
            if (number >= f->edge_count)
                return false;
            v->numbers[i] = (uint64_t)f->edges[number];
        }
    }
    return true;
}

static bool check_values(const struct batch_view *v,
                         const struct policy_field *f, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct event_value value = {.present = true,
                                    .number = (int64_t)v->numbers[i]};

        if (f->type == TYPE_ID)
            token_of(value.id, v->numbers[i]);
        if (!event_value_fits(f, &value))
            return false;
    }
    return true;
}

static bool decode_values(struct batch_view *v, const struct policy_field *f,
                          const msgpack_object *at, uint32_t count)
{
    int64_t base;
    uint64_t scale;

    if (column_refs(f))
        return !decode_numbers(v, count, &at[1]) && check_refs(v, f, count);
    if (get_int(&at[1], &base) || get_uint(&at[2], UINT64_MAX, &scale) ||
        scale == 0 || decode_numbers(v, count, &at[3]))
        return false;
    if (f->type == TYPE_TIME)
        scale_times(v->numbers, count, base, scale);
    else if (!scale_values(v->numbers, count, base, scale))
        return false;
    return check_values(v, f, count);
}

static enum sotto_err decode_column(struct batch_view *v,
                                    const struct policy_field *f, uint32_t rows,
                                    struct column *c, const msgpack_object *o)
{
    uint32_t entries = column_refs(f) ? BATCH_COLUMN_REFS : BATCH_COLUMN;
    uint32_t count, next = 0;
    const msgpack_object *at;

    if (o->type == MSGPACK_OBJECT_NIL)
        return SOTTO_OK;
    if (get_array(o, entries, entries, &at, &count) ||
        get_bin(&at[0], BATCH_EVENTS_MAX, &c->presence))
        return SOTTO_EDECODE;
    count = presence_count(c->presence, rows);
    if (count == 0 || !decode_values(v, f, at, count))
        return SOTTO_EDECODE;
    c->cells = calloc(rows, sizeof(*c->cells));
    if (!c->cells)
        return SOTTO_ENOMEM;
    for (uint32_t row = 0; row < rows; row++)
        if (has_value(c, row))
            c->cells[row] = (int64_t)v->numbers[next++];
    return SOTTO_OK;
}

static enum sotto_err decode_type(struct batch_view *v,
                                  const struct policy_event *event,
                                  struct type_rows *type,
                                  const msgpack_object *o)
{
    const msgpack_object *at;
    uint32_t count;

    if (get_array(o, event->field_count, event->field_count, &at, &count))
        return SOTTO_EDECODE;
    type->columns = calloc(count + 1u, sizeof(*type->columns));
    if (!type->columns)
        return SOTTO_ENOMEM;
    for (uint32_t f = 0; f < count; f++) {
        enum sotto_err err = decode_column(v, &event->fields[f], type->count,
                                           &type->columns[f], &at[f]);

        if (err)
            return err;
    }
    return SOTTO_OK;
}

/* As many as there are types in the order. */
static enum sotto_err decode_types(struct batch_view *v,
                                   const msgpack_object *o)
{
    uint32_t types = 0, count;
    const msgpack_object *at;

    for (unsigned t = 0; t < v->policy->event_count; t++)
        types += v->types[t].count > 0;
    if (get_array(o, types, types, &at, &count))
        return SOTTO_EDECODE;
    for (unsigned t = 0; t < v->policy->event_count; t++) {
        enum sotto_err err;

        if (v->types[t].count == 0)
            continue;
        err = decode_type(v, &v->policy->events[t], &v->types[t], at++);
        if (err)
            return err;
    }
    return SOTTO_OK;
}

static enum sotto_err decode_body(struct batch_view *v,
                                  const msgpack_object *root)
{
    const msgpack_object *at;
    uint32_t count;
    uint64_t version;
    enum sotto_err err;

    if (get_array(root, 1, BATCH_FORM, &at, &count) ||
        get_uint(&at[0], UINT64_MAX, &version))
        return SOTTO_EDECODE;
    if (version != BATCH_VERSION)
        return SOTTO_EVERSION;
    if (count != BATCH_FORM ||
        get_bin(&at[2], (size_t)BATCH_IDS_MAX * 16, &v->identities))
        return SOTTO_EDECODE;
    err = decode_counters(&v->counters, &at[1]);
    if (!err)
        err = check_identities(v->identities);
    if (!err)
        err = decode_texts(v, &at[3]);
    if (!err)
        err = decode_order(v, &at[4]);
    if (!err)
        err = decode_consent(v, &at[5], &at[6]);
    if (!err)
        err = decode_types(v, &at[7]);
    return err;
}

enum sotto_err batch_decode(struct batch_view **out, struct span body,
                            const struct policy *p)
{
    static const struct check_limits limits = {
        .bytes_max = BATCH_BYTES_MAX,
        .depth_max = 4,
        .nodes_max = BATCH_TEXTS_MAX + BATCH_SETS_MAX + 3 * COUNTERS_MAX +
                     POLICY_EVENTS_MAX * (POLICY_FIELDS_MAX * 5 + 1) + 32,
    };
    struct batch_view *v;
    struct unpacked u;
    enum sotto_err err = unpack_open(&u, body, &limits);

    if (err)
        return err;
    v = calloc(1, sizeof(*v));
    if (v) {
        v->policy = p;
        err = decode_body(v, &u.root);
        free(v->numbers);
        v->numbers = NULL;
    } else {
        err = SOTTO_ENOMEM;
    }
    unpack_close(&u); /* spans borrow from body, not from the zone */
    if (err) {
        batch_view_free(v);
        return err;
    }
    *out = v;
    return SOTTO_OK;
}

uint32_t batch_view_count(const struct batch_view *v)
{
    return (uint32_t)v->order.size;
}

const struct counters *batch_view_counters(const struct batch_view *v)
{
    return &v->counters;
}

struct span batch_view_identities(const struct batch_view *v)
{
    return v->identities;
}

void batch_view_event(const struct batch_view *v, uint32_t i, struct event *ev)
{
    const struct policy_event *event = &v->policy->events[v->order.data[i]];
    const struct column *columns = v->types[v->order.data[i]].columns;
    uint32_t row = v->rows[i];

    ev->index = v->order.data[i];
    ev->consent = v->consents[i];
    ev->fits = NULL;
    for (unsigned f = 0; f < event->field_count; f++) {
        struct event_value *value = &ev->values[f];
        int64_t cell;

        value->present = columns[f].cells && has_value(&columns[f], row);
        if (!value->present)
            continue;
        cell = columns[f].cells[row];
        if (event->fields[f].type == TYPE_TEXT)
            value->text = v->texts[cell];
        else if (event->fields[f].action == ACTION_PSEUDONYM)
            memcpy(value->id, v->identities.data + cell * 16, 16);
        else if (event->fields[f].type == TYPE_ID)
            token_of(value->id, (uint64_t)cell);
        else
            value->number = cell;
    }
}
