/* Events for tests: random ones that fit a policy, and comparison. */
#ifndef SOTTO_TESTS_SAMPLE_EVENT_H
#define SOTTO_TESTS_SAMPLE_EVENT_H

#include "policy/event.h"
#include "policy/useragent.h"
#include "sample_policy.h"

/* Texts of random events live here until the next call for the same place. */
struct sample_texts {
    char bytes[POLICY_FIELDS_MAX][TEXT_SIZE_MAX];
};

static inline int64_t sample_number(const struct policy_field *f, uint64_t *rng)
{
    int64_t time = (int64_t)(sample_random(rng) % (uint64_t)TIME_MAX_MS);

    if (f->action == ACTION_TIME)
        return time - time % f->round_ms;
    if (f->action == ACTION_BUCKET)
        return f->edges[sample_below(rng, f->edge_count)];
    if (f->action == ACTION_SESSION)
        return 1 + sample_below(rng, 3000);
    if (f->type == TYPE_TIME)
        return time;
    if (f->type == TYPE_BOOL)
        return sample_below(rng, 2);
    switch (sample_below(rng, 5)) {
    case 0:
        return (int64_t)sample_random(rng);
    case 1:
        return sample_below(rng, 2) ? INT64_MAX : INT64_MIN;
    default:
        return (int64_t)sample_below(rng, 50000) * 10000;
    }
}

/* A text as the action of f makes it, a kept one of about size bytes; returns
 * its size, 0 if there is none. */
static inline size_t sample_made(const struct policy_field *f,
                                 char out[TEXT_SIZE_MAX], size_t size,
                                 uint64_t *rng)
{
    static const char *const raws[] = {
        "http://a.example/b?c", "203.0.113.7", "2001:db8::1",
        "Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0"};
    struct span raw = span_text(raws[size % 4]);

    switch (f->action) {
    case ACTION_IP:
        return network_cut(out, raw, f->v4, f->v6);
    case ACTION_URL:
        return url_cut(out, f->max, raw, f->parts);
    case ACTION_UA_FAMILY:
        return useragent_family(out, raw);
    case ACTION_RANDOMIZE:
        raw = span_text(f->values[size % f->value_count]);
        memcpy(out, raw.data, raw.size);
        return raw.size;
    default:
        if (sample_below(rng, 2))
            size = size < 2 ? size : 2;
        for (size_t c = 0; c < size; c++)
            out[c] = (char)('a' + sample_below(rng, 26));
        return size;
    }
}

static inline void sample_random_event(struct event *ev, const struct policy *p,
                                       struct sample_texts *texts,
                                       uint64_t *rng)
{
    const struct policy_event *event;
    unsigned absent = sample_below(rng, 4); /* of four */

    ev->index = (uint16_t)sample_below(rng, p->event_count);
    ev->fits = NULL;
    ev->consent = (uint32_t)(sample_random(rng) &
                             ((UINT64_C(1) << p->purpose_count) - 1)) &
                  0x9;
    event = &p->events[ev->index];
    for (unsigned i = 0; i < event->field_count; i++) {
        const struct policy_field *f = &event->fields[i];
        struct event_value *v = &ev->values[i];
        unsigned size = sample_below(rng, f->max + 1u);

        memset(v, 0, sizeof(*v));
        v->present = sample_below(rng, 4) >= absent;
        if (f->type == TYPE_TEXT) {
            v->text = span_of(texts->bytes[i],
                              sample_made(f, texts->bytes[i], size, rng));
            v->present &= v->text.size > 0 || f->action == ACTION_KEEP;
        } else if (f->type == TYPE_ID) {
            memset(v->id, (int)(1 + sample_below(rng, 40)), f->bits / 8);
        } else {
            v->number = sample_number(f, rng);
        }
    }
}

static inline bool sample_same(const struct policy *p, const struct event *a,
                               const struct event *b)
{
    const struct policy_event *event = &p->events[a->index];

    if (a->index != b->index || a->consent != b->consent)
        return false;
    for (unsigned i = 0; i < event->field_count; i++) {
        const struct event_value *x = &a->values[i], *y = &b->values[i];

        if (x->present != y->present)
            return false;
        if (!x->present)
            continue;
        if (event->fields[i].type == TYPE_TEXT) {
            if (!span_equal(x->text, y->text))
                return false;
        } else if (event->fields[i].type == TYPE_ID) {
            if (memcmp(x->id, y->id, 16) != 0)
                return false;
        } else if (x->number != y->number) {
            return false;
        }
    }
    return true;
}

#endif
