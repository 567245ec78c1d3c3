/* See risk_live.h. Under the views' lock things are only copied; texts and
 * numbers are made of them after it. */
#include "aggregator/risk_live.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define TEXT_SIZE 32
#define MONEY 1000000
#define POINTS_MAX (UINT32_C(1) << 30)

/* ---- people ---- */

enum sotto_err risk_people_copy(struct risk_people *out,
                                const struct profiles *p,
                                const struct segments *segments)
{
    struct profile one;

    *out = (struct risk_people){.count = profiles_count(p),
                                .now_ms = profiles_last_ms(p)};
    out->all = malloc(((size_t)out->count + 1) * sizeof *out->all);
    if (!out->all)
        return SOTTO_ENOMEM;
    for (uint32_t i = 0; i < out->count; i++) {
        profiles_get(p, i, &one);
        out->all[i] = (struct risk_person){
            .orders = one.orders,
            .units = one.units,
            .agents = one.agents,
            .spent = one.spent,
            .first_ms = one.first_ms,
            .last_ms = one.last_ms,
            .consent = one.consent,
            .category =
                one.category_count ? one.categories[0].category : DICT_NONE,
            .segment = segments ? segment_of(segments, &one) : ""};
    }
    return SOTTO_OK;
}

void risk_people_fini(struct risk_people *p)
{
    free(p->all);
    *p = (struct risk_people){0};
}

typedef void say_value(char out[TEXT_SIZE], const struct risk_people *all,
                       const struct risk_person *p);

static void say_orders(char out[TEXT_SIZE], const struct risk_people *all,
                       const struct risk_person *p)
{
    (void)all;
    snprintf(out, TEXT_SIZE, "%" PRIu64, p->orders);
}

static void say_units(char out[TEXT_SIZE], const struct risk_people *all,
                      const struct risk_person *p)
{
    (void)all;
    snprintf(out, TEXT_SIZE, "%" PRIu64, p->units);
}

/* From what amount on: 0, 1, 2, 4, 8 … */
static void say_spent(char out[TEXT_SIZE], const struct risk_people *all,
                      const struct risk_person *p)
{
    int64_t step = 0;

    (void)all;
    while (p->spent / MONEY >= (step ? step * 2 : 1))
        step = step ? step * 2 : 1;
    snprintf(out, TEXT_SIZE, "%" PRId64, step);
}

static void say_days(char out[TEXT_SIZE], int64_t now_ms, int64_t ms)
{
    static const int64_t steps[] = {365, 180, 90, 30, 7, 1, 0};
    int64_t days = (now_ms - ms) / DAY_MS;
    int i = 0;

    while (steps[i] > 0 && days < steps[i])
        i++;
    snprintf(out, TEXT_SIZE, "%" PRId64, steps[i]);
}

static void say_recency(char out[TEXT_SIZE], const struct risk_people *all,
                        const struct risk_person *p)
{
    say_days(out, all->now_ms, p->last_ms);
}

static void say_tenure(char out[TEXT_SIZE], const struct risk_people *all,
                       const struct risk_person *p)
{
    say_days(out, all->now_ms, p->first_ms);
}

static void say_category(char out[TEXT_SIZE], const struct risk_people *all,
                         const struct risk_person *p)
{
    (void)all;
    if (p->category == DICT_NONE)
        snprintf(out, TEXT_SIZE, "none");
    else
        snprintf(out, TEXT_SIZE, "c%" PRIu32, p->category);
}

static void say_agents(char out[TEXT_SIZE], const struct risk_people *all,
                       const struct risk_person *p)
{
    (void)all;
    snprintf(out, TEXT_SIZE, "a%" PRIx64, p->agents);
}

static void say_consent(char out[TEXT_SIZE], const struct risk_people *all,
                        const struct risk_person *p)
{
    (void)all;
    snprintf(out, TEXT_SIZE, "p%" PRIx32, p->consent);
}

static void say_segment(char out[TEXT_SIZE], const struct risk_people *all,
                        const struct risk_person *p)
{
    (void)all;
    snprintf(out, TEXT_SIZE, "%s", p->segment);
}

static const struct {
    const char *name;
    say_value *say;
} live_columns[] = {
    {"orders", say_orders},   {"units", say_units},
    {"spent", say_spent},     {"recency", say_recency},
    {"tenure", say_tenure},   {"category", say_category},
    {"agents", say_agents},   {"consent", say_consent},
    {"segment", say_segment},
};
#define COLUMNS (sizeof live_columns / sizeof *live_columns)

enum sotto_err risk_people_table(struct risk_data *d,
                                 const struct risk_people *p)
{
    char texts[COLUMNS][TEXT_SIZE];
    struct span spans[COLUMNS];
    enum sotto_err err = SOTTO_OK;

    for (size_t c = 0; c < COLUMNS && !err; c++)
        err = risk_data_name(d, span_text(live_columns[c].name));
    for (uint32_t i = 0; i < p->count && !err; i++) {
        for (size_t c = 0; c < COLUMNS; c++) {
            live_columns[c].say(texts[c], p, &p->all[i]);
            spans[c] = span_text(texts[c]);
        }
        err = risk_data_add(d, spans);
    }
    return err;
}

/* ---- traces ---- */

enum sotto_err risk_trail_copy(struct risk_trail *out,
                               const struct interactions *x)
{
    *out = (struct risk_trail){.subjects = interactions_subjects(x)};
    out->starts = calloc((size_t)out->subjects + 1, sizeof *out->starts);
    if (!out->starts)
        return SOTTO_ENOMEM;
    for (uint32_t s = 0; s < out->subjects; s++) {
        uint64_t at = out->starts[s];
        uint32_t count;
        const struct interaction *of = interactions_of(x, s, &count);

        if (at + count > out->capacity) {
            uint64_t capacity = (at + count) * 2;
            uint64_t *grown = realloc(out->pairs, capacity * sizeof *grown);

            if (!grown)
                return SOTTO_ENOMEM;
            out->pairs = grown;
            out->capacity = capacity;
        }
        for (uint32_t i = 0; i < count; i++)
            out->pairs[at + i] =
                (uint64_t)of[i].item << 32 | (uint32_t)of[i].day;
        out->starts[s + 1] = at + count;
    }
    return SOTTO_OK;
}

void risk_trail_fini(struct risk_trail *t)
{
    free(t->starts);
    free(t->pairs);
    free(t->points);
    *t = (struct risk_trail){0};
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* A subject has an item once, so its points differ. */
enum sotto_err risk_trail_traces(struct risk_traces *out, struct risk_trail *t)
{
    uint64_t count = t->starts[t->subjects];
    struct dict numbers;
    enum sotto_err err = SOTTO_OK;

    dict_init(&numbers, POINTS_MAX, (size_t)POINTS_MAX * sizeof *t->pairs, 0);
    t->points = malloc((count + 1) * sizeof *t->points);
    if (!t->points)
        err = SOTTO_ENOMEM;
    for (uint64_t i = 0; i < count && !err; i++)
        err = dict_intern(&numbers, span_of(&t->pairs[i], sizeof *t->pairs),
                          &t->points[i]);
    t->point_count = numbers.count;
    dict_fini(&numbers);
    for (uint32_t s = 0; s < t->subjects && !err; s++)
        if (t->starts[s] < t->starts[s + 1])
            qsort(t->points + t->starts[s], t->starts[s + 1] - t->starts[s],
                  sizeof *t->points, by_number);
    *out = (struct risk_traces){.subjects = t->subjects,
                                .point_count = t->point_count,
                                .starts = t->starts,
                                .points = t->points};
    return err;
}
