/* See verbs.h. Verbs run on the loop; an import reads its file on a worker
 * thread and is a producer like any other. */
#include "agent/verbs.h"

#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "agent/core.h"

/* ---- status ---- */

static const char *const link_names[] = {"enrolling", "ready", "refused"};

static json_t *drops_json(const struct counters *c)
{
    json_t *drops = json_object();

    for (uint32_t i = 0; i < c->drop_count; i++)
        json_object_set_new(drops, c->drops[i].name,
                            json_integer((json_int_t)c->drops[i].count));
    return drops;
}

static json_t *link_json(const struct core *c, const struct core_stats *s)
{
    const struct uplink_stats *l = &s->link;

    if (!c->uplink)
        return json_null();
    return json_pack(
        "{s:s,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:s,s:s}", "state",
        link_names[l->state], "connected", (int)l->connected, "sent",
        (json_int_t)l->sent, "acknowledged", (json_int_t)l->acknowledged,
        "retries", (json_int_t)l->retries, "forged", (json_int_t)l->forged,
        "forks", (json_int_t)l->forks, "refused", (json_int_t)l->refused,
        "rewinds", (json_int_t)l->rewinds, "missing", (json_int_t)l->missing,
        "waiting_for",
        l->waiting_for ? refusal_name(l->waiting_for) : "nothing", "hint",
        l->refusal       ? refusal_text(l->refusal)
        : l->waiting_for ? refusal_text(l->waiting_for)
                         : "");
}

static void verb_status(void *owner, struct control_call *call)
{
    struct core *c = owner;
    struct core_stats s;

    core_stats(c, &s);
    control_end(
        call, EXIT_GOOD,
        json_pack(
            "{s:s,s:{s:s,s:I},s:{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:"
            "I,s:o},s:{s:I,s:I,s:s},s:{s:I,s:I,s:I,s:I,s:s},s:o}",
            "name", c->home->name, "policy", "tenant", s.tenant, "version",
            (json_int_t)s.policy_version, "events", "produced",
            (json_int_t)s.counters.produced, "accepted",
            (json_int_t)s.counters.accepted, "spooled", (json_int_t)s.waiting,
            "acknowledged", (json_int_t)s.acked, "voided", (json_int_t)s.voided,
            "refused", (json_int_t)s.refused, "corrupt", (json_int_t)s.corrupt,
            "fields_emptied", (json_int_t)s.counters.fields_emptied,
            "ring_bytes", (json_int_t)s.in_ring, "dropped",
            (json_int_t)counters_dropped(&s.counters), "drops",
            drops_json(&s.counters), "spool", "batches",
            (json_int_t)s.waiting_rows, "bytes", (json_int_t)s.waiting_bytes,
            "error", s.last_err ? err_text(s.last_err) : "", "lists", "applied",
            (json_int_t)s.lists.applied, "personal",
            (json_int_t)s.lists.personal, "segments",
            (json_int_t)s.lists.segments, "rows", (json_int_t)s.lists.rows,
            "model", s.lists.model, "link", link_json(c, &s)),
        NULL);
}

/* ---- recommend ---- */

static json_t *answer_json(const struct answer *a)
{
    json_t *items = json_array();

    for (uint32_t i = 0; i < a->count; i++) {
        const struct answer_item *it = &a->items[i];
        char reason[2 * ANSWER_TEXT_MAX + 64];
        answer_reason(it, a, reason, sizeof reason);
        json_array_append_new(
            items, json_pack("{s:i,s:s,s:s,s:f,s:s}", "rank", (int)i + 1,
                             "item", it->item, "name", it->name, "score",
                             (double)it->score, "reason", reason));
    }
    return json_pack("{s:s,s:s,s:b,s:o}", "model", a->model, "segment",
                     a->segment, "personal", (int)a->personal, "items", items);
}

static const char *const slots[] = {"for-you", "popular", NULL};

static void verb_recommend(void *owner, struct control_call *call)
{
    struct core *c = owner;
    const char *user = control_text(call, "user");
    const char *slot = control_text(call, "slot");
    struct span raw = user ? span_text(user) : span_of(NULL, 0);
    json_int_t count = control_int(call, "n", 10);
    struct answer *a = malloc(sizeof *a);
    enum sotto_err err;

    if (!a) {
        control_end(call, EXIT_FINDINGS, NULL, "no memory");
        return;
    }
    if (slot && strcmp(slot, slots[0]) != 0 && strcmp(slot, slots[1]) != 0) {
        control_end(call, EXIT_USAGE, NULL,
                    "no such slot; there are for-you and popular");
        free(a);
        return;
    }
    if (count < 1 || count > LIST_ITEMS_MAX)
        count = 10;
    if (slot && strcmp(slot, "popular") == 0)
        err = lists_answer(c->lists, NULL, (uint32_t)count,
                           trusted_now(&c->time), a);
    else
        err = core_recommend(c, user ? &raw : NULL, (uint32_t)count, a);
    if (err)
        control_end(call, EXIT_FINDINGS, NULL,
                    err == SOTTO_ENOTFOUND
                        ? "no list has arrived yet: has the aggregator "
                          "trained (`sotto-aggregator train`) and is the "
                          "agent connected (`sotto-agent status`)?"
                        : err_text(err));
    else
        control_end(call, EXIT_GOOD, answer_json(a), NULL);
    free(a);
}

/* ---- import ---- */

#define RING_WAIT_US 2000

struct import_job {
    uv_work_t work;
    struct core *core;
    struct control_call *call;
    struct intake_map *map;
    struct raw_memory *memory;
    struct import_options options;
    struct import_cursor start;
    struct import_report report;
    struct why why;
    enum sotto_err err;
};

static enum sotto_err job_take(void *context, const struct raw_event *raw,
                               uint32_t consent_known, uint32_t consent_granted,
                               const struct import_cursor *cursor,
                               enum drop_reason *dropped)
{
    struct import_job *job = context;
    uint32_t granted = consent_known & consent_granted;
    enum drop_reason drop;

    for (;;) { /* a full ring: an import waits */
        drop = take_import(&job->core->take, job->memory, raw, granted, cursor);
        if (control_cancelled(job->call) || drop == DROP_CLOSED)
            return SOTTO_ECLOSED;
        if (drop != DROP_RING_FULL)
            break;
        uv_async_send(&job->core->wake);
        usleep(RING_WAIT_US);
    }
    *dropped = drop;
    return SOTTO_OK;
}

static enum sotto_err job_progress(void *context, uint64_t rows, uint64_t bytes,
                                   uint64_t total)
{
    struct import_job *job = context;

    (void)rows;
    control_progress(job->call, "import", bytes, total);
    return control_cancelled(job->call) ? SOTTO_ECLOSED : SOTTO_OK;
}

static void job_on_worker(uv_work_t *work)
{
    struct import_job *job = work->data;
    const struct import_sink sink = {job_take, job_progress, job};

    job->err =
        import_run(&job->options, &job->start, &sink, &job->report, &job->why);
    if (!job->err)
        job->err = core_sync(job->core, 60000);
    if (job->err && !*job->why.text)
        why_say(&job->why, job->err, "%s", err_text(job->err));
}

static json_t *report_json(const struct import_report *r)
{
    json_t *refused = json_object();

    for (uint32_t i = 0; i < r->cursor.reason_count; i++)
        json_object_set_new(
            refused, r->cursor.reasons[i].name,
            json_integer((json_int_t)r->cursor.reasons[i].count));
    return json_pack("{s:I,s:I,s:I,s:o}", "rows", (json_int_t)r->rows,
                     "skipped", (json_int_t)r->skipped, "accepted",
                     (json_int_t)r->accepted, "refused", refused);
}

static void job_free(struct import_job *job)
{
    intake_map_free(job->map);
    raw_memory_free(job->memory);
    free(job);
}

static void job_on_loop(uv_work_t *work, int status)
{
    struct import_job *job = work->data;

    (void)status;
    core_produce_end(job->core);
    if (job->err)
        control_end(job->call, err_exit(job->err), report_json(&job->report),
                    job->why.text);
    else
        control_end(job->call, EXIT_GOOD, report_json(&job->report), NULL);
    job_free(job);
}

/* Everything in the ring goes to the spool first, so that the spool's cursor
 * is the later of the two. */
static enum sotto_err job_find_start(struct import_job *job)
{
    uint8_t source[16];
    struct buf bytes;
    uint32_t committed;
    enum sotto_err err = batcher_turn(job->core->batcher, true, &committed);

    if (err)
        return why_say(&job->why, err,
                       "the spool takes nothing: %s; wait until the "
                       "aggregator has taken some (`sotto-agent status`) or "
                       "make room on the disk, then import again",
                       err_text(err));
    import_source_id(source, &job->options);
    buf_init(&bytes, 4096);
    err = spool_cursor_get(job->core->spool, source, &bytes);
    if (err == SOTTO_ENOTFOUND)
        err = SOTTO_OK;
    else if (!err)
        err = cursor_decode(&job->start, span_of(bytes.data, bytes.size));
    buf_fini(&bytes);
    return err;
}

static enum sotto_err job_prepare(struct import_job *job)
{
    const char *map = control_text(job->call, "map");
    enum sotto_err err;

    job->options.file = control_text(job->call, "file");
    job->options.source_name = control_text(job->call, "source");
    job->options.policy = take_policy_now(&job->core->take);
    job->options.key = job->core->home->import_key;
    if (!job->options.file)
        return why_say(&job->why, SOTTO_EINVAL, "no file was named");
    if (!job->options.policy)
        return why_say(&job->why, SOTTO_EAGAIN,
                       "no policy yet: make the bundle with --policy, or wait "
                       "until the aggregator has sent one");
    if (map) {
        err = intake_map_load(&job->map, map, &job->why);
        if (err)
            return err;
        job->options.map = job->map;
    }
    job->memory = raw_memory_make(job->core->home->import_key);
    if (!job->memory)
        return SOTTO_ENOMEM;
    return job_find_start(job);
}

static void verb_import(void *owner, struct control_call *call)
{
    struct import_job *job = calloc(1, sizeof *job);
    enum sotto_err err;

    if (!job) {
        control_end(call, EXIT_FINDINGS, NULL, "no memory");
        return;
    }
    job->core = owner;
    job->call = call;
    job->work.data = job;
    err = job_prepare(job);
    if (!err && uv_queue_work(job->core->loop, &job->work, job_on_worker,
                              job_on_loop) == 0) {
        core_produce_begin(job->core);
        return;
    }
    control_end(call, err_exit(err ? err : SOTTO_ENOMEM), NULL,
                *job->why.text ? job->why.text : err_text(err));
    job_free(job);
}

const struct control_verb agent_verbs[] = {
    {"status", verb_status, false},
    {"import", verb_import, false},
    {"recommend", verb_recommend, false},
    {NULL, NULL, false},
};
