/* A bounded heap with the weakest on top: one comparison for most items. */
#include "aggregator/model/neighbours.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

static bool weaker(struct neighbour a, struct neighbour b)
{
    if (a.similarity != b.similarity)
        return a.similarity < b.similarity;
    return a.item > b.item;
}

/* Lets one neighbour sink from place at to where the heap is one again. */
static void sink(struct neighbour *heap, uint32_t size, uint32_t at,
                 struct neighbour value)
{
    for (;;) {
        uint64_t child = (uint64_t)at * 2 + 1;

        if (child >= size)
            break;
        if (child + 1 < size && weaker(heap[child + 1], heap[child]))
            child++;
        if (!weaker(heap[child], value))
            break;
        heap[at] = heap[child];
        at = (uint32_t)child;
    }
    heap[at] = value;
}

uint32_t neighbours_find(const struct gram *g, uint32_t item, uint32_t limit,
                         float shrink, struct neighbour *out)
{
    const struct gram_row *row = &g->rows[item];
    float own = sqrtf(g->diagonal[item]);
    uint32_t size = 0;

    for (uint32_t n = 0; n < row->size && limit; n++) {
        float norm = own * sqrtf(g->diagonal[row->items[n]]) + shrink;
        struct neighbour next = {row->counts[n] / norm, row->items[n]};

        if (!(next.similarity > 0))
            continue;
        if (size < limit) {
            out[size++] = next;
            for (uint32_t i = size / 2; size == limit && i-- > 0;)
                sink(out, size, i, out[i]);
        } else if (weaker(out[0], next)) {
            sink(out, size, 0, next);
        }
    }
    if (size < limit) {
        for (uint32_t i = size / 2; i-- > 0;)
            sink(out, size, i, out[i]);
    }
    for (uint32_t end = size; end > 1;) { /* heap sort, strongest first */
        struct neighbour last = out[--end];

        out[end] = out[0];
        sink(out, end, 0, last);
    }
    return size;
}
