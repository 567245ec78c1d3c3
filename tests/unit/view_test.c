/* The folder: what is checkpointed is the fold of the log, each chunk once,
 * wherever it was interrupted. */
#include "aggregator/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "../support/shop.h"
#include "aggregator/views/state.h"

#define BATCH 50

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

static void run(struct shop *s, const char *text)
{
    assert_int_equal(sqlite3_exec(s->store->db, text, NULL, NULL, NULL),
                     SQLITE_OK);
}

static void send_random(struct shop *s, uint32_t batches, uint64_t seed)
{
    struct deed deeds[BATCH];

    for (uint32_t i = 0; i < batches; i++) {
        for (int d = 0; d < BATCH; d++)
            deeds[d] = shop_random(&seed);
        shop_send(s, i % SHOP_AGENTS, deeds, BATCH);
    }
}

struct digests {
    uint64_t profile, interactions;
};

static struct digests digests_of(struct views *v)
{
    return (struct digests){
        profile_view.digest(views_profiles(v)),
        interactions_view.digest(views_interactions(v)),
    };
}

static void check_same(struct views *v, struct digests expected)
{
    struct digests found = digests_of(v);

    assert_memory_equal(&found, &expected, sizeof(found));
}

static uint64_t events_of(struct views *v)
{
    uint64_t sum = 0;

    for (int role = 0; role < EVENT_ROLE_COUNT; role++)
        sum +=
            profiles_totals(views_profiles(v), (enum event_role)role)->events;
    return sum;
}

static bool knows(struct views *v, unsigned subject)
{
    uint8_t id[16];
    bool in_profiles, in_interactions;

    shop_subject(id, subject);
    in_profiles = profiles_find(views_profiles(v), id) != DICT_NONE;
    in_interactions = interactions_find(views_interactions(v), id) != DICT_NONE;
    assert_int_equal(in_profiles, in_interactions);
    return in_profiles;
}

static void folds_no_more_than_asked_and_says_if_there_is_more(void **state)
{
    struct shop *s = *state;
    struct views *v = shop_views(s);
    bool more = true;

    assert_int_equal(views_fold(v, 10, &more), SOTTO_OK);
    assert_false(more);
    send_random(s, 3, 1);
    assert_int_equal(views_fold(v, 2, &more), SOTTO_OK);
    assert_true(more);
    assert_int_equal(views_applied(v), 2);
    assert_int_equal(events_of(v), 2 * BATCH);
    assert_int_equal(views_fold(v, 2, &more), SOTTO_OK);
    assert_false(more);
    assert_int_equal(events_of(v), 3 * BATCH);
    views_close(v);
}

static void the_live_views_equal_the_fold_of_the_log(void **state)
{
    struct shop *s = *state;
    struct views *v = shop_views(s);
    struct why why = {""};
    uint8_t id[16];

    for (uint64_t round = 0; round < 4; round++) {
        send_random(s, 5, round + 1);
        shop_forget(s, 1, (unsigned)round + 1);
        shop_fold_all(v);
        assert_int_equal(views_verify(v, &why), SOTTO_OK);
        views_close(v);
        v = shop_views(s);
        assert_int_equal(views_verify(v, &why), SOTTO_OK);
    }
    shop_subject(id, 7);
    assert_int_equal(interactions_view.forget(views_interactions(v), id),
                     SOTTO_OK);
    assert_int_equal(views_verify(v, &why), SOTTO_ECRYPTO);
    assert_non_null(strstr(why.text, "interactions"));
    views_close(v);
}

/* Appends two batches of one person each and leaves them decoded beside the
 * log: the first as it is there, the second with another person in it. */
static void send_and_hand_over(struct shop *s, struct views *v)
{
    for (unsigned i = 0; i < 2; i++) {
        const struct deed sent = {.subject = 21 + i, .item = 1};
        const struct deed handed = {.subject = 21 + 2 * i, .item = 1};
        struct fresh *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        shop_send(s, 1, &sent, 1);
        buf_init(&f->plain, PAYLOAD_MAX);
        shop_body(&f->plain, s->policy, &handed, 1);
        assert_int_equal(batch_decode(&f->batch,
                                      span_of(f->plain.data, f->plain.size),
                                      s->policy),
                         SOTTO_OK);
        f->policy = s->policy;
        f->chunk.number = log_last(s->store);
        f->chunk.agent = 1;
        f->chunk.stream = f->chunk.sequence = f->chunk.events = 1;
        fresh_put(views_fresh(v), f);
    }
}

static void what_is_handed_over_is_folded_instead_of_the_log(void **state)
{
    struct shop *s = *state;
    struct views *v = shop_views(s);
    struct why why = {""};

    shop_forget(s, 1, 9);
    send_and_hand_over(s, v);
    send_random(s, 2, 1);
    shop_fold_all(v);
    assert_int_equal(views_applied(v), 5);
    assert_int_equal(events_of(v), 2 + 2 * BATCH);
    assert_true(knows(v, 21) && knows(v, 23));
    assert_false(knows(v, 22));
    assert_int_equal(views_verify(v, &why), SOTTO_ECRYPTO);
    views_close(v);
}

static void what_is_saved_is_not_folded_again(void **state)
{
    struct shop *s = *state;
    struct views *v = shop_views(s);
    struct digests d;

    send_random(s, 6, 4);
    shop_fold_all(v);
    d = digests_of(v);
    views_close(v);
    run(s, "DELETE FROM chunk"); /* nothing left to fold it from */
    v = shop_views(s);
    assert_int_equal(views_applied(v), 6);
    shop_fold_all(v);
    check_same(v, d);
    assert_int_equal(events_of(v), 6 * BATCH);
    views_close(v);
}

/* --- crashes ------------------------------------------------------------ */

/* Statements of the child until it ends without a word; below 0: never. */
static int statements_left = -1;

static int on_statement(unsigned what, void *context, void *p, void *x)
{
    (void)what;
    (void)context;
    (void)p;
    (void)x;
    if (statements_left-- == 0)
        _exit(7);
    return 0;
}

static int on_open(sqlite3 *db, char **error, const void *api)
{
    (void)error;
    (void)api;
    return sqlite3_trace_v2(db, SQLITE_TRACE_STMT, on_statement, NULL);
}

/* Folds and checkpoints in a process that dies at a statement of the
 * checkpoint. Whether it lived. */
static bool checkpoint_and_die(struct shop *s, int statement)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        struct views *v;

        sqlite3_auto_extension((void (*)(void))on_open);
        v = shop_views(s);
        shop_fold_all(v);
        statements_left = statement;
        _exit(views_checkpoint(v) ? 1 : 0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 7 || WEXITSTATUS(status) == 0);
    return WEXITSTATUS(status) == 0;
}

static void a_crash_in_a_checkpoint_counts_nothing_twice(void **state)
{
    struct shop *s = *state;
    struct views *v = shop_views(s);
    struct digests expected;
    struct why why;
    bool lived = false;
    int crashes = 0;

    send_random(s, 3, 11);
    shop_fold_all(v);
    views_close(v); /* the first checkpoint */
    run(s, "CREATE TABLE kept_view AS SELECT * FROM view;"
           "CREATE TABLE kept_state AS SELECT * FROM view_state");
    send_random(s, 2, 12);
    shop_forget(s, 0, 3);
    v = shop_views(s);
    shop_fold_all(v);
    expected = digests_of(v);
    views_close(v);
    for (int statement = 0; !lived; statement++) {
        run(s, "BEGIN; DELETE FROM view; DELETE FROM view_state;"
               "INSERT INTO view SELECT * FROM kept_view;"
               "INSERT INTO view_state SELECT * FROM kept_state; COMMIT");
        store_close(s->store); /* a child must not inherit a connection */
        s->store = NULL;
        lived = checkpoint_and_die(s, statement);
        crashes += !lived;
        assert_int_equal(store_open(&s->store, s->dir, s->key, NULL), SOTTO_OK);
        v = shop_views(s);
        assert_int_equal(views_applied(v), lived ? 6 : 3);
        shop_fold_all(v);
        check_same(v, expected);
        if (statement % 8 == 0)
            assert_int_equal(views_verify(v, &why), SOTTO_OK);
        views_close(v);
    }
    assert_true(crashes > 30);
}

static void a_checkpoint_that_fails_is_tried_again_whole(void **state)
{
    struct shop *s = *state;
    struct views *v = shop_views(s);
    struct digests d;

    send_random(s, 3, 2);
    shop_fold_all(v);
    run(s, "CREATE TRIGGER no BEFORE INSERT ON view WHEN"
           " new.name = 'interactions' BEGIN SELECT raise(ABORT, 'no'); END");
    assert_int_not_equal(views_checkpoint(v), SOTTO_OK);
    run(s, "DROP TRIGGER no");
    send_random(s, 1, 3);
    shop_fold_all(v);
    assert_int_equal(views_checkpoint(v), SOTTO_OK);
    d = digests_of(v);
    views_close(v);
    run(s, "DELETE FROM chunk");
    v = shop_views(s);
    check_same(v, d);
    views_close(v);
}

static int64_t ask(struct shop *s, const char *text)
{
    sqlite3_stmt *q = store_prepare(s->store, text);
    int64_t value;

    assert_int_equal(store_row(q), SOTTO_OK);
    value = sqlite3_column_int64(q, 0);
    store_done(q);
    return value;
}

static void a_checkpoint_writes_only_what_changed(void **state)
{
    struct shop *s = *state;
    struct views *v = shop_views(s);
    struct deed d = {.subject = 3, .item = 1};

    send_random(s, 8, 5);
    shop_fold_all(v);
    assert_int_equal(views_checkpoint(v), SOTTO_OK);
    run(s, "CREATE TABLE kept AS SELECT * FROM view_state");
    assert_true(ask(s, "SELECT count(*) FROM kept") > 50);
    shop_send(s, 0, &d, 1);
    shop_fold_all(v);
    assert_int_equal(views_checkpoint(v), SOTTO_OK);
    /* one person, the last row and the sealed mark, in each of two views */
    assert_int_equal(ask(s, "SELECT count(*) FROM (SELECT * FROM view_state"
                            " EXCEPT SELECT * FROM kept)"),
                     6);
    views_close(v);
}

/* --- forgetting --------------------------------------------------------- */

static void forgetting_takes_a_person_out_and_leaves_the_rest(void **state)
{
    struct shop *s = *state;
    struct views *v = shop_views(s);
    struct deed again = {.event = SHOP_BUY, .subject = 5, .item = 1};
    uint32_t people;

    send_random(s, 8, 6);
    shop_fold_all(v);
    people = profiles_count(views_profiles(v));
    assert_true(knows(v, 5));
    shop_forget(s, 2, 5);
    shop_fold_all(v);
    assert_false(knows(v, 5));
    assert_int_equal(profiles_count(views_profiles(v)), people - 1);
    assert_int_equal(events_of(v), 8 * BATCH);
    views_close(v);
    v = shop_views(s);
    assert_false(knows(v, 5));
    assert_true(knows(v, 6));
    shop_send(s, 0, &again, 1);
    shop_fold_all(v);
    assert_true(knows(v, 5));
    views_close(v);
}

static bool file_holds(const char *path, const void *bytes, size_t size)
{
    struct buf b;
    bool found = false;

    buf_init(&b, 64 << 20);
    if (!buf_read_file(&b, path) && b.size)
        found = memmem(b.data, b.size, bytes, size) != NULL;
    buf_fini(&b);
    return found;
}

static void nothing_of_a_person_is_on_disk_in_clear(void **state)
{
    static const char *const suffixes[] = {"", "-wal"};
    struct shop *s = *state;
    struct views *v = shop_views(s);
    char path[128];
    uint8_t id[16];

    send_random(s, 8, 6);
    shop_fold_all(v);
    views_checkpoint(v);
    for (int i = 0; i < 2; i++) {
        shop_path(path, s, suffixes[i]);
        for (unsigned subject = 1; subject < 12; subject++) {
            shop_subject(id, subject);
            assert_true(knows(v, subject));
            assert_false(file_holds(path, id, sizeof(id)));
        }
        assert_false(file_holds(path, "item-1", 6));
        assert_false(file_holds(path, "shelf", 5));
    }
    shop_path(path, s, "-wal");
    assert_true(file_holds(path, "interactions", 12)); /* it does look */
    views_close(v);
}

/* --- damage ------------------------------------------------------------- */

static void a_changed_chunk_is_passed_over_once_and_counted(void **state)
{
    struct shop *s = *state;
    struct views *v;
    struct why why;

    send_random(s, 3, 6);
    run(s, "UPDATE chunk SET payload = x'00' WHERE number = 2");
    v = shop_views(s);
    shop_fold_all(v);
    assert_int_equal(views_skipped(v), 1);
    assert_int_equal(views_applied(v), 3);
    assert_int_equal(events_of(v), 2 * BATCH);
    assert_int_equal(views_verify(v, &why), SOTTO_OK);
    views_close(v);
    v = shop_views(s);
    shop_fold_all(v);
    assert_int_equal(views_skipped(v), 0);
    /* changed after it was folded: verifying notices */
    run(s, "UPDATE chunk SET payload = x'00' WHERE number = 1");
    assert_int_equal(views_verify(v, &why), SOTTO_ECRYPTO);
    views_close(v);
}

static void what_does_not_decode_is_passed_over(void **state)
{
    struct shop *s = *state;
    struct deed d = {.subject = 1, .item = 1};
    struct log_entry e;
    struct views *v;

    shop_entry(&e, s, 0); /* no batch */
    shop_append(s, &e, span_text("garbage"));
    shop_entry(&e, s, 0); /* under a policy that nobody has */
    memset(e.policy, 9, sizeof(e.policy));
    shop_append(s, &e, span_text("x"));
    shop_entry(&e, s, 0); /* forgets half a person */
    e.kind = KIND_FORGET;
    shop_append(s, &e, span_text("eight by"));
    shop_entry(&e, s, 0); /* forgets nobody */
    e.kind = KIND_FORGET;
    shop_append(s, &e, span_text(""));
    shop_entry(&e, s, 0); /* not even compressed */
    e.payload = span_text("plain");
    assert_int_equal(log_append(s->store, &e, 1), SOTTO_OK);
    s->sequence[0]++;
    shop_send(s, 0, &d, 1);
    v = shop_views(s);
    shop_fold_all(v);
    assert_int_equal(views_skipped(v), 5);
    assert_int_equal(views_applied(v), 6);
    assert_int_equal(events_of(v), 1);
    views_close(v);
}

static void a_dictionary_loads_only_without_holes(void **state)
{
    uint8_t key[STATE_NUMBER_KEY];
    struct dict d;

    (void)state;
    dict_init(&d, 10, 100, 0);
    assert_int_equal(
        state_take_dict(&d, state_number_key(key, 'i', 0), span_text("a")),
        SOTTO_OK);
    assert_int_equal(
        state_take_dict(&d, state_number_key(key, 'i', 1), span_text("a")),
        SOTTO_EDECODE);
    assert_int_equal(
        state_take_dict(&d, state_number_key(key, 'i', 2), span_text("b")),
        SOTTO_EDECODE);
    dict_fini(&d);
}

static void a_changed_checkpoint_is_folded_again(void **state)
{
    static const char *const changes[] = {
        "UPDATE view_state SET value = x'00' WHERE view = 'profile'",
        "UPDATE view_state SET value = x'00' WHERE view = 'interactions'",
        /* the row of one subject under the key of another */
        ("UPDATE view_state SET value = (SELECT value FROM view_state"
         " WHERE view = 'profile' AND key >= x'73' AND key < x'74'"
         " ORDER BY key DESC LIMIT 1) WHERE view = 'profile' AND key = (SELECT"
         " min(key) FROM view_state WHERE view = 'profile' AND key >= x'73')"),
        /* an item that others refer to by number */
        ("DELETE FROM view_state WHERE view = 'interactions'"
         " AND key = x'6900000000'"),
        /* a row that no fold would write over */
        "INSERT INTO view_state VALUES('profile', x'7300', x'00')",
    };
    struct shop *s = *state;
    struct views *v = shop_views(s);
    struct digests d;

    send_random(s, 4, 6);
    shop_fold_all(v);
    d = digests_of(v);
    views_close(v);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        run(s, changes[i]);
        v = shop_views(s);
        assert_int_equal(views_applied(v), 0);
        shop_fold_all(v);
        assert_int_equal(views_applied(v), 4);
        check_same(v, d);
        views_close(v);
    }
    v = shop_views(s);
    assert_int_equal(views_applied(v), 4);
    check_same(v, d);
    views_close(v);
}

#define ERASED 4

/* What a shop that never saw ERASED has of the same deeds. */
static struct digests without_erased(const struct deed *deeds, uint32_t count)
{
    static struct deed rest[10 * BATCH];
    struct shop other;
    struct views *v;
    struct digests d;
    uint32_t n;

    shop_open(&other);
    for (uint32_t at = 0; at < count; at += BATCH) {
        n = 0;
        for (uint32_t i = at; i < at + BATCH; i++)
            if (deeds[i].subject != ERASED)
                rest[n++] = deeds[i];
        shop_send(&other, at / BATCH % SHOP_AGENTS, rest, n);
    }
    v = shop_views(&other);
    shop_fold_all(v);
    d = digests_of(v);
    views_close(v);
    shop_close(&other);
    return d;
}

static void the_erased_are_not_folded_and_a_rebuild_takes_them_out(void **state)
{
    static struct deed deeds[6 * BATCH];
    struct shop *s = *state;
    struct suppress *table;
    struct digests expected;
    struct views *v = shop_views(s);
    char file[128];
    uint64_t rng = 11;
    uint8_t id[16];
    uint32_t number;

    for (uint32_t i = 0; i < 6 * BATCH; i++)
        deeds[i] = shop_random(&rng);
    expected = without_erased(deeds, 6 * BATCH);
    snprintf(file, sizeof file, "%s/table", s->dir);
    assert_int_equal(suppress_open(&table, file, s->store, NULL), SOTTO_OK);
    views_suppress(v, table);
    for (uint32_t i = 0; i < 4; i++)
        shop_send(s, i % SHOP_AGENTS, deeds + i * BATCH, BATCH);
    shop_fold_all(v);
    assert_int_equal(views_checkpoint(v), SOTTO_OK);
    assert_true(knows(v, ERASED));
    shop_subject(id, ERASED);
    assert_int_equal(suppress_add(table, id, 1, &number), SOTTO_OK);
    assert_int_equal(views_forget(v, id), SOTTO_OK);
    assert_false(knows(v, ERASED));
    for (uint32_t i = 4; i < 6; i++)
        shop_send(s, i % SHOP_AGENTS, deeds + i * BATCH, BATCH);
    shop_fold_all(v);
    assert_false(knows(v, ERASED));
    assert_int_equal(views_rebuild(v), SOTTO_OK);
    check_same(v, expected);
    assert_int_equal(views_verify(v, NULL), SOTTO_OK);
    views_close(v);
    v = shop_views(s); /* as saved */
    check_same(v, expected);
    views_close(v);
    suppress_close(table);
    unlink(file);
}

static void a_rebuild_that_fails_changes_nothing(void **state)
{
    struct shop *s = *state;
    struct views *v = shop_views(s);
    struct digests before;

    send_random(s, 6, 12);
    shop_fold_all(v);
    assert_int_equal(views_checkpoint(v), SOTTO_OK);
    before = digests_of(v);
    run(s, "CREATE TRIGGER refuse BEFORE INSERT ON view_state"
           " WHEN new.key = CAST('u' AS BLOB)"
           " BEGIN SELECT RAISE(FAIL, 'no'); END");
    assert_int_not_equal(views_rebuild(v), SOTTO_OK);
    check_same(v, before);
    run(s, "DROP TRIGGER refuse");
    assert_int_equal(views_rebuild(v), SOTTO_OK);
    check_same(v, before);
    views_close(v);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(folds_no_more_than_asked_and_says_if_there_is_more),
        TEST(the_live_views_equal_the_fold_of_the_log),
        TEST(what_is_handed_over_is_folded_instead_of_the_log),
        TEST(what_is_saved_is_not_folded_again),
        TEST(a_crash_in_a_checkpoint_counts_nothing_twice),
        TEST(a_checkpoint_that_fails_is_tried_again_whole),
        TEST(a_checkpoint_writes_only_what_changed),
        TEST(forgetting_takes_a_person_out_and_leaves_the_rest),
        TEST(nothing_of_a_person_is_on_disk_in_clear),
        TEST(a_changed_chunk_is_passed_over_once_and_counted),
        TEST(what_does_not_decode_is_passed_over),
        TEST(a_dictionary_loads_only_without_holes),
        TEST(a_changed_checkpoint_is_folded_again),
        TEST(the_erased_are_not_folded_and_a_rebuild_takes_them_out),
        TEST(a_rebuild_that_fails_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
