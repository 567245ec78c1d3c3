/* See batcher.h. The state between two commits:
 *
 *   mark      positions below it are in the spool
 *   position  positions below it are in the open batch (or moved a cursor)
 *   sealed    an envelope that waits for room in the spool, if not empty; the
 *             batch it was made of is still open, so a retry is the same bytes
 */
#include "agent/batcher.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "policy/batch.h"

#define SOURCES_MAX 10000 /* imports remembered for resuming */
#define MOVED_MAX 8       /* of them, in one batch */

struct source { /* an import's cursor, as of `position` */
    uint8_t id[16];
    struct import_cursor cursor;
    bool moved; /* since the last commit */
};

struct batcher {
    struct batcher_parts use;
    struct batch *batch;
    uint32_t policy_number; /* of the open batch */
    const struct policy *policy;
    uint64_t mark, position;
    int64_t first_ms; /* when the open batch got its first event (monotonic) */
    uint64_t corrupt;
    uint32_t source_count, source_capacity;
    uint32_t moved_count; /* of the sources, since the last commit */
    struct source *sources;
    struct buf body, sealed;
    struct envelope head;        /* of what is sealed */
    uint8_t previous[HASH_SIZE]; /* the chain that it follows */
    uint32_t sealed_events;
    bool moved; /* cursors moved without an event */
};

/* The newest last: it is the one that is asked for. SOTTO_EFULL: too many. */
static enum sotto_err source_of(struct batcher *b, const uint8_t id[16],
                                struct source **out)
{
    uint32_t capacity = b->source_capacity ? b->source_capacity * 2 : 16;
    struct source *s;

    for (uint32_t i = b->source_count; i-- > 0;)
        if (memcmp(b->sources[i].id, id, 16) == 0) {
            *out = &b->sources[i];
            return SOTTO_OK;
        }
    if (b->source_count == SOURCES_MAX)
        return SOTTO_EFULL;
    if (b->source_count == b->source_capacity) {
        s = realloc(b->sources, capacity * sizeof *s);
        if (!s)
            return SOTTO_ENOMEM;
        b->sources = s;
        b->source_capacity = capacity;
    }
    s = *out = &b->sources[b->source_count++];
    memset(s, 0, sizeof *s);
    memcpy(s->id, id, 16);
    return SOTTO_OK;
}

struct loading {
    struct batcher *batcher;
    enum sotto_err err;
};

static void load_cursor(void *context, const struct spool_cursor *c)
{
    struct loading *l = context;
    struct import_cursor cursor;
    struct source *s;

    if (l->err || cursor_decode(&cursor, c->bytes))
        return;
    l->err = source_of(l->batcher, c->source, &s);
    if (l->err == SOTTO_EFULL)
        l->err = SOTTO_OK; /* the others count */
    else if (!l->err)
        cursor_copy(&s->cursor, &cursor);
}

enum sotto_err batcher_open(struct batcher **out,
                            const struct batcher_parts *parts)
{
    struct batcher *b = calloc(1, sizeof *b);
    struct loading loading = {b, SOTTO_OK};
    enum sotto_err err;

    if (!b)
        return SOTTO_ENOMEM;
    b->use = *parts;
    buf_init(&b->body, PAYLOAD_MAX);
    buf_init(&b->sealed, FRAME_MAX);
    err = spool_ring(parts->spool, journal_id(parts->journal));
    if (err)
        goto fail;
    err = spool_cursor_each(parts->spool, load_cursor, &loading);
    if (!err)
        err = loading.err;
    if (err)
        goto fail;
    b->mark = spool_state(parts->spool)->ring_mark;
    journal_release(parts->journal, b->mark);
    b->position = b->mark = journal_tail(parts->journal);
    *out = b;
    return SOTTO_OK;

fail:
    batcher_close(b);
    return err;
}

void batcher_close(struct batcher *b)
{
    if (!b)
        return;
    batch_close(b->batch);
    buf_fini(&b->body);
    buf_fini(&b->sealed);
    free(b->sources);
    free(b);
}

/* ---- counters ---- */

/* Of this ring and those before it. Cursors are kept by themselves, so their
 * refusals are not in here: they would be counted twice after a restart. */
static void count_live(const struct batcher *b, struct counters *out)
{
    struct journal_counters *live = journal_counters(b->use.journal);
    uint64_t damaged;

    *out = spool_state(b->use.spool)->base;
    for (int i = 1; i < DROP_COUNT; i++) {
        uint64_t count =
            atomic_load_explicit(&live->drops[i], memory_order_relaxed);
        if (count > 0)
            counters_add(out, drop_name((enum drop_reason)i), count);
    }
    damaged = atomic_load_explicit(&live->damaged, memory_order_relaxed);
    if (damaged > 0)
        counters_add(out, "ring_damaged", damaged);
    out->fields_emptied +=
        atomic_load_explicit(&live->fields_emptied, memory_order_relaxed);
}

void batcher_counters(const struct batcher *b, struct counters *out)
{
    count_live(b, out);
    for (uint32_t i = 0; i < b->source_count; i++)
        for (uint32_t j = 0; j < b->sources[i].cursor.reason_count; j++)
            counters_add(out, b->sources[i].cursor.reasons[j].name,
                         b->sources[i].cursor.reasons[j].count);
    out->accepted = spool_state(b->use.spool)->accepted +
                    (b->policy ? batch_count(b->batch) : 0);
    out->produced = out->accepted + counters_dropped(out);
}

/* ---- closing a batch ---- */

/* Seals payload as the next envelope of the stream into b->sealed. */
static enum sotto_err seal(struct batcher *b, uint32_t kind,
                           struct span payload)
{
    const struct spool_state *state = spool_state(b->use.spool);

    memset(&b->head, 0, sizeof b->head);
    b->head.kind = kind;
    b->head.stream = state->stream;
    b->head.sequence = state->next_sequence;
    memcpy(b->head.chain, state->chain, HASH_SIZE);
    memcpy(b->previous, state->chain, HASH_SIZE);
    if (kind == KIND_BATCH)
        memcpy(b->head.policy, b->policy->hash, HASH_SIZE);
    return envelope_write(&b->sealed, &b->head, payload, b->use.home->keys,
                          &b->use.home->aggregator);
}

/* While an envelope waited for room, its place may have moved: another stream
 * after a fork, another chain after a void. */
static enum sotto_err follow_stream(struct batcher *b)
{
    const struct spool_state *state = spool_state(b->use.spool);
    uint8_t chain[HASH_SIZE];
    enum sotto_err err;

    if (b->sealed.size == 0 ||
        (b->head.stream == state->stream &&
         b->head.sequence == state->next_sequence &&
         memcmp(b->previous, state->chain, HASH_SIZE) == 0))
        return SOTTO_OK;
    memcpy(chain, state->chain, HASH_SIZE);
    err = envelope_rewrite(&b->body, span_of(b->sealed.data, b->sealed.size),
                           state->stream, state->next_sequence, chain,
                           b->use.home->keys);
    if (!err)
        err = buf_reserve(&b->sealed, b->body.size);
    if (err)
        return err;
    buf_clear(&b->sealed);
    err = buf_append(&b->sealed, b->body.data, b->body.size);
    b->head.stream = state->stream;
    b->head.sequence = state->next_sequence;
    memcpy(b->head.chain, chain, HASH_SIZE);
    memcpy(b->previous, state->chain, HASH_SIZE);
    return err;
}

/* One transaction: envelope (if any), ring mark, cursors, counters. */
static enum sotto_err commit(struct batcher *b)
{
    uint8_t bytes[MOVED_MAX][CURSOR_BYTES_MAX];
    struct spool_cursor cursors[MOVED_MAX];
    struct counters total;
    enum sotto_err err = follow_stream(b);
    struct spool_entry e = {
        .envelope = span_of(b->sealed.data, b->sealed.size),
        .kind = b->head.kind,
        .events = b->sealed_events,
        .ring_mark = b->position,
        .total = &total,
        .cursors = cursors,
        .now_ms = trusted_stamp(b->use.time),
    };

    if (err)
        return err;
    count_live(b, &total);
    memcpy(e.chain, b->head.chain, HASH_SIZE);
    for (uint32_t i = 0; i < b->source_count && b->moved_count > 0; i++) {
        if (!b->sources[i].moved)
            continue;
        assert(e.cursor_count < MOVED_MAX); /* close_wanted sees to it */
        memcpy(cursors[e.cursor_count].source, b->sources[i].id, 16);
        cursors[e.cursor_count].bytes = span_of(
            bytes[e.cursor_count],
            cursor_encode(&b->sources[i].cursor, bytes[e.cursor_count]));
        e.cursor_count++;
    }
    err = spool_commit(b->use.spool, &e);
    if (err)
        return err;
    for (uint32_t i = 0; i < b->source_count && b->moved_count > 0; i++)
        b->sources[i].moved = false;
    b->moved_count = 0;
    b->mark = b->position;
    journal_release(b->use.journal, b->mark);
    buf_clear(&b->sealed);
    b->sealed_events = 0;
    b->policy = NULL;
    b->moved = false;
    return SOTTO_OK;
}

/* An empty batch of p. Its memory is taken at the first one: a tool that only
 * asks for a list needs none. */
static enum sotto_err begin(struct batcher *b, const struct policy *p,
                            uint32_t number)
{
    enum sotto_err err = SOTTO_OK;

    if (!b->batch)
        err = batch_open(&b->batch, (uint32_t)b->use.settings->batch_events,
                         (size_t)b->use.settings->batch_bytes);
    if (err)
        return err;
    b->policy = p;
    b->policy_number = number;
    batch_begin(b->batch, p);
    return SOTTO_OK;
}

/* Closes the open batch, or what only moved cursors. */
static enum sotto_err close_batch(struct batcher *b, uint32_t *committed)
{
    struct counters counters;
    enum sotto_err err;

    if (b->sealed.size == 0 && (b->policy || b->moved)) {
        if (!b->policy) { /* counters of refused rows travel alone */
            uint32_t number = 0;
            const struct policy *p =
                policyset_current(b->use.policies, &number);
            err = p ? begin(b, p, number) : SOTTO_EAGAIN;
            if (err)
                return err;
        }
        batcher_counters(b, &counters);
        buf_clear(&b->body);
        err = batch_encode(b->batch, &counters, &b->body);
        if (!err)
            err = seal(b, KIND_BATCH, span_of(b->body.data, b->body.size));
        if (err)
            return err;
        b->sealed_events = batch_count(b->batch);
    }
    if (b->sealed.size == 0 && b->position == b->mark)
        return SOTTO_OK;
    err = commit(b); /* without an envelope if only records were skipped */
    if (!err)
        ++*committed;
    return err;
}

/* ---- taking records ---- */

static void tell_lists(struct batcher *b, const struct policy *p,
                       const struct event *ev)
{
    const struct spool_state *state = spool_state(b->use.spool);
    const struct event_value *item = event_role_value(p, ev, ROLE_ITEM);
    const struct event_value *who = event_role_value(p, ev, ROLE_SUBJECT);
    enum event_role role = p->events[ev->index].role;

    if (b->use.lists && item && item->text.size > 0 && who)
        lists_seen(b->use.lists, who->id, item->text, role == EVENT_PURCHASE,
                   state->stream, state->next_sequence);
}

static enum sotto_err
take_row(struct batcher *b, const struct journal_record *rec, struct span row)
{
    const struct policy *p = policyset_get(b->use.policies, rec->policy);
    struct event ev;
    enum sotto_err err;

    if (!p || event_decode(p, row, &ev)) {
        b->corrupt++;
        log_error("ring",
                  "a record of policy number %u cannot be read; it is "
                  "skipped and counted",
                  (unsigned)rec->policy);
        return SOTTO_OK;
    }
    if (!b->policy) {
        err = begin(b, p, rec->policy);
        if (err)
            return err;
        b->first_ms = clock_mono_ms(&clock_system);
    }
    err = batch_add(b->batch, &ev);
    if (!err)
        tell_lists(b, p, &ev);
    return err;
}

/* The source of a record's cursor, with room made for it before anything of the
 * record is taken: a row without its cursor would be read again. *out NULL: the
 * cursor cannot be read, or there are too many. SOTTO_ENOMEM. */
static enum sotto_err find_source(struct batcher *b, struct span bytes,
                                  struct import_cursor *cursor,
                                  struct source **out)
{
    enum sotto_err err = cursor_decode(cursor, bytes);

    *out = NULL;
    if (!err)
        err = source_of(b, cursor->source, out);
    return err == SOTTO_ENOMEM ? err : SOTTO_OK;
}

static void take_cursor(struct batcher *b, struct source *s,
                        const struct import_cursor *cursor)
{
    if (!s) {
        b->corrupt++;
        return;
    }
    cursor_copy(&s->cursor, cursor);
    b->moved_count += !s->moved;
    s->moved = true;
    b->moved = true;
}

/* What passes is tried again before the record is taken; a damaged file of
 * lists does not keep the aggregator from hearing of it. */
static enum sotto_err forget_here(struct batcher *b, const uint8_t *subject)
{
    enum sotto_err err =
        b->use.lists ? lists_forget(b->use.lists, subject) : SOTTO_OK;

    if (err == SOTTO_ENOMEM || err == SOTTO_ELOCKED || err == SOTTO_EFULL)
        return err;
    if (err)
        log_error("lists",
                  "the list of somebody who withdrew could not be removed: "
                  "%s; remove lists.db, the aggregator sends the others again",
                  err_text(err));
    return SOTTO_OK;
}

static enum sotto_err take_forget(struct batcher *b, struct span subject,
                                  uint64_t next, uint32_t *committed)
{
    enum sotto_err err = close_batch(b, committed);

    if (err)
        return err;
    err = forget_here(b, subject.data);
    if (!err)
        err = seal(b, KIND_FORGET, subject);
    if (err)
        return err;
    b->position = next;
    err = commit(b);
    if (!err)
        ++*committed;
    return err;
}

/* One record into the batch. SOTTO_EFULL: the batch must close first. */
static enum sotto_err take_record(struct batcher *b,
                                  const struct journal_record *rec,
                                  uint32_t *committed)
{
    struct span p = rec->payload;
    struct import_cursor cursor;
    struct source *source;
    uint32_t size = 0;
    enum sotto_err err = SOTTO_OK;

    switch (rec->kind) {
    case JOURNAL_EVENT:
        err = take_row(b, rec, p);
        break;
    case JOURNAL_EVENT_CURSOR:
        if (p.size >= 4)
            memcpy(&size, p.data, 4); /* little endian, as take.c wrote it */
        if (p.size < 4 || size > p.size - 4) {
            b->corrupt++;
            break;
        }
        err = find_source(b, span_of(p.data + 4 + size, p.size - 4 - size),
                          &cursor, &source);
        if (!err)
            err = take_row(b, rec, span_of(p.data + 4, size));
        if (!err)
            take_cursor(b, source, &cursor);
        break;
    case JOURNAL_CURSOR:
        err = find_source(b, p, &cursor, &source);
        if (!err)
            take_cursor(b, source, &cursor);
        break;
    case JOURNAL_FORGET:
        if (p.size == 16)
            return take_forget(b, p, rec->next, committed);
        b->corrupt++;
        break;
    default:
        break;
    }
    if (!err)
        b->position = rec->next;
    return err;
}

/* Whether the open batch must close before rec is taken. */
static bool close_wanted(const struct batcher *b,
                         const struct journal_record *rec)
{
    bool event =
        rec->kind == JOURNAL_EVENT || rec->kind == JOURNAL_EVENT_CURSOR;

    return (event && b->policy && rec->policy != b->policy_number) ||
           b->moved_count >= MOVED_MAX - 1 ||
           (b->policy &&
            batch_count(b->batch) >= (uint32_t)b->use.settings->batch_events);
}

static bool too_old(const struct batcher *b)
{
    return b->policy && clock_mono_ms(&clock_system) - b->first_ms >=
                            b->use.settings->batch_age_ms;
}

/* Drains everything that is committed in the ring right now. */
static enum sotto_err drain(struct batcher *b, uint32_t *committed)
{
    struct journal_record rec;
    enum sotto_err err;

    for (;;) {
        err = journal_read(b->use.journal, b->position, &rec);
        if (err == SOTTO_EAGAIN)
            return SOTTO_OK;
        if (err == SOTTO_EDECODE) {
            b->corrupt++;
            log_error("ring", "a record does not match its checksum; it is "
                              "skipped and counted");
            b->position = rec.next;
            continue;
        }
        if (err)
            return err;
        if (close_wanted(b, &rec) && (err = close_batch(b, committed)))
            return err;
        err = take_record(b, &rec, committed);
        if (err == SOTTO_EFULL && b->sealed.size == 0 && b->policy) {
            err = close_batch(b, committed);
            if (!err)
                continue; /* the same record again, into an empty batch */
        }
        if (err)
            return err;
    }
}

enum sotto_err batcher_turn(struct batcher *b, bool flush, uint32_t *committed)
{
    enum sotto_err err = SOTTO_OK;

    *committed = 0;
    if (b->sealed.size > 0) { /* a commit that failed before */
        err = commit(b);
        *committed += !err;
    }
    if (!err)
        err = drain(b, committed);
    if (!err && (flush || too_old(b)))
        err = close_batch(b, committed);
    return err;
}

bool batcher_idle(const struct batcher *b)
{
    return !b->policy && !b->moved && b->sealed.size == 0 &&
           journal_used(b->use.journal) == 0;
}

uint64_t batcher_mark(const struct batcher *b)
{
    return b->mark;
}

uint64_t batcher_corrupt(const struct batcher *b)
{
    return b->corrupt;
}
