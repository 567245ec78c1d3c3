/* The bytes of an import: a plain, .gz or .xz file, or standard input ("-").
 *
 * What it is shows in its first bytes; the name does not matter. Files made of
 * several gzip members or xz streams are read to their end. Memory is bounded:
 * one fixed buffer, and what the decoder needs (xz: at most 128 MiB). Formats
 * that people mix up with these (zip, zstd, UTF-16) are refused by name.
 * One thread at a time. Every error names the file; SOTTO_EDECODE also the
 * position in it. */
#ifndef SOTTO_AGENT_INTAKE_SOURCE_H
#define SOTTO_AGENT_INTAKE_SOURCE_H

#include "base/buf.h"

#define SOURCE_XZ_MEMORY_MAX (128u * 1024 * 1024)

struct intake_source;

/* SOTTO_ENOTFOUND, SOTTO_EIO, SOTTO_EDECODE, SOTTO_ENOMEM. */
enum sotto_err intake_source_open(struct intake_source **out, const char *file,
                                  struct why *why);
/* The same over bytes that stay the caller's; name stands in errors. */
enum sotto_err intake_source_open_bytes(struct intake_source **out,
                                        const char *name, struct span bytes,
                                        struct why *why);
void intake_source_close(struct intake_source *s); /* accepts NULL */

/* Up to capacity (at least 1) plain bytes into out; size 0 is the end. A
 * compressed file that ends early or is damaged: SOTTO_EDECODE; one that needs
 * too much memory: SOTTO_ETOOBIG; SOTTO_EIO, SOTTO_ENOMEM. */
enum sotto_err intake_source_read(size_t *size, struct intake_source *s,
                                  uint8_t *out, size_t capacity,
                                  struct why *why);

/* For progress: bytes read of the file as it lies on disk, and how many it
 * has (0: unknown, as for a pipe). */
uint64_t intake_source_position(const struct intake_source *s);
uint64_t intake_source_total(const struct intake_source *s);
const char *intake_source_name(const struct intake_source *s);

#endif
