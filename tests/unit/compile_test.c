/* Tests of the compiler of policies: what a good one becomes, and for each
 * rule a bad one, with the line and the words of its mend. */
#include "agent/policy_tool/compile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "../support/officer.h"
#include "policy/detect.h"
#include "policy/url.h"

#include <cmocka.h>

static const char good[] = OFFICER_HEAD
    "  Product Viewed:\n"               /* line 12 */
    "    purpose: measure\n" OFFICER_AT /* 14 */
    "    visitor: {role: subject, from: userId, action: pseudonym, "
    "key: visitor, purpose: personalise}\n"
    "    visit: {role: session, action: session}\n"
    "    item: {role: item, from: properties.product_id, action: keep, "
    "pattern: '[A-Z0-9]{1,32}', required: true}\n"
    "    price: {role: value, from: properties.price, action: bucket, "
    "edges: [0, 9.99, 100]}\n"
    "    agent: {from: context.userAgent, action: drop}\n"
    "    position: {role: position, from: properties.position, action: keep}\n"
    "  Order Completed:\n" /* 21 */
    OFFICER_AT
    "    buyer: {role: subject, from: userId, action: pseudonym, key: visitor, "
    "purpose: orders}\n"
    "    order: {role: order, from: properties.order_id, action: pseudonym, "
    "key: order, bits: 64, normalize: none}\n"
    "    purpose: orders\n"
    "  Thing:\n"
    "    role: view\n"
    "    at: {role: time, action: time, purpose: measure}\n";

static const struct signer_keys dpo = {
    1, {{"dpo", {{1, 2, 3, 4, 5, 6, 7, 8}, {9}}}}};

static struct compiled *compiled_of(const char *text)
{
    struct compiled *c = NULL;
    struct why why = {""};

    if (compile_text(&c, "p.yaml", span_text(text), &dpo, &why))
        fail_msg("%s", why.text);
    return c;
}

static void a_good_policy_becomes_what_it_says(void **state)
{
    struct compiled *c = compiled_of(good);
    const struct policy *p = c->policy;
    const struct policy_event *viewed = &p->events[0];
    const struct policy_field *f = viewed->fields;

    (void)state;
    assert_string_equal(p->tenant, "acme");
    assert_int_equal(p->version, 1);
    assert_int_equal(p->effective_ms, INT64_C(1796083200000));
    assert_int_equal(p->session_timeout_ms, 30 * 60000);
    assert_int_equal(p->spool_ms, INT64_C(30) * 86400000);
    assert_int_equal(p->signers_needed, 1);
    assert_memory_equal(p->signers[0].key_id, dpo.keys[0].pk.key_id, 8);
    assert_int_equal(p->purpose_count, 3);
    assert_false(p->purposes[0].needs_consent);
    assert_true(p->purposes[1].needs_consent);
    assert_int_equal(p->event_count, 3);
    assert_string_equal(viewed->name, "Product Viewed");
    assert_int_equal(viewed->role, EVENT_VIEW);
    assert_int_equal(viewed->field_count, 6); /* `drop` is no column */
    assert_int_equal(f[0].round_ms, 60000);
    assert_int_equal(f[0].purpose, 0); /* the event's */
    assert_int_equal(f[1].purpose, 1); /* its own */
    assert_int_equal(f[1].bits, 128);
    assert_int_equal(f[1].normalize, NORMALIZE_TRIM);
    assert_int_equal(f[2].action, ACTION_SESSION);
    assert_true(f[3].required);
    assert_int_equal(f[3].type, TYPE_TEXT);
    assert_int_equal(f[3].max, 64);
    assert_int_equal(f[4].type, TYPE_MONEY); /* of the role value */
    assert_int_equal(f[4].edge_count, 3);
    assert_int_equal(f[4].edges[1], 9990000);
    assert_int_equal(f[5].type, TYPE_INT); /* of the role position */
    compiled_free(c);
}

static void makes_what_the_actions_ask_for(void **state)
{
    static const char fields[] =
        "    region: {from: context.ip, action: ip, v4: 12}\n"
        "    browser: {from: context.userAgent, action: ua_family}\n"
        "    page: {from: context.page.url, action: url, keep: [path, host]}\n"
        "    token: {from: properties.order_id, action: tokenize}\n"
        "    age: {from: properties.age, action: randomize, values: ['<18', "
        "18-24, na], epsilon: 2.0}\n"
        "    mood: {from: properties.mood, action: randomize, values: [1, 2], "
        "epsilon: 0.25, memoize: false}\n"
        "    query: {from: properties.query, action: redact, detect: all}\n"
        "    note: {from: properties.note, action: redact, max: 40, detect: "
        "[email, phone]}\n";
    char text[4096];
    struct compiled *c;
    const struct policy_field *f;

    (void)state;
    snprintf(text, sizeof(text), "%s", good);
    memcpy(strstr(text, "  Order Completed:"), "\0", 1);
    snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s", fields);
    c = compiled_of(text);
    f = &c->policy->events[0].fields[6];
    assert_int_equal(f[0].v4, 12);
    assert_int_equal(f[0].v6, 32);
    assert_int_equal(f[0].type, TYPE_TEXT);
    assert_int_equal(f[1].action, ACTION_UA_FAMILY);
    assert_int_equal(f[2].parts, URL_HOST | URL_PATH);
    assert_int_equal(f[2].max, 128);
    assert_int_equal(f[3].type, TYPE_ID);
    assert_int_equal(f[3].bits, 64);
    assert_int_equal(f[4].value_count, 3);
    assert_string_equal(f[4].values[0], "<18");
    assert_int_equal(f[4].epsilon, 2000000);
    assert_true(f[4].memoize);
    assert_int_equal(f[4].max, 5);
    assert_int_equal(f[5].epsilon, 250000);
    assert_false(f[5].memoize);
    assert_int_equal(f[6].detect, DETECT_ALL);
    assert_int_equal(f[6].max, 256);
    assert_int_equal(f[7].detect, 1u << DETECT_EMAIL | 1u << DETECT_PHONE);
    assert_int_equal(f[7].max, 40);
    compiled_free(c);
}

static void keys_with_epochs_have_an_end(void **state)
{
    char text[4096];
    struct compiled *c;

    (void)state;
    assert_non_null(officer_with(text, sizeof(text), good, "epoch: none",
                                 "epoch: P1D, destroy_after: P2D"));
    memcpy(strstr(text, "role: subject"), "role: day    ", 13);
    c = compiled_of(text);
    assert_int_equal(c->policy->keys[0].epoch_ms, 86400000);
    assert_int_equal(c->policy->keys[0].destroy_ms, 2 * 86400000);
    assert_int_equal(c->policy->keys[1].epoch_ms, 0);
    compiled_free(c);
}

static void the_gate_is_stated_or_the_times(void **state)
{
    struct compiled *c = compiled_of(good);
    const struct policy *p = c->policy;

    (void)state;
    assert_int_equal(p->events[1].purpose, 2); /* stated, below its fields */
    assert_int_equal(p->events[1].role, EVENT_PURCHASE);
    assert_int_equal(p->events[1].fields[2].bits, 64);
    assert_int_equal(p->events[1].fields[2].normalize, NORMALIZE_NONE);
    assert_int_equal(p->events[2].purpose, 0); /* that of its time */
    assert_int_equal(p->events[2].role, EVENT_VIEW);
    compiled_free(c);
}

static void remembers_where_things_stand(void **state)
{
    struct compiled *c = compiled_of(good);

    (void)state;
    assert_int_equal(c->expires.line, 4);
    assert_int_equal(c->purposes[1].line, 9);
    assert_int_equal(c->events[1].line, 22); /* its first field */
    assert_int_equal(c->fields[0][3].line, 17);
    assert_int_equal(c->fields[0][5].line, 20); /* after the dropped one */
    compiled_free(c);
}

static void the_same_text_gives_the_same_bytes(void **state)
{
    struct compiled *a = compiled_of(good), *b = compiled_of(good);

    (void)state;
    assert_memory_equal(a->policy->hash, b->policy->hash, HASH_SIZE);
    assert_true(span_equal(
        span_of(a->policy->compiled.data, a->policy->compiled.size),
        span_of(b->policy->compiled.data, b->policy->compiled.size)));
    compiled_free(a);
    compiled_free(b);
}

static void the_second_version_names_the_first(void **state)
{
    char text[4096];
    struct compiled *c;

    (void)state;
    assert_non_null(officer_with(
        text, sizeof(text), good, "version: 1\n",
        "version: 2\nprevious: \"blake2b:"
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\""
        "\n"));
    c = compiled_of(text);
    for (int i = 0; i < HASH_SIZE; i++)
        assert_int_equal(c->policy->previous[i], i);
    compiled_free(c);
}

/* One replacement in the good policy; the line, and words of the error. */
static const struct bad {
    const char *from, *to;
    int line;
    const char *path; /* that the error names */
    const char *mend;
} bads[] = {
    /* the head */
    {"policy: acme\n", "", 1, "", "needs the key `policy`"},
    {"policy: acme\n", "policy: a/b\n", 1, "policy:", "rename it"},
    {"version: 1\n", "version: 0\n", 2, "version:", "from 1"},
    {"version: 1\n", "version: 2\n", 2, "version:", "add `previous:"},
    {"version: 1\n", "version: 1\nprevious: x\n", 3, "previous:", "remove it"},
    {"version: 1\n", "version: 2\nprevious: 'blake2b:00'\n", 3,
     "previous:", "64 hexadecimal digits"},
    {"version: 1\n", "verison: 1\n", 2, "verison:", "did you mean `version`?"},
    {"expires: 2027-12-01\n", "", 1, "", "needs the key `expires`"},
    {"expires: 2027-12-01", "expires: never", 4, "expires:", "a date such as"},
    {"expires: 2027-12-01", "expires: 2026-12-01", 4, "expires:", "after"},
    {"need: 1", "need: 2", 5, "signers.need:", "name more under keys"},
    {"[dpo]", "[eng]", 5, "signers.keys[0]:", "--signer eng=FILE.pub"},
    {"[dpo]", "[dpo, dpo]", 5, "signers.keys[1]:", "stands twice"},
    {"[dpo]", "dpo", 5, "signers.keys:", "must be a list"},
    {"blake2b, epoch: none", "oprf, epoch: none", 6,
     "keys.visitor.kind:", "one of: blake2b"},
    {"epoch: none", "epoch: P1D", 6,
     "keys.visitor:", "add `destroy_after: P2D`"},
    {"epoch: none", "epoch: daily", 6, "keys.visitor.epoch:", "such as P1D"},
    {"epoch: none", "epoch: PT1M, destroy_after: P1D", 6,
     "keys.visitor.epoch:", "from PT1H"},
    {"epoch: none", "epoch: P1D, destroy_after: P65D", 6,
     "keys.visitor.destroy_after:", "over 64 epochs"},
    {"epoch: none", "epoch: P1D, destroy_after: PT1M", 6,
     "keys.visitor.destroy_after:", ""},
    {"epoch: none", "epoch: none, destroy_after: P1D", 6,
     "keys.visitor.destroy_after:", "goes with an epoch"},
    {"legitimate_interest", "legitimate_intrest", 8,
     "purposes.measure.basis:", "did you mean `legitimate_interest`?"},
    {"basis: consent, consent: given", "basis: consent", 9,
     "purposes.personalise:", "write `consent: given`"},
    {"consent: given", "consent: {own: reco, tcf: [5]}", 9,
     "purposes.personalise.consent:", "not a mapping"},
    {"consent: none, ret", "recipients: [x], ret", 10,
     "purposes.orders.recipients:", "is not a key here"},
    {"retention: P5Y", "retention: 5 years", 10,
     "purposes.orders.retention:", "a duration such as"},
    {"events:\n", "release: {min_k: 20}\nevents:\n", 11,
     "release:", "is not a key here"},
    /* events */
    {"  Product Viewed:\n", "  \"Product/Viewed\":\n", 13, "Product/Viewed",
     "rename it"},
    {"    purpose: measure\n", "    purpose: mesure\n", 13,
     "events.Product Viewed.purpose:", "did you mean `measure`?"},
    {"    purpose: measure\n", "", 13,
     "events.Product Viewed:", "needs `purpose: NAME`"},
    {"role: view", "role: vew", 27, "events.Thing.role:", "mean `view`?"},
    {"    role: view\n", "    role: {action: drop, from: userId}\n", 27,
     "events.Thing.role:", "call the field otherwise"},
    /* fields */
    {"role: time, action: time", "action: time", 14, "Product Viewed.at",
     "go together"},
    {"role: time, action: time, round: PT1M", "role: time, action: session", 14,
     "at.role:", "go together"},
    {"round: PT1M", "rond: PT1M", 14, "at.rond:", "did you mean `round`?"},
    {"round: PT1M", "bits: 64", 14, "at.bits:", "it takes: round"},
    {"role: time", "role: tiem", 14, "at.role:", "did you mean `time`?"},
    {"action: pseudonym", "action: hash", 15, "visitor.action:",
     "one of: drop, keep, pseudonym, session, time, bucket, ip, ua_family, "
     "url, tokenize, randomize"},
    {"from: userId, ", "", 15, "visitor:", "add `from:`"},
    {"from: userId", "from: userid", 15, "visitor.from:", "mean `userId`?"},
    {"properties.price", "price", 18,
     "price.from:", "did you mean `properties.price`?"},
    {"properties.price", "properties..price", 18,
     "price.from:", "is not a path"},
    {"key: visitor, ", "", 15, "visitor:", "add `key:`"},
    {"key: visitor", "key: vistor", 15, "visitor.key:", "mean `visitor`?"},
    {"purpose: personalise", "purpose: measure", 15,
     "visitor:", "stable ids need a consent purpose"},
    {"role: subject", "role: day", 15,
     "visitor.role:", "`epoch: P1D, destroy_after: P2D`"},
    {"bits: 64", "bits: 96", 24, "order.bits:", "64 or 128"},
    {"role: session, action: session", "action: session", 16,
     "visit:", "go together"},
    {"[A-Z0-9]{1,32}", "[A-Z0-9{1,32}", 17, "item.pattern:", "character"},
    {"required: true", "required: maybe", 17,
     "item.required:", "true or false"},
    {"required: true", "max: 257", 17, "item.max:", "from 1 to 256"},
    {"required: true", "type: id", 17, "item.type:", "made by the action"},
    {"required: true", "type: int", 17, "item.pattern:", "text only"},
    {"required: true", "rare: {k: 20}", 17, "item.rare:", "is not a key here"},
    {"pattern: '[A-Z0-9]{1,32}', required: true", "type: money", 17,
     "item.role:", "does not take the type `money`"},
    {"role: item", "role: session", 17, "item.role:", "go together"},
    {"edges: [0, 9.99, 100]", "edges: [0, 100, 9.99]", 18,
     "price.edges[2]:", "sort them"},
    {"edges: [0, 9.99, 100]", "edges: []", 18, "price.edges:", "is empty"},
    {"edges: [0, 9.99, 100]", "edges: [x]", 18,
     "price.edges[0]:", "an amount such as"},
    {", edges: [0, 9.99, 100]", "", 18, "price:", "add `edges:"},
    {"edges: [0, 9.99, 100]", "type: text, edges: [1]", 18,
     "price.type:", "int or money"},
    {"action: drop", "action: drop, role: item", 19,
     "agent.role:", "does not go with the action drop"},
    {"role: position", "role: item, type: text", 20,
     "position.role:", "belongs to the field `item`"},
    {"action: drop", "action: ip, v4: 25", 19, "agent.v4:", "from 1 to 24"},
    {"action: drop", "action: ip, v6: 64", 19, "agent.v6:", "from 1 to 56"},
    {"action: drop", "action: ip, keep: [path]", 19,
     "agent.keep:", "it takes: from v4 v6"},
    {"action: drop", "action: ua_family, max: 9", 19,
     "agent.max:", "it takes: from"},
    {"action: drop", "action: redact", 19, "agent:", "add `detect: all`"},
    {"action: drop", "action: redact, detect: []", 19,
     "agent.detect:", "is empty"},
    {"action: drop", "action: redact, detect: most", 19,
     "agent.detect:", "add `detect: all`"},
    {"action: drop", "action: redact, detect: [email, phones]", 19,
     "agent.detect[1]:", "did you mean `phone`?"},
    {"action: drop", "action: redact, detect: [ip, ip]", 19,
     "agent.detect[1]:", "twice"},
    {"action: drop", "action: redact, detect: all, pattern: a", 19,
     "agent.pattern:", "it takes: from detect max"},
    {"action: drop", "action: url", 19, "agent:", "add `keep: [path]`"},
    {"action: drop", "action: url, keep: path", 19,
     "agent.keep:", "add `keep: [path]`"},
    {"action: drop", "action: url, keep: []", 19, "agent.keep:", "is empty"},
    {"action: drop", "action: url, keep: [query]", 19,
     "agent.keep[0]:", "never kept"},
    {"action: drop", "action: url, keep: [path, path]", 19,
     "agent.keep[1]:", "twice"},
    {"action: drop", "action: url, keep: [scheme, path]", 19,
     "agent.keep:", "needs the host"},
    {"action: drop", "action: tokenize, role: subject", 19,
     "agent.role:", "needs the action pseudonym"},
    {"action: drop", "action: randomize, epsilon: 1", 19,
     "agent:", "add `values: [yes, no]`"},
    {"action: drop", "action: randomize, values: [a], epsilon: 1", 19,
     "agent.values:", "fewer than two"},
    {"action: drop", "action: randomize, values: [a, a], epsilon: 1", 19,
     "agent.values[1]:", "twice"},
    {"action: drop", "action: randomize, values: [a, ''], epsilon: 1", 19,
     "agent.values[1]:", "1 to 64 bytes"},
    {"action: drop", "action: randomize, values: [a, b]", 19,
     "agent:", "add `epsilon: 2.0`"},
    {"action: drop", "action: randomize, values: [a, b], epsilon: 0.001", 19,
     "agent.epsilon:", "from 0.01 to 10"},
    {"action: drop", "action: randomize, values: [a, b], epsilon: 11", 19,
     "agent.epsilon:", "from 0.01 to 10"},
    {"  Thing:\n",
     "  Thing:\n    q: {from: properties.q, action: randomize, "
     "values: [a, b], epsilon: 1}\n",
     27, "Thing.q:", "memoize: false"},
    {"    position: {", "    price: {", 20, "", "twice"},
};

static void refuses_with_line_path_and_mend(void **state)
{
    int failures = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
        const struct bad *b = &bads[i];
        struct compiled *c = NULL;
        char text[4096], place[32];
        struct why why = {""};
        enum sotto_err err;

        assert_non_null(officer_with(text, sizeof(text), good, b->from, b->to));
        err = compile_text(&c, "p.yaml", span_text(text), &dpo, &why);
        compiled_free(c);
        snprintf(place, sizeof(place), "p.yaml:%d:", b->line);
        if (err == SOTTO_EINVAL &&
            strncmp(why.text, place, strlen(place)) == 0 &&
            strstr(why.text, b->path) && strstr(why.text, b->mend))
            continue;
        print_error("row %zu, %s -> %s\n  got %s: %s\n  wanted %s %s %s\n", i,
                    b->from, b->to, err_name(err), why.text, place, b->path,
                    b->mend);
        failures++;
    }
    assert_int_equal(failures, 0);
}

static void refuses_two_signers_with_one_key(void **state)
{
    struct signer_keys both = {2, {dpo.keys[0], dpo.keys[0]}};
    struct compiled *c = NULL;
    char text[4096];
    struct why why;

    (void)state;
    memcpy(both.keys[1].name, "eng", 4);
    assert_non_null(
        officer_with(text, sizeof(text), good, "[dpo]", "[dpo, eng]"));
    assert_int_equal(compile_text(&c, "p.yaml", span_text(text), &both, &why),
                     SOTTO_EINVAL);
    assert_non_null(strstr(why.text, "a key of their own"));
    assert_null(c);
}

static void refuses_one_thing_too_many(void **state)
{
    static const struct {
        const char *format;
        int most;
        const char *words;
    } rows[] = {
        {"    f%d: {from: properties.a%d, action: keep}\n", POLICY_FIELDS_MAX,
         "one field too many"},
        {"    f%d: {from: properties.a%d, action: pseudonym, key: order}\n",
         POLICY_IDS_MAX, "one pseudonym too many"},
        {"  E%d:\n    f%d: {from: properties.a, action: keep}\n"
         "    purpose: measure\n",
         POLICY_EVENTS_MAX, "one event too many"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (int extra = 0; extra < 2; extra++) {
            bool events = rows[i].format[2] == 'E';
            size_t size = 64 * 1024;
            char *text = malloc(size);
            struct compiled *c = NULL;
            struct why why = {""};
            size_t used;
            enum sotto_err err;

            assert_non_null(text);
            used =
                (size_t)snprintf(text, size, "%s%s", OFFICER_HEAD,
                                 events ? "" : "  E:\n    purpose: measure\n");
            for (int n = 0; n < rows[i].most + extra; n++) {
                char line[200];
                const char *at = rows[i].format;
                size_t l = 0;

                for (; *at; at++)
                    if (at[0] == '%' && at[1] == 'd') {
                        l += (size_t)snprintf(line + l, sizeof(line) - l, "%d",
                                              n);
                        at++;
                    } else {
                        line[l++] = *at;
                    }
                memcpy(text + used, line, l);
                used += l;
            }
            err = compile_text(&c, "p.yaml", span_of(text, used), &dpo, &why);
            if (extra == 0 && err)
                fail_msg("%s", why.text);
            assert_int_equal(err, extra ? SOTTO_EINVAL : SOTTO_OK);
            if (extra)
                assert_non_null(strstr(why.text, rows[i].words));
            compiled_free(c);
            free(text);
        }
}

static void unknown_signers_are_enough_to_look_at_it(void **state)
{
    const struct signer_keys unknown = {.count = -1};
    struct compiled *c = NULL;
    struct why why;

    (void)state;
    assert_int_equal(
        compile_text(&c, "p.yaml", span_text(good), &unknown, &why), SOTTO_OK);
    compiled_free(c);
}

/* Any line taken away, any letter changed: an answer with a place. */
static void survives_every_cut(void **state)
{
    char text[sizeof(good)];

    (void)state;
    for (size_t i = 0; i < sizeof(good) - 1; i++) {
        struct compiled *c = NULL;
        struct why why = {""};

        memcpy(text, good, sizeof(good));
        text[i] = text[i] == 'x' ? '{' : 'x';
        if (compile_text(&c, "p.yaml", span_text(text), &dpo, &why))
            assert_int_equal(strncmp(why.text, "p.yaml:", 7), 0);
        compiled_free(c);
        c = NULL;
        if (compile_text(&c, "p.yaml", span_of(good, i), &dpo, &why))
            assert_int_equal(strncmp(why.text, "p.yaml:", 7), 0);
        compiled_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_policy_becomes_what_it_says),
        cmocka_unit_test(makes_what_the_actions_ask_for),
        cmocka_unit_test(keys_with_epochs_have_an_end),
        cmocka_unit_test(the_gate_is_stated_or_the_times),
        cmocka_unit_test(remembers_where_things_stand),
        cmocka_unit_test(the_same_text_gives_the_same_bytes),
        cmocka_unit_test(the_second_version_names_the_first),
        cmocka_unit_test(refuses_with_line_path_and_mend),
        cmocka_unit_test(refuses_two_signers_with_one_key),
        cmocka_unit_test(refuses_one_thing_too_many),
        cmocka_unit_test(unknown_signers_are_enough_to_look_at_it),
        cmocka_unit_test(survives_every_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
