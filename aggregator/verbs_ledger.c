/* See verbs_ledger.h. What is counted, by: segment (by the cut points that are
 * stored; they are taken as public), event (what a subject ever did), item
 * (viewed, added or bought). */
#include "aggregator/verbs_ledger.h"

#include <stdlib.h>
#include <string.h>

#include "aggregator/aggregator.h"
#include "aggregator/release.h"
#include "base/clock.h"
#include "base/when.h"

#define MILLION 1e6
#define UNIT INT64_C(1000000000000000000) /* of delta */
#define RANDOM_BYTES 8

static struct ledger_budget budget_of(const struct aggregator *a)
{
    return (struct ledger_budget){.rho = a->settings.release_rho_millionths,
                                  .delta = UNIT / a->settings.release_delta};
}

static void end_with(struct control_call *call, enum sotto_err err,
                     const struct why *why, json_t *result)
{
    if (!err) {
        control_end(call, EXIT_GOOD, result, NULL);
        return;
    }
    json_decref(result);
    control_end(call, err_exit(err), NULL,
                *why->text ? why->text : err_text(err));
}

/* ---- ledger ---- */

static void add_charge(void *context, const struct ledger_charge *c)
{
    char rho[32];

    money_exact(rho, c->rho);
    json_array_append_new(
        context,
        json_pack("{s:s,s:s,s:s,s:f,s:I,s:b}", "request", c->request,
                  "question", c->question, "rho", rho, "delta",
                  (double)c->delta / (double)UNIT, "charged_ms",
                  (json_int_t)c->charged_ms, "answered", (int)c->answered));
}

static json_t *budget_json(const struct ledger_budget *b, int64_t rho,
                           int64_t delta)
{
    const double all = (double)b->delta / (double)UNIT;
    char spent[32], left[32], budget[32];

    money_exact(spent, rho);
    money_exact(left, b->rho > rho ? b->rho - rho : 0);
    money_exact(budget, b->rho);
    return json_pack(
        "{s:s,s:s,s:s,s:f,s:f,s:f,s:f,s:f}", "rho_budget", budget, "rho_spent",
        spent, "rho_left", left, "delta", all, "delta_charged",
        (double)delta / (double)UNIT, "epsilon_spent",
        ledger_epsilon((double)rho / MILLION, all / 2), "epsilon_spent_simple",
        ledger_epsilon_simple((double)rho / MILLION, all / 2), "epsilon_budget",
        ledger_epsilon((double)b->rho / MILLION, all / 2));
}

void verb_ledger(void *owner, struct control_call *call)
{
    struct aggregator *a = owner;
    const struct ledger_budget b = budget_of(a);
    json_t *list = json_array(), *out = NULL;
    struct store *store = NULL;
    struct why why = {""};
    int64_t rho = 0, delta = 0;
    enum sotto_err err =
        store_open(&store, a->dir, a->settings.store_key, &why);

    if (!err)
        err = ledger_spent(store, &rho, &delta);
    if (!err)
        err = ledger_each(store, add_charge, list);
    store_close(store);
    if (!err) {
        out = budget_json(&b, rho, delta);
        json_object_set(out, "releases", list);
    }
    json_decref(list);
    end_with(call, err, &why, out);
}

/* ---- release: who is in which cell ---- */

struct counting {
    struct aggregator *a;
    struct store *store;
};

static enum sotto_err fill_segments(void *context, struct tally *t)
{
    struct counting *c = context;
    const struct profiles *p = views_profiles(c->a->views);
    struct segments s = {0};
    struct profile one;
    uint32_t cell;
    enum sotto_err err = segments_load(&s, c->store);

    if (err == SOTTO_ENOTFOUND) /* everybody is unranked: one cell */
        err = SOTTO_OK;
    for (int i = 0; i < RFM_SEGMENT_COUNT && !err; i++)
        err = tally_cell(t, span_text(rfm_name((enum rfm_segment)i)), &cell);
    if (!err)
        err = tally_cell(t, span_text("Prospects"), &cell);
    if (!err)
        err = tally_cell(t, span_text("Unranked"), &cell);
    views_lock(c->a->views);
    for (uint32_t i = 0; i < profiles_count(p) && !err; i++) {
        profiles_get(p, i, &one);
        err = tally_cell(t, span_text(segment_of(&s, &one)), &cell);
        if (!err)
            tally_subject(t, &cell, 1);
    }
    views_unlock(c->a->views);
    return err;
}

static enum sotto_err fill_events(void *context, struct tally *t)
{
    struct counting *c = context;
    const struct profiles *p = views_profiles(c->a->views);
    uint32_t roles[EVENT_ROLE_COUNT], cells[EVENT_ROLE_COUNT];
    enum sotto_err err = SOTTO_OK;
    struct profile one;

    for (int r = 0; r < EVENT_ROLE_COUNT && !err; r++)
        err = tally_cell(t, span_text(event_role_name((enum event_role)r)),
                         &roles[r]);
    views_lock(c->a->views);
    for (uint32_t i = 0; i < profiles_count(p) && !err; i++) {
        uint32_t count = 0;

        profiles_get(p, i, &one);
        for (int r = 0; r < EVENT_ROLE_COUNT; r++)
            if (one.events[r] > 0)
                cells[count++] = roles[r];
        tally_subject(t, cells, count);
    }
    views_unlock(c->a->views);
    return err;
}

/* With the view's lock held. Cells are made first, in the items' order, so a
 * cell's number is its item's. */
static enum sotto_err count_items(struct tally *t, const struct interactions *x,
                                  uint32_t *cells)
{
    enum sotto_err err = SOTTO_OK;
    uint32_t cell;

    for (uint32_t i = 0; i < interactions_items(x) && !err; i++)
        err = tally_cell(t, interactions_item(x, i), &cell);
    for (uint32_t s = 0; s < interactions_subjects(x) && !err; s++) {
        uint32_t count;
        const struct interaction *of = interactions_of(x, s, &count);

        for (uint32_t i = 0; i < count; i++)
            cells[i] = of[i].item;
        tally_subject(t, cells, count);
    }
    return err;
}

static enum sotto_err fill_items(void *context, struct tally *t)
{
    struct counting *c = context;
    const struct interactions *x = views_interactions(c->a->views);
    enum sotto_err err = SOTTO_ENOMEM;
    uint32_t *cells;

    views_lock(c->a->views);
    cells = malloc(((size_t)interactions_items(x) + 1) * sizeof *cells);
    if (cells)
        err = count_items(t, x, cells);
    views_unlock(c->a->views);
    free(cells);
    return err;
}

/* ---- release ---- */

/* cells_default is also the most of a fixed list: a subject has one segment,
 * and as many events as there are roles. */
static const struct {
    const char *name;
    release_fill *fill;
    uint32_t cells_default;
    bool named_by_people;
} kinds[] = {
    {"segment", fill_segments, 1, false},
    {"event", fill_events, EVENT_ROLE_COUNT, false},
    {"item", fill_items, 10, true},
};
#define KINDS ((int)(sizeof kinds / sizeof *kinds))

static int find_kind(const char *by)
{
    for (int i = 0; i < KINDS; i++)
        if (by && strcmp(kinds[i].name, by) == 0)
            return i;
    return -1;
}

/* Whoever gives no name gets one, so that he can ask again. */
static const char *request_of(struct control_call *call,
                              char out[2 * RANDOM_BYTES + 1])
{
    uint8_t bytes[RANDOM_BYTES];

    if (control_text(call, "request"))
        return control_text(call, "request");
    randombytes_buf(bytes, sizeof bytes);
    return sodium_bin2hex(out, 2 * RANDOM_BYTES + 1, bytes, sizeof bytes);
}

static enum sotto_err read_question(struct release_question *q, int kind,
                                    struct control_call *call, struct why *why)
{
    json_int_t min_k = control_int(call, "min_k", 20);
    json_int_t cells =
        control_int(call, "cells", (json_int_t)kinds[kind].cells_default);

    if (min_k < 1 || min_k > RELEASE_MIN_K_MAX || cells < 1 ||
        cells > RELEASE_PER_SUBJECT_MAX)
        return why_say(why, SOTTO_EINVAL,
                       "min-k is between 1 and %d, cells between 1 and %d",
                       RELEASE_MIN_K_MAX, RELEASE_PER_SUBJECT_MAX);
    if (!kinds[kind].named_by_people &&
        cells > (json_int_t)kinds[kind].cells_default)
        cells = kinds[kind].cells_default;
    q->by = kinds[kind].name;
    q->rho = control_int(call, "rho", 10000);
    q->min_k = (uint32_t)min_k;
    q->cells_max = (uint32_t)cells;
    q->named_by_people = kinds[kind].named_by_people;
    return SOTTO_OK;
}

static enum sotto_err answer_json(json_t **out, const struct buf *answer)
{
    *out = json_loadb((const char *)answer->data, answer->size, 0, NULL);
    return *out ? SOTTO_OK : SOTTO_EDECODE;
}

void verb_release_count(void *owner, struct control_call *call)
{
    struct aggregator *a = owner;
    const struct ledger_budget b = budget_of(a);
    const int kind = find_kind(control_text(call, "by"));
    char random[2 * RANDOM_BYTES + 1];
    struct release_question q = {.request = request_of(call, random)};
    struct why why = {""};
    struct counting c = {a, NULL};
    json_t *out = NULL;
    struct buf answer;
    enum sotto_err err;

    if (kind < 0) {
        control_end(call, EXIT_USAGE, NULL,
                    "count by segment, item or event: --by NAME");
        return;
    }
    buf_init(&answer, LEDGER_ANSWER_MAX);
    err = read_question(&q, kind, call, &why);
    if (!err)
        err = store_open(&c.store, a->dir, a->settings.store_key, &why);
    if (!err)
        err = release_count(c.store, &b, &q, clock_wall_ms(&clock_system),
                            kinds[kind].fill, &c, &noise_sodium, &answer, &why);
    if (!err)
        err = answer_json(&out, &answer);
    if (!err)
        err = audit_append(a->audit, AUDIT_COUNTS_RELEASED, control_uid(call),
                           json_pack("{s:s}", "by", kinds[kind].name), &why);
    store_close(c.store);
    buf_fini(&answer);
    end_with(call, err, &why, out);
}
