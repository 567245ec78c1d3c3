/* Tests of lint: each rule fires where it should, and the shipped policies are
 * clean. */
#include "agent/policy_tool/lint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "../support/officer.h"

#include <cmocka.h>

/* Clean: uses every purpose and key. */
static const char clean[] = OFFICER_HEAD
    "  Product Viewed:\n"               /* line 12 */
    "    purpose: measure\n" OFFICER_AT /* 14 */
    "    visitor: {role: subject, from: userId, action: pseudonym, "
    "key: visitor, purpose: personalise}\n"
    "    item: {role: item, from: properties.product_id, action: keep, "
    "pattern: '[A-Z0-9]{1,32}'}\n"
    "  Order Completed:\n" /* 17 */
    "    purpose: orders\n" OFFICER_AT
    "    buyer: {role: subject, from: userId, action: pseudonym, "
    "key: visitor}\n"
    "    order: {role: order, from: properties.order_id, action: pseudonym, "
    "key: order}\n";

static const struct signer_keys unknown = {.count = -1};

static struct lint *linted(const char *text)
{
    struct lint *l = calloc(1, sizeof(*l));
    struct compiled *c = NULL;
    struct why why = {""};

    assert_non_null(l);
    if (compile_text(&c, "p.yaml", span_text(text), &unknown, &why))
        fail_msg("%s", why.text);
    lint_run(l, c);
    compiled_free(c);
    return l;
}

static void a_clean_policy_has_no_findings(void **state)
{
    struct lint *l = linted(clean);

    (void)state;
    if (l->count)
        fail_msg("%s: %s", l->findings[0].where, l->findings[0].text);
    free(l);
}

static const struct risky {
    const char *from, *to;
    const char *rule;
    int line;
    const char *where, *words;
} riskies[] = {
    {"expires: 2027-12-01", "expires: 2029-01-01", "late-expiry", 4, "expires",
     "an earlier date"},
    {", retention: P13M", "", "no-retention", 8, "purposes.measure",
     "add `retention"},
    {"P13M", "P3Y", "long-retention", 8, "purposes.measure", "shorten it"},
    {"P180D", "P30M", "long-retention", 9, "purposes.personalise",
     "shorten it"},
    {"P5Y", "P31Y", "long-retention", 10, "purposes.orders", "contract"},
    {"purpose: personalise", "purpose: orders", "unused-purpose", 9,
     "purposes.personalise", "a consent that nothing uses"},
    {"events:\n", "  idle: {basis: contract, retention: P1Y}\nevents:\n",
     "unused-purpose", 11, "purposes.idle", "remove it"},
    {"keys: {", "keys: {spare: {kind: blake2b, epoch: none}, ", "unused-key", 6,
     "keys.spare", "remove it"},
    {"properties.product_id", "context.ip", "kept-identifier", 16,
     "Product Viewed.item", "use the action pseudonym"},
    {"properties.product_id", "traits.E-mail", "kept-identifier", 16,
     "Product Viewed.item", "looks like an identifier"},
    {"properties.product_id", "context.traits.name", "kept-identifier", 16,
     "Product Viewed.item", "looks like an identifier"},
    {"pattern: '[A-Z0-9]{1,32}'", "max: 20", "free-text", 16,
     "Product Viewed.item", "add a pattern"},
    {"[A-Z0-9]{1,32}", "[ -~]{1,40}", "wide-pattern", 16, "Product Viewed.item",
     "take `@` out"},
    {"from: userId, action: pseudonym, key: visitor, purpose",
     "from: traits.phone, action: pseudonym, key: visitor, purpose",
     "low-entropy", 15, "Product Viewed.visitor", "in 30 minutes"},
    {"from: userId, action: pseudonym, key: visitor, purpose",
     "from: traits.birthday, action: pseudonym, key: visitor, purpose",
     "low-entropy", 15, "Product Viewed.visitor", "in 1 s on one core"},
    {"from: userId, action: pseudonym, key: visitor, purpose",
     "from: traits.email, action: pseudonym, key: visitor, purpose", "case", 15,
     "Product Viewed.visitor", "normalize: lower"},
    {"action: pseudonym, key: order", "action: pseudonym, key: visitor",
     "shared-key", 21, "Order Completed.order", "a key of its own"},
    {", round: PT1M", "", "exact-time", 14, "Product Viewed.at",
     "add `round: PT1M`"},
    {"role: order, ", "", "stable-interest", 21, "Order Completed.order", ""},
    {"purpose: personalise", "purpose: orders", "stable-contract", 15,
     "Product Viewed.visitor", "order records only"},
};

static void finds_each_risk_where_it_stands(void **state)
{
    int failures = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(riskies) / sizeof(riskies[0]); i++) {
        const struct risky *r = &riskies[i];
        char text[4096], again[4096];
        bool found = false;
        struct lint *l;

        assert_non_null(
            officer_with(text, sizeof(text), clean, r->from, r->to));
        if (strcmp(r->rule, "stable-interest") == 0) {
            /* an id of no role, in an event under legitimate interest */
            assert_non_null(officer_with(again, sizeof(again), text,
                                         "    purpose: orders\n",
                                         "    purpose: measure\n"));
            assert_non_null(officer_with(text, sizeof(text), again,
                                         "key: visitor}\n",
                                         "key: visitor, purpose: orders}\n"));
        }
        l = linted(text);
        for (uint32_t f = 0; f < l->count; f++)
            found |= strcmp(l->findings[f].rule, r->rule) == 0 &&
                     l->findings[f].place.line == r->line &&
                     strcmp(l->findings[f].where, r->where) == 0 &&
                     strstr(l->findings[f].text, r->words);
        if (!found) {
            print_error("row %zu, %s -> %s: wanted %s at %d, %s\n", i, r->from,
                        r->to, r->rule, r->line, r->where);
            for (uint32_t f = 0; f < l->count; f++)
                print_error("  got %s at %d, %s: %s\n", l->findings[f].rule,
                            l->findings[f].place.line, l->findings[f].where,
                            l->findings[f].text);
            failures++;
        }
        free(l);
    }
    assert_int_equal(failures, 0);
}

static void the_shipped_policies_are_clean(void **state)
{
    static const char *const files[] = {
        SOTTO_CONF_DIR "/shop.policy.yaml",
        SOTTO_CONF_DIR "/online-retail.policy.yaml",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct lint *l = calloc(1, sizeof(*l));
        struct compiled *c = NULL;
        struct why why = {""};

        assert_non_null(l);
        if (compile_file(&c, files[i], &unknown, &why))
            fail_msg("%s", why.text);
        lint_run(l, c);
        if (l->count)
            fail_msg("%s: %s: %s", files[i], l->findings[0].where,
                     l->findings[0].text);
        compiled_free(c);
        free(l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_policy_has_no_findings),
        cmocka_unit_test(finds_each_risk_where_it_stands),
        cmocka_unit_test(the_shipped_policies_are_clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
