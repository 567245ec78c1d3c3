/* Who may send: what a token makes, once, and what is remembered. */
#include "aggregator/roster.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "../support/shop.h"

#define LATER 1000

struct bench {
    struct shop shop;
    struct roster *roster;
    struct keys *keys[3];
};

static int setup(void **state)
{
    static struct bench b;

    memset(&b, 0, sizeof b);
    shop_open(&b.shop);
    assert_int_equal(roster_open(&b.roster, b.shop.store), SOTTO_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(keys_make(&b.keys[i]), SOTTO_OK);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    for (int i = 0; i < 3; i++)
        keys_free(b->keys[i]);
    roster_close(b->roster);
    shop_close(&b->shop);
    return 0;
}

static enum refusal redeem(struct bench *b, const uint8_t secret[32], int key,
                           int64_t now_ms, struct agent_row **row)
{
    struct enrol request = {.secret = {0}};
    enum refusal refusal;
    enum sotto_err err;

    memcpy(request.secret, secret, 32);
    memcpy(request.sign_pk, b->keys[key]->sign_pk, PK_SIZE);
    memcpy(request.box_pk, b->keys[key]->box_pk, PK_SIZE);
    *row = NULL;
    err = roster_redeem(b->roster, &request, now_ms, row, &refusal);
    assert_int_equal(err, refusal ? SOTTO_EREFUSED : SOTTO_OK);
    return refusal;
}

static void reopen(struct bench *b)
{
    roster_close(b->roster);
    assert_int_equal(roster_open(&b->roster, b->shop.store), SOTTO_OK);
}

static void a_token_is_good_for_so_many_keys(void **state)
{
    struct bench *b = *state;
    struct agent_row *row;
    uint8_t secret[32];

    assert_int_equal(roster_token(b->roster, "till", 2, LATER, secret),
                     SOTTO_OK);
    assert_int_equal(redeem(b, secret, 0, 1, &row), REFUSAL_NONE);
    assert_string_equal(row->name, "till");
    assert_int_equal(row->number, 1);
    reopen(b);
    assert_int_equal(redeem(b, secret, 1, 2, &row), REFUSAL_NONE);
    assert_string_equal(row->name, "till-2");
    assert_int_equal(row->number, 2);
    assert_int_equal(redeem(b, secret, 2, 3, &row), REFUSAL_TOKEN_SPENT);
    assert_int_equal(roster_count(b->roster), 2);
    reopen(b);
    assert_int_equal(roster_count(b->roster), 2);
    assert_int_equal(redeem(b, secret, 2, 3, &row), REFUSAL_TOKEN_SPENT);
}

static void the_same_key_gets_its_row_again(void **state)
{
    struct bench *b = *state;
    struct agent_row *row;
    uint8_t secret[32];

    assert_int_equal(roster_token(b->roster, "till", 1, LATER, secret),
                     SOTTO_OK);
    assert_int_equal(redeem(b, secret, 0, 1, &row), REFUSAL_NONE);
    /* Spent and expired, but its answer may have been lost. */
    assert_int_equal(redeem(b, secret, 0, LATER + 1, &row), REFUSAL_NONE);
    assert_int_equal(row->number, 1);
    assert_int_equal(row->enrolled_ms, 1);
    assert_int_equal(roster_count(b->roster), 1);
}

static void an_expired_or_unknown_token_is_refused(void **state)
{
    struct bench *b = *state;
    struct agent_row *row;
    uint8_t secret[32];

    assert_int_equal(roster_token(b->roster, "till", 5, LATER, secret),
                     SOTTO_OK);
    assert_int_equal(redeem(b, secret, 0, LATER, &row), REFUSAL_TOKEN_EXPIRED);
    assert_int_equal(redeem(b, secret, 0, LATER - 1, &row), REFUSAL_NONE);
    secret[31] ^= 1;
    assert_int_equal(redeem(b, secret, 1, 1, &row), REFUSAL_TOKEN_UNKNOWN);
    assert_null(row);
}

static void a_name_belongs_to_one_agent(void **state)
{
    struct bench *b = *state;
    struct agent_row *row;
    uint8_t first[32], second[32];

    /* Two tokens of one name before anybody has it: both are good. */
    assert_int_equal(roster_token(b->roster, "till", 1, LATER, first),
                     SOTTO_OK);
    assert_int_equal(roster_token(b->roster, "till", 1, LATER, second),
                     SOTTO_OK);
    assert_int_equal(redeem(b, first, 0, 1, &row), REFUSAL_NONE);
    assert_int_equal(roster_token(b->roster, "till", 1, LATER, first),
                     SOTTO_EEXIST);
    assert_int_equal(redeem(b, second, 1, 1, &row), REFUSAL_NONE);
    assert_string_equal(row->name, "till-2");
}

static void rows_are_found_by_key_and_number(void **state)
{
    struct bench *b = *state;
    struct agent_row *row;
    uint8_t secret[32];

    assert_int_equal(roster_token(b->roster, "till", 2, LATER, secret),
                     SOTTO_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(redeem(b, secret, i, 1, &row), REFUSAL_NONE);
    for (int again = 0; again < 2; again++) {
        for (uint32_t i = 0; i < 2; i++) {
            row = roster_find(b->roster, b->keys[i]->sign_id);
            assert_non_null(row);
            assert_int_equal(row->number, i + 1);
            assert_memory_equal(row->peer.box_pk, b->keys[i]->box_pk, PK_SIZE);
            assert_ptr_equal(roster_number(b->roster, i + 1), row);
            assert_ptr_equal(roster_at(b->roster, i), row);
        }
        assert_null(roster_find(b->roster, b->keys[2]->sign_id));
        assert_null(roster_number(b->roster, 3));
        assert_null(roster_at(b->roster, 2));
        reopen(b);
    }
}

/* As a token for a whole chain of shops makes them. */
static void names_of_many_are_counted_up(void **state)
{
    struct bench *b = *state;
    struct enrol request = {.secret = {0}};
    struct agent_row *row;
    enum refusal refusal;
    uint8_t secret[32];
    char name[64];

    assert_int_equal(roster_token(b->roster, "till", 100, LATER, secret),
                     SOTTO_OK);
    memcpy(request.secret, secret, 32);
    for (unsigned i = 1; i <= 100; i++) {
        memset(request.sign_pk, (int)i, PK_SIZE);
        assert_int_equal(roster_redeem(b->roster, &request, 1, &row, &refusal),
                         SOTTO_OK);
        snprintf(name, sizeof name, i == 1 ? "till" : "till-%u", i);
        assert_string_equal(row->name, name);
        assert_int_equal(row->number, i);
        if (i == 60)
            reopen(b);
    }
}

/* An agent of another token may have the name that would be next. */
static void a_name_in_the_row_is_stepped_over(void **state)
{
    struct bench *b = *state;
    struct agent_row *row;
    uint8_t first[32], second[32];

    assert_int_equal(roster_token(b->roster, "till-2", 1, LATER, first),
                     SOTTO_OK);
    assert_int_equal(roster_token(b->roster, "till", 2, LATER, second),
                     SOTTO_OK);
    assert_int_equal(redeem(b, first, 0, 1, &row), REFUSAL_NONE);
    assert_int_equal(redeem(b, second, 1, 1, &row), REFUSAL_NONE);
    assert_string_equal(row->name, "till");
    assert_int_equal(redeem(b, second, 2, 1, &row), REFUSAL_NONE);
    assert_string_equal(row->name, "till-3");
}

/* Numbers are looked up by halves: each row, its neighbours, and a gap. */
static void numbers_may_have_gaps(void **state)
{
    struct bench *b = *state;
    struct agent_row *row;
    uint8_t secret[32];

    assert_int_equal(roster_token(b->roster, "till", 3, LATER, secret),
                     SOTTO_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(redeem(b, secret, i, 1, &row), REFUSAL_NONE);
    assert_int_equal(sqlite3_exec(b->shop.store->db,
                                  "DELETE FROM agent WHERE number = 2", NULL,
                                  NULL, NULL),
                     SQLITE_OK);
    reopen(b);
    assert_int_equal(roster_number(b->roster, 1)->number, 1);
    assert_null(roster_number(b->roster, 2));
    assert_int_equal(roster_number(b->roster, 3)->number, 3);
    assert_null(roster_number(b->roster, 0));
    assert_null(roster_number(b->roster, 4));
}

/* The secret itself is nowhere in the store. */
static void a_stolen_store_gives_no_token_away(void **state)
{
    struct bench *b = *state;
    uint8_t secret[32];
    sqlite3_stmt *q;

    assert_int_equal(roster_token(b->roster, "till", 1, LATER, secret),
                     SOTTO_OK);
    q = store_prepare(b->shop.store, "SELECT secret_hash FROM token");
    assert_int_equal(store_row(q), SOTTO_OK);
    assert_int_equal(store_blob(q, 0).size, HASH_SIZE);
    assert_memory_not_equal(store_blob(q, 0).data, secret, 32);
    store_done(q);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_token_is_good_for_so_many_keys),
        TEST(the_same_key_gets_its_row_again),
        TEST(an_expired_or_unknown_token_is_refused),
        TEST(a_name_belongs_to_one_agent),
        TEST(rows_are_found_by_key_and_number),
        TEST(names_of_many_are_counted_up),
        TEST(a_name_in_the_row_is_stepped_over),
        TEST(numbers_may_have_gaps),
        TEST(a_stolen_store_gives_no_token_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
