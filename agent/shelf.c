/* See shelf.h. Statements are prepared once and reset after each use, so that
 * no read stays open and no checkpoint waits. */
#include "agent/shelf.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/dict.h"

#define VERSION 2 /* 1 had no sums: it is emptied, and filled again */
#define PAGE_SIZE 4096
#define BUSY_MS 2000

enum statement {
    WRITE_PUT,
    WRITE_DROP,
    WRITE_APPLIED,
    WRITE_READ,
    WRITE_COUNT,
    WRITE_ROLLBACK, /* ready before memory is short */
    LOOK,           /* the reader's */
    STATEMENT_COUNT
};

#define SELECT_DOCUMENT                                                        \
    "SELECT number, expires_ms, body, sum FROM document"                       \
    " WHERE kind = ? AND key = ?"

static const char *const statements[STATEMENT_COUNT] = {
    [WRITE_PUT] = "INSERT OR REPLACE INTO document "
                  "(kind, key, number, expires_ms, made_ms, body, sum) "
                  "VALUES (?, ?, ?, ?, ?, ?, ?)",
    [WRITE_DROP] = "DELETE FROM document WHERE kind = ? AND key = ?",
    [WRITE_APPLIED] = "UPDATE applied SET number = ?",
    [WRITE_READ] = SELECT_DOCUMENT,
    [WRITE_COUNT] = "SELECT count(*) FROM document WHERE kind = ?",
    [WRITE_ROLLBACK] = "ROLLBACK",
    [LOOK] = SELECT_DOCUMENT,
};

static const char schema[] =
    "BEGIN;"
    "DROP TABLE IF EXISTS document;"
    "DROP TABLE IF EXISTS applied;"
    "CREATE TABLE document (kind INTEGER NOT NULL, key BLOB NOT NULL,"
    " number INTEGER NOT NULL, expires_ms INTEGER NOT NULL,"
    " made_ms INTEGER NOT NULL, body BLOB NOT NULL, sum INTEGER NOT NULL,"
    " PRIMARY KEY (kind, key));"
    "CREATE TABLE applied (number INTEGER NOT NULL);"
    "INSERT INTO applied VALUES (0);"
    "PRAGMA user_version = 2;"
    "COMMIT;";

struct shelf {
    sqlite3 *writer, *reader;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    uint64_t applied;
};

static enum sotto_err of_sqlite(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return SOTTO_OK;
    case SQLITE_NOMEM:
        return SOTTO_ENOMEM;
    case SQLITE_FULL:
        return SOTTO_EFULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return SOTTO_EDECODE;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return SOTTO_ELOCKED;
    default:
        return SOTTO_EIO;
    }
}

static enum sotto_err run(sqlite3 *db, const char *sql)
{
    return of_sqlite(sqlite3_exec(db, sql, NULL, NULL, NULL));
}

/* The first number of the first row. */
static enum sotto_err query(sqlite3 *db, const char *sql, int64_t *value)
{
    sqlite3_stmt *st = NULL;
    enum sotto_err err = of_sqlite(sqlite3_prepare_v2(db, sql, -1, &st, NULL));

    if (!err) {
        int rc = sqlite3_step(st);

        err = rc == SQLITE_DONE ? SOTTO_EDECODE : of_sqlite(rc);
        if (!err)
            *value = sqlite3_column_int64(st, 0);
    }
    sqlite3_finalize(st);
    return err;
}

/* Made by us, so that nobody else may read it; SQLite gives the files beside
 * it the same mode. */
static enum sotto_err file_make(const char *path, struct why *why)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return why_say(why, errno == ENOENT ? SOTTO_ENOTFOUND : SOTTO_EIO,
                       "%s: cannot be opened: %s", path, strerror(errno));
    close(fd);
    return SOTTO_OK;
}

static enum sotto_err connect_to(sqlite3 **db, const char *path)
{
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    enum sotto_err err = of_sqlite(sqlite3_open_v2(path, db, flags, NULL));

    if (!err)
        sqlite3_busy_timeout(*db, BUSY_MS);
    return err;
}

static enum sotto_err writer_prepare(struct shelf *s)
{
    int64_t version = 0, applied = 0;
    enum sotto_err err = run(s->writer, "PRAGMA journal_mode = WAL;"
                                        "PRAGMA synchronous = NORMAL;"
                                        "PRAGMA secure_delete = ON;");
    char pages[64];

    sqlite3_snprintf(sizeof pages, pages, "PRAGMA max_page_count = %lld",
                     (long long)(SHELF_BYTES_MAX / PAGE_SIZE));
    if (!err)
        err = run(s->writer, pages);
    if (!err)
        err = query(s->writer, "PRAGMA user_version", &version);
    if (!err && (version == 0 || version == 1))
        err = run(s->writer, schema);
    if (!err && version != 0 && version != 1 && version != VERSION)
        err = SOTTO_EVERSION;
    if (!err)
        err = query(s->writer, "SELECT number FROM applied", &applied);
    s->applied = (uint64_t)applied;
    return err;
}

static enum sotto_err statements_prepare(struct shelf *s)
{
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        sqlite3 *db = i == LOOK ? s->reader : s->writer;
        int rc =
            sqlite3_prepare_v3(db, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &s->statements[i], NULL);

        if (rc != SQLITE_OK)
            return rc == SQLITE_ERROR ? SOTTO_EDECODE : of_sqlite(rc);
    }
    return SOTTO_OK;
}

static enum sotto_err shelf_explain(enum sotto_err err, const char *path,
                                    struct why *why)
{
    if (err == SOTTO_EVERSION)
        return why_say(why, err,
                       "%s: was written by a newer version of this program; "
                       "run that one",
                       path);
    if (err == SOTTO_EDECODE)
        return why_say(why, err,
                       "%s: is damaged, or is no file of lists; delete it, "
                       "the aggregator sends the lists again",
                       path);
    return why_say(why, err, "%s: cannot be opened: %s", path, err_text(err));
}

enum sotto_err shelf_open(struct shelf **out, const char *path, struct why *why)
{
    enum sotto_err err = file_make(path, why);
    struct shelf *s;

    if (err)
        return err;
    s = calloc(1, sizeof *s);
    if (!s)
        return why_say(why, SOTTO_ENOMEM, "%s: no memory", path);
    err = connect_to(&s->writer, path);
    if (!err)
        err = writer_prepare(s);
    if (!err)
        err = connect_to(&s->reader, path);
    if (!err)
        err = run(s->reader, "PRAGMA query_only = ON");
    if (!err)
        err = statements_prepare(s);
    if (err) {
        shelf_close(s);
        return shelf_explain(err, path, why);
    }
    *out = s;
    return SOTTO_OK;
}

void shelf_close(struct shelf *s)
{
    if (!s)
        return;
    for (int i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_close(s->reader);
    sqlite3_close(s->writer);
    free(s);
}

uint64_t shelf_applied(const struct shelf *s)
{
    return s->applied;
}

/* SQLite takes NULL data for NULL, not for an empty blob. */
static void bind_span(sqlite3_stmt *st, int at, struct span bytes)
{
    if (bytes.size)
        sqlite3_bind_blob64(st, at, bytes.data, bytes.size, SQLITE_STATIC);
    else
        sqlite3_bind_zeroblob(st, at, 0);
}

static void bind_key(sqlite3_stmt *st, uint32_t kind, struct span key)
{
    sqlite3_bind_int64(st, 1, kind);
    bind_span(st, 2, key);
}

/* SQLite does not see a flipped bit in a document. */
static int64_t sum_of(uint32_t kind, struct span key, uint64_t number,
                      int64_t expires_ms, struct span body)
{
    const uint64_t head[] = {kind, number, (uint64_t)expires_ms, body.size};
    uint64_t sum = hash64(head, sizeof head, VERSION);
    int64_t column;

    sum = hash64(key.size ? key.data : (const void *)"", key.size, sum);
    sum = hash64(body.size ? body.data : (const void *)"", body.size, sum);
    memcpy(&column, &sum, sizeof column);
    return column;
}

static void finish(sqlite3_stmt *st)
{
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
}

static enum sotto_err step_once(sqlite3_stmt *st)
{
    enum sotto_err err = of_sqlite(sqlite3_step(st));

    finish(st);
    return err;
}

enum sotto_err shelf_begin(struct shelf *s)
{
    assert(sqlite3_get_autocommit(s->writer));
    return run(s->writer, "BEGIN IMMEDIATE");
}

enum sotto_err shelf_put(struct shelf *s, const struct document *d)
{
    sqlite3_stmt *st = s->statements[WRITE_PUT];

    bind_key(st, d->kind, d->key);
    sqlite3_bind_int64(st, 3, (sqlite3_int64)d->number);
    sqlite3_bind_int64(st, 4, d->expires_ms);
    sqlite3_bind_int64(st, 5, d->made_ms);
    bind_span(st, 6, d->body);
    sqlite3_bind_int64(
        st, 7, sum_of(d->kind, d->key, d->number, d->expires_ms, d->body));
    return step_once(st);
}

enum sotto_err shelf_drop(struct shelf *s, uint32_t kind, struct span key)
{
    bind_key(s->statements[WRITE_DROP], kind, key);
    return step_once(s->statements[WRITE_DROP]);
}

enum sotto_err shelf_commit(struct shelf *s, uint64_t applied)
{
    sqlite3_stmt *st = s->statements[WRITE_APPLIED];
    enum sotto_err err;

    sqlite3_bind_int64(st, 1, (sqlite3_int64)applied);
    err = step_once(st);
    if (!err)
        err = run(s->writer, "COMMIT");
    if (err)
        shelf_rollback(s);
    else
        s->applied = applied;
    return err;
}

void shelf_rollback(struct shelf *s)
{
    if (!sqlite3_get_autocommit(s->writer))
        (void)step_once(s->statements[WRITE_ROLLBACK]);
}

enum sotto_err shelf_scrub(struct shelf *s)
{
    int64_t busy = 0;
    enum sotto_err err =
        query(s->writer, "PRAGMA wal_checkpoint(TRUNCATE)", &busy);

    return !err && busy ? SOTTO_ELOCKED : err;
}

static enum sotto_err fetch(sqlite3_stmt *st, uint32_t kind, struct span key,
                            struct shelved *out, struct buf *body)
{
    enum sotto_err err = SOTTO_ENOTFOUND;
    struct span found;
    int rc;

    bind_key(st, kind, key);
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        out->number = (uint64_t)sqlite3_column_int64(st, 0);
        out->expires_ms = sqlite3_column_int64(st, 1);
        found = span_of(sqlite3_column_blob(st, 2),
                        (size_t)sqlite3_column_bytes(st, 2));
        err = sqlite3_column_int64(st, 3) ==
                      sum_of(kind, key, out->number, out->expires_ms, found)
                  ? buf_append(body, found.data, found.size)
                  : SOTTO_EDECODE;
    } else if (rc != SQLITE_DONE) {
        err = of_sqlite(rc);
    }
    finish(st);
    return err;
}

enum sotto_err shelf_read(struct shelf *s, uint32_t kind, struct span key,
                          struct shelved *out, struct buf *body)
{
    return fetch(s->statements[WRITE_READ], kind, key, out, body);
}

enum sotto_err shelf_look(struct shelf *s, uint32_t kind, struct span key,
                          struct shelved *out, struct buf *body)
{
    return fetch(s->statements[LOOK], kind, key, out, body);
}

enum sotto_err shelf_count(struct shelf *s, uint32_t kind, uint64_t *count)
{
    sqlite3_stmt *st = s->statements[WRITE_COUNT];
    enum sotto_err err;
    int rc;

    sqlite3_bind_int64(st, 1, kind);
    rc = sqlite3_step(st);
    err = of_sqlite(rc);
    *count = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(st, 0) : 0;
    finish(st);
    return err;
}
