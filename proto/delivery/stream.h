/* The agent's side of delivery: which sequence to send now, and what a reply
 * means. No I/O, no clock: time comes in, decisions come out.
 *
 * Up to `window` sequences are in flight. A reply acknowledges its sequence, and
 * with it everything before, for its chain covers that; a retry goes back to
 * what is acknowledged and waits; a fork or a refusal is told to the owner. A sequence whose request timed out is simply offered again; a resend
 * is byte-identical because the owner reads it from the spool. */
#ifndef SOTTO_DELIVERY_STREAM_H
#define SOTTO_DELIVERY_STREAM_H

#include "base/buf.h"

#define STREAM_WINDOW_MAX 8

struct stream {
    uint64_t id;
    uint64_t acked;   /* everything up to it is committed over there */
    uint64_t next;    /* sequence the next envelope will get; all below exist */
    uint64_t sending; /* next sequence to offer */
    uint64_t flying[STREAM_WINDOW_MAX]; /* sequences in flight; 0: free */
    uint64_t floor[STREAM_WINDOW_MAX];  /* acked when it was sent */
    uint32_t window;
    int64_t wait_until_ms; /* no offers before it (monotonic) */
    uint32_t failures;     /* in a row, for backoff */
};

enum stream_action {
    STREAM_NOTHING,
    STREAM_ACK,     /* spool_ack up to acked */
    STREAM_REWIND,  /* the aggregator is behind our mark: spool_rewind */
    STREAM_FORK,    /* open a new stream after acked, the last common one */
    STREAM_REFUSED, /* set sequence aside */
};

struct stream_reply { /* from a verified reply envelope */
    uint32_t verdict; /* enum verdict of wire/message.h, as a number */
    uint64_t stream, sequence, watermark;
    int64_t wait_ms;
};

void stream_init(struct stream *s, uint64_t id, uint64_t acked, uint64_t next,
                 uint32_t window);
/* A new envelope exists. */
void stream_added(struct stream *s, uint64_t next);
/* The sequence to send now, marked in flight; 0 for none. */
uint64_t stream_next(struct stream *s, int64_t mono_ms);
/* When stream_next may have something if nothing else happens; INT64_MAX. */
int64_t stream_wake_ms(const struct stream *s);
/* The request for sequence ended without a usable reply (timeout, connection,
 * bad signature): back to waiting, offered again after backoff_ms. */
void stream_failed(struct stream *s, uint64_t sequence, int64_t mono_ms,
                   int64_t backoff_ms);
/* A reply to the request for sequence. Replies of another stream are ignored
 * but free the slot; so are those for a sequence that is not in flight. A
 * watermark acknowledges nothing beyond the sequence it answers: after a restore
 * of ours it may stand for another history. A fork counts once everything before it is
 * acknowledged, so that the last common sequence is sure. Replies overtake each
 * other: only a watermark below what was acknowledged when the request
 * was sent means STREAM_REWIND. A refusal whose watermark does not cover the
 * sequence was not committed: it waits, as a retry does. */
enum stream_action stream_replied(struct stream *s, uint64_t sequence,
                                  const struct stream_reply *r,
                                  int64_t mono_ms);
bool stream_idle(const struct stream *s); /* nothing in flight or waiting */

#endif
