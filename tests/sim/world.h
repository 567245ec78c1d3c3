/* The simulator's world: virtual time, one seeded source of chance, events in
 * order, and the machines that live in it.
 *
 * The product's programs run unchanged, whole (core_open, aggregator_open); the
 * simulator is what they stand on. It defines, in their place, the functions
 * of libuv's loop (loop.c), the link (net.c), the clock, randomness and log
 * (world.c), an SQLite VFS in memory (disk.c) and, for speed, libsodium's
 * signature and sealed box (seal.c). One thread; the only global is the world,
 * for those functions take no context. */
#ifndef SOTTO_SIM_WORLD_H
#define SOTTO_SIM_WORLD_H

#include "base/buf.h"

#include <uv.h>

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define AGENTS_MAX 4 /* the last place is for clones */
#define NODES_MAX (AGENTS_MAX + 1)
#define AGGREGATOR AGENTS_MAX /* its node's number */

enum sim_fault {
    FAULT_LOSS, /* of messages */
    FAULT_DUPLICATE,
    FAULT_REORDER,
    FAULT_DELAY,
    FAULT_CORRUPT, /* bits flip */
    FAULT_FORGE,   /* somebody on the path acknowledges */
    FAULT_PARTITION,
    FAULT_HALF_OPEN,
    FAULT_CLOCK,
    FAULT_KILL,  /* of the process, also within a write */
    FAULT_POWER, /* unsynced blocks are lost, or each by a coin */
    FAULT_RESTORE_AGENT,
    FAULT_RESTORE_AGGREGATOR,
    FAULT_CLONE,
    FAULT_FULL, /* disk */
    FAULT_EIO,
    FAULT_VERSIONS, /* writers of an older version */
    FAULT_POLICY,   /* a new one, mid-ring */
    FAULT_FORGET,   /* a subject withdraws */
    FAULT_BURST,    /* more than ring or batch hold */
    FAULT_COUNT
};
extern const char *const fault_names[FAULT_COUNT];

enum disk_fault { DISK_FINE, DISK_FULL, DISK_ONCE, DISK_DEAD };

struct node { /* a machine with one program */
    uint32_t number;
    char name[16];
    char dir[200];  /* of its files; the disk's prefix */
    uint64_t epoch; /* rises when the process ends: its events are void */
    bool up, dying;
    bool old_version; /* writes messages without the newest field */
    int64_t wall_offset_ms, booted_ms;
    enum disk_fault disk;
    uint64_t disk_nth, disk_count; /* DISK_ONCE, DISK_DEAD: from which on */
    bool to_blocked, from_blocked; /* its link, by direction */
    uv_loop_t loop;
};

struct due {
    int64_t at_ms;
    uint64_t order;
    struct node *node; /* NULL: the world's own */
    uint64_t epoch;
    void (*run)(void *context, uint64_t argument);
    void (*drop)(void *context); /* in place of run, for a dead node */
    void *context;
    uint64_t argument;
};

struct world {
    uint64_t seed, chance, entropy; /* the given; ours; the programs' */
    int64_t now_ms;
    uint64_t order, steps, hash;
    struct due *heap;
    size_t count, capacity;
    struct node nodes[NODES_MAX];
    struct node *running;
    bool faults[FAULT_COUNT]; /* enabled */
    bool calm;                /* faults off for now */
    bool trace, real_crypto;
    const char *broken; /* name of the break that is on, or "" */
    char violation[400];
    char dir[120];
};
extern struct world world;

void world_init(uint64_t seed);
void world_fini(void);
uint64_t chance(void);
uint64_t chance_below(uint64_t limit);
bool chance_one_in(uint64_t n);
int64_t chance_exponential(int64_t mean_ms); /* at least 1 */
bool fault_on(enum sim_fault f);
bool broken(const char *name);

void world_at(int64_t at_ms, struct node *node, void (*run)(void *, uint64_t),
              void *context, uint64_t argument, void (*drop)(void *));
/* Runs the next event; false when a violation stands or none is left. */
bool world_step(void);
/* Runs the next event of one node, whatever else is due before. */
void world_run_of(struct node *n);
/* Runs what a dying node still has to do, at once, until *done. */
void world_bury(struct node *n, const bool *done);

/* Into the trace: printed with --trace, always hashed. */
__attribute__((format(printf, 1, 2))) void trace(const char *format, ...);
/* The first broken promise ends the run. */
__attribute__((format(printf, 1, 2))) void violated(const char *format, ...);
void sim_must(bool good, const char *what);

#endif
