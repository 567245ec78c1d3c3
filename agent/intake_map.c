/* The import map, read from YAML into tables. Every slip is an error that
 * names the place and the mend; what is loaded can be walked without checks. */
#include "agent/intake_map_form.h"

#include "base/when.h"
#include "config/yaml.h"

#include <stdlib.h>
#include <string.h>

#define COLUMN_NAME_MAX 1024

static const char *const as_names[] = {"text", "int",  "money",
                                       "bool", "time", NULL};
static const char *const time_formats[] = {"iso", "unix", "unix_ms", NULL};
static const char *const file_formats[] = {"csv", NULL};

/* How a test is written between column and value. */
struct test_row {
    const char *text;
    bool has_value;
    bool of_order;  /* the value has to be a number */
    bool of_number; /* the value may be one */
};
static const struct test_row tests[] = {
    [TEST_GREATER] = {" > ", true, true, true},
    [TEST_GREATER_EQUAL] = {" >= ", true, true, true},
    [TEST_LESS] = {" < ", true, true, true},
    [TEST_LESS_EQUAL] = {" <= ", true, true, true},
    [TEST_EQUAL] = {" = ", true, false, true},
    [TEST_NOT_EQUAL] = {" != ", true, false, true},
    [TEST_STARTS] = {" starts ", true, false, false},
    [TEST_NOT_STARTS] = {" not starts ", true, false, false},
    [TEST_EMPTY] = {" is empty", false, false, false},
    [TEST_NOT_EMPTY] = {" not empty", false, false, false},
};
#define TEST_COUNT (sizeof(tests) / sizeof(tests[0]))

static enum sotto_err column_number(struct intake_map *m, struct span name,
                                    struct yaml_node at, uint16_t *number,
                                    struct why *why)
{
    size_t i = 0;

    if (name.size == 0 || name.size > COLUMN_NAME_MAX)
        return yaml_wrong(at, why, "is not the name of a column");
    while (i < m->column_count && !span_equal(m->columns[i], name))
        i++;
    if (i == MAP_COLUMNS_MAX)
        return yaml_wrong(at, why, "names more than %d columns",
                          MAP_COLUMNS_MAX);
    if (i == m->column_count)
        m->columns[m->column_count++] = name;
    *number = (uint16_t)i;
    return SOTTO_OK;
}

struct time_form {
    struct span column;
    int format;
};
static const struct yaml_key time_keys[] = {
    {.name = "column",
     .kind = YAML_TEXT,
     .offset = offsetof(struct time_form, column),
     .required = true,
     .max = COLUMN_NAME_MAX,
     .help = "the column that says when it was"},
    {.name = "format",
     .kind = YAML_CHOICE,
     .offset = offsetof(struct time_form, format),
     .choices = time_formats,
     .help = "how the column writes it"},
    {.name = NULL},
};

static enum sotto_err load_time(struct intake_map *m, struct yaml_node node,
                                struct why *why)
{
    struct time_form form = {.format = TIME_ISO};
    enum sotto_err err = yaml_fill(node, time_keys, &form, why);

    m->time_format = form.format;
    return err ? err
               : column_number(m, form.column, node, &m->time_column, why);
}

/* How the map writes a field out in full. */
struct field_form {
    struct span column, value;
    int as;
    bool absolute;
};
static const struct yaml_key field_keys[] = {
    {.name = "column",
     .kind = YAML_TEXT,
     .offset = offsetof(struct field_form, column),
     .max = COLUMN_NAME_MAX,
     .help = "the column that it is taken from"},
    {.name = "value",
     .kind = YAML_TEXT,
     .offset = offsetof(struct field_form, value),
     .max = TEXT_SIZE_MAX,
     .help = "the same value for every row"},
    {.name = "as",
     .kind = YAML_CHOICE,
     .offset = offsetof(struct field_form, as),
     .choices = as_names,
     .help = "what it is read as"},
    {.name = "absolute",
     .kind = YAML_BOOL,
     .offset = offsetof(struct field_form, absolute),
     .help = "true: a number without its sign"},
    {.name = NULL},
};

static enum sotto_err load_field(void *context, struct span path,
                                 struct yaml_node node, struct why *why)
{
    struct intake_map *m = context;
    struct field_form form = {.as = AS_TEXT};
    struct field f = {.is_constant = false};
    enum sotto_err err;

    if (m->field_count == RAW_FIELDS_MAX)
        return yaml_wrong(node, why, "there are more than %d fields",
                          RAW_FIELDS_MAX);
    if (path.size == 0 || path.size > PATH_MAX_SIZE)
        return yaml_wrong(node, why, "a path has 1 to %d bytes", PATH_MAX_SIZE);
    err = yaml_is_scalar(node) ? yaml_text(node, &form.column, why)
                               : yaml_fill(node, field_keys, &form, why);
    if (err)
        return err;
    if ((form.column.size > 0) == (form.value.size > 0))
        return yaml_wrong(node, why, "needs either `column` or `value`");
    if (form.absolute && form.as != AS_INT && form.as != AS_MONEY)
        return yaml_wrong(node, why,
                          "`absolute` is for `as: int` and "
                          "`as: money`");
    f.value.path = path;
    f.as = form.as;
    f.absolute = form.absolute;
    f.is_constant = form.value.size > 0;
    if (f.is_constant && !map_convert(&f.value, form.value, f.as, f.absolute))
        return yaml_wrong(node, why, "the value is not of type %s",
                          as_names[form.as]);
    if (!f.is_constant)
        err = column_number(m, form.column, node, &f.column, why);
    m->fields[m->field_count++] = f;
    return err;
}

static enum sotto_err load_purpose(void *context, struct span key,
                                   struct yaml_node node, struct why *why)
{
    struct intake_map *m = context;

    if (key.size > 0)
        return yaml_wrong(node, why, "must be a list of purposes");
    if (m->consent_count == POLICY_PURPOSES_MAX)
        return yaml_wrong(node, why, "there are more than %d purposes",
                          POLICY_PURPOSES_MAX);
    return yaml_text(node, &m->consent[m->consent_count++], why);
}

/* The test that a condition's text holds first, and where; TEST_COUNT if it
 * holds none. Names of columns may have spaces. */
static size_t find_test(struct span text, size_t *at)
{
    for (*at = 1; *at < text.size; ++*at)
        for (size_t i = 0; i < TEST_COUNT; i++) {
            size_t size = strlen(tests[i].text), left = text.size - *at;

            if (left < size || (!tests[i].has_value && left != size) ||
                memcmp(text.data + *at, tests[i].text, size) != 0)
                continue;
            return i;
        }
    return TEST_COUNT;
}

static enum sotto_err load_condition(void *context, struct span key,
                                     struct yaml_node node, struct why *why)
{
    struct intake_map *m = context;
    struct rule *r = &m->rules[m->rule_count];
    struct condition c = {.is_number = false};
    struct span text;
    size_t at, value_at, test;
    enum sotto_err err = yaml_text(node, &text, why);

    if (err)
        return err;
    if (key.size > 0)
        return yaml_wrong(node, why, "must be a list of conditions");
    if (r->condition_count == CONDITIONS_MAX)
        return yaml_wrong(node, why, "there are more than %d conditions",
                          CONDITIONS_MAX);
    test = find_test(text, &at);
    if (test == TEST_COUNT)
        return yaml_wrong(node, why,
                          "is no condition; write COLUMN, a space, one of "
                          ">, >=, <, <=, =, !=, starts, not starts, is empty, "
                          "not empty, a space and a value");
    c.test = (enum test)test;
    value_at = at + strlen(tests[test].text);
    c.text = span_of(text.data + value_at, text.size - value_at);
    if (tests[test].has_value && c.text.size == 0)
        return yaml_wrong(node, why,
                          "has no value; for an empty cell write "
                          "`COLUMN is empty`");
    c.is_number =
        tests[test].of_number && money_parse(&c.number, c.text) == SOTTO_OK;
    if (tests[test].of_order && !c.is_number)
        return yaml_wrong(node, why,
                          "compares with something that is not a "
                          "number of at most six decimals");
    err = column_number(m, span_of(text.data, at), node, &c.column, why);
    r->conditions[r->condition_count++] = c;
    return err;
}

/* Names that the import counts under by itself. */
static bool is_reserved(const char *name)
{
    for (int i = 0; i < DROP_COUNT; i++)
        if (strcmp(name, drop_name((enum drop_reason)i)) == 0)
            return true;
    return strcmp(name, MAP_BAD_ROW) == 0;
}

static bool refuses_already(const struct intake_map *m, const char *name)
{
    for (size_t i = 0; i < m->rule_count; i++)
        if (strcmp(m->rules[i].refuse, name) == 0)
            return true;
    return false;
}

static enum sotto_err load_refusal(struct intake_map *m, struct span name,
                                   struct yaml_node node, struct why *why)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
    struct rule *r = &m->rules[m->rule_count];
    char text[COUNTER_NAME_MAX + 1] = "";

    if (name.size <= COUNTER_NAME_MAX)
        memcpy(text, name.data, name.size);
    if (text[0] == '\0' || strspn(text, allowed) != name.size)
        return yaml_wrong(node, why,
                          "a refusal's name has 1 to %d of a-z 0-9 _ -",
                          COUNTER_NAME_MAX);
    if (is_reserved(text))
        return yaml_wrong(node, why,
                          "`%s` is counted already for another "
                          "reason; choose another name",
                          text);
    if (!refuses_already(m, text) && ++m->refusal_count > MAP_REFUSALS_MAX)
        return yaml_wrong(node, why, "there are more than %d names of refusals",
                          MAP_REFUSALS_MAX);
    memcpy(r->refuse, text, sizeof(text));
    return SOTTO_OK;
}

static enum sotto_err load_event(struct intake_map *m, struct yaml_node node,
                                 struct why *why)
{
    struct rule *r = &m->rules[m->rule_count];
    struct span column = {NULL, 0};
    static const struct yaml_key keys[] = {
        {.name = "column",
         .kind = YAML_TEXT,
         .required = true,
         .max = COLUMN_NAME_MAX,
         .help = "the column that names the event"},
        {.name = NULL},
    };
    enum sotto_err err;

    if (yaml_is_scalar(node)) {
        err = yaml_text(node, &r->event, why);
        if (!err && (r->event.size == 0 || r->event.size > NAME_MAX_SIZE))
            return yaml_wrong(node, why, "an event's name has 1 to %d bytes",
                              NAME_MAX_SIZE);
        return err;
    }
    err = yaml_fill(node, keys, &column, why);
    return err ? err : column_number(m, column, node, &r->event_column, why);
}

struct rule_form {
    struct yaml_node when, event;
    struct span refuse;
};
static const struct yaml_key rule_keys[] = {
    {.name = "when",
     .kind = YAML_NODE,
     .offset = offsetof(struct rule_form, when),
     .help = "conditions that hold all"},
    {.name = "event",
     .kind = YAML_NODE,
     .offset = offsetof(struct rule_form, event),
     .help = "the event that the row is"},
    {.name = "refuse",
     .kind = YAML_TEXT,
     .offset = offsetof(struct rule_form, refuse),
     .help = "the name under which it is counted"},
    {.name = NULL},
};

static enum sotto_err load_rule(void *context, struct span key,
                                struct yaml_node node, struct why *why)
{
    struct intake_map *m = context;
    struct rule_form form = {.refuse = {NULL, 0}};
    enum sotto_err err;

    if (key.size > 0)
        return yaml_wrong(node, why, "must be a list (`- when: ...`)");
    if (m->rule_count == MAP_RULES_MAX)
        return yaml_wrong(node, why, "there are more than %d rules",
                          MAP_RULES_MAX);
    if (m->rule_count > 0 && m->rules[m->rule_count - 1].condition_count == 0)
        return yaml_wrong(node, why,
                          "is never reached: the rule above it "
                          "always holds; give that one a `when`");
    err = yaml_fill(node, rule_keys, &form, why);
    if (err)
        return err;
    if ((form.event.node != NULL) == (form.refuse.size > 0))
        return yaml_wrong(node, why, "needs either `event` or `refuse`");
    if (form.when.node && yaml_is_scalar(form.when))
        err = load_condition(m, span_of(NULL, 0), form.when, why);
    else if (form.when.node)
        err = yaml_each(form.when, why, load_condition, m);
    if (!err)
        err = form.event.node ? load_event(m, form.event, why)
                              : load_refusal(m, form.refuse, node, why);
    m->rule_count++;
    return err;
}

struct map_form {
    int format;
    struct span delimiter;
    struct yaml_node time, fields, consent, rows;
};
static const struct yaml_key map_keys[] = {
    {.name = "format",
     .kind = YAML_CHOICE,
     .offset = offsetof(struct map_form, format),
     .choices = file_formats,
     .help = "what the rows are"},
    {.name = "delimiter",
     .kind = YAML_TEXT,
     .offset = offsetof(struct map_form, delimiter),
     .max = 1,
     .help = "what stands between columns"},
    {.name = "time",
     .kind = YAML_NODE,
     .offset = offsetof(struct map_form, time),
     .required = true,
     .help = "the column that says when it was"},
    {.name = "fields",
     .kind = YAML_NODE,
     .offset = offsetof(struct map_form, fields),
     .required = true,
     .help = "which column is which field"},
    {.name = "consent",
     .kind = YAML_NODE,
     .offset = offsetof(struct map_form, consent),
     .help = "purposes that all these people agreed to"},
    {.name = "rows",
     .kind = YAML_NODE,
     .offset = offsetof(struct map_form, rows),
     .required = true,
     .help = "which rows are which events"},
    {.name = NULL},
};

static enum sotto_err load_map(struct intake_map *m, struct why *why)
{
    struct yaml_node root = yaml_root(m->doc);
    struct map_form form = {.delimiter = span_text(",")};
    enum sotto_err err = yaml_fill(root, map_keys, &form, why);

    if (err)
        return err;
    m->delimiter = (char)form.delimiter.data[0];
    if (strchr("\"\r\n", m->delimiter))
        return yaml_wrong(root, why,
                          "delimiter: a quote or a line end cannot "
                          "stand between columns");
    err = load_time(m, form.time, why);
    if (!err && !yaml_is_mapping(form.fields))
        err = yaml_wrong(form.fields, why, "must be `path: column` lines");
    if (!err)
        err = yaml_each(form.fields, why, load_field, m);
    if (!err && form.consent.node)
        err = yaml_each(form.consent, why, load_purpose, m);
    if (!err)
        err = yaml_each(form.rows, why, load_rule, m);
    if (!err && m->rule_count == 0)
        err = yaml_wrong(root, why, "rows: there has to be one rule at least");
    return err;
}

/* Takes over doc. */
static enum sotto_err map_make(struct intake_map **out, struct yaml *doc,
                               const char *file, struct why *why)
{
    struct intake_map *m = calloc(1, sizeof(*m));
    enum sotto_err err;

    if (m) {
        m->doc = doc;
        m->file = strdup(file);
    } else {
        yaml_close(doc);
    }
    err = m && m->file ? load_map(m, why)
                       : why_say(why, SOTTO_ENOMEM, "%s: no memory", file);
    if (err)
        intake_map_free(m);
    else
        *out = m;
    return err;
}

enum sotto_err intake_map_load(struct intake_map **out, const char *file,
                               struct why *why)
{
    struct yaml *doc;
    enum sotto_err err = yaml_open_file(&doc, file, why);

    return err ? err : map_make(out, doc, file, why);
}

enum sotto_err intake_map_load_text(struct intake_map **out, const char *file,
                                    struct span text, struct why *why)
{
    struct yaml *doc;
    enum sotto_err err = yaml_open_text(&doc, file, text, why);

    return err ? err : map_make(out, doc, file, why);
}

void intake_map_free(struct intake_map *m)
{
    if (!m)
        return;
    yaml_close(m->doc);
    free(m->file);
    free(m);
}
