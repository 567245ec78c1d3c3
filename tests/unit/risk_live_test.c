/* The store as risk sees it: what a person's deeds become. */
#include "aggregator/risk_live.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "../support/shop.h"

#define DAY 1440u /* minutes */

struct fixture {
    struct policy *policy;
    void *profiles, *interactions;
};

static int setup(void **state)
{
    static struct fixture f;

    if (sodium_init() < 0)
        return -1;
    f.policy = shop_policy();
    *state = &f;
    return profile_view.open(&f.profiles) ||
           interactions_view.open(&f.interactions);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    profile_view.close(f->profiles);
    interactions_view.close(f->interactions);
    policy_free(f->policy);
    return 0;
}

static void fold(struct fixture *f, uint32_t agent, const struct deed *deeds,
                 uint32_t count)
{
    assert_int_equal(shop_fold(&profile_view, f->profiles, f->policy, agent, 1,
                               deeds, count),
                     SOTTO_OK);
    assert_int_equal(shop_fold(&interactions_view, f->interactions, f->policy,
                               agent, 1, deeds, count),
                     SOTTO_OK);
}

/* The row of a subject, "orders=1 units=2 …". */
static void row_text(struct fixture *f, const struct risk_data *d,
                     unsigned subject, char out[400])
{
    uint32_t row;
    uint8_t id[16];

    shop_subject(id, subject);
    row = profiles_find(f->profiles, id);
    assert_true(row < d->rows);
    *out = 0;
    for (uint32_t c = 0; c < d->column_count; c++) {
        struct span name = risk_data_column(d, c);
        struct span value =
            dict_key(&d->columns[c].values, d->columns[c].cells[row]);

        sprintf(out + strlen(out), "%s%.*s=%.*s", c ? " " : "", (int)name.size,
                (const char *)name.data, (int)value.size,
                (const char *)value.data);
    }
}

static void a_person_becomes_a_row_of_steps(void **state)
{
    struct fixture *f = *state;
    const struct deed first[] = {
        {.event = SHOP_BUY,
         .subject = 1,
         .item = 1,
         .cents = 2550,
         .quantity = 2,
         .order = 1,
         .minute = 0,
         .category = 1},
        {.event = SHOP_BUY,
         .subject = 2,
         .item = 1,
         .cents = 99,
         .order = 2,
         .minute = 300 * DAY},
    };
    const struct deed second[] = {
        {.event = SHOP_VIEW, .subject = 1, .item = 2, .minute = 360 * DAY},
        {.event = SHOP_VIEW, .subject = 3, .item = 2, .minute = 400 * DAY},
    };
    struct risk_people people;
    struct risk_data d;
    char text[400];

    fold(f, 0, first, 2);
    fold(f, 3, second, 2);
    risk_data_init(&d);
    assert_int_equal(risk_people_copy(&people, f->profiles, NULL), SOTTO_OK);
    assert_int_equal(risk_people_table(&d, &people), SOTTO_OK);
    assert_int_equal(d.rows, 3);
    row_text(f, &d, 1, text); /* 51.00 is from 32 on; 40 and 400 days ago */
    assert_string_equal(text, "orders=1 units=2 spent=32 recency=30 tenure=365 "
                              "category=c0 agents=a9 consent=p0 segment=");
    row_text(f, &d, 2, text); /* 0.99 is from 0 on; 100 days ago */
    assert_string_equal(text, "orders=1 units=1 spent=0 recency=90 tenure=90 "
                              "category=none agents=a1 consent=p0 segment=");
    row_text(f, &d, 3, text);
    assert_string_equal(text, "orders=0 units=0 spent=0 recency=0 tenure=0 "
                              "category=none agents=a8 consent=p0 segment=");
    risk_people_fini(&people);
    risk_data_fini(&d);
}

static void segments_are_those_that_are_stored(void **state)
{
    struct fixture *f = *state;
    const struct deed look = {.subject = 1, .item = 1};
    struct segments s = {.version = 1};
    struct risk_people people;

    fold(f, 0, &look, 1);
    assert_int_equal(risk_people_copy(&people, f->profiles, &s), SOTTO_OK);
    assert_string_equal(people.all[0].segment, "Prospects");
    risk_people_fini(&people);
}

/* Subjects 1 and 2 took the same on the same days; 3 one of it a day later. */
static void points_are_items_on_a_day(void **state)
{
    struct fixture *f = *state;
    const struct deed deeds[] = {
        {.event = SHOP_BUY, .subject = 1, .item = 1, .minute = 5},
        {.event = SHOP_BUY, .subject = 1, .item = 2, .minute = DAY + 9},
        {.event = SHOP_BUY, .subject = 2, .item = 2, .minute = DAY + 1000},
        {.event = SHOP_VIEW, .subject = 2, .item = 1, .minute = 1439},
        {.event = SHOP_BUY, .subject = 3, .item = 1, .minute = DAY},
        {.event = SHOP_BUY, .subject = 3, .item = 2, .minute = DAY},
    };
    struct risk_unicity u = {.points = 2};
    struct risk_trail trail;
    struct risk_traces t;

    fold(f, 0, deeds, 6);
    assert_int_equal(risk_trail_copy(&trail, f->interactions), SOTTO_OK);
    assert_int_equal(risk_trail_traces(&t, &trail), SOTTO_OK);
    assert_int_equal(t.subjects, 3);
    assert_int_equal(t.point_count, 3);
    for (uint32_t s = 0; s < 3; s++) {
        assert_int_equal(t.starts[s + 1] - t.starts[s], 2);
        assert_true(t.points[t.starts[s]] < t.points[t.starts[s] + 1]);
    }
    assert_int_equal(risk_unicity(&u, 1, &t, 100, 1, NULL), SOTTO_OK);
    assert_int_equal(u.asked, 3);
    assert_int_equal(u.unique, 1);
    risk_trail_fini(&trail);
}

static void an_empty_store_has_no_rows(void **state)
{
    struct fixture *f = *state;
    struct risk_unicity u = {.points = 1};
    struct risk_people people;
    struct risk_trail trail;
    struct risk_traces t;
    struct risk_data d;

    risk_data_init(&d);
    assert_int_equal(risk_people_copy(&people, f->profiles, NULL), SOTTO_OK);
    assert_int_equal(risk_people_table(&d, &people), SOTTO_OK);
    assert_int_equal(d.rows, 0);
    assert_int_equal(risk_trail_copy(&trail, f->interactions), SOTTO_OK);
    assert_int_equal(risk_trail_traces(&t, &trail), SOTTO_OK);
    assert_int_equal(risk_unicity(&u, 1, &t, 100, 1, NULL), SOTTO_OK);
    assert_int_equal(u.asked, 0);
    risk_people_fini(&people);
    risk_trail_fini(&trail);
    risk_data_fini(&d);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_person_becomes_a_row_of_steps),
        TEST(segments_are_those_that_are_stored),
        TEST(points_are_items_on_a_day),
        TEST(an_empty_store_has_no_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
