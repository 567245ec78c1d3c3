/* See incoming.h. */
#include "aggregator/incoming.h"

#include <string.h>

void incoming_init(struct incoming *m)
{
    memset(m, 0, sizeof *m);
    buf_init(&m->payload, FRAME_MAX);
    buf_init(&m->plain, PAYLOAD_MAX);
    buf_init(&m->ids, PAYLOAD_MAX);
}

void incoming_fini(struct incoming *m)
{
    buf_wipe(&m->payload);
    batch_view_free(m->batch);
    buf_wipe(&m->plain);
    buf_wipe(&m->ids);
}

/* A refusal for good is a judgement of the bytes; a lack of memory here says
 * nothing about them, and the agent sends again. */
static enum refusal refusal_for(enum sotto_err err)
{
    return err == SOTTO_ENOMEM ? REFUSAL_BUSY : REFUSAL_UNDECODABLE;
}

static enum refusal open_batch(struct incoming *m)
{
    struct span ids;
    enum sotto_err err = batch_decode(
        &m->batch, span_of(m->plain.data, m->plain.size), m->policy);

    if (err)
        return refusal_for(err);
    ids = batch_view_identities(m->batch);
    if (buf_append(&m->ids, ids.data, ids.size))
        return REFUSAL_BUSY;
    m->events = batch_view_count(m->batch);
    m->counters = *batch_view_counters(m->batch);
    return REFUSAL_NONE;
}

static enum refusal open_void(struct incoming *m)
{
    struct void_body body;

    if (message_decode(&body, MESSAGE_VOID, m->e.body) ||
        body.events > BATCH_EVENTS_MAX || body.reason.size == 0 ||
        body.reason.size >= sizeof m->reason)
        return REFUSAL_UNDECODABLE;
    memcpy(m->reason, body.reason.data, body.reason.size);
    memcpy(m->body, body.body_hash, BODY_ID_SIZE);
    m->events = (uint32_t)body.events;
    return REFUSAL_NONE;
}

static enum refusal open_sealed(struct incoming *m)
{
    enum sotto_err err = envelope_open(&m->payload, &m->e, m->keys);

    if (m->e.body.size >= BODY_ID_SIZE)
        memcpy(m->body, m->e.body.data, BODY_ID_SIZE);
    if (err == SOTTO_ECRYPTO)
        return REFUSAL_WRONG_SENDER;
    if (!err)
        err = payload_unzip(
            &m->plain, span_of(m->payload.data, m->payload.size), PAYLOAD_MAX);
    if (err)
        return refusal_for(err);
    if (m->e.kind == KIND_BATCH)
        return open_batch(m);
    if (m->plain.size != 16)
        return REFUSAL_UNDECODABLE;
    return buf_append(&m->ids, m->plain.data, 16) ? REFUSAL_BUSY : REFUSAL_NONE;
}

void incoming_verify(struct incoming *m)
{
    if (envelope_verify(&m->e, m->frame, m->peer.sign_pk)) {
        m->refusal = REFUSAL_BAD_SIGNATURE;
        return;
    }
    switch (m->e.kind) {
    case KIND_POLL:
        if (message_decode(&m->poll, MESSAGE_POLL, m->e.body))
            m->refusal = REFUSAL_UNDECODABLE;
        break;
    case KIND_VOID:
        m->refusal = open_void(m);
        break;
    default:
        m->refusal = open_sealed(m);
        if (m->keep && m->refusal == REFUSAL_NONE)
            break;
        batch_view_free(m->batch);
        m->batch = NULL;
        buf_wipe(&m->plain); /* what waits for its commit stays small */
        break;
    }
}

enum sotto_err incoming_enrol(struct incoming *m, struct enrol *request)
{
    enum sotto_err err = envelope_open(&m->payload, &m->e, m->keys);

    if (!err)
        err = payload_unzip(&m->plain,
                            span_of(m->payload.data, m->payload.size), 4096);
    if (!err)
        err = message_decode(request, MESSAGE_ENROL,
                             span_of(m->plain.data, m->plain.size));
    return err ? err : envelope_verify(&m->e, m->frame, request->sign_pk);
}
