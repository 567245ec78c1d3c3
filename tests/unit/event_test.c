/* Tests of the row form of events. */
#include "policy/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../support/sample_event.h"

static void random_events_come_back(void **state)
{
    uint64_t rng = 3;

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        struct policy *p = sample_random_policy(&rng);

        for (unsigned j = 0; j < 50; j++) {
            struct sample_texts texts;
            struct event in, out;
            uint8_t row[EVENT_ROW_MAX], again[EVENT_ROW_MAX];
            size_t size, again_size;
            enum sotto_err err;

            sample_random_event(&in, p, &texts, &rng);
            err = event_encode(p, &in, row, sizeof(row), &size);
            if (err == SOTTO_ETOOBIG)
                continue;
            assert_int_equal(err, SOTTO_OK);
            assert_int_equal(event_decode(p, span_of(row, size), &out),
                             SOTTO_OK);
            assert_true(sample_same(p, &in, &out));
            assert_int_equal(
                event_encode(p, &out, again, sizeof(again), &again_size),
                SOTTO_OK);
            assert_int_equal(size, again_size);
            assert_memory_equal(row, again, size);
            assert_int_equal(event_encode(p, &in, row, size - 1, &size),
                             SOTTO_ETOOBIG);
        }
        policy_free(p);
    }
}

static void damaged_rows_are_refused_or_fit_the_policy(void **state)
{
    struct policy *p = sample_policy();
    uint64_t rng = 5;

    (void)state;
    for (unsigned i = 0; i < 3000; i++) {
        struct sample_texts texts;
        struct event ev;
        uint8_t row[EVENT_ROW_MAX], again[EVENT_ROW_MAX];
        size_t size, again_size;

        sample_random_event(&ev, p, &texts, &rng);
        assert_int_equal(event_encode(p, &ev, row, sizeof(row), &size),
                         SOTTO_OK);
        for (size_t cut = 1; cut < size; cut++) {
            /* alone in memory, so that reading on is seen */
            uint8_t *alone = malloc(cut);

            assert_non_null(alone);
            memcpy(alone, row, cut);
            assert_int_equal(event_decode(p, span_of(alone, cut), &ev),
                             SOTTO_EDECODE);
            free(alone);
        }
        row[sample_below(&rng, (unsigned)size)] ^=
            (uint8_t)(1 + sample_below(&rng, 255));
        if (event_decode(p, span_of(row, size), &ev))
            continue;
        assert_int_equal(ev.consent >> p->purpose_count, 0);
        assert_ptr_equal(ev.fits, p);
        ev.fits = NULL; /* so that it is looked at again */
        assert_int_equal(
            event_encode(p, &ev, again, sizeof(again), &again_size), SOTTO_OK);
        assert_int_equal(again_size, size);
        assert_memory_equal(again, row, size);
    }
    policy_free(p);
}

static void values_outside_their_field_do_not_fit(void **state)
{
    struct policy *p = sample_policy();
    const struct policy_field *f = p->events[0].fields;
    struct event_value v = {.present = true};
    struct policy_field boolean = f[8];

    (void)state;
    boolean.type = TYPE_BOOL;
    v.number = 900000;
    assert_true(event_value_fits(&f[0], &v));
    v.number = 900001; /* not rounded */
    assert_false(event_value_fits(&f[0], &v));
    v.number = -900000;
    assert_false(event_value_fits(&f[0], &v));
    assert_false(event_value_fits(&boolean, &v));
    v.number = 10 * MONEY_ONE;
    assert_true(event_value_fits(&f[7], &v));
    v.number++; /* between two edges */
    assert_false(event_value_fits(&f[7], &v));
    v.number = 0;
    assert_false(event_value_fits(&f[3], &v)); /* no session */
    v.id[8] = 1;
    assert_true(event_value_fits(&f[1], &v));
    assert_false(event_value_fits(&f[2], &v)); /* of 64 bits */
    v.text = span_text("123456789012345678901234567890123");
    assert_false(event_value_fits(&f[4], &v)); /* 33 of 32 */
    policy_free(p);
}

static void knows_utf8(void **state)
{
    static const char *const good[] = {"",
                                       "abc",
                                       "\xc3\xa4",
                                       "\xe2\x82\xac",
                                       "\xf0\x9f\x8d\xb5",
                                       "\xed\x9f\xbf",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",         "\xc3",
                                      "\xc0\xaf",     "\xe0\x80\xaf",
                                      "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                      "\xff",         "a\xe2\x82",
                                      "\xc3(",        "\xf0\x8f\xbf\xbf",
                                      "\xe2\x82\x28"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(event_text_fits(span_text(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(event_text_fits(span_text(bad[i])));
    assert_false(event_text_fits(span_of("a\0b", 3)));
}

/* One byte that may not be there, at each place of each short length. */
static void every_byte_of_a_text_counts(void **state)
{
    static const uint8_t wrong[] = {0x00, 0x80, 0xff};

    (void)state;
    for (size_t size = 0; size <= 40; size++) {
        uint8_t text[40];

        memset(text, 'a', sizeof(text));
        assert_true(event_text_fits(span_of(text, size)));
        for (size_t at = 0; at < size; at++) {
            for (size_t i = 0; i < sizeof(wrong); i++) {
                text[at] = wrong[i];
                assert_false(event_text_fits(span_of(text, size)));
            }
            text[at] = 0x01;
            assert_true(event_text_fits(span_of(text, size)));
            text[at] = 'a';
        }
        for (size_t at = 0; at + 2 <= size; at++) {
            memcpy(text + at, "\xc3\xbc", 2);
            assert_true(event_text_fits(span_of(text, size)));
            memset(text + at, 'a', 2);
        }
    }
}

/* Only what says that it was checked is not checked. */
static void a_value_that_does_not_fit_is_not_encoded(void **state)
{
    struct policy *p = sample_policy(), *other = sample_policy();
    struct event ev = {.index = 0};
    uint8_t row[EVENT_ROW_MAX];
    size_t size;

    (void)state;
    ev.values[0].present = true;
    ev.values[0].number = 1; /* a time that is not rounded */
    assert_int_equal(event_encode(p, &ev, row, sizeof(row), &size),
                     SOTTO_EINVAL);
    ev.fits = other;
    assert_int_equal(event_encode(p, &ev, row, sizeof(row), &size),
                     SOTTO_EINVAL);
    ev.fits = p;
    assert_int_equal(event_encode(p, &ev, row, sizeof(row), &size), SOTTO_OK);
    assert_int_equal(event_decode(p, span_of(row, size), &ev), SOTTO_EDECODE);
    assert_null(ev.fits);
    policy_free(other);
    policy_free(p);
}

static void finds_values_by_role(void **state)
{
    struct policy *p = sample_policy();
    struct event ev = {.index = 1};

    (void)state;
    for (unsigned i = 0; i < p->events[1].field_count; i++)
        ev.values[i].present = false;
    assert_null(event_role_value(p, &ev, ROLE_ITEM));
    ev.values[4].present = true;
    assert_ptr_equal(event_role_value(p, &ev, ROLE_ITEM), &ev.values[4]);
    assert_null(event_role_value(p, &ev, ROLE_BRAND));
    policy_free(p);
}

static void bucket_agrees_with_a_scan(void **state)
{
    uint64_t rng = 9;

    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        int64_t edges[POLICY_EDGES_MAX];
        struct policy_field f = {.edges = edges};
        int64_t number = (int64_t)sample_below(&rng, 500) - 50;
        unsigned expected = 0;

        f.edge_count = (uint8_t)(1 + sample_below(&rng, POLICY_EDGES_MAX));
        edges[0] = sample_below(&rng, 20);
        for (unsigned e = 1; e < f.edge_count; e++)
            edges[e] = edges[e - 1] + 1 + sample_below(&rng, 10);
        for (unsigned e = 0; e < f.edge_count; e++)
            if (edges[e] <= number)
                expected = e;
        assert_int_equal(bucket_of(&f, number), expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_events_come_back),
        cmocka_unit_test(damaged_rows_are_refused_or_fit_the_policy),
        cmocka_unit_test(values_outside_their_field_do_not_fit),
        cmocka_unit_test(knows_utf8),
        cmocka_unit_test(every_byte_of_a_text_counts),
        cmocka_unit_test(a_value_that_does_not_fit_is_not_encoded),
        cmocka_unit_test(finds_values_by_role),
        cmocka_unit_test(bucket_agrees_with_a_scan),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
