/* See verbs_subject.h. Every amount is in whole millionths and every time in
 * milliseconds, as elsewhere in JSON. */
#include "aggregator/verbs_subject.h"

#include <stdlib.h>
#include <string.h>

#include "aggregator/aggregator.h"
#include "aggregator/documents.h"
#include "aggregator/erase.h"
#include "aggregator/segment.h"
#include "aggregator/verbs.h"
#include "base/clock.h"

#define SUBJECT_SIZE SUPPRESS_SUBJECT_SIZE
#define PAGE_EVENTS 2000 /* then the page ends, with its chunk */
#define PAGE_CHUNKS 512
#define NO_SUBJECT                                                             \
    "a subject is a pseudonym of 16 or 32 hex digits; the officer computes "   \
    "it with `sotto-policy subject --id ID`"

bool subject_parse(const char *text, uint8_t subject[16])
{
    size_t size = 0;

    memset(subject, 0, SUBJECT_SIZE);
    return text &&
           sodium_hex2bin(subject, SUBJECT_SIZE, text, strlen(text), NULL,
                          &size, NULL) == 0 &&
           (size == 16 || size == 8);
}

static json_t *hex(const uint8_t *bytes, size_t size)
{
    char text[2 * HASH_SIZE + 1];

    sodium_bin2hex(text, sizeof text, bytes, size);
    return json_string(text);
}

static json_t *text_json(struct span text)
{
    return json_stringn((const char *)text.data, text.size);
}

/* ---- access: an event with what its policy says of each field ---- */

static json_t *value_json(const struct policy_field *f,
                          const struct event_value *v)
{
    switch (f->type) {
    case TYPE_TEXT:
        return text_json(v->text);
    case TYPE_ID:
        return hex(v->id, f->bits == 64 ? 8 : 16);
    case TYPE_BOOL:
        return json_boolean(v->number);
    default:
        return json_integer(v->number);
    }
}

static json_t *field_json(const struct policy *p, const struct policy_field *f,
                          const struct event_value *v)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:o}", "field", f->name, "role",
                     role_name((enum role)f->role), "action",
                     action_rows[f->action].name, "type",
                     type_name((enum value_type)f->type), "purpose",
                     p->purposes[f->purpose].name, "value", value_json(f, v));
}

static json_t *purposes_json(const struct policy *p, uint32_t set)
{
    json_t *names = json_array();

    for (unsigned i = 0; i < p->purpose_count; i++)
        if (set >> i & 1)
            json_array_append_new(names, json_string(p->purposes[i].name));
    return names;
}

static json_t *event_json(const struct policy *p, const struct event *ev,
                          const struct log_chunk *chunk)
{
    const struct policy_event *event = &p->events[ev->index];
    const struct event_value *time = event_role_value(p, ev, ROLE_TIME);
    json_t *fields = json_array();

    for (unsigned f = 0; f < event->field_count; f++)
        if (ev->values[f].present)
            json_array_append_new(
                fields, field_json(p, &event->fields[f], &ev->values[f]));
    return json_pack("{s:I,s:s,s:s,s:I,s:I,s:I,s:o,s:o}", "time_ms",
                     (json_int_t)(time ? time->number : chunk->received_ms),
                     "event", event->name, "policy", p->tenant,
                     "policy_version", (json_int_t)p->version, "agent",
                     (json_int_t)chunk->agent, "received_ms",
                     (json_int_t)chunk->received_ms, "granted",
                     purposes_json(p, ev->consent), "fields", fields);
}

/* Named in any field: what an erasure takes away is what access shows. */
static bool names(const struct policy *p, const struct event *ev,
                  const uint8_t *subject)
{
    const struct policy_event *event = &p->events[ev->index];

    for (unsigned f = 0; f < event->field_count; f++)
        if (event->fields[f].type == TYPE_ID && ev->values[f].present &&
            memcmp(ev->values[f].id, subject, SUBJECT_SIZE) == 0)
            return true;
    return false;
}

struct page {
    struct aggregator *a;
    struct store *store; /* of the worker */
    uint8_t subject[SUBJECT_SIZE];
    struct buf chunk, plain;
    json_t *out, *events;
};

static bool has_identity(const struct batch_view *v, const uint8_t *subject)
{
    struct span ids = batch_view_identities(v);

    for (size_t at = 0; at < ids.size; at += SUBJECT_SIZE)
        if (memcmp(ids.data + at, subject, SUBJECT_SIZE) == 0)
            return true;
    return false;
}

/* The fold tells of a chunk that cannot be read. */
static void add_events(struct page *g, const struct log_chunk *chunk)
{
    const struct policy *p = policies_find(g->a->policies, chunk->policy);
    struct batch_view *view;
    struct event ev;

    if (chunk->kind != KIND_BATCH || !p ||
        payload_unzip(&g->plain, chunk->payload, PAYLOAD_MAX) ||
        batch_decode(&view, span_of(g->plain.data, g->plain.size), p))
        return;
    for (uint32_t i = 0;
         has_identity(view, g->subject) && i < batch_view_count(view); i++) {
        batch_view_event(view, i, &ev);
        if (names(p, &ev, g->subject))
            json_array_append_new(g->events, event_json(p, &ev, chunk));
    }
    batch_view_free(view);
}

static enum sotto_err add_page(struct page *g, uint64_t after)
{
    struct log_chunk chunk;
    enum sotto_err err;

    for (int i = 0; i < PAGE_CHUNKS; i++) {
        if (json_array_size(g->events) >= PAGE_EVENTS)
            break;
        err = log_read(g->store, after, &chunk, &g->chunk);
        if (err == SOTTO_ENOTFOUND)
            return SOTTO_OK;
        if (!err)
            add_events(g, &chunk);
        else if (err != SOTTO_ECRYPTO)
            return err;
        after = chunk.number;
    }
    json_object_set_new(g->out, "next", json_integer((json_int_t)after));
    return SOTTO_OK;
}

/* ---- access: what is kept beside the events ---- */

static json_t *interactions_json(const struct interactions *x,
                                 const uint8_t *subject)
{
    json_t *list = json_array();
    uint32_t number = interactions_find(x, subject), count = 0;
    const struct interaction *rows =
        number == DICT_NONE ? NULL : interactions_of(x, number, &count);

    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(
            list,
            json_pack("{s:o,s:i,s:f,s:f}", "item",
                      text_json(interactions_item(x, rows[i].item)), "day",
                      (int)rows[i].day, "weight", (double)rows[i].weight,
                      "bought", (double)rows[i].bought));
    return list;
}

static void add_list(void *context, uint32_t agent, const struct document *d)
{
    struct list *l = calloc(1, sizeof *l);
    json_t *items = json_array();

    if (l && list_decode(l, d->body) == SOTTO_OK) {
        for (uint32_t i = 0; i < l->count; i++)
            json_array_append_new(items, text_json(l->items[i].item));
        json_array_append_new(
            context,
            json_pack("{s:I,s:I,s:I,s:o,s:o,s:O}", "agent", (json_int_t)agent,
                      "made_ms", (json_int_t)d->made_ms, "expires_ms",
                      (json_int_t)d->expires_ms, "model", text_json(l->model),
                      "segment", text_json(l->segment), "items", items));
    }
    json_decref(items);
    free(l);
}

static enum sotto_err add_head(struct page *g)
{
    struct views *views = g->a->views;
    struct segments s = {0};
    json_t *profile, *x, *lists = json_array();
    enum sotto_err err = segments_load(&s, g->store);
    bool held;

    if (err == SOTTO_ENOTFOUND)
        err = SOTTO_OK;
    if (!err)
        err = documents_of(g->store, g->subject, add_list, lists);
    views_lock(views);
    profile = profile_of(g->a, g->subject, s.version ? &s : NULL);
    x = interactions_json(views_interactions(views), g->subject);
    views_unlock(views);
    held = profile || json_array_size(x) || json_array_size(lists);
    json_object_set_new(g->out, "state",
                        json_string(held ? "held" : "unknown"));
    json_object_set_new(g->out, "profile", profile ? profile : json_null());
    json_object_set_new(g->out, "interactions", x);
    json_object_set_new(g->out, "lists", lists);
    return err;
}

/* Nothing of it is shown any more, also while the work is still going on. */
static void add_erased(struct page *g, uint32_t number)
{
    struct suppressed e;

    suppress_get(g->a->suppress, number, &e);
    json_object_set_new(g->out, "state", json_string("erased"));
    json_object_set_new(g->out, "erased_ms", json_integer(e.erased_ms));
    json_object_set_new(g->out, "receipt", hex(e.receipt, RECEIPT_ID_SIZE));
}

void verb_access(void *owner, struct control_call *call)
{
    struct aggregator *a = owner;
    struct page g = {.a = a};
    uint64_t after = (uint64_t)control_int(call, "after", 0);
    uint32_t number;
    struct why why = {0};
    enum sotto_err err;

    if (!subject_parse(control_text(call, "subject"), g.subject)) {
        control_end(call, EXIT_USAGE, NULL, NO_SUBJECT);
        return;
    }
    if (after == 0 &&
        !verb_recorded(
            a, call, AUDIT_ACCESS_GIVEN,
            audit_subject(a->audit, span_of(g.subject, SUBJECT_SIZE))))
        return;
    buf_init(&g.chunk, 2 * FRAME_MAX);
    buf_init(&g.plain, PAYLOAD_MAX);
    g.events = json_array();
    g.out = json_pack("{s:o,s:o}", "subject", hex(g.subject, SUBJECT_SIZE),
                      "events", g.events);
    err = store_open(&g.store, a->dir, a->settings.store_key, &why);
    if (!err && !suppress_find(a->suppress, g.subject, &number)) {
        add_erased(&g, number);
    } else {
        if (!err && after == 0)
            err = add_head(&g);
        if (!err)
            err = add_page(&g, after);
    }
    store_close(g.store);
    buf_wipe(&g.chunk);
    buf_wipe(&g.plain);
    if (err) {
        json_decref(g.out);
        control_end(call, err_exit(err), NULL,
                    *why.text ? why.text : err_text(err));
        return;
    }
    control_end(call, EXIT_GOOD, g.out, NULL);
}

/* ---- erase ---- */

struct erasing {
    struct erasing *next;
    struct control_call *call;
    size_t count;
    enum sotto_err err;
    struct {
        uint8_t subject[SUBJECT_SIZE];
        uint32_t number; /* of its entry */
    } of[];
};

static enum sotto_err suppress_all(struct aggregator *a, struct erasing *e)
{
    enum sotto_err err = SOTTO_OK;

    for (size_t i = 0; i < e->count && !err; i++) {
        err = suppress_add(a->suppress, e->of[i].subject,
                           clock_wall_ms(&clock_system), &e->of[i].number);
        if (err == SOTTO_EEXIST)
            err = SOTTO_OK;
        if (!err)
            err = views_forget(a->views, e->of[i].subject);
    }
    return err;
}

static enum sotto_err erase_all(struct aggregator *a, struct erasing *e)
{
    struct erase_parts parts = {.views = a->views,
                                .lookup = policies_find,
                                .context = a->policies,
                                .suppress = a->suppress};
    struct why why;
    enum sotto_err err = suppress_all(a, e);

    if (!err)
        err = store_open(&parts.store, a->dir, a->settings.store_key, &why);
    if (!err)
        err = erase_run(&parts);
    store_close(parts.store);
    return err;
}

void erasing_run(struct aggregator *a, struct erasing *e)
{
    for (; e; e = e->next)
        e->err = erase_all(a, e);
}

/* The receipt's text is what is signed, so it travels as a text. */
static json_t *sign(const struct keys *keys, json_t *receipt)
{
    char *text = json_dumps(receipt, JSON_COMPACT | JSON_SORT_KEYS);
    uint8_t signature[64];
    json_t *out = NULL;
    char base64[96];

    if (text) {
        crypto_sign_detached(signature, NULL, (const uint8_t *)text,
                             strlen(text), keys->sign_sk);
        sodium_bin2base64(base64, sizeof base64, signature, sizeof signature,
                          sodium_base64_VARIANT_ORIGINAL);
        out = json_pack("{s:O,s:s,s:s,s:o}", "receipt", receipt, "signed", text,
                        "signature", base64, "public_key",
                        hex(keys->sign_pk, PK_SIZE));
    }
    free(text);
    return out;
}

static void name_agents(struct aggregator *a, json_t *result)
{
    json_t *agent;
    size_t i;

    json_array_foreach(json_object_get(result, "agents"), i, agent)
    {
        uint32_t number =
            (uint32_t)json_integer_value(json_object_get(agent, "number"));
        const struct agent_row *row = roster_number(a->roster, number);

        json_object_set_new(agent, "name", json_string(row ? row->name : "?"));
    }
}

/* model: the newest that may have been trained with the subject; refitted once
 * a later one is live. */
static enum sotto_err receipt_json(struct aggregator *a, uint32_t number,
                                   json_t **out)
{
    struct live_model *live = registry_live(a->registry);
    json_int_t version = live ? (json_int_t)live->version : 0;
    json_t *result;
    enum sotto_err err = erase_result(a->store, a->suppress, number, &result);

    live_model_release(live);
    if (err)
        return err;
    name_agents(a, result);
    json_object_set_new(
        result, "model_refitted",
        json_boolean(!version || version > json_integer_value(json_object_get(
                                               result, "model"))));
    json_object_set_new(result, "stated_ms",
                        json_integer(clock_wall_ms(&clock_system)));
    *out = sign(a->keys, result);
    json_decref(result);
    return *out ? SOTTO_OK : SOTTO_ENOMEM;
}

static void end_erased(struct aggregator *a, struct erasing *e)
{
    json_t *list = json_array();
    enum sotto_err err = e->err;

    for (size_t i = 0; i < e->count && !err; i++) {
        json_t *receipt;

        err = receipt_json(a, e->of[i].number, &receipt);
        if (!err)
            json_array_append_new(list, receipt);
    }
    if (!err) {
        control_end(e->call, EXIT_GOOD, list, NULL);
        return;
    }
    json_decref(list);
    control_end(e->call, err_exit(err), NULL,
                "not finished: the log of the daemon says why; ask again, or "
                "start again, and it goes on");
}

void erasing_end(struct aggregator *a, struct erasing *e)
{
    struct erasing *next;

    for (; e; e = next) {
        next = e->next;
        if (a->stopping)
            control_end(e->call, EXIT_REFUSED, NULL,
                        "stopping; ask again later");
        else
            end_erased(a, e);
        sodium_memzero(e->of, e->count * sizeof *e->of);
        free(e);
    }
    if (a->publisher && !a->stopping)
        publisher_erased(a->publisher);
}

static struct erasing *erasing_new(struct control_call *call)
{
    const json_t *list = json_object_get(control_args(call), "subjects");
    size_t count = json_array_size(list);
    struct erasing *e =
        count ? calloc(1, sizeof *e + count * sizeof *e->of) : NULL;

    if (!e)
        return NULL;
    e->call = call;
    e->count = count;
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_array_get(list, i);

        if (!subject_parse(json_string_value(one), e->of[i].subject)) {
            free(e);
            return NULL;
        }
    }
    return e;
}

void verb_erase(void *owner, struct control_call *call)
{
    struct aggregator *a = owner;
    struct erasing *e = erasing_new(call);

    if (!e) {
        control_end(call, EXIT_USAGE, NULL, NO_SUBJECT);
        return;
    }
    if (a->stopping) {
        control_end(call, EXIT_REFUSED, NULL, "stopping; ask again later");
        free(e);
        return;
    }
    for (size_t i = 0; i < e->count; i++) {
        struct span subject = span_of(e->of[i].subject, SUBJECT_SIZE);

        if (verb_recorded(a, call, AUDIT_ERASED,
                          audit_subject(a->audit, subject)))
            continue;
        free(e);
        return;
    }
    e->next = a->erase;
    a->erase = e;
    aggregator_fold(a);
}

void verb_receipt(void *owner, struct control_call *call)
{
    struct aggregator *a = owner;
    const char *id = control_text(call, "id");
    uint32_t count = suppress_count(a->suppress);
    struct suppressed e;
    json_t *out;

    for (uint32_t i = 0; id && i < count; i++) {
        char text[2 * RECEIPT_ID_SIZE + 1];
        enum sotto_err err;

        suppress_get(a->suppress, i, &e);
        sodium_bin2hex(text, sizeof text, e.receipt, RECEIPT_ID_SIZE);
        if (strcmp(text, id) != 0)
            continue;
        err = receipt_json(a, i, &out);
        control_end(call, err ? err_exit(err) : EXIT_GOOD, err ? NULL : out,
                    err ? err_text(err) : NULL);
        return;
    }
    control_end(call, EXIT_FINDINGS, NULL, "no receipt has this id");
}
