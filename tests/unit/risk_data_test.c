/* Tables for risk: what of a CSV file is a value, and which columns count. */
#include "aggregator/risk_report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/model.h"

struct table_file {
    char path[32];
};

static int setup(void **state)
{
    static struct table_file f;
    int fd;

    strcpy(f.path, "/tmp/sotto-risk-XXXXXX");
    fd = mkstemp(f.path);
    *state = &f;
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    return unlink(((struct table_file *)*state)->path);
}

static enum sotto_err report(struct table_file *f, const char *text,
                             bool header, struct risk_choice choice,
                             json_t **out, struct why *why)
{
    FILE *file = fopen(f->path, "wb");
    struct risk_data d;
    enum sotto_err err;

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    *out = NULL;
    risk_data_init(&d);
    err = risk_read_csv(&d, f->path, header, why);
    if (!err)
        err = risk_report(out, &d, &choice, 5, f->path, why);
    risk_data_fini(&d);
    return err;
}

static json_int_t whole(const json_t *r, const char *name)
{
    return json_integer_value(json_object_get(r, name));
}

static const char adult[] = "age, work, sex, pay\n"
                            "39, State-gov, Male, <=50K\n"
                            "39,State-gov,Male,>50K\n"
                            "39, ?, Male, <=50K\n"
                            "39, , Male , <=50K\n"
                            "\n"
                            "39.0, ?, Male, <=50K\r\n";

static void
blanks_are_no_part_of_a_value_and_a_question_mark_is_one(void **state)
{
    struct risk_choice choice = {"age,work,sex", NULL};
    struct why why = {""};
    json_t *r;

    assert_int_equal(report(*state, adult, true, choice, &r, &why), SOTTO_OK);
    assert_int_equal(whole(r, "rows"), 5);
    assert_int_equal(whole(r, "classes"), 4); /* 39 and 39.0 differ */
    assert_int_equal(whole(r, "unique"), 3);
    assert_int_equal(whole(r, "below_k"), 5);
    assert_int_equal(whole(r, "smallest"), 1);
    assert_int_equal(whole(r, "largest"), 2);
    assert_true(json_is_null(json_object_get(r, "sensitive")));
    json_decref(r);
}

static void takes_all_columns_but_the_sensitive_one(void **state)
{
    struct risk_choice choice = {NULL, "PAY"};
    struct why why = {""};
    json_t *r, *s;

    assert_int_equal(report(*state, adult, true, choice, &r, &why), SOTTO_OK);
    assert_int_equal(json_array_size(json_object_get(r, "quasi_identifiers")),
                     3);
    s = json_object_get(r, "sensitive");
    assert_string_equal(json_string_value(json_object_get(s, "distance")),
                        "equal");
    assert_int_equal(whole(s, "distinct"), 1);
    json_decref(r);
}

static void without_a_header_columns_are_numbers(void **state)
{
    struct risk_choice choice = {"1, 3", "2"};
    struct why why = {""};
    json_t *r, *s;

    assert_int_equal(report(*state, "39,10,x\n39,1e1,x\n40,9.5,x\n", false,
                            choice, &r, &why),
                     SOTTO_OK);
    assert_int_equal(whole(r, "rows"), 3);
    assert_int_equal(whole(r, "classes"), 2);
    s = json_object_get(r, "sensitive");
    assert_string_equal(json_string_value(json_object_get(s, "distance")),
                        "ordered");
    assert_int_equal(whole(s, "distinct"), 1); /* 10 is 1e1 */
    assert_near(json_real_value(json_object_get(s, "closeness")), 2 / 3.0,
                1e-12);
    json_decref(r);
}

static void refuses_what_would_be_counted_wrongly(void **state)
{
    static const struct {
        const char *text;
        bool header;
        struct risk_choice choice;
        const char *says;
    } cases[] = {
        {"a,b\n1,2\n1\n", true, {NULL, NULL}, ":3: 1 fields"},
        {"a,b\n1,2\n\n1,2,3\n", true, {NULL, NULL}, ":4: 3 fields"},
        {"39,x\n40,y\n", true, {NULL, NULL}, ":1: a name is missing"},
        {"a,\n40,y\n", true, {NULL, NULL}, "--no-header"},
        {"a,A\n40,y\n", true, {NULL, NULL}, ":1: two columns"},
        {"a,b\n", true, {NULL, NULL}, "no rows"},
        {"", false, {NULL, NULL}, "no rows"},
        {"age,b\n1,2\n", true, {"aeg", NULL}, "did you mean \"age\""},
        {"age,b\n1,2\n", true, {"b,,b", NULL}, "no column"},
        {"age,b\n1,2\n", true, {"b,b", NULL}, "named twice"},
        {"age,b\n1,2\n", true, {"b,age", "age"}, "both sensitive"},
        {"age,b\n1,2\n", true, {NULL, "c"}, "no column"},
        {"age\n1\n", true, {NULL, "age"}, "no quasi-identifier"},
        {"age\n\"1\n", true, {NULL, NULL}, "not closed"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct why why = {""};
        json_t *r;

        assert_int_equal(report(*state, cases[i].text, cases[i].header,
                                cases[i].choice, &r, &why),
                         SOTTO_EINVAL);
        assert_null(r);
        if (!strstr(why.text, cases[i].says))
            fail_msg("case %zu says: %s", i, why.text);
    }
}

/* A file against the numbers it was written from. */
static void reads_what_was_written(void **state)
{
    enum { ROWS = 2500 };
    static uint32_t cells[2][ROWS];
    const struct risk_table t = {
        .rows = ROWS, .column_count = 2, .columns = {cells[0], cells[1]}};
    struct risk_choice choice = {"b,c", NULL};
    struct risk_classes expected;
    static char text[ROWS * 32];
    struct why why = {""};
    uint64_t random = 5;
    size_t used = (size_t)sprintf(text, "b,row,c\n");
    json_t *r;

    for (uint32_t i = 0; i < ROWS; i++) {
        cells[0][i] = (uint32_t)(next_random(&random) % 40);
        cells[1][i] = (uint32_t)(next_random(&random) % 40);
        used += (size_t)sprintf(text + used, "v%u, %u, \tw %u\n", cells[0][i],
                                i, cells[1][i]);
    }
    assert_int_equal(report(*state, text, true, choice, &r, &why), SOTTO_OK);
    assert_int_equal(risk_classes(&expected, &t, 5), SOTTO_OK);
    assert_int_equal(whole(r, "classes"), expected.classes);
    assert_int_equal(whole(r, "unique"), expected.unique);
    assert_int_equal(whole(r, "below_k"), expected.below);
    json_decref(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            blanks_are_no_part_of_a_value_and_a_question_mark_is_one, setup,
            teardown),
        cmocka_unit_test_setup_teardown(takes_all_columns_but_the_sensitive_one,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_header_columns_are_numbers,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_what_would_be_counted_wrongly,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(reads_what_was_written, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
