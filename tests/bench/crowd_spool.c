/* See crowd_spool.h. */
#include "crowd_spool.h"

#include <stdlib.h>
#include <string.h>

void crowd_spool_init(struct spool *s, uint64_t stream,
                      void (*acked)(void *owner, const struct crowd_row *row),
                      void *owner)
{
    memset(s, 0, sizeof *s);
    s->state.stream = stream;
    s->state.next_sequence = 1;
    s->acked = acked;
    s->owner = owner;
}

enum sotto_err crowd_spool_put(struct spool *s, const struct crowd_row *row,
                               const uint8_t chain[HASH_SIZE])
{
    uint32_t capacity = s->capacity ? s->capacity * 2 : 2;
    struct crowd_row *rows;

    if (s->count == s->capacity) {
        rows = realloc(s->rows, capacity * sizeof *rows);
        if (!rows)
            return SOTTO_ENOMEM;
        s->rows = rows;
        s->capacity = capacity;
    }
    s->rows[s->count] = *row;
    memcpy(s->rows[s->count++].chain, chain, HASH_SIZE);
    s->state.next_sequence++;
    memcpy(s->state.chain, chain, HASH_SIZE);
    s->state.accepted += row->events;
    s->state.waiting_rows++;
    s->state.waiting_events += row->events;
    s->state.waiting_bytes += row->envelope.size;
    return SOTTO_OK;
}

/* ---- agent/spool.h ---- */

const struct spool_state *spool_state(const struct spool *s)
{
    return &s->state;
}

uint64_t spool_first(const struct spool *s)
{
    return s->state.acked + 1; /* nothing is kept for replay */
}

enum sotto_err spool_get(struct spool *s, uint64_t sequence,
                         struct spool_row *row, struct buf *out)
{
    const struct crowd_row *r;

    if (sequence <= s->state.acked || sequence >= s->state.next_sequence)
        return SOTTO_ENOTFOUND;
    r = &s->rows[sequence - s->state.acked - 1];
    *row = (struct spool_row){.stream = s->state.stream,
                              .sequence = sequence,
                              .kind = KIND_BATCH,
                              .events = r->events};
    buf_clear(out);
    return buf_append(out, r->envelope.data, r->envelope.size);
}

enum sotto_err spool_ack(struct spool *s, uint64_t watermark, int64_t now_ms)
{
    uint32_t gone = 0;

    (void)now_ms;
    while (s->state.acked < watermark && gone < s->count) {
        struct crowd_row *r = &s->rows[gone++];
        s->acked(s->owner, r);
        s->state.acked++; /* a poll says so, and by which chain */
        memcpy(s->state.acked_chain, r->chain, HASH_SIZE);
        s->state.acked_events += r->events;
        s->state.waiting_rows--;
        s->state.waiting_events -= r->events;
        s->state.waiting_bytes -= r->envelope.size;
        buf_fini(&r->envelope);
    }
    s->count -= gone;
    memmove(s->rows, s->rows + gone, s->count * sizeof *s->rows);
    return SOTTO_OK;
}

enum sotto_err spool_refused(struct spool *s, uint64_t sequence,
                             const char *reason, int64_t now_ms)
{
    (void)reason;
    s->refused++;
    return spool_ack(s, sequence, now_ms);
}

enum sotto_err spool_rewind(struct spool *s, uint64_t watermark,
                            uint64_t *missing)
{
    *missing = s->state.acked - watermark;
    s->lost_history++;
    return SOTTO_EIO;
}

enum sotto_err spool_fork(struct spool *s, uint64_t new_stream,
                          const struct spool_rewrite *rewrite)
{
    (void)new_stream;
    (void)rewrite;
    s->lost_history++;
    return SOTTO_EIO;
}
