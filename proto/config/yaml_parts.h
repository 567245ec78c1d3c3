/* Between yaml.c and yaml_value.c; nobody else includes this. */
#ifndef SOTTO_CONFIG_YAML_PARTS_H
#define SOTTO_CONFIG_YAML_PARTS_H

#include "config/yaml.h"

#include <libfyaml.h>

#define NAME_SHOWN_MAX 64 /* of a key in an error */

static inline bool node_quoted(struct fy_node *n)
{
    enum fy_node_style style = fy_node_get_style(n);

    return style == FYNS_SINGLE_QUOTED || style == FYNS_DOUBLE_QUOTED;
}

static inline struct span scalar_of(struct fy_node *n)
{
    size_t size = 0;
    const char *text = fy_node_get_scalar(n, &size);

    return span_of(text, size);
}

static inline struct yaml_node node_in(struct yaml *y, struct fy_node *n)
{
    struct yaml_node node = {y, n};

    return node;
}

#endif
