/* What an attacker on the wire or with an agent of his own could make, for the
 * flow tests. Reads one envelope from standard input.
 *
 *   sotto-forge resign KEYS STREAM SEQUENCE  another's ciphertext under one's
 *                                            own name, as a first envelope
 *   sotto-forge reply other|claimed NONCE    "all of it is acknowledged",
 *                                            signed with a new key; claimed:
 *                                            under the aggregator's id
 *   sotto-forge show                         a reply in words, as JSON
 *
 * KEYS is an agent's agent.keys, NONCE 32 hex digits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/message.h"

static int complain(const char *what, enum sotto_err err)
{
    fprintf(stderr, "sotto-forge: %s: %s\n", what, err_text(err));
    return 1;
}

static enum sotto_err read_input(struct buf *in)
{
    uint8_t chunk[4096];
    size_t n;

    while ((n = fread(chunk, 1, sizeof chunk, stdin)) > 0) {
        enum sotto_err err = buf_append(in, chunk, n);
        if (err)
            return err;
    }
    return SOTTO_OK;
}

static int print_out(const struct buf *out)
{
    return fwrite(out->data, 1, out->size, stdout) == out->size ? 0 : 1;
}

/* Where the sender's id lies in an envelope: after the head of the array, the
 * version, the kind and the head of the id. */
#define SENDER_AT 5
#define SIGNATURE_SIZE 64
#define SIGNATURE_ELEMENT 66 /* with its head; not signed itself */

/* Puts the signer's name on out, and signs again. */
static void claim(struct buf *out, const struct keys *keys)
{
    memcpy(out->data + SENDER_AT, keys->sign_id, KEY_ID_SIZE);
    crypto_sign_detached(out->data + out->size - SIGNATURE_SIZE, NULL,
                         out->data, out->size - SIGNATURE_ELEMENT,
                         keys->sign_sk);
}

static int resign(struct span envelope, const char *const *args)
{
    uint8_t chain[HASH_SIZE] = {0};
    struct keys *keys = NULL;
    struct buf bytes, out;
    enum sotto_err err;
    int code;

    buf_init(&bytes, 4096);
    buf_init(&out, FRAME_MAX);
    err = buf_read_file(&bytes, args[0]);
    if (!err)
        err = keys_load(&keys, span_of(bytes.data, bytes.size));
    if (!err)
        err = envelope_rewrite(&out, envelope, strtoull(args[1], NULL, 10),
                               strtoull(args[2], NULL, 10), chain, keys);
    if (!err)
        claim(&out, keys);
    code = err ? complain("resign", err) : print_out(&out);
    buf_wipe(&bytes);
    buf_fini(&out);
    keys_free(keys);
    return code;
}

/* The envelope to be imitated, and the record in it. */
static enum sotto_err parse_reply(struct envelope *e, struct reply *r,
                                  struct span envelope)
{
    enum sotto_err err = envelope_parse(e, envelope);

    if (!err && e->kind != KIND_REPLY)
        err = SOTTO_EINVAL;
    return err ? err : message_decode(r, MESSAGE_REPLY, e->body);
}

static int forge_reply(struct span envelope, const char *const *args)
{
    struct envelope e, head = {.kind = KIND_REPLY};
    struct keys *keys = NULL;
    struct buf body, out;
    struct peer to = {0};
    struct reply r = {0};
    enum sotto_err err = parse_reply(&e, &r, envelope);
    int code;

    buf_init(&body, 4096);
    buf_init(&out, FRAME_MAX);
    if (!err && sodium_hex2bin(r.nonce, NONCE_SIZE, args[1], strlen(args[1]),
                               NULL, NULL, NULL) != 0)
        err = SOTTO_EINVAL;
    if (!err)
        err = keys_make(&keys);
    if (!err && strcmp(args[0], "claimed") == 0)
        memcpy(keys->sign_id, e.sender, KEY_ID_SIZE);
    memcpy(to.box_id, e.recipient, KEY_ID_SIZE);
    r.verdict = VERDICT_ACK;
    r.reason = REFUSAL_NONE;
    r.watermark = 1000000;
    if (!err)
        err = message_encode(&body, MESSAGE_REPLY, &r);
    if (!err)
        err = envelope_write(&out, &head, span_of(body.data, body.size), keys,
                             &to);
    code = err ? complain("reply", err) : print_out(&out);
    buf_fini(&body);
    buf_fini(&out);
    keys_free(keys);
    return code;
}

static int show(struct span envelope)
{
    static const char *const verdicts[] = {"", "ack", "retry", "fork",
                                           "refused"};
    struct envelope e;
    struct reply r;
    enum sotto_err err = parse_reply(&e, &r, envelope);

    if (err || r.verdict > VERDICT_REFUSED)
        return complain("show", err ? err : SOTTO_EDECODE);
    printf("{\"verdict\": \"%s\", \"reason\": \"%s\", \"watermark\": %llu}\n",
           verdicts[r.verdict],
           r.reason ? refusal_name((uint32_t)r.reason) : "",
           (unsigned long long)r.watermark);
    return 0;
}

int main(int argc, char **argv)
{
    const char *const *args = (const char *const *)argv + 2;
    struct span envelope;
    struct buf in;
    enum sotto_err err;
    int code = 2;

    if (sodium_init() < 0)
        return 1;
    buf_init(&in, FRAME_MAX);
    err = read_input(&in);
    envelope = span_of(in.data, in.size);
    if (err)
        code = complain("standard input", err);
    else if (argc == 5 && strcmp(argv[1], "resign") == 0)
        code = resign(envelope, args);
    else if (argc == 4 && strcmp(argv[1], "reply") == 0)
        code = forge_reply(envelope, args);
    else if (argc == 2 && strcmp(argv[1], "show") == 0)
        code = show(envelope);
    else
        fprintf(stderr, "usage: see the head of forge.c\n");
    buf_fini(&in);
    return code;
}
