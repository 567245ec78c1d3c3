/* See train.h. The time split: the newest days that hold a fifth of all
 * interactions are the truth, by each interaction's last day; what is older is
 * history and training data. Somebody counts who has both. */
#include "aggregator/train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/model/evaluate.h"
#include "aggregator/model/gram.h"
#include "aggregator/model/popularity.h"
#include "aggregator/model/recommender.h"
#include "base/clock.h"
#include "base/when.h"

#define TRUTH_PART 0.2
#define HALF_LIFE_DAYS 30.0 /* of popularity */

/* ---- out of the views ---- */

static enum sotto_err copy_items(struct live_model *m,
                                 const struct interactions *x)
{
    uint32_t items = interactions_items(x);

    m->name_of = calloc(items + 1u, sizeof *m->name_of);
    if (!m->name_of)
        return SOTTO_ENOMEM;
    for (uint32_t i = 0; i < items; i++) {
        uint32_t number;
        enum sotto_err err =
            dict_intern(&m->items, interactions_item(x, i), &number);
        if (!err)
            err = dict_intern(&m->names, interactions_item_name(x, i),
                              &m->name_of[i]);
        if (err)
            return err;
    }
    return SOTTO_OK;
}

static struct triple *copy_triples(struct train_input *in,
                                   const struct interactions *x,
                                   uint64_t *count)
{
    struct triple *all = NULL;
    uint64_t capacity = 0;

    *count = 0;
    for (uint32_t s = 0; s < interactions_subjects(x); s++) {
        uint32_t size;
        const struct interaction *list = interactions_of(x, s, &size);
        if (*count + size > capacity) {
            capacity = (*count + size) * 2;
            struct triple *grown = realloc(all, capacity * sizeof *all);
            if (!grown) {
                free(all);
                return NULL;
            }
            all = grown;
        }
        for (uint32_t i = 0; i < size; i++) {
            if (list[i].bought <= 0)
                continue;
            all[(*count)++] = (struct triple){s, list[i].item, 1, list[i].day};
            if (*count == 1 || list[i].day < in->first_day)
                in->first_day = list[i].day;
            if (*count == 1 || list[i].day > in->last_day)
                in->last_day = list[i].day;
        }
    }
    return all;
}

enum sotto_err train_collect(struct train_input *in,
                             const struct interactions *x)
{
    struct triple *triples;
    uint64_t count;
    enum sotto_err err;

    memset(in, 0, sizeof *in);
    in->model = live_model_new();
    if (!in->model)
        return SOTTO_ENOMEM;
    err = copy_items(in->model, x);
    triples = err ? NULL : copy_triples(in, x, &count);
    if (!err && !triples)
        err = SOTTO_ENOTFOUND;
    if (!err && count == 0)
        err = SOTTO_ENOTFOUND;
    if (!err)
        err = matrix_build(&in->x, interactions_subjects(x),
                           interactions_items(x), triples, count, MATRIX_MAX);
    free(triples);
    return err;
}

void train_input_fini(struct train_input *in)
{
    live_model_release(in->model);
    matrix_fini(&in->x);
    in->model = NULL;
}

/* ---- the time split ---- */

static int by_day(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

    return (x > y) - (x < y);
}

/* The first day of the truth; no truth if everything is of one day. */
static enum sotto_err split_day(const struct matrix *x, int32_t *day)
{
    uint64_t count = matrix_count(x);
    int32_t *days = malloc(count * sizeof *days);

    if (!days)
        return SOTTO_ENOMEM;
    memcpy(days, x->days, count * sizeof *days);
    qsort(days, count, sizeof *days, by_day);
    *day = days[(uint64_t)((1 - TRUTH_PART) * (double)count)];
    if (*day == days[0])
        *day = days[count - 1];
    free(days);
    return SOTTO_OK;
}

/* Entries before (or from) day, all rows kept. */
static enum sotto_err part_of(struct matrix *out, const struct matrix *x,
                              int32_t day, bool before)
{
    struct triple *part = malloc((matrix_count(x) + 1) * sizeof *part);
    uint64_t count = 0;
    enum sotto_err err;

    if (!part)
        return SOTTO_ENOMEM;
    for (uint32_t r = 0; r < x->rows; r++)
        for (uint64_t n = x->starts[r]; n < x->starts[r + 1]; n++)
            if ((x->days[n] < day) == before)
                part[count++] =
                    (struct triple){r, x->indexes[n], x->values[n], x->days[n]};
    err = matrix_build(out, x->rows, x->columns, part, count, MATRIX_MAX);
    free(part);
    return err;
}

/* Drops from the truth those without a history: nothing is asked of them. */
static void ask_known_only(struct holdout *h)
{
    uint64_t to = 0;

    for (uint32_t r = 0; r < h->truth.rows; r++) {
        uint64_t from = h->truth.starts[r], upto = h->truth.starts[r + 1];
        bool known = h->history.starts[r] < h->history.starts[r + 1];
        h->truth.starts[r] = to;
        for (uint64_t n = from; known && n < upto; n++) {
            h->truth.indexes[to] = h->truth.indexes[n];
            h->truth.values[to] = h->truth.values[n];
            h->truth.days[to++] = h->truth.days[n];
        }
    }
    h->truth.starts[h->truth.rows] = to;
}

/* ---- fitting ---- */

static enum sotto_err fit_kind(struct recommender *out, const char *name,
                               const struct matrix *x, const struct gram *gram,
                               struct effort *effort)
{
    const struct recommender_kind *kind = recommender_find(name);
    const struct recommender_input in = {.x = x, .gram = gram, .seed = 1};
    double values[RECOMMENDER_PARAMETERS_MAX];

    recommender_defaults(kind, values);
    return recommender_fit(out, kind, &in, values, effort);
}

static enum sotto_err measure(struct quality *q, const char *name,
                              const struct holdout *h, const struct gram *gram,
                              struct effort *effort)
{
    struct recommender r;
    enum sotto_err err = fit_kind(&r, name, &h->history, gram, effort);

    if (err)
        return err;
    err = evaluate(q, &r, h, effort);
    recommender_fini(&r);
    return err;
}

static json_t *quality_json(const struct quality *q)
{
    return json_pack("{s:f,s:f,s:f,s:f}", "recall@20", q->recall_20,
                     "recall@50", q->recall_50, "ndcg@100", q->ndcg_100,
                     "coverage@100", q->coverage_100);
}

static enum sotto_err compare(const struct matrix *x, int32_t day,
                              struct quality *ridge, struct quality *popular,
                              struct effort *effort)
{
    struct holdout h = {0};
    struct gram gram = {0};
    enum sotto_err err = part_of(&h.history, x, day, true);

    if (!err)
        err = part_of(&h.truth, x, day, false);
    if (!err) {
        ask_known_only(&h);
        err = gram_build(&gram, &h.history, GRAM_BINARY, effort);
    }
    if (!err)
        err = measure(ridge, "localridge", &h, &gram, effort);
    if (!err)
        err = measure(popular, "popularity", &h, &gram, effort);
    gram_fini(&gram);
    holdout_fini(&h);
    return err;
}

/* On everything, for use. */
static enum sotto_err fit_all(struct train_input *in, bool ridge,
                              struct effort *effort, json_t *parameters)
{
    struct live_model *m = in->model;
    struct gram gram = {0};
    struct recommender r = {0};
    enum sotto_err err;

    snprintf(m->name, sizeof m->name, "%s",
             ridge ? "localridge" : "popularity");
    m->popularity = calloc(in->x.columns + 1u, sizeof *m->popularity);
    if (!m->popularity)
        return SOTTO_ENOMEM;
    err = popularity_fit(m->popularity, &in->x, HALF_LIFE_DAYS, in->last_day);
    if (err || !ridge)
        return err;
    err = gram_build(&gram, &in->x, GRAM_BINARY, effort);
    if (!err)
        err = fit_kind(&r, "localridge", &in->x, &gram, effort);
    gram_fini(&gram);
    if (err)
        return err;
    for (uint32_t i = 0; r.kind->parameters[i].name; i++)
        json_object_set_new(parameters, r.kind->parameters[i].name,
                            json_real(r.values[i]));
    err = weights8_from(&m->rows8, &r.weights);
    if (!err) /* the same numbers as at the edge */
        err = weights_from_8(&m->rows, &m->rows8);
    recommender_fini(&r);
    return err;
}

static void day_text(char out[11], int32_t day)
{
    char text[32];

    when_format(text, (int64_t)day * DAY_MS);
    memcpy(out, text, 10);
    out[10] = 0;
}

enum sotto_err train_fit(struct train_input *in, struct effort *effort,
                         json_t **meta)
{
    int64_t started = clock_mono_ms(&clock_system);
    struct quality ridge = {0}, popular = {0};
    json_t *parameters = json_object();
    char first[11], last[11], split[11];
    int32_t day = 0;
    bool good;
    enum sotto_err err = split_day(&in->x, &day);

    if (!err)
        err = compare(&in->x, day, &ridge, &popular, effort);
    good = !err && ridge.ndcg_100 >= popular.ndcg_100;
    if (!err)
        err = fit_all(in, good, effort, parameters);
    if (err) {
        json_decref(parameters);
        return err;
    }
    day_text(first, in->first_day);
    day_text(last, in->last_day);
    day_text(split, day);
    *meta = json_pack(
        "{s:s,s:s,s:s,s:I,s:I,s:I,s:o,s:{s:s,s:I,s:o,s:o},s:f,s:I}", "model",
        in->model->name, "from", first, "to", last, "subjects",
        (json_int_t)in->x.rows, "items", (json_int_t)in->x.columns,
        "interactions", (json_int_t)matrix_count(&in->x), "parameters",
        parameters, "time_split", "day", split, "subjects",
        (json_int_t)ridge.subjects, "localridge", quality_json(&ridge),
        "popularity", quality_json(&popular), "seconds",
        (double)(clock_mono_ms(&clock_system) - started) / 1000.0, "seed",
        (json_int_t)1);
    return *meta ? SOTTO_OK : SOTTO_ENOMEM;
}
