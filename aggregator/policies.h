/* The policies that were added with good signatures; batches come under no
 * other. Any thread may look one up; policies live until the end. */
#ifndef SOTTO_AGGREGATOR_POLICIES_H
#define SOTTO_AGGREGATOR_POLICIES_H

#include "aggregator/store.h"
#include "policy/signed.h"

struct policies;

enum sotto_err policies_open(struct policies **out, struct store *store);
void policies_close(struct policies *p); /* accepts NULL */

/* Takes a signed policy (loop thread): the first of a store by its own
 * signers, a later one by the signers of the version before and its own.
 * SOTTO_EEXIST: it is there (no harm); SOTTO_ECRYPTO; SOTTO_ECRYPTO also for a
 * version that is rolled back; SOTTO_EREFUSED: another tenant, or one that does
 * not name the version before. */
enum sotto_err policies_add(struct policies *p, struct span container,
                            int64_t now_ms, const struct policy **added,
                            struct why *why);
/* What policies_add would say, and nothing is taken. An earlier one that is
 * there is SOTTO_ECRYPTO here: who adds it by hand wants to go back. */
struct policy_head {
    char tenant[NAME_MAX_SIZE + 1];
    uint64_t version;
    uint8_t hash[HASH_SIZE];
};
enum sotto_err policies_check(const struct policies *p, struct span container,
                              struct policy_head *head, struct why *why);
/* Any thread; NULL: not known. */
const struct policy *policies_find(void *policies,
                                   const uint8_t hash[HASH_SIZE]);
/* The newest; NULL: none. Loop thread. */
const struct policy *policies_current(const struct policies *p);
/* The container of the newest. Loop thread. */
enum sotto_err policies_container(struct policies *p, struct buf *out);

#endif
