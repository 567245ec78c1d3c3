/* Strong generalization: subjects whom the fit has never seen are given part
 * of their history and asked for the rest. Also the search for parameters,
 * which looks at validation subjects only. */
#ifndef AGGREGATOR_MODEL_EVALUATE_H
#define AGGREGATOR_MODEL_EVALUATE_H

#include "aggregator/model/recommender.h"

/* Held-out subjects; row n of both matrices is the same subject. The columns
 * of history are the items of the fit; truth may have more, behind those, for
 * items that the fit does not know. Owned by the caller. */
struct holdout {
    struct matrix history, truth;
};
void holdout_fini(struct holdout *h);

/* Means over the subjects that have a truth; 0 if there are none. */
struct quality {
    double recall_20, recall_50, ndcg_100;
    double coverage_100; /* part of the items that stands in any first 100 */
    uint32_t subjects;
};

/* Ranks every item that is not in the history. Sums run in the order of the
 * subjects, whatever the threads. SOTTO_ENOMEM, SOTTO_ECLOSED. */
enum sotto_err evaluate(struct quality *out, const struct recommender *r,
                        const struct holdout *h, struct effort *effort);

#define EVALUATE_SEARCH_SUBJECTS 2000

/* Chooses parameters by NDCG@100 on the validation subjects (on 2,000 of them,
 * drawn with in->seed, when there are more): from the defaults, each parameter
 * of the table in turn climbs its grid, up or else down, until a step does not
 * help: quality has one peak along each of them, and the far end of a grid is
 * often the dearest to fit. Errors as in
 * recommender_fit; values are the defaults then. */
enum sotto_err evaluate_search(double values[RECOMMENDER_PARAMETERS_MAX],
                               const struct recommender_kind *kind,
                               const struct recommender_input *in,
                               const struct holdout *validation,
                               struct effort *effort);

#endif
