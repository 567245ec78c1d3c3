/* RFM: the segment table cell by cell, and cut points against ranks. */
#include "aggregator/model/rfm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../support/model.h"

/* The ranges in words, written apart from the table: worth is F + M. */
static bool fits(enum rfm_segment segment, int r, int worth)
{
    switch (segment) {
    case RFM_CHAMPIONS:
        return r >= 4 && worth >= 8;
    case RFM_LOYAL:
        return (r >= 4 && worth == 7) || (r == 3 && worth >= 7);
    case RFM_POTENTIAL_LOYALIST:
        return r >= 4 && worth >= 4 && worth <= 6;
    case RFM_NEW:
        return r == 5 && worth <= 3;
    case RFM_PROMISING:
        return r == 4 && worth <= 3;
    case RFM_NEEDS_ATTENTION:
        return r == 3 && worth >= 4 && worth <= 6;
    case RFM_ABOUT_TO_SLEEP:
        return (r == 3 && worth <= 3) || (r == 2 && (worth == 4 || worth == 5));
    case RFM_AT_RISK:
        return (r == 2 && worth >= 6) || (r == 1 && (worth == 6 || worth == 7));
    case RFM_CANNOT_LOSE:
        return r == 1 && worth >= 8;
    case RFM_HIBERNATING:
        return (r == 2 && worth <= 3) || (r == 1 && (worth == 4 || worth == 5));
    case RFM_LOST:
        return r == 1 && worth <= 3;
    case RFM_SEGMENT_COUNT:
        break;
    }
    return false;
}

static void every_score_has_exactly_one_name(void **state)
{
    int used[RFM_SEGMENT_COUNT] = {0}, scores = 0;

    (void)state;
    for (uint8_t r = 1; r <= 5; r++) {
        for (uint8_t f = 1; f <= 5; f++) {
            for (uint8_t m = 1; m <= 5; m++) {
                enum rfm_segment got =
                    rfm_classify((struct rfm_score){r, f, m});
                int names = 0;

                for (int s = 0; s < RFM_SEGMENT_COUNT; s++)
                    names += fits((enum rfm_segment)s, r, f + m);
                assert_int_equal(names, 1);
                assert_true(fits(got, r, f + m));
                used[got]++;
                scores++;
            }
        }
    }
    assert_int_equal(scores, 125);
    for (int s = 0; s < RFM_SEGMENT_COUNT; s++)
        assert_true(used[s] > 0);
}

static void names_differ(void **state)
{
    (void)state;
    for (int a = 0; a < RFM_SEGMENT_COUNT; a++) {
        for (int b = 0; b < a; b++)
            assert_string_not_equal(rfm_name((enum rfm_segment)a),
                                    rfm_name((enum rfm_segment)b));
    }
    assert_string_equal(rfm_name(RFM_CANNOT_LOSE), "Can't Lose Them");
    assert_string_equal(rfm_name(RFM_SEGMENT_COUNT), "?");
}

static void ten_different_values_make_five_pairs(void **state)
{
    struct rfm_values values[10];
    struct rfm_cuts cuts;

    (void)state;
    for (int i = 0; i < 10; i++)
        values[i] = (struct rfm_values){i, i + 100, i * 1000000};
    assert_int_equal(rfm_fit(&cuts, values, 10), SOTTO_OK);
    for (int i = 0; i < 10; i++) {
        struct rfm_score s = rfm_score(&cuts, &values[i]);

        assert_int_equal(s.recency, 5 - i / 2); /* less is better */
        assert_int_equal(s.frequency, 1 + i / 2);
        assert_int_equal(s.monetary, 1 + i / 2);
    }
    struct rfm_values unseen = {-5, 1000, -1};
    struct rfm_score s = rfm_score(&cuts, &unseen);
    assert_int_equal(s.recency * 100 + s.frequency * 10 + s.monetary, 551);
}

/* The definition, by counting: 1 + floor(5 * smaller / count). */
static void levels_follow_ranks_and_keep_ties_together(void **state)
{
    uint64_t random = 16;

    (void)state;
    for (int round = 0; round < 300; round++) {
        uint32_t count = 1 + (uint32_t)(next_random(&random) % 40);
        uint64_t spread = 1 + next_random(&random) % 30;
        struct rfm_values values[40];
        struct rfm_cuts cuts;

        for (uint32_t i = 0; i < count; i++) {
            values[i].recency = (int64_t)(next_random(&random) % spread);
            values[i].frequency = (int64_t)(next_random(&random) % spread);
            values[i].monetary = -(int64_t)(next_random(&random) % spread);
        }
        assert_int_equal(rfm_fit(&cuts, values, count), SOTTO_OK);
        for (uint32_t i = 0; i < count; i++) {
            struct rfm_score s = rfm_score(&cuts, &values[i]);
            uint32_t longer = 0, rarer = 0, poorer = 0;

            for (uint32_t k = 0; k < count; k++) {
                longer += values[k].recency > values[i].recency;
                rarer += values[k].frequency < values[i].frequency;
                poorer += values[k].monetary < values[i].monetary;
            }
            assert_int_equal(s.recency, 1 + 5 * longer / count);
            assert_int_equal(s.frequency, 1 + 5 * rarer / count);
            assert_int_equal(s.monetary, 1 + 5 * poorer / count);
        }
    }
}

static void one_or_equal_customers_are_all_level_one(void **state)
{
    const struct rfm_values values[] = {{3, 2, 1}, {3, 2, 1}, {3, 2, 1}};
    struct rfm_cuts cuts;

    (void)state;
    for (uint32_t count = 1; count <= 3; count++) {
        assert_int_equal(rfm_fit(&cuts, values, count), SOTTO_OK);
        struct rfm_score s = rfm_score(&cuts, values);
        assert_int_equal(s.recency + s.frequency + s.monetary, 3);
    }
}

static void extremes_do_not_overflow(void **state)
{
    const struct rfm_values values[] = {
        {INT64_MIN, INT64_MIN, INT64_MIN},
        {INT64_MAX, INT64_MAX, INT64_MAX},
    };
    struct rfm_cuts cuts;

    (void)state;
    assert_int_equal(rfm_fit(&cuts, values, 2), SOTTO_OK);
    assert_int_equal(rfm_score(&cuts, &values[0]).recency, 3);
    assert_int_equal(rfm_score(&cuts, &values[1]).recency, 1);
    assert_int_equal(rfm_score(&cuts, &values[1]).monetary, 3);
}

static void refuses_nobody(void **state)
{
    struct rfm_cuts cuts;

    (void)state;
    assert_int_equal(rfm_fit(&cuts, NULL, 0), SOTTO_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_score_has_exactly_one_name),
        cmocka_unit_test(names_differ),
        cmocka_unit_test(ten_different_values_make_five_pairs),
        cmocka_unit_test(levels_follow_ranks_and_keep_ties_together),
        cmocka_unit_test(one_or_equal_customers_are_all_level_one),
        cmocka_unit_test(extremes_do_not_overflow),
        cmocka_unit_test(refuses_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
