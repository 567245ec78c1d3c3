/* The small records inside envelopes, each described by one table of fields
 * (message.c) that encoder, decoder and tests walk. msgpack arrays; new fields
 * go at the end, a reader fills what an older writer did not send with zero.
 *
 * A request frame on the link is nonce (16 random bytes) followed by an
 * envelope; a reply frame is an envelope, and the record in it echoes the
 * nonce. A batch's envelope is byte-identical at each resend, its nonce is
 * not. */
#ifndef SOTTO_WIRE_MESSAGE_H
#define SOTTO_WIRE_MESSAGE_H

#include "wire/envelope.h"

#define NONCE_SIZE 16

enum verdict {
    VERDICT_ACK = 1, /* committed up to watermark */
    VERDICT_RETRY,   /* not now: wait_ms, reason; resend from watermark + 1 */
    VERDICT_FORK,    /* another chain is known at sequence; watermark is the
                        last common one */
    VERDICT_REFUSED, /* for good, committed as refused: reason */
};

enum refusal {
    REFUSAL_NONE,
    REFUSAL_BUSY,           /* retry */
    REFUSAL_UNKNOWN_POLICY, /* retry: waits until the policy is added */
    REFUSAL_GAP,            /* retry: an earlier sequence is missing */
    REFUSAL_UNDECODABLE,    /* terminal */
    REFUSAL_WRONG_SENDER,   /* terminal: sealed by or for another */
    REFUSAL_UNKNOWN_AGENT,  /* terminal for the connection */
    REFUSAL_REVOKED,        /* terminal */
    REFUSAL_BAD_SIGNATURE,  /* terminal for the request */
    REFUSAL_TOKEN_UNKNOWN,  /* enrolment */
    REFUSAL_TOKEN_EXPIRED,
    REFUSAL_TOKEN_SPENT, /* bound to another key */
    REFUSAL_VERSION,
    REFUSAL_COUNT
};
const char *refusal_text(uint32_t refusal); /* a sentence with what to do */
const char *refusal_name(uint32_t refusal); /* "unknown_policy" */

struct reply { /* KIND_REPLY */
    uint8_t nonce[NONCE_SIZE];
    uint64_t stream, sequence; /* echoed */
    uint64_t verdict;
    uint64_t reason;
    uint64_t watermark;
    uint64_t wait_ms;
    int64_t time_ms; /* the aggregator's wall clock: trusted time */
};

struct poll { /* KIND_POLL; the envelope's stream and sequence say what the
               * agent takes for acknowledged */
    uint64_t applied; /* highest document number applied */
    uint64_t resync;  /* 1: documents were lost, send everything again */
    uint64_t spooled_events, spooled_bytes;
};

struct enrol { /* KIND_ENROL */
    uint8_t nonce[NONCE_SIZE];
    uint8_t secret[32]; /* of the token */
    uint8_t sign_pk[PK_SIZE], box_pk[PK_SIZE];
};

struct enrolled { /* KIND_ENROLLED: the certificate */
    uint8_t nonce[NONCE_SIZE];
    uint64_t reason; /* a refusal, or 0 */
    struct span name;
    uint8_t agent[KEY_ID_SIZE];
    int64_t time_ms;
};

struct void_body { /* KIND_VOID */
    uint8_t body_hash[HASH_SIZE];
    struct span reason;
    uint64_t events;
};

struct documents_head { /* KIND_DOCUMENTS: first value of the payload */
    uint8_t nonce[NONCE_SIZE];
    uint64_t last;  /* number of the newest document there is */
    uint64_t count; /* documents that follow in this envelope */
    int64_t time_ms;
};

struct token {           /* what `enroll NAME` prints, base64 in a text file */
    struct span address; /* tcp://host:port */
    uint8_t sign_pk[PK_SIZE], box_pk[PK_SIZE]; /* the aggregator's */
    uint8_t secret[32];
    int64_t expires_ms;
    struct span name;
};

enum message_type {
    MESSAGE_REPLY,
    MESSAGE_POLL,
    MESSAGE_ENROL,
    MESSAGE_ENROLLED,
    MESSAGE_VOID,
    MESSAGE_DOCUMENTS_HEAD,
    MESSAGE_TOKEN,
    MESSAGE_COUNT
};

/* message is the struct of that type. Encoding appends. After decoding, spans
 * borrow from bytes. SOTTO_EDECODE on anything trailing. */
enum sotto_err message_encode(struct buf *out, enum message_type type,
                              const void *message);
enum sotto_err message_decode(void *message, enum message_type type,
                              struct span bytes);

/* The token's text: "sotto1:" + base64url; SOTTO_EDECODE. White space after it
 * is ignored. The decoded spans borrow from scratch. Text, scratch and token
 * hold a secret: the caller wipes them. */
enum sotto_err token_write(struct buf *out, const struct token *t);
enum sotto_err token_read(struct token *t, struct span text,
                          struct buf *scratch);

#endif
