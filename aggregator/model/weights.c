/* Rows are filled by walking the columns in order, so targets ascend. */
#include "aggregator/model/weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/model/effort.h"

#define STEPS 127 /* int8 without -128: negation stays in range */

enum sotto_err columns_init(struct columns *c, uint32_t items, uint32_t width)
{
    uint64_t cells;

    *c = (struct columns){.items = items, .width = width};
    if (__builtin_mul_overflow((uint64_t)items, (uint64_t)width, &cells) ||
        cells > PTRDIFF_MAX / sizeof(uint64_t)) {
        *c = (struct columns){0};
        return SOTTO_ETOOBIG;
    }
    c->sizes = effort_alloc(items, sizeof *c->sizes);
    c->sources = effort_alloc(cells, sizeof *c->sources);
    c->values = effort_alloc(cells, sizeof *c->values);
    if (c->sizes && c->sources && c->values)
        return SOTTO_OK;
    columns_fini(c);
    return SOTTO_ENOMEM;
}

void columns_fini(struct columns *c)
{
    free(c->sizes);
    free(c->sources);
    free(c->values);
    *c = (struct columns){0};
}

static enum sotto_err weights_alloc(struct weights *w, uint32_t items,
                                    uint64_t count)
{
    *w = (struct weights){.items = items};
    w->starts = effort_alloc((uint64_t)items + 1, sizeof *w->starts);
    w->targets = effort_alloc(count, sizeof *w->targets);
    w->values = effort_alloc(count, sizeof *w->values);
    if (w->starts && w->targets && w->values)
        return SOTTO_OK;
    weights_fini(w);
    return SOTTO_ENOMEM;
}

enum sotto_err weights_from_columns(struct weights *out,
                                    const struct columns *c)
{
    uint64_t count = 0;
    enum sotto_err err;

    for (uint32_t j = 0; j < c->items; j++)
        count += c->sizes[j];
    err = weights_alloc(out, c->items, count);
    if (err)
        return err;
    for (uint32_t j = 0; j < c->items; j++) {
        for (uint32_t n = 0; n < c->sizes[j]; n++)
            out->starts[c->sources[(uint64_t)j * c->width + n] + 1]++;
    }
    for (uint32_t i = 0; i < c->items; i++)
        out->starts[i + 1] += out->starts[i];
    for (uint32_t j = 0; j < c->items; j++) {
        for (uint32_t n = 0; n < c->sizes[j]; n++) {
            uint64_t cell = (uint64_t)j * c->width + n;
            uint64_t at = out->starts[c->sources[cell]]++;

            out->targets[at] = j;
            out->values[at] = c->values[cell];
        }
    }
    memmove(out->starts + 1, out->starts, c->items * sizeof *out->starts);
    out->starts[0] = 0;
    return SOTTO_OK;
}

void weights_fini(struct weights *w)
{
    free(w->starts);
    free(w->targets);
    free(w->values);
    *w = (struct weights){0};
}

static enum sotto_err row_scale(float *scale, const struct weights *w,
                                uint32_t row)
{
    float largest = 0;

    for (uint64_t k = w->starts[row]; k < w->starts[row + 1]; k++) {
        if (!isfinite(w->values[k]))
            return SOTTO_EINVAL;
        largest = fmaxf(largest, fabsf(w->values[k]));
    }
    *scale = largest / STEPS;
    return SOTTO_OK;
}

static uint64_t quantize_row(struct weights8 *out, const struct weights *w,
                             uint32_t row, uint64_t at)
{
    float scale = out->scales[row];

    for (uint64_t k = w->starts[row]; k < w->starts[row + 1]; k++) {
        float level = scale > 0 ? rintf(w->values[k] / scale) : 0;

        if (level > STEPS) /* a denormal scale is coarse */
            level = STEPS;
        if (level < -STEPS)
            level = -STEPS;
        if (level != 0) {
            out->targets[at] = w->targets[k];
            out->values[at] = (int8_t)level;
            at++;
        }
    }
    return at;
}

enum sotto_err weights8_from(struct weights8 *out, const struct weights *w)
{
    uint64_t count = w->starts[w->items], at = 0;
    enum sotto_err err = SOTTO_ENOMEM;

    *out = (struct weights8){.items = w->items};
    out->starts = effort_alloc((uint64_t)w->items + 1, sizeof *out->starts);
    out->targets = effort_alloc(count, sizeof *out->targets);
    out->values = effort_alloc(count, sizeof *out->values);
    out->scales = effort_alloc(w->items, sizeof *out->scales);
    if (!out->starts || !out->targets || !out->values || !out->scales)
        goto fail;
    for (uint32_t i = 0; i < w->items; i++) {
        err = row_scale(&out->scales[i], w, i);
        if (err)
            goto fail;
        at = quantize_row(out, w, i, at);
        out->starts[i + 1] = at;
    }
    return SOTTO_OK;

fail:
    weights8_fini(out);
    return err;
}

struct weights8_row weights8_row(const struct weights8 *w, uint32_t item)
{
    uint64_t first = w->starts[item];

    return (struct weights8_row){
        .targets = w->targets + first,
        .values = w->values + first,
        .size = (uint32_t)(w->starts[item + 1] - first),
        .scale = w->scales[item],
    };
}

void weights8_fini(struct weights8 *w)
{
    free(w->starts);
    free(w->targets);
    free(w->values);
    free(w->scales);
    *w = (struct weights8){0};
}

enum sotto_err weights_from_8(struct weights *out, const struct weights8 *w)
{
    enum sotto_err err = weights_alloc(out, w->items, w->starts[w->items]);

    if (err)
        return err;
    for (uint32_t i = 0; i < w->items; i++) {
        struct weights8_row row = weights8_row(w, i);

        for (uint32_t n = 0; n < row.size; n++) {
            uint64_t at = w->starts[i] + n;

            out->targets[at] = row.targets[n];
            out->values[at] = row.scale * (float)row.values[n];
        }
        out->starts[i + 1] = w->starts[i + 1];
    }
    return SOTTO_OK;
}
