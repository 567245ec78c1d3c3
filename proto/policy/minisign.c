/* Each file is lines of text around base64 of fixed layouts:
 *
 *   public key  "Ed" | key id (8) | Ed25519 public key (32)
 *   secret key  "Ed" | kdf (2) | "B2" | salt (32) | ops (8) | mem (8) |
 *               key id (8) | Ed25519 secret key (64) | checksum (32)
 *   signature   "ED" | key id (8) | signature (64) of BLAKE2b-512(message)
 *   then the trusted comment, and a signature (64) of signature | comment
 *
 * The secret is written without a password, with the zeros that
 * `minisign -G -W` writes for kdf and checksum; in place of the checksum the
 * public half is computed again from the seed when a key is read. */
#include "policy/minisign.h"

#include <assert.h>
#include <string.h>

#define COMMENT_PK "untrusted comment: minisign public key "
#define COMMENT_SK "untrusted comment: minisign encrypted secret key\n"
#define COMMENT_SIGNATURE "untrusted comment: signature by sotto-policy\n"
#define COMMENT_UNTRUSTED "untrusted comment: "
#define COMMENT_TRUSTED "trusted comment: "
#define COMMENT_MAX 512

#define PK_BYTES (2 + 8 + PK_SIZE)
#define SK_BYTES 158
#define SK_KEY_ID_AT 54
#define SK_SECRET_AT 62
#define SIGNATURE_BYTES (2 + 8 + crypto_sign_BYTES)

static_assert(SK_KEY_ID_AT + 8 + crypto_sign_SECRETKEYBYTES + 32 == SK_BYTES,
              "the layout in the opening comment");

#define BASE64_SIZE(n)                                                         \
    (sodium_base64_ENCODED_LEN(n, sodium_base64_VARIANT_ORIGINAL))

enum sotto_err minisign_make(struct minisign_sk **sk, struct minisign_pk *pk)
{
    struct minisign_sk *made;

    if (sodium_init() < 0)
        return SOTTO_ECRYPTO;
    made = sodium_malloc(sizeof(*made));
    if (!made)
        return SOTTO_ENOMEM;
    randombytes_buf(made->key_id, sizeof(made->key_id));
    crypto_sign_keypair(pk->pk, made->sk);
    memcpy(pk->key_id, made->key_id, sizeof(pk->key_id));
    *sk = made;
    return SOTTO_OK;
}

void minisign_free(struct minisign_sk *sk)
{
    sodium_free(sk); /* wipes; accepts NULL */
}

/* Appends one base64 line. scratch holds BASE64_SIZE(size). */
static enum sotto_err base64_line(struct buf *out, const uint8_t *bytes,
                                  size_t size, char *scratch,
                                  size_t scratch_size)
{
    enum sotto_err err;

    sodium_bin2base64(scratch, scratch_size, bytes, size,
                      sodium_base64_VARIANT_ORIGINAL);
    err = buf_append(out, scratch, strlen(scratch));
    return err ? err : buf_append(out, "\n", 1);
}

static enum sotto_err append_text(struct buf *out, const char *text)
{
    return buf_append(out, text, strlen(text));
}

/* Takes the next line off text, without its end; false when none is left. */
static bool next_line(struct span *text, struct span *line)
{
    const uint8_t *end;

    if (text->size == 0)
        return false;
    end = memchr(text->data, '\n', text->size);
    *line = span_of(text->data, end ? (size_t)(end - text->data) : text->size);
    text->data += line->size + (end ? 1 : 0);
    text->size -= line->size + (end ? 1 : 0);
    if (line->size > 0 && line->data[line->size - 1] == '\r')
        line->size--;
    return true;
}

/* The line after prefix; false if it begins otherwise. */
static bool after_prefix(struct span *line, const char *prefix)
{
    size_t size = strlen(prefix);

    if (line->size < size || memcmp(line->data, prefix, size) != 0)
        return false;
    line->data += size;
    line->size -= size;
    return true;
}

/* The next line as exactly size bytes of base64. */
static bool next_base64(struct span *text, uint8_t *out, size_t size)
{
    struct span line;
    size_t got = 0;

    return next_line(text, &line) && line.size > 0 &&
           sodium_base642bin(out, size, (const char *)line.data, line.size,
                             NULL, &got, NULL,
                             sodium_base64_VARIANT_ORIGINAL) == 0 &&
           got == size;
}

static bool only_blank(struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] != '\n' && text.data[i] != '\r')
            return false;
    return true;
}

enum sotto_err minisign_pk_write(struct buf *out, const struct minisign_pk *pk)
{
    uint8_t bytes[PK_BYTES] = {'E', 'd'};
    char scratch[BASE64_SIZE(PK_BYTES)];
    enum sotto_err err = append_text(out, COMMENT_PK);

    /* The public tool prints the id as a little-endian number. */
    for (int i = 7; !err && i >= 0; i--) {
        static const char digits[] = "0123456789ABCDEF";
        char hex[2] = {digits[pk->key_id[i] >> 4], digits[pk->key_id[i] & 15]};

        err = buf_append(out, hex, sizeof(hex));
    }
    if (!err)
        err = append_text(out, "\n");
    memcpy(bytes + 2, pk->key_id, sizeof(pk->key_id));
    memcpy(bytes + 10, pk->pk, PK_SIZE);
    if (!err)
        err = base64_line(out, bytes, sizeof(bytes), scratch, sizeof(scratch));
    return err;
}

enum sotto_err minisign_pk_read(struct minisign_pk *pk, struct span text)
{
    uint8_t bytes[PK_BYTES];
    struct span line;

    if (!next_line(&text, &line) || !after_prefix(&line, COMMENT_UNTRUSTED) ||
        !next_base64(&text, bytes, sizeof(bytes)) || !only_blank(text) ||
        memcmp(bytes, "Ed", 2) != 0)
        return SOTTO_EDECODE;
    memcpy(pk->key_id, bytes + 2, sizeof(pk->key_id));
    memcpy(pk->pk, bytes + 10, PK_SIZE);
    return SOTTO_OK;
}

enum sotto_err minisign_sk_write(struct buf *out, const struct minisign_sk *sk)
{
    const size_t scratch_size = BASE64_SIZE(SK_BYTES);
    uint8_t *bytes;
    char *scratch;
    enum sotto_err err;

    /* Whole before the first byte: growing would leave a copy behind. */
    err = buf_reserve(out, sizeof(COMMENT_SK) + scratch_size);
    if (err)
        return err;
    bytes = sodium_malloc(SK_BYTES);
    scratch = sodium_malloc(scratch_size);
    if (!bytes || !scratch) {
        err = SOTTO_ENOMEM;
        goto done;
    }
    memset(bytes, 0, SK_BYTES);
    memcpy(bytes, "Ed", 2);
    memcpy(bytes + 4, "B2", 2);
    memcpy(bytes + SK_KEY_ID_AT, sk->key_id, sizeof(sk->key_id));
    memcpy(bytes + SK_SECRET_AT, sk->sk, sizeof(sk->sk));
    err = append_text(out, COMMENT_SK);
    if (!err)
        err = base64_line(out, bytes, SK_BYTES, scratch, scratch_size);

done:
    sodium_free(bytes);
    sodium_free(scratch);
    return err;
}

/* The public half must be the one of the seed. */
static bool secret_holds(const uint8_t sk[64])
{
    uint8_t pk[PK_SIZE];
    uint8_t *again = sodium_malloc(crypto_sign_SECRETKEYBYTES);
    bool holds = false;

    if (again) {
        crypto_sign_seed_keypair(pk, again, sk);
        holds = sodium_memcmp(again, sk, crypto_sign_SECRETKEYBYTES) == 0;
    }
    sodium_free(again);
    return holds;
}

enum sotto_err minisign_sk_read(struct minisign_sk **sk, struct span text)
{
    enum sotto_err err = SOTTO_EDECODE;
    struct minisign_sk *read;
    struct span line;
    uint8_t *bytes;

    if (sodium_init() < 0)
        return SOTTO_ECRYPTO;
    bytes = sodium_malloc(SK_BYTES);
    read = sodium_malloc(sizeof(*read));
    if (!bytes || !read) {
        err = SOTTO_ENOMEM;
        goto fail;
    }
    if (!next_line(&text, &line) || !after_prefix(&line, COMMENT_UNTRUSTED) ||
        !next_base64(&text, bytes, SK_BYTES) || !only_blank(text) ||
        memcmp(bytes, "Ed", 2) != 0)
        goto fail;
    if (memcmp(bytes + 2, "\0\0", 2) != 0) {
        err = SOTTO_EVERSION; /* under a password */
        goto fail;
    }
    memcpy(read->key_id, bytes + SK_KEY_ID_AT, sizeof(read->key_id));
    memcpy(read->sk, bytes + SK_SECRET_AT, sizeof(read->sk));
    if (!secret_holds(read->sk))
        goto fail;
    sodium_free(bytes);
    *sk = read;
    return SOTTO_OK;

fail:
    sodium_free(bytes);
    sodium_free(read);
    return err;
}

enum sotto_err minisign_sign(struct buf *out, const struct minisign_sk *sk,
                             struct span message, const char *comment)
{
    uint8_t signature[SIGNATURE_BYTES] = {'E', 'D'};
    uint8_t whole[crypto_sign_BYTES + COMMENT_MAX];
    uint8_t hash[crypto_generichash_BYTES_MAX], global[crypto_sign_BYTES];
    char scratch[BASE64_SIZE(SIGNATURE_BYTES)];
    size_t comment_size = strlen(comment);
    enum sotto_err err;

    if (comment_size > COMMENT_MAX || strpbrk(comment, "\r\n"))
        return SOTTO_EINVAL;
    crypto_generichash(hash, sizeof(hash), message.data, message.size, NULL, 0);
    memcpy(signature + 2, sk->key_id, sizeof(sk->key_id));
    crypto_sign_detached(signature + 10, NULL, hash, sizeof(hash), sk->sk);
    memcpy(whole, signature + 10, crypto_sign_BYTES);
    memcpy(whole + crypto_sign_BYTES, comment, comment_size);
    crypto_sign_detached(global, NULL, whole, crypto_sign_BYTES + comment_size,
                         sk->sk);

    err = append_text(out, COMMENT_SIGNATURE);
    if (!err)
        err = base64_line(out, signature, sizeof(signature), scratch,
                          sizeof(scratch));
    if (!err)
        err = append_text(out, COMMENT_TRUSTED);
    if (!err)
        err = append_text(out, comment);
    if (!err)
        err = append_text(out, "\n");
    if (!err)
        err =
            base64_line(out, global, sizeof(global), scratch, sizeof(scratch));
    return err;
}

enum sotto_err minisign_verify(const struct minisign_pk *pk,
                               struct span message, struct span signature)
{
    uint8_t bytes[SIGNATURE_BYTES], global[crypto_sign_BYTES];
    uint8_t hash[crypto_generichash_BYTES_MAX];
    uint8_t whole[crypto_sign_BYTES + COMMENT_MAX];
    struct span line, comment;

    if (!next_line(&signature, &line) ||
        !after_prefix(&line, COMMENT_UNTRUSTED) ||
        !next_base64(&signature, bytes, sizeof(bytes)) ||
        !next_line(&signature, &comment) ||
        !after_prefix(&comment, COMMENT_TRUSTED) ||
        comment.size > COMMENT_MAX ||
        !next_base64(&signature, global, sizeof(global)) ||
        !only_blank(signature) || memcmp(bytes, "ED", 2) != 0)
        return SOTTO_ECRYPTO;
    if (memcmp(bytes + 2, pk->key_id, sizeof(pk->key_id)) != 0)
        return SOTTO_ENOTFOUND;
    crypto_generichash(hash, sizeof(hash), message.data, message.size, NULL, 0);
    if (crypto_sign_verify_detached(bytes + 10, hash, sizeof(hash), pk->pk))
        return SOTTO_ECRYPTO;
    memcpy(whole, bytes + 10, crypto_sign_BYTES);
    if (comment.size > 0)
        memcpy(whole + crypto_sign_BYTES, comment.data, comment.size);
    if (crypto_sign_verify_detached(global, whole,
                                    crypto_sign_BYTES + comment.size, pk->pk))
        return SOTTO_ECRYPTO;
    return SOTTO_OK;
}
