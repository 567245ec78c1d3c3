/* See publish.h. One edition is made at a time; what changes meanwhile is in
 * the next. */
#include "aggregator/publish.h"

#include <stdlib.h>
#include <string.h>

#include "aggregator/answer.h"
#include "aggregator/documents.h"
#include "aggregator/edition.h"
#include "base/clock.h"
#include "base/log.h"
#include "delivery/sync.h"

#define PARK_MS 55000 /* agents wait for 90 s */
#define LOOK_EVERY_MS 5000
#define PAUSE_MIN_MS 50 /* between editions of news */
#define PAYLOAD_BYTES (600 * 1024)
#define RETRY_MS 1000

struct reader { /* an agent */
    struct sync sync;
    struct call *parked;
    uint8_t nonce[NONCE_SIZE];
    int64_t parked_ms;
    bool restart;       /* wants everything again */
    bool forgets;       /* has a tombstone to confirm */
    bool confirms;      /* has said since how far it is */
    uint64_t sent_from; /* the documents above were sent; UINT64_MAX: none */
    uint64_t floor;
};

struct publisher {
    struct publisher_parts use;
    struct store *writer;   /* the worker's */
    struct reader *readers; /* by agent number */
    uint32_t reader_count;
    uv_timer_t look; /* parked polls */
    uv_timer_t pause;
    uv_work_t work;
    struct edition edition;
    struct segment_lists by_segment;
    uint32_t *agents, *restart;
    uint64_t *floors;
    struct confirmation *confirm;
    struct buf container;
    enum sotto_err err; /* of the last edition, or why it was not begun */
    bool running, closing;
    bool policy_news, model_news, folded;
    bool taken_policy, taken_model; /* by the edition under way */
    int64_t started_ms, ended_ms;
    int64_t news_ms; /* how long the last edition of nothing but news took */
    struct publisher_stats stats;
    void (*closed)(void *owner);
    void *closed_owner;
    int handles;
};

static int64_t mono(void)
{
    return clock_mono_ms(&clock_system);
}

static struct reader *reader_of(struct publisher *p, uint32_t agent)
{
    if (agent >= p->reader_count) {
        uint32_t count = agent + 64;
        struct reader *grown = realloc(p->readers, count * sizeof *grown);
        if (!grown)
            return NULL;
        memset(grown + p->reader_count, 0,
               (count - p->reader_count) * sizeof *grown);
        for (uint32_t i = p->reader_count; i < count; i++)
            grown[i].sent_from = UINT64_MAX;
        p->readers = grown;
        p->reader_count = count;
    }
    return &p->readers[agent];
}

/* ---- answering polls ---- */

static void nothing_new(struct publisher *p, struct call *call,
                        const struct agent_row *agent,
                        const uint8_t nonce[NONCE_SIZE], enum verdict verdict)
{
    const struct answer_to to = {p->use.keys, &agent->peer, nonce};
    struct reply r = {.verdict = verdict,
                      .wait_ms = verdict == VERDICT_RETRY ? RETRY_MS : 0};

    answer_reply(call, &to, &r);
}

static void send_documents(struct publisher *p, struct call *call,
                           const struct agent_row *agent,
                           const uint8_t nonce[NONCE_SIZE], struct reader *r)
{
    const struct sync *sync = &r->sync;
    struct envelope head = {.kind = KIND_DOCUMENTS};
    struct documents_head documents = {.last = sync->last,
                                       .time_ms = clock_wall_ms(&clock_system)};
    struct buf payload, out;
    enum sotto_err err;

    memcpy(documents.nonce, nonce, NONCE_SIZE);
    buf_init(&payload, PAYLOAD_MAX);
    buf_init(&out, FRAME_MAX);
    err = documents_payload(p->use.store, agent->number, sync->applied,
                            PAYLOAD_BYTES, &documents, &payload);
    if (!err)
        err = envelope_write(&out, &head, span_of(payload.data, payload.size),
                             p->use.keys, &agent->peer);
    if (!err && documents.count == 0) { /* they are about to be made */
        nothing_new(p, call, agent, nonce, VERDICT_RETRY);
    } else if (!err) {
        p->stats.sent += documents.count;
        if (sync->applied < r->sent_from)
            r->sent_from = sync->applied;
        call_reply(call, span_of(out.data, out.size));
    } else {
        log_error("publish", "documents for %s: %s", agent->name,
                  err_text(err));
        nothing_new(p, call, agent, nonce, VERDICT_RETRY);
    }
    buf_fini(&payload);
    buf_fini(&out);
}

static void run_soon(struct publisher *p);

void publisher_poll(struct publisher *p, struct call *call,
                    struct agent_row *agent, const uint8_t nonce[NONCE_SIZE],
                    const struct poll *poll)
{
    struct reader *r = reader_of(p, agent->number);
    enum sync_action action;

    if (!r || p->closing) {
        call_drop(call);
        return;
    }
    if (r->parked) { /* the agent gave that one up */
        call_drop(r->parked);
        r->parked = NULL;
        p->stats.parked--;
    }
    action = sync_polled(&r->sync, poll->applied, poll->resync != 0);
    if (r->forgets && !r->restart && action != SYNC_RESYNC) {
        r->confirms = true;
        run_soon(p);
    }
    switch (action) {
    case SYNC_SEND:
        send_documents(p, call, agent, nonce, r);
        return;
    case SYNC_RESYNC:
        log_info("publish", "%s is ahead of us: sending everything again",
                 agent->name);
        r->restart = true;
        r->floor = poll->applied;
        run_soon(p);
        break;
    case SYNC_PARK:
        break;
    }
    r->parked = call;
    memcpy(r->nonce, nonce, NONCE_SIZE);
    r->parked_ms = mono();
    p->stats.parked++;
}

/* Answers parked polls that have news, or have waited long enough. */
static void answer_parked(struct publisher *p)
{
    for (uint32_t i = 0; i < p->reader_count; i++) {
        struct reader *r = &p->readers[i];
        const struct agent_row *agent =
            r->parked ? roster_number(p->use.roster, i) : NULL;
        bool news = r->sync.last > r->sync.applied && !r->restart;
        struct call *call = r->parked;
        if (!agent || (!news && mono() - r->parked_ms < PARK_MS))
            continue;
        r->parked = NULL;
        p->stats.parked--;
        if (news)
            send_documents(p, call, agent, r->nonce, r);
        else
            nothing_new(p, call, agent, r->nonce, VERDICT_ACK);
    }
}

static void look_on_loop(uv_timer_t *timer)
{
    answer_parked(timer->data);
}

/* ---- editions ---- */

static void note_last(void *context, uint32_t agent, uint64_t last)
{
    struct publisher *p = context;
    struct reader *r = reader_of(p, agent);

    if (r)
        r->sync.last = last;
    else
        p->err = SOTTO_ENOMEM;
}

/* What the stored documents have come to. */
static enum sotto_err read_last(struct publisher *p)
{
    enum sotto_err err;

    p->err = SOTTO_OK;
    err = documents_last(p->use.store, note_last, p);
    return err ? err : p->err;
}

/* Who has tombstones to confirm. */
static enum sotto_err read_forgets(struct publisher *p)
{
    enum sotto_err err = SOTTO_OK;

    for (uint32_t i = 0; i < roster_count(p->use.roster) && !err; i++) {
        struct reader *r = reader_of(p, roster_at(p->use.roster, i)->number);

        err = r ? documents_forgets(p->use.store,
                                    roster_at(p->use.roster, i)->number,
                                    &r->forgets)
                : SOTTO_ENOMEM;
    }
    return err;
}

static bool wanted(const struct publisher *p)
{
    if (p->policy_news || p->model_news || p->folded)
        return true;
    for (uint32_t i = 0; i < p->reader_count; i++)
        if (p->readers[i].restart || p->readers[i].confirms)
            return true;
    return false;
}

static void edition_on_worker(uv_work_t *work)
{
    struct publisher *p = work->data;

    p->err = edition_make(&p->edition);
}

static void finish_closing(struct publisher *p);

static void edition_on_loop(uv_work_t *work, int status)
{
    struct publisher *p = work->data;
    enum sotto_err err = status ? SOTTO_ECLOSED : p->err;

    if (!err)
        err = read_last(p);
    if (!err && p->edition.confirm_count > 0)
        err = read_forgets(p);
    p->err = err;
    p->running = false;
    p->ended_ms = mono();
    if (!p->taken_model && p->edition.restart_count == 0 &&
        p->edition.confirm_count == 0)
        p->news_ms = p->ended_ms - p->started_ms;
    p->stats.runs++;
    p->stats.documents += p->edition.documents;
    p->stats.lists += p->edition.lists;
    p->edition.documents = p->edition.lists = 0;
    if (err) {
        log_error("publish", "edition failed: %s; made again", err_text(err));
        p->policy_news |= p->taken_policy;
        p->model_news |= p->taken_model;
        p->folded = true;
    } else {
        for (uint32_t i = 0; i < p->edition.restart_count; i++)
            p->readers[p->restart[i]].restart = false;
    }
    if (p->closing) {
        finish_closing(p);
        return;
    }
    answer_parked(p);
    if (wanted(p))
        run_soon(p);
}

static enum sotto_err list_agents(struct publisher *p)
{
    uint32_t count = roster_count(p->use.roster), restarts = 0, confirms = 0;
    uint32_t *agents = realloc(p->agents, (count + 1) * sizeof *agents);

    if (agents)
        p->agents = agents;
    uint32_t *restart = realloc(p->restart, (count + 1) * sizeof *restart);
    if (restart)
        p->restart = restart;
    uint64_t *floors = realloc(p->floors, (count + 1) * sizeof *floors);
    if (floors)
        p->floors = floors;
    struct confirmation *confirm =
        realloc(p->confirm, (count + 1) * sizeof *confirm);
    if (confirm)
        p->confirm = confirm;
    if (!agents || !restart || !floors || !confirm)
        return SOTTO_ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        const struct agent_row *row = roster_at(p->use.roster, i);
        struct reader *r = reader_of(p, row->number);
        agents[i] = row->number;
        if (r && r->restart) {
            restart[restarts] = row->number;
            floors[restarts++] = r->floor;
        }
        if (r && r->confirms)
            confirm[confirms++] = (struct confirmation){
                row->number, r->sent_from, r->sync.applied};
        if (r)
            r->confirms = false;
    }
    p->edition.confirm = confirm;
    p->edition.confirm_count = confirms;
    p->edition.agents = agents;
    p->edition.agent_count = count;
    p->edition.restart = restart;
    p->edition.floors = floors;
    p->edition.restart_count = restarts;
    return SOTTO_OK;
}

/* Empty if there is none yet. */
static enum sotto_err read_policy(struct publisher *p)
{
    enum sotto_err err = policies_container(p->use.policies, &p->container);

    if (err)
        buf_clear(&p->container);
    return err == SOTTO_ENOTFOUND ? SOTTO_OK : err;
}

static void run(struct publisher *p)
{
    struct edition *e = &p->edition;

    if (p->running || p->closing || !wanted(p))
        return;
    p->err = list_agents(p);
    if (!p->err)
        p->err = read_policy(p);
    if (p->err) {
        run_soon(p);
        return;
    }
    e->policy_container = span_of(p->container.data, p->container.size);
    e->policy = p->taken_policy = p->policy_news;
    e->model = p->taken_model = p->model_news;
    e->now_ms = clock_wall_ms(&clock_system);
    p->policy_news = p->model_news = p->folded = false;
    p->running = true;
    p->started_ms = mono();
    p->work.data = p;
    if (uv_queue_work(p->use.loop, &p->work, edition_on_worker,
                      edition_on_loop) != 0)
        abort(); /* only for a NULL callback */
}

static void pause_on_loop(uv_timer_t *timer)
{
    run(timer->data);
}

static void run_in(struct publisher *p, int64_t pause_ms)
{
    if (!p->running && !p->closing && !uv_is_active((uv_handle_t *)&p->pause))
        uv_timer_start(&p->pause, pause_on_loop, (uint64_t)pause_ms, 0);
}

/* After a pause since the last run and in proportion to it: news never take
 * more than a third of a worker, and the first after a quiet time do not wait.
 * After an error a longer one. */
static void run_soon(struct publisher *p)
{
    int64_t pause =
        2 * p->news_ms > PAUSE_MIN_MS ? 2 * p->news_ms : PAUSE_MIN_MS;

    pause -= mono() - p->ended_ms;
    if (pause < 1 || p->policy_news || p->model_news)
        pause = 1;
    if (p->err)
        pause = RETRY_MS;
    run_in(p, pause);
}

void publisher_policy(struct publisher *p)
{
    p->policy_news = true;
    run_soon(p);
}

void publisher_agent(struct publisher *p, uint32_t agent)
{
    struct reader *r = reader_of(p, agent);

    if (r)
        r->restart = true;
    else /* to everybody then, which is as good */
        p->policy_news = p->model_news = true;
    /* It has just been answered and does not listen yet. */
    run_in(p, PAUSE_MIN_MS);
}

void publisher_model(struct publisher *p)
{
    p->model_news = true;
    run_soon(p);
}

void publisher_erased(struct publisher *p)
{
    enum sotto_err err = read_forgets(p);

    if (err) /* told of again by the next edition of theirs */
        log_error("publish", "tombstones: %s", err_text(err));
    publisher_folded(p);
}

void publisher_folded(struct publisher *p)
{
    p->folded = true;
    run_soon(p);
}

/* ---- open and close ---- */

static void note_restart(void *context, uint32_t agent)
{
    struct publisher *p = context;

    if (agent < p->reader_count)
        p->readers[agent].restart = true;
}

/* Where every agent stands. Everything again for those that never got anything,
 * or were getting it when we stopped. */
static enum sotto_err read_readers(struct publisher *p)
{
    enum sotto_err err = read_last(p);

    for (uint32_t i = 0; i < roster_count(p->use.roster) && !err; i++) {
        struct reader *r = reader_of(p, roster_at(p->use.roster, i)->number);

        if (!r)
            err = SOTTO_ENOMEM;
        else if (r->sync.last == 0)
            r->restart = true;
    }
    if (!err)
        err = read_forgets(p);
    return err ? err : edition_restarts(p->use.store, note_restart, p);
}

enum sotto_err publisher_open(struct publisher **out,
                              const struct publisher_parts *parts,
                              struct why *why)
{
    struct publisher *p = calloc(1, sizeof *p);
    struct live_model *live;
    enum sotto_err err;

    if (!p)
        return SOTTO_ENOMEM;
    p->use = *parts;
    buf_init(&p->container, SIGNED_POLICY_MAX);
    err = store_open(&p->writer, parts->dir, parts->key_file, why);
    if (err) {
        free(p);
        return err;
    }
    p->edition = (struct edition){.store = p->writer,
                                  .views = parts->views,
                                  .registry = parts->registry,
                                  .policies = parts->policies,
                                  .suppress = parts->suppress,
                                  .by_segment = &p->by_segment,
                                  .published = edition_published(parts->store)};
    err = read_readers(p);
    if (err) {
        store_close(p->writer);
        free(p->readers);
        free(p);
        return err;
    }
    uv_timer_init(parts->loop, &p->look);
    uv_timer_init(parts->loop, &p->pause);
    p->look.data = p->pause.data = p;
    uv_timer_start(&p->look, look_on_loop, LOOK_EVERY_MS, LOOK_EVERY_MS);
    /* News of when no daemon ran, or that a kill took with it: the policy is
     * small, so it is put again; a model is not. */
    p->folded = p->policy_news = true;
    live = registry_live(parts->registry);
    p->model_news =
        live && live->version != edition_published_model(parts->store);
    live_model_release(live);
    run_soon(p);
    *out = p;
    return SOTTO_OK;
}

static void handle_on_closed(uv_handle_t *handle)
{
    struct publisher *p = handle->data;

    p->handles--;
    finish_closing(p);
}

static void finish_closing(struct publisher *p)
{
    if (!p->closing || p->running || p->handles > 0)
        return;
    store_close(p->writer);
    buf_fini(&p->container);
    free(p->readers);
    free(p->agents);
    free(p->restart);
    free(p->floors);
    free(p->confirm);
    void (*closed)(void *) = p->closed;
    void *owner = p->closed_owner;
    free(p);
    closed(owner);
}

void publisher_close(struct publisher *p, void (*closed)(void *owner),
                     void *owner)
{
    p->closing = true;
    p->closed = closed;
    p->closed_owner = owner;
    for (uint32_t i = 0; i < p->reader_count; i++)
        if (p->readers[i].parked) {
            call_drop(p->readers[i].parked);
            p->readers[i].parked = NULL;
        }
    p->handles = 2;
    uv_close((uv_handle_t *)&p->look, handle_on_closed);
    uv_close((uv_handle_t *)&p->pause, handle_on_closed);
}

void publisher_stats(const struct publisher *p, struct publisher_stats *out)
{
    *out = p->stats;
    out->idle = !p->running && !wanted(p);
}
