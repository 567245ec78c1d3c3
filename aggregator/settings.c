/* See settings.h: the table below is the documentation. */
#include "aggregator/settings.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/when.h"
#include "config/yaml.h"

#define RHO_MAX_MILLIONTHS INT64_C(1000000000)

static const struct {
    const char *name;
    size_t offset, size;
    const char *help;
} texts[] = {
#define TEXT(member, help_)                                                    \
    {                                                                          \
#member, offsetof(struct settings, member),                            \
            sizeof(((struct settings *)0)->member), help_                      \
    }
    TEXT(listen, "where agents connect: tcp://HOST:PORT"),
    TEXT(announce, "address that tokens carry, if it is another"),
    TEXT(store_key, "key of the data at rest; outside DIR and its backups"),
    TEXT(release_rho, "privacy budget (zCDP) of all released counts"),
    TEXT(audit_log, "what was done here; outside DIR, never put back with it"),
    TEXT(erased, "table of erased subjects; outside DIR and its backups"),
};
#define TEXTS (sizeof texts / sizeof *texts)

struct filled {
    struct yaml_node texts[TEXTS];
    int64_t agents_max, intake_bytes, release_delta;
};

static const struct yaml_key keys[] = {
    {.name = "listen",
     .kind = YAML_NODE,
     .offset = offsetof(struct filled, texts[0])},
    {.name = "announce",
     .kind = YAML_NODE,
     .offset = offsetof(struct filled, texts[1])},
    {.name = "store_key",
     .kind = YAML_NODE,
     .offset = offsetof(struct filled, texts[2])},
    {.name = "release_rho",
     .kind = YAML_NODE,
     .offset = offsetof(struct filled, texts[3])},
    {.name = "audit_log",
     .kind = YAML_NODE,
     .offset = offsetof(struct filled, texts[4])},
    {.name = "erased",
     .kind = YAML_NODE,
     .offset = offsetof(struct filled, texts[5])},
    {.name = "agents_max",
     .kind = YAML_INT,
     .offset = offsetof(struct filled, agents_max),
     .min = 16,
     .max = 60000,
     .help = "agents that may be connected at once"},
    {.name = "intake_size",
     .kind = YAML_SIZE,
     .offset = offsetof(struct filled, intake_bytes),
     .min = 256 * 1024,
     .max = INT64_C(16) << 30,
     .help = "memory for batches on their way to the log; beyond it agents "
             "are told to come later"},
    {.name = "release_delta",
     .kind = YAML_INT,
     .offset = offsetof(struct filled, release_delta),
     .min = 1000,
     .max = INT64_C(1000000000000),
     .help = "released counts fail their promise with a chance of one in this"},
    {.name = NULL},
};

static enum sotto_err copy_text(struct settings *s, size_t i,
                                struct yaml_node n, struct why *why)
{
    char *out = (char *)s + texts[i].offset;
    struct span text;
    enum sotto_err err;

    if (!n.node)
        return SOTTO_OK;
    err = yaml_text(n, &text, why);
    if (err)
        return err;
    if (text.size == 0 || text.size >= texts[i].size)
        return yaml_wrong(n, why, "needs 1 to %zu bytes", texts[i].size - 1);
    memcpy(out, text.data, text.size);
    out[text.size] = 0;
    return SOTTO_OK;
}

static enum sotto_err check_rho(struct settings *s, struct yaml_node n,
                                struct why *why)
{
    if (money_parse(&s->release_rho_millionths, span_text(s->release_rho)) ==
            SOTTO_OK &&
        s->release_rho_millionths >= 0 &&
        s->release_rho_millionths <= RHO_MAX_MILLIONTHS)
        return SOTTO_OK;
    return yaml_wrong(n, why,
                      "needs a number between 0 and 1000, such as 0.5, with at "
                      "most six digits after the point");
}

enum sotto_err aggregator_settings_load(struct settings *s, const char *dir,
                                        struct why *why)
{
    struct filled into = {.agents_max = 10000,
                          .intake_bytes = 32 << 20,
                          .release_delta = 1000000};
    struct yaml *doc = NULL;
    char file[512];
    enum sotto_err err;

    memset(s, 0, sizeof *s);
    snprintf(s->listen, sizeof s->listen, "tcp://127.0.0.1:7420");
    snprintf(s->store_key, sizeof s->store_key, "%.390s.key", dir);
    snprintf(s->audit_log, sizeof s->audit_log, "%.390s.audit", dir);
    snprintf(s->erased, sizeof s->erased, "%.390s.erased", dir);
    s->agents_max = into.agents_max;
    s->intake_bytes = into.intake_bytes;
    s->release_delta = into.release_delta;
    snprintf(s->release_rho, sizeof s->release_rho, "0.5");
    s->release_rho_millionths = 500000;
    snprintf(file, sizeof file, "%s/aggregator.yaml", dir);
    if (access(file, F_OK) != 0)
        return SOTTO_OK;
    err = yaml_open_file(&doc, file, why);
    if (!err)
        err = yaml_fill(yaml_root(doc), keys, &into, why);
    for (size_t i = 0; i < TEXTS && !err; i++)
        err = copy_text(s, i, into.texts[i], why);
    if (!err)
        err = check_rho(s, into.texts[3], why);
    s->agents_max = into.agents_max;
    s->intake_bytes = into.intake_bytes;
    s->release_delta = into.release_delta;
    yaml_close(doc);
    return err;
}

void aggregator_settings_print(const struct settings *s)
{
    for (size_t i = 0; i < TEXTS; i++) {
        const char *value = (const char *)s + texts[i].offset;
        printf("%-13s %-30s # %s\n", texts[i].name, *value ? value : "\"\"",
               texts[i].help);
    }
    printf("%-13s %-30lld # %s\n", "agents_max", (long long)s->agents_max,
           keys[6].help);
    printf("%-13s %-30lld # %s\n", "intake_size", (long long)s->intake_bytes,
           keys[7].help);
    printf("%-13s %-30lld # %s\n", "release_delta", (long long)s->release_delta,
           keys[8].help);
}
