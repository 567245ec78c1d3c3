/* Carries NNG completions to the loop thread, and closes what NNG does not.
 *
 * NNG finishes operations on threads of its own. Its callback pushes the
 * finished operation on a lock-free stack and wakes the loop once for many;
 * everything else happens on the loop. One operation at a time per relay_op.
 *
 * nng_close() of NNG 1.5 may wait for ever: for a dialer that was closed in the
 * instant before its attempt began, and for a connection that was closed
 * between two parts of a message that it was receiving (either wait is for an
 * operation that was stopped and refused to begin, of which nobody is told). So
 * closing has a time, after which the socket is left to the process's end. */
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

#define LINK_CLOSE_MAX_MS 2000

struct relay {
    uv_async_t wake;
    uv_mutex_t lock; /* of gone, and of wake while it is not */
    bool gone;
    void (*woken)(void *owner);
    void *woken_owner;
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

/* woken runs on the loop after relay_wake(), which any thread may call; NULL:
 * there is nothing but operations. */
enum sotto_err relay_init(struct relay *r, uv_loop_t *loop,
                          void (*woken)(void *owner), void *owner);
void relay_wake(struct relay *r);
/* Ends what NNG does for r: shut closes the socket and stops every operation,
 * on a thread of its own. Blocks, LINK_CLOSE_MAX_MS at most. False: it did not
 * end, NNG may still call, and r and what shut uses must never be freed; what
 * it says is not heard any more. */
bool relay_shut(struct relay *r, void (*shut)(void *owner), void *owner);
/* Call after every op was closed, or r was given up; closed runs on the loop
 * when r may go, if it was not given up. */
void relay_close(struct relay *r, void (*closed)(void *owner), void *owner);

enum sotto_err relay_op_init(struct relay_op *op, struct relay *r,
                             void (*done_on_loop)(struct relay_op *, int));
/* Stops the operation and waits for its callback (after the socket was closed);
 * its done_on_loop does not run any more. */
void relay_op_close(struct relay_op *op);

#endif
