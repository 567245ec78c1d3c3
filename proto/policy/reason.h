/* Why an event was not taken: one row a reason, with the counter's name. */
#ifndef SOTTO_POLICY_REASON_H
#define SOTTO_POLICY_REASON_H

#include "base/buf.h"

enum drop_reason {
    DROP_NOT,           /* it was taken */
    DROP_NO_POLICY,     /* no policy yet */
    DROP_EXPIRED,       /* the policy expired */
    DROP_UNKNOWN_EVENT, /* not in the policy */
    DROP_NO_CONSENT,    /* purpose not granted, or not known to be */
    DROP_TOO_OLD,       /* past its purpose's retention already */
    DROP_BAD_TIME,      /* no time, or outside 1970..9999 */
    DROP_MISSING_FIELD, /* a required field is absent or does not fit */
    DROP_TOO_BIG,       /* over the size of a record */
    DROP_RING_FULL,
    DROP_CLOSED, /* the handle is closing */
    DROP_COUNT
};
const char *drop_name(enum drop_reason reason); /* "no_consent" */
const char *drop_text(enum drop_reason reason);
enum sotto_err drop_err(enum drop_reason reason); /* for the caller */

/* Cumulative counters of an agent, by reason name: the fixed ones above and
 * those that import maps name. They travel in every batch. */
#define COUNTERS_MAX 48
#define COUNTER_NAME_MAX 32
struct counter {
    char name[COUNTER_NAME_MAX + 1]; /* [a-z0-9_-] */
    uint64_t count;
};
struct counters {
    uint64_t produced; /* events offered: accepted + all drops */
    uint64_t accepted; /* put into batches so far */
    uint64_t fields_emptied; /* values that did not fit their field */
    uint32_t drop_count;
    struct counter drops[COUNTERS_MAX];
};

/* 1..COUNTER_NAME_MAX of [a-z0-9_-]. */
bool counter_name_ok(struct span name);
/* Adds count to the drop of that name; SOTTO_EFULL when the table is,
 * SOTTO_EINVAL for a name that is none. */
enum sotto_err counters_add(struct counters *c, const char *name,
                            uint64_t count);
uint64_t counters_dropped(const struct counters *c); /* sum over reasons */

#endif
