/* The log in SQLite.
 *
 * Invariants: a stream's watermark moves only from n to n+1, by an UPDATE that
 * names n, so neither a bug nor a second writer can skip or repeat a sequence;
 * a chunk's own columns are repeated inside what is sealed, so a chunk that
 * was moved to another row does not open as that row. */
#include "aggregator/log.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "wire/pack.h"

#define HEAD_SIZE (4 + 8 + 8 + 4 + HASH_SIZE + 4 + 8)
#define COUNTERS_BYTES_MAX 8192
#define LABEL "chunk"

/* 64-bit numbers are stored in SQLite's signed ones, bit for bit. */
static int64_t to_column(uint64_t value)
{
    int64_t column;

    memcpy(&column, &value, sizeof(column));
    return column;
}

static uint64_t of_column(sqlite3_stmt *q, int column)
{
    return (uint64_t)sqlite3_column_int64(q, column);
}

static uint8_t *put32(uint8_t *to, uint32_t value)
{
    value = htole32(value);
    memcpy(to, &value, sizeof(value));
    return to + sizeof(value);
}

static uint8_t *put64(uint8_t *to, uint64_t value)
{
    value = htole64(value);
    memcpy(to, &value, sizeof(value));
    return to + sizeof(value);
}

static void head_write(uint8_t head[HEAD_SIZE], const struct log_chunk *c)
{
    uint8_t *p = put32(head, c->agent);

    p = put64(p, c->stream);
    p = put64(p, c->sequence);
    p = put32(p, c->kind);
    memcpy(p, c->policy, HASH_SIZE);
    p = put32(p + HASH_SIZE, c->events);
    put64(p, (uint64_t)c->received_ms);
}

/* --- counters ----------------------------------------------------------- */

static enum sotto_err counters_encode(struct buf *out, const struct counters *c)
{
    struct packer p;

    pack_init(&p, out);
    pack_array(&p, 4);
    pack_uint(&p, c->produced);
    pack_uint(&p, c->accepted);
    pack_uint(&p, c->fields_emptied);
    pack_array(&p, c->drop_count);
    for (uint32_t i = 0; i < c->drop_count; i++) {
        pack_array(&p, 2);
        pack_text(&p, span_text(c->drops[i].name));
        pack_uint(&p, c->drops[i].count);
    }
    return p.err;
}

static enum sotto_err drop_decode(struct counters *c, const msgpack_object *o)
{
    const msgpack_object *pair;
    char name[COUNTER_NAME_MAX + 1] = "";
    uint64_t count = 0;
    uint32_t size;
    struct span text;
    enum sotto_err err = get_array(o, 2, 2, &pair, &size);

    if (!err)
        err = get_text(&pair[0], COUNTER_NAME_MAX, &text);
    if (!err)
        err = get_uint(&pair[1], UINT64_MAX, &count);
    if (err)
        return err;
    memcpy(name, text.data, text.size);
    return counters_add(c, name, count);
}

static enum sotto_err counters_decode(struct counters *c, struct span bytes)
{
    const struct check_limits limits = {COUNTERS_BYTES_MAX, 3, 1024};
    const msgpack_object *items, *drops;
    struct unpacked u;
    uint32_t count, drop_count = 0;
    enum sotto_err err;

    memset(c, 0, sizeof(*c));
    if (!bytes.size)
        return SOTTO_OK;
    err = unpack_open(&u, bytes, &limits);
    if (err)
        return err;
    err = get_array(&u.root, 4, 4, &items, &count);
    if (!err)
        err = get_uint(&items[0], UINT64_MAX, &c->produced);
    if (!err)
        err = get_uint(&items[1], UINT64_MAX, &c->accepted);
    if (!err)
        err = get_uint(&items[2], UINT64_MAX, &c->fields_emptied);
    if (!err)
        err = get_array(&items[3], 0, COUNTERS_MAX, &drops, &drop_count);
    for (uint32_t i = 0; i < drop_count && !err; i++)
        err = drop_decode(c, &drops[i]);
    unpack_close(&u);
    return err;
}

/* --- what was erased ---------------------------------------------------- */

#define ERASED_NAME_SIZE 32

static const char *erased_name(char name[ERASED_NAME_SIZE], uint32_t agent)
{
    snprintf(name, ERASED_NAME_SIZE, "erased/%u", (unsigned)agent);
    return name;
}

enum sotto_err log_erased(struct store *s, uint32_t agent, uint64_t *count)
{
    char name[ERASED_NAME_SIZE];
    struct buf value;
    enum sotto_err err;

    *count = 0;
    buf_init(&value, 64);
    err = store_get(s, erased_name(name, agent), &value);
    if (!err && value.size != sizeof(*count))
        err = SOTTO_EDECODE;
    if (!err)
        memcpy(count, value.data, sizeof(*count));
    buf_fini(&value);
    return err == SOTTO_ENOTFOUND ? SOTTO_OK : err;
}

static enum sotto_err count_erased(struct store *s, uint32_t agent,
                                   uint32_t more)
{
    char name[ERASED_NAME_SIZE];
    uint64_t count;
    enum sotto_err err = log_erased(s, agent, &count);

    count += more;
    return err ? err
               : store_put(s, erased_name(name, agent),
                           span_of(&count, sizeof(count)));
}

/* --- appending ---------------------------------------------------------- */

struct append { /* memory shared by the entries of a group */
    struct store *store;
    bool moved; /* the entry's body is in the log already */
    struct buf plain, sealed, counters;
};

static void append_init(struct append *a, struct store *s)
{
    *a = (struct append){.store = s};
    buf_init(&a->plain, HEAD_SIZE + FRAME_MAX);
    buf_init(&a->sealed, HEAD_SIZE + FRAME_MAX + 64);
    buf_init(&a->counters, COUNTERS_BYTES_MAX);
}

static void append_fini(struct append *a)
{
    buf_fini(&a->plain);
    buf_fini(&a->sealed);
    buf_fini(&a->counters);
}

static bool is_chunk(const struct log_entry *e)
{
    return !e->reason && e->kind != KIND_VOID;
}

static bool has_body(const struct log_entry *e)
{
    static const uint8_t none[BODY_ID_SIZE];

    return memcmp(e->body, none, BODY_ID_SIZE) != 0;
}

/* Both statements take the same values: the first sequence makes the stream,
 * every other one must find the watermark just below itself. */
static const char stream_first[] =
    "INSERT INTO stream(agent, stream, watermark, chain, batches, events,"
    " voided_events, refused_batches, refused_events, counters, last_ms)"
    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
    " ON CONFLICT(agent, stream) DO NOTHING";
static const char stream_next[] =
    "UPDATE stream SET watermark = ?3, chain = ?4, batches = batches + ?5,"
    " events = events + ?6, voided_events = voided_events + ?7,"
    " refused_batches = refused_batches + ?8,"
    " refused_events = refused_events + ?9,"
    " counters = coalesce(?10, counters), last_ms = ?11"
    " WHERE agent = ?1 AND stream = ?2 AND watermark = ?3 - 1";

static enum sotto_err write_stream(struct append *a, const struct log_entry *e)
{
    sqlite3_stmt *q;
    enum sotto_err err = SOTTO_OK;
    bool refused = e->reason && e->kind != KIND_VOID;
    uint32_t events = a->moved ? 0 : e->events; /* they were counted */

    if (e->sequence == 0 || e->sequence > INT64_MAX)
        return SOTTO_EINVAL;
    buf_clear(&a->counters);
    if (e->counters)
        err = counters_encode(&a->counters, e->counters);
    if (err)
        return err;
    q = store_prepare(a->store, e->sequence == 1 ? stream_first : stream_next);
    sqlite3_bind_int64(q, 1, e->agent);
    sqlite3_bind_int64(q, 2, to_column(e->stream));
    sqlite3_bind_int64(q, 3, to_column(e->sequence));
    store_bind(q, 4, span_of(e->chain, HASH_SIZE));
    sqlite3_bind_int64(q, 5, is_chunk(e) && e->kind == KIND_BATCH && !a->moved);
    sqlite3_bind_int64(q, 6, is_chunk(e) ? events : 0);
    sqlite3_bind_int64(q, 7, e->kind == KIND_VOID ? events : 0);
    sqlite3_bind_int64(q, 8, refused && !a->moved);
    sqlite3_bind_int64(q, 9, refused ? events : 0);
    if (e->counters)
        store_bind(q, 10, span_of(a->counters.data, a->counters.size));
    sqlite3_bind_int64(q, 11, e->received_ms);
    err = store_run(q);
    if (!err && sqlite3_changes(a->store->db) != 1)
        err = SOTTO_EINVAL; /* not the next of this stream */
    return err;
}

static enum sotto_err write_chain(struct append *a, const struct log_entry *e)
{
    sqlite3_stmt *q = store_prepare(
        a->store, "INSERT INTO chain(agent, stream, sequence, chain,"
                  " received_ms, body) VALUES(?, ?, ?, ?, ?, ?)");

    sqlite3_bind_int64(q, 1, e->agent);
    sqlite3_bind_int64(q, 2, to_column(e->stream));
    sqlite3_bind_int64(q, 3, to_column(e->sequence));
    store_bind(q, 4, span_of(e->chain, HASH_SIZE));
    sqlite3_bind_int64(q, 5, e->received_ms);
    if (has_body(e))
        store_bind(q, 6, span_of(e->body, BODY_ID_SIZE));
    return store_run(q);
}

/* The head of its row, then the payload, sealed. */
static enum sotto_err chunk_seal(struct append *a, const struct log_chunk *c,
                                 struct span payload)
{
    uint8_t head[HEAD_SIZE];
    enum sotto_err err;

    head_write(head, c);
    buf_clear(&a->plain);
    err = buf_append(&a->plain, head, sizeof(head));
    if (!err)
        err = buf_append(&a->plain, payload.data, payload.size);
    if (!err)
        err = store_seal(a->store, LABEL, span_of(a->plain.data, a->plain.size),
                         &a->sealed);
    return err;
}

static enum sotto_err write_chunk(struct append *a, struct log_entry *e)
{
    struct log_chunk c = {.agent = e->agent,
                          .stream = e->stream,
                          .sequence = e->sequence,
                          .kind = e->kind,
                          .events = e->events - e->erased,
                          .received_ms = e->received_ms};
    sqlite3_stmt *q;
    enum sotto_err err;

    memcpy(c.policy, e->policy, HASH_SIZE);
    err = chunk_seal(a, &c, e->payload);
    if (!err && e->erased)
        err = count_erased(a->store, e->agent, e->erased);
    if (err)
        return err;
    q = store_prepare(a->store,
                      "INSERT INTO chunk(agent, stream, sequence, kind, policy,"
                      " events, received_ms, payload)"
                      " VALUES(?, ?, ?, ?, ?, ?, ?, ?)");
    sqlite3_bind_int64(q, 1, c.agent);
    sqlite3_bind_int64(q, 2, to_column(c.stream));
    sqlite3_bind_int64(q, 3, to_column(c.sequence));
    sqlite3_bind_int64(q, 4, c.kind);
    store_bind(q, 5, span_of(c.policy, HASH_SIZE));
    sqlite3_bind_int64(q, 6, c.events);
    sqlite3_bind_int64(q, 7, c.received_ms);
    store_bind(q, 8, span_of(a->sealed.data, a->sealed.size));
    err = store_run(q);
    if (!err)
        e->number = (uint64_t)sqlite3_last_insert_rowid(a->store->db);
    return err;
}

static enum sotto_err write_refused(struct append *a, const struct log_entry *e)
{
    sqlite3_stmt *q = store_prepare(
        a->store, "INSERT INTO refused(agent, stream, sequence, kind, events,"
                  " reason, received_ms) VALUES(?, ?, ?, ?, ?, ?, ?)");

    sqlite3_bind_int64(q, 1, e->agent);
    sqlite3_bind_int64(q, 2, to_column(e->stream));
    sqlite3_bind_int64(q, 3, to_column(e->sequence));
    sqlite3_bind_int64(q, 4, e->kind);
    sqlite3_bind_int64(q, 5, e->events);
    sqlite3_bind_text(q, 6,
                      a->moved    ? "moved"
                      : e->reason ? e->reason
                                  : "",
                      -1, SQLITE_STATIC);
    sqlite3_bind_int64(q, 7, e->received_ms);
    return store_run(q);
}

/* --- what a fork moved ---
 *
 * An agent that goes on as another stream sends again all that it keeps, and
 * some of it is in the log. So from its second stream on, an agent's bodies are
 * listed, and one that is listed makes no second chunk and counts no more. */

static enum sotto_err list_bodies(struct append *a, const struct log_entry *e)
{
    sqlite3_stmt *q = store_prepare(
        a->store, "INSERT OR IGNORE INTO body(agent, id, received_ms)"
                  " SELECT agent, body, received_ms FROM chain"
                  " WHERE agent = ?1 AND stream <> ?2 AND body IS NOT NULL");

    sqlite3_bind_int64(q, 1, e->agent);
    sqlite3_bind_int64(q, 2, to_column(e->stream));
    return store_run(q);
}

static enum sotto_err list_body(struct append *a, const struct log_entry *e)
{
    sqlite3_stmt *q = store_prepare(
        a->store, "INSERT INTO body(agent, id, received_ms) VALUES(?, ?, ?)");

    sqlite3_bind_int64(q, 1, e->agent);
    store_bind(q, 2, span_of(e->body, BODY_ID_SIZE));
    sqlite3_bind_int64(q, 3, e->received_ms);
    return store_run(q);
}

static enum sotto_err look_for_body(struct append *a, const struct log_entry *e)
{
    sqlite3_stmt *q;
    bool listed;
    enum sotto_err err = SOTTO_OK;

    a->moved = false;
    if (!has_body(e))
        return SOTTO_OK;
    if (e->sequence == 1)
        err = list_bodies(a, e);
    if (err)
        return err;
    q = store_prepare(a->store,
                      "SELECT EXISTS(SELECT 1 FROM body WHERE agent = ?1),"
                      " EXISTS(SELECT 1 FROM body WHERE agent = ?1"
                      " AND id = ?2)");
    sqlite3_bind_int64(q, 1, e->agent);
    store_bind(q, 2, span_of(e->body, BODY_ID_SIZE));
    err = store_row(q);
    if (err)
        return err;
    listed = sqlite3_column_int(q, 0);
    a->moved = sqlite3_column_int(q, 1);
    store_done(q);
    return listed && !a->moved ? list_body(a, e) : SOTTO_OK;
}

static enum sotto_err write_entry(struct append *a, struct log_entry *e)
{
    enum sotto_err err = look_for_body(a, e);

    e->number = 0;
    if (!err)
        err = write_stream(a, e);
    if (!err)
        err = write_chain(a, e);
    if (err)
        return err;
    return is_chunk(e) && !a->moved ? write_chunk(a, e) : write_refused(a, e);
}

enum sotto_err log_append(struct store *s, struct log_entry *entries,
                          size_t count)
{
    struct append a;
    enum sotto_err err;

    if (!count)
        return SOTTO_OK;
    append_init(&a, s);
    err = store_begin(s);
    for (size_t i = 0; i < count && !err; i++)
        err = write_entry(&a, &entries[i]);
    if (err)
        store_rollback(s);
    else
        err = store_commit(s);
    append_fini(&a);
    return err;
}

enum sotto_err log_rewrite(struct store *s, const struct log_chunk *chunk,
                           struct span payload, uint32_t events,
                           uint32_t erased)
{
    struct log_chunk c = *chunk;
    struct append a;
    sqlite3_stmt *q;
    enum sotto_err err;

    c.events = events;
    append_init(&a, s);
    err = chunk_seal(&a, &c, payload);
    if (!err) {
        q = store_prepare(s, "UPDATE chunk SET events = ?, payload = ?"
                             " WHERE number = ?");
        sqlite3_bind_int64(q, 1, c.events);
        store_bind(q, 2, span_of(a.sealed.data, a.sealed.size));
        sqlite3_bind_int64(q, 3, to_column(c.number));
        err = store_run(q);
    }
    if (!err && erased)
        err = count_erased(s, c.agent, erased);
    append_fini(&a);
    return err;
}

/* --- reading ------------------------------------------------------------ */

/* Opens what is sealed and compares it with the row that it was found in. */
static enum sotto_err chunk_open(struct store *s, struct log_chunk *chunk,
                                 struct span sealed, struct buf *scratch)
{
    uint8_t head[HEAD_SIZE];
    enum sotto_err err = store_unseal(s, LABEL, sealed, scratch);

    if (err)
        return err;
    head_write(head, chunk);
    if (scratch->size < HEAD_SIZE || memcmp(scratch->data, head, HEAD_SIZE))
        return SOTTO_ECRYPTO;
    chunk->payload =
        span_of(scratch->data + HEAD_SIZE, scratch->size - HEAD_SIZE);
    return SOTTO_OK;
}

enum sotto_err log_read(struct store *s, uint64_t after,
                        struct log_chunk *chunk, struct buf *scratch)
{
    sqlite3_stmt *q = store_prepare(
        s, "SELECT number, agent, stream, sequence, kind, policy, events,"
           " received_ms, payload FROM chunk WHERE number > ?"
           " ORDER BY number LIMIT 1");
    struct span policy;
    enum sotto_err err;

    if (after > INT64_MAX)
        return SOTTO_ENOTFOUND;
    sqlite3_bind_int64(q, 1, to_column(after));
    err = store_row(q);
    if (err)
        return err;
    memset(chunk, 0, sizeof(*chunk));
    chunk->number = of_column(q, 0);
    chunk->agent = (uint32_t)of_column(q, 1);
    chunk->stream = of_column(q, 2);
    chunk->sequence = of_column(q, 3);
    chunk->kind = (uint32_t)of_column(q, 4);
    policy = store_blob(q, 5);
    chunk->events = (uint32_t)of_column(q, 6);
    chunk->received_ms = sqlite3_column_int64(q, 7);
    err = SOTTO_ECRYPTO;
    if (policy.size == HASH_SIZE) {
        memcpy(chunk->policy, policy.data, HASH_SIZE);
        err = chunk_open(s, chunk, store_blob(q, 8), scratch);
    }
    store_done(q);
    return err;
}

static enum sotto_err stream_read(sqlite3_stmt *q, struct log_stream *out)
{
    struct span chain = store_blob(q, 3);

    memset(out, 0, sizeof(*out));
    out->agent = (uint32_t)of_column(q, 0);
    out->stream = of_column(q, 1);
    out->watermark = of_column(q, 2);
    if (chain.size != HASH_SIZE)
        return SOTTO_EDECODE;
    memcpy(out->chain, chain.data, HASH_SIZE);
    out->batches = of_column(q, 4);
    out->events = of_column(q, 5);
    out->voided_events = of_column(q, 6);
    out->refused_batches = of_column(q, 7);
    out->refused_events = of_column(q, 8);
    out->last_ms = sqlite3_column_int64(q, 10);
    return counters_decode(&out->counters, store_blob(q, 9));
}

/* A damaged watermark would acknowledge what is not here, or take it twice. The
 * chain of the newest sequence is here too, unless log_prune forgot it: then
 * nothing older is. */
static enum sotto_err stream_check(struct store *s, const struct log_stream *l)
{
    sqlite3_stmt *q = store_prepare(
        s, "SELECT (SELECT chain FROM chain WHERE agent = ?1 AND stream = ?2"
           " AND sequence = ?3), EXISTS(SELECT 1 FROM chain WHERE agent = ?1"
           " AND stream = ?2 AND sequence > ?3),"
           " EXISTS(SELECT 1 FROM chain WHERE received_ms <= ?4)");
    struct span chain;
    bool good, absent;
    enum sotto_err err;

    sqlite3_bind_int64(q, 1, l->agent);
    sqlite3_bind_int64(q, 2, to_column(l->stream));
    sqlite3_bind_int64(q, 3, to_column(l->watermark));
    sqlite3_bind_int64(q, 4, l->last_ms);
    err = store_row(q);
    if (err)
        return err;
    chain = store_blob(q, 0);
    absent = sqlite3_column_type(q, 0) == SQLITE_NULL;
    good = !sqlite3_column_int(q, 1) &&
           (absent ? !sqlite3_column_int(q, 2)
                   : span_equal(chain, span_of(l->chain, HASH_SIZE)));
    store_done(q);
    return good ? SOTTO_OK : SOTTO_EDECODE;
}

enum sotto_err log_stream_each(
    struct store *s,
    enum sotto_err (*each)(void *context, const struct log_stream *),
    void *context)
{
    sqlite3_stmt *q = store_prepare(
        s, "SELECT agent, stream, watermark, chain, batches, events,"
           " voided_events, refused_batches, refused_events, counters, last_ms"
           " FROM stream ORDER BY agent, stream");
    struct log_stream stream;
    enum sotto_err err;

    while ((err = store_row(q)) == SOTTO_OK) {
        err = stream_read(q, &stream);
        if (!err)
            err = stream_check(s, &stream);
        if (!err)
            err = each(context, &stream);
        if (err) {
            store_done(q);
            return err;
        }
    }
    return err == SOTTO_ENOTFOUND ? SOTTO_OK : err;
}

enum sotto_err log_chain(struct store *s, uint32_t agent, uint64_t stream,
                         uint64_t sequence, uint8_t chain[HASH_SIZE])
{
    sqlite3_stmt *q = store_prepare(s, "SELECT chain FROM chain WHERE agent = ?"
                                       " AND stream = ? AND sequence = ?");
    struct span bytes;
    enum sotto_err err;

    sqlite3_bind_int64(q, 1, agent);
    sqlite3_bind_int64(q, 2, to_column(stream));
    sqlite3_bind_int64(q, 3, to_column(sequence));
    err = store_row(q);
    if (err)
        return err;
    bytes = store_blob(q, 0);
    if (bytes.size == HASH_SIZE)
        memcpy(chain, bytes.data, HASH_SIZE);
    else
        err = SOTTO_EDECODE;
    store_done(q);
    return err;
}

uint64_t log_last(struct store *s)
{
    sqlite3_stmt *q = store_prepare(s, "SELECT max(number) FROM chunk");
    uint64_t last;

    if (store_row(q))
        return 0;
    last = of_column(q, 0);
    store_done(q);
    return last;
}

uint64_t log_given(struct store *s)
{
    sqlite3_stmt *q = store_prepare(
        s, "SELECT seq FROM sqlite_sequence WHERE name = 'chunk'");
    uint64_t given;

    if (store_row(q))
        return 0;
    given = of_column(q, 0);
    store_done(q);
    return given;
}

enum sotto_err log_prune(struct store *s, int64_t before_ms)
{
    static const char *const texts[] = {
        "DELETE FROM chain WHERE received_ms < ?",
        "DELETE FROM body WHERE received_ms < ?"};
    enum sotto_err err = SOTTO_OK;

    for (size_t i = 0; i < 2 && !err; i++) {
        sqlite3_stmt *q = store_prepare(s, texts[i]);

        sqlite3_bind_int64(q, 1, before_ms);
        err = store_run(q);
    }
    return err;
}
