/* What the agent's owner does for its tools: one row a verb. */
#ifndef SOTTO_AGENT_VERBS_H
#define SOTTO_AGENT_VERBS_H

#include "link/control.h"

extern const struct control_verb agent_verbs[]; /* owner: struct core */

#endif
