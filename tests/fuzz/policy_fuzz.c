/* policy: a compiled policy. What is loaded can be looked up, and encoding it
 * again gives the bytes that were read. */
#include "fuzz.h"

#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct policy *p;
    struct buf again;

    if (policy_load(&p, span_of(data, size)))
        return 0;
    for (int i = 0; i < p->event_count; i++)
        expect(policy_event_find(p, span_text(p->events[i].name)) == i);
    for (int i = 0; i < p->purpose_count; i++)
        expect(policy_purpose_find(p, span_text(p->purposes[i].name)) == i);
    expect(policy_subject_id(p) < p->id_count);
    buf_init(&again, POLICY_BYTES_MAX);
    expect(policy_encode(&again, p) == SOTTO_OK);
    expect(span_equal(fuzz_bytes(&again), span_of(data, size)));
    buf_fini(&again);
    policy_free(p);
    return 0;
}
