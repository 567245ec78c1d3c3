/* Tests of the detectors: by example, and on bytes of every kind. */
#include "policy/detect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/sample_policy.h"

#define OUT_MAX 512

static const char *redact(const char *text, uint32_t kinds)
{
    static uint8_t out[OUT_MAX + 1];
    size_t size = detect_redact(out, OUT_MAX, span_text(text), kinds);

    out[size] = '\0';
    return (const char *)out;
}

/* Each is alone, in a sentence, and between Han characters. */
static void assert_found(const char *name, const char *const *texts)
{
    static const char *const frames[] = {
        "%s", "so %s, yes", "\xe6\x98\xaf%s\xe3\x80\x82", "\"%s\""};

    for (; *texts; texts++) {
        for (size_t f = 0; f < sizeof(frames) / sizeof(frames[0]); f++) {
            char text[300], mark[32], expected[300];

            snprintf(mark, sizeof(mark), "[%s]", name);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            snprintf(text, sizeof(text), frames[f], *texts);
            snprintf(expected, sizeof(expected), frames[f], mark);
#pragma GCC diagnostic pop
            assert_string_equal(redact(text, DETECT_ALL), expected);
        }
    }
}

static void assert_untouched(const char *const *texts)
{
    for (; *texts; texts++)
        assert_string_equal(redact(*texts, DETECT_ALL), *texts);
}

static void finds_addresses_of_people(void **state)
{
    static const char *const texts[] = {
        "ann@example.com",
        "ANN.LEE+shop@mail.example.co.uk",
        "o'neill@example.ie",
        "ann (at) example.com",
        "ann [at] example [dot] com",
        "ann at example dot com",
        "ann @ example.com",
        "ann@[192.0.2.7]",
        "m\xc3\xbcller@m\xc3\xbcller.example",
        "ann@qq\xe3\x80\x82"
        "com",
        "\xef\xbd\x81\xef\xbd\x8e\xef\xbd\x8e\xef\xbc\xa0qq\xef\xbc\x8e"
        "com",
        "13812345678@qq.com",
        NULL};

    (void)state;
    assert_found("email", texts);
    assert_string_equal(redact("\"ann lee\"@example.com", DETECT_ALL),
                        "[email]");
    assert_string_equal(redact("a@b.co.", DETECT_ALL), "[email].");
    assert_string_equal(redact("mailto:ann@example.com?x", DETECT_ALL),
                        "mailto:[email]?x");
}

static void finds_phones_as_people_write_them(void **state)
{
    static const char *const texts[] = {
        "+1 (415) 555-2671",
        "(415) 555-2671",
        "415-555-2671",
        "415.555.2671",
        "1-800-555-0199",
        "+44 (0)20 7946 0958",
        "020 7946 0958",
        "07700900123",
        "+49 30 123456-78",
        "030/1234567",
        "0049 30 123456",
        "0151 23456789",
        "06 12 34 56 78",
        "06.12.34.56.78",
        "+33612345678",
        "13812345678",
        "138 1234 5678",
        "138-1234-5678",
        "+86 138\xc2\xa0"
        "1234\xc2\xa0"
        "5678",
        "(+86)13812345678",
        "86-13812345678",
        "1 3 8 1 2 3 4 5 6 7 8",
        "\xef\xbc\x91\xef\xbc\x93\xef\xbc\x98\xef\xbc\x91\xef\xbc\x92\xef\xbc"
        "\x93"
        "\xef\xbc\x94\xef\xbc\x95\xef\xbc\x96\xef\xbc\x97\xef\xbc\x98",
        "138\xe2\x80\x93"
        "1234\xe2\x80\x93"
        "5678",
        "010-62345678-8001",
        "+1-415-555-2671 ext. 12",
        "138\xe2\x80\x8b"
        "12345678",
        NULL};

    (void)state;
    assert_found("phone", texts);
    assert_string_equal(redact("Tel.: 555-0123", DETECT_ALL), "Tel.: [phone]");
    assert_string_equal(redact("tel13812345678", DETECT_ALL), "tel[phone]");
}

static void finds_numbers_with_a_checksum(void **state)
{
    static const char *const cards[] = {"4111 1111 1111 1111",
                                        "4111-1111-1111-1111",
                                        "5105105105105100",
                                        "3782 822463 10005",
                                        "30569309025904",
                                        "6222021234567890128",
                                        NULL};
    static const char *const ibans[] = {
        "DE89 3704 0044 0532 0130 00", "DE89370400440532013000",
        "gb29 nwbk 6016 1331 9268 19", "FR14 2004 1010 0505 0001 3M02 606",
        NULL};
    static const char *const ids[] = {"11010519491231002X",
                                      "11010519491231002x",
                                      "110105 19491231 002X", NULL};
    static const char *const others[] = {
        "4111 1111 1111 1112",    "5105105105105101", /* Luhn */
        "9111111111111111",       "41111111111111",   /* issuer, length */
        "DE88370400440532013000",                     /* mod 97 */
        "110105194912310021",     "11010519491331002X", NULL}; /* sum, month */

    (void)state;
    assert_found("card", cards);
    assert_found("iban", ibans);
    assert_found("national_id", ids);
    assert_untouched(others);
}

static void finds_addresses_of_the_internet(void **state)
{
    static const char *const texts[] = {
        "192.168.1.1",
        "192[.]168[.]1[.]1",
        "2001:db8::1",
        "fe80::1%eth0",
        "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
        "::ffff:192.0.2.128",
        NULL};
    static const char *const others[] = {
        "1.2.3.256", "1.2.3",       "1.2.3.4.5", "version 1.2.3.4",
        "v1.2.3.4",  "std::vector", "12:30:45",  "00:1b:44:11:3a:b7",
        "a::b",      NULL};

    (void)state;
    assert_found("ip", texts);
    assert_untouched(others);
}

static void finds_secrets(void **state)
{
    static const char *const tokens[] = {
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc123-_XYZ",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "AKIAIOSFODNN7EXAMPLE",
        "550e8400-e29b-41d4-a716-446655440000",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzP8aQLkEYz",
        NULL};
    static const char *const rows[][2] = {
        {"https://ann:s3cret@host/x", "https://[credential]@host/x"},
        {"https://h/?a=1&token=abc123&b=2",
         "https://h/?a=1&token=[secret]&b=2"},
        {"password=hunter2", "password=[secret]"},
        {"Passwort: geheim123, ja", "Passwort: [secret], ja"},
        {"{\"client_secret\": \"x y\"}", "{\"client_secret\": \"[secret]\"}"},
        {"my password is S3cret!", "my password is [secret]"},
        {"\xe5\xaf\x86\xe7\xa0\x81\xef\xbc\x9a"
         "abc123\xe3\x80\x82",
         "\xe5\xaf\x86\xe7\xa0\x81\xef\xbc\x9a[secret]\xe3\x80\x82"},
        {"Authorization: Bearer abc123", "Authorization: Bearer [secret]"},
    };
    static const char *const others[] = {"password must be long",
                                         "Passwort vergessen?",
                                         "password: required",
                                         "getElementByIdAndClassName",
                                         "womens-air-max-270-react-2024-xl",
                                         NULL};

    (void)state;
    assert_found("token", tokens);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_string_equal(redact(rows[i][0], DETECT_ALL), rows[i][1]);
    assert_untouched(others);
}

static void leaves_what_is_nobodys(void **state)
{
    static const char *const texts[] = {"order no. 123456789",
                                        "302-1234567-7654321",
                                        "ISBN 978-3-16-148410-0",
                                        "ISBN 3161484100",
                                        "1.234,50",
                                        "$12,345.00",
                                        "15.01.2024",
                                        "2024-01-15",
                                        "01/02/2024 10:30",
                                        "2026-11-20T10:03:27Z",
                                        "08.30 - 17.00",
                                        "1700000000",
                                        "10x20x30 cm",
                                        "3 x 250 ml",
                                        "#winter2026",
                                        "@ann_lee",
                                        "SKU-1234-ABC",
                                        "SKU13812345678",
                                        "EAN 4006381333931",
                                        "logo@2x.png",
                                        "100 200 300",
                                        "0.123456789",
                                        "50 %",
                                        NULL};

    (void)state;
    assert_untouched(texts);
}

static void finds_only_the_kinds_it_is_asked_for(void **state)
{
    static const char text[] = "ann@example.com 13812345678 192.0.2.7";

    (void)state;
    assert_string_equal(redact(text, 0), text);
    assert_string_equal(redact(text, 1u << DETECT_PHONE),
                        "ann@example.com [phone] 192.0.2.7");
    assert_string_equal(redact(text, 1u << DETECT_EMAIL | 1u << DETECT_IP),
                        "[email] 13812345678 [ip]");
    for (unsigned i = 0; i < DETECT_COUNT; i++)
        assert_int_equal(detect_of(span_text(detect_name((enum detect_kind)i))),
                         i);
    assert_int_equal(detect_of(span_text("name")), DETECT_COUNT);
}

static void cuts_between_characters_and_placeholders(void **state)
{
    static const char text[] = "\xc3\xa4\xc3\xb6 ann@example.com \xe6\x98\xaf";
    uint8_t out[64];

    (void)state;
    for (size_t max = 0; max < sizeof(out); max++) {
        size_t size = detect_redact(out, max, span_text(text), DETECT_ALL);

        assert_true(size <= max);
        assert_true(size == 0 || size == 2 || size == 4 || size == 5 ||
                    size == 12 || size == 13 || size == 16);
    }
    assert_int_equal(detect_redact(out, 64, span_text(text), DETECT_ALL), 16);
    /* what is cut off may leave what is one: the end is looked at again */
    assert_int_equal(
        detect_redact(out, 11, span_text("138123456789999"), DETECT_ALL), 7);
}

static void goes_on_where_it_stopped(void **state)
{
    static const char text[] = "a@example.com b@example.com,13812345678;x"
                               " 4111 1111 1111 1111 tel 5551234";
    struct detection whole[8], one;
    size_t count = detect(span_text(text), DETECT_ALL, whole, 8), at = 0;

    (void)state;
    assert_int_equal(count, 5);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(
            detect(span_of(text + at, strlen(text) - at), DETECT_ALL, &one, 1),
            1);
        assert_int_equal(at + one.start, whole[i].start);
        assert_int_equal(one.size, whole[i].size);
        assert_int_equal(one.kind, whole[i].kind);
        at += one.start + one.size;
    }
}

/* Pieces of identifiers and separators in any order: the properties hold. */
static void holds_its_properties_on_anything(void **state)
{
    static const char *const pieces[] = {"138",
                                         "1234",
                                         "5678",
                                         "+86",
                                         "(",
                                         ")",
                                         " ",
                                         "-",
                                         ".",
                                         "@",
                                         "a@b.co",
                                         "example.com",
                                         ":",
                                         "::",
                                         "/",
                                         "//",
                                         "token",
                                         "=",
                                         "password",
                                         "[email]",
                                         "[",
                                         "]",
                                         "DE89",
                                         "3704",
                                         "\xc2\xa0",
                                         "\xe3\x80\x80",
                                         "\xef\xbc\x91",
                                         "\xe6\x98\xaf",
                                         "\xc3\xa9",
                                         "0",
                                         "4111",
                                         "1111",
                                         "tel",
                                         "x",
                                         "\"",
                                         "\n",
                                         "192.168.1.1",
                                         "fe80",
                                         "eyJ",
                                         "Zk3",
                                         "\xe2\x80\x8b",
                                         "\xff",
                                         "&",
                                         "%"};
    const size_t many = sizeof(pieces) / sizeof(pieces[0]);
    uint64_t rng = 7;
    size_t total = 0;

    (void)state;
    for (unsigned round = 0; round < 100000; round++) {
        char text[200] = "";
        uint8_t out[2 * sizeof(text)];
        struct detection found[64];
        size_t end = 0, size, count;
        unsigned n = 1 + sample_below(&rng, 14);

        for (unsigned i = 0; i < n; i++)
            strcat(text, pieces[sample_below(&rng, (unsigned)many)]);
        count = detect(span_text(text), DETECT_ALL, found, 64);
        total += count;
        for (size_t i = 0; i < count; i++) {
            assert_true(found[i].size > 0 && found[i].start >= end);
            end = found[i].start + found[i].size;
            assert_true(end <= strlen(text));
        }
        memset(out, 0, sizeof(out));
        size = detect_redact(out, sizeof(out), span_text(text), DETECT_ALL);
        for (size_t i = size; i < sizeof(out); i++)
            assert_int_equal(out[i], 0); /* no rest of an earlier round */
        if (detect(span_of(out, size), DETECT_ALL, found, 1) != 0)
            fail_msg("%s -> %.*s", text, (int)size, (const char *)out);
    }
    assert_true(total > 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_addresses_of_people),
        cmocka_unit_test(finds_phones_as_people_write_them),
        cmocka_unit_test(finds_numbers_with_a_checksum),
        cmocka_unit_test(finds_addresses_of_the_internet),
        cmocka_unit_test(finds_secrets),
        cmocka_unit_test(leaves_what_is_nobodys),
        cmocka_unit_test(finds_only_the_kinds_it_is_asked_for),
        cmocka_unit_test(cuts_between_characters_and_placeholders),
        cmocka_unit_test(goes_on_where_it_stopped),
        cmocka_unit_test(holds_its_properties_on_anything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
