/* CSV rows (RFC 4180): quoted fields, "" for a quote, line ends inside quotes,
 * LF or CR LF, a byte order mark.
 *
 * The first line names the columns. A row that is not like it, that has an
 * unbalanced quote or a zero byte, or that is over a limit is given with
 * `wrong` set, and reading goes on at the line after its first: one bad row
 * costs one row. Beyond RFC 4180: a quote inside a field that does not begin
 * with one is an ordinary character, and blank lines are passed over.
 * One thread at a time; nothing is allocated after open. */
#ifndef SOTTO_AGENT_INTAKE_CSV_H
#define SOTTO_AGENT_INTAKE_CSV_H

#include "agent/intake_window.h"

#define CSV_COLUMNS_MAX 256

struct csv_row {
    struct span columns[CSV_COLUMNS_MAX]; /* quotes undone */
    size_t column_count;
    struct span raw;   /* as it lies in the file, without its line end; of a
                          wrong row the first line, at most INTAKE_ROW_MAX */
    uint64_t number;   /* from 1; 0 for the header */
    uint64_t line;     /* where it begins, from 1 */
    const char *wrong; /* NULL, or what is wrong in a few words */
};

struct csv; /* a reader */

/* Reads the header, which stays until close. source stays the caller's and
 * outlives the reader. SOTTO_EDECODE when there is no usable header; errors
 * of intake_source_read; SOTTO_ENOMEM. */
enum sotto_err csv_open(struct csv **out, struct intake_source *source,
                        char delimiter, struct why *why);
void csv_close(struct csv *c); /* accepts NULL */
const struct csv_row *csv_header(const struct csv *c);

/* The next row, NULL at the end; valid until the next call. */
enum sotto_err csv_next(const struct csv_row **row, struct csv *c,
                        struct why *why);

#endif
