/* The table has one row per R and one column per F + M (2 to 10, twice the
 * mean), so each of the 125 scores falls into exactly one cell. */
#include "aggregator/model/rfm.h"

#include <stdlib.h>

#include "aggregator/model/effort.h"

static const char *const names[RFM_SEGMENT_COUNT] = {
    [RFM_CHAMPIONS] = "Champions",
    [RFM_LOYAL] = "Loyal Customers",
    [RFM_POTENTIAL_LOYALIST] = "Potential Loyalists",
    [RFM_NEW] = "New Customers",
    [RFM_PROMISING] = "Promising",
    [RFM_NEEDS_ATTENTION] = "Customers Needing Attention",
    [RFM_ABOUT_TO_SLEEP] = "About to Sleep",
    [RFM_AT_RISK] = "At Risk",
    [RFM_CANNOT_LOSE] = "Can't Lose Them",
    [RFM_HIBERNATING] = "Hibernating",
    [RFM_LOST] = "Lost",
};

/* clang-format off */
#define CH RFM_CHAMPIONS
#define LO RFM_LOYAL
#define PL RFM_POTENTIAL_LOYALIST
#define NW RFM_NEW
#define PR RFM_PROMISING
#define NA RFM_NEEDS_ATTENTION
#define SL RFM_ABOUT_TO_SLEEP
#define RI RFM_AT_RISK
#define CL RFM_CANNOT_LOSE
#define HI RFM_HIBERNATING
#define LS RFM_LOST
static const uint8_t table[RFM_LEVELS][9] = {
    /* F + M:   2   3   4   5   6   7   8   9  10 */
    /* R 1 */ {LS, LS, HI, HI, RI, RI, CL, CL, CL},
    /* R 2 */ {HI, HI, SL, SL, RI, RI, RI, RI, RI},
    /* R 3 */ {SL, SL, NA, NA, NA, LO, LO, LO, LO},
    /* R 4 */ {PR, PR, PL, PL, PL, LO, CH, CH, CH},
    /* R 5 */ {NW, NW, PL, PL, PL, LO, CH, CH, CH},
};
/* clang-format on */

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* Sorts values and puts a cut where the level of the next value is higher. */
static struct rfm_scale fit_scale(int64_t *values, uint32_t count)
{
    struct rfm_scale scale = {{0}, 0};
    uint32_t smaller = 0;

    qsort(values, count, sizeof *values, by_value);
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0 && values[i] != values[i - 1])
            smaller = i;
        while (scale.count < (uint64_t)RFM_LEVELS * smaller / count)
            scale.cuts[scale.count++] = values[i];
    }
    return scale;
}

/* Longer ago is worse: turned round, so that every scale ascends to the good.
 * INT64_MIN has no opposite and stays the extreme it is. */
static int64_t opposite(int64_t recency)
{
    return recency == INT64_MIN ? INT64_MAX : -recency;
}

enum sotto_err rfm_fit(struct rfm_cuts *out, const struct rfm_values *values,
                       uint32_t count)
{
    int64_t *column;

    if (!count)
        return SOTTO_EINVAL;
    column = effort_alloc(count, sizeof *column);
    if (!column)
        return SOTTO_ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        column[i] = opposite(values[i].recency);
    out->recency = fit_scale(column, count);
    for (uint32_t i = 0; i < count; i++)
        column[i] = values[i].frequency;
    out->frequency = fit_scale(column, count);
    for (uint32_t i = 0; i < count; i++)
        column[i] = values[i].monetary;
    out->monetary = fit_scale(column, count);
    free(column);
    return SOTTO_OK;
}

static uint8_t level(const struct rfm_scale *scale, int64_t value)
{
    uint8_t result = 1;

    for (uint32_t i = 0; i < scale->count && i < RFM_LEVELS - 1; i++)
        result = (uint8_t)(result + (value >= scale->cuts[i]));
    return result;
}

struct rfm_score rfm_score(const struct rfm_cuts *cuts,
                           const struct rfm_values *v)
{
    return (struct rfm_score){
        .recency = level(&cuts->recency, opposite(v->recency)),
        .frequency = level(&cuts->frequency, v->frequency),
        .monetary = level(&cuts->monetary, v->monetary),
    };
}

static unsigned clamp(uint8_t value)
{
    if (value < 1)
        return 1;
    return value > RFM_LEVELS ? RFM_LEVELS : value;
}

enum rfm_segment rfm_classify(struct rfm_score score)
{
    unsigned worth = clamp(score.frequency) + clamp(score.monetary);

    return (enum rfm_segment)table[clamp(score.recency) - 1][worth - 2];
}

const char *rfm_name(enum rfm_segment segment)
{
    return (unsigned)segment < RFM_SEGMENT_COUNT ? names[segment] : "?";
}
