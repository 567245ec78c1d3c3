/* See listings.h. */
#include "agent/listings.h"

#include <string.h>

#include <sodium.h>

static void listing_clear(struct listing *c)
{
    if (c->bytes.data)
        sodium_memzero(c->bytes.data, c->bytes.size);
    buf_clear(&c->bytes);
    c->kind = 0;
    c->list.count = c->list.history_count = 0;
}

static uint32_t number_of(const struct item_rows *rows, struct span item)
{
    return rows ? dict_find(&rows->items, item) : DICT_NONE;
}

/* Leaves out what must not be answered. */
static enum sotto_err listing_tidy(struct listing *c)
{
    struct list *list = &c->list;
    struct dict known;
    uint32_t kept = 0, number;
    enum sotto_err err = SOTTO_OK;

    dict_init(&known, 2 * LIST_ITEMS_MAX, DOCUMENT_BODY_MAX, 0);
    for (uint32_t i = 0; !err && i < list->history_count; i++)
        err = dict_intern(&known, list->history[i], &number);
    for (uint32_t i = 0; !err && i < list->count; i++) {
        uint32_t before = known.count;
        struct span item = list->items[i].item;

        if (item.size == 0 || item.size > LISTING_ITEM_MAX)
            continue;
        err = dict_intern(&known, item, &number);
        if (!err && number == before)
            list->items[kept++] = list->items[i];
    }
    list->count = kept;
    dict_fini(&known);
    return err;
}

static enum sotto_err listing_load(struct listing *c, struct shelf *shelf,
                                   const struct item_rows *rows, uint32_t kind,
                                   struct span key)
{
    enum sotto_err err = buf_append(&c->bytes, key.data, key.size);

    if (!err)
        err = shelf_look(shelf, kind, key, &c->shelved, &c->bytes);
    if (!err)
        err = list_decode(&c->list, span_of(c->bytes.data + key.size,
                                            c->bytes.size - key.size));
    if (!err)
        err = listing_tidy(c);
    if (err) {
        listing_clear(c);
        return err;
    }
    for (uint32_t i = 0; i < c->list.count; i++)
        c->item_numbers[i] = number_of(rows, c->list.items[i].item);
    for (uint32_t i = 0; i < c->list.history_count; i++)
        c->history_numbers[i] = number_of(rows, c->list.history[i]);
    c->kind = kind;
    c->key_size = key.size;
    return SOTTO_OK;
}

void listings_init(struct listings *c)
{
    memset(c, 0, sizeof *c);
    for (int i = 0; i < LISTINGS_MAX; i++)
        buf_init(&c->items[i].bytes, LISTING_KEY_MAX + DOCUMENT_BODY_MAX);
}

void listings_fini(struct listings *c)
{
    for (int i = 0; i < LISTINGS_MAX; i++)
        buf_wipe(&c->items[i].bytes);
}

void listings_clear(struct listings *c)
{
    for (int i = 0; i < LISTINGS_MAX; i++)
        if (c->items[i].kind)
            listing_clear(&c->items[i]);
}

enum sotto_err listings_get(struct listing **out, struct listings *c,
                            struct shelf *shelf, const struct item_rows *rows,
                            uint32_t kind, struct span key)
{
    struct listing *oldest = &c->items[0];
    enum sotto_err err;

    *out = NULL;
    for (int i = 0; i < LISTINGS_MAX; i++) {
        struct listing *item = &c->items[i];

        if (item->kind == kind &&
            span_equal(span_of(item->bytes.data, item->key_size), key)) {
            item->used = ++c->clock;
            *out = item;
            return SOTTO_OK;
        }
        if (!item->kind || (oldest->kind && item->used < oldest->used))
            oldest = item;
    }
    listing_clear(oldest);
    err = listing_load(oldest, shelf, rows, kind, key);
    if (err)
        return err == SOTTO_ENOTFOUND ? SOTTO_OK : err;
    oldest->used = ++c->clock;
    *out = oldest;
    return SOTTO_OK;
}
