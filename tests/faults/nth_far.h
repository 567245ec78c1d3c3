/* The aggregator's half of the story of nth_test. The two programs have a
 * struct settings each, so no file includes both. */
#ifndef SOTTO_FAULTS_NTH_FAR_H
#define SOTTO_FAULTS_NTH_FAR_H

#include "policy/reason.h"
#include "wire/keys.h"

#define FAR_ITEMS 64

struct aggregator;

/* Makes the directory, with keys as its identity, the policy of container, a
 * live model, and a token's secret for one agent. */
void far_make(const char *dir, const struct keys *keys, struct span container,
              uint8_t secret[32]);
enum sotto_err far_open(struct aggregator **out, const char *dir,
                        struct why *why);
void far_close(struct aggregator *a); /* accepts NULL */
/* Everything accepted is folded and published. */
bool far_settled(const struct aggregator *a);

struct far_audit {
    uint32_t stored[FAR_ITEMS]; /* how often "i-<n>" is in the log */
    uint32_t events, others;    /* in the log; those that are no such item */
    uint32_t forgotten;         /* withdrawals in the log */
    uint64_t said_accepted, said_produced, said_dropped; /* by the newest */
    uint64_t lost;    /* refused, voided or passed over */
    bool views_agree; /* with the fold of the log */
};
void far_look(struct aggregator *a, struct far_audit *out);

#endif
