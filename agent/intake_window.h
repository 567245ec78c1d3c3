/* A window that slides over a source: rows are taken apart where they lie.
 *
 * Before a row is looked at, the window holds at least one whole row of the
 * greatest size, or all that is left of the source. So a parser never stops in
 * the middle and copies nothing. Memory is fixed. A UTF-8 byte order mark at
 * the beginning is passed over. */
#ifndef SOTTO_AGENT_INTAKE_WINDOW_H
#define SOTTO_AGENT_INTAKE_WINDOW_H

#include "agent/intake_source.h"

#define INTAKE_ROW_MAX (64u * 1024) /* bytes, line end not counted */
#define INTAKE_WINDOW_SIZE (256u * 1024)

struct intake_window {
    struct intake_source *source; /* the caller's */
    size_t start, end;            /* what is not yet eaten */
    uint64_t line;                /* where start is, from 1 */
    bool ended;                   /* the source has no more than this */
    bool begun;                   /* the byte order mark is behind us */
    bool in_long_line;            /* start is in a line that was cut */
    uint8_t bytes[INTAKE_WINDOW_SIZE];
};

void intake_window_init(struct intake_window *w, struct intake_source *source);

/* Moves on until the next row lies in the window; *rest is from its first byte
 * on, empty at the end of the source. It holds at least INTAKE_ROW_MAX + 2
 * bytes unless the source ends with it. Errors are intake_source_read's. */
enum sotto_err intake_window_ahead(struct span *rest, struct intake_window *w,
                                   struct why *why);

/* Eats size bytes of what lies ahead, which lines line ends stand in. */
void intake_window_eat(struct intake_window *w, size_t size, uint64_t lines);

/* Eats one line of what lies ahead and gives it without its end (LF or CR LF).
 * Of a line over INTAKE_ROW_MAX it gives that many bytes and false; the next
 * intake_window_ahead passes over the remainder. */
bool intake_window_line(struct span *line, struct intake_window *w);

#endif
