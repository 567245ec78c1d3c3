/* See stage.h. */
#include "stage.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "link/reply.h"
#include "link/request.h"
#include "wire/keys.h"

#define PLACES 32

struct timer {
    uv_timer_t *handle; /* NULL: free */
    uv_timer_cb due;
    int64_t at_ms; /* INT64_MAX: stopped */
    int64_t every_ms;
};

struct wake {
    uv_async_t *handle;
    uv_async_cb woken;
    bool sent;
};

struct closing {
    uv_handle_t *handle;
    uv_close_cb closed;
    void (*part_closed)(void *owner); /* of the link, if handle is NULL */
    void *owner;
};

struct task {
    uv_work_t *work;
    uv_work_cb run;
    uv_after_work_cb after;
};

static struct {
    uv_loop_t loop;
    int64_t wall_ms, mono_ms;
    bool aloud;
    struct timer timers[PLACES];
    struct wake wakes[PLACES];
    struct closing closings[PLACES];
    struct task tasks[PLACES];
    uint32_t closing_count, task_count;
    struct requester *requester;
    struct replier *replier;
} stage;

uv_loop_t *stage_loop(void)
{
    return &stage.loop;
}

void stage_begin(int64_t wall_ms)
{
    assert(!stage.requester && !stage.replier && !stage.task_count &&
           !stage.closing_count);
    memset(stage.timers, 0, sizeof stage.timers);
    memset(stage.wakes, 0, sizeof stage.wakes);
    stage.wall_ms = wall_ms;
    stage.mono_ms = 1000;
}

/* ---- the clock ---- */

int __wrap_clock_gettime(clockid_t id, struct timespec *out);
int __wrap_clock_gettime(clockid_t id, struct timespec *out)
{
    int64_t ms = id == CLOCK_REALTIME ? stage.wall_ms : stage.mono_ms;

    out->tv_sec = (time_t)(ms / 1000);
    out->tv_nsec = (long)(ms % 1000) * 1000000;
    return 0;
}

/* ---- the log ---- */

void stage_aloud(bool aloud)
{
    stage.aloud = aloud;
}

void __wrap_log_line(enum log_level level, const char *module,
                     const char *format, ...);
void __wrap_log_line(enum log_level level, const char *module,
                     const char *format, ...)
{
    va_list args;

    if (!stage.aloud || level == LOG_DEBUG)
        return;
    fprintf(stderr, "%7lld %s: ", (long long)stage.mono_ms, module);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

/* ---- signatures ---- */

/* A keyed hash: what is told here is not about curves, and a thousand stories
 * would spend half their time on them. */
int __wrap_crypto_sign_detached(uint8_t *signature, unsigned long long *size,
                                const uint8_t *text, unsigned long long length,
                                const uint8_t *sk);
int __wrap_crypto_sign_detached(uint8_t *signature, unsigned long long *size,
                                const uint8_t *text, unsigned long long length,
                                const uint8_t *sk)
{
    if (size)
        *size = crypto_sign_BYTES;
    return crypto_generichash(signature, crypto_sign_BYTES, text, length,
                              sk + 32, 32); /* its public half */
}

int __wrap_crypto_sign_verify_detached(const uint8_t *signature,
                                       const uint8_t *text,
                                       unsigned long long length,
                                       const uint8_t *pk);
int __wrap_crypto_sign_verify_detached(const uint8_t *signature,
                                       const uint8_t *text,
                                       unsigned long long length,
                                       const uint8_t *pk)
{
    uint8_t want[crypto_sign_BYTES];

    crypto_generichash(want, sizeof want, text, length, pk, 32);
    return memcmp(want, signature, sizeof want) ? -1 : 0;
}

/* ---- libuv ---- */

static struct timer *timer_of(const uv_timer_t *handle)
{
    for (int i = 0; i < PLACES; i++)
        if (stage.timers[i].handle == handle)
            return &stage.timers[i];
    abort(); /* a timer too many, or one that was not initialized */
}

int __wrap_uv_timer_init(uv_loop_t *loop, uv_timer_t *handle);
int __wrap_uv_timer_init(uv_loop_t *loop, uv_timer_t *handle)
{
    assert(loop == &stage.loop);
    *timer_of(NULL) = (struct timer){handle, NULL, INT64_MAX, 0};
    return 0;
}

int __wrap_uv_timer_start(uv_timer_t *handle, uv_timer_cb due, uint64_t after,
                          uint64_t every);
int __wrap_uv_timer_start(uv_timer_t *handle, uv_timer_cb due, uint64_t after,
                          uint64_t every)
{
    struct timer *t = timer_of(handle);

    t->due = due;
    t->at_ms = stage.mono_ms + (int64_t)after;
    t->every_ms = (int64_t)every;
    return 0;
}

int __wrap_uv_timer_stop(uv_timer_t *handle);
int __wrap_uv_timer_stop(uv_timer_t *handle)
{
    timer_of(handle)->at_ms = INT64_MAX;
    return 0;
}

int __wrap_uv_is_active(const uv_handle_t *handle);
int __wrap_uv_is_active(const uv_handle_t *handle)
{
    return timer_of((const uv_timer_t *)handle)->at_ms != INT64_MAX;
}

int __wrap_uv_async_init(uv_loop_t *loop, uv_async_t *handle, uv_async_cb cb);
int __wrap_uv_async_init(uv_loop_t *loop, uv_async_t *handle, uv_async_cb cb)
{
    int i = 0;

    assert(loop == &stage.loop);
    while (i < PLACES && stage.wakes[i].handle)
        i++;
    assert(i < PLACES);
    stage.wakes[i] = (struct wake){handle, cb, false};
    return 0;
}

int __wrap_uv_async_send(uv_async_t *handle);
int __wrap_uv_async_send(uv_async_t *handle)
{
    for (int i = 0; i < PLACES; i++)
        if (stage.wakes[i].handle == handle)
            stage.wakes[i].sent = true;
    return 0;
}

static void close_later(struct closing c)
{
    assert(stage.closing_count < PLACES);
    stage.closings[stage.closing_count++] = c;
}

void __wrap_uv_close(uv_handle_t *handle, uv_close_cb closed);
void __wrap_uv_close(uv_handle_t *handle, uv_close_cb closed)
{
    for (int i = 0; i < PLACES; i++) {
        if ((uv_handle_t *)stage.timers[i].handle == handle)
            stage.timers[i].handle = NULL;
        if ((uv_handle_t *)stage.wakes[i].handle == handle)
            stage.wakes[i].handle = NULL;
    }
    close_later((struct closing){handle, closed, NULL, NULL});
}

int __wrap_uv_queue_work(uv_loop_t *loop, uv_work_t *work, uv_work_cb run,
                         uv_after_work_cb after);
int __wrap_uv_queue_work(uv_loop_t *loop, uv_work_t *work, uv_work_cb run,
                         uv_after_work_cb after)
{
    assert(loop == &stage.loop && stage.task_count < PLACES);
    stage.tasks[stage.task_count++] = (struct task){work, run, after};
    return 0;
}

int __wrap_uv_run(uv_loop_t *loop, uv_run_mode mode);
int __wrap_uv_run(uv_loop_t *loop, uv_run_mode mode)
{
    assert(loop == &stage.loop && mode == UV_RUN_ONCE);
    return stage_step();
}

/* ---- the link ---- */

#define SLOTS_MAX 32

enum slot_state { SLOT_IDLE, SLOT_ASKING, SLOT_ASKED, SLOT_ANSWERED };

struct slot {
    enum slot_state state;
    struct buf bytes; /* of the request, then of the reply */
    int64_t until_ms;
};

struct requester {
    request_done *done;
    void *owner;
    uint32_t slot_count;
    struct slot slots[SLOTS_MAX];
};

struct call {
    uint32_t slot;
    struct buf frame; /* moved here, as it is borrowed until the answer */
    void *owner;
};

struct replier {
    replier_on_request *on_request;
    void *owner;
    struct call *calls[SLOTS_MAX]; /* by slot */
};

enum sotto_err __wrap_requester_open(struct requester **out, uv_loop_t *loop,
                                     const char *address, uint32_t slots,
                                     request_done *done, void *owner,
                                     struct why *why);
enum sotto_err __wrap_requester_open(struct requester **out, uv_loop_t *loop,
                                     const char *address, uint32_t slots,
                                     request_done *done, void *owner,
                                     struct why *why)
{
    struct requester *r = calloc(1, sizeof *r);

    (void)address;
    assert(loop == &stage.loop && slots <= SLOTS_MAX && !stage.requester);
    if (!r)
        return why_say(why, SOTTO_ENOMEM, "no memory");
    r->done = done;
    r->owner = owner;
    r->slot_count = slots;
    for (uint32_t i = 0; i < slots; i++)
        buf_init(&r->slots[i].bytes, LINK_FRAME_MAX);
    stage.requester = r;
    *out = r;
    return SOTTO_OK;
}

void __wrap_requester_close(struct requester *r, void (*closed)(void *owner),
                            void *owner);
void __wrap_requester_close(struct requester *r, void (*closed)(void *owner),
                            void *owner)
{
    for (uint32_t i = 0; i < r->slot_count; i++)
        buf_fini(&r->slots[i].bytes);
    stage.requester = NULL;
    free(r);
    close_later((struct closing){NULL, NULL, closed, owner});
}

enum sotto_err __wrap_requester_send(struct requester *r, uint32_t slot,
                                     struct span a, struct span b,
                                     int64_t timeout_ms);
enum sotto_err __wrap_requester_send(struct requester *r, uint32_t slot,
                                     struct span a, struct span b,
                                     int64_t timeout_ms)
{
    struct slot *s = &r->slots[slot];
    enum sotto_err err;

    if (s->state != SLOT_IDLE)
        return SOTTO_EAGAIN;
    buf_fini(&s->bytes);
    err = buf_append(&s->bytes, a.data, a.size);
    if (!err)
        err = buf_append(&s->bytes, b.data, b.size);
    if (err)
        return err;
    s->state = SLOT_ASKING;
    s->until_ms = stage.mono_ms + timeout_ms;
    return SOTTO_OK;
}

bool __wrap_requester_busy(const struct requester *r, uint32_t slot);
bool __wrap_requester_busy(const struct requester *r, uint32_t slot)
{
    return r->slots[slot].state != SLOT_IDLE;
}

bool __wrap_requester_connected(const struct requester *r);
bool __wrap_requester_connected(const struct requester *r)
{
    (void)r;
    return stage.replier != NULL;
}

enum sotto_err __wrap_replier_open(struct replier **out, uv_loop_t *loop,
                                   const char *address, uint32_t contexts_max,
                                   replier_on_request *on_request, void *owner,
                                   struct why *why);
enum sotto_err __wrap_replier_open(struct replier **out, uv_loop_t *loop,
                                   const char *address, uint32_t contexts_max,
                                   replier_on_request *on_request, void *owner,
                                   struct why *why)
{
    struct replier *r = calloc(1, sizeof *r);

    (void)address;
    (void)contexts_max;
    assert(loop == &stage.loop && !stage.replier);
    if (!r)
        return why_say(why, SOTTO_ENOMEM, "no memory");
    r->on_request = on_request;
    r->owner = owner;
    stage.replier = r;
    *out = r;
    return SOTTO_OK;
}

void __wrap_call_drop(struct call *c);
void __wrap_call_drop(struct call *c)
{
    assert(stage.replier->calls[c->slot] == c);
    stage.replier->calls[c->slot] = NULL;
    buf_fini(&c->frame);
    free(c);
}

void __wrap_call_fail(struct call *c);
void __wrap_call_fail(struct call *c)
{
    __wrap_call_drop(c);
}

void **__wrap_call_owner(struct call *c);
void **__wrap_call_owner(struct call *c)
{
    return &c->owner;
}

void __wrap_call_reply(struct call *c, struct span reply);
void __wrap_call_reply(struct call *c, struct span reply)
{
    struct slot *s =
        stage.requester && stage.requester->slots[c->slot].state == SLOT_ASKED
            ? &stage.requester->slots[c->slot]
            : NULL;

    if (s) {
        buf_clear(&s->bytes);
        if (!buf_append(&s->bytes, reply.data, reply.size))
            s->state = SLOT_ANSWERED;
    }
    __wrap_call_drop(c);
}

void __wrap_replier_close(struct replier *r, void (*closed)(void *owner),
                          void *owner);
void __wrap_replier_close(struct replier *r, void (*closed)(void *owner),
                          void *owner)
{
    for (uint32_t i = 0; i < SLOTS_MAX; i++)
        if (r->calls[i])
            __wrap_call_drop(r->calls[i]);
    stage.replier = NULL;
    free(r);
    close_later((struct closing){NULL, NULL, closed, owner});
}

const char *__wrap_replier_address(const struct replier *r);
const char *__wrap_replier_address(const struct replier *r)
{
    (void)r;
    return "tcp://stage:1";
}

/* The request goes to the replier; without memory there it is lost. */
static void carry(struct slot *s, uint32_t slot)
{
    struct call *c;

    s->state = SLOT_ASKED;
    if (!stage.replier || stage.replier->calls[slot] ||
        !(c = calloc(1, sizeof *c)))
        return;
    c->slot = slot;
    c->frame = s->bytes;
    buf_init(&s->bytes, LINK_FRAME_MAX);
    stage.replier->calls[slot] = c;
    stage.replier->on_request(stage.replier->owner, c,
                              span_of(c->frame.data, c->frame.size));
}

static void finish(struct requester *r, uint32_t slot, enum sotto_err err)
{
    struct slot *s = &r->slots[slot];
    struct buf reply = s->bytes;

    buf_init(&s->bytes, LINK_FRAME_MAX);
    s->state = SLOT_IDLE;
    r->done(r->owner, slot, err,
            err ? span_of(NULL, 0) : span_of(reply.data, reply.size));
    buf_fini(&reply);
}

static bool step_link(void)
{
    struct requester *r = stage.requester;

    for (uint32_t i = 0; r && i < r->slot_count; i++) {
        if (r->slots[i].state == SLOT_ASKING) {
            carry(&r->slots[i], i);
            return true;
        }
        if (r->slots[i].state == SLOT_ANSWERED) {
            finish(r, i, SOTTO_OK);
            return true;
        }
    }
    return false;
}

/* ---- steps ---- */

static bool step_closing(void)
{
    struct closing c;

    if (!stage.closing_count)
        return false;
    c = stage.closings[0];
    memmove(stage.closings, stage.closings + 1,
            --stage.closing_count * sizeof c);
    if (!c.handle)
        c.part_closed(c.owner);
    else if (c.closed)
        c.closed(c.handle);
    return true;
}

static bool step_wake(void)
{
    for (int i = 0; i < PLACES; i++) {
        struct wake *w = &stage.wakes[i];

        if (!w->handle || !w->sent)
            continue;
        w->sent = false;
        w->woken(w->handle);
        return true;
    }
    return false;
}

static bool step_task(void)
{
    struct task t;

    if (!stage.task_count)
        return false;
    t = stage.tasks[0];
    memmove(stage.tasks, stage.tasks + 1, --stage.task_count * sizeof t);
    t.run(t.work);
    t.after(t.work, 0);
    return true;
}

static void pass_until(int64_t ms)
{
    if (ms <= stage.mono_ms)
        return;
    stage.wall_ms += ms - stage.mono_ms;
    stage.mono_ms = ms;
}

static bool step_time(void)
{
    struct requester *r = stage.requester;
    struct timer *first = NULL;
    uint32_t late = SLOTS_MAX;

    for (int i = 0; i < PLACES; i++) {
        struct timer *t = &stage.timers[i];

        if (t->handle && t->at_ms != INT64_MAX &&
            (!first || t->at_ms < first->at_ms))
            first = t;
    }
    for (uint32_t i = 0; r && i < r->slot_count; i++)
        if (r->slots[i].state == SLOT_ASKED &&
            (late == SLOTS_MAX ||
             r->slots[i].until_ms < r->slots[late].until_ms))
            late = i;
    if (late < SLOTS_MAX &&
        (!first || r->slots[late].until_ms < first->at_ms)) {
        pass_until(r->slots[late].until_ms);
        finish(r, late, SOTTO_ETIMEOUT);
        return true;
    }
    if (!first)
        return false;
    pass_until(first->at_ms);
    first->at_ms =
        first->every_ms ? stage.mono_ms + first->every_ms : INT64_MAX;
    first->due(first->handle);
    return true;
}

bool stage_step(void)
{
    return step_closing() || step_wake() || step_link() || step_task() ||
           step_time();
}

bool stage_until(bool (*done)(void *context), void *context, int64_t ms)
{
    int64_t until = stage.mono_ms + ms;

    while (!done(context)) {
        if (stage.mono_ms > until || !stage_step())
            return false;
    }
    return true;
}
