/* The rules on a field: an array of functions that each look at one; adding a
 * rule adds a row. */
#include "agent/policy_tool/lint_parts.h"

#include "agent/policy_tool/lint_words.h"

#include <stdio.h>

/* To hash one guess on one core: keyed BLAKE2b of an id. */
#define GUESS_NS 300

#define IPV4_MAX 16
#define IPV6_MAX 32
#define EPSILON_MAX 4000000 /* millionths: e^4 = 55 to 1 for the truth */
#define EDGES_MAX 20        /* of a bucket that is still coarse */
#define NARROW_MAX 2        /* neighbouring buckets of one value each */

/* One field, with all it belongs to. */
struct field_at {
    struct lint *lint;
    const struct policy *policy;
    const struct policy_event *event;
    const struct policy_field *field;
    struct place place;
};

#define FIELD_SAYS(at, rule, ...)                                              \
    do {                                                                       \
        char where_[2 * NAME_MAX_SIZE + 2];                                    \
        snprintf(where_, sizeof(where_), "%s.%s", (at)->event->name,           \
                 (at)->field->name);                                           \
        lint_say((at)->lint, (at)->place, rule, where_, __VA_ARGS__);          \
    } while (0)

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
        FIELD_SAYS(at, "kept-identifier",
                   "keeps `%s`, which looks like an identifier; use the "
                   "action pseudonym, or drop it",
                   from);
}

/* Texts that nothing but free text holds. */
static bool lets_through(const struct policy_field *f, const char *text)
{
    return !f->pattern || pattern_match(f->pattern, span_text(text));
}

static void free_text(const struct field_at *at)
{
    const struct policy_field *f = at->field;

    if (f->action != ACTION_KEEP || f->type != TYPE_TEXT)
        return;
    if (!f->pattern)
        FIELD_SAYS(at, "free-text",
                   "keeps free text, in which people write anything; add a "
                   "pattern such as \"[A-Za-z0-9 _-]{1,32}\"");
    else if (path_is_prose(f->from) && lets_through(f, "ann lee"))
        FIELD_SAYS(at, "free-text",
                   "keeps `%s`, in which people write sentences, and its "
                   "pattern takes names; drop it, or list the values it may "
                   "have",
                   f->from);
}

/* A label of the catalogue (name, category, brand) may be long; the shop wrote
 * it. */
static bool shop_wrote_it(const struct policy_field *f)
{
    return f->role == ROLE_NAME || f->role == ROLE_CATEGORY ||
           f->role == ROLE_BRAND || f->role == ROLE_ITEM ||
           f->role == ROLE_VARIANT;
}

static void wide_pattern(const struct field_at *at)
{
    const struct policy_field *f = at->field;

    if (f->action != ACTION_KEEP || f->type != TYPE_TEXT || !f->pattern)
        return;
    if (lets_through(f, "ann@example.com") ||
        lets_through(f, "ann.lee@mail.example.com"))
        FIELD_SAYS(at, "wide-pattern",
                   "has a pattern that lets e-mail addresses through; take "
                   "`@` out of it");
    else if (!shop_wrote_it(f) &&
             lets_through(f, "my name is ann lee please call me back today"))
        FIELD_SAYS(at, "wide-pattern",
                   "has a pattern that lets whole sentences through, which is "
                   "free text; allow fewer characters, or no spaces");
}

static void kept_address(const struct field_at *at)
{
    const struct policy_field *f = at->field;

    if (f->action == ACTION_KEEP && f->type == TYPE_TEXT &&
        path_is_address(f->from) &&
        lets_through(f, "https://a.example/b?token=1"))
        FIELD_SAYS(at, "kept-address",
                   "keeps `%s`, whose query may hold names and secrets; keep "
                   "context.page.path instead, or take `?` out of the pattern",
                   f->from);
}

static void kept_order(const struct field_at *at)
{
    const struct policy_field *f = at->field;

    if (f->action == ACTION_KEEP &&
        (f->role == ROLE_ORDER || path_is_order(f->from)))
        FIELD_SAYS(at, "kept-order",
                   "keeps `%s` in the clear, by which the shop's own files "
                   "name the customer; use the action pseudonym with a key of "
                   "its own",
                   f->from);
}

/* Buckets of one value each keep the value. */
static void fine_buckets(const struct field_at *at)
{
    const struct policy_field *f = at->field;
    int64_t one = f->type == TYPE_MONEY ? MONEY_ONE : 1;
    int narrow = 0, run = 0;

    if (f->action != ACTION_BUCKET)
        return;
    for (int i = 1; i < f->edge_count; i++) {
        run = f->edges[i] - f->edges[i - 1] <= one ? run + 1 : 0;
        narrow = run > narrow ? run : narrow;
    }
    if (f->edge_count > EDGES_MAX)
        FIELD_SAYS(at, "fine-buckets",
                   "has %d edges, which is nearly the value itself; use at "
                   "most %d, such as [0, 10, 50, 100]",
                   (int)f->edge_count, EDGES_MAX);
    else if (narrow > NARROW_MAX)
        FIELD_SAYS(at, "fine-buckets",
                   "has %d edges in a row no further apart than 1, which is "
                   "the value itself; use wider ones, such as [0, 10, 50, 100]",
                   narrow + 1);
}

static bool stable(const struct field_at *at)
{
    return at->field->action == ACTION_PSEUDONYM &&
           at->policy->keys[at->field->key].epoch_ms == 0;
}

/* "30 minutes", "2 hours", never less than "1 s". */
static void effort(char out[32], uint64_t values)
{
    uint64_t seconds = values * GUESS_NS / 1000000000;
    unsigned long long count = seconds < 120    ? seconds + 1
                               : seconds < 7200 ? seconds / 60
                                                : seconds / 3600;

    snprintf(out, 32, "%llu %s", count,
             seconds < 120    ? "s"
             : seconds < 7200 ? "minutes"
                              : "hours");
}

static void low_entropy(const struct field_at *at)
{
    const struct identifier *id = identifier_of(at->field->from);
    char time[32];

    if (at->field->action != ACTION_PSEUDONYM || !id || id->values == 0)
        return;
    effort(time, id->values);
    FIELD_SAYS(at, "low-entropy",
               "is a %spseudonym of `%s`: who holds the key of one device "
               "tries %s in %s on one core; drop it, or use an id that cannot "
               "be guessed",
               stable(at) ? "stable " : "", at->field->from, id->all, time);
}

static void case_differs(const struct field_at *at)
{
    const struct identifier *id = identifier_of(at->field->from);

    if (at->field->action == ACTION_PSEUDONYM && id &&
        strcmp(id->name, "email") == 0 &&
        at->field->normalize != NORMALIZE_LOWER)
        FIELD_SAYS(at, "case",
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
            FIELD_SAYS(at, "shared-key",
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
        FIELD_SAYS(at, "stable-interest",
                   "is a stable id under legitimate interest (`%s`); move "
                   "it under a purpose with `basis: consent`",
                   purpose->name);
    else if (purpose->basis == BASIS_CONTRACT &&
             at->event->role != EVENT_PURCHASE &&
             at->event->role != EVENT_RETURN)
        FIELD_SAYS(at, "stable-contract",
                   "is a stable id under a contract (`%s`) in an event that "
                   "is no order; a contract covers order records only, so "
                   "move it under a purpose with `basis: consent`",
                   purpose->name);
}

static void exact_time(const struct field_at *at)
{
    if (at->field->action == ACTION_TIME && at->field->round_ms < 1000)
        FIELD_SAYS(at, "exact-time",
                   "is not rounded, and an exact time links records that "
                   "nothing else links; add `round: PT1M`");
}

/* Two octets off an IPv4 address; of IPv6 the least that a registry gives to a
 * provider is left (RIPE-738). */
static void narrow_network(const struct field_at *at)
{
    const struct policy_field *f = at->field;

    if (f->action == ACTION_IP && (f->v4 > IPV4_MAX || f->v6 > IPV6_MAX))
        FIELD_SAYS(at, "narrow-network",
                   "cuts fewer than two octets of an address: /%d and /%d are "
                   "networks of few people; write `v4: %d, v6: %d`",
                   (int)f->v4, (int)f->v6, IPV4_MAX, IPV6_MAX);
}

static void weak_noise(const struct field_at *at)
{
    const struct policy_field *f = at->field;

    if (f->action == ACTION_RANDOMIZE && f->epsilon > EPSILON_MAX)
        FIELD_SAYS(at, "weak-noise",
                   "is randomized so little that an answer can be believed; "
                   "write an epsilon of at most 4");
    if (f->action == ACTION_RANDOMIZE && !f->memoize &&
        policy_memo_field(at->event))
        FIELD_SAYS(at, "drawn-anew",
                   "is drawn anew for each event, so that a person's answers "
                   "average to the truth; add `memoize: true`");
}

static void (*const field_rules[])(const struct field_at *at) = {
    kept_identifier,
    free_text,
    wide_pattern,
    kept_address,
    kept_order,
    fine_buckets,
    low_entropy,
    case_differs,
    shared_key,
    exact_time,
    stable_without_consent,
    narrow_network,
    weak_noise,
};

void lint_field(struct lint *l, const struct compiled *c, int event, int field)
{
    const struct policy_event *e = &c->policy->events[event];
    const struct field_at at = {l, c->policy, e, &e->fields[field],
                                c->fields[event][field]};

    for (size_t i = 0; i < sizeof(field_rules) / sizeof(*field_rules); i++)
        field_rules[i](&at);
}
