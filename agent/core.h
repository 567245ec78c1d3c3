/* The agent core: what the library and the daemon share. Owns ring, spool,
 * lists, policies and link of one directory, on one loop.
 *
 *   take (any thread) -> journal -> batcher -> spool -> uplink
 *   uplink -> documents -> policies, lists
 *
 * Stopping has an order: producers are refused, the ring is drained and the
 * open batch sealed, the link closes, handles close, files close. */
#ifndef SOTTO_AGENT_CORE_H
#define SOTTO_AGENT_CORE_H

#include "agent/batcher.h"
#include "agent/take.h"
#include "agent/uplink.h"
#include "base/dirlock.h"

struct core {
    uv_loop_t *loop;
    struct dirlock lock;
    struct home *home;
    struct settings settings;
    struct journal *journal;
    struct spool *spool;
    struct lists *lists;
    struct policyset policies;
    struct trusted_time time;
    bool dated; /* the spool knows of it */
    struct take take;
    struct batcher *batcher;
    struct uplink *uplink; /* NULL when offline was asked for */
    uv_timer_t drain;      /* looks at the ring while something may come */
    unsigned producers;
    uv_timer_t expire; /* gives up what is too old, destroys old keys */
    uv_async_t wake;   /* somebody waits for a flush */
    atomic_bool flush_wanted;
    uv_mutex_t turn_lock;
    uv_cond_t turned;         /* after each turn; for core_sync */
    _Atomic uint64_t synced;  /* ring positions below it are in the spool */
    _Atomic uint64_t waiting; /* envelopes not acknowledged */
    enum sotto_err last_err;  /* of the last turn */
    uint64_t turn_errors;
    bool stopping;
    void (*stopped)(void *owner);
    void *owner;
    int handles;
};

/* Opens everything in dir and starts; link false: no network (a tool that runs
 * a verb by itself). SOTTO_ELOCKED: a daemon or another app owns dir. */
enum sotto_err core_open(struct core **out, uv_loop_t *loop, const char *dir,
                         bool link, struct why *why);
/* Seals what is left, then closes; stopped runs on the loop, and the core is
 * gone after it. */
void core_stop(struct core *c, void (*stopped)(void *owner), void *owner);

/* Announces a producer that calls take_event or take_import, or its end: it may
 * not call the system to wake the loop, so the loop looks at the ring from time
 * to time, and only while there is a producer or something left to drain. Loop
 * thread. */
void core_produce_begin(struct core *c);
void core_produce_end(struct core *c);

/* Waits until everything taken before the call is durable in the spool, or
 * the deadline. Any thread but the loop's. SOTTO_ETIMEOUT; SOTTO_EFULL when
 * the spool has no room. */
enum sotto_err core_sync(struct core *c, int64_t timeout_ms);
/* The same, and acknowledged by the aggregator. */
enum sotto_err core_flush(struct core *c, int64_t timeout_ms);

/* Consent with its consequence: a withdrawal for the purpose of the subject
 * field purges the lists and sends `forget` for what was sent before. Any
 * thread. SOTTO_EFULL: the withdrawal is in force, but the ring has no room
 * for the `forget`; call again. */
enum sotto_err core_consent(struct core *c, const char *purpose, bool granted);
/* Events that were taken and are in no envelope yet: those in the ring, the
 * open batch's among them. Reads the ring. Loop thread. */
uint64_t core_unsealed(struct core *c);

/* A list for the person at the device (raw_id NULL) or for raw_id; any
 * thread. */
enum sotto_err core_recommend(struct core *c, const struct span *raw_id,
                              uint32_t count, struct answer *out);

struct core_stats {
    struct counters counters; /* produced = accepted + drops */
    uint64_t in_ring;         /* bytes */
    uint64_t batched, acked, waiting, voided, refused; /* events */
    uint64_t waiting_rows, waiting_bytes, corrupt;
    uint64_t policy_version; /* 0: none */
    char tenant[NAME_MAX_SIZE + 1];
    struct uplink_stats link;
    struct lists_stats lists;
    enum sotto_err last_err;
    uint64_t turn_errors;
};
/* Loop thread. */
void core_stats(struct core *c, struct core_stats *out);

#endif
