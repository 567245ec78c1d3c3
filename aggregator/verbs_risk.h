/* The verb risk of the aggregator's owner; it runs on a worker. */
#ifndef SOTTO_AGGREGATOR_VERBS_RISK_H
#define SOTTO_AGGREGATOR_VERBS_RISK_H

#include "link/control.h"

void verb_risk(void *owner, struct control_call *call);

#endif
