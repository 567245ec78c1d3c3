/* One owner of a directory: in one process, between two, after a death. */
#include "base/dirlock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    char parent[64];
    char dir[80];
    char lock[96];
};

static int make_place(void **state)
{
    struct place *p = calloc(1, sizeof(*p));

    if (!p)
        return -1;
    snprintf(p->parent, sizeof(p->parent), "/tmp/sotto-lock-XXXXXX");
    if (!mkdtemp(p->parent))
        return -1;
    snprintf(p->dir, sizeof(p->dir), "%s/data", p->parent);
    snprintf(p->lock, sizeof(p->lock), "%s/lock", p->dir);
    *state = p;
    return 0;
}

static int drop_place(void **state)
{
    struct place *p = *state;

    unlink(p->lock);
    rmdir(p->dir);
    rmdir(p->parent);
    free(p);
    return 0;
}

static void makes_the_directory_for_its_owner_only(void **state)
{
    struct place *p = *state;
    struct dirlock l;
    struct stat st;
    mode_t before = umask(0);

    assert_int_equal(dirlock_take(&l, p->dir, true, NULL), SOTTO_OK);
    umask(before);
    assert_int_equal(stat(p->dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(stat(p->lock, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    dirlock_release(&l);
    assert_int_equal(l.fd, -1);
    dirlock_release(&l);
}

static void refuses_a_second_owner_until_the_first_lets_go(void **state)
{
    struct place *p = *state;
    struct dirlock first, second;
    struct why why = {""};

    assert_int_equal(dirlock_take(&first, p->dir, true, &why), SOTTO_OK);
    assert_int_equal(dirlock_take(&second, p->dir, true, &why), SOTTO_ELOCKED);
    assert_int_equal(second.fd, -1);
    assert_non_null(strstr(why.text, p->dir));
    dirlock_release(&first);
    assert_int_equal(dirlock_take(&second, p->dir, false, &why), SOTTO_OK);
    dirlock_release(&second);
}

static void a_killed_owner_leaves_no_lock(void **state)
{
    struct place *p = *state;
    struct dirlock l;
    int told[2], hold[2]; /* the child ends when our end of hold closes */
    int status;
    char taken = 0;
    pid_t child;

    assert_int_equal(pipe(told), 0);
    assert_int_equal(pipe(hold), 0);
    child = fork();
    if (child == 0) {
        taken = dirlock_take(&l, p->dir, true, NULL) == SOTTO_OK;
        close(hold[1]);
        if (write(told[1], &taken, 1) == 1)
            taken = (char)read(hold[0], &taken, 1);
        _exit(taken);
    }
    assert_true(child > 0);
    assert_int_equal(read(told[0], &taken, 1), 1);
    assert_int_equal(taken, 1);
    assert_int_equal(dirlock_take(&l, p->dir, true, NULL), SOTTO_ELOCKED);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(dirlock_take(&l, p->dir, true, NULL), SOTTO_OK);
    dirlock_release(&l);
    close(told[0]);
    close(told[1]);
    close(hold[0]);
    close(hold[1]);
}

static void does_not_make_what_was_not_asked_for(void **state)
{
    struct place *p = *state;
    struct dirlock l;
    struct why why = {""};
    struct stat st;
    char deep[128];

    assert_int_equal(dirlock_take(&l, p->dir, false, &why), SOTTO_ENOTFOUND);
    assert_non_null(strstr(why.text, p->dir));
    assert_int_equal(l.fd, -1);
    assert_int_equal(stat(p->dir, &st), -1);
    snprintf(deep, sizeof(deep), "%s/a/b", p->dir);
    assert_int_equal(dirlock_take(&l, deep, true, &why), SOTTO_ENOTFOUND);
}

static void does_not_follow_a_link_or_lock_a_file(void **state)
{
    struct place *p = *state;
    struct dirlock l;

    assert_int_equal(mkdir(p->dir, 0700), 0);
    assert_int_equal(symlink("elsewhere", p->lock), 0);
    assert_int_equal(dirlock_take(&l, p->dir, true, NULL), SOTTO_EIO);
    assert_int_equal(unlink(p->lock), 0);
    assert_int_equal(dirlock_take(&l, p->dir, true, NULL), SOTTO_OK);
    dirlock_release(&l);
    assert_int_equal(dirlock_take(&l, p->lock, true, NULL), SOTTO_EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(makes_the_directory_for_its_owner_only,
                                        make_place, drop_place),
        cmocka_unit_test_setup_teardown(
            refuses_a_second_owner_until_the_first_lets_go, make_place,
            drop_place),
        cmocka_unit_test_setup_teardown(a_killed_owner_leaves_no_lock,
                                        make_place, drop_place),
        cmocka_unit_test_setup_teardown(does_not_make_what_was_not_asked_for,
                                        make_place, drop_place),
        cmocka_unit_test_setup_teardown(does_not_follow_a_link_or_lock_a_file,
                                        make_place, drop_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
