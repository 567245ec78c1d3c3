/* The aggregator: owns the parts of one data directory on one loop.
 *
 *   ingest -> log -> views (folded on a worker) -> publisher
 *   train (on a worker) -> registry -> publisher
 *
 * Stopping has an order: the control socket, parked polls, the link and its
 * commits, the folding, then files. */
#ifndef SOTTO_AGGREGATOR_AGGREGATOR_H
#define SOTTO_AGGREGATOR_AGGREGATOR_H

#include "aggregator/audit.h"
#include "aggregator/ingest.h"
#include "aggregator/publish.h"
#include "aggregator/registry.h"
#include "aggregator/settings.h"
#include "aggregator/view.h"
#include "base/dirlock.h"

struct aggregator {
    uv_loop_t *loop;
    struct dirlock lock;
    char dir[400];
    struct settings settings;
    struct store *store; /* the loop's connection */
    struct keys *keys;
    struct audit *audit;
    struct roster *roster;
    struct policies *policies;
    struct suppress *suppress;
    struct views *views;
    struct registry *registry;
    struct ingest *ingest;       /* NULL: no link was asked for */
    struct publisher *publisher; /* NULL likewise */
    uv_work_t fold;
    uv_timer_t again;            /* folds once more after an error */
    uv_timer_t look;             /* whether a checkpoint is due */
    struct control_call *verify; /* waits for the fold to end; or NULL */
    struct erasing *erase;       /* wait for the next work, and this one's */
    struct erasing *in_erasing;
    bool folding, fold_again, fold_more;
    bool save, saving; /* the next work, or this one, is a checkpoint */
    enum sotto_err fold_err;
    bool training; /* one at a time */
    bool stopping;
    void (*stopped)(void *owner);
    void *owner;
    int parts; /* that still have to close */
};

/* Makes directory, store, store key and identity. SOTTO_EEXIST. */
enum sotto_err aggregator_init(const char *dir, struct why *why);
/* The identity's public key, which heads of the audit log are signed for, and
 * what the store remembers of that log (audit_remembered; empty: nothing). No
 * lock is taken: a daemon may run. */
enum sotto_err aggregator_signs(const char *dir, uint8_t pk[PK_SIZE],
                                struct buf *remembered, struct why *why);
/* link false: for a tool that runs a verb by itself. */
enum sotto_err aggregator_open(struct aggregator **out, uv_loop_t *loop,
                               const char *dir, bool link, struct why *why);
void aggregator_stop(struct aggregator *a, void (*stopped)(void *owner),
                     void *owner);
/* Folds what the log has; on the loop it is started, and goes on by itself. */
void aggregator_fold(struct aggregator *a);
/* Everything in the log is folded. */
bool aggregator_folded(const struct aggregator *a);

#endif
