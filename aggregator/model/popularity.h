/* How often each item was taken, the recent counting more: the model for a
 * subject of whom nothing is known, and the baseline of all others. */
#ifndef AGGREGATOR_MODEL_POPULARITY_H
#define AGGREGATOR_MODEL_POPULARITY_H

#include "aggregator/model/matrix.h"

/* scores[j] = sum over the subjects that hold j of 2^-(age / half_life_days),
 * where age is in days up to today, and never below 0. half_life_days 0, or
 * a matrix without days: every subject counts 1. scores holds x->columns.
 * SOTTO_EINVAL for a negative half-life. */
enum sotto_err popularity_fit(float *scores, const struct matrix *x,
                              double half_life_days, int32_t today);

/* The latest day in x; 0 when it is empty or has no days. */
int32_t popularity_today(const struct matrix *x);

#endif
