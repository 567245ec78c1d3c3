/* The items nearest to an item by cosine: cos(i, j) = G_ij / sqrt(G_ii G_jj).
 *
 * Item kNN keeps them, and the local ridge chooses its candidates by them. */
#ifndef AGGREGATOR_MODEL_NEIGHBOURS_H
#define AGGREGATOR_MODEL_NEIGHBOURS_H

#include "aggregator/model/gram.h"

struct neighbour {
    float similarity; /* above 0 */
    uint32_t item;
};

/* The most similar items of one item, at most limit, strongest first; equal
 * similarities by item number. Returns how many. shrink is added to the
 * denominator, so that few common subjects count for less (0: plain cosine).
 * out holds limit. */
uint32_t neighbours_find(const struct gram *g, uint32_t item, uint32_t limit,
                         float shrink, struct neighbour *out);

#endif
