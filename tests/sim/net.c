/* See net.h. A requester has one request a slot; a message carries the number
 * of its turn, so a late or second reply finds nobody. */
#include "net.h"

#include <stdlib.h>
#include <string.h>

#include "link/reply.h"
#include "link/request.h"
#include "wire/message.h"

#define SLOTS_MAX 16

struct slot {
    bool busy;
    uint32_t turn;
};

struct requester {
    struct node *node;
    request_done *done;
    void *owner;
    struct slot slots[SLOTS_MAX];
    void (*closed)(void *owner);
    void *closed_owner;
};

struct call {
    struct replier *replier;
    struct call *previous, *next;
    struct requester *from; /* valid while the epoch is the sender's */
    struct node *node;      /* the sender */
    uint64_t epoch;
    uint32_t slot, turn;
    void *owner;
    size_t size;
    uint8_t frame[];
};

struct replier {
    struct node *node;
    replier_on_request *on_request;
    void *owner;
    struct call *calls;
    uint32_t waiting;
    char address[64];
    void (*closed)(void *owner);
    void *closed_owner;
};

struct message { /* on its way */
    struct requester *from;
    struct node *node; /* the agent's end */
    uint64_t epoch;
    uint32_t slot, turn;
    size_t size;
    uint8_t bytes[];
};

struct net_stats net_stats;
static struct replier *listening; /* NULL: nobody */
static void (*watch)(struct node *n, struct span envelope);
static struct span (*forger)(struct node *n, struct span frame);

void net_watch(void (*sent)(struct node *n, struct span envelope))
{
    watch = sent;
}

void net_forger(struct span (*forge)(struct node *n, struct span frame))
{
    forger = forge;
}

/* ---- the wire ---- */

static int64_t travel_ms(void)
{
    int64_t ms = 1 + (int64_t)chance_below(20);

    if (fault_on(FAULT_REORDER) && chance_one_in(8))
        ms += (int64_t)chance_below(400);
    if (fault_on(FAULT_DELAY) && chance_one_in(40))
        ms += chance_exponential(10 * SECOND);
    return ms;
}

static struct message *message_make(const struct message *head, struct span a,
                                    struct span b)
{
    struct message *m = malloc(sizeof *m + a.size + b.size);

    sim_must(m, "memory");
    *m = *head;
    m->size = a.size + b.size;
    if (a.size)
        memcpy(m->bytes, a.data, a.size);
    if (b.size)
        memcpy(m->bytes + a.size, b.data, b.size);
    if (fault_on(FAULT_CORRUPT) && chance_one_in(200)) {
        m->bytes[chance_below(m->size)] ^= (uint8_t)(1u << chance_below(8));
        net_stats.changed++;
    }
    return m;
}

/* Sends by run, towards a node; perhaps twice, perhaps not. */
static void deliver(const struct message *head, struct span a, struct span b,
                    bool blocked, void (*run)(void *, uint64_t))
{
    unsigned copies = 1;

    if (blocked || (fault_on(FAULT_LOSS) && chance_one_in(25)))
        copies = 0;
    else if (fault_on(FAULT_DUPLICATE) && chance_one_in(25))
        copies = 2;
    net_stats.lost += copies == 0;
    net_stats.doubled += copies == 2;
    for (unsigned i = 0; i < copies; i++)
        world_at(world.now_ms + travel_ms(), NULL, run,
                 message_make(head, a, b), 0, free);
}

/* ---- requests ---- */

enum sotto_err requester_open(struct requester **out, uv_loop_t *loop,
                              const char *address, uint32_t slots,
                              request_done *done, void *owner, struct why *why)
{
    struct requester *r = calloc(1, sizeof *r);

    (void)address;
    (void)why;
    sim_must(r && slots <= SLOTS_MAX, "memory");
    r->node = loop->data;
    r->done = done;
    r->owner = owner;
    *out = r;
    return SOTTO_OK;
}

static void requester_closed(void *context, uint64_t argument)
{
    struct requester *r = context;
    void (*closed)(void *) = r->closed;
    void *owner = r->closed_owner;

    (void)argument;
    free(r);
    if (closed)
        closed(owner);
}

void requester_close(struct requester *r, void (*closed)(void *owner),
                     void *owner)
{
    r->closed = closed;
    r->closed_owner = owner;
    for (int i = 0; i < SLOTS_MAX; i++)
        r->slots[i].turn++;
    world_at(world.now_ms, r->node, requester_closed, r, 0, NULL);
}

bool requester_busy(const struct requester *r, uint32_t slot)
{
    return r->slots[slot].busy;
}

bool requester_connected(const struct requester *r)
{
    return listening && !r->node->to_blocked && !r->node->from_blocked;
}

static void finish(struct requester *r, uint32_t slot, enum sotto_err err,
                   struct span reply)
{
    r->slots[slot].busy = false;
    r->slots[slot].turn++;
    r->done(r->owner, slot, err, reply);
}

static void timed_out(void *context, uint64_t argument)
{
    struct requester *r = context;
    uint32_t slot = (uint32_t)(argument >> 32);

    if (r->slots[slot].busy && r->slots[slot].turn == (uint32_t)argument)
        finish(r, slot, SOTTO_ETIMEOUT, span_of(NULL, 0));
}

static void reply_arrives(void *context, uint64_t argument)
{
    struct message *m = context;
    struct node *before = world.running;

    (void)argument;
    if (m->node->epoch == m->epoch && m->from->slots[m->slot].busy &&
        m->from->slots[m->slot].turn == m->turn) {
        net_stats.replies++;
        world.running = m->node;
        finish(m->from, m->slot, SOTTO_OK, span_of(m->bytes, m->size));
        world.running = before;
    }
    free(m);
}

static void request_arrives(void *context, uint64_t argument);

enum sotto_err requester_send(struct requester *r, uint32_t slot, struct span a,
                              struct span b, int64_t timeout_ms)
{
    struct message head = {.from = r,
                           .node = r->node,
                           .epoch = r->node->epoch,
                           .slot = slot,
                           .turn = r->slots[slot].turn};
    struct span forged = {NULL, 0};

    sim_must(!r->slots[slot].busy, "a free slot");
    if (r->node->dying)
        return SOTTO_ECLOSED;
    r->slots[slot].busy = true;
    net_stats.requests++;
    watch(r->node, b);
    world_at(world.now_ms + timeout_ms, r->node, timed_out, r,
             (uint64_t)slot << 32 | head.turn, NULL);
    if (fault_on(FAULT_FORGE) && chance_one_in(50)) {
        struct message *m = message_make(&head, a, b);
        forged = forger(r->node, span_of(m->bytes, m->size));
        free(m);
    }
    if (forged.size) { /* in place of the aggregator */
        net_stats.forged++;
        deliver(&head, forged, span_of(NULL, 0), r->node->from_blocked,
                reply_arrives);
        free((void *)(uintptr_t)forged.data);
    } else {
        deliver(&head, a, b, r->node->to_blocked, request_arrives);
    }
    return SOTTO_OK;
}

/* ---- replies ---- */

enum sotto_err replier_open(struct replier **out, uv_loop_t *loop,
                            const char *address, uint32_t contexts_max,
                            replier_on_request *on_request, void *owner,
                            struct why *why)
{
    struct replier *r = calloc(1, sizeof *r);

    (void)address;
    (void)contexts_max;
    (void)why;
    sim_must(r, "memory");
    r->node = loop->data;
    r->on_request = on_request;
    r->owner = owner;
    listening = *out = r;
    return SOTTO_OK;
}

static void replier_closed(void *context, uint64_t argument)
{
    struct replier *r = context;
    void (*closed)(void *) = r->closed;
    void *owner = r->closed_owner;

    (void)argument;
    free(r);
    closed(owner);
}

void replier_close(struct replier *r, void (*closed)(void *owner), void *owner)
{
    if (listening == r)
        listening = NULL;
    while (r->calls)
        call_drop(r->calls);
    r->closed = closed;
    r->closed_owner = owner;
    world_at(world.now_ms, r->node, replier_closed, r, 0, NULL);
}

const char *replier_address(const struct replier *r)
{
    return r->address;
}

uint32_t replier_waiting(const struct replier *r)
{
    return r->waiting;
}

static void request_arrives(void *context, uint64_t argument)
{
    struct message *m = context;
    struct replier *r = listening;
    struct node *before = world.running;
    struct call *c;

    (void)argument;
    if (!r || r->node->dying) {
        free(m);
        return;
    }
    c = malloc(sizeof *c + m->size);
    sim_must(c, "memory");
    *c = (struct call){.replier = r,
                       .next = r->calls,
                       .from = m->from,
                       .node = m->node,
                       .epoch = m->epoch,
                       .slot = m->slot,
                       .turn = m->turn,
                       .size = m->size};
    memcpy(c->frame, m->bytes, m->size);
    if (r->calls)
        r->calls->previous = c;
    r->calls = c;
    r->waiting++;
    free(m);
    world.running = r->node;
    r->on_request(r->owner, c, span_of(c->frame, c->size));
    world.running = before;
}

void call_drop(struct call *c)
{
    struct replier *r = c->replier;

    if (c->previous)
        c->previous->next = c->next;
    else
        r->calls = c->next;
    if (c->next)
        c->next->previous = c->previous;
    r->waiting--;
    free(c);
}

void call_fail(struct call *c)
{
    call_drop(c);
}

/* A break: what waits for its predecessor is let go without a word. */
static bool swallowed(struct span reply)
{
    struct envelope e;
    struct reply r;

    return broken("early-dropped") && !envelope_parse(&e, reply) &&
           e.kind == KIND_REPLY && !message_decode(&r, MESSAGE_REPLY, e.body) &&
           r.verdict == VERDICT_RETRY && r.reason == REFUSAL_GAP;
}

void call_reply(struct call *c, struct span reply)
{
    struct message head = {.from = c->from,
                           .node = c->node,
                           .epoch = c->epoch,
                           .slot = c->slot,
                           .turn = c->turn};

    if (!c->replier->node->dying && !swallowed(reply))
        deliver(&head, reply, span_of(NULL, 0), c->node->from_blocked,
                reply_arrives);
    call_drop(c);
}

void **call_owner(struct call *c)
{
    return &c->owner;
}
