/* Selection keeps a heap of limit items with the worst on top: one comparison
 * for most of the catalogue. */
#include "aggregator/model/score.h"

#include <stdbool.h>
#include <stddef.h>

static float history_weight(const struct history *h, uint32_t n)
{
    return h->weights ? h->weights[n] : 1;
}

void score_history(float *scores, const struct weights *w,
                   const struct history *h)
{
    for (uint32_t n = 0; n < h->size; n++) {
        float weight = history_weight(h, n);
        uint64_t end = w->starts[h->items[n] + 1];

        for (uint64_t k = w->starts[h->items[n]]; k < end; k++)
            scores[w->targets[k]] += weight * w->values[k];
    }
}

static bool worse(struct ranked a, struct ranked b)
{
    if (a.score != b.score)
        return a.score < b.score;
    return a.item > b.item;
}

static void sink(struct ranked *heap, uint32_t size, struct ranked value)
{
    uint32_t at = 0;

    for (;;) {
        uint64_t child = (uint64_t)at * 2 + 1;

        if (child >= size)
            break;
        if (child + 1 < size && worse(heap[child + 1], heap[child]))
            child++;
        if (!worse(heap[child], value))
            break;
        heap[at] = heap[child];
        at = (uint32_t)child;
    }
    heap[at] = value;
}

static void rise(struct ranked *heap, uint32_t at, struct ranked value)
{
    while (at > 0 && worse(value, heap[(at - 1) / 2])) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = value;
}

uint32_t score_select(struct ranked *out, uint32_t limit, const float *scores,
                      uint32_t items, const struct history *excluded,
                      float floor)
{
    uint32_t size = 0, skip = 0;

    for (uint32_t j = 0; j < items && limit; j++) {
        struct ranked next = {scores[j], j, SCORE_NO_REASON};

        while (skip < excluded->size && excluded->items[skip] < j)
            skip++;
        if (skip < excluded->size && excluded->items[skip] == j)
            continue;
        if (!(scores[j] > floor))
            continue;
        if (size < limit)
            rise(out, size++, next);
        else if (worse(out[0], next))
            sink(out, size, next);
    }
    for (uint32_t end = size; end > 1;) { /* heap sort, best first */
        struct ranked last = out[--end];

        out[end] = out[0];
        sink(out, end, last);
    }
    return size;
}

/* W_ij, found in row i by halving. */
static float weight_between(const struct weights *w, uint32_t i, uint32_t j)
{
    uint64_t low = w->starts[i], high = w->starts[i + 1];

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (w->targets[middle] < j)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < w->starts[i + 1] && w->targets[low] == j)
        return w->values[low];
    return 0;
}

void score_explain(struct ranked *list, uint32_t count, const struct weights *w,
                   const struct history *h)
{
    for (uint32_t r = 0; r < count; r++) {
        float most = 0;

        list[r].because = SCORE_NO_REASON;
        for (uint32_t n = 0; n < h->size; n++) {
            float added = history_weight(h, n) *
                          weight_between(w, h->items[n], list[r].item);

            if (added > most) {
                most = added;
                list[r].because = h->items[n];
            }
        }
    }
}
