/* The bounded buffer, and files read and replaced. */
#include "base/buf.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    char dir[64];
    char path[96];
};

static int make_place(void **state)
{
    struct place *p = calloc(1, sizeof(*p));

    if (!p)
        return -1;
    snprintf(p->dir, sizeof(p->dir), "/tmp/sotto-buf-XXXXXX");
    if (!mkdtemp(p->dir))
        return -1;
    snprintf(p->path, sizeof(p->path), "%s/file", p->dir);
    *state = p;
    return 0;
}

static int drop_place(void **state)
{
    struct place *p = *state;

    unlink(p->path);
    rmdir(p->dir);
    free(p);
    return 0;
}

static int count_files(const char *dir)
{
    DIR *d = opendir(dir);
    int count = 0;

    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        count += e->d_name[0] != '.';
    closedir(d);
    return count;
}

static void grows_to_its_limit_and_not_beyond(void **state)
{
    struct buf b;
    uint8_t bytes[100];

    (void)state;
    memset(bytes, 7, sizeof(bytes));
    buf_init(&b, 250);
    assert_int_equal(buf_append(&b, bytes, 100), SOTTO_OK);
    assert_int_equal(buf_append(&b, bytes, 100), SOTTO_OK);
    assert_int_equal(buf_append(&b, bytes, 51), SOTTO_ETOOBIG);
    assert_int_equal(b.size, 200);
    assert_int_equal(buf_append(&b, bytes, 50), SOTTO_OK);
    assert_int_equal(b.size, 250);
    assert_true(b.capacity <= 250);
    assert_int_equal(buf_append(&b, bytes, 1), SOTTO_ETOOBIG);
    assert_int_equal(buf_reserve(&b, SIZE_MAX), SOTTO_ETOOBIG);
    for (size_t i = 0; i < b.size; i++)
        assert_int_equal(b.data[i], 7);
    buf_fini(&b);
    assert_null(b.data);
}

static void a_zeroed_struct_with_a_limit_is_empty_and_usable(void **state)
{
    struct buf b = {.max = 10};

    (void)state;
    assert_int_equal(buf_append(&b, NULL, 0), SOTTO_OK);
    assert_int_equal(buf_append(&b, "abc", 3), SOTTO_OK);
    buf_clear(&b);
    assert_int_equal(b.size, 0);
    assert_true(b.capacity >= 3);
    buf_wipe(&b);
    assert_int_equal(b.capacity, 0);
    assert_int_equal(b.max, 10);
}

static void holds_what_was_appended_in_pieces(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 1 << 20);
    for (uint32_t i = 0; i < 20000; i++) {
        uint8_t piece[7];

        for (size_t j = 0; j < sizeof(piece); j++)
            piece[j] = (uint8_t)(i * 7 + j);
        assert_int_equal(buf_append(&b, piece, sizeof(piece)), SOTTO_OK);
    }
    assert_int_equal(b.size, 140000);
    for (size_t i = 0; i < b.size; i++)
        assert_int_equal(b.data[i], (uint8_t)i);
    buf_fini(&b);
}

static void every_byte_of_a_span_counts(void **state)
{
    (void)state;
    for (size_t size = 0; size <= 40; size++) {
        uint8_t *a = calloc(1, size + 1), *b = calloc(1, size + 1);

        assert_non_null(a);
        assert_non_null(b);
        /* ending where the memory ends, so that reading on is seen */
        assert_true(span_equal(span_of(a + 1, size), span_of(b + 1, size)));
        for (size_t at = 0; at < size; at++) {
            b[1 + at] = 0x80;
            assert_false(
                span_equal(span_of(a + 1, size), span_of(b + 1, size)));
            b[1 + at] = 0;
        }
        free(a);
        free(b);
    }
}

static void spans_compare_by_content(void **state)
{
    (void)state;
    assert_true(span_equal(span_text("ab"), span_of("ab", 2)));
    assert_false(span_equal(span_text("ab"), span_text("abc")));
    assert_false(span_equal(span_text("ab"), span_text("ac")));
    assert_true(span_equal(span_of(NULL, 0), span_text("")));
}

static void reads_back_the_file_it_replaced(void **state)
{
    struct place *p = *state;
    struct buf b;
    struct stat st;

    buf_init(&b, 100);
    assert_int_equal(file_replace(p->path, "first", 5, 0600), SOTTO_OK);
    assert_int_equal(file_replace(p->path, "second", 6, 0640), SOTTO_OK);
    assert_int_equal(buf_append(&b, "old", 3), SOTTO_OK);
    assert_int_equal(buf_read_file(&b, p->path), SOTTO_OK);
    assert_true(span_equal(span_of(b.data, b.size), span_of("second", 6)));
    assert_int_equal(stat(p->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(count_files(p->dir), 1);
    assert_int_equal(file_replace(p->path, NULL, 0, 0600), SOTTO_OK);
    assert_int_equal(buf_read_file(&b, p->path), SOTTO_OK);
    assert_int_equal(b.size, 0);
    buf_fini(&b);
}

static void reads_a_file_of_the_limit_and_refuses_one_byte_more(void **state)
{
    struct place *p = *state;
    struct buf b;
    uint8_t bytes[301] = {0};

    buf_init(&b, 300);
    assert_int_equal(file_replace(p->path, bytes, 300, 0600), SOTTO_OK);
    assert_int_equal(buf_read_file(&b, p->path), SOTTO_OK);
    assert_int_equal(b.size, 300);
    assert_int_equal(file_replace(p->path, bytes, 301, 0600), SOTTO_OK);
    assert_int_equal(buf_read_file(&b, p->path), SOTTO_ETOOBIG);
    assert_int_equal(b.size, 0);
    buf_fini(&b);
}

/* st_size says 0 for these: the bytes themselves must meet the limit. */
static void a_file_without_a_size_meets_the_limit_too(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 1 << 20);
    assert_int_equal(buf_read_file(&b, "/proc/self/status"), SOTTO_OK);
    assert_true(b.size > 100);
    buf_fini(&b);
    buf_init(&b, 100);
    assert_int_equal(buf_read_file(&b, "/proc/self/status"), SOTTO_ETOOBIG);
    assert_int_equal(buf_read_file(&b, "/dev/zero"), SOTTO_ETOOBIG);
    buf_fini(&b);
}

static void tells_missing_files_from_broken_ones(void **state)
{
    struct place *p = *state;
    char path[128];
    struct buf b;

    buf_init(&b, 100);
    assert_int_equal(buf_read_file(&b, p->path), SOTTO_ENOTFOUND);
    assert_int_equal(buf_read_file(&b, p->dir), SOTTO_EIO);
    snprintf(path, sizeof(path), "%s/none/file", p->dir);
    assert_int_equal(file_replace(path, "x", 1, 0600), SOTTO_ENOTFOUND);
    /* A directory in the way: the temporary must not stay. */
    assert_int_equal(mkdir(p->path, 0700), 0);
    assert_int_equal(file_replace(p->path, "x", 1, 0600), SOTTO_EIO);
    assert_int_equal(count_files(p->dir), 1);
    rmdir(p->path);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_to_its_limit_and_not_beyond),
        cmocka_unit_test(a_zeroed_struct_with_a_limit_is_empty_and_usable),
        cmocka_unit_test(holds_what_was_appended_in_pieces),
        cmocka_unit_test(spans_compare_by_content),
        cmocka_unit_test(every_byte_of_a_span_counts),
        cmocka_unit_test_setup_teardown(reads_back_the_file_it_replaced,
                                        make_place, drop_place),
        cmocka_unit_test_setup_teardown(
            reads_a_file_of_the_limit_and_refuses_one_byte_more, make_place,
            drop_place),
        cmocka_unit_test(a_file_without_a_size_meets_the_limit_too),
        cmocka_unit_test_setup_teardown(tells_missing_files_from_broken_ones,
                                        make_place, drop_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
