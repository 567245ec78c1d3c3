/* Ingest over a real link, store and log: what is acknowledged is committed,
 * once, in order, and nothing else is. */
#include "aggregator/answer.h"
#include "aggregator/ingest.h"

#include <setjmp.h>
#include <stdarg.h>

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../support/parts.h"
#include "delivery/watermark.h"
#include "link/request.h"

#define ROOMY (64 * 1024 * 1024)
#define SLOTS 16
#define PATIENCE_MS 20000

struct heard {
    bool came;
    enum sotto_err err;
    struct reply reply;
    struct enrolled enrolled;
    uint32_t kind;
    uint8_t nonce[NONCE_SIZE];
};

struct bench {
    struct parts parts; /* the agent */
    struct keys *stranger;
    struct peer self; /* the aggregator's */
    size_t intake_bytes;
    uv_loop_t loop;
    uv_timer_t tick;
    char dir[256], key[300];
    struct store *store;
    struct roster *roster;
    struct policies *policies;
    struct fresh_queue fresh;
    struct ingest *ingest;
    struct requester *requester;
    struct agent_row *agent;
    struct heard answers[SLOTS];
    uint32_t committed, polls, enrolments;
    struct poll poll;
    int open;
};

/* ---- the bench ---- */

static void ticked(uv_timer_t *tick)
{
    (void)tick;
}

static void poll_came(void *owner, struct call *call, struct agent_row *agent,
                      const uint8_t nonce[NONCE_SIZE], const struct poll *poll)
{
    struct bench *b = owner;
    const struct answer_to to = {b->parts.fixture.aggregator, &agent->peer,
                                 nonce};
    struct reply r = {.verdict = VERDICT_ACK};

    b->polls++;
    b->poll = *poll;
    answer_reply(call, &to, &r);
}

static void committed(void *owner)
{
    ((struct bench *)owner)->committed++;
}

static enum sotto_err enrolled(void *owner, struct agent_row *agent)
{
    assert_non_null(agent);
    ((struct bench *)owner)->enrolments++;
    return SOTTO_OK;
}

static void take_answer(struct bench *b, struct heard *a, struct span bytes)
{
    struct buf zipped, plain;
    struct envelope e;

    assert_int_equal(envelope_parse(&e, bytes), SOTTO_OK);
    assert_int_equal(envelope_verify(&e, bytes, b->self.sign_pk), SOTTO_OK);
    a->kind = e.kind;
    if (e.kind == KIND_REPLY) {
        assert_int_equal(message_decode(&a->reply, MESSAGE_REPLY, e.body),
                         SOTTO_OK);
        assert_memory_equal(a->reply.nonce, a->nonce, NONCE_SIZE);
        assert_true(a->reply.time_ms > 0);
        return;
    }
    buf_init(&zipped, FRAME_MAX);
    buf_init(&plain, PAYLOAD_MAX);
    assert_int_equal(e.kind, KIND_ENROLLED);
    if (envelope_open(&zipped, &e, b->parts.home->keys))
        assert_int_equal(envelope_open(&zipped, &e, b->stranger), SOTTO_OK);
    assert_int_equal(
        payload_unzip(&plain, span_of(zipped.data, zipped.size), 4096),
        SOTTO_OK);
    assert_int_equal(message_decode(&a->enrolled, MESSAGE_ENROLLED,
                                    span_of(plain.data, plain.size)),
                     SOTTO_OK);
    assert_memory_equal(a->enrolled.nonce, a->nonce, NONCE_SIZE);
    a->enrolled.name = span_of(NULL, 0);
    buf_fini(&zipped);
    buf_fini(&plain);
}

static void answered(void *owner, uint32_t slot, enum sotto_err err,
                     struct span reply)
{
    struct bench *b = owner;
    struct heard *a = &b->answers[slot];

    a->came = true;
    a->err = err;
    if (!err)
        take_answer(b, a, reply);
}

static void open_ingest(struct bench *b)
{
    struct ingest_parts use = {.loop = &b->loop,
                               .address = "tcp://127.0.0.1:0",
                               .dir = b->dir,
                               .key_file = b->key,
                               .keys = b->parts.fixture.aggregator,
                               .self = b->self,
                               .store = b->store,
                               .roster = b->roster,
                               .policies = b->policies,
                               .fresh = &b->fresh,
                               .contexts_max = 64,
                               .intake_bytes = b->intake_bytes,
                               .poll = poll_came,
                               .committed = committed,
                               .enrolled = enrolled,
                               .owner = b};
    struct why why;

    assert_int_equal(ingest_open(&b->ingest, &use, &why), SOTTO_OK);
    assert_int_equal(requester_open(&b->requester, &b->loop,
                                    ingest_address(b->ingest), SLOTS, answered,
                                    b, &why),
                     SOTTO_OK);
    b->open = 2;
}

static void take_agent(struct bench *b, const char *name,
                       const struct keys *keys, struct agent_row **row)
{
    struct enrol request = {.secret = {0}};
    enum refusal refusal;

    assert_int_equal(
        roster_token(b->roster, name, 1, INT64_MAX, request.secret), SOTTO_OK);
    memcpy(request.sign_pk, keys->sign_pk, PK_SIZE);
    memcpy(request.box_pk, keys->box_pk, PK_SIZE);
    assert_int_equal(roster_redeem(b->roster, &request, 1, row, &refusal),
                     SOTTO_OK);
}

/* An agent with a spool of batches of one event each, known to an aggregator
 * that has their policy. */
static struct bench *make_with(unsigned batches, size_t intake_bytes)
{
    static struct bench b;
    const struct policy *policy;
    const struct bundle *officer;
    struct why why = {.text = ""};
    uint32_t count;

    memset(&b, 0, sizeof b);
    b.intake_bytes = intake_bytes;
    parts_make(&b.parts, "tcp://127.0.0.1:1", ROOMY);
    parts_batcher(&b.parts);
    for (unsigned i = 0; i < batches; i++) {
        assert_int_equal(parts_track(&b.parts, i), DROP_NOT);
        assert_int_equal(batcher_turn(b.parts.batcher, true, &count), SOTTO_OK);
    }
    assert_int_equal(keys_make(&b.stranger), SOTTO_OK);
    keys_peer(b.parts.fixture.aggregator, &b.self);
    snprintf(b.dir, sizeof b.dir, "%s/aggregator", b.parts.fixture.dir);
    snprintf(b.key, sizeof b.key, "%s/store.key", b.parts.fixture.dir);
    assert_int_equal(mkdir(b.dir, 0700), 0);
    assert_int_equal(store_create(b.dir, b.key, &why), SOTTO_OK);
    assert_int_equal(store_open(&b.store, b.dir, b.key, &why), SOTTO_OK);
    assert_int_equal(roster_open(&b.roster, b.store), SOTTO_OK);
    assert_int_equal(policies_open(&b.policies, b.store), SOTTO_OK);
    officer = &b.parts.home->officer;
    assert_int_equal(
        policies_add(b.policies,
                     span_of(officer->policy.data, officer->policy.size), 1,
                     &policy, &why),
        SOTTO_OK);
    take_agent(&b, "till", b.parts.home->keys, &b.agent);
    fresh_init(&b.fresh);
    assert_int_equal(uv_loop_init(&b.loop), 0);
    uv_timer_init(&b.loop, &b.tick);
    uv_timer_start(&b.tick, ticked, 5, 5);
    open_ingest(&b);
    return &b;
}

static struct bench *make(unsigned batches)
{
    return make_with(batches, ROOMY);
}

#define UNTIL(b, condition)                                                    \
    do {                                                                       \
        int64_t until_ms = clock_mono_ms(&clock_system) + PATIENCE_MS;         \
        while (!(condition)) {                                                 \
            assert_true(clock_mono_ms(&clock_system) < until_ms);              \
            uv_run(&(b)->loop, UV_RUN_ONCE);                                   \
        }                                                                      \
    } while (0)

static void run_for(struct bench *b, int64_t ms)
{
    int64_t until = clock_mono_ms(&clock_system) + ms;

    UNTIL(b, clock_mono_ms(&clock_system) >= until);
}

static void part_closed(void *owner)
{
    ((struct bench *)owner)->open--;
}

static void close_ingest(struct bench *b)
{
    requester_close(b->requester, part_closed, b);
    ingest_close(b->ingest, part_closed, b);
    UNTIL(b, b->open == 0);
}

static void finish(struct bench *b)
{
    close_ingest(b);
    uv_close((uv_handle_t *)&b->tick, NULL);
    while (uv_run(&b->loop, UV_RUN_ONCE) != 0)
        ;
    assert_int_equal(uv_loop_close(&b->loop), 0);
    fresh_fini(&b->fresh);
    policies_close(b->policies);
    roster_close(b->roster);
    store_close(b->store);
    keys_free(b->stranger);
    parts_free(&b->parts);
}

/* ---- what an agent says ---- */

static void send_bytes(struct bench *b, uint32_t slot, struct span envelope)
{
    struct heard *a = &b->answers[slot];

    memset(a, 0, sizeof *a);
    randombytes_buf(a->nonce, NONCE_SIZE);
    assert_int_equal(requester_send(b->requester, slot,
                                    span_of(a->nonce, NONCE_SIZE), envelope,
                                    PATIENCE_MS),
                     SOTTO_OK);
}

static void send_row(struct bench *b, uint32_t slot, uint64_t sequence)
{
    struct spool_row row;
    struct buf bytes;

    buf_init(&bytes, FRAME_MAX);
    assert_int_equal(spool_get(b->parts.spool, sequence, &row, &bytes),
                     SOTTO_OK);
    send_bytes(b, slot, span_of(bytes.data, bytes.size));
    buf_fini(&bytes);
}

static const struct reply *reply_of(struct bench *b, uint32_t slot)
{
    struct heard *a = &b->answers[slot];

    UNTIL(b, a->came);
    assert_int_equal(a->err, SOTTO_OK);
    assert_int_equal(a->kind, KIND_REPLY);
    return &a->reply;
}

static void assert_reply(struct bench *b, uint32_t slot, enum verdict verdict,
                         enum refusal reason, uint64_t watermark)
{
    const struct reply *r = reply_of(b, slot);

    assert_int_equal(r->verdict, verdict);
    assert_int_equal(r->reason, reason);
    assert_int_equal(r->watermark, watermark);
}

static struct ingest_stats stats_of(const struct bench *b)
{
    struct ingest_stats s;

    ingest_stats(b->ingest, &s);
    return s;
}

/* Another envelope for a place in the spool's stream, by the agent's key. */
static void other(struct bench *b, struct buf *out, uint64_t stream,
                  uint64_t sequence, uint8_t chain[HASH_SIZE], uint32_t kind,
                  struct span payload)
{
    struct envelope head = {
        .kind = kind, .stream = stream, .sequence = sequence};

    memcpy(head.chain, chain, HASH_SIZE);
    if (kind == KIND_BATCH)
        memcpy(head.policy, b->parts.fixture.policy->hash, HASH_SIZE);
    buf_init(out, FRAME_MAX);
    assert_int_equal(
        envelope_write(out, &head, payload, b->parts.home->keys, &b->self),
        SOTTO_OK);
    memcpy(chain, head.chain, HASH_SIZE);
}

static uint64_t stream_of(const struct bench *b)
{
    return spool_state(b->parts.spool)->stream;
}

static enum sotto_err keep_first(void *context, const struct log_stream *s)
{
    struct log_stream *out = context;

    if (out->agent == 0)
        *out = *s;
    return SOTTO_OK;
}

static struct log_stream stored(const struct bench *b)
{
    struct log_stream s = {.agent = 0};

    assert_int_equal(log_stream_each(b->store, keep_first, &s), SOTTO_OK);
    return s;
}

/* ---- the tests ---- */

static void an_acknowledged_batch_is_in_the_log(void **state)
{
    struct bench *b = make(2);
    struct log_chunk chunk;
    struct buf scratch;

    (void)state;
    buf_init(&scratch, 2 * FRAME_MAX);
    send_row(b, 0, 1);
    assert_reply(b, 0, VERDICT_ACK, REFUSAL_NONE, 1);
    assert_true(reply_of(b, 0)->stream == stream_of(b));
    assert_int_equal(reply_of(b, 0)->sequence, 1);
    assert_int_equal(log_read(b->store, 0, &chunk, &scratch), SOTTO_OK);
    assert_int_equal(chunk.events, 1);
    assert_int_equal(chunk.agent, b->agent->number);
    assert_int_equal(stored(b).counters.accepted, 1);
    assert_true(b->agent->seen_ms > 0);
    assert_int_equal(b->committed, 1);
    buf_fini(&scratch);
    finish(b);
}

static void what_is_committed_is_handed_on_as_it_is_in_the_log(void **state)
{
    struct bench *b = make(3);
    struct log_chunk chunk;
    struct buf scratch;
    uint8_t chain[HASH_SIZE] = {0};
    struct buf bad;

    (void)state;
    buf_init(&scratch, 2 * FRAME_MAX);
    other(b, &bad, stream_of(b) + 1, 1, chain, KIND_BATCH, span_text("?"));
    for (uint32_t s = 1; s <= 3; s++)
        send_row(b, s, s);
    for (uint32_t s = 1; s <= 3; s++)
        assert_int_equal(reply_of(b, s)->verdict, VERDICT_ACK);
    send_bytes(b, 0, span_of(bad.data, bad.size));
    assert_reply(b, 0, VERDICT_REFUSED, REFUSAL_UNDECODABLE, 1);
    for (uint64_t n = 0; n < 3; n++) {
        struct fresh *f = fresh_take(&b->fresh, n);

        assert_non_null(f);
        assert_int_equal(log_read(b->store, n, &chunk, &scratch), SOTTO_OK);
        assert_int_equal(f->chunk.number, chunk.number);
        assert_int_equal(f->chunk.agent, chunk.agent);
        assert_true(f->chunk.stream == chunk.stream);
        assert_int_equal(f->chunk.sequence, chunk.sequence);
        assert_int_equal(f->chunk.kind, chunk.kind);
        assert_memory_equal(f->chunk.policy, chunk.policy, HASH_SIZE);
        assert_int_equal(f->chunk.events, chunk.events);
        assert_true(f->chunk.received_ms == chunk.received_ms);
        assert_memory_equal(f->policy->hash, chunk.policy, HASH_SIZE);
        assert_int_equal(batch_view_count(f->batch), 1);
        fresh_free(f);
    }
    assert_null(b->fresh.first); /* what was refused is no chunk */
    buf_fini(&bad);
    buf_fini(&scratch);
    finish(b);
}

static void early_batches_are_put_in_order(void **state)
{
    struct bench *b = make(9);
    struct log_chunk chunk;
    struct buf scratch;

    (void)state;
    buf_init(&scratch, 2 * FRAME_MAX);
    for (uint32_t s = 9; s >= 2; s--)
        send_row(b, s, s);
    /* 9 is nine places ahead: a gap. */
    assert_reply(b, 9, VERDICT_RETRY, REFUSAL_GAP, 0);
    UNTIL(b, stats_of(b).early == 7);
    send_row(b, 1, 1);
    for (uint32_t s = 1; s <= 8; s++)
        assert_int_equal(reply_of(b, s)->verdict, VERDICT_ACK);
    for (uint64_t n = 0; n < 8; n++) {
        assert_int_equal(log_read(b->store, n, &chunk, &scratch), SOTTO_OK);
        assert_int_equal(chunk.sequence, n + 1);
    }
    assert_int_equal(log_last(b->store), 8);
    buf_fini(&scratch);
    finish(b);
}

static void an_early_batch_is_let_go_when_nothing_comes_before_it(void **state)
{
    struct bench *b = make(3);
    int64_t began = clock_mono_ms(&clock_system);

    (void)state;
    send_row(b, 0, 3);
    assert_reply(b, 0, VERDICT_RETRY, REFUSAL_GAP, 0);
    assert_true(clock_mono_ms(&clock_system) - began >= WATERMARK_HOLD_MS);
    finish(b);
}

/* The one that is held early takes all the room there is, until it is let go;
 * then there is room again. */
static void beyond_its_room_it_says_come_later(void **state)
{
    struct bench *b = make_with(2, 1);

    (void)state;
    send_row(b, 0, 2);
    UNTIL(b, stats_of(b).early == 1);
    send_row(b, 1, 1);
    assert_reply(b, 1, VERDICT_RETRY, REFUSAL_BUSY, 0);
    assert_in_range(reply_of(b, 1)->wait_ms, 100, 1000);
    assert_int_equal(stats_of(b).refused[REFUSAL_BUSY], 1);
    assert_reply(b, 0, VERDICT_RETRY, REFUSAL_GAP, 0);
    assert_int_equal(log_last(b->store), 0);
    for (uint32_t s = 1; s <= 2; s++) {
        send_row(b, s, s);
        assert_reply(b, s, VERDICT_ACK, REFUSAL_NONE, s);
    }
    finish(b);
}

static void a_duplicate_is_acknowledged_again_and_kept_once(void **state)
{
    struct bench *b = make(2);

    (void)state;
    send_row(b, 0, 1);
    send_row(b, 1, 1); /* its twin may be under way */
    assert_reply(b, 0, VERDICT_ACK, REFUSAL_NONE, 1);
    assert_reply(b, 1, VERDICT_ACK, REFUSAL_NONE, 1);
    send_row(b, 2, 2);
    assert_reply(b, 2, VERDICT_ACK, REFUSAL_NONE, 2);
    send_row(b, 3, 1);
    assert_reply(b, 3, VERDICT_ACK, REFUSAL_NONE, 2);
    assert_int_equal(stats_of(b).duplicates, 2);
    assert_int_equal(log_last(b->store), 2);
    finish(b);
}

static void another_history_is_a_fork(void **state)
{
    struct bench *b = make(2);
    uint8_t chain[HASH_SIZE] = {0};
    uint8_t who[16] = {1};
    struct buf one, two;

    (void)state;
    other(b, &one, stream_of(b), 1, chain, KIND_FORGET, span_of(who, 16));
    other(b, &two, stream_of(b), 2, chain, KIND_FORGET, span_of(who, 16));
    send_row(b, 0, 1);
    assert_reply(b, 0, VERDICT_ACK, REFUSAL_NONE, 1);
    send_bytes(b, 1, span_of(one.data, one.size));
    assert_reply(b, 1, VERDICT_FORK, REFUSAL_NONE, 0);
    send_bytes(b, 2, span_of(two.data, two.size));
    assert_reply(b, 2, VERDICT_FORK, REFUSAL_NONE, 1);
    assert_int_equal(stats_of(b).forks, 2);
    assert_int_equal(log_last(b->store), 1);
    buf_fini(&one);
    buf_fini(&two);
    finish(b);
}

/* Two copies of one agent send at the same moment: while the first is being
 * committed, the second is still another history. */
static void a_fork_is_seen_before_the_commit_too(void **state)
{
    struct bench *b = make(0);
    uint8_t who[16] = {1};

    (void)state;
    for (uint64_t stream = 1; stream <= 20; stream++) {
        uint8_t chain_a[HASH_SIZE] = {0}, chain_b[HASH_SIZE] = {0};
        struct buf a, c;

        other(b, &a, stream, 1, chain_a, KIND_FORGET, span_of(who, 16));
        other(b, &c, stream, 1, chain_b, KIND_FORGET, span_of(who, 16));
        send_bytes(b, 0, span_of(a.data, a.size));
        send_bytes(b, 1, span_of(c.data, c.size));
        assert_int_equal(reply_of(b, 0)->verdict + reply_of(b, 1)->verdict,
                         VERDICT_ACK + VERDICT_FORK);
        buf_fini(&a);
        buf_fini(&c);
    }
    finish(b);
}

static void what_a_stranger_sealed_is_committed_as_refused(void **state)
{
    struct bench *b = make(0);
    struct envelope head = {
        .kind = KIND_BATCH, .stream = stream_of(b), .sequence = 1};
    uint8_t chain[HASH_SIZE] = {0};
    struct buf bytes, signed_again;
    uint8_t *at;
    struct log_chunk chunk;
    struct buf scratch;

    (void)state;
    buf_init(&bytes, FRAME_MAX);
    buf_init(&signed_again, FRAME_MAX);
    buf_init(&scratch, 2 * FRAME_MAX);
    memcpy(head.policy, b->parts.fixture.policy->hash, HASH_SIZE);
    assert_int_equal(envelope_write(&bytes, &head, span_text("stolen"),
                                    b->stranger, &b->self),
                     SOTTO_OK);
    at = memmem(bytes.data, bytes.size, b->stranger->sign_id, KEY_ID_SIZE);
    assert_non_null(at);
    memcpy(at, b->parts.home->keys->sign_id, KEY_ID_SIZE);
    assert_int_equal(
        envelope_rewrite(&signed_again, span_of(bytes.data, bytes.size),
                         stream_of(b), 1, chain, b->parts.home->keys),
        SOTTO_OK);
    send_bytes(b, 0, span_of(signed_again.data, signed_again.size));
    assert_reply(b, 0, VERDICT_REFUSED, REFUSAL_WRONG_SENDER, 1);
    assert_int_equal(stored(b).watermark, 1);
    assert_int_equal(stored(b).refused_batches, 1);
    assert_int_equal(log_read(b->store, 0, &chunk, &scratch), SOTTO_ENOTFOUND);
    buf_fini(&bytes);
    buf_fini(&signed_again);
    buf_fini(&scratch);
    finish(b);
}

static void what_cannot_be_read_is_refused_and_the_next_is_taken(void **state)
{
    struct bench *b = make(0);
    uint8_t chain[HASH_SIZE] = {0}, who[16] = {3};
    struct buf bytes;

    (void)state;
    other(b, &bytes, 5, 1, chain, KIND_BATCH, span_text("no batch"));
    send_bytes(b, 0, span_of(bytes.data, bytes.size));
    assert_reply(b, 0, VERDICT_REFUSED, REFUSAL_UNDECODABLE, 1);
    buf_fini(&bytes);
    other(b, &bytes, 5, 2, chain, KIND_FORGET, span_of(who, 16));
    send_bytes(b, 0, span_of(bytes.data, bytes.size));
    assert_reply(b, 0, VERDICT_ACK, REFUSAL_NONE, 2);
    buf_fini(&bytes);
    other(b, &bytes, 5, 3, chain, KIND_FORGET, span_of(who, 15));
    send_bytes(b, 0, span_of(bytes.data, bytes.size));
    assert_reply(b, 0, VERDICT_REFUSED, REFUSAL_UNDECODABLE, 3);
    buf_fini(&bytes);
    assert_int_equal(stored(b).refused_batches, 2);
    finish(b);
}

static void a_void_takes_its_place(void **state)
{
    struct bench *b = make(2);
    uint8_t chain[HASH_SIZE] = {0};
    struct spool_row row;
    struct buf bytes, empty;

    (void)state;
    buf_init(&bytes, FRAME_MAX);
    buf_init(&empty, FRAME_MAX);
    assert_int_equal(spool_get(b->parts.spool, 1, &row, &bytes), SOTTO_OK);
    assert_int_equal(envelope_void(&empty, span_of(bytes.data, bytes.size),
                                   stream_of(b), 1, chain, 1, "expired",
                                   b->parts.home->keys),
                     SOTTO_OK);
    send_bytes(b, 0, span_of(empty.data, empty.size));
    assert_reply(b, 0, VERDICT_ACK, REFUSAL_NONE, 1);
    assert_int_equal(stored(b).voided_events, 1);
    assert_int_equal(stored(b).events, 0);
    buf_fini(&bytes);
    buf_fini(&empty);
    finish(b);
}

static void a_batch_of_an_unknown_policy_waits(void **state)
{
    struct bench *b = make(1);
    struct waiting_policy waiting[WAITING_MAX];
    const struct policy *second;
    struct policyset *set = &b->parts.policies;
    struct buf container;
    uint32_t number, count;
    struct why why;

    (void)state;
    parts_policy(&b->parts, &container, 2, NULL);
    assert_int_equal(
        policyset_add(set, span_of(container.data, container.size), &why),
        SOTTO_OK);
    second = policyset_current(set, &number);
    assert_int_equal(take_policy(&b->parts.take, second, number), SOTTO_OK);
    assert_int_equal(parts_track(&b->parts, 1), DROP_NOT);
    assert_int_equal(batcher_turn(b->parts.batcher, true, &count), SOTTO_OK);
    send_row(b, 0, 1);
    assert_reply(b, 0, VERDICT_ACK, REFUSAL_NONE, 1);
    for (int i = 0; i < 2; i++) {
        send_row(b, 0, 2);
        assert_reply(b, 0, VERDICT_RETRY, REFUSAL_UNKNOWN_POLICY, 1);
        assert_true(reply_of(b, 0)->wait_ms > 0);
        assert_int_equal(ingest_waiting(b->ingest, waiting), 1);
        assert_memory_equal(waiting[0].hash, second->hash, HASH_SIZE);
    }
    assert_int_equal(policies_add(b->policies,
                                  span_of(container.data, container.size), 2,
                                  &second, &why),
                     SOTTO_OK);
    ingest_policy_added(b->ingest, second->hash);
    assert_int_equal(ingest_waiting(b->ingest, waiting), 0);
    send_row(b, 0, 2);
    assert_reply(b, 0, VERDICT_ACK, REFUSAL_NONE, 2);
    buf_fini(&container);
    finish(b);
}

/* Bytes a file may grow to; 0: as if the disk were full. */
static void set_file_limit(rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_failed_commit_acknowledges_nothing(void **state)
{
    struct bench *b = make(3);

    (void)state;
    send_row(b, 0, 1);
    assert_reply(b, 0, VERDICT_ACK, REFUSAL_NONE, 1);
    set_file_limit(0);
    for (int i = 0; i < 3; i++) {
        send_row(b, 0, 2);
        send_row(b, 1, 3);
        send_row(b, 2, 2);
        assert_reply(b, 0, VERDICT_RETRY, REFUSAL_BUSY, 1);
        assert_reply(b, 2, VERDICT_RETRY, REFUSAL_BUSY, 1);
        assert_int_equal(reply_of(b, 1)->verdict, VERDICT_RETRY);
        assert_int_equal(reply_of(b, 1)->watermark, 1);
    }
    assert_true(stats_of(b).commit_failures >= 3);
    assert_int_equal(log_last(b->store), 1);
    set_file_limit(RLIM_INFINITY);
    send_row(b, 0, 2);
    send_row(b, 1, 3);
    assert_int_equal(reply_of(b, 0)->verdict, VERDICT_ACK);
    assert_reply(b, 1, VERDICT_ACK, REFUSAL_NONE, 3);
    assert_int_equal(log_last(b->store), 3);
    finish(b);
}

static void goes_on_where_the_log_stands_after_a_restart(void **state)
{
    struct bench *b = make(3);

    (void)state;
    send_row(b, 0, 1);
    assert_reply(b, 0, VERDICT_ACK, REFUSAL_NONE, 1);
    close_ingest(b);
    open_ingest(b);
    send_row(b, 0, 1);
    assert_reply(b, 0, VERDICT_ACK, REFUSAL_NONE, 1);
    assert_int_equal(stats_of(b).duplicates, 1);
    send_row(b, 0, 2);
    assert_reply(b, 0, VERDICT_ACK, REFUSAL_NONE, 2);
    assert_int_equal(log_last(b->store), 2);
    finish(b);
}

static void nobody_answers_what_is_not_signed_by_an_agent(void **state)
{
    struct bench *b = make(1);
    uint8_t chain[HASH_SIZE] = {0}, who[16] = {0};
    struct envelope head = {.kind = KIND_FORGET, .stream = 1, .sequence = 1};
    struct buf bytes;

    (void)state;
    other(b, &bytes, 1, 1, chain, KIND_FORGET, span_of(who, 16));
    bytes.data[bytes.size - 1] ^= 1; /* of the signature */
    send_bytes(b, 0, span_of(bytes.data, bytes.size));
    UNTIL(b, stats_of(b).bad_signatures == 1);
    assert_int_equal(
        envelope_write(&bytes, &head, span_of(who, 16), b->stranger, &b->self),
        SOTTO_OK);
    send_bytes(b, 1, span_of(bytes.data, bytes.size));
    UNTIL(b, stats_of(b).refused[REFUSAL_UNKNOWN_AGENT] == 1);
    run_for(b, 50);
    assert_false(b->answers[0].came || b->answers[1].came);
    assert_int_equal(log_last(b->store), 0);
    buf_fini(&bytes);
    finish(b);
}

static void send_enrol(struct bench *b, uint32_t slot, const uint8_t secret[32],
                       const struct keys *keys)
{
    struct envelope head = {.kind = KIND_ENROL};
    struct enrol request = {.secret = {0}};
    struct buf body, out;

    memcpy(request.secret, secret, 32);
    memcpy(request.sign_pk, keys->sign_pk, PK_SIZE);
    memcpy(request.box_pk, keys->box_pk, PK_SIZE);
    buf_init(&body, 4096);
    buf_init(&out, FRAME_MAX);
    assert_int_equal(message_encode(&body, MESSAGE_ENROL, &request), SOTTO_OK);
    assert_int_equal(envelope_write(&out, &head, span_of(body.data, body.size),
                                    keys, &b->self),
                     SOTTO_OK);
    send_bytes(b, slot, span_of(out.data, out.size));
    UNTIL(b, b->answers[slot].came);
    assert_int_equal(b->answers[slot].kind, KIND_ENROLLED);
    buf_fini(&body);
    buf_fini(&out);
}

static void a_token_makes_one_agent(void **state)
{
    struct bench *b = make(0);
    uint8_t secret[32];
    struct keys *third;

    (void)state;
    assert_int_equal(keys_make(&third), SOTTO_OK);
    assert_int_equal(roster_token(b->roster, "door", 1, INT64_MAX, secret),
                     SOTTO_OK);
    for (int again = 0; again < 2; again++) { /* a lost reply */
        send_enrol(b, 0, secret, b->stranger);
        assert_int_equal(b->answers[0].enrolled.reason, REFUSAL_NONE);
        assert_memory_equal(b->answers[0].enrolled.agent, b->stranger->sign_id,
                            KEY_ID_SIZE);
    }
    assert_int_equal(roster_count(b->roster), 2);
    assert_int_equal(b->enrolments, 2);
    keys_free(b->stranger); /* the answer goes to the third */
    b->stranger = third;
    send_enrol(b, 0, secret, third);
    assert_int_equal(b->answers[0].enrolled.reason, REFUSAL_TOKEN_SPENT);
    secret[0] ^= 1;
    send_enrol(b, 0, secret, third);
    assert_int_equal(b->answers[0].enrolled.reason, REFUSAL_TOKEN_UNKNOWN);
    assert_int_equal(roster_count(b->roster), 2);
    assert_int_equal(b->enrolments, 2);
    finish(b);
}

static void send_poll(struct bench *b, uint64_t sequence,
                      const uint8_t chain[HASH_SIZE])
{
    struct poll poll = {.applied = 17, .spooled_events = 4};
    struct envelope head = {.kind = KIND_POLL,
                            .stream = sequence ? stream_of(b) : 0,
                            .sequence = sequence};
    struct buf body, out;

    buf_init(&body, 4096);
    buf_init(&out, FRAME_MAX);
    memcpy(head.chain, chain, HASH_SIZE);
    assert_int_equal(message_encode(&body, MESSAGE_POLL, &poll), SOTTO_OK);
    assert_int_equal(envelope_write(&out, &head, span_of(body.data, body.size),
                                    b->parts.home->keys, &b->self),
                     SOTTO_OK);
    send_bytes(b, 0, span_of(out.data, out.size));
    buf_fini(&body);
    buf_fini(&out);
}

static void a_poll_is_handed_to_its_owner(void **state)
{
    static const uint8_t none[HASH_SIZE];
    struct bench *b = make(0);

    (void)state;
    send_poll(b, 0, none);
    assert_reply(b, 0, VERDICT_ACK, REFUSAL_NONE, 0);
    assert_int_equal(b->polls, 1);
    assert_int_equal(b->poll.applied, 17);
    finish(b);
}

/* It says what its sender takes for acknowledged, and with which chain. */
static void a_poll_shows_who_was_restored(void **state)
{
    struct bench *b = make(2);
    struct spool_row row;
    struct buf bytes;

    (void)state;
    buf_init(&bytes, FRAME_MAX);
    assert_int_equal(spool_get(b->parts.spool, 1, &row, &bytes), SOTTO_OK);
    send_row(b, 0, 1);
    assert_reply(b, 0, VERDICT_ACK, REFUSAL_NONE, 1);
    send_poll(b, 1, row.chain);
    assert_reply(b, 0, VERDICT_ACK, REFUSAL_NONE, 0);
    assert_int_equal(b->polls, 1);
    row.chain[0] ^= 1;
    send_poll(b, 1, row.chain);
    assert_reply(b, 0, VERDICT_FORK, REFUSAL_NONE, 0);
    send_poll(b, 2, row.chain);
    assert_reply(b, 0, VERDICT_RETRY, REFUSAL_GAP, 1);
    assert_int_equal(b->polls, 1);
    buf_fini(&bytes);
    finish(b);
}

static void closing_with_requests_under_way_leaks_nothing(void **state)
{
    struct bench *b = make(9);

    (void)state;
    for (uint32_t s = 2; s <= 8; s++)
        send_row(b, s, s);
    UNTIL(b, stats_of(b).early == 7);
    send_row(b, 0, 1);
    send_row(b, 9, 9);
    finish(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_acknowledged_batch_is_in_the_log),
        cmocka_unit_test(what_is_committed_is_handed_on_as_it_is_in_the_log),
        cmocka_unit_test(early_batches_are_put_in_order),
        cmocka_unit_test(an_early_batch_is_let_go_when_nothing_comes_before_it),
        cmocka_unit_test(beyond_its_room_it_says_come_later),
        cmocka_unit_test(a_duplicate_is_acknowledged_again_and_kept_once),
        cmocka_unit_test(another_history_is_a_fork),
        cmocka_unit_test(a_fork_is_seen_before_the_commit_too),
        cmocka_unit_test(what_a_stranger_sealed_is_committed_as_refused),
        cmocka_unit_test(what_cannot_be_read_is_refused_and_the_next_is_taken),
        cmocka_unit_test(a_void_takes_its_place),
        cmocka_unit_test(a_batch_of_an_unknown_policy_waits),
        cmocka_unit_test(a_failed_commit_acknowledges_nothing),
        cmocka_unit_test(goes_on_where_the_log_stands_after_a_restart),
        cmocka_unit_test(nobody_answers_what_is_not_signed_by_an_agent),
        cmocka_unit_test(a_token_makes_one_agent),
        cmocka_unit_test(a_poll_is_handed_to_its_owner),
        cmocka_unit_test(a_poll_shows_who_was_restored),
        cmocka_unit_test(closing_with_requests_under_way_leaks_nothing),
    };

    signal(SIGXFSZ, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
