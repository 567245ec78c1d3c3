/* The programs on their machines: some agents, one aggregator. Booting,
 * killing, restoring; what they are given to do. agents.c and aggregators.c
 * are apart because each side has a struct settings of its own. */
#ifndef SOTTO_SIM_SITE_H
#define SOTTO_SIM_SITE_H

#include "world.h"

struct keys;
struct peer;
struct store;

struct site_counts {
    uint64_t kills, powers, torn, agent_restores, aggregator_restores, clones;
    uint64_t policies, forgets, bursts;
};
extern struct site_counts site_counts;

/* Folders, keys, an officer's policy, enrolment tokens; everything boots. */
void site_make(unsigned agents);
void site_fini(void);

/* ---- agents.c ---- */
void agents_make(unsigned agents);
void agents_fini(void);
unsigned agents_count(void); /* a clone is one too */
void agent_boot(unsigned i);
void agent_backup(unsigned i);
void agent_restore(unsigned i, bool older);
void agent_clone(unsigned i); /* once a run; nothing if there is one */
void agent_burst(unsigned i, unsigned events);
void agent_forget(unsigned i);
/* The balance of each agent that did something since. */
void agents_check(void);
void agent_touched(const struct node *n);
/* "" when everything that was taken is acknowledged. */
const char *agents_waiting(void);
void agents_policy(void);       /* another version, to the aggregator */
bool agents_old_policies(void); /* all of them, after a restore */

/* ---- aggregators.c ---- */
void aggregator_make(void);
void aggregator_fini(void);
void aggregator_boot(int64_t backup_ms); /* restored from; or -1 */
void aggregator_backup(void);
void aggregator_restore(bool older);
void aggregator_audit(void);  /* if it is up */
void aggregator_claims(void); /* at rest, if nobody was restored or copied */
const char *aggregator_waiting(void);
struct keys *aggregator_keys(void);
bool aggregator_token(const char *name, uint8_t secret[32]);
/* The hash of what was added into hash, if not NULL. */
bool aggregator_policy(struct span container, uint8_t *hash);
void aggregator_commits(const void *entries, size_t count);

/* ---- both: site.c ---- */
/* The process ends at once; power: what was not synced goes too. */
void site_down(struct node *n, bool power, bool torn);
void site_stop(struct node *n, bool *done); /* the program's own end */
void site_up(struct node *n, int64_t after_ms);
/* A kill within the next operations on its disk. */
void site_kill_soon(struct node *n, bool power, bool torn);
struct node *site_any_node(void);
void site_gone(struct node *n); /* the ring with the power */

/* Faults by chance from now on; and the load. */
void faults_start(void);
void faults_calm(bool calm); /* heals everything and lets it come to rest */

#endif
