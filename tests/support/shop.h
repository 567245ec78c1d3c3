/* A shop for tests of the aggregator's store, log and views: its policy, what
 * people did there as plain numbers, and a directory that takes it as batches.
 */
#ifndef SOTTO_TESTS_SHOP_H
#define SOTTO_TESTS_SHOP_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aggregator/log.h"
#include "aggregator/view.h"
#include "aggregator/views/interactions.h"
#include "aggregator/views/profile.h"
#include "base/when.h"
#include "sample_policy.h"

#define SHOP_AGENTS 4

enum shop_event { SHOP_VIEW, SHOP_ADD, SHOP_BUY, SHOP_RETURN, SHOP_EVENTS };

struct deed {
    unsigned event;    /* enum shop_event */
    unsigned subject;  /* 0: unknown */
    unsigned item;     /* 0: none */
    unsigned order;    /* 0: none */
    unsigned minute;   /* of 2026, roughly */
    int64_t cents;     /* price of one */
    int64_t quantity;  /* 0: not said */
    unsigned category; /* 0: none */
    unsigned name;     /* of the item; 0: none */
    uint32_t consent;
};

#define SHOP_START_MS INT64_C(1767225600000) /* 2026-01-01 */
#define CENT INT64_C(10000)

static inline int64_t shop_ms(unsigned minute)
{
    return SHOP_START_MS + (int64_t)minute * 60000;
}

/* The policy's names are not the roles', so nothing can bind to a name. */
static inline struct policy *shop_policy(void)
{
    static const char *const names[] = {"Product Viewed", "Product Added",
                                        "Order Completed", "Order Refunded"};
    struct policy *p = sample_head("corner-shop");

    sample_key(p, "people");
    sample_purpose(p, "sell", false, 0);
    sample_purpose(p, "advise", true, 0);
    sample_purpose(p, "write", true, 0);
    for (unsigned i = 0; i < SHOP_EVENTS; i++) {
        struct policy_event *e = sample_event(p, names[i], 0);

        sample_field(e, "a", "", ROLE_TIME, ACTION_TIME, 0);
        sample_field(e, "b", "userId", ROLE_SUBJECT, ACTION_PSEUDONYM, 0);
        sample_text(
            sample_field(e, "c", "properties.c", ROLE_ITEM, ACTION_KEEP, 0), 32,
            "");
        sample_text(
            sample_field(e, "d", "properties.d", ROLE_NAME, ACTION_KEEP, 0), 32,
            "");
        sample_text(
            sample_field(e, "e", "properties.e", ROLE_CATEGORY, ACTION_KEEP, 0),
            32, "");
        sample_field(e, "f", "properties.f", ROLE_VALUE, ACTION_KEEP, 0)->type =
            TYPE_MONEY;
        sample_field(e, "g", "properties.g", ROLE_QUANTITY, ACTION_KEEP, 0)
            ->type = TYPE_INT;
        sample_field(e, "h", "properties.h", ROLE_ORDER, ACTION_PSEUDONYM, 0)
            ->bits = 64;
    }
    return sample_finish(p);
}

static inline void shop_subject(uint8_t out[16], unsigned subject)
{
    char text[32];

    snprintf(text, sizeof(text), "person %u", subject);
    crypto_generichash(out, 16, (const uint8_t *)text, strlen(text), NULL, 0);
}

struct shop_texts {
    char item[32], name[32], category[32];
};

static inline void shop_event(struct event *ev, struct shop_texts *t,
                              const struct deed *d)
{
    struct event_value *v = ev->values;
    uint64_t order = UINT64_C(0x9e3779b97f4a7c15) * (d->order + 1u);

    memset(v, 0, 8 * sizeof(*v));
    ev->index = (uint16_t)d->event;
    ev->consent = d->consent;
    ev->fits = NULL;
    v[0].present = true;
    v[0].number = shop_ms(d->minute);
    v[1].present = d->subject != 0;
    if (d->subject)
        shop_subject(v[1].id, d->subject);
    snprintf(t->item, sizeof(t->item), "item-%u", d->item);
    snprintf(t->name, sizeof(t->name), "name %u", d->name);
    snprintf(t->category, sizeof(t->category), "shelf %u", d->category);
    v[2].present = d->item != 0;
    v[2].text = span_text(t->item);
    v[3].present = d->name != 0;
    v[3].text = span_text(t->name);
    v[4].present = d->category != 0;
    v[4].text = span_text(t->category);
    v[5].present = d->cents != 0;
    v[5].number = d->cents * CENT;
    v[6].present = d->quantity != 0;
    v[6].number = d->quantity;
    v[7].present = d->order != 0;
    if (d->order)
        memcpy(v[7].id, &order, sizeof(order));
}

/* The body of a batch; counters say that all of them were produced. */
static inline void shop_body(struct buf *out, const struct policy *p,
                             const struct deed *deeds, uint32_t count)
{
    struct counters c = {.produced = count, .accepted = count};
    struct shop_texts texts;
    struct batch *b;
    struct event ev;

    if (batch_open(&b, count + 1, (size_t)(count + 1) * 400))
        abort();
    batch_begin(b, p);
    for (uint32_t i = 0; i < count; i++) {
        shop_event(&ev, &texts, &deeds[i]);
        if (batch_add(b, &ev))
            abort();
    }
    if (batch_encode(b, &c, out))
        abort();
    batch_close(b);
}

/* Straight into a view, without a store. */
static inline enum sotto_err shop_fold(const struct view_ops *ops, void *view,
                                       const struct policy *p, uint32_t agent,
                                       uint64_t sequence,
                                       const struct deed *deeds, uint32_t count)
{
    struct fold f = {.chunk = sequence,
                     .agent = agent,
                     .stream = agent + 100,
                     .sequence = sequence,
                     .policy = p};
    struct batch_view *batch;
    struct buf body;
    enum sotto_err err;

    buf_init(&body, PAYLOAD_MAX);
    shop_body(&body, p, deeds, count);
    if (batch_decode(&batch, span_of(body.data, body.size), p))
        abort();
    f.batch = batch;
    err = ops->fold(view, &f);
    batch_view_free(batch);
    buf_fini(&body);
    return err;
}

/* --- with a directory --------------------------------------------------- */

struct shop {
    char dir[64], key[96];
    struct policy *policy;
    struct store *store;
    uint64_t sequence[SHOP_AGENTS]; /* the last one sent */
};

static inline void shop_open(struct shop *s)
{
    memset(s, 0, sizeof(*s));
    if (sodium_init() < 0)
        abort();
    snprintf(s->dir, sizeof(s->dir), "/tmp/sotto-shop-XXXXXX");
    if (!mkdtemp(s->dir))
        abort();
    snprintf(s->key, sizeof(s->key), "%s/store.key", s->dir);
    s->policy = shop_policy();
    if (store_create(s->dir, s->key, NULL) ||
        store_open(&s->store, s->dir, s->key, NULL))
        abort();
}

static inline void shop_path(char out[128], const struct shop *s,
                             const char *suffix)
{
    snprintf(out, 128, "%s/aggregator.db%s", s->dir, suffix);
}

static inline void shop_close(struct shop *s)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char path[128];

    store_close(s->store);
    for (int i = 0; i < 3; i++) {
        shop_path(path, s, suffixes[i]);
        unlink(path);
    }
    unlink(s->key);
    rmdir(s->dir);
    policy_free(s->policy);
}

static inline void shop_entry(struct log_entry *e, struct shop *s,
                              uint32_t agent)
{
    memset(e, 0, sizeof(*e));
    e->agent = agent;
    e->stream = UINT64_MAX - agent; /* above what SQLite's numbers hold */
    e->sequence = s->sequence[agent] + 1;
    e->kind = KIND_BATCH;
    memset(e->chain, (int)e->sequence, sizeof(e->chain));
    memcpy(e->policy, s->policy->hash, HASH_SIZE);
    e->received_ms = SHOP_START_MS;
}

static inline void shop_append(struct shop *s, struct log_entry *e,
                               struct span payload)
{
    struct buf zipped;

    buf_init(&zipped, PAYLOAD_MAX);
    if (payload_zip(&zipped, payload))
        abort();
    e->payload = span_of(zipped.data, zipped.size);
    if (log_append(s->store, e, 1))
        abort();
    s->sequence[e->agent]++;
    buf_fini(&zipped);
}

static inline void shop_send(struct shop *s, uint32_t agent,
                             const struct deed *deeds, uint32_t count)
{
    struct log_entry e;
    struct buf body;

    buf_init(&body, PAYLOAD_MAX);
    shop_body(&body, s->policy, deeds, count);
    shop_entry(&e, s, agent);
    e.events = count;
    shop_append(s, &e, span_of(body.data, body.size));
    buf_fini(&body);
}

static inline void shop_forget(struct shop *s, uint32_t agent, unsigned subject)
{
    struct log_entry e;
    uint8_t id[16];

    shop_subject(id, subject);
    shop_entry(&e, s, agent);
    e.kind = KIND_FORGET;
    shop_append(s, &e, span_of(id, sizeof(id)));
}

static inline const struct policy *shop_lookup(void *context,
                                               const uint8_t hash[HASH_SIZE])
{
    const struct shop *s = context;

    return memcmp(hash, s->policy->hash, HASH_SIZE) ? NULL : s->policy;
}

static inline struct views *shop_views(struct shop *s)
{
    struct views *v;

    if (views_open(&v, s->dir, s->key, shop_lookup, s, NULL))
        abort();
    return v;
}

static inline void shop_fold_all(struct views *v)
{
    bool more = true;

    while (more) {
        if (views_fold(v, 3, &more))
            abort();
    }
}

/* Something a person may do in a shop. */
static inline struct deed shop_random(uint64_t *rng)
{
    struct deed d = {
        .event = sample_below(rng, SHOP_EVENTS),
        .subject = sample_below(rng, 12),
        .item = sample_below(rng, 20),
        .order = sample_below(rng, 30),
        .minute = sample_below(rng, 4000),
        .cents = sample_below(rng, 5000),
        .quantity = sample_below(rng, 6),
        .category = sample_below(rng, 5),
        .name = sample_below(rng, 4),
        .consent = sample_below(rng, 8),
    };

    if (sample_below(rng, 3) == 0) /* ties, of the newest */
        d.minute = 3995 + d.minute % 5;
    if (d.event == SHOP_RETURN && sample_below(rng, 2))
        d.quantity = -d.quantity;
    return d;
}

static inline void shop_shuffle(struct deed *deeds, uint32_t count,
                                uint64_t *rng)
{
    for (uint32_t i = count; i > 1; i--) {
        uint32_t j = sample_below(rng, i);
        struct deed d = deeds[j];

        deeds[j] = deeds[i - 1];
        deeds[i - 1] = d;
    }
}

#endif
