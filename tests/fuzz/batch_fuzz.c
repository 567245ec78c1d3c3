/* batch: the body of a batch of the sample policy, or, after a first byte of
 * zero (no msgpack array), a row of an event. What is read fits the policy:
 * it can be added to a batch, and read from that as the same. */
#include "fuzz.h"

#include "../support/sample_event.h"
#include "policy/batch.h"

static struct policy *policy;
static struct batch *batch;

static void fuzz_row(struct span row)
{
    uint8_t again[EVENT_ROW_MAX];
    struct event ev;
    size_t size;

    if (event_decode(policy, row, &ev))
        return;
    ev.fits = NULL; /* so that it is looked at again */
    expect(event_encode(policy, &ev, again, sizeof(again), &size) == SOTTO_OK);
    expect(span_equal(span_of(again, size), row));
}

static void fuzz_body(struct span body)
{
    struct batch_view *first, *second;
    struct buf out;
    struct event a, b;

    if (batch_decode(&first, body, policy))
        return;
    buf_init(&out, BATCH_BYTES_MAX);
    batch_begin(batch, policy);
    for (uint32_t i = 0; i < batch_view_count(first); i++) {
        batch_view_event(first, i, &a);
        expect(batch_add(batch, &a) == SOTTO_OK);
    }
    expect(batch_encode(batch, batch_view_counters(first), &out) == SOTTO_OK);
    expect(batch_decode(&second, fuzz_bytes(&out), policy) == SOTTO_OK);
    expect(batch_view_count(second) == batch_view_count(first));
    for (uint32_t i = 0; i < batch_view_count(first); i++) {
        batch_view_event(first, i, &a);
        batch_view_event(second, i, &b);
        expect(sample_same(policy, &a, &b));
    }
    batch_view_free(first);
    batch_view_free(second);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!policy) { /* lives as long as the process */
        policy = sample_policy();
        expect(batch_open(&batch, BATCH_EVENTS_MAX, 16 * 1024 * 1024) ==
               SOTTO_OK);
    }
    if (size > 0 && data[0] == 0)
        fuzz_row(span_of(data + 1, size - 1));
    else
        fuzz_body(span_of(data, size));
    return 0;
}
