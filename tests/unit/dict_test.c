/* The dictionary against a list searched from the start, and its hash. */
#include "base/dict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15); /* SplitMix64, Steele et al. */
    uint64_t z = *state;

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void numbers_keys_in_order_of_first_appearance(void **state)
{
    const char *const keys[] = {"b", "a", "", "b", "a", "c"};
    const uint32_t numbers[] = {0, 1, 2, 0, 1, 3};
    struct dict d;

    (void)state;
    dict_init(&d, 10, 100, 1);
    assert_int_equal(dict_find(&d, span_text("b")), DICT_NONE);
    for (size_t i = 0; i < 6; i++) {
        uint32_t number = 99;

        assert_int_equal(dict_intern(&d, span_text(keys[i]), &number),
                         SOTTO_OK);
        assert_int_equal(number, numbers[i]);
    }
    assert_int_equal(d.count, 4);
    assert_true(span_equal(dict_key(&d, 2), span_text("")));
    assert_true(span_equal(dict_key(&d, 3), span_text("c")));
    dict_fini(&d);
    assert_int_equal(d.count, 0);
}

static void an_empty_key_may_be_the_first(void **state)
{
    struct dict d;
    uint32_t number;

    (void)state;
    dict_init(&d, 10, 100, 1);
    assert_int_equal(dict_intern(&d, span_of(NULL, 0), &number), SOTTO_OK);
    assert_int_equal(dict_intern(&d, span_text(""), &number), SOTTO_OK);
    assert_int_equal(number, 0);
    assert_int_equal(dict_key(&d, 0).size, 0);
    dict_fini(&d);
}

static void refuses_a_new_key_at_a_limit_but_finds_the_old(void **state)
{
    struct dict d;
    uint32_t number = 77;

    (void)state;
    dict_init(&d, 2, 100, 1);
    assert_int_equal(dict_intern(&d, span_text("a"), &number), SOTTO_OK);
    assert_int_equal(dict_intern(&d, span_text("b"), &number), SOTTO_OK);
    number = 77;
    assert_int_equal(dict_intern(&d, span_text("c"), &number), SOTTO_EFULL);
    assert_int_equal(number, 77);
    assert_int_equal(d.count, 2);
    assert_int_equal(dict_find(&d, span_text("c")), DICT_NONE);
    assert_int_equal(dict_intern(&d, span_text("a"), &number), SOTTO_OK);
    assert_int_equal(number, 0);
    dict_fini(&d);

    dict_init(&d, 100, 5, 1);
    assert_int_equal(dict_intern(&d, span_text("abc"), &number), SOTTO_OK);
    assert_int_equal(dict_intern(&d, span_text("def"), &number), SOTTO_EFULL);
    assert_int_equal(d.count, 1);
    assert_int_equal(dict_intern(&d, span_text("de"), &number), SOTTO_OK);
    assert_int_equal(number, 1);
    dict_fini(&d);
}

static void clearing_forgets_keys_and_starts_from_zero(void **state)
{
    struct dict d;
    uint32_t number;

    (void)state;
    dict_init(&d, 10, 100, 1);
    assert_int_equal(dict_intern(&d, span_text("a"), &number), SOTTO_OK);
    assert_int_equal(dict_intern(&d, span_text("b"), &number), SOTTO_OK);
    dict_clear(&d);
    assert_int_equal(dict_find(&d, span_text("a")), DICT_NONE);
    assert_int_equal(dict_intern(&d, span_text("b"), &number), SOTTO_OK);
    assert_int_equal(number, 0);
    dict_fini(&d);
}

#define KEY_MAX 40
struct listed {
    uint8_t bytes[KEY_MAX];
    size_t size;
};

static uint32_t list_find(const struct listed *list, uint32_t count,
                          struct span key)
{
    for (uint32_t i = 0; i < count; i++) {
        if (span_equal(span_of(list[i].bytes, list[i].size), key))
            return i;
    }
    return DICT_NONE;
}

/* Keys over an alphabet of two letters, so that they repeat, are prefixes of
 * one another and differ in their last byte only. */
static struct listed random_key(uint64_t *random)
{
    struct listed key;

    key.size = next_random(random) % 4 ? next_random(random) % 12
                                       : next_random(random) % KEY_MAX;
    for (size_t i = 0; i < key.size; i++)
        key.bytes[i] = (uint8_t)(next_random(random) & 1);
    return key;
}

static void agrees_with_a_list_on_random_keys(void **state)
{
    enum { ROUNDS = 20, STEPS = 3000 };
    struct listed *list = calloc(STEPS, sizeof(*list));

    (void)state;
    assert_non_null(list);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        uint64_t random = round;
        uint32_t count = 0;
        struct dict d;

        dict_init(&d, STEPS, (size_t)STEPS * KEY_MAX, round * 31);
        for (int step = 0; step < STEPS; step++) {
            struct listed key = random_key(&random);
            struct span span = span_of(key.bytes, key.size);
            uint32_t known = list_find(list, count, span);
            uint32_t number;

            assert_int_equal(dict_find(&d, span), known);
            if (step % 3 == 0)
                continue;
            assert_int_equal(dict_intern(&d, span, &number), SOTTO_OK);
            if (known == DICT_NONE) {
                known = count;
                list[count++] = key;
            }
            assert_int_equal(number, known);
        }
        assert_int_equal(d.count, count);
        assert_true(d.count <= d.slot_count / 4 * 3);
        for (uint32_t i = 0; i < count; i++)
            assert_true(span_equal(dict_key(&d, i),
                                   span_of(list[i].bytes, list[i].size)));
        dict_fini(&d);
    }
    free(list);
}

/* Every bit of every key up to 70 bytes, and every bit of the seed: the hash
 * changes, and about half of its bits do. */
static void one_flipped_bit_changes_half_of_the_hash(void **state)
{
    uint64_t random = 5, changed = 0, flips = 0;
    uint64_t changed_of_bit[64] = {0};
    uint8_t key[70];

    (void)state;
    for (size_t size = 0; size <= sizeof(key); size++) {
        uint64_t seed = next_random(&random), before;

        for (size_t i = 0; i < size; i++)
            key[i] = (uint8_t)next_random(&random);
        before = hash64(key, size, seed);
        for (size_t bit = 0; bit < size * 8 + 64; bit++) {
            uint64_t other = seed, difference;
            size_t at = bit - 64;

            if (bit < 64)
                other ^= UINT64_C(1) << bit;
            else
                key[at / 8] ^= (uint8_t)(1u << at % 8);
            difference = before ^ hash64(key, size, other);
            if (bit >= 64)
                key[at / 8] ^= (uint8_t)(1u << at % 8);
            assert_true(difference != 0);
            flips++;
            changed += (uint64_t)__builtin_popcountll(difference);
            for (int i = 0; i < 64; i++)
                changed_of_bit[i] += difference >> i & 1;
        }
    }
    /* 24,424 flips: half of 64 bits, give or take five standard errors. */
    assert_true(changed > flips * 319 / 10 && changed < flips * 321 / 10);
    for (int i = 0; i < 64; i++)
        assert_true(changed_of_bit[i] > flips * 48 / 100 &&
                    changed_of_bit[i] < flips * 52 / 100);
}

static void zeros_of_different_length_hash_differently(void **state)
{
    const uint8_t zeros[200] = {0};
    uint64_t hashes[200];

    (void)state;
    for (size_t size = 0; size < 200; size++) {
        hashes[size] = hash64(zeros, size, 0);
        for (size_t i = 0; i < size; i++)
            assert_true(hashes[i] != hashes[size]);
    }
}

static void swapped_blocks_hash_differently(void **state)
{
    uint8_t one[80], other[80];

    (void)state;
    for (size_t i = 0; i < 80; i++)
        one[i] = (uint8_t)(i * 37);
    for (size_t at = 0; at + 32 <= 80; at += 8) {
        memcpy(other, one, 80);
        memcpy(other + at, one + at + 16, 16);
        memcpy(other + at + 16, one + at, 16);
        assert_true(hash64(one, 80, 1) != hash64(other, 80, 1));
    }
}

static void the_hash_does_not_depend_on_alignment(void **state)
{
    uint8_t bytes[80];
    uint64_t expected;

    (void)state;
    for (size_t i = 0; i < 60; i++)
        bytes[i] = (uint8_t)(i * 11);
    expected = hash64(bytes, 60, 3);
    for (size_t shift = 1; shift < 16; shift++) {
        memmove(bytes + shift, bytes + shift - 1, 60);
        assert_true(hash64(bytes + shift, 60, 3) == expected);
    }
}

/* Counters in keys and low bits in slots: as few collisions as chance gives.
 * 65,536 balls in 65,536 bins leave 1/e empty, +-1%. */
static void low_bits_spread_counters_like_chance(void **state)
{
    static uint8_t hit[65536];
    uint32_t empty = 0;

    (void)state;
    for (uint32_t i = 0; i < 65536; i++)
        hit[hash64(&i, sizeof(i), 9) & 0xffff] = 1;
    for (uint32_t i = 0; i < 65536; i++)
        empty += !hit[i];
    assert_in_range(empty, 24109 - 700, 24109 + 700);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_keys_in_order_of_first_appearance),
        cmocka_unit_test(an_empty_key_may_be_the_first),
        cmocka_unit_test(refuses_a_new_key_at_a_limit_but_finds_the_old),
        cmocka_unit_test(clearing_forgets_keys_and_starts_from_zero),
        cmocka_unit_test(agrees_with_a_list_on_random_keys),
        cmocka_unit_test(one_flipped_bit_changes_half_of_the_hash),
        cmocka_unit_test(zeros_of_different_length_hash_differently),
        cmocka_unit_test(swapped_blocks_hash_differently),
        cmocka_unit_test(the_hash_does_not_depend_on_alignment),
        cmocka_unit_test(low_bits_spread_counters_like_chance),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
