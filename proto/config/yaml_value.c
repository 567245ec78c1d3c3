/* The values of a document by the caller's table: how each kind is read, its
 * bounds, and what an error says should stand there. */
#include "config/yaml.h"

#include <stdio.h>
#include <string.h>

#include "base/cli.h"
#include "base/when.h"
#include "config/yaml_parts.h"

#define KEYS_MAX 64

/* "64 KiB", "4MiB", "1 GiB", "512". */
static enum sotto_err size_parse(int64_t *bytes, struct span text)
{
    static const struct {
        const char *name;
        int shift;
    } units[] = {{"KiB", 10}, {"MiB", 20}, {"GiB", 30}};
    int shift = 0;
    enum sotto_err err;

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (text.size > 3 &&
            memcmp(text.data + text.size - 3, units[i].name, 3) == 0) {
            shift = units[i].shift;
            text.size -= 3;
            while (text.size > 0 && text.data[text.size - 1] == ' ')
                text.size--;
            break;
        }
    err = int_parse(bytes, text);
    if (!err && (*bytes < 0 || *bytes > INT64_MAX >> shift))
        err = SOTTO_EINVAL;
    if (!err)
        *bytes = (int64_t)((uint64_t)*bytes << shift);
    return err;
}

static enum sotto_err bool_parse(bool *value, struct span text)
{
    *value = span_equal(text, span_text("true"));
    return *value || span_equal(text, span_text("false")) ? SOTTO_OK
                                                          : SOTTO_EINVAL;
}

/* One row a number-like kind: how it is read, how the mend shows it. */
static const struct {
    enum sotto_err (*parse)(int64_t *value, struct span text);
    const char *wanted;
} number_kinds[] = {
    [YAML_INT] = {int_parse, "a whole number such as 7"},
    [YAML_DURATION] = {duration_parse, "a duration such as PT15M or P30D"},
    [YAML_TIME] = {when_parse, "a date such as 2026-12-01"},
    [YAML_MONEY] = {money_parse, "an amount such as 2.55"},
    [YAML_SIZE] = {size_parse, "a size such as 64 KiB or 4 MiB"},
};

static enum sotto_err fill_number(const struct yaml_key *key, void *into,
                                  struct yaml_node n, struct why *why)
{
    struct span text = scalar_of(n.node);
    int64_t value;

    if ((key->kind == YAML_INT && node_quoted(n.node)) ||
        number_kinds[key->kind].parse(&value, text))
        return yaml_wrong(
            n, why, "must be %s%s", number_kinds[key->kind].wanted,
            key->kind == YAML_INT && node_quoted(n.node) ? ", without quotes"
                                                         : "");
    if ((key->min != 0 || key->max != 0) &&
        (value < key->min || value > key->max)) {
        char least[32], most[32];

        snprintf(least, sizeof(least), "%lld", (long long)key->min);
        snprintf(most, sizeof(most), "%lld", (long long)key->max);
        if (key->kind == YAML_DURATION) {
            duration_format(least, key->min);
            duration_format(most, key->max);
        } else if (key->kind == YAML_MONEY) {
            money_exact(least, key->min);
            money_exact(most, key->max);
        } else if (key->kind == YAML_TIME) {
            when_format(least, key->min);
            when_format(most, key->max);
        }
        return yaml_wrong(n, why, "must be from %s to %s", least, most);
    }
    memcpy(into, &value, sizeof(value));
    return SOTTO_OK;
}

/* "a, b, c" of a NULL-terminated table. */
static void join(char *out, size_t size, const char *const *names)
{
    size_t used = 0;

    out[0] = '\0';
    for (; *names && used + 1 < size; names++) {
        int n = snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "",
                         *names);

        if (n < 0 || (size_t)n >= size - used) {
            out[used] = '\0'; /* whole names only */
            return;
        }
        used += (size_t)n;
    }
}

static const char *nearest(struct span given, const char *const *names)
{
    char text[NAME_SHOWN_MAX + 1];

    if (given.size == 0 || given.size > NAME_SHOWN_MAX)
        return NULL;
    memcpy(text, given.data, given.size);
    text[given.size] = '\0';
    return cli_nearest(text, names);
}

static enum sotto_err fill_choice(const struct yaml_key *key, void *into,
                                  struct yaml_node n, struct why *why)
{
    struct span text = scalar_of(n.node);
    char names[200];
    const char *near;

    for (int i = 0; key->choices[i]; i++)
        if (span_equal(text, span_text(key->choices[i]))) {
            memcpy(into, &i, sizeof(i));
            return SOTTO_OK;
        }
    near = nearest(text, key->choices);
    join(names, sizeof(names), key->choices);
    if (near)
        return yaml_wrong(n, why,
                          "is not known; did you mean `%s`? (one of: %s)", near,
                          names);
    return yaml_wrong(n, why, "is not known; write one of: %s", names);
}

static enum sotto_err fill_text(const struct yaml_key *key, void *into,
                                struct yaml_node n, struct why *why)
{
    struct span text = scalar_of(n.node);

    if (text.size == 0)
        return yaml_wrong(n, why, "must not be empty");
    if (key->max != 0 && text.size > (uint64_t)key->max)
        return yaml_wrong(n, why, "is over %lld bytes; shorten it",
                          (long long)key->max);
    memcpy(into, &text, sizeof(text));
    return SOTTO_OK;
}

enum sotto_err yaml_value(struct yaml_node n, const struct yaml_key *key,
                          void *into, struct why *why)
{
    if (key->kind == YAML_NODE) {
        memcpy(into, &n, sizeof(n));
        return SOTTO_OK;
    }
    if (!yaml_is_scalar(n))
        return yaml_wrong(n, why, "must be one text or number, not a %s",
                          yaml_is_mapping(n) ? "mapping" : "list");
    if (key->kind == YAML_TEXT)
        return fill_text(key, into, n, why);
    if (key->kind == YAML_CHOICE)
        return fill_choice(key, into, n, why);
    if (key->kind == YAML_BOOL) {
        bool value;

        if (node_quoted(n.node) || bool_parse(&value, scalar_of(n.node)))
            return yaml_wrong(n, why, "must be true or false");
        memcpy(into, &value, sizeof(value));
        return SOTTO_OK;
    }
    return fill_number(key, into, n, why);
}

static enum sotto_err unknown_key(const struct yaml_key *keys,
                                  struct yaml_node key, struct why *why)
{
    const char *names[KEYS_MAX + 1];
    char known[240];
    const char *near;
    size_t count = 0;

    for (; keys[count].name && count < KEYS_MAX; count++)
        names[count] = keys[count].name;
    names[count] = NULL;
    near = nearest(scalar_of(key.node), names);
    if (near)
        return yaml_wrong(key, why, "is not a key here; did you mean `%s`?",
                          near);
    join(known, sizeof(known), names);
    return yaml_wrong(key, why, "is not a key here; known are: %s", known);
}

enum sotto_err yaml_fill(struct yaml_node mapping, const struct yaml_key *keys,
                         void *into, struct why *why)
{
    bool seen[KEYS_MAX] = {false};
    struct fy_node_pair *pair;
    void *at = NULL;

    if (!yaml_is_mapping(mapping))
        return yaml_wrong(mapping, why,
                          "must be a mapping (`key: value` lines)");
    while ((pair = fy_node_mapping_iterate(mapping.node, &at))) {
        struct span name = scalar_of(fy_node_pair_key(pair));
        size_t i = 0;
        enum sotto_err err;

        while (keys[i].name && !span_equal(name, span_text(keys[i].name)))
            i++;
        if (!keys[i].name || i >= KEYS_MAX)
            return unknown_key(
                keys, node_in(mapping.doc, fy_node_pair_key(pair)), why);
        seen[i] = true;
        err = yaml_value(node_in(mapping.doc, fy_node_pair_value(pair)),
                         &keys[i], (char *)into + keys[i].offset, why);
        if (err)
            return err;
    }
    for (size_t i = 0; i < KEYS_MAX && keys[i].name; i++)
        if (keys[i].required && !seen[i])
            return yaml_wrong(mapping, why, "needs the key `%s`%s%s",
                              keys[i].name, keys[i].help ? ": " : "",
                              keys[i].help ? keys[i].help : "");
    return SOTTO_OK;
}
