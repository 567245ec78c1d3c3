/* The interactions view against a matrix of counters. */
#include "aggregator/views/interactions.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "../support/shop.h"

#define DEEDS 900
#define SUBJECTS 12
#define ITEMS 20

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
    return interactions_view.open(&f.view) == SOTTO_OK ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    interactions_view.close(f->view);
    policy_free(f->policy);
    return 0;
}

static void again(struct fixture *f)
{
    interactions_view.close(f->view);
    assert_int_equal(interactions_view.open(&f->view), SOTTO_OK);
}

static void fold(struct fixture *f, uint32_t agent, const struct deed *deeds,
                 uint32_t count)
{
    assert_int_equal(shop_fold(&interactions_view, f->view, f->policy, agent, 1,
                               deeds, count),
                     SOTTO_OK);
}

static void fill(struct deed *deeds, uint32_t count, uint64_t seed)
{
    for (uint32_t i = 0; i < count; i++)
        deeds[i] = shop_random(&seed);
}

/* One cell of the matrix, or NULL. */
static const struct interaction *cell(void *view, unsigned subject,
                                      unsigned item)
{
    const struct interaction *rows;
    uint32_t number, count = 0, wanted;
    uint8_t id[16];
    char text[32];

    shop_subject(id, subject);
    number = interactions_find(view, id);
    if (number == DICT_NONE)
        return NULL;
    assert_true(span_equal(interactions_subject(view, number),
                           span_of(id, sizeof(id))));
    snprintf(text, sizeof(text), "item-%u", item);
    wanted = interactions_item_find(view, span_text(text));
    rows = interactions_of(view, number, &count);
    for (uint32_t i = 1; i < count; i++)
        assert_true(rows[i - 1].item < rows[i].item);
    for (uint32_t i = 0; i < count; i++)
        if (rows[i].item == wanted)
            return &rows[i];
    return NULL;
}

/* --- the second way ----------------------------------------------------- */

struct sums {
    int64_t views, adds, buys, units, day;
};

static struct sums sums_of(const struct deed *deeds, uint32_t count,
                           unsigned subject, unsigned item)
{
    struct sums s = {0};

    for (uint32_t i = 0; i < count; i++) {
        const struct deed *d = &deeds[i];
        int64_t quantity = d->quantity ? d->quantity : 1;
        int64_t day = shop_ms(d->minute) / DAY_MS;

        if (d->subject != subject || d->item != item)
            continue;
        s.views += d->event == SHOP_VIEW;
        s.adds += d->event == SHOP_ADD;
        s.buys += d->event == SHOP_BUY;
        if (d->event == SHOP_BUY)
            s.units += quantity;
        else if (d->event == SHOP_RETURN)
            s.units -= quantity < 0 ? -quantity : quantity;
        if (d->event != SHOP_RETURN && day > s.day)
            s.day = day;
    }
    return s;
}

static void check_all(void *view, const struct deed *deeds, uint32_t count)
{
    for (unsigned subject = 1; subject < SUBJECTS; subject++) {
        for (unsigned item = 1; item < ITEMS; item++) {
            struct sums s = sums_of(deeds, count, subject, item);
            const struct interaction *x = cell(view, subject, item);
            int64_t tenths = s.views + 3 * s.adds;

            tenths = tenths > 255 ? 255 : tenths;
            if (s.units <= 0 && tenths == 0) {
                assert_null(x);
                continue;
            }
            assert_non_null(x);
            if (s.units > 0)
                tenths += 10 * s.buys;
            assert_true(x->weight == (float)tenths / 10.0f);
            assert_true(x->bought == (float)(s.units > 0 ? s.units : 0));
            assert_true(x->day == s.day);
        }
    }
}

/* --- tests -------------------------------------------------------------- */

static void agrees_with_a_matrix_of_counters(void **state)
{
    struct fixture *f = *state;
    static struct deed deeds[DEEDS];

    for (uint64_t seed = 1; seed <= 4; seed++) {
        again(f);
        fill(deeds, DEEDS, seed);
        for (uint32_t i = 0; i < DEEDS; i += 90)
            fold(f, i / 90 % 4, deeds + i, 90);
        assert_int_equal(interactions_subjects(f->view), SUBJECTS - 1);
        check_all(f->view, deeds, DEEDS);
    }
}

static void the_order_of_arrival_does_not_matter(void **state)
{
    struct fixture *f = *state;
    static struct deed deeds[DEEDS];
    uint64_t rng = 3, digest = 0;

    fill(deeds, DEEDS, 6);
    for (int round = 0; round < 6; round++) {
        again(f);
        shop_shuffle(deeds, DEEDS, &rng);
        for (uint32_t i = 0; i < DEEDS; i += 100)
            fold(f, sample_below(&rng, 9), deeds + i, 100);
        if (round == 0)
            digest = interactions_view.digest(f->view);
        assert_true(interactions_view.digest(f->view) == digest);
    }
    deeds[0] = (struct deed){.subject = 1, .item = 1};
    fold(f, 0, deeds, 1);
    assert_true(interactions_view.digest(f->view) != digest);
}

static void a_return_may_come_before_its_purchase(void **state)
{
    struct fixture *f = *state;
    struct deed deeds[] = {
        {.event = SHOP_RETURN, .subject = 1, .item = 1, .quantity = 2},
        {.event = SHOP_BUY, .subject = 1, .item = 1, .quantity = 2},
        {.event = SHOP_BUY, .subject = 1, .item = 1, .quantity = 1},
    };

    fold(f, 1, deeds, 1);
    assert_null(cell(f->view, 1, 1));
    fold(f, 0, deeds + 1, 1);
    assert_null(cell(f->view, 1, 1));
    fold(f, 0, deeds + 2, 1);
    assert_true(cell(f->view, 1, 1)->bought == 1);
    assert_true(cell(f->view, 1, 1)->weight == 2);
}

static void what_came_back_whole_keeps_only_interest(void **state)
{
    struct fixture *f = *state;
    struct deed deeds[] = {
        {.event = SHOP_VIEW, .subject = 1, .item = 1},
        {.event = SHOP_ADD, .subject = 1, .item = 1},
        {.event = SHOP_BUY, .subject = 1, .item = 1, .quantity = 80995},
        {.event = SHOP_RETURN, .subject = 1, .item = 1, .quantity = -80995},
    };

    fold(f, 0, deeds, 3);
    assert_true(cell(f->view, 1, 1)->weight == 1.4f);
    assert_true(cell(f->view, 1, 1)->bought == 80995);
    fold(f, 0, deeds + 3, 1);
    assert_true(cell(f->view, 1, 1)->weight == 0.4f);
    assert_true(cell(f->view, 1, 1)->bought == 0);
}

static void counters_stay_at_their_limits(void **state)
{
    struct fixture *f = *state;
    static struct deed deeds[300];

    for (int i = 0; i < 300; i++)
        deeds[i] = (struct deed){.event = SHOP_VIEW, .subject = 1, .item = 1};
    fold(f, 0, deeds, 300);
    assert_true(cell(f->view, 1, 1)->weight == 25.5f);
    for (int i = 0; i < 300; i++)
        deeds[i].event = SHOP_BUY;
    fold(f, 0, deeds, 300);
    assert_true(cell(f->view, 1, 1)->weight == 255 + 25.5f);
    assert_true(cell(f->view, 1, 1)->bought == 300);
    deeds[0].quantity = INT64_MAX; /* one event counts 100,000 at most */
    fold(f, 0, deeds, 1);
    assert_true(cell(f->view, 1, 1)->bought == 100300);
}

static void only_a_known_person_with_an_item_counts(void **state)
{
    struct fixture *f = *state;
    struct deed deeds[] = {{.item = 1, .name = 1}, {.subject = 1}};

    fold(f, 0, deeds, 2);
    assert_int_equal(interactions_subjects(f->view), 0);
    assert_int_equal(interactions_items(f->view), 0);
}

static void an_item_has_its_newest_name(void **state)
{
    struct fixture *f = *state;
    struct deed deeds[] = {
        {.subject = 1, .item = 1, .minute = 5, .name = 2},
        {.subject = 2, .item = 1, .minute = 4, .name = 9},
        {.subject = 2, .item = 1, .minute = 9},
        {.subject = 2, .item = 2},
        {.subject = 1, .item = 1, .minute = 5, .name = 3},
        {.subject = 1, .item = 1, .minute = 5, .name = 1},
        {.subject = 1, .item = 1, .minute = 6, .name = 1},
    };
    uint32_t item;

    fold(f, 0, deeds, 4);
    item = interactions_item_find(f->view, span_text("item-1"));
    assert_true(
        span_equal(interactions_item(f->view, item), span_text("item-1")));
    assert_true(
        span_equal(interactions_item_name(f->view, item), span_text("name 2")));
    assert_int_equal(interactions_item_name(f->view, 1 - item).size, 0);
    fold(f, 0, deeds + 4, 2);
    assert_true(
        span_equal(interactions_item_name(f->view, item), span_text("name 3")));
    fold(f, 0, deeds + 6, 1);
    assert_true(
        span_equal(interactions_item_name(f->view, item), span_text("name 1")));
}

static void forgetting_leaves_the_others(void **state)
{
    struct fixture *f = *state;
    static struct deed deeds[DEEDS];
    uint8_t id[16];

    fill(deeds, DEEDS, 12);
    fold(f, 0, deeds, DEEDS);
    for (unsigned gone = 1; gone < SUBJECTS; gone += 2) {
        shop_subject(id, gone);
        assert_int_equal(interactions_view.forget(f->view, id), SOTTO_OK);
        assert_int_equal(interactions_find(f->view, id), DICT_NONE);
        for (uint32_t i = 0; i < DEEDS; i++)
            if (deeds[i].subject == gone)
                deeds[i].subject = 0;
        check_all(f->view, deeds, DEEDS);
    }
    assert_int_equal(interactions_subjects(f->view), SUBJECTS / 2 - 1);
}

static void knows_how_far_each_agent_is(void **state)
{
    struct fixture *f = *state;
    struct deed d = {.subject = 1, .item = 1};
    uint64_t stream, sequence;

    shop_fold(&interactions_view, f->view, f->policy, 70, 1, &d, 1);
    shop_fold(&interactions_view, f->view, f->policy, 2, 5, &d, 1);
    shop_fold(&interactions_view, f->view, f->policy, 70, 2, &d, 0);
    interactions_upto(f->view, 70, &stream, &sequence);
    assert_int_equal(stream, 170);
    assert_int_equal(sequence, 2);
    interactions_upto(f->view, 2, &stream, &sequence);
    assert_int_equal(sequence, 5);
    interactions_upto(f->view, 3, &stream, &sequence);
    assert_int_equal(stream, 0);
    assert_int_equal(sequence, 0);
}

static void save(struct shop *s, void *view)
{
    assert_int_equal(store_begin(s->store), SOTTO_OK);
    assert_int_equal(interactions_view.save(view, s->store), SOTTO_OK);
    assert_int_equal(store_commit(s->store), SOTTO_OK);
    interactions_view.saved(view);
}

static void check_saved(struct shop *s, void *view)
{
    uint64_t stream, sequence, stream_loaded, sequence_loaded;
    void *loaded;

    assert_int_equal(interactions_view.open(&loaded), SOTTO_OK);
    assert_int_equal(interactions_view.load(loaded, s->store), SOTTO_OK);
    assert_true(interactions_view.digest(loaded) ==
                interactions_view.digest(view));
    interactions_upto(view, 3, &stream, &sequence);
    interactions_upto(loaded, 3, &stream_loaded, &sequence_loaded);
    assert_true(stream == stream_loaded && sequence == sequence_loaded);
    interactions_view.close(loaded);
}

static void checkpoints_add_up_to_the_state(void **state)
{
    struct fixture *f = *state;
    static struct deed deeds[DEEDS];
    struct shop s;
    uint8_t id[16];

    shop_open(&s);
    fill(deeds, DEEDS, 8);
    for (uint32_t i = 0; i < 9; i++) {
        fold(f, i, deeds + i * 100, 100);
        if (i % 3 == 1) {
            shop_subject(id, i);
            interactions_view.forget(f->view, id);
        }
        save(&s, f->view);
        check_saved(&s, f->view);
    }
    shop_close(&s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(agrees_with_a_matrix_of_counters),
        TEST(the_order_of_arrival_does_not_matter),
        TEST(a_return_may_come_before_its_purchase),
        TEST(what_came_back_whole_keeps_only_interest),
        TEST(counters_stay_at_their_limits),
        TEST(only_a_known_person_with_an_item_counts),
        TEST(an_item_has_its_newest_name),
        TEST(forgetting_leaves_the_others),
        TEST(knows_how_far_each_agent_is),
        TEST(checkpoints_add_up_to_the_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
