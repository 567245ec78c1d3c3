/* What fuzz targets share. A broken property aborts, whatever NDEBUG says. */
#ifndef SOTTO_FUZZ_H
#define SOTTO_FUZZ_H

#include <stdlib.h>

#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void expect(bool holds)
{
    if (!holds)
        abort();
}

static inline struct span fuzz_bytes(const struct buf *b)
{
    return span_of(b->data, b->size);
}

#endif
