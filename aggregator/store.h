/* The aggregator's directory: one SQLite database (WAL, synchronous=FULL,
 * secure_delete=ON) and the store key, which encrypts what the log and the
 * views keep at rest (XChaCha20-Poly1305, crypto_secretbox_xchacha20poly1305)
 * and lives in a file outside the directory and outside backups. A connection
 * belongs to one thread: each thread opens its own store. */
#ifndef SOTTO_AGGREGATOR_STORE_H
#define SOTTO_AGGREGATOR_STORE_H

#include "base/buf.h"

#include <sqlite3.h>

#define STORE_STATEMENTS_MAX 256 /* a power of two; all modules have ~60 */
#define STORE_BLIND_SIZE 16

struct store {
    sqlite3 *db;
    uint8_t *key; /* 32 bytes, sodium_malloc */
    sqlite3_stmt *statements[STORE_STATEMENTS_MAX]; /* hashed by their text */
    uint32_t statement_count;
};

/* Makes the database (schema of all modules, in store.c as one table of
 * statements) and, if key_file is missing, the key (mode 0600). SOTTO_EEXIST
 * if there is one already; SOTTO_ENOTFOUND if the directory is missing. A
 * crash in the middle leaves nothing that a second call does not finish. */
enum sotto_err store_create(const char *dir, const char *key_file,
                            struct why *why);
/* SOTTO_ENOTFOUND: no database or no key; SOTTO_ECRYPTO: the key is not the
 * one the database was made with; SOTTO_EVERSION; SOTTO_EINVAL: the key file
 * is not 32 bytes, or others may read it. */
enum sotto_err store_open(struct store **out, const char *dir,
                          const char *key_file, struct why *why);
void store_close(struct store *s); /* accepts NULL */

/* Encrypts; label (a table's name) is bound in through the key derivation.
 * out is cleared first. SOTTO_ECRYPTO on reading what was changed. */
enum sotto_err store_seal(const struct store *s, const char *label,
                          struct span plain, struct buf *out);
enum sotto_err store_unseal(const struct store *s, const char *label,
                            struct span sealed, struct buf *out);
/* A keyed hash, for looking up what must not stand there in clear. */
void store_blind(const struct store *s, const char *label, struct span value,
                 uint8_t out[STORE_BLIND_SIZE]);

/* Transactions: BEGIN IMMEDIATE, COMMIT, ROLLBACK. A commit that fails is
 * rolled back. */
enum sotto_err store_begin(struct store *s);
enum sotto_err store_commit(struct store *s);
void store_rollback(struct store *s);
/* What was deleted or overwritten is gone from the files: secure_delete has
 * zeroed it in the database, and the log in front of that is emptied. Waits
 * for readers; SOTTO_EAGAIN: for too long. Outside of a transaction. */
enum sotto_err store_scrub(struct store *s);
/* Maps SQLite's result to ours: FULL, IO, NOMEM, … */
enum sotto_err store_err(int sqlite_result);

/* The statement of a constant text, prepared once per store, reset and without
 * bindings; do not finalize it, and do not ask for the same text again while
 * walking its rows. NULL on failure, which the functions below accept and
 * report, so that a sequence needs one test at its end. */
sqlite3_stmt *store_prepare(struct store *s, const char *text);
void store_bind(sqlite3_stmt *q, int index, struct span bytes); /* borrowed */
/* The next row: SOTTO_OK, SOTTO_ENOTFOUND at the end, or what failed; after
 * the last two the statement is reset. Leaving earlier: store_done, or the
 * snapshot it reads from stays and the WAL grows. */
enum sotto_err store_row(sqlite3_stmt *q);
void store_done(sqlite3_stmt *q);
enum sotto_err store_run(sqlite3_stmt *q); /* steps to the end, resets */
struct span store_blob(sqlite3_stmt *q, int column); /* until the next step */

/* Small settings by name (aggregator's sealed keys, segment cuts, …): values
 * are sealed. SOTTO_ENOTFOUND. */
enum sotto_err store_put(struct store *s, const char *name, struct span value);
enum sotto_err store_get(struct store *s, const char *name, struct buf *out);

#endif
