/* Item kNN against sorting all cosines of a dense table. */
#include "aggregator/model/knn.h"

#include "aggregator/model/neighbours.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../support/model.h"

/* How many items stand before i among the neighbours of j. */
static uint32_t place(const struct small *s, uint32_t j, uint32_t i,
                      double shrink)
{
    double own = sqrt(small_gram(s, j, j, GRAM_BINARY));
    uint32_t before = 0;
    double similarity[SIDE];

    for (uint32_t k = 0; k < s->columns; k++) {
        double other = sqrt(small_gram(s, k, k, GRAM_BINARY));

        /* float, as the model compares them: its ties are ties here */
        similarity[k] = (double)((float)small_gram(s, j, k, GRAM_BINARY) /
                                 ((float)own * (float)other + (float)shrink));
    }
    for (uint32_t k = 0; k < s->columns; k++) {
        if (k == j || k == i || !(similarity[k] > 0))
            continue;
        before += similarity[k] > similarity[i] ||
                  (similarity[k] == similarity[i] && k < i);
    }
    return before;
}

static void keeps_the_nearest(void **state)
{
    uint64_t random = 6;

    (void)state;
    for (int round = 0; round < 200; round++) {
        struct effort effort = {.threads = 1 + (unsigned)round % 3};
        struct knn_parameters p = {.neighbours =
                                       (uint32_t)(next_random(&random) % 12),
                                   .shrink = round % 2 ? 2.f : 0.f};
        struct small s;
        struct gram g;
        struct weights w;

        small_random(&s, &random);
        small_gram_build(&g, &s);
        assert_int_equal(knn_fit(&w, &g, &p, &effort), SOTTO_OK);
        for (uint32_t i = 0; i < s.columns; i++) {
            for (uint32_t j = 0; j < s.columns; j++) {
                double shared = small_gram(&s, i, j, GRAM_BINARY);
                double expected = 0;

                if (i != j && shared > 0 &&
                    place(&s, j, i, (double)p.shrink) < p.neighbours)
                    expected =
                        shared / (sqrt(small_gram(&s, i, i, GRAM_BINARY) *
                                       small_gram(&s, j, j, GRAM_BINARY)) +
                                  (double)p.shrink);
                assert_near(weight_at(&w, i, j), expected, 1e-5);
            }
        }
        weights_fini(&w);
        gram_fini(&g);
    }
}

/* Every item alike: all cosines are 1, and the lowest numbers stay. */
static void breaks_ties_by_number(void **state)
{
    struct effort effort = {0};
    struct knn_parameters p = {.neighbours = 2};
    struct small s = {.rows = 3, .columns = 5};
    struct gram g;
    struct weights w;

    (void)state;
    for (uint32_t r = 0; r < s.rows; r++) {
        for (uint32_t c = 0; c < s.columns; c++)
            s.cells[r][c] = 1;
    }
    small_gram_build(&g, &s);
    assert_int_equal(knn_fit(&w, &g, &p, &effort), SOTTO_OK);
    assert_near(weight_at(&w, 0, 4), 1, 1e-6);
    assert_near(weight_at(&w, 1, 4), 1, 1e-6);
    assert_near(weight_at(&w, 2, 4), 0, 0);
    assert_near(weight_at(&w, 2, 0), 1, 1e-6);
    weights_fini(&w);
    gram_fini(&g);
}

static void neighbours_come_strongest_first(void **state)
{
    uint64_t random = 19;

    (void)state;
    for (int round = 0; round < 100; round++) {
        uint32_t limit = 1 + (uint32_t)(next_random(&random) % SIDE);
        struct neighbour near[SIDE];
        struct small s;
        struct gram g;

        small_random(&s, &random);
        small_gram_build(&g, &s);
        for (uint32_t j = 0; j < s.columns; j++) {
            uint32_t count = neighbours_find(&g, j, limit, 0, near);

            for (uint32_t n = 0; n < count; n++)
                assert_int_equal(place(&s, j, near[n].item, 0), n);
        }
        gram_fini(&g);
    }
}

static void refuses_a_negative_shrink(void **state)
{
    struct effort effort = {0};
    struct knn_parameters p = {.neighbours = 2, .shrink = -1};
    struct small s = {.rows = 1, .columns = 1};
    struct gram g;
    struct weights w;

    (void)state;
    small_gram_build(&g, &s);
    assert_int_equal(knn_fit(&w, &g, &p, &effort), SOTTO_EINVAL);
    p.shrink = NAN;
    assert_int_equal(knn_fit(&w, &g, &p, &effort), SOTTO_EINVAL);
    gram_fini(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_nearest),
        cmocka_unit_test(breaks_ties_by_number),
        cmocka_unit_test(neighbours_come_strongest_first),
        cmocka_unit_test(refuses_a_negative_shrink),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
