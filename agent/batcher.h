/* Drains the ring into sealed envelopes: reads records in order, fills a
 * batch, and when it closes (count, bytes, age, another policy, a flush, a
 * forget) compresses, seals, signs and commits it to the spool in one
 * transaction with ring mark, cursors and counters. Only then is the ring
 * wiped. Nothing it holds is needed after a crash: the ring still has it.
 * Loop thread. */
#ifndef SOTTO_AGENT_BATCHER_H
#define SOTTO_AGENT_BATCHER_H

#include "agent/cursor.h"
#include "agent/home.h"
#include "agent/journal.h"
#include "agent/lists.h"
#include "agent/policyset.h"
#include "agent/settings.h"
#include "agent/spool.h"
#include "agent/trusted.h"

struct batcher;

struct batcher_parts { /* what it uses; all outlive it */
    const struct settings *settings;
    const struct home *home;
    struct journal *journal;
    struct spool *spool;
    const struct policyset *policies;
    const struct trusted_time *time;
    struct lists *lists; /* told what happened, for folding in */
};

enum sotto_err batcher_open(struct batcher **out,
                            const struct batcher_parts *parts);
void batcher_close(struct batcher *b); /* accepts NULL */

/* Drains what is there. flush: close the open batch even if it is young and
 * commit what only moves cursors. SOTTO_EFULL: the spool has no room, nothing
 * is lost, try later. SOTTO_EIO, SOTTO_ENOMEM likewise. *committed: envelopes
 * written. */
enum sotto_err batcher_turn(struct batcher *b, bool flush, uint32_t *committed);
/* Nothing drained waits for its commit and the ring is empty. */
bool batcher_idle(const struct batcher *b);
/* Ring positions below it are durable in the spool. */
uint64_t batcher_mark(const struct batcher *b);

/* Cumulative counters at this moment, ring and open batch included. */
void batcher_counters(const struct batcher *b, struct counters *out);
uint64_t batcher_corrupt(const struct batcher *b); /* ring records skipped */

#endif
