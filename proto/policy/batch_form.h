/* Limits of the body of a batch, shared by its writer (batch.c) and its
 * reader (batch_view.c) and nobody else. */
#ifndef SOTTO_POLICY_BATCH_FORM_H
#define SOTTO_POLICY_BATCH_FORM_H

#include "policy/batch.h"

enum batch_form {
    BATCH_FORM = 8,        /* entries of the body */
    BATCH_COUNTERS = 4,    /* of the counters */
    BATCH_COLUMN_REFS = 2, /* of a column of numbers into something */
    BATCH_COLUMN = 4,      /* of a column of values */
    BATCH_TEXTS_MAX = 2 * BATCH_EVENTS_MAX,
    BATCH_IDS_MAX = 2 * BATCH_EVENTS_MAX,
    BATCH_SETS_MAX = 1024,
};

/* Whether the column holds numbers into a dictionary or into the edges. */
static inline bool column_refs(const struct policy_field *f)
{
    return f->type == TYPE_TEXT || f->type == TYPE_ID ||
           f->action == ACTION_BUCKET;
}

#endif
