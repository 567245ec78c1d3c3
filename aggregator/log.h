/* The log: accepted envelopes as compressed column chunks, encrypted at rest,
 * and what exact delivery needs beside them: watermark and chain per (agent,
 * stream), refused envelopes, voids, counters. One transaction commits a group
 * of entries, and only after it an acknowledgement is sent.
 *
 * log_append and log_read are the scale-out seam: nothing above assumes that
 * the chunks are in this process. */
#ifndef SOTTO_AGGREGATOR_LOG_H
#define SOTTO_AGGREGATOR_LOG_H

#include "aggregator/store.h"
#include "policy/reason.h"
#include "wire/envelope.h"

struct log_entry {
    uint32_t agent; /* its number in the roster */
    uint64_t stream, sequence;
    uint32_t kind; /* KIND_BATCH, KIND_VOID, KIND_FORGET */
    uint8_t chain[HASH_SIZE];
    uint8_t policy[HASH_SIZE];
    struct span payload;             /* zipped body; of a refused one: empty */
    uint8_t body[BODY_ID_SIZE];      /* zeros: none */
    uint32_t events;                 /* in the body as sent, or voided */
    uint32_t erased;                 /* of these not in the payload any more */
    const struct counters *counters; /* of a batch */
    const char *reason; /* why it was refused or voided; NULL: accepted */
    int64_t received_ms;
    uint64_t number; /* set by log_append: of its chunk; 0: it made none */
};
/* Writes all entries, their watermarks and chains in one transaction with
 * synchronous=FULL. Any error: nothing is written, do not acknowledge.
 * SOTTO_EINVAL: a sequence does not follow the watermark stored for its
 * stream. A body that another stream of the agent has brought already makes no
 * chunk: it is listed as "moved". */
enum sotto_err log_append(struct store *s, struct log_entry *entries,
                          size_t count);

struct log_chunk {
    uint64_t number; /* rises by commit order, from 1 */
    uint32_t agent;
    uint64_t stream, sequence;
    uint32_t kind;
    uint8_t policy[HASH_SIZE];
    uint32_t events;
    int64_t received_ms;
    struct span payload; /* zipped, in the reader's buffer until the next */
};
/* The first accepted chunk with a number above after; SOTTO_ENOTFOUND at the
 * end; SOTTO_ECRYPTO if it was changed on disk (number is set: skip and
 * report). */
enum sotto_err log_read(struct store *s, uint64_t after,
                        struct log_chunk *chunk, struct buf *scratch);

struct log_stream {
    uint32_t agent;
    uint64_t stream, watermark;
    uint8_t chain[HASH_SIZE];
    uint64_t batches, events, voided_events, refused_batches, refused_events;
    struct counters counters; /* as the newest batch said */
    int64_t last_ms;
};
/* SOTTO_EDECODE: a watermark is not that of the stream's newest chain: the
 * table was damaged, and nobody may be answered by it. */
enum sotto_err log_stream_each(
    struct store *s,
    enum sotto_err (*each)(void *context, const struct log_stream *),
    void *context);
/* The stored chain of a sequence; SOTTO_ENOTFOUND when forgotten. */
enum sotto_err log_chain(struct store *s, uint32_t agent, uint64_t stream,
                         uint64_t sequence, uint8_t chain[HASH_SIZE]);
uint64_t log_last(struct store *s); /* newest chunk number, 0: none */
/* The last number that was given to a chunk, also if that is gone. */
uint64_t log_given(struct store *s);
/* Puts another payload, with so many events, in the place of a chunk's; erased
 * events of its agent are counted. Inside a transaction. Chain, body id and
 * the stream's counts stay: they are of what the agent sent. */
enum sotto_err log_rewrite(struct store *s, const struct log_chunk *chunk,
                           struct span payload, uint32_t events,
                           uint32_t erased);
/* Events that came from an agent and were erased, then or before. */
enum sotto_err log_erased(struct store *s, uint32_t agent, uint64_t *count);
/* Forgets the chains and bodies of what was received before; the chain of a
 * watermark itself stays with its stream. */
enum sotto_err log_prune(struct store *s, int64_t before_ms);

#endif
