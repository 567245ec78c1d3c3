/* What a process of ours does at its start. Each look is first made at a
 * process that has not done it, which shows what there is to prevent. */
#include "base/daemon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* As an operator's shell may have it: cores as large as they get. */
static void allow_cores(void)
{
    struct rlimit core;

    if (getrlimit(RLIMIT_CORE, &core) != 0)
        _exit(99);
    core.rlim_cur = core.rlim_max;
    if (setrlimit(RLIMIT_CORE, &core) != 0)
        _exit(99);
}

/* Runs look in a child, in a folder of its own; returns how it ended. */
static int in_child(void (*look)(bool private), bool private)
{
    char dir[] = "/tmp/sotto-daemon-XXXXXX", core[64];
    int status = 0;
    pid_t child;

    assert_non_null(mkdtemp(dir));
    child = fork();
    if (child == 0) {
        if (chdir(dir) != 0)
            _exit(99);
        allow_cores();
        if (private)
            process_private();
        look(private);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    snprintf(core, sizeof core, "%s/core", dir);
    unlink(core);
    snprintf(core, sizeof core, "%s/core.%d", dir, (int)child);
    unlink(core);
    rmdir(dir);
    return status;
}

static void limits(bool private)
{
    struct rlimit core;

    if (getrlimit(RLIMIT_CORE, &core) != 0)
        _exit(99);
    if (private &&
        (prctl(PR_GET_DUMPABLE) != 0 || core.rlim_cur || core.rlim_max))
        _exit(1);
    if (!private && prctl(PR_GET_DUMPABLE) != 1)
        _exit(2);
}

static void is_not_dumpable_and_has_no_core_limit(void **state)
{
    (void)state;
    assert_int_equal(in_child(limits, false), 0);
    assert_int_equal(in_child(limits, true), 0);
}

static void stop(bool private)
{
    (void)private;
    abort();
}

static void an_abort_leaves_no_core(void **state)
{
    struct rlimit core;
    int status;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_CORE, &core), 0);
    status = in_child(stop, true);
    assert_true(WIFSIGNALED(status));
    assert_false(WCOREDUMP(status));
    if (core.rlim_max == 0) {
        print_message("no core may be made here at all\n");
        skip();
    }
    assert_true(WCOREDUMP(in_child(stop, false)));
}

/* A private process cannot be made to leave a core again by its limit. */
static void raise_limit(bool private)
{
    const struct rlimit some = {1 << 20, 1 << 20};

    if (private && geteuid() != 0 && setrlimit(RLIMIT_CORE, &some) == 0)
        _exit(1);
    if (private && geteuid() == 0) {
        setrlimit(RLIMIT_CORE, &some);
        abort(); /* root may raise it: the other guard stands by itself */
    }
}

static void each_guard_holds_by_itself(void **state)
{
    int status = in_child(raise_limit, true);

    (void)state;
    assert_true(WIFSIGNALED(status) ? !WCOREDUMP(status) : status == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_not_dumpable_and_has_no_core_limit),
        cmocka_unit_test(an_abort_leaves_no_core),
        cmocka_unit_test(each_guard_holds_by_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
