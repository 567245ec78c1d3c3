/* See desk.h. */
#include "aggregator/desk.h"

#include <stdio.h>

#include "aggregator/risk_report.h"

static int risk_of_file(const struct tool *tool, const struct desk_risk *asked)
{
    const struct risk_choice choice = {asked->qi, asked->sensitive};
    struct why why = {""};
    json_t *report = NULL;
    struct risk_data d;
    enum sotto_err err;

    risk_data_init(&d);
    err = risk_read_csv(&d, asked->csv, !asked->no_header, &why);
    if (!err)
        err = risk_report(&report, &d, &choice, (uint32_t)asked->k, asked->csv,
                          &why);
    risk_data_fini(&d);
    if (err)
        return tool_complain(tool, err, why.text);
    if (tool->as_json) {
        json_dumpf(report, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        risk_report_print(report);
    }
    json_decref(report);
    return EXIT_GOOD;
}

int desk_risk(const struct tool *tool, const struct desk_risk *asked)
{
    json_t *args;

    if (asked->csv)
        return risk_of_file(tool, asked);
    if (asked->no_header)
        return tool_complain(tool, SOTTO_EINVAL,
                             "--no-header is for a file; name it with --csv");
    args =
        json_pack("{s:I,s:I,s:I,s:I}", "k", (json_int_t)asked->k, "points",
                  (json_int_t)asked->points, "sample",
                  (json_int_t)asked->sample, "seed", (json_int_t)asked->seed);
    if (asked->qi)
        json_object_set_new(args, "qi", json_string(asked->qi));
    if (asked->sensitive)
        json_object_set_new(args, "sensitive", json_string(asked->sensitive));
    return tool_verb(tool, "risk", args, risk_report_print);
}
