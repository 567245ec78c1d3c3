/* The budget: charged once and before, refused beyond, and what rho means. */
#include "aggregator/ledger.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "../support/shop.h"

#define DELTA INT64_C(1000000000000) /* 1e-6 */

static const struct ledger_budget budget = {100000, DELTA};

static int setup(void **state)
{
    static struct shop shop;

    shop_open(&shop);
    *state = &shop;
    return 0;
}

static int teardown(void **state)
{
    shop_close(*state);
    return 0;
}

static enum sotto_err charge(struct shop *s, const char *request,
                             const char *question, int64_t rho, int64_t delta,
                             bool *again, struct why *why)
{
    const struct ledger_charge c = {.request = request,
                                    .question = question,
                                    .rho = rho,
                                    .delta = delta,
                                    .charged_ms = 5};

    why->text[0] = 0;
    return ledger_charge(s->store, &budget, &c, again, why);
}

static int64_t spent(struct shop *s)
{
    int64_t rho, delta;

    assert_int_equal(ledger_spent(s->store, &rho, &delta), SOTTO_OK);
    return rho;
}

static void a_request_is_charged_once(void **state)
{
    struct shop *s = *state;
    struct why why;
    bool again;

    assert_int_equal(spent(s), 0);
    assert_int_equal(charge(s, "a", "q", 30000, 0, &again, &why), SOTTO_OK);
    assert_false(again);
    assert_int_equal(charge(s, "a", "q", 30000, 0, &again, &why), SOTTO_OK);
    assert_true(again);
    assert_int_equal(spent(s), 30000);
    assert_int_equal(charge(s, "a", "other", 30000, 0, &again, &why),
                     SOTTO_EEXIST);
    assert_int_equal(charge(s, "a", "q", 20000, 0, &again, &why), SOTTO_EEXIST);
    assert_int_equal(charge(s, "a", "q", 30000, 1, &again, &why), SOTTO_EEXIST);
    assert_non_null(strstr(why.text, "another question"));
    assert_int_equal(spent(s), 30000);
}

static void beyond_the_budget_nothing_is_charged(void **state)
{
    struct shop *s = *state;
    struct why why;
    bool again;

    assert_int_equal(charge(s, "a", "q", 60000, 0, &again, &why), SOTTO_OK);
    assert_int_equal(charge(s, "b", "q", 40001, 0, &again, &why),
                     SOTTO_EREFUSED);
    assert_int_equal(err_exit(SOTTO_EREFUSED), EXIT_REFUSED);
    assert_non_null(strstr(why.text, "needs rho 0.040001, and 0.04 of"));
    assert_int_equal(spent(s), 60000);
    assert_int_equal(charge(s, "b", "q", 40000, 0, &again, &why), SOTTO_OK);
    assert_int_equal(charge(s, "c", "q", 1, 0, &again, &why), SOTTO_EREFUSED);
    /* what was charged is still answered */
    assert_int_equal(charge(s, "a", "q", 60000, 0, &again, &why), SOTTO_OK);
    assert_true(again);
}

static void delta_has_a_budget_too(void **state)
{
    struct shop *s = *state;
    struct why why;
    bool again;

    assert_int_equal(charge(s, "a", "q", 1, DELTA / 2, &again, &why), SOTTO_OK);
    assert_int_equal(charge(s, "b", "q", 1, 1, &again, &why), SOTTO_EREFUSED);
    assert_non_null(strstr(why.text, "delta"));
    assert_int_equal(charge(s, "b", "q", 1, 0, &again, &why), SOTTO_OK);
}

static void refuses_what_is_no_charge(void **state)
{
    struct shop *s = *state;
    struct why why;
    char name[LEDGER_REQUEST_MAX + 2];
    bool again;

    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = 0;
    assert_int_equal(charge(s, name, "q", 1, 0, &again, &why), SOTTO_EINVAL);
    assert_int_equal(charge(s, "", "q", 1, 0, &again, &why), SOTTO_EINVAL);
    assert_int_equal(charge(s, "a b", "q", 1, 0, &again, &why), SOTTO_EINVAL);
    assert_int_equal(charge(s, "a", "q", 0, 0, &again, &why), SOTTO_EINVAL);
    assert_int_equal(charge(s, "a", "q", -1, 0, &again, &why), SOTTO_EINVAL);
    assert_int_equal(charge(s, "a", "q", 1, -1, &again, &why), SOTTO_EINVAL);
    assert_int_equal(spent(s), 0);
}

static void a_charge_is_on_the_disk(void **state)
{
    struct shop *s = *state;
    sqlite3_stmt *q = store_prepare(s->store, "PRAGMA synchronous");

    assert_int_equal(store_row(q), SOTTO_OK);
    assert_int_equal(sqlite3_column_int(q, 0), 2); /* FULL */
    store_done(q);
}

/* --- answers ------------------------------------------------------------ */

static void the_first_answer_stays(void **state)
{
    struct shop *s = *state;
    struct buf out;
    struct why why;
    bool again;

    buf_init(&out, 1000);
    assert_int_equal(ledger_answer(s->store, "a", &out), SOTTO_ENOTFOUND);
    assert_int_equal(ledger_keep(s->store, "a", span_text("1")),
                     SOTTO_ENOTFOUND); /* never charged */
    assert_int_equal(charge(s, "a", "q", 1, 0, &again, &why), SOTTO_OK);
    assert_int_equal(ledger_answer(s->store, "a", &out), SOTTO_ENOTFOUND);
    assert_int_equal(ledger_keep(s->store, "a", span_text("one")), SOTTO_OK);
    assert_int_equal(ledger_keep(s->store, "a", span_text("two")), SOTTO_OK);
    assert_int_equal(ledger_answer(s->store, "a", &out), SOTTO_OK);
    assert_true(span_equal(span_of(out.data, out.size), span_text("one")));
    buf_fini(&out);
}

static void an_answer_that_was_moved_or_changed_is_not_given(void **state)
{
    struct shop *s = *state;
    struct buf out;
    struct why why;
    bool again;

    buf_init(&out, 1000);
    assert_int_equal(charge(s, "a", "q", 1, 0, &again, &why), SOTTO_OK);
    assert_int_equal(charge(s, "b", "q", 1, 0, &again, &why), SOTTO_OK);
    assert_int_equal(ledger_keep(s->store, "a", span_text("one")), SOTTO_OK);
    sqlite3_exec(s->store->db,
                 "UPDATE release SET answer = (SELECT answer FROM release"
                 " WHERE request = 'a') WHERE request = 'b'",
                 NULL, NULL, NULL);
    assert_int_equal(ledger_answer(s->store, "b", &out), SOTTO_ECRYPTO);
    assert_int_equal(ledger_answer(s->store, "a", &out), SOTTO_OK);
    buf_fini(&out);
}

static void collect(void *context, const struct ledger_charge *c)
{
    char *text = context;

    sprintf(text + strlen(text), "%s %s %lld %lld %d;", c->request, c->question,
            (long long)c->rho, (long long)c->delta, c->answered);
}

static void lists_what_was_charged(void **state)
{
    struct shop *s = *state;
    char text[200] = "";
    struct why why;
    bool again;

    assert_int_equal(ledger_each(s->store, collect, text), SOTTO_OK);
    assert_string_equal(text, "");
    assert_int_equal(charge(s, "b", "x", 7, 0, &again, &why), SOTTO_OK);
    assert_int_equal(charge(s, "a", "y", 8, 9, &again, &why), SOTTO_OK);
    assert_int_equal(ledger_keep(s->store, "b", span_text("1")), SOTTO_OK);
    assert_int_equal(ledger_each(s->store, collect, text), SOTTO_OK);
    assert_string_equal(text, "a y 8 9 0;b x 7 0 1;");
}

/* --- what rho means ----------------------------------------------------- */

static double normal_below(double x)
{
    return erfc(-x / sqrt(2)) / 2;
}

/* B. Balle, Y.-X. Wang, "Improving the Gaussian mechanism for differential
 * privacy", 2018, theorem 8: the exact delta of Gaussian noise of sensitivity
 * over deviation m, which is m^2/2-zCDP. A bound of every rho-zCDP mechanism
 * must hold for this one. */
static double exact_delta(double epsilon, double m)
{
    return normal_below(m / 2 - epsilon / m) -
           exp(epsilon) * normal_below(-m / 2 - epsilon / m);
}

/* The formula of the paper in its first form, over a grid. */
static double by_grid(double rho, double delta)
{
    double best = INFINITY;

    for (double x = -12; x < 12; x += 0.001) {
        double a = 1 + exp(x);
        double e = (log(1 / delta) + (a - 1) * (a * rho) - log(a - 1) +
                    a * log(1 - 1 / a)) /
                   (a - 1);

        best = fmin(best, e);
    }
    return best;
}

static void epsilon_is_a_bound_and_near_the_least(void **state)
{
    static const double rhos[] = {1e-6, 1e-4, 0.01, 0.1, 0.5, 1, 2.63, 20};
    static const double deltas[] = {1e-12, 5e-7, 1e-3};

    (void)state;
    for (size_t i = 0; i < sizeof rhos / sizeof *rhos; i++)
        for (size_t j = 0; j < 3; j++) {
            double e = ledger_epsilon(rhos[i], deltas[j]);

            assert_true(fabs(e - fmax(by_grid(rhos[i], deltas[j]), 0)) <
                        1e-4 * (1 + e));
            assert_true(e < ledger_epsilon_simple(rhos[i], deltas[j]));
            assert_true(exact_delta(e, sqrt(2 * rhos[i])) <= deltas[j]);
        }
    assert_true(ledger_epsilon(0, 1e-6) == 0);
    /* Bun and Steinke's for rho 0.5 at 1e-6: 0.5 + 2 sqrt(0.5 * 13.8155) */
    assert_true(fabs(ledger_epsilon_simple(0.5, 1e-6) - 5.7565) < 1e-4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_is_charged_once),
        TEST(beyond_the_budget_nothing_is_charged),
        TEST(delta_has_a_budget_too),
        TEST(refuses_what_is_no_charge),
        TEST(a_charge_is_on_the_disk),
        TEST(the_first_answer_stays),
        TEST(an_answer_that_was_moved_or_changed_is_not_given),
        TEST(lists_what_was_charged),
        cmocka_unit_test(epsilon_is_a_bound_and_near_the_least),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
