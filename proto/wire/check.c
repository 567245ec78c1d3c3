/* See check.h. One loop over the bytes; the open containers are a stack of
 * how many values each still wants. Invariant: at <= bytes.size, and no
 * claimed length is used before it was compared with what is left. */
#include "wire/check.h"

#include <assert.h>

struct walk {
    struct span bytes;
    size_t at;
    const struct check_limits *limits;
    uint64_t nodes;
    uint32_t depth;
    uint64_t wanted[CHECK_DEPTH_MAX]; /* per open container */
};

enum shape {
    SHAPE_REFUSED, /* extensions, and 0xc1, which msgpack never uses */
    SHAPE_FIXED,   /* `size` bytes follow */
    SHAPE_BYTES,   /* a length of `size` bytes, then that many bytes */
    SHAPE_ARRAY,   /* a length of `size` bytes, then that many values */
    SHAPE_MAP,     /* the same, two values each */
};

/* The msgpack specification's first bytes from 0xc0 to 0xdf. */
static const struct {
    uint8_t shape;
    uint8_t size;
} heads[32] = {
    [0x00] = {SHAPE_FIXED, 0}, /* nil */
    [0x02] = {SHAPE_FIXED, 0}, /* false */
    [0x03] = {SHAPE_FIXED, 0}, /* true */
    [0x04] = {SHAPE_BYTES, 1}, /* bin */
    [0x05] = {SHAPE_BYTES, 2}, [0x06] = {SHAPE_BYTES, 4},
    [0x0a] = {SHAPE_FIXED, 4},                            /* float */
    [0x0b] = {SHAPE_FIXED, 8}, [0x0c] = {SHAPE_FIXED, 1}, /* uint */
    [0x0d] = {SHAPE_FIXED, 2}, [0x0e] = {SHAPE_FIXED, 4},
    [0x0f] = {SHAPE_FIXED, 8}, [0x10] = {SHAPE_FIXED, 1}, /* int */
    [0x11] = {SHAPE_FIXED, 2}, [0x12] = {SHAPE_FIXED, 4},
    [0x13] = {SHAPE_FIXED, 8}, [0x19] = {SHAPE_BYTES, 1}, /* str */
    [0x1a] = {SHAPE_BYTES, 2}, [0x1b] = {SHAPE_BYTES, 4},
    [0x1c] = {SHAPE_ARRAY, 2}, [0x1d] = {SHAPE_ARRAY, 4},
    [0x1e] = {SHAPE_MAP, 2},   [0x1f] = {SHAPE_MAP, 4},
};

static enum sotto_err walk_skip(struct walk *w, uint64_t size)
{
    if (size > w->bytes.size - w->at)
        return SOTTO_EDECODE;
    w->at += (size_t)size;
    return SOTTO_OK;
}

/* A big-endian number of size bytes. */
static enum sotto_err walk_length(struct walk *w, uint32_t size,
                                  uint64_t *value)
{
    size_t from = w->at;
    enum sotto_err err = walk_skip(w, size);

    *value = 0;
    for (; !err && from < w->at; from++)
        *value = *value << 8 | w->bytes.data[from];
    return err;
}

/* A value takes at least a byte, so more values than bytes left is a lie. */
static enum sotto_err walk_container(struct walk *w, uint64_t values)
{
    if (values > w->bytes.size - w->at)
        return SOTTO_EDECODE;
    if (w->depth == w->limits->depth_max)
        return SOTTO_ETOOBIG;
    w->wanted[w->depth++] = values;
    return SOTTO_OK;
}

static enum sotto_err walk_shape(struct walk *w, uint8_t shape, uint32_t size)
{
    uint64_t length;
    enum sotto_err err;

    if (shape == SHAPE_REFUSED)
        return SOTTO_EDECODE;
    if (shape == SHAPE_FIXED)
        return walk_skip(w, size);
    err = walk_length(w, size, &length);
    if (err)
        return err;
    if (shape == SHAPE_BYTES)
        return walk_skip(w, length);
    return walk_container(w, shape == SHAPE_MAP ? 2 * length : length);
}

/* One value without what is inside it. */
static enum sotto_err walk_value(struct walk *w)
{
    uint8_t head;

    if (w->at == w->bytes.size)
        return SOTTO_EDECODE;
    if (w->nodes == w->limits->nodes_max)
        return SOTTO_ETOOBIG;
    w->nodes++;
    head = w->bytes.data[w->at++];
    if (head < 0x80 || head >= 0xe0) /* small integers */
        return SOTTO_OK;
    if (head < 0x90)
        return walk_container(w, 2 * (uint64_t)(head & 0x0f));
    if (head < 0xa0)
        return walk_container(w, head & 0x0f);
    if (head < 0xc0)
        return walk_skip(w, head & 0x1f);
    return walk_shape(w, heads[head - 0xc0].shape, heads[head - 0xc0].size);
}

enum sotto_err check_first(struct span bytes, const struct check_limits *limits,
                           size_t *size)
{
    struct walk w = {.bytes = bytes, .limits = limits};

    assert(limits->depth_max <= CHECK_DEPTH_MAX);
    do {
        enum sotto_err err;

        if (w.depth)
            w.wanted[w.depth - 1]--;
        err = walk_value(&w);
        if (err)
            return err;
        if (w.at > limits->bytes_max)
            return SOTTO_ETOOBIG;
        while (w.depth && w.wanted[w.depth - 1] == 0)
            w.depth--;
    } while (w.depth);
    *size = w.at;
    return SOTTO_OK;
}

enum sotto_err check_msgpack(struct span bytes,
                             const struct check_limits *limits)
{
    size_t size;
    enum sotto_err err;

    if (bytes.size > limits->bytes_max)
        return SOTTO_ETOOBIG;
    err = check_first(bytes, limits, &size);
    if (err)
        return err;
    return size == bytes.size ? SOTTO_OK : SOTTO_EDECODE;
}
