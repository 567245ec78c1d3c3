/* One walker over libfyaml's tree.
 *
 * Everything the format offers beyond mappings, sequences and scalars is
 * refused once, at open (survey), so that the functions that fill structs see
 * a plain tree of at most DEPTH_MAX levels in which no key stands twice. The
 * parser's diagnostics are collected, never printed. */
#include "config/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/yaml_parts.h"

#define DEPTH_MAX 16
#define PATH_TEXT_MAX 200

struct yaml {
    char *file;      /* as errors name it */
    struct buf text; /* the tree borrows from it */
    struct fy_diag *diag;
    struct fy_parser *parser;
    struct fy_document *document;
};

/* Where -------------------------------------------------------------- */

/* The place of a scalar, or of the first scalar in a mapping or sequence. An
 * empty one has none. */
static bool place_of(struct fy_node *n, int *line, int *column)
{
    void *at = NULL;

    if (fy_node_is_mapping(n)) {
        struct fy_node_pair *pair = fy_node_mapping_iterate(n, &at);

        return pair && fy_node_pair_key(pair) &&
               place_of(fy_node_pair_key(pair), line, column);
    }
    if (fy_node_is_sequence(n)) {
        struct fy_node *item = fy_node_sequence_iterate(n, &at);

        return item && place_of(item, line, column);
    }
    struct fy_token *token = fy_node_get_scalar_token(n);
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;

    if (!mark)
        return false;
    *line = mark->line + 1;
    *column = mark->column + 1 - (node_quoted(n) && mark->column > 0 ? 1 : 0);
    return true;
}

/* The pair of n's parent mapping that holds n as key or value, or NULL. */
static struct fy_node_pair *pair_of(struct fy_node *n)
{
    struct fy_node *parent = fy_node_get_document_parent(n);
    struct fy_node_pair *pair;
    void *at = NULL;

    if (!parent || !fy_node_is_mapping(parent))
        return NULL;
    while ((pair = fy_node_mapping_iterate(parent, &at)))
        if (fy_node_pair_key(pair) == n || fy_node_pair_value(pair) == n)
            return pair;
    return NULL;
}

void yaml_place(struct yaml_node n, int *line, int *column)
{
    *line = 0;
    *column = 0;
    /* An empty value stands where its key does, or its parent's key. */
    for (struct fy_node *at = n.node; at;
         at = fy_node_get_document_parent(at)) {
        struct fy_node_pair *pair;

        if (place_of(at, line, column))
            return;
        pair = pair_of(at);
        if (pair && fy_node_pair_key(pair) &&
            place_of(fy_node_pair_key(pair), line, column))
            return;
    }
}

/* Appends ".key" or "[2]" for each step from the root to n. */
static void path_text(struct fy_node *n, char *out, size_t size)
{
    struct fy_node *parent = fy_node_get_document_parent(n);
    struct fy_node_pair *pair = pair_of(n);
    size_t used;

    if (!parent)
        return;
    path_text(parent, out, size);
    used = strlen(out);
    if (pair && fy_node_pair_key(pair) &&
        fy_node_is_scalar(fy_node_pair_key(pair))) {
        size_t length = 0;
        const char *key = fy_node_get_scalar(fy_node_pair_key(pair), &length);

        if (length > NAME_SHOWN_MAX)
            length = NAME_SHOWN_MAX;
        snprintf(out + used, size - used, "%s%.*s", used > 0 ? "." : "",
                 (int)length, key ? key : "");
    } else if (fy_node_is_sequence(parent)) {
        struct fy_node *item;
        void *at = NULL;
        int i = 0;

        while ((item = fy_node_sequence_iterate(parent, &at)) && item != n)
            i++;
        snprintf(out + used, size - used, "[%d]", i);
    }
}

enum sotto_err yaml_wrong(struct yaml_node n, struct why *why,
                          const char *format, ...)
{
    char sentence[sizeof(why->text)];
    char path[PATH_TEXT_MAX] = "";
    int line, column;
    va_list args;

    va_start(args, format);
    text_vprint(sentence, sizeof(sentence), format, args);
    va_end(args);
    yaml_place(n, &line, &column);
    if (n.node)
        path_text(n.node, path, sizeof(path));
    if (line == 0)
        return why_say(why, SOTTO_EINVAL, "%s: %s", n.doc->file, sentence);
    return why_say(why, SOTTO_EINVAL, "%s:%d:%d: %s%s%s", n.doc->file, line,
                   column, path, path[0] ? ": " : "", sentence);
}

/* Opening ------------------------------------------------------------ */

static enum sotto_err survey(struct yaml *y, struct fy_node *n, int depth,
                             struct why *why);

static enum sotto_err survey_key(struct yaml *y, struct fy_node *key, int depth,
                                 struct why *why)
{
    size_t size = 0;
    const char *text;
    enum sotto_err err;

    if (!key || !fy_node_is_scalar(key))
        return yaml_wrong(node_in(y, key), why,
                          "a key must be a plain text; write `key: value`");
    err = survey(y, key, depth, why);
    if (err)
        return err;
    text = fy_node_get_scalar(key, &size);
    if (size == 2 && memcmp(text, "<<", 2) == 0)
        return yaml_wrong(node_in(y, key), why,
                          "merge keys are refused; write the keys out");
    return SOTTO_OK;
}

static enum sotto_err survey_pairs(struct yaml *y, struct fy_node *n, int depth,
                                   struct why *why)
{
    struct fy_node_pair *pair;
    void *at = NULL;

    while ((pair = fy_node_mapping_iterate(n, &at))) {
        struct fy_node *key = fy_node_pair_key(pair);
        struct fy_node *value = fy_node_pair_value(pair);
        enum sotto_err err = survey_key(y, key, depth + 1, why);

        if (err)
            return err;
        if (!value)
            return yaml_wrong(node_in(y, key), why,
                              "has no value; give it one or remove the line");
        err = survey(y, value, depth + 1, why);
        if (err)
            return err;
    }
    return SOTTO_OK;
}

static enum sotto_err survey_scalar(struct yaml *y, struct fy_node *n,
                                    struct why *why)
{
    size_t size = 0;
    const char *text = fy_node_get_scalar(n, &size);

    if (!text || (size == 0 && !node_quoted(n)))
        return yaml_wrong(node_in(y, n), why,
                          "has no value; give it one or remove the line");
    if (memchr(text, '\0', size))
        return yaml_wrong(node_in(y, n), why,
                          "holds a zero byte; remove the \\0");
    return SOTTO_OK;
}

/* Refuses what the walker does not want to meet: see the opening comment. */
static enum sotto_err survey(struct yaml *y, struct fy_node *n, int depth,
                             struct why *why)
{
    struct fy_node *item;
    void *at = NULL;

    if (depth > DEPTH_MAX)
        return yaml_wrong(node_in(y, n), why,
                          "is nested over %d levels deep; flatten it",
                          DEPTH_MAX);
    if (fy_node_is_alias(n))
        return yaml_wrong(node_in(y, n), why,
                          "aliases (*name) are refused; write the value out");
    if (fy_node_get_tag_token(n))
        return yaml_wrong(node_in(y, n), why,
                          "tags (!name) are refused; remove it");
    if (fy_document_lookup_anchor_by_node(y->document, n))
        return yaml_wrong(node_in(y, n), why,
                          "anchors (&name) are refused; remove it");
    if (fy_node_is_mapping(n))
        return survey_pairs(y, n, depth, why);
    if (fy_node_is_scalar(n))
        return survey_scalar(y, n, why);
    while ((item = fy_node_sequence_iterate(n, &at))) {
        enum sotto_err err = survey(y, item, depth + 1, why);

        if (err)
            return err;
    }
    return SOTTO_OK;
}

/* The first thing the parser complained of. */
static enum sotto_err syntax_error(struct yaml *y, struct why *why)
{
    void *at = NULL;
    struct fy_diag_error *e = fy_diag_errors_iterate(y->diag, &at);

    if (!e)
        return why_say(why, SOTTO_EINVAL, "%s: is not YAML", y->file);
    if (strcmp(e->msg, "duplicate key") == 0)
        return why_say(why, SOTTO_EINVAL,
                       "%s:%d:%d: this key stands twice in its mapping; keep "
                       "one of them",
                       y->file, e->line, e->column);
    return why_say(why, SOTTO_EINVAL,
                   "%s:%d:%d: %s; check quotes, brackets and indentation",
                   y->file, e->line, e->column, e->msg);
}

static enum sotto_err parse(struct yaml *y, struct why *why)
{
    struct fy_diag_cfg diag_options;
    struct fy_parse_cfg options = {.flags = FYPCF_QUIET};
    struct fy_document *second;

    fy_diag_cfg_default(&diag_options);
    diag_options.fp = NULL; /* nothing is printed */
    y->diag = fy_diag_create(&diag_options);
    if (!y->diag)
        return why_say(why, SOTTO_ENOMEM, "%s: no memory", y->file);
    fy_diag_set_collect_errors(y->diag, true);
    options.diag = y->diag;
    y->parser = fy_parser_create(&options);
    if (!y->parser || fy_parser_set_string(
                          y->parser, (const char *)y->text.data, y->text.size))
        return why_say(why, SOTTO_ENOMEM, "%s: no memory", y->file);
    y->document = fy_parse_load_document(y->parser);
    if (fy_parser_get_stream_error(y->parser))
        return syntax_error(y, why);
    if (!y->document || !fy_document_root(y->document))
        return why_say(why, SOTTO_EINVAL, "%s: the file is empty", y->file);
    second = fy_parse_load_document(y->parser);
    if (second) {
        fy_parse_document_destroy(y->parser, second);
        return why_say(why, SOTTO_EINVAL,
                       "%s: holds more than one document; remove what follows "
                       "the second `---`",
                       y->file);
    }
    if (fy_parser_get_stream_error(y->parser))
        return syntax_error(y, why);
    return survey(y, fy_document_root(y->document), 1, why);
}

/* How many bytes the UTF-8 character at c has, of at most left; 0 if it is
 * none, or is zero. Unicode 15, table 3-7. */
static size_t character_size(const uint8_t *c, size_t left)
{
    size_t size = c[0] < 0x80   ? 1
                  : c[0] < 0xc2 ? 0
                  : c[0] < 0xe0 ? 2
                  : c[0] < 0xf0 ? 3
                  : c[0] < 0xf5 ? 4
                                : 0;

    if (size == 0 || size > left || c[0] == 0)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((c[i] & 0xc0) != 0x80)
            return 0;
    if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) ||
        (c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f))
        return 0;
    return size;
}

/* libfyaml takes some bytes that are no text for an empty value, so they are
 * found before it reads them. */
static enum sotto_err check_text(const struct yaml *y, struct why *why)
{
    int line = 1, column = 1;
    size_t size;

    for (size_t i = 0; i < y->text.size; i += size) {
        const uint8_t *c = y->text.data + i;

        size = character_size(c, y->text.size - i);
        if (size == 0)
            return why_say(why, SOTTO_EINVAL,
                           "%s:%d:%d: holds a byte that is no text (0x%02x); "
                           "save the file as UTF-8",
                           y->file, line, column, *c);
        column++;
        if (*c == '\n') {
            line++;
            column = 1;
        }
    }
    return SOTTO_OK;
}

/* Takes over y, whose text is read. */
static enum sotto_err open_read(struct yaml **out, struct yaml *y,
                                struct why *why)
{
    enum sotto_err err;

    if (y->text.size == 0) {
        err = why_say(why, SOTTO_EINVAL, "%s: the file is empty", y->file);
        goto fail;
    }
    err = check_text(y, why);
    if (err)
        goto fail;
    err = parse(y, why);
    if (err)
        goto fail;
    *out = y;
    return SOTTO_OK;

fail:
    yaml_close(y);
    return err;
}

static struct yaml *yaml_new(const char *file)
{
    struct yaml *y = calloc(1, sizeof(*y));

    if (!y)
        return NULL;
    buf_init(&y->text, YAML_BYTES_MAX);
    y->file = strdup(file);
    if (!y->file) {
        yaml_close(y);
        return NULL;
    }
    return y;
}

enum sotto_err yaml_open_file(struct yaml **out, const char *file,
                              struct why *why)
{
    struct yaml *y = yaml_new(file);
    enum sotto_err err;

    if (!y)
        return why_say(why, SOTTO_ENOMEM, "%s: no memory", file);
    err = buf_read_file(&y->text, file);
    if (err) {
        if (err == SOTTO_ETOOBIG)
            why_say(why, err, "%s: is over %d bytes", file, YAML_BYTES_MAX);
        else
            why_say(why, err, "%s: cannot be read: %s", file, err_text(err));
        yaml_close(y);
        return err;
    }
    return open_read(out, y, why);
}

enum sotto_err yaml_open_text(struct yaml **out, const char *file,
                              struct span text, struct why *why)
{
    struct yaml *y = yaml_new(file);
    enum sotto_err err = SOTTO_OK;

    if (!y)
        return why_say(why, SOTTO_ENOMEM, "%s: no memory", file);
    if (text.size > 0)
        err = buf_append(&y->text, text.data, text.size);
    if (err) {
        yaml_close(y);
        return why_say(why, err, "%s: %s", file, err_text(err));
    }
    return open_read(out, y, why);
}

void yaml_close(struct yaml *y)
{
    if (!y)
        return;
    if (y->document)
        fy_parse_document_destroy(y->parser, y->document);
    if (y->parser)
        fy_parser_destroy(y->parser);
    if (y->diag)
        fy_diag_destroy(y->diag);
    buf_fini(&y->text);
    free(y->file);
    free(y);
}

/* Walking ------------------------------------------------------------ */

struct yaml_node yaml_root(struct yaml *y)
{
    return node_in(y, fy_document_root(y->document));
}

bool yaml_is_mapping(struct yaml_node n)
{
    return n.node && fy_node_is_mapping(n.node);
}

bool yaml_is_sequence(struct yaml_node n)
{
    return n.node && fy_node_is_sequence(n.node);
}

bool yaml_is_scalar(struct yaml_node n)
{
    return n.node && fy_node_is_scalar(n.node);
}

enum sotto_err yaml_text(struct yaml_node n, struct span *text, struct why *why)
{
    if (!yaml_is_scalar(n))
        return yaml_wrong(n, why, "must be one text or number");
    *text = scalar_of(n.node);
    return SOTTO_OK;
}

struct yaml_node yaml_get(struct yaml_node mapping, const char *key)
{
    struct fy_node_pair *pair;
    void *at = NULL;

    if (!yaml_is_mapping(mapping))
        return node_in(mapping.doc, NULL);
    while ((pair = fy_node_mapping_iterate(mapping.node, &at)))
        if (span_equal(scalar_of(fy_node_pair_key(pair)), span_text(key)))
            return node_in(mapping.doc, fy_node_pair_value(pair));
    return node_in(mapping.doc, NULL);
}

enum sotto_err yaml_each(struct yaml_node node, struct why *why,
                         enum sotto_err (*each)(void *context, struct span key,
                                                struct yaml_node value,
                                                struct why *why),
                         void *context)
{
    enum sotto_err err = SOTTO_OK;
    struct fy_node_pair *pair;
    struct fy_node *item;
    void *at = NULL;

    if (yaml_is_mapping(node)) {
        while (!err && (pair = fy_node_mapping_iterate(node.node, &at)))
            err = each(context, scalar_of(fy_node_pair_key(pair)),
                       node_in(node.doc, fy_node_pair_value(pair)), why);
        return err;
    }
    if (!yaml_is_sequence(node))
        return yaml_wrong(node, why,
                          "must be a mapping (`key: value` lines) or a list");
    while (!err && (item = fy_node_sequence_iterate(node.node, &at)))
        err = each(context, span_of(NULL, 0), node_in(node.doc, item), why);
    return err;
}
