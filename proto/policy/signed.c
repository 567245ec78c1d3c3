/* Compiled bytes with their signatures, and who must have signed.
 *
 * The signatures are checked over the bytes as they came, before policy_load
 * reads a byte of them; only the policy's own rule needs the policy loaded,
 * and then nothing unsigned has left this file. */
#include "policy/signed.h"

#include "wire/pack.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTAINER_VERSION 1
#define SIGNATURE_TEXT_MAX 2048

static const struct check_limits container_limits = {SIGNED_POLICY_MAX, 3,
                                                     8 + POLICY_SIGNERS_MAX};

enum sotto_err signed_policy_encode(struct buf *out,
                                    const struct signed_policy *s)
{
    struct packer p;

    if (s->signature_count > POLICY_SIGNERS_MAX)
        return SOTTO_ETOOBIG;
    pack_init(&p, out);
    pack_array(&p, 3);
    pack_uint(&p, CONTAINER_VERSION);
    pack_bin(&p, s->compiled);
    pack_array(&p, s->signature_count);
    for (uint32_t i = 0; i < s->signature_count; i++)
        pack_bin(&p, s->signatures[i]);
    return p.err;
}

static enum sotto_err decode_root(struct signed_policy *s,
                                  const msgpack_object *root)
{
    const msgpack_object *items, *signatures;
    uint32_t count;
    uint64_t version;
    enum sotto_err err = get_array(root, 3, 8, &items, &count);

    if (!err)
        err = get_uint(&items[0], UINT64_MAX, &version);
    if (err)
        return err;
    if (version != CONTAINER_VERSION)
        return SOTTO_EVERSION;
    err = get_bin(&items[1], POLICY_BYTES_MAX, &s->compiled);
    if (!err)
        err = get_array(&items[2], 0, POLICY_SIGNERS_MAX, &signatures,
                        &s->signature_count);
    for (uint32_t i = 0; !err && i < s->signature_count; i++)
        err = get_bin(&signatures[i], SIGNATURE_TEXT_MAX, &s->signatures[i]);
    return err;
}

enum sotto_err signed_policy_decode(struct signed_policy *s, struct span bytes)
{
    struct unpacked u;
    enum sotto_err err = unpack_open(&u, bytes, &container_limits);

    if (err)
        return err;
    memset(s, 0, sizeof(*s));
    err = decode_root(s, &u.root);
    unpack_close(&u); /* the spans borrow from bytes, not from the zone */
    return err;
}

/* Reads the files that the pattern found into texts. */
static enum sotto_err read_signatures(const glob_t *found, struct buf *texts,
                                      struct signed_policy *s, struct why *why)
{
    if (found->gl_pathc > POLICY_SIGNERS_MAX)
        return why_say(why, SOTTO_ETOOBIG,
                       "%s: and others: over %d signatures; remove those that "
                       "do not belong to this policy",
                       found->gl_pathv[0], POLICY_SIGNERS_MAX);
    for (size_t i = 0; i < found->gl_pathc; i++) {
        enum sotto_err err = buf_read_file(&texts[i], found->gl_pathv[i]);

        if (err)
            return why_say(why, err, "%s: cannot be read: %s",
                           found->gl_pathv[i], err_text(err));
        s->signatures[i] = span_of(texts[i].data, texts[i].size);
        s->signature_count = (uint32_t)i + 1;
    }
    return SOTTO_OK;
}

/* FILE.*.minisig, where FILE may itself hold characters that glob reads. */
static enum sotto_err glob_signatures(const char *file, glob_t *found)
{
    size_t size = 2 * strlen(file) + sizeof(".*.minisig");
    char *pattern = malloc(size), *to = pattern;
    int result;

    if (!pattern)
        return SOTTO_ENOMEM;
    for (const char *c = file; *c; c++) {
        if (strchr("*?[]\\", *c))
            *to++ = '\\';
        *to++ = *c;
    }
    memcpy(to, ".*.minisig", sizeof(".*.minisig"));
    result = glob(pattern, 0, NULL, found);
    free(pattern);
    if (result == GLOB_NOMATCH)
        return SOTTO_OK; /* gl_pathc is 0 */
    return result == GLOB_NOSPACE ? SOTTO_ENOMEM
           : result               ? SOTTO_EIO
                                  : SOTTO_OK;
}

enum sotto_err signed_policy_read_files(struct buf *out, const char *file,
                                        struct why *why)
{
    struct signed_policy s = {.signature_count = 0};
    struct buf texts[POLICY_SIGNERS_MAX], compiled;
    glob_t found = {.gl_pathc = 0};
    enum sotto_err err;

    buf_init(&compiled, POLICY_BYTES_MAX);
    for (int i = 0; i < POLICY_SIGNERS_MAX; i++)
        buf_init(&texts[i], SIGNATURE_TEXT_MAX);
    err = buf_read_file(&compiled, file);
    if (!err)
        err = glob_signatures(file, &found);
    if (err) {
        why_say(why, err, "%s: cannot be read: %s", file, err_text(err));
        goto done;
    }
    err = read_signatures(&found, texts, &s, why);
    if (err)
        goto done;
    s.compiled = span_of(compiled.data, compiled.size);
    buf_clear(out);
    err = signed_policy_encode(out, &s);
    if (err)
        why_say(why, err, "%s: %s", file, err_text(err));

done:
    globfree(&found);
    for (int i = 0; i < POLICY_SIGNERS_MAX; i++)
        buf_fini(&texts[i]);
    buf_fini(&compiled);
    return err;
}

void signers_of(struct signers *out, const struct policy *p)
{
    memset(out, 0, sizeof(*out));
    out->needed = p->signers_needed;
    out->count = p->signer_count;
    memcpy(out->keys, p->signers,
           p->signer_count * sizeof(struct policy_signer));
}

/* Whether signer i is an earlier one again: two names of one key are one
 * signer. */
bool signers_counted_before(const struct signers *rule, int i)
{
    for (int j = 0; j < i; j++)
        if (memcmp(rule->keys[j].pk, rule->keys[i].pk, PK_SIZE) == 0)
            return true;
    return false;
}

enum sotto_err signed_by(const struct policy_signer *signer,
                         const struct signed_policy *s)
{
    enum sotto_err found = SOTTO_ENOTFOUND;
    struct minisign_pk pk;

    memcpy(pk.key_id, signer->key_id, sizeof(pk.key_id));
    memcpy(pk.pk, signer->pk, sizeof(pk.pk));
    for (uint32_t i = 0; i < s->signature_count; i++) {
        enum sotto_err err =
            minisign_verify(&pk, s->compiled, s->signatures[i]);

        if (!err)
            return SOTTO_OK;
        if (err == SOTTO_ECRYPTO)
            found = err;
    }
    return found;
}

/* At least rule->needed distinct signers of the rule have signed. */
static enum sotto_err rule_holds(const struct signers *rule, const char *whose,
                                 const struct signed_policy *s, struct why *why)
{
    char missing[200] = "";
    size_t used = 0;
    bool wrong = false;
    int valid = 0;

    if (rule->needed == 0 || rule->count > POLICY_SIGNERS_MAX)
        return why_say(why, SOTTO_ECRYPTO, "%s name no signer to trust", whose);
    for (int i = 0; i < rule->count; i++) {
        enum sotto_err err;
        int n;

        if (signers_counted_before(rule, i))
            continue;
        err = signed_by(&rule->keys[i], s);
        if (!err) {
            valid++;
            continue;
        }
        wrong |= err == SOTTO_ECRYPTO;
        n = snprintf(missing + used, sizeof(missing) - used, "%s`%s` %s",
                     used > 0 ? ", " : "", rule->keys[i].name,
                     err == SOTTO_ECRYPTO ? "wrong" : "missing");
        if (n > 0 && (size_t)n < sizeof(missing) - used)
            used += (size_t)n;
        else
            missing[used] = '\0';
    }
    if (valid >= rule->needed)
        return SOTTO_OK;
    return why_say(why, SOTTO_ECRYPTO,
                   "%d of %d signatures that %s ask for: %s; %s", valid,
                   rule->needed, whose, missing,
                   wrong ? "sign the compiled file again, it changed after "
                           "it was signed"
                         : "let them sign it with `sotto-policy sign`");
}

enum sotto_err signed_policy_load(struct policy **out, struct span container,
                                  const struct signers *trusted,
                                  struct why *why)
{
    struct signed_policy s;
    struct signers own;
    struct policy *p;
    enum sotto_err err = signed_policy_decode(&s, container);

    if (err)
        return why_say(why, err, "not a signed policy: %s", err_text(err));
    if (trusted) {
        err = rule_holds(trusted, "the trusted signers", &s, why);
        if (err)
            return err;
    }
    err = policy_load(&p, s.compiled);
    if (err)
        return why_say(why, err, "not a compiled policy: %s", err_text(err));
    signers_of(&own, p);
    err = rule_holds(&own, "the policy's own signers", &s, why);
    if (err) {
        policy_free(p);
        return err;
    }
    *out = p;
    return SOTTO_OK;
}
