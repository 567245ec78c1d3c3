/* Functions of the product that the simulator stands around, by the linker's
 * --wrap: to tell the ledger what was asked and what came of it, and to break
 * the product in a named way (--break). A break is one wrong step in a seam
 * that a real mistake could make; every one must be found (sim.breaks). */
#include "hooks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/spool_db.h"
#include "aggregator/log.h"
#include "delivery/stream.h"
#include "delivery/watermark.h"
#include "ledger.h"
#include "site.h"
#include "wire/message.h"

const struct sim_break breaks[] = {
    {"ack-before-commit", "the group commits after its acknowledgements",
     "kill,power"},
    {"sync-normal", "synchronous=NORMAL: a commit is not yet durable", "power"},
    {"never-synced", "a disk that does not keep what was synced", "power"},
    {"watermark-apart", "the chunk is in a later transaction than its mark",
     "kill,power"},
    {"gap-accepted", "a sequence is taken before its predecessor",
     "loss,reorder"},
    {"chain-unchecked", "another history passes for the known one",
     "restore-agent,clone"},
    {"void-skipped", "a void is acknowledged and not recorded",
     "partition,kill"},
    {"early-dropped", "what lacks its predecessor gets no answer",
     "restore-aggregator"},
    {"sequence-reuse", "after a crash the last sequence is given again",
     "kill,partition"},
    {"delete-before-ack", "a row counts as delivered when it is sent", "loss"},
    {"unsigned-believed", "an agent does not check signatures", "forge"},
    {"mark-apart", "the ring's mark is in a later transaction than its row",
     "kill"},
    {NULL, NULL, NULL},
};

/* ---- the spool ---- */

WRAPPED(enum sotto_err, spool_open,
        (struct spool * *out, const struct spool_config *cfg, struct why *why));
WRAPPED(enum sotto_err, spool_commit,
        (struct spool * s, const struct spool_entry *e));
WRAPPED(enum sotto_err, spool_ack,
        (struct spool * s, uint64_t watermark, int64_t now_ms));
WRAPPED(enum sotto_err, spool_rewind,
        (struct spool * s, uint64_t watermark, uint64_t *missing));
WRAPPED(enum sotto_err, spool_fork,
        (struct spool * s, uint64_t new_stream,
         const struct spool_rewrite *rewrite));
WRAPPED(enum sotto_err, spool_refused,
        (struct spool * s, uint64_t sequence, const char *reason,
         int64_t now_ms));
WRAPPED(enum sotto_err, spool_get,
        (struct spool * s, uint64_t sequence, struct spool_row *row,
         struct buf *out));

static void forget_last(struct spool *s)
{
    const struct spool_state *t = spool_state(s);
    char text[400];

    if (t->next_sequence - 1 <= t->acked)
        return;
    snprintf(text, sizeof text,
             "UPDATE state SET next_sequence = next_sequence - 1, chain ="
             " coalesce((SELECT chain FROM row WHERE sequence = %llu),"
             " acked_chain); DELETE FROM row WHERE sequence = %llu;"
             "DELETE FROM body WHERE sequence = %llu",
             (unsigned long long)t->next_sequence - 2,
             (unsigned long long)t->next_sequence - 1,
             (unsigned long long)t->next_sequence - 1);
    sim_must(sqlite3_exec(s->db, text, NULL, NULL, NULL) == SQLITE_OK,
             "a break");
}

enum sotto_err __wrap_spool_open(struct spool **out,
                                 const struct spool_config *cfg,
                                 struct why *why)
{
    enum sotto_err err = __real_spool_open(out, cfg, why);

    if (!err && broken("sequence-reuse")) {
        forget_last(*out);
        spool_close(*out);
        *out = NULL;
        err = __real_spool_open(out, cfg, why);
    }
    if (!err)
        ledger_settle(world.running, *out);
    return err;
}

enum sotto_err __wrap_spool_commit(struct spool *s, const struct spool_entry *e)
{
    struct spool_entry row = *e;
    enum sotto_err err = SOTTO_OK;

    ledger_seal(world.running, e);
    if (broken("mark-apart") && e->envelope.size) {
        row.ring_mark = spool_state(s)->ring_mark;
        err = __real_spool_commit(s, &row);
        row = *e;
        row.envelope.size = 0;
    }
    if (!err)
        err = __real_spool_commit(s, &row);
    ledger_settle(world.running, s);
    agent_touched(world.running);
    return err;
}

enum sotto_err __wrap_spool_ack(struct spool *s, uint64_t watermark,
                                int64_t now_ms)
{
    uint64_t before = spool_state(s)->acked;
    enum sotto_err err = __real_spool_ack(s, watermark, now_ms);

    if (!err)
        ledger_acked(world.running, s, before);
    agent_touched(world.running);
    return err;
}

enum sotto_err __wrap_spool_rewind(struct spool *s, uint64_t watermark,
                                   uint64_t *missing)
{
    enum sotto_err err = __real_spool_rewind(s, watermark, missing);

    if (!err)
        ledger_rewound(world.running, watermark, *missing);
    agent_touched(world.running);
    return err;
}

enum sotto_err __wrap_spool_fork(struct spool *s, uint64_t new_stream,
                                 const struct spool_rewrite *rewrite)
{
    enum sotto_err err;

    ledger_fork(world.running, s, new_stream);
    err = __real_spool_fork(s, new_stream, rewrite);
    ledger_settle(world.running, s);
    agent_touched(world.running);
    return err;
}

enum sotto_err __wrap_spool_refused(struct spool *s, uint64_t sequence,
                                    const char *reason, int64_t now_ms)
{
    enum sotto_err err = __real_spool_refused(s, sequence, reason, now_ms);

    if (!err)
        ledger_refused(world.running, sequence);
    agent_touched(world.running);
    return err;
}

enum sotto_err __wrap_spool_get(struct spool *s, uint64_t sequence,
                                struct spool_row *row, struct buf *out)
{
    enum sotto_err err = __real_spool_get(s, sequence, row, out);

    if (!err && broken("delete-before-ack"))
        __wrap_spool_ack(s, sequence, 0);
    return err;
}

WRAPPED(enum stream_action, stream_replied,
        (struct stream * s, uint64_t sequence, const struct stream_reply *r,
         int64_t mono_ms));

enum stream_action __wrap_stream_replied(struct stream *s, uint64_t sequence,
                                         const struct stream_reply *r,
                                         int64_t mono_ms)
{
    uint64_t acked = s->acked;
    enum stream_action action = __real_stream_replied(s, sequence, r, mono_ms);

    if (r->verdict != VERDICT_ACK || action != STREAM_ACK)
        trace("verdict %u on %llu, watermark %llu, acked %llu: %d",
              (unsigned)r->verdict, (unsigned long long)sequence,
              (unsigned long long)r->watermark, (unsigned long long)acked,
              (int)action);
    return action;
}

/* ---- envelopes and messages ---- */

WRAPPED(enum sotto_err, envelope_void,
        (struct buf * out, struct span envelope, uint64_t stream,
         uint64_t sequence, uint8_t chain[HASH_SIZE], uint64_t events,
         const char *reason, const struct keys *sender));
WRAPPED(enum sotto_err, envelope_verify,
        (const struct envelope *e, struct span bytes,
         const uint8_t sign_pk[PK_SIZE]));
WRAPPED(enum sotto_err, message_encode,
        (struct buf * out, enum message_type type, const void *message));

enum sotto_err __wrap_envelope_void(struct buf *out, struct span envelope,
                                    uint64_t stream, uint64_t sequence,
                                    uint8_t chain[HASH_SIZE], uint64_t events,
                                    const char *reason,
                                    const struct keys *sender)
{
    enum sotto_err err = __real_envelope_void(out, envelope, stream, sequence,
                                              chain, events, reason, sender);

    if (!err)
        ledger_voided(envelope);
    return err;
}

enum sotto_err __wrap_envelope_verify(const struct envelope *e,
                                      struct span bytes,
                                      const uint8_t sign_pk[PK_SIZE])
{
    if (broken("unsigned-believed") && world.running->number != AGGREGATOR)
        return SOTTO_OK;
    return __real_envelope_verify(e, bytes, sign_pk);
}

/* An older writer does not know the newest field: one byte less (a zero), and
 * an array of one element less (MessagePack's fixarray). */
static void older(struct buf *out, size_t from)
{
    out->data[from]--;
    out->size--;
}

enum sotto_err __wrap_message_encode(struct buf *out, enum message_type type,
                                     const void *message)
{
    bool old = world.running && world.running->old_version;
    size_t from = out->size;
    enum sotto_err err;

    if (old && type == MESSAGE_REPLY) {
        struct reply r = *(const struct reply *)message;
        r.time_ms = 0;
        err = __real_message_encode(out, type, &r);
    } else if (old && type == MESSAGE_POLL) {
        struct poll p = *(const struct poll *)message;
        p.spooled_bytes = 0;
        err = __real_message_encode(out, type, &p);
    } else {
        return __real_message_encode(out, type, message);
    }
    if (!err)
        older(out, from);
    return err;
}

/* ---- the aggregator ---- */

WRAPPED(enum sotto_err, log_append,
        (struct store * s, const struct log_entry *entries, size_t count));
WRAPPED(enum sotto_err, store_begin, (struct store * s));
WRAPPED(enum sotto_err, store_commit, (struct store * s));
WRAPPED(sqlite3_stmt *, store_prepare, (struct store * s, const char *text));
WRAPPED(enum watermark_verdict, watermark_decide,
        (const struct watermark *w, uint64_t sequence, const uint8_t chain[32],
         const uint8_t *known, const uint8_t *follows));
WRAPPED(void, watermark_take,
        (struct watermark * w, uint64_t sequence, const uint8_t chain[32]));
WRAPPED(int, sqlite3_exec,
        (sqlite3 * db, const char *text,
         int (*each)(void *, int, char **, char **), void *context,
         char **message));

static bool appending; /* inside log_append */
static unsigned late;  /* groups that wait for their commit */

/* What a fork moved is in the log already, and made no chunk. */
static bool was_moved(struct store *s, const struct log_entry *e)
{
    sqlite3_stmt *q = store_prepare(
        s, "SELECT 1 FROM refused WHERE agent = ? AND stream = ? AND"
           " sequence = ? AND reason = 'moved'");
    bool moved;

    sqlite3_bind_int64(q, 1, e->agent);
    sqlite3_bind_int64(q, 2, (int64_t)e->stream);
    sqlite3_bind_int64(q, 3, (int64_t)e->sequence);
    moved = store_row(q) == SOTTO_OK;
    if (moved)
        store_done(q);
    return moved;
}

enum sotto_err __wrap_log_append(struct store *s,
                                 const struct log_entry *entries, size_t count)
{
    struct log_entry *kept = malloc((count + 1) * sizeof *kept);
    size_t kept_count = 0;
    enum sotto_err err;

    sim_must(kept, "memory");
    for (size_t i = 0; i < count; i++)
        if (!broken("void-skipped") || entries[i].kind != KIND_VOID)
            kept[kept_count++] = entries[i];
    appending = true;
    err = __real_log_append(s, kept, kept_count);
    appending = false;
    for (size_t i = 0; i < kept_count && !err; i++)
        if (!kept[i].reason && was_moved(s, &kept[i]))
            kept[i].reason = "moved";
    if (!err)
        aggregator_commits(kept, kept_count);
    free(kept);
    return err;
}

enum sotto_err __wrap_store_begin(struct store *s)
{
    if (appending && broken("ack-before-commit") &&
        !sqlite3_get_autocommit(s->db))
        return SOTTO_OK;
    return __real_store_begin(s);
}

enum sotto_err __wrap_store_commit(struct store *s)
{
    if (appending && broken("ack-before-commit") && ++late % 8 != 0)
        return SOTTO_OK;
    return __real_store_commit(s);
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

sqlite3_stmt *__wrap_store_prepare(struct store *s, const char *text)
{
    static const char any_sequence[] =
        "UPDATE stream SET watermark = ?3, chain = ?4, batches = batches + ?5,"
        " events = events + ?6, voided_events = voided_events + ?7,"
        " refused_batches = refused_batches + ?8,"
        " refused_events = refused_events + ?9,"
        " counters = coalesce(?10, counters), last_ms = ?11"
        " WHERE agent = ?1 AND stream = ?2";

    if (broken("watermark-apart") && begins(text, "INSERT INTO chunk(") &&
        (__real_store_commit(s) || __real_store_begin(s)))
        return NULL;
    if (broken("gap-accepted") && begins(text, "UPDATE stream SET watermark"))
        text = any_sequence;
    return __real_store_prepare(s, text);
}

enum watermark_verdict __wrap_watermark_decide(const struct watermark *w,
                                               uint64_t sequence,
                                               const uint8_t chain[32],
                                               const uint8_t *known,
                                               const uint8_t *follows)
{
    enum watermark_verdict v =
        __real_watermark_decide(w, sequence, chain, known, follows);

    if (broken("gap-accepted") && w->upto > 0 &&
        (v == WATERMARK_GAP || v == WATERMARK_EARLY_HOLD))
        return WATERMARK_NEXT;
    if (broken("chain-unchecked") && v == WATERMARK_FORK)
        return sequence <= w->upto ? WATERMARK_DUPLICATE : WATERMARK_NEXT;
    ledger_counts.early += v == WATERMARK_EARLY_HOLD;
    return v;
}

void __wrap_watermark_take(struct watermark *w, uint64_t sequence,
                           const uint8_t chain[32])
{
    if (broken("gap-accepted")) {
        w->upto = sequence;
        memcpy(w->chain, chain, HASH_SIZE);
        return;
    }
    __real_watermark_take(w, sequence, chain);
}

int __wrap_sqlite3_exec(sqlite3 *db, const char *text,
                        int (*each)(void *, int, char **, char **),
                        void *context, char **message)
{
    int rc = __real_sqlite3_exec(db, text, each, context, message);

    if (rc == SQLITE_OK && broken("sync-normal") &&
        strstr(text, "PRAGMA synchronous"))
        rc = __real_sqlite3_exec(db, "PRAGMA synchronous = NORMAL", NULL, NULL,
                                 NULL);
    return rc;
}
