/* Each form is a needle; needles hang in a table by a hash of their first four
 * bytes in lower case. The search keeps these four bytes as it goes, and a bit
 * a hash tells it that no needle begins here, which is nearly always. */
#include "agent/policy_tool/canary.h"

#include "agent/policy_tool/digest.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define HASH_BITS 16
#define HASHES (1u << HASH_BITS)
#define PREFIX 4

struct needle {
    struct needle *next;
    const char *form;
    unsigned number;
    bool any_case;
    size_t size;
    uint8_t bytes[];
};

struct canaries {
    unsigned count;
    uint64_t present[HASHES / 64];
    struct needle *table[HASHES];
};

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

static uint32_t hash_of(uint32_t prefix)
{
    return prefix * UINT32_C(2654435761) >> (32 - HASH_BITS);
}

enum sotto_err canaries_make(struct canaries **out)
{
    *out = calloc(1, sizeof(**out));
    return *out ? SOTTO_OK : SOTTO_ENOMEM;
}

void canaries_free(struct canaries *c)
{
    for (size_t h = 0; c && h < HASHES; h++) {
        while (c->table[h]) {
            struct needle *n = c->table[h];

            c->table[h] = n->next;
            sodium_memzero(n->bytes, n->size);
            free(n);
        }
    }
    free(c);
}

/* Adding ------------------------------------------------------------- */

/* One canary while its forms are made: the first error stays. */
struct adding {
    struct canaries *c;
    enum sotto_err err;
};

static void add(struct adding *a, const char *form, struct span bytes,
                bool any_case)
{
    struct needle *n;
    uint32_t prefix = 0, hash;

    if (a->err || bytes.size < PREFIX)
        return;
    n = malloc(sizeof(*n) + bytes.size);
    if (!n) {
        a->err = SOTTO_ENOMEM;
        return;
    }
    n->form = form;
    n->number = a->c->count;
    n->any_case = any_case;
    n->size = bytes.size;
    for (size_t i = 0; i < bytes.size; i++)
        n->bytes[i] = any_case ? lower(bytes.data[i]) : bytes.data[i];
    for (size_t i = 0; i < PREFIX; i++)
        prefix = prefix << 8 | lower(n->bytes[i]);
    hash = hash_of(prefix);
    n->next = a->c->table[hash];
    a->c->table[hash] = n;
    a->c->present[hash / 64] |= UINT64_C(1) << (hash % 64);
}

/* The characters of base64 that depend on these bytes alone, when `before`
 * (0 to 2) unknown bytes precede them in a group of three. */
static void add_base64(struct adding *a, const char *form, struct span bytes,
                       int variant)
{
    for (size_t before = 0; before < 3; before++) {
        uint8_t raw[CANARY_SIZE_MAX + 2] = {0};
        char text[4 * (CANARY_SIZE_MAX + 4) / 3 + 4];
        size_t bits = 8 * (before + bytes.size);
        size_t from = (8 * before + 5) / 6, to = bits / 6;

        memcpy(raw + before, bytes.data, bytes.size);
        sodium_bin2base64(text, sizeof(text), raw, before + bytes.size,
                          variant);
        add(a, form, span_of(text + from, to - from), false);
    }
}

static void add_hex(struct adding *a, const char *form, struct span bytes)
{
    char text[2 * CANARY_SIZE_MAX + 1];

    sodium_bin2hex(text, sizeof(text), bytes.data, bytes.size);
    add(a, form, span_of(text, 2 * bytes.size), true);
}

/* RFC 3986: all but unreserved characters. */
static void add_percent(struct adding *a, struct span value)
{
    char text[3 * CANARY_SIZE_MAX + 1];
    size_t size = 0;

    for (size_t i = 0; i < value.size; i++) {
        uint8_t b = value.data[i];

        if ((b >= '0' && b <= '9') || (lower(b) >= 'a' && lower(b) <= 'z') ||
            b == '-' || b == '.' || b == '_' || b == '~')
            text[size++] = (char)b;
        else
            size += (size_t)snprintf(text + size, 4, "%%%02X", b);
    }
    if (size != value.size)
        add(a, "percent-encoding", span_of(text, size), true);
}

/* Of a character of up to four bytes, in the UTF-16 of one byte order. */
static size_t utf16_put(uint8_t *out, uint32_t point, bool big)
{
    uint16_t units[2] = {(uint16_t)point, 0};
    size_t count = 1;

    if (point >= 0x10000) {
        units[0] = (uint16_t)(0xd800 + ((point - 0x10000) >> 10));
        units[1] = (uint16_t)(0xdc00 + ((point - 0x10000) & 0x3ff));
        count = 2;
    }
    for (size_t i = 0; i < count; i++) {
        out[2 * i + !big] = (uint8_t)(units[i] >> 8);
        out[2 * i + big] = (uint8_t)units[i];
    }
    return 2 * count;
}

static uint32_t point_of(struct span text, size_t *at)
{
    uint8_t lead = text.data[(*at)++];
    unsigned more = lead < 0xc2 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    uint32_t point = more == 0   ? lead
                     : more == 1 ? lead & 0x1fu
                     : more == 2 ? lead & 0x0fu
                                 : lead & 0x07u;

    for (; more > 0 && *at < text.size; more--)
        point = point << 6 | (text.data[(*at)++] & 0x3fu);
    return point & 0x1fffff;
}

static void add_utf16(struct adding *a, struct span value)
{
    uint8_t bytes[2][2 * CANARY_SIZE_MAX + 4];
    size_t at = 0, size = 0;

    while (at < value.size) {
        uint32_t point = point_of(value, &at);

        utf16_put(bytes[0] + size, point, false);
        size += utf16_put(bytes[1] + size, point, true);
    }
    add(a, "UTF-16LE", span_of(bytes[0], size), true);
    add(a, "UTF-16BE", span_of(bytes[1], size), true);
}

static void add_digest(struct adding *a, const char *const forms[3],
                       const uint8_t *digest, size_t size)
{
    add(a, forms[0], span_of(digest, size), false);
    add_hex(a, forms[1], span_of(digest, size));
    add_base64(a, forms[2], span_of(digest, size),
               sodium_base64_VARIANT_ORIGINAL);
    add_base64(a, forms[2], span_of(digest, size),
               sodium_base64_VARIANT_URLSAFE);
}

#define FORMS(name)                                                            \
    (const char *const[3])                                                     \
    {                                                                          \
        name, name " in hexadecimal", name " in base64"                        \
    }

static void add_digests(struct adding *a, struct span value)
{
    uint8_t digest[64];

    md5_of(digest, value);
    add_digest(a, FORMS("MD5"), digest, MD5_SIZE);
    sha1_of(digest, value);
    add_digest(a, FORMS("SHA-1"), digest, SHA1_SIZE);
    crypto_hash_sha256(digest, value.data, value.size);
    add_digest(a, FORMS("SHA-256"), digest, crypto_hash_sha256_BYTES);
    crypto_hash_sha512(digest, value.data, value.size);
    add_digest(a, FORMS("SHA-512"), digest, crypto_hash_sha512_BYTES);
    crypto_generichash(digest, 32, value.data, value.size, NULL, 0);
    add_digest(a, FORMS("BLAKE2b-256"), digest, 32);
}

enum sotto_err canaries_add(struct canaries *c, struct span value,
                            struct why *why)
{
    struct adding a = {c, SOTTO_OK};
    uint8_t low[CANARY_SIZE_MAX];

    if (value.size < CANARY_SIZE_MIN || value.size > CANARY_SIZE_MAX)
        return why_say(
            why, SOTTO_EINVAL, "canary %u has %zu bytes; it takes %d to %d",
            c->count + 1, value.size, CANARY_SIZE_MIN, CANARY_SIZE_MAX);
    if (c->count == CANARIES_MAX)
        return why_say(why, SOTTO_EINVAL, "over %d canaries", CANARIES_MAX);
    c->count++;
    add(&a, "as it is", value, true);
    add_base64(&a, "base64", value, sodium_base64_VARIANT_ORIGINAL);
    add_base64(&a, "base64", value, sodium_base64_VARIANT_URLSAFE);
    add_hex(&a, "hexadecimal", value);
    add_percent(&a, value);
    add_utf16(&a, value);
    add_digests(&a, value);
    for (size_t i = 0; i < value.size; i++)
        low[i] = lower(value.data[i]);
    if (memcmp(low, value.data, value.size) != 0)
        add_digests(&a, span_of(low, value.size));
    sodium_memzero(low, sizeof(low));
    return a.err ? why_say(why, a.err, "no memory") : SOTTO_OK;
}

/* Searching ---------------------------------------------------------- */

static bool needle_at(const struct needle *n, struct span bytes, size_t at)
{
    if (n->size > bytes.size - at)
        return false;
    if (!n->any_case)
        return memcmp(n->bytes, bytes.data + at, n->size) == 0;
    for (size_t i = 0; i < n->size; i++)
        if (n->bytes[i] != lower(bytes.data[at + i]))
            return false;
    return true;
}

bool canaries_find(const struct canaries *c, struct span bytes, size_t from,
                   size_t limit, struct canary_hit *hit)
{
    uint32_t prefix = 0;

    if (c->count == 0 || bytes.size < PREFIX)
        return false;
    for (size_t i = from; i < bytes.size && i < limit + PREFIX - 1; i++) {
        size_t at = i - (PREFIX - 1);
        uint32_t hash;

        prefix = prefix << 8 | lower(bytes.data[i]);
        if (i < from + PREFIX - 1)
            continue;
        hash = hash_of(prefix);
        if (!(c->present[hash / 64] >> (hash % 64) & 1))
            continue;
        for (const struct needle *n = c->table[hash]; n; n = n->next) {
            if (needle_at(n, bytes, at)) {
                *hit = (struct canary_hit){at, n->size, n->number, n->form};
                return true;
            }
        }
    }
    return false;
}
