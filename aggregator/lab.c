/* The verb reads its files, then a worker thread fits, searches and measures
 * one model after the other while this thread draws the progress bar. The
 * times are those of the final fit; its Gram matrix, which the models share,
 * is made once and charged to each that needs it. */
#include "aggregator/lab.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "aggregator/lab_csv.h"
#include "aggregator/lab_data.h"
#include "aggregator/model/evaluate.h"
#include "aggregator/model/recommender.h"

#define KINDS_MAX 16
#define TICK_MS 100

/* What the command line says; the option table points into it. */
static struct {
    const char *train, *history, *truth;
    const char *validate_history, *validate_truth;
    const char *model;
    const char *ranked, *candidates, *scores;
    int64_t n, seed, threads;
    bool json;
} opt = {.model = "localridge", .n = 20};

/* clang-format off */
static struct option_row lab_options[] = {
    {.name = "train", .kind = OPTION_TEXT, .into = &opt.train,
     .value = "FILE", .required = true,
     .help = "interactions to learn from"},
    {.name = "history", .kind = OPTION_TEXT, .into = &opt.history,
     .value = "FILE", .required = true,
     .help = "what is known of the held-out users"},
    {.name = "truth", .kind = OPTION_TEXT, .into = &opt.truth,
     .value = "FILE", .help = "what they took besides, to be found"},
    {.name = "validate-history", .kind = OPTION_TEXT,
     .into = &opt.validate_history, .value = "FILE",
     .help = "the same of other users, to choose parameters on"},
    {.name = "validate-truth", .kind = OPTION_TEXT,
     .into = &opt.validate_truth, .value = "FILE",
     .help = "the same; without both the default parameters are used"},
    {.name = "model", .letter = 'm', .kind = OPTION_TEXT, .into = &opt.model,
     .value = "NAME", .help = "popularity, itemknn, localridge or all"},
    {.name = "ranked", .kind = OPTION_TEXT, .into = &opt.ranked,
     .value = "FILE", .help = "write user,item,rank,score of the best items"},
    {.name = "count", .letter = 'n', .kind = OPTION_COUNT, .into = &opt.n,
     .value = "N", .min = 1, .max = 1000000,
     .help = "how many per user in the ranked file"},
    {.name = "candidates", .kind = OPTION_TEXT, .into = &opt.candidates,
     .value = "FILE", .help = "user,item pairs to score"},
    {.name = "scores", .kind = OPTION_TEXT, .into = &opt.scores,
     .value = "FILE", .help = "write user,item,score of the candidates"},
    {.name = "seed", .kind = OPTION_COUNT, .into = &opt.seed,
     .value = "N", .min = 0, .max = INT64_MAX,
     .help = "of whatever is drawn at random"},
    {.name = "threads", .kind = OPTION_COUNT, .into = &opt.threads,
     .value = "N", .min = 0, .max = 64,
     .help = "0 uses every processor; results do not depend on it"},
    {.name = "json", .kind = OPTION_FLAG, .into = &opt.json,
     .help = "one JSON object a model, one a line"},
    {.name = NULL},
};

const struct verb_row lab_recommend_verb = {
    .name = "lab recommend",
    .args = "",
    .summary = "fit recommenders to files and measure them",
    .detail =
        "Files are CSV, user,item[,value][,time], with or without a header "
        "line. Rows whose value is not above 0 are ignored. Items of a "
        "history that training does not know are ignored and counted; items "
        "of a truth that it does not know count as missed. Figures are means "
        "over the users that have a truth: recall with min(k, truth) below "
        "the line, NDCG with binary gains.\n",
    .options = lab_options,
    .run = lab_recommend,
};
/* clang-format on */

struct cost {
    double wall_seconds, cpu_seconds;
};

struct result {
    struct recommender model;
    struct cost fit, search;
    struct quality quality;
};

struct lab {
    struct lab_training training;
    struct lab_holdout test, validation;
    const struct recommender_kind *kinds[KINDS_MAX];
    int kind_count;
    struct gram gram;
    struct cost gram_cost;
    struct result results[KINDS_MAX];
    struct effort effort;
    _Atomic(const char *) doing; /* for the progress bar */
    atomic_bool finished;
    enum sotto_err err;
};

static double seconds_of(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static struct cost cost_now(void)
{
    struct timespec wall;
    struct rusage usage;

    clock_gettime(CLOCK_MONOTONIC, &wall);
    getrusage(RUSAGE_SELF, &usage);
    return (struct cost){
        .wall_seconds = (double)wall.tv_sec + (double)wall.tv_nsec / 1e9,
        .cpu_seconds = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime)};
}

static void cost_since(struct cost *sum, struct cost start)
{
    struct cost now = cost_now();

    sum->wall_seconds += now.wall_seconds - start.wall_seconds;
    sum->cpu_seconds += now.cpu_seconds - start.cpu_seconds;
}

/* ------------------------------------------------ the worker's side */

static enum sotto_err make_gram(struct lab *lab)
{
    struct cost start = cost_now();
    enum sotto_err err;

    if (lab->gram.rows)
        return SOTTO_OK;
    atomic_store(&lab->doing, "item pairs");
    err = gram_build(&lab->gram, &lab->training.x, GRAM_BINARY, &lab->effort);
    cost_since(&lab->gram_cost, start);
    return err;
}

static enum sotto_err run_kind(struct lab *lab,
                               const struct recommender_kind *kind,
                               struct result *result)
{
    struct recommender_input in = {.x = &lab->training.x,
                                   .seed = (uint64_t)opt.seed};
    double values[RECOMMENDER_PARAMETERS_MAX];
    struct cost start;
    enum sotto_err err = SOTTO_OK;

    if (kind->needs_gram) {
        err = make_gram(lab);
        if (err)
            return err;
        in.gram = &lab->gram;
        result->fit = lab->gram_cost;
    }
    atomic_store(&lab->doing, kind->name);
    recommender_defaults(kind, values);
    start = cost_now();
    if (opt.validate_history)
        err = evaluate_search(values, kind, &in, &lab->validation.data,
                              &lab->effort);
    cost_since(&result->search, start);
    if (err)
        return err;
    start = cost_now();
    err = recommender_fit(&result->model, kind, &in, values, &lab->effort);
    cost_since(&result->fit, start);
    if (!err)
        err = evaluate(&result->quality, &result->model, &lab->test.data,
                       &lab->effort);
    return err;
}

static void *work(void *arg)
{
    struct lab *lab = arg;

    for (int i = 0; i < lab->kind_count && !lab->err; i++)
        lab->err = run_kind(lab, lab->kinds[i], &lab->results[i]);
    atomic_store(&lab->finished, true);
    return NULL;
}

/* A search is measured in rounds, anything else in its own steps. */
static void draw_progress(struct lab *lab)
{
    struct effort *e = &lab->effort;
    uint32_t rounds = atomic_load(&e->rounds);

    if (rounds)
        cli_progress(atomic_load(&lab->doing), atomic_load(&e->round), rounds);
    else
        cli_progress(atomic_load(&lab->doing), atomic_load(&e->done),
                     atomic_load(&e->total));
}

static enum sotto_err run_worker(struct lab *lab)
{
    const struct timespec tick = {.tv_nsec = TICK_MS * 1000000};
    pthread_t worker;

    atomic_store(&lab->doing, "start");
    lab->effort.threads = (unsigned)opt.threads;
    if (pthread_create(&worker, NULL, work, lab))
        return SOTTO_ENOMEM;
    while (!atomic_load(&lab->finished)) {
        draw_progress(lab);
        nanosleep(&tick, NULL);
    }
    pthread_join(worker, NULL);
    cli_progress_end();
    return lab->err;
}

/* ------------------------------------------------------ the reports */

static double peak_bytes(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss * 1024;
}

static json_t *parameters_json(const struct recommender *model)
{
    json_t *object = json_object();

    for (int i = 0; model->kind->parameters[i].name; i++)
        json_object_set_new(object, model->kind->parameters[i].name,
                            json_real(model->values[i]));
    return object;
}

/* The figures need a truth; without one they are absent, not zero. */
static bool print_json(const struct lab *lab, const struct result *r)
{
    json_t *o = json_object();
    char *text;

    json_object_set_new(o, "model", json_string(r->model.kind->name));
    if (opt.truth) {
        json_object_set_new(o, "recall@20", json_real(r->quality.recall_20));
        json_object_set_new(o, "recall@50", json_real(r->quality.recall_50));
        json_object_set_new(o, "ndcg@100", json_real(r->quality.ndcg_100));
        json_object_set_new(o, "coverage@100",
                            json_real(r->quality.coverage_100));
        json_object_set_new(o, "evaluated_users",
                            json_integer(r->quality.subjects));
    }
    json_object_set_new(o, "fit_seconds", json_real(r->fit.wall_seconds));
    json_object_set_new(o, "cpu_seconds", json_real(r->fit.cpu_seconds));
    json_object_set_new(o, "search_seconds", json_real(r->search.wall_seconds));
    json_object_set_new(o, "peak_bytes",
                        json_integer((json_int_t)peak_bytes()));
    json_object_set_new(o, "parameters", parameters_json(&r->model));
    json_object_set_new(o, "users", json_integer(lab->training.x.rows));
    json_object_set_new(o, "items", json_integer(lab->training.x.columns));
    json_object_set_new(
        o, "interactions",
        json_integer((json_int_t)matrix_count(&lab->training.x)));
    json_object_set_new(o, "ignored_rows",
                        json_integer((json_int_t)lab->training.ignored));
    json_object_set_new(o, "unknown_history_rows",
                        json_integer((json_int_t)lab->test.unknown));
    text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(o);
    if (!text)
        return false;
    puts(text);
    free(text);
    return true;
}

static void print_table_head(const struct lab *lab)
{
    printf("%u users, %u items, %llu interactions\n", lab->training.x.rows,
           lab->training.x.columns,
           (unsigned long long)matrix_count(&lab->training.x));
    if (lab->training.ignored)
        printf("%llu rows ignored: their value is not above 0\n",
               (unsigned long long)lab->training.ignored);
    if (lab->test.unknown)
        printf("%llu rows of the history ignored: training does not know the "
               "item\n",
               (unsigned long long)lab->test.unknown);
    printf("%-12s %9s %9s %9s %9s %7s %7s %9s  %s\n", "model", "recall@20",
           "recall@50", "ndcg@100", "coverage", "fit s", "cpu s", "peak MiB",
           "parameters");
}

static void print_table_row(const struct result *r)
{
    const struct quality *q = &r->quality;

    printf("%-12s ", r->model.kind->name);
    if (opt.truth)
        printf("%9.4f %9.4f %9.4f %9.4f ", q->recall_20, q->recall_50,
               q->ndcg_100, q->coverage_100);
    else
        printf("%9s %9s %9s %9s ", "-", "-", "-", "-");
    printf("%7.2f %7.2f %9.0f ", r->fit.wall_seconds, r->fit.cpu_seconds,
           peak_bytes() / (1024 * 1024));
    for (int i = 0; r->model.kind->parameters[i].name; i++)
        printf(" %s=%g", r->model.kind->parameters[i].name, r->model.values[i]);
    printf("\n");
}

static enum sotto_err report(const struct lab *lab, struct why *why)
{
    if (!opt.json)
        print_table_head(lab);
    for (int i = 0; i < lab->kind_count; i++) {
        if (!opt.json)
            print_table_row(&lab->results[i]);
        else if (!print_json(lab, &lab->results[i]))
            return why_say(why, SOTTO_ENOMEM, "no memory for the report");
    }
    if (fflush(stdout) || ferror(stdout))
        return why_say(why, SOTTO_EIO, "the report cannot be written: %s",
                       strerror(errno));
    return SOTTO_OK;
}

/* ------------------------------------------------- the files it writes */

static struct history history_of(const struct lab *lab, uint32_t user)
{
    const struct matrix *m = &lab->test.data.history;
    uint64_t first = m->starts[user];

    return (struct history){.items = m->indexes + first,
                            .size = (uint32_t)(m->starts[user + 1] - first)};
}

static void write_name(FILE *out, const struct dict *names, uint32_t number)
{
    lab_csv_field(out, dict_key(names, number));
    putc(',', out);
}

static enum sotto_err write_ranked(FILE *out, struct lab *lab)
{
    const struct recommender *model = &lab->results[0].model;
    uint32_t limit = opt.n < model->items ? (uint32_t)opt.n : model->items;
    struct ranked *list = effort_alloc(limit, sizeof *list);
    float *scores = effort_alloc(model->items, sizeof *scores);
    enum sotto_err err = list && scores ? SOTTO_OK : SOTTO_ENOMEM;

    fputs("user,item,rank,score\n", out);
    for (uint32_t u = 0; !err && u < lab->test.history_users; u++) {
        struct history h = history_of(lab, u);
        uint32_t count;

        recommender_score(model, &h, scores);
        count = score_select(list, limit, scores, model->items, &h, -INFINITY);
        for (uint32_t n = 0; n < count; n++) {
            write_name(out, &lab->test.users, u);
            write_name(out, &lab->training.items, list[n].item);
            fprintf(out, "%u,%.9g\n", n + 1, (double)list[n].score);
        }
    }
    free(scores);
    free(list);
    return err;
}

/* The places of the pairs, those of one user together: counting sort. */
static uint64_t *pairs_by_user(const struct lab_holdout *h)
{
    uint64_t *starts = effort_alloc((uint64_t)h->users.count + 1, 8);
    uint64_t *order = effort_alloc(h->pair_count, sizeof *order);

    if (!starts || !order) {
        free(starts);
        free(order);
        return NULL;
    }
    for (uint64_t i = 0; i < h->pair_count; i++)
        starts[h->pairs[i].user + 1]++;
    for (uint32_t u = 0; u < h->users.count; u++)
        starts[u + 1] += starts[u];
    for (uint64_t i = 0; i < h->pair_count; i++)
        order[starts[h->pairs[i].user]++] = i;
    free(starts);
    return order;
}

/* Scores each user once, whatever the order of the pairs. An item that
 * training does not know scores 0: nothing speaks for it. */
static enum sotto_err score_pairs(float *results, const struct lab *lab)
{
    const struct recommender *model = &lab->results[0].model;
    const struct lab_holdout *h = &lab->test;
    uint64_t *order = pairs_by_user(h);
    float *scores = effort_alloc(model->items, sizeof *scores);
    uint32_t scored = DICT_NONE;
    enum sotto_err err = order && scores ? SOTTO_OK : SOTTO_ENOMEM;

    for (uint64_t n = 0; !err && n < h->pair_count; n++) {
        const struct lab_pair *pair = &h->pairs[order[n]];

        if (pair->user != scored) {
            struct history history = history_of(lab, pair->user);

            recommender_score(model, &history, scores);
            scored = pair->user;
        }
        if (pair->item < model->items)
            results[order[n]] = scores[pair->item];
    }
    free(scores);
    free(order);
    return err;
}

static enum sotto_err write_scores(FILE *out, struct lab *lab)
{
    const struct lab_holdout *h = &lab->test;
    float *results = effort_alloc(h->pair_count, sizeof *results);
    enum sotto_err err = SOTTO_ENOMEM;

    if (results)
        err = score_pairs(results, lab);
    fputs("user,item,score\n", out);
    for (uint64_t i = 0; !err && i < h->pair_count; i++) {
        write_name(out, &h->users, h->pairs[i].user);
        write_name(out, &lab->training.items, h->pairs[i].item);
        fprintf(out, "%.9g\n", (double)results[i]);
    }
    free(results);
    return err;
}

static enum sotto_err write_file(const char *path, struct lab *lab,
                                 enum sotto_err (*write)(FILE *, struct lab *),
                                 struct why *why)
{
    FILE *out = fopen(path, "wb");
    enum sotto_err err;
    bool failed;

    if (!out)
        return why_say(why, SOTTO_EIO, "%s: cannot be written: %s", path,
                       strerror(errno));
    err = write(out, lab);
    failed = ferror(out) != 0;
    failed |= fclose(out) != 0;
    if (err)
        return why_say(why, err, "%s: %s", path, err_text(err));
    if (failed)
        return why_say(why, SOTTO_EIO,
                       "%s: cannot be written; is the disk "
                       "full?",
                       path);
    return SOTTO_OK;
}

/* ------------------------------------------------------------ the verb */

static enum sotto_err choose_kinds(struct lab *lab, struct why *why)
{
    const char *names[KINDS_MAX + 2] = {"all"};
    const char *near;
    int count = 1;

    for (const struct recommender_kind *k = recommender_kinds; k->name; k++) {
        names[count++] = k->name;
        if (!strcmp(opt.model, k->name) || !strcmp(opt.model, "all"))
            lab->kinds[lab->kind_count++] = k;
    }
    if (lab->kind_count)
        return SOTTO_OK;
    near = cli_nearest(opt.model, names);
    return why_say(why, SOTTO_EINVAL,
                   "--model %s: there is no such model; did you mean %s? "
                   "--help lists them",
                   opt.model, near ? near : "all");
}

static enum sotto_err check_options(const struct lab *lab, struct why *why)
{
    if (!opt.candidates != !opt.scores)
        return why_say(why, SOTTO_EINVAL,
                       "--candidates and --scores belong together; give both");
    if (!opt.validate_history != !opt.validate_truth)
        return why_say(why, SOTTO_EINVAL,
                       "--validate-history and --validate-truth belong "
                       "together; give both");
    if (!opt.truth && !opt.ranked && !opt.scores)
        return why_say(why, SOTTO_EINVAL,
                       "nothing to do; give --truth, --ranked or "
                       "--candidates");
    if ((opt.ranked || opt.scores) && lab->kind_count > 1)
        return why_say(why, SOTTO_EINVAL,
                       "a file holds the lists of one model; name it with "
                       "--model");
    return SOTTO_OK;
}

static enum sotto_err read_files(struct lab *lab, struct why *why)
{
    struct lab_files test = {opt.history, opt.truth, opt.candidates};
    struct lab_files validation = {opt.validate_history, opt.validate_truth,
                                   NULL};
    enum sotto_err err = lab_read_training(&lab->training, opt.train, why);

    if (!err)
        err = lab_read_holdout(&lab->test, &lab->training, &test, why);
    if (!err && opt.validate_history)
        err = lab_read_holdout(&lab->validation, &lab->training, &validation,
                               why);
    return err;
}

static enum sotto_err run(struct lab *lab, struct why *why)
{
    enum sotto_err err = choose_kinds(lab, why);

    if (!err)
        err = check_options(lab, why);
    if (!err)
        err = read_files(lab, why);
    if (err)
        return err;
    err = run_worker(lab);
    if (err)
        return why_say(why, err, "the models cannot be fitted: %s",
                       err_text(err));
    err = report(lab, why);
    if (!err && opt.ranked)
        err = write_file(opt.ranked, lab, write_ranked, why);
    if (!err && opt.scores)
        err = write_file(opt.scores, lab, write_scores, why);
    return err;
}

int lab_recommend(int argc, const char *const *argv)
{
    struct lab *lab = calloc(1, sizeof *lab);
    struct why why = {""};
    enum sotto_err err = SOTTO_ENOMEM;

    (void)argc; /* the verb takes no arguments */
    (void)argv;
    if (lab)
        err = run(lab, &why);
    if (err)
        fprintf(stderr, "sotto-aggregator lab recommend: %s\n",
                why.text[0] ? why.text : err_text(err));
    if (lab) {
        for (int i = 0; i < KINDS_MAX; i++)
            recommender_fini(&lab->results[i].model);
        gram_fini(&lab->gram);
        lab_training_fini(&lab->training);
        lab_holdout_fini(&lab->test);
        lab_holdout_fini(&lab->validation);
        free(lab);
    }
    return err ? EXIT_USAGE : EXIT_GOOD;
}
