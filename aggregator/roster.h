/* Who may send: agents and the tokens that make them. Kept in the store, read
 * from memory. Loop thread. */
#ifndef SOTTO_AGGREGATOR_ROSTER_H
#define SOTTO_AGGREGATOR_ROSTER_H

#include "aggregator/store.h"
#include "wire/message.h"

#define ROSTER_MAX 100000

struct agent_row {
    uint32_t number; /* from 1, never given twice */
    char name[64];
    struct peer peer;
    int64_t enrolled_ms;
    bool revoked;
    int64_t seen_ms; /* newest request that was rightly signed; 0: never */
};

struct roster;

enum sotto_err roster_open(struct roster **out, struct store *store);
void roster_close(struct roster *r); /* accepts NULL */
uint32_t roster_count(const struct roster *r);
struct agent_row *roster_at(struct roster *r, uint32_t index);
/* By the id of its signing key; NULL: unknown. */
struct agent_row *roster_find(struct roster *r,
                              const uint8_t sign_id[KEY_ID_SIZE]);
struct agent_row *roster_number(struct roster *r, uint32_t number);

bool roster_name_taken(const struct roster *r, const char *name);
/* A token for name, good for uses keys until expires. SOTTO_EEXIST: an agent
 * has that name. */
enum sotto_err roster_token(struct roster *r, const char *name, uint32_t uses,
                            int64_t expires_ms, uint8_t secret[32]);
/* Redeems it for the keys of request: a key that is an agent already gets its
 * row again (a reply was lost), another one is refused once the token's uses
 * are spent. The refusal says why. */
enum sotto_err roster_redeem(struct roster *r, const struct enrol *request,
                             int64_t now_ms, struct agent_row **agent,
                             enum refusal *refusal);

#endif
