/* How easily the rows of a table are told apart, and people by what they did.
 * Plain functions over small integers: no database, no text.
 *
 *   k-anonymity   L. Sweeney, "k-anonymity: a model for protecting privacy",
 *                 2002: rows that agree in all quasi-identifiers are a class;
 *                 k is the size of the smallest
 *   l-diversity   A. Machanavajjhala et al., "l-diversity: privacy beyond
 *                 k-anonymity", 2007: distinct and entropy
 *   t-closeness   N. Li, T. Li, S. Venkatasubramanian, "t-closeness: privacy
 *                 beyond k-anonymity and l-diversity", 2007: earth mover's
 *                 distance, equal or ordered
 *   unicity       Y.-A. de Montjoye et al., "Unique in the crowd: the privacy
 *                 bounds of human mobility", 2013
 *
 * Floating point is used for what is shown, never to decide who is in a class.
 */
#ifndef AGGREGATOR_RISK_H
#define AGGREGATOR_RISK_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define RISK_COLUMNS_MAX 64
#define RISK_ROWS_MAX (UINT32_C(1) << 30)
#define RISK_POINTS_MAX 16

/* Columns are the caller's; a cell is any number, and two values of a column
 * are the same when their numbers are. */
struct risk_table {
    uint32_t rows;
    uint32_t column_count;                     /* quasi-identifiers */
    const uint32_t *columns[RISK_COLUMNS_MAX]; /* rows cells each */
    const uint32_t *sensitive;                 /* rows cells, or NULL */
    uint32_t sensitive_values; /* its cells are below: how many there are */
    bool ordered; /* they rise with the value: distances are ordered */
};

struct risk_classes {
    uint32_t classes;  /* distinct combinations */
    uint32_t unique;   /* rows that are alone in theirs */
    uint32_t below;    /* rows in classes of fewer than k */
    uint32_t smallest; /* the k that the table has; 0 without rows */
    uint32_t largest;
    /* Of the worst class; all 0 without a sensitive column. */
    uint32_t distinct; /* values */
    double entropy;    /* exp of the entropy: as many equally likely values */
    double closeness;  /* t, 0 to 1: the largest distance to the whole table */
};

/* SOTTO_EINVAL: no column, more than RISK_COLUMNS_MAX, or more than
 * RISK_ROWS_MAX rows; SOTTO_ENOMEM. */
enum sotto_err risk_classes(struct risk_classes *out,
                            const struct risk_table *t, uint32_t k);

/* Who was where: of subject i the points starts[i] to starts[i + 1], rising
 * and each once, numbers below point_count. */
struct risk_traces {
    uint32_t subjects, point_count;
    const uint64_t *starts; /* subjects + 1 */
    const uint32_t *points;
};

struct risk_unicity {
    uint32_t points;   /* p, 1 to RISK_POINTS_MAX; set by the caller */
    uint32_t eligible; /* subjects with at least p points */
    uint32_t asked;    /* of these, drawn without repetition */
    uint32_t unique;   /* whose p points, drawn at random, nobody else has */
    double share;      /* unique / asked; 0 when nobody is eligible */
    double low, high;  /* 95 % interval, E. B. Wilson, 1927 */
};

/* Asked now and then; false ends the work with SOTTO_ECLOSED. */
struct risk_watch {
    bool (*go_on)(void *context, uint64_t done, uint64_t total);
    void *context;
};

/* Fills count answers. The same traces and seed give the same answers. watch
 * may be NULL. SOTTO_EINVAL for a p that is out of range, SOTTO_ENOMEM. */
enum sotto_err risk_unicity(struct risk_unicity *out, uint32_t count,
                            const struct risk_traces *t, uint32_t sample_max,
                            uint64_t seed, const struct risk_watch *watch);

#endif
