/* The checkpoint of the profile view, and its digest.
 *
 * Rows: "c" and "i" with a number: categories and items; "s" with a hash: a
 * subject; "t": format version and totals. Read in this order, so a record
 * finds the labels that it refers to. */
#include "aggregator/views/profile_state.h"

#include <string.h>

#include "aggregator/views/seen.h"

#define FORMAT 1
#define ROWS_MAX (UINT32_C(1) << 22) /* of one part of one subject */

/* --- writing ------------------------------------------------------------ */

static void pack_set(struct packer *p, const struct rows *r)
{
    const uint64_t *values = r->data;

    pack_array(p, r->count);
    for (uint32_t i = 0; i < r->count; i++)
        pack_uint(p, values[i]);
}

/* Rows of size/4 32-bit numbers, one after the other. */
static void pack_rows32(struct packer *p, const struct rows *r, size_t size)
{
    const uint32_t *values = r->data;
    size_t count = r->count * (size / sizeof(uint32_t));

    pack_array(p, count);
    for (size_t i = 0; i < count; i++)
        pack_uint(p, values[i]);
}

static enum sotto_err person_encode(void *context, uint32_t number,
                                    struct buf *out)
{
    const struct profiles *v = context;
    const struct person_row *r = subjects_row(&v->people, number);
    struct packer p;

    pack_init(&p, out);
    pack_array(&p, 17);
    pack_bin(&p, span_of(subjects_key(&v->people, number), SUBJECT_SIZE));
    pack_array(&p, EVENT_ROLE_COUNT);
    for (int i = 0; i < EVENT_ROLE_COUNT; i++)
        pack_uint(&p, r->events[i]);
    pack_uint(&p, r->consent);
    pack_uint(&p, r->loose_orders);
    pack_uint(&p, r->loose_returns);
    pack_int(&p, r->spent);
    pack_int(&p, r->returned);
    pack_int(&p, r->units);
    pack_int(&p, r->first_ms);
    pack_int(&p, r->last_ms);
    pack_int(&p, r->last_purchase_ms);
    pack_uint(&p, r->agents);
    pack_set(&p, &r->orders);
    pack_set(&p, &r->returned_orders);
    pack_rows32(&p, &r->recent, sizeof(struct recent_row));
    pack_rows32(&p, &r->categories, sizeof(struct category_row));
    pack_rows32(&p, &r->agents_above, sizeof(uint32_t));
    return p.err;
}

static enum sotto_err totals_encode(const struct profiles *v, struct buf *out)
{
    struct packer p;

    pack_init(&p, out);
    pack_array(&p, 5);
    pack_uint(&p, FORMAT);
    pack_int(&p, v->last_ms);
    pack_uint(&p, v->saturated);
    pack_uint(&p, v->overflowed);
    pack_array(&p, EVENT_ROLE_COUNT);
    for (int i = 0; i < EVENT_ROLE_COUNT; i++) {
        pack_array(&p, 4);
        pack_uint(&p, v->totals[i].events);
        pack_uint(&p, v->totals[i].known_events);
        pack_int(&p, v->totals[i].value);
        pack_int(&p, v->totals[i].known_value);
    }
    return p.err;
}

enum sotto_err profile_save(void *view, struct store *s)
{
    struct profiles *v = view;
    struct state st;
    struct buf totals;
    enum sotto_err err;

    state_init(&st, s, profile_view.name);
    buf_init(&totals, 4096);
    err = state_put_dict(&st, 'c', &v->categories, v->categories_saved);
    if (!err)
        err = state_put_dict(&st, 'i', &v->items, v->items_saved);
    if (!err)
        err = subjects_save(&v->people, &st, person_encode, v);
    if (!err)
        err = totals_encode(v, &totals);
    if (!err)
        err = state_put(&st, span_text("t"), span_of(totals.data, totals.size));
    buf_fini(&totals);
    state_fini(&st);
    return err;
}

void profile_saved(void *view)
{
    struct profiles *v = view;

    v->categories_saved = v->categories.count;
    v->items_saved = v->items.count;
    subjects_saved(&v->people);
}

/* --- reading ------------------------------------------------------------ */

static enum sotto_err get_set(const msgpack_object *o, struct rows *r)
{
    const msgpack_object *items;
    uint32_t count = 0;
    uint64_t value = 0, before = 0;
    enum sotto_err err = get_array(o, 0, ROWS_MAX, &items, &count);

    for (uint32_t i = 0; i < count && !err; i++) {
        err = get_uint(&items[i], UINT64_MAX, &value);
        if (!err && i > 0 && value <= before)
            err = SOTTO_EDECODE;
        if (!err)
            err = rows_insert(r, sizeof(value), i, &value);
        before = value;
    }
    return err;
}

/* first_max: above what the first number of a row may be. */
static enum sotto_err get_rows32(const msgpack_object *o, struct rows *r,
                                 size_t size, uint64_t first_max)
{
    const msgpack_object *items;
    uint32_t width = (uint32_t)(size / sizeof(uint32_t)), count = 0;
    uint32_t row[2] = {0, 0};
    uint64_t value = 0;
    enum sotto_err err = get_array(o, 0, ROWS_MAX, &items, &count);

    if (!err && count % width)
        return SOTTO_EDECODE;
    for (uint32_t i = 0; i < count && !err; i++) {
        err = get_uint(&items[i], UINT32_MAX, &value);
        if (!err && i % width == 0 && value >= first_max)
            err = SOTTO_EDECODE;
        row[i % width] = (uint32_t)value;
        if (!err && i % width == width - 1)
            err = rows_insert(r, size, r->count, row);
    }
    return err;
}

static enum sotto_err get_u32(const msgpack_object *o, uint32_t *out)
{
    uint64_t value = 0;
    enum sotto_err err = get_uint(o, UINT32_MAX, &value);

    *out = (uint32_t)value;
    return err;
}

static enum sotto_err get_numbers(const msgpack_object *o, struct person_row *r)
{
    uint32_t *const small[] = {&r->consent, &r->loose_orders,
                               &r->loose_returns};
    int64_t *const large[] = {&r->spent,    &r->returned, &r->units,
                              &r->first_ms, &r->last_ms,  &r->last_purchase_ms};
    enum sotto_err err = SOTTO_OK;

    for (size_t i = 0; i < 3 && !err; i++)
        err = get_u32(o++, small[i]);
    for (size_t i = 0; i < 6 && !err; i++)
        err = get_int(o++, large[i]);
    return err ? err : get_uint(o, UINT64_MAX, &r->agents);
}

static enum sotto_err person_decode(struct profiles *v, const msgpack_object *o)
{
    const msgpack_object *items, *events;
    uint8_t subject[SUBJECT_SIZE];
    struct person_row *r;
    uint32_t count, number;
    bool added;
    enum sotto_err err = get_array(o, 17, 17, &items, &count);

    if (!err)
        err = get_fixed(&items[0], subject, sizeof(subject));
    if (!err)
        err = get_array(&items[1], 0, EVENT_ROLE_COUNT, &events, &count);
    if (!err)
        err = subjects_intern(&v->people, subject, &number, &added);
    if (err)
        return err;
    if (!added)
        return SOTTO_EDECODE;
    r = subjects_row(&v->people, number);
    for (uint32_t i = 0; i < count && !err; i++)
        err = get_u32(&events[i], &r->events[i]);
    if (!err)
        err = get_numbers(&items[2], r);
    if (!err)
        err = get_set(&items[12], &r->orders);
    if (!err)
        err = get_set(&items[13], &r->returned_orders);
    if (!err)
        err = get_rows32(&items[14], &r->recent, sizeof(struct recent_row),
                         v->items.count);
    if (!err && r->recent.count > PROFILE_LAST_ITEMS)
        err = SOTTO_EDECODE;
    if (!err)
        err = get_rows32(&items[15], &r->categories,
                         sizeof(struct category_row), v->categories.count);
    if (!err)
        err = get_rows32(&items[16], &r->agents_above, sizeof(uint32_t),
                         UINT64_MAX);
    return err;
}

static enum sotto_err totals_decode(struct profiles *v, const msgpack_object *o)
{
    const msgpack_object *items, *roles, *t;
    uint32_t count, role_count = 0;
    uint64_t format = 0;
    enum sotto_err err = get_array(o, 5, 5, &items, &count);

    if (!err)
        err = get_uint(&items[0], UINT64_MAX, &format);
    if (!err && format != FORMAT)
        err = SOTTO_EVERSION;
    if (!err)
        err = get_int(&items[1], &v->last_ms);
    if (!err)
        err = get_uint(&items[2], UINT64_MAX, &v->saturated);
    if (!err)
        err = get_uint(&items[3], UINT64_MAX, &v->overflowed);
    if (!err)
        err = get_array(&items[4], 0, EVENT_ROLE_COUNT, &roles, &role_count);
    for (uint32_t i = 0; i < role_count && !err; i++) {
        err = get_array(&roles[i], 4, 4, &t, &count);
        if (!err)
            err = get_uint(&t[0], UINT64_MAX, &v->totals[i].events);
        if (!err)
            err = get_uint(&t[1], UINT64_MAX, &v->totals[i].known_events);
        if (!err)
            err = get_int(&t[2], &v->totals[i].value);
        if (!err)
            err = get_int(&t[3], &v->totals[i].known_value);
    }
    return err;
}

static enum sotto_err row_load(void *context, struct span key,
                               struct span value)
{
    struct profiles *v = context;
    struct unpacked u;
    enum sotto_err err;

    if (key.data[0] == 'c')
        return state_take_dict(&v->categories, key, value);
    if (key.data[0] == 'i')
        return state_take_dict(&v->items, key, value);
    if (key.data[0] != SUBJECTS_PREFIX && key.data[0] != 't')
        return SOTTO_EVERSION;
    err = state_unpack(&u, value);
    if (err)
        return err;
    err = key.data[0] == 't' ? totals_decode(v, &u.root)
                             : person_decode(v, &u.root);
    unpack_close(&u);
    return err;
}

enum sotto_err profile_load(void *view, struct store *s)
{
    struct state st;
    enum sotto_err err;

    state_init(&st, s, profile_view.name);
    err = state_each(&st, row_load, view);
    state_fini(&st);
    if (!err)
        profile_saved(view);
    return err;
}

/* --- digest ------------------------------------------------------------- */

static uint64_t set_digest(uint64_t h, const struct rows *r)
{
    const uint64_t *values = r->data;

    for (uint32_t i = 0; i < r->count; i++)
        h = seen_mix(h, values[i]);
    return seen_mix(h, r->count);
}

/* Labels by content: their numbers depend on arrival. */
static uint64_t labels_digest(uint64_t h, const struct profiles *v,
                              const struct person_row *r)
{
    const struct recent_row *recent = r->recent.data;
    const struct category_row *category = r->categories.data;
    uint64_t sum = 0;

    for (uint32_t i = 0; i < r->recent.count; i++) {
        h = seen_mix(h, seen_hash(dict_key(&v->items, recent[i].item)));
        h = seen_mix(h, recent[i].second);
    }
    for (uint32_t i = 0; i < r->categories.count; i++)
        sum +=
            seen_mix(seen_hash(dict_key(&v->categories, category[i].category)),
                     category[i].count);
    return seen_mix(h, sum);
}

static uint64_t person_digest(const struct profiles *v, uint32_t number)
{
    const struct person_row *r = subjects_row(&v->people, number);
    const uint32_t *above = r->agents_above.data;
    const uint64_t numbers[] = {
        r->consent,
        r->loose_orders,
        r->loose_returns,
        (uint64_t)r->spent,
        (uint64_t)r->returned,
        (uint64_t)r->units,
        (uint64_t)r->first_ms,
        (uint64_t)r->last_ms,
        (uint64_t)r->last_purchase_ms,
        r->agents,
    };
    uint64_t h =
        seen_hash(span_of(subjects_key(&v->people, number), SUBJECT_SIZE));

    for (int i = 0; i < EVENT_ROLE_COUNT; i++)
        h = seen_mix(h, r->events[i]);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        h = seen_mix(h, numbers[i]);
    for (uint32_t i = 0; i < r->agents_above.count; i++)
        h = seen_mix(h, above[i]);
    h = set_digest(h, &r->orders);
    h = set_digest(h, &r->returned_orders);
    return labels_digest(h, v, r);
}

uint64_t profile_digest(void *view)
{
    const struct profiles *v = view;
    uint64_t sum = 0, h;

    for (uint32_t i = 0; i < v->people.count; i++)
        sum += person_digest(v, i);
    h = seen_mix(sum, v->people.count);
    h = seen_mix(h, (uint64_t)v->last_ms);
    h = seen_mix(h, v->saturated);
    for (int i = 0; i < EVENT_ROLE_COUNT; i++) {
        h = seen_mix(h, v->totals[i].events);
        h = seen_mix(h, v->totals[i].known_events);
        h = seen_mix(h, (uint64_t)v->totals[i].value);
        h = seen_mix(h, (uint64_t)v->totals[i].known_value);
    }
    return h;
}
