/* Log lines as they arrive: standard error is a pipe for the time of a test,
 * so that one read answers one write. */
#include "base/log.h"

#include "base/when.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int saved = -1;
static int ends[2];

static int redirect(void **state)
{
    (void)state;
    saved = dup(STDERR_FILENO);
    /* O_DIRECT: each write is a packet, each read returns one */
    if (saved < 0 || pipe2(ends, O_NONBLOCK | O_DIRECT))
        return -1;
    return dup2(ends[1], STDERR_FILENO) < 0 ? -1 : 0;
}

static int restore(void **state)
{
    (void)state;
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[0]);
    close(ends[1]);
    log_set_level(LOG_INFO);
    return 0;
}

/* What the next write(2) brought; empty if there was none. */
static const char *next_write(void)
{
    static char line[4096];
    ssize_t n = read(ends[0], line, sizeof(line) - 1);

    line[n > 0 ? n : 0] = '\0';
    return line;
}

static void a_line_has_time_level_module_and_text(void **state)
{
    const char *line;
    int64_t ms;

    (void)state;
    log_warn("uplink", "lost %d of %d", 2, 3);
    line = next_write();
    assert_int_equal(when_parse(&ms, span_of(line, 20)), SOTTO_OK);
    assert_string_equal(line + 20, " warn  uplink: lost 2 of 3\n");
    log_error("spool", "x");
    assert_string_equal(next_write() + 20, " error spool: x\n");
}

static void only_levels_that_were_asked_for_are_written(void **state)
{
    (void)state;
    log_debug("m", "hidden");
    assert_string_equal(next_write(), "");
    log_info("m", "shown");
    assert_string_not_equal(next_write(), "");
    log_set_level(LOG_WARN);
    log_info("m", "hidden");
    assert_string_equal(next_write(), "");
    log_set_level(LOG_DEBUG);
    log_debug("m", "shown");
    assert_string_not_equal(next_write(), "");
}

static void a_text_cannot_forge_a_second_line(void **state)
{
    (void)state;
    log_warn("m", "%s", "a\nb\033c\x7f");
    assert_string_equal(next_write() + 20, " warn  m: a?b?c?\n");
}

static void a_long_text_is_cut_and_still_ends_its_line(void **state)
{
    char text[3000];
    const char *line;
    size_t size;

    (void)state;
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    log_warn("m", "%s", text);
    line = next_write();
    size = strlen(line);
    assert_in_range(size, 1000, 1024);
    assert_int_equal(line[size - 1], '\n');
    assert_string_equal(next_write(), "");
}

static void errno_is_what_it_was_before_and_in_the_text(void **state)
{
    (void)state;
    errno = ENOENT;
    log_warn("m", "%m");
    assert_int_equal(errno, ENOENT);
    assert_non_null(strstr(next_write(), strerror(ENOENT)));
    close(STDERR_FILENO); /* the write itself fails */
    errno = EPERM;
    log_warn("m", "x");
    assert_int_equal(errno, EPERM);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, redirect, restore)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(a_line_has_time_level_module_and_text),
        LOG_TEST(only_levels_that_were_asked_for_are_written),
        LOG_TEST(a_text_cannot_forge_a_second_line),
        LOG_TEST(a_long_text_is_cut_and_still_ends_its_line),
        LOG_TEST(errno_is_what_it_was_before_and_in_the_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
