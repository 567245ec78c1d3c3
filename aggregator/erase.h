/* Erasing a subject: from the log, the views, the lists, the files.
 *
 *   suppress_add (durable: from here on nobody is told anything of it)
 *     -> its records leave the views
 *     -> every chunk that holds it is written anew without it, and each agent
 *        that sent one or was given a list gets a tombstone, chunk by chunk in
 *        one transaction
 *     -> views are folded again, files scrubbed, the entry marked as done
 *
 * The work goes by the table's hashes, never by a stored pseudonym. So what a
 * crash broke off, and what a restored directory brought back, are the same:
 * entries that are pending when the directory is opened, and erase_run does
 * them before anything is served.
 *
 * Not erased: counts of events that agents sent (accepted never shrinks; what
 * was erased is counted beside), and weights of models that were trained
 * before, until the next training. */
#ifndef SOTTO_AGGREGATOR_ERASE_H
#define SOTTO_AGGREGATOR_ERASE_H

#include "aggregator/view.h"

#include <jansson.h>

struct erase_parts {
    struct store *store; /* of the calling thread */
    struct views *views;
    policy_lookup *lookup; /* as of views_open */
    void *context;
    struct suppress *suppress;
};

/* Does what is pending. On the folding thread. An error leaves the rest to the
 * next run; nobody is served the subject meanwhile. */
enum sotto_err erase_run(const struct erase_parts *parts);

/* What was done for the entry: a JSON object of id, proof, erased_ms, done_ms
 * (0: not yet), events and batches it was removed from, "model" (the newest
 * version by then), and "agents": number and whether its tombstone is
 * `pending` or `confirmed`. */
enum sotto_err erase_result(struct store *store, struct suppress *suppress,
                            uint32_t number, json_t **out);

#endif
