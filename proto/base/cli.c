/* The command line, walked from tables of rows.
 *
 * What one parse needs lives in struct parse on the stack; getopt's own
 * globals are reset before each parse. The progress bar keeps where the
 * terminal is in a static at the end of this file: a process has one standard
 * error, and this file is part of programs, never of the library in somebody
 * else's process. */
#include "base/cli.h"

#include "base/clock.h"
#include "base/when.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define OPTIONS_MAX 64
#define VERBS_MAX 64
#define WORD_MAX 64
#define HELP_COLUMN 30
#define LINE_COLUMNS 79

/* What getopt_long returns: a letter, one of these, or ROW_BASE + row. */
enum { GOT_HELP = 1, GOT_VERSION = 2, ROW_BASE = 256 };

struct parse {
    const char *program;
    const struct verb_row *verb; /* its name is NULL in a program without */
    const struct option_row *rows;
    int row_count;
    bool seen[OPTIONS_MAX];
    struct option longs[OPTIONS_MAX + 3];
    char letters[2 * OPTIONS_MAX + 2];
};

/* Edit distance with swaps of neighbours (optimal string alignment), blind to
 * case; WORD_MAX for words longer than that. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t a_size = strlen(a), b_size = strlen(b);
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0], *above = rows[1], *here = rows[2];

    if (a_size > WORD_MAX || b_size > WORD_MAX)
        return WORD_MAX;
    for (size_t j = 0; j <= b_size; j++)
        before[j] = above[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t *free_row = before;

        here[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t best =
                above[j - 1] + (strncasecmp(&a[i - 1], &b[j - 1], 1) ? 1 : 0);

            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (here[j - 1] + 1 < best)
                best = here[j - 1] + 1;
            if (i > 1 && j > 1 && !strncasecmp(&a[i - 1], &b[j - 2], 1) &&
                !strncasecmp(&a[i - 2], &b[j - 1], 1) &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            here[j] = best;
        }
        before = above;
        above = here;
        here = free_row;
    }
    return above[b_size];
}

const char *cli_nearest(const char *given, const char *const *names)
{
    size_t far = (strlen(given) + 4) / 3; /* a short word allows one typo */
    const char *nearest = NULL;

    if (strlen(given) > WORD_MAX)
        return NULL;
    for (; *names; names++) {
        size_t distance = edit_distance(given, *names);

        if (distance < far) {
            far = distance;
            nearest = *names;
        }
    }
    return nearest;
}

/* Prints text from column on, breaking lines between words before they grow
 * over LINE_COLUMNS; later lines start at indent. A newline in text stays. */
static void print_wrapped(FILE *to, const char *text, int indent, int column)
{
    while (*text) {
        int spaces = (int)strspn(text, " ");
        int letters = (int)strcspn(text + spaces, " \n");

        if (column > indent && letters > 0 &&
            column + spaces + letters > LINE_COLUMNS) {
            fprintf(to, "\n%*s", indent, "");
            column = indent;
            text += spaces;
            spaces = 0;
        }
        fprintf(to, "%.*s", spaces + letters, text);
        column += spaces + letters;
        text += spaces + letters;
        if (*text == '\n') {
            text++;
            fprintf(to, "\n%*s", *text && *text != '\n' ? indent : 0, "");
            column = indent;
        }
    }
    fputc('\n', to);
}

static const char *placeholder(const struct option_row *row)
{
    static const char *const usual[] = {
        [OPTION_FLAG] = NULL,   [OPTION_TEXT] = "TEXT",
        [OPTION_COUNT] = "N",   [OPTION_DURATION] = "DURATION",
        [OPTION_TIME] = "TIME", [OPTION_LIST] = "TEXT",
    };

    if (row->kind == OPTION_FLAG)
        return NULL;
    return row->value ? row->value : usual[row->kind];
}

static bool has_bounds(const struct option_row *row)
{
    return row->kind == OPTION_COUNT && (row->min != 0 || row->max != 0);
}

/* Writes the value that a row holds before parsing; false if there is none
 * worth telling. */
static bool write_default(FILE *to, const struct option_row *row,
                          const char *before)
{
    char value[32] = "";
    const char *shown = value;

    switch (row->kind) {
    case OPTION_FLAG:
        shown = *(const bool *)row->into ? "on" : NULL;
        break;
    case OPTION_TEXT:
        shown = *(const char *const *)row->into;
        break;
    case OPTION_COUNT:
        snprintf(value, sizeof(value), "%lld",
                 (long long)*(const int64_t *)row->into);
        break;
    case OPTION_DURATION:
        duration_format(value, *(const int64_t *)row->into);
        break;
    case OPTION_TIME:
        if (*(const int64_t *)row->into != WHEN_NONE)
            when_format(value, *(const int64_t *)row->into);
        break;
    case OPTION_LIST:
        shown = NULL;
        break;
    }
    if (!shown || !*shown)
        return false;
    fprintf(to, "%sdefault %s", before, shown);
    return true;
}

/* " (required)", " (default 7; 1 to 10)" or nothing. */
static void write_notes(FILE *to, const struct option_row *row)
{
    const char *const first = " (", *const next = "; ";
    const char *before = first;

    if (row->required) {
        fprintf(to, "%srequired", before);
        before = next;
    } else if (write_default(to, row, before)) {
        before = next;
    }
    if (has_bounds(row)) {
        fprintf(to, "%s%lld to %lld", before, (long long)row->min,
                (long long)row->max);
        before = next;
    }
    if (row->kind == OPTION_LIST) {
        fprintf(to, "%smay be given again", before);
        before = next;
    }
    if (before == next)
        fputc(')', to);
}

static void print_option(FILE *to, const struct option_row *row)
{
    const char *value = placeholder(row);
    char *text = NULL;
    size_t size;
    FILE *memory;
    int column;

    column = row->letter ? fprintf(to, "  -%c, ", row->letter)
                         : fprintf(to, "      ");
    column += fprintf(to, "--%s%s%s", row->name, value ? "=" : "",
                      value ? value : "");
    if (column + 2 > HELP_COLUMN) {
        fputc('\n', to);
        column = 0;
    }
    fprintf(to, "%*s", HELP_COLUMN - column, "");
    memory = open_memstream(&text, &size);
    if (!memory) {
        fprintf(to, "%s\n", row->help);
        return;
    }
    fputs(row->help, memory);
    write_notes(memory, row);
    fclose(memory);
    print_wrapped(to, text ? text : row->help, HELP_COLUMN, HELP_COLUMN);
    free(text);
}

static void print_summary(FILE *to, const char *name, const char *summary)
{
    int column = fprintf(to, "  %s", name);

    if (column + 2 > HELP_COLUMN) {
        fputc('\n', to);
        column = 0;
    }
    fprintf(to, "%*s", HELP_COLUMN - column, "");
    print_wrapped(to, summary, HELP_COLUMN, HELP_COLUMN);
}

/* "sotto-policy policy add" */
static void print_command(FILE *to, const struct parse *p)
{
    fprintf(to, "%s%s%s", p->program, p->verb->name ? " " : "",
            p->verb->name ? p->verb->name : "");
}

static void print_verb_help(const struct parse *p)
{
    const struct verb_row *v = p->verb;

    printf("Usage: ");
    print_command(stdout, p);
    printf("%s%s%s\n\n", p->row_count ? " [OPTION]..." : "",
           v->args && *v->args ? " " : "", v->args ? v->args : "");
    print_wrapped(stdout, v->summary, 0, 0);
    printf("\nOptions:\n");
    for (int i = 0; i < p->row_count; i++)
        print_option(stdout, &p->rows[i]);
    print_summary(stdout, "    --help", "print this and exit");
    if (!v->name)
        print_summary(stdout, "    --version", "print the version and exit");
    if (v->detail) {
        printf("\n");
        print_wrapped(stdout, v->detail, 0, 0);
    }
}

static void print_program_help(const char *program, const char *about,
                               const struct verb_row *verbs)
{
    printf("Usage: %s VERB [OPTION]... [ARGUMENT]...\n\n", program);
    print_wrapped(stdout, about, 0, 0);
    printf("\nVerbs:\n");
    for (; verbs->name; verbs++)
        print_summary(stdout, verbs->name, verbs->summary);
    printf("\n'%s VERB --help' tells about one verb, '%s --version' prints "
           "the version.\n",
           program, program);
}

static void print_version(const char *program)
{
    printf("%s %s\n", program, SOTTO_VERSION);
}

/* Says what is wrong in one sentence; returns the exit code. */
__attribute__((format(printf, 2, 3))) static int refuse(const struct parse *p,
                                                        const char *format, ...)
{
    struct why why;
    va_list args;

    va_start(args, format);
    text_vprint(why.text, sizeof(why.text), format, args);
    va_end(args);
    print_command(stderr, p);
    fprintf(stderr, ": %s; see '", why.text);
    print_command(stderr, p);
    fprintf(stderr, " --help'\n");
    return EXIT_USAGE;
}

static int refuse_unknown_option(const struct parse *p, const char *word)
{
    const char *names[OPTIONS_MAX + 3];
    char given[WORD_MAX + 1];
    const char *nearest;
    int i = 0;

    for (; p->longs[i].name; i++)
        names[i] = p->longs[i].name;
    names[i] = NULL;
    word += strspn(word, "-");
    snprintf(given, sizeof(given), "%.*s", (int)strcspn(word, "="), word);
    nearest = cli_nearest(given, names);
    if (nearest)
        return refuse(p, "there is no option --%s; did you mean --%s?", given,
                      nearest);
    return refuse(p, "there is no option --%s, or it is short for several",
                  given);
}

/* Explains what getopt_long answered with '?' or ':'. */
static int refuse_option(const struct parse *p, int answer, char **argv)
{
    char name[WORD_MAX + 3];

    if (answer == '?' && optopt == 0)
        return refuse_unknown_option(p, argv[optind - 1]);
    if (optopt >= ROW_BASE)
        snprintf(name, sizeof(name), "--%s", p->rows[optopt - ROW_BASE].name);
    else if (optopt == GOT_HELP || optopt == GOT_VERSION)
        snprintf(name, sizeof(name), "--%s",
                 optopt == GOT_HELP ? "help" : "version");
    else
        snprintf(name, sizeof(name), "-%c", optopt);
    if (answer == ':')
        return refuse(p, "option %s needs a value", name);
    if (optopt < ROW_BASE && optopt != GOT_HELP && optopt != GOT_VERSION)
        return refuse(p, "there is no option %s", name);
    return refuse(p, "option %s takes no value", name);
}

static int take_count(const struct parse *p, const struct option_row *row,
                      const char *text)
{
    int64_t *into = row->into;
    enum sotto_err err = int_parse(into, span_text(text));

    if (err == SOTTO_EINVAL)
        return refuse(p, "--%s: '%s' is not a whole number", row->name, text);
    if (err || (has_bounds(row) && (*into < row->min || *into > row->max))) {
        if (!has_bounds(row))
            return refuse(p, "--%s: %s is too large", row->name, text);
        return refuse(p, "--%s: %s is not between %lld and %lld", row->name,
                      text, (long long)row->min, (long long)row->max);
    }
    return EXIT_GOOD;
}

static int take_list(const struct parse *p, const struct option_row *row,
                     const char *text)
{
    struct cli_list *list = row->into;

    if (!p->seen[row - p->rows])
        list->count = 0; /* what is given replaces the default */
    if (list->count >= CLI_LIST_MAX)
        return refuse(p, "--%s may be given %d times at most", row->name,
                      CLI_LIST_MAX);
    list->text[list->count++] = text;
    return EXIT_GOOD;
}

static int take_value(struct parse *p, const struct option_row *row,
                      const char *text)
{
    int exit_code = EXIT_GOOD;

    switch (row->kind) {
    case OPTION_FLAG:
        *(bool *)row->into = true;
        break;
    case OPTION_TEXT:
        *(const char **)row->into = text;
        break;
    case OPTION_COUNT:
        exit_code = take_count(p, row, text);
        break;
    case OPTION_DURATION:
        if (duration_parse(row->into, span_text(text)))
            exit_code = refuse(p,
                               "--%s: '%s' is not a duration such as P30D, "
                               "PT15M or PT1H30M",
                               row->name, text);
        break;
    case OPTION_TIME:
        if (when_parse(row->into, span_text(text)))
            exit_code = refuse(p,
                               "--%s: '%s' is not a time such as 2026-12-01 "
                               "or 2026-12-01T08:26:00Z",
                               row->name, text);
        break;
    case OPTION_LIST:
        exit_code = take_list(p, row, text);
        break;
    }
    p->seen[row - p->rows] = true;
    return exit_code;
}

static void add_long(struct parse *p, int at, const char *name, int has_value,
                     int answer)
{
    p->longs[at] = (struct option){name, has_value, NULL, answer};
}

/* A verb that stands for a whole program has no name. */
static void parse_init(struct parse *p, const char *program,
                       const struct verb_row *verb)
{
    char *letter = p->letters;
    int count = 0;

    memset(p, 0, sizeof(*p));
    p->program = program;
    p->verb = verb;
    p->rows = verb->options;
    *letter++ = ':'; /* tell a missing value from an unknown option */
    for (; p->rows && p->rows[count].name; count++) {
        const struct option_row *row = &p->rows[count];
        bool has_value = row->kind != OPTION_FLAG;

        if (count == OPTIONS_MAX)
            abort(); /* the program's own table is too long */
        add_long(p, count, row->name,
                 has_value ? required_argument : no_argument, ROW_BASE + count);
        if (row->letter)
            *letter++ = row->letter;
        if (row->letter && has_value)
            *letter++ = ':';
    }
    p->row_count = count;
    add_long(p, count++, "help", no_argument, GOT_HELP);
    add_long(p, count, "version", no_argument, GOT_VERSION);
}

static const struct option_row *row_of(const struct parse *p, int answer)
{
    if (answer >= ROW_BASE)
        return &p->rows[answer - ROW_BASE];
    for (int i = 0; i < p->row_count; i++) {
        if (p->rows[i].letter == answer)
            return &p->rows[i];
    }
    return NULL;
}

static int check_arguments(const struct parse *p, int count)
{
    const struct verb_row *v = p->verb;
    const char *args = v->args && *v->args ? v->args : "no argument";
    int most = v->args_max < CLI_ARGS_MAX ? v->args_max : CLI_ARGS_MAX;

    for (int i = 0; i < p->row_count; i++) {
        if (p->rows[i].required && !p->seen[i])
            return refuse(p, "option --%s is missing", p->rows[i].name);
    }
    if (count < v->args_min)
        return refuse(p, "%s is missing", args);
    if (count > most)
        return refuse(p, "too many arguments: it takes %s, not %d of them",
                      args, count);
    return EXIT_GOOD;
}

/* Parses argv[1] and on. True: the values are in place and the arguments in
 * positional; false: the program ends with *exit_code. */
static bool parse_run(struct parse *p, int argc, char **argv,
                      const char *positional[CLI_ARGS_MAX], int *count,
                      int *exit_code)
{
    int answer;

    optind = 0; /* glibc: forget an earlier parse */
    opterr = 0;
    *exit_code = EXIT_GOOD;
    while ((answer = getopt_long(argc, argv, p->letters, p->longs, NULL)) !=
           -1) {
        if (answer == GOT_HELP) {
            print_verb_help(p);
            return false;
        }
        if (answer == GOT_VERSION) {
            print_version(p->program);
            return false;
        }
        if (answer == '?' || answer == ':')
            *exit_code = refuse_option(p, answer, argv);
        else
            *exit_code = take_value(p, row_of(p, answer), optarg);
        if (*exit_code)
            return false;
    }
    *count = argc - optind;
    *exit_code = check_arguments(p, *count);
    if (*exit_code)
        return false;
    for (int i = 0; i < *count; i++)
        positional[i] = argv[optind + i];
    return true;
}

int cli_parse(const char *program, const char *about, const char *args,
              struct option_row *options, int argc, char **argv,
              const char *positional[CLI_ARGS_MAX])
{
    const struct verb_row whole = {
        .args = args,
        .summary = about,
        .options = options,
        .args_max = args && *args ? CLI_ARGS_MAX : 0,
    };
    struct parse p;
    int count, exit_code;

    parse_init(&p, program, &whole);
    if (!parse_run(&p, argc, argv, positional, &count, &exit_code))
        exit(exit_code);
    return count;
}

/* The verb at argv[1], or at argv[1] and argv[2]; words says which. */
static const struct verb_row *find_verb(const struct verb_row *verbs, int argc,
                                        char **argv, int *words)
{
    for (const struct verb_row *v = verbs; v->name; v++) {
        const char *space = strchr(v->name, ' ');
        size_t first = space ? (size_t)(space - v->name) : strlen(v->name);

        if (strlen(argv[1]) != first || strncmp(argv[1], v->name, first) != 0)
            continue;
        *words = space ? 2 : 1;
        if (!space || (argc > 2 && strcmp(argv[2], space + 1) == 0))
            return v;
    }
    return NULL;
}

/* The verb meant by a word that is none: the nearest as two words, the nearest
 * as one, or the first of the group that the word opens. */
static const char *meant_verb(const struct verb_row *verbs, const char *word,
                              const char *next)
{
    const char *names[VERBS_MAX + 1];
    char both[2 * WORD_MAX];
    const char *meant;
    int count = 0;

    for (; verbs[count].name && count < VERBS_MAX; count++)
        names[count] = verbs[count].name;
    names[count] = NULL;
    snprintf(both, sizeof(both), "%s %s", word, next);
    meant = cli_nearest(both, names);
    if (!meant)
        meant = cli_nearest(word, names);
    for (int i = 0; !meant && i < count; i++) {
        size_t size = strlen(word);

        if (strncmp(names[i], word, size) == 0 && names[i][size] == ' ')
            meant = names[i];
    }
    return meant;
}

static int refuse_verb(const char *program, const struct verb_row *verbs,
                       int argc, char **argv)
{
    const struct verb_row none = {.name = NULL};
    const struct parse p = {.program = program, .verb = &none};
    const char *meant;

    if (argv[1][0] == '-')
        return refuse(&p, "the verb comes first, then its options");
    meant = meant_verb(verbs, argv[1], argc > 2 ? argv[2] : "");
    if (meant)
        return refuse(&p, "there is no verb '%.64s'; did you mean '%s'?",
                      argv[1], meant);
    return refuse(&p, "there is no verb '%.64s'", argv[1]);
}

int cli_main(const char *program, const char *about,
             const struct verb_row *verbs, int argc, char **argv)
{
    const struct verb_row none = {.name = NULL};
    const struct verb_row *verb;
    const char *positional[CLI_ARGS_MAX];
    struct parse p = {.program = program, .verb = &none};
    int words, count, exit_code;

    if (argc < 2)
        return refuse(&p, "say which verb");
    if (strcmp(argv[1], "--help") == 0) {
        print_program_help(program, about, verbs);
        return EXIT_GOOD;
    }
    if (strcmp(argv[1], "--version") == 0) {
        print_version(program);
        return EXIT_GOOD;
    }
    verb = find_verb(verbs, argc, argv, &words);
    if (!verb)
        return refuse_verb(program, verbs, argc, argv);
    parse_init(&p, program, verb);
    if (!parse_run(&p, argc - words, argv + words, positional, &count,
                   &exit_code))
        return exit_code;
    return verb->run(count, positional);
}

#define BAR_COLUMNS 24
#define REDRAW_MS 100

static struct {
    bool drawn;
    int64_t redraw_at_ms; /* monotonic */
} bar;

void cli_progress(const char *what, uint64_t done, uint64_t total)
{
    static const char marks[] = "########################";
    static const char blanks[] = "                        ";
    int64_t now_ms;
    int filled;

    _Static_assert(sizeof(marks) == BAR_COLUMNS + 1, "a full bar");
    if (!isatty(STDERR_FILENO))
        return;
    now_ms = clock_mono_ms(&clock_system);
    if (bar.drawn && now_ms < bar.redraw_at_ms)
        return;
    bar.drawn = true;
    bar.redraw_at_ms = now_ms + REDRAW_MS;
    if (total == 0) {
        fprintf(stderr, "\r\033[K%.40s %llu", what, (unsigned long long)done);
        return;
    }
    if (done > total)
        done = total;
    filled = (int)((double)done / (double)total * BAR_COLUMNS);
    fprintf(stderr, "\r\033[K%.40s [%s%s] %3.0f%%", what,
            marks + BAR_COLUMNS - filled, blanks + filled,
            100.0 * (double)done / (double)total);
}

void cli_progress_end(void)
{
    if (bar.drawn)
        fprintf(stderr, "\r\033[K");
    bar.drawn = false;
}
