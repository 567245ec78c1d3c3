/* Structure and size of untrusted msgpack, checked without allocation.
 *
 * msgpack-c believes claimed lengths: five bytes can make it reserve
 * gigabytes. No byte from outside reaches it before check_msgpack has walked
 * the whole value and found every claimed length inside the input. */
#ifndef SOTTO_WIRE_CHECK_H
#define SOTTO_WIRE_CHECK_H

#include "base/buf.h"

#define CHECK_DEPTH_MAX 32 /* msgpack-c holds no more */

struct check_limits {
    size_t bytes_max;   /* of the whole value */
    uint32_t depth_max; /* nesting; at most CHECK_DEPTH_MAX; [1] is 1 deep */
    uint64_t nodes_max; /* values of any kind, containers included */
};

/* SOTTO_OK if bytes hold exactly one msgpack value within the limits, nothing
 * trailing; SOTTO_ETOOBIG over a limit, SOTTO_EDECODE otherwise. Extension
 * types are refused: nothing of ours uses them. */
enum sotto_err check_msgpack(struct span bytes,
                             const struct check_limits *limits);

/* The same for the first of several values that follow one another: *size is
 * how many bytes it takes. */
enum sotto_err check_first(struct span bytes, const struct check_limits *limits,
                           size_t *size);

#endif
