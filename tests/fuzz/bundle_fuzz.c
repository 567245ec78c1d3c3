/* Any bytes as a bundle's plain form: refused, or within its limits and the
 * same when written and read again. */
#include "policy/bundle.h"

#include <string.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bundle b, again;
    struct buf out;

    if (sodium_init() < 0 || bundle_decode(&b, span_of(data, size)))
        return 0;
    expect(b.signers.needed >= 1 && b.signers.needed <= b.signers.count);
    expect(b.signers.count <= POLICY_SIGNERS_MAX);
    expect(b.keys->count <= POLICY_KEYS_MAX);
    expect(b.policy.size <= SIGNED_POLICY_MAX);
    buf_init(&out, BUNDLE_FILE_MAX);
    expect(!bundle_encode(&out, &b));
    expect(!bundle_decode(&again, fuzz_bytes(&out)));
    expect(strcmp(again.tenant, b.tenant) == 0);
    expect(again.minimum_version == b.minimum_version);
    expect(memcmp(again.keys, b.keys, sizeof(*b.keys)) == 0);
    bundle_fini(&again);
    bundle_fini(&b);
    buf_wipe(&out);
    return 0;
}
