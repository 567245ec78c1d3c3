/* See relay.h. The stack is last-in first-out; the loop turns it around, so
 * operations are seen in the order in which they finished. */
#include "link/relay.h"

#include <stddef.h>

#include "link/deadline.h"

void relay_wake(struct relay *r)
{
    uv_mutex_lock(&r->lock);
    if (!r->gone)
        uv_async_send(&r->wake);
    uv_mutex_unlock(&r->lock);
}

static void finished_on_nng_thread(void *arg)
{
    struct relay_op *op = arg;
    struct relay *r = op->relay;
    struct relay_op *head =
        atomic_load_explicit(&r->finished, memory_order_relaxed);

    do
        op->next = head;
    while (!atomic_compare_exchange_weak_explicit(
        &r->finished, &head, op, memory_order_release, memory_order_relaxed));
    if (!head)
        relay_wake(r); /* touch nothing else here */
}

static void relay_on_loop(uv_async_t *wake)
{
    struct relay *r = wake->data;
    struct relay_op *op =
        atomic_exchange_explicit(&r->finished, NULL, memory_order_acquire);
    struct relay_op *first = NULL;

    while (op) {
        struct relay_op *next = op->next;
        op->next = first;
        first = op;
        op = next;
    }
    while (first) {
        struct relay_op *next = first->next;
        if (first->done_on_loop)
            first->done_on_loop(first, nng_aio_result(first->aio));
        first = next;
    }
    if (r->woken)
        r->woken(r->woken_owner);
}

enum sotto_err relay_init(struct relay *r, uv_loop_t *loop,
                          void (*woken)(void *owner), void *owner)
{
    atomic_init(&r->finished, NULL);
    r->wake.data = r;
    r->woken = woken;
    r->woken_owner = owner;
    r->gone = false;
    if (uv_mutex_init(&r->lock) != 0)
        return SOTTO_ENOMEM;
    if (uv_async_init(loop, &r->wake, relay_on_loop) != 0) {
        uv_mutex_destroy(&r->lock);
        return SOTTO_ENOMEM;
    }
    return SOTTO_OK;
}

bool relay_shut(struct relay *r, void (*shut)(void *owner), void *owner)
{
    bool ended = deadline_run(shut, owner, LINK_CLOSE_MAX_MS);

    uv_mutex_lock(&r->lock);
    r->gone = !ended;
    uv_mutex_unlock(&r->lock);
    return ended;
}

static void relay_on_closed(uv_handle_t *handle)
{
    struct relay *r = handle->data;

    if (!r->gone)
        uv_mutex_destroy(&r->lock);
    if (r->closed)
        r->closed(r->owner);
}

void relay_close(struct relay *r, void (*closed)(void *owner), void *owner)
{
    r->closed = closed;
    r->owner = owner;
    /* Operations that finished while closing are dropped here. */
    atomic_store_explicit(&r->finished, NULL, memory_order_relaxed);
    uv_close((uv_handle_t *)&r->wake, relay_on_closed);
}

enum sotto_err relay_op_init(struct relay_op *op, struct relay *r,
                             void (*done_on_loop)(struct relay_op *, int))
{
    op->relay = r;
    op->next = NULL;
    op->done_on_loop = done_on_loop;
    return nng_aio_alloc(&op->aio, finished_on_nng_thread, op) == 0
               ? SOTTO_OK
               : SOTTO_ENOMEM;
}

/* Takes op out of the finished stack, if it is there: the loop thread is the
 * only one that pops, so it may take all and push the others back. */
static void forget_finished(struct relay_op *op)
{
    struct relay *r = op->relay;
    struct relay_op *list =
        atomic_exchange_explicit(&r->finished, NULL, memory_order_acquire);

    while (list) {
        struct relay_op *next = list->next;
        if (list != op)
            finished_on_nng_thread(list);
        list = next;
    }
}

void relay_op_close(struct relay_op *op)
{
    if (!op->aio)
        return;
    op->done_on_loop = NULL;
    nng_aio_stop(op->aio); /* waits: no NNG thread sees op after this */
    forget_finished(op);
    nng_aio_free(op->aio);
    op->aio = NULL;
}
