/* The control socket: a daemon on one thread, tools that ask on others. */
#include "link/control.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

#define PATIENCE_MS 20000

struct daemon {
    uv_loop_t loop;
    uv_timer_t tick;
    struct control *control;
    char dir[64];
    struct control_call *held;
    atomic_int running; /* worker verbs that wait to be cancelled */
    bool closed;
};

/* ---- verbs ---- */

static void echo(void *owner, struct control_call *call)
{
    const char *text = control_text(call, "text");

    (void)owner;
    assert_null(control_text(call, "absent"));
    assert_int_equal(control_int(call, "text", 5), 5);
    control_end(call, control_flag(call, "bad") ? EXIT_REFUSED : EXIT_GOOD,
                json_pack("{s:s,s:I}", "text", text ? text : "", "number",
                          control_int(call, "number", -1)),
                control_flag(call, "bad") ? "no" : NULL);
}

static void large(void *owner, struct control_call *call)
{
    size_t size = (size_t)control_int(call, "size", 0);
    char *text = malloc(size + 1);

    (void)owner;
    assert_non_null(text);
    memset(text, 'x', size);
    text[size] = 0;
    control_progress(call, "large", 1, 2);
    control_end(call, EXIT_GOOD, json_string(text), NULL);
    free(text);
}

static void hold(void *owner, struct control_call *call)
{
    ((struct daemon *)owner)->held = call;
}

static void wait_on_worker(void *owner, struct control_call *call)
{
    struct daemon *d = owner;

    atomic_fetch_add(&d->running, 1);
    while (!control_cancelled(call))
        control_progress(call, "waiting", 0, 0);
    control_end(call, EXIT_REFUSED, NULL, "cancelled");
    atomic_fetch_sub(&d->running, 1);
}

static const struct control_verb verbs[] = {
    {"echo", echo, false},          {"echo-worker", echo, true},
    {"large", large, true},         {"hold", hold, false},
    {"wait", wait_on_worker, true}, {NULL, NULL, false},
};

/* ---- the daemon ---- */

static void ticked(uv_timer_t *tick)
{
    (void)tick;
}

static int setup(void **state)
{
    static struct daemon d;
    struct why why;

    memset(&d, 0, sizeof d);
    snprintf(d.dir, sizeof d.dir, "/tmp/sotto-control-XXXXXX");
    assert_non_null(mkdtemp(d.dir));
    assert_int_equal(uv_loop_init(&d.loop), 0);
    uv_timer_init(&d.loop, &d.tick);
    uv_timer_start(&d.tick, ticked, 5, 5);
    assert_int_equal(control_open(&d.control, &d.loop, d.dir, verbs, &d, &why),
                     SOTTO_OK);
    *state = &d;
    return 0;
}

#define UNTIL(d, condition)                                                    \
    do {                                                                       \
        int64_t until_ms = clock_mono_ms(&clock_system) + PATIENCE_MS;         \
        while (!(condition)) {                                                 \
            assert_true(clock_mono_ms(&clock_system) < until_ms);              \
            uv_run(&(d)->loop, UV_RUN_ONCE);                                   \
        }                                                                      \
    } while (0)

static void on_closed(void *owner)
{
    ((struct daemon *)owner)->closed = true;
}

static int teardown(void **state)
{
    struct daemon *d = *state;

    if (d->control)
        control_close(d->control, on_closed, d);
    UNTIL(d, d->closed);
    uv_close((uv_handle_t *)&d->tick, NULL);
    while (uv_run(&d->loop, UV_RUN_ONCE) != 0)
        ;
    assert_int_equal(uv_loop_close(&d->loop), 0);
    assert_int_equal(rmdir(d->dir), 0); /* the socket is gone */
    return 0;
}

/* ---- a tool ---- */

struct tool {
    const char *dir, *verb;
    json_t *args;
    pthread_t thread;
    atomic_bool done;
    enum sotto_err err;
    struct control_answer answer;
};

static atomic_uint progress_lines;

static void on_progress(const char *what, uint64_t done, uint64_t total)
{
    (void)what;
    (void)done;
    (void)total;
    atomic_fetch_add(&progress_lines, 1);
}

static void *ask_on_thread(void *arg)
{
    struct tool *t = arg;

    t->err = control_ask(t->dir, t->verb, t->args, on_progress, &t->answer);
    atomic_store(&t->done, true);
    return NULL;
}

static void tool_start(struct tool *t, const struct daemon *d, const char *verb,
                       json_t *args)
{
    memset(t, 0, sizeof *t);
    t->dir = d->dir;
    t->verb = verb;
    t->args = args ? args : json_object();
    assert_int_equal(pthread_create(&t->thread, NULL, ask_on_thread, t), 0);
}

static void tool_wait(struct tool *t, struct daemon *d)
{
    UNTIL(d, atomic_load(&t->done));
    assert_int_equal(pthread_join(t->thread, NULL), 0);
    json_decref(t->args);
    assert_int_equal(t->err, SOTTO_OK);
}

static void ask(struct tool *t, struct daemon *d, const char *verb,
                json_t *args)
{
    tool_start(t, d, verb, args);
    tool_wait(t, d);
}

/* ---- the tests ---- */

static void a_verb_is_answered_from_loop_and_worker(void **state)
{
    static const char *const names[] = {"echo", "echo-worker"};
    struct tool t;

    for (int i = 0; i < 4; i++) {
        ask(&t, *state, names[i & 1],
            json_pack("{s:s,s:i,s:b}", "text", "h\n\"i", "number", 7, "bad",
                      i > 1));
        assert_int_equal(t.answer.code, i > 1 ? EXIT_REFUSED : EXIT_GOOD);
        assert_string_equal(t.answer.error, i > 1 ? "no" : "");
        assert_string_equal(
            json_string_value(json_object_get(t.answer.result, "text")),
            "h\n\"i");
        assert_int_equal(
            json_integer_value(json_object_get(t.answer.result, "number")), 7);
        control_answer_fini(&t.answer);
    }
}

static void an_unknown_verb_is_a_usage_error(void **state)
{
    struct tool t;

    ask(&t, *state, "no-such", NULL);
    assert_int_equal(t.answer.code, EXIT_USAGE);
    assert_non_null(strstr(t.answer.error, "no such verb"));
    control_answer_fini(&t.answer);
}

/* Larger than any socket takes at once, with a line of progress before it. */
static void a_large_answer_arrives_whole(void **state)
{
    struct daemon *d = *state;
    struct tool t;

    for (int i = 0; i < 10; i++) {
        ask(&t, d, "large", json_pack("{s:i}", "size", 4 << 20));
        assert_string_equal(t.answer.error, "");
        assert_int_equal(t.answer.code, EXIT_GOOD);
        assert_int_equal(json_string_length(t.answer.result), 4 << 20);
        control_answer_fini(&t.answer);
    }
    assert_true(atomic_load(&progress_lines) > 0);
}

static void the_longest_request_is_taken(void **state)
{
    struct tool t;
    char *text = malloc(62 * 1024);

    memset(text, 'y', 62 * 1024 - 1);
    text[62 * 1024 - 1] = 0;
    ask(&t, *state, "echo", json_pack("{s:s}", "text", text));
    assert_string_equal(t.answer.error, "");
    assert_string_equal(
        json_string_value(json_object_get(t.answer.result, "text")), text);
    control_answer_fini(&t.answer);
    free(text);
}

static int connect_raw(const struct daemon *d)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(where.sun_path, sizeof where.sun_path, "%s/control.sock", d->dir);
    assert_int_equal(connect(fd, (const struct sockaddr *)&where, sizeof where),
                     0);
    return fd;
}

static bool ended(int fd)
{
    char bytes[4096];
    ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);

    return n == 0 || (n < 0 && errno == ECONNRESET);
}

static void what_is_no_request_is_refused(void **state)
{
    struct daemon *d = *state;
    static char junk[100 * 1024];
    size_t sent = 0;
    int fd = connect_raw(d);

    memset(junk, 'z', sizeof junk);
    while (sent < sizeof junk) { /* no line ends it */
        ssize_t n =
            send(fd, junk, sizeof junk - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n > 0)
            sent += (size_t)n;
        else if (errno != EAGAIN)
            break;
        uv_run(&d->loop, UV_RUN_ONCE);
    }
    UNTIL(d, ended(fd));
    close(fd);
    fd = connect_raw(d);
    assert_int_equal(send(fd, "{\"verb\":7}\n[]", 13, 0), 13);
    UNTIL(d, ended(fd));
    close(fd);
}

static void an_asker_that_leaves_cancels_its_verb(void **state)
{
    struct daemon *d = *state;
    int fd = connect_raw(d);

    assert_int_equal(send(fd, "{\"verb\":\"wait\"}\n", 16, 0), 16);
    UNTIL(d, atomic_load(&d->running) == 1);
    close(fd);
    UNTIL(d, atomic_load(&d->running) == 0);
    fd = connect_raw(d);
    assert_int_equal(send(fd, "{\"verb\":\"hold\"}\n", 16, 0), 16);
    UNTIL(d, d->held);
    close(fd);
    UNTIL(d, control_cancelled(d->held));
    control_end(d->held, EXIT_GOOD, json_string("late"), NULL);
}

static void a_verb_on_the_loop_may_end_later(void **state)
{
    struct daemon *d = *state;
    struct tool t;

    tool_start(&t, d, "hold", NULL);
    UNTIL(d, d->held);
    control_end(d->held, EXIT_FINDINGS, json_true(), NULL);
    tool_wait(&t, d);
    assert_int_equal(t.answer.code, EXIT_FINDINGS);
    assert_true(json_is_true(t.answer.result));
    control_answer_fini(&t.answer);
}

static void closing_cancels_and_waits(void **state)
{
    struct daemon *d = *state;
    struct tool t;

    tool_start(&t, d, "wait", NULL);
    UNTIL(d, atomic_load(&d->running) == 1);
    control_close(d->control, on_closed, d);
    d->control = NULL;
    UNTIL(d, d->closed);
    assert_int_equal(atomic_load(&d->running), 0);
    tool_wait(&t, d);
    assert_int_not_equal(t.answer.code, EXIT_GOOD);
    control_answer_fini(&t.answer);
    assert_int_equal(control_ask(d->dir, "echo", NULL, NULL, &t.answer),
                     SOTTO_ENOTFOUND);
}

static void a_tool_runs_the_verb_itself(void **state)
{
    struct daemon *d = *state;
    struct control_answer a;
    json_t *args = json_pack("{s:s,s:i}", "text", "here", "size", 10);

    assert_int_equal(control_run(&d->loop, verbs, d, "echo", args, NULL, &a),
                     SOTTO_OK);
    assert_string_equal(json_string_value(json_object_get(a.result, "text")),
                        "here");
    control_answer_fini(&a);
    assert_int_equal(
        control_run(&d->loop, verbs, d, "large", args, on_progress, &a),
        SOTTO_OK);
    assert_int_equal(json_string_length(a.result), 10);
    control_answer_fini(&a);
    assert_int_equal(control_run(&d->loop, verbs, d, "no-such", args, NULL, &a),
                     SOTTO_ENOTFOUND);
    json_decref(args);
}

static void the_socket_is_its_owners(void **state)
{
    struct daemon *d = *state;
    struct stat st;
    char path[128];
    struct why why;
    struct control *c;

    snprintf(path, sizeof path, "%s/control.sock", d->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(
        control_open(&c, &d->loop, "/nowhere/at/all", verbs, d, &why),
        SOTTO_ENOTFOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_verb_is_answered_from_loop_and_worker),
        TEST(an_unknown_verb_is_a_usage_error),
        TEST(a_large_answer_arrives_whole),
        TEST(the_longest_request_is_taken),
        TEST(what_is_no_request_is_refused),
        TEST(an_asker_that_leaves_cancels_its_verb),
        TEST(a_verb_on_the_loop_may_end_later),
        TEST(closing_cancels_and_waits),
        TEST(a_tool_runs_the_verb_itself),
        TEST(the_socket_is_its_owners),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
