/* Between detect.c (the scan), detect_number.c and detect_word.c (what is
 * matched where it stops); nobody else includes this. */
#ifndef SOTTO_POLICY_DETECT_PARTS_H
#define SOTTO_POLICY_DETECT_PARTS_H

#include "policy/detect.h"

/* Classes of bytes and of folded characters. */
enum {
    IS_LOWER = 1,
    IS_UPPER = 2,
    IS_DIGIT = 4,
    IS_WORD = 7,
    IS_LOCAL = 8, /* inside the local part of an e-mail address */
    IS_LEAD = 16, /* may come before the first digit: + ( */
    IS_AT = 32,
    IS_COLON = 64,
    IS_HIGH = 128, /* first byte of a longer character */
};
extern const uint8_t detect_classes[256];

/* Folded characters that are not ASCII. */
enum {
    FOLD_END = 0,
    FOLD_LETTER = 0x80, /* of an alphabet: é, ß, я */
    FOLD_OTHER = 0x81,  /* Han, emoji, punctuation: parts words */
};

struct scan {
    const uint8_t *text;
    size_t size;
    size_t floor; /* end of the last detection: nothing looks before it */
    uint32_t kinds;
    /* The run of characters of a local part, looked at once. */
    size_t local_end;
    size_t local_at; /* past its at-sign, 0 if none follows */
    /* The run of characters of a token, looked at once. */
    size_t blob_end;
};

/* The character at i as ASCII if it stands for some: full-width forms, spaces
 * and dashes of all widths, Arabic digits. Zero-width characters before it
 * belong to it. *next is past it; FOLD_END at the end. */
uint8_t detect_fold_high(const struct scan *s, size_t i, size_t *next);
static inline uint8_t detect_fold(const struct scan *s, size_t i, size_t *next)
{
    if (i < s->size && s->text[i] < 0x80 && s->text[i] > 0) {
        *next = i + 1;
        return s->text[i];
    }
    return detect_fold_high(s, i, next);
}

static inline bool fold_is(uint8_t c, unsigned classes)
{
    return c < 0x80 && detect_classes[c] & classes;
}

static inline bool fold_is_word(uint8_t c)
{
    return c == FOLD_LETTER || fold_is(c, IS_WORD);
}

static inline uint8_t fold_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

static inline bool scan_wants(const struct scan *s, enum detect_kind kind)
{
    return s->kinds >> kind & 1;
}

/* What a word before a number says about it. */
enum cue { CUE_NONE, CUE_PHONE, CUE_OTHER, CUE_VERSION };
enum cue detect_cue(const struct scan *s, size_t i);

/* Each looks at i, and on a match fills out and returns true. */
bool detect_number(const struct scan *s, size_t i, struct detection *out);
bool detect_iban(const struct scan *s, size_t i, struct detection *out);
bool detect_ipv4(const struct scan *s, size_t i, struct detection *out);
bool detect_ipv6(const struct scan *s, size_t i, struct detection *out);
bool detect_email(struct scan *s, size_t i, struct detection *out);
bool detect_quoted_email(const struct scan *s, size_t at,
                         struct detection *out);
bool detect_userinfo(const struct scan *s, size_t i, struct detection *out);
bool detect_token(struct scan *s, size_t i, struct detection *out);
bool detect_secret(const struct scan *s, size_t i, struct detection *out);
bool detect_han_secret(const struct scan *s, size_t i, struct detection *out);

static inline bool detection_make(struct detection *out, enum detect_kind kind,
                                  size_t start, size_t end)
{
    *out = (struct detection){start, end - start, kind};
    return true;
}

#endif
