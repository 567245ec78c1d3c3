/* Byte strings <-> dense numbers 0..count-1, in order of first appearance.
 *
 * The dictionary of a batch, the subjects of a view and the items of a model
 * are all this. Keys are copied in; looking one up again is one probe.
 * Bounded by count and bytes. Not thread-safe. */
#ifndef SOTTO_BASE_DICT_H
#define SOTTO_BASE_DICT_H

#include "base/buf.h"

struct dict {
    struct buf bytes;    /* all keys, one after the other */
    uint64_t *ends;      /* ends[i]: where key i ends in bytes */
    uint32_t *slots;     /* open addressing: number + 1, or 0 */
    uint32_t slot_count; /* a power of two, or 0 before first use */
    uint32_t count;
    uint32_t count_max;
    uint32_t capacity; /* of ends */
    uint64_t seed;     /* of the hash; chosen by the owner */
};

#define DICT_NONE UINT32_MAX

void dict_init(struct dict *d, uint32_t count_max, size_t bytes_max,
               uint64_t seed);
void dict_fini(struct dict *d);
void dict_clear(struct dict *d); /* empty, memory kept */

/* The number of key, added if it is new. SOTTO_EFULL at a limit (nothing is
 * added), SOTTO_ENOMEM. */
enum sotto_err dict_intern(struct dict *d, struct span key, uint32_t *number);

/* The number of key, or DICT_NONE. */
uint32_t dict_find(const struct dict *d, struct span key);

/* The key of a number below count; valid until the next dict_intern. */
struct span dict_key(const struct dict *d, uint32_t number);

/* The hash used: seeded, not cryptographic. For tables and checksums. */
uint64_t hash64(const void *bytes, size_t size, uint64_t seed);

#endif
