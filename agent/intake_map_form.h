/* The import map as tables: what intake_map.c fills in and intake_row.c walks.
 *
 * Texts and names borrow from the YAML document, which lives as long as the
 * map. Columns are numbered in the order in which the map names them; a
 * binding says where each stands in a file. */
#ifndef SOTTO_AGENT_INTAKE_MAP_FORM_H
#define SOTTO_AGENT_INTAKE_MAP_FORM_H

#include "agent/intake_map.h"

#define CONDITIONS_MAX 8 /* of a rule */

enum test {
    TEST_GREATER,
    TEST_GREATER_EQUAL,
    TEST_LESS,
    TEST_LESS_EQUAL,
    TEST_EQUAL,
    TEST_NOT_EQUAL,
    TEST_STARTS,
    TEST_NOT_STARTS,
    TEST_EMPTY,
    TEST_NOT_EMPTY,
};

struct condition {
    enum test test;
    uint16_t column;
    bool is_number;
    int64_t number; /* millionths */
    struct span text;
};

struct rule {
    struct condition conditions[CONDITIONS_MAX];
    size_t condition_count;
    char refuse[COUNTER_NAME_MAX + 1]; /* "": the row is an event */
    struct span event;                 /* empty: its name is in a column */
    uint16_t event_column;
};

enum as { AS_TEXT, AS_INT, AS_MONEY, AS_BOOL, AS_TIME };

enum time_format { TIME_ISO, TIME_UNIX, TIME_UNIX_MS };

struct field {
    bool is_constant;
    struct raw_field value; /* its path; when constant all of it */
    uint16_t column;
    int as; /* enum as */
    bool absolute;
};

struct yaml;
struct intake_map {
    struct yaml *doc;
    char *file;
    char delimiter;
    int time_format; /* enum time_format */
    uint16_t time_column;
    struct span columns[MAP_COLUMNS_MAX];
    size_t column_count;
    struct field fields[RAW_FIELDS_MAX];
    size_t field_count;
    struct rule rules[MAP_RULES_MAX];
    size_t rule_count;
    size_t refusal_count; /* different names */
    struct span consent[POLICY_PURPOSES_MAX];
    size_t consent_count;
};

/* Fills in kind and value of a field from a text; false, and the text, if it
 * is not what `as` says. */
bool map_convert(struct raw_field *f, struct span text, int as, bool absolute);

#endif
