/* What the aggregator's owner does for its tools: one row a verb. */
#ifndef SOTTO_AGGREGATOR_VERBS_H
#define SOTTO_AGGREGATOR_VERBS_H

#include "link/control.h"

extern const struct control_verb aggregator_verbs[]; /* owner: aggregator */

#endif
