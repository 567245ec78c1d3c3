/* Times, durations and money as people write them. Exact: no floating point
 * touches a time or an amount. */
#ifndef SOTTO_BASE_WHEN_H
#define SOTTO_BASE_WHEN_H

#include "base/buf.h"

#define WHEN_NONE INT64_MIN /* no time */
#define DAY_MS INT64_C(86400000)
#define MONEY_ONE INT64_C(1000000) /* an amount of 1, in millionths */

/* Unix milliseconds from "2026-12-01", "2026-12-01 08:26:00",
 * "2026-12-01T08:26:00.123Z" or with an offset "+01:00"; no zone means UTC.
 * Years 1970 to 9999. SOTTO_EINVAL. */
enum sotto_err when_parse(int64_t *ms, struct span text);

/* "2026-12-01T08:26:00.123Z" (no fraction when it is zero); out holds 32. */
void when_format(char out[32], int64_t ms);

/* Milliseconds from an ISO 8601 duration of days and time (P30D, PT15M,
 * PT1H30M, P1W) or of months and years counted as 30 and 365 days (P13M,
 * P1Y). SOTTO_EINVAL. */
enum sotto_err duration_parse(int64_t *ms, struct span text);
void duration_format(char out[32], int64_t ms);

/* Millionths from a decimal: "-2.55" -> -2550000. At most six digits after
 * the point and no exponent; SOTTO_EINVAL, SOTTO_ETOOBIG on overflow. */
enum sotto_err money_parse(int64_t *millionths, struct span text);
/* Rounded half away from zero to the penny, with digit groups:
 * 8911407904000 -> "8,911,407.90"; out holds 32. */
void money_format(char out[32], int64_t millionths);
/* Exact, without groups and trailing zeros: "8911407.904". */
void money_exact(char out[32], int64_t millionths);

/* A whole number in decimal, optional sign; SOTTO_EINVAL, SOTTO_ETOOBIG. */
enum sotto_err int_parse(int64_t *value, struct span text);

#endif
