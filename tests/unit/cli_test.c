/* The command line as a person meets it: each call runs in a child whose
 * output and exit code are read back. */
#include "base/cli.h"

#include "base/when.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define WORDS_MAX 40

struct outcome {
    char out[4096];
    char err[4096];
    int exit_code;
};

static struct values {
    bool dry;
    const char *output;
    int64_t count;
    int64_t age_ms;
    int64_t since_ms;
    struct cli_list tags;
} v = {.output = "-", .count = 7, .age_ms = 900000, .since_ms = WHEN_NONE};

static struct option_row options[] = {
    {"dry-run", 'n', OPTION_FLAG, &v.dry, NULL, "change nothing", 0, 0, false},
    {"output", 'o', OPTION_TEXT, &v.output, "FILE", "where it goes", 0, 0,
     false},
    {"count", 'c', OPTION_COUNT, &v.count, NULL,
     "how many of them, told in so many words that the line must be broken", 1,
     10, false},
    {"age", 0, OPTION_DURATION, &v.age_ms, NULL, "how old", 0, 0, false},
    {"since", 0, OPTION_TIME, &v.since_ms, NULL, "from when", 0, 0, false},
    {"tag", 't', OPTION_LIST, &v.tags, NULL, "a tag", 0, 0, false},
    {NULL, 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, false},
};

static const char *key;
static struct option_row add_options[] = {
    {"key", 'k', OPTION_TEXT, &key, "FILE", "the key", 0, 0, true},
    {NULL, 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, false},
};

static int run_import(int argc, const char *const *argv)
{
    char age[32], since[32];

    duration_format(age, v.age_ms);
    when_format(since, v.since_ms);
    printf("dry=%d output=%s count=%lld age=%s since=%s tags=", v.dry, v.output,
           (long long)v.count, age, since);
    for (int i = 0; i < v.tags.count; i++)
        printf("%s,", v.tags.text[i]);
    printf(" args=");
    for (int i = 0; i < argc; i++)
        printf("%s,", argv[i]);
    return 0;
}

static int run_add(int argc, const char *const *argv)
{
    printf("add %s with %s", argc ? argv[0] : "nothing", key);
    return EXIT_REFUSED;
}

static const struct verb_row verbs[] = {
    {"import", "FILE...", "Reads files.", "It reads them.\n\nOne by one.",
     options, 1, 3, run_import},
    {"policy add", "FILE", "Adds a policy.", NULL, add_options, 1, 1, run_add},
    {"status", NULL, "Tells how it is.", NULL, NULL, 0, 0, run_import},
    {NULL, NULL, NULL, NULL, NULL, 0, 0, NULL},
};

static int call_main(int argc, char **argv)
{
    return cli_main("sotto-agent", "Collects events.", verbs, argc, argv);
}

static int call_parse(int argc, char **argv)
{
    const char *positional[CLI_ARGS_MAX];

    argc = cli_parse("sim", "Simulates.", "WORD...", options, argc, argv,
                     positional);
    return run_import(argc, positional);
}

static void read_back(FILE *from, char *into, size_t size)
{
    size_t n;

    rewind(from);
    n = fread(into, 1, size - 1, from);
    into[n] = '\0';
    fclose(from);
}

static struct outcome run(int (*call)(int, char **), const char *line)
{
    struct outcome o = {.exit_code = -1};
    FILE *out = tmpfile(), *err = tmpfile();
    int status;
    pid_t child;

    assert_non_null(out);
    assert_non_null(err);
    fflush(NULL);
    child = fork();
    if (child == 0) {
        char words[1024], *argv[WORDS_MAX + 1] = {words};
        int argc = 0;

        snprintf(words, sizeof(words), "program %s", line);
        for (char *w = strtok(words, " "); w && argc < WORDS_MAX;
             w = strtok(NULL, " "))
            argv[argc++] = w;
        dup2(fileno(out), STDOUT_FILENO);
        dup2(fileno(err), STDERR_FILENO);
        exit(call(argc, argv));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status))
        o.exit_code = WEXITSTATUS(status);
    read_back(out, o.out, sizeof(o.out));
    read_back(err, o.err, sizeof(o.err));
    return o;
}

static void expect(int (*call)(int, char **), const char *line, int exit_code,
                   const char *out, const char *err)
{
    struct outcome o = run(call, line);

    if (o.exit_code != exit_code || !strstr(o.out, out) || !strstr(o.err, err))
        fail_msg("'%s' gave %d\n%s\n%s", line, o.exit_code, o.out, o.err);
    if (exit_code == EXIT_USAGE) /* one sentence, and nothing else */
        assert_true(o.out[0] == '\0' &&
                    strchr(o.err, '\n') == o.err + strlen(o.err) - 1);
}

static void defaults_stay_where_nothing_is_given(void **state)
{
    (void)state;
    expect(call_main, "import a.csv", 0,
           "dry=0 output=- count=7 age=PT15M since=- tags= args=a.csv,", "");
}

static void takes_options_in_every_form_and_place(void **state)
{
    (void)state;
    expect(call_main,
           "import a -n --output=x b -c 9 --age P1D --since 2026-12-01 "
           "-t p --tag=q -- -c",
           0,
           "dry=1 output=x count=9 age=P1D since=2026-12-01T00:00:00Z "
           "tags=p,q, args=a,b,-c,",
           "");
    expect(call_main, "import --out=y -nc3 a", 0, "dry=1 output=y count=3", "");
}

static void two_words_make_one_verb(void **state)
{
    (void)state;
    expect(call_main, "policy add p.yaml --key k", EXIT_REFUSED,
           "add p.yaml with k", "");
    expect(call_main, "policy", EXIT_USAGE, "", "did you mean 'policy add'?");
    expect(call_main, "policy ad p.yaml", EXIT_USAGE, "",
           "did you mean 'policy add'?");
}

static void names_the_verb_or_option_that_was_meant(void **state)
{
    (void)state;
    expect(call_main, "improt a", EXIT_USAGE, "", "did you mean 'import'?");
    expect(call_main, "xyzzy", EXIT_USAGE, "", "there is no verb 'xyzzy';");
    expect(call_main, "", EXIT_USAGE, "", "say which verb");
    expect(call_main, "--dry-run import", EXIT_USAGE, "", "verb comes first");
    expect(call_main, "import a --cuont=3", EXIT_USAGE, "",
           "did you mean --count?");
    expect(call_main, "import a --wrong", EXIT_USAGE, "", "no option --wrong");
    expect(call_main, "import a -x", EXIT_USAGE, "", "no option -x");
}

static void refuses_wrong_values(void **state)
{
    (void)state;
    expect(call_main, "import a -c 11", EXIT_USAGE, "", "between 1 and 10");
    expect(call_main, "import a -c 0", EXIT_USAGE, "", "between 1 and 10");
    expect(call_main, "import a -c 3x", EXIT_USAGE, "", "not a whole number");
    expect(call_main, "import a -c 99999999999999999999", EXIT_USAGE, "",
           "between 1 and 10");
    expect(call_main, "import a --age 3d", EXIT_USAGE, "", "not a duration");
    expect(call_main, "import a --since 2026-02-30", EXIT_USAGE, "",
           "not a time");
    expect(call_main, "import a --dry-run=1", EXIT_USAGE, "",
           "--dry-run takes no value");
    expect(call_main, "import a --help=1", EXIT_USAGE, "",
           "--help takes no value");
    expect(call_main, "import a --count", EXIT_USAGE, "",
           "--count needs a value");
    expect(call_main, "import a -c", EXIT_USAGE, "", "-c needs a value");
}

static void refuses_a_seventeenth_item_of_a_list(void **state)
{
    char line[256] = "import a";

    (void)state;
    for (int i = 0; i < CLI_LIST_MAX; i++)
        strcat(line, " -t x");
    expect(call_main, line, 0, "tags=x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x, ", "");
    strcat(line, " -t x");
    expect(call_main, line, EXIT_USAGE, "", "16 times at most");
}

static void counts_arguments_and_asks_for_what_is_required(void **state)
{
    (void)state;
    expect(call_main, "import", EXIT_USAGE, "", "FILE... is missing");
    expect(call_main, "import a b c d", EXIT_USAGE, "", "too many arguments");
    expect(call_main, "status x", EXIT_USAGE, "", "too many arguments");
    expect(call_main, "policy add p", EXIT_USAGE, "", "--key is missing");
}

static void help_tells_synopsis_defaults_and_detail(void **state)
{
    const char *line;
    struct outcome o = run(call_main, "import --help");

    (void)state;
    assert_int_equal(o.exit_code, 0);
    assert_non_null(
        strstr(o.out, "Usage: sotto-agent import [OPTION]... FILE...\n"));
    assert_non_null(strstr(o.out, "  -o, --output=FILE"));
    assert_non_null(strstr(o.out, "where it goes (default -)"));
    assert_non_null(strstr(o.out, "default 7; 1 to 10)"));
    assert_non_null(strstr(o.out, "how old (default PT15M)"));
    assert_non_null(strstr(o.out, "from when\n"));
    assert_non_null(strstr(o.out, "a tag (may be given again)"));
    assert_non_null(strstr(o.out, "\nIt reads them.\n\nOne by one.\n"));
    for (line = o.out; *line; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") < 80);
    expect(call_main, "policy add --help", 0, "the key (required)", "");
    expect(call_main, "--help", 0, "  policy add", "");
}

static void version_names_program_and_number(void **state)
{
    (void)state;
    expect(call_main, "--version", 0, "sotto-agent 0.1.0\n", "");
    expect(call_parse, "--version", 0, "sim 0.1.0\n", "");
}

static void a_program_without_verbs_parses_the_same_rows(void **state)
{
    (void)state;
    expect(call_parse, "a -c 2 b", 0, "count=2 ", "");
    expect(call_parse, "a -c 2 b", 0, "args=a,b,", "");
    expect(call_parse, "--conut=2", EXIT_USAGE, "", "sim: there is no option");
    expect(call_parse, "--help", 0, "Usage: sim [OPTION]... WORD...\n", "");
}

static void finds_the_nearest_name_or_none(void **state)
{
    const char *const names[] = {"run", "status", "doctor", "check-config",
                                 NULL};
    char longest[300];

    (void)state;
    memset(longest, 'a', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    assert_string_equal(cli_nearest("rnu", names), "run");
    assert_string_equal(cli_nearest("STATSU", names), "status");
    assert_string_equal(cli_nearest("docter", names), "doctor");
    assert_string_equal(cli_nearest("checkconfig", names), "check-config");
    assert_null(cli_nearest("x", names));
    assert_null(cli_nearest("", names));
    assert_null(cli_nearest("banana", names));
    assert_null(cli_nearest(longest, names));
}

static int call_progress(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    cli_progress("folding", 1, 2);
    cli_progress_end();
    return 0;
}

static void draws_progress_on_a_terminal_only(void **state)
{
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    char drawn[256] = "";
    int saved = dup(STDERR_FILENO), side;
    ssize_t n;

    (void)state;
    assert_string_equal(run(call_progress, "").err, "");
    if (terminal < 0) {
        print_message("skipped: no pseudo-terminals here\n");
        skip();
    }
    assert_true(grantpt(terminal) == 0 &&
                unlockpt(terminal) == 0);
    side = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    assert_true(side >= 0);
    dup2(side, STDERR_FILENO);
    cli_progress("folding", 1, 2);
    cli_progress("folding", 2, 2); /* too soon to be drawn */
    dup2(saved, STDERR_FILENO);
    n = read(terminal, drawn, sizeof(drawn) - 1);
    assert_true(n > 0);
    assert_non_null(strstr(drawn, "folding [############            ]  50%"));
    assert_null(strstr(drawn, "100%"));
    cli_progress_end();
    close(side);
    close(terminal);
    close(saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_stay_where_nothing_is_given),
        cmocka_unit_test(takes_options_in_every_form_and_place),
        cmocka_unit_test(two_words_make_one_verb),
        cmocka_unit_test(names_the_verb_or_option_that_was_meant),
        cmocka_unit_test(refuses_wrong_values),
        cmocka_unit_test(refuses_a_seventeenth_item_of_a_list),
        cmocka_unit_test(counts_arguments_and_asks_for_what_is_required),
        cmocka_unit_test(help_tells_synopsis_defaults_and_detail),
        cmocka_unit_test(version_names_program_and_number),
        cmocka_unit_test(a_program_without_verbs_parses_the_same_rows),
        cmocka_unit_test(finds_the_nearest_name_or_none),
        cmocka_unit_test(draws_progress_on_a_terminal_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
