/* Work that may never end is waited for so long and no longer. */
#ifndef SOTTO_LINK_DEADLINE_H
#define SOTTO_LINK_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

/* Runs work on a thread of its own and waits for its end, max_ms at most.
 * False: it is given up; it may still be at work, so what arg points to must
 * stay. Without a thread it runs here, however long. */
bool deadline_run(void (*work)(void *arg), void *arg, int64_t max_ms);

#endif
