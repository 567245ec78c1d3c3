/* The hash tree against the published tree of certificate transparency, and
 * against the definition of RFC 6962 written down as it stands there. */
#include "aggregator/merkle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sodium.h>

#define LEAVES 8
#define NAIVE_MAX 300
#define HASH MERKLE_HASH_SIZE

/* Leaves, roots and proofs of the test data that certificate transparency's
 * implementations share (its "reference tree"). */
static const char *const leaf_bytes[LEAVES] = {
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f"};

static const char *const roots[LEAVES + 1] = {
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};

static const struct {
    uint64_t index, count;
    const char *hashes[4];
} inclusions[] = {
    {0, 1, {NULL}},
    {0,
     8,
     {"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"}},
    {5,
     8,
     {"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
      "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"}},
    {2,
     3,
     {"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"}},
    {1,
     5,
     {"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"}},
};

static const struct {
    uint64_t from, count;
    const char *hashes[4];
} consistencies[] = {
    {1, 1, {NULL}},
    {1,
     8,
     {"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"}},
    {6,
     8,
     {"0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
      "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"}},
    {2,
     5,
     {"5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"}},
};

static void unhex(uint8_t out[HASH], const char *hex)
{
    size_t size;

    assert_int_equal(
        sodium_hex2bin(out, HASH, hex, strlen(hex), NULL, &size, NULL), 0);
    assert_int_equal(size, HASH);
}

static void published_leaves(uint8_t out[LEAVES][HASH])
{
    uint8_t bytes[16];
    size_t size;

    for (int i = 0; i < LEAVES; i++) {
        assert_int_equal(sodium_hex2bin(bytes, sizeof bytes, leaf_bytes[i],
                                        strlen(leaf_bytes[i]), NULL, &size,
                                        NULL),
                         0);
        merkle_leaf(out[i], span_of(bytes, size));
    }
}

static void proof_is(const struct merkle_proof *p, const char *const hashes[4])
{
    uint8_t wanted[HASH];
    uint32_t count = 0;

    for (; count < 4 && hashes[count]; count++) {
        assert_true(count < p->count);
        unhex(wanted, hashes[count]);
        assert_memory_equal(p->hash[count], wanted, HASH);
    }
    assert_int_equal(p->count, count);
}

static void has_the_published_roots(void **state)
{
    uint8_t leaves[LEAVES][HASH], got[HASH], wanted[HASH];
    struct merkle m;

    (void)state;
    published_leaves(leaves);
    merkle_init(&m);
    for (int size = 0; size <= LEAVES; size++) {
        unhex(wanted, roots[size]);
        merkle_root(&m, got);
        assert_memory_equal(got, wanted, HASH);
        merkle_root_of((const uint8_t(*)[HASH])leaves, (uint64_t)size, got);
        assert_memory_equal(got, wanted, HASH);
        if (size < LEAVES)
            merkle_append(&m, leaves[size]);
    }
}

static void makes_the_published_proofs(void **state)
{
    uint8_t leaves[LEAVES][HASH];
    struct merkle_proof proof;

    (void)state;
    published_leaves(leaves);
    for (size_t i = 0; i < sizeof inclusions / sizeof *inclusions; i++) {
        merkle_inclusion((const uint8_t(*)[HASH])leaves, inclusions[i].count,
                         inclusions[i].index, &proof);
        proof_is(&proof, inclusions[i].hashes);
    }
    for (size_t i = 0; i < sizeof consistencies / sizeof *consistencies; i++) {
        merkle_consistency((const uint8_t(*)[HASH])leaves,
                           consistencies[i].count, consistencies[i].from,
                           &proof);
        proof_is(&proof, consistencies[i].hashes);
    }
}

/* ---- RFC 6962, 2.1, 2.1.1 and 2.1.2, word for word ---- */

static uint8_t naive_leaves[NAIVE_MAX][HASH];

static void mth(uint64_t from, uint64_t to, uint8_t out[HASH])
{
    uint8_t both[1 + 2 * HASH] = {1};
    uint64_t k = 1;

    if (to - from == 1) {
        memcpy(out, naive_leaves[from], HASH);
        return;
    }
    while (k * 2 < to - from)
        k *= 2;
    mth(from, from + k, both + 1);
    mth(from + k, to, both + 1 + HASH);
    crypto_hash_sha256(out, both, sizeof both);
}

static void path(uint64_t m, uint64_t from, uint64_t to, struct merkle_proof *p)
{
    uint64_t k = 1;

    if (to - from == 1)
        return;
    while (k * 2 < to - from)
        k *= 2;
    if (m < k) {
        path(m, from, from + k, p);
        mth(from + k, to, p->hash[p->count++]);
    } else {
        path(m - k, from + k, to, p);
        mth(from, from + k, p->hash[p->count++]);
    }
}

static void subproof(uint64_t m, uint64_t from, uint64_t to, bool b,
                     struct merkle_proof *p)
{
    uint64_t k = 1;

    if (m == to - from) {
        if (!b)
            mth(from, to, p->hash[p->count++]);
        return;
    }
    while (k * 2 < to - from)
        k *= 2;
    if (m <= k) {
        subproof(m, from, from + k, b, p);
        mth(from + k, to, p->hash[p->count++]);
    } else {
        subproof(m - k, from + k, to, false, p);
        mth(from, from + k, p->hash[p->count++]);
    }
}

static bool proofs_equal(const struct merkle_proof *a,
                         const struct merkle_proof *b)
{
    return a->count == b->count &&
           memcmp(a->hash, b->hash, a->count * (size_t)HASH) == 0;
}

static void random_leaves(void)
{
    uint8_t seed[randombytes_SEEDBYTES] = {61, 62};

    randombytes_buf_deterministic(naive_leaves, sizeof naive_leaves, seed);
}

static const uint8_t (*all_leaves(void))[HASH]
{
    return (const uint8_t(*)[HASH])naive_leaves;
}

static void agrees_with_the_definition(void **state)
{
    uint8_t root[HASH], older[HASH], wanted[HASH];
    struct merkle_proof got, naive;
    struct merkle m;

    (void)state;
    random_leaves();
    merkle_init(&m);
    for (uint64_t n = 1; n <= NAIVE_MAX; n++) {
        merkle_append(&m, naive_leaves[n - 1]);
        merkle_root(&m, root);
        mth(0, n, wanted);
        assert_memory_equal(root, wanted, HASH);
        /* All proofs of every third size, and of those about powers of 2. */
        if (n > 70 && n % 29 != 0 && (n & (n - 1)) != 0 && n < NAIVE_MAX)
            continue;
        for (uint64_t i = 0; i < n; i++) {
            naive.count = 0;
            path(i, 0, n, &naive);
            merkle_inclusion(all_leaves(), n, i, &got);
            assert_true(proofs_equal(&got, &naive));
            assert_true(merkle_included(naive_leaves[i], i, n, &got, root));
            naive.count = 0;
            subproof(i + 1, 0, n, true, &naive);
            merkle_consistency(all_leaves(), n, i + 1, &got);
            assert_true(proofs_equal(&got, &naive));
            mth(0, i + 1, older);
            assert_true(merkle_consistent(i + 1, older, n, root, &got));
        }
    }
}

static void no_proof_holds_for_another_claim(void **state)
{
    uint8_t root[HASH], older[HASH], other[HASH];
    struct merkle_proof p;

    (void)state;
    random_leaves();
    for (uint64_t n = 2; n <= 33; n++) {
        merkle_root_of(all_leaves(), n, root);
        for (uint64_t i = 0; i < n; i++) {
            merkle_inclusion(all_leaves(), n, i, &p);
            for (uint64_t k = 0; k < n; k++) {
                if (k == i)
                    continue;
                assert_false(merkle_included(naive_leaves[k], i, n, &p, root));
                assert_false(merkle_included(naive_leaves[i], k, n, &p, root));
            }
            assert_false(merkle_included(naive_leaves[i], n, n, &p, root));
            assert_false(merkle_included(naive_leaves[i], i, 0, &p, root));
            merkle_root_of(all_leaves(), i + 1, older);
            merkle_consistency(all_leaves(), n, i + 1, &p);
            memcpy(other, older, HASH);
            other[i % HASH] ^= 1;
            assert_false(merkle_consistent(i + 1, other, n, root, &p));
            assert_false(merkle_consistent(i + 1, older, i, root, &p));
            for (uint32_t h = 0; h < p.count; h++) {
                p.hash[h][i % HASH] ^= 0x80;
                assert_false(merkle_consistent(i + 1, older, n, root, &p));
                p.hash[h][i % HASH] ^= 0x80;
            }
            if (p.count > 0) {
                p.count--;
                assert_false(merkle_consistent(i + 1, older, n, root, &p));
            }
        }
    }
}

static void nothing_is_consistent_with_everything(void **state)
{
    struct merkle_proof none = {.count = 0};
    uint8_t root[HASH], empty[HASH];
    struct merkle m;

    (void)state;
    random_leaves();
    merkle_init(&m);
    merkle_root(&m, empty);
    merkle_root_of(all_leaves(), 7, root);
    assert_true(merkle_consistent(0, empty, 7, root, &none));
    assert_true(merkle_consistent(7, root, 7, root, &none));
    assert_false(merkle_consistent(0, root, 7, root, &none));
    assert_false(merkle_consistent(7, empty, 7, root, &none));
    none.count = 1;
    assert_false(merkle_consistent(0, empty, 7, root, &none));
    assert_false(merkle_consistent(7, root, 7, root, &none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_published_roots),
        cmocka_unit_test(makes_the_published_proofs),
        cmocka_unit_test(agrees_with_the_definition),
        cmocka_unit_test(no_proof_holds_for_another_claim),
        cmocka_unit_test(nothing_is_consistent_with_everything),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
