/* See subject_tool.h. A JSON answer is one object, written as its pages come:
 * {"subject": …, "state": …, …, "events": [event, event, …]}. */
#include "aggregator/subject_tool.h"

#include <stdio.h>
#include <string.h>

#include "base/when.h"

/* ---- access ---- */

/* tool_pages tells a page nothing else. */
static struct {
    bool as_json, begun, found;
    unsigned long long events;
} shown;

static void print_time(const char *label, long long ms)
{
    char text[32];

    when_format(text, ms);
    printf("%-14s %s\n", label, text);
}

static void begin_json(const json_t *page)
{
    const char *name;
    const json_t *value;

    printf("{\n");
    json_object_foreach((json_t *)(uintptr_t)page, name, value)
    {
        if (strcmp(name, "events") == 0 || strcmp(name, "next") == 0)
            continue;
        printf("\"%s\": ", name);
        json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_COMPACT);
        printf(",\n");
    }
    printf("\"events\": [");
}

static void begin_text(const json_t *page)
{
    const json_t *list, *profile = json_object_get(page, "profile");
    size_t i;

    printf("%-14s %s\n%-14s %s\n", "subject", text_at(page, "subject"), "state",
           text_at(page, "state"));
    if (*text_at(page, "receipt")) {
        print_time("erased", int_at(page, "erased_ms"));
        printf("%-14s %s\n", "receipt", text_at(page, "receipt"));
    }
    if (json_is_object(profile))
        printf("%-14s %s, %s, %lld orders\n", "profile",
               text_at(profile, "segment"), text_at(profile, "lifecycle"),
               int_at(profile, "orders"));
    if (json_object_get(page, "interactions"))
        printf("%-14s %zu items\n", "interactions",
               json_array_size(json_object_get(page, "interactions")));
    json_array_foreach(json_object_get(page, "lists"), i, list) printf(
        "%-14s for agent %lld, %zu items\n", "list", int_at(list, "agent"),
        json_array_size(json_object_get(list, "items")));
}

static void print_event(const json_t *event)
{
    const json_t *field, *value;
    char time[32];
    size_t i;

    when_format(time, int_at(event, "time_ms"));
    printf("\n%s  %s (%s version %lld)\n", time, text_at(event, "event"),
           text_at(event, "policy"), int_at(event, "policy_version"));
    json_array_foreach(json_object_get(event, "fields"), i, field)
    {
        value = json_object_get(field, "value");
        printf("  %-14s ", text_at(field, "field"));
        json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_COMPACT);
        printf("  %s %s, %s, for %s\n", text_at(field, "role"),
               text_at(field, "type"), text_at(field, "action"),
               text_at(field, "purpose"));
    }
}

static void show_event(const json_t *event)
{
    if (!shown.as_json) {
        print_event(event);
    } else {
        printf(shown.events ? ",\n" : "\n");
        json_dumpf(event, stdout, JSON_COMPACT);
    }
    shown.events++;
}

static bool access_page(const json_t *page, json_t *args)
{
    const json_t *event, *next = json_object_get(page, "next");
    size_t i;

    if (!shown.begun) {
        shown.begun = true;
        shown.found = strcmp(text_at(page, "state"), "unknown") != 0;
        (shown.as_json ? begin_json : begin_text)(page);
    }
    json_array_foreach(json_object_get(page, "events"), i, event)
        show_event(event);
    if (next)
        json_object_set_new(args, "after",
                            json_integer(json_integer_value(next)));
    return next != NULL;
}

int subject_access(struct tool *t, const char *subject)
{
    int code;

    memset(&shown, 0, sizeof shown);
    shown.as_json = t->as_json;
    code = tool_pages(t, "access",
                      json_pack("{s:s,s:i}", "subject", subject, "after", 0),
                      access_page);
    if (code != EXIT_GOOD || !shown.begun)
        return code;
    if (shown.as_json)
        printf("\n]\n}\n");
    else
        printf("\n%llu events\n", shown.events);
    return shown.found || shown.events ? EXIT_GOOD : EXIT_FINDINGS;
}

/* ---- erase ---- */

static void print_receipt(const json_t *signed_receipt)
{
    const json_t *r = json_object_get(signed_receipt, "receipt"), *agent;
    size_t i;

    printf("receipt        %s\n", text_at(r, "id"));
    print_time("erased", int_at(r, "erased_ms"));
    if (int_at(r, "done_ms"))
        print_time("removed", int_at(r, "done_ms"));
    else
        printf("%-14s %s\n", "removed", "not yet");
    printf("%-14s %lld events of %lld batches\n", "from the log",
           int_at(r, "events"), int_at(r, "batches"));
    json_array_foreach(json_object_get(r, "agents"), i, agent)
        printf("%-14s %s: %s\n", "lists", text_at(agent, "name"),
               text_at(agent, "state"));
    printf("%-14s %s\n", "model",
           true_at(r, "model_refitted") ? "not trained with it"
                                        : "trained with it: run `train`");
    printf("%-14s %s\n", "signature", text_at(signed_receipt, "signature"));
}

static void print_receipts(const json_t *list)
{
    const json_t *one;
    size_t i;

    json_array_foreach(list, i, one)
    {
        if (i)
            putchar('\n');
        print_receipt(one);
    }
}

int subject_erase(struct tool *t, const char *receipt, int count,
                  const char *const *subjects)
{
    json_t *list;

    if (receipt && count == 0)
        return tool_verb(t, "receipt", json_pack("{s:s}", "id", receipt),
                         print_receipt);
    if (receipt || count == 0) {
        fprintf(stderr, "%s: erase takes subjects, or --receipt ID\n",
                t->program);
        return EXIT_USAGE;
    }
    list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, json_string(subjects[i]));
    return tool_verb(t, "erase", json_pack("{s:o}", "subjects", list),
                     print_receipts);
}
