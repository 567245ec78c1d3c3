/* See cursor.h: source, row, running hash, done, count, then per reason: name
 * length, name, count. */
#include "agent/cursor.h"

#include <stddef.h>
#include <string.h>

#define HEAD_SIZE (16 + 8 + 16 + 1 + 1)

static void put_u64(uint8_t *out, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t take_u64(const uint8_t *in)
{
    uint64_t value = 0;

    for (int i = 0; i < 8; i++)
        value |= (uint64_t)in[i] << (8 * i);
    return value;
}

size_t cursor_encode(const struct import_cursor *c,
                     uint8_t out[CURSOR_BYTES_MAX])
{
    uint8_t *at = out;

    memcpy(at, c->source, 16);
    put_u64(at + 16, c->row);
    memcpy(at + 24, c->running, 16);
    at[40] = c->done;
    at[41] = c->reason_count;
    at += HEAD_SIZE;
    for (uint32_t i = 0; i < c->reason_count; i++) {
        size_t size = strlen(c->reasons[i].name);
        *at++ = (uint8_t)size;
        memcpy(at, c->reasons[i].name, size);
        put_u64(at + size, c->reasons[i].count);
        at += size + 8;
    }
    return (size_t)(at - out);
}

void cursor_copy(struct import_cursor *to, const struct import_cursor *from)
{
    memcpy(to, from,
           offsetof(struct import_cursor, reasons) +
               from->reason_count * sizeof from->reasons[0]);
}

enum sotto_err cursor_decode(struct import_cursor *c, struct span bytes)
{
    const uint8_t *at = bytes.data, *end;

    memset(c, 0, sizeof *c);
    if (bytes.size < HEAD_SIZE || at[41] > CURSOR_REASONS_MAX)
        return SOTTO_EDECODE;
    end = at + bytes.size;
    memcpy(c->source, at, 16);
    c->row = take_u64(at + 16);
    memcpy(c->running, at + 24, 16);
    c->done = at[40];
    c->reason_count = at[41];
    at += HEAD_SIZE;
    for (uint32_t i = 0; i < c->reason_count; i++) {
        size_t size = at < end ? *at++ : SIZE_MAX;
        if (size > COUNTER_NAME_MAX || (size_t)(end - at) < size + 8 ||
            !counter_name_ok(span_of(at, size)))
            return SOTTO_EDECODE;
        memcpy(c->reasons[i].name, at, size);
        c->reasons[i].count = take_u64(at + size);
        at += size + 8;
    }
    return at == end ? SOTTO_OK : SOTTO_EDECODE;
}
