/* What lint knows of names: paths that tell who somebody is, paths that narrow
 * it down, words of marketing, and the events of the Segment specification. */
#ifndef SOTTO_POLICY_TOOL_LINT_WORDS_H
#define SOTTO_POLICY_TOOL_LINT_WORDS_H

#include <stdbool.h>
#include <stdint.h>

/* A last name of a path that tells who somebody is. */
struct identifier {
    const char *name; /* lower case, without _ and - */
    uint64_t values;  /* how many there are, where that is few enough to try
                         them all; 0 otherwise */
    const char *all;  /* "all mobile numbers of a country" */
};
const struct identifier *identifier_of(const char *path); /* or NULL */

/* "country", "age": few of them together point to one person. Returns what it
 * tells, or NULL. */
const char *quasi_identifier_of(const char *path);

/* Whether people write sentences there: query, comment, message. */
bool path_is_prose(const char *path);
/* Whether it is a web address: url, referrer. */
bool path_is_address(const char *path);
/* Whether it names an order. */
bool path_is_order(const char *path);

/* Whether a purpose of that name is marketing. */
bool purpose_is_marketing(const char *name);

/* The event of the Segment specification that name nearly is, or NULL when it
 * is one of them or none is near.
 * https://segment.com/docs/connections/spec/ecommerce/v2/ and .../mobile/ */
const char *segment_event_near(const char *name);

#endif
