/* Scoring and selection against a dense product and a full sort. */
#include "aggregator/model/score.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../support/model.h"

struct dense {
    uint32_t items;
    float weights[SIDE][SIDE];
};

/* Small whole weights: sums are exact and ties are frequent. */
static void random_weights(struct weights *w, struct dense *d, uint64_t *random)
{
    struct columns c;

    *d = (struct dense){.items = 1 + (uint32_t)(next_random(random) % SIDE)};
    assert_int_equal(columns_init(&c, d->items, d->items), SOTTO_OK);
    for (uint32_t j = 0; j < d->items; j++) {
        for (uint32_t i = 0; i < d->items; i++) {
            uint64_t cell = (uint64_t)j * c.width + c.sizes[j];

            if (next_random(random) % 2)
                continue;
            d->weights[i][j] = (float)(next_random(random) % 7) - 3;
            c.sources[cell] = i;
            c.values[cell] = d->weights[i][j];
            c.sizes[j]++;
        }
    }
    assert_int_equal(weights_from_columns(w, &c), SOTTO_OK);
    columns_fini(&c);
}

struct bag {
    uint32_t items[SIDE], size;
    float weights[SIDE];
};

static struct history random_history(struct bag *b, uint32_t items,
                                     uint64_t *random)
{
    b->size = 0;
    for (uint32_t i = 0; i < items; i++) {
        if (next_random(random) % 3 == 0) {
            b->weights[b->size] = (float)(1 + next_random(random) % 3);
            b->items[b->size++] = i;
        }
    }
    return (struct history){b->items, b->weights, b->size};
}

static bool in_history(const struct history *h, uint32_t item)
{
    for (uint32_t n = 0; n < h->size; n++) {
        if (h->items[n] == item)
            return true;
    }
    return false;
}

static void scores_are_the_product(void **state)
{
    uint64_t random = 11;

    (void)state;
    for (int round = 0; round < 100; round++) {
        struct dense d;
        struct weights w;
        struct bag b;
        float scores[SIDE] = {0};

        random_weights(&w, &d, &random);
        struct history h = random_history(&b, d.items, &random);
        if (round % 2)
            h.weights = NULL;
        score_history(scores, &w, &h);
        for (uint32_t j = 0; j < d.items; j++) {
            float sum = 0;

            for (uint32_t n = 0; n < h.size; n++)
                sum +=
                    (round % 2 ? 1 : b.weights[n]) * d.weights[h.items[n]][j];
            assert_near(scores[j], sum, 0);
        }
        weights_fini(&w);
    }
}

static void selects_what_a_full_sort_would(void **state)
{
    uint64_t random = 12;

    (void)state;
    for (int round = 0; round < 500; round++) {
        uint32_t items = (uint32_t)(next_random(&random) % (SIDE + 1));
        uint32_t limit = (uint32_t)(next_random(&random) % (SIDE + 4));
        float scores[SIDE], floor = round % 3 ? 0 : -INFINITY;
        bool taken[SIDE] = {false};
        struct ranked list[SIDE + 4];
        struct bag b;
        struct history h = random_history(&b, items, &random);
        uint32_t count;

        for (uint32_t j = 0; j < items; j++)
            scores[j] = (float)(next_random(&random) % 9) - 4;
        if (items)
            scores[next_random(&random) % items] = NAN;
        count = score_select(list, limit, scores, items, &h, floor);
        for (uint32_t n = 0; n < limit; n++) {
            uint32_t best = UINT32_MAX; /* by looking at all, each time */

            for (uint32_t j = 0; j < items; j++) {
                if (!taken[j] && !in_history(&h, j) && scores[j] > floor &&
                    (best == UINT32_MAX || scores[j] > scores[best]))
                    best = j;
            }
            if (best == UINT32_MAX) {
                assert_int_equal(count, n);
                break;
            }
            taken[best] = true;
            assert_true(n < count);
            assert_int_equal(list[n].item, best);
            assert_near(list[n].score, scores[best], 0);
        }
        assert_true(count <= limit);
    }
}

static void names_the_strongest_reason(void **state)
{
    uint64_t random = 13;

    (void)state;
    for (int round = 0; round < 200; round++) {
        struct dense d;
        struct weights w;
        struct bag b;
        float scores[SIDE] = {0};
        struct ranked list[SIDE];
        uint32_t count;

        random_weights(&w, &d, &random);
        struct history h = random_history(&b, d.items, &random);
        score_history(scores, &w, &h);
        count = score_select(list, SIDE, scores, d.items, &h, -INFINITY);
        score_explain(list, count, &w, &h);
        for (uint32_t r = 0; r < count; r++) {
            float most = 0, given = 0;

            for (uint32_t n = 0; n < h.size; n++) {
                float added =
                    b.weights[n] * d.weights[h.items[n]][list[r].item];

                most = fmaxf(most, added);
                if (h.items[n] == list[r].because)
                    given = added;
            }
            assert_near(given, most, 0);
            assert_int_equal(list[r].because == SCORE_NO_REASON, most <= 0);
        }
        weights_fini(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_the_product),
        cmocka_unit_test(selects_what_a_full_sort_would),
        cmocka_unit_test(names_the_strongest_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
