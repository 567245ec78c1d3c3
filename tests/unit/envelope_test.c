/* envelope: what is sealed, signed and chained is read back by its recipient
 * only, and no changed bit gets through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <zstd.h>

#include "../support/wire.h"
#include "wire/envelope.h"
#include "wire/message.h"
#include "wire/pack.h"

#define SIGNATURE_ELEMENT 66 /* c4 40, and the signature */
#define INNER_HEAD 56

/* Agent 1 writes to aggregator 2; 3 is somebody else. */
struct fixture {
    struct keys *agent, *aggregator, *other;
    struct peer to;
    struct envelope head, parsed;
    struct buf out, opened;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    f->agent = fixed_keys(1);
    f->aggregator = fixed_keys(2);
    f->other = fixed_keys(3);
    keys_peer(f->aggregator, &f->to);
    f->head.kind = KIND_BATCH;
    f->head.stream = 0x1122334455667788;
    f->head.sequence = 9;
    memset(f->head.policy, 0x5a, HASH_SIZE);
    buf_init(&f->out, FRAME_MAX);
    buf_init(&f->opened, PAYLOAD_MAX);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    keys_free(f->agent);
    keys_free(f->aggregator);
    keys_free(f->other);
    buf_fini(&f->out);
    buf_fini(&f->opened);
    free(f);
    return 0;
}

static struct span bytes_of(const struct buf *b)
{
    return span_of(b->data, b->size);
}

static void write_payload(struct fixture *f, struct span payload)
{
    assert_int_equal(
        envelope_write(&f->out, &f->head, payload, f->agent, &f->to), SOTTO_OK);
    assert_int_equal(envelope_parse(&f->parsed, bytes_of(&f->out)), SOTTO_OK);
}

/* Parse, verify, open, by the rules of the recipient. */
static enum sotto_err receive(struct fixture *f, const struct keys *from)
{
    enum sotto_err err = envelope_parse(&f->parsed, bytes_of(&f->out));

    if (!err)
        err = envelope_verify(&f->parsed, bytes_of(&f->out), from->sign_pk);
    if (!err)
        err = envelope_open(&f->opened, &f->parsed, f->aggregator);
    return err;
}

/* Signs what is in out again, as k. */
static void sign_again(struct fixture *f, const struct keys *k)
{
    size_t signed_size = f->out.size - SIGNATURE_ELEMENT;

    crypto_sign_detached(f->out.data + signed_size + 2, NULL, f->out.data,
                         signed_size, k->sign_sk);
}

static void every_kind_round_trips(void **state)
{
    struct fixture *f = *state;
    struct buf plain;

    buf_init(&plain, PAYLOAD_MAX);
    for (uint32_t kind = KIND_BATCH; kind < KIND_COUNT; kind++) {
        struct span payload = span_text("what travels");

        if (kind == KIND_VOID)
            continue; /* see a_void_keeps_the_chain */
        f->head.kind = kind;
        write_payload(f, payload);
        assert_int_equal(receive(f, f->agent), SOTTO_OK);
        assert_int_equal(f->parsed.version, ENVELOPE_VERSION);
        assert_int_equal(f->parsed.kind, kind);
        assert_true(f->parsed.stream == f->head.stream);
        assert_true(f->parsed.sequence == 9);
        assert_memory_equal(f->parsed.sender, f->agent->sign_id, KEY_ID_SIZE);
        assert_memory_equal(f->parsed.recipient, f->aggregator->box_id,
                            KEY_ID_SIZE);
        assert_memory_equal(f->parsed.chain, f->head.chain, HASH_SIZE);
        assert_memory_equal(f->parsed.policy, f->head.policy, HASH_SIZE);
        assert_true(span_equal(f->parsed.body, f->head.body));
        if (kind_sealed(kind)) {
            assert_int_equal(
                payload_unzip(&plain, bytes_of(&f->opened), PAYLOAD_MAX),
                SOTTO_OK);
            assert_true(span_equal(bytes_of(&plain), payload));
        } else {
            assert_true(span_equal(bytes_of(&f->opened), payload));
            assert_true(span_equal(f->parsed.body, payload));
        }
    }
    buf_fini(&plain);
}

static void a_void_keeps_the_chain(void **state)
{
    struct fixture *f = *state;
    uint8_t before[HASH_SIZE], chain[HASH_SIZE];
    struct buf stand_in, again;
    struct void_body body;
    struct envelope e;

    memcpy(before, f->head.chain, HASH_SIZE);
    write_payload(f, span_text("what was"));
    memcpy(chain, before, HASH_SIZE);
    buf_init(&stand_in, FRAME_MAX);
    buf_init(&again, FRAME_MAX);
    assert_int_equal(envelope_void(&stand_in, bytes_of(&f->out), 7, 9, chain,
                                   12, "expired", f->agent),
                     SOTTO_OK);
    assert_memory_equal(chain, f->parsed.chain, HASH_SIZE);
    assert_int_equal(envelope_parse(&e, bytes_of(&stand_in)), SOTTO_OK);
    assert_int_equal(
        envelope_verify(&e, bytes_of(&stand_in), f->agent->sign_pk), SOTTO_OK);
    assert_int_equal(message_decode(&body, MESSAGE_VOID, e.body), SOTTO_OK);
    assert_int_equal(body.events, 12);
    assert_true(span_equal(body.reason, span_text("expired")));
    memcpy(chain, before, HASH_SIZE); /* and in another stream as well */
    assert_int_equal(
        envelope_rewrite(&again, bytes_of(&stand_in), 8, 1, chain, f->agent),
        SOTTO_OK);
    assert_memory_equal(chain, f->parsed.chain, HASH_SIZE);
    buf_fini(&stand_in);
    buf_fini(&again);
}

static void kinds_have_names(void **state)
{
    (void)state;
    for (uint32_t kind = KIND_BATCH; kind < KIND_COUNT; kind++)
        assert_string_not_equal(kind_name(kind), "unknown");
    assert_string_equal(kind_name(0), "unknown");
    assert_string_equal(kind_name(KIND_COUNT), "unknown");
    assert_false(kind_sealed(0));
    assert_false(kind_sealed(KIND_COUNT));
}

static void chain_links_to_the_one_before(void **state)
{
    struct fixture *f = *state;
    uint8_t chain[HASH_SIZE] = {0};
    uint8_t both[2 * HASH_SIZE];

    for (int i = 0; i < 3; i++) {
        write_payload(f, span_text("x"));
        memcpy(both, chain, HASH_SIZE);
        crypto_generichash(both + HASH_SIZE, HASH_SIZE, f->parsed.body.data,
                           f->parsed.body.size, NULL, 0);
        crypto_generichash(chain, HASH_SIZE, both, sizeof both, NULL, 0);
        assert_memory_equal(f->head.chain, chain, HASH_SIZE);
        assert_memory_equal(f->parsed.chain, chain, HASH_SIZE);
    }
}

static void every_changed_bit_is_caught(void **state)
{
    struct fixture *f = *state;

    for (uint32_t kind = KIND_BATCH; kind <= KIND_POLL;
         kind += KIND_POLL - KIND_BATCH) { /* one sealed, one plain */
        f->head.kind = kind;
        write_payload(f, span_text("payload"));
        for (size_t bit = 0; bit < 8 * f->out.size; bit++) {
            f->out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            if (receive(f, f->agent) == SOTTO_OK)
                fail_msg("bit %zu of %s", bit, kind_name(kind));
            f->out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        assert_int_equal(receive(f, f->agent), SOTTO_OK);
    }
}

/* Even the top bit of the ephemeral key, which X25519 ignores (RFC 7748, 5):
 * the nonce is made from all of it. */
static void a_changed_sealed_body_does_not_open_though_signed(void **state)
{
    struct fixture *f = *state;
    size_t body_at, size;

    write_payload(f, span_text("payload"));
    body_at = (size_t)(f->parsed.body.data - f->out.data);
    size = f->parsed.body.size;
    for (size_t bit = 8 * body_at; bit < 8 * (body_at + size); bit++) {
        f->out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        sign_again(f, f->agent);
        assert_int_equal(receive(f, f->agent), SOTTO_ECRYPTO);
        assert_int_equal(f->opened.size, 0);
        f->out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void truncations_and_trailing_bytes_are_refused(void **state)
{
    struct fixture *f = *state;
    struct envelope e;

    write_payload(f, span_text("payload"));
    for (size_t size = 0; size < f->out.size; size++)
        assert_int_equal(envelope_parse(&e, span_of(f->out.data, size)),
                         SOTTO_EDECODE);
    assert_int_equal(buf_append(&f->out, "\0", 1), SOTTO_OK);
    assert_int_equal(envelope_parse(&e, bytes_of(&f->out)), SOTTO_EDECODE);
}

static void anothers_ciphertext_does_not_become_ones_own(void **state)
{
    struct fixture *f = *state;

    write_payload(f, span_text("payload"));
    memcpy(f->out.data + 5, f->other->sign_id, KEY_ID_SIZE);
    sign_again(f, f->other);
    assert_int_equal(envelope_parse(&f->parsed, bytes_of(&f->out)), SOTTO_OK);
    assert_memory_equal(f->parsed.sender, f->other->sign_id, KEY_ID_SIZE);
    assert_int_equal(
        envelope_verify(&f->parsed, bytes_of(&f->out), f->other->sign_pk),
        SOTTO_OK);
    assert_int_equal(envelope_open(&f->opened, &f->parsed, f->aggregator),
                     SOTTO_ECRYPTO);
}

static void kind_and_policy_are_sealed_too(void **state)
{
    struct fixture *f = *state;
    struct envelope e;

    write_payload(f, span_text("payload"));
    e = f->parsed;
    e.kind = KIND_FORGET;
    assert_int_equal(envelope_open(&f->opened, &e, f->aggregator),
                     SOTTO_ECRYPTO);
    e = f->parsed;
    e.policy[31] ^= 1;
    assert_int_equal(envelope_open(&f->opened, &e, f->aggregator),
                     SOTTO_ECRYPTO);
    e = f->parsed;
    assert_int_equal(envelope_open(&f->opened, &e, f->aggregator), SOTTO_OK);
}

static void only_the_recipient_opens(void **state)
{
    struct fixture *f = *state;

    for (uint32_t kind = KIND_BATCH; kind <= KIND_POLL;
         kind += KIND_POLL - KIND_BATCH) { /* one sealed, one plain */
        f->head.kind = kind;
        write_payload(f, span_text("payload"));
        assert_int_equal(envelope_open(&f->opened, &f->parsed, f->other),
                         SOTTO_ECRYPTO);
        assert_int_equal(envelope_open(&f->opened, &f->parsed, f->agent),
                         SOTTO_ECRYPTO);
    }
}

static void the_key_must_be_the_senders(void **state)
{
    struct fixture *f = *state;

    write_payload(f, span_text("payload"));
    assert_int_equal(receive(f, f->other), SOTTO_ECRYPTO);
    /* A right signature by a key that is not the named sender's. */
    sign_again(f, f->other);
    assert_int_equal(receive(f, f->other), SOTTO_ECRYPTO);
}

/* What a sender could seal by hand, in an envelope that is right otherwise. */
static enum sotto_err receive_inner(struct fixture *f, struct span inner)
{
    struct envelope e;
    struct packer p;
    uint8_t body[4096], signature[64];

    write_payload(f, span_text("payload"));
    e = f->parsed;
    crypto_box_seal(body, inner.data, inner.size, f->aggregator->box_pk);
    buf_clear(&f->out);
    pack_init(&p, &f->out);
    pack_array(&p, 10);
    pack_uint(&p, 1);
    pack_uint(&p, e.kind);
    pack_bin(&p, span_of(e.sender, KEY_ID_SIZE));
    pack_bin(&p, span_of(e.recipient, KEY_ID_SIZE));
    pack_uint(&p, e.stream);
    pack_uint(&p, e.sequence);
    pack_bin(&p, span_of(e.chain, HASH_SIZE));
    pack_bin(&p, span_of(e.policy, HASH_SIZE));
    pack_bin(&p, span_of(body, inner.size + crypto_box_SEALBYTES));
    crypto_sign_detached(signature, NULL, f->out.data, f->out.size,
                         f->agent->sign_sk);
    pack_bin(&p, span_of(signature, 64));
    assert_int_equal(p.err, SOTTO_OK);
    return receive(f, f->agent);
}

/* Head for a payload of claimed bytes; 100 of payload follow at most. */
static void inner_fill(const struct fixture *f, uint8_t inner[512],
                       uint32_t claimed)
{
    memset(inner, 0, 512);
    memcpy(inner, f->agent->sign_id, KEY_ID_SIZE);
    inner[16] = KIND_BATCH;
    memcpy(inner + 20, f->head.policy, HASH_SIZE);
    memcpy(inner + 52,
           &(uint8_t[4]){(uint8_t)claimed, (uint8_t)(claimed >> 8),
                         (uint8_t)(claimed >> 16), (uint8_t)(claimed >> 24)},
           4);
    memset(inner + INNER_HEAD, 'p', 100);
}

static void padding_is_exact_and_zero(void **state)
{
    struct fixture *f = *state;
    uint8_t inner[512];
    size_t padded = (size_t)padme(INNER_HEAD + 100);

    assert_int_equal(padded, 160); /* 156: four bytes of padding */
    inner_fill(f, inner, 100);
    assert_int_equal(receive_inner(f, span_of(inner, padded)), SOTTO_OK);
    assert_int_equal(f->opened.size, 100);
    assert_int_equal(receive_inner(f, span_of(inner, padded - 1)),
                     SOTTO_ECRYPTO);
    assert_int_equal(receive_inner(f, span_of(inner, padded + 8)),
                     SOTTO_ECRYPTO);
    assert_int_equal(receive_inner(f, span_of(inner, INNER_HEAD + 100)),
                     SOTTO_ECRYPTO);
    inner[padded - 1] = 1;
    assert_int_equal(receive_inner(f, span_of(inner, padded)), SOTTO_ECRYPTO);
    inner_fill(f, inner, UINT32_MAX);
    assert_int_equal(receive_inner(f, span_of(inner, padded)), SOTTO_ECRYPTO);
    inner_fill(f, inner, 0);
    assert_int_equal(receive_inner(f, span_of(inner, INNER_HEAD)), SOTTO_OK);
    assert_int_equal(f->opened.size, 0);
    assert_int_equal(receive_inner(f, span_of(inner, INNER_HEAD - 1)),
                     SOTTO_EDECODE);
}

/* Sizes of random payloads are told only as Padmé lets them be. */
static void sealed_sizes_are_padded(void **state)
{
    struct fixture *f = *state;
    uint8_t payload[3000];

    randombytes_buf(payload, sizeof payload);
    for (size_t size = 0; size < sizeof payload; size += 97) {
        size_t inner;

        write_payload(f, span_of(payload, size));
        inner = f->parsed.body.size - crypto_box_SEALBYTES;
        assert_true(padme(inner) == inner);
        assert_int_equal(receive(f, f->agent), SOTTO_OK);
    }
}

static void padme_is_the_papers(void **state)
{
    static const uint64_t rows[][2] = {
        {0, 0},   {1, 1},     {2, 2},     {8, 8},         {9, 10},
        {15, 16}, {100, 104}, {156, 160}, {65537, 67584}, {1000000, 1015808}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_true(padme(rows[i][0]) == rows[i][1]);
    for (uint64_t size = 1; size < 100000; size++) {
        uint64_t padded = padme(size);

        assert_true(padded >= size && padded <= size + size * 12 / 100 + 1);
        assert_true(padme(padded) == padded);
        assert_true(padded <= padme(size + 1));
    }
}

static void parse_refuses_what_is_out_of_range(void **state)
{
    struct fixture *f = *state;
    static const struct {
        size_t at;
        uint8_t byte;
        enum sotto_err want;
    } rows[] = {
        {0, 0x99, SOTTO_EDECODE}, /* nine elements */
        {0, 0x9b, SOTTO_EDECODE}, /* eleven */
        {1, 0, SOTTO_EVERSION},   /* version */
        {1, 2, SOTTO_EVERSION},
        {1, 0xa1, SOTTO_EDECODE}, /* a text for a version */
        {2, 0, SOTTO_EDECODE},    /* kind */
        {2, KIND_COUNT, SOTTO_EDECODE},
        {4, 15, SOTTO_EDECODE}, /* size of the sender's id */
        {4, 17, SOTTO_EDECODE},
    };

    write_payload(f, span_text("payload"));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t was = f->out.data[rows[i].at];
        enum sotto_err err;

        f->out.data[rows[i].at] = rows[i].byte;
        err = envelope_parse(&f->parsed, bytes_of(&f->out));
        /* Random bytes that are taken for a length may be over a limit. */
        if (rows[i].want == SOTTO_EDECODE && err == SOTTO_ETOOBIG)
            err = SOTTO_EDECODE;
        assert_int_equal(err, rows[i].want);
        f->out.data[rows[i].at] = was;
    }
}

static void the_signature_has_one_spelling(void **state)
{
    struct fixture *f = *state;
    uint8_t signature[64];

    write_payload(f, span_text("payload"));
    memcpy(signature, f->parsed.signature, 64);
    f->out.data[0] = 0x9b; /* an eleventh element, a second signature */
    assert_int_equal(buf_append(&f->out, "\xc4\x40", 2), SOTTO_OK);
    assert_int_equal(buf_append(&f->out, signature, 64), SOTTO_OK);
    assert_int_equal(envelope_parse(&f->parsed, bytes_of(&f->out)),
                     SOTTO_EDECODE);
    f->out.data[0] = 0x9a;
    f->out.size -= SIGNATURE_ELEMENT;
    assert_int_equal(envelope_parse(&f->parsed, bytes_of(&f->out)), SOTTO_OK);
    f->out.size -= SIGNATURE_ELEMENT;
    assert_int_equal(buf_append(&f->out, "\xc5\x00\x40", 3), SOTTO_OK);
    assert_int_equal(buf_append(&f->out, signature, 64), SOTTO_OK);
    assert_int_equal(envelope_parse(&f->parsed, bytes_of(&f->out)),
                     SOTTO_EDECODE);
}

static void nothing_over_the_frame_limit_is_written(void **state)
{
    struct fixture *f = *state;
    uint8_t *noise = calloc(1, PAYLOAD_MAX + 1);
    uint8_t chain[HASH_SIZE] = {0};
    struct buf wide;

    buf_init(&wide, 4 * PAYLOAD_MAX);
    randombytes_buf(noise, FRAME_MAX);
    f->head.kind = KIND_POLL;
    for (size_t size = FRAME_MAX - 230; size <= FRAME_MAX; size += 10) {
        enum sotto_err err = envelope_write(
            &wide, &f->head, span_of(noise, size), f->agent, &f->to);

        assert_true(err == SOTTO_OK || err == SOTTO_ETOOBIG);
        assert_true(wide.size <= FRAME_MAX);
        assert_int_equal(wide.size == 0, err == SOTTO_ETOOBIG);
    }
    f->head.kind = KIND_BATCH;
    memset(f->head.chain, 0, HASH_SIZE);
    assert_int_equal(envelope_write(&wide, &f->head, span_of(noise, FRAME_MAX),
                                    f->agent, &f->to),
                     SOTTO_ETOOBIG);
    assert_memory_equal(f->head.chain, chain, HASH_SIZE);
    memset(noise, 0, FRAME_MAX);
    assert_int_equal(envelope_write(&wide, &f->head,
                                    span_of(noise, PAYLOAD_MAX + 1), f->agent,
                                    &f->to),
                     SOTTO_ETOOBIG);
    assert_int_equal(envelope_write(&wide, &f->head,
                                    span_of(noise, PAYLOAD_MAX), f->agent,
                                    &f->to),
                     SOTTO_OK);
    f->head.kind = KIND_COUNT;
    assert_int_equal(
        envelope_write(&wide, &f->head, span_text("x"), f->agent, &f->to),
        SOTTO_EINVAL);
    buf_fini(&wide);
    free(noise);
}

static void unzip_takes_one_frame_of_known_size(void **state)
{
    struct fixture *f = *state;
    static const uint8_t skippable[] = {0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0};
    uint8_t unsized[64];
    ZSTD_CCtx *c = ZSTD_createCCtx();
    struct span text = span_text("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    size_t size;

    assert_int_equal(payload_zip(&f->out, text), SOTTO_OK);
    assert_int_equal(payload_unzip(&f->opened, bytes_of(&f->out), text.size),
                     SOTTO_OK);
    assert_true(span_equal(bytes_of(&f->opened), text));
    assert_int_equal(
        payload_unzip(&f->opened, bytes_of(&f->out), text.size - 1),
        SOTTO_ETOOBIG);
    for (size = 0; size < f->out.size; size++)
        assert_int_equal(
            payload_unzip(&f->opened, span_of(f->out.data, size), 4096),
            SOTTO_EDECODE);
    assert_int_equal(buf_append(&f->out, skippable, 8), SOTTO_OK);
    assert_int_equal(payload_unzip(&f->opened, bytes_of(&f->out), 4096),
                     SOTTO_EDECODE);
    assert_int_equal(payload_unzip(&f->opened, span_of(skippable, 8), 4096),
                     SOTTO_EDECODE);
    ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0);
    size = ZSTD_compress2(c, unsized, sizeof unsized, text.data, text.size);
    assert_false(ZSTD_isError(size));
    assert_int_equal(payload_unzip(&f->opened, span_of(unsized, size), 4096),
                     SOTTO_EDECODE);
    ZSTD_freeCCtx(c);
}

static const char frozen_poll[] =
    "9a0104c410c5e21ab1c9f6022d81c3b25e3436cb7fc410bc7259ff4b4ff1268d03a1806d"
    "ea9367cf112233445566778809c4206535b6ec4b492dfe60ff645c10a9afbc39ce11cd4c"
    "1c928599434d9a94f1cf72c4200000000000000000000000000000000000000000000000"
    "000000000000000000c403616263c440c20f30c4c09e15ed11b8bdc0003722712a3d22d1"
    "2988ca54df9386d874c96477641d8bd8084dcb2eb3d424a9634ba316e07954efd75bb8c7"
    "e885b07f9455820c";

static void a_plain_envelope_is_frozen(void **state)
{
    struct fixture *f = *state;
    char *hex;

    f->head.kind = KIND_POLL;
    memset(f->head.policy, 0, HASH_SIZE);
    write_payload(f, span_text("abc"));
    hex = hex_of(bytes_of(&f->out));
    assert_string_equal(hex, frozen_poll);
    free(hex);
}

/* Sealed boxes are random: this one was made once. */
static const char frozen_batch[] =
    "9a0101c410c5e21ab1c9f6022d81c3b25e3436cb7fc410bc7259ff4b4ff1268d03a1806d"
    "ea9367cf112233445566778809c420cd3778f0aa8ed7d80212f605739146372779f37ce7"
    "e2bc25a04a93cd82165442c4205a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"
    "5a5a5a5a5a5a5a5a5ac488aeb93176f01f86ea62c3554627759892a75e8e268c20215994"
    "757f5402050f2570a2ebc9332479c594e68257b8e28017ba7930626f8046f0c59c4ef5b5"
    "f2f34c19564c778f892eddbe5b42ec6846982773c630036f381edd9b0fe35218c4cd12e7"
    "f7153c336d1f62af5afe309a22148f00f415878e0cdc2ad6a55d4c76148f08389e2a662b"
    "664b41c440211835aadb15d934d663a36f8ddfae727ed31a341ff2ce4e445e9a13203033"
    "32e44bf1304f77d46ba4f9f1de0ee799853b404156c2ae03e55b89851ea4e5a20d";

static void a_frozen_sealed_envelope_opens(void **state)
{
    struct fixture *f = *state;
    struct buf plain;

    buf_init(&plain, 4096);
    hex_append(&f->out, frozen_batch);
    assert_int_equal(receive(f, f->agent), SOTTO_OK);
    assert_int_equal(f->parsed.kind, KIND_BATCH);
    assert_int_equal(payload_unzip(&plain, bytes_of(&f->opened), 4096),
                     SOTTO_OK);
    assert_true(
        span_equal(bytes_of(&plain), span_text("a frozen sealed payload")));
    buf_fini(&plain);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_kind_round_trips),
        TEST(a_void_keeps_the_chain),
        TEST(kinds_have_names),
        TEST(chain_links_to_the_one_before),
        TEST(every_changed_bit_is_caught),
        TEST(a_changed_sealed_body_does_not_open_though_signed),
        TEST(truncations_and_trailing_bytes_are_refused),
        TEST(anothers_ciphertext_does_not_become_ones_own),
        TEST(kind_and_policy_are_sealed_too),
        TEST(only_the_recipient_opens),
        TEST(the_key_must_be_the_senders),
        TEST(padding_is_exact_and_zero),
        TEST(sealed_sizes_are_padded),
        TEST(padme_is_the_papers),
        TEST(parse_refuses_what_is_out_of_range),
        TEST(the_signature_has_one_spelling),
        TEST(nothing_over_the_frame_limit_is_written),
        TEST(unzip_takes_one_frame_of_known_size),
        TEST(a_plain_envelope_is_frozen),
        TEST(a_frozen_sealed_envelope_opens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
