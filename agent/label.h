/* Labels for people: texts of fixed size, cut at a whole character. */
#ifndef SOTTO_AGENT_LABEL_H
#define SOTTO_AGENT_LABEL_H

#include <string.h>

#include "base/buf.h"

/* out holds out_size bytes, at least 1, and ends with a zero. */
static inline void label_copy(char *out, size_t out_size, struct span text)
{
    size_t size = text.size < out_size ? text.size : out_size - 1;

    while (size && size < text.size && (text.data[size] & 0xc0) == 0x80)
        size--; /* the cut would leave half of a UTF-8 character */
    if (size)
        memcpy(out, text.data, size);
    out[size] = '\0';
}

#endif
