/* The registry of models: every trained version with its window, parameters
 * and quality; which one is live; and the live one in memory.
 *
 * A live_model is immutable and counted: whoever looks something up holds it,
 * so a new version can take over in the middle. */
#ifndef SOTTO_AGGREGATOR_REGISTRY_H
#define SOTTO_AGGREGATOR_REGISTRY_H

#include "aggregator/model/weights.h"
#include "aggregator/store.h"
#include "base/dict.h"

#include <stdatomic.h>

#include <jansson.h>

struct live_model {
    atomic_uint holders;
    uint64_t version;
    char name[32];     /* "localridge", or "popularity" */
    struct dict items; /* ids; a model's item numbers */
    struct dict names; /* label of each item, by name_of */
    uint32_t *name_of;
    float *popularity;     /* of each item */
    struct weights8 rows8; /* what travels; no items in a popularity model */
    struct weights rows;   /* the same in floats */
};

/* Empty, held once. NULL: no memory. */
struct live_model *live_model_new(void);
struct live_model *live_model_hold(struct live_model *m);
void live_model_release(struct live_model *m); /* accepts NULL */
struct span live_model_item(const struct live_model *m, uint32_t item);
struct span live_model_name(const struct live_model *m, uint32_t item);

struct registry;

/* Loads the live model of the store. One registry a store; any thread may ask
 * for the live model, the rest is for one thread at a time. */
enum sotto_err registry_open(struct registry **out, struct store *store);
void registry_close(struct registry *r); /* accepts NULL */

/* The live model, held for the caller; NULL: none yet. Any thread. */
struct live_model *registry_live(struct registry *r);
/* Keeps m as the next version with meta (a JSON object of window, parameters,
 * metrics; borrowed) and, if live is set, makes it the live one. Through
 * store, the connection of the calling thread. */
enum sotto_err registry_add(struct registry *r, struct store *store,
                            struct live_model *m, json_t *meta, bool live);
/* Calls each with version, state ("live", "earlier", "rejected") and meta. */
enum sotto_err registry_each(struct store *store,
                             void (*each)(void *context, uint64_t version,
                                          const char *state,
                                          const json_t *meta),
                             void *context);

#endif
