/* The spool: sealed envelopes waiting for the aggregator, in SQLite with
 * synchronous=FULL. One row an envelope. One transaction writes envelope,
 * sequence, chain, ring mark, import cursors and counters, so that they never
 * disagree. One thread.
 *
 * Bounded by bytes and by what the disk has free (SOTTO_EFULL: the ring waits,
 * and when it is full track() drops the newest and counts) and by age (a row
 * that is too old becomes a void envelope in its place, by the owner).
 * Acknowledged rows are kept for replay to a restored aggregator, evicted
 * first. */
#ifndef SOTTO_AGENT_SPOOL_H
#define SOTTO_AGENT_SPOOL_H

#include "policy/reason.h"
#include "wire/envelope.h"

struct spool;

struct spool_config {
    const char *path;  /* FILE.db */
    int64_t bytes_max; /* of unacknowledged envelopes */
    int64_t replay_ms; /* acknowledged rows kept: default two days, at
                          most a quarter of bytes_max */
    const char *vfs;   /* of SQLite; NULL: its own. For tests */
};

/* What is durable; loaded at open, kept current by the calls below. */
struct spool_state {
    uint64_t stream;          /* random, not zero; made at first open */
    uint64_t next_sequence;   /* starts at 1 */
    uint64_t acked;           /* every sequence up to it is acknowledged */
    uint8_t chain[HASH_SIZE]; /* after next_sequence - 1 */
    uint8_t acked_chain[HASH_SIZE]; /* after acked */
    uint64_t ring, ring_mark; /* drained: positions below ring_mark of ring */
    uint64_t accepted;        /* events put into batches, ever */
    uint64_t acked_events, voided_events, refused_events;
    uint64_t waiting_rows, waiting_bytes, waiting_events;
    int64_t time_ms; /* trusted time at the last change; 0: not known yet */
    struct counters base; /* of rings that are gone; by reason */
    struct counters last; /* total at the last commit, for the next base */
};

enum sotto_err spool_open(struct spool **out, const struct spool_config *cfg,
                          struct why *why);
void spool_close(struct spool *s); /* accepts NULL */
const struct spool_state *spool_state(const struct spool *s);
/* The oldest sequence that is kept, for replay or because it waits; the next
 * one if none is. */
uint64_t spool_first(const struct spool *s);

/* Says which ring is in use. If it is another than before, the last total
 * becomes the base and the mark starts at 0; durable. */
enum sotto_err spool_ring(struct spool *s, uint64_t ring);

struct spool_cursor {
    uint8_t source[16];
    struct span bytes; /* opaque: at most 4 KiB */
};
struct spool_entry {
    struct span envelope; /* sequence must be next_sequence; may be empty when
                             only mark, cursors or counters move */
    uint32_t kind;
    uint32_t events;
    uint8_t chain[HASH_SIZE];
    uint64_t ring_mark;
    const struct counters *total; /* cumulative at this point */
    const struct spool_cursor *cursors;
    size_t cursor_count;
    int64_t now_ms; /* trusted time, here and below; 0: not known yet */
};
/* All or nothing. SOTTO_EFULL over bytes_max or on a full disk; SOTTO_EIO:
 * the state is re-read from the file, nothing of the entry is there. */
enum sotto_err spool_commit(struct spool *s, const struct spool_entry *e);

struct spool_row {
    uint64_t stream, sequence;
    uint32_t kind, events;
    int64_t made_ms; /* 0: before the time was known */
    uint8_t chain[HASH_SIZE];
};
/* The envelope of a sequence of the current stream, acknowledged or not, as it
 * lies there: the disk may have changed it. SOTTO_ENOTFOUND; SOTTO_EDECODE:
 * the row is filled, but its envelope cannot be read. out is cleared first. */
enum sotto_err spool_get(struct spool *s, uint64_t sequence,
                         struct spool_row *row, struct buf *out);

/* Marks everything up to watermark as acknowledged and evicts what replay no
 * longer keeps; one transaction. */
enum sotto_err spool_ack(struct spool *s, uint64_t watermark, int64_t now_ms);
/* The aggregator refused sequence for good: the row is kept aside (table
 * refused, bounded) and the mark moves over it. */
enum sotto_err spool_refused(struct spool *s, uint64_t sequence,
                             const char *reason, int64_t now_ms);
/* The aggregator was restored to an older watermark: what replay still holds
 * above it is waiting again. *missing: rows above it that are gone. */
enum sotto_err spool_rewind(struct spool *s, uint64_t watermark,
                            uint64_t *missing);
/* Puts another envelope in a row's place (a void), and its chain; the chains
 * of later rows are rewritten through rewrite, which re-signs an envelope with
 * a new previous chain; it gets an empty envelope where that cannot be read,
 * and the events of a batch that it makes a void count as voided. Also how a
 * fork moves rows to a new stream: everything that is kept, for replay too,
 * gets stream, sequences from 1 and new chains, and waits; what the aggregator
 * has of it, it knows by the bodies. One transaction. Of this module rewrite may call spool_get and
 * spool_state, as for the events of a row. */
struct spool_rewrite {
    enum sotto_err (*rewrite)(void *context, struct buf *out,
                              struct span envelope, uint64_t stream,
                              uint64_t sequence, uint8_t chain[HASH_SIZE]);
    void *context;
};
enum sotto_err spool_fork(struct spool *s, uint64_t new_stream,
                          const struct spool_rewrite *rewrite);
/* Voids batches made before old_ms among the first waiting rows: a prefix, up
 * to the first row that is younger; voids and withdrawals in it stay. make_void
 * writes the void envelope that stands for the row, with the row's chain
 * (SOTTO_EINVAL otherwise): no other row changes, and it is safe though the row
 * may have been sent, because the aggregator sees a duplicate. */
enum sotto_err spool_expire(struct spool *s, int64_t old_ms,
                            const struct spool_rewrite *make_void,
                            uint64_t *voided_events);

/* Trusted time has become known: it is kept, and rows made before that are
 * dated from now on. */
enum sotto_err spool_date(struct spool *s, int64_t now_ms);

/* Import cursors; SOTTO_ENOTFOUND. out is cleared first. */
enum sotto_err spool_cursor_get(struct spool *s, const uint8_t source[16],
                                struct buf *out);
enum sotto_err spool_cursor_each(struct spool *s,
                                 void (*each)(void *context,
                                              const struct spool_cursor *),
                                 void *context);

/* Signed policies by a small number that ring records carry. */
enum sotto_err spool_policy_put(struct spool *s, const uint8_t hash[HASH_SIZE],
                                struct span container, uint32_t *number);
enum sotto_err spool_policy_each(struct spool *s,
                                 enum sotto_err (*each)(void *context,
                                                        uint32_t number,
                                                        struct span container),
                                 void *context);

#endif
