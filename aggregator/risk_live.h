/* The live store as risk looks at it: a row a subject, of what somebody who
 * knows the person could know besides; and who took which item on which day. */
#ifndef AGGREGATOR_RISK_LIVE_H
#define AGGREGATOR_RISK_LIVE_H

#include "aggregator/risk_data.h"
#include "aggregator/segment.h"
#include "aggregator/views/interactions.h"

/* What a profile is to risk; the columns are one table in risk_live.c. Times
 * are told as ages, to the day. */
struct risk_person {
    uint64_t orders, units, agents;
    int64_t spent; /* millionths */
    int64_t first_ms, last_ms;
    uint32_t consent, category; /* DICT_NONE: none */
    const char *segment;        /* static text */
};

struct risk_people {
    struct risk_person *all; /* owned */
    uint32_t count;
    int64_t now_ms; /* the newest event's */
};

/* Copies out of the view; the caller holds its lock. segments may be NULL.
 * SOTTO_ENOMEM. */
enum sotto_err risk_people_copy(struct risk_people *out,
                                const struct profiles *p,
                                const struct segments *segments);
void risk_people_fini(struct risk_people *p);
/* Fills an empty d: orders, units, spent (doubling steps), recency and tenure
 * (steps of days), category (the strongest), agents (which have seen the
 * subject), consent, segment. */
enum sotto_err risk_people_table(struct risk_data *d,
                                 const struct risk_people *p);

/* The traces own what they point to. */
struct risk_trail {
    uint64_t *starts;
    uint64_t *pairs; /* item and day, until they are numbered */
    uint32_t *points;
    uint64_t capacity;
    uint32_t subjects, point_count;
};

/* Copies out of the view; the caller holds its lock. SOTTO_ENOMEM. */
enum sotto_err risk_trail_copy(struct risk_trail *out,
                               const struct interactions *x);
void risk_trail_fini(struct risk_trail *t);
/* Numbers the pairs; t stays the owner. SOTTO_EFULL, SOTTO_ENOMEM. */
enum sotto_err risk_trail_traces(struct risk_traces *out, struct risk_trail *t);

#endif
