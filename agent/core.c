/* See core.h. */
#include "agent/core.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#include "base/dirlock.h"
#include "base/log.h"
#include "policy/epoch.h"

#define DRAIN_MIN_MS 5
#define DRAIN_MAX_MS 100
#define EXPIRE_EVERY_MS (10 * 60 * 1000)

/* ---- turning: ring -> spool -> link ---- */

static void turn(struct core *c)
{
    uint32_t committed = 0;
    bool flush = atomic_exchange(&c->flush_wanted, false) || c->stopping;
    enum sotto_err err = batcher_turn(c->batcher, flush, &committed);

    if (err && err != c->last_err)
        log_error("core",
                  "the spool took no batch: %s; events wait in the ring, "
                  "trying again",
                  err_text(err));
    c->turn_errors += err != SOTTO_OK;
    uv_mutex_lock(&c->turn_lock);
    c->last_err = err;
    atomic_store(&c->synced, batcher_mark(c->batcher));
    atomic_store(&c->waiting, spool_state(c->spool)->waiting_rows);
    uv_cond_broadcast(&c->turned);
    uv_mutex_unlock(&c->turn_lock);
    if (committed && c->uplink)
        uplink_kick(c->uplink);
    if (!err && c->producers == 0 && batcher_idle(c->batcher))
        uv_timer_stop(&c->drain);
}

static void drain_on_loop(uv_timer_t *timer)
{
    turn(timer->data);
}

static void wake_on_loop(uv_async_t *wake)
{
    turn(wake->data);
}

static void look_often(struct core *c)
{
    int64_t every = c->settings.batch_age_ms / 4;

    if (every < DRAIN_MIN_MS)
        every = DRAIN_MIN_MS;
    if (every > DRAIN_MAX_MS)
        every = DRAIN_MAX_MS;
    uv_timer_start(&c->drain, drain_on_loop, (uint64_t)every, (uint64_t)every);
}

void core_produce_begin(struct core *c)
{
    if (c->producers++ == 0)
        look_often(c);
}

void core_produce_end(struct core *c)
{
    assert(c->producers > 0);
    c->producers--; /* the timer stops when all of it is drained */
}

enum sotto_err core_sync(struct core *c, int64_t timeout_ms)
{
    uint64_t want = journal_head(c->journal);
    uint64_t deadline = uv_hrtime() + (uint64_t)timeout_ms * 1000000;
    enum sotto_err err = SOTTO_OK;

    uv_mutex_lock(&c->turn_lock);
    while (atomic_load(&c->synced) < want) {
        uint64_t now = uv_hrtime();
        if (now >= deadline) {
            err = c->last_err == SOTTO_EFULL ? SOTTO_EFULL : SOTTO_ETIMEOUT;
            break;
        }
        atomic_store(&c->flush_wanted, true);
        uv_async_send(&c->wake);
        uint64_t left = deadline - now;
        uv_cond_timedwait(&c->turned, &c->turn_lock,
                          left < 20000000 ? left : 20000000);
    }
    uv_mutex_unlock(&c->turn_lock);
    return err;
}

enum sotto_err core_flush(struct core *c, int64_t timeout_ms)
{
    uint64_t deadline = uv_hrtime() + (uint64_t)timeout_ms * 1000000;
    enum sotto_err err = core_sync(c, timeout_ms);

    uv_mutex_lock(&c->turn_lock);
    while (!err && atomic_load(&c->waiting) > 0) {
        uint64_t now = uv_hrtime();
        if (now >= deadline) {
            err = SOTTO_ETIMEOUT;
            break;
        }
        uv_cond_timedwait(&c->turned, &c->turn_lock, deadline - now);
    }
    uv_mutex_unlock(&c->turn_lock);
    return err;
}

/* ---- batches that are too old ---- */

static enum sotto_err make_void(void *context, struct buf *out,
                                struct span envelope, uint64_t stream,
                                uint64_t sequence, uint8_t chain[HASH_SIZE])
{
    struct core *c = context;
    struct spool_row row;
    struct buf copy;
    enum sotto_err err;

    buf_init(&copy, FRAME_MAX);
    err = spool_get(c->spool, sequence, &row, &copy);
    if (!err)
        err = envelope_void(out, envelope, stream, sequence, chain, row.events,
                            "expired", c->home->keys);
    buf_fini(&copy);
    return err;
}

static void expire(struct core *c)
{
    const struct spool_rewrite voids = {make_void, c};
    const struct policy *p = policyset_current(&c->policies, NULL);
    int64_t age = c->settings.spool_age_ms, now = trusted_stamp(&c->time);
    uint64_t events = 0;

    if (p && p->spool_ms > 0 && p->spool_ms < age)
        age = p->spool_ms; /* the officer's limit */
    if (now == 0)
        return; /* a wrong clock gives nothing up */
    if (spool_expire(c->spool, now - age, &voids, &events))
        log_error("spool", "old batches could not be voided; trying again");
    else if (events > 0)
        log_warn("spool", "%llu events were too old to be sent; voided",
                 (unsigned long long)events);
}

/* ---- pseudonym keys that are over ---- */

/* Destroys them in memory and on disk, by trusted time: until it is known no
 * key goes. What fails is tried again with the next turn of the timer. */
static void keys_destroy(struct core *c)
{
    struct bundle *officer = &c->home->officer;
    struct pseudonym_keys *old = officer->keys, *left;
    int64_t now = trusted_stamp(&c->time);

    if (now == 0)
        return;
    left = pseudonym_keys_make();
    if (!left)
        return;
    *left = *old;
    if (!epoch_destroy(left, policyset_current(&c->policies, NULL), now)) {
        pseudonym_keys_free(left);
        return;
    }
    if (home_rekey(c->home, left) ||
        (c->take.journal && take_keys(&c->take, left))) {
        log_error("keys", "those of past epochs could not be destroyed; trying "
                          "again: see that the directory can be written");
        pseudonym_keys_free(left);
        return;
    }
    officer->keys = left;
    pseudonym_keys_free(old); /* wipes */
    log_info("keys", "those of past epochs are destroyed");
}

static void expire_on_loop(uv_timer_t *timer)
{
    expire(timer->data);
    keys_destroy(timer->data);
}

/* ---- what the link brings ---- */

static enum sotto_err policy_came(struct core *c, struct span container)
{
    const struct policy *p;
    struct why why;
    uint32_t number = 0;
    enum sotto_err err = policyset_add(&c->policies, container, &why);

    if (err == SOTTO_EEXIST)
        return SOTTO_OK;
    if (err == SOTTO_ENOMEM || err == SOTTO_EIO)
        return err; /* comes again */
    if (err) {      /* not acceptable now or later */
        log_error("policy", "refused: %s", why.text);
        return SOTTO_OK;
    }
    p = policyset_current(&c->policies, &number);
    log_info("policy", "version %llu is in force",
             (unsigned long long)p->version);
    return take_policy(&c->take, p, number);
}

struct applying {
    struct core *core;
    uint64_t last;
};

static enum sotto_err apply(void *context, const struct document *d)
{
    struct applying *a = context;

    a->last = d->number;
    if (d->kind == DOCUMENT_POLICY)
        return policy_came(a->core, d->body);
    return lists_apply(a->core->lists, d);
}

static enum sotto_err documents_on_loop(void *owner, struct span payload)
{
    struct core *c = owner;
    struct applying a = {.core = c, .last = lists_applied(c->lists)};
    struct documents_head head;
    enum sotto_err err = lists_begin(c->lists);

    if (err)
        return err;
    err = documents_decode(&head, payload, apply, &a);
    if (!err)
        err = lists_end(c->lists, a.last);
    else
        lists_rollback(c->lists);
    if (err)
        log_error("documents", "not applied: %s; asking again", err_text(err));
    return err;
}

static uint64_t applied_on_loop(void *owner)
{
    return lists_applied(((struct core *)owner)->lists);
}

static void time_on_loop(void *owner, int64_t aggregator_ms)
{
    struct core *c = owner;

    trusted_confirm(&c->time, aggregator_ms);
    if (!c->dated) {
        c->dated = !spool_date(c->spool, trusted_stamp(&c->time));
        keys_destroy(c);
    }
}

static int64_t now_on_loop(void *owner)
{
    return trusted_stamp(&((struct core *)owner)->time);
}

static void changed_on_loop(void *owner)
{
    turn(owner); /* room in the spool, or a waiter for an acknowledgement */
}

/* ---- open ---- */

static enum sotto_err ring_path(const struct core *c, char *out, size_t size,
                                struct why *why)
{
    char dir[256], id[17];
    struct stat st;

    sodium_bin2hex(id, sizeof id, c->home->keys->sign_id, 8);
    snprintf(dir, sizeof dir, "%s/sotto-%s", c->settings.ring_dir, id);
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return why_say(why, SOTTO_EIO,
                       "%s: cannot be made: %s; set ring_dir in agent.yaml to "
                       "a memory-backed folder",
                       dir, strerror(errno));
    if (lstat(dir, &st) != 0 || !S_ISDIR(st.st_mode) ||
        st.st_uid != geteuid() || (st.st_mode & 077) != 0)
        return why_say(why, SOTTO_EDENIED,
                       "%s: is not a folder of ours alone (owner, mode 0700); "
                       "remove it, or set ring_dir in agent.yaml",
                       dir);
    snprintf(out, size, "%s/ring", dir);
    return SOTTO_OK;
}

static enum sotto_err open_files(struct core *c, struct why *why)
{
    char path[512];
    struct spool_config cfg = {.path = path,
                               .bytes_max = c->settings.spool_bytes,
                               .replay_ms = c->settings.replay_ms};
    uint64_t recovered = 0;
    enum sotto_err err;

    snprintf(path, sizeof path, "%s/spool.db", c->home->dir);
    err = spool_open(&c->spool, &cfg, why);
    if (err)
        return err;
    trusted_begin(&c->time, spool_state(c->spool)->time_ms);
    snprintf(path, sizeof path, "%s/lists.db", c->home->dir);
    err = lists_open(&c->lists, path, why);
    if (err)
        return err;
    err = ring_path(c, path, sizeof path, why);
    if (err)
        return err;
    err = journal_open(&c->journal, path, (size_t)c->settings.ring_bytes,
                       &recovered, why);
    if (!err && recovered > 0)
        log_info("ring", "%llu records survived the last run",
                 (unsigned long long)recovered);
    return err;
}

/* The bundle's policy is the first; what the spool keeps may be newer. */
static enum sotto_err open_policies(struct core *c, struct why *why)
{
    const struct bundle *officer = &c->home->officer;
    const struct policy *p;
    uint32_t number = 0;
    enum sotto_err err =
        policyset_open(&c->policies, c->spool, &officer->signers,
                       officer->tenant, officer->minimum_version);

    if (err)
        return err;
    if (officer->policy.size > 0) {
        err = policyset_add(&c->policies,
                            span_of(officer->policy.data, officer->policy.size),
                            why);
        if (err && err != SOTTO_EEXIST)
            return err;
    }
    if (home_destroy_rest(c->home))
        log_error("keys", "what is left of destroyed ones cannot be removed");
    keys_destroy(c);
    err = take_init(&c->take, c->journal, &c->time, officer->keys);
    p = policyset_current(&c->policies, &number);
    if (!err && p)
        err = take_policy(&c->take, p, number);
    return err;
}

static enum sotto_err open_batcher(struct core *c)
{
    const struct batcher_parts parts = {
        .settings = &c->settings,
        .home = c->home,
        .journal = c->journal,
        .spool = c->spool,
        .policies = &c->policies,
        .lists = c->lists,
        .time = &c->time,
    };

    return batcher_open(&c->batcher, &parts);
}

static enum sotto_err open_uplink(struct core *c, struct why *why)
{
    const struct uplink_parts parts = {
        .loop = c->loop,
        .address =
            *c->settings.aggregator ? c->settings.aggregator : c->home->address,
        .home = c->home,
        .spool = c->spool,
        .documents = documents_on_loop,
        .applied = applied_on_loop,
        .time = time_on_loop,
        .now = now_on_loop,
        .changed = changed_on_loop,
        .owner = c,
    };

    return uplink_open(&c->uplink, &parts, why);
}

static void start_timers(struct core *c)
{
    uv_timer_init(c->loop, &c->drain);
    uv_async_init(c->loop, &c->wake, wake_on_loop);
    c->drain.data = c;
    c->wake.data = c;
    c->handles = 3;
    uv_timer_init(c->loop, &c->expire);
    c->expire.data = c;
    uv_timer_start(&c->expire, expire_on_loop, EXPIRE_EVERY_MS,
                   EXPIRE_EVERY_MS);
    look_often(c); /* the ring may hold what survived the last run */
}

static void core_free(struct core *c)
{
    take_fini(&c->take);
    batcher_close(c->batcher);
    policyset_close(&c->policies);
    journal_close(c->journal);
    lists_close(c->lists);
    spool_close(c->spool);
    home_free(c->home);
    dirlock_release(&c->lock);
    uv_mutex_destroy(&c->turn_lock);
    uv_cond_destroy(&c->turned);
    free(c);
}

enum sotto_err core_open(struct core **out, uv_loop_t *loop, const char *dir,
                         bool link, struct why *why)
{
    struct core *c = calloc(1, sizeof *c);
    enum sotto_err err;

    if (!c)
        return SOTTO_ENOMEM;
    if (sodium_init() < 0) {
        free(c);
        return SOTTO_ECRYPTO;
    }
    c->loop = loop;
    c->lock.fd = -1;
    c->time.clock = &clock_system;
    uv_mutex_init(&c->turn_lock);
    uv_cond_init(&c->turned);
    err = dirlock_take(&c->lock, dir, false, why);
    if (!err)
        err = home_load(&c->home, dir, why);
    if (!err)
        err = settings_load(&c->settings, dir, why);
    if (!err)
        err = open_files(c, why);
    if (!err)
        err = open_policies(c, why);
    if (!err)
        err = open_batcher(c);
    if (!err && link)
        err = open_uplink(c, why);
    if (err) {
        core_free(c);
        return err;
    }
    atomic_store(&c->synced, batcher_mark(c->batcher));
    atomic_store(&c->waiting, spool_state(c->spool)->waiting_rows);
    start_timers(c);
    *out = c;
    return SOTTO_OK;
}

/* ---- stop ---- */

static void part_on_closed(void *owner)
{
    struct core *c = owner;
    void (*stopped)(void *) = c->stopped;
    void *stopped_owner = c->owner;

    if (--c->handles > 0)
        return;
    core_free(c);
    stopped(stopped_owner);
}

static void handle_on_closed(uv_handle_t *handle)
{
    part_on_closed(handle->data);
}

void core_stop(struct core *c, void (*stopped)(void *owner), void *owner)
{
    c->stopping = true;
    c->stopped = stopped;
    c->owner = owner;
    atomic_store(&c->take.closing, true);
    turn(c); /* seals the open batch; what finds no room stays in the ring */
    uv_close((uv_handle_t *)&c->drain, handle_on_closed);
    uv_close((uv_handle_t *)&c->wake, handle_on_closed);
    uv_close((uv_handle_t *)&c->expire, handle_on_closed);
    if (c->uplink) {
        c->handles++;
        uplink_close(c->uplink, part_on_closed, c);
    }
}

/* ---- for the callers ---- */

enum sotto_err core_consent(struct core *c, const char *purpose, bool granted)
{
    uint8_t subject[16];
    uint32_t number;
    bool forget =
        !granted && take_withdraws(&c->take, purpose, subject, &number);
    enum sotto_err err = take_consent(&c->take, purpose, granted);

    if (err || !forget)
        return err;
    return journal_append(c->journal, JOURNAL_FORGET, number,
                          span_of(subject, 16), span_of(NULL, 0));
}

uint64_t core_unsealed(struct core *c)
{
    uint64_t position = batcher_mark(c->batcher), events = 0;
    struct journal_record rec;
    enum sotto_err err;

    while ((err = journal_read(c->journal, position, &rec)) == SOTTO_OK ||
           err == SOTTO_EDECODE) {
        events += !err && (rec.kind == JOURNAL_EVENT ||
                           rec.kind == JOURNAL_EVENT_CURSOR);
        position = rec.next;
    }
    return events;
}

enum sotto_err core_recommend(struct core *c, const struct span *raw_id,
                              uint32_t count, struct answer *out)
{
    uint8_t subject[16];
    bool known = take_subject(&c->take, raw_id, subject) == SOTTO_OK;

    return lists_answer(c->lists, known ? subject : NULL, count,
                        trusted_now(&c->time), out);
}

void core_stats(struct core *c, struct core_stats *out)
{
    const struct spool_state *state = spool_state(c->spool);
    const struct policy *p = policyset_current(&c->policies, NULL);

    memset(out, 0, sizeof *out);
    batcher_counters(c->batcher, &out->counters);
    out->in_ring = journal_used(c->journal);
    out->batched = state->accepted;
    out->acked = state->acked_events;
    out->waiting = state->waiting_events;
    out->voided = state->voided_events;
    out->refused = state->refused_events;
    out->waiting_rows = state->waiting_rows;
    out->waiting_bytes = state->waiting_bytes;
    out->corrupt = batcher_corrupt(c->batcher);
    out->last_err = c->last_err;
    out->turn_errors = c->turn_errors;
    if (p) {
        out->policy_version = p->version;
        memcpy(out->tenant, p->tenant, sizeof out->tenant);
    }
    if (c->uplink)
        uplink_stats(c->uplink, &out->link);
    lists_stats(c->lists, &out->lists);
}
