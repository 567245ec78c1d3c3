/* See answer.h. */
#include "aggregator/answer.h"

#include <string.h>

#include "base/clock.h"

#define RECORD_MAX 4096

static void send_record(struct call *call, const struct answer_to *to,
                        uint32_t kind, enum message_type type,
                        const void *record)
{
    struct envelope head = {.kind = kind};
    struct buf body, out;
    enum sotto_err err;

    buf_init(&body, RECORD_MAX);
    buf_init(&out, 2 * RECORD_MAX);
    err = message_encode(&body, type, record);
    if (!err)
        err = envelope_write(&out, &head, span_of(body.data, body.size),
                             to->keys, to->peer);
    if (!err)
        call_reply(call, span_of(out.data, out.size));
    else
        call_drop(call);
    buf_fini(&body);
    buf_fini(&out);
}

void answer_reply(struct call *call, const struct answer_to *to,
                  struct reply *reply)
{
    memcpy(reply->nonce, to->nonce, NONCE_SIZE);
    reply->time_ms = clock_wall_ms(&clock_system);
    send_record(call, to, KIND_REPLY, MESSAGE_REPLY, reply);
}

void answer_certificate(struct call *call, const struct answer_to *to,
                        struct enrolled *certificate)
{
    memcpy(certificate->nonce, to->nonce, NONCE_SIZE);
    certificate->time_ms = clock_wall_ms(&clock_system);
    send_record(call, to, KIND_ENROLLED, MESSAGE_ENROLLED, certificate);
}
