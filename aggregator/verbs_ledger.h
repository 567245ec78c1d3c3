/* The verbs ledger and release of the aggregator's owner; they run on a
 * worker, with a connection to the store of their own. */
#ifndef SOTTO_AGGREGATOR_VERBS_LEDGER_H
#define SOTTO_AGGREGATOR_VERBS_LEDGER_H

#include "link/control.h"

void verb_ledger(void *owner, struct control_call *call);
void verb_release_count(void *owner, struct control_call *call);

#endif
