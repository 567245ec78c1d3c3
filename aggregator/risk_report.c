/* See risk_report.h. */
#include "aggregator/risk_report.h"

#include <stdio.h>

static json_t *sensitive_json(const struct risk_table *t,
                              const struct risk_classes *c, const char *column)
{
    if (!t->sensitive)
        return json_null();
    return json_pack("{s:s,s:s,s:I,s:f,s:f}", "column", column, "distance",
                     t->ordered ? "ordered" : "equal", "distinct",
                     (json_int_t)c->distinct, "entropy", c->entropy,
                     "closeness", c->closeness);
}

static json_t *quasi_json(const struct risk_data *d, const struct risk_table *t)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < t->column_count; i++)
        for (uint32_t c = 0; c < d->column_count; c++)
            if (d->columns[c].cells == t->columns[i]) {
                struct span name = risk_data_column(d, c);

                json_array_append_new(
                    list, json_stringn((const char *)name.data, name.size));
            }
    return list;
}

enum sotto_err risk_report(json_t **out, struct risk_data *d,
                           const struct risk_choice *choice, uint32_t k,
                           const char *source, struct why *why)
{
    struct risk_classes c;
    struct risk_table t;
    enum sotto_err err = risk_choose(&t, d, choice, why);

    if (err)
        return err;
    err = risk_classes(&c, &t, k);
    if (err)
        return why_say(why, err, "%s: %s", source, err_text(err));
    *out = json_pack("{s:s,s:I,s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "source",
                     source, "rows", (json_int_t)t.rows, "quasi_identifiers",
                     quasi_json(d, &t), "classes", (json_int_t)c.classes,
                     "unique", (json_int_t)c.unique, "k", (json_int_t)k,
                     "below_k", (json_int_t)c.below, "smallest",
                     (json_int_t)c.smallest, "largest", (json_int_t)c.largest,
                     "sensitive", sensitive_json(&t, &c, choice->sensitive));
    return *out ? SOTTO_OK
                : why_say(why, SOTTO_EINVAL,
                          "%s: the columns' names are not UTF-8; convert the "
                          "file",
                          source);
}

json_t *risk_report_unicity(const struct risk_unicity *u, uint32_t count)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(
            list,
            json_pack("{s:I,s:I,s:I,s:I,s:f,s:f,s:f}", "points",
                      (json_int_t)u[i].points, "eligible",
                      (json_int_t)u[i].eligible, "asked",
                      (json_int_t)u[i].asked, "unique", (json_int_t)u[i].unique,
                      "share", u[i].share, "low", u[i].low, "high", u[i].high));
    return list;
}

/* ---- for people ---- */

static long long whole(const json_t *object, const char *name)
{
    return (long long)json_integer_value(json_object_get(object, name));
}

static double real(const json_t *object, const char *name)
{
    return json_real_value(json_object_get(object, name));
}

static void print_rows(const json_t *report, const char *name, const char *key)
{
    long long rows = whole(report, "rows"), count = whole(report, key);

    printf("%-18s %lld, %.1f %% of the rows\n", name, count,
           rows ? 100.0 * (double)count / (double)rows : 0);
}

static void print_sensitive(const json_t *s)
{
    if (!json_is_object(s))
        return;
    printf("\nsensitive          %s, in the worst class\n",
           json_string_value(json_object_get(s, "column")));
    printf("  l-diversity      %lld different values; by entropy %.2f\n",
           whole(s, "distinct"), real(s, "entropy"));
    printf("  t-closeness      %.4f, %s distance\n", real(s, "closeness"),
           json_string_value(json_object_get(s, "distance")));
}

static void print_unicity(const json_t *list)
{
    const json_t *u;
    size_t i;

    if (json_array_size(list) == 0)
        return;
    printf(
        "\nunicity            points known of a subject (item, day), and the "
        "share whom they single out\n");
    json_array_foreach(list, i, u)
    {
        printf("  %2lld points        ", whole(u, "points"));
        if (whole(u, "asked") == 0)
            printf("nobody has so many\n");
        else
            printf("%5.1f %%, 95 %% sure of %.1f to %.1f (%lld of %lld "
                   "subjects)\n",
                   100 * real(u, "share"), 100 * real(u, "low"),
                   100 * real(u, "high"), whole(u, "asked"),
                   whole(u, "eligible"));
    }
}

void risk_report_print(const json_t *r)
{
    const json_t *name;
    char below[32];
    size_t i;

    printf("%-18s %s\n%-18s %lld\n%-18s", "source",
           json_string_value(json_object_get(r, "source")), "rows",
           whole(r, "rows"), "quasi-identifiers");
    json_array_foreach(json_object_get(r, "quasi_identifiers"), i, name)
        printf("%s%s", i ? ", " : " ", json_string_value(name));
    printf("\n%-18s %lld, of %lld to %lld rows\n", "classes",
           whole(r, "classes"), whole(r, "smallest"), whole(r, "largest"));
    snprintf(below, sizeof below, "k < %lld", whole(r, "k"));
    print_rows(r, "unique", "unique");
    print_rows(r, below, "below_k");
    print_sensitive(json_object_get(r, "sensitive"));
    print_unicity(json_object_get(r, "unicity"));
}
