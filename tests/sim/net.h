/* The network between agents and aggregator, behind the functions of
 * link/request.h and link/reply.h: messages are lost, doubled, overtaken,
 * delayed, changed or forged, as the faults that are on say. */
#ifndef SOTTO_SIM_NET_H
#define SOTTO_SIM_NET_H

#include "world.h"

struct net_stats {
    uint64_t requests, replies, lost, doubled, changed, forged;
};
extern struct net_stats net_stats;

/* Looks at each envelope of a stream that an agent sends. */
void net_watch(void (*sent)(struct node *n, struct span envelope));
/* A forged acknowledgement of the request in frame, malloc'ed; data NULL if
 * it is not the kind that somebody would forge. */
void net_forger(struct span (*forge)(struct node *n, struct span frame));

#endif
