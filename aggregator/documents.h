/* The stored documents of every agent. Through the connection that is given;
 * keys are blinded and bodies sealed at rest. */
#ifndef SOTTO_AGGREGATOR_DOCUMENTS_H
#define SOTTO_AGGREGATOR_DOCUMENTS_H

#include "aggregator/store.h"
#include "wire/document.h"

/* Gives d the agent's next number and puts it in the place of the one with the
 * same kind and key; inside a transaction. d->number is filled. */
enum sotto_err documents_put(struct store *s, uint32_t agent,
                             struct document *d, struct buf *scratch);
/* An agent that lost everything, or knows more than we do: its documents go,
 * and numbers continue above floor. Inside a transaction. */
enum sotto_err documents_restart(struct store *s, uint32_t agent,
                                 uint64_t floor);
/* Appends the documents above applied to out as a payload with head (count and
 * last are filled), up to bytes_max of bodies. */
enum sotto_err documents_payload(struct store *s, uint32_t agent,
                                 uint64_t applied, size_t bytes_max,
                                 struct documents_head *head, struct buf *out);
/* Calls each with the newest number of every agent. */
enum sotto_err documents_last(struct store *s,
                              void (*each)(void *context, uint32_t agent,
                                           uint64_t last),
                              void *context);

#endif
