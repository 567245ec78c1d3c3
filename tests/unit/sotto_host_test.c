/* What libsotto does to the program it lives in: memory, threads, system calls,
 * signals, fork, and the program's sudden end. A host that is killed is this
 * program started again with arguments. */
#include "sotto/sotto.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/app.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* ---- allocations of one thread, counted ---- */

#if !SANITIZED
static _Thread_local unsigned allocations;

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

void *malloc(size_t size)
{
    allocations++;
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size)
{
    allocations++;
    return __libc_calloc(count, size);
}
void *realloc(void *old, size_t size)
{
    allocations++;
    return __libc_realloc(old, size);
}
#endif

/* ---- resources ---- */

static size_t entries(const char *dir)
{
    DIR *d = opendir(dir);
    size_t count = 0;

    assert_non_null(d);
    while (readdir(d))
        count++;
    closedir(d);
    return count;
}

static size_t resident_pages(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    size_t size = 0, resident = 0;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%zu %zu", &size, &resident), 2);
    fclose(file);
    return resident;
}

static void many_cycles_leak_nothing(void **state)
{
    enum { WARM = 140, CYCLES = 260 };
    struct fixture *f = *state;
    size_t fds = 0, threads = 0, heap = 0, pages = 0;

    for (int i = 0; i < CYCLES; i++) {
        struct sotto *s = open_home(f, f->home);
        assert_int_equal(track(s, "Product Viewed"), SOTTO_OK);
        assert_int_equal(close_all(s), i + 1);
        if (i == WARM) {
            fds = entries("/proc/self/fd");
            threads = entries("/proc/self/task");
            heap = mallinfo2().uordblks;
            pages = resident_pages();
        }
    }
    assert_int_equal(entries("/proc/self/fd"), fds);
    assert_int_equal(entries("/proc/self/task"), threads);
    if (!SANITIZED) {
        assert_in_range(mallinfo2().uordblks, 0, heap + 64 * 1024);
        assert_in_range(resident_pages(), 0, pages + 100);
    }
}

#define THREADS 4
#define EACH 5000

struct producer {
    struct sotto *sotto;
    uint64_t taken, refused;
};

static void *produce(void *argument)
{
    struct producer *p = argument;

    for (int i = 0; i < EACH; i++) {
        if (track(p->sotto, i % 5 ? "Product Viewed" : "Nobody Knows"))
            p->refused++;
        else
            p->taken++;
    }
    return NULL;
}

static void threads_share_a_handle(void **state)
{
    struct fixture *f = *state;
    struct producer producers[THREADS] = {{0}};
    pthread_t threads[THREADS];
    struct sotto_counts c;
    struct sotto *s;
    uint64_t taken = 0, refused = 0;
    char home[256];

    fixture_home(f, "wide", "ring_size: 8MiB\n", home, sizeof home);
    s = open_home(f, home);
    for (int i = 0; i < THREADS; i++) {
        producers[i].sotto = s;
        pthread_create(&threads[i], NULL, produce, &producers[i]);
    }
    for (int i = 0; i < 50; i++) { /* changes meanwhile */
        assert_int_equal(sotto_identify(s, "visitor-17"), SOTTO_OK);
        assert_int_equal(sotto_consent(s, "personalise", i % 2), SOTTO_OK);
        c = counts(s);
        assert_int_equal(c.produced, c.accepted + c.dropped);
        assert_int_equal(sotto_session_begin(s), SOTTO_OK);
        assert_int_equal(sotto_session_end(s), SOTTO_OK);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        taken += producers[i].taken;
        refused += producers[i].refused;
    }
    c = counts(s);
    assert_balanced(&c);
    assert_int_equal(c.accepted, taken);
    assert_int_equal(c.dropped, refused);
    assert_int_equal(taken + refused, THREADS * EACH);
    assert_int_equal(close_all(s), taken);
}

static void track_allocates_nothing(void **state)
{
    struct fixture *f = *state;
    struct sotto *s;

    if (SANITIZED)
        skip();
    s = open_home(f, f->home);
    assert_int_equal(sotto_consent(s, "personalise", true), SOTTO_OK);
    assert_int_equal(sotto_identify(s, "visitor-17"), SOTTO_OK);
#if !SANITIZED
    unsigned before = allocations;
    for (int i = 0; i < 1000; i++)
        track(s, i % 2 ? "Product Viewed" : "Nobody Knows");
    assert_int_equal(allocations, before);
    assert_int_equal(sotto_identify(s, "visitor-18"), SOTTO_OK);
    assert_true(allocations > before); /* the counter counts */
#endif
    close_all(s);
}

struct strict {
    struct sotto *sotto;
    _Atomic int taken;
    bool cheat; /* makes a system call, which must show */
};

/* From here the kernel ends the calling thread at any system call but its
 * exit. (Strict mode would forbid the time stamp counter too.) */
static bool forbid_system_calls(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_THREAD),
    };
    struct sock_fprog program = {.len = sizeof rules / sizeof rules[0],
                                 .filter = rules};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void *track_strictly(void *argument)
{
    struct strict *t = argument;

    if (!forbid_system_calls())
        atomic_store(&t->taken, -1);
    else
        for (int i = 0; i < 1000; i++) {
            if (t->cheat && i == 500)
                getppid();
            if (track(t->sotto, "Product Viewed") == SOTTO_OK)
                atomic_fetch_add(&t->taken, 1);
        }
    syscall(SYS_exit, 0);
    return NULL;
}

static int taken_strictly(struct sotto *s, bool cheat)
{
    struct strict t = {.sotto = s, .cheat = cheat};
    pthread_t thread;

    pthread_create(&thread, NULL, track_strictly, &t);
    pthread_join(thread, NULL);
    return t.taken;
}

static void track_makes_no_system_call(void **state)
{
    struct fixture *f = *state;
    struct sotto *s;
    int taken;

    if (SANITIZED)
        skip();
    s = open_home(f, f->home);
    assert_int_equal(sotto_consent(s, "personalise", true), SOTTO_OK);
    assert_int_equal(sotto_identify(s, "visitor-17"), SOTTO_OK);
    taken = taken_strictly(s, false);
    if (taken < 0)
        print_message("skipped: no seccomp here\n");
    else
        assert_int_equal(taken, 1000);
    if (taken >= 0)
        assert_int_equal(taken_strictly(s, true), 500);
    close_all(s);
}

/* ---- death and fork ---- */

/* What the killed host shares with the test. */
struct shared {
    _Atomic uint64_t taken, refused;
};

static struct shared *map_shared(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct shared *shared;

    if (fd < 0 || ftruncate(fd, sizeof *shared) != 0)
        abort();
    shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return shared;
}

/* host HOME SHARED: tracks until it is killed. */
static int host(char **argv)
{
    struct sotto_options o = {.size = sizeof o, .dir = argv[2]};
    struct shared *shared = map_shared(argv[3]);
    struct sotto *s;

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that ends leaves no host */
    if (sotto_open(&s, &o, NULL) != SOTTO_OK)
        return 1;
    for (;;)
        if (track(s, "Product Viewed") == SOTTO_OK)
            atomic_fetch_add(&shared->taken, 1);
        else
            atomic_fetch_add(&shared->refused, 1);
}

static void kill_while_tracking(const struct fixture *f, struct shared *shared,
                                char *path, uint64_t more)
{
    extern char **environ;
    char *argv[] = {(char *)"sotto_test", (char *)"host", (char *)f->home, path,
                    NULL};
    uint64_t want = atomic_load(&shared->taken) + more;
    pid_t pid;
    int status = 0;

    assert_int_equal(
        posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
    for (int ms = 0; ms < 60000 && atomic_load(&shared->taken) < want; ms++)
        poll(NULL, 0, 1);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_true(atomic_load(&shared->taken) >= want);
}

static void kill_9_loses_nothing_accepted(void **state)
{
    static const uint64_t after[] = {1, 7, 300, 5000, 40000};
    struct fixture *f = *state;
    char path[256];
    struct shared *shared;
    uint64_t deaths = 0;

    close_all(open_home(f, f->home));
    snprintf(path, sizeof path, "%s/shared", f->dir);
    shared = map_shared(path);
    for (size_t i = 0; i < sizeof after / sizeof after[0]; i++) {
        struct sotto *s;
        struct sotto_counts c;

        kill_while_tracking(f, shared, path, after[i]);
        deaths++;
        s = open_home(f, f->home);
        c = counts(s);
        assert_balanced(&c);
        /* At each death one event may be in but not counted by its host. */
        assert_in_range(c.accepted, shared->taken, shared->taken + deaths);
        assert_in_range(c.dropped, shared->refused, shared->refused + deaths);
        assert_int_equal(close_all(s), c.accepted);
    }
    munmap(shared, sizeof *shared);
}

static void forked_child_is_refused(void **state)
{
    struct fixture *f = *state;
    struct sotto *s = open_home(f, f->home);
    int status = 0;
    pid_t pid;

    assert_int_equal(track(s, "Product Viewed"), SOTTO_OK);
    pid = fork();
    if (pid == 0) {
        struct sotto_counts c = {.size = sizeof c};
        uint64_t left = 0;
        bool refused = track(s, "Product Viewed") == SOTTO_ECLOSED &&
                       sotto_consent(s, "campaign", true) == SOTTO_ECLOSED &&
                       sotto_identify(s, "x") == SOTTO_ECLOSED &&
                       sotto_flush(s, 10) == SOTTO_ECLOSED &&
                       sotto_stats(s, &c) == SOTTO_ECLOSED &&
                       sotto_close(s, 10, &left) == SOTTO_ECLOSED;
        _exit(refused ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(track(s, "Product Viewed"), SOTTO_OK);
    assert_int_equal(close_all(s), 2);
}

static void library_threads_block_signals(void **state)
{
    struct fixture *f = *state;
    struct sotto *s = open_home(f, f->home);
    char path[64], line[256];
    sigset_t mine;
    DIR *d = opendir("/proc/self/task");
    struct dirent *entry;
    int others = 0;

    pthread_sigmask(SIG_SETMASK, NULL, &mine);
    assert_false(sigismember(&mine, SIGTERM)); /* the caller's is as before */
    while ((entry = readdir(d))) {
        unsigned long long blocked = 0;
        bool told = false;
        FILE *file;
        if (*entry->d_name == '.' || atoi(entry->d_name) == getpid())
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%.20s/status",
                 entry->d_name);
        file = fopen(path, "r");
        if (!file)
            continue; /* a dialling thread that has ended since */
        while (!told && fgets(line, sizeof line, file))
            told = sscanf(line, "SigBlk: %llx", &blocked) == 1;
        fclose(file);
        if (!told)
            continue;
        assert_true(blocked >> (SIGTERM - 1) & 1);
        others++;
    }
    closedir(d);
    assert_true(others > 0);
    close_all(s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(many_cycles_leak_nothing),      TEST(threads_share_a_handle),
        TEST(track_allocates_nothing),       TEST(track_makes_no_system_call),
        TEST(kill_9_loses_nothing_accepted), TEST(forked_child_is_refused),
        TEST(library_threads_block_signals),
    };

    if (argc == 4 && strcmp(argv[1], "host") == 0)
        return host(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
