/* See fresh.h. The newest are those that find no room: the folder then reads
 * the log for a while and meets the queue again at its head. */
#include "aggregator/fresh.h"

#include <stdlib.h>

void fresh_init(struct fresh_queue *q)
{
    pthread_mutex_init(&q->lock, NULL);
    q->first = NULL;
    q->end = &q->first;
    q->events = 0;
}

static struct fresh *pop(struct fresh_queue *q)
{
    struct fresh *f = q->first;

    q->first = f->next;
    if (!q->first)
        q->end = &q->first;
    q->events -= f->chunk.events;
    return f;
}

void fresh_fini(struct fresh_queue *q)
{
    while (q->first)
        fresh_free(pop(q));
    pthread_mutex_destroy(&q->lock);
}

void fresh_put(struct fresh_queue *q, struct fresh *f)
{
    bool room;

    pthread_mutex_lock(&q->lock);
    room = q->events + f->chunk.events <= FRESH_EVENTS_MAX;
    if (room) {
        f->next = NULL;
        *q->end = f;
        q->end = &f->next;
        q->events += f->chunk.events;
    }
    pthread_mutex_unlock(&q->lock);
    if (!room)
        fresh_free(f);
}

struct fresh *fresh_take(struct fresh_queue *q, uint64_t after)
{
    struct fresh *f = NULL;

    pthread_mutex_lock(&q->lock);
    while (q->first && q->first->chunk.number <= after)
        fresh_free(pop(q));
    if (q->first && q->first->chunk.number == after + 1)
        f = pop(q);
    pthread_mutex_unlock(&q->lock);
    return f;
}

void fresh_free(struct fresh *f)
{
    if (!f)
        return;
    batch_view_free(f->batch);
    buf_wipe(&f->plain);
    free(f);
}
