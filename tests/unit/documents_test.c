/* Documents of every agent: numbered, one for each kind and key, resumable. */
#include "aggregator/documents.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "../support/shop.h"

#define DOCUMENTS_MAX 200

struct bench {
    struct shop shop;
    struct buf scratch, payload;
    uint32_t count;
    struct {
        uint64_t number;
        uint32_t kind;
        char key[32], body[32];
        size_t body_size;
        int64_t expires_ms;
    } seen[DOCUMENTS_MAX];
};

static int setup(void **state)
{
    static struct bench b;

    memset(&b, 0, sizeof b);
    shop_open(&b.shop);
    buf_init(&b.scratch, 2 * FRAME_MAX);
    buf_init(&b.payload, PAYLOAD_MAX);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    buf_fini(&b->scratch);
    buf_fini(&b->payload);
    shop_close(&b->shop);
    return 0;
}

static uint64_t put_bytes(struct bench *b, uint32_t agent, uint32_t kind,
                          const char *key, struct span body)
{
    struct document d = {.kind = kind,
                         .key = span_text(key),
                         .body = body,
                         .expires_ms = 77,
                         .made_ms = 5};

    assert_int_equal(store_begin(b->shop.store), SOTTO_OK);
    assert_int_equal(documents_put(b->shop.store, agent, &d, &b->scratch),
                     SOTTO_OK);
    assert_int_equal(store_commit(b->shop.store), SOTTO_OK);
    return d.number;
}

static uint64_t put(struct bench *b, uint32_t agent, uint32_t kind,
                    const char *key, const char *body)
{
    return put_bytes(b, agent, kind, key, span_text(body));
}

static enum sotto_err keep(void *context, const struct document *d)
{
    struct bench *b = context;

    assert_true(b->count < DOCUMENTS_MAX);
    b->seen[b->count].number = d->number;
    b->seen[b->count].kind = d->kind;
    b->seen[b->count].expires_ms = d->expires_ms;
    b->seen[b->count].body_size = d->body.size;
    snprintf(b->seen[b->count].key, 32, "%.*s", (int)d->key.size,
             (const char *)d->key.data);
    snprintf(b->seen[b->count].body, 32, "%.*s",
             (int)(d->body.size < 31 ? d->body.size : 31),
             (const char *)d->body.data);
    b->count++;
    return SOTTO_OK;
}

static void fetch(struct bench *b, uint32_t agent, uint64_t applied,
                  size_t bytes_max)
{
    struct documents_head head = {.last = 99, .time_ms = 4}, back;

    b->count = 0;
    buf_clear(&b->payload);
    assert_int_equal(documents_payload(b->shop.store, agent, applied, bytes_max,
                                       &head, &b->payload),
                     SOTTO_OK);
    assert_int_equal(documents_decode(&back,
                                      span_of(b->payload.data, b->payload.size),
                                      keep, b),
                     SOTTO_OK);
    assert_int_equal(back.count, b->count);
    assert_int_equal(back.last, 99);
}

static void numbers_rise_for_each_agent(void **state)
{
    struct bench *b = *state;

    assert_int_equal(put(b, 1, DOCUMENT_LIST, "ann", "a"), 1);
    assert_int_equal(put(b, 1, DOCUMENT_LIST, "bob", "b"), 2);
    assert_int_equal(put(b, 2, DOCUMENT_LIST, "ann", "c"), 1);
    fetch(b, 1, 0, 1 << 20);
    assert_int_equal(b->count, 2);
    assert_int_equal(b->seen[0].number, 1);
    assert_string_equal(b->seen[0].key, "ann");
    assert_string_equal(b->seen[0].body, "a");
    assert_int_equal(b->seen[0].expires_ms, 77);
    assert_string_equal(b->seen[1].key, "bob");
    fetch(b, 1, 1, 1 << 20);
    assert_int_equal(b->count, 1);
    fetch(b, 1, 2, 1 << 20);
    assert_int_equal(b->count, 0);
    fetch(b, 3, 0, 1 << 20);
    assert_int_equal(b->count, 0);
}

static void the_newest_of_a_key_takes_its_place(void **state)
{
    struct bench *b = *state;

    put(b, 1, DOCUMENT_LIST, "ann", "old");
    put(b, 1, DOCUMENT_LIST, "bob", "b");
    put(b, 1, DOCUMENT_POPULAR, "ann", "another kind");
    assert_int_equal(put(b, 1, DOCUMENT_LIST, "ann", "new"), 4);
    fetch(b, 1, 0, 1 << 20);
    assert_int_equal(b->count, 3);
    assert_string_equal(b->seen[0].key, "bob");
    assert_string_equal(b->seen[1].body, "another kind");
    assert_int_equal(b->seen[2].number, 4);
    assert_string_equal(b->seen[2].body, "new");
}

static void a_restart_goes_on_above_the_agents_number(void **state)
{
    struct bench *b = *state;

    put(b, 1, DOCUMENT_LIST, "ann", "a");
    put(b, 2, DOCUMENT_LIST, "ann", "theirs");
    assert_int_equal(store_begin(b->shop.store), SOTTO_OK);
    assert_int_equal(documents_restart(b->shop.store, 1, 40), SOTTO_OK);
    assert_int_equal(store_commit(b->shop.store), SOTTO_OK);
    fetch(b, 1, 0, 1 << 20);
    assert_int_equal(b->count, 0);
    assert_int_equal(put(b, 1, DOCUMENT_LIST, "ann", "b"), 41);
    fetch(b, 2, 0, 1 << 20);
    assert_int_equal(b->count, 1);
    /* A floor below what was given never repeats a number. */
    assert_int_equal(store_begin(b->shop.store), SOTTO_OK);
    assert_int_equal(documents_restart(b->shop.store, 1, 3), SOTTO_OK);
    assert_int_equal(store_commit(b->shop.store), SOTTO_OK);
    assert_int_equal(put(b, 1, DOCUMENT_LIST, "ann", "c"), 42);
}

static void
a_payload_ends_soon_after_its_limit_and_the_next_goes_on(void **state)
{
    struct bench *b = *state;
    static uint8_t body[1000];
    uint64_t applied = 0;
    uint32_t rounds = 0;
    char key[32];

    for (unsigned i = 0; i < 50; i++) {
        snprintf(key, sizeof key, "%u", i);
        put_bytes(b, 1, DOCUMENT_LIST, key, span_of(body, sizeof body));
    }
    while (fetch(b, 1, applied, 5000), b->count > 0) {
        assert_true(b->count <= 5);
        for (uint32_t i = 0; i < b->count; i++)
            assert_int_equal(b->seen[i].number, ++applied);
        rounds++;
    }
    assert_int_equal(applied, 50);
    assert_true(rounds >= 10);
    /* One that is larger than the limit still passes, alone. */
    fetch(b, 1, 0, 1);
    assert_int_equal(b->count, 1);
}

static void what_was_changed_on_disk_is_not_sent(void **state)
{
    struct bench *b = *state;
    struct documents_head head = {.last = 1};

    put(b, 1, DOCUMENT_LIST, "ann", "a");
    assert_int_equal(sqlite3_exec(b->shop.store->db,
                                  "UPDATE document SET body = zeroblob(64)",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(
        documents_payload(b->shop.store, 1, 0, 1000, &head, &b->payload),
        SOTTO_ECRYPTO);
}

static void sum_last(void *context, uint32_t agent, uint64_t last)
{
    uint64_t *sum = context;

    *sum += agent * 1000 + last;
}

static void tells_the_newest_number_of_every_agent(void **state)
{
    struct bench *b = *state;
    uint64_t sum = 0;

    put(b, 1, DOCUMENT_LIST, "ann", "a");
    put(b, 1, DOCUMENT_LIST, "ann", "b");
    put(b, 7, DOCUMENT_LIST, "ann", "a");
    assert_int_equal(documents_last(b->shop.store, sum_last, &sum), SOTTO_OK);
    assert_int_equal(sum, 1002 + 7001);
}

/* ---- tombstones ---- */

#define ANN "ann, sixteen by." /* as long as a pseudonym */

static const uint8_t *id_of(const char *text)
{
    return span_text(text).data;
}

static void forget(struct bench *b, uint32_t agent, const char *who)
{
    assert_int_equal(store_begin(b->shop.store), SOTTO_OK);
    assert_int_equal(
        documents_forget(b->shop.store, agent, id_of(who), 5, &b->scratch),
        SOTTO_OK);
    assert_int_equal(store_commit(b->shop.store), SOTTO_OK);
}

static void confirm(struct bench *b, uint32_t agent, uint64_t from,
                    uint64_t applied)
{
    assert_int_equal(store_begin(b->shop.store), SOTTO_OK);
    assert_int_equal(documents_confirm(b->shop.store, agent, from, applied),
                     SOTTO_OK);
    assert_int_equal(store_commit(b->shop.store), SOTTO_OK);
}

static bool pending(struct bench *b, uint32_t agent, const char *who)
{
    uint8_t key[STORE_BLIND_SIZE];
    bool any, one;

    documents_key(b->shop.store, id_of(who), key);
    assert_int_equal(documents_forgets(b->shop.store, agent, &any), SOTTO_OK);
    assert_int_equal(documents_forget_pending(b->shop.store, agent, key, &one),
                     SOTTO_OK);
    assert_int_equal(any, one);
    return one;
}

static void count_list(void *context, uint32_t agent, const struct document *d)
{
    assert_int_equal(d->kind, DOCUMENT_LIST);
    *(uint32_t *)context += agent;
}

static void a_tombstone_takes_the_place_of_a_list(void **state)
{
    struct bench *b = *state;
    uint32_t agents = 0;

    put(b, 1, DOCUMENT_LIST, ANN, "a");
    put(b, 2, DOCUMENT_LIST, ANN, "a");
    put(b, 1, DOCUMENT_LIST, "bob, sixteen by.", "b");
    assert_int_equal(
        documents_of(b->shop.store, id_of(ANN), count_list, &agents), SOTTO_OK);
    assert_int_equal(agents, 1 + 2);
    forget(b, 1, ANN);
    agents = 0;
    assert_int_equal(
        documents_of(b->shop.store, id_of(ANN), count_list, &agents), SOTTO_OK);
    assert_int_equal(agents, 2);
    fetch(b, 1, 0, 1 << 20);
    assert_int_equal(b->count, 2);
    assert_int_equal(b->seen[1].kind, DOCUMENT_FORGET);
    assert_string_equal(b->seen[1].key, ANN);
    assert_int_equal(b->seen[1].body_size, 0);
}

static void a_tombstone_stays_until_it_is_confirmed(void **state)
{
    struct bench *b = *state;

    put(b, 1, DOCUMENT_LIST, ANN, "a");
    forget(b, 1, ANN); /* number 2 */
    confirm(b, 1, 0, 1);
    assert_true(pending(b, 1, ANN));
    assert_int_equal(store_begin(b->shop.store), SOTTO_OK);
    assert_int_equal(documents_restart(b->shop.store, 1, 40), SOTTO_OK);
    assert_int_equal(store_commit(b->shop.store), SOTTO_OK);
    fetch(b, 1, 40, 1 << 20);
    assert_int_equal(b->count, 1);
    assert_int_equal(b->seen[0].kind, DOCUMENT_FORGET);
    assert_true(put(b, 1, DOCUMENT_LIST, "bob", "b") > b->seen[0].number);
    confirm(b, 1, 40, b->seen[0].number);
    assert_false(pending(b, 1, ANN));
}

/* The agent was ahead of a restored aggregator: it has applied another
 * document of that number. */
static void a_number_that_was_not_sent_confirms_nothing(void **state)
{
    struct bench *b = *state;

    forget(b, 1, ANN); /* number 1 */
    for (int i = 0; i < 5; i++)
        put(b, 1, DOCUMENT_LIST, "bob", "b");
    confirm(b, 1, UINT64_MAX, 4);
    assert_true(pending(b, 1, ANN));
    fetch(b, 1, 4, 1 << 20);
    assert_int_equal(b->count, 2);
    assert_int_equal(b->seen[1].kind, DOCUMENT_FORGET);
    assert_int_equal(b->seen[1].number, 7);
    confirm(b, 1, 4, 6);
    assert_true(pending(b, 1, ANN));
    confirm(b, 1, 4, 7);
    assert_false(pending(b, 1, ANN));
    assert_int_equal(put(b, 1, DOCUMENT_LIST, "bob", "b"), 8);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(numbers_rise_for_each_agent),
        TEST(the_newest_of_a_key_takes_its_place),
        TEST(a_restart_goes_on_above_the_agents_number),
        TEST(a_payload_ends_soon_after_its_limit_and_the_next_goes_on),
        TEST(what_was_changed_on_disk_is_not_sent),
        TEST(tells_the_newest_number_of_every_agent),
        TEST(a_tombstone_takes_the_place_of_a_list),
        TEST(a_tombstone_stays_until_it_is_confirmed),
        TEST(a_number_that_was_not_sent_confirms_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
