/* What a view reads of an event: by role, never by name. policy_load has
 * checked that a role's field has a type of that role. The one place where
 * fields get a meaning:
 *
 *   time      of the event, else when the chunk was received
 *   amount    value * quantity in millionths; an INT value counts whole units;
 *             a missing quantity is 1
 *   returns   count without sign, whether the shop writes -2 or 2
 *   order     a 64-bit hash; two orders share one with chance 2^-64 */
#ifndef SOTTO_AGGREGATOR_VIEWS_SEEN_H
#define SOTTO_AGGREGATOR_VIEWS_SEEN_H

#include "aggregator/view.h"

struct seen {
    enum event_role role;
    const uint8_t *subject; /* 16 bytes; NULL: unknown person */
    uint32_t consent;
    int64_t time_ms;
    struct span item, name, category; /* size 0: none */
    int64_t quantity;
    int64_t amount;
    bool ordered;
    uint64_t order;
    bool saturated; /* amount did not fit 64 bits */
};

/* out borrows from f and ev. */
void seen_read(struct seen *out, const struct fold *f, const struct event *ev);

/* sum += amount, staying at the limit instead of going over it; whether it
 * did. */
bool seen_add(int64_t *sum, int64_t amount);
/* +1, staying at the limit. */
void seen_count(uint32_t *counter);

/* A hash of texts and numbers for digests and orders: the same in every
 * process. */
uint64_t seen_hash(struct span bytes);
uint64_t seen_mix(uint64_t hash, uint64_t value);

#endif
