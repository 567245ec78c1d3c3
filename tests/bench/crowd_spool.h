/* A spool in memory, for a crowd of agents in one process: the calls of
 * agent/spool.h that the uplink makes, over a queue of sealed batches. An
 * acknowledged batch is gone: who asks for it again (a fork, a rewind) gets an
 * error and is counted, because nothing here is ever restored. One thread. */
#ifndef SOTTO_TESTS_CROWD_SPOOL_H
#define SOTTO_TESTS_CROWD_SPOOL_H

#include "agent/spool.h"

struct crowd_row {
    struct buf envelope;
    uint32_t events;
    int64_t due_us;           /* when it was put in */
    uint8_t chain[HASH_SIZE]; /* after it */
};

struct spool {
    struct spool_state state;
    struct crowd_row *rows; /* of acked + 1 .. next_sequence - 1 */
    uint32_t count, capacity;
    uint64_t lost_history; /* forks and rewinds asked for */
    uint64_t refused;      /* rows the aggregator refused for good */
    /* Each row that is acknowledged. */
    void (*acked)(void *owner, const struct crowd_row *row);
    void *owner;
};

void crowd_spool_init(struct spool *s, uint64_t stream,
                      void (*acked)(void *owner, const struct crowd_row *row),
                      void *owner);
/* Takes over the envelope of the next sequence, whose chain is given. */
enum sotto_err crowd_spool_put(struct spool *s, const struct crowd_row *row,
                               const uint8_t chain[HASH_SIZE]);

#endif
