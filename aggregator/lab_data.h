/* The tables of a laboratory run: training interactions, held-out subjects,
 * and pairs to score, read from CSV and numbered by one dictionary of items.
 *
 * Items of the training file have the numbers 0..train.columns - 1; items that
 * only a truth or a candidate names come behind them. */
#ifndef AGGREGATOR_LAB_DATA_H
#define AGGREGATOR_LAB_DATA_H

#include "aggregator/model/evaluate.h"
#include "base/dict.h"

struct lab_training {
    struct dict items;
    struct matrix x;
    uint64_t rows;    /* read */
    uint64_t ignored; /* rows whose value is not above 0 */
};

/* One line to score. */
struct lab_pair {
    uint32_t user, item;
};

/* Users are rows of data, those of the history file first; a user who is only
 * in the truth or among the pairs has an empty history. */
struct lab_holdout {
    struct dict users;
    uint32_t history_users;
    struct holdout data;
    struct lab_pair *pairs; /* in the order of the file */
    uint64_t pair_count;
    uint64_t unknown; /* history rows whose item is not in training */
};

/* The files of a holdout; truth and candidates may be NULL. */
struct lab_files {
    const char *history, *truth, *candidates;
};

/* Both say in why which file is wrong and how; errors are those of
 * lab_csv_read, and out is empty then. The fini functions accept zeroed
 * structs. */
enum sotto_err lab_read_training(struct lab_training *out, const char *path,
                                 struct why *why);
void lab_training_fini(struct lab_training *t);
enum sotto_err lab_read_holdout(struct lab_holdout *out, struct lab_training *t,
                                const struct lab_files *files, struct why *why);
void lab_holdout_fini(struct lab_holdout *h);

#endif
