/* sotto-policy diff: two versions side by side, and who must sign the new one.
 */
#include "agent/policy_tool/verbs.h"

#include "agent/policy_tool/approval.h"
#include "agent/policy_tool/diff.h"

#include <stdio.h>
#include <stdlib.h>

static bool json;

struct option_row diff_options[] = {
    {"json", 0, OPTION_FLAG, &json, NULL, "print JSON", 0, 0, false},
    {NULL, 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, false}};

static const char *const state_names[] = {[APPROVAL_MISSING] = "missing",
                                          [APPROVAL_GIVEN] = "given",
                                          [APPROVAL_WRONG] = "wrong"};

/* What the two files are, and what was found. */
struct compared {
    const char *file; /* of the new version */
    struct policy *old, *next;
    struct diff *diff;
    struct signers rule; /* of the old version */
    struct approval approval;
    /* Why the signatures cannot be looked at; NULL: they were. */
    const char *unsigned_because;
};

static bool rose(const struct compared *c)
{
    return c->diff->by_risk[DIFF_UP] > 0;
}

static int code_of(const struct compared *c)
{
    if (c->approval.wrong > 0)
        return EXIT_INTEGRITY;
    if (!rose(c))
        return EXIT_GOOD;
    return approval_holds(&c->approval) ? EXIT_FINDINGS : EXIT_RISK;
}

static const char *verdict_of(const struct compared *c)
{
    switch (code_of(c)) {
    case EXIT_GOOD:
        return "the risk did not go up";
    case EXIT_FINDINGS:
        return "the risk went up, and those who must have signed";
    case EXIT_RISK:
        return "the risk went up and the signatures that this needs are not "
               "there; agents will refuse it";
    default:
        return "a signature is wrong: the file changed after it was signed; "
               "sign it again";
    }
}

/* Text goes to the user's own terminal; names in a policy are plain. */
static void changes_print(const struct diff *d)
{
    uint32_t listed = d->count < DIFF_CHANGES_MAX ? d->count : DIFF_CHANGES_MAX;

    for (uint32_t i = 0; i < listed; i++)
        printf("%-4s  %s: %s\n", diff_risk_name(d->changes[i].risk),
               d->changes[i].where, d->changes[i].text);
    if (d->count > listed)
        printf("and %u more\n", d->count - listed);
    printf("%u changes: %u up, %u down, %u the same\n", d->count,
           d->by_risk[DIFF_UP], d->by_risk[DIFF_DOWN], d->by_risk[DIFF_SAME]);
}

static int compared_print(const struct compared *c)
{
    changes_print(c->diff);
    printf("version %llu asks for %d of %d signatures:",
           (unsigned long long)c->old->version, (int)c->rule.needed,
           (int)c->rule.count);
    for (int i = 0; i < c->rule.count; i++)
        printf("%s `%s` %s", i ? "," : "", c->rule.keys[i].name,
               state_names[c->approval.states[i]]);
    putchar('\n');
    if (c->unsigned_because)
        printf("%s: %s\n", c->file, c->unsigned_because);
    printf("%s\n", verdict_of(c));
    return code_of(c);
}

static int compared_json(const struct compared *c)
{
    const struct diff *d = c->diff;
    uint32_t listed = d->count < DIFF_CHANGES_MAX ? d->count : DIFF_CHANGES_MAX;
    json_t *changes = json_array(), *signers = json_array();

    for (uint32_t i = 0; i < listed; i++)
        json_array_append_new(changes,
                              json_pack("{s:s, s:s, s:s}", "risk",
                                        diff_risk_name(d->changes[i].risk),
                                        "where", d->changes[i].where, "text",
                                        d->changes[i].text));
    for (int i = 0; i < c->rule.count; i++)
        json_array_append_new(signers,
                              json_pack("{s:s, s:s}", "name",
                                        c->rule.keys[i].name, "signature",
                                        state_names[c->approval.states[i]]));
    return verb_json(
        json_pack("{s:i, s:i, s:i, s:i, s:o, s:i, s:o, s:b, s:s}", "count",
                  (int)d->count, "up", (int)d->by_risk[DIFF_UP], "down",
                  (int)d->by_risk[DIFF_DOWN], "same",
                  (int)d->by_risk[DIFF_SAME], "changes", changes, "need",
                  (int)c->rule.needed, "signers", signers, "approved",
                  (int)approval_holds(&c->approval), "verdict", verdict_of(c)),
        code_of(c));
}

/* Signatures are over compiled bytes, by the keys that a compiled version
 * names: a draft has neither. */
static enum sotto_err compared_approve(struct compared *c, const char *old_file,
                                       struct why *why)
{
    bool old_text, text;
    enum sotto_err err = verb_is_text(&old_text, old_file, why);

    if (!err)
        err = verb_is_text(&text, c->file, why);
    if (err)
        return err;
    c->unsigned_because =
        text       ? "is a draft, which cannot be signed; build it first"
        : old_text ? "the version before is a draft, which names no keys; "
                     "give its compiled form"
                   : NULL;
    c->approval.needed = c->rule.needed;
    return c->unsigned_because
               ? SOTTO_OK
               : approval_read(&c->approval, &c->rule, c->file, why);
}

int diff_run_verb(int argc, const char *const *argv)
{
    struct compared c = {.file = argv[1]};
    struct why why = {"no memory"};
    enum sotto_err err = verb_policy(&c.old, argv[0], &why);
    int code;

    (void)argc;
    if (!err)
        err = verb_policy(&c.next, argv[1], &why);
    if (!err) {
        c.diff = malloc(sizeof(*c.diff));
        err = c.diff ? diff_run(c.diff, c.old, c.next) : SOTTO_ENOMEM;
        if (err)
            why_say(&why, err, "no memory");
    }
    if (!err) {
        signers_of(&c.rule, c.old);
        err = compared_approve(&c, argv[0], &why);
    }
    if (err)
        code = verb_fail(err, &why);
    else
        code = json ? compared_json(&c) : compared_print(&c);
    free(c.diff);
    policy_free(c.old);
    policy_free(c.next);
    return code;
}
