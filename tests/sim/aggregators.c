/* The aggregator's machine; see site.h. */
#include "site.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aggregator/aggregator.h"
#include "base/clock.h"
#include "disk.h"
#include "ledger.h"

static struct aggregator *it;     /* NULL: down */
static struct backup *backups[2]; /* the newest first */
static int64_t times_ms[2];

static struct node *machine(void)
{
    return &world.nodes[AGGREGATOR];
}

void aggregator_make(void)
{
    char path[256];
    struct why why = {.text = ""};
    int fd;

    world.running = machine();
    sim_must(!mkdir(machine()->dir, 0700), machine()->dir);
    /* store_open looks for the file by itself before SQLite does. */
    snprintf(path, sizeof path, "%s/aggregator.db", machine()->dir);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    sim_must(fd >= 0 && close(fd) == 0, path);
    sim_must(!aggregator_init(machine()->dir, &why), why.text);
    aggregator_boot(-1);
    world.running = NULL;
}

void aggregator_fini(void)
{
    backup_free(backups[0]);
    backup_free(backups[1]);
}

/* Looks at the disk as it is, whatever fault waits there for the program. */
static void audit(int64_t backup_ms)
{
    enum disk_fault disk = machine()->disk;
    uint64_t count = machine()->disk_count;

    machine()->disk = DISK_FINE;
    ledger_audit(it->store, backup_ms, policies_find, it->policies);
    machine()->disk = disk;
    machine()->disk_count = count;
}

void aggregator_boot(int64_t backup_ms)
{
    struct node *n = machine();
    struct why why = {.text = ""};
    enum sotto_err err;

    if (n->up)
        return;
    n->booted_ms = world.now_ms;
    err = aggregator_open(&it, &n->loop, n->dir, true, &why);
    if (err) {
        trace("boot failed: %s", err_text(err));
        it = NULL;
        if (err != SOTTO_EIO && err != SOTTO_EFULL && err != SOTTO_EAGAIN)
            violated("the aggregator does not open: %s", why.text);
        n->epoch++;
        site_up(n, 10 * SECOND);
        return;
    }
    n->up = true;
    trace("up");
    audit(backup_ms);
}

void aggregator_audit(void)
{
    if (it && machine()->disk == DISK_FINE)
        audit(-1);
}

void aggregator_claims(void)
{
    if (it && ledger_counts.forks == 0 && site_counts.agent_restores == 0 &&
        site_counts.aggregator_restores == 0 && site_counts.clones == 0)
        ledger_claims(it->store);
}

static void stopped(void *owner)
{
    it = NULL;
    *(bool *)owner = true;
}

void aggregator_down(bool *done);
void aggregator_down(bool *done)
{
    aggregator_stop(it, stopped, done);
}

void aggregator_backup(void)
{
    backup_free(backups[1]);
    backups[1] = backups[0];
    times_ms[1] = times_ms[0];
    backups[0] = disk_backup(machine());
    times_ms[0] = world.now_ms;
    trace("backup");
}

static void old_policies(void *context, uint64_t argument)
{
    (void)context;
    (void)argument;
    if (!agents_old_policies())
        world_at(world.now_ms + MINUTE, NULL, old_policies, NULL, 0, NULL);
}

void aggregator_restore(bool older)
{
    const struct backup *b = backups[older ? 1 : 0];

    if (!b)
        return;
    site_down(machine(), true, false);
    disk_restore(machine(), b);
    world.running = machine();
    trace("restored");
    site_counts.aggregator_restores++;
    aggregator_boot(times_ms[older ? 1 : 0]);
    world.running = NULL;
    /* The operator adds again what the backup did not have. */
    world_at(world.now_ms + 5 * MINUTE, NULL, old_policies, NULL, 0, NULL);
}

const char *aggregator_waiting(void)
{
    if (!it)
        return "the aggregator is down";
    return aggregator_folded(it) ? "" : "the views have not folded the log";
}

struct keys *aggregator_keys(void)
{
    return it->keys;
}

bool aggregator_token(const char *name, uint8_t secret[32])
{
    return !roster_token(it->roster, name, 1, INT64_C(1900000000000), secret);
}

bool aggregator_policy(struct span container, uint8_t *hash)
{
    struct node *before = world.running;
    const struct policy *added = NULL;
    struct why why = {.text = ""};
    enum sotto_err err;

    if (!it)
        return false;
    world.running = machine();
    err = policies_add(it->policies, container, clock_wall_ms(&clock_system),
                       &added, &why);
    if (hash && (!err || err == SOTTO_EEXIST)) /* the newest in any case */
        memcpy(hash, policies_current(it->policies)->hash, HASH_SIZE);
    if (!err) {
        ingest_policy_added(it->ingest, added->hash);
        publisher_policy(it->publisher);
    }
    world.running = before;
    return !err || err == SOTTO_EEXIST;
}

void aggregator_commits(const void *entries, size_t count)
{
    ledger_committed(entries, count, policies_find, it->policies);
}
