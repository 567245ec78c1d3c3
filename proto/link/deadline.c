/* See deadline.h. */
#include "link/deadline.h"

#include <stdlib.h>

#include <pthread.h>
#include <signal.h>
#include <uv.h>

/* Goes with the last of the two who know it. */
struct deadline {
    void (*work)(void *arg);
    void *arg;
    uv_mutex_t lock;
    uv_cond_t change;
    bool ended, given_up;
};

static void forget(struct deadline *d)
{
    uv_cond_destroy(&d->change);
    uv_mutex_destroy(&d->lock);
    free(d);
}

static void *work_on_thread(void *arg)
{
    struct deadline *d = arg;
    bool given_up;

    d->work(d->arg);
    uv_mutex_lock(&d->lock);
    d->ended = true;
    given_up = d->given_up;
    uv_cond_signal(&d->change);
    uv_mutex_unlock(&d->lock);
    if (given_up)
        forget(d);
    return NULL;
}

static struct deadline *begin(void (*work)(void *arg), void *arg)
{
    struct deadline *d = calloc(1, sizeof *d);
    sigset_t all, before;
    pthread_t thread;
    int failed;

    if (!d)
        return NULL;
    d->work = work;
    d->arg = arg;
    if (uv_mutex_init(&d->lock) != 0) {
        free(d);
        return NULL;
    }
    if (uv_cond_init(&d->change) != 0) {
        uv_mutex_destroy(&d->lock);
        free(d);
        return NULL;
    }
    sigfillset(&all); /* signals are for the program's own threads */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&thread, NULL, work_on_thread, d);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        forget(d);
        return NULL;
    }
    pthread_detach(thread);
    return d;
}

bool deadline_run(void (*work)(void *arg), void *arg, int64_t max_ms)
{
    struct deadline *d = begin(work, arg);
    const uint64_t until_ns = uv_hrtime() + (uint64_t)max_ms * 1000000;
    bool ended;

    if (!d) {
        work(arg);
        return true;
    }
    uv_mutex_lock(&d->lock);
    for (uint64_t now = uv_hrtime(); !d->ended && now < until_ns;
         now = uv_hrtime())
        uv_cond_timedwait(&d->change, &d->lock, until_ns - now);
    ended = d->ended;
    d->given_up = !ended;
    uv_mutex_unlock(&d->lock);
    if (ended)
        forget(d);
    return ended;
}
