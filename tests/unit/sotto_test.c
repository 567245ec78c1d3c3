/* libsotto through its public header only, without an aggregator: the token's
 * address refuses connections. What it does for the application. */
#include "sotto/sotto.h"

#include <string.h>

#include "../support/app.h"

/* ---- open and close ---- */

static void takes_events_before_any_network(void **state)
{
    struct fixture *f = *state;
    struct sotto *s = open_home(f, f->home);
    struct sotto_counts c;

    assert_int_equal(track(s, "Product Viewed"), SOTTO_OK);
    c = counts(s);
    assert_int_equal(c.accepted, 1);
    assert_int_equal(c.policy_version, 1);
    assert_int_equal(c.link, SOTTO_LINK_ENROLLING);
    assert_false(c.connected);
    assert_balanced(&c);
    assert_int_equal(close_all(s), 1);
}

static void close_says_what_is_left_and_keeps_it(void **state)
{
    struct fixture *f = *state;
    struct sotto *s = open_home(f, f->home);
    struct sotto_options later = {.size = sizeof later, .dir = f->home};
    struct sotto_counts c;
    uint64_t left = 99;

    for (int i = 0; i < 10; i++)
        assert_int_equal(track(s, "Product Viewed"), SOTTO_OK);
    assert_int_equal(sotto_flush(s, 20), SOTTO_ETIMEOUT);
    for (int i = 0; i < 5; i++)
        assert_int_equal(track(s, "Product Added"), SOTTO_OK);
    assert_int_equal(sotto_close(s, 20, &left), SOTTO_ETIMEOUT);
    assert_int_equal(left, 15);

    /* The directory is enough from now on. */
    assert_int_equal(sotto_open(&s, &later, NULL), SOTTO_OK);
    c = counts(s);
    assert_int_equal(c.spooled, 15);
    assert_int_equal(c.in_ring, 0);
    assert_balanced(&c);
    assert_int_equal(sotto_flush(s, 0), SOTTO_ETIMEOUT);
    assert_int_equal(close_all(s), 15);
}

static void closes_empty_without_waiting(void **state)
{
    struct fixture *f = *state;
    uint64_t left = 99;

    assert_int_equal(sotto_close(open_home(f, f->home), 0, &left), SOTTO_OK);
    assert_int_equal(left, 0);
}

static void second_owner_is_refused(void **state)
{
    struct fixture *f = *state;
    struct sotto *s = open_home(f, f->home), *other = NULL;
    struct sotto_options o = {.size = sizeof o, .dir = f->home};
    struct sotto_why why;

    assert_int_equal(sotto_open(&other, &o, &why), SOTTO_ELOCKED);
    assert_null(other);
    assert_non_null(strstr(why.text, f->home));
    close_all(s);
}

static void two_directories_are_two_agents(void **state)
{
    struct fixture *f = *state;
    char home[256];
    struct sotto *a, *b;

    fixture_home(f, "second", SMALL, home, sizeof home);
    a = open_home(f, f->home);
    b = open_home(f, home);
    assert_int_equal(track(a, "Product Viewed"), SOTTO_OK);
    assert_int_equal(track(b, "Product Viewed"), SOTTO_OK);
    assert_int_equal(track(b, "Product Viewed"), SOTTO_OK);
    assert_int_equal(counts(a).accepted, 1);
    assert_int_equal(counts(b).accepted, 2);
    assert_int_equal(close_all(a), 1);
    assert_int_equal(track(b, "Product Viewed"), SOTTO_OK);
    assert_int_equal(close_all(b), 3);
}

static void says_why_it_does_not_open(void **state)
{
    struct fixture *f = *state;
    struct sotto_options o = {.size = sizeof o, .dir = f->home};
    struct sotto *s = (struct sotto *)f;
    struct sotto_why why;

    assert_int_equal(sotto_open(&s, &o, &why), SOTTO_ENOTFOUND);
    assert_null(s);
    assert_non_null(strstr(why.text, "token"));
    o.token_file = "/nonexistent/token";
    assert_int_equal(sotto_open(&s, &o, &why), SOTTO_ENOTFOUND);
    assert_non_null(strstr(why.text, "/nonexistent/token"));
    o.token_file = f->token_file;
    assert_int_equal(sotto_open(&s, &o, &why), SOTTO_ENOTFOUND);
    assert_non_null(strstr(why.text, "bundle"));
    o.bundle_file = f->bundle_file;
    assert_int_equal(sotto_open(&s, &o, &why), SOTTO_EINVAL);
    o.bundle_code = "0000-0000-0000-0000-0000";
    assert_int_equal(sotto_open(&s, &o, &why), SOTTO_ECRYPTO);
    o.token = "sotto1:nonsense";
    assert_int_equal(sotto_open(&s, &o, &why), SOTTO_EDECODE);
    o.size = sizeof o - 1;
    assert_int_equal(sotto_open(&s, &o, &why), SOTTO_EINVAL);
    assert_int_equal(sotto_open(&s, NULL, NULL), SOTTO_EINVAL);
    assert_int_equal(sotto_open(NULL, &o, NULL), SOTTO_EINVAL);
    /* Nothing of that is in the way of the right files. */
    close_all(open_home(f, f->home));
}

/* ---- events ---- */

static void drops_are_counted_by_reason(void **state)
{
    struct fixture *f = *state;
    struct sotto *s = open_home(f, f->home);
    struct sotto_property many[SOTTO_PROPERTIES_MAX + 1];
    struct sotto_event e = {.size = sizeof e, .name = "Product Viewed"};
    char key[SOTTO_KEY_MAX + 2];
    struct sotto_counts c;

    assert_int_equal(track(s, "Product Viewed"), SOTTO_OK);
    assert_int_equal(track(s, "Nobody Knows"), SOTTO_EDENIED);
    assert_int_equal(track(s, "Banner Clicked"), SOTTO_EDENIED);
    assert_int_equal(sotto_track(s, &e), SOTTO_EINVAL); /* no item */
    many[0] = sotto_text("product_id", "85123A");
    e.properties = many;
    e.property_count = 1;
    e.time_ms = 1000; /* 1970 */
    assert_int_equal(sotto_track(s, &e), SOTTO_EDENIED);
    e.time_ms = INT64_MAX;
    assert_int_equal(sotto_track(s, &e), SOTTO_EINVAL);
    e.time_ms = 0;
    for (int i = 1; i <= SOTTO_PROPERTIES_MAX; i++)
        many[i] = sotto_bool("unlisted", true);
    e.property_count = SOTTO_PROPERTIES_MAX;
    assert_int_equal(sotto_track(s, &e), SOTTO_OK);
    e.property_count++;
    assert_int_equal(sotto_track(s, &e), SOTTO_ETOOBIG);
    memset(key, 'k', sizeof key);
    key[SOTTO_KEY_MAX + 1] = '\0';
    many[1] = sotto_real(key, 0.5);
    e.property_count = 2;
    assert_int_equal(sotto_track(s, &e), SOTTO_ETOOBIG);
    key[SOTTO_KEY_MAX] = '\0';
    assert_int_equal(sotto_track(s, &e), SOTTO_OK);

    c = counts(s);
    assert_balanced(&c);
    assert_int_equal(c.produced, 10);
    assert_int_equal(c.accepted, 3);
    assert_int_equal(c.dropped_by[SOTTO_DROP_UNKNOWN_EVENT], 1);
    assert_int_equal(c.dropped_by[SOTTO_DROP_NO_CONSENT], 1);
    assert_int_equal(c.dropped_by[SOTTO_DROP_MISSING_FIELD], 1);
    assert_int_equal(c.dropped_by[SOTTO_DROP_TOO_OLD], 1);
    assert_int_equal(c.dropped_by[SOTTO_DROP_BAD_TIME], 1);
    assert_int_equal(c.dropped_by[SOTTO_DROP_TOO_BIG], 2);
    close_all(s);

    s = open_home(f, f->home); /* counted for good */
    c = counts(s);
    assert_int_equal(c.dropped, 7);
    assert_balanced(&c);
    close_all(s);
}

static void wrong_calls_are_no_events(void **state)
{
    struct fixture *f = *state;
    struct sotto *s = open_home(f, f->home);
    struct sotto_property p = sotto_text("product_id", "85123A");
    struct sotto_event e = {.size = sizeof e - 1, .name = "Product Viewed"};

    assert_int_equal(sotto_track(NULL, &e), SOTTO_EINVAL);
    assert_int_equal(sotto_track(s, NULL), SOTTO_EINVAL);
    assert_int_equal(sotto_track(s, &e), SOTTO_EINVAL);
    e.size = sizeof e;
    e.property_count = 1;
    assert_int_equal(sotto_track(s, &e), SOTTO_EINVAL);
    e.properties = &p;
    p.type = (enum sotto_value_type)9;
    assert_int_equal(sotto_track(s, &e), SOTTO_EINVAL);
    p = sotto_text(NULL, "85123A");
    assert_int_equal(sotto_track(s, &e), SOTTO_EINVAL);
    e.name = NULL;
    assert_int_equal(sotto_track(s, &e), SOTTO_EINVAL);
    assert_int_equal(counts(s).produced, 0);
    close_all(s);
}

static void full_ring_drops_the_newest(void **state)
{
    struct fixture *f = *state;
    char home[256];
    struct sotto *s;
    struct sotto_counts c;
    uint64_t taken = 0, full = 0;

    fixture_home(f, "tiny", "ring_size: 64KiB\nbatch_bytes: 16KiB\n", home,
                 sizeof home);
    s = open_home(f, home);
    for (int i = 0; i < 20000; i++) {
        enum sotto_status status = track(s, "Product Viewed");
        taken += status == SOTTO_OK;
        full += status == SOTTO_EFULL;
    }
    assert_int_equal(taken + full, 20000);
    assert_true(full > 0);
    c = counts(s);
    assert_balanced(&c);
    assert_int_equal(c.accepted, taken);
    assert_int_equal(c.dropped_by[SOTTO_DROP_RING_FULL], full);
    assert_int_equal(close_all(s), taken);
}

static void sync_means_in_the_spool(void **state)
{
    struct fixture *f = *state;
    struct sotto *s = open_home(f, f->home);
    struct sotto_property p = sotto_text("product_id", "85123A");
    struct sotto_event e = {.size = sizeof e,
                            .name = "Order Completed",
                            .properties = &p,
                            .property_count = 1};
    struct sotto_counts c;
    bool taken = false;

    assert_int_equal(sotto_track_sync(s, &e, 10000, &taken), SOTTO_OK);
    assert_true(taken);
    c = counts(s);
    assert_int_equal(c.spooled, 1);
    assert_int_equal(c.in_ring, 0);
    e.name = "Nobody Knows";
    assert_int_equal(sotto_track_sync(s, &e, 10000, &taken), SOTTO_EDENIED);
    assert_false(taken);
    close_all(s);
}

/* ---- the person ---- */

static void consent_opens_and_closes_a_purpose(void **state)
{
    struct fixture *f = *state;
    struct sotto *s = open_home(f, f->home);

    assert_int_equal(track(s, "Banner Clicked"), SOTTO_EDENIED);
    assert_int_equal(sotto_consent(s, "campaign", true), SOTTO_OK);
    assert_int_equal(track(s, "Banner Clicked"), SOTTO_OK);
    assert_int_equal(sotto_consent(s, "campaign", false), SOTTO_OK);
    assert_int_equal(track(s, "Banner Clicked"), SOTTO_EDENIED);
    assert_int_equal(sotto_consent(s, "research", true), SOTTO_ENOTFOUND);
    assert_int_equal(sotto_consent(s, "", true), SOTTO_EINVAL);
    close_all(s);
}

static size_t list_of(struct sotto *s, enum sotto_slot slot, char first[65])
{
    struct sotto_item items[3];
    struct sotto_list list = {.size = sizeof list};
    enum sotto_status status = sotto_lists(s, slot, items, 3, &list);

    assert_int_equal(status, list.count ? SOTTO_OK : SOTTO_ENOTFOUND);
    if (list.count) {
        memcpy(first, items[0].item, 65);
        assert_string_equal(list.model, "model-1");
        assert_true(*items[0].reason);
    }
    return list.count;
}

static void lists_answer_offline(void **state)
{
    struct fixture *f = *state;
    struct sotto *s = open_home(f, f->home);
    struct sotto_list list = {.size = sizeof list};
    struct sotto_item item;
    char first[65];

    assert_int_equal(list_of(s, SOTTO_FOR_YOU, first), 0);
    assert_int_equal(sotto_lists(s, SOTTO_POPULAR, &item, 0, &list),
                     SOTTO_EINVAL);
    assert_int_equal(sotto_lists(s, (enum sotto_slot)7, &item, 1, &list),
                     SOTTO_EINVAL);
    close_all(s);

    fixture_list(f, f->home, NULL, "popular", 5);
    s = open_home(f, f->home);
    assert_int_equal(list_of(s, SOTTO_POPULAR, first), 3);
    assert_string_equal(first, "popular-1");
    assert_int_equal(list_of(s, SOTTO_FOR_YOU, first), 3);
    assert_string_equal(first, "popular-1");
    assert_int_equal(counts(s).documents, 1);
    close_all(s);
}

static void session_end_forgets_the_person(void **state)
{
    struct fixture *f = *state;
    struct sotto *s = open_home(f, f->home);
    char first[65];

    close_all(s);
    fixture_list(f, f->home, NULL, "popular", 5);
    fixture_list(f, f->home, "visitor-17", "personal", 5);
    s = open_home(f, f->home);
    assert_int_equal(sotto_consent(s, "personalise", true), SOTTO_OK);
    assert_int_equal(sotto_consent(s, "campaign", true), SOTTO_OK);
    assert_int_equal(sotto_identify(s, "visitor-17"), SOTTO_OK);
    assert_int_equal(list_of(s, SOTTO_FOR_YOU, first), 3);
    assert_string_equal(first, "personal-1");
    assert_int_equal(list_of(s, SOTTO_POPULAR, first), 3);
    assert_string_equal(first, "popular-1");
    assert_int_equal(track(s, "Banner Clicked"), SOTTO_OK);

    assert_int_equal(sotto_session_end(s), SOTTO_OK);
    assert_int_equal(list_of(s, SOTTO_FOR_YOU, first), 3);
    assert_string_equal(first, "popular-1");
    assert_int_equal(track(s, "Banner Clicked"), SOTTO_EDENIED);
    /* What the one before agreed to does not come back with the next. */
    assert_int_equal(sotto_consent(s, "personalise", true), SOTTO_OK);
    assert_int_equal(track(s, "Banner Clicked"), SOTTO_EDENIED);
    /* It was no withdrawal: the person is known again when identified. */
    assert_int_equal(sotto_identify(s, "visitor-17"), SOTTO_OK);
    list_of(s, SOTTO_FOR_YOU, first);
    assert_string_equal(first, "personal-1");
    close_all(s);
}

static void withdrawal_forgets_history_and_lists(void **state)
{
    struct fixture *f = *state;
    struct sotto *s = open_home(f, f->home);
    struct sotto_counts before;
    char first[65];

    close_all(s);
    fixture_list(f, f->home, NULL, "popular", 5);
    fixture_list(f, f->home, "visitor-17", "personal", 5);
    s = open_home(f, f->home);
    assert_int_equal(sotto_consent(s, "personalise", true), SOTTO_OK);
    assert_int_equal(sotto_identify(s, "visitor-17"), SOTTO_OK);
    assert_int_equal(sotto_flush(s, 0), SOTTO_OK);
    before = counts(s);
    assert_int_equal(sotto_consent(s, "personalise", false), SOTTO_OK);
    assert_int_equal(sotto_flush(s, 200), SOTTO_ETIMEOUT); /* `forget` waits */
    assert_true(counts(s).spool_bytes > before.spool_bytes);
    assert_int_equal(counts(s).accepted, before.accepted);
    list_of(s, SOTTO_FOR_YOU, first);
    assert_string_equal(first, "popular-1");
    close_all(s);
}

static void every_status_and_reason_has_words(void **state)
{
    (void)state;
    for (int i = 0; i <= SOTTO_EVERSION; i++) {
        assert_true(strlen(sotto_strerror((enum sotto_status)i)) > 0);
        assert_true(strlen(sotto_status_name((enum sotto_status)i)) > 0);
    }
    assert_string_equal(sotto_status_name(SOTTO_ELOCKED), "ELOCKED");
    assert_string_equal(sotto_drop_name(SOTTO_DROP_NO_CONSENT), "no_consent");
    assert_non_null(sotto_drop_text((enum sotto_drop)1000));
    assert_non_null(sotto_strerror((enum sotto_status)1000));
    assert_string_equal(sotto_version(), SOTTO_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(takes_events_before_any_network),
        TEST(close_says_what_is_left_and_keeps_it),
        TEST(closes_empty_without_waiting),
        TEST(second_owner_is_refused),
        TEST(two_directories_are_two_agents),
        TEST(says_why_it_does_not_open),
        TEST(drops_are_counted_by_reason),
        TEST(wrong_calls_are_no_events),
        TEST(full_ring_drops_the_newest),
        TEST(sync_means_in_the_spool),
        TEST(consent_opens_and_closes_a_purpose),
        TEST(lists_answer_offline),
        TEST(session_end_forgets_the_person),
        TEST(withdrawal_forgets_history_and_lists),
        cmocka_unit_test(every_status_and_reason_has_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
