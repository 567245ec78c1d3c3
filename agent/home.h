/* The agent's directory: who it is and whom it trusts.
 *
 *   agent.keys   its two key pairs, made here, never leave (0600)
 *   token        how to reach the aggregator, and its keys (0600)
 *   officer      the officer's bundle, opened: signers, pseudonym keys (0600)
 *   agent.cert   the aggregator's answer to the enrolment
 *   agent.yaml   settings, written by people
 *   spool.db, lists.db, control.sock, lock
 *
 * Loading needs keys, token and officer; the certificate may come later. */
#ifndef SOTTO_AGENT_HOME_H
#define SOTTO_AGENT_HOME_H

#include "policy/bundle.h"
#include "wire/message.h"

struct home {
    char dir[400];
    struct keys *keys;
    struct peer aggregator;
    char address[128];
    char name[64]; /* by the token, then by the certificate */
    struct bundle officer;
    bool enrolled;       /* there is a certificate */
    uint8_t *secret;     /* of the token, 32 bytes, sodium_malloc */
    uint8_t *import_key; /* 32 bytes for keyed hashes of imports */
};

/* Makes what is missing from token text and bundle file: keys first, so that a
 * lost reply can be asked for again with the same ones. A directory that has
 * another token or tenant is SOTTO_EEXIST. code opens the bundle. */
enum sotto_err home_make(const char *dir, struct span token_text,
                         struct span bundle_file, const char *code,
                         struct why *why);
/* SOTTO_ENOTFOUND: not made yet ("run enroll first"). */
enum sotto_err home_load(struct home **out, const char *dir, struct why *why);
void home_free(struct home *h); /* wipes; accepts NULL */
/* Writes the bundle with other pseudonym keys, and overwrites what the file
 * held before, as it may hold keys that are to be gone. h->officer.keys stays.
 * SOTTO_ENOMEM, SOTTO_EIO: the file may hold either. */
enum sotto_err home_rekey(const struct home *h, struct pseudonym_keys *keys);
/* Finishes a home_rekey that a crash cut short; for the owner, at its start. */
enum sotto_err home_destroy_rest(const struct home *h);
/* Keeps the certificate envelope, once it was verified. */
enum sotto_err home_enrolled(struct home *h, struct span certificate);

#endif
