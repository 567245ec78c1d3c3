/* What the aggregator's owner does for its tools: one row a verb. */
#ifndef SOTTO_AGGREGATOR_VERBS_H
#define SOTTO_AGGREGATOR_VERBS_H

#include "link/control.h"

struct aggregator;

extern const struct control_verb aggregator_verbs[]; /* owner: aggregator */

/* Ends a call of the verb verify; while nothing folds, on the loop. */
void verify_views(struct aggregator *a, struct control_call *call);

#endif
