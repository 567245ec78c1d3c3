/* The profile view: one compact record a subject: counters, recency,
 * frequency, monetary, last items, category affinity, the agents that have
 * seen it, its sums. Totals of the shop, with and without a known subject, are
 * kept beside. All by roles; field names do not occur. */
#ifndef SOTTO_AGGREGATOR_VIEWS_PROFILE_H
#define SOTTO_AGGREGATOR_VIEWS_PROFILE_H

#include "aggregator/view.h"
#include "base/dict.h"

struct profiles;
extern const struct view_ops profile_view;

#define PROFILE_LAST_ITEMS 10
#define PROFILE_CATEGORIES 8
#define PROFILE_AGENTS 64

struct profile { /* a copy for the reader */
    uint8_t subject[16];
    uint64_t events[EVENT_ROLE_COUNT]; /* by event role */
    uint64_t orders; /* distinct orders of purchases; without an order role,
                        purchase events */
    uint64_t returned_orders;
    int64_t spent;    /* sum of value * quantity of purchases, millionths */
    int64_t returned; /* the same of returns */
    uint64_t units;   /* quantity bought, before returns */
    int64_t first_ms, last_ms; /* event time */
    int64_t last_purchase_ms;  /* WHEN_NONE: never */
    uint32_t last_item_count;  /* viewed, added or bought; newest first (to
                                  the second), by item number */
    uint32_t last_items[PROFILE_LAST_ITEMS];
    uint32_t category_count; /* strongest first */
    struct {
        uint32_t category;
        float share; /* 0..1 of this subject's events with a category */
    } categories[PROFILE_CATEGORIES];
    uint32_t consent; /* as of the newest event, by its policy; what all of
                         them grant if several are the newest */
    uint64_t agents;  /* bit i: agent number i (below 64) has seen it; agents
                         above are in an overflow list, see profile_agents */
};

struct totals {                    /* of one event role */
    uint64_t events, known_events; /* with a subject */
    int64_t value, known_value;    /* sum of value * quantity, millionths */
};

uint32_t profiles_count(const struct profiles *p);
/* DICT_NONE when unknown. */
uint32_t profiles_find(const struct profiles *p, const uint8_t subject[16]);
void profiles_get(const struct profiles *p, uint32_t number,
                  struct profile *out);
const struct totals *profiles_totals(const struct profiles *p,
                                     enum event_role role);
/* Names of the numbers above, borrowed until the next fold. */
struct span profiles_item(const struct profiles *p, uint32_t item);
struct span profiles_category(const struct profiles *p, uint32_t category);
/* The newest event time seen: the "now" of a store of historical data;
 * WHEN_NONE before the first event. */
int64_t profiles_last_ms(const struct profiles *p);
/* Amounts that did not fit 64 bits: sums with one in them stay at the limit. */
uint64_t profiles_saturated(const struct profiles *p);
/* Calls each for every agent that has seen subject number. */
void profiles_agents(const struct profiles *p, uint32_t number,
                     void (*each)(void *context, uint32_t agent),
                     void *context);

#endif
