/* document: the first byte of an input says what the rest is: 0 a list, 1 item
 * rows, 2 a documents payload, 3 any msgpack value. What is read can be
 * written, and msgpack-c reads what check accepts. */
#include "fuzz.h"

#include "wire/document.h"
#include "wire/pack.h"

static struct list list;

static void fuzz_list(struct span bytes)
{
    struct buf once, twice;
    enum sotto_err err;

    if (list_decode(&list, bytes) != SOTTO_OK)
        return;
    buf_init(&once, DOCUMENT_BODY_MAX);
    buf_init(&twice, DOCUMENT_BODY_MAX);
    err = list_encode(&once, &list);
    /* A short number can refer to a long text that stands there once. */
    expect(err == SOTTO_OK || err == SOTTO_ETOOBIG);
    if (!err) {
        expect(list_decode(&list, fuzz_bytes(&once)) == SOTTO_OK);
        expect(list_encode(&twice, &list) == SOTTO_OK);
        expect(span_equal(fuzz_bytes(&once), fuzz_bytes(&twice)));
    }
    buf_fini(&once);
    buf_fini(&twice);
}

struct rewrite {
    struct buf out;
    uint64_t number;
};

static enum sotto_err row_rewrite(void *context, const struct rows_shard *head,
                                  uint32_t number, const struct rows_row *row)
{
    struct rewrite *r = context;

    expect(number < head->items_total && number == head->first + r->number++);
    for (size_t i = 0; i < row->columns.size; i += 4) {
        const uint8_t *c = row->columns.data + i;

        expect(((uint32_t)c[0] | (uint32_t)c[1] << 8 | (uint32_t)c[2] << 16 |
                (uint32_t)c[3] << 24) < head->items_total);
    }
    return rows_add(&r->out, row);
}

static void fuzz_rows(struct span bytes)
{
    struct rows_shard head;
    struct rewrite r = {.number = 0};

    buf_init(&r.out, 2 * DOCUMENT_BODY_MAX);
    if (rows_decode(&head, bytes, row_rewrite, &r) == SOTTO_OK) {
        expect(r.number == head.count);
        buf_clear(&r.out);
        expect(rows_begin(&r.out, &head) == SOTTO_OK);
    }
    buf_fini(&r.out);
}

static enum sotto_err document_rewrite(void *context, const struct document *d)
{
    struct rewrite *r = context;

    expect(d->number > r->number);
    r->number = d->number;
    return documents_add(&r->out, d);
}

static void fuzz_documents(struct span bytes)
{
    struct documents_head head;
    struct rewrite r = {.number = 0};

    buf_init(&r.out, PAYLOAD_MAX);
    (void)documents_decode(&head, bytes, document_rewrite, &r);
    buf_fini(&r.out);
}

static void fuzz_value(struct span bytes)
{
    static const struct check_limits limits = {1 << 20, CHECK_DEPTH_MAX,
                                               1 << 20};
    struct unpacked u;

    if (check_msgpack(bytes, &limits) != SOTTO_OK)
        return;
    expect(unpack_open(&u, bytes, &limits) == SOTTO_OK);
    unpack_close(&u);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest;

    if (size < 1)
        return 0;
    rest = span_of(data + 1, size - 1);
    switch (data[0]) {
    case 0:
        fuzz_list(rest);
        break;
    case 1:
        fuzz_rows(rest);
        break;
    case 2:
        fuzz_documents(rest);
        break;
    case 3:
        fuzz_value(rest);
        break;
    default:
        break;
    }
    return 0;
}
