/* A sparse matrix by rows (CSR): subjects are rows, items are columns.
 *
 * Invariants: starts has rows + 1 entries, starts[0] is 0, and row r owns the
 * entries starts[r]..starts[r + 1] - 1, whose indexes ascend without repeats.
 * Arrays are never NULL in a built matrix, not even in an empty one. A built
 * matrix is constant: any thread may read it. */
#ifndef AGGREGATOR_MODEL_MATRIX_H
#define AGGREGATOR_MODEL_MATRIX_H

#include "base/err.h"

#include <stdint.h>

struct matrix {
    uint32_t rows, columns;
    uint64_t *starts;  /* rows + 1 */
    uint32_t *indexes; /* the column of each entry */
    float *values;
    int32_t *days; /* last day of each entry; NULL in a transpose */
};

/* One interaction. day counts days since 1970, or is 0 when unknown. */
struct triple {
    uint32_t row, column;
    float value;
    int32_t day;
};

/* What becomes of several triples of one cell; the latest day is kept. */
enum matrix_merge {
    MATRIX_SUM, /* in the order given */
    MATRIX_MAX,
};

/* Builds a rows x columns matrix; the caller frees it with matrix_fini.
 * SOTTO_EINVAL when a triple lies outside, SOTTO_ETOOBIG for 2^32 triples or
 * more, SOTTO_ENOMEM; out is empty then. */
enum sotto_err matrix_build(struct matrix *out, uint32_t rows, uint32_t columns,
                            const struct triple *triples, uint64_t count,
                            enum matrix_merge merge);

/* The transpose, without days. SOTTO_ENOMEM. */
enum sotto_err matrix_transpose(struct matrix *out, const struct matrix *m);

/* Frees; the struct is zero again. A zeroed struct is fine. */
void matrix_fini(struct matrix *m);

static inline uint64_t matrix_count(const struct matrix *m)
{
    return m->starts[m->rows];
}

#endif
