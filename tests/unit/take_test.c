/* The journey of an event: the snapshot that producers see, what a change
 * carries over, sessions and trusted time. */
#include "agent/take.h"

#include <setjmp.h>
#include <stdarg.h>

#include <pthread.h>

#include <cmocka.h>

#include "../support/parts.h"
#include "agent/cursor.h"
#include "policy/epoch.h"
#include "policy/reason.h"

#define ROOMY (64 * 1024 * 1024)

static struct parts *make(void)
{
    static struct parts p;

    parts_make(&p, "tcp://127.0.0.1:1", ROOMY);
    return &p;
}

/* The newest event in the ring. */
static void newest(struct parts *p, struct event *ev, uint32_t *policy)
{
    uint64_t at = journal_tail(p->journal);
    struct journal_record rec;
    bool found = false;

    for (; journal_read(p->journal, at, &rec) == SOTTO_OK; at = rec.next) {
        const struct policy *under = policyset_get(&p->policies, rec.policy);

        assert_int_equal(rec.kind, JOURNAL_EVENT);
        assert_int_equal(event_decode(under, rec.payload, ev), SOTTO_OK);
        *policy = rec.policy;
        found = true;
    }
    assert_true(found);
}

static const struct event_value *value(struct parts *p, enum role role)
{
    static struct event ev;
    uint32_t number = 0;

    newest(p, &ev, &number);
    return event_role_value(policyset_get(&p->policies, number), &ev, role);
}

static uint64_t drops(struct parts *p, enum drop_reason reason)
{
    return atomic_load(&journal_counters(p->journal)->drops[reason]);
}

static const struct policy *add_policy(struct parts *p, uint64_t version,
                                       void (*change)(struct policy *))
{
    const struct policy *added;
    struct buf container;
    uint32_t number = 0;
    struct why why;

    parts_policy(p, &container, version, change);
    assert_int_equal(policyset_add(&p->policies,
                                   span_of(container.data, container.size),
                                   &why),
                     SOTTO_OK);
    added = policyset_current(&p->policies, &number);
    assert_int_equal(take_policy(&p->take, added, number), SOTTO_OK);
    buf_fini(&container);
    return added;
}

static void identify(struct parts *p, const char *id)
{
    assert_int_equal(
        take_identify(&p->take, span_text("userId"), span_text(id)), SOTTO_OK);
}

static void consent(struct parts *p, bool granted)
{
    assert_int_equal(take_consent(&p->take, "personalise", granted), SOTTO_OK);
}

static void a_person_is_named_only_with_consent(void **state)
{
    struct parts *p = make();
    uint8_t expected[16];

    (void)state;
    assert_int_equal(pseudonym_make(expected, p->fixture.policy,
                                    p->fixture.pseudonyms,
                                    policy_subject_id(p->fixture.policy),
                                    span_text("alice")),
                     SOTTO_OK);
    identify(p, "alice");
    assert_int_equal(parts_track(p, 1), DROP_NOT);
    assert_null(value(p, ROLE_SUBJECT));
    consent(p, true);
    assert_int_equal(parts_track(p, 2), DROP_NOT);
    assert_memory_equal(value(p, ROLE_SUBJECT)->id, expected, 16);
    consent(p, false);
    assert_int_equal(parts_track(p, 3), DROP_NOT);
    assert_null(value(p, ROLE_SUBJECT));
    consent(p, true);
    identify(p, ""); /* forgets who it was */
    assert_int_equal(parts_track(p, 4), DROP_NOT);
    assert_null(value(p, ROLE_SUBJECT));
    parts_free(p);
}

static void other_key_name(struct policy *draft)
{
    strcpy(draft->keys[0].name, "order");
    strcpy(draft->keys[1].name, "visitor");
}

static void a_new_policy_keeps_who_is_there(void **state)
{
    struct parts *p = make();
    uint8_t before[16], after[16];

    (void)state;
    identify(p, "alice");
    consent(p, true);
    assert_int_equal(take_subject(&p->take, NULL, before), SOTTO_OK);
    add_policy(p, 2, NULL);
    assert_int_equal(take_subject(&p->take, NULL, after), SOTTO_OK);
    assert_memory_equal(before, after, 16);
    assert_int_equal(parts_track(p, 1), DROP_NOT);
    assert_memory_equal(value(p, ROLE_SUBJECT)->id, before, 16);
    /* Not where the pseudonym is made with another key. */
    add_policy(p, 3, other_key_name);
    assert_int_equal(take_subject(&p->take, NULL, after), SOTTO_ENOTFOUND);
    parts_free(p);
}

static void day_key(struct policy *draft)
{
    draft->keys[0].epoch_ms = DAY_MS;
    draft->keys[0].destroy_ms = 2 * DAY_MS;
}

/* Keys of which the first is a day's, kept from some days after the day. */
static struct pseudonym_keys *day_keys(const struct parts *p, uint64_t day,
                                       uint64_t after)
{
    struct pseudonym_keys *k = pseudonym_keys_make();

    *k = *p->fixture.pseudonyms;
    k->epoch_ms[0] = DAY_MS;
    k->destroy_ms[0] = 2 * DAY_MS;
    k->first[0] = day + after;
    epoch_turn(k->secrets[0], after);
    return k;
}

static void keys_go_with_the_pseudonyms_they_made(void **state)
{
    struct parts *p = make();
    const int64_t now = trusted_now(&p->time);
    const uint64_t today = epoch_of(now, DAY_MS);
    struct pseudonym_keys *two = day_keys(p, today - 2, 0),
                          *one = day_keys(p, today - 2, 1),
                          *none = day_keys(p, today - 2, 5);
    const struct policy *policy;
    uint8_t expected[16], subject[16];

    (void)state;
    policy = add_policy(p, 2, day_key);
    assert_int_equal(take_keys(&p->take, two), SOTTO_OK);
    identify(p, "alice");
    assert_int_equal(pseudonym_at(expected, policy, two,
                                  policy_subject_id(policy), span_text("alice"),
                                  now),
                     SOTTO_OK);
    assert_int_equal(take_subject(&p->take, NULL, subject), SOTTO_OK);
    assert_memory_equal(subject, expected, 16);
    assert_int_equal(take_keys(&p->take, one), SOTTO_OK);
    pseudonym_keys_free(two); /* nobody uses it */
    assert_int_equal(take_subject(&p->take, NULL, subject), SOTTO_OK);
    assert_memory_equal(subject, expected, 16);
    identify(p, "alice");
    assert_int_equal(take_subject(&p->take, NULL, subject), SOTTO_OK);
    assert_memory_equal(subject, expected, 16); /* the ratchet leads there */
    assert_int_equal(take_keys(&p->take, none), SOTTO_OK);
    pseudonym_keys_free(one);
    assert_int_equal(take_subject(&p->take, NULL, subject), SOTTO_ENOTFOUND);
    assert_int_equal(
        take_identify(&p->take, span_text("userId"), span_text("alice")),
        SOTTO_ENOTFOUND);
    parts_free(p);
    pseudonym_keys_free(none);
}

static void consent_for_a_purpose_of_a_later_policy_waits_for_it(void **state)
{
    struct parts *p = make();

    (void)state;
    assert_int_equal(take_consent(&p->take, "tomorrow", true), SOTTO_ENOTFOUND);
    assert_int_equal(take_consent(&p->take, "", true), SOTTO_EINVAL);
    identify(p, "alice");
    consent(p, true);
    add_policy(p, 2, NULL);
    assert_int_equal(parts_track(p, 1), DROP_NOT);
    assert_non_null(value(p, ROLE_SUBJECT));
    parts_free(p);
}

static void short_pseudonyms(struct policy *draft)
{
    for (uint32_t i = 0; i < draft->event_count; i++)
        for (uint32_t k = 0; k < draft->events[i].field_count; k++)
            if (draft->events[i].fields[k].role == ROLE_SUBJECT)
                draft->events[i].fields[k].bits = 64;
}

/* A withdrawal and a list must name the person as the events do. */
static void everything_names_a_person_alike(void **state)
{
    struct parts *p = make();
    const struct span alice = span_text("alice");
    uint8_t cached[16], asked[16], withdrawn[16];
    uint32_t number = 0;

    (void)state;
    for (int bits = 0; bits < 2; bits++) {
        if (bits)
            add_policy(p, 2, short_pseudonyms);
        identify(p, "alice");
        consent(p, true);
        assert_int_equal(parts_track(p, 1), DROP_NOT);
        assert_int_equal(take_subject(&p->take, NULL, cached), SOTTO_OK);
        assert_int_equal(take_subject(&p->take, &alice, asked), SOTTO_OK);
        assert_memory_equal(cached, value(p, ROLE_SUBJECT)->id, 16);
        assert_memory_equal(asked, value(p, ROLE_SUBJECT)->id, 16);
        assert_false(take_withdraws(&p->take, "measure", withdrawn, &number));
        assert_true(
            take_withdraws(&p->take, "personalise", withdrawn, &number));
        assert_int_equal(number, take_policy_number(&p->take));
        assert_memory_equal(withdrawn, value(p, ROLE_SUBJECT)->id, 16);
    }
    parts_free(p);
}

static void nobody_is_left_after_a_session(void **state)
{
    struct parts *p = make();
    uint8_t who[16];
    uint32_t number = 0;
    int64_t first;

    (void)state;
    identify(p, "alice");
    consent(p, true);
    assert_int_equal(parts_track(p, 1), DROP_NOT);
    first = value(p, ROLE_SESSION)->number;
    assert_int_equal(parts_track(p, 2), DROP_NOT);
    assert_int_equal(value(p, ROLE_SESSION)->number, first);
    assert_int_equal(take_session_end(&p->take), SOTTO_OK);
    assert_int_equal(take_subject(&p->take, NULL, who), SOTTO_ENOTFOUND);
    assert_false(take_withdraws(&p->take, "personalise", who, &number));
    identify(p, "bob"); /* the consent was Alice's */
    assert_int_equal(parts_track(p, 3), DROP_NOT);
    assert_null(value(p, ROLE_SUBJECT));
    assert_true(value(p, ROLE_SESSION)->number > first);
    first = value(p, ROLE_SESSION)->number;
    take_session_begin(&p->take);
    assert_int_equal(parts_track(p, 4), DROP_NOT);
    assert_true(value(p, ROLE_SESSION)->number > first);
    parts_free(p);
}

static void drops_are_counted_by_reason(void **state)
{
    struct parts *p = make();
    struct raw_event unknown = {.name = span_text("Never Heard Of"),
                                .time_ms = WHEN_NONE};
    struct raw_event empty = {.name = span_text("Product Viewed"),
                              .time_ms = WHEN_NONE};
    struct import_cursor cursor = {.row = 1};

    (void)state;
    assert_int_equal(take_event(&p->take, &unknown), DROP_UNKNOWN_EVENT);
    assert_int_equal(take_event(&p->take, &empty), DROP_MISSING_FIELD);
    assert_int_equal(drops(p, DROP_UNKNOWN_EVENT), 1);
    assert_int_equal(drops(p, DROP_MISSING_FIELD), 1);
    /* An import counts its own. */
    assert_int_equal(take_import(&p->take, NULL, &unknown, 0, &cursor),
                     DROP_UNKNOWN_EVENT);
    assert_int_equal(drops(p, DROP_UNKNOWN_EVENT), 1);
    while (parts_track(p, 1) == DROP_NOT)
        ;
    assert_int_equal(drops(p, DROP_RING_FULL), 1);
    atomic_store(&p->take.closing, true);
    assert_int_equal(parts_track(p, 1), DROP_CLOSED);
    parts_free(p);
}

/* ---- threads ---- */

#define EACH 2000

struct producer {
    struct parts *p;
    pthread_t thread;
    uint64_t taken, full;
};

static void *produce(void *arg)
{
    struct producer *own = arg;

    for (unsigned i = 0; i < EACH; i++) {
        enum drop_reason drop = parts_track(own->p, i);

        if (drop == DROP_NOT)
            own->taken++;
        else if (drop == DROP_RING_FULL)
            own->full++;
    }
    return NULL;
}

/* Four threads track while the person, the consent and the policy change: each
 * event is whole and under the policy it says, and none is lost. */
static void changes_while_threads_track_tear_nothing(void **state)
{
    struct parts *p = make();
    struct producer producers[4];
    const struct policy *policies[2];
    uint64_t at, taken = 0, full = 0, found = 0;
    struct journal_record rec;
    uint32_t numbers[2];

    (void)state;
    policies[0] = policyset_current(&p->policies, &numbers[0]);
    policies[1] = add_policy(p, 2, short_pseudonyms);
    policyset_current(&p->policies, &numbers[1]);
    consent(p, true);
    for (int i = 0; i < 4; i++) {
        producers[i] = (struct producer){.p = p};
        assert_int_equal(
            pthread_create(&producers[i].thread, NULL, produce, &producers[i]),
            0);
    }
    for (int i = 0; i < 300; i++) {
        assert_int_equal(take_policy(&p->take, policies[i & 1], numbers[i & 1]),
                         SOTTO_OK);
        identify(p, i % 3 ? "alice" : "bob");
        consent(p, i % 5 != 0);
        if (i % 50 == 0)
            assert_int_equal(take_session_end(&p->take), SOTTO_OK);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(producers[i].thread, NULL), 0);
        taken += producers[i].taken;
        full += producers[i].full;
    }
    assert_int_equal(taken + full, 4 * EACH);
    assert_int_equal(drops(p, DROP_RING_FULL), full);
    at = journal_tail(p->journal);
    for (; journal_read(p->journal, at, &rec) == SOTTO_OK; at = rec.next) {
        const struct policy *under = policyset_get(&p->policies, rec.policy);
        const struct event_value *who;
        struct event ev;

        assert_int_equal(event_decode(under, rec.payload, &ev), SOTTO_OK);
        who = event_role_value(under, &ev, ROLE_SUBJECT);
        if (who && under == policies[1])
            assert_true(sodium_is_zero(who->id + 8, 8));
        if (who && under == policies[0])
            assert_false(sodium_is_zero(who->id + 8, 8));
        found++;
    }
    assert_int_equal(found, taken);
    parts_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_person_is_named_only_with_consent),
        cmocka_unit_test(a_new_policy_keeps_who_is_there),
        cmocka_unit_test(keys_go_with_the_pseudonyms_they_made),
        cmocka_unit_test(consent_for_a_purpose_of_a_later_policy_waits_for_it),
        cmocka_unit_test(everything_names_a_person_alike),
        cmocka_unit_test(nobody_is_left_after_a_session),
        cmocka_unit_test(drops_are_counted_by_reason),
        cmocka_unit_test(changes_while_threads_track_tear_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
