/* The lanes of ingest: one (agent, stream), its watermark and what arrived
 * early. Loaded from the log; numbers are dense and stay. */
#ifndef SOTTO_AGGREGATOR_LANES_H
#define SOTTO_AGGREGATOR_LANES_H

#include "aggregator/log.h"
#include "base/dict.h"
#include "delivery/watermark.h"

#define LANES_MAX 1000000

struct job; /* of ingest */

struct lane {
    struct watermark mark;
    uint8_t committed_chain[HASH_SIZE];
    struct job *early[WATERMARK_EARLY];
};

struct lanes {
    struct dict of; /* agent, stream -> number */
    struct lane *at;
    uint32_t capacity;
};

void lanes_init(struct lanes *l);
void lanes_fini(struct lanes *l);
/* The lane of a stream, made if it is new. NULL: no room. Valid until the next
 * call. */
struct lane *lanes_get(struct lanes *l, uint32_t agent, uint64_t stream,
                       uint32_t *number);
/* What may be told of a lane that nobody has proved to own: makes none. */
uint64_t lanes_committed(const struct lanes *l, uint32_t agent,
                         uint64_t stream);
/* Sets every lane that the log knows to what is committed there. */
enum sotto_err lanes_load(struct lanes *l, struct store *store);

#endif
