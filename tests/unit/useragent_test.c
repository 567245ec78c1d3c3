/* Tests of browser and system families. */
#include "policy/useragent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *agent, *family;
} rows[] = {
    {"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, "
     "like Gecko) Chrome/129.0.0.0 Safari/537.36",
     "chrome/windows"},
    {"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, "
     "like Gecko) Chrome/129.0.0.0 Safari/537.36 Edg/129.0.0.0",
     "edge/windows"},
    {"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 "
     "(KHTML, like Gecko) Version/17.6 Safari/605.1.15",
     "safari/macos"},
    {"Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) "
     "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 "
     "Safari/604.1",
     "safari/ios"},
    {"Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) "
     "AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/129.0 Mobile/15E148 "
     "Safari/604.1",
     "chrome/ios"},
    {"Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
     "firefox/linux"},
    {"Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, "
     "like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36",
     "samsung/android"},
    {"Mozilla/5.0 (Linux; Android 13; M2102J2SC) AppleWebKit/537.36 (KHTML, "
     "like Gecko) Version/4.0 Chrome/116.0.0.0 Mobile Safari/537.36 "
     "MicroMessenger/8.0.49.2600",
     "wechat/android"},
    {"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, "
     "like Gecko) Chrome/129.0.0.0 Safari/537.36 OPR/114.0.0.0",
     "opera/chromeos"},
    {"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
     "bot/other"},
    {"curl/8.5.0", "bot/other"},
    {"KioskShell 3 (Linux)", "other/linux"},
    {"ann@example.com", "other"},
    {"", "other"},
};

static void says_the_family_and_nothing_of_the_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[USERAGENT_TEXT_MAX];
        struct span made =
            span_of(out, useragent_family(out, span_text(rows[i].agent)));

        if (!span_equal(made, span_text(rows[i].family)))
            fail_msg("%s gave %.*s", rows[i].agent, (int)made.size, out);
        assert_true(useragent_fits(made));
    }
}

static void looks_at_a_bounded_part(void **state)
{
    static char agent[USERAGENT_READ_MAX + 20];
    char out[USERAGENT_TEXT_MAX];

    (void)state;
    memset(agent, 'a', sizeof(agent));
    memcpy(agent + USERAGENT_READ_MAX - 5, "curl/", 5);
    assert_int_equal(useragent_family(out, span_of(agent, sizeof(agent))), 9);
    memcpy(agent + USERAGENT_READ_MAX - 5, "acurl/", 6);
    assert_int_equal(useragent_family(out, span_of(agent, sizeof(agent))), 5);
}

static void knows_its_words(void **state)
{
    static const char *const others[] = {
        "",       "chrome",  "other/other",   "Chrome/windows", "linux/chrome",
        "/linux", "chrome/", "chrome/linux/", "chrome/linux x"};

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (useragent_fits(span_text(others[i])))
            fail_msg("%s", others[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_the_family_and_nothing_of_the_text),
        cmocka_unit_test(looks_at_a_bounded_part),
        cmocka_unit_test(knows_its_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
