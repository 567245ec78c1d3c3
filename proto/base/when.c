/* Times, durations, money and whole numbers: text <-> int64_t.
 *
 * One cursor over the text serves all parsers; a parser succeeds only if it
 * has eaten everything. Sums are kept as magnitudes in uint64_t and checked
 * before the sign is put on, so INT64_MIN is a value like any other. The C
 * library's calendar is not used: it knows locales and time zones. */
#include "base/when.h"

#include <string.h>

#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)
#define YEAR_FIRST 1970
#define YEAR_LAST 9999
#define FRACTION_DIGITS_MAX 9
#define MONEY_DIGITS 6

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* Eats one byte if it is c. */
static bool eat(struct span *s, char c)
{
    if (s->size == 0 || s->data[0] != (uint8_t)c)
        return false;
    s->data++;
    s->size--;
    return true;
}

/* Eats exactly digits digits. */
static bool eat_fixed(struct span *s, int digits, int *value)
{
    *value = 0;
    for (int i = 0; i < digits; i++) {
        if (s->size == 0 || !is_digit(s->data[0]))
            return false;
        *value = *value * 10 + (s->data[0] - '0');
        s->data++;
        s->size--;
    }
    return true;
}

/* Eats all digits there are and returns how many; a value over UINT64_MAX
 * stays there. */
static size_t eat_digits(struct span *s, uint64_t *value)
{
    size_t count = 0;

    for (*value = 0; s->size > 0 && is_digit(s->data[0]); count++) {
        uint64_t digit = (uint64_t)(s->data[0] - '0');

        *value = *value > (UINT64_MAX - digit) / 10 ? UINT64_MAX
                                                    : *value * 10 + digit;
        s->data++;
        s->size--;
    }
    return count;
}

/* Eats digits after a point, 1 to digits_max of them, and scales them to
 * units of 10^-places; digits beyond places are cut. */
static bool eat_fraction(struct span *s, size_t digits_max, size_t places,
                         uint64_t *units)
{
    uint64_t value;
    size_t count = eat_digits(s, &value);

    if (count == 0 || count > digits_max)
        return false;
    for (; count > places; count--)
        value /= 10;
    for (; count < places; count++)
        value *= 10;
    *units = value;
    return true;
}

static uint64_t magnitude(int64_t value)
{
    return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

static bool signed_from(int64_t *value, uint64_t size, bool negative)
{
    if (size > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return false;
    *value = negative ? (int64_t)(0 - size) : (int64_t)size;
    return true;
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int month_days(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

static int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar, and back, by
 * counting from March in eras of 400 years (Hinnant, "chrono-Compatible
 * Low-Level Date Algorithms", days_from_civil and civil_from_days). */
#define ERA_DAYS 146097
#define EPOCH_DAYS 719468 /* 0000-03-01 to 1970-01-01 */

static int64_t days_from_civil(int64_t year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = floor_divide(y, 400);
    int64_t year_of_era = y - era * 400;
    int64_t month_from_march = month > 2 ? month - 3 : month + 9;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;

    return era * ERA_DAYS + year_of_era * 365 + year_of_era / 4 -
           year_of_era / 100 + day_of_year - EPOCH_DAYS;
}

static void civil_from_days(int64_t days, int64_t *year, int *month, int *day)
{
    int64_t z = days + EPOCH_DAYS;
    int64_t era = floor_divide(z, ERA_DAYS);
    int64_t day_of_era = z - era * ERA_DAYS;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 -
                           day_of_era / 146096) /
                          365;
    int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;

    *day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    *month = (int)(month_from_march < 10 ? month_from_march + 3
                                         : month_from_march - 9);
    *year = year_of_era + era * 400 + (*month <= 2 ? 1 : 0);
}

static bool eat_date(struct span *s, int64_t *days)
{
    int year, month, day;

    if (!eat_fixed(s, 4, &year) || !eat(s, '-') || !eat_fixed(s, 2, &month) ||
        !eat(s, '-') || !eat_fixed(s, 2, &day))
        return false;
    if (year < YEAR_FIRST || month < 1 || month > 12 || day < 1 ||
        day > month_days(year, month))
        return false;
    *days = days_from_civil(year, month, day);
    return true;
}

static bool eat_time(struct span *s, int64_t *ms)
{
    int hour, minute, second;
    uint64_t fraction_ms = 0;

    if (!eat_fixed(s, 2, &hour) || !eat(s, ':') || !eat_fixed(s, 2, &minute) ||
        !eat(s, ':') || !eat_fixed(s, 2, &second))
        return false;
    if (hour > 23 || minute > 59 || second > 59)
        return false;
    if (eat(s, '.') && !eat_fraction(s, FRACTION_DIGITS_MAX, 3, &fraction_ms))
        return false;
    *ms = hour * HOUR_MS + minute * MINUTE_MS + second * SECOND_MS +
          (int64_t)fraction_ms;
    return true;
}

static bool eat_zone(struct span *s, int64_t *ahead_ms)
{
    bool behind;
    int hour, minute;

    *ahead_ms = 0;
    if (s->size == 0 || eat(s, 'Z'))
        return true;
    behind = eat(s, '-');
    if (!behind && !eat(s, '+'))
        return false;
    if (!eat_fixed(s, 2, &hour) || !eat(s, ':') || !eat_fixed(s, 2, &minute) ||
        hour > 23 || minute > 59)
        return false;
    *ahead_ms = hour * HOUR_MS + minute * MINUTE_MS;
    if (behind)
        *ahead_ms = -*ahead_ms;
    return true;
}

enum sotto_err when_parse(int64_t *ms, struct span text)
{
    struct span s = text;
    int64_t days, of_day_ms = 0, ahead_ms = 0, at_ms;

    if (!eat_date(&s, &days))
        return SOTTO_EINVAL;
    if (s.size > 0) {
        if (!eat(&s, 'T') && !eat(&s, ' '))
            return SOTTO_EINVAL;
        if (!eat_time(&s, &of_day_ms) || !eat_zone(&s, &ahead_ms))
            return SOTTO_EINVAL;
    }
    at_ms = days * DAY_MS + of_day_ms - ahead_ms;
    if (s.size > 0 || at_ms < 0 ||
        at_ms >= days_from_civil(YEAR_LAST + 1, 1, 1) * DAY_MS)
        return SOTTO_EINVAL;
    *ms = at_ms;
    return SOTTO_OK;
}

/* Writes value with at least digits digits; returns where it ends. */
static char *put(char *at, uint64_t value, int digits)
{
    char reversed[20];
    int count = 0;

    do {
        reversed[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    for (int zeros = digits - count; zeros > 0; zeros--)
        *at++ = '0';
    while (count > 0)
        *at++ = reversed[--count];
    return at;
}

static char *put_number(char *at, char before, int64_t value, int digits)
{
    if (before)
        *at++ = before;
    return put(at, (uint64_t)value, digits);
}

void when_format(char out[32], int64_t ms)
{
    int64_t days = floor_divide(ms, DAY_MS);
    int64_t of_day_ms = ms % DAY_MS + (ms % DAY_MS < 0 ? DAY_MS : 0);
    int64_t year;
    int month, day;
    char *at = out;

    if (ms == WHEN_NONE) {
        memcpy(out, "-", 2);
        return;
    }
    civil_from_days(days, &year, &month, &day);
    at = put_number(at, year < 0 ? '-' : '\0', year < 0 ? -year : year, 4);
    at = put_number(at, '-', month, 2);
    at = put_number(at, '-', day, 2);
    at = put_number(at, 'T', of_day_ms / HOUR_MS, 2);
    at = put_number(at, ':', of_day_ms / MINUTE_MS % 60, 2);
    at = put_number(at, ':', of_day_ms / SECOND_MS % 60, 2);
    if (of_day_ms % SECOND_MS)
        at = put_number(at, '.', of_day_ms % SECOND_MS, 3);
    *at++ = 'Z';
    *at = '\0';
}

/* The letters of a duration in their order, before and after the T. */
struct duration_unit {
    char letter;
    bool after_t;
    int64_t ms;
};
static const struct duration_unit units[] = {
    {'Y', false, 365 * DAY_MS}, {'M', false, 30 * DAY_MS},
    {'W', false, 7 * DAY_MS},   {'D', false, DAY_MS},
    {'H', true, HOUR_MS},       {'M', true, MINUTE_MS},
    {'S', true, SECOND_MS},
};
#define UNIT_COUNT (sizeof(units) / sizeof(units[0]))

/* Eats "15M" or, for seconds, "1.5S". Units come in order, so *next says from
 * which one on this may be. */
static bool eat_part(struct span *s, bool after_t, size_t *next, uint64_t *ms)
{
    uint64_t count, fraction_ms = 0;
    bool has_fraction;

    if (eat_digits(s, &count) == 0)
        return false;
    has_fraction = eat(s, '.');
    if (has_fraction && !eat_fraction(s, 3, 3, &fraction_ms))
        return false;
    for (size_t i = *next; i < UNIT_COUNT; i++) {
        uint64_t unit_ms = (uint64_t)units[i].ms;

        if (units[i].after_t != after_t || !eat(s, units[i].letter))
            continue;
        if ((has_fraction && units[i].letter != 'S') ||
            count > (uint64_t)INT64_MAX / unit_ms)
            return false;
        *ms = count * unit_ms + fraction_ms;
        *next = i + 1;
        return true;
    }
    return false;
}

enum sotto_err duration_parse(int64_t *ms, struct span text)
{
    struct span s = text;
    uint64_t sum_ms = 0, part_ms;
    bool after_t = false;
    size_t next = 0;

    if (!eat(&s, 'P'))
        return SOTTO_EINVAL;
    do {
        if (!after_t)
            after_t = eat(&s, 'T');
        if (!eat_part(&s, after_t, &next, &part_ms))
            return SOTTO_EINVAL;
        sum_ms += part_ms; /* both are below 2^63 + 1000: no wrap */
        if (sum_ms > (uint64_t)INT64_MAX)
            return SOTTO_EINVAL;
    } while (s.size > 0);
    *ms = (int64_t)sum_ms;
    return SOTTO_OK;
}

void duration_format(char out[32], int64_t ms)
{
    uint64_t left = magnitude(ms);
    char *at = out;

    if (ms < 0)
        *at++ = '-';
    *at++ = 'P';
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        uint64_t unit_ms = (uint64_t)units[i].ms;
        uint64_t count = left / unit_ms;
        bool last = i + 1 == UNIT_COUNT;

        if (units[i].ms > DAY_MS)
            continue; /* days say it without doubt */
        if (units[i].letter == 'H' && (left > 0 || ms == 0))
            *at++ = 'T';
        left %= unit_ms;
        if (count == 0 && !(last && (left > 0 || ms == 0)))
            continue;
        at = put(at, count, 1);
        if (last && left > 0) {
            *at++ = '.';
            at = put(at, left, 3);
        }
        *at++ = units[i].letter;
    }
    *at = '\0';
}

enum sotto_err int_parse(int64_t *value, struct span text)
{
    struct span s = text;
    bool negative = eat(&s, '-');
    uint64_t size;

    if (!negative)
        eat(&s, '+');
    if (eat_digits(&s, &size) == 0 || s.size > 0)
        return SOTTO_EINVAL;
    return signed_from(value, size, negative) ? SOTTO_OK : SOTTO_ETOOBIG;
}

enum sotto_err money_parse(int64_t *millionths, struct span text)
{
    struct span s = text;
    bool negative = eat(&s, '-');
    uint64_t whole, fraction = 0;

    if (!negative)
        eat(&s, '+');
    if (eat_digits(&s, &whole) == 0)
        return SOTTO_EINVAL;
    if (eat(&s, '.') &&
        !eat_fraction(&s, MONEY_DIGITS, MONEY_DIGITS, &fraction))
        return SOTTO_EINVAL;
    if (s.size > 0)
        return SOTTO_EINVAL;
    if (whole > (uint64_t)INT64_MAX / (uint64_t)MONEY_ONE)
        return SOTTO_ETOOBIG;
    whole = whole * (uint64_t)MONEY_ONE + fraction;
    return signed_from(millionths, whole, negative) ? SOTTO_OK : SOTTO_ETOOBIG;
}

void money_format(char out[32], int64_t millionths)
{
    const uint64_t penny = (uint64_t)MONEY_ONE / 100;
    uint64_t pennies = (magnitude(millionths) + penny / 2) / penny;
    char digits[24];
    char *end = put(digits, pennies / 100, 1);
    char *at = out;

    if (millionths < 0 && pennies > 0)
        *at++ = '-';
    for (const char *d = digits; d < end; d++) {
        if (d > digits && (end - d) % 3 == 0)
            *at++ = ',';
        *at++ = *d;
    }
    *at++ = '.';
    at = put(at, pennies % 100, 2);
    *at = '\0';
}

void money_exact(char out[32], int64_t millionths)
{
    uint64_t size = magnitude(millionths);
    uint64_t fraction = size % (uint64_t)MONEY_ONE;
    char *at = out;

    if (millionths < 0)
        *at++ = '-';
    at = put(at, size / (uint64_t)MONEY_ONE, 1);
    if (fraction > 0) {
        *at++ = '.';
        at = put(at, fraction, MONEY_DIGITS);
        while (at[-1] == '0')
            at--;
    }
    *at = '\0';
}
