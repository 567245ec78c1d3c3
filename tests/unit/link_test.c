/* Requester and replier on one loop over TCP: what is sent arrives once, what
 * is too large or fails its checks is cut off, and closing leaks nothing. */
#include "link/reply.h"
#include "link/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <nng/protocol/reqrep0/req.h>

#include "base/clock.h"
#include "wire/envelope.h"

#define SLOTS 8
#define CONTEXTS 64
#define PATIENCE_MS 20000

struct ends {
    uv_loop_t loop;
    uv_timer_t tick;
    struct replier *replier;
    struct requester *requester;
    int open;
    /* The replier's side. */
    enum { DO_ECHO, DO_HOLD, DO_FAIL, DO_DROP } mode;
    uint32_t requests, held_count;
    struct call *held[CONTEXTS];
    /* The requester's side. */
    uint32_t done;
    enum sotto_err last[SLOTS];
    uint8_t *bytes; /* of the newest reply */
    size_t size;
};

static void request_came(void *owner, struct call *call, struct span frame)
{
    struct ends *e = owner;

    e->requests++;
    assert_null(*call_owner(call));
    switch (e->mode) {
    case DO_ECHO:
        call_reply(call, frame);
        break;
    case DO_HOLD:
        *call_owner(call) = e;
        e->held[e->held_count++] = call;
        break;
    case DO_FAIL:
        call_fail(call);
        break;
    case DO_DROP:
        call_drop(call);
        break;
    }
}

static void request_ended(void *owner, uint32_t slot, enum sotto_err err,
                          struct span reply)
{
    struct ends *e = owner;

    e->done++;
    e->last[slot] = err;
    free(e->bytes);
    e->bytes = malloc(reply.size + 1);
    assert_non_null(e->bytes);
    if (reply.size > 0)
        memcpy(e->bytes, reply.data, reply.size);
    e->size = reply.size;
}

static void ticked(uv_timer_t *tick)
{
    (void)tick;
}

static int setup(void **state)
{
    static struct ends e;
    struct why why;

    memset(&e, 0, sizeof e);
    assert_int_equal(uv_loop_init(&e.loop), 0);
    uv_timer_init(&e.loop, &e.tick);
    uv_timer_start(&e.tick, ticked, 5, 5);
    assert_int_equal(replier_open(&e.replier, &e.loop, "tcp://127.0.0.1:0",
                                  CONTEXTS, request_came, &e, &why),
                     SOTTO_OK);
    assert_int_equal(requester_open(&e.requester, &e.loop,
                                    replier_address(e.replier), SLOTS,
                                    request_ended, &e, &why),
                     SOTTO_OK);
    e.open = 2;
    *state = &e;
    return 0;
}

#define UNTIL(e, condition)                                                    \
    do {                                                                       \
        int64_t until_ms = clock_mono_ms(&clock_system) + PATIENCE_MS;         \
        while (!(condition)) {                                                 \
            assert_true(clock_mono_ms(&clock_system) < until_ms);              \
            uv_run(&(e)->loop, UV_RUN_ONCE);                                   \
        }                                                                      \
    } while (0)

static void part_closed(void *owner)
{
    ((struct ends *)owner)->open--;
}

static int teardown(void **state)
{
    struct ends *e = *state;
    uint32_t done = e->done;

    requester_close(e->requester, part_closed, e);
    replier_close(e->replier, part_closed, e);
    UNTIL(e, e->open == 0);
    assert_int_equal(e->done, done); /* dropped without done */
    uv_close((uv_handle_t *)&e->tick, NULL);
    while (uv_run(&e->loop, UV_RUN_ONCE) != 0)
        ;
    assert_int_equal(uv_loop_close(&e->loop), 0);
    free(e->bytes);
    return 0;
}

static enum sotto_err send_text(struct ends *e, uint32_t slot, const char *a,
                                const char *b, int64_t timeout_ms)
{
    return requester_send(e->requester, slot, span_text(a), span_text(b),
                          timeout_ms);
}

static void two_parts_come_back_as_one(void **state)
{
    struct ends *e = *state;

    assert_int_equal(send_text(e, 3, "nonce ", "envelope", PATIENCE_MS),
                     SOTTO_OK);
    assert_true(requester_busy(e->requester, 3));
    assert_int_equal(send_text(e, 3, "x", "y", PATIENCE_MS), SOTTO_EAGAIN);
    UNTIL(e, e->done == 1);
    assert_int_equal(e->last[3], SOTTO_OK);
    assert_int_equal(e->size, 14);
    assert_memory_equal(e->bytes, "nonce envelope", 14);
    assert_false(requester_busy(e->requester, 3));
    UNTIL(e, requester_connected(e->requester)); /* NNG tells it late */
}

/* An empty part may have no address. */
static void a_part_may_be_empty(void **state)
{
    struct ends *e = *state;

    assert_int_equal(requester_send(e->requester, 0, span_text("a"),
                                    span_of(NULL, 0), PATIENCE_MS),
                     SOTTO_OK);
    UNTIL(e, e->done == 1);
    assert_int_equal(e->size, 1);
}

static void many_are_in_flight(void **state)
{
    struct ends *e = *state;
    uint32_t sent = 0;

    while (e->done < 2000) {
        for (uint32_t s = 0; s < SLOTS && sent < 2000; s++)
            if (!requester_busy(e->requester, s)) {
                char text[32];

                snprintf(text, sizeof text, "%u", sent++);
                assert_int_equal(send_text(e, s, "n", text, PATIENCE_MS),
                                 SOTTO_OK);
            }
        uv_run(&e->loop, UV_RUN_ONCE);
    }
    assert_int_equal(e->requests, 2000);
    for (uint32_t s = 0; s < SLOTS; s++)
        assert_int_equal(e->last[s], SOTTO_OK);
    assert_int_equal(replier_waiting(e->replier), 0);
}

static void calls_may_be_held_and_answered_later(void **state)
{
    struct ends *e = *state;

    e->mode = DO_HOLD;
    for (uint32_t s = 0; s < SLOTS; s++)
        assert_int_equal(send_text(e, s, "n", "x", PATIENCE_MS), SOTTO_OK);
    UNTIL(e, e->held_count == SLOTS);
    assert_int_equal(replier_waiting(e->replier), SLOTS);
    assert_int_equal(e->done, 0);
    for (uint32_t s = SLOTS; s-- > 0;)
        call_reply(e->held[s], span_text("later"));
    UNTIL(e, e->done == SLOTS);
    assert_int_equal(e->size, 5);
    assert_int_equal(replier_waiting(e->replier), 0);
}

static void no_answer_is_a_timeout(void **state)
{
    struct ends *e = *state;

    e->mode = DO_DROP;
    assert_int_equal(send_text(e, 0, "n", "x", 100), SOTTO_OK);
    UNTIL(e, e->done == 1);
    assert_int_equal(e->last[0], SOTTO_ETIMEOUT);
    assert_int_equal(e->requests, 1);
    e->mode = DO_ECHO; /* and the slot can be used again */
    assert_int_equal(send_text(e, 0, "n", "x", PATIENCE_MS), SOTTO_OK);
    UNTIL(e, e->done == 2);
    assert_int_equal(e->last[0], SOTTO_OK);
}

static struct span zeros(size_t size)
{
    uint8_t *bytes = calloc(1, size);

    assert_non_null(bytes);
    return span_of(bytes, size);
}

/* The largest envelope there is, after its nonce. */
static void the_largest_envelope_passes(void **state)
{
    struct ends *e = *state;
    struct span nonce = zeros(16), envelope = zeros(FRAME_MAX);

    e->mode = DO_HOLD;
    assert_int_equal(
        requester_send(e->requester, 0, nonce, envelope, PATIENCE_MS),
        SOTTO_OK);
    UNTIL(e, e->held_count == 1);
    call_reply(e->held[0], envelope);
    UNTIL(e, e->done == 1);
    assert_int_equal(e->last[0], SOTTO_OK);
    assert_int_equal(e->size, FRAME_MAX);
    free((void *)(uintptr_t)nonce.data);
    free((void *)(uintptr_t)envelope.data);
}

static void a_larger_frame_is_refused(void **state)
{
    struct ends *e = *state;
    struct span nonce = zeros(16), envelope = zeros(FRAME_MAX + 1);
    enum sotto_err err = requester_send(e->requester, 0, nonce, envelope, 300);

    assert_int_equal(err, SOTTO_ETOOBIG);
    assert_false(requester_busy(e->requester, 0));
    assert_int_equal(e->requests, 0);
    free((void *)(uintptr_t)nonce.data);
    free((void *)(uintptr_t)envelope.data);
}

/* A peer that is not ours may send what it likes: it is cut off. */
static void a_strangers_larger_frame_never_arrives(void **state)
{
    struct ends *e = *state;
    nng_socket socket;
    nng_msg *msg;

    assert_int_equal(nng_req0_open(&socket), 0);
    assert_int_equal(nng_dial(socket, replier_address(e->replier), NULL, 0), 0);
    assert_int_equal(nng_msg_alloc(&msg, 2 * FRAME_MAX), 0);
    assert_int_equal(nng_sendmsg(socket, msg, 0), 0);
    assert_int_equal(send_text(e, 0, "n", "x", PATIENCE_MS), SOTTO_OK);
    UNTIL(e, e->done == 1);
    for (int i = 0; i < 20; i++)
        uv_run(&e->loop, UV_RUN_ONCE);
    assert_int_equal(e->requests, 1);
    nng_close(socket);
}

static void nothing_is_heard_after_the_third_failed_check(void **state)
{
    struct ends *e = *state;
    nng_socket socket;
    nng_ctx contexts[6];
    nng_aio *aio;
    nng_msg *msg;

    e->mode = DO_FAIL;
    assert_int_equal(nng_req0_open(&socket), 0);
    assert_int_equal(nng_dial(socket, replier_address(e->replier), NULL, 0), 0);
    assert_int_equal(nng_aio_alloc(&aio, NULL, NULL), 0);
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(nng_ctx_open(&contexts[i], socket), 0);
        assert_int_equal(nng_msg_alloc(&msg, 8), 0);
        nng_aio_set_msg(aio, msg);
        nng_ctx_send(contexts[i], aio);
        nng_aio_wait(aio);
        assert_int_equal(nng_aio_result(aio), 0);
        UNTIL(e, e->requests > i || i >= 3);
    }
    e->mode = DO_ECHO; /* another connection is answered all the time */
    assert_int_equal(send_text(e, 0, "n", "x", PATIENCE_MS), SOTTO_OK);
    UNTIL(e, e->done == 1);
    assert_int_equal(e->last[0], SOTTO_OK);
    for (int i = 0; i < 20; i++)
        uv_run(&e->loop, UV_RUN_ONCE);
    assert_int_equal(e->requests, 4);
    nng_close(socket);
    nng_aio_free(aio);
}

static void closing_with_calls_held_leaks_nothing(void **state)
{
    struct ends *e = *state;

    e->mode = DO_HOLD;
    for (uint32_t s = 0; s < SLOTS; s++)
        assert_int_equal(send_text(e, s, "n", "held", PATIENCE_MS), SOTTO_OK);
    UNTIL(e, e->held_count == SLOTS);
}

static void closing_at_once_leaks_nothing(void **state)
{
    struct ends *e = *state;

    for (uint32_t s = 0; s < SLOTS; s++)
        assert_int_equal(send_text(e, s, "n", "sent", PATIENCE_MS), SOTTO_OK);
}

/* Replies are on their way in both directions when everything closes. */
static void closing_in_the_middle_leaks_nothing(void **state)
{
    struct ends *e = *state;

    for (uint32_t round = 0; round < 20; round++) {
        for (uint32_t s = 0; s < SLOTS; s++)
            if (!requester_busy(e->requester, s))
                assert_int_equal(send_text(e, s, "n", "x", PATIENCE_MS),
                                 SOTTO_OK);
        uv_run(&e->loop, UV_RUN_NOWAIT);
    }
}

/* NNG waits for ever for some of these if it is not waited for. */
static void closing_before_the_attempt_leaks_nothing(void **state)
{
    struct ends *e = *state;
    struct requester *r;
    struct why why;

    for (int i = 0; i < 200; i++) {
        int64_t begun_ms = clock_mono_ms(&clock_system);
        assert_int_equal(requester_open(&r, &e->loop,
                                        replier_address(e->replier), 1,
                                        request_ended, e, &why),
                         SOTTO_OK);
        e->open++;
        requester_close(r, part_closed, e);
        assert_true(clock_mono_ms(&clock_system) - begun_ms <
                    LINK_CLOSE_MAX_MS);
        UNTIL(e, e->open == 2);
    }
}

/* ---- a socket that NNG never closes ---- */

static atomic_bool stuck;

int __real_nng_close(nng_socket socket);
int __wrap_nng_close(nng_socket socket);

int __wrap_nng_close(nng_socket socket)
{
    if (atomic_exchange(&stuck, false))
        for (;;)
            pause();
    return __real_nng_close(socket);
}

/* It goes on to receive, and nobody hears of it. */
static void a_socket_that_stays_is_given_up(void **state)
{
    struct ends *e = *state;
    struct requester *r;
    struct why why;

    e->mode = DO_HOLD;
    assert_int_equal(requester_open(&r, &e->loop, replier_address(e->replier),
                                    1, request_ended, e, &why),
                     SOTTO_OK);
    assert_int_equal(
        requester_send(r, 0, span_of("n", 1), span_of("x", 1), PATIENCE_MS),
        SOTTO_OK);
    UNTIL(e, e->held_count == 1);
    e->open++;
    atomic_store(&stuck, true);
    requester_close(r, part_closed, e);
    UNTIL(e, e->open == 2);
    assert_false(atomic_load(&stuck));
    call_reply(e->held[0], span_of("too late", 8));
    for (int i = 0; i < 20; i++)
        uv_run(&e->loop, UV_RUN_ONCE);
    assert_int_equal(e->done, 0);
}

/* ---- an aggregator that nobody answers at ---- */

struct door {
    uv_tcp_t listener, visitor;
    uint32_t visits, gone;
    int64_t opened_ms[4], shut_ms[4];
};

static void visitor_gone(uv_handle_t *visitor)
{
    ((struct door *)visitor->data)->gone++;
}

/* The attempt fails because of this close, so the next one is after it. */
static void visitor_came(uv_stream_t *listener, int status)
{
    struct door *d = listener->data;
    uint32_t i = d->visits++ % 4;

    (void)status;
    uv_tcp_init(listener->loop, &d->visitor);
    d->visitor.data = d;
    uv_accept(listener, (uv_stream_t *)&d->visitor);
    d->opened_ms[i] = clock_mono_ms(&clock_system);
    uv_close((uv_handle_t *)&d->visitor, visitor_gone);
    d->shut_ms[i] = clock_mono_ms(&clock_system);
}

static void door_closed(uv_handle_t *listener)
{
    ((struct door *)listener->data)->gone++;
}

/* At most one attempt in a window: not one of them follows at once. */
static void a_pause_is_between_attempts(void **state)
{
    struct ends *e = *state;
    struct door d = {.visits = 0};
    struct sockaddr_in where;
    struct requester *r;
    struct why why;
    char address[64];
    int size = sizeof where, wait_ms = 250;

    assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &where), 0);
    uv_tcp_init(&e->loop, &d.listener);
    d.listener.data = &d;
    assert_int_equal(
        uv_tcp_bind(&d.listener, (const struct sockaddr *)&where, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&d.listener, 8, visitor_came), 0);
    assert_int_equal(
        uv_tcp_getsockname(&d.listener, (struct sockaddr *)&where, &size), 0);
    snprintf(address, sizeof address, "tcp://127.0.0.1:%d",
             ntohs(where.sin_port));
    assert_int_equal(
        requester_open(&r, &e->loop, address, 1, request_ended, e, &why),
        SOTTO_OK);
    UNTIL(e, d.visits >= 4);
    assert_false(requester_connected(r));
    e->open++;
    requester_close(r, part_closed, e);
    uv_close((uv_handle_t *)&d.listener, door_closed);
    UNTIL(e, e->open == 2 && d.gone == d.visits + 1);
    for (int i = 1; i < 4; i++, wait_ms *= 2)
        assert_true(d.opened_ms[i] - d.shut_ms[i - 1] >= wait_ms);
}

/* A listener that takes connections, greets as a replier of NNG does, and says
 * nothing more. */
static int silent_listen(char address[64])
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    snprintf(address, 64, "tcp://127.0.0.1:%u", ntohs(at.sin_port));
    return fd;
}

static bool silent_accept(int fd, int *taken)
{
    static const uint8_t greeting[8] = {0, 'S', 'P', 0, 0, 0x31, 0, 0};

    *taken = accept(fd, NULL, NULL);
    return *taken >= 0 && send(*taken, greeting, sizeof greeting, 0) ==
                              (ssize_t)sizeof greeting;
}

/* Nobody closes it, but nothing comes: perhaps only the way is broken. */
static void a_silent_connection_is_made_anew(void **state)
{
    struct ends *e = *state;
    struct requester *r;
    struct why why;
    char address[64];
    int fd = silent_listen(address), first, second;

    assert_int_equal(
        requester_open(&r, &e->loop, address, SLOTS, request_ended, e, &why),
        SOTTO_OK);
    UNTIL(e, silent_accept(fd, &first));
    UNTIL(e, requester_connected(r));
    for (uint32_t s = 0; s < SLOTS; s++)
        assert_int_equal(
            requester_send(r, s, span_text("n"), span_text("x"), 200),
            SOTTO_OK);
    UNTIL(e, e->done == SLOTS);
    assert_int_equal(e->last[0], SOTTO_ETIMEOUT);
    UNTIL(e, silent_accept(fd, &second)); /* once, for all of them */
    for (int i = 0; i < 20; i++)
        uv_run(&e->loop, UV_RUN_ONCE);
    assert_int_equal(accept(fd, NULL, NULL), -1);
    e->done = 0;
    e->open++;
    requester_close(r, part_closed, e);
    UNTIL(e, e->open == 2);
    close(first);
    close(second);
    close(fd);
}

static void an_address_that_is_none_is_explained(void **state)
{
    struct ends *e = *state;
    struct requester *r;
    struct replier *p;
    struct why why = {.text = ""};

    assert_int_equal(
        requester_open(&r, &e->loop, "nonsense", 1, request_ended, e, &why),
        SOTTO_EIO);
    assert_non_null(strstr(why.text, "nonsense"));
    assert_int_equal(replier_open(&p, &e->loop, replier_address(e->replier), 4,
                                  request_came, e, &why),
                     SOTTO_EIO);
    assert_non_null(strstr(why.text, replier_address(e->replier)));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(two_parts_come_back_as_one),
        TEST(a_part_may_be_empty),
        TEST(many_are_in_flight),
        TEST(calls_may_be_held_and_answered_later),
        TEST(no_answer_is_a_timeout),
        TEST(the_largest_envelope_passes),
        TEST(a_larger_frame_is_refused),
        TEST(a_strangers_larger_frame_never_arrives),
        TEST(nothing_is_heard_after_the_third_failed_check),
        TEST(closing_with_calls_held_leaks_nothing),
        TEST(closing_at_once_leaks_nothing),
        TEST(closing_in_the_middle_leaks_nothing),
        TEST(closing_before_the_attempt_leaks_nothing),
        TEST(a_socket_that_stays_is_given_up),
        TEST(a_pause_is_between_attempts),
        TEST(a_silent_connection_is_made_anew),
        TEST(an_address_that_is_none_is_explained),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    nng_fini();
    return failed;
}
