/* See merkle.h. Appending is counting in binary: a new leaf is a full subtree
 * of one, and two neighbours of one width become one of twice that width, as
 * often as size ends in a 1. */
#include "aggregator/merkle.h"

#include <assert.h>

#include <sodium.h>

static_assert(crypto_hash_sha256_BYTES == MERKLE_HASH_SIZE, "SHA-256");

void merkle_leaf(uint8_t out[MERKLE_HASH_SIZE], struct span bytes)
{
    static const uint8_t prefix = 0;
    crypto_hash_sha256_state state;

    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, &prefix, 1);
    crypto_hash_sha256_update(&state, bytes.data, bytes.size);
    crypto_hash_sha256_final(&state, out);
}

/* out may be left or right. */
static void node(uint8_t out[MERKLE_HASH_SIZE],
                 const uint8_t left[MERKLE_HASH_SIZE],
                 const uint8_t right[MERKLE_HASH_SIZE])
{
    uint8_t both[1 + 2 * MERKLE_HASH_SIZE] = {1};

    memcpy(both + 1, left, MERKLE_HASH_SIZE);
    memcpy(both + 1 + MERKLE_HASH_SIZE, right, MERKLE_HASH_SIZE);
    crypto_hash_sha256(out, both, sizeof both);
}

static bool same(const uint8_t a[MERKLE_HASH_SIZE],
                 const uint8_t b[MERKLE_HASH_SIZE])
{
    return memcmp(a, b, MERKLE_HASH_SIZE) == 0;
}

/* ---- growing ---- */

void merkle_init(struct merkle *m)
{
    memset(m, 0, sizeof *m);
}

static uint32_t edge_count(uint64_t size)
{
    return (uint32_t)__builtin_popcountll(size);
}

void merkle_append(struct merkle *m, const uint8_t leaf[MERKLE_HASH_SIZE])
{
    uint32_t at = edge_count(m->size);
    uint8_t hash[MERKLE_HASH_SIZE];

    assert(m->size < UINT64_MAX);
    memcpy(hash, leaf, sizeof hash);
    for (uint64_t left = m->size; left & 1; left >>= 1)
        node(hash, m->edge[--at], hash);
    memcpy(m->edge[at], hash, sizeof hash);
    m->size++;
}

void merkle_root(const struct merkle *m, uint8_t out[MERKLE_HASH_SIZE])
{
    uint32_t at = edge_count(m->size);

    if (m->size == 0) {
        crypto_hash_sha256(out, NULL, 0);
        return;
    }
    memcpy(out, m->edge[--at], MERKLE_HASH_SIZE);
    while (at > 0)
        node(out, m->edge[--at], out);
}

/* ---- of an array ---- */

void merkle_root_of(const uint8_t leaves[][MERKLE_HASH_SIZE], uint64_t count,
                    uint8_t out[MERKLE_HASH_SIZE])
{
    struct merkle m;

    merkle_init(&m);
    for (uint64_t i = 0; i < count; i++)
        merkle_append(&m, leaves[i]);
    merkle_root(&m, out);
}

/* The largest power of two below count, which is at least 2. */
static uint64_t split(uint64_t count)
{
    return UINT64_C(1) << (63 - __builtin_clzll(count - 1));
}

/* A proof is found from the root down and read from the leaf up. */
static void turn(struct merkle_proof *p)
{
    uint8_t kept[MERKLE_HASH_SIZE];

    for (uint32_t i = 0; i < p->count / 2; i++) {
        memcpy(kept, p->hash[i], sizeof kept);
        memcpy(p->hash[i], p->hash[p->count - 1 - i], sizeof kept);
        memcpy(p->hash[p->count - 1 - i], kept, sizeof kept);
    }
}

void merkle_inclusion(const uint8_t leaves[][MERKLE_HASH_SIZE], uint64_t count,
                      uint64_t index, struct merkle_proof *out)
{
    assert(index < count);
    out->count = 0;
    while (count > 1) {
        uint64_t k = split(count);

        if (index < k) {
            merkle_root_of(leaves + k, count - k, out->hash[out->count++]);
            count = k;
        } else {
            merkle_root_of(leaves, k, out->hash[out->count++]);
            leaves += k;
            count -= k;
            index -= k;
        }
    }
    turn(out);
}

void merkle_consistency(const uint8_t leaves[][MERKLE_HASH_SIZE],
                        uint64_t count, uint64_t from, struct merkle_proof *out)
{
    bool known = true; /* the old tree ends here: who asks has its root */

    assert(from >= 1 && from <= count);
    out->count = 0;
    while (from < count) {
        uint64_t k = split(count);

        if (from <= k) {
            merkle_root_of(leaves + k, count - k, out->hash[out->count++]);
            count = k;
        } else {
            merkle_root_of(leaves, k, out->hash[out->count++]);
            leaves += k;
            count -= k;
            from -= k;
            known = false;
        }
    }
    if (!known)
        merkle_root_of(leaves, count, out->hash[out->count++]);
    turn(out);
}

/* ---- verifying: RFC 9162, 2.1.3.2 and 2.1.4.2 ---- */

bool merkle_included(const uint8_t leaf[MERKLE_HASH_SIZE], uint64_t index,
                     uint64_t count, const struct merkle_proof *proof,
                     const uint8_t root[MERKLE_HASH_SIZE])
{
    uint8_t hash[MERKLE_HASH_SIZE];
    uint64_t last = count - 1; /* of its level, as index is */

    if (index >= count || proof->count > MERKLE_PROOF_MAX)
        return false;
    memcpy(hash, leaf, sizeof hash);
    for (uint32_t i = 0; i < proof->count; i++) {
        if (last == 0)
            return false;
        if ((index & 1) || index == last) {
            node(hash, proof->hash[i], hash);
            while (!(index & 1) && index != 0) { /* had no neighbour */
                index >>= 1;
                last >>= 1;
            }
        } else {
            node(hash, hash, proof->hash[i]);
        }
        index >>= 1;
        last >>= 1;
    }
    return last == 0 && same(hash, root);
}

/* Climbs from the last full subtree of the old tree to both roots. */
static bool climb(uint64_t from, uint64_t count,
                  const uint8_t start[MERKLE_HASH_SIZE],
                  const uint8_t (*hash)[MERKLE_HASH_SIZE], uint32_t hashes,
                  const uint8_t from_root[MERKLE_HASH_SIZE],
                  const uint8_t root[MERKLE_HASH_SIZE])
{
    uint8_t older[MERKLE_HASH_SIZE], newer[MERKLE_HASH_SIZE];
    uint64_t at = from - 1, last = count - 1;

    memcpy(older, start, sizeof older);
    memcpy(newer, start, sizeof newer);
    while (at & 1) {
        at >>= 1;
        last >>= 1;
    }
    for (uint32_t i = 0; i < hashes; i++) {
        if (last == 0)
            return false;
        if ((at & 1) || at == last) {
            node(older, hash[i], older);
            node(newer, hash[i], newer);
            while (!(at & 1) && at != 0) {
                at >>= 1;
                last >>= 1;
            }
        } else {
            node(newer, newer, hash[i]);
        }
        at >>= 1;
        last >>= 1;
    }
    return last == 0 && same(older, from_root) && same(newer, root);
}

bool merkle_consistent(uint64_t from, const uint8_t from_root[MERKLE_HASH_SIZE],
                       uint64_t count, const uint8_t root[MERKLE_HASH_SIZE],
                       const struct merkle_proof *proof)
{
    uint8_t nothing[MERKLE_HASH_SIZE];

    if (from > count || proof->count > MERKLE_PROOF_MAX)
        return false;
    if (from == 0) {
        crypto_hash_sha256(nothing, NULL, 0);
        return proof->count == 0 && same(from_root, nothing);
    }
    if (from == count)
        return proof->count == 0 && same(from_root, root);
    if ((from & (from - 1)) == 0) /* one full subtree: its root is known */
        return climb(from, count, from_root, proof->hash, proof->count,
                     from_root, root);
    return proof->count > 0 &&
           climb(from, count, proof->hash[0], proof->hash + 1, proof->count - 1,
                 from_root, root);
}
