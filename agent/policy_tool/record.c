/* Sections in the order of article 30(1)(a) to (g), then those of article
 * 35(7). Each is a function that adds its lines; the first error stays. */
#include "agent/policy_tool/record.h"

#include "agent/policy_tool/explain.h"
#include "agent/policy_tool/lint.h"
#include "agent/policy_tool/words.h"

#include <stdlib.h>

struct record {
    struct buf *out;
    const struct compiled *compiled;
    const struct policy *policy;
    enum sotto_err err;
};

#define SAY(r, ...)                                                            \
    do {                                                                       \
        if (!(r)->err)                                                         \
            (r)->err = words_add((r)->out, __VA_ARGS__);                       \
    } while (0)

static void say_head(struct record *r)
{
    const struct policy *p = r->policy;
    char from[32], to[32], hash[2 * HASH_SIZE + 1];

    sodium_bin2hex(hash, sizeof(hash), p->hash, HASH_SIZE);
    SAY(r,
        "# Record of processing activities: %s\n\n"
        "GDPR, article 30(1). Drawn from version %llu of the policy, in force "
        "from %s to %s. The policy says what may leave a device and under "
        "which purpose; what it does not say is marked " RECORD_TO_FILL_IN
        ".\n\n",
        p->tenant, (unsigned long long)p->version,
        words_date(from, p->effective_ms), words_date(to, p->expires_ms));
    if (r->compiled->top.line == 0)
        SAY(r, "Policy hash: `blake2b:%s`\n\n", hash);
    else
        SAY(r, "From the officer's YAML: the hash that is signed is printed "
               "by `sotto-policy build`.\n\n");
}

static void say_controller(struct record *r)
{
    static const char *const lines[] = {
        "Controller, name and address", "Joint controllers, if any",
        "Representative in the Union, if any",
        "Data protection officer, name and contact"};

    SAY(r, "## (a) Controller\n\n");
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        SAY(r, "- %s: " RECORD_TO_FILL_IN "\n", lines[i]);
    SAY(r, "- Who signs the policy (%d must):", (int)r->policy->signers_needed);
    for (int i = 0; i < r->policy->signer_count; i++)
        SAY(r, "%s %s", i ? "," : "", r->policy->signers[i].name);
    SAY(r, "\n\n");
}

/* Purposes ----------------------------------------------------------- */

static void say_events(struct record *r, int purpose)
{
    const struct policy *p = r->policy;
    bool first = true;

    for (int e = 0; e < p->event_count; e++) {
        const struct policy_event *event = &p->events[e];
        bool here = event->purpose == purpose;

        for (int f = 0; !here && f < event->field_count; f++)
            here = event->fields[f].purpose == purpose;
        if (!here)
            continue;
        SAY(r, "%s%s", first ? "" : ", ", event->name);
        first = false;
    }
    if (first)
        SAY(r, "none");
}

static void say_purposes(struct record *r)
{
    const struct policy *p = r->policy;
    char kept[2 * WORDS_SIZE];

    SAY(r, "## (b) Purposes\n\n"
           "| purpose | in words | basis | consent | assessment | kept | "
           "events |\n|---|---|---|---|---|---|---|\n");
    for (int i = 0; i < p->purpose_count; i++) {
        const struct policy_purpose *purpose = &p->purposes[i];
        const char *assessment = r->compiled->assessments[i];
        bool weighed = purpose->basis == BASIS_LEGITIMATE_INTEREST;

        SAY(r, "| %s | " RECORD_TO_FILL_IN " | %s (%s) | %s | %s | %s | ",
            purpose->name, words_basis(purpose->basis),
            words_article(purpose->basis),
            purpose->needs_consent ? "asked" : "not asked",
            assessment[0] ? assessment
            : weighed     ? RECORD_TO_FILL_IN
                          : "-",
            words_retention(kept, purpose->retention_ms));
        say_events(r, i);
        SAY(r, " |\n");
    }
    SAY(r, "\n");
}

/* Data --------------------------------------------------------------- */

static bool same_data(const struct policy_field *a,
                      const struct policy_field *b)
{
    return a->action == b->action && a->purpose == b->purpose &&
           a->type == b->type && strcmp(a->name, b->name) == 0 &&
           strcmp(a->from, b->from) == 0;
}

static bool said_before(const struct policy *p, int event, int field)
{
    const struct policy_field *f = &p->events[event].fields[field];

    for (int e = 0; e <= event; e++)
        for (int g = 0; g < p->events[e].field_count; g++) {
            if (e == event && g == field)
                return false;
            if (same_data(&p->events[e].fields[g], f))
                return true;
        }
    return false;
}

static void say_data(struct record *r)
{
    const struct policy *p = r->policy;

    SAY(r, "## (c) Data subjects and data\n\n"
           "- Data subjects: those who use the devices, such as visitors and "
           "customers; which, and whether children are among "
           "them: " RECORD_TO_FILL_IN "\n\n"
           "| field | from | leaves as | purpose | what it reveals |\n"
           "|---|---|---|---|---|\n");
    for (int e = 0; e < p->event_count; e++)
        for (int f = 0; f < p->events[e].field_count; f++) {
            const struct policy_field *field = &p->events[e].fields[f];

            if (said_before(p, e, f))
                continue;
            SAY(r, "| %s | %s | %s (%s) | %s | %s |\n", field->name,
                field->from[0] ? field->from : "the event itself",
                action_rows[field->action].makes,
                action_rows[field->action].name,
                p->purposes[field->purpose].name,
                action_rows[field->action].reveals);
        }
    SAY(r,
        "\n%s\n\nWhether any of it is of a special category (article "
        "9): " RECORD_TO_FILL_IN "\n\n",
        explain_never);
}

/* Recipients, retention, security ------------------------------------ */

static void say_recipients(struct record *r)
{
    SAY(r, "## (d), (e) Recipients and third countries\n\n"
           "- The controller's own aggregator, which alone can open the "
           "batches of the agents.\n"
           "- Processors (hosting, maintenance) and others who are given "
           "reports or lists: " RECORD_TO_FILL_IN "\n"
           "- Transfers to third countries and their "
           "safeguards: " RECORD_TO_FILL_IN "\n\n");
}

static void say_retention(struct record *r)
{
    const struct policy *p = r->policy;
    char kept[2 * WORDS_SIZE], spool[WORDS_SIZE];

    SAY(r, "## (f) Time limits for erasure\n\n");
    for (int i = 0; i < p->purpose_count; i++)
        SAY(r, "- %s: %s\n", p->purposes[i].name,
            words_retention(kept, p->purposes[i].retention_ms));
    SAY(r,
        "- On a device, sealed and not yet delivered: at most %s\n"
        "- Backups of the aggregator: " RECORD_TO_FILL_IN "\n\n",
        words_duration(spool, p->spool_ms));
}

static void say_security(struct record *r)
{
    const struct policy *p = r->policy;

    SAY(r,
        "## (g) Technical and organisational measures\n\n"
        "- Minimisation on the device: what the policy does not list is "
        "neither stored nor sent.\n"
        "- The policy is signed by %d of %d; agents take no other, and after "
        "its expiry they collect nothing.\n"
        "- Identifiers become keyed hashes (BLAKE2b) before anything is "
        "stored. The aggregator never has the keys.\n",
        (int)p->signers_needed, (int)p->signer_count);
    SAY(r,
        "- Batches are sealed to the aggregator (X25519) and signed by the "
        "agent (Ed25519), on the device's disk and on the way.\n"
        "- Consent is looked at for each event; not known counts as none.\n"
        "- Access to the aggregator, to its backups, and to the officer's "
        "keys: " RECORD_TO_FILL_IN "\n"
        "- Physical security, training, incident response: " RECORD_TO_FILL_IN
        "\n\n");
}

/* The draft assessment ----------------------------------------------- */

/* Ids that stay the same, which make a profile possible. */
static void say_stable(struct record *r)
{
    const struct policy *p = r->policy;
    bool any = false;

    for (int i = 0; i < p->id_count; i++) {
        char epoch[WORDS_SIZE];
        const struct policy_key *key = &p->keys[p->ids[i].key];

        SAY(r, "- `%s` under the key `%s` can be linked %s.\n", p->ids[i].from,
            key->name, words_epoch(epoch, key->epoch_ms));
        any = true;
    }
    if (!any)
        SAY(r, "- No pseudonym is made: records of one person are linked by "
               "nothing but a visit's number.\n");
}

static bool has_role(const struct policy *p, enum role role)
{
    for (int e = 0; e < p->event_count; e++)
        if (p->events[e].by_role[role] != FIELD_NONE)
            return true;
    return false;
}

/* The nine criteria of the Article 29 working party (WP 248 rev.01, III.B):
 * where two are met, an assessment is required as a rule. */
static void say_criteria(struct record *r)
{
    bool profiles = has_role(r->policy, ROLE_SUBJECT);
    bool sessions = has_role(r->policy, ROLE_SESSION);

    SAY(r,
        "### Whether it is required\n\n"
        "Two of these nine as a rule mean that it is (WP 248 rev.01).\n\n"
        "| criterion | what the policy tells |\n|---|---|\n"
        "| evaluation or scoring | %s |\n"
        "| automated decisions with legal effect | " RECORD_TO_FILL_IN " |\n"
        "| systematic monitoring | %s |\n"
        "| sensitive data | " RECORD_TO_FILL_IN " |\n",
        profiles ? "yes: events of one person are joined to a profile"
                 : "no: no field is a person's",
        profiles || sessions ? "yes: what people do is followed over a visit"
                             : "no: events stand alone");
    SAY(r,
        "| large scale | " RECORD_TO_FILL_IN " |\n"
        "| data sets matched | %s |\n"
        "| vulnerable people | " RECORD_TO_FILL_IN " |\n"
        "| new technology | " RECORD_TO_FILL_IN " |\n"
        "| keeps people from a right or service | " RECORD_TO_FILL_IN " |\n\n",
        r->policy->id_count > 1 ? "possible: several ids are made, see below"
                                : "not by this policy");
}

static void say_findings(struct record *r)
{
    struct lint *l = calloc(1, sizeof(*l));

    if (!l) {
        r->err = SOTTO_ENOMEM;
        return;
    }
    lint_run(l, r->compiled);
    SAY(r, "### What `lint` finds\n\n");
    for (uint32_t i = 0; i < l->count && i < LINT_FINDINGS_MAX; i++)
        SAY(r, "- %s %s\n", l->findings[i].where, l->findings[i].text);
    if (l->count == 0)
        SAY(r, "Nothing.\n");
    SAY(r, "\n");
    free(l);
}

static void say_assessment(struct record *r)
{
    SAY(r, "# Draft of an impact assessment\n\n"
           "GDPR, article 35(7). A draft: a person must complete and sign "
           "it.\n\n## (a) Description\n\nSee the record above. Why it is "
           "wanted: " RECORD_TO_FILL_IN "\n\n");
    say_criteria(r);
    SAY(r, "## (b) Necessity and proportionality\n\n"
           "Whether each field is needed for its purpose, and whether a "
           "coarser one would do: " RECORD_TO_FILL_IN "\n\n"
           "## (c) Risks for people\n\n### What can be linked\n\n");
    say_stable(r);
    SAY(r, "\nWho holds the keys of a device can test guesses against its "
           "pseudonyms.\n\n");
    say_findings(r);
    SAY(r, "Likelihood and severity, in people's eyes: " RECORD_TO_FILL_IN
           "\n\n## (d) Measures\n\nSee (g) of the record. What remains, and "
           "who accepts it: " RECORD_TO_FILL_IN "\n\n");
}

static void say_unknown(struct record *r)
{
    SAY(r, "# What this does not know\n\n"
           "- How many people are unique in the real data: that takes the "
           "stored data, not the policy.\n"
           "- Whether budgets of noisy counts were spent.\n"
           "- What is in a field whose path does not tell, such as an id that "
           "is a phone number.\n"
           "- Whether an assessment that is named exists, and what it says.\n"
           "- What else the controller does with these data, or with other "
           "systems.\n");
}

enum sotto_err record_write(struct buf *out, const struct compiled *c)
{
    struct record r = {out, c, c->policy, SOTTO_OK};

    say_head(&r);
    say_controller(&r);
    say_purposes(&r);
    say_data(&r);
    say_recipients(&r);
    say_retention(&r);
    say_security(&r);
    say_assessment(&r);
    say_unknown(&r);
    return r.err;
}
