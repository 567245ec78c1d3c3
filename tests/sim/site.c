/* See site.h. A process that dies is told to stop with its disk dead and its
 * link mute, so that its memory is freed by its own code and no effect of that
 * reaches anybody. */
#include "site.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk.h"
#include "ledger.h"
#include "net.h"

struct site_counts site_counts;

void site_make(unsigned agents)
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

    snprintf(world.dir, sizeof world.dir, "%s/sotto-sim-XXXXXX", base);
    sim_must(mkdtemp(world.dir), "making a folder");
    for (unsigned i = 0; i < NODES_MAX; i++) {
        struct node *n = &world.nodes[i];
        n->number = i;
        if (i == AGGREGATOR)
            snprintf(n->name, sizeof n->name, "aggregator");
        else
            snprintf(n->name, sizeof n->name, "agent-%u", i);
        snprintf(n->dir, sizeof n->dir, "%s/%s", world.dir, n->name);
        n->loop.data = n;
    }
    disk_init();
    aggregator_make();
    agents_make(agents);
}

void site_fini(void)
{
    for (unsigned i = 0; i < NODES_MAX; i++)
        if (world.nodes[i].up)
            site_down(&world.nodes[i], false, false);
    agents_fini();
    aggregator_fini();
    ledger_fini();
    world_fini();
    disk_fini();
}

void site_down(struct node *n, bool power, bool torn)
{
    struct node *before = world.running;
    bool done = false;

    if (n->up) {
        trace("down %s%s%s", n->name, power ? " power" : "",
              torn ? " torn" : "");
        world.running = n;
        n->dying = true;
        n->disk = DISK_DEAD;
        n->disk_nth = 0;
        site_stop(n, &done);
        world_bury(n, &done);
        n->up = n->dying = false;
    }
    n->epoch++;
    n->disk = DISK_FINE;
    world.running = before;
    if (!power)
        return;
    disk_power(n, torn);
    site_gone(n);
}

static void boot(void *context, uint64_t argument)
{
    struct node *n = context;

    (void)argument;
    world.running = n;
    if (n->number == AGGREGATOR)
        aggregator_boot(-1);
    else
        agent_boot(n->number);
}

void site_up(struct node *n, int64_t after_ms)
{
    world_at(world.now_ms + after_ms, n, boot, n, 0, NULL);
}

static void kill_now(void *context, uint64_t argument)
{
    struct node *n = context;

    world.running = NULL;
    if (!n->up)
        return;
    site_down(n, argument & 1, argument & 2);
    site_up(n, chance_exponential(20 * SECOND));
}

void site_kill_soon(struct node *n, bool power, bool torn)
{
    if (!n->up)
        return;
    n->disk = DISK_DEAD;
    n->disk_nth = n->disk_count + 1 + chance_below(12);
    site_counts.kills += !power;
    site_counts.powers += power;
    site_counts.torn += torn;
    world_at(world.now_ms + chance_exponential(20 * SECOND), n, kill_now, n,
             (power ? 1u : 0u) | (torn ? 2u : 0u), NULL);
}

struct node *site_any_node(void)
{
    unsigned i = (unsigned)chance_below(agents_count() + 1);

    return &world.nodes[i == agents_count() ? AGGREGATOR : i];
}
