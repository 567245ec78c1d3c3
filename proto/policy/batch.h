/* The body of a batch: events of one policy, column by column.
 *
 *   msgpack array:
 *     body version,
 *     counters: [produced, accepted, fields_emptied, [[name, count]...]],
 *     identities: bin of 16-byte pseudonyms, each once,
 *     texts: [text...] of all columns, each once,
 *     order: bin, a byte per event in the order they were taken: its index,
 *     consent sets: [set...], numbers of the set of each event,
 *     for each event type present, rising: [column...], a column for each
 *     field in the policy's order, over the events of that type:
 *       nil                                  nobody has a value
 *       [presence, numbers]                  text: into texts; id: into
 *                                            identities; bucket: into edges
 *       [presence, base, scale, numbers]     value = base + scale * number;
 *                                            time: the difference from the
 *                                            value before, zigzag; a token:
 *                                            its 8 bytes as an i64, LE
 *     presence is a bin of bits, lowest first; empty: all have a value.
 *     numbers is a bin of w bytes per value, w = 0..8 as the largest needs;
 *     first the lowest bytes of all values, then the next, and so on: high
 *     bytes, mostly zero, lie together and cost next to nothing after zstd.
 *
 * Field names never travel; no random number does. */
#ifndef SOTTO_POLICY_BATCH_H
#define SOTTO_POLICY_BATCH_H

#include "policy/event.h"
#include "policy/reason.h"

#define BATCH_VERSION 1
#define BATCH_EVENTS_MAX 20000
#define BATCH_BYTES_MAX ((size_t)64 * 1024 * 1024) /* of an encoded body */

struct batch; /* being filled; one allocation at open, none per event */

/* events_max and bytes_max size it for good: texts take at most half of the
 * bytes, values (8 bytes each) the other half; twice events_max texts and
 * pseudonyms. One event of any policy always fits an empty batch. SOTTO_EINVAL
 * for events_max of 0 or over BATCH_EVENTS_MAX or bytes_max over
 * BATCH_BYTES_MAX; SOTTO_ENOMEM. */
enum sotto_err batch_open(struct batch **out, uint32_t events_max,
                          size_t bytes_max);
void batch_close(struct batch *b); /* accepts NULL */
/* Empties it for events of p, which must outlive its use. */
void batch_begin(struct batch *b, const struct policy *p);
/* Copies what it needs. SOTTO_EFULL: close this one first; nothing of the
 * event was kept. SOTTO_EINVAL: it does not fit the policy
 * (event_value_fits). */
enum sotto_err batch_add(struct batch *b, const struct event *ev);
uint32_t batch_count(const struct batch *b);
/* Appends the body to out, at most bytes_max + 64 bytes an event and some for
 * the columns. A batch of no events carries just counters. Uses scratch memory
 * of b: one thread. */
enum sotto_err batch_encode(const struct batch *b, const struct counters *c,
                            struct buf *out);

struct batch_view; /* a decoded body */

/* Checks everything: lengths, indexes, types against p. The view borrows from
 * body and p. SOTTO_EDECODE, SOTTO_EVERSION, SOTTO_ETOOBIG, SOTTO_ENOMEM. */
enum sotto_err batch_decode(struct batch_view **out, struct span body,
                            const struct policy *p);
void batch_view_free(struct batch_view *v);
uint32_t batch_view_count(const struct batch_view *v);
const struct counters *batch_view_counters(const struct batch_view *v);
/* Distinct pseudonyms: count * 16 bytes. */
struct span batch_view_identities(const struct batch_view *v);
/* Event i in order; texts borrow from the body. */
void batch_view_event(const struct batch_view *v, uint32_t i,
                      struct event *ev);

#endif
