/* document: lists, rows and documents survive, and what is out of range is
 * refused by reader and writer alike. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "../support/wire.h"
#include "base/when.h"
#include "wire/document.h"
#include "wire/pack.h"

static struct span bytes_of(const struct buf *b)
{
    return span_of(b->data, b->size);
}

static void expect_hex(const struct buf *b, const char *want)
{
    char *hex = hex_of(bytes_of(b));

    assert_string_equal(hex, want);
    free(hex);
}

/* Bytes of needle in b, counted. */
static int occurrences(const struct buf *b, const char *needle)
{
    int count = 0;

    for (size_t i = 0; i + strlen(needle) <= b->size; i++)
        count += memcmp(b->data + i, needle, strlen(needle)) == 0;
    return count;
}

static struct list *small_list(void)
{
    struct list *l = calloc(1, sizeof *l);

    l->model = span_text("ease-7");
    l->segment = span_text("regular");
    l->stream = 77;
    l->sequence = 5;
    l->count = 3;
    l->items[0] = (struct list_item){.item = span_text("mug"),
                                     .name = span_text("White mug"),
                                     .score = 1.5f,
                                     .reason = REASON_BECAUSE,
                                     .because = span_text("teapot"),
                                     .because_name = span_text("Big teapot")};
    l->items[1] = (struct list_item){.item = span_text("cup"),
                                     .score = -0.1f,
                                     .reason = REASON_BECAUSE,
                                     .because = span_text("teapot"),
                                     .because_name = span_text("Big teapot")};
    l->items[2] = (struct list_item){.item = span_of("\0\xff", 2),
                                     .reason = REASON_POPULAR};
    l->history_count = 2;
    l->history[0] = span_text("teapot");
    l->history[1] = span_text("spoon");
    return l;
}

static void lists_equal(const struct list *a, const struct list *b)
{
    assert_true(span_equal(a->model, b->model));
    assert_true(span_equal(a->segment, b->segment));
    assert_true(a->stream == b->stream && a->sequence == b->sequence);
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->history_count, b->history_count);
    for (uint32_t i = 0; i < a->count; i++) {
        const struct list_item *x = &a->items[i], *y = &b->items[i];

        assert_true(span_equal(x->item, y->item));
        assert_true(span_equal(x->name, y->name));
        assert_true(x->score >= y->score && x->score <= y->score);
        assert_int_equal(x->reason, y->reason);
        assert_true(span_equal(x->because, y->because));
        assert_true(span_equal(x->because_name, y->because_name));
    }
    for (uint32_t i = 0; i < a->history_count; i++)
        assert_true(span_equal(a->history[i], b->history[i]));
}

static void a_list_survives(void **state)
{
    struct list *l = small_list(), *got = calloc(1, sizeof *got);
    struct buf b;

    (void)state;
    buf_init(&b, DOCUMENT_BODY_MAX);
    assert_int_equal(list_encode(&b, l), SOTTO_OK);
    assert_int_equal(list_decode(got, bytes_of(&b)), SOTTO_OK);
    lists_equal(l, got);
    memset(l, 0, sizeof *l);
    buf_clear(&b);
    assert_int_equal(list_encode(&b, l), SOTTO_OK);
    assert_int_equal(list_decode(got, bytes_of(&b)), SOTTO_OK);
    lists_equal(l, got);
    buf_fini(&b);
    free(got);
    free(l);
}

static void names_are_written_once(void **state)
{
    struct list *l = small_list();
    struct buf b;

    (void)state;
    buf_init(&b, DOCUMENT_BODY_MAX);
    assert_int_equal(list_encode(&b, l), SOTTO_OK);
    assert_int_equal(occurrences(&b, "Big teapot"), 1);
    assert_int_equal(occurrences(&b, "teapot"), 2); /* and inside the name */
    buf_fini(&b);
    free(l);
}

/* All texts different, as many as there can be. */
static void a_full_list_survives(void **state)
{
    struct list *l = calloc(1, sizeof *l), *got = calloc(1, sizeof *got);
    char(*texts)[5][12] = calloc(LIST_ITEMS_MAX, sizeof *texts);
    struct buf b;

    (void)state;
    l->count = l->history_count = LIST_ITEMS_MAX;
    for (uint32_t i = 0; i < LIST_ITEMS_MAX; i++) {
        struct list_item *item = &l->items[i];

        for (uint32_t j = 0; j < 5; j++)
            snprintf(texts[i][j], sizeof texts[i][j], "%u", 5 * i + j);
        item->item = span_text(texts[i][0]);
        item->name = span_text(texts[i][1]);
        item->because = span_text(texts[i][2]);
        item->because_name = span_text(texts[i][3]);
        l->history[i] = span_text(texts[i][4]);
        item->score = 1.0f / (float)(i + 1);
        item->reason = 1 + i % (REASON_COUNT - 1);
    }
    buf_init(&b, DOCUMENT_BODY_MAX);
    assert_int_equal(list_encode(&b, l), SOTTO_OK);
    assert_int_equal(list_decode(got, bytes_of(&b)), SOTTO_OK);
    lists_equal(l, got);
    buf_fini(&b);
    free(texts);
    free(got);
    free(l);
}

static void a_writer_refuses_what_a_reader_would(void **state)
{
    static const float scores[] = {NAN, INFINITY, -INFINITY};
    struct list *l = small_list();
    char *large = calloc(1, DOCUMENT_BODY_MAX);
    struct buf b;

    (void)state;
    buf_init(&b, 2 * DOCUMENT_BODY_MAX);
    assert_int_equal(buf_append(&b, "kept", 4), SOTTO_OK);
    for (size_t i = 0; i < 3; i++) {
        l->items[1].score = scores[i];
        assert_int_equal(list_encode(&b, l), SOTTO_EINVAL);
    }
    l->items[1].score = 0;
    l->items[1].reason = 0;
    assert_int_equal(list_encode(&b, l), SOTTO_EINVAL);
    l->items[1].reason = REASON_COUNT;
    assert_int_equal(list_encode(&b, l), SOTTO_EINVAL);
    l->items[1].reason = REASON_SEGMENT;
    l->count = LIST_ITEMS_MAX + 1;
    assert_int_equal(list_encode(&b, l), SOTTO_EINVAL);
    l->count = 3;
    l->items[1].name = span_of(large, DOCUMENT_BODY_MAX);
    assert_int_equal(list_encode(&b, l), SOTTO_ETOOBIG);
    l->items[1].name.size = DOCUMENT_BODY_MAX - 60;
    assert_int_equal(list_encode(&b, l), SOTTO_ETOOBIG);
    assert_int_equal(b.size, 4);
    buf_fini(&b);
    free(large);
    free(l);
}

static void scores_must_be_finite_to_be_read(void **state)
{
    static const uint32_t bits[] = {0x7fc00000, 0x7f800000, 0xff800000};
    struct list *l = small_list();
    struct buf b;
    uint8_t *score = NULL;

    (void)state;
    buf_init(&b, DOCUMENT_BODY_MAX);
    assert_int_equal(list_encode(&b, l), SOTTO_OK);
    for (size_t i = 0; i + 5 <= b.size; i++)
        if (!memcmp(b.data + i, "\xca\x3f\xc0\x00\x00", 5)) /* 1.5 */
            score = b.data + i + 1;
    assert_non_null(score);
    for (size_t i = 0; i < 3; i++) {
        for (int j = 0; j < 4; j++)
            score[j] = (uint8_t)(bits[i] >> (24 - 8 * j));
        assert_int_equal(list_decode(l, bytes_of(&b)), SOTTO_EDECODE);
        assert_int_equal(l->count, 0);
    }
    buf_fini(&b);
    free(l);
}

/* Bytes with the only place of one text in hexadecimal made another. */
static void patch(struct buf *b, const char *hex, const char *from,
                  const char *to)
{
    const char *at = strstr(hex, from);
    char whole[1024];

    assert_non_null(at);
    assert_null(strstr(at + 1, from));
    snprintf(whole, sizeof whole, "%.*s%s%s", (int)(at - hex), hex, to,
             at + strlen(from));
    buf_clear(b);
    hex_append(b, whole);
}

static void wrong_columns_are_refused(void **state)
{
    static const char *const rows[][2] = {
        {"93010506", "93010508"},   /* text 8 of 7 */
        {"93010506", "920105"},     /* two items, three names */
        {"93020000", "920200"},     /* three items, two names */
        {"93020000", "9402000000"}, /* or four */
        {"93030301", "93030304"},   /* reasons */
        {"93030301", "93030300"},   {"93030301", "920303"},
        {"920307", "920308"}, /* history */
    };
    struct list *l = small_list();
    struct buf b;
    char *hex;

    (void)state;
    buf_init(&b, DOCUMENT_BODY_MAX);
    assert_int_equal(list_encode(&b, l), SOTTO_OK);
    hex = hex_of(bytes_of(&b));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        patch(&b, hex, rows[i][0], rows[i][1]);
        if (list_decode(l, bytes_of(&b)) != SOTTO_EDECODE)
            fail_msg("%s for %s", rows[i][1], rows[i][0]);
    }
    free(hex);
    buf_fini(&b);
    free(l);
}

static void a_reference_without_texts_is_refused(void **state)
{
    struct list *l = calloc(1, sizeof *l);
    struct buf b;
    char *hex;

    (void)state;
    l->count = 1;
    l->items[0].reason = REASON_POPULAR;
    buf_init(&b, DOCUMENT_BODY_MAX);
    assert_int_equal(list_encode(&b, l), SOTTO_OK);
    hex = hex_of(bytes_of(&b));
    patch(&b, hex, "9091009100", "9091019100");
    assert_int_equal(list_decode(l, bytes_of(&b)), SOTTO_EDECODE);
    free(hex);
    buf_fini(&b);
    free(l);
}

static void spoilt_lists_are_refused_or_valid(void **state)
{
    struct list *l = small_list();
    struct buf b, again;

    (void)state;
    buf_init(&b, DOCUMENT_BODY_MAX);
    buf_init(&again, DOCUMENT_BODY_MAX);
    assert_int_equal(list_encode(&b, l), SOTTO_OK);
    for (size_t size = 0; size < b.size; size++)
        assert_int_equal(list_decode(l, span_of(b.data, size)), SOTTO_EDECODE);
    for (size_t at = 0; at < b.size; at++)
        for (int byte = 0; byte < 256; byte++) {
            uint8_t was = b.data[at];

            b.data[at] = (uint8_t)byte;
            buf_clear(&again);
            if (list_decode(l, bytes_of(&b)) == SOTTO_OK)
                assert_int_equal(list_encode(&again, l), SOTTO_OK);
            b.data[at] = was;
        }
    buf_fini(&again);
    buf_fini(&b);
    free(l);
}

static const char frozen_list[] =
    "9ca6656173652d37a7726567756c61724d0597c4036d7567c4095768697465206d7567c4"
    "06746561706f74c40a42696720746561706f74c403637570c40200ffc40573706f6f6e93"
    "0105069302000093ca3fc00000cabdcccccdca0000000093030301930303009304040092"
    "0307";

static void a_list_is_frozen(void **state)
{
    struct list *l = small_list();
    struct buf b;

    (void)state;
    buf_init(&b, DOCUMENT_BODY_MAX);
    assert_int_equal(list_encode(&b, l), SOTTO_OK);
    expect_hex(&b, frozen_list);
    buf_fini(&b);
    free(l);
}

static const uint8_t columns[] = {0, 0, 0, 0, 9, 0, 0, 0};
static const int8_t weights[] = {-128, 127};

static struct rows_shard small_shard(void)
{
    return (struct rows_shard){span_text("ease-7"), 2, 10, 8, 2};
}

static struct rows_row small_row(uint32_t number)
{
    struct rows_row row = {.item = span_text("mug"),
                           .name = span_text("White mug"),
                           .scale = 0.25f,
                           .count = number == 8 ? 2 : 0};

    row.columns = span_of(columns, 4 * (size_t)row.count);
    row.weights = span_of(weights, row.count);
    return row;
}

static void shard_encode(struct buf *b)
{
    struct rows_shard head = small_shard();

    buf_init(b, DOCUMENT_BODY_MAX);
    assert_int_equal(rows_begin(b, &head), SOTTO_OK);
    for (uint32_t i = 8; i < 10; i++) {
        struct rows_row row = small_row(i);

        assert_int_equal(rows_add(b, &row), SOTTO_OK);
    }
}

static enum sotto_err row_expect(void *context, const struct rows_shard *head,
                                 uint32_t number, const struct rows_row *row)
{
    uint32_t *next = context;
    struct rows_row want = small_row(number);

    assert_int_equal(number, *next);
    ++*next;
    assert_true(span_equal(head->model, span_text("ease-7")));
    assert_int_equal(head->shards, 2);
    assert_int_equal(head->items_total, 10);
    assert_true(span_equal(row->item, want.item));
    assert_true(span_equal(row->name, want.name));
    assert_true(row->scale >= 0.25f && row->scale <= 0.25f);
    assert_int_equal(row->count, want.count);
    assert_true(span_equal(row->columns, want.columns));
    assert_true(span_equal(row->weights, want.weights));
    return SOTTO_OK;
}

static enum sotto_err row_ignore(void *context, const struct rows_shard *head,
                                 uint32_t number, const struct rows_row *row)
{
    (void)context;
    assert_true(number < head->items_total);
    assert_true(row->columns.size == 4 * (size_t)row->count);
    return SOTTO_OK;
}

static enum sotto_err row_stop(void *context, const struct rows_shard *head,
                               uint32_t number, const struct rows_row *row)
{
    int *calls = context;

    (void)head;
    (void)number;
    (void)row;
    ++*calls;
    return SOTTO_EFULL;
}

static void rows_survive_in_order(void **state)
{
    struct rows_shard head;
    struct buf b;
    uint32_t next = 8;
    int calls = 0;

    (void)state;
    shard_encode(&b);
    assert_int_equal(rows_decode(&head, bytes_of(&b), row_expect, &next),
                     SOTTO_OK);
    assert_int_equal(next, 10);
    assert_int_equal(head.count, 2);
    assert_int_equal(rows_decode(&head, bytes_of(&b), row_stop, &calls),
                     SOTTO_EFULL);
    assert_int_equal(calls, 1);
    for (size_t size = 0; size < b.size; size++)
        assert_int_equal(
            rows_decode(&head, span_of(b.data, size), row_ignore, NULL),
            SOTTO_EDECODE);
    buf_fini(&b);
}

static void a_column_beyond_the_items_is_refused(void **state)
{
    struct rows_shard head;
    struct buf b;
    uint8_t *at = NULL;

    (void)state;
    shard_encode(&b);
    for (size_t i = 0; i + 8 <= b.size; i++)
        if (!memcmp(b.data + i, columns, 8))
            at = b.data + i;
    assert_non_null(at);
    at[4] = 10;
    assert_int_equal(rows_decode(&head, bytes_of(&b), row_ignore, NULL),
                     SOTTO_EDECODE);
    at[4] = 9;
    at[7] = 0x80;
    assert_int_equal(rows_decode(&head, bytes_of(&b), row_ignore, NULL),
                     SOTTO_EDECODE);
    buf_fini(&b);
}

static void wrong_rows_are_not_written(void **state)
{
    struct rows_shard head = small_shard();
    struct rows_row row = small_row(8);
    struct buf b;

    (void)state;
    buf_init(&b, DOCUMENT_BODY_MAX);
    head.count = 3;
    assert_int_equal(rows_begin(&b, &head), SOTTO_EINVAL);
    head.count = UINT32_MAX; /* first + count wraps */
    assert_int_equal(rows_begin(&b, &head), SOTTO_EINVAL);
    head = small_shard();
    head.shards = 0;
    assert_int_equal(rows_begin(&b, &head), SOTTO_EINVAL);
    row.count = 1;
    assert_int_equal(rows_add(&b, &row), SOTTO_EINVAL);
    row = small_row(8);
    row.weights.size = 1;
    assert_int_equal(rows_add(&b, &row), SOTTO_EINVAL);
    row = small_row(8);
    row.columns.size = 4;
    assert_int_equal(rows_add(&b, &row), SOTTO_EINVAL);
    row = small_row(8);
    row.scale = NAN;
    assert_int_equal(rows_add(&b, &row), SOTTO_EINVAL);
    row = small_row(8);
    row.count = ROW_WEIGHTS_MAX + 1;
    assert_int_equal(rows_add(&b, &row), SOTTO_EINVAL);
    b.max = 8;
    row = small_row(8);
    assert_int_equal(rows_add(&b, &row), SOTTO_ETOOBIG);
    assert_int_equal(b.size, 0);
    buf_fini(&b);
}

static const char frozen_rows[] =
    "95a6656173652d37020a089295c4036d7567c4095768697465206d7567ca3e800000c408"
    "0000000009000000c402807f95c4036d7567c4095768697465206d7567ca3e800000c400"
    "c400";

static void rows_are_frozen(void **state)
{
    struct buf b;

    (void)state;
    shard_encode(&b);
    expect_hex(&b, frozen_rows);
    buf_fini(&b);
}

static struct document small_document(uint64_t number)
{
    return (struct document){.number = number,
                             .kind = DOCUMENT_POLICY + (uint32_t)(number % 6),
                             .key = span_text("key"),
                             .expires_ms =
                                 number == 1 ? WHEN_NONE : 1796112000000,
                             .made_ms = (int64_t)number - 2,
                             .body = span_of("body\0", number)};
}

static struct documents_head small_head(void)
{
    return (struct documents_head){
        .nonce = {9, 8, 7}, .last = 40, .count = 3, .time_ms = 1796112000000};
}

static void payload_encode(struct buf *b, const uint64_t numbers[3])
{
    struct documents_head head = small_head();

    buf_init(b, PAYLOAD_MAX);
    assert_int_equal(documents_begin(b, &head), SOTTO_OK);
    for (int i = 0; i < 3; i++) {
        struct document d = small_document(numbers[i]);

        assert_int_equal(documents_add(b, &d), SOTTO_OK);
    }
}

static enum sotto_err document_expect(void *context, const struct document *d)
{
    uint64_t *sum = context;
    struct document want = small_document(d->number);

    *sum = *sum * 10 + d->number;
    assert_int_equal(d->kind, want.kind);
    assert_true(span_equal(d->key, want.key));
    assert_true(d->expires_ms == want.expires_ms);
    assert_true(d->made_ms == want.made_ms);
    assert_true(span_equal(d->body, want.body));
    return d->number == 5 ? SOTTO_EFULL : SOTTO_OK;
}

static void documents_survive_in_order(void **state)
{
    struct documents_head head, want = small_head();
    struct buf b;
    uint64_t sum = 0;

    (void)state;
    payload_encode(&b, (uint64_t[]){1, 2, 4});
    assert_int_equal(
        documents_decode(&head, bytes_of(&b), document_expect, &sum), SOTTO_OK);
    assert_int_equal(sum, 124);
    assert_memory_equal(&head, &want, sizeof head);
    for (size_t size = 0; size < b.size; size++)
        assert_int_equal(documents_decode(&head, span_of(b.data, size),
                                          document_expect, &sum),
                         SOTTO_EDECODE);
    assert_int_equal(buf_append(&b, "\xc0", 1), SOTTO_OK);
    assert_int_equal(
        documents_decode(&head, bytes_of(&b), document_expect, &sum),
        SOTTO_EDECODE);
    buf_fini(&b);
}

static void numbers_must_rise(void **state)
{
    static const uint64_t falls[][3] = {{0, 1, 2}, {1, 1, 2}, {1, 3, 2}};
    struct documents_head head;
    struct buf b;
    uint64_t sum = 0;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        payload_encode(&b, falls[i]);
        assert_int_equal(
            documents_decode(&head, bytes_of(&b), document_expect, &sum),
            SOTTO_EDECODE);
        buf_fini(&b);
    }
}

static void the_readers_error_stops_the_rest(void **state)
{
    struct documents_head head;
    struct buf b;
    uint64_t sum = 0;

    (void)state;
    payload_encode(&b, (uint64_t[]){1, 5, 2});
    assert_int_equal(
        documents_decode(&head, bytes_of(&b), document_expect, &sum),
        SOTTO_EFULL);
    assert_int_equal(sum, 15);
    buf_fini(&b);
}

static void wrong_documents_are_not_written(void **state)
{
    char *large = calloc(1, DOCUMENT_BODY_MAX + 1);
    struct document d = small_document(1);
    struct documents_head head;
    struct buf b;
    size_t mark;

    (void)state;
    buf_init(&b, PAYLOAD_MAX);
    d.kind = 0;
    assert_int_equal(documents_add(&b, &d), SOTTO_EINVAL);
    d.kind = DOCUMENT_KIND_COUNT;
    assert_int_equal(documents_add(&b, &d), SOTTO_EINVAL);
    d.kind = DOCUMENT_ROWS;
    d.body = span_of(large, DOCUMENT_BODY_MAX + 1);
    assert_int_equal(documents_add(&b, &d), SOTTO_ETOOBIG);
    assert_int_equal(b.size, 0);
    d.body.size--;
    d.key = span_of(large, 1024);
    head = small_head();
    head.count = 1;
    assert_int_equal(documents_begin(&b, &head), SOTTO_OK);
    assert_int_equal(documents_add(&b, &d), SOTTO_OK);
    mark = b.size;
    b.max = b.size + 3;
    d.number++;
    assert_int_equal(documents_add(&b, &d), SOTTO_ETOOBIG);
    assert_int_equal(b.size, mark);
    buf_fini(&b);
    free(large);
}

static enum sotto_err document_count(void *context, const struct document *d)
{
    int *calls = context;

    assert_int_equal(d->body.size, DOCUMENT_BODY_MAX);
    ++*calls;
    return SOTTO_OK;
}

static void the_largest_document_is_read(void **state)
{
    char *large = calloc(1, DOCUMENT_BODY_MAX);
    struct document d = {.number = UINT64_MAX,
                         .kind = DOCUMENT_ROWS,
                         .key = span_of(large, 1024),
                         .expires_ms = INT64_MAX,
                         .made_ms = INT64_MIN,
                         .body = span_of(large, DOCUMENT_BODY_MAX)};
    struct documents_head head = small_head();
    struct buf b;
    int calls = 0;

    (void)state;
    buf_init(&b, PAYLOAD_MAX);
    head.count = 1;
    assert_int_equal(documents_begin(&b, &head), SOTTO_OK);
    assert_int_equal(documents_add(&b, &d), SOTTO_OK);
    assert_int_equal(
        documents_decode(&head, bytes_of(&b), document_count, &calls),
        SOTTO_OK);
    assert_int_equal(calls, 1);
    buf_fini(&b);
    free(large);
}

static void unknown_kinds_are_refused(void **state)
{
    struct documents_head head;
    struct buf b;
    uint64_t sum = 0;
    char *hex;

    (void)state;
    payload_encode(&b, (uint64_t[]){1, 2, 4});
    hex = hex_of(bytes_of(&b));
    patch(&b, hex, "960102", "960100");
    assert_int_equal(
        documents_decode(&head, bytes_of(&b), document_expect, &sum),
        SOTTO_EDECODE);
    patch(&b, hex, "960102", "960107");
    assert_int_equal(
        documents_decode(&head, bytes_of(&b), document_expect, &sum),
        SOTTO_EDECODE);
    assert_int_equal(sum, 0);
    free(hex);
    buf_fini(&b);
}

static const char frozen_documents[] =
    "c41e94c410090807000000000000000000000000002803cf000001a2309e2400960102c4"
    "036b6579d38000000000000000ffc40162960203c4036b6579cf000001a2309e240000c4"
    "02626f960405c4036b6579cf000001a2309e240002c404626f6479";

static void documents_are_frozen(void **state)
{
    struct buf b;

    (void)state;
    payload_encode(&b, (uint64_t[]){1, 2, 4});
    expect_hex(&b, frozen_documents);
    buf_fini(&b);
}

static void kinds_have_names(void **state)
{
    (void)state;
    for (uint32_t kind = DOCUMENT_POLICY; kind < DOCUMENT_KIND_COUNT; kind++)
        assert_string_not_equal(document_kind_name(kind), "unknown");
    assert_string_equal(document_kind_name(0), "unknown");
    assert_string_equal(document_kind_name(DOCUMENT_KIND_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_survives),
        cmocka_unit_test(names_are_written_once),
        cmocka_unit_test(a_full_list_survives),
        cmocka_unit_test(a_writer_refuses_what_a_reader_would),
        cmocka_unit_test(scores_must_be_finite_to_be_read),
        cmocka_unit_test(wrong_columns_are_refused),
        cmocka_unit_test(a_reference_without_texts_is_refused),
        cmocka_unit_test(spoilt_lists_are_refused_or_valid),
        cmocka_unit_test(a_list_is_frozen),
        cmocka_unit_test(rows_survive_in_order),
        cmocka_unit_test(a_column_beyond_the_items_is_refused),
        cmocka_unit_test(wrong_rows_are_not_written),
        cmocka_unit_test(rows_are_frozen),
        cmocka_unit_test(documents_survive_in_order),
        cmocka_unit_test(numbers_must_rise),
        cmocka_unit_test(the_readers_error_stops_the_rest),
        cmocka_unit_test(wrong_documents_are_not_written),
        cmocka_unit_test(the_largest_document_is_read),
        cmocka_unit_test(unknown_kinds_are_refused),
        cmocka_unit_test(documents_are_frozen),
        cmocka_unit_test(kinds_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
