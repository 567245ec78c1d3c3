/* The anonymizing actions: one row each (action.c): name, parameters, what it
 * takes, what it makes, what it reveals in a sentence. Compiler, encoder,
 * lint and manual walk that table. */
#ifndef SOTTO_POLICY_ACTION_H
#define SOTTO_POLICY_ACTION_H

#include "base/buf.h"
#include "policy/pattern.h"

enum action {
    ACTION_DROP,      /* named so that lint knows it was meant; no column */
    ACTION_KEEP,      /* typed, bounded, matched against a pattern */
    ACTION_PSEUDONYM, /* keyed BLAKE2b */
    ACTION_SESSION,   /* a small number scoped to agent and stream */
    ACTION_TIME,      /* rounded down */
    ACTION_BUCKET,    /* the lower edge of the bucket it falls in */
    ACTION_IP,        /* cut to its network: network.h */
    ACTION_UA_FAMILY, /* browser and system: useragent.h */
    ACTION_URL,       /* some of its parts: url.h */
    ACTION_TOKENIZE,  /* random, new for each event */
    ACTION_RANDOMIZE, /* randomized response: chance.h */
    ACTION_REDACT,    /* identifiers taken out of a text: detect.h */
    ACTION_COUNT
};

enum value_type {
    TYPE_TEXT,  /* bytes, at most TEXT_SIZE_MAX */
    TYPE_INT,   /* int64 */
    TYPE_MONEY, /* int64 millionths */
    TYPE_BOOL,  /* 0 or 1 */
    TYPE_TIME,  /* Unix milliseconds */
    TYPE_ID,    /* 8 or 16 bytes */
    TYPE_COUNT
};

enum normalize {
    NORMALIZE_NONE,
    NORMALIZE_TRIM,  /* the default: outer spaces off */
    NORMALIZE_LOWER, /* and ASCII letters lowered: e-mail addresses */
    NORMALIZE_COUNT
};

struct action_row {
    const char *name;
    const char *parameters; /* names allowed in the YAML, space-separated */
    const char *takes;
    const char *makes;
    const char *reveals; /* one sentence for the officer */
};

extern const struct action_row action_rows[ACTION_COUNT];
enum action action_of(struct span name); /* ACTION_COUNT if unknown */
const char *type_name(enum value_type type);
enum value_type type_of(struct span name); /* TYPE_COUNT if unknown */
const char *normalize_name(enum normalize n);
enum normalize normalize_of(struct span name);

#endif
