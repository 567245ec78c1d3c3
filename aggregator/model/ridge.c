/* One small Cholesky per column. The system is gathered once; the second,
 * smaller one is cut out of it, because the factorization destroys its copy.
 * Systems are column-major and only the lower triangle is filled. */
#include "aggregator/model/ridge.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/model/neighbours.h"

struct job {
    const struct gram *gram;
    struct columns columns;
    struct ridge_parameters parameters;
    float diagonal_factor; /* 1 + p/(1-p) */
};

struct scratch {
    struct neighbour *near;
    uint32_t *items; /* the candidates, ascending */
    uint32_t *kept;  /* places in items of the weights that stay */
    float *shared;   /* G_Sj */
    float *solution;
    float *system; /* as gathered */
    float *factor; /* destroyed by each solve */
};

static void scratch_close(void *arg)
{
    struct scratch *s = arg;

    free(s->near);
    free(s->items);
    free(s->kept);
    free(s->shared);
    free(s->solution);
    free(s->system);
    free(s->factor);
    free(s);
}

static void *scratch_open(void *context)
{
    const struct job *job = context;
    uint64_t n = job->parameters.candidates;
    struct scratch *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->near = effort_alloc(n, sizeof *s->near);
    s->items = effort_alloc(n, sizeof *s->items);
    s->kept = effort_alloc(n, sizeof *s->kept);
    s->shared = effort_alloc(n, sizeof *s->shared);
    s->solution = effort_alloc(n, sizeof *s->solution);
    s->system = effort_alloc(n * n, sizeof *s->system);
    s->factor = effort_alloc(n * n, sizeof *s->factor);
    if (s->near && s->items && s->kept && s->shared && s->solution &&
        s->system && s->factor)
        return s;
    scratch_close(s);
    return NULL;
}

static int by_item(const void *a, const void *b)
{
    const struct neighbour *x = a, *y = b;

    return (x->item > y->item) - (x->item < y->item);
}

/* Fills system and shared for column j; returns the count of candidates. */
static uint32_t gather(const struct job *job, struct scratch *s, uint32_t j)
{
    const struct gram *g = job->gram;
    uint32_t count =
        neighbours_find(g, j, job->parameters.candidates, 0, s->near);

    qsort(s->near, count, sizeof *s->near, by_item);
    for (uint32_t n = 0; n < count; n++)
        s->items[n] = s->near[n].item;
    gram_pick(g, j, s->items, count, s->shared);
    for (uint32_t n = 0; n < count; n++) {
        float *column = s->system + (size_t)n * count;
        uint32_t item = s->items[n];

        column[n] =
            g->diagonal[item] * job->diagonal_factor + job->parameters.lambda;
        gram_pick(g, item, s->items + n + 1, count - n - 1, column + n + 1);
    }
    return count;
}

/* Copies the system of the kept places into factor, its diagonal times lift,
 * and its right side into solution. */
static void cut_out(struct scratch *s, uint32_t size, uint32_t count,
                    float lift)
{
    for (uint32_t c = 0; c < count; c++) {
        const float *from = s->system + (size_t)s->kept[c] * size;
        float *to = s->factor + (size_t)c * count;

        for (uint32_t r = c; r < count; r++)
            to[r] = from[s->kept[r]];
        to[c] *= lift;
        s->solution[c] = s->shared[s->kept[c]];
    }
}

/* Solves for the places kept[0..count-1] (ascending) of size candidates;
 * solution[n] belongs to kept[n]. In exact arithmetic the matrix is positive
 * definite. If lambda is too small for floats to see it, the diagonal grows
 * by a thousandth, then two, then four. False when no growth helps: the
 * counts are not numbers. */
static bool solve(struct scratch *s, uint32_t size, uint32_t count)
{
    lapack_int n = (lapack_int)count;

    for (float growth = 0;
         growth<1e6f; growth = growth> 0 ? growth * 2 : .001f) {
        cut_out(s, size, count, 1 + growth);
        if (LAPACKE_spotrf_work(LAPACK_COL_MAJOR, 'L', n, s->factor, n))
            continue;
        LAPACKE_spotrs_work(LAPACK_COL_MAJOR, 'L', n, 1, s->factor, n,
                            s->solution, n);
        return isfinite(s->solution[0]);
    }
    return false;
}

static int by_strength(const void *a, const void *b)
{
    const struct neighbour *x = a, *y = b;

    if (x->similarity != y->similarity)
        return x->similarity < y->similarity ? 1 : -1;
    return by_item(a, b);
}

/* Leaves in kept the places of the strongest weights, ascending. near is free
 * by now and holds (|weight|, place). */
static uint32_t cut(struct scratch *s, uint32_t count, uint32_t keep)
{
    for (uint32_t n = 0; n < count; n++) {
        s->near[n].similarity = fabsf(s->solution[n]);
        s->near[n].item = n;
    }
    qsort(s->near, count, sizeof *s->near, by_strength);
    qsort(s->near, keep, sizeof *s->near, by_item);
    for (uint32_t n = 0; n < keep; n++)
        s->kept[n] = s->near[n].item;
    return keep;
}

static enum sotto_err fit_column(struct job *job, struct scratch *s, uint32_t j)
{
    struct columns *c = &job->columns;
    uint32_t size = gather(job, s, j), count = size;

    for (uint32_t n = 0; n < size; n++)
        s->kept[n] = n;
    if (count && !solve(s, size, count))
        return SOTTO_EINVAL;
    if (count > c->width) {
        count = cut(s, count, c->width);
        if (count && !solve(s, size, count))
            return SOTTO_EINVAL;
    }
    for (uint32_t n = 0; n < count; n++) {
        uint64_t cell = (uint64_t)j * c->width + c->sizes[j];

        if (s->solution[n] == 0)
            continue;
        c->sources[cell] = s->items[s->kept[n]];
        c->values[cell] = s->solution[n];
        c->sizes[j]++;
    }
    return SOTTO_OK;
}

static enum sotto_err fit_columns(void *context, void *scratch, uint32_t from,
                                  uint32_t upto)
{
    enum sotto_err err = SOTTO_OK;

    for (uint32_t j = from; j < upto && !err; j++)
        err = fit_column(context, scratch, j);
    return err;
}

static bool parameters_good(const struct ridge_parameters *p)
{
    return p->lambda > 0 && isfinite(p->lambda) && p->dropout >= 0 &&
           p->dropout < 1;
}

enum sotto_err ridge_fit(struct weights *out, const struct gram *g,
                         const struct ridge_parameters *p,
                         struct effort *effort)
{
    struct job job = {.gram = g, .parameters = *p};
    struct effort_step step = {.context = &job,
                               .open = scratch_open,
                               .work = fit_columns,
                               .close = scratch_close};
    uint32_t keep;
    enum sotto_err err;

    *out = (struct weights){0};
    if (!parameters_good(p))
        return SOTTO_EINVAL;
    if (job.parameters.candidates > g->items)
        job.parameters.candidates = g->items;
    if (job.parameters.candidates > RIDGE_CANDIDATES_MAX)
        return SOTTO_ETOOBIG;
    keep = job.parameters.candidates;
    if (keep > p->keep)
        keep = p->keep;
    job.diagonal_factor = 1 + p->dropout / (1 - p->dropout);
    openblas_set_num_threads(1);
    err = columns_init(&job.columns, g->items, keep);
    if (!err)
        err = effort_run(effort, &step, g->items, 4);
    if (!err)
        err = weights_from_columns(out, &job.columns);
    columns_fini(&job.columns);
    return err;
}
