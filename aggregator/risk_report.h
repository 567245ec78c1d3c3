/* What risk found, as the JSON that both of its inputs answer with, and as a
 * table for people. */
#ifndef AGGREGATOR_RISK_REPORT_H
#define AGGREGATOR_RISK_REPORT_H

#include "aggregator/risk_data.h"

#include <jansson.h>

/* Measures the chosen columns of d: {"source", "rows", "quasi_identifiers",
 * "classes", "unique", "k", "below_k", "smallest", "largest", "sensitive":
 * {"column", "distance", "distinct", "entropy", "closeness"} or null}. k is at
 * least 1. Errors of risk_choose and risk_classes; why says them. */
enum sotto_err risk_report(json_t **out, struct risk_data *d,
                           const struct risk_choice *choice, uint32_t k,
                           const char *source, struct why *why);
/* [{"points", "eligible", "asked", "unique", "share", "low", "high"}, …] */
json_t *risk_report_unicity(const struct risk_unicity *u, uint32_t count);

void risk_report_print(const json_t *report);

#endif
