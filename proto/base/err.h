/* Error codes of the whole product, and their text.
 *
 * A function that can fail returns enum sotto_err, zero for success. The
 * table in err.c holds name and sentence; the public header repeats the values
 * an application may meet, and sdk/sotto.c asserts that they agree. */
#ifndef SOTTO_BASE_ERR_H
#define SOTTO_BASE_ERR_H

#include <stdarg.h>
#include <stddef.h>

enum sotto_err {
    SOTTO_OK = 0,
    SOTTO_EINVAL,   /* the caller's argument or a text is wrong */
    SOTTO_ENOMEM,   /* no memory */
    SOTTO_EIO,      /* a file, socket or disk failed */
    SOTTO_EFULL,    /* a bounded queue, ring or disk is full */
    SOTTO_EDENIED,  /* consent or policy forbids it */
    SOTTO_ENOTFOUND, /* no such thing */
    SOTTO_EEXIST,   /* it is there already */
    SOTTO_ELOCKED,  /* the data directory has another owner */
    SOTTO_EDECODE,  /* bytes that are not what they claim to be */
    SOTTO_ETOOBIG,  /* over a limit */
    SOTTO_ECRYPTO,  /* a signature, seal or key is wrong */
    SOTTO_EREFUSED, /* the other side said no, for good */
    SOTTO_EAGAIN,   /* not now; later */
    SOTTO_ETIMEOUT, /* the deadline passed */
    SOTTO_ECLOSED,  /* the thing is closing */
    SOTTO_EVERSION, /* a version this program does not speak */
    SOTTO_ERR_COUNT
};

/* Exit codes of every command (ARCHITECTURE, "Command-line conventions"). */
enum sotto_exit {
    EXIT_GOOD = 0,
    EXIT_FINDINGS = 1,
    EXIT_USAGE = 2,     /* usage, or unreadable input */
    EXIT_INTEGRITY = 3, /* a signature or an integrity check failed */
    EXIT_REFUSED = 4,
    EXIT_RISK = 5, /* a policy's risk went up without the second signature */
};

/* A short name ("EFULL") and a sentence; never NULL, for any value. */
const char *err_name(enum sotto_err err);
const char *err_text(enum sotto_err err);

/* The exit code that tells the shell about err. */
enum sotto_exit err_exit(enum sotto_err err);

/* A sentence for a person: what, where (file, line, field), what to do.
 * Functions that read what people wrote take one and fill it on failure.
 * Never holds personal data: it names fields, not their contents. */
struct why {
    char text[400];
};

/* Writes the sentence and returns err, so that a failing path is one line:
 *     return why_say(why, SOTTO_EINVAL, "%s:%d: ...", file, line);
 * why may be NULL. A text that does not fit is cut at a character. */
__attribute__((format(printf, 3, 4))) enum sotto_err
why_say(struct why *why, enum sotto_err err, const char *format, ...);

/* vsnprintf that never leaves half of a UTF-8 character. out_size is at least
 * 1; returns the length of what is in out, which ends with a zero byte. */
__attribute__((format(printf, 3, 0))) size_t
text_vprint(char *out, size_t out_size, const char *format, va_list args);

#endif
