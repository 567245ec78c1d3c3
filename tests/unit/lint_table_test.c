/* A table of bad policies: each is the good one with one thing wrong, and lint
 * must name line, field, rule and mend. What does not compile has no rule: its
 * error must name the same. On the good ones lint is silent. */
#include "agent/policy_tool/lint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "../support/officer.h"

#include <cmocka.h>

static const char good[] =
    "policy: acme\n"
    "version: 1\n"
    "effective: 2026-12-01\n"
    "expires: 2027-12-01\n"
    "signers: {need: 2, keys: [dpo, eng]}\n" /* 5 */
    "keys: {visitor: {kind: blake2b, epoch: none}, order: {kind: blake2b, "
    "epoch: none}}\n"
    "purposes:\n"
    "  measure: {basis: legitimate_interest, assessment: LIA-7, retention: "
    "P13M}\n"
    "  personalise: {basis: consent, consent: given, retention: P180D}\n"
    "  orders: {basis: contract, retention: P5Y}\n" /* 10 */
    "sources: {session_timeout: PT30M}\n"
    "retention: {spool: P30D}\n"
    "events:\n"
    "  Product Viewed:\n"
    "    purpose: measure\n" /* 15 */
    "    at: {role: time, action: time, round: PT15M}\n"
    "    visitor: {role: subject, from: userId, action: pseudonym, "
    "key: visitor, purpose: personalise}\n"
    "    visit: {role: session, action: session}\n"
    "    item: {role: item, from: properties.product_id, action: keep, "
    "pattern: '[A-Z0-9]{1,32}', required: true}\n"
    "    price: {role: value, from: properties.price, action: bucket, "
    "edges: [0, 10, 100]}\n" /* 20 */
    "    country: {from: properties.country, action: keep, pattern: "
    "'[A-Z]{2}'}\n"
    "  Order Completed:\n"
    "    purpose: orders\n"
    "    at: {role: time, action: time, round: PT1M}\n"
    "    buyer: {role: subject, from: userId, action: pseudonym, "
    "key: visitor}\n" /* 25 */
    "    order: {role: order, from: properties.order_id, action: pseudonym, "
    "key: order}\n"
    "    total: {from: properties.total, action: keep, type: money}\n";

static const struct signer_keys unknown = {.count = -1};

/* rule NULL: it does not compile. */
static const struct bad {
    const char *from, *to;
    const char *rule;
    int line;
    const char *where, *mend;
} bads[] = {
    /* what the text is */
    {"effective: 2026-12-01\n", "effective: 2026-12-01\nefective: 2027\n", NULL,
     4, "efective", "did you mean `effective`?"},
    {"version: 1\n", "version: 1\nversion: 2\n", NULL, 3, "", "twice"},
    {"version: 1\n", "version: one\n", NULL, 2, "version", "a whole number"},
    {"policy: acme", "policy: &a acme", NULL, 1, "policy", "remove it"},
    {"policy: acme", "policy: !x acme", NULL, 1, "policy", "remove it"},
    {"purpose: orders", "purpose: *a", NULL, 23, "Order Completed.purpose",
     "write the value out"},
    {"policy: acme\n", "policy:\n", NULL, 1, "policy", "has no value"},
    {"[dpo, eng]}", "[dpo, eng}", NULL, 5, "", "check quotes"},
    {"  Order Completed:\n", "  Product Viewed:\n", NULL, 22, "", "twice"},
    /* the head */
    {"expires: 2027-12-01\n", "", NULL, 1, "", "needs the key `expires`"},
    {"expires: 2027-12-01", "expires: 2025-12-01", NULL, 4, "expires", "after"},
    {"expires: 2027-12-01", "expires: 2036-12-01", "late-expiry", 4, "expires",
     "choose an earlier date"},
    {"need: 2", "need: 3", NULL, 5, "signers.need", "name more under keys"},
    {"need: 2", "need: 1", "one-signer", 5, "signers.need", "write `need: 2`"},
    {"PT30M", "30 minutes", NULL, 11, "sources.session_timeout",
     "a duration such as"},
    {"PT30M", "PT12H", "long-session", 11, "sources.session_timeout",
     "write PT30M"},
    {"spool: P30D", "spool: P1Y", "long-spool", 12, "retention.spool",
     "write P30D"},
    {"order: {kind: blake2b, epoch: none}",
     "order: {kind: blake2b, epoch: none}, idle: {kind: blake2b, epoch: none}",
     "unused-key", 6, "keys.idle", "remove it"},
    {"order: {kind: blake2b", "order: {kind: md5", NULL, 6, "keys.order.kind",
     "one of: blake2b"},
    /* purposes */
    {", assessment: LIA-7", "", "no-assessment", 8, "purposes.measure",
     "add `assessment: NAME`"},
    {"LIA-7", "'LIA/7'", NULL, 8, "purposes.measure.assessment", "rename it"},
    {"  orders: {basis: contract, retention: P5Y}\n",
     "  orders: {basis: contract, retention: P5Y}\n"
     "  newsletter: {basis: legitimate_interest, assessment: LIA-8, "
     "retention: P30D}\n",
     "marketing-interest", 11, "purposes.newsletter", "`basis: consent"},
    {", retention: P13M", "", "no-retention", 8, "purposes.measure",
     "add `retention: P13M`"},
    {"P13M", "P26M", "long-retention", 8, "purposes.measure", "shorten it"},
    {"P5Y", "P40Y", "long-retention", 10, "purposes.orders", "shorten it"},
    {"P180D", "6 months", NULL, 9, "purposes.personalise.retention",
     "a duration such as"},
    {"basis: consent, consent: given", "basis: consent", NULL, 9,
     "purposes.personalise", "write `consent: given`"},
    {"basis: contract", "basis: contact", NULL, 10, "purposes.orders.basis",
     "did you mean `contract`?"},
    {", purpose: personalise", ", purpose: orders", "unused-purpose", 9,
     "purposes.personalise", "remove it"},
    /* events */
    {"  Product Viewed:\n", "  Product Veiwed:\n    role: view\n", "event-name",
     15, "Product Veiwed", "did you mean `Product Viewed`?"},
    {"  Order Completed:\n", "  order completed:\n", "event-name", 23,
     "order completed", "did you mean `Order Completed`?"},
    {"    at: {role: time, action: time, round: PT15M}\n", "", "no-time", 15,
     "Product Viewed", "add `at: {role: time"},
    {"role: time, action: time, round: PT15M",
     "from: properties.at, action: keep, type: time", "no-time", 15,
     "Product Viewed", "add `at: {role: time"},
    {"    country: {",
     "    age: {from: traits.age, action: bucket, type: int, edges: [18, 30, "
     "60]}\n    sex: {from: traits.gender, action: keep, pattern: '[fmx]'}\n"
     "    country: {",
     "quasi-identifiers", 15, "Product Viewed", "keep at most 2"},
    {"    country: {",
     "    exact: {from: properties.price, action: keep, type: money}\n"
     "    country: {",
     "leaves-twice", 21, "Product Viewed.exact", "remove one"},
    {"buyer: {role: subject, from: userId",
     "visitor: {role: subject, from: "
     "anonymousId",
     "two-paths", 25, "Order Completed.visitor", "another name"},
    {"key: visitor, purpose", "key: visitor, required: true, purpose",
     "required-consent", 17, "Product Viewed.visitor", "remove `required`"},
    {"key: visitor, purpose: personalise", "key: visitor, purpose: orders",
     "profile-without-consent", 19, "Product Viewed.item", "`basis: consent`"},
    {"key: visitor, purpose: personalise", "key: visitor, purpose: orders",
     "stable-contract", 17, "Product Viewed.visitor", "`basis: consent`"},
    {"role: subject, from: userId, action: pseudonym, key: visitor, purpose: "
     "personalise",
     "from: userId, action: pseudonym, key: visitor", "stable-interest", 17,
     "Product Viewed.visitor", "`basis: consent`"},
    {"purpose: personalise", "purpose: measure", NULL, 17,
     "Product Viewed.visitor", "need a consent purpose"},
    {"    purpose: measure\n", "", NULL, 15, "Product Viewed",
     "needs `purpose: NAME`"},
    /* fields */
    {"action: session", "action: sesion", NULL, 18, "visit.action",
     "did you mean `session`?"},
    {"action: session", "action: session, bits: 64", NULL, 18, "visit.bits",
     "remove it"},
    {"role: time, action: time", "action: time", NULL, 16, "Product Viewed.at",
     "go together"},
    {", round: PT15M", "", "exact-time", 16, "Product Viewed.at",
     "add `round: PT1M`"},
    {"round: PT15M", "round: 15m", NULL, 16, "at.round", "a duration such as"},
    {"required: true", "required: yes please", NULL, 19, "item.required",
     "true or false"},
    {"key: order}", "key: ordr}", NULL, 26, "order.key", "mean `order`?"},
    {"key: order}", "key: visitor}", "shared-key", 26, "Order Completed.order",
     "a key of its own"},
    {"action: pseudonym, key: order", "action: keep, pattern: '[0-9]{1,9}'",
     "kept-order", 26, "Order Completed.order", "the action pseudonym"},
    {"total: {from: properties.total, action: keep, type: money}",
     "invoice: {from: properties.invoice_no, action: keep, type: int}",
     "kept-order", 27, "Order Completed.invoice", "the action pseudonym"},
    {"from: properties.product_id", "from: userId", "kept-identifier", 19,
     "Product Viewed.item", "use the action pseudonym"},
    {"from: properties.country", "from: traits.phone_number", "kept-identifier",
     21, "Product Viewed.country", "or drop it"},
    {"from: properties.country, action: keep, pattern: '[A-Z]{2}'",
     "from: properties.comment, action: keep", "free-text", 21,
     "Product Viewed.country", "add a pattern"},
    {"from: properties.country, action: keep, pattern: '[A-Z]{2}'",
     "from: properties.query, action: keep, pattern: '[a-z ]{1,20}'",
     "free-text", 21, "Product Viewed.country", "list the values"},
    {"'[A-Z]{2}'", "'[ -~]{1,60}'", "wide-pattern", 21,
     "Product Viewed.country", "take `@` out"},
    {"'[A-Z]{2}'", "'[A-Za-z ]{1,60}'", "wide-pattern", 21,
     "Product Viewed.country", "or no spaces"},
    {"from: properties.country, action: keep, pattern: '[A-Z]{2}'",
     "from: context.page.url, action: keep, pattern: '[a-z0-9:/.?=-]+'",
     "kept-address", 21, "Product Viewed.country", "context.page.path"},
    {"from: properties.country, action: keep, pattern: '[A-Z]{2}'",
     "from: context.ip, action: ip, v4: 24", "narrow-network", 21,
     "Product Viewed.country", "write `v4: 16, v6: 32`"},
    {"from: properties.country, action: keep, pattern: '[A-Z]{2}'",
     "from: properties.mood, action: randomize, values: [a, b], epsilon: 6, "
     "memoize: true",
     "weak-noise", 21, "Product Viewed.country", "at most 4"},
    {"from: properties.country, action: keep, pattern: '[A-Z]{2}'",
     "from: properties.mood, action: randomize, values: [a, b], epsilon: 2, "
     "memoize: false",
     "drawn-anew", 21, "Product Viewed.country", "add `memoize: true`"},
    {"'[A-Z]{2}'", "'[A-Z{2}'", NULL, 21, "country.pattern", "character"},
    {"[0, 10, 100]", "[0, 100, 10]", NULL, 20, "price.edges[2]", "sort them"},
    {"[0, 10, 100]", "[0, 1, 2, 3, 4]", "fine-buckets", 20,
     "Product Viewed.price", "use wider ones"},
    {"[0, 10, 100]",
     "[0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, "
     "90, 95, 100]",
     "fine-buckets", 20, "Product Viewed.price", "use at most 20"},
    {"from: userId, action: pseudonym, key: visitor, purpose",
     "from: traits.phone, action: pseudonym, key: visitor, purpose",
     "low-entropy", 17, "Product Viewed.visitor",
     "all mobile numbers of a country in 30 minutes on one core; drop it"},
    {"from: userId, action: pseudonym, key: visitor, purpose",
     "from: traits.customer_number, action: pseudonym, key: visitor, purpose",
     "low-entropy", 17, "Product Viewed.visitor", "in 5 minutes on one core"},
    {"from: userId, action: pseudonym, key: visitor, purpose",
     "from: traits.email, action: pseudonym, key: visitor, purpose",
     "low-entropy", 17, "Product Viewed.visitor", "that leaks have published"},
    {"from: userId, action: pseudonym, key: visitor, purpose",
     "from: traits.email, action: pseudonym, key: visitor, purpose", "case", 17,
     "Product Viewed.visitor", "add `normalize: lower`"},
};

static struct lint *linted(const char *text, struct why *why)
{
    struct compiled *c = NULL;
    struct lint *l = NULL;

    if (compile_text(&c, "p.yaml", span_text(text), &unknown, why))
        return NULL;
    l = calloc(1, sizeof(*l));
    assert_non_null(l);
    lint_run(l, c);
    compiled_free(c);
    return l;
}

static bool refused_so(const struct bad *b, const struct why *why)
{
    char place[32];

    snprintf(place, sizeof(place), "p.yaml:%d:", b->line);
    return strncmp(why->text, place, strlen(place)) == 0 &&
           strstr(why->text, b->where) && strstr(why->text, b->mend);
}

static bool found_so(const struct bad *b, const struct lint *l)
{
    for (uint32_t i = 0; i < l->count; i++)
        if (strcmp(l->findings[i].rule, b->rule) == 0 &&
            l->findings[i].place.line == b->line &&
            strcmp(l->findings[i].where, b->where) == 0 &&
            strstr(l->findings[i].text, b->mend))
            return true;
    return false;
}

static void print_got(const struct bad *b, const struct lint *l,
                      const struct why *why)
{
    print_error("%s -> %s\n  wanted %s at %d, %s, %s\n", b->from, b->to,
                b->rule ? b->rule : "an error", b->line, b->where, b->mend);
    if (!l)
        print_error("  got %s\n", why->text);
    for (uint32_t i = 0; l && i < l->count; i++)
        print_error("  got %s at %d, %s: %s\n", l->findings[i].rule,
                    l->findings[i].place.line, l->findings[i].where,
                    l->findings[i].text);
}

static void names_line_field_and_mend_of_each(void **state)
{
    int failures = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
        const struct bad *b = &bads[i];
        struct why why = {""};
        char text[8192];
        struct lint *l;

        assert_non_null(officer_with(text, sizeof(text), good, b->from, b->to));
        l = linted(text, &why);
        if (b->rule ? !l || !found_so(b, l) : l || !refused_so(b, &why)) {
            print_got(b, l, &why);
            failures++;
        }
        free(l);
    }
    assert_int_equal(failures, 0);
}

/* Lint says what is wrong and little else; a subject without consent is four
 * findings: itself, two fields that feed its profile, a purpose left unused. */
static void one_fault_is_few_findings(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
        struct why why;
        char text[8192];
        struct lint *l;

        if (!bads[i].rule)
            continue;
        assert_non_null(
            officer_with(text, sizeof(text), good, bads[i].from, bads[i].to));
        l = linted(text, &why);
        assert_non_null(l);
        assert_in_range(l->count, 1, 4);
        free(l);
    }
}

/* Near what lint finds, and good. */
static const struct {
    const char *from, *to;
} goods[] = {
    {"", ""},
    {"expires: 2027-12-01", "expires: 2028-11-30"},
    {"need: 2, keys: [dpo, eng]", "need: 1, keys: [dpo]"},
    {"edges: [0, 10, 100]", "edges: [0, 1, 2, 5, 10, 100]"},
    {"from: properties.country, action: keep, pattern: '[A-Z]{2}'",
     "from: context.page.path, action: keep, pattern: '[a-z/-]{1,60}'"},
    {"    country: {",
     "    browser: {from: properties.browser, action: keep, pattern: "
     "'[a-z]{1,9}'}\n    country: {"},
    {"  Order Completed:\n", "  Survey Answered:\n    role: purchase\n"},
    {"key: visitor, purpose", "key: visitor, normalize: lower, purpose"},
    {"from: properties.country, action: keep, pattern: '[A-Z]{2}'",
     "from: properties.reason, action: keep, pattern: '[a-z]{1,12}'"},
    {"basis: contract, retention: P5Y", "basis: contract, retention: P10Y"},
    {"    country: {",
     "    name: {role: name, from: properties.name, action: keep, pattern: "
     "'[A-Za-z ]{1,60}'}\n    country: {"},
    {"    buyer: {",
     "    visit: {role: session, from: context.session, action: session}\n"
     "    buyer: {"},
    {"from: properties.country, action: keep, pattern: '[A-Z]{2}'",
     "from: context.ip, action: ip"},
    {"from: properties.country, action: keep, pattern: '[A-Z]{2}'",
     "from: properties.mood, action: randomize, values: [a, b], epsilon: 2, "
     "memoize: true"},
    {"from: properties.country, action: keep, pattern: '[A-Z]{2}'",
     "from: context.page.url, action: url, keep: [path]"},
    {"type: money}", "type: money}\n    mail: {from: traits.email, action: "
                     "drop}"},
};

static void is_silent_on_good_ones(void **state)
{
    int failures = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++) {
        struct why why = {""};
        char text[8192];
        struct lint *l;

        assert_non_null(
            officer_with(text, sizeof(text), good, goods[i].from, goods[i].to));
        l = linted(text, &why);
        if (!l || l->count) {
            print_error("%s -> %s: %s\n", goods[i].from, goods[i].to,
                        l ? l->findings[0].text : why.text);
            failures++;
        }
        free(l);
    }
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_line_field_and_mend_of_each),
        cmocka_unit_test(one_fault_is_few_findings),
        cmocka_unit_test(is_silent_on_good_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
