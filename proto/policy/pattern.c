/* Patterns by bit-parallel simulation of an automaton without branches.
 *
 * A pattern is a row of positions 0..states-1, each taking one byte; bit i of
 * the word "next" says that position i may take the next byte, bit `states`
 * that the text so far matches. [AB]{1,3} becomes three positions, of which
 * two may be skipped; x* is one position that may be skipped and repeats. A
 * byte advances all positions at once:
 *
 *     took = next & accepts[byte]
 *     next = pass(took << 1 | took & loops)
 *
 * where pass() adds what is reached by skipping: adding next & skips to skips
 * carries each bit to the end of its run of ones (Navarro & Raffinot,
 * "Flexible Pattern Matching in Strings", 2002, section 4.4). */
#include "policy/pattern.h"

#include <string.h>

#define POSITIONS_MAX 63 /* and one bit for "matched" */

struct reader {
    const uint8_t *text;
    size_t size;
    size_t at;
    struct why *why;
};

static enum sotto_err wrong(const struct reader *r, const char *what)
{
    return why_say(r->why, SOTTO_EINVAL, "pattern, character %zu: %s",
                   r->at + 1, what);
}

static bool more(const struct reader *r)
{
    return r->at < r->size;
}

static bool next_is(const struct reader *r, char c)
{
    return more(r) && r->text[r->at] == (uint8_t)c;
}

/* A set of bytes. */
struct set {
    uint64_t words[4];
};

static void set_add(struct set *s, uint8_t byte)
{
    s->words[byte / 64] |= UINT64_C(1) << (byte % 64);
}

static bool set_has(const struct set *s, unsigned byte)
{
    return s->words[byte / 64] >> (byte % 64) & 1;
}

static bool is_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9');
}

/* One printable character, after \ if it is punctuation. */
static enum sotto_err read_character(struct reader *r, uint8_t *out)
{
    if (!more(r))
        return wrong(r, "the pattern ends too early");
    if (next_is(r, '\\')) {
        r->at++;
        if (!more(r) || is_word(r->text[r->at]))
            return wrong(r, "\\ stands only before punctuation");
    }
    if (r->text[r->at] < 0x20 || r->text[r->at] > 0x7e)
        return wrong(r, "only printable ASCII characters are allowed");
    *out = r->text[r->at++];
    return SOTTO_OK;
}

/* After "[": characters and ranges up to "]". A "-" is itself where it cannot
 * be a range: first or last. */
static enum sotto_err read_class(struct reader *r, struct set *set)
{
    if (next_is(r, '^'))
        return wrong(r, "a class says what is allowed; write \\^ for itself");
    if (next_is(r, ']'))
        return wrong(r, "the class is empty");
    while (!next_is(r, ']')) {
        uint8_t low, high;
        enum sotto_err err = read_character(r, &low);

        if (err)
            return err;
        high = low;
        if (next_is(r, '-') && r->at + 1 < r->size &&
            r->text[r->at + 1] != ']') {
            r->at++;
            err = read_character(r, &high);
            if (err)
                return err;
        }
        if (high < low)
            return wrong(r, "the range is upside down");
        for (unsigned c = low; c <= high; c++)
            set_add(set, (uint8_t)c);
    }
    r->at++;
    return SOTTO_OK;
}

static enum sotto_err read_number(struct reader *r, unsigned *out)
{
    size_t start = r->at;

    *out = 0;
    while (more(r) && r->text[r->at] >= '0' && r->text[r->at] <= '9' &&
           r->at - start < 3)
        *out = *out * 10 + (unsigned)(r->text[r->at++] - '0');
    return r->at > start ? SOTTO_OK : wrong(r, "a number is expected");
}

struct repeat {
    unsigned min, max;
    bool loops; /* the last position repeats */
};

static enum sotto_err read_braces(struct reader *r, struct repeat *repeat)
{
    enum sotto_err err = read_number(r, &repeat->min);

    if (err)
        return err;
    repeat->max = repeat->min;
    if (next_is(r, ',')) {
        r->at++;
        err = read_number(r, &repeat->max);
        if (err)
            return err;
    }
    if (!next_is(r, '}'))
        return wrong(r, "} is expected: {n} or {m,n}");
    r->at++;
    if (repeat->max == 0 || repeat->max < repeat->min)
        return wrong(r, "the second number must be at least the first, and 1");
    return SOTTO_OK;
}

static enum sotto_err read_repeat(struct reader *r, struct repeat *repeat)
{
    *repeat = (struct repeat){1, 1, false};
    if (!more(r))
        return SOTTO_OK;
    switch (r->text[r->at]) {
    case '?':
        *repeat = (struct repeat){0, 1, false};
        break;
    case '*':
        *repeat = (struct repeat){0, 1, true};
        break;
    case '+':
        *repeat = (struct repeat){1, 1, true};
        break;
    case '{':
        r->at++;
        return read_braces(r, repeat);
    default:
        return SOTTO_OK;
    }
    r->at++;
    return SOTTO_OK;
}

static enum sotto_err read_item(struct reader *r, struct set *set)
{
    uint8_t c = r->text[r->at];
    enum sotto_err err;

    if (c == '[') {
        r->at++;
        return read_class(r, set);
    }
    if (strchr("?*+{}", c))
        return wrong(r, "there is nothing to repeat; write \\ before it");
    if (strchr("().|^$]", c))
        return wrong(r, "this character needs a \\ before it");
    err = read_character(r, &c);
    if (!err)
        set_add(set, c);
    return err;
}

static void add_position(struct pattern *p, const struct set *set, bool skips,
                         bool loops)
{
    uint64_t bit = UINT64_C(1) << p->states++;

    for (unsigned c = 0; c < 256; c++)
        if (set_has(set, c))
            p->accepts[c] |= bit;
    if (skips)
        p->skips |= bit;
    if (loops)
        p->loops |= bit;
}

enum sotto_err pattern_compile(struct pattern *p, struct span text,
                               struct why *why)
{
    struct reader r = {text.data, text.size, 0, why};

    memset(p, 0, sizeof(*p));
    if (!more(&r))
        return wrong(&r, "the pattern is empty");
    p->single = true; /* until another item comes */
    while (more(&r)) {
        struct set set = {{0}};
        struct repeat repeat;
        enum sotto_err err = read_item(&r, &set);

        if (!err)
            err = read_repeat(&r, &repeat);
        if (err)
            return err;
        if (repeat.max > POSITIONS_MAX - (unsigned)p->states)
            return wrong(&r, "it counts over 63 characters; use + and max");
        for (unsigned i = 0; i < repeat.max; i++)
            add_position(p, &set, i >= repeat.min, repeat.loops);
        memcpy(p->set, set.words, sizeof(p->set));
        p->least = repeat.min;
        p->most = repeat.loops ? SIZE_MAX : repeat.max;
        p->single = p->single && !more(&r);
    }
    return SOTTO_OK;
}

static uint64_t pass(const struct pattern *p, uint64_t next)
{
    return next | (((next & p->skips) + p->skips) ^ p->skips);
}

static bool single_match(const struct pattern *p, struct span text)
{
    uint64_t all = 1;

    if (text.size < p->least || text.size > p->most)
        return false;
    for (size_t i = 0; i < text.size; i++)
        all &= p->set[text.data[i] / 64] >> (text.data[i] % 64);
    return all & 1;
}

bool pattern_match(const struct pattern *p, struct span text)
{
    uint64_t next = pass(p, 1);

    if (p->single)
        return single_match(p, text);
    for (size_t i = 0; i < text.size && next; i++) {
        uint64_t took = next & p->accepts[text.data[i]];

        next = pass(p, took << 1 | (took & p->loops));
    }
    return next >> p->states & 1;
}
