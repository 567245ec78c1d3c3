/* The work of an erasure: whole, also when it was broken off. */
#include "aggregator/erase.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "../support/shop.h"
#include "aggregator/documents.h"

#define ANN 4
#define BATCH 50
#define BATCHES 6

struct bench {
    struct shop shop;
    char file[96];
    struct suppress *table;
    struct views *views;
    struct buf scratch;
    uint32_t of_ann;
};

static int setup(void **state)
{
    static struct bench b;
    struct deed deeds[BATCH];
    uint64_t rng = 3;

    shop_open(&b.shop);
    b.of_ann = 0;
    snprintf(b.file, sizeof b.file, "%s/table", b.shop.dir);
    if (suppress_open(&b.table, b.file, b.shop.store, NULL))
        return -1;
    for (uint32_t i = 0; i < BATCHES; i++) {
        for (int d = 0; d < BATCH; d++) {
            deeds[d] = shop_random(&rng);
            b.of_ann += deeds[d].subject == ANN;
        }
        shop_send(&b.shop, i % 2, deeds, BATCH);
    }
    b.views = shop_views(&b.shop);
    views_suppress(b.views, b.table);
    shop_fold_all(b.views);
    buf_init(&b.scratch, 2 * FRAME_MAX);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    views_close(b->views);
    suppress_close(b->table);
    buf_fini(&b->scratch);
    unlink(b->file);
    shop_close(&b->shop);
    return 0;
}

static void put_list(struct bench *b, uint32_t agent, unsigned subject)
{
    uint8_t id[16];
    struct document d = {.kind = DOCUMENT_LIST,
                         .key = span_of(id, sizeof id),
                         .body = span_text("a list")};

    shop_subject(id, subject);
    assert_int_equal(store_begin(b->shop.store), SOTTO_OK);
    assert_int_equal(documents_put(b->shop.store, agent, &d, &b->scratch),
                     SOTTO_OK);
    assert_int_equal(store_commit(b->shop.store), SOTTO_OK);
}

static enum sotto_err run(struct bench *b)
{
    const struct erase_parts parts = {b->shop.store, b->views, shop_lookup,
                                      &b->shop, b->table};

    return erase_run(&parts);
}

static void suppress_ann(struct bench *b)
{
    uint8_t id[16];
    uint32_t number;

    shop_subject(id, ANN);
    assert_int_equal(suppress_add(b->table, id, 1, &number), SOTTO_OK);
}

static void refuse(struct bench *b, const char *text)
{
    assert_int_equal(sqlite3_exec(b->shop.store->db, text, NULL, NULL, NULL),
                     SQLITE_OK);
}

/* What the receipt says, without its number of agents. */
static json_t *result(struct bench *b, uint32_t agents)
{
    json_t *r;

    assert_int_equal(erase_result(b->shop.store, b->table, 0, &r), SOTTO_OK);
    assert_int_equal(json_array_size(json_object_get(r, "agents")), agents);
    return r;
}

static json_int_t number_in(const json_t *r, const char *name)
{
    return json_integer_value(json_object_get(r, name));
}

static void check_done(struct bench *b, uint32_t agents)
{
    json_t *r = result(b, agents);
    uint64_t erased = 0, of_agent;
    uint8_t id[16];

    assert_true(number_in(r, "done_ms") > 0);
    assert_int_equal(number_in(r, "events"), b->of_ann);
    assert_int_equal(number_in(r, "batches"), BATCHES);
    json_decref(r);
    for (uint32_t agent = 0; agent < 2; agent++) {
        assert_int_equal(log_erased(b->shop.store, agent, &of_agent), SOTTO_OK);
        erased += of_agent;
    }
    assert_int_equal(erased, b->of_ann);
    shop_subject(id, ANN);
    assert_int_equal(profiles_find(views_profiles(b->views), id), DICT_NONE);
    assert_int_equal(views_verify(b->views, NULL), SOTTO_OK);
    assert_int_equal(suppress_pending(b->table), suppress_count(b->table));
}

static void every_agent_that_sent_or_had_a_list_is_told(void **state)
{
    struct bench *b = *state;
    bool told;

    put_list(b, 1, ANN);
    put_list(b, 7, ANN); /* has sent nothing that is still there */
    put_list(b, 8, ANN + 1);
    suppress_ann(b);
    assert_int_equal(run(b), SOTTO_OK);
    check_done(b, 3);
    for (uint32_t agent = 0; agent < 9; agent++) {
        assert_int_equal(documents_forgets(b->shop.store, agent, &told),
                         SOTTO_OK);
        assert_int_equal(told, agent < 2 || agent == 7);
    }
}

static void nothing_is_done_when_nothing_is_pending(void **state)
{
    struct bench *b = *state;

    suppress_ann(b);
    assert_int_equal(run(b), SOTTO_OK);
    refuse(b, "CREATE TRIGGER no BEFORE UPDATE ON chunk"
              " BEGIN SELECT RAISE(FAIL, 'no'); END");
    assert_int_equal(run(b), SOTTO_OK);
    check_done(b, 2);
}

/* Broken off at the fourth chunk, at the views, at the end: what was done is
 * neither lost nor counted again. */
static void what_was_broken_off_goes_on(void **state)
{
    static const char *const triggers[] = {
        "CREATE TRIGGER no BEFORE UPDATE ON chunk WHEN new.number = 4"
        " BEGIN SELECT RAISE(FAIL, 'no'); END",
        "CREATE TRIGGER no BEFORE INSERT ON view_state"
        " BEGIN SELECT RAISE(FAIL, 'no'); END",
        "CREATE TRIGGER no BEFORE INSERT ON meta WHEN new.name = 'suppressed'"
        " BEGIN SELECT RAISE(FAIL, 'no'); END"};
    struct bench *b = *state;

    suppress_ann(b);
    for (size_t i = 0; i < sizeof triggers / sizeof triggers[0]; i++) {
        json_t *r;

        refuse(b, triggers[i]);
        assert_int_not_equal(run(b), SOTTO_OK);
        r = result(b, 2);
        if (i < 2)
            assert_int_equal(number_in(r, "done_ms"), 0);
        json_decref(r);
        assert_int_equal(suppress_pending(b->table), 0);
        refuse(b, "DROP TRIGGER no");
    }
    assert_int_equal(run(b), SOTTO_OK);
    check_done(b, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_agent_that_sent_or_had_a_list_is_told),
        TEST(nothing_is_done_when_nothing_is_pending),
        TEST(what_was_broken_off_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
