/* Tables of names. Paths are compared by their last name, in lower case and
 * without _ and -, so that `phone_number` and `phoneNumber` are one. */
#include "agent/policy_tool/lint_words.h"

#include "base/cli.h"
#include "policy/policy.h"

#include <ctype.h>
#include <string.h>

/* Addresses that published leaks hold, rounded down: Have I Been Pwned lists
 * over ten thousand million accounts. */
#define LEAKED UINT64_C(10000000000)

static const struct identifier identifiers[] = {
    {"userid", 0, NULL},
    {"anonymousid", 0, NULL},
    {"previousid", 0, NULL},
    {"customerid", 1000000000, "all customer numbers of nine digits"},
    {"customernumber", 1000000000, "all customer numbers of nine digits"},
    {"customerno", 1000000000, "all customer numbers of nine digits"},
    {"accountnumber", 10000000000, "all account numbers of ten digits"},
    {"membernumber", 1000000000, "all member numbers of nine digits"},
    {"loyaltynumber", 10000000000, "all card numbers of ten digits"},
    {"username", 0, NULL},
    {"email", LEAKED, "all e-mail addresses that leaks have published"},
    {"phone", 6000000000, "all mobile numbers of a country"},
    {"phonenumber", 6000000000, "all mobile numbers of a country"},
    {"mobile", 6000000000, "all mobile numbers of a country"},
    {"ip", UINT64_C(1) << 32, "all IPv4 addresses"},
    {"ipaddress", UINT64_C(1) << 32, "all IPv4 addresses"},
    {"ssn", 1000000000, "all nine-digit national numbers"},
    {"nationalid", 1000000000, "all nine-digit national numbers"},
    {"birthday", 40000, "all birthdays of a century"},
    {"birthdate", 40000, "all birthdays of a century"},
    {"dateofbirth", 40000, "all birthdays of a century"},
    {"postalcode", 2000000, "all postcodes of a country"},
    {"postcode", 2000000, "all postcodes of a country"},
    {"zip", 100000, "all postcodes of a country"},
    {"licenseplate", 100000000, "all number plates of a country"},
    {"firstname", 0, NULL},
    {"lastname", 0, NULL},
    {"fullname", 0, NULL},
    {"address", 0, NULL},
    {"street", 0, NULL},
    {"password", 0, NULL},
    {"token", 0, NULL},
    {"cookie", 0, NULL},
    {"sessionid", 0, NULL},
    {"messageid", 0, NULL},
    {"deviceid", 0, NULL},
    {"advertisingid", 0, NULL},
    {"imei", 0, NULL},
    {"macaddress", 0, NULL},
    {"useragent", 0, NULL},
    {"iban", 0, NULL},
    {"cardnumber", 0, NULL},
    {"latitude", 0, NULL},
    {"longitude", 0, NULL},
};

/* Three of them made 87 % of a country's people unique: postcode, sex and date
 * of birth (Sweeney, "Simple Demographics Often Identify People Uniquely",
 * 2000). */
static const struct {
    const char *name, *tells;
} quasi[] = {
    {"country", "country"},
    {"region", "region"},
    {"city", "city"},
    {"state", "region"},
    {"postalcode", "postcode"},
    {"postcode", "postcode"},
    {"zip", "postcode"},
    {"age", "age"},
    {"ageband", "age"},
    {"birthday", "birthday"},
    {"birthyear", "age"},
    {"gender", "gender"},
    {"sex", "gender"},
    {"language", "language"},
    {"locale", "language"},
    {"timezone", "time zone"},
    {"os", "system"},
    {"browser", "browser"},
    {"useragent", "browser"},
    {"ip", "network"},
    {"model", "device"},
    {"manufacturer", "device"},
    {"carrier", "carrier"},
    {"width", "screen"},
    {"height", "screen"},
    {"occupation", "occupation"},
    {"income", "income"},
    {"education", "education"},
    {"maritalstatus", "family"},
    {"children", "family"},
    {"nationality", "nationality"},
};

static const char *const prose[] = {
    "query",   "comment", "message", "review",      "body",     "note",
    "notes",   "text",    "answer",  "description", "feedback", "reason",
    "subject", "search",  "q",       NULL};
static const char *const addresses[] = {"url",  "referrer", "referer",
                                        "href", "link",     NULL};
static const char *const orders[] = {"orderid",    "ordernumber",   "orderno",
                                     "invoiceid",  "invoiceno",     "invoice",
                                     "checkoutid", "transactionid", NULL};
static const char *const marketing[] = {
    "market", "campaign", "advert", "retarget", "newsletter", "promo", NULL};

static const char *const segment_events[] = {
    "Products Searched",
    "Product List Viewed",
    "Product List Filtered",
    "Promotion Viewed",
    "Promotion Clicked",
    "Product Clicked",
    "Product Viewed",
    "Product Added",
    "Product Removed",
    "Cart Viewed",
    "Checkout Started",
    "Checkout Step Viewed",
    "Checkout Step Completed",
    "Payment Info Entered",
    "Order Completed",
    "Order Updated",
    "Order Refunded",
    "Order Cancelled",
    "Coupon Entered",
    "Coupon Applied",
    "Coupon Denied",
    "Coupon Removed",
    "Product Added to Wishlist",
    "Product Removed from Wishlist",
    "Wishlist Product Added to Cart",
    "Product Shared",
    "Cart Shared",
    "Product Reviewed",
    "Application Installed",
    "Application Opened",
    "Application Updated",
    "Application Backgrounded",
    "Application Crashed",
    "Application Uninstalled",
    "Signed Up",
    "Signed In",
    "Signed Out",
    NULL,
};

/* The last name of a path, as the tables have it. */
static void last_name(char out[PATH_MAX_SIZE + 1], const char *path)
{
    const char *dot = strrchr(path, '.');
    size_t size = 0;

    for (const char *c = dot ? dot + 1 : path; *c && size < PATH_MAX_SIZE; c++)
        if (*c != '_' && *c != '-')
            out[size++] = (char)tolower((unsigned char)*c);
    out[size] = '\0';
}

const struct identifier *identifier_of(const char *path)
{
    char name[PATH_MAX_SIZE + 1];

    last_name(name, path);
    for (size_t i = 0; i < sizeof(identifiers) / sizeof(identifiers[0]); i++)
        if (strcmp(identifiers[i].name, name) == 0)
            return &identifiers[i];
    return NULL;
}

const char *quasi_identifier_of(const char *path)
{
    char name[PATH_MAX_SIZE + 1];

    last_name(name, path);
    for (size_t i = 0; i < sizeof(quasi) / sizeof(quasi[0]); i++)
        if (strcmp(quasi[i].name, name) == 0)
            return quasi[i].tells;
    return NULL;
}

static bool path_among(const char *path, const char *const *names)
{
    char name[PATH_MAX_SIZE + 1];

    last_name(name, path);
    for (; *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

bool path_is_prose(const char *path)
{
    return path_among(path, prose);
}

bool path_is_address(const char *path)
{
    return path_among(path, addresses);
}

bool path_is_order(const char *path)
{
    return path_among(path, orders);
}

bool purpose_is_marketing(const char *name)
{
    char lower[NAME_MAX_SIZE + 1];
    size_t size = 0;

    for (; name[size]; size++)
        lower[size] = (char)tolower((unsigned char)name[size]);
    lower[size] = '\0';
    for (int i = 0; marketing[i]; i++)
        if (strstr(lower, marketing[i]))
            return true;
    return strcmp(lower, "ads") == 0;
}

const char *segment_event_near(const char *name)
{
    for (int i = 0; segment_events[i]; i++)
        if (strcmp(segment_events[i], name) == 0)
            return NULL;
    return cli_nearest(name, segment_events);
}
