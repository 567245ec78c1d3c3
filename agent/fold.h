/* Folding in: what a person did since the list was made changes the list.
 *
 *   score(j) = list(j) + sum over recent items i of weight(i -> j)
 *
 * with list(j) = 0 for an item that is not in the list. Ranked are the items
 * of the list and whatever has a score above zero, by score, then by text, so
 * that the same input gives the same answer. Items of the list's history and
 * items just bought are left out. This is the scoring step of an item-to-item
 * model (Sarwar et al., WWW 2001; Steck, EASE, WWW 2019), continued on the
 * device: the list holds the sum over the history up to then. */
#ifndef SOTTO_AGENT_FOLD_H
#define SOTTO_AGENT_FOLD_H

#include "agent/item_rows.h"
#include "agent/recents.h"

#define FOLD_NOWHERE UINT16_MAX
#define FOLD_NOBODY UINT8_MAX

/* What is folded; borrowed. Numbers are rows of the model or DICT_NONE. */
struct fold_input {
    const struct list *list; /* NULL: none */
    const uint32_t *item_numbers, *history_numbers;
    const struct recent *recents; /* newest first */
    uint32_t recent_count;
};

struct ranked {
    float score;
    uint32_t number; /* of the row, or DICT_NONE: then it is in the list */
    uint16_t place;  /* in the list, or FOLD_NOWHERE */
    uint8_t because; /* the recent item whose share is above the list's score
                        and the other shares, or FOLD_NOBODY */
};

struct fold; /* scratch memory for one model; one thread at a time */
enum sotto_err fold_open(struct fold **out, const struct item_rows *rows);
void fold_close(struct fold *f); /* accepts NULL */

/* Best first into out, at most count (1..LIST_ITEMS_MAX); how many. */
uint32_t fold_rank(struct fold *f, const struct fold_input *in, uint32_t count,
                   struct ranked *out);
struct span fold_text(const struct fold *f, const struct list *list,
                      const struct ranked *r);

#endif
