/* See ingest.h. A job is one request on its way; its call is held by the link
 * until the job replies, so the frame's bytes stay where they are. */
#include "aggregator/ingest.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/answer.h"
#include "aggregator/incoming.h"
#include "aggregator/lanes.h"
#include "aggregator/strip.h"
#include "base/clock.h"
#include "base/log.h"
#include "policy/batch.h"

#define GROUP_MAX 256
#define RETRY_POLICY_MS 2000
#define RETRY_BUSY_MS 1000
/* Who is told to come later gets a moment of its own: so soon at the earliest,
 * one so long after the other, and no later than that. */
#define LATER_MIN_US 200000
#define LATER_EACH_US 250
#define LATER_MAX_US 30000000
/* What NNG and we keep of a request besides its bytes. */
#define CALL_BYTES 2048
/* Decoded batches are kept for the folder while so much of the room is used:
 * in a crowd it reads them from the log. */
#define KEEP_SHARE 8
#define RETRY_GAP_MS 20

struct job {
    uv_work_t work;
    struct ingest *ingest;
    struct call *call;
    struct incoming m;
    uint8_t nonce[NONCE_SIZE];
    uint32_t agent;
    uint32_t stream; /* number of its lane */
    bool entry;      /* has an entry in the group (not a duplicate) */
    int64_t held_ms; /* since when it waits for its predecessor (monotonic) */
    size_t bytes;    /* counted in ingest.bytes */
    struct job *next;
};

struct ingest {
    struct ingest_parts use;
    struct replier *replier;
    struct store *writer; /* the committing worker's connection */
    struct strip strip;   /* likewise */
    struct lanes lanes;
    struct job *group, **group_end; /* waits for the next commit */
    uint32_t group_count;
    struct job *flying; /* being committed */
    uv_work_t commit;
    enum sotto_err commit_err;
    size_t bytes;       /* that batches under way take */
    int64_t later_us;   /* the moment given last (monotonic) */
    uint32_t working;   /* jobs on workers */
    uint32_t held;      /* early jobs */
    uv_timer_t release; /* lets go of those that wait too long */
    struct ingest_stats stats;
    struct waiting_policy waiting[WAITING_MAX];
    uint32_t waiting_count;
    bool closing, replier_closed;
    void (*closed)(void *owner);
    void *closed_owner;
};

static int64_t now_ms(void)
{
    return clock_wall_ms(&clock_system);
}

/* ---- replies ---- */

static void job_free(struct job *j)
{
    j->ingest->bytes -= j->bytes;
    incoming_fini(&j->m);
    free(j);
}

/* Replies to the job's request and ends the job. */
static void job_reply(struct job *j, enum verdict verdict, enum refusal reason,
                      uint64_t watermark, uint64_t wait_ms)
{
    const struct answer_to to = {j->ingest->use.keys, &j->m.peer, j->nonce};
    struct reply r = {.stream = j->m.e.stream,
                      .sequence = j->m.e.sequence,
                      .verdict = verdict,
                      .reason = reason,
                      .watermark = watermark,
                      .wait_ms = wait_ms};

    if (reason != REFUSAL_NONE)
        j->ingest->stats.refused[reason]++;
    if (j->ingest->closing)
        call_drop(j->call);
    else
        answer_reply(j->call, &to, &r);
    job_free(j);
}

static void job_drop(struct job *j, bool failed)
{
    if (failed)
        call_fail(j->call);
    else
        call_drop(j->call);
    job_free(j);
}

/* ---- the commit ---- */

static void commit_start(struct ingest *in);
static void arrive(struct ingest *in, struct job *j);

static void entry_fill(struct log_entry *e, const struct job *j)
{
    bool refused = j->m.refusal != REFUSAL_NONE;

    memset(e, 0, sizeof *e);
    e->agent = j->agent;
    e->stream = j->m.e.stream;
    e->sequence = j->m.e.sequence;
    e->kind = j->m.e.kind;
    memcpy(e->chain, j->m.e.chain, HASH_SIZE);
    memcpy(e->policy, j->m.e.policy, HASH_SIZE);
    e->events = j->m.events;
    e->erased = j->m.erased;
    e->received_ms = now_ms();
    if (refused)
        e->reason = refusal_name(j->m.refusal);
    else if (j->m.e.kind == KIND_VOID)
        e->reason = j->m.reason;
    else
        e->payload = span_of(j->m.payload.data, j->m.payload.size);
    memcpy(e->body, j->m.body, BODY_ID_SIZE);
    if (!refused && j->m.e.kind == KIND_BATCH)
        e->counters = &j->m.counters;
}

/* The decoded batch goes on to the folder; without memory it reads the log. */
static void hand_over(struct ingest *in, const struct log_entry *e,
                      struct job *j)
{
    struct fresh *f;

    if (!in->use.fresh || !e->number || !j->m.batch ||
        !(f = calloc(1, sizeof *f)))
        return;
    f->chunk = (struct log_chunk){.number = e->number,
                                  .agent = e->agent,
                                  .stream = e->stream,
                                  .sequence = e->sequence,
                                  .kind = e->kind,
                                  .events = e->events,
                                  .received_ms = e->received_ms};
    memcpy(f->chunk.policy, e->policy, HASH_SIZE);
    f->policy = j->m.policy;
    f->batch = j->m.batch;
    f->plain = j->m.plain;
    j->m.batch = NULL;
    buf_init(&j->m.plain, PAYLOAD_MAX);
    fresh_put(in->use.fresh, f);
}

static bool names_erased(const struct ingest *in, const struct job *j)
{
    for (size_t at = 0; at < j->m.ids.size; at += SUPPRESS_SUBJECT_SIZE)
        if (suppress_has(in->use.suppress, j->m.ids.data + at))
            return true;
    return false;
}

static enum sotto_err strip_body(struct ingest *in, const struct job *j,
                                 struct span body)
{
    struct batch_view *view = NULL;
    enum sotto_err err;

    if (j->m.e.kind == KIND_FORGET)
        return strip_forget(&in->strip, in->use.suppress, body);
    err = batch_decode(&view, body, j->m.policy);
    if (!err)
        err = strip_batch(&in->strip, in->use.suppress, view, j->m.policy);
    batch_view_free(view);
    return err;
}

/* The payload without the erased; what was decoded of the whole goes. */
static enum sotto_err leave_out(struct ingest *in, struct job *j)
{
    struct strip *t = &in->strip;
    enum sotto_err err;

    batch_view_free(j->m.batch); /* it borrows from plain */
    j->m.batch = NULL;
    err = payload_unzip(&j->m.plain,
                        span_of(j->m.payload.data, j->m.payload.size),
                        PAYLOAD_MAX);
    if (!err)
        err = strip_body(in, j, span_of(j->m.plain.data, j->m.plain.size));
    buf_wipe(&j->m.plain);
    if (!err)
        err = payload_zip(&j->m.payload, span_of(t->body.data, t->body.size));
    j->m.erased = t->removed;
    return err;
}

static enum sotto_err leave_out_all(struct ingest *in)
{
    enum sotto_err err = SOTTO_OK;

    if (!suppress_count(in->use.suppress))
        return SOTTO_OK;
    for (struct job *j = in->flying; j && !err; j = j->next)
        if (j->entry && names_erased(in, j))
            err = leave_out(in, j);
    return err;
}

static enum sotto_err append(struct ingest *in, struct log_entry *entries,
                             struct job **of, size_t *count)
{
    enum sotto_err err = leave_out_all(in);

    *count = 0;
    for (struct job *j = in->flying; j && !err; j = j->next) {
        if (!j->entry)
            continue;
        of[*count] = j;
        entry_fill(&entries[(*count)++], j);
    }
    return !err && *count ? log_append(in->writer, entries, *count) : err;
}

static void commit_on_worker(uv_work_t *work)
{
    struct ingest *in = work->data;
    struct log_entry entries[GROUP_MAX];
    struct job *of[GROUP_MAX];
    size_t count;

    suppress_hold(in->use.suppress); /* from the question to the commit */
    in->commit_err = append(in, entries, of, &count);
    suppress_release(in->use.suppress);
    for (size_t i = 0; i < count && !in->commit_err; i++)
        hand_over(in, &entries[i], of[i]);
}

/* What was taken above the last commit is forgotten; the agents send it
 * again. */
static void roll_back(struct ingest *in)
{
    in->stats.commit_failures++;
    log_error("log",
              "commit failed: %s; nothing is acknowledged, agents send "
              "again",
              err_text(in->commit_err));
    for (uint32_t i = 0; i < in->lanes.of.count; i++)
        watermark_rollback(&in->lanes.at[i].mark,
                           in->lanes.at[i].committed_chain);
    /* A commit that failed to say so may be there all the same. */
    if (lanes_load(&in->lanes, in->use.store))
        log_error("log", "the watermarks cannot be read again");
}

static void job_committed(struct ingest *in, struct job *j)
{
    struct lane *lane = &in->lanes.at[j->stream];

    if (j->entry) {
        lane->mark.committed = j->m.e.sequence;
        memcpy(lane->committed_chain, j->m.e.chain, HASH_SIZE);
        in->stats.batches += j->m.e.kind == KIND_BATCH;
    }
    if (j->entry && j->m.refusal != REFUSAL_NONE)
        job_reply(j, VERDICT_REFUSED, j->m.refusal, lane->mark.committed, 0);
    else
        job_reply(j, VERDICT_ACK, REFUSAL_NONE, lane->mark.committed, 0);
}

static void finish_closing(struct ingest *in);

static void commit_on_loop(uv_work_t *work, int status)
{
    struct ingest *in = work->data;
    struct job *next, *j = in->flying;
    bool failed;

    if (status != 0)
        in->commit_err = SOTTO_ECLOSED;
    failed = in->commit_err != SOTTO_OK;
    in->flying = NULL;
    if (failed)
        roll_back(in);
    for (; j; j = next) {
        next = j->next;
        if (failed)
            job_reply(j, VERDICT_RETRY, REFUSAL_BUSY,
                      in->lanes.at[j->stream].mark.committed, RETRY_BUSY_MS);
        else
            job_committed(in, j);
    }
    if (failed) { /* the waiting group was built on what is gone */
        j = in->group;
        in->group = NULL;
        in->group_end = &in->group;
        in->group_count = 0;
        for (; j; j = next) {
            next = j->next;
            job_reply(j, VERDICT_RETRY, REFUSAL_BUSY,
                      in->lanes.at[j->stream].mark.committed, RETRY_BUSY_MS);
        }
    } else {
        in->use.committed(in->use.owner);
    }
    commit_start(in);
    finish_closing(in);
}

/* One commit at a time; whatever arrives meanwhile is the next group. */
static void commit_start(struct ingest *in)
{
    struct job **at = &in->group;

    if (in->flying || !in->group)
        return;
    for (uint32_t i = 0; i < GROUP_MAX && *at; i++) {
        at = &(*at)->next;
        in->group_count--;
    }
    in->flying = in->group;
    in->group = *at;
    *at = NULL;
    if (!in->group)
        in->group_end = &in->group;
    in->stats.groups++;
    in->commit.data = in;
    if (uv_queue_work(in->use.loop, &in->commit, commit_on_worker,
                      commit_on_loop) != 0)
        abort(); /* only for a NULL callback */
}

static void join_group(struct ingest *in, struct job *j, bool entry)
{
    j->entry = entry;
    j->next = NULL;
    *in->group_end = j;
    in->group_end = &j->next;
    in->group_count++;
}

/* ---- after verification: where it stands in its stream ---- */

static bool hold_early(struct lane *lane, struct job *j)
{
    for (int i = 0; i < WATERMARK_EARLY; i++)
        if (!lane->early[i]) {
            lane->early[i] = j;
            j->held_ms = clock_mono_ms(&clock_system);
            j->ingest->held++;
            return true;
        }
    return false;
}

/* What waits for a predecessor that does not come: the agent takes it for
 * acknowledged, and only this answer tells it otherwise. */
static void release_on_loop(uv_timer_t *timer)
{
    struct ingest *in = timer->data;
    int64_t before = clock_mono_ms(&clock_system) - WATERMARK_HOLD_MS;

    for (uint32_t i = 0; i < in->lanes.of.count && in->held > 0; i++)
        for (int k = 0; k < WATERMARK_EARLY; k++) {
            struct job *j = in->lanes.at[i].early[k];
            if (!j || j->held_ms > before)
                continue;
            in->lanes.at[i].early[k] = NULL;
            in->held--;
            job_reply(j, VERDICT_RETRY, REFUSAL_GAP,
                      in->lanes.at[i].mark.committed, RETRY_GAP_MS);
        }
}

/* The held batch that has become the next, if any. */
static struct job *take_early(struct lane *lane)
{
    for (int i = 0; i < WATERMARK_EARLY; i++) {
        struct job *j = lane->early[i];
        if (j && j->m.e.sequence <= lane->mark.upto + 1) {
            lane->early[i] = NULL;
            j->ingest->held--;
            return j;
        }
    }
    return NULL;
}

static void fork_reply(struct ingest *in, struct job *j)
{
    in->stats.forks++;
    log_warn("ingest",
             "agent number %u: another history at sequence %llu: it was "
             "restored or copied",
             (unsigned)j->agent, (unsigned long long)j->m.e.sequence);
    job_reply(j, VERDICT_FORK, REFUSAL_NONE, j->m.e.sequence - 1, 0);
}

/* The chain of what was taken and is not committed yet; NULL: none. */
static const uint8_t *chain_under_way(const struct ingest *in, uint32_t lane,
                                      uint64_t sequence)
{
    const struct job *lists[] = {in->flying, in->group};

    for (int i = 0; i < 2; i++)
        for (const struct job *j = lists[i]; j; j = j->next)
            if (j->entry && j->stream == lane && j->m.e.sequence == sequence)
                return j->m.e.chain;
    return NULL;
}

static void place(struct ingest *in, struct job *j)
{
    struct lane *lane =
        lanes_get(&in->lanes, j->agent, j->m.e.stream, &j->stream);
    uint8_t stored[HASH_SIZE], follows[HASH_SIZE];
    const uint8_t *known = NULL;

    if (!lane) {
        job_reply(j, VERDICT_RETRY, REFUSAL_BUSY, 0, RETRY_BUSY_MS);
        return;
    }
    if (j->m.e.sequence <= lane->mark.committed &&
        log_chain(in->use.store, j->agent, j->m.e.stream, j->m.e.sequence,
                  stored) == SOTTO_OK)
        known = stored;
    else if (j->m.e.sequence > lane->mark.committed)
        known = chain_under_way(in, j->stream, j->m.e.sequence);
    memcpy(follows, lane->mark.chain, HASH_SIZE);
    if (envelope_chain(follows, &j->m.e)) /* it will not follow */
        memset(follows, 0, HASH_SIZE);
    switch (watermark_decide(&lane->mark, j->m.e.sequence, j->m.e.chain, known,
                             follows)) {
    case WATERMARK_NEXT:
        watermark_take(&lane->mark, j->m.e.sequence, j->m.e.chain);
        join_group(in, j, true);
        break;
    case WATERMARK_DUPLICATE:
        in->stats.duplicates++;
        if (j->m.e.sequence <= lane->mark.committed)
            job_reply(j, VERDICT_ACK, REFUSAL_NONE, lane->mark.committed, 0);
        else
            join_group(in, j, false); /* its twin is not committed yet */
        break;
    case WATERMARK_EARLY_HOLD:
        in->stats.early++;
        if (!hold_early(lane, j))
            job_reply(j, VERDICT_RETRY, REFUSAL_GAP, lane->mark.committed,
                      RETRY_GAP_MS);
        break;
    case WATERMARK_GAP:
        in->stats.gaps++;
        job_reply(j, VERDICT_RETRY, REFUSAL_GAP, lane->mark.committed,
                  RETRY_GAP_MS);
        break;
    case WATERMARK_FORK:
        fork_reply(in, j);
        break;
    }
}

static void arrive(struct ingest *in, struct job *j)
{
    uint32_t agent = j->agent, number;
    uint64_t stream = j->m.e.stream;
    struct lane *lane;

    place(in, j);
    while ((lane = lanes_get(&in->lanes, agent, stream, &number)) &&
           (j = take_early(lane)))
        place(in, j);
    commit_start(in);
}

/* ---- after the worker ---- */

static void verify_on_worker(uv_work_t *work)
{
    struct job *j = work->data;

    incoming_verify(&j->m);
}

/* A poll says what its sender believes to be acknowledged (stream, sequence):
 * more than we have means that we were restored, and it should replay. */
static bool behind(const struct ingest *in, const struct job *j)
{
    return j->m.e.sequence >
           lanes_committed(&in->lanes, j->agent, j->m.e.stream);
}

/* Its chain says what it believes was acknowledged there: something else means
 * that one of us was restored, and it should go on as another stream. */
static bool elsewhere(const struct ingest *in, const struct job *j)
{
    uint8_t chain[HASH_SIZE];

    return j->m.e.sequence > 0 &&
           !log_chain(in->use.store, j->agent, j->m.e.stream, j->m.e.sequence,
                      chain) &&
           !envelope_chain(chain, &j->m.e) &&
           memcmp(chain, j->m.e.chain, HASH_SIZE) != 0;
}

static void verify_on_loop(uv_work_t *work, int status)
{
    struct job *j = work->data;
    struct ingest *in = j->ingest;
    struct agent_row *agent = roster_number(in->use.roster, j->agent);

    in->working--;
    if (status != 0 || in->closing || !agent) {
        job_drop(j, false);
    } else if (j->m.refusal == REFUSAL_BAD_SIGNATURE) {
        in->stats.bad_signatures++;
        log_warn("ingest",
                 "a request in the name of agent number %u is not "
                 "rightly signed; dropped",
                 (unsigned)j->agent);
        job_drop(j, true);
    } else if (j->m.refusal == REFUSAL_BUSY) {
        job_reply(j, VERDICT_RETRY, REFUSAL_BUSY,
                  lanes_committed(&in->lanes, j->agent, j->m.e.stream),
                  RETRY_BUSY_MS);
    } else {
        agent->seen_ms = now_ms();
        if (j->m.e.kind != KIND_POLL) {
            arrive(in, j);
        } else if (j->m.refusal != REFUSAL_NONE) {
            job_drop(j, true);
        } else if (behind(in, j)) {
            job_reply(j, VERDICT_RETRY, REFUSAL_GAP,
                      lanes_committed(&in->lanes, j->agent, j->m.e.stream),
                      RETRY_GAP_MS);
        } else if (elsewhere(in, j)) {
            fork_reply(in, j);
        } else {
            in->use.poll(in->use.owner, j->call, agent, j->nonce, &j->m.poll);
            job_free(j);
        }
    }
    finish_closing(in);
}

/* ---- enrolment ---- */

/* Rare, so it is done on the loop. */
static void enrol(struct ingest *in, struct job *j)
{
    struct agent_row *agent = NULL;
    struct answer_to to = {in->use.keys, NULL, j->nonce};
    struct enrolled cert = {0};
    enum refusal refusal = REFUSAL_NONE;
    struct enrol request;
    struct peer peer;
    enum sotto_err err = incoming_enrol(&j->m, &request);

    if (err) {
        in->stats.malformed++;
        job_drop(j, true);
        return;
    }
    peer_init(&peer, request.sign_pk, request.box_pk);
    to.peer = &peer;
    err = roster_redeem(in->use.roster, &request, now_ms(), &agent, &refusal);
    sodium_memzero(&request, sizeof request);
    if (!err)
        err = in->use.enrolled(in->use.owner, agent);
    if (err && refusal == REFUSAL_NONE)
        refusal = REFUSAL_BUSY;
    if (refusal) {
        in->stats.refused[refusal]++;
        log_warn("ingest", "enrolment refused: %s", refusal_name(refusal));
    }
    cert.reason = refusal;
    if (!refusal) {
        cert.name = span_text(agent->name);
        memcpy(cert.agent, agent->peer.sign_id, KEY_ID_SIZE);
    }
    answer_certificate(j->call, &to, &cert);
    job_free(j);
}

/* ---- the cheap checks ---- */

static void wait_for_policy(struct ingest *in, struct job *j)
{
    struct waiting_policy *w = NULL;

    for (uint32_t i = 0; i < in->waiting_count && !w; i++)
        if (in->waiting[i].agent == j->agent &&
            memcmp(in->waiting[i].hash, j->m.e.policy, HASH_SIZE) == 0)
            w = &in->waiting[i];
    if (!w && in->waiting_count < WAITING_MAX) {
        w = &in->waiting[in->waiting_count++];
        w->agent = j->agent;
        memcpy(w->hash, j->m.e.policy, HASH_SIZE);
        w->since_ms = now_ms();
    }
    job_reply(j, VERDICT_RETRY, REFUSAL_UNKNOWN_POLICY,
              lanes_committed(&in->lanes, j->agent, j->m.e.stream),
              RETRY_POLICY_MS);
}

/* Room for a batch: its bytes, as sent and as opened, and what goes with it. */
static bool reserve(struct ingest *in, struct job *j)
{
    size_t bytes = 2 * j->m.frame.size + sizeof *j + CALL_BYTES;

    if (in->bytes > 0 && in->bytes + bytes > in->use.intake_bytes)
        return false;
    in->bytes += j->bytes = bytes;
    j->m.keep = in->use.fresh && in->bytes <= in->use.intake_bytes / KEEP_SHARE;
    return true;
}

static void come_later(struct ingest *in, struct job *j)
{
    int64_t now_us = clock_mono_ms(&clock_system) * 1000;
    int64_t earliest = now_us + LATER_MIN_US;

    in->later_us += LATER_EACH_US;
    if (in->later_us < earliest || in->later_us > now_us + LATER_MAX_US)
        in->later_us = earliest;
    job_reply(j, VERDICT_RETRY, REFUSAL_BUSY,
              lanes_committed(&in->lanes, j->agent, j->m.e.stream),
              (uint64_t)(in->later_us - now_us) / 1000);
}

static void dispatch(struct ingest *in, struct job *j)
{
    const struct agent_row *agent;

    if (j->m.e.kind == KIND_ENROL) {
        enrol(in, j);
        return;
    }
    agent = roster_find(in->use.roster, j->m.e.sender);
    if (!agent || agent->revoked) {
        in->stats.refused[agent ? REFUSAL_REVOKED : REFUSAL_UNKNOWN_AGENT]++;
        job_drop(j, true);
        return;
    }
    j->agent = agent->number;
    j->m.peer = agent->peer;
    if (j->m.e.kind != KIND_POLL &&
        (j->m.e.sequence == 0 || j->m.e.stream == 0 ||
         j->m.e.sequence > INT64_MAX)) {
        in->stats.malformed++;
        job_drop(j, true);
        return;
    }
    if (j->m.e.kind == KIND_BATCH &&
        !(j->m.policy = policies_find(in->use.policies, j->m.e.policy))) {
        wait_for_policy(in, j);
        return;
    }
    if (j->m.e.kind != KIND_POLL && !reserve(in, j)) {
        come_later(in, j);
        return;
    }
    in->working++;
    j->work.data = j;
    if (uv_queue_work(in->use.loop, &j->work, verify_on_worker,
                      verify_on_loop) != 0)
        abort(); /* only for a NULL callback */
}

static void request_on_loop(void *owner, struct call *call, struct span frame)
{
    struct ingest *in = owner;
    struct job *j;

    in->stats.requests++;
    if (in->closing || !(j = calloc(1, sizeof *j))) {
        call_drop(call);
        return;
    }
    j->ingest = in;
    j->call = call;
    incoming_init(&j->m);
    j->m.keys = in->use.keys;
    if (frame.size > NONCE_SIZE) {
        memcpy(j->nonce, frame.data, NONCE_SIZE);
        j->m.frame = span_of(frame.data + NONCE_SIZE, frame.size - NONCE_SIZE);
    }
    if (frame.size <= NONCE_SIZE || envelope_parse(&j->m.e, j->m.frame) ||
        j->m.e.kind > KIND_ENROL ||
        memcmp(j->m.e.recipient, in->use.self.box_id, KEY_ID_SIZE) != 0) {
        in->stats.malformed++;
        job_drop(j, true);
        return;
    }
    dispatch(in, j);
}

/* ---- open and close ---- */

enum sotto_err ingest_open(struct ingest **out,
                           const struct ingest_parts *parts, struct why *why)
{
    struct ingest *in = calloc(1, sizeof *in);
    enum sotto_err err;

    if (!in)
        return SOTTO_ENOMEM;
    in->use = *parts;
    in->group_end = &in->group;
    lanes_init(&in->lanes);
    strip_init(&in->strip);
    err = store_open(&in->writer, parts->dir, parts->key_file, why);
    if (!err)
        err = lanes_load(&in->lanes, parts->store);
    if (!err)
        err = replier_open(&in->replier, parts->loop, parts->address,
                           parts->contexts_max, request_on_loop, in, why);
    if (err) {
        store_close(in->writer);
        lanes_fini(&in->lanes);
        strip_fini(&in->strip);
        free(in);
        return err;
    }
    uv_timer_init(parts->loop, &in->release);
    in->release.data = in;
    uv_timer_start(&in->release, release_on_loop, WATERMARK_HOLD_MS / 4,
                   WATERMARK_HOLD_MS / 4);
    *out = in;
    return SOTTO_OK;
}

static void finish_closing(struct ingest *in)
{
    if (!in->closing || !in->replier_closed || in->working || in->flying)
        return;
    store_close(in->writer);
    lanes_fini(&in->lanes);
    strip_fini(&in->strip);
    void (*closed)(void *) = in->closed;
    void *owner = in->closed_owner;
    free(in);
    closed(owner);
}

static void replier_on_closed(void *owner)
{
    struct ingest *in = owner;

    in->replier_closed = true;
    finish_closing(in);
}

static void timer_on_closed(uv_handle_t *handle)
{
    struct ingest *in = handle->data;

    for (uint32_t i = 0; i < in->lanes.of.count; i++)
        for (int k = 0; k < WATERMARK_EARLY; k++)
            if (in->lanes.at[i].early[k])
                job_drop(in->lanes.at[i].early[k], false);
    replier_close(in->replier, replier_on_closed, in);
}

/* Workers and the commit under way end first; they still hold calls. */
static void closing_on_loop(uv_timer_t *timer)
{
    struct ingest *in = timer->data;

    if (!in->working && !in->flying && !in->group)
        uv_close((uv_handle_t *)timer, timer_on_closed);
}

void ingest_close(struct ingest *in, void (*closed)(void *owner), void *owner)
{
    in->closing = true;
    in->closed = closed;
    in->closed_owner = owner;
    uv_timer_start(&in->release, closing_on_loop, 0, 1);
}

void ingest_stats(const struct ingest *in, struct ingest_stats *out)
{
    *out = in->stats;
}

uint32_t ingest_waiting(const struct ingest *in,
                        struct waiting_policy out[WAITING_MAX])
{
    memcpy(out, in->waiting, in->waiting_count * sizeof *out);
    return in->waiting_count;
}

void ingest_policy_added(struct ingest *in, const uint8_t hash[HASH_SIZE])
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < in->waiting_count; i++)
        if (memcmp(in->waiting[i].hash, hash, HASH_SIZE) != 0)
            in->waiting[kept++] = in->waiting[i];
    in->waiting_count = kept;
}

const char *ingest_address(const struct ingest *in)
{
    return replier_address(in->replier);
}
