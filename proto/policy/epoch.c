/* See epoch.h. */
#include "policy/epoch.h"

#include <sodium.h>
#include <string.h>

uint64_t epoch_of(int64_t time_ms, int64_t epoch_ms)
{
    return epoch_ms > 0 && time_ms > 0 ? (uint64_t)(time_ms / epoch_ms) : 0;
}

uint64_t epoch_kept(int64_t time_ms, int64_t epoch_ms, int64_t destroy_ms)
{
    return epoch_of(time_ms - destroy_ms, epoch_ms);
}

void epoch_turn(uint8_t key[32], uint64_t steps)
{
    static const uint8_t salt[crypto_generichash_blake2b_SALTBYTES];
    static const uint8_t personal[crypto_generichash_blake2b_PERSONALBYTES] =
        "sotto epoch key";
    uint8_t next[32];

    for (; steps > 0; steps--) {
        crypto_generichash_blake2b_salt_personal(next, sizeof(next), key, 32,
                                                 NULL, 0, salt, personal);
        memcpy(key, next, sizeof(next));
    }
    sodium_memzero(next, sizeof(next));
}

static int64_t destroy_after(const struct pseudonym_keys *k, uint32_t i,
                             const struct policy *p)
{
    for (int n = 0; p && n < p->key_count; n++)
        if (strcmp(p->keys[n].name, k->names[i]) == 0 &&
            p->keys[n].destroy_ms < k->destroy_ms[i])
            return p->keys[n].destroy_ms;
    return k->destroy_ms[i];
}

bool epoch_destroy(struct pseudonym_keys *k, const struct policy *p,
                   int64_t sure_ms)
{
    bool changed = false;

    for (uint32_t i = 0; i < k->count; i++) {
        uint64_t kept;

        if (k->epoch_ms[i] == 0)
            continue;
        kept = epoch_kept(sure_ms, k->epoch_ms[i], destroy_after(k, i, p));
        if (kept <= k->first[i])
            continue;
        epoch_turn(k->secrets[i], kept - k->first[i]);
        k->first[i] = kept;
        changed = true;
    }
    return changed;
}

enum sotto_err epoch_secret(uint8_t out[32], uint64_t *epoch,
                            const struct pseudonym_keys *k,
                            const struct policy_key *key, int64_t time_ms)
{
    int i = pseudonym_keys_find(k, key->name);

    if (i < 0 || k->epoch_ms[i] != key->epoch_ms)
        return SOTTO_ENOTFOUND;
    *epoch = epoch_of(time_ms, key->epoch_ms);
    if (key->epoch_ms > 0 &&
        (*epoch < k->first[i] || *epoch - k->first[i] > EPOCH_STEPS_MAX))
        return SOTTO_ENOTFOUND;
    memcpy(out, k->secrets[i], 32);
    epoch_turn(out, *epoch - k->first[i]); /* 0 of a stable key */
    return SOTTO_OK;
}
