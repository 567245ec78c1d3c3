/* Lists are short and truths sorted: a halving search per rank is enough. */
#include "aggregator/model/metrics.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static bool truth_has(const struct truth *t, uint32_t item)
{
    uint32_t low = 0, high = t->size;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (t->items[middle] < item)
            low = middle + 1;
        else
            high = middle;
    }
    return low < t->size && t->items[low] == item;
}

double metrics_recall(const uint32_t *ranked, uint32_t count,
                      const struct truth *truth, uint32_t k)
{
    uint32_t possible = smaller(k, truth->size), found = 0;

    if (!possible)
        return 0;
    for (uint32_t n = 0; n < smaller(k, count); n++)
        found += truth_has(truth, ranked[n]);
    return (double)found / possible;
}

double metrics_ndcg(const uint32_t *ranked, uint32_t count,
                    const struct truth *truth, uint32_t k)
{
    double gain = 0, ideal = 0;

    for (uint32_t n = 0; n < smaller(k, truth->size); n++)
        ideal += 1 / log2((double)n + 2);
    for (uint32_t n = 0; n < smaller(k, count); n++) {
        if (truth_has(truth, ranked[n]))
            gain += 1 / log2((double)n + 2);
    }
    return ideal > 0 ? gain / ideal : 0;
}
