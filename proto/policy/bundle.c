/* The bundle's plain and encrypted forms.
 *
 *   file = "sottobd" 1 | salt (16) | nonce (24) | tag (16) and ciphertext
 *
 * The key is Argon2id of the code, so that a short code typed by hand would
 * not fall at once; a code made here has 100 bits of its own. Plain bytes live
 * in memory that is reserved whole and wiped. */
#include "policy/bundle.h"

#include "wire/pack.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

#define BUNDLE_VERSION 1
#define BUNDLE_PLAIN_MAX (SIGNED_POLICY_MAX + 16 * 1024)
#define CODE_LETTERS 20

enum { KEY_STABLE = 2, KEY_EPOCH = 5 }; /* entries of a key */

static const uint8_t magic[8] = {'s', 'o', 't', 't', 'o', 'b', 'd', 1};
#define SALT_AT sizeof(magic)
#define NONCE_AT (SALT_AT + crypto_pwhash_SALTBYTES)
#define BOX_AT (NONCE_AT + crypto_secretbox_NONCEBYTES)

/* Crockford's base 32: no I, L, O, U to confuse.
 * https://www.crockford.com/base32.html */
static const char code_letters[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static_assert(sizeof(code_letters) == 32 + 1, "five bits a letter");
static_assert(CODE_LETTERS + CODE_LETTERS / 4 - 1 == BUNDLE_CODE_SIZE,
              "groups of four with dashes between");

static const struct check_limits bundle_limits = {
    BUNDLE_PLAIN_MAX, 4, 16 + 4 * POLICY_SIGNERS_MAX + 6 * POLICY_KEYS_MAX};

void bundle_fini(struct bundle *b)
{
    pseudonym_keys_free(b->keys);
    buf_wipe(&b->policy);
    sodium_memzero(b, sizeof(*b));
}

enum sotto_err bundle_encode(struct buf *out, const struct bundle *b)
{
    const struct signers *signers = &b->signers;
    struct packer p;
    enum sotto_err err;

    if (signers->count > POLICY_SIGNERS_MAX || !b->keys ||
        b->keys->count > POLICY_KEYS_MAX)
        return SOTTO_EINVAL;
    /* Whole: growing would leave a copy of the secrets behind. */
    err =
        buf_reserve(out, b->policy.size + 256 +
                             POLICY_SIGNERS_MAX * sizeof(struct policy_signer) +
                             sizeof(struct pseudonym_keys));
    if (err)
        return err;
    pack_init(&p, out);
    pack_array(&p, 7);
    pack_uint(&p, BUNDLE_VERSION);
    pack_text(&p, span_text(b->tenant));
    pack_uint(&p, signers->needed);
    pack_array(&p, signers->count);
    for (int i = 0; i < signers->count; i++) {
        const struct policy_signer *s = &signers->keys[i];

        pack_array(&p, 3);
        pack_text(&p, span_text(s->name));
        pack_bin(&p, span_of(s->key_id, sizeof(s->key_id)));
        pack_bin(&p, span_of(s->pk, sizeof(s->pk)));
    }
    pack_uint(&p, b->minimum_version);
    pack_array(&p, b->keys->count);
    for (uint32_t i = 0; i < b->keys->count; i++) {
        pack_array(&p, b->keys->epoch_ms[i] ? KEY_EPOCH : KEY_STABLE);
        pack_text(&p, span_text(b->keys->names[i]));
        pack_bin(&p, span_of(b->keys->secrets[i], 32));
        if (b->keys->epoch_ms[i] == 0)
            continue;
        pack_int(&p, b->keys->epoch_ms[i]);
        pack_int(&p, b->keys->destroy_ms[i]);
        pack_uint(&p, b->keys->first[i]);
    }
    pack_bin(&p, span_of(b->policy.data, b->policy.size));
    return p.err;
}

static enum sotto_err get_name(const msgpack_object *o,
                               char name[NAME_MAX_SIZE + 1])
{
    struct span text;
    enum sotto_err err = get_text(o, NAME_MAX_SIZE, &text);

    if (err)
        return err;
    if (text.size == 0)
        return SOTTO_EDECODE;
    memcpy(name, text.data, text.size);
    name[text.size] = '\0';
    return SOTTO_OK;
}

static enum sotto_err decode_signers(struct signers *s,
                                     const msgpack_object *needed,
                                     const msgpack_object *list)
{
    const msgpack_object *items, *parts;
    uint32_t count, part_count;
    uint64_t n;
    enum sotto_err err = get_array(list, 1, POLICY_SIGNERS_MAX, &items, &count);

    if (!err)
        err = get_uint(needed, count, &n);
    if (err)
        return err;
    if (n == 0)
        return SOTTO_EDECODE;
    s->needed = (uint8_t)n;
    s->count = (uint8_t)count;
    for (uint32_t i = 0; !err && i < count; i++) {
        struct policy_signer *signer = &s->keys[i];

        err = get_array(&items[i], 3, 3, &parts, &part_count);
        if (!err)
            err = get_name(&parts[0], signer->name);
        if (!err)
            err = get_fixed(&parts[1], signer->key_id, sizeof(signer->key_id));
        if (!err)
            err = get_fixed(&parts[2], signer->pk, sizeof(signer->pk));
    }
    return err;
}

static enum sotto_err decode_epoch(struct pseudonym_keys *k, uint32_t i,
                                   const msgpack_object *parts)
{
    enum sotto_err err = get_int(&parts[0], &k->epoch_ms[i]);

    if (!err)
        err = get_int(&parts[1], &k->destroy_ms[i]);
    if (!err)
        err = get_uint(&parts[2], INT64_MAX, &k->first[i]);
    if (!err && (k->epoch_ms[i] < POLICY_EPOCH_MIN ||
                 k->epoch_ms[i] > POLICY_EPOCH_MAX ||
                 k->destroy_ms[i] < POLICY_EPOCH_MIN ||
                 k->destroy_ms[i] > k->epoch_ms[i] * POLICY_WINDOW_MAX))
        err = SOTTO_EDECODE;
    return err;
}

static enum sotto_err decode_keys(struct pseudonym_keys *k,
                                  const msgpack_object *list)
{
    const msgpack_object *items, *parts;
    uint32_t count, part_count;
    enum sotto_err err = get_array(list, 0, POLICY_KEYS_MAX, &items, &count);

    for (uint32_t i = 0; !err && i < count; i++) {
        char name[NAME_MAX_SIZE + 1] = "";

        err = get_array(&items[i], KEY_STABLE, KEY_EPOCH, &parts, &part_count);
        if (!err && part_count != KEY_STABLE && part_count != KEY_EPOCH)
            err = SOTTO_EDECODE;
        if (!err)
            err = get_name(&parts[0], name);
        if (!err && pseudonym_keys_find(k, name) >= 0)
            err = SOTTO_EDECODE;
        if (err)
            return err;
        memcpy(k->names[i], name, sizeof(name));
        err = get_fixed(&parts[1], k->secrets[i], 32);
        if (!err && part_count == KEY_EPOCH)
            err = decode_epoch(k, i, parts + KEY_STABLE);
        k->count = i + 1;
    }
    return err;
}

static enum sotto_err decode_root(struct bundle *b, const msgpack_object *root)
{
    const msgpack_object *items;
    struct span policy;
    uint32_t count;
    uint64_t version;
    enum sotto_err err = get_array(root, 7, 16, &items, &count);

    if (!err)
        err = get_uint(&items[0], UINT64_MAX, &version);
    if (!err && version != BUNDLE_VERSION)
        err = SOTTO_EVERSION;
    if (!err)
        err = get_name(&items[1], b->tenant);
    if (!err)
        err = decode_signers(&b->signers, &items[2], &items[3]);
    if (!err)
        err = get_uint(&items[4], UINT64_MAX, &b->minimum_version);
    if (!err)
        err = decode_keys(b->keys, &items[5]);
    if (!err)
        err = get_bin(&items[6], SIGNED_POLICY_MAX, &policy);
    if (!err && policy.size > 0)
        err = buf_append(&b->policy, policy.data, policy.size);
    return err;
}

enum sotto_err bundle_decode(struct bundle *b, struct span bytes)
{
    struct unpacked u;
    enum sotto_err err;

    memset(b, 0, sizeof(*b));
    buf_init(&b->policy, SIGNED_POLICY_MAX);
    err = unpack_open(&u, bytes, &bundle_limits);
    if (err)
        return err;
    b->keys = pseudonym_keys_make();
    err = b->keys ? decode_root(b, &u.root) : SOTTO_ENOMEM;
    unpack_close(&u);
    if (err)
        bundle_fini(b);
    return err;
}

void bundle_code_make(char code[BUNDLE_CODE_SIZE + 1])
{
    int at = 0;

    for (int i = 0; i < CODE_LETTERS; i++) {
        if (i > 0 && i % 4 == 0)
            code[at++] = '-';
        code[at++] = code_letters[randombytes_uniform(32)];
    }
    code[at] = '\0';
}

/* The letters of a code as they were made; false if it is no code. */
static bool code_read(char letters[CODE_LETTERS], const char *code)
{
    int count = 0;

    for (; *code; code++) {
        char c = (char)toupper((unsigned char)*code);

        if (c == '-' || c == ' ')
            continue;
        if (c == 'I' || c == 'L')
            c = '1';
        if (c == 'O')
            c = '0';
        if (count == CODE_LETTERS || !strchr(code_letters, c))
            return false;
        letters[count++] = c;
    }
    return count == CODE_LETTERS;
}

/* A sodium_malloc'd secretbox key, or NULL. */
static uint8_t *key_of(const char letters[CODE_LETTERS], const uint8_t *salt)
{
    uint8_t *key = sodium_malloc(crypto_secretbox_KEYBYTES);

    if (key &&
        crypto_pwhash(key, crypto_secretbox_KEYBYTES, letters, CODE_LETTERS,
                      salt, crypto_pwhash_OPSLIMIT_INTERACTIVE,
                      crypto_pwhash_MEMLIMIT_INTERACTIVE,
                      crypto_pwhash_ALG_ARGON2ID13)) {
        sodium_free(key);
        return NULL;
    }
    return key;
}

enum sotto_err bundle_seal(struct buf *out, const struct bundle *b,
                           const char *code)
{
    uint8_t head[BOX_AT];
    char letters[CODE_LETTERS];
    struct buf plain;
    uint8_t *key = NULL;
    enum sotto_err err;

    if (sodium_init() < 0 || !code_read(letters, code))
        return SOTTO_EINVAL;
    buf_init(&plain, BUNDLE_PLAIN_MAX);
    memcpy(head, magic, sizeof(magic));
    randombytes_buf(head + SALT_AT, sizeof(head) - SALT_AT);
    err = bundle_encode(&plain, b);
    if (err)
        goto done;
    key = key_of(letters, head + SALT_AT);
    err = key ? buf_append(out, head, sizeof(head)) : SOTTO_ENOMEM;
    if (!err)
        err = buf_reserve(out, crypto_secretbox_MACBYTES + plain.size);
    if (err)
        goto done;
    crypto_secretbox_easy(out->data + out->size, plain.data, plain.size,
                          head + NONCE_AT, key);
    out->size += crypto_secretbox_MACBYTES + plain.size;

done:
    sodium_memzero(letters, sizeof(letters));
    sodium_free(key);
    buf_wipe(&plain);
    return err;
}

enum sotto_err bundle_open(struct bundle *b, struct span file, const char *code)
{
    const size_t overhead = BOX_AT + crypto_secretbox_MACBYTES;
    char letters[CODE_LETTERS];
    struct buf plain;
    uint8_t *key = NULL;
    enum sotto_err err;

    memset(b, 0, sizeof(*b));
    if (sodium_init() < 0)
        return SOTTO_ECRYPTO;
    if (file.size <= overhead || memcmp(file.data, magic, sizeof(magic)) != 0)
        return SOTTO_EDECODE;
    if (file.size - overhead > BUNDLE_PLAIN_MAX)
        return SOTTO_ETOOBIG;
    if (!code_read(letters, code))
        return SOTTO_ECRYPTO;
    buf_init(&plain, BUNDLE_PLAIN_MAX);
    err = buf_reserve(&plain, file.size - overhead);
    if (!err) {
        key = key_of(letters, file.data + SALT_AT);
        err = key ? SOTTO_OK : SOTTO_ENOMEM;
    }
    if (!err && crypto_secretbox_open_easy(plain.data, file.data + BOX_AT,
                                           file.size - BOX_AT,
                                           file.data + NONCE_AT, key))
        err = SOTTO_ECRYPTO;
    if (!err) {
        plain.size = file.size - overhead;
        err = bundle_decode(b, span_of(plain.data, plain.size));
    }
    sodium_memzero(letters, sizeof(letters));
    sodium_free(key);
    buf_wipe(&plain);
    return err;
}
