/* The table of kinds, and what all of them share. */
#include "aggregator/model/recommender.h"

#include <stdlib.h>
#include <string.h>

#include "aggregator/model/effort.h"
#include "aggregator/model/knn.h"
#include "aggregator/model/popularity.h"
#include "aggregator/model/ridge.h"

static enum sotto_err fit_popularity(struct recommender *out,
                                     const struct recommender_input *in,
                                     const double *values,
                                     struct effort *effort)
{
    (void)effort; /* one pass over the entries */
    out->base = effort_alloc(in->x->columns, sizeof *out->base);
    if (!out->base)
        return SOTTO_ENOMEM;
    return popularity_fit(out->base, in->x, values[0], popularity_today(in->x));
}

/* A parameter that counts, from the double it is kept in. */
static enum sotto_err whole(uint32_t *out, double value)
{
    if (!(value >= 0 && value <= UINT32_MAX))
        return SOTTO_EINVAL;
    *out = (uint32_t)value;
    return SOTTO_OK;
}

static enum sotto_err fit_itemknn(struct recommender *out,
                                  const struct recommender_input *in,
                                  const double *values, struct effort *effort)
{
    struct knn_parameters p = {.shrink = (float)values[1]};

    if (whole(&p.neighbours, values[0]))
        return SOTTO_EINVAL;
    return knn_fit(&out->weights, in->gram, &p, effort);
}

static enum sotto_err fit_localridge(struct recommender *out,
                                     const struct recommender_input *in,
                                     const double *values,
                                     struct effort *effort)
{
    struct ridge_parameters p = {.lambda = (float)values[0],
                                 .dropout = (float)values[1]};

    if (whole(&p.candidates, values[2]) || whole(&p.keep, values[3]))
        return SOTTO_EINVAL;
    return ridge_fit(&out->weights, in->gram, &p, effort);
}

/* A search walks the parameters in this order, so the one that moves most
 * comes first; a half-life of 0 means none and stands behind the longest.
 * Defaults are good on shop purchases; dense feedback wants more candidates
 * and a larger lambda. */
const struct recommender_kind recommender_kinds[] = {
    {.name = "popularity",
     .summary = "how many subjects hold the item; recent ones count more",
     .parameters = {{"half_life_days", 0, 6, {7, 30, 90, 180, 365, 0}}},
     .fit = fit_popularity},
    {.name = "itemknn",
     .summary = "cosine between items, nearest neighbours only",
     .needs_gram = true,
     /* The count of neighbours is that of the published baseline and not
      * searched; docs/models.md says what fewer would give. */
     .parameters = {{"neighbours", 100, 0, {0}},
                    {"shrink", 0, 4, {0, 5, 20, 100}}},
     .fit = fit_itemknn},
    {.name = "localridge",
     .summary = "ridge regression of each item on its nearest items",
     .needs_gram = true,
     .parameters = {{"lambda", 20, 8, {1, 5, 10, 20, 50, 100, 200, 500}},
                    {"dropout", .3, 6, {0, .1, .2, .3, .5, .7}},
                    {"candidates", 100, 4, {50, 100, 200, 400}},
                    {"keep", 50, 0, {0}}},
     .fit = fit_localridge},
    {.name = NULL},
};

const struct recommender_kind *recommender_find(const char *name)
{
    const struct recommender_kind *kind = recommender_kinds;

    while (kind->name && strcmp(kind->name, name) != 0)
        kind++;
    return kind->name ? kind : NULL;
}

void recommender_defaults(const struct recommender_kind *kind,
                          double values[RECOMMENDER_PARAMETERS_MAX])
{
    memset(values, 0, RECOMMENDER_PARAMETERS_MAX * sizeof *values);
    for (int i = 0; kind->parameters[i].name; i++)
        values[i] = kind->parameters[i].value;
}

enum sotto_err recommender_fit(struct recommender *out,
                               const struct recommender_kind *kind,
                               const struct recommender_input *in,
                               const double *values, struct effort *effort)
{
    enum sotto_err err;

    *out = (struct recommender){.kind = kind, .items = in->x->columns};
    memcpy(out->values, values, sizeof out->values);
    if (kind->needs_gram && !in->gram)
        return SOTTO_EINVAL;
    err = kind->fit(out, in, values, effort);
    if (err)
        recommender_fini(out);
    return err;
}

void recommender_fini(struct recommender *r)
{
    free(r->base);
    weights_fini(&r->weights);
    *r = (struct recommender){0};
}

void recommender_score(const struct recommender *r, const struct history *h,
                       float *scores)
{
    if (!r->items)
        return;
    if (r->base)
        memcpy(scores, r->base, r->items * sizeof *scores);
    else
        memset(scores, 0, r->items * sizeof *scores);
    if (r->weights.starts)
        score_history(scores, &r->weights, h);
}
