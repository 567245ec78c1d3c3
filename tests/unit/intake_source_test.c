/* The same bytes from every container, whole or refused. */
#include "agent/intake_source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <lzma.h>
#include <zlib.h>

#define PLAIN_SIZE 300000u
#define PACKED_MAX 400000u

static uint8_t plain[PLAIN_SIZE], packed[PACKED_MAX];

static int fill_plain(void **state)
{
    uint32_t x = 1;

    (void)state;
    for (size_t i = 0; i < PLAIN_SIZE; i++) {
        x = x * 1664525u + 1013904223u; /* Numerical Recipes */
        plain[i] = (uint8_t)("0123456789,\n"[(x >> 24) % 12]);
    }
    return 0;
}

/* One gzip member of bytes, into out. */
static size_t gzip(uint8_t *out, struct span bytes)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)bytes.data,
                  .avail_in = (uInt)bytes.size,
                  .next_out = out,
                  .avail_out = PACKED_MAX / 2};
    size_t size;

    assert_int_equal(
        deflateInit2(&z, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY),
        Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size = z.total_out;
    deflateEnd(&z);
    return size;
}

static size_t xz(uint8_t *out, struct span bytes)
{
    lzma_stream s = LZMA_STREAM_INIT;
    size_t size;

    assert_int_equal(lzma_easy_encoder(&s, 0, LZMA_CHECK_CRC64), LZMA_OK);
    s.next_in = bytes.data;
    s.avail_in = bytes.size;
    s.next_out = out;
    s.avail_out = PACKED_MAX / 2;
    assert_int_equal(lzma_code(&s, LZMA_FINISH), LZMA_STREAM_END);
    size = (size_t)s.total_out;
    lzma_end(&s);
    return size;
}

/* Reads all of s in turns of step bytes, compares with want, closes. */
static enum sotto_err drain(struct intake_source *s, struct span want,
                            size_t step, struct why *why)
{
    uint8_t out[4096];
    size_t size, at = 0;
    enum sotto_err err;

    while (!(err = intake_source_read(&size, s, out, step, why)) && size > 0) {
        assert_true(size <= step && size <= want.size - at);
        assert_memory_equal(out, want.data + at, size);
        at += size;
    }
    if (!err) {
        assert_int_equal(at, want.size);
        assert_int_equal(intake_source_position(s), intake_source_total(s));
        assert_int_equal(intake_source_read(&size, s, out, step, why), 0);
        assert_int_equal(size, 0);
    }
    intake_source_close(s);
    return err;
}

static enum sotto_err drain_bytes(struct span bytes, struct span want,
                                  size_t step, struct why *why)
{
    struct intake_source *s = NULL;
    enum sotto_err err = intake_source_open_bytes(&s, "a.csv", bytes, why);

    return err ? err : drain(s, want, step, why);
}

typedef size_t (*packer)(uint8_t *out, struct span bytes);
static const packer packers[] = {gzip, xz};

static void plain_gzip_and_xz_give_the_same_bytes(void **state)
{
    const struct span all = span_of(plain, PLAIN_SIZE);
    struct why why;

    (void)state;
    assert_int_equal(drain_bytes(all, all, 4096, &why), SOTTO_OK);
    for (size_t i = 0; i < 2; i++) {
        struct span file = span_of(packed, packers[i](packed, all));

        assert_int_equal(drain_bytes(file, all, 4096, &why), SOTTO_OK);
        assert_int_equal(drain_bytes(file, all, 7, &why), SOTTO_OK);
    }
}

static void reads_members_one_after_the_other(void **state)
{
    struct why why;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        size_t a = packers[i](packed, span_of(plain, 1000));
        size_t none = packers[i](packed + a, span_of("", 0));
        size_t b = packers[i](packed + a + none,
                              span_of(plain + 1000, PLAIN_SIZE - 1000));

        assert_int_equal(drain_bytes(span_of(packed, a + none + b),
                                     span_of(plain, PLAIN_SIZE), 4096, &why),
                         SOTTO_OK);
    }
}

static void an_empty_file_gives_nothing(void **state)
{
    struct why why;

    (void)state;
    assert_int_equal(drain_bytes(span_of("", 0), span_of("", 0), 1, &why),
                     SOTTO_OK);
}

static void a_file_cut_anywhere_is_an_error_that_names_it(void **state)
{
    struct why why;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        size_t size = packers[i](packed, span_of(plain, 500));

        for (size_t cut = 6; cut < size; cut++) {
            char place[64];

            assert_int_equal(drain_bytes(span_of(packed, cut),
                                         span_of(plain, 500), 64, &why),
                             SOTTO_EDECODE);
            snprintf(place, sizeof(place), "a.csv: byte %zu:", cut);
            assert_non_null(strstr(why.text, place));
            assert_non_null(strstr(why.text, "ends early"));
        }
    }
}

static void damage_and_what_follows_the_end_are_errors(void **state)
{
    struct why why;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        size_t size = packers[i](packed, span_of(plain, 500));

        packed[size - 6] ^= 0x10; /* in the checksum at the end */
        assert_int_equal(
            drain_bytes(span_of(packed, size), span_of(plain, 500), 64, &why),
            SOTTO_EDECODE);
        size = packers[i](packed, span_of(plain, 500));
        memcpy(packed + size, "more", 4);
        assert_int_equal(drain_bytes(span_of(packed, size + 4),
                                     span_of(plain, 500), 64, &why),
                         SOTTO_EDECODE);
    }
}

/* The header of the first block says how large the dictionary is (xz file
 * format 1.1.0, 3.1): say 4 GiB, and mend its checksum. */
static void an_xz_that_wants_gigabytes_is_refused(void **state)
{
    size_t size = xz(packed, span_of(plain, 500));
    uint8_t *block = packed + 12;
    size_t sum_at = (size_t)(block[0] + 1) * 4 - 4;
    uint32_t sum;
    struct why why;

    (void)state;
    assert_int_equal(block[1], 0);
    assert_int_equal(block[2], 0x21);
    block[4] = 40;
    sum = lzma_crc32(block, sum_at, 0);
    for (size_t i = 0; i < 4; i++)
        block[sum_at + i] = (uint8_t)(sum >> (8 * i));
    assert_int_equal(
        drain_bytes(span_of(packed, size), span_of(plain, 500), 64, &why),
        SOTTO_ETOOBIG);
    assert_non_null(strstr(why.text, "128 MiB"));
}

static void other_formats_are_refused_by_name(void **state)
{
    static const struct {
        const char *bytes;
        const char *says;
    } rows[] = {{"\x28\xb5\x2f\xfd....", "zstd"},
                {"PK\3\4....", "zip"},
                {"\xff\xfe"
                 "a.b.",
                 "UTF-16"}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct intake_source *s = NULL;
        struct why why;

        assert_int_equal(intake_source_open_bytes(
                             &s, "a.csv", span_text(rows[i].bytes), &why),
                         SOTTO_EDECODE);
        assert_non_null(strstr(why.text, rows[i].says));
    }
}

static void files_and_standard_input_are_read(void **state)
{
    const struct span all = span_of(plain, PLAIN_SIZE);
    char name[] = "/tmp/sotto_sourceXXXXXX";
    int fd = mkstemp(name), saved = dup(STDIN_FILENO);
    size_t size = gzip(packed, all);
    struct intake_source *s;
    struct why why;

    (void)state;
    assert_true(fd >= 0 && saved >= 0);
    assert_int_equal(write(fd, packed, size), size);
    assert_int_equal(intake_source_open(&s, name, &why), SOTTO_OK);
    assert_string_equal(intake_source_name(s), name);
    assert_int_equal(intake_source_total(s), size);
    assert_int_equal(drain(s, all, 4096, &why), SOTTO_OK);

    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
    assert_int_equal(intake_source_open(&s, "-", &why), SOTTO_OK);
    assert_int_equal(drain(s, all, 4096, &why), SOTTO_OK);
    assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
    close(saved);
    close(fd);
    unlink(name);
    assert_int_equal(intake_source_open(&s, name, &why), SOTTO_ENOTFOUND);
    assert_int_equal(intake_source_open(&s, "/", &why), SOTTO_EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_gzip_and_xz_give_the_same_bytes),
        cmocka_unit_test(reads_members_one_after_the_other),
        cmocka_unit_test(an_empty_file_gives_nothing),
        cmocka_unit_test(a_file_cut_anywhere_is_an_error_that_names_it),
        cmocka_unit_test(damage_and_what_follows_the_end_are_errors),
        cmocka_unit_test(an_xz_that_wants_gigabytes_is_refused),
        cmocka_unit_test(other_formats_are_refused_by_name),
        cmocka_unit_test(files_and_standard_input_are_read),
    };

    return cmocka_run_group_tests(tests, fill_plain, NULL);
}
