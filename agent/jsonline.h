/* A strict reader of one JSON text in memory, value by value, that builds no
 * tree and allocates nothing (RFC 8259).
 *
 * Stricter than the RFC where a reader may be: valid UTF-8 without U+0000, no
 * key twice in one object, integers of 64 bits, reals that a double can hold,
 * JSONLINE_DEPTH_MAX levels, JSONLINE_KEYS_MAX keys of all objects that are
 * open at one place. Texts borrow from the text that is read, or from the
 * reader if they had escapes: both must stay until the caller is done.
 *
 *     jsonline_begin(&j, line);
 *     jsonline_value(&j, &v);                        an object or array is open
 *     while (jsonline_member(&j, &key))              of an object
 *         if (jsonline_value(&j, &v)) jsonline_skip(&j, &v);
 *     good = jsonline_end(&j);
 *
 * After the first error every call returns false and jsonline_end too. */
#ifndef SOTTO_AGENT_JSONLINE_H
#define SOTTO_AGENT_JSONLINE_H

#include "agent/intake_window.h"

#define JSONLINE_DEPTH_MAX 32
#define JSONLINE_KEYS_MAX 512

enum jsonline_kind {
    JSONLINE_NULL,
    JSONLINE_FALSE,
    JSONLINE_TRUE,
    JSONLINE_INT,
    JSONLINE_REAL,
    JSONLINE_TEXT,
    JSONLINE_OBJECT, /* opened: read it by jsonline_member, or skip it */
    JSONLINE_ARRAY,  /* opened: skip it */
};

struct jsonline_value {
    enum jsonline_kind kind;
    struct span text;
    int64_t number;
    double real;
};

struct jsonline {
    const uint8_t *at, *end;
    bool wrong;
    unsigned depth;                     /* objects and arrays that are open */
    bool begun[JSONLINE_DEPTH_MAX];     /* by depth: something was read */
    uint16_t first[JSONLINE_DEPTH_MAX]; /* by depth: its first key */
    uint16_t key_count;
    struct span keys[JSONLINE_KEYS_MAX]; /* of all open objects */
    size_t used;                         /* of texts */
    uint8_t texts[INTAKE_ROW_MAX];       /* those that had escapes */
};

/* text: at most INTAKE_ROW_MAX bytes. */
void jsonline_begin(struct jsonline *j, struct span text);
bool jsonline_value(struct jsonline *j, struct jsonline_value *v);
/* The next key of the innermost open object; false at its end, which closes
 * it, or when something is wrong. The member's value is read next. */
bool jsonline_member(struct jsonline *j, struct span *key);
/* Reads what is left of v: nothing, or all of an object or array just opened.
 */
void jsonline_skip(struct jsonline *j, const struct jsonline_value *v);
/* Whether all of it was read and right. */
bool jsonline_end(struct jsonline *j);

#endif
