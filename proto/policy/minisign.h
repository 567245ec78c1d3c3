/* Keys and signatures in minisign's formats, so that the public tool verifies
 * ours: https://jedisct1.github.io/minisign/ ("Signature format", prehashed
 * "ED": Ed25519 over BLAKE2b-512 of the file; trusted comment signed too). */
#ifndef SOTTO_POLICY_MINISIGN_H
#define SOTTO_POLICY_MINISIGN_H

#include "wire/keys.h"

struct minisign_pk {
    uint8_t key_id[8];
    uint8_t pk[PK_SIZE];
};
struct minisign_sk { /* in sodium_malloc memory */
    uint8_t key_id[8];
    uint8_t sk[64];
};

enum sotto_err minisign_make(struct minisign_sk **sk, struct minisign_pk *pk);
void minisign_free(struct minisign_sk *sk);
enum sotto_err minisign_pk_write(struct buf *out, const struct minisign_pk *pk);
enum sotto_err minisign_pk_read(struct minisign_pk *pk, struct span text);
/* Unencrypted form (as minisign -W makes it), for a file of mode 0600. */
enum sotto_err minisign_sk_write(struct buf *out, const struct minisign_sk *sk);
enum sotto_err minisign_sk_read(struct minisign_sk **sk, struct span text);
/* comment: the trusted comment, one line. */
enum sotto_err minisign_sign(struct buf *out, const struct minisign_sk *sk,
                             struct span message, const char *comment);
/* SOTTO_ECRYPTO; SOTTO_ENOTFOUND when signed by another key id. */
enum sotto_err minisign_verify(const struct minisign_pk *pk,
                               struct span message, struct span signature);

#endif
