/* See settings.h: the table below is the documentation. */
#include "agent/settings.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/when.h"
#include "config/yaml.h"

struct filled { /* what the table fills */
    struct settings settings;
    struct yaml_node aggregator, ring_dir; /* texts, copied afterwards */
};

#define NUMBER(key, kind_, member, min_, max_, help_)                          \
    {                                                                          \
        .name = key, .kind = kind_,                                            \
        .offset = offsetof(struct filled, settings.member), .min = min_,       \
        .max = max_, .help = help_                                             \
    }

#define MIB (INT64_C(1024) * 1024)

static const struct yaml_key keys[] = {
    {.name = "aggregator",
     .kind = YAML_NODE,
     .offset = offsetof(struct filled, aggregator),
     .help = "address, tcp://HOST:PORT; default: the token's"},
    NUMBER("batch_events", YAML_INT, batch_events, 1, 20000,
           "a batch closes at so many events"),
    NUMBER("batch_bytes", YAML_SIZE, batch_bytes, 16 * 1024, MIB / 2,
           "a batch closes at so many bytes"),
    NUMBER("batch_age", YAML_DURATION, batch_age_ms, 10, 3600 * 1000,
           "a batch closes this long after its first event"),
    {.name = "ring_dir",
     .kind = YAML_NODE,
     .offset = offsetof(struct filled, ring_dir),
     .help = "memory-backed folder of the journal ring"},
    NUMBER("ring_size", YAML_SIZE, ring_bytes, 64 * 1024, 1024 * MIB,
           "size of the journal ring"),
    NUMBER("spool_size", YAML_SIZE, spool_bytes, MIB, 1024 * 1024 * MIB,
           "bytes of batches kept while the aggregator is away"),
    NUMBER("spool_age", YAML_DURATION, spool_age_ms, 60 * 1000, 3650 * DAY_MS,
           "batches older than this are given up and counted"),
    NUMBER("replay", YAML_DURATION, replay_ms, 0, 365 * DAY_MS,
           "acknowledged batches kept for a restored aggregator"),
    {.name = NULL},
};

static enum sotto_err copy_text(struct yaml_node n, char *out, size_t size,
                                struct why *why)
{
    struct span text;
    enum sotto_err err;

    if (!n.node)
        return SOTTO_OK;
    err = yaml_text(n, &text, why);
    if (err)
        return err;
    if (text.size == 0 || text.size >= size)
        return yaml_wrong(n, why, "needs 1 to %zu bytes", size - 1);
    memcpy(out, text.data, text.size);
    out[text.size] = 0;
    return SOTTO_OK;
}

enum sotto_err settings_load(struct settings *s, const char *dir,
                             struct why *why)
{
    struct filled into;
    struct yaml *doc = NULL;
    char file[512];
    enum sotto_err err;

    *s = (struct settings){
        .batch_events = 2000,
        .batch_bytes = 256 * 1024,
        .batch_age_ms = 1000,
        .ring_dir = "/dev/shm",
        .ring_bytes = 8 * MIB,
        .spool_bytes = 512 * MIB,
        .spool_age_ms = 30 * DAY_MS,
        .replay_ms = 2 * DAY_MS,
    };
    snprintf(file, sizeof file, "%s/agent.yaml", dir);
    if (access(file, F_OK) != 0)
        return SOTTO_OK;
    memset(&into, 0, sizeof into);
    into.settings = *s;
    err = yaml_open_file(&doc, file, why);
    if (!err)
        err = yaml_fill(yaml_root(doc), keys, &into, why);
    if (!err)
        err = copy_text(into.aggregator, into.settings.aggregator,
                        sizeof s->aggregator, why);
    if (!err)
        err = copy_text(into.ring_dir, into.settings.ring_dir,
                        sizeof s->ring_dir, why);
    if (!err && into.settings.ring_bytes < 4 * into.settings.batch_bytes)
        err = why_say(why, SOTTO_EINVAL,
                      "%s: ring_size must hold four batches: at least 4 times "
                      "batch_bytes",
                      file);
    if (!err)
        *s = into.settings;
    yaml_close(doc);
    return err;
}

static void print_value(const struct settings *s, const struct yaml_key *k)
{
    int64_t number;
    char text[32];

    if (k->kind == YAML_NODE) {
        const char *value = strcmp(k->name, "ring_dir") == 0 ? s->ring_dir
                            : *s->aggregator                 ? s->aggregator
                                                             : "(the token's)";
        printf("%-13s %-22s # %s\n", k->name, value, k->help);
        return;
    }
    memcpy(&number, (const char *)s + k->offset, sizeof number);
    if (k->kind == YAML_DURATION)
        duration_format(text, number);
    else
        snprintf(text, sizeof text, "%lld", (long long)number);
    printf("%-13s %-22s # %s\n", k->name, text, k->help);
}

void settings_print(const struct settings *s)
{
    for (const struct yaml_key *k = keys; k->name; k++)
        print_value(s, k);
}
