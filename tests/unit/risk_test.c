/* Risk against slow second ways: every pair of rows, every value of a class,
 * every subject and point. */
#include "aggregator/risk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../support/model.h"

#define ROWS 300
#define COLUMNS 4
#define VALUES 7

struct random_table {
    uint32_t cells[COLUMNS][ROWS], sensitive[ROWS];
    struct risk_table t;
};

static void fill(struct random_table *r, uint64_t *state)
{
    uint32_t values = 1 + (uint32_t)(next_random(state) % 9);

    r->t = (struct risk_table){
        .rows = 1 + (uint32_t)(next_random(state) % ROWS),
        .column_count = 1 + (uint32_t)(next_random(state) % COLUMNS),
        .sensitive = r->sensitive,
        .sensitive_values = VALUES,
        .ordered = next_random(state) % 2,
    };
    for (uint32_t c = 0; c < r->t.column_count; c++) {
        r->t.columns[c] = r->cells[c];
        for (uint32_t i = 0; i < r->t.rows; i++)
            r->cells[c][i] =
                (uint32_t)(next_random(state) % values) * UINT32_C(0x10000001);
    }
    for (uint32_t i = 0; i < r->t.rows; i++)
        r->sensitive[i] = (uint32_t)(next_random(state) % VALUES);
}

/* --- the second way ----------------------------------------------------- */

static bool alike(const struct risk_table *t, uint32_t a, uint32_t b)
{
    for (uint32_t c = 0; c < t->column_count; c++)
        if (t->columns[c][a] != t->columns[c][b])
            return false;
    return true;
}

static void shares(const struct risk_table *t, uint32_t of, bool all,
                   double out[VALUES])
{
    double rows = 0;

    memset(out, 0, VALUES * sizeof *out);
    for (uint32_t i = 0; i < t->rows; i++)
        if (all || alike(t, of, i)) {
            out[t->sensitive[i]]++;
            rows++;
        }
    for (int v = 0; v < VALUES; v++)
        out[v] /= rows;
}

static double distance(const struct risk_table *t, uint32_t of)
{
    double p[VALUES], q[VALUES], sum = 0, carried = 0;

    shares(t, of, false, p);
    shares(t, 0, true, q);
    for (int v = 0; v < VALUES; v++) {
        carried += p[v] - q[v];
        sum +=
            t->ordered ? fabs(carried) / (VALUES - 1) : fabs(p[v] - q[v]) / 2;
    }
    return sum;
}

static void slowly(struct risk_classes *out, const struct risk_table *t,
                   uint32_t k)
{
    *out = (struct risk_classes){
        .smallest = UINT32_MAX, .distinct = UINT32_MAX, .entropy = 1e9};
    for (uint32_t i = 0; i < t->rows; i++) {
        double p[VALUES], entropy = 0;
        uint32_t size = 0, before = 0, distinct = 0;

        for (uint32_t j = 0; j < t->rows; j++) {
            size += alike(t, i, j);
            before += j < i && alike(t, i, j);
        }
        out->classes += before == 0;
        out->unique += size == 1;
        out->below += size < k;
        out->smallest = size < out->smallest ? size : out->smallest;
        out->largest = size > out->largest ? size : out->largest;
        shares(t, i, false, p);
        for (int v = 0; v < VALUES; v++) {
            distinct += p[v] > 0;
            entropy -= p[v] > 0 ? p[v] * log(p[v]) : 0;
        }
        out->distinct = distinct < out->distinct ? distinct : out->distinct;
        out->entropy = fmin(out->entropy, exp(entropy));
        out->closeness = fmax(out->closeness, distance(t, i));
    }
}

static void equals_every_pair_of_rows(void **state)
{
    static struct random_table r;
    uint64_t seed = 2002;

    (void)state;
    for (int round = 0; round < 120; round++) {
        struct risk_classes got, expected;
        uint32_t k = 1 + (uint32_t)(next_random(&seed) % 8);

        fill(&r, &seed);
        assert_int_equal(risk_classes(&got, &r.t, k), SOTTO_OK);
        slowly(&expected, &r.t, k);
        assert_int_equal(got.classes, expected.classes);
        assert_int_equal(got.unique, expected.unique);
        assert_int_equal(got.below, expected.below);
        assert_int_equal(got.smallest, expected.smallest);
        assert_int_equal(got.largest, expected.largest);
        assert_int_equal(got.distinct, expected.distinct);
        assert_near(got.entropy, expected.entropy, 1e-9);
        assert_near(got.closeness, expected.closeness, 1e-9);
    }
}

/* --- the examples of the paper ------------------------------------------ */

/* Li, Li and Venkatasubramanian, table 3: salaries 3k to 11k, one each, in
 * three classes of three. They give D[{3k,4k,5k}] = 0.375 and
 * D[{6k,8k,11k}] = 0.167 ("salary", section 4). */
static void gives_the_distances_of_the_paper(void **state)
{
    const uint32_t first[] = {0, 0, 0, 1, 1, 1, 2, 2, 2};
    const uint32_t salaries[] = {0, 1, 2, 3, 5, 8, 4, 6, 7};
    struct risk_table t = {.rows = 9,
                           .column_count = 1,
                           .columns = {first},
                           .sensitive = salaries,
                           .sensitive_values = 9,
                           .ordered = true};
    struct risk_classes c;
    uint32_t two[9];

    (void)state;
    assert_int_equal(risk_classes(&c, &t, 5), SOTTO_OK);
    assert_near(c.closeness, 0.375, 1e-12);
    assert_int_equal(c.distinct, 3);
    assert_near(c.entropy, 3, 1e-12);
    for (int i = 0; i < 9; i++) /* all but the middle class are one */
        two[i] = i >= 3 && i < 6;
    t.columns[0] = two;
    assert_int_equal(risk_classes(&c, &t, 5), SOTTO_OK);
    assert_near(c.closeness, 1 / 6.0, 1e-3);
}

static void a_table_without_rows_has_no_class(void **state)
{
    const uint32_t none[1] = {0};
    struct risk_table t = {.column_count = 1, .columns = {none}};
    struct risk_classes c;

    (void)state;
    assert_int_equal(risk_classes(&c, &t, 5), SOTTO_OK);
    assert_int_equal(c.classes, 0);
    assert_int_equal(c.smallest, 0);
    t.column_count = 0;
    assert_int_equal(risk_classes(&c, &t, 5), SOTTO_EINVAL);
}

/* --- unicity ------------------------------------------------------------ */

#define PEOPLE 60
#define PLACES 12

struct crowd {
    bool was[PEOPLE][PLACES];
    uint64_t starts[PEOPLE + 1];
    uint32_t points[PEOPLE * PLACES];
    struct risk_traces t;
};

static void crowd_fill(struct crowd *c, uint64_t *state, uint32_t in_how_many)
{
    uint32_t n = 0;

    for (int s = 0; s < PEOPLE; s++) {
        c->starts[s] = n;
        for (uint32_t p = 0; p < PLACES; p++) {
            c->was[s][p] = next_random(state) % in_how_many == 0;
            if (c->was[s][p])
                c->points[n++] = p;
        }
    }
    c->starts[PEOPLE] = n;
    c->t = (struct risk_traces){PEOPLE, PLACES, c->starts, c->points};
}

/* The share of all sets of two of a subject's points that nobody else has, and
 * the mean over subjects: what drawing one set of each estimates. */
static double expected_of_pairs(const struct crowd *c, uint32_t *eligible)
{
    double sum = 0;

    *eligible = 0;
    for (int s = 0; s < PEOPLE; s++) {
        double sets = 0, unique = 0;

        for (int a = 0; a < PLACES; a++)
            for (int b = a + 1; b < PLACES; b++) {
                bool other = false;

                if (!c->was[s][a] || !c->was[s][b])
                    continue;
                for (int o = 0; o < PEOPLE; o++)
                    other |= o != s && c->was[o][a] && c->was[o][b];
                sets++;
                unique += !other;
            }
        *eligible += sets > 0;
        sum += sets > 0 ? unique / sets : 0;
    }
    return sum / *eligible;
}

static void estimates_the_share_that_counting_gives(void **state)
{
    static struct crowd c;
    uint64_t random = 2013;
    double expected, sum = 0;
    uint32_t eligible;

    (void)state;
    crowd_fill(&c, &random, 5);
    expected = expected_of_pairs(&c, &eligible);
    assert_true(expected > 0.05 && expected < 0.95); /* it says something */
    for (uint64_t seed = 1; seed <= 400; seed++) {
        struct risk_unicity u = {.points = 2};

        assert_int_equal(risk_unicity(&u, 1, &c.t, PEOPLE, seed, NULL),
                         SOTTO_OK);
        assert_int_equal(u.eligible, eligible);
        assert_int_equal(u.asked, eligible);
        assert_true(u.low <= u.share && u.share <= u.high);
        sum += u.share;
    }
    assert_near(sum / 400, expected, 0.01); /* five deviations */
}

static void more_points_single_out_more(void **state)
{
    static struct crowd c;
    struct risk_unicity u[3] = {{.points = 1}, {.points = 3}, {.points = 5}};
    struct risk_unicity again[3] = {
        {.points = 1}, {.points = 3}, {.points = 5}};
    uint64_t random = 7;

    (void)state;
    crowd_fill(&c, &random, 2);
    assert_int_equal(risk_unicity(u, 3, &c.t, 40, 1, NULL), SOTTO_OK);
    assert_int_equal(u[0].unique, 0); /* half of the crowd was anywhere */
    assert_true(u[1].share < u[2].share);
    assert_int_equal(u[1].asked, 40);
    assert_int_equal(risk_unicity(again, 3, &c.t, 40, 1, NULL), SOTTO_OK);
    assert_memory_equal(u, again, sizeof u);
}

/* Wilson's interval of 0 and of 5 in 10, from his formula by hand. */
static void shows_how_sure_it_is(void **state)
{
    /* ten people at one place; then five of them alone at their own */
    uint64_t starts[11];
    uint32_t points[10];
    struct risk_traces t = {10, 6, starts, points};
    struct risk_unicity u = {.points = 1};

    (void)state;
    for (uint32_t i = 0; i <= 10; i++)
        starts[i] = i;
    memset(points, 0, sizeof points);
    assert_int_equal(risk_unicity(&u, 1, &t, 100, 1, NULL), SOTTO_OK);
    assert_near(u.share, 0, 0);
    assert_near(u.low, 0, 0);
    assert_near(u.high, 0.2775, 1e-4);
    for (uint32_t i = 0; i < 5; i++)
        points[i] = i + 1;
    assert_int_equal(risk_unicity(&u, 1, &t, 100, 1, NULL), SOTTO_OK);
    assert_near(u.share, 0.5, 0);
    assert_near(u.low, 0.2366, 1e-4);
    assert_near(u.high, 0.7634, 1e-4);
}

static bool stop(void *context, uint64_t done, uint64_t total)
{
    (void)done;
    (void)total;
    return ++*(int *)context < 2;
}

static void ends_when_it_is_told(void **state)
{
    static struct crowd c;
    int asked = 0;
    const struct risk_watch watch = {stop, &asked};
    struct risk_unicity u[2] = {{.points = 1}, {.points = 1}};
    uint64_t random = 7;

    (void)state;
    crowd_fill(&c, &random, 2);
    assert_int_equal(risk_unicity(u, 2, &c.t, 100, 1, &watch), SOTTO_ECLOSED);
    u[0].points = 0;
    assert_int_equal(risk_unicity(u, 2, &c.t, 100, 1, NULL), SOTTO_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_every_pair_of_rows),
        cmocka_unit_test(gives_the_distances_of_the_paper),
        cmocka_unit_test(a_table_without_rows_has_no_class),
        cmocka_unit_test(estimates_the_share_that_counting_gives),
        cmocka_unit_test(more_points_single_out_more),
        cmocka_unit_test(shows_how_sure_it_is),
        cmocka_unit_test(ends_when_it_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
