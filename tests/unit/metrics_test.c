/* The metrics against figures computed by hand. */
#include "aggregator/model/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../support/model.h"

static const uint32_t ranked[] = {7, 3, 9, 1, 4};

static void recall_divides_by_what_could_be_found(void **state)
{
    const uint32_t items[] = {1, 3, 8};
    struct truth t = {items, 3};

    (void)state;
    assert_near(metrics_recall(ranked, 5, &t, 1), 0, 0);
    assert_near(metrics_recall(ranked, 5, &t, 2), .5, 1e-12);
    assert_near(metrics_recall(ranked, 5, &t, 5), 2. / 3, 1e-12);
    assert_near(metrics_recall(ranked, 5, &t, 100), 2. / 3, 1e-12);
}

/* Hits at ranks 2 and 4: 1/log2(3) + 1/log2(5) = 0.630930 + 0.430677;
 * ideal: 1 + 0.630930 + 0.5. */
static void ndcg_discounts_by_rank(void **state)
{
    const uint32_t items[] = {1, 3, 8};
    struct truth t = {items, 3};

    (void)state;
    assert_near(metrics_ndcg(ranked, 5, &t, 5), 1.061606 / 2.130930, 1e-6);
    assert_near(metrics_ndcg(ranked, 5, &t, 2), .630930 / 1.630930, 1e-6);
    assert_near(metrics_ndcg(ranked, 5, &t, 1), 0, 0);
}

static void a_perfect_list_scores_one(void **state)
{
    const uint32_t items[] = {1, 3, 4, 7, 9};
    struct truth t = {items, 5};

    (void)state;
    for (uint32_t k = 1; k <= 8; k++) {
        assert_near(metrics_recall(ranked, 5, &t, k), 1, 1e-12);
        assert_near(metrics_ndcg(ranked, 5, &t, k), 1, 1e-12);
    }
}

static void nothing_to_find_scores_zero(void **state)
{
    const uint32_t items[] = {7};
    struct truth none = {items, 0}, one = {items, 1};

    (void)state;
    assert_near(metrics_recall(ranked, 5, &none, 5), 0, 0);
    assert_near(metrics_ndcg(ranked, 5, &none, 5), 0, 0);
    assert_near(metrics_recall(ranked, 5, &one, 0), 0, 0);
    assert_near(metrics_ndcg(ranked, 0, &one, 5), 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recall_divides_by_what_could_be_found),
        cmocka_unit_test(ndcg_discounts_by_rank),
        cmocka_unit_test(a_perfect_list_scores_one),
        cmocka_unit_test(nothing_to_find_scores_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
