/* The head of the policy, its keys and purposes, and the pairing of events and
 * fields. What a change of a field means is in diff_field.c. */
#include "agent/policy_tool/diff_parts.h"

#include "agent/policy_tool/words.h"

#include <stdio.h>
#include <stdlib.h>

const char *diff_risk_name(enum diff_risk risk)
{
    static const char *const names[DIFF_RISK_COUNT] = {
        [DIFF_SAME] = "same", [DIFF_DOWN] = "down", [DIFF_UP] = "up"};

    return (unsigned)risk < DIFF_RISK_COUNT ? names[risk] : "unknown";
}

void diff_say(struct differ *d, enum diff_risk risk, const char *where,
              const char *format, ...)
{
    struct diff_change *c;
    va_list args;

    d->out->by_risk[risk]++;
    if (d->out->count++ >= DIFF_CHANGES_MAX)
        return;
    c = &d->out->changes[d->out->count - 1];
    c->risk = risk;
    snprintf(c->where, sizeof(c->where), "%s", where);
    va_start(args, format);
    text_vprint(c->text, sizeof(c->text), format, args);
    va_end(args);
}

bool diff_rest(const struct differ *d)
{
    struct buf old, next;
    bool differs;

    buf_init(&old, POLICY_BYTES_MAX);
    buf_init(&next, POLICY_BYTES_MAX);
    differs =
        policy_encode(&old, d->scratch_old) ||
        policy_encode(&next, d->scratch_next) ||
        !span_equal(span_of(old.data, old.size), span_of(next.data, next.size));
    buf_fini(&old);
    buf_fini(&next);
    return differs;
}

static void scratch_clear(struct differ *d)
{
    memset(d->scratch_old, 0, sizeof(*d->scratch_old));
    memset(d->scratch_next, 0, sizeof(*d->scratch_next));
}

static void say_rest(struct differ *d, const char *where)
{
    if (diff_rest(d))
        diff_say(d, DIFF_UP, where,
                 "differs in a way that has no measure; counted as up");
}

/* Longer is riskier; words name both. */
static void longer(struct differ *d, const char *where, const char *what,
                   int64_t old_ms, int64_t next_ms)
{
    char before[WORDS_SIZE], after[WORDS_SIZE];

    if (old_ms == next_ms)
        return;
    diff_say(d, next_ms > old_ms ? DIFF_UP : DIFF_DOWN, where,
             "%s, %s instead of %s", what, words_duration(after, next_ms),
             words_duration(before, old_ms));
}

/* The head ----------------------------------------------------------- */

static void diff_times(struct differ *d)
{
    const struct policy *old = d->old, *next = d->next;
    char before[32], after[32];

    if (strcmp(old->tenant, next->tenant) != 0)
        diff_say(d, DIFF_UP, "policy",
                 "is `%s`, it was `%s`: two policies cannot be compared; "
                 "counted as up",
                 next->tenant, old->tenant);
    if (next->version < old->version)
        diff_say(d, DIFF_UP, "version",
                 "goes back from %llu to %llu; agents take no older version",
                 (unsigned long long)old->version,
                 (unsigned long long)next->version);
    if (old->effective_ms != next->effective_ms)
        diff_say(d, DIFF_SAME, "effective", "holds from %s, it was %s",
                 words_date(after, next->effective_ms),
                 words_date(before, old->effective_ms));
    if (old->expires_ms != next->expires_ms)
        diff_say(d,
                 next->expires_ms > old->expires_ms ||
                         next->expires_ms == WHEN_NONE
                     ? DIFF_UP
                     : DIFF_DOWN,
                 "expires", "agents collect until %s, it was %s",
                 words_date(after, next->expires_ms),
                 words_date(before, old->expires_ms));
    longer(d, "sources.session_timeout",
           "a visit, whose events are linked, ends after a pause",
           old->session_timeout_ms, next->session_timeout_ms);
    longer(d, "retention.spool", "a device holds sealed batches", old->spool_ms,
           next->spool_ms);
    scratch_clear(d);
    *d->scratch_old = *old;
    *d->scratch_next = *next;
    for (int i = 0; i < 2; i++) {
        struct policy *p = i ? d->scratch_next : d->scratch_old;

        memset(p->tenant, 0, sizeof(p->tenant));
        memset(p->previous, 0, sizeof(p->previous));
        p->version = 1;
        p->effective_ms = p->expires_ms = 0;
        p->session_timeout_ms = p->spool_ms = 0;
        p->signers_needed = p->signer_count = 0;
        p->key_count = p->purpose_count = 0;
        p->event_count = 0;
    }
    say_rest(d, "policy");
}

static const struct policy_signer *signer_in(const struct policy *p,
                                             const char *name)
{
    for (int i = 0; i < p->signer_count; i++)
        if (strcmp(p->signers[i].name, name) == 0)
            return &p->signers[i];
    return NULL;
}

/* A signer of a YAML whose key was not given: one byte, repeated (compile.c),
 * which is no public key. */
static bool stands_in(const struct policy_signer *s)
{
    for (int i = 1; i < PK_SIZE; i++)
        if (s->pk[i] != s->pk[0])
            return false;
    return true;
}

static void diff_signers(struct differ *d)
{
    const struct policy *old = d->old, *next = d->next;
    char where[NAME_MAX_SIZE + 32];

    if (old->signers_needed != next->signers_needed)
        diff_say(
            d, next->signers_needed < old->signers_needed ? DIFF_UP : DIFF_DOWN,
            "signers.need", "%d must sign, it was %d",
            (int)next->signers_needed, (int)old->signers_needed);
    for (int i = 0; i < old->signer_count; i++) {
        const struct policy_signer *was = &old->signers[i];
        const struct policy_signer *is = signer_in(next, was->name);

        snprintf(where, sizeof(where), "signers.%s", was->name);
        if (!is)
            diff_say(d, DIFF_UP, where,
                     "is no signer any more: one pair of eyes less");
        else if (!stands_in(was) && !stands_in(is) &&
                 memcmp(was->pk, is->pk, PK_SIZE) != 0)
            diff_say(d, DIFF_UP, where, "signs with another key");
    }
    for (int i = 0; i < next->signer_count; i++) {
        snprintf(where, sizeof(where), "signers.%s", next->signers[i].name);
        if (!signer_in(old, next->signers[i].name))
            diff_say(d, DIFF_UP, where, "is a new signer, who may approve");
    }
}

/* Keys --------------------------------------------------------------- */

static const struct policy_key *key_in(const struct policy *p, const char *name)
{
    for (int i = 0; i < p->key_count; i++)
        if (strcmp(p->keys[i].name, name) == 0)
            return &p->keys[i];
    return NULL;
}

static void diff_key(struct differ *d, const struct policy_key *old,
                     const struct policy_key *next)
{
    char where[NAME_MAX_SIZE + 16], before[WORDS_SIZE], after[WORDS_SIZE];
    bool up = next->epoch_ms == 0 ||
              (old->epoch_ms != 0 && next->epoch_ms > old->epoch_ms);

    snprintf(where, sizeof(where), "keys.%s", old->name);
    if (old->epoch_ms != next->epoch_ms)
        diff_say(d, up ? DIFF_UP : DIFF_DOWN, where,
                 "its pseudonyms can be linked %s, it was %s",
                 words_epoch(after, next->epoch_ms),
                 words_epoch(before, old->epoch_ms));
    if (old->epoch_ms != 0 && next->epoch_ms != 0)
        longer(d, where, "its old keys, with which guesses can be tested, live",
               old->destroy_ms, next->destroy_ms);
    scratch_clear(d);
    d->scratch_old->key_count = d->scratch_next->key_count = 1;
    d->scratch_old->keys[0] = *old;
    d->scratch_next->keys[0] = *next;
    d->scratch_next->keys[0].epoch_ms = old->epoch_ms;
    d->scratch_next->keys[0].destroy_ms = old->destroy_ms;
    say_rest(d, where);
}

static void diff_keys(struct differ *d)
{
    char where[NAME_MAX_SIZE + 16];

    for (int i = 0; i < d->old->key_count; i++) {
        const struct policy_key *old = &d->old->keys[i];
        const struct policy_key *next = key_in(d->next, old->name);

        snprintf(where, sizeof(where), "keys.%s", old->name);
        if (next)
            diff_key(d, old, next);
        else
            diff_say(d, DIFF_DOWN, where, "is no longer on the devices");
    }
    for (int i = 0; i < d->next->key_count; i++) {
        char epoch[WORDS_SIZE];
        const struct policy_key *next = &d->next->keys[i];

        snprintf(where, sizeof(where), "keys.%s", next->name);
        if (!key_in(d->old, next->name))
            diff_say(d, DIFF_SAME, where,
                     "is new; its pseudonyms can be linked %s (the fields "
                     "that use it are listed themselves)",
                     words_epoch(epoch, next->epoch_ms));
    }
}

/* Purposes ----------------------------------------------------------- */

static void diff_consent(struct differ *d, const char *where,
                         const struct policy_purpose *old,
                         const struct policy_purpose *next)
{
    if (old->basis != next->basis)
        diff_say(d,
                 next->basis == BASIS_CONSENT && next->needs_consent ? DIFF_DOWN
                                                                     : DIFF_UP,
                 where, "rests on %s, it was %s%s", words_basis(next->basis),
                 words_basis(old->basis),
                 next->basis == BASIS_CONSENT || old->basis == BASIS_CONSENT
                     ? ""
                     : ": two bases cannot be compared; counted as up");
    if (old->needs_consent != next->needs_consent)
        diff_say(d, next->needs_consent ? DIFF_DOWN : DIFF_UP, where,
                 next->needs_consent ? "asks for consent now"
                                     : "asks nobody for consent any more");
}

static void diff_purpose(struct differ *d, const struct policy_purpose *old,
                         const struct policy_purpose *next)
{
    char where[NAME_MAX_SIZE + 16];
    char before[2 * WORDS_SIZE], after[2 * WORDS_SIZE];
    struct policy_purpose *made = &d->scratch_next->purposes[0];
    bool up =
        next->retention_ms == 0 ||
        (old->retention_ms != 0 && next->retention_ms > old->retention_ms);

    snprintf(where, sizeof(where), "purposes.%s", old->name);
    diff_consent(d, where, old, next);
    if (old->retention_ms != next->retention_ms)
        diff_say(d, up ? DIFF_UP : DIFF_DOWN, where, "keeps %s, it was %s",
                 words_retention(after, next->retention_ms),
                 words_retention(before, old->retention_ms));
    scratch_clear(d);
    d->scratch_old->purpose_count = d->scratch_next->purpose_count = 1;
    d->scratch_old->purposes[0] = *old;
    *made = *next;
    made->basis = old->basis;
    made->needs_consent = old->needs_consent;
    made->retention_ms = old->retention_ms;
    say_rest(d, where);
}

static void diff_purposes(struct differ *d)
{
    const struct policy *old = d->old, *next = d->next;
    char where[NAME_MAX_SIZE + 16];

    for (int i = 0; i < old->purpose_count; i++) {
        int at = policy_purpose_find(next, span_text(old->purposes[i].name));

        snprintf(where, sizeof(where), "purposes.%s", old->purposes[i].name);
        if (at >= 0)
            diff_purpose(d, &old->purposes[i], &next->purposes[at]);
        else
            diff_say(d, DIFF_SAME, where,
                     "is gone (events and fields under it are listed "
                     "themselves)");
    }
    for (int i = 0; i < next->purpose_count; i++) {
        const struct policy_purpose *purpose = &next->purposes[i];

        snprintf(where, sizeof(where), "purposes.%s", purpose->name);
        if (policy_purpose_find(old, span_text(purpose->name)) < 0)
            diff_say(d, DIFF_SAME, where,
                     "is new, on the basis of %s%s (events and fields under "
                     "it are listed themselves)",
                     words_basis(purpose->basis),
                     purpose->needs_consent ? ", with consent" : "");
    }
}

/* Events ------------------------------------------------------------- */

static const struct policy_field *field_in(const struct policy_event *e,
                                           const char *name)
{
    for (int i = 0; i < e->field_count; i++)
        if (strcmp(e->fields[i].name, name) == 0)
            return &e->fields[i];
    return NULL;
}

static void diff_event_itself(struct differ *d, const struct policy_event *old,
                              const struct policy_event *next)
{
    const char *was = d->old->purposes[old->purpose].name;
    const char *is = d->next->purposes[next->purpose].name;
    struct policy_event before = *old, after = *next;

    if (strcmp(was, is) != 0)
        diff_say(d, DIFF_UP, old->name,
                 "is taken under the purpose `%s`, it was `%s`: two purposes "
                 "cannot be compared; counted as up",
                 is, was);
    if (old->role != next->role)
        diff_say(d, DIFF_UP, old->name,
                 "means `%s` to the platform, it was `%s`; counted as up",
                 event_role_name(next->role), event_role_name(old->role));
    after.role = before.role;
    after.purpose = before.purpose;
    memcpy(after.name, before.name, sizeof(after.name));
    before.field_count = after.field_count = 0;
    scratch_clear(d);
    d->scratch_old->event_count = d->scratch_next->event_count = 1;
    d->scratch_old->events = &before;
    d->scratch_next->events = &after;
    say_rest(d, old->name);
}

static void diff_event(struct differ *d, const struct policy_event *old,
                       const struct policy_event *next)
{
    diff_event_itself(d, old, next);
    for (int i = 0; i < old->field_count; i++) {
        const struct policy_field *f = field_in(next, old->fields[i].name);

        if (f)
            diff_field(d, old->name, &old->fields[i], f);
        else
            diff_field_gone(d, old->name, &old->fields[i]);
    }
    for (int i = 0; i < next->field_count; i++)
        if (!field_in(old, next->fields[i].name))
            diff_field_new(d, next->name, &next->fields[i]);
}

static const struct policy_event *event_in(const struct policy *p,
                                           const char *name)
{
    int i = policy_event_find(p, span_text(name));

    return i >= 0 ? &p->events[i] : NULL;
}

static void diff_events(struct differ *d)
{
    for (int i = 0; i < d->old->event_count; i++) {
        const struct policy_event *old = &d->old->events[i];
        const struct policy_event *next = event_in(d->next, old->name);

        if (next)
            diff_event(d, old, next);
        else
            diff_say(d, DIFF_DOWN, old->name, "is no longer taken");
    }
    for (int i = 0; i < d->next->event_count; i++) {
        const struct policy_event *next = &d->next->events[i];

        if (event_in(d->old, next->name))
            continue;
        diff_say(d, DIFF_UP, next->name,
                 "is a new event, taken under the purpose `%s`, with %d fields",
                 d->next->purposes[next->purpose].name, (int)next->field_count);
        for (int f = 0; f < next->field_count; f++)
            diff_field_new(d, next->name, &next->fields[f]);
    }
}

enum sotto_err diff_run(struct diff *out, const struct policy *old,
                        const struct policy *next)
{
    struct differ d = {out, old, next, calloc(1, sizeof(*old)),
                       calloc(1, sizeof(*next))};
    enum sotto_err err = SOTTO_ENOMEM;

    memset(out, 0, sizeof(*out));
    if (d.scratch_old && d.scratch_next) {
        diff_times(&d);
        diff_signers(&d);
        diff_keys(&d);
        diff_purposes(&d);
        diff_events(&d);
        err = SOTTO_OK;
    }
    free(d.scratch_old);
    free(d.scratch_next);
    return err;
}
