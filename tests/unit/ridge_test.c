/* The local ridge against Gauss elimination on the dense system. */
#include "aggregator/model/ridge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../support/model.h"

/* Solves a x = b in place by Gauss-Jordan with row pivots; n unknowns. */
static void gauss(double a[SIDE][SIDE], double b[SIDE], uint32_t n)
{
    for (uint32_t c = 0; c < n; c++) {
        uint32_t pivot = c;

        for (uint32_t r = c + 1; r < n; r++) {
            if (fabs(a[r][c]) > fabs(a[pivot][c]))
                pivot = r;
        }
        for (uint32_t k = 0; k < n; k++) {
            double moved = a[c][k];

            a[c][k] = a[pivot][k];
            a[pivot][k] = moved;
        }
        double moved = b[c];
        b[c] = b[pivot];
        b[pivot] = moved;
        for (uint32_t r = 0; r < n; r++) {
            double factor = a[r][c] / a[c][c];

            for (uint32_t k = 0; k < n && r != c; k++)
                a[r][k] -= factor * a[c][k];
            if (r != c)
                b[r] -= factor * b[c];
        }
    }
    for (uint32_t c = 0; c < n; c++)
        b[c] /= a[c][c];
}

/* Column j over the items of list: the weight of list[n] in x[n]. */
static void solve_dense(double x[SIDE], const struct small *s, uint32_t j,
                        const uint32_t *list, uint32_t n,
                        const struct ridge_parameters *p)
{
    double a[SIDE][SIDE], more = (double)p->dropout / (1 - (double)p->dropout);

    for (uint32_t r = 0; r < n; r++) {
        for (uint32_t c = 0; c < n; c++)
            a[r][c] = small_gram(s, list[r], list[c], GRAM_BINARY);
        a[r][r] += (double)p->lambda + more * a[r][r];
        x[r] = small_gram(s, list[r], j, GRAM_BINARY);
    }
    gauss(a, x, n);
}

/* K >= items, everything kept: b_j = 0 and all other items take part. Items
 * that never meet j are no candidates, so the dense system is asked only for
 * those that do. */
static void with_every_candidate_is_the_dense_ridge(void **state)
{
    uint64_t random = 7;

    (void)state;
    for (int round = 0; round < 100; round++) {
        struct effort effort = {.threads = 1 + (unsigned)round % 2};
        struct ridge_parameters p = {.candidates = 100,
                                     .keep = 100,
                                     .lambda = .5f + (float)(round % 5),
                                     .dropout = (float)(round % 4) * .2f};
        struct small s;
        struct gram g;
        struct weights w;

        small_random(&s, &random);
        small_gram_build(&g, &s);
        assert_int_equal(ridge_fit(&w, &g, &p, &effort), SOTTO_OK);
        for (uint32_t j = 0; j < s.columns; j++) {
            uint32_t list[SIDE], n = 0;
            double x[SIDE];

            for (uint32_t i = 0; i < s.columns; i++) {
                if (i != j && small_gram(&s, i, j, GRAM_BINARY) > 0)
                    list[n++] = i;
            }
            solve_dense(x, &s, j, list, n, &p);
            assert_near(weight_at(&w, j, j), 0, 0);
            for (uint32_t k = 0; k < n; k++)
                assert_near(weight_at(&w, list[k], j), x[k], 2e-4);
        }
        weights_fini(&w);
        gram_fini(&g);
    }
}

static uint32_t strongest(uint32_t *list, double *x, uint32_t n, uint32_t keep)
{
    while (n > keep) { /* drop the weakest, one at a time */
        uint32_t weakest = 0;

        for (uint32_t k = 1; k < n; k++) {
            if (fabs(x[k]) < fabs(x[weakest]))
                weakest = k;
        }
        for (uint32_t k = weakest; k + 1 < n; k++) {
            list[k] = list[k + 1];
            x[k] = x[k + 1];
        }
        n--;
    }
    return n;
}

/* Distances between weights that are near ties are not decided here: a column
 * where the last kept and the first dropped are close is passed over. */
static void solves_again_among_the_kept(void **state)
{
    struct ridge_parameters p = {
        .candidates = 100, .keep = 3, .lambda = 2, .dropout = .1f};
    struct effort effort = {.threads = 2};
    uint64_t random = 8;
    int compared = 0;

    (void)state;
    for (int round = 0; round < 100; round++) {
        struct small s;
        struct gram g;
        struct weights w;

        small_random(&s, &random);
        small_gram_build(&g, &s);
        assert_int_equal(ridge_fit(&w, &g, &p, &effort), SOTTO_OK);
        for (uint32_t j = 0; j < s.columns; j++) {
            uint32_t list[SIDE], n = 0, four[SIDE], m;
            double x[SIDE], y[SIDE];

            for (uint32_t i = 0; i < s.columns; i++) {
                if (i != j && small_gram(&s, i, j, GRAM_BINARY) > 0)
                    list[n++] = i;
            }
            solve_dense(x, &s, j, list, n, &p);
            memcpy(four, list, sizeof four);
            memcpy(y, x, sizeof y);
            m = strongest(four, y, n, 4);
            n = strongest(list, x, n, 3);
            if (m == 4) {
                double all = 0, kept = 0, least = 1e9;

                for (uint32_t k = 0; k < 4; k++)
                    all += fabs(y[k]);
                for (uint32_t k = 0; k < 3; k++) {
                    kept += fabs(x[k]);
                    least = fmin(least, fabs(x[k]));
                }
                if (least - (all - kept) < 1e-3)
                    continue;
            }
            solve_dense(x, &s, j, list, n, &p);
            for (uint32_t k = 0; k < n; k++)
                assert_near(weight_at(&w, list[k], j), x[k], 2e-4);
            for (uint32_t i = 0, in = 0; i < s.columns; i++) {
                in += weight_at(&w, i, j) != 0;
                assert_true(in <= 3);
            }
            compared++;
        }
        weights_fini(&w);
        gram_fini(&g);
    }
    assert_true(compared > 500);
}

static void gives_the_worked_example(void **state)
{
    struct ridge_parameters p = {.candidates = 5, .keep = 5, .lambda = 1};
    struct effort effort = {0};
    struct small s = {.rows = 5, .columns = 2};
    struct gram g;
    struct weights w;

    (void)state;
    for (int r = 0; r < 4; r++)
        s.cells[r][0] = 1;
    for (int r = 2; r < 5; r++)
        s.cells[r][1] = 1;
    small_gram_build(&g, &s);
    assert_int_equal(ridge_fit(&w, &g, &p, &effort), SOTTO_OK);
    assert_near(weight_at(&w, 1, 0), .5, 1e-6);
    assert_near(weight_at(&w, 0, 1), .4, 1e-6);
    weights_fini(&w);
    gram_fini(&g);
}

/* Equal columns make G singular, and the smallest lambda vanishes in floats:
 * the answer is still finite. */
static void survives_a_constant_table(void **state)
{
    struct ridge_parameters p = {
        .candidates = 24, .keep = 10, .lambda = 1e-30f};
    struct effort effort = {0};
    struct small s = {.rows = 20, .columns = 24};
    struct gram g;
    struct weights w;

    (void)state;
    for (uint32_t r = 0; r < s.rows; r++) {
        for (uint32_t c = 0; c < s.columns; c++)
            s.cells[r][c] = 1;
    }
    small_gram_build(&g, &s);
    assert_int_equal(ridge_fit(&w, &g, &p, &effort), SOTTO_OK);
    assert_true(w.starts[24] > 0);
    for (uint64_t k = 0; k < w.starts[24]; k++)
        assert_true(fabsf(w.values[k]) < 2);
    weights_fini(&w);
    gram_fini(&g);
}

static void is_the_same_whatever_the_threads(void **state)
{
    struct ridge_parameters p = {
        .candidates = 10, .keep = 4, .lambda = 3, .dropout = .3f};
    struct effort one = {.threads = 1}, five = {.threads = 5};
    uint64_t random = 9;

    (void)state;
    for (int round = 0; round < 20; round++) {
        struct small s;
        struct gram g;
        struct weights a, b;

        small_random(&s, &random);
        small_gram_build(&g, &s);
        assert_int_equal(ridge_fit(&a, &g, &p, &one), SOTTO_OK);
        assert_int_equal(ridge_fit(&b, &g, &p, &five), SOTTO_OK);
        assert_int_equal(a.starts[s.columns], b.starts[s.columns]);
        if (a.starts[s.columns])
            assert_memory_equal(a.values, b.values,
                                a.starts[s.columns] * sizeof *a.values);
        weights_fini(&a);
        weights_fini(&b);
        gram_fini(&g);
    }
}

static void is_fine_with_one_item_or_none(void **state)
{
    struct ridge_parameters p = {.candidates = 5, .keep = 5, .lambda = 1};
    struct effort effort = {0};

    (void)state;
    for (uint32_t columns = 0; columns < 2; columns++) {
        struct small s = {.rows = 1, .columns = columns};
        struct gram g;
        struct weights w;

        s.cells[0][0] = 1;
        small_gram_build(&g, &s);
        assert_int_equal(ridge_fit(&w, &g, &p, &effort), SOTTO_OK);
        assert_int_equal(w.starts[columns], 0);
        weights_fini(&w);
        gram_fini(&g);
    }
}

static void refuses_parameters_out_of_range(void **state)
{
    const struct ridge_parameters bad[] = {
        {5, 5, 0, 0}, {5, 5, -1, 0},   {5, 5, NAN, 0}, {5, 5, INFINITY, 0},
        {5, 5, 1, 1}, {5, 5, 1, -.1f}, {5, 5, 1, NAN},
    };
    struct effort effort = {0};
    struct small s = {.rows = 1, .columns = 1};
    struct gram g;
    struct weights w;

    (void)state;
    small_gram_build(&g, &s);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(ridge_fit(&w, &g, &bad[i], &effort), SOTTO_EINVAL);
    gram_fini(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_every_candidate_is_the_dense_ridge),
        cmocka_unit_test(solves_again_among_the_kept),
        cmocka_unit_test(gives_the_worked_example),
        cmocka_unit_test(survives_a_constant_table),
        cmocka_unit_test(is_the_same_whatever_the_threads),
        cmocka_unit_test(is_fine_with_one_item_or_none),
        cmocka_unit_test(refuses_parameters_out_of_range),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
