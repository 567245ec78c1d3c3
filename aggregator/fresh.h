/* Batches just committed, on their way to whoever folds the log: decoded once,
 * when they were verified, instead of being read, opened and decoded again.
 *
 * Only a shortcut past the log, which has them too: what finds no room here is
 * not kept, and the folder reads it there. Any thread. */
#ifndef SOTTO_AGGREGATOR_FRESH_H
#define SOTTO_AGGREGATOR_FRESH_H

#include <pthread.h>

#include "aggregator/log.h"
#include "policy/batch.h"

#define FRESH_EVENTS_MAX 50000 /* some 100 bytes each */

struct fresh {
    struct log_chunk chunk; /* its payload is empty */
    const struct policy *policy;
    struct batch_view *batch; /* borrows from plain */
    struct buf plain;
    struct fresh *next;
};

struct fresh_queue {
    pthread_mutex_t lock;
    struct fresh *first, **end;
    uint64_t events;
};

void fresh_init(struct fresh_queue *q);
void fresh_fini(struct fresh_queue *q);
/* Takes a batch that is committed. Numbers rise. */
void fresh_put(struct fresh_queue *q, struct fresh *f);
/* The chunk after + 1, the caller's now, or NULL: it is not here. Those up to
 * after are given up. */
struct fresh *fresh_take(struct fresh_queue *q, uint64_t after);
void fresh_free(struct fresh *f); /* wipes; accepts NULL */

#endif
