/* Released counts: bounded, noisy, charged before they are drawn. */
#include "aggregator/release.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "../support/seeded.h"
#include "../support/shop.h"

#define DELTA INT64_C(1000000000000) /* 1e-6 */
#define CELLS 2000
#define PEOPLE 500

static const struct ledger_budget budget = {100000, DELTA};
static const struct release_question segments = {
    .request = "r1", .by = "cell", .rho = 60000, .min_k = 20, .cells_max = 1};

static int setup(void **state)
{
    static struct shop shop;

    shop_open(&shop);
    *state = &shop;
    return 0;
}

static int teardown(void **state)
{
    shop_close(*state);
    return 0;
}

static uint32_t make_cells(struct tally *t, uint32_t count)
{
    char name[16];
    uint32_t cell = 0;

    for (uint32_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "c%04u", i);
        assert_int_equal(tally_cell(t, span_text(name), &cell), SOTTO_OK);
        assert_int_equal(cell, i);
    }
    return count;
}

/* PEOPLE in each of the cells with an even number, nobody in the others; each
 * person is in one cell, so that no bound matters. */
static enum sotto_err every_other(void *context, struct tally *t)
{
    uint32_t cells = make_cells(t, CELLS);

    (void)context;
    for (uint32_t c = 0; c < cells; c += 2)
        for (int i = 0; i < PEOPLE; i++) {
            uint32_t in = c;
            tally_subject(t, &in, 1);
        }
    return SOTTO_OK;
}

static json_t *ask(struct shop *s, const struct release_question *q,
                   release_fill *fill, const struct noise_source *from)
{
    struct why why = {""};
    struct buf answer;
    json_t *out = NULL;

    buf_init(&answer, LEDGER_ANSWER_MAX);
    assert_int_equal(
        release_count(s->store, &budget, q, 7, fill, NULL, from, &answer, &why),
        SOTTO_OK);
    out = json_loadb((const char *)answer.data, answer.size, 0, NULL);
    assert_non_null(out);
    buf_fini(&answer);
    return out;
}

static int64_t spent(struct shop *s)
{
    int64_t rho, delta;

    assert_int_equal(ledger_spent(s->store, &rho, &delta), SOTTO_OK);
    return rho;
}

/* --- noise -------------------------------------------------------------- */

static void counts_are_as_far_off_as_rho_says(void **state)
{
    struct release_question q = segments;
    uint64_t seed = 1;
    struct noise_source from = seeded(&seed);
    double sum = 0, squares = 0;
    json_t *r, *counts, *one;
    size_t i;

    q.rho = 1000;  /* sigma2 = 500 */
    q.min_k = 250; /* eleven deviations from both */
    r = ask(*state, &q, every_other, &from);
    counts = json_object_get(r, "counts");
    assert_int_equal(json_array_size(counts), CELLS / 2);
    json_array_foreach(counts, i, one)
    {
        char name[16];
        double off =
            (double)json_integer_value(json_object_get(one, "count")) - PEOPLE;

        snprintf(name, sizeof name, "c%04zu", 2 * i);
        assert_string_equal(json_string_value(json_object_get(one, "cell")),
                            name);
        sum += off;
        squares += off * off;
    }
    assert_true(fabs(sum / (CELLS / 2)) < 4 * sqrt(500.0 / (CELLS / 2)));
    assert_true(fabs(squares / (CELLS / 2) / 500 - 1) <
                4 * sqrt(2.0 / (CELLS / 2)));
    json_decref(r);
}

/* An empty cell of a fixed list is noised like the others: with min_k 1 about
 * half of them show. Without noise, or with it only for the others, none. */
static void empty_cells_of_a_fixed_list_are_noised(void **state)
{
    struct release_question q = segments;
    uint64_t seed = 2;
    struct noise_source from = seeded(&seed);
    json_t *r;
    size_t shown;

    q.rho = 1000;
    q.min_k = 1;
    r = ask(*state, &q, every_other, &from);
    shown = json_array_size(json_object_get(r, "counts"));
    assert_true(shown > CELLS / 2 + 400 && shown < CELLS / 2 + 600);
    json_decref(r);
}

static void only_this_is_called_anonymous(void **state)
{
    uint64_t seed = 3;
    struct noise_source from = seeded(&seed);
    json_t *r = ask(*state, &segments, every_other, &from);
    char *text = json_dumps(r, JSON_COMPACT), label[96];

    snprintf(label, sizeof label,
             "anonymous statistics (\xce\xb5 = %.4f, \xce\xb4 = 1e-06)",
             ledger_epsilon(0.06, 5e-7));
    assert_string_equal(json_string_value(json_object_get(r, "label")), label);
    assert_null(strstr(strstr(text, "anonymous") + 1, "anonymous"));
    free(text);
    json_decref(r);
}

/* --- bounds ------------------------------------------------------------- */

static void a_subject_counts_once_a_cell_and_in_so_many(void **state)
{
    uint64_t seed = 4;
    struct noise_source from = seeded(&seed);
    struct tally t = {.cells_max = 3, .from = &from};
    uint64_t sum = 0;

    (void)state;
    dict_init(&t.names, 100, 10000, 0);
    make_cells(&t, 10);
    for (int i = 0; i < 10000; i++) {
        uint32_t in[] = {7, 1, 7, 2, 3, 3, 4, 1, 0}; /* six different */
        tally_subject(&t, in, 9);
    }
    for (uint32_t c = 0; c < 10; c++) {
        bool is_in = c <= 4 || c == 7;

        sum += t.counts[c];
        if (is_in) /* half of the time, five deviations */
            assert_true(t.counts[c] > 4750 && t.counts[c] < 5250);
        else
            assert_int_equal(t.counts[c], 0);
    }
    assert_int_equal(sum, 30000);
    for (int i = 0; i < 10; i++) { /* under the bound all count */
        uint32_t in[] = {9, 8, 9, 6};
        tally_subject(&t, in, 4);
    }
    assert_int_equal(t.counts[9], 10);
    assert_int_equal(t.counts[8], 10);
    assert_int_equal(t.counts[6], 10);
    tally_subject(&t, NULL, 0);
    dict_fini(&t.names);
    free(t.counts);
}

static void noise_fits_the_bound(void **state)
{
    struct ratio r = release_sigma2(10000, 10);

    (void)state; /* cells / (2 rho) */
    assert_true((double)r.num / (double)r.den == 500);
    r = release_sigma2(LEDGER_RHO_MAX, RELEASE_PER_SUBJECT_MAX);
    assert_true(r.num <= NOISE_PART_MAX && r.den <= NOISE_PART_MAX);
    r = release_sigma2(1, RELEASE_PER_SUBJECT_MAX);
    assert_true(r.num <= NOISE_PART_MAX && r.den <= NOISE_PART_MAX);
}

/* The chance that a cell of one subject is shown, summed up from the
 * distribution itself. */
static double chance_of_one(int64_t shown_from, double sigma2)
{
    double all = 0, above = 0;

    for (int64_t x = -20000; x <= 20000; x++) {
        double w = exp(-(double)(x * x) / (2 * sigma2));

        all += w;
        above += x + 1 >= shown_from ? w : 0;
    }
    return above / all;
}

static void a_cell_of_one_subject_is_hardly_ever_shown(void **state)
{
    static const struct release_question asked[] = {
        {"r", "item", 10000, 20, 10, true},
        {"r", "item", 100, 20, 3, true},
        {"r", "item", 500000, 2, 1, true},
    };

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct ratio r = release_sigma2(asked[i].rho, asked[i].cells_max);
        double sigma2 = (double)r.num / (double)r.den;
        int64_t delta = release_delta(&asked[i], &budget);
        int64_t from = release_shown_from(&asked[i], delta);
        double chance = asked[i].cells_max * chance_of_one(from, sigma2);

        assert_int_equal(delta, DELTA / 100);
        assert_true(chance <= (double)delta / 1e18);
        /* and not far from where it begins to be likelier */
        assert_true(asked[i].cells_max * chance_of_one(from * 7 / 10, sigma2) >
                    (double)delta / 1e18);
    }
    assert_int_equal(release_shown_from(&segments, 0), 20);
    assert_int_equal(release_delta(&segments, &budget), 0);
}

/* --- a crash ------------------------------------------------------------ */

#define CRASHED 41

static void crash(void *context, void *out, size_t size)
{
    (void)context;
    (void)out;
    (void)size;
    _exit(CRASHED);
}

static enum sotto_err never(void *context, struct tally *t)
{
    (void)context;
    (void)t;
    fail_msg("counted again");
    return SOTTO_EIO;
}

/* In a process of its own, with its own connection, which is never closed. */
static int release_elsewhere(struct shop *s, const struct noise_source *from)
{
    int status;
    pid_t child;

    store_close(s->store); /* a connection must not pass a fork */
    s->store = NULL;
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct why why = {""};
        struct buf answer;

        buf_init(&answer, LEDGER_ANSWER_MAX);
        if (store_open(&s->store, s->dir, s->key, &why) ||
            release_count(s->store, &budget, &segments, 7, every_other, NULL,
                          from, &answer, &why))
            _exit(1);
        _exit(0); /* before anybody was shown anything */
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(store_open(&s->store, s->dir, s->key, NULL), SOTTO_OK);
    return WEXITSTATUS(status);
}

static void
killed_before_the_first_noise_it_is_charged_and_not_free(void **state)
{
    const struct noise_source killer = {crash, NULL};
    struct release_question other = segments;
    struct shop *s = *state;
    uint64_t seed = 5;
    struct noise_source from = seeded(&seed);
    struct why why = {""};
    struct buf answer;
    json_t *first, *second;

    buf_init(&answer, LEDGER_ANSWER_MAX);
    assert_int_equal(release_elsewhere(s, &killer), CRASHED);
    assert_int_equal(spent(s), segments.rho);
    assert_int_equal(ledger_answer(s->store, segments.request, &answer),
                     SOTTO_ENOTFOUND);
    other.request = "r2"; /* 0.06 + 0.06 is above 0.1 */
    assert_int_equal(release_count(s->store, &budget, &other, 8, never, NULL,
                                   &killer, &answer, &why),
                     SOTTO_EREFUSED);
    first = ask(s, &segments, every_other, &from);
    assert_int_equal(spent(s), segments.rho);   /* once */
    second = ask(s, &segments, never, &killer); /* the same, not drawn again */
    assert_true(json_equal(first, second));
    assert_int_equal(spent(s), segments.rho);
    json_decref(first);
    json_decref(second);
    buf_fini(&answer);
}

static void killed_before_it_was_shown_the_same_answer_is_there(void **state)
{
    const struct noise_source killer = {crash, NULL};
    struct shop *s = *state;
    uint64_t seed = 6;
    struct noise_source from = seeded(&seed);
    json_t *r;

    assert_int_equal(release_elsewhere(s, &from), 0);
    assert_int_equal(spent(s), segments.rho);
    r = ask(s, &segments, never, &killer);
    assert_int_equal(spent(s), segments.rho);
    assert_true(json_array_size(json_object_get(r, "counts")) > 0);
    json_decref(r);
}

/* Noise drawn twice for one charge would be a free release. */
static void an_answer_that_was_damaged_is_not_drawn_again(void **state)
{
    struct shop *s = *state;
    const struct noise_source killer = {crash, NULL};
    uint64_t seed = 7;
    struct noise_source from = seeded(&seed);
    struct why why = {""};
    struct buf answer;

    json_decref(ask(s, &segments, every_other, &from));
    sqlite3_exec(s->store->db, "UPDATE release SET answer = zeroblob(100)",
                 NULL, NULL, NULL);
    buf_init(&answer, LEDGER_ANSWER_MAX);
    assert_int_equal(release_count(s->store, &budget, &segments, 8, never, NULL,
                                   &killer, &answer, &why),
                     SOTTO_ECRYPTO);
    assert_int_equal(answer.size, 0);
    buf_fini(&answer);
}

static void what_is_refused_is_not_counted(void **state)
{
    struct shop *s = *state;
    const struct noise_source killer = {crash, NULL};
    struct release_question q = segments;
    struct why why = {""};
    struct buf answer;

    buf_init(&answer, LEDGER_ANSWER_MAX);
    q.rho = budget.rho + 1;
    assert_int_equal(release_count(s->store, &budget, &q, 8, never, NULL,
                                   &killer, &answer, &why),
                     SOTTO_EREFUSED);
    assert_non_null(strstr(why.text, "nothing was released"));
    q = segments;
    q.cells_max = 0;
    assert_int_equal(release_count(s->store, &budget, &q, 8, never, NULL,
                                   &killer, &answer, &why),
                     SOTTO_EINVAL);
    assert_int_equal(spent(s), 0);
    assert_int_equal(answer.size, 0);
    buf_fini(&answer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(counts_are_as_far_off_as_rho_says),
        TEST(empty_cells_of_a_fixed_list_are_noised),
        TEST(only_this_is_called_anonymous),
        cmocka_unit_test(a_subject_counts_once_a_cell_and_in_so_many),
        cmocka_unit_test(noise_fits_the_bound),
        cmocka_unit_test(a_cell_of_one_subject_is_hardly_ever_shown),
        TEST(killed_before_the_first_noise_it_is_charged_and_not_free),
        TEST(killed_before_it_was_shown_the_same_answer_is_there),
        TEST(an_answer_that_was_damaged_is_not_drawn_again),
        TEST(what_is_refused_is_not_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
