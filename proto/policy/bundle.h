/* The officer's bundle: what an agent must get without the aggregator ever
 * seeing it. A file, encrypted under a one-time code: magic, salt, nonce, then
 * XSalsa20-Poly1305 (crypto_secretbox) under crypto_pwhash(code), of msgpack
 *   [1, tenant, signers needed, [[name, key id, pk]…], minimum version,
 *    [[key name, secret]…], signed policy (bin)],
 * where a key with epochs is [key name, secret, epoch, destroy after, number of
 * the secret's epoch]. */
#ifndef SOTTO_POLICY_BUNDLE_H
#define SOTTO_POLICY_BUNDLE_H

#include "policy/anonymize.h"
#include "policy/signed.h"

struct bundle {
    char tenant[NAME_MAX_SIZE + 1];
    struct signers signers;
    uint64_t minimum_version;
    struct pseudonym_keys *keys; /* owned */
    struct buf policy;           /* signed container; may be empty */
};

void bundle_fini(struct bundle *b); /* wipes */
/* Plain form: what the agent keeps in its directory, mode 0600. */
enum sotto_err bundle_encode(struct buf *out, const struct bundle *b);
enum sotto_err bundle_decode(struct bundle *b, struct span bytes);

#define BUNDLE_FILE_MAX (SIGNED_POLICY_MAX + 20 * 1024)

#define BUNDLE_CODE_SIZE 24 /* "7HQM-0ZKD-W4RT-9BXE-2NPC" */
void bundle_code_make(char code[BUNDLE_CODE_SIZE + 1]); /* 100 random bits */
enum sotto_err bundle_seal(struct buf *out, const struct bundle *b,
                           const char *code);
/* SOTTO_ECRYPTO: the code is not the one of this file. Case and dashes of the
 * code do not matter. */
enum sotto_err bundle_open(struct bundle *b, struct span file,
                           const char *code);

#endif
