/* See erase.h. What was done is kept as a setting "erasure/<id>", written in
 * the transaction of each step, so that a run that was broken off counts
 * nothing twice and forgets no agent. */
#include "aggregator/erase.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/documents.h"
#include "aggregator/strip.h"
#include "base/clock.h"
#include "base/log.h"

#define NAME_SIZE 40
#define RESULT_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define FOUND_MAX ((size_t)64 * 1024 * 1024)
#define SUBJECT_SIZE SUPPRESS_SUBJECT_SIZE

/* ---- results ---- */

static json_t *hex(const uint8_t *bytes, size_t size)
{
    char text[65];

    sodium_bin2hex(text, sizeof text, bytes, size);
    return json_string(text);
}

static void result_name(char name[NAME_SIZE], const struct suppressed *e)
{
    char id[2 * RECEIPT_ID_SIZE + 1];

    sodium_bin2hex(id, sizeof id, e->receipt, RECEIPT_ID_SIZE);
    snprintf(name, NAME_SIZE, "erasure/%s", id);
}

static json_t *result_new(const struct suppressed *e)
{
    return json_pack("{s:o,s:o,s:I,s:i,s:i,s:i,s:i,s:[]}", "id",
                     hex(e->receipt, RECEIPT_ID_SIZE), "proof",
                     hex(e->proof, RECEIPT_PROOF_SIZE), "erased_ms",
                     (json_int_t)e->erased_ms, "done_ms", 0, "events", 0,
                     "batches", 0, "model", 0, "agents");
}

static enum sotto_err result_load(struct store *s, const struct suppressed *e,
                                  json_t **out)
{
    char name[NAME_SIZE];
    struct buf text;
    enum sotto_err err;

    buf_init(&text, RESULT_BYTES_MAX);
    result_name(name, e);
    err = store_get(s, name, &text);
    if (!err) {
        *out = json_loadb((const char *)text.data, text.size, 0, NULL);
        err = *out ? SOTTO_OK : SOTTO_EDECODE;
    } else if (err == SOTTO_ENOTFOUND) {
        *out = result_new(e);
        err = *out ? SOTTO_OK : SOTTO_ENOMEM;
    }
    buf_fini(&text);
    return err;
}

static enum sotto_err result_save(struct store *s, const struct suppressed *e,
                                  const json_t *result)
{
    char name[NAME_SIZE];
    char *text = json_dumps(result, JSON_COMPACT);
    enum sotto_err err = SOTTO_ENOMEM;

    result_name(name, e);
    if (text)
        err = store_put(s, name, span_text(text));
    free(text);
    return err;
}

static void add_to(json_t *result, const char *name, int64_t more)
{
    json_int_t value = json_integer_value(json_object_get(result, name));

    json_object_set_new(result, name, json_integer(value + more));
}

/* Known by the key of its tombstone, which is no pseudonym. */
static void add_agent(json_t *result, uint32_t agent,
                      const uint8_t key[STORE_BLIND_SIZE])
{
    json_t *agents = json_object_get(result, "agents"), *one;
    size_t i;

    json_array_foreach(agents, i, one)
    {
        if (json_integer_value(json_object_get(one, "number")) == agent)
            return;
    }
    json_array_append_new(agents,
                          json_pack("{s:I,s:o}", "number", (json_int_t)agent,
                                    "key", hex(key, STORE_BLIND_SIZE)));
}

/* ---- the run ---- */

struct run {
    const struct erase_parts *use;
    struct strip strip;
    struct buf chunk, plain, zipped, sealed;
    struct buf matches; /* of lists: struct match */
    int64_t now_ms;
};

struct match {
    uint32_t agent;
    uint8_t subject[SUBJECT_SIZE];
};

/* In a transaction: the agent is told, and the receipt knows of it. */
static enum sotto_err tell(struct run *r, uint32_t agent,
                           const uint8_t *subject, uint32_t events,
                           uint32_t batches)
{
    struct store *s = r->use->store;
    uint8_t key[STORE_BLIND_SIZE];
    struct suppressed e;
    json_t *result;
    uint32_t number;
    enum sotto_err err = suppress_find(r->use->suppress, subject, &number);

    if (err)
        return err;
    suppress_get(r->use->suppress, number, &e);
    err = result_load(s, &e, &result);
    if (err)
        return err;
    documents_key(s, subject, key);
    add_to(result, "events", events);
    add_to(result, "batches", batches);
    add_agent(result, agent, key);
    err = result_save(s, &e, result);
    json_decref(result);
    if (!err)
        err = documents_forget(s, agent, subject, r->now_ms, &r->sealed);
    return err;
}

/* The events of a batch that names several are counted with the first. */
static enum sotto_err tell_all(struct run *r, uint32_t agent)
{
    const struct buf *found = &r->strip.found;
    enum sotto_err err = SOTTO_OK;

    for (size_t at = 0; at < found->size && !err; at += SUBJECT_SIZE)
        err = tell(r, agent, found->data + at, at ? 0 : r->strip.removed, 1);
    return err;
}

static enum sotto_err write_anew(struct run *r, const struct log_chunk *chunk)
{
    struct store *s = r->use->store;
    const struct buf *body = &r->strip.body;
    enum sotto_err err =
        payload_zip(&r->zipped, span_of(body->data, body->size));

    if (!err)
        err = store_begin(s);
    if (err)
        return err;
    err = log_rewrite(s, chunk, span_of(r->zipped.data, r->zipped.size),
                      chunk->events - r->strip.removed, r->strip.removed);
    if (!err)
        err = tell_all(r, chunk->agent);
    if (!err)
        return store_commit(s);
    store_rollback(s);
    return err;
}

static enum sotto_err strip_chunk(struct run *r, const struct log_chunk *chunk)
{
    const struct policy *p = r->use->lookup(r->use->context, chunk->policy);
    struct batch_view *view = NULL;
    struct span plain;
    enum sotto_err err = payload_unzip(&r->plain, chunk->payload, PAYLOAD_MAX);

    if (err)
        return err;
    plain = span_of(r->plain.data, r->plain.size);
    if (chunk->kind == KIND_FORGET)
        return strip_forget(&r->strip, r->use->suppress, plain);
    err = p ? batch_decode(&view, plain, p) : SOTTO_ENOTFOUND;
    if (!err)
        err = strip_batch(&r->strip, r->use->suppress, view, p);
    batch_view_free(view);
    return err;
}

/* What cannot be read cannot be told apart: the operator hears of it. */
static enum sotto_err erase_chunk(struct run *r, const struct log_chunk *chunk)
{
    enum sotto_err err;

    buf_clear(&r->strip.found);
    err = strip_chunk(r, chunk);
    if (err == SOTTO_EDECODE || err == SOTTO_ENOTFOUND ||
        err == SOTTO_ETOOBIG) {
        log_error("erase",
                  "chunk %llu of agent %u cannot be read: %s; it is "
                  "left as it is",
                  (unsigned long long)chunk->number, (unsigned)chunk->agent,
                  err_text(err));
        return SOTTO_OK;
    }
    return err || !r->strip.found.size ? err : write_anew(r, chunk);
}

static enum sotto_err erase_log(struct run *r)
{
    struct log_chunk chunk;
    uint64_t at = 0;
    enum sotto_err err;

    while ((err = log_read(r->use->store, at, &chunk, &r->chunk)) !=
           SOTTO_ENOTFOUND) {
        if (!err)
            err = erase_chunk(r, &chunk);
        if (err && err != SOTTO_ECRYPTO) /* the fold tells of that one */
            return err;
        at = chunk.number;
    }
    return SOTTO_OK;
}

/* ---- lists ---- */

static enum sotto_err note_list(void *context, uint32_t agent,
                                const uint8_t subject[SUBJECT_SIZE])
{
    struct run *r = context;
    struct match m = {.agent = agent};

    if (!suppress_has(r->use->suppress, subject))
        return SOTTO_OK;
    memcpy(m.subject, subject, SUBJECT_SIZE);
    return buf_append(&r->matches, &m, sizeof m);
}

static enum sotto_err erase_lists(struct run *r)
{
    struct store *s = r->use->store;
    enum sotto_err err = documents_subjects(s, note_list, r);

    if (err || !r->matches.size)
        return err;
    err = store_begin(s);
    if (err)
        return err;
    for (size_t at = 0; at < r->matches.size && !err;
         at += sizeof(struct match)) {
        struct match m;

        memcpy(&m, r->matches.data + at, sizeof m);
        err = tell(r, m.agent, m.subject, 0, 0);
    }
    if (!err)
        return store_commit(s);
    store_rollback(s);
    return err;
}

/* ---- the end ---- */

static uint64_t newest_model(struct store *s)
{
    sqlite3_stmt *q = store_prepare(s, "SELECT max(version) FROM model");
    uint64_t version;

    if (store_row(q))
        return 0;
    version = (uint64_t)sqlite3_column_int64(q, 0);
    store_done(q);
    return version;
}

static enum sotto_err finish_one(struct run *r, uint32_t number)
{
    struct store *s = r->use->store;
    struct suppressed e;
    json_t *result;
    enum sotto_err err;

    suppress_get(r->use->suppress, number, &e);
    err = result_load(s, &e, &result);
    if (err)
        return err;
    if (!json_integer_value(json_object_get(result, "done_ms"))) {
        json_object_set_new(result, "done_ms",
                            json_integer(clock_wall_ms(&clock_system)));
        json_object_set_new(result, "model",
                            json_integer((json_int_t)newest_model(s)));
        err = result_save(s, &e, result);
    }
    json_decref(result);
    return err;
}

static enum sotto_err finish(struct run *r, uint32_t count)
{
    struct store *s = r->use->store;
    enum sotto_err err = store_begin(s);

    if (err)
        return err;
    for (uint32_t i = suppress_pending(r->use->suppress); i < count && !err;
         i++)
        err = finish_one(r, i);
    if (!err)
        err = store_commit(s);
    else
        store_rollback(s);
    return err ? err : suppress_done(r->use->suppress, s, count);
}

static void run_init(struct run *r, const struct erase_parts *parts)
{
    *r = (struct run){.use = parts, .now_ms = clock_wall_ms(&clock_system)};
    strip_init(&r->strip);
    buf_init(&r->chunk, 2 * FRAME_MAX);
    buf_init(&r->plain, PAYLOAD_MAX);
    buf_init(&r->zipped, FRAME_MAX);
    buf_init(&r->sealed, 2 * FRAME_MAX);
    buf_init(&r->matches, FOUND_MAX);
}

static void run_fini(struct run *r)
{
    strip_fini(&r->strip);
    buf_wipe(&r->chunk);
    buf_wipe(&r->plain);
    buf_wipe(&r->zipped);
    buf_wipe(&r->sealed);
    buf_wipe(&r->matches);
}

enum sotto_err erase_run(const struct erase_parts *parts)
{
    uint32_t count = suppress_count(parts->suppress);
    struct run r;
    enum sotto_err err;

    if (suppress_pending(parts->suppress) == count)
        return SOTTO_OK;
    run_init(&r, parts);
    err = erase_log(&r);
    if (!err)
        err = erase_lists(&r);
    if (!err)
        err = views_rebuild(parts->views);
    if (!err)
        err = store_scrub(parts->store);
    if (!err)
        err = finish(&r, count);
    run_fini(&r);
    if (err)
        log_error("erase",
                  "not finished: %s; tried again by the next "
                  "erasure or start",
                  err_text(err));
    return err;
}

/* ---- showing ---- */

static enum sotto_err agent_state(struct store *store, json_t *agent)
{
    uint8_t key[STORE_BLIND_SIZE] = {0};
    const char *text = json_string_value(json_object_get(agent, "key"));
    uint32_t number =
        (uint32_t)json_integer_value(json_object_get(agent, "number"));
    bool pending = false;
    enum sotto_err err;

    if (!text ||
        sodium_hex2bin(key, sizeof key, text, strlen(text), NULL, NULL, NULL))
        return SOTTO_EDECODE;
    err = documents_forget_pending(store, number, key, &pending);
    json_object_del(agent, "key");
    json_object_set_new(agent, "state",
                        json_string(pending ? "pending" : "confirmed"));
    return err;
}

enum sotto_err erase_result(struct store *store, struct suppress *suppress,
                            uint32_t number, json_t **out)
{
    struct suppressed e;
    json_t *agent;
    size_t i;
    enum sotto_err err;

    suppress_get(suppress, number, &e);
    err = result_load(store, &e, out);
    if (err)
        return err;
    json_array_foreach(json_object_get(*out, "agents"), i, agent)
    {
        if (!err)
            err = agent_state(store, agent);
    }
    if (err)
        json_decref(*out);
    return err;
}
