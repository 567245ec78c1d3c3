/* Inside of the profile view: its records, and how they are saved. Only
 * profile.c and profile_state.c include it. */
#ifndef SOTTO_AGGREGATOR_VIEWS_PROFILE_STATE_H
#define SOTTO_AGGREGATOR_VIEWS_PROFILE_STATE_H

#include "aggregator/views/profile.h"
#include "aggregator/views/rows.h"
#include "aggregator/views/subjects.h"

struct recent_row {
    uint32_t item;
    uint32_t second; /* Unix time, to 2106 */
};
struct category_row {
    uint32_t category;
    uint32_t count;
};

struct person_row {
    uint32_t events[EVENT_ROLE_COUNT];
    uint32_t consent;
    uint32_t loose_orders, loose_returns; /* events without an order */
    int64_t spent, returned, units;
    int64_t first_ms, last_ms, last_purchase_ms;
    uint64_t agents;
    struct rows orders, returned_orders; /* sets of hashes */
    struct rows recent;                  /* recent_row, newest first */
    struct rows categories;              /* category_row, by category */
    struct rows agents_above;            /* numbers from PROFILE_AGENTS on */
};

struct profiles {
    struct subjects people;
    struct dict items, categories;
    uint32_t items_saved, categories_saved;
    struct totals totals[EVENT_ROLE_COUNT];
    int64_t last_ms;
    uint64_t saturated;
    uint64_t overflowed; /* labels that no dictionary had room for */
};

void person_fini(struct person_row *r);
enum sotto_err profile_save(void *view, struct store *s);
void profile_saved(void *view);
enum sotto_err profile_load(void *view, struct store *s);
uint64_t profile_digest(void *view);

#endif
