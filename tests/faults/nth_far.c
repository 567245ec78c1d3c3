/* See nth_far.h. */
#include "nth_far.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "aggregator/aggregator.h"
#include "support/stage.h"

#define STORIES_ITEMS 5

static void must(enum sotto_err err)
{
    assert(err == SOTTO_OK);
}

/* ---- the directory ---- */

static void make_model(struct store *store)
{
    struct live_model *m = live_model_new();
    json_t *meta = json_pack("{s:s}", "about", "popularity");
    struct registry *registry;

    assert(m && meta);
    snprintf(m->name, sizeof m->name, "popularity");
    m->name_of = calloc(STORIES_ITEMS, sizeof *m->name_of);
    m->popularity = calloc(STORIES_ITEMS, sizeof *m->popularity);
    assert(m->name_of && m->popularity);
    for (uint32_t i = 0; i < STORIES_ITEMS; i++) {
        char text[32];
        uint32_t number;

        snprintf(text, sizeof text, "i-%u", i);
        must(dict_intern(&m->items, span_text(text), &number));
        must(dict_intern(&m->names, span_text(text), &m->name_of[i]));
        m->popularity[i] = (float)(i + 1);
    }
    must(registry_open(&registry, store));
    must(registry_add(registry, store, m, meta, true));
    registry_close(registry);
    live_model_release(m);
    json_decref(meta);
}

static void make_identity(struct store *store, const struct keys *keys)
{
    struct buf secret;

    buf_init(&secret, 1024);
    must(keys_save(keys, &secret));
    must(store_put(store, "identity", span_of(secret.data, secret.size)));
    buf_wipe(&secret);
}

void far_make(const char *dir, const struct keys *keys, struct span container,
              uint8_t secret[32])
{
    const struct policy *added;
    struct policies *policies;
    struct roster *roster;
    struct store *store;
    struct why why;
    char key[300];

    assert(mkdir(dir, 0700) == 0);
    snprintf(key, sizeof key, "%s.key", dir);
    must(store_create(dir, key, &why));
    must(store_open(&store, dir, key, &why));
    make_identity(store, keys);
    must(policies_open(&policies, store));
    must(policies_add(policies, container, 1, &added, &why));
    must(roster_open(&roster, store));
    must(roster_token(roster, "till", 1, INT64_MAX, secret));
    make_model(store);
    roster_close(roster);
    policies_close(policies);
    store_close(store);
}

/* ---- open and close ---- */

enum sotto_err far_open(struct aggregator **out, const char *dir,
                        struct why *why)
{
    return aggregator_open(out, stage_loop(), dir, true, why);
}

static void far_stopped(void *owner)
{
    *(bool *)owner = true;
}

static bool is_true(void *context)
{
    return *(bool *)context;
}

void far_close(struct aggregator *a)
{
    bool stopped = false;

    if (!a)
        return;
    aggregator_stop(a, far_stopped, &stopped);
    assert(stage_until(is_true, &stopped, 60000));
}

bool far_settled(const struct aggregator *a)
{
    struct publisher_stats s;

    publisher_stats(a->publisher, &s);
    return aggregator_folded(a) && s.idle;
}

/* ---- what is stored ---- */

static void look_at_batch(const struct aggregator *a, struct far_audit *out,
                          const struct log_chunk *chunk, struct span body)
{
    const struct policy *p = policies_find(a->policies, chunk->policy);
    struct batch_view *view;

    assert(p);
    must(batch_decode(&view, body, p));
    for (uint32_t i = 0; i < batch_view_count(view); i++) {
        const struct event_value *item;
        struct event ev;
        char text[32] = "";
        unsigned number = FAR_ITEMS;

        batch_view_event(view, i, &ev);
        item = event_role_value(p, &ev, ROLE_ITEM);
        assert(item && item->text.size < sizeof text);
        memcpy(text, item->text.data, item->text.size);
        out->events++;
        if (sscanf(text, "i-%u", &number) == 1 && number < FAR_ITEMS)
            out->stored[number]++;
        else
            out->others++;
    }
    batch_view_free(view);
}

static enum sotto_err look_at_stream(void *context, const struct log_stream *s)
{
    struct far_audit *out = context;

    out->said_accepted += s->counters.accepted;
    out->said_produced += s->counters.produced;
    out->said_dropped += counters_dropped(&s->counters);
    out->lost += s->voided_events + s->refused_events + s->refused_batches;
    return SOTTO_OK;
}

void far_look(struct aggregator *a, struct far_audit *out)
{
    struct log_chunk chunk = {.number = 0};
    struct buf scratch, body;
    struct why why = {""};
    enum sotto_err err;

    memset(out, 0, sizeof *out);
    buf_init(&scratch, 2 * FRAME_MAX);
    buf_init(&body, PAYLOAD_MAX);
    while (!(err = log_read(a->store, chunk.number, &chunk, &scratch))) {
        must(payload_unzip(&body, chunk.payload, PAYLOAD_MAX));
        if (chunk.kind == KIND_BATCH)
            look_at_batch(a, out, &chunk, span_of(body.data, body.size));
        else
            out->forgotten++;
    }
    assert(err == SOTTO_ENOTFOUND);
    must(log_stream_each(a->store, look_at_stream, out));
    out->lost += views_skipped(a->views);
    out->views_agree = views_verify(a->views, &why) == SOTTO_OK;
    buf_fini(&body);
    buf_fini(&scratch);
}
