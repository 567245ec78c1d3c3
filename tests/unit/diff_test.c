/* Tests of the comparison of two versions: each kind of change is judged as it
 * should be, in one line at its place, and nothing passes unseen. */
#include "agent/policy_tool/diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "../support/officer.h"

#include <cmocka.h>

static const char base[] =
    "policy: acme\n"
    "version: 1\n"
    "effective: 2026-12-01\n"
    "expires: 2027-12-01\n"
    "signers: {need: 2, keys: [dpo, eng, law]}\n"
    "keys: {visitor: {kind: blake2b, epoch: none}, order: {kind: blake2b, "
    "epoch: none}, week: {kind: blake2b, epoch: P1D, destroy_after: P2D}}\n"
    "purposes:\n"
    "  measure: {basis: legitimate_interest, consent: given, retention: P13M}\n"
    "  personalise: {basis: consent, consent: given, retention: P180D}\n"
    "  orders: {basis: contract, consent: none, retention: P5Y}\n"
    "sources: {session_timeout: PT30M}\n"
    "retention: {spool: P30D}\n"
    "events:\n"
    "  Product Viewed:\n"
    "    purpose: measure\n"
    "    at: {role: time, action: time, round: PT15M}\n"
    "    visitor: {role: subject, from: userId, action: pseudonym, "
    "key: visitor, bits: 64, purpose: personalise}\n"
    "    item: {role: item, from: properties.product_id, action: keep, "
    "pattern: '[A-Z0-9]{1,32}', max: 40, required: true}\n"
    "    price: {role: value, from: properties.price, action: bucket, "
    "edges: [0, 10, 100]}\n"
    "    page: {from: context.page.path, action: keep, max: 30}\n"
    "    net: {from: context.ip, action: ip, v4: 16, v6: 32}\n"
    "    site: {from: context.page.url, action: url, keep: [host, path]}\n"
    "    mood: {from: properties.mood, action: randomize, values: [low, "
    "high], epsilon: 2.0, memoize: true}\n"
    "    country: {from: properties.country, action: keep, pattern: "
    "'[A-Z]{2}'}\n"
    "    plan: {from: properties.plan, action: keep, pattern: "
    "'[a-z0-9-]{1,20}'}\n"
    "  Order Completed:\n"
    "    purpose: orders\n"
    "    at: {role: time, action: time, round: PT1M}\n"
    "    buyer: {role: subject, from: userId, action: pseudonym, "
    "key: visitor}\n"
    "    order: {role: order, from: properties.order_id, action: pseudonym, "
    "key: order}\n"
    "    total: {from: properties.total, action: keep, type: money}\n";

static struct compiled *compiled_of(const char *text)
{
    static const struct signer_keys unknown = {.count = -1};
    struct compiled *c = NULL;
    struct why why = {""};

    if (compile_text(&c, "p.yaml", span_text(text), &unknown, &why))
        fail_msg("%s", why.text);
    return c;
}

static struct diff *diff_of(const char *old_text, const char *next_text)
{
    struct compiled *old = compiled_of(old_text),
                    *next = compiled_of(next_text);
    struct diff *d = malloc(sizeof(*d));

    assert_non_null(d);
    assert_int_equal(diff_run(d, old->policy, next->policy), SOTTO_OK);
    compiled_free(old);
    compiled_free(next);
    return d;
}

/* A replacement in the base; what must be said of it, and how many lines say
 * up and down in all. Backwards, up and down change places unless `up_both`:
 * what cannot be compared is up in both directions. */
static const struct row {
    const char *name, *from, *to;
    enum diff_risk risk;
    bool up_both;
    const char *where, *words;
    uint32_t up, down;
} rows[] = {
    {"expiry later", "2027-12-01", "2028-01-01", DIFF_UP, false, "expires",
     "collect until 2028-01-01, it was 2027-12-01", 1, 0},
    {"expiry earlier", "2027-12-01", "2027-06-01", DIFF_DOWN, false, "expires",
     "until 2027-06-01", 0, 1},
    {"effective later", "2026-12-01", "2026-12-24", DIFF_SAME, false,
     "effective", "from 2026-12-24", 0, 0},
    {"another tenant", "policy: acme", "policy: other", DIFF_UP, true, "policy",
     "cannot be compared", 1, 0},
    {"need lowered", "need: 2", "need: 1", DIFF_UP, false, "signers.need",
     "1 must sign, it was 2", 1, 0},
    {"need raised", "need: 2", "need: 3", DIFF_DOWN, false, "signers.need",
     "3 must sign", 0, 1},
    {"a signer less", ", law]", "]", DIFF_UP, true, "signers.law",
     "pair of eyes less", 1, 0},
    {"a signer more", ", law]", ", law, cto]", DIFF_UP, true, "signers.cto",
     "may approve", 1, 0},
    {"longer visits", "PT30M", "PT2H", DIFF_UP, false,
     "sources.session_timeout", "2 hours instead of 30 minutes", 1, 0},
    {"longer spool", "spool: P30D", "spool: P90D", DIFF_UP, false,
     "retention.spool", "90 days instead of 30 days", 1, 0},
    {"a key more", "keys: {", "keys: {spare: {kind: blake2b, epoch: none}, ",
     DIFF_SAME, true, "keys.spare", "linked for ever", 0, 0},
    {"a longer epoch", "epoch: P1D", "epoch: P7D", DIFF_UP, false, "keys.week",
     "linked within 7 days, it was within 1 day", 1, 0},
    {"later destruction", "destroy_after: P2D", "destroy_after: P9D", DIFF_UP,
     false, "keys.week", "live, 9 days instead of 2 days", 1, 0},
    {"no epoch", "epoch: P1D, destroy_after: P2D", "epoch: none", DIFF_UP,
     false, "keys.week", "linked for ever, it was within 1 day", 1, 0},
    {"longer retention", "P13M", "P25M", DIFF_UP, false, "purposes.measure",
     "keeps 750 days after the event, it was 390", 1, 0},
    {"shorter retention", "P180D", "P30D", DIFF_DOWN, false,
     "purposes.personalise", "keeps 30 days", 0, 1},
    {"no retention", ", retention: P5Y", "", DIFF_UP, false, "purposes.orders",
     "keeps for good", 1, 0},
    {"consent dropped", "legitimate_interest, consent: given",
     "legitimate_interest, consent: none", DIFF_UP, false, "purposes.measure",
     "asks nobody for consent any more", 1, 0},
    {"basis to consent", "basis: legitimate_interest", "basis: consent",
     DIFF_DOWN, false, "purposes.measure", "rests on consent", 0, 1},
    {"basis to another", "basis: legitimate_interest",
     "basis: legal_obligation", DIFF_UP, true, "purposes.measure",
     "two bases cannot be compared", 1, 0},
    {"a purpose more", "events:\n",
     "events:\n  Extra:\n    purpose: measure\n    at: {role: time, action: "
     "time, round: PT1H}\n",
     DIFF_UP, false, "Extra", "is a new event", 2, 0},
    {"event gone", "  Order Completed:\n",
     "  Order Done:\n    role: purchase\n", DIFF_DOWN, true, "Order Completed",
     "no longer taken", 5, 1},
    {"event for another purpose", "    purpose: orders\n",
     "    purpose: personalise\n", DIFF_UP, true, "Order Completed",
     "two purposes cannot be compared", 5, 0},
    {"event means another thing", "  Order Completed:\n",
     "  Order Completed:\n    role: add\n", DIFF_UP, true, "Order Completed",
     "means `add`", 1, 0},
    {"field added", "    price: {",
     "    colour: {from: properties.colour, action: keep, pattern: "
     "'[a-z]{1,9}'}\n    price: {",
     DIFF_UP, false, "Product Viewed.colour",
     "is a new field: properties.colour leaves as the value itself", 1, 0},
    {"field dropped", "action: keep, max: 30", "action: drop", DIFF_DOWN, false,
     "Product Viewed.page", "no longer leaves", 0, 1},
    {"required field dropped",
     "role: item, from: properties.product_id, action: keep, pattern: "
     "'[A-Z0-9]{1,32}', max: 40, required: true",
     "from: properties.product_id, action: drop", DIFF_UP, true,
     "Product Viewed.item", "events without it are taken now", 1, 1},
    {"required removed", ", required: true", "", DIFF_UP, false,
     "Product Viewed.item", "no longer required", 1, 0},
    {"action loosened", "action: bucket, edges: [0, 10, 100]", "action: keep",
     DIFF_UP, false, "Product Viewed.price", "leaves as the value itself", 1,
     0},
    {"action tightened", "action: keep, type: money",
     "action: bucket, edges: [0, 100]", DIFF_DOWN, false,
     "Order Completed.total", "leaves as the lower edge of its bucket", 0, 1},
    {"action tightened to a pseudonym",
     "page: {from: context.page.path, action: keep, max: 30}",
     "page: {from: context.page.path, action: pseudonym, key: order}",
     DIFF_DOWN, false, "Product Viewed.page", "leaves as 8 or 16 bytes", 0, 1},
    {"an id tightened to a pseudonym",
     "plan: {from: properties.plan, action: keep, pattern: '[a-z0-9-]{1,20}'}",
     "plan: {from: properties.plan, action: pseudonym, key: order}", DIFF_DOWN,
     false, "Product Viewed.plan", "leaves as 8 or 16 bytes", 0, 1},
    {"a pseudonym of what was left out", "action: keep, pattern: '[A-Z]{2}'",
     "action: pseudonym, key: order", DIFF_UP, true, "Product Viewed.country",
     "was left out, and leaves now", 1, 0},
    {"two other actions",
     "price: {role: value, from: properties.price, action: bucket, edges: [0, "
     "10, 100]}",
     "price: {from: properties.price, action: pseudonym, key: order}", DIFF_UP,
     true, "Product Viewed.price", "two actions cannot be compared", 1, 1},
    {"more bits", "bits: 64", "bits: 128", DIFF_UP, false,
     "Product Viewed.visitor", "has 128 bits, it had 64", 1, 0},
    {"looser spelling", "bits: 64", "bits: 64, normalize: lower", DIFF_UP,
     false, "Product Viewed.visitor", "more spellings", 1, 0},
    {"another key", "key: order}", "key: visitor}", DIFF_UP, true,
     "Order Completed.order", "with the key `visitor`", 1, 0},
    {"coarser time", "PT15M", "PT1H", DIFF_DOWN, false, "Product Viewed.at",
     "down to 1 hour, it was 15 minutes", 0, 1},
    {"finer time", "PT15M", "PT1M", DIFF_UP, false, "Product Viewed.at",
     "down to 1 minute", 1, 0},
    {"finer buckets", "[0, 10, 100]", "[0, 10, 50, 100]", DIFF_UP, false,
     "Product Viewed.price", "the buckets are finer", 1, 0},
    {"coarser buckets", "[0, 10, 100]", "[0, 100]", DIFF_DOWN, false,
     "Product Viewed.price", "the buckets are coarser", 0, 1},
    {"other buckets", "[0, 10, 100]", "[0, 20, 100]", DIFF_UP, true,
     "Product Viewed.price", "cannot be compared", 1, 0},
    {"another type", "action: keep, type: money", "action: keep, type: int",
     DIFF_UP, true, "Order Completed.total", "two types cannot be compared", 1,
     0},
    {"pattern wider", "[A-Z0-9]{1,32}", "[A-Za-z0-9]{1,32}", DIFF_UP, false,
     "Product Viewed.item", "which is wider", 1, 0},
    {"pattern shorter", "[A-Z0-9]{1,32}", "[A-Z0-9]{1,8}", DIFF_DOWN, false,
     "Product Viewed.item", "which is narrower", 0, 1},
    {"two patterns", "[A-Z0-9]{1,32}", "[A-Z][0-9]{1,8}", DIFF_UP, true,
     "Product Viewed.item", "cannot be compared", 1, 0},
    {"pattern gone", "pattern: '[A-Z0-9]{1,32}', ", "", DIFF_UP, false,
     "Product Viewed.item", "keeps any text", 1, 0},
    {"max larger", "max: 40", "max: 41", DIFF_UP, false, "Product Viewed.item",
     "up to 41 bytes, it was 40", 1, 0},
    {"a narrower network", "v4: 16", "v4: 24", DIFF_UP, false,
     "Product Viewed.net", "24 bits of an IPv4 address, it was 16", 1, 0},
    {"a wider network", "v6: 32", "v6: 24", DIFF_DOWN, false,
     "Product Viewed.net", "24 bits of an IPv6 address", 0, 1},
    {"more of an address", "[host, path]", "[scheme, host, path]", DIFF_UP,
     false, "Product Viewed.site", "more parts", 1, 0},
    {"other parts", "[host, path]", "[scheme, host]", DIFF_UP, true,
     "Product Viewed.site", "other parts", 1, 0},
    {"longer addresses", "[host, path]}", "[host, path], max: 200}", DIFF_UP,
     false, "Product Viewed.site", "up to 200 bytes", 1, 0},
    {"less noise", "epsilon: 2.0", "epsilon: 2.5", DIFF_UP, false,
     "Product Viewed.mood", "epsilon 2.5, it was 2", 1, 0},
    {"drawn anew", ", memoize: true", ", memoize: false", DIFF_UP, false,
     "Product Viewed.mood", "wears the chance off", 1, 0},
    {"other values", "[low, high]", "[low, tall]", DIFF_UP, true,
     "Product Viewed.mood", "other values to choose from", 1, 0},
    {"field for another purpose", "purpose: personalise}", "purpose: orders}",
     DIFF_UP, true, "Product Viewed.visitor",
     "is for the purpose `orders` (without consent)", 1, 0},
    {"another path", "from: userId, action: pseudonym, key: visitor, bits",
     "from: anonymousId, action: pseudonym, key: visitor, bits", DIFF_UP, true,
     "Product Viewed.visitor", "reads anonymousId, it was userId", 1, 0},
    {"a role more", "total: {from", "total: {role: value, from", DIFF_UP, false,
     "Order Completed.total", "has the role `value`", 1, 0},
};

static bool said(const struct diff *d, const struct row *r)
{
    for (uint32_t i = 0; i < d->count; i++)
        if (d->changes[i].risk == r->risk &&
            strcmp(d->changes[i].where, r->where) == 0 &&
            strstr(d->changes[i].text, r->words))
            return true;
    return false;
}

static void print_all(const struct row *r, const struct diff *d)
{
    print_error("%s: wanted %s at %s, %s; %u up, %u down\n", r->name,
                diff_risk_name(r->risk), r->where, r->words, r->up, r->down);
    for (uint32_t i = 0; i < d->count; i++)
        print_error("  %s %s: %s\n", diff_risk_name(d->changes[i].risk),
                    d->changes[i].where, d->changes[i].text);
}

static void judges_each_kind_of_change(void **state)
{
    int failures = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *r = &rows[i];
        char text[8192];
        struct diff *d;

        assert_non_null(officer_with(text, sizeof(text), base, r->from, r->to));
        d = diff_of(base, text);
        if (!said(d, r) || d->by_risk[DIFF_UP] != r->up ||
            d->by_risk[DIFF_DOWN] != r->down) {
            print_all(r, d);
            failures++;
        }
        free(d);
    }
    assert_int_equal(failures, 0);
}

/* The way back is down where the way there was up; where nothing can be
 * compared it is up again. */
static void judges_the_way_back(void **state)
{
    int failures = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *r = &rows[i];
        bool there_up = r->up > 0, back_up;
        char text[8192];
        struct diff *d;

        assert_non_null(officer_with(text, sizeof(text), base, r->from, r->to));
        d = diff_of(text, base);
        back_up = d->by_risk[DIFF_UP] > 0;
        if (r->risk != DIFF_SAME && back_up != (r->up_both || !there_up)) {
            print_all(r, d);
            failures++;
        }
        free(d);
    }
    assert_int_equal(failures, 0);
}

static void the_same_is_the_same(void **state)
{
    struct diff *d = diff_of(base, base);

    (void)state;
    assert_int_equal(d->count, 0);
    free(d);
}

/* Names decide, not the order: keys and purposes change their numbers. */
static void order_is_no_change(void **state)
{
    char text[8192], again[8192];
    struct diff *d;

    (void)state;
    assert_non_null(officer_with(
        text, sizeof(text), base,
        "visitor: {kind: blake2b, epoch: none}, order: {kind: blake2b, epoch: "
        "none}",
        "order: {kind: blake2b, epoch: none}, visitor: {kind: blake2b, epoch: "
        "none}"));
    assert_non_null(officer_with(
        again, sizeof(again), text,
        "  orders: {basis: contract, consent: none, retention: P5Y}\n", ""));
    assert_non_null(officer_with(
        text, sizeof(text), again, "purposes:\n",
        "purposes:\n  orders: {basis: contract, consent: none, retention: "
        "P5Y}\n"));
    d = diff_of(base, text);
    if (d->count)
        fail_msg("%s: %s", d->changes[0].where, d->changes[0].text);
    free(d);
}

static void a_longer_epoch_is_up(void **state)
{
    static const struct {
        int64_t old_ms, next_ms;
        enum diff_risk risk;
    } epochs[] = {
        {0, DAY_MS, DIFF_DOWN},
        {DAY_MS, 0, DIFF_UP},
        {DAY_MS, 7 * DAY_MS, DIFF_UP},
        {7 * DAY_MS, DAY_MS, DIFF_DOWN},
    };
    struct compiled *old = compiled_of(base), *next = compiled_of(base);
    struct diff *d = malloc(sizeof(*d));

    (void)state;
    assert_non_null(d);
    for (size_t i = 0; i < sizeof(epochs) / sizeof(epochs[0]); i++) {
        old->policy->keys[0].epoch_ms = epochs[i].old_ms;
        next->policy->keys[0].epoch_ms = epochs[i].next_ms;
        assert_int_equal(diff_run(d, old->policy, next->policy), SOTTO_OK);
        assert_int_equal(d->count, 1);
        assert_int_equal(d->changes[0].risk, epochs[i].risk);
        assert_string_equal(d->changes[0].where, "keys.visitor");
    }
    free(d);
    compiled_free(old);
    compiled_free(next);
}

static void another_key_of_a_signer_is_up(void **state)
{
    struct compiled *old = compiled_of(base), *next = compiled_of(base);
    struct diff *d = malloc(sizeof(*d));

    (void)state;
    assert_non_null(d);
    for (int i = 0; i < PK_SIZE; i++) {
        old->policy->signers[1].pk[i] = (uint8_t)i;
        next->policy->signers[1].pk[i] = (uint8_t)(2 * i);
    }
    assert_int_equal(diff_run(d, old->policy, next->policy), SOTTO_OK);
    assert_int_equal(d->count, 1);
    assert_int_equal(d->changes[0].risk, DIFF_UP);
    assert_string_equal(d->changes[0].where, "signers.eng");
    free(d);
    compiled_free(old);
    compiled_free(next);
}

/* A parameter that no rule looks at: the size of a kept number, which means
 * nothing today. */
static void what_no_rule_knows_is_up(void **state)
{
    struct compiled *old = compiled_of(base), *next = compiled_of(base);
    struct diff *d = malloc(sizeof(*d));

    (void)state;
    assert_non_null(d);
    assert_int_equal(next->policy->events[1].fields[3].type, TYPE_MONEY);
    next->policy->events[1].fields[3].max = 9;
    assert_int_equal(diff_run(d, old->policy, next->policy), SOTTO_OK);
    assert_int_equal(d->count, 1);
    assert_int_equal(d->changes[0].risk, DIFF_UP);
    assert_string_equal(d->changes[0].where, "Order Completed.total");
    assert_non_null(strstr(d->changes[0].text, "other parameters"));
    free(d);
    compiled_free(old);
    compiled_free(next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_each_kind_of_change),
        cmocka_unit_test(judges_the_way_back),
        cmocka_unit_test(the_same_is_the_same),
        cmocka_unit_test(order_is_no_change),
        cmocka_unit_test(a_longer_epoch_is_up),
        cmocka_unit_test(another_key_of_a_signer_is_up),
        cmocka_unit_test(what_no_rule_knows_is_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
