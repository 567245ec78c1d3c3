/* Carries NNG completions to the loop thread.
 *
 * NNG finishes operations on threads of its own. Its callback pushes the
 * finished operation on a lock-free stack and wakes the loop once for many;
 * everything else happens on the loop. One operation at a time per relay_op. */
#ifndef SOTTO_LINK_RELAY_H
#define SOTTO_LINK_RELAY_H

#include "wire/message.h"

#include <stdatomic.h>

#include <nng/nng.h>
#include <uv.h>

/* A frame: a nonce and the largest envelope. NNG's limit counts its own header
 * (a request id and one word a hop) as well. */
#define LINK_FRAME_MAX (FRAME_MAX + NONCE_SIZE)
#define LINK_RECEIVE_MAX (LINK_FRAME_MAX + 64)

struct relay_op;

struct relay {
    uv_async_t wake;
    _Atomic(struct relay_op *) finished;
    void (*closed)(void *owner);
    void *owner;
};

struct relay_op {
    struct relay *relay;
    nng_aio *aio;
    struct relay_op *next;
    void (*done_on_loop)(struct relay_op *op, int nng_result);
};

enum sotto_err relay_init(struct relay *r, uv_loop_t *loop);
/* Call after every op was closed; closed runs on the loop when r may go. */
void relay_close(struct relay *r, void (*closed)(void *owner), void *owner);

enum sotto_err relay_op_init(struct relay_op *op, struct relay *r,
                             void (*done_on_loop)(struct relay_op *, int));
/* Stops the operation and waits for its callback (loop thread only, after the
 * socket was closed); its done_on_loop does not run any more. */
void relay_op_close(struct relay_op *op);

#endif
