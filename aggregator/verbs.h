/* What the aggregator's owner does for its tools: one row a verb. */
#ifndef SOTTO_AGGREGATOR_VERBS_H
#define SOTTO_AGGREGATOR_VERBS_H

#include "aggregator/audit.h"
#include "link/control.h"

struct aggregator;

extern const struct control_verb aggregator_verbs[]; /* owner: aggregator */

/* Records in the audit log what call is about to do, and takes over details.
 * False: it could not be, and call has been refused with the reason. */
bool verb_recorded(struct aggregator *a, struct control_call *call,
                   enum audit_kind kind, json_t *details);
/* Ends a call of the verb verify; while nothing folds, on the loop. */
void verify_views(struct aggregator *a, struct control_call *call);

#endif
