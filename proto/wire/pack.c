/* See pack.h. Everything that leaves goes through pack_write, so the limit of
 * the caller's buf holds for every value. */
#include "wire/pack.h"

#include <float.h>
#include <math.h>
#include <string.h>

static int pack_write(void *data, const char *bytes, size_t size)
{
    struct packer *p = data;

    if (!p->err)
        p->err = buf_append(p->out, bytes, size);
    return p->err ? -1 : 0;
}

void pack_init(struct packer *p, struct buf *out)
{
    p->out = out;
    p->err = SOTTO_OK;
    msgpack_packer_init(&p->to, p, pack_write);
}

/* msgpack counts with 32 bits. */
static bool pack_fits(struct packer *p, size_t size)
{
    if (size > UINT32_MAX && !p->err)
        p->err = SOTTO_ETOOBIG;
    return !p->err;
}

void pack_array(struct packer *p, size_t count)
{
    if (pack_fits(p, count))
        msgpack_pack_array(&p->to, count);
}

void pack_map(struct packer *p, size_t count)
{
    if (pack_fits(p, count))
        msgpack_pack_map(&p->to, count);
}

void pack_uint(struct packer *p, uint64_t value)
{
    msgpack_pack_uint64(&p->to, value);
}

void pack_int(struct packer *p, int64_t value)
{
    msgpack_pack_int64(&p->to, value);
}

void pack_real(struct packer *p, double value)
{
    bool narrow =
        fabs(value) <= (double)FLT_MAX && (double)(float)value == value;

    if (narrow)
        msgpack_pack_float(&p->to, (float)value);
    else
        msgpack_pack_double(&p->to, value);
}

void pack_bool(struct packer *p, bool value)
{
    if (value)
        msgpack_pack_true(&p->to);
    else
        msgpack_pack_false(&p->to);
}

void pack_nil(struct packer *p)
{
    msgpack_pack_nil(&p->to);
}

void pack_bin(struct packer *p, struct span bytes)
{
    if (!pack_fits(p, bytes.size))
        return;
    msgpack_pack_bin(&p->to, bytes.size);
    if (bytes.size)
        msgpack_pack_bin_body(&p->to, bytes.data, bytes.size);
}

void pack_text(struct packer *p, struct span text)
{
    if (!pack_fits(p, text.size))
        return;
    msgpack_pack_str(&p->to, text.size);
    if (text.size)
        msgpack_pack_str_body(&p->to, text.data, text.size);
}

enum sotto_err unpack_open(struct unpacked *u, struct span bytes,
                           const struct check_limits *limits)
{
    enum sotto_err err = check_msgpack(bytes, limits);
    size_t at = 0;
    msgpack_unpack_return got;

    u->zone = NULL;
    if (err)
        return err;
    u->zone = msgpack_zone_new(MSGPACK_ZONE_CHUNK_SIZE);
    if (!u->zone)
        return SOTTO_ENOMEM;
    got = msgpack_unpack((const char *)bytes.data, bytes.size, &at, u->zone,
                         &u->root);
    if (got == MSGPACK_UNPACK_SUCCESS)
        return SOTTO_OK;
    unpack_close(u);
    return got == MSGPACK_UNPACK_NOMEM_ERROR ? SOTTO_ENOMEM : SOTTO_EDECODE;
}

void unpack_close(struct unpacked *u)
{
    if (u->zone)
        msgpack_zone_free(u->zone);
    u->zone = NULL;
}

enum sotto_err get_array(const msgpack_object *o, uint32_t min, uint32_t max,
                         const msgpack_object **items, uint32_t *count)
{
    if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size < min ||
        o->via.array.size > max)
        return SOTTO_EDECODE;
    *items = o->via.array.ptr;
    *count = o->via.array.size;
    return SOTTO_OK;
}

enum sotto_err get_uint(const msgpack_object *o, uint64_t max, uint64_t *value)
{
    if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER || o->via.u64 > max)
        return SOTTO_EDECODE;
    *value = o->via.u64;
    return SOTTO_OK;
}

enum sotto_err get_int(const msgpack_object *o, int64_t *value)
{
    if (o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
        *value = o->via.i64;
    else if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER &&
             o->via.u64 <= INT64_MAX)
        *value = (int64_t)o->via.u64;
    else
        return SOTTO_EDECODE;
    return SOTTO_OK;
}

enum sotto_err get_real(const msgpack_object *o, double *value)
{
    if (o->type != MSGPACK_OBJECT_FLOAT32 && o->type != MSGPACK_OBJECT_FLOAT64)
        return SOTTO_EDECODE;
    *value = o->via.f64;
    return SOTTO_OK;
}

enum sotto_err get_bool(const msgpack_object *o, bool *value)
{
    if (o->type != MSGPACK_OBJECT_BOOLEAN)
        return SOTTO_EDECODE;
    *value = o->via.boolean;
    return SOTTO_OK;
}

enum sotto_err get_bin(const msgpack_object *o, size_t max, struct span *bytes)
{
    if (o->type != MSGPACK_OBJECT_BIN || o->via.bin.size > max)
        return SOTTO_EDECODE;
    *bytes = span_of(o->via.bin.ptr, o->via.bin.size);
    return SOTTO_OK;
}

enum sotto_err get_fixed(const msgpack_object *o, void *out, size_t size)
{
    struct span bytes;
    enum sotto_err err = get_bin(o, size, &bytes);

    if (err)
        return err;
    if (bytes.size != size)
        return SOTTO_EDECODE;
    if (size)
        memcpy(out, bytes.data, size);
    return SOTTO_OK;
}

enum sotto_err get_text(const msgpack_object *o, size_t max, struct span *text)
{
    if (o->type != MSGPACK_OBJECT_STR || o->via.str.size > max)
        return SOTTO_EDECODE;
    if (o->via.str.size && memchr(o->via.str.ptr, 0, o->via.str.size))
        return SOTTO_EDECODE;
    *text = span_of(o->via.str.ptr, o->via.str.size);
    return SOTTO_OK;
}
