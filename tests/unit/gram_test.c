/* The Gram matrix against sums over a dense table. */
#include "aggregator/model/gram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../support/model.h"

static void check_row(const struct gram *g, const struct small *s, uint32_t i,
                      enum gram_kind kind)
{
    uint32_t met = 0;

    assert_near(g->diagonal[i], small_gram(s, i, i, kind), 0);
    for (uint32_t n = 0; n < g->rows[i].size; n++) {
        uint32_t j = g->rows[i].items[n];

        assert_int_not_equal(i, j);
        assert_true(n == 0 || j > g->rows[i].items[n - 1]);
        assert_near(g->rows[i].counts[n], small_gram(s, i, j, kind), 0);
    }
    for (uint32_t j = 0; j < s->columns; j++)
        met += j != i && small_gram(s, i, j, kind) > 0;
    assert_int_equal(g->rows[i].size, met);
}

static void equals_the_dense_product(void **state)
{
    uint64_t random = 3;

    (void)state;
    for (int round = 0; round < 100; round++) {
        enum gram_kind kind = round % 2 ? GRAM_VALUES : GRAM_BINARY;
        struct effort effort = {.threads = 1 + (unsigned)round % 3};
        struct small s;
        struct matrix m;
        struct gram g;

        small_random(&s, &random);
        small_to_matrix(&m, &s);
        assert_int_equal(gram_build(&g, &m, kind, &effort), SOTTO_OK);
        for (uint32_t i = 0; i < s.columns; i++)
            check_row(&g, &s, i, kind);
        gram_fini(&g);
        matrix_fini(&m);
    }
}

/* Few subjects over many items: rows are short, and sorted, not scanned. */
static void is_right_on_a_wide_table(void **state)
{
    enum { ITEMS = 5000, ROWS = 300, HELD = 6 };
    struct triple *triples = calloc(ROWS * HELD, sizeof *triples);
    struct effort one = {.threads = 1}, four = {.threads = 4};
    uint64_t random = 4;
    struct matrix m;
    struct gram a, b;

    (void)state;
    for (uint32_t n = 0; n < ROWS * HELD; n++) {
        uint32_t item = (uint32_t)(next_random(&random) % ITEMS);

        triples[n] = (struct triple){n / HELD, item, 1, 0};
    }
    assert_int_equal(
        matrix_build(&m, ROWS, ITEMS, triples, ROWS * HELD, MATRIX_MAX),
        SOTTO_OK);
    assert_int_equal(gram_build(&a, &m, GRAM_BINARY, &one), SOTTO_OK);
    assert_int_equal(gram_build(&b, &m, GRAM_BINARY, &four), SOTTO_OK);
    uint64_t pairs = 0, expected = 0;
    for (uint32_t i = 0; i < ITEMS; i++) {
        pairs += a.rows[i].size;
        assert_int_equal(a.rows[i].size, b.rows[i].size);
        for (uint32_t n = 0; n < a.rows[i].size; n++) {
            float mirrored;

            assert_int_equal(a.rows[i].items[n], b.rows[i].items[n]);
            assert_near(a.rows[i].counts[n], b.rows[i].counts[n], 0);
            gram_pick(&a, a.rows[i].items[n], &i, 1, &mirrored);
            assert_near(mirrored, a.rows[i].counts[n], 0);
        }
    }
    for (uint32_t r = 0; r < ROWS; r++) {
        uint64_t held = m.starts[r + 1] - m.starts[r];

        expected += held * (held - 1);
    }
    assert_in_range(pairs, expected * 9 / 10, expected); /* some meet twice */
    gram_fini(&a);
    gram_fini(&b);
    matrix_fini(&m);
    free(triples);
}

static void picks_any_subset(void **state)
{
    uint64_t random = 5;

    (void)state;
    for (int round = 0; round < 200; round++) {
        struct small s;
        struct gram g;
        uint32_t wanted[SIDE], count = 0;
        float counts[SIDE];
        uint32_t i;

        small_random(&s, &random);
        small_gram_build(&g, &s);
        i = (uint32_t)(next_random(&random) % s.columns);
        for (uint32_t j = 0; j < s.columns; j++) {
            if (next_random(&random) % 2)
                wanted[count++] = j;
        }
        gram_pick(&g, i, wanted, count, counts);
        for (uint32_t n = 0; n < count; n++) {
            double truth = small_gram(&s, i, wanted[n], GRAM_BINARY);

            assert_near(counts[n], wanted[n] == i ? 0 : truth, 0);
        }
        gram_fini(&g);
    }
}

static void is_fine_when_nothing_meets(void **state)
{
    const struct triple alone[] = {{0, 0, 1, 0}, {1, 1, 1, 0}};
    struct effort effort = {0};
    struct matrix m;
    struct gram g;

    (void)state;
    assert_int_equal(matrix_build(&m, 0, 0, NULL, 0, MATRIX_SUM), SOTTO_OK);
    assert_int_equal(gram_build(&g, &m, GRAM_BINARY, &effort), SOTTO_OK);
    assert_int_equal(g.items, 0);
    gram_fini(&g);
    matrix_fini(&m);
    assert_int_equal(matrix_build(&m, 2, 3, alone, 2, MATRIX_SUM), SOTTO_OK);
    assert_int_equal(gram_build(&g, &m, GRAM_BINARY, &effort), SOTTO_OK);
    assert_int_equal(g.rows[0].size + g.rows[1].size + g.rows[2].size, 0);
    assert_near(g.diagonal[0], 1, 0);
    assert_near(g.diagonal[2], 0, 0);
    gram_fini(&g);
    matrix_fini(&m);
}

static void stops_when_cancelled(void **state)
{
    const struct triple one = {0, 0, 1, 0};
    struct effort effort = {.threads = 2};
    struct matrix m;
    struct gram g;

    (void)state;
    atomic_store(&effort.cancelled, true);
    assert_int_equal(matrix_build(&m, 1, 1, &one, 1, MATRIX_SUM), SOTTO_OK);
    assert_int_equal(gram_build(&g, &m, GRAM_BINARY, &effort), SOTTO_ECLOSED);
    assert_null(g.rows);
    matrix_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_dense_product),
        cmocka_unit_test(is_right_on_a_wide_table),
        cmocka_unit_test(picks_any_subset),
        cmocka_unit_test(is_fine_when_nothing_meets),
        cmocka_unit_test(stops_when_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
