/* A lists.db in a directory of its own, and short ways to send documents to
 * it and to ask it. */
#ifndef SOTTO_TEST_LISTS_WORLD_H
#define SOTTO_TEST_LISTS_WORLD_H

#include "agent/lists.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/item_rows.h"
#include "agent/recents.h"
#include "base/log.h"
#include "base/when.h"
#include "wire.h"

#define NOW INT64_C(1800000000000)
#define TEXT(text) span_text(text)

static const uint8_t anna[16] = {'a', 1, 2, 3};
static const uint8_t ben[16] = {'b', 0, 255};

struct world {
    char dir[64], path[96];
    struct lists *lists;
    struct buf body;
    uint64_t number; /* of the last document */
    struct answer answer;
};

static inline void world_open(struct world *w)
{
    struct why why = {""};

    if (lists_open(&w->lists, w->path, &why))
        fail_msg("%s", why.text);
}

static inline void world_reopen(struct world *w)
{
    lists_close(w->lists);
    world_open(w);
}

static inline int world_setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    buf_init(&w->body, DOCUMENT_BODY_MAX);
    snprintf(w->dir, sizeof w->dir, "/tmp/sotto-lists-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->path, sizeof w->path, "%s/lists.db", w->dir);
    world_open(w);
    *state = w;
    return 0;
}

static inline int world_teardown(void **state)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    struct world *w = *state;

    lists_close(w->lists);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char path[128];

        snprintf(path, sizeof path, "%s%s", w->path, ends[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(w->dir), 0);
    buf_fini(&w->body);
    free(w);
    return 0;
}

static inline enum sotto_err apply(struct world *w, uint32_t kind,
                                   struct span key, int64_t expires_ms)
{
    struct document d = {.number = ++w->number,
                         .kind = kind,
                         .key = key,
                         .expires_ms = expires_ms,
                         .made_ms = NOW,
                         .body = span_of(w->body.data, w->body.size)};

    return lists_apply(w->lists, &d);
}

static inline void begin(struct world *w)
{
    assert_int_equal(lists_begin(w->lists), SOTTO_OK);
}

static inline void end(struct world *w)
{
    assert_int_equal(lists_end(w->lists, w->number), SOTTO_OK);
}

static inline void send_bytes(struct world *w, uint32_t kind, struct span key,
                              int64_t expires_ms)
{
    begin(w);
    assert_int_equal(apply(w, kind, key, expires_ms), SOTTO_OK);
    end(w);
}

static inline void encode(struct world *w, const struct list *l)
{
    buf_clear(&w->body);
    assert_int_equal(list_encode(&w->body, l), SOTTO_OK);
}

static inline void send_list(struct world *w, uint32_t kind, struct span key,
                             const struct list *l, int64_t expires_ms)
{
    encode(w, l);
    send_bytes(w, kind, key, expires_ms);
}

static inline void send_empty(struct world *w, uint32_t kind, struct span key)
{
    buf_clear(&w->body);
    send_bytes(w, kind, key, WHEN_NONE);
}

/* A list of items named in one text: "x y z", scores 9, 8, 7 … */
static inline void list_make(struct list *l, const char *items, uint32_t reason)
{
    memset(l, 0, sizeof *l);
    l->model = TEXT("m1");
    while (*items) {
        size_t size = strcspn(items, " ");

        l->items[l->count].item = span_of(items, size);
        l->items[l->count].name = span_of(items, size);
        l->items[l->count].reason = reason;
        l->items[l->count].score = 9 - (float)l->count;
        l->count++;
        items += size + (items[size] == ' ');
    }
}

static inline void send_popular(struct world *w, const char *items)
{
    struct list l;

    list_make(&l, items, REASON_POPULAR);
    send_list(w, DOCUMENT_POPULAR, span_of(NULL, 0), &l, WHEN_NONE);
}

static inline void send_own(struct world *w, const uint8_t subject[16],
                            const char *items, uint64_t stream,
                            uint64_t sequence)
{
    struct list l;

    list_make(&l, items, REASON_SEGMENT);
    l.segment = TEXT("regulars");
    l.stream = stream;
    l.sequence = sequence;
    send_list(w, DOCUMENT_LIST, span_of(subject, 16), &l, NOW + 1000);
}

/* The items of the answer in one text. */
static const char *ask(struct world *w, const uint8_t *subject, uint32_t count,
                       int64_t now_ms)
{
    static _Thread_local char text[LIST_ITEMS_MAX * 8];
    size_t size = 0;
    enum sotto_err err =
        lists_answer(w->lists, subject, count, now_ms, &w->answer);

    if (err)
        return err_name(err);
    text[0] = '\0';
    for (uint32_t i = 0; i < w->answer.count; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, "%s%s",
                                 i ? " " : "", w->answer.items[i].item);
    return text;
}

#define assert_answer(w, subject, text)                                        \
    assert_string_equal(ask(w, subject, 10, NOW), text)

/* ---- models ---- */

#define MODEL_ITEMS_MAX 64
#define MODEL_SCALE 0.015625f /* a power of two: sums are exact */

struct model {
    const char *version;
    uint32_t items, shards;
    int8_t weights[MODEL_ITEMS_MAX][MODEL_ITEMS_MAX]; /* 0: none */
};

static inline void item_name(char out[8], uint32_t i)
{
    snprintf(out, 8, "i%02u", i % 100);
}

static inline void row_write(struct buf *out, const struct model *m, uint32_t i)
{
    char item[8], name[16];
    uint8_t columns[4 * MODEL_ITEMS_MAX] = {0}, weights[MODEL_ITEMS_MAX];
    struct rows_row row = {.scale = MODEL_SCALE};

    item_name(item, i);
    snprintf(name, sizeof name, "Name %u", i);
    for (uint32_t j = 0; j < m->items; j++)
        if (m->weights[i][j]) {
            columns[4 * row.count] = (uint8_t)j;
            weights[row.count++] = (uint8_t)m->weights[i][j];
        }
    row.item = TEXT(item);
    row.name = TEXT(name);
    row.columns = span_of(columns, 4 * (size_t)row.count);
    row.weights = span_of(weights, row.count);
    assert_int_equal(rows_add(out, &row), SOTTO_OK);
}

static inline uint32_t shard_first(const struct model *m, uint32_t shard)
{
    return m->items * shard / m->shards;
}

static inline void send_shard(struct world *w, const struct model *m,
                              uint32_t shard)
{
    uint8_t key[4] = {(uint8_t)shard, 0, 0, 0};
    struct rows_shard head = {.model = TEXT(m->version),
                              .shards = m->shards,
                              .items_total = m->items,
                              .first = shard_first(m, shard)};

    head.count = shard_first(m, shard + 1) - head.first;
    buf_clear(&w->body);
    assert_int_equal(rows_begin(&w->body, &head), SOTTO_OK);
    for (uint32_t i = 0; i < head.count; i++)
        row_write(&w->body, m, head.first + i);
    send_bytes(w, DOCUMENT_ROWS, span_of(key, sizeof key), WHEN_NONE);
}

static inline void send_model(struct world *w, const struct model *m)
{
    for (uint32_t i = 0; i < m->shards; i++)
        send_shard(w, m, i);
}

/* i00 -> i01 and i02; i01 -> i03, and away from i02; nothing else. */
static inline struct model small_model(const char *version)
{
    struct model m = {.version = version, .items = 6, .shards = 2};

    m.weights[0][1] = 64;
    m.weights[0][2] = 32;
    m.weights[1][3] = 96;
    m.weights[1][2] = -16;
    return m;
}

static inline uint64_t rows_now(struct world *w)
{
    struct lists_stats stats;

    lists_stats(w->lists, &stats);
    return stats.rows;
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

#endif
