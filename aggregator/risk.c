/* Classes are found by one hash table over rows. What a class holds of the
 * sensitive column is looked at value by value, so that the work is that of
 * sorting the rows, however many values and classes there are. */
#include "aggregator/risk.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/dict.h"

#define WILSON_Z 1.959963984540054 /* 0.975 of the normal distribution */
#define LOOK_EVERY 64              /* subjects between two looks at watch */

/* --- classes ------------------------------------------------------------ */

struct grouping {
    uint32_t *of;    /* class of each row */
    uint32_t *sizes; /* of each class */
    uint32_t *first; /* a row of each class */
    uint32_t *slots; /* class + 1, or 0 */
    uint32_t mask, count;
};

static void grouping_fini(struct grouping *g)
{
    free(g->of);
    free(g->sizes);
    free(g->first);
    free(g->slots);
}

static enum sotto_err grouping_init(struct grouping *g, uint32_t rows)
{
    size_t slots = 16;

    while (slots < (size_t)rows * 2)
        slots *= 2;
    *g = (struct grouping){.mask = (uint32_t)(slots - 1)};
    g->of = malloc(((size_t)rows + 1) * sizeof *g->of);
    g->sizes = calloc((size_t)rows + 1, sizeof *g->sizes);
    g->first = malloc(((size_t)rows + 1) * sizeof *g->first);
    g->slots = calloc(slots, sizeof *g->slots);
    return g->of && g->sizes && g->first && g->slots ? SOTTO_OK : SOTTO_ENOMEM;
}

static bool same(const struct risk_table *t, uint32_t a, uint32_t b)
{
    for (uint32_t c = 0; c < t->column_count; c++)
        if (t->columns[c][a] != t->columns[c][b])
            return false;
    return true;
}

static uint32_t class_of(struct grouping *g, const struct risk_table *t,
                         uint32_t row)
{
    uint32_t cells[RISK_COLUMNS_MAX], at;

    for (uint32_t c = 0; c < t->column_count; c++)
        cells[c] = t->columns[c][row];
    at = (uint32_t)hash64(cells, t->column_count * sizeof *cells, 0) & g->mask;
    for (; g->slots[at]; at = (at + 1) & g->mask)
        if (same(t, row, g->first[g->slots[at] - 1]))
            return g->slots[at] - 1;
    g->first[g->count] = row;
    g->slots[at] = ++g->count;
    return g->count - 1;
}

static void count_sizes(struct risk_classes *out, struct grouping *g,
                        const struct risk_table *t, uint32_t k)
{
    for (uint32_t row = 0; row < t->rows; row++) {
        g->of[row] = class_of(g, t, row);
        g->sizes[g->of[row]]++;
    }
    out->classes = g->count;
    for (uint32_t i = 0; i < g->count; i++) {
        uint32_t size = g->sizes[i];

        out->unique += size == 1;
        out->below += size < k ? size : 0;
        if (size < out->smallest || i == 0)
            out->smallest = size;
        if (size > out->largest)
            out->largest = size;
    }
}

/* --- the sensitive column ------------------------------------------------ */

struct spread {
    double *share;     /* of each value in the whole table */
    double *upto;      /* share of the values up to and with it */
    double *upto_sums; /* sums of upto of the values before; one more */
    uint32_t *cells;   /* the sensitive cells, class by class */
    uint64_t *starts;  /* of each class in cells; one more */
};

static void spread_fini(struct spread *s)
{
    free(s->share);
    free(s->upto);
    free(s->upto_sums);
    free(s->cells);
    free(s->starts);
}

static enum sotto_err spread_init(struct spread *s, const struct risk_table *t,
                                  const struct grouping *g)
{
    size_t values = t->sensitive_values;

    *s = (struct spread){0};
    s->share = calloc(values + 1, sizeof *s->share);
    s->upto = calloc(values + 1, sizeof *s->upto);
    s->upto_sums = calloc(values + 1, sizeof *s->upto_sums);
    s->cells = malloc(((size_t)t->rows + 1) * sizeof *s->cells);
    s->starts = calloc((size_t)g->count + 2, sizeof *s->starts);
    if (!s->share || !s->upto || !s->upto_sums || !s->cells || !s->starts)
        return SOTTO_ENOMEM;
    for (uint32_t row = 0; row < t->rows; row++)
        s->share[t->sensitive[row]] += 1;
    for (size_t v = 0, before = 0; v < values; v++) {
        before += (size_t)s->share[v];
        s->share[v] /= t->rows;
        s->upto[v] = (double)before / t->rows;
        s->upto_sums[v + 1] = s->upto_sums[v] + s->upto[v];
    }
    /* A counting sort; starts is one ahead while it fills. */
    for (uint32_t i = 0; i < g->count; i++)
        s->starts[i + 2] = s->starts[i + 1] + g->sizes[i];
    for (uint32_t row = 0; row < t->rows; row++)
        s->cells[s->starts[g->of[row] + 1]++] = t->sensitive[row];
    return SOTTO_OK;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* Sum of |below - upto[v]| for v in [from, to): below is the share of the
 * class there, and upto rises, so it is above from some value on. */
static double moved(const struct spread *s, double below, uint32_t from,
                    uint32_t to)
{
    uint32_t low = from, high = to;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (s->upto[middle] < below)
            low = middle + 1;
        else
            high = middle;
    }
    return below * (low - from) - (s->upto_sums[low] - s->upto_sums[from]) +
           (s->upto_sums[to] - s->upto_sums[low]) - below * (to - low);
}

/* One class, its cells sorted. */
static void look_at(struct risk_classes *out, const struct risk_table *t,
                    const struct spread *s, const uint32_t *cells,
                    uint64_t size)
{
    double entropy = 0, missing = 1, equal = 0, ordered = 0, below = 0;
    uint32_t distinct = 0, from = 0;

    for (uint64_t i = 0, end; i < size; i = end) {
        double share;

        for (end = i + 1; end < size && cells[end] == cells[i]; end++)
            ;
        share = (double)(end - i) / (double)size;
        distinct++;
        entropy -= share * log(share);
        equal += fabs(share - s->share[cells[i]]);
        missing -= s->share[cells[i]];
        if (t->ordered)
            ordered += moved(s, below, from, cells[i]);
        below += share;
        from = cells[i];
    }
    if (t->ordered && t->sensitive_values > 1)
        equal = (ordered + moved(s, 1, from, t->sensitive_values)) /
                (t->sensitive_values - 1);
    else
        equal = (equal + missing) / 2;
    if (distinct < out->distinct || out->distinct == 0)
        out->distinct = distinct;
    if (exp(entropy) < out->entropy || out->entropy == 0)
        out->entropy = exp(entropy);
    if (equal > out->closeness)
        out->closeness = equal;
}

static enum sotto_err look_at_all(struct risk_classes *out,
                                  const struct risk_table *t,
                                  const struct grouping *g)
{
    struct spread s;
    enum sotto_err err = spread_init(&s, t, g);

    for (uint32_t i = 0; i < g->count && !err; i++) {
        uint32_t *cells = s.cells + s.starts[i];
        uint64_t size = s.starts[i + 1] - s.starts[i];

        qsort(cells, size, sizeof *cells, by_number);
        look_at(out, t, &s, cells, size);
    }
    spread_fini(&s);
    return err;
}

enum sotto_err risk_classes(struct risk_classes *out,
                            const struct risk_table *t, uint32_t k)
{
    struct grouping g;
    enum sotto_err err;

    *out = (struct risk_classes){0};
    if (t->column_count < 1 || t->column_count > RISK_COLUMNS_MAX ||
        t->rows > RISK_ROWS_MAX)
        return SOTTO_EINVAL;
    err = grouping_init(&g, t->rows);
    if (!err)
        count_sizes(out, &g, t, k);
    if (!err && t->sensitive)
        err = look_at_all(out, t, &g);
    grouping_fini(&g);
    return err;
}

/* --- unicity ------------------------------------------------------------ */

/* S. Vigna's splitmix64: enough to draw a sample. */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Below limit, each as likely. */
static uint64_t draw_below(uint64_t *state, uint64_t limit)
{
    uint64_t bias = (UINT64_MAX - limit + 1) % limit, z;

    do
        z = draw(state);
    while (z < bias);
    return z % limit;
}

/* Of each point, who was there: the traces, turned. */
struct visitors {
    uint64_t *starts;
    uint32_t *subjects;
};

static enum sotto_err visitors_init(struct visitors *v,
                                    const struct risk_traces *t)
{
    uint64_t points = t->starts[t->subjects];

    v->starts = calloc((size_t)t->point_count + 2, sizeof *v->starts);
    v->subjects = malloc((points + 1) * sizeof *v->subjects);
    if (!v->starts || !v->subjects)
        return SOTTO_ENOMEM;
    for (uint64_t i = 0; i < points; i++)
        v->starts[t->points[i] + 2]++; /* one ahead while it fills */
    for (size_t p = 2; p < (size_t)t->point_count + 2; p++)
        v->starts[p] += v->starts[p - 1];
    for (uint32_t s = 0; s < t->subjects; s++)
        for (uint64_t i = t->starts[s]; i < t->starts[s + 1]; i++)
            v->subjects[v->starts[t->points[i] + 1]++] = s;
    return SOTTO_OK;
}

static bool was_at(const struct risk_traces *t, uint32_t subject,
                   uint32_t point)
{
    uint64_t low = t->starts[subject], high = t->starts[subject + 1];

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (t->points[middle] < point)
            low = middle + 1;
        else
            high = middle;
    }
    return low < t->starts[subject + 1] && t->points[low] == point;
}

static void draw_points(uint32_t *out, uint32_t count,
                        const struct risk_traces *t, uint32_t subject,
                        uint64_t *state)
{
    uint64_t size = t->starts[subject + 1] - t->starts[subject];

    for (uint32_t n = 0, i; n < count; n += i == n) {
        out[n] = t->points[t->starts[subject] + draw_below(state, size)];
        for (i = 0; i < n && out[i] != out[n]; i++)
            ;
    }
}

/* Whether nobody but subject was at all of the points. */
static bool alone(const struct risk_traces *t, const struct visitors *v,
                  uint32_t subject, const uint32_t *points, uint32_t count)
{
    uint32_t rare = 0;

    for (uint32_t i = 1; i < count; i++)
        if (v->starts[points[i] + 1] - v->starts[points[i]] <
            v->starts[points[rare] + 1] - v->starts[points[rare]])
            rare = i;
    for (uint64_t n = v->starts[points[rare]]; n < v->starts[points[rare] + 1];
         n++) {
        uint32_t other = v->subjects[n], i = 0;

        while (i < count && was_at(t, other, points[i]))
            i++;
        if (i == count && other != subject)
            return false;
    }
    return true;
}

static void set_interval(struct risk_unicity *u)
{
    double n = u->asked, z2 = WILSON_Z * WILSON_Z, middle, half;

    if (u->asked == 0)
        return;
    u->share = u->unique / n;
    middle = (u->share + z2 / (2 * n)) / (1 + z2 / n);
    half = WILSON_Z / (1 + z2 / n) *
           sqrt(u->share * (1 - u->share) / n + z2 / (4 * n * n));
    u->low = u->unique == 0 ? 0 : middle - half;
    u->high = u->unique == u->asked ? 1 : middle + half;
}

static enum sotto_err ask_all(struct risk_unicity *u,
                              const struct risk_traces *t,
                              const struct visitors *v, uint32_t *subjects,
                              uint32_t sample_max, uint64_t *state,
                              const struct risk_watch *watch)
{
    uint32_t points[RISK_POINTS_MAX];

    u->eligible = u->unique = 0;
    for (uint32_t s = 0; s < t->subjects; s++)
        if (t->starts[s + 1] - t->starts[s] >= u->points)
            subjects[u->eligible++] = s;
    u->asked = u->eligible < sample_max ? u->eligible : sample_max;
    for (uint32_t i = 0; i < u->asked; i++) { /* Fisher and Yates */
        uint32_t at = i + (uint32_t)draw_below(state, u->eligible - i);
        uint32_t subject = subjects[at];

        if (i % LOOK_EVERY == 0 && watch &&
            !watch->go_on(watch->context, i, u->asked))
            return SOTTO_ECLOSED;
        subjects[at] = subjects[i];
        draw_points(points, u->points, t, subject, state);
        u->unique += alone(t, v, subject, points, u->points);
    }
    set_interval(u);
    return SOTTO_OK;
}

enum sotto_err risk_unicity(struct risk_unicity *out, uint32_t count,
                            const struct risk_traces *t, uint32_t sample_max,
                            uint64_t seed, const struct risk_watch *watch)
{
    struct visitors v = {0};
    uint32_t *subjects;
    enum sotto_err err;

    for (uint32_t i = 0; i < count; i++) {
        if (out[i].points < 1 || out[i].points > RISK_POINTS_MAX)
            return SOTTO_EINVAL;
        out[i] = (struct risk_unicity){.points = out[i].points};
    }
    subjects = malloc(((size_t)t->subjects + 1) * sizeof *subjects);
    err = subjects ? visitors_init(&v, t) : SOTTO_ENOMEM;
    for (uint32_t i = 0; i < count && !err; i++)
        err = ask_all(&out[i], t, &v, subjects, sample_max, &seed, watch);
    free(v.starts);
    free(v.subjects);
    free(subjects);
    return err;
}
