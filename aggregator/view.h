/* Views: each folds the log in memory and checkpoints its state together with
 * applied_upto, so that a crash replays the tail and every effect happens
 * once. A view equals the fold of the events retained, and can be rebuilt.
 *
 * The folding thread owns the folder; readers take view_lock around a look at
 * a view (a look is short: copy out what is needed). */
#ifndef SOTTO_AGGREGATOR_VIEW_H
#define SOTTO_AGGREGATOR_VIEW_H

#include "aggregator/fresh.h"
#include "aggregator/suppress.h"

struct fold { /* one chunk, decoded */
    uint64_t chunk;
    uint32_t agent;
    uint64_t stream, sequence;
    const struct policy *policy;
    const struct batch_view *batch; /* NULL for a forget */
    const uint8_t *forget; /* KIND_FORGET: pseudonym; fold forgets it */
    int64_t received_ms;
};

/* The payload of KIND_FORGET, unzipped: pseudonyms of 16 bytes, at least one.
 */

struct view_ops {
    const char *name;
    enum sotto_err (*open)(void **view);
    void (*close)(void *view);
    enum sotto_err (*fold)(void *view, const struct fold *f);
    enum sotto_err (*forget)(void *view, const uint8_t subject[16]);
    /* Writes what changed since the last checkpoint; inside a transaction of
     * s. On SOTTO_OK the changes count as saved only after view_saved. */
    enum sotto_err (*save)(void *view, struct store *s);
    void (*saved)(void *view);
    enum sotto_err (*load)(void *view, struct store *s);
    /* A hash over the whole state, independent of order of subjects: a rebuilt
     * view must have the same. */
    uint64_t (*digest)(void *view);
};

struct views;
/* Which policies decode chunks: asked by hash; NULL when unknown. */
typedef const struct policy *policy_lookup(void *context,
                                           const uint8_t hash[HASH_SIZE]);

/* Opens a store connection of its own, loads every view, replays nothing yet.
 * A view whose checkpoint was changed, or is of another version, starts empty
 * and is folded again from the log. */
enum sotto_err views_open(struct views **out, const char *dir,
                          const char *key_file, policy_lookup *lookup,
                          void *context, struct why *why);
void views_close(struct views *v); /* checkpoints; accepts NULL */
/* Events of the erased are not folded; s outlives v. Before the first fold. */
void views_suppress(struct views *v, struct suppress *s);
/* Folds up to chunks_max chunks above what is applied; checkpoints by itself
 * every million events, else the owner does when it suits. *more: there are
 * more.
 * Called on one thread at a time. A chunk that does not open or decode is
 * logged, counted and passed over. SOTTO_ENOMEM leaves a view half folded:
 * nothing of it is saved, and the next call begins with the checkpoints again.
 * A failed checkpoint (SOTTO_EFULL, SOTTO_EIO, …) is tried again later. */
enum sotto_err views_fold(struct views *v, uint32_t chunks_max, bool *more);
enum sotto_err views_checkpoint(struct views *v); /* on the folding thread */
/* The subject's records go, at once; what it added to totals and labels stays
 * until views_rebuild. On the folding thread. */
enum sotto_err views_forget(struct views *v, const uint8_t subject[16]);
/* Folds the log again, as far as it is applied, without the erased; writes the
 * result in the place of the checkpoints and shows it. Takes the memory of the
 * views twice meanwhile; readers see the old ones until the new are saved. On
 * the folding thread. */
enum sotto_err views_rebuild(struct views *v);
/* How long something folded has not been saved; any thread. */
int64_t views_unsaved_ms(const struct views *v);
uint64_t views_applied(const struct views *v);
/* Where batches may be left that were just committed; folded from there. */
struct fresh_queue *views_fresh(struct views *v);
/* Chunks passed over since views_open: damaged, or no longer in the log. */
uint64_t views_skipped(const struct views *v);
void views_lock(struct views *v);
void views_unlock(struct views *v);
struct profiles *views_profiles(struct views *v);
struct interactions *views_interactions(struct views *v);
/* Folds the whole log, as far as it is applied, into fresh views and compares
 * digests; SOTTO_ECRYPTO names the view that differs. On the folding thread. */
enum sotto_err views_verify(struct views *v, struct why *why);

#endif
