/* Documents towards one agent: numbers offered, delivered, applied. No I/O.
 *
 * Numbers rise by one per document and agent and are never reused. The agent
 * says the highest it applied; what is above it is sent again. An agent that
 * knows more than we do means that we were restored: the stream resumes above
 * its number with a full resync. */
#ifndef SOTTO_DELIVERY_SYNC_H
#define SOTTO_DELIVERY_SYNC_H

#include "base/buf.h"

struct sync {
    uint64_t last;    /* newest number given */
    uint64_t applied; /* as the agent last said */
};

enum sync_action {
    SYNC_PARK,   /* nothing newer: keep the poll until there is */
    SYNC_SEND,   /* send documents above applied */
    SYNC_RESYNC, /* renumber everything above the agent's number, then send */
};

enum sync_action sync_polled(struct sync *s, uint64_t applied, bool resync);
/* The number of the next document. */
uint64_t sync_next(struct sync *s);
/* After SYNC_RESYNC: numbers start above floor. */
void sync_restart(struct sync *s, uint64_t floor);

#endif
