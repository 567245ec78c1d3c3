/* See item_rows.h. Columns and weights are kept as they travel, one after the
 * other; ends say where each row stops. */
#include "agent/item_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agent/label.h"

/* Sums of 16 rows stay finite beside any list score. */
#define SCALE_MAX 1e28f
#define NAMES_MAX (ITEM_ROWS_ITEMS_MAX * (size_t)256)

/* Where the shard begins, by its head. */
struct adding {
    struct item_rows *rows;
    bool begun;
};

static enum sotto_err head_check(const struct rows_shard *head)
{
    return head->items_total > ITEM_ROWS_ITEMS_MAX ||
                   head->shards > head->items_total + 1
               ? SOTTO_ETOOBIG
               : SOTTO_OK;
}

static enum sotto_err row_ignore(void *context, const struct rows_shard *head,
                                 uint32_t number, const struct rows_row *row)
{
    (void)context;
    (void)head;
    (void)number;
    return fabsf(row->scale) <= SCALE_MAX ? SOTTO_OK : SOTTO_EDECODE;
}

enum sotto_err item_rows_check(struct span shard, uint32_t number)
{
    struct rows_shard head;
    enum sotto_err err = rows_decode(&head, shard, row_ignore, NULL);

    if (!err)
        err = head_check(&head);
    if (!err && number >= head.shards)
        err = SOTTO_EDECODE;
    return err;
}

static enum sotto_err rows_reserve(struct item_rows *r,
                                   const struct rows_shard *head)
{
    size_t count = head->items_total ? head->items_total : 1;
    enum sotto_err err = head_check(head);

    if (err)
        return err;
    label_copy(r->model, sizeof r->model, head->model);
    r->shards = head->shards;
    r->count = head->items_total;
    r->ends = calloc(count, sizeof *r->ends);
    r->name_ends = calloc(count, sizeof *r->name_ends);
    r->scales = calloc(count, sizeof *r->scales);
    return r->ends && r->name_ends && r->scales ? SOTTO_OK : SOTTO_ENOMEM;
}

static bool head_same(const struct item_rows *r, const struct rows_shard *head)
{
    char model[ITEM_ROWS_MODEL_MAX + 1];

    label_copy(model, sizeof model, head->model);
    return head->shards == r->shards && head->items_total == r->count &&
           strcmp(model, r->model) == 0;
}

static enum sotto_err shard_begin(struct adding *a,
                                  const struct rows_shard *head)
{
    struct item_rows *r = a->rows;

    if (a->begun)
        return SOTTO_OK;
    a->begun = true;
    if (r->shards == 0)
        return rows_reserve(r, head);
    return head_same(r, head) ? SOTTO_OK : SOTTO_ENOTFOUND;
}

static enum sotto_err row_add(void *context, const struct rows_shard *head,
                              uint32_t number, const struct rows_row *row)
{
    struct adding *a = context;
    struct item_rows *r = a->rows;
    enum sotto_err err = shard_begin(a, head);
    uint32_t interned = 0;

    if (err)
        return err;
    err = dict_intern(&r->items, row->item, &interned);
    if (err)
        return err == SOTTO_EFULL ? SOTTO_ETOOBIG : err;
    if (interned != number || !(fabsf(row->scale) <= SCALE_MAX))
        return SOTTO_EDECODE; /* rows overlap, leave a hole, or repeat */
    err = buf_append(&r->columns, row->columns.data, row->columns.size);
    if (!err)
        err = buf_append(&r->weights, row->weights.data, row->weights.size);
    if (!err)
        err = buf_append(&r->names, row->name.data, row->name.size);
    r->scales[number] = row->scale;
    r->ends[number] = (uint32_t)r->weights.size;
    r->name_ends[number] = (uint32_t)r->names.size;
    return err;
}

enum sotto_err item_rows_add(struct item_rows *r, struct span shard)
{
    struct adding a = {r, false};
    struct rows_shard head;
    enum sotto_err err = rows_decode(&head, shard, row_add, &a);

    if (!err)
        err = shard_begin(&a, &head); /* a shard without rows */
    if (!err)
        r->shards_done++;
    return err;
}

enum sotto_err item_rows_begin(struct item_rows **out, struct span shard)
{
    struct item_rows *r = calloc(1, sizeof *r);
    enum sotto_err err;

    if (!r)
        return SOTTO_ENOMEM;
    dict_init(&r->items, ITEM_ROWS_ITEMS_MAX, NAMES_MAX, 0);
    buf_init(&r->columns, 4 * (size_t)ITEM_ROWS_WEIGHTS_MAX);
    buf_init(&r->weights, ITEM_ROWS_WEIGHTS_MAX);
    buf_init(&r->names, NAMES_MAX);
    err = item_rows_add(r, shard);
    if (err) {
        item_rows_free(r);
        return err;
    }
    *out = r;
    return SOTTO_OK;
}

bool item_rows_complete(const struct item_rows *r)
{
    return r->shards_done == r->shards && r->items.count == r->count;
}

void item_rows_free(struct item_rows *r)
{
    if (!r)
        return;
    dict_fini(&r->items);
    buf_fini(&r->columns);
    buf_fini(&r->weights);
    buf_fini(&r->names);
    free(r->ends);
    free(r->name_ends);
    free(r->scales);
    free(r);
}

struct span item_rows_name(const struct item_rows *r, uint32_t row)
{
    uint32_t start = row ? r->name_ends[row - 1] : 0;

    if (r->name_ends[row] == start)
        return span_of("", 0);
    return span_of(r->names.data + start, r->name_ends[row] - start);
}
