/* signed_policy_load says yes or no; an officer wants to know who is missing,
 * also of a version that nobody has signed yet. */
#include "agent/policy_tool/approval.h"

static enum approval_state state_of(const struct policy_signer *signer,
                                    const struct signed_policy *s)
{
    enum sotto_err err = signed_by(signer, s);

    if (err == SOTTO_ECRYPTO)
        return APPROVAL_WRONG;
    return err ? APPROVAL_MISSING : APPROVAL_GIVEN;
}

enum sotto_err approval_read(struct approval *out, const struct signers *rule,
                             const char *file, struct why *why)
{
    struct signed_policy s;
    struct buf container;
    enum sotto_err err;

    memset(out, 0, sizeof(*out));
    out->needed = rule->needed;
    buf_init(&container, SIGNED_POLICY_MAX);
    err = signed_policy_read_files(&container, file, why);
    if (!err) {
        err = signed_policy_decode(&s, span_of(container.data, container.size));
        if (err)
            why_say(why, err, "%s: its signatures cannot be read: %s", file,
                    err_text(err));
    }
    for (int i = 0; !err && i < rule->count; i++) {
        out->states[i] = state_of(&rule->keys[i], &s);
        out->given += out->states[i] == APPROVAL_GIVEN &&
                      !signers_counted_before(rule, i);
        out->wrong += out->states[i] == APPROVAL_WRONG;
    }
    buf_fini(&container);
    return err;
}

bool approval_holds(const struct approval *a)
{
    return a->wrong == 0 && a->needed > 0 && a->given >= a->needed;
}
