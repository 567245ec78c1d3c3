/* The head of a policy: its tables, and the order in which it is read. What an
 * event holds is in compile_event.c. */
#include "agent/policy_tool/compile.h"

#include "agent/policy_tool/compile_parts.h"
#include "base/cli.h"
#include "base/when.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define YEAR_MS (365 * DAY_MS)
#define PREVIOUS_PREFIX "blake2b:"

static const char *const basis_names[BASIS_COUNT + 1] = {
    [BASIS_CONSENT] = "consent",
    [BASIS_CONTRACT] = "contract",
    [BASIS_LEGAL_OBLIGATION] = "legal_obligation",
    [BASIS_LEGITIMATE_INTEREST] = "legitimate_interest",
};
static const char *const consent_names[] = {"none", "given", NULL};
static const char *const kind_names[] = {"blake2b", NULL};

struct head {
    struct span tenant;
    int64_t version;
    struct span previous;
    int64_t effective_ms, expires_ms;
    struct yaml_node signers, keys, purposes, sources, retention, events;
};

/* clang-format off */
static const struct yaml_key head_keys[] = {
    {"policy", YAML_TEXT, offsetof(struct head, tenant), true,
     1, NAME_MAX_SIZE, NULL, "the tenant's name, such as acme-retail"},
    {"version", YAML_INT, offsetof(struct head, version), true,
     1, INT32_MAX, NULL, "1, 2, 3, ..."},
    {"previous", YAML_TEXT, offsetof(struct head, previous), false,
     0, 0, NULL, "blake2b:HEX, the hash of the version before"},
    {"effective", YAML_TIME, offsetof(struct head, effective_ms), true,
     0, TIME_MAX_MS, NULL, "the date from which it holds"},
    {"expires", YAML_TIME, offsetof(struct head, expires_ms), true,
     0, TIME_MAX_MS, NULL, "the date after which agents drop everything"},
    {"signers", YAML_NODE, offsetof(struct head, signers), true,
     0, 0, NULL, "{need: 1, keys: [dpo]}"},
    {"keys", YAML_NODE, offsetof(struct head, keys), false,
     0, 0, NULL, "pseudonym keys by name"},
    {"purposes", YAML_NODE, offsetof(struct head, purposes), true,
     0, 0, NULL, "purposes by name, with basis, consent and retention"},
    {"sources", YAML_NODE, offsetof(struct head, sources), false,
     0, 0, NULL, "{session_timeout: PT30M}"},
    {"retention", YAML_NODE, offsetof(struct head, retention), false,
     0, 0, NULL, "{spool: P30D}"},
    {"events", YAML_NODE, offsetof(struct head, events), true,
     0, 0, NULL, "events by name; what is not listed does not exist"},
    {NULL, YAML_TEXT, 0, false, 0, 0, NULL, NULL},
};

struct signers_text {
    int64_t need;
    struct yaml_node keys;
};
static const struct yaml_key signers_keys[] = {
    {"need", YAML_INT, offsetof(struct signers_text, need), true,
     1, POLICY_SIGNERS_MAX, NULL, "how many must sign"},
    {"keys", YAML_NODE, offsetof(struct signers_text, keys), true,
     0, 0, NULL, "the signers' names, such as [dpo, eng]"},
    {NULL, YAML_TEXT, 0, false, 0, 0, NULL, NULL},
};

struct key_text {
    int kind;
    struct span epoch;
    int64_t destroy_ms;
};
static const struct yaml_key key_keys[] = {
    {"kind", YAML_CHOICE, offsetof(struct key_text, kind), true,
     0, 0, kind_names, "blake2b"},
    {"epoch", YAML_TEXT, offsetof(struct key_text, epoch), true,
     1, 16, NULL, "none: the pseudonym is stable; P1D: new each day"},
    {"destroy_after", YAML_DURATION, offsetof(struct key_text, destroy_ms),
     false, POLICY_EPOCH_MIN, POLICY_EPOCH_MAX * POLICY_WINDOW_MAX, NULL,
     "how long after its epoch the key lives, P2D"},
    {NULL, YAML_TEXT, 0, false, 0, 0, NULL, NULL},
};

struct purpose_text {
    int basis, consent;
    struct span assessment;
    int64_t retention_ms;
};
static const struct yaml_key purpose_keys[] = {
    {"basis", YAML_CHOICE, offsetof(struct purpose_text, basis), true,
     0, 0, basis_names, "the legal basis (GDPR, article 6)"},
    {"consent", YAML_CHOICE, offsetof(struct purpose_text, consent), false,
     0, 0, consent_names, "given: only with the person's consent"},
    {"assessment", YAML_TEXT, offsetof(struct purpose_text, assessment), false,
     1, NAME_MAX_SIZE, NULL, "the document that weighs the interest, LIA-7"},
    {"retention", YAML_DURATION, offsetof(struct purpose_text, retention_ms),
     false, DAY_MS, 100 * YEAR_MS, NULL, "how long after the event, P13M"},
    {NULL, YAML_TEXT, 0, false, 0, 0, NULL, NULL},
};

static const struct yaml_key sources_keys[] = {
    {"session_timeout", YAML_DURATION,
     offsetof(struct policy, session_timeout_ms), true,
     1000, DAY_MS, NULL, "a visit ends after so long without an event"},
    {NULL, YAML_TEXT, 0, false, 0, 0, NULL, NULL},
};

static const struct yaml_key retention_keys[] = {
    {"spool", YAML_DURATION, offsetof(struct policy, spool_ms), true,
     DAY_MS, YEAR_MS, NULL, "how long a device may hold sealed batches"},
    {NULL, YAML_TEXT, 0, false, 0, 0, NULL, NULL},
};
/* clang-format on */

const char *basis_name(enum basis basis)
{
    return (unsigned)basis < BASIS_COUNT ? basis_names[basis] : "unknown";
}

struct place compile_place(struct yaml_node n)
{
    struct place p;

    yaml_place(n, &p.line, &p.column);
    return p;
}

enum sotto_err compile_name(char out[NAME_MAX_SIZE + 1], struct span name,
                            bool spaces, struct yaml_node at, struct why *why)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";

    if (name.size == 0 || name.size > NAME_MAX_SIZE)
        return yaml_wrong(at, why, "has a name of %zu bytes; use 1 to %d",
                          name.size, NAME_MAX_SIZE);
    for (size_t i = 0; i < name.size; i++)
        if (!(spaces && name.data[i] == ' ') &&
            !memchr(letters, name.data[i], sizeof(letters) - 1))
            return yaml_wrong(at, why,
                              "has a name with other characters than letters, "
                              "digits, `_`, `-` and `.`; rename it");
    memcpy(out, name.data, name.size);
    out[name.size] = '\0';
    return SOTTO_OK;
}

/* "`x` is not under keys; did you mean `y`?" */
static enum sotto_err not_listed(struct span name, const char *const *names,
                                 const char *where, struct yaml_node at,
                                 struct why *why)
{
    char given[NAME_MAX_SIZE + 1];
    const char *near;

    if (name.size > NAME_MAX_SIZE)
        return yaml_wrong(at, why, "is not under `%s`", where);
    memcpy(given, name.data, name.size);
    given[name.size] = '\0';
    near = cli_nearest(given, names);
    if (near)
        return yaml_wrong(at, why, "`%s` is not under `%s`; did you mean `%s`?",
                          given, where, near);
    return yaml_wrong(at, why, "`%s` is not under `%s`; add it there", given,
                      where);
}

enum sotto_err compile_purpose(uint8_t *index, const struct compile *c,
                               struct span name, struct yaml_node at,
                               struct why *why)
{
    const struct policy *p = c->out->policy;
    const char *names[POLICY_PURPOSES_MAX + 1];
    int found = policy_purpose_find(p, name);

    if (found >= 0) {
        *index = (uint8_t)found;
        return SOTTO_OK;
    }
    for (int i = 0; i < p->purpose_count; i++)
        names[i] = p->purposes[i].name;
    names[p->purpose_count] = NULL;
    return not_listed(name, names, "purposes", at, why);
}

enum sotto_err compile_key(uint8_t *index, const struct compile *c,
                           struct span name, struct yaml_node at,
                           struct why *why)
{
    const struct policy *p = c->out->policy;
    const char *names[POLICY_KEYS_MAX + 1];

    for (uint8_t i = 0; i < p->key_count; i++) {
        if (span_equal(span_text(p->keys[i].name), name)) {
            *index = i;
            return SOTTO_OK;
        }
        names[i] = p->keys[i].name;
    }
    names[p->key_count] = NULL;
    return not_listed(name, names, "keys", at, why);
}

/* Signers ------------------------------------------------------------ */

static const struct signer_key *signer_find(const struct signer_keys *known,
                                            const char *name)
{
    for (int i = 0; i < known->count; i++)
        if (strcmp(known->keys[i].name, name) == 0)
            return &known->keys[i];
    return NULL;
}

/* One key under two names would sign for two people. */
static bool signer_twice(const struct policy *p, const struct policy_signer *s)
{
    for (int i = 0; i < p->signer_count; i++)
        if (memcmp(p->signers[i].pk, s->pk, sizeof(s->pk)) == 0 ||
            memcmp(p->signers[i].key_id, s->key_id, sizeof(s->key_id)) == 0)
            return true;
    return false;
}

static enum sotto_err each_signer(void *context, struct span key,
                                  struct yaml_node value, struct why *why)
{
    struct compile *c = context;
    struct policy *p = c->out->policy;
    struct policy_signer *signer = &p->signers[p->signer_count];
    const struct signer_key *known;
    struct span name;
    enum sotto_err err = yaml_text(value, &name, why);

    (void)key;
    if (err)
        return err;
    if (p->signer_count == POLICY_SIGNERS_MAX)
        return yaml_wrong(value, why, "is one signer too many; at most %d",
                          POLICY_SIGNERS_MAX);
    err = compile_name(signer->name, name, false, value, why);
    if (err)
        return err;
    for (int i = 0; i < p->signer_count; i++)
        if (strcmp(p->signers[i].name, signer->name) == 0)
            return yaml_wrong(value, why, "stands twice; remove one");
    if (c->signers->count < 0) {
        /* Stands in until the keys are known: see struct signer_keys. */
        memset(signer->pk, p->signer_count + 1, sizeof(signer->pk));
        memset(signer->key_id, p->signer_count + 1, sizeof(signer->key_id));
        p->signer_count++;
        return SOTTO_OK;
    }
    known = signer_find(c->signers, signer->name);
    if (!known)
        return yaml_wrong(value, why,
                          "has no public key; add --signer %s=FILE.pub",
                          signer->name);
    memcpy(signer->pk, known->pk.pk, sizeof(signer->pk));
    memcpy(signer->key_id, known->pk.key_id, sizeof(signer->key_id));
    if (signer_twice(p, signer))
        return yaml_wrong(value, why,
                          "has the same key as another signer; each needs a "
                          "key of their own");
    p->signer_count++;
    return SOTTO_OK;
}

static enum sotto_err compile_signers(struct compile *c, struct yaml_node n,
                                      struct why *why)
{
    struct policy *p = c->out->policy;
    struct signers_text text = {0};
    enum sotto_err err = yaml_fill(n, signers_keys, &text, why);

    if (err)
        return err;
    if (!yaml_is_sequence(text.keys))
        return yaml_wrong(text.keys, why, "must be a list, such as [dpo]");
    err = yaml_each(text.keys, why, each_signer, c);
    if (err)
        return err;
    if (text.need > p->signer_count)
        return yaml_wrong(yaml_get(n, "need"), why,
                          "asks for %lld signers of %d; name more under keys",
                          (long long)text.need, p->signer_count);
    p->signers_needed = (uint8_t)text.need;
    return SOTTO_OK;
}

/* Keys and purposes -------------------------------------------------- */

static enum sotto_err compile_epoch(struct policy_key *key,
                                    const struct key_text *text,
                                    struct yaml_node n, struct why *why)
{
    struct yaml_node after = yaml_get(n, "destroy_after");

    if (span_equal(text->epoch, span_text("none")))
        return after.node ? yaml_wrong(after, why,
                                       "goes with an epoch; a stable key is "
                                       "not destroyed by time. Remove it, or "
                                       "write `epoch: P1D`")
                          : SOTTO_OK;
    if (duration_parse(&key->epoch_ms, text->epoch) ||
        key->epoch_ms < POLICY_EPOCH_MIN || key->epoch_ms > POLICY_EPOCH_MAX)
        return yaml_wrong(yaml_get(n, "epoch"), why,
                          "must be `none`, or a duration from PT1H to P366D "
                          "such as P1D");
    if (!after.node)
        return yaml_wrong(n, why,
                          "has an epoch; add `destroy_after: P2D`, how long "
                          "the key of an epoch lives when it is over");
    if (text->destroy_ms > key->epoch_ms * POLICY_WINDOW_MAX)
        return yaml_wrong(after, why, "is over %d epochs; make it shorter",
                          POLICY_WINDOW_MAX);
    key->destroy_ms = text->destroy_ms;
    return SOTTO_OK;
}

static enum sotto_err each_key(void *context, struct span key,
                               struct yaml_node value, struct why *why)
{
    struct compile *c = context;
    struct policy *p = c->out->policy;
    struct key_text text = {0};
    enum sotto_err err;

    if (p->key_count == POLICY_KEYS_MAX)
        return yaml_wrong(value, why, "is one key too many; at most %d",
                          POLICY_KEYS_MAX);
    err = compile_name(p->keys[p->key_count].name, key, false, value, why);
    if (!err)
        err = yaml_fill(value, key_keys, &text, why);
    if (err)
        return err;
    err = compile_epoch(&p->keys[p->key_count], &text, value, why);
    if (err)
        return err;
    c->out->keys[p->key_count++] = compile_place(value);
    return SOTTO_OK;
}

static enum sotto_err each_purpose(void *context, struct span key,
                                   struct yaml_node value, struct why *why)
{
    struct compile *c = context;
    struct policy *p = c->out->policy;
    struct policy_purpose *purpose = &p->purposes[p->purpose_count];
    struct purpose_text text = {0};
    enum sotto_err err;

    if (p->purpose_count == POLICY_PURPOSES_MAX)
        return yaml_wrong(value, why, "is one purpose too many; at most %d",
                          POLICY_PURPOSES_MAX);
    err = compile_name(purpose->name, key, false, value, why);
    if (!err)
        err = yaml_fill(value, purpose_keys, &text, why);
    if (!err && text.assessment.size > 0)
        err =
            compile_name(c->out->assessments[p->purpose_count], text.assessment,
                         true, yaml_get(value, "assessment"), why);
    if (err)
        return err;
    if (text.basis == BASIS_CONSENT && text.consent == 0)
        return yaml_wrong(value, why,
                          "has the basis consent; write `consent: given`");
    purpose->basis = (uint8_t)text.basis;
    purpose->needs_consent = text.consent == 1;
    purpose->retention_ms = text.retention_ms;
    c->out->purposes[p->purpose_count++] = compile_place(value);
    return SOTTO_OK;
}

static enum sotto_err each_of(
    struct compile *c, struct yaml_node n, const char *what,
    enum sotto_err (*each)(void *, struct span, struct yaml_node, struct why *),
    struct why *why)
{
    if (!n.node)
        return SOTTO_OK;
    if (!yaml_is_mapping(n))
        return yaml_wrong(n, why, "must hold %s by name, as `NAME: {...}`",
                          what);
    return yaml_each(n, why, each, c);
}

/* The head ----------------------------------------------------------- */

static enum sotto_err compile_previous(struct policy *p, struct span text,
                                       struct yaml_node root, struct why *why)
{
    const size_t prefix = strlen(PREVIOUS_PREFIX);
    struct yaml_node n = yaml_get(root, "previous");
    size_t size = 0;

    if (!n.node) {
        if (p->version > 1)
            return yaml_wrong(yaml_get(root, "version"), why,
                              "is not the first; add `previous: "
                              "\"blake2b:HEX\"` with the hash that `build` "
                              "printed for version %llu",
                              (unsigned long long)p->version - 1);
        return SOTTO_OK;
    }
    if (p->version == 1)
        return yaml_wrong(n, why, "does not go with version 1; remove it");
    if (text.size != prefix + (size_t)HASH_SIZE * 2 ||
        memcmp(text.data, PREVIOUS_PREFIX, prefix) != 0 ||
        sodium_hex2bin(p->previous, sizeof(p->previous),
                       (const char *)text.data + prefix, text.size - prefix,
                       NULL, &size, NULL) != 0 ||
        size != HASH_SIZE)
        return yaml_wrong(n, why,
                          "must be \"blake2b:\" and %d hexadecimal digits, as "
                          "`build` printed them",
                          HASH_SIZE * 2);
    return SOTTO_OK;
}

static enum sotto_err compile_head(struct compile *c, struct yaml_node root,
                                   struct why *why)
{
    struct policy *p = c->out->policy;
    struct head head = {.version = 0};
    enum sotto_err err = yaml_fill(root, head_keys, &head, why);

    if (err)
        return err;
    err = compile_name(p->tenant, head.tenant, false, yaml_get(root, "policy"),
                       why);
    if (err)
        return err;
    p->version = (uint64_t)head.version;
    p->effective_ms = head.effective_ms;
    p->expires_ms = head.expires_ms;
    c->out->top = compile_place(root);
    c->out->expires = compile_place(yaml_get(root, "expires"));
    c->out->signers = compile_place(head.signers);
    c->out->session_timeout = compile_place(head.sources);
    c->out->spool = compile_place(head.retention);
    if (p->expires_ms <= p->effective_ms)
        return yaml_wrong(yaml_get(root, "expires"), why,
                          "must be after `effective`");
    err = compile_previous(p, head.previous, root, why);
    if (!err)
        err = compile_signers(c, head.signers, why);
    if (!err)
        err = each_of(c, head.keys, "keys", each_key, why);
    if (!err)
        err = each_of(c, head.purposes, "purposes", each_purpose, why);
    if (!err && p->purpose_count == 0)
        err = yaml_wrong(head.purposes, why, "is empty; name a purpose");
    if (!err && head.sources.node)
        err = yaml_fill(head.sources, sources_keys, p, why);
    if (!err && head.retention.node)
        err = yaml_fill(head.retention, retention_keys, p, why);
    return err ? err : compile_events(c, head.events, why);
}

/* Replaces the filled policy by the one that an agent will load. */
static enum sotto_err settle(struct compiled *c, const char *file,
                             struct why *why)
{
    struct policy *loaded = NULL;
    struct buf bytes;
    enum sotto_err err;

    buf_init(&bytes, POLICY_BYTES_MAX);
    err = policy_encode(&bytes, c->policy);
    if (err)
        why_say(why, err, "%s: the compiled form: %s; remove events or fields",
                file, err_text(err));
    if (!err) {
        err = policy_load(&loaded, span_of(bytes.data, bytes.size));
        if (err)
            why_say(why, err,
                    "%s: the compiled form cannot be loaded (%s); please "
                    "report this policy as a bug",
                    file, err_text(err));
    }
    buf_fini(&bytes);
    if (err)
        return err;
    policy_free(c->policy);
    c->policy = loaded;
    return SOTTO_OK;
}

static enum sotto_err compile_root(struct compiled **out, const char *file,
                                   struct yaml_node root,
                                   const struct signer_keys *signers,
                                   struct why *why)
{
    struct compile *c = calloc(1, sizeof(*c));
    struct compiled *made = calloc(1, sizeof(*made));
    enum sotto_err err = SOTTO_ENOMEM;

    if (!c || !made)
        goto fail;
    made->policy = calloc(1, sizeof(*made->policy));
    if (!made->policy)
        goto fail;
    made->policy->session_timeout_ms = 30 * 60 * INT64_C(1000);
    made->policy->spool_ms = 30 * DAY_MS;
    c->out = made;
    c->signers = signers;
    err = compile_head(c, root, why);
    if (!err)
        err = settle(made, file, why);
    if (err)
        goto fail;
    free(c);
    *out = made;
    return SOTTO_OK;

fail:
    if (err == SOTTO_ENOMEM)
        why_say(why, err, "%s: %s", file, err_text(err));
    compiled_free(made);
    free(c);
    return err;
}

enum sotto_err compile_file(struct compiled **out, const char *file,
                            const struct signer_keys *signers, struct why *why)
{
    struct yaml *y;
    enum sotto_err err = yaml_open_file(&y, file, why);

    if (err)
        return err;
    err = compile_root(out, file, yaml_root(y), signers, why);
    yaml_close(y);
    return err;
}

enum sotto_err compile_text(struct compiled **out, const char *file,
                            struct span text, const struct signer_keys *signers,
                            struct why *why)
{
    struct yaml *y;
    enum sotto_err err = yaml_open_text(&y, file, text, why);

    if (err)
        return err;
    err = compile_root(out, file, yaml_root(y), signers, why);
    yaml_close(y);
    return err;
}

void compiled_free(struct compiled *c)
{
    if (!c)
        return;
    policy_free(c->policy);
    free(c);
}
