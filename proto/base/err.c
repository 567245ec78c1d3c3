/* The table of error codes: one row a code, checked to be complete. */
#include "base/err.h"

#include <stdio.h>

struct err_row {
    const char *name;
    const char *text;
    enum sotto_exit exit_code;
};

static const struct err_row rows[] = {
    [SOTTO_OK] = {"OK", "no error", EXIT_GOOD},
    [SOTTO_EINVAL] = {"EINVAL", "a value is wrong", EXIT_USAGE},
    [SOTTO_ENOMEM] = {"ENOMEM", "there is no memory left", EXIT_FINDINGS},
    [SOTTO_EIO] = {"EIO", "a file, socket or disk failed", EXIT_USAGE},
    [SOTTO_EFULL] = {"EFULL", "a queue or disk is full", EXIT_REFUSED},
    [SOTTO_EDENIED] = {"EDENIED", "consent or policy forbids it", EXIT_REFUSED},
    [SOTTO_ENOTFOUND] = {"ENOTFOUND", "there is no such thing", EXIT_USAGE},
    [SOTTO_EEXIST] = {"EEXIST", "it exists already", EXIT_REFUSED},
    [SOTTO_ELOCKED] = {"ELOCKED", "another process owns the data directory",
                       EXIT_REFUSED},
    [SOTTO_EDECODE] = {"EDECODE", "the bytes are not what they claim to be",
                       EXIT_USAGE},
    [SOTTO_ETOOBIG] = {"ETOOBIG", "it is over a limit", EXIT_USAGE},
    [SOTTO_ECRYPTO] = {"ECRYPTO", "a signature, seal or key is wrong",
                       EXIT_INTEGRITY},
    [SOTTO_EREFUSED] = {"EREFUSED", "the other side refused it", EXIT_REFUSED},
    [SOTTO_EAGAIN] = {"EAGAIN", "it is not possible now; try again later",
                      EXIT_REFUSED},
    [SOTTO_ETIMEOUT] = {"ETIMEOUT", "there was no answer in time",
                        EXIT_FINDINGS},
    [SOTTO_ECLOSED] = {"ECLOSED", "it is closing", EXIT_REFUSED},
    [SOTTO_EVERSION] = {"EVERSION", "this program does not speak that version",
                        EXIT_USAGE},
};

static const struct err_row unknown = {"EUNKNOWN", "an unknown error",
                                       EXIT_FINDINGS};

_Static_assert(sizeof(rows) / sizeof(rows[0]) == SOTTO_ERR_COUNT,
               "every error code has a row");

static const struct err_row *row_of(enum sotto_err err)
{
    size_t i = (size_t)err; /* a negative value becomes a large one */

    return i < SOTTO_ERR_COUNT ? &rows[i] : &unknown;
}

const char *err_name(enum sotto_err err)
{
    return row_of(err)->name;
}

const char *err_text(enum sotto_err err)
{
    return row_of(err)->text;
}

enum sotto_exit err_exit(enum sotto_err err)
{
    return row_of(err)->exit_code;
}

/* Where the character that holds text[at] begins. */
static size_t character_start(const char *text, size_t at)
{
    while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80)
        at--;
    return at;
}

size_t text_vprint(char *out, size_t out_size, const char *format, va_list args)
{
    int n = vsnprintf(out, out_size, format, args);
    size_t size = n < 0 ? 0 : (size_t)n;

    if (size >= out_size) {
        size = out_size - 1;
        /* What followed is gone, so a last character that is not ASCII may be
         * half of one: it goes too. */
        if (size > 0 && ((unsigned char)out[size - 1] & 0x80))
            size = character_start(out, size - 1);
    }
    out[size] = '\0';
    return size;
}

enum sotto_err why_say(struct why *why, enum sotto_err err, const char *format,
                       ...)
{
    struct why said; /* apart, for an argument may be why->text itself */
    va_list args;

    if (!why)
        return err;
    va_start(args, format);
    text_vprint(said.text, sizeof(said.text), format, args);
    va_end(args);
    *why = said;
    return err;
}
