/* What a change of one field means. An action of which nothing is known here
 * is compared by its encoded form: equal, or up. */
#include "agent/policy_tool/diff_parts.h"

#include <stdio.h>

#include "agent/policy_tool/words.h"

struct pair {
    struct differ *d;
    char where[2 * NAME_MAX_SIZE + 2]; /* "Product Viewed.price" */
    const struct policy_field *old, *next;
};

static void where_of(char out[2 * NAME_MAX_SIZE + 2], const char *event,
                     const struct policy_field *f)
{
    snprintf(out, 2 * NAME_MAX_SIZE + 2, "%s.%s", event, f->name);
}

/* What all fields have ----------------------------------------------- */

static const char *path_of(const struct policy_field *f)
{
    return f->from[0] ? f->from : "the event itself";
}

static void diff_common(const struct pair *p)
{
    const struct policy_field *old = p->old, *next = p->next;
    const char *was = p->d->old->purposes[old->purpose].name;
    const char *is = p->d->next->purposes[next->purpose].name;

    if (strcmp(old->from, next->from) != 0)
        diff_say(p->d, DIFF_UP, p->where,
                 "reads %s, it was %s: two paths cannot be compared; counted "
                 "as up",
                 path_of(next), path_of(old));
    if (strcmp(was, is) != 0)
        diff_say(p->d, DIFF_UP, p->where,
                 "is for the purpose `%s`%s, it was `%s`: two purposes cannot "
                 "be compared; counted as up",
                 is,
                 p->d->next->purposes[next->purpose].needs_consent
                     ? " (with consent)"
                     : " (without consent)",
                 was);
    if (old->role != next->role)
        diff_say(p->d, next->role == ROLE_NONE ? DIFF_DOWN : DIFF_UP, p->where,
                 "has the role `%s`, it was `%s`", role_name(next->role),
                 role_name(old->role));
    if (old->required != next->required)
        diff_say(p->d, next->required ? DIFF_DOWN : DIFF_UP, p->where,
                 next->required
                     ? "is required now: events without it are dropped"
                     : "is no longer required: events without it are taken");
}

/* Actions ------------------------------------------------------------ */

/* Whether all that narrow accepts, wide accepts: decided for patterns of one
 * class, which most are. */
static bool accepts_all(const struct pattern *wide,
                        const struct pattern *narrow)
{
    if (!wide->single || !narrow->single || narrow->least < wide->least ||
        narrow->most > wide->most)
        return false;
    for (int i = 0; i < 4; i++)
        if (narrow->set[i] & ~wide->set[i])
            return false;
    return true;
}

static void diff_pattern(const struct pair *p)
{
    const struct policy_field *old = p->old, *next = p->next;
    const char *words = "cannot be compared; counted as up";
    enum diff_risk risk = DIFF_UP;

    if (strcmp(old->pattern_text, next->pattern_text) == 0)
        return;
    if (!next->pattern) {
        diff_say(p->d, DIFF_UP, p->where, "keeps any text, it had to match %s",
                 old->pattern_text);
        return;
    }
    if (!old->pattern) {
        diff_say(p->d, DIFF_DOWN, p->where,
                 "keeps only text that matches %s, it was any",
                 next->pattern_text);
        return;
    }
    if (accepts_all(old->pattern, next->pattern)) {
        risk = DIFF_DOWN;
        words = "which is narrower";
    } else if (accepts_all(next->pattern, old->pattern)) {
        words = "which is wider";
    }
    diff_say(p->d, risk, p->where, "must match %s, it was %s: %s",
             next->pattern_text, old->pattern_text, words);
}

static bool diff_type(const struct pair *p)
{
    if (p->old->type == p->next->type)
        return false;
    diff_say(p->d, DIFF_UP, p->where,
             "is of the type %s, it was %s: two types cannot be compared; "
             "counted as up",
             type_name(p->next->type), type_name(p->old->type));
    return true;
}

static void diff_keep(const struct pair *p, struct policy_field *rest)
{
    bool retyped = diff_type(p);

    rest->type = p->old->type;
    if (!retyped && p->next->type != TYPE_TEXT)
        return;
    rest->max = p->old->max;
    memcpy(rest->pattern_text, p->old->pattern_text,
           sizeof(rest->pattern_text));
    if (retyped)
        return;
    if (p->old->max != p->next->max)
        diff_say(p->d, p->next->max > p->old->max ? DIFF_UP : DIFF_DOWN,
                 p->where, "keeps texts of up to %d bytes, it was %d",
                 (int)p->next->max, (int)p->old->max);
    diff_pattern(p);
}

static void diff_pseudonym(const struct pair *p, struct policy_field *rest)
{
    const struct policy_key *was = &p->d->old->keys[p->old->key];
    const struct policy_key *is = &p->d->next->keys[p->next->key];

    rest->key = p->old->key;
    rest->bits = p->old->bits;
    rest->normalize = p->old->normalize;
    if (strcmp(was->name, is->name) != 0)
        diff_say(p->d, DIFF_UP, p->where,
                 "is made with the key `%s`, it was `%s`: what it can be "
                 "linked with cannot be compared; counted as up",
                 is->name, was->name);
    if (p->old->bits != p->next->bits)
        diff_say(p->d, p->next->bits > p->old->bits ? DIFF_UP : DIFF_DOWN,
                 p->where, "has %d bits, it had %d", (int)p->next->bits,
                 (int)p->old->bits);
    if (p->old->normalize != p->next->normalize)
        diff_say(p->d,
                 p->next->normalize > p->old->normalize ? DIFF_UP : DIFF_DOWN,
                 p->where,
                 "ids are made alike by `%s`, it was `%s`: %s spellings of "
                 "one id are linked",
                 normalize_name(p->next->normalize),
                 normalize_name(p->old->normalize),
                 p->next->normalize > p->old->normalize ? "more" : "fewer");
}

static void diff_time(const struct pair *p, struct policy_field *rest)
{
    char before[WORDS_SIZE], after[WORDS_SIZE];

    rest->round_ms = p->old->round_ms;
    if (p->old->round_ms != p->next->round_ms)
        diff_say(p->d,
                 p->next->round_ms < p->old->round_ms ? DIFF_UP : DIFF_DOWN,
                 p->where, "is rounded down to %s, it was %s",
                 words_duration(after, p->next->round_ms),
                 words_duration(before, p->old->round_ms));
}

/* Whether each edge of few is one of many. */
static bool edges_among(const struct policy_field *few,
                        const struct policy_field *many)
{
    int at = 0;

    for (int i = 0; i < few->edge_count; i++) {
        while (at < many->edge_count && many->edges[at] < few->edges[i])
            at++;
        if (at == many->edge_count || many->edges[at] != few->edges[i])
            return false;
    }
    return true;
}

static void diff_bucket(const struct pair *p, struct policy_field *rest)
{
    bool coarser = edges_among(p->next, p->old);
    bool finer = edges_among(p->old, p->next);

    rest->type = p->old->type;
    rest->edges = p->old->edges;
    rest->edge_count = p->old->edge_count;
    if (diff_type(p) || (coarser && finer))
        return;
    diff_say(p->d, coarser ? DIFF_DOWN : DIFF_UP, p->where,
             "has %d edges, it had %d: %s", (int)p->next->edge_count,
             (int)p->old->edge_count,
             coarser ? "the buckets are coarser"
             : finer ? "the buckets are finer"
                     : "other buckets cannot be compared; counted as up");
}

/* More bits of an address are a smaller network. */
static void diff_ip(const struct pair *p, struct policy_field *rest)
{
    const struct policy_field *old = p->old, *next = p->next;

    rest->v4 = old->v4;
    rest->v6 = old->v6;
    if (old->v4 != next->v4)
        diff_say(p->d, next->v4 > old->v4 ? DIFF_UP : DIFF_DOWN, p->where,
                 "keeps %d bits of an IPv4 address, it was %d", (int)next->v4,
                 (int)old->v4);
    if (old->v6 != next->v6)
        diff_say(p->d, next->v6 > old->v6 ? DIFF_UP : DIFF_DOWN, p->where,
                 "keeps %d bits of an IPv6 address, it was %d", (int)next->v6,
                 (int)old->v6);
}

static void diff_url(const struct pair *p, struct policy_field *rest)
{
    const struct policy_field *old = p->old, *next = p->next;
    bool more = next->parts & ~old->parts;

    rest->parts = old->parts;
    rest->max = old->max;
    if (old->parts != next->parts)
        diff_say(p->d, more ? DIFF_UP : DIFF_DOWN, p->where, "keeps %s",
                 !more                       ? "fewer parts of the address"
                 : old->parts & ~next->parts ? "other parts of the address, "
                                               "which cannot be compared; "
                                               "counted as up"
                                             : "more parts of the address");
    if (old->max != next->max)
        diff_say(p->d, next->max > old->max ? DIFF_UP : DIFF_DOWN, p->where,
                 "keeps addresses of up to %d bytes, it was %d", (int)next->max,
                 (int)old->max);
}

static bool same_values(const struct policy_field *a,
                        const struct policy_field *b)
{
    if (a->value_count != b->value_count)
        return false;
    for (int i = 0; i < a->value_count; i++)
        if (strcmp(a->values[i], b->values[i]) != 0)
            return false;
    return true;
}

/* A larger epsilon is a truer answer; an answer that is not kept can be asked
 * again until chance averages out. */
static void diff_randomize(const struct pair *p, struct policy_field *rest)
{
    const struct policy_field *old = p->old, *next = p->next;
    char before[32], after[32];

    rest->epsilon = old->epsilon;
    rest->memoize = old->memoize;
    rest->values = old->values;
    rest->value_count = old->value_count;
    money_exact(before, old->epsilon);
    money_exact(after, next->epsilon);
    if (old->epsilon != next->epsilon)
        diff_say(p->d, next->epsilon > old->epsilon ? DIFF_UP : DIFF_DOWN,
                 p->where, "is randomized with epsilon %s, it was %s", after,
                 before);
    if (old->memoize != next->memoize)
        diff_say(p->d, next->memoize ? DIFF_DOWN : DIFF_UP, p->where,
                 next->memoize
                     ? "gives a person the same answer each time"
                     : "is drawn anew each time, which wears the chance off");
    if (!same_values(old, next))
        diff_say(p->d, DIFF_UP, p->where,
                 "has other values to choose from, which cannot be compared; "
                 "counted as up");
}

/* Looks at the parameters of an action and makes those it has looked at equal
 * in rest. */
static void (*const parameters[ACTION_COUNT])(const struct pair *p,
                                              struct policy_field *rest) = {
    [ACTION_KEEP] = diff_keep,
    [ACTION_PSEUDONYM] = diff_pseudonym,
    [ACTION_TIME] = diff_time,
    [ACTION_BUCKET] = diff_bucket,
    [ACTION_IP] = diff_ip,
    [ACTION_URL] = diff_url,
    [ACTION_RANDOMIZE] = diff_randomize,
};

static void diff_parameters(const struct pair *p)
{
    struct policy_field before = *p->old, after = *p->next;
    struct policy_event old = {.fields = &before, .field_count = 1};
    struct policy_event next = {.fields = &after, .field_count = 1};

    after.role = before.role;
    after.purpose = before.purpose;
    after.required = before.required;
    memcpy(after.from, before.from, sizeof(after.from));
    if (parameters[before.action])
        parameters[before.action](p, &after);
    memset(p->d->scratch_old, 0, sizeof(*p->d->scratch_old));
    memset(p->d->scratch_next, 0, sizeof(*p->d->scratch_next));
    p->d->scratch_old->event_count = p->d->scratch_next->event_count = 1;
    p->d->scratch_old->events = &old;
    p->d->scratch_next->events = &next;
    if (diff_rest(p->d))
        diff_say(p->d, DIFF_UP, p->where,
                 "has other parameters of the action `%s`, which cannot be "
                 "compared; counted as up",
                 action_rows[before.action].name);
}

/* Whether ids were among the values kept. A pattern that none fits kept them
 * out, and a pseudonym, which has no pattern, would let them in. */
static bool kept_ids(const struct policy_field *f)
{
    static const char *const ids[] = {"12345678", "A1B2C3D4", "ann-17",
                                      "550e8400-e29b-41d4-a716-446655440000"};

    if (f->type != TYPE_TEXT || !f->pattern)
        return true;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
        if (pattern_match(f->pattern, span_text(ids[i])))
            return true;
    return false;
}

/* The value itself is the most that can leave; any other two actions tell
 * different things. */
static void diff_action(const struct pair *p)
{
    const struct action_row *was = &action_rows[p->old->action];
    const struct action_row *is = &action_rows[p->next->action];
    bool from_keep = p->old->action == ACTION_KEEP;
    bool let_in =
        from_keep && p->next->action == ACTION_PSEUDONYM && !kept_ids(p->old);
    const char *because = ": two actions cannot be compared; counted as up";

    if (let_in)
        because = ": what did not fit its pattern was left out, and leaves "
                  "now; counted as up";
    else if (from_keep || p->next->action == ACTION_KEEP)
        because = "";
    diff_say(p->d, from_keep && !let_in ? DIFF_DOWN : DIFF_UP, p->where,
             "leaves as %s (`%s`), it was %s (`%s`)%s", is->makes, is->name,
             was->makes, was->name, because);
}

void diff_field(struct differ *d, const char *event,
                const struct policy_field *old, const struct policy_field *next)
{
    struct pair p = {.d = d, .old = old, .next = next};

    where_of(p.where, event, old);
    diff_common(&p);
    if (old->action != next->action)
        diff_action(&p);
    else
        diff_parameters(&p);
}

void diff_field_new(struct differ *d, const char *event,
                    const struct policy_field *f)
{
    char where[2 * NAME_MAX_SIZE + 2];
    const struct policy_purpose *purpose = &d->next->purposes[f->purpose];

    where_of(where, event, f);
    diff_say(d, DIFF_UP, where,
             "is a new field: %s leaves as %s, for the purpose `%s` (%s)",
             path_of(f), action_rows[f->action].makes, purpose->name,
             purpose->needs_consent ? "with consent" : "without consent");
}

void diff_field_gone(struct differ *d, const char *event,
                     const struct policy_field *f)
{
    char where[2 * NAME_MAX_SIZE + 2];

    where_of(where, event, f);
    diff_say(d, DIFF_DOWN, where, "no longer leaves the device");
    if (f->required)
        diff_say(d, DIFF_UP, where,
                 "was required: events without it are taken now");
}
