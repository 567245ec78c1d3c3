/* Trusted time: the last time the aggregator signed plus what a monotonic
 * clock says has passed. After a start without the aggregator it goes on from
 * where it was last known to be (the floor, from the spool): too early by the
 * time that the machine was off, and never too late. Whatever is given up for
 * its age goes by it, so a wall clock that jumps gives nothing up. Any
 * thread. */
#ifndef SOTTO_AGENT_TRUSTED_H
#define SOTTO_AGENT_TRUSTED_H

#include "base/clock.h"

#include <stdatomic.h>

struct trusted_time {
    const struct clock *clock;
    _Atomic int64_t offset_ms; /* trusted = mono + offset */
    atomic_bool known;         /* there was a floor or a signed time */
    atomic_bool confirmed;     /* since the start */
};
/* At the start, before other threads; a floor of 0: none is known. */
void trusted_begin(struct trusted_time *t, int64_t floor_ms);
/* A time outside 1970..9999 is ignored. */
void trusted_confirm(struct trusted_time *t, int64_t aggregator_ms);
/* The best guess, for the time of an event: until it is confirmed the wall
 * clock, if that is not before the trusted time or more than TRUSTED_OFF_MAX_MS
 * ahead of it, as a machine without a clock, or with a wrong one, says. */
#define TRUSTED_OFF_MAX_MS (INT64_C(400) * 24 * 3600 * 1000)
int64_t trusted_now(const struct trusted_time *t);
/* Trusted time; 0 while none is known. */
int64_t trusted_stamp(const struct trusted_time *t);

#endif
