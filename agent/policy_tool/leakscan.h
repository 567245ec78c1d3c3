/* What must not be in a file: planted canaries, in any bytes; and what the
 * detectors of free text know.
 *
 * A file is read in windows, so memory does not depend on its size. Text
 * (valid UTF-8 without zero bytes) is given to all detectors. Of binary bytes
 * only the printable stretches are, and of what is found there only counts
 * what chance does not make: numbers with a checksum, credentials in
 * addresses, and e-mail addresses under a known top-level domain. Random and
 * sealed bytes give less than one finding in 5 GiB (measured and computed in
 * leakscan.c). */
#ifndef SOTTO_POLICY_TOOL_LEAKSCAN_H
#define SOTTO_POLICY_TOOL_LEAKSCAN_H

#include "agent/policy_tool/canary.h"
#include "policy/detect.h"

struct leak {
    uint64_t offset;       /* bytes from the beginning of the file */
    enum detect_kind kind; /* DETECT_COUNT: a canary */
    unsigned canary;       /* its number, from 1 */
    const char *form;      /* of the canary: "base64" */
};

struct leakscan {
    const struct canaries *canaries; /* NULL: none */
    uint32_t kinds;                  /* bits of enum detect_kind */
    /* Called for each leak, in no promised order within a window. */
    void (*found)(void *context, const struct leak *leak);
    void *context;
    uint64_t bytes; /* scanned so far, of all files */
};

/* Scans what fd gives until its end. SOTTO_EIO if it cannot be read to the
 * end, SOTTO_ENOMEM. The bytes that were in memory are wiped. */
enum sotto_err leakscan_fd(struct leakscan *s, int fd);

#endif
