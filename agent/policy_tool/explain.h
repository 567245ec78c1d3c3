/* A policy in plain sentences: what leaves the device, in what form, under
 * which purpose and basis, how long it is kept, for how long it can be linked.
 *
 * What an action makes and reveals stands in action_rows, so a new action is
 * explained without a line here. */
#ifndef SOTTO_POLICY_TOOL_EXPLAIN_H
#define SOTTO_POLICY_TOOL_EXPLAIN_H

#include "policy/policy.h"

/* Each is one or two sentences. */
struct explained {
    char leaves[400];  /* what leaves, in what form */
    char reveals[400]; /* what that tells */
    char purpose[400]; /* purpose, basis, consent */
    char kept[160];    /* how long */
    char linked[300];  /* for how long it can be linked, and with what */
};

void explain_field(struct explained *out, const struct policy *p,
                   const struct policy_event *event,
                   const struct policy_field *f);

/* When the whole event is taken: its gate and what is required. */
void explain_event(char out[400], const struct policy *p,
                   const struct policy_event *event);

/* What never leaves: everything that is not listed. */
extern const char explain_never[];

#endif
