/* agent.yaml: defaults without it, and errors that say where and what to do. */
#include "agent/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include <cmocka.h>

struct bench {
    char dir[64], file[96];
    struct settings s;
    struct why why;
};

static int setup(void **state)
{
    static struct bench b;

    memset(&b, 0, sizeof b);
    snprintf(b.dir, sizeof b.dir, "/tmp/sotto-settings-XXXXXX");
    assert_non_null(mkdtemp(b.dir));
    snprintf(b.file, sizeof b.file, "%s/agent.yaml", b.dir);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    unlink(b->file);
    return rmdir(b->dir);
}

static enum sotto_err load(struct bench *b, const char *text)
{
    b->why.text[0] = 0;
    assert_int_equal(file_replace(b->file, text, strlen(text), 0600), SOTTO_OK);
    return settings_load(&b->s, b->dir, &b->why);
}

static void no_file_means_the_defaults(void **state)
{
    struct bench *b = *state;

    assert_int_equal(settings_load(&b->s, b->dir, &b->why), SOTTO_OK);
    assert_int_equal(b->s.batch_events, 2000);
    assert_int_equal(b->s.batch_age_ms, 1000);
    assert_string_equal(b->s.ring_dir, "/dev/shm");
    assert_string_equal(b->s.aggregator, "");
    assert_true(b->s.ring_bytes >= 4 * b->s.batch_bytes);
}

static void what_is_written_counts_and_the_rest_stays(void **state)
{
    struct bench *b = *state;

    assert_int_equal(load(b, "aggregator: tcp://192.0.2.7:4711\n"
                             "batch_age: PT2S\n"
                             "batch_events: 7\n"
                             "spool_size: 3MiB\n"
                             "ring_dir: /run/sotto\n"),
                     SOTTO_OK);
    assert_string_equal(b->s.aggregator, "tcp://192.0.2.7:4711");
    assert_int_equal(b->s.batch_age_ms, 2000);
    assert_int_equal(b->s.batch_events, 7);
    assert_int_equal(b->s.spool_bytes, 3 << 20);
    assert_string_equal(b->s.ring_dir, "/run/sotto");
    assert_int_equal(b->s.batch_bytes, 256 * 1024);
}

static void an_error_says_file_line_and_key(void **state)
{
    static const struct {
        const char *text, *line, *says;
    } wrong[] = {
        {"batch_age: PT1S\nbatch_event: 7\n", ":2:", "batch_event"},
        {"\n\nbatch_events: 0\n", ":3:", "batch_events"},
        {"batch_events: 20001\n", ":1:", "batch_events"},
        {"batch_events: many\n", ":1:", "batch_events"},
        {"batch_age: fast\n", ":1:", "batch_age"},
        {"ring_dir: \"\"\n", ":1:", "1 to"},
        {"batch_events: 1\nbatch_events: 2\n", ":2:", "twice"},
        {"ring_size: 64KiB\nbatch_bytes: 32KiB\n", "agent.yaml", "ring_size"},
        {"- a\n- b\n", ":1:", ""},
        {"batch_events: [\n", "agent.yaml", ""},
    };
    struct bench *b = *state;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_not_equal(load(b, wrong[i].text), SOTTO_OK);
        assert_non_null(strstr(b->why.text, b->file));
        assert_non_null(strstr(b->why.text, wrong[i].line));
        assert_non_null(strstr(b->why.text, wrong[i].says));
        /* What was in force before the file stays: the defaults. */
        assert_int_equal(b->s.batch_events, 2000);
    }
}

static void texts_have_a_longest(void **state)
{
    struct bench *b = *state;
    char text[400];
    int longest = (int)sizeof b->s.ring_dir - 1;

    snprintf(text, sizeof text, "ring_dir: /%0*d\n", longest - 1, 0);
    assert_int_equal(load(b, text), SOTTO_OK);
    assert_int_equal(strlen(b->s.ring_dir), longest);
    snprintf(text, sizeof text, "ring_dir: /%0*d\n", longest, 0);
    assert_int_equal(load(b, text), SOTTO_EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_file_means_the_defaults),
        TEST(what_is_written_counts_and_the_rest_stays),
        TEST(an_error_says_file_line_and_key),
        TEST(texts_have_a_longest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
