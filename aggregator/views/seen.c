/* See seen.h; everything here is arithmetic on one event. */
#include "aggregator/views/seen.h"

#include <string.h>

#include "base/dict.h"
#include "base/when.h"

/* Fixed, so that a digest and the hash of an order mean the same for ever. */
#define SEED UINT64_C(0x5077705f76696577)

uint64_t seen_hash(struct span bytes)
{
    return hash64(bytes.size ? (const void *)bytes.data : "", bytes.size, SEED);
}

uint64_t seen_mix(uint64_t hash, uint64_t value)
{
    return hash64(&value, sizeof(value), hash);
}

bool seen_add(int64_t *sum, int64_t amount)
{
    int64_t result;

    if (!__builtin_add_overflow(*sum, amount, &result)) {
        *sum = result;
        return false;
    }
    *sum = amount < 0 ? INT64_MIN : INT64_MAX;
    return true;
}

void seen_count(uint32_t *counter)
{
    if (*counter < UINT32_MAX)
        ++*counter;
}

static struct span as_text(const struct policy *p, const struct event *ev,
                           enum role role)
{
    const struct event_value *v = event_role_value(p, ev, role);

    return v ? v->text : span_of("", 0);
}

static enum value_type type_of_role(const struct policy *p,
                                    const struct event *ev, enum role role)
{
    const struct policy_event *event = &p->events[ev->index];

    return event->fields[event->by_role[role]].type;
}

static void read_amount(struct seen *out, const struct policy *p,
                        const struct event *ev)
{
    const struct event_value *v = event_role_value(p, ev, ROLE_QUANTITY);
    int64_t value = 0;
    bool negative;

    out->quantity = v ? v->number : 1;
    if (out->role == EVENT_RETURN && out->quantity < 0)
        out->quantity = out->quantity == INT64_MIN ? INT64_MAX : -out->quantity;
    v = event_role_value(p, ev, ROLE_VALUE);
    if (v && type_of_role(p, ev, ROLE_VALUE) == TYPE_INT)
        out->saturated = __builtin_mul_overflow(v->number, MONEY_ONE, &value);
    else if (v)
        value = v->number;
    negative = (v && v->number < 0) != (out->quantity < 0);
    out->saturated |=
        __builtin_mul_overflow(value, out->quantity, &out->amount);
    if (out->saturated)
        out->amount = negative ? INT64_MIN : INT64_MAX;
}

static void read_order(struct seen *out, const struct policy *p,
                       const struct event *ev)
{
    const struct event_value *v = event_role_value(p, ev, ROLE_ORDER);

    if (!v)
        return;
    out->ordered = true;
    if (type_of_role(p, ev, ROLE_ORDER) == TYPE_ID)
        memcpy(&out->order, v->id, sizeof(out->order));
    else
        out->order = seen_hash(v->text);
}

void seen_read(struct seen *out, const struct fold *f, const struct event *ev)
{
    const struct policy *p = f->policy;
    const struct event_value *subject = event_role_value(p, ev, ROLE_SUBJECT);
    const struct event_value *time = event_role_value(p, ev, ROLE_TIME);

    out->role = (enum event_role)p->events[ev->index].role;
    out->subject = subject ? subject->id : NULL;
    out->consent = ev->consent;
    out->time_ms = time ? time->number : f->received_ms;
    out->item = as_text(p, ev, ROLE_ITEM);
    out->name = as_text(p, ev, ROLE_NAME);
    out->category = as_text(p, ev, ROLE_CATEGORY);
    out->saturated = false;
    out->ordered = false;
    out->order = 0;
    read_amount(out, p, ev);
    read_order(out, p, ev);
}
