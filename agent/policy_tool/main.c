/* sotto-policy: the privacy officer's tool. The table of its verbs, and what
 * they share. */
#include "agent/policy_tool/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/daemon.h"

static const struct verb_row verbs[] = {
    {"keygen", "", "make a signing key and the secret of all pseudonyms",
     "Writes NAME.pub, NAME.sec and pseudonym.secret into DIR. Nothing is "
     "overwritten. Keep a copy of pseudonym.secret where the aggregator's "
     "operators cannot read it: without it no pseudonym can be made again.",
     keygen_options, 0, 0, keygen_run},
    {"init", "site|app|kiosk", "a commented policy to start from",
     "It compiles, and lint has nothing to say of it. It holds from today on, "
     "for a year.",
     init_options, 1, 1, init_run},
    {"lint", "P.yaml", "what is risky in a policy, with place and mend",
     "Exit code 1 if there is any finding.", lint_options, 1, 1, lint_run_verb},
    {"explain", "P.yaml|FILE [EVENT[.FIELD]]", "the policy in plain sentences",
     "What leaves the device, in what form, under which purpose and basis, how "
     "long it is kept, for how long it can be linked; and what never leaves.",
     explain_options, 1, 2, explain_run},
    {"dryrun", "P.yaml|FILE", "sample events before and after",
     "Runs events through the policy here, with the code that the agents run, "
     "and shows what each was, what is left of it, and the bytes on the wire. "
     "Without --keys the pseudonyms come from a throwaway secret.",
     dryrun_options, 1, 1, dryrun_run_verb},
    {"build", "P.yaml", "compile a policy to the form that is signed",
     "Prints the hash, which the next version names under `previous`.",
     build_options, 1, 1, build_run},
    {"sign", "FILE", "sign a compiled policy",
     "Writes FILE.NAME.minisig, where NAME is the key's file name without "
     ".sec. `minisign -V` verifies it too.",
     sign_options, 1, 1, sign_run},
    {"verify", "FILE", "check the signatures beside a compiled policy",
     "By the signers rule of the policy itself; with --signer all of those "
     "must have signed; with --previous the signers rule of that version, and "
     "the chain. Exit code 3 if it does not hold.",
     verify_options, 1, 1, verify_run},
    {"diff", "OLD NEW", "what changes, and whether the risk goes up",
     "Each change with its risk: up, down or the same; then the signatures "
     "that OLD asks for and those beside NEW. What cannot be compared counts "
     "as up. Exit code 5 if the risk went up and a signature is missing, 1 if "
     "it went up and all have signed.",
     diff_options, 2, 2, diff_run_verb},
    {"record", "P.yaml|FILE", "the Article 30 record and a draft assessment",
     "In Markdown: purposes, data, recipients, retention, security measures "
     "(GDPR, article 30), then a draft impact assessment (article 35). What "
     "the policy does not say is marked To fill in.",
     record_options, 1, 1, record_run},
    {"bundle", "", "the encrypted file that enrols an agent",
     "Holds the signers, the signed policy and the pseudonym keys, under a "
     "one-time code that is printed once. Carry file and code by different "
     "ways.",
     bundle_options, 0, 0, bundle_run},
    {"subject", "", "the pseudonym of a person",
     "The only place where that can be done. Use --id - to read the id from "
     "standard input, which keeps it out of the shell's history.",
     subject_options, 0, 0, subject_run},
    {"leakscan", "PATH...", "search files for what must not be in them",
     "Detects identifiers in files, directories, core files; with "
     "--canary-file, planted values in every form a program might keep them. "
     "Prints file, offset and kind, never the value. Exit code 1 if there is "
     "any finding, 2 if there is none but something could not be read.",
     leakscan_options, 1, CLI_ARGS_MAX, leakscan_run},
    {NULL, NULL, NULL, NULL, NULL, 0, 0, NULL},
};

int verb_fail(enum sotto_err err, const struct why *why)
{
    fprintf(stderr, "sotto-policy: %s\n", why->text);
    return (int)err_exit(err);
}

int verb_json(json_t *j, int code)
{
    if (!j || json_dumpf(j, stdout, JSON_INDENT(2)) != 0 ||
        putchar('\n') == EOF) {
        fprintf(stderr, "sotto-policy: the output cannot be written\n");
        code = EXIT_USAGE;
    }
    json_decref(j);
    return code;
}

void verb_hash(char out[HASH_TEXT_SIZE], const uint8_t hash[HASH_SIZE])
{
    static const char prefix[] = "blake2b:";

    memcpy(out, prefix, sizeof(prefix) - 1);
    sodium_bin2hex(out + sizeof(prefix) - 1,
                   HASH_TEXT_SIZE - (sizeof(prefix) - 1), hash, HASH_SIZE);
}

/* A compiled policy begins as a msgpack array does; no text does. */
static bool is_compiled(const struct buf *bytes)
{
    return bytes->size > 0 &&
           ((bytes->data[0] & 0xf0) == 0x90 || bytes->data[0] == 0xdc);
}

/* The bytes of a policy, compiled or text. */
static enum sotto_err policy_bytes(struct buf *bytes, const char *file,
                                   struct why *why)
{
    enum sotto_err err;

    buf_init(bytes, YAML_BYTES_MAX);
    err = buf_read_file(bytes, file);
    if (err)
        why_say(why, err, "%s: cannot be read: %s", file, err_text(err));
    return err;
}

enum sotto_err verb_is_text(bool *text, const char *file, struct why *why)
{
    struct buf bytes;
    enum sotto_err err = policy_bytes(&bytes, file, why);

    *text = !err && !is_compiled(&bytes);
    buf_fini(&bytes);
    return err;
}

/* As if it had been compiled here, without places. */
static enum sotto_err compiled_load(struct compiled **out, const char *file,
                                    struct span bytes, struct why *why)
{
    struct compiled *made = calloc(1, sizeof(*made));
    enum sotto_err err =
        made ? policy_load(&made->policy, bytes) : SOTTO_ENOMEM;

    if (err) {
        compiled_free(made);
        return why_say(why, err, "%s: is not a compiled policy: %s", file,
                       err_text(err));
    }
    *out = made;
    return SOTTO_OK;
}

enum sotto_err verb_compiled(struct compiled **out, const char *file,
                             struct why *why)
{
    const struct signer_keys unknown = {.count = -1};
    struct buf bytes;
    enum sotto_err err = policy_bytes(&bytes, file, why);

    if (!err && is_compiled(&bytes))
        err = compiled_load(out, file, span_of(bytes.data, bytes.size), why);
    else if (!err)
        err = compile_text(out, file, span_of(bytes.data, bytes.size), &unknown,
                           why);
    buf_fini(&bytes);
    return err;
}

enum sotto_err verb_policy(struct policy **out, const char *file,
                           struct why *why)
{
    struct compiled *compiled = NULL;
    enum sotto_err err = verb_compiled(&compiled, file, why);

    if (err)
        return err;
    *out = compiled->policy;
    compiled->policy = NULL;
    compiled_free(compiled);
    return SOTTO_OK;
}

int main(int argc, char **argv)
{
    process_private(); /* keys and raw samples live here */
    if (sodium_init() < 0) {
        fprintf(stderr, "sotto-policy: there is no source of randomness\n");
        return EXIT_USAGE;
    }
    return cli_main("sotto-policy", "The privacy officer's tool.", verbs, argc,
                    argv);
}
