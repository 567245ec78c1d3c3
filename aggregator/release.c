/* See release.h. The order is all: charge, count, noise, store, show. */
#include "aggregator/release.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/when.h"

#define UNIT 1e18       /* of delta */
#define MILLION 1000000 /* of rho */
#define NAME_BYTES_MAX ((size_t)1 << 30)

/* --- counting ----------------------------------------------------------- */

enum sotto_err tally_cell(struct tally *t, struct span name, uint32_t *cell)
{
    enum sotto_err err = dict_intern(&t->names, name, cell);

    if (err || *cell < t->capacity)
        return err;
    uint32_t capacity = t->capacity ? t->capacity * 2 : 64;
    uint64_t *counts = realloc(t->counts, capacity * sizeof *counts);

    if (!counts)
        return SOTTO_ENOMEM;
    memset(counts + t->capacity, 0, (capacity - t->capacity) * sizeof *counts);
    t->counts = counts;
    t->capacity = capacity;
    return SOTTO_OK;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* Which cells stay depends on the subject's own and on chance only: numbers of
 * cells depend on who came first, so they must not decide. */
void tally_subject(struct tally *t, uint32_t *cells, uint32_t count)
{
    uint32_t distinct = 0;

    if (count > 0)
        qsort(cells, count, sizeof *cells, by_number);
    for (uint32_t i = 0; i < count; i++)
        if (i == 0 || cells[i] != cells[i - 1])
            cells[distinct++] = cells[i];
    for (uint32_t i = 0; i < distinct && i < t->cells_max; i++) {
        if (distinct > t->cells_max) {
            uint32_t at = i + (uint32_t)noise_below(t->from, distinct - i);
            uint32_t drawn = cells[at];

            cells[at] = cells[i];
            cells[i] = drawn;
        }
        t->counts[cells[i]]++;
    }
}

static void tally_fini(struct tally *t)
{
    dict_fini(&t->names);
    free(t->counts);
}

/* --- the mechanism ------------------------------------------------------ */

struct ratio release_sigma2(int64_t rho, uint32_t cells_max)
{
    return (struct ratio){(uint64_t)cells_max * MILLION, (uint64_t)rho * 2};
}

int64_t release_delta(const struct release_question *q,
                      const struct ledger_budget *b)
{
    return q->named_by_people ? b->delta / 100 : 0;
}

/* Floating point decides here from what count on cells are shown, by public
 * numbers only; one more is for its rounding. */
int64_t release_shown_from(const struct release_question *q, int64_t delta)
{
    struct ratio r = release_sigma2(q->rho, q->cells_max);
    double sigma2 = (double)r.num / (double)r.den, least;

    if (!q->named_by_people)
        return q->min_k;
    least = 2 + ceil(sqrt(2 * sigma2 *
                          log((double)q->cells_max * UNIT / (double)delta)));
    return least > (double)q->min_k ? (int64_t)least : q->min_k;
}

struct shown {
    struct span name;
    int64_t count;
};

static int by_name(const void *a, const void *b)
{
    const struct shown *x = a, *y = b;
    size_t size = x->name.size < y->name.size ? x->name.size : y->name.size;
    int order = memcmp(x->name.data, y->name.data, size);

    return order
               ? order
               : (x->name.size > y->name.size) - (x->name.size < y->name.size);
}

/* Noise for every cell; those that are shown, by name: the order in which
 * people brought them about is nobody's business. */
static enum sotto_err add_noise(struct tally *t, struct ratio sigma2,
                                int64_t shown_from, struct shown *out,
                                uint32_t *shown)
{
    enum sotto_err err = SOTTO_OK;

    *shown = 0;
    for (uint32_t i = 0; i < t->names.count && !err; i++) {
        int64_t noise = 0, count;

        err = noise_gaussian(&noise, t->from, sigma2);
        count = (int64_t)t->counts[i] + noise;
        if (!err && count >= shown_from)
            out[(*shown)++] = (struct shown){dict_key(&t->names, i), count};
    }
    qsort(out, *shown, sizeof *out, by_name);
    return err;
}

/* --- the answer --------------------------------------------------------- */

static json_t *counts_json(const struct shown *shown, uint32_t count)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < count; i++) {
        json_t *one =
            json_pack("{s:s%,s:I}", "cell", shown[i].name.data,
                      shown[i].name.size, "count", (json_int_t)shown[i].count);

        if (one) /* a name that is not UTF-8 has no JSON */
            json_array_append_new(list, one);
    }
    return list;
}

/* The only place where anything is called anonymous. */
static enum sotto_err write_answer(struct buf *answer,
                                   const struct ledger_budget *b,
                                   const struct release_question *q,
                                   int64_t shown_from,
                                   const struct shown *shown, uint32_t count)
{
    struct ratio sigma2 = release_sigma2(q->rho, q->cells_max);
    double delta = (double)b->delta / UNIT;
    char label[96], rho[32];
    json_t *out;
    char *text;
    enum sotto_err err;

    snprintf(label, sizeof label,
             "anonymous statistics (\xce\xb5 = %.4f, \xce\xb4 = %.3g)",
             ledger_epsilon((double)q->rho / MILLION, delta / 2), delta);
    money_exact(rho, q->rho);
    out =
        json_pack("{s:s,s:s,s:s,s:s,s:f,s:I,s:I,s:o}", "label", label,
                  "request", q->request, "by", q->by, "rho", rho, "sigma2",
                  (double)sigma2.num / (double)sigma2.den, "shown_from",
                  (json_int_t)shown_from, "cells_max", (json_int_t)q->cells_max,
                  "counts", counts_json(shown, count));
    text = json_dumps(out, JSON_COMPACT);
    json_decref(out);
    if (!text)
        return SOTTO_ENOMEM;
    buf_clear(answer);
    err = buf_append(answer, text, strlen(text));
    free(text);
    return err;
}

static enum sotto_err draw_answer(struct buf *answer,
                                  const struct ledger_budget *b,
                                  const struct release_question *q,
                                  release_fill *fill, void *context,
                                  const struct noise_source *from)
{
    struct tally t = {.cells_max = q->cells_max, .from = from};
    int64_t shown_from = release_shown_from(q, release_delta(q, b));
    struct shown *shown = NULL;
    uint32_t count = 0;
    enum sotto_err err;

    dict_init(&t.names, RELEASE_CELLS_MAX, NAME_BYTES_MAX, 0);
    err = fill(context, &t);
    if (!err)
        shown = calloc((size_t)t.names.count + 1, sizeof *shown);
    if (!err && !shown)
        err = SOTTO_ENOMEM;
    if (!err)
        err = add_noise(&t, release_sigma2(q->rho, q->cells_max), shown_from,
                        shown, &count);
    if (!err)
        err = write_answer(answer, b, q, shown_from, shown, count);
    free(shown);
    tally_fini(&t);
    return err;
}

enum sotto_err release_count(struct store *s, const struct ledger_budget *b,
                             const struct release_question *q, int64_t now_ms,
                             release_fill *fill, void *context,
                             const struct noise_source *from,
                             struct buf *answer, struct why *why)
{
    char question[128];
    const struct ledger_charge charge = {.request = q->request,
                                         .question = question,
                                         .rho = q->rho,
                                         .delta = release_delta(q, b),
                                         .charged_ms = now_ms};
    bool again;
    enum sotto_err err;

    if (q->min_k < 1 || q->min_k > RELEASE_MIN_K_MAX || q->cells_max < 1 ||
        q->cells_max > RELEASE_PER_SUBJECT_MAX)
        return why_say(why, SOTTO_EINVAL, "min_k or cells are out of range");
    snprintf(question, sizeof question, "count by %.32s, min_k %u, cells %u",
             q->by, q->min_k, q->cells_max);
    err = ledger_charge(s, b, &charge, &again, why);
    if (err)
        return err;
    if (again) {
        err = ledger_answer(s, q->request, answer);
        if (err != SOTTO_ENOTFOUND) /* charged, and then a crash */
            return err;
    }
    err = draw_answer(answer, b, q, fill, context, from);
    if (!err)
        err = ledger_keep(s, q->request, span_of(answer->data, answer->size));
    if (!err)
        err = ledger_answer(s, q->request, answer);
    return err;
}
