/* Starting policies, commented, for a site, an app or a kiosk: each compiles,
 * and lint has nothing to say of it. */
#ifndef SOTTO_POLICY_TOOL_INIT_H
#define SOTTO_POLICY_TOOL_INIT_H

#include "base/when.h"

/* "site", "app", "kiosk", NULL */
extern const char *const init_kinds[];

/* Appends the YAML. It holds from the day of today_ms (Unix milliseconds) on,
 * for a year. SOTTO_ENOTFOUND for a kind that is none, SOTTO_EINVAL for a
 * tenant that is no name, SOTTO_ENOMEM. */
enum sotto_err init_write(struct buf *out, const char *kind, const char *tenant,
                          int64_t today_ms);

#endif
