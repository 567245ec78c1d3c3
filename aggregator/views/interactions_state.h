/* Inside of the interactions view: its records, and how they are saved. Only
 * interactions.c and interactions_state.c include it. */
#ifndef SOTTO_AGGREGATOR_VIEWS_INTERACTIONS_STATE_H
#define SOTTO_AGGREGATOR_VIEWS_INTERACTIONS_STATE_H

#include "aggregator/views/interactions.h"
#include "aggregator/views/rows.h"
#include "aggregator/views/subjects.h"

/* Twelve bytes an item of a subject: this is most of the memory of a view.
 * Small counters stay at their limit. */
struct item_row {
    uint32_t item;
    int32_t units;     /* bought minus returned */
    uint16_t day;      /* since 1970, to 2149 */
    uint8_t purchases; /* events */
    uint8_t soft;      /* tenths: 1 a view, 3 an add */
};

struct item_label {  /* of each item, by number */
    int64_t name_ms; /* when the name was given */
    char *name;      /* NULL: none */
    uint32_t size;
    bool dirty;
};

struct agent_upto {
    uint32_t agent;
    uint64_t stream, sequence;
};

struct interactions {
    struct subjects people; /* a struct rows of item_row each */
    struct dict items;
    uint32_t items_saved;
    struct item_label *labels;
    uint32_t label_capacity;
    struct rows upto;          /* agent_upto, by agent */
    uint64_t saturated;        /* units that did not fit */
    uint64_t overflowed;       /* items that the dictionary had no room for */
    struct interaction *shown; /* what interactions_of made last */
    uint32_t shown_capacity;   /* at least the longest row of a subject */
};

/* Room for labels of all items, and for showing count items. */
enum sotto_err interactions_reserve(struct interactions *x, uint32_t count);
/* Copies the name. */
enum sotto_err label_set(struct item_label *l, int64_t name_ms,
                         struct span name);
enum sotto_err interactions_save(void *view, struct store *s);
void interactions_saved(void *view);
enum sotto_err interactions_load(void *view, struct store *s);
uint64_t interactions_digest(void *view);

#endif
