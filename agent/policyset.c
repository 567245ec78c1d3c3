/* See policyset.h. */
#include "agent/policyset.h"

#include <string.h>

#include "base/log.h"

static enum sotto_err load_stored(void *context, uint32_t number,
                                  struct span container)
{
    struct policyset *s = context;
    struct why why;

    if (s->count == POLICYSET_MAX)
        return SOTTO_EFULL;
    s->entries[s->count].number = number;
    /* It was verified against the officers when it was added. */
    if (signed_policy_load(&s->entries[s->count].policy, container, NULL,
                           &why) != SOTTO_OK)
        log_error("policy", "number %u does not load: %s", (unsigned)number,
                  why.text);
    s->count++;
    return SOTTO_OK;
}

enum sotto_err policyset_open(struct policyset *s, struct spool *spool,
                              const struct signers *officer, const char *tenant,
                              uint64_t minimum_version)
{
    memset(s, 0, sizeof *s);
    s->spool = spool;
    s->officer = *officer;
    s->minimum_version = minimum_version;
    memcpy(s->tenant, tenant, strnlen(tenant, NAME_MAX_SIZE));
    return spool_policy_each(spool, load_stored, s);
}

void policyset_close(struct policyset *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        policy_free(s->entries[i].policy);
    s->count = 0;
}

const struct policy *policyset_get(const struct policyset *s, uint32_t number)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->entries[i].number == number)
            return s->entries[i].policy;
    return NULL;
}

const struct policy *policyset_current(const struct policyset *s,
                                       uint32_t *number)
{
    const struct policy *best = NULL;

    for (uint32_t i = 0; i < s->count; i++) {
        const struct policy *p = s->entries[i].policy;
        if (p && (!best || p->version > best->version)) {
            best = p;
            if (number)
                *number = s->entries[i].number;
        }
    }
    return best;
}

enum sotto_err policyset_add(struct policyset *s, struct span container,
                             struct why *why)
{
    const struct policy *current = policyset_current(s, NULL);
    struct signers trusted = s->officer;
    struct policy *p;
    enum sotto_err err;

    if (current)
        signers_of(&trusted, current);
    err = signed_policy_load(&p, container, &trusted, why);
    if (err)
        return err;
    if (current && p->version <= current->version)
        err = why_say(why, SOTTO_EEXIST,
                      "policy version %llu is not newer than %llu",
                      (unsigned long long)p->version,
                      (unsigned long long)current->version);
    else if (p->version < s->minimum_version)
        err = why_say(why, SOTTO_EREFUSED,
                      "policy version %llu is below the officer's minimum %llu",
                      (unsigned long long)p->version,
                      (unsigned long long)s->minimum_version);
    else if (strcmp(p->tenant, s->tenant) != 0)
        err = why_say(why, SOTTO_EREFUSED,
                      "the policy is for \"%s\", this agent is of \"%s\"",
                      p->tenant, s->tenant);
    else if (s->count == POLICYSET_MAX)
        err = why_say(why, SOTTO_EFULL, "%d policies are kept already",
                      POLICYSET_MAX);
    else
        err = spool_policy_put(s->spool, p->hash, container,
                               &s->entries[s->count].number);
    if (err) {
        policy_free(p);
        return err;
    }
    s->entries[s->count++].policy = p;
    return SOTTO_OK;
}
