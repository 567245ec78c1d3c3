/* The aggregator's end of the link: NNG REP over tcp:// with many contexts.
 *
 * There is always a context receiving: when the last idle one takes a request,
 * another is opened, up to contexts_max (a parked long-poll holds one each).
 * Beyond that new requests wait in the kernel. Loop thread only. */
#ifndef SOTTO_LINK_REPLY_H
#define SOTTO_LINK_REPLY_H

#include "base/buf.h"
#include "link/relay.h"

struct replier;
struct call; /* a request that waits for its reply */

/* frame is borrowed until the call is answered or dropped. */
typedef void replier_on_request(void *owner, struct call *call,
                                struct span frame);

enum sotto_err replier_open(struct replier **out, uv_loop_t *loop,
                            const char *address, uint32_t contexts_max,
                            replier_on_request *on_request, void *owner,
                            struct why *why);
/* Calls not answered are dropped. */
void replier_close(struct replier *r, void (*closed)(void *owner), void *owner);
/* Where it listens in fact ("tcp://127.0.0.1:4711" when 0 was asked). */
const char *replier_address(const struct replier *r);
uint32_t replier_waiting(const struct replier *r); /* calls not answered */

/* Each ends the call; it must not be used afterwards. */
void call_reply(struct call *c, struct span reply);
void call_drop(struct call *c); /* no answer */
/* For a request that failed a check: after the third of a connection nothing on
 * it is heard any more, so each costs us no check. */
void call_fail(struct call *c);
/* A free place for the owner, NULL at first. */
void **call_owner(struct call *c);

#endif
