/* The aggregator's policies: a chain of versions with good signatures. */
#include "aggregator/policies.h"

#include <setjmp.h>
#include <stdarg.h>

#include <sys/stat.h>

#include <cmocka.h>

#include "../support/parts.h"
#include "../support/sample_policy.h"

struct bench {
    struct parts parts;
    char dir[256], key[300];
    struct store *store;
    struct policies *policies;
    struct why why;
};

static int setup(void **state)
{
    static struct bench b;

    memset(&b, 0, sizeof b);
    parts_make(&b.parts, "tcp://127.0.0.1:1", 1 << 20);
    snprintf(b.dir, sizeof b.dir, "%s/aggregator", b.parts.fixture.dir);
    snprintf(b.key, sizeof b.key, "%s/store.key", b.parts.fixture.dir);
    assert_int_equal(mkdir(b.dir, 0700), 0);
    assert_int_equal(store_create(b.dir, b.key, &b.why), SOTTO_OK);
    assert_int_equal(store_open(&b.store, b.dir, b.key, &b.why), SOTTO_OK);
    assert_int_equal(policies_open(&b.policies, b.store), SOTTO_OK);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    policies_close(b->policies);
    store_close(b->store);
    parts_free(&b->parts);
    return 0;
}

static enum sotto_err add_bytes(struct bench *b, const struct buf *container)
{
    const struct policy *added;

    b->why.text[0] = 0;
    return policies_add(b->policies, span_of(container->data, container->size),
                        1, &added, &b->why);
}

static enum sotto_err add(struct bench *b, uint64_t version,
                          void (*change)(struct policy *))
{
    struct buf container;
    enum sotto_err err;

    parts_policy(&b->parts, &container, version, change);
    err = add_bytes(b, &container);
    buf_fini(&container);
    return err;
}

static enum sotto_err add_first(struct bench *b)
{
    return add_bytes(b, &b->parts.home->officer.policy);
}

static void wrong_previous(struct policy *draft)
{
    draft->previous[0] ^= 1;
}

static void other_tenant(struct policy *draft)
{
    sample_copy(draft->tenant, sizeof draft->tenant, "another");
}

static void other_officer(struct policy *draft)
{
    draft->signers[0].pk[0] ^= 1;
}

static void versions_make_a_chain(void **state)
{
    struct bench *b = *state;
    const uint8_t *first = b->parts.fixture.policy->hash;
    uint8_t unknown[HASH_SIZE] = {0}, second[HASH_SIZE];
    struct buf out;

    buf_init(&out, SIGNED_POLICY_MAX);
    assert_null(policies_current(b->policies));
    assert_int_equal(policies_container(b->policies, &out), SOTTO_ENOTFOUND);
    assert_int_equal(add_first(b), SOTTO_OK);
    assert_int_equal(add_first(b), SOTTO_EEXIST);
    assert_int_equal(add(b, 2, wrong_previous), SOTTO_EREFUSED);
    assert_non_null(strstr(b->why.text, "previous"));
    assert_int_equal(add(b, 1, wrong_previous), SOTTO_ECRYPTO);
    assert_non_null(strstr(b->why.text, "rolled back"));
    assert_int_equal(add(b, 2, other_tenant), SOTTO_EREFUSED);
    assert_int_equal(add(b, 2, other_officer), SOTTO_ECRYPTO);
    assert_int_equal(add(b, 2, NULL), SOTTO_OK);
    assert_int_equal(add(b, 3, NULL), SOTTO_EREFUSED); /* follows the first */
    memcpy(second, policies_current(b->policies)->hash, HASH_SIZE);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(policies_current(b->policies)->version, 2);
        assert_int_equal(policies_find(b->policies, first)->version, 1);
        assert_int_equal(policies_find(b->policies, second)->version, 2);
        assert_null(policies_find(b->policies, unknown));
        policies_close(b->policies);
        assert_int_equal(policies_open(&b->policies, b->store), SOTTO_OK);
    }
    buf_fini(&out);
}

static enum sotto_err check_bytes(struct bench *b, const struct buf *container,
                                  struct policy_head *head)
{
    b->why.text[0] = 0;
    return policies_check(
        b->policies, span_of(container->data, container->size), head, &b->why);
}

/* What the verb asks before it records: nothing is taken by it. */
static void a_look_takes_nothing_and_sees_a_rollback(void **state)
{
    struct bench *b = *state;
    const struct buf *first = &b->parts.home->officer.policy;
    struct policy_head head;
    struct buf second;

    parts_policy(&b->parts, &second, 2, NULL);
    assert_int_equal(check_bytes(b, first, &head), SOTTO_OK);
    assert_int_equal(head.version, 1);
    assert_memory_equal(head.hash, b->parts.fixture.policy->hash, HASH_SIZE);
    assert_null(policies_current(b->policies));
    assert_int_equal(add_first(b), SOTTO_OK);
    assert_int_equal(check_bytes(b, first, &head), SOTTO_EEXIST);
    assert_int_equal(add_bytes(b, &second), SOTTO_OK);
    assert_int_equal(check_bytes(b, &second, &head), SOTTO_EEXIST);
    assert_int_equal(check_bytes(b, first, &head), SOTTO_ECRYPTO);
    assert_non_null(strstr(b->why.text, "rolled back"));
    assert_int_equal(policies_current(b->policies)->version, 2);
    buf_fini(&second);
}

static void the_newest_container_is_what_was_added(void **state)
{
    struct bench *b = *state;
    struct buf out, second;

    buf_init(&out, SIGNED_POLICY_MAX);
    assert_int_equal(add_first(b), SOTTO_OK);
    parts_policy(&b->parts, &second, 2, NULL);
    assert_int_equal(add_bytes(b, &second), SOTTO_OK);
    assert_int_equal(policies_container(b->policies, &out), SOTTO_OK);
    assert_int_equal(out.size, second.size);
    assert_memory_equal(out.data, second.data, out.size);
    buf_fini(&out);
    buf_fini(&second);
}

static void a_bad_signature_adds_nothing(void **state)
{
    struct bench *b = *state;
    struct buf *container = &b->parts.home->officer.policy;

    container->data[container->size / 3] ^= 1; /* in the compiled policy */
    assert_int_not_equal(add_first(b), SOTTO_OK);
    container->data[container->size / 3] ^= 1;
    assert_null(policies_current(b->policies));
    assert_int_equal(add_first(b), SOTTO_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(versions_make_a_chain),
        TEST(a_look_takes_nothing_and_sees_a_rollback),
        TEST(the_newest_container_is_what_was_added),
        TEST(a_bad_signature_adds_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
