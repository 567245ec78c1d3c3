/* sotto-sim: the product's own agent and aggregator in a simulated world.
 *
 *   sotto-sim --seed 7 --hours 20              one run, all faults
 *   sotto-sim --seed 7 --hours 20 --trace      the same run, told
 *   sotto-sim --seed 1 --seeds 8 --hours 20 --jobs 2       CI size
 *   sotto-sim --seed 1 --seeds 500 --hours 20 --jobs 2     10,000 hours
 *   sotto-sim --faults kill,power --hours 5    some faults only
 *   sotto-sim --break gap-accepted --hours 5   must be found: exit 0 if it is
 *   sotto-sim --breaks                         every break, one after another
 *   sotto-sim --replay                         same seed, same trace
 *
 * Hours are simulated: three of faults, then a calm in which everything must be
 * delivered within CALM_MS, again and again. Each seed runs in a process of its
 * own. Exit 0 good, 1 a promise was broken, 2 usage. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hooks.h"
#include "ledger.h"
#include "net.h"
#include "site.h"

#define STORM_MS (3 * HOUR)
#define CALM_MS (30 * MINUTE) /* all back-offs are far below */
/* An agent with nothing to send learns by its next poll that the aggregator was
 * restored: 90 s until one in vain ends, a minute of back-off. */
#define CALM_MIN_MS (4 * MINUTE)
#define BREAK_SEEDS 6 /* tries to find a break */
#define BREAK_HOURS 24

struct plan {
    uint64_t seed;
    unsigned seeds, jobs, agents;
    int64_t hours;
    bool faults[FAULT_COUNT];
    const char *broken;
    bool trace, real_crypto;
};

struct result { /* of a seed, in memory shared with the parent */
    bool finished;
    uint64_t hash, steps;
    int64_t simulated_ms, drained_ms; /* the longest calm */
    double seconds;
    struct ledger_counts ledger;
    struct site_counts site;
    struct net_stats net;
    char violation[400];
};

/* ---- one run ---- */

static double now_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void tick(void *context, uint64_t argument)
{
    (void)argument;
    *(bool *)context = true;
}

static void run_until(int64_t end_ms)
{
    while (world.now_ms < end_ms && world_step())
        agents_check();
}

static const char *waiting(void)
{
    const char *what = agents_waiting();

    return *what ? what : aggregator_waiting();
}

/* Everything is delivered within CALM_MS, and what is not there is lost. */
static void calm(struct result *r)
{
    int64_t start = world.now_ms, rest_ms = start;
    bool look = false;

    faults_calm(true);
    world_at(world.now_ms + SECOND, NULL, tick, &look, 0, NULL);
    while (world_step()) {
        agents_check();
        if (!look)
            continue;
        look = false;
        if (*waiting())
            rest_ms = world.now_ms;
        else if (world.now_ms - start >= CALM_MIN_MS)
            break;
        if (world.now_ms - start > CALM_MS)
            violated("not delivered after %lld s without faults: %s",
                     (long long)(world.now_ms - start) / SECOND, waiting());
        world_at(world.now_ms + SECOND, NULL, tick, &look, 0, NULL);
    }
    if (rest_ms - start > r->drained_ms)
        r->drained_ms = rest_ms - start;
    aggregator_audit();
    aggregator_claims();
    ledger_close();
    faults_calm(false);
}

static void run(const struct plan *p, uint64_t seed, struct result *r)
{
    double start = now_seconds();

    setvbuf(stdout, NULL, _IOLBF, 0);
    memcpy(world.faults, p->faults, sizeof world.faults);
    world.broken = p->broken;
    world.trace = p->trace;
    world.real_crypto = p->real_crypto;
    world_init(seed);
    site_make(p->agents);
    faults_start();
    while (world.now_ms < p->hours * HOUR && !*world.violation) {
        run_until(world.now_ms + STORM_MS);
        if (!*world.violation)
            calm(r);
    }
    r->simulated_ms = world.now_ms;
    r->steps = world.steps;
    r->hash = world.hash;
    snprintf(r->violation, sizeof r->violation, "%s", world.violation);
    site_fini();
    r->ledger = ledger_counts;
    r->site = site_counts;
    r->net = net_stats;
    r->seconds = now_seconds() - start;
    r->finished = true;
}

/* ---- many runs ---- */

static pid_t start(const struct plan *p, uint64_t seed, struct result *r)
{
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        run(p, seed, r);
        fflush(stdout);
        exit(0);
    }
    sim_must(pid > 0, "fork");
    return pid;
}

static struct result *results_make(unsigned count)
{
    struct result *r = mmap(NULL, count * sizeof *r, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    sim_must(r != MAP_FAILED, "memory");
    return r;
}

static void run_all(const struct plan *p, struct result *results)
{
    unsigned started = 0, running = 0;

    while (started < p->seeds || running > 0) {
        if (started < p->seeds && running < p->jobs) {
            start(p, p->seed + started, &results[started]);
            started++;
            running++;
        } else if (wait(NULL) > 0) {
            running--;
        }
    }
    for (unsigned i = 0; i < p->seeds; i++)
        if (!results[i].finished)
            snprintf(results[i].violation, sizeof results[i].violation,
                     "seed %llu: an assertion ended it",
                     (unsigned long long)(p->seed + i));
}

#define ADD(member) sum->member += r->member

static void add(struct result *sum, const struct result *r)
{
    ADD(steps);
    ADD(simulated_ms);
    ADD(seconds);
    ADD(ledger.taken);
    ADD(ledger.dropped);
    ADD(ledger.stored);
    ADD(ledger.lost);
    ADD(ledger.doubled);
    ADD(ledger.in_ring_lost);
    ADD(ledger.voided);
    ADD(ledger.rolled_back);
    ADD(ledger.refused);
    ADD(ledger.gaps);
    ADD(ledger.left);
    ADD(ledger.moved);
    ADD(ledger.rows);
    ADD(ledger.commits);
    ADD(ledger.forks);
    ADD(ledger.rewinds);
    ADD(ledger.voids);
    ADD(ledger.early);
    ADD(site.kills);
    ADD(site.powers);
    ADD(site.torn);
    ADD(site.agent_restores);
    ADD(site.aggregator_restores);
    ADD(site.clones);
    ADD(site.policies);
    ADD(site.forgets);
    ADD(net.requests);
    ADD(net.lost);
    ADD(net.doubled);
    ADD(net.changed);
    ADD(net.forged);
    if (sum->drained_ms < r->drained_ms)
        sum->drained_ms = r->drained_ms;
}

static void count(const char *name, uint64_t value)
{
    printf("  %-34s %12llu\n", name, (unsigned long long)value);
}

static void report(const struct result *sum, double wall)
{
    count("hours simulated", (uint64_t)(sum->simulated_ms / HOUR));
    count("times real time",
          (uint64_t)((double)sum->simulated_ms / 1000 / (wall + 1e-9)));
    count("steps", sum->steps);
    count("events taken", sum->ledger.taken);
    count("events refused by track()", sum->ledger.dropped);
    count("rows sealed", sum->ledger.rows);
    count("groups committed", sum->ledger.commits);
    count("requests", sum->net.requests);
    count("messages lost", sum->net.lost);
    count("messages doubled", sum->net.doubled);
    count("messages changed", sum->net.changed);
    count("acknowledgements forged", sum->net.forged);
    count("held early", sum->ledger.early);
    count("kills", sum->site.kills);
    count("power cuts", sum->site.powers);
    count("  of them torn", sum->site.torn);
    count("agents restored", sum->site.agent_restores);
    count("aggregators restored", sum->site.aggregator_restores);
    count("clones", sum->site.clones);
    count("forks", sum->ledger.forks);
    count("rewinds", sum->ledger.rewinds);
    count("rows in recorded gaps", sum->ledger.gaps);
    count("rows voided", sum->ledger.voids);
    count("rows that came again after a fork", sum->ledger.moved);
    count("policies", sum->site.policies);
    count("withdrawals", sum->site.forgets);
    count("longest delivery after faults, s",
          (uint64_t)(sum->drained_ms / SECOND));
    count("events stored", sum->ledger.stored);
    count("  went with the ring and the power", sum->ledger.in_ring_lost);
    count("  voided", sum->ledger.voided);
    count("  rolled back with their agent", sum->ledger.rolled_back);
    count("  let go by replay, then restored away", sum->ledger.left);
    count("lost", sum->ledger.lost);
    count("doubled", sum->ledger.doubled);
    printf("sim: hours %llu, kills %llu, power cuts %llu, restored %llu, "
           "events %llu, lost %llu, doubled %llu\n",
           (unsigned long long)(sum->simulated_ms / HOUR),
           (unsigned long long)sum->site.kills,
           (unsigned long long)sum->site.powers,
           (unsigned long long)(sum->site.agent_restores +
                                sum->site.aggregator_restores),
           (unsigned long long)sum->ledger.taken,
           (unsigned long long)sum->ledger.lost,
           (unsigned long long)sum->ledger.doubled);
}

static int simulate(const struct plan *p)
{
    struct result *results = results_make(p->seeds), sum = {0};
    double began = now_seconds();
    int status = 0;

    run_all(p, results);
    for (unsigned i = 0; i < p->seeds; i++) {
        add(&sum, &results[i]);
        if (*results[i].violation) {
            printf("BROKEN %s\n", results[i].violation);
            status = 1;
        }
    }
    if (p->seeds == 1)
        printf("trace %016llx\n", (unsigned long long)results[0].hash);
    report(&sum, now_seconds() - began);
    munmap(results, p->seeds * sizeof *results);
    return status;
}

/* ---- the controls ---- */

static bool faults_parse(bool faults[FAULT_COUNT], const char *list)
{
    const char *at = list;

    memset(faults, 0, FAULT_COUNT * sizeof *faults);
    while (*at) {
        size_t size = strcspn(at, ","), i;
        for (i = 0; i < FAULT_COUNT; i++)
            if (strlen(fault_names[i]) == size &&
                memcmp(fault_names[i], at, size) == 0)
                break;
        if (i == FAULT_COUNT)
            return false;
        faults[i] = true;
        at += size + (at[size] == ',');
    }
    return true;
}

/* Several seeds at most; the first that finds it will do. The same seeds
 * without the break must find nothing, or the finding proves nothing. */
static bool control(const struct plan *base, const struct sim_break *b)
{
    struct result *results = results_make(BREAK_SEEDS);
    struct plan p = *base;
    bool found = false, clean = true;

    faults_parse(p.faults, b->faults);
    p.seeds = 1;
    for (unsigned i = 0; i < BREAK_SEEDS && !found; i++) {
        p.seed = base->seed + i;
        p.broken = b->name;
        p.hours = BREAK_HOURS;
        run_all(&p, &results[i]);
        found = *results[i].violation;
        printf("%-18s %s\n", b->name,
               found ? results[i].violation : "not found, another seed");
        if (!found)
            continue;
        p.broken = "";
        p.hours = results[i].simulated_ms / HOUR + 1;
        memset(&results[i], 0, sizeof results[i]);
        run_all(&p, &results[i]);
        clean = !*results[i].violation;
        if (!clean)
            printf("%-18s NOT CLEAN without it: %s\n", b->name,
                   results[i].violation);
    }
    munmap(results, BREAK_SEEDS * sizeof *results);
    return found && clean;
}

static int controls(const struct plan *p, const char *only)
{
    unsigned found = 0, all = 0;

    for (const struct sim_break *b = breaks; b->name; b++) {
        if (only && strcmp(only, b->name) != 0)
            continue;
        all++;
        found += control(p, b);
    }
    printf("sim: breaks caught %u of %u\n", found, all);
    return found == all && all > 0 ? 0 : 1;
}

static int replay(const struct plan *base)
{
    struct result *results = results_make(3);
    struct plan p = *base;
    bool same, other;

    p.seeds = 1;
    run_all(&p, &results[0]);
    run_all(&p, &results[1]);
    p.seed++;
    run_all(&p, &results[2]);
    same = results[0].hash == results[1].hash &&
           results[0].steps == results[1].steps && results[0].finished;
    other = results[2].hash != results[0].hash && results[2].finished;
    printf("seed %llu: %016llx, again %016llx; seed %llu: %016llx\n",
           (unsigned long long)base->seed, (unsigned long long)results[0].hash,
           (unsigned long long)results[1].hash, (unsigned long long)p.seed,
           (unsigned long long)results[2].hash);
    munmap(results, 3 * sizeof *results);
    return same && other ? 0 : 1;
}

/* ---- the command line ---- */

static int usage(void)
{
    fprintf(stderr,
            "usage: sotto-sim [--seed N] [--seeds N] [--hours H] [--jobs N]\n"
            "                 [--agents 1..3] [--faults a,b,…|all|none]\n"
            "                 [--break NAME] [--breaks] [--replay] [--trace]\n"
            "                 [--real-crypto]\nfaults:");
    for (int i = 0; i < FAULT_COUNT; i++)
        fprintf(stderr, " %s", fault_names[i]);
    fprintf(stderr, "\nbreaks:\n");
    for (const struct sim_break *b = breaks; b->name; b++)
        fprintf(stderr, "  %-18s %s\n", b->name, b->text);
    return 2;
}

static bool number(const char *text, uint64_t from, uint64_t to, uint64_t *out)
{
    char *end;

    errno = 0;
    *out = text ? strtoull(text, &end, 10) : 0;
    return text && *text && !*end && !errno && *out >= from && *out <= to;
}

static bool parse(struct plan *p, const char *key, const char *value)
{
    uint64_t n;
    bool ok = true;

    if (strcmp(key, "--seed") == 0)
        return number(value, 0, UINT64_MAX, &p->seed);
    if (strcmp(key, "--faults") == 0) {
        bool all = value && strcmp(value, "all") == 0;
        if (!value || all || strcmp(value, "none") == 0)
            memset(p->faults, all, sizeof p->faults);
        else
            ok = faults_parse(p->faults, value);
        return ok && value;
    }
    if (strcmp(key, "--hours") == 0 && number(value, 1, 1000000, &n))
        p->hours = (int64_t)n;
    else if (strcmp(key, "--seeds") == 0 && number(value, 1, 1000000, &n))
        p->seeds = (unsigned)n;
    else if (strcmp(key, "--jobs") == 0 && number(value, 1, 256, &n))
        p->jobs = (unsigned)n;
    else if (strcmp(key, "--agents") == 0 &&
             number(value, 1, AGENTS_MAX - 1, &n))
        p->agents = (unsigned)n;
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    struct plan p = {.seed = 1,
                     .seeds = 1,
                     .jobs = 1,
                     .agents = 3,
                     .hours = 20,
                     .broken = ""};
    bool all_breaks = false, twice = false;
    const char *only = NULL;

    memset(p.faults, 1, sizeof p.faults);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0)
            p.trace = true;
        else if (strcmp(argv[i], "--real-crypto") == 0)
            p.real_crypto = true;
        else if (strcmp(argv[i], "--breaks") == 0)
            all_breaks = true;
        else if (strcmp(argv[i], "--replay") == 0)
            twice = true;
        else if (strcmp(argv[i], "--break") == 0 && i + 1 < argc)
            only = argv[++i];
        else if (i + 1 < argc && parse(&p, argv[i], argv[i + 1]))
            i++;
        else
            return usage();
    }
    if (all_breaks || only)
        return controls(&p, only);
    return twice ? replay(&p) : simulate(&p);
}
