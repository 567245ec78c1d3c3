/* keys: saving and loading, ids, and a damaged file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../support/wire.h"

static void same_keys_after_save_and_load(void **state)
{
    struct keys *k, *again;
    struct peer peer;
    struct buf saved;

    (void)state;
    buf_init(&saved, 4096);
    assert_int_equal(keys_make(&k), SOTTO_OK);
    assert_int_equal(keys_save(k, &saved), SOTTO_OK);
    assert_int_equal(keys_load(&again, span_of(saved.data, saved.size)),
                     SOTTO_OK);
    assert_memory_equal(k->sign_sk, again->sign_sk, 64);
    assert_memory_equal(k->box_sk, again->box_sk, 32);
    keys_peer(again, &peer);
    assert_memory_equal(k->sign_pk, peer.sign_pk, PK_SIZE);
    assert_memory_equal(k->box_pk, peer.box_pk, PK_SIZE);
    assert_memory_equal(k->sign_id, peer.sign_id, KEY_ID_SIZE);
    assert_memory_equal(k->box_id, peer.box_id, KEY_ID_SIZE);
    keys_free(again);
    keys_free(k);
    buf_wipe(&saved);
}

/* X25519 ignores five bits of a secret key; those make the same key. */
static void a_damaged_file_is_never_another_identity(void **state)
{
    struct keys *k = fixed_keys(1), *again;
    struct buf saved;
    int accepted = 0;

    (void)state;
    buf_init(&saved, 4096);
    assert_int_equal(keys_save(k, &saved), SOTTO_OK);
    for (size_t bit = 0; bit < 8 * saved.size; bit++) {
        saved.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (keys_load(&again, span_of(saved.data, saved.size)) == SOTTO_OK) {
            assert_memory_equal(k->sign_id, again->sign_id, KEY_ID_SIZE);
            assert_memory_equal(k->box_id, again->box_id, KEY_ID_SIZE);
            keys_free(again);
            accepted++;
        }
        saved.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(accepted, 5);
    for (size_t size = 0; size < saved.size; size++)
        assert_int_equal(keys_load(&again, span_of(saved.data, size)),
                         SOTTO_EDECODE);
    keys_free(k);
    buf_wipe(&saved);
}

static void save_appends_and_obeys_the_limit(void **state)
{
    struct keys *k = fixed_keys(1);
    struct buf saved;

    (void)state;
    buf_init(&saved, 16);
    assert_int_equal(buf_append(&saved, "before", 6), SOTTO_OK);
    assert_int_equal(keys_save(k, &saved), SOTTO_ETOOBIG);
    assert_int_equal(saved.size, 6);
    saved.max = 4096;
    assert_int_equal(keys_save(k, &saved), SOTTO_OK);
    assert_memory_equal(saved.data, "before", 6);
    keys_free(k);
    buf_wipe(&saved);
}

static void keys_are_made_anew(void **state)
{
    struct keys *a, *b;

    (void)state;
    assert_int_equal(keys_make(&a), SOTTO_OK);
    assert_int_equal(keys_make(&b), SOTTO_OK);
    assert_memory_not_equal(a->sign_id, b->sign_id, KEY_ID_SIZE);
    assert_memory_not_equal(a->box_id, b->box_id, KEY_ID_SIZE);
    keys_free(a);
    keys_free(b);
    keys_free(NULL);
}

/* BLAKE2b-256("abc"), also from Python's hashlib. */
static void hash_is_blake2b_of_the_parts(void **state)
{
    uint8_t hash[HASH_SIZE];

    (void)state;
    for (size_t cut = 0; cut <= 3; cut++) {
        char *hex;

        hash_bytes(hash, span_of("abc", cut), span_of(&"abc"[cut], 3 - cut));
        hex = hex_of(span_of(hash, sizeof hash));
        assert_string_equal(hex, "bddd813c634239723171ef3fee98579b"
                                 "94964e3bb1cb3e427262c8c068d52319");
        free(hex);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_keys_after_save_and_load),
        cmocka_unit_test(a_damaged_file_is_never_another_identity),
        cmocka_unit_test(save_appends_and_obeys_the_limit),
        cmocka_unit_test(keys_are_made_anew),
        cmocka_unit_test(hash_is_blake2b_of_the_parts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
