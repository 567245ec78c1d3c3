/* Any bytes as a signed policy, as a key and as a signature: refused, or the
 * same bytes when written again; and nobody is trusted by chance. */
#include "policy/signed.h"

#include "fuzz.h"

static void check_container(struct span bytes)
{
    struct signers trusted = {.needed = 1, .count = 1};
    struct policy *p = NULL;
    struct signed_policy s;
    struct why why;

    if (signed_policy_decode(&s, bytes))
        return;
    expect(s.compiled.size <= POLICY_BYTES_MAX);
    expect(s.signature_count <= POLICY_SIGNERS_MAX);
    expect(signed_policy_load(&p, bytes, &trusted, &why) == SOTTO_ECRYPTO);
}

static void check_keys(struct span text)
{
    struct minisign_sk *sk = NULL;
    struct minisign_pk pk, again;
    struct buf out;

    buf_init(&out, 4096);
    if (!minisign_pk_read(&pk, text)) {
        expect(!minisign_pk_write(&out, &pk));
        expect(!minisign_pk_read(&again, fuzz_bytes(&out)));
        expect(sodium_memcmp(&again, &pk, sizeof(pk)) == 0);
    }
    if (!minisign_sk_read(&sk, text))
        minisign_free(sk);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct minisign_pk pk = {{0}, {0}};

    if (sodium_init() < 0)
        return 0;
    check_container(span_of(data, size));
    check_keys(span_of(data, size));
    expect(minisign_verify(&pk, span_text("m"), span_of(data, size)) !=
           SOTTO_OK);
    return 0;
}
