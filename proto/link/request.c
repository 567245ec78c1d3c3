/* See request.h. A request is sent on its slot's context, and when the send
 * has finished the same aio waits for the reply; each step has the timeout. */
#include "link/request.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <nng/protocol/reqrep0/req.h>

#include "base/log.h"
#include "wire/envelope.h"

enum slot_state { SLOT_IDLE, SLOT_SENDING, SLOT_RECEIVING };

struct slot {
    struct relay_op op; /* first: an op is its slot */
    struct requester *owner;
    uint32_t number;
    enum slot_state state;
    nng_ctx ctx;
    bool ctx_open;
    int64_t timeout_ms;
};

struct requester {
    struct relay relay;
    nng_socket socket;
    bool socket_open;
    atomic_int pipes;
    request_done *done;
    void *owner;
    uint32_t slot_count;
    struct slot *slots;
    void (*closed)(void *owner);
    void *closed_owner;
};

static enum sotto_err err_of(int nng)
{
    switch (nng) {
    case 0:
        return SOTTO_OK;
    case NNG_ETIMEDOUT:
        return SOTTO_ETIMEOUT;
    case NNG_ENOMEM:
        return SOTTO_ENOMEM;
    case NNG_EMSGSIZE:
        return SOTTO_ETOOBIG;
    default:
        return SOTTO_EIO;
    }
}

static void finish(struct slot *s, enum sotto_err err, struct span reply)
{
    s->state = SLOT_IDLE;
    s->owner->done(s->owner->owner, s->number, err, reply);
}

static void slot_on_loop(struct relay_op *op, int result)
{
    struct slot *s = (struct slot *)op;
    nng_msg *msg;

    if (result != 0) {
        if (s->state == SLOT_SENDING) { /* ours after failure */
            nng_msg_free(nng_aio_get_msg(op->aio));
            nng_aio_set_msg(op->aio, NULL);
        }
        finish(s, err_of(result), span_of(NULL, 0));
        return;
    }
    if (s->state == SLOT_SENDING) { /* the message is NNG's now */
        s->state = SLOT_RECEIVING;
        nng_aio_set_timeout(op->aio, (nng_duration)s->timeout_ms);
        nng_ctx_recv(s->ctx, op->aio);
        return;
    }
    assert(s->state == SLOT_RECEIVING);
    msg = nng_aio_get_msg(op->aio);
    nng_aio_set_msg(op->aio, NULL);
    finish(s, SOTTO_OK, span_of(nng_msg_body(msg), nng_msg_len(msg)));
    nng_msg_free(msg);
}

static void pipe_on_nng_thread(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct requester *r = arg;

    (void)pipe;
    atomic_fetch_add(&r->pipes, event == NNG_PIPE_EV_ADD_POST ? 1 : -1);
}

static int socket_open(struct requester *r, const char *address)
{
    int rv = nng_req0_open(&r->socket);

    if (rv != 0)
        return rv;
    r->socket_open = true;
    nng_pipe_notify(r->socket, NNG_PIPE_EV_ADD_POST, pipe_on_nng_thread, r);
    nng_pipe_notify(r->socket, NNG_PIPE_EV_REM_POST, pipe_on_nng_thread, r);
    /* We decide about resends; a limit on what a peer may make us hold. */
    if ((rv = nng_socket_set_ms(r->socket, NNG_OPT_REQ_RESENDTIME,
                                NNG_DURATION_INFINITE)) != 0 ||
        (rv = nng_socket_set_size(r->socket, NNG_OPT_RECVMAXSZ,
                                  LINK_RECEIVE_MAX)) != 0 ||
        (rv = nng_socket_set_ms(r->socket, NNG_OPT_RECONNMINT, 500)) != 0 ||
        (rv = nng_socket_set_ms(r->socket, NNG_OPT_RECONNMAXT, 30000)) != 0)
        return rv;
    return nng_dial(r->socket, address, NULL, NNG_FLAG_NONBLOCK);
}

enum sotto_err requester_open(struct requester **out, uv_loop_t *loop,
                              const char *address, uint32_t slots,
                              request_done *done, void *owner, struct why *why)
{
    struct requester *r = calloc(1, sizeof *r);
    enum sotto_err err;
    int rv;

    if (!r)
        return SOTTO_ENOMEM;
    r->done = done;
    r->owner = owner;
    r->slots = calloc(slots, sizeof *r->slots);
    if (!r->slots || (err = relay_init(&r->relay, loop)) != SOTTO_OK) {
        free(r->slots);
        free(r);
        return SOTTO_ENOMEM;
    }
    rv = socket_open(r, address);
    if (rv != 0) {
        err = why_say(why, SOTTO_EIO,
                      "aggregator address \"%s\": %s; write it as "
                      "tcp://HOST:PORT",
                      address, nng_strerror(rv));
        goto fail;
    }
    for (uint32_t i = 0; i < slots; i++) {
        struct slot *s = &r->slots[i];
        s->owner = r;
        s->number = i;
        err = relay_op_init(&s->op, &r->relay, slot_on_loop);
        if (err)
            goto fail;
        r->slot_count = i + 1;
        rv = nng_ctx_open(&s->ctx, r->socket);
        if (rv != 0) {
            err = err_of(rv);
            goto fail;
        }
        s->ctx_open = true;
    }
    *out = r;
    return SOTTO_OK;

fail:
    requester_close(r, NULL, NULL);
    return err;
}

static void requester_on_closed(void *arg)
{
    struct requester *r = arg;
    void (*closed)(void *) = r->closed;
    void *owner = r->closed_owner;

    free(r->slots);
    free(r);
    if (closed)
        closed(owner);
}

void requester_close(struct requester *r, void (*closed)(void *owner),
                     void *owner)
{
    r->closed = closed;
    r->closed_owner = owner;
    if (r->socket_open)
        nng_close(r->socket); /* ends every operation */
    for (uint32_t i = 0; i < r->slot_count; i++) {
        struct slot *s = &r->slots[i];
        if (s->state != SLOT_IDLE) {
            nng_aio_stop(s->op.aio);
            nng_msg *msg = nng_aio_get_msg(s->op.aio);
            bool ours = s->state == SLOT_SENDING
                            ? nng_aio_result(s->op.aio) != 0
                            : nng_aio_result(s->op.aio) == 0;
            if (msg && ours)
                nng_msg_free(msg);
        }
        relay_op_close(&s->op);
    }
    relay_close(&r->relay, requester_on_closed, r);
}

enum sotto_err requester_send(struct requester *r, uint32_t slot, struct span a,
                              struct span b, int64_t timeout_ms)
{
    struct slot *s = &r->slots[slot];
    nng_msg *msg;

    assert(slot < r->slot_count);
    if (s->state != SLOT_IDLE)
        return SOTTO_EAGAIN;
    if (a.size > LINK_FRAME_MAX || b.size > LINK_FRAME_MAX - a.size)
        return SOTTO_ETOOBIG;
    if (nng_msg_alloc(&msg, a.size + b.size) != 0)
        return SOTTO_ENOMEM;
    if (a.size > 0)
        memcpy(nng_msg_body(msg), a.data, a.size);
    if (b.size > 0)
        memcpy((uint8_t *)nng_msg_body(msg) + a.size, b.data, b.size);
    s->state = SLOT_SENDING;
    s->timeout_ms = timeout_ms;
    nng_aio_set_msg(s->op.aio, msg);
    nng_aio_set_timeout(s->op.aio, (nng_duration)timeout_ms);
    nng_ctx_send(s->ctx, s->op.aio);
    return SOTTO_OK;
}

bool requester_busy(const struct requester *r, uint32_t slot)
{
    return r->slots[slot].state != SLOT_IDLE;
}

bool requester_connected(const struct requester *r)
{
    return atomic_load(&r->pipes) > 0;
}
