/* The parts of an agent, put together by hand over a fixture: home, spool,
 * ring, policies and take, so that a test can turn one part at a time. */
#ifndef SOTTO_TESTS_PARTS_H
#define SOTTO_TESTS_PARTS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/batcher.h"
#include "agent/take.h"
#include "fixture.h"
#include "policy/batch.h"
#include "policy/minisign.h"

struct parts {
    struct fixture fixture;
    struct settings settings;
    struct home *home;
    struct spool_config spool_config;
    struct spool *spool;
    struct journal *journal;
    struct policyset policies;
    struct trusted_time time;
    struct take take;
    struct batcher *batcher;
    char spool_path[256], ring_path[256];
};

static inline void parts_must(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "parts: %s failed\n", what);
        abort();
    }
}

/* Opens everything that lies in the directory (again). */
static inline void parts_open(struct parts *p)
{
    const struct bundle *officer;
    const struct policy *policy;
    uint64_t recovered;
    uint32_t number = 0;
    struct why why = {.text = ""};

    parts_must(!home_load(&p->home, p->fixture.home, &why), why.text);
    officer = &p->home->officer;
    parts_must(!spool_open(&p->spool, &p->spool_config, &why), why.text);
    parts_must(
        !journal_open(&p->journal, p->ring_path, 1 << 20, &recovered, &why),
        why.text);
    parts_must(!policyset_open(&p->policies, p->spool, &officer->signers,
                               officer->tenant, officer->minimum_version),
               "policyset_open");
    if (!policyset_current(&p->policies, NULL))
        parts_must(
            !policyset_add(&p->policies,
                           span_of(officer->policy.data, officer->policy.size),
                           &why),
            why.text);
    p->time.clock = &clock_system;
    parts_must(!take_init(&p->take, p->journal, &p->time, officer->keys),
               "take_init");
    policy = policyset_current(&p->policies, &number);
    parts_must(!take_policy(&p->take, policy, number), "take_policy");
}

static inline void parts_close(struct parts *p)
{
    batcher_close(p->batcher);
    p->batcher = NULL;
    take_fini(&p->take);
    policyset_close(&p->policies);
    journal_close(p->journal);
    spool_close(p->spool);
    home_free(p->home);
}

static inline struct span parts_read(struct buf *out, const char *path)
{
    buf_init(out, 1 << 20);
    parts_must(!buf_read_file(out, path), path);
    return span_of(out->data, out->size);
}

/* A fixture whose home is made, with a spool of so many bytes. */
static inline void parts_make(struct parts *p, const char *address,
                              int64_t spool_bytes)
{
    struct buf token, bundle;
    struct why why = {.text = ""};

    memset(p, 0, sizeof *p);
    fixture_make(&p->fixture, NULL, address, NULL);
    parts_must(!home_make(p->fixture.home,
                          parts_read(&token, p->fixture.token_file),
                          parts_read(&bundle, p->fixture.bundle_file),
                          p->fixture.code, &why),
               why.text);
    buf_wipe(&token);
    buf_wipe(&bundle);
    parts_must(!settings_load(&p->settings, p->fixture.home, &why), why.text);
    snprintf(p->spool_path, sizeof p->spool_path, "%s/spool.db",
             p->fixture.home);
    snprintf(p->ring_path, sizeof p->ring_path, "%s/ring/one", p->fixture.dir);
    p->spool_config = (struct spool_config){.path = p->spool_path,
                                            .bytes_max = spool_bytes,
                                            .replay_ms = 3600 * 1000};
    parts_open(p);
}

static inline void parts_free(struct parts *p)
{
    parts_close(p);
    fixture_free(&p->fixture);
}

static inline void parts_batcher(struct parts *p)
{
    const struct batcher_parts use = {.settings = &p->settings,
                                      .home = p->home,
                                      .journal = p->journal,
                                      .spool = p->spool,
                                      .policies = &p->policies,
                                      .time = &p->time};

    parts_must(!batcher_open(&p->batcher, &use), "batcher_open");
}

/* "Product Viewed" of item "i-<number>". */
struct parts_row {
    char item[32];
    struct raw_field field;
    struct raw_event raw;
};
static inline const struct raw_event *parts_row(struct parts_row *r,
                                                unsigned number)
{
    snprintf(r->item, sizeof r->item, "i-%u", number);
    r->field = (struct raw_field){.path = span_text("properties.product_id"),
                                  .kind = RAW_TEXT,
                                  .text = span_text(r->item)};
    r->raw = (struct raw_event){.name = span_text("Product Viewed"),
                                .time_ms = WHEN_NONE,
                                .fields = &r->field,
                                .field_count = 1};
    return &r->raw;
}

static inline enum drop_reason parts_track(struct parts *p, unsigned number)
{
    struct parts_row row;

    return take_event(&p->take, parts_row(&row, number));
}

/* The container of the fixture's policy with another version, signed. */
static inline void parts_policy(const struct parts *p, struct buf *out,
                                uint64_t version,
                                void (*change)(struct policy *draft))
{
    struct policy draft = *p->fixture.policy;
    struct signed_policy s = {.signature_count = 1};
    struct buf compiled, signature;

    draft.version = version;
    memcpy(draft.previous, p->fixture.policy->hash, HASH_SIZE);
    if (change)
        change(&draft);
    buf_init(&compiled, POLICY_BYTES_MAX);
    buf_init(&signature, 4096);
    buf_init(out, SIGNED_POLICY_MAX);
    parts_must(!policy_encode(&compiled, &draft), "policy_encode");
    s.compiled = span_of(compiled.data, compiled.size);
    parts_must(
        !minisign_sign(&signature, p->fixture.officer, s.compiled, "again"),
        "minisign_sign");
    s.signatures[0] = span_of(signature.data, signature.size);
    parts_must(!signed_policy_encode(out, &s), "signed_policy_encode");
    buf_fini(&compiled);
    buf_fini(&signature);
}

/* What the aggregator reads in an envelope of the spool. */
struct parts_opened {
    struct envelope e;
    uint32_t events;
    struct counters counters;
    unsigned first, last; /* items, if it has events */
    bool in_order;        /* items rise by one */
    uint8_t forgotten[16];
};
static inline void parts_open_envelope(const struct parts *p,
                                       struct span envelope,
                                       const struct policy *policy,
                                       struct parts_opened *o)
{
    struct batch_view *view;
    struct buf zipped, plain;

    memset(o, 0, sizeof *o);
    parts_must(!envelope_parse(&o->e, envelope), "envelope_parse");
    parts_must(!envelope_verify(&o->e, envelope, p->home->keys->sign_pk),
               "envelope_verify");
    buf_init(&zipped, FRAME_MAX);
    buf_init(&plain, PAYLOAD_MAX);
    parts_must(!envelope_open(&zipped, &o->e, p->fixture.aggregator) &&
                   !payload_unzip(&plain, span_of(zipped.data, zipped.size),
                                  PAYLOAD_MAX),
               "envelope_open");
    if (o->e.kind == KIND_FORGET) {
        memcpy(o->forgotten, plain.data, 16);
    } else {
        parts_must(
            !batch_decode(&view, span_of(plain.data, plain.size), policy),
            "batch_decode");
        o->events = batch_view_count(view);
        o->counters = *batch_view_counters(view);
        o->in_order = true;
        for (uint32_t i = 0; i < o->events; i++) {
            const struct event_value *item;
            struct event ev;
            char text[32] = "";
            unsigned number = 0;

            batch_view_event(view, i, &ev);
            item = event_role_value(policy, &ev, ROLE_ITEM);
            memcpy(text, item->text.data, item->text.size);
            sscanf(text, "i-%u", &number);
            o->in_order = o->in_order && (i == 0 || number == o->last + 1);
            o->first = i == 0 ? number : o->first;
            o->last = number;
        }
        batch_view_free(view);
    }
    buf_fini(&zipped);
    buf_fini(&plain);
}

static inline void parts_spooled(struct parts *p, uint64_t sequence,
                                 struct parts_opened *o)
{
    const struct policy *policy = NULL;
    struct envelope e;
    struct spool_row row;
    struct buf bytes;

    buf_init(&bytes, FRAME_MAX);
    parts_must(!spool_get(p->spool, sequence, &row, &bytes), "spool_get");
    parts_must(!envelope_parse(&e, span_of(bytes.data, bytes.size)), "parse");
    for (uint32_t i = 0; i < p->policies.count; i++)
        if (memcmp(p->policies.entries[i].policy->hash, e.policy, HASH_SIZE) ==
            0)
            policy = p->policies.entries[i].policy;
    parts_open_envelope(p, span_of(bytes.data, bytes.size), policy, o);
    o->e.body = span_of(NULL, 0);
    buf_fini(&bytes);
}

#endif
