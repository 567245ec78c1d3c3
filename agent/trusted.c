/* See trusted.h. */
#include "agent/trusted.h"

#include "policy/policy.h"

void trusted_confirm(struct trusted_time *t, int64_t aggregator_ms)
{
    if (aggregator_ms < 0 || aggregator_ms > TIME_MAX_MS)
        return;
    atomic_store(&t->offset_ms, aggregator_ms - clock_mono_ms(t->clock));
    atomic_store(&t->known, true);
    atomic_store(&t->confirmed, true);
}

void trusted_begin(struct trusted_time *t, int64_t floor_ms)
{
    if (floor_ms <= 0 || floor_ms > TIME_MAX_MS)
        return;
    atomic_store(&t->offset_ms, floor_ms - clock_mono_ms(t->clock));
    atomic_store(&t->known, true);
}

int64_t trusted_stamp(const struct trusted_time *t)
{
    if (!atomic_load_explicit(&t->known, memory_order_acquire))
        return 0;
    return clock_mono_ms(t->clock) +
           atomic_load_explicit(&t->offset_ms, memory_order_relaxed);
}

int64_t trusted_now(const struct trusted_time *t)
{
    int64_t sure = trusted_stamp(t), wall;

    if (atomic_load_explicit(&t->confirmed, memory_order_acquire))
        return sure;
    wall = clock_wall_ms(t->clock);
    return sure && (wall < sure || wall - sure > TRUSTED_OFF_MAX_MS) ? sure
                                                                     : wall;
}
