/* Ingest: requests of agents, from the link to the log.
 *
 *   frame -> cheap checks -> worker: verify, open, decode -> loop: watermark
 *         -> group -> worker: one transaction (log_append) -> signed reply
 *
 * An acknowledgement is sent after the commit that holds the batch, never
 * before. Polls and enrolments are handed to their owners. Loop thread, but
 * for the two worker steps. */
#ifndef SOTTO_AGGREGATOR_INGEST_H
#define SOTTO_AGGREGATOR_INGEST_H

#include "aggregator/fresh.h"
#include "aggregator/policies.h"
#include "aggregator/roster.h"
#include "link/reply.h"

struct ingest;

struct ingest_parts {
    uv_loop_t *loop;
    const char *address; /* to listen at */
    const char *dir, *key_file;
    const struct keys *keys;
    struct peer self;
    struct store *store; /* the loop's */
    struct roster *roster;
    struct policies *policies;
    struct suppress *suppress; /* whose events are not kept; NULL: nobody */
    struct fresh_queue *fresh; /* for what is committed; NULL: nobody folds */
    uint32_t contexts_max;
    size_t intake_bytes; /* of batches under way; beyond it they are told to
                            come later. One is always taken */
    /* A rightly signed poll: the owner answers the call, now or later. */
    void (*poll)(void *owner, struct call *call, struct agent_row *agent,
                 const uint8_t nonce[NONCE_SIZE], const struct poll *poll);
    void (*committed)(void *owner); /* the log grew */
    /* An agent is about to get its certificate; failing, it is told to ask
     * again later. */
    enum sotto_err (*enrolled)(void *owner, struct agent_row *agent);
    void *owner;
};

struct ingest_stats {
    uint64_t requests, batches, duplicates, early, gaps, forks;
    uint64_t refused[REFUSAL_COUNT]; /* by reason, retries included */
    uint64_t malformed, bad_signatures, commit_failures, groups;
};

struct waiting_policy { /* batches whose policy is not known */
    uint32_t agent;
    uint8_t hash[HASH_SIZE];
    int64_t since_ms;
};
#define WAITING_MAX 64

enum sotto_err ingest_open(struct ingest **out,
                           const struct ingest_parts *parts, struct why *why);
void ingest_close(struct ingest *in, void (*closed)(void *owner), void *owner);
void ingest_stats(const struct ingest *in, struct ingest_stats *out);
/* Agents that wait for a policy; returns how many. */
uint32_t ingest_waiting(const struct ingest *in,
                        struct waiting_policy out[WAITING_MAX]);
/* A policy was added: those that waited for it are no longer shown. */
void ingest_policy_added(struct ingest *in, const uint8_t hash[HASH_SIZE]);
const char *ingest_address(const struct ingest *in);

#endif
