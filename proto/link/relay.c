/* See relay.h. The stack is last-in first-out; the loop turns it around, so
 * operations are seen in the order in which they finished. */
#include "link/relay.h"

#include <stddef.h>

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
        uv_async_send(&r->wake); /* touch nothing else here */
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
}

enum sotto_err relay_init(struct relay *r, uv_loop_t *loop)
{
    atomic_init(&r->finished, NULL);
    r->wake.data = r;
    return uv_async_init(loop, &r->wake, relay_on_loop) == 0 ? SOTTO_OK
                                                             : SOTTO_ENOMEM;
}

static void relay_on_closed(uv_handle_t *handle)
{
    struct relay *r = handle->data;

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
