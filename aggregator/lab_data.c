/* Rows become triples as they are read, and matrices at the end of the file. */
#include "aggregator/lab_data.h"

#include <stdlib.h>

#include "aggregator/lab_csv.h"

#define NUMBERS_MAX (UINT32_MAX - 1)
#define NAMES_BYTES_MAX (UINT64_C(1) << 34)
#define HASH_SEED 0

struct triples {
    struct triple *data;
    uint64_t count, capacity;
};

static enum sotto_err triples_add(struct triples *t, struct triple triple)
{
    if (t->count == t->capacity) {
        uint64_t capacity = t->capacity ? t->capacity * 2 : 1024;
        struct triple *data = realloc(t->data, capacity * sizeof *data);

        if (!data)
            return SOTTO_ENOMEM;
        t->data = data;
        t->capacity = capacity;
    }
    t->data[t->count++] = triple;
    return SOTTO_OK;
}

struct training_read {
    struct lab_training *training;
    struct dict users; /* only their number matters */
    struct triples triples;
};

static enum sotto_err take_training(void *context, const struct lab_row *row)
{
    struct training_read *read = context;
    struct triple t = {.value = row->value, .day = row->day};
    enum sotto_err err;

    read->training->rows++;
    if (!(row->value > 0)) {
        read->training->ignored++;
        return SOTTO_OK;
    }
    err = dict_intern(&read->users, row->user, &t.row);
    if (!err)
        err = dict_intern(&read->training->items, row->item, &t.column);
    return err ? err : triples_add(&read->triples, t);
}

enum sotto_err lab_read_training(struct lab_training *out, const char *path,
                                 struct why *why)
{
    struct training_read read = {.training = out};
    enum sotto_err err;

    *out = (struct lab_training){0};
    dict_init(&read.users, NUMBERS_MAX, NAMES_BYTES_MAX, HASH_SEED);
    dict_init(&out->items, NUMBERS_MAX, NAMES_BYTES_MAX, HASH_SEED);
    err = lab_csv_read(path, LAB_ROWS_MAX, take_training, &read, why);
    if (!err) {
        err = matrix_build(&out->x, read.users.count, out->items.count,
                           read.triples.data, read.triples.count, MATRIX_MAX);
        if (err)
            why_say(why, err, "%s: %s", path, err_text(err));
    }
    dict_fini(&read.users);
    free(read.triples.data);
    if (err)
        lab_training_fini(out);
    return err;
}

void lab_training_fini(struct lab_training *t)
{
    dict_fini(&t->items);
    matrix_fini(&t->x);
    *t = (struct lab_training){0};
}

struct holdout_read {
    struct lab_holdout *holdout;
    struct dict *items;
    uint32_t trained; /* items below this number are in training */
    struct triples triples;
    uint64_t pair_capacity;
};

static enum sotto_err take_history(void *context, const struct lab_row *row)
{
    struct holdout_read *read = context;
    struct triple t = {.value = row->value, .day = row->day};
    enum sotto_err err = dict_intern(&read->holdout->users, row->user, &t.row);

    if (err || !(row->value > 0))
        return err;
    t.column = dict_find(read->items, row->item);
    if (t.column >= read->trained) { /* DICT_NONE is above all numbers */
        read->holdout->unknown++;
        return SOTTO_OK;
    }
    return triples_add(&read->triples, t);
}

static enum sotto_err take_truth(void *context, const struct lab_row *row)
{
    struct holdout_read *read = context;
    struct triple t = {.value = row->value, .day = row->day};
    enum sotto_err err = dict_intern(&read->holdout->users, row->user, &t.row);

    if (err || !(row->value > 0))
        return err;
    err = dict_intern(read->items, row->item, &t.column);
    return err ? err : triples_add(&read->triples, t);
}

static enum sotto_err take_pair(void *context, const struct lab_row *row)
{
    struct holdout_read *read = context;
    struct lab_holdout *h = read->holdout;
    struct lab_pair pair;
    enum sotto_err err = dict_intern(&h->users, row->user, &pair.user);

    if (!err)
        err = dict_intern(read->items, row->item, &pair.item);
    if (err)
        return err;
    if (h->pair_count == read->pair_capacity) {
        uint64_t capacity = read->pair_capacity ? read->pair_capacity * 2 : 256;
        struct lab_pair *pairs = realloc(h->pairs, capacity * sizeof *pairs);

        if (!pairs)
            return SOTTO_ENOMEM;
        h->pairs = pairs;
        read->pair_capacity = capacity;
    }
    h->pairs[h->pair_count++] = pair;
    return SOTTO_OK;
}

static enum sotto_err read_files(struct holdout_read *read,
                                 const struct lab_files *files,
                                 struct triples *histories, struct why *why)
{
    struct lab_holdout *h = read->holdout;
    enum sotto_err err =
        lab_csv_read(files->history, LAB_ROWS_MAX, take_history, read, why);

    *histories = read->triples;
    read->triples = (struct triples){0};
    h->history_users = h->users.count;
    if (!err && files->truth)
        err = lab_csv_read(files->truth, LAB_ROWS_MAX, take_truth, read, why);
    if (!err && files->candidates)
        err =
            lab_csv_read(files->candidates, LAB_ROWS_MAX, take_pair, read, why);
    return err;
}

enum sotto_err lab_read_holdout(struct lab_holdout *out, struct lab_training *t,
                                const struct lab_files *files, struct why *why)
{
    struct holdout_read read = {
        .holdout = out, .items = &t->items, .trained = t->x.columns};
    struct triples histories = {0};
    enum sotto_err err;

    *out = (struct lab_holdout){0};
    dict_init(&out->users, NUMBERS_MAX, NAMES_BYTES_MAX, HASH_SEED);
    err = read_files(&read, files, &histories, why);
    if (!err) {
        err = matrix_build(&out->data.history, out->users.count, read.trained,
                           histories.data, histories.count, MATRIX_MAX);
        if (!err)
            err =
                matrix_build(&out->data.truth, out->users.count, t->items.count,
                             read.triples.data, read.triples.count, MATRIX_MAX);
        if (err)
            why_say(why, err, "%s: %s", files->history, err_text(err));
    }
    free(histories.data);
    free(read.triples.data);
    if (err)
        lab_holdout_fini(out);
    return err;
}

void lab_holdout_fini(struct lab_holdout *h)
{
    dict_fini(&h->users);
    holdout_fini(&h->data);
    free(h->pairs);
    *h = (struct lab_holdout){0};
}
