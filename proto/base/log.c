/* One event, one line, one write(2): lines of several threads, or of several
 * processes with one standard error, do not mix. Control characters become
 * '?', so no text from outside can forge a second line. */
#include "base/log.h"

#include "base/clock.h"
#include "base/when.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_SIZE 1024 /* below PIPE_BUF: a pipe takes it whole */

static const char *const level_names[] = {
    [LOG_ERROR] = "error",
    [LOG_WARN] = "warn",
    [LOG_INFO] = "info",
    [LOG_DEBUG] = "debug",
};

/* The process's one setting here: written once, before threads start. */
static enum log_level level_most = LOG_INFO;

void log_set_level(enum log_level level)
{
    level_most = level;
}

static void hide_controls(char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
    }
}

void log_line(enum log_level level, const char *module, const char *format, ...)
{
    int errno_before = errno; /* for %m, and for the caller */
    char line[LINE_SIZE + 1];
    char when[32];
    int64_t now_ms;
    ssize_t written;
    size_t size;
    va_list args;
    int n;

    if (level > level_most)
        return;
    now_ms = clock_wall_ms(&clock_system);
    when_format(when, now_ms - now_ms % 1000);
    n = snprintf(line, sizeof(line), "%s %-5s %.32s: ", when,
                 level_names[level], module);
    size = n < 0 ? 0 : (size_t)n;
    errno = errno_before;
    va_start(args, format);
    size += text_vprint(line + size, LINE_SIZE - size, format, args);
    va_end(args);
    hide_controls(line);
    line[size++] = '\n';
    /* Nobody is left to tell if standard error is gone. */
    written = write(STDERR_FILENO, line, size);
    (void)written;
    errno = errno_before;
}
