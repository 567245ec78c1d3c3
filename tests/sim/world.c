/* See world.h. The heap is ordered by time, then by when an event was made, so
 * a run depends on nothing but its seed. */
#include "world.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/dict.h"
#include "base/log.h"

#define WALL_START_MS INT64_C(1750000000000) /* June 2025 */

struct world world;

const char *const fault_names[FAULT_COUNT] = {
    "loss",
    "duplicate",
    "reorder",
    "delay",
    "corrupt",
    "forge",
    "partition",
    "half-open",
    "clock",
    "kill",
    "power",
    "restore-agent",
    "restore-aggregator",
    "clone",
    "full",
    "eio",
    "versions",
    "policy",
    "forget",
    "burst",
};

/* ---- chance: SplitMix64 (Steele, Lea, Flood, 2014) ---- */

static uint64_t split_mix(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t chance(void)
{
    return split_mix(&world.chance);
}

uint64_t chance_below(uint64_t limit)
{
    return chance() % limit;
}

bool chance_one_in(uint64_t n)
{
    return chance_below(n) == 0;
}

int64_t chance_exponential(int64_t mean_ms)
{
    double u = ((double)(chance() >> 11) + 1) / 9007199254740993.0;

    return 1 + (int64_t)(-log(u) * (double)mean_ms);
}

bool fault_on(enum sim_fault f)
{
    return world.faults[f] && !world.calm;
}

bool broken(const char *name)
{
    return strcmp(world.broken, name) == 0;
}

/* The programs' randomness: another stream, so that a change in how much they
 * draw does not change what the world does to them. */
static const char *entropy_name(void)
{
    return "simulator";
}

static uint32_t entropy_word(void)
{
    return (uint32_t)(split_mix(&world.entropy) >> 32);
}

static void entropy_fill(void *const out, const size_t size)
{
    uint64_t word;

    for (size_t at = 0; at < size; at += sizeof word) {
        word = split_mix(&world.entropy);
        memcpy((uint8_t *)out + at, &word,
               size - at < sizeof word ? size - at : sizeof word);
    }
}

static struct randombytes_implementation entropy = {
    .implementation_name = entropy_name,
    .random = entropy_word,
    .buf = entropy_fill,
};

/* ---- what the programs see of time, and say ---- */

static int64_t sim_wall_ms(void *context)
{
    (void)context;
    return WALL_START_MS + world.now_ms +
           (world.running ? world.running->wall_offset_ms : 0);
}

static int64_t sim_mono_ms(void *context)
{
    (void)context;
    return world.now_ms - (world.running ? world.running->booted_ms : 0) +
           SECOND;
}

const struct clock clock_system = {sim_wall_ms, sim_mono_ms, NULL};

void log_set_level(enum log_level level)
{
    (void)level;
}

void log_line(enum log_level level, const char *module, const char *format, ...)
{
    va_list args;

    if (!world.trace)
        return;
    printf("%12lld %-10s   log %d %s: ", (long long)world.now_ms,
           world.running ? world.running->name : "-", (int)level, module);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

void trace(const char *format, ...)
{
    char line[400];
    va_list args;
    int n =
        snprintf(line, sizeof line, "%12lld %-10s ", (long long)world.now_ms,
                 world.running ? world.running->name : "-");

    va_start(args, format);
    vsnprintf(line + n, sizeof line - (size_t)n, format, args);
    va_end(args);
    world.hash = hash64(line, strlen(line), world.hash);
    if (world.trace)
        puts(line);
}

void violated(const char *format, ...)
{
    va_list args;
    int n;

    if (*world.violation)
        return;
    n = snprintf(world.violation, sizeof world.violation,
                 "seed %llu, at %lld ms, %s: ", (unsigned long long)world.seed,
                 (long long)world.now_ms,
                 world.running ? world.running->name : "world");
    va_start(args, format);
    vsnprintf(world.violation + n, sizeof world.violation - (size_t)n, format,
              args);
    va_end(args);
    trace("VIOLATION %s", world.violation);
}

void sim_must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "sotto-sim: %s failed (seed %llu, at %lld ms)\n", what,
            (unsigned long long)world.seed, (long long)world.now_ms);
    abort();
}

/* ---- events ---- */

static bool earlier(const struct due *a, const struct due *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void swap_events(struct due *a, struct due *b)
{
    struct due other = *a;

    *a = *b;
    *b = other;
}

static void sift_down(size_t i)
{
    struct due *h = world.heap;

    for (;;) {
        size_t least = i, left = 2 * i + 1, right = left + 1;
        if (left < world.count && earlier(&h[left], &h[least]))
            least = left;
        if (right < world.count && earlier(&h[right], &h[least]))
            least = right;
        if (least == i)
            return;
        swap_events(&h[i], &h[least]);
        i = least;
    }
}

static void sift_up(size_t i)
{
    struct due *h = world.heap;

    for (; i > 0 && earlier(&h[i], &h[(i - 1) / 2]); i = (i - 1) / 2)
        swap_events(&h[i], &h[(i - 1) / 2]);
}

void world_at(int64_t at_ms, struct node *node, void (*run)(void *, uint64_t),
              void *context, uint64_t argument, void (*drop)(void *))
{
    if (world.count == world.capacity) {
        world.capacity = world.capacity ? 2 * world.capacity : 256;
        world.heap = realloc(world.heap, world.capacity * sizeof *world.heap);
        sim_must(world.heap, "memory");
    }
    world.heap[world.count] =
        (struct due){.at_ms = at_ms < world.now_ms ? world.now_ms : at_ms,
                     .order = world.order++,
                     .node = node,
                     .epoch = node ? node->epoch : 0,
                     .run = run,
                     .drop = drop,
                     .context = context,
                     .argument = argument};
    sift_up(world.count++);
}

static struct due take_event_at(size_t i)
{
    struct due e = world.heap[i];

    world.heap[i] = world.heap[--world.count];
    if (i < world.count) {
        sift_up(i);
        sift_down(i);
    }
    return e;
}

static void run_event(const struct due *e)
{
    struct node *before = world.running;

    if (e->node && e->epoch != e->node->epoch) {
        if (e->drop)
            e->drop(e->context);
        return;
    }
    world.running = e->node;
    e->run(e->context, e->argument);
    world.running = before;
    world.steps++;
}

bool world_step(void)
{
    struct due e;

    if (world.count == 0 || *world.violation)
        return false;
    e = take_event_at(0);
    world.now_ms = e.at_ms;
    run_event(&e);
    return !*world.violation;
}

void world_run_of(struct node *n)
{
    size_t first = SIZE_MAX;
    struct due e;

    for (size_t i = 0; i < world.count; i++)
        if (world.heap[i].node == n && world.heap[i].epoch == n->epoch &&
            (first == SIZE_MAX || earlier(&world.heap[i], &world.heap[first])))
            first = i;
    sim_must(first != SIZE_MAX, "the end of a process");
    e = take_event_at(first);
    if (e.at_ms > world.now_ms)
        world.now_ms = e.at_ms;
    run_event(&e);
}

void world_bury(struct node *n, const bool *done)
{
    int64_t now_ms = world.now_ms; /* it goes on for the dying one alone */

    while (!*done)
        world_run_of(n);
    world.now_ms = now_ms;
}

void world_init(uint64_t seed)
{
    randombytes_set_implementation(&entropy);
    sim_must(sodium_init() >= 0, "libsodium");
    world.seed = seed;
    world.chance = seed * UINT64_C(0xda942042e4dd58b5) + 1;
    world.entropy = ~world.chance;
    world.hash = seed;
    if (!world.broken)
        world.broken = "";
}

void world_fini(void)
{
    while (world.count > 0) {
        struct due e = take_event_at(world.count - 1);
        if (e.drop)
            e.drop(e.context);
    }
    free(world.heap);
    world.heap = NULL;
}
