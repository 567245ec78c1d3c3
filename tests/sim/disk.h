/* An SQLite VFS in memory for all machines: what was written and what of it is
 * synced, per block; shared memory for WAL; copies for backups. The default
 * VFS, so the programs open their databases on it unchanged.
 *
 * Faults are the node's (world.h): a full disk refuses what makes a file
 * longer, DISK_ONCE is one I/O error, DISK_DEAD refuses everything from the
 * nth operation on, as when the process or the power ends within it. */
#ifndef SOTTO_SIM_DISK_H
#define SOTTO_SIM_DISK_H

#include "world.h"

void disk_init(void);
void disk_fini(void);

/* The power comes back, after every file of the node was closed: blocks that
 * were not synced are lost, or each of them by a coin (torn). */
void disk_power(struct node *n, bool torn);

struct backup; /* of a node's files */
struct backup *disk_backup(const struct node *n);
/* In place of what is there; the files are to's, whatever node b is of. */
void disk_restore(struct node *to, const struct backup *b);
void backup_free(struct backup *b); /* accepts NULL */

uint64_t disk_bytes(const struct node *n);

#endif
