/* The hash tree of a log that only grows: RFC 6962, section 2.1 (the same in
 * RFC 9162, section 2.1), SHA-256.
 *
 *   leaf = SHA-256(00 | bytes)      node = SHA-256(01 | left | right)
 *
 * The root of n leaves is the node over the root of the first k and the root
 * of the others, k being the largest power of two below n; of no leaf, the
 * hash of nothing. Whoever holds a root can be shown, with about log2 n
 * hashes, that a leaf is in that tree (inclusion), and that a later tree
 * begins with the same leaves (consistency).
 *
 * Plain functions over memory; they cannot fail but where they say so, and any
 * thread may call them. Hashes are 32 bytes; leaves are counted from 0. */
#ifndef SOTTO_AGGREGATOR_MERKLE_H
#define SOTTO_AGGREGATOR_MERKLE_H

#include "base/buf.h"

#define MERKLE_HASH_SIZE 32
#define MERKLE_PROOF_MAX 65 /* hashes: one a level of 2^64 leaves, and one */

/* The right edge: the roots of the full subtrees that the leaves so far make,
 * widest first, one for each bit of size. 2 KiB, whatever the size. */
struct merkle {
    uint64_t size; /* leaves */
    uint8_t edge[64][MERKLE_HASH_SIZE];
};

struct merkle_proof {
    uint32_t count;
    uint8_t hash[MERKLE_PROOF_MAX][MERKLE_HASH_SIZE];
};

/* The hash of a leaf's bytes. */
void merkle_leaf(uint8_t out[MERKLE_HASH_SIZE], struct span bytes);

void merkle_init(struct merkle *m);
/* One more leaf, by its hash: at most 64 hashes, two on average. */
void merkle_append(struct merkle *m, const uint8_t leaf[MERKLE_HASH_SIZE]);
/* The root of what is appended: at most 63 hashes. */
void merkle_root(const struct merkle *m, uint8_t out[MERKLE_HASH_SIZE]);

/* Of leaf hashes that lie in an array: the root of the first count, and
 * proofs; about count hashes of work. */
void merkle_root_of(const uint8_t leaves[][MERKLE_HASH_SIZE], uint64_t count,
                    uint8_t out[MERKLE_HASH_SIZE]);
/* That leaf index, below count, is in the tree of count leaves. */
void merkle_inclusion(const uint8_t leaves[][MERKLE_HASH_SIZE], uint64_t count,
                      uint64_t index, struct merkle_proof *out);
/* That the tree of count leaves begins with that of from, 1 to count. */
void merkle_consistency(const uint8_t leaves[][MERKLE_HASH_SIZE],
                        uint64_t count, uint64_t from,
                        struct merkle_proof *out);

/* Whether a proof shows it; proof and numbers may be anybody's. */
bool merkle_included(const uint8_t leaf[MERKLE_HASH_SIZE], uint64_t index,
                     uint64_t count, const struct merkle_proof *proof,
                     const uint8_t root[MERKLE_HASH_SIZE]);
/* from 0 is consistent with everything, by a proof without hashes. */
bool merkle_consistent(uint64_t from, const uint8_t from_root[MERKLE_HASH_SIZE],
                       uint64_t count, const uint8_t root[MERKLE_HASH_SIZE],
                       const struct merkle_proof *proof);

#endif
