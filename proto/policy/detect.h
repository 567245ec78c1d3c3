/* Identifiers in free text: one pass over UTF-8, no allocation, no state.
 *
 * What people write counts, not only what a standard prints: full-width
 * digits and letters of a Chinese keyboard, spaces (also those that do not
 * break), dots, dashes and parentheses between digits, zero-width characters.
 * Numbers with a checksum are asked for it. A detector errs on the side of
 * finding: what it leaves out of a text cannot leak.
 *
 * It finds forms, not people: names, addresses in words, or a story that only
 * one person can tell pass through. Redacted text is not anonymous.
 *
 * Threads: all functions are pure. Time: linear in the text; the look-back
 * and look-ahead of one match are bounded, or visit a byte once. */
#ifndef SOTTO_POLICY_DETECT_H
#define SOTTO_POLICY_DETECT_H

#include "base/buf.h"

enum detect_kind {
    DETECT_EMAIL,       /* RFC 5321, 6531; also "name (at) site (dot) org" */
    DETECT_PHONE,       /* E.164; national with separators; Chinese mobile */
    DETECT_CARD,        /* ISO/IEC 7812: issuer's prefix, length, Luhn */
    DETECT_IBAN,        /* ISO 13616: length by country, mod 97 = 1 */
    DETECT_NATIONAL_ID, /* GB 11643-1999: region, date, ISO 7064 MOD 11-2 */
    DETECT_IP,          /* RFC 791, 4291 */
    DETECT_CREDENTIAL,  /* RFC 3986 userinfo: ://user:password@ */
    DETECT_TOKEN,       /* JWT, UUID, keys of known makers, random strings */
    DETECT_SECRET,      /* the value after "password:", "?token=", ... */
    DETECT_COUNT
};

#define DETECT_ALL ((UINT32_C(1) << DETECT_COUNT) - 1)

/* Name in policies and placeholders: "email". */
const char *detect_name(enum detect_kind kind);
enum detect_kind detect_of(struct span name); /* DETECT_COUNT if unknown */

struct detection {
    size_t start, size; /* bytes of the text */
    enum detect_kind kind;
};

/* Fills out with at most max detections of the kinds (bits 1 << kind), sorted,
 * without overlap, never empty, and returns how many. They begin and end
 * between characters if the text is UTF-8; any bytes may be given. If max was
 * returned, go on behind the last one: a match never depends on bytes before
 * the end of another. */
size_t detect(struct span text, uint32_t kinds, struct detection *out,
              size_t max);

/* Writes text with "[email]" and so on in place of what detect() finds, at
 * most out_max bytes, and returns how many: a text that is longer is cut
 * between characters, and never inside a placeholder. detect() finds nothing
 * in the result, and nothing else of the text is left in out, which may not
 * overlap it. */
size_t detect_redact(uint8_t *out, size_t out_max, struct span text,
                     uint32_t kinds);

#endif
