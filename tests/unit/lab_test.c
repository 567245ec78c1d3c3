/* The laboratory's reader: good files in every dress, and bad ones, each
 * with the line it is bad in. */
#include "aggregator/lab_csv.h"
#include "aggregator/lab_data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/model.h"

struct file {
    char path[64];
};

static void file_make(struct file *f, const void *bytes, size_t size)
{
    int fd;

    strcpy(f->path, "/tmp/sotto_lab_XXXXXX");
    fd = mkstemp(f->path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}

/* What the rows said, one after the other: user|item|value|day; */
struct seen {
    char text[512];
    uint64_t count;
};

static enum sotto_err see(void *context, const struct lab_row *row)
{
    struct seen *s = context;
    size_t used = strlen(s->text);

    s->count++;
    snprintf(s->text + used, sizeof s->text - used, "%.*s|%.*s|%g|%d;",
             (int)row->user.size, (const char *)row->user.data,
             (int)row->item.size, (const char *)row->item.data,
             (double)row->value, row->day);
    return SOTTO_OK;
}

static enum sotto_err read_bytes(const void *bytes, size_t size,
                                 uint64_t rows_max, struct seen *seen,
                                 char line[16], struct why *why)
{
    struct file f;
    enum sotto_err err;
    char *colon;

    file_make(&f, bytes, size);
    *seen = (struct seen){0};
    *why = (struct why){""};
    err = lab_csv_read(f.path, rows_max, see, seen, why);
    line[0] = 0;
    colon = strchr(why->text, ':');
    if (colon)
        snprintf(line, 16, "%.*s", (int)strcspn(colon + 1, ":"), colon + 1);
    unlink(f.path);
    return err;
}

static void reads_files_in_every_dress(void **state)
{
    static const struct {
        const char *text, *rows;
    } good[] = {
        {"a,x\nb,y\n", "a|x|1|0;b|y|1|0;"},
        {"a,x\nb,y", "a|x|1|0;b|y|1|0;"},
        {"a,x\r\nb,y\r\n", "a|x|1|0;b|y|1|0;"},
        {"user,item\na,x\n", "a|x|1|0;"},
        {"\xef\xbb\xbfuser,item\na,x\n", "a|x|1|0;"},
        {"Item,USER\nx,a\n", "a|x|1|0;"},
        {"time,item,colour,user,value\n1970-01-03,x,,a,2.5\n", "a|x|2.5|2;"},
        {"a,x,3\n", "a|x|3|0;"},
        {"a,x,-1e1,86400\n", "a|x|-10|1;"},
        {"a,x,1,1970-01-02T23:59:59Z\n", "a|x|1|1;"},
        {"\"a,1\",\"say \"\"x\"\"\"\n", "a,1|say \"x\"|1|0;"},
        {"\"a\nb\",x\r\n", "a\nb|x|1|0;"},
        {"\n\na,x\n\nb,y\n\n", "a|x|1|0;b|y|1|0;"},
        {"user,x\n", "user|x|1|0;"}, /* one name alone is data */
    };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct seen seen;
        struct why why;
        char line[16];

        assert_int_equal(read_bytes(good[i].text, strlen(good[i].text), 100,
                                    &seen, line, &why),
                         SOTTO_OK);
        assert_string_equal(seen.text, good[i].rows);
    }
}

static void says_which_line_is_bad(void **state)
{
    static const struct {
        const char *text, *line, *what;
    } bad[] = {
        {"", "1", "no rows"},
        {"\n\n", "3", "no rows"},
        {"user,item\n", "2", "no rows"},
        {"a,x\nb\n", "2", "1 fields"},
        {"a,x\nb,y,1\n", "2", "3 fields"},
        {"a\n", "1", "two to four"},
        {"a,b,1,2,3\n", "1", "two to four"},
        {"a,x\n,y\n", "2", "user is empty"},
        {"a,x\nb,\n", "2", "item is empty"},
        {"a,x\nb,\"\"\n", "2", "item is empty"},
        {"a,x,1\nb,y,\n", "2", "value is empty"},
        {"user,item,time\na,x,\n", "2", "time is empty"},
        {"a,x,one\n", "1", "not a number"},
        {"a,x,1x\n", "1", "not a number"},
        {"a,x,1-2\n", "1", "not a number"},
        {"a,x,nan\n", "1", "not a number"},
        {"a,x,inf\n", "1", "not a number"},
        {"a,x,1e99\n", "1", "not a number"},
        {"a,x,0x10\n", "1", "not a number"},
        {"a,x,1,yesterday\n", "1", "time is not one"},
        {"a,x,1,-5\n", "1", "time is not one"},
        {"a,x,1,99999999999999\n", "1", "time is not one"},
        {"a,x\n\"b,y\n", "2", "not closed"},
        {"a,x\n\"b\"c,y\n", "2", "quote inside"},
        {"a,x\nb\"c\",y\n", "2", "quote inside"},
        {"a,x\rb,y\n", "1", "control character"},
        {"\"a\n\n\",x\nb\n", "4", "1 fields"}, /* lines, not records */
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct seen seen;
        struct why why;
        char line[16];

        assert_int_equal(read_bytes(bad[i].text, strlen(bad[i].text), 100,
                                    &seen, line, &why),
                         SOTTO_EINVAL);
        assert_string_equal(line, bad[i].line);
        assert_non_null(strstr(why.text, bad[i].what));
        assert_non_null(strstr(why.text, "; ")); /* and what to do */
    }
}

static void refuses_bytes_that_are_not_text(void **state)
{
    static const char zip[] = "\x1f\x8b\x08\x00\x00\x00\x00\x00,x\n";
    char *wide = malloc(70000);
    char many[200] = "a";
    struct seen seen;
    struct why why;
    char line[16];

    (void)state;
    assert_non_null(wide);
    assert_int_equal(read_bytes(zip, sizeof zip - 1, 100, &seen, line, &why),
                     SOTTO_EINVAL);
    assert_int_equal(read_bytes("a,\"\0\"\n", 6, 100, &seen, line, &why),
                     SOTTO_EINVAL);
    memset(wide, 'a', 70000);
    assert_int_equal(read_bytes(wide, 70000, 100, &seen, line, &why),
                     SOTTO_EINVAL);
    assert_non_null(strstr(why.text, "64 KiB"));
    for (int i = 0; i < 70; i++)
        strcat(many, ",b");
    assert_int_equal(read_bytes(many, strlen(many), 100, &seen, line, &why),
                     SOTTO_EINVAL);
    assert_non_null(strstr(why.text, "64 fields"));
    free(wide);
}

static void refuses_more_rows_than_allowed(void **state)
{
    const char *text = "user,item\na,x\nb,y\nc,z\n";
    struct seen seen;
    struct why why;
    char line[16];

    (void)state;
    assert_int_equal(read_bytes(text, strlen(text), 3, &seen, line, &why),
                     SOTTO_OK);
    assert_int_equal(read_bytes(text, strlen(text), 2, &seen, line, &why),
                     SOTTO_ETOOBIG);
    assert_string_equal(line, "4");
    assert_int_equal(seen.count, 2);
}

static void names_a_file_that_is_not_there(void **state)
{
    struct seen seen = {0};
    struct why why = {""};

    (void)state;
    assert_int_equal(lab_csv_read("/nowhere/at/all.csv", 1, see, &seen, &why),
                     SOTTO_ENOTFOUND);
    assert_non_null(strstr(why.text, "/nowhere/at/all.csv"));
    assert_int_equal(lab_csv_read("/tmp", 1, see, &seen, &why), SOTTO_EIO);
}

/* Random bytes of the format's own alphabet: any answer, no accident, and an
 * error always says something. */
static void survives_any_bytes(void **state)
{
    static const char alphabet[] = "ab,,\"\"\n\n\r1.-useritem";
    uint64_t random = 18;

    (void)state;
    for (int round = 0; round < 3000; round++) {
        char bytes[40];
        size_t size = next_random(&random) % sizeof bytes;
        struct seen seen;
        struct why why;
        char line[16];

        for (size_t i = 0; i < size; i++)
            bytes[i] = alphabet[next_random(&random) % sizeof alphabet];
        if (read_bytes(bytes, size, 10, &seen, line, &why))
            assert_true(why.text[0] != 0);
        else
            assert_true(seen.count > 0);
    }
}

/* What is written is read again. */
static void writes_fields_that_read_back(void **state)
{
    static const char *const fields[] = {"a",    "a,b",   "\"", "a\nb",
                                         "a\"b", " a b ", "\r", ",\"\n\""};

    (void)state;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        struct seen seen;
        struct why why;
        char line[16], *text = NULL, expected[64];
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);

        assert_non_null(out);
        lab_csv_field(out, span_text(fields[i]));
        fputs(",x\n", out);
        fclose(out);
        assert_int_equal(read_bytes(text, size, 10, &seen, line, &why),
                         SOTTO_OK);
        snprintf(expected, sizeof expected, "%s|x|1|0;", fields[i]);
        assert_string_equal(seen.text, expected);
        free(text);
    }
}

static void numbers_users_and_items_once(void **state)
{
    struct file train, history, truth, pairs;
    struct lab_training t;
    struct lab_holdout h;
    struct lab_files files = {
        .history = history.path, .truth = truth.path, .candidates = pairs.path};
    struct why why;

    (void)state;
    file_make(&train, "a,x,1\na,y,1\nb,x,0\nb,y,2\na,x,3\n", 31 - 1);
    file_make(&history, "c,y\nc,new\nd,x\n", 14);
    file_make(&truth, "d,new\nd,y\ne,y\n", 14);
    file_make(&pairs, "f,x\nc,other\n", 12);
    assert_int_equal(lab_read_training(&t, train.path, &why), SOTTO_OK);
    assert_int_equal(t.rows, 5);
    assert_int_equal(t.ignored, 1);
    assert_int_equal(t.x.rows, 2);
    assert_int_equal(t.x.columns, 2);
    assert_int_equal(matrix_count(&t.x), 3);
    assert_near(t.x.values[0], 3, 0);
    assert_int_equal(lab_read_holdout(&h, &t, &files, &why), SOTTO_OK);
    assert_int_equal(h.history_users, 2);
    assert_int_equal(h.users.count, 4);
    assert_int_equal(h.unknown, 1);
    assert_int_equal(h.data.history.rows, 4);
    assert_int_equal(matrix_count(&h.data.history), 2);
    assert_int_equal(h.data.truth.starts[2] - h.data.truth.starts[1], 2);
    assert_int_equal(h.pair_count, 2);
    assert_int_equal(h.pairs[0].user, 3);
    assert_int_equal(h.pairs[0].item, 0);
    assert_true(h.pairs[1].item >= t.x.columns);
    lab_holdout_fini(&h);
    files.truth = files.candidates = NULL; /* "new" has a number by now */
    assert_int_equal(lab_read_holdout(&h, &t, &files, &why), SOTTO_OK);
    assert_int_equal(h.unknown, 1);
    assert_int_equal(matrix_count(&h.data.truth), 0);
    lab_holdout_fini(&h);
    lab_training_fini(&t);
    unlink(train.path);
    unlink(history.path);
    unlink(truth.path);
    unlink(pairs.path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_files_in_every_dress),
        cmocka_unit_test(says_which_line_is_bad),
        cmocka_unit_test(refuses_bytes_that_are_not_text),
        cmocka_unit_test(refuses_more_rows_than_allowed),
        cmocka_unit_test(names_a_file_that_is_not_there),
        cmocka_unit_test(survives_any_bytes),
        cmocka_unit_test(writes_fields_that_read_back),
        cmocka_unit_test(numbers_users_and_items_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
