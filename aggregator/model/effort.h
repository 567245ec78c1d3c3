/* How much of the machine a computation may use, how far it has come, and
 * whether somebody wants it to stop.
 *
 * Work is cut into chunks of numbers from..upto that threads take in turn.
 * Each chunk writes only what belongs to its own numbers, so a result never
 * depends on the count of threads or on who was faster. */
#ifndef AGGREGATOR_MODEL_EFFORT_H
#define AGGREGATOR_MODEL_EFFORT_H

#include "base/err.h"

#include <stdatomic.h>
#include <stdint.h>

/* Zeroed: every processor this process may use. One computation at a time;
 * other threads may read done and total and set cancelled. */
struct effort {
    unsigned threads;               /* 0: as many as there are processors */
    _Atomic uint64_t done, total;   /* of the running step */
    _Atomic uint32_t round, rounds; /* of a search; rounds 0: none runs */
    atomic_bool cancelled;
};

/* One step of a computation. context belongs to the caller; scratch to one
 * thread, made by open and freed by close (both may be NULL). open returns
 * NULL when there is no memory. */
struct effort_step {
    void *context;
    void *(*open)(void *context);
    enum sotto_err (*work)(void *context, void *scratch, uint32_t from,
                           uint32_t upto);
    void (*close)(void *scratch);
};

/* Runs step over 0..count-1, chunk numbers at a time, on the calling thread
 * and its helpers; returns when all have finished. The error of the lowest
 * chunk that failed, SOTTO_ENOMEM, or SOTTO_ECLOSED when it was cancelled;
 * the outputs are unusable then. */
enum sotto_err effort_run(struct effort *e, const struct effort_step *step,
                          uint32_t count, uint32_t chunk);

/* calloc of count * size bytes, never of zero, NULL when that overflows. */
void *effort_alloc(uint64_t count, uint64_t size);

#endif
