/* See envelope.h. The signature element is last and always the 66 bytes
 * c4 40 <signature>; "all bytes before it" is therefore everything but the
 * last 66, and envelope_parse refuses any other spelling of it. Plaintext is
 * wiped from every buffer of this file. */
#include "wire/envelope.h"

#include <assert.h>
#include <string.h>

#include <zstd.h>
#include <zstd_errors.h>

#include "wire/message.h"
#include "wire/pack.h"

#define ELEMENTS 10
#define SIGNATURE_SIZE crypto_sign_BYTES
#define SIGNATURE_ELEMENT (2 + SIGNATURE_SIZE)
#define ZIP_LEVEL 1

/* Of a sealed plaintext; numbers are little-endian. */
#define INNER_KIND_AT KEY_ID_SIZE
#define INNER_POLICY_AT (INNER_KIND_AT + 4)
#define INNER_SIZE_AT (INNER_POLICY_AT + HASH_SIZE)
#define INNER_HEAD (INNER_SIZE_AT + 4)

static_assert(sizeof((struct envelope *)0)->signature == SIGNATURE_SIZE,
              "an Ed25519 signature");
static_assert(crypto_generichash_BYTES == HASH_SIZE, "BLAKE2b-256");

static const struct {
    const char *name;
    bool sealed;
} kinds[KIND_COUNT] = {
    [KIND_BATCH] = {"batch", true},
    [KIND_VOID] = {"void", false},
    [KIND_FORGET] = {"forget", true},
    [KIND_POLL] = {"poll", false},
    [KIND_ENROL] = {"enrol", true},
    [KIND_REPLY] = {"reply", false},
    [KIND_DOCUMENTS] = {"documents", true},
    [KIND_ENROLLED] = {"enrolled", true},
};

static bool kind_known(uint64_t kind)
{
    return kind < KIND_COUNT && kinds[kind].name;
}

bool kind_sealed(uint32_t kind)
{
    return kind_known(kind) && kinds[kind].sealed;
}

const char *kind_name(uint32_t kind)
{
    return kind_known(kind) ? kinds[kind].name : "unknown";
}

void chain_next(uint8_t chain[HASH_SIZE], struct span body)
{
    uint8_t hash[HASH_SIZE];

    hash_bytes(hash, body, span_of(NULL, 0));
    hash_bytes(chain, span_of(chain, HASH_SIZE), span_of(hash, HASH_SIZE));
}

enum sotto_err envelope_chain(uint8_t chain[HASH_SIZE],
                              const struct envelope *e)
{
    struct void_body stood;
    enum sotto_err err;

    if (e->kind != KIND_VOID) {
        chain_next(chain, e->body);
        return SOTTO_OK;
    }
    err = message_decode(&stood, MESSAGE_VOID, e->body);
    if (!err)
        hash_bytes(chain, span_of(chain, HASH_SIZE),
                   span_of(stood.body_hash, HASH_SIZE));
    return err;
}

static uint32_t log2_floor(uint64_t value)
{
    uint32_t log = 0;

    while (value >>= 1)
        log++;
    return log;
}

/* Keeps as many leading bits as the exponent's own width, plus one: at most
 * 12 % more, and only O(log log size) told. */
uint64_t padme(uint64_t size)
{
    uint32_t exponent, kept;
    uint64_t mask;

    if (size < 2)
        return size;
    exponent = log2_floor(size);
    kept = log2_floor(exponent) + 1;
    mask = (UINT64_C(1) << (exponent - kept)) - 1;
    return (size + mask) & ~mask;
}

static void put_u32(uint8_t to[4], uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t get_u32(const uint8_t from[4])
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 |
           (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

enum sotto_err payload_zip(struct buf *out, struct span plain)
{
    size_t bound = ZSTD_compressBound(plain.size);
    enum sotto_err err;
    size_t got;

    buf_clear(out);
    if (plain.size > PAYLOAD_MAX)
        return SOTTO_ETOOBIG;
    err = buf_reserve(out, bound < out->max ? bound : out->max);
    if (err)
        return err;
    got = ZSTD_compress(out->data, out->capacity, plain.data, plain.size,
                        ZIP_LEVEL);
    if (ZSTD_isError(got))
        return ZSTD_getErrorCode(got) == ZSTD_error_memory_allocation
                   ? SOTTO_ENOMEM
                   : SOTTO_ETOOBIG;
    out->size = got;
    return SOTTO_OK;
}

enum sotto_err payload_unzip(struct buf *out, struct span zipped, size_t max)
{
    unsigned long long size;
    enum sotto_err err;
    size_t got;

    buf_clear(out);
    /* The magic first: a skippable frame would pass for an empty one. */
    if (zipped.size < 4 || get_u32(zipped.data) != ZSTD_MAGICNUMBER)
        return SOTTO_EDECODE;
    size = ZSTD_getFrameContentSize(zipped.data, zipped.size);
    if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR)
        return SOTTO_EDECODE;
    if (size > max)
        return SOTTO_ETOOBIG;
    if (ZSTD_findFrameCompressedSize(zipped.data, zipped.size) != zipped.size)
        return SOTTO_EDECODE;
    err = buf_reserve(out, (size_t)size);
    if (err)
        return err;
    got = ZSTD_decompress(out->data, (size_t)size, zipped.data, zipped.size);
    if (ZSTD_getErrorCode(got) == ZSTD_error_memory_allocation)
        return SOTTO_ENOMEM; /* says nothing about the payload */
    if (ZSTD_isError(got) || got != size)
        return SOTTO_EDECODE;
    out->size = got;
    return SOTTO_OK;
}

/* What is sealed: head, zipped payload, zeros. */
static enum sotto_err inner_write(struct buf *inner, const struct envelope *e,
                                  struct span zipped)
{
    uint8_t head[INNER_HEAD];
    size_t size = INNER_HEAD + zipped.size;
    size_t padded = (size_t)padme(size);
    enum sotto_err err = buf_reserve(inner, padded);

    if (err)
        return err;
    memcpy(head, e->sender, KEY_ID_SIZE);
    put_u32(head + INNER_KIND_AT, e->kind);
    memcpy(head + INNER_POLICY_AT, e->policy, HASH_SIZE);
    put_u32(head + INNER_SIZE_AT, (uint32_t)zipped.size);
    memcpy(inner->data, head, INNER_HEAD);
    memcpy(inner->data + INNER_HEAD, zipped.data, zipped.size);
    memset(inner->data + size, 0, padded - size);
    inner->size = padded;
    return SOTTO_OK;
}

static enum sotto_err body_seal(struct buf *body, const struct envelope *e,
                                struct span payload,
                                const struct peer *recipient)
{
    struct buf zipped, inner;
    enum sotto_err err;

    buf_init(&zipped, FRAME_MAX);
    buf_init(&inner, FRAME_MAX);
    err = payload_zip(&zipped, payload);
    if (err)
        goto done;
    err = inner_write(&inner, e, span_of(zipped.data, zipped.size));
    if (err)
        goto done;
    err = buf_reserve(body, inner.size + crypto_box_SEALBYTES);
    if (err)
        goto done;
    if (crypto_box_seal(body->data, inner.data, inner.size,
                        recipient->box_pk) != 0)
        err = SOTTO_ECRYPTO;
    else
        body->size = inner.size + crypto_box_SEALBYTES;

done:
    buf_wipe(&inner);
    buf_wipe(&zipped);
    return err;
}

/* All but the signature; where the body came to lie goes to body_at. */
static enum sotto_err head_pack(struct buf *out, const struct envelope *e,
                                size_t *body_at)
{
    struct packer p;

    pack_init(&p, out);
    pack_array(&p, ELEMENTS);
    pack_uint(&p, e->version);
    pack_uint(&p, e->kind);
    pack_bin(&p, span_of(e->sender, KEY_ID_SIZE));
    pack_bin(&p, span_of(e->recipient, KEY_ID_SIZE));
    pack_uint(&p, e->stream);
    pack_uint(&p, e->sequence);
    pack_bin(&p, span_of(e->chain, HASH_SIZE));
    pack_bin(&p, span_of(e->policy, HASH_SIZE));
    pack_bin(&p, e->body);
    *body_at = out->size - e->body.size;
    return p.err;
}

static enum sotto_err envelope_sign(struct buf *out, struct envelope *e,
                                    const struct keys *sender)
{
    struct packer p;

    if (crypto_sign_detached(e->signature, NULL, out->data, out->size,
                             sender->sign_sk) != 0)
        return SOTTO_ECRYPTO;
    pack_init(&p, out);
    pack_bin(&p, span_of(e->signature, SIGNATURE_SIZE));
    if (!p.err && out->size > FRAME_MAX)
        return SOTTO_ETOOBIG;
    return p.err;
}

enum sotto_err envelope_write(struct buf *out, struct envelope *head,
                              struct span payload, const struct keys *sender,
                              const struct peer *recipient)
{
    struct envelope e = *head;
    struct buf sealed;
    size_t body_at;
    enum sotto_err err = SOTTO_OK;

    buf_clear(out);
    if (!kind_known(e.kind))
        return SOTTO_EINVAL;
    e.version = ENVELOPE_VERSION;
    memcpy(e.sender, sender->sign_id, KEY_ID_SIZE);
    memcpy(e.recipient, recipient->box_id, KEY_ID_SIZE);
    e.body = payload;
    buf_init(&sealed, FRAME_MAX);
    if (kind_sealed(e.kind)) {
        err = body_seal(&sealed, &e, payload, recipient);
        e.body = span_of(sealed.data, sealed.size);
    }
    if (!err) {
        err = envelope_chain(e.chain, &e);
    }
    if (!err)
        err = head_pack(out, &e, &body_at);
    if (!err)
        err = envelope_sign(out, &e, sender);
    if (!err) {
        e.body = span_of(out->data + body_at, e.body.size);
        *head = e;
    } else {
        buf_clear(out);
    }
    buf_fini(&sealed);
    return err;
}

enum sotto_err envelope_lost(struct buf *out, uint64_t stream,
                             uint64_t sequence, const uint8_t chain[HASH_SIZE],
                             uint64_t events, const struct keys *sender,
                             const struct peer *recipient)
{
    const struct void_body body = {.reason = span_text("damaged"),
                                   .events = events};
    struct envelope e = {.version = ENVELOPE_VERSION,
                         .kind = KIND_VOID,
                         .stream = stream,
                         .sequence = sequence};
    struct buf payload;
    size_t body_at;
    enum sotto_err err;

    buf_clear(out);
    memcpy(e.sender, sender->sign_id, KEY_ID_SIZE);
    memcpy(e.recipient, recipient->box_id, KEY_ID_SIZE);
    memcpy(e.chain, chain, HASH_SIZE);
    buf_init(&payload, FRAME_MAX);
    err = message_encode(&payload, MESSAGE_VOID, &body);
    e.body = span_of(payload.data, payload.size);
    if (!err)
        err = head_pack(out, &e, &body_at);
    if (!err)
        err = envelope_sign(out, &e, sender);
    buf_fini(&payload);
    return err;
}

static enum sotto_err fields_read(struct envelope *e, const msgpack_object *o)
{
    uint64_t kind;

    if (get_uint(&o[1], KIND_COUNT - 1, &kind) || !kind_known(kind))
        return SOTTO_EDECODE;
    e->kind = (uint32_t)kind;
    if (get_fixed(&o[2], e->sender, KEY_ID_SIZE) ||
        get_fixed(&o[3], e->recipient, KEY_ID_SIZE) ||
        get_uint(&o[4], UINT64_MAX, &e->stream) ||
        get_uint(&o[5], UINT64_MAX, &e->sequence) ||
        get_fixed(&o[6], e->chain, HASH_SIZE) ||
        get_fixed(&o[7], e->policy, HASH_SIZE) ||
        get_bin(&o[8], FRAME_MAX, &e->body) ||
        get_fixed(&o[9], e->signature, SIGNATURE_SIZE))
        return SOTTO_EDECODE;
    if (kind_sealed(e->kind) &&
        e->body.size < crypto_box_SEALBYTES + INNER_HEAD)
        return SOTTO_EDECODE;
    return SOTTO_OK;
}

/* The version first, so that a newer envelope is told from a broken one. */
static enum sotto_err root_read(struct envelope *e, const msgpack_object *root,
                                struct span bytes)
{
    const msgpack_object *o;
    uint32_t count;
    uint64_t version;

    if (get_array(root, 1, UINT32_MAX, &o, &count) ||
        get_uint(&o[0], UINT32_MAX, &version))
        return SOTTO_EDECODE;
    if (version != ENVELOPE_VERSION)
        return SOTTO_EVERSION;
    e->version = (uint32_t)version;
    if (count != ELEMENTS || bytes.size < SIGNATURE_ELEMENT ||
        bytes.data[bytes.size - SIGNATURE_ELEMENT] != 0xc4)
        return SOTTO_EDECODE;
    return fields_read(e, o);
}

enum sotto_err envelope_parse(struct envelope *e, struct span bytes)
{
    /* A newer version may have more elements. */
    static const struct check_limits limits = {FRAME_MAX, 4, 64};
    struct unpacked u;
    enum sotto_err err = unpack_open(&u, bytes, &limits);

    memset(e, 0, sizeof *e);
    if (err)
        return err;
    err = root_read(e, &u.root, bytes);
    unpack_close(&u);
    return err;
}

enum sotto_err envelope_verify(const struct envelope *e, struct span bytes,
                               const uint8_t sign_pk[PK_SIZE])
{
    uint8_t id[KEY_ID_SIZE];

    key_id(id, sign_pk);
    if (bytes.size < SIGNATURE_ELEMENT ||
        memcmp(id, e->sender, KEY_ID_SIZE) != 0 ||
        crypto_sign_verify_detached(e->signature, bytes.data,
                                    bytes.size - SIGNATURE_ELEMENT,
                                    sign_pk) != 0)
        return SOTTO_ECRYPTO;
    return SOTTO_OK;
}

/* What was sealed says the same as what was signed around it. */
static enum sotto_err inner_read(struct span *payload, const struct envelope *e,
                                 struct span inner)
{
    const uint8_t *head = inner.data;
    uint64_t size = get_u32(head + INNER_SIZE_AT);
    uint8_t padding = 0;

    if (memcmp(head, e->sender, KEY_ID_SIZE) != 0 ||
        get_u32(head + INNER_KIND_AT) != e->kind ||
        memcmp(head + INNER_POLICY_AT, e->policy, HASH_SIZE) != 0)
        return SOTTO_ECRYPTO;
    if (size > inner.size - INNER_HEAD ||
        padme(INNER_HEAD + size) != inner.size)
        return SOTTO_ECRYPTO;
    for (size_t i = INNER_HEAD + (size_t)size; i < inner.size; i++)
        padding |= inner.data[i];
    if (padding)
        return SOTTO_ECRYPTO;
    *payload = span_of(head + INNER_HEAD, (size_t)size);
    return SOTTO_OK;
}

static enum sotto_err body_open(struct buf *out, const struct envelope *e,
                                const struct keys *recipient)
{
    struct buf inner;
    struct span payload;
    enum sotto_err err;

    if (e->body.size < crypto_box_SEALBYTES + INNER_HEAD ||
        memcmp(e->recipient, recipient->box_id, KEY_ID_SIZE) != 0)
        return SOTTO_ECRYPTO;
    buf_init(&inner, FRAME_MAX);
    err = buf_reserve(&inner, e->body.size - crypto_box_SEALBYTES);
    if (err)
        goto done;
    err = SOTTO_ECRYPTO;
    if (crypto_box_seal_open(inner.data, e->body.data, e->body.size,
                             recipient->box_pk, recipient->box_sk) != 0)
        goto done;
    inner.size = e->body.size - crypto_box_SEALBYTES;
    err = inner_read(&payload, e, span_of(inner.data, inner.size));
    if (!err && payload.size)
        err = buf_append(out, payload.data, payload.size);

done:
    buf_wipe(&inner);
    return err;
}

enum sotto_err envelope_open(struct buf *out, const struct envelope *e,
                             const struct keys *recipient)
{
    buf_clear(out);
    if (kind_sealed(e->kind))
        return body_open(out, e, recipient);
    if (memcmp(e->recipient, recipient->box_id, KEY_ID_SIZE) != 0)
        return SOTTO_ECRYPTO;
    return e->body.size ? buf_append(out, e->body.data, e->body.size)
                        : SOTTO_OK;
}

/* head carries place, kind, ids and body; everything after is made anew. */
static enum sotto_err place_again(struct buf *out, struct envelope *e,
                                  uint64_t stream, uint64_t sequence,
                                  uint8_t chain[HASH_SIZE],
                                  const struct keys *sender)
{
    size_t body_at;
    enum sotto_err err;

    buf_clear(out);
    e->stream = stream;
    e->sequence = sequence;
    memcpy(e->chain, chain, HASH_SIZE);
    err = envelope_chain(e->chain, e);
    if (!err)
        err = head_pack(out, e, &body_at);
    if (!err)
        err = envelope_sign(out, e, sender);
    if (!err)
        memcpy(chain, e->chain, HASH_SIZE);
    return err;
}

enum sotto_err envelope_rewrite(struct buf *out, struct span envelope,
                                uint64_t stream, uint64_t sequence,
                                uint8_t chain[HASH_SIZE],
                                const struct keys *sender)
{
    struct envelope e;
    enum sotto_err err = envelope_parse(&e, envelope);

    return err ? err : place_again(out, &e, stream, sequence, chain, sender);
}

enum sotto_err envelope_void(struct buf *out, struct span envelope,
                             uint64_t stream, uint64_t sequence,
                             uint8_t chain[HASH_SIZE], uint64_t events,
                             const char *reason, const struct keys *sender)
{
    struct void_body body = {.reason = span_text(reason), .events = events};
    struct envelope e;
    struct buf payload;
    enum sotto_err err = envelope_parse(&e, envelope);

    if (err)
        return err;
    buf_init(&payload, FRAME_MAX);
    hash_bytes(body.body_hash, e.body, span_of(NULL, 0));
    err = message_encode(&payload, MESSAGE_VOID, &body);
    e.kind = KIND_VOID;
    e.body = span_of(payload.data, payload.size);
    memset(e.policy, 0, HASH_SIZE);
    if (!err)
        err = place_again(out, &e, stream, sequence, chain, sender);
    buf_fini(&payload);
    return err;
}
