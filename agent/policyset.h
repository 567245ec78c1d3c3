/* The policies an agent may need: the one in force and the earlier ones that
 * ring records still refer to, by the small number that the spool gave them. */
#ifndef SOTTO_AGENT_POLICYSET_H
#define SOTTO_AGENT_POLICYSET_H

#include "agent/spool.h"
#include "policy/signed.h"

#define POLICYSET_MAX 64

struct policyset {
    struct spool *spool;
    struct {
        uint32_t number;
        struct policy *policy; /* NULL: does not load any more */
    } entries[POLICYSET_MAX];
    uint32_t count;
    struct signers officer; /* pinned by the bundle */
    char tenant[NAME_MAX_SIZE + 1];
    uint64_t minimum_version;
};

/* Loads what the spool keeps. */
enum sotto_err policyset_open(struct policyset *s, struct spool *spool,
                              const struct signers *officer, const char *tenant,
                              uint64_t minimum_version);
void policyset_close(struct policyset *s);
const struct policy *policyset_get(const struct policyset *s, uint32_t number);
/* The newest version; NULL: none. */
const struct policy *policyset_current(const struct policyset *s,
                                       uint32_t *number);
/* Takes a signed policy. The first must be signed by the bundle's officers;
 * a later one by those that the version before names; versions only roll
 * forward (older or equal: SOTTO_EEXIST, which is no harm). */
enum sotto_err policyset_add(struct policyset *s, struct span container,
                             struct why *why);

#endif
