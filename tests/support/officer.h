/* Policies in YAML for the tests of the officer's tool. */
#ifndef SOTTO_TESTS_OFFICER_H
#define SOTTO_TESTS_OFFICER_H

#include <stdio.h>
#include <string.h>

#include "agent/policy_tool/compile.h"

/* Everything before the events; lines 1 to 11. */
#define OFFICER_HEAD                                                           \
    "policy: acme\n"                                                           \
    "version: 1\n"                                                             \
    "effective: 2026-12-01\n"                                                  \
    "expires: 2027-12-01\n"                                                    \
    "signers: {need: 1, keys: [dpo]}\n"                                        \
    "keys: {visitor: {kind: blake2b, epoch: none}, order: {kind: blake2b, "    \
    "epoch: none}}\n"                                                          \
    "purposes:\n"                                                              \
    "  measure: {basis: legitimate_interest, assessment: LIA-1, "              \
    "retention: P13M}\n"                                                       \
    "  personalise: {basis: consent, consent: given, retention: P180D}\n"      \
    "  orders: {basis: contract, consent: none, retention: P5Y}\n"             \
    "events:\n"

#define OFFICER_AT "    at: {role: time, action: time, round: PT1M}\n"

/* The text with the first `from` in it replaced. */
static inline const char *officer_with(char *out, size_t size, const char *text,
                                       const char *from, const char *to)
{
    const char *at = strstr(text, from);

    if (!at)
        return NULL;
    snprintf(out, size, "%.*s%s%s", (int)(at - text), text, to,
             at + strlen(from));
    return out;
}

#endif
