/* The journal ring: where an event rests between track() and its batch.
 *
 * A mapped file in memory-backed storage, allocated whole at open. Many
 * producers append without a lock, an allocation or a system call; one
 * consumer reads in order and releases. It survives the death of the process
 * at any instruction, not a power cut; nothing unsealed reaches a disk.
 *
 *   header page | slot 0 | slot 1 | … | slot n-1        (64-byte slots)
 *
 * Positions count slots since the ring was made and never repeat; slot =
 * position mod n. A record takes whole slots, contiguous in the file (a record
 * that would wrap is preceded by a filler). Its first slot begins with the
 * record header: position + 1 (written last, released), ring id, size, policy
 * number, kind, checksum over header and payload. Slots not in use are zero.
 *
 * On open after a death the slots are scanned: a record whose position, ring
 * id and checksum hold is kept; what a dead producer left half-written becomes
 * filler, so it hides nobody else's record. A record that was written and does
 * not hold any more is filler too, and counted as damaged. The header page is
 * not trusted for that beyond ring id and size. */
#ifndef SOTTO_AGENT_JOURNAL_H
#define SOTTO_AGENT_JOURNAL_H

#include "policy/reason.h"

#include <stdatomic.h>

#define JOURNAL_SLOT 64
#define JOURNAL_RECORD_MAX (8 * 1024) /* payload bytes of one record */

struct journal;

enum journal_kind {
    JOURNAL_FILLER = 1,
    JOURNAL_EVENT,        /* payload: an event row */
    JOURNAL_EVENT_CURSOR, /* payload: u32 row size LE, event row, cursor */
    JOURNAL_CURSOR,       /* payload: a cursor; no event */
    JOURNAL_FORGET,       /* payload: pseudonym (16): a subject withdrew */
};

/* Counters that producers raise; they live in the ring, so they survive a
 * kill as it does. Absolute since the ring was made. */
struct journal_counters {
    _Atomic uint64_t drops[DROP_COUNT];
    _Atomic uint64_t fields_emptied;
    _Atomic uint64_t session; /* last session number given */
    _Atomic uint64_t damaged; /* records lost, found at an open */
};

struct journal_record {
    uint64_t position; /* of its first slot */
    uint64_t next;     /* position after it: what release takes */
    uint32_t policy;   /* number of the policy in the spool */
    enum journal_kind kind;
    struct span payload; /* into the ring; valid until released */
};

/* Opens or makes the ring file of bytes (rounded up to slots; 64 KiB..1 GiB).
 * An existing ring keeps its records and its size. recovered: records found.
 * The file is locked against a second opener (SOTTO_ELOCKED). SOTTO_EFULL: no
 * room to allocate it. A file that is no ring is set aside by
 * renaming to PATH.bad, and a new one is made: SOTTO_OK then, and why says so,
 * as it does of damaged records (its text is empty on any other success). */
enum sotto_err journal_open(struct journal **out, const char *path,
                            size_t bytes, uint64_t *recovered, struct why *why);
void journal_close(struct journal *j); /* keeps the file; accepts NULL */

uint64_t journal_id(const struct journal *j); /* random, not zero */
struct journal_counters *journal_counters(struct journal *j);
size_t journal_capacity(const struct journal *j); /* bytes of all slots */
size_t journal_used(const struct journal *j);

/* Producer, any thread. Two parts are laid one after the other. SOTTO_EFULL;
 * SOTTO_ETOOBIG. No lock, no allocation, no system call. */
enum sotto_err journal_append(struct journal *j, enum journal_kind kind,
                              uint32_t policy, struct span a, struct span b);

/* Consumer, one thread. The record at *position (start: journal_tail), in
 * order, fillers skipped; SOTTO_EAGAIN when there is none yet (a producer in
 * the middle of its append counts as none). SOTTO_EDECODE: a checksum does not
 * hold; the record is counted and skipped by calling again with rec->next. */
enum sotto_err journal_read(struct journal *j, uint64_t position,
                            struct journal_record *rec);
uint64_t journal_tail(const struct journal *j);
/* Whatever was appended before this call lies below it. Any thread. */
uint64_t journal_head(const struct journal *j);
/* Wipes everything before upto and frees it for producers. Right after open
 * upto may lie beyond the head (the spool's mark knows better): positions go
 * on from there. */
void journal_release(struct journal *j, uint64_t upto);

#endif
