/* Tests of minisign's formats: our own round trip, a frozen signature of the
 * public tool, and the public tool itself where it is installed. */
#include "policy/minisign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct span text_of(const struct buf *b)
{
    return span_of(b->data, b->size);
}

/* Made by minisign 0.11: `minisign -G -W`, `minisign -S -t "x y"` over the
 * file "hi\n". */
static const char tool_pk[] =
    "untrusted comment: minisign public key 8EC316063489F8AE\n"
    "RWSu+Ik0BhbDjmhY3eve62IZa1wyOazsk99M/taRxyrPF+gnkMuZWyCI\n";
static const char tool_sk[] =
    "untrusted comment: minisign encrypted secret key\n"
    "RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAArv"
    "iJ"
    "NAYWw47asd3LrcGe837i7cjjUbQT5fQojLyf+2KDLi5WaInOs2hY3eve62IZa1wyOazsk99M/"
    "taRxy"
    "rPF+gnkMuZWyCIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
static const char tool_signature[] =
    "untrusted comment: signature from minisign secret key\n"
    "RUSu+Ik0BhbDjrFcy9okOYAG6ys8o9AQd41UT7Aq7X67ATdFy/"
    "sxmG01GWFP1r9KKRT3fnunY70s"
    "cCTFK6UTcr8RRXjNRV21NwA=\n"
    "trusted comment: x y\n"
    "OqjSiyaALuj+AAzp2X1Vbhqw2XkjZZNrBetPGRg3q/"
    "kjv5TAwPvEA3bEtENY8k5HTEHjr2wknvIR"
    "Ikm8IlIZDg==\n";

static void reads_what_the_public_tool_wrote(void **state)
{
    struct minisign_sk *sk = NULL;
    struct minisign_pk pk;
    struct buf again;

    (void)state;
    buf_init(&again, 4096);
    assert_int_equal(minisign_pk_read(&pk, span_text(tool_pk)), SOTTO_OK);
    assert_int_equal(
        minisign_verify(&pk, span_text("hi\n"), span_text(tool_signature)),
        SOTTO_OK);
    assert_int_equal(
        minisign_verify(&pk, span_text("ho\n"), span_text(tool_signature)),
        SOTTO_ECRYPTO);
    assert_int_equal(minisign_sk_read(&sk, span_text(tool_sk)), SOTTO_OK);
    assert_memory_equal(sk->key_id, pk.key_id, sizeof(pk.key_id));
    assert_memory_equal(sk->sk + 32, pk.pk, sizeof(pk.pk));
    /* and both are written again as they were */
    assert_int_equal(minisign_pk_write(&again, &pk), SOTTO_OK);
    assert_true(span_equal(text_of(&again), span_text(tool_pk)));
    buf_clear(&again);
    assert_int_equal(minisign_sk_write(&again, sk), SOTTO_OK);
    assert_true(span_equal(text_of(&again), span_text(tool_sk)));
    minisign_free(sk);
    buf_wipe(&again);
}

struct signer {
    struct minisign_sk *sk;
    struct minisign_pk pk;
    struct buf signature;
};

static void signer_make(struct signer *s, const char *message,
                        const char *comment)
{
    buf_init(&s->signature, 4096);
    assert_int_equal(minisign_make(&s->sk, &s->pk), SOTTO_OK);
    assert_int_equal(
        minisign_sign(&s->signature, s->sk, span_text(message), comment),
        SOTTO_OK);
}

static void signer_free(struct signer *s)
{
    minisign_free(s->sk);
    buf_fini(&s->signature);
}

static void verifies_its_own_signatures(void **state)
{
    static const char *const messages[] = {"", "a", "a longer message\n"};

    (void)state;
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        struct signer s;

        signer_make(&s, messages[i], i == 0 ? "" : "a comment");
        assert_int_equal(minisign_verify(&s.pk, span_text(messages[i]),
                                         text_of(&s.signature)),
                         SOTTO_OK);
        signer_free(&s);
    }
}

static void tells_another_key_from_a_wrong_signature(void **state)
{
    struct signer s, other;

    (void)state;
    signer_make(&s, "m", "c");
    signer_make(&other, "m", "c");
    assert_int_equal(
        minisign_verify(&other.pk, span_text("m"), text_of(&s.signature)),
        SOTTO_ENOTFOUND);
    memcpy(other.pk.key_id, s.pk.key_id, sizeof(s.pk.key_id));
    assert_int_equal(
        minisign_verify(&other.pk, span_text("m"), text_of(&s.signature)),
        SOTTO_ECRYPTO);
    signer_free(&s);
    signer_free(&other);
}

/* But for the first line, which nobody signs, each byte counts. */
static void no_byte_can_change(void **state)
{
    struct signer s;
    size_t first_line;

    (void)state;
    signer_make(&s, "message", "policy acme version 7");
    first_line =
        (size_t)((uint8_t *)memchr(s.signature.data, '\n', s.signature.size) -
                 s.signature.data);
    for (size_t i = first_line; i < s.signature.size - 1; i++) {
        s.signature.data[i] ^= 1;
        assert_int_not_equal(
            minisign_verify(&s.pk, span_text("message"), text_of(&s.signature)),
            SOTTO_OK);
        s.signature.data[i] ^= 1;
    }
    for (size_t size = 0; size < s.signature.size - 1; size++)
        assert_int_not_equal(minisign_verify(&s.pk, span_text("message"),
                                             span_of(s.signature.data, size)),
                             SOTTO_OK);
    signer_free(&s);
}

static void refuses_a_secret_whose_halves_differ(void **state)
{
    struct minisign_sk *sk = NULL;
    char text[sizeof(tool_sk)];

    (void)state;
    memcpy(text, tool_sk, sizeof(text));
    strstr(text, "aInOs2hY")[0] = 'b';
    assert_int_equal(minisign_sk_read(&sk, span_text(text)), SOTTO_EDECODE);
    memcpy(text, tool_sk, sizeof(text));
    memcpy(strstr(text, "RWQAAEIy"), "RWRTY0Iy", 8); /* kdf "Sc" */
    assert_int_equal(minisign_sk_read(&sk, span_text(text)), SOTTO_EVERSION);
    assert_int_equal(minisign_sk_read(&sk, span_text("")), SOTTO_EDECODE);
    assert_null(sk);
}

static void refuses_a_comment_of_two_lines(void **state)
{
    struct minisign_sk *sk = NULL;
    struct minisign_pk pk;
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    assert_int_equal(minisign_make(&sk, &pk), SOTTO_OK);
    assert_int_equal(minisign_sign(&out, sk, span_text("m"), "a\nb"),
                     SOTTO_EINVAL);
    assert_int_equal(out.size, 0);
    minisign_free(sk);
    buf_fini(&out);
}

/* The public tool verifies ours, signs with our key, and we verify that. */
static void the_public_tool_agrees(void **state)
{
    char dir[] = "/tmp/minisign_test_XXXXXX", command[512], path[64];
    struct signer s;
    struct buf text;

    (void)state;
    if (system("command -v minisign >/dev/null 2>&1") != 0) {
        print_message("skipped: minisign is not installed\n");
        skip();
    }
    assert_non_null(mkdtemp(dir));
    signer_make(&s, "the message", "from us");
    buf_init(&text, 4096);
    snprintf(path, sizeof(path), "%s/m", dir);
    assert_int_equal(file_replace(path, "the message", 11, 0600), SOTTO_OK);
    snprintf(path, sizeof(path), "%s/m.minisig", dir);
    assert_int_equal(
        file_replace(path, s.signature.data, s.signature.size, 0600), SOTTO_OK);
    assert_int_equal(minisign_pk_write(&text, &s.pk), SOTTO_OK);
    snprintf(path, sizeof(path), "%s/k.pub", dir);
    assert_int_equal(file_replace(path, text.data, text.size, 0600), SOTTO_OK);
    buf_clear(&text);
    assert_int_equal(minisign_sk_write(&text, s.sk), SOTTO_OK);
    snprintf(path, sizeof(path), "%s/k.sec", dir);
    assert_int_equal(file_replace(path, text.data, text.size, 0600), SOTTO_OK);

    snprintf(command, sizeof(command),
             "cd %s && minisign -V -p k.pub -m m >/dev/null && "
             "minisign -S -s k.sec -m m -x t.minisig -t theirs >/dev/null",
             dir);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof(path), "%s/t.minisig", dir);
    assert_int_equal(buf_read_file(&text, path), SOTTO_OK);
    assert_int_equal(
        minisign_verify(&s.pk, span_text("the message"), text_of(&text)),
        SOTTO_OK);
    snprintf(command, sizeof(command), "rm -r %s", dir);
    assert_int_equal(system(command), 0);
    signer_free(&s);
    buf_wipe(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_the_public_tool_wrote),
        cmocka_unit_test(verifies_its_own_signatures),
        cmocka_unit_test(tells_another_key_from_a_wrong_signature),
        cmocka_unit_test(no_byte_can_change),
        cmocka_unit_test(refuses_a_secret_whose_halves_differ),
        cmocka_unit_test(refuses_a_comment_of_two_lines),
        cmocka_unit_test(the_public_tool_agrees),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
