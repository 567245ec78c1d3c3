/* The agent's end of the link: NNG REQ over tcp:// with one context a slot.
 *
 * One connection, dialled in the background for ever: at once, then after
 * pauses of their own random length whose bound doubles from half a second to
 * 30 s, and again from half a second when a reply has come. It is made anew
 * when a request on it has timed out and nothing came since it was sent: a way
 * that is broken is not always told. Timeouts go by the monotonic clock. An
 * attempt has a thread while it lasts. A slot has one request at a time. Loop
 * thread only. */
#ifndef SOTTO_LINK_REQUEST_H
#define SOTTO_LINK_REQUEST_H

#include "base/buf.h"
#include "link/relay.h"

struct requester;

/* slot: which; err: SOTTO_OK with the reply (borrowed during the call),
 * SOTTO_ETIMEOUT, SOTTO_EIO, SOTTO_ETOOBIG. Runs on the loop. */
typedef void request_done(void *owner, uint32_t slot, enum sotto_err err,
                          struct span reply);

enum sotto_err requester_open(struct requester **out, uv_loop_t *loop,
                              const char *address, uint32_t slots,
                              request_done *done, void *owner, struct why *why);
/* closed runs on the loop when everything is gone; requests under way are
 * dropped without done. */
void requester_close(struct requester *r, void (*closed)(void *owner),
                     void *owner);

/* Sends two parts as one frame, LINK_FRAME_MAX bytes at most (SOTTO_ETOOBIG).
 * SOTTO_EAGAIN: the slot is busy. */
enum sotto_err requester_send(struct requester *r, uint32_t slot, struct span a,
                              struct span b, int64_t timeout_ms);
bool requester_busy(const struct requester *r, uint32_t slot);
/* Whether a connection is up, as far as NNG knows. */
bool requester_connected(const struct requester *r);

#endif
