/* Popularity: plain counts, and the decay against halving by hand. */
#include "aggregator/model/popularity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../support/model.h"

static void counts_subjects_without_decay(void **state)
{
    uint64_t random = 10;

    (void)state;
    for (int round = 0; round < 50; round++) {
        struct small s;
        struct matrix m;
        float scores[SIDE];

        small_random(&s, &random);
        small_to_matrix(&m, &s);
        assert_int_equal(popularity_fit(scores, &m, 0, 0), SOTTO_OK);
        for (uint32_t j = 0; j < s.columns; j++)
            assert_near(scores[j], small_gram(&s, j, j, GRAM_BINARY), 0);
        matrix_fini(&m);
    }
}

static void halves_with_each_half_life(void **state)
{
    const struct triple triples[] = {
        {0, 0, 9, 100}, {1, 0, 1, 90},  {2, 0, 1, 80},
        {0, 1, 1, 70},  {1, 2, 1, 120}, /* of tomorrow: counts as today */
    };
    struct matrix m;
    float scores[3];

    (void)state;
    assert_int_equal(matrix_build(&m, 3, 3, triples, 5, MATRIX_SUM), SOTTO_OK);
    assert_int_equal(popularity_today(&m), 120);
    assert_int_equal(popularity_fit(scores, &m, 10, 100), SOTTO_OK);
    assert_near(scores[0], 1 + .5 + .25, 1e-6);
    assert_near(scores[1], .125, 1e-6);
    assert_near(scores[2], 1, 1e-6);
    matrix_fini(&m);
}

static void is_fine_when_empty(void **state)
{
    struct matrix m;

    (void)state;
    assert_int_equal(matrix_build(&m, 0, 0, NULL, 0, MATRIX_SUM), SOTTO_OK);
    assert_int_equal(popularity_fit(NULL, &m, 5, 0), SOTTO_OK);
    assert_int_equal(popularity_today(&m), 0);
    matrix_fini(&m);
}

static void refuses_a_negative_half_life(void **state)
{
    struct matrix m;
    float score;

    (void)state;
    assert_int_equal(matrix_build(&m, 0, 0, NULL, 0, MATRIX_SUM), SOTTO_OK);
    assert_int_equal(popularity_fit(&score, &m, -1, 0), SOTTO_EINVAL);
    assert_int_equal(popularity_fit(&score, &m, NAN, 0), SOTTO_EINVAL);
    matrix_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_subjects_without_decay),
        cmocka_unit_test(halves_with_each_half_life),
        cmocka_unit_test(is_fine_when_empty),
        cmocka_unit_test(refuses_a_negative_half_life),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
