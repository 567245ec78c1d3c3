/* What is risky in a policy that compiles: each finding with its place, what
 * it is, and the mend. Rules are one row each (lint_event.c, lint_field.c). */
#ifndef SOTTO_POLICY_TOOL_LINT_H
#define SOTTO_POLICY_TOOL_LINT_H

#include "agent/policy_tool/compile.h"

#define LINT_FINDINGS_MAX 256

struct lint_finding {
    struct place place;
    const char *rule;                   /* "free-text" */
    char where[2 * NAME_MAX_SIZE + 16]; /* "Product Viewed.name" */
    char text[280]; /* what is wrong, then "; " and what to do */
};

struct lint {
    uint32_t count; /* those over LINT_FINDINGS_MAX are only counted */
    struct lint_finding findings[LINT_FINDINGS_MAX];
};

/* In the order of the file's parts: purposes, keys, then fields. */
void lint_run(struct lint *out, const struct compiled *c);

#endif
