/* libuv's loop in virtual time: timers, work, wake-ups and closing, with the
 * signatures of uv.h. A handle keeps the number of its place in u.reserved, so
 * an event never touches a handle that is gone. Work runs whole at one
 * instant, and what follows it at a later one: between the two, other things
 * happen, and a machine can die. */
#include "world.h"

#include <stdlib.h>
#include <string.h>

struct place { /* of a handle */
    uv_handle_t *handle;
    uint32_t turn; /* rises when its timer is started or stopped */
    bool active;
};

static struct place *places;
static uint32_t place_count, place_capacity;
static uint32_t *spare;
static uint32_t spare_count;

static struct node *node_of(const uv_loop_t *loop)
{
    return loop->data;
}

static struct place *place_of(const uv_handle_t *h)
{
    return &places[(uintptr_t)h->u.reserved[0]];
}

static void handle_init(uv_loop_t *loop, uv_handle_t *h, uv_handle_type type)
{
    uint32_t at;

    if (spare_count > 0) {
        at = spare[--spare_count];
    } else {
        if (place_count == place_capacity) {
            place_capacity = place_capacity ? 2 * place_capacity : 64;
            places = realloc(places, place_capacity * sizeof *places);
            spare = realloc(spare, place_capacity * sizeof *spare);
            sim_must(places && spare, "memory");
        }
        at = place_count++;
        memset(&places[at], 0, sizeof places[at]);
    }
    memset(h->u.reserved, 0, sizeof h->u.reserved);
    h->loop = loop;
    h->type = type;
    h->u.reserved[0] = (void *)(uintptr_t)at;
    places[at].handle = h;
    places[at].active = false;
}

/* ---- timers ---- */

static void schedule(uv_timer_t *t, uint64_t delay_ms);

static void timer_due(void *context, uint64_t argument)
{
    uint32_t at = (uint32_t)(argument >> 32);
    uv_timer_t *t;

    (void)context;
    if (!places[at].active || places[at].turn != (uint32_t)argument)
        return;
    t = (uv_timer_t *)(void *)places[at].handle;
    if (t->repeat)
        schedule(t, t->repeat);
    else
        uv_timer_stop(t);
    t->timer_cb(t);
}

static void schedule(uv_timer_t *t, uint64_t delay_ms)
{
    struct place *p = place_of((uv_handle_t *)t);

    p->turn++;
    p->active = true;
    world_at(world.now_ms + (int64_t)delay_ms, node_of(t->loop), timer_due,
             NULL, (uint64_t)(p - places) << 32 | p->turn, NULL);
}

int uv_timer_init(uv_loop_t *loop, uv_timer_t *t)
{
    handle_init(loop, (uv_handle_t *)t, UV_TIMER);
    t->repeat = 0;
    return 0;
}

int uv_timer_start(uv_timer_t *t, uv_timer_cb cb, uint64_t timeout,
                   uint64_t repeat)
{
    t->timer_cb = cb;
    t->repeat = repeat;
    schedule(t, timeout);
    return 0;
}

int uv_timer_stop(uv_timer_t *t)
{
    struct place *p = place_of((uv_handle_t *)t);

    p->turn++;
    p->active = false;
    return 0;
}

int uv_is_active(const uv_handle_t *h)
{
    return place_of(h)->active;
}

/* ---- wake-ups ---- */

int uv_async_init(uv_loop_t *loop, uv_async_t *a, uv_async_cb cb)
{
    handle_init(loop, (uv_handle_t *)a, UV_ASYNC);
    a->async_cb = cb;
    return 0;
}

static void async_due(void *context, uint64_t argument)
{
    uint32_t at = (uint32_t)(argument >> 32);
    uv_async_t *a;

    (void)context;
    if (places[at].turn != (uint32_t)argument || !places[at].active)
        return;
    places[at].active = false;
    a = (uv_async_t *)(void *)places[at].handle;
    a->async_cb(a);
}

int uv_async_send(uv_async_t *a)
{
    struct place *p = place_of((uv_handle_t *)a);

    if (p->active)
        return 0;
    p->active = true;
    world_at(world.now_ms, node_of(a->loop), async_due, NULL,
             (uint64_t)(p - places) << 32 | p->turn, NULL);
    return 0;
}

/* ---- closing ---- */

static void closed(void *context, uint64_t argument)
{
    uv_handle_t *h = context;
    uv_close_cb cb = h->close_cb;

    (void)argument;
    spare[spare_count++] = (uint32_t)(uintptr_t)h->u.reserved[0];
    if (cb)
        cb(h);
}

void uv_close(uv_handle_t *h, uv_close_cb cb)
{
    struct place *p = place_of(h);

    p->turn++;
    p->active = false;
    h->close_cb = cb;
    world_at(world.now_ms, node_of(h->loop), closed, h, 0, NULL);
}

/* ---- work ---- */

static void work_done(void *context, uint64_t argument)
{
    uv_work_t *w = context;

    (void)argument;
    w->after_work_cb(w, 0);
}

static void work_run(void *context, uint64_t argument)
{
    uv_work_t *w = context;

    (void)argument;
    w->work_cb(w);
    world_at(world.now_ms + (int64_t)chance_below(4), node_of(w->loop),
             work_done, w, 0, NULL);
}

int uv_queue_work(uv_loop_t *loop, uv_work_t *w, uv_work_cb work,
                  uv_after_work_cb after)
{
    w->loop = loop;
    w->work_cb = work;
    w->after_work_cb = after;
    world_at(world.now_ms + (int64_t)chance_below(8), node_of(loop), work_run,
             w, 0, NULL);
    return 0;
}

/* Only a program that failed to open runs its own loop: to close again. */
int uv_run(uv_loop_t *loop, uv_run_mode mode)
{
    int64_t now_ms = world.now_ms;

    (void)mode;
    world_run_of(node_of(loop));
    world.now_ms = now_ms;
    return 0;
}
