/* Linear probing with backward-shift deletion (Knuth, TAOCP 3, 6.4,
 * algorithm R), so that a forgotten key leaves nothing behind.
 *
 * Invariants: at most three quarters of the slots are used; keys, rows and
 * dirty bits of numbers below count are set. The key of a row in the database
 * is a keyed hash of the pseudonym: someone with the file alone cannot ask
 * whether a person is in it. */
#include "aggregator/views/subjects.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#define FIRST 16u
#define STATE_KEY_SIZE (1 + STORE_BLIND_SIZE)

void subjects_init(struct subjects *s, size_t row_size, uint64_t seed)
{
    memset(s, 0, sizeof(*s));
    s->row_size = row_size;
    s->seed = seed;
    buf_init(&s->removed, SIZE_MAX / 2);
}

void subjects_fini(struct subjects *s)
{
    free(s->keys);
    free(s->rows);
    free(s->dirty);
    free(s->slots);
    buf_wipe(&s->removed);
    subjects_init(s, s->row_size, s->seed);
}

const uint8_t *subjects_key(const struct subjects *s, uint32_t number)
{
    return s->keys + (size_t)number * SUBJECT_SIZE;
}

void *subjects_row(const struct subjects *s, uint32_t number)
{
    return s->rows + (size_t)number * s->row_size;
}

static uint32_t home(const struct subjects *s, const uint8_t *key)
{
    return (uint32_t)hash64(key, SUBJECT_SIZE, s->seed) & (s->slot_count - 1);
}

/* The slot of key, or the empty one where it belongs. */
static uint32_t probe(const struct subjects *s, const uint8_t *key)
{
    uint32_t i = home(s, key);

    while (s->slots[i] &&
           memcmp(subjects_key(s, s->slots[i] - 1), key, SUBJECT_SIZE) != 0)
        i = (i + 1) & (s->slot_count - 1);
    return i;
}

uint32_t subjects_find(const struct subjects *s,
                       const uint8_t subject[SUBJECT_SIZE])
{
    uint32_t slot;

    if (!s->slot_count)
        return DICT_NONE;
    slot = s->slots[probe(s, subject)];
    return slot ? slot - 1 : DICT_NONE;
}

static bool is_dirty(const struct subjects *s, uint32_t number)
{
    return s->dirty[number / 8] >> number % 8 & 1;
}

static void set_dirty(struct subjects *s, uint32_t number, bool dirty)
{
    uint8_t bit = (uint8_t)(1u << number % 8);

    if (dirty)
        s->dirty[number / 8] |= bit;
    else
        s->dirty[number / 8] &= (uint8_t)~bit;
}

static enum sotto_err slots_grow(struct subjects *s)
{
    uint32_t slot_count = s->slot_count ? s->slot_count * 2 : FIRST;
    uint32_t *slots = calloc(slot_count, sizeof(*slots));

    if (!slots)
        return SOTTO_ENOMEM;
    free(s->slots);
    s->slots = slots;
    s->slot_count = slot_count;
    for (uint32_t i = 0; i < s->count; i++)
        s->slots[probe(s, subjects_key(s, i))] = i + 1;
    return SOTTO_OK;
}

static enum sotto_err arrays_grow(struct subjects *s)
{
    size_t capacity = (size_t)s->capacity + s->capacity / 4 + FIRST;
    uint8_t *bytes;

    capacity = (capacity + 7) / 8 * 8;
    if (capacity > SUBJECTS_MAX)
        return SOTTO_ENOMEM;
    bytes = realloc(s->keys, capacity * SUBJECT_SIZE);
    if (!bytes)
        return SOTTO_ENOMEM;
    s->keys = bytes;
    bytes = realloc(s->rows, capacity * s->row_size);
    if (!bytes)
        return SOTTO_ENOMEM;
    s->rows = bytes;
    bytes = realloc(s->dirty, capacity / 8);
    if (!bytes)
        return SOTTO_ENOMEM;
    s->dirty = bytes;
    s->capacity = (uint32_t)capacity;
    return SOTTO_OK;
}

enum sotto_err subjects_intern(struct subjects *s,
                               const uint8_t subject[SUBJECT_SIZE],
                               uint32_t *number, bool *added)
{
    enum sotto_err err = SOTTO_OK;

    *added = false;
    *number = subjects_find(s, subject);
    if (*number != DICT_NONE) {
        set_dirty(s, *number, true);
        return SOTTO_OK;
    }
    if (s->count == s->capacity)
        err = arrays_grow(s);
    if (!err && s->count >= s->slot_count / 4 * 3)
        err = slots_grow(s);
    if (err)
        return err;
    *added = true;
    *number = s->count;
    s->slots[probe(s, subject)] = s->count + 1;
    memcpy(s->keys + (size_t)s->count * SUBJECT_SIZE, subject, SUBJECT_SIZE);
    memset(subjects_row(s, s->count), 0, s->row_size);
    set_dirty(s, s->count, true);
    s->count++;
    return SOTTO_OK;
}

/* Empties slot i and moves up what was displaced past it. */
static void slot_remove(struct subjects *s, uint32_t i)
{
    uint32_t mask = s->slot_count - 1;

    for (uint32_t j = (i + 1) & mask; s->slots[j]; j = (j + 1) & mask) {
        uint32_t at = home(s, subjects_key(s, s->slots[j] - 1));

        if (((j - at) & mask) >= ((j - i) & mask)) {
            s->slots[i] = s->slots[j];
            i = j;
        }
    }
    s->slots[i] = 0;
}

enum sotto_err subjects_remove(struct subjects *s, uint32_t number)
{
    uint8_t *key = s->keys + (size_t)number * SUBJECT_SIZE;
    uint32_t last = s->count - 1;
    enum sotto_err err = buf_append(&s->removed, key, SUBJECT_SIZE);

    if (err)
        return SOTTO_ENOMEM;
    slot_remove(s, probe(s, key));
    if (number != last) {
        s->slots[probe(s, subjects_key(s, last))] = number + 1;
        memcpy(key, subjects_key(s, last), SUBJECT_SIZE);
        memcpy(subjects_row(s, number), subjects_row(s, last), s->row_size);
        set_dirty(s, number, is_dirty(s, last));
    }
    sodium_memzero(s->keys + (size_t)last * SUBJECT_SIZE, SUBJECT_SIZE);
    sodium_memzero(subjects_row(s, last), s->row_size);
    s->count--;
    return SOTTO_OK;
}

/* --- checkpoint --------------------------------------------------------- */

struct change {
    uint8_t key[STATE_KEY_SIZE];
    uint32_t number; /* DICT_NONE: removed */
};

static void change_fill(struct change *c, const struct state *st,
                        const uint8_t *subject, uint32_t number)
{
    c->key[0] = SUBJECTS_PREFIX;
    store_blind(st->store, st->view, span_of(subject, SUBJECT_SIZE),
                c->key + 1);
    c->number = number;
}

static int by_key(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    int order = memcmp(x->key, y->key, STATE_KEY_SIZE);

    /* Removed first: it may be known again. */
    return order ? order : (y->number > x->number) - (y->number < x->number);
}

/* The changes in order of their keys: neighbours share a page. */
static enum sotto_err changes_list(const struct subjects *s,
                                   const struct state *st, struct change **out,
                                   size_t *count)
{
    size_t removed = s->removed.size / SUBJECT_SIZE, n = 0;
    struct change *list;

    *count = removed;
    for (uint32_t i = 0; i < s->count; i++)
        *count += is_dirty(s, i);
    *out = NULL;
    if (!*count)
        return SOTTO_OK;
    list = calloc(*count, sizeof(*list));
    if (!list)
        return SOTTO_ENOMEM;
    for (size_t i = 0; i < removed; i++)
        change_fill(&list[n++], st, s->removed.data + i * SUBJECT_SIZE,
                    DICT_NONE);
    for (uint32_t i = 0; i < s->count; i++) {
        if (is_dirty(s, i))
            change_fill(&list[n++], st, subjects_key(s, i), i);
    }
    qsort(list, n, sizeof(*list), by_key);
    *out = list;
    return SOTTO_OK;
}

enum sotto_err subjects_save(const struct subjects *s, struct state *st,
                             enum sotto_err (*encode)(void *context,
                                                      uint32_t number,
                                                      struct buf *out),
                             void *context)
{
    struct change *list;
    struct buf row;
    size_t count;
    enum sotto_err err = changes_list(s, st, &list, &count);

    buf_init(&row, STATE_ROW_MAX - STATE_KEY_MAX);
    for (size_t i = 0; i < count && !err; i++) {
        struct span key = span_of(list[i].key, STATE_KEY_SIZE);

        if (list[i].number == DICT_NONE) {
            err = state_remove(st, key);
            continue;
        }
        buf_clear(&row);
        err = encode(context, list[i].number, &row);
        if (!err)
            err = state_put(st, key, span_of(row.data, row.size));
    }
    buf_wipe(&row);
    free(list);
    return err;
}

void subjects_saved(struct subjects *s)
{
    if (s->dirty)
        memset(s->dirty, 0, s->capacity / 8);
    buf_wipe(&s->removed);
    buf_init(&s->removed, SIZE_MAX / 2);
}
