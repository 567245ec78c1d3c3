/* The table of actions, and the names of types and normalizations. */
#include "policy/action.h"

const struct action_row action_rows[ACTION_COUNT] = {
    [ACTION_DROP] = {"drop", "from", "anything", "nothing",
                     "Nothing: the value never leaves the caller."},
    [ACTION_KEEP] = {"keep", "from type pattern max",
                     "text, number, money, boolean or time", "the value itself",
                     "The value as it is, if it has the type and fits the "
                     "pattern and the size."},
    [ACTION_PSEUDONYM] = {"pseudonym", "from key bits normalize",
                          "an identifier, as text",
                          "8 or 16 bytes, keyed BLAKE2b",
                          "That two events are of the same person, as long as "
                          "the key lives; whoever holds the key can test "
                          "guesses."},
    [ACTION_SESSION] = {"session", "from", "nothing, or a session identifier",
                        "a small number",
                        "That two events are of the same visit, within one "
                        "agent and stream."},
    [ACTION_TIME] = {"time", "round", "the time of the event",
                     "a time, rounded down",
                     "When the event happened, as coarse as it is rounded."},
    [ACTION_BUCKET] = {"bucket", "from type edges", "a number or money",
                       "the lower edge of its bucket",
                       "Between which two edges the value lies."},
    [ACTION_IP] = {"ip", "from v4 v6", "an IPv4 or IPv6 address, as text",
                   "its network, as 203.0.0.0/16",
                   "Roughly where and over which provider the device is "
                   "connected, as coarse as the bits that are left."},
    [ACTION_UA_FAMILY] = {"ua_family", "from", "a browser's user agent",
                          "one of a list of words, as firefox/linux",
                          "The families of browser and system, without "
                          "version or model."},
    [ACTION_URL] = {"url", "from keep max", "a URL, as text",
                    "its scheme, host and path, as far as listed",
                    "Which page it was; never a query, a fragment, a port or "
                    "a password."},
    [ACTION_TOKENIZE] = {"tokenize", "from", "text or a number",
                         "8 random bytes, new for each event",
                         "That there was a value; nothing links it to another "
                         "event or leads back to it."},
    [ACTION_RANDOMIZE] = {"randomize", "from values epsilon memoize",
                          "one of the listed values",
                          "one of the listed values, by chance",
                          "Which answer is somewhat likelier; no single "
                          "answer can be believed, by as much as epsilon "
                          "says."},
    [ACTION_REDACT] = {"redact", "from detect max", "text",
                       "the text, with [email] and so on for identifiers",
                       "What people wrote, but for identifiers that have a "
                       "form; names, and what only one person can tell, "
                       "stay."},
};

static const char *const type_names[TYPE_COUNT] = {
    [TYPE_TEXT] = "text", [TYPE_INT] = "int",   [TYPE_MONEY] = "money",
    [TYPE_BOOL] = "bool", [TYPE_TIME] = "time", [TYPE_ID] = "id",
};

static const char *const normalize_names[NORMALIZE_COUNT] = {
    [NORMALIZE_NONE] = "none",
    [NORMALIZE_TRIM] = "trim",
    [NORMALIZE_LOWER] = "lower",
};

static unsigned index_of(struct span name, const char *const *names,
                         unsigned count)
{
    unsigned i = 0;

    while (i < count && !span_equal(span_text(names[i]), name))
        i++;
    return i;
}

enum action action_of(struct span name)
{
    unsigned i = 0;

    while (i < ACTION_COUNT &&
           !span_equal(span_text(action_rows[i].name), name))
        i++;
    return (enum action)i;
}

const char *type_name(enum value_type type)
{
    return (unsigned)type < TYPE_COUNT ? type_names[type] : "unknown";
}

enum value_type type_of(struct span name)
{
    return (enum value_type)index_of(name, type_names, TYPE_COUNT);
}

const char *normalize_name(enum normalize n)
{
    return (unsigned)n < NORMALIZE_COUNT ? normalize_names[n] : "unknown";
}

enum normalize normalize_of(struct span name)
{
    return (enum normalize)index_of(name, normalize_names, NORMALIZE_COUNT);
}
