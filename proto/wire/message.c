/* See message.h. The tables below are the only description of the records:
 * offset and kind of a field come from the struct itself. */
#include "wire/message.h"

#include <assert.h>
#include <string.h>

#include "wire/pack.h"

enum field_kind { FIELD_U64, FIELD_I64, FIELD_TEXT, FIELD_FIXED };

struct field {
    uint16_t offset;
    uint16_t size;
    enum field_kind kind;
};

/* A byte array decays to uint8_t * in _Generic. */
#define FIELD(type, member)                                                    \
    {                                                                          \
        offsetof(struct type, member), sizeof((struct type *)0)->member,       \
            _Generic(((struct type *)0)->member, uint64_t                      \
                     : FIELD_U64, int64_t                                      \
                     : FIELD_I64, struct span                                  \
                     : FIELD_TEXT, uint8_t *                                   \
                     : FIELD_FIXED)                                            \
    }

static const struct field reply_fields[] = {
    FIELD(reply, nonce),   FIELD(reply, stream),  FIELD(reply, sequence),
    FIELD(reply, verdict), FIELD(reply, reason),  FIELD(reply, watermark),
    FIELD(reply, wait_ms), FIELD(reply, time_ms),
};
static const struct field poll_fields[] = {
    FIELD(poll, applied),
    FIELD(poll, resync),
    FIELD(poll, spooled_events),
    FIELD(poll, spooled_bytes),
};
static const struct field enrol_fields[] = {
    FIELD(enrol, nonce),
    FIELD(enrol, secret),
    FIELD(enrol, sign_pk),
    FIELD(enrol, box_pk),
};
static const struct field enrolled_fields[] = {
    FIELD(enrolled, nonce), FIELD(enrolled, reason),  FIELD(enrolled, name),
    FIELD(enrolled, agent), FIELD(enrolled, time_ms),
};
static const struct field void_fields[] = {
    FIELD(void_body, body_hash),
    FIELD(void_body, reason),
    FIELD(void_body, events),
};
static const struct field documents_head_fields[] = {
    FIELD(documents_head, nonce),
    FIELD(documents_head, last),
    FIELD(documents_head, count),
    FIELD(documents_head, time_ms),
};
static const struct field token_fields[] = {
    FIELD(token, address), FIELD(token, sign_pk),    FIELD(token, box_pk),
    FIELD(token, secret),  FIELD(token, expires_ms), FIELD(token, name),
};

#define RECORD(type, fields, required)                                         \
    {                                                                          \
        fields, sizeof(fields) / sizeof(fields)[0], required,                  \
            sizeof(struct type)                                                \
    }

/* required: how many leading fields every writer has sent; without them the
 * record says nothing. */
static const struct record {
    const struct field *fields;
    uint32_t count;
    uint32_t required;
    size_t size;
} records[MESSAGE_COUNT] = {
    [MESSAGE_REPLY] = RECORD(reply, reply_fields, 4),
    [MESSAGE_POLL] = RECORD(poll, poll_fields, 1),
    [MESSAGE_ENROL] = RECORD(enrol, enrol_fields, 4),
    [MESSAGE_ENROLLED] = RECORD(enrolled, enrolled_fields, 2),
    [MESSAGE_VOID] = RECORD(void_body, void_fields, 1),
    [MESSAGE_DOCUMENTS_HEAD] = RECORD(documents_head, documents_head_fields, 3),
    [MESSAGE_TOKEN] = RECORD(token, token_fields, 5),
};

#define TEXT_MAX (64 * 1024)
#define FIELDS_MAX 64 /* of a newer writer */

static const char token_prefix[] = "sotto1:";
#define TOKEN_PREFIX_SIZE (sizeof token_prefix - 1)
#define TOKEN_BASE64 sodium_base64_VARIANT_URLSAFE_NO_PADDING

static enum sotto_err field_encode(struct packer *p, const struct field *f,
                                   const uint8_t *from)
{
    struct span text;
    uint64_t number;
    int64_t signed_number;

    switch (f->kind) {
    case FIELD_U64:
        memcpy(&number, from, sizeof number);
        pack_uint(p, number);
        break;
    case FIELD_I64:
        memcpy(&signed_number, from, sizeof signed_number);
        pack_int(p, signed_number);
        break;
    case FIELD_TEXT:
        memcpy(&text, from, sizeof text);
        if (text.size > TEXT_MAX)
            return SOTTO_ETOOBIG;
        if (text.size && memchr(text.data, 0, text.size))
            return SOTTO_EINVAL;
        pack_text(p, text);
        break;
    case FIELD_FIXED:
        pack_bin(p, span_of(from, f->size));
        break;
    }
    return p->err;
}

static enum sotto_err field_decode(uint8_t *to, const struct field *f,
                                   const msgpack_object *o)
{
    enum sotto_err err = SOTTO_EDECODE;
    struct span text;
    uint64_t number;
    int64_t signed_number;

    switch (f->kind) {
    case FIELD_U64:
        err = get_uint(o, UINT64_MAX, &number);
        if (!err)
            memcpy(to, &number, sizeof number);
        break;
    case FIELD_I64:
        err = get_int(o, &signed_number);
        if (!err)
            memcpy(to, &signed_number, sizeof signed_number);
        break;
    case FIELD_TEXT:
        err = get_text(o, TEXT_MAX, &text);
        if (!err)
            memcpy(to, &text, sizeof text);
        break;
    case FIELD_FIXED:
        err = get_fixed(o, to, f->size);
        break;
    }
    return err;
}

enum sotto_err message_encode(struct buf *out, enum message_type type,
                              const void *message)
{
    const struct record *r = &records[type];
    size_t mark = out->size;
    enum sotto_err err = SOTTO_OK;
    struct packer p;

    assert((unsigned)type < MESSAGE_COUNT);
    pack_init(&p, out);
    pack_array(&p, r->count);
    for (uint32_t i = 0; !err && i < r->count; i++)
        err = field_encode(&p, &r->fields[i],
                           (const uint8_t *)message + r->fields[i].offset);
    if (err)
        out->size = mark;
    return err;
}

enum sotto_err message_decode(void *message, enum message_type type,
                              struct span bytes)
{
    static const struct check_limits limits = {4 * TEXT_MAX, 8, 1024};
    const struct record *r = &records[type];
    const msgpack_object *items;
    uint32_t count;
    struct unpacked u;
    enum sotto_err err;

    assert((unsigned)type < MESSAGE_COUNT);
    memset(message, 0, r->size);
    err = unpack_open(&u, bytes, &limits);
    if (err)
        return err;
    err = get_array(&u.root, r->required, FIELDS_MAX, &items, &count);
    for (uint32_t i = 0; !err && i < r->count && i < count; i++)
        err = field_decode((uint8_t *)message + r->fields[i].offset,
                           &r->fields[i], &items[i]);
    unpack_close(&u);
    if (err)
        sodium_memzero(message, r->size);
    return err;
}

enum sotto_err token_write(struct buf *out, const struct token *t)
{
    struct buf packed;
    size_t size;
    enum sotto_err err;

    buf_init(&packed, 4 * TEXT_MAX);
    /* Once, so that no smaller copy with the secret is left behind. */
    err = buf_reserve(&packed, t->address.size + t->name.size + 256);
    if (!err)
        err = message_encode(&packed, MESSAGE_TOKEN, t);
    if (err)
        goto done;
    size = sodium_base64_encoded_len(packed.size, TOKEN_BASE64);
    err = buf_reserve(out, TOKEN_PREFIX_SIZE + size);
    if (err)
        goto done;
    memcpy(out->data + out->size, token_prefix, TOKEN_PREFIX_SIZE);
    out->size += TOKEN_PREFIX_SIZE;
    sodium_bin2base64((char *)out->data + out->size, size, packed.data,
                      packed.size, TOKEN_BASE64);
    out->size += size - 1; /* without the final zero */

done:
    buf_wipe(&packed);
    return err;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

enum sotto_err token_read(struct token *t, struct span text,
                          struct buf *scratch)
{
    const char *end, *from;
    size_t size;
    enum sotto_err err;

    memset(t, 0, sizeof *t);
    buf_clear(scratch);
    while (text.size && is_space(text.data[text.size - 1]))
        text.size--;
    if (text.size < TOKEN_PREFIX_SIZE ||
        memcmp(text.data, token_prefix, TOKEN_PREFIX_SIZE) != 0)
        return SOTTO_EDECODE;
    from = (const char *)text.data + TOKEN_PREFIX_SIZE;
    text.size -= TOKEN_PREFIX_SIZE;
    err = buf_reserve(scratch, text.size / 4 * 3 + 3);
    if (err)
        return err;
    if (sodium_base642bin(scratch->data, scratch->capacity, from, text.size,
                          NULL, &size, &end, TOKEN_BASE64) != 0 ||
        end != from + text.size)
        err = SOTTO_EDECODE;
    else
        err = message_decode(t, MESSAGE_TOKEN, span_of(scratch->data, size));
    if (err)
        sodium_memzero(scratch->data, scratch->capacity);
    else
        scratch->size = size;
    return err;
}

static const struct {
    const char *name;
    const char *text;
} refusals[REFUSAL_COUNT] = {
    [REFUSAL_NONE] = {"none", "nothing was refused"},
    [REFUSAL_BUSY] = {"busy", "the aggregator is busy; the agent sends again "
                              "by itself"},
    [REFUSAL_UNKNOWN_POLICY] = {"unknown_policy",
                                "the aggregator does not have this policy; "
                                "add it with `sotto-aggregator policy add`"},
    [REFUSAL_GAP] = {"gap", "an earlier batch is missing; the agent sends "
                            "again from there by itself"},
    [REFUSAL_UNDECODABLE] = {"undecodable",
                             "the contents cannot be read; the agent keeps "
                             "them aside: report this with both versions"},
    [REFUSAL_WRONG_SENDER] = {"wrong_sender",
                              "the contents were sealed by or for another; "
                              "look for two devices with one data directory"},
    [REFUSAL_UNKNOWN_AGENT] = {"unknown_agent",
                               "the aggregator does not know this agent; "
                               "enrol it with a new token"},
    [REFUSAL_REVOKED] = {"revoked", "this agent was revoked; enrol it with a "
                                    "new token if that was a mistake"},
    [REFUSAL_BAD_SIGNATURE] = {"bad_signature",
                               "the signature is wrong; look for a device or "
                               "relay that changes what is sent"},
    [REFUSAL_TOKEN_UNKNOWN] = {"token_unknown",
                               "the aggregator did not make this token; ask "
                               "for one with `sotto-aggregator enroll`"},
    [REFUSAL_TOKEN_EXPIRED] = {"token_expired",
                               "the token is past its time; ask for a new one "
                               "with `sotto-aggregator enroll`"},
    [REFUSAL_TOKEN_SPENT] = {"token_spent",
                             "the token was used by another key; ask for a "
                             "new one with `sotto-aggregator enroll`"},
    [REFUSAL_VERSION] = {"version", "the two sides speak different versions; "
                                    "upgrade the older one"},
};

const char *refusal_text(uint32_t refusal)
{
    return refusal < REFUSAL_COUNT ? refusals[refusal].text
                                   : "refused for a reason this version does "
                                     "not know; upgrade this side";
}

const char *refusal_name(uint32_t refusal)
{
    return refusal < REFUSAL_COUNT ? refusals[refusal].name : "unknown";
}
