/* The people a view knows: dense numbers 0..count-1 with a record each, what
 * changed since the last checkpoint, and how that is saved. Unlike a dict it
 * can forget: the last subject takes the number of the one removed.
 *
 * Owned by one view; not thread-safe. */
#ifndef SOTTO_AGGREGATOR_VIEWS_SUBJECTS_H
#define SOTTO_AGGREGATOR_VIEWS_SUBJECTS_H

#include "aggregator/views/state.h"

#define SUBJECT_SIZE 16
#define SUBJECTS_MAX (UINT32_C(1) << 30)

struct subjects {
    uint8_t *keys;   /* SUBJECT_SIZE each */
    uint8_t *rows;   /* row_size each */
    uint8_t *dirty;  /* a bit each */
    uint32_t *slots; /* number + 1, or 0 */
    uint32_t slot_count, count, capacity;
    size_t row_size;
    uint64_t seed;
    struct buf removed; /* keys removed since the last checkpoint */
};

void subjects_init(struct subjects *s, size_t row_size, uint64_t seed);
void subjects_fini(struct subjects *s); /* the rows' own memory is the view's */
uint32_t subjects_find(const struct subjects *s,
                       const uint8_t subject[SUBJECT_SIZE]);
/* Adds a zeroed row if it is new (*added) and marks it as changed. */
enum sotto_err subjects_intern(struct subjects *s,
                               const uint8_t subject[SUBJECT_SIZE],
                               uint32_t *number, bool *added);
void *subjects_row(const struct subjects *s, uint32_t number);
const uint8_t *subjects_key(const struct subjects *s, uint32_t number);
/* The row's own memory must be freed already. SOTTO_ENOMEM: nothing done. */
enum sotto_err subjects_remove(struct subjects *s, uint32_t number);

/* Writes the changed ones by rising key, each as encode makes it, and takes
 * the removed ones away; they count as saved after subjects_saved. */
enum sotto_err subjects_save(const struct subjects *s, struct state *st,
                             enum sotto_err (*encode)(void *context,
                                                      uint32_t number,
                                                      struct buf *out),
                             void *context);
void subjects_saved(struct subjects *s);
#define SUBJECTS_PREFIX 's'

#endif
