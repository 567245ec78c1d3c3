/* Segment calls by jansson.
 *
 * The document of a line lives until the next one is parsed, and the texts of
 * the event borrow from it; the paths lie in `paths`, one fixed slot a field.
 * jansson allocates for every line: it is the named exception to the rule that
 * the path of an event allocates nothing. It bounds its own recursion (2,048
 * levels), and a line is at most 64 KiB. */
#include "agent/intake_ndjson.h"

#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/when.h"

struct ndjson {
    struct intake_window window;
    struct ndjson_row row;
    const struct policy *policy;
    json_t *document;
    size_t field_count;
    struct raw_field fields[RAW_FIELDS_MAX];
    char paths[RAW_FIELDS_MAX][PATH_MAX_SIZE];
};

/* What each type of call is named; NULL: by its "event". */
struct call {
    const char *type;
    const char *event;
};
static const struct call calls[] = {
    {"track", NULL},          {"page", "Page"},   {"screen", "Screen"},
    {"identify", "Identify"}, {"group", "Group"}, {"alias", "Alias"},
};

/* Members that the event's name and time are made of, not fields. */
static const char *const not_fields[] = {"type", "event", "timestamp",
                                         "originalTimestamp"};

static bool is_field(const char *key)
{
    for (size_t i = 0; i < sizeof(not_fields) / sizeof(not_fields[0]); i++)
        if (strcmp(key, not_fields[i]) == 0)
            return false;
    return true;
}

static struct span text_of(const json_t *value)
{
    return span_of(json_string_value(value), json_string_length(value));
}

/* Fills in the value of a field; false for what makes none. */
static bool field_value(struct raw_field *f, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        f->kind = RAW_TEXT;
        f->text = text_of(value);
        return true;
    case JSON_INTEGER:
        f->kind = RAW_INT;
        f->number = json_integer_value(value);
        return true;
    case JSON_REAL:
        f->kind = RAW_REAL;
        f->real = json_real_value(value);
        return true;
    case JSON_TRUE:
    case JSON_FALSE:
        f->kind = RAW_BOOL;
        f->number = json_is_true(value);
        return true;
    default:
        return false;
    }
}

/* A path while the walk goes down. */
struct path {
    char text[PATH_MAX_SIZE];
    size_t size;
};

/* Adds "key" or ".key"; false when no policy could name it. */
static bool path_add(struct path *p, const char *key)
{
    size_t size = strlen(key);
    size_t dot = p->size > 0;

    if (size == 0 || size > PATH_MAX_SIZE - dot ||
        p->size > PATH_MAX_SIZE - dot - size)
        return false;
    if (dot)
        p->text[p->size++] = '.';
    memcpy(p->text + p->size, key, size);
    p->size += size;
    return true;
}

static const char *add_field(struct ndjson *n, const struct path *path,
                             const json_t *value)
{
    struct raw_field f = {.kind = RAW_TEXT};
    char *text;

    if (path->size == 0 || !field_value(&f, value))
        return NULL;
    if (n->field_count == RAW_FIELDS_MAX)
        return "it has too many fields";
    text = n->paths[n->field_count];
    memcpy(text, path->text, path->size);
    f.path = span_of(text, path->size);
    n->fields[n->field_count++] = f;
    return NULL;
}

/* Makes fields of an object's members, depth levels down. */
static const char *flatten(struct ndjson *n, json_t *object, struct path *path,
                           int depth)
{
    const char *key, *wrong = NULL;
    json_t *value;

    if (depth > NDJSON_DEPTH_MAX)
        return "it is nested too deeply";
    json_object_foreach(object, key, value)
    {
        size_t size = path->size;

        if (depth == 1 && !is_field(key))
            continue;
        if (path_add(path, key)) {
            if (json_is_object(value))
                wrong = flatten(n, value, path, depth + 1);
            else
                wrong = add_field(n, path, value);
        }
        path->size = size;
        if (wrong)
            return wrong;
    }
    return NULL;
}

static const char *read_name(struct ndjson_row *row, const json_t *document)
{
    const char *type = json_string_value(json_object_get(document, "type"));
    const json_t *event = json_object_get(document, "event");

    if (!type)
        return "it has no type";
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (strcmp(type, calls[i].type) != 0)
            continue;
        if (calls[i].event) {
            row->raw.name = span_text(calls[i].event);
            return NULL;
        }
        if (json_string_length(event) == 0)
            return "a track call has no event";
        row->raw.name = text_of(event);
        return NULL;
    }
    return "its type is unknown";
}

static void read_time(struct ndjson_row *row, const json_t *document)
{
    const json_t *time = json_object_get(document, "timestamp");

    row->raw.time_ms = WHEN_NONE;
    row->time_wrong = false;
    if (!time || json_is_null(time))
        time = json_object_get(document, "originalTimestamp");
    if (!time || json_is_null(time))
        return;
    if (json_is_integer(time))
        row->raw.time_ms = json_integer_value(time);
    else if (!json_is_string(time) ||
             when_parse(&row->raw.time_ms, text_of(time)) != SOTTO_OK)
        row->time_wrong = true;
}

static void read_consent(const struct ndjson *n, struct ndjson_row *row)
{
    json_t *context = json_object_get(n->document, "context");
    json_t *consent = json_object_get(context, "consent");
    json_t *categories = json_object_get(consent, "categoryPreferences");
    const char *name;
    json_t *answer;

    row->consent_known = row->consent_granted = 0;
    if (!n->policy)
        return;
    json_object_foreach(categories, name, answer)
    {
        int purpose = policy_purpose_find(n->policy, span_text(name));

        if (purpose < 0 || !json_is_boolean(answer))
            continue;
        row->consent_known |= UINT32_C(1) << purpose;
        if (json_is_true(answer))
            row->consent_granted |= UINT32_C(1) << purpose;
    }
}

static const char *parse_call(struct ndjson *n, struct ndjson_row *row)
{
    struct path path = {.size = 0};
    const char *wrong;

    json_decref(n->document);
    n->document = NULL;
    n->field_count = 0;
    if (row->wrong)
        return row->wrong;
    n->document = json_loadb((const char *)row->line.data, row->line.size,
                             JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(n->document))
        return "it is not a JSON object";
    wrong = read_name(row, n->document);
    if (wrong)
        return wrong;
    read_time(row, n->document);
    read_consent(n, row);
    return flatten(n, n->document, &path, 1);
}

void ndjson_parse(struct ndjson *n, struct ndjson_row *row)
{
    row->wrong = parse_call(n, row);
    row->raw.fields = n->fields;
    row->raw.field_count = n->field_count;
}

static bool is_blank(struct span line)
{
    for (size_t i = 0; i < line.size; i++)
        if (line.data[i] != ' ' && line.data[i] != '\t')
            return false;
    return true;
}

enum sotto_err ndjson_next(struct ndjson_row **row, struct ndjson *n,
                           struct why *why)
{
    struct ndjson_row *r = &n->row;

    *row = NULL;
    do {
        struct span rest;
        enum sotto_err err = intake_window_ahead(&rest, &n->window, why);

        if (err || rest.size == 0)
            return err;
        r->line_number = n->window.line;
        r->wrong = intake_window_line(&r->line, &n->window)
                       ? NULL
                       : "it is over 64 KiB";
    } while (!r->wrong && is_blank(r->line));
    r->number++;
    *row = r;
    return SOTTO_OK;
}

enum sotto_err ndjson_open(struct ndjson **out, struct intake_source *source,
                           const struct policy *policy, struct why *why)
{
    struct ndjson *n = calloc(1, sizeof(*n));

    if (!n)
        return why_say(why, SOTTO_ENOMEM, "no memory to read events");
    intake_window_init(&n->window, source);
    n->policy = policy;
    *out = n;
    return SOTTO_OK;
}

void ndjson_close(struct ndjson *n)
{
    if (!n)
        return;
    json_decref(n->document);
    sodium_memzero(n, sizeof(*n)); /* rows of people went through here */
    free(n);
}
