/* Writing and reading msgpack: a thin layer over msgpack-c that keeps the
 * first error, so that a sequence of packs needs one test at its end. */
#ifndef SOTTO_WIRE_PACK_H
#define SOTTO_WIRE_PACK_H

#include "wire/check.h"

#include <msgpack.h>

struct packer {
    msgpack_packer to; /* writes into out through a callback */
    struct buf *out;
    enum sotto_err err; /* the first one */
};

void pack_init(struct packer *p, struct buf *out); /* out stays the caller's */
void pack_array(struct packer *p, size_t count);
void pack_map(struct packer *p, size_t count);
void pack_uint(struct packer *p, uint64_t value);
void pack_int(struct packer *p, int64_t value);
void pack_real(struct packer *p, double value);
void pack_bool(struct packer *p, bool value);
void pack_nil(struct packer *p);
void pack_bin(struct packer *p, struct span bytes);
void pack_text(struct packer *p, struct span text);

/* An unpacked value: the objects borrow from bytes and from the zone. */
struct unpacked {
    msgpack_zone *zone;
    msgpack_object root;
};

/* Checks, then unpacks. SOTTO_EDECODE, SOTTO_ETOOBIG, SOTTO_ENOMEM. */
enum sotto_err unpack_open(struct unpacked *u, struct span bytes,
                           const struct check_limits *limits);
void unpack_close(struct unpacked *u);

/* Typed reads; SOTTO_EDECODE when the object is something else. get_array
 * accepts min..max entries, so that a reader takes what a newer writer added
 * and fills what an older one did not send. */
enum sotto_err get_array(const msgpack_object *o, uint32_t min, uint32_t max,
                         const msgpack_object **items, uint32_t *count);
enum sotto_err get_uint(const msgpack_object *o, uint64_t max, uint64_t *value);
enum sotto_err get_int(const msgpack_object *o, int64_t *value);
enum sotto_err get_real(const msgpack_object *o, double *value);
enum sotto_err get_bool(const msgpack_object *o, bool *value);
enum sotto_err get_bin(const msgpack_object *o, size_t max, struct span *bytes);
/* Exactly size bytes, copied. */
enum sotto_err get_fixed(const msgpack_object *o, void *out, size_t size);
/* UTF-8 not required; no zero bytes inside. */
enum sotto_err get_text(const msgpack_object *o, size_t max, struct span *text);

#endif
