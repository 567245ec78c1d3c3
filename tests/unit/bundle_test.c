/* Tests of the officer's bundle: everything comes back with the right code,
 * nothing with another. */
#include "policy/bundle.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void bundle_make(struct bundle *b)
{
    memset(b, 0, sizeof(*b));
    buf_init(&b->policy, SIGNED_POLICY_MAX);
    memcpy(b->tenant, "acme-retail", 12);
    b->minimum_version = 7;
    b->signers.needed = 1;
    b->signers.count = 2;
    memcpy(b->signers.keys[0].name, "dpo", 4);
    memset(b->signers.keys[0].pk, 3, PK_SIZE);
    memcpy(b->signers.keys[1].name, "eng", 4);
    memset(b->signers.keys[1].key_id, 9, 8);
    b->keys = pseudonym_keys_make();
    assert_non_null(b->keys);
    b->keys->count = 2;
    memcpy(b->keys->names[0], "visitor", 8);
    memset(b->keys->secrets[0], 0xa5, 32);
    memcpy(b->keys->names[1], "order", 6);
    memset(b->keys->secrets[1], 0x5a, 32);
    b->keys->epoch_ms[1] = DAY_MS;
    b->keys->destroy_ms[1] = 2 * DAY_MS;
    b->keys->first[1] = 20780;
    assert_int_equal(buf_append(&b->policy, "signed policy", 13), SOTTO_OK);
}

static void assert_same(const struct bundle *a, const struct bundle *b)
{
    assert_string_equal(a->tenant, b->tenant);
    assert_int_equal(a->minimum_version, b->minimum_version);
    assert_int_equal(a->signers.needed, b->signers.needed);
    assert_int_equal(a->signers.count, b->signers.count);
    assert_memory_equal(a->signers.keys, b->signers.keys,
                        a->signers.count * sizeof(a->signers.keys[0]));
    assert_int_equal(a->keys->count, b->keys->count);
    for (uint32_t i = 0; i < a->keys->count; i++) {
        assert_string_equal(a->keys->names[i], b->keys->names[i]);
        assert_memory_equal(a->keys->secrets[i], b->keys->secrets[i], 32);
        assert_int_equal(a->keys->epoch_ms[i], b->keys->epoch_ms[i]);
        assert_int_equal(a->keys->destroy_ms[i], b->keys->destroy_ms[i]);
        assert_int_equal(a->keys->first[i], b->keys->first[i]);
    }
    assert_true(span_equal(span_of(a->policy.data, a->policy.size),
                           span_of(b->policy.data, b->policy.size)));
}

static void the_plain_form_comes_back(void **state)
{
    struct bundle b, again;
    struct buf plain;

    (void)state;
    bundle_make(&b);
    buf_init(&plain, BUNDLE_FILE_MAX);
    assert_int_equal(bundle_encode(&plain, &b), SOTTO_OK);
    assert_int_equal(bundle_decode(&again, span_of(plain.data, plain.size)),
                     SOTTO_OK);
    assert_same(&b, &again);
    bundle_fini(&again);
    for (size_t size = 0; size < plain.size; size++)
        assert_int_not_equal(bundle_decode(&again, span_of(plain.data, size)),
                             SOTTO_OK);
    bundle_fini(&b);
    buf_wipe(&plain);
}

/* Whatever bit changes, the decoder answers and the sanitizers stay quiet. */
static void survives_every_flipped_bit(void **state)
{
    struct bundle b, again;
    struct buf plain;

    (void)state;
    bundle_make(&b);
    buf_init(&plain, BUNDLE_FILE_MAX);
    assert_int_equal(bundle_encode(&plain, &b), SOTTO_OK);
    for (size_t i = 0; i < plain.size * 8; i++) {
        plain.data[i / 8] ^= (uint8_t)(1 << i % 8);
        if (!bundle_decode(&again, span_of(plain.data, plain.size))) {
            assert_in_range(again.signers.needed, 1, again.signers.count);
            assert_in_range(again.keys->count, 0, POLICY_KEYS_MAX);
            bundle_fini(&again);
        }
        plain.data[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    bundle_fini(&b);
    buf_wipe(&plain);
}

static void refuses_a_key_under_one_name_twice(void **state)
{
    struct bundle b, again;
    struct buf plain;

    (void)state;
    bundle_make(&b);
    memcpy(b.keys->names[1], "visitor", 8);
    buf_init(&plain, BUNDLE_FILE_MAX);
    assert_int_equal(bundle_encode(&plain, &b), SOTTO_OK);
    assert_int_equal(bundle_decode(&again, span_of(plain.data, plain.size)),
                     SOTTO_EDECODE);
    bundle_fini(&b);
    buf_wipe(&plain);
}

struct sealed {
    struct bundle bundle;
    struct buf file;
    char code[BUNDLE_CODE_SIZE + 1];
};

static void sealed_make(struct sealed *s)
{
    bundle_make(&s->bundle);
    buf_init(&s->file, BUNDLE_FILE_MAX);
    bundle_code_make(s->code);
    assert_int_equal(bundle_seal(&s->file, &s->bundle, s->code), SOTTO_OK);
}

static void sealed_free(struct sealed *s)
{
    bundle_fini(&s->bundle);
    buf_fini(&s->file);
}

static struct span file_of(const struct sealed *s)
{
    return span_of(s->file.data, s->file.size);
}

static void opens_with_its_code_however_typed(void **state)
{
    char typed[64] = "";
    struct bundle again;
    struct sealed s;
    size_t size = 0;

    (void)state;
    sealed_make(&s);
    assert_int_equal(bundle_open(&again, file_of(&s), s.code), SOTTO_OK);
    assert_same(&s.bundle, &again);
    bundle_fini(&again);
    /* lower case, no dashes, O for 0 and l for 1 */
    for (const char *c = s.code; *c; c++)
        if (*c != '-')
            typed[size++] = *c == '0'   ? 'O'
                            : *c == '1' ? 'l'
                                        : (char)tolower((unsigned char)*c);
    assert_int_equal(bundle_open(&again, file_of(&s), typed), SOTTO_OK);
    assert_same(&s.bundle, &again);
    bundle_fini(&again);
    sealed_free(&s);
}

static void refuses_any_other_code(void **state)
{
    struct bundle again;
    struct sealed s;
    char wrong[BUNDLE_CODE_SIZE + 1];

    (void)state;
    sealed_make(&s);
    memcpy(wrong, s.code, sizeof(wrong));
    wrong[0] = wrong[0] == '7' ? '8' : '7';
    assert_int_equal(bundle_open(&again, file_of(&s), wrong), SOTTO_ECRYPTO);
    assert_int_equal(bundle_open(&again, file_of(&s), ""), SOTTO_ECRYPTO);
    memcpy(wrong, s.code, sizeof(wrong));
    wrong[BUNDLE_CODE_SIZE - 1] = '\0'; /* a letter short */
    assert_int_equal(bundle_open(&again, file_of(&s), wrong), SOTTO_ECRYPTO);
    assert_null(again.keys);
    sealed_free(&s);
}

static void refuses_a_file_with_any_byte_changed(void **state)
{
    struct bundle again;
    struct sealed s;

    (void)state;
    sealed_make(&s);
    for (size_t i = 0; i < s.file.size; i += 23) {
        s.file.data[i] ^= 1;
        assert_int_equal(bundle_open(&again, file_of(&s), s.code),
                         i < 8 ? SOTTO_EDECODE : SOTTO_ECRYPTO);
        s.file.data[i] ^= 1;
    }
    assert_int_equal(bundle_open(&again, span_of(s.file.data, 40), s.code),
                     SOTTO_EDECODE);
    s.file.size--;
    assert_int_equal(bundle_open(&again, file_of(&s), s.code), SOTTO_ECRYPTO);
    sealed_free(&s);
}

static void seals_under_a_whole_code_only(void **state)
{
    static const char *const bad[] = {"", "ABCD", "ABCD-EFGH-JKMN-PQRS-TVW",
                                      "ABCD-EFGH-JKMN-PQRS-TVWXY",
                                      "ABCD-EFGH-JKMN-PQRS-TVW*"};
    struct bundle b;
    struct buf out;

    (void)state;
    bundle_make(&b);
    buf_init(&out, BUNDLE_FILE_MAX);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(bundle_seal(&out, &b, bad[i]), SOTTO_EINVAL);
    assert_int_equal(out.size, 0);
    bundle_fini(&b);
    buf_fini(&out);
}

static bool holds(const struct buf *b, const void *bytes, size_t size)
{
    return memmem(b->data, b->size, bytes, size) != NULL;
}

static void the_file_shows_nothing(void **state)
{
    struct sealed s;
    struct buf plain;

    (void)state;
    sealed_make(&s);
    buf_init(&plain, BUNDLE_FILE_MAX);
    assert_int_equal(bundle_encode(&plain, &s.bundle), SOTTO_OK);
    assert_true(holds(&plain, "visitor", 7)); /* the check can fail */
    assert_true(holds(&plain, s.bundle.keys->secrets[0], 32));
    assert_false(holds(&s.file, "visitor", 7));
    assert_false(holds(&s.file, "acme", 4));
    assert_false(holds(&s.file, s.bundle.keys->secrets[0], 32));
    buf_wipe(&plain);
    sealed_free(&s);
}

static void codes_are_of_one_form_and_never_the_same(void **state)
{
    char a[BUNDLE_CODE_SIZE + 1], b[BUNDLE_CODE_SIZE + 1];

    (void)state;
    bundle_code_make(a);
    bundle_code_make(b);
    assert_string_not_equal(a, b);
    assert_int_equal(strlen(a), BUNDLE_CODE_SIZE);
    for (int i = 0; i < BUNDLE_CODE_SIZE; i++)
        assert_int_equal(a[i] == '-', i % 5 == 4);
    assert_null(strpbrk(a, "ILOU"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_plain_form_comes_back),
        cmocka_unit_test(survives_every_flipped_bit),
        cmocka_unit_test(refuses_a_key_under_one_name_twice),
        cmocka_unit_test(opens_with_its_code_however_typed),
        cmocka_unit_test(refuses_any_other_code),
        cmocka_unit_test(refuses_a_file_with_any_byte_changed),
        cmocka_unit_test(seals_under_a_whole_code_only),
        cmocka_unit_test(the_file_shows_nothing),
        cmocka_unit_test(codes_are_of_one_form_and_never_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
