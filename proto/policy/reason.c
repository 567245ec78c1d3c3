/* The table of drop reasons, and the counters that travel in batches. */
#include "policy/reason.h"

#include <string.h>

struct reason_row {
    const char *name;
    const char *text;
    enum sotto_err err;
};

static const struct reason_row rows[] = {
    [DROP_NOT] = {"accepted", "the event was taken", SOTTO_OK},
    [DROP_NO_POLICY] = {"no_policy", "there is no policy yet", SOTTO_EAGAIN},
    [DROP_EXPIRED] = {"expired", "the policy is not in force at this time",
                      SOTTO_EDENIED},
    [DROP_UNKNOWN_EVENT] = {"unknown_event",
                            "the policy does not list this event",
                            SOTTO_EDENIED},
    [DROP_NO_CONSENT] = {"no_consent",
                         "the purpose of the event is not granted, or not "
                         "known to be",
                         SOTTO_EDENIED},
    [DROP_TOO_OLD] = {"too_old",
                      "the event is past the retention of its purpose",
                      SOTTO_EDENIED},
    [DROP_BAD_TIME] = {"bad_time",
                       "the time of the event is outside 1970 to 9999",
                       SOTTO_EINVAL},
    [DROP_MISSING_FIELD] = {"missing_field",
                            "a required field is absent or does not fit",
                            SOTTO_EINVAL},
    [DROP_TOO_BIG] = {"too_big", "the event is over the size of a record",
                      SOTTO_ETOOBIG},
    [DROP_RING_FULL] = {"ring_full", "the ring holds no more events",
                        SOTTO_EFULL},
    [DROP_CLOSED] = {"closed", "the handle is closing", SOTTO_ECLOSED},
};

_Static_assert(sizeof(rows) / sizeof(rows[0]) == DROP_COUNT,
               "every reason has a row");

static const struct reason_row unknown = {"unknown", "an unknown reason",
                                          SOTTO_EINVAL};

static const struct reason_row *row_of(enum drop_reason reason)
{
    size_t i = (size_t)reason; /* a negative value becomes a large one */

    return i < DROP_COUNT ? &rows[i] : &unknown;
}

const char *drop_name(enum drop_reason reason)
{
    return row_of(reason)->name;
}

const char *drop_text(enum drop_reason reason)
{
    return row_of(reason)->text;
}

enum sotto_err drop_err(enum drop_reason reason)
{
    return row_of(reason)->err;
}

bool counter_name_ok(struct span name)
{
    if (name.size == 0 || name.size > COUNTER_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_' &&
            c != '-')
            return false;
    }
    return true;
}

/* Counters are cumulative and never wrap: a wrapped one would look like a
 * loss. */
static uint64_t add_capped(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

enum sotto_err counters_add(struct counters *c, const char *name,
                            uint64_t count)
{
    struct span key = span_text(name);
    struct counter *row;

    if (!counter_name_ok(key))
        return SOTTO_EINVAL;
    for (uint32_t i = 0; i < c->drop_count; i++) {
        if (strcmp(c->drops[i].name, name) == 0) {
            c->drops[i].count = add_capped(c->drops[i].count, count);
            return SOTTO_OK;
        }
    }
    if (c->drop_count >= COUNTERS_MAX)
        return SOTTO_EFULL;
    row = &c->drops[c->drop_count++];
    memset(row->name, 0, sizeof(row->name));
    memcpy(row->name, name, key.size);
    row->count = count;
    return SOTTO_OK;
}

uint64_t counters_dropped(const struct counters *c)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < c->drop_count; i++)
        sum = add_capped(sum, c->drops[i].count);
    return sum;
}
