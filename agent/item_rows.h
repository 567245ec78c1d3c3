/* The item rows of one model, ready to score with: row i says what a history
 * that holds i adds to the score of each j. Made from all shards of a model
 * (wire/document.h) in order, then never changed: any thread may read it. */
#ifndef SOTTO_AGENT_ITEM_ROWS_H
#define SOTTO_AGENT_ITEM_ROWS_H

#include "base/dict.h"
#include "wire/document.h"

#define ITEM_ROWS_ITEMS_MAX (128 * 1024)
#define ITEM_ROWS_WEIGHTS_MAX (8 * 1024 * 1024)
#define ITEM_ROWS_MODEL_MAX 64

struct item_rows {
    char model[ITEM_ROWS_MODEL_MAX + 1]; /* version, cut at this length */
    uint32_t shards, shards_done;
    uint32_t count;     /* items */
    struct dict items;  /* text -> number of the row */
    struct buf columns; /* u32 LE each */
    struct buf weights; /* int8 each */
    struct buf names;
    uint32_t *ends;      /* of row i in weights */
    uint32_t *name_ends; /* of name i in names */
    float *scales;
};

/* The model that shard 0 begins. SOTTO_EDECODE; SOTTO_ETOOBIG over a limit;
 * SOTTO_ENOMEM. */
enum sotto_err item_rows_begin(struct item_rows **out, struct span shard);
/* The next shard. SOTTO_ENOTFOUND: it belongs to another model; the others as
 * above. After an error the rows can only be freed. */
enum sotto_err item_rows_add(struct item_rows *r, struct span shard);
bool item_rows_complete(const struct item_rows *r);
void item_rows_free(struct item_rows *r); /* accepts NULL */

/* Whether a shard could be part of some model that fits here. */
enum sotto_err item_rows_check(struct span shard, uint32_t number);

static inline uint32_t item_rows_start(const struct item_rows *r, uint32_t row)
{
    return row ? r->ends[row - 1] : 0;
}
/* The column and the score of entry at, between start and end of its row. */
static inline uint32_t item_rows_column(const struct item_rows *r, uint32_t at)
{
    const uint8_t *c = r->columns.data + 4 * (size_t)at;

    return (uint32_t)c[0] | (uint32_t)c[1] << 8 | (uint32_t)c[2] << 16 |
           (uint32_t)c[3] << 24;
}
static inline float item_rows_score(const struct item_rows *r, uint32_t row,
                                    uint32_t at)
{
    return r->scales[row] * (float)(int8_t)r->weights.data[at];
}
struct span item_rows_name(const struct item_rows *r, uint32_t row);

#endif
