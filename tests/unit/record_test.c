/* Tests of the record: what the policy says stands in it, and what it does not
 * say is left to fill in. */
#include "agent/policy_tool/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "../support/officer.h"

#include <cmocka.h>

static const char text[] = OFFICER_HEAD
    "  Product Viewed:\n"
    "    purpose: measure\n" OFFICER_AT
    "    visitor: {role: subject, from: userId, action: pseudonym, "
    "key: visitor, purpose: personalise}\n"
    "    item: {role: item, from: properties.product_id, action: keep, "
    "pattern: '[A-Z0-9]{1,32}'}\n"
    "  Product Added:\n"
    "    purpose: measure\n" OFFICER_AT
    "    item: {role: item, from: properties.product_id, action: keep}\n"
    "  Order Completed:\n"
    "    purpose: orders\n" OFFICER_AT
    "    order: {role: order, from: properties.order_id, action: pseudonym, "
    "key: order}\n";

static struct compiled *compiled_of(const char *from, const char *to)
{
    static const struct signer_keys unknown = {.count = -1};
    struct compiled *c = NULL;
    struct why why = {""};
    char changed[8192];

    assert_non_null(officer_with(changed, sizeof(changed), text, from, to));
    if (compile_text(&c, "p.yaml", span_text(changed), &unknown, &why))
        fail_msg("%s", why.text);
    return c;
}

/* The record with a final zero; the caller's to free. */
static char *record_of(const struct compiled *c)
{
    struct buf out;

    buf_init(&out, 1024 * 1024);
    assert_int_equal(record_write(&out, c), SOTTO_OK);
    assert_int_equal(buf_append(&out, "", 1), SOTTO_OK);
    return (char *)out.data;
}

static void has(const char *record, const char *words)
{
    if (!strstr(record, words))
        fail_msg("the record does not say \"%s\":\n%s", words, record);
}

static int count(const char *record, const char *words)
{
    int n = 0;

    while ((record = strstr(record, words))) {
        record += strlen(words);
        n++;
    }
    return n;
}

static void says_what_the_policy_says(void **state)
{
    struct compiled *c = compiled_of("", "");
    char *record = record_of(c);

    (void)state;
    has(record, "# Record of processing activities: acme");
    has(record, "in force from 2026-12-01 to 2027-12-01");
    has(record, "legitimate interest (GDPR, article 6(1)(f)) | not asked | "
                "LIA-1 | 390 days after the event | Product Viewed, Product "
                "Added |");
    has(record, "| consent (GDPR, article 6(1)(a)) | asked | - | 180 days "
                "after the event | Product Viewed |");
    has(record, "| visitor | userId | 8 or 16 bytes, keyed BLAKE2b (pseudonym) "
                "| personalise |");
    has(record, "- orders: 1825 days after the event");
    has(record, "at most 30 days");
    has(record, "signed by 1 of 1");
    has(record, "`userId` under the key `visitor` can be linked for ever");
    has(record, "What never leaves: everything else.");
    free(record);
    compiled_free(c);
}

static void says_a_field_of_many_events_once(void **state)
{
    struct compiled *c = compiled_of("", "");
    char *record = record_of(c);

    (void)state;
    assert_int_equal(count(record, "| item | properties.product_id |"), 1);
    assert_int_equal(count(record, "| at | the event itself |"), 2); /* two
                                                                  purposes */
    free(record);
    compiled_free(c);
}

static void leaves_open_what_it_does_not_know(void **state)
{
    static const char *const lines[] = {
        "Controller, name and address: " RECORD_TO_FILL_IN,
        "third countries and their safeguards: " RECORD_TO_FILL_IN,
        "special category (article 9): " RECORD_TO_FILL_IN,
        "| large scale | " RECORD_TO_FILL_IN,
        "Backups of the aggregator: " RECORD_TO_FILL_IN,
        "| measure | " RECORD_TO_FILL_IN,
        "# What this does not know",
    };
    struct compiled *c = compiled_of("", "");
    char *record = record_of(c);

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        has(record, lines[i]);
    free(record);
    compiled_free(c);
}

static void an_assessment_that_is_not_named_is_left_open(void **state)
{
    struct compiled *c = compiled_of("assessment: LIA-1, ", "");
    char *record = record_of(c);

    (void)state;
    has(record, "not asked | " RECORD_TO_FILL_IN " | 390 days");
    has(record, "add `assessment: NAME`");
    free(record);
    compiled_free(c);
}

/* The assessment is in the YAML only: that is no finding of a compiled file. */
static void a_compiled_file_has_a_hash_and_no_assessment(void **state)
{
    struct compiled *c = compiled_of("", "");
    char *record;

    (void)state;
    memset(&c->top, 0, sizeof(c->top));
    memset(c->assessments, 0, sizeof(c->assessments));
    record = record_of(c);
    has(record, "Policy hash: `blake2b:");
    has(record, "not asked | " RECORD_TO_FILL_IN " | 390 days");
    assert_null(strstr(record, "add `assessment: NAME`"));
    free(record);
    compiled_free(c);
}

static void findings_of_lint_are_risks(void **state)
{
    struct compiled *c = compiled_of("", "");
    char *record = record_of(c);

    (void)state;
    has(record, "- Product Added.item keeps free text");
    free(record);
    compiled_free(c);
}

static void criteria_follow_the_roles(void **state)
{
    struct compiled *c = compiled_of(
        "    visitor: {role: subject, from: userId, action: pseudonym, "
        "key: visitor, purpose: personalise}\n",
        "");
    char *record = record_of(c);

    (void)state;
    has(record, "| evaluation or scoring | no:");
    has(record, "| systematic monitoring | no:");
    free(record);
    compiled_free(c);
    c = compiled_of("", "");
    record = record_of(c);
    has(record, "| evaluation or scoring | yes:");
    free(record);
    compiled_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_the_policy_says),
        cmocka_unit_test(says_a_field_of_many_events_once),
        cmocka_unit_test(leaves_open_what_it_does_not_know),
        cmocka_unit_test(an_assessment_that_is_not_named_is_left_open),
        cmocka_unit_test(a_compiled_file_has_a_hash_and_no_assessment),
        cmocka_unit_test(findings_of_lint_are_risks),
        cmocka_unit_test(criteria_follow_the_roles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
