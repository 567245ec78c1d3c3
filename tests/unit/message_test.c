/* message: records survive, older and newer writers are understood, and a
 * token's text is a token. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../support/wire.h"
#include "wire/message.h"
#include "wire/pack.h"

static const struct reply a_reply = {
    .nonce = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
    .stream = 0x1122334455667788,
    .sequence = 300,
    .verdict = VERDICT_RETRY,
    .reason = REFUSAL_UNKNOWN_POLICY,
    .watermark = 299,
    .wait_ms = 70000,
    .time_ms = INT64_C(1796112000123),
};
static const struct poll a_poll = {1, 1, UINT64_MAX, 4};
static const struct enrol an_enrol = {{1}, {2}, {3}, {4}};
static const struct documents_head a_head = {{9}, 12, 3, -1};

static struct enrolled an_enrolled(void)
{
    return (struct enrolled){.nonce = {7},
                             .reason = REFUSAL_TOKEN_SPENT,
                             .name = span_text("shop 1"),
                             .agent = {8},
                             .time_ms = 5};
}

static struct void_body a_void(void)
{
    return (struct void_body){{6}, span_text("evicted"), 500};
}

static struct token a_token(void)
{
    return (struct token){.address = span_text("tcp://127.0.0.1:7700"),
                          .sign_pk = {1},
                          .box_pk = {2},
                          .secret = {3},
                          .expires_ms = INT64_C(1796112000000),
                          .name = span_text("shop 1")};
}

static struct span bytes_of(const struct buf *b)
{
    return span_of(b->data, b->size);
}

/* One record of each type, in the order of enum message_type. */
struct sample {
    union {
        struct reply reply;
        struct poll poll;
        struct enrol enrol;
        struct enrolled enrolled;
        struct void_body void_body;
        struct documents_head head;
        struct token token;
    };
};

static void sample_make(struct sample *s, enum message_type type)
{
    memset(s, 0, sizeof *s);
    switch (type) {
    case MESSAGE_REPLY:
        s->reply = a_reply;
        break;
    case MESSAGE_POLL:
        s->poll = a_poll;
        break;
    case MESSAGE_ENROL:
        s->enrol = an_enrol;
        break;
    case MESSAGE_ENROLLED:
        s->enrolled = an_enrolled();
        break;
    case MESSAGE_VOID:
        s->void_body = a_void();
        break;
    case MESSAGE_DOCUMENTS_HEAD:
        s->head = a_head;
        break;
    default:
        s->token = a_token();
    }
}

static void sample_encode(struct buf *b, enum message_type type)
{
    struct sample s;

    sample_make(&s, type);
    buf_init(b, 1 << 20);
    assert_int_equal(message_encode(b, type, &s), SOTTO_OK);
}

static void every_field_survives(void **state)
{
    struct buf b;
    struct reply reply;
    struct poll poll;
    struct enrol enrol;
    struct enrolled enrolled;
    struct void_body v;
    struct documents_head head;

    (void)state;
    sample_encode(&b, MESSAGE_REPLY);
    assert_int_equal(message_decode(&reply, MESSAGE_REPLY, bytes_of(&b)), 0);
    assert_memory_equal(&reply, &a_reply, sizeof reply);
    buf_fini(&b);
    sample_encode(&b, MESSAGE_POLL);
    assert_int_equal(message_decode(&poll, MESSAGE_POLL, bytes_of(&b)), 0);
    assert_memory_equal(&poll, &a_poll, sizeof poll);
    buf_fini(&b);
    sample_encode(&b, MESSAGE_ENROL);
    assert_int_equal(message_decode(&enrol, MESSAGE_ENROL, bytes_of(&b)), 0);
    assert_memory_equal(&enrol, &an_enrol, sizeof enrol);
    buf_fini(&b);
    sample_encode(&b, MESSAGE_DOCUMENTS_HEAD);
    assert_int_equal(
        message_decode(&head, MESSAGE_DOCUMENTS_HEAD, bytes_of(&b)), 0);
    assert_memory_equal(&head, &a_head, sizeof head);
    buf_fini(&b);
    sample_encode(&b, MESSAGE_ENROLLED);
    assert_int_equal(message_decode(&enrolled, MESSAGE_ENROLLED, bytes_of(&b)),
                     0);
    assert_true(span_equal(enrolled.name, span_text("shop 1")));
    assert_int_equal(enrolled.reason, REFUSAL_TOKEN_SPENT);
    assert_int_equal(enrolled.agent[0], 8);
    assert_int_equal(enrolled.time_ms, 5);
    buf_fini(&b);
    sample_encode(&b, MESSAGE_VOID);
    assert_int_equal(message_decode(&v, MESSAGE_VOID, bytes_of(&b)), 0);
    assert_true(span_equal(v.reason, span_text("evicted")));
    assert_int_equal(v.body_hash[0], 6);
    assert_int_equal(v.events, 500);
    buf_fini(&b);
}

static void truncations_and_trailing_bytes_are_refused(void **state)
{
    (void)state;
    for (enum message_type type = 0; type < MESSAGE_COUNT; type++) {
        struct sample s;
        struct buf b;

        sample_encode(&b, type);
        for (size_t size = 0; size < b.size; size++)
            assert_int_equal(message_decode(&s, type, span_of(b.data, size)),
                             SOTTO_EDECODE);
        assert_int_equal(buf_append(&b, "\xc0", 1), SOTTO_OK);
        assert_int_equal(message_decode(&s, type, bytes_of(&b)), SOTTO_EDECODE);
        buf_fini(&b);
    }
}

/* The first byte of a short array is 0x90 + count. */
static void a_newer_writers_fields_are_skipped(void **state)
{
    (void)state;
    for (enum message_type type = 0; type < MESSAGE_COUNT; type++) {
        struct sample s;
        struct buf b, again;

        sample_encode(&b, type);
        sample_encode(&again, type);
        b.data[0]++;
        assert_int_equal(buf_append(&b, "\x92\x01\xc0", 3), SOTTO_OK);
        assert_int_equal(message_decode(&s, type, bytes_of(&b)), SOTTO_OK);
        buf_clear(&again);
        assert_int_equal(message_encode(&again, type, &s), SOTTO_OK);
        b.data[0]--;
        b.size -= 3;
        assert_true(span_equal(bytes_of(&b), bytes_of(&again)));
        buf_fini(&again);
        buf_fini(&b);
    }
}

static void an_older_writers_gaps_are_zero(void **state)
{
    struct buf b;
    struct packer p;
    struct reply reply;

    (void)state;
    for (size_t sent = 3; sent <= 4; sent++) {
        buf_init(&b, 4096);
        pack_init(&p, &b);
        pack_array(&p, sent);
        pack_bin(&p, span_of(a_reply.nonce, NONCE_SIZE));
        pack_uint(&p, 5);
        pack_uint(&p, 6);
        if (sent == 4)
            pack_uint(&p, VERDICT_ACK);
        memset(&reply, 0xff, sizeof reply);
        assert_int_equal(message_decode(&reply, MESSAGE_REPLY, bytes_of(&b)),
                         sent == 4 ? SOTTO_OK : SOTTO_EDECODE);
        buf_fini(&b);
    }
    assert_memory_equal(reply.nonce, a_reply.nonce, NONCE_SIZE);
    assert_int_equal(reply.stream, 5);
    assert_int_equal(reply.sequence, 6);
    assert_int_equal(reply.verdict, VERDICT_ACK);
    assert_int_equal(reply.reason, 0);
    assert_int_equal(reply.watermark, 0);
    assert_int_equal(reply.wait_ms, 0);
    assert_int_equal(reply.time_ms, 0);
}

static void texts_are_limited_and_without_zeros(void **state)
{
    static char large[64 * 1024 + 1];
    struct void_body v = a_void();
    struct buf b;

    (void)state;
    memset(large, 'x', sizeof large);
    buf_init(&b, 1 << 20);
    v.reason = span_of(large, sizeof large);
    assert_int_equal(message_encode(&b, MESSAGE_VOID, &v), SOTTO_ETOOBIG);
    assert_int_equal(b.size, 0);
    v.reason.size--;
    assert_int_equal(message_encode(&b, MESSAGE_VOID, &v), SOTTO_OK);
    assert_int_equal(message_decode(&v, MESSAGE_VOID, bytes_of(&b)), SOTTO_OK);
    assert_int_equal(v.reason.size, 64 * 1024);
    buf_clear(&b);
    v.reason = span_of("a\0b", 3);
    assert_int_equal(message_encode(&b, MESSAGE_VOID, &v), SOTTO_EINVAL);
    b.max = b.size = 0;
    v.reason = span_text("r");
    assert_int_equal(message_encode(&b, MESSAGE_VOID, &v), SOTTO_ETOOBIG);
    assert_int_equal(b.size, 0);
    buf_fini(&b);
}

static const char frozen_reply[] =
    "98c4100102030405060708090a0b0c0d0e0f10cf1122334455667788cd012c0202cd012b"
    "ce00011170cf000001a2309e247b";

static void a_reply_is_frozen(void **state)
{
    struct buf b;
    char *hex;

    (void)state;
    sample_encode(&b, MESSAGE_REPLY);
    hex = hex_of(bytes_of(&b));
    assert_string_equal(hex, frozen_reply);
    free(hex);
    buf_fini(&b);
}

static const char frozen_token[] =
    "sotto1:lrR0Y3A6Ly8xMjcuMC4wLjE6NzcwMMQgAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAADEIAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAxCADAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAM8AAAGiMJ4kAKZzaG9wIDE";

static void a_token_is_frozen(void **state)
{
    struct token t = a_token();
    struct buf b;

    (void)state;
    buf_init(&b, 4096);
    assert_int_equal(token_write(&b, &t), SOTTO_OK);
    assert_int_equal(buf_append(&b, "", 1), SOTTO_OK);
    assert_string_equal((char *)b.data, frozen_token);
    buf_wipe(&b);
}

static void a_token_is_read_with_space_after_it(void **state)
{
    static const char *const tails[] = {"", "\n", "\r\n", " \t\n\n"};
    struct buf text, scratch;

    (void)state;
    buf_init(&text, 4096);
    buf_init(&scratch, 4096);
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        struct token t = a_token();

        buf_clear(&text);
        assert_int_equal(token_write(&text, &t), SOTTO_OK);
        assert_int_equal(buf_append(&text, tails[i], strlen(tails[i])), 0);
        assert_int_equal(token_read(&t, bytes_of(&text), &scratch), SOTTO_OK);
        assert_true(span_equal(t.address, span_text("tcp://127.0.0.1:7700")));
        assert_true(span_equal(t.name, span_text("shop 1")));
        assert_int_equal(t.sign_pk[0], 1);
        assert_int_equal(t.box_pk[0], 2);
        assert_int_equal(t.secret[0], 3);
        assert_true(t.expires_ms == INT64_C(1796112000000));
    }
    buf_wipe(&text);
    buf_wipe(&scratch);
}

static void a_spoilt_token_is_refused_and_wiped(void **state)
{
    static const char *const texts[] = {
        "",          "sotto1",     "sotto1:",     "sotto2:kA",  "sotto1:k",
        "sotto1:k=", "sotto1:k A", "sotto1:+/+/", " sotto1:kA", "sotto1:kA",
    };
    static const char *const tails[] = {"=", " x", "\n\nkA", "!", "AAAA"};
    struct token t;
    struct buf scratch, text;

    (void)state;
    buf_init(&scratch, 4096);
    buf_init(&text, 4096);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(token_read(&t, span_text(texts[i]), &scratch),
                         SOTTO_EDECODE);
    t = a_token();
    assert_int_equal(token_write(&text, &t), SOTTO_OK);
    for (size_t size = 0; size < text.size; size++) {
        assert_int_equal(token_read(&t, span_of(text.data, size), &scratch),
                         SOTTO_EDECODE);
        assert_int_equal(scratch.size, 0);
        assert_true(sodium_is_zero(t.secret, sizeof t.secret));
        assert_true(sodium_is_zero(scratch.data, scratch.capacity));
    }
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        size_t size = text.size;

        assert_int_equal(buf_append(&text, tails[i], strlen(tails[i])), 0);
        assert_int_equal(token_read(&t, bytes_of(&text), &scratch),
                         SOTTO_EDECODE);
        text.size = size;
    }
    scratch.max = 20;
    buf_fini(&scratch);
    assert_int_equal(token_read(&t, bytes_of(&text), &scratch), SOTTO_ETOOBIG);
    buf_wipe(&scratch);
    buf_wipe(&text);
}

static void nothing_stays_of_a_record_that_is_refused(void **state)
{
    struct enrol e;
    struct buf b;

    (void)state;
    sample_encode(&b, MESSAGE_ENROL);
    b.data[b.size - 34] = 0xd9; /* box_pk as a text */
    memset(&e, 0xff, sizeof e);
    assert_int_equal(message_decode(&e, MESSAGE_ENROL, bytes_of(&b)),
                     SOTTO_EDECODE);
    assert_true(sodium_is_zero((uint8_t *)&e, sizeof e));
    buf_fini(&b);
}

static void every_refusal_has_a_name_and_advice(void **state)
{
    (void)state;
    for (uint32_t r = 0; r < REFUSAL_COUNT; r++) {
        assert_true(refusal_name(r) && refusal_text(r));
        assert_string_not_equal(refusal_name(r), "unknown");
        for (uint32_t other = 0; other < r; other++)
            assert_string_not_equal(refusal_name(r), refusal_name(other));
    }
    assert_string_equal(refusal_name(REFUSAL_UNKNOWN_POLICY), "unknown_policy");
    assert_string_equal(refusal_name(REFUSAL_COUNT), "unknown");
    assert_non_null(refusal_text(UINT32_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_survives),
        cmocka_unit_test(truncations_and_trailing_bytes_are_refused),
        cmocka_unit_test(a_newer_writers_fields_are_skipped),
        cmocka_unit_test(an_older_writers_gaps_are_zero),
        cmocka_unit_test(texts_are_limited_and_without_zeros),
        cmocka_unit_test(a_reply_is_frozen),
        cmocka_unit_test(a_token_is_frozen),
        cmocka_unit_test(a_token_is_read_with_space_after_it),
        cmocka_unit_test(a_spoilt_token_is_refused_and_wiped),
        cmocka_unit_test(nothing_stays_of_a_record_that_is_refused),
        cmocka_unit_test(every_refusal_has_a_name_and_advice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
