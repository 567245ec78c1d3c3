/* A source of noise that is the same in every run. */
#ifndef TESTS_SUPPORT_SEEDED_H
#define TESTS_SUPPORT_SEEDED_H

#include "aggregator/noise.h"

#include <string.h>

static inline uint64_t seeded_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15); /* SplitMix64 */

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline void seeded_bytes(void *context, void *out, size_t size)
{
    for (size_t at = 0; at < size; at += 8) {
        uint64_t eight = seeded_next(context);

        memcpy((char *)out + at, &eight, size - at < 8 ? size - at : 8);
    }
}

static inline struct noise_source seeded(uint64_t *state)
{
    return (struct noise_source){seeded_bytes, state};
}

#endif
