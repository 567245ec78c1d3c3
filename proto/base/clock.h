/* Wall and monotonic time, replaceable in tests and in the simulator. */
#ifndef SOTTO_BASE_CLOCK_H
#define SOTTO_BASE_CLOCK_H

#include <stdint.h>

struct clock {
    int64_t (*wall_ms)(void *context); /* Unix time, milliseconds */
    int64_t (*mono_ms)(void *context); /* never goes back */
    void *context;
};

extern const struct clock clock_system;

static inline int64_t clock_wall_ms(const struct clock *c)
{
    return c->wall_ms(c->context);
}
static inline int64_t clock_mono_ms(const struct clock *c)
{
    return c->mono_ms(c->context);
}

#endif
