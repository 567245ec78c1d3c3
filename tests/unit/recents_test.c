/* What people did a moment ago: bounds, order, and plans. */
#include "agent/recents.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../support/wire.h"

static void recents_are_bounded(void **state)
{
    struct recents *r;
    struct recent got[RECENTS_ITEMS];
    uint8_t subject[16] = {0};

    (void)state;
    assert_int_equal(recents_open(&r), SOTTO_OK);
    for (uint32_t i = 0; i < 2 * RECENTS_SUBJECTS; i++) {
        memcpy(subject, &i, sizeof i);
        for (uint8_t k = 0; k < RECENTS_ITEMS + 4; k++) {
            struct recent seen = {.size = 1, .item = {(char)('a' + k)}};

            recents_add(r, subject, &seen);
        }
    }
    for (uint32_t i = 0; i < 2 * RECENTS_SUBJECTS; i++) {
        uint32_t want = i < RECENTS_SUBJECTS ? 0 : RECENTS_ITEMS;

        memcpy(subject, &i, sizeof i);
        assert_int_equal(recents_get(r, subject, got), want);
        if (want) {
            assert_int_equal(got[0].item[0], 'a' + RECENTS_ITEMS + 3);
            assert_int_equal(got[RECENTS_ITEMS - 1].item[0], 'a' + 4);
        }
    }
    recents_close(r);
}

static void recents_equal_a_plain_array(void **state)
{
    enum { PEOPLE = 5, STEPS = 4000 };
    struct recent plain[PEOPLE][RECENTS_ITEMS + 1] = {0};
    uint32_t counts[PEOPLE] = {0};
    uint64_t random = 99;
    struct recents *r;

    (void)state;
    assert_int_equal(recents_open(&r), SOTTO_OK);
    for (int step = 0; step < STEPS; step++) {
        uint32_t who = (uint32_t)(random_next(&random) % PEOPLE);
        uint8_t subject[16] = {(uint8_t)who};
        struct recent *mine = plain[who];
        uint64_t sequence = random_next(&random) % 50;
        struct recent seen = {.stream = 1, .sequence = sequence, .size = 1};
        struct coverage by = {1, sequence, 0};
        struct recent got[RECENTS_ITEMS];
        uint32_t kept = 0;
        uint8_t letter = (uint8_t)(random_next(&random) % 26);

        seen.size = (uint8_t)(1 + letter);
        memset(seen.item, 'a' + letter, seen.size);
        seen.bought = letter % 2;
        seen.after = random_next(&random) >> letter;
        switch (random_next(&random) % 20) {
        case 0:
            recents_forget(r, subject);
            counts[who] = 0;
            break;
        case 1:
            recents_plan_cover(r, subject, &by);
            recents_settle(r, true);
            for (uint32_t i = 0; i < counts[who]; i++)
                if (mine[i].sequence > sequence)
                    mine[kept++] = mine[i];
            counts[who] = kept;
            break;
        default:
            recents_add(r, subject, &seen);
            for (uint32_t i = 0; i < counts[who]; i++)
                if (mine[i].item[0] != seen.item[0])
                    mine[kept++] = mine[i];
            mine[kept++] = seen;
            if (kept > RECENTS_ITEMS)
                memmove(mine, mine + 1, --kept * sizeof *mine);
            counts[who] = kept;
        }
        assert_int_equal(recents_get(r, subject, got), counts[who]);
        for (uint32_t i = 0; i < counts[who]; i++)
            assert_memory_equal(&got[i], &mine[counts[who] - 1 - i],
                                sizeof *mine);
    }
    recents_close(r);
}

static void long_names_leave_room_for_fewer(void **state)
{
    const uint8_t subject[16] = {1};
    struct recent got[RECENTS_ITEMS];
    struct recent seen = {.stream = UINT64_MAX,
                          .sequence = UINT64_MAX,
                          .after = UINT64_MAX,
                          .size = RECENT_ITEM_MAX};
    const uint32_t fit = RECENTS_BYTES / (22 + RECENT_ITEM_MAX);
    struct recents *r;

    (void)state;
    assert_int_equal(recents_open(&r), SOTTO_OK);
    for (uint32_t i = 0; i < 20; i++) {
        memset(seen.item, (int)('a' + i), seen.size);
        seen.bought = i % 2;
        recents_add(r, subject, &seen);
    }
    assert_int_equal(recents_get(r, subject, got), fit);
    for (uint32_t i = 0; i < fit; i++) {
        memset(seen.item, (int)('a' + 19 - i), seen.size);
        seen.bought = (19 - i) % 2;
        assert_memory_equal(&got[i], &seen, sizeof seen);
    }
    recents_close(r);
}

static void one_stream_too_many_forgets_everybody(void **state)
{
    const uint8_t subject[16] = {1};
    struct recent got[RECENTS_ITEMS];
    struct recent seen = {.size = 1};
    struct recents *r;

    (void)state;
    assert_int_equal(recents_open(&r), SOTTO_OK);
    for (uint32_t i = 0; i < 3 * RECENTS_STREAMS; i++) {
        uint32_t streams = i % RECENTS_STREAMS + 1;
        uint8_t other[16] = {2, (uint8_t)i};

        seen.stream = UINT64_MAX - i;
        seen.item[0] = (char)('a' + i % 26);
        recents_add(r, subject, &seen);
        recents_add(r, other, &seen);
        assert_int_equal(recents_get(r, subject, got),
                         streams < RECENTS_ITEMS ? streams : RECENTS_ITEMS);
        assert_int_equal(got[0].stream, seen.stream);
    }
    assert_int_equal(recents_get(r, (const uint8_t[16]){2, 1}, got), 0);
    recents_close(r);
}

static void an_item_once_bought_stays_bought(void **state)
{
    const uint8_t subject[16] = {1};
    struct recent got[RECENTS_ITEMS];
    struct recent seen = {.size = 1, .item = "a", .bought = true};
    struct recents *r;

    (void)state;
    assert_int_equal(recents_open(&r), SOTTO_OK);
    recents_add(r, subject, &seen);
    seen.bought = false;
    recents_add(r, subject, &seen);
    assert_int_equal(recents_get(r, subject, got), 1);
    assert_true(got[0].bought);
    assert_true(recents_bought(got, 1, span_text("a")));
    assert_false(recents_bought(got, 1, span_text("ab")));
    recents_close(r);
}

static void who_comes_back_is_not_the_oldest(void **state)
{
    struct recent seen = {.size = 1, .item = "a"};
    struct recent got[RECENTS_ITEMS];
    const uint8_t first[16] = {0};
    uint8_t subject[16] = {0};
    struct recents *r;

    (void)state;
    assert_int_equal(recents_open(&r), SOTTO_OK);
    for (uint32_t i = 0; i <= RECENTS_SUBJECTS; i++) {
        memcpy(subject, &i, sizeof i);
        recents_add(r, subject, &seen);
        if (i < RECENTS_SUBJECTS)
            recents_add(r, first, &seen);
    }
    for (uint32_t i = 0; i < 3; i++) {
        memcpy(subject, &i, sizeof i);
        assert_int_equal(recents_get(r, subject, got), i == 1 ? 0 : 1);
    }
    recents_close(r);
}

static void a_plan_that_is_undone_changes_nothing(void **state)
{
    const uint8_t subject[16] = {1}, other[16] = {2};
    const struct coverage all = {1, 9, 9};
    struct recent seen = {.stream = 1, .size = 1, .item = "a"};
    struct recent got[RECENTS_ITEMS];
    struct recents *r;

    (void)state;
    assert_int_equal(recents_open(&r), SOTTO_OK);
    recents_add(r, subject, &seen);
    recents_add(r, other, &seen);
    recents_plan_forget(r, subject);
    recents_plan_cover(r, other, &all);
    recents_settle(r, false);
    recents_settle(r, true); /* nothing is planned any more */
    assert_int_equal(recents_get(r, subject, got), 1);
    seen.sequence = 10;
    seen.item[0] = 'b';
    recents_add(r, subject, &seen);
    recents_add(r, other, &seen);
    recents_plan_forget(r, subject);
    recents_plan_cover(r, subject, &all); /* does not soften the other */
    recents_plan_cover(r, other, &all);
    recents_settle(r, true);
    assert_int_equal(recents_get(r, subject, got), 0);
    assert_int_equal(recents_get(r, other, got), 1);
    assert_int_equal(got[0].item[0], 'b');
    recents_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recents_are_bounded),
        cmocka_unit_test(recents_equal_a_plain_array),
        cmocka_unit_test(long_names_leave_room_for_fewer),
        cmocka_unit_test(one_stream_too_many_forgets_everybody),
        cmocka_unit_test(an_item_once_bought_stays_bought),
        cmocka_unit_test(who_comes_back_is_not_the_oldest),
        cmocka_unit_test(a_plan_that_is_undone_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
