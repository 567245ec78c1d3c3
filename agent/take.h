/* The whole journey of an event on its caller's thread:
 *
 *   raw event -> policy in force? -> consent, age -> ANONYMIZE -> journal ring
 *
 * What producers need (policy, keys, person, consent) is one immutable
 * snapshot behind an atomic pointer; a change publishes another and frees the
 * old one after every producer has passed. Nothing here locks, allocates or
 * calls the system on the path of an event (times come from the vDSO). */
#ifndef SOTTO_AGENT_TAKE_H
#define SOTTO_AGENT_TAKE_H

#include "agent/import.h"
#include "agent/journal.h"
#include "agent/trusted.h"
#include "policy/anonymize.h"

#include <uv.h>

struct snapshot {
    const struct policy *policy; /* NULL: none yet */
    const struct pseudonym_keys *keys;
    uint32_t number;
    struct person person;
};

struct consent_entry {
    char purpose[NAME_MAX_SIZE + 1];
    bool granted;
};

struct take {
    struct journal *journal;
    struct trusted_time *time;
    struct chance_source chance;
    _Atomic(struct snapshot *) current;
    _Atomic uint32_t epoch;
    _Atomic uint32_t readers[2]; /* inside a snapshot, by epoch parity */
    _Atomic int64_t last_ms;     /* of the newest event: session idle reset */
    atomic_bool closing;
    uv_mutex_t change; /* serializes the writers of current */
    uint32_t consent_count;
    struct consent_entry consents[POLICY_PURPOSES_MAX];
};

enum sotto_err take_init(struct take *t, struct journal *journal,
                         struct trusted_time *time,
                         const struct pseudonym_keys *keys);
void take_fini(struct take *t);

/* Any thread. */
enum drop_reason take_event(struct take *t, const struct raw_event *raw);
/* Counts an event that could not even be offered. */
void take_drop(struct take *t, enum drop_reason reason);
/* An import's row with its cursor: consent is the row's. DROP_RING_FULL is not
 * counted (the import waits), other drops are the import's to count. raw NULL:
 * only the cursor moves. One import thread per memory. */
enum drop_reason take_import(struct take *t, struct raw_memory *memory,
                             const struct raw_event *raw,
                             uint32_t consent_granted,
                             const struct import_cursor *cursor);

/* A change of what producers see; any thread, may wait for producers to pass
 * (microseconds). A new policy keeps the pseudonyms and consents that it
 * shares with the one before. */
enum sotto_err take_policy(struct take *t, const struct policy *p,
                           uint32_t number);
/* Other keys, such as those that are left after some were destroyed: when it
 * returns nobody uses the ones before, and the caller frees them. SOTTO_ENOMEM:
 * they are still in use. */
enum sotto_err take_keys(struct take *t, const struct pseudonym_keys *keys);
/* path: "userId" or "anonymousId"; an empty raw_id forgets the person's ids.
 * SOTTO_EAGAIN: no policy yet. The raw id is not kept. */
enum sotto_err take_identify(struct take *t, struct span path,
                             struct span raw_id);
/* SOTTO_ENOTFOUND: the policy has no such purpose (kept for the next). */
enum sotto_err take_consent(struct take *t, const char *purpose, bool granted);
/* The pseudonym under which lists are kept, of the person at the device or of
 * a raw id given; SOTTO_ENOTFOUND: unknown. */
enum sotto_err take_subject(struct take *t, const struct span *raw_id,
                            uint8_t subject[16]);
void take_session_begin(struct take *t);
/* Nobody is at the device: pseudonyms and consents are forgotten, and the next
 * event starts a new session. What was taken stays taken. SOTTO_ENOMEM. */
enum sotto_err take_session_end(struct take *t);
/* Whether a withdrawal for purpose concerns what was sent of the person at the
 * device; then whom, and the number of the policy. Any thread. */
bool take_withdraws(struct take *t, const char *purpose, uint8_t subject[16],
                    uint32_t *number);
/* The policy in force, for a caller on the loop thread. */
const struct policy *take_policy_now(struct take *t);
uint32_t take_policy_number(struct take *t);

#endif
