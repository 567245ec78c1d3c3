/* Sparse item-to-item weights, read by rows: row i says what a history that
 * holds item i adds to the score of each other item.
 *
 * Models are fitted by columns (what speaks for item j?) and used by rows.
 * The quantized form is what travels to the edge: one byte a weight and one
 * scale a row. Both are constant once built; any thread may read them. */
#ifndef AGGREGATOR_MODEL_WEIGHTS_H
#define AGGREGATOR_MODEL_WEIGHTS_H

#include "base/err.h"

#include <stdint.h>

/* The output of a fit: up to width sources for each item, strongest first or
 * not, in any order. Entry n of column j is at j * width + n. */
struct columns {
    uint32_t items, width;
    uint32_t *sizes; /* of each column, at most width */
    uint32_t *sources;
    float *values;
};

/* SOTTO_ETOOBIG when items * width passes what memory can hold, or
 * SOTTO_ENOMEM; c is empty then. */
enum sotto_err columns_init(struct columns *c, uint32_t items, uint32_t width);
void columns_fini(struct columns *c);

struct weights {
    uint32_t items;
    uint64_t *starts;  /* items + 1 */
    uint32_t *targets; /* ascending within a row */
    float *values;
};

/* Turns columns into rows. The caller frees out. SOTTO_ENOMEM. */
enum sotto_err weights_from_columns(struct weights *out,
                                    const struct columns *c);
void weights_fini(struct weights *w);

/* Row i as bytes: the weight of targets[n] is scale * values[n]. */
struct weights8_row {
    const uint32_t *targets; /* ascending */
    const int8_t *values;    /* -127..127 */
    uint32_t size;
    float scale; /* 0 when every weight of the row is 0 */
};

struct weights8 {
    uint32_t items;
    uint64_t *starts;
    uint32_t *targets;
    int8_t *values;
    float *scales;
};

/* Quantizes row by row: scale = max |w| / 127, rounded half to even. A weight
 * moves by at most half a scale (denormal ones by more); one that rounds to 0
 * is left out.
 * SOTTO_EINVAL when a weight is not finite, SOTTO_ENOMEM. */
enum sotto_err weights8_from(struct weights8 *out, const struct weights *w);
struct weights8_row weights8_row(const struct weights8 *w, uint32_t item);
void weights8_fini(struct weights8 *w);

/* The floats an edge computes with. SOTTO_ENOMEM. */
enum sotto_err weights_from_8(struct weights *out, const struct weights8 *w);

#endif
