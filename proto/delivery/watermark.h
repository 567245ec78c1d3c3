/* The aggregator's side of delivery: what an envelope is, given what is known
 * of its stream. No I/O. One struct an (agent, stream).
 *
 *   sequence <= upto, same chain   DUPLICATE  acknowledge again
 *   sequence <= upto, other chain  FORK       last common below it
 *   sequence == upto + 1           NEXT, if its chain follows; else FORK
 *   up to WATERMARK_EARLY beyond   EARLY      hold it (contexts reorder)
 *   further                        GAP        retry from upto
 *
 * A held envelope whose predecessor does not come within WATERMARK_HOLD_MS is
 * let go and answered with a retry from upto: after a restore the agent
 * believes the predecessor acknowledged, and only that answer tells it. */
#ifndef SOTTO_DELIVERY_WATERMARK_H
#define SOTTO_DELIVERY_WATERMARK_H

#include "base/buf.h"

#define WATERMARK_EARLY 8
#define WATERMARK_HOLD_MS 1000 /* below the time-out of a request */

struct watermark {
    uint64_t stream;
    uint64_t upto;      /* decided: taken into a group that commits in order */
    uint8_t chain[32];  /* after upto */
    uint64_t committed; /* durable; what an acknowledgement may say */
};

enum watermark_verdict {
    WATERMARK_NEXT,
    WATERMARK_DUPLICATE,
    WATERMARK_EARLY_HOLD,
    WATERMARK_GAP,
    WATERMARK_FORK,
};

/* known: chain stored for sequence when sequence <= upto (NULL: forgotten,
 * which counts as the same). follows: BLAKE2b(previous chain | H(body)) as
 * computed by the caller from w->chain and the body; used for NEXT only. */
enum watermark_verdict watermark_decide(const struct watermark *w,
                                        uint64_t sequence,
                                        const uint8_t chain[32],
                                        const uint8_t *known,
                                        const uint8_t *follows);
/* Takes NEXT. */
void watermark_take(struct watermark *w, uint64_t sequence,
                    const uint8_t chain[32]);
/* A commit failed: forget what was taken above committed. */
void watermark_rollback(struct watermark *w, const uint8_t chain[32]);

#endif
