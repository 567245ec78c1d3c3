/* Pseudonym keys that turn: a day has a key of its own, made from the day
 * before's and never the other way round,
 *
 *   K[n+1] = BLAKE2b-256(K[n]), personalization "sotto epoch key" (RFC 7693)
 *
 * so that only the oldest that is still needed is kept. Epoch n is the time
 * from n to n+1 times the epoch's length, since 1970. When an epoch has been
 * over for `destroy_after`, its key is overwritten by the next: with it goes
 * the last way from a person to that epoch's pseudonyms. */
#ifndef SOTTO_POLICY_EPOCH_H
#define SOTTO_POLICY_EPOCH_H

#include "policy/anonymize.h"

/* Steps from the key that is kept to the one that is used: at most so many, as
 * they are made on an event's path. An agent of day keys may be off for over
 * two years. */
#define EPOCH_STEPS_MAX 1000

/* The epoch of a time; 0 for a stable key (epoch_ms 0). */
uint64_t epoch_of(int64_t time_ms, int64_t epoch_ms);
/* The oldest epoch that is kept at a time. */
uint64_t epoch_kept(int64_t time_ms, int64_t epoch_ms, int64_t destroy_ms);

/* K[n] becomes K[n + steps]; what it was is overwritten. */
void epoch_turn(uint8_t key[32], uint64_t steps);

/* Destroys in k what is over at a trusted time: the keys of epochs that ended
 * destroy_after before. p is the policy in force or NULL; the shorter of its
 * destroy_after and that of the bundle counts. Whether anything changed. */
bool epoch_destroy(struct pseudonym_keys *k, const struct policy *p,
                   int64_t sure_ms);

/* The secret of a policy's key at a time, and its epoch. SOTTO_ENOTFOUND if k
 * lacks it, has it with epochs of another length, or it is destroyed, or is
 * over EPOCH_STEPS_MAX away. The caller wipes out. */
enum sotto_err epoch_secret(uint8_t out[32], uint64_t *epoch,
                            const struct pseudonym_keys *k,
                            const struct policy_key *key, int64_t time_ms);

#endif
