/* See fold.h. Scores lie in one cell an item. A fold touches at most some
 * thousand cells and remembers which, so its cost does not depend on the size
 * of the catalogue; the best are kept in a heap whose root is the worst.
 *
 * Invariant: between calls every cell is zero. */
#include "agent/fold.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define TOUCHED_MAX (2 * LIST_ITEMS_MAX + RECENTS_ITEMS * (ROW_WEIGHTS_MAX + 1))

struct cell {
    float score;
    float largest; /* of the list's score and each recent item's share */
    uint16_t place;
    uint8_t because;
    bool touched;
    bool excluded;
};

struct fold {
    const struct item_rows *rows;
    struct cell *cells;
    uint32_t touched[TOUCHED_MAX];
    uint32_t touched_count;
};

struct heap {
    const struct fold *fold;
    const struct list *list;
    struct ranked *items;
    uint32_t count, max;
};

enum sotto_err fold_open(struct fold **out, const struct item_rows *rows)
{
    struct fold *f = calloc(1, sizeof *f);

    if (f)
        f->cells = calloc(rows->count ? rows->count : 1, sizeof *f->cells);
    if (!f || !f->cells) {
        free(f);
        return SOTTO_ENOMEM;
    }
    f->rows = rows;
    *out = f;
    return SOTTO_OK;
}

void fold_close(struct fold *f)
{
    if (f)
        free(f->cells);
    free(f);
}

struct span fold_text(const struct fold *f, const struct list *list,
                      const struct ranked *r)
{
    return r->place != FOLD_NOWHERE ? list->items[r->place].item
                                    : dict_key(&f->rows->items, r->number);
}

static int span_compare(struct span a, struct span b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size ? memcmp(a.data, b.data, size) : 0;

    if (order)
        return order;
    return a.size < b.size ? -1 : a.size > b.size;
}

static bool better(const struct heap *h, const struct ranked *a,
                   const struct ranked *b)
{
    if (a->score > b->score || a->score < b->score)
        return a->score > b->score;
    return span_compare(fold_text(h->fold, h->list, a),
                        fold_text(h->fold, h->list, b)) < 0;
}

static void heap_sink(struct heap *h, uint32_t at)
{
    struct ranked moving = h->items[at];

    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child >= h->count)
            break;
        if (child + 1 < h->count &&
            better(h, &h->items[child], &h->items[child + 1]))
            child++;
        if (!better(h, &moving, &h->items[child]))
            break;
        h->items[at] = h->items[child];
        at = child;
    }
    h->items[at] = moving;
}

static void heap_offer(struct heap *h, const struct ranked *r)
{
    uint32_t at;

    if (h->count == h->max) {
        if (!better(h, r, &h->items[0]))
            return;
        h->items[0] = *r;
        heap_sink(h, 0);
        return;
    }
    at = h->count++;
    while (at > 0 && better(h, &h->items[(at - 1) / 2], r)) {
        h->items[at] = h->items[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    h->items[at] = *r;
}

/* The heap becomes an array, best first. */
static void heap_sort(struct heap *h)
{
    uint32_t count = h->count;

    while (h->count > 1) {
        struct ranked worst = h->items[0];

        h->items[0] = h->items[--h->count];
        heap_sink(h, 0);
        h->items[h->count] = worst;
    }
    h->count = count;
}

static struct cell *touch(struct fold *f, uint32_t number)
{
    struct cell *c = &f->cells[number];

    if (!c->touched) {
        assert(f->touched_count < TOUCHED_MAX);
        f->touched[f->touched_count++] = number;
        c->touched = true;
        c->place = FOLD_NOWHERE;
        c->because = FOLD_NOBODY;
    }
    return c;
}

static void list_add(struct fold *f, const struct fold_input *in)
{
    if (!in->list)
        return;
    for (uint32_t i = 0; i < in->list->count; i++) {
        struct cell *c;

        if (in->item_numbers[i] == DICT_NONE)
            continue;
        c = touch(f, in->item_numbers[i]);
        if (c->place != FOLD_NOWHERE)
            continue;
        c->place = (uint16_t)i;
        c->score = c->largest = in->list->items[i].score;
    }
    for (uint32_t i = 0; i < in->list->history_count; i++)
        if (in->history_numbers[i] != DICT_NONE)
            touch(f, in->history_numbers[i])->excluded = true;
}

static void recent_add(struct fold *f, const struct fold_input *in, uint32_t i)
{
    const struct item_rows *rows = f->rows;
    uint32_t row = dict_find(&rows->items, recent_item(&in->recents[i]));

    if (row == DICT_NONE)
        return;
    if (in->recents[i].bought)
        touch(f, row)->excluded = true;
    for (uint32_t at = item_rows_start(rows, row); at < rows->ends[row]; at++) {
        struct cell *c = touch(f, item_rows_column(rows, at));
        float share = item_rows_score(rows, row, at);

        c->score += share;
        if (share > 0 && share > c->largest) {
            c->largest = share;
            c->because = (uint8_t)i;
        }
    }
}

/* Items of the list that the model does not know keep the list's score. */
static void strangers_offer(struct heap *h, const struct fold_input *in)
{
    for (uint32_t i = 0; in->list && i < in->list->count; i++) {
        struct ranked r = {in->list->items[i].score, DICT_NONE, (uint16_t)i,
                           FOLD_NOBODY};

        if (in->item_numbers[i] == DICT_NONE &&
            !recents_bought(in->recents, in->recent_count,
                            in->list->items[i].item))
            heap_offer(h, &r);
    }
}

uint32_t fold_rank(struct fold *f, const struct fold_input *in, uint32_t count,
                   struct ranked *out)
{
    struct heap h = {f, in->list, out, 0, count};

    assert(count > 0 && in->recent_count <= RECENTS_ITEMS);
    list_add(f, in);
    for (uint32_t i = 0; i < in->recent_count; i++)
        recent_add(f, in, i);
    strangers_offer(&h, in);
    for (uint32_t i = 0; i < f->touched_count; i++) {
        uint32_t number = f->touched[i];
        struct cell *c = &f->cells[number];
        struct ranked r = {c->score, number, c->place, c->because};

        if (!c->excluded && (c->place != FOLD_NOWHERE || c->score > 0) &&
            fold_text(f, in->list, &r).size <= RECENT_ITEM_MAX)
            heap_offer(&h, &r);
        memset(c, 0, sizeof *c);
    }
    f->touched_count = 0;
    heap_sort(&h);
    return h.count;
}
