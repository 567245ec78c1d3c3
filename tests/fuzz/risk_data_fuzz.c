/* risk_data: any bytes as a file whose last column is sensitive. What is
 * counted adds up, the same file gives the same report, and an error always
 * says something. */
#include "aggregator/risk_report.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

static json_int_t whole(const json_t *report, const char *name)
{
    return json_integer_value(json_object_get(report, name));
}

static void check(const json_t *report)
{
    json_int_t rows = whole(report, "rows"), unique = whole(report, "unique");
    json_int_t below = whole(report, "below_k");
    const json_t *s = json_object_get(report, "sensitive");
    double t = json_real_value(json_object_get(s, "closeness"));

    expect(rows > 0 && whole(report, "classes") <= rows);
    expect(unique <= below && below <= rows);
    expect(whole(report, "smallest") <= whole(report, "largest"));
    expect(unique == 0 || whole(report, "smallest") == 1);
    expect(whole(s, "distinct") >= 1 && t >= -1e-9 && t <= 1 + 1e-9);
}

static json_t *report_of(const char *path, bool header)
{
    struct risk_choice choice = {NULL, NULL};
    struct why why = {""};
    json_t *report = NULL;
    struct risk_data d;
    char name[5000] = "";
    enum sotto_err err;

    risk_data_init(&d);
    err = risk_read_csv(&d, path, header, &why);
    if (!err) {
        struct span last = risk_data_column(&d, d.column_count - 1);

        memcpy(name, last.data, last.size);
        choice.sensitive = name;
        err = risk_report(&report, &d, &choice, 5, path, &why);
    }
    expect(!err == !why.text[0] && !err == (report != NULL));
    risk_data_fini(&d);
    return report;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    int fd = memfd_create("risk_data", 0);

    expect(fd >= 0);
    expect(size == 0 || write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    for (int header = 0; header < 2; header++) {
        json_t *first = report_of(path, header), *second;

        second = report_of(path, header);
        expect(!first == !second);
        if (first) {
            check(first);
            expect(json_equal(first, second));
        }
        json_decref(first);
        json_decref(second);
    }
    close(fd);
    return 0;
}
