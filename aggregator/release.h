/* Counts of subjects, made noisy inside a budget: what may be called anonymous
 * statistics (epsilon, delta).
 *
 * The unit that is protected is one subject's whole record: added or removed,
 * it changes at most cells_max counts by 1 each, because a subject counts at
 * most once in a cell and in at most cells_max cells, which are drawn at random
 * when it has more. So the squared L2 sensitivity is cells_max, and discrete
 * Gaussian noise of sigma2 = cells_max / (2 rho) in every cell is rho-zCDP
 * (Canonne, Kamath, Steinke 2020, theorem 14).
 *
 * Which cells there are must not tell of anybody. The cells of a fixed list
 * (segments, events) are all noised, the empty ones too, and one is shown when
 * its noisy count is at least min_k. Where people bring the cells about
 * (items), a cell with one subject in it must hardly ever be shown, so the
 * least count shown is also at least 1 + sqrt(2 sigma2 ln(cells_max / delta)):
 * discrete Gaussian noise is subgaussian, so the chance is at most delta, which
 * is charged too. */
#ifndef AGGREGATOR_RELEASE_H
#define AGGREGATOR_RELEASE_H

#include "aggregator/ledger.h"
#include "aggregator/noise.h"
#include "base/dict.h"

#include <jansson.h>

#define RELEASE_CELLS_MAX (UINT32_C(1) << 24)
#define RELEASE_PER_SUBJECT_MAX 1000
#define RELEASE_MIN_K_MAX 1000000

struct release_question {
    const char *request;  /* of the ledger */
    const char *by;       /* what the cells are: a short word */
    int64_t rho;          /* millionths */
    uint32_t min_k;       /* at least 1 */
    uint32_t cells_max;   /* of a subject, 1 to RELEASE_PER_SUBJECT_MAX */
    bool named_by_people; /* the cells are no fixed list */
};

/* Counts that are being made; its fields are release.c's. */
struct tally {
    struct dict names;
    uint64_t *counts;
    uint32_t capacity, cells_max;
    const struct noise_source *from;
};

/* The cell of a name, made if it is new; SOTTO_ENOMEM, SOTTO_EFULL. */
enum sotto_err tally_cell(struct tally *t, struct span name, uint32_t *cell);
/* Once for each subject, with the cells it is in: in any order, repeated ones
 * count once. cells is changed. */
void tally_subject(struct tally *t, uint32_t *cells, uint32_t count);

/* Counts everybody; called once, after the charge. */
typedef enum sotto_err release_fill(void *context, struct tally *t);

/* Charges, counts, draws noise, stores and gives the answer, as JSON text:
 * {"label", "request", "by", "rho", "sigma2", "shown_from", "cells_max",
 * "counts": [{"cell", "count"}]}. A request that was answered before gets that
 * same answer, and is not charged again. Errors of ledger_charge and of fill;
 * why may stay empty. */
enum sotto_err release_count(struct store *s, const struct ledger_budget *b,
                             const struct release_question *q, int64_t now_ms,
                             release_fill *fill, void *context,
                             const struct noise_source *from,
                             struct buf *answer, struct why *why);

/* The parts of it that can be looked at alone. */
struct ratio release_sigma2(int64_t rho, uint32_t cells_max);
/* The least noisy count that is shown; delta in units of 1e-18, 0 for cells of
 * a fixed list. */
int64_t release_shown_from(const struct release_question *q, int64_t delta);
/* What a release of q takes of the budget's delta: 0 for cells of a fixed
 * list, else a hundredth, so that fifty of them use up the half. */
int64_t release_delta(const struct release_question *q,
                      const struct ledger_budget *b);

#endif
