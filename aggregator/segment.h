/* RFM segments: quintiles of recency, frequency and monetary over the people
 * who bought, with fixed, versioned cut points, so that a person's segment
 * changes with the batch that changed the person. */
#ifndef SOTTO_AGGREGATOR_SEGMENT_H
#define SOTTO_AGGREGATOR_SEGMENT_H

#include "aggregator/model/rfm.h"
#include "aggregator/views/profile.h"

struct segments {
    uint64_t version; /* 0: never fitted */
    int64_t as_of_ms;
    struct rfm_cuts cuts;
};

/* Fits on everybody with a purchase, as of as_of_ms, and counts version up.
 * Monetary is spent minus returned. Caller holds the views' lock.
 * SOTTO_ENOTFOUND when nobody bought yet; s is unchanged on an error. */
enum sotto_err segments_fit(struct segments *s, const struct profiles *p,
                            int64_t as_of_ms);
enum sotto_err segments_save(const struct segments *s, struct store *store);
/* SOTTO_ENOTFOUND: never saved. */
enum sotto_err segments_load(struct segments *s, struct store *store);

/* The name of a person's segment, "Prospects" for those who never bought, or
 * "Unranked" for those who did before the first fit. */
const char *segment_of(const struct segments *s, const struct profile *p);
/* Lifecycle by days since the last event against the person's own rhythm:
 * "new", "active", "cooling", "lapsed". */
const char *lifecycle_of(const struct profile *p, int64_t as_of_ms);

struct segment_size {
    const char *name;
    uint64_t people;
    int64_t spent;
};
#define SEGMENTS_MAX 16
/* Only those with people in them; how many. */
/* Best segments first; returns how many. */
uint32_t segments_count(const struct segments *s, const struct profiles *p,
                        struct segment_size out[SEGMENTS_MAX]);

#endif
