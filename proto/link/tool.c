/* See tool.h. */
#include "link/tool.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cli.h"
#include "base/daemon.h"
#include "base/log.h"

int tool_complain(const struct tool *t, enum sotto_err err, const char *text)
{
    fprintf(stderr, "%s: %s\n", t->program, *text ? text : err_text(err));
    return (int)err_exit(err);
}

static void stopped_on_loop(void *context)
{
    *(bool *)context = true;
}

void tool_stop(const struct tool *t, void *owner, uv_loop_t *loop)
{
    bool stopped = false;

    t->stop(owner, stopped_on_loop, &stopped);
    while (!stopped)
        uv_run(loop, UV_RUN_ONCE);
}

/* ---- a verb ---- */

/* A directory is owned for a moment by a tool, or by a daemon that is just
 * starting or stopping: tries again for a while. */
#define OWNED_TRIES 50
#define OWNED_PAUSE_US 100000
#define DAEMON_TRIES 1200 /* an import without a daemon may take a while */

struct asking { /* for one answer, or page by page */
    const char *verb;
    json_t *args;
    bool (*page)(const json_t *result, json_t *args); /* NULL: for one */
    struct control_answer answer;
};

static bool wants_another(struct asking *q)
{
    if (!q->page || !q->answer.result || !q->page(q->answer.result, q->args))
        return false;
    control_answer_fini(&q->answer);
    q->answer = (struct control_answer){0};
    return true;
}

static enum sotto_err run_here(const struct tool *t, struct asking *q,
                               struct why *why)
{
    uv_loop_t loop;
    void *owner;
    enum sotto_err err;

    uv_loop_init(&loop);
    err = t->open(&owner, &loop, t->dir, false, why);
    if (!err) {
        do
            err = control_run(&loop, t->verbs, owner, q->verb, q->args,
                              cli_progress, &q->answer);
        while (!err && wants_another(q));
        tool_stop(t, owner, &loop);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return err;
}

/* There if a daemon answers, else here. */
static enum sotto_err run_somewhere(const struct tool *t, struct asking *q,
                                    struct why *why)
{
    enum sotto_err err;

    for (int i = 0;; i++) {
        do
            err =
                control_ask(t->dir, q->verb, q->args, cli_progress, &q->answer);
        while (!err && wants_another(q));
        if (err != SOTTO_ENOTFOUND)
            return err;
        err = run_here(t, q, why);
        if (err != SOTTO_ELOCKED || i == OWNED_TRIES)
            return err;
        usleep(OWNED_PAUSE_US);
    }
}

static void show(const struct tool *t, const json_t *result,
                 void (*print)(const json_t *result))
{
    if (t->as_json) {
        json_dumpf(result, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        print(result);
    }
}

/* Pages have been shown when this sees the answer. */
static int ask(const struct tool *t, struct asking *q,
               void (*print)(const json_t *result))
{
    struct why why = {0};
    enum sotto_err err;
    int code;

    log_set_level(LOG_WARN);
    err = run_somewhere(t, q, &why);
    cli_progress_end();
    json_decref(q->args);
    if (err)
        return tool_complain(t, err, why.text);
    if (q->answer.result && !q->page)
        show(t, q->answer.result, print);
    if (*q->answer.error)
        fprintf(stderr, "%s: %s\n", t->program, q->answer.error);
    code = (int)q->answer.code;
    control_answer_fini(&q->answer);
    return code;
}

int tool_verb(const struct tool *t, const char *verb, json_t *args,
              void (*print)(const json_t *result))
{
    struct asking q = {.verb = verb, .args = args};

    return ask(t, &q, print);
}

int tool_pages(const struct tool *t, const char *verb, json_t *args,
               bool (*page)(const json_t *result, json_t *args))
{
    struct asking q = {.verb = verb, .args = args, .page = page};

    return ask(t, &q, NULL);
}

/* ---- the daemon ---- */

static void signal_on_loop(uv_signal_t *signal, int number)
{
    (void)number;
    uv_stop(signal->loop);
}

static void run_until_signal(uv_loop_t *loop)
{
    uv_signal_t term, interrupt;

    uv_signal_init(loop, &term);
    uv_signal_init(loop, &interrupt);
    uv_signal_start(&term, signal_on_loop, SIGTERM);
    uv_signal_start(&interrupt, signal_on_loop, SIGINT);
    daemon_notify("READY=1");
    uv_run(loop, UV_RUN_DEFAULT);
    daemon_notify("STOPPING=1");
    uv_close((uv_handle_t *)&term, NULL);
    uv_close((uv_handle_t *)&interrupt, NULL);
    uv_run(loop, UV_RUN_NOWAIT); /* the two are closed before they go */
}

static enum sotto_err run_owner(const struct tool *t, void *owner,
                                uv_loop_t *loop, struct why *why)
{
    struct control *control;
    bool closed = false;
    enum sotto_err err =
        control_open(&control, loop, t->dir, t->verbs, owner, why);

    if (err)
        return err;
    log_info(t->program, "%s", t->greeting(owner));
    run_until_signal(loop);
    control_close(control, stopped_on_loop, &closed);
    while (!closed)
        uv_run(loop, UV_RUN_ONCE);
    return SOTTO_OK;
}

int tool_daemon(const struct tool *t)
{
    struct why why = {0};
    uv_loop_t loop;
    void *owner;
    enum sotto_err err = SOTTO_OK;

    daemon_harden();
    uv_loop_init(&loop);
    for (int i = 0; i < DAEMON_TRIES; i++) {
        err = t->open(&owner, &loop, t->dir, true, &why);
        if (err != SOTTO_ELOCKED || control_alive(t->dir))
            break; /* a daemon does not wait for another */
        if (i == OWNED_TRIES)
            log_warn(t->program, "%s; waiting for it", why.text);
        usleep(OWNED_PAUSE_US);
    }
    if (!err) {
        err = run_owner(t, owner, &loop, &why);
        tool_stop(t, owner, &loop);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    if (err)
        return tool_complain(t, err, why.text);
    log_info(t->program, "stopped");
    return 0;
}

/* ---- members ---- */

const char *text_at(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

long long int_at(const json_t *object, const char *name)
{
    return (long long)json_integer_value(json_object_get(object, name));
}

double real_at(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

bool true_at(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}
