/* What the officer looks at on a desk: findings, samples, one pseudonym. */
#include "agent/policy_tool/verbs.h"

#include "agent/policy_tool/dryrun.h"
#include "agent/policy_tool/lint.h"
#include "agent/policy_tool/officer.h"
#include "base/clock.h"
#include "base/when.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_MAX 512
#define COLUMN_MAX 60 /* of the left side of a sample */

static bool json;
static const char *events_file, *keys_dir, *map_file, *policy_file, *raw_id,
    *from = "userId";
static struct cli_list consents;
static int64_t show_count = 10, at_ms = WHEN_NONE;

#define JSON_OPTION                                                            \
    {                                                                          \
        "json", 0, OPTION_FLAG, &json, NULL, "print JSON", 0, 0, false         \
    }
#define OPTIONS_END                                                            \
    {                                                                          \
        NULL, 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, false                    \
    }

struct option_row lint_options[] = {JSON_OPTION, OPTIONS_END};

struct option_row dryrun_options[] = {
    {"events", 'e', OPTION_TEXT, &events_file, "F.jsonl",
     "the sample: an event a line, in Segment's form; or what the map reads", 0,
     0, true},
    {"map", 'm', OPTION_TEXT, &map_file, "MAP.yaml", "an import map, for CSV",
     0, 0, false},
    {"keys", 'k', OPTION_TEXT, &keys_dir, "DIR",
     "the key directory, for the true pseudonyms", 0, 0, false},
    {"consent", 'c', OPTION_LIST, &consents, "PURPOSE",
     "granted where the event does not say", 0, 0, false},
    {"show", 'n', OPTION_COUNT, &show_count, "N", "how many samples to show", 0,
     1000000, false},
    {"at", 0, OPTION_TIME, &at_ms, "TIME",
     "as if it were then (default: now, or when the policy takes effect)", 0, 0,
     false},
    JSON_OPTION,
    OPTIONS_END};

struct option_row subject_options[] = {
    {"id", 'i', OPTION_TEXT, &raw_id, "ID",
     "the raw id; - reads it from standard input", 0, 0, true},
    {"from", 'f', OPTION_TEXT, &from, "PATH", "which id it is", 0, 0, false},
    {"policy", 'p', OPTION_TEXT, &policy_file, "FILE",
     "the policy, YAML or compiled", 0, 0, true},
    {"keys", 'k', OPTION_TEXT, &keys_dir, "DIR", "the key directory", 0, 0,
     true},
    {"at", 'a', OPTION_TIME, &at_ms, "TIME",
     "when it was made, for keys with epochs; default now", 0, 0, false},
    JSON_OPTION,
    OPTIONS_END};

/* lint --------------------------------------------------------------- */

static json_t *finding_json(const struct lint_finding *f, const char *file)
{
    return json_pack("{s:s, s:i, s:i, s:s, s:s, s:s}", "file", file, "line",
                     f->place.line, "column", f->place.column, "rule", f->rule,
                     "where", f->where, "text", f->text);
}

static int lint_print(const struct lint *l, const char *file)
{
    uint32_t listed =
        l->count < LINT_FINDINGS_MAX ? l->count : LINT_FINDINGS_MAX;
    int code = l->count > 0 ? EXIT_FINDINGS : EXIT_GOOD;
    json_t *findings = json ? json_array() : NULL;

    for (uint32_t i = 0; i < listed; i++) {
        const struct lint_finding *f = &l->findings[i];

        if (json)
            json_array_append_new(findings, finding_json(f, file));
        else
            printf("%s:%d:%d: %s: %s\n", file, f->place.line, f->place.column,
                   f->where, f->text);
    }
    if (json)
        return verb_json(json_pack("{s:i, s:o}", "count", (int)l->count,
                                   "findings", findings),
                         code);
    if (l->count == 0)
        printf("%s: no findings\n", file);
    else if (l->count > listed)
        printf("and %u more\n", l->count - listed);
    return code;
}

int lint_run_verb(int argc, const char *const *argv)
{
    const struct signer_keys unknown = {.count = -1};
    struct lint *l = calloc(1, sizeof(*l));
    struct compiled *c = NULL;
    struct why why;
    enum sotto_err err;
    int code;

    (void)argc;
    if (!l) {
        why_say(&why, SOTTO_ENOMEM, "no memory");
        return verb_fail(SOTTO_ENOMEM, &why);
    }
    err = compile_file(&c, argv[0], &unknown, &why);
    if (err) {
        code = verb_fail(err, &why);
    } else {
        lint_run(l, c);
        code = lint_print(l, argv[0]);
    }
    compiled_free(c);
    free(l);
    return code;
}

/* dryrun ------------------------------------------------------------- */

static int before_text(char *out, size_t size, const struct dryrun_line *line)
{
    return snprintf(out, size, "%s%s%s", line->path, line->path[0] ? " = " : "",
                    line->value);
}

/* Before on the left, after on the right. */
static void sample_print(void *context, const struct dryrun_sample *s)
{
    char before[PATH_MAX_SIZE + sizeof(s->lines[0].value) + 4];
    int width = 0;

    (void)context;
    printf("%llu  %s", (unsigned long long)s->row, s->event);
    if (s->dropped)
        printf("  DROPPED, %s: %s", drop_name(s->dropped),
               drop_text(s->dropped));
    putchar('\n');
    for (uint32_t i = 0; i < s->line_count; i++) {
        int size = before_text(before, sizeof(before), &s->lines[i]);

        width = size > width ? size : width;
    }
    width = width < COLUMN_MAX ? width : COLUMN_MAX;
    for (uint32_t i = 0; i < s->line_count; i++) {
        const struct dryrun_line *line = &s->lines[i];

        before_text(before, sizeof(before), line);
        printf("    %-*s  ", width, before);
        if (line->field[0])
            printf("%s = %s\n", line->field, line->made);
        else
            printf("%s\n", line->made[0] ? line->made : "(dropped)");
    }
}

/* Text that came from a file may not be UTF-8, which JSON must be. */
static json_t *text_json(const char *text)
{
    json_t *j = json_string(text);

    return j ? j : json_string("(not UTF-8)");
}

static void sample_json(void *context, const struct dryrun_sample *s)
{
    json_t *samples = context, *lines = json_array(), *sample;

    for (uint32_t i = 0; i < s->line_count; i++) {
        const struct dryrun_line *line = &s->lines[i];

        json_array_append_new(lines, json_pack("{s:o, s:o, s:s, s:o, s:b}",
                                               "path", text_json(line->path),
                                               "value", text_json(line->value),
                                               "field", line->field, "made",
                                               text_json(line->made), "dropped",
                                               (int)line->dropped));
    }
    sample = json_pack("{s:I, s:o, s:o}", "row", (json_int_t)s->row, "event",
                       text_json(s->event), "fields", lines);
    if (s->dropped)
        json_object_set_new(sample, "dropped",
                            json_string(drop_name(s->dropped)));
    json_array_append_new(samples, sample);
}

static int report_print(const struct dryrun_report *r)
{
    const struct counters *c = &r->counters;

    printf("%llu events: %llu taken, %llu dropped; %llu values emptied\n",
           (unsigned long long)c->produced, (unsigned long long)c->accepted,
           (unsigned long long)counters_dropped(c),
           (unsigned long long)c->fields_emptied);
    for (uint32_t i = 0; i < c->drop_count; i++)
        printf("    %-20s %llu\n", c->drops[i].name,
               (unsigned long long)c->drops[i].count);
    if (r->batches > 0)
        printf("%llu bytes on the wire in %llu envelopes (%.1f bytes an "
               "event), %llu before compression\n",
               (unsigned long long)r->wire_bytes,
               (unsigned long long)r->batches,
               (double)r->wire_bytes / (double)c->accepted,
               (unsigned long long)r->body_bytes);
    return EXIT_GOOD;
}

static int report_json(const struct dryrun_report *r, json_t *samples)
{
    const struct counters *c = &r->counters;
    json_t *drops = json_object();

    for (uint32_t i = 0; i < c->drop_count; i++)
        json_object_set_new(drops, c->drops[i].name,
                            json_integer((json_int_t)c->drops[i].count));
    return verb_json(
        json_pack(
            "{s:o, s:I, s:I, s:o, s:I, s:I, s:I, s:I}", "samples", samples,
            "events", (json_int_t)c->produced, "taken", (json_int_t)c->accepted,
            "drops", drops, "fields_emptied", (json_int_t)c->fields_emptied,
            "batches", (json_int_t)r->batches, "body_bytes",
            (json_int_t)r->body_bytes, "wire_bytes", (json_int_t)r->wire_bytes),
        EXIT_GOOD);
}

static enum sotto_err consents_read(uint32_t *granted, const struct policy *p,
                                    struct why *why)
{
    const char *names[POLICY_PURPOSES_MAX + 1];

    for (int i = 0; i < p->purpose_count; i++)
        names[i] = p->purposes[i].name;
    names[p->purpose_count] = NULL;
    *granted = 0;
    for (int i = 0; i < consents.count; i++) {
        int purpose = policy_purpose_find(p, span_text(consents.text[i]));
        const char *near;

        if (purpose >= 0) {
            *granted |= UINT32_C(1) << purpose;
            continue;
        }
        near = cli_nearest(consents.text[i], names);
        return why_say(why, SOTTO_EINVAL,
                       "--consent %s: the policy has no such purpose%s%s%s",
                       consents.text[i], near ? "; did you mean `" : "",
                       near ? near : "", near ? "`?" : "");
    }
    return SOTTO_OK;
}

int dryrun_run_verb(int argc, const char *const *argv)
{
    struct dryrun_report *report = calloc(1, sizeof(*report));
    struct dryrun_options o = {.events = events_file,
                               .map = map_file,
                               .show_count = (uint64_t)show_count};
    struct pseudonym_keys *keys = NULL;
    struct policy *p = NULL;
    json_t *samples = NULL;
    struct why why = {"no memory"};
    enum sotto_err err = report ? SOTTO_OK : SOTTO_ENOMEM;
    int code;

    (void)argc;
    if (!err)
        err = verb_policy(&p, argv[0], &why);
    if (!err)
        err = consents_read(&o.granted, p, &why);
    if (!err)
        err = officer_keys(&keys, p, keys_dir, &why);
    if (!err) {
        int64_t now_ms = clock_wall_ms(&clock_system);

        o.policy = p;
        o.keys = keys;
        o.now_ms = at_ms != WHEN_NONE         ? at_ms
                   : now_ms < p->effective_ms ? p->effective_ms
                                              : now_ms;
        samples = json ? json_array() : NULL;
        o.show = json ? sample_json : sample_print;
        o.context = samples;
        err = dryrun_run(&o, report, &why);
    }
    if (err)
        code = verb_fail(err, &why);
    else
        code = json ? report_json(report, json_incref(samples))
                    : report_print(report);
    json_decref(samples);
    pseudonym_keys_free(keys);
    policy_free(p);
    free(report);
    return code;
}

/* subject ------------------------------------------------------------ */

/* The raw id, from the option or from standard input, in guarded memory. */
static enum sotto_err id_read(char *out, size_t out_size, struct why *why)
{
    size_t size;

    if (strcmp(raw_id, "-") != 0) {
        size = strlen(raw_id);
        if (size >= out_size)
            return why_say(why, SOTTO_ETOOBIG, "--id: is over %d bytes",
                           ID_MAX);
        memcpy(out, raw_id, size + 1);
        return SOTTO_OK;
    }
    setvbuf(stdin, NULL, _IONBF, 0); /* no copy in a buffer of stdio */
    if (!fgets(out, (int)out_size, stdin))
        return why_say(why, SOTTO_EINVAL, "standard input holds no id");
    size = strcspn(out, "\r\n");
    if (out[size] == '\0' && size + 1 == out_size)
        return why_say(why, SOTTO_ETOOBIG, "the id is over %d bytes", ID_MAX);
    out[size] = '\0';
    return SOTTO_OK;
}

/* What the field with this pseudonym shows of it. */
static unsigned id_bits(const struct policy *p, int id)
{
    for (int e = 0; e < p->event_count; e++)
        for (int f = 0; f < p->events[e].field_count; f++) {
            const struct policy_field *field = &p->events[e].fields[f];

            if (field->action == ACTION_PSEUDONYM && field->id == id)
                return field->bits;
        }
    return 128;
}

/* One line for each pseudonym that the policy makes of the path; just the
 * digits when it is the only one. */
static enum sotto_err subject_print(const struct policy *p,
                                    const struct pseudonym_keys *keys,
                                    const char *id, json_t *list,
                                    struct why *why)
{
    int matches = 0;

    for (int i = 0; i < p->id_count; i++)
        matches += strcmp(p->ids[i].from, from) == 0;
    if (matches == 0)
        return why_say(why, SOTTO_ENOTFOUND,
                       "--from %s: the policy makes no pseudonym of it", from);
    for (int i = 0; i < p->id_count; i++) {
        const char *key = p->keys[p->ids[i].key].name;
        uint8_t out[16];
        char hex[33];
        enum sotto_err err;

        if (strcmp(p->ids[i].from, from) != 0)
            continue;
        err = pseudonym_at(out, p, keys, i, span_text(id), at_ms);
        if (err == SOTTO_ENOTFOUND)
            return why_say(why, err,
                           "--at: there is no key `%s` of that time: the key "
                           "of its epoch is destroyed, or years ahead",
                           key);
        if (err)
            return why_say(why, err, "--id: %s", err_text(err));
        sodium_bin2hex(hex, sizeof(hex), out, id_bits(p, i) / 8);
        if (list)
            json_array_append_new(
                list, json_pack("{s:s, s:s}", "key", key, "pseudonym", hex));
        else if (matches == 1)
            printf("%s\n", hex);
        else
            printf("%s  %s\n", hex, key);
    }
    return SOTTO_OK;
}

int subject_run(int argc, const char *const *argv)
{
    char *id = sodium_malloc(ID_MAX + 2);
    struct pseudonym_keys *keys = NULL;
    struct policy *p = NULL;
    json_t *list = json ? json_array() : NULL;
    struct why why = {"no memory"};
    enum sotto_err err = id ? SOTTO_OK : SOTTO_ENOMEM;
    int code = EXIT_GOOD;

    (void)argc;
    (void)argv;
    if (!err)
        err = id_read(id, ID_MAX + 2, &why);
    if (at_ms == WHEN_NONE)
        at_ms = clock_wall_ms(&clock_system);
    if (!err)
        err = verb_policy(&p, policy_file, &why);
    if (!err)
        err = officer_keys(&keys, p, keys_dir, &why);
    if (!err)
        err = subject_print(p, keys, id, list, &why);
    if (err)
        code = verb_fail(err, &why);
    else if (list)
        code = verb_json(json_incref(list), EXIT_GOOD);
    json_decref(list);
    sodium_free(id);
    pseudonym_keys_free(keys);
    policy_free(p);
    return code;
}
