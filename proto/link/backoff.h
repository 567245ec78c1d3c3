/* Jittered retry delays: full jitter over a doubling bound (Brooker,
 * "Exponential Backoff and Jitter", 2015). New events do not shorten them. */
#ifndef SOTTO_LINK_BACKOFF_H
#define SOTTO_LINK_BACKOFF_H

#include <stdint.h>

struct backoff {
    int64_t min_ms, max_ms;
    uint32_t failures;
};

/* The delay after one more failure, in [bound/2, bound] with bound = min(max,
 * min * 2^failures); random is any 32 random bits. */
int64_t backoff_next(struct backoff *b, uint32_t random);
void backoff_reset(struct backoff *b);

#endif
