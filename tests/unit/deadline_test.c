/* What ends in time is waited for, what does not is given up. */
#include "link/deadline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <signal.h>

#include <cmocka.h>
#include <uv.h>

#define PATIENCE_MS 20000

struct task {
    atomic_bool go, seen_blocked;
    atomic_int runs;
};

static void work(void *arg)
{
    struct task *t = arg;
    sigset_t mine;

    pthread_sigmask(SIG_SETMASK, NULL, &mine);
    atomic_store(&t->seen_blocked, sigismember(&mine, SIGTERM) == 1);
    while (!atomic_load(&t->go))
        uv_sleep(1);
    atomic_fetch_add(&t->runs, 1);
}

static void what_ends_is_waited_for(void **state)
{
    struct task t = {.go = true};

    (void)state;
    for (int i = 1; i <= 100; i++) {
        assert_true(deadline_run(work, &t, PATIENCE_MS));
        assert_int_equal(atomic_load(&t.runs), i);
    }
    assert_true(atomic_load(&t.seen_blocked));
}

/* Its thread ends by itself when the work does, and frees what is left. */
static void what_does_not_end_is_given_up(void **state)
{
    static struct task t;
    uint64_t begun_ns = uv_hrtime();

    (void)state;
    assert_false(deadline_run(work, &t, 50));
    assert_true(uv_hrtime() - begun_ns >= 50 * 1000000u);
    assert_int_equal(atomic_load(&t.runs), 0);
    atomic_store(&t.go, true);
    while (atomic_load(&t.runs) == 0)
        uv_sleep(1);
    uv_sleep(20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_ends_is_waited_for),
        cmocka_unit_test(what_does_not_end_is_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
