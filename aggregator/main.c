/* sotto-aggregator: the daemon and its tools. Every verb goes through the
 * owner's control socket; with no daemon running the tool takes the lock and
 * runs the same function itself. */
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/resource.h>
#include <sys/stat.h>

#include "aggregator/aggregator.h"
#include "aggregator/audit_tool.h"
#include "aggregator/desk.h"
#include "aggregator/lab.h"
#include "aggregator/subject_tool.h"
#include "aggregator/verbs.h"
#include "base/daemon.h"
#include "base/log.h"
#include "base/when.h"
#include "link/tool.h"

#define DEFAULT_DIR "/var/lib/sotto-aggregator"
#define DESCRIPTORS_SPARE 256 /* besides agents: files, tools that ask */

/* The daemon has raised its limit as far as it may (base/daemon.h). */
static void check_descriptors(const struct settings *s)
{
    const rlim_t needed = (rlim_t)s->agents_max + DESCRIPTORS_SPARE;
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < needed)
        log_warn("aggregator",
                 "%llu files may be open, and agents_max %lld takes %llu: "
                 "agents beyond that cannot connect; raise LimitNOFILE of "
                 "the unit (ulimit -Hn), or lower agents_max",
                 (unsigned long long)files.rlim_cur, (long long)s->agents_max,
                 (unsigned long long)needed);
}

/* A verb's answer is of the whole log: what was committed before is folded
 * first. */
static enum sotto_err open_owner(void **owner, uv_loop_t *loop, const char *dir,
                                 bool link, struct why *why)
{
    struct aggregator *a = NULL;
    enum sotto_err err = aggregator_open(&a, loop, dir, link, why);

    if (!err && link)
        check_descriptors(&a->settings);
    while (!err && !link && !aggregator_folded(a))
        uv_run(loop, UV_RUN_ONCE);
    *owner = a;
    return err;
}

static void stop_owner(void *owner, void (*stopped)(void *), void *context)
{
    aggregator_stop(owner, stopped, context);
}

static const char *greeting(void *owner)
{
    return ingest_address(((struct aggregator *)owner)->ingest);
}

static struct tool tool = {
    .program = "sotto-aggregator",
    .dir = DEFAULT_DIR,
    .verbs = aggregator_verbs,
    .open = open_owner,
    .stop = stop_owner,
    .greeting = greeting,
};

/* ---- printing ---- */

static const char *money_at(const json_t *object, const char *name,
                            char out[32])
{
    money_format(out, int_at(object, name));
    return out;
}

static const char *time_at(const json_t *object, const char *name, char out[32])
{
    int64_t ms = int_at(object, name);

    when_format(out, ms == 0 ? WHEN_NONE : ms);
    return out;
}

static void print_agents(const json_t *list)
{
    const json_t *agent, *count;
    const char *reason;
    char seen[32];
    size_t i;

    printf("%-14s %10s %10s %8s %8s  %s\n", "agent", "events", "batches",
           "void", "refused", "last batch");
    json_array_foreach(list, i, agent)
    {
        printf("%-14s %10lld %10lld %8lld %8lld  %s\n", text_at(agent, "name"),
               int_at(agent, "events"), int_at(agent, "batches"),
               int_at(agent, "voided"), int_at(agent, "refused"),
               time_at(agent, "last_ms", seen));
        json_object_foreach(json_object_get(agent, "drops"), reason, count)
            printf("  not taken    %10lld %s\n",
                   (long long)json_integer_value(count), reason);
        if (int_at(agent, "erased"))
            printf("  erased       %10lld\n", int_at(agent, "erased"));
    }
}

/* Amounts are shown where money changed hands. */
static void print_totals(const json_t *totals)
{
    const char *role;
    const json_t *t;
    char all[32], known[32];

    printf("%-12s %12s %18s %14s %18s\n", "events", "all", "amount",
           "with a person", "amount");
    json_object_foreach((json_t *)(uintptr_t)totals, role, t)
    {
        bool money =
            strcmp(role, "purchase") == 0 || strcmp(role, "return") == 0;
        printf("%-12s %12lld %18s %14lld %18s\n", role, int_at(t, "events"),
               money ? money_at(t, "value", all) : "",
               int_at(t, "known_events"),
               money ? money_at(t, "known_value", known) : "");
    }
}

static void print_link(const json_t *link)
{
    const json_t *wait, *count;
    const char *reason;
    char since[32];
    size_t i;

    if (!link)
        return;
    printf("listening at   %s\n", text_at(link, "address"));
    json_object_foreach(json_object_get(link, "refused"), reason, count)
        printf("refused        %lld %s\n", (long long)json_integer_value(count),
               reason);
    json_array_foreach(json_object_get(link, "waiting_for_policy"), i, wait)
        printf("%s waits for policy %.16s... since %s: add it with `policy "
               "add`\n",
               text_at(wait, "agent"), text_at(wait, "policy"),
               time_at(wait, "since_ms", since));
}

static void print_status(const json_t *s)
{
    printf("policy         %s version %lld\n", text_at(s, "tenant"),
           int_at(s, "policy_version"));
    printf("log            %lld batches, %s\n", int_at(s, "log"),
           true_at(s, "folded") ? "all folded" : "folding");
    printf("subjects       %lld\n", int_at(s, "subjects"));
    if (*text_at(s, "model"))
        printf("model          %s %lld\n", text_at(s, "model"),
               int_at(s, "model_version"));
    else
        printf("model          none yet: run `train`\n");
    print_link(json_object_get(s, "link"));
    putchar('\n');
    print_totals(json_object_get(s, "totals"));
    putchar('\n');
    print_agents(json_object_get(s, "agents"));
}

static void print_profile(const json_t *p)
{
    const json_t *entry;
    char a[32], b[32];
    size_t i;

    printf("subject        %s\n", text_at(p, "subject"));
    printf("segment        %s, %s\n", text_at(p, "segment"),
           text_at(p, "lifecycle"));
    printf("orders         %lld, returned %lld\n", int_at(p, "orders"),
           int_at(p, "returned_orders"));
    printf("spent          %s, returned %s\n", money_at(p, "spent", a),
           money_at(p, "returned", b));
    printf("units          %lld\n", int_at(p, "units"));
    printf("active         %s to %s\n", time_at(p, "first_ms", a),
           time_at(p, "last_ms", b));
    printf("last items    ");
    json_array_foreach(json_object_get(p, "last_items"), i, entry)
        printf(" %s", json_string_value(entry));
    printf("\ncategories    ");
    json_array_foreach(json_object_get(p, "categories"), i, entry)
        printf(" %s %.0f%%", text_at(entry, "category"),
               100 * real_at(entry, "share"));
    putchar('\n');
}

static void print_segments(const json_t *s)
{
    const json_t *one;
    char spent[32], as_of[32];
    size_t i;

    printf("as of %s\n%-24s %10s %18s\n", time_at(s, "as_of_ms", as_of),
           "segment", "people", "spent");
    json_array_foreach(json_object_get(s, "segments"), i, one)
        printf("%-24s %10lld %18s\n", text_at(one, "segment"),
               int_at(one, "people"), money_at(one, "spent", spent));
}

static void print_quality(const char *name, const json_t *q)
{
    printf("  %-12s recall@20 %.4f  recall@50 %.4f  ndcg@100 %.4f\n", name,
           real_at(q, "recall@20"), real_at(q, "recall@50"),
           real_at(q, "ndcg@100"));
}

static void print_model(const json_t *m)
{
    const json_t *split = json_object_get(m, "time_split");

    printf("version %lld: %s%s%s\n", int_at(m, "version"), text_at(m, "model"),
           *text_at(m, "state") ? ", " : "", text_at(m, "state"));
    printf("  data         %s to %s: %lld interactions of %lld subjects with "
           "%lld items\n",
           text_at(m, "from"), text_at(m, "to"), int_at(m, "interactions"),
           int_at(m, "subjects"), int_at(m, "items"));
    printf("  time split   from %s, %lld subjects, %.1f s\n",
           text_at(split, "day"), int_at(split, "subjects"),
           real_at(m, "seconds"));
    print_quality("localridge", json_object_get(split, "localridge"));
    print_quality("popularity", json_object_get(split, "popularity"));
}

static void print_models(const json_t *list)
{
    const json_t *m;
    size_t i;

    json_array_foreach(list, i, m) print_model(m);
}

static void print_list(const json_t *l)
{
    const json_t *it;
    size_t i;

    printf("model %s, segment %s\n", text_at(l, "model"),
           text_at(l, "segment"));
    json_array_foreach(json_object_get(l, "items"), i, it)
    {
        const char *because = text_at(it, "because_name");

        if (!*because) /* an item without a name goes by its id */
            because = text_at(it, "because");
        printf("%3lld  %-12s %-36.36s %s %s\n", int_at(it, "rank"),
               text_at(it, "item"), text_at(it, "name"), text_at(it, "reason"),
               because);
    }
}

static void print_policy(const json_t *p)
{
    if (true_at(p, "added"))
        printf("added %s version %lld, hash %s\n", text_at(p, "tenant"),
               int_at(p, "version"), text_at(p, "hash"));
    else
        printf("this policy is here already\n");
}

static void print_token(const json_t *t)
{
    printf("%s\n", text_at(t, "token"));
}

static void print_verify(const json_t *v)
{
    printf("views equal the log rebuilt from %lld batches\n",
           int_at(v, "chunks"));
}

/* ---- verbs ---- */

static int verb_init(int argc, const char *const *argv)
{
    struct why why = {0};
    struct settings s;
    enum sotto_err err = aggregator_init(tool.dir, &why);

    (void)argc;
    (void)argv;
    if (!err)
        err = aggregator_settings_load(&s, tool.dir, &why);
    if (err)
        return tool_complain(&tool, err, why.text);
    printf("made %s; the key of the data at rest is %s: keep it outside "
           "backups of the directory\n",
           tool.dir, s.store_key);
    return 0;
}

static int verb_run(int argc, const char *const *argv)
{
    (void)argc;
    (void)argv;
    return tool_daemon(&tool);
}

static int verb_policy_add(int argc, const char *const *argv)
{
    char file[PATH_MAX];

    (void)argc;
    if (!realpath(argv[0], file)) {
        fprintf(stderr, "sotto-aggregator: %s: %s\n", argv[0], strerror(errno));
        return EXIT_USAGE;
    }
    return tool_verb(&tool, "policy add", json_pack("{s:s}", "file", file),
                     print_policy);
}

static int64_t enroll_uses = 1, enroll_expires_ms = WHEN_NONE;

static int verb_enroll(int argc, const char *const *argv)
{
    json_t *args = json_pack("{s:s,s:I}", "name", argv[0], "uses",
                             (json_int_t)enroll_uses);

    (void)argc;
    if (enroll_expires_ms != WHEN_NONE)
        json_object_set_new(args, "expires", json_integer(enroll_expires_ms));
    return tool_verb(&tool, "enroll", args, print_token);
}

static int verb_agents(int argc, const char *const *argv)
{
    (void)argc;
    (void)argv;
    return tool_verb(&tool, "agents", json_object(), print_agents);
}

static int verb_status(int argc, const char *const *argv)
{
    (void)argc;
    (void)argv;
    return tool_verb(&tool, "status", json_object(), print_status);
}

static int verb_profile(int argc, const char *const *argv)
{
    (void)argc;
    return tool_verb(&tool, "profile", json_pack("{s:s}", "subject", argv[0]),
                     print_profile);
}

static int verb_segments(int argc, const char *const *argv)
{
    (void)argc;
    (void)argv;
    return tool_verb(&tool, "segments", json_object(), print_segments);
}

static int verb_train(int argc, const char *const *argv)
{
    (void)argc;
    (void)argv;
    return tool_verb(&tool, "train", json_object(), print_model);
}

static int verb_models(int argc, const char *const *argv)
{
    (void)argc;
    (void)argv;
    return tool_verb(&tool, "models", json_object(), print_models);
}

static const char *receipt_id;

static int verb_erase(int argc, const char *const *argv)
{
    return subject_erase(&tool, receipt_id, argc, argv);
}

static int verb_access(int argc, const char *const *argv)
{
    (void)argc;
    return subject_access(&tool, argv[0]);
}

static int64_t recommend_count = 10;

static int verb_recommend(int argc, const char *const *argv)
{
    (void)argc;
    return tool_verb(&tool, "recommend",
                     json_pack("{s:s,s:I}", "subject", argv[0], "n",
                               (json_int_t)recommend_count),
                     print_list);
}

static int verb_verify(int argc, const char *const *argv)
{
    (void)argc;
    (void)argv;
    return tool_verb(&tool, "verify", json_object(), print_verify);
}

static struct desk_risk risk_asked = DESK_RISK_DEFAULT;

static int verb_risk(int argc, const char *const *argv)
{
    (void)argc;
    (void)argv;
    return desk_risk(&tool, &risk_asked);
}

static int verb_ledger(int argc, const char *const *argv)
{
    (void)argc;
    (void)argv;
    return desk_ledger(&tool);
}

static struct desk_release release_asked = DESK_RELEASE_DEFAULT;

static int verb_release_count(int argc, const char *const *argv)
{
    (void)argc;
    (void)argv;
    return desk_release_count(&tool, &release_asked);
}

static struct audit_ask audit = {.program = "sotto-aggregator"};
static const char *audit_from;

static const struct audit_ask *audit_asked(void)
{
    audit.dir = tool.dir;
    audit.json = tool.as_json;
    return &audit;
}

static int verb_audit_list(int argc, const char *const *argv)
{
    (void)argc;
    (void)argv;
    return audit_tool_list(audit_asked());
}

static int verb_audit_verify(int argc, const char *const *argv)
{
    (void)argc;
    (void)argv;
    return audit_tool_verify(audit_asked());
}

static int verb_audit_head(int argc, const char *const *argv)
{
    (void)argc;
    (void)argv;
    return audit_tool_head(audit_asked());
}

static int verb_audit_prove(int argc, const char *const *argv)
{
    (void)argc;
    return audit_tool_prove(audit_asked(), argv[0]);
}

static int verb_audit_consistency(int argc, const char *const *argv)
{
    (void)argc;
    (void)argv;
    audit.head = audit_from;
    return audit_tool_consistency(audit_asked());
}

static int verb_check_config(int argc, const char *const *argv)
{
    struct settings s;
    struct why why;
    enum sotto_err err;

    (void)argc;
    (void)argv;
    err = aggregator_settings_load(&s, tool.dir, &why);
    if (err)
        return tool_complain(&tool, err, why.text);
    aggregator_settings_print(&s);
    return 0;
}

/* ---- the table ---- */

#define DIR_OPTION                                                             \
    {                                                                          \
        "dir", 'd', OPTION_TEXT, &tool.dir, "DIR",                             \
            "the aggregator's directory", 0, 0, false                          \
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

static struct option_row dir_options[] = {DIR_OPTION, NO_OPTION};
static struct option_row plain_options[] = {DIR_OPTION, JSON_OPTION, NO_OPTION};
static struct option_row enroll_options[] = {
    DIR_OPTION,
    JSON_OPTION,
    {"uses", 'u', OPTION_COUNT, &enroll_uses, "N",
     "how many agents may use the token", 1, ROSTER_MAX, false},
    {"expires", 'e', OPTION_TIME, &enroll_expires_ms, "TIME",
     "when the token stops working; default: in 7 days", 0, 0, false},
    NO_OPTION};
static struct option_row erase_options[] = {
    DIR_OPTION,
    JSON_OPTION,
    {"receipt", 'r', OPTION_TEXT, &receipt_id, "ID",
     "show how far an erasure is", 0, 0, false},
    NO_OPTION};
static struct option_row recommend_options[] = {
    DIR_OPTION,
    JSON_OPTION,
    {"count", 'n', OPTION_COUNT, &recommend_count, "N", "how many items", 1,
     LIST_ITEMS_MAX, false},
    NO_OPTION};

/* clang-format off */
static struct option_row risk_options[] = {
    DIR_OPTION,
    JSON_OPTION,
    {"csv", 0, OPTION_TEXT, &risk_asked.csv, "FILE",
     "the table of a CSV file instead of the store", 0, 0, false},
    {"no-header", 0, OPTION_FLAG, &risk_asked.no_header, NULL,
     "the file's first line is data; columns are called 1, 2, 3 ...", 0, 0,
     false},
    {"qi", 'q', OPTION_TEXT, &risk_asked.qi, "COL,COL,...",
     "the quasi-identifiers; default: all columns but the sensitive one", 0, 0,
     false},
    {"sensitive", 's', OPTION_TEXT, &risk_asked.sensitive, "COL",
     "measure l-diversity and t-closeness of this column", 0, 0, false},
    {"k", 'k', OPTION_COUNT, &risk_asked.k, "K",
     "count the rows in classes of fewer than K", 1, RISK_ROWS_MAX, false},
    {"points", 'p', OPTION_COUNT, &risk_asked.points, "P",
     "unicity of the store at 1 to P points; 0: none", 0, RISK_POINTS_MAX,
     false},
    {"sample", 0, OPTION_COUNT, &risk_asked.sample, "N",
     "subjects that are drawn to measure unicity", 1, RISK_ROWS_MAX, false},
    {"seed", 0, OPTION_COUNT, &risk_asked.seed, "N",
     "of what is drawn at random", 0, INT64_MAX, false},
    NO_OPTION};
static struct option_row release_options[] = {
    DIR_OPTION,
    JSON_OPTION,
    {"by", 'b', OPTION_TEXT, &release_asked.by, "NAME",
     "segment, item or event", 0, 0, true},
    {"rho", 'r', OPTION_TEXT, &release_asked.rho, "RHO",
     "what it takes of the budget; more is less noise", 0, 0, false},
    {"min-k", 'k', OPTION_COUNT, &release_asked.min_k, "K",
     "show no count below K", 1, RELEASE_MIN_K_MAX, false},
    {"cells", 'c', OPTION_COUNT, &release_asked.cells, "N",
     "count a subject in at most N cells; default: 1 segment, all events, 10 "
     "items", 0, RELEASE_PER_SUBJECT_MAX, false},
    {"request", 0, OPTION_TEXT, &release_asked.request, "NAME",
     "the same name gets the same answer, and is charged once", 0, 0, false},
    NO_OPTION};
/* clang-format on */

#define AUDIT_OPTIONS                                                          \
    DIR_OPTION, JSON_OPTION,                                                   \
        {"file",      'f',    OPTION_TEXT,                                     \
         &audit.file, "FILE", "a log somewhere else, a copy",                  \
         0,           0,      false},                                          \
    {                                                                          \
        "key", 'k', OPTION_TEXT, &audit.key, "KEY",                            \
            "the aggregator's public key in hex, or a file of it", 0, 0, false \
    }
static struct option_row audit_options[] = {
    AUDIT_OPTIONS,
    {"head", 0, OPTION_TEXT, &audit.head, "FILE",
     "a head that was kept: the log must go on from it", 0, 0, false},
    NO_OPTION};
static struct option_row consistency_options[] = {
    AUDIT_OPTIONS,
    {"from", 0, OPTION_TEXT, &audit_from, "FILE",
     "the head that was kept: what `audit head` printed", 0, 0, true},
    NO_OPTION};

int main(int argc, char **argv)
{
    const struct verb_row verbs[] = {
        {"init", "", "make a directory, its keys and its store", NULL,
         dir_options, 0, 0, verb_init},
        {"run", "", "run the daemon", NULL, dir_options, 0, 0, verb_run},
        {"policy add", "FILE", "take a signed policy and send it to agents",
         "FILE is what `sotto-policy build` wrote; its signatures "
         "FILE.*.minisig lie beside it.\n",
         plain_options, 1, 1, verb_policy_add},
        {"enroll", "NAME", "print a token that makes an agent",
         "The token is a secret: whoever has it may become the agent, "
         "once.\n",
         enroll_options, 1, 1, verb_enroll},
        {"agents", "", "who sends, how much, and what was not taken", NULL,
         plain_options, 0, 0, verb_agents},
        {"status", "", "policy, log, totals, agents, link", NULL, plain_options,
         0, 0, verb_status},
        {"profile", "SUBJECT", "what is known under a pseudonym",
         "The officer computes it with `sotto-policy subject --id ID`.\n",
         plain_options, 1, 1, verb_profile},
        {"access", "SUBJECT", "everything that is held under a pseudonym",
         "Each event with the meaning of its fields by the policy it came "
         "under; profile, interactions, lists.\n",
         plain_options, 1, 1, verb_access},
        {"erase", "[SUBJECT...]", "remove everything under a pseudonym",
         "From log, views, lists and files, for good; what arrives later is "
         "dropped. Prints a signed receipt, which says of each agent that had "
         "a list whether it has removed it.\n",
         erase_options, 0, CLI_ARGS_MAX, verb_erase},
        {"segments", "", "RFM segments and their sizes", NULL, plain_options, 0,
         0, verb_segments},
        {"train", "", "fit and measure a model, publish its lists", NULL,
         plain_options, 0, 0, verb_train},
        {"models", "", "trained versions and their quality", NULL,
         plain_options, 0, 0, verb_models},
        {"recommend", "SUBJECT", "the list of a subject, with reasons", NULL,
         recommend_options, 1, 1, verb_recommend},
        {"verify", "", "rebuild the views from the log and compare", NULL,
         plain_options, 0, 0, verb_verify},
        {"risk", "", "how easily rows and people are told apart",
         "A class is the rows that agree in all quasi-identifiers. With "
         "--csv FILE the table of a file is measured, and no directory is "
         "needed: the first line names the columns, blanks around a value "
         "do not count, and `?` and an empty text are values like others. "
         "Otherwise it is the store: a row a subject, with orders, units, "
         "spent, recency, tenure, category, agents, consent and segment; "
         "and unicity, the share of subjects whom 1 to P of their points "
         "(item, day), drawn at random, single out.\n",
         risk_options, 0, 0, verb_risk},
        {"ledger", "", "the privacy budget of released counts, spent and left",
         NULL, plain_options, 0, 0, verb_ledger},
        {"release count", "", "noisy counts of subjects, inside the budget",
         "Exact discrete Gaussian noise is added to every count, and counts "
         "below --min-k are not shown. The budget is charged before; beyond "
         "it the release is refused with exit code 4.\n",
         release_options, 0, 0, verb_release_count},
        {"audit list", "", "what was done with this aggregator, and by whom",
         NULL, audit_options, 0, 0, verb_audit_list},
        {"audit verify", "", "whether the audit log is whole and unchanged",
         "Needs no daemon. A copy is checked with --file and --key or --head. "
         "Only with a head that was kept elsewhere is a log found out that was "
         "cut after an entry.\n",
         audit_options, 0, 0, verb_audit_verify},
        {"audit head", "", "print the signed head, to be kept elsewhere", NULL,
         audit_options, 0, 0, verb_audit_head},
        {"audit prove", "N", "prove that entry N is in the log", NULL,
         audit_options, 1, 1, verb_audit_prove},
        {"audit consistency", "", "prove that the log goes on from a head",
         NULL, consistency_options, 0, 0, verb_audit_consistency},
        {"check-config", "", "read aggregator.yaml and print the settings",
         NULL, dir_options, 0, 0, verb_check_config},
        lab_recommend_verb,
        {NULL, NULL, NULL, NULL, NULL, 0, 0, NULL},
    };
    const char *from_environment = getenv("SOTTO_AGGREGATOR_DIR");

    process_private();
    umask(077); /* everything we make is the owner's alone */
    /* A batch is decoded on any worker, and a subject's rows grow on any: with
     * an arena a thread, each keeps what the others could use. */
    mallopt(M_ARENA_MAX, 2);
    if (from_environment)
        tool.dir = from_environment;
    return cli_main("sotto-aggregator",
                    "takes anonymized events, builds profiles, trains, "
                    "publishes lists",
                    verbs, argc, argv);
}
