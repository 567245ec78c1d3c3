/* See sotto/sotto.h. The agent core of a directory on a loop in one background
 * thread.
 *
 *   track, identify, consent, lists   run on the caller's thread, in the core's
 *                                     parts that any thread may use
 *   sync, flush                       wait on the core's turns
 *   stats, stop                       are posted to the loop and waited for
 *
 * A page that the kernel zeroes in a child of fork() tells a child from the
 * owner without a system call and without a global. */
#include "sdk/public.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/dirlock.h"
#include "base/log.h"

#define TOKEN_FILE_MAX (64 * 1024)
#define PAGE_SIZE 4096

struct request {
    void (*run)(struct sotto *s, void *argument);
    void *argument;
    struct request *next;
    bool done;
};

struct sotto {
    const uint32_t *alive; /* a page of its own: 1, and 0 after a fork */
    struct core *core;
    uv_loop_t loop;
    uv_thread_t thread;
    uv_async_t wake;
    uv_mutex_t lock; /* of the queue */
    uv_cond_t answered;
    struct request *queue;
};

static enum sotto_status status_of(enum sotto_err err)
{
    return (enum sotto_status)err;
}

static bool handle_usable(const struct sotto *s)
{
    return s && *s->alive;
}

/* ---- requests to the loop ---- */

static void wake_on_loop(uv_async_t *wake)
{
    struct sotto *s = wake->data;
    struct request *r;

    uv_mutex_lock(&s->lock);
    while ((r = s->queue) != NULL) {
        s->queue = r->next;
        uv_mutex_unlock(&s->lock);
        r->run(s, r->argument);
        uv_mutex_lock(&s->lock);
        r->done = true;
        uv_cond_broadcast(&s->answered);
    }
    uv_mutex_unlock(&s->lock);
}

static void ask_loop(struct sotto *s,
                     void (*run)(struct sotto *s, void *argument),
                     void *argument)
{
    struct request r = {.run = run, .argument = argument};

    uv_mutex_lock(&s->lock);
    r.next = s->queue;
    s->queue = &r;
    uv_async_send(&s->wake);
    while (!r.done)
        uv_cond_wait(&s->answered, &s->lock);
    uv_mutex_unlock(&s->lock);
}

static void loop_thread(void *argument)
{
    struct sotto *s = argument;

    uv_run(&s->loop, UV_RUN_DEFAULT);
}

/* ---- open ---- */

static void quiet_once(void)
{
    log_set_level(LOG_WARN);
}

static enum sotto_err read_input(struct buf *out, const char *path,
                                 const char *what, struct why *why)
{
    enum sotto_err err;

    if (!path)
        return why_say(why, SOTTO_ENOTFOUND,
                       "the directory is not enrolled yet: its first open "
                       "needs the %s",
                       what);
    err = buf_read_file(out, path);
    return err ? why_say(why, err, "%s: cannot read the %s: %s", path, what,
                         err_text(err))
               : SOTTO_OK;
}

/* What `sotto-agent enroll` does, under the directory's lock. */
static enum sotto_err make_home(const struct sotto_options *o, struct why *why)
{
    struct dirlock lock = {.fd = -1};
    struct buf token, bundle;
    enum sotto_err err = SOTTO_OK;

    buf_init(&token, TOKEN_FILE_MAX);
    buf_init(&bundle, BUNDLE_FILE_MAX);
    if (o->token)
        err = buf_append(&token, o->token, strlen(o->token));
    else
        err = read_input(&token, o->token_file, "token", why);
    if (!err)
        err = read_input(&bundle, o->bundle_file, "bundle", why);
    if (!err && !o->bundle_code)
        err = why_say(why, SOTTO_EINVAL, "a bundle needs its code");
    if (!err)
        err = dirlock_take(&lock, o->dir, true, why);
    if (!err)
        err = home_make(o->dir, span_of(token.data, token.size),
                        span_of(bundle.data, bundle.size), o->bundle_code, why);
    dirlock_release(&lock);
    buf_wipe(&token);
    buf_fini(&bundle);
    return err;
}

static enum sotto_err open_core(struct sotto *s, const struct sotto_options *o,
                                struct why *why)
{
    enum sotto_err err = core_open(&s->core, &s->loop, o->dir, true, why);

    if (err != SOTTO_ENOTFOUND)
        return err;
    err = make_home(o, why);
    return err ? err : core_open(&s->core, &s->loop, o->dir, true, why);
}

static enum sotto_err make_alive(struct sotto *s)
{
    uint32_t *page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return SOTTO_ENOMEM;
    s->alive = page;
    *page = 1;
    return madvise(page, PAGE_SIZE, MADV_WIPEONFORK) ? SOTTO_EIO : SOTTO_OK;
}

/* Frees what make_parts made; the loop has ended, or never ran. */
static void free_parts(struct sotto *s)
{
    uv_run(&s->loop, UV_RUN_DEFAULT); /* handles that close, if any */
    uv_loop_close(&s->loop);
    uv_cond_destroy(&s->answered);
    uv_mutex_destroy(&s->lock);
}

static enum sotto_err make_parts(struct sotto *s)
{
    if (uv_loop_init(&s->loop) != 0)
        return SOTTO_ENOMEM;
    if (uv_mutex_init(&s->lock) == 0) {
        if (uv_cond_init(&s->answered) == 0)
            return SOTTO_OK;
        uv_mutex_destroy(&s->lock);
    }
    uv_loop_close(&s->loop);
    return SOTTO_ENOMEM;
}

static void free_handle(struct sotto *s)
{
    if (s->alive)
        munmap((void *)(uintptr_t)s->alive, PAGE_SIZE);
    free(s);
}

static void stopped_on_loop(void *owner)
{
    struct sotto *s = owner;

    s->core = NULL;
    uv_close((uv_handle_t *)&s->wake, NULL);
}

static enum sotto_err start_thread(struct sotto *s)
{
    uv_async_init(&s->loop, &s->wake, wake_on_loop);
    s->wake.data = s;
    if (uv_thread_create(&s->thread, loop_thread, s) == 0)
        return SOTTO_OK;
    core_stop(s->core, stopped_on_loop, s);
    return SOTTO_ENOMEM;
}

static enum sotto_err
open_handle(struct sotto **out, const struct sotto_options *o, struct why *why)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct sotto *s = calloc(1, sizeof *s);
    enum sotto_err err;

    if (!s)
        return SOTTO_ENOMEM;
    pthread_once(&once, quiet_once);
    err = make_alive(s);
    if (!err)
        err = make_parts(s);
    if (err) {
        free_handle(s);
        return err;
    }
    err = open_core(s, o, why);
    if (!err) {
        core_produce_begin(s->core); /* the app, until the end */
        err = start_thread(s);
    }
    if (err) {
        free_parts(s);
        free_handle(s);
        return err;
    }
    *out = s;
    return SOTTO_OK;
}

enum sotto_status sotto_open(struct sotto **out,
                             const struct sotto_options *options,
                             struct sotto_why *public_why)
{
    struct why why = {""};
    sigset_t all, before;
    enum sotto_err err;

    if (!out)
        return PUBLIC_EINVAL;
    *out = NULL;
    if (!options || options->size < sizeof *options || !options->dir ||
        !*options->dir) {
        err = why_say(&why, SOTTO_EINVAL,
                      "sotto_open needs options with size and dir");
    } else {
        /* Threads that are made now, the network's too, inherit the mask. */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        err = open_handle(out, options, &why);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    if (err && !*why.text)
        why_say(&why, err, "%s", err_text(err));
    if (public_why) {
        static_assert(sizeof public_why->text == sizeof why.text, "copied");
        memcpy(public_why->text, why.text, sizeof why.text);
    }
    return status_of(err);
}

/* ---- close ---- */

static void stop_on_loop(struct sotto *s, void *argument)
{
    uint64_t *left = argument;
    struct core_stats stats;

    /* The core's last turn moves events from ring to spool; the sum stays. */
    core_stats(s->core, &stats);
    *left = stats.waiting + core_unsealed(s->core);
    core_stop(s->core, stopped_on_loop, s);
}

enum sotto_status sotto_close(struct sotto *s, uint32_t deadline_ms,
                              uint64_t *left_behind)
{
    enum sotto_err err;
    uint64_t left = 0;

    if (!s)
        return PUBLIC_EINVAL;
    if (!handle_usable(s))
        return PUBLIC_ECLOSED;
    atomic_store(&s->core->take.closing, true);
    err = core_flush(s->core, deadline_ms);
    ask_loop(s, stop_on_loop, &left);
    uv_thread_join(&s->thread);
    free_parts(s);
    free_handle(s);
    if (left_behind)
        *left_behind = left;
    return status_of(err);
}

/* ---- the person ---- */

enum sotto_status sotto_identify(struct sotto *s, const char *user_id)
{
    if (!s)
        return PUBLIC_EINVAL;
    if (!handle_usable(s))
        return PUBLIC_ECLOSED;
    return status_of(take_identify(&s->core->take, span_text("userId"),
                                   span_text(user_id ? user_id : "")));
}

enum sotto_status sotto_consent(struct sotto *s, const char *purpose,
                                bool granted)
{
    if (!s || !purpose || !*purpose)
        return PUBLIC_EINVAL;
    if (!handle_usable(s))
        return PUBLIC_ECLOSED;
    return status_of(core_consent(s->core, purpose, granted));
}

enum sotto_status sotto_session_begin(struct sotto *s)
{
    if (!s)
        return PUBLIC_EINVAL;
    if (!handle_usable(s))
        return PUBLIC_ECLOSED;
    take_session_begin(&s->core->take);
    return PUBLIC_OK;
}

enum sotto_status sotto_session_end(struct sotto *s)
{
    if (!s)
        return PUBLIC_EINVAL;
    if (!handle_usable(s))
        return PUBLIC_ECLOSED;
    return status_of(take_session_end(&s->core->take));
}

/* ---- events ---- */

#define PREFIX "properties."
#define PREFIX_SIZE (sizeof PREFIX - 1)

struct scratch { /* of one call; on its stack */
    char paths[SOTTO_PROPERTIES_MAX][PREFIX_SIZE + SOTTO_KEY_MAX];
    struct raw_field fields[SOTTO_PROPERTIES_MAX];
};

static struct span path_of(const char *key, size_t size,
                           char out[PREFIX_SIZE + SOTTO_KEY_MAX])
{
    if (size >= 8 && memcmp(key, "context.", 8) == 0)
        return span_of(key, size);
    memcpy(out, PREFIX, PREFIX_SIZE);
    memcpy(out + PREFIX_SIZE, key, size);
    return span_of(out, PREFIX_SIZE + size);
}

static enum sotto_err value_of(struct raw_field *f,
                               const struct sotto_property *p)
{
    static const uint8_t kinds[] = {
        [SOTTO_TEXT] = RAW_TEXT,   [SOTTO_INT] = RAW_INT,
        [SOTTO_MONEY] = RAW_MONEY, [SOTTO_REAL] = RAW_REAL,
        [SOTTO_BOOL] = RAW_BOOL,
    };

    if (p->type < SOTTO_TEXT || p->type > SOTTO_BOOL)
        return SOTTO_EINVAL;
    f->kind = kinds[p->type];
    f->number = p->number;
    f->real = p->real;
    f->text = p->type == SOTTO_TEXT ? span_text(p->text) : span_of(NULL, 0);
    return SOTTO_OK;
}

/* Borrows everything from the event, but for the paths. */
static enum sotto_err fields_of(struct scratch *to, size_t *count,
                                const struct sotto_event *event)
{
    *count = 0;
    if (event->property_count > SOTTO_PROPERTIES_MAX)
        return SOTTO_ETOOBIG;
    for (size_t i = 0; i < event->property_count; i++) {
        const struct sotto_property *p = &event->properties[i];
        size_t size = p->key ? strnlen(p->key, SOTTO_KEY_MAX + 1) : 0;
        struct raw_field *f = &to->fields[*count];

        if (size == 0)
            return SOTTO_EINVAL;
        if (size > SOTTO_KEY_MAX)
            return SOTTO_ETOOBIG;
        if (p->type == SOTTO_TEXT && !p->text)
            continue;
        if (value_of(f, p))
            return SOTTO_EINVAL;
        f->path = path_of(p->key, size, to->paths[*count]);
        ++*count;
    }
    return SOTTO_OK;
}

enum sotto_status sotto_track(struct sotto *s, const struct sotto_event *event)
{
    struct scratch scratch;
    struct raw_event raw = {.fields = scratch.fields};
    enum sotto_err err;

    if (!s || !event || event->size < sizeof *event || !event->name ||
        (event->property_count > 0 && !event->properties))
        return PUBLIC_EINVAL;
    if (!handle_usable(s))
        return PUBLIC_ECLOSED;
    err = fields_of(&scratch, &raw.field_count, event);
    if (err == SOTTO_ETOOBIG)
        take_drop(&s->core->take, DROP_TOO_BIG);
    if (err)
        return status_of(err);
    raw.name = span_text(event->name);
    raw.time_ms = event->time_ms ? event->time_ms : WHEN_NONE;
    return status_of(drop_err(take_event(&s->core->take, &raw)));
}

enum sotto_status sotto_track_sync(struct sotto *s,
                                   const struct sotto_event *event,
                                   uint32_t deadline_ms, bool *taken)
{
    enum sotto_status status = sotto_track(s, event);

    if (taken)
        *taken = status == PUBLIC_OK;
    return status ? status : status_of(core_sync(s->core, deadline_ms));
}

enum sotto_status sotto_flush(struct sotto *s, uint32_t deadline_ms)
{
    if (!s)
        return PUBLIC_EINVAL;
    if (!handle_usable(s))
        return PUBLIC_ECLOSED;
    return status_of(core_flush(s->core, deadline_ms));
}

/* ---- lists ---- */

static void item_out(struct sotto_item *to, const struct answer_item *from,
                     const struct answer *a)
{
    memcpy(to->item, from->item, sizeof to->item);
    memcpy(to->name, from->name, sizeof to->name);
    memcpy(to->because, from->because, sizeof to->because);
    to->score = from->score;
    answer_reason(from, a, to->reason, sizeof to->reason);
}

enum sotto_status sotto_lists(struct sotto *s, enum sotto_slot slot,
                              struct sotto_item *items, size_t n,
                              struct sotto_list *list)
{
    struct answer *a;
    enum sotto_err err;

    if (!s || !items || !list || list->size < sizeof *list || n < 1 ||
        n > LIST_ITEMS_MAX || (slot != SOTTO_FOR_YOU && slot != SOTTO_POPULAR))
        return PUBLIC_EINVAL;
    list->count = 0;
    if (!handle_usable(s))
        return PUBLIC_ECLOSED;
    a = malloc(sizeof *a);
    if (!a)
        return PUBLIC_ENOMEM;
    err = slot == SOTTO_FOR_YOU
              ? core_recommend(s->core, NULL, (uint32_t)n, a)
              : lists_answer(s->core->lists, NULL, (uint32_t)n,
                             trusted_now(&s->core->time), a);
    if (!err) {
        for (uint32_t i = 0; i < a->count; i++)
            item_out(&items[i], &a->items[i], a);
        list->count = a->count;
        list->personal = a->personal;
        memcpy(list->model, a->model, sizeof list->model);
        memcpy(list->segment, a->segment, sizeof list->segment);
    }
    sodium_memzero(a, sizeof *a); /* what a person likes */
    free(a);
    return status_of(err);
}

/* ---- how it goes ---- */

struct stats_wanted {
    struct core_stats core;
    uint64_t unsealed;
};

static void stats_on_loop(struct sotto *s, void *argument)
{
    struct stats_wanted *w = argument;

    core_stats(s->core, &w->core);
    w->unsealed = core_unsealed(s->core);
}

static void drops_out(struct sotto_counts *out, const struct counters *c)
{
    for (uint32_t i = 0; i < c->drop_count; i++) {
        out->dropped += c->drops[i].count;
        for (int reason = 1; reason < DROP_COUNT; reason++)
            if (strcmp(c->drops[i].name, drop_name((enum drop_reason)reason)) ==
                0)
                out->dropped_by[reason] = c->drops[i].count;
    }
}

enum sotto_status sotto_stats(struct sotto *s, struct sotto_counts *out)
{
    struct stats_wanted *w;

    if (!s || !out || out->size < sizeof *out)
        return PUBLIC_EINVAL;
    if (!handle_usable(s))
        return PUBLIC_ECLOSED;
    w = malloc(sizeof *w);
    if (!w)
        return PUBLIC_ENOMEM;
    ask_loop(s, stats_on_loop, w);
    *out = (struct sotto_counts){
        .size = out->size,
        .accepted = w->core.batched + w->unsealed,
        .in_ring = w->unsealed,
        .spooled = w->core.waiting,
        .acknowledged = w->core.acked,
        .given_up = w->core.voided,
        .refused = w->core.refused,
        .fields_emptied = w->core.counters.fields_emptied,
        .spool_bytes = w->core.waiting_bytes,
        .policy_version = w->core.policy_version,
        .documents = w->core.lists.applied,
        .link = (enum sotto_link)w->core.link.state,
        .connected = w->core.link.connected,
    };
    drops_out(out, &w->core.counters);
    out->produced = out->accepted + out->dropped;
    free(w);
    return PUBLIC_OK;
}

/* ---- words ---- */

const char *sotto_version(void)
{
    return SOTTO_VERSION;
}

const char *sotto_strerror(enum sotto_status status)
{
    return err_text((enum sotto_err)status);
}

const char *sotto_status_name(enum sotto_status status)
{
    return err_name((enum sotto_err)status);
}

const char *sotto_drop_name(enum sotto_drop reason)
{
    return drop_name((enum drop_reason)reason);
}

const char *sotto_drop_text(enum sotto_drop reason)
{
    return drop_text((enum drop_reason)reason);
}
