/* The envelope: everything that travels, in both directions, is one.
 *
 *   msgpack array: version, kind, sender id, recipient id, stream, sequence,
 *   chain, policy hash, body, signature
 *
 * The signature is Ed25519 over all bytes before its own element, which is
 * always the last 66: c4 40 and the 64 of the signature.
 *
 * A kind is sealed or plain, by the table in envelope.c. A sealed body is
 * libsodium's sealed box to the recipient's X25519 key of
 *
 *   sender id | kind | policy hash | size of payload | payload | zeros (Padmé)
 *      16        4         32              4
 *
 * bytes, numbers little-endian, padme(all before the zeros) in all, where
 * payload is one zstd frame (level 1). The first three are compared
 * after opening, so nobody can sign another's ciphertext as his own. A plain
 * body is the payload itself, uncompressed.
 *
 * chain = BLAKE2b-256(previous chain | BLAKE2b-256(body)). A void stands in
 * the place of a body that is gone and carries that body's hash; its chain is
 * made of the hash it carries, so no later chain changes.
 * Padmé: Nikitin et al., "Reducing Metadata Leakage from Encrypted Files",
 * PoPETs 2019, algorithm 1. */
#ifndef SOTTO_WIRE_ENVELOPE_H
#define SOTTO_WIRE_ENVELOPE_H

#include "wire/keys.h"

#define ENVELOPE_VERSION 1
#define FRAME_MAX (1024 * 1024)       /* bytes of an envelope, and of a frame */
#define PAYLOAD_MAX (8 * 1024 * 1024) /* bytes after decompression */

enum envelope_kind {
    KIND_BATCH = 1, /* agent -> aggregator, sealed: events */
    KIND_VOID,      /* agent -> aggregator, plain: stands for a batch that is
                       gone */
    KIND_FORGET,    /* agent -> aggregator, sealed, in the stream: a subject
                       withdrew */
    KIND_POLL,      /* agent -> aggregator, plain: give me documents */
    KIND_ENROL,     /* agent -> aggregator, sealed */
    KIND_REPLY,     /* aggregator -> agent, plain: verdict on a request */
    KIND_DOCUMENTS, /* aggregator -> agent, sealed */
    KIND_ENROLLED,  /* aggregator -> agent, sealed: certificate */
    KIND_COUNT
};

struct envelope {
    uint32_t version;
    uint32_t kind;
    uint8_t sender[KEY_ID_SIZE];    /* id of a signing key */
    uint8_t recipient[KEY_ID_SIZE]; /* id of a sealing key */
    uint64_t stream;
    uint64_t sequence;
    uint8_t chain[HASH_SIZE];
    uint8_t policy[HASH_SIZE]; /* of a batch; zeros otherwise */
    struct span body;          /* borrowed from the parsed bytes */
    uint8_t signature[64];
};

bool kind_sealed(uint32_t kind);
const char *kind_name(uint32_t kind);

/* Compresses and seals (by kind), chains, signs, appends to out (which is
 * cleared first). Uses of head: kind, stream, sequence, policy, and chain as
 * the previous chain (updated to the new one). SOTTO_ETOOBIG over FRAME_MAX. */
enum sotto_err envelope_write(struct buf *out, struct envelope *head,
                              struct span payload, const struct keys *sender,
                              const struct peer *recipient);

/* The same body again under another place in a stream: for the rows that
 * follow a void or move to a new stream. chain: the previous one, updated. */
enum sotto_err envelope_rewrite(struct buf *out, struct span envelope,
                                uint64_t stream, uint64_t sequence,
                                uint8_t chain[HASH_SIZE],
                                const struct keys *sender);
/* A void in an envelope's place: says what stood there, with the same chain.
 * Needs no secret of the recipient; envelope must parse. */
enum sotto_err envelope_void(struct buf *out, struct span envelope,
                             uint64_t stream, uint64_t sequence,
                             uint8_t chain[HASH_SIZE], uint64_t events,
                             const char *reason, const struct keys *sender);

/* Asks for a sequence whose body was damaged on the sender's disk: a void that
 * carries the chain as it was stored. Who has the sequence knows that chain
 * and acknowledges; for who has not, it does not follow (the void's hash is
 * zeros): a fork, and the sender goes on as another stream, with a void in the
 * place. */
enum sotto_err envelope_lost(struct buf *out, uint64_t stream,
                             uint64_t sequence, const uint8_t chain[HASH_SIZE],
                             uint64_t events, const struct keys *sender,
                             const struct peer *recipient);

/* The first bytes of a sealed body are a public key of its own: no two bodies
 * have the same, and a body keeps them when a fork gives it another stream. A
 * void has the first of the hash of what it stands for. */
#define BODY_ID_SIZE 16

/* Structure and sizes only: the cheap check. bytes must outlive e.
 * SOTTO_EVERSION for a version this program does not speak, SOTTO_EDECODE,
 * SOTTO_ETOOBIG. */
enum sotto_err envelope_parse(struct envelope *e, struct span bytes);

/* The signature over bytes (the same that were parsed), and that sign_pk is the
 * key the sender id names. SOTTO_ECRYPTO. */
enum sotto_err envelope_verify(const struct envelope *e, struct span bytes,
                               const uint8_t sign_pk[PK_SIZE]);

/* The payload as sent: still compressed for a sealed kind, to be kept so or
 * given to payload_unzip. SOTTO_ECRYPTO if it does not open with these keys or
 * was sealed for another sender, kind or policy. out is cleared first. */
enum sotto_err envelope_open(struct buf *out, const struct envelope *e,
                             const struct keys *recipient);

/* One zstd frame of known content size at most max. SOTTO_EDECODE,
 * SOTTO_ETOOBIG. out is cleared first. */
enum sotto_err payload_unzip(struct buf *out, struct span zipped, size_t max);
enum sotto_err payload_zip(struct buf *out, struct span plain);

void chain_next(uint8_t chain[HASH_SIZE], struct span body);
/* The chain after e; SOTTO_EDECODE for a void that cannot be read. */
enum sotto_err envelope_chain(uint8_t chain[HASH_SIZE],
                              const struct envelope *e);
uint64_t padme(uint64_t size); /* the padded size */

#endif
