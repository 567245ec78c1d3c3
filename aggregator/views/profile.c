/* The profile view: folding and looking. How it is saved: profile_state.c.
 *
 * Every part of a record is a sum, a maximum or a set, so the order in which
 * events arrive from different agents does not matter. Where two events tie
 * for newest, contents decide, never arrival. */
#include "aggregator/views/profile.h"

#include <stdlib.h>
#include <string.h>

#include "aggregator/views/profile_state.h"
#include "aggregator/views/seen.h"
#include "base/when.h"

#define ITEMS_MAX (UINT32_C(1) << 24)
#define CATEGORIES_MAX (UINT32_C(1) << 20)
#define NAMES_BYTES_MAX ((size_t)1 << 30)

static enum sotto_err profile_open(void **view)
{
    struct profiles *p = calloc(1, sizeof(*p));
    uint64_t seed;

    if (!p)
        return SOTTO_ENOMEM;
    randombytes_buf(&seed, sizeof(seed));
    subjects_init(&p->people, sizeof(struct person_row), seed);
    dict_init(&p->items, ITEMS_MAX, NAMES_BYTES_MAX, seed);
    dict_init(&p->categories, CATEGORIES_MAX, NAMES_BYTES_MAX, seed);
    p->last_ms = WHEN_NONE;
    *view = p;
    return SOTTO_OK;
}

void person_fini(struct person_row *r)
{
    rows_fini(&r->orders, sizeof(uint64_t));
    rows_fini(&r->returned_orders, sizeof(uint64_t));
    rows_fini(&r->recent, sizeof(struct recent_row));
    rows_fini(&r->categories, sizeof(struct category_row));
    rows_fini(&r->agents_above, sizeof(uint32_t));
}

static void profile_close(void *view)
{
    struct profiles *p = view;

    if (!p)
        return;
    for (uint32_t i = 0; i < p->people.count; i++)
        person_fini(subjects_row(&p->people, i));
    subjects_fini(&p->people);
    dict_fini(&p->items);
    dict_fini(&p->categories);
    free(p);
}

/* --- folding ------------------------------------------------------------ */

/* A full dictionary costs the label, not the event. */
static enum sotto_err intern(struct profiles *p, struct dict *d,
                             struct span text, uint32_t *number)
{
    enum sotto_err err;

    *number = DICT_NONE;
    if (!text.size)
        return SOTTO_OK;
    err = dict_intern(d, text, number);
    if (err != SOTTO_EFULL)
        return err;
    p->overflowed++;
    return SOTTO_OK;
}

/* Newer first; of one second, the greater content. */
static bool recent_before(const struct profiles *p, const struct recent_row *a,
                          const struct recent_row *b)
{
    uint64_t x, y;

    if (a->second != b->second)
        return a->second > b->second;
    x = seen_hash(dict_key(&p->items, a->item));
    y = seen_hash(dict_key(&p->items, b->item));
    return x > y;
}

static void recent_remove(struct rows *r, uint32_t at)
{
    struct recent_row *rows = r->data;

    memmove(rows + at, rows + at + 1,
            (r->count - at - 1) * sizeof(struct recent_row));
    r->count--;
}

/* Keeps the newest PROFILE_LAST_ITEMS items by their newest event. One that
 * was pushed out is older than all that stay, and they only get newer; so
 * what it was when pushed out is never needed again. */
static enum sotto_err recent_add(struct profiles *p, struct rows *r,
                                 struct recent_row row)
{
    struct recent_row *rows = r->data;
    uint32_t at = 0;

    for (uint32_t i = 0; i < r->count; i++) {
        if (rows[i].item != row.item)
            continue;
        if (rows[i].second >= row.second)
            return SOTTO_OK;
        recent_remove(r, i);
        break;
    }
    while (at < r->count && recent_before(p, &rows[at], &row))
        at++;
    if (at == PROFILE_LAST_ITEMS)
        return SOTTO_OK;
    if (r->count == PROFILE_LAST_ITEMS)
        r->count--;
    return rows_insert(r, sizeof(row), at, &row);
}

static uint32_t to_second(int64_t ms)
{
    if (ms < 0)
        return 0;
    return ms / 1000 > UINT32_MAX ? UINT32_MAX : (uint32_t)(ms / 1000);
}

static enum sotto_err fold_labels(struct profiles *p, struct person_row *r,
                                  const struct seen *e)
{
    bool wanted = e->role == EVENT_VIEW || e->role == EVENT_ADD ||
                  e->role == EVENT_PURCHASE;
    struct category_row fresh = {DICT_NONE, 1};
    struct recent_row recent = {DICT_NONE, to_second(e->time_ms)};
    enum sotto_err err = SOTTO_OK;
    uint32_t at;
    bool found;

    if (wanted)
        err = intern(p, &p->items, e->item, &recent.item);
    if (!err && recent.item != DICT_NONE)
        err = recent_add(p, &r->recent, recent);
    if (!err)
        err = intern(p, &p->categories, e->category, &fresh.category);
    if (err || fresh.category == DICT_NONE)
        return err;
    at = rows_find32(&r->categories, sizeof(fresh), fresh.category, &found);
    if (!found)
        return rows_insert(&r->categories, sizeof(fresh), at, &fresh);
    seen_count(&((struct category_row *)r->categories.data)[at].count);
    return SOTTO_OK;
}

static enum sotto_err fold_agent(struct person_row *r, uint32_t agent)
{
    uint32_t at;
    bool found;

    if (agent < PROFILE_AGENTS) {
        r->agents |= UINT64_C(1) << agent;
        return SOTTO_OK;
    }
    at = rows_find32(&r->agents_above, sizeof(agent), agent, &found);
    if (found)
        return SOTTO_OK;
    return rows_insert(&r->agents_above, sizeof(agent), at, &agent);
}

static enum sotto_err fold_money(struct profiles *p, struct person_row *r,
                                 const struct seen *e)
{
    if (e->role == EVENT_RETURN) {
        p->saturated += seen_add(&r->returned, e->amount);
        if (e->ordered)
            return rows_add64(&r->returned_orders, e->order);
        seen_count(&r->loose_returns);
    } else if (e->role == EVENT_PURCHASE) {
        p->saturated += seen_add(&r->spent, e->amount);
        p->saturated += seen_add(&r->units, e->quantity);
        if (e->time_ms > r->last_purchase_ms)
            r->last_purchase_ms = e->time_ms;
        if (e->ordered)
            return rows_add64(&r->orders, e->order);
        seen_count(&r->loose_orders);
    }
    return SOTTO_OK;
}

static void fold_time(struct person_row *r, const struct seen *e)
{
    if (e->time_ms < r->first_ms)
        r->first_ms = e->time_ms;
    if (e->time_ms > r->last_ms) {
        r->last_ms = e->time_ms;
        r->consent = e->consent;
    } else if (e->time_ms == r->last_ms) {
        r->consent &= e->consent;
    }
}

static void fold_totals(struct profiles *p, const struct seen *e)
{
    struct totals *t = &p->totals[e->role];

    if (e->time_ms > p->last_ms)
        p->last_ms = e->time_ms;
    p->saturated += e->saturated;
    t->events++;
    p->saturated += seen_add(&t->value, e->amount);
    if (e->subject) {
        t->known_events++;
        p->saturated += seen_add(&t->known_value, e->amount);
    }
}

static enum sotto_err fold_event(struct profiles *p, const struct fold *f,
                                 const struct seen *e)
{
    struct person_row *r;
    uint32_t number;
    enum sotto_err err;
    bool added;

    fold_totals(p, e);
    if (!e->subject)
        return SOTTO_OK;
    err = subjects_intern(&p->people, e->subject, &number, &added);
    if (err)
        return err;
    r = subjects_row(&p->people, number);
    if (added) {
        r->first_ms = INT64_MAX;
        r->last_ms = r->last_purchase_ms = WHEN_NONE;
    }
    seen_count(&r->events[e->role]);
    fold_time(r, e);
    err = fold_money(p, r, e);
    if (!err)
        err = fold_labels(p, r, e);
    if (!err)
        err = fold_agent(r, f->agent);
    return err;
}

static enum sotto_err profile_forget(void *view, const uint8_t subject[16])
{
    struct profiles *p = view;
    uint32_t number = subjects_find(&p->people, subject);

    if (number == DICT_NONE)
        return SOTTO_OK;
    person_fini(subjects_row(&p->people, number));
    return subjects_remove(&p->people, number);
}

static enum sotto_err profile_fold(void *view, const struct fold *f)
{
    uint32_t count = f->batch ? batch_view_count(f->batch) : 0;
    enum sotto_err err = SOTTO_OK;
    struct event ev;
    struct seen e;

    if (f->forget)
        return profile_forget(view, f->forget);
    for (uint32_t i = 0; i < count && !err; i++) {
        batch_view_event(f->batch, i, &ev);
        seen_read(&e, f, &ev);
        err = fold_event(view, f, &e);
    }
    return err;
}

/* --- looking ------------------------------------------------------------ */

uint32_t profiles_count(const struct profiles *p)
{
    return p->people.count;
}

uint32_t profiles_find(const struct profiles *p, const uint8_t subject[16])
{
    return subjects_find(&p->people, subject);
}

/* Strongest first; ties by name, so that they do not depend on arrival. */
static bool stronger(const struct profiles *p, const struct category_row *a,
                     const struct category_row *b)
{
    struct span x, y;
    int order;

    if (a->count != b->count)
        return a->count > b->count;
    x = dict_key(&p->categories, a->category);
    y = dict_key(&p->categories, b->category);
    order = memcmp(x.data, y.data, x.size < y.size ? x.size : y.size);
    return order ? order < 0 : x.size < y.size;
}

static void get_categories(const struct profiles *p, const struct person_row *r,
                           struct profile *out)
{
    const struct category_row *rows = r->categories.data;
    const struct category_row *best[PROFILE_CATEGORIES];
    uint64_t sum = 0;
    uint32_t n = 0;

    for (uint32_t i = 0; i < r->categories.count; i++) {
        uint32_t at = n;

        sum += rows[i].count;
        while (at > 0 && stronger(p, &rows[i], best[at - 1]))
            at--;
        if (at == PROFILE_CATEGORIES)
            continue;
        if (n < PROFILE_CATEGORIES)
            n++;
        memmove(best + at + 1, best + at, (n - at - 1) * sizeof(*best));
        best[at] = &rows[i];
    }
    out->category_count = n;
    for (uint32_t i = 0; i < n; i++) {
        out->categories[i].category = best[i]->category;
        out->categories[i].share =
            (float)((double)best[i]->count / (double)sum);
    }
}

void profiles_get(const struct profiles *p, uint32_t number,
                  struct profile *out)
{
    const struct person_row *r = subjects_row(&p->people, number);
    const struct recent_row *recent = r->recent.data;

    memset(out, 0, sizeof(*out));
    memcpy(out->subject, subjects_key(&p->people, number), SUBJECT_SIZE);
    for (int i = 0; i < EVENT_ROLE_COUNT; i++)
        out->events[i] = r->events[i];
    out->orders = (uint64_t)r->orders.count + r->loose_orders;
    out->returned_orders =
        (uint64_t)r->returned_orders.count + r->loose_returns;
    out->spent = r->spent;
    out->returned = r->returned;
    out->units = r->units > 0 ? (uint64_t)r->units : 0;
    out->first_ms = r->first_ms;
    out->last_ms = r->last_ms;
    out->last_purchase_ms = r->last_purchase_ms;
    out->consent = r->consent;
    out->agents = r->agents;
    out->last_item_count = r->recent.count;
    for (uint32_t i = 0; i < r->recent.count; i++)
        out->last_items[i] = recent[i].item;
    get_categories(p, r, out);
}

const struct totals *profiles_totals(const struct profiles *p,
                                     enum event_role role)
{
    return &p->totals[role];
}

struct span profiles_item(const struct profiles *p, uint32_t item)
{
    return dict_key(&p->items, item);
}

struct span profiles_category(const struct profiles *p, uint32_t category)
{
    return dict_key(&p->categories, category);
}

int64_t profiles_last_ms(const struct profiles *p)
{
    return p->last_ms;
}

uint64_t profiles_saturated(const struct profiles *p)
{
    return p->saturated;
}

void profiles_agents(const struct profiles *p, uint32_t number,
                     void (*each)(void *context, uint32_t agent), void *context)
{
    const struct person_row *r = subjects_row(&p->people, number);
    const uint32_t *above = r->agents_above.data;

    for (uint32_t i = 0; i < PROFILE_AGENTS; i++) {
        if (r->agents >> i & 1)
            each(context, i);
    }
    for (uint32_t i = 0; i < r->agents_above.count; i++)
        each(context, above[i]);
}

const struct view_ops profile_view = {
    .name = "profile",
    .open = profile_open,
    .close = profile_close,
    .fold = profile_fold,
    .forget = profile_forget,
    .save = profile_save,
    .saved = profile_saved,
    .load = profile_load,
    .digest = profile_digest,
};
