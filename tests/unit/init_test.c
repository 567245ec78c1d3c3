/* Tests of the starting policies: they compile, lint is silent, and a sample
 * event goes through. The verb itself is tried in flow/policy_tool_test.sh. */
#include "agent/policy_tool/init.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "agent/policy_tool/lint.h"
#include "agent/policy_tool/words.h"

#include <cmocka.h>

#define TODAY INT64_C(1796083200000) /* 2026-12-01 */

static struct compiled *made(const char *kind)
{
    static const struct signer_keys unknown = {.count = -1};
    struct compiled *c = NULL;
    struct why why = {""};
    struct buf text;

    buf_init(&text, 64 * 1024);
    assert_int_equal(init_write(&text, kind, "acme", TODAY), SOTTO_OK);
    if (compile_text(&c, kind, span_of(text.data, text.size), &unknown, &why))
        fail_msg("%s", why.text);
    buf_fini(&text);
    return c;
}

static void each_kind_compiles_and_is_clean(void **state)
{
    (void)state;
    for (int i = 0; init_kinds[i]; i++) {
        struct compiled *c = made(init_kinds[i]);
        struct lint *l = calloc(1, sizeof(*l));

        assert_non_null(l);
        lint_run(l, c);
        if (l->count)
            fail_msg("%s: %s: %s", init_kinds[i], l->findings[0].where,
                     l->findings[0].text);
        assert_string_equal(c->policy->tenant, "acme");
        assert_int_equal(c->policy->effective_ms, TODAY);
        assert_int_equal(c->policy->expires_ms, TODAY + 365 * DAY_MS);
        assert_true(policy_event_find(c->policy, span_text("Product Viewed")) >=
                    0);
        free(l);
        compiled_free(c);
    }
}

static void people_are_known_by_consent_only(void **state)
{
    (void)state;
    for (int i = 0; init_kinds[i]; i++) {
        struct compiled *c = made(init_kinds[i]);
        const struct policy *p = c->policy;

        for (int e = 0; e < p->event_count; e++)
            for (int f = 0; f < p->events[e].field_count; f++) {
                const struct policy_field *field = &p->events[e].fields[f];

                if (field->role == ROLE_SUBJECT)
                    assert_true(p->purposes[field->purpose].needs_consent);
            }
        compiled_free(c);
    }
}

static void a_kiosk_forgets_its_visitor_soon(void **state)
{
    struct compiled *c = made("kiosk");

    (void)state;
    assert_int_equal(c->policy->session_timeout_ms, 90 * 1000);
    assert_int_equal(c->policy->spool_ms, 14 * DAY_MS);
    compiled_free(c);
}

static void refuses_what_is_no_kind_and_no_name(void **state)
{
    struct buf text;

    (void)state;
    buf_init(&text, 64 * 1024);
    assert_int_equal(init_write(&text, "shop", "acme", TODAY), SOTTO_ENOTFOUND);
    assert_int_equal(init_write(&text, "site", "", TODAY), SOTTO_EINVAL);
    assert_int_equal(init_write(&text, "site", "a: b", TODAY), SOTTO_EINVAL);
    assert_int_equal(text.size, 0);
    buf_fini(&text);
}

static void durations_are_said_in_words(void **state)
{
    static const struct {
        int64_t ms;
        const char *words;
    } rows[] = {
        {0, "0 ms"},
        {1, "1 ms"},
        {1000, "1 second"},
        {90000, "90 seconds"},
        {60000, "1 minute"},
        {3600000, "1 hour"},
        {DAY_MS, "1 day"},
        {390 * DAY_MS, "390 days"},
        {DAY_MS + 3600000, "25 hours"},
    };
    char out[WORDS_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_string_equal(words_duration(out, rows[i].ms), rows[i].words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_compiles_and_is_clean),
        cmocka_unit_test(people_are_known_by_consent_only),
        cmocka_unit_test(a_kiosk_forgets_its_visitor_soon),
        cmocka_unit_test(refuses_what_is_no_kind_and_no_name),
        cmocka_unit_test(durations_are_said_in_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
