/* The uplink against an aggregator of a few lines on the same loop: what it
 * believes, what it sends again, and when. */
#include "agent/uplink.h"

#include <setjmp.h>
#include <stdarg.h>

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/parts.h"
#include "link/reply.h"

#define ROOMY (64 * 1024 * 1024)
#define SEEN_MAX 256
#define PATIENCE_MS 20000

struct seen {
    uint64_t stream, sequence;
    int64_t at_ms;
    uint8_t hash[HASH_SIZE];      /* of the envelope */
    uint8_t body_hash[HASH_SIZE]; /* of its body */
};

struct fake { /* the aggregator, and the agent it talks to */
    struct parts parts;
    uv_loop_t loop;
    uv_timer_t tick;
    struct replier *replier;
    struct uplink *uplink;
    struct peer agent;
    struct keys *stranger;
    uint64_t stream, watermark; /* of the newest stream */
    uint32_t seen_count;
    struct seen seen[SEEN_MAX];
    uint32_t polls, enrolments, documents, changed;
    uint8_t secret[32]; /* of the newest enrolment */
    struct poll poll;   /* the newest */
    struct envelope poll_head;
    uint8_t third[HASH_SIZE]; /* chain of sequence 3 */
    struct call *parked;
    int64_t time_ms; /* as the uplink handed it over */
    int open;
    bool fail_documents;
    uint32_t forks;
    /* What a test changes; false: answer as an aggregator does. */
    bool (*stream_answer)(struct fake *f, struct call *call,
                          const uint8_t *nonce, const struct envelope *e);
    bool (*poll_answer)(struct fake *f, struct call *call,
                        const uint8_t *nonce);
    bool (*enrol_answer)(struct fake *f, struct call *call,
                         const uint8_t *nonce);
};

/* ---- the fake aggregator ---- */

static void send_signed(struct call *call, uint32_t kind, struct span payload,
                        const struct keys *by, const struct peer *to)
{
    struct envelope head = {.kind = kind};
    struct buf out;

    buf_init(&out, FRAME_MAX);
    assert_int_equal(envelope_write(&out, &head, payload, by, to), SOTTO_OK);
    call_reply(call, span_of(out.data, out.size));
    buf_fini(&out);
}

static void send_message(struct fake *f, struct call *call, uint32_t kind,
                         enum message_type type, const void *message)
{
    struct buf body;

    buf_init(&body, PAYLOAD_MAX);
    assert_int_equal(message_encode(&body, type, message), SOTTO_OK);
    send_signed(call, kind, span_of(body.data, body.size),
                f->parts.fixture.aggregator, &f->agent);
    buf_fini(&body);
}

static struct reply reply_to(const uint8_t *nonce, const struct envelope *e,
                             enum verdict verdict, uint64_t watermark)
{
    struct reply r = {.stream = e->stream,
                      .sequence = e->sequence,
                      .verdict = verdict,
                      .watermark = watermark,
                      .time_ms = 1800000000000};

    memcpy(r.nonce, nonce, NONCE_SIZE);
    return r;
}

static void send_reply(struct fake *f, struct call *call, const struct reply *r)
{
    send_message(f, call, KIND_REPLY, MESSAGE_REPLY, r);
}

/* One stream at a time, in order; what is early is asked for again. */
static void answer_stream(struct fake *f, struct call *call,
                          const uint8_t *nonce, const struct envelope *e)
{
    struct reply r;

    if (e->stream != f->stream) {
        f->stream = e->stream;
        f->watermark = 0;
    }
    if (e->sequence == f->watermark + 1)
        f->watermark++;
    r = reply_to(nonce, e,
                 e->sequence <= f->watermark ? VERDICT_ACK : VERDICT_RETRY,
                 f->watermark);
    if (r.verdict == VERDICT_RETRY)
        r.reason = REFUSAL_GAP;
    send_reply(f, call, &r);
}

static void stream_came(struct fake *f, struct call *call, const uint8_t *nonce,
                        struct span envelope, const struct envelope *e)
{
    struct seen *s = &f->seen[f->seen_count++];

    assert_true(f->seen_count < SEEN_MAX);
    s->stream = e->stream;
    s->sequence = e->sequence;
    s->at_ms = clock_mono_ms(&clock_system);
    hash_bytes(s->hash, envelope, span_of(NULL, 0));
    hash_bytes(s->body_hash, e->body, span_of(NULL, 0));
    if (!f->stream_answer || !f->stream_answer(f, call, nonce, e))
        answer_stream(f, call, nonce, e);
}

static void poll_came(struct fake *f, struct call *call, const uint8_t *nonce,
                      const struct envelope *e)
{
    f->polls++;
    f->poll_head = *e;
    assert_int_equal(message_decode(&f->poll, MESSAGE_POLL, e->body), SOTTO_OK);
    if (!f->poll_answer || !f->poll_answer(f, call, nonce))
        f->parked = call;
}

static void enrol_came(struct fake *f, struct call *call, const uint8_t *nonce,
                       const struct envelope *e)
{
    struct enrolled cert = {.name = span_text("till-1"),
                            .time_ms = 1800000000000};
    struct enrol request;
    struct buf zipped, plain;

    buf_init(&zipped, FRAME_MAX);
    buf_init(&plain, PAYLOAD_MAX);
    assert_int_equal(envelope_open(&zipped, e, f->parts.fixture.aggregator),
                     SOTTO_OK);
    assert_int_equal(
        payload_unzip(&plain, span_of(zipped.data, zipped.size), 4096),
        SOTTO_OK);
    assert_int_equal(message_decode(&request, MESSAGE_ENROL,
                                    span_of(plain.data, plain.size)),
                     SOTTO_OK);
    memcpy(f->secret, request.secret, 32);
    f->enrolments++;
    memcpy(cert.nonce, nonce, NONCE_SIZE);
    if (!f->enrol_answer || !f->enrol_answer(f, call, nonce))
        send_message(f, call, KIND_ENROLLED, MESSAGE_ENROLLED, &cert);
    buf_fini(&zipped);
    buf_fini(&plain);
}

static void request_came(void *owner, struct call *call, struct span frame)
{
    struct span envelope =
        span_of(frame.data + NONCE_SIZE, frame.size - NONCE_SIZE);
    struct fake *f = owner;
    struct envelope e;

    assert_true(frame.size > NONCE_SIZE);
    assert_int_equal(envelope_parse(&e, envelope), SOTTO_OK);
    assert_int_equal(envelope_verify(&e, envelope, f->agent.sign_pk), SOTTO_OK);
    if (e.kind == KIND_POLL)
        poll_came(f, call, frame.data, &e);
    else if (e.kind == KIND_ENROL)
        enrol_came(f, call, frame.data, &e);
    else
        stream_came(f, call, frame.data, envelope, &e);
}

/* ---- the agent's side ---- */

static enum sotto_err documents_came(void *owner, struct span payload)
{
    struct fake *f = owner;

    f->documents++;
    return f->fail_documents || payload.size == 0 ? SOTTO_EIO : SOTTO_OK;
}

static uint64_t applied(void *owner)
{
    return ((struct fake *)owner)->documents;
}

static void time_came(void *owner, int64_t aggregator_ms)
{
    ((struct fake *)owner)->time_ms = aggregator_ms;
}

static int64_t now_is(void *owner)
{
    (void)owner;
    return clock_wall_ms(&clock_system);
}

static void changed(void *owner)
{
    ((struct fake *)owner)->changed++;
}

static void ticked(uv_timer_t *tick)
{
    (void)tick;
}

static void start(struct fake *f, bool enrolled)
{
    struct uplink_parts use = {.loop = &f->loop,
                               .home = f->parts.home,
                               .spool = f->parts.spool,
                               .documents = documents_came,
                               .applied = applied,
                               .time = time_came,
                               .now = now_is,
                               .changed = changed,
                               .owner = f};
    struct why why;

    assert_int_equal(uv_loop_init(&f->loop), 0);
    uv_timer_init(&f->loop, &f->tick);
    uv_timer_start(&f->tick, ticked, 5, 5);
    assert_int_equal(replier_open(&f->replier, &f->loop, "tcp://127.0.0.1:0",
                                  32, request_came, f, &why),
                     SOTTO_OK);
    use.address = replier_address(f->replier);
    f->parts.home->enrolled = enrolled;
    keys_peer(f->parts.home->keys, &f->agent);
    f->open = 2;
    assert_int_equal(uplink_open(&f->uplink, &use, &why), SOTTO_OK);
}

/* A spool of batches of one event each. */
static struct fake *make(unsigned batches)
{
    static struct fake f;
    uint32_t committed;

    memset(&f, 0, sizeof f);
    parts_make(&f.parts, "tcp://127.0.0.1:1", ROOMY);
    assert_int_equal(keys_make(&f.stranger), SOTTO_OK);
    parts_batcher(&f.parts);
    for (unsigned i = 0; i < batches; i++) {
        assert_int_equal(parts_track(&f.parts, i), DROP_NOT);
        assert_int_equal(batcher_turn(f.parts.batcher, true, &committed),
                         SOTTO_OK);
    }
    return &f;
}

static void one_more(struct fake *f)
{
    uint32_t committed;

    assert_int_equal(parts_track(&f->parts, 1000), DROP_NOT);
    assert_int_equal(batcher_turn(f->parts.batcher, true, &committed),
                     SOTTO_OK);
    uplink_kick(f->uplink);
}

#define UNTIL(f, condition)                                                    \
    do {                                                                       \
        int64_t until_ms = clock_mono_ms(&clock_system) + PATIENCE_MS;         \
        while (!(condition)) {                                                 \
            assert_true(clock_mono_ms(&clock_system) < until_ms);              \
            uv_run(&(f)->loop, UV_RUN_ONCE);                                   \
        }                                                                      \
    } while (0)

static void run_for(struct fake *f, int64_t ms)
{
    int64_t until = clock_mono_ms(&clock_system) + ms;

    UNTIL(f, clock_mono_ms(&clock_system) >= until);
}

static struct uplink_stats stats_of(const struct fake *f)
{
    struct uplink_stats s;

    uplink_stats(f->uplink, &s);
    return s;
}

static void part_closed(void *owner)
{
    ((struct fake *)owner)->open--;
}

static void finish(struct fake *f)
{
    uplink_close(f->uplink, part_closed, f);
    replier_close(f->replier, part_closed, f);
    UNTIL(f, f->open == 0);
    uv_close((uv_handle_t *)&f->tick, NULL);
    while (uv_run(&f->loop, UV_RUN_ONCE) != 0)
        ;
    assert_int_equal(uv_loop_close(&f->loop), 0);
    keys_free(f->stranger);
    parts_free(&f->parts);
}

static uint64_t acked(const struct fake *f)
{
    return spool_state(f->parts.spool)->acked;
}

/* Bytes a file may grow to; 0: as if the disk were full. */
static void set_file_limit(rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* ---- the tests ---- */

static void sends_everything_and_forgets_what_is_acknowledged(void **state)
{
    struct fake *f = make(30);

    (void)state;
    start(f, true);
    UNTIL(f, acked(f) == 30);
    assert_int_equal(f->watermark, 30);
    assert_int_equal(stats_of(f).acknowledged, 30);
    assert_int_equal(stats_of(f).forged, 0);
    assert_int_equal(f->time_ms, 1800000000000);
    assert_true(f->changed > 0);
    one_more(f);
    UNTIL(f, acked(f) == 31);
    UNTIL(f, f->polls == 1); /* and one poll stays parked */
    assert_int_equal(spool_state(f->parts.spool)->waiting_rows, 0);
    finish(f);
}

enum lie {
    STRANGER,
    SIGNATURE, /* names the aggregator, but it did not sign */
    NONCE,
    SEQUENCE,
    RECIPIENT,
    KIND,
    CUT,
    LIES
};
static enum lie lie;

/* All right but for a bit of the last element, the signature. */
static void send_unsigned(struct fake *f, struct call *call, struct span body)
{
    struct envelope head = {.kind = KIND_REPLY};
    struct buf out;

    buf_init(&out, FRAME_MAX);
    assert_int_equal(envelope_write(&out, &head, body,
                                    f->parts.fixture.aggregator, &f->agent),
                     SOTTO_OK);
    out.data[out.size - 40] ^= 1;
    call_reply(call, span_of(out.data, out.size));
    buf_fini(&out);
}

/* The first reply lies in one way, saying that all is acknowledged. */
static bool lie_once(struct fake *f, struct call *call, const uint8_t *nonce,
                     const struct envelope *e)
{
    const struct keys *by = f->parts.fixture.aggregator;
    struct reply r = reply_to(nonce, e, VERDICT_ACK, 1);
    struct peer to = f->agent;
    uint32_t kind = KIND_REPLY;
    struct buf body;

    if (f->seen_count > 1)
        return false;
    buf_init(&body, 4096);
    if (lie == STRANGER)
        by = f->stranger;
    if (lie == NONCE)
        r.nonce[3] ^= 1;
    if (lie == SEQUENCE)
        r.sequence++;
    if (lie == RECIPIENT)
        keys_peer(f->stranger, &to);
    if (lie == KIND)
        kind = KIND_POLL;
    if (lie == CUT) {
        call_reply(call, span_of("\xa1", 1));
        return true;
    }
    assert_int_equal(message_encode(&body, MESSAGE_REPLY, &r), SOTTO_OK);
    if (lie == SIGNATURE)
        send_unsigned(f, call, span_of(body.data, body.size));
    else
        send_signed(call, kind, span_of(body.data, body.size), by, &to);
    buf_fini(&body);
    return true;
}

static void a_reply_that_is_not_rightly_signed_changes_nothing(void **state)
{
    (void)state;
    for (lie = 0; lie < LIES; lie++) {
        struct fake *f = make(1);

        f->stream_answer = lie_once;
        start(f, true);
        UNTIL(f, stats_of(f).forged == 1);
        assert_int_equal(acked(f), 0);
        assert_int_equal(f->seen_count, 1);
        UNTIL(f, acked(f) == 1); /* asked again, after a while */
        assert_int_equal(f->seen_count, 2);
        assert_true(f->seen[1].at_ms - f->seen[0].at_ms >= 250);
        assert_memory_equal(f->seen[0].hash, f->seen[1].hash, HASH_SIZE);
        finish(f);
    }
}

static bool retry_once(struct fake *f, struct call *call, const uint8_t *nonce,
                       const struct envelope *e)
{
    struct reply r = reply_to(nonce, e, VERDICT_RETRY, 0);

    if (f->seen_count > 1)
        return false;
    r.reason = REFUSAL_UNKNOWN_POLICY;
    r.wait_ms = 300;
    send_reply(f, call, &r);
    return true;
}

static void a_retry_waits_as_long_as_it_says(void **state)
{
    struct fake *f = make(1);

    (void)state;
    f->stream_answer = retry_once;
    start(f, true);
    UNTIL(f, stats_of(f).retries == 1);
    assert_int_equal(stats_of(f).waiting_for, REFUSAL_UNKNOWN_POLICY);
    for (int i = 0; i < 10; i++)
        uplink_kick(f->uplink); /* new events do not shorten it */
    UNTIL(f, acked(f) == 1);
    assert_int_equal(f->seen_count, 2);
    assert_true(f->seen[1].at_ms - f->seen[0].at_ms >= 295);
    assert_int_equal(stats_of(f).waiting_for, 0);
    finish(f);
}

static bool fork_at_three(struct fake *f, struct call *call,
                          const uint8_t *nonce, const struct envelope *e)
{
    struct reply r = reply_to(nonce, e, VERDICT_FORK, 2);

    if (f->forks > 0 || f->watermark != 2 || e->sequence != 3)
        return false;
    if (spool_state(f->parts.spool)->acked != 2) { /* not before it knows */
        r.verdict = VERDICT_RETRY;
        r.reason = REFUSAL_GAP;
    } else {
        f->forks++;
    }
    send_reply(f, call, &r);
    return true;
}

static void a_fork_goes_on_as_another_stream(void **state)
{
    struct fake *f = make(5);
    uint8_t bodies[6][HASH_SIZE];
    struct parts_opened o;
    uint32_t found = 0;
    uint64_t old;

    (void)state;
    for (uint64_t s = 1; s <= 5; s++) {
        struct spool_row row;
        struct envelope e;
        struct buf bytes;

        buf_init(&bytes, FRAME_MAX);
        assert_int_equal(spool_get(f->parts.spool, s, &row, &bytes), SOTTO_OK);
        assert_int_equal(envelope_parse(&e, span_of(bytes.data, bytes.size)),
                         SOTTO_OK);
        hash_bytes(bodies[s], e.body, span_of(NULL, 0));
        buf_fini(&bytes);
    }
    old = spool_state(f->parts.spool)->stream;
    f->stream_answer = fork_at_three;
    start(f, true);
    UNTIL(f, f->stream != old && f->stream != 0 && acked(f) == 5);
    assert_int_equal(stats_of(f).forks, 1);
    assert_true(spool_state(f->parts.spool)->stream == f->stream);
    for (uint32_t i = 0; i < f->seen_count; i++)
        if (f->seen[i].stream == f->stream) {
            assert_memory_equal(f->seen[i].body_hash,
                                bodies[f->seen[i].sequence], HASH_SIZE);
            found |= 1u << f->seen[i].sequence;
        }
    assert_int_equal(found, 0x3e); /* what was acknowledged, too */
    parts_spooled(&f->parts, 5, &o);
    assert_int_equal(o.first, 4);
    finish(f);
}

static bool fork_with_a_full_disk(struct fake *f, struct call *call,
                                  const uint8_t *nonce,
                                  const struct envelope *e)
{
    struct reply r = reply_to(nonce, e, VERDICT_FORK, 0);

    if (e->stream != f->stream && f->stream != 0)
        return false;
    f->stream = e->stream;
    if (f->forks++ == 0)
        set_file_limit(0);
    send_reply(f, call, &r);
    return true;
}

/* Trying again, but not as fast as the line allows. */
static void a_new_stream_that_finds_no_disk_waits(void **state)
{
    struct fake *f = make(1);

    (void)state;
    f->stream_answer = fork_with_a_full_disk;
    start(f, true);
    UNTIL(f, stats_of(f).forks == 1);
    run_for(f, 150);
    assert_int_equal(f->forks, 1);
    set_file_limit(RLIM_INFINITY);
    UNTIL(f, acked(f) == 1);
    assert_int_equal(f->forks, 2);
    finish(f);
}

static bool refuse_two(struct fake *f, struct call *call, const uint8_t *nonce,
                       const struct envelope *e)
{
    struct reply r = reply_to(nonce, e, VERDICT_REFUSED, 2);

    if (e->sequence != 2 || f->watermark > 2 ||
        (f->watermark < 1 && e->sequence == 2))
        return false;
    f->watermark = 2;
    r.reason = REFUSAL_UNDECODABLE;
    send_reply(f, call, &r);
    return true;
}

static void a_refused_batch_is_set_aside(void **state)
{
    struct fake *f = make(4);

    (void)state;
    f->stream_answer = refuse_two;
    start(f, true);
    UNTIL(f, acked(f) == 4);
    assert_int_equal(stats_of(f).refused, 1);
    assert_int_equal(spool_state(f->parts.spool)->refused_events, 1);
    assert_int_equal(spool_state(f->parts.spool)->acked_events, 3);
    finish(f);
}

static void a_restored_aggregator_gets_the_same_bytes_again(void **state)
{
    struct fake *f = make(5);
    uint32_t before;

    (void)state;
    start(f, true);
    UNTIL(f, acked(f) == 5);
    before = f->seen_count;
    f->watermark = 2; /* from a backup */
    one_more(f);
    UNTIL(f, f->watermark == 6 && acked(f) == 6);
    assert_true(stats_of(f).rewinds >= 1);
    assert_int_equal(stats_of(f).missing, 0);
    for (uint32_t i = before; i < f->seen_count; i++)
        for (uint32_t k = 0; k < before; k++)
            if (f->seen[k].sequence == f->seen[i].sequence)
                assert_memory_equal(f->seen[k].hash, f->seen[i].hash,
                                    HASH_SIZE);
    finish(f);
}

static bool fork_at_the_poll(struct fake *f, struct call *call,
                             const uint8_t *nonce)
{
    bool all = f->poll_head.sequence == 3 && f->forks++ == 0;
    struct reply r =
        reply_to(nonce, &f->poll_head, all ? VERDICT_FORK : VERDICT_RETRY,
                 f->poll_head.sequence);

    if (all) {
        assert_int_equal(envelope_chain(f->third, &f->poll_head), SOTTO_OK);
        assert_memory_equal(f->poll_head.chain, f->third, HASH_SIZE);
    }
    r.wait_ms = 20;
    send_reply(f, call, &r);
    return true;
}

/* It holds another history than was acknowledged; we have nothing to send. */
static void an_idle_agent_goes_on_as_another_stream(void **state)
{
    struct fake *f = make(3);
    struct spool_row row;
    struct buf bytes;
    uint64_t old = spool_state(f->parts.spool)->stream;

    (void)state;
    buf_init(&bytes, FRAME_MAX);
    assert_int_equal(spool_get(f->parts.spool, 3, &row, &bytes), SOTTO_OK);
    memcpy(f->third, row.chain, HASH_SIZE);
    buf_fini(&bytes);
    f->poll_answer = fork_at_the_poll;
    start(f, true);
    UNTIL(f, f->stream != old && f->stream != 0 && acked(f) == 3);
    assert_int_equal(stats_of(f).forks, 1);
    finish(f);
}

/* It asks for what replay no longer keeps: nobody can close that gap, so what
 * there is goes on as another stream, and the loss is counted once. */
static void what_is_gone_does_not_stop_what_is_there(void **state)
{
    struct fake *f = make(0);
    uint64_t old;

    (void)state;
    f->parts.spool_config.replay_ms = 1;
    parts_close(&f->parts);
    parts_open(&f->parts);
    parts_batcher(&f->parts);
    start(f, true);
    for (uint64_t s = 1; s <= 3; s++) {
        one_more(f);
        UNTIL(f, acked(f) == s);
        run_for(f, 5); /* past what replay keeps */
    }
    old = f->stream;
    f->watermark = 1;
    one_more(f);
    UNTIL(f, f->stream != old && acked(f) == f->watermark && f->watermark >= 1);
    assert_true(stats_of(f).missing >= 1 && stats_of(f).missing <= 2);
    assert_int_equal(stats_of(f).rewinds, 1);
    one_more(f);
    UNTIL(f, f->watermark == 2 && acked(f) == 2);
    finish(f);
}

static bool poll_wait_for_ever(struct fake *f, struct call *call,
                               const uint8_t *nonce)
{
    const struct envelope none = {0};
    struct reply r = reply_to(nonce, &none, VERDICT_RETRY, 0);

    r.wait_ms = INT64_MAX;
    send_reply(f, call, &r);
    return true;
}

static void a_poll_may_be_told_to_wait_however_long(void **state)
{
    struct fake *f = make(0);

    (void)state;
    f->poll_answer = poll_wait_for_ever;
    start(f, true);
    UNTIL(f, f->time_ms != 0);
    run_for(f, 30);
    assert_int_equal(f->polls, 1);
    finish(f);
}

static bool send_documents(struct fake *f, struct call *call,
                           const uint8_t *nonce)
{
    struct documents_head head = {.last = 1, .time_ms = 1800000000000};
    struct buf payload;

    if (f->polls > 2)
        return false;
    memcpy(head.nonce, nonce, NONCE_SIZE);
    buf_init(&payload, PAYLOAD_MAX);
    assert_int_equal(documents_begin(&payload, &head), SOTTO_OK);
    send_signed(call, KIND_DOCUMENTS, span_of(payload.data, payload.size),
                f->parts.fixture.aggregator, &f->agent);
    buf_fini(&payload);
    return true;
}

static void documents_are_handed_over_and_the_next_poll_says_so(void **state)
{
    struct fake *f = make(0);

    (void)state;
    f->poll_answer = send_documents;
    start(f, true);
    UNTIL(f, f->polls == 3);
    assert_int_equal(f->documents, 2);
    assert_int_equal(f->poll.applied, 2);
    assert_int_equal(stats_of(f).forged, 0);
    finish(f);
}

static void documents_that_were_not_stored_are_asked_for_later(void **state)
{
    struct fake *f = make(0);
    int64_t began;

    (void)state;
    f->poll_answer = send_documents;
    f->fail_documents = true;
    start(f, true);
    UNTIL(f, f->documents == 1);
    began = clock_mono_ms(&clock_system);
    UNTIL(f, f->documents == 2);
    assert_true(clock_mono_ms(&clock_system) - began >= 240);
    finish(f);
}

static bool has_certificate(const struct fake *f)
{
    char path[256];

    snprintf(path, sizeof path, "%s/agent.cert", f->parts.fixture.home);
    return access(path, F_OK) == 0;
}

static void enrols_with_the_tokens_secret(void **state)
{
    struct fake *f = make(1);

    (void)state;
    start(f, false);
    assert_int_equal(stats_of(f).state, UPLINK_ENROLLING);
    UNTIL(f, acked(f) == 1);
    assert_int_equal(f->enrolments, 1);
    assert_memory_equal(f->secret, f->parts.home->secret, 32);
    assert_true(f->parts.home->enrolled && has_certificate(f));
    finish(f);
}

static bool refuse_enrolment(struct fake *f, struct call *call,
                             const uint8_t *nonce)
{
    struct enrolled no = {.reason = REFUSAL_TOKEN_SPENT, .name = span_text("")};

    memcpy(no.nonce, nonce, NONCE_SIZE);
    send_message(f, call, KIND_ENROLLED, MESSAGE_ENROLLED, &no);
    return true;
}

static void a_refused_enrolment_is_final(void **state)
{
    struct fake *f = make(1);

    (void)state;
    f->enrol_answer = refuse_enrolment;
    start(f, false);
    UNTIL(f, stats_of(f).state == UPLINK_REFUSED);
    assert_int_equal(stats_of(f).refusal, REFUSAL_TOKEN_SPENT);
    run_for(f, 50);
    assert_int_equal(f->enrolments, 1);
    assert_int_equal(f->seen_count, 0);
    assert_false(has_certificate(f));
    finish(f);
}

static bool replay_certificate(struct fake *f, struct call *call,
                               const uint8_t *nonce)
{
    struct enrolled cert = {.name = span_text("till-1")};

    if (f->enrolments > 1)
        return false;
    memcpy(cert.nonce, nonce, NONCE_SIZE);
    cert.nonce[0] ^= 1;
    send_message(f, call, KIND_ENROLLED, MESSAGE_ENROLLED, &cert);
    return true;
}

static void a_certificate_for_another_request_is_ignored(void **state)
{
    struct fake *f = make(0);

    (void)state;
    f->enrol_answer = replay_certificate;
    start(f, false);
    UNTIL(f, stats_of(f).forged == 1);
    assert_int_equal(stats_of(f).state, UPLINK_ENROLLING);
    UNTIL(f, stats_of(f).state == UPLINK_READY);
    assert_int_equal(f->enrolments, 2);
    finish(f);
}

/* A full or broken disk: trying again, but not as fast as the line allows. */
static void a_certificate_that_cannot_be_kept_is_asked_for_later(void **state)
{
    struct fake *f = make(0);

    (void)state;
    snprintf(f->parts.home->dir, sizeof f->parts.home->dir, "%s/nowhere",
             f->parts.fixture.dir);
    start(f, false);
    UNTIL(f, f->enrolments == 1);
    run_for(f, 150);
    assert_int_equal(f->enrolments, 1);
    assert_int_equal(stats_of(f).state, UPLINK_ENROLLING);
    finish(f);
}

static bool hold(struct fake *f, struct call *call, const uint8_t *nonce,
                 const struct envelope *e)
{
    (void)f;
    (void)call;
    (void)nonce;
    (void)e;
    return true;
}

static void closing_with_requests_under_way_leaks_nothing(void **state)
{
    struct fake *f = make(20);

    (void)state;
    f->stream_answer = hold;
    start(f, true);
    UNTIL(f, f->seen_count == 8 && f->parked); /* the window */
    run_for(f, 20);
    assert_int_equal(f->seen_count, 8);
    finish(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_everything_and_forgets_what_is_acknowledged),
        cmocka_unit_test(a_reply_that_is_not_rightly_signed_changes_nothing),
        cmocka_unit_test(a_retry_waits_as_long_as_it_says),
        cmocka_unit_test(a_fork_goes_on_as_another_stream),
        cmocka_unit_test(a_new_stream_that_finds_no_disk_waits),
        cmocka_unit_test(a_refused_batch_is_set_aside),
        cmocka_unit_test(a_restored_aggregator_gets_the_same_bytes_again),
        cmocka_unit_test(an_idle_agent_goes_on_as_another_stream),
        cmocka_unit_test(what_is_gone_does_not_stop_what_is_there),
        cmocka_unit_test(a_poll_may_be_told_to_wait_however_long),
        cmocka_unit_test(documents_are_handed_over_and_the_next_poll_says_so),
        cmocka_unit_test(documents_that_were_not_stored_are_asked_for_later),
        cmocka_unit_test(enrols_with_the_tokens_secret),
        cmocka_unit_test(a_refused_enrolment_is_final),
        cmocka_unit_test(a_certificate_for_another_request_is_ignored),
        cmocka_unit_test(a_certificate_that_cannot_be_kept_is_asked_for_later),
        cmocka_unit_test(closing_with_requests_under_way_leaks_nothing),
    };

    signal(SIGXFSZ, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
