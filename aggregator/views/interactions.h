/* The interactions view: per subject, items with last day and weight: the
 * sparse matrix X that models are trained on, never its Gram.
 *
 * weight = 0.1 a view + 0.3 an add to the cart (together up to 25.5)
 *        + 1 a purchase, unless all units came back
 *
 * An item of which nothing is left is not shown, but kept: a return may arrive
 * before its purchase, from another agent. */
#ifndef SOTTO_AGGREGATOR_VIEWS_INTERACTIONS_H
#define SOTTO_AGGREGATOR_VIEWS_INTERACTIONS_H

#include "aggregator/view.h"
#include "base/dict.h"

struct interactions;
extern const struct view_ops interactions_view;

struct interaction {
    uint32_t item; /* number; interactions_item gives its id */
    int32_t day;   /* days since 1970 of the newest event but a return */
    float weight;  /* above 0 */
    float bought;  /* units bought minus returned, at least 0 */
};

uint32_t interactions_subjects(const struct interactions *x);
uint32_t interactions_items(const struct interactions *x);
uint32_t interactions_find(const struct interactions *x,
                           const uint8_t subject[16]);
uint32_t interactions_item_find(const struct interactions *x, struct span item);
struct span interactions_subject(const struct interactions *x, uint32_t number);
struct span interactions_item(const struct interactions *x, uint32_t item);
/* The newest name (label) that an event of a known subject gave the item; may
 * be empty. */
struct span interactions_item_name(const struct interactions *x, uint32_t item);
/* The items of a subject, by rising item number; valid until the next call of
 * it or the next fold. */
const struct interaction *interactions_of(const struct interactions *x,
                                          uint32_t number, uint32_t *count);
/* (stream, sequence) of the newest chunk of agent folded into this view for
 * publishing: what a list made now is based on; zeros: none. */
void interactions_upto(const struct interactions *x, uint32_t agent,
                       uint64_t *stream, uint64_t *sequence);

#endif
