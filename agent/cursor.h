/* Bytes of an import cursor, as they lie in the ring and in the spool. */
#ifndef SOTTO_AGENT_CURSOR_H
#define SOTTO_AGENT_CURSOR_H

#include "agent/import.h"

#define CURSOR_BYTES_MAX (48 + CURSOR_REASONS_MAX * (COUNTER_NAME_MAX + 10))

/* Fixed little-endian form, no allocation; returns the size. */
size_t cursor_encode(const struct import_cursor *c,
                     uint8_t out[CURSOR_BYTES_MAX]);
enum sotto_err cursor_decode(struct import_cursor *c, struct span bytes);
/* Copies without the reasons that are not there: a cursor comes with every row,
 * and has seldom any. */
void cursor_copy(struct import_cursor *to, const struct import_cursor *from);

#endif
