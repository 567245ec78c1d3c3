/* See keys.h. The saved form is fixed and of one size:
 *
 *   magic (8) | Ed25519 secret key (64, its public key last) |
 *   X25519 secret key (32) | X25519 public key (32)
 *
 * Both public keys are computed again from the secrets at loading and
 * compared, so a damaged file is an error and never another identity. */
#include "wire/keys.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t saved_magic[8] = {'s', 'o', 't', 't', 'o', 'k', 'e', 1};

#define SIGN_AT sizeof saved_magic
#define BOX_SK_AT (SIGN_AT + crypto_sign_SECRETKEYBYTES)
#define BOX_PK_AT (BOX_SK_AT + crypto_box_SECRETKEYBYTES)
#define SAVED_SIZE (BOX_PK_AT + PK_SIZE)

static_assert(crypto_sign_PUBLICKEYBYTES == PK_SIZE, "an Ed25519 key");
static_assert(crypto_box_PUBLICKEYBYTES == PK_SIZE, "an X25519 key");

static enum sotto_err keys_alloc(struct keys **out)
{
    struct keys *k;

    if (sodium_init() < 0)
        return SOTTO_ECRYPTO;
    k = calloc(1, sizeof *k);
    if (!k)
        return SOTTO_ENOMEM;
    k->sign_sk = sodium_malloc(crypto_sign_SECRETKEYBYTES);
    k->box_sk = sodium_malloc(crypto_box_SECRETKEYBYTES);
    if (!k->sign_sk || !k->box_sk) {
        keys_free(k);
        return SOTTO_ENOMEM;
    }
    *out = k;
    return SOTTO_OK;
}

static void keys_name(struct keys *k)
{
    key_id(k->sign_id, k->sign_pk);
    key_id(k->box_id, k->box_pk);
}

enum sotto_err keys_make(struct keys **out)
{
    enum sotto_err err = keys_alloc(out);

    if (err)
        return err;
    crypto_sign_keypair((*out)->sign_pk, (*out)->sign_sk);
    crypto_box_keypair((*out)->box_pk, (*out)->box_sk);
    keys_name(*out);
    return SOTTO_OK;
}

void keys_free(struct keys *k)
{
    if (!k)
        return;
    sodium_free(k->sign_sk); /* wipes; accepts NULL */
    sodium_free(k->box_sk);
    free(k);
}

enum sotto_err keys_save(const struct keys *k, struct buf *out)
{
    /* Reserved at once: growing later would leave secrets behind. */
    enum sotto_err err = buf_reserve(out, SAVED_SIZE);
    uint8_t *to;

    if (err)
        return err;
    to = out->data + out->size;
    memcpy(to, saved_magic, sizeof saved_magic);
    memcpy(to + SIGN_AT, k->sign_sk, crypto_sign_SECRETKEYBYTES);
    memcpy(to + BOX_SK_AT, k->box_sk, crypto_box_SECRETKEYBYTES);
    memcpy(to + BOX_PK_AT, k->box_pk, PK_SIZE);
    out->size += SAVED_SIZE;
    return SOTTO_OK;
}

enum sotto_err keys_load(struct keys **out, struct span bytes)
{
    struct keys *k;
    enum sotto_err err;

    if (bytes.size != SAVED_SIZE ||
        memcmp(bytes.data, saved_magic, sizeof saved_magic) != 0)
        return SOTTO_EDECODE;
    err = keys_alloc(&k);
    if (err)
        return err;
    /* The first half of an Ed25519 secret key is its seed. */
    if (crypto_sign_seed_keypair(k->sign_pk, k->sign_sk,
                                 bytes.data + SIGN_AT) != 0)
        goto fail;
    memcpy(k->box_sk, bytes.data + BOX_SK_AT, crypto_box_SECRETKEYBYTES);
    if (crypto_scalarmult_base(k->box_pk, k->box_sk) != 0)
        goto fail;
    if (sodium_memcmp(k->sign_sk, bytes.data + SIGN_AT,
                      crypto_sign_SECRETKEYBYTES) != 0 ||
        sodium_memcmp(k->box_pk, bytes.data + BOX_PK_AT, PK_SIZE) != 0)
        goto fail;
    keys_name(k);
    *out = k;
    return SOTTO_OK;

fail:
    keys_free(k);
    return SOTTO_ECRYPTO;
}

void keys_peer(const struct keys *k, struct peer *out)
{
    peer_init(out, k->sign_pk, k->box_pk);
}

void peer_init(struct peer *p, const uint8_t sign_pk[PK_SIZE],
               const uint8_t box_pk[PK_SIZE])
{
    memcpy(p->sign_pk, sign_pk, PK_SIZE);
    memcpy(p->box_pk, box_pk, PK_SIZE);
    key_id(p->sign_id, sign_pk);
    key_id(p->box_id, box_pk);
}

void key_id(uint8_t out[KEY_ID_SIZE], const uint8_t pk[PK_SIZE])
{
    uint8_t hash[HASH_SIZE];

    hash_bytes(hash, span_of(pk, PK_SIZE), span_of(NULL, 0));
    memcpy(out, hash, KEY_ID_SIZE);
}

void hash_bytes(uint8_t out[HASH_SIZE], struct span a, struct span b)
{
    crypto_generichash_state state;

    crypto_generichash_init(&state, NULL, 0, HASH_SIZE);
    crypto_generichash_update(&state, a.data, a.size);
    crypto_generichash_update(&state, b.data, b.size);
    crypto_generichash_final(&state, out, HASH_SIZE);
}
