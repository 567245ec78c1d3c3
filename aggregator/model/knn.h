/* Item kNN: score(j) = sum over the history of the similarity of its items to
 * j, of which each item keeps only its nearest neighbours.
 *
 * Sarwar et al., "Item-based collaborative filtering recommendation
 * algorithms", WWW 2001; top-K neighbourhoods as in Deshpande and Karypis,
 * ACM TOIS 22(1), 2004. */
#ifndef AGGREGATOR_MODEL_KNN_H
#define AGGREGATOR_MODEL_KNN_H

#include "aggregator/model/gram.h"
#include "aggregator/model/weights.h"

struct knn_parameters {
    uint32_t neighbours; /* K; 0 leaves every item alone */
    float shrink;        /* added to the cosine's denominator; 0: none */
};

/* The caller frees out. SOTTO_EINVAL for a negative shrink, SOTTO_ETOOBIG,
 * SOTTO_ENOMEM, SOTTO_ECLOSED when cancelled. */
enum sotto_err knn_fit(struct weights *out, const struct gram *g,
                       const struct knn_parameters *p, struct effort *effort);

#endif
