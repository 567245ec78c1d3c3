/* The matrix against a dense table. */
#include "aggregator/model/matrix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../support/model.h"

static void holds_what_the_table_holds(void **state)
{
    uint64_t random = 1;

    (void)state;
    for (int round = 0; round < 50; round++) {
        struct small s;
        struct matrix m;
        uint64_t full = 0;

        small_random(&s, &random);
        small_to_matrix(&m, &s);
        for (uint32_t r = 0; r < s.rows; r++) {
            for (uint64_t k = m.starts[r]; k < m.starts[r + 1]; k++) {
                assert_true(k == m.starts[r] ||
                            m.indexes[k] > m.indexes[k - 1]);
                assert_near(m.values[k], s.cells[r][m.indexes[k]], 0);
            }
            for (uint32_t c = 0; c < s.columns; c++)
                full += s.cells[r][c] > 0;
        }
        assert_int_equal(matrix_count(&m), full);
        matrix_fini(&m);
    }
}

static void transposes_and_back(void **state)
{
    uint64_t random = 2;

    (void)state;
    for (int round = 0; round < 50; round++) {
        struct small s;
        struct matrix m, t, back;

        small_random(&s, &random);
        small_to_matrix(&m, &s);
        assert_int_equal(matrix_transpose(&t, &m), SOTTO_OK);
        assert_int_equal(t.rows, m.columns);
        for (uint32_t r = 0; r < t.rows; r++) {
            for (uint64_t k = t.starts[r]; k < t.starts[r + 1]; k++)
                assert_near(t.values[k], s.cells[t.indexes[k]][r], 0);
        }
        assert_int_equal(matrix_transpose(&back, &t), SOTTO_OK);
        assert_int_equal(matrix_count(&back), matrix_count(&m));
        assert_memory_equal(back.starts, m.starts,
                            (m.rows + 1) * sizeof *m.starts);
        if (matrix_count(&m))
            assert_memory_equal(back.indexes, m.indexes,
                                matrix_count(&m) * sizeof *m.indexes);
        matrix_fini(&m);
        matrix_fini(&t);
        matrix_fini(&back);
    }
}

static void merges_repeats_as_asked(void **state)
{
    const struct triple triples[] = {
        {1, 2, 5, 10}, {0, 0, 1, 3}, {1, 2, 2, 30}, {1, 0, 4, 1}, {1, 2, 3, 20},
    };
    struct matrix m;

    (void)state;
    assert_int_equal(matrix_build(&m, 2, 3, triples, 5, MATRIX_SUM), SOTTO_OK);
    assert_int_equal(matrix_count(&m), 3);
    assert_int_equal(m.indexes[2], 2);
    assert_near(m.values[2], 10, 0);
    assert_int_equal(m.days[2], 30);
    matrix_fini(&m);
    assert_int_equal(matrix_build(&m, 2, 3, triples, 5, MATRIX_MAX), SOTTO_OK);
    assert_int_equal(matrix_count(&m), 3);
    assert_near(m.values[2], 5, 0);
    assert_int_equal(m.days[2], 30);
    matrix_fini(&m);
}

static void is_fine_when_empty(void **state)
{
    struct matrix m, t;

    (void)state;
    assert_int_equal(matrix_build(&m, 0, 0, NULL, 0, MATRIX_SUM), SOTTO_OK);
    assert_int_equal(matrix_count(&m), 0);
    assert_int_equal(matrix_transpose(&t, &m), SOTTO_OK);
    assert_int_equal(matrix_count(&t), 0);
    matrix_fini(&t);
    matrix_fini(&m);
    matrix_fini(&m);
}

static void refuses_a_triple_outside(void **state)
{
    const struct triple low = {0, 3, 1, 0}, right = {2, 0, 1, 0};
    struct matrix m;

    (void)state;
    assert_int_equal(matrix_build(&m, 2, 3, &low, 1, MATRIX_SUM), SOTTO_EINVAL);
    assert_int_equal(matrix_build(&m, 2, 3, &right, 1, MATRIX_SUM),
                     SOTTO_EINVAL);
    assert_null(m.starts);
}

static void refuses_more_than_32_bits_can_count(void **state)
{
    const struct triple one = {0, 0, 1, 0};
    struct matrix m;

    (void)state;
    assert_int_equal(
        matrix_build(&m, 1, 1, &one, UINT64_C(1) << 32, MATRIX_SUM),
        SOTTO_ETOOBIG);
    assert_null(effort_alloc(UINT64_MAX / 2, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_what_the_table_holds),
        cmocka_unit_test(transposes_and_back),
        cmocka_unit_test(merges_repeats_as_asked),
        cmocka_unit_test(is_fine_when_empty),
        cmocka_unit_test(refuses_a_triple_outside),
        cmocka_unit_test(refuses_more_than_32_bits_can_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
