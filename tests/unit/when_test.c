/* Times, durations, money: known values, refusals, and round trips. */
#include "base/when.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define ROUNDS 200000
#define LAST_MS INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

static uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15); /* SplitMix64, Steele et al. */
    uint64_t z = *state;

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Numbers of every size, not only large ones. */
static int64_t random_of_any_size(uint64_t *random)
{
    uint64_t bits = next_random(random) % 64;

    return (int64_t)next_random(random) >> bits;
}

struct known {
    const char *text;
    int64_t value;
};

static void reads_the_forms_people_write(void **state)
{
    static const struct known knowns[] = {
        {"1970-01-01", 0},
        {"2026-12-01", INT64_C(1796083200000)},
        {"2026-12-01 08:26:00", INT64_C(1796113560000)},
        {"2026-12-01T08:26:00", INT64_C(1796113560000)},
        {"2026-12-01T08:26:00.123Z", INT64_C(1796113560123)},
        {"2026-12-01T08:26:00.5Z", INT64_C(1796113560500)},
        {"2026-12-01T08:26:00.123999999Z", INT64_C(1796113560123)},
        {"2026-12-01T08:26:00+01:00", INT64_C(1796109960000)},
        {"2026-12-01T08:26:00-05:30", INT64_C(1796133360000)},
        {"2000-02-29", INT64_C(951782400000)},
        {"2024-02-29", INT64_C(1709164800000)},
        {"9999-12-31T23:59:59.999Z", LAST_MS},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(knowns) / sizeof(knowns[0]); i++) {
        int64_t ms = -1;

        assert_int_equal(when_parse(&ms, span_text(knowns[i].text)), SOTTO_OK);
        assert_true(ms == knowns[i].value);
    }
}

static void refuses_times_that_do_not_exist(void **state)
{
    static const char *const texts[] = {
        "",
        "2026",
        "2026-02-30",
        "2026-02-29",
        "2100-02-29",
        "2026-00-01",
        "2026-13-01",
        "2026-01-00",
        "2026-04-31",
        "1969-12-31",
        "0000-01-01",
        "2026-1-01",
        "26-01-01",
        "2026-12-01T",
        "2026-12-01T08:26",
        "2026-12-01T24:00:00",
        "2026-12-01T08:60:00",
        "2026-12-01T08:26:60",
        "2026-12-01T08:26:00.",
        "2026-12-01T08:26:00.1234567890",
        "2026-12-01T08:26:00z",
        "2026-12-01T08:26:00+1:00",
        "2026-12-01T08:26:00+24:00",
        "2026-12-01T08:26:00+01:60",
        "2026-12-01T08:26:00ZZ",
        "2026-12-01Z",
        " 2026-12-01",
        "2026-12-01 ",
        "2026-12-01  08:26:00",
        "-026-12-01",
        "+026-12-01",
        "1970-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "12026-12-01",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int64_t ms = 42;

        if (when_parse(&ms, span_text(texts[i])) != SOTTO_EINVAL)
            fail_msg("took \"%s\"", texts[i]);
        assert_true(ms == 42);
    }
}

static void does_not_read_past_the_span(void **state)
{
    int64_t ms;

    (void)state;
    assert_int_equal(when_parse(&ms, span_of("2026-12-01T99", 10)), SOTTO_OK);
    assert_int_equal(when_parse(&ms, span_of("2026-12-01", 9)), SOTTO_EINVAL);
    assert_int_equal(int_parse(&ms, span_of("123", 2)), SOTTO_OK);
    assert_true(ms == 12);
}

static void reads_back_every_time_it_writes(void **state)
{
    uint64_t random = 1;

    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t ms = (int64_t)(next_random(&random) % (uint64_t)(LAST_MS + 1));
        int64_t back = -1;
        char text[32];

        if (i % 2)
            ms -= ms % 1000;
        when_format(text, ms);
        assert_int_equal(when_parse(&back, span_text(text)), SOTTO_OK);
        assert_true(back == ms);
    }
}

/* The C library's calendar is a second way to the answer, also before 1970
 * and after 9999. */
static void writes_what_the_c_library_says(void **state)
{
    uint64_t random = 2;

    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t seconds = random_of_any_size(&random) / 1000;
        time_t at = (time_t)seconds;
        char text[32], expected[64];
        struct tm tm;

        assert_non_null(gmtime_r(&at, &tm));
        if (tm.tm_year < -1900)
            continue; /* how to pad a negative year is a matter of taste */
        snprintf(expected, sizeof(expected), "%04ld-%02d-%02dT%02d:%02d:%02dZ",
                 tm.tm_year + 1900L, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
                 tm.tm_min, tm.tm_sec);
        when_format(text, seconds * 1000);
        assert_string_equal(text, expected);
    }
}

static void writes_any_time_within_its_room(void **state)
{
    char text[32];

    (void)state;
    when_format(text, WHEN_NONE);
    assert_string_equal(text, "-");
    when_format(text, INT64_MIN + 1);
    assert_string_equal(text, "-292275055-05-16T16:47:04.193Z");
    when_format(text, INT64_MAX);
    assert_string_equal(text, "292278994-08-17T07:12:55.807Z");
    when_format(text, -1);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
}

static void reads_durations(void **state)
{
    static const struct known knowns[] = {
        {"P30D", 30 * DAY_MS},
        {"PT15M", 900000},
        {"PT1H30M", 5400000},
        {"P1W", 7 * DAY_MS},
        {"P13M", 390 * DAY_MS},
        {"P1Y", 365 * DAY_MS},
        {"PT0S", 0},
        {"PT1.5S", 1500},
        {"P1DT1S", DAY_MS + 1000},
        {"P1Y2M3DT4H5M6S", 428 * DAY_MS + 14706000},
    };
    static const char *const wrong[] = {
        "",
        "P",
        "PT",
        "P1",
        "30D",
        "P1DT",
        "P1H",
        "PT1D",
        "P1D1Y",
        "P1D1D",
        "PT1S1M",
        "-P1D",
        "P-1D",
        "P1.5D",
        "P1D ",
        "PT1.S",
        "p1d",
        "PTT1S",
        "PT1.1234S",
        "P106751991168D",
        "P99999999999999999999D",
        "P106751991167DT8H",
    };
    int64_t ms;

    (void)state;
    for (size_t i = 0; i < sizeof(knowns) / sizeof(knowns[0]); i++) {
        assert_int_equal(duration_parse(&ms, span_text(knowns[i].text)),
                         SOTTO_OK);
        assert_true(ms == knowns[i].value);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (duration_parse(&ms, span_text(wrong[i])) != SOTTO_EINVAL)
            fail_msg("took \"%s\"", wrong[i]);
    }
}

static void reads_back_every_duration_it_writes(void **state)
{
    uint64_t random = 3;
    char text[32];

    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t ms = random_of_any_size(&random), back = -1;

        if (ms < 0)
            ms = -(ms + 1);
        if (i % 3 == 0)
            ms -= ms % 60000;
        duration_format(text, ms);
        assert_int_equal(duration_parse(&back, span_text(text)), SOTTO_OK);
        assert_true(back == ms);
    }
    duration_format(text, 0);
    assert_string_equal(text, "PT0S");
    duration_format(text, 5400000);
    assert_string_equal(text, "PT1H30M");
    duration_format(text, 30 * DAY_MS);
    assert_string_equal(text, "P30D");
    duration_format(text, INT64_MIN);
    assert_string_equal(text, "-P106751991167DT7H12M55.808S");
}

static void reads_money_and_refuses_what_is_none(void **state)
{
    static const struct known knowns[] = {
        {"-2.55", -2550000},
        {"8911407.904", INT64_C(8911407904000)},
        {"0.000001", 1},
        {"+3", 3000000},
        {"9223372036854.775807", INT64_MAX},
        {"-9223372036854.775808", INT64_MIN},
        {"-0", 0},
    };
    static const char *const wrong[] = {"",    "-",     ".5",        "5.",
                                        "1e3", "1,000", "1.0000000", "1.5x",
                                        " 1",  "--1",   "0x10",      "1.-5"};
    int64_t value;

    (void)state;
    for (size_t i = 0; i < sizeof(knowns) / sizeof(knowns[0]); i++) {
        assert_int_equal(money_parse(&value, span_text(knowns[i].text)),
                         SOTTO_OK);
        assert_true(value == knowns[i].value);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(money_parse(&value, span_text(wrong[i])),
                         SOTTO_EINVAL);
    assert_int_equal(money_parse(&value, span_text("9223372036854.775808")),
                     SOTTO_ETOOBIG);
    assert_int_equal(money_parse(&value, span_text("-9223372036854.775809")),
                     SOTTO_ETOOBIG);
    assert_int_equal(money_parse(&value, span_text("99999999999999999999999")),
                     SOTTO_ETOOBIG);
}

static void reads_back_every_amount_it_writes(void **state)
{
    uint64_t random = 4;

    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t value = random_of_any_size(&random), back = value + 1;
        char text[32];

        money_exact(text, value);
        assert_int_equal(money_parse(&back, span_text(text)), SOTTO_OK);
        assert_true(back == value);
    }
}

static void rounds_money_half_away_from_zero(void **state)
{
    static const struct known knowns[] = {
        {"8,911,407.90", INT64_C(8911407904000)},
        {"0.00", 0},
        {"0.00", -4999},
        {"-0.01", -5000},
        {"0.01", 5000},
        {"1.00", 999999},
        {"999.99", 999994999},
        {"1,000.00", 999995000},
        {"-1,234,567.89", INT64_C(-1234567890000)},
        {"9,223,372,036,854.78", INT64_MAX},
        {"-9,223,372,036,854.78", INT64_MIN},
    };
    char text[32];

    (void)state;
    for (size_t i = 0; i < sizeof(knowns) / sizeof(knowns[0]); i++) {
        money_format(text, knowns[i].value);
        assert_string_equal(text, knowns[i].text);
    }
    money_exact(text, INT64_C(8911407904000));
    assert_string_equal(text, "8911407.904");
    money_exact(text, -2000000);
    assert_string_equal(text, "-2");
}

static void reads_whole_numbers(void **state)
{
    static const char *const wrong[] = {
        "", "+", "-", "1.0", "0x1", " 1", "1 ", "+-1", "99999999999999999999x"};
    uint64_t random = 6;
    int64_t value;

    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t number = random_of_any_size(&random);
        char text[32];

        snprintf(text, sizeof(text), "%lld", (long long)number);
        assert_int_equal(int_parse(&value, span_text(text)), SOTTO_OK);
        assert_true(value == number);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(int_parse(&value, span_text(wrong[i])), SOTTO_EINVAL);
    assert_int_equal(int_parse(&value, span_text("-9223372036854775808")),
                     SOTTO_OK);
    assert_int_equal(int_parse(&value, span_text("9223372036854775808")),
                     SOTTO_ETOOBIG);
    assert_int_equal(int_parse(&value, span_text("-99999999999999999999")),
                     SOTTO_ETOOBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_forms_people_write),
        cmocka_unit_test(refuses_times_that_do_not_exist),
        cmocka_unit_test(does_not_read_past_the_span),
        cmocka_unit_test(reads_back_every_time_it_writes),
        cmocka_unit_test(writes_what_the_c_library_says),
        cmocka_unit_test(writes_any_time_within_its_room),
        cmocka_unit_test(reads_durations),
        cmocka_unit_test(reads_back_every_duration_it_writes),
        cmocka_unit_test(reads_money_and_refuses_what_is_none),
        cmocka_unit_test(reads_back_every_amount_it_writes),
        cmocka_unit_test(rounds_money_half_away_from_zero),
        cmocka_unit_test(reads_whole_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
