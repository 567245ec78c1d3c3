/* The table of models end to end: fit, score, measure, search. */
#include "aggregator/model/evaluate.h"
#include "aggregator/model/recommender.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../support/model.h"

enum { GROUPS = 4, GROUP_ITEMS = 6, ITEMS = GROUPS * GROUP_ITEMS };

/* Subjects hold items of one group only, about two in three of them. */
static void grouped(struct matrix *m, uint32_t rows, uint64_t seed, int part)
{
    struct triple *triples = calloc(rows * GROUP_ITEMS, sizeof *triples);
    uint64_t count = 0;

    assert_non_null(triples);
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t n = 0; n < GROUP_ITEMS; n++) {
            uint32_t item = r % GROUPS * GROUP_ITEMS + n;
            bool first = n < GROUP_ITEMS / 2;

            if (part >= 0 ? (part == 0) == first : next_random(&seed) % 3 != 0)
                triples[count++] = (struct triple){r, item, 1, 0};
        }
    }
    assert_int_equal(matrix_build(m, rows, ITEMS, triples, count, MATRIX_MAX),
                     SOTTO_OK);
    free(triples);
}

static void models_find_the_rest_of_a_group(void **state)
{
    struct effort effort = {.threads = 2};
    struct recommender_input in = {0};
    struct holdout held;
    struct matrix x;
    struct gram g;

    (void)state;
    grouped(&x, 200, 1, -1);
    grouped(&held.history, 8, 1, 0);
    grouped(&held.truth, 8, 1, 1);
    assert_int_equal(gram_build(&g, &x, GRAM_BINARY, &effort), SOTTO_OK);
    in.x = &x;
    in.gram = &g;
    for (const struct recommender_kind *k = recommender_kinds; k->name; k++) {
        double values[RECOMMENDER_PARAMETERS_MAX];
        struct recommender r;
        struct quality q;

        recommender_defaults(k, values);
        assert_int_equal(recommender_fit(&r, k, &in, values, &effort),
                         SOTTO_OK);
        assert_int_equal(evaluate(&q, &r, &held, &effort), SOTTO_OK);
        assert_int_equal(q.subjects, 8);
        assert_near(q.coverage_100, 1, 1e-12);
        if (k->needs_gram)
            assert_near(q.ndcg_100, 1, 1e-6);
        else
            assert_true(q.ndcg_100 < .9); /* it knows no groups */
        recommender_fini(&r);
    }
    gram_fini(&g);
    holdout_fini(&held);
    matrix_fini(&x);
}

/* One that is never found counts as missed: 3 of 4 at every depth. */
static void an_unknown_item_of_the_truth_counts(void **state)
{
    const struct triple x_triples[] = {
        {0, 0, 1, 0}, {0, 1, 1, 0}, {0, 2, 1, 0}};
    const struct triple t_triples[] = {
        {0, 0, 1, 0}, {0, 1, 1, 0}, {0, 2, 1, 0}, {0, 9, 1, 0}};
    struct effort effort = {0};
    struct recommender_input in = {0};
    double values[RECOMMENDER_PARAMETERS_MAX] = {0};
    struct holdout held;
    struct recommender r;
    struct quality q;
    struct matrix x;

    (void)state;
    assert_int_equal(matrix_build(&x, 1, 3, x_triples, 3, MATRIX_MAX),
                     SOTTO_OK);
    assert_int_equal(matrix_build(&held.history, 2, 3, NULL, 0, MATRIX_MAX),
                     SOTTO_OK);
    assert_int_equal(matrix_build(&held.truth, 2, 10, t_triples, 4, MATRIX_MAX),
                     SOTTO_OK);
    in.x = &x;
    assert_int_equal(recommender_fit(&r, recommender_find("popularity"), &in,
                                     values, &effort),
                     SOTTO_OK);
    assert_int_equal(evaluate(&q, &r, &held, &effort), SOTTO_OK);
    assert_int_equal(q.subjects, 1); /* the second has no truth */
    assert_near(q.recall_20, .75, 1e-12);
    recommender_fini(&r);
    holdout_fini(&held);
    matrix_fini(&x);
}

static double ndcg_of(const struct recommender_kind *k,
                      const struct recommender_input *in,
                      const struct holdout *h, const double *values)
{
    struct effort effort = {.threads = 1};
    struct recommender r;
    struct quality q;

    assert_int_equal(recommender_fit(&r, k, in, values, &effort), SOTTO_OK);
    assert_int_equal(evaluate(&q, &r, h, &effort), SOTTO_OK);
    recommender_fini(&r);
    return q.ndcg_100;
}

/* Whatever the search returns, no neighbour on the grid of its last parameter
 * is better, and it is not worse than the defaults. */
static void a_search_improves_on_the_defaults(void **state)
{
    const struct recommender_kind *k = recommender_find("itemknn");
    struct effort effort = {.threads = 2};
    struct recommender_input in = {.seed = 5};
    double values[RECOMMENDER_PARAMETERS_MAX], again[4], defaults[4];
    uint64_t random = 17;
    struct holdout held;
    struct small s = {.rows = SIDE, .columns = SIDE};
    struct matrix x;
    struct gram g;
    double best;

    (void)state;
    for (uint32_t r = 0; r < SIDE; r++) {
        for (uint32_t c = 0; c < SIDE; c++)
            s.cells[r][c] = next_random(&random) % 3 == 0;
    }
    small_to_matrix(&x, &s);
    grouped(&held.history, 8, 1, 0);
    grouped(&held.truth, 8, 1, 1);
    assert_int_equal(gram_build(&g, &x, GRAM_BINARY, &effort), SOTTO_OK);
    in.x = &x;
    in.gram = &g;
    assert_int_equal(evaluate_search(values, k, &in, &held, &effort), SOTTO_OK);
    assert_int_equal(evaluate_search(again, k, &in, &held, &effort), SOTTO_OK);
    assert_memory_equal(values, again, sizeof values);
    recommender_defaults(k, defaults);
    best = ndcg_of(k, &in, &held, values);
    assert_true(best >= ndcg_of(k, &in, &held, defaults));
    for (uint32_t n = 0; n < k->parameters[1].grid_count; n++) {
        const double *grid = k->parameters[1].grid;
        bool beside =
            (n > 0 && grid[n - 1] == values[1]) ||
            (n + 1 < k->parameters[1].grid_count && grid[n + 1] == values[1]);

        again[1] = grid[n];
        if (beside)
            assert_true(best >= ndcg_of(k, &in, &held, again));
    }
    gram_fini(&g);
    holdout_fini(&held);
    matrix_fini(&x);
}

/* The last step of a search measures, so its total counts the subjects. */
static void a_search_looks_at_a_sample_of_many(void **state)
{
    const struct recommender_kind *k = recommender_find("popularity");
    struct effort effort = {.threads = 2};
    struct recommender_input in = {.seed = 6};
    double values[RECOMMENDER_PARAMETERS_MAX];
    struct holdout held;
    struct matrix x;

    (void)state;
    grouped(&x, 20, 1, -1);
    in.x = &x;
    for (uint32_t rows = 1999; rows <= 2500; rows += 501) {
        grouped(&held.history, rows, 1, 0);
        grouped(&held.truth, rows, 1, 1);
        assert_int_equal(evaluate_search(values, k, &in, &held, &effort),
                         SOTTO_OK);
        assert_int_equal(atomic_load(&effort.total), rows < 2000 ? rows : 2000);
        holdout_fini(&held);
    }
    matrix_fini(&x);
}

static void defaults_are_on_their_grids(void **state)
{
    (void)state;
    for (const struct recommender_kind *k = recommender_kinds; k->name; k++) {
        for (int i = 0; k->parameters[i].name; i++) {
            const struct recommender_parameter *p = &k->parameters[i];
            uint32_t n = 0;

            while (n < p->grid_count && p->grid[n] != p->value)
                n++;
            assert_true(p->grid_count == 0 || n < p->grid_count);
        }
    }
}

static void names_are_found_and_others_are_not(void **state)
{
    (void)state;
    for (const struct recommender_kind *k = recommender_kinds; k->name; k++)
        assert_ptr_equal(recommender_find(k->name), k);
    assert_null(recommender_find("magic"));
}

static void refuses_values_out_of_range(void **state)
{
    const double bad[] = {-1, NAN, 1e12};
    struct effort effort = {0};
    struct recommender_input in = {0};
    struct recommender r;
    struct matrix x;
    struct gram g;

    (void)state;
    assert_int_equal(matrix_build(&x, 0, 0, NULL, 0, MATRIX_SUM), SOTTO_OK);
    assert_int_equal(gram_build(&g, &x, GRAM_BINARY, &effort), SOTTO_OK);
    in.x = &x;
    for (size_t i = 0; i < 3; i++) {
        const struct recommender_kind *k = recommender_find("itemknn");
        double values[RECOMMENDER_PARAMETERS_MAX] = {bad[i]};

        in.gram = &g;
        assert_int_equal(recommender_fit(&r, k, &in, values, &effort),
                         SOTTO_EINVAL);
        in.gram = NULL;
        recommender_defaults(k, values);
        assert_int_equal(recommender_fit(&r, k, &in, values, &effort),
                         SOTTO_EINVAL);
    }
    gram_fini(&g);
    matrix_fini(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_find_the_rest_of_a_group),
        cmocka_unit_test(an_unknown_item_of_the_truth_counts),
        cmocka_unit_test(a_search_improves_on_the_defaults),
        cmocka_unit_test(a_search_looks_at_a_sample_of_many),
        cmocka_unit_test(defaults_are_on_their_grids),
        cmocka_unit_test(names_are_found_and_others_are_not),
        cmocka_unit_test(refuses_values_out_of_range),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
