/* One interface over the models: a table of rows, each with a name, its
 * parameters and a fit. Whatever the model, what comes out is the same pair: a
 * base score per item and item-to-item weights; so scoring, explaining and
 * publishing are written once. */
#ifndef AGGREGATOR_MODEL_RECOMMENDER_H
#define AGGREGATOR_MODEL_RECOMMENDER_H

#include "aggregator/model/gram.h"
#include "aggregator/model/matrix.h"
#include "aggregator/model/score.h"
#include "aggregator/model/weights.h"

#include <stdbool.h>

#define RECOMMENDER_PARAMETERS_MAX 4
#define RECOMMENDER_GRID_MAX 8

/* One parameter: what it is without a search, and what a search tries, in an
 * order along which quality changes smoothly. value is on the grid unless that
 * is empty. */
struct recommender_parameter {
    const char *name; /* NULL ends the list */
    double value;
    uint32_t grid_count;
    double grid[RECOMMENDER_GRID_MAX];
};

/* What a fit reads; all of it is the caller's and stays so. gram is the
 * binary Gram of x and may be NULL for kinds that do not need it. */
struct recommender_input {
    const struct matrix *x;
    const struct gram *gram;
    uint64_t seed; /* for kinds that draw; those of today do not */
};

struct recommender;

struct recommender_kind {
    const char *name; /* NULL ends the table */
    const char *summary;
    bool needs_gram;
    struct recommender_parameter parameters[RECOMMENDER_PARAMETERS_MAX + 1];
    enum sotto_err (*fit)(struct recommender *out,
                          const struct recommender_input *in,
                          const double *values, struct effort *effort);
};

/* A fitted model. Constant after the fit: any thread may score with it. */
struct recommender {
    const struct recommender_kind *kind;
    double values[RECOMMENDER_PARAMETERS_MAX];
    uint32_t items;
    float *base;            /* items; NULL: all 0 */
    struct weights weights; /* starts is NULL in a model without */
};

/* Ends with a row whose name is NULL. */
extern const struct recommender_kind recommender_kinds[];

/* The row of that name, or NULL. */
const struct recommender_kind *recommender_find(const char *name);

/* The values of a kind without a search. */
void recommender_defaults(const struct recommender_kind *kind,
                          double values[RECOMMENDER_PARAMETERS_MAX]);

/* Fits kind with values; the caller frees out. SOTTO_EINVAL for a value out of
 * its range, SOTTO_ETOOBIG, SOTTO_ENOMEM, SOTTO_ECLOSED when cancelled; out
 * is empty then. */
enum sotto_err recommender_fit(struct recommender *out,
                               const struct recommender_kind *kind,
                               const struct recommender_input *in,
                               const double *values, struct effort *effort);
void recommender_fini(struct recommender *r);

/* Sets scores (items of them) for one history. */
void recommender_score(const struct recommender *r, const struct history *h,
                       float *scores);

#endif
