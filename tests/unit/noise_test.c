/* The exact samplers against their distributions, by chi square with fixed
 * seeds; and the test itself against a naive sampler from a table, which it
 * must accept, and against noise that is slightly wrong, which it must not. */
#include "aggregator/noise.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sodium.h>

#include "../support/seeded.h"

#define DRAWS 200000
#define REACH 4000    /* values looked at on each side of zero */
#define EXPECTED 25.0 /* in a bin, at least */
#define NORMAL 3.72   /* one in 10,000 is above */

struct distribution {
    bool gaussian;
    struct ratio parameter; /* scale, or sigma2 */
};

static double weight(const struct distribution *d, int x)
{
    double p = (double)d->parameter.num / (double)d->parameter.den;

    return d->gaussian ? exp(-(double)x * x / (2 * p)) : exp(-abs(x) / p);
}

/* What a sampler made: counts of each value, those beyond at the ends. */
struct made {
    double counts[2 * REACH + 1];
};

static void count(struct made *m, int64_t x)
{
    int64_t at = x + REACH;

    m->counts[at < 0 ? 0 : at > 2 * REACH ? 2 * REACH : at]++;
}

/* Chi square over bins that are wide enough, as a normal deviate: E. B. Wilson
 * and M. M. Hilferty, 1931. */
static double deviate(const struct made *m, const struct distribution *d)
{
    double all = 0, chi = 0, expected = 0, seen = 0, left = DRAWS, f;
    int bins = 0;

    for (int x = -REACH; x <= REACH; x++)
        all += weight(d, x);
    for (int x = -REACH; x <= REACH; x++) {
        expected += DRAWS * weight(d, x) / all;
        seen += m->counts[x + REACH];
        if (expected < EXPECTED || left - expected < EXPECTED)
            continue; /* the last bin takes all that is left */
        chi += (seen - expected) * (seen - expected) / expected;
        left -= expected;
        expected = seen = 0;
        bins++;
    }
    chi += (seen - expected) * (seen - expected) / expected;
    f = bins; /* one more bin, less one */
    return (cbrt(chi / f) - (1 - 2 / (9 * f))) / sqrt(2 / (9 * f));
}

static const struct distribution laplaces[] = {{false, {1, 2}},
                                               {false, {1, 1}},
                                               {false, {5, 3}},
                                               {false, {40, 1}},
                                               {false, {1234567, 100000}}};
static const struct distribution gaussians[] = {
    {true, {1, 4}},  {true, {1, 1}},           {true, {10, 3}},
    {true, {50, 1}}, {true, {7000000, 20000}}, {true, {12345678, 1234}}};

static int64_t draw(const struct distribution *d,
                    const struct noise_source *from)
{
    int64_t x = INT64_MIN;

    assert_int_equal(d->gaussian ? noise_gaussian(&x, from, d->parameter)
                                 : noise_laplace(&x, from, d->parameter),
                     SOTTO_OK);
    return x;
}

static void check_all(const struct distribution *list, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        struct made *m = calloc(1, sizeof *m);
        uint64_t seed = 2020 + i;
        struct noise_source from = seeded(&seed);
        double far;

        assert_non_null(m);
        for (int n = 0; n < DRAWS; n++)
            count(m, draw(&list[i], &from));
        far = deviate(m, &list[i]);
        if (!(far < NORMAL))
            fail_msg("distribution %zu is %.2f deviations away", i, far);
        free(m);
    }
}

static void laplace_is_as_its_formula_says(void **state)
{
    (void)state;
    check_all(laplaces, sizeof laplaces / sizeof *laplaces);
}

static void gaussian_is_as_its_formula_says(void **state)
{
    (void)state;
    check_all(gaussians, sizeof gaussians / sizeof *gaussians);
}

/* --- the test of the test ----------------------------------------------- */

static double uniform(uint64_t *seed)
{
    return (double)(seeded_next(seed) >> 11) / 9007199254740992.0;
}

/* The second way: a table of all chances, walked to where a number falls. */
#define TABLE 120 /* values on each side of zero: 17 deviations */

static int from_table(const double table[2 * TABLE + 1], double all,
                      uint64_t *seed)
{
    double u = uniform(seed) * all;
    int at = 0;

    while (at < 2 * TABLE && (u -= table[at]) >= 0)
        at++;
    return at - TABLE;
}

static void
accepts_a_naive_table_and_refuses_what_is_slightly_wrong(void **state)
{
    static const struct distribution right = {true, {50, 1}},
                                     wide = {true, {51, 1}};
    static struct made naive, wrong, rounded;
    double table[2 * TABLE + 1], all = 0;
    uint64_t seed = 11;

    (void)state;
    for (int x = -TABLE; x <= TABLE; x++)
        all += table[x + TABLE] = weight(&right, x);
    for (int n = 0; n < DRAWS; n++) {
        struct noise_source from = seeded(&seed);
        double normal = sqrt(-2 * log(1 - uniform(&seed))) *
                        cos(2 * acos(-1) * uniform(&seed));

        count(&naive, from_table(table, all, &seed));
        count(&wrong, draw(&wide, &from));
        count(&rounded, (int64_t)(normal * sqrt(50))); /* towards zero */
    }
    assert_true(deviate(&naive, &right) < NORMAL);
    assert_false(deviate(&wrong, &right) < NORMAL);
    assert_false(deviate(&rounded, &right) < NORMAL);
}

/* --- the rest ----------------------------------------------------------- */

static void bernoulli_has_the_chance_of_exp(void **state)
{
    static const struct ratio gammas[] = {{0, 1}, {1, 1000}, {1, 2}, {1, 1},
                                          {3, 2}, {2, 1},    {7, 2}};
    uint64_t seed = 3;
    struct noise_source from = seeded(&seed);

    (void)state;
    for (size_t i = 0; i < sizeof gammas / sizeof *gammas; i++) {
        double p = exp(-(double)gammas[i].num / (double)gammas[i].den);
        double hits = 0, apart;

        for (int n = 0; n < DRAWS; n++)
            hits += noise_bernoulli_exp(&from, gammas[i]);
        apart = fabs(hits - DRAWS * p);
        assert_true(apart <= 4 * sqrt(DRAWS * p * (1 - p)));
    }
}

static void below_is_even(void **state)
{
    uint64_t seed = 5, counts[7] = {0};
    struct noise_source from = seeded(&seed);

    (void)state;
    for (int n = 0; n < 70000; n++) {
        uint64_t x = noise_below(&from, 7);

        assert_true(x < 7);
        counts[x]++;
    }
    for (int i = 0; i < 7; i++)
        assert_true(counts[i] > 9600 && counts[i] < 10400);
    assert_int_equal(noise_below(&from, 1), 0);
}

static void the_ends_of_the_range_are_drawn_too(void **state)
{
    uint64_t seed = 9;
    struct noise_source from = seeded(&seed);
    int64_t x;

    (void)state;
    for (int n = 0; n < 200; n++) {
        assert_int_equal(
            noise_gaussian(&x, &from, (struct ratio){NOISE_PART_MAX, 1}),
            SOTTO_OK);
        assert_true(x > -20000000 && x < 20000000); /* 19 deviations */
        assert_int_equal(
            noise_gaussian(&x, &from,
                           (struct ratio){NOISE_PART_MAX, NOISE_PART_MAX - 1}),
            SOTTO_OK);
        assert_true(x > -20 && x < 20);
        assert_int_equal(
            noise_gaussian(&x, &from, (struct ratio){1, NOISE_PART_MAX}),
            SOTTO_OK);
        assert_int_equal(x, 0);
    }
    assert_int_equal(noise_gaussian(&x, &from, (struct ratio){0, 1}),
                     SOTTO_EINVAL);
    assert_int_equal(
        noise_gaussian(&x, &from, (struct ratio){NOISE_PART_MAX + 1, 1}),
        SOTTO_EINVAL);
    assert_int_equal(noise_laplace(&x, &from, (struct ratio){1, 0}),
                     SOTTO_EINVAL);
    assert_int_equal(
        noise_laplace(&x, &from, (struct ratio){NOISE_LAPLACE_MAX + 1, 1}),
        SOTTO_EINVAL);
}

static void the_products_source_differs_each_time(void **state)
{
    uint64_t a = 0, b = 0;

    (void)state;
    assert_true(sodium_init() >= 0);
    noise_sodium.bytes(noise_sodium.context, &a, sizeof a);
    noise_sodium.bytes(noise_sodium.context, &b, sizeof b);
    assert_true(a != b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(laplace_is_as_its_formula_says),
        cmocka_unit_test(gaussian_is_as_its_formula_says),
        cmocka_unit_test(
            accepts_a_naive_table_and_refuses_what_is_slightly_wrong),
        cmocka_unit_test(bernoulli_has_the_chance_of_exp),
        cmocka_unit_test(below_is_even),
        cmocka_unit_test(the_ends_of_the_range_are_drawn_too),
        cmocka_unit_test(the_products_source_differs_each_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
