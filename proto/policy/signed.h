/* A signed policy: compiled bytes and minisign signatures, in one container
 * (msgpack [1, compiled, [signature…]]) as it travels and is stored. */
#ifndef SOTTO_POLICY_SIGNED_H
#define SOTTO_POLICY_SIGNED_H

#include "policy/minisign.h"
#include "policy/policy.h"

#define SIGNED_POLICY_MAX (POLICY_BYTES_MAX + 16 * 1024)

struct signed_policy {
    struct span compiled;
    uint32_t signature_count;
    struct span signatures[POLICY_SIGNERS_MAX];
};
enum sotto_err signed_policy_encode(struct buf *out,
                                    const struct signed_policy *s);
enum sotto_err signed_policy_decode(struct signed_policy *s, struct span bytes);

/* Reads FILE (compiled) and every FILE.*.minisig beside it into a container. */
enum sotto_err signed_policy_read_files(struct buf *out, const char *file,
                                        struct why *why);

/* Who must have signed: the pinned officers of a bundle, or the signers of the
 * version before. */
struct signers {
    uint8_t needed;
    uint8_t count;
    struct policy_signer keys[POLICY_SIGNERS_MAX];
};
void signers_of(struct signers *out, const struct policy *p);
/* Whether the key of signer i stands in the rule before: one person counts
 * once. */
bool signers_counted_before(const struct signers *rule, int i);
/* SOTTO_OK if this signer signed, SOTTO_ENOTFOUND if there is no signature of
 * it, SOTTO_ECRYPTO if there are and none is right. */
enum sotto_err signed_by(const struct policy_signer *signer,
                         const struct signed_policy *s);

/* Loads and verifies: at least trusted->needed distinct trusted signers, and
 * the policy's own signers rule. trusted NULL: its own rule only.
 * SOTTO_ECRYPTO with a sentence that says which signature is missing or
 * wrong. */
enum sotto_err signed_policy_load(struct policy **out, struct span container,
                                  const struct signers *trusted,
                                  struct why *why);

#endif
