/* Words for what a policy says in numbers: shared by diff, explain and record.
 * Durations are milliseconds. Pure; any thread. */
#ifndef SOTTO_POLICY_TOOL_WORDS_H
#define SOTTO_POLICY_TOOL_WORDS_H

#include "policy/policy.h"

#define WORDS_SIZE 48

/* "13 months" is not said: a month is 30 days here, and people count. So
 * "390 days", "15 minutes", "1 hour"; 0 is "0 ms". */
const char *words_duration(char out[WORDS_SIZE], int64_t ms);

/* How long a purpose keeps its data: "390 days after the event", or "for good,
 * for no retention is stated". */
const char *words_retention(char out[2 * WORDS_SIZE], int64_t retention_ms);

/* How long a key's pseudonyms stay the same: "for ever", "within 1 day". */
const char *words_epoch(char out[WORDS_SIZE], int64_t epoch_ms);

/* "legitimate interest"; the article of the GDPR that names it. */
const char *words_basis(enum basis basis);
const char *words_article(enum basis basis);

/* "2026-12-01" */
const char *words_date(char out[32], int64_t ms);

/* Appends to a text that ends with no zero byte. SOTTO_ENOMEM, SOTTO_ETOOBIG:
 * the text is unchanged. One call adds at most WORDS_LINE_MAX bytes; what is
 * over is cut at a character. */
#define WORDS_LINE_MAX 1024
__attribute__((format(printf, 2, 3))) enum sotto_err
words_add(struct buf *out, const char *format, ...);

#endif
