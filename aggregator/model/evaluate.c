/* Each thread writes the figures of its subjects to their own places; the
 * means are taken afterwards, in order. */
#include "aggregator/model/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/model/metrics.h"

#define DEPTH 100 /* the longest list that a figure looks at */

struct figures {
    double recall_20, recall_50, ndcg_100;
    uint32_t listed_count;
    uint32_t listed[DEPTH];
};

struct job {
    const struct recommender *recommender;
    const struct holdout *holdout;
    const uint32_t *subjects;
    struct figures *figures;
};

static void *scratch_open(void *context)
{
    const struct job *job = context;

    return effort_alloc(job->recommender->items, sizeof(float));
}

static void measure(const struct job *job, uint32_t subject, float *scores,
                    struct figures *f)
{
    const struct matrix *history = &job->holdout->history;
    const struct matrix *truths = &job->holdout->truth;
    uint64_t first = history->starts[subject];
    uint64_t truth_first = truths->starts[subject];
    struct history h = {.items = history->indexes + first,
                        .size =
                            (uint32_t)(history->starts[subject + 1] - first)};
    struct truth t = {
        .items = truths->indexes + truth_first,
        .size = (uint32_t)(truths->starts[subject + 1] - truth_first)};
    struct ranked list[DEPTH];

    recommender_score(job->recommender, &h, scores);
    f->listed_count = score_select(list, DEPTH, scores, job->recommender->items,
                                   &h, -INFINITY);
    for (uint32_t n = 0; n < f->listed_count; n++)
        f->listed[n] = list[n].item;
    f->recall_20 = metrics_recall(f->listed, f->listed_count, &t, 20);
    f->recall_50 = metrics_recall(f->listed, f->listed_count, &t, 50);
    f->ndcg_100 = metrics_ndcg(f->listed, f->listed_count, &t, 100);
}

static enum sotto_err measure_chunk(void *context, void *scratch, uint32_t from,
                                    uint32_t upto)
{
    struct job *job = context;

    for (uint32_t n = from; n < upto; n++)
        measure(job, job->subjects[n], scratch, &job->figures[n]);
    return SOTTO_OK;
}

static enum sotto_err summarize(struct quality *out, const struct job *job,
                                uint32_t count)
{
    uint32_t items = job->recommender->items, covered = 0;
    uint8_t *seen = effort_alloc(items, 1);

    if (!seen)
        return SOTTO_ENOMEM;
    *out = (struct quality){.subjects = count};
    for (uint32_t n = 0; n < count; n++) {
        const struct figures *f = &job->figures[n];

        out->recall_20 += f->recall_20;
        out->recall_50 += f->recall_50;
        out->ndcg_100 += f->ndcg_100;
        for (uint32_t k = 0; k < f->listed_count; k++) {
            covered += !seen[f->listed[k]];
            seen[f->listed[k]] = 1;
        }
    }
    free(seen);
    if (count) {
        out->recall_20 /= count;
        out->recall_50 /= count;
        out->ndcg_100 /= count;
    }
    if (items)
        out->coverage_100 = (double)covered / items;
    return SOTTO_OK;
}

static enum sotto_err evaluate_subjects(struct quality *out,
                                        const struct recommender *r,
                                        const struct holdout *h,
                                        const uint32_t *subjects,
                                        uint32_t count, struct effort *effort)
{
    struct job job = {.recommender = r, .holdout = h, .subjects = subjects};
    struct effort_step step = {.context = &job,
                               .open = scratch_open,
                               .work = measure_chunk,
                               .close = free};
    enum sotto_err err;

    job.figures = effort_alloc(count, sizeof *job.figures);
    if (!job.figures)
        return SOTTO_ENOMEM;
    err = effort_run(effort, &step, count, 16);
    if (!err)
        err = summarize(out, &job, count);
    free(job.figures);
    return err;
}

/* The subjects with a truth, in order. The caller frees *out. */
static enum sotto_err with_truth(uint32_t **out, uint32_t *count,
                                 const struct holdout *h)
{
    *out = effort_alloc(h->history.rows, sizeof **out);
    if (!*out)
        return SOTTO_ENOMEM;
    *count = 0;
    for (uint32_t n = 0; n < h->history.rows; n++) {
        if (h->truth.starts[n + 1] > h->truth.starts[n])
            (*out)[(*count)++] = n;
    }
    return SOTTO_OK;
}

enum sotto_err evaluate(struct quality *out, const struct recommender *r,
                        const struct holdout *h, struct effort *effort)
{
    uint32_t *subjects, count;
    enum sotto_err err = with_truth(&subjects, &count, h);

    if (err)
        return err;
    err = evaluate_subjects(out, r, h, subjects, count, effort);
    free(subjects);
    return err;
}

/* S. Vigna's splitmix64: enough to draw a sample. */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Leaves a sample of size wanted at the front. */
static uint32_t sample(uint32_t *subjects, uint32_t count, uint32_t wanted,
                       uint64_t seed)
{
    if (count <= wanted)
        return count;
    for (uint32_t n = 0; n < wanted; n++) {
        uint32_t other = n + (uint32_t)(draw(&seed) % (count - n));
        uint32_t moved = subjects[n];

        subjects[n] = subjects[other];
        subjects[other] = moved;
    }
    return wanted;
}

struct search {
    const struct recommender_kind *kind;
    const struct recommender_input *in;
    const struct holdout *validation;
    uint32_t *subjects;
    uint32_t count;
    struct effort *effort;
    double best;
};

static enum sotto_err try_values(double *ndcg, struct search *s,
                                 const double *values)
{
    struct recommender r;
    struct quality q;
    enum sotto_err err = recommender_fit(&r, s->kind, s->in, values, s->effort);

    atomic_fetch_add(&s->effort->round, 1);
    if (err)
        return err;
    err = evaluate_subjects(&q, &r, s->validation, s->subjects, s->count,
                            s->effort);
    recommender_fini(&r);
    *ndcg = err ? 0 : q.ndcg_100;
    return err;
}

/* Walks the grid of one parameter from its place in one direction for as long
 * as that helps. Returns the place where it ends. */
static enum sotto_err climb(struct search *s, double *values, int which,
                            uint32_t *place, int direction)
{
    const struct recommender_parameter *p = &s->kind->parameters[which];
    int64_t next;

    while (next = (int64_t)*place + direction,
           next >= 0 && next < p->grid_count) {
        double ndcg;
        enum sotto_err err;

        values[which] = p->grid[next];
        err = try_values(&ndcg, s, values);
        if (err)
            return err;
        if (ndcg <= s->best)
            break;
        s->best = ndcg;
        *place = (uint32_t)next;
    }
    values[which] = p->grid[*place];
    return SOTTO_OK;
}

/* Ties keep what was there. A default that is not on the grid stays. */
static enum sotto_err search_parameter(struct search *s, double *values,
                                       int which)
{
    const struct recommender_parameter *p = &s->kind->parameters[which];
    uint32_t start = 0, place;
    enum sotto_err err;

    while (start < p->grid_count && p->grid[start] != values[which])
        start++;
    if (start == p->grid_count)
        return SOTTO_OK;
    place = start;
    err = climb(s, values, which, &place, 1);
    if (!err && place == start)
        err = climb(s, values, which, &place, -1);
    return err;
}

static uint32_t grid_size(const struct recommender_kind *kind)
{
    uint32_t size = 1;

    for (int i = 0; kind->parameters[i].name; i++)
        size += kind->parameters[i].grid_count;
    return size;
}

enum sotto_err evaluate_search(double values[RECOMMENDER_PARAMETERS_MAX],
                               const struct recommender_kind *kind,
                               const struct recommender_input *in,
                               const struct holdout *validation,
                               struct effort *effort)
{
    struct search s = {
        .kind = kind, .in = in, .validation = validation, .effort = effort};
    enum sotto_err err;

    recommender_defaults(kind, values);
    err = with_truth(&s.subjects, &s.count, validation);
    if (err)
        return err;
    s.count = sample(s.subjects, s.count, EVALUATE_SEARCH_SUBJECTS, in->seed);
    atomic_store(&effort->round, 0);
    atomic_store(&effort->rounds, grid_size(kind));
    err = try_values(&s.best, &s, values);
    for (int i = 0; kind->parameters[i].name && !err; i++)
        err = search_parameter(&s, values, i);
    atomic_store(&effort->rounds, 0);
    free(s.subjects);
    if (err)
        recommender_defaults(kind, values);
    return err;
}

void holdout_fini(struct holdout *h)
{
    matrix_fini(&h->history);
    matrix_fini(&h->truth);
    *h = (struct holdout){0};
}
