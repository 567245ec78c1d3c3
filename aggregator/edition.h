/* An edition: the documents that one run of the publisher makes, written on a
 * worker thread through its own connection. */
#ifndef SOTTO_AGGREGATOR_EDITION_H
#define SOTTO_AGGREGATOR_EDITION_H

#include "aggregator/policies.h"
#include "aggregator/recommend.h"
#include "aggregator/view.h"

struct edition {
    struct store *store;
    struct views *views;
    struct registry *registry;
    struct policies *policies;
    struct suppress *suppress; /* gets no list; NULL: nobody */
    /* What is wanted; agents by number, rising. */
    const uint32_t *agents; /* all of them */
    uint32_t agent_count;
    const uint32_t *restart; /* those that get everything again */
    const uint64_t *floors;  /* of each, for its numbers */
    uint32_t restart_count;
    bool model;           /* another model is live: everything of it to all */
    bool policy;          /* the policy to all */
    struct confirmation { /* what an agent with tombstones has applied */
        uint32_t agent;
        uint64_t from, applied; /* of documents_confirm */
    } * confirm;
    uint32_t confirm_count;
    struct span policy_container; /* empty: none yet */
    uint64_t published;           /* chunks whose subjects are done; moves on */
    int64_t now_ms;
    /* Kept by the owner between editions; made again for another model. */
    struct segment_lists *by_segment;
    uint64_t by_segment_version;
    bool scrub; /* confirmed tombstones are still in the files */
    /* What was done. */
    uint64_t documents, lists;
};

/* SOTTO_OK or what failed; a failed edition is made again, and a document that
 * was written already is only replaced by the same one. */
enum sotto_err edition_make(struct edition *e);
/* Up to which chunk subjects were published, as stored. */
uint64_t edition_published(struct store *store);
/* Calls each with the agents that were to get everything again when the last
 * edition ended, or was broken off. */
enum sotto_err edition_restarts(struct store *store,
                                void (*each)(void *context, uint32_t agent),
                                void *context);
/* The version of the model that every agent was given last; 0: none. */
uint64_t edition_published_model(struct store *store);

#endif
