/* Windows over a file. A leak belongs to the window in which it begins, and
 * a window ends before the bytes that are kept for the next one, so that what
 * lies across an end is seen whole, once.
 *
 * How often chance finds something in random bytes: two in five are printable
 * or belong to a UTF-8 character, so one stretch of RUN_MIN begins in 17,000
 * bytes; to hold an e-mail address there, four classes of characters and two
 * given ones have to meet, under one of some fifty top-level domains of 9,025
 * pairs, all in one case: about 1 in 3e5 stretches, or one in 5 GB. Thirteen
 * digits in a row come once in 1e18 bytes. */
#include "agent/policy_tool/leakscan.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#define WINDOW (1024 * 1024)
#define KEPT 8192 /* over CANARY_FORM_MAX, and over what is detected at once   \
                   */
#define STEP 64   /* detections at a time */
#define RUN_MIN 10
#define KINDS_BINARY                                                           \
    (1u << DETECT_EMAIL | 1u << DETECT_CARD | 1u << DETECT_IBAN |              \
     1u << DETECT_NATIONAL_ID | 1u << DETECT_CREDENTIAL)

struct window {
    uint8_t *bytes;
    size_t size;
    size_t limit;    /* leaks begin below it */
    uint64_t offset; /* of bytes in the file */
    size_t detected; /* bytes up to here were detected with the last window */
    bool last;
};

static void report(struct leakscan *s, const struct window *w, size_t at,
                   enum detect_kind kind, const struct canary_hit *hit)
{
    struct leak leak = {w->offset + at, kind, 0, NULL};

    if (hit) {
        leak.canary = hit->number;
        leak.form = hit->form;
    }
    s->found(s->context, &leak);
}

static void find_canaries(struct leakscan *s, const struct window *w)
{
    struct span bytes = span_of(w->bytes, w->size);
    struct canary_hit hit;
    size_t at = 0;

    while (s->canaries &&
           canaries_find(s->canaries, bytes, at, w->limit, &hit)) {
        report(s, w, hit.offset, DETECT_COUNT, &hit);
        at = hit.offset + 1;
    }
}

/* Detecting ---------------------------------------------------------- */

/* Bytes of the printable character at i, or 0: RFC 3629, and no controls but
 * tab, line feed and carriage return. */
static size_t printable(const struct window *w, size_t i)
{
    uint8_t b = w->bytes[i];
    size_t size = b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;

    if (b < 0x80)
        return (b >= ' ' && b != 0x7f) || b == '\t' || b == '\n' || b == '\r';
    if (b < 0xc2 || b > 0xf4 || size > w->size - i)
        return 0;
    for (size_t k = 1; k < size; k++)
        if ((w->bytes[i + k] & 0xc0) != 0x80)
            return 0;
    return size;
}

/* Past the printable characters from i on. */
static size_t run_end(const struct window *w, size_t i)
{
    size_t size;

    while (i < w->size && (size = printable(w, i)) > 0)
        i += size;
    return i;
}

/* A window is text if it is printable but for a character that is cut at its
 * begin or end. */
static bool is_text(const struct window *w)
{
    size_t i = 0;

    while (i < w->size && i < 3 && (w->bytes[i] & 0xc0) == 0x80)
        i++;
    return run_end(w, i) + (w->last ? 0 : 3) >= w->size;
}

/* Top-level domains that an address in binary bytes has to have. */
static bool is_known_top(const uint8_t *top, size_t size)
{
    static const char *const tops[] = {
        "com", "net", "org", "edu", "gov",     "info", "biz",    "app", "dev",
        "io",  "co",  "de",  "cn",  "fr",      "uk",   "eu",     "ch",  "at",
        "nl",  "it",  "es",  "pl",  "pt",      "ru",   "jp",     "kr",  "in",
        "br",  "us",  "ca",  "au",  "se",      "no",   "dk",     "fi",  "be",
        "cz",  "hk",  "tw",  "sg",  "mx",      "tr",   "ie",     "lu",  "me",
        "tv",  "hu",  "gr",  "ro",  "example", "test", "invalid"};

    for (size_t k = 0; k < sizeof(tops) / sizeof(tops[0]); k++) {
        size_t i = 0;

        while (tops[k][i] && i < size && (top[i] | 0x20) == (uint8_t)tops[k][i])
            i++;
        if (!tops[k][i] && i == size)
            return true;
    }
    return false;
}

/* Whether chance would hardly make this e-mail address. */
static bool is_sure_email(const uint8_t *text, size_t size)
{
    size_t dot = size, at = 0;
    bool lowers = false, uppers = false;

    while (dot > 0 && text[dot - 1] != '.')
        dot--;
    while (at < size && text[at] != '@')
        at++;
    for (size_t i = at; i < size; i++) {
        lowers |= text[i] >= 'a' && text[i] <= 'z';
        uppers |= text[i] >= 'A' && text[i] <= 'Z';
    }
    return size >= RUN_MIN && at >= 2 && dot > at + 3 && !(lowers && uppers) &&
           is_known_top(text + dot, size - dot);
}

/* Detects in [from, end) of the window; past the last one that was found. */
static size_t detect_run(struct leakscan *s, const struct window *w,
                         size_t from, size_t end, bool text)
{
    struct detection d[STEP];
    uint32_t kinds = text ? s->kinds : s->kinds & KINDS_BINARY;
    size_t count, at = from;

    do {
        size_t base = at;

        count = detect(span_of(w->bytes + base, end - base), kinds, d, STEP);
        for (size_t k = 0; k < count; k++) {
            size_t start = base + d[k].start;

            if (start >= w->limit)
                return at;
            at = start + d[k].size;
            if (text || d[k].kind != DETECT_EMAIL ||
                is_sure_email(w->bytes + start, d[k].size))
                report(s, w, start, d[k].kind, NULL);
        }
    } while (count == STEP);
    return at;
}

/* Returns up to where the window is detected, at least its limit. */
static size_t find_kinds(struct leakscan *s, const struct window *w)
{
    size_t at = w->detected, done = w->limit;

    if (s->kinds == 0)
        return done;
    if (is_text(w)) {
        at = detect_run(s, w, at, w->size, true);
        return at > done ? at : done;
    }
    while (at < w->limit) {
        size_t end = run_end(w, at);

        if (end - at >= RUN_MIN) {
            size_t found = detect_run(s, w, at, end, false);

            done = found > done ? found : done;
        }
        at = end + 1;
    }
    return done;
}

/* Reading ------------------------------------------------------------ */

/* Fills the window; sets last at the end of the file. */
static enum sotto_err window_fill(struct window *w, int fd)
{
    while (w->size < WINDOW) {
        ssize_t got = read(fd, w->bytes + w->size, WINDOW - w->size);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return SOTTO_EIO;
        if (got == 0) {
            w->last = true;
            break;
        }
        w->size += (size_t)got;
    }
    return SOTTO_OK;
}

/* The limit lies behind white space or a zero byte if one is near, so that the
 * next window does not begin inside of a word. */
static void window_limit(struct window *w)
{
    if (w->last) {
        w->limit = w->size;
        return;
    }
    w->limit = w->size - KEPT;
    for (size_t back = 0; back < KEPT; back++) {
        uint8_t before = w->bytes[w->limit - back - 1];

        if (before == '\n' || before == ' ' || before == '\0') {
            w->limit -= back;
            return;
        }
    }
}

/* Moves what lies behind the limit to the front. */
static void window_move(struct window *w, size_t detected)
{
    memmove(w->bytes, w->bytes + w->limit, w->size - w->limit);
    w->offset += w->limit;
    w->size -= w->limit;
    w->detected = detected - w->limit;
}

enum sotto_err leakscan_fd(struct leakscan *s, int fd)
{
    struct window w = {.bytes = malloc(WINDOW)};
    enum sotto_err err = w.bytes ? SOTTO_OK : SOTTO_ENOMEM;

    while (!err && !w.last) {
        err = window_fill(&w, fd);
        if (err)
            break;
        window_limit(&w);
        find_canaries(s, &w);
        s->bytes += w.limit;
        window_move(&w, find_kinds(s, &w));
    }
    if (w.bytes)
        sodium_memzero(w.bytes, WINDOW);
    free(w.bytes);
    return err;
}
