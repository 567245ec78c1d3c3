/* See recents.h. People stand in a hash table with chains, and in a list from
 * the least to the most recently seen; both link numbers of slots. What a
 * person did is packed, since a struct recent each would take three times the
 * memory, from old to new:
 *
 *   size and bought | bytes of it all | stream | sequence | after | item
 *        1 byte          1 byte        1 byte     1..10     1..10   size
 *
 * where stream is a number into streams and the numbers are LEB128.
 *
 * Invariants: used slots are 0..used-1 or on the free chain; a slot in the
 * list has at least one entry; kept[slot] holds count entries in size bytes,
 * and zeros. It is one block that is touched only where there are people. */
#include "agent/recents.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/dict.h"

#define BUCKETS (2 * RECENTS_SUBJECTS)
#define NOBODY UINT32_MAX
#define NUMBER_MAX 10 /* bytes of a LEB128 of 64 bits */
#define ENTRY_HEAD 3
#define ENTRY_MAX (ENTRY_HEAD + 2 * NUMBER_MAX + RECENT_ITEM_MAX)
#define BOUGHT 0x80u /* in the byte of the size */
#define SIZE 0x7fu

_Static_assert(RECENT_ITEM_MAX < BOUGHT && RECENTS_STREAMS <= UINT8_MAX,
               "a byte each");
_Static_assert(RECENTS_BYTES >= ENTRY_MAX && RECENTS_BYTES <= UINT16_MAX,
               "one entry finds room");

enum plan { PLAN_NONE, PLAN_COVER, PLAN_FORGET };

struct person {
    uint8_t subject[RECENT_SUBJECT_SIZE];
    uint32_t chain;        /* next of the bucket, or of the free ones */
    uint32_t older, newer; /* neighbours in the list */
    uint16_t count, size;  /* of the entries */
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
    uint32_t stream_count;
    uint64_t streams[RECENTS_STREAMS];
    uint64_t seed;
    uint8_t (*kept)[RECENTS_BYTES];
};

bool recent_covered(const struct recent *r, const struct coverage *by)
{
    return r->stream == by->stream ? r->sequence <= by->sequence
                                   : r->after < by->number;
}

bool recents_bought(const struct recent *recents, uint32_t count,
                    struct span item)
{
    for (uint32_t i = 0; i < count; i++)
        if (recents[i].bought && span_equal(recent_item(&recents[i]), item))
            return true;
    return false;
}

enum sotto_err recents_open(struct recents **out)
{
    struct recents *r = calloc(1, sizeof *r);

    if (r)
        r->kept = calloc(RECENTS_SUBJECTS, sizeof *r->kept);
    if (!r || !r->kept) {
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
    sodium_memzero(r->kept, r->used * sizeof *r->kept);
    free(r->kept);
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
    sodium_memzero(r->kept[at], sizeof r->kept[at]);
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

/* ---- entries ---- */

static uint8_t *put_number(uint8_t *to, uint64_t number)
{
    for (; number >= 0x80; number >>= 7)
        *to++ = (uint8_t)(number | 0x80);
    *to++ = (uint8_t)number;
    return to;
}

static const uint8_t *take_number(const uint8_t *from, uint64_t *number)
{
    unsigned shift = 0;

    for (*number = 0; *from & 0x80; shift += 7)
        *number |= (uint64_t)(*from++ & 0x7f) << shift;
    *number |= (uint64_t)*from++ << shift;
    return from;
}

static size_t number_size(uint64_t number)
{
    size_t size = 1;

    while (number >>= 7)
        size++;
    return size;
}

static struct span entry_item(const uint8_t *entry)
{
    size_t size = entry[0] & SIZE;

    return span_of(entry + entry[1] - size, size);
}

static size_t entry_size(const struct recent *seen)
{
    return ENTRY_HEAD + number_size(seen->sequence) + number_size(seen->after) +
           seen->size;
}

static void entry_write(uint8_t *entry, size_t size, const struct recent *seen,
                        uint8_t stream)
{
    entry[0] = (uint8_t)(seen->size | (seen->bought ? BOUGHT : 0));
    entry[1] = (uint8_t)size;
    entry[2] = stream;
    put_number(put_number(entry + ENTRY_HEAD, seen->sequence), seen->after);
    memcpy(entry + size - seen->size, seen->item, seen->size);
}

static void entry_read(struct recent *out, const struct recents *r,
                       const uint8_t *entry)
{
    struct span item = entry_item(entry);

    memset(out, 0, sizeof *out);
    out->size = (uint8_t)item.size;
    out->bought = (entry[0] & BOUGHT) != 0;
    out->stream = r->streams[entry[2]];
    take_number(take_number(entry + ENTRY_HEAD, &out->sequence), &out->after);
    memcpy(out->item, item.data, item.size);
}

static void entry_remove(struct recents *r, uint32_t at, uint8_t *entry)
{
    struct person *p = &r->people[at];
    size_t size = entry[1];
    uint8_t *end = r->kept[at] + p->size;

    memmove(entry, entry + size, (size_t)(end - entry) - size);
    sodium_memzero(end - size, size);
    p->count--;
    p->size = (uint16_t)(p->size - size);
}

/* The entry of an item, or NULL. Most items of a shop are of one length and
 * differ at their ends, so the last byte goes first. */
static uint8_t *entry_find(struct recents *r, uint32_t at, struct span item)
{
    uint8_t *entry = r->kept[at];
    uint8_t last = item.data[item.size - 1];

    for (uint32_t i = 0; i < r->people[at].count; i++) {
        uint8_t *next = entry + entry[1];

        if (next[-1] == last && (entry[0] & SIZE) == item.size &&
            memcmp(next - item.size, item.data, item.size) == 0)
            return entry;
        entry = next;
    }
    return NULL;
}

static uint8_t *entry_append(struct recents *r, uint32_t at,
                             const struct recent *seen, uint8_t stream)
{
    struct person *p = &r->people[at];
    size_t size = entry_size(seen);
    uint8_t *entry;

    while (p->count == RECENTS_ITEMS || p->size + size > RECENTS_BYTES)
        entry_remove(r, at, r->kept[at]);
    entry = r->kept[at] + p->size;
    entry_write(entry, size, seen, stream);
    p->size = (uint16_t)(p->size + size);
    p->count++;
    return entry;
}

static uint8_t stream_number(struct recents *r, uint64_t stream)
{
    uint32_t i = r->stream_count;

    while (i > 0 && r->streams[i - 1] != stream) /* the newest is asked for */
        i--;
    if (i > 0)
        return (uint8_t)(i - 1);
    if (r->stream_count == RECENTS_STREAMS) {
        while (r->oldest != NOBODY)
            person_remove(r, r->oldest);
        r->stream_count = 0;
    }
    r->streams[r->stream_count] = stream;
    return (uint8_t)r->stream_count++;
}

void recents_add(struct recents *r, const uint8_t *subject,
                 const struct recent *seen)
{
    uint8_t stream, *before;
    bool bought = seen->bought;
    uint32_t at;

    if (seen->size == 0 || seen->size > RECENT_ITEM_MAX)
        return;
    stream = stream_number(r, seen->stream);
    at = find(r, subject);
    if (at == NOBODY) {
        at = person_add(r, subject);
    } else if (at != r->newest) {
        list_remove(r, at);
        list_append(r, at);
    }
    before = entry_find(r, at, recent_item(seen));
    if (before) {
        bought = bought || (before[0] & BOUGHT) != 0;
        entry_remove(r, at, before);
    }
    entry_append(r, at, seen, stream)[0] |= bought ? BOUGHT : 0;
}

uint32_t recents_get(const struct recents *r, const uint8_t *subject,
                     struct recent out[RECENTS_ITEMS])
{
    uint32_t at = find(r, subject);
    uint32_t count = at == NOBODY ? 0 : r->people[at].count;
    const uint8_t *entry = at == NOBODY ? NULL : r->kept[at];

    for (uint32_t i = 0; i < count; i++) {
        entry_read(&out[count - 1 - i], r, entry);
        entry += entry[1];
    }
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
    uint8_t *entry = r->kept[at];

    for (uint32_t left = p->count; left > 0; left--) {
        struct recent seen;

        entry_read(&seen, r, entry);
        if (recent_covered(&seen, &p->coverage))
            entry_remove(r, at, entry);
        else
            entry += entry[1];
        sodium_memzero(&seen, sizeof seen);
    }
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
