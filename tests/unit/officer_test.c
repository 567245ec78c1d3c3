/* Tests of the officer's key directory: nothing is overwritten, nobody else
 * can read it, and the keys derived from it stay apart. */
#include "agent/policy_tool/officer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/sample_policy.h"
#include "policy/epoch.h"

struct place {
    char dir[64], keys[80];
};

static int place_make(void **state)
{
    struct place *p = calloc(1, sizeof(*p));

    if (!p)
        return -1;
    snprintf(p->dir, sizeof(p->dir), "/tmp/officer_test_XXXXXX");
    if (!mkdtemp(p->dir)) {
        free(p);
        return -1;
    }
    snprintf(p->keys, sizeof(p->keys), "%s/keys", p->dir);
    *state = p;
    return 0;
}

static int place_remove(void **state)
{
    struct place *p = *state;
    char command[128];
    int result;

    snprintf(command, sizeof(command), "rm -r %s", p->dir);
    result = system(command);
    free(p);
    return result;
}

static mode_t mode_of(const struct place *p, const char *name)
{
    char path[160];
    struct stat st;

    snprintf(path, sizeof(path), "%s/%s", p->keys, name);
    return stat(path, &st) == 0 ? st.st_mode & 0777 : 0;
}

static void makes_keys_that_only_the_owner_reads(void **state)
{
    const struct place *p = *state;
    struct minisign_sk *sk = NULL;
    struct minisign_pk pk, read;
    char path[160];
    struct why why;

    assert_int_equal(officer_keygen(p->keys, "dpo", false, &pk, &why),
                     SOTTO_OK);
    assert_int_equal(mode_of(p, ""), 0700);
    assert_int_equal(mode_of(p, "dpo.sec"), 0600);
    assert_int_equal(mode_of(p, "pseudonym.secret"), 0600);
    snprintf(path, sizeof(path), "%s/dpo.pub", p->keys);
    assert_int_equal(officer_pk_load(&read, path, &why), SOTTO_OK);
    assert_memory_equal(read.pk, pk.pk, sizeof(pk.pk));
    assert_int_not_equal(officer_sk_load(&sk, path, &why), SOTTO_OK);
    snprintf(path, sizeof(path), "%s/dpo.sec", p->keys);
    assert_int_equal(officer_sk_load(&sk, path, &why), SOTTO_OK);
    assert_memory_equal(sk->key_id, pk.key_id, sizeof(pk.key_id));
    minisign_free(sk);
}

static void overwrites_nothing(void **state)
{
    static const char *const kept[] = {"dpo.pub", "dpo.sec",
                                       "pseudonym.secret"};
    const struct place *p = *state;
    struct minisign_pk pk;
    struct why why;

    assert_int_equal(mkdir(p->keys, 0700), 0);
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        char path[160];
        struct buf b;

        snprintf(path, sizeof(path), "%s/%s", p->keys, kept[i]);
        assert_int_equal(file_replace(path, "old", 3, 0600), SOTTO_OK);
        assert_int_equal(officer_keygen(p->keys, "dpo", false, &pk, &why),
                         SOTTO_EEXIST);
        assert_non_null(strstr(why.text, kept[i]));
        buf_init(&b, 16);
        assert_int_equal(buf_read_file(&b, path), SOTTO_OK);
        assert_int_equal(b.size, 3);
        buf_fini(&b);
        assert_int_equal(unlink(path), 0);
        /* and nothing else was made */
        for (size_t j = 0; j < sizeof(kept) / sizeof(kept[0]); j++)
            assert_int_equal(mode_of(p, kept[j]), 0);
    }
}

static void a_further_signer_needs_no_master(void **state)
{
    const struct place *p = *state;
    struct minisign_pk pk;
    uint8_t *master = NULL;
    struct why why;

    assert_int_equal(officer_keygen(p->keys, "eng", true, &pk, &why), SOTTO_OK);
    assert_int_equal(mode_of(p, "pseudonym.secret"), 0);
    assert_int_equal(officer_master_load(&master, p->keys, &why),
                     SOTTO_ENOTFOUND);
    assert_int_equal(officer_keygen(p->keys, "dpo", false, &pk, &why),
                     SOTTO_OK);
    assert_int_equal(officer_master_load(&master, p->keys, &why), SOTTO_OK);
    sodium_free(master);
}

static void refuses_a_name_that_leaves_the_directory(void **state)
{
    static const char *const bad[] = {"", "../x", "a/b", ".hidden", "a b"};
    const struct place *p = *state;
    struct minisign_pk pk;
    struct why why;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(officer_keygen(p->keys, bad[i], false, &pk, &why),
                         SOTTO_EINVAL);
}

static void refuses_a_damaged_master(void **state)
{
    static const char *const bad[] = {"", "AAAA\n", "not base64 at all!\n"};
    const struct place *p = *state;
    uint8_t *master = NULL;
    char path[160];
    struct why why;

    assert_int_equal(mkdir(p->keys, 0700), 0);
    snprintf(path, sizeof(path), "%s/pseudonym.secret", p->keys);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(file_replace(path, bad[i], strlen(bad[i]), 0600),
                         SOTTO_OK);
        assert_int_equal(officer_master_load(&master, p->keys, &why),
                         SOTTO_EDECODE);
        assert_non_null(strstr(why.text, path));
    }
}

static void derives_a_key_apart_for_each_tenant_and_name(void **state)
{
    static const struct {
        const char *tenant, *key;
    } rows[] = {
        {"acme", "visitor"}, {"acme", "order"},   {"other", "visitor"},
        {"acmev", "isitor"}, {"", "acmevisitor"},
    };
    uint8_t master[MASTER_SIZE], out[5][32], again[32];

    (void)state;
    memset(master, 7, sizeof(master));
    for (int i = 0; i < 5; i++) {
        officer_key_derive(out[i], master, rows[i].tenant, rows[i].key);
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(out[i], out[j], 32);
    }
    officer_key_derive(again, master, "acme", "visitor");
    assert_memory_equal(again, out[0], 32);
    master[0] ^= 1;
    officer_key_derive(again, master, "acme", "visitor");
    assert_memory_not_equal(again, out[0], 32);
}

/* By one call over the bytes that the header states, not by parts. */
static void the_derivation_is_the_one_in_the_header(void **state)
{
    static const char message[] = "sotto pseudonym key\0acme\0visitor";
    uint8_t master[MASTER_SIZE], out[32], other[32];

    (void)state;
    for (size_t i = 0; i < sizeof(master); i++)
        master[i] = (uint8_t)i;
    officer_key_derive(out, master, "acme", "visitor");
    crypto_generichash(other, sizeof(other), (const uint8_t *)message,
                       sizeof(message) - 1, master, sizeof(master));
    assert_memory_equal(out, other, sizeof(out));
}

/* A policy of one key whose epochs are days. */
static struct policy *day_policy(void)
{
    struct policy *draft = sample_draft("acme");

    draft->keys[1].epoch_ms = DAY_MS;
    draft->keys[1].destroy_ms = 2 * DAY_MS;
    return sample_finish(draft);
}

static void read_epoch(const struct place *p, struct buf *b)
{
    char path[160];

    snprintf(path, sizeof(path), "%s/day.epoch", p->keys);
    buf_init(b, 4096);
    assert_int_equal(buf_read_file(b, path), SOTTO_OK);
}

static void a_day_key_is_no_child_of_the_master_and_turns(void **state)
{
    const struct place *p = *state;
    struct policy *policy = day_policy();
    struct pseudonym_keys *keys, *again;
    uint8_t derived[32], *master = NULL;
    struct buf line;
    char text[200], path[160];
    struct minisign_pk pk;
    struct why why;

    assert_int_equal(officer_keygen(p->keys, "dpo", false, &pk, &why),
                     SOTTO_OK);
    assert_int_equal(officer_keys(&keys, policy, p->keys, &why), SOTTO_OK);
    assert_int_equal(mode_of(p, "day.epoch"), 0600);
    assert_int_equal(officer_master_load(&master, p->keys, &why), SOTTO_OK);
    officer_key_derive(derived, master, "acme", "day");
    assert_memory_not_equal(derived, keys->secrets[1], 32);
    officer_key_derive(derived, master, "acme", "visitor");
    assert_memory_equal(derived, keys->secrets[0], 32);
    assert_int_equal(officer_keys(&again, policy, p->keys, &why), SOTTO_OK);
    assert_memory_equal(again, keys, sizeof(*keys));
    pseudonym_keys_free(again);

    /* a file of three days ago: what is over goes from it */
    memset(keys->secrets[1], 0xab, 32);
    snprintf(path, sizeof(path), "%s/day.epoch", p->keys);
    snprintf(text, sizeof(text), "86400000 %llu 172800000 %064d\n",
             (unsigned long long)keys->first[1] - 3, 0);
    memset(strrchr(text, ' ') + 1, 'a', 64);
    assert_int_equal(file_replace(path, text, strlen(text), 0600), SOTTO_OK);
    memset(keys->secrets[1], 0xaa, 32);
    epoch_turn(keys->secrets[1], 3);
    assert_int_equal(officer_keys(&again, policy, p->keys, &why), SOTTO_OK);
    if (again->first[1] == keys->first[1]) /* else it is midnight just now */
        assert_memory_equal(again->secrets[1], keys->secrets[1], 32);
    read_epoch(p, &line);
    assert_null(memmem(line.data, line.size, "aaaaaaaaaaaa", 12));
    buf_fini(&line);
    pseudonym_keys_free(again);
    pseudonym_keys_free(keys);
    sodium_free(master);
    policy_free(policy);
}

static void refuses_a_day_key_that_is_another(void **state)
{
    static const struct {
        const char *line, *words;
    } rows[] = {
        {"x", "restore it"},
        {"86400000 20000 172800000 abcd\n", "restore it"},
        {"3600000 490000 172800000 "
         "abababababababababababababababababababababababababababababababab\n",
         "another length"},
        {"86400000 7 172800000 "
         "abababababababababababababababababababababababababababababababab\n",
         "set the clock"},
    };
    const struct place *p = *state;
    struct policy *policy = day_policy();
    struct pseudonym_keys *keys;
    struct minisign_pk pk;
    char path[160];
    struct why why;

    assert_int_equal(officer_keygen(p->keys, "dpo", false, &pk, &why),
                     SOTTO_OK);
    snprintf(path, sizeof(path), "%s/day.epoch", p->keys);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(
            file_replace(path, rows[i].line, strlen(rows[i].line), 0600),
            SOTTO_OK);
        assert_int_not_equal(officer_keys(&keys, policy, p->keys, &why),
                             SOTTO_OK);
        if (!strstr(why.text, rows[i].words))
            fail_msg("%s", why.text);
    }
    policy_free(policy);
}

#define IN_PLACE(test)                                                         \
    cmocka_unit_test_setup_teardown(test, place_make, place_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(makes_keys_that_only_the_owner_reads),
        IN_PLACE(overwrites_nothing),
        IN_PLACE(a_further_signer_needs_no_master),
        IN_PLACE(refuses_a_name_that_leaves_the_directory),
        IN_PLACE(refuses_a_damaged_master),
        IN_PLACE(a_day_key_is_no_child_of_the_master_and_turns),
        IN_PLACE(refuses_a_day_key_that_is_another),
        cmocka_unit_test(derives_a_key_apart_for_each_tenant_and_name),
        cmocka_unit_test(the_derivation_is_the_one_in_the_header),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
