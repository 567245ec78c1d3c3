/* Anybody's proofs. The first bytes choose a tree and a claim, the rest spoils
 * the right proof of it: it holds exactly when nothing was changed. */
#include "fuzz.h"

#include <string.h>

#include <sodium.h>

#include "aggregator/merkle.h"

#define LEAVES_MAX 64
#define HEAD 4

static void make_leaves(uint8_t leaves[LEAVES_MAX][MERKLE_HASH_SIZE])
{
    for (uint8_t i = 0; i < LEAVES_MAX; i++)
        merkle_leaf(leaves[i], span_of(&i, 1));
}

/* Overlays bytes on the hashes; a first byte adds to the count. */
static bool spoil(struct merkle_proof *p, const uint8_t *data, size_t size)
{
    struct merkle_proof before = *p;

    if (size == 0)
        return false;
    p->count = (p->count + data[0]) % (MERKLE_PROOF_MAX + 2);
    for (size_t i = 1; i < size && i <= sizeof p->hash; i++)
        ((uint8_t *)p->hash)[i - 1] ^= data[i];
    return p->count != before.count ||
           memcmp(p->hash, before.hash,
                  before.count * (size_t)MERKLE_HASH_SIZE) != 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t leaves[LEAVES_MAX][MERKLE_HASH_SIZE], root[MERKLE_HASH_SIZE],
        older[MERKLE_HASH_SIZE];
    const uint8_t(*all)[MERKLE_HASH_SIZE] =
        (const uint8_t(*)[MERKLE_HASH_SIZE])leaves;
    struct merkle_proof p = {0};
    uint64_t count, index, claimed;
    bool spoilt;

    if (size < HEAD || sodium_init() < 0)
        return 0;
    make_leaves(leaves);
    count = 1 + data[0] % LEAVES_MAX;
    index = data[1] % count;
    claimed = data[3] ? data[3] : index;
    merkle_root_of(all, count, root);
    merkle_root_of(all, index + 1, older);

    merkle_inclusion(all, count, index, &p);
    spoilt = spoil(&p, data + HEAD, size - HEAD) || claimed != index;
    expect(merkle_included(leaves[index], claimed, count, &p, root) != spoilt);

    memset(&p, 0, sizeof p);
    merkle_consistency(all, count, index + 1, &p);
    spoilt = spoil(&p, data + HEAD, size - HEAD);
    expect(merkle_consistent(index + 1, older, count, root, &p) != spoilt);

    /* Numbers of any size: an answer, no more. */
    memset(&count, 0, sizeof count);
    memcpy(&count, data, size < sizeof count ? size : sizeof count);
    merkle_included(leaves[0], count / 3, count, &p, root);
    merkle_consistent(count / 5, older, count, root, &p);
    return 0;
}
