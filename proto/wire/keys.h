/* Key pairs of an agent or an aggregator, and their ids.
 *
 * Secrets live in sodium_malloc memory from birth and are wiped by
 * keys_free. An id is the first 16 bytes of BLAKE2b-256(public key). */
#ifndef SOTTO_WIRE_KEYS_H
#define SOTTO_WIRE_KEYS_H

#include "base/buf.h"

#include <sodium.h>

#define KEY_ID_SIZE 16
#define HASH_SIZE 32
#define PK_SIZE 32

struct keys {
    uint8_t sign_pk[PK_SIZE]; /* Ed25519 */
    uint8_t box_pk[PK_SIZE];  /* X25519 */
    uint8_t sign_id[KEY_ID_SIZE];
    uint8_t box_id[KEY_ID_SIZE];
    uint8_t *sign_sk; /* 64 bytes, sodium_malloc */
    uint8_t *box_sk;  /* 32 bytes, sodium_malloc */
};

/* What one knows of the other side. */
struct peer {
    uint8_t sign_pk[PK_SIZE];
    uint8_t box_pk[PK_SIZE];
    uint8_t sign_id[KEY_ID_SIZE];
    uint8_t box_id[KEY_ID_SIZE];
};

enum sotto_err keys_make(struct keys **out);
void keys_free(struct keys *k); /* accepts NULL */
/* Secret form, for a file of mode 0600: "save" appends to a buf that the
 * caller wipes. */
enum sotto_err keys_save(const struct keys *k, struct buf *out);
enum sotto_err keys_load(struct keys **out, struct span bytes);
void keys_peer(const struct keys *k, struct peer *out);
void peer_init(struct peer *p, const uint8_t sign_pk[PK_SIZE],
               const uint8_t box_pk[PK_SIZE]);

void key_id(uint8_t out[KEY_ID_SIZE], const uint8_t pk[PK_SIZE]);
/* BLAKE2b-256 of the parts one after the other. */
void hash_bytes(uint8_t out[HASH_SIZE], struct span a, struct span b);

#endif
