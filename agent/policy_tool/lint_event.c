/* The rules on an event: what its fields say together. */
#include "agent/policy_tool/lint_parts.h"

#include "agent/policy_tool/lint_words.h"

#include <stdio.h>

/* This many together are as good as a name: see quasi[] in lint_words.c. */
#define QUASI_MAX 2

static void nearly_segment(struct lint *l, const struct compiled *c, int e)
{
    const char *name = c->policy->events[e].name;
    const char *near = segment_event_near(name);

    if (near)
        lint_say(l, c->events[e], "event-name", name,
                 "is no event of the Segment specification, but nearly: what "
                 "developers send is dropped; did you mean `%s`?",
                 near);
}

static void no_time(struct lint *l, const struct compiled *c, int e)
{
    const struct policy_event *event = &c->policy->events[e];

    if (event->by_role[ROLE_TIME] == FIELD_NONE)
        lint_say(l, c->events[e], "no-time", event->name,
                 "has no time, and retention counts from it; add `at: {role: "
                 "time, action: time, round: PT15M}`");
}

/* An id or a time points to one person or record by other means than being
 * rare. */
static bool may_be_rare(const struct policy_field *f)
{
    return f->action != ACTION_PSEUDONYM && f->action != ACTION_SESSION &&
           f->action != ACTION_TIME && f->action != ACTION_TOKENIZE &&
           f->action != ACTION_RANDOMIZE;
}

static void quasi_identifiers(struct lint *l, const struct compiled *c, int e)
{
    const struct policy_event *event = &c->policy->events[e];
    const char *seen[POLICY_FIELDS_MAX];
    char list[160] = "";
    int count = 0;

    for (int f = 0; f < event->field_count; f++) {
        const char *tells = quasi_identifier_of(event->fields[f].from);
        size_t used = strlen(list);
        int i = 0;

        if (!tells || !may_be_rare(&event->fields[f]))
            continue;
        while (i < count && strcmp(seen[i], tells) != 0)
            i++;
        if (i < count)
            continue;
        seen[count++] = tells;
        snprintf(list + used, sizeof(list) - used, "%s%s", used ? ", " : "",
                 tells);
    }
    if (count > QUASI_MAX)
        lint_say(l, c->events[e], "quasi-identifiers", event->name,
                 "holds %s, which together point to few people or one; keep at "
                 "most %d of them, or make them coarser",
                 list, QUASI_MAX);
}

/* Two keys for one id are meant: a stable one with consent beside one that
 * changes. */
static bool meant_twice(const struct policy_field *a,
                        const struct policy_field *b)
{
    return a->action == ACTION_PSEUDONYM && b->action == ACTION_PSEUDONYM &&
           a->key != b->key;
}

static void leaves_twice(struct lint *l, const struct compiled *c, int e)
{
    const struct policy_event *event = &c->policy->events[e];
    char where[2 * NAME_MAX_SIZE + 2];

    for (int f = 0; f < event->field_count; f++)
        for (int other = 0; other < f; other++) {
            const struct policy_field *a = &event->fields[other];
            const struct policy_field *b = &event->fields[f];

            if (!b->from[0] || strcmp(a->from, b->from) != 0 ||
                meant_twice(a, b))
                continue;
            snprintf(where, sizeof(where), "%s.%s", event->name, b->name);
            lint_say(l, c->fields[e][f], "leaves-twice", where,
                     "reads `%s`, and so does `%s`: one value leaves in two "
                     "forms, and the finer tells all; remove one",
                     b->from, a->name);
            break;
        }
}

/* The first event that has a field of that name, before this one. */
static void two_paths(struct lint *l, const struct compiled *c, int e)
{
    const struct policy *p = c->policy;
    const struct policy_event *event = &p->events[e];
    char where[2 * NAME_MAX_SIZE + 2];

    for (int f = 0; f < event->field_count; f++) {
        const struct policy_field *here = &event->fields[f];
        bool found = false;

        for (int before = 0; !found && before < e; before++)
            for (int g = 0; g < p->events[before].field_count; g++) {
                const struct policy_field *there = &p->events[before].fields[g];

                if (strcmp(here->name, there->name) != 0)
                    continue;
                found = true;
                if (!here->from[0] || !there->from[0] ||
                    strcmp(here->from, there->from) == 0)
                    continue;
                snprintf(where, sizeof(where), "%s.%s", event->name,
                         here->name);
                lint_say(l, c->fields[e][f], "two-paths", where,
                         "reads `%s`, but `%s` in `%s`: two paths for one "
                         "field; give one of them another name",
                         here->from, there->from, p->events[before].name);
            }
    }
}

/* People who refuse one purpose would vanish from another. */
static void required_consent(struct lint *l, const struct compiled *c, int e)
{
    const struct policy *p = c->policy;
    const struct policy_event *event = &p->events[e];
    char where[2 * NAME_MAX_SIZE + 2];

    for (int f = 0; f < event->field_count; f++) {
        const struct policy_field *field = &event->fields[f];

        if (!field->required || field->purpose == event->purpose ||
            !p->purposes[field->purpose].needs_consent)
            continue;
        snprintf(where, sizeof(where), "%s.%s", event->name, field->name);
        lint_say(l, c->fields[e][f], "required-consent", where,
                 "is required, but people may refuse `%s`: then the whole "
                 "event is dropped though `%s` allows it; remove `required`",
                 p->purposes[field->purpose].name,
                 p->purposes[event->purpose].name);
    }
}

static bool feeds_profile(const struct policy_field *f)
{
    return f->role == ROLE_ITEM || f->role == ROLE_CATEGORY ||
           f->role == ROLE_BRAND || f->role == ROLE_VALUE;
}

/* Records of an order are kept for the order's sake; looking at things is
 * none. */
static void profile_without_consent(struct lint *l, const struct compiled *c,
                                    int e)
{
    const struct policy *p = c->policy;
    const struct policy_event *event = &p->events[e];
    uint8_t at = event->by_role[ROLE_SUBJECT];
    const struct policy_field *subject =
        at != FIELD_NONE ? &event->fields[at] : NULL;
    char where[2 * NAME_MAX_SIZE + 2];

    if (!subject || p->purposes[subject->purpose].needs_consent ||
        (subject->action == ACTION_PSEUDONYM &&
         p->keys[subject->key].epoch_ms != 0) ||
        event->role == EVENT_PURCHASE || event->role == EVENT_RETURN)
        return;
    for (int f = 0; f < event->field_count; f++) {
        if (!feeds_profile(&event->fields[f]) ||
            p->purposes[event->fields[f].purpose].needs_consent)
            continue;
        snprintf(where, sizeof(where), "%s.%s", event->name,
                 event->fields[f].name);
        lint_say(l, c->fields[e][f], "profile-without-consent", where,
                 "goes into the profile of `%s`, and nobody is asked; move "
                 "both under a purpose with `basis: consent`",
                 subject->name);
    }
}

static void (*const event_rules[])(struct lint *l, const struct compiled *c,
                                   int e) = {
    nearly_segment, no_time,          quasi_identifiers,       leaves_twice,
    two_paths,      required_consent, profile_without_consent,
};

void lint_event(struct lint *l, const struct compiled *c, int event)
{
    for (size_t i = 0; i < sizeof(event_rules) / sizeof(*event_rules); i++)
        event_rules[i](l, c, event);
}
