/* See request.h. A request is sent on its slot's context, and when the send
 * has finished the same aio waits for the reply; each step has the timeout.
 *
 *   PAUSE -> DIALLING -> CONNECTED      failed, or lost: -> PAUSE
 *
 * NNG's own redialling is not used: its pause is (int)random % bound, which is
 * negative in half of the cases, and then it dials at once. A lost aggregator
 * would have half of its agents at the door in the same instant. So a dialer
 * is made for one attempt, which waits for its end on a thread of its own (one
 * of the loop's workers may be busy with an import that waits for delivery),
 * and is closed when the attempt failed or the connection went, before NNG
 * can use it again. NNG is not asked for timeouts either: as Debian builds it,
 * it waits by the time of day, which may be set back. */
#include "link/request.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <nng/protocol/reqrep0/req.h>

#include "base/clock.h"
#include "link/backoff.h"
#include "wire/envelope.h"

#define PAUSE_MIN_MS 500
#define PAUSE_MAX_MS 30000
#define ATTEMPT_MAX_MS (3 * 60 * 1000) /* the kernel gives up before */
#define THREAD_STACK (128 * 1024)

enum slot_state { SLOT_IDLE, SLOT_SENDING, SLOT_RECEIVING };

struct slot {
    struct relay_op op; /* first: an op is its slot */
    struct requester *owner;
    uint32_t number;
    enum slot_state state;
    nng_ctx ctx;
    bool ctx_open;
    int64_t timeout_ms;
    int64_t sent_ms, until_ms; /* the request, its step (monotonic) */
};

struct requester {
    struct relay relay;
    nng_socket socket;
    bool socket_open;
    char *address;
    nng_dialer dialer; /* of the attempt, then of the connection */
    uv_thread_t thread;
    bool dialling;                /* the thread is there */
    int64_t dialled_ms, heard_ms; /* a reply (monotonic) */
    atomic_bool begun, ended;
    int dial_result; /* once ended */
    atomic_int pipes;
    uv_timer_t pause, timer; /* to the next attempt; to the next timeout */
    struct backoff backoff;
    bool closing, given_up;
    int handles;
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

/* ---- the connection ---- */

static int64_t mono(void)
{
    return clock_mono_ms(&clock_system);
}

static void pipe_on_nng_thread(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct requester *r = arg;

    (void)pipe;
    if (event == NNG_PIPE_EV_ADD_PRE) {
        atomic_fetch_add(&r->pipes, 1);
        return;
    }
    nng_dialer_close(r->dialer); /* here: the loop may come too late */
    atomic_fetch_sub(&r->pipes, 1);
    relay_wake(&r->relay);
}

static void dial_on_thread(void *arg)
{
    struct requester *r = arg;

    atomic_store(&r->begun, true);
    r->dial_result = nng_dialer_start(r->dialer, 0);
    atomic_store(&r->ended, true);
    relay_wake(&r->relay);
}

/* Begins an attempt; 0, or NNG's error. */
static int dial(struct requester *r)
{
    const uv_thread_options_t options = {UV_THREAD_HAS_STACK_SIZE,
                                         THREAD_STACK};
    int rv = nng_dialer_create(&r->dialer, r->socket, r->address);

    if (rv != 0)
        return rv;
    atomic_store(&r->begun, false);
    atomic_store(&r->ended, false);
    if (uv_thread_create_ex(&r->thread, &options, dial_on_thread, r) != 0) {
        nng_dialer_close(r->dialer);
        return NNG_ENOMEM;
    }
    r->dialling = true;
    r->dialled_ms = mono();
    return 0;
}

static void pause_on_loop(uv_timer_t *pause);

static void dial_later(struct requester *r)
{
    uv_update_time(r->pause.loop); /* from now, not from this turn's begin */
    uv_timer_start(&r->pause, pause_on_loop,
                   (uint64_t)backoff_next(&r->backoff, randombytes_random()),
                   0);
}

static void pause_on_loop(uv_timer_t *pause)
{
    struct requester *r = pause->data;

    if (dial(r) != 0)
        dial_later(r);
}

/* An attempt ended, or a connection. */
static void news_on_loop(void *owner)
{
    struct requester *r = owner;

    if (r->closing)
        return;
    if (r->dialling && atomic_load(&r->ended)) {
        uv_thread_join(&r->thread);
        r->dialling = false;
        if (r->dial_result != 0)
            nng_dialer_close(r->dialer);
    }
    if (!r->dialling && atomic_load(&r->pipes) == 0 &&
        !uv_is_active((uv_handle_t *)&r->pause))
        dial_later(r);
}

/* A request that was sent at sent_ms has timed out. A connection that was
 * silent all the while may be dead without anybody having said so. */
static void look_at_link(struct requester *r, int64_t sent_ms)
{
    bool again;

    if (requester_connected(r))
        again = r->dialled_ms <= sent_ms && r->heard_ms < sent_ms;
    else
        again = r->dialling && mono() - r->dialled_ms >= ATTEMPT_MAX_MS;
    if (again)
        nng_dialer_close(r->dialer); /* and its connection */
}

/* ---- one request a slot ---- */

static void timer_on_loop(uv_timer_t *timer);

/* Wakes at the first timeout. */
static void schedule(struct requester *r)
{
    int64_t first = INT64_MAX, now = mono();

    for (uint32_t i = 0; i < r->slot_count; i++)
        if (r->slots[i].state != SLOT_IDLE && r->slots[i].until_ms < first)
            first = r->slots[i].until_ms;
    if (first == INT64_MAX)
        uv_timer_stop(&r->timer);
    else
        uv_timer_start(&r->timer, timer_on_loop,
                       first > now ? (uint64_t)(first - now) : 0, 0);
}

/* What times out ends in slot_on_loop; until it does, it is not due again. */
static void timer_on_loop(uv_timer_t *timer)
{
    struct requester *r = timer->data;
    int64_t now = mono();

    for (uint32_t i = 0; i < r->slot_count; i++) {
        struct slot *s = &r->slots[i];
        if (s->state == SLOT_IDLE || s->until_ms > now)
            continue;
        s->until_ms = INT64_MAX;
        nng_aio_abort(s->op.aio, NNG_ETIMEDOUT);
        look_at_link(r, s->sent_ms);
    }
    schedule(r);
}

static void finish(struct slot *s, enum sotto_err err, struct span reply)
{
    s->state = SLOT_IDLE;
    s->owner->done(s->owner->owner, s->number, err, reply);
}

/* The next step of a slot's request begins. */
static void step(struct slot *s, enum slot_state state)
{
    s->state = state;
    s->until_ms = mono() + s->timeout_ms;
    schedule(s->owner);
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
        step(s, SLOT_RECEIVING);
        nng_ctx_recv(s->ctx, op->aio);
        return;
    }
    assert(s->state == SLOT_RECEIVING);
    backoff_reset(&s->owner->backoff);
    s->owner->heard_ms = mono();
    msg = nng_aio_get_msg(op->aio);
    nng_aio_set_msg(op->aio, NULL);
    finish(s, SOTTO_OK, span_of(nng_msg_body(msg), nng_msg_len(msg)));
    nng_msg_free(msg);
}

/* ---- open and close ---- */

static int socket_open(struct requester *r)
{
    int rv = nng_req0_open(&r->socket);

    if (rv != 0)
        return rv;
    r->socket_open = true;
    nng_pipe_notify(r->socket, NNG_PIPE_EV_ADD_PRE, pipe_on_nng_thread, r);
    nng_pipe_notify(r->socket, NNG_PIPE_EV_REM_POST, pipe_on_nng_thread, r);
    /* We decide about resends; a limit on what a peer may make us hold. */
    if ((rv = nng_socket_set_ms(r->socket, NNG_OPT_REQ_RESENDTIME,
                                NNG_DURATION_INFINITE)) != 0 ||
        (rv = nng_socket_set_size(r->socket, NNG_OPT_RECVMAXSZ,
                                  LINK_RECEIVE_MAX)) != 0)
        return rv;
    return dial(r);
}

static void requester_on_closed(void *arg)
{
    struct requester *r = arg;
    void (*closed)(void *) = r->closed;
    void *owner = r->closed_owner;

    if (--r->handles > 0)
        return;
    if (!r->given_up) {
        free(r->slots);
        free(r->address);
        free(r);
    }
    if (closed)
        closed(owner);
}

static void handle_on_closed(uv_handle_t *handle)
{
    requester_on_closed(handle->data);
}

static enum sotto_err slots_open(struct requester *r, uint32_t slots)
{
    for (uint32_t i = 0; i < slots; i++) {
        struct slot *s = &r->slots[i];
        int rv;

        s->owner = r;
        s->number = i;
        if (relay_op_init(&s->op, &r->relay, slot_on_loop))
            return SOTTO_ENOMEM;
        r->slot_count = i + 1;
        rv = nng_ctx_open(&s->ctx, r->socket);
        if (rv != 0)
            return err_of(rv);
        s->ctx_open = true;
    }
    return SOTTO_OK;
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
    r->address = strdup(address);
    if (!r->slots || !r->address ||
        relay_init(&r->relay, loop, news_on_loop, r))
        goto no_memory;
    uv_timer_init(loop, &r->pause);
    uv_timer_init(loop, &r->timer);
    r->pause.data = r->timer.data = r;
    r->handles = 3;
    r->backoff =
        (struct backoff){.min_ms = PAUSE_MIN_MS, .max_ms = PAUSE_MAX_MS};
    rv = socket_open(r);
    if (rv != 0)
        err = why_say(why, SOTTO_EIO,
                      "aggregator address \"%s\": %s; write it as "
                      "tcp://HOST:PORT",
                      address, nng_strerror(rv));
    else
        err = slots_open(r, slots);
    if (err) {
        requester_close(r, NULL, NULL);
        return err;
    }
    *out = r;
    return SOTTO_OK;

no_memory:
    free(r->slots);
    free(r->address);
    free(r);
    return SOTTO_ENOMEM;
}

/* An attempt whose socket is closed while it begins never ends (relay.h), and
 * NNG does not say when it has begun: it takes some microseconds. One in ten
 * thousand hung without this wait, none in sixty thousand with it. */
static void wait_for_begin(const struct requester *r)
{
    while (!atomic_load(&r->begun))
        uv_sleep(1);
    if (!atomic_load(&r->ended))
        uv_sleep(1);
}

static void shut_on_thread(void *owner)
{
    struct requester *r = owner;

    if (r->dialling)
        wait_for_begin(r);
    if (r->socket_open)
        nng_close(r->socket); /* ends every operation, and an attempt */
    if (r->dialling)
        uv_thread_join(&r->thread);
    for (uint32_t i = 0; i < r->slot_count; i++)
        nng_aio_stop(r->slots[i].op.aio);
}

static void slot_close(struct slot *s)
{
    if (s->state != SLOT_IDLE) {
        nng_msg *msg = nng_aio_get_msg(s->op.aio);
        bool ours = s->state == SLOT_SENDING ? nng_aio_result(s->op.aio) != 0
                                             : nng_aio_result(s->op.aio) == 0;
        if (msg && ours)
            nng_msg_free(msg);
    }
    relay_op_close(&s->op);
}

void requester_close(struct requester *r, void (*closed)(void *owner),
                     void *owner)
{
    r->closed = closed;
    r->closed_owner = owner;
    r->closing = true;
    r->given_up = !relay_shut(&r->relay, shut_on_thread, r);
    for (uint32_t i = 0; i < r->slot_count && !r->given_up; i++)
        slot_close(&r->slots[i]);
    uv_close((uv_handle_t *)&r->pause, handle_on_closed);
    uv_close((uv_handle_t *)&r->timer, handle_on_closed);
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
    s->timeout_ms = timeout_ms;
    s->sent_ms = mono();
    step(s, SLOT_SENDING);
    nng_aio_set_msg(s->op.aio, msg);
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
