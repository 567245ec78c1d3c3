/* The sliding window. Invariant: bytes[start..end) is read and not eaten. What
 * a parser was given stays where it is until the next intake_window_ahead. */
#include "agent/intake_window.h"

#include <assert.h>
#include <string.h>

#define AHEAD_MIN (INTAKE_ROW_MAX + 2) /* a row and CR LF */

_Static_assert(INTAKE_WINDOW_SIZE >= 2 * AHEAD_MIN,
               "a window is moved seldom and by little");

void intake_window_init(struct intake_window *w, struct intake_source *source)
{
    w->source = source;
    w->start = w->end = 0;
    w->line = 1;
    w->ended = w->begun = w->in_long_line = false;
}

static enum sotto_err refill(struct intake_window *w, struct why *why)
{
    if (w->end - w->start >= AHEAD_MIN || w->ended)
        return SOTTO_OK;
    memmove(w->bytes, w->bytes + w->start, w->end - w->start);
    w->end -= w->start;
    w->start = 0;
    while (w->end < INTAKE_WINDOW_SIZE && !w->ended) {
        size_t size;
        enum sotto_err err =
            intake_source_read(&size, w->source, w->bytes + w->end,
                               INTAKE_WINDOW_SIZE - w->end, why);
        if (err)
            return err;
        w->end += size;
        w->ended = size == 0;
    }
    return SOTTO_OK;
}

/* Passes over what is left of a line that was too long. */
static enum sotto_err pass_long_line(struct intake_window *w, struct why *why)
{
    while (w->in_long_line) {
        const uint8_t *at = w->bytes + w->start;
        const uint8_t *lf = memchr(at, '\n', w->end - w->start);
        enum sotto_err err;

        if (lf) {
            intake_window_eat(w, (size_t)(lf - at) + 1, 1);
            w->in_long_line = false;
            break;
        }
        w->start = w->end;
        if (w->ended)
            w->in_long_line = false;
        err = refill(w, why);
        if (err)
            return err;
    }
    return SOTTO_OK;
}

enum sotto_err intake_window_ahead(struct span *rest, struct intake_window *w,
                                   struct why *why)
{
    enum sotto_err err = pass_long_line(w, why);

    if (!err)
        err = refill(w, why);
    if (err)
        return err;
    if (!w->begun && w->end >= 3 && memcmp(w->bytes, "\xef\xbb\xbf", 3) == 0)
        w->start = 3;
    w->begun = true;
    *rest = span_of(w->bytes + w->start, w->end - w->start);
    return SOTTO_OK;
}

void intake_window_eat(struct intake_window *w, size_t size, uint64_t lines)
{
    assert(size <= w->end - w->start);
    w->start += size;
    w->line += lines;
}

bool intake_window_line(struct span *line, struct intake_window *w)
{
    const uint8_t *at = w->bytes + w->start;
    size_t left = w->end - w->start;
    size_t looked = left < AHEAD_MIN ? left : AHEAD_MIN;
    const uint8_t *lf = memchr(at, '\n', looked);
    size_t size = lf ? (size_t)(lf - at) : looked;

    *line = span_of(at, size);
    if (lf && size > 0 && at[size - 1] == '\r')
        line->size--;
    if (line->size <= INTAKE_ROW_MAX && (lf || looked == left)) {
        intake_window_eat(w, lf ? size + 1 : size, lf ? 1 : 0);
        return true;
    }
    line->size = line->size < INTAKE_ROW_MAX ? line->size : INTAKE_ROW_MAX;
    intake_window_eat(w, line->size, 0);
    w->in_long_line = true;
    return false;
}
