/* The erased: keyed hashes of pseudonyms whose events are taken no more. Asked
 * of every event when it is committed and when it is folded, so that a spool
 * of before the erasure, a replay or a restored directory brings nobody back.
 *
 * The table is a sealed file beside the directory, like the store key and
 * outside of its backups: a directory that was restored meets a newer one. The
 * hash is keyed by a key of its own, derived from the store key (store_blind),
 * so the file alone answers no question. The database has a copy of those that
 * are removed from it; who is in the file only is `pending`, in the copy only:
 * the file was lost, and is made whole again.
 *
 * An entry is lifted by a new consent. Nothing grants one at the aggregator
 * yet; where that is decided, the entry goes from file and copy.
 *
 * Any thread may ask; one thread at a time changes it. */
#ifndef SOTTO_AGGREGATOR_SUPPRESS_H
#define SOTTO_AGGREGATOR_SUPPRESS_H

#include "aggregator/store.h"

#define SUPPRESS_SUBJECT_SIZE 16
#define SUPPRESS_HASH_SIZE STORE_BLIND_SIZE
#define RECEIPT_ID_SIZE 8
#define RECEIPT_PROOF_SIZE 16

struct suppressed {
    uint8_t hash[SUPPRESS_HASH_SIZE];
    uint8_t receipt[RECEIPT_ID_SIZE]; /* random */
    /* BLAKE2b-128 of id and pseudonym, one after the other: shows whose the
     * receipt is to those who know the pseudonym. */
    uint8_t proof[RECEIPT_PROOF_SIZE];
    int64_t erased_ms;
};

void receipt_proof(uint8_t out[RECEIPT_PROOF_SIZE],
                   const uint8_t receipt[RECEIPT_ID_SIZE],
                   const uint8_t subject[SUPPRESS_SUBJECT_SIZE]);

struct suppress;

/* store lends its key, and is read here only. SOTTO_ECRYPTO: the file was
 * changed, or is of another store. */
enum sotto_err suppress_open(struct suppress **out, const char *file,
                             struct store *store, struct why *why);
void suppress_close(struct suppress *s); /* accepts NULL */

/* A NULL table suppresses nobody. */
bool suppress_has(struct suppress *s,
                  const uint8_t subject[SUPPRESS_SUBJECT_SIZE]);
/* The entry's number, from 0 in the order of erasure; SOTTO_ENOTFOUND. */
enum sotto_err suppress_find(struct suppress *s,
                             const uint8_t subject[SUPPRESS_SUBJECT_SIZE],
                             uint32_t *number);
uint32_t suppress_count(struct suppress *s);
void suppress_get(struct suppress *s, uint32_t number, struct suppressed *out);

/* Who asks and then writes what he was told to the database holds the table
 * meanwhile: suppress_add returns when all who asked before it have written.
 * For a moment only, and not by the thread that adds. */
void suppress_hold(struct suppress *s);
void suppress_release(struct suppress *s);

/* Durable when it returns, and asked from then on. SOTTO_EEXIST: is there. */
enum sotto_err suppress_add(struct suppress *s,
                            const uint8_t subject[SUPPRESS_SUBJECT_SIZE],
                            int64_t now_ms, uint32_t *number);

/* The first entry that is not yet removed from the database; the count: all
 * are. */
uint32_t suppress_pending(struct suppress *s);
/* The first count entries are; durable. */
enum sotto_err suppress_done(struct suppress *s, struct store *store,
                             uint32_t count);

#endif
