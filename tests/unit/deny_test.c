/* Two guarantees, over random policies and random inputs, each with a control
 * that must fail: what leaves is in the policy, of the type it declares, from a
 * value that was given, under a purpose that was granted (default deny); and
 * what the policy does not list has no influence on a byte of what leaves
 * (non-interference). */
#include "policy/anonymize.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "policy/detect.h"

#include "../support/sample_event.h"

#define ROUNDS 4000
#define NOW INT64_C(1800000000123)
#define FIELDS 24

/* An input: fields with paths that policies know and others, of every kind. */
struct input {
    struct raw_field fields[FIELDS];
    char paths[FIELDS][24];
    char texts[FIELDS][40];
    size_t count;
};

static void random_value(struct raw_field *f, char text[40], uint64_t *rng)
{
    static const char *const known[] = {
        "203.0.113.7", "https://a:b@h.example/p?q", "12.50", "true",
        "a1",          "Mozilla (Linux) Firefox/1", "2026"};

    f->kind = (uint8_t)sample_below(rng, RAW_BOOL + 1);
    f->number = f->kind == RAW_BOOL ? sample_below(rng, 2)
                                    : (int64_t)sample_random(rng) >> 20;
    f->real = (double)f->number / 4;
    if (sample_below(rng, 2)) {
        snprintf(text, 40, "%s", known[sample_below(rng, 7)]);
    } else {
        unsigned size = sample_below(rng, 30);

        for (unsigned i = 0; i < size; i++)
            text[i] = (char)(1 + sample_below(rng, 255));
        text[size] = '\0';
    }
    f->text = span_text(text);
}

/* A path of the policies' ("properties.p0" to "p7"), or of nobody's. */
static void input_add(struct input *in, bool listed, uint64_t *rng)
{
    size_t i = in->count++;

    memset(&in->fields[i], 0, sizeof(in->fields[i]));
    snprintf(in->paths[i], sizeof(in->paths[i]), "properties.%c%u%s",
             listed ? 'p' : "xp"[i % 2], sample_below(rng, 8),
             listed || i % 2 == 0 ? "" : "1"); /* p3 is listed, p31 is not */
    in->fields[i].path = span_text(in->paths[i]);
    random_value(&in->fields[i], in->texts[i], rng);
}

struct ground {
    struct policy *policy;
    struct pseudonym_keys *keys;
    uint32_t granted;
};

static void ground_begin(struct ground *g, uint64_t *rng)
{
    g->policy = sample_random_policy(rng);
    g->keys = pseudonym_keys_make();
    sample_copy(g->keys->names[g->keys->count++], NAME_MAX_SIZE, "a");
    if (sample_below(rng, 4)) /* else a key is missing */
        sample_copy(g->keys->names[g->keys->count++], NAME_MAX_SIZE, "b");
    g->granted = (uint32_t)sample_random(rng);
}

static void ground_end(struct ground *g)
{
    pseudonym_keys_free(g->keys);
    policy_free(g->policy);
}

/* With the same chance each time: two calls can be compared. */
static enum drop_reason made_of(const struct ground *g, const struct input *in,
                                const char *name, struct event *ev)
{
    struct chance_source chance = {.key = {1}};
    struct sessions sessions = {.current = 5};
    struct anonymizer a = {.policy = g->policy,
                           .keys = g->keys,
                           .granted = g->granted,
                           .sessions = &sessions,
                           .chance = &chance,
                           .now_ms = NOW};
    struct raw_event raw = {.name = span_text(name),
                            .time_ms = NOW - 5,
                            .fields = in->fields,
                            .field_count = in->count};
    uint32_t emptied = 0;

    return anonymize(&a, &raw, ev, &emptied);
}

/* Default deny ------------------------------------------------------- */

static const struct raw_field *given(const struct input *in, const char *path)
{
    for (size_t i = 0; i < in->count; i++)
        if (span_equal(in->fields[i].path, span_text(path)))
            return &in->fields[i];
    return NULL;
}

static bool text_as_declared(const struct policy_field *f, struct span text)
{
    bool listed = false;

    for (unsigned i = 0; i < f->value_count; i++)
        listed |= span_equal(span_text(f->values[i]), text);
    switch (f->action) {
    case ACTION_IP:
        return memchr(text.data, '/', text.size) && text.size <= 24;
    case ACTION_URL:
        return !memchr(text.data, '?', text.size) &&
               !memchr(text.data, '@', text.size) && text.size <= f->max;
    case ACTION_UA_FAMILY:
        return text.size <= 24 && !memchr(text.data, ' ', text.size);
    case ACTION_RANDOMIZE:
        return listed;
    case ACTION_REDACT:
        return text.size <= f->max &&
               detect(text, f->detect, &(struct detection){0}, 1) == 0;
    default:
        return f->action == ACTION_KEEP && text.size <= f->max &&
               (!f->pattern || pattern_match(f->pattern, text));
    }
}

static bool as_declared(const struct policy_field *f,
                        const struct event_value *v)
{
    static const uint8_t zeros[8];

    if (f->type == TYPE_TEXT)
        return text_as_declared(f, v->text);
    if (f->type == TYPE_ID)
        return f->bits == 128 || memcmp(v->id + 8, zeros, 8) == 0;
    if (f->type == TYPE_BOOL)
        return v->number == 0 || v->number == 1;
    if (f->action == ACTION_TIME)
        return v->number % f->round_ms == 0 && v->number <= NOW;
    for (unsigned i = 0; i < f->edge_count; i++)
        if (f->edges[i] == v->number)
            return true;
    return f->action != ACTION_BUCKET;
}

/* What is wrong with an event, or NULL. */
static const char *wrong_with(const struct ground *g, const struct input *in,
                              const struct event *ev)
{
    const struct policy_event *event = &g->policy->events[ev->index];
    uint8_t row[EVENT_ROW_MAX];
    struct event again;
    size_t size;

    if (!(g->granted >> event->purpose & 1))
        return "the event was not granted";
    for (unsigned i = 0; i < event->field_count; i++) {
        const struct policy_field *f = &event->fields[i];

        if (!ev->values[i].present)
            continue;
        if (!(g->granted >> f->purpose & 1))
            return "the field was not granted";
        if (f->from[0] && f->action != ACTION_SESSION && !given(in, f->from))
            return "the value came from nowhere";
        if (!as_declared(f, &ev->values[i]))
            return "the value is not as declared";
    }
    if (event_encode(g->policy, ev, row, sizeof(row), &size))
        return NULL; /* too big: nothing leaves */
    if (event_decode(g->policy, span_of(row, size), &again) ||
        !sample_same(g->policy, ev, &again))
        return "the row is another event";
    return NULL;
}

struct tally {
    unsigned taken, ungranted, unlisted, typed, untyped;
};

/* The same event, held against less than it was made with. */
static void controls(const struct ground *g, const struct input *in,
                     const struct event *ev, struct tally *t)
{
    const struct policy_event *event = &g->policy->events[ev->index];
    struct ground less = *g;
    struct input none = {.count = 0};

    less.granted = 0;
    t->ungranted += wrong_with(&less, in, ev) != NULL;
    t->unlisted += wrong_with(g, &none, ev) != NULL;
    for (unsigned i = 0; i < event->field_count; i++) {
        struct policy_field f = event->fields[i];
        const struct event_value *v = &ev->values[i];

        f.max = f.edge_count = f.value_count = 0; /* nothing is declared */
        if (!v->present ||
            (f.action != ACTION_BUCKET &&
             (f.type != TYPE_TEXT || v->text.size == 0 ||
              f.action == ACTION_IP || f.action == ACTION_UA_FAMILY)))
            continue;
        t->typed++;
        t->untyped += !as_declared(&f, v);
    }
}

static void what_leaves_is_what_the_policy_lists(void **state)
{
    uint64_t rng = 11;
    struct tally t = {0};
    struct event ev;

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct ground g;
        struct input in = {.count = 0};
        unsigned fields = sample_below(&rng, FIELDS);
        char name[16];

        ground_begin(&g, &rng);
        for (unsigned i = 0; i < fields; i++)
            input_add(&in, sample_below(&rng, 2), &rng);
        snprintf(name, sizeof(name), "Event %u", sample_below(&rng, 8));
        if (made_of(&g, &in, name, &ev) == DROP_NOT) {
            const char *wrong = wrong_with(&g, &in, &ev);

            if (wrong)
                fail_msg("round %d: %s", round, wrong);
            t.taken++;
            controls(&g, &in, &ev, &t);
        }
        ground_end(&g);
    }
    assert_true(t.taken > ROUNDS / 8);
    assert_int_equal(t.ungranted, t.taken);
    assert_true(t.unlisted > t.taken / 4);
    assert_true(t.typed > t.taken / 8);
    assert_int_equal(t.untyped, t.typed);
}

/* Non-interference --------------------------------------------------- */

/* The rows of an event taken twice: with other fields besides, in places
 * between its own. True if both were dropped for one reason or are the same
 * bytes; *rows tells whether there were any. */
static bool same_rows(const struct ground *g, const struct input *a,
                      const struct input *b, const char *name, bool *rows)
{
    static struct event x, y;
    uint8_t row[2][EVENT_ROW_MAX];
    size_t size[2] = {0, 0};
    enum drop_reason drop[2] = {made_of(g, a, name, &x),
                                made_of(g, b, name, &y)};

    *rows = false;
    if (drop[0] || drop[1])
        return drop[0] == drop[1];
    *rows = true;
    if (event_encode(g->policy, &x, row[0], EVENT_ROW_MAX, &size[0]) !=
        event_encode(g->policy, &y, row[1], EVENT_ROW_MAX, &size[1]))
        return false;
    return size[0] == size[1] && memcmp(row[0], row[1], size[0]) == 0;
}

static void input_copy(struct input *to, const struct input *from, size_t i)
{
    size_t at = to->count++;

    to->fields[at] = from->fields[i];
    memcpy(to->paths[at], from->paths[i], sizeof(to->paths[at]));
    memcpy(to->texts[at], from->texts[i], sizeof(to->texts[at]));
    to->fields[at].path = span_text(to->paths[at]);
    to->fields[at].text = span_text(to->texts[at]);
}

/* in, with up to eight more fields strewn between. */
static void strew(struct input *out, const struct input *in, bool listed,
                  uint64_t *rng)
{
    unsigned more = 1 + sample_below(rng, 8);
    size_t i = 0;

    out->count = 0;
    while (i < in->count || more > 0)
        if (more > 0 && (i == in->count || sample_below(rng, 2))) {
            input_add(out, listed, rng);
            more--;
        } else {
            input_copy(out, in, i++);
        }
}

static void what_is_not_listed_changes_no_byte(void **state)
{
    static struct input in, other, seen;
    uint64_t rng = 12;
    unsigned rows = 0, control = 0;

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct ground g;
        unsigned fields = sample_below(&rng, FIELDS - 8);
        char name[16];
        bool any;

        ground_begin(&g, &rng);
        g.granted = UINT32_MAX;
        in.count = 0;
        for (unsigned i = 0; i < fields; i++)
            input_add(&in, true, &rng);
        strew(&other, &in, false, &rng);
        strew(&seen, &in, true, &rng);
        snprintf(name, sizeof(name), "Event %u", sample_below(&rng, 4));
        if (!same_rows(&g, &in, &other, name, &any))
            fail_msg("round %d: an unlisted field is seen", round);
        rows += any;
        control += !same_rows(&g, &in, &seen, name, &any);
        ground_end(&g);
    }
    assert_true(rows > ROUNDS / 8);
    assert_true(control > ROUNDS / 8); /* listed fields do change something */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_leaves_is_what_the_policy_lists),
        cmocka_unit_test(what_is_not_listed_changes_no_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
