/* From a history to a ranked list: dense scores, the best n, and why.
 *
 * Ties go to the lower item number, so the same history always gives the same
 * list. */
#ifndef AGGREGATOR_MODEL_SCORE_H
#define AGGREGATOR_MODEL_SCORE_H

#include "aggregator/model/weights.h"

struct history {
    const uint32_t *items; /* ascending, without repeats */
    const float *weights;  /* of each item; NULL: all 1 */
    uint32_t size;
};

struct ranked {
    float score;
    uint32_t item;
    uint32_t because; /* set by score_explain */
};

#define SCORE_NO_REASON UINT32_MAX

/* Adds to scores[j] what the history says for j: sum of weight_i * W_ij.
 * scores holds w->items; items of the history are below that. */
void score_history(float *scores, const struct weights *w,
                   const struct history *h);

/* The best of scores above the floor, without the items of excluded
 * (ascending), best first. Returns how many, at most limit; out holds limit.
 * A floor of 0 leaves out what nothing speaks for; -INFINITY fills the list.
 * A score that is not a number is never ranked. */
uint32_t score_select(struct ranked *out, uint32_t limit, const float *scores,
                      uint32_t items, const struct history *excluded,
                      float floor);

/* Sets because: the item of the history that added most to each score ("you
 * bought X"), or SCORE_NO_REASON where none added anything. */
void score_explain(struct ranked *list, uint32_t count, const struct weights *w,
                   const struct history *h);

#endif
