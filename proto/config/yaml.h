/* YAML by schema: one walker over a table of keys, for policy, import maps and
 * settings. libfyaml parses; the walker refuses unknown and duplicate keys,
 * aliases, anchors, tags and type slips, and names file, line, column, key
 * path and the mend (did-you-mean) in every error. */
#ifndef SOTTO_CONFIG_YAML_H
#define SOTTO_CONFIG_YAML_H

#include "base/buf.h"

#define YAML_BYTES_MAX (1024 * 1024)

enum yaml_kind {
    YAML_TEXT,     /* struct span into the document; 1..max bytes */
    YAML_INT,      /* int64_t, min..max */
    YAML_BOOL,     /* bool: true or false */
    YAML_DURATION, /* int64_t milliseconds, ISO 8601 */
    YAML_TIME,     /* int64_t Unix milliseconds */
    YAML_MONEY,    /* int64_t millionths */
    YAML_SIZE,     /* int64_t bytes: 64 KiB, 4 MiB, 1 GiB, or plain */
    YAML_CHOICE,   /* int: index into choices */
    YAML_NODE,     /* struct yaml_node: walked by the caller */
};

struct yaml;       /* a document */
struct fy_node;    /* libfyaml's */
struct yaml_node { /* a place in a document */
    struct yaml *doc;
    struct fy_node *node; /* NULL: the key is absent */
};

struct yaml_key {
    const char *name; /* NULL ends the table */
    enum yaml_kind kind;
    size_t offset; /* into the struct that is filled */
    bool required;
    int64_t min, max;
    const char *const *choices; /* of YAML_CHOICE, NULL-terminated */
    const char *help;           /* one line, for manual and check-config */
};

/* Parses a file, or text named as if it were file. why says what is wrong and
 * where. SOTTO_EINVAL, SOTTO_ENOTFOUND, SOTTO_ETOOBIG. */
enum sotto_err yaml_open_file(struct yaml **out, const char *file,
                              struct why *why);
enum sotto_err yaml_open_text(struct yaml **out, const char *file,
                              struct span text, struct why *why);
void yaml_close(struct yaml *y);
struct yaml_node yaml_root(struct yaml *y);

/* Fills into by the table from a mapping. Members whose key is absent keep
 * what they had (the default). Texts borrow from the document. min and max
 * bound numbers, or the size of a text; both 0 mean no bounds (but a text is
 * never empty). */
enum sotto_err yaml_fill(struct yaml_node mapping, const struct yaml_key *keys,
                         void *into, struct why *why);

/* The same for one value that is no member of a mapping with a table; into is
 * the member itself. */
enum sotto_err yaml_value(struct yaml_node n, const struct yaml_key *key,
                          void *into, struct why *why);

/* Walks a mapping with free keys (events, keys, purposes) or a sequence; each
 * returns non-zero to stop with that error. For a sequence key is empty.
 * Duplicate keys were refused at open. */
enum sotto_err yaml_each(struct yaml_node node, struct why *why,
                         enum sotto_err (*each)(void *context, struct span key,
                                                struct yaml_node value,
                                                struct why *why),
                         void *context);

bool yaml_is_mapping(struct yaml_node n);
bool yaml_is_sequence(struct yaml_node n);
bool yaml_is_scalar(struct yaml_node n);
/* The text of a scalar; SOTTO_EINVAL otherwise. */
enum sotto_err yaml_text(struct yaml_node n, struct span *text,
                         struct why *why);

/* The value of one key, or a node of NULL: for a look ahead, before
 * yaml_fill has checked the mapping. */
struct yaml_node yaml_get(struct yaml_node mapping, const char *key);

/* Line and column, from 1, of a value, or of the key when the value is empty;
 * 0 and 0 for an absent node. */
void yaml_place(struct yaml_node n, int *line, int *column);

/* "file:line:column: key.path: sentence"; returns SOTTO_EINVAL. */
__attribute__((format(printf, 3, 4))) enum sotto_err
yaml_wrong(struct yaml_node n, struct why *why, const char *format, ...);

#endif
