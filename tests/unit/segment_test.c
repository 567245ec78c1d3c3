/* Segments: fixed cut points, people who move when they act. */
#include "aggregator/segment.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "../support/shop.h"

#define PEOPLE 50
#define DAY_MINUTES 1440u
#define NOW shop_ms(400 * DAY_MINUTES)

struct fixture {
    struct policy *policy;
    void *view;
};

static int setup(void **state)
{
    static struct fixture f;

    if (sodium_init() < 0)
        return -1;
    f.policy = shop_policy();
    *state = &f;
    return profile_view.open(&f.view) == SOTTO_OK ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    profile_view.close(f->view);
    policy_free(f->policy);
    return 0;
}

static void fold(struct fixture *f, const struct deed *deeds, uint32_t count)
{
    assert_int_equal(
        shop_fold(&profile_view, f->view, f->policy, 0, 1, deeds, count),
        SOTTO_OK);
}

static void buy(struct fixture *f, unsigned subject, unsigned day,
                int64_t cents, unsigned times)
{
    struct deed d = {.event = SHOP_BUY,
                     .subject = subject,
                     .minute = day * DAY_MINUTES,
                     .cents = cents};

    for (unsigned i = 0; i < times; i++)
        fold(f, &d, 1);
}

static struct profile of(struct fixture *f, unsigned subject)
{
    struct profile p;
    uint8_t id[16];

    shop_subject(id, subject);
    profiles_get(f->view, profiles_find(f->view, id), &p);
    return p;
}

static const char *segment(struct fixture *f, const struct segments *s,
                           unsigned subject)
{
    struct profile p = of(f, subject);

    return segment_of(s, &p);
}

/* Person i is better than i-1 in everything; one more only looked. */
static void fill(struct fixture *f)
{
    struct deed look = {.subject = PEOPLE + 1};

    for (unsigned i = 1; i <= PEOPLE; i++)
        buy(f, i, 5 * i, 100 * i, i);
    fold(f, &look, 1);
}

static void nobody_bought_nothing_to_fit(void **state)
{
    struct fixture *f = *state;
    struct deed look = {.subject = 1};
    struct segments s = {.version = 3};

    assert_int_equal(segments_fit(&s, f->view, NOW), SOTTO_ENOTFOUND);
    fold(f, &look, 1);
    assert_int_equal(segments_fit(&s, f->view, NOW), SOTTO_ENOTFOUND);
    assert_int_equal(s.version, 3);
}

static void names_the_best_the_worst_and_those_who_only_look(void **state)
{
    struct fixture *f = *state;
    struct segments s = {0};

    fill(f);
    assert_string_equal(segment(f, &s, 1), "Unranked");
    assert_string_equal(segment(f, &s, PEOPLE + 1), "Prospects");
    assert_int_equal(segments_fit(&s, f->view, NOW), SOTTO_OK);
    assert_int_equal(s.version, 1);
    assert_string_equal(segment(f, &s, PEOPLE), rfm_name(RFM_CHAMPIONS));
    assert_string_equal(segment(f, &s, 1), rfm_name(RFM_LOST));
    assert_string_equal(segment(f, &s, PEOPLE + 1), "Prospects");
    assert_int_equal(segments_fit(&s, f->view, NOW), SOTTO_OK);
    assert_int_equal(s.version, 2);
}

static void a_person_moves_with_an_event_and_nobody_else_does(void **state)
{
    struct fixture *f = *state;
    struct segments s = {0};
    const char *before[PEOPLE + 1];

    fill(f);
    assert_int_equal(segments_fit(&s, f->view, NOW), SOTTO_OK);
    for (unsigned i = 1; i <= PEOPLE; i++)
        before[i] = segment(f, &s, i);
    buy(f, 1, 500, 1000000, 60); /* also later than the fit */
    assert_string_equal(segment(f, &s, 1), rfm_name(RFM_CHAMPIONS));
    for (unsigned i = 2; i <= PEOPLE; i++)
        assert_string_equal(segment(f, &s, i), before[i]);
}

static void what_was_returned_is_not_worth_anything(void **state)
{
    struct fixture *f = *state;
    struct segments s = {0};
    struct deed back = {.event = SHOP_RETURN,
                        .subject = PEOPLE,
                        .cents = 100 * PEOPLE,
                        .quantity = PEOPLE};
    struct profile p;
    struct rfm_values v;

    fill(f);
    assert_int_equal(segments_fit(&s, f->view, NOW), SOTTO_OK);
    fold(f, &back, 1);
    p = of(f, PEOPLE);
    assert_true(p.spent == p.returned && p.spent > 0);
    v = (struct rfm_values){150, PEOPLE, 0};
    assert_string_equal(segment_of(&s, &p),
                        rfm_name(rfm_classify(rfm_score(&s.cuts, &v))));
    assert_string_not_equal(segment_of(&s, &p), rfm_name(RFM_CHAMPIONS));
}

static void sizes_count_everybody_once(void **state)
{
    struct fixture *f = *state;
    struct segment_size sizes[SEGMENTS_MAX];
    struct segments s = {0};
    uint64_t people = 0;
    int64_t spent = 0, expected = 0;
    uint32_t count;

    assert_int_equal(segments_count(&s, f->view, sizes), 0);
    fill(f);
    assert_int_equal(segments_fit(&s, f->view, NOW), SOTTO_OK);
    count = segments_count(&s, f->view, sizes);
    assert_in_range(count, 3, SEGMENTS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        assert_true(sizes[i].people > 0);
        people += sizes[i].people;
        spent += sizes[i].spent;
        for (uint32_t j = 0; j < i; j++)
            assert_string_not_equal(sizes[i].name, sizes[j].name);
    }
    for (int64_t i = 1; i <= PEOPLE; i++)
        expected += i * i * MONEY_ONE;
    assert_int_equal(people, PEOPLE + 1);
    assert_true(spent == expected);
}

static void cut_points_are_kept_in_the_store(void **state)
{
    struct fixture *f = *state;
    struct segments s = {0}, loaded = {.version = 9};
    struct shop shop;

    shop_open(&shop);
    fill(f);
    assert_int_equal(segments_load(&loaded, shop.store), SOTTO_ENOTFOUND);
    assert_int_equal(loaded.version, 9);
    assert_int_equal(segments_fit(&s, f->view, NOW), SOTTO_OK);
    assert_int_equal(segments_save(&s, shop.store), SOTTO_OK);
    assert_int_equal(segments_load(&loaded, shop.store), SOTTO_OK);
    assert_int_equal(loaded.version, 1);
    assert_true(loaded.as_of_ms == NOW);
    for (unsigned i = 1; i <= PEOPLE; i++)
        assert_string_equal(segment(f, &loaded, i), segment(f, &s, i));
    assert_int_equal(store_put(shop.store, "segments", span_text("x")),
                     SOTTO_OK);
    assert_int_equal(segments_load(&loaded, shop.store), SOTTO_EDECODE);
    assert_int_equal(loaded.version, 1);
    shop_close(&shop);
}

static void lifecycle_follows_the_persons_own_rhythm(void **state)
{
    static const struct {
        unsigned orders, first, last, today;
        const char *stage;
    } rows[] = {
        {0, 0, 0, 10, "new"},       {0, 0, 0, 31, "active"},
        {0, 0, 0, 61, "cooling"},   {0, 0, 0, 121, "lapsed"},
        {1, 0, 20, 25, "new"},      {3, 0, 20, 25, "active"},
        {3, 0, 20, 40, "active"},   {3, 0, 20, 41, "cooling"},
        {3, 0, 20, 61, "lapsed"},   {3, 0, 200, 390, "active"},
        {50, 0, 50, 64, "active"}, /* a week at least */
        {50, 0, 50, 65, "cooling"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct profile p = {.orders = rows[i].orders,
                            .first_ms = rows[i].first * DAY_MS,
                            .last_ms = rows[i].last * DAY_MS,
                            .last_purchase_ms = rows[i].orders
                                                    ? rows[i].last * DAY_MS
                                                    : WHEN_NONE};

        assert_string_equal(lifecycle_of(&p, rows[i].today * DAY_MS),
                            rows[i].stage);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nobody_bought_nothing_to_fit),
        TEST(names_the_best_the_worst_and_those_who_only_look),
        TEST(a_person_moves_with_an_event_and_nobody_else_does),
        TEST(what_was_returned_is_not_worth_anything),
        TEST(sizes_count_everybody_once),
        TEST(cut_points_are_kept_in_the_store),
        TEST(lifecycle_follows_the_persons_own_rhythm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
