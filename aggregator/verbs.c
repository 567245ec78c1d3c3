/* See verbs.h. Amounts are whole millionths in JSON, so that nothing is
 * rounded on the way; people's tables round to the penny. */
#include "aggregator/verbs.h"

#include <stdlib.h>
#include <string.h>

#include "aggregator/aggregator.h"
#include "aggregator/train.h"
#include "aggregator/verbs_ledger.h"
#include "aggregator/verbs_risk.h"
#include "aggregator/verbs_subject.h"
#include "base/clock.h"
#include "base/log.h"

#define TOKEN_DAYS 7

static void end_err(struct control_call *call, enum sotto_err err,
                    const struct why *why)
{
    control_end(call, err_exit(err), NULL,
                why && *why->text ? why->text : err_text(err));
}

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *hex(const uint8_t *bytes, size_t size)
{
    char text[2 * HASH_SIZE + 1];

    sodium_bin2hex(text, sizeof text, bytes, size);
    return json_string(text);
}

bool verb_recorded(struct aggregator *a, struct control_call *call,
                   enum audit_kind kind, json_t *details)
{
    struct why why;
    enum sotto_err err =
        audit_append(a->audit, kind, control_uid(call), details, &why);

    if (err)
        end_err(call, err, &why);
    return !err;
}

/* ---- policy add, enroll, agents ---- */

static void verb_policy_add(void *owner, struct control_call *call)
{
    struct aggregator *a = owner;
    const char *file = control_text(call, "file");
    const struct policy *policy = NULL;
    struct policy_head head;
    struct buf container;
    struct why why = {0};
    enum sotto_err err;

    buf_init(&container, SIGNED_POLICY_MAX);
    err = signed_policy_read_files(&container, file ? file : "", &why);
    if (!err)
        err = policies_check(
            a->policies, span_of(container.data, container.size), &head, &why);
    if (!err && !verb_recorded(a, call, AUDIT_POLICY_ADDED,
                               json_pack("{s:s,s:I,s:o}", "policy", head.tenant,
                                         "version", (json_int_t)head.version,
                                         "hash", hex(head.hash, HASH_SIZE)))) {
        buf_fini(&container);
        return;
    }
    if (!err)
        err = policies_add(a->policies, span_of(container.data, container.size),
                           clock_wall_ms(&clock_system), &policy, &why);
    buf_fini(&container);
    if (err == SOTTO_EEXIST) {
        control_end(call, EXIT_GOOD, json_pack("{s:b}", "added", 0), NULL);
        return;
    }
    if (err) {
        end_err(call, err, &why);
        return;
    }
    if (a->ingest) {
        ingest_policy_added(a->ingest, policy->hash);
        publisher_policy(a->publisher);
    }
    control_end(call, EXIT_GOOD,
                json_pack("{s:b,s:s,s:I,s:o}", "added", 1, "tenant",
                          policy->tenant, "version",
                          (json_int_t)policy->version, "hash",
                          hex(policy->hash, HASH_SIZE)),
                NULL);
}

static bool name_good(const char *name)
{
    size_t size = name ? strlen(name) : 0;

    if (size < 1 || size > 50)
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789._-") == size;
}

static enum sotto_err make_token(struct aggregator *a, const char *name,
                                 int64_t uses, int64_t expires_ms,
                                 struct buf *text)
{
    const char *address = *a->settings.announce ? a->settings.announce
                          : a->ingest           ? ingest_address(a->ingest)
                                                : a->settings.listen;
    struct token t = {.address = span_text(address),
                      .expires_ms = expires_ms,
                      .name = span_text(name)};
    enum sotto_err err =
        roster_token(a->roster, name, (uint32_t)uses, expires_ms, t.secret);

    memcpy(t.sign_pk, a->keys->sign_pk, PK_SIZE);
    memcpy(t.box_pk, a->keys->box_pk, PK_SIZE);
    if (!err)
        err = token_write(text, &t);
    sodium_memzero(&t, sizeof t);
    return err;
}

static void verb_enroll(void *owner, struct control_call *call)
{
    struct aggregator *a = owner;
    const char *name = control_text(call, "name");
    int64_t now = clock_wall_ms(&clock_system);
    json_int_t uses = control_int(call, "uses", 1);
    json_int_t expires =
        control_int(call, "expires", now + TOKEN_DAYS * DAY_MS);
    struct buf text;
    enum sotto_err err;

    if (!name_good(name) || uses < 1 || uses > ROSTER_MAX || expires <= now) {
        control_end(call, EXIT_USAGE, NULL,
                    "an agent's name has 1 to 50 letters, digits, '.', '_' or "
                    "'-'; uses are at least 1; expiry lies ahead");
        return;
    }
    if (roster_name_taken(a->roster, name)) {
        control_end(call, EXIT_REFUSED, NULL,
                    "an agent has that name already; choose another");
        return;
    }
    if (!verb_recorded(a, call, AUDIT_TOKEN_MADE,
                       json_pack("{s:s,s:I,s:I}", "name", name, "uses", uses,
                                 "expires_ms", expires)))
        return;
    buf_init(&text, 4096);
    err = make_token(a, name, uses, expires, &text);
    if (err)
        end_err(call, err, NULL);
    else
        control_end(call, EXIT_GOOD,
                    json_pack("{s:s,s:s%,s:I}", "name", name, "token",
                              (const char *)text.data, text.size, "expires_ms",
                              expires),
                    NULL);
    buf_wipe(&text);
}

static enum sotto_err add_stream(void *context, const struct log_stream *s)
{
    json_t *by_agent = context, *drops, *at;
    char key[24];

    snprintf(key, sizeof key, "%u", (unsigned)s->agent);
    at = json_object_get(by_agent, key);
    if (!at) {
        at = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "streams",
                       (json_int_t)0, "batches", (json_int_t)0, "events",
                       (json_int_t)0, "voided", (json_int_t)0, "refused",
                       (json_int_t)0, "claimed", (json_int_t)0, "produced",
                       (json_int_t)0, "last_ms", (json_int_t)0, "drops",
                       json_object());
        json_object_set_new(by_agent, key, at);
    }
#define ADD(name, value)                                                       \
    json_object_set_new(                                                       \
        at, name,                                                              \
        json_integer(json_integer_value(json_object_get(at, name)) +           \
                     (json_int_t)(value)))
    ADD("streams", 1);
    ADD("batches", s->batches);
    ADD("events", s->events);
    ADD("voided", s->voided_events);
    ADD("refused", s->refused_events);
#undef ADD
    /* Counters are cumulative over an agent's life: the newest stream's. */
    if (s->last_ms < json_integer_value(json_object_get(at, "last_ms")))
        return SOTTO_OK;
    drops = json_object();
    for (uint32_t i = 0; i < s->counters.drop_count; i++)
        json_object_set_new(drops, s->counters.drops[i].name,
                            number(s->counters.drops[i].count));
    json_object_set_new(at, "claimed", number(s->counters.accepted));
    json_object_set_new(at, "produced", number(s->counters.produced));
    json_object_set_new(at, "last_ms", json_integer(s->last_ms));
    json_object_set_new(at, "drops", drops);
    return SOTTO_OK;
}

/* Every agent, with the balance up to its newest batch: what it says it put
 * into batches against what the log took, voided and refused. */
static json_t *agents_json(struct aggregator *a)
{
    json_t *by_agent = json_object(), *list = json_array();

    log_stream_each(a->store, add_stream, by_agent);
    for (uint32_t i = 0; i < roster_count(a->roster); i++) {
        const struct agent_row *row = roster_at(a->roster, i);
        char key[24];
        uint64_t erased;
        json_t *one =
            json_pack("{s:s,s:I,s:I,s:b,s:I}", "name", row->name, "number",
                      (json_int_t)row->number, "enrolled_ms",
                      (json_int_t)row->enrolled_ms, "revoked",
                      (int)row->revoked, "seen_ms", (json_int_t)row->seen_ms);
        snprintf(key, sizeof key, "%u", (unsigned)row->number);
        json_object_update(one, json_object_get(by_agent, key));
        if (!log_erased(a->store, row->number, &erased) && erased)
            json_object_set_new(one, "erased", number(erased));
        json_array_append_new(list, one);
    }
    json_decref(by_agent);
    return list;
}

static void verb_agents(void *owner, struct control_call *call)
{
    control_end(call, EXIT_GOOD, agents_json(owner), NULL);
}

/* ---- status ---- */

static json_t *totals_json(const struct profiles *p)
{
    json_t *roles = json_object();

    for (int role = 0; role < EVENT_ROLE_COUNT; role++) {
        const struct totals *t = profiles_totals(p, (enum event_role)role);
        if (t->events > 0)
            json_object_set_new(roles, event_role_name((enum event_role)role),
                                json_pack("{s:I,s:I,s:I,s:I}", "events",
                                          (json_int_t)t->events, "known_events",
                                          (json_int_t)t->known_events, "value",
                                          (json_int_t)t->value, "known_value",
                                          (json_int_t)t->known_value));
    }
    return roles;
}

static json_t *link_json(const struct aggregator *a)
{
    struct waiting_policy waiting[WAITING_MAX];
    json_t *refused = json_object(), *waits = json_array();
    struct publisher_stats p;
    struct ingest_stats s;

    ingest_stats(a->ingest, &s);
    publisher_stats(a->publisher, &p);
    for (uint32_t i = 1; i < REFUSAL_COUNT; i++)
        if (s.refused[i] > 0)
            json_object_set_new(refused, refusal_name(i), number(s.refused[i]));
    for (uint32_t i = 0, n = ingest_waiting(a->ingest, waiting); i < n; i++) {
        const struct agent_row *row =
            roster_number(a->roster, waiting[i].agent);
        json_array_append_new(
            waits, json_pack("{s:s,s:o,s:I}", "agent", row ? row->name : "?",
                             "policy", hex(waiting[i].hash, HASH_SIZE),
                             "since_ms", (json_int_t)waiting[i].since_ms));
    }
    return json_pack(
        "{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o,s:{s:I,s:I,s:I,"
        "s:b}}",
        "address", ingest_address(a->ingest), "requests",
        (json_int_t)s.requests, "batches", (json_int_t)s.batches, "duplicates",
        (json_int_t)s.duplicates, "early", (json_int_t)s.early, "gaps",
        (json_int_t)s.gaps, "forks", (json_int_t)s.forks, "malformed",
        (json_int_t)s.malformed, "bad_signatures", (json_int_t)s.bad_signatures,
        "commit_failures", (json_int_t)s.commit_failures, "groups",
        (json_int_t)s.groups, "refused", refused, "waiting_for_policy", waits,
        "publish", "documents", (json_int_t)p.documents, "sent",
        (json_int_t)p.sent, "parked", (json_int_t)p.parked, "idle",
        (int)p.idle);
}

static void verb_status(void *owner, struct control_call *call)
{
    struct aggregator *a = owner;
    const struct policy *policy = policies_current(a->policies);
    struct live_model *model = registry_live(a->registry);
    json_t *out = json_pack(
        "{s:s,s:I,s:I,s:b,s:I,s:s,s:I}", "tenant", policy ? policy->tenant : "",
        "policy_version", (json_int_t)(policy ? policy->version : 0), "log",
        (json_int_t)log_last(a->store), "folded", (int)aggregator_folded(a),
        "unreadable", (json_int_t)views_skipped(a->views), "model",
        model ? model->name : "", "model_version",
        (json_int_t)(model ? model->version : 0));

    live_model_release(model);
    views_lock(a->views);
    json_object_set_new(out, "subjects",
                        number(profiles_count(views_profiles(a->views))));
    json_object_set_new(out, "totals", totals_json(views_profiles(a->views)));
    json_object_set_new(
        out, "newest_ms",
        json_integer(profiles_last_ms(views_profiles(a->views))));
    views_unlock(a->views);
    json_object_set_new(out, "agents", agents_json(a));
    if (a->ingest)
        json_object_set_new(out, "link", link_json(a));
    control_end(call, EXIT_GOOD, out, NULL);
}

/* ---- profile, segments ---- */

static enum sotto_err segments_now(struct aggregator *a, struct segments *s)
{
    enum sotto_err err = segments_load(s, a->store);

    if (err != SOTTO_ENOTFOUND)
        return err;
    err = segments_fit(s, views_profiles(a->views),
                       profiles_last_ms(views_profiles(a->views)));
    return err ? err : segments_save(s, a->store);
}

static json_t *profile_json(struct aggregator *a, const struct profile *p,
                            const struct segments *s)
{
    const struct profiles *all = views_profiles(a->views);
    json_t *events = json_object(), *items = json_array(),
           *categories = json_array();

    for (int role = 0; role < EVENT_ROLE_COUNT; role++)
        if (p->events[role] > 0)
            json_object_set_new(events, event_role_name((enum event_role)role),
                                number(p->events[role]));
    for (uint32_t i = 0; i < p->last_item_count; i++) {
        struct span item = profiles_item(all, p->last_items[i]);
        json_array_append_new(items,
                              json_stringn((const char *)item.data, item.size));
    }
    for (uint32_t i = 0; i < p->category_count; i++) {
        struct span name = profiles_category(all, p->categories[i].category);
        json_array_append_new(
            categories,
            json_pack("{s:s%,s:f}", "category", (const char *)name.data,
                      name.size, "share", (double)p->categories[i].share));
    }
    return json_pack(
        "{s:o,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o,s:o}", "subject",
        hex(p->subject, 16), "segment", s ? segment_of(s, p) : "", "lifecycle",
        lifecycle_of(p, profiles_last_ms(all)), "orders", (json_int_t)p->orders,
        "returned_orders", (json_int_t)p->returned_orders, "spent",
        (json_int_t)p->spent, "returned", (json_int_t)p->returned, "units",
        (json_int_t)p->units, "first_ms", (json_int_t)p->first_ms, "last_ms",
        (json_int_t)p->last_ms, "last_purchase_ms",
        (json_int_t)p->last_purchase_ms, "events", events, "last_items", items,
        "categories", categories);
}

json_t *profile_of(struct aggregator *a, const uint8_t subject[16],
                   const struct segments *s)
{
    uint32_t at = profiles_find(views_profiles(a->views), subject);
    struct profile p;

    if (at == DICT_NONE)
        return NULL;
    profiles_get(views_profiles(a->views), at, &p);
    return profile_json(a, &p, s);
}

static void verb_profile(void *owner, struct control_call *call)
{
    struct aggregator *a = owner;
    struct segments s;
    uint8_t subject[16];
    json_t *out = NULL;
    bool erased;

    if (!subject_parse(control_text(call, "subject"), subject)) {
        control_end(call, EXIT_USAGE, NULL,
                    "a subject is a pseudonym of 16 or 32 hex digits; the "
                    "officer computes it with `sotto-policy subject --id ID`");
        return;
    }
    if (!verb_recorded(a, call, AUDIT_PROFILE_READ,
                       audit_subject(a->audit, span_of(subject, 16))))
        return;
    erased = suppress_has(a->suppress, subject);
    views_lock(a->views);
    if (!erased &&
        profiles_find(views_profiles(a->views), subject) != DICT_NONE) {
        bool fitted = segments_now(a, &s) == SOTTO_OK;
        out = profile_of(a, subject, fitted ? &s : NULL);
    }
    views_unlock(a->views);
    control_end(call, out ? EXIT_GOOD : EXIT_FINDINGS, out,
                out      ? NULL
                : erased ? "erased"
                         : "no such subject in the profiles");
}

static void verb_segments(void *owner, struct control_call *call)
{
    struct aggregator *a = owner;
    struct segment_size sizes[SEGMENTS_MAX];
    struct segments s;
    json_t *list = json_array();
    uint32_t count = 0;
    enum sotto_err err;

    views_lock(a->views);
    err = segments_now(a, &s);
    if (!err)
        count = segments_count(&s, views_profiles(a->views), sizes);
    views_unlock(a->views);
    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(
            list, json_pack("{s:s,s:I,s:I}", "segment", sizes[i].name, "people",
                            (json_int_t)sizes[i].people, "spent",
                            (json_int_t)sizes[i].spent));
    if (err == SOTTO_ENOTFOUND) {
        json_decref(list);
        control_end(call, EXIT_FINDINGS, NULL, "nobody has bought yet");
    } else if (err) {
        json_decref(list);
        end_err(call, err, NULL);
    } else {
        control_end(call, EXIT_GOOD,
                    json_pack("{s:I,s:I,s:o}", "version", (json_int_t)s.version,
                              "as_of_ms", (json_int_t)s.as_of_ms, "segments",
                              list),
                    NULL);
    }
}

/* ---- train, models, recommend ---- */

struct training {
    uv_work_t work;
    uv_timer_t look; /* shows progress */
    struct aggregator *a;
    struct control_call *call;
    struct effort effort;
    json_t *meta;
    enum sotto_err err;
    struct why why;
};

static enum sotto_err fit_segments(struct aggregator *a, struct store *store)
{
    struct segments s = {0};
    enum sotto_err err = segments_load(&s, store);

    if (err && err != SOTTO_ENOTFOUND)
        return err;
    views_lock(a->views);
    err = segments_fit(&s, views_profiles(a->views),
                       profiles_last_ms(views_profiles(a->views)));
    views_unlock(a->views);
    return err ? err : segments_save(&s, store);
}

static void training_on_worker(uv_work_t *work)
{
    struct training *t = work->data;
    struct train_input in;
    struct store *store = NULL;
    struct why why;

    t->err = store_open(&store, t->a->dir, t->a->settings.store_key, &why);
    if (t->err)
        return;
    views_lock(t->a->views);
    t->err = train_collect(&in, views_interactions(t->a->views));
    views_unlock(t->a->views);
    if (!t->err)
        t->err = train_fit(&in, &t->effort, &t->meta);
    if (!t->err)
        t->err = fit_segments(t->a, store);
    if (!t->err)
        t->err = audit_append(
            t->a->audit, AUDIT_MODEL_RELEASED, control_uid(t->call),
            json_pack("{s:s}", "model", in.model->name), &t->why);
    if (!t->err)
        t->err = registry_add(t->a->registry, store, in.model, t->meta, true);
    if (!t->err)
        json_object_set_new(t->meta, "version", number(in.model->version));
    train_input_fini(&in);
    store_close(store);
}

static void look_on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void training_on_loop(uv_work_t *work, int status)
{
    struct training *t = work->data;

    t->a->training = false;
    if (status != 0)
        t->err = SOTTO_ECLOSED;
    if (t->err == SOTTO_ENOTFOUND) {
        control_end(t->call, EXIT_FINDINGS, NULL,
                    "nobody has bought anything yet: nothing to train on");
    } else if (t->err) {
        end_err(t->call, t->err, &t->why);
    } else {
        if (t->a->publisher)
            publisher_model(t->a->publisher);
        control_end(t->call, EXIT_GOOD, t->meta, NULL);
        t->meta = NULL;
    }
    json_decref(t->meta);
    uv_close((uv_handle_t *)&t->look, look_on_closed);
}

static void training_look(uv_timer_t *timer)
{
    struct training *t = timer->data;

    if (control_cancelled(t->call))
        atomic_store(&t->effort.cancelled, true);
    control_progress(t->call, "train", atomic_load(&t->effort.done),
                     atomic_load(&t->effort.total));
}

static void verb_train(void *owner, struct control_call *call)
{
    struct aggregator *a = owner;
    struct training *t;

    if (a->training) {
        control_end(call, EXIT_REFUSED, NULL, "a training is running already");
        return;
    }
    t = calloc(1, sizeof *t);
    if (!t) {
        end_err(call, SOTTO_ENOMEM, NULL);
        return;
    }
    a->training = true;
    t->a = a;
    t->call = call;
    t->work.data = t->look.data = t;
    uv_timer_init(a->loop, &t->look);
    uv_timer_start(&t->look, training_look, 100, 100);
    if (uv_queue_work(a->loop, &t->work, training_on_worker,
                      training_on_loop) != 0)
        abort(); /* only for a NULL callback */
}

static void add_model(void *context, uint64_t version, const char *state,
                      const json_t *meta)
{
    json_t *one = json_deep_copy(meta);

    json_object_set_new(one, "version", number(version));
    json_object_set_new(one, "state", json_string(state));
    json_array_append_new(context, one);
}

static void verb_models(void *owner, struct control_call *call)
{
    struct aggregator *a = owner;
    json_t *list = json_array();
    enum sotto_err err = registry_each(a->store, add_model, list);

    if (err) {
        json_decref(list);
        end_err(call, err, NULL);
    } else {
        control_end(call, EXIT_GOOD, list, NULL);
    }
}

static json_t *text_json(struct span text)
{
    return json_stringn((const char *)text.data, text.size);
}

static json_t *list_json(const struct list *l)
{
    json_t *items = json_array();

    for (uint32_t i = 0; i < l->count; i++) {
        const struct list_item *it = &l->items[i];
        json_t *one =
            json_pack("{s:i,s:o,s:o,s:f,s:s}", "rank", (int)i + 1, "item",
                      text_json(it->item), "name", text_json(it->name), "score",
                      (double)it->score, "reason",
                      it->reason == REASON_BECAUSE   ? "because"
                      : it->reason == REASON_SEGMENT ? "segment"
                                                     : "popular");
        if (it->reason == REASON_BECAUSE) {
            json_object_set_new(one, "because", text_json(it->because));
            json_object_set_new(one, "because_name",
                                text_json(it->because_name));
        }
        json_array_append_new(items, one);
    }
    return json_pack("{s:o,s:o,s:o}", "model", text_json(l->model), "segment",
                     text_json(l->segment), "items", items);
}

static json_t *recommend_now(struct aggregator *a, struct live_model *m,
                             const uint8_t subject[16], uint32_t count)
{
    struct recommender_state *s = recommend_open(m);
    struct list *l = calloc(1, sizeof *l);
    struct segments segments = {0};
    json_t *out = NULL;

    if (s && l) {
        views_lock(a->views);
        segments_now(a, &segments);
        recommend_subject(s, l, &segments, NULL, views_profiles(a->views),
                          views_interactions(a->views), subject, count);
        out = list_json(l);
        views_unlock(a->views);
    }
    recommend_close(s);
    free(l);
    return out;
}

static void verb_recommend(void *owner, struct control_call *call)
{
    struct aggregator *a = owner;
    json_int_t count = control_int(call, "n", 10);
    struct live_model *m = registry_live(a->registry);
    uint8_t subject[16];
    json_t *out;

    if (!subject_parse(control_text(call, "subject"), subject)) {
        live_model_release(m);
        control_end(call, EXIT_USAGE, NULL,
                    "a subject is a pseudonym of 16 or 32 hex digits");
        return;
    }
    if (suppress_has(a->suppress, subject)) {
        live_model_release(m);
        control_end(call, EXIT_FINDINGS, NULL, "erased");
        return;
    }
    if (!m) {
        control_end(call, EXIT_FINDINGS, NULL,
                    "no model yet: run `sotto-aggregator train`");
        return;
    }
    if (!verb_recorded(a, call, AUDIT_LIST_READ,
                       audit_subject(a->audit, span_of(subject, 16)))) {
        live_model_release(m);
        return;
    }
    out = recommend_now(a, m, subject,
                        count < 1 || count > LIST_ITEMS_MAX ? 10
                                                            : (uint32_t)count);
    live_model_release(m);
    control_end(call, out ? EXIT_GOOD : EXIT_FINDINGS, out,
                out ? NULL : "no memory");
}

/* ---- verify: views against the log ---- */

static void verb_verify(void *owner, struct control_call *call)
{
    struct aggregator *a = owner;

    if (!a->folding)
        verify_views(a, call);
    else if (!a->verify)
        a->verify = call; /* when the fold has ended */
    else
        control_end(call, EXIT_REFUSED, NULL,
                    "another verify waits already; ask again");
}

void verify_views(struct aggregator *a, struct control_call *call)
{
    struct why why = {0};
    enum sotto_err err;

    if (a->stopping) {
        control_end(call, EXIT_REFUSED, NULL, "stopping; ask again later");
        return;
    }
    err = views_verify(a->views, &why);
    if (err)
        end_err(call, err, &why);
    else
        control_end(call, EXIT_GOOD,
                    json_pack("{s:b,s:I}", "same", 1, "chunks",
                              (json_int_t)views_applied(a->views)),
                    NULL);
}

const struct control_verb aggregator_verbs[] = {
    {"policy add", verb_policy_add, false},
    {"enroll", verb_enroll, false},
    {"agents", verb_agents, false},
    {"status", verb_status, false},
    {"profile", verb_profile, false},
    {"segments", verb_segments, false},
    {"train", verb_train, false},
    {"models", verb_models, false},
    {"recommend", verb_recommend, false},
    {"verify", verb_verify, false},
    {"access", verb_access, true},
    {"erase", verb_erase, false},
    {"receipt", verb_receipt, false},
    {"risk", verb_risk, true},
    {"ledger", verb_ledger, true},
    {"release count", verb_release_count, true},
    {NULL, NULL, false},
};
