/* Tests of the sentences: each says what its field does, and a row of the
 * action table that is not known here is explained by the row. */
#include "agent/policy_tool/explain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "../support/officer.h"

#include <cmocka.h>

static const char text[] = OFFICER_HEAD
    "  Product Viewed:\n"
    "    purpose: measure\n" OFFICER_AT
    "    visitor: {role: subject, from: userId, action: pseudonym, "
    "key: visitor, purpose: personalise, required: true}\n"
    "    visit: {role: session, action: session}\n"
    "    item: {role: item, from: properties.product_id, action: keep, "
    "pattern: '[A-Z0-9]{1,32}'}\n"
    "    price: {role: value, from: properties.price, action: bucket, "
    "edges: [0, 9.99, 100]}\n"
    "    page: {from: context.page.path, action: keep}\n"
    "    net: {from: context.ip, action: ip, v4: 12, v6: 32}\n"
    "    site: {from: context.page.url, action: url, keep: [host, path]}\n"
    "    mood: {from: properties.mood, action: randomize, values: [low, "
    "high], epsilon: 2.5, memoize: true}\n"
    "  Page Viewed:\n"
    "    purpose: orders\n"
    "    page: {from: context.page.path, action: keep}\n";

static struct compiled *compiled_of(void)
{
    static const struct signer_keys unknown = {.count = -1};
    struct compiled *c = NULL;
    struct why why = {""};

    if (compile_text(&c, "p.yaml", span_text(text), &unknown, &why))
        fail_msg("%s", why.text);
    return c;
}

static void has(const char *sentence, const char *words)
{
    if (!strstr(sentence, words))
        fail_msg("\"%s\" does not say \"%s\"", sentence, words);
}

static void says_what_leaves_and_in_what_form(void **state)
{
    struct compiled *c = compiled_of();
    const struct policy *p = c->policy;
    const struct policy_event *viewed = &p->events[0];
    static const char *const forms[] = {
        "Leaves as a time, rounded down (time) to 1 minute.",
        "userId leaves as 8 or 16 bytes, keyed BLAKE2b (pseudonym), 128 bits",
        "Leaves as a small number (session).",
        "at most 64 bytes that match [A-Z0-9]{1,32}; another text is left out",
        "the lower edge of its bucket (bucket), one of 4.",
        "any text of at most 64 bytes",
        "12 bits of an IPv4 address, 32 of an IPv6 address.",
        ", host path of it, at most ",
        "of 2 values, with epsilon 2.5, the same for a person each time.",
    };
    struct explained e;

    (void)state;
    for (int f = 0; f < viewed->field_count; f++) {
        explain_field(&e, p, viewed, &viewed->fields[f]);
        has(e.leaves, forms[f]);
        has(e.reveals, action_rows[viewed->fields[f].action].reveals);
    }
    compiled_free(c);
}

static void says_purpose_basis_and_how_long(void **state)
{
    struct compiled *c = compiled_of();
    const struct policy *p = c->policy;
    struct explained e;

    (void)state;
    explain_field(&e, p, &p->events[0], &p->events[0].fields[3]);
    has(e.purpose, "`measure`, on the basis of legitimate interest");
    has(e.purpose, "GDPR, article 6(1)(f)");
    has(e.purpose, "No consent is asked.");
    has(e.kept, "Kept 390 days after the event.");
    explain_field(&e, p, &p->events[0], &p->events[0].fields[1]);
    has(e.purpose, "Only with the person's consent");
    has(e.purpose, "the whole event is dropped.");
    compiled_free(c);
}

static void says_for_how_long_it_can_be_linked(void **state)
{
    struct compiled *c = compiled_of();
    struct policy *p = c->policy;
    const struct policy_event *viewed = &p->events[0];
    struct explained e;

    (void)state;
    explain_field(&e, p, viewed, &viewed->fields[1]);
    has(e.linked, "for ever: the key `visitor` does not change");
    explain_field(&e, p, viewed, &viewed->fields[2]);
    has(e.linked, "within one visit, which ends after 30 minutes");
    explain_field(&e, p, viewed, &viewed->fields[3]);
    has(e.linked, "With consent it can be linked as long as `visitor` of the "
                  "same event can; without, as long as `visit` can.");
    explain_field(&e, p, &p->events[1], &p->events[1].fields[0]);
    has(e.linked, "No id stands in the same event");
    p->keys[0].epoch_ms = DAY_MS;
    p->keys[0].destroy_ms = 2 * DAY_MS;
    explain_field(&e, p, viewed, &viewed->fields[1]);
    has(e.linked, "within 1 day: after that the key `visitor`");
    has(e.linked, "destroyed after 2 days");
    compiled_free(c);
}

static void says_when_an_event_is_taken(void **state)
{
    struct compiled *c = compiled_of();
    char sentence[400];

    (void)state;
    explain_event(sentence, c->policy, &c->policy->events[0]);
    has(sentence, "under the purpose `measure`, without asking for consent");
    has(sentence, "Dropped if it lacks `visitor`.");
    explain_event(sentence, c->policy, &c->policy->events[1]);
    assert_null(strstr(sentence, "lacks"));
    has(explain_never, "everything else");
    compiled_free(c);
}

static void every_action_is_explained_by_its_row(void **state)
{
    struct compiled *c = compiled_of();
    struct explained e;

    (void)state;
    for (unsigned i = 0; i < ACTION_COUNT; i++) {
        struct policy_field f = c->policy->events[0].fields[5];

        f.action = (uint8_t)i;
        explain_field(&e, c->policy, &c->policy->events[0], &f);
        has(e.leaves, action_rows[i].makes);
        has(e.leaves, action_rows[i].name);
        has(e.reveals, action_rows[i].reveals);
    }
    compiled_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_leaves_and_in_what_form),
        cmocka_unit_test(says_purpose_basis_and_how_long),
        cmocka_unit_test(says_for_how_long_it_can_be_linked),
        cmocka_unit_test(says_when_an_event_is_taken),
        cmocka_unit_test(every_action_is_explained_by_its_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
