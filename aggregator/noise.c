/* See noise.h. Names and loops follow the algorithms of the paper.
 *
 * Why nothing overflows, for sigma2 = n / d in lowest terms, n and d at most
 * 2^40, t = floor(sigma) + 1 at most 2^20 + 1: Laplace noise of scale t is
 * refused when its geometric part reaches 2^18, which happens with a chance of
 * exp(-2^18), so |y| < t * (2^18 + 1), and
 *     |y| d t < t^2 d (2^18 + 1) <= (4 n or 1 * d) (2^18 + 1) < 2^61
 * whose square is below 2^122; 2 n d t^2 <= 2 n * max(4 n, d) < 2^83. A
 * Bernoulli trial multiplies the latter by the number of its round, which is
 * refused at 2^18 too: chance below 1 / (2^18)!. A source of bits that comes
 * there is broken, and noise of it must not leave: the process ends. */
#include "aggregator/noise.h"

#include <assert.h>

#include <sodium.h>

#define ROUNDS_MAX (UINT32_C(1) << 18)

__extension__ typedef unsigned __int128 wide;

static void sodium_bytes(void *context, void *out, size_t size)
{
    (void)context;
    randombytes_buf(out, size);
}

const struct noise_source noise_sodium = {sodium_bytes, NULL};

/* --- uniform ------------------------------------------------------------ */

/* As many bits as limit - 1 has; again when they say more. */
static wide wide_below(const struct noise_source *from, wide limit)
{
    uint64_t parts[2] = {0, 0};
    wide mask = limit - 1, drawn;

    if (mask == 0)
        return 0;
    for (int shift = 1; shift < 128; shift *= 2)
        mask |= mask >> shift;
    do {
        from->bytes(from->context, parts,
                    mask >> 64 ? sizeof parts : sizeof parts[0]);
        drawn = ((wide)parts[1] << 64 | parts[0]) & mask;
    } while (drawn >= limit);
    return drawn;
}

uint64_t noise_below(const struct noise_source *from, uint64_t limit)
{
    return (uint64_t)wide_below(from, limit);
}

/* --- algorithm 1 -------------------------------------------------------- */

/* exp(-num / den) for num <= den: the chance that the first failure of trials
 * with num / den, num / 2 den, num / 3 den ... is one of odd number. */
static bool exp_at_most_one(const struct noise_source *from, wide num, wide den)
{
    uint32_t k = 1;

    while (wide_below(from, den * k) < num) {
        k++;
        assert(k < ROUNDS_MAX);
    }
    return k % 2 == 1;
}

static bool exp_minus(const struct noise_source *from, wide num, wide den)
{
    for (; num > den; num -= den)
        if (!exp_at_most_one(from, 1, 1))
            return false;
    return exp_at_most_one(from, num, den);
}

bool noise_bernoulli_exp(const struct noise_source *from, struct ratio gamma)
{
    return exp_minus(from, gamma.num, gamma.den);
}

/* --- algorithm 2 -------------------------------------------------------- */

/* The noise of scale t / s without its sign; false: drawn in vain. */
static bool laplace_once(const struct noise_source *from, uint64_t t,
                         uint64_t s, bool *negative, uint64_t *size)
{
    uint64_t u = noise_below(from, t);
    uint32_t v = 0;

    if (!exp_minus(from, u, t))
        return false;
    while (exp_at_most_one(from, 1, 1)) {
        v++;
        assert(v < ROUNDS_MAX);
    }
    *size = (u + t * v) / s;
    *negative = noise_below(from, 2) == 1;
    return !*negative || *size > 0; /* zero would come twice */
}

static uint64_t laplace(const struct noise_source *from, uint64_t t, uint64_t s,
                        bool *negative)
{
    uint64_t size;

    while (!laplace_once(from, t, s, negative, &size))
        ;
    return size;
}

static int64_t signed_of(uint64_t size, bool negative)
{
    return negative ? -(int64_t)size : (int64_t)size;
}

enum sotto_err noise_laplace(int64_t *out, const struct noise_source *from,
                             struct ratio scale)
{
    bool negative;
    uint64_t size;

    if (scale.num < 1 || scale.den < 1 || scale.num > NOISE_LAPLACE_MAX ||
        scale.den > NOISE_LAPLACE_MAX)
        return SOTTO_EINVAL;
    size = laplace(from, scale.num, scale.den, &negative);
    *out = signed_of(size, negative);
    return SOTTO_OK;
}

/* --- algorithm 3 -------------------------------------------------------- */

static struct ratio lowest(struct ratio r)
{
    uint64_t a = r.num, b = r.den;

    while (b) {
        uint64_t rest = a % b;

        a = b;
        b = rest;
    }
    return (struct ratio){r.num / a, r.den / a};
}

/* floor(sigma) + 1: the least t whose square is above n / d. */
static uint64_t above_root(struct ratio r)
{
    uint64_t low = 1, high = (UINT64_C(1) << 20) + 1;

    while (low < high) {
        uint64_t t = low + (high - low) / 2;

        if ((wide)t * t * r.den > r.num)
            high = t;
        else
            low = t + 1;
    }
    return low;
}

/* exp(-(|y| - sigma2 / t)^2 / (2 sigma2)), in whole numbers. */
static bool keep(const struct noise_source *from, uint64_t size, uint64_t t,
                 struct ratio r)
{
    wide y = (wide)size * r.den * t;
    wide apart = y > r.num ? y - r.num : r.num - y;

    return exp_minus(from, apart * apart,
                     (wide)2 * r.num * r.den * ((wide)t * t));
}

enum sotto_err noise_gaussian(int64_t *out, const struct noise_source *from,
                              struct ratio sigma2)
{
    bool negative;
    uint64_t t, size;

    if (sigma2.num < 1 || sigma2.den < 1 || sigma2.num > NOISE_PART_MAX ||
        sigma2.den > NOISE_PART_MAX)
        return SOTTO_EINVAL;
    sigma2 = lowest(sigma2);
    t = above_root(sigma2);
    do
        size = laplace(from, t, 1, &negative);
    while (!keep(from, size, t, sigma2));
    *out = signed_of(size, negative);
    return SOTTO_OK;
}
