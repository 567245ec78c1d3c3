/* The spool's database: schema, statements, the state row, one transaction at
 * a time. Used by spool.c only.
 *
 * locking_mode=EXCLUSIVE keeps the WAL index in heap memory: there is no
 * mapped -shm file that a full disk could turn into SIGBUS. */
#ifndef SOTTO_AGENT_SPOOL_DB_H
#define SOTTO_AGENT_SPOOL_DB_H

#include "agent/spool.h"

#include <sqlite3.h>

enum spool_sql {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_STATE_READ,
    SQL_STATE_WRITE,
    SQL_SUMS, /* from ?1 to ?2: rows with a chain, bytes, events, numbers */
    SQL_FREE, /* bytes of pages in the file that nobody uses */
    SQL_ROW_ADD,
    SQL_ROW_READ,
    SQL_ROW_DELETE,
    SQL_ROW_EVENTS, /* ?2 becomes the events of ?1 */
    SQL_ROWS_DATE,  /* after ?1, those without: made at ?2 */
    SQL_ROWS_ACKED, /* ?1 to ?2 acknowledged at ?3 */
    SQL_ROWS_FROM,  /* walk from ?1 */
    SQL_ROWS_DELETE,
    SQL_BODY_ADD,
    SQL_BODY_READ,
    SQL_BODY_DELETE,
    SQL_BODIES_DELETE,
    SQL_REFUSED_ADD,
    SQL_REFUSED_TRIM,
    SQL_CURSOR_PUT,
    SQL_CURSOR_GET,
    SQL_CURSOR_EACH,
    SQL_POLICY_FIND,
    SQL_POLICY_ADD,
    SQL_POLICY_EACH,
    SQL_COUNT
};

struct spool_kept { /* what the file says; changed inside a transaction */
    struct spool_state state;
    uint64_t first; /* lowest sequence whose row is here; next if none */
    uint8_t first_chain[HASH_SIZE]; /* before first */
    uint64_t replay_bytes;          /* of rows up to acked */
};

struct spool {
    sqlite3 *db;
    sqlite3_stmt *statements[SQL_COUNT];
    int64_t bytes_max, replay_ms;
    struct spool_kept now;
    struct spool_kept before;      /* the transaction that is open */
    struct buf scratch, old, made; /* old, made: envelopes being rewritten */
};

enum sotto_err db_open(struct spool *s, const struct spool_config *cfg,
                       struct why *why);
void db_close(struct spool *s);

/* Bytes that more rows may take: what is free on the disk and inside the file,
 * less a reserve; below 0 when the reserve itself is short. */
int64_t db_room(struct spool *s);

/* What a result code of SQLite is to us. */
enum sotto_err db_err(int rc);

/* Binding, from parameter 1 on; bytes stay valid until db_run or db_reset. */
sqlite3_stmt *db_statement(struct spool *s, enum spool_sql which);
void db_bind_uint(sqlite3_stmt *st, int at, uint64_t value);
void db_bind_bytes(sqlite3_stmt *st, int at, struct span bytes);
enum sotto_err db_run(sqlite3_stmt *st); /* to its end; resets */
/* One step: SOTTO_OK on a row, SOTTO_ENOTFOUND at the end. */
enum sotto_err db_step(sqlite3_stmt *st);
void db_reset(sqlite3_stmt *st);
uint64_t db_uint(sqlite3_stmt *st, int column);
struct span db_bytes(sqlite3_stmt *st, int column); /* until the next step */
/* Exactly size bytes; SOTTO_EDECODE. */
enum sotto_err db_fixed(sqlite3_stmt *st, int column, void *out, size_t size);

/* A transaction. db_end with SOTTO_OK writes the state row and commits; with
 * an error, or when that fails, everything is undone and the state is re-read.
 * Returns the first error. */
enum sotto_err db_begin(struct spool *s);
enum sotto_err db_end(struct spool *s, enum sotto_err err);

struct db_sums {
    uint64_t rows, bytes, events;
    uint64_t numbers; /* the sequences, added up */
};
enum sotto_err db_sums(struct spool *s, uint64_t from, uint64_t to,
                       struct db_sums *out);

#endif
