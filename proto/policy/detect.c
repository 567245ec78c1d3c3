/* The scan: plain bytes are passed by a table of classes, and at the first
 * character of a word the matchers that its shape allows are asked, the most
 * certain first.
 *
 * A match ends what came before it: no matcher looks behind the end of the
 * last detection, so that a placeholder in its place changes nothing to the
 * left. A matcher may have looked ahead at what became a placeholder later,
 * so detect_redact scans its own result until it finds nothing; each round
 * turns at least one stretch of text into placeholders, which are never
 * matched, so it ends. */
#include "policy/detect_parts.h"

#define REDACT_STEP 16 /* detections at a time */

static const char *const names[DETECT_COUNT] = {
    [DETECT_EMAIL] = "email",
    [DETECT_PHONE] = "phone",
    [DETECT_CARD] = "card",
    [DETECT_IBAN] = "iban",
    [DETECT_NATIONAL_ID] = "national_id",
    [DETECT_IP] = "ip",
    [DETECT_CREDENTIAL] = "credential",
    [DETECT_TOKEN] = "token",
    [DETECT_SECRET] = "secret",
};

/* clang-format off */
#define L IS_LOWER | IS_LOCAL
#define U IS_UPPER | IS_LOCAL
#define D IS_DIGIT | IS_LOCAL
#define H IS_HIGH
const uint8_t detect_classes[256] = {
    ['a'] = L, ['b'] = L, ['c'] = L, ['d'] = L, ['e'] = L, ['f'] = L,
    ['g'] = L, ['h'] = L, ['i'] = L, ['j'] = L, ['k'] = L, ['l'] = L,
    ['m'] = L, ['n'] = L, ['o'] = L, ['p'] = L, ['q'] = L, ['r'] = L,
    ['s'] = L, ['t'] = L, ['u'] = L, ['v'] = L, ['w'] = L, ['x'] = L,
    ['y'] = L, ['z'] = L,
    ['A'] = U, ['B'] = U, ['C'] = U, ['D'] = U, ['E'] = U, ['F'] = U,
    ['G'] = U, ['H'] = U, ['I'] = U, ['J'] = U, ['K'] = U, ['L'] = U,
    ['M'] = U, ['N'] = U, ['O'] = U, ['P'] = U, ['Q'] = U, ['R'] = U,
    ['S'] = U, ['T'] = U, ['U'] = U, ['V'] = U, ['W'] = U, ['X'] = U,
    ['Y'] = U, ['Z'] = U,
    ['0'] = D, ['1'] = D, ['2'] = D, ['3'] = D, ['4'] = D, ['5'] = D,
    ['6'] = D, ['7'] = D, ['8'] = D, ['9'] = D,
    ['.'] = IS_LOCAL, ['_'] = IS_LOCAL, ['%'] = IS_LOCAL, ['-'] = IS_LOCAL,
    ['\''] = IS_LOCAL, ['!'] = IS_LOCAL, ['#'] = IS_LOCAL, ['$'] = IS_LOCAL,
    ['&'] = IS_LOCAL, ['*'] = IS_LOCAL, ['^'] = IS_LOCAL, ['~'] = IS_LOCAL,
    ['+'] = IS_LEAD | IS_LOCAL, ['('] = IS_LEAD,
    ['@'] = IS_AT, [':'] = IS_COLON,
    [0xc2] = H, [0xc3] = H, [0xc4] = H, [0xc5] = H, [0xc6] = H, [0xc7] = H,
    [0xc8] = H, [0xc9] = H, [0xca] = H, [0xcb] = H, [0xcc] = H, [0xcd] = H,
    [0xce] = H, [0xcf] = H, [0xd0] = H, [0xd1] = H, [0xd2] = H, [0xd3] = H,
    [0xd4] = H, [0xd5] = H, [0xd6] = H, [0xd7] = H, [0xd8] = H, [0xd9] = H,
    [0xda] = H, [0xdb] = H, [0xdc] = H, [0xdd] = H, [0xde] = H, [0xdf] = H,
    [0xe0] = H, [0xe1] = H, [0xe2] = H, [0xe3] = H, [0xe4] = H, [0xe5] = H,
    [0xe6] = H, [0xe7] = H, [0xe8] = H, [0xe9] = H, [0xea] = H, [0xeb] = H,
    [0xec] = H, [0xed] = H, [0xee] = H, [0xef] = H, [0xf0] = H, [0xf1] = H,
    [0xf2] = H, [0xf3] = H, [0xf4] = H,
};
#undef L
#undef U
#undef D
#undef H
/* clang-format on */

const char *detect_name(enum detect_kind kind)
{
    return (unsigned)kind < DETECT_COUNT ? names[kind] : "unknown";
}

enum detect_kind detect_of(struct span name)
{
    unsigned i = 0;

    while (i < DETECT_COUNT && !span_equal(span_text(names[i]), name))
        i++;
    return (enum detect_kind)i;
}

/* Folding ------------------------------------------------------------ */

/* Bytes of the character at i; 1 for what is not UTF-8. */
static size_t char_size(const struct scan *s, size_t i)
{
    uint8_t lead = s->text[i];
    size_t size = lead < 0xc2   ? 1
                  : lead < 0xe0 ? 2
                  : lead < 0xf0 ? 3
                  : lead < 0xf5 ? 4
                                : 1;

    if (size > s->size - i)
        return 1;
    for (size_t k = 1; k < size; k++)
        if ((s->text[i + k] & 0xc0) != 0x80)
            return 1;
    return size;
}

#define FOLD_NOTHING 0xff /* zero-width: belongs to what follows */

/* U+2000 to U+20FF: spaces, joiners, dashes, dots. */
static uint8_t fold_general(uint8_t second, uint8_t third)
{
    if (second == 0x80) {
        if (third <= 0x8a || third == 0xaf)
            return ' ';
        if (third <= 0x8f || (third >= 0xaa && third <= 0xae))
            return FOLD_NOTHING; /* joiners and marks of direction */
        if (third <= 0x95)
            return '-';
        return third == 0xa2 ? '.' : FOLD_OTHER; /* a bullet */
    }
    if (second == 0x81 && third == 0x9f)
        return ' ';
    if (second == 0x81 && third >= 0xa0 && third <= 0xa9)
        return FOLD_NOTHING;
    return second == 0x88 && third == 0x92 ? '-' : FOLD_OTHER; /* a minus */
}

/* U+FF01 to U+FF5E stand for ! to ~; and some small forms. */
static uint8_t fold_wide(uint8_t second, uint8_t third)
{
    if (second == 0xbc && third >= 0x81)
        return (uint8_t)(third - 0x60);
    if (second == 0xbd && third <= 0x9e)
        return (uint8_t)(third - 0x20);
    if (second == 0xbb && third == 0xbf)
        return FOLD_NOTHING; /* byte order mark */
    if (second == 0xb9 && third == 0xab)
        return '@';
    return second == 0xb9 && third == 0xa3 ? '-' : FOLD_OTHER;
}

static uint8_t fold_two(uint8_t lead, uint8_t second)
{
    if (lead == 0xc2) {
        if (second == 0xa0)
            return ' ';
        if (second == 0xad)
            return FOLD_NOTHING; /* soft hyphen */
        return second == 0xb7 ? '.' : FOLD_OTHER;
    }
    if (lead == 0xc3 && (second == 0x97 || second == 0xb7))
        return FOLD_OTHER; /* times, divided by */
    if (lead == 0xd9 && second >= 0xa0 && second <= 0xa9)
        return (uint8_t)(second - 0xa0 + '0');
    if (lead == 0xdb && second >= 0xb0 && second <= 0xb9)
        return (uint8_t)(second - 0xb0 + '0');
    return lead <= 0xd4 ? FOLD_LETTER : FOLD_OTHER;
}

static uint8_t fold_three(const uint8_t *c)
{
    if (c[0] == 0xef)
        return fold_wide(c[1], c[2]);
    if (c[0] == 0xe2)
        return fold_general(c[1], c[2]);
    if (c[0] == 0xe1 && c[1] >= 0xb8 && c[1] <= 0xbf)
        return FOLD_LETTER; /* Vietnamese, and Greek with accents */
    if (c[0] != 0xe3)
        return FOLD_OTHER;
    if (c[1] == 0x80 && c[2] == 0x80)
        return ' ';
    if (c[1] == 0x83 && c[2] == 0xbb)
        return '.'; /* the middle dot of Japanese */
    return c[1] == 0x83 && c[2] == 0xbc ? '-' : FOLD_OTHER;
}

uint8_t detect_fold_high(const struct scan *s, size_t i, size_t *next)
{
    uint8_t folded = FOLD_NOTHING;

    while (i < s->size && folded == FOLD_NOTHING) {
        size_t size = char_size(s, i);

        if (size == 1)
            folded = s->text[i] && s->text[i] < 0x80 ? s->text[i] : FOLD_OTHER;
        else if (size == 2)
            folded = fold_two(s->text[i], s->text[i + 1]);
        else
            folded = size == 3 ? fold_three(s->text + i) : FOLD_OTHER;
        i += size;
    }
    *next = i;
    return folded == FOLD_NOTHING ? FOLD_END : folded;
}

/* Scanning ----------------------------------------------------------- */

/* Past the word at i; flags gathers the classes of its characters. */
static size_t word_end(const struct scan *s, size_t i, unsigned *flags)
{
    *flags = 0;
    for (;;) {
        size_t next;
        uint8_t c;

        while (i < s->size && detect_classes[s->text[i]] & IS_WORD)
            *flags |= detect_classes[s->text[i++]];
        if (i >= s->size || !(detect_classes[s->text[i]] & IS_HIGH))
            return i;
        c = detect_fold_high(s, i, &next);
        if (!fold_is_word(c))
            return i;
        *flags |= c == FOLD_LETTER ? IS_LOWER | IS_HIGH
                                   : detect_classes[c] | (unsigned)IS_HIGH;
        i = next;
    }
}

/* "://" at i. */
static bool is_scheme_end(const struct scan *s, size_t i)
{
    return s->size - i >= 3 && memcmp(s->text + i, "://", 3) == 0;
}

/* Digits behind letters, "tel13800138000": where they begin in the word. */
static size_t first_digit(const struct scan *s, size_t i, size_t end)
{
    size_t next;

    while (i < end && !fold_is(detect_fold(s, i, &next), IS_DIGIT))
        i = next;
    return i;
}

static bool word_with_digits(struct scan *s, size_t i, size_t end,
                             struct detection *out)
{
    size_t digit = first_digit(s, i, end);

    if (digit == i)
        return detect_ipv4(s, i, out) || detect_number(s, i, out);
    if (digit == i + 6 && memcmp(s->text + i, "IBAN", 4) == 0 &&
        detect_iban(s, i + 4, out))
        return true;
    if (digit == i + 2 && (s->text[i] | 0x20) == 'i' &&
        (s->text[i + 1] | 0x20) == 'p' && detect_ipv4(s, digit, out))
        return true; /* IP192.0.2.1 */
    return detect_iban(s, i, out) || detect_number(s, digit, out);
}

/* Whether what follows the word that ends at i lets it be, or belong to, a
 * local part: most words are followed by a space and another word. */
static bool may_be_local(const struct scan *s, size_t i)
{
    uint8_t b;

    if (i >= s->size)
        return false;
    if (s->text[i] != ' ')
        return detect_classes[s->text[i]] & (IS_LOCAL | IS_AT | IS_HIGH) ||
               s->text[i] == '(' || s->text[i] == '[' || s->text[i] == '{' ||
               s->text[i] == '<';
    b = i + 1 < s->size ? s->text[i + 1] : 0;
    if (b == 'a' || b == 'A')
        return i + 3 < s->size && s->text[i + 3] == ' ';
    return b == '@' || b == '(' || b == '[' || b == '{' || b == '<' ||
           b >= 0x80;
}

/* Whether a run of the characters of tokens is long enough, or may be. */
static bool may_be_token(const struct scan *s, size_t i, size_t end)
{
    uint8_t b = end < s->size ? s->text[end] : 0;

    return end - i >= 16 || (b == '.' && end - i <= 4) || b == '-' ||
           b == '_' || b == '+' || b == '/';
}

/* The word at i, which ends at end: true if something begins with it. */
static bool word(struct scan *s, size_t i, size_t end, unsigned flags,
                 struct detection *out)
{
    unsigned after = end < s->size ? detect_classes[s->text[end]] : 0;

    if (i >= s->local_end && may_be_local(s, end) && detect_email(s, i, out))
        return true;
    if (after & IS_COLON) {
        if (is_scheme_end(s, end) && detect_userinfo(s, end + 3, out))
            return true;
        if (detect_ipv6(s, i, out))
            return true;
    }
    if (detect_secret(s, i, out))
        return true;
    if (end - i == 2 && flags == IS_UPPER && detect_iban(s, i, out))
        return true; /* DE 89 ... */
    if (flags & IS_DIGIT && word_with_digits(s, i, end, out))
        return true;
    return i >= s->blob_end && may_be_token(s, i, end) &&
           detect_token(s, i, out);
}

/* A character that may begin something without being of a word. */
static bool special(struct scan *s, size_t i, uint8_t c, struct detection *out)
{
    size_t next;

    if (c == '@')
        return detect_quoted_email(s, i, out);
    if (c == ':') /* a::b is C++ unless it was an address from a on */
        return (i == s->floor || !(detect_classes[s->text[i - 1]] & IS_WORD)) &&
               detect_ipv6(s, i, out);
    if (fold_is(c, IS_LEAD)) {
        size_t beyond;

        detect_fold(s, i, &next);
        c = detect_fold(s, next, &beyond);
        if (fold_is(c, IS_DIGIT) && detect_email(s, next, out))
            return true;
        if (fold_is(c, IS_DIGIT | IS_LEAD) || c == ' ')
            return detect_number(s, i, out);
        return false;
    }
    return c == FOLD_OTHER && detect_han_secret(s, i, out);
}

size_t detect(struct span text, uint32_t kinds, struct detection *out,
              size_t max)
{
    struct scan s = {.text = text.data, .size = text.size, .kinds = kinds};
    size_t count = 0, i = 0;

    while (i < s.size && count < max) {
        unsigned class = detect_classes[s.text[i]];
        size_t next = i + 1;
        bool found = false;

        if (class & IS_HIGH) {
            uint8_t c = detect_fold_high(&s, i, &next);

            class = c == FOLD_LETTER ? IS_LOWER
                    : c < 0x80       ? detect_classes[c]
                                     : 0u;
            if (!(class & IS_WORD))
                found = special(&s, i, c, &out[count]);
        } else if (class & (IS_LEAD | IS_AT | IS_COLON)) {
            found = special(&s, i, s.text[i], &out[count]);
        }
        if (class & IS_WORD) {
            unsigned flags;

            next = word_end(&s, i, &flags);
            found = word(&s, i, next, flags, &out[count]);
        }
        if (found) {
            next = out[count].start + out[count].size;
            s.floor = next;
            s.local_end = s.blob_end = 0; /* as if the text began here */
            count++;
        }
        i = next;
    }
    return count;
}

/* Redacting ---------------------------------------------------------- */

static size_t placeholder(char out[24], enum detect_kind kind)
{
    size_t size = strlen(names[kind]);

    out[0] = '[';
    memcpy(out + 1, names[kind], size);
    out[size + 1] = ']';
    return size + 2;
}

struct writer {
    uint8_t *out;
    size_t size, max;
    bool full;
};

/* As much of a stretch of text as fits, cut between characters. */
static void write_text(struct writer *w, const uint8_t *text, size_t size)
{
    if (size > w->max - w->size) {
        size = w->max - w->size;
        while (size > 0 && (text[size] & 0xc0) == 0x80)
            size--;
        w->full = true;
    }
    if (size > 0)
        memmove(w->out + w->size, text, size);
    w->size += size;
}

static void write_placeholder(struct writer *w, enum detect_kind kind)
{
    char text[24];
    size_t size = placeholder(text, kind);

    if (size > w->max - w->size) {
        w->full = true;
        return;
    }
    memcpy(w->out + w->size, text, size);
    w->size += size;
}

/* One round from text to w; whether anything was replaced. */
static bool redact_into(struct writer *w, struct span text, uint32_t kinds)
{
    struct detection found[REDACT_STEP];
    size_t at = 0, count;
    bool any = false;

    do {
        size_t from = at;

        count = detect(span_of(text.data + from, text.size - from), kinds,
                       found, REDACT_STEP);
        for (size_t k = 0; k < count && !w->full; k++) {
            size_t start = from + found[k].start;

            write_text(w, text.data + at, start - at);
            if (!w->full)
                write_placeholder(w, found[k].kind);
            at = start + found[k].size;
            any = true;
        }
    } while (count == REDACT_STEP && !w->full);
    if (!w->full)
        write_text(w, text.data + at, text.size - at);
    return any;
}

/* One round in place; whether anything was replaced. A placeholder may be
 * longer than what it stands for, so what follows moves first. */
static bool redact_again(uint8_t *out, size_t *size, size_t max, uint32_t kinds)
{
    struct detection found;
    size_t at = 0;
    bool any = false;

    while (at < *size &&
           detect(span_of(out + at, *size - at), kinds, &found, 1) > 0) {
        size_t start = at + found.start, end = start + found.size, room;
        struct writer w = {out, start, max, false};
        char text[24];

        room = placeholder(text, found.kind);
        any = true;
        if (room > max - start) {
            *size = start;
            return any;
        }
        if (*size - end > max - start - room) {
            *size = end + (max - start - room);
            while (*size > end && (out[*size] & 0xc0) == 0x80)
                --*size;
        }
        memmove(out + start + room, out + end, *size - end);
        *size = start + room + (*size - end);
        write_placeholder(&w, found.kind);
        at = w.size;
    }
    return any;
}

size_t detect_redact(uint8_t *out, size_t out_max, struct span text,
                     uint32_t kinds)
{
    struct writer w = {out, 0, out_max, false};

    if (!redact_into(&w, text, kinds) && !w.full)
        return w.size;
    while (redact_again(out, &w.size, out_max, kinds))
        ;
    memset(out + w.size, 0, out_max - w.size); /* of earlier rounds */
    return w.size;
}
