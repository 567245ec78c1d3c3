/* Randomness on the path of an event: no system call, no lock, no floating
 * point. A stream is ChaCha20 (RFC 8439) under a key of 32 bytes and a number;
 * what is drawn from it is exact: whole numbers by rejection, and coins of
 * probability exp(-x) for a fraction x after Canonne, Kamath and Steinke, "The
 * Discrete Gaussian for Differential Privacy" (NeurIPS 2020), algorithm 1. */
#ifndef SOTTO_POLICY_CHANCE_H
#define SOTTO_POLICY_CHANCE_H

#include "base/buf.h"

#include <stdatomic.h>

#define CHANCE_KEY 32

/* Streams that nobody else has: one for each call. Any thread. A process that
 * forks shares it with its child, which must make its own. */
struct chance_source {
    uint8_t key[CHANCE_KEY];
    _Atomic uint64_t count;
};
/* From the system's randomness: the only call that asks the system. */
void chance_source_init(struct chance_source *s);
void chance_source_fini(struct chance_source *s); /* wipes */

/* One stream, on its caller's stack. */
struct chance {
    uint8_t key[CHANCE_KEY];
    uint64_t number;   /* of the stream under its key */
    uint64_t block;    /* to be made next */
    uint8_t bytes[64]; /* of the block before */
    size_t used;       /* of them */
};
/* A fresh stream of the source. */
void chance_fresh(struct chance *c, struct chance_source *s);
/* The stream of a key: the same key draws the same. */
void chance_keyed(struct chance *c, const uint8_t key[CHANCE_KEY]);
void chance_end(struct chance *c); /* wipes */

void chance_bytes(struct chance *c, uint8_t out[8]);
/* Uniform over 0..n-1, n at least 1. */
uint64_t chance_number(struct chance *c, uint64_t n);
/* True with probability exp(-num/den), den from 1 to 2^32, num below 2^40. */
bool chance_exp(struct chance *c, uint64_t num, uint64_t den);
/* k-ary randomized response (Kairouz, Bonawitz, Ramage, "Discrete Distribution
 * Estimation under Local Privacy", ICML 2016): truth with probability
 * e^E / (e^E + k - 1), each other of 0..k-1 with 1 / (e^E + k - 1), where E is
 * epsilon in millionths, below 2^40. A truth that is none of them (k) is
 * answered by each with the same probability 1/k, which keeps to E too. */
unsigned chance_respond(struct chance *c, unsigned k, unsigned truth,
                        uint64_t epsilon_millionths);

#endif
