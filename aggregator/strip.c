/* See strip.h. An event that stays is added to a new batch as it was decoded:
 * encoding makes the columns and dictionaries of what is left. */
#include "aggregator/strip.h"

#include <string.h>

#include "wire/envelope.h"

#define ID_SIZE SUPPRESS_SUBJECT_SIZE

void strip_init(struct strip *t)
{
    memset(t, 0, sizeof *t);
    buf_init(&t->found, PAYLOAD_MAX);
    buf_init(&t->body, PAYLOAD_MAX);
}

void strip_fini(struct strip *t)
{
    batch_close(t->batch);
    buf_wipe(&t->found);
    buf_wipe(&t->body);
}

/* The erased among ids to found. */
static enum sotto_err find(struct strip *t, struct suppress *s, struct span ids)
{
    enum sotto_err err = SOTTO_OK;

    buf_clear(&t->found);
    buf_clear(&t->body);
    t->removed = 0;
    if (!suppress_count(s))
        return SOTTO_OK;
    for (size_t at = 0; at + ID_SIZE <= ids.size && !err; at += ID_SIZE)
        if (suppress_has(s, ids.data + at))
            err = buf_append(&t->found, ids.data + at, ID_SIZE);
    return err;
}

static bool is_found(const struct strip *t, const uint8_t *id)
{
    for (size_t at = 0; at < t->found.size; at += ID_SIZE)
        if (memcmp(t->found.data + at, id, ID_SIZE) == 0)
            return true;
    return false;
}

/* By every field that holds a pseudonym, not only the subject's. */
static bool names_found(const struct strip *t, const struct event *ev,
                        const struct policy *p)
{
    const struct policy_event *event = &p->events[ev->index];

    for (unsigned f = 0; f < event->field_count; f++)
        if (event->fields[f].type == TYPE_ID && ev->values[f].present &&
            is_found(t, ev->values[f].id))
            return true;
    return false;
}

static enum sotto_err add_rest(struct strip *t, const struct batch_view *v,
                               const struct policy *p)
{
    uint32_t count = batch_view_count(v);
    enum sotto_err err = SOTTO_OK;
    struct event ev;

    for (uint32_t i = 0; i < count && !err; i++) {
        batch_view_event(v, i, &ev);
        if (names_found(t, &ev, p))
            t->removed++;
        else
            err = batch_add(t->batch, &ev);
    }
    return err;
}

enum sotto_err strip_batch(struct strip *t, struct suppress *s,
                           const struct batch_view *v, const struct policy *p)
{
    enum sotto_err err = find(t, s, batch_view_identities(v));

    if (err || !t->found.size)
        return err;
    /* As large as any that a reader takes: less than it was always fits. */
    if (!t->batch)
        err = batch_open(&t->batch, BATCH_EVENTS_MAX, BATCH_BYTES_MAX);
    if (err)
        return err;
    batch_begin(t->batch, p);
    err = add_rest(t, v, p);
    if (!err)
        err = batch_encode(t->batch, batch_view_counters(v), &t->body);
    batch_begin(t->batch, p); /* keeps nobody's */
    return err;
}

enum sotto_err strip_forget(struct strip *t, struct suppress *s,
                            struct span body)
{
    enum sotto_err err = body.size % ID_SIZE ? SOTTO_EDECODE : find(t, s, body);

    if (err || !t->found.size)
        return err;
    err = buf_append(&t->body, body.data, body.size);
    for (size_t at = 0; at < t->body.size; at += ID_SIZE)
        if (is_found(t, t->body.data + at))
            memset(t->body.data + at, 0, ID_SIZE);
    return err;
}
