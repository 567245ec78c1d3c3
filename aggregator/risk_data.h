/* A table whose risk is asked: named columns of texts, each text a small
 * number, read from a CSV file or filled from the store. */
#ifndef AGGREGATOR_RISK_DATA_H
#define AGGREGATOR_RISK_DATA_H

#include "aggregator/risk.h"
#include "base/dict.h"

struct risk_column {
    struct dict names;  /* one: what the column is called */
    struct dict values; /* its different texts */
    uint32_t *cells;    /* numbers of values, by row */
};

struct risk_data {
    uint32_t rows, capacity, column_count;
    struct risk_column columns[RISK_COLUMNS_MAX];
};

void risk_data_init(struct risk_data *d);
void risk_data_fini(struct risk_data *d);

/* SOTTO_EEXIST: another column has the name, in any case; SOTTO_ETOOBIG: there
 * are RISK_COLUMNS_MAX; SOTTO_ENOMEM. Before the first row. */
enum sotto_err risk_data_name(struct risk_data *d, struct span name);
/* One row, a text for every column. SOTTO_ETOOBIG, SOTTO_EFULL: over
 * RISK_ROWS_MAX rows, or over 4 GiB of different texts in a column;
 * SOTTO_ENOMEM. Nothing is added then. */
enum sotto_err risk_data_add(struct risk_data *d, const struct span *texts);
/* The name of a column. */
struct span risk_data_column(const struct risk_data *d, uint32_t column);

/* Reads a CSV file (records.h) into an empty d. With a header the first record
 * names the columns, else they are called 1, 2, …; a header that holds a
 * number or an empty name is taken for a forgotten one and refused. Blanks
 * around a value are not part of it; every text is a value, `?` and nothing
 * too. why says file and line of what is wrong. */
enum sotto_err risk_read_csv(struct risk_data *d, const char *path, bool header,
                             struct why *why);

/* Which columns are looked at, as people write it. */
struct risk_choice {
    const char *quasi;     /* names with commas; NULL: all but sensitive */
    const char *sensitive; /* a name, or NULL */
};

/* A table over d, valid until d changes. The sensitive column is ordered when
 * all its texts are numbers: its cells are then turned into ranks, in d.
 * SOTTO_EINVAL: a name that is no column (with the nearest one), one twice. */
enum sotto_err risk_choose(struct risk_table *out, struct risk_data *d,
                           const struct risk_choice *choice, struct why *why);

#endif
