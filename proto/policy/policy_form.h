/* The shape of the compiled policy, shared by its writer (policy.c) and its
 * reader (policy_load.c) and nobody else: entries of each msgpack array. */
#ifndef SOTTO_POLICY_POLICY_FORM_H
#define SOTTO_POLICY_POLICY_FORM_H

#include "policy/policy.h"

enum form {
    FORM_POLICY = 13,
    FORM_SIGNER = 3,
    FORM_KEY = 2,
    FORM_KEY_EPOCH = 3,
    FORM_PURPOSE = 4,
    FORM_EVENT = 4,
    FORM_FIELD = 6, /* and the parameters of its action */
};

static inline uint32_t form_parameters(unsigned action)
{
    static const uint8_t parameters[ACTION_COUNT] = {
        [ACTION_KEEP] = 3,      [ACTION_PSEUDONYM] = 3, [ACTION_TIME] = 1,
        [ACTION_BUCKET] = 2,    [ACTION_IP] = 2,        [ACTION_URL] = 2,
        [ACTION_RANDOMIZE] = 3, [ACTION_REDACT] = 2,
    };

    return action < ACTION_COUNT ? parameters[action] : 0;
}

/* The slot of an event's name in p->slots, or the empty one where it goes. */
uint32_t policy_slot(const struct policy *p, struct span name);

#endif
