/* The audit log as a file, for whoever may read it: no key, no daemon and no
 * database is needed.
 *
 * One line an entry, each with the signed head of the log as it was when that
 * entry had been added:
 *
 *   SIZE ROOT SIGNATURE ENTRY\n
 *
 * SIZE is the number of the entry, from 1; ROOT, 64 hex digits, is the root of
 * the RFC 6962 hash tree over the bytes of all ENTRYs so far (merkle.h);
 * ENTRY is one line of compact JSON: time_ms, time, kind, actor, details.
 * SIGNATURE, 128 hex digits, is the aggregator's Ed25519 signature of
 *
 *   "sotto audit head 1\n" SIZE "\n" time_ms "\n" ROOT "\n"
 *
 * in decimal and hex, so that a few lines of any language can check it. Hex is
 * in lower case and numbers have no leading zero: a line has one form.
 *
 * What this shows: no entry was changed, removed from the middle, moved or
 * put in by anybody without the identity key. What a file alone cannot show
 * is that it was cut after a whole line: for that a head is kept elsewhere
 * (`audit head`), and with it neither a cut nor another history, signed with
 * the right key, passes. */
#ifndef SOTTO_AGGREGATOR_AUDIT_LOG_H
#define SOTTO_AGGREGATOR_AUDIT_LOG_H

#include <jansson.h>

#include "aggregator/merkle.h"
#include "wire/keys.h"

#define AUDIT_LINE_MAX 4096 /* bytes of a line with its end */
#define AUDIT_FILE_MAX (UINT32_C(1) << 30) /* about two million entries */
#define AUDIT_SIGNATURE_SIZE 64

struct audit_head {
    uint64_t size; /* entries */
    int64_t time_ms;
    uint8_t root[MERKLE_HASH_SIZE];
    uint8_t signature[AUDIT_SIGNATURE_SIZE];
};

struct audit_record {
    struct audit_head head;
    struct span entry; /* the JSON; borrowed */
};

/* Signs size, time and root. */
void audit_head_sign(struct audit_head *h, const struct keys *keys);
bool audit_head_good(const struct audit_head *h, const uint8_t pk[PK_SIZE]);
/* A head to keep elsewhere: {"size", "time_ms", "root", "key", "signature"},
 * key being the public key it was signed for. Reading fills key; it checks
 * the form (SOTTO_EDECODE), not the signature. NULL: no memory. */
json_t *audit_head_json(const struct audit_head *h, const uint8_t pk[PK_SIZE]);
enum sotto_err audit_head_read(struct audit_head *h, uint8_t pk[PK_SIZE],
                               const json_t *json);

/* Appends the line. SOTTO_ETOOBIG over AUDIT_LINE_MAX, SOTTO_ENOMEM. */
enum sotto_err audit_line_write(struct buf *out, const struct audit_record *r);
/* A line without its end; r borrows. SOTTO_EDECODE. */
enum sotto_err audit_line_read(struct audit_record *r, struct span line);

/* A log in memory. */
struct audit_log {
    struct buf bytes;
    uint32_t count; /* good entries: with a fault, those before it */
    uint32_t capacity;
    struct audit_place {
        size_t offset, size; /* of the line, without its end */
    } * places;
    uint8_t (*leaves)[MERKLE_HASH_SIZE];
    struct merkle tree;
    struct audit_head head; /* of the last good entry; size 0: none */
    size_t torn;            /* bytes of a last line that has no end */
};

/* Where a log is wrong. */
struct audit_fault {
    uint64_t entry; /* number of the entry; 0: no one entry */
    size_t offset;  /* of its line in the file */
};

/* Reads the file while nobody writes to it (a shared lock).
 * SOTTO_ENOTFOUND, SOTTO_EIO, SOTTO_ETOOBIG, SOTTO_ENOMEM. l is to be freed
 * either way; so with audit_log_parse, which copies bytes. */
enum sotto_err audit_log_read(struct audit_log *l, const char *file,
                              struct why *why);
enum sotto_err audit_log_parse(struct audit_log *l, struct span bytes);
void audit_log_fini(struct audit_log *l);

/* Walks what was read: forms, numbers and roots of all entries. With a key,
 * also signatures: of all entries if every, else of the last. SOTTO_ECRYPTO
 * with fault and sentence; a torn end is not looked at. */
enum sotto_err audit_log_check(struct audit_log *l, const uint8_t *pk,
                               bool every, struct audit_fault *fault,
                               struct why *why);
/* Whether the log that was checked goes on from a head that was kept: has as
 * many entries, with the same root there. SOTTO_ECRYPTO with fault and
 * sentence: cut, or forked. */
enum sotto_err audit_log_follows(const struct audit_log *l,
                                 const struct audit_head *kept,
                                 struct audit_fault *fault, struct why *why);
/* Line number, from 1 to count. */
struct span audit_log_line(const struct audit_log *l, uint64_t number);

#endif
