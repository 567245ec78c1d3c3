/* Item by item: for each subject that holds item i, every item of that
 * subject adds to a dense accumulator, which is then emptied in order. The
 * work is the sum of squares of the subjects' histories, and all of it lands
 * in one small array. Each row is made by one thread from start to end, in
 * the order of the subjects, so the sums do not depend on the threads. */
#include "aggregator/model/gram.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_ITEMS 32 /* rows that share one allocation */
#define LONG_ROW 16    /* a row with more additions than a 16th of the items */

#define BUCKET_ENTRIES 4 /* of a directory, at least: it adds an eighth */

struct gram_block {
    uint32_t *items;
    float *counts;
    uint32_t *directories;
};

struct job {
    struct gram *gram;
    const struct matrix *x;
    const struct matrix *holders; /* the transpose of x */
    enum gram_kind kind;
};

struct scratch {
    uint32_t items;
    float *sums;       /* all zero between rows */
    uint8_t *seen;     /* likewise */
    uint32_t *touched; /* one more than items: the store is not branched on */
    uint32_t touched_count;
    uint32_t *items_out; /* the block being made */
    float *counts_out;
    size_t used, capacity;
};

static void scratch_close(void *arg)
{
    struct scratch *s = arg;

    free(s->sums);
    free(s->seen);
    free(s->touched);
    free(s->items_out);
    free(s->counts_out);
    free(s);
}

static void *scratch_open(void *context)
{
    const struct job *job = context;
    struct scratch *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->items = job->gram->items;
    s->sums = effort_alloc(s->items, sizeof *s->sums);
    s->touched = effort_alloc((uint64_t)s->items + 1, sizeof *s->touched);
    s->seen = effort_alloc(s->items, sizeof *s->seen);
    if (s->sums && s->touched && s->seen)
        return s;
    scratch_close(s);
    return NULL;
}

/* Adds one subject's items to the sums. */
static void add_subject(struct scratch *s, const struct matrix *x, uint32_t row,
                        enum gram_kind kind, float value)
{
    uint64_t end = x->starts[row + 1];

    for (uint64_t k = x->starts[row]; k < end; k++)
        s->sums[x->indexes[k]] +=
            kind == GRAM_BINARY ? 1 : value * x->values[k];
}

/* Lists the subject's items that are new to the row. */
static void touch_subject(struct scratch *s, const struct matrix *x,
                          uint32_t row)
{
    for (uint64_t k = x->starts[row]; k < x->starts[row + 1]; k++) {
        uint32_t item = x->indexes[k];

        s->touched[s->touched_count] = item;
        s->touched_count += !s->seen[item];
        s->seen[item] = 1;
    }
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static enum sotto_err scratch_room(struct scratch *s, size_t more)
{
    size_t wanted = s->used + more, capacity = s->capacity;
    uint32_t *items;
    float *counts;

    if (wanted <= capacity)
        return SOTTO_OK;
    while (capacity < wanted)
        capacity = capacity ? capacity * 2 : 4096;
    items = realloc(s->items_out, capacity * sizeof *items);
    if (!items)
        return SOTTO_ENOMEM;
    s->items_out = items;
    counts = realloc(s->counts_out, capacity * sizeof *counts);
    if (!counts)
        return SOTTO_ENOMEM;
    s->counts_out = counts;
    s->capacity = capacity;
    return SOTTO_OK;
}

static void emit(struct scratch *s, uint32_t item)
{
    if (s->sums[item] != 0) {
        s->items_out[s->used] = item;
        s->counts_out[s->used] = s->sums[item];
        s->used++;
    }
    s->sums[item] = 0;
}

/* Empties the sums into the block, in item order. A long row looks at every
 * item; a short one at its own, and then they are listed and sorted. */
static enum sotto_err flush(struct scratch *s, bool whole)
{
    if (scratch_room(s, whole ? s->items : s->touched_count))
        return SOTTO_ENOMEM;
    for (uint32_t i = 0; whole && i < s->items; i++)
        emit(s, i);
    qsort(s->touched, s->touched_count, sizeof *s->touched, by_number);
    for (uint32_t i = 0; i < s->touched_count; i++) {
        s->seen[s->touched[i]] = 0;
        emit(s, s->touched[i]);
    }
    s->touched_count = 0;
    return SOTTO_OK;
}

/* Row i of G into the block; its diagonal goes to its own place. */
static enum sotto_err make_row(struct job *job, struct scratch *s, uint32_t i)
{
    const struct matrix *holders = job->holders, *x = job->x;
    uint64_t first = holders->starts[i], end = holders->starts[i + 1];
    uint64_t additions = 0;
    bool whole;

    for (uint64_t k = first; k < end; k++) {
        uint32_t subject = holders->indexes[k];

        additions += x->starts[subject + 1] - x->starts[subject];
    }
    whole = additions > s->items / LONG_ROW;
    for (uint64_t k = first; k < end; k++) {
        add_subject(s, x, holders->indexes[k], job->kind, holders->values[k]);
        if (!whole)
            touch_subject(s, x, holders->indexes[k]);
    }
    job->gram->diagonal[i] = s->sums[i];
    s->sums[i] = 0;
    return flush(s, whole);
}

/* The buckets of a row over all items; its directory has one more. */
static uint32_t bucket_count(const struct gram *g, uint32_t row)
{
    return (uint32_t)((((uint64_t)g->items - 1) >> g->rows[row].shift) + 1);
}

/* As narrow buckets as hold BUCKET_ENTRIES on average. */
static void choose_shift(struct gram *g, uint32_t row)
{
    struct gram_row *r = &g->rows[row];

    while (r->shift < 31 &&
           (uint64_t)bucket_count(g, row) * BUCKET_ENTRIES > r->size)
        r->shift++;
}

static void fill_directory(const struct gram *g, uint32_t row,
                           uint32_t *directory)
{
    const struct gram_row *r = &g->rows[row];
    uint32_t count = bucket_count(g, row), at = 0;

    for (uint32_t b = 0; b < count; b++) {
        while (at < r->size && r->items[at] >> r->shift < b)
            at++;
        directory[b] = at;
    }
    directory[count] = r->size;
}

/* Moves the rows of from..upto-1 out of the scratch, to their own size. */
static enum sotto_err make_block(struct gram *g, const struct scratch *s,
                                 uint32_t from, uint32_t upto)
{
    struct gram_block *block = &g->blocks[from / CHUNK_ITEMS];
    uint64_t buckets = 0;
    size_t at = 0;

    for (uint32_t i = from; i < upto; i++) {
        choose_shift(g, i);
        buckets += (uint64_t)bucket_count(g, i) + 1;
    }
    block->items = effort_alloc(s->used, sizeof *block->items);
    block->counts = effort_alloc(s->used, sizeof *block->counts);
    block->directories = effort_alloc(buckets, sizeof *block->directories);
    if (!block->items || !block->counts || !block->directories)
        return SOTTO_ENOMEM; /* gram_fini frees what is there */
    if (s->used) {
        memcpy(block->items, s->items_out, s->used * sizeof *block->items);
        memcpy(block->counts, s->counts_out, s->used * sizeof *block->counts);
    }
    buckets = 0;
    for (uint32_t i = from; i < upto; i++) {
        g->rows[i].items = block->items + at;
        g->rows[i].counts = block->counts + at;
        g->rows[i].directory = block->directories + buckets;
        fill_directory(g, i, block->directories + buckets);
        at += g->rows[i].size;
        buckets += (uint64_t)bucket_count(g, i) + 1;
    }
    return SOTTO_OK;
}

static enum sotto_err make_chunk(void *context, void *scratch, uint32_t from,
                                 uint32_t upto)
{
    struct job *job = context;
    struct scratch *s = scratch;

    s->used = 0;
    for (uint32_t i = from; i < upto; i++) {
        size_t first = s->used;

        if (make_row(job, s, i))
            return SOTTO_ENOMEM;
        job->gram->rows[i].size = (uint32_t)(s->used - first);
    }
    return make_block(job->gram, s, from, upto);
}

enum sotto_err gram_build(struct gram *out, const struct matrix *x,
                          enum gram_kind kind, struct effort *effort)
{
    struct matrix holders = {0};
    struct job job = {.gram = out, .x = x, .holders = &holders, .kind = kind};
    struct effort_step step = {.context = &job,
                               .open = scratch_open,
                               .work = make_chunk,
                               .close = scratch_close};
    enum sotto_err err = SOTTO_ENOMEM;

    *out = (struct gram){.items = x->columns};
    out->block_count =
        (uint32_t)(((uint64_t)x->columns + CHUNK_ITEMS - 1) / CHUNK_ITEMS);
    out->diagonal = effort_alloc(out->items, sizeof *out->diagonal);
    out->rows = effort_alloc(out->items, sizeof *out->rows);
    out->blocks = effort_alloc(out->block_count, sizeof *out->blocks);
    if (out->diagonal && out->rows && out->blocks)
        err = matrix_transpose(&holders, x);
    if (!err)
        err = effort_run(effort, &step, out->items, CHUNK_ITEMS);
    matrix_fini(&holders);
    if (err)
        gram_fini(out);
    return err;
}

void gram_fini(struct gram *g)
{
    if (g->blocks) {
        for (uint32_t i = 0; i < g->block_count; i++) {
            free(g->blocks[i].items);
            free(g->blocks[i].counts);
            free(g->blocks[i].directories);
        }
    }
    free(g->blocks);
    free(g->rows);
    free(g->diagonal);
    *g = (struct gram){0};
}

/* The directory leads to a handful of entries, which are looked at in turn. */
void gram_pick(const struct gram *g, uint32_t row, const uint32_t *wanted,
               uint32_t count, float *counts)
{
    const struct gram_row *r = &g->rows[row];

    for (uint32_t n = 0; n < count; n++) {
        uint32_t bucket = wanted[n] >> r->shift;
        uint32_t at = r->directory[bucket], end = r->directory[bucket + 1];

        while (at < end && r->items[at] < wanted[n])
            at++;
        counts[n] = at < end && r->items[at] == wanted[n] ? r->counts[at] : 0;
    }
}
