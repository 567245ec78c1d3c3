/* Tests of exact chance: against the distributions that are promised. The
 * streams are keyed, so a test that passes once passes always. */
#include "policy/chance.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define DRAWS 200000

static void begin(struct chance *c, uint8_t number)
{
    uint8_t key[CHANCE_KEY] = {7, number};

    chance_keyed(c, key);
}

/* Pearson's chi-square of counts against probabilities; the caller compares it
 * with the quantile of 1 - 10^-4 for its degrees of freedom. */
static double chi_square(const unsigned *counts, const double *p, unsigned k)
{
    double sum = 0;

    for (unsigned i = 0; i < k; i++) {
        double off = counts[i] - p[i] * DRAWS;

        sum += off * off / (p[i] * DRAWS);
    }
    return sum;
}

static void one_key_draws_the_same_another_not(void **state)
{
    struct chance a, b, c;
    uint8_t x[8], y[8], z[8];

    (void)state;
    begin(&a, 1);
    begin(&b, 1);
    begin(&c, 2);
    for (int i = 0; i < 20; i++) { /* over more than one block */
        chance_bytes(&a, x);
        chance_bytes(&b, y);
        chance_bytes(&c, z);
        assert_memory_equal(x, y, 8);
        assert_memory_not_equal(x, z, 8);
    }
}

static void each_stream_of_a_source_is_new(void **state)
{
    struct chance_source s, other;
    uint8_t seen[64][8];

    (void)state;
    chance_source_init(&s);
    chance_source_init(&other);
    for (int i = 0; i < 64; i++) {
        struct chance c;

        chance_fresh(&c, i % 2 ? &s : &other);
        chance_bytes(&c, seen[i]);
        chance_end(&c);
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(seen[i], seen[j], 8);
    }
    chance_source_fini(&s);
    chance_source_fini(&other);
}

static void numbers_are_uniform(void **state)
{
    unsigned counts[10] = {0};
    double p[10];
    struct chance c;

    (void)state;
    begin(&c, 3);
    for (int i = 0; i < 10; i++)
        p[i] = 0.1;
    for (int i = 0; i < DRAWS; i++)
        counts[chance_number(&c, 10)]++;
    assert_true(chi_square(counts, p, 10) < 33.7);
    assert_int_equal(chance_number(&c, 1), 0);
    for (int i = 0; i < 100; i++)
        assert_true(chance_number(&c, (UINT64_C(1) << 63) + 1) <= UINT64_C(1)
                                                                      << 63);
}

static void coins_fall_as_the_exponential_says(void **state)
{
    static const struct {
        uint64_t num, den;
    } rows[] = {{0, 1}, {1, 1000}, {1, 3}, {1, 1}, {5, 2}, {7000000, 1000000}};
    struct chance c;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        double p = exp(-(double)rows[i].num / (double)rows[i].den);
        unsigned heads = 0;

        begin(&c, (uint8_t)(10 + i));
        for (int n = 0; n < DRAWS; n++)
            heads += chance_exp(&c, rows[i].num, rows[i].den);
        assert_true(fabs(heads - p * DRAWS) <=
                    4.0 * sqrt(p * (1 - p) * DRAWS)); /* four sigmas */
    }
}

static void responses(unsigned *counts, unsigned k, unsigned truth,
                      uint64_t epsilon, uint8_t number)
{
    struct chance c;

    memset(counts, 0, k * sizeof(*counts));
    begin(&c, number);
    for (int i = 0; i < DRAWS; i++)
        counts[chance_respond(&c, k, truth, epsilon)]++;
}

static void expected(double *p, unsigned k, unsigned truth, double epsilon)
{
    for (unsigned i = 0; i < k; i++)
        p[i] = truth >= k
                   ? 1.0 / k
                   : (i == truth ? exp(epsilon) : 1) / (exp(epsilon) + k - 1);
}

static void answers_are_as_likely_as_epsilon_says(void **state)
{
    static const struct {
        unsigned k, truth;
        uint64_t epsilon;
        double quantile; /* of k - 1 degrees of freedom at 1 - 10^-4 */
    } rows[] = {
        {2, 0, 1000000, 15.1}, {2, 1, 100000, 15.1},  {6, 4, 2000000, 25.8},
        {6, 6, 2000000, 25.8}, {10, 0, 500000, 33.7}, {6, 0, 4000000, 25.8},
    };
    unsigned counts[10];
    double p[10];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        unsigned k = rows[i].k;

        responses(counts, k, rows[i].truth, rows[i].epsilon, (uint8_t)(40 + i));
        expected(p, k, rows[i].truth, (double)rows[i].epsilon / 1e6);
        if (chi_square(counts, p, k) >= rows[i].quantile)
            fail_msg("row %zu", i);
        /* the control: another truth, and a tenth more of epsilon, are seen */
        expected(p, k, (rows[i].truth + 1) % k, (double)rows[i].epsilon / 1e6);
        assert_true(chi_square(counts, p, k) > rows[i].quantile);
        if (rows[i].truth == k)
            continue;
        expected(p, k, rows[i].truth, (double)rows[i].epsilon / 1e6 + 0.1);
        assert_true(chi_square(counts, p, k) > rows[i].quantile);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_key_draws_the_same_another_not),
        cmocka_unit_test(each_stream_of_a_source_is_new),
        cmocka_unit_test(numbers_are_uniform),
        cmocka_unit_test(coins_fall_as_the_exponential_says),
        cmocka_unit_test(answers_are_as_likely_as_epsilon_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
