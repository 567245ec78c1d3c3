/* Imports: a file of rows becomes raw events, each exactly once.
 *
 * bytes (plain, .gz, .xz, standard input) -> rows (CSV or NDJSON) -> raw
 * events (by a map, or Segment's form) -> the sink, with a cursor that says
 * how far the source has been read. The sink stores event and cursor together;
 * an import that is killed and run again goes on at the stored cursor and adds
 * nothing twice. The cursor carries a running keyed hash of the rows read, so
 * a file that changed is noticed (SOTTO_ECRYPTO). */
#ifndef SOTTO_AGENT_IMPORT_H
#define SOTTO_AGENT_IMPORT_H

#include "agent/intake_map.h"
#include "policy/anonymize.h"

#define CURSOR_REASONS_MAX 24
struct import_cursor {
    uint8_t source[16];  /* keyed hash of the source's name; who is reading */
    uint64_t row;        /* rows read, header not counted */
    uint8_t running[16]; /* keyed hash over the rows so far (SipHash-x-2-4:
                            h' = H(h | row), a CSV's header first; of a row
                            over 64 KiB its first 64 KiB) */
    uint8_t done;        /* 1: the source ended */
    uint8_t reason_count;
    /* refused rows so far by reason: by the map's names and by the policy's */
    struct counter reasons[CURSOR_REASONS_MAX];
};

/* What the import hands over, one call a row that makes an event; a last call
 * with raw NULL says that rows were refused since, or that the source ended.
 * The sink anonymizes and stores; if the policy drops the event it returns
 * that drop in *dropped, and the import counts it into the cursor's reasons
 * (the cursor goes with the next stored record). SOTTO_OK, or an error that
 * ends the import (SOTTO_ECLOSED when the owner stops). Blocks while the ring
 * is full. */
struct import_sink {
    enum sotto_err (*take)(void *context, const struct raw_event *raw,
                           uint32_t consent_known, uint32_t consent_granted,
                           const struct import_cursor *cursor,
                           enum drop_reason *dropped);
    /* progress: rows, bytes read of the compressed file, its size (0 unknown);
     * a non-OK return ends the import */
    enum sotto_err (*progress)(void *context, uint64_t rows, uint64_t bytes,
                               uint64_t total);
    void *context;
};

struct import_options {
    const char *file; /* "-": standard input (no resume: the caller says which
                         rows to skip by name of the source) */
    const char *source_name;      /* default: the file's real path */
    const struct intake_map *map; /* NULL: NDJSON in Segment form */
    const struct policy *policy;  /* for purposes named in consent */
    const uint8_t *key;           /* 32 bytes: of the keyed hashes */
};

struct import_report {
    uint64_t rows;     /* read by now, over all runs */
    uint64_t skipped;  /* of them, already done by earlier runs */
    uint64_t accepted; /* this run */
    struct import_cursor cursor;
};

/* The id of a source by its name, to ask the store for its cursor. */
void import_source_id(uint8_t out[16], const struct import_options *o);

/* Runs from start (zeroed source: from the beginning; another source:
 * SOTTO_EINVAL). A file that was done and has grown goes on; one that has not
 * makes no call. SOTTO_ECRYPTO if the rows read before are not the same; what
 * the sink returns, if it fails: the report then stands before that row. Rows
 * without a time that can be read are refused as "bad_time". Rows that do not
 * parse are refused and counted under "bad_row"; the file itself being
 * unreadable or cut off ends it: SOTTO_EIO, SOTTO_EDECODE, with file and line
 * in why. Any thread; one import uses it at a time. */
enum sotto_err import_run(const struct import_options *o,
                          const struct import_cursor *start,
                          const struct import_sink *sink,
                          struct import_report *report, struct why *why);

#endif
