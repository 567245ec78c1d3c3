/* A byte buffer with a limit: grows up to max, never beyond.
 *
 * Every buffer that holds bytes from outside states its limit at init, so no
 * length from a stranger decides how much memory is reserved. Not thread-safe;
 * the owner frees it. A zeroed struct with max set is a valid empty buffer. */
#ifndef SOTTO_BASE_BUF_H
#define SOTTO_BASE_BUF_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buf {
    uint8_t *data;
    size_t size;
    size_t capacity;
    size_t max;
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);  /* frees; the struct is empty again */
void buf_wipe(struct buf *b);  /* zeroes the memory first, then frees */
void buf_clear(struct buf *b); /* size 0, memory kept */

/* SOTTO_ETOOBIG over max, SOTTO_ENOMEM; the contents are unchanged then. The
 * bytes appended must not lie in b itself. A buffer for secrets is reserved
 * whole before the first byte: growing leaves a copy behind. */
enum sotto_err buf_reserve(struct buf *b, size_t more);
static inline enum sotto_err buf_append(struct buf *b, const void *bytes,
                                        size_t size)
{
    if (size > b->capacity - b->size || b->size + size > b->max) {
        enum sotto_err err = buf_reserve(b, size);

        if (err)
            return err;
    }
    if (size > 0) {
        memcpy(b->data + b->size, bytes, size);
        b->size += size;
    }
    return SOTTO_OK;
}

/* Reads a whole file of at most b->max bytes, replacing the contents;
 * SOTTO_EIO, SOTTO_ENOTFOUND, SOTTO_ETOOBIG, SOTTO_ENOMEM leave b empty. */
enum sotto_err buf_read_file(struct buf *b, const char *path);

/* Writes a file so that it is whole or absent after a crash: a temporary
 * beside it (mode), fdatasync, rename, fsync of the directory. On failure the
 * old file is still there: SOTTO_EFULL (disk), SOTTO_ENOTFOUND (directory),
 * SOTTO_EIO, SOTTO_ENOMEM. Only a failed fsync of the directory, SOTTO_EIO,
 * comes after the new file is in place. */
enum sotto_err file_replace(const char *path, const void *bytes, size_t size,
                            unsigned mode);

/* A view of bytes that somebody else owns. */
struct span {
    const uint8_t *data;
    size_t size;
};
static inline struct span span_of(const void *data, size_t size)
{
    struct span s = {(const uint8_t *)data, size};
    return s;
}
static inline struct span span_text(const char *text) /* without the zero */
{
    return span_of(text, strlen(text));
}
/* What is compared here often begins alike and ends apart: paths, numbered
 * items. So the last byte goes first. */
static inline bool span_equal(struct span a, struct span b)
{
    return a.size == b.size &&
           (a.size == 0 || (a.data[a.size - 1] == b.data[a.size - 1] &&
                            memcmp(a.data, b.data, a.size) == 0));
}

#endif
