/* One database, one key.
 *
 * Invariants: user_version is written in the transaction that makes the
 * tables, so a database with a version has all of them; the row key_check
 * opens only under the key that the database was made with. */
#include "aggregator/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "base/dict.h"

#define STORE_VERSION 2 /* 1 had no body ids: they are added */
#define ROLLBACK "ROLLBACK"
#define KEY_SIZE crypto_secretbox_xchacha20poly1305_KEYBYTES
#define NONCE_BYTES crypto_secretbox_xchacha20poly1305_NONCEBYTES
#define MAC_BYTES crypto_secretbox_xchacha20poly1305_MACBYTES
#define PATH_SIZE 4096
#define META_LABEL_SIZE 128
/* A writer waits for a checkpoint of the views, which takes seconds when
 * millions of subjects changed. */
#define BUSY_MS 30000

static const char *const pragmas[] = {
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA secure_delete=ON",
    "PRAGMA temp_store=MEMORY", /* nothing of it in /tmp */
    "PRAGMA cache_size=-2048",
};

/* The schema of all modules. Numbers of 64 bits without sign are stored in
 * SQLite's signed ones, bit for bit. */
/* Bodies of agents that have more than one stream; see log.c. */
#define BODY_TABLE                                                             \
    "CREATE TABLE body(agent INTEGER NOT NULL, id BLOB NOT NULL,"              \
    " received_ms INTEGER NOT NULL, PRIMARY KEY(agent, id)) WITHOUT ROWID"

static const char *const schema[] = {
    /* settings, sealed */
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value BLOB NOT NULL)"
    " WITHOUT ROWID",

    /* the roster */
    "CREATE TABLE agent(number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " sign_pk BLOB NOT NULL, box_pk BLOB NOT NULL,"
    " key_id BLOB NOT NULL UNIQUE, enrolled_ms INTEGER NOT NULL,"
    " revoked_ms INTEGER, seen_ms INTEGER)",
    "CREATE TABLE token(secret_hash BLOB PRIMARY KEY, name TEXT NOT NULL,"
    " uses INTEGER NOT NULL, expires_ms INTEGER NOT NULL, key_id BLOB)"
    " WITHOUT ROWID",
    "CREATE TABLE policy(hash BLOB PRIMARY KEY, tenant TEXT NOT NULL,"
    " version INTEGER NOT NULL, container BLOB NOT NULL,"
    " added_ms INTEGER NOT NULL)",

    /* the log */
    "CREATE TABLE stream(agent INTEGER NOT NULL, stream INTEGER NOT NULL,"
    " watermark INTEGER NOT NULL, chain BLOB NOT NULL,"
    " batches INTEGER NOT NULL, events INTEGER NOT NULL,"
    " voided_events INTEGER NOT NULL, refused_batches INTEGER NOT NULL,"
    " refused_events INTEGER NOT NULL, counters BLOB,"
    " last_ms INTEGER NOT NULL, PRIMARY KEY(agent, stream)) WITHOUT ROWID",
    "CREATE TABLE chain(agent INTEGER NOT NULL, stream INTEGER NOT NULL,"
    " sequence INTEGER NOT NULL, chain BLOB NOT NULL,"
    " received_ms INTEGER NOT NULL, body BLOB,"
    " PRIMARY KEY(agent, stream, sequence)) WITHOUT ROWID",
    "CREATE INDEX chain_age ON chain(received_ms)",
    BODY_TABLE,
    /* A number is never given twice, also after the newest chunk is removed:
     * views remember how far they are by it. */
    "CREATE TABLE chunk(number INTEGER PRIMARY KEY AUTOINCREMENT,"
    " agent INTEGER NOT NULL, stream INTEGER NOT NULL,"
    " sequence INTEGER NOT NULL, kind INTEGER NOT NULL,"
    " policy BLOB NOT NULL, events INTEGER NOT NULL,"
    " received_ms INTEGER NOT NULL, payload BLOB NOT NULL)",
    /* refused envelopes, voids, and what a fork moved */
    "CREATE TABLE refused(agent INTEGER NOT NULL, stream INTEGER NOT NULL,"
    " sequence INTEGER NOT NULL, kind INTEGER NOT NULL,"
    " events INTEGER NOT NULL, reason TEXT NOT NULL,"
    " received_ms INTEGER NOT NULL,"
    " PRIMARY KEY(agent, stream, sequence)) WITHOUT ROWID",

    /* views */
    "CREATE TABLE view(name TEXT PRIMARY KEY, applied_upto INTEGER NOT NULL)"
    " WITHOUT ROWID",
    "CREATE TABLE view_state(view TEXT NOT NULL, key BLOB NOT NULL,"
    " value BLOB NOT NULL, PRIMARY KEY(view, key)) WITHOUT ROWID",

    /* publishing and models */
    "CREATE TABLE document(agent INTEGER NOT NULL, number INTEGER NOT NULL,"
    " kind INTEGER NOT NULL, key BLOB NOT NULL, expires_ms INTEGER NOT NULL,"
    " made_ms INTEGER NOT NULL, body BLOB NOT NULL,"
    " PRIMARY KEY(agent, number)) WITHOUT ROWID",
    "CREATE UNIQUE INDEX document_key ON document(agent, kind, key)",
    "CREATE TABLE sync(agent INTEGER PRIMARY KEY, last INTEGER NOT NULL)",
    "CREATE TABLE model(version INTEGER PRIMARY KEY, state NOT NULL,"
    " meta TEXT NOT NULL, blob BLOB)",

    "PRAGMA user_version=2",
};

static const char *const upgrade_1[] = {
    "ALTER TABLE chain ADD COLUMN body BLOB",
    BODY_TABLE,
    "PRAGMA user_version=2",
};

enum sotto_err store_err(int sqlite_result)
{
    if (sqlite_result == SQLITE_IOERR_NOMEM)
        return SOTTO_ENOMEM;
    switch (sqlite_result & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return SOTTO_OK;
    case SQLITE_FULL:
        return SOTTO_EFULL;
    case SQLITE_NOMEM:
        return SOTTO_ENOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return SOTTO_EAGAIN;
    case SQLITE_CONSTRAINT:
        return SOTTO_EEXIST;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return SOTTO_EDECODE;
    case SQLITE_TOOBIG:
        return SOTTO_ETOOBIG;
    default:
        return SOTTO_EIO;
    }
}

/* --- the key ------------------------------------------------------------ */

static enum sotto_err key_read(uint8_t *key, const char *path, struct why *why)
{
    uint8_t more;
    struct stat st;
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return why_say(why, errno == ENOENT ? SOTTO_ENOTFOUND : SOTTO_EIO,
                       "%s: the store key cannot be read: %s; put it back "
                       "from its own backup, or name its place at "
                       "`store_key` in aggregator.yaml",
                       path, strerror(errno));
    if (fstat(fd, &st) == 0 && (st.st_mode & 077)) {
        close(fd);
        return why_say(why, SOTTO_EINVAL,
                       "%s: the store key is open to others; chmod 600 it",
                       path);
    }
    n = read(fd, key, KEY_SIZE);
    if (n == (ssize_t)KEY_SIZE)
        n += read(fd, &more, 1);
    close(fd);
    if (n != (ssize_t)KEY_SIZE)
        return why_say(why, SOTTO_EINVAL,
                       "%s: not a store key: it must be %u bytes", path,
                       (unsigned)KEY_SIZE);
    return SOTTO_OK;
}

static enum sotto_err key_make(const char *path, struct why *why)
{
    uint8_t *key = sodium_malloc(KEY_SIZE);
    enum sotto_err err;

    if (!key)
        return SOTTO_ENOMEM;
    randombytes_buf(key, KEY_SIZE);
    err = file_replace(path, key, KEY_SIZE, 0600);
    sodium_free(key);
    if (err)
        return why_say(why, err, "%s: the store key cannot be written: %s",
                       path, err_text(err));
    return SOTTO_OK;
}

/* purpose and label name one key each, derived from the store key. */
static void key_derive(const struct store *s, const char *purpose,
                       const char *label, uint8_t out[KEY_SIZE])
{
    crypto_generichash_state hash;

    crypto_generichash_init(&hash, s->key, KEY_SIZE, KEY_SIZE);
    crypto_generichash_update(&hash, (const uint8_t *)purpose,
                              strlen(purpose) + 1);
    crypto_generichash_update(&hash, (const uint8_t *)label, strlen(label));
    crypto_generichash_final(&hash, out, KEY_SIZE);
    sodium_memzero(&hash, sizeof(hash));
}

enum sotto_err store_seal(const struct store *s, const char *label,
                          struct span plain, struct buf *out)
{
    size_t size = NONCE_BYTES + MAC_BYTES + plain.size;
    uint8_t key[KEY_SIZE];
    enum sotto_err err;

    buf_clear(out);
    err = buf_reserve(out, size);
    if (err)
        return err;
    key_derive(s, "seal", label, key);
    randombytes_buf(out->data, NONCE_BYTES);
    crypto_secretbox_xchacha20poly1305_easy(out->data + NONCE_BYTES, plain.data,
                                            plain.size, out->data, key);
    sodium_memzero(key, sizeof(key));
    out->size = size;
    return SOTTO_OK;
}

enum sotto_err store_unseal(const struct store *s, const char *label,
                            struct span sealed, struct buf *out)
{
    uint8_t key[KEY_SIZE];
    enum sotto_err err;
    size_t size;
    int bad;

    buf_clear(out);
    if (sealed.size < NONCE_BYTES + MAC_BYTES)
        return SOTTO_ECRYPTO;
    size = sealed.size - NONCE_BYTES - MAC_BYTES;
    err = buf_reserve(out, size + 1); /* data is never NULL afterwards */
    if (err)
        return err;
    key_derive(s, "seal", label, key);
    bad = crypto_secretbox_xchacha20poly1305_open_easy(
        out->data, sealed.data + NONCE_BYTES, sealed.size - NONCE_BYTES,
        sealed.data, key);
    sodium_memzero(key, sizeof(key));
    if (bad)
        return SOTTO_ECRYPTO;
    out->size = size;
    return SOTTO_OK;
}

void store_blind(const struct store *s, const char *label, struct span value,
                 uint8_t out[STORE_BLIND_SIZE])
{
    uint8_t key[KEY_SIZE];

    key_derive(s, "blind", label, key);
    crypto_generichash(out, STORE_BLIND_SIZE, value.data, value.size, key,
                       sizeof(key));
    sodium_memzero(key, sizeof(key));
}

/* --- statements --------------------------------------------------------- */

sqlite3_stmt *store_prepare(struct store *s, const char *text)
{
    const uint32_t mask = STORE_STATEMENTS_MAX - 1;
    uint32_t i = (uint32_t)hash64(text, strlen(text), 0) & mask;
    sqlite3_stmt *q;

    for (; s->statements[i]; i = (i + 1) & mask) {
        q = s->statements[i];
        if (strcmp(sqlite3_sql(q), text) == 0) {
            sqlite3_reset(q);
            sqlite3_clear_bindings(q);
            return q;
        }
    }
    assert(s->statement_count < STORE_STATEMENTS_MAX / 4 * 3);
    if (sqlite3_prepare_v3(s->db, text, -1, SQLITE_PREPARE_PERSISTENT, &q,
                           NULL) != SQLITE_OK)
        return NULL;
    s->statements[i] = q;
    s->statement_count++;
    return q;
}

void store_bind(sqlite3_stmt *q, int index, struct span bytes)
{
    /* A NULL address would bind SQL's NULL. */
    sqlite3_bind_blob64(q, index, bytes.size ? (const void *)bytes.data : "",
                        bytes.size, SQLITE_STATIC);
}

enum sotto_err store_row(sqlite3_stmt *q)
{
    int result = q ? sqlite3_step(q) : SQLITE_MISUSE;

    if (result == SQLITE_ROW)
        return SOTTO_OK;
    store_done(q);
    return result == SQLITE_DONE ? SOTTO_ENOTFOUND : store_err(result);
}

void store_done(sqlite3_stmt *q)
{
    sqlite3_reset(q);
}

enum sotto_err store_run(sqlite3_stmt *q)
{
    enum sotto_err err;

    do
        err = store_row(q);
    while (!err);
    return err == SOTTO_ENOTFOUND ? SOTTO_OK : err;
}

struct span store_blob(sqlite3_stmt *q, int column)
{
    const void *data = sqlite3_column_blob(q, column);
    int size = sqlite3_column_bytes(q, column);

    return data ? span_of(data, (size_t)size) : span_of("", 0);
}

enum sotto_err store_begin(struct store *s)
{
    return store_run(store_prepare(s, "BEGIN IMMEDIATE"));
}

enum sotto_err store_commit(struct store *s)
{
    enum sotto_err err = store_run(store_prepare(s, "COMMIT"));

    if (err)
        store_rollback(s);
    return err;
}

void store_rollback(struct store *s)
{
    /* An error may have rolled back already. */
    if (!sqlite3_get_autocommit(s->db))
        store_run(store_prepare(s, ROLLBACK));
}

enum sotto_err store_scrub(struct store *s)
{
    sqlite3_stmt *q = store_prepare(s, "PRAGMA wal_checkpoint(TRUNCATE)");
    enum sotto_err err = store_row(q);

    if (err)
        return err;
    if (sqlite3_column_int(q, 0))
        err = SOTTO_EAGAIN;
    store_done(q);
    return err;
}

/* --- settings ----------------------------------------------------------- */

/* The name is part of the label, so that a value cannot be moved. */
static void meta_label(char label[META_LABEL_SIZE], const char *name)
{
    snprintf(label, META_LABEL_SIZE, "meta/%s", name);
}

enum sotto_err store_put(struct store *s, const char *name, struct span value)
{
    char label[META_LABEL_SIZE];
    struct buf sealed;
    sqlite3_stmt *q;
    enum sotto_err err;

    buf_init(&sealed, SIZE_MAX / 2);
    meta_label(label, name);
    err = store_seal(s, label, value, &sealed);
    if (!err) {
        q = store_prepare(s, "INSERT INTO meta(name, value) VALUES(?, ?)"
                             " ON CONFLICT(name) DO UPDATE"
                             " SET value = excluded.value");
        sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC);
        store_bind(q, 2, span_of(sealed.data, sealed.size));
        err = store_run(q);
    }
    buf_fini(&sealed);
    return err;
}

enum sotto_err store_get(struct store *s, const char *name, struct buf *out)
{
    char label[META_LABEL_SIZE];
    sqlite3_stmt *q = store_prepare(s, "SELECT value FROM meta WHERE name = ?");
    enum sotto_err err;

    meta_label(label, name);
    sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC);
    err = store_row(q);
    if (err)
        return err;
    err = store_unseal(s, label, store_blob(q, 0), out);
    store_done(q);
    return err;
}

/* --- create, open, close ------------------------------------------------ */

static enum sotto_err run_each(sqlite3 *db, const char *const *texts,
                               size_t count)
{
    int result = SQLITE_OK;

    for (size_t i = 0; i < count && result == SQLITE_OK; i++)
        result = sqlite3_exec(db, texts[i], NULL, NULL, NULL);
    return store_err(result);
}

static enum sotto_err version_of(struct store *s, int64_t *version)
{
    sqlite3_stmt *q = store_prepare(s, "PRAGMA user_version");
    enum sotto_err err = store_row(q);

    if (err)
        return err;
    *version = sqlite3_column_int64(q, 0);
    store_done(q);
    return SOTTO_OK;
}

/* The connection and the key; says nothing about the contents. */
static enum sotto_err connect(struct store **out, const char *path,
                              const char *key_file, int flags, struct why *why)
{
    struct store *s = calloc(1, sizeof(*s));
    enum sotto_err err;
    int result;

    if (!s || sodium_init() < 0) {
        free(s);
        return SOTTO_ENOMEM;
    }
    s->key = sodium_malloc(KEY_SIZE);
    err = s->key ? key_read(s->key, key_file, why) : SOTTO_ENOMEM;
    if (err)
        goto fail;
    result = sqlite3_open_v2(path, &s->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (result == SQLITE_OK) {
        sqlite3_extended_result_codes(s->db, 1);
        sqlite3_busy_timeout(s->db, BUSY_MS);
        err = run_each(s->db, pragmas, sizeof(pragmas) / sizeof(pragmas[0]));
        /* Ready before memory is short: it must always go. */
        if (!err && !store_prepare(s, ROLLBACK))
            err = SOTTO_ENOMEM;
    } else {
        err = store_err(result);
    }
    if (err) {
        why_say(why, err, "%s: the database cannot be opened: %s", path,
                s->db ? sqlite3_errmsg(s->db) : err_text(err));
        goto fail;
    }
    *out = s;
    return SOTTO_OK;

fail:
    store_close(s);
    return err;
}

static enum sotto_err database_path(char path[PATH_SIZE], const char *dir,
                                    struct why *why)
{
    int n = snprintf(path, PATH_SIZE, "%s/aggregator.db", dir);

    if (n < 0 || n >= PATH_SIZE)
        return why_say(why, SOTTO_ETOOBIG, "%.40s...: the path is too long",
                       dir);
    return SOTTO_OK;
}

static enum sotto_err fill(struct store *s)
{
    enum sotto_err err = store_begin(s);
    int64_t version = 0;

    if (err)
        return err;
    err = version_of(s, &version);
    if (!err && version != 0)
        err = SOTTO_EEXIST;
    if (!err)
        err = run_each(s->db, schema, sizeof(schema) / sizeof(schema[0]));
    if (!err)
        err = store_put(s, "key_check", span_text("this key opens it"));
    if (err) {
        store_rollback(s);
        return err;
    }
    return store_commit(s);
}

enum sotto_err store_create(const char *dir, const char *key_file,
                            struct why *why)
{
    char path[PATH_SIZE];
    struct store *s = NULL;
    enum sotto_err err = database_path(path, dir, why);

    if (err)
        return err;
    if (sodium_init() < 0)
        return SOTTO_ENOMEM;
    if (access(dir, F_OK) != 0)
        return why_say(why, SOTTO_ENOTFOUND, "%s: no such directory", dir);
    if (access(key_file, F_OK) != 0) {
        err = key_make(key_file, why);
        if (err)
            return err;
    }
    err = connect(&s, path, key_file,
                  SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, why);
    if (err)
        return err;
    err = fill(s);
    store_close(s);
    if (err == SOTTO_EEXIST)
        return why_say(why, err,
                       "%s: there is a database already; go on with it, or "
                       "name another directory",
                       path);
    if (err)
        return why_say(why, err, "%s: the database cannot be made: %s", path,
                       err_text(err));
    return SOTTO_OK;
}

/* A process that died between writing a commit and flushing it leaves one that
 * is read here, acknowledged, and that a power cut may still take back. */
static enum sotto_err wal_sync(sqlite3 *db)
{
    sqlite3_file *wal = NULL;
    int result =
        sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);

    if (result == SQLITE_OK && wal && wal->pMethods)
        result = wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL);
    return store_err(result);
}

static enum sotto_err upgrade(struct store *s, int64_t *version)
{
    enum sotto_err err = store_begin(s);

    if (err)
        return err;
    err = run_each(s->db, upgrade_1, sizeof(upgrade_1) / sizeof(upgrade_1[0]));
    if (err) {
        store_rollback(s);
        return err;
    }
    *version = STORE_VERSION;
    return store_commit(s);
}

static enum sotto_err check_opened(struct store *s, const char *path,
                                   const char *key_file, struct why *why)
{
    int64_t version = 0;
    struct buf check;
    enum sotto_err err = version_of(s, &version);

    if (!err && version == 1)
        err = upgrade(s, &version);
    if (err)
        return why_say(why, err, "%s: the database cannot be read: %s", path,
                       err_text(err));
    if (version == 0)
        return why_say(why, SOTTO_ENOTFOUND,
                       "%s: empty; it was never initialised", path);
    if (version != STORE_VERSION)
        return why_say(why, SOTTO_EVERSION,
                       "%s: version %lld, this program knows %d", path,
                       (long long)version, STORE_VERSION);
    buf_init(&check, 64);
    err = store_get(s, "key_check", &check);
    buf_fini(&check);
    if (err)
        return why_say(why, SOTTO_ECRYPTO,
                       "%s is not the key that %s was made with; put that one "
                       "back from its backup",
                       key_file, path);
    err = wal_sync(s->db);
    if (err)
        return why_say(why, err, "%s-wal: the disk does not take it: %s", path,
                       err_text(err));
    return SOTTO_OK;
}

enum sotto_err store_open(struct store **out, const char *dir,
                          const char *key_file, struct why *why)
{
    char path[PATH_SIZE];
    struct store *s = NULL;
    enum sotto_err err = database_path(path, dir, why);

    if (err)
        return err;
    if (access(path, F_OK) != 0)
        return why_say(why, SOTTO_ENOTFOUND, "%s: no such database", path);
    err = connect(&s, path, key_file, SQLITE_OPEN_READWRITE, why);
    if (err)
        return err;
    err = check_opened(s, path, key_file, why);
    if (err) {
        store_close(s);
        return err;
    }
    *out = s;
    return SOTTO_OK;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; i < STORE_STATEMENTS_MAX; i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_close(s->db);
    sodium_free(s->key);
    free(s);
}
