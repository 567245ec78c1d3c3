/* See spool_db.h. Every statement stands in one table, prepared at open. The
 * state is one row, written by each transaction; sums over rows are not kept
 * in it but counted at open, so that they cannot disagree with the rows. */
#include "agent/spool_db.h"

#include <string.h>

#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/dict.h"
#include "wire/pack.h"

#define SCHEMA_VERSION 1 /* user_version of the schema below */
#define COUNTERS_BYTES_MAX (16 * 1024)

/* Row and body apart: acknowledging a row then rewrites 100 bytes, not the
 * envelope. */
static const char schema[] =
    "CREATE TABLE state(id INTEGER PRIMARY KEY CHECK(id = 1), stream INTEGER,"
    " next_sequence INTEGER, acked INTEGER, chain BLOB, acked_chain BLOB,"
    " ring INTEGER, ring_mark INTEGER, accepted INTEGER, acked_events INTEGER,"
    " voided_events INTEGER, refused_events INTEGER, first INTEGER,"
    " first_chain BLOB, counters BLOB);"
    "CREATE TABLE row(sequence INTEGER PRIMARY KEY, kind INTEGER,"
    " events INTEGER, made_ms INTEGER, acked_ms INTEGER, bytes INTEGER,"
    " chain BLOB);"
    "CREATE TABLE body(sequence INTEGER PRIMARY KEY, envelope BLOB);"
    "CREATE TABLE refused(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " stream INTEGER, sequence INTEGER, reason TEXT, at_ms INTEGER,"
    " envelope BLOB);"
    "CREATE TABLE cursor(source BLOB PRIMARY KEY, bytes BLOB) WITHOUT ROWID;"
    "CREATE TABLE policy(number INTEGER PRIMARY KEY, hash BLOB UNIQUE,"
    " container BLOB);"
    "PRAGMA user_version = 1;";

/* Pages of 4, 8 and 16 KiB commit envelopes of 3 to 60 KiB about equally fast
 * (2,000 to 4,000 a second); 8 was never the slowest. The WAL is checkpointed
 * at 4 MiB, a stall of a few milliseconds that this thread can afford.
 * Envelopes are sealed, so erasing them needs no overwriting. */
static const char settings[] = "PRAGMA page_size = 8192;"
                               "PRAGMA locking_mode = EXCLUSIVE;"
                               "PRAGMA journal_mode = WAL;"
                               "PRAGMA synchronous = FULL;"
                               "PRAGMA secure_delete = OFF;"
                               "PRAGMA wal_autocheckpoint = 512;"
                               "PRAGMA journal_size_limit = 8388608;"
                               "PRAGMA temp_store = MEMORY;";

/* clang-format off */
static const char *const sql[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_STATE_READ] = "SELECT stream, next_sequence, acked, chain,"
        " acked_chain, ring, ring_mark, accepted, acked_events, voided_events,"
        " refused_events, first, first_chain, counters FROM state",
    [SQL_STATE_WRITE] = "REPLACE INTO state VALUES(1, ?1, ?2, ?3, ?4, ?5, ?6,"
        " ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    [SQL_FREE] = "SELECT freelist_count * page_size"
        " FROM pragma_freelist_count, pragma_page_size",
    [SQL_SUMS] = "SELECT ifnull(sum(length(chain) = 32), 0),"
        " ifnull(sum(bytes), 0),"
        " ifnull(sum(events), 0), ifnull(sum(sequence), 0) FROM row"
        " WHERE sequence BETWEEN ?1 AND ?2",
    [SQL_ROW_ADD] = "INSERT INTO row VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [SQL_ROW_READ] = "SELECT kind, events, made_ms, acked_ms, bytes, chain"
        " FROM row WHERE sequence = ?1",
    [SQL_ROW_DELETE] = "DELETE FROM row WHERE sequence = ?1",
    [SQL_ROW_EVENTS] = "UPDATE row SET events = ?2 WHERE sequence = ?1",
    [SQL_ROWS_DATE] = "UPDATE row SET made_ms = ?2"
        " WHERE sequence > ?1 AND made_ms = 0",
    [SQL_ROWS_ACKED] = "UPDATE row SET acked_ms = ?3"
        " WHERE sequence BETWEEN ?1 AND ?2",
    [SQL_ROWS_FROM] = "SELECT sequence, bytes, acked_ms, chain FROM row"
        " WHERE sequence >= ?1 ORDER BY sequence",
    [SQL_ROWS_DELETE] = "DELETE FROM row WHERE sequence <= ?1",
    [SQL_BODY_ADD] = "INSERT INTO body VALUES(?1, ?2)",
    [SQL_BODY_READ] = "SELECT envelope FROM body WHERE sequence = ?1",
    [SQL_BODY_DELETE] = "DELETE FROM body WHERE sequence = ?1",
    [SQL_BODIES_DELETE] = "DELETE FROM body WHERE sequence <= ?1",
    [SQL_REFUSED_ADD] = "INSERT INTO refused VALUES(NULL, ?1, ?2, ?3, ?4,"
        " (SELECT envelope FROM body WHERE sequence = ?2))",
    [SQL_REFUSED_TRIM] = "DELETE FROM refused WHERE id <="
        " (SELECT max(id) FROM refused) - ?1",
    [SQL_CURSOR_PUT] = "REPLACE INTO cursor VALUES(?1, ?2)",
    [SQL_CURSOR_GET] = "SELECT bytes FROM cursor WHERE source = ?1",
    [SQL_CURSOR_EACH] = "SELECT source, bytes FROM cursor ORDER BY source",
    [SQL_POLICY_FIND] = "SELECT number FROM policy WHERE hash = ?1",
    [SQL_POLICY_ADD] = "INSERT INTO policy(hash, container) VALUES(?1, ?2)",
    [SQL_POLICY_EACH] = "SELECT number, container FROM policy ORDER BY number",
};
/* clang-format on */

enum sotto_err db_err(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return SOTTO_OK;
    case SQLITE_FULL:
        return SOTTO_EFULL;
    case SQLITE_NOMEM:
        return SOTTO_ENOMEM;
    case SQLITE_BUSY:
        return SOTTO_ELOCKED;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return SOTTO_EDECODE;
    case SQLITE_TOOBIG:
        return SOTTO_ETOOBIG;
    default:
        return SOTTO_EIO;
    }
}

sqlite3_stmt *db_statement(struct spool *s, enum spool_sql which)
{
    return s->statements[which];
}

/* Binding a number, or bytes that are not copied, needs no memory: it cannot
 * fail. */
void db_bind_uint(sqlite3_stmt *st, int at, uint64_t value)
{
    sqlite3_bind_int64(st, at, (sqlite3_int64)value);
}

void db_bind_bytes(sqlite3_stmt *st, int at, struct span bytes)
{
    sqlite3_bind_blob64(st, at, bytes.size ? (const void *)bytes.data : "",
                        bytes.size, SQLITE_STATIC);
}

enum sotto_err db_step(sqlite3_stmt *st)
{
    int rc = sqlite3_step(st);

    if (rc == SQLITE_ROW)
        return SOTTO_OK;
    db_reset(st);
    return rc == SQLITE_DONE ? SOTTO_ENOTFOUND : db_err(rc);
}

void db_reset(sqlite3_stmt *st)
{
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
}

enum sotto_err db_run(sqlite3_stmt *st)
{
    int rc = sqlite3_step(st);

    db_reset(st);
    return db_err(rc);
}

/* Room for a checkpoint (4 MiB, and the commit that passed it) and for what
 * acknowledgements write. Rows do not take it: a backlog that filled the disk
 * could be neither checkpointed nor acknowledged, so it would never drain. */
#define DISK_RESERVE (INT64_C(8) * 1024 * 1024)

int64_t db_room(struct spool *s)
{
    const char *file = sqlite3_db_filename(s->db, "main");
    struct statvfs disk;
    sqlite3_stmt *st;
    int64_t room;

    if (!file || statvfs(file, &disk) != 0)
        return s->bytes_max;
    room = (int64_t)(disk.f_bavail * disk.f_frsize) - DISK_RESERVE;
    if (room >= s->bytes_max)
        return room;
    st = db_statement(s, SQL_FREE);
    if (db_step(st) == SOTTO_OK)
        room += (int64_t)db_uint(st, 0);
    db_reset(st);
    return room;
}

uint64_t db_uint(sqlite3_stmt *st, int column)
{
    return (uint64_t)sqlite3_column_int64(st, column);
}

struct span db_bytes(sqlite3_stmt *st, int column)
{
    const void *data = sqlite3_column_blob(st, column);

    return span_of(data, data ? (size_t)sqlite3_column_bytes(st, column) : 0);
}

enum sotto_err db_fixed(sqlite3_stmt *st, int column, void *out, size_t size)
{
    struct span bytes = db_bytes(st, column);

    if (bytes.size != size)
        return SOTTO_EDECODE;
    memcpy(out, bytes.data, size);
    return SOTTO_OK;
}

/* ---- counters: [produced, accepted, emptied, [[name, count]…]] ---- */

static void counters_pack(struct packer *p, const struct counters *c)
{
    uint32_t i;

    pack_array(p, 4);
    pack_uint(p, c->produced);
    pack_uint(p, c->accepted);
    pack_uint(p, c->fields_emptied);
    pack_array(p, c->drop_count);
    for (i = 0; i < c->drop_count; i++) {
        pack_array(p, 2);
        pack_text(p, span_text(c->drops[i].name));
        pack_uint(p, c->drops[i].count);
    }
}

static enum sotto_err counter_unpack(const msgpack_object *o,
                                     struct counter *out)
{
    const msgpack_object *items;
    struct span name;
    uint32_t count;
    enum sotto_err err = get_array(o, 2, 2, &items, &count);

    if (!err)
        err = get_text(&items[0], COUNTER_NAME_MAX, &name);
    if (!err)
        err = get_uint(&items[1], UINT64_MAX, &out->count);
    if (err)
        return err;
    memset(out->name, 0, sizeof(out->name));
    if (name.size)
        memcpy(out->name, name.data, name.size);
    return SOTTO_OK;
}

static enum sotto_err counters_unpack(const msgpack_object *o,
                                      struct counters *c)
{
    const msgpack_object *items, *drops;
    uint32_t count, i;
    enum sotto_err err = get_array(o, 4, 4, &items, &count);

    memset(c, 0, sizeof(*c));
    if (!err)
        err = get_uint(&items[0], UINT64_MAX, &c->produced);
    if (!err)
        err = get_uint(&items[1], UINT64_MAX, &c->accepted);
    if (!err)
        err = get_uint(&items[2], UINT64_MAX, &c->fields_emptied);
    if (!err)
        err = get_array(&items[3], 0, COUNTERS_MAX, &drops, &c->drop_count);
    for (i = 0; !err && i < c->drop_count; i++)
        err = counter_unpack(&drops[i], &c->drops[i]);
    return err;
}

/* ---- the state row ---- */

/* SQLite does not see a flipped bit in a number, and a wrong ring mark loses or
 * doubles what is in the ring: so the state carries a checksum. */
static enum sotto_err state_sum(struct spool *s, uint64_t *sum)
{
    const struct spool_state *t = &s->now.state;
    const uint64_t numbers[] = {
        t->stream,         t->next_sequence, t->acked,        t->ring,
        t->ring_mark,      t->accepted,      t->acked_events, t->voided_events,
        t->refused_events, s->now.first};
    struct packer p;

    buf_clear(&s->scratch);
    pack_init(&p, &s->scratch);
    pack_bin(&p, span_of(numbers, sizeof(numbers)));
    pack_bin(&p, span_of(t->chain, HASH_SIZE));
    pack_bin(&p, span_of(t->acked_chain, HASH_SIZE));
    pack_bin(&p, span_of(s->now.first_chain, HASH_SIZE));
    counters_pack(&p, &t->base);
    counters_pack(&p, &t->last);
    if (t->time_ms) /* an older writer knew none */
        pack_uint(&p, (uint64_t)t->time_ms);
    if (!p.err)
        *sum = hash64(s->scratch.data, s->scratch.size, SCHEMA_VERSION);
    return p.err;
}

static enum sotto_err state_write(struct spool *s)
{
    const struct spool_state *t = &s->now.state;
    sqlite3_stmt *st = db_statement(s, SQL_STATE_WRITE);
    uint64_t sum = 0;
    struct packer p;
    enum sotto_err err = state_sum(s, &sum);

    if (err)
        return err;
    buf_clear(&s->scratch);
    pack_init(&p, &s->scratch);
    pack_array(&p, 4);
    counters_pack(&p, &t->base);
    counters_pack(&p, &t->last);
    pack_uint(&p, sum);
    pack_uint(&p, (uint64_t)t->time_ms);
    if (p.err)
        return p.err;
    db_bind_uint(st, 1, t->stream);
    db_bind_uint(st, 2, t->next_sequence);
    db_bind_uint(st, 3, t->acked);
    db_bind_bytes(st, 4, span_of(t->chain, HASH_SIZE));
    db_bind_bytes(st, 5, span_of(t->acked_chain, HASH_SIZE));
    db_bind_uint(st, 6, t->ring);
    db_bind_uint(st, 7, t->ring_mark);
    db_bind_uint(st, 8, t->accepted);
    db_bind_uint(st, 9, t->acked_events);
    db_bind_uint(st, 10, t->voided_events);
    db_bind_uint(st, 11, t->refused_events);
    db_bind_uint(st, 12, s->now.first);
    db_bind_bytes(st, 13, span_of(s->now.first_chain, HASH_SIZE));
    db_bind_bytes(st, 14, span_of(s->scratch.data, s->scratch.size));
    return db_run(st);
}

/* *sum: of the state as it was written; an older writer sent none, and no
 * time. */
static enum sotto_err state_counters(struct spool *s, struct span bytes,
                                     uint64_t *sum, bool *has_sum)
{
    static const struct check_limits limits = {COUNTERS_BYTES_MAX, 6, 1024};
    const msgpack_object *items;
    struct unpacked u;
    uint64_t time_ms = 0;
    uint32_t count;
    enum sotto_err err = unpack_open(&u, bytes, &limits);

    if (err)
        return err;
    err = get_array(&u.root, 2, 4, &items, &count);
    if (!err)
        err = counters_unpack(&items[0], &s->now.state.base);
    if (!err)
        err = counters_unpack(&items[1], &s->now.state.last);
    *has_sum = !err && count > 2;
    if (*has_sum)
        err = get_uint(&items[2], UINT64_MAX, sum);
    if (!err && count > 3)
        err = get_uint(&items[3], INT64_MAX, &time_ms);
    s->now.state.time_ms = (int64_t)time_ms;
    unpack_close(&u);
    return err;
}

static enum sotto_err state_columns(struct spool *s, sqlite3_stmt *st)
{
    struct spool_state *t = &s->now.state;
    uint64_t written = 0, sum = 0;
    bool has_sum = false;
    enum sotto_err err;

    t->stream = db_uint(st, 0);
    t->next_sequence = db_uint(st, 1);
    t->acked = db_uint(st, 2);
    t->ring = db_uint(st, 5);
    t->ring_mark = db_uint(st, 6);
    t->accepted = db_uint(st, 7);
    t->acked_events = db_uint(st, 8);
    t->voided_events = db_uint(st, 9);
    t->refused_events = db_uint(st, 10);
    s->now.first = db_uint(st, 11);
    err = db_fixed(st, 3, t->chain, HASH_SIZE);
    if (!err)
        err = db_fixed(st, 4, t->acked_chain, HASH_SIZE);
    if (!err)
        err = db_fixed(st, 12, s->now.first_chain, HASH_SIZE);
    if (!err)
        err = state_counters(s, db_bytes(st, 13), &written, &has_sum);
    if (!err && has_sum)
        err = state_sum(s, &sum);
    return !err && sum != written ? SOTTO_EDECODE : err;
}

/* Every sequence from `from` to before `to` has its row, as far as the sum of
 * their numbers tells: SQLite does not see a flipped bit in one. */
static bool rows_dense(const struct db_sums *sums, uint64_t from, uint64_t to)
{
    uint64_t count = to - from, ends = from + to - 1;

    return sums->rows == count &&
           sums->numbers == (count % 2 ? ends / 2 * count : count / 2 * ends);
}

/* Rows are dense and whole, and their events are those that the state speaks
 * of. */
static bool rows_fit(const struct spool *s, const struct db_sums *waiting,
                     const struct db_sums *replay)
{
    const struct spool_state *t = &s->now.state;

    return rows_dense(waiting, t->acked + 1, t->next_sequence) &&
           rows_dense(replay, s->now.first, t->acked + 1) &&
           t->accepted == t->acked_events + t->waiting_events +
                              t->voided_events + t->refused_events;
}

enum sotto_err db_sums(struct spool *s, uint64_t from, uint64_t to,
                       struct db_sums *out)
{
    sqlite3_stmt *st = db_statement(s, SQL_SUMS);
    enum sotto_err err;

    db_bind_uint(st, 1, from);
    db_bind_uint(st, 2, to);
    err = db_step(st);
    if (err)
        return err;
    *out = (struct db_sums){db_uint(st, 0), db_uint(st, 1), db_uint(st, 2),
                            db_uint(st, 3)};
    db_reset(st);
    return SOTTO_OK;
}

/* Reads everything anew; SOTTO_ENOTFOUND in a new file. */
static enum sotto_err state_read(struct spool *s)
{
    sqlite3_stmt *st = db_statement(s, SQL_STATE_READ);
    struct spool_state *t = &s->now.state;
    struct db_sums waiting, replay;
    enum sotto_err err = db_step(st);

    if (err)
        return err;
    err = state_columns(s, st);
    db_reset(st);
    if (!err)
        err = db_sums(s, t->acked + 1, t->next_sequence - 1, &waiting);
    if (!err)
        err = db_sums(s, s->now.first, t->acked, &replay);
    if (err)
        return err;
    t->waiting_rows = waiting.rows;
    t->waiting_bytes = waiting.bytes;
    t->waiting_events = waiting.events;
    s->now.replay_bytes = replay.bytes;
    return rows_fit(s, &waiting, &replay) ? SOTTO_OK : SOTTO_EDECODE;
}

/* ---- transactions ---- */

enum sotto_err db_begin(struct spool *s)
{
    s->before = s->now;
    return db_run(db_statement(s, SQL_BEGIN));
}

enum sotto_err db_end(struct spool *s, enum sotto_err err)
{
    if (!err)
        err = state_write(s);
    if (!err)
        err = db_run(db_statement(s, SQL_COMMIT));
    if (!err)
        return SOTTO_OK;
    /* SQLite has undone some failures by itself already. */
    if (!sqlite3_get_autocommit(s->db))
        db_run(db_statement(s, SQL_ROLLBACK));
    if (state_read(s)) /* the disk is gone: what it said last */
        s->now = s->before;
    return err;
}

/* ---- opening ---- */

static enum sotto_err db_make(struct spool *s)
{
    enum sotto_err err =
        db_err(sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL));

    if (!err)
        err = db_err(sqlite3_exec(s->db, schema, NULL, NULL, NULL));
    if (!err)
        err = db_err(sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL));
    return err;
}

static enum sotto_err db_version(struct spool *s, int *version)
{
    sqlite3_stmt *st = NULL;
    enum sotto_err err =
        db_err(sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &st, NULL));

    if (!err)
        err = db_step(st);
    if (!err)
        *version = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return err;
}

static enum sotto_err db_prepare(struct spool *s)
{
    enum sotto_err err = SOTTO_OK;
    int i;

    for (i = 0; !err && i < SQL_COUNT; i++)
        err = db_err(sqlite3_prepare_v3(s->db, sql[i], -1,
                                        SQLITE_PREPARE_PERSISTENT,
                                        &s->statements[i], NULL));
    return err;
}

static enum sotto_err db_first_state(struct spool *s)
{
    enum sotto_err err = db_begin(s);

    if (err)
        return err;
    do
        randombytes_buf(&s->now.state.stream, sizeof(s->now.state.stream));
    while (!s->now.state.stream);
    s->now.state.next_sequence = s->now.first = 1;
    return db_end(s, SOTTO_OK);
}

/* A process that died between writing a commit and flushing it leaves one that
 * is read here, and that a power cut may still take back. */
static enum sotto_err wal_sync(sqlite3 *db)
{
    sqlite3_file *wal = NULL;
    int rc =
        sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);

    if (rc == SQLITE_OK && wal && wal->pMethods)
        rc = wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL);
    return db_err(rc);
}

enum sotto_err db_open(struct spool *s, const struct spool_config *cfg,
                       struct why *why)
{
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int version = 0;
    enum sotto_err err =
        db_err(sqlite3_open_v2(cfg->path, &s->db, flags, cfg->vfs));

    if (!err && !cfg->vfs)
        chmod(cfg->path, 0600); /* its WAL takes the same mode */
    if (!err)
        err = db_err(sqlite3_exec(s->db, settings, NULL, NULL, NULL));
    if (!err)
        err = db_version(s, &version);
    if (!err && version > SCHEMA_VERSION)
        return why_say(why, SOTTO_EVERSION,
                       "%s: this spool was written by a newer version; use "
                       "that one",
                       cfg->path);
    if (!err && version == 0)
        err = db_make(s);
    if (!err)
        err = db_prepare(s);
    if (!err) {
        err = state_read(s);
        if (err == SOTTO_ENOTFOUND)
            err = db_first_state(s);
    }
    if (!err)
        err = wal_sync(s->db);
    if (err == SOTTO_EDECODE)
        return why_say(why, err,
                       "%s: the spool is damaged; move it and its -wal away: "
                       "the agent begins a new stream, and what was not "
                       "acknowledged stays in the file",
                       cfg->path);
    if (err)
        why_say(why, err, "%s: cannot open the spool: %s", cfg->path,
                s->db ? sqlite3_errmsg(s->db) : "no memory");
    return err;
}

void db_close(struct spool *s)
{
    int i;

    for (i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_close(s->db);
}
