/* What truly happened, kept beside the programs: every event that track() took,
 * every row an agent sealed, every sequence the aggregator committed. The
 * invariants are comparisons with it, made as things happen.
 *
 *   event  taken -> in a ring -> in a row -> stored exactly once, or excused:
 *          its ring was lost with the power, its row was voided, rolled back
 *          with its agent, or forgotten by a restored aggregator when nobody
 *          kept it for replay (the recorded gap)
 *   lane   (stream) at the aggregator: chain of each sequence, dense */
#ifndef SOTTO_SIM_LEDGER_H
#define SOTTO_SIM_LEDGER_H

#include "world.h"

#include "agent/spool.h"
#include "aggregator/log.h"
#include "aggregator/view.h"

enum excuse {
    EXCUSE_RING = 1,     /* the power went while it was in the ring */
    EXCUSE_VOID = 2,     /* its row became a void */
    EXCUSE_AGENT = 4,    /* sealed after the backup its agent was restored to */
    EXCUSE_GAP = 8,      /* a restored aggregator, and replay had let go */
    EXCUSE_REFUSED = 16, /* kept aside */
    EXCUSE_LEFT = 32     /* acknowledged, and gone from replay at a fork; then
                           restored away */
};

struct ledger_counts {
    uint64_t taken, dropped, stored, lost, doubled;
    uint64_t in_ring_lost, voided, rolled_back, gaps, refused, left, moved;
    uint64_t rows, commits, acks, forks, rewinds, voids, early;
};
extern struct ledger_counts ledger_counts;

void ledger_fini(void);

/* ---- an agent's side; n is where it happens ---- */
uint32_t ledger_next(void); /* the number of the event to come */
void ledger_taken(struct node *n, uint32_t number);
/* Around the spool's calls: what is meant, then whether it came to be. */
void ledger_seal(struct node *n, const struct spool_entry *e);
void ledger_fork(struct node *n, const struct spool *s, uint64_t stream);
void ledger_settle(struct node *n, const struct spool *s);
void ledger_acked(struct node *n, const struct spool *s, uint64_t before);
void ledger_rewound(struct node *n, uint64_t watermark, uint64_t missing);
void ledger_voided(struct span envelope);
void ledger_refused(struct node *n, uint64_t sequence);
void ledger_sent(struct node *n, struct span envelope);
void ledger_balance(struct node *n, const struct spool *s, uint64_t unsealed);
/* Its ring is gone; its process is not there. */
void ledger_power(struct node *n);
struct ledger_book; /* what a backup of an agent remembers */
/* NULL: what its disk has is not known, after a write that failed. */
struct ledger_book *ledger_backup(const struct node *n);
void ledger_restore(struct node *to, const struct ledger_book *b, bool clone);
void ledger_book_free(struct ledger_book *b); /* accepts NULL */

/* ---- the aggregator's side ---- */
void ledger_committed(const struct log_entry *entries, size_t count,
                      policy_lookup *find, void *policies);
/* Compares with what the store says; after a restore, from a backup of
 * backup_ms (else -1), takes that for the truth. */
void ledger_audit(struct store *s, int64_t backup_ms, policy_lookup *find,
                  void *policies);
/* The aggregator's balance, at rest: each stream's claims are what it has. For
 * a world in which nobody was restored, copied or forked. */
void ledger_claims(struct store *s);
/* Everything has come to rest: what is missing is lost. */
void ledger_close(void);

#endif
