/* See policies.h. Versions only roll forward, but earlier ones stay good for
 * batches made under them. */
#include "aggregator/policies.h"

#include <stdlib.h>
#include <string.h>

#include <uv.h>

#define POLICIES_MAX 1000

struct policies {
    struct store *store;
    uv_rwlock_t lock; /* of the array; the policies are constant */
    uint32_t count;
    struct policy *all[POLICIES_MAX]; /* by rising version */
};

static enum sotto_err load_all(struct policies *p)
{
    sqlite3_stmt *q = store_prepare(
        p->store, "SELECT container FROM policy ORDER BY version");
    struct why why;
    enum sotto_err err;

    while ((err = store_row(q)) == SOTTO_OK) {
        if (p->count == POLICIES_MAX)
            err = SOTTO_EFULL;
        else
            err = signed_policy_load(&p->all[p->count], store_blob(q, 0), NULL,
                                     &why);
        if (err)
            break;
        p->count++;
    }
    if (err == SOTTO_ENOTFOUND)
        return SOTTO_OK;
    store_done(q);
    return err;
}

enum sotto_err policies_open(struct policies **out, struct store *store)
{
    struct policies *p = calloc(1, sizeof *p);
    enum sotto_err err;

    if (!p)
        return SOTTO_ENOMEM;
    if (uv_rwlock_init(&p->lock) != 0) {
        free(p);
        return SOTTO_ENOMEM;
    }
    p->store = store;
    err = load_all(p);
    if (err) {
        policies_close(p);
        return err;
    }
    *out = p;
    return SOTTO_OK;
}

void policies_close(struct policies *p)
{
    if (!p)
        return;
    for (uint32_t i = 0; i < p->count; i++)
        policy_free(p->all[i]);
    uv_rwlock_destroy(&p->lock);
    free(p);
}

const struct policy *policies_find(void *policies,
                                   const uint8_t hash[HASH_SIZE])
{
    struct policies *p = policies;
    const struct policy *found = NULL;

    uv_rwlock_rdlock(&p->lock);
    for (uint32_t i = p->count; i-- > 0 && !found;)
        if (memcmp(p->all[i]->hash, hash, HASH_SIZE) == 0)
            found = p->all[i];
    uv_rwlock_rdunlock(&p->lock);
    return found;
}

const struct policy *policies_current(const struct policies *p)
{
    return p->count ? p->all[p->count - 1] : NULL;
}

enum sotto_err policies_container(struct policies *p, struct buf *out)
{
    sqlite3_stmt *q = store_prepare(p->store, "SELECT container FROM policy "
                                              "ORDER BY version DESC LIMIT 1");
    struct span bytes;
    enum sotto_err err = store_row(q);

    if (err)
        return err;
    bytes = store_blob(q, 0);
    buf_clear(out);
    err = buf_append(out, bytes.data, bytes.size);
    store_done(q);
    return err;
}

static enum sotto_err insert(struct policies *p, const struct policy *policy,
                             struct span container, int64_t now_ms)
{
    sqlite3_stmt *q = store_prepare(
        p->store, "INSERT INTO policy(hash, tenant, version, container, "
                  "added_ms) VALUES(?1, ?2, ?3, ?4, ?5)");

    store_bind(q, 1, span_of(policy->hash, HASH_SIZE));
    store_bind(q, 4, container);
    if (q) {
        sqlite3_bind_text(q, 2, policy->tenant, -1, SQLITE_STATIC);
        sqlite3_bind_int64(q, 3, (sqlite3_int64)policy->version);
        sqlite3_bind_int64(q, 5, now_ms);
    }
    return store_run(q);
}

/* Whether next may follow what is there. */
static enum sotto_err follows(const struct policies *p,
                              const struct policy *next, struct why *why)
{
    const struct policy *last = policies_current(p);

    if (policies_find((void *)(uintptr_t)p, next->hash))
        return why_say(why, SOTTO_EEXIST, "this policy is here already");
    if (!last)
        return SOTTO_OK;
    if (strcmp(last->tenant, next->tenant) != 0)
        return why_say(why, SOTTO_EREFUSED,
                       "this store is of \"%s\", the policy is of \"%s\"",
                       last->tenant, next->tenant);
    if (next->version <= last->version)
        return why_say(why, SOTTO_ECRYPTO,
                       "rolled back: version %llu does not follow version "
                       "%llu, which is in force; policies only roll forward",
                       (unsigned long long)next->version,
                       (unsigned long long)last->version);
    if (memcmp(next->previous, last->hash, HASH_SIZE) != 0)
        return why_say(why, SOTTO_EREFUSED,
                       "`previous` of version %llu is not the hash of version "
                       "%llu (see `sotto-policy build`)",
                       (unsigned long long)next->version,
                       (unsigned long long)last->version);
    return p->count == POLICIES_MAX
               ? why_say(why, SOTTO_EFULL, "%d policies are kept already",
                         POLICIES_MAX)
               : SOTTO_OK;
}

/* Loads one that may be added. */
static enum sotto_err load_next(const struct policies *p,
                                struct policy **policy, struct span container,
                                struct why *why)
{
    const struct policy *last = policies_current(p);
    struct signers trusted;
    enum sotto_err err;

    if (last)
        signers_of(&trusted, last);
    err = signed_policy_load(policy, container, last ? &trusted : NULL, why);
    if (err)
        return err;
    err = follows(p, *policy, why);
    if (err)
        policy_free(*policy);
    return err;
}

static bool is_current(const struct policies *p, struct span container)
{
    const struct policy *current = policies_current(p);
    struct signed_policy s;

    return current && signed_policy_decode(&s, container) == SOTTO_OK &&
           span_equal(s.compiled,
                      span_of(current->compiled.data, current->compiled.size));
}

enum sotto_err policies_check(const struct policies *p, struct span container,
                              struct policy_head *head, struct why *why)
{
    struct policy *policy;
    enum sotto_err err = load_next(p, &policy, container, why);

    if (err == SOTTO_EEXIST && !is_current(p, container))
        return why_say(why, SOTTO_ECRYPTO,
                       "rolled back: this version was followed by version "
                       "%llu, which stays in force; policies only roll forward",
                       (unsigned long long)policies_current(p)->version);
    if (err)
        return err;
    memcpy(head->tenant, policy->tenant, sizeof head->tenant);
    memcpy(head->hash, policy->hash, sizeof head->hash);
    head->version = policy->version;
    policy_free(policy);
    return SOTTO_OK;
}

enum sotto_err policies_add(struct policies *p, struct span container,
                            int64_t now_ms, const struct policy **added,
                            struct why *why)
{
    struct policy *policy;
    enum sotto_err err = load_next(p, &policy, container, why);

    if (err)
        return err;
    err = insert(p, policy, container, now_ms);
    if (err) {
        policy_free(policy);
        return err;
    }
    uv_rwlock_wrlock(&p->lock);
    p->all[p->count++] = policy;
    uv_rwlock_wrunlock(&p->lock);
    *added = policy;
    return SOTTO_OK;
}
