/* envelope: the first byte of an input chooses what the rest is.
 *
 *   0  an envelope from outside
 *   1  the plaintext of a sealed body, in an envelope that is right otherwise
 *   2  a body that was never sealed, in an envelope that is right otherwise
 *   3  a payload, which must come back
 *   4  a compressed payload */
#include "fuzz.h"

#include <string.h>

#include "../support/wire.h"
#include "wire/envelope.h"
#include "wire/pack.h"

static struct keys *agent, *aggregator;
static struct peer to;
static struct buf out, opened, plain;

static void keys_once(void)
{
    if (agent)
        return;
    agent = fixed_keys(1);
    aggregator = fixed_keys(2);
    keys_peer(aggregator, &to);
    buf_init(&out, 2 * FRAME_MAX);
    buf_init(&opened, FRAME_MAX);
    buf_init(&plain, PAYLOAD_MAX);
}

static void fuzz_outside(struct span bytes)
{
    struct envelope e;

    if (envelope_parse(&e, bytes) != SOTTO_OK)
        return;
    expect(e.kind > 0 && e.kind < KIND_COUNT);
    expect(e.body.size < bytes.size);
    (void)envelope_verify(&e, bytes, agent->sign_pk);
    if (envelope_open(&opened, &e, aggregator) == SOTTO_OK &&
        kind_sealed(e.kind))
        (void)payload_unzip(&plain, fuzz_bytes(&opened), PAYLOAD_MAX);
}

/* A validly signed batch around body; true if it could be one by size. */
static bool envelope_around(struct span body)
{
    uint8_t zeros[HASH_SIZE] = {0}, signature[64];
    struct packer p;

    buf_clear(&out);
    pack_init(&p, &out);
    pack_array(&p, 10);
    pack_uint(&p, ENVELOPE_VERSION);
    pack_uint(&p, KIND_BATCH);
    pack_bin(&p, span_of(agent->sign_id, KEY_ID_SIZE));
    pack_bin(&p, span_of(to.box_id, KEY_ID_SIZE));
    pack_uint(&p, 1);
    pack_uint(&p, 1);
    pack_bin(&p, span_of(zeros, HASH_SIZE));
    pack_bin(&p, span_of(zeros, HASH_SIZE));
    pack_bin(&p, body);
    crypto_sign_detached(signature, NULL, out.data, out.size, agent->sign_sk);
    pack_bin(&p, span_of(signature, 64));
    return !p.err && out.size <= FRAME_MAX;
}

static void fuzz_body(struct span body, bool sealed)
{
    struct envelope e;

    if (!envelope_around(body) ||
        envelope_parse(&e, fuzz_bytes(&out)) != SOTTO_OK)
        return;
    expect(envelope_verify(&e, fuzz_bytes(&out), agent->sign_pk) == SOTTO_OK);
    if (envelope_open(&opened, &e, aggregator) != SOTTO_OK)
        return;
    expect(sealed); /* nobody makes a sealed box by chance */
    if (payload_unzip(&plain, fuzz_bytes(&opened), PAYLOAD_MAX) == SOTTO_OK)
        expect(plain.size <= PAYLOAD_MAX);
}

/* The head that says who sealed it is put right, so that mutations reach what
 * comes after it; the first byte of the rest says whether. */
static void fuzz_inner(struct span rest)
{
    struct buf inner, body;

    buf_init(&inner, FRAME_MAX);
    buf_init(&body, FRAME_MAX);
    if (rest.size < 1 || buf_append(&inner, rest.data + 1, rest.size - 1))
        goto done;
    if (rest.data[0] == 0 && inner.size >= 52) {
        memset(inner.data, 0, 52);
        memcpy(inner.data, agent->sign_id, KEY_ID_SIZE);
        inner.data[16] = KIND_BATCH;
    }
    if (buf_reserve(&body, inner.size + crypto_box_SEALBYTES))
        goto done;
    crypto_box_seal(body.data, inner.data, inner.size, to.box_pk);
    body.size = inner.size + crypto_box_SEALBYTES;
    fuzz_body(fuzz_bytes(&body), true);

done:
    buf_fini(&body);
    buf_fini(&inner);
}

static void fuzz_payload(struct span payload)
{
    struct envelope head = {.kind = KIND_BATCH}, e;

    if (envelope_write(&out, &head, payload, agent, &to) != SOTTO_OK)
        return;
    expect(out.size <= FRAME_MAX);
    expect(envelope_parse(&e, fuzz_bytes(&out)) == SOTTO_OK);
    expect(envelope_open(&opened, &e, aggregator) == SOTTO_OK);
    expect(payload_unzip(&plain, fuzz_bytes(&opened), PAYLOAD_MAX) == SOTTO_OK);
    expect(span_equal(fuzz_bytes(&plain), payload));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest;

    keys_once();
    if (size < 1)
        return 0;
    rest = span_of(data + 1, size - 1);
    switch (data[0]) {
    case 0:
        fuzz_outside(rest);
        break;
    case 1:
        fuzz_inner(rest);
        break;
    case 2:
        fuzz_body(rest, false);
        break;
    case 3:
        fuzz_payload(rest);
        break;
    case 4:
        (void)payload_unzip(&plain, rest, PAYLOAD_MAX);
        break;
    default:
        break;
    }
    return 0;
}
