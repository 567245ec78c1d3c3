/* The Gram matrix G = X^T X: for each pair of items, how many subjects hold
 * both. The one statistic that item kNN and the local ridge are made from.
 *
 * Sparse and whole: row i holds every item that meets i, except i itself,
 * whose count stands in the diagonal. Both halves are kept because a column
 * is read as a row. Counts are floats, exact up to 2^24 subjects a pair. */
#ifndef AGGREGATOR_MODEL_GRAM_H
#define AGGREGATOR_MODEL_GRAM_H

#include "aggregator/model/effort.h"
#include "aggregator/model/matrix.h"

enum gram_kind {
    GRAM_BINARY, /* every entry of X counts as 1 */
    GRAM_VALUES, /* entries count as their value */
};

struct gram_row {
    const uint32_t *items; /* ascending, without the row's own */
    const float *counts;
    const uint32_t *directory; /* where each 2^shift item numbers begin */
    uint32_t size, shift;
};

struct gram_block;

struct gram {
    uint32_t items;
    float *diagonal;       /* G_ii: how many subjects hold i */
    struct gram_row *rows; /* point into blocks */
    struct gram_block *blocks;
    uint32_t block_count;
};

/* Computes G of x. The caller frees it. SOTTO_ENOMEM, SOTTO_ECLOSED when
 * cancelled; out is empty then. */
enum sotto_err gram_build(struct gram *out, const struct matrix *x,
                          enum gram_kind kind, struct effort *effort);

void gram_fini(struct gram *g);

/* counts[n] = G[row][wanted[n]] for ascending wanted; 0 where the two never
 * met, and at row's own place. */
void gram_pick(const struct gram *g, uint32_t row, const uint32_t *wanted,
               uint32_t count, float *counts);

#endif
