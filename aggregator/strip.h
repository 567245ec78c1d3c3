/* The body of a chunk without what is of the erased: a batch loses the events
 * that name one in any of their fields, its dictionaries what only those used;
 * a forget has zeros in the place of the pseudonym, and forgets nobody. Memory
 * only, one thread. */
#ifndef SOTTO_AGGREGATOR_STRIP_H
#define SOTTO_AGGREGATOR_STRIP_H

#include "aggregator/suppress.h"
#include "policy/batch.h"

struct strip {
    struct batch *batch; /* what encodes; opened when it is first needed */
    struct buf found;    /* the erased in the last body, 16 bytes each */
    struct buf body;     /* the body without them; not made if none */
    uint32_t removed;    /* events */
};

void strip_init(struct strip *t);
void strip_fini(struct strip *t); /* wipes */

/* v is of a body under p. found is empty: it stays as it is. A batch of which
 * nothing is left keeps its counters. */
enum sotto_err strip_batch(struct strip *t, struct suppress *s,
                           const struct batch_view *v, const struct policy *p);
/* body: the pseudonyms of a forget. SOTTO_EDECODE. */
enum sotto_err strip_forget(struct strip *t, struct suppress *s,
                            struct span body);

#endif
