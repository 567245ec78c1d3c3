/* An incoming request: is it what it says it is? Everything here is plain work
 * over memory, done on a worker thread: signature, seal, decompression,
 * decoding. */
#ifndef SOTTO_AGGREGATOR_INCOMING_H
#define SOTTO_AGGREGATOR_INCOMING_H

#include "policy/batch.h"
#include "wire/message.h"

struct incoming {
    /* Given. */
    struct span frame;       /* the envelope's bytes; the owner keeps them */
    struct envelope e;       /* parsed from frame */
    struct peer peer;        /* whom the sender id names */
    const struct keys *keys; /* ours */
    const struct policy *policy; /* of a batch */
    bool keep; /* the decoded batch, some ten times its bytes */
    /* Found. */
    enum refusal refusal;     /* why it is refused, or REFUSAL_NONE */
    struct buf payload;       /* as sent: compressed; what the log keeps */
    struct buf plain;         /* decompressed; empty unless batch is kept */
    struct batch_view *batch; /* of a batch; borrows from plain */
    struct buf ids;           /* pseudonyms in it, 16 bytes each */
    struct counters counters; /* of a batch */
    uint32_t events;
    uint32_t erased; /* of these no longer in payload */
    char reason[64]; /* of a void */
    uint8_t body[BODY_ID_SIZE];
    struct poll poll;
};

void incoming_init(struct incoming *m);
void incoming_fini(struct incoming *m); /* wipes */
/* Verifies the signature, then opens and decodes by kind; fills refusal. */
void incoming_verify(struct incoming *m);
/* An enrolment names its own key: opens it and verifies against that. The
 * request holds a secret: the caller wipes it. */
enum sotto_err incoming_enrol(struct incoming *m, struct enrol *request);

#endif
