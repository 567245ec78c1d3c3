/* See ledger.h. Rows are known by the hash of their sealed body, which stays
 * the same through resends, forks and clones; events by the number that stands
 * in their item field ("e-17"). */
#include "ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/spool_db.h"
#include "base/dict.h"
#include "policy/batch.h"

#define ROWS_MAX (16 * 1024 * 1024)

#define REPLY_MS (31 * SECOND) /* a request is over by then */

struct fate { /* of an event */
    uint8_t stored;
    uint8_t excuse;
};

struct row {
    uint32_t first, count; /* of its events in row_events */
    uint32_t node;
    int64_t sealed_ms;
    int64_t left_ms; /* a fork left it behind, as known over there; or 0 */
};

struct numbers { /* a growing list */
    uint32_t *at;
    size_t count, capacity;
};

struct pending { /* what the spool was asked to do */
    enum { PENDING_NOTHING, PENDING_SEAL, PENDING_FORK } kind;
    uint32_t row;
    size_t events;
    uint64_t stream;
    size_t from; /* rows that a fork keeps begin here */
};

struct side {            /* of an agent */
    struct numbers ring; /* events taken and not sealed, in order */
    size_t ring_first;
    struct numbers rows; /* of its stream; index + 1 is the sequence */
    uint64_t stream;
    struct pending pending;
    bool powered;  /* off since the ring was last told of */
    bool doubtful; /* the disk may have a row that the spool said it has not */
    struct dict sent; /* stream, sequence, chain of what it ever sent */
    uint64_t sent_chains_count, *sent_chains;
};

struct ledger_book {
    struct numbers rows;
    uint64_t stream;
    int64_t made_ms;
    uint32_t node;
};

struct lane { /* a stream at the aggregator */
    uint64_t count;
    uint64_t capacity;
    uint64_t *chains; /* first bytes */
};

struct ledger_counts ledger_counts;
static struct fate *fates;
static uint32_t fate_count, fate_capacity;
static struct dict row_of; /* body hash -> row */
static struct row *rows;
static uint32_t row_capacity;
static struct numbers row_events;
static struct side sides[NODES_MAX];
static struct dict lane_of; /* stream -> lane */
static struct lane *lanes;
static uint32_t lane_capacity;
static uint64_t newest_chunk;
static int64_t restored_ms = -HOUR; /* the aggregator, last */

static void push(struct numbers *n, uint32_t number)
{
    if (n->count == n->capacity) {
        n->capacity = n->capacity ? 2 * n->capacity : 64;
        n->at = realloc(n->at, n->capacity * sizeof *n->at);
        sim_must(n->at, "memory");
    }
    n->at[n->count++] = number;
}

static void numbers_copy(struct numbers *to, const struct numbers *from)
{
    to->count = 0;
    for (size_t i = 0; i < from->count; i++)
        push(to, from->at[i]);
}

static uint64_t word(const uint8_t *bytes)
{
    uint64_t w;

    memcpy(&w, bytes, sizeof w);
    return w;
}

static struct side *side_of(const struct node *n)
{
    return &sides[n->number];
}

static void excuse_row(uint32_t row, enum excuse why)
{
    for (uint32_t i = 0; i < rows[row].count; i++)
        fates[row_events.at[rows[row].first + i]].excuse |= (uint8_t)why;
}

void ledger_fini(void)
{
    for (int i = 0; i < NODES_MAX; i++) {
        free(sides[i].ring.at);
        free(sides[i].rows.at);
        free(sides[i].sent_chains);
        dict_fini(&sides[i].sent);
    }
    for (uint32_t i = 0; i < lane_of.count; i++)
        free(lanes[i].chains);
    free(lanes);
    dict_fini(&lane_of);
    dict_fini(&row_of);
    free(rows);
    free(row_events.at);
    free(fates);
}

/* ---- events ---- */

uint32_t ledger_next(void)
{
    if (fate_count == fate_capacity) {
        fate_capacity = fate_capacity ? 2 * fate_capacity : 4096;
        fates = realloc(fates, fate_capacity * sizeof *fates);
        sim_must(fates, "memory");
    }
    memset(&fates[fate_count], 0, sizeof *fates);
    fates[fate_count].excuse = UINT8_MAX; /* until it is taken */
    return fate_count++;
}

void ledger_taken(struct node *n, uint32_t number)
{
    fates[number].excuse = 0;
    ledger_counts.taken++;
    push(&side_of(n)->ring, number);
}

/* ---- the spool ---- */

static uint32_t row_intern(struct span envelope, bool *fresh)
{
    uint8_t hash[HASH_SIZE];
    uint32_t before = row_of.count, number;
    struct envelope e;

    sim_must(!envelope_parse(&e, envelope), "reading an envelope");
    hash_bytes(hash, e.body, span_of(NULL, 0));
    if (!row_of.count_max)
        dict_init(&row_of, ROWS_MAX, (size_t)ROWS_MAX * HASH_SIZE, 1);
    sim_must(!dict_intern(&row_of, span_of(hash, HASH_SIZE), &number),
             "memory");
    *fresh = number == before;
    if (*fresh) {
        if (number >= row_capacity) {
            row_capacity = row_capacity ? 2 * row_capacity : 1024;
            rows = realloc(rows, row_capacity * sizeof *rows);
            sim_must(rows, "memory");
        }
        memset(&rows[number], 0, sizeof *rows);
    }
    return number;
}

/* On a dead disk only the first call may have come to be; those after it fail
 * for sure. */
static bool in_doubt(const struct node *n, const struct side *s)
{
    return n->disk == DISK_DEAD && s->pending.kind != PENDING_NOTHING;
}

void ledger_seal(struct node *n, const struct spool_entry *e)
{
    struct side *s = side_of(n);
    bool fresh;

    if (!e->envelope.size || in_doubt(n, s))
        return;
    s->pending.kind = PENDING_SEAL;
    s->pending.row = row_intern(e->envelope, &fresh);
    s->pending.events = e->events;
}

void ledger_fork(struct node *n, const struct spool *sp, uint64_t stream)
{
    struct side *s = side_of(n);

    if (!in_doubt(n, s))
        s->pending = (struct pending){.kind = PENDING_FORK,
                                      .stream = stream,
                                      .from = (size_t)sp->now.first - 1};
}

static void sealed(struct node *n, struct side *s)
{
    struct row *r = &rows[s->pending.row];
    size_t left = s->ring.count - s->ring_first;

    if (s->pending.events > left) {
        violated("a row of %zu events was sealed, the ring had %zu",
                 s->pending.events, left);
        return;
    }
    r->first = (uint32_t)row_events.count;
    r->count = (uint32_t)s->pending.events;
    r->node = n->number;
    r->sealed_ms = world.now_ms;
    for (uint32_t i = 0; i < r->count; i++) {
        uint32_t number = s->ring.at[s->ring_first++];
        fates[number].excuse &= (uint8_t)~EXCUSE_RING;
        push(&row_events, number);
    }
    if (s->ring_first == s->ring.count)
        s->ring.count = s->ring_first = 0;
    push(&s->rows, s->pending.row);
    ledger_counts.rows++;
    trace("sealed %zu of %u", s->rows.count, r->count);
}

/* What replay has let go, and was stored, for it was acknowledged: a restored
 * aggregator may be without it. */
static void excuse_missing(const struct row *r, bool stored)
{
    for (uint32_t i = 0; i < r->count; i++) {
        struct fate *f = &fates[row_events.at[r->first + i]];
        if ((f->stored > 0) == stored)
            f->excuse |= EXCUSE_LEFT;
    }
}

static void forked(struct side *s)
{
    size_t kept = s->rows.count - s->pending.from;

    for (size_t i = 0; i < s->pending.from; i++) {
        struct row *r = &rows[s->rows.at[i]];
        if (!r->left_ms)
            r->left_ms = world.now_ms;
        excuse_missing(r, false);
    }
    memmove(s->rows.at, s->rows.at + s->pending.from,
            kept * sizeof *s->rows.at);
    s->rows.count = kept;
    s->stream = s->pending.stream;
    ledger_counts.forks++;
    trace("forked, %zu rows go on", kept);
}

/* Whether what was pending came to be; also the answer of a spool that is
 * opened after the process died within the call. */
void ledger_settle(struct node *n, const struct spool *sp)
{
    const struct spool_state *t = spool_state(sp);
    struct side *s = side_of(n);

    if (!s->stream)
        s->stream = t->stream;
    if (s->pending.kind != PENDING_NOTHING)
        s->doubtful = false;
    if (s->pending.kind == PENDING_FORK && t->stream == s->pending.stream)
        forked(s);
    else if (s->pending.kind == PENDING_SEAL &&
             t->next_sequence - 1 == s->rows.count + 1)
        sealed(n, s);
    else if (s->pending.kind != PENDING_NOTHING)
        s->doubtful = true;
    if (s->doubtful && n->disk == DISK_DEAD)
        return; /* the next boot tells */
    s->pending.kind = PENDING_NOTHING;
    if (s->powered)
        s->ring.count = s->ring_first = 0;
    s->powered = false;
    if (t->stream != s->stream || t->next_sequence - 1 != s->rows.count)
        violated("the spool has %llu rows, it committed %zu",
                 (unsigned long long)t->next_sequence - 1, s->rows.count);
    if (t->ring_mark > 0 && t->acked >= t->next_sequence)
        violated("acknowledged beyond what was sealed");
}

static const struct lane *lane_find(uint64_t stream)
{
    uint32_t number = lane_of.count_max
                          ? dict_find(&lane_of, span_of(&stream, sizeof stream))
                          : DICT_NONE;

    return number == DICT_NONE ? NULL : &lanes[number];
}

/* Acknowledged is durable, over there, with this content. */
void ledger_acked(struct node *n, const struct spool *sp, uint64_t before)
{
    const struct spool_state *t = spool_state(sp);
    const struct lane *lane = lane_find(t->stream);

    ledger_counts.acks++;
    trace("acknowledged %llu", (unsigned long long)t->acked);
    (void)n;
    /* A reply from before a restore may still arrive; it was true then, and
     * the next one tells. */
    if (t->acked <= before || world.now_ms - restored_ms < REPLY_MS)
        return;
    if (!lane || lane->count < t->acked)
        violated("acknowledged up to %llu, durable up to %llu",
                 (unsigned long long)t->acked,
                 lane ? (unsigned long long)lane->count : 0);
    else if (lane->chains[t->acked - 1] != word(t->acked_chain))
        violated("acknowledged %llu, another content is durable",
                 (unsigned long long)t->acked);
}

void ledger_rewound(struct node *n, uint64_t watermark, uint64_t missing)
{
    struct side *s = side_of(n);

    ledger_counts.rewinds++;
    ledger_counts.gaps += missing;
    trace("rewound to %llu, %llu missing", (unsigned long long)watermark,
          (unsigned long long)missing);
    for (uint64_t i = 0; i < missing && watermark + i < s->rows.count; i++)
        excuse_row(s->rows.at[watermark + i], EXCUSE_GAP);
}

void ledger_voided(struct span envelope)
{
    bool fresh;
    uint32_t row = row_intern(envelope, &fresh);

    ledger_counts.voids++;
    if (!fresh)
        excuse_row(row, EXCUSE_VOID);
}

void ledger_refused(struct node *n, uint64_t sequence)
{
    struct side *s = side_of(n);

    trace("refused %llu", (unsigned long long)sequence);
    if (sequence <= s->rows.count)
        excuse_row(s->rows.at[sequence - 1], EXCUSE_REFUSED);
}

struct sent_key {
    uint64_t stream, sequence;
};

/* One agent never says two things under one sequence; it may after it was
 * restored, for then it is another agent with the same name. */
void ledger_sent(struct node *n, struct span bytes)
{
    struct side *s = side_of(n);
    struct sent_key key;
    struct envelope e;
    uint32_t before = s->sent.count, number;

    if (envelope_parse(&e, bytes) || e.kind > KIND_FORGET)
        return;
    if (!s->sent.count_max)
        dict_init(&s->sent, ROWS_MAX, (size_t)ROWS_MAX * sizeof key, 2);
    key = (struct sent_key){e.stream, e.sequence};
    sim_must(!dict_intern(&s->sent, span_of(&key, sizeof key), &number),
             "memory");
    if (number >= s->sent_chains_count) {
        s->sent_chains_count =
            s->sent_chains_count ? 2 * s->sent_chains_count : 1024;
        s->sent_chains = realloc(s->sent_chains, s->sent_chains_count * 8);
        sim_must(s->sent_chains, "memory");
    }
    if (number == before)
        s->sent_chains[number] = word(e.chain);
    else if (s->sent_chains[number] != word(e.chain))
        violated("sequence %llu was sent with two contents",
                 (unsigned long long)e.sequence);
}

void ledger_balance(struct node *n, const struct spool *sp, uint64_t unsealed)
{
    const struct spool_state *t = spool_state(sp);
    const struct side *s = side_of(n);
    uint64_t sum = t->acked_events + t->waiting_events + t->voided_events +
                   t->refused_events;

    if (t->accepted != sum)
        violated("accepted %llu, but acknowledged %llu + spool %llu + "
                 "voided %llu + refused %llu",
                 (unsigned long long)t->accepted,
                 (unsigned long long)t->acked_events,
                 (unsigned long long)t->waiting_events,
                 (unsigned long long)t->voided_events,
                 (unsigned long long)t->refused_events);
    if (unsealed != s->ring.count - s->ring_first)
        violated("the ring has %llu events, %zu were taken and not sealed",
                 (unsigned long long)unsealed, s->ring.count - s->ring_first);
}

/* ---- deaths and restores of agents ---- */

void ledger_power(struct node *n)
{
    struct side *s = side_of(n);

    for (size_t i = s->ring_first; i < s->ring.count; i++)
        fates[s->ring.at[i]].excuse |= EXCUSE_RING;
    s->powered = true; /* a row in doubt may have some of them */
}

struct ledger_book *ledger_backup(const struct node *n)
{
    const struct side *s = side_of(n);
    struct ledger_book *b;

    if (s->doubtful)
        return NULL;
    b = calloc(1, sizeof *b);
    sim_must(b, "memory");
    numbers_copy(&b->rows, &s->rows);
    b->stream = s->stream;
    b->made_ms = world.now_ms;
    b->node = n->number;
    return b;
}

void ledger_restore(struct node *to, const struct ledger_book *b, bool clone)
{
    struct side *s = side_of(to);

    for (uint32_t i = 0; i < row_of.count && !clone; i++)
        if (rows[i].node == to->number && rows[i].count > 0 &&
            rows[i].sealed_ms >= b->made_ms)
            excuse_row(i, EXCUSE_AGENT);
    numbers_copy(&s->rows, &b->rows);
    s->stream = b->stream;
    s->pending.kind = PENDING_NOTHING;
    s->doubtful = false;
    if (s->sent.count_max)
        dict_clear(&s->sent);
}

void ledger_book_free(struct ledger_book *b)
{
    if (b)
        free(b->rows.at);
    free(b);
}

/* ---- the aggregator ---- */

static struct lane *lane_make(uint64_t stream)
{
    uint32_t before, number;

    if (!lane_of.count_max)
        dict_init(&lane_of, 1 << 20, (size_t)8 << 20, 3);
    before = lane_of.count;
    sim_must(!dict_intern(&lane_of, span_of(&stream, sizeof stream), &number),
             "memory");
    if (number >= lane_capacity) {
        lane_capacity = lane_capacity ? 2 * lane_capacity : 64;
        lanes = realloc(lanes, lane_capacity * sizeof *lanes);
        sim_must(lanes, "memory");
    }
    if (number == before)
        memset(&lanes[number], 0, sizeof *lanes);
    return &lanes[number];
}

static void lane_add(uint64_t stream, uint64_t sequence, const uint8_t *chain)
{
    struct lane *l = lane_make(stream);

    if (sequence != l->count + 1) {
        violated("sequence %llu was committed after %llu",
                 (unsigned long long)sequence, (unsigned long long)l->count);
        return;
    }
    if (l->count == l->capacity) {
        l->capacity = l->capacity ? 2 * l->capacity : 64;
        l->chains = realloc(l->chains, l->capacity * sizeof *l->chains);
        sim_must(l->chains, "memory");
    }
    l->chains[l->count++] = word(chain);
}

static void store_event(const struct policy *p, const struct batch_view *view,
                        uint32_t i)
{
    const struct event_value *item;
    struct event ev;
    char text[33] = "";
    unsigned number;

    batch_view_event(view, i, &ev);
    item = event_role_value(p, &ev, ROLE_ITEM);
    memcpy(text, item->text.data, item->text.size);
    if (sscanf(text, "e-%u", &number) != 1 || number >= fate_count) {
        violated("an event that nobody made is in the log");
        return;
    }
    if (fates[number].stored < UINT8_MAX)
        fates[number].stored++;
    if (fates[number].stored > 1)
        violated("event %u is in the log %u times", number,
                 fates[number].stored);
}

static void store_payload(const uint8_t policy[HASH_SIZE], struct span zipped,
                          policy_lookup *find, void *policies)
{
    const struct policy *p = find(policies, policy);
    struct batch_view *view = NULL;
    struct buf plain;

    buf_init(&plain, PAYLOAD_MAX);
    sim_must(p && !payload_unzip(&plain, zipped, PAYLOAD_MAX) &&
                 !batch_decode(&view, span_of(plain.data, plain.size), p),
             "decoding what the log took");
    for (uint32_t i = 0; i < batch_view_count(view); i++)
        store_event(p, view, i);
    batch_view_free(view);
    buf_fini(&plain);
}

void ledger_committed(const struct log_entry *entries, size_t count,
                      policy_lookup *find, void *policies)
{
    ledger_counts.commits++;
    for (size_t i = 0; i < count && !*world.violation; i++) {
        const struct log_entry *e = &entries[i];
        lane_add(e->stream, e->sequence, e->chain);
        trace("committed %u %llu %u %s", (unsigned)e->kind,
              (unsigned long long)e->sequence, e->events,
              e->reason ? e->reason : "");
        if (e->kind == KIND_BATCH && !e->reason) {
            store_payload(e->policy, e->payload, find, policies);
            newest_chunk++;
        } else if (e->kind == KIND_FORGET && !e->reason) {
            newest_chunk++;
        }
        ledger_counts.moved += e->kind == KIND_BATCH && e->reason &&
                               strcmp(e->reason, "moved") == 0;
    }
}

static sqlite3_stmt *query(struct store *s, const char *text)
{
    sqlite3_stmt *q = NULL;

    sim_must(sqlite3_prepare_v2(s->db, text, -1, &q, NULL) == SQLITE_OK,
             "asking the store");
    return q;
}

/* Every sequence up to the watermark is a chunk, a refusal or a void, and
 * nothing lies above it. */
static void check_dense(struct store *s)
{
    sqlite3_stmt *q = query(
        s, "SELECT s.agent, s.watermark, (SELECT count(*) FROM chain c WHERE"
           " c.agent = s.agent AND c.stream = s.stream AND c.sequence <="
           " s.watermark), (SELECT count(*) FROM refused r WHERE r.agent ="
           " s.agent AND r.stream = s.stream AND r.sequence <= s.watermark) +"
           " coalesce(k.n, 0), coalesce(k.top, 0) FROM stream s LEFT JOIN"
           " (SELECT agent, stream, count(*) n, max(sequence) top FROM chunk"
           " GROUP BY agent, stream) k ON k.agent = s.agent AND"
           " k.stream = s.stream");

    while (sqlite3_step(q) == SQLITE_ROW) {
        int64_t mark = sqlite3_column_int64(q, 1);
        if (sqlite3_column_int64(q, 2) != mark ||
            sqlite3_column_int64(q, 3) != mark ||
            sqlite3_column_int64(q, 4) > mark)
            violated("agent %d: watermark %lld, applied %lld, chains %lld",
                     sqlite3_column_int(q, 0), (long long)mark,
                     (long long)sqlite3_column_int64(q, 3),
                     (long long)sqlite3_column_int64(q, 2));
    }
    sqlite3_finalize(q);
}

/* Chains and watermarks as they are on disk, against what was committed. */
static void check_lanes(struct store *s, bool restored)
{
    sqlite3_stmt *q = query(s, "SELECT stream, sequence, chain FROM chain"
                               " ORDER BY agent, stream, sequence");
    uint64_t *seen = calloc(lane_of.count + 1, sizeof *seen);
    uint32_t known = lane_of.count;

    sim_must(seen, "memory");
    for (uint32_t i = 0; i < known && restored; i++)
        lanes[i].count = 0;
    while (sqlite3_step(q) == SQLITE_ROW && !*world.violation) {
        uint64_t stream = (uint64_t)sqlite3_column_int64(q, 0);
        uint64_t sequence = (uint64_t)sqlite3_column_int64(q, 1);
        const uint8_t *chain = sqlite3_column_blob(q, 2);
        struct lane *l = lane_make(stream);
        if (sequence > l->count)
            lane_add(stream, sequence, chain); /* was in doubt */
        else if (sequence == 0 || l->chains[sequence - 1] != word(chain))
            violated("sequence %llu has another content than was committed",
                     (unsigned long long)sequence);
        if (l - lanes < (int64_t)known)
            seen[l - lanes] = sequence;
    }
    for (uint32_t i = 0; i < known && !restored; i++)
        if (seen[i] < lanes[i].count)
            violated("committed up to %llu, on disk up to %llu",
                     (unsigned long long)lanes[i].count,
                     (unsigned long long)seen[i]);
    free(seen);
    sqlite3_finalize(q);
}

static uint64_t one_number(struct store *s, const char *text)
{
    sqlite3_stmt *q = query(s, text);
    uint64_t n = sqlite3_step(q) == SQLITE_ROW
                     ? (uint64_t)sqlite3_column_int64(q, 0)
                     : 0;

    sqlite3_finalize(q);
    return n;
}

/* The aggregator is restored: what it had, and was no longer in the spool at a
 * fork, may be gone. */
static void excuse_left(void)
{
    for (uint32_t i = 0; i < row_of.count; i++)
        if (rows[i].left_ms)
            excuse_missing(&rows[i], true);
}

/* Counts the log anew: every event, every chunk. */
static void recount(struct store *s, policy_lookup *find, void *policies)
{
    struct log_chunk chunk = {.number = 0};
    struct buf scratch;
    enum sotto_err err;

    for (uint32_t i = 0; i < fate_count; i++)
        fates[i].stored = 0;
    newest_chunk = 0;
    buf_init(&scratch, 2 * FRAME_MAX);
    while (!(err = log_read(s, chunk.number, &chunk, &scratch)) &&
           !*world.violation) {
        if (chunk.kind == KIND_BATCH)
            store_payload(chunk.policy, chunk.payload, find, policies);
        newest_chunk++;
    }
    if (err && err != SOTTO_ENOTFOUND)
        violated("the log cannot be read: %s", err_text(err));
    buf_fini(&scratch);
}

void ledger_audit(struct store *s, int64_t backup_ms, policy_lookup *find,
                  void *policies)
{
    bool restored = backup_ms >= 0;

    check_dense(s);
    check_lanes(s, restored);
    if (restored) {
        restored_ms = world.now_ms;
        excuse_left();
    }
    if (restored || one_number(s, "SELECT count(*) FROM chunk") != newest_chunk)
        recount(s, find, policies);
}

static void lost(uint32_t event)
{
    for (uint32_t i = 0; i < row_of.count; i++)
        for (uint32_t k = 0; k < rows[i].count; k++)
            if (row_events.at[rows[i].first + k] == event) {
                violated(
                    "event %u is nowhere: agent %u sealed it at %lld, gone "
                    "from replay at a fork at %lld",
                    event, rows[i].node, (long long)rows[i].sealed_ms,
                    (long long)rows[i].left_ms);
                return;
            }
    violated("event %u was taken and is nowhere, and was never sealed", event);
}

/* What an agent claims in its newest batch, and what the log has of it. A void
 * carries no claim, so one after that batch is above it. */
static enum sotto_err check_claim(void *context, const struct log_stream *s)
{
    uint64_t has = s->events + s->voided_events + s->refused_events;
    uint64_t claimed = s->counters.accepted;

    (void)context;
    if (has < claimed || (has > claimed && !s->voided_events))
        violated("agent %u claims %llu events, the log has %llu",
                 (unsigned)s->agent, (unsigned long long)claimed,
                 (unsigned long long)has);
    if (s->counters.produced != claimed + counters_dropped(&s->counters))
        violated("agent %u: produced is not accepted + drops",
                 (unsigned)s->agent);
    return SOTTO_OK;
}

void ledger_claims(struct store *s)
{
    if (log_stream_each(s, check_claim, NULL))
        violated("the streams cannot be read");
}

void ledger_close(void)
{
    struct ledger_counts *c = &ledger_counts;

    c->dropped = c->stored = c->doubled = c->in_ring_lost = 0;
    c->voided = c->rolled_back = c->refused = c->left = 0;
    for (uint32_t i = 0; i < fate_count; i++) {
        const struct fate *f = &fates[i];
        if (f->excuse == UINT8_MAX) {
            ledger_counts.dropped++;
            continue;
        }
        ledger_counts.stored += f->stored > 0;
        ledger_counts.doubled += f->stored > 1;
        if (f->stored)
            continue;
        ledger_counts.in_ring_lost += f->excuse == EXCUSE_RING;
        ledger_counts.voided += (f->excuse & EXCUSE_VOID) != 0;
        ledger_counts.rolled_back += f->excuse == EXCUSE_AGENT;
        ledger_counts.refused += f->excuse == EXCUSE_REFUSED;
        ledger_counts.left += f->excuse == EXCUSE_LEFT;
        if (!f->excuse) {
            ledger_counts.lost++;
            lost(i);
        }
    }
}
