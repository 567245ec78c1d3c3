/* The records of a CSV file, one at a time, for the tables that the tools read.
 *
 * Fields may be quoted as in RFC 4180; lines end with LF or CRLF; lines with
 * nothing on them are passed over, and a byte order mark before the first. What
 * a field means, and whether the first record holds names, is the caller's.
 * One thread. */
#ifndef AGGREGATOR_RECORDS_H
#define AGGREGATOR_RECORDS_H

#include "base/buf.h"

#define RECORD_FIELDS_MAX 64

struct records;

/* path and why are borrowed until the close; why says "file:line: what; what
 * to do" of this and of every failed call below. SOTTO_ENOTFOUND, SOTTO_EIO,
 * SOTTO_ENOMEM. */
enum sotto_err records_open(struct records **out, const char *path,
                            struct why *why);
void records_close(struct records *r); /* accepts NULL */

/* Reads the next record that is not empty. SOTTO_ENOTFOUND at the end;
 * SOTTO_EINVAL for what is not CSV, SOTTO_EIO. */
enum sotto_err records_next(struct records *r);

/* Of the record just read: how many fields, where it began (lines from 1), one
 * of them (valid until the next; a zero byte follows), and the place of the
 * field with a text, in any case, or -1. */
uint32_t records_fields(const struct records *r);
uint64_t records_line(const struct records *r);
struct span records_field(const struct records *r, uint32_t which);
int records_find(const struct records *r, const char *name);

/* SOTTO_EINVAL, with "file:line: what" in why. */
enum sotto_err records_say(struct records *r, const char *what);

#endif
