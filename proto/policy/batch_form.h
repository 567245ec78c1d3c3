/* Limits of the body of a batch, shared by its writer (batch.c) and its
 * reader (batch_view.c) and nobody else. */
#ifndef SOTTO_POLICY_BATCH_FORM_H
#define SOTTO_POLICY_BATCH_FORM_H

#include "policy/batch.h"

#include <endian.h>
#include <string.h>

enum batch_form {
    BATCH_FORM = 8,        /* entries of the body */
    BATCH_COUNTERS = 4,    /* of the counters */
    BATCH_COLUMN_REFS = 2, /* of a column of numbers into something */
    BATCH_COLUMN = 4,      /* of a column of values */
    BATCH_TEXTS_MAX = 2 * BATCH_EVENTS_MAX,
    BATCH_IDS_MAX = 2 * BATCH_EVENTS_MAX,
    BATCH_SETS_MAX = 1024,
};

/* Whether the column holds numbers into a dictionary or into the edges. A
 * token comes once, so it is a value of its own: its bytes as a number. */
static inline bool column_refs(const struct policy_field *f)
{
    return f->type == TYPE_TEXT || f->action == ACTION_PSEUDONYM ||
           f->action == ACTION_BUCKET;
}

static inline uint64_t token_number(const uint8_t id[16])
{
    uint64_t number;

    memcpy(&number, id, sizeof(number));
    return le64toh(number);
}

static inline void token_of(uint8_t id[16], uint64_t number)
{
    number = htole64(number);
    memset(id, 0, 16);
    memcpy(id, &number, sizeof(number));
}

#endif
