/* Any bytes as the shards of a model, each after its length (2 bytes): refused,
 * or rows that may be scored with, within their limits. */
#include "fuzz.h"

#include "agent/item_rows.h"

static void rows_walk(const struct item_rows *r)
{
    expect(r->count <= ITEM_ROWS_ITEMS_MAX);
    for (uint32_t row = 0; row < r->count; row++) {
        expect(item_rows_start(r, row) <= r->ends[row]);
        expect(r->ends[row] <= r->weights.size);
        for (uint32_t at = item_rows_start(r, row); at < r->ends[row]; at++) {
            expect(item_rows_column(r, at) < r->count);
            (void)item_rows_score(r, row, at);
        }
        (void)item_rows_name(r, row);
        expect(dict_key(&r->items, row).data != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct item_rows *rows = NULL;
    enum sotto_err err = SOTTO_OK;
    uint32_t number = 0;

    while (!err && size >= 2) {
        size_t length = (size_t)data[0] | (size_t)data[1] << 8;
        struct span shard;

        data += 2;
        size -= 2;
        if (length > size)
            length = size;
        shard = span_of(data, length);
        (void)item_rows_check(shard, number++);
        err = rows ? item_rows_add(rows, shard) : item_rows_begin(&rows, shard);
        data += length;
        size -= length;
    }
    if (rows && !err && item_rows_complete(rows))
        rows_walk(rows);
    item_rows_free(rows);
    return 0;
}
