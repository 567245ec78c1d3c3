/* Small patterns for kept text: a sequence of literal characters and classes
 * [A-Za-z0-9 _-], each with an optional {m,n}, {n}, ?, * or +. Printable ASCII
 * only; \ before punctuation makes it literal; a class says what is allowed,
 * never what is not. Matches whole texts only. Compiled to at most 64 NFA
 * states kept in one word, so a match is one pass, allocates nothing and
 * cannot blow up.
 * Baeza-Yates & Gonnet, "A New Approach to Text Searching", CACM 1992. */
#ifndef SOTTO_POLICY_PATTERN_H
#define SOTTO_POLICY_PATTERN_H

#include "base/buf.h"

struct pattern {
    /* A pattern of one item, as most are, is a set of bytes and two counts: it
     * needs none of the tables below, which are slow to reach when cold. */
    bool single;
    size_t least, most;    /* bytes */
    uint64_t set[4];       /* a bit a byte */
    uint64_t accepts[256]; /* positions that take this byte */
    uint64_t skips;        /* positions that may be passed without a byte */
    uint64_t loops;        /* positions that may repeat */
    uint8_t states;        /* positions; bit `states` means matched */
};

/* SOTTO_EINVAL with what is wrong and at which character. */
enum sotto_err pattern_compile(struct pattern *p, struct span text,
                               struct why *why);
bool pattern_match(const struct pattern *p, struct span text);

#endif
