/* The events of a policy: each field by one schema table, then the rules that
 * join a field's parts. Which parameters an action takes stands in action_rows
 * (policy/action.c), which types a role takes in policy.c. */
#include "agent/policy_tool/compile_parts.h"

#include "base/cli.h"
#include "base/when.h"
#include "policy/detect.h"
#include "policy/event.h"
#include "policy/network.h"
#include "policy/url.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX_DEFAULT 64
#define URL_MAX_DEFAULT 128
#define V4_DEFAULT 16 /* two octets are cut */
#define V6_DEFAULT 32 /* what a provider has (RFC 6177) */

struct field_text {
    int role, action, type, normalize;
    struct span from, purpose, pattern, key;
    int64_t max, bits, round_ms, v4, v6;
    bool required, memoize;
    struct yaml_node edges, keep, values, detect;
    struct span epsilon;
};

/* clang-format off */
static const struct yaml_key field_keys[] = {
    {"role", YAML_CHOICE, offsetof(struct field_text, role), false,
     0, 0, NULL, "what the field means to the platform"},
    {"action", YAML_CHOICE, offsetof(struct field_text, action), true,
     0, 0, NULL, "what becomes of the value"},
    {"from", YAML_TEXT, offsetof(struct field_text, from), false,
     1, PATH_MAX_SIZE, NULL, "the value's path, properties.price"},
    {"purpose", YAML_TEXT, offsetof(struct field_text, purpose), false,
     1, NAME_MAX_SIZE, NULL, "default: the event's"},
    {"required", YAML_BOOL, offsetof(struct field_text, required), false,
     0, 0, NULL, "true: without a value the event is dropped"},
    {"type", YAML_CHOICE, offsetof(struct field_text, type), false,
     0, 0, NULL, "of a kept or bucketed value"},
    {"pattern", YAML_TEXT, offsetof(struct field_text, pattern), false,
     1, NAME_MAX_SIZE, NULL, "kept text must match it, [A-Z0-9]{1,16}"},
    {"max", YAML_INT, offsetof(struct field_text, max), false,
     1, TEXT_SIZE_MAX, NULL, "bytes of a text or a URL"},
    {"key", YAML_TEXT, offsetof(struct field_text, key), false,
     1, NAME_MAX_SIZE, NULL, "of a pseudonym"},
    {"bits", YAML_INT, offsetof(struct field_text, bits), false,
     64, 128, NULL, "of a pseudonym: 64 or 128"},
    {"normalize", YAML_CHOICE, offsetof(struct field_text, normalize), false,
     0, 0, NULL, "of an id before it is hashed"},
    {"round", YAML_DURATION, offsetof(struct field_text, round_ms), false,
     1, 366 * DAY_MS, NULL, "of a time, PT15M"},
    {"edges", YAML_NODE, offsetof(struct field_text, edges), false,
     0, 0, NULL, "of a bucket, [0, 10, 50]"},
    {"v4", YAML_INT, offsetof(struct field_text, v4), false,
     1, NETWORK_V4_MAX, NULL, "bits kept of an IPv4 address"},
    {"v6", YAML_INT, offsetof(struct field_text, v6), false,
     1, NETWORK_V6_MAX, NULL, "bits kept of an IPv6 address"},
    {"keep", YAML_NODE, offsetof(struct field_text, keep), false,
     0, 0, NULL, "parts of a URL, [scheme, host, path]"},
    {"values", YAML_NODE, offsetof(struct field_text, values), false,
     0, 0, NULL, "the answers there are, [yes, no]"},
    {"epsilon", YAML_TEXT, offsetof(struct field_text, epsilon), false,
     1, 16, NULL, "of a randomized answer, 2.0"},
    {"memoize", YAML_BOOL, offsetof(struct field_text, memoize), false,
     0, 0, NULL, "false: new noise for each event"},
    {"detect", YAML_NODE, offsetof(struct field_text, detect), false,
     0, 0, NULL, "what is redacted: all, or [email, phone]"},
    {NULL, YAML_TEXT, 0, false, 0, 0, NULL, NULL},
};
/* clang-format on */

static_assert(sizeof(field_keys) / sizeof(field_keys[0]) <= EACH_KEYS_MAX,
              "the table is copied into struct compile");

/* Keys that go with every action. */
static const char *const common_keys[] = {"role", "action", "purpose",
                                          "required"};

/* The roots of Segment's envelope.
 * https://segment.com/docs/connections/spec/common/ */
static const char *const path_roots[] = {
    "userId", "anonymousId", "groupId",    "previousId", "messageId",
    "name",   "context",     "properties", "traits",     NULL};

/* A place inside an event while it is compiled. */
struct in_event {
    struct compile *c;
    struct policy_event *event;
    struct place *places;
};

static void choices_fill(struct compile *c)
{
    memcpy(c->field_keys, field_keys, sizeof(field_keys));
    for (unsigned i = 0; i < ROLE_COUNT; i++)
        c->roles[i] = role_name((enum role)i);
    for (unsigned i = 0; i < ACTION_COUNT; i++)
        c->actions[i] = action_rows[i].name;
    for (unsigned i = 0; i < TYPE_COUNT; i++)
        c->types[i] = type_name((enum value_type)i);
    for (unsigned i = 0; i < NORMALIZE_COUNT; i++)
        c->normalizations[i] = normalize_name((enum normalize)i);
    for (unsigned i = 0; i < EVENT_ROLE_COUNT; i++)
        c->event_roles[i] = event_role_name((enum event_role)i);
    for (struct yaml_key *k = c->field_keys; k->name; k++) {
        if (strcmp(k->name, "role") == 0)
            k->choices = c->roles;
        else if (strcmp(k->name, "action") == 0)
            k->choices = c->actions;
        else if (strcmp(k->name, "type") == 0)
            k->choices = c->types;
        else if (strcmp(k->name, "normalize") == 0)
            k->choices = c->normalizations;
    }
}

/* Whether word is one of the words of list, which spaces part. */
static bool word_in(const char *list, struct span word)
{
    while (*list) {
        size_t size = strcspn(list, " ");

        if (span_equal(span_of(list, size), word))
            return true;
        list += size + (list[size] == ' ');
    }
    return false;
}

static enum sotto_err each_parameter(void *context, struct span key,
                                     struct yaml_node value, struct why *why)
{
    const struct action_row *action = context;

    for (size_t i = 0; i < sizeof(common_keys) / sizeof(common_keys[0]); i++)
        if (span_equal(key, span_text(common_keys[i])))
            return SOTTO_OK;
    if (word_in(action->parameters, key))
        return SOTTO_OK;
    return yaml_wrong(value, why,
                      "does not go with the action `%s` (it takes: %s); remove "
                      "it",
                      action->name, action->parameters);
}

/* "properties.product_id": a root of the envelope, then names. */
static enum sotto_err compile_from(struct policy_field *f, struct span path,
                                   struct yaml_node at, struct why *why)
{
    char root[PATH_MAX_SIZE + 1];
    const char *near;
    size_t size = 0;

    memcpy(f->from, path.data, path.size);
    f->from[path.size] = '\0';
    for (const char *c = f->from; *c; c++)
        if ((unsigned char)*c <= ' ' || (unsigned char)*c == 0x7f ||
            (*c == '.' && (c == f->from || c[1] == '.' || c[1] == '\0')))
            return yaml_wrong(at, why,
                              "is not a path; write names with dots between, "
                              "such as properties.price");
    size = strcspn(f->from, ".");
    memcpy(root, f->from, size);
    root[size] = '\0';
    for (int i = 0; path_roots[i]; i++)
        if (strcmp(root, path_roots[i]) == 0)
            return SOTTO_OK;
    near = cli_nearest(root, path_roots);
    if (near)
        return yaml_wrong(at, why,
                          "begins with `%s`, which no event has; did you mean "
                          "`%s`?",
                          root, near);
    return yaml_wrong(at, why,
                      "begins with `%s`, which no event has; did you mean "
                      "`properties.%s`?",
                      root, root);
}

/* Actions ------------------------------------------------------------ */

static uint8_t type_default(const struct policy_field *f)
{
    if (f->role == ROLE_VALUE)
        return TYPE_MONEY;
    if (f->role == ROLE_QUANTITY || f->role == ROLE_POSITION)
        return TYPE_INT;
    return f->action == ACTION_BUCKET ? TYPE_MONEY : TYPE_TEXT;
}

static enum sotto_err compile_keep(struct policy_field *f,
                                   const struct field_text *t,
                                   struct yaml_node n, struct why *why)
{
    struct why inner;

    if (f->type == TYPE_ID)
        return yaml_wrong(yaml_get(n, "type"), why,
                          "`id` is made by the action pseudonym, not kept");
    if (f->type != TYPE_TEXT) {
        struct yaml_node extra = yaml_get(n, "pattern");

        if (!extra.node)
            extra = yaml_get(n, "max");
        if (extra.node)
            return yaml_wrong(extra, why, "goes with text only; remove it");
        return SOTTO_OK;
    }
    f->max = (uint16_t)(t->max > 0 ? t->max : TEXT_MAX_DEFAULT);
    if (t->pattern.size == 0)
        return SOTTO_OK;
    f->pattern = malloc(sizeof(*f->pattern));
    if (!f->pattern)
        return SOTTO_ENOMEM;
    if (pattern_compile(f->pattern, t->pattern, &inner))
        return yaml_wrong(yaml_get(n, "pattern"), why, "%s", inner.text);
    memcpy(f->pattern_text, t->pattern.data, t->pattern.size);
    f->pattern_text[t->pattern.size] = '\0';
    return SOTTO_OK;
}

static enum sotto_err compile_pseudonym(struct compile *c,
                                        struct policy_field *f,
                                        const struct field_text *t,
                                        struct yaml_node n, struct why *why)
{
    enum sotto_err err;
    int i = 0;

    if (t->key.size == 0)
        return yaml_wrong(n, why,
                          "has the action pseudonym; add `key:` with a name "
                          "from `keys`");
    err = compile_key(&f->key, c, t->key, yaml_get(n, "key"), why);
    if (err)
        return err;
    if (t->bits != 64 && t->bits != 128)
        return yaml_wrong(yaml_get(n, "bits"), why, "must be 64 or 128");
    f->bits = (uint8_t)t->bits;
    f->normalize = (uint8_t)t->normalize;
    for (; i < c->id_count; i++)
        if (c->ids[i].key == f->key && c->ids[i].normalize == f->normalize &&
            strcmp(c->ids[i].from, f->from) == 0)
            return SOTTO_OK;
    if (i == POLICY_IDS_MAX)
        return yaml_wrong(n, why,
                          "is one pseudonym too many; at most %d distinct "
                          "pairs of path and key",
                          POLICY_IDS_MAX);
    memcpy(c->ids[i].from, f->from, sizeof(f->from));
    c->ids[i].key = f->key;
    c->ids[i].normalize = f->normalize;
    c->id_count++;
    return SOTTO_OK;
}

static enum sotto_err each_edge(void *context, struct span key,
                                struct yaml_node value, struct why *why)
{
    struct policy_field *f = context;
    struct span text;
    int64_t edge;
    enum sotto_err err = yaml_text(value, &text, why);

    (void)key;
    if (err)
        return err;
    if (f->edge_count == POLICY_EDGES_MAX)
        return yaml_wrong(value, why, "is one edge too many; at most %d",
                          POLICY_EDGES_MAX);
    err = f->type == TYPE_MONEY ? money_parse(&edge, text)
                                : int_parse(&edge, text);
    if (err)
        return yaml_wrong(value, why, "must be %s",
                          f->type == TYPE_MONEY ? "an amount such as 2.50"
                                                : "a whole number");
    if (f->edge_count > 0 && edge <= f->edges[f->edge_count - 1])
        return yaml_wrong(value, why,
                          "is not above the edge before it; sort them");
    f->edges[f->edge_count++] = edge;
    return SOTTO_OK;
}

static enum sotto_err compile_bucket(struct policy_field *f,
                                     const struct field_text *t,
                                     struct yaml_node n, struct why *why)
{
    enum sotto_err err;

    if (f->type != TYPE_MONEY && f->type != TYPE_INT)
        return yaml_wrong(yaml_get(n, "type"), why,
                          "of a bucket is int or money");
    if (!yaml_is_sequence(t->edges))
        return yaml_wrong(t->edges.node ? t->edges : n, why,
                          "has the action bucket; add `edges: [0, 10, 50]`");
    f->edges = calloc(POLICY_EDGES_MAX, sizeof(*f->edges));
    if (!f->edges)
        return SOTTO_ENOMEM;
    err = yaml_each(t->edges, why, each_edge, f);
    if (!err && f->edge_count == 0)
        err = yaml_wrong(t->edges, why, "is empty; write [0, 10, 50]");
    return err;
}

static enum sotto_err each_part(void *context, struct span key,
                                struct yaml_node value, struct why *why)
{
    struct policy_field *f = context;
    struct span text;
    unsigned part;
    enum sotto_err err = yaml_text(value, &text, why);

    (void)key;
    if (err)
        return err;
    part = url_part_of(text);
    if (part == 0)
        return yaml_wrong(value, why,
                          "is none of scheme, host and path; a query, a "
                          "fragment, a port and a password are never kept");
    if (f->parts & part)
        return yaml_wrong(value, why, "stands twice; remove one");
    f->parts |= (uint8_t)part;
    return SOTTO_OK;
}

static enum sotto_err compile_url(struct policy_field *f,
                                  const struct field_text *t,
                                  struct yaml_node n, struct why *why)
{
    enum sotto_err err;

    f->max = (uint16_t)(t->max > 0 ? t->max : URL_MAX_DEFAULT);
    if (!yaml_is_sequence(t->keep))
        return yaml_wrong(t->keep.node ? t->keep : n, why,
                          "has the action url; add `keep: [path]`, the parts "
                          "to keep of scheme, host and path");
    err = yaml_each(t->keep, why, each_part, f);
    if (!err && !url_parts_good(f->parts))
        err = yaml_wrong(t->keep, why,
                         f->parts ? "needs the host between scheme and path; "
                                    "add `host` or take `scheme` out"
                                  : "is empty; write [path]");
    return err;
}

static enum sotto_err each_value(void *context, struct span key,
                                 struct yaml_node value, struct why *why)
{
    struct policy_field *f = context;
    struct span text;
    enum sotto_err err = yaml_text(value, &text, why);

    (void)key;
    if (err)
        return err;
    if (f->value_count == POLICY_VALUES_MAX)
        return yaml_wrong(value, why, "is one value too many; at most %d",
                          POLICY_VALUES_MAX);
    if (text.size == 0 || text.size > NAME_MAX_SIZE || !event_text_fits(text))
        return yaml_wrong(value, why, "must be a text of 1 to %d bytes",
                          NAME_MAX_SIZE);
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < 0x20 || text.data[i] == 0x7f)
            return yaml_wrong(value, why,
                              "has a control character; write plain text");
    if (event_value_number(f, text) < f->value_count)
        return yaml_wrong(value, why, "stands twice; remove one");
    memcpy(f->values[f->value_count], text.data, text.size);
    f->value_count++;
    return SOTTO_OK;
}

static enum sotto_err compile_epsilon(struct policy_field *f,
                                      const struct field_text *t,
                                      struct yaml_node n, struct why *why)
{
    struct yaml_node at = yaml_get(n, "epsilon");
    int64_t epsilon;

    if (!at.node)
        return yaml_wrong(n, why,
                          "has the action randomize; add `epsilon: 2.0` (the "
                          "smaller, the less an answer says)");
    if (money_parse(&epsilon, t->epsilon) || epsilon < POLICY_EPSILON_MIN ||
        epsilon > POLICY_EPSILON_MAX)
        return yaml_wrong(at, why, "must be a decimal from 0.01 to 10");
    f->epsilon = (uint32_t)epsilon;
    return SOTTO_OK;
}

static enum sotto_err compile_randomize(struct policy_field *f,
                                        const struct field_text *t,
                                        struct yaml_node n, struct why *why)
{
    enum sotto_err err;

    if (!yaml_is_sequence(t->values))
        return yaml_wrong(t->values.node ? t->values : n, why,
                          "has the action randomize; add `values: [yes, no]`, "
                          "all answers there are");
    f->values = calloc(POLICY_VALUES_MAX, sizeof(*f->values));
    if (!f->values)
        return SOTTO_ENOMEM;
    err = yaml_each(t->values, why, each_value, f);
    if (!err && f->value_count < 2)
        err = yaml_wrong(t->values, why,
                         "has fewer than two answers to choose from");
    f->memoize = t->memoize;
    return err ? err : compile_epsilon(f, t, n, why);
}

static enum sotto_err each_kind(void *context, struct span key,
                                struct yaml_node value, struct why *why)
{
    struct policy_field *f = context;
    const char *names[DETECT_COUNT + 1] = {NULL}, *near;
    char given[NAME_MAX_SIZE + 1];
    struct span text;
    enum detect_kind kind;
    enum sotto_err err = yaml_text(value, &text, why);

    (void)key;
    if (err)
        return err;
    kind = detect_of(text);
    if (kind < DETECT_COUNT && f->detect >> kind & 1)
        return yaml_wrong(value, why, "stands twice; remove one");
    if (kind < DETECT_COUNT) {
        f->detect |= (uint16_t)(1u << kind);
        return SOTTO_OK;
    }
    for (unsigned i = 0; i < DETECT_COUNT; i++)
        names[i] = detect_name((enum detect_kind)i);
    snprintf(given, sizeof(given), "%.*s", (int)(text.size % 64),
             (const char *)text.data);
    near = cli_nearest(given, names);
    return yaml_wrong(value, why, "is nothing that is detected; %s%s%s",
                      near ? "did you mean `" : "", near ? near : "write",
                      near ? "`?" : " `detect: all`");
}

static enum sotto_err compile_redact(struct policy_field *f,
                                     const struct field_text *t,
                                     struct yaml_node n, struct why *why)
{
    struct span all = {NULL, 0};
    enum sotto_err err;

    f->max = (uint16_t)(t->max > 0 ? t->max : TEXT_SIZE_MAX);
    if (yaml_is_scalar(t->detect) && !yaml_text(t->detect, &all, why) &&
        span_equal(all, span_text("all"))) {
        f->detect = DETECT_ALL;
        return SOTTO_OK;
    }
    if (!yaml_is_sequence(t->detect))
        return yaml_wrong(t->detect.node ? t->detect : n, why,
                          "has the action redact; add `detect: all`, or a "
                          "list such as [email, phone]");
    err = yaml_each(t->detect, why, each_kind, f);
    if (!err && f->detect == 0)
        err = yaml_wrong(t->detect, why, "is empty; write `detect: all`");
    return err;
}

static enum sotto_err compile_action(struct compile *c, struct policy_field *f,
                                     const struct field_text *t,
                                     struct yaml_node n, struct why *why)
{
    bool typed = yaml_get(n, "type").node != NULL;

    switch ((enum action)f->action) {
    case ACTION_KEEP:
        f->type = typed ? (uint8_t)t->type : type_default(f);
        return compile_keep(f, t, n, why);
    case ACTION_BUCKET:
        f->type = typed ? (uint8_t)t->type : type_default(f);
        return compile_bucket(f, t, n, why);
    case ACTION_PSEUDONYM:
        f->type = TYPE_ID;
        return compile_pseudonym(c, f, t, n, why);
    case ACTION_SESSION:
        f->type = TYPE_INT;
        return SOTTO_OK;
    case ACTION_TIME:
        f->type = TYPE_TIME;
        f->round_ms = t->round_ms;
        return SOTTO_OK;
    case ACTION_IP:
        f->v4 = (uint8_t)t->v4;
        f->v6 = (uint8_t)t->v6;
        return SOTTO_OK;
    case ACTION_UA_FAMILY:
        return SOTTO_OK;
    case ACTION_URL:
        return compile_url(f, t, n, why);
    case ACTION_TOKENIZE:
        f->type = TYPE_ID;
        return SOTTO_OK;
    case ACTION_RANDOMIZE:
        return compile_randomize(f, t, n, why);
    case ACTION_REDACT:
        return compile_redact(f, t, n, why);
    case ACTION_DROP:
    case ACTION_COUNT:
        break;
    }
    return SOTTO_OK;
}

/* Fields ------------------------------------------------------------- */

/* Roles that say how the value was made. */
static enum sotto_err check_role(const struct policy *p,
                                 const struct policy_event *event,
                                 const struct policy_field *f,
                                 struct yaml_node n, struct why *why)
{
    struct yaml_node at = yaml_get(n, "role");

    if (!at.node)
        at = n;
    if (f->action == ACTION_DROP && f->role != ROLE_NONE)
        return yaml_wrong(at, why, "does not go with the action drop");
    if ((f->action == ACTION_TIME) != (f->role == ROLE_TIME))
        return yaml_wrong(at, why,
                          "time and the action time go together; write both");
    if ((f->action == ACTION_SESSION) != (f->role == ROLE_SESSION))
        return yaml_wrong(at, why,
                          "session and the action session go together; write "
                          "both");
    if ((f->role == ROLE_SUBJECT || f->role == ROLE_DAY) &&
        f->action != ACTION_PSEUDONYM)
        return yaml_wrong(at, why,
                          "%s is a person and needs the action pseudonym",
                          role_name((enum role)f->role));
    if (f->role == ROLE_DAY && p->keys[f->key].epoch_ms == 0)
        return yaml_wrong(at, why,
                          "day needs a key that changes, and `%s` does not; "
                          "give it `epoch: P1D, destroy_after: P2D`",
                          p->keys[f->key].name);
    if (f->action != ACTION_DROP &&
        !(role_types((enum role)f->role) >> f->type & 1))
        return yaml_wrong(at, why,
                          "%s does not take the type `%s`; change type or "
                          "action",
                          role_name((enum role)f->role),
                          type_name((enum value_type)f->type));
    for (int i = 0; f->role != ROLE_NONE && i < event->field_count; i++)
        if (event->fields[i].role == f->role)
            return yaml_wrong(at, why,
                              "%s belongs to the field `%s` already; an event "
                              "has one of each role",
                              role_name((enum role)f->role),
                              event->fields[i].name);
    return SOTTO_OK;
}

static enum sotto_err compile_field(struct in_event *in, struct policy_field *f,
                                    struct yaml_node n, struct why *why)
{
    struct field_text t = {.normalize = NORMALIZE_TRIM,
                           .bits = 128,
                           .round_ms = 1,
                           .v4 = V4_DEFAULT,
                           .v6 = V6_DEFAULT,
                           .memoize = true,
                           .edges = {n.doc, NULL},
                           .keep = {n.doc, NULL},
                           .values = {n.doc, NULL},
                           .detect = {n.doc, NULL}};
    const struct action_row *action;
    enum sotto_err err = yaml_fill(n, in->c->field_keys, &t, why);

    if (err)
        return err;
    f->role = (uint8_t)t.role;
    f->action = (uint8_t)t.action;
    f->required = t.required;
    f->purpose = PURPOSE_NONE;
    action = &action_rows[t.action];
    err = yaml_each(n, why, each_parameter, (void *)action);
    if (!err && t.from.size > 0)
        err = compile_from(f, t.from, yaml_get(n, "from"), why);
    if (!err && t.from.size == 0 && t.action != ACTION_SESSION &&
        word_in(action->parameters, span_text("from")))
        err = yaml_wrong(n, why,
                         "has the action %s; add `from:`, the path of the "
                         "value, such as properties.price",
                         action->name);
    if (!err && t.purpose.size > 0)
        err = compile_purpose(&f->purpose, in->c, t.purpose,
                              yaml_get(n, "purpose"), why);
    if (!err)
        err = compile_action(in->c, f, &t, n, why);
    return err ? err : check_role(in->c->out->policy, in->event, f, n, why);
}

static enum sotto_err each_field(void *context, struct span key,
                                 struct yaml_node value, struct why *why)
{
    struct in_event *in = context;
    struct policy_event *event = in->event;
    struct policy_field *f;
    enum sotto_err err;

    if (span_equal(key, span_text("role")) ||
        span_equal(key, span_text("purpose"))) {
        if (yaml_is_scalar(value))
            return SOTTO_OK; /* the event's own: see each_event */
        return yaml_wrong(value, why,
                          "is the event's own and takes one name; call the "
                          "field otherwise");
    }
    if (event->field_count == POLICY_FIELDS_MAX)
        return yaml_wrong(value, why, "is one field too many; at most %d",
                          POLICY_FIELDS_MAX);
    f = &event->fields[event->field_count];
    err = compile_name(f->name, key, false, value, why);
    if (!err)
        err = compile_field(in, f, value, why);
    if (err || f->action == ACTION_DROP) {
        free(f->pattern); /* it does not become a field */
        free(f->edges);
        free(f->values);
        memset(f, 0, sizeof(*f));
        return err;
    }
    in->places[event->field_count++] = compile_place(value);
    return SOTTO_OK;
}

/* Events ------------------------------------------------------------- */

/* The purpose that gates the event: stated, or that of its time, or the only
 * one there is. */
static enum sotto_err event_gate(struct in_event *in, struct yaml_node n,
                                 struct why *why)
{
    const struct policy *p = in->c->out->policy;
    struct yaml_node stated = yaml_get(n, "purpose");
    struct policy_event *event = in->event;
    struct span name;

    if (stated.node) {
        enum sotto_err err = yaml_text(stated, &name, why);

        return err ? err
                   : compile_purpose(&event->purpose, in->c, name, stated, why);
    }
    for (int i = 0; i < event->field_count; i++)
        if (event->fields[i].role == ROLE_TIME &&
            event->fields[i].purpose != PURPOSE_NONE) {
            event->purpose = event->fields[i].purpose;
            return SOTTO_OK;
        }
    if (p->purpose_count != 1)
        return yaml_wrong(n, why,
                          "needs `purpose: NAME`, under which the event is "
                          "taken at all");
    event->purpose = 0;
    return SOTTO_OK;
}

static bool stable_allowed(const struct policy_purpose *purpose)
{
    return purpose->needs_consent || purpose->basis == BASIS_CONTRACT;
}

/* Fields without a purpose take the event's; then the rule on stable ids. */
static enum sotto_err event_purposes(struct in_event *in, struct yaml_node n,
                                     struct why *why)
{
    const struct policy *p = in->c->out->policy;
    struct policy_event *event = in->event;

    for (int i = 0; i < event->field_count; i++) {
        struct policy_field *f = &event->fields[i];

        if (f->purpose == PURPOSE_NONE)
            f->purpose = event->purpose;
        if (f->role == ROLE_SUBJECT && f->action == ACTION_PSEUDONYM &&
            p->keys[f->key].epoch_ms == 0 &&
            !stable_allowed(&p->purposes[f->purpose]))
            return yaml_wrong(yaml_get(n, f->name), why,
                              "is a stable id under the purpose `%s`; stable "
                              "ids need a consent purpose (`basis: consent`), "
                              "or a contract for order records",
                              p->purposes[f->purpose].name);
    }
    return SOTTO_OK;
}

/* Noise that stays the same needs somebody whose noise it is. */
static enum sotto_err event_memos(struct in_event *in, struct yaml_node n,
                                  struct why *why)
{
    const struct policy_event *event = in->event;
    bool person = false;

    for (int i = 0; i < event->field_count; i++)
        person |= event->fields[i].role == ROLE_SUBJECT ||
                  event->fields[i].role == ROLE_DAY;
    for (int i = 0; !person && i < event->field_count; i++)
        if (event->fields[i].memoize)
            return yaml_wrong(yaml_get(n, event->fields[i].name), why,
                              "gives each person the same answer again, but "
                              "the event has no field of the role subject or "
                              "day; add one, or write `memoize: false` if "
                              "nobody is asked twice");
    return SOTTO_OK;
}

static enum sotto_err event_role_fill(const struct compile *c,
                                      struct policy_event *event,
                                      struct yaml_node n, struct why *why)
{
    const struct yaml_key key = {
        .name = "role", .kind = YAML_CHOICE, .choices = c->event_roles};
    int role = (int)event_role_default(span_text(event->name));
    struct yaml_node at = yaml_get(n, "role");
    enum sotto_err err = SOTTO_OK;

    if (yaml_is_scalar(at)) /* a mapping is refused by each_field */
        err = yaml_value(at, &key, &role, why);
    event->role = (uint8_t)role;
    return err;
}

static enum sotto_err each_event(void *context, struct span key,
                                 struct yaml_node value, struct why *why)
{
    struct compile *c = context;
    struct policy *p = c->out->policy;
    struct in_event in = {c, &p->events[p->event_count],
                          c->out->fields[p->event_count]};
    enum sotto_err err;

    if (p->event_count == POLICY_EVENTS_MAX)
        return yaml_wrong(value, why, "is one event too many; at most %d",
                          POLICY_EVENTS_MAX);
    if (!yaml_is_mapping(value))
        return yaml_wrong(value, why, "must hold fields, as `NAME: {...}`");
    in.event->fields = calloc(POLICY_FIELDS_MAX, sizeof(*in.event->fields));
    if (!in.event->fields)
        return SOTTO_ENOMEM;
    c->out->events[p->event_count++] = compile_place(value);
    err = compile_name(in.event->name, key, true, value, why);
    if (!err)
        err = event_role_fill(c, in.event, value, why);
    if (!err)
        err = yaml_each(value, why, each_field, &in);
    if (!err)
        err = event_gate(&in, value, why);
    if (!err)
        err = event_memos(&in, value, why);
    return err ? err : event_purposes(&in, value, why);
}

enum sotto_err compile_events(struct compile *c, struct yaml_node events,
                              struct why *why)
{
    struct policy *p = c->out->policy;
    enum sotto_err err;

    choices_fill(c);
    if (!yaml_is_mapping(events))
        return yaml_wrong(events, why,
                          "must hold events by name, as `Product Viewed:`");
    p->events = calloc(POLICY_EVENTS_MAX, sizeof(*p->events));
    if (!p->events)
        return SOTTO_ENOMEM;
    err = yaml_each(events, why, each_event, c);
    if (!err && p->event_count == 0)
        err = yaml_wrong(events, why,
                         "is empty; what is not listed is not "
                         "collected");
    return err;
}
