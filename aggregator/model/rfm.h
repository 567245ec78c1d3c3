/* Recency, frequency, monetary value in quintiles, and the segment names that
 * marketing uses for them.
 *
 * A. M. Hughes, "Strategic Database Marketing", 1994 (quintile scoring); the
 * eleven names and their ranges of R and of the mean of F and M follow the
 * grid that Putler published, made disjoint.
 *
 * Cut points are fitted once, stored with a version, and then fixed: a subject
 * moves when he acts, not when others do. */
#ifndef AGGREGATOR_MODEL_RFM_H
#define AGGREGATOR_MODEL_RFM_H

#include "base/err.h"

#include <stdint.h>

#define RFM_LEVELS 5

/* The values from which on the next level begins, ascending. Fewer than four
 * when the data has too few different values. */
struct rfm_scale {
    int64_t cuts[RFM_LEVELS - 1];
    uint32_t count;
};

struct rfm_cuts {
    struct rfm_scale recency, frequency, monetary;
};

/* One subject: any one unit of time since the last purchase, how many
 * purchases, and money in millionths. */
struct rfm_values {
    int64_t recency, frequency, monetary;
};

/* Each 1 to 5, 5 the best: most recent, most often, most money. */
struct rfm_score {
    uint8_t recency, frequency, monetary;
};

enum rfm_segment {
    RFM_CHAMPIONS,
    RFM_LOYAL,
    RFM_POTENTIAL_LOYALIST,
    RFM_NEW,
    RFM_PROMISING,
    RFM_NEEDS_ATTENTION,
    RFM_ABOUT_TO_SLEEP,
    RFM_AT_RISK,
    RFM_CANNOT_LOSE,
    RFM_HIBERNATING,
    RFM_LOST,
    RFM_SEGMENT_COUNT
};

/* Fits cut points by rank: a value's level is 1 + floor(5 * smaller / count),
 * where smaller counts the values below it, so that equal values always share
 * a level and a constant column is all level 1. (For recency, where less is
 * better, "below" means longer ago.) The order of values does not matter.
 * SOTTO_EINVAL for no values, SOTTO_ENOMEM. */
enum sotto_err rfm_fit(struct rfm_cuts *out, const struct rfm_values *values,
                       uint32_t count);

/* Any values, also ones that the fit has not seen. */
struct rfm_score rfm_score(const struct rfm_cuts *cuts,
                           const struct rfm_values *v);

/* Defined for all 125 scores; levels outside 1..5 count as the nearest. */
enum rfm_segment rfm_classify(struct rfm_score score);

/* "Champions"; "?" for no segment. */
const char *rfm_name(enum rfm_segment segment);

#endif
