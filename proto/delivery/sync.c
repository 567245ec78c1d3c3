/* See sync.h. Invariant: last never falls, so a number is given once. */
#include "delivery/sync.h"

enum sync_action sync_polled(struct sync *s, uint64_t applied, bool resync)
{
    s->applied = applied;
    if (resync || applied > s->last)
        return SYNC_RESYNC;
    return applied < s->last ? SYNC_SEND : SYNC_PARK;
}

uint64_t sync_next(struct sync *s)
{
    return ++s->last;
}

void sync_restart(struct sync *s, uint64_t floor)
{
    if (s->last < floor)
        s->last = floor;
    s->applied = floor;
}
