/* Sums in double: a million halves of a float would not move the whole. */
#include "aggregator/model/popularity.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "aggregator/model/effort.h"

static double entry_weight(const struct matrix *x, uint64_t entry,
                           double half_life_days, int32_t today)
{
    double age_days;

    if (half_life_days == 0 || !x->days)
        return 1;
    age_days = (double)today - x->days[entry];
    return age_days > 0 ? exp2(-age_days / half_life_days) : 1;
}

enum sotto_err popularity_fit(float *scores, const struct matrix *x,
                              double half_life_days, int32_t today)
{
    double *sums;

    if (!(half_life_days >= 0))
        return SOTTO_EINVAL;
    sums = effort_alloc(x->columns, sizeof *sums);
    if (!sums)
        return SOTTO_ENOMEM;
    for (uint64_t k = 0; k < matrix_count(x); k++)
        sums[x->indexes[k]] += entry_weight(x, k, half_life_days, today);
    for (uint32_t j = 0; j < x->columns; j++)
        scores[j] = (float)sums[j];
    free(sums);
    return SOTTO_OK;
}

int32_t popularity_today(const struct matrix *x)
{
    int32_t today = 0;

    for (uint64_t k = 0; x->days && k < matrix_count(x); k++) {
        if (x->days[k] > today)
            today = x->days[k];
    }
    return today;
}
