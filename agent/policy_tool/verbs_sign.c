/* What makes and checks the things that others trust: keys, the compiled form,
 * signatures, bundles. */
#include "agent/policy_tool/verbs.h"

#include "agent/policy_tool/officer.h"
#include "base/clock.h"
#include "base/when.h"
#include "policy/bundle.h"

#include <stdio.h>
#include <string.h>

static bool json;
static const char *dir, *name = "officer", *out_file, *key_file, *policy_file,
                        *code_file, *previous_file;
static bool without_master;
static int64_t verify_at_ms = WHEN_NONE;
static struct cli_list signer_args;

#define JSON_OPTION                                                            \
    {                                                                          \
        "json", 0, OPTION_FLAG, &json, NULL, "print JSON", 0, 0, false         \
    }
#define OPTIONS_END                                                            \
    {                                                                          \
        NULL, 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, false                    \
    }

struct option_row keygen_options[] = {
    {"out", 'o', OPTION_TEXT, &dir, "DIR", "the key directory", 0, 0, true},
    {"name", 'n', OPTION_TEXT, &name, "NAME", "whose key it is", 0, 0, false},
    {"sign-only", 0, OPTION_FLAG, &without_master, NULL,
     "no pseudonym.secret: for a further signer", 0, 0, false},
    JSON_OPTION,
    OPTIONS_END};

struct option_row build_options[] = {
    {"signer", 's', OPTION_LIST, &signer_args, "NAME=FILE.pub",
     "the public key of a signer", 0, 0, false},
    {"out", 'o', OPTION_TEXT, &out_file, "FILE", "where the compiled form goes",
     0, 0, true},
    JSON_OPTION,
    OPTIONS_END};

struct option_row sign_options[] = {{"key", 'k', OPTION_TEXT, &key_file,
                                     "NAME.sec", "the secret key", 0, 0, true},
                                    JSON_OPTION,
                                    OPTIONS_END};

struct option_row verify_options[] = {
    {"signer", 's', OPTION_LIST, &signer_args, "FILE.pub",
     "a key that must have signed", 0, 0, false},
    {"previous", 'p', OPTION_TEXT, &previous_file, "FILE",
     "the compiled version before", 0, 0, false},
    {"at", 0, OPTION_TIME, &verify_at_ms, "TIME",
     "as if it were then (default: now)", 0, 0, false},
    JSON_OPTION,
    OPTIONS_END};

struct option_row bundle_options[] = {
    {"policy", 'p', OPTION_TEXT, &policy_file, "FILE",
     "the compiled policy, its signatures beside it", 0, 0, true},
    {"keys", 'k', OPTION_TEXT, &dir, "DIR", "the key directory", 0, 0, true},
    {"out", 'o', OPTION_TEXT, &out_file, "FILE", "where the bundle goes", 0, 0,
     true},
    {"code-file", 'c', OPTION_TEXT, &code_file, "FILE",
     "write the one-time code here, not to the terminal", 0, 0, false},
    JSON_OPTION,
    OPTIONS_END};

int keygen_run(int argc, const char *const *argv)
{
    struct minisign_pk pk;
    struct why why;
    enum sotto_err err = officer_keygen(dir, name, without_master, &pk, &why);

    (void)argc;
    (void)argv;
    if (err)
        return verb_fail(err, &why);
    if (json)
        return verb_json(json_pack("{s:s, s:s, s:b}", "directory", dir, "name",
                                   name, "pseudonym_secret", !without_master),
                         EXIT_GOOD);
    printf("%s/%s.pub  the public key, for `build --signer %s=...`\n", dir,
           name, name);
    printf("%s/%s.sec  the secret key, mode 0600\n", dir, name);
    if (!without_master)
        printf("%s/pseudonym.secret  the secret of all pseudonyms, mode 0600: "
               "keep a copy\n",
               dir);
    return EXIT_GOOD;
}

/* "dpo=keys/dpo.pub" */
static enum sotto_err signer_read(struct signer_key *s, const char *arg,
                                  struct why *why)
{
    const char *equals = strchr(arg, '=');
    size_t size = equals ? (size_t)(equals - arg) : 0;

    if (size == 0 || size > NAME_MAX_SIZE)
        return why_say(why, SOTTO_EINVAL,
                       "--signer %s: write NAME=FILE.pub, with a name from "
                       "`signers.keys`",
                       arg);
    memcpy(s->name, arg, size);
    s->name[size] = '\0';
    return officer_pk_load(&s->pk, equals + 1, why);
}

static enum sotto_err signers_read(struct signer_keys *out, struct why *why)
{
    enum sotto_err err = SOTTO_OK;

    out->count = 0;
    for (int i = 0; !err && i < signer_args.count; i++) {
        if (out->count == POLICY_SIGNERS_MAX)
            return why_say(why, SOTTO_ETOOBIG, "--signer: at most %d",
                           POLICY_SIGNERS_MAX);
        err = signer_read(&out->keys[out->count++], signer_args.text[i], why);
    }
    return err;
}

int build_run(int argc, const char *const *argv)
{
    struct signer_keys signers;
    struct compiled *c = NULL;
    char hash[HASH_TEXT_SIZE];
    struct why why;
    int fields = 0, code = EXIT_GOOD;
    enum sotto_err err = signers_read(&signers, &why);

    (void)argc;
    if (!err)
        err = compile_file(&c, argv[0], &signers, &why);
    if (err)
        return verb_fail(err, &why);
    const struct policy *p = c->policy;

    err = file_replace(out_file, p->compiled.data, p->compiled.size, 0644);
    if (err) {
        why_say(&why, err, "%s: cannot be written: %s", out_file,
                err_text(err));
        compiled_free(c);
        return verb_fail(err, &why);
    }
    for (int e = 0; e < p->event_count; e++)
        fields += p->events[e].field_count;
    verb_hash(hash, p->hash);
    if (json)
        code = verb_json(json_pack("{s:s, s:I, s:s, s:i, s:i, s:I}", "policy",
                                   p->tenant, "version", (json_int_t)p->version,
                                   "hash", hash, "events", (int)p->event_count,
                                   "fields", fields, "bytes",
                                   (json_int_t)p->compiled.size),
                         EXIT_GOOD);
    else
        printf("%s: policy %s, version %llu, %d events, %d fields, %zu bytes\n"
               "%s\n",
               out_file, p->tenant, (unsigned long long)p->version,
               (int)p->event_count, fields, p->compiled.size, hash);
    compiled_free(c);
    return code;
}

/* "keys/dpo.sec" -> "dpo", cut to what fits. */
static void signer_name(char out[NAME_MAX_SIZE + 1], const char *file)
{
    const char *slash = strrchr(file, '/');
    const char *base = slash ? slash + 1 : file;
    size_t size = strlen(base);

    if (size > 4 && strcmp(base + size - 4, ".sec") == 0)
        size -= 4;
    snprintf(out, NAME_MAX_SIZE + 1, "%.*s", (int)size, base);
}

static enum sotto_err compiled_read(struct buf *bytes, struct policy **p,
                                    const char *file, struct why *why)
{
    enum sotto_err err;

    buf_init(bytes, POLICY_BYTES_MAX);
    err = buf_read_file(bytes, file);
    if (err)
        return why_say(why, err, "%s: cannot be read: %s", file, err_text(err));
    err = policy_load(p, span_of(bytes->data, bytes->size));
    if (err) {
        buf_fini(bytes);
        return why_say(why, err,
                       "%s: is not a compiled policy (%s); make it with "
                       "`sotto-policy build`",
                       file, err_text(err));
    }
    return SOTTO_OK;
}

static enum sotto_err sign_file(char signature_file[OFFICER_PATH_MAX],
                                const char *file, struct why *why)
{
    char hash[HASH_TEXT_SIZE], signer[NAME_MAX_SIZE + 1], comment[256];
    struct minisign_sk *sk = NULL;
    struct policy *p = NULL;
    struct buf bytes, text;
    enum sotto_err err = compiled_read(&bytes, &p, file, why);

    if (err)
        return err;
    buf_init(&text, 4096);
    signer_name(signer, key_file);
    verb_hash(hash, p->hash);
    snprintf(comment, sizeof(comment), "policy %s version %llu %s", p->tenant,
             (unsigned long long)p->version, hash);
    snprintf(signature_file, OFFICER_PATH_MAX, "%s.%s.minisig", file, signer);
    err = officer_sk_load(&sk, key_file, why);
    if (!err) {
        err =
            minisign_sign(&text, sk, span_of(bytes.data, bytes.size), comment);
        if (!err)
            err = file_replace(signature_file, text.data, text.size, 0644);
        if (err)
            why_say(why, err, "%s: cannot be written: %s", signature_file,
                    err_text(err));
    }
    minisign_free(sk);
    policy_free(p);
    buf_fini(&bytes);
    buf_fini(&text);
    return err;
}

int sign_run(int argc, const char *const *argv)
{
    char signature_file[OFFICER_PATH_MAX];
    struct why why;
    enum sotto_err err = sign_file(signature_file, argv[0], &why);

    (void)argc;
    if (err)
        return verb_fail(err, &why);
    if (json)
        return verb_json(json_pack("{s:s}", "signature", signature_file),
                         EXIT_GOOD);
    printf("%s\n", signature_file);
    return EXIT_GOOD;
}

/* Those of --signer, all of them. */
static enum sotto_err trusted_read(struct signers *out, struct why *why)
{
    enum sotto_err err = SOTTO_OK;

    memset(out, 0, sizeof(*out));
    for (int i = 0; !err && i < signer_args.count; i++) {
        const char *file = strrchr(signer_args.text[i], '=');
        struct policy_signer *s = &out->keys[out->count];
        struct minisign_pk pk;

        if (out->count == POLICY_SIGNERS_MAX)
            return why_say(why, SOTTO_ETOOBIG, "--signer: at most %d",
                           POLICY_SIGNERS_MAX);
        file = file ? file + 1 : signer_args.text[i];
        err = officer_pk_load(&pk, file, why);
        if (err)
            return err;
        snprintf(s->name, sizeof(s->name), "%.*s", NAME_MAX_SIZE, file);
        memcpy(s->key_id, pk.key_id, sizeof(s->key_id));
        memcpy(s->pk, pk.pk, sizeof(s->pk));
        out->needed = ++out->count;
    }
    return err;
}

/* The chain: the new version names the hash of the old one. */
static enum sotto_err chain_holds(const struct policy *p,
                                  const struct policy *previous,
                                  struct why *why)
{
    if (strcmp(p->tenant, previous->tenant) != 0)
        return why_say(why, SOTTO_ECRYPTO,
                       "the version before is of the policy `%s`, this one of "
                       "`%s`",
                       previous->tenant, p->tenant);
    if (p->version <= previous->version)
        return why_say(why, SOTTO_ECRYPTO,
                       "rolled back: version %llu does not follow version "
                       "%llu",
                       (unsigned long long)p->version,
                       (unsigned long long)previous->version);
    if (memcmp(p->previous, previous->hash, HASH_SIZE) != 0)
        return why_say(why, SOTTO_ECRYPTO,
                       "`previous` is not the hash of %s; build it again with "
                       "that hash",
                       previous_file);
    return SOTTO_OK;
}

/* Signatures of a policy that is over are good for nothing. */
static enum sotto_err not_over(const struct policy *p, struct why *why)
{
    int64_t at_ms =
        verify_at_ms != WHEN_NONE ? verify_at_ms : clock_wall_ms(&clock_system);
    char when[32];

    if (p->expires_ms == WHEN_NONE || at_ms < p->expires_ms)
        return SOTTO_OK;
    when_format(when, p->expires_ms);
    return why_say(why, SOTTO_ECRYPTO,
                   "the signatures hold, but version %llu is stale: it expired "
                   "on %s, and agents drop everything under it; build and sign "
                   "the next version",
                   (unsigned long long)p->version, when);
}

/* *p is the policy if all holds. */
static enum sotto_err verify_file(struct policy **p, const char *file,
                                  struct why *why)
{
    struct policy *previous = NULL;
    struct buf container, bytes = {.max = POLICY_BYTES_MAX};
    struct signers trusted;
    enum sotto_err err;

    buf_init(&container, SIGNED_POLICY_MAX);
    err = trusted_read(&trusted, why);
    if (!err)
        err = signed_policy_read_files(&container, file, why);
    if (!err && previous_file)
        err = compiled_read(&bytes, &previous, previous_file, why);
    if (err)
        goto done;
    err = signed_policy_load(p, span_of(container.data, container.size),
                             trusted.count > 0 ? &trusted : NULL, why);
    if (!err && previous) {
        struct policy *again = NULL;

        signers_of(&trusted, previous);
        err = signed_policy_load(
            &again, span_of(container.data, container.size), &trusted, why);
        policy_free(again);
        if (!err)
            err = chain_holds(*p, previous, why);
        if (err)
            policy_free(*p);
    }
    if (!err) {
        err = not_over(*p, why);
        if (err)
            policy_free(*p);
    }
    if (err == SOTTO_EDECODE)
        err = SOTTO_ECRYPTO; /* it was read: it is not what was signed */

done:
    policy_free(previous);
    buf_fini(&bytes);
    buf_fini(&container);
    return err;
}

int verify_run(int argc, const char *const *argv)
{
    char hash[HASH_TEXT_SIZE];
    struct policy *p = NULL;
    struct why why;
    int code = EXIT_GOOD;
    enum sotto_err err = verify_file(&p, argv[0], &why);

    (void)argc;
    if (err && json && err == SOTTO_ECRYPTO)
        return verb_json(
            json_pack("{s:b, s:s}", "verified", 0, "why", why.text),
            (int)err_exit(err));
    if (err)
        return verb_fail(err, &why);
    verb_hash(hash, p->hash);
    if (json)
        code = verb_json(json_pack("{s:b, s:s, s:I, s:s}", "verified", 1,
                                   "policy", p->tenant, "version",
                                   (json_int_t)p->version, "hash", hash),
                         EXIT_GOOD);
    else
        printf("%s: policy %s, version %llu: the signatures hold\n%s\n",
               argv[0], p->tenant, (unsigned long long)p->version, hash);
    policy_free(p);
    return code;
}

/* The signed policy and its keys, as a bundle. */
static enum sotto_err bundle_fill(struct bundle *b, struct why *why)
{
    struct policy *p = NULL;
    enum sotto_err err;

    memset(b, 0, sizeof(*b));
    buf_init(&b->policy, SIGNED_POLICY_MAX);
    err = signed_policy_read_files(&b->policy, policy_file, why);
    if (!err)
        err = signed_policy_load(&p, span_of(b->policy.data, b->policy.size),
                                 NULL, why);
    if (!err)
        err = officer_keys(&b->keys, p, dir, why);
    if (!err) {
        memcpy(b->tenant, p->tenant, sizeof(b->tenant));
        signers_of(&b->signers, p);
        b->minimum_version = p->version;
    }
    policy_free(p);
    return err;
}

static enum sotto_err bundle_write(const struct bundle *b,
                                   char code[BUNDLE_CODE_SIZE + 1],
                                   struct why *why)
{
    struct buf sealed;
    enum sotto_err err;

    buf_init(&sealed, BUNDLE_FILE_MAX);
    bundle_code_make(code);
    err = bundle_seal(&sealed, b, code);
    if (!err)
        err = file_replace(out_file, sealed.data, sealed.size, 0600);
    if (err)
        why_say(why, err, "%s: cannot be written: %s", out_file, err_text(err));
    buf_fini(&sealed);
    if (!err && code_file) {
        char line[BUNDLE_CODE_SIZE + 2];

        snprintf(line, sizeof(line), "%s\n", code);
        err = file_replace(code_file, line, strlen(line), 0600);
        sodium_memzero(line, sizeof(line));
        if (err)
            why_say(why, err, "%s: cannot be written: %s", code_file,
                    err_text(err));
    }
    return err;
}

int bundle_run(int argc, const char *const *argv)
{
    char code[BUNDLE_CODE_SIZE + 1] = "";
    struct bundle b;
    struct why why;
    int exit_code = EXIT_GOOD;
    enum sotto_err err = bundle_fill(&b, &why);

    (void)argc;
    (void)argv;
    if (!err)
        err = bundle_write(&b, code, &why);
    if (err)
        exit_code = verb_fail(err, &why);
    else if (json && code_file)
        exit_code = verb_json(
            json_pack("{s:s, s:s}", "bundle", out_file, "code_file", code_file),
            EXIT_GOOD);
    else if (json)
        exit_code =
            verb_json(json_pack("{s:s, s:s}", "bundle", out_file, "code", code),
                      EXIT_GOOD);
    else if (code_file)
        printf("%s: the bundle; its one-time code is in %s\n", out_file,
               code_file);
    else
        printf("%s: the bundle. Its one-time code, shown only now:\n%s\n",
               out_file, code);
    sodium_memzero(code, sizeof(code));
    bundle_fini(&b);
    return exit_code;
}
