/* See reply.h. A call goes RECEIVING -> HELD -> SENDING -> RECEIVING.
 *
 * A stranger's connection is not closed here: NNG 1.5 stops letting any
 * connection go when one is closed while a message comes in on it, so five
 * thousand strangers would have left five thousand sockets behind. */
#include "link/reply.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nng/protocol/reqrep0/rep.h>

#include "base/log.h"
#include "wire/envelope.h"

#define FAILURES_PER_CONNECTION 3
#define FAILURE_SLOTS 1024

enum call_state { CALL_RECEIVING, CALL_HELD, CALL_SENDING };

struct call {
    struct relay_op op; /* first: an op is its call */
    struct replier *replier;
    enum call_state state;
    nng_ctx ctx;
    nng_msg *request; /* while HELD */
    void *owner;
};

struct replier {
    struct relay relay;
    nng_socket socket;
    char address[128];
    replier_on_request *on_request;
    void *owner;
    uint32_t count, count_max, receiving, held;
    struct call **calls;
    /* Failures by connection; a slot that another connection takes over
     * forgets, which only makes the budget larger. */
    struct {
        uint32_t pipe, failures;
    } failed[FAILURE_SLOTS];
    bool closing, given_up;
    void (*closed)(void *owner);
    void *closed_owner;
};

static enum sotto_err call_open(struct replier *r);

static void receive(struct call *c)
{
    c->state = CALL_RECEIVING;
    c->owner = NULL;
    c->replier->receiving++;
    nng_ctx_recv(c->ctx, c->op.aio);
}

static uint32_t pipe_of(nng_msg *request)
{
    return (uint32_t)nng_pipe_id(nng_msg_get_pipe(request));
}

static uint32_t failures_of(const struct replier *r, nng_msg *request)
{
    uint32_t id = pipe_of(request), slot = id % FAILURE_SLOTS;

    return r->failed[slot].pipe == id ? r->failed[slot].failures : 0;
}

static void call_on_loop(struct relay_op *op, int result)
{
    struct call *c = (struct call *)op;
    struct replier *r = c->replier;

    if (c->state == CALL_SENDING) {
        if (result != 0) { /* the connection went; the message is ours */
            nng_msg_free(nng_aio_get_msg(op->aio));
            nng_aio_set_msg(op->aio, NULL);
        }
        if (result != NNG_ECLOSED)
            receive(c);
        return;
    }
    assert(c->state == CALL_RECEIVING);
    r->receiving--;
    if (result == NNG_ECLOSED)
        return;
    if (result != 0) {
        receive(c);
        return;
    }
    c->request = nng_aio_get_msg(op->aio);
    nng_aio_set_msg(op->aio, NULL);
    if (failures_of(r, c->request) >= FAILURES_PER_CONNECTION) {
        nng_msg_free(c->request);
        receive(c);
        return;
    }
    c->state = CALL_HELD;
    r->held++;
    if (r->receiving == 0 && r->count < r->count_max && call_open(r))
        log_warn("link", "no further context: out of memory");
    r->on_request(r->owner, c,
                  span_of(nng_msg_body(c->request), nng_msg_len(c->request)));
}

static enum sotto_err call_open(struct replier *r)
{
    struct call *c = calloc(1, sizeof *c);

    if (!c)
        return SOTTO_ENOMEM;
    c->replier = r;
    if (relay_op_init(&c->op, &r->relay, call_on_loop)) {
        free(c);
        return SOTTO_ENOMEM;
    }
    if (nng_ctx_open(&c->ctx, r->socket) != 0) {
        relay_op_close(&c->op);
        free(c);
        return SOTTO_ENOMEM;
    }
    r->calls[r->count++] = c;
    receive(c);
    return SOTTO_OK;
}

static int listen_at(struct replier *r, const char *address)
{
    nng_listener listener;
    nng_sockaddr where;
    int rv = nng_rep0_open(&r->socket);

    if (rv != 0)
        return rv;
    if ((rv = nng_socket_set_size(r->socket, NNG_OPT_RECVMAXSZ,
                                  LINK_RECEIVE_MAX)) ||
        (rv = nng_listen(r->socket, address, &listener, 0)))
        goto fail;
    snprintf(r->address, sizeof r->address, "%s", address);
    if (nng_listener_get_addr(listener, NNG_OPT_LOCADDR, &where) == 0 &&
        where.s_family == NNG_AF_INET) {
        const uint8_t *ip = (const uint8_t *)&where.s_in.sa_addr;
        const uint8_t *port = (const uint8_t *)&where.s_in.sa_port;
        snprintf(r->address, sizeof r->address, "tcp://%u.%u.%u.%u:%u", ip[0],
                 ip[1], ip[2], ip[3], (unsigned)port[0] << 8 | port[1]);
    }
    return 0;

fail:
    nng_close(r->socket);
    return rv;
}

enum sotto_err replier_open(struct replier **out, uv_loop_t *loop,
                            const char *address, uint32_t contexts_max,
                            replier_on_request *on_request, void *owner,
                            struct why *why)
{
    struct replier *r = calloc(1, sizeof *r);
    int rv;

    if (!r)
        return SOTTO_ENOMEM;
    r->on_request = on_request;
    r->owner = owner;
    r->count_max = contexts_max;
    r->calls = calloc(contexts_max, sizeof *r->calls);
    if (!r->calls || relay_init(&r->relay, loop, NULL, NULL)) {
        free(r->calls);
        free(r);
        return SOTTO_ENOMEM;
    }
    rv = listen_at(r, address);
    if (rv != 0) {
        why_say(why, SOTTO_EIO,
                "listen %s: %s; write another tcp://HOST:PORT at `listen` in "
                "aggregator.yaml",
                address, nng_strerror(rv));
        r->socket.id = 0;
        replier_close(r, NULL, NULL);
        return SOTTO_EIO;
    }
    for (uint32_t i = 0; i < 16 && i < contexts_max; i++)
        if (call_open(r)) {
            replier_close(r, NULL, NULL);
            return SOTTO_ENOMEM;
        }
    *out = r;
    return SOTTO_OK;
}

static void replier_on_closed(void *arg)
{
    struct replier *r = arg;
    void (*closed)(void *) = r->closed;
    void *owner = r->closed_owner;

    if (!r->given_up) {
        for (uint32_t i = 0; i < r->count; i++)
            free(r->calls[i]);
        free(r->calls);
        free(r);
    }
    if (closed)
        closed(owner);
}

static void shut_on_thread(void *owner)
{
    struct replier *r = owner;

    if (r->socket.id)
        nng_close(r->socket);
    for (uint32_t i = 0; i < r->count; i++)
        nng_aio_stop(r->calls[i]->op.aio);
}

static void call_close(struct call *c)
{
    if (c->state == CALL_HELD) {
        nng_msg_free(c->request);
    } else {
        nng_msg *msg = nng_aio_get_msg(c->op.aio);
        bool sent = nng_aio_result(c->op.aio) == 0;
        if (msg && sent == (c->state == CALL_RECEIVING))
            nng_msg_free(msg);
    }
    relay_op_close(&c->op);
}

void replier_close(struct replier *r, void (*closed)(void *owner), void *owner)
{
    r->closing = true;
    r->closed = closed;
    r->closed_owner = owner;
    r->given_up = !relay_shut(&r->relay, shut_on_thread, r);
    for (uint32_t i = 0; i < r->count && !r->given_up; i++)
        call_close(r->calls[i]);
    relay_close(&r->relay, replier_on_closed, r);
}

const char *replier_address(const struct replier *r)
{
    return r->address;
}

uint32_t replier_waiting(const struct replier *r)
{
    return r->held;
}

static void let_go(struct call *c)
{
    assert(c->state == CALL_HELD);
    c->replier->held--;
    nng_msg_free(c->request);
    c->request = NULL;
}

void call_reply(struct call *c, struct span reply)
{
    nng_msg *msg; /* the reply may lie in the request: copied before it goes */
    bool copied = nng_msg_alloc(&msg, reply.size) == 0;

    if (copied && reply.size > 0)
        memcpy(nng_msg_body(msg), reply.data, reply.size);
    let_go(c);
    if (!copied) {
        receive(c); /* the agent times out and asks again */
        return;
    }
    c->state = CALL_SENDING;
    nng_aio_set_msg(c->op.aio, msg);
    nng_ctx_send(c->ctx, c->op.aio);
}

void call_drop(struct call *c)
{
    let_go(c);
    receive(c);
}

void call_fail(struct call *c)
{
    struct replier *r = c->replier;
    uint32_t id = pipe_of(c->request), slot = id % FAILURE_SLOTS;

    if (r->failed[slot].pipe != id) {
        r->failed[slot].pipe = id;
        r->failed[slot].failures = 0;
    }
    if (++r->failed[slot].failures == FAILURES_PER_CONNECTION)
        log_warn("link",
                 "connection not heard any more: %d requests failed their "
                 "checks",
                 FAILURES_PER_CONNECTION);
    call_drop(c);
}

void **call_owner(struct call *c)
{
    return &c->owner;
}
