/* The checkpoint of a view: sealed rows by key in view_state. The key is
 * repeated inside what is sealed, so a row that was moved does not open. A
 * key never holds a pseudonym in clear (see subjects.c). */
#ifndef SOTTO_AGGREGATOR_VIEWS_STATE_H
#define SOTTO_AGGREGATOR_VIEWS_STATE_H

#include "aggregator/store.h"
#include "base/dict.h"
#include "wire/pack.h"

#define STATE_KEY_MAX 32
#define STATE_ROW_MAX ((size_t)64 * 1024 * 1024)

struct state {
    struct store *store;
    const char *view;
    struct buf plain, sealed; /* memory shared by the rows */
};
void state_init(struct state *st, struct store *store, const char *view);
void state_fini(struct state *st);

enum sotto_err state_put(struct state *st, struct span key, struct span value);
enum sotto_err state_remove(struct state *st, struct span key);
/* By rising key. What each gets lives until it returns. SOTTO_ECRYPTO for a
 * row that was changed. */
enum sotto_err state_each(struct state *st,
                          enum sotto_err (*each)(void *context, struct span key,
                                                 struct span value),
                          void *context);

/* Keys "<prefix><number, big endian>". */
#define STATE_NUMBER_KEY 5
struct span state_number_key(uint8_t key[STATE_NUMBER_KEY], char prefix,
                             uint32_t number);
/* The number of such a key; UINT32_MAX if it is none. */
uint32_t state_key_number(struct span key);
/* The entries of d from a number on, and one of them back again. */
enum sotto_err state_put_dict(struct state *st, char prefix,
                              const struct dict *d, uint32_t from);
enum sotto_err state_take_dict(struct dict *d, struct span key,
                               struct span value);

/* unpack_open under the limits of a row. */
enum sotto_err state_unpack(struct unpacked *u, struct span value);

#endif
