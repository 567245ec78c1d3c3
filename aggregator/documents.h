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
 * and numbers continue above floor; tombstones of the erased stay, under new
 * numbers. Inside a transaction. */
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

/* ---- the lists of a subject, and their end ---- */

/* Calls each with every list of a subject; its spans live until it returns. */
enum sotto_err documents_of(struct store *s, const uint8_t subject[16],
                            void (*each)(void *context, uint32_t agent,
                                         const struct document *d),
                            void *context);
/* Calls each with the subject of every list that is stored for an agent; each
 * writes nothing to s. */
enum sotto_err
documents_subjects(struct store *s,
                   enum sotto_err (*each)(void *context, uint32_t agent,
                                          const uint8_t subject[16]),
                   void *context);
/* A tombstone (DOCUMENT_FORGET) for the agent, in the place of a list if there
 * is one. Inside a transaction. */
enum sotto_err documents_forget(struct store *s, uint32_t agent,
                                const uint8_t subject[16], int64_t now_ms,
                                struct buf *scratch);
/* Whether the agent has a tombstone to confirm. */
enum sotto_err documents_forgets(struct store *s, uint32_t agent, bool *out);
/* The agent says that it applied documents up to a number, and was sent those
 * above from in this process's life: tombstones among these go. Older ones get
 * new numbers, to be sent again: an agent that was ahead of a restored
 * aggregator has another document under theirs. Inside a transaction. */
enum sotto_err documents_confirm(struct store *s, uint32_t agent, uint64_t from,
                                 uint64_t applied);

/* What a tombstone is known by when the pseudonym no longer is. */
void documents_key(const struct store *s, const uint8_t subject[16],
                   uint8_t key[STORE_BLIND_SIZE]);
enum sotto_err documents_forget_pending(struct store *s, uint32_t agent,
                                        const uint8_t key[STORE_BLIND_SIZE],
                                        bool *out);

#endif
