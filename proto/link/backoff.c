/* See backoff.h. */
#include "link/backoff.h"

int64_t backoff_next(struct backoff *b, uint32_t random)
{
    int64_t bound = b->min_ms;

    for (uint32_t i = 0; i < b->failures && bound < b->max_ms; i++)
        bound *= 2;
    if (bound > b->max_ms)
        bound = b->max_ms;
    if (b->failures < UINT32_MAX)
        b->failures++;
    return bound / 2 + (int64_t)(random % (uint32_t)(bound / 2 + 1));
}

void backoff_reset(struct backoff *b)
{
    b->failures = 0;
}
