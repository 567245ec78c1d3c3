/* Tests of the search for leaks: every form of a canary at every place of a
 * window, digests by the RFCs' examples, and nothing in random bytes. */
#include "agent/policy_tool/leakscan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "agent/policy_tool/digest.h"

#define MIB ((size_t)1024 * 1024)

struct seen {
    unsigned count;
    struct leak last;
};

static void see(void *context, const struct leak *leak)
{
    struct seen *seen = context;

    seen->count++;
    seen->last = *leak;
}

/* Scans size bytes of `filler`, with a value at an offset. */
static struct seen scan(const struct canaries *c, uint32_t kinds,
                        const char *filler, size_t size, struct span value,
                        size_t at)
{
    struct seen seen = {0, {0, DETECT_COUNT, 0, NULL}};
    struct leakscan s = {c, kinds, see, &seen, 0};
    int fd = memfd_create("leakscan", 0);
    uint8_t *bytes = malloc(size);

    assert_non_null(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)filler[i % strlen(filler)];
    memcpy(bytes + at, value.data, value.size);
    assert_int_equal(write(fd, bytes, size), size);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(leakscan_fd(&s, fd), SOTTO_OK);
    assert_int_equal(s.bytes, size);
    close(fd);
    free(bytes);
    return seen;
}

static struct canaries *canary(const char *value)
{
    struct canaries *c;
    struct why why;

    assert_int_equal(canaries_make(&c), SOTTO_OK);
    assert_int_equal(canaries_add(c, span_text("another one"), &why), SOTTO_OK);
    assert_int_equal(canaries_add(c, span_text(value), &why), SOTTO_OK);
    return c;
}

static void digests_are_those_of_the_rfcs(void **state)
{
    static const struct {
        const char *text, *md5, *sha1;
    } rows[] = {
        {"", "d41d8cd98f00b204e9800998ecf8427e",
         "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {"abc", "900150983cd24fb0d6963f7d28e17f72",
         "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "8215ef0796a20bcaaae116d3876c664a",
         "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
        {"123456789012345678901234567890123456789012345678901234567890123456789"
         "01234567890",
         "57edf4a22be3c955ac49da2e2107b67a",
         "50abf5706a150990a08b2c5ea40fa0e585554732"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t digest[SHA1_SIZE];
        char hex[2 * SHA1_SIZE + 1];

        md5_of(digest, span_text(rows[i].text));
        sodium_bin2hex(hex, sizeof(hex), digest, MD5_SIZE);
        assert_string_equal(hex, rows[i].md5);
        sha1_of(digest, span_text(rows[i].text));
        sodium_bin2hex(hex, sizeof(hex), digest, SHA1_SIZE);
        assert_string_equal(hex, rows[i].sha1);
    }
}

/* What other tools make of "Canary+Zq7@example.com", by coreutils and
 * Python. */
static void finds_every_form_of_a_canary(void **state)
{
    static const char value[] = "Canary+Zq7@example.com";
    static const char *const rows[][2] = {
        {"Canary+Zq7@example.com", "as it is"},
        {"CANARY+zq7@EXAMPLE.com", "as it is"},
        {"Q2FuYXJ5K1pxN0BleGFtcGxlLmNvbQ==", "base64"},
        {"eENhbmFyeStacTdAZXhhbXBsZS5jb20=", "base64"}, /* x before */
        {"eHhDYW5hcnkrWnE3QGV4YW1wbGUuY29t", "base64"}, /* xx before */
        {"43616e6172792b5a7137406578616d706c652e636f6d", "hexadecimal"},
        {"43616E6172792B5A7137406578616D706C652E636F6D", "hexadecimal"},
        {"Canary%2BZq7%40example.com", "percent-encoding"},
        {"canary%2bzq7%40example.com", "percent-encoding"},
        {"fecdaa98cba31afd36bfca0d2c71608f", "MD5 in hexadecimal"},
        {"664575253AD7E805E27DD1E617D39CB3CE247C09", "SHA-1 in hexadecimal"},
        {"6e609200af324db18dba7a88e439613fe1b9a101ecd7b14e435a7ca0f727284e",
         "SHA-256 in hexadecimal"},
        {NULL, NULL},
    };
    struct canaries *c = canary(value);
    uint8_t wide[2 * sizeof(value)] = {0}, digest[64];
    struct seen seen;

    (void)state;
    for (size_t i = 0; rows[i][1]; i++) {
        seen = scan(c, 0, "\x01\x02", 5000, span_text(rows[i][0]), 700);
        assert_int_equal(seen.count, 1);
        assert_int_equal(seen.last.canary, 2);
        assert_in_range(seen.last.offset, 700, 703);
        assert_string_equal(seen.last.form, rows[i][1]);
    }
    for (unsigned big = 0; big < 2; big++) {
        memset(wide, 0, sizeof(wide));
        for (size_t i = 0; value[i]; i++)
            wide[2 * i + big] = (uint8_t)value[i];
        seen = scan(c, 0, "x", 5000, span_of(wide, 2 * strlen(value)), 700);
        assert_int_equal(seen.count, 1);
        assert_string_equal(seen.last.form, big ? "UTF-16BE" : "UTF-16LE");
    }
    md5_of(digest, span_text("canary+zq7@example.com"));
    seen = scan(c, 0, "x", 5000, span_of(digest, MD5_SIZE), 700);
    assert_string_equal(seen.last.form, "MD5");
    crypto_hash_sha256(digest, (const uint8_t *)value, strlen(value));
    seen = scan(c, 0, "x", 5000, span_of(digest, 32), 700);
    assert_string_equal(seen.last.form, "SHA-256");
    seen = scan(c, 0, "x", 5000, span_text("Canary+Zq8@example.com"), 700);
    assert_int_equal(seen.count, 0);
    canaries_free(c);
}

static void refuses_canaries_that_chance_finds(void **state)
{
    char longer[CANARY_SIZE_MAX + 2];
    struct canaries *c;
    struct why why;

    (void)state;
    memset(longer, 'a', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(canaries_make(&c), SOTTO_OK);
    assert_int_equal(canaries_add(c, span_text("12345"), &why), SOTTO_EINVAL);
    assert_non_null(strstr(why.text, "canary 1 has 5 bytes"));
    assert_int_equal(canaries_add(c, span_text(longer), &why), SOTTO_EINVAL);
    longer[CANARY_SIZE_MAX] = '\0';
    assert_int_equal(canaries_add(c, span_text(longer), &why), SOTTO_OK);
    canaries_free(c);
}

/* Wherever it lies, also across the ends of windows and of what one keeps for
 * the next, it is found once. */
static void finds_what_lies_across_windows(void **state)
{
    static const char value[] = "canary-4711@example.com";
    struct canaries *c = canary(value);

    (void)state;
    for (size_t step = 0; step < 26; step++) {
        size_t at = (step % 2 ? MIB : MIB - 8192) - 35 + (step / 2) * 5;
        struct seen seen =
            scan(c, 0, "no-space-at-all-", 2 * MIB + 99, span_text(value), at);

        assert_int_equal(seen.count, 1);
        assert_int_equal(seen.last.offset, at);
        seen = scan(NULL, 1u << DETECT_EMAIL, "lorem ipsum ", 2 * MIB + 99,
                    span_text(" a.lee@example.com "), at);
        assert_int_equal(seen.count, 1);
        assert_int_equal(seen.last.offset, at + 1);
    }
    canaries_free(c);
}

static void in_binary_bytes_takes_only_what_is_sure(void **state)
{
    static const char *const sure[] = {
        "ann.lee@example.com", "4111 1111 1111 1111", "DE89370400440532013000",
        "11010519491231002X", "https://ann:s3cret@host/"};
    static const char *const unsure[] = {"Ab@cd.eF   ",
                                         "ann@example.qqx",
                                         "13812345678",
                                         "192.168.100.100",
                                         "550e8400-e29b-41d4-a716-446655440000",
                                         "password=hunter2"};

    (void)state;
    for (size_t i = 0; i < sizeof(sure) / sizeof(sure[0]); i++)
        assert_int_equal(
            scan(NULL, DETECT_ALL, "\x01\xff", 3000, span_text(sure[i]), 1500)
                .count,
            1);
    for (size_t i = 0; i < sizeof(unsure) / sizeof(unsure[0]); i++)
        assert_int_equal(
            scan(NULL, DETECT_ALL, "\x01\xff", 3000, span_text(unsure[i]), 1500)
                .count,
            0);
    assert_int_equal(
        scan(NULL, DETECT_ALL, "plain ", 3000, span_text(unsure[2]), 1500)
            .count,
        1);
}

/* What is sealed is random bytes. */
static void finds_nothing_in_random_bytes(void **state)
{
    const unsigned char seed[randombytes_SEEDBYTES] = {42};
    struct canaries *c = canary("canary-4711@example.com");
    struct seen seen = {0, {0, DETECT_COUNT, 0, NULL}};
    struct leakscan s = {c, DETECT_ALL, see, &seen, 0};
    const size_t size = 64 * MIB;
    int fd = memfd_create("random", 0);
    uint8_t *bytes;

    (void)state;
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(bytes, MAP_FAILED);
    randombytes_buf_deterministic(bytes, size, seed);
    assert_int_equal(leakscan_fd(&s, fd), SOTTO_OK);
    assert_int_equal(seen.count, 0);
    memcpy(bytes + size / 2, "canary-4711@example.com", 23); /* and it hits */
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(leakscan_fd(&s, fd), SOTTO_OK);
    assert_in_range(seen.count, 1, 2); /* the canary, and the address it is */
    munmap(bytes, size);
    close(fd);
    canaries_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_those_of_the_rfcs),
        cmocka_unit_test(finds_every_form_of_a_canary),
        cmocka_unit_test(refuses_canaries_that_chance_finds),
        cmocka_unit_test(finds_what_lies_across_windows),
        cmocka_unit_test(in_binary_bytes_takes_only_what_is_sure),
        cmocka_unit_test(finds_nothing_in_random_bytes),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
