/* Tests of approvals: who has signed, who is missing, whose signature is of
 * other bytes. */
#include "agent/policy_tool/approval.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define BYTES "what was compiled"

/* Two signers, and a file that nobody has signed yet. */
struct desk {
    char dir[32], file[64], signatures[2][80];
    struct minisign_sk *keys[2];
    struct signers rule;
};

static void desk_open(struct desk *d)
{
    static const char *const names[] = {"dpo", "eng"};

    memset(d, 0, sizeof(*d));
    snprintf(d->dir, sizeof(d->dir), "/tmp/approval-XXXXXX");
    assert_non_null(mkdtemp(d->dir));
    snprintf(d->file, sizeof(d->file), "%s/policy", d->dir);
    assert_int_equal(file_replace(d->file, BYTES, strlen(BYTES), 0600),
                     SOTTO_OK);
    d->rule.needed = d->rule.count = 2;
    for (int i = 0; i < 2; i++) {
        struct policy_signer *s = &d->rule.keys[i];
        struct minisign_pk pk;

        assert_int_equal(minisign_make(&d->keys[i], &pk), SOTTO_OK);
        snprintf(s->name, sizeof(s->name), "%s", names[i]);
        memcpy(s->key_id, pk.key_id, sizeof(s->key_id));
        memcpy(s->pk, pk.pk, sizeof(s->pk));
        snprintf(d->signatures[i], sizeof(d->signatures[i]), "%s.%s.minisig",
                 d->file, names[i]);
    }
}

static void desk_close(struct desk *d)
{
    for (int i = 0; i < 2; i++) {
        minisign_free(d->keys[i]);
        unlink(d->signatures[i]);
    }
    unlink(d->file);
    rmdir(d->dir);
}

static void sign(const struct desk *d, int key, const char *bytes)
{
    struct buf text;

    buf_init(&text, 4096);
    assert_int_equal(
        minisign_sign(&text, d->keys[key], span_text(bytes), "test"), SOTTO_OK);
    assert_int_equal(
        file_replace(d->signatures[key], text.data, text.size, 0600), SOTTO_OK);
    buf_fini(&text);
}

static struct approval approval_of(const struct desk *d)
{
    struct approval a;
    struct why why = {""};

    if (approval_read(&a, &d->rule, d->file, &why))
        fail_msg("%s", why.text);
    return a;
}

static void says_who_is_missing(void **state)
{
    struct desk d;
    struct approval a;

    (void)state;
    desk_open(&d);
    a = approval_of(&d);
    assert_int_equal(a.given, 0);
    assert_false(approval_holds(&a));
    sign(&d, 0, BYTES);
    a = approval_of(&d);
    assert_int_equal(a.given, 1);
    assert_int_equal(a.states[0], APPROVAL_GIVEN);
    assert_int_equal(a.states[1], APPROVAL_MISSING);
    assert_false(approval_holds(&a));
    sign(&d, 1, BYTES);
    a = approval_of(&d);
    assert_int_equal(a.given, 2);
    assert_true(approval_holds(&a));
    desk_close(&d);
}

static void a_signature_of_other_bytes_is_wrong(void **state)
{
    struct desk d;
    struct approval a;

    (void)state;
    desk_open(&d);
    sign(&d, 0, BYTES);
    sign(&d, 1, "what was compiled before");
    d.rule.needed = 1;
    a = approval_of(&d);
    assert_int_equal(a.given, 1);
    assert_int_equal(a.states[1], APPROVAL_WRONG);
    assert_int_equal(a.wrong, 1);
    assert_false(approval_holds(&a)); /* though one would be enough */
    desk_close(&d);
}

static void two_names_of_one_key_are_one_signer(void **state)
{
    struct desk d;
    struct approval a;

    (void)state;
    desk_open(&d);
    memcpy(d.rule.keys[1].pk, d.rule.keys[0].pk, PK_SIZE);
    memcpy(d.rule.keys[1].key_id, d.rule.keys[0].key_id, 8);
    sign(&d, 0, BYTES);
    a = approval_of(&d);
    assert_int_equal(a.given, 1);
    assert_false(approval_holds(&a));
    desk_close(&d);
}

static void a_stranger_counts_for_nothing(void **state)
{
    struct desk d;
    struct approval a;

    (void)state;
    desk_open(&d);
    sign(&d, 0, BYTES);
    sign(&d, 1, BYTES);
    d.rule.needed = d.rule.count = 1; /* `eng` is no signer of the rule */
    a = approval_of(&d);
    assert_int_equal(a.given, 1);
    assert_true(approval_holds(&a));
    d.rule.needed = 2;
    a = approval_of(&d);
    assert_false(approval_holds(&a));
    desk_close(&d);
}

static void a_file_that_is_not_there_is_an_error(void **state)
{
    struct desk d;
    struct approval a;
    struct why why = {""};

    (void)state;
    desk_open(&d);
    unlink(d.file);
    assert_int_not_equal(approval_read(&a, &d.rule, d.file, &why), SOTTO_OK);
    assert_non_null(strstr(why.text, d.file));
    desk_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_who_is_missing),
        cmocka_unit_test(a_signature_of_other_bytes_is_wrong),
        cmocka_unit_test(two_names_of_one_key_are_one_signer),
        cmocka_unit_test(a_stranger_counts_for_nothing),
        cmocka_unit_test(a_file_that_is_not_there_is_an_error),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
