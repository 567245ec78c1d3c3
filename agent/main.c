/* sotto-agent: the daemon of a store or host, and its tools. Every verb goes
 * through the owner's control socket; with no daemon running the tool takes
 * the lock and runs the same function itself. */
#include <errno.h>
#include <limits.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "agent/core.h"
#include "agent/verbs.h"
#include "base/cli.h"
#include "base/daemon.h"
#include "base/dirlock.h"
#include "base/log.h"
#include "link/tool.h"

#define DEFAULT_DIR "/var/lib/sotto-agent"
#define FILE_BYTES_MAX (1024 * 1024)

static enum sotto_err open_owner(void **owner, uv_loop_t *loop, const char *dir,
                                 bool link, struct why *why)
{
    struct core *core = NULL;
    enum sotto_err err = core_open(&core, loop, dir, link, why);

    *owner = core;
    return err;
}

static void stop_owner(void *owner, void (*stopped)(void *), void *context)
{
    core_stop(owner, stopped, context);
}

static const char *greeting(void *owner)
{
    return ((struct core *)owner)->home->name;
}

static struct tool tool = {
    .program = "sotto-agent",
    .dir = DEFAULT_DIR,
    .verbs = agent_verbs,
    .open = open_owner,
    .stop = stop_owner,
    .greeting = greeting,
};

/* ---- printing ---- */

static void print_drops(const json_t *drops)
{
    const char *name;
    json_t *count;

    json_object_foreach((json_t *)(uintptr_t)drops, name, count)
        printf("  %-22s %12lld\n", name, (long long)json_integer_value(count));
}

static void print_status(const json_t *s)
{
    const json_t *events = json_object_get(s, "events");
    const json_t *policy = json_object_get(s, "policy");
    const json_t *spool = json_object_get(s, "spool");
    const json_t *link = json_object_get(s, "link");
    const json_t *lists = json_object_get(s, "lists");

    printf("agent          %s\n", text_at(s, "name"));
    printf("policy         %s version %lld\n", text_at(policy, "tenant"),
           int_at(policy, "version"));
    if (json_is_object(link))
        printf("link           %s, %s; waiting for %s\n",
               text_at(link, "state"),
               true_at(link, "connected") ? "connected" : "not connected",
               text_at(link, "waiting_for"));
    else
        printf("link           no daemon is running\n");
    if (*text_at(link, "hint"))
        printf("               %s\n", text_at(link, "hint"));
    printf("events         %lld produced = %lld accepted + %lld dropped\n",
           int_at(events, "produced"), int_at(events, "accepted"),
           int_at(events, "dropped"));
    print_drops(json_object_get(events, "drops"));
    printf("accepted       %lld acknowledged, %lld in the spool, %lld void, "
           "%lld refused\n",
           int_at(events, "acknowledged"), int_at(events, "spooled"),
           int_at(events, "voided"), int_at(events, "refused"));
    printf("ring           %lld bytes\n", int_at(events, "ring_bytes"));
    printf("spool          %lld batches, %lld bytes %s\n",
           int_at(spool, "batches"), int_at(spool, "bytes"),
           text_at(spool, "error"));
    printf("lists          %lld personal, %lld rows of model %s\n",
           int_at(lists, "personal"), int_at(lists, "rows"),
           text_at(lists, "model"));
}

static void print_import(const json_t *r)
{
    printf("rows           %lld, of which %lld were done before\n",
           int_at(r, "rows"), int_at(r, "skipped"));
    printf("accepted       %lld now\n", int_at(r, "accepted"));
    printf("refused\n");
    print_drops(json_object_get(r, "refused"));
}

static void print_answer(const json_t *a)
{
    const json_t *item;
    size_t i;

    printf("%s list, model %s%s%s\n",
           true_at(a, "personal") ? "personal" : "popular", text_at(a, "model"),
           *text_at(a, "segment") ? ", segment " : "", text_at(a, "segment"));
    json_array_foreach(json_object_get(a, "items"), i, item) printf(
        "%3lld  %-12s %-36.36s %s\n", int_at(item, "rank"),
        text_at(item, "item"), text_at(item, "name"), text_at(item, "reason"));
}

/* ---- verbs ---- */

static int verb_run(int argc, const char *const *argv)
{
    (void)argc;
    (void)argv;
    return tool_daemon(&tool);
}

static int verb_status(int argc, const char *const *argv)
{
    (void)argc;
    (void)argv;
    return tool_verb(&tool, "status", json_object(), print_status);
}

static const char *import_map, *import_source;

/* The daemon has another working directory and another standard input. */
static bool daemon_path(const char *file, char out[PATH_MAX])
{
    if (strcmp(file, "-") == 0) {
        snprintf(out, PATH_MAX, "/proc/%d/fd/0", (int)getpid());
        return true;
    }
    return realpath(file, out) != NULL;
}

static int verb_import(int argc, const char *const *argv)
{
    char file[PATH_MAX], map[PATH_MAX], source[64];
    json_t *args;

    (void)argc;
    if (!daemon_path(argv[0], file)) {
        fprintf(stderr, "sotto-agent: %s: %s\n", argv[0], strerror(errno));
        return EXIT_USAGE;
    }
    if (import_map && !realpath(import_map, map)) {
        fprintf(stderr, "sotto-agent: %s: %s\n", import_map, strerror(errno));
        return EXIT_USAGE;
    }
    if (!import_source && strcmp(argv[0], "-") == 0) {
        snprintf(source, sizeof source, "stdin of %d at %lld", (int)getpid(),
                 (long long)clock_wall_ms(&clock_system));
        import_source = source;
    }
    args = json_pack("{s:s,s:s*,s:s*}", "file", file, "map",
                     import_map ? map : NULL, "source", import_source);
    return tool_verb(&tool, "import", args, print_import);
}

static const char *recommend_user, *recommend_slot = "for-you";
static int64_t recommend_count = 10;

static int verb_recommend(int argc, const char *const *argv)
{
    (void)argc;
    (void)argv;
    return tool_verb(&tool, "recommend",
                     json_pack("{s:s*,s:s,s:I}", "user", recommend_user, "slot",
                               recommend_slot, "n",
                               (json_int_t)recommend_count),
                     print_answer);
}

static int verb_check_config(int argc, const char *const *argv)
{
    struct settings s;
    struct why why;
    enum sotto_err err;

    (void)argc;
    (void)argv;
    err = settings_load(&s, tool.dir, &why);
    if (err)
        return tool_complain(&tool, err, why.text);
    settings_print(&s);
    return 0;
}

/* ---- enroll ---- */

static const char *enroll_token, *enroll_bundle, *enroll_code_file;
static int64_t enroll_wait_ms = 30000;

/* The one-time code: from a file, or typed without echo. */
static enum sotto_err read_code(char *code, size_t size, struct why *why)
{
    struct termios old, quiet;
    FILE *from = enroll_code_file ? fopen(enroll_code_file, "re") : stdin;
    bool hide;

    if (!from)
        return why_say(why, SOTTO_ENOTFOUND, "%s: %s", enroll_code_file,
                       strerror(errno));
    hide = from == stdin && isatty(0) && tcgetattr(0, &old) == 0;
    if (hide) {
        quiet = old;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(0, TCSANOW, &quiet);
        fputs("code of the bundle: ", stderr);
    }
    if (!fgets(code, (int)size, from))
        code[0] = 0;
    if (hide) {
        tcsetattr(0, TCSANOW, &old);
        fputc('\n', stderr);
    }
    if (from != stdin)
        fclose(from);
    code[strcspn(code, "\r\n")] = 0;
    return *code ? SOTTO_OK
                 : why_say(why, SOTTO_EINVAL,
                           "the bundle needs its one-time code: type it, or "
                           "name a file with --code-file");
}

static enum sotto_err make_home(struct why *why)
{
    struct buf token, bundle;
    char code[128];
    enum sotto_err err;

    buf_init(&token, FILE_BYTES_MAX);
    buf_init(&bundle, FILE_BYTES_MAX);
    err = buf_read_file(&token, enroll_token);
    if (err)
        why_say(why, err, "%s: %s", enroll_token, err_text(err));
    else if ((err = buf_read_file(&bundle, enroll_bundle)) != SOTTO_OK)
        why_say(why, err, "%s: %s", enroll_bundle, err_text(err));
    else if ((err = read_code(code, sizeof code, why)) == SOTTO_OK)
        err = home_make(tool.dir, span_of(token.data, token.size),
                        span_of(bundle.data, bundle.size), code, why);
    sodium_memzero(code, sizeof code);
    buf_wipe(&token);
    buf_wipe(&bundle);
    return err;
}

static void deadline_on_loop(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static void look_on_loop(uv_timer_t *timer)
{
    const struct core *core = timer->data;
    struct uplink_stats s;

    uplink_stats(core->uplink, &s);
    if (s.state != UPLINK_ENROLLING)
        uv_stop(timer->loop);
}

static int enroll_result(const struct uplink_stats *s)
{
    if (s->state == UPLINK_READY)
        return 0;
    if (s->state == UPLINK_REFUSED)
        return tool_complain(&tool, SOTTO_EREFUSED, refusal_text(s->refusal));
    fprintf(stderr,
            "sotto-agent: the aggregator did not answer yet; keys and token "
            "are kept, and `sotto-agent run` goes on asking\n");
    return EXIT_FINDINGS;
}

/* Turns the loop until the aggregator has answered. */
static int enrol_now(void)
{
    struct core *core;
    struct uplink_stats s;
    struct why why = {0};
    uv_loop_t loop;
    uv_timer_t deadline, look;
    enum sotto_err err;

    uv_loop_init(&loop);
    err = core_open(&core, &loop, tool.dir, true, &why);
    if (err)
        return tool_complain(&tool, err, why.text);
    uv_timer_init(&loop, &deadline);
    uv_timer_init(&loop, &look);
    look.data = core;
    uv_timer_start(&deadline, deadline_on_loop, (uint64_t)enroll_wait_ms, 0);
    uv_timer_start(&look, look_on_loop, 10, 10);
    uv_run(&loop, UV_RUN_DEFAULT);
    uplink_stats(core->uplink, &s);
    uv_timer_stop(&look); /* it looks at what goes now */
    uv_timer_stop(&deadline);
    tool_stop(&tool, core, &loop);
    uv_close((uv_handle_t *)&deadline, NULL);
    uv_close((uv_handle_t *)&look, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return enroll_result(&s);
}

static int verb_enroll(int argc, const char *const *argv)
{
    struct why why = {0};
    enum sotto_err err;

    (void)argc;
    (void)argv;
    if (sodium_init() < 0)
        return EXIT_INTEGRITY;
    daemon_harden();
    err = make_home(&why);
    return err ? tool_complain(&tool, err, why.text) : enrol_now();
}

/* ---- the table ---- */

#define DIR_OPTION                                                             \
    {                                                                          \
        "dir", 'd', OPTION_TEXT, &tool.dir, "DIR", "the agent's directory", 0, \
            0, false                                                           \
    }
#define JSON_OPTION                                                            \
    {                                                                          \
        "json", 'j', OPTION_FLAG, &tool.as_json, NULL, "print JSON", 0, 0,     \
            false                                                              \
    }
#define NO_OPTION                                                              \
    {                                                                          \
        NULL, 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, false                    \
    }

static struct option_row run_options[] = {DIR_OPTION, NO_OPTION};
static struct option_row status_options[] = {DIR_OPTION, JSON_OPTION,
                                             NO_OPTION};
static struct option_row enroll_options[] = {
    DIR_OPTION,
    {"token-file", 't', OPTION_TEXT, &enroll_token, "FILE",
     "what `sotto-aggregator enroll NAME` printed", 0, 0, true},
    {"bundle", 'b', OPTION_TEXT, &enroll_bundle, "FILE",
     "the officer's bundle (`sotto-policy bundle`)", 0, 0, true},
    {"code-file", 'c', OPTION_TEXT, &enroll_code_file, "FILE",
     "where the bundle's one-time code is; otherwise it is asked for", 0, 0,
     false},
    {"wait", 'w', OPTION_DURATION, &enroll_wait_ms, "TIME",
     "how long to wait for the aggregator", 0, 0, false},
    NO_OPTION};
static struct option_row import_options_rows[] = {
    DIR_OPTION,
    JSON_OPTION,
    {"map", 'm', OPTION_TEXT, &import_map, "FILE",
     "the import map of a CSV; without it FILE is NDJSON in Segment form", 0, 0,
     false},
    {"source", 's', OPTION_TEXT, &import_source, "NAME",
     "name under which the position is kept; default: the file's path", 0, 0,
     false},
    NO_OPTION};
static struct option_row recommend_options[] = {
    DIR_OPTION,
    JSON_OPTION,
    {"user", 'u', OPTION_TEXT, &recommend_user, "ID",
     "the person's id as the shop knows it; without it: a stranger", 0, 0,
     false},
    {"slot", 's', OPTION_TEXT, &recommend_slot, "NAME", "for-you or popular", 0,
     0, false},
    {"count", 'n', OPTION_COUNT, &recommend_count, "N", "how many items", 1,
     LIST_ITEMS_MAX, false},
    NO_OPTION};

static const struct verb_row verbs[] = {
    {"enroll", "", "make this directory an agent of an aggregator",
     "Makes keys, which never leave the directory, and asks the aggregator of "
     "the token for a certificate. A lost answer is no harm: the same command "
     "may be run again.",
     enroll_options, 0, 0, verb_enroll},
    {"run", "", "run the daemon", NULL, run_options, 0, 0, verb_run},
    {"status", "", "what the agent holds, sent and waits for", NULL,
     status_options, 0, 0, verb_status},
    {"import", "FILE", "take the events of a file, each exactly once",
     "FILE is CSV with --map, else NDJSON in Segment form; plain, .gz, .xz, "
     "or - for standard input. Killed and run again, it goes on where it was.",
     import_options_rows, 1, 1, verb_import},
    {"recommend", "", "a list for a person, answered from this device", NULL,
     recommend_options, 0, 0, verb_recommend},
    {"check-config", "", "read agent.yaml and print the settings in effect",
     NULL, run_options, 0, 0, verb_check_config},
    {NULL, NULL, NULL, NULL, NULL, 0, 0, NULL},
};

int main(int argc, char **argv)
{
    const char *from_environment = getenv("SOTTO_AGENT_DIR");

    process_private();
    umask(077); /* everything we make is the owner's alone */
    if (from_environment)
        tool.dir = from_environment;
    return cli_main("sotto-agent",
                    "anonymizes events, ships them, answers with lists", verbs,
                    argc, argv);
}
