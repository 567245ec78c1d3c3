/* The dictionary: linear probing in a table of numbers.
 *
 * Invariants: slot_count is a power of two (or 0) and at most three quarters
 * of the slots are used, so a probe always meets an empty one; keys are never
 * removed one by one, so no tombstones. A slot holds only the number: the key
 * is compared where it lies, its hash is not kept. */
#include "base/dict.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_FIRST 16u
#define SLOTS_MAX (UINT32_C(1) << 31)

void dict_init(struct dict *d, uint32_t count_max, size_t bytes_max,
               uint64_t seed)
{
    const uint32_t most = SLOTS_MAX / 4 * 3;

    memset(d, 0, sizeof(*d));
    buf_init(&d->bytes, bytes_max);
    d->count_max = count_max < most ? count_max : most;
    d->seed = seed;
}

void dict_fini(struct dict *d)
{
    buf_fini(&d->bytes);
    free(d->ends);
    free(d->slots);
    dict_init(d, d->count_max, d->bytes.max, d->seed);
}

void dict_clear(struct dict *d)
{
    buf_clear(&d->bytes);
    d->count = 0;
    if (d->slots)
        memset(d->slots, 0, d->slot_count * sizeof(*d->slots));
}

struct span dict_key(const struct dict *d, uint32_t number)
{
    uint64_t start = number ? d->ends[number - 1] : 0;

    if (d->ends[number] == start) /* data may be NULL then */
        return span_of("", 0);
    return span_of(d->bytes.data + start, (size_t)(d->ends[number] - start));
}

/* The slot that holds key, or the empty one where it belongs. */
static uint32_t probe(const struct dict *d, struct span key, uint64_t hash)
{
    uint32_t mask = d->slot_count - 1;
    uint32_t i = (uint32_t)hash & mask;

    while (d->slots[i] && !span_equal(dict_key(d, d->slots[i] - 1), key))
        i = (i + 1) & mask;
    return i;
}

static uint32_t find(const struct dict *d, struct span key, uint64_t hash,
                     uint32_t *slot)
{
    if (d->slot_count == 0)
        return DICT_NONE;
    *slot = probe(d, key, hash);
    return d->slots[*slot] ? d->slots[*slot] - 1 : DICT_NONE;
}

uint32_t dict_find(const struct dict *d, struct span key)
{
    uint32_t slot;

    return find(d, key, hash64(key.data, key.size, d->seed), &slot);
}

/* Doubles the table. Keys are known to differ, so none is compared. */
static enum sotto_err slots_grow(struct dict *d)
{
    uint32_t slot_count = d->slot_count ? d->slot_count * 2 : SLOTS_FIRST;
    uint32_t mask = slot_count - 1;
    uint32_t *slots = calloc(slot_count, sizeof(*slots));

    if (!slots)
        return SOTTO_ENOMEM;
    for (uint32_t number = 0; number < d->count; number++) {
        struct span key = dict_key(d, number);
        uint32_t i = (uint32_t)hash64(key.data, key.size, d->seed) & mask;

        while (slots[i])
            i = (i + 1) & mask;
        slots[i] = number + 1;
    }
    free(d->slots);
    d->slots = slots;
    d->slot_count = slot_count;
    return SOTTO_OK;
}

/* Room for one more key of this size everywhere; adds nothing. */
static enum sotto_err make_room(struct dict *d, size_t key_size)
{
    enum sotto_err err;

    if (d->count >= d->count_max)
        return SOTTO_EFULL;
    err = buf_reserve(&d->bytes, key_size);
    if (err)
        return err == SOTTO_ETOOBIG ? SOTTO_EFULL : err;
    if (d->count == d->capacity) {
        uint32_t capacity = d->capacity ? d->capacity * 2 : SLOTS_FIRST;
        uint64_t *ends;

        if (capacity > d->count_max)
            capacity = d->count_max;
        ends = realloc(d->ends, capacity * sizeof(*ends));
        if (!ends)
            return SOTTO_ENOMEM;
        d->ends = ends;
        d->capacity = capacity;
    }
    if (d->count >= d->slot_count / 4 * 3)
        return slots_grow(d);
    return SOTTO_OK;
}

enum sotto_err dict_intern(struct dict *d, struct span key, uint32_t *number)
{
    uint64_t hash = hash64(key.data, key.size, d->seed);
    uint32_t slot = 0, slot_count = d->slot_count;
    uint32_t found = find(d, key, hash, &slot);
    enum sotto_err err;

    if (found != DICT_NONE) {
        *number = found;
        return SOTTO_OK;
    }
    err = make_room(d, key.size);
    if (err)
        return err;
    if (d->slot_count != slot_count)
        slot = probe(d, key, hash);
    d->slots[slot] = d->count + 1;
    err = buf_append(&d->bytes, key.data, key.size); /* has room: cannot fail */
    d->ends[d->count] = d->bytes.size;
    *number = d->count++;
    return err;
}

/* The hash follows wyhash (Wang Yi, public domain): the folded 128-bit product
 * of two words mixes both fully. One change: the seed enters both factors, so
 * a stranger who does not know it cannot choose a key that makes a factor zero
 * and so cancels what came before. */
#define HASH_K0 UINT64_C(0xa0761d6478bd642f)
#define HASH_K1 UINT64_C(0xe7037ed1a0b428db)

__extension__ typedef unsigned __int128 product;

static inline uint64_t fold(uint64_t a, uint64_t b)
{
    product p = (product)a * b;

    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static inline uint64_t load64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return le64toh(v);
}

static inline uint64_t load32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return le32toh(v);
}

uint64_t hash64(const void *bytes, size_t size, uint64_t seed)
{
    const uint8_t *p = bytes;
    size_t left = size;
    uint64_t key = fold(seed ^ HASH_K0, HASH_K1);
    uint64_t h = key ^ seed;
    uint64_t a = 0, b = 0;

    for (; left > 16; left -= 16, p += 16)
        h = fold(load64(p) ^ key, load64(p + 8) ^ h);
    if (left >= 8) { /* the two loads may overlap; size tells keys apart */
        a = load64(p);
        b = load64(p + left - 8);
    } else if (left >= 4) {
        a = load32(p);
        b = load32(p + left - 4);
    } else if (left > 0) {
        a = (uint64_t)p[0] << 16 | (uint64_t)p[left / 2] << 8 | p[left - 1];
    }
    h = fold(a ^ key ^ HASH_K1, b ^ h);
    return fold(h ^ HASH_K0, key ^ size ^ HASH_K1);
}
