/* Fixed keys and hexadecimal vectors, for tests of the wire format. */
#ifndef SOTTO_TEST_WIRE_H
#define SOTTO_TEST_WIRE_H

#include <stdlib.h>
#include <string.h>

#include "wire/keys.h"

/* Keys whose seeds are 32 times the byte; never NULL. The caller frees. */
static inline struct keys *fixed_keys(uint8_t byte)
{
    uint8_t seed[32];
    struct keys *k = NULL;

    if (keys_make(&k))
        abort();
    memset(seed, byte, sizeof seed);
    crypto_sign_seed_keypair(k->sign_pk, k->sign_sk, seed);
    crypto_box_seed_keypair(k->box_pk, k->box_sk, seed);
    key_id(k->sign_id, k->sign_pk);
    key_id(k->box_id, k->box_pk);
    return k;
}

/* Appends the bytes that hex stands for. */
static inline void hex_append(struct buf *b, const char *hex)
{
    size_t size = 0;

    if (buf_reserve(b, strlen(hex) / 2 + 1) ||
        sodium_hex2bin(b->data + b->size, b->capacity - b->size, hex,
                       strlen(hex), NULL, &size, NULL) != 0)
        abort();
    b->size += size;
}

/* The hexadecimal text of bytes; the caller frees. */
static inline char *hex_of(struct span bytes)
{
    char *hex = malloc(2 * bytes.size + 1);

    if (!hex)
        abort();
    return sodium_bin2hex(hex, 2 * bytes.size + 1, bytes.data, bytes.size);
}

/* A small reproducible generator (xorshift64*). */
static inline uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

#endif
