/* The officer's YAML -> struct policy.
 *
 * The schema tables in compile.c are the documentation of the format. Every
 * error names file, line, column, key path and the mend. What is accepted has
 * been encoded, loaded and found equal, so an agent will take it. */
#ifndef SOTTO_POLICY_TOOL_COMPILE_H
#define SOTTO_POLICY_TOOL_COMPILE_H

#include "config/yaml.h"
#include "policy/minisign.h"
#include "policy/policy.h"

struct place { /* in the YAML, from 1; 0: it is not written there */
    int line, column;
};

/* A policy, and where its parts stand for those who comment on it (lint). */
struct compiled {
    struct policy *policy;
    struct place top, expires, signers, session_timeout, spool;
    struct place purposes[POLICY_PURPOSES_MAX];
    /* The document that weighs a legitimate interest, by purpose, or "". It is
     * the officer's: agents have no use for it, so it is not compiled. */
    char assessments[POLICY_PURPOSES_MAX][NAME_MAX_SIZE + 1];
    struct place keys[POLICY_KEYS_MAX];
    struct place events[POLICY_EVENTS_MAX];
    struct place fields[POLICY_EVENTS_MAX][POLICY_FIELDS_MAX];
};

/* The public keys of the names under `signers`. */
struct signer_key {
    char name[NAME_MAX_SIZE + 1];
    struct minisign_pk pk;
};
struct signer_keys {
    int count; /* -1: not known yet. The policy can be linted and tried, but
                  its hash is not the one that will be signed */
    struct signer_key keys[POLICY_SIGNERS_MAX];
};

/* SOTTO_EINVAL and those of yaml_open_file. The caller frees *out. */
enum sotto_err compile_file(struct compiled **out, const char *file,
                            const struct signer_keys *signers, struct why *why);
enum sotto_err compile_text(struct compiled **out, const char *file,
                            struct span text, const struct signer_keys *signers,
                            struct why *why);
void compiled_free(struct compiled *c); /* accepts NULL */

/* "legitimate_interest" */
const char *basis_name(enum basis basis);

#endif
