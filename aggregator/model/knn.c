/* A column of weights per item, made by whichever thread is free. */
#include "aggregator/model/knn.h"

#include <stdlib.h>

#include "aggregator/model/neighbours.h"

struct job {
    const struct gram *gram;
    struct columns columns;
    float shrink;
};

static void *scratch_open(void *context)
{
    const struct job *job = context;

    return effort_alloc(job->columns.width, sizeof(struct neighbour));
}

static enum sotto_err fit_columns(void *context, void *scratch, uint32_t from,
                                  uint32_t upto)
{
    struct job *job = context;
    struct columns *c = &job->columns;
    struct neighbour *near = scratch;

    for (uint32_t j = from; j < upto; j++) {
        uint64_t first = (uint64_t)j * c->width;

        c->sizes[j] =
            neighbours_find(job->gram, j, c->width, job->shrink, near);
        for (uint32_t n = 0; n < c->sizes[j]; n++) {
            c->sources[first + n] = near[n].item;
            c->values[first + n] = near[n].similarity;
        }
    }
    return SOTTO_OK;
}

enum sotto_err knn_fit(struct weights *out, const struct gram *g,
                       const struct knn_parameters *p, struct effort *effort)
{
    struct job job = {.gram = g, .shrink = p->shrink};
    struct effort_step step = {.context = &job,
                               .open = scratch_open,
                               .work = fit_columns,
                               .close = free};
    uint32_t width = p->neighbours < g->items ? p->neighbours : g->items;
    enum sotto_err err;

    *out = (struct weights){0};
    if (!(p->shrink >= 0))
        return SOTTO_EINVAL;
    err = columns_init(&job.columns, g->items, width);
    if (!err)
        err = effort_run(effort, &step, g->items, 16);
    if (!err)
        err = weights_from_columns(out, &job.columns);
    columns_fini(&job.columns);
    return err;
}
