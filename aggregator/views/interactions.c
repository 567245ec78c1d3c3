/* The interactions view: folding and looking. How it is saved:
 * interactions_state.c.
 *
 * A row holds counters only, and weights are made of them when somebody looks;
 * sums of whole numbers do not depend on the order in which events arrive. */
#include "aggregator/views/interactions.h"

#include <stdlib.h>
#include <string.h>

#include "aggregator/views/interactions_state.h"
#include "aggregator/views/seen.h"
#include "base/when.h"

#define ITEMS_MAX (UINT32_C(1) << 24)
#define ITEMS_BYTES_MAX ((size_t)1 << 30)
#define VIEW_TENTHS 1
#define ADD_TENTHS 3
/* Units of one event; one typing error must not fill 32 bits. A return is
 * clipped alike, so it still takes all of its purchase away. */
#define UNITS_MAX 100000

static enum sotto_err x_open(void **view)
{
    struct interactions *x = calloc(1, sizeof(*x));
    uint64_t seed;

    if (!x)
        return SOTTO_ENOMEM;
    randombytes_buf(&seed, sizeof(seed));
    subjects_init(&x->people, sizeof(struct rows), seed);
    dict_init(&x->items, ITEMS_MAX, ITEMS_BYTES_MAX, seed);
    *view = x;
    return SOTTO_OK;
}

static void x_close(void *view)
{
    struct interactions *x = view;

    if (!x)
        return;
    for (uint32_t i = 0; i < x->people.count; i++)
        rows_fini(subjects_row(&x->people, i), sizeof(struct item_row));
    subjects_fini(&x->people);
    for (uint32_t i = 0; i < x->label_capacity; i++)
        free(x->labels[i].name);
    free(x->labels);
    dict_fini(&x->items);
    rows_fini(&x->upto, sizeof(struct agent_upto));
    free(x->shown);
    free(x);
}

enum sotto_err interactions_reserve(struct interactions *x, uint32_t count)
{
    if (x->items.count > x->label_capacity) {
        uint32_t capacity = x->items.count + x->items.count / 2 + 16;
        struct item_label *labels =
            realloc(x->labels, capacity * sizeof(*labels));

        if (!labels)
            return SOTTO_ENOMEM;
        memset(labels + x->label_capacity, 0,
               (capacity - x->label_capacity) * sizeof(*labels));
        x->labels = labels;
        x->label_capacity = capacity;
    }
    if (count > x->shown_capacity) {
        uint32_t capacity = count + count / 2 + 16;
        struct interaction *shown =
            realloc(x->shown, capacity * sizeof(*shown));

        if (!shown)
            return SOTTO_ENOMEM;
        x->shown = shown;
        x->shown_capacity = capacity;
    }
    return SOTTO_OK;
}

/* --- folding ------------------------------------------------------------ */

enum sotto_err label_set(struct item_label *l, int64_t name_ms,
                         struct span name)
{
    char *copy = malloc(name.size + 1);

    if (!copy)
        return SOTTO_ENOMEM;
    memcpy(copy, name.data, name.size);
    free(l->name);
    l->name = copy;
    l->size = (uint32_t)name.size;
    l->name_ms = name_ms;
    l->dirty = true;
    return SOTTO_OK;
}

/* The newest name stays; of one time, the greater bytes. */
static enum sotto_err fold_name(struct item_label *l, const struct seen *e)
{
    size_t least = l->size < e->name.size ? l->size : e->name.size;
    int order = 0;

    if (!e->name.size)
        return SOTTO_OK;
    if (l->name) {
        if (e->time_ms < l->name_ms)
            return SOTTO_OK;
        order = memcmp(e->name.data, l->name, least);
        if (!order && e->name.size == l->size) {
            l->dirty |= e->time_ms > l->name_ms;
            l->name_ms = e->time_ms;
            return SOTTO_OK;
        }
        if (e->time_ms == l->name_ms &&
            (order < 0 || (!order && e->name.size < l->size)))
            return SOTTO_OK;
    }
    return label_set(l, e->time_ms, e->name);
}

static void add_small(uint8_t *counter, unsigned more)
{
    unsigned sum = *counter + more;

    *counter = (uint8_t)(sum > UINT8_MAX ? UINT8_MAX : sum);
}

static void add_units(struct interactions *x, struct item_row *row,
                      int64_t units)
{
    int64_t sum;

    if (units > UNITS_MAX)
        units = UNITS_MAX;
    if (units < -UNITS_MAX)
        units = -UNITS_MAX;
    sum = row->units + units;
    x->saturated += sum > INT32_MAX || sum < INT32_MIN;
    sum = sum > INT32_MAX ? INT32_MAX : sum;
    row->units = (int32_t)(sum < INT32_MIN ? INT32_MIN : sum);
}

static void fold_row(struct interactions *x, struct item_row *row,
                     const struct seen *e)
{
    int64_t day = e->time_ms / DAY_MS;

    if (e->role == EVENT_RETURN) {
        add_units(x, row, -e->quantity);
        return;
    }
    if (e->role == EVENT_PURCHASE) {
        add_units(x, row, e->quantity);
        add_small(&row->purchases, 1);
    } else {
        add_small(&row->soft, e->role == EVENT_VIEW ? VIEW_TENTHS : ADD_TENTHS);
    }
    if (day > UINT16_MAX)
        day = UINT16_MAX;
    if (day > row->day)
        row->day = (uint16_t)day;
}

static bool counts(const struct seen *e)
{
    return e->subject && e->item.size &&
           (e->role == EVENT_VIEW || e->role == EVENT_ADD ||
            e->role == EVENT_PURCHASE || e->role == EVENT_RETURN);
}

static enum sotto_err fold_event(struct interactions *x, const struct seen *e)
{
    struct item_row fresh = {0};
    struct rows *rows;
    uint32_t number, at;
    enum sotto_err err = dict_intern(&x->items, e->item, &fresh.item);
    bool found;

    if (err == SOTTO_EFULL) {
        x->overflowed++;
        return SOTTO_OK;
    }
    if (!err)
        err = subjects_intern(&x->people, e->subject, &number, &found);
    if (err)
        return err;
    rows = subjects_row(&x->people, number);
    err = interactions_reserve(x, rows->count + 1);
    if (!err)
        err = fold_name(&x->labels[fresh.item], e);
    if (err)
        return err;
    at = rows_find32(rows, sizeof(fresh), fresh.item, &found);
    if (!found)
        err = rows_insert(rows, sizeof(fresh), at, &fresh);
    if (!err)
        fold_row(x, (struct item_row *)rows->data + at, e);
    return err;
}

static enum sotto_err fold_upto(struct interactions *x, const struct fold *f)
{
    struct agent_upto fresh;
    bool found;
    uint32_t at = rows_find32(&x->upto, sizeof(fresh), f->agent, &found);

    memset(&fresh, 0, sizeof(fresh)); /* its padding too */
    fresh.agent = f->agent;
    fresh.stream = f->stream;
    fresh.sequence = f->sequence;
    if (!found)
        return rows_insert(&x->upto, sizeof(fresh), at, &fresh);
    ((struct agent_upto *)x->upto.data)[at] = fresh;
    return SOTTO_OK;
}

static enum sotto_err x_forget(void *view, const uint8_t subject[16])
{
    struct interactions *x = view;
    uint32_t number = subjects_find(&x->people, subject);

    if (number == DICT_NONE)
        return SOTTO_OK;
    if (x->shown) /* may hold this very subject */
        memset(x->shown, 0, x->shown_capacity * sizeof(*x->shown));
    rows_fini(subjects_row(&x->people, number), sizeof(struct item_row));
    return subjects_remove(&x->people, number);
}

static enum sotto_err x_fold(void *view, const struct fold *f)
{
    uint32_t count = f->batch ? batch_view_count(f->batch) : 0;
    enum sotto_err err = fold_upto(view, f);
    struct event ev;
    struct seen e;

    if (!err && f->forget)
        return x_forget(view, f->forget);
    for (uint32_t i = 0; i < count && !err; i++) {
        batch_view_event(f->batch, i, &ev);
        seen_read(&e, f, &ev);
        if (counts(&e))
            err = fold_event(view, &e);
    }
    return err;
}

/* --- looking ------------------------------------------------------------ */

uint32_t interactions_subjects(const struct interactions *x)
{
    return x->people.count;
}

uint32_t interactions_items(const struct interactions *x)
{
    return x->items.count;
}

uint32_t interactions_find(const struct interactions *x,
                           const uint8_t subject[16])
{
    return subjects_find(&x->people, subject);
}

uint32_t interactions_item_find(const struct interactions *x, struct span item)
{
    return dict_find(&x->items, item);
}

struct span interactions_subject(const struct interactions *x, uint32_t number)
{
    return span_of(subjects_key(&x->people, number), SUBJECT_SIZE);
}

struct span interactions_item(const struct interactions *x, uint32_t item)
{
    return dict_key(&x->items, item);
}

struct span interactions_item_name(const struct interactions *x, uint32_t item)
{
    const struct item_label *l = &x->labels[item];

    return l->name ? span_of(l->name, l->size) : span_of("", 0);
}

const struct interaction *interactions_of(const struct interactions *x,
                                          uint32_t number, uint32_t *count)
{
    const struct rows *rows = subjects_row(&x->people, number);
    const struct item_row *row = rows->data;
    uint32_t n = 0;

    for (uint32_t i = 0; i < rows->count; i++, row++) {
        bool owned = row->units > 0;

        if (!owned && !row->soft)
            continue;
        x->shown[n++] = (struct interaction){
            .item = row->item,
            .day = row->day,
            .weight =
                (float)(10 * (owned ? row->purchases : 0) + row->soft) / 10.0f,
            .bought = owned ? (float)row->units : 0.0f,
        };
    }
    *count = n;
    return x->shown;
}

void interactions_upto(const struct interactions *x, uint32_t agent,
                       uint64_t *stream, uint64_t *sequence)
{
    const struct agent_upto *rows = x->upto.data;
    bool found;
    uint32_t at = rows_find32(&x->upto, sizeof(*rows), agent, &found);

    *stream = found ? rows[at].stream : 0;
    *sequence = found ? rows[at].sequence : 0;
}

const struct view_ops interactions_view = {
    .name = "interactions",
    .open = x_open,
    .close = x_close,
    .fold = x_fold,
    .forget = x_forget,
    .save = interactions_save,
    .saved = interactions_saved,
    .load = interactions_load,
    .digest = interactions_digest,
};
