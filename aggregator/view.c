/* The folder. One chunk goes: read, open, unzip, decode, into every view that
 * has not applied it yet.
 *
 * Invariants: a view's state in the database and its applied_upto are written
 * by one transaction, so what is loaded is the fold of chunks 1..applied_upto,
 * each once. In memory a view is either that or broken: an error in the middle
 * of a chunk is never followed by a checkpoint. */
#include "aggregator/view.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/strip.h"
#include "aggregator/views/interactions.h"
#include "aggregator/views/profile.h"
#include "base/clock.h"
#include "base/log.h"

/* By events, not chunks: how much is folded again after a crash, and how many
 * subjects changed, depend on them. */
#define CHECKPOINT_EVENTS 1000000
#define SUBJECT_SIZE 16

static const struct view_ops *const all[] = {&profile_view, &interactions_view};
#define VIEW_COUNT (sizeof(all) / sizeof(all[0]))
enum { PROFILE, INTERACTIONS };

struct slot {
    void *state;
    _Atomic uint64_t applied; /* status asks on other threads */
};

struct views {
    struct store *store;
    policy_lookup *lookup;
    void *context;
    pthread_mutex_t lock;
    struct slot slots[VIEW_COUNT];
    struct buf scratch, body;
    struct suppress *suppress; /* NULL: nobody */
    struct strip strip;
    struct fresh_queue fresh;
    _Atomic uint64_t skipped;
    uint64_t unsaved_events;
    _Atomic bool unsaved; /* the loop asks for these two */
    _Atomic int64_t unsaved_mono_ms;
    enum sotto_err broken;
};

/* --- one chunk ---------------------------------------------------------- */

static enum sotto_err fold_into(struct views *v, struct slot *slots,
                                const struct fold *f)
{
    enum sotto_err err = SOTTO_OK;

    views_lock(v);
    for (size_t i = 0; i < VIEW_COUNT && !err; i++) {
        if (slots[i].applied < f->chunk)
            err = all[i]->fold(slots[i].state, f);
    }
    views_unlock(v);
    if (slots == v->slots && f->batch)
        v->unsaved_events += batch_view_count(f->batch);
    return err;
}

/* Without the erased. */
static enum sotto_err fold_rest(struct views *v, struct slot *slots,
                                struct fold *f)
{
    struct batch_view *rest;
    enum sotto_err err =
        strip_batch(&v->strip, v->suppress, f->batch, f->policy);

    if (err || !v->strip.found.size)
        return err ? err : fold_into(v, slots, f);
    err = batch_decode(&rest, span_of(v->strip.body.data, v->strip.body.size),
                       f->policy);
    if (err)
        return err;
    f->batch = rest;
    err = fold_into(v, slots, f);
    batch_view_free(rest);
    return err;
}

static enum sotto_err fold_batch(struct views *v, struct slot *slots,
                                 struct fold *f, const struct log_chunk *chunk,
                                 bool *bad)
{
    struct batch_view *batch = NULL;
    enum sotto_err err;

    f->policy = v->lookup(v->context, chunk->policy);
    err = f->policy ? batch_decode(&batch, span_of(v->body.data, v->body.size),
                                   f->policy)
                    : SOTTO_ENOTFOUND;
    if (err) {
        *bad = err != SOTTO_ENOMEM;
        return err;
    }
    f->batch = batch;
    err = fold_rest(v, slots, f);
    batch_view_free(batch);
    return err;
}

static enum sotto_err fold_forget(struct views *v, struct slot *slots,
                                  struct fold *f, bool *bad)
{
    enum sotto_err err = SOTTO_OK;

    *bad = v->body.size == 0 || v->body.size % SUBJECT_SIZE;
    if (*bad)
        return SOTTO_EDECODE;
    for (size_t i = 0; i < v->body.size && !err; i += SUBJECT_SIZE) {
        f->forget = v->body.data + i;
        err = fold_into(v, slots, f);
    }
    return err;
}

/* *bad: the fault is the chunk's own, so trying again would not help. */
static enum sotto_err fold_chunk(struct views *v, struct slot *slots,
                                 const struct log_chunk *chunk, bool *bad)
{
    struct fold f = {.chunk = chunk->number,
                     .agent = chunk->agent,
                     .stream = chunk->stream,
                     .sequence = chunk->sequence,
                     .received_ms = chunk->received_ms};
    enum sotto_err err = payload_unzip(&v->body, chunk->payload, PAYLOAD_MAX);

    if (err) {
        *bad = err != SOTTO_ENOMEM;
        return err;
    }
    if (chunk->kind == KIND_FORGET)
        return fold_forget(v, slots, &f, bad);
    return fold_batch(v, slots, &f, chunk, bad);
}

static enum sotto_err fold_fresh(struct views *v, const struct fresh *fresh)
{
    struct fold f = {.chunk = fresh->chunk.number,
                     .agent = fresh->chunk.agent,
                     .stream = fresh->chunk.stream,
                     .sequence = fresh->chunk.sequence,
                     .received_ms = fresh->chunk.received_ms,
                     .policy = fresh->policy,
                     .batch = fresh->batch};

    return fold_rest(v, v->slots, &f);
}

/* The next chunk above after into those slots that lack it. *number: of the
 * chunk, also when it was passed over. SOTTO_ENOTFOUND at the end. */
static enum sotto_err fold_next(struct views *v, struct slot *slots,
                                uint64_t after, uint64_t *number, bool *bad)
{
    struct log_chunk chunk;
    enum sotto_err err = log_read(v->store, after, &chunk, &v->scratch);

    *bad = err == SOTTO_ECRYPTO || err == SOTTO_ETOOBIG;
    if (!err)
        err = fold_chunk(v, slots, &chunk, bad);
    else if (!*bad)
        return err;
    if (*bad)
        log_error("view", "chunk %llu of agent %u passed over: %s",
                  (unsigned long long)chunk.number, (unsigned)chunk.agent,
                  err == SOTTO_ENOTFOUND ? "its policy is not known"
                                         : err_text(err));
    *number = chunk.number;
    return *bad ? SOTTO_OK : err;
}

/* --- checkpoint --------------------------------------------------------- */

/* applied_upto once more, sealed, as the state of a view "applied": a damaged
 * one would fold chunks twice or leave them out. */
#define MARK "applied"

static enum sotto_err mark_seal(struct views *v, size_t i, uint64_t applied)
{
    sqlite3_stmt *q;
    enum sotto_err err =
        store_seal(v->store, all[i]->name, span_of(&applied, sizeof(applied)),
                   &v->scratch);

    if (err)
        return err;
    q = store_prepare(v->store, "REPLACE INTO view_state(view, key, value)"
                                " VALUES('" MARK "', ?, ?)");
    store_bind(q, 1, span_text(all[i]->name));
    store_bind(q, 2, span_of(v->scratch.data, v->scratch.size));
    return store_run(q);
}

/* SOTTO_ECRYPTO if the other one is not applied. */
static enum sotto_err mark_check(struct views *v, size_t i, uint64_t applied)
{
    sqlite3_stmt *q =
        store_prepare(v->store, "SELECT value FROM view_state"
                                " WHERE view = '" MARK "' AND key = ?");
    uint64_t sealed = 0;
    enum sotto_err err;

    store_bind(q, 1, span_text(all[i]->name));
    err = store_row(q);
    if (!err) {
        err =
            store_unseal(v->store, all[i]->name, store_blob(q, 0), &v->scratch);
        if (!err && v->scratch.size == sizeof(sealed))
            memcpy(&sealed, v->scratch.data, sizeof(sealed));
        store_done(q);
    }
    if (err && err != SOTTO_ENOTFOUND)
        return err;
    return sealed == applied ? SOTTO_OK : SOTTO_ECRYPTO;
}

static enum sotto_err save_view(struct views *v, struct slot *slot, size_t i)
{
    sqlite3_stmt *q;
    enum sotto_err err = all[i]->save(slot->state, v->store);

    if (!err)
        err = mark_seal(v, i, slot->applied);
    if (err)
        return err;
    q = store_prepare(v->store,
                      "INSERT INTO view(name, applied_upto) VALUES(?, ?)"
                      " ON CONFLICT(name) DO UPDATE"
                      " SET applied_upto = excluded.applied_upto");
    sqlite3_bind_text(q, 1, all[i]->name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(q, 2, (int64_t)slot->applied);
    return store_run(q);
}

enum sotto_err views_checkpoint(struct views *v)
{
    enum sotto_err err;

    if (v->broken)
        return v->broken;
    if (!v->unsaved)
        return SOTTO_OK;
    err = store_begin(v->store);
    for (size_t i = 0; i < VIEW_COUNT && !err; i++)
        err = save_view(v, &v->slots[i], i);
    if (err)
        store_rollback(v->store);
    else
        err = store_commit(v->store);
    if (err) {
        log_error("view", "checkpoint failed: %s; tried again later",
                  err_text(err));
        return err;
    }
    for (size_t i = 0; i < VIEW_COUNT; i++)
        all[i]->saved(v->slots[i].state);
    v->unsaved_events = 0;
    v->unsaved = false;
    return SOTTO_OK;
}

/* Chunks applied + 1 .. upto are done with; those below number are not in the
 * log any more, and nobody was told. */
static void advance(struct views *v, uint64_t number, uint64_t upto)
{
    uint64_t applied = views_applied(v);

    if (number > applied + 1) {
        log_error("view", "chunks %llu to %llu are not in the log: damaged",
                  (unsigned long long)applied + 1,
                  (unsigned long long)number - 1);
        v->skipped += number - 1 - applied;
    }
    if (!v->unsaved) {
        v->unsaved_mono_ms = clock_mono_ms(&clock_system);
        v->unsaved = true;
    }
    for (size_t i = 0; i < VIEW_COUNT; i++) {
        if (v->slots[i].applied < upto)
            v->slots[i].applied = upto;
    }
}

/* At the end of the log: a number that was given, and whose chunk is gone? */
static void end_check(struct views *v)
{
    uint64_t given = log_given(v->store);

    if (given > views_applied(v) && log_last(v->store) <= views_applied(v))
        advance(v, given + 1, given);
}

static enum sotto_err reload(struct views *v);

/* The next chunk, decoded already or else from the log. */
static enum sotto_err fold_live(struct views *v, uint64_t *number, bool *bad)
{
    uint64_t applied = views_applied(v);
    struct fresh *fresh = fresh_take(&v->fresh, applied);
    enum sotto_err err;

    if (!fresh)
        return fold_next(v, v->slots, applied, number, bad);
    *number = fresh->chunk.number;
    *bad = false;
    err = fold_fresh(v, fresh);
    fresh_free(fresh);
    return err;
}

enum sotto_err views_fold(struct views *v, uint32_t chunks_max, bool *more)
{
    enum sotto_err err = v->broken ? reload(v) : SOTTO_OK;
    uint64_t number = 0;
    bool bad;

    *more = false;
    for (uint32_t n = 0; n < chunks_max && !err; n++) {
        err = fold_live(v, &number, &bad);
        if (err == SOTTO_ENOTFOUND) {
            end_check(v);
            break;
        }
        if (err == SOTTO_ENOMEM)
            v->broken = err;
        if (err)
            return err;
        v->skipped += bad;
        advance(v, number, number);
    }
    if (err && err != SOTTO_ENOTFOUND)
        return err;
    *more = !err;
    return v->unsaved_events >= CHECKPOINT_EVENTS ? views_checkpoint(v)
                                                  : SOTTO_OK;
}

/* --- open, close -------------------------------------------------------- */

static enum sotto_err applied_read(struct views *v, size_t i, struct slot *slot)
{
    sqlite3_stmt *q =
        store_prepare(v->store, "SELECT applied_upto FROM view WHERE name = ?");
    enum sotto_err err;

    sqlite3_bind_text(q, 1, all[i]->name, -1, SQLITE_STATIC);
    err = store_row(q);
    if (!err) {
        slot->applied = (uint64_t)sqlite3_column_int64(q, 0);
        store_done(q);
    } else if (err != SOTTO_ENOTFOUND) {
        return err;
    }
    return mark_check(v, i, slot->applied);
}

static enum sotto_err delete_saved(struct views *v, size_t view)
{
    static const char *const texts[] = {
        "DELETE FROM view_state WHERE view = ?",
        "DELETE FROM view WHERE name = ?",
    };
    enum sotto_err err = SOTTO_OK;

    for (size_t i = 0; i < 2 && !err; i++) {
        sqlite3_stmt *q = store_prepare(v->store, texts[i]);

        sqlite3_bind_text(q, 1, all[view]->name, -1, SQLITE_STATIC);
        err = store_run(q);
    }
    return err;
}

/* Both rows of a view go in one transaction, so that it is whole or absent. */
static enum sotto_err erase_saved(struct views *v, size_t view)
{
    enum sotto_err err = store_begin(v->store);

    if (!err)
        err = delete_saved(v, view);
    if (!err)
        err = mark_seal(v, view, 0);
    if (!err)
        return store_commit(v->store);
    store_rollback(v->store);
    return err;
}

static enum sotto_err load_view(struct views *v, size_t i, struct slot *slot)
{
    enum sotto_err err = all[i]->open(&slot->state);

    if (!err)
        err = applied_read(v, i, slot);
    if (!err)
        err = all[i]->load(slot->state, v->store);
    if (err != SOTTO_ECRYPTO && err != SOTTO_EDECODE && err != SOTTO_EVERSION)
        return err;
    log_error("view",
              "%s: its checkpoint is unusable: %s; folding the log "
              "again",
              all[i]->name, err_text(err));
    all[i]->close(slot->state);
    slot->state = NULL;
    slot->applied = 0;
    err = erase_saved(v, i);
    return err ? err : all[i]->open(&slot->state);
}

/* What is in fresh, and saved, becomes the views; the old ones to fresh. */
static void show(struct views *v, struct slot *fresh)
{
    views_lock(v);
    for (size_t i = 0; i < VIEW_COUNT; i++) {
        void *old = v->slots[i].state;

        v->slots[i].state = fresh[i].state;
        v->slots[i].applied = fresh[i].applied;
        fresh[i].state = old;
    }
    views_unlock(v);
    v->unsaved_events = 0;
    v->unsaved = false;
}

/* After a fold that broke off in the middle of a chunk: from the checkpoints
 * once more. Readers keep what there is until the other is whole. */
static enum sotto_err reload(struct views *v)
{
    struct slot fresh[VIEW_COUNT] = {{NULL, 0}};
    enum sotto_err err = SOTTO_OK;

    for (size_t i = 0; i < VIEW_COUNT && !err; i++)
        err = load_view(v, i, &fresh[i]);
    if (!err) {
        show(v, fresh);
        v->broken = SOTTO_OK;
    }
    for (size_t i = 0; i < VIEW_COUNT; i++)
        all[i]->close(fresh[i].state);
    return err;
}

enum sotto_err views_open(struct views **out, const char *dir,
                          const char *key_file, policy_lookup *lookup,
                          void *context, struct why *why)
{
    struct views *v = calloc(1, sizeof(*v));
    enum sotto_err err;

    if (!v)
        return SOTTO_ENOMEM;
    v->lookup = lookup;
    v->context = context;
    buf_init(&v->scratch, 2 * FRAME_MAX);
    buf_init(&v->body, PAYLOAD_MAX);
    strip_init(&v->strip);
    pthread_mutex_init(&v->lock, NULL);
    fresh_init(&v->fresh);
    err = store_open(&v->store, dir, key_file, why);
    for (size_t i = 0; i < VIEW_COUNT && !err; i++) {
        err = load_view(v, i, &v->slots[i]);
        if (err)
            why_say(why, err, "%s: the view %s cannot be loaded: %s", dir,
                    all[i]->name, err_text(err));
    }
    if (err) {
        v->broken = err;
        views_close(v);
        return err;
    }
    *out = v;
    return SOTTO_OK;
}

void views_close(struct views *v)
{
    if (!v)
        return;
    if (v->store)
        views_checkpoint(v);
    for (size_t i = 0; i < VIEW_COUNT; i++)
        all[i]->close(v->slots[i].state);
    store_close(v->store);
    buf_wipe(&v->scratch);
    buf_wipe(&v->body);
    strip_fini(&v->strip);
    fresh_fini(&v->fresh);
    pthread_mutex_destroy(&v->lock);
    free(v);
}

void views_suppress(struct views *v, struct suppress *s)
{
    v->suppress = s;
}

/* --- looking ------------------------------------------------------------ */

uint64_t views_applied(const struct views *v)
{
    uint64_t least = v->slots[0].applied;

    for (size_t i = 1; i < VIEW_COUNT; i++) {
        if (v->slots[i].applied < least)
            least = v->slots[i].applied;
    }
    return least;
}

struct fresh_queue *views_fresh(struct views *v)
{
    return &v->fresh;
}

int64_t views_unsaved_ms(const struct views *v)
{
    return v->unsaved ? clock_mono_ms(&clock_system) - v->unsaved_mono_ms : 0;
}

uint64_t views_skipped(const struct views *v)
{
    return v->skipped;
}

void views_lock(struct views *v)
{
    pthread_mutex_lock(&v->lock);
}

void views_unlock(struct views *v)
{
    pthread_mutex_unlock(&v->lock);
}

struct profiles *views_profiles(struct views *v)
{
    return v->slots[PROFILE].state;
}

struct interactions *views_interactions(struct views *v)
{
    return v->slots[INTERACTIONS].state;
}

/* --- verify ------------------------------------------------------------- */

static enum sotto_err refold(struct views *v, struct slot *fresh)
{
    uint64_t number = 0, upto = views_applied(v);
    enum sotto_err err = SOTTO_OK;
    bool bad;

    while (!err && number < upto) {
        err = fold_next(v, fresh, number, &number, &bad);
        for (size_t i = 0; i < VIEW_COUNT; i++)
            fresh[i].applied = number;
    }
    return err == SOTTO_ENOTFOUND ? SOTTO_OK : err;
}

enum sotto_err views_verify(struct views *v, struct why *why)
{
    struct slot fresh[VIEW_COUNT] = {{NULL, 0}};
    enum sotto_err err = v->broken;

    for (size_t i = 0; i < VIEW_COUNT && !err; i++)
        err = all[i]->open(&fresh[i].state);
    if (!err)
        err = refold(v, fresh);
    for (size_t i = 0; i < VIEW_COUNT && !err; i++) {
        if (all[i]->digest(fresh[i].state) != all[i]->digest(v->slots[i].state))
            err = why_say(why, SOTTO_ECRYPTO,
                          "the view %s differs from the fold of the log; stop "
                          "the daemon and rebuild it",
                          all[i]->name);
    }
    for (size_t i = 0; i < VIEW_COUNT; i++)
        all[i]->close(fresh[i].state);
    return err;
}

/* --- erasing ------------------------------------------------------------ */

enum sotto_err views_forget(struct views *v, const uint8_t subject[16])
{
    enum sotto_err err = SOTTO_OK;

    views_lock(v);
    for (size_t i = 0; i < VIEW_COUNT && !err; i++)
        err = all[i]->forget(v->slots[i].state, subject);
    views_unlock(v);
    return err;
}

static enum sotto_err replace_saved(struct views *v, struct slot *fresh)
{
    enum sotto_err err = store_begin(v->store);

    if (err)
        return err;
    for (size_t i = 0; i < VIEW_COUNT && !err; i++) {
        err = delete_saved(v, i);
        if (!err)
            err = save_view(v, &fresh[i], i);
    }
    if (!err)
        return store_commit(v->store);
    store_rollback(v->store);
    return err;
}

enum sotto_err views_rebuild(struct views *v)
{
    struct slot fresh[VIEW_COUNT] = {{NULL, 0}};
    enum sotto_err err = v->broken ? reload(v) : SOTTO_OK;
    uint64_t upto = views_applied(v);

    for (size_t i = 0; i < VIEW_COUNT && !err; i++)
        err = all[i]->open(&fresh[i].state);
    if (!err)
        err = refold(v, fresh);
    for (size_t i = 0; i < VIEW_COUNT; i++)
        fresh[i].applied = upto; /* also if the last chunks are gone */
    if (!err)
        err = replace_saved(v, fresh);
    for (size_t i = 0; i < VIEW_COUNT && !err; i++)
        all[i]->saved(fresh[i].state);
    if (!err)
        show(v, fresh);
    for (size_t i = 0; i < VIEW_COUNT; i++)
        all[i]->close(fresh[i].state);
    return err;
}
