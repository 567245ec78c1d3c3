/* See spool.h.
 *
 * Invariants: rows are dense from first to next_sequence - 1; those up to
 * acked are kept for replay only. Row n's chain follows row n - 1's, and
 * first_chain stands before the first. Every change is one transaction that
 * also writes the state row (db_end). */
#include "agent/spool.h"

#include <stdlib.h>
#include <string.h>

#include "agent/spool_db.h"

#define CURSOR_MAX (4 * 1024)
#define REFUSED_MAX 16 /* rows kept aside; the newest */
#define REPLAY_MS_DEFAULT (INT64_C(2) * 24 * 3600 * 1000)

enum sotto_err spool_open(struct spool **out, const struct spool_config *cfg,
                          struct why *why)
{
    enum sotto_err err;
    struct spool *s;

    if (cfg->bytes_max <= 0 || cfg->replay_ms < 0)
        return why_say(why, SOTTO_EINVAL,
                       "%s: the size of a spool must be above zero", cfg->path);
    s = calloc(1, sizeof(*s));
    if (!s)
        return why_say(why, SOTTO_ENOMEM, "%s: no memory", cfg->path);
    s->bytes_max = cfg->bytes_max;
    s->replay_ms = cfg->replay_ms ? cfg->replay_ms : REPLAY_MS_DEFAULT;
    buf_init(&s->scratch, FRAME_MAX);
    buf_init(&s->old, FRAME_MAX);
    buf_init(&s->made, FRAME_MAX);
    err = db_open(s, cfg, why);
    if (err) {
        spool_close(s);
        return err;
    }
    *out = s;
    return SOTTO_OK;
}

void spool_close(struct spool *s)
{
    if (!s)
        return;
    db_close(s);
    buf_fini(&s->scratch);
    buf_fini(&s->old);
    buf_fini(&s->made);
    free(s);
}

const struct spool_state *spool_state(const struct spool *s)
{
    return &s->now.state;
}

uint64_t spool_first(const struct spool *s)
{
    return s->now.first;
}

enum sotto_err spool_ring(struct spool *s, uint64_t ring)
{
    enum sotto_err err;

    if (ring == s->now.state.ring)
        return SOTTO_OK;
    err = db_begin(s);
    if (err)
        return err;
    s->now.state.ring = ring;
    s->now.state.ring_mark = 0;
    s->now.state.base = s->now.state.last;
    return db_end(s, SOTTO_OK);
}

/* ---- rows ---- */

struct row {
    uint64_t sequence;
    uint32_t kind, events;
    int64_t made_ms, acked_ms;
    uint64_t bytes;
    uint8_t chain[HASH_SIZE];
};

static enum sotto_err row_read(struct spool *s, uint64_t sequence,
                               struct row *row)
{
    sqlite3_stmt *st = db_statement(s, SQL_ROW_READ);
    enum sotto_err err;

    db_bind_uint(st, 1, sequence);
    err = db_step(st);
    if (err)
        return err;
    row->sequence = sequence;
    row->kind = (uint32_t)db_uint(st, 0);
    row->events = (uint32_t)db_uint(st, 1);
    row->made_ms = (int64_t)db_uint(st, 2);
    row->acked_ms = (int64_t)db_uint(st, 3);
    row->bytes = db_uint(st, 4);
    err = db_fixed(st, 5, row->chain, HASH_SIZE);
    db_reset(st);
    return err;
}

static enum sotto_err body_read(struct spool *s, uint64_t sequence,
                                struct buf *out)
{
    sqlite3_stmt *st = db_statement(s, SQL_BODY_READ);
    struct span bytes;
    enum sotto_err err;

    buf_clear(out);
    db_bind_uint(st, 1, sequence);
    err = db_step(st);
    if (err)
        return err == SOTTO_ENOTFOUND ? SOTTO_EDECODE : err;
    bytes = db_bytes(st, 0);
    err = buf_append(out, bytes.data, bytes.size);
    db_reset(st);
    return err;
}

static enum sotto_err row_add(struct spool *s, const struct row *row,
                              struct span envelope)
{
    sqlite3_stmt *st = db_statement(s, SQL_ROW_ADD);
    enum sotto_err err;

    db_bind_uint(st, 1, row->sequence);
    db_bind_uint(st, 2, row->kind);
    db_bind_uint(st, 3, row->events);
    db_bind_uint(st, 4, (uint64_t)row->made_ms);
    db_bind_uint(st, 5, (uint64_t)row->acked_ms);
    db_bind_uint(st, 6, envelope.size);
    db_bind_bytes(st, 7, span_of(row->chain, HASH_SIZE));
    err = db_run(st);
    if (err)
        return err;
    st = db_statement(s, SQL_BODY_ADD);
    db_bind_uint(st, 1, row->sequence);
    db_bind_bytes(st, 2, envelope);
    return db_run(st);
}

static enum sotto_err delete_by(struct spool *s, enum spool_sql rows,
                                enum spool_sql bodies, uint64_t sequence)
{
    sqlite3_stmt *st = db_statement(s, rows);
    enum sotto_err err;

    db_bind_uint(st, 1, sequence);
    err = db_run(st);
    if (err)
        return err;
    st = db_statement(s, bodies);
    db_bind_uint(st, 1, sequence);
    return db_run(st);
}

/* The chain after sequence, for first - 1 .. next_sequence - 1. */
static enum sotto_err chain_after(struct spool *s, uint64_t sequence,
                                  uint8_t chain[HASH_SIZE])
{
    struct row row;
    enum sotto_err err;

    if (sequence + 1 == s->now.first) {
        memcpy(chain, s->now.first_chain, HASH_SIZE);
        return SOTTO_OK;
    }
    err = row_read(s, sequence, &row);
    if (!err)
        memcpy(chain, row.chain, HASH_SIZE);
    return err;
}

/* Counts anew what waits and what is kept for replay. */
static enum sotto_err recount(struct spool *s)
{
    struct spool_state *t = &s->now.state;
    struct db_sums waiting, replay;
    enum sotto_err err = db_sums(s, t->acked + 1, INT64_MAX, &waiting);

    if (!err)
        err = db_sums(s, 0, t->acked, &replay);
    if (err)
        return err;
    t->waiting_rows = waiting.rows;
    t->waiting_bytes = waiting.bytes;
    t->waiting_events = waiting.events;
    s->now.replay_bytes = replay.bytes;
    return SOTTO_OK;
}

/* Bytes that all rows may take: as configured, or as the disk allows. */
static uint64_t rows_max(struct spool *s)
{
    int64_t held = (int64_t)(s->now.state.waiting_bytes + s->now.replay_bytes);
    int64_t room = db_room(s);

    if (room >= s->bytes_max - held)
        return (uint64_t)s->bytes_max;
    return held + room > 0 ? (uint64_t)(held + room) : 0;
}

/* Drops acknowledged rows, oldest first, that are too old for replay, or that
 * take more than a quarter of the spool or room that waiting rows need. */
static enum sotto_err evict(struct spool *s, int64_t now_ms)
{
    struct spool_kept *k = &s->now;
    uint64_t max = rows_max(s);
    uint64_t left =
        max > k->state.waiting_bytes ? max - k->state.waiting_bytes : 0;
    uint64_t limit = left < max / 4 ? left : max / 4, last = 0;
    sqlite3_stmt *st = db_statement(s, SQL_ROWS_FROM);
    enum sotto_err err = SOTTO_OK;

    db_bind_uint(st, 1, k->first);
    while (!err && k->first <= k->state.acked) {
        err = db_step(st);
        if (err)
            break;
        if (k->replay_bytes <= limit &&
            (int64_t)db_uint(st, 2) > now_ms - s->replay_ms)
            break;
        last = db_uint(st, 0);
        k->replay_bytes -= db_uint(st, 1);
        err = db_fixed(st, 3, k->first_chain, HASH_SIZE);
        k->first = last + 1;
    }
    db_reset(st);
    if (!err && last)
        err = delete_by(s, SQL_ROWS_DELETE, SQL_BODIES_DELETE, last);
    return err;
}

/* ---- committing ---- */

/* Inside a transaction. */
static void tell_time(struct spool *s, int64_t now_ms)
{
    if (now_ms > 0)
        s->now.state.time_ms = now_ms;
}

enum sotto_err spool_date(struct spool *s, int64_t now_ms)
{
    sqlite3_stmt *st = db_statement(s, SQL_ROWS_DATE);
    enum sotto_err err = db_begin(s);

    if (err)
        return err;
    tell_time(s, now_ms);
    db_bind_uint(st, 1, s->now.state.acked);
    db_bind_uint(st, 2, (uint64_t)now_ms);
    return db_end(s, db_run(st));
}

/* The envelope is what its row will say it is. */
static bool envelope_fits(struct span bytes, uint64_t stream,
                          const struct row *row)
{
    struct envelope e;

    return !envelope_parse(&e, bytes) && e.stream == stream &&
           e.sequence == row->sequence && e.kind == row->kind &&
           !memcmp(e.chain, row->chain, HASH_SIZE);
}

static enum sotto_err commit_check(struct spool *s, const struct spool_entry *e,
                                   const struct row *row)
{
    const struct spool_state *t = &s->now.state;
    size_t i;

    if (e->ring_mark < t->ring_mark)
        return SOTTO_EINVAL;
    for (i = 0; i < e->cursor_count; i++)
        if (e->cursors[i].bytes.size > CURSOR_MAX)
            return SOTTO_ETOOBIG;
    if (!e->envelope.size)
        return SOTTO_OK;
    if (e->envelope.size > FRAME_MAX)
        return SOTTO_ETOOBIG;
    if (!envelope_fits(e->envelope, t->stream, row))
        return SOTTO_EINVAL;
    if (t->waiting_bytes + e->envelope.size > rows_max(s))
        return SOTTO_EFULL;
    return SOTTO_OK;
}

static enum sotto_err cursors_put(struct spool *s, const struct spool_entry *e)
{
    sqlite3_stmt *st = db_statement(s, SQL_CURSOR_PUT);
    enum sotto_err err = SOTTO_OK;
    size_t i;

    for (i = 0; !err && i < e->cursor_count; i++) {
        db_bind_bytes(st, 1, span_of(e->cursors[i].source, 16));
        db_bind_bytes(st, 2, e->cursors[i].bytes);
        err = db_run(st);
    }
    return err;
}

static enum sotto_err envelope_put(struct spool *s, const struct spool_entry *e,
                                   const struct row *row)
{
    struct spool_state *t = &s->now.state;
    enum sotto_err err = row_add(s, row, e->envelope);

    if (err)
        return err;
    t->next_sequence++;
    memcpy(t->chain, row->chain, HASH_SIZE);
    t->accepted += e->events;
    t->waiting_rows++;
    t->waiting_bytes += e->envelope.size;
    t->waiting_events += e->events;
    return evict(s, e->now_ms);
}

enum sotto_err spool_commit(struct spool *s, const struct spool_entry *e)
{
    struct row row = {
        .sequence = s->now.state.next_sequence,
        .kind = e->kind,
        .events = e->events,
        .made_ms = e->now_ms,
    };
    enum sotto_err err;

    memcpy(row.chain, e->chain, HASH_SIZE);
    err = commit_check(s, e, &row);
    if (!err)
        err = db_begin(s);
    if (err)
        return err;
    tell_time(s, e->now_ms);
    s->now.state.ring_mark = e->ring_mark;
    if (e->total)
        s->now.state.last = *e->total;
    if (e->envelope.size)
        err = envelope_put(s, e, &row);
    if (!err)
        err = cursors_put(s, e);
    return db_end(s, err);
}

enum sotto_err spool_get(struct spool *s, uint64_t sequence,
                         struct spool_row *row, struct buf *out)
{
    struct row found;
    enum sotto_err err = row_read(s, sequence, &found);

    buf_clear(out);
    if (err)
        return err == SOTTO_EDECODE ? SOTTO_EIO : err;
    row->stream = s->now.state.stream;
    row->sequence = sequence;
    row->kind = found.kind;
    row->events = found.events;
    row->made_ms = found.made_ms;
    memcpy(row->chain, found.chain, HASH_SIZE);
    return body_read(s, sequence, out);
}

/* ---- what the aggregator said ---- */

/* Inside a transaction: acked moves up to watermark. */
static enum sotto_err ack_upto(struct spool *s, uint64_t watermark,
                               int64_t now_ms)
{
    struct spool_state *t = &s->now.state;
    sqlite3_stmt *st = db_statement(s, SQL_ROWS_ACKED);
    struct db_sums sums;
    enum sotto_err err = db_sums(s, t->acked + 1, watermark, &sums);

    tell_time(s, now_ms);
    if (!err)
        err = chain_after(s, watermark, t->acked_chain);
    if (err)
        return err;
    db_bind_uint(st, 1, t->acked + 1);
    db_bind_uint(st, 2, watermark);
    db_bind_uint(st, 3, (uint64_t)now_ms);
    err = db_run(st);
    t->acked = watermark;
    t->acked_events += sums.events;
    t->waiting_rows -= sums.rows;
    t->waiting_bytes -= sums.bytes;
    t->waiting_events -= sums.events;
    s->now.replay_bytes += sums.bytes;
    return err;
}

enum sotto_err spool_ack(struct spool *s, uint64_t watermark, int64_t now_ms)
{
    enum sotto_err err;

    if (watermark >= s->now.state.next_sequence)
        return SOTTO_EINVAL;
    if (watermark <= s->now.state.acked)
        return SOTTO_OK;
    err = db_begin(s);
    if (err)
        return err;
    err = ack_upto(s, watermark, now_ms);
    if (!err)
        err = evict(s, now_ms);
    return db_end(s, err);
}

static enum sotto_err refused_keep(struct spool *s, const struct row *row,
                                   const char *reason, int64_t now_ms)
{
    sqlite3_stmt *st = db_statement(s, SQL_REFUSED_ADD);
    enum sotto_err err;

    db_bind_uint(st, 1, s->now.state.stream);
    db_bind_uint(st, 2, row->sequence);
    db_bind_bytes(st, 3, span_text(reason));
    db_bind_uint(st, 4, (uint64_t)now_ms);
    err = db_run(st);
    if (err)
        return err;
    st = db_statement(s, SQL_REFUSED_TRIM);
    db_bind_uint(st, 1, REFUSED_MAX);
    err = db_run(st);
    if (err)
        return err;
    /* The row stays, for a restored aggregator must see its sequence again;
     * its events are counted as refused, and only once. */
    st = db_statement(s, SQL_ROW_EVENTS);
    db_bind_uint(st, 1, row->sequence);
    db_bind_uint(st, 2, 0);
    return db_run(st);
}

enum sotto_err spool_refused(struct spool *s, uint64_t sequence,
                             const char *reason, int64_t now_ms)
{
    struct row row;
    enum sotto_err err = row_read(s, sequence, &row);

    if (!err)
        err = db_begin(s);
    if (err)
        return err;
    /* It was committed over there as refused, and commits are in order. */
    if (sequence > s->now.state.acked)
        err = ack_upto(s, sequence, now_ms);
    if (!err)
        err = refused_keep(s, &row, reason, now_ms);
    s->now.state.acked_events -= row.events;
    s->now.state.refused_events += row.events;
    if (!err)
        err = evict(s, now_ms);
    return db_end(s, err);
}

enum sotto_err spool_rewind(struct spool *s, uint64_t watermark,
                            uint64_t *missing)
{
    struct spool_state *t = &s->now.state;
    uint64_t to = watermark < s->now.first ? s->now.first - 1 : watermark;
    struct db_sums sums;
    enum sotto_err err;

    *missing = to - watermark;
    if (watermark > t->acked)
        return SOTTO_EINVAL;
    if (to == t->acked)
        return SOTTO_OK;
    err = db_begin(s);
    if (err)
        return err;
    err = db_sums(s, to + 1, t->acked, &sums);
    if (!err)
        err = chain_after(s, to, t->acked_chain);
    if (!err) {
        t->acked_events -= sums.events;
        t->acked = to;
        err = recount(s);
    }
    return db_end(s, err);
}

/* ---- rewriting ---- */

/* Writes row anew through w, as sequence of stream, following chain, which
 * becomes the chain after it. */
static enum sotto_err row_rewrite(struct spool *s, struct row *row,
                                  const struct spool_rewrite *w,
                                  uint64_t stream, uint64_t sequence,
                                  uint8_t chain[HASH_SIZE])
{
    uint64_t from = row->sequence;
    struct span made;
    struct envelope e;
    enum sotto_err err = body_read(s, from, &s->old);

    buf_clear(&s->made);
    if (err == SOTTO_EDECODE) {
        buf_clear(&s->old);
        err = SOTTO_OK;
    }
    if (!err)
        err =
            w->rewrite(w->context, &s->made, span_of(s->old.data, s->old.size),
                       stream, sequence, chain);
    if (err)
        return err;
    made = span_of(s->made.data, s->made.size);
    err = envelope_parse(&e, made);
    if (err)
        return err;
    if (e.kind == KIND_VOID && row->kind == KIND_BATCH) {
        s->now.state.voided_events += row->events;
        row->events = 0;
    }
    row->kind = e.kind;
    row->sequence = sequence;
    memcpy(row->chain, chain, HASH_SIZE);
    if (!envelope_fits(made, stream, row))
        return SOTTO_EINVAL;
    err = delete_by(s, SQL_ROW_DELETE, SQL_BODY_DELETE, from);
    if (!err)
        err = row_add(s, row, made);
    return err;
}

/* Moves all rows to sequences 1.. of a stream; the place of each is free, for
 * all before it have moved down. */
static enum sotto_err fork_rows(struct spool *s, uint64_t stream,
                                const struct spool_rewrite *w)
{
    struct spool_state *t = &s->now.state;
    uint8_t chain[HASH_SIZE] = {0};
    uint64_t from = s->now.first, sequence = 1;
    struct row row;
    enum sotto_err err = SOTTO_OK;

    for (; !err && from < t->next_sequence; from++, sequence++) {
        err = row_read(s, from, &row);
        row.acked_ms = 0;
        if (!err)
            err = row_rewrite(s, &row, w, stream, sequence, chain);
    }
    t->next_sequence = sequence;
    memcpy(t->chain, chain, HASH_SIZE);
    return err;
}

enum sotto_err spool_fork(struct spool *s, uint64_t new_stream,
                          const struct spool_rewrite *rewrite)
{
    struct spool_state *t = &s->now.state;
    struct db_sums again = {0};
    enum sotto_err err;

    if (!new_stream || new_stream == t->stream)
        return SOTTO_EINVAL;
    err = db_begin(s);
    if (err)
        return err;
    err = db_sums(s, s->now.first, t->acked, &again);
    if (!err)
        err = fork_rows(s, new_stream, rewrite);
    t->acked_events -= again.events;
    t->stream = new_stream;
    t->acked = 0;
    s->now.first = 1;
    memset(t->acked_chain, 0, HASH_SIZE);
    memset(s->now.first_chain, 0, HASH_SIZE);
    if (!err)
        err = recount(s);
    return db_end(s, err);
}

/* Voids one row in its place; the chain stays, or every later row would have
 * to be signed again although it may have been sent. */
static enum sotto_err void_row(struct spool *s, struct row *row,
                               const struct spool_rewrite *make_void,
                               uint8_t chain[HASH_SIZE])
{
    uint8_t was[HASH_SIZE];
    enum sotto_err err;

    memcpy(was, row->chain, HASH_SIZE);
    row->events = 0;
    err = row_rewrite(s, row, make_void, s->now.state.stream, row->sequence,
                      chain);
    return err || memcmp(chain, was, HASH_SIZE) == 0 ? err : SOTTO_EINVAL;
}

static bool too_old(const struct row *row, int64_t old_ms)
{
    return row->made_ms > 0 && row->made_ms < old_ms;
}

static enum sotto_err expire_rows(struct spool *s, int64_t old_ms,
                                  const struct spool_rewrite *make_void,
                                  uint64_t *events)
{
    const struct spool_state *t = &s->now.state;
    uint8_t chain[HASH_SIZE];
    struct row row;

    memcpy(chain, t->acked_chain, HASH_SIZE);
    for (uint64_t n = t->acked + 1; n < t->next_sequence; n++) {
        enum sotto_err err = row_read(s, n, &row);
        uint32_t count = row.events;
        if (!err && !too_old(&row, old_ms))
            return SOTTO_OK;
        if (!err && row.kind == KIND_BATCH) {
            err = void_row(s, &row, make_void, chain);
            *events += count;
        } else if (!err) {
            memcpy(chain, row.chain, HASH_SIZE);
        }
        if (err)
            return err;
    }
    return SOTTO_OK;
}

enum sotto_err spool_expire(struct spool *s, int64_t old_ms,
                            const struct spool_rewrite *make_void,
                            uint64_t *voided_events)
{
    struct row row;
    uint64_t events = 0;
    enum sotto_err err = row_read(s, s->now.state.acked + 1, &row);

    *voided_events = 0;
    if (err == SOTTO_ENOTFOUND || (!err && !too_old(&row, old_ms)))
        return SOTTO_OK;
    if (!err)
        err = db_begin(s);
    if (err)
        return err;
    err = expire_rows(s, old_ms, make_void, &events);
    s->now.state.voided_events += events;
    if (!err)
        err = recount(s);
    err = db_end(s, err);
    if (!err)
        *voided_events = events;
    return err;
}
