/* Durations, bases and dates as an officer says them. */
#include "agent/policy_tool/words.h"

#include <stdio.h>

static const struct unit {
    int64_t ms;
    const char *name;
} units[] = {
    {DAY_MS, "day"},
    {DAY_MS / 24, "hour"},
    {60 * INT64_C(1000), "minute"},
    {1000, "second"},
};

const char *words_duration(char out[WORDS_SIZE], int64_t ms)
{
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (ms >= units[i].ms && ms % units[i].ms == 0) {
            snprintf(out, WORDS_SIZE, "%lld %s%s",
                     (long long)(ms / units[i].ms), units[i].name,
                     ms == units[i].ms ? "" : "s");
            return out;
        }
    snprintf(out, WORDS_SIZE, "%lld ms", (long long)ms);
    return out;
}

const char *words_retention(char out[2 * WORDS_SIZE], int64_t retention_ms)
{
    char duration[WORDS_SIZE];

    if (retention_ms == 0)
        snprintf(out, 2 * WORDS_SIZE, "for good, for no retention is stated");
    else
        snprintf(out, 2 * WORDS_SIZE, "%s after the event",
                 words_duration(duration, retention_ms));
    return out;
}

const char *words_epoch(char out[WORDS_SIZE], int64_t epoch_ms)
{
    char duration[WORDS_SIZE];

    if (epoch_ms == 0)
        snprintf(out, WORDS_SIZE, "for ever");
    else
        snprintf(out, WORDS_SIZE, "within %s",
                 words_duration(duration, epoch_ms));
    return out;
}

/* GDPR, article 6(1). */
static const struct {
    const char *words, *article;
} bases[BASIS_COUNT] = {
    [BASIS_CONSENT] = {"consent", "GDPR, article 6(1)(a)"},
    [BASIS_CONTRACT] = {"contract", "GDPR, article 6(1)(b)"},
    [BASIS_LEGAL_OBLIGATION] = {"legal obligation", "GDPR, article 6(1)(c)"},
    [BASIS_LEGITIMATE_INTEREST] = {"legitimate interest",
                                   "GDPR, article 6(1)(f)"},
};

const char *words_basis(enum basis basis)
{
    return (unsigned)basis < BASIS_COUNT ? bases[basis].words : "unknown";
}

const char *words_article(enum basis basis)
{
    return (unsigned)basis < BASIS_COUNT ? bases[basis].article : "unknown";
}

const char *words_date(char out[32], int64_t ms)
{
    when_format(out, ms);
    out[strcspn(out, "T")] = '\0';
    return out;
}

enum sotto_err words_add(struct buf *out, const char *format, ...)
{
    char line[WORDS_LINE_MAX];
    va_list args;
    size_t size;

    va_start(args, format);
    size = text_vprint(line, sizeof(line), format, args);
    va_end(args);
    return buf_append(out, line, size);
}
