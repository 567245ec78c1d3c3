/* Publishing: documents to agents, one numbered stream each.
 *
 * Documents are made on a worker (lists of subjects need the model) and stored;
 * the loop parks polls and answers them when there is something newer than the
 * agent has applied. Keys and bodies lie sealed in the store. */
#ifndef SOTTO_AGGREGATOR_PUBLISH_H
#define SOTTO_AGGREGATOR_PUBLISH_H

#include "aggregator/policies.h"
#include "aggregator/recommend.h"
#include "aggregator/roster.h"
#include "link/reply.h"

#include <uv.h>

struct publisher;

struct publisher_parts {
    uv_loop_t *loop;
    const char *dir, *key_file;
    const struct keys *keys;
    struct store *store; /* the loop's */
    struct roster *roster;
    struct policies *policies;
    struct views *views;
    struct registry *registry;
    struct suppress *suppress; /* NULL: nobody is erased */
};

enum sotto_err publisher_open(struct publisher **out,
                              const struct publisher_parts *parts,
                              struct why *why);
/* Drops parked polls at once (the link may close after the call); closed runs
 * when its worker has ended. */
void publisher_close(struct publisher *p, void (*closed)(void *owner),
                     void *owner);

/* A rightly signed poll: answered now, or parked for up to a minute. */
void publisher_poll(struct publisher *p, struct call *call,
                    struct agent_row *agent, const uint8_t nonce[NONCE_SIZE],
                    const struct poll *poll);
/* Something changed; the next run of the worker publishes it. */
void publisher_policy(struct publisher *p);
void publisher_agent(struct publisher *p,
                     uint32_t agent);       /* new, or lost all */
void publisher_model(struct publisher *p);  /* another model is live */
void publisher_folded(struct publisher *p); /* subjects may have news */
void publisher_erased(struct publisher *p); /* there are new tombstones */

struct publisher_stats {
    uint64_t documents, runs, sent, lists;
    uint32_t parked;
    bool idle; /* nothing to publish and nothing on its way */
};
void publisher_stats(const struct publisher *p, struct publisher_stats *out);

#endif
