/* NDJSON in Segment form: one call a line, as a raw event.
 *
 * Fields are named by dotted paths ("userId", "properties.price",
 * "context.page.url"); arrays and nulls make no field. A track call is named
 * by its "event"; page, screen, identify, group and alias are the events
 * "Page", "Screen", "Identify", "Group" and "Alias". The time is "timestamp",
 * else "originalTimestamp": ISO 8601, or a number of milliseconds. Consent is
 * context.consent.categoryPreferences, purpose by purpose of the policy; other
 * categories are passed over. JSON is read as strictly as jsonline.h says.
 *
 * Specs: https://segment.com/docs/connections/spec/common/ and
 * https://segment.com/docs/privacy/consent-management/. */
#ifndef SOTTO_AGENT_INTAKE_NDJSON_H
#define SOTTO_AGENT_INTAKE_NDJSON_H

#include "agent/intake_window.h"
#include "policy/anonymize.h"

#define NDJSON_DEPTH_MAX 8 /* objects inside objects */

struct ndjson_row {
    struct raw_event raw; /* time_ms WHEN_NONE: the line gives none */
    uint32_t consent_known, consent_granted; /* by index of the policy */
    bool time_wrong;   /* it gives one that cannot be read */
    const char *wrong; /* NULL, or what is wrong in a few words */
    struct span line;  /* the bytes; of a line over INTAKE_ROW_MAX, so many */
    uint64_t number;   /* from 1, blank lines not counted */
    uint64_t line_number;
};

struct ndjson; /* a reader */

/* source and policy stay the caller's and outlive the reader; policy NULL: no
 * consent is known. source NULL: for ndjson_parse alone. SOTTO_ENOMEM. */
enum sotto_err ndjson_open(struct ndjson **out, struct intake_source *source,
                           const struct policy *policy, struct why *why);
void ndjson_close(struct ndjson *n); /* accepts NULL */

/* The next row, NULL at the end; valid until the next call. The event is made
 * by ndjson_parse, so that rows that are only counted cost nothing. */
enum sotto_err ndjson_next(struct ndjson_row **row, struct ndjson *n,
                           struct why *why);

/* Parses row->line into the row's other members; sets wrong on a line that is
 * no Segment call, on duplicate keys and over a limit. */
void ndjson_parse(struct ndjson *n, struct ndjson_row *row);

#endif
