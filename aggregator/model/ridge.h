/* The local ridge: sparse item-to-item weights by regression.
 *
 * For item j take its K nearest items S by cosine and solve
 *     (G_SS + lambda I + p/(1-p) diag G_SS) b = G_Sj
 * then keep the strongest weights and solve again among those alone. It is
 * EASE (H. Steck, "Embarrassingly shallow autoencoders for sparse data", WWW
 * 2019: minimize |X - XB|^2 + lambda |B|^2 with diag B = 0) restricted to a
 * neighbourhood, which needs no dense inverse; p is the dropout of EDLAE (H.
 * Steck, "Autoencoders that don't overfit towards the identity", NeurIPS
 * 2020), which adds p/(1-p) of the diagonal. With K >= items and everything
 * kept it is the dense ridge, column by column.
 *
 * Worked example: two items, G = [[4 2] [2 3]], lambda 1, p 0. Item 0 from
 * item 1: (3 + 1) b = 2, so b = 0.5; item 1 from item 0: (4 + 1) b = 2, so
 * b = 0.4. */
#ifndef AGGREGATOR_MODEL_RIDGE_H
#define AGGREGATOR_MODEL_RIDGE_H

#include "aggregator/model/gram.h"
#include "aggregator/model/weights.h"

struct ridge_parameters {
    uint32_t candidates; /* K */
    uint32_t keep;       /* weights that stay in a column */
    float lambda;        /* above 0 */
    float dropout;       /* p, 0 <= p < 1 */
};

#define RIDGE_CANDIDATES_MAX 4096 /* 128 MiB a thread */

/* The caller frees out. SOTTO_EINVAL for a parameter outside its range
 * or counts that are not finite, SOTTO_ETOOBIG for more candidates than
 * RIDGE_CANDIDATES_MAX in a catalogue that has them, SOTTO_ENOMEM,
 * SOTTO_ECLOSED when cancelled. Sets OpenBLAS to one thread: the columns are
 * the parallel part. */
enum sotto_err ridge_fit(struct weights *out, const struct gram *g,
                         const struct ridge_parameters *p,
                         struct effort *effort);

#endif
