/* See recents.h. People stand in a hash table with chains, and in a list from
 * the least to the most recently seen; both link numbers of slots.
 *
 * Invariants: used slots are 0..used-1 or on the free chain; a slot in the
 * list has at least one item; items[0..count-1] run from old to new. The items
 * are one block that is touched only where there are people. */
#include "agent/recents.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/dict.h"

#define BUCKETS (2 * RECENTS_SUBJECTS)
#define NOBODY UINT32_MAX

enum plan { PLAN_NONE, PLAN_COVER, PLAN_FORGET };

struct person {
    uint8_t subject[RECENT_SUBJECT_SIZE];
    uint32_t chain;        /* next of the bucket, or of the free ones */
    uint32_t older, newer; /* neighbours in the list */
    uint32_t count;
    enum plan plan;
    struct coverage coverage; /* for PLAN_COVER */
};

struct recents {
    struct person people[RECENTS_SUBJECTS];
    uint32_t buckets[BUCKETS];
    uint32_t oldest, newest;
    uint32_t free;
    uint32_t used;
    uint32_t planned;
    uint64_t seed;
    struct recent (*items)[RECENTS_ITEMS];
};

bool recent_covered(const struct recent *r, const struct coverage *by)
{
    return r->stream == by->stream ? r->sequence <= by->sequence
                                   : r->after < by->number;
}

bool recents_bought(const struct recent *const *recents, uint32_t count,
                    struct span item)
{
    for (uint32_t i = 0; i < count; i++)
        if (recents[i]->bought && span_equal(recent_item(recents[i]), item))
            return true;
    return false;
}

enum sotto_err recents_open(struct recents **out)
{
    struct recents *r = calloc(1, sizeof *r);

    if (r)
        r->items = calloc(RECENTS_SUBJECTS, sizeof *r->items);
    if (!r || !r->items) {
        free(r);
        return SOTTO_ENOMEM;
    }
    for (uint32_t i = 0; i < BUCKETS; i++)
        r->buckets[i] = NOBODY;
    r->oldest = r->newest = r->free = NOBODY;
    randombytes_buf(&r->seed, sizeof r->seed);
    *out = r;
    return SOTTO_OK;
}

void recents_close(struct recents *r)
{
    if (!r)
        return;
    sodium_memzero(r->items, r->used * sizeof *r->items);
    free(r->items);
    sodium_memzero(r, sizeof *r);
    free(r);
}

static uint32_t *bucket_of(struct recents *r, const uint8_t *subject)
{
    return &r->buckets[hash64(subject, RECENT_SUBJECT_SIZE, r->seed) % BUCKETS];
}

static uint32_t find(const struct recents *r, const uint8_t *subject)
{
    uint64_t hash = hash64(subject, RECENT_SUBJECT_SIZE, r->seed);
    uint32_t at = r->buckets[hash % BUCKETS];

    while (at != NOBODY &&
           memcmp(r->people[at].subject, subject, RECENT_SUBJECT_SIZE) != 0)
        at = r->people[at].chain;
    return at;
}

static void list_remove(struct recents *r, uint32_t at)
{
    struct person *p = &r->people[at];

    if (p->older == NOBODY)
        r->oldest = p->newer;
    else
        r->people[p->older].newer = p->newer;
    if (p->newer == NOBODY)
        r->newest = p->older;
    else
        r->people[p->newer].older = p->older;
}

static void list_append(struct recents *r, uint32_t at)
{
    struct person *p = &r->people[at];

    p->older = r->newest;
    p->newer = NOBODY;
    if (r->newest == NOBODY)
        r->oldest = at;
    else
        r->people[r->newest].newer = at;
    r->newest = at;
}

static void person_remove(struct recents *r, uint32_t at)
{
    struct person *p = &r->people[at];
    uint32_t *link = bucket_of(r, p->subject);

    while (*link != at)
        link = &r->people[*link].chain;
    *link = p->chain;
    list_remove(r, at);
    if (p->plan != PLAN_NONE)
        r->planned--;
    sodium_memzero(r->items[at], sizeof r->items[at]);
    sodium_memzero(p, sizeof *p);
    p->chain = r->free;
    r->free = at;
}

static uint32_t person_add(struct recents *r, const uint8_t *subject)
{
    uint32_t *bucket;
    uint32_t at;

    if (r->free == NOBODY && r->used == RECENTS_SUBJECTS)
        person_remove(r, r->oldest);
    at = r->free;
    if (at == NOBODY)
        at = r->used++;
    else
        r->free = r->people[at].chain;
    bucket = bucket_of(r, subject);
    memcpy(r->people[at].subject, subject, RECENT_SUBJECT_SIZE);
    r->people[at].chain = *bucket;
    *bucket = at;
    list_append(r, at);
    return at;
}

static void item_remove(struct recents *r, uint32_t at, uint32_t i)
{
    struct recent *items = r->items[at];
    struct person *p = &r->people[at];

    p->count--;
    memmove(&items[i], &items[i + 1], (p->count - i) * sizeof *items);
    sodium_memzero(&items[p->count], sizeof *items);
}

static bool item_same(const struct recent *a, const struct recent *b)
{
    return a->size == b->size && memcmp(a->item, b->item, a->size) == 0;
}

void recents_add(struct recents *r, const uint8_t *subject,
                 const struct recent *seen)
{
    uint32_t at = find(r, subject);
    bool bought = seen->bought;
    struct recent *items;
    uint32_t i = 0;

    if (seen->size == 0 || seen->size > RECENT_ITEM_MAX)
        return;
    if (at == NOBODY) {
        at = person_add(r, subject);
    } else {
        list_remove(r, at);
        list_append(r, at);
    }
    items = r->items[at];
    while (i < r->people[at].count && !item_same(&items[i], seen))
        i++;
    if (i < r->people[at].count) {
        bought = bought || items[i].bought;
        item_remove(r, at, i);
    } else if (i == RECENTS_ITEMS) {
        item_remove(r, at, 0);
    }
    items[r->people[at].count] = *seen;
    items[r->people[at].count++].bought = bought;
}

uint32_t recents_get(const struct recents *r, const uint8_t *subject,
                     const struct recent *out[RECENTS_ITEMS])
{
    uint32_t at = find(r, subject);
    uint32_t count = at == NOBODY ? 0 : r->people[at].count;

    for (uint32_t i = 0; i < count; i++)
        out[i] = &r->items[at][count - 1 - i];
    return count;
}

void recents_forget(struct recents *r, const uint8_t *subject)
{
    uint32_t at = find(r, subject);

    if (at != NOBODY)
        person_remove(r, at);
}

static void plan(struct recents *r, const uint8_t *subject, enum plan what,
                 const struct coverage *by)
{
    uint32_t at = find(r, subject);
    struct person *p;

    if (at == NOBODY)
        return;
    p = &r->people[at];
    if (p->plan == PLAN_NONE)
        r->planned++;
    if (p->plan != PLAN_FORGET)
        p->plan = what;
    if (by)
        p->coverage = *by;
}

void recents_plan_cover(struct recents *r, const uint8_t *subject,
                        const struct coverage *by)
{
    plan(r, subject, PLAN_COVER, by);
}

void recents_plan_forget(struct recents *r, const uint8_t *subject)
{
    plan(r, subject, PLAN_FORGET, NULL);
}

static void person_cover(struct recents *r, uint32_t at)
{
    struct person *p = &r->people[at];

    for (uint32_t i = p->count; i-- > 0;)
        if (recent_covered(&r->items[at][i], &p->coverage))
            item_remove(r, at, i);
    if (p->count == 0)
        person_remove(r, at);
}

void recents_settle(struct recents *r, bool done)
{
    for (uint32_t at = 0; at < r->used && r->planned; at++) {
        struct person *p = &r->people[at];
        enum plan what = p->plan;

        if (what == PLAN_NONE)
            continue;
        p->plan = PLAN_NONE;
        r->planned--;
        if (done && what == PLAN_FORGET)
            person_remove(r, at);
        else if (done)
            person_cover(r, at);
    }
}
