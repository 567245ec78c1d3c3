/* Reads the laboratory's interaction files: user,item[,value][,time] as CSV.
 *
 * With a header line (recognized by the names user and item, in any case) the
 * columns may stand in any order and other columns are passed over; without
 * one they are taken by position and there are two to four. Fields may be
 * quoted as in RFC 4180; lines end with LF or CRLF; lines with nothing on them
 * are passed over. time is ISO 8601 or whole seconds since 1970. */
#ifndef AGGREGATOR_LAB_CSV_H
#define AGGREGATOR_LAB_CSV_H

#include "base/buf.h"

#include <stdio.h>

#define LAB_ROWS_MAX (UINT64_C(1) << 31)

/* Spans live until the callback returns. */
struct lab_row {
    struct span user, item;
    float value; /* 1 when there is no such column */
    int32_t day; /* days since 1970; 0 when there is no such column */
};

/* A callback for each row; an error of its ends the reading. */
typedef enum sotto_err lab_take_row(void *context, const struct lab_row *row);

/* Reads all of path. SOTTO_EINVAL for what is not such a file or has no rows,
 * SOTTO_ETOOBIG for more than rows_max rows, SOTTO_ENOTFOUND, SOTTO_EIO,
 * SOTTO_ENOMEM, or the callback's error; why says "file:line: what; what to
 * do". */
enum sotto_err lab_csv_read(const char *path, uint64_t rows_max,
                            lab_take_row *take, void *context, struct why *why);

/* Writes a field, quoted if it must be. */

void lab_csv_field(FILE *out, struct span field);

#endif
