/* The command line: one row per option, one row per verb; parsing, defaults,
 * checks and --help walk these tables.
 *
 * GNU long options. `PROGRAM --help`, `PROGRAM VERB --help`, `--version`.
 * A wrong option or argument prints one sentence with a did-you-mean to
 * standard error and exits 2. */
#ifndef SOTTO_BASE_CLI_H
#define SOTTO_BASE_CLI_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum option_kind {
    OPTION_FLAG,     /* bool */
    OPTION_TEXT,     /* const char *, borrowed from argv */
    OPTION_COUNT,    /* int64_t, min..max */
    OPTION_DURATION, /* int64_t milliseconds, ISO 8601 */
    OPTION_TIME,     /* int64_t Unix milliseconds */
    OPTION_LIST,     /* struct cli_list: may be given more than once */
};

#define CLI_LIST_MAX 16
struct cli_list {
    const char *text[CLI_LIST_MAX];
    int count;
};

struct option_row {
    const char *name; /* without the dashes; NULL ends the table */
    char letter;      /* 0: none */
    enum option_kind kind;
    void *into;          /* where the value goes; holds the default before */
    const char *value;   /* placeholder in the help: "FILE" */
    const char *help;
    int64_t min, max; /* OPTION_COUNT; both 0: no bounds */
    bool required;
};

#define CLI_ARGS_MAX 64
struct verb_row {
    const char *name;    /* "import"; NULL ends the table; words may have a
                            space: "policy add" */
    const char *args;    /* synopsis of the arguments: "FILE" */
    const char *summary; /* one line for the list of verbs */
    const char *detail;  /* paragraphs for VERB --help; may be NULL */
    struct option_row *options; /* may be NULL */
    int args_min, args_max;
    int (*run)(int argc, const char *const *argv); /* returns the exit code */
};

/* Runs the verb named on the command line; returns the exit code. */
int cli_main(const char *program, const char *about,
             const struct verb_row *verbs, int argc, char **argv);

/* For programs that have options but no verbs (sotto examples, simulator):
 * parses into the rows, leaves the arguments in argv/argc order. Exits by
 * itself on --help, --version and errors; args NULL: takes none.
 * Returns the count of arguments. */
int cli_parse(const char *program, const char *about, const char *args,
              struct option_row *options, int argc, char **argv,
              const char *positional[CLI_ARGS_MAX]);

/* A progress bar on standard error when it is a terminal, otherwise nothing;
 * total 0 means unknown. Redrawn at most ten times a second. */
void cli_progress(const char *what, uint64_t done, uint64_t total);
void cli_progress_end(void);

/* The nearest of names (NULL-terminated) to given, or NULL if none is near. */
const char *cli_nearest(const char *given, const char *const *names);

#endif
