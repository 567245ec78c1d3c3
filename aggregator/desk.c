/* See desk.h. */
#include "aggregator/desk.h"

#include <math.h>
#include <stdio.h>

#include "aggregator/risk_report.h"
#include "base/when.h"

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

/* ---- released counts ---- */

static void print_release(const json_t *r)
{
    const json_t *one;
    size_t i;

    printf("%s\n", text_at(r, "label"));
    printf("request        %s\n", text_at(r, "request"));
    printf("subjects by    %s, each in at most %lld; noise of standard "
           "deviation %.1f\n",
           text_at(r, "by"), int_at(r, "cells_max"),
           sqrt(real_at(r, "sigma2")));
    printf("shown          counts from %lld on%s\n\n", int_at(r, "shown_from"),
           json_array_size(json_object_get(r, "counts")) ? ""
                                                         : "; none reached it");
    json_array_foreach(json_object_get(r, "counts"), i, one)
        printf("%-36s %10lld\n", text_at(one, "cell"), int_at(one, "count"));
}

int desk_release_count(const struct tool *tool,
                       const struct desk_release *asked)
{
    int64_t rho;
    json_t *args;

    if (money_parse(&rho, span_text(asked->rho)) || rho < 1 ||
        rho > LEDGER_RHO_MAX)
        return tool_complain(tool, SOTTO_EINVAL,
                             "--rho needs a number above 0 and at most 1000, "
                             "such as 0.01, with at most six digits after the "
                             "point");
    args = json_pack("{s:s,s:I,s:I}", "by", asked->by, "rho", (json_int_t)rho,
                     "min_k", (json_int_t)asked->min_k);
    if (asked->cells > 0)
        json_object_set_new(args, "cells", json_integer(asked->cells));
    if (asked->request)
        json_object_set_new(args, "request", json_string(asked->request));
    return tool_verb(tool, "release count", args, print_release);
}

static void print_ledger(const json_t *l)
{
    const json_t *one;
    char charged[32];
    size_t i;

    printf("budget         rho %s, of which %s is spent and %s left\n",
           text_at(l, "rho_budget"), text_at(l, "rho_spent"),
           text_at(l, "rho_left"));
    printf("spent is       epsilon %.4f at delta %.3g (%.4f by the simple "
           "bound); all of it would be %.4f\n",
           real_at(l, "epsilon_spent"), real_at(l, "delta"),
           real_at(l, "epsilon_spent_simple"), real_at(l, "epsilon_budget"));
    if (json_array_size(json_object_get(l, "releases")) == 0)
        printf("\nnothing was released\n");
    else
        printf("\n%-24s %-26s %10s  %s\n", "charged", "request", "rho",
               "question");
    json_array_foreach(json_object_get(l, "releases"), i, one)
    {
        when_format(charged, int_at(one, "charged_ms"));
        printf("%-24s %-26s %10s  %s%s\n", charged, text_at(one, "request"),
               text_at(one, "rho"), text_at(one, "question"),
               true_at(one, "answered") ? "" : "; no answer yet: ask it again");
    }
}

int desk_ledger(const struct tool *tool)
{
    return tool_verb(tool, "ledger", json_object(), print_ledger);
}
