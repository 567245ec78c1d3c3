/* The officer's key directory: a signing key and the master secret from which
 * every pseudonym key is derived.
 *
 *   NAME.pub, NAME.sec   minisign formats
 *   pseudonym.secret     32 random bytes, base64
 *   NAME.epoch           of a key with epochs: the oldest epoch that is kept and
 *                        its secret, which no other file gives back
 *
 * The secrets are files of mode 0600. Nothing here is ever overwritten but the
 * keys of epochs that are over: a master that is lost takes the meaning of every
 * pseudonym with it. */
#ifndef SOTTO_POLICY_TOOL_OFFICER_H
#define SOTTO_POLICY_TOOL_OFFICER_H

#include "policy/anonymize.h"
#include "policy/minisign.h"

#define MASTER_SIZE 32
#define OFFICER_PATH_MAX 4096

/* Makes DIR (0700) if it is missing and the files in it; without_master leaves
 * pseudonym.secret out, for those who only sign. SOTTO_EEXIST, SOTTO_EINVAL
 * (the name), SOTTO_EIO. */
enum sotto_err officer_keygen(const char *dir, const char *name,
                              bool without_master, struct minisign_pk *pk,
                              struct why *why);

/* Into sodium_malloc memory of MASTER_SIZE bytes; the caller's to free. */
enum sotto_err officer_master_load(uint8_t **master, const char *dir,
                                   struct why *why);

/* The secret of one pseudonym key: keyed BLAKE2b-256 (key: the master) over
 * "sotto pseudonym key" | 0 | tenant | 0 | key name. RFC 7693. */
void officer_key_derive(uint8_t out[32], const uint8_t master[MASTER_SIZE],
                        const char *tenant, const char *key);

/* All keys of a policy; dir NULL: from a throwaway master, for a dry run whose
 * pseudonyms mean nothing outside it. Keys with epochs are not derived, but
 * random, made at their first use; what is over by this machine's clock is
 * destroyed in their files first. */
enum sotto_err officer_keys(struct pseudonym_keys **out, const struct policy *p,
                            const char *dir, struct why *why);

/* Key files, with the file named in why. */
enum sotto_err officer_pk_load(struct minisign_pk *pk, const char *file,
                               struct why *why);
enum sotto_err officer_sk_load(struct minisign_sk **sk, const char *file,
                               struct why *why);

#endif
