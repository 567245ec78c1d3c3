/* The verbs of sotto-policy, and what they share. Programs only: options are
 * statics beside their verb. */
#ifndef SOTTO_POLICY_TOOL_VERBS_H
#define SOTTO_POLICY_TOOL_VERBS_H

#include "agent/policy_tool/compile.h"
#include "base/cli.h"

#include <jansson.h>

/* Prints the sentence to standard error; returns the exit code of err. */
int verb_fail(enum sotto_err err, const struct why *why);

/* Prints and frees j; returns code. */
int verb_json(json_t *j, int code);

/* Writes "blake2b:HEX". */
#define HASH_TEXT_SIZE (8 + 2 * HASH_SIZE + 1)
void verb_hash(char out[HASH_TEXT_SIZE], const uint8_t hash[HASH_SIZE]);

/* A policy from its YAML or its compiled form, whichever file is. */
enum sotto_err verb_policy(struct policy **out, const char *file,
                           struct why *why);
/* The same with what only the YAML says: places and assessments, which are
 * empty of a compiled form. */
enum sotto_err verb_compiled(struct compiled **out, const char *file,
                             struct why *why);
/* Whether the file is a text, not the compiled form. */
enum sotto_err verb_is_text(bool *text, const char *file, struct why *why);

extern struct option_row keygen_options[], build_options[], sign_options[],
    verify_options[], bundle_options[]; /* verbs_sign.c */
int keygen_run(int argc, const char *const *argv);
int build_run(int argc, const char *const *argv);
int sign_run(int argc, const char *const *argv);
int verify_run(int argc, const char *const *argv);
int bundle_run(int argc, const char *const *argv);

extern struct option_row lint_options[], dryrun_options[],
    subject_options[]; /* verbs_desk.c */
int lint_run_verb(int argc, const char *const *argv);
int dryrun_run_verb(int argc, const char *const *argv);
int subject_run(int argc, const char *const *argv);

extern struct option_row diff_options[]; /* verbs_diff.c */
int diff_run_verb(int argc, const char *const *argv);

extern struct option_row explain_options[]; /* verbs_explain.c */
int explain_run(int argc, const char *const *argv);

extern struct option_row init_options[], record_options[]; /* verbs_write.c */
int init_run(int argc, const char *const *argv);
int record_run(int argc, const char *const *argv);

extern struct option_row leakscan_options[]; /* verbs_leakscan.c */
int leakscan_run(int argc, const char *const *argv);

#endif
