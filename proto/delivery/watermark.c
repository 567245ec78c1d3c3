/* See watermark.h. Invariant: committed <= upto. */
#include "delivery/watermark.h"

#include <assert.h>
#include <string.h>

#define CHAIN_SIZE sizeof(((struct watermark *)0)->chain)

enum watermark_verdict watermark_decide(const struct watermark *w,
                                        uint64_t sequence,
                                        const uint8_t chain[32],
                                        const uint8_t *known,
                                        const uint8_t *follows)
{
    if (!sequence) /* they start at 1 */
        return WATERMARK_GAP;
    if (sequence <= w->upto)
        return known && memcmp(known, chain, CHAIN_SIZE) ? WATERMARK_FORK
                                                         : WATERMARK_DUPLICATE;
    if (sequence - w->upto == 1)
        return memcmp(follows, chain, CHAIN_SIZE) ? WATERMARK_FORK
                                                  : WATERMARK_NEXT;
    return sequence - w->upto <= WATERMARK_EARLY ? WATERMARK_EARLY_HOLD
                                                 : WATERMARK_GAP;
}

void watermark_take(struct watermark *w, uint64_t sequence,
                    const uint8_t chain[32])
{
    assert(sequence == w->upto + 1);
    w->upto = sequence;
    memcpy(w->chain, chain, CHAIN_SIZE);
}

void watermark_rollback(struct watermark *w, const uint8_t chain[32])
{
    w->upto = w->committed;
    memcpy(w->chain, chain, CHAIN_SIZE);
}
