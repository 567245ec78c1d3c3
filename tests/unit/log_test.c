/* The log: groups are whole, watermarks never skip, and what was changed on
 * disk is not believed. */
#include "aggregator/log.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "../support/shop.h"

static int setup(void **state)
{
    static struct shop shop;

    shop_open(&shop);
    *state = &shop;
    return 0;
}

static int teardown(void **state)
{
    shop_close(*state);
    return 0;
}

static struct log_entry entry(struct shop *s, uint32_t agent, uint64_t sequence,
                              const char *payload)
{
    struct log_entry e;

    shop_entry(&e, s, agent);
    e.sequence = sequence;
    memset(e.chain, (int)sequence, sizeof(e.chain));
    e.payload = span_text(payload);
    e.events = 10;
    return e;
}

static void run(struct shop *s, const char *text)
{
    assert_int_equal(sqlite3_exec(s->store->db, text, NULL, NULL, NULL),
                     SQLITE_OK);
}

static struct buf scratch(void)
{
    struct buf b;

    buf_init(&b, 2 * FRAME_MAX);
    return b;
}

struct streams {
    uint32_t count;
    struct log_stream all[8];
};

static enum sotto_err keep_stream(void *context, const struct log_stream *one)
{
    struct streams *s = context;

    s->all[s->count++] = *one;
    return SOTTO_OK;
}

static struct streams streams_of(struct shop *s)
{
    struct streams found = {0};

    assert_int_equal(log_stream_each(s->store, keep_stream, &found), SOTTO_OK);
    return found;
}

static void reads_back_what_was_appended_in_order(void **state)
{
    struct shop *s = *state;
    struct log_entry group[3] = {entry(s, 0, 1, "one"), entry(s, 1, 1, ""),
                                 entry(s, 0, 2, "three")};
    struct buf b = scratch();
    struct log_chunk c;

    assert_int_equal(log_last(s->store), 0);
    assert_int_equal(log_read(s->store, 0, &c, &b), SOTTO_ENOTFOUND);
    assert_int_equal(log_append(s->store, group, 3), SOTTO_OK);
    assert_int_equal(log_last(s->store), 3);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(log_read(s->store, i, &c, &b), SOTTO_OK);
        assert_int_equal(c.number, i + 1);
        assert_int_equal(c.agent, group[i].agent);
        assert_true(c.stream == group[i].stream);
        assert_int_equal(c.sequence, group[i].sequence);
        assert_int_equal(c.kind, KIND_BATCH);
        assert_int_equal(c.events, 10);
        assert_true(c.received_ms == group[i].received_ms);
        assert_memory_equal(c.policy, s->policy->hash, HASH_SIZE);
        assert_true(span_equal(c.payload, group[i].payload));
    }
    assert_int_equal(log_read(s->store, 3, &c, &b), SOTTO_ENOTFOUND);
    assert_int_equal(log_read(s->store, UINT64_MAX, &c, &b), SOTTO_ENOTFOUND);
    assert_int_equal(log_append(s->store, NULL, 0), SOTTO_OK);
    buf_fini(&b);
}

static void a_group_with_a_gap_writes_nothing(void **state)
{
    struct shop *s = *state;
    struct log_entry group[2] = {entry(s, 0, 1, "one"), entry(s, 0, 3, "no")};
    uint8_t chain[HASH_SIZE];

    assert_int_equal(log_append(s->store, group, 2), SOTTO_EINVAL);
    assert_int_equal(log_last(s->store), 0);
    assert_int_equal(streams_of(s).count, 0);
    assert_int_equal(log_chain(s->store, 0, group[0].stream, 1, chain),
                     SOTTO_ENOTFOUND);
    group[1].sequence = 2;
    assert_int_equal(log_append(s->store, group, 2), SOTTO_OK);
    assert_int_equal(log_last(s->store), 2);
}

static void a_sequence_is_taken_once_and_only_in_turn(void **state)
{
    static const uint64_t wrong[] = {0, 1, 2, 4, UINT64_MAX};
    struct shop *s = *state;
    struct log_entry e = entry(s, 0, 2, "second first");

    assert_int_equal(log_append(s->store, &e, 1), SOTTO_EINVAL);
    for (e.sequence = 1; e.sequence <= 2; e.sequence++)
        assert_int_equal(log_append(s->store, &e, 1), SOTTO_OK);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        e.sequence = wrong[i];
        assert_int_equal(log_append(s->store, &e, 1), SOTTO_EINVAL);
    }
    assert_int_equal(log_last(s->store), 2);
    assert_int_equal(streams_of(s).all[0].watermark, 2);
    e.sequence = 3;
    assert_int_equal(log_append(s->store, &e, 1), SOTTO_OK);
}

static void a_full_disk_writes_nothing_and_says_so(void **state)
{
    struct shop *s = *state;
    size_t size = 600 * 1024;
    char *large = malloc(size);
    struct log_entry group[2] = {entry(s, 0, 1, "small"), entry(s, 0, 2, "")};
    char text[64];

    assert_non_null(large);
    randombytes_buf(large, size);
    group[1].payload = span_of(large, size);
    snprintf(text, sizeof(text), "PRAGMA max_page_count=%d", 60);
    run(s, text);
    assert_int_equal(log_append(s->store, group, 2), SOTTO_EFULL);
    assert_int_equal(log_last(s->store), 0);
    assert_int_equal(streams_of(s).count, 0);
    run(s, "PRAGMA max_page_count=100000");
    assert_int_equal(log_append(s->store, group, 2), SOTTO_OK);
    free(large);
}

static void counts_accepted_refused_and_voided_apart(void **state)
{
    struct shop *s = *state;
    struct counters c = {.produced = 50, .accepted = 40, .fields_emptied = 3};
    struct log_entry group[5] = {entry(s, 0, 1, "ok"), entry(s, 0, 2, ""),
                                 entry(s, 0, 3, ""), entry(s, 0, 4, "forget"),
                                 entry(s, 0, 5, "")};
    struct buf b = scratch();
    struct log_stream one;
    struct log_chunk chunk;

    counters_add(&c, "no_consent", 10);
    group[0].counters = &c;
    group[1].reason = "undecodable";
    group[2].kind = KIND_VOID;
    group[2].reason = "evicted";
    group[2].events = 7;
    group[3].kind = KIND_FORGET;
    group[3].events = 0;
    group[4].kind = KIND_VOID; /* that gave no reason */
    group[4].events = 1;
    assert_int_equal(log_append(s->store, group, 5), SOTTO_OK);
    assert_int_equal(streams_of(s).count, 1);
    one = streams_of(s).all[0];
    assert_int_equal(one.watermark, 5);
    assert_true(one.stream == group[0].stream);
    assert_memory_equal(one.chain, group[4].chain, HASH_SIZE);
    assert_int_equal(one.batches, 1);
    assert_int_equal(one.events, 10);
    assert_int_equal(one.refused_batches, 1);
    assert_int_equal(one.refused_events, 10);
    assert_int_equal(one.voided_events, 8);
    /* kept from the newest batch that had any */
    assert_int_equal(one.counters.produced, 50);
    assert_int_equal(one.counters.fields_emptied, 3);
    assert_int_equal(one.counters.drop_count, 1);
    assert_string_equal(one.counters.drops[0].name, "no_consent");
    assert_int_equal(counters_dropped(&one.counters), 10);
    /* only what was accepted is read */
    assert_int_equal(log_read(s->store, 0, &chunk, &b), SOTTO_OK);
    assert_int_equal(chunk.sequence, 1);
    assert_int_equal(log_read(s->store, chunk.number, &chunk, &b), SOTTO_OK);
    assert_int_equal(chunk.kind, KIND_FORGET);
    assert_int_equal(log_read(s->store, chunk.number, &chunk, &b),
                     SOTTO_ENOTFOUND);
    buf_fini(&b);
}

static enum sotto_err stop(void *context, const struct log_stream *one)
{
    (void)one;
    ++*(int *)context;
    return SOTTO_EAGAIN;
}

static void walking_streams_stops_when_told(void **state)
{
    struct shop *s = *state;
    struct log_entry group[2] = {entry(s, 0, 1, ""), entry(s, 1, 1, "")};
    int calls = 0;

    assert_int_equal(log_append(s->store, group, 2), SOTTO_OK);
    assert_int_equal(log_stream_each(s->store, stop, &calls), SOTTO_EAGAIN);
    assert_int_equal(calls, 1);
    assert_int_equal(streams_of(s).count, 2);
}

static void remembers_chains_until_pruned(void **state)
{
    struct shop *s = *state;
    struct log_entry group[2] = {entry(s, 2, 1, ""), entry(s, 2, 2, "")};
    uint8_t chain[HASH_SIZE];

    group[1].received_ms += 1000;
    assert_int_equal(log_append(s->store, group, 2), SOTTO_OK);
    assert_int_equal(log_prune(s->store, group[0].received_ms), SOTTO_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            log_chain(s->store, 2, group[i].stream, group[i].sequence, chain),
            SOTTO_OK);
        assert_memory_equal(chain, group[i].chain, HASH_SIZE);
    }
    assert_int_equal(log_chain(s->store, 1, group[0].stream, 1, chain),
                     SOTTO_ENOTFOUND);
    assert_int_equal(log_prune(s->store, group[1].received_ms), SOTTO_OK);
    assert_int_equal(log_chain(s->store, 2, group[0].stream, 1, chain),
                     SOTTO_ENOTFOUND);
    assert_int_equal(log_chain(s->store, 2, group[1].stream, 2, chain),
                     SOTTO_OK);
}

static struct log_entry with_body(struct shop *s, uint64_t stream,
                                  uint64_t sequence, char id)
{
    struct log_entry e = entry(s, 0, sequence, "payload");

    e.stream = stream;
    memset(e.body, id, BODY_ID_SIZE);
    return e;
}

static void what_a_fork_moved_makes_no_second_chunk(void **state)
{
    struct shop *s = *state;
    struct log_entry old[3] = {with_body(s, 7, 1, 'a'), with_body(s, 7, 2, 'b'),
                               with_body(s, 7, 3, 'c')};
    struct log_entry again[4] = {
        with_body(s, 8, 1, 'b'), with_body(s, 8, 2, 'd'),
        with_body(s, 8, 3, 'c'), with_body(s, 8, 4, 'd')};
    struct log_entry third = with_body(s, 9, 1, 'd');
    struct log_entry other = with_body(s, 10, 1, 'a');
    struct streams streams;
    struct log_stream one;

    assert_int_equal(log_append(s->store, old, 3), SOTTO_OK);
    assert_int_equal(log_append(s->store, again, 4), SOTTO_OK);
    assert_int_equal(log_last(s->store), 4); /* a b c d */
    assert_int_equal(log_append(s->store, &third, 1), SOTTO_OK);
    assert_int_equal(log_last(s->store), 4);
    other.agent = 1; /* whose body it is, is part of it */
    assert_int_equal(log_append(s->store, &other, 1), SOTTO_OK);
    assert_int_equal(log_last(s->store), 5);

    streams = streams_of(s);
    assert_int_equal(streams.count, 4);
    one = streams.all[1];
    assert_true(one.stream == 8);
    assert_int_equal(one.watermark, 4);
    assert_int_equal(one.batches, 1);
    assert_int_equal(one.events, 10);
    assert_int_equal(one.refused_batches, 0);
    assert_int_equal(one.refused_events, 0);
}

static void a_changed_chunk_is_reported_and_can_be_passed(void **state)
{
    static const char *const changes[] = {
        "UPDATE chunk SET payload = substr(payload, 1, 50) || x'00'"
        " || substr(payload, 52) WHERE number = 1",
        "UPDATE chunk SET payload = x'' WHERE number = 1",
        "UPDATE chunk SET policy = x'00' WHERE number = 1",
        "UPDATE chunk SET agent = 9 WHERE number = 1",
        "UPDATE chunk SET received_ms = 9 WHERE number = 1",
        "UPDATE chunk SET payload ="
        " (SELECT payload FROM chunk WHERE number = 2) WHERE number = 1",
    };
    struct shop *s = *state;
    struct log_entry group[2] = {entry(s, 0, 1, "first"),
                                 entry(s, 0, 2, "other")};
    struct buf b = scratch();
    struct log_chunk c;

    assert_int_equal(log_append(s->store, group, 2), SOTTO_OK);
    run(s, "CREATE TABLE kept AS SELECT * FROM chunk");
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        run(s, changes[i]);
        assert_int_equal(log_read(s->store, 0, &c, &b), SOTTO_ECRYPTO);
        assert_int_equal(c.number, 1);
        assert_int_equal(log_read(s->store, 1, &c, &b), SOTTO_OK);
        run(s, "DELETE FROM chunk");
        run(s, "INSERT INTO chunk SELECT * FROM kept");
        assert_int_equal(log_read(s->store, 0, &c, &b), SOTTO_OK);
    }
    buf_fini(&b);
}

static void a_number_is_not_given_twice(void **state)
{
    struct shop *s = *state;
    struct log_entry e = entry(s, 0, 1, "one");

    assert_int_equal(log_append(s->store, &e, 1), SOTTO_OK);
    run(s, "DELETE FROM chunk");
    assert_int_equal(log_last(s->store), 0);
    e.sequence = 2;
    assert_int_equal(log_append(s->store, &e, 1), SOTTO_OK);
    assert_int_equal(log_last(s->store), 2);
}

static void a_rewritten_chunk_stays_in_its_place_and_counts_apart(void **state)
{
    struct shop *s = *state;
    struct log_entry all[2] = {entry(s, 1, 1, "of ann and ben"),
                               entry(s, 1, 2, "of ben")};
    struct streams before, after;
    struct buf buf = scratch();
    struct log_chunk chunk;
    uint64_t erased;

    all[1].erased = 4; /* when it came */
    assert_int_equal(log_append(s->store, all, 2), SOTTO_OK);
    before = streams_of(s);
    assert_int_equal(log_read(s->store, 0, &chunk, &buf), SOTTO_OK);
    assert_int_equal(store_begin(s->store), SOTTO_OK);
    assert_int_equal(
        log_rewrite(s->store, &chunk, span_text("of ben alone"), 7, 3),
        SOTTO_OK);
    assert_int_equal(store_commit(s->store), SOTTO_OK);
    assert_int_equal(log_read(s->store, 0, &chunk, &buf), SOTTO_OK);
    assert_int_equal(chunk.number, 1);
    assert_int_equal(chunk.events, 7);
    assert_true(span_equal(chunk.payload, span_text("of ben alone")));
    assert_int_equal(log_read(s->store, 1, &chunk, &buf), SOTTO_OK);
    assert_int_equal(chunk.events, 6);
    after = streams_of(s);
    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(after.all[0].events, 20);
    assert_int_equal(log_erased(s->store, 1, &erased), SOTTO_OK);
    assert_int_equal(erased, 7);
    assert_int_equal(log_erased(s->store, 2, &erased), SOTTO_OK);
    assert_int_equal(erased, 0);
    buf_fini(&buf);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_back_what_was_appended_in_order),
        TEST(a_group_with_a_gap_writes_nothing),
        TEST(a_sequence_is_taken_once_and_only_in_turn),
        TEST(a_full_disk_writes_nothing_and_says_so),
        TEST(counts_accepted_refused_and_voided_apart),
        TEST(walking_streams_stops_when_told),
        TEST(remembers_chains_until_pruned),
        TEST(what_a_fork_moved_makes_no_second_chunk),
        TEST(a_changed_chunk_is_reported_and_can_be_passed),
        TEST(a_number_is_not_given_twice),
        TEST(a_rewritten_chunk_stays_in_its_place_and_counts_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
