/* Streams of random bytes, and exact draws from them.
 *
 * Randomized response needs no power of e: propose one of k at random, take it
 * if it is the truth, else with probability exp(-E), else propose again. What
 * is taken is the truth e^E times as often as each of the others. */
#include "policy/chance.h"

#include <endian.h>
#include <sodium.h>
#include <string.h>

#define MILLION UINT64_C(1000000)

void chance_source_init(struct chance_source *s)
{
    randombytes_buf(s->key, sizeof(s->key));
    atomic_init(&s->count, 0);
}

void chance_source_fini(struct chance_source *s)
{
    sodium_memzero(s->key, sizeof(s->key));
}

static void begin(struct chance *c, const uint8_t key[CHANCE_KEY],
                  uint64_t number)
{
    memcpy(c->key, key, sizeof(c->key));
    c->number = number;
    c->block = 0;
    c->used = sizeof(c->bytes);
}

void chance_fresh(struct chance *c, struct chance_source *s)
{
    begin(c, s->key,
          atomic_fetch_add_explicit(&s->count, 1, memory_order_relaxed));
}

void chance_keyed(struct chance *c, const uint8_t key[CHANCE_KEY])
{
    begin(c, key, 0);
}

void chance_end(struct chance *c)
{
    sodium_memzero(c, sizeof(*c));
}

void chance_bytes(struct chance *c, uint8_t out[8])
{
    if (c->used == sizeof(c->bytes)) {
        uint64_t number = htole64(c->number);
        uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];

        memcpy(nonce, &number, sizeof(nonce));
        memset(c->bytes, 0, sizeof(c->bytes));
        crypto_stream_chacha20_xor_ic(c->bytes, c->bytes, sizeof(c->bytes),
                                      nonce, c->block++, c->key);
        c->used = 0;
    }
    memcpy(out, c->bytes + c->used, 8);
    c->used += 8;
}

uint64_t chance_number(struct chance *c, uint64_t n)
{
    /* the numbers up to the last whole multiple of n; what is above it would
     * make the small ones likelier */
    const uint64_t over = (UINT64_MAX % n + 1) % n;
    uint64_t number;

    do {
        chance_bytes(c, (uint8_t *)&number);
        number = le64toh(number);
    } while (number > UINT64_MAX - over);
    return number % n;
}

/* exp(-num/den) for a fraction of at most 1: the chance that a run of coins of
 * num/den, num/2den, num/3den, ... ends after an even number of heads. */
static bool exp_fraction(struct chance *c, uint64_t num, uint64_t den)
{
    uint64_t k = 1;

    while (chance_number(c, den * k) < num)
        k++;
    return k & 1;
}

bool chance_exp(struct chance *c, uint64_t num, uint64_t den)
{
    for (; num > den; num -= den)
        if (!exp_fraction(c, 1, 1))
            return false;
    return exp_fraction(c, num, den);
}

unsigned chance_respond(struct chance *c, unsigned k, unsigned truth,
                        uint64_t epsilon_millionths)
{
    for (;;) {
        unsigned answer = (unsigned)chance_number(c, k);

        if (answer == truth || chance_exp(c, epsilon_millionths, MILLION))
            return answer;
    }
}
