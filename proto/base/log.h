/* One event, one line on standard error: level, module, fact, cause, next
 * action. No call accepts a raw event, a key or a payload; what is printed of
 * a person is nothing, not even a pseudonym. Thread-safe (one write a line). */
#ifndef SOTTO_BASE_LOG_H
#define SOTTO_BASE_LOG_H

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Set once at start, before threads. Default LOG_INFO; a library host sets
 * LOG_WARN. */
void log_set_level(enum log_level level);

__attribute__((format(printf, 3, 4))) void
log_line(enum log_level level, const char *module, const char *format, ...);

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

#endif
