/* The table of the erased, and bodies without them. */
#include "aggregator/suppress.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "../support/shop.h"
#include "aggregator/strip.h"

#define ANN 3
#define BEN 5
#define DEEDS 60

struct bench {
    struct shop shop;
    char file[96];
    struct suppress *table;
};

static void open_table(struct bench *b)
{
    struct why why = {0};

    assert_int_equal(suppress_open(&b->table, b->file, b->shop.store, &why),
                     SOTTO_OK);
}

static int setup(void **state)
{
    static struct bench b;

    shop_open(&b.shop);
    snprintf(b.file, sizeof b.file, "%s/table", b.shop.dir);
    open_table(&b);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    suppress_close(b->table);
    unlink(b->file);
    shop_close(&b->shop);
    return 0;
}

static void reopen(struct bench *b)
{
    suppress_close(b->table);
    open_table(b);
}

static uint32_t add(struct bench *b, unsigned subject)
{
    uint8_t id[16];
    uint32_t number;

    shop_subject(id, subject);
    assert_int_equal(suppress_add(b->table, id, 77, &number), SOTTO_OK);
    return number;
}

static bool has(struct bench *b, unsigned subject)
{
    uint8_t id[16];

    shop_subject(id, subject);
    return suppress_has(b->table, id);
}

static void has_those_that_were_added_and_nobody_else(void **state)
{
    struct bench *b = *state;
    uint8_t ann[16];
    uint32_t number;

    shop_subject(ann, ANN);
    assert_false(suppress_has(NULL, ann));
    assert_false(has(b, ANN));
    assert_int_equal(add(b, ANN), 0);
    assert_int_equal(add(b, BEN), 1);
    assert_true(has(b, ANN));
    assert_true(has(b, BEN));
    assert_false(has(b, ANN + 1));
    number = 9;
    assert_int_equal(suppress_add(b->table, ann, 78, &number), SOTTO_EEXIST);
    assert_int_equal(number, 0);
    assert_int_equal(suppress_count(b->table), 2);
}

static void an_entry_is_durable_and_its_file_has_no_pseudonym(void **state)
{
    struct bench *b = *state;
    struct suppressed before, after;
    uint8_t ann[16], proof[RECEIPT_PROOF_SIZE];
    struct buf file;

    add(b, ANN);
    add(b, BEN);
    suppress_get(b->table, 1, &before);
    reopen(b);
    assert_true(has(b, ANN));
    suppress_get(b->table, 1, &after);
    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(after.erased_ms, 77);
    shop_subject(ann, ANN);
    suppress_get(b->table, 0, &after);
    receipt_proof(proof, after.receipt, ann);
    assert_memory_equal(proof, after.proof, sizeof proof);
    buf_init(&file, 1 << 20);
    assert_int_equal(buf_read_file(&file, b->file), SOTTO_OK);
    assert_null(memmem(file.data, file.size, ann, sizeof ann));
    assert_null(memmem(file.data, file.size, after.hash, sizeof after.hash));
    buf_fini(&file);
}

static void what_the_database_has_not_removed_is_pending(void **state)
{
    struct bench *b = *state;

    add(b, ANN);
    assert_int_equal(suppress_pending(b->table), 0);
    assert_int_equal(suppress_done(b->table, b->shop.store, 1), SOTTO_OK);
    add(b, BEN);
    reopen(b); /* as of a directory that was restored, or a broken off run */
    assert_int_equal(suppress_pending(b->table), 1);
    assert_int_equal(suppress_count(b->table), 2);
}

static void a_lost_file_is_made_whole_from_the_database(void **state)
{
    struct bench *b = *state;

    add(b, ANN);
    assert_int_equal(suppress_done(b->table, b->shop.store, 1), SOTTO_OK);
    assert_int_equal(unlink(b->file), 0);
    reopen(b);
    assert_true(has(b, ANN));
    assert_int_equal(access(b->file, F_OK), 0);
    assert_int_equal(suppress_pending(b->table), 1);
}

static void a_file_that_was_changed_is_refused(void **state)
{
    struct bench *b = *state;
    struct suppress *other = NULL;
    struct why why = {0};
    struct buf file;

    add(b, ANN);
    buf_init(&file, 1 << 20);
    assert_int_equal(buf_read_file(&file, b->file), SOTTO_OK);
    for (size_t i = 0; i < file.size; i += 7) {
        file.data[i] ^= 4;
        assert_int_equal(file_replace(b->file, file.data, file.size, 0600),
                         SOTTO_OK);
        assert_int_equal(suppress_open(&other, b->file, b->shop.store, &why),
                         SOTTO_ECRYPTO);
        assert_non_null(strstr(why.text, b->file));
        file.data[i] ^= 4;
    }
    buf_fini(&file);
}

/* ---- bodies ---- */

/* With a subject's deeds, or (without) with all but those. */
static uint32_t make_deeds(struct deed deeds[DEEDS], unsigned without)
{
    uint64_t rng = 7;
    uint32_t count = 0;

    for (int i = 0; i < DEEDS; i++) {
        struct deed d = shop_random(&rng);

        if (!without || d.subject != without)
            deeds[count++] = d;
    }
    return count;
}

static void encode(struct buf *out, struct bench *b, unsigned without)
{
    struct counters c = {.produced = DEEDS, .accepted = DEEDS};
    struct deed deeds[DEEDS];
    struct shop_texts texts;
    struct batch *batch;
    struct event ev;
    uint32_t count = make_deeds(deeds, without);

    assert_int_equal(batch_open(&batch, DEEDS, DEEDS * 400), SOTTO_OK);
    batch_begin(batch, b->shop.policy);
    for (uint32_t i = 0; i < count; i++) {
        shop_event(&ev, &texts, &deeds[i]);
        assert_int_equal(batch_add(batch, &ev), SOTTO_OK);
    }
    assert_int_equal(batch_encode(batch, &c, out), SOTTO_OK);
    batch_close(batch);
}

static void a_batch_without_somebody_is_as_if_it_never_had_them(void **state)
{
    struct bench *b = *state;
    struct deed deeds[DEEDS];
    struct buf all, rest;
    struct batch_view *view;
    struct strip t;

    buf_init(&all, PAYLOAD_MAX);
    buf_init(&rest, PAYLOAD_MAX);
    encode(&all, b, 0);
    encode(&rest, b, ANN);
    strip_init(&t);
    assert_int_equal(
        batch_decode(&view, span_of(all.data, all.size), b->shop.policy),
        SOTTO_OK);
    assert_int_equal(strip_batch(&t, b->table, view, b->shop.policy), SOTTO_OK);
    assert_int_equal(t.found.size, 0);
    add(b, ANN);
    assert_int_equal(strip_batch(&t, b->table, view, b->shop.policy), SOTTO_OK);
    assert_int_equal(t.found.size, 16);
    assert_int_equal(t.removed, DEEDS - make_deeds(deeds, ANN));
    assert_true(t.removed > 1);
    assert_int_equal(t.body.size, rest.size);
    assert_memory_equal(t.body.data, rest.data, rest.size);
    batch_view_free(view);
    strip_fini(&t);
    buf_fini(&all);
    buf_fini(&rest);
}

static void an_event_goes_by_any_of_its_pseudonyms(void **state)
{
    struct bench *b = *state;
    const struct deed buys = {
        .event = SHOP_BUY, .subject = BEN, .item = 1, .order = 9};
    uint8_t order[16] = {0};
    uint64_t number = UINT64_C(0x9e3779b97f4a7c15) * 10; /* as shop.h does */
    uint32_t at;
    struct buf body;
    struct batch_view *view;
    struct strip t;

    memcpy(order, &number, sizeof number);
    assert_int_equal(suppress_add(b->table, order, 1, &at), SOTTO_OK);
    buf_init(&body, PAYLOAD_MAX);
    shop_body(&body, b->shop.policy, &buys, 1);
    strip_init(&t);
    assert_int_equal(
        batch_decode(&view, span_of(body.data, body.size), b->shop.policy),
        SOTTO_OK);
    assert_int_equal(strip_batch(&t, b->table, view, b->shop.policy), SOTTO_OK);
    assert_int_equal(t.removed, 1);
    batch_view_free(view);
    strip_fini(&t);
    buf_fini(&body);
}

static void a_forget_loses_the_erased(void **state)
{
    struct bench *b = *state;
    static const uint8_t nobody[16];
    uint8_t both[32];
    struct strip t;

    shop_subject(both, ANN);
    shop_subject(both + 16, BEN);
    add(b, ANN);
    strip_init(&t);
    assert_int_equal(strip_forget(&t, b->table, span_of(both, 32)), SOTTO_OK);
    assert_int_equal(t.found.size, 16);
    assert_int_equal(t.body.size, 32);
    assert_memory_equal(t.body.data, nobody, 16);
    assert_memory_equal(t.body.data + 16, both + 16, 16);
    assert_int_equal(strip_forget(&t, b->table, span_of(both, 15)),
                     SOTTO_EDECODE);
    strip_fini(&t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(has_those_that_were_added_and_nobody_else),
        TEST(an_entry_is_durable_and_its_file_has_no_pseudonym),
        TEST(what_the_database_has_not_removed_is_pending),
        TEST(a_lost_file_is_made_whole_from_the_database),
        TEST(a_file_that_was_changed_is_refused),
        TEST(a_batch_without_somebody_is_as_if_it_never_had_them),
        TEST(an_event_goes_by_any_of_its_pseudonyms),
        TEST(a_forget_loses_the_erased),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
