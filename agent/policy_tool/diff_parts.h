/* Between diff.c (the head of a policy and its events) and diff_field.c (a
 * field); nobody else includes this. */
#ifndef SOTTO_POLICY_TOOL_DIFF_PARTS_H
#define SOTTO_POLICY_TOOL_DIFF_PARTS_H

#include "agent/policy_tool/diff.h"

struct differ {
    struct diff *out;
    const struct policy *old, *next;
    struct policy *scratch_old, *scratch_next; /* see diff_rest */
};

__attribute__((format(printf, 4, 5))) void diff_say(struct differ *d,
                                                    enum diff_risk risk,
                                                    const char *where,
                                                    const char *format, ...);

/* Whether the scratch policies, in which everything that a rule has looked at
 * was made equal, still differ when they are encoded. */
bool diff_rest(const struct differ *d);

/* A field that both have under one name in one event. */
void diff_field(struct differ *d, const char *event,
                const struct policy_field *old,
                const struct policy_field *next);
void diff_field_new(struct differ *d, const char *event,
                    const struct policy_field *f);
void diff_field_gone(struct differ *d, const char *event,
                     const struct policy_field *f);

#endif
