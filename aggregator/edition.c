/* See edition.h. */
#include "aggregator/edition.h"

#include <stdlib.h>
#include <string.h>

#include "aggregator/documents.h"
#include "aggregator/roster.h"
#include "base/log.h"

#define PER_TRANSACTION 256
#define EXPIRES_DAYS 30
#define SHARD_BYTES (DOCUMENT_BODY_MAX - 64 * 1024)
#define SUBJECTS_MAX 50000000u

struct writing { /* one run */
    struct edition *e;
    struct live_model *model;
    struct recommender_state *state;
    struct segments segments;
    struct list list;
    struct buf body, sealed;
    uint32_t in_transaction;
    /* The document that a subject's list becomes, per agent. */
    const uint8_t *subject;
    enum sotto_err err;
    bool to_restarted_only;
};

/* ---- writing ---- */

static enum sotto_err flush(struct writing *w)
{
    enum sotto_err err;

    if (w->in_transaction == 0)
        return SOTTO_OK;
    w->in_transaction = 0;
    err = store_commit(w->e->store);
    suppress_release(w->e->suppress);
    return err;
}

/* Who is erased from here on waits for the commit. */
static enum sotto_err begin(struct writing *w)
{
    enum sotto_err err;

    if (w->in_transaction > 0)
        return SOTTO_OK;
    suppress_hold(w->e->suppress);
    err = store_begin(w->e->store);
    if (err)
        suppress_release(w->e->suppress);
    else
        w->in_transaction = 1;
    return err;
}

static void roll_back(struct writing *w)
{
    if (w->in_transaction == 0)
        return;
    w->in_transaction = 0;
    store_rollback(w->e->store);
    suppress_release(w->e->suppress);
}

static enum sotto_err put(struct writing *w, uint32_t agent, uint32_t kind,
                          struct span key, int64_t expires_ms, struct span body)
{
    struct document d = {.kind = kind,
                         .key = key,
                         .expires_ms = expires_ms,
                         .made_ms = w->e->now_ms,
                         .body = body};
    enum sotto_err err = begin(w);

    if (err ||
        (kind == DOCUMENT_LIST && suppress_has(w->e->suppress, key.data)))
        return err;
    w->in_transaction++;
    err = documents_put(w->e->store, agent, &d, &w->sealed);
    w->e->documents++;
    if (!err && w->in_transaction > PER_TRANSACTION)
        err = flush(w);
    return err;
}

static bool restarted(const struct edition *e, uint32_t agent)
{
    for (uint32_t i = 0; i < e->restart_count; i++)
        if (e->restart[i] == agent)
            return true;
    return false;
}

/* To all agents, or to those that get everything again. */
static enum sotto_err put_all(struct writing *w, bool everybody, uint32_t kind,
                              struct span key, int64_t expires_ms,
                              struct span body)
{
    const struct edition *e = w->e;
    enum sotto_err err = SOTTO_OK;

    for (uint32_t i = 0; i < e->agent_count && !err; i++)
        if (everybody || restarted(e, e->agents[i]))
            err = put(w, e->agents[i], kind, key, expires_ms, body);
    return err;
}

/* ---- parts of an edition ---- */

#define RESTARTS "restarts"
#define RESTARTS_BYTES_MAX (ROSTER_MAX * sizeof(uint32_t))

/* Kept while their documents are being made: these do not fit into one
 * transaction, and a stop in the middle would leave an agent with a part. */
static enum sotto_err keep_restarts(struct edition *e, uint32_t count)
{
    return e->restart_count
               ? store_put(e->store, RESTARTS,
                           span_of(e->restart, count * sizeof *e->restart))
               : SOTTO_OK;
}

static enum sotto_err restart_agents(struct writing *w)
{
    struct edition *e = w->e;
    enum sotto_err err = keep_restarts(e, e->restart_count);

    for (uint32_t i = 0; i < e->restart_count && !err; i++) {
        err = store_begin(e->store);
        if (!err)
            err = documents_restart(e->store, e->restart[i], e->floors[i]);
        if (!err)
            err = store_commit(e->store);
        else
            store_rollback(e->store);
    }
    return err;
}

static int64_t expiry(const struct writing *w)
{
    return w->e->now_ms + EXPIRES_DAYS * DAY_MS;
}

static enum sotto_err put_list(struct writing *w, uint32_t kind,
                               struct span key)
{
    enum sotto_err err;

    buf_clear(&w->body);
    err = list_encode(&w->body, &w->list);
    return err ? err
               : put_all(w, w->e->model, kind, key, expiry(w),
                         span_of(w->body.data, w->body.size));
}

static enum sotto_err put_popular(struct writing *w)
{
    views_lock(w->e->views);
    recommend_subject(w->state, &w->list, &w->segments, w->e->by_segment,
                      views_profiles(w->e->views),
                      views_interactions(w->e->views), NULL, LIST_ITEMS_MAX);
    views_unlock(w->e->views);
    return put_list(w, DOCUMENT_POPULAR, span_of(NULL, 0));
}

static enum sotto_err put_segments(struct writing *w)
{
    enum sotto_err err = SOTTO_OK;

    for (uint32_t i = 0; i < w->e->by_segment->count && !err; i++) {
        recommend_segment(w->state, &w->list, w->e->by_segment, i);
        err = put_list(w, DOCUMENT_SEGMENT,
                       span_text(w->e->by_segment->of[i].name));
    }
    return err;
}

/* Bytes of a row in a shard, from above. */
static size_t row_size(const struct live_model *m, uint32_t item)
{
    const struct weights8 *r = &m->rows8;
    uint64_t entries = r->starts[item + 1] - r->starts[item];

    return live_model_item(m, item).size + live_model_name(m, item).size +
           (size_t)entries * 5 + 32;
}

static uint32_t shard_end(const struct live_model *m, uint32_t first)
{
    size_t size = 64;
    uint32_t item = first;

    while (item < m->items.count &&
           (item == first || size + row_size(m, item) <= SHARD_BYTES))
        size += row_size(m, item++);
    return item;
}

static enum sotto_err encode_shard(struct writing *w, uint32_t shards,
                                   uint32_t first, uint32_t end)
{
    const struct live_model *m = w->model;
    const struct rows_shard head = {.model = w->list.model,
                                    .shards = shards,
                                    .items_total = m->items.count,
                                    .first = first,
                                    .count = end - first};
    enum sotto_err err;

    buf_clear(&w->body);
    err = rows_begin(&w->body, &head);
    for (uint32_t i = first; i < end && !err; i++) {
        struct weights8_row r = weights8_row(&m->rows8, i);
        struct rows_row row = {
            .item = live_model_item(m, i),
            .name = live_model_name(m, i),
            .scale = r.scale,
            .count = r.size < ROW_WEIGHTS_MAX ? r.size : ROW_WEIGHTS_MAX,
        };
        row.columns = span_of(r.targets, row.count * 4u);
        row.weights = span_of(r.values, row.count);
        err = rows_add(&w->body, &row);
    }
    return err;
}

static enum sotto_err put_rows(struct writing *w)
{
    const struct live_model *m = w->model;
    uint32_t shards = 0, number = 0;
    enum sotto_err err = SOTTO_OK;

    if (m->rows8.items == 0)
        return SOTTO_OK;
    for (uint32_t at = 0; at < m->items.count; at = shard_end(m, at))
        shards++;
    for (uint32_t at = 0; at < m->items.count && !err; number++) {
        uint32_t end = shard_end(m, at);
        uint8_t key[4] = {(uint8_t)number, (uint8_t)(number >> 8),
                          (uint8_t)(number >> 16), (uint8_t)(number >> 24)};
        err = encode_shard(w, shards, at, end);
        if (!err)
            err = put_all(w, w->e->model, DOCUMENT_ROWS, span_of(key, 4),
                          WHEN_NONE, span_of(w->body.data, w->body.size));
        at = end;
    }
    return err;
}

/* ---- subjects ---- */

struct seen_by {
    uint32_t agents[PROFILE_AGENTS];
    uint32_t count;
};

static void note_agent(void *context, uint32_t agent)
{
    struct seen_by *s = context;

    if (s->count < PROFILE_AGENTS)
        s->agents[s->count++] = agent;
}

/* Makes the list of one subject for every agent that has seen it. */
static enum sotto_err put_subject(struct writing *w, const uint8_t *subject)
{
    struct views *views = w->e->views;
    const struct profiles *profiles;
    const struct interactions *x;
    struct seen_by seen = {.count = 0};
    uint64_t streams[PROFILE_AGENTS], sequences[PROFILE_AGENTS];
    uint32_t number;
    enum sotto_err err = SOTTO_OK;

    views_lock(views);
    profiles = views_profiles(views);
    x = views_interactions(views);
    number = profiles_find(profiles, subject);
    if (number != DICT_NONE) {
        profiles_agents(profiles, number, note_agent, &seen);
        recommend_subject(w->state, &w->list, &w->segments, w->e->by_segment,
                          profiles, x, subject, LIST_LENGTH);
    }
    for (uint32_t i = 0; i < seen.count; i++)
        interactions_upto(x, seen.agents[i], &streams[i], &sequences[i]);
    views_unlock(views);
    for (uint32_t i = 0; i < seen.count && !err; i++) {
        if (w->to_restarted_only && !restarted(w->e, seen.agents[i]))
            continue;
        w->list.stream = streams[i];
        w->list.sequence = sequences[i];
        buf_clear(&w->body);
        err = list_encode(&w->body, &w->list);
        if (!err)
            err = put(w, seen.agents[i], DOCUMENT_LIST, span_of(subject, 16),
                      expiry(w), span_of(w->body.data, w->body.size));
        w->e->lists++;
    }
    return err;
}

static enum sotto_err put_every_subject(struct writing *w)
{
    enum sotto_err err = SOTTO_OK;

    for (uint32_t i = 0; !err; i++) {
        struct profile p;
        views_lock(w->e->views);
        bool more = i < profiles_count(views_profiles(w->e->views));
        if (more)
            profiles_get(views_profiles(w->e->views), i, &p);
        views_unlock(w->e->views);
        if (!more)
            break;
        err = put_subject(w, p.subject);
    }
    return err;
}

static void note_identities(struct dict *subjects, struct edition *e,
                            const struct log_chunk *chunk, struct buf *plain)
{
    const struct policy *p = policies_find(e->policies, chunk->policy);
    struct batch_view *view = NULL;
    struct span ids;
    uint32_t number;

    if (chunk->kind != KIND_BATCH || !p ||
        payload_unzip(plain, chunk->payload, PAYLOAD_MAX) ||
        batch_decode(&view, span_of(plain->data, plain->size), p))
        return; /* the fold has reported it */
    ids = batch_view_identities(view);
    for (size_t at = 0; at + 16 <= ids.size; at += 16)
        if (dict_intern(subjects, span_of(ids.data + at, 16), &number))
            break;
    batch_view_free(view);
}

/* Subjects of the chunks that were folded since the last edition. */
static enum sotto_err put_news(struct writing *w, uint64_t upto)
{
    struct edition *e = w->e;
    struct buf chunk_bytes, plain;
    struct log_chunk chunk;
    struct dict subjects;
    uint64_t at = e->published;
    enum sotto_err err = SOTTO_OK;

    dict_init(&subjects, SUBJECTS_MAX, (size_t)SUBJECTS_MAX * 16, 3);
    buf_init(&chunk_bytes, PAYLOAD_MAX);
    buf_init(&plain, PAYLOAD_MAX);
    while (at < upto) {
        err = log_read(e->store, at, &chunk, &chunk_bytes);
        if (err == SOTTO_ECRYPTO) {
            at = chunk.number;
            continue;
        }
        if (err || chunk.number > upto)
            break;
        at = chunk.number;
        note_identities(&subjects, e, &chunk, &plain);
    }
    err = err == SOTTO_ENOTFOUND || err == SOTTO_ECRYPTO ? SOTTO_OK : err;
    for (uint32_t i = 0; i < subjects.count && !err; i++) {
        uint8_t subject[16];
        memcpy(subject, dict_key(&subjects, i).data, 16);
        err = put_subject(w, subject);
    }
    dict_fini(&subjects);
    buf_fini(&chunk_bytes);
    buf_fini(&plain);
    return err;
}

/* ---- tombstones ---- */

/* Those that agents have applied go, and for good. */
static enum sotto_err confirm(struct edition *e)
{
    enum sotto_err err = SOTTO_OK;

    if (e->confirm_count > 0) {
        err = store_begin(e->store);
        if (err)
            return err;
        for (uint32_t i = 0; i < e->confirm_count && !err; i++)
            err = documents_confirm(e->store, e->confirm[i].agent,
                                    e->confirm[i].from, e->confirm[i].applied);
        if (err)
            store_rollback(e->store);
        else
            err = store_commit(e->store);
        e->scrub = true;
    }
    if (!err && e->scrub)
        err = store_scrub(e->store);
    if (!err)
        e->scrub = false;
    return err;
}

/* ---- the run ---- */

static enum sotto_err put_model_parts(struct writing *w)
{
    struct edition *e = w->e;
    bool general = e->model || e->restart_count > 0;
    uint64_t upto = views_applied(e->views);
    enum sotto_err err = SOTTO_OK;

    if (e->by_segment_version != w->model->version) {
        views_lock(e->views);
        err = recommend_segments(e->by_segment, w->model, &w->segments,
                                 views_profiles(e->views),
                                 views_interactions(e->views));
        views_unlock(e->views);
        e->by_segment_version = err ? 0 : w->model->version;
    }
    if (general) {
        if (!err)
            err = put_popular(w);
        if (!err)
            err = put_segments(w);
        if (!err)
            err = put_rows(w);
        w->to_restarted_only = !e->model;
        if (!err)
            err = put_every_subject(w);
        w->to_restarted_only = false;
    }
    if (!err && !e->model)
        err = put_news(w, upto);
    if (!err)
        e->published = upto;
    return err;
}

static enum sotto_err make(struct writing *w)
{
    struct edition *e = w->e;
    enum sotto_err err = confirm(e);

    if (!err)
        err = restart_agents(w);
    if (!err && e->policy_container.size > 0)
        err = put_all(w, e->policy, DOCUMENT_POLICY, span_of(NULL, 0),
                      WHEN_NONE, e->policy_container);
    if (!err && w->model)
        err = put_model_parts(w);
    if (!err)
        err = flush(w);
    if (!err && w->model)
        err = store_put(e->store, "published",
                        span_of(&e->published, sizeof e->published));
    if (!err && w->model && e->model)
        err = store_put(e->store, "published_model",
                        span_of(&w->model->version, sizeof w->model->version));
    return err ? err : keep_restarts(e, 0);
}

enum sotto_err edition_make(struct edition *e)
{
    struct writing *w = calloc(1, sizeof *w);
    uint64_t published = e->published;
    enum sotto_err err = SOTTO_OK;

    if (!w)
        return SOTTO_ENOMEM;
    w->e = e;
    buf_init(&w->body, DOCUMENT_BODY_MAX);
    buf_init(&w->sealed, 2 * DOCUMENT_BODY_MAX);
    w->model = registry_live(e->registry);
    if (w->model) {
        w->state = recommend_open(w->model);
        err = w->state ? SOTTO_OK : SOTTO_ENOMEM;
        if (!err)
            err = segments_load(&w->segments, e->store);
        if (err == SOTTO_ENOTFOUND)
            err = SOTTO_OK;
    }
    if (!err)
        err = make(w);
    if (err)
        roll_back(w);
    if (err) /* the news are still to be told */
        e->published = published;
    recommend_close(w->state);
    live_model_release(w->model);
    buf_fini(&w->body);
    buf_fini(&w->sealed);
    free(w);
    return err;
}

static uint64_t get_number(struct store *store, const char *name)
{
    uint64_t number = 0;
    struct buf value;

    buf_init(&value, 64);
    if (store_get(store, name, &value) == SOTTO_OK &&
        value.size == sizeof number)
        memcpy(&number, value.data, sizeof number);
    buf_fini(&value);
    return number;
}

uint64_t edition_published(struct store *store)
{
    return get_number(store, "published");
}

enum sotto_err edition_restarts(struct store *store,
                                void (*each)(void *context, uint32_t agent),
                                void *context)
{
    struct buf agents;
    uint32_t agent;
    enum sotto_err err;

    buf_init(&agents, RESTARTS_BYTES_MAX);
    err = store_get(store, RESTARTS, &agents);
    for (size_t at = 0; !err && at + sizeof agent <= agents.size;
         at += sizeof agent) {
        memcpy(&agent, agents.data + at, sizeof agent);
        each(context, agent);
    }
    buf_fini(&agents);
    return err == SOTTO_ENOTFOUND ? SOTTO_OK : err;
}

uint64_t edition_published_model(struct store *store)
{
    return get_number(store, "published_model");
}
