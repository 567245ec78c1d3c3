/* The agent's policies: forward only, by the officer's chain, for its tenant.
 */
#include "agent/policyset.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "../support/parts.h"
#include "../support/sample_policy.h"

#define ROOMY (64 * 1024 * 1024)

static struct minisign_sk *second_officer;
static struct minisign_pk second_pk;

static int setup(void **state)
{
    static struct parts p;

    parts_make(&p, "tcp://127.0.0.1:1", ROOMY);
    assert_int_equal(minisign_make(&second_officer, &second_pk), SOTTO_OK);
    *state = &p;
    return 0;
}

static int teardown(void **state)
{
    minisign_free(second_officer);
    parts_free(*state);
    return 0;
}

static enum sotto_err add(struct parts *p, uint64_t version,
                          void (*change)(struct policy *), struct why *why)
{
    struct buf container;
    enum sotto_err err;

    parts_policy(p, &container, version, change);
    why->text[0] = 0;
    err = policyset_add(&p->policies, span_of(container.data, container.size),
                        why);
    buf_fini(&container);
    return err;
}

static uint64_t version_now(const struct parts *p, uint32_t *number)
{
    return policyset_current(&p->policies, number)->version;
}

static void rolls_forward_only(void **state)
{
    struct parts *p = *state;
    uint32_t first, second;
    struct why why;

    assert_int_equal(version_now(p, &first), 1);
    assert_int_equal(add(p, 3, NULL, &why), SOTTO_OK);
    assert_int_equal(add(p, 3, NULL, &why), SOTTO_EEXIST);
    assert_int_equal(add(p, 2, NULL, &why), SOTTO_EEXIST);
    assert_non_null(strstr(why.text, "version 2 is not newer than 3"));
    assert_int_equal(version_now(p, &second), 3);
    assert_true(first != second);
    assert_int_equal(policyset_get(&p->policies, first)->version, 1);
    assert_int_equal(policyset_get(&p->policies, second)->version, 3);
    assert_null(policyset_get(&p->policies, 99));
    parts_close(p); /* and both are there after a restart */
    parts_open(p);
    assert_int_equal(version_now(p, NULL), 3);
    assert_int_equal(policyset_get(&p->policies, first)->version, 1);
}

static void other_tenant(struct policy *draft)
{
    sample_copy(draft->tenant, sizeof draft->tenant, "another");
}

static void another_tenants_policy_is_refused(void **state)
{
    struct why why;

    assert_int_equal(add(*state, 2, other_tenant, &why), SOTTO_EREFUSED);
    assert_non_null(strstr(why.text, "another"));
    assert_int_equal(version_now(*state, NULL), 1);
}

static void below_the_minimum_is_refused(void **state)
{
    struct parts *p = *state;
    struct why why;

    p->policies.minimum_version = 5;
    assert_int_equal(add(p, 4, NULL, &why), SOTTO_EREFUSED);
    assert_int_equal(add(p, 5, NULL, &why), SOTTO_OK);
}

static void second_signs(struct policy *draft)
{
    memcpy(draft->signers[0].key_id, second_pk.key_id, sizeof second_pk.key_id);
    memcpy(draft->signers[0].pk, second_pk.pk, sizeof second_pk.pk);
}

/* Signed by one officer or by both. */
static enum sotto_err add_signed(struct parts *p, uint64_t version, bool first,
                                 bool second, struct why *why)
{
    struct policy draft = *p->fixture.policy;
    struct signed_policy s = {.signature_count = 0};
    struct buf compiled, one, two, container;
    enum sotto_err err;

    second_signs(&draft);
    draft.version = version;
    buf_init(&compiled, POLICY_BYTES_MAX);
    buf_init(&one, 4096);
    buf_init(&two, 4096);
    buf_init(&container, SIGNED_POLICY_MAX);
    assert_int_equal(policy_encode(&compiled, &draft), SOTTO_OK);
    s.compiled = span_of(compiled.data, compiled.size);
    assert_int_equal(minisign_sign(&one, p->fixture.officer, s.compiled, "a"),
                     SOTTO_OK);
    assert_int_equal(minisign_sign(&two, second_officer, s.compiled, "b"),
                     SOTTO_OK);
    if (first)
        s.signatures[s.signature_count++] = span_of(one.data, one.size);
    if (second)
        s.signatures[s.signature_count++] = span_of(two.data, two.size);
    assert_int_equal(signed_policy_encode(&container, &s), SOTTO_OK);
    err = policyset_add(&p->policies, span_of(container.data, container.size),
                        why);
    buf_fini(&compiled);
    buf_fini(&one);
    buf_fini(&two);
    buf_fini(&container);
    return err;
}

/* A successor's key takes over only with the signature of the one before. */
static void officers_hand_over_with_both_signatures(void **state)
{
    struct parts *p = *state;
    struct why why;

    assert_int_equal(add_signed(p, 2, false, true, &why), SOTTO_ECRYPTO);
    assert_int_equal(add_signed(p, 2, true, false, &why), SOTTO_ECRYPTO);
    assert_int_equal(version_now(p, NULL), 1);
    assert_int_equal(add_signed(p, 2, true, true, &why), SOTTO_OK);
    assert_int_equal(add(p, 3, NULL, &why), SOTTO_ECRYPTO); /* the old one */
    assert_int_equal(add_signed(p, 3, false, true, &why), SOTTO_OK);
    assert_int_equal(version_now(p, NULL), 3);
}

static void a_changed_policy_is_refused(void **state)
{
    struct parts *p = *state;
    struct buf container;
    struct why why;
    size_t size;

    parts_policy(p, &container, 2, NULL);
    size = p->fixture.policy->compiled.size; /* what the signature is over */
    for (size_t at = 8; at < size; at += size / 37) {
        container.data[at] ^= 4;
        assert_int_not_equal(
            policyset_add(&p->policies, span_of(container.data, container.size),
                          &why),
            SOTTO_OK);
        container.data[at] ^= 4;
    }
    assert_int_equal(version_now(p, NULL), 1);
    assert_int_equal(policyset_add(&p->policies,
                                   span_of(container.data, container.size),
                                   &why),
                     SOTTO_OK);
    buf_fini(&container);
}

/* The officer's signatures, rightly made, of the version before. */
static void a_stale_signature_is_refused(void **state)
{
    struct parts *p = *state;
    struct signed_policy old, new;
    struct buf first, second, mixed;
    struct why why;

    parts_policy(p, &first, 2, NULL);
    parts_policy(p, &second, 3, NULL);
    buf_init(&mixed, SIGNED_POLICY_MAX);
    assert_int_equal(
        signed_policy_decode(&old, span_of(first.data, first.size)), SOTTO_OK);
    assert_int_equal(
        signed_policy_decode(&new, span_of(second.data, second.size)),
        SOTTO_OK);
    for (uint32_t i = 0; i < old.signature_count; i++)
        new.signatures[i] = old.signatures[i];
    assert_int_equal(signed_policy_encode(&mixed, &new), SOTTO_OK);
    assert_int_equal(
        policyset_add(&p->policies, span_of(mixed.data, mixed.size), &why),
        SOTTO_ECRYPTO);
    assert_non_null(strstr(why.text, "signature"));
    assert_int_equal(version_now(p, NULL), 1);
    assert_int_equal(
        policyset_add(&p->policies, span_of(second.data, second.size), &why),
        SOTTO_OK);
    buf_fini(&first);
    buf_fini(&second);
    buf_fini(&mixed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rolls_forward_only),
        TEST(another_tenants_policy_is_refused),
        TEST(below_the_minimum_is_refused),
        TEST(officers_hand_over_with_both_signatures),
        TEST(a_changed_policy_is_refused),
        TEST(a_stale_signature_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
