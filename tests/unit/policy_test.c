/* Tests of the compiled policy: what goes in comes out, and nothing else. */
#include "policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../support/sample_policy.h"

static struct buf encoded(const struct policy *p)
{
    struct buf bytes;

    buf_init(&bytes, POLICY_BYTES_MAX);
    assert_int_equal(policy_encode(&bytes, p), SOTTO_OK);
    return bytes;
}

static void names_of_roles_agree(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ROLE_COUNT; i++) {
        assert_int_equal(role_of(span_text(role_name((enum role)i))), i);
        assert_int_not_equal(role_types((enum role)i), 0);
    }
    for (unsigned i = 0; i < EVENT_ROLE_COUNT; i++)
        assert_int_equal(
            event_role_of(span_text(event_role_name((enum event_role)i))), i);
    assert_int_equal(role_of(span_text("nobody")), ROLE_COUNT);
    assert_int_equal(event_role_default(span_text("Order Completed")),
                     EVENT_PURCHASE);
    assert_int_equal(event_role_default(span_text("Survey Answered")),
                     EVENT_OTHER);
}

static void loads_what_was_encoded(void **state)
{
    struct policy *p = sample_policy();
    struct buf again = encoded(p);

    (void)state;
    assert_int_equal(again.size, p->compiled.size);
    assert_memory_equal(again.data, p->compiled.data, again.size);
    assert_string_equal(p->tenant, "acme-retail");
    assert_int_equal(p->event_count, 3);
    assert_int_equal(p->id_count, 2); /* three events share their ids */
    assert_string_equal(p->ids[0].from, "userId");
    assert_int_equal(p->ids[1].key, 1);
    assert_int_equal(p->events[2].fields[2].id, 1);
    assert_int_equal(p->events[0].by_role[ROLE_VALUE], 6);
    assert_int_equal(p->events[0].by_role[ROLE_BRAND], FIELD_NONE);
    assert_int_equal(p->events[0].fields[0].type, TYPE_TIME);
    assert_non_null(p->events[0].fields[4].pattern);
    assert_null(p->events[0].fields[5].pattern);
    assert_int_equal(policy_subject_id(p), 0);
    assert_int_equal(policy_granted_always(p), 1);
    assert_int_equal(policy_purpose_find(p, span_text("campaign")), 2);
    assert_int_equal(policy_purpose_find(p, span_text("camp")), -1);
    buf_fini(&again);
    policy_free(p);
}

static void finds_events_by_name(void **state)
{
    struct policy *p = sample_head("many");
    char name[32];

    (void)state;
    sample_purpose(p, "measure", false, 0);
    for (unsigned i = 0; i < POLICY_EVENTS_MAX; i++) {
        snprintf(name, sizeof(name), "Event %u", i);
        sample_event(p, name, 0);
    }
    p = sample_finish(p);
    for (int i = 0; i < POLICY_EVENTS_MAX; i++) {
        snprintf(name, sizeof(name), "Event %d", i);
        assert_int_equal(policy_event_find(p, span_text(name)), i);
    }
    assert_int_equal(policy_event_find(p, span_text("Event")), -1);
    assert_int_equal(policy_event_find(p, span_text("Event 200")), -1);
    assert_int_equal(policy_event_find(p, span_text("event 1")), -1);
    assert_int_equal(policy_event_find(p, span_of("", 0)), -1);
    assert_int_equal(policy_event_find(p, span_of("Event 1\0", 8)), -1);
    policy_free(p);
}

/* What is wrong in a draft; each must be refused when it is loaded. */
static void tenant_empty(struct policy *p)
{
    p->tenant[0] = '\0';
}
static void control_character(struct policy *p)
{
    p->events[0].name[3] = '\x1b';
}
static void expires_before_it_starts(struct policy *p)
{
    p->expires_ms = p->effective_ms;
}
static void needs_nobody(struct policy *p)
{
    p->signers_needed = 0;
}
static void needs_too_many(struct policy *p)
{
    p->signers_needed = 2;
}
static void one_key_signs_twice(struct policy *p)
{
    p->signers[1] = p->signers[0];
    sample_copy(p->signers[1].name, NAME_MAX_SIZE, "eng");
    p->signer_count = 2;
}
static void one_key_under_two_ids(struct policy *p)
{
    one_key_signs_twice(p);
    p->signers[1].key_id[0] ^= 1;
}
static void two_keys_under_one_id(struct policy *p)
{
    one_key_signs_twice(p);
    p->signers[1].pk[0] ^= 1;
}
static void key_twice(struct policy *p)
{
    p->keys[1] = p->keys[0];
}
static void epoch_without_an_end(struct policy *p)
{
    p->keys[0].epoch_ms = DAY_MS;
}
static void epoch_of_a_minute(struct policy *p)
{
    p->keys[0].epoch_ms = 60000;
    p->keys[0].destroy_ms = DAY_MS;
}
static void key_that_lives_too_long(struct policy *p)
{
    p->keys[0].epoch_ms = DAY_MS;
    p->keys[0].destroy_ms = (POLICY_WINDOW_MAX + 1) * DAY_MS;
}
static void consent_that_needs_none(struct policy *p)
{
    p->purposes[1].needs_consent = false;
}
static void basis_not_known(struct policy *p)
{
    p->purposes[0].basis = BASIS_COUNT;
}
static void purpose_twice(struct policy *p)
{
    p->purposes[1] = p->purposes[0];
}
static void retention_below_zero(struct policy *p)
{
    p->purposes[0].retention_ms = -1;
}
static void event_twice(struct policy *p)
{
    sample_copy(p->events[1].name, NAME_MAX_SIZE, p->events[0].name);
}
static void gate_not_known(struct policy *p)
{
    p->events[0].purpose = 3;
}
static void event_role_not_known(struct policy *p)
{
    p->events[0].role = EVENT_ROLE_COUNT;
}
static void field_twice(struct policy *p)
{
    sample_copy(p->events[0].fields[1].name, NAME_MAX_SIZE, "at");
}
static void role_twice(struct policy *p)
{
    p->events[0].fields[5].role = ROLE_ITEM;
}
static void role_of_wrong_type(struct policy *p)
{
    p->events[0].fields[6].role = ROLE_BRAND;
}
static void field_purpose_not_known(struct policy *p)
{
    p->events[0].fields[0].purpose = PURPOSE_NONE;
}
static void field_dropped(struct policy *p)
{
    p->events[0].fields[7].action = ACTION_DROP;
}
static void kept_from_nowhere(struct policy *p)
{
    p->events[0].fields[6].from[0] = '\0';
}
static void kept_id(struct policy *p)
{
    p->events[0].fields[6].role = ROLE_NONE;
    p->events[0].fields[6].type = TYPE_ID;
}
static void text_without_end(struct policy *p)
{
    p->events[0].fields[5].max = TEXT_SIZE_MAX + 1;
}
static void text_of_nothing(struct policy *p)
{
    p->events[0].fields[5].max = 0;
}
static void pattern_of_a_number(struct policy *p)
{
    sample_copy(p->events[0].fields[6].pattern_text, NAME_MAX_SIZE, "a");
}
static void pattern_wrong(struct policy *p)
{
    sample_copy(p->events[0].fields[4].pattern_text, NAME_MAX_SIZE, "a{");
}
static void key_not_known(struct policy *p)
{
    p->events[0].fields[1].key = 2;
}
static void bits_odd(struct policy *p)
{
    p->events[0].fields[1].bits = 96;
}
static void time_from_a_path(struct policy *p)
{
    sample_copy(p->events[0].fields[0].from, PATH_MAX_SIZE, "timestamp");
}
static void round_of_nothing(struct policy *p)
{
    p->events[0].fields[0].round_ms = 0;
}
static void edges_falling(struct policy *p)
{
    p->events[0].fields[7].edges[1] = 0;
}
static void bucket_of_text(struct policy *p)
{
    p->events[0].fields[7].type = TYPE_TEXT;
}

/* The first event's last field, with another action. */
static struct policy_field *made_by(struct policy *p, enum action action)
{
    struct policy_field *f = &p->events[0].fields[8];

    f->action = (uint8_t)action;
    f->role = ROLE_NONE;
    f->v4 = 16;
    f->v6 = 32;
    f->parts = URL_PATH;
    f->max = 64;
    return f;
}

static void address_whole(struct policy *p)
{
    made_by(p, ACTION_IP)->v4 = 32;
}

static void address_of_nothing(struct policy *p)
{
    made_by(p, ACTION_IP)->v6 = 0;
}

static void url_of_nothing(struct policy *p)
{
    made_by(p, ACTION_URL)->parts = 0;
}

static void url_with_a_query(struct policy *p)
{
    made_by(p, ACTION_URL)->parts = 8 | URL_PATH;
}

static void url_without_end(struct policy *p)
{
    made_by(p, ACTION_URL)->max = TEXT_SIZE_MAX + 1;
}

static void redacts_nothing(struct policy *p)
{
    made_by(p, ACTION_REDACT)->detect = 0;
}

static void redacts_what_nobody_knows(struct policy *p)
{
    made_by(p, ACTION_REDACT)->detect = DETECT_ALL + 1;
}

static void token_from_nowhere(struct policy *p)
{
    made_by(p, ACTION_TOKENIZE)->from[0] = '\0';
}

static void token_as_a_person(struct policy *p)
{
    made_by(p, ACTION_TOKENIZE)->role = ROLE_SUBJECT;
    p->events[0].fields[1].role = ROLE_NONE;
}

static void one_answer(struct policy *p)
{
    sample_values(made_by(p, ACTION_RANDOMIZE), 1);
}

static void answer_twice(struct policy *p)
{
    struct policy_field *f = made_by(p, ACTION_RANDOMIZE);

    sample_values(f, 2);
    f->values[1][1] = '0';
}

static void answer_that_is_the_truth(struct policy *p)
{
    struct policy_field *f = made_by(p, ACTION_RANDOMIZE);

    sample_values(f, 2);
    f->epsilon = POLICY_EPSILON_MAX + 1;
}

static void answer_without_a_person(struct policy *p)
{
    struct policy_field *f = made_by(p, ACTION_RANDOMIZE);

    sample_values(f, 2);
    f->memoize = true;
    p->events[0].fields[1].role = ROLE_NONE;
    p->events[0].fields[2].role = ROLE_NONE;
}

static void refuses_each_thing_that_is_wrong(void **state)
{
    static void (*const wrongs[])(struct policy *) = {
        tenant_empty,
        control_character,
        expires_before_it_starts,
        needs_nobody,
        needs_too_many,
        one_key_signs_twice,
        one_key_under_two_ids,
        two_keys_under_one_id,
        key_twice,
        epoch_without_an_end,
        epoch_of_a_minute,
        key_that_lives_too_long,
        consent_that_needs_none,
        basis_not_known,
        purpose_twice,
        retention_below_zero,
        event_twice,
        gate_not_known,
        event_role_not_known,
        field_twice,
        role_twice,
        role_of_wrong_type,
        field_purpose_not_known,
        field_dropped,
        kept_from_nowhere,
        kept_id,
        text_without_end,
        text_of_nothing,
        pattern_of_a_number,
        pattern_wrong,
        key_not_known,
        bits_odd,
        time_from_a_path,
        round_of_nothing,
        edges_falling,
        bucket_of_text,
        address_whole,
        address_of_nothing,
        url_of_nothing,
        url_with_a_query,
        url_without_end,
        redacts_nothing,
        redacts_what_nobody_knows,
        token_from_nowhere,
        token_as_a_person,
        one_answer,
        answer_twice,
        answer_that_is_the_truth,
        answer_without_a_person,
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
        struct policy *draft = sample_draft("acme-retail");
        struct policy *p = NULL;
        struct buf bytes;

        wrongs[i](draft);
        bytes = encoded(draft);
        if (policy_load(&p, span_of(bytes.data, bytes.size)) != SOTTO_EDECODE)
            fail_msg("wrong %zu was taken", i);
        assert_null(p);
        buf_fini(&bytes);
        policy_free(draft);
    }
}

static void refuses_more_ids_than_a_person_caches(void **state)
{
    struct policy *draft = sample_head("ids");
    struct policy *p = NULL;
    struct policy_event *e;
    struct buf bytes;

    (void)state;
    sample_key(draft, "a");
    sample_purpose(draft, "measure", false, 0);
    e = sample_event(draft, "Event", 0);
    for (unsigned i = 0; i <= POLICY_IDS_MAX; i++) {
        char name[16];

        snprintf(name, sizeof(name), "id%u", i);
        sample_field(e, name, name, ROLE_NONE, ACTION_PSEUDONYM, 0);
    }
    bytes = encoded(draft);
    assert_int_equal(policy_load(&p, span_of(bytes.data, bytes.size)),
                     SOTTO_ETOOBIG);
    buf_clear(&bytes);
    e->field_count--;
    assert_int_equal(policy_encode(&bytes, draft), SOTTO_OK);
    assert_int_equal(policy_load(&p, span_of(bytes.data, bytes.size)),
                     SOTTO_OK);
    assert_int_equal(p->id_count, POLICY_IDS_MAX);
    policy_free(p);
    policy_free(draft);
    buf_fini(&bytes);
}

static void refuses_another_version_and_another_spelling(void **state)
{
    struct policy *p = sample_policy();
    struct policy *q = NULL;
    struct buf bytes = encoded(p);

    (void)state;
    bytes.data[1] = 2; /* after the array's head */
    assert_int_equal(policy_load(&q, span_of(bytes.data, bytes.size)),
                     SOTTO_EVERSION);
    bytes.data[1] = POLICY_VERSION;
    assert_int_equal(policy_load(&q, span_of(bytes.data, bytes.size)),
                     SOTTO_OK);
    policy_free(q);
    q = NULL;

    /* version 7 as a byte of its own (cc 07) means the same, but is not the
     * form that would be written */
    assert_int_equal(bytes.data[2 + 1 + strlen(p->tenant)], 7);
    assert_int_equal(buf_append(&bytes, "", 1), SOTTO_OK);
    memmove(bytes.data + 15, bytes.data + 14, bytes.size - 15);
    bytes.data[14] = 0xcc;
    assert_int_equal(policy_load(&q, span_of(bytes.data, bytes.size)),
                     SOTTO_EDECODE);
    assert_null(q);
    buf_fini(&bytes);
    policy_free(p);
}

/* Any byte changed or cut off: refused, or a policy that says the same when
 * it is encoded again. */
static void survives_damage(void **state)
{
    struct policy *p = sample_policy();
    struct buf bytes = encoded(p);
    uint64_t rng = 7;

    (void)state;
    for (size_t cut = 0; cut < bytes.size; cut++) {
        struct policy *q = NULL;

        assert_int_not_equal(policy_load(&q, span_of(bytes.data, cut)),
                             SOTTO_OK);
    }
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t kept = bytes.data[i];
        struct policy *q = NULL;

        bytes.data[i] ^= (uint8_t)(1 + sample_below(&rng, 255));
        if (!policy_load(&q, span_of(bytes.data, bytes.size))) {
            assert_memory_equal(q->compiled.data, bytes.data, bytes.size);
            assert_memory_not_equal(q->hash, p->hash, HASH_SIZE);
            policy_free(q);
        }
        bytes.data[i] = kept;
    }
    buf_fini(&bytes);
    policy_free(p);
}

static void random_policies_come_back(void **state)
{
    uint64_t rng = 11;

    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        struct policy *p = sample_random_policy(&rng);
        struct buf again = encoded(p);

        assert_int_equal(again.size, p->compiled.size);
        assert_memory_equal(again.data, p->compiled.data, again.size);
        buf_fini(&again);
        policy_free(p);
    }
}

static void frees_nothing_and_half_built(void **state)
{
    (void)state;
    policy_free(NULL);
    policy_free(sample_head("half"));
}

/* The form is signed: it may not change unnoticed. */
static void compiled_form_is_frozen(void **state)
{
    static const char frozen[] =
        "d45e70b11e9c0f8f6a7d8784383d741a191ddaaf012dd54cd810033a0198d6fd";
    struct policy *p = sample_policy();
    uint8_t hash[HASH_SIZE];
    char hex[2 * HASH_SIZE + 1];

    (void)state;
    sodium_bin2hex(hex, sizeof(hex), p->hash, HASH_SIZE);
    assert_string_equal(hex, frozen);
    hash_bytes(hash, span_of(p->compiled.data, p->compiled.size),
               span_of("", 0));
    assert_memory_equal(hash, p->hash, HASH_SIZE);
    policy_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_roles_agree),
        cmocka_unit_test(loads_what_was_encoded),
        cmocka_unit_test(finds_events_by_name),
        cmocka_unit_test(refuses_each_thing_that_is_wrong),
        cmocka_unit_test(refuses_more_ids_than_a_person_caches),
        cmocka_unit_test(refuses_another_version_and_another_spelling),
        cmocka_unit_test(survives_damage),
        cmocka_unit_test(random_policies_come_back),
        cmocka_unit_test(frees_nothing_and_half_built),
        cmocka_unit_test(compiled_form_is_frozen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
