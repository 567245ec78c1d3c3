/* A sorted array of small rows: the variable parts of a subject, of which most
 * hold a handful. It grows by an eighth, and by what malloc would waste behind
 * it: there are millions of them, so unused rows are most of what could be
 * saved. Owned by the record it is in; zeroed memory is a valid empty one. */
#ifndef SOTTO_AGGREGATOR_VIEWS_ROWS_H
#define SOTTO_AGGREGATOR_VIEWS_ROWS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/err.h"

struct rows {
    void *data;
    uint32_t count, capacity;
};

static inline void rows_fini(struct rows *r, size_t size)
{
    if (r->data)
        sodium_memzero(r->data, r->capacity * size); /* it may be a person's */
    free(r->data);
    memset(r, 0, sizeof(*r));
}

/* glibc hands out 24 bytes, 40, 56, ...; other allocators lose nothing by it.
 */
static inline uint64_t rows_capacity(uint64_t count, size_t size)
{
    return ((count * size + 7) / 16 * 16 + 8) / size;
}

/* Makes room for one row at index `at` and copies it there. */
static inline enum sotto_err rows_insert(struct rows *r, size_t size,
                                         uint32_t at, const void *row)
{
    uint8_t *data;

    if (r->count == r->capacity) {
        uint64_t capacity =
            rows_capacity((uint64_t)r->capacity + r->capacity / 8 + 1, size);

        if (capacity > UINT32_MAX || capacity > SIZE_MAX / size)
            return SOTTO_ENOMEM;
        data = realloc(r->data, (size_t)capacity * size);
        if (!data)
            return SOTTO_ENOMEM;
        r->data = data;
        r->capacity = (uint32_t)capacity;
    }
    data = (uint8_t *)r->data + at * size;
    memmove(data + size, data, (r->count - at) * size);
    memcpy(data, row, size);
    r->count++;
    return SOTTO_OK;
}

/* The first index whose row begins with a 32-bit number not below key. */
static inline uint32_t rows_find32(const struct rows *r, size_t size,
                                   uint32_t key, bool *found)
{
    uint32_t low = 0, high = r->count, value = 0;

    *found = false;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        memcpy(&value, (const uint8_t *)r->data + middle * size, sizeof(value));
        if (value == key)
            *found = true;
        if (value < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Adds to a set of 64-bit numbers. */
static inline enum sotto_err rows_add64(struct rows *r, uint64_t value)
{
    const uint64_t *values = r->data;
    uint32_t low = 0, high = r->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (values[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < r->count && values[low] == value)
        return SOTTO_OK;
    return rows_insert(r, sizeof(value), low, &value);
}

#endif
