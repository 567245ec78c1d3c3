/* See jsonline.h. Invariant: at <= end, and begun, first and keys describe the
 * depth objects and arrays that are open. Nothing is copied but texts with
 * escapes, which are never longer decoded than written. */
#include "agent/jsonline.h"

#include <endian.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "policy/event.h"

#define NUMBER_MAX 400 /* bytes of a real, for strtod */

static bool wrong(struct jsonline *j)
{
    j->wrong = true;
    return false;
}

void jsonline_begin(struct jsonline *j, struct span text)
{
    j->at = text.data;
    j->end = text.size > 0 ? text.data + text.size : text.data;
    j->wrong = text.size == 0 || text.size > sizeof(j->texts);
    j->depth = 0;
    j->key_count = 0;
    j->used = 0;
}

static void pass_space(struct jsonline *j)
{
    while (j->at < j->end && (*j->at == ' ' || *j->at == '\t' ||
                              *j->at == '\n' || *j->at == '\r'))
        j->at++;
}

/* Eats c if it is next. */
static bool eat(struct jsonline *j, uint8_t c)
{
    if (j->at == j->end || *j->at != c)
        return false;
    j->at++;
    return true;
}

/* ---- texts ---- */

static bool read_hex4(struct jsonline *j, uint32_t *out)
{
    *out = 0;
    if (j->end - j->at < 4)
        return wrong(j);
    for (int i = 0; i < 4; i++) {
        uint8_t c = *j->at++;
        uint8_t lower = c | 0x20;

        if (c >= '0' && c <= '9')
            *out = *out << 4 | (uint32_t)(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            *out = *out << 4 | (uint32_t)(lower - 'a' + 10);
        else
            return wrong(j);
    }
    return true;
}

static size_t put_character(uint8_t *to, uint32_t c)
{
    if (c < 0x80) {
        to[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (uint8_t)(0xc0 | c >> 6);
        to[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (uint8_t)(0xe0 | c >> 12);
        to[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        to[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    to[0] = (uint8_t)(0xf0 | c >> 18);
    to[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    to[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    to[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

/* After "\u": one character, of two escapes above U+FFFF. */
static bool read_unicode(struct jsonline *j)
{
    uint32_t c, low;

    if (!read_hex4(j, &c) || c == 0 || (c >= 0xdc00 && c <= 0xdfff))
        return wrong(j);
    if (c >= 0xd800 && c <= 0xdbff) {
        if (!eat(j, '\\') || !eat(j, 'u') || !read_hex4(j, &low) ||
            low < 0xdc00 || low > 0xdfff)
            return wrong(j);
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    j->used += put_character(j->texts + j->used, c);
    return true;
}

/* After a backslash. */
static bool read_escape(struct jsonline *j)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *found;

    if (eat(j, 'u'))
        return read_unicode(j);
    found = j->at < j->end && *j->at ? strchr(from, *j->at) : NULL;
    if (!found)
        return wrong(j);
    j->at++;
    j->texts[j->used++] = (uint8_t)to[found - from];
    return true;
}

/* A top bit for bytes that are not plain ASCII: below 0x20, a quote, a
 * backslash, or above 0x7f. Bytes minus a constant borrow into their top bit
 * ("Determine if a word has a byte less than n", Anderson, Bit Twiddling
 * Hacks); a borrow that runs on only marks bytes above one that is right, so
 * the lowest mark is. */
static uint64_t specials(uint64_t word)
{
    const uint64_t ones = UINT64_MAX / 255;
    uint64_t quote = word ^ ones * '"';
    uint64_t slash = word ^ ones * '\\';

    return ((word - ones * 0x20) | (quote - ones) | (slash - ones) | word) &
           ones * 0x80;
}

static bool is_special(uint8_t c)
{
    return c < 0x20 || c >= 0x80 || c == '"' || c == '\\';
}

static const uint8_t *pass_ascii(const uint8_t *at, const uint8_t *end)
{
    uint64_t word;

    while (end - at >= (ptrdiff_t)sizeof(word)) {
        uint64_t marks;

        memcpy(&word, at, sizeof(word));
        marks = specials(le64toh(word));
        if (marks)
            return at + __builtin_ctzll(marks) / 8;
        at += sizeof(word);
    }
    while (at < end && !is_special(*at))
        at++;
    return at;
}

/* Passes over characters that stand for themselves. */
static bool pass_plain(struct jsonline *j)
{
    for (;;) {
        size_t size;

        j->at = pass_ascii(j->at, j->end);
        if (j->at == j->end || *j->at == '"' || *j->at == '\\')
            return true;
        if (*j->at < 0x20)
            return wrong(j);
        size = event_character_size(j->at, (size_t)(j->end - j->at));
        if (size == 0)
            return wrong(j);
        j->at += size;
    }
}

/* After the opening quote, up to behind the closing one. */
static bool read_text(struct jsonline *j, struct span *text)
{
    const uint8_t *start = j->at;
    size_t from = j->used;

    if (!pass_plain(j))
        return false;
    if (eat(j, '"')) { /* no escapes: it lies there as it is */
        *text = span_of(start, (size_t)(j->at - 1 - start));
        return true;
    }
    for (;;) {
        memcpy(j->texts + j->used, start, (size_t)(j->at - start));
        j->used += (size_t)(j->at - start);
        if (eat(j, '"'))
            break;
        if (!eat(j, '\\') || !read_escape(j))
            return wrong(j);
        start = j->at;
        if (!pass_plain(j))
            return false;
    }
    *text = span_of(j->texts + from, j->used - from);
    return true;
}

/* ---- numbers ---- */

static size_t pass_digits(struct jsonline *j)
{
    const uint8_t *start = j->at;

    while (j->at < j->end && *j->at >= '0' && *j->at <= '9')
        j->at++;
    return (size_t)(j->at - start);
}

static bool int_of(const uint8_t *at, const uint8_t *end, int64_t *out)
{
    bool below = *at == '-';
    uint64_t value = 0;

    for (at += below; at < end; at++) {
        unsigned digit = (unsigned)(*at - '0');

        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (value > (uint64_t)INT64_MAX + below)
        return false;
    *out = (int64_t)(below ? 0 - value : value);
    return true;
}

/* A decimal of few digits is one exact integer divided by one exact power of
 * ten, which rounds once and so right (Clinger, "How to Read Floating Point
 * Numbers Accurately", 1990); the others are strtod's. */
static bool real_of(const uint8_t *at, size_t size, double *out)
{
    static const double tens[] = {1,   1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    char text[NUMBER_MAX + 1];
    bool below = *at == '-', point = false;
    uint64_t digits = 0;
    size_t i, scale = 0;

    for (i = below; i < size && size <= 16; i++) {
        if (at[i] == '.') {
            point = true;
            continue;
        }
        if (at[i] < '0' || at[i] > '9')
            break;
        digits = digits * 10 + (uint64_t)(at[i] - '0');
        scale += point;
    }
    if (i == size && size <= 16) { /* so at most 15 digits */
        *out = (double)digits / tens[scale];
        *out = below ? -*out : *out;
        return true;
    }
    if (size > NUMBER_MAX)
        return false;
    memcpy(text, at, size);
    text[size] = '\0';
    *out = strtod(text, NULL);
    return isfinite(*out);
}

static bool read_number(struct jsonline *j, struct jsonline_value *v)
{
    const uint8_t *start = j->at;
    bool whole = true;

    eat(j, '-');
    if (!eat(j, '0') && pass_digits(j) == 0) /* no digit behind a first 0 */
        return wrong(j);
    if (eat(j, '.')) {
        whole = false;
        if (pass_digits(j) == 0)
            return wrong(j);
    }
    if (eat(j, 'e') || eat(j, 'E')) {
        whole = false;
        if (!eat(j, '+'))
            eat(j, '-');
        if (pass_digits(j) == 0)
            return wrong(j);
    }
    v->kind = whole ? JSONLINE_INT : JSONLINE_REAL;
    if (whole ? !int_of(start, j->at, &v->number)
              : !real_of(start, (size_t)(j->at - start), &v->real))
        return wrong(j);
    return true;
}

/* ---- values ---- */

static bool read_word(struct jsonline *j, const char *word,
                      enum jsonline_kind kind, struct jsonline_value *v)
{
    size_t size = strlen(word);

    if ((size_t)(j->end - j->at) < size || memcmp(j->at, word, size) != 0)
        return wrong(j);
    j->at += size;
    v->kind = kind;
    return true;
}

static bool open_level(struct jsonline *j, enum jsonline_kind kind,
                       struct jsonline_value *v)
{
    if (j->depth == JSONLINE_DEPTH_MAX)
        return wrong(j);
    j->begun[j->depth] = false;
    j->first[j->depth] = j->key_count;
    j->depth++;
    j->at++;
    v->kind = kind;
    return true;
}

bool jsonline_value(struct jsonline *j, struct jsonline_value *v)
{
    if (j->wrong)
        return false;
    pass_space(j);
    if (j->at == j->end)
        return wrong(j);
    switch (*j->at) {
    case '{':
        return open_level(j, JSONLINE_OBJECT, v);
    case '[':
        return open_level(j, JSONLINE_ARRAY, v);
    case '"':
        j->at++;
        v->kind = JSONLINE_TEXT;
        return read_text(j, &v->text);
    case 't':
        return read_word(j, "true", JSONLINE_TRUE, v);
    case 'f':
        return read_word(j, "false", JSONLINE_FALSE, v);
    case 'n':
        return read_word(j, "null", JSONLINE_NULL, v);
    default:
        return read_number(j, v);
    }
}

/* Whether another entry follows in the innermost level; else closes it. */
static bool next_entry(struct jsonline *j, uint8_t close)
{
    bool *begun = &j->begun[j->depth - 1];

    pass_space(j);
    if (eat(j, close)) {
        j->depth--;
        j->key_count = j->first[j->depth];
        return false;
    }
    if (*begun && !eat(j, ','))
        return wrong(j);
    *begun = true;
    return true;
}

static bool remember_key(struct jsonline *j, struct span key)
{
    for (unsigned i = j->first[j->depth - 1]; i < j->key_count; i++)
        if (span_equal(j->keys[i], key))
            return wrong(j);
    if (j->key_count == JSONLINE_KEYS_MAX)
        return wrong(j);
    j->keys[j->key_count++] = key;
    return true;
}

bool jsonline_member(struct jsonline *j, struct span *key)
{
    if (j->wrong || !next_entry(j, '}'))
        return false;
    pass_space(j);
    if (!eat(j, '"'))
        return wrong(j);
    if (!read_text(j, key) || !remember_key(j, *key))
        return false;
    pass_space(j);
    return eat(j, ':') || wrong(j);
}

/* The recursion ends at JSONLINE_DEPTH_MAX, where opening fails. */
void jsonline_skip(struct jsonline *j, const struct jsonline_value *v)
{
    struct jsonline_value inside;
    struct span key;

    if (v->kind == JSONLINE_OBJECT)
        while (jsonline_member(j, &key) && jsonline_value(j, &inside))
            jsonline_skip(j, &inside);
    if (v->kind == JSONLINE_ARRAY)
        while (!j->wrong && next_entry(j, ']') && jsonline_value(j, &inside))
            jsonline_skip(j, &inside);
}

bool jsonline_end(struct jsonline *j)
{
    pass_space(j);
    return !j->wrong && j->depth == 0 && j->at == j->end;
}
