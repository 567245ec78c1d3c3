/* See aggregator.h. */
#include "aggregator/aggregator.h"
#include "aggregator/erase.h"
#include "aggregator/verbs.h"
#include "aggregator/verbs_subject.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define SAVE_AFTER_MS 5000
#define SAVE_LOOK_MS 500
#define FOLD_CHUNKS 64               /* between two looks at whether we stop */
#define FOLD_AGAIN_MS 1000           /* after an error */
#define PRUNE_AFTER_MS (37 * DAY_MS) /* spool age and replay window */

/* ---- init ---- */

static enum sotto_err
make_identity(const char *dir, const struct settings *settings, struct why *why)
{
    struct store *store = NULL;
    struct keys *keys = NULL;
    struct buf secret;
    enum sotto_err err = store_open(&store, dir, settings->store_key, why);

    buf_init(&secret, 1024);
    if (!err)
        err = keys_make(&keys);
    if (!err)
        err = keys_save(keys, &secret);
    if (!err)
        err = store_put(store, "identity", span_of(secret.data, secret.size));
    buf_wipe(&secret);
    keys_free(keys);
    store_close(store);
    return err;
}

enum sotto_err aggregator_init(const char *dir, struct why *why)
{
    struct settings settings;
    struct dirlock lock = {.fd = -1};
    enum sotto_err err;

    if (sodium_init() < 0)
        return SOTTO_ECRYPTO;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return why_say(why, SOTTO_EIO, "%s: cannot be made: %s", dir,
                       strerror(errno));
    err = dirlock_take(&lock, dir, true, why);
    if (!err)
        err = aggregator_settings_load(&settings, dir, why);
    if (!err && access(settings.audit_log, F_OK) == 0)
        err = why_say(why, SOTTO_EEXIST,
                      "%s: is the audit log of an aggregator that was here "
                      "before; move it to where it is kept",
                      settings.audit_log);
    if (!err)
        err = store_create(dir, settings.store_key, why);
    if (!err)
        err = make_identity(dir, &settings, why);
    dirlock_release(&lock);
    return err;
}

/* ---- folding ---- */

static void fold_on_worker(uv_work_t *work)
{
    struct aggregator *a = work->data;

    a->fold_more = true; /* what an erasure or a checkpoint came before */
    if (a->in_erasing) {
        a->fold_err = SOTTO_OK;
        erasing_run(a, a->in_erasing);
        return;
    }
    a->fold_err = a->saving ? views_checkpoint(a->views)
                            : views_fold(a->views, FOLD_CHUNKS, &a->fold_more);
}

static void finish_stopping(struct aggregator *a);

static void again_on_loop(uv_timer_t *timer)
{
    aggregator_fold(timer->data);
}

static void fold_on_loop(uv_work_t *work, int status)
{
    struct aggregator *a = work->data;

    struct control_call *verify = a->verify;
    struct erasing *erased = a->in_erasing;

    (void)status;
    a->folding = false;
    a->verify = NULL;
    a->in_erasing = NULL;
    if (erased)
        erasing_end(a, erased);
    if (verify)
        verify_views(a, verify);
    if (a->fold_err && !a->saving) /* the views have told of a checkpoint */
        log_error("views", "folding failed: %s; trying again",
                  err_text(a->fold_err));
    if (a->stopping) {
        erasing_end(a, a->erase); /* they were waiting */
        a->erase = NULL;
        a->parts--;
        finish_stopping(a);
        return;
    }
    if (a->publisher && !a->saving)
        publisher_folded(a->publisher);
    if (a->fold_err && !a->saving)
        uv_timer_start(&a->again, again_on_loop, FOLD_AGAIN_MS, 0);
    else if (a->fold_again || a->fold_more || a->erase)
        aggregator_fold(a);
}

void aggregator_fold(struct aggregator *a)
{
    if (a->stopping) /* the last commit's; it is folded after the next start */
        return;
    if (a->folding) {
        a->fold_again = true;
        return;
    }
    a->folding = true;
    a->fold_again = false;
    a->in_erasing = a->erase;
    a->erase = NULL;
    a->saving = a->save && !a->in_erasing;
    a->save = a->save && !a->saving;
    a->fold.data = a;
    if (uv_queue_work(a->loop, &a->fold, fold_on_worker, fold_on_loop) != 0)
        abort(); /* only for a NULL callback */
}

/* A checkpoint holds the database for a while: it is not made at the end of a
 * fold, whose lists somebody waits for, but between. */
static void look_on_loop(uv_timer_t *timer)
{
    struct aggregator *a = timer->data;

    if (views_unsaved_ms(a->views) < SAVE_AFTER_MS)
        return;
    a->save = true;
    aggregator_fold(a);
}

bool aggregator_folded(const struct aggregator *a)
{
    return !a->folding && views_applied(a->views) >= log_last(a->store);
}

/* ---- open ---- */

static enum sotto_err load_identity(struct keys **keys, struct store *store)
{
    struct buf secret;
    enum sotto_err err;

    buf_init(&secret, 1024);
    err = store_get(store, "identity", &secret);
    if (!err)
        err = keys_load(keys, span_of(secret.data, secret.size));
    buf_wipe(&secret);
    return err;
}

enum sotto_err aggregator_signs(const char *dir, uint8_t pk[PK_SIZE],
                                struct buf *remembered, struct why *why)
{
    struct store *store = NULL;
    struct keys *keys = NULL;
    struct audit_record record;
    struct settings settings;
    enum sotto_err err = aggregator_settings_load(&settings, dir, why);

    if (!err)
        err = store_open(&store, dir, settings.store_key, why);
    if (!err)
        err = load_identity(&keys, store);
    if (!err) {
        memcpy(pk, keys->sign_pk, PK_SIZE);
        err = audit_remembered(store, remembered, &record);
    }
    if (err == SOTTO_ENOTFOUND && keys)
        err = SOTTO_OK;
    keys_free(keys);
    store_close(store);
    return err;
}

static void committed_on_loop(void *owner)
{
    aggregator_fold(owner);
}

static enum sotto_err enrolled_on_loop(void *owner, struct agent_row *agent)
{
    struct aggregator *a = owner;
    struct why why;
    enum sotto_err err =
        audit_append(a->audit, AUDIT_AGENT_ENROLLED, AUDIT_NOBODY,
                     json_pack("{s:s}", "agent", agent->name), &why);

    if (err) {
        log_error("audit", "%s", why.text);
        return err;
    }
    log_info("roster", "%s is enrolled", agent->name);
    publisher_agent(a->publisher, agent->number);
    return SOTTO_OK;
}

static void poll_on_loop(void *owner, struct call *call,
                         struct agent_row *agent,
                         const uint8_t nonce[NONCE_SIZE],
                         const struct poll *poll)
{
    struct aggregator *a = owner;

    publisher_poll(a->publisher, call, agent, nonce, poll);
}

static enum sotto_err open_link(struct aggregator *a, struct why *why)
{
    const struct publisher_parts publishing = {
        .loop = a->loop,
        .dir = a->dir,
        .key_file = a->settings.store_key,
        .keys = a->keys,
        .store = a->store,
        .roster = a->roster,
        .policies = a->policies,
        .views = a->views,
        .registry = a->registry,
        .suppress = a->suppress,
    };
    struct ingest_parts ingesting = {
        .loop = a->loop,
        .address = a->settings.listen,
        .dir = a->dir,
        .key_file = a->settings.store_key,
        .keys = a->keys,
        .store = a->store,
        .roster = a->roster,
        .policies = a->policies,
        .suppress = a->suppress,
        .fresh = views_fresh(a->views),
        .contexts_max = (uint32_t)a->settings.agents_max * 2,
        .intake_bytes = (size_t)a->settings.intake_bytes,
        .poll = poll_on_loop,
        .committed = committed_on_loop,
        .enrolled = enrolled_on_loop,
        .owner = a,
    };
    enum sotto_err err = publisher_open(&a->publisher, &publishing, why);

    keys_peer(a->keys, &ingesting.self);
    if (!err)
        err = ingest_open(&a->ingest, &ingesting, why);
    return err;
}

/* An erasure that was broken off, or that a restored directory knows nothing
 * of, is done before anybody is served. */
static enum sotto_err suppress_before(struct aggregator *a)
{
    const struct erase_parts parts = {a->store, a->views, policies_find,
                                      a->policies, a->suppress};

    views_suppress(a->views, a->suppress);
    return erase_run(&parts);
}

static enum sotto_err open_parts(struct aggregator *a, bool link,
                                 struct why *why)
{
    enum sotto_err err =
        store_open(&a->store, a->dir, a->settings.store_key, why);

    if (!err) /* what a kill left of something that was erased */
        err = store_scrub(a->store);
    if (!err)
        err = suppress_open(&a->suppress, a->settings.erased, a->store, why);
    if (!err)
        err = load_identity(&a->keys, a->store);
    if (!err)
        err = audit_open(&a->audit, a->settings.audit_log, a->keys, a->store,
                         why);
    if (!err)
        err = roster_open(&a->roster, a->store);
    if (!err)
        err = policies_open(&a->policies, a->store);
    if (!err)
        err = registry_open(&a->registry, a->store);
    if (!err)
        err =
            log_prune(a->store, clock_wall_ms(&clock_system) - PRUNE_AFTER_MS);
    if (!err)
        err = views_open(&a->views, a->dir, a->settings.store_key,
                         policies_find, a->policies, why);
    if (!err)
        err = suppress_before(a);
    if (!err && link) /* before anybody is answered */
        err = audit_append(a->audit, AUDIT_STARTED, AUDIT_NOBODY, NULL, why);
    if (!err && link)
        err = open_link(a, why);
    if (err && !*why->text)
        why_say(why, err, "%s: %s", a->dir, err_text(err));
    return err;
}

static void aggregator_free(struct aggregator *a)
{
    views_close(a->views);
    registry_close(a->registry);
    policies_close(a->policies);
    roster_close(a->roster);
    audit_close(a->audit);
    keys_free(a->keys);
    suppress_close(a->suppress);
    store_close(a->store);
    dirlock_release(&a->lock);
    free(a);
}

static void failed_open(void *owner)
{
    *(bool *)owner = true;
}

enum sotto_err aggregator_open(struct aggregator **out, uv_loop_t *loop,
                               const char *dir, bool link, struct why *why)
{
    struct aggregator *a = calloc(1, sizeof *a);
    enum sotto_err err;

    if (!a)
        return SOTTO_ENOMEM;
    why->text[0] = 0;
    a->loop = loop;
    a->lock.fd = -1;
    snprintf(a->dir, sizeof a->dir, "%s", dir);
    if (sodium_init() < 0) {
        free(a);
        return SOTTO_ECRYPTO;
    }
    err = dirlock_take(&a->lock, dir, false, why);
    if (!err)
        err = aggregator_settings_load(&a->settings, dir, why);
    if (!err)
        err = open_parts(a, link, why);
    if (err) {
        bool closed = !a->publisher;
        if (a->publisher)
            publisher_close(a->publisher, failed_open, &closed);
        while (!closed)
            uv_run(loop, UV_RUN_ONCE);
        aggregator_free(a);
        return err;
    }
    uv_timer_init(loop, &a->again);
    a->again.data = a;
    uv_timer_init(loop, &a->look);
    a->look.data = a;
    uv_timer_start(&a->look, look_on_loop, SAVE_LOOK_MS, SAVE_LOOK_MS);
    uv_unref((uv_handle_t *)&a->look); /* keeps no tool waiting */
    aggregator_fold(a); /* what was committed before the last stop */
    *out = a;
    return SOTTO_OK;
}

/* ---- stop ---- */

static void finish_stopping(struct aggregator *a)
{
    void (*stopped)(void *) = a->stopped;
    void *owner = a->owner;

    if (a->parts > 0)
        return;
    aggregator_free(a);
    stopped(owner);
}

static void part_on_closed(void *owner)
{
    struct aggregator *a = owner;

    a->parts--;
    finish_stopping(a);
}

static void timer_on_closed(uv_handle_t *handle)
{
    part_on_closed(handle->data);
}

void aggregator_stop(struct aggregator *a, void (*stopped)(void *owner),
                     void *owner)
{
    struct why why;

    if (a->ingest && audit_append(a->audit, AUDIT_STOPPED, AUDIT_NOBODY, NULL,
                                  &why) != SOTTO_OK)
        log_error("audit", "%s", why.text); /* it stops nevertheless */
    a->stopping = true;
    a->stopped = stopped;
    a->owner = owner;
    a->parts = 2 + (a->folding ? 1 : 0);
    if (a->publisher) {
        a->parts++;
        publisher_close(a->publisher, part_on_closed, a);
    }
    if (a->ingest) {
        a->parts++;
        ingest_close(a->ingest, part_on_closed, a);
    }
    /* So stopped always runs from the loop, whatever else had to close. */
    uv_close((uv_handle_t *)&a->again, timer_on_closed);
    uv_close((uv_handle_t *)&a->look, timer_on_closed);
}
