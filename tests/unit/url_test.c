/* Tests of cutting URLs. */
#include "policy/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MAX 60

struct row {
    const char *url;
    unsigned parts;
    const char *made; /* "": refused */
};

static void keeps_the_parts_and_nothing_else(void **state)
{
    static const char full[] =
        "HTTPS://ann:pw@Shop.example:8080/Cups/red;jsessionid=1?q=x#top";
    static const struct row rows[] = {
        {full, URL_SCHEME, "https"},
        {full, URL_HOST, "shop.example"},
        {full, URL_PATH, "/Cups/red"},
        {full, URL_HOST | URL_PATH, "shop.example/Cups/red"},
        {full, URL_SCHEME | URL_HOST, "https://shop.example"},
        {full, URL_ALL, "https://shop.example/Cups/red"},
        {"http://shop.example", URL_ALL, "http://shop.example/"},
        {"http://shop.example?q=1", URL_ALL, "http://shop.example/"},
        {"http://shop.example#ann", URL_PATH, "/"},
        {"//shop.example/a", URL_HOST | URL_PATH, "shop.example/a"},
        {"//shop.example/a", URL_ALL, ""}, /* no scheme */
        {"/a/b?token=1", URL_PATH, "/a/b"},
        {"/a/b?token=1", URL_HOST | URL_PATH, ""},
        {"http://[2001:db8::1]:80/a", URL_HOST, "[2001:db8::1]"},
        {"http://a@b@host/x", URL_ALL, "http://host/x"},
        {"http://host/ann@example.com", URL_HOST, "host"},
        {"http://ann:p/w@host/x", URL_ALL, ""}, /* `ann:p` is no host */
        {"http://good.example\\@evil.example/", URL_ALL, ""},
        {"http://host /x", URL_ALL, ""},
        {"http://host/x\ny", URL_ALL, ""},
        {"http://ho%73t/x", URL_ALL, ""},
        {"http:///x", URL_ALL, ""},
        {"http://host:80x/", URL_ALL, ""},
        {"http://[::1/", URL_ALL, ""},
        {"http://[]/", URL_ALL, ""},
        {"mailto:ann@example.com", URL_SCHEME, ""},
        {"data:text/plain,ann", URL_ALL, ""},
        {"ann@example.com/x", URL_PATH, ""},
        {"?q=1", URL_PATH, ""},
        {"", URL_PATH, ""},
        {"http://h/0123456789012345678901234567890123456789012345678901",
         URL_PATH, "/0123456789012345678901234567890123456789012345678901"},
        {"http://h/01234567890123456789012345678901234567890123456789012345678"
         "9",
         URL_PATH, ""}, /* over 60 */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *r = &rows[i];
        char out[MAX];
        struct span made =
            span_of(out, url_cut(out, MAX, span_text(r->url), r->parts));

        if (!span_equal(made, span_text(r->made)))
            fail_msg("%s gave %.*s", r->url, (int)made.size, out);
        if (made.size > 0 && !url_fits(made, r->parts))
            fail_msg("%.*s", (int)made.size, out);
    }
}

static void knows_what_it_did_not_make(void **state)
{
    static const struct row rows[] = {
        {"https://shop.example/a?b", URL_ALL, ""},
        {"https://shop.example/a#b", URL_ALL, ""},
        {"https://shop.example/a;b", URL_ALL, ""},
        {"https://ann@shop.example/a", URL_ALL, ""},
        {"https://shop.example:80/a", URL_ALL, ""},
        {"https://Shop.example/a", URL_ALL, ""},
        {"HTTPS://shop.example/a", URL_ALL, ""},
        {"https://shop.example", URL_ALL, ""},
        {"https//shop.example/a", URL_ALL, ""},
        {"shop.example/a", URL_HOST, ""},
        {"/a b", URL_PATH, ""},
        {"a", URL_PATH, ""},
        {"", URL_HOST, ""},
        {"", URL_PATH, ""},
        {"https:", URL_SCHEME, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (url_fits(span_text(rows[i].url), rows[i].parts))
            fail_msg("%s", rows[i].url);
}

static void a_scheme_without_a_host_has_no_path(void **state)
{
    (void)state;
    assert_false(url_parts_good(0));
    assert_false(url_parts_good(URL_SCHEME | URL_PATH));
    assert_false(url_parts_good(URL_ALL + 1));
    assert_true(url_parts_good(URL_ALL));
    assert_int_equal(url_part_of(span_text("host")), URL_HOST);
    assert_int_equal(url_part_of(span_text("query")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_parts_and_nothing_else),
        cmocka_unit_test(knows_what_it_did_not_make),
        cmocka_unit_test(a_scheme_without_a_host_has_no_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
