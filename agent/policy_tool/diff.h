/* What changes between two versions of a policy, and whether it makes the risk
 * for people go up.
 *
 * Parts are paired by name: signers, keys, purposes, events, fields. A change
 * is `down` only if what leaves afterwards is no more than before; whatever
 * cannot be compared (two patterns, another path, another purpose) is `up` and
 * says so. A difference that no rule knows is found by encoding both parts, and
 * is `up` too: nothing passes in silence. */
#ifndef SOTTO_POLICY_TOOL_DIFF_H
#define SOTTO_POLICY_TOOL_DIFF_H

#include "policy/policy.h"

enum diff_risk { DIFF_SAME, DIFF_DOWN, DIFF_UP, DIFF_RISK_COUNT };
const char *diff_risk_name(enum diff_risk risk); /* "up" */

struct diff_change {
    enum diff_risk risk;
    char where[2 * NAME_MAX_SIZE + 32]; /* "Product Viewed.price.edges" */
    char text[320];
};

#define DIFF_CHANGES_MAX 1024
struct diff {
    uint32_t count; /* those over DIFF_CHANGES_MAX are only counted */
    uint32_t by_risk[DIFF_RISK_COUNT];
    struct diff_change changes[DIFF_CHANGES_MAX];
};

/* In the order of a policy's parts. Signers whose keys are not known yet (see
 * struct signer_keys) are compared by name. SOTTO_ENOMEM: out says nothing. */
enum sotto_err diff_run(struct diff *out, const struct policy *old,
                        const struct policy *next);

#endif
