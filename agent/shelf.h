/* Where an agent keeps the documents it was sent: one SQLite file, the newest
 * of each kind and key, and the highest number applied, in one transaction.
 *
 * Two connections: the writer's calls are for the loop thread, shelf_look is
 * for whoever holds the owner's lock. WAL, so that neither waits for the
 * other. Deleted bytes are overwritten. A power cut may lose the last
 * transactions, whole; the aggregator sends them again. */
#ifndef SOTTO_AGENT_SHELF_H
#define SOTTO_AGENT_SHELF_H

#include "wire/document.h"

#define SHELF_BYTES_MAX (INT64_C(512) * 1024 * 1024) /* then SOTTO_EFULL */

struct shelf;

/* SOTTO_EDECODE: damaged or not of ours; SOTTO_EVERSION: of a newer program;
 * SOTTO_ENOTFOUND: no directory; SOTTO_EFULL, SOTTO_EIO, SOTTO_ENOMEM. */
enum sotto_err shelf_open(struct shelf **out, const char *path,
                          struct why *why);
void shelf_close(struct shelf *s); /* accepts NULL */

uint64_t shelf_applied(const struct shelf *s); /* as of the last commit */
enum sotto_err shelf_begin(struct shelf *s);
enum sotto_err shelf_put(struct shelf *s, const struct document *d);
enum sotto_err shelf_drop(struct shelf *s, uint32_t kind, struct span key);
enum sotto_err shelf_commit(struct shelf *s, uint64_t applied);
void shelf_rollback(struct shelf *s); /* outside of a transaction: nothing */
/* What was deleted is gone from the disk, and stays so. */
enum sotto_err shelf_scrub(struct shelf *s);

struct shelved {
    uint64_t number;
    int64_t expires_ms;
};
/* Appends the body; SOTTO_ENOTFOUND; SOTTO_EDECODE: the disk changed it. Read:
 * by the writer's connection. */
enum sotto_err shelf_read(struct shelf *s, uint32_t kind, struct span key,
                          struct shelved *out, struct buf *body);
enum sotto_err shelf_look(struct shelf *s, uint32_t kind, struct span key,
                          struct shelved *out, struct buf *body);
enum sotto_err shelf_count(struct shelf *s, uint32_t kind, uint64_t *count);

#endif
