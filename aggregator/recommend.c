/* See recommend.h. */
#include "aggregator/recommend.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/model/score.h"

struct recommender_state {
    const struct live_model *model;
    float *scores;     /* of each item */
    uint32_t *items;   /* a history in model numbers, ascending */
    float *weights;    /* of each */
    uint32_t *bought;  /* items not to show again, ascending */
    uint32_t capacity; /* of the three: every item of the model */
    struct ranked ranked[LIST_ITEMS_MAX];
    char version[64];
};

struct recommender_state *recommend_open(const struct live_model *m)
{
    struct recommender_state *s = calloc(1, sizeof *s);
    size_t items = m->items.count ? m->items.count : 1;

    if (!s)
        return NULL;
    s->model = m;
    s->scores = calloc(items, sizeof *s->scores);
    s->items = calloc(items, sizeof *s->items);
    s->weights = calloc(items, sizeof *s->weights);
    s->bought = calloc(items, sizeof *s->bought);
    if (!s->scores || !s->items || !s->weights || !s->bought) {
        recommend_close(s);
        return NULL;
    }
    snprintf(s->version, sizeof s->version, "%s-%llu", m->name,
             (unsigned long long)m->version);
    return s;
}

void recommend_close(struct recommender_state *s)
{
    if (!s)
        return;
    free(s->scores);
    free(s->items);
    free(s->weights);
    free(s->bought);
    free(s);
}

/* ---- segments ---- */

static int segment_index(struct segment_lists *l, const char *name)
{
    for (uint32_t i = 0; i < l->count; i++)
        if (strcmp(l->of[i].name, name) == 0)
            return (int)i;
    if (l->count == SEGMENTS_MAX)
        return -1;
    l->of[l->count].name = name;
    l->of[l->count].size = 0;
    return (int)l->count++;
}

enum sotto_err recommend_segments(struct segment_lists *out,
                                  const struct live_model *m,
                                  const struct segments *segments,
                                  const struct profiles *profiles,
                                  const struct interactions *x)
{
    const uint32_t items = m->items.count;
    float *counts =
        calloc((size_t)SEGMENTS_MAX * (items ? items : 1), sizeof *counts);
    const struct history none = {0};
    struct ranked best[LIST_LENGTH];
    struct profile p;

    memset(out, 0, sizeof *out);
    if (!counts)
        return SOTTO_ENOMEM;
    for (uint32_t n = 0; n < profiles_count(profiles); n++) {
        uint32_t size = 0;
        profiles_get(profiles, n, &p);
        uint32_t who = interactions_find(x, p.subject);
        int at = segment_index(out, segment_of(segments, &p));
        const struct interaction *list =
            who == DICT_NONE || at < 0 ? NULL : interactions_of(x, who, &size);
        for (uint32_t i = 0; list && i < size; i++) {
            uint32_t item =
                dict_find(&m->items, interactions_item(x, list[i].item));
            if (item != DICT_NONE && list[i].bought > 0)
                counts[(size_t)at * items + item] += 1;
        }
    }
    for (uint32_t s = 0; s < out->count; s++) {
        out->of[s].size = score_select(
            best, LIST_LENGTH, counts + (size_t)s * items, items, &none, 0);
        for (uint32_t i = 0; i < out->of[s].size; i++) {
            out->of[s].items[i] = best[i].item;
            out->of[s].scores[i] = best[i].score;
        }
    }
    free(counts);
    return SOTTO_OK;
}

/* ---- one list ---- */

static void list_add(struct recommender_state *s, struct list *out,
                     uint32_t item, float score, enum list_reason reason,
                     uint32_t because)
{
    struct list_item *it = &out->items[out->count++];

    memset(it, 0, sizeof *it);
    it->item = live_model_item(s->model, item);
    it->name = live_model_name(s->model, item);
    it->score = score;
    it->reason = reason;
    if (reason == REASON_BECAUSE) {
        it->because = live_model_item(s->model, because);
        it->because_name = live_model_name(s->model, because);
    }
}

static bool in_list(const struct list *l, struct span item)
{
    for (uint32_t i = 0; i < l->count; i++)
        if (span_equal(l->items[i].item, item))
            return true;
    return false;
}

static bool holds(const uint32_t *sorted, uint32_t size, uint32_t item)
{
    uint32_t from = 0, upto = size;

    while (from < upto) {
        uint32_t middle = from + (upto - from) / 2;
        if (sorted[middle] < item)
            from = middle + 1;
        else
            upto = middle;
    }
    return from < size && sorted[from] == item;
}

/* Fills up with popular items, with scores below what is there. */
static void fill_popular(struct recommender_state *s, struct list *out,
                         const struct segment_lists *by_segment,
                         const char *segment, const uint32_t *bought,
                         uint32_t bought_count, uint32_t count)
{
    const struct live_model *m = s->model;
    const struct history skip = {bought, NULL, bought_count};
    float below = out->count ? out->items[out->count - 1].score : 1.0f;
    uint32_t found;

    for (uint32_t k = 0; segment && by_segment && k < by_segment->count; k++) {
        if (strcmp(by_segment->of[k].name, segment) != 0)
            continue;
        for (uint32_t i = 0; i < by_segment->of[k].size; i++) {
            uint32_t item = by_segment->of[k].items[i];
            if (out->count >= count || holds(bought, bought_count, item) ||
                in_list(out, live_model_item(m, item)))
                continue;
            below *= 0.99f;
            list_add(s, out, item, below, REASON_SEGMENT, 0);
        }
    }
    found = score_select(s->ranked, LIST_ITEMS_MAX, m->popularity,
                         m->items.count, &skip, 0);
    for (uint32_t i = 0; i < found && out->count < count; i++) {
        if (in_list(out, live_model_item(m, s->ranked[i].item)))
            continue;
        below *= 0.99f;
        list_add(s, out, s->ranked[i].item, below, REASON_POPULAR, 0);
    }
}

struct pair {
    uint32_t item;
    float weight;
    bool bought;
    int32_t day;
};

static int by_item(const void *a, const void *b)
{
    uint32_t x = ((const struct pair *)a)->item;
    uint32_t y = ((const struct pair *)b)->item;

    return (x > y) - (x < y);
}

static int by_day(const void *a, const void *b)
{
    int32_t x = ((const struct pair *)a)->day;
    int32_t y = ((const struct pair *)b)->day;

    return (y > x) - (y < x);
}

/* The subject's interactions in the model's numbers; the newest items that
 * were bought are the list's history. Returns the count of all, *bought of
 * those bought. */
static uint32_t history_of(struct recommender_state *s, struct list *out,
                           const struct interactions *x, const uint8_t *subject,
                           uint32_t *bought)
{
    const struct live_model *m = s->model;
    uint32_t who = interactions_find(x, subject), size = 0, count = 0;
    const struct interaction *all =
        who == DICT_NONE ? NULL : interactions_of(x, who, &size);
    struct pair *pairs = size ? malloc(size * sizeof *pairs) : NULL;

    *bought = 0;
    for (uint32_t i = 0; pairs && i < size; i++) {
        uint32_t item = dict_find(&m->items, interactions_item(x, all[i].item));
        if (item == DICT_NONE)
            continue; /* newer than the model */
        pairs[count].item = item;
        pairs[count].weight = fminf(all[i].weight, 1.0f);
        pairs[count].day = all[i].day;
        pairs[count++].bought = all[i].bought > 0;
    }
    if (count)
        qsort(pairs, count, sizeof *pairs, by_item);
    for (uint32_t i = 0; i < count; i++) {
        s->items[i] = pairs[i].item;
        s->weights[i] = pairs[i].weight;
        if (pairs[i].bought)
            s->bought[(*bought)++] = pairs[i].item;
    }
    if (count)
        qsort(pairs, count, sizeof *pairs, by_day);
    for (uint32_t i = 0; i < count; i++)
        if (pairs[i].bought && out->history_count < LIST_ITEMS_MAX)
            out->history[out->history_count++] =
                live_model_item(m, pairs[i].item);
    free(pairs);
    return count;
}

static void rank(struct recommender_state *s, struct list *out,
                 const struct history *h, const struct history *bought,
                 uint32_t count)
{
    const struct weights *w = &s->model->rows;
    uint32_t found;

    memset(s->scores, 0, s->model->items.count * sizeof *s->scores);
    score_history(s->scores, w, h);
    found = score_select(s->ranked, count, s->scores, s->model->items.count,
                         bought, 0);
    score_explain(s->ranked, found, w, h);
    for (uint32_t i = 0; i < found; i++)
        list_add(
            s, out, s->ranked[i].item, s->ranked[i].score,
            s->ranked[i].because == SCORE_NO_REASON ? REASON_POPULAR
                                                    : REASON_BECAUSE,
            s->ranked[i].because == SCORE_NO_REASON ? 0 : s->ranked[i].because);
}

void recommend_subject(struct recommender_state *s, struct list *out,
                       const struct segments *segments,
                       const struct segment_lists *by_segment,
                       const struct profiles *profiles,
                       const struct interactions *x, const uint8_t *subject,
                       uint32_t count)
{
    uint32_t number = subject ? profiles_find(profiles, subject) : DICT_NONE;
    const char *segment = NULL;
    uint32_t size = 0, bought = 0;
    struct profile p;

    memset(out, 0, offsetof(struct list, items));
    out->count = out->history_count = 0;
    out->model = span_text(s->version);
    if (count > LIST_ITEMS_MAX)
        count = LIST_ITEMS_MAX;
    if (number != DICT_NONE) {
        profiles_get(profiles, number, &p);
        segment = segment_of(segments, &p);
        out->segment = span_text(segment);
    }
    if (subject)
        size = history_of(s, out, x, subject, &bought);
    if (size > 0 && s->model->rows.items > 0) {
        const struct history h = {s->items, s->weights, size};
        const struct history skip = {s->bought, NULL, bought};
        rank(s, out, &h, &skip, count);
    }
    fill_popular(s, out, by_segment, segment, s->bought, bought, count);
}

void recommend_segment(struct recommender_state *s, struct list *out,
                       const struct segment_lists *by_segment, uint32_t index)
{
    memset(out, 0, offsetof(struct list, items));
    out->count = out->history_count = 0;
    out->model = span_text(s->version);
    out->segment = span_text(by_segment->of[index].name);
    for (uint32_t i = 0; i < by_segment->of[index].size; i++)
        list_add(s, out, by_segment->of[index].items[i],
                 by_segment->of[index].scores[i], REASON_SEGMENT, 0);
}
