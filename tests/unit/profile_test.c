/* The profile view against a second way to count: one pass per question over
 * the plain list of what people did. */
#include "aggregator/views/profile.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "../support/shop.h"

#define DEEDS 900
#define SUBJECTS 12

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

static void fold(struct fixture *f, uint32_t agent, const struct deed *deeds,
                 uint32_t count)
{
    assert_int_equal(
        shop_fold(&profile_view, f->view, f->policy, agent, 1, deeds, count),
        SOTTO_OK);
}

static struct profile of(void *view, unsigned subject)
{
    struct profile p;
    uint8_t id[16];
    uint32_t number;

    shop_subject(id, subject);
    number = profiles_find(view, id);
    assert_true(number != DICT_NONE);
    profiles_get(view, number, &p);
    assert_memory_equal(p.subject, id, sizeof(id));
    return p;
}

static void fill(struct deed *deeds, uint32_t count, uint64_t seed)
{
    for (uint32_t i = 0; i < count; i++)
        deeds[i] = shop_random(&seed);
}

/* --- the second way ----------------------------------------------------- */

static int64_t quantity_of(const struct deed *d)
{
    int64_t quantity = d->quantity ? d->quantity : 1;

    return d->event == SHOP_RETURN && quantity < 0 ? -quantity : quantity;
}

static int64_t money(const struct deed *deeds, uint32_t count, unsigned subject,
                     enum shop_event event)
{
    int64_t sum = 0;

    for (uint32_t i = 0; i < count; i++)
        if (deeds[i].subject == subject && deeds[i].event == event)
            sum += deeds[i].cents * CENT * quantity_of(&deeds[i]);
    return sum;
}

static uint64_t orders(const struct deed *deeds, uint32_t count,
                       unsigned subject, enum shop_event event)
{
    uint64_t distinct = 0;

    for (uint32_t i = 0; i < count; i++) {
        bool again = false;

        if (deeds[i].subject != subject || deeds[i].event != event)
            continue;
        for (uint32_t j = 0; j < i && deeds[i].order; j++)
            again |= deeds[j].subject == subject && deeds[j].event == event &&
                     deeds[j].order == deeds[i].order;
        distinct += !again;
    }
    return distinct;
}

/* The newest time of an item for a subject, but not by returns; -1: never. */
static int64_t newest(const struct deed *deeds, uint32_t count,
                      unsigned subject, unsigned item)
{
    int64_t at = -1;

    for (uint32_t i = 0; i < count; i++)
        if (deeds[i].subject == subject && deeds[i].item == item &&
            deeds[i].event != SHOP_RETURN && (int64_t)deeds[i].minute > at)
            at = deeds[i].minute;
    return at;
}

/* Each listed item is newer than, or as new as, all that are not listed. */
static void check_last_items(const struct profiles *v, const struct profile *p,
                             const struct deed *deeds, uint32_t count,
                             unsigned subject)
{
    bool listed[20] = {false};
    int64_t before = INT64_MAX;
    uint32_t known = 0;

    for (uint32_t i = 0; i < p->last_item_count; i++) {
        struct span id = profiles_item(v, p->last_items[i]);
        char text[32] = "";
        unsigned item = 0;
        int64_t at;

        memcpy(text, id.data, id.size);
        assert_int_equal(sscanf(text, "item-%u", &item), 1);
        at = newest(deeds, count, subject, item);
        assert_true(at >= 0 && at <= before && !listed[item]);
        before = at;
        listed[item] = true;
    }
    for (unsigned item = 1; item < 20; item++) {
        int64_t at = newest(deeds, count, subject, item);

        known += at >= 0;
        assert_true(listed[item] || at <= before);
    }
    assert_int_equal(p->last_item_count,
                     known < PROFILE_LAST_ITEMS ? known : PROFILE_LAST_ITEMS);
}

static void check_person(const struct profiles *v, const struct profile *p,
                         const struct deed *deeds, uint32_t count,
                         unsigned subject)
{
    uint64_t events = 0;
    int64_t units = 0, first = INT64_MAX, last = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (deeds[i].subject != subject)
            continue;
        events++;
        if (deeds[i].event == SHOP_BUY)
            units += quantity_of(&deeds[i]);
        if (shop_ms(deeds[i].minute) < first)
            first = shop_ms(deeds[i].minute);
        if (shop_ms(deeds[i].minute) > last)
            last = shop_ms(deeds[i].minute);
    }
    assert_true(p->events[EVENT_VIEW] + p->events[EVENT_ADD] +
                    p->events[EVENT_PURCHASE] + p->events[EVENT_RETURN] ==
                events);
    assert_int_equal(p->orders, orders(deeds, count, subject, SHOP_BUY));
    assert_int_equal(p->returned_orders,
                     orders(deeds, count, subject, SHOP_RETURN));
    assert_true(p->spent == money(deeds, count, subject, SHOP_BUY));
    assert_true(p->returned == money(deeds, count, subject, SHOP_RETURN));
    assert_true((int64_t)p->units == units);
    assert_true(p->first_ms == first && p->last_ms == last);
    check_last_items(v, p, deeds, count, subject);
}

/* --- tests -------------------------------------------------------------- */

static void agrees_with_counting_over_any_spread(void **state)
{
    struct fixture *f = *state;
    static struct deed deeds[DEEDS];

    for (uint32_t agents = 1; agents <= 5; agents += 2) {
        uint32_t size = 40 / agents, sent = 0;

        profile_view.close(f->view);
        assert_int_equal(profile_view.open(&f->view), SOTTO_OK);
        fill(deeds, DEEDS, agents);
        for (uint32_t i = 0; sent < DEEDS; i++, sent += size)
            fold(f, i % agents, deeds + sent,
                 DEEDS - sent < size ? DEEDS - sent : size);
        assert_int_equal(profiles_count(f->view), SUBJECTS - 1);
        for (unsigned subject = 1; subject < SUBJECTS; subject++) {
            struct profile p = of(f->view, subject);

            check_person(f->view, &p, deeds, DEEDS, subject);
        }
    }
}

static void totals_are_exact_with_and_without_a_person(void **state)
{
    static const enum event_role roles[] = {EVENT_VIEW, EVENT_ADD,
                                            EVENT_PURCHASE, EVENT_RETURN};
    struct fixture *f = *state;
    static struct deed deeds[DEEDS];
    int64_t last = 0;

    assert_true(profiles_last_ms(f->view) == WHEN_NONE);
    fill(deeds, DEEDS, 5);
    fold(f, 0, deeds, DEEDS);
    for (unsigned event = 0; event < SHOP_EVENTS; event++) {
        const struct totals *t = profiles_totals(f->view, roles[event]);
        uint64_t all = 0, known = 0;
        int64_t value = 0, known_value = 0;

        for (uint32_t i = 0; i < DEEDS; i++) {
            int64_t amount = deeds[i].cents * CENT * quantity_of(&deeds[i]);

            if (shop_ms(deeds[i].minute) > last)
                last = shop_ms(deeds[i].minute);
            if (deeds[i].event != event)
                continue;
            all++;
            value += amount;
            known += deeds[i].subject != 0;
            known_value += deeds[i].subject ? amount : 0;
        }
        assert_true(known < all);
        assert_int_equal(t->events, all);
        assert_int_equal(t->known_events, known);
        assert_true(t->value == value && t->known_value == known_value);
    }
    assert_true(profiles_last_ms(f->view) == last);
    assert_int_equal(profiles_saturated(f->view), 0);
}

static void the_order_of_arrival_does_not_matter(void **state)
{
    struct fixture *f = *state;
    static struct deed deeds[DEEDS];
    uint64_t rng = 9, digest = 0;

    fill(deeds, DEEDS, 77);
    for (int round = 0; round < 6; round++) {
        profile_view.close(f->view);
        assert_int_equal(profile_view.open(&f->view), SOTTO_OK);
        /* what an agent saw stays with it; all else is shuffled */
        for (uint32_t i = 0; i < 3; i++) {
            uint32_t agent = (i + (uint32_t)round) % 3;
            struct deed *mine = deeds + agent * (DEEDS / 3);

            shop_shuffle(mine, DEEDS / 3, &rng);
            fold(f, agent, mine, DEEDS / 3);
        }
        if (round == 0)
            digest = profile_view.digest(f->view);
        assert_true(profile_view.digest(f->view) == digest);
    }
    deeds[0].cents++;
    deeds[0].subject = 1;
    fold(f, 0, deeds, 1);
    assert_true(profile_view.digest(f->view) != digest);
}

static void an_amount_that_does_not_fit_stays_at_the_limit(void **state)
{
    struct fixture *f = *state;
    struct deed deeds[] = {
        {.event = SHOP_BUY,
         .subject = 1,
         .cents = INT64_MAX / CENT,
         .quantity = 3},
        {.event = SHOP_BUY, .subject = 1, .cents = 100},
        {.event = SHOP_BUY,
         .subject = 2,
         .cents = INT64_MAX / CENT,
         .quantity = -3},
        {.event = SHOP_BUY, .subject = 3, .cents = 1, .quantity = INT64_MAX},
    };

    fold(f, 0, deeds, 1);
    assert_true(profiles_saturated(f->view) >= 1);
    assert_true(of(f->view, 1).spent == INT64_MAX);
    fold(f, 0, deeds + 1, 3);
    assert_true(of(f->view, 1).spent == INT64_MAX);
    assert_true(of(f->view, 2).spent == INT64_MIN);
    assert_int_equal(of(f->view, 2).units, 0);
    assert_true(of(f->view, 3).spent == INT64_MAX);
}

static void consent_is_of_the_newest_event_the_least_of_several(void **state)
{
    struct fixture *f = *state;
    struct deed deeds[] = {
        {.subject = 1, .minute = 5, .consent = 7},
        {.subject = 1, .minute = 3, .consent = 1},
        {.subject = 2, .minute = 5, .consent = 6},
        {.subject = 2, .minute = 5, .consent = 3},
        {.subject = 3, .minute = 5, .consent = 0},
        {.subject = 3, .minute = 6, .consent = 5},
    };

    fold(f, 0, deeds, 6);
    assert_int_equal(of(f->view, 1).consent, 7);
    assert_int_equal(of(f->view, 2).consent, 2);
    assert_int_equal(of(f->view, 3).consent, 5);
}

static void without_an_order_each_purchase_is_one(void **state)
{
    struct fixture *f = *state;
    struct deed deeds[] = {
        {.event = SHOP_BUY, .subject = 1},
        {.event = SHOP_BUY, .subject = 1},
        {.event = SHOP_BUY, .subject = 1, .order = 4, .minute = 9},
        {.event = SHOP_BUY, .subject = 1, .order = 4},
        {.event = SHOP_VIEW, .subject = 2},
    };

    fold(f, 0, deeds, 5);
    assert_int_equal(of(f->view, 1).orders, 3);
    assert_true(of(f->view, 1).last_purchase_ms == shop_ms(9));
    assert_int_equal(of(f->view, 2).orders, 0);
    assert_true(of(f->view, 2).last_purchase_ms == WHEN_NONE);
}

static void categories_are_shares_strongest_first(void **state)
{
    struct fixture *f = *state;
    struct deed deeds[64];
    struct profile p;
    uint32_t count = 0;
    float sum = 0;

    for (unsigned n = 0; n < 10; n++) {
        unsigned category = n < 5 ? 6 + n : 10 - n; /* 6 to 10, 5 to 1 */

        for (unsigned i = 0; i < category; i++)
            deeds[count++] = (struct deed){.subject = 1, .category = category};
    }
    deeds[count++] = (struct deed){.subject = 1};
    fold(f, 0, deeds, count);
    p = of(f->view, 1);
    assert_int_equal(p.category_count, PROFILE_CATEGORIES);
    for (unsigned i = 0; i < PROFILE_CATEGORIES; i++) {
        struct span name = profiles_category(f->view, p.categories[i].category);
        char text[32];

        snprintf(text, sizeof(text), "shelf %u", 10 - i);
        assert_true(span_equal(name, span_text(text)));
        assert_true(p.categories[i].share == (float)(10 - i) / 55.0f);
        sum += p.categories[i].share;
    }
    assert_true(sum < 1);
}

static void collect(void *context, uint32_t agent)
{
    uint64_t *hash = context;

    *hash = *hash * 1000 + agent;
}

static void remembers_every_agent_that_saw_a_person(void **state)
{
    static const uint32_t agents[] = {500, 3, 64, 3, 63, 500, 70};
    struct fixture *f = *state;
    struct deed d = {.subject = 1};
    uint64_t seen = 0;
    uint8_t id[16];

    for (int i = 0; i < 7; i++)
        fold(f, agents[i], &d, 1);
    shop_subject(id, 1);
    profiles_agents(f->view, profiles_find(f->view, id), collect, &seen);
    assert_true(seen == UINT64_C(3063064070500));
    assert_true(of(f->view, 1).agents ==
                (UINT64_C(1) << 3 | UINT64_C(1) << 63));
}

static void forgetting_leaves_the_others_and_the_totals(void **state)
{
    struct fixture *f = *state;
    static struct deed deeds[DEEDS];
    struct totals before;
    uint8_t id[16];

    fill(deeds, DEEDS, 31);
    fold(f, 0, deeds, DEEDS);
    before = *profiles_totals(f->view, EVENT_PURCHASE);
    for (unsigned gone = 1; gone < SUBJECTS; gone++) {
        shop_subject(id, gone);
        assert_int_equal(profile_view.forget(f->view, id), SOTTO_OK);
        assert_int_equal(profile_view.forget(f->view, id), SOTTO_OK);
        assert_int_equal(profiles_find(f->view, id), DICT_NONE);
        assert_int_equal(profiles_count(f->view), SUBJECTS - 1 - gone);
        assert_memory_equal(&before, profiles_totals(f->view, EVENT_PURCHASE),
                            sizeof(before));
        for (unsigned subject = gone + 1; subject < SUBJECTS; subject++) {
            struct profile p = of(f->view, subject);

            check_person(f->view, &p, deeds, DEEDS, subject);
        }
    }
}

static void save(struct shop *s, void *view)
{
    assert_int_equal(store_begin(s->store), SOTTO_OK);
    assert_int_equal(profile_view.save(view, s->store), SOTTO_OK);
    assert_int_equal(store_commit(s->store), SOTTO_OK);
    profile_view.saved(view);
}

static void check_saved(struct shop *s, void *view)
{
    void *loaded;

    assert_int_equal(profile_view.open(&loaded), SOTTO_OK);
    assert_int_equal(profile_view.load(loaded, s->store), SOTTO_OK);
    assert_true(profile_view.digest(loaded) == profile_view.digest(view));
    assert_int_equal(profiles_count(loaded), profiles_count(view));
    profile_view.close(loaded);
}

/* Each checkpoint writes only what changed; together they are the state. */
static void checkpoints_add_up_to_the_state(void **state)
{
    struct fixture *f = *state;
    static struct deed deeds[DEEDS];
    struct shop s;
    uint8_t id[16];

    shop_open(&s);
    fill(deeds, DEEDS, 8);
    for (uint32_t i = 0; i < 9; i++) {
        fold(f, i * 30, deeds + i * 100, 100);
        if (i % 3 == 1) {
            shop_subject(id, i);
            profile_view.forget(f->view, id);
        }
        save(&s, f->view);
        check_saved(&s, f->view);
    }
    /* forgotten and known again before the checkpoint, and forgotten for good
     */
    shop_subject(id, 2);
    profile_view.forget(f->view, id);
    fold(f, 1, &(struct deed){.subject = 2, .item = 3}, 1);
    shop_subject(id, 3);
    profile_view.forget(f->view, id);
    save(&s, f->view);
    check_saved(&s, f->view);
    shop_close(&s);
}

static void a_checkpoint_that_was_changed_does_not_load(void **state)
{
    static const char *const changes[] = {
        "UPDATE view_state SET value = x'00' WHERE key = x'74'",
        "UPDATE view_state SET value = (SELECT value FROM view_state"
        " WHERE key = x'6900000001') WHERE key = x'6900000000'",
    };
    struct fixture *f = *state;
    static struct deed deeds[DEEDS];
    struct shop s;
    void *loaded;

    shop_open(&s);
    fill(deeds, DEEDS, 8);
    fold(f, 0, deeds, DEEDS);
    save(&s, f->view);
    for (int i = 0; i < 2; i++) {
        store_run(store_prepare(s.store, "BEGIN"));
        assert_int_equal(store_run(store_prepare(s.store, changes[i])),
                         SOTTO_OK);
        assert_int_equal(profile_view.open(&loaded), SOTTO_OK);
        assert_int_equal(profile_view.load(loaded, s.store), SOTTO_ECRYPTO);
        profile_view.close(loaded);
        store_rollback(s.store);
    }
    check_saved(&s, f->view);
    shop_close(&s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(agrees_with_counting_over_any_spread),
        TEST(totals_are_exact_with_and_without_a_person),
        TEST(the_order_of_arrival_does_not_matter),
        TEST(an_amount_that_does_not_fit_stays_at_the_limit),
        TEST(consent_is_of_the_newest_event_the_least_of_several),
        TEST(without_an_order_each_purchase_is_one),
        TEST(categories_are_shares_strongest_first),
        TEST(remembers_every_agent_that_saw_a_person),
        TEST(forgetting_leaves_the_others_and_the_totals),
        TEST(checkpoints_add_up_to_the_state),
        TEST(a_checkpoint_that_was_changed_does_not_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
