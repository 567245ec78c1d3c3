/* The checkpoint of the interactions view, and its digest.
 *
 * Rows: "i" with a number: an item; "n": its name; "s" with a hash: a subject;
 * "u": format version and how far each agent is. Read in this order. */
#include "aggregator/views/interactions_state.h"

#include <string.h>

#include "aggregator/views/seen.h"

#define FORMAT 1
#define NUMBERS_MAX (UINT32_C(1) << 25) /* in one row */
#define ITEM_NUMBERS 5                  /* of an item_row */
#define UPTO_NUMBERS 3                  /* of an agent_upto */

static enum sotto_err subject_encode(void *context, uint32_t number,
                                     struct buf *out)
{
    const struct interactions *x = context;
    const struct rows *rows = subjects_row(&x->people, number);
    const struct item_row *row = rows->data;
    struct packer p;

    pack_init(&p, out);
    pack_array(&p, 2);
    pack_bin(&p, span_of(subjects_key(&x->people, number), SUBJECT_SIZE));
    pack_array(&p, (size_t)rows->count * ITEM_NUMBERS);
    for (uint32_t i = 0; i < rows->count; i++, row++) {
        pack_uint(&p, row->item);
        pack_int(&p, row->units);
        pack_uint(&p, row->day);
        pack_uint(&p, row->purchases);
        pack_uint(&p, row->soft);
    }
    return p.err;
}

static enum sotto_err label_encode(struct buf *out, const struct item_label *l)
{
    struct packer p;

    pack_init(&p, out);
    pack_array(&p, 2);
    pack_int(&p, l->name_ms);
    pack_bin(&p, span_of(l->name, l->size));
    return p.err;
}

static enum sotto_err upto_encode(struct buf *out, const struct interactions *x)
{
    const struct agent_upto *upto = x->upto.data;
    struct packer p;

    pack_init(&p, out);
    pack_array(&p, 4);
    pack_uint(&p, FORMAT);
    pack_uint(&p, x->saturated);
    pack_uint(&p, x->overflowed);
    pack_array(&p, (size_t)x->upto.count * UPTO_NUMBERS);
    for (uint32_t i = 0; i < x->upto.count; i++) {
        pack_uint(&p, upto[i].agent);
        pack_uint(&p, upto[i].stream);
        pack_uint(&p, upto[i].sequence);
    }
    return p.err;
}

static enum sotto_err save_labels(const struct interactions *x,
                                  struct state *st, struct buf *row)
{
    uint8_t key[STATE_NUMBER_KEY];
    enum sotto_err err = SOTTO_OK;

    for (uint32_t i = 0; i < x->items.count && !err; i++) {
        if (!x->labels[i].dirty)
            continue;
        buf_clear(row);
        err = label_encode(row, &x->labels[i]);
        if (!err)
            err = state_put(st, state_number_key(key, 'n', i),
                            span_of(row->data, row->size));
    }
    return err;
}

enum sotto_err interactions_save(void *view, struct store *s)
{
    struct interactions *x = view;
    struct state st;
    struct buf row;
    enum sotto_err err;

    state_init(&st, s, interactions_view.name);
    buf_init(&row, STATE_ROW_MAX - STATE_KEY_MAX);
    err = state_put_dict(&st, 'i', &x->items, x->items_saved);
    if (!err)
        err = save_labels(x, &st, &row);
    if (!err)
        err = subjects_save(&x->people, &st, subject_encode, x);
    buf_clear(&row);
    if (!err)
        err = upto_encode(&row, x);
    if (!err)
        err = state_put(&st, span_text("u"), span_of(row.data, row.size));
    buf_fini(&row);
    state_fini(&st);
    return err;
}

void interactions_saved(void *view)
{
    struct interactions *x = view;

    x->items_saved = x->items.count;
    for (uint32_t i = 0; i < x->items.count; i++)
        x->labels[i].dirty = false;
    subjects_saved(&x->people);
}

/* --- reading ------------------------------------------------------------ */

/* The four numbers after the item's, which the caller has checked. */
static enum sotto_err item_decode(struct item_row *row, const msgpack_object *o)
{
    uint64_t day = 0, purchases = 0, soft = 0;
    int64_t units = 0;
    enum sotto_err err = get_int(&o[0], &units);

    if (!err && (units > INT32_MAX || units < INT32_MIN))
        err = SOTTO_EDECODE;
    if (!err)
        err = get_uint(&o[1], UINT16_MAX, &day);
    if (!err)
        err = get_uint(&o[2], UINT8_MAX, &purchases);
    if (!err)
        err = get_uint(&o[3], UINT8_MAX, &soft);
    row->units = (int32_t)units;
    row->day = (uint16_t)day;
    row->purchases = (uint8_t)purchases;
    row->soft = (uint8_t)soft;
    return err;
}

static enum sotto_err items_decode(struct interactions *x, struct rows *rows,
                                   const msgpack_object *o)
{
    const msgpack_object *n;
    struct item_row row = {0};
    uint32_t count = 0;
    uint64_t item = 0;
    enum sotto_err err = get_array(o, 0, NUMBERS_MAX, &n, &count);

    if (!err && count % ITEM_NUMBERS)
        err = SOTTO_EDECODE;
    for (uint32_t i = 0; i < count && !err; i += ITEM_NUMBERS) {
        err = get_uint(&n[i], UINT32_MAX, &item);
        if (!err &&
            (item >= x->items.count || (rows->count && item <= row.item)))
            err = SOTTO_EDECODE;
        row.item = (uint32_t)item;
        if (!err)
            err = item_decode(&row, &n[i + 1]);
        if (!err)
            err = rows_insert(rows, sizeof(row), rows->count, &row);
    }
    return err ? err : interactions_reserve(x, rows->count);
}

static enum sotto_err subject_decode(struct interactions *x,
                                     const msgpack_object *o)
{
    const msgpack_object *items;
    uint8_t subject[SUBJECT_SIZE];
    uint32_t count, number;
    bool added;
    enum sotto_err err = get_array(o, 2, 2, &items, &count);

    if (!err)
        err = get_fixed(&items[0], subject, sizeof(subject));
    if (!err)
        err = subjects_intern(&x->people, subject, &number, &added);
    if (err)
        return err;
    if (!added)
        return SOTTO_EDECODE;
    return items_decode(x, subjects_row(&x->people, number), &items[1]);
}

static enum sotto_err label_decode(struct interactions *x, uint32_t number,
                                   const msgpack_object *o)
{
    const msgpack_object *items;
    uint32_t count;
    int64_t name_ms = 0;
    struct span name;
    enum sotto_err err = get_array(o, 2, 2, &items, &count);

    if (!err && number >= x->items.count)
        err = SOTTO_EDECODE;
    if (!err)
        err = get_int(&items[0], &name_ms);
    if (!err)
        err = get_bin(&items[1], TEXT_SIZE_MAX, &name);
    if (!err)
        err = interactions_reserve(x, 0);
    return err ? err : label_set(&x->labels[number], name_ms, name);
}

static enum sotto_err upto_decode(struct interactions *x,
                                  const msgpack_object *o)
{
    const msgpack_object *items, *n;
    struct agent_upto row;
    uint32_t count = 0;
    uint64_t format = 0, agent = 0;
    enum sotto_err err = get_array(o, 4, 4, &items, &count);

    if (!err)
        err = get_uint(&items[0], UINT64_MAX, &format);
    if (!err && format != FORMAT)
        err = SOTTO_EVERSION;
    if (!err)
        err = get_uint(&items[1], UINT64_MAX, &x->saturated);
    if (!err)
        err = get_uint(&items[2], UINT64_MAX, &x->overflowed);
    if (!err)
        err = get_array(&items[3], 0, NUMBERS_MAX, &n, &count);
    if (!err && count % UPTO_NUMBERS)
        err = SOTTO_EDECODE;
    memset(&row, 0, sizeof(row));
    for (uint32_t i = 0; i < count && !err; i += UPTO_NUMBERS) {
        err = get_uint(&n[i], UINT32_MAX, &agent);
        if (!err && x->upto.count && agent <= row.agent)
            err = SOTTO_EDECODE;
        row.agent = (uint32_t)agent;
        if (!err)
            err = get_uint(&n[i + 1], UINT64_MAX, &row.stream);
        if (!err)
            err = get_uint(&n[i + 2], UINT64_MAX, &row.sequence);
        if (!err)
            err = rows_insert(&x->upto, sizeof(row), x->upto.count, &row);
    }
    return err;
}

static enum sotto_err row_load(void *context, struct span key,
                               struct span value)
{
    struct interactions *x = context;
    struct unpacked u;
    enum sotto_err err;

    if (key.data[0] == 'i')
        return state_take_dict(&x->items, key, value);
    if (key.data[0] != 'n' && key.data[0] != SUBJECTS_PREFIX &&
        key.data[0] != 'u')
        return SOTTO_EVERSION;
    err = state_unpack(&u, value);
    if (err)
        return err;
    if (key.data[0] == 'n')
        err = label_decode(x, state_key_number(key), &u.root);
    else if (key.data[0] == SUBJECTS_PREFIX)
        err = subject_decode(x, &u.root);
    else
        err = upto_decode(x, &u.root);
    unpack_close(&u);
    return err;
}

enum sotto_err interactions_load(void *view, struct store *s)
{
    struct interactions *x = view;
    struct state st;
    enum sotto_err err;

    state_init(&st, s, interactions_view.name);
    err = state_each(&st, row_load, x);
    state_fini(&st);
    if (!err)
        err = interactions_reserve(x, 0);
    if (!err)
        interactions_saved(x);
    return err;
}

/* --- digest ------------------------------------------------------------- */

static uint64_t subject_digest(const struct interactions *x, uint32_t number)
{
    const struct rows *rows = subjects_row(&x->people, number);
    const struct item_row *row = rows->data;
    uint64_t sum = 0;

    for (uint32_t i = 0; i < rows->count; i++, row++) {
        /* By content: numbers of items depend on arrival. */
        uint64_t h = seen_hash(dict_key(&x->items, row->item));

        h = seen_mix(h, (uint64_t)(int64_t)row->units);
        h = seen_mix(h, row->day);
        h = seen_mix(h, row->purchases);
        sum += seen_mix(h, row->soft);
    }
    return seen_mix(sum, seen_hash(span_of(subjects_key(&x->people, number),
                                           SUBJECT_SIZE)));
}

static uint64_t item_digest(const struct interactions *x, uint32_t item)
{
    const struct item_label *l = &x->labels[item];
    uint64_t h = seen_hash(dict_key(&x->items, item));

    h = seen_mix(h, (uint64_t)l->name_ms);
    return seen_mix(h, seen_hash(interactions_item_name(x, item)));
}

uint64_t interactions_digest(void *view)
{
    const struct interactions *x = view;
    uint64_t people = 0, items = 0;

    for (uint32_t i = 0; i < x->people.count; i++)
        people += subject_digest(x, i);
    for (uint32_t i = 0; i < x->items.count; i++)
        items += item_digest(x, i);
    return seen_mix(seen_mix(people, items), x->saturated);
}
