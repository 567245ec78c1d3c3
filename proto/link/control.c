/* See control.h. One struct control_call serves both sides: with a pipe it
 * writes lines to the asker, without one it fills an answer in this process. */
#include "link/control.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"

#define SOCKET_NAME "control.sock"
#define PROGRESS_EVERY_MS 100
#define CALLS_MAX 64

enum call_state {
    CALL_READING, /* the request line */
    CALL_RUNNING,
    CALL_CLOSING, /* answered; the last line is on its way */
};

struct control_call {
    struct control *control; /* NULL: run in the tool's own process */
    const struct control_verb *verb;
    void *verb_owner;
    uv_pipe_t pipe;
    uv_async_t report; /* progress of a worker */
    uv_work_t work;
    enum call_state state;
    uid_t uid; /* of who asks */
    struct buf line;
    json_t *request; /* owns args */
    json_t *args;
    atomic_bool cancelled;
    atomic_bool working;
    uint32_t handles; /* of ours, still open */
    /* Under lock: written by the verb's thread, read by the loop. */
    uv_mutex_t lock;
    char what[64];
    uint64_t done, total;
    bool ended;
    struct control_answer answer;
    /* Local calls. */
    control_on_progress *on_progress;
    int64_t reported_ms;
    struct control_call *next;
};

struct control {
    uv_loop_t *loop;
    uv_pipe_t listener;
    const struct control_verb *verbs;
    void *owner;
    char path[128];
    int dir_fd;
    uint32_t call_count;
    struct control_call *calls;
    bool listening, closing;
    void (*closed)(void *owner);
    void *closed_owner;
};

/* ---- what a verb sees ---- */

const json_t *control_args(const struct control_call *call)
{
    return call->args;
}

const char *control_text(const struct control_call *call, const char *name)
{
    return json_string_value(json_object_get(call->args, name));
}

json_int_t control_int(const struct control_call *call, const char *name,
                       json_int_t fallback)
{
    const json_t *value = json_object_get(call->args, name);

    return json_is_integer(value) ? json_integer_value(value) : fallback;
}

bool control_flag(const struct control_call *call, const char *name)
{
    return json_is_true(json_object_get(call->args, name));
}

int64_t control_uid(const struct control_call *call)
{
    return call->uid;
}

bool control_cancelled(const struct control_call *call)
{
    return atomic_load(&call->cancelled);
}

void control_progress(struct control_call *call, const char *what,
                      uint64_t done, uint64_t total)
{
    int64_t now = clock_mono_ms(&clock_system);

    uv_mutex_lock(&call->lock);
    bool due = now - call->reported_ms >= PROGRESS_EVERY_MS;
    if (due)
        call->reported_ms = now;
    snprintf(call->what, sizeof call->what, "%s", what);
    call->done = done;
    call->total = total;
    uv_mutex_unlock(&call->lock);
    if (!due)
        return;
    if (call->control)
        uv_async_send(&call->report);
    else if (call->on_progress)
        call->on_progress(what, done, total);
}

/* ---- writing to the asker ---- */

struct line_write {
    uv_write_t request;
    struct control_call *call;
    char *text;
    bool last; /* the answer: the call closes behind it */
};

static void call_close(struct control_call *call);

static void line_on_written(uv_write_t *request, int status)
{
    struct line_write *w = (struct line_write *)request;

    (void)status; /* an asker that went away is noticed by the reader */
    if (w->last)
        call_close(w->call);
    free(w->text);
    free(w);
}

/* Takes over object. */
static void write_line(struct control_call *call, json_t *object)
{
    struct line_write *w = calloc(1, sizeof *w);
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    uv_buf_t parts[2];

    json_decref(object);
    if (!w || !text) {
        free(w);
        free(text);
        if (call->state == CALL_CLOSING)
            call_close(call);
        return;
    }
    w->call = call;
    w->text = text;
    w->last = call->state == CALL_CLOSING;
    parts[0] = uv_buf_init(text, (unsigned)strlen(text));
    parts[1] = uv_buf_init((char *)(uintptr_t) "\n", 1);
    if (uv_write(&w->request, (uv_stream_t *)&call->pipe, parts, 2,
                 line_on_written) != 0) {
        free(text);
        free(w);
        if (call->state == CALL_CLOSING)
            call_close(call);
    }
}

static void report_on_loop(uv_async_t *report)
{
    struct control_call *call = report->data;
    json_t *object;

    uv_mutex_lock(&call->lock);
    object =
        json_pack("{s:s,s:I,s:I}", "progress", call->what, "done",
                  (json_int_t)call->done, "total", (json_int_t)call->total);
    uv_mutex_unlock(&call->lock);
    if (call->state == CALL_RUNNING && !control_cancelled(call))
        write_line(call, object);
    else
        json_decref(object);
}

static void answer_on_loop(struct control_call *call)
{
    if (!call->control)
        return;
    if (call->state == CALL_CLOSING) { /* the asker went away meanwhile */
        call_close(call);
        return;
    }
    call->state = CALL_CLOSING;
    json_t *object = json_pack("{s:i,s:s}", "exit", (int)call->answer.code,
                               "error", call->answer.error);
    if (call->answer.result)
        json_object_set(object, "result", call->answer.result);
    write_line(call, object);
}

void control_end(struct control_call *call, enum sotto_exit code,
                 json_t *result, const char *error)
{
    uv_mutex_lock(&call->lock);
    assert(!call->ended);
    call->ended = true;
    call->answer.code = code;
    call->answer.result = result;
    snprintf(call->answer.error, sizeof call->answer.error, "%s",
             error ? error : "");
    uv_mutex_unlock(&call->lock);
    if (!call->verb || !call->verb->on_worker)
        answer_on_loop(call);
}

/* ---- a call's life ---- */

static void work_on_worker(uv_work_t *work)
{
    struct control_call *call = work->data;

    call->verb->run(call->verb_owner, call);
}

static void work_on_loop(uv_work_t *work, int status)
{
    struct control_call *call = work->data;

    atomic_store(&call->working, false);
    if (status == UV_ECANCELED && !call->ended)
        control_end(call, EXIT_REFUSED, NULL, "the daemon is stopping");
    answer_on_loop(call);
}

static void call_start(struct control_call *call, uv_loop_t *loop)
{
    call->state = CALL_RUNNING;
    if (!call->verb->on_worker) {
        call->verb->run(call->verb_owner, call);
        return;
    }
    call->work.data = call;
    atomic_store(&call->working, true);
    if (uv_queue_work(loop, &call->work, work_on_worker, work_on_loop) != 0) {
        atomic_store(&call->working, false);
        control_end(call, EXIT_REFUSED, NULL, "no worker thread");
        answer_on_loop(call);
    }
}

static void call_free(struct control_call *call)
{
    uv_mutex_destroy(&call->lock);
    buf_wipe(&call->line); /* may name a person */
    json_decref(call->request);
    json_decref(call->answer.result);
    free(call);
}

static struct control_call *call_new(void)
{
    struct control_call *call = calloc(1, sizeof *call);

    if (!call)
        return NULL;
    buf_init(&call->line, CONTROL_LINE_MAX);
    call->uid = getuid();
    if (uv_mutex_init(&call->lock) != 0) {
        free(call);
        return NULL;
    }
    return call;
}

static void control_check_closed(struct control *c);

static void call_on_closed(uv_handle_t *handle)
{
    struct control_call *call = handle->data;
    struct control *c = call->control;

    if (--call->handles > 0)
        return;
    for (struct control_call **at = &c->calls; *at; at = &(*at)->next)
        if (*at == call) {
            *at = call->next;
            break;
        }
    c->call_count--;
    call_free(call);
    control_check_closed(c);
}

static void call_close(struct control_call *call)
{
    call->state = CALL_CLOSING;
    atomic_store(&call->cancelled, true);
    if (atomic_load(&call->working))
        return; /* work_on_loop comes back here */
    if (!call->ended && call->verb && !call->verb->on_worker)
        return; /* a verb on the loop still holds it; control_end */
    if (!uv_is_closing((uv_handle_t *)&call->pipe)) {
        uv_close((uv_handle_t *)&call->pipe, call_on_closed);
        uv_close((uv_handle_t *)&call->report, call_on_closed);
    }
}

static void refuse(struct control_call *call, enum sotto_exit code,
                   const char *error)
{
    call->state = CALL_RUNNING;
    control_end(call, code, NULL, error);
}

static const struct control_verb *verb_find(const struct control_verb *verbs,
                                            const char *name)
{
    for (; name && verbs->name; verbs++)
        if (strcmp(verbs->name, name) == 0)
            return verbs;
    return NULL;
}

static void call_dispatch(struct control_call *call)
{
    struct control *c = call->control;
    json_error_t error;

    call->request =
        json_loadb((const char *)call->line.data, call->line.size, 0, &error);
    call->args = json_object_get(call->request, "args");
    const char *name =
        json_string_value(json_object_get(call->request, "verb"));
    const struct control_verb *verb = verb_find(c->verbs, name);
    if (!verb) {
        refuse(call, EXIT_USAGE,
               "no such verb; is the tool newer than the "
               "daemon? restart the daemon");
        return;
    }
    call->verb = verb;
    call->verb_owner = c->owner;
    call_start(call, c->loop);
}

static void read_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *out)
{
    struct control_call *call = handle->data;
    size_t left = CONTROL_LINE_MAX - call->line.size;
    size_t room = left < 4096 ? left : 4096;

    (void)hint;
    if (room == 0 || buf_reserve(&call->line, room) != SOTTO_OK) {
        *out = uv_buf_init(NULL, 0);
        return;
    }
    *out =
        uv_buf_init((char *)call->line.data + call->line.size, (unsigned)room);
}

static void read_on_loop(uv_stream_t *stream, ssize_t got, const uv_buf_t *in)
{
    struct control_call *call = stream->data;
    uint8_t *end;

    if (got == 0)
        return;
    if (got < 0) { /* gone, or over the limit */
        uv_read_stop(stream);
        call_close(call);
        return;
    }
    if (call->state != CALL_READING)
        return; /* nothing more is expected; dropped */
    call->line.size += (size_t)got;
    end = memchr(in->base, '\n', (size_t)got);
    if (!end)
        return;
    call->line.size = (size_t)(end - call->line.data);
    call_dispatch(call);
}

static bool peer_allowed(uv_pipe_t *pipe, uid_t *uid)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    uv_os_fd_t fd;

    if (uv_fileno((uv_handle_t *)pipe, &fd) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return false;
    *uid = peer.uid;
    return peer.uid == 0 || peer.uid == geteuid();
}

static void connection_on_loop(uv_stream_t *listener, int status)
{
    struct control *c = listener->data;
    struct control_call *call;

    if (status != 0 || c->closing)
        return;
    call = call_new();
    if (!call)
        return;
    call->control = c;
    if (uv_pipe_init(c->loop, &call->pipe, 0) != 0) {
        call_free(call);
        return;
    }
    call->pipe.data = call;
    call->handles = 2;
    if (uv_async_init(c->loop, &call->report, report_on_loop) != 0)
        abort(); /* only fails when the loop has no descriptor left at start */
    call->report.data = call;
    call->next = c->calls;
    c->calls = call;
    c->call_count++;
    if (uv_accept(listener, (uv_stream_t *)&call->pipe) != 0 ||
        c->call_count > CALLS_MAX || !peer_allowed(&call->pipe, &call->uid) ||
        uv_read_start((uv_stream_t *)&call->pipe, read_alloc, read_on_loop) !=
            0)
        call_close(call);
}

/* ---- the daemon's side ---- */

/* A path in dir that fits a sockaddr_un however long dir is: through the
 * directory's descriptor. */
static enum sotto_err socket_path(const char *dir, char *out, size_t size,
                                  int *dir_fd)
{
    *dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*dir_fd < 0)
        return SOTTO_ENOTFOUND;
    snprintf(out, size, "/proc/self/fd/%d/" SOCKET_NAME, *dir_fd);
    return SOTTO_OK;
}

enum sotto_err control_open(struct control **out, uv_loop_t *loop,
                            const char *dir, const struct control_verb *verbs,
                            void *owner, struct why *why)
{
    struct control *c = calloc(1, sizeof *c);
    int rv;

    if (!c)
        return SOTTO_ENOMEM;
    c->loop = loop;
    c->verbs = verbs;
    c->owner = owner;
    if (socket_path(dir, c->path, sizeof c->path, &c->dir_fd)) {
        free(c);
        return why_say(why, SOTTO_ENOTFOUND, "%s: no such directory", dir);
    }
    unlink(c->path); /* of an owner that died: we hold the lock */
    rv = uv_pipe_init(loop, &c->listener, 0);
    assert(rv == 0);
    c->listener.data = c;
    c->listening = true;
    rv = uv_pipe_bind(&c->listener, c->path);
    if (rv == 0 && fchmodat(c->dir_fd, SOCKET_NAME, 0600, 0) != 0)
        rv = UV_EACCES;
    if (rv == 0)
        rv = uv_listen((uv_stream_t *)&c->listener, 16, connection_on_loop);
    if (rv != 0) {
        control_close(c, NULL, NULL);
        return why_say(why, SOTTO_EIO, "%s/" SOCKET_NAME ": %s", dir,
                       uv_strerror(rv));
    }
    *out = c;
    return SOTTO_OK;
}

static void control_check_closed(struct control *c)
{
    void (*closed)(void *) = c->closed;
    void *owner = c->closed_owner;

    if (!c->closing || c->listening || c->calls)
        return;
    close(c->dir_fd);
    free(c);
    if (closed)
        closed(owner);
}

static void listener_on_closed(uv_handle_t *handle)
{
    struct control *c = handle->data;

    c->listening = false;
    control_check_closed(c);
}

void control_close(struct control *c, void (*closed)(void *owner), void *owner)
{
    struct control_call *next;

    c->closing = true;
    c->closed = closed;
    c->closed_owner = owner;
    unlink(c->path);
    for (struct control_call *call = c->calls; call; call = next) {
        next = call->next;
        if (call->state != CALL_CLOSING)
            call_close(call);
    }
    uv_close((uv_handle_t *)&c->listener, listener_on_closed);
}

/* ---- the tool's side ---- */

void control_answer_fini(struct control_answer *a)
{
    json_decref(a->result);
    a->result = NULL;
}

static int control_connect(const char *dir)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    int dir_fd, fd;

    if (socket_path(dir, where.sun_path, sizeof where.sun_path, &dir_fd))
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 &&
        connect(fd, (const struct sockaddr *)&where, sizeof where) != 0) {
        close(fd);
        fd = -1;
    }
    close(dir_fd);
    return fd;
}

bool control_alive(const char *dir)
{
    int fd = control_connect(dir);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool send_request(int fd, const char *verb, json_t *args)
{
    json_t *request = json_pack("{s:s,s:O}", "verb", verb, "args", args);
    char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
    size_t size = text ? strlen(text) : 0;
    bool good = text && size < CONTROL_LINE_MAX;

    for (size_t sent = 0; good && sent <= size;) {
        ssize_t n = sent < size
                        ? send(fd, text + sent, size - sent, MSG_NOSIGNAL)
                        : send(fd, "\n", 1, MSG_NOSIGNAL);
        if (n <= 0)
            good = false;
        else
            sent += (size_t)n;
    }
    free(text);
    json_decref(request);
    return good;
}

/* Acts on one line; true when it was the answer. */
static bool take_line(const char *line, size_t size,
                      control_on_progress *on_progress,
                      struct control_answer *answer)
{
    json_error_t error;
    json_t *object = json_loadb(line, size, 0, &error);
    const char *what = json_string_value(json_object_get(object, "progress"));
    const json_t *code = json_object_get(object, "exit");
    bool last = true;

    if (what) {
        last = false;
        if (on_progress)
            on_progress(
                what,
                (uint64_t)json_integer_value(json_object_get(object, "done")),
                (uint64_t)json_integer_value(json_object_get(object, "total")));
    } else if (json_is_integer(code)) {
        const char *text = json_string_value(json_object_get(object, "error"));
        answer->code = (enum sotto_exit)json_integer_value(code);
        answer->result = json_incref(json_object_get(object, "result"));
        snprintf(answer->error, sizeof answer->error, "%s", text ? text : "");
    } else {
        answer->code = EXIT_INTEGRITY;
        snprintf(answer->error, sizeof answer->error,
                 "the daemon's answer is not what this tool understands");
    }
    json_decref(object);
    return last;
}

enum sotto_err control_ask(const char *dir, const char *verb, json_t *args,
                           control_on_progress *on_progress,
                           struct control_answer *answer)
{
    struct buf in;
    bool done = false;
    int fd = control_connect(dir);

    memset(answer, 0, sizeof *answer);
    if (fd < 0)
        return SOTTO_ENOTFOUND;
    buf_init(&in, CONTROL_ANSWER_MAX);
    if (!send_request(fd, verb, args))
        goto gone;
    while (!done) {
        if (buf_reserve(&in, 65536))
            goto gone;
        ssize_t n = read(fd, in.data + in.size, 65536);
        if (n <= 0)
            goto gone;
        in.size += (size_t)n;
        uint8_t *start = in.data, *end;
        while (!done && (end = memchr(start, '\n',
                                      in.size - (size_t)(start - in.data)))) {
            done = take_line((const char *)start, (size_t)(end - start),
                             on_progress, answer);
            start = end + 1;
        }
        in.size -= (size_t)(start - in.data);
        memmove(in.data, start, in.size);
    }
    close(fd);
    buf_fini(&in);
    return SOTTO_OK;

gone:
    close(fd);
    buf_fini(&in);
    answer->code = EXIT_USAGE;
    snprintf(answer->error, sizeof answer->error,
             "the daemon went away before it answered; see its log");
    return SOTTO_OK;
}

enum sotto_err control_run(uv_loop_t *loop, const struct control_verb *verbs,
                           void *owner, const char *verb, json_t *args,
                           control_on_progress *on_progress,
                           struct control_answer *answer)
{
    struct control_call *call = call_new();

    memset(answer, 0, sizeof *answer);
    if (!call)
        return SOTTO_ENOMEM;
    call->verb = verb_find(verbs, verb);
    if (!call->verb) {
        call_free(call);
        return SOTTO_ENOTFOUND;
    }
    call->verb_owner = owner;
    call->args = args;
    call->on_progress = on_progress;
    call_start(call, loop);
    for (;;) {
        uv_mutex_lock(&call->lock);
        bool ended = call->ended && !atomic_load(&call->working);
        uv_mutex_unlock(&call->lock);
        if (ended)
            break;
        uv_run(loop, UV_RUN_ONCE);
    }
    *answer = call->answer;
    call->answer.result = NULL;
    call_free(call);
    return SOTTO_OK;
}
