/* See stream.h. Invariants: acked < sending <= next; everything from acked + 1
 * to sending - 1 is in flight, for a slot is freed only by an acknowledgement
 * or by starting over at acked + 1. So nothing offered is more than `window`
 * above acked, and the aggregator can hold it (WATERMARK_EARLY). While requests
 * fail, one at a time goes out as a probe. */
#include "delivery/stream.h"

#include <assert.h>
#include <string.h>

#include "delivery/watermark.h"

_Static_assert(STREAM_WINDOW_MAX <= WATERMARK_EARLY,
               "what is in flight can be held over there");

#define WAIT_MIN_MS 100 /* between a refusal to take and the next offer */
#define WAIT_MAX_MS (INT64_C(3600) * 1000)

/* Values of enum verdict in wire/message.h, which this folder lies below. */
enum { ACK = 1, RETRY, FORK, REFUSED };

void stream_init(struct stream *s, uint64_t id, uint64_t acked, uint64_t next,
                 uint32_t window)
{
    assert(next > acked && window > 0 && window <= STREAM_WINDOW_MAX);
    memset(s, 0, sizeof(*s));
    s->id = id;
    s->acked = acked;
    s->next = next;
    s->sending = acked + 1;
    s->window = window;
}

void stream_added(struct stream *s, uint64_t next)
{
    assert(next >= s->next);
    s->next = next;
}

static uint32_t slot_of(const struct stream *s, uint64_t sequence)
{
    uint32_t i;

    for (i = 0; i < s->window && s->flying[i] != sequence; i++)
        ;
    return i;
}

/* The lowest sequence that may go out now but for the clock, or 0. */
static uint64_t candidate(const struct stream *s)
{
    uint32_t i, flying = 0, window = s->failures ? 1 : s->window;
    uint64_t sequence = s->sending;

    for (i = 0; i < s->window; i++)
        flying += s->flying[i] != 0;
    if (flying >= window)
        return 0;
    while (slot_of(s, sequence) < s->window)
        sequence++;
    return sequence < s->next ? sequence : 0;
}

uint64_t stream_next(struct stream *s, int64_t mono_ms)
{
    uint64_t sequence = mono_ms < s->wait_until_ms ? 0 : candidate(s);
    uint32_t slot = slot_of(s, 0);

    if (!sequence)
        return 0;
    s->flying[slot] = sequence;
    s->floor[slot] = s->acked;
    s->sending = sequence + 1;
    return sequence;
}

int64_t stream_wake_ms(const struct stream *s)
{
    return candidate(s) ? s->wait_until_ms : INT64_MAX;
}

/* Everything not in flight is offered again, after wait_ms. */
static void back_off(struct stream *s, int64_t mono_ms, int64_t wait_ms)
{
    if (wait_ms < WAIT_MIN_MS)
        wait_ms = WAIT_MIN_MS;
    if (wait_ms > WAIT_MAX_MS)
        wait_ms = WAIT_MAX_MS;
    if (s->wait_until_ms < mono_ms + wait_ms)
        s->wait_until_ms = mono_ms + wait_ms;
    s->sending = s->acked + 1;
}

void stream_failed(struct stream *s, uint64_t sequence, int64_t mono_ms,
                   int64_t backoff_ms)
{
    uint32_t slot = slot_of(s, sequence);

    if (!sequence || slot == s->window)
        return;
    s->flying[slot] = 0;
    s->failures++;
    back_off(s, mono_ms, backoff_ms);
}

/* Slots that the new mark covers stay taken until their requests end. */
static void advance(struct stream *s, uint64_t acked)
{
    s->acked = acked;
    if (s->sending <= acked)
        s->sending = acked + 1;
}

enum stream_action stream_replied(struct stream *s, uint64_t sequence,
                                  const struct stream_reply *r, int64_t mono_ms)
{
    uint32_t slot = slot_of(s, sequence);
    bool known = (r->verdict == ACK || r->verdict == REFUSED) &&
                 r->watermark >= sequence;

    if (!sequence || slot == s->window)
        return STREAM_NOTHING;
    s->flying[slot] = 0;
    if (r->stream != s->id || r->sequence != sequence) {
        back_off(s, mono_ms, 0);
        return STREAM_NOTHING;
    }
    s->failures = 0;
    if (r->verdict == FORK && sequence == s->acked + 1)
        return STREAM_FORK;
    if (r->verdict == FORK) { /* what lies before it must be answered first */
        back_off(s, mono_ms, 0);
        return STREAM_NOTHING;
    }
    if (r->watermark < s->floor[slot]) {
        back_off(s, mono_ms, r->wait_ms);
        return STREAM_REWIND;
    }
    if (!known) {
        back_off(s, mono_ms, r->wait_ms);
        return STREAM_NOTHING;
    }
    if (r->verdict == ACK && sequence <= s->acked)
        return STREAM_NOTHING; /* overtaken */
    if (sequence > s->acked)
        advance(s, sequence);
    return r->verdict == ACK ? STREAM_ACK : STREAM_REFUSED;
}

bool stream_idle(const struct stream *s)
{
    uint32_t i;

    for (i = 0; i < s->window; i++)
        if (s->flying[i])
            return false;
    return s->acked + 1 == s->next;
}
