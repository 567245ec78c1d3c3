/* A data directory has one owner, by lock (flock on DIR/lock). */
#ifndef SOTTO_BASE_DIRLOCK_H
#define SOTTO_BASE_DIRLOCK_H

#include "base/err.h"

#include <stdbool.h>

struct dirlock {
    int fd; /* -1 when not held */
};

/* Makes the directory (0700) if create is set and it is missing, and takes the
 * lock without waiting. SOTTO_ELOCKED if somebody has it; SOTTO_ENOTFOUND if
 * the directory is missing; SOTTO_EIO. */
enum sotto_err dirlock_take(struct dirlock *l, const char *dir, bool create,
                            struct why *why);
void dirlock_release(struct dirlock *l);

#endif
