/* Chunks are handed out by one atomic counter; the caller's thread works too,
 * so a machine that refuses threads is slow and not broken. */
#include "aggregator/model/effort.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>

#define THREADS_MAX 64

struct crew {
    struct effort *effort;
    const struct effort_step *step;
    uint32_t count, chunk;
    _Atomic uint64_t next;
    pthread_mutex_t lock; /* guards err and err_from */
    enum sotto_err err;
    uint64_t err_from;
    atomic_bool stop;
};

static void crew_fail(struct crew *c, enum sotto_err err, uint64_t from)
{
    pthread_mutex_lock(&c->lock);
    if (!c->err || from < c->err_from) {
        c->err = err;
        c->err_from = from;
    }
    pthread_mutex_unlock(&c->lock);
    atomic_store(&c->stop, true);
}

static void *crew_member(void *arg)
{
    struct crew *c = arg;
    const struct effort_step *step = c->step;
    void *scratch = step->open ? step->open(step->context) : NULL;

    if (step->open && !scratch) {
        crew_fail(c, SOTTO_ENOMEM, 0);
        return NULL;
    }
    while (!atomic_load(&c->stop)) {
        uint64_t from = atomic_fetch_add(&c->next, c->chunk);
        uint64_t upto = from + c->chunk;
        enum sotto_err err;

        if (from >= c->count)
            break;
        if (upto > c->count)
            upto = c->count;
        if (atomic_load(&c->effort->cancelled)) {
            crew_fail(c, SOTTO_ECLOSED, from);
            break;
        }
        err =
            step->work(step->context, scratch, (uint32_t)from, (uint32_t)upto);
        if (err)
            crew_fail(c, err, from);
        atomic_fetch_add(&c->effort->done, upto - from);
    }
    if (step->close)
        step->close(scratch);
    return NULL;
}

static unsigned processors(void)
{
    cpu_set_t set;
    int count = 0;

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        count = CPU_COUNT(&set);
    return count > 0 ? (unsigned)count : 1;
}

enum sotto_err effort_run(struct effort *e, const struct effort_step *step,
                          uint32_t count, uint32_t chunk)
{
    pthread_t helpers[THREADS_MAX];
    unsigned wanted = e->threads ? e->threads : processors();
    unsigned started = 0;
    struct crew c = {
        .effort = e, .step = step, .count = count, .chunk = chunk ? chunk : 1};

    if (wanted > THREADS_MAX)
        wanted = THREADS_MAX;
    if (pthread_mutex_init(&c.lock, NULL))
        return SOTTO_ENOMEM;
    atomic_store(&e->done, 0);
    atomic_store(&e->total, count);
    while (started + 1 < wanted && (uint64_t)(started + 1) * c.chunk < count) {
        if (pthread_create(&helpers[started], NULL, crew_member, &c))
            break;
        started++;
    }
    crew_member(&c);
    for (unsigned i = 0; i < started; i++)
        pthread_join(helpers[i], NULL);
    pthread_mutex_destroy(&c.lock);
    return c.err;
}

void *effort_alloc(uint64_t count, uint64_t size)
{
    uint64_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX)
        return NULL;
    return calloc(1, bytes ? (size_t)bytes : 1);
}
