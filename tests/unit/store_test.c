/* The store: made once, opened with its own key only, and durable as said. */
#include "aggregator/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../support/shop.h"

static struct span bytes_of(const struct buf *b)
{
    return span_of(b->data, b->size);
}

static int setup(void **state)
{
    static struct shop shop;

    shop_open(&shop);
    *state = &shop;
    return 0;
}

static int teardown(void **state)
{
    shop_close(*state);
    return 0;
}

static int64_t ask(struct store *s, const char *text)
{
    sqlite3_stmt *q = store_prepare(s, text);
    int64_t value;

    assert_int_equal(store_row(q), SOTTO_OK);
    value = sqlite3_column_int64(q, 0);
    store_done(q);
    return value;
}

static void is_made_once(void **state)
{
    struct shop *s = *state;
    struct why why = {""};

    assert_int_equal(store_create(s->dir, s->key, &why), SOTTO_EEXIST);
    assert_non_null(strstr(why.text, s->dir));
    assert_int_equal(store_create("/nowhere/at/all", s->key, &why),
                     SOTTO_ENOTFOUND);
}

static void an_interrupted_creation_is_finished(void **state)
{
    struct shop *s = *state, half = *s;
    struct why why;
    char path[128];

    /* a database of which only the file was made */
    strcpy(half.dir, "/tmp/sotto-half-XXXXXX");
    assert_non_null(mkdtemp(half.dir));
    shop_path(path, &half, "");
    fclose(fopen(path, "w"));
    assert_int_equal(store_open(&half.store, half.dir, half.key, &why),
                     SOTTO_ENOTFOUND);
    assert_int_equal(store_create(half.dir, half.key, &why), SOTTO_OK);
    assert_int_equal(store_open(&half.store, half.dir, half.key, &why),
                     SOTTO_OK);
    store_close(half.store);
    unlink(path);
    rmdir(half.dir);
}

static void refuses_another_key(void **state)
{
    struct shop *s = *state;
    uint8_t other[32] = {1};
    struct store *store = NULL;
    struct why why = {""};
    char path[128];

    shop_path(path, s, ".other");
    assert_int_equal(file_replace(path, other, sizeof(other), 0600), SOTTO_OK);
    assert_int_equal(store_open(&store, s->dir, path, &why), SOTTO_ECRYPTO);
    assert_non_null(strstr(why.text, path));
    assert_int_equal(file_replace(path, other, 31, 0600), SOTTO_OK);
    assert_int_equal(store_open(&store, s->dir, path, &why), SOTTO_EINVAL);
    unlink(path);
    assert_int_equal(store_open(&store, s->dir, path, &why), SOTTO_ENOTFOUND);
    assert_null(store);
}

static void the_key_is_for_its_owner_only(void **state)
{
    struct shop *s = *state;
    struct store *store;
    struct stat st;
    struct why why;

    assert_int_equal(stat(s->key, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, 32);
    assert_int_equal(chmod(s->key, 0640), 0);
    assert_int_equal(store_open(&store, s->dir, s->key, &why), SOTTO_EINVAL);
}

static void refuses_a_version_it_does_not_know(void **state)
{
    struct shop *s = *state;
    struct store *store;
    struct why why;

    sqlite3_exec(s->store->db, "PRAGMA user_version=3", NULL, NULL, NULL);
    assert_int_equal(store_open(&store, s->dir, s->key, &why), SOTTO_EVERSION);
}

static void adds_what_the_first_version_had_not(void **state)
{
    struct shop *s = *state;
    struct store *store;
    struct why why;

    assert_int_equal(sqlite3_exec(s->store->db,
                                  "DROP TABLE body;"
                                  "ALTER TABLE chain DROP COLUMN body;"
                                  "PRAGMA user_version=1",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    for (int i = 0; i < 2; i++) { /* the second time it is there */
        assert_int_equal(store_open(&store, s->dir, s->key, &why), SOTTO_OK);
        assert_int_equal(sqlite3_exec(store->db,
                                      "SELECT body FROM chain;"
                                      "SELECT agent, id FROM body",
                                      NULL, NULL, NULL),
                         SQLITE_OK);
        store_close(store);
    }
}

static void commits_are_durable_and_deletion_overwrites(void **state)
{
    struct shop *s = *state;
    sqlite3_stmt *q = store_prepare(s->store, "PRAGMA journal_mode");

    assert_int_equal(store_row(q), SOTTO_OK);
    assert_string_equal((const char *)sqlite3_column_text(q, 0), "wal");
    store_done(q);
    assert_int_equal(ask(s->store, "PRAGMA synchronous"), 2); /* FULL */
    assert_int_equal(ask(s->store, "PRAGMA secure_delete"), 1);
    assert_true(ask(s->store, "PRAGMA busy_timeout") > 0);
}

/* What the other modules will ask of the tables that they do not make. */
static void has_the_tables_of_all_modules(void **state)
{
    static const char *const texts[] = {
        "SELECT number, name, sign_pk, box_pk, key_id, enrolled_ms, revoked_ms"
        " FROM agent",
        "SELECT secret_hash, name, uses, expires_ms, key_id FROM token",
        "SELECT hash, tenant, version, container, added_ms FROM policy",
        "SELECT agent, number, kind, key, expires_ms, made_ms, body"
        " FROM document",
        "SELECT agent, last FROM sync",
        "SELECT version, state, meta, blob FROM model",
    };
    struct shop *s = *state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_non_null(store_prepare(s->store, texts[i]));
    assert_null(store_prepare(s->store, "SELECT no FROM such"));
    assert_int_equal(store_row(NULL), SOTTO_EIO);
}

static void a_statement_is_prepared_once_and_comes_back_clean(void **state)
{
    static const char text[] = "SELECT ?";
    struct shop *s = *state;
    char copy[sizeof(text)];
    sqlite3_stmt *q = store_prepare(s->store, text);
    uint32_t count = s->store->statement_count;

    sqlite3_bind_int64(q, 1, 5);
    assert_int_equal(store_row(q), SOTTO_OK);
    memcpy(copy, text, sizeof(text));
    assert_ptr_equal(store_prepare(s->store, copy), q);
    assert_int_equal(s->store->statement_count, count);
    assert_int_equal(store_row(q), SOTTO_OK);
    assert_int_equal(sqlite3_column_type(q, 0), SQLITE_NULL);
    assert_int_equal(store_row(q), SOTTO_ENOTFOUND);
}

static void opens_what_it_sealed_and_nothing_else(void **state)
{
    struct shop *s = *state;
    struct buf sealed, plain;

    buf_init(&sealed, 4096);
    buf_init(&plain, 4096);
    for (size_t size = 0; size < 40; size += 13) {
        uint8_t text[40] = {7};

        assert_int_equal(
            store_seal(s->store, "a", span_of(text, size), &sealed), SOTTO_OK);
        assert_int_equal(store_unseal(s->store, "a", bytes_of(&sealed), &plain),
                         SOTTO_OK);
        assert_true(span_equal(bytes_of(&plain), span_of(text, size)));
        assert_int_equal(store_unseal(s->store, "b", bytes_of(&sealed), &plain),
                         SOTTO_ECRYPTO);
        assert_int_equal(plain.size, 0);
        for (size_t i = 0; i < sealed.size; i++) {
            sealed.data[i] ^= 1;
            assert_int_equal(
                store_unseal(s->store, "a", bytes_of(&sealed), &plain),
                SOTTO_ECRYPTO);
            sealed.data[i] ^= 1;
            assert_int_equal(
                store_unseal(s->store, "a", span_of(sealed.data, i), &plain),
                SOTTO_ECRYPTO);
        }
    }
    buf_fini(&sealed);
    buf_fini(&plain);
}

static void the_same_is_never_sealed_to_the_same(void **state)
{
    struct shop *s = *state;
    struct buf a, b;

    buf_init(&a, 4096);
    buf_init(&b, 4096);
    store_seal(s->store, "x", span_text("same"), &a);
    store_seal(s->store, "x", span_text("same"), &b);
    assert_false(span_equal(bytes_of(&a), bytes_of(&b)));
    buf_fini(&a);
    buf_fini(&b);
}

static void a_blind_name_depends_on_key_label_and_value(void **state)
{
    struct shop *s = *state, other;
    uint8_t names[4][STORE_BLIND_SIZE], again[STORE_BLIND_SIZE];

    shop_open(&other);
    store_blind(s->store, "v", span_text("one"), names[0]);
    store_blind(s->store, "v", span_text("two"), names[1]);
    store_blind(s->store, "w", span_text("one"), names[2]);
    store_blind(other.store, "v", span_text("one"), names[3]);
    store_blind(s->store, "v", span_text("one"), again);
    assert_memory_equal(names[0], again, sizeof(again));
    for (int i = 1; i < 4; i++)
        assert_memory_not_equal(names[i], names[0], sizeof(again));
    shop_close(&other);
}

static void settings_come_back_and_cannot_be_moved(void **state)
{
    struct shop *s = *state;
    struct buf out;

    buf_init(&out, 4096);
    assert_int_equal(store_get(s->store, "one", &out), SOTTO_ENOTFOUND);
    assert_int_equal(store_put(s->store, "one", span_text("first")), SOTTO_OK);
    assert_int_equal(store_put(s->store, "one", span_text("newer")), SOTTO_OK);
    assert_int_equal(store_get(s->store, "one", &out), SOTTO_OK);
    assert_true(span_equal(bytes_of(&out), span_text("newer")));
    assert_int_equal(
        store_run(store_prepare(
            s->store, "UPDATE meta SET name = 'two' WHERE name = 'one'")),
        SOTTO_OK);
    assert_int_equal(store_get(s->store, "two", &out), SOTTO_ECRYPTO);
    buf_fini(&out);
}

static void a_rollback_leaves_nothing(void **state)
{
    struct shop *s = *state;
    struct buf out;

    buf_init(&out, 4096);
    assert_int_equal(store_begin(s->store), SOTTO_OK);
    assert_int_equal(store_put(s->store, "x", span_text("x")), SOTTO_OK);
    store_rollback(s->store);
    store_rollback(s->store); /* nothing open: nothing happens */
    assert_int_equal(store_get(s->store, "x", &out), SOTTO_ENOTFOUND);
    assert_int_equal(store_begin(s->store), SOTTO_OK);
    assert_int_equal(store_put(s->store, "x", span_text("x")), SOTTO_OK);
    assert_int_equal(store_commit(s->store), SOTTO_OK);
    assert_int_equal(store_get(s->store, "x", &out), SOTTO_OK);
    buf_fini(&out);
}

static void tells_full_from_failed(void **state)
{
    (void)state;
    assert_int_equal(store_err(SQLITE_DONE), SOTTO_OK);
    assert_int_equal(store_err(SQLITE_FULL), SOTTO_EFULL);
    assert_int_equal(store_err(SQLITE_IOERR_FSYNC), SOTTO_EIO);
    assert_int_equal(store_err(SQLITE_IOERR_NOMEM), SOTTO_ENOMEM);
    assert_int_equal(store_err(SQLITE_BUSY_SNAPSHOT), SOTTO_EAGAIN);
    assert_int_equal(store_err(SQLITE_CONSTRAINT_UNIQUE), SOTTO_EEXIST);
    assert_int_equal(store_err(SQLITE_CORRUPT_VTAB), SOTTO_EDECODE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(is_made_once),
        TEST(an_interrupted_creation_is_finished),
        TEST(refuses_another_key),
        TEST(the_key_is_for_its_owner_only),
        TEST(adds_what_the_first_version_had_not),
        TEST(refuses_a_version_it_does_not_know),
        TEST(commits_are_durable_and_deletion_overwrites),
        TEST(has_the_tables_of_all_modules),
        TEST(a_statement_is_prepared_once_and_comes_back_clean),
        TEST(opens_what_it_sealed_and_nothing_else),
        TEST(the_same_is_never_sealed_to_the_same),
        TEST(a_blind_name_depends_on_key_label_and_value),
        TEST(settings_come_back_and_cannot_be_moved),
        TEST(a_rollback_leaves_nothing),
        TEST(tells_full_from_failed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
