/* The link to the aggregator: enrols if that is still to be done, sends what
 * the stream says, keeps one long-poll parked and hands over the documents
 * that answer it. Loop thread.
 *
 *   ENROLLING -> READY          (enrolment refused for good: REFUSED)
 *
 * Every reply is an envelope signed by the aggregator that echoes nonce, stream
 * and sequence; anything else is counted and ignored, and the request counts
 * as failed. */
#ifndef SOTTO_AGENT_UPLINK_H
#define SOTTO_AGENT_UPLINK_H

#include "agent/home.h"
#include "agent/spool.h"
#include "wire/document.h"

#include <uv.h>

struct uplink;

struct uplink_parts {
    uv_loop_t *loop;
    const char *address;
    struct home *home;
    struct spool *spool;
    /* Documents of one answer, in order, then the number to store; an error
     * leaves the old number and the documents come again. */
    enum sotto_err (*documents)(void *owner, struct span payload);
    uint64_t (*applied)(void *owner); /* highest document number */
    void (*time)(void *owner, int64_t aggregator_ms); /* signed time */
    int64_t (*now)(void *owner);  /* trusted time; 0: not known */
    void (*changed)(void *owner); /* acknowledged or enrolled: look again */
    void *owner;
};

enum uplink_state { UPLINK_ENROLLING, UPLINK_READY, UPLINK_REFUSED };

struct uplink_stats {
    enum uplink_state state;
    bool connected;
    uint64_t sent, acknowledged, retries, forged, forks, refused, rewinds;
    uint64_t damaged;     /* envelopes of the spool that did not verify */
    uint64_t missing;     /* envelopes a restored aggregator can not get back */
    uint32_t waiting_for; /* enum refusal of the last retry, 0: nothing */
    uint32_t refusal;     /* of the enrolment */
};

enum sotto_err uplink_open(struct uplink **out,
                           const struct uplink_parts *parts, struct why *why);
void uplink_close(struct uplink *u, void (*closed)(void *owner), void *owner);
/* The spool has more, or time has passed. */
void uplink_kick(struct uplink *u);
void uplink_stats(const struct uplink *u, struct uplink_stats *out);

#endif
