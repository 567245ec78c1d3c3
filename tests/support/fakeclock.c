/* The clocks of a machine whose clock is wrong, for LD_PRELOAD into a daemon
 * or an application: the time of day and the monotonic clock are what a mapped
 * file says, and both may run faster than real time, waiting included, so that
 * a day of a daemon passes in a second.
 *
 * The file (environment variable FAKECLOCK) holds the six numbers of struct
 * sheet; the test writes it (tests/flow/harness.py, class Clock) while the
 * program runs. Nanoseconds:
 *
 *     monotonic = mono_ns + rate * (now - since_ns)
 *     wall      = wall_ns + wall_rate * (now - since_ns)     (0: it stands)
 *
 * A wait is cut into slices of at most SLICE_NS of real time, so that it
 * notices when the test moves a clock: its caller sees a spurious wakeup, which
 * POSIX allows for conditions; epoll_wait goes on by itself. Without FAKECLOCK
 * nothing changes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define MS INT64_C(1000000)
#define SLICE_NS (20 * MS)

struct sheet {
    _Atomic int64_t version; /* odd while the test writes */
    _Atomic int64_t since_ns, mono_ns, rate, wall_ns, wall_rate;
};

struct reading {
    int64_t real_ns, mono_ns, wall_ns, rate, wall_rate;
};

static struct sheet *sheet;

__attribute__((constructor)) static void sheet_open(void)
{
    const char *file = getenv("FAKECLOCK");
    int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
    void *at;

    if (!file)
        return;
    at = fd < 0 ? MAP_FAILED
                : mmap(NULL, sizeof *sheet, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        abort(); /* a test with the real clock would prove nothing */
    close(fd);
    sheet = at;
}

static int64_t to_ns(const struct timespec *t)
{
    return t->tv_sec * SECOND + t->tv_nsec;
}

static struct timespec to_timespec(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / SECOND, .tv_nsec = ns % SECOND};
}

static int real_gettime(clockid_t id, struct timespec *t)
{
    static int (*_Atomic real)(clockid_t, struct timespec *);
    int (*call)(clockid_t, struct timespec *) = real;

    if (!call) {
        *(void **)&call = dlsym(RTLD_NEXT, "clock_gettime");
        real = call;
    }
    return call(id, t);
}

static struct reading sheet_read(void)
{
    struct reading r;
    struct timespec now;
    int64_t version, passed;

    real_gettime(CLOCK_MONOTONIC, &now);
    r.real_ns = to_ns(&now);
    do {
        version = atomic_load(&sheet->version) & ~INT64_C(1);
        passed = r.real_ns - sheet->since_ns;
        r.rate = sheet->rate;
        r.wall_rate = sheet->wall_rate;
        r.mono_ns = sheet->mono_ns;
        r.wall_ns = sheet->wall_ns;
    } while (atomic_load(&sheet->version) != version);
    if (passed < 0) /* written after now was read */
        passed = 0;
    r.mono_ns += r.rate * passed;
    r.wall_ns += r.wall_rate * passed;
    return r;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    struct reading r;

    if (!sheet)
        return real_gettime(id, t);
    switch (id) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        r = sheet_read();
        *t = to_timespec(r.wall_ns);
        return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
        r = sheet_read();
        *t = to_timespec(r.mono_ns);
        return 0;
    default:
        return real_gettime(id, t);
    }
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    struct timespec t;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &t);
    tv->tv_sec = t.tv_sec;
    tv->tv_usec = t.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    if (out)
        *out = t.tv_sec;
    return t.tv_sec;
}

/* ---- waiting ---- */

/* Real time from now to `until`, at most a slice; 0: it is over. */
static int64_t slice_to(int64_t until, int64_t now, int64_t rate)
{
    int64_t left;

    if (until <= now)
        return 0;
    left = rate > 0 ? (until - now) / rate : SLICE_NS;
    return left < 1 ? 1 : left < SLICE_NS ? left : SLICE_NS;
}

/* The clock that a condition waits by: glibc keeps it in the second bit. libuv
 * asks for the monotonic one; NNG 1.5 of Debian takes the time of day. */
static bool is_monotonic(const pthread_cond_t *condition)
{
    return (condition->__data.__wrefs & 2) != 0;
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition,
                           pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until)
{
    bool monotonic = is_monotonic(condition);
    struct timespec end;
    struct reading r;
    int64_t slice;
    int rc;

    if (!sheet)
        return pthread_cond_clockwait(
            condition, mutex, monotonic ? CLOCK_MONOTONIC : CLOCK_REALTIME,
            until);
    r = sheet_read();
    slice = monotonic ? slice_to(to_ns(until), r.mono_ns, r.rate)
                      : slice_to(to_ns(until), r.wall_ns, r.wall_rate);
    end = to_timespec(r.real_ns + slice);
    rc = pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &end);
    if (rc != ETIMEDOUT)
        return rc;
    r = sheet_read();
    return to_ns(until) <= (monotonic ? r.mono_ns : r.wall_ns) ? ETIMEDOUT : 0;
}

int epoll_pwait(int fd, struct epoll_event *events, int count, int timeout_ms,
                const sigset_t *signals)
{
    struct reading r;
    int64_t end;
    int rc;

    if (!sheet || timeout_ms <= 0)
        return (int)syscall(SYS_epoll_pwait, fd, events, count, timeout_ms,
                            signals, 8);
    r = sheet_read();
    end = r.mono_ns + timeout_ms * MS;
    do {
        rc = (int)syscall(
            SYS_epoll_pwait, fd, events, count,
            (int)((slice_to(end, r.mono_ns, r.rate) + MS - 1) / MS), signals,
            8);
        r = sheet_read();
    } while (rc == 0 && r.mono_ns < end);
    return rc;
}

int epoll_wait(int fd, struct epoll_event *events, int count, int timeout_ms)
{
    return epoll_pwait(fd, events, count, timeout_ms, NULL);
}
