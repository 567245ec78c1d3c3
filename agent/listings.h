/* The lists used last, decoded: the popular one and those of a few people.
 * Under the owner's lock. A cached list holds no item that its own history
 * holds, none twice, and none that an answer has no room for. */
#ifndef SOTTO_AGENT_LISTINGS_H
#define SOTTO_AGENT_LISTINGS_H

#include "agent/item_rows.h"
#include "agent/shelf.h"

#define LISTINGS_MAX 16
#define LISTING_KEY_MAX 1024 /* of a document, as on the wire */
#define LISTING_ITEM_MAX 64  /* bytes of an item that can be answered */

struct listing {
    uint32_t kind;    /* 0: unused */
    uint64_t used;    /* when, in uses */
    struct buf bytes; /* the key, then the body that list borrows from */
    size_t key_size;
    struct shelved shelved;
    struct list list;
    uint32_t item_numbers[LIST_ITEMS_MAX]; /* rows of the model */
    uint32_t history_numbers[LIST_ITEMS_MAX];
};

struct listings {
    uint64_t clock; /* counts uses */
    struct listing items[LISTINGS_MAX];
};

void listings_init(struct listings *c);
void listings_fini(struct listings *c);  /* wipes */
void listings_clear(struct listings *c); /* wipes what is cached */

/* The list of kind and key, NULL if there is none. The one used longest ago
 * makes room: at most LISTINGS_MAX results are valid at a time. Numbers are of
 * rows (NULL: DICT_NONE); clear when those change. SOTTO_EDECODE, SOTTO_EIO,
 * SOTTO_ENOMEM. */
enum sotto_err listings_get(struct listing **out, struct listings *c,
                            struct shelf *shelf, const struct item_rows *rows,
                            uint32_t kind, struct span key);

#endif
