/* Tests of cutting addresses to networks. */
#include "policy/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct row {
    const char *address;
    unsigned v4, v6;
    const char *network; /* "": refused */
};

static void cuts_what_is_an_address(void **state)
{
    static const struct row rows[] = {
        {"203.0.113.7", 16, 32, "203.0.0.0/16"},
        {"203.0.113.7", 24, 32, "203.0.113.0/24"},
        {"203.255.113.7", 9, 32, "203.128.0.0/9"},
        {"255.255.255.255", 1, 1, "128.0.0.0/1"},
        {"::ffff:203.0.113.7", 16, 32, "203.0.0.0/16"},
        {"::FFFF:cb00:7107", 16, 32, "203.0.0.0/16"},
        {"2001:db8:1:2:3:4:5:6", 16, 32, "2001:db8::/32"},
        {"2001:DB8:ffff:ffff:3:4:5:6", 16, 56, "2001:db8:ffff:ff00::/56"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 16, 56,
         "ffff:ffff:ffff:ff00::/56"},
        {"2001:0:0:7777::1", 16, 56, "2001:0:0:7700::/56"},
        {"fe80::1%eth0", 16, 32, "fe80::/32"},
        {"::1", 16, 32, "::/32"},
        {"::203.0.113.7", 16, 56, "::/56"}, /* the old form: nothing is left */
        {"", 16, 32, ""},
        {"%eth0", 16, 32, ""},
        {"203.0.113", 16, 32, ""},
        {"203.0.113.256", 16, 32, ""},
        {"203.0.113.7 ", 16, 32, ""},
        {"203.0.113.7:80", 16, 32, ""},
        {"203.0.113.7, 10.0.0.1", 16, 32, ""},
        {"203.0.0.0/16", 16, 32, ""},
        {"2001:db8:::1", 16, 32, ""},
        {"localhost", 16, 32, ""},
        {"2001:db8:1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17", 16, 32, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *r = &rows[i];
        char out[NETWORK_TEXT_MAX];
        size_t size = network_cut(out, span_text(r->address), r->v4, r->v6);

        if (!span_equal(span_of(out, size), span_text(r->network)))
            fail_msg("%s gave %.*s", r->address, (int)size, out);
        assert_int_equal(size > 0 &&
                             network_fits(span_of(out, size), r->v4, r->v6),
                         size > 0);
    }
    assert_int_equal(0, network_cut((char[NETWORK_TEXT_MAX]){0},
                                    span_of("1.2.3.4\0"
                                            "5",
                                            9),
                                    16, 32));
}

static void knows_what_it_did_not_make(void **state)
{
    static const char *const others[] = {
        "",           "203.0.0.0",         "203.0.113.0/16", "203.0.0.0/24",
        "203.0.0.0/", "203.0.0.0/16/16",   "2001:db8::1/32", "2001:DB8::/32",
        "::/16",      "::ffff:1.2.0.0/16", "fe80::%eth0/32", "203.0.113.7"};

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (network_fits(span_text(others[i]), 16, 32))
            fail_msg("%s", others[i]);
    assert_true(network_fits(span_text("203.0.0.0/16"), 16, 32));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_what_is_an_address),
        cmocka_unit_test(knows_what_it_did_not_make),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
