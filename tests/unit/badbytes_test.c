/* Bad bytes on a disk: every file of ours with one bit flipped, or cut short,
 * at 1,000 positions spread over the whole of it; then it is opened and used as
 * always. Whatever comes out is what went in, or is missing and said to be.
 *
 * Compared by content: a flip in a free page or in padding changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../support/lists_world.h"
#include "../support/parts.h"
#include "../support/shop.h"
#include "agent/uplink.h"
#include "delivery/watermark.h"
#include "link/reply.h"

#define POSITIONS 1000
#define FILE_MAX (16 * 1024 * 1024)
#define PATIENCE_MS 20000

/* ---- files ---- */

struct image { /* a database and what lies beside it */
    struct buf main, wal;
};

static bool file_read(struct buf *out, const char *path)
{
    buf_init(out, FILE_MAX);
    return buf_read_file(out, path) == SOTTO_OK;
}

static const char *beside(const char *path, const char *end)
{
    static char out[300];

    snprintf(out, sizeof out, "%s%s", path, end);
    return out;
}

static struct image image_take(const char *path)
{
    struct image m;

    assert_true(file_read(&m.main, path));
    (void)file_read(&m.wal, beside(path, "-wal"));
    return m;
}

static void image_free(struct image *m)
{
    buf_fini(&m->main);
    buf_fini(&m->wal);
}

static void file_put(const char *path, const struct buf *b, size_t size)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(b->data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

/* The n-th damage of an image: a flip, or each tenth a cut, at positions that
 * rise through the whole of it. */
static void image_damage(const struct image *m, const char *path, unsigned n)
{
    size_t all = m->main.size + m->wal.size;
    size_t at =
        all / POSITIONS * n +
        (size_t)sample_below(&(uint64_t){n + 7}, (unsigned)(all / POSITIONS));
    struct image cut = *m;
    struct buf *part = &cut.main;

    if (at >= m->main.size) {
        part = &cut.wal;
        at -= m->main.size;
    }
    if (n % 10 == 9)
        part->size = at;
    else
        part->data[at] ^= (uint8_t)(1u << n % 8);
    file_put(path, &cut.main, cut.main.size);
    if (m->wal.size)
        file_put(beside(path, "-wal"), &cut.wal, cut.wal.size);
    else
        (void)unlink(beside(path, "-wal"));
    (void)unlink(beside(path, "-shm"));
    if (n % 10 != 9)
        part->data[at] ^= (uint8_t)(1u << n % 8);
}

/* What came of 1,000 damages: printed, and none may be silent. */
struct tally {
    const char *file;
    unsigned same, told, refused;
};

static void tally_print(const struct tally *t)
{
    print_message(
        "badbytes: %s, %u positions: %u the same, %u missing and counted, "
        "%u refused with a sentence\n",
        t->file, t->same + t->told + t->refused, t->same, t->told, t->refused);
    assert_int_equal(t->same + t->told + t->refused, POSITIONS);
    assert_true(t->same && t->told + t->refused);
}

/* ---- the ring ---- */

#define RING_BYTES (64 * 1024)
#define RING_RECORDS 150

static void ring_fill(struct journal *j)
{
    uint8_t payload[200];
    uint64_t at = 1024 + 8; /* a lap on, where no mark has a single bit */

    journal_release(j, at);
    for (unsigned i = 0; i < RING_RECORDS; i++) {
        memset(payload, (int)i, sizeof payload);
        assert_int_equal(journal_append(j, JOURNAL_EVENT, i,
                                        span_of(payload, 40 + i),
                                        span_of(payload, 1)),
                         SOTTO_OK);
    }
}

/* How many records are there, each as it was written and in order. */
static unsigned ring_read(struct journal *j)
{
    struct journal_record rec;
    uint64_t at = journal_tail(j);
    unsigned count = 0, next = 0;
    enum sotto_err err;

    while ((err = journal_read(j, at, &rec)) == SOTTO_OK) {
        assert_true(rec.policy >= next && rec.policy < RING_RECORDS);
        assert_int_equal(rec.payload.size, 41 + rec.policy);
        for (size_t i = 0; i < rec.payload.size; i++)
            assert_int_equal(rec.payload.data[i], (uint8_t)rec.policy);
        next = rec.policy + 1;
        at = rec.next;
        count++;
    }
    assert_int_equal(err, SOTTO_EAGAIN);
    return count;
}

static void ring_try(struct tally *t, const char *path)
{
    struct journal *j;
    struct why why;
    uint64_t recovered, damaged;
    unsigned count;

    assert_int_equal(journal_open(&j, path, RING_BYTES, &recovered, &why),
                     SOTTO_OK);
    count = ring_read(j);
    assert_int_equal(count, recovered);
    damaged = atomic_load(&journal_counters(j)->damaged);
    if (count == RING_RECORDS && !why.text[0])
        t->same++;
    else if (access(beside(path, ".bad"), F_OK) == 0)
        t->refused++; /* set aside, and why says so */
    else
        t->told++;
    if (count < RING_RECORDS)
        assert_true(why.text[0]);
    if (count < RING_RECORDS && access(beside(path, ".bad"), F_OK))
        assert_true(damaged >= RING_RECORDS - count);
    assert_int_equal(
        journal_append(j, JOURNAL_EVENT, 0, span_of("on", 2), span_of(NULL, 0)),
        SOTTO_OK);
    journal_close(j);
    (void)unlink(beside(path, ".bad"));
}

static void a_damaged_ring_says_what_is_missing(void **state)
{
    struct tally t = {"ring", 0, 0, 0};
    char dir[] = "/tmp/sotto-bad-XXXXXX", path[64];
    struct journal *j;
    struct image m;
    uint64_t recovered;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/ring", dir);
    assert_int_equal(journal_open(&j, path, RING_BYTES, &recovered, NULL),
                     SOTTO_OK);
    ring_fill(j);
    journal_close(j);
    m = image_take(path);
    for (unsigned n = 0; n < POSITIONS; n++) {
        image_damage(&m, path, n);
        ring_try(&t, path);
    }
    image_free(&m);
    fixture_remove(dir);
    tally_print(&t);
}

/* ---- the lists ---- */

#define SUBJECTS 24

static void subject_of(uint8_t out[16], unsigned i)
{
    memset(out, (int)i + 1, 16);
}

static void lists_fill(struct world *w)
{
    struct model m = {.version = "m1", .items = 40, .shards = 3};
    char items[32];
    uint8_t subject[16];

    for (uint32_t i = 0; i < m.items; i++)
        for (uint32_t k = 1; k < 8; k++)
            m.weights[i][(i + k) % m.items] = (int8_t)(16 - k);
    send_popular(w, "p1 p2 p3");
    send_model(w, &m);
    for (unsigned i = 0; i < SUBJECTS; i++) {
        subject_of(subject, i);
        snprintf(items, sizeof items, "a%u b%u c%u", i, i, i);
        send_own(w, subject, items, 1, 1);
    }
}

/* All answers in one hash. */
static uint64_t lists_answers(struct world *w, const char **failed)
{
    uint64_t hash = 1;
    uint8_t subject[16];

    *failed = NULL;
    for (unsigned i = 0; i <= SUBJECTS; i++) {
        const char *text;

        subject_of(subject, i);
        lists_seen(w->lists, subject, span_text("i03"), false, 9, 9);
        text = ask(w, i < SUBJECTS ? subject : NULL, 10, NOW);
        if (text[0] == 'E')
            *failed = text;
        hash = hash64(text, strlen(text), hash);
    }
    return hash;
}

/* What is missing is either sent again, for the number is lower, or an error,
 * or, where a key was hit, answered as for somebody without a list. */
static void lists_try(struct world *w, const struct image *m, struct tally *t,
                      uint64_t good)
{
    const char *failed;

    for (unsigned n = 0; n < POSITIONS; n++) {
        struct why why = {""};

        image_damage(m, w->path, n);
        w->lists = NULL;
        if (lists_open(&w->lists, w->path, &why)) {
            assert_true(why.text[0]);
            t->refused++;
            continue;
        }
        if (lists_answers(w, &failed) == good)
            t->same++;
        else
            t->told++;
        lists_close(w->lists);
    }
    file_put(w->path, &m->main, m->main.size);
    (void)unlink(beside(w->path, "-wal"));
    tally_print(t);
}

static void a_damaged_lists_file_is_told(void **state)
{
    struct tally with_wal = {"lists.db-wal", 0, 0, 0};
    struct tally alone = {"lists.db", 0, 0, 0};
    struct world *w = *state;
    struct image m;
    const char *failed;
    uint64_t good;

    lists_fill(w);
    good = lists_answers(w, &failed);
    assert_null(failed);
    m = image_take(w->path); /* nothing is checkpointed yet */
    lists_close(w->lists);
    {
        struct image settled = image_take(w->path);

        lists_try(w, &m, &with_wal, good);
        lists_try(w, &settled, &alone, good);
        image_free(&settled);
    }
    world_open(w);
    image_free(&m);
}

/* ---- the spool ---- */

#define BATCHES 40
#define DRAIN_EACH 64 /* damaged spools are sent to their end */

struct site { /* an agent's parts, and an aggregator of a few lines */
    struct parts parts;
    struct image wal, settled;
    uint8_t bodies[BATCHES][HASH_SIZE]; /* as they were sealed */
    uv_loop_t loop;
    uv_timer_t tick;
    struct replier *replier;
    struct uplink *uplink;
    struct peer agent;
    struct watermark mark;
    uint64_t stream, voided_events;
    uint64_t brought_by[BATCHES]; /* stream; 0: nobody yet */
    int open;
};

static void site_reply(struct site *s, struct call *call, const uint8_t *nonce,
                       const struct envelope *e, enum verdict verdict)
{
    struct envelope head = {.kind = KIND_REPLY};
    struct reply r = {.stream = e->stream,
                      .sequence = e->sequence,
                      .verdict = verdict,
                      .watermark = s->mark.upto,
                      .time_ms = NOW};
    struct buf body, out;

    memcpy(r.nonce, nonce, NONCE_SIZE);
    buf_init(&body, 4096);
    buf_init(&out, FRAME_MAX);
    assert_int_equal(message_encode(&body, MESSAGE_REPLY, &r), SOTTO_OK);
    assert_int_equal(envelope_write(&out, &head, span_of(body.data, body.size),
                                    s->parts.fixture.aggregator, &s->agent),
                     SOTTO_OK);
    call_reply(call, span_of(out.data, out.size));
    buf_fini(&body);
    buf_fini(&out);
}

/* Each body is one that was sealed, and comes once in a stream: a fork brings
 * what is known again. */
static void site_store(struct site *s, const struct envelope *e)
{
    struct void_body stood;
    uint8_t hash[HASH_SIZE];
    unsigned i = 0;

    if (e->kind == KIND_VOID) {
        assert_int_equal(message_decode(&stood, MESSAGE_VOID, e->body),
                         SOTTO_OK);
        s->voided_events += stood.events;
        return;
    }
    hash_bytes(hash, e->body, span_of(NULL, 0));
    while (i < BATCHES && memcmp(s->bodies[i], hash, HASH_SIZE) != 0)
        i++;
    assert_true(i < BATCHES && s->brought_by[i] != e->stream);
    s->brought_by[i] = e->stream;
}

static void site_request(void *owner, struct call *call, struct span frame)
{
    struct span bytes =
        span_of(frame.data + NONCE_SIZE, frame.size - NONCE_SIZE);
    struct site *s = owner;
    struct envelope e;
    uint8_t follows[HASH_SIZE];
    enum verdict verdict = VERDICT_RETRY;

    assert_int_equal(envelope_parse(&e, bytes), SOTTO_OK);
    assert_int_equal(envelope_verify(&e, bytes, s->agent.sign_pk), SOTTO_OK);
    if (e.kind != KIND_POLL) {
        if (e.stream != s->stream)
            s->mark = (struct watermark){0};
        s->stream = e.stream;
        memcpy(follows, s->mark.chain, HASH_SIZE);
        assert_int_equal(envelope_chain(follows, &e), SOTTO_OK);
        switch (
            watermark_decide(&s->mark, e.sequence, e.chain, NULL, follows)) {
        case WATERMARK_NEXT:
            site_store(s, &e);
            watermark_take(&s->mark, e.sequence, e.chain);
            verdict = VERDICT_ACK;
            break;
        case WATERMARK_DUPLICATE:
            verdict = VERDICT_ACK;
            break;
        case WATERMARK_FORK:
            verdict = VERDICT_FORK;
            break;
        default:
            break;
        }
    }
    site_reply(s, call, frame.data, &e, verdict);
}

static enum sotto_err site_documents(void *owner, struct span payload)
{
    (void)owner;
    (void)payload;
    return SOTTO_OK;
}

static uint64_t site_applied(void *owner)
{
    (void)owner;
    return 0;
}

static void site_time(void *owner, int64_t time_ms)
{
    (void)owner;
    (void)time_ms;
}

static int64_t site_now(void *owner)
{
    (void)owner;
    return clock_wall_ms(&clock_system);
}

static void site_changed(void *owner)
{
    (void)owner;
}

static void site_tick(uv_timer_t *tick)
{
    (void)tick;
}

static void site_part_closed(void *owner)
{
    ((struct site *)owner)->open--;
}

/* The spool is sent until nothing waits in it. */
static void site_drain(struct site *s)
{
    const struct spool_state *t = spool_state(s->parts.spool);
    struct uplink_parts use = {.loop = &s->loop,
                               .home = s->parts.home,
                               .spool = s->parts.spool,
                               .documents = site_documents,
                               .applied = site_applied,
                               .time = site_time,
                               .now = site_now,
                               .changed = site_changed,
                               .owner = s};
    int64_t until = clock_mono_ms(&clock_system) + PATIENCE_MS;
    struct why why;

    assert_int_equal(uv_loop_init(&s->loop), 0);
    uv_timer_init(&s->loop, &s->tick);
    uv_timer_start(&s->tick, site_tick, 5, 5);
    assert_int_equal(replier_open(&s->replier, &s->loop, "tcp://127.0.0.1:0",
                                  32, site_request, s, &why),
                     SOTTO_OK);
    use.address = replier_address(s->replier);
    assert_int_equal(uplink_open(&s->uplink, &use, &why), SOTTO_OK);
    while (t->acked + 1 < t->next_sequence) {
        assert_true(clock_mono_ms(&clock_system) < until);
        uv_run(&s->loop, UV_RUN_ONCE);
    }
    s->open = 2;
    uplink_close(s->uplink, site_part_closed, s);
    replier_close(s->replier, site_part_closed, s);
    while (s->open)
        uv_run(&s->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&s->tick, NULL);
    while (uv_run(&s->loop, UV_RUN_ONCE))
        ;
    assert_int_equal(uv_loop_close(&s->loop), 0);
}

static bool spool_intact(struct site *s)
{
    const struct spool_state *t = spool_state(s->parts.spool);
    struct spool_row row;
    struct envelope e;
    uint8_t hash[HASH_SIZE];
    bool good = t->next_sequence == BATCHES + 1;
    struct buf b;

    buf_init(&b, FRAME_MAX);
    for (uint64_t n = 1; good && n <= BATCHES; n++) {
        struct span bytes;

        good = !spool_get(s->parts.spool, n, &row, &b);
        bytes = span_of(b.data, b.size);
        good = good && !envelope_parse(&e, bytes) &&
               !envelope_verify(&e, bytes, s->agent.sign_pk);
        if (good)
            hash_bytes(hash, e.body, span_of(NULL, 0));
        good = good && memcmp(hash, s->bodies[n - 1], HASH_SIZE) == 0;
    }
    buf_fini(&b);
    return good;
}

static void spool_try_one(struct site *s, struct tally *t)
{
    uint64_t delivered = 0, accepted;
    const struct spool_state *now;
    struct why why = {""};

    s->parts.spool = NULL;
    if (spool_open(&s->parts.spool, &s->parts.spool_config, &why)) {
        assert_true(why.text[0]);
        t->refused++;
        return;
    }
    now = spool_state(s->parts.spool);
    accepted = now->accepted;
    if (spool_intact(s)) {
        assert_int_equal(accepted, BATCHES);
        t->same++;
    } else if (t->told++ % DRAIN_EACH == 0) { /* they take a while */
        s->mark = (struct watermark){0};
        s->stream = s->voided_events = 0;
        memset(s->brought_by, 0, sizeof s->brought_by);
        site_drain(s);
        for (unsigned i = 0; i < BATCHES; i++)
            delivered += s->brought_by[i] != 0;
        assert_int_equal(delivered + s->voided_events, accepted);
        assert_int_equal(now->acked_events, delivered);
        assert_int_equal(now->voided_events, s->voided_events);
    }
    spool_close(s->parts.spool);
}

static void site_make(struct site *s)
{
    struct parts *p = &s->parts;
    struct spool_row row;
    struct envelope e;
    uint32_t committed;
    struct buf b;

    memset(s, 0, sizeof *s);
    parts_make(p, "tcp://127.0.0.1:1", 64 * 1024 * 1024);
    p->home->enrolled = true;
    keys_peer(p->home->keys, &s->agent);
    parts_batcher(p);
    buf_init(&b, FRAME_MAX);
    for (unsigned i = 0; i < BATCHES; i++) {
        assert_int_equal(parts_track(p, i), DROP_NOT);
        assert_int_equal(batcher_turn(p->batcher, true, &committed), SOTTO_OK);
        assert_int_equal(spool_get(p->spool, i + 1, &row, &b), SOTTO_OK);
        assert_int_equal(envelope_parse(&e, span_of(b.data, b.size)), SOTTO_OK);
        hash_bytes(s->bodies[i], e.body, span_of(NULL, 0));
    }
    buf_fini(&b);
    batcher_close(p->batcher);
    p->batcher = NULL;
    s->wal = image_take(p->spool_path);
    policyset_close(&p->policies);
    memset(&p->policies, 0, sizeof p->policies);
    spool_close(p->spool);
    s->settled = image_take(p->spool_path);
}

static void
a_damaged_spool_delivers_what_is_whole_and_counts_the_rest(void **state)
{
    struct tally wal = {"spool.db-wal", 0, 0, 0};
    struct tally settled = {"spool.db", 0, 0, 0};
    static struct site s;
    struct why why;

    (void)state;
    site_make(&s);
    for (unsigned n = 0; n < POSITIONS; n++) {
        image_damage(&s.wal, s.parts.spool_path, n);
        spool_try_one(&s, &wal);
        image_damage(&s.settled, s.parts.spool_path, n);
        spool_try_one(&s, &settled);
    }
    file_put(s.parts.spool_path, &s.settled.main, s.settled.main.size);
    (void)unlink(beside(s.parts.spool_path, "-wal"));
    assert_int_equal(spool_open(&s.parts.spool, &s.parts.spool_config, &why),
                     SOTTO_OK);
    image_free(&s.wal);
    image_free(&s.settled);
    parts_free(&s.parts);
    tally_print(&wal);
    tally_print(&settled);
}

/* ---- the log ---- */

#define CHUNKS 12

static enum sotto_err count_taken(void *context, const struct log_stream *one)
{
    *(uint64_t *)context += one->watermark;
    return SOTTO_OK;
}

/* The watermarks say that the end is missing: agents send it again. */
static bool shop_behind(struct shop *s)
{
    struct store *store;
    uint64_t taken = 0, last;
    enum sotto_err err;

    assert_int_equal(store_open(&store, s->dir, s->key, NULL), SOTTO_OK);
    err = log_stream_each(store, count_taken, &taken);
    last = log_last(store);
    store_close(store);
    return !err && taken == last && taken < CHUNKS;
}

static void shop_try(struct shop *s, const struct image *m, struct tally *t,
                     const uint64_t good[2])
{
    unsigned by_verify = 0;
    char path[128];

    shop_path(path, s, "");
    for (unsigned n = 0; n < POSITIONS; n++) {
        struct why why = {""};
        struct views *v = NULL;
        bool more = true;
        enum sotto_err err;

        image_damage(m, path, n);
        err = views_open(&v, s->dir, s->key, shop_lookup, s, &why);
        if (err) {
            assert_true(why.text[0]);
            t->refused++;
            continue;
        }
        while (!err && more)
            err = views_fold(v, 3, &more);
        if (err) /* said to be, at each try */
            t->refused++;
        else if (profile_view.digest(views_profiles(v)) == good[0] &&
                 interactions_view.digest(views_interactions(v)) == good[1])
            t->same++;
        else if (views_skipped(v) || shop_behind(s))
            t->told++;
        else if (views_verify(v, &why) == SOTTO_ECRYPTO && ++by_verify)
            t->told++; /* a key of a checkpoint: only verify sees it */
        else
            fail_msg("%s: position %u changed something in silence", t->file,
                     n);
        views_close(v);
    }
    print_message("%s: %u of them seen by views_verify only\n", t->file,
                  by_verify);
    assert_true(by_verify <= 10);
}

static void a_damaged_log_folds_what_is_whole_and_counts_the_rest(void **state)
{
    struct tally wal = {"aggregator.db-wal", 0, 0, 0};
    struct tally settled = {"aggregator.db", 0, 0, 0};
    struct shop s;
    struct image m;
    struct views *v;
    uint64_t rng = 5, good[2];
    struct deed deeds[20];
    char path[128];

    (void)state;
    shop_open(&s);
    for (unsigned i = 0; i < CHUNKS; i++) {
        for (unsigned k = 0; k < 20; k++)
            deeds[k] = shop_random(&rng);
        shop_send(&s, i % SHOP_AGENTS, deeds, 20);
    }
    shop_path(path, &s, "");
    m = image_take(path);
    store_close(s.store);
    s.store = NULL;
    v = shop_views(&s);
    shop_fold_all(v);
    good[0] = profile_view.digest(views_profiles(v));
    good[1] = interactions_view.digest(views_interactions(v));
    views_close(v); /* with its checkpoint */
    {
        struct image whole = image_take(path);

        shop_try(&s, &m, &wal, good);
        shop_try(&s, &whole, &settled, good);
        image_free(&whole);
    }
    image_free(&m);
    shop_close(&s);
    tally_print(&wal);
    tally_print(&settled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_damaged_log_folds_what_is_whole_and_counts_the_rest),
        cmocka_unit_test(a_damaged_ring_says_what_is_missing),
        cmocka_unit_test(
            a_damaged_spool_delivers_what_is_whole_and_counts_the_rest),
        cmocka_unit_test_setup_teardown(a_damaged_lists_file_is_told,
                                        world_setup, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
