/* Which misfortune when. Each kind is a process of its own with exponential
 * pauses; what lasts is healed by an event, and by faults_calm at the latest.
 */
#include "site.h"

#include <stdlib.h>

#include "ledger.h"

struct habit {
    enum sim_fault fault;
    int64_t every_ms; /* on average */
    void (*strike)(void);
};

static struct node *any_agent(void)
{
    return &world.nodes[chance_below(agents_count())];
}

/* ---- links ---- */

static void heal_link(void *context, uint64_t argument)
{
    struct node *n = context;

    (void)argument;
    n->to_blocked = n->from_blocked = false;
}

static void block(bool to, bool from, int64_t mean_ms)
{
    struct node *n = any_agent();

    n->to_blocked = to;
    n->from_blocked = from;
    trace("link of %s: %d %d", n->name, to, from);
    world_at(world.now_ms + chance_exponential(mean_ms), NULL, heal_link, n, 0,
             NULL);
}

static void partition(void)
{
    block(true, true, chance_one_in(3) ? 90 * MINUTE : 8 * MINUTE);
}

static void half_open(void)
{
    bool to = chance_one_in(2);

    block(to, !to, 5 * MINUTE);
}

/* ---- machines ---- */

static void clock_jump(void)
{
    static const int64_t agent_jumps[] = {MINUTE, HOUR, 24 * HOUR,
                                          24 * 3650 * HOUR};
    struct node *n = site_any_node();
    int64_t by = n->number == AGGREGATOR ? HOUR : agent_jumps[chance_below(4)];

    n->wall_offset_ms = chance_one_in(2) ? by : -by;
    trace("clock of %s by %lld", n->name, (long long)n->wall_offset_ms);
}

static void kill_process(void)
{
    site_kill_soon(site_any_node(), false, false);
}

static void power_cut(void)
{
    site_kill_soon(site_any_node(), true, chance_one_in(2));
}

static void restore_agent(void)
{
    agent_restore(any_agent()->number, chance_one_in(3));
}

static void restore_aggregator(void)
{
    aggregator_restore(chance_one_in(3));
}

static void clone_agent(void)
{
    agent_clone(any_agent()->number);
}

static void disk_room(void *context, uint64_t argument)
{
    struct node *n = context;

    (void)argument;
    if (n->disk == DISK_FULL)
        n->disk = DISK_FINE;
}

static void disk_full(void)
{
    struct node *n = site_any_node();

    if (n->disk != DISK_FINE)
        return;
    trace("disk of %s full", n->name);
    n->disk = DISK_FULL;
    world_at(world.now_ms + chance_exponential(5 * MINUTE), NULL, disk_room, n,
             0, NULL);
}

static void disk_error(void)
{
    struct node *n = site_any_node();

    if (n->disk != DISK_FINE)
        return;
    n->disk = DISK_ONCE;
    n->disk_nth = n->disk_count + 1 + chance_below(20);
}

static void version(void)
{
    struct node *n = site_any_node();

    n->old_version = !n->old_version;
}

/* ---- people ---- */

static void forget(void)
{
    agent_forget(any_agent()->number);
}

static void burst(void)
{
    site_counts.bursts++;
    agent_burst(any_agent()->number, 100 + (unsigned)chance_below(1500));
}

static const struct habit habits[] = {
    {FAULT_PARTITION, 40 * MINUTE, partition},
    {FAULT_HALF_OPEN, 60 * MINUTE, half_open},
    {FAULT_CLOCK, 60 * MINUTE, clock_jump},
    {FAULT_KILL, 10 * MINUTE, kill_process},
    {FAULT_POWER, 15 * MINUTE, power_cut},
    {FAULT_RESTORE_AGENT, 2 * HOUR, restore_agent},
    {FAULT_RESTORE_AGGREGATOR, 3 * HOUR, restore_aggregator},
    {FAULT_CLONE, 6 * HOUR, clone_agent},
    {FAULT_FULL, 60 * MINUTE, disk_full},
    {FAULT_EIO, 20 * MINUTE, disk_error},
    {FAULT_VERSIONS, 2 * HOUR, version},
    {FAULT_POLICY, 90 * MINUTE, agents_policy},
    {FAULT_FORGET, 30 * MINUTE, forget},
    {FAULT_BURST, 30 * MINUTE, burst},
};
#define HABITS (sizeof habits / sizeof *habits)

static void strike(void *context, uint64_t argument)
{
    const struct habit *h = &habits[argument];

    (void)context;
    if (fault_on(h->fault))
        h->strike();
    world_at(world.now_ms + chance_exponential(h->every_ms), NULL, strike, NULL,
             argument, NULL);
}

/* Backups are taken of machines that run, as an image would be. */
static void backup(void *context, uint64_t argument)
{
    (void)context;
    if (argument == AGGREGATOR)
        aggregator_backup();
    else if (argument < agents_count())
        agent_backup((unsigned)argument);
    world_at(world.now_ms + chance_exponential(2 * HOUR), NULL, backup, NULL,
             argument, NULL);
}

static void audit(void *context, uint64_t argument)
{
    (void)context;
    (void)argument;
    aggregator_audit();
    world_at(world.now_ms + 30 * MINUTE, NULL, audit, NULL, 0, NULL);
}

void faults_start(void)
{
    for (size_t i = 0; i < HABITS; i++)
        if (world.faults[habits[i].fault])
            world_at(chance_exponential(habits[i].every_ms), NULL, strike, NULL,
                     i, NULL);
    for (unsigned i = 0; i < NODES_MAX; i++)
        world_at(chance_exponential(HOUR), NULL, backup, NULL, i, NULL);
    world_at(HOUR, NULL, audit, NULL, 0, NULL);
}

void faults_calm(bool calm)
{
    world.calm = calm;
    trace("calm %d", calm);
    for (unsigned i = 0; i < NODES_MAX && calm; i++) {
        struct node *n = &world.nodes[i];
        n->to_blocked = n->from_blocked = false;
        n->wall_offset_ms = 0;
        if (n->disk != DISK_DEAD) /* that one is about to die */
            n->disk = DISK_FINE;
    }
}
