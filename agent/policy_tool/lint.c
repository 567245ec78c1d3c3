/* The rules. Those about a field are an array of functions that each look at
 * one field; adding a rule adds a row. */
#include "agent/policy_tool/lint.h"

#include "base/when.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MONTH_MS (30 * DAY_MS)
#define YEAR_MS (365 * DAY_MS)
#define EXPIRES_MS_MAX (2 * YEAR_MS + DAY_MS) /* with a leap day */

/* To hash one guess on one core: keyed BLAKE2b of an id. */
#define GUESS_NS 300

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

/* Last names of paths that tell who somebody is. values: how many there are,
 * where that is few enough to try them all; 0 otherwise. */
static const struct identifier {
    const char *name; /* lower case, without _ and - */
    uint64_t values;
    const char *all; /* "all mobile numbers of a country" */
} identifiers[] = {
    {"userid", 0, NULL},
    {"anonymousid", 0, NULL},
    {"previousid", 0, NULL},
    {"customerid", 0, NULL},
    {"username", 0, NULL},
    {"email", 0, NULL},
    {"phone", 6000000000, "all mobile numbers of a country"},
    {"phonenumber", 6000000000, "all mobile numbers of a country"},
    {"mobile", 6000000000, "all mobile numbers of a country"},
    {"ip", UINT64_C(1) << 32, "all IPv4 addresses"},
    {"ipaddress", UINT64_C(1) << 32, "all IPv4 addresses"},
    {"ssn", 1000000000, "all nine-digit national numbers"},
    {"nationalid", 1000000000, "all nine-digit national numbers"},
    {"birthday", 40000, "all birthdays of a century"},
    {"birthdate", 40000, "all birthdays of a century"},
    {"dateofbirth", 40000, "all birthdays of a century"},
    {"postalcode", 2000000, "all postcodes of a country"},
    {"zip", 100000, "all postcodes of a country"},
    {"firstname", 0, NULL},
    {"lastname", 0, NULL},
    {"fullname", 0, NULL},
    {"address", 0, NULL},
    {"street", 0, NULL},
    {"password", 0, NULL},
    {"token", 0, NULL},
    {"deviceid", 0, NULL},
    {"advertisingid", 0, NULL},
    {"imei", 0, NULL},
    {"macaddress", 0, NULL},
    {"useragent", 0, NULL},
    {"iban", 0, NULL},
    {"cardnumber", 0, NULL},
    {"latitude", 0, NULL},
    {"longitude", 0, NULL},
};

/* One field, with all it belongs to. */
struct field_at {
    struct lint *lint;
    const struct policy *policy;
    const struct policy_event *event;
    const struct policy_field *field;
    struct place place;
};

__attribute__((format(printf, 5, 6))) static void
finding(struct lint *l, struct place place, const char *rule, const char *where,
        const char *format, ...)
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

#define FIELD_FINDING(at, rule, ...)                                           \
    do {                                                                       \
        char where_[2 * NAME_MAX_SIZE + 2];                                    \
        snprintf(where_, sizeof(where_), "%s.%s", (at)->event->name,           \
                 (at)->field->name);                                           \
        finding((at)->lint, (at)->place, rule, where_, __VA_ARGS__);           \
    } while (0)

static const struct identifier *identifier_of(const char *path)
{
    char name[PATH_MAX_SIZE + 1];
    const char *dot = strrchr(path, '.');
    size_t size = 0;

    for (const char *c = dot ? dot + 1 : path; *c; c++)
        if (*c != '_' && *c != '-')
            name[size++] = (char)tolower((unsigned char)*c);
    name[size] = '\0';
    for (size_t i = 0; i < sizeof(identifiers) / sizeof(identifiers[0]); i++)
        if (strcmp(identifiers[i].name, name) == 0)
            return &identifiers[i];
    return NULL;
}

static bool path_ends(const char *path, const char *end)
{
    size_t size = strlen(path), end_size = strlen(end);

    return size >= end_size && strcmp(path + size - end_size, end) == 0;
}

/* Rules on a field --------------------------------------------------- */

static void kept_identifier(const struct field_at *at)
{
    const char *from = at->field->from;

    if (at->field->action == ACTION_KEEP &&
        (identifier_of(from) || path_ends(from, "traits.name")))
        FIELD_FINDING(at, "kept-identifier",
                      "keeps `%s`, which looks like an identifier; use the "
                      "action pseudonym, or drop it",
                      from);
}

static void free_text(const struct field_at *at)
{
    static const char *const canaries[] = {"ann@example.com",
                                           "ann.lee@mail.example.com"};
    const struct policy_field *f = at->field;

    if (f->action != ACTION_KEEP || f->type != TYPE_TEXT)
        return;
    if (!f->pattern) {
        FIELD_FINDING(at, "free-text",
                      "keeps free text, in which people write anything; add a "
                      "pattern such as \"[A-Za-z0-9 _-]{1,32}\"");
        return;
    }
    for (size_t i = 0; i < sizeof(canaries) / sizeof(canaries[0]); i++)
        if (pattern_match(f->pattern, span_text(canaries[i]))) {
            FIELD_FINDING(at, "wide-pattern",
                          "has a pattern that lets e-mail addresses through; "
                          "take `@` out of it");
            return;
        }
}

static bool stable(const struct field_at *at)
{
    return at->field->action == ACTION_PSEUDONYM &&
           at->policy->keys[at->field->key].epoch_ms == 0;
}

static void low_entropy(const struct field_at *at)
{
    const struct identifier *id;
    uint64_t seconds;

    if (!stable(at))
        return;
    id = identifier_of(at->field->from);
    if (!id || id->values == 0)
        return;
    seconds = id->values * GUESS_NS / 1000000000;
    FIELD_FINDING(
        at, "low-entropy",
        "is a stable pseudonym of `%s`: who holds the key of one "
        "device tries %s in %llu %s on one core; drop it, or use "
        "an id that cannot be guessed",
        at->field->from, id->all,
        (unsigned long long)(seconds < 120 ? seconds + 1 : seconds / 60),
        seconds < 120 ? "s" : "minutes");
}

static void case_differs(const struct field_at *at)
{
    const struct identifier *id = identifier_of(at->field->from);

    if (at->field->action == ACTION_PSEUDONYM && id &&
        strcmp(id->name, "email") == 0 &&
        at->field->normalize != NORMALIZE_LOWER)
        FIELD_FINDING(at, "case",
                      "makes two pseudonyms of one address in two spellings; "
                      "add `normalize: lower`");
}

/* The first pseudonym under a key says what the key is for. */
static void shared_key(const struct field_at *at)
{
    const struct policy *p = at->policy;
    const struct policy_field *f = at->field;

    if (f->action != ACTION_PSEUDONYM)
        return;
    for (int i = 0; i < p->id_count; i++) {
        if (p->ids[i].key != f->key)
            continue;
        if (strcmp(p->ids[i].from, f->from) != 0)
            FIELD_FINDING(at, "shared-key",
                          "uses the key `%s` for `%s`, and `%s` uses it too; "
                          "give each type of id a key of its own",
                          p->keys[f->key].name, f->from, p->ids[i].from);
        return;
    }
}

static void stable_without_consent(const struct field_at *at)
{
    const struct policy_purpose *purpose =
        &at->policy->purposes[at->field->purpose];

    if (!stable(at) || purpose->needs_consent || at->field->role == ROLE_ORDER)
        return;
    if (purpose->basis == BASIS_LEGITIMATE_INTEREST)
        FIELD_FINDING(at, "stable-interest",
                      "is a stable id under legitimate interest (`%s`); move "
                      "it under a purpose with `basis: consent`",
                      purpose->name);
    else if (purpose->basis == BASIS_CONTRACT &&
             at->event->role != EVENT_PURCHASE &&
             at->event->role != EVENT_RETURN)
        FIELD_FINDING(at, "stable-contract",
                      "is a stable id under a contract (`%s`) in an event that "
                      "is no order; a contract covers order records only, so "
                      "move it under a purpose with `basis: consent`",
                      purpose->name);
}

static void exact_time(const struct field_at *at)
{
    if (at->field->action == ACTION_TIME && at->field->round_ms < 1000)
        FIELD_FINDING(at, "exact-time",
                      "is not rounded, and an exact time links records that "
                      "nothing else links; add `round: PT1M`");
}

static void (*const field_rules[])(const struct field_at *at) = {
    kept_identifier,        free_text,  low_entropy,
    case_differs,           shared_key, exact_time,
    stable_without_consent,
};

/* Rules on the rest -------------------------------------------------- */

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

static bool key_used(const struct policy *p, int key)
{
    for (int i = 0; i < p->id_count; i++)
        if (p->ids[i].key == key)
            return true;
    return false;
}

static void lint_purpose(struct lint *l, const struct compiled *c, int i)
{
    const struct policy_purpose *purpose = &c->policy->purposes[i];
    char where[NAME_MAX_SIZE + 16], longest[32];

    snprintf(where, sizeof(where), "purposes.%s", purpose->name);
    duration_format(longest, retention_ms_max[purpose->basis]);
    if (purpose->retention_ms == 0)
        finding(l, c->purposes[i], "no-retention", where,
                "has no retention, so its data is kept for good; add "
                "`retention: P13M`");
    else if (purpose->retention_ms > retention_ms_max[purpose->basis])
        finding(l, c->purposes[i], "long-retention", where,
                "is kept longer than %s, which is long for the basis %s; "
                "shorten it",
                longest, basis_name((enum basis)purpose->basis));
    if (!purpose_used(c->policy, i))
        finding(l, c->purposes[i], "unused-purpose", where, "%s; remove it",
                purpose->needs_consent
                    ? "asks people for a consent that nothing uses"
                    : "is used by no event and no field");
}

void lint_run(struct lint *out, const struct compiled *c)
{
    const struct policy *p = c->policy;

    out->count = 0;
    if (p->expires_ms - p->effective_ms > EXPIRES_MS_MAX)
        finding(out, c->expires, "late-expiry", "expires",
                "is over two years after `effective`; choose an earlier date, "
                "so that somebody looks at the policy again");
    for (int i = 0; i < p->purpose_count; i++)
        lint_purpose(out, c, i);
    for (int i = 0; i < p->key_count; i++)
        if (!key_used(p, i)) {
            char where[NAME_MAX_SIZE + 16];

            snprintf(where, sizeof(where), "keys.%s", p->keys[i].name);
            finding(out, c->keys[i], "unused-key", where,
                    "is used by no field, yet would be on every device; "
                    "remove it");
        }
    for (int e = 0; e < p->event_count; e++)
        for (int f = 0; f < p->events[e].field_count; f++) {
            const struct field_at at = {out, p, &p->events[e],
                                        &p->events[e].fields[f],
                                        c->fields[e][f]};

            for (size_t i = 0; i < sizeof(field_rules) / sizeof(*field_rules);
                 i++)
                field_rules[i](&at);
        }
}
