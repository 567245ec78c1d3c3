/* Segment calls, in one walk over a line.
 *
 * No tree is built and nothing allocated: the texts of the event borrow from
 * the line, or from the reader if they had escapes; the paths lie in `paths`,
 * one fixed slot a field. */
#include "agent/intake_ndjson.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "agent/jsonline.h"
#include "base/when.h"

#define CONSENT_PATH "context.consent.categoryPreferences"
#define CONSENT_DEPTH 4 /* of its members */

/* Members that the event's name and time are made of, not fields. */
enum head { TYPE, EVENT, TIMESTAMP, ORIGINAL_TIMESTAMP, HEAD_COUNT };
static const struct {
    const char *name;
    size_t size;
} heads[HEAD_COUNT] = {
    {"type", 4}, {"event", 5}, {"timestamp", 9}, {"originalTimestamp", 17}};

struct ndjson {
    struct intake_window window;
    struct ndjson_row row;
    const struct policy *policy;
    struct jsonline line;
    struct jsonline_value head[HEAD_COUNT]; /* JSONLINE_NULL: absent */
    uint32_t consent_known, consent_granted;
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

/* Fills in the value of a field; false for what makes none. */
static bool field_value(struct raw_field *f, const struct jsonline_value *v)
{
    switch (v->kind) {
    case JSONLINE_TEXT:
        f->kind = RAW_TEXT;
        f->text = v->text;
        return true;
    case JSONLINE_INT:
        f->kind = RAW_INT;
        f->number = v->number;
        return true;
    case JSONLINE_REAL:
        f->kind = RAW_REAL;
        f->real = v->real;
        return true;
    case JSONLINE_TRUE:
    case JSONLINE_FALSE:
        f->kind = RAW_BOOL;
        f->number = v->kind == JSONLINE_TRUE;
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
static bool path_add(struct path *p, struct span key)
{
    size_t size = key.size;
    size_t dot = p->size > 0;

    if (size == 0 || size > PATH_MAX_SIZE - dot ||
        p->size > PATH_MAX_SIZE - dot - size)
        return false;
    if (dot)
        p->text[p->size++] = '.';
    memcpy(p->text + p->size, key.data, size);
    p->size += size;
    return true;
}

static const char *add_field(struct ndjson *n, const struct path *path,
                             const struct jsonline_value *value)
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

static void add_consent(struct ndjson *n, struct span name,
                        const struct jsonline_value *answer)
{
    int purpose = n->policy ? policy_purpose_find(n->policy, name) : -1;

    if (purpose < 0 ||
        (answer->kind != JSONLINE_TRUE && answer->kind != JSONLINE_FALSE))
        return;
    n->consent_known |= UINT32_C(1) << purpose;
    if (answer->kind == JSONLINE_TRUE)
        n->consent_granted |= UINT32_C(1) << purpose;
}

/* Keeps a member that is no field. */
static bool take_head(struct ndjson *n, struct span key,
                      const struct jsonline_value *value)
{
    for (int i = 0; i < HEAD_COUNT; i++) {
        if (!span_equal(key, span_of(heads[i].name, heads[i].size)))
            continue;
        n->head[i] = *value;
        jsonline_skip(&n->line, value);
        return true;
    }
    return false;
}

/* Makes fields of the members of the object just opened, depth levels down. */
static const char *flatten(struct ndjson *n, struct path *path, int depth)
{
    const bool consents =
        depth == CONSENT_DEPTH &&
        span_equal(span_of(path->text, path->size), span_text(CONSENT_PATH));
    struct jsonline_value value;
    const char *wrong = NULL;
    struct span key;

    if (depth > NDJSON_DEPTH_MAX)
        return "it is nested too deeply";
    while (!wrong && jsonline_member(&n->line, &key) &&
           jsonline_value(&n->line, &value)) {
        size_t size = path->size;

        if (depth == 1 && take_head(n, key, &value))
            continue;
        if (consents)
            add_consent(n, key, &value);
        if (!path_add(path, key))
            jsonline_skip(&n->line, &value);
        else if (value.kind == JSONLINE_OBJECT)
            wrong = flatten(n, path, depth + 1);
        else {
            jsonline_skip(&n->line, &value);
            wrong = add_field(n, path, &value);
        }
        path->size = size;
    }
    return wrong;
}

static const char *read_name(struct ndjson_row *row,
                             const struct jsonline_value head[HEAD_COUNT])
{
    if (head[TYPE].kind != JSONLINE_TEXT)
        return "it has no type";
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (!span_equal(head[TYPE].text, span_text(calls[i].type)))
            continue;
        if (calls[i].event) {
            row->raw.name = span_text(calls[i].event);
            return NULL;
        }
        if (head[EVENT].kind != JSONLINE_TEXT || head[EVENT].text.size == 0)
            return "a track call has no event";
        row->raw.name = head[EVENT].text;
        return NULL;
    }
    return "its type is unknown";
}

static void read_time(struct ndjson_row *row,
                      const struct jsonline_value head[HEAD_COUNT])
{
    const struct jsonline_value *time = &head[TIMESTAMP];

    row->raw.time_ms = WHEN_NONE;
    row->time_wrong = false;
    if (time->kind == JSONLINE_NULL)
        time = &head[ORIGINAL_TIMESTAMP];
    if (time->kind == JSONLINE_INT)
        row->raw.time_ms = time->number;
    else if (time->kind != JSONLINE_NULL)
        row->time_wrong = time->kind != JSONLINE_TEXT ||
                          when_parse(&row->raw.time_ms, time->text) != SOTTO_OK;
}

static const char *parse_call(struct ndjson *n, struct ndjson_row *row)
{
    struct path path = {.size = 0};
    struct jsonline_value root;
    const char *wrong;

    n->field_count = 0;
    n->consent_known = n->consent_granted = 0;
    memset(n->head, 0, sizeof(n->head)); /* JSONLINE_NULL */
    if (row->wrong)
        return row->wrong;
    jsonline_begin(&n->line, row->line);
    if (!jsonline_value(&n->line, &root) || root.kind != JSONLINE_OBJECT)
        return "it is not a JSON object";
    wrong = flatten(n, &path, 1);
    if (wrong)
        return wrong;
    if (!jsonline_end(&n->line))
        return "it is not a JSON object";
    wrong = read_name(row, n->head);
    read_time(row, n->head);
    return wrong;
}

void ndjson_parse(struct ndjson *n, struct ndjson_row *row)
{
    row->wrong = parse_call(n, row);
    row->consent_known = n->consent_known;
    row->consent_granted = n->consent_granted;
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
    sodium_memzero(n, sizeof(*n)); /* rows of people went through here */
    free(n);
}
