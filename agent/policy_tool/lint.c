/* The rules on a policy's head, its purposes and its keys. Those on events are
 * in lint_event.c, those on fields in lint_field.c, what is known of names in
 * lint_words.c. */
#include "agent/policy_tool/lint_parts.h"

#include "agent/policy_tool/lint_words.h"
#include "agent/policy_tool/words.h"

#include <stdio.h>

#define MONTH_MS (30 * DAY_MS)
#define YEAR_MS (365 * DAY_MS)
#define EXPIRES_MS_MAX (2 * YEAR_MS + DAY_MS) /* with a leap day */
#define SPOOL_MS_MAX (90 * DAY_MS)
#define SESSION_MS_MAX (DAY_MS / 6)

/* The longest retention that passes unremarked, by basis: 25 months is the
 * French authority's limit for audience measurement (CNIL, guidelines of
 * 2020-09-17, article 5); 30 years the longest limitation period of claims
 * (German Civil Code, section 197). */
static const int64_t retention_ms_max[BASIS_COUNT] = {
    [BASIS_CONSENT] = 25 * MONTH_MS + 20 * DAY_MS,
    [BASIS_LEGITIMATE_INTEREST] = 25 * MONTH_MS + 20 * DAY_MS,
    [BASIS_CONTRACT] = 30 * YEAR_MS,
    [BASIS_LEGAL_OBLIGATION] = 30 * YEAR_MS,
};

void lint_say(struct lint *l, struct place place, const char *rule,
              const char *where, const char *format, ...)
{
    struct lint_finding *f;
    va_list args;

    if (l->count++ >= LINT_FINDINGS_MAX)
        return;
    f = &l->findings[l->count - 1];
    f->place = place;
    f->rule = rule;
    snprintf(f->where, sizeof(f->where), "%s", where);
    va_start(args, format);
    text_vprint(f->text, sizeof(f->text), format, args);
    va_end(args);
}

/* The head ----------------------------------------------------------- */

static bool asks_for_consent(const struct policy *p)
{
    for (int i = 0; i < p->purpose_count; i++)
        if (p->purposes[i].needs_consent)
            return true;
    return false;
}

static void lint_head(struct lint *l, const struct compiled *c)
{
    const struct policy *p = c->policy;
    char longest[WORDS_SIZE];

    if (p->expires_ms - p->effective_ms > EXPIRES_MS_MAX)
        lint_say(l, c->expires, "late-expiry", "expires",
                 "is over two years after `effective`; choose an earlier "
                 "date, so that somebody looks at the policy again");
    if (p->signers_needed == 1 && p->signer_count > 1 && asks_for_consent(p))
        lint_say(l, c->signers, "one-signer", "signers.need",
                 "lets one of %d signers alone change what people consented "
                 "to; write `need: 2`",
                 (int)p->signer_count);
    if (p->session_timeout_ms > SESSION_MS_MAX)
        lint_say(l, c->session_timeout, "long-session",
                 "sources.session_timeout",
                 "is over %s, so that one number links a whole day; write "
                 "PT30M",
                 words_duration(longest, SESSION_MS_MAX));
    if (p->spool_ms > SPOOL_MS_MAX)
        lint_say(l, c->spool, "long-spool", "retention.spool",
                 "lets a device hold what it could not deliver for over %s; "
                 "write P30D",
                 words_duration(longest, SPOOL_MS_MAX));
}

/* Purposes ----------------------------------------------------------- */

static bool purpose_used(const struct policy *p, int purpose)
{
    for (int e = 0; e < p->event_count; e++) {
        if (p->events[e].purpose == purpose)
            return true;
        for (int f = 0; f < p->events[e].field_count; f++)
            if (p->events[e].fields[f].purpose == purpose)
                return true;
    }
    return false;
}

static void lint_interest(struct lint *l, const struct compiled *c, int i,
                          const char *where)
{
    const struct policy_purpose *purpose = &c->policy->purposes[i];

    if (purpose->basis != BASIS_LEGITIMATE_INTEREST)
        return;
    if (!c->assessments[i][0] && c->top.line > 0) /* only the YAML has it */
        lint_say(l, c->purposes[i], "no-assessment", where,
                 "rests on legitimate interest, which must be weighed against "
                 "people's own (GDPR, article 6(1)(f)); add `assessment: "
                 "NAME` of the document that does");
    if (purpose_is_marketing(purpose->name))
        lint_say(l, c->purposes[i], "marketing-interest", where,
                 "is marketing by its name, under legitimate interest; write "
                 "`basis: consent, consent: given`");
}

static void lint_retention(struct lint *l, const struct compiled *c, int i,
                           const char *where)
{
    const struct policy_purpose *purpose = &c->policy->purposes[i];
    char longest[32];

    duration_format(longest, retention_ms_max[purpose->basis]);
    if (purpose->retention_ms == 0)
        lint_say(l, c->purposes[i], "no-retention", where,
                 "has no retention, so its data is kept for good; add "
                 "`retention: P13M`");
    else if (purpose->retention_ms > retention_ms_max[purpose->basis])
        lint_say(l, c->purposes[i], "long-retention", where,
                 "is kept longer than %s, which is long for the basis %s; "
                 "shorten it",
                 longest, basis_name((enum basis)purpose->basis));
}

static void lint_purpose(struct lint *l, const struct compiled *c, int i)
{
    const struct policy_purpose *purpose = &c->policy->purposes[i];
    char where[NAME_MAX_SIZE + 16];

    snprintf(where, sizeof(where), "purposes.%s", purpose->name);
    lint_interest(l, c, i, where);
    lint_retention(l, c, i, where);
    if (!purpose_used(c->policy, i))
        lint_say(l, c->purposes[i], "unused-purpose", where, "%s; remove it",
                 purpose->needs_consent
                     ? "asks people for a consent that nothing uses"
                     : "is used by no event and no field");
}

/* Keys --------------------------------------------------------------- */

static bool key_used(const struct policy *p, int key)
{
    for (int i = 0; i < p->id_count; i++)
        if (p->ids[i].key == key)
            return true;
    return false;
}

static void lint_key(struct lint *l, const struct compiled *c, int i)
{
    char where[NAME_MAX_SIZE + 16];

    if (key_used(c->policy, i))
        return;
    snprintf(where, sizeof(where), "keys.%s", c->policy->keys[i].name);
    lint_say(l, c->keys[i], "unused-key", where,
             "is used by no field, yet would be on every device; remove it");
}

void lint_run(struct lint *out, const struct compiled *c)
{
    const struct policy *p = c->policy;

    out->count = 0;
    lint_head(out, c);
    for (int i = 0; i < p->purpose_count; i++)
        lint_purpose(out, c, i);
    for (int i = 0; i < p->key_count; i++)
        lint_key(out, c, i);
    for (int e = 0; e < p->event_count; e++) {
        lint_event(out, c, e);
        for (int f = 0; f < p->events[e].field_count; f++)
            lint_field(out, c, e, f);
    }
}
