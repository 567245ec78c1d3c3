/* Tests of signed policies: who must have signed, and that nobody else can. */
#include "policy/signed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../support/sample_policy.h"

#include <cmocka.h>

#define SIGNERS 3

struct desk { /* three officers */
    struct minisign_sk *sk[SIGNERS];
    struct minisign_pk pk[SIGNERS];
};

static const char *const names[SIGNERS] = {"dpo", "eng", "law"};

static int desk_open(void **state)
{
    struct desk *d = calloc(1, sizeof(*d));

    if (!d)
        return -1;
    for (int i = 0; i < SIGNERS; i++)
        assert_int_equal(minisign_make(&d->sk[i], &d->pk[i]), SOTTO_OK);
    *state = d;
    return 0;
}

static int desk_close(void **state)
{
    struct desk *d = *state;

    for (int i = 0; i < SIGNERS; i++)
        minisign_free(d->sk[i]);
    free(d);
    return 0;
}

/* A policy whose rule is: needed of the first count officers. */
static struct policy *policy_make(const struct desk *d, uint8_t needed,
                                  uint8_t first, uint8_t count,
                                  uint64_t version)
{
    struct policy *draft = sample_draft("acme");

    draft->version = version;
    draft->signers_needed = needed;
    draft->signer_count = count;
    for (uint8_t i = 0; i < count; i++) {
        struct policy_signer *s = &draft->signers[i];

        sample_copy(s->name, sizeof(s->name), names[first + i]);
        memcpy(s->key_id, d->pk[first + i].key_id, sizeof(s->key_id));
        memcpy(s->pk, d->pk[first + i].pk, sizeof(s->pk));
    }
    return sample_finish(draft);
}

/* The container of p signed by those officers whose bit is set; flip: a bit of
 * the first signature's text is changed. */
static void container_make(struct buf *out, const struct desk *d,
                           const struct policy *p, unsigned who, bool flip)
{
    struct span compiled = span_of(p->compiled.data, p->compiled.size);
    struct signed_policy s = {.compiled = compiled};
    struct buf texts[SIGNERS];

    for (int i = 0; i < SIGNERS; i++) {
        buf_init(&texts[i], 4096);
        if (!(who >> i & 1))
            continue;
        assert_int_equal(minisign_sign(&texts[i], d->sk[i], compiled, "t"),
                         SOTTO_OK);
        if (flip && s.signature_count == 0)
            texts[i].data[texts[i].size - 20] ^= 1;
        s.signatures[s.signature_count++] =
            span_of(texts[i].data, texts[i].size);
    }
    buf_init(out, SIGNED_POLICY_MAX);
    assert_int_equal(signed_policy_encode(out, &s), SOTTO_OK);
    for (int i = 0; i < SIGNERS; i++)
        buf_fini(&texts[i]);
}

/* Loads the container and frees everything. */
static enum sotto_err load(const struct desk *d, struct policy *p, unsigned who,
                           bool flip, const struct signers *trusted,
                           struct why *why)
{
    struct policy *loaded = NULL;
    struct buf container;
    enum sotto_err err;

    container_make(&container, d, p, who, flip);
    err = signed_policy_load(&loaded, span_of(container.data, container.size),
                             trusted, why);
    if (!err)
        assert_memory_equal(loaded->hash, p->hash, HASH_SIZE);
    else
        assert_null(loaded);
    policy_free(loaded);
    policy_free(p);
    buf_fini(&container);
    return err;
}

static void takes_two_of_three_and_not_one(void **state)
{
    const struct desk *d = *state;
    struct why why;

    for (unsigned who = 0; who < 8; who++) {
        int signers = (int)(who & 1) + (int)(who >> 1 & 1) + (int)(who >> 2);

        assert_int_equal(
            load(d, policy_make(d, 2, 0, 3, 1), who, false, NULL, &why),
            signers >= 2 ? SOTTO_OK : SOTTO_ECRYPTO);
    }
}

static void names_the_signature_that_is_missing(void **state)
{
    const struct desk *d = *state;
    struct why why;

    assert_int_equal(load(d, policy_make(d, 2, 0, 2, 1), 1, false, NULL, &why),
                     SOTTO_ECRYPTO);
    assert_non_null(strstr(why.text, "1 of 2 signatures"));
    assert_non_null(strstr(why.text, "`eng` missing"));
    assert_null(strstr(why.text, "`dpo`"));
}

static void names_the_signature_that_is_wrong(void **state)
{
    const struct desk *d = *state;
    struct why why;

    assert_int_equal(load(d, policy_make(d, 1, 0, 1, 1), 1, true, NULL, &why),
                     SOTTO_ECRYPTO);
    assert_non_null(strstr(why.text, "`dpo` wrong"));
    assert_non_null(strstr(why.text, "sign the compiled file again"));
}

static void one_signer_does_not_count_twice(void **state)
{
    const struct desk *d = *state;
    struct policy *p = policy_make(d, 1, 0, 1, 1), *loaded = NULL;
    struct signed_policy s;
    struct signers twice;
    struct buf container, doubled;
    struct why why;

    container_make(&container, d, p, 1, false);
    assert_int_equal(
        signed_policy_decode(&s, span_of(container.data, container.size)),
        SOTTO_OK);
    s.signatures[1] = s.signatures[0]; /* the same signature again */
    s.signature_count = 2;
    buf_init(&doubled, SIGNED_POLICY_MAX);
    assert_int_equal(signed_policy_encode(&doubled, &s), SOTTO_OK);
    signers_of(&twice, p);
    twice.keys[1] = twice.keys[0]; /* and the same key under another name */
    memcpy(twice.keys[1].name, "eng", 4);
    twice.count = twice.needed = 2;
    assert_int_equal(signed_policy_load(&loaded,
                                        span_of(doubled.data, doubled.size),
                                        &twice, &why),
                     SOTTO_ECRYPTO);
    policy_free(p);
    buf_fini(&container);
    buf_fini(&doubled);
}

static void trusting_nobody_trusts_nothing(void **state)
{
    const struct desk *d = *state;
    struct signers nobody = {.needed = 0};
    struct why why;

    assert_int_equal(
        load(d, policy_make(d, 1, 0, 1, 1), 7, false, &nobody, &why),
        SOTTO_ECRYPTO);
}

/* Version 2 names new officers; those of version 1 must agree to it. */
static void the_next_version_needs_the_signers_of_the_last(void **state)
{
    const struct desk *d = *state;
    struct policy *v1 = policy_make(d, 1, 0, 1, 1);
    struct signers trusted;
    struct why why;

    signers_of(&trusted, v1);
    /* by the new officer alone: valid in itself, but not a successor */
    assert_int_equal(load(d, policy_make(d, 1, 1, 1, 2), 2, false, NULL, &why),
                     SOTTO_OK);
    assert_int_equal(
        load(d, policy_make(d, 1, 1, 1, 2), 2, false, &trusted, &why),
        SOTTO_ECRYPTO);
    assert_non_null(strstr(why.text, "`dpo` missing"));
    /* by the old officer alone: the new one has not agreed */
    assert_int_equal(
        load(d, policy_make(d, 1, 1, 1, 2), 1, false, &trusted, &why),
        SOTTO_ECRYPTO);
    assert_non_null(strstr(why.text, "`eng` missing"));
    assert_int_equal(
        load(d, policy_make(d, 1, 1, 1, 2), 3, false, &trusted, &why),
        SOTTO_OK);
    policy_free(v1);
}

static void no_bit_of_the_policy_can_change(void **state)
{
    const struct desk *d = *state;
    struct policy *p = policy_make(d, 1, 0, 1, 1), *loaded = NULL;
    struct signers trusted;
    struct buf container;
    struct why why;

    signers_of(&trusted, p);
    container_make(&container, d, p, 1, false);
    for (size_t i = 0; i < p->compiled.size; i += 7) {
        container.data[8 + i] ^= 4;
        assert_int_not_equal(
            signed_policy_load(&loaded, span_of(container.data, container.size),
                               &trusted, &why),
            SOTTO_OK);
        container.data[8 + i] ^= 4;
    }
    assert_null(loaded);
    policy_free(p);
    buf_fini(&container);
}

static void decodes_what_it_encodes_and_nothing_cut(void **state)
{
    const struct desk *d = *state;
    struct policy *p = policy_make(d, 2, 0, 3, 1);
    struct signed_policy s;
    struct buf container, again;

    container_make(&container, d, p, 7, false);
    buf_init(&again, SIGNED_POLICY_MAX);
    assert_int_equal(
        signed_policy_decode(&s, span_of(container.data, container.size)),
        SOTTO_OK);
    assert_int_equal(s.signature_count, 3);
    assert_int_equal(signed_policy_encode(&again, &s), SOTTO_OK);
    assert_true(span_equal(span_of(again.data, again.size),
                           span_of(container.data, container.size)));
    for (size_t size = 0; size < container.size; size++)
        assert_int_not_equal(
            signed_policy_decode(&s, span_of(container.data, size)), SOTTO_OK);
    policy_free(p);
    buf_fini(&container);
    buf_fini(&again);
}

static void file_put(const char *dir, const char *name, const void *bytes,
                     size_t size)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_int_equal(file_replace(path, bytes, size, 0600), SOTTO_OK);
}

static void reads_the_signatures_beside_the_file(void **state)
{
    char dir[] = "/tmp/signed_test_XXXXXX", path[128], command[128];
    const struct desk *d = *state;
    struct policy *p = policy_make(d, 1, 0, 1, 1), *loaded = NULL;
    struct span compiled = span_of(p->compiled.data, p->compiled.size);
    struct buf container, text;
    struct why why;

    buf_init(&container, SIGNED_POLICY_MAX);
    buf_init(&text, 4096);
    assert_non_null(mkdtemp(dir));
    assert_int_equal(minisign_sign(&text, d->sk[0], compiled, "t"), SOTTO_OK);
    /* a name that a pattern would read otherwise */
    file_put(dir, "p[1]", compiled.data, compiled.size);
    snprintf(path, sizeof(path), "%s/p[1]", dir);
    assert_int_equal(signed_policy_read_files(&container, path, &why),
                     SOTTO_OK);
    assert_int_equal(signed_policy_load(&loaded,
                                        span_of(container.data, container.size),
                                        NULL, &why),
                     SOTTO_ECRYPTO);
    file_put(dir, "p1.dpo.minisig", text.data, text.size);
    assert_int_equal(signed_policy_read_files(&container, path, &why),
                     SOTTO_OK);
    assert_int_equal(signed_policy_load(&loaded,
                                        span_of(container.data, container.size),
                                        NULL, &why),
                     SOTTO_ECRYPTO);
    file_put(dir, "p[1].dpo.minisig", text.data, text.size);
    assert_int_equal(signed_policy_read_files(&container, path, &why),
                     SOTTO_OK);
    assert_int_equal(signed_policy_load(&loaded,
                                        span_of(container.data, container.size),
                                        NULL, &why),
                     SOTTO_OK);
    snprintf(path, sizeof(path), "%s/absent", dir);
    assert_int_equal(signed_policy_read_files(&container, path, &why),
                     SOTTO_ENOTFOUND);
    snprintf(command, sizeof(command), "rm -r %s", dir);
    assert_int_equal(system(command), 0);
    policy_free(loaded);
    policy_free(p);
    buf_fini(&container);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_two_of_three_and_not_one),
        cmocka_unit_test(names_the_signature_that_is_missing),
        cmocka_unit_test(names_the_signature_that_is_wrong),
        cmocka_unit_test(one_signer_does_not_count_twice),
        cmocka_unit_test(trusting_nobody_trusts_nothing),
        cmocka_unit_test(the_next_version_needs_the_signers_of_the_last),
        cmocka_unit_test(no_bit_of_the_policy_can_change),
        cmocka_unit_test(decodes_what_it_encodes_and_nothing_cut),
        cmocka_unit_test(reads_the_signatures_beside_the_file),
    };

    return cmocka_run_group_tests(tests, desk_open, desk_close);
}
