/* What people did at this device a moment ago: per pseudonym the last items,
 * until a list arrives that was made with them. In memory only.
 *
 * Bounded: RECENTS_SUBJECTS people (who was seen least recently makes room)
 * with RECENTS_ITEMS different items each, of long names as many as
 * RECENTS_BYTES hold (the oldest makes room), of RECENTS_STREAMS streams (one
 * more forgets everybody: a stream ends only when the agent was forked). One
 * thread changes it; the owner's lock keeps readers apart. */
#ifndef SOTTO_AGENT_RECENTS_H
#define SOTTO_AGENT_RECENTS_H

#include "base/buf.h"

#define RECENTS_SUBJECTS 4096
#define RECENTS_ITEMS 16
#define RECENTS_BYTES 512 /* a person: 16 items of 26 bytes, 7 of 64 */
#define RECENTS_STREAMS 64
#define RECENT_ITEM_MAX 64 /* bytes; longer items are nobody's answer */
#define RECENT_SUBJECT_SIZE 16

struct recent {
    uint64_t stream, sequence; /* the batch it left in */
    uint64_t after; /* number of the newest document applied by then */
    uint8_t size;
    bool bought;
    char item[RECENT_ITEM_MAX]; /* size bytes */
};

static inline struct span recent_item(const struct recent *r)
{
    return span_of(r->item, r->size);
}
/* Whether item was bought in one of them. */
bool recents_bought(const struct recent *recents, uint32_t count,
                    struct span item);

/* What a list knows: batches of its stream up to sequence, and whatever
 * happened before document number was applied. */
struct coverage {
    uint64_t stream, sequence, number;
};
bool recent_covered(const struct recent *r, const struct coverage *by);

struct recents;
enum sotto_err recents_open(struct recents **out); /* SOTTO_ENOMEM */
void recents_close(struct recents *r);             /* wipes; accepts NULL */

/* An item that is there already becomes the newest; once bought, always. An
 * item that is empty or too long is not kept. */
void recents_add(struct recents *r, const uint8_t *subject,
                 const struct recent *seen);
/* Up to RECENTS_ITEMS, newest first, copied; how many. */
uint32_t recents_get(const struct recents *r, const uint8_t *subject,
                     struct recent out[RECENTS_ITEMS]);
void recents_forget(struct recents *r, const uint8_t *subject);

/* Changes that wait for the transaction of the documents they come from:
 * planned without the lock, then settled under it: done, or undone. */
void recents_plan_cover(struct recents *r, const uint8_t *subject,
                        const struct coverage *by);
void recents_plan_forget(struct recents *r, const uint8_t *subject);
void recents_settle(struct recents *r, bool done);

#endif
