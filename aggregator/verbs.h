/* What the aggregator's owner does for its tools: one row a verb. */
#ifndef SOTTO_AGGREGATOR_VERBS_H
#define SOTTO_AGGREGATOR_VERBS_H

#include "aggregator/audit.h"
#include "link/control.h"

struct aggregator;
struct segments;

extern const struct control_verb aggregator_verbs[]; /* owner: aggregator */

/* Records in the audit log what call is about to do, and takes over details.
 * False: it could not be, and call has been refused with the reason. */
bool verb_recorded(struct aggregator *a, struct control_call *call,
                   enum audit_kind kind, json_t *details);
/* Ends a call of the verb verify; while nothing folds, on the loop. */
void verify_views(struct aggregator *a, struct control_call *call);

/* A profile as the verb of that name shows it, NULL if there is none; s NULL:
 * without its segment. The caller holds the views' lock. */
json_t *profile_of(struct aggregator *a, const uint8_t subject[16],
                   const struct segments *s);

#endif
