/* Whether the signatures beside a new version are those that the version
 * before asks for. */
#ifndef SOTTO_POLICY_TOOL_APPROVAL_H
#define SOTTO_POLICY_TOOL_APPROVAL_H

#include "policy/signed.h"

enum approval_state {
    APPROVAL_MISSING, /* no signature of this signer beside the file */
    APPROVAL_GIVEN,
    APPROVAL_WRONG /* one with its key id that does not hold */
};

struct approval {
    int needed, given, wrong;
    enum approval_state states[POLICY_SIGNERS_MAX]; /* by signer of the rule */
};

/* Counts the signatures FILE.*.minisig by the signers of the rule; two names
 * of one key are one signer. SOTTO_EIO and others of
 * signed_policy_read_files, with why. */
enum sotto_err approval_read(struct approval *out, const struct signers *rule,
                             const char *file, struct why *why);

/* At least as many as needed, and none wrong. */
bool approval_holds(const struct approval *a);

#endif
