/* A sample of events through a policy, on the officer's own desk: what each
 * was, what is left of it, and what it weighs on the wire. The only place that
 * shows raw values; nothing is stored. */
#ifndef SOTTO_POLICY_TOOL_DRYRUN_H
#define SOTTO_POLICY_TOOL_DRYRUN_H

#include "policy/anonymize.h"

struct dryrun_line { /* one value, before and after; either may be empty */
    char path[PATH_MAX_SIZE + 1], value[128];
    char field[NAME_MAX_SIZE + 1], made[128]; /* made: or why there is none */
    bool dropped; /* the value does not leave the device */
};

#define DRYRUN_LINES_MAX (RAW_FIELDS_MAX + POLICY_FIELDS_MAX + 1)
struct dryrun_sample {
    uint64_t row; /* of the file, from 1 */
    char event[NAME_MAX_SIZE + 1];
    enum drop_reason dropped;
    uint32_t line_count;
    struct dryrun_line lines[DRYRUN_LINES_MAX];
};

struct dryrun_options {
    const struct policy *policy;
    const struct pseudonym_keys *keys;
    const char *events; /* NDJSON, or what the map reads; "-" */
    const char *map;    /* file of an import map, or NULL */
    uint32_t granted;   /* purposes granted besides the events' own */
    int64_t now_ms;
    uint64_t show_count; /* samples shown; all are counted */
    void (*show)(void *context, const struct dryrun_sample *sample);
    void *context;
};

struct dryrun_report {
    struct counters counters;
    uint64_t batches;
    uint64_t body_bytes; /* columns, before compression */
    uint64_t wire_bytes; /* compressed, padded, sealed, signed */
};

/* SOTTO_EINVAL, SOTTO_EIO, SOTTO_EDECODE, SOTTO_ENOMEM with why. */
enum sotto_err dryrun_run(const struct dryrun_options *o,
                          struct dryrun_report *report, struct why *why);

#endif
