/* The agent's directory: made once, loaded whole, and never another's. */
#include "agent/home.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/parts.h"
#include "../support/sample_policy.h"
#include "policy/epoch.h"

struct bench {
    struct fixture fixture;
    struct buf token, bundle;
    struct why why;
};

static int setup(void **state)
{
    static struct bench b;

    memset(&b, 0, sizeof b);
    fixture_make(&b.fixture, NULL, "tcp://192.0.2.1:4711", NULL);
    parts_read(&b.token, b.fixture.token_file);
    parts_read(&b.bundle, b.fixture.bundle_file);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    buf_wipe(&b->token);
    buf_wipe(&b->bundle);
    fixture_free(&b->fixture);
    return 0;
}

static enum sotto_err make_with(struct bench *b, struct span token,
                                const char *code)
{
    return home_make(b->fixture.home, token,
                     span_of(b->bundle.data, b->bundle.size), code, &b->why);
}

static enum sotto_err make(struct bench *b)
{
    return make_with(b, span_of(b->token.data, b->token.size), b->fixture.code);
}

static struct home *load(struct bench *b)
{
    struct home *h = NULL;

    assert_int_equal(home_load(&h, b->fixture.home, &b->why), SOTTO_OK);
    return h;
}

static void file_in(char out[256], const struct bench *b, const char *name)
{
    snprintf(out, 256, "%s/%s", b->fixture.home, name);
}

static void loads_what_was_made(void **state)
{
    struct bench *b = *state;
    struct home *h, *again;
    struct peer aggregator;

    assert_int_equal(make(b), SOTTO_OK);
    h = load(b);
    keys_peer(b->fixture.aggregator, &aggregator);
    assert_memory_equal(&h->aggregator, &aggregator, sizeof aggregator);
    assert_string_equal(h->address, "tcp://192.0.2.1:4711");
    assert_string_equal(h->name, "fixture");
    assert_string_equal(h->officer.tenant, b->fixture.policy->tenant);
    assert_int_equal(h->officer.keys->count, b->fixture.pseudonyms->count);
    assert_false(h->enrolled);
    again = load(b);
    assert_memory_equal(h->secret, again->secret, 32);
    assert_memory_equal(h->import_key, again->import_key, 32);
    assert_memory_equal(h->keys->sign_sk, again->keys->sign_sk, 64);
    assert_false(sodium_is_zero(h->import_key, 32));
    home_free(h);
    home_free(again);
}

static void secrets_are_for_their_owner_only(void **state)
{
    static const char *const names[] = {"agent.keys", "token", "officer"};
    struct bench *b = *state;
    struct stat st;
    char path[256];

    assert_int_equal(make(b), SOTTO_OK);
    for (int i = 0; i < 3; i++) {
        file_in(path, b, names[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
}

/* Whether any file of the directory holds the 32 bytes. */
static bool stored(const struct bench *b, const uint8_t secret[32])
{
    DIR *dir = opendir(b->fixture.home);
    const struct dirent *entry;
    bool found = false;

    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        char path[512];
        struct buf bytes;

        snprintf(path, sizeof path, "%s/%s", b->fixture.home, entry->d_name);
        buf_init(&bytes, BUNDLE_FILE_MAX);
        if (entry->d_type == DT_REG && !buf_read_file(&bytes, path))
            found |= memmem(bytes.data, bytes.size, secret, 32) != NULL;
        buf_wipe(&bytes);
    }
    closedir(dir);
    return found;
}

/* Writes the keys with the first one a day's, of epoch number first. */
static void rekey(const struct home *h, uint64_t first, uint8_t secret[32])
{
    struct pseudonym_keys *k = pseudonym_keys_make();

    *k = *h->officer.keys;
    k->epoch_ms[0] = DAY_MS;
    k->destroy_ms[0] = DAY_MS;
    k->first[0] = first;
    if (first > 0)
        epoch_turn(k->secrets[0], 1);
    memcpy(secret, k->secrets[0], 32);
    assert_int_equal(home_rekey(h, k), SOTTO_OK);
    pseudonym_keys_free(k);
}

static void a_destroyed_key_is_nowhere_on_the_disk(void **state)
{
    struct bench *b = *state;
    uint8_t old[32], new[32], zeros[4096] = {0}, bytes[4096];
    struct home *h, *again;
    char path[256];
    ssize_t size;
    int fd;

    assert_int_equal(make(b), SOTTO_OK);
    h = load(b);
    rekey(h, 0, old);
    assert_true(stored(b, old)); /* the control */
    file_in(path, b, "officer");
    fd = open(path, O_RDONLY); /* what undelete would find */
    rekey(h, 1, new);
    assert_false(stored(b, old));
    assert_true(stored(b, new));
    size = read(fd, bytes, sizeof bytes);
    assert_true(size > 32);
    assert_memory_equal(bytes, zeros, (size_t)size);
    close(fd);
    again = load(b);
    assert_int_equal(again->officer.keys->first[0], 1);
    assert_memory_equal(again->officer.keys->secrets[0], new, 32);
    home_free(again);
    home_free(h);
}

/* The two moments at which a crash leaves a second name. */
static void a_rekey_cut_short_is_finished(void **state)
{
    struct bench *b = *state;
    uint8_t old[32], new[32];
    char now[256], before[256];
    struct home *h;

    assert_int_equal(make(b), SOTTO_OK);
    h = load(b);
    rekey(h, 0, old);
    file_in(now, b, "officer");
    file_in(before, b, "officer.before");
    assert_int_equal(link(now, before), 0); /* before the rename */
    assert_int_equal(home_destroy_rest(h), SOTTO_OK);
    assert_int_equal(access(before, F_OK), -1);
    assert_true(stored(b, old)); /* the one file lives on */

    assert_int_equal(link(now, before), 0);
    assert_int_equal(file_replace(now, "new", 3, 0600), SOTTO_OK); /* after */
    assert_true(stored(b, old));
    assert_int_equal(home_destroy_rest(h), SOTTO_OK);
    assert_int_equal(access(before, F_OK), -1);
    assert_false(stored(b, old));

    assert_int_equal(file_replace(before, "rest", 4, 0600), SOTTO_OK);
    rekey(h, 1, new); /* or by the next */
    assert_int_equal(access(before, F_OK), -1);
    home_free(h);
}

/* A lost reply, or the file copied once more with another line end. */
static void the_same_token_keeps_the_keys(void **state)
{
    struct bench *b = *state;
    struct home *h, *again;
    struct buf text;

    assert_int_equal(make(b), SOTTO_OK);
    h = load(b);
    assert_int_equal(make(b), SOTTO_OK);
    buf_init(&text, 1 << 20);
    assert_int_equal(buf_append(&text, b->token.data, b->token.size), SOTTO_OK);
    assert_int_equal(buf_append(&text, "\r\n\n", 3), SOTTO_OK);
    assert_int_equal(
        make_with(b, span_of(text.data, text.size), b->fixture.code), SOTTO_OK);
    again = load(b);
    assert_memory_equal(h->keys->sign_pk, again->keys->sign_pk, PK_SIZE);
    assert_memory_equal(h->secret, again->secret, 32);
    buf_wipe(&text);
    home_free(h);
    home_free(again);
}

static void another_token_is_refused(void **state)
{
    struct bench *b = *state;
    struct fixture second;
    struct buf token;

    assert_int_equal(make(b), SOTTO_OK);
    fixture_make(&second, NULL, "tcp://192.0.2.1:4711", NULL);
    parts_read(&token, second.token_file);
    assert_int_equal(
        make_with(b, span_of(token.data, token.size), b->fixture.code),
        SOTTO_EEXIST);
    assert_non_null(strstr(b->why.text, b->fixture.home));
    buf_wipe(&token);
    fixture_free(&second);
    home_free(load(b));
}

static void another_tenants_bundle_is_refused(void **state)
{
    struct bench *b = *state;
    struct bundle theirs;
    struct home *h;

    assert_int_equal(make(b), SOTTO_OK);
    assert_int_equal(bundle_open(&theirs,
                                 span_of(b->bundle.data, b->bundle.size),
                                 b->fixture.code),
                     SOTTO_OK);
    sample_copy(theirs.tenant, sizeof theirs.tenant, "another-shop");
    buf_clear(&b->bundle);
    assert_int_equal(bundle_seal(&b->bundle, &theirs, b->fixture.code),
                     SOTTO_OK);
    bundle_fini(&theirs);
    assert_int_equal(make(b), SOTTO_EEXIST);
    assert_non_null(strstr(b->why.text, "another-shop"));
    h = load(b);
    assert_string_equal(h->officer.tenant, b->fixture.policy->tenant);
    home_free(h);
}

static void a_wrong_code_opens_nothing(void **state)
{
    struct bench *b = *state;
    struct home *h;

    assert_int_equal(make_with(b, span_of(b->token.data, b->token.size),
                               "AAAA-BBBB-CCCC-DDDD-EEEE"),
                     SOTTO_ECRYPTO);
    assert_non_null(strstr(b->why.text, "code"));
    assert_int_equal(home_load(&h, b->fixture.home, &b->why), SOTTO_ENOTFOUND);
    assert_int_equal(make(b), SOTTO_OK); /* and then the right one */
    home_free(load(b));
}

static void a_token_that_is_none_is_refused(void **state)
{
    struct bench *b = *state;
    char path[256];

    assert_int_equal(make_with(b, span_text("sotto1:AAAA"), b->fixture.code),
                     SOTTO_EDECODE);
    file_in(path, b, "token");
    assert_int_not_equal(access(path, F_OK), 0);
}

static void an_empty_directory_says_what_to_do(void **state)
{
    struct bench *b = *state;
    struct home *h = NULL;

    assert_int_equal(home_load(&h, b->fixture.home, &b->why), SOTTO_ENOTFOUND);
    assert_null(h);
    assert_non_null(strstr(b->why.text, "enroll"));
}

static void a_damaged_file_is_named(void **state)
{
    static const char *const names[] = {"agent.keys", "token", "officer"};
    struct bench *b = *state;
    struct home *h = NULL;
    struct buf whole;
    char path[256];

    assert_int_equal(make(b), SOTTO_OK);
    for (int i = 0; i < 3; i++) {
        file_in(path, b, names[i]);
        parts_read(&whole, path);
        for (size_t size = 0; size < whole.size; size += 1 + whole.size / 7) {
            assert_int_equal(file_replace(path, whole.data, size, 0600),
                             SOTTO_OK);
            assert_int_not_equal(home_load(&h, b->fixture.home, &b->why),
                                 SOTTO_OK);
            assert_non_null(strstr(b->why.text, path));
        }
        assert_int_equal(file_replace(path, whole.data, whole.size, 0600),
                         SOTTO_OK);
        buf_wipe(&whole);
        home_free(load(b));
    }
}

static void the_certificate_makes_it_enrolled(void **state)
{
    struct bench *b = *state;
    struct home *h;

    assert_int_equal(make(b), SOTTO_OK);
    h = load(b);
    assert_int_equal(home_enrolled(h, span_text("certificate")), SOTTO_OK);
    assert_true(h->enrolled);
    home_free(h);
    h = load(b);
    assert_true(h->enrolled);
    snprintf(h->dir, sizeof h->dir, "%s/nowhere", b->fixture.dir);
    h->enrolled = false;
    assert_int_not_equal(home_enrolled(h, span_text("certificate")), SOTTO_OK);
    assert_false(h->enrolled);
    home_free(h);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(loads_what_was_made),
        TEST(a_destroyed_key_is_nowhere_on_the_disk),
        TEST(a_rekey_cut_short_is_finished),
        TEST(secrets_are_for_their_owner_only),
        TEST(the_same_token_keeps_the_keys),
        TEST(another_token_is_refused),
        TEST(another_tenants_bundle_is_refused),
        TEST(a_wrong_code_opens_nothing),
        TEST(a_token_that_is_none_is_refused),
        TEST(an_empty_directory_says_what_to_do),
        TEST(a_damaged_file_is_named),
        TEST(the_certificate_makes_it_enrolled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
