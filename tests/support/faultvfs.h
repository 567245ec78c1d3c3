/* A disk for SQLite that lives in memory and fails on demand.
 *
 * Each file keeps what was written and what was synced. An operation is an
 * open, a write, a truncation, a deletion or a sync; they are counted from
 * faultdisk_arm on. For databases in locking_mode=EXCLUSIVE (no shared
 * memory). One thread. */
#ifndef SOTTO_SUPPORT_FAULTVFS_H
#define SOTTO_SUPPORT_FAULTVFS_H

#include <stdint.h>

enum fault {
    FAULT_NONE,
    FAULT_ONCE, /* the nth operation is an I/O error */
    FAULT_FULL, /* from the nth on, writes find the disk full */
    FAULT_CUT,  /* the power goes before the nth: all fail from there on */
};

struct faultdisk;

/* An empty disk, registered with SQLite under name (kept by reference). */
struct faultdisk *faultdisk_make(const char *name);
void faultdisk_free(struct faultdisk *d);

void faultdisk_arm(struct faultdisk *d, enum fault fault, uint64_t nth);
/* Operations since faultdisk_arm. */
uint64_t faultdisk_count(const struct faultdisk *d);

/* The power comes back, after every file was closed: what was not synced is
 * lost (seed 0), or each block of it by a coin (other seeds). */
void faultdisk_power(struct faultdisk *d, uint64_t seed);

#endif
