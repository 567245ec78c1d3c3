/* Numbers that are somebody's: cards, resident ids, phones, IBAN, addresses of
 * the internet.
 *
 * A number is read once, as groups of digits with what parts them; then each
 * matcher asks whether some of the first groups are its own. A match ends
 * where a group ends: a piece of a longer number is not a number. */
#include "policy/detect_parts.h"

#define DIGITS_MAX 20
#define GAP_MAX 3 /* characters between two groups */

enum {
    GAP_SPACE = 1,
    GAP_DASH = 2,
    GAP_DOT = 4,
    GAP_SLASH = 8,
    GAP_PAREN = 16,
    GAP_LINE = 32, /* _ */
};

struct number {
    unsigned count; /* digits */
    unsigned groups;
    uint8_t digit[DIGITS_MAX]; /* 10 for the X of a resident id */
    uint8_t size[DIGITS_MAX];  /* digits of the group */
    uint8_t upto[DIGITS_MAX];  /* digits up to and with the group */
    uint8_t gap[DIGITS_MAX];   /* what is before the group, GAP_ bits */
    size_t end[DIGITS_MAX];    /* past the group in the text */
    bool plus, paren;          /* + or ( before the first digit */
    bool cut;                  /* more letters or digits follow directly */
    size_t start;
    size_t inner; /* past a ( before it, which may only enclose it */
};

/* Reading ------------------------------------------------------------ */

static unsigned gap_of(uint8_t c)
{
    switch (c) {
    case ' ':
        return GAP_SPACE;
    case '-':
        return GAP_DASH;
    case '.':
        return GAP_DOT;
    case '/':
        return GAP_SLASH;
    case '(':
    case ')':
        return GAP_PAREN;
    case '_':
        return GAP_LINE;
    default:
        return 0;
    }
}

/* The digits of a group at i, and the X of a resident id; past them, or 0 if
 * the group is too long or runs into a word. */
static size_t read_group(const struct scan *s, size_t i, struct number *n)
{
    unsigned before = n->count;
    size_t next;
    uint8_t c;

    while (fold_is(c = detect_fold(s, i, &next), IS_DIGIT)) {
        if (n->count == DIGITS_MAX) {
            n->count = before;
            n->cut = true;
            return 0;
        }
        n->digit[n->count++] = (uint8_t)(c - '0');
        i = next;
    }
    if (n->count == 17 && fold_lower(c) == 'x') {
        n->digit[n->count++] = 10;
        i = next;
        c = detect_fold(s, i, &next);
    }
    if (fold_is_word(c)) {
        n->count = before;
        n->cut = true;
        return 0;
    }
    n->size[n->groups] = (uint8_t)(n->count - before);
    n->upto[n->groups] = (uint8_t)n->count;
    n->end[n->groups++] = i;
    return i;
}

/* Over what parts two groups: where the next one begins, or 0. */
static size_t read_gap(const struct scan *s, size_t i, uint8_t *gap)
{
    *gap = 0;
    for (unsigned k = 0; k <= GAP_MAX; k++) {
        size_t next;
        uint8_t c = detect_fold(s, i, &next);
        unsigned bit = gap_of(c);

        if (fold_is(c, IS_DIGIT))
            return k > 0 ? i : 0;
        if (!bit)
            return 0;
        *gap = (uint8_t)(*gap | bit);
        i = next;
    }
    return 0;
}

/* Reads from the first digit, + or ( at i; false if no digit comes. */
static bool read_number(const struct scan *s, size_t i, struct number *n)
{
    n->count = n->groups = 0;
    n->plus = n->paren = n->cut = false;
    n->start = n->inner = i;
    for (unsigned k = 0; k < 4; k++) {
        size_t next;
        uint8_t c = detect_fold(s, i, &next);

        if (fold_is(c, IS_DIGIT))
            break;
        if (c == '+')
            n->plus = true;
        else if (c == '(')
            n->paren = true;
        else if (c != ' ')
            return false;
        i = next;
        if (!n->plus)
            n->inner = i;
    }
    n->gap[0] = 0;
    while ((i = read_group(s, i, n)) != 0 && n->count < DIGITS_MAX) {
        i = read_gap(s, i, &n->gap[n->groups]);
        if (i == 0)
            break;
    }
    return n->groups > 0;
}

/* The rest of a longer number: 09-542128-3 of 978-3-09-542128-3. */
static bool is_rest(const struct scan *s, size_t i)
{
    return i > s->floor + 1 &&
           (s->text[i - 1] == '-' || s->text[i - 1] == '.') &&
           detect_classes[s->text[i - 2]] & IS_DIGIT;
}

/* How many groups make exactly count digits, or 0. */
static unsigned groups_of(const struct number *n, unsigned count)
{
    for (unsigned g = 0; g < n->groups && n->upto[g] <= count; g++)
        if (n->upto[g] == count)
            return g + 1;
    return 0;
}

/* The most groups that make min..max digits, or 0. */
static unsigned groups_in(const struct number *n, unsigned min, unsigned max)
{
    unsigned g = n->groups;

    while (g > 0 && n->upto[g - 1] > max)
        g--;
    return g > 0 && n->upto[g - 1] >= min ? g : 0;
}

/* The first groups have these sizes, a digit each: 344. */
static bool has_sizes(const struct number *n, const char *sizes)
{
    unsigned g = 0;

    for (; sizes[g]; g++)
        if (g >= n->groups || n->size[g] != sizes[g] - '0')
            return false;
    return true;
}

/* Only these gaps between the first groups. */
static bool gaps_within(const struct number *n, unsigned groups, unsigned gaps)
{
    for (unsigned g = 1; g < groups; g++)
        if (n->gap[g] & ~gaps)
            return false;
    return true;
}

static bool gaps_alike(const struct number *n, unsigned groups)
{
    for (unsigned g = 2; g < groups; g++)
        if (n->gap[g] != n->gap[1])
            return false;
    return true;
}

static bool sizes_one(const struct number *n, unsigned groups)
{
    for (unsigned g = 0; g < groups; g++)
        if (n->size[g] != 1)
            return false;
    return true;
}

static unsigned value(const struct number *n, unsigned from, unsigned count)
{
    unsigned v = 0;

    for (unsigned k = from; k < from + count; k++)
        v = v * 10 + n->digit[k];
    return v;
}

/* Where the first groups begin: with the ( only if its ) is among them. */
static size_t number_start(const struct number *n, unsigned groups)
{
    for (unsigned g = 1; g < groups; g++)
        if (n->gap[g] & GAP_PAREN)
            return n->start;
    return n->inner;
}

/* Cards -------------------------------------------------------------- */

/* First digits of the issuers, and the lengths they use as bits.
 * ISO/IEC 7812-1; https://en.wikipedia.org/wiki/Payment_card_number */
#define BIT(n) (1u << (n))
#define FROM_16_TO_19 (BIT(16) | BIT(17) | BIT(18) | BIT(19))
static const struct issuer {
    unsigned low, high; /* of the first four digits */
    unsigned sizes;
} issuers[] = {
    {4000, 4999, BIT(13) | BIT(16) | BIT(19)}, /* Visa */
    {5100, 5599, BIT(16)},                     /* Mastercard */
    {2221, 2720, BIT(16)},
    {3400, 3499, BIT(15)}, /* American Express */
    {3700, 3799, BIT(15)},
    {3000, 3059, BIT(14) | FROM_16_TO_19}, /* Diners */
    {3095, 3095, BIT(14) | FROM_16_TO_19},
    {3600, 3699, BIT(14) | FROM_16_TO_19},
    {3800, 3999, BIT(14) | FROM_16_TO_19},
    {3528, 3589, FROM_16_TO_19}, /* JCB */
    {2200, 2205, FROM_16_TO_19}, /* Mir */
    {9792, 9792, BIT(16)},       /* Troy */
    {6011, 6011, FROM_16_TO_19}, /* Discover */
    {6440, 6599, FROM_16_TO_19},
    {6200, 6299, FROM_16_TO_19}, /* UnionPay */
    {8100, 8199, FROM_16_TO_19},
    {6000, 6099, BIT(16)}, /* RuPay and others */
    {8200, 8299, BIT(16)},
    {5018, 5018, BIT(13) | BIT(14) | BIT(15) | FROM_16_TO_19}, /* Maestro */
    {5020, 5020, BIT(13) | BIT(14) | BIT(15) | FROM_16_TO_19},
    {5038, 5038, BIT(13) | BIT(14) | BIT(15) | FROM_16_TO_19},
    {5893, 5893, BIT(13) | BIT(14) | BIT(15) | FROM_16_TO_19},
    {6304, 6304, BIT(13) | BIT(14) | BIT(15) | FROM_16_TO_19},
    {6759, 6763, BIT(13) | BIT(14) | BIT(15) | FROM_16_TO_19},
};

/* ISO/IEC 7812-1, annex B. */
static bool luhn_holds(const struct number *n, unsigned count)
{
    unsigned sum = 0;

    for (unsigned k = 0; k < count; k++) {
        unsigned d = n->digit[count - 1 - k];

        if (k % 2)
            d = d > 4 ? 2 * d - 9 : 2 * d;
        sum += d;
    }
    return sum % 10 == 0;
}

static bool issuer_uses(const struct number *n, unsigned count)
{
    unsigned first = value(n, 0, 4);

    for (size_t i = 0; i < sizeof(issuers) / sizeof(issuers[0]); i++)
        if (first >= issuers[i].low && first <= issuers[i].high &&
            issuers[i].sizes >> count & 1)
            return true;
    return false;
}

static unsigned card(const struct number *n)
{
    for (unsigned g = n->groups; g > 0; g--) {
        unsigned count = n->upto[g - 1];

        if (count < 13)
            break;
        if (count <= 19 && (n->size[0] >= 4 || sizes_one(n, g)) &&
            gaps_within(n, g, ~(unsigned)GAP_PAREN) && issuer_uses(n, count) &&
            luhn_holds(n, count))
            return g;
    }
    return 0;
}

/* Chinese resident ids ----------------------------------------------- */

static bool is_day(unsigned year, unsigned month, unsigned day)
{
    static const uint8_t days[] = {31, 29, 31, 30, 31, 30,
                                   31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return year >= 1880 && year <= 2099 && month >= 1 && month <= 12 &&
           day >= 1 && day <= days[month - 1] &&
           (month != 2 || day <= 28 || leap);
}

/* ISO 7064, MOD 11-2: weights are powers of 2. */
static bool resident_holds(const struct number *n)
{
    unsigned sum = 0;

    for (unsigned k = 0; k < 18; k++)
        sum = (sum * 2 + n->digit[k]) % 11;
    return sum == 1;
}

static unsigned resident(const struct number *n)
{
    unsigned g = groups_of(n, 18);

    return g > 0 && n->digit[0] >= 1 && n->digit[0] <= 9 &&
                   gaps_within(n, g,
                               GAP_SPACE | GAP_DASH | GAP_DOT | GAP_LINE) &&
                   is_day(value(n, 6, 4), value(n, 10, 2), value(n, 12, 2)) &&
                   resident_holds(n)
               ? g
               : 0;
}

/* Phones ------------------------------------------------------------- */

/* 2024-01-15, 15.01.2024, 15/1/24 at the beginning. */
static bool is_date(const struct number *n)
{
    unsigned a, b, c;

    if (n->groups < 3 || n->gap[1] != n->gap[2] || n->plus ||
        !gaps_within(n, 3, GAP_DASH | GAP_DOT | GAP_SLASH))
        return false;
    a = value(n, 0, n->size[0]);
    b = value(n, n->upto[0], n->size[1]);
    c = value(n, n->upto[1], n->size[2]);
    if (n->size[0] == 4)
        return a >= 1900 && a < 2100 && n->size[1] <= 2 && n->size[2] <= 2 &&
               b >= 1 && b <= 12 && c >= 1 && c <= 31;
    return n->size[0] <= 2 && n->size[1] <= 2 &&
           (n->size[2] == 4 || n->size[2] == 2) && a >= 1 && b >= 1 &&
           a <= 31 && b <= 31 && (a <= 12 || b <= 12);
}

/* How long the numbers of a country are, with its code. ITU-T E.164; the
 * national plans in E.129. What is not listed has 8 to 15 digits. */
static const struct plan {
    const char *code;
    unsigned min, max;
} plans[] = {
    {"1", 11, 11},  {"7", 11, 11}, {"33", 11, 12},
    {"44", 11, 13}, {"86", 9, 14}, {"49", 7, 15},
};

static bool begins(const struct number *n, unsigned from, const char *code)
{
    unsigned k = 0;

    for (; code[k]; k++)
        if (from + k >= n->count || n->digit[from + k] != code[k] - '0')
            return false;
    return true;
}

static bool is_mobile_cn(const struct number *n, unsigned from)
{
    return n->count >= from + 11 && n->digit[from] == 1 &&
           n->digit[from + 1] >= 3;
}

/* After the + or 00, which takes the first `from` digits. */
static unsigned international(const struct number *n, unsigned from)
{
    unsigned g;

    if (from >= n->count || n->digit[from] == 0)
        return 0;
    if (begins(n, from, "86") && is_mobile_cn(n, from + 2) &&
        (g = groups_of(n, from + 13)) != 0)
        return g;
    for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++)
        if (begins(n, from, plans[i].code) &&
            (g = groups_in(n, from + plans[i].min, from + plans[i].max)) != 0)
            return g;
    return groups_in(n, from + (from ? 9 : 7), from + 15);
}

/* 1[3-9] and nine more: alone, in the groups people make, or spelled. */
static unsigned mobile_cn(const struct number *n)
{
    static const char *const shapes[] = {"344",  "38",   "434", "74",  "335",
                                         "3422", "443",  "56",  "65",  "32222",
                                         "3323", "3332", "353", "3242"};
    unsigned from = begins(n, 0, "86") && is_mobile_cn(n, 2) ? 2 : 0;
    unsigned g = is_mobile_cn(n, from) ? groups_of(n, from + 11) : 0;

    if (g == 0)
        return 0;
    if (g == 1 || from || sizes_one(n, g) || has_sizes(n, "344"))
        return g;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        if (strlen(shapes[i]) == g && has_sizes(n, shapes[i]))
            return gaps_alike(n, g) ? g : 0;
    return 0;
}

/* North America: [1] NPA NXX XXXX; N is 2 to 9. */
static unsigned nanp(const struct number *n)
{
    unsigned one = n->size[0] == 1 && n->digit[0] == 1;
    unsigned g = groups_of(n, 10 + one);

    if (g < 2 + one || n->digit[one] < 2 || n->digit[one + 3] < 2)
        return 0;
    if (g == 3 + one && n->size[one] == 3 && n->size[one + 1] == 3)
        return g;
    return g == 2 + one && n->size[one] == 3 &&
                   (n->paren || n->gap[one + 1] & (GAP_DASH | GAP_PAREN))
               ? g
               : 0;
}

/* Russia: 8 instead of +7. */
static unsigned eight(const struct number *n)
{
    return n->digit[0] == 8 && (has_sizes(n, "13322") || has_sizes(n, "1334"))
               ? groups_of(n, 11)
               : 0;
}

/* 0, an area or a mobile network, the number. */
static unsigned trunk(const struct number *n, bool phone_cue)
{
    unsigned g;

    if (n->count < 2 || n->digit[0] != 0 || n->digit[1] == 0)
        return 0;
    if (has_sizes(n, "22222") && gaps_alike(n, 5)) /* France */
        return 5;
    if (n->size[0] == 1 && !n->paren && !sizes_one(n, n->groups))
        return n->groups < 2 || n->gap[1] & GAP_DOT ? 0
               : n->size[1] >= 3                    ? groups_in(n, 9, 12)
               : n->gap[2] & GAP_SLASH              ? groups_in(n, 9, 11)
                                                    : 0;
    if (n->groups == 1 || n->size[0] >= 10) {
        bool mobile_de =
            begins(n, 0, "015") || begins(n, 0, "016") || begins(n, 0, "017");

        return n->size[0] == 10 || n->size[0] == 11 ||
               (n->size[0] == 12 && mobile_de);
    }
    if (n->size[0] == 2 && n->size[1] < 3 && !n->paren && !phone_cue)
        return 0;
    g = groups_in(n, phone_cue || n->paren ? 7 : 9, 12);
    return g > 1 ? g : 0;
}

/* An amount or a time: 68.3126, 8.30 - 17.30. */
static bool is_amount(const struct number *n)
{
    return n->cut || (n->groups > 1 && n->gap[1] & GAP_DOT &&
                      (n->groups == 2 || !gaps_alike(n, n->groups)));
}

/* (area) number, or whatever follows "Tel." */
static unsigned told(const struct number *n, bool phone_cue)
{
    bool area = n->paren && n->groups > 1 && n->size[0] >= 2 &&
                n->size[0] <= 5 && n->gap[1] & GAP_PAREN;

    if (area && groups_in(n, 9, 12))
        return groups_in(n, 9, 12);
    return phone_cue && !is_amount(n) ? groups_in(n, 5, 12) : 0;
}

/* Behind letters, as in SKU13800138000. */
static bool is_glued(const struct scan *s, size_t i)
{
    return i > s->floor && detect_classes[s->text[i - 1]] & IS_WORD;
}

/* ",75" behind it: an amount. */
static bool has_decimals(const struct scan *s, const struct number *n)
{
    size_t next;

    return detect_fold(s, n->end[n->groups - 1], &next) == ',' &&
           fold_is(detect_fold(s, next, &next), IS_DIGIT);
}

static unsigned phone(const struct scan *s, const struct number *n)
{
    enum cue cue;
    unsigned g = 0;

    if (n->count < 5)
        return 0;
    if (n->plus)
        return international(n, 0);
    if (n->digit[0] == 0 && n->digit[1] == 0)
        return international(n, 2);
    if (is_rest(s, n->start))
        return 0;
    if (is_date(n) && !(has_sizes(n, "22222") && gaps_alike(n, 5)))
        return 0;
    cue = detect_cue(s, n->start);
    if (is_glued(s, n->start) && cue != CUE_PHONE)
        return 0;
    if (!(cue == CUE_OTHER && n->groups == 1))
        g = mobile_cn(n);
    if (g == 0 && cue != CUE_OTHER)
        g = nanp(n);
    if (g == 0 && cue != CUE_OTHER)
        g = eight(n);
    if (g == 0)
        g = cue == CUE_OTHER ? 0 : trunk(n, cue == CUE_PHONE);
    if (g == 0)
        g = told(n, cue == CUE_PHONE && !has_decimals(s, n));
    return g;
}

static bool is_extension_word(const struct scan *s, size_t i, size_t *end)
{
    static const char *const words[] = {"extension",
                                        "durchwahl",
                                        "poste",
                                        "ext",
                                        "dw",
                                        "app",
                                        "x",
                                        "#",
                                        "\xe8\xbd\xac", /* Chinese: turn to */
                                        "\xe5\x88\x86\xe6\x9c\xba"};

    for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++) {
        size_t k = 0;

        while (words[w][k] && i + k < s->size &&
               fold_lower(s->text[i + k]) == (uint8_t)words[w][k])
            k++;
        if (!words[w][k]) {
            *end = i + k;
            return true;
        }
    }
    return false;
}

/* An extension behind a phone number that ends at end: "-12", "ext. 12",
 * "x12"; past it, or end. */
static size_t extension(const struct scan *s, size_t end)
{
    size_t i = end, next;
    unsigned digits = 0;
    uint8_t c = detect_fold(s, i, &next);

    if (c == '-') {
        i = next;
    } else {
        while (c == ' ' || c == ',') {
            i = next;
            c = detect_fold(s, i, &next);
        }
        if (!is_extension_word(s, i, &i))
            return end;
        for (c = detect_fold(s, i, &next); c == '.' || c == ' ' || c == ':';
             c = detect_fold(s, i, &next))
            i = next;
    }
    while (fold_is(c = detect_fold(s, i, &next), IS_DIGIT)) {
        digits++;
        i = next;
    }
    return digits >= 1 && digits <= 6 && !fold_is_word(c) ? i : end;
}

bool detect_number(const struct scan *s, size_t i, struct detection *out)
{
    struct number n;
    unsigned g;

    if (!read_number(s, i, &n) || n.count < 5)
        return false;
    if (scan_wants(s, DETECT_NATIONAL_ID) && !n.plus && (g = resident(&n)) != 0)
        return detection_make(out, DETECT_NATIONAL_ID, number_start(&n, g),
                              n.end[g - 1]);
    if (scan_wants(s, DETECT_CARD) && !n.plus && (g = card(&n)) != 0 &&
        !(n.upto[g - 1] == 13 && detect_cue(s, i) == CUE_OTHER)) /* an EAN */
        return detection_make(out, DETECT_CARD, number_start(&n, g),
                              n.end[g - 1]);
    if (scan_wants(s, DETECT_PHONE) && (g = phone(s, &n)) != 0)
        return detection_make(out, DETECT_PHONE, number_start(&n, g),
                              extension(s, n.end[g - 1]));
    return false;
}

/* IBAN --------------------------------------------------------------- */

/* Country and length. SWIFT IBAN registry, release 98. */
static const char ibans[][5] = {
    "AD24", "AE23", "AL28", "AT20", "AZ28", "BA20", "BE16", "BG22", "BH22",
    "BI27", "BR29", "BY28", "CH21", "CR22", "CY28", "CZ24", "DE22", "DJ27",
    "DK18", "DO28", "EE20", "EG29", "ES24", "FI18", "FK18", "FO18", "FR27",
    "GB22", "GE22", "GI23", "GL18", "GR27", "GT28", "HN28", "HR21", "HU28",
    "IE22", "IL23", "IQ23", "IS26", "IT27", "JO30", "KW30", "KZ20", "LB28",
    "LC32", "LI21", "LT20", "LU20", "LV21", "LY25", "MC27", "MD24", "ME22",
    "MK19", "MN20", "MR27", "MT31", "MU30", "NI28", "NL18", "NO15", "OM23",
    "PK24", "PL28", "PS29", "PT25", "QA29", "RO24", "RS22", "RU33", "SA24",
    "SC31", "SD18", "SE24", "SI19", "SK24", "SM27", "SO23", "ST25", "SV28",
    "TL23", "TN24", "TR26", "UA29", "VA22", "VG24", "XK20", "YE30",
};

static unsigned iban_size(uint8_t a, uint8_t b)
{
    for (size_t i = 0; i < sizeof(ibans) / sizeof(ibans[0]); i++)
        if (ibans[i][0] == a && ibans[i][1] == b)
            return (unsigned)(ibans[i][2] - '0') * 10 +
                   (unsigned)(ibans[i][3] - '0');
    return 0;
}

static uint8_t upper(uint8_t c)
{
    return c >= 'a' && c <= 'z' ? (uint8_t)(c - 'a' + 'A') : c;
}

/* The next letter or digit of an IBAN, over at most two separators. */
static uint8_t iban_next(const struct scan *s, size_t i, size_t *next)
{
    uint8_t c = detect_fold(s, i, next);

    for (unsigned k = 0;
         k < 2 && (c == ' ' || c == '-' || c == '.' || c == '_'); k++)
        c = detect_fold(s, *next, next);
    return fold_is(c, IS_WORD) ? upper(c) : 0;
}

/* ISO 7064, MOD 97-10: the first four characters count last. */
static unsigned mod97(unsigned sum, uint8_t c)
{
    if (c >= 'A')
        return (sum * 100 + (unsigned)(c - 'A') + 10) % 97;
    return (sum * 10 + (unsigned)(c - '0')) % 97;
}

bool detect_iban(const struct scan *s, size_t i, struct detection *out)
{
    size_t at = i, next;
    uint8_t head[4];
    unsigned size, sum = 0;

    if (!scan_wants(s, DETECT_IBAN))
        return false;
    for (unsigned k = 0; k < 4; k++) {
        uint8_t c = iban_next(s, at, &next);

        if (!fold_is(c, k < 2 ? IS_UPPER : IS_DIGIT))
            return false;
        head[k] = c;
        at = next;
    }
    size = iban_size(head[0], head[1]);
    for (unsigned k = 4; k < size; k++) {
        uint8_t c = iban_next(s, at, &next);

        if (!c)
            return false;
        sum = mod97(sum, c);
        at = next;
    }
    if (size == 0 || fold_is_word(detect_fold(s, at, &next)))
        return false;
    for (unsigned k = 0; k < 4; k++)
        sum = mod97(sum, head[k]);
    return sum == 1 && detection_make(out, DETECT_IBAN, i, at);
}

/* Addresses of the internet ------------------------------------------ */

/* 0..255 at i; past it, or 0. */
static size_t read_octet(const struct scan *s, size_t i)
{
    unsigned number = 0, digits = 0;
    size_t next;
    uint8_t c;

    while (fold_is(c = detect_fold(s, i, &next), IS_DIGIT)) {
        number = number * 10 + (unsigned)(c - '0');
        if (++digits > 3)
            return 0;
        i = next;
    }
    return digits > 0 && number <= 255 ? i : 0;
}

/* "." or, so that nobody clicks on it, "[.]"; past it, or 0. */
static size_t read_dot(const struct scan *s, size_t i)
{
    size_t next;
    uint8_t c = detect_fold(s, i, &next);

    if (c == '.' || (i < s->size && s->text[i] == 0xe3 && next == i + 3 &&
                     s->text[i + 1] == 0x80 && s->text[i + 2] == 0x82))
        return next; /* also the Chinese full stop */
    if (c != '[' || detect_fold(s, next, &next) != '.' ||
        detect_fold(s, next, &next) != ']')
        return 0;
    return next;
}

/* Past the address at i, or 0. */
static size_t read_ipv4(const struct scan *s, size_t i)
{
    for (unsigned k = 0; k < 4; k++) {
        i = k > 0 ? read_dot(s, i) : i;
        if (k > 0 && i == 0)
            return 0;
        i = read_octet(s, i);
        if (i == 0)
            return 0;
    }
    return i;
}

bool detect_ipv4(const struct scan *s, size_t i, struct detection *out)
{
    size_t end, next;
    uint8_t c;

    if (!scan_wants(s, DETECT_IP) || is_rest(s, i))
        return false;
    end = read_ipv4(s, i);
    if (end == 0)
        return false;
    c = detect_fold(s, end, &next);
    if (fold_is_word(c))
        return false;
    if (c == '.' || c == '-' || c == '_') { /* 1.2.3.4.5, 1.2.3.4-rc1 */
        uint8_t after = detect_fold(s, next, &next);

        if (c == '.' ? fold_is(after, IS_DIGIT)
                     : fold_is(after, IS_LOWER | IS_UPPER))
            return false;
    }
    return detect_cue(s, i) != CUE_VERSION &&
           detection_make(out, DETECT_IP, i, end);
}

static bool is_hex(uint8_t c)
{
    return fold_is(c, IS_DIGIT) ||
           (fold_lower(c) >= 'a' && fold_lower(c) <= 'f');
}

struct ipv6 {
    unsigned groups;
    bool gap; /* :: was seen */
    bool long_group;
    size_t end;
};

/* Up to four hexadecimal digits at i; past them, or i. */
static size_t read_hex(const struct scan *s, size_t i, struct ipv6 *a)
{
    size_t next, at = i;
    unsigned digits = 0;

    while (is_hex(detect_fold(s, at, &next))) {
        if (++digits > 4)
            return i;
        at = next;
    }
    a->long_group |= digits >= 3;
    return at;
}

/* Reads groups and colons as far as they make an address. */
static void read_ipv6(const struct scan *s, size_t i, struct ipv6 *a)
{
    while (a->groups < 8) {
        size_t v4 = a->groups > 0 || a->gap ? read_ipv4(s, i) : 0;
        size_t at = v4 ? v4 : read_hex(s, i, a), next;

        if (at == i && !(a->groups == 0 && !a->gap))
            return;
        if (at != i) {
            a->groups += v4 ? 2 : 1;
            a->end = at;
        }
        if (v4 || detect_fold(s, at, &next) != ':')
            return;
        i = next;
        if (detect_fold(s, i, &next) == ':') {
            if (a->gap)
                return;
            a->gap = true;
            i = a->end = next;
        } else if (at == next) {
            return;
        }
    }
}

bool detect_ipv6(const struct scan *s, size_t i, struct detection *out)
{
    struct ipv6 a = {0, false, false, 0};
    size_t next;
    uint8_t c;

    if (!scan_wants(s, DETECT_IP))
        return false;
    c = detect_fold(s, i, &next);
    if (c == ':' ? detect_fold(s, next, &next) != ':' : !is_hex(c))
        return false;
    read_ipv6(s, i, &a);
    if (a.gap ? a.groups == 0 || a.groups > 7 : a.groups != 8)
        return false;
    if (a.gap && c != ':' && a.groups < 3 && !a.long_group)
        return false; /* 12::30 */
    c = detect_fold(s, a.end, &next);
    if (fold_is_word(c))
        return false;
    if (c == '%') /* a zone: RFC 4007 */
        for (size_t at = next; fold_is(detect_fold(s, at, &next), IS_WORD);
             at = next)
            a.end = next;
    return detection_make(out, DETECT_IP, i, a.end);
}
