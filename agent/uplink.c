/* See uplink.h. Slots 0..WINDOW-1 carry the stream (slot 0 the enrolment
 * before), slot WINDOW the poll. */
#include "agent/uplink.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "delivery/stream.h"
#include "link/backoff.h"
#include "link/request.h"

#define WINDOW STREAM_WINDOW_MAX
#define SLOT_POLL WINDOW
#define SLOTS (WINDOW + 1)
#define REQUEST_TIMEOUT_MS 30000
#define POLL_WAIT_MAX_MS (3600 * 1000)
#define POLL_TIMEOUT_MS 90000 /* the aggregator parks for a minute at most */

struct uplink {
    struct uplink_parts use;
    struct requester *requester;
    struct stream stream;
    struct backoff backoff, poll_backoff, spool_backoff;
    uv_timer_t timer;
    enum uplink_state state;
    struct {
        uint8_t nonce[NONCE_SIZE];
        uint64_t sequence; /* 0: none */
    } slots[SLOTS];
    int64_t poll_after_ms, enrol_after_ms; /* monotonic */
    bool resync;
    struct buf frame, payload, plain;
    struct uplink_stats stats;
    bool closing;
    void (*closed)(void *owner);
    void *closed_owner;
    int handles;
};

static int64_t mono(void)
{
    return clock_mono_ms(&clock_system);
}

static void schedule(struct uplink *u);

static bool acks_due(const struct uplink *u)
{
    return spool_state(u->use.spool)->acked < u->stream.acked;
}

/* ---- checking replies ---- */

/* An envelope from the aggregator to us, of kind, rightly signed. */
static enum sotto_err check_envelope(struct uplink *u, struct span bytes,
                                     struct envelope *e)
{
    const struct home *h = u->use.home;
    enum sotto_err err = envelope_parse(e, bytes);

    if (!err && (memcmp(e->sender, h->aggregator.sign_id, KEY_ID_SIZE) != 0 ||
                 memcmp(e->recipient, h->keys->box_id, KEY_ID_SIZE) != 0))
        err = SOTTO_ECRYPTO;
    if (!err)
        err = envelope_verify(e, bytes, h->aggregator.sign_pk);
    return err;
}

static void forged(struct uplink *u)
{
    u->stats.forged++;
    log_warn("uplink", "a reply is not from the aggregator of our token; "
                       "ignored, asking again");
}

static enum sotto_err open_payload(struct uplink *u, const struct envelope *e)
{
    enum sotto_err err = envelope_open(&u->payload, e, u->use.home->keys);

    if (!err)
        err = payload_unzip(
            &u->plain, span_of(u->payload.data, u->payload.size), PAYLOAD_MAX);
    return err;
}

static bool nonce_matches(const struct uplink *u, uint32_t slot,
                          const uint8_t nonce[NONCE_SIZE])
{
    return sodium_memcmp(u->slots[slot].nonce, nonce, NONCE_SIZE) == 0;
}

/* ---- sending ---- */

static enum sotto_err send_frame(struct uplink *u, uint32_t slot,
                                 struct span envelope, int64_t timeout_ms)
{
    randombytes_buf(u->slots[slot].nonce, NONCE_SIZE);
    return requester_send(u->requester, slot,
                          span_of(u->slots[slot].nonce, NONCE_SIZE), envelope,
                          timeout_ms);
}

static void send_enrol(struct uplink *u)
{
    const struct home *h = u->use.home;
    struct enrol request = {0};
    struct envelope head = {.kind = KIND_ENROL};
    enum sotto_err err;

    if (requester_busy(u->requester, 0) || mono() < u->enrol_after_ms)
        return;
    memcpy(request.secret, h->secret, 32);
    memcpy(request.sign_pk, h->keys->sign_pk, PK_SIZE);
    memcpy(request.box_pk, h->keys->box_pk, PK_SIZE);
    buf_clear(&u->plain);
    err = message_encode(&u->plain, MESSAGE_ENROL, &request);
    if (!err)
        err = envelope_write(&u->frame, &head,
                             span_of(u->plain.data, u->plain.size), h->keys,
                             &h->aggregator);
    sodium_memzero(&request, sizeof request);
    sodium_memzero(u->plain.data, u->plain.size);
    if (!err)
        err = send_frame(u, 0, span_of(u->frame.data, u->frame.size),
                         REQUEST_TIMEOUT_MS);
    if (err)
        log_error("uplink", "enrolment not sent: %s", err_text(err));
}

static void send_poll(struct uplink *u)
{
    const struct spool_state *state = spool_state(u->use.spool);
    struct poll poll = {.applied = u->use.applied(u->use.owner),
                        .resync = u->resync,
                        .spooled_events = state->waiting_events,
                        .spooled_bytes = state->waiting_bytes};
    struct envelope head = {.kind = KIND_POLL, /* what we take for committed */
                            .stream = state->stream,
                            .sequence = state->acked};
    enum sotto_err err;

    if (requester_busy(u->requester, SLOT_POLL) || mono() < u->poll_after_ms)
        return;
    memcpy(head.chain, state->acked_chain, HASH_SIZE);
    buf_clear(&u->plain);
    err = message_encode(&u->plain, MESSAGE_POLL, &poll);
    if (!err)
        err = envelope_write(&u->frame, &head,
                             span_of(u->plain.data, u->plain.size),
                             u->use.home->keys, &u->use.home->aggregator);
    if (!err)
        err = send_frame(u, SLOT_POLL, span_of(u->frame.data, u->frame.size),
                         POLL_TIMEOUT_MS);
    if (err)
        u->poll_after_ms = mono() + 1000;
}

/* The envelope is what we signed for its place: a disk changes bytes. */
static bool is_ours(const struct uplink *u, struct span bytes,
                    uint64_t sequence)
{
    struct envelope e;

    return !envelope_parse(&e, bytes) && e.sequence == sequence &&
           e.stream == spool_state(u->use.spool)->stream &&
           !envelope_verify(&e, bytes, u->use.home->keys->sign_pk);
}

/* What stands in the spool, or, where that was damaged, the question whether
 * the aggregator has it already (see envelope_lost). */
static enum sotto_err frame_fill(struct uplink *u, uint64_t sequence)
{
    struct spool_row row;
    enum sotto_err err = spool_get(u->use.spool, sequence, &row, &u->frame);

    if (err && err != SOTTO_EDECODE)
        return err;
    if (!err && is_ours(u, span_of(u->frame.data, u->frame.size), sequence))
        return SOTTO_OK;
    u->stats.damaged++;
    log_error("uplink",
              "sequence %llu was damaged on the disk; asking whether the "
              "aggregator has it, else its %u events are lost and counted",
              (unsigned long long)sequence, (unsigned)row.events);
    return envelope_lost(&u->frame, row.stream, sequence, row.chain, row.events,
                         u->use.home->keys, &u->use.home->aggregator);
}

static void send_stream(struct uplink *u)
{
    stream_added(&u->stream, spool_state(u->use.spool)->next_sequence);
    for (uint32_t slot = 0; slot < WINDOW; slot++) {
        uint64_t sequence;
        enum sotto_err err;

        if (requester_busy(u->requester, slot))
            continue;
        sequence = stream_next(&u->stream, mono());
        if (sequence == 0)
            return;
        err = frame_fill(u, sequence);
        if (!err) {
            u->slots[slot].sequence = sequence;
            err = send_frame(u, slot, span_of(u->frame.data, u->frame.size),
                             REQUEST_TIMEOUT_MS);
        }
        if (err) {
            log_error("uplink", "sequence %llu cannot be sent: %s",
                      (unsigned long long)sequence, err_text(err));
            stream_failed(&u->stream, sequence, mono(), 1000);
            return;
        }
        u->stats.sent++;
    }
}

void uplink_kick(struct uplink *u)
{
    if (u->closing)
        return;
    if (u->state == UPLINK_ENROLLING)
        send_enrol(u);
    if (u->state == UPLINK_READY) {
        send_stream(u);
        send_poll(u);
    }
    schedule(u);
}

/* ---- replies ---- */

/* A lost connection fails all that was under way: one failure, not eight. */
static int64_t stream_delay(struct uplink *u)
{
    return u->stream.wait_until_ms > mono()
               ? 0 /* it waits already */
               : backoff_next(&u->backoff, randombytes_random());
}

static void enrolled(struct uplink *u, struct span bytes)
{
    struct enrolled cert;
    struct envelope e;

    if (check_envelope(u, bytes, &e) || e.kind != KIND_ENROLLED ||
        open_payload(u, &e) ||
        message_decode(&cert, MESSAGE_ENROLLED,
                       span_of(u->plain.data, u->plain.size)) ||
        !nonce_matches(u, 0, cert.nonce)) {
        forged(u);
        u->enrol_after_ms =
            mono() + backoff_next(&u->backoff, randombytes_random());
        return;
    }
    u->use.time(u->use.owner, cert.time_ms);
    if (cert.reason == REFUSAL_BUSY) {
        u->enrol_after_ms =
            mono() + backoff_next(&u->backoff, randombytes_random());
    } else if (cert.reason) {
        u->state = UPLINK_REFUSED;
        u->stats.refusal = (uint32_t)cert.reason;
        log_error("uplink", "enrolment refused: %s",
                  refusal_text((uint32_t)cert.reason));
    } else if (home_enrolled(u->use.home, bytes) == SOTTO_OK) {
        u->state = UPLINK_READY;
        backoff_reset(&u->backoff);
        log_info("uplink", "enrolled as \"%.*s\"", (int)cert.name.size,
                 (const char *)cert.name.data);
    } else {
        log_error("uplink", "the certificate could not be written; the disk "
                            "of the data directory is full or read-only");
        u->enrol_after_ms =
            mono() + backoff_next(&u->backoff, randombytes_random());
    }
    u->use.changed(u->use.owner);
}

struct move { /* of rows to a new stream, dense and in order */
    struct uplink *uplink;
    uint64_t before; /* sequence of the row before the first, in the old one */
};

/* A void in the place of a row that cannot be read. */
static enum sotto_err void_on(const struct move *m, struct buf *out,
                              struct envelope *head)
{
    struct uplink *u = m->uplink;
    struct void_body body = {.reason = span_text("damaged")};
    struct spool_row row;
    enum sotto_err err =
        spool_get(u->use.spool, m->before + head->sequence, &row, &u->plain);

    if (err && err != SOTTO_EDECODE)
        return err;
    hash_bytes(body.body_hash, span_of(u->plain.data, u->plain.size),
               span_of(NULL, 0));
    body.events = row.events;
    buf_clear(&u->plain);
    err = message_encode(&u->plain, MESSAGE_VOID, &body);
    return err ? err
               : envelope_write(out, head,
                                span_of(u->plain.data, u->plain.size),
                                u->use.home->keys, &u->use.home->aggregator);
}

static enum sotto_err rewrite_on(void *context, struct buf *out,
                                 struct span envelope, uint64_t stream,
                                 uint64_t sequence, uint8_t chain[HASH_SIZE])
{
    const struct move *m = context;
    struct envelope head = {
        .kind = KIND_VOID, .stream = stream, .sequence = sequence};
    enum sotto_err err;

    if (is_ours(m->uplink, envelope, m->before + sequence))
        return envelope_rewrite(out, envelope, stream, sequence, chain,
                                m->uplink->use.home->keys);
    memcpy(head.chain, chain, HASH_SIZE);
    err = void_on(m, out, &head);
    if (!err)
        memcpy(chain, head.chain, HASH_SIZE);
    return err;
}

/* Begins again where the spool stands. After an error it waits: a full disk
 * must not make every answer ask again at once. */
static void restart_stream(struct uplink *u, enum sotto_err err)
{
    const struct spool_state *state = spool_state(u->use.spool);

    stream_init(&u->stream, state->stream, state->acked, state->next_sequence,
                WINDOW);
    if (err) /* nor every poll */
        u->poll_after_ms = u->stream.wait_until_ms =
            mono() + backoff_next(&u->spool_backoff, randombytes_random());
    else
        backoff_reset(&u->spool_backoff);
}

/* What the spool did not write is asked for again: else nothing would tell it
 * until the next envelope. */
static void not_written(struct uplink *u, enum sotto_err err)
{
    log_error("uplink",
              "the spool did not take an acknowledgement: %s; asking again",
              err_text(err));
    restart_stream(u, err);
}

/* Acknowledgements of one moment are written together: each is a flush. */
static enum sotto_err write_acks(struct uplink *u)
{
    enum sotto_err err = SOTTO_OK;

    if (acks_due(u))
        err =
            spool_ack(u->use.spool, u->stream.acked, u->use.now(u->use.owner));
    u->stats.acknowledged = spool_state(u->use.spool)->acked;
    if (err)
        not_written(u, err);
    return err;
}

/* Which was the last common sequence nobody knows for sure: both sides may have
 * been restored. So all that is kept goes along. */
static void new_stream(struct uplink *u)
{
    struct move move = {u, spool_first(u->use.spool) - 1};
    const struct spool_rewrite rewrite = {rewrite_on, &move};
    uint64_t stream;
    enum sotto_err err;

    do
        randombytes_buf(&stream, sizeof stream);
    while (stream == 0);
    u->stats.forks++;
    log_warn("uplink",
             "going on as a new stream after sequence %llu: one side was "
             "restored or copied, and envelopes are missing or differ",
             (unsigned long long)u->stream.acked);
    err = spool_fork(u->use.spool, stream, &rewrite);
    if (err)
        log_error("uplink", "new stream: %s; trying again", err_text(err));
    restart_stream(u, err);
}

static void rewind_to(struct uplink *u, uint64_t watermark)
{
    uint64_t missing = 0;
    enum sotto_err err = spool_rewind(u->use.spool, watermark, &missing);

    u->stats.rewinds++;
    if (err) {
        log_error("uplink", "replay: %s; trying again", err_text(err));
        restart_stream(u, err);
        return;
    }
    u->stats.missing += missing;
    if (missing > 0) { /* what follows cannot join on: another stream */
        new_stream(u);
        return;
    }
    log_warn("uplink",
             "the aggregator was restored to sequence %llu: replaying",
             (unsigned long long)watermark);
    restart_stream(u, SOTTO_OK);
}

static void act(struct uplink *u, uint64_t sequence, const struct reply *r)
{
    const struct stream_reply reply = {.verdict = (uint32_t)r->verdict,
                                       .stream = r->stream,
                                       .sequence = r->sequence,
                                       .watermark = r->watermark,
                                       .wait_ms = (int64_t)r->wait_ms};
    enum sotto_err err;

    u->stats.waiting_for =
        r->verdict == VERDICT_RETRY ? (uint32_t)r->reason : 0;
    u->stats.retries += r->verdict == VERDICT_RETRY;
    switch (stream_replied(&u->stream, sequence, &reply, mono())) {
    case STREAM_REWIND:
        if (!write_acks(u))
            rewind_to(u, r->watermark);
        break;
    case STREAM_FORK:
        if (!write_acks(u))
            new_stream(u);
        break;
    case STREAM_REFUSED:
        u->stats.refused++;
        log_warn("uplink", "sequence %llu refused: %s",
                 (unsigned long long)sequence,
                 refusal_text((uint32_t)r->reason));
        err = spool_refused(u->use.spool, sequence,
                            refusal_name((uint32_t)r->reason),
                            u->use.now(u->use.owner));
        if (err)
            not_written(u, err);
        break;
    case STREAM_ACK: /* written in a moment, see schedule() */
    case STREAM_NOTHING:
        break;
    }
    u->use.changed(u->use.owner);
}

static void stream_reply_came(struct uplink *u, uint32_t slot,
                              struct span bytes)
{
    uint64_t sequence = u->slots[slot].sequence;
    struct envelope e;
    struct reply r;

    if (check_envelope(u, bytes, &e) || e.kind != KIND_REPLY ||
        message_decode(&r, MESSAGE_REPLY, e.body) ||
        !nonce_matches(u, slot, r.nonce) || r.sequence != sequence) {
        forged(u);
        stream_failed(&u->stream, sequence, mono(), stream_delay(u));
        return;
    }
    backoff_reset(&u->backoff);
    u->use.time(u->use.owner, r.time_ms);
    act(u, sequence, &r);
}

static enum sotto_err count_only(void *context, const struct document *d)
{
    (void)context;
    (void)d;
    return SOTTO_OK;
}

/* Behind what it acknowledged, or with another history there: restored, and we
 * may be idle. */
static void poll_restored(struct uplink *u, const struct reply *r)
{
    bool behind = r->verdict == VERDICT_RETRY && r->watermark < r->sequence;

    if (r->stream != u->stream.id || r->sequence > u->stream.acked ||
        (!behind && r->verdict != VERDICT_FORK) || write_acks(u))
        return;
    if (behind)
        rewind_to(u, r->watermark);
    else
        new_stream(u);
}

/* The answer to the poll: documents, or nothing new for a minute. */
static bool poll_answered(struct uplink *u, struct span bytes)
{
    struct documents_head head;
    struct envelope e;
    struct reply r;

    if (check_envelope(u, bytes, &e))
        return false;
    if (e.kind == KIND_REPLY) {
        if (message_decode(&r, MESSAGE_REPLY, e.body) ||
            !nonce_matches(u, SLOT_POLL, r.nonce))
            return false;
        u->use.time(u->use.owner, r.time_ms);
        if (r.verdict == VERDICT_RETRY)
            u->poll_after_ms =
                mono() + (r.wait_ms < POLL_WAIT_MAX_MS ? (int64_t)r.wait_ms
                                                       : POLL_WAIT_MAX_MS);
        poll_restored(u, &r);
        return true;
    }
    if (e.kind != KIND_DOCUMENTS || open_payload(u, &e) ||
        documents_decode(&head, span_of(u->plain.data, u->plain.size),
                         count_only, NULL) ||
        !nonce_matches(u, SLOT_POLL, head.nonce))
        return false;
    u->use.time(u->use.owner, head.time_ms);
    u->resync = false;
    if (u->use.documents(u->use.owner, span_of(u->plain.data, u->plain.size)))
        u->poll_after_ms =
            mono() + backoff_next(&u->poll_backoff, randombytes_random());
    return true;
}

static void uplink_on_reply(void *owner, uint32_t slot, enum sotto_err err,
                            struct span reply)
{
    struct uplink *u = owner;
    int64_t delay;

    if (slot == SLOT_POLL) {
        if (!err && poll_answered(u, reply)) {
            backoff_reset(&u->poll_backoff);
        } else {
            if (!err)
                forged(u);
            delay = backoff_next(&u->poll_backoff, randombytes_random());
            u->poll_after_ms = mono() + delay;
        }
    } else if (u->state == UPLINK_ENROLLING) {
        if (!err)
            enrolled(u, reply);
        else
            u->enrol_after_ms =
                mono() + backoff_next(&u->backoff, randombytes_random());
    } else if (err) {
        stream_failed(&u->stream, u->slots[slot].sequence, mono(),
                      stream_delay(u));
    } else {
        stream_reply_came(u, slot, reply);
    }
    uplink_kick(u);
}

/* ---- time ---- */

static void timer_on_loop(uv_timer_t *timer)
{
    struct uplink *u = timer->data;

    if (acks_due(u) && !write_acks(u))
        u->use.changed(u->use.owner);
    uplink_kick(u);
}

/* Wakes when something may be due; new envelopes kick by themselves. */
static void schedule(struct uplink *u)
{
    int64_t now = mono(), at = INT64_MAX;

    if (u->state == UPLINK_ENROLLING && !requester_busy(u->requester, 0))
        at = u->enrol_after_ms;
    if (u->state == UPLINK_READY) {
        at = stream_wake_ms(&u->stream);
        if (!requester_busy(u->requester, SLOT_POLL) && u->poll_after_ms < at)
            at = u->poll_after_ms;
        if (acks_due(u))
            at = now;
    }
    if (at == INT64_MAX)
        uv_timer_stop(&u->timer);
    else
        uv_timer_start(&u->timer, timer_on_loop,
                       at > now ? (uint64_t)(at - now) : 1, 0);
}

/* ---- open and close ---- */

enum sotto_err uplink_open(struct uplink **out,
                           const struct uplink_parts *parts, struct why *why)
{
    const struct spool_state *state = spool_state(parts->spool);
    struct uplink *u = calloc(1, sizeof *u);
    enum sotto_err err;

    if (!u)
        return SOTTO_ENOMEM;
    u->use = *parts;
    u->state = parts->home->enrolled ? UPLINK_READY : UPLINK_ENROLLING;
    u->backoff = (struct backoff){.min_ms = 500, .max_ms = 60000};
    u->poll_backoff = u->spool_backoff = u->backoff;
    buf_init(&u->frame, FRAME_MAX);
    buf_init(&u->payload, FRAME_MAX);
    buf_init(&u->plain, PAYLOAD_MAX);
    stream_init(&u->stream, state->stream, state->acked, state->next_sequence,
                WINDOW);
    err = requester_open(&u->requester, parts->loop, parts->address, SLOTS,
                         uplink_on_reply, u, why);
    if (err) {
        free(u);
        return err;
    }
    uv_timer_init(parts->loop, &u->timer);
    u->timer.data = u;
    uplink_kick(u);
    *out = u;
    return SOTTO_OK;
}

static void part_closed(struct uplink *u)
{
    if (--u->handles > 0)
        return;
    buf_fini(&u->frame);
    buf_wipe(&u->payload);
    buf_wipe(&u->plain);
    void (*closed)(void *) = u->closed;
    void *owner = u->closed_owner;
    free(u);
    closed(owner);
}

static void timer_on_closed(uv_handle_t *handle)
{
    part_closed(handle->data);
}

static void requester_on_closed(void *owner)
{
    part_closed(owner);
}

void uplink_close(struct uplink *u, void (*closed)(void *owner), void *owner)
{
    write_acks(u);
    u->closing = true;
    u->closed = closed;
    u->closed_owner = owner;
    u->handles = 2;
    uv_close((uv_handle_t *)&u->timer, timer_on_closed);
    requester_close(u->requester, requester_on_closed, u);
}

void uplink_stats(const struct uplink *u, struct uplink_stats *out)
{
    *out = u->stats;
    out->state = u->state;
    out->connected = requester_connected(u->requester);
}
