/* Weights: the turn from columns to rows, and what a byte a weight costs. */
#include "aggregator/model/weights.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../support/model.h"
#include <float.h>

/* The weight of i for j depends on both, so no two can be mistaken. */
static float value_of(uint32_t i, uint32_t j)
{
    return (float)(i * 100 + j + 1) * (i % 2 ? 1 : -1);
}

static void every_entry_finds_its_row(void **state)
{
    uint64_t random = 14;

    (void)state;
    for (int round = 0; round < 50; round++) {
        uint32_t items = (uint32_t)(next_random(&random) % SIDE);
        bool full[SIDE][SIDE] = {{false}};
        struct columns c;
        struct weights w;

        assert_int_equal(columns_init(&c, items, SIDE), SOTTO_OK);
        for (uint32_t j = 0; j < items; j++) {
            for (uint32_t i = items; i-- > 0;) {
                uint64_t cell = (uint64_t)j * c.width + c.sizes[j];

                if (next_random(&random) % 2)
                    continue;
                full[i][j] = true;
                c.sources[cell] = i;
                c.values[cell] = value_of(i, j);
                c.sizes[j]++;
            }
        }
        assert_int_equal(weights_from_columns(&w, &c), SOTTO_OK);
        for (uint32_t i = 0; i < items; i++) {
            for (uint64_t k = w.starts[i]; k < w.starts[i + 1]; k++)
                assert_true(k == w.starts[i] ||
                            w.targets[k] > w.targets[k - 1]);
            for (uint32_t j = 0; j < items; j++)
                assert_near(weight_at(&w, i, j),
                            full[i][j] ? value_of(i, j) : 0, 0);
        }
        weights_fini(&w);
        columns_fini(&c);
    }
}

/* One row of the given weights, all others empty. */
static void one_row(struct weights *w, const float *values, uint32_t count)
{
    struct columns c;

    assert_int_equal(columns_init(&c, count, 1), SOTTO_OK);
    for (uint32_t j = 0; j < count; j++) {
        c.sizes[j] = 1;
        c.values[j] = values[j];
    }
    assert_int_equal(weights_from_columns(w, &c), SOTTO_OK);
    columns_fini(&c);
}

static void a_byte_moves_a_weight_by_half_a_scale_at_most(void **state)
{
    uint64_t random = 15;

    (void)state;
    for (int round = 0; round < 200; round++) {
        float values[SIDE], largest = 0;
        double size = pow(10, (double)(next_random(&random) % 60) - 30);
        struct weights w, back;
        struct weights8 w8;

        for (uint32_t j = 0; j < SIDE; j++) {
            double unit = (double)(next_random(&random) >> 11) * 0x1p-53;

            values[j] = (float)((unit * 2 - 1) * size);
            largest = fmaxf(largest, fabsf(values[j]));
        }
        one_row(&w, values, SIDE);
        assert_int_equal(weights8_from(&w8, &w), SOTTO_OK);
        assert_near(weights8_row(&w8, 0).scale / (largest / 127), 1, 1e-5);
        assert_int_equal(weights8_row(&w8, 1).size, 0);
        assert_int_equal(weights_from_8(&back, &w8), SOTTO_OK);
        for (uint32_t j = 0; j < SIDE; j++) {
            double moved = fabs(weight_at(&back, 0, j) - (double)values[j]);

            assert_true(moved <= (double)largest / 127 * .50001);
        }
        weights_fini(&back);
        weights8_fini(&w8);
        weights_fini(&w);
    }
}

static void extremes_stay_in_a_byte(void **state)
{
    const float values[] = {FLT_MAX, -FLT_MAX, 1, 0};
    const float tiny[] = {FLT_TRUE_MIN, -FLT_TRUE_MIN * 3};
    const float coarse[] = {FLT_TRUE_MIN * 190, -FLT_TRUE_MIN * 190};
    const float zero[] = {0, 0};
    struct weights w;
    struct weights8 w8;

    (void)state;
    one_row(&w, values, 4);
    assert_int_equal(weights8_from(&w8, &w), SOTTO_OK);
    assert_int_equal(weights8_row(&w8, 0).size, 2); /* 1 and 0 round to 0 */
    assert_int_equal(weights8_row(&w8, 0).values[0], 127);
    assert_int_equal(weights8_row(&w8, 0).values[1], -127);
    weights8_fini(&w8);
    weights_fini(&w);
    one_row(&w, tiny, 2);
    assert_int_equal(weights8_from(&w8, &w), SOTTO_OK);
    weights8_fini(&w8);
    weights_fini(&w);
    one_row(&w, coarse, 2); /* 190 / 127 rounds to 1: 190 would not fit */
    assert_int_equal(weights8_from(&w8, &w), SOTTO_OK);
    assert_int_equal(weights8_row(&w8, 0).values[0], 127);
    assert_int_equal(weights8_row(&w8, 0).values[1], -127);
    weights8_fini(&w8);
    weights_fini(&w);
    one_row(&w, zero, 2);
    assert_int_equal(weights8_from(&w8, &w), SOTTO_OK);
    assert_int_equal(weights8_row(&w8, 0).size, 0);
    assert_near(weights8_row(&w8, 0).scale, 0, 0);
    weights8_fini(&w8);
    weights_fini(&w);
}

static void refuses_what_is_not_a_number(void **state)
{
    const float values[] = {1, NAN}, endless[] = {INFINITY};
    struct weights w;
    struct weights8 w8;

    (void)state;
    one_row(&w, values, 2);
    assert_int_equal(weights8_from(&w8, &w), SOTTO_EINVAL);
    assert_null(w8.values);
    weights_fini(&w);
    one_row(&w, endless, 1);
    assert_int_equal(weights8_from(&w8, &w), SOTTO_EINVAL);
    weights_fini(&w);
}

static void refuses_columns_beyond_memory(void **state)
{
    struct columns c;

    (void)state;
    assert_int_equal(columns_init(&c, UINT32_MAX, UINT32_MAX), SOTTO_ETOOBIG);
    assert_null(c.values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_finds_its_row),
        cmocka_unit_test(a_byte_moves_a_weight_by_half_a_scale_at_most),
        cmocka_unit_test(extremes_stay_in_a_byte),
        cmocka_unit_test(refuses_what_is_not_a_number),
        cmocka_unit_test(refuses_columns_beyond_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
