/* Small random tables for the model tests, and the slow way to their answers:
 * everything here is dense, double and written without looking at the code
 * under test. Include after cmocka. */
#ifndef TESTS_SUPPORT_MODEL_H
#define TESTS_SUPPORT_MODEL_H

#include "aggregator/model/gram.h"
#include "aggregator/model/matrix.h"
#include "aggregator/model/weights.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* cmocka compares floats as floats; these answers are doubles. */
static inline void assert_near(double got, double expected, double apart)
{
    if (!(fabs(got - expected) <= apart))
        fail_msg("%.9g is not within %g of %.9g", got, apart, expected);
}

#define SIDE 24 /* the most rows or columns of a small table */

static inline uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15); /* SplitMix64, Steele et al. */
    uint64_t z = *state;

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

struct small {
    uint32_t rows, columns;
    double cells[SIDE][SIDE]; /* 0: empty */
};

/* About one cell in three is full, with values 1 to 4. */
static inline void small_random(struct small *s, uint64_t *state)
{
    *s = (struct small){.rows = 1 + (uint32_t)(next_random(state) % SIDE),
                        .columns = 1 + (uint32_t)(next_random(state) % SIDE)};
    for (uint32_t r = 0; r < s->rows; r++) {
        for (uint32_t c = 0; c < s->columns; c++) {
            if (next_random(state) % 3 == 0)
                s->cells[r][c] = (double)(1 + next_random(state) % 4);
        }
    }
}

static inline void small_to_matrix(struct matrix *m, const struct small *s)
{
    struct triple triples[SIDE * SIDE] = {{0}};
    uint64_t count = 0;

    for (uint32_t r = s->rows; r-- > 0;) { /* not in the matrix's order */
        for (uint32_t c = s->columns; c-- > 0;) {
            if (s->cells[r][c] > 0)
                triples[count++] =
                    (struct triple){r, c, (float)s->cells[r][c], 0};
        }
    }
    assert_int_equal(
        matrix_build(m, s->rows, s->columns, triples, count, MATRIX_SUM),
        SOTTO_OK);
}

static inline double small_gram(const struct small *s, uint32_t i, uint32_t j,
                                enum gram_kind kind)
{
    double sum = 0;

    for (uint32_t r = 0; r < s->rows; r++) {
        double a = s->cells[r][i], b = s->cells[r][j];

        sum += kind == GRAM_VALUES ? a * b : (a > 0 && b > 0);
    }
    return sum;
}

static inline void small_gram_build(struct gram *g, const struct small *s)
{
    struct effort effort = {.threads = 2};
    struct matrix m;

    small_to_matrix(&m, s);
    assert_int_equal(gram_build(g, &m, GRAM_BINARY, &effort), SOTTO_OK);
    matrix_fini(&m);
}

/* W_ij by looking at every entry of row i. */
static inline double weight_at(const struct weights *w, uint32_t i, uint32_t j)
{
    for (uint64_t k = w->starts[i]; k < w->starts[i + 1]; k++) {
        if (w->targets[k] == j)
            return (double)w->values[k];
    }
    return 0;
}

#endif
