/* Policies for tests: one like a shop's, and random ones. Every function
 * returns a loaded policy that the caller frees. */
#ifndef SOTTO_TESTS_SAMPLE_POLICY_H
#define SOTTO_TESTS_SAMPLE_POLICY_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/detect.h"
#include "policy/network.h"
#include "policy/policy.h"
#include "policy/url.h"

/* xorshift64*: the same numbers on every machine. */
static inline uint64_t sample_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static inline unsigned sample_below(uint64_t *state, unsigned limit)
{
    return (unsigned)(sample_random(state) >> 33) % limit;
}

static inline void sample_copy(char *to, size_t size, const char *text)
{
    size_t length = strnlen(text, size - 1);

    memset(to, 0, size);
    memcpy(to, text, length);
}

/* A policy with a head, no keys, purposes or events; not loaded. */
static inline struct policy *sample_head(const char *tenant)
{
    struct policy *p = calloc(1, sizeof(*p));

    assert(p);
    sample_copy(p->tenant, sizeof(p->tenant), tenant);
    p->version = 7;
    p->effective_ms = INT64_C(1700000000000);
    p->expires_ms = INT64_C(1900000000000);
    p->session_timeout_ms = 90000;
    p->spool_ms = 30 * DAY_MS;
    p->signers_needed = 1;
    p->signer_count = 1;
    sample_copy(p->signers[0].name, NAME_MAX_SIZE, "dpo");
    memset(p->signers[0].key_id, 1, sizeof(p->signers[0].key_id));
    memset(p->signers[0].pk, 2, sizeof(p->signers[0].pk));
    return p;
}

static inline unsigned sample_purpose(struct policy *p, const char *name,
                                      bool consent, int64_t retention_ms)
{
    struct policy_purpose *purpose = &p->purposes[p->purpose_count];

    sample_copy(purpose->name, sizeof(purpose->name), name);
    purpose->basis = consent ? BASIS_CONSENT : BASIS_LEGITIMATE_INTEREST;
    purpose->needs_consent = consent;
    purpose->retention_ms = retention_ms;
    return p->purpose_count++;
}

static inline void sample_key(struct policy *p, const char *name)
{
    sample_copy(p->keys[p->key_count++].name, NAME_MAX_SIZE, name);
}

static inline struct policy_event *
sample_event(struct policy *p, const char *name, unsigned purpose)
{
    struct policy_event *e;

    if (!p->events)
        p->events = calloc(POLICY_EVENTS_MAX, sizeof(*p->events));
    assert(p->events);
    e = &p->events[p->event_count++];
    sample_copy(e->name, sizeof(e->name), name);
    e->role = (uint8_t)event_role_default(span_text(name));
    e->purpose = (uint8_t)purpose;
    e->fields = calloc(POLICY_FIELDS_MAX, sizeof(*e->fields));
    assert(e->fields);
    return e;
}

static inline struct policy_field *
sample_field(struct policy_event *e, const char *name, const char *from,
             enum role role, enum action action, unsigned purpose)
{
    struct policy_field *f = &e->fields[e->field_count++];

    sample_copy(f->name, sizeof(f->name), name);
    sample_copy(f->from, sizeof(f->from), from);
    f->role = (uint8_t)role;
    f->action = (uint8_t)action;
    f->purpose = (uint8_t)purpose;
    f->bits = 128;
    f->normalize = NORMALIZE_TRIM;
    f->round_ms = 1;
    return f;
}

static inline void sample_text(struct policy_field *f, unsigned max,
                               const char *pattern)
{
    f->type = TYPE_TEXT;
    f->max = (uint16_t)max;
    sample_copy(f->pattern_text, sizeof(f->pattern_text), pattern);
}

static inline void sample_edges(struct policy_field *f, enum value_type type,
                                const int64_t *edges, unsigned count)
{
    f->type = (uint8_t)type;
    f->edge_count = (uint8_t)count;
    f->edges = calloc(count, sizeof(*f->edges));
    assert(f->edges);
    memcpy(f->edges, edges, count * sizeof(*f->edges));
}

/* The answers a0, a1, ...; a fresh one each time. */
static inline void sample_values(struct policy_field *f, unsigned count)
{
    f->values = calloc(count, sizeof(*f->values));
    assert(f->values);
    f->value_count = (uint8_t)count;
    f->epsilon = 1000000;
    for (unsigned i = 0; i < count; i++)
        snprintf(f->values[i], sizeof(f->values[i]), "a%u", i);
}

/* Encodes what was built, loads it, frees the draft. */
static inline struct policy *sample_finish(struct policy *draft)
{
    struct buf bytes;
    struct policy *p = NULL;

    buf_init(&bytes, POLICY_BYTES_MAX);
    if (policy_encode(&bytes, draft) ||
        policy_load(&p, span_of(bytes.data, bytes.size)))
        abort();
    buf_fini(&bytes);
    policy_free(draft);
    return p;
}

enum { SAMPLE_MEASURE, SAMPLE_PERSONALISE, SAMPLE_CAMPAIGN };

/* A shop: purposes measure (no consent), personalise, campaign. */
static inline struct policy *sample_draft(const char *tenant)
{
    static const int64_t edges[] = {0, 10 * MONEY_ONE, 50 * MONEY_ONE,
                                    250 * MONEY_ONE};
    static const char *const names[] = {"Product Viewed", "Product Added",
                                        "Order Completed"};
    struct policy *p = sample_head(tenant);

    sample_key(p, "visitor");
    sample_key(p, "day");
    sample_purpose(p, "measure", false, 395 * DAY_MS);
    sample_purpose(p, "personalise", true, 180 * DAY_MS);
    sample_purpose(p, "campaign", true, 0);
    for (unsigned i = 0; i < 3; i++) {
        struct policy_event *e = sample_event(p, names[i], SAMPLE_MEASURE);
        struct policy_field *f;

        f = sample_field(e, "at", "", ROLE_TIME, ACTION_TIME, SAMPLE_MEASURE);
        f->round_ms = 900000;
        sample_field(e, "visitor", "userId", ROLE_SUBJECT, ACTION_PSEUDONYM,
                     SAMPLE_PERSONALISE);
        f = sample_field(e, "day_id", "anonymousId", ROLE_DAY, ACTION_PSEUDONYM,
                         SAMPLE_MEASURE);
        f->key = 1;
        f->bits = 64;
        sample_field(e, "visit", "context.session", ROLE_SESSION,
                     ACTION_SESSION, SAMPLE_MEASURE);
        f = sample_field(e, "item", "properties.product_id", ROLE_ITEM,
                         ACTION_KEEP, SAMPLE_MEASURE);
        sample_text(f, 32, "[A-Za-z0-9 _-]{1,32}");
        f->required = i < 2;
        f = sample_field(e, "category", "properties.category", ROLE_CATEGORY,
                         ACTION_KEEP, SAMPLE_MEASURE);
        sample_text(f, 64, "");
        f = sample_field(e, "price", "properties.price", ROLE_VALUE,
                         ACTION_KEEP, SAMPLE_MEASURE);
        f->type = TYPE_MONEY;
        f = sample_field(e, "band", "properties.price", ROLE_NONE,
                         ACTION_BUCKET, SAMPLE_MEASURE);
        sample_edges(f, TYPE_MONEY, edges, 4);
        f = sample_field(e, "quantity", "properties.quantity", ROLE_QUANTITY,
                         ACTION_KEEP, SAMPLE_MEASURE);
        f->type = TYPE_INT;
    }
    return p;
}

static inline struct policy *sample_policy(void)
{
    return sample_finish(sample_draft("acme-retail"));
}

/* One random field; paths are a few, so that fields share them. */
static inline void sample_random_field(struct policy_event *e, unsigned number,
                                       unsigned purposes, uint64_t *rng)
{
    enum action action = (enum action)(1 + sample_below(rng, ACTION_COUNT - 1));
    char name[32], path[32];
    struct policy_field *f;

    snprintf(name, sizeof(name), "field_%u", number);
    snprintf(path, sizeof(path), "properties.p%u", sample_below(rng, 8));
    if (action == ACTION_TIME ||
        (action == ACTION_SESSION && sample_below(rng, 2)))
        path[0] = '\0';
    f = sample_field(e, name, path, ROLE_NONE, action,
                     sample_below(rng, purposes));
    f->required = sample_below(rng, 12) == 0;
    f->bits = sample_below(rng, 2) ? 64 : 128;
    f->key = (uint8_t)sample_below(rng, 2);
    f->round_ms = sample_below(rng, 2) ? 1 : 1 + sample_below(rng, 4000000);
    if (action == ACTION_KEEP) {
        static const char *const patterns[] = {"", "[a-m]*", "[0-9]{1,9}"};

        f->type = (uint8_t)sample_below(rng, TYPE_ID);
        if (f->type == TYPE_TEXT)
            sample_text(f, 1 + sample_below(rng, TEXT_SIZE_MAX),
                        patterns[sample_below(rng, 3)]);
    } else if (action == ACTION_BUCKET) {
        int64_t edges[POLICY_EDGES_MAX];
        unsigned count = 1 + sample_below(rng, POLICY_EDGES_MAX);

        for (unsigned i = 0; i < count; i++)
            edges[i] = (int64_t)i * 1000 - 3000 + sample_below(rng, 1000);
        sample_edges(f, sample_below(rng, 2) ? TYPE_INT : TYPE_MONEY, edges,
                     count);
    } else if (action == ACTION_IP) {
        f->v4 = (uint8_t)(1 + sample_below(rng, NETWORK_V4_MAX));
        f->v6 = (uint8_t)(1 + sample_below(rng, NETWORK_V6_MAX));
    } else if (action == ACTION_URL) {
        do
            f->parts = (uint8_t)(1 + sample_below(rng, URL_ALL));
        while (!url_parts_good(f->parts));
        f->max = (uint16_t)(1 + sample_below(rng, TEXT_SIZE_MAX));
    } else if (action == ACTION_RANDOMIZE) {
        sample_values(f, 2 + sample_below(rng, POLICY_VALUES_MAX - 1));
    } else if (action == ACTION_REDACT) {
        f->detect = (uint16_t)(1 + sample_below(rng, DETECT_ALL));
        f->max = (uint16_t)(1 + sample_below(rng, TEXT_SIZE_MAX));
    }
}

static inline struct policy *sample_random_policy(uint64_t *rng)
{
    struct policy *p = sample_head("random");
    unsigned purposes = 1 + sample_below(rng, POLICY_PURPOSES_MAX);
    unsigned events = 1 + sample_below(rng, 6);
    char name[32];

    sample_key(p, "a");
    sample_key(p, "b");
    for (unsigned i = 0; i < purposes; i++) {
        snprintf(name, sizeof(name), "purpose %u", i);
        sample_purpose(p, name, sample_below(rng, 2), 0);
    }
    for (unsigned i = 0; i < events; i++) {
        struct policy_event *e;
        unsigned fields = sample_below(rng, i ? 9 : POLICY_FIELDS_MAX + 1);

        snprintf(name, sizeof(name), "Event %u", i);
        e = sample_event(p, name, sample_below(rng, purposes));
        for (unsigned f = 0; f < fields; f++) {
            sample_random_field(e, f, purposes, rng);
        }
    }
    return sample_finish(p);
}

/* The bytes of a hex string into out; returns how many. */
static inline size_t sample_hex(uint8_t *out, const char *hex)
{
    size_t size = 0;
    unsigned byte;

    for (; hex[0] && sscanf(hex, "%2x", &byte) == 1; hex += 2)
        out[size++] = (uint8_t)byte;
    return size;
}

#endif
