/* Tests of keys that turn: what may be linked, for how long, and that nothing
 * is lost when one epoch becomes the next. Controls show that each would be
 * seen if it were otherwise. */
#include "policy/epoch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../support/sample_policy.h"

/* Midnight after 2027-01-15, UTC. */
#define MIDNIGHT INT64_C(1800057600000)
#define TODAY ((uint64_t)(MIDNIGHT / DAY_MS))

/* A shop whose days have keys of their own, kept for two days. */
static struct policy *day_policy(const char *tenant)
{
    struct policy *draft = sample_draft(tenant);

    draft->keys[1].epoch_ms = DAY_MS;
    draft->keys[1].destroy_ms = 2 * DAY_MS;
    for (unsigned e = 0; e < draft->event_count; e++)
        draft->events[e].fields[2].bits = 128;
    return sample_finish(draft);
}

#define DAY_ID 1 /* of the policy's ids: anonymousId under the key `day` */

static struct pseudonym_keys *day_keys(uint64_t first)
{
    struct pseudonym_keys *k = pseudonym_keys_make();

    assert_non_null(k);
    sample_copy(k->names[0], NAME_MAX_SIZE, "visitor");
    sample_copy(k->names[1], NAME_MAX_SIZE, "day");
    memset(k->secrets[0], 0x11, 32);
    memset(k->secrets[1], 0x22, 32);
    k->epoch_ms[1] = DAY_MS;
    k->destroy_ms[1] = 2 * DAY_MS;
    k->first[1] = first;
    k->count = 2;
    return k;
}

static void the_ratchet_is_frozen(void **state)
{
    static const char frozen[] =
        "44933ce51ddf06dd8b13e32452499349fdddedf193cb96b083ef9a60446b7b6f";
    uint8_t key[32], steps[32];
    char hex[65];

    (void)state;
    memset(key, 0x5a, sizeof(key));
    memcpy(steps, key, sizeof(key));
    epoch_turn(key, 3);
    sodium_bin2hex(hex, sizeof(hex), key, sizeof(key));
    assert_string_equal(hex, frozen);
    for (int i = 0; i < 3; i++)
        epoch_turn(steps, 1);
    assert_memory_equal(key, steps, 32);
    epoch_turn(steps, 0);
    assert_memory_equal(key, steps, 32);
}

/* Whether two pseudonyms share four bytes in a row, anywhere. */
static bool share_bytes(const uint8_t a[16], const uint8_t b[16])
{
    for (int i = 0; i <= 12; i++)
        for (int j = 0; j <= 12; j++)
            if (memcmp(a + i, b + j, 4) == 0)
                return true;
    return false;
}

static void one_id_shares_nothing_across_epochs_tenants_and_types(void **state)
{
    struct policy *p = day_policy("acme-retail"), *q = day_policy("acme-bank");
    struct pseudonym_keys *k = day_keys(TODAY - 2);
    const struct span id = span_text("a-1");
    uint8_t ids[6][16], again[16];

    (void)state;
    assert_int_equal(pseudonym_at(ids[0], p, k, DAY_ID, id, MIDNIGHT), 0);
    assert_int_equal(pseudonym_at(ids[1], p, k, DAY_ID, id, MIDNIGHT - 1), 0);
    assert_int_equal(pseudonym_at(ids[2], p, k, DAY_ID, id, MIDNIGHT + DAY_MS),
                     0);
    assert_int_equal(pseudonym_at(ids[3], q, k, DAY_ID, id, MIDNIGHT), 0);
    assert_int_equal(pseudonym_at(ids[4], p, k, 0, id, MIDNIGHT), 0);
    assert_int_equal(pseudonym_at(ids[5], q, k, 0, id, MIDNIGHT), 0);
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < i; j++)
            assert_false(share_bytes(ids[i], ids[j]));
    /* the control: within the epoch it is the same */
    assert_int_equal(
        pseudonym_at(again, p, k, DAY_ID, id, MIDNIGHT + DAY_MS - 1), 0);
    assert_true(share_bytes(ids[0], again));
    pseudonym_keys_free(k);
    policy_free(p);
    policy_free(q);
}

static bool holds(const struct pseudonym_keys *k, const uint8_t secret[32])
{
    return memmem(k, sizeof(*k), secret, 32) != NULL;
}

/* All that is stored is turned as far as it may be: does it give the
 * pseudonym? */
static bool recomputes(const struct policy *p, const struct pseudonym_keys *k,
                       const uint8_t old[16])
{
    struct pseudonym_keys *try = pseudonym_keys_make();
    uint8_t id[16];
    bool found = false;

    assert_non_null(try);
    *try = *k;
    for (int back = 0; back < 8 && !found; back++) {
        found = !pseudonym_at(id, p, try, DAY_ID, span_text("a-1"),
                              MIDNIGHT - DAY_MS) &&
                memcmp(id, old, 16) == 0;
        try->first[1]--; /* as if it were an older key */
    }
    pseudonym_keys_free(try);
    return found;
}

static void a_destroyed_key_makes_its_pseudonyms_nevermore(void **state)
{
    struct policy *p = day_policy("acme-retail");
    struct pseudonym_keys *k = day_keys(TODAY - 1);
    const int64_t over = MIDNIGHT + 2 * DAY_MS; /* of yesterday's */
    const struct span id = span_text("a-1");
    uint8_t secret[32], old[16], next[16], after[16];

    (void)state;
    memcpy(secret, k->secrets[1], 32);
    assert_int_equal(pseudonym_at(old, p, k, DAY_ID, id, MIDNIGHT - DAY_MS), 0);
    assert_int_equal(pseudonym_at(next, p, k, DAY_ID, id, MIDNIGHT), 0);

    /* the control: a moment before, it is all there */
    assert_false(epoch_destroy(k, p, over - 1));
    assert_true(holds(k, secret));
    assert_true(recomputes(p, k, old));

    assert_true(epoch_destroy(k, p, over));
    assert_int_equal(k->first[1], TODAY);
    assert_false(holds(k, secret));
    assert_false(recomputes(p, k, old));
    assert_int_equal(pseudonym_at(old, p, k, DAY_ID, id, MIDNIGHT - DAY_MS),
                     SOTTO_ENOTFOUND);
    assert_int_equal(pseudonym_at(after, p, k, DAY_ID, id, MIDNIGHT), 0);
    assert_memory_equal(next, after, 16); /* others are not touched */
    assert_false(epoch_destroy(k, p, over));
    assert_false(epoch_destroy(k, p, over - 3 * DAY_MS)); /* nor turned back */
    assert_int_equal(k->first[1], TODAY);
    pseudonym_keys_free(k);
    policy_free(p);
}

static void the_shorter_destroy_after_counts(void **state)
{
    struct policy *p = day_policy("acme-retail");
    struct pseudonym_keys *k = day_keys(TODAY - 1);

    (void)state;
    p->keys[1].destroy_ms = DAY_MS;
    assert_false(epoch_destroy(k, NULL, MIDNIGHT + DAY_MS));
    assert_true(epoch_destroy(k, p, MIDNIGHT + DAY_MS));
    p->keys[1].destroy_ms = 9 * DAY_MS;
    assert_true(epoch_destroy(k, p, MIDNIGHT + 3 * DAY_MS));
    assert_int_equal(k->first[1], TODAY + 1);
    assert_memory_equal(k->secrets[0], "\x11\x11\x11", 3); /* stable: stays */
    pseudonym_keys_free(k);
    policy_free(p);
}

static void a_key_is_used_only_as_it_was_given(void **state)
{
    struct policy *p = day_policy("acme-retail");
    struct pseudonym_keys *k = day_keys(TODAY);
    const int64_t last = MIDNIGHT + EPOCH_STEPS_MAX * DAY_MS;
    const struct span id = span_text("a-1");
    uint8_t out[16];

    (void)state;
    assert_int_equal(pseudonym_at(out, p, k, DAY_ID, id, last), 0);
    assert_int_equal(pseudonym_at(out, p, k, DAY_ID, id, last + DAY_MS),
                     SOTTO_ENOTFOUND);
    p->keys[1].epoch_ms = 2 * DAY_MS; /* not what the bundle says */
    assert_int_equal(pseudonym_at(out, p, k, DAY_ID, id, MIDNIGHT),
                     SOTTO_ENOTFOUND);
    p->keys[1].epoch_ms = 0;
    assert_int_equal(pseudonym_at(out, p, k, DAY_ID, id, MIDNIGHT),
                     SOTTO_ENOTFOUND);
    pseudonym_keys_free(k);
    policy_free(p);
}

/* An event of the person at the device, at a time. */
static enum drop_reason take_at(const struct policy *p,
                                const struct pseudonym_keys *k,
                                const struct person *person, int64_t time_ms,
                                struct event *ev, uint32_t *emptied)
{
    const struct raw_field item = {.path = span_text("properties.product_id"),
                                   .kind = RAW_TEXT,
                                   .text = span_text("SKU")};
    struct anonymizer a = {.policy = p,
                           .keys = k,
                           .person = person,
                           .granted = UINT32_MAX,
                           .now_ms = time_ms};
    struct raw_event raw = {.name = span_text("Product Viewed"),
                            .time_ms = WHEN_NONE,
                            .fields = &item,
                            .field_count = 1};

    *emptied = 0;
    return anonymize(&a, &raw, ev, emptied);
}

static void nothing_is_lost_at_the_turn(void **state)
{
    struct policy *p = day_policy("acme-retail");
    struct pseudonym_keys *k = day_keys(TODAY - 3);
    struct person person = {0};
    static struct event before, after, later;
    uint32_t emptied;

    (void)state;
    assert_int_equal(person_identify(&person, p, k, span_text("anonymousId"),
                                     span_text("a-1"), MIDNIGHT - 60000),
                     SOTTO_OK);
    assert_int_equal(take_at(p, k, &person, MIDNIGHT - 1, &before, &emptied),
                     DROP_NOT);
    assert_true(before.values[2].present);
    assert_int_equal(emptied, 0);
    assert_int_equal(take_at(p, k, &person, MIDNIGHT, &after, &emptied),
                     DROP_NOT);
    assert_true(after.values[2].present);
    assert_int_equal(emptied, 0);
    assert_false(share_bytes(before.values[2].id, after.values[2].id));
    assert_int_equal(
        take_at(p, k, &person, MIDNIGHT + DAY_MS - 1, &later, &emptied),
        DROP_NOT);
    assert_memory_equal(after.values[2].id, later.values[2].id, 16);
    /* identified yesterday, it is nobody after tomorrow, and counted */
    assert_int_equal(
        take_at(p, k, &person, MIDNIGHT + DAY_MS, &later, &emptied), DROP_NOT);
    assert_false(later.values[2].present);
    assert_int_equal(emptied, 1);
    assert_int_equal(person_identify(&person, p, k, span_text("anonymousId"),
                                     span_text("a-1"), MIDNIGHT + DAY_MS),
                     SOTTO_OK);
    assert_int_equal(
        take_at(p, k, &person, MIDNIGHT + DAY_MS, &later, &emptied), DROP_NOT);
    assert_true(later.values[2].present);
    pseudonym_keys_free(k);
    policy_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ratchet_is_frozen),
        cmocka_unit_test(one_id_shares_nothing_across_epochs_tenants_and_types),
        cmocka_unit_test(a_destroyed_key_makes_its_pseudonyms_nevermore),
        cmocka_unit_test(the_shorter_destroy_after_counts),
        cmocka_unit_test(a_key_is_used_only_as_it_was_given),
        cmocka_unit_test(nothing_is_lost_at_the_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
