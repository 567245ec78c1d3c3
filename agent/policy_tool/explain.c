/* The sentences. Those on linking are the officer's most asked question, so
 * they say the worst: an id is linked by its key, everything else through the
 * id that stands in the same event. */
#include "agent/policy_tool/explain.h"

#include "agent/policy_tool/words.h"
#include "policy/url.h"

#include <stdio.h>

const char explain_never[] =
    "What never leaves: everything else. An event that is not listed is "
    "dropped and counted; a value whose path is not listed is not read; a "
    "value that does not fit its type, pattern or size is left out. None of "
    "it is stored or sent, and there is no setting that changes this: only a "
    "new policy, signed, does.";

__attribute__((format(printf, 3, 4))) static void say(char *out, size_t size,
                                                      const char *format, ...)
{
    va_list args;

    va_start(args, format);
    text_vprint(out, size, format, args);
    va_end(args);
}

static void explain_url(char *out, size_t size, const struct policy_field *f)
{
    say(out, size, ",%s%s%s of it, at most %d bytes",
        f->parts & URL_SCHEME ? " scheme" : "",
        f->parts & URL_HOST ? " host" : "", f->parts & URL_PATH ? " path" : "",
        (int)f->max);
}

static void explain_leaves(struct explained *out, const struct policy_field *f)
{
    const struct action_row *action = &action_rows[f->action];
    char detail[200] = "", duration[WORDS_SIZE], epsilon[32];

    switch (f->action) {
    case ACTION_KEEP:
        if (f->pattern)
            say(detail, sizeof(detail),
                ", at most %d bytes that match %s; another text is left out",
                (int)f->max, f->pattern_text);
        else if (f->type == TYPE_TEXT)
            say(detail, sizeof(detail), ", any text of at most %d bytes",
                (int)f->max);
        else
            say(detail, sizeof(detail), ", of the type %s", type_name(f->type));
        break;
    case ACTION_PSEUDONYM:
        say(detail, sizeof(detail), ", %d bits of it, ids made alike by `%s`",
            (int)f->bits, normalize_name(f->normalize));
        break;
    case ACTION_TIME:
        say(detail, sizeof(detail), " to %s",
            words_duration(duration, f->round_ms));
        break;
    case ACTION_BUCKET:
        say(detail, sizeof(detail), ", one of %d", (int)f->edge_count + 1);
        break;
    case ACTION_IP:
        say(detail, sizeof(detail),
            ", %d bits of an IPv4 address, %d of an IPv6 address", (int)f->v4,
            (int)f->v6);
        break;
    case ACTION_URL:
        explain_url(detail, sizeof(detail), f);
        break;
    case ACTION_RANDOMIZE:
        money_exact(epsilon, f->epsilon);
        say(detail, sizeof(detail), ", of %d values, with epsilon %s%s",
            (int)f->value_count, epsilon,
            f->memoize ? ", the same for a person each time" : "");
        break;
    default: /* the row says it all */
        break;
    }
    if (f->from[0])
        say(out->leaves, sizeof(out->leaves), "%s leaves as %s (%s)%s.",
            f->from, action->makes, action->name, detail);
    else
        say(out->leaves, sizeof(out->leaves), "Leaves as %s (%s)%s.",
            action->makes, action->name, detail);
}

static void explain_purpose(struct explained *out, const struct policy *p,
                            const struct policy_field *f)
{
    const struct policy_purpose *purpose = &p->purposes[f->purpose];
    char kept[2 * WORDS_SIZE];

    say(out->purpose, sizeof(out->purpose),
        "For the purpose `%s`, on the basis of %s (%s). %s%s", purpose->name,
        words_basis(purpose->basis), words_article(purpose->basis),
        purpose->needs_consent
            ? "Only with the person's consent; without it, or if it is not "
              "known, the field stays empty"
            : "No consent is asked",
        f->required && purpose->needs_consent
            ? ", and since it is required the whole event is dropped."
            : ".");
    say(out->kept, sizeof(out->kept), "Kept %s.",
        words_retention(kept, purpose->retention_ms));
}

/* The id through which a field that is none is linked, the longest-lived
 * first; always: one that is there without consent too. */
static const struct policy_field *
link_of(const struct policy *p, const struct policy_event *event, bool always)
{
    static const enum role by[] = {ROLE_SUBJECT, ROLE_DAY, ROLE_ORDER,
                                   ROLE_SESSION};

    for (size_t i = 0; i < sizeof(by) / sizeof(by[0]); i++)
        for (int f = 0; f < event->field_count; f++)
            if (event->fields[f].role == by[i] &&
                !(always &&
                  p->purposes[event->fields[f].purpose].needs_consent))
                return &event->fields[f];
    return NULL;
}

/* Of a field that is no id itself. */
static void explain_through(struct explained *out, const struct policy *p,
                            const struct policy_event *event)
{
    const struct policy_field *through = link_of(p, event, false);
    const struct policy_field *always = link_of(p, event, true);

    if (!through)
        say(out->linked, sizeof(out->linked),
            "No id stands in the same event; a rare value can still point to "
            "somebody.");
    else if (through == always)
        say(out->linked, sizeof(out->linked),
            "Can be linked as long as `%s` of the same event can.",
            through->name);
    else
        say(out->linked, sizeof(out->linked),
            "With consent it can be linked as long as `%s` of the same event "
            "can; without, %s%s%s.",
            through->name, always ? "as long as `" : "not",
            always ? always->name : "", always ? "` can" : "");
}

static void explain_id(struct explained *out, const struct policy *p,
                       const struct policy_field *f)
{
    const struct policy_key *key = &p->keys[f->key];
    char epoch[WORDS_SIZE], destroyed[WORDS_SIZE];

    if (key->epoch_ms == 0)
        say(out->linked, sizeof(out->linked),
            "Can be linked for ever: the key `%s` does not change, so the "
            "same %s gives the same value in every event that uses it.",
            key->name, f->from);
    else
        say(out->linked, sizeof(out->linked),
            "Can be linked %s: after that the key `%s` gives the same %s "
            "another value. The old key is destroyed after %s; then nobody "
            "can make the old value again.",
            words_epoch(epoch, key->epoch_ms), key->name, f->from,
            words_duration(destroyed, key->destroy_ms));
}

static void explain_linked(struct explained *out, const struct policy *p,
                           const struct policy_event *event,
                           const struct policy_field *f)
{
    char timeout[WORDS_SIZE];

    if (f->action == ACTION_PSEUDONYM)
        explain_id(out, p, f);
    else if (f->action == ACTION_SESSION)
        say(out->linked, sizeof(out->linked),
            "Can be linked within one visit, which ends after %s without an "
            "event.",
            words_duration(timeout, p->session_timeout_ms));
    else
        explain_through(out, p, event);
}

void explain_field(struct explained *out, const struct policy *p,
                   const struct policy_event *event,
                   const struct policy_field *f)
{
    memset(out, 0, sizeof(*out));
    explain_leaves(out, f);
    say(out->reveals, sizeof(out->reveals), "It reveals: %s",
        action_rows[f->action].reveals);
    explain_purpose(out, p, f);
    explain_linked(out, p, event, f);
}

void explain_event(char out[400], const struct policy *p,
                   const struct policy_event *event)
{
    const struct policy_purpose *gate = &p->purposes[event->purpose];
    char required[200] = "";
    size_t used = 0;

    for (int i = 0; i < event->field_count; i++)
        if (event->fields[i].required && used + 4 < sizeof(required)) {
            say(required + used, sizeof(required) - used, "%s`%s`",
                used ? ", " : "", event->fields[i].name);
            used = strlen(required);
        }
    say(out, 400, "Taken under the purpose `%s`%s.%s%s%s", gate->name,
        gate->needs_consent ? ", only with the person's consent"
                            : ", without asking for consent",
        used ? " Dropped if it lacks " : "", required, used ? "." : "");
}
