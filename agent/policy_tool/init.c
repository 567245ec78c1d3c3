/* A starting policy is a head, and events in pieces that the kinds share. It is
 * narrow on purpose: to take a line out is easy, to find out what one more line
 * does is what explain, lint and diff are for. */
#include "agent/policy_tool/init.h"

#include "agent/policy_tool/words.h"

#include <assert.h>

#define PIECES_MAX 8

const char *const init_kinds[] = {"site", "app", "kiosk", NULL};

/* Lines that most events have ---------------------------------------- */

#define AT "    at: {role: time, action: time, round: PT15M}\n"
#define VISITOR                                                                \
    "    visitor: {role: subject, from: userId, action: pseudonym, key: "      \
    "visitor, purpose: personalise}\n"
#define VISIT "    visit: {role: session, action: session}\n"
#define ITEM                                                                   \
    "    item: {role: item, from: properties.product_id, action: keep, "       \
    "pattern: \"[A-Za-z0-9._-]{1,32}\", required: true}\n"
#define LABELS                                                                 \
    "    name: {role: name, from: properties.name, action: keep, pattern: "    \
    "\"[A-Za-z0-9 &'()+,./-]{1,60}\"}\n"                                       \
    "    category: {role: category, from: properties.category, action: keep, " \
    "pattern: \"[A-Za-z0-9 &/-]{1,40}\"}\n"
#define PRICE                                                                  \
    "    price: {role: value, from: properties.price, action: keep, type: "    \
    "money}\n"
#define BAND                                                                   \
    "    price: {role: value, from: properties.price, action: bucket, edges: " \
    "[0, 10, 25, 50, 100, 250]}\n"
#define QUANTITY                                                               \
    "    quantity: {role: quantity, from: properties.quantity, action: keep, " \
    "type: int}\n"

/* Events ------------------------------------------------------------- */

static const char list_viewed[] =
    "  # Which lists are looked at.\n"
    "  Product List Viewed:\n"
    "    purpose: measure\n" AT VISITOR VISIT
    "    list: {from: properties.list_id, action: keep, pattern: "
    "\"[A-Za-z0-9._-]{1,40}\"}\n\n";

static const char viewed[] =
    "  # Without an item the event says nothing, so it is required.\n"
    "  Product Viewed:\n"
    "    purpose: measure\n" AT VISITOR VISIT ITEM LABELS PRICE "\n";

static const char added[] =
    "  Product Added:\n"
    "    purpose: measure\n" AT VISITOR VISIT ITEM LABELS PRICE QUANTITY "\n";

static const char ordered[] =
    "  # One event for each line of an order. The order number leaves as a\n"
    "  # pseudonym under a key of its own, so that lines are counted as one\n"
    "  # order and nobody finds the invoice by it.\n"
    "  Order Completed:\n"
    "    purpose: measure\n" AT VISITOR VISIT
    "    order: {role: order, from: properties.order_id, action: pseudonym, "
    "key: order, bits: 64}\n" ITEM LABELS PRICE QUANTITY "\n";

static const char opened[] =
    "  # How often the app is opened, and which version is in use.\n"
    "  Application Opened:\n"
    "    purpose: measure\n" AT VISITOR VISIT
    "    release: {from: properties.version, action: keep, pattern: "
    "\"[0-9.]{1,12}\"}\n\n";

static const char searched[] =
    "  # That somebody searched, not for what: people type anything.\n"
    "  Products Searched:\n"
    "    purpose: measure\n" AT VISIT
    "    query: {from: properties.query, action: drop}\n\n";

static const char kiosk_viewed[] =
    "  # A price band is enough to see what is looked at.\n"
    "  Product Viewed:\n"
    "    purpose: measure\n" AT VISITOR VISIT ITEM LABELS BAND "\n";

static const char kiosk_added[] =
    "  Product Added:\n"
    "    purpose: measure\n" AT VISITOR VISIT ITEM LABELS BAND QUANTITY "\n";

/* Kinds -------------------------------------------------------------- */

static const char with_orders[] =
    "  order: {kind: blake2b, epoch: none}   # of order numbers\n";

static const struct kind {
    const char *about;
    const char *keys; /* beside that of visitors */
    const char *sources;
    const char *spool;
    const char *events[PIECES_MAX];
} kinds[] = {
    {"# A site. What the pages send in Segment's form is read by these paths;\n"
     "# addresses, referrers, user agents and IP addresses are not listed, so "
     "they\n# stay where they are.\n",
     with_orders,
     "sources: {session_timeout: PT30M} # a visit ends after half an hour\n",
     "P30D",
     {list_viewed, viewed, added, ordered}},
    {"# An app. It may be offline for weeks, so a device holds what it could "
     "not\n# deliver for 30 days, sealed. No device id, no advertising id: "
     "nothing lists\n# them.\n",
     with_orders,
     "sources: {session_timeout: PT30M} # a visit ends after half an hour\n",
     "P30D",
     {opened, searched, viewed, added, ordered}},
    {"# A kiosk, which many people use one after the other. A visit ends after "
     "90\n# seconds without a touch; there is a visitor only while somebody "
     "is signed in\n# and has consented.\n",
     "",
     "sources: {session_timeout: PT90S} # the next one is somebody else\n",
     "P14D",
     {searched, kiosk_viewed, kiosk_added}},
};

static const struct kind *kind_of(const char *name)
{
    static_assert(sizeof(kinds) / sizeof(kinds[0]) + 1 ==
                      sizeof(init_kinds) / sizeof(init_kinds[0]),
                  "each kind has a name");
    for (size_t i = 0; init_kinds[i]; i++)
        if (strcmp(init_kinds[i], name) == 0)
            return &kinds[i];
    return NULL;
}

/* As compile_name takes it. */
static bool name_fits(const char *name)
{
    size_t size = strlen(name);

    return size > 0 && size <= NAME_MAX_SIZE &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789_-.") == size;
}

static enum sotto_err write_head(struct buf *out, const struct kind *kind,
                                 const char *tenant, int64_t today_ms)
{
    char from[32], to[32];
    enum sotto_err err = words_add(
        out,
        "%s#\n# What is not listed here does not exist: it is neither stored "
        "nor sent.\n#\n"
        "#   sotto-policy lint FILE       what is risky\n"
        "#   sotto-policy explain FILE    what leaves, in sentences\n"
        "#   sotto-policy dryrun FILE --events sample.jsonl\n\n"
        "policy: %s # the tenant's name; every pseudonym depends on it\n"
        "version: 1\neffective: %s\n",
        kind->about, tenant, words_date(from, today_ms));

    if (!err)
        err = words_add(
            out,
            "expires: %s # after this, agents collect nothing\n"
            "# Whose signatures make it valid. With two, write need: 2.\n"
            "signers: {need: 1, keys: [dpo]}\n\n"
            "# Stable pseudonyms are personal data: only under consent.\n"
            "keys:\n  visitor: {kind: blake2b, epoch: none} # of people\n%s\n",
            words_date(to, today_ms + 365 * DAY_MS), kind->keys);
    if (!err)
        err = words_add(
            out,
            "purposes:\n"
            "  # Counts and prices without knowing who. LIA-1 is your document "
            "that weighs\n  # this interest against people's own; write it "
            "before you sign.\n"
            "  measure: {basis: legitimate_interest, assessment: LIA-1, "
            "retention: P13M}\n"
            "  # Recommendations for a person who is known and has agreed.\n"
            "  personalise: {basis: consent, consent: given, retention: "
            "P180D}\n\n");
    if (!err)
        err = words_add(out,
                        "%s# How long a device may hold sealed batches.\n"
                        "retention: {spool: %s}\n\nevents:\n",
                        kind->sources, kind->spool);
    return err;
}

enum sotto_err init_write(struct buf *out, const char *kind, const char *tenant,
                          int64_t today_ms)
{
    const struct kind *k = kind_of(kind);
    enum sotto_err err;

    if (!k)
        return SOTTO_ENOTFOUND;
    if (!name_fits(tenant))
        return SOTTO_EINVAL;
    err = write_head(out, k, tenant, today_ms);
    for (int i = 0; !err && i < PIECES_MAX && k->events[i]; i++) {
        size_t size = strlen(k->events[i]);

        /* the last one ends the file: no empty line after it */
        if (i + 1 == PIECES_MAX || !k->events[i + 1])
            size--;
        err = buf_append(out, k->events[i], size);
    }
    return err;
}
