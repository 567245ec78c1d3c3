/* Two tables of rules: the first whose mark stands in the text decides. Most
 * browsers call themselves by the names of others too, so order matters: what
 * is said by one alone stands before what all of them say. */
#include "policy/useragent.h"

#include <assert.h>
#include <string.h>

struct rule {
    const char *mark;
    const char *family;
};

static const struct rule browsers[] = {
    {"bot", "bot"},
    {"Bot", "bot"},
    {"crawl", "bot"},
    {"spider", "bot"},
    {"Spider", "bot"},
    {"HeadlessChrome", "bot"},
    {"curl/", "bot"},
    {"Wget/", "bot"},
    {"python-requests/", "bot"},
    {"MicroMessenger/", "wechat"},
    {"Edg/", "edge"},
    {"EdgA/", "edge"},
    {"EdgiOS/", "edge"},
    {"Edge/", "edge"},
    {"OPR/", "opera"},
    {"Opera", "opera"},
    {"SamsungBrowser/", "samsung"},
    {"UCBrowser/", "uc"},
    {"YaBrowser/", "yandex"},
    {"FxiOS/", "firefox"},
    {"Firefox/", "firefox"},
    {"CriOS/", "chrome"},
    {"Chrome/", "chrome"},
    {"Chromium/", "chrome"},
    {"Trident/", "ie"},
    {"MSIE ", "ie"},
    {"Safari/", "safari"}, /* last: nearly everyone says so */
};

static const struct rule systems[] = {
    {"HarmonyOS", "harmonyos"}, /* also says Android */
    {"Android", "android"},     /* also says Linux */
    {"iPhone", "ios"},          /* also says Mac OS X */
    {"iPad", "ios"},
    {"iPod", "ios"},
    {"CrOS", "chromeos"},
    {"Windows", "windows"},
    {"Macintosh", "macos"},
    {"Mac OS X", "macos"},
    {"Linux", "linux"},
};

static const char other[] = "other";

#define RULES(table) (table), sizeof(table) / sizeof((table)[0])

static bool stands_in(struct span text, const char *mark)
{
    const size_t size = strlen(mark);
    const uint8_t *at = text.data;
    size_t left = text.size;

    while (left >= size) {
        const uint8_t *found = memchr(at, mark[0], left - size + 1);

        if (!found)
            return false;
        if (memcmp(found, mark, size) == 0)
            return true;
        left -= (size_t)(found - at) + 1;
        at = found + 1;
    }
    return false;
}

static const char *family_of(struct span text, const struct rule *rules,
                             size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (stands_in(text, rules[i].mark))
            return rules[i].family;
    return other;
}

static bool is_family(struct span word, const struct rule *rules, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (span_equal(span_text(rules[i].family), word))
            return true;
    return span_equal(span_text(other), word);
}

size_t useragent_family(char out[USERAGENT_TEXT_MAX], struct span agent)
{
    const char *browser, *system;
    size_t size, system_size;

    if (agent.size > USERAGENT_READ_MAX)
        agent.size = USERAGENT_READ_MAX;
    browser = family_of(agent, RULES(browsers));
    system = family_of(agent, RULES(systems));
    size = strlen(browser);
    system_size = strlen(system);
    assert(size + 1 + system_size <= USERAGENT_TEXT_MAX);
    memcpy(out, browser, size);
    if (browser == other && system == other)
        return size;
    out[size] = '/';
    memcpy(out + size + 1, system, system_size);
    return size + 1 + system_size;
}

bool useragent_fits(struct span text)
{
    const uint8_t *slash = memchr(text.data, '/', text.size);
    size_t size;

    if (!slash)
        return span_equal(span_text(other), text);
    size = (size_t)(slash - text.data);
    return is_family(span_of(text.data, size), RULES(browsers)) &&
           is_family(span_of(slash + 1, text.size - size - 1),
                     RULES(systems)) &&
           !span_equal(span_text("other/other"), text);
}
