/* The agent's own import, crossing and batch code, with a sink that looks at
 * each event on its way. The batch is sealed between two throwaway key pairs,
 * so that the bytes counted are those of a real envelope. */
#include "agent/policy_tool/dryrun.h"

#include "agent/import.h"
#include "base/when.h"
#include "policy/batch.h"
#include "wire/envelope.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As large as an agent's batches, and sure to fit one envelope. */
#define BATCH_EVENTS 5000
#define BATCH_BYTES (1024 * 1024)

struct dryrun {
    const struct dryrun_options *o;
    struct dryrun_report *report;
    struct batch *batch;
    struct keys *sender, *recipient;
    struct person person;
    struct sessions sessions;
    struct chance_source chance;
    uint64_t shown;
    struct event event;
    struct dryrun_sample sample;
};

/* Text -------------------------------------------------------------- */

/* Cut at a character; control characters are not sent to a terminal. */
__attribute__((format(printf, 3, 4))) static void print(char *out, size_t size,
                                                        const char *format, ...)
{
    va_list args;

    va_start(args, format);
    text_vprint(out, size, format, args);
    va_end(args);
    for (char *c = out; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
}

static void print_raw(struct dryrun_line *line, const struct raw_field *f)
{
    char text[32];

    print(line->path, sizeof(line->path), "%.*s", (int)f->path.size,
          f->path.size > 0 ? (const char *)f->path.data : "");
    switch ((enum raw_kind)f->kind) {
    case RAW_TEXT:
        print(line->value, sizeof(line->value), "%.*s", (int)f->text.size,
              f->text.size > 0 ? (const char *)f->text.data : "");
        break;
    case RAW_INT:
        print(line->value, sizeof(line->value), "%lld", (long long)f->number);
        break;
    case RAW_MONEY:
        money_exact(text, f->number);
        print(line->value, sizeof(line->value), "%s", text);
        break;
    case RAW_REAL:
        print(line->value, sizeof(line->value), "%g", f->real);
        break;
    case RAW_BOOL:
        print(line->value, sizeof(line->value), "%s",
              f->number ? "true" : "false");
        break;
    }
}

static void print_made(struct dryrun_line *line, const struct policy_field *f,
                       const struct event_value *v)
{
    char text[40] = "";

    print(line->field, sizeof(line->field), "%s", f->name);
    line->dropped = !v->present;
    if (!v->present) {
        print(line->made, sizeof(line->made), "(empty)");
        return;
    }
    switch ((enum value_type)f->type) {
    case TYPE_TEXT:
        print(line->made, sizeof(line->made), "%.*s", (int)v->text.size,
              v->text.size > 0 ? (const char *)v->text.data : "");
        return;
    case TYPE_ID:
        sodium_bin2hex(text, sizeof(text), v->id, f->bits / 8U);
        break;
    case TYPE_MONEY:
        money_exact(text, v->number);
        break;
    case TYPE_TIME:
        when_format(text, v->number);
        break;
    case TYPE_BOOL:
        snprintf(text, sizeof(text), "%s", v->number ? "true" : "false");
        break;
    case TYPE_INT:
    case TYPE_COUNT:
        snprintf(text, sizeof(text), "%lld", (long long)v->number);
        break;
    }
    print(line->made, sizeof(line->made), "%s", text);
}

/* Samples ------------------------------------------------------------ */

static struct dryrun_line *line_new(struct dryrun_sample *s)
{
    struct dryrun_line *line;

    if (s->line_count == DRYRUN_LINES_MAX)
        return NULL;
    line = &s->lines[s->line_count++];
    memset(line, 0, sizeof(*line));
    return line;
}

/* The lines of one raw field: one for each field of the policy that reads it,
 * or one that says that it is dropped. */
static void sample_field(struct dryrun *d, const struct policy_event *event,
                         const struct raw_field *raw)
{
    struct dryrun_line *line;
    bool listed = false;

    for (int i = 0; event && i < event->field_count; i++) {
        const struct policy_field *f = &event->fields[i];

        if (!f->from[0] || !span_equal(span_text(f->from), raw->path) ||
            !(line = line_new(&d->sample)))
            continue;
        listed = true;
        print_raw(line, raw);
        if (!d->sample.dropped)
            print_made(line, f, &d->event.values[i]);
        else
            line->dropped = true;
    }
    if (listed || !(line = line_new(&d->sample)))
        return;
    print_raw(line, raw);
    line->dropped = true;
    print(line->made, sizeof(line->made), "(dropped: not in the policy)");
}

/* Fields without a path: the time, sessions. */
static void sample_made(struct dryrun *d, const struct policy_event *event,
                        const struct raw_event *raw)
{
    for (int i = 0; event && i < event->field_count; i++) {
        const struct policy_field *f = &event->fields[i];
        struct dryrun_line *line;

        if (f->from[0] || !(line = line_new(&d->sample)))
            continue;
        if (f->action == ACTION_TIME && raw->time_ms != WHEN_NONE) {
            print(line->path, sizeof(line->path), "(time)");
            when_format(line->value, raw->time_ms);
        }
        if (!d->sample.dropped)
            print_made(line, f, &d->event.values[i]);
        else
            line->dropped = true;
    }
}

static void show(struct dryrun *d, const struct raw_event *raw, uint64_t row,
                 enum drop_reason dropped)
{
    struct dryrun_sample *s = &d->sample;
    int index = policy_event_find(d->o->policy, raw->name);
    const struct policy_event *event =
        index >= 0 ? &d->o->policy->events[index] : NULL;

    if (d->shown >= d->o->show_count)
        return;
    d->shown++;
    s->row = row;
    s->dropped = dropped;
    s->line_count = 0;
    print(s->event, sizeof(s->event), "%.*s", (int)raw->name.size,
          raw->name.size > 0 ? (const char *)raw->name.data : "");
    sample_made(d, event, raw);
    for (size_t i = 0; i < raw->field_count; i++)
        sample_field(d, event, &raw->fields[i]);
    d->o->show(d->o->context, s);
}

/* Batches ------------------------------------------------------------ */

static enum sotto_err batch_weigh(struct dryrun *d)
{
    struct envelope head = {.kind = KIND_BATCH, .stream = 1, .sequence = 1};
    struct buf body, wire;
    struct peer peer;
    enum sotto_err err;

    if (batch_count(d->batch) == 0)
        return SOTTO_OK;
    buf_init(&body, PAYLOAD_MAX);
    buf_init(&wire, FRAME_MAX);
    keys_peer(d->recipient, &peer);
    memcpy(head.policy, d->o->policy->hash, sizeof(head.policy));
    err = batch_encode(d->batch, &d->report->counters, &body);
    if (!err)
        err = envelope_write(&wire, &head, span_of(body.data, body.size),
                             d->sender, &peer);
    if (!err) {
        d->report->batches++;
        d->report->body_bytes += body.size;
        d->report->wire_bytes += wire.size;
        batch_begin(d->batch, d->o->policy);
    }
    buf_fini(&body);
    buf_fini(&wire);
    return err;
}

static enum sotto_err batch_take(struct dryrun *d)
{
    enum sotto_err err = batch_add(d->batch, &d->event);

    if (err != SOTTO_EFULL)
        return err;
    err = batch_weigh(d);
    return err ? err : batch_add(d->batch, &d->event);
}

/* The sink ----------------------------------------------------------- */

static enum sotto_err take(void *context, const struct raw_event *raw,
                           uint32_t consent_known, uint32_t consent_granted,
                           const struct import_cursor *cursor,
                           enum drop_reason *dropped)
{
    struct dryrun *d = context;
    const struct policy *p = d->o->policy;
    struct anonymizer a = {
        .policy = p,
        .keys = d->o->keys,
        .person = &d->person,
        /* what the event itself says of consent goes before the officer's
         * wish; what nobody says is not granted */
        .granted = policy_granted_always(p) | consent_granted |
                   (d->o->granted & ~consent_known),
        .sessions = &d->sessions,
        .chance = &d->chance,
        .now_ms = d->o->now_ms,
    };
    struct counters *counters = &d->report->counters;
    uint32_t emptied = 0;

    if (!raw)
        return SOTTO_OK;
    *dropped = anonymize(&a, raw, &d->event, &emptied);
    show(d, raw, cursor->row, *dropped);
    if (*dropped)
        return SOTTO_OK; /* the import counts it */
    counters->accepted++;
    counters->fields_emptied += emptied;
    return batch_take(d);
}

static enum sotto_err run_import(struct dryrun *d, struct why *why)
{
    static const struct import_cursor start; /* from the beginning */
    const struct import_sink sink = {.take = take, .context = d};
    struct counters *counters = &d->report->counters;
    struct import_report *done = calloc(1, sizeof(*done));
    struct import_options o = {.file = d->o->events, .policy = d->o->policy};
    struct intake_map *map = NULL;
    uint8_t key[32];
    enum sotto_err err = done ? SOTTO_OK : SOTTO_ENOMEM;

    if (!err && d->o->map)
        err = intake_map_load(&map, d->o->map, why);
    if (!err) {
        randombytes_buf(key, sizeof(key));
        o.map = map;
        o.key = key;
        err = import_run(&o, &start, &sink, done, why);
    }
    for (int i = 0; !err && i < done->cursor.reason_count; i++)
        err = counters_add(counters, done->cursor.reasons[i].name,
                           done->cursor.reasons[i].count);
    counters->produced = counters->accepted + counters_dropped(counters);
    intake_map_free(map);
    free(done);
    return err;
}

enum sotto_err dryrun_run(const struct dryrun_options *o,
                          struct dryrun_report *report, struct why *why)
{
    struct dryrun *d = calloc(1, sizeof(*d));
    uint8_t key[16];
    enum sotto_err err = SOTTO_ENOMEM;

    memset(report, 0, sizeof(*report));
    snprintf(why->text, sizeof(why->text), "no memory for a dry run");
    if (!d)
        return err;
    d->o = o;
    d->report = report;
    chance_source_init(&d->chance);
    d->sessions.current = 1; /* as on the device of one person */
    if (o->map) { /* a file of many people: by raw id or not at all */
        randombytes_buf(key, sizeof(key));
        d->sessions.memory = raw_memory_make(key);
        if (!d->sessions.memory)
            goto done;
    }
    err = batch_open(&d->batch, BATCH_EVENTS, BATCH_BYTES);
    if (!err)
        err = keys_make(&d->sender);
    if (!err)
        err = keys_make(&d->recipient);
    if (err)
        goto done;
    batch_begin(d->batch, o->policy);
    err = run_import(d, why);
    if (!err) {
        err = batch_weigh(d);
        if (err)
            why_say(why, err, "the batch cannot be sealed: %s", err_text(err));
    }

done:
    keys_free(d->sender);
    keys_free(d->recipient);
    batch_close(d->batch);
    raw_memory_free(d->sessions.memory);
    free(d);
    return err;
}
