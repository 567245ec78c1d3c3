/* The aggregator's own record of what was done with it, which its owner can
 * add to and nobody can quietly change (the form, and what it shows, is in
 * audit_log.h). Entries name no person: a subject stands as a keyed hash.
 *
 * The file lies outside the data directory, so that a restored directory
 * brings no old log with it. The store, which is restored, remembers the
 * newest entry of a kind that changes something: it is written there first,
 * then to the file. So at the next start
 *
 *   the store is one entry ahead    a crash came between: the same bytes are
 *                                   written again
 *   the store is further ahead      the file was cut or put back from a
 *                                   backup: SOTTO_ECRYPTO, nothing starts
 *   the file has another entry      another history: SOTTO_ECRYPTO
 *   the file is ahead by such kinds the directory was restored: noted, as an
 *                                   entry of its own
 *
 * All entries and roots are checked then, and the newest signature; every
 * signature is for `audit verify`, since thousands take a second.
 *
 * A line without its end is what a crash left of an entry that nobody was
 * told of: it is removed, and that is noted too. */
#ifndef SOTTO_AGGREGATOR_AUDIT_H
#define SOTTO_AGGREGATOR_AUDIT_H

#include "aggregator/audit_log.h"
#include "aggregator/store.h"

/* One row each in audit.c: its name, whose doing it is, and whether the store
 * remembers it. */
enum audit_kind {
    AUDIT_BEGUN, /* the log */
    AUDIT_STARTED,
    AUDIT_STOPPED,
    AUDIT_RESTORED, /* the store is older than the log */
    AUDIT_REPAIRED, /* a torn end was removed */
    AUDIT_POLICY_ADDED,
    AUDIT_TOKEN_MADE,
    AUDIT_AGENT_ENROLLED,
    AUDIT_MODEL_RELEASED,
    AUDIT_PROFILE_READ, /* what is known of a subject */
    AUDIT_LIST_READ,    /* what a subject is recommended */
    AUDIT_ACCESS_GIVEN, /* everything held on a subject */
    AUDIT_ERASED,
    AUDIT_COUNTS_RELEASED,
    AUDIT_KIND_COUNT
};

#define AUDIT_NOBODY (-1) /* a user id is not known, or plays no part */

struct audit;

/* Opens, or begins, the log in file; keys and store stay the caller's and
 * outlive it. SOTTO_ECRYPTO as above, with what is wrong and where. */
enum sotto_err audit_open(struct audit **out, const char *file,
                          const struct keys *keys, struct store *store,
                          struct why *why);
void audit_close(struct audit *a); /* accepts NULL */

/* Adds an entry and returns when it is on the disk: call it before the action
 * is answered, and refuse the action if it fails (the sentence says so).
 * details is taken over, also on failure; NULL: none. uid: the operator's, or
 * AUDIT_NOBODY. Kinds that the store remembers: the loop thread, outside a
 * transaction; the others (see audit.c): any thread.
 * SOTTO_EIO, SOTTO_EFULL, SOTTO_ENOMEM, SOTTO_ETOOBIG. The entry of an action
 * that was refused so may be written later, before the next. If what failed
 * cannot be taken back, nothing more is added until a restart. */
enum sotto_err audit_append(struct audit *a, enum audit_kind kind, int64_t uid,
                            json_t *details, struct why *why);
/* {"subject": keyed hash}: of a pseudonym of size bytes. */
json_t *audit_subject(const struct audit *a, struct span subject);
/* Entries so far. */
uint64_t audit_size(const struct audit *a);

/* The line that the store remembers, without its end; SOTTO_ENOTFOUND. r
 * borrows from line. */
enum sotto_err audit_remembered(struct store *store, struct buf *line,
                                struct audit_record *r);

#endif
