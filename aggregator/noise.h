/* Exact noise for released counts: discrete Laplace and discrete Gaussian over
 * all whole numbers, with rational parameters.
 *
 * C. L. Canonne, G. Kamath, T. Steinke, "The discrete Gaussian for differential
 * privacy", 2020, algorithms 1 (Bernoulli of exp(-x)), 2 and 3. Rejection
 * sampling in whole numbers from uniform bits: no floating point, whose gaps
 * and rounding tell the true count (I. Mironov, "On significance of the least
 * significant bits for differential privacy", 2012). How long a draw takes
 * depends on the noise; it does not depend on the count, which is not passed
 * in.
 *
 * A part of a fraction is at most NOISE_PART_MAX, so nothing overflows 128 bits
 * (see noise.c). Plain functions; any thread, each with its own source. */
#ifndef AGGREGATOR_NOISE_H
#define AGGREGATOR_NOISE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NOISE_PART_MAX (UINT64_C(1) << 40)
#define NOISE_LAPLACE_MAX (UINT64_C(1) << 32)

/* Uniform bytes. In the product libsodium's; in tests a seeded sequence. */
struct noise_source {
    void (*bytes)(void *context, void *out, size_t size);
    void *context;
};

/* randombytes_buf; sodium_init has been called. */
extern const struct noise_source noise_sodium;

struct ratio {
    uint64_t num, den; /* den at least 1 */
};

/* Below limit (at least 1), each number as likely. */
uint64_t noise_below(const struct noise_source *from, uint64_t limit);

/* True with the probability exp(-gamma). */
bool noise_bernoulli_exp(const struct noise_source *from, struct ratio gamma);

/* P(x) in proportion to exp(-|x| / scale). SOTTO_EINVAL: scale is 0, or a part
 * of it is 0 or above NOISE_LAPLACE_MAX. */
enum sotto_err noise_laplace(int64_t *out, const struct noise_source *from,
                             struct ratio scale);

/* P(x) in proportion to exp(-x^2 / (2 sigma2)). SOTTO_EINVAL: a part of sigma2
 * is 0 or above NOISE_PART_MAX. */
enum sotto_err noise_gaussian(int64_t *out, const struct noise_source *from,
                              struct ratio sigma2);

#endif
