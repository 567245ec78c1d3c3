/* Signed answers to requests: a reply record, or a certificate. */
#ifndef SOTTO_AGGREGATOR_ANSWER_H
#define SOTTO_AGGREGATOR_ANSWER_H

#include "link/reply.h"
#include "wire/message.h"

struct answer_to {
    const struct keys *keys; /* ours: they sign */
    const struct peer *peer;
    const uint8_t *nonce; /* of the request, echoed */
};

/* Each signs, sends and ends the call; without memory the call is dropped and
 * the agent asks again. Nonce and time are filled in. */
void answer_reply(struct call *call, const struct answer_to *to,
                  struct reply *reply);
void answer_certificate(struct call *call, const struct answer_to *to,
                        struct enrolled *certificate);

#endif
