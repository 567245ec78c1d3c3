/* How good a ranked list is, for one subject with a held-out truth.
 *
 * Both are as in Liang et al., "Variational autoencoders for collaborative
 * filtering", WWW 2018: recall divides by min(k, |truth|), so that a perfect
 * list scores 1, and NDCG is binary with 1 / log2(rank + 1). */
#ifndef AGGREGATOR_MODEL_METRICS_H
#define AGGREGATOR_MODEL_METRICS_H

#include <stdint.h>

/* Items that training never saw have numbers that no list holds: they cannot
 * be found, but they count. */
struct truth {
    const uint32_t *items; /* ascending, without repeats */
    uint32_t size;
};

/* Over the first k of ranked, which holds count items. 0 for an empty truth or
 * k 0; callers leave such subjects out of the mean. */
double metrics_recall(const uint32_t *ranked, uint32_t count,
                      const struct truth *truth, uint32_t k);
double metrics_ndcg(const uint32_t *ranked, uint32_t count,
                    const struct truth *truth, uint32_t k);

#endif
