/* Between lint.c (head, keys, purposes), lint_event.c and lint_field.c; nobody
 * else includes this. */
#ifndef SOTTO_POLICY_TOOL_LINT_PARTS_H
#define SOTTO_POLICY_TOOL_LINT_PARTS_H

#include "agent/policy_tool/lint.h"

__attribute__((format(printf, 5, 6))) void
lint_say(struct lint *l, struct place place, const char *rule,
         const char *where, const char *format, ...);

/* All rules on one event, or one field of it, by its number. */
void lint_event(struct lint *l, const struct compiled *c, int event);
void lint_field(struct lint *l, const struct compiled *c, int event, int field);

#endif
