/* sotto-policy explain: the sentences of explain.c, for all events or for what
 * was asked. */
#include "agent/policy_tool/verbs.h"

#include "agent/policy_tool/explain.h"
#include "agent/policy_tool/words.h"

#include <stdio.h>
#include <stdlib.h>

static bool json;

struct option_row explain_options[] = {
    {"json", 0, OPTION_FLAG, &json, NULL, "print JSON", 0, 0, false},
    {NULL, 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, false}};

/* What is asked for: an event, or one field of it; -1: all of them. */
struct question {
    const struct policy *policy;
    int event, field;
};

/* Names of what is there, for did-you-mean; borrowed. */
struct names {
    const char *text[POLICY_EVENTS_MAX + 1];
};

static enum sotto_err no_such(const char *what, const char *given,
                              const struct names *names, struct why *why)
{
    const char *near = cli_nearest(given, names->text);

    return why_say(why, SOTTO_ENOTFOUND, "%s: the policy has no such %s%s%s%s",
                   given, what, near ? "; did you mean `" : "",
                   near ? near : "", near ? "`?" : "");
}

static enum sotto_err find_field(struct question *q, const char *name,
                                 struct why *why)
{
    const struct policy_event *event = &q->policy->events[q->event];
    struct names names = {{NULL}};

    for (int i = 0; i < event->field_count; i++) {
        names.text[i] = event->fields[i].name;
        if (strcmp(event->fields[i].name, name) == 0) {
            q->field = i;
            return SOTTO_OK;
        }
    }
    return no_such("field in that event", name, &names, why);
}

/* EVENT or EVENT.FIELD, where both may have dots of their own: the longest
 * event that is there counts. */
static enum sotto_err find(struct question *q, const char *text,
                           struct why *why)
{
    struct names names = {{NULL}};
    size_t size = strlen(text);

    for (size_t end = size; end > 0; end--) {
        if (end < size && text[end] != '.')
            continue;
        q->event = policy_event_find(q->policy, span_of(text, end));
        if (q->event >= 0)
            return end < size ? find_field(q, text + end + 1, why) : SOTTO_OK;
    }
    for (int i = 0; i < q->policy->event_count; i++)
        names.text[i] = q->policy->events[i].name;
    return no_such("event", text, &names, why);
}

/* Text --------------------------------------------------------------- */

static void field_print(const struct question *q,
                        const struct policy_event *event,
                        const struct policy_field *f)
{
    struct explained e;

    explain_field(&e, q->policy, event, f);
    printf("\n  %s\n    %s\n    %s\n    %s\n    %s\n    %s\n", f->name,
           e.leaves, e.reveals, e.purpose, e.kept, e.linked);
}

static void event_print(const struct question *q,
                        const struct policy_event *event)
{
    char text[400];

    explain_event(text, q->policy, event);
    printf("\n%s\n  %s\n", event->name, text);
    for (int f = 0; f < event->field_count; f++)
        if (q->field < 0 || q->field == f)
            field_print(q, event, &event->fields[f]);
}

static int question_print(const struct question *q)
{
    const struct policy *p = q->policy;
    char from[32], to[32], spool[WORDS_SIZE];

    printf("Policy %s, version %llu, from %s to %s; after that agents collect "
           "nothing.\nA device holds what is not delivered for at most %s, "
           "sealed.\n",
           p->tenant, (unsigned long long)p->version,
           words_date(from, p->effective_ms), words_date(to, p->expires_ms),
           words_duration(spool, p->spool_ms));
    for (int e = 0; e < p->event_count; e++)
        if (q->event < 0 || q->event == e)
            event_print(q, &p->events[e]);
    printf("\n%s\n", explain_never);
    return EXIT_GOOD;
}

/* JSON --------------------------------------------------------------- */

static json_t *field_json(const struct question *q,
                          const struct policy_event *event,
                          const struct policy_field *f)
{
    const struct policy_purpose *purpose = &q->policy->purposes[f->purpose];
    const struct action_row *action = &action_rows[f->action];
    struct explained e;

    explain_field(&e, q->policy, event, f);
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:b, s:I, s:s, s:s, s:s, "
        "s:s, s:s}",
        "field", f->name, "from", f->from, "role", role_name(f->role), "action",
        action->name, "makes", action->makes, "required", (int)f->required,
        "purpose", purpose->name, "basis", words_basis(purpose->basis),
        "consent", (int)purpose->needs_consent, "retention_ms",
        (json_int_t)purpose->retention_ms, "leaves", e.leaves, "reveals",
        e.reveals, "why", e.purpose, "kept", e.kept, "linked", e.linked);
}

static json_t *event_json(const struct question *q,
                          const struct policy_event *event)
{
    json_t *fields = json_array();
    char text[400];

    explain_event(text, q->policy, event);
    for (int f = 0; f < event->field_count; f++)
        if (q->field < 0 || q->field == f)
            json_array_append_new(fields,
                                  field_json(q, event, &event->fields[f]));
    return json_pack("{s:s, s:s, s:s, s:o}", "event", event->name, "role",
                     event_role_name(event->role), "taken", text, "fields",
                     fields);
}

static int question_json(const struct question *q)
{
    json_t *events = json_array();

    for (int e = 0; e < q->policy->event_count; e++)
        if (q->event < 0 || q->event == e)
            json_array_append_new(events, event_json(q, &q->policy->events[e]));
    return verb_json(json_pack("{s:s, s:I, s:o, s:s}", "policy",
                               q->policy->tenant, "version",
                               (json_int_t)q->policy->version, "events", events,
                               "never", explain_never),
                     EXIT_GOOD);
}

int explain_run(int argc, const char *const *argv)
{
    struct question q = {NULL, -1, -1};
    struct policy *p = NULL;
    struct why why;
    enum sotto_err err = verb_policy(&p, argv[0], &why);
    int code;

    q.policy = p;
    if (!err && argc > 1)
        err = find(&q, argv[1], &why);
    if (err)
        code = verb_fail(err, &why);
    else
        code = json ? question_json(&q) : question_print(&q);
    policy_free(p);
    return code;
}
