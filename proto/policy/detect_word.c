/* Words that are somebody's: e-mail addresses, user and password in an
 * address, tokens, the values of secrets; and what a word says about the
 * number behind it. */
#include "policy/detect_parts.h"

/* Whether the ASCII word stands at i, whatever its case; past it, or 0. */
static size_t match_word(const struct scan *s, size_t i, const char *word)
{
    size_t k = 0;

    while (word[k] && i + k < s->size &&
           fold_lower(s->text[i + k]) == (uint8_t)word[k])
        k++;
    return word[k] ? 0 : i + k;
}

static size_t skip_spaces(const struct scan *s, size_t i, unsigned most)
{
    size_t next;

    while (most-- > 0 && detect_fold(s, i, &next) == ' ')
        i = next;
    return i;
}

static bool has_bytes(const struct scan *s, size_t i, const char *bytes)
{
    size_t size = strlen(bytes);

    return s->size - i >= size && memcmp(s->text + i, bytes, size) == 0;
}

/* Cues --------------------------------------------------------------- */

#define CUE_WINDOW 44

/* What precedes a number. exact: not only the beginning of a word. The number
 * may come at most `reach` bytes behind the cue. Han words need no space.
 * Sorted by the first byte. */
static const struct cue_row {
    const char *text;
    uint8_t cue, exact, reach;
} cues[] = {
    {"anruf", CUE_PHONE, 0, 24},
    {"appel", CUE_PHONE, 0, 24},
    {"auftrag", CUE_OTHER, 0, 16},
    {"artikel", CUE_OTHER, 0, 14},
    {"abschnitt", CUE_VERSION, 1, 8},
    {"bestell", CUE_OTHER, 0, 16},
    {"batch", CUE_OTHER, 1, 8},
    {"build", CUE_VERSION, 1, 8},
    {"cell", CUE_PHONE, 1, 24},
    {"call", CUE_PHONE, 1, 24},
    {"commande", CUE_OTHER, 0, 12},
    {"chapter", CUE_VERSION, 1, 8},
    {"ean", CUE_OTHER, 1, 6},
    {"fon", CUE_PHONE, 1, 24},
    {"fax", CUE_PHONE, 1, 24},
    {"festnetz", CUE_PHONE, 0, 24},
    {"facture", CUE_OTHER, 0, 12},
    {"firmware", CUE_VERSION, 0, 12},
    {"gsm", CUE_PHONE, 1, 16},
    {"gtin", CUE_OTHER, 0, 6},
    {"handy", CUE_PHONE, 0, 24},
    {"invoice", CUE_OTHER, 0, 12},
    {"isbn", CUE_OTHER, 0, 6},
    {"joign", CUE_PHONE, 0, 24},
    {"kapitel", CUE_VERSION, 1, 8},
    {"landline", CUE_PHONE, 0, 24},
    {"mobil", CUE_PHONE, 0, 24},
    {"mob", CUE_PHONE, 1, 24},
    {"order", CUE_OTHER, 0, 12},
    {"phone", CUE_PHONE, 0, 24},
    {"ph", CUE_PHONE, 1, 6},
    {"portable", CUE_PHONE, 1, 16},
    {"ring", CUE_PHONE, 1, 16},
    {"rechnung", CUE_OTHER, 0, 16},
    {"release", CUE_VERSION, 1, 10},
    {"sms", CUE_PHONE, 1, 24},
    {"sku", CUE_OTHER, 1, 8},
    {"serial", CUE_OTHER, 0, 12},
    {"serien", CUE_OTHER, 0, 14},
    {"sendung", CUE_OTHER, 0, 16},
    {"section", CUE_VERSION, 1, 8},
    {"tel", CUE_PHONE, 1, 24},
    {"telefon", CUE_PHONE, 0, 24},
    {"telephon", CUE_PHONE, 0, 24},
    {"t\xc3\xa9l", CUE_PHONE, 0, 24},
    {"tracking", CUE_OTHER, 0, 12},
    {"ticket", CUE_OTHER, 0, 12},
    {"upc", CUE_OTHER, 1, 6},
    {"update", CUE_VERSION, 1, 8},
    {"version", CUE_VERSION, 0, 10},
    {"ver", CUE_VERSION, 1, 4},
    {"v", CUE_VERSION, 1, 2},
    {"vx", CUE_PHONE, 1, 4},
    {"whatsapp", CUE_PHONE, 0, 24},
    {"wechat", CUE_PHONE, 1, 8},
    {"weixin", CUE_PHONE, 1, 8},
    {"wx", CUE_PHONE, 1, 4},
    {"\xc2\xa7", CUE_VERSION, 0, 3},
    {"\xe4\xbc\xa0\xe7\x9c\x9f", CUE_PHONE, 0, 18},  /* fax */
    {"\xe5\xba\xa7\xe6\x9c\xba", CUE_PHONE, 0, 18},  /* landline */
    {"\xe5\x8d\x95\xe5\x8f\xb7", CUE_OTHER, 0, 6},   /* order number */
    {"\xe5\x9e\x8b\xe5\x8f\xb7", CUE_OTHER, 0, 6},   /* model */
    {"\xe5\x9b\xba\xe4\xbb\xb6", CUE_VERSION, 0, 8}, /* firmware */
    {"\xe6\x89\x8b\xe6\x9c\xba", CUE_PHONE, 0, 18},  /* mobile */
    {"\xe6\x8b\xa8\xe6\x89\x93", CUE_PHONE, 0, 18},  /* dial */
    {"\xe7\x94\xb5\xe8\xaf\x9d", CUE_PHONE, 0, 18},  /* telephone */
    {"\xe7\xbc\x96\xe5\x8f\xb7", CUE_OTHER, 0, 6},   /* number */
    {"\xe7\x89\x88\xe6\x9c\xac", CUE_VERSION, 0, 8}, /* version */
    {"\xe8\x87\xb4\xe7\x94\xb5", CUE_PHONE, 0, 18},  /* call */
    {"\xe8\xae\xa2\xe5\x8d\x95", CUE_OTHER, 0, 10},  /* order */
    {"\xe8\xb4\xa7\xe5\x8f\xb7", CUE_OTHER, 0, 6},   /* article number */
};

/* Past the end of the word that begins at p. */
static size_t ascii_word_end(const struct scan *s, size_t p)
{
    while (p < s->size && detect_classes[s->text[p]] & (IS_LOWER | IS_UPPER))
        p++;
    return p;
}

static bool cue_at(const struct scan *s, size_t p, size_t i,
                   const struct cue_row *row)
{
    size_t end = match_word(s, p, row->text);

    if (end == 0 || end > i)
        return false;
    if ((uint8_t)row->text[0] < 0x80) {
        if (row->exact && ascii_word_end(s, end) != end)
            return false;
        end = ascii_word_end(s, end);
    }
    return end <= i && i - end <= row->reach;
}

#define CUES (sizeof(cues) / sizeof(cues[0]))

/* The first cue that does not begin below the byte. */
static size_t cues_from(uint8_t byte)
{
    size_t low = 0, high = CUES;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if ((uint8_t)cues[middle].text[0] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

enum cue detect_cue(const struct scan *s, size_t i)
{
    size_t low = i > CUE_WINDOW ? i - CUE_WINDOW : 0;

    if (low < s->floor)
        low = s->floor;
    for (size_t p = i; p-- > low;) {
        uint8_t b = s->text[p];

        if (b == '\n' || b == ']' || b == '?' || b == '!' ||
            detect_classes[b] & IS_DIGIT)
            break;
        if (detect_classes[b] & IS_WORD && p > s->floor &&
            detect_classes[s->text[p - 1]] & (IS_LOWER | IS_UPPER))
            continue; /* inside of a word */
        for (size_t k = cues_from(fold_lower(b));
             k < CUES && (uint8_t)cues[k].text[0] == fold_lower(b); k++)
            if (cue_at(s, p, i, &cues[k]))
                return (enum cue)cues[k].cue;
    }
    return CUE_NONE;
}

/* E-mail ------------------------------------------------------------- */

static bool is_open(uint8_t c)
{
    return c == '(' || c == '[' || c == '{' || c == '<';
}

static bool is_close(uint8_t c)
{
    return c == ')' || c == ']' || c == '}' || c == '>';
}

/* One of the words in parentheses, "( at )": past it, or 0. */
static size_t read_spelled(const struct scan *s, size_t i,
                           const char *const *words)
{
    size_t next, end = 0;

    i = skip_spaces(s, i, 1);
    if (!is_open(detect_fold(s, i, &next)))
        return 0;
    i = skip_spaces(s, next, 1);
    for (; *words && end == 0; words++)
        end = match_word(s, i, *words);
    if (end == 0)
        return 0;
    end = skip_spaces(s, end, 1);
    if (!is_close(detect_fold(s, end, &next)))
        return 0;
    return skip_spaces(s, next, 1);
}

/* An at-sign at i, in any of the ways it is written; past it, or 0. */
static size_t read_at(const struct scan *s, size_t i)
{
    static const char *const words[] = {"at", "@", "\xc3\xa4t", NULL};
    static const char *const bare[] = {" at ", " AT ", NULL};
    size_t next, at = skip_spaces(s, i, 1);
    uint8_t c = detect_fold(s, at, &next);

    if (c == '@')
        return skip_spaces(s, next, 1);
    for (unsigned k = 0; bare[k]; k++)
        if (has_bytes(s, i, bare[k]))
            return i + strlen(bare[k]);
    return is_open(c) ? read_spelled(s, i, words) : 0;
}

/* A dot of a domain name at i; past it, or 0. *spelled if it is a word. */
static size_t read_domain_dot(const struct scan *s, size_t i, bool first,
                              bool *spelled)
{
    static const char *const words[] = {"dot", "punkt", "point", ".", NULL};
    size_t next;

    if (detect_fold(s, i, &next) == '.')
        return next;
    if (first && has_bytes(s, i, "\xe3\x80\x82"))
        return i + 3; /* the Chinese full stop; later it ends a sentence */
    next = read_spelled(s, i, words);
    if (next == 0 && i < s->size && s->text[i] == ' ') {
        next = match_word(s, i, " dot ");
        if (next == 0)
            next = match_word(s, i, " punkt ");
    }
    *spelled |= next != 0;
    return next;
}

/* Past the label at i, or i. *top: it may be the last of a name. */
static size_t read_label(const struct scan *s, size_t i, bool *top)
{
    size_t next, at = i;
    unsigned letters = 0;
    bool still = true;

    for (;;) {
        uint8_t c = detect_fold(s, at, &next);

        if (c == '-' || c == '_') {
            size_t after;

            if (at == i || !fold_is_word(detect_fold(s, next, &after)))
                break;
        } else if (!fold_is_word(c)) {
            break;
        }
        still = still && (c == FOLD_LETTER || fold_is(c, IS_LOWER | IS_UPPER));
        letters += still;
        at = next;
    }
    *top = letters >= 2;
    return at;
}

/* "2x.png" of an image for dense displays, logo@2x.png. */
static bool is_density(const struct scan *s, size_t i, size_t end)
{
    return end == i + 2 && detect_classes[s->text[i]] & IS_DIGIT &&
           s->text[i + 1] == 'x';
}

/* Past the domain name at i, or 0. */
static size_t read_domain(const struct scan *s, size_t i, bool *spelled)
{
    size_t good = 0;

    for (unsigned labels = 1; labels < 128; labels++) {
        bool top;
        size_t end = read_label(s, i, &top), dot;

        if (end == i || (labels == 1 && is_density(s, i, end)))
            break;
        if (labels > 1 && top)
            good = end;
        dot = read_domain_dot(s, end, labels == 1, spelled);
        if (dot == 0)
            break;
        i = dot;
    }
    return good;
}

/* What follows an at-sign that ends at i: past the host, or 0. */
static size_t read_host(const struct scan *s, size_t i, bool bare)
{
    struct detection ip;
    bool spelled = false;
    size_t end, next;

    if (detect_fold(s, i, &next) == '[' && !bare) {
        struct scan inner = *s;

        inner.floor = next;
        inner.kinds = DETECT_ALL;
        if (detect_ipv4(&inner, next, &ip) || detect_ipv6(&inner, next, &ip)) {
            end = ip.start + ip.size;
            return detect_fold(s, end, &next) == ']' ? next : 0;
        }
    }
    end = read_domain(s, i, &spelled);
    return bare && !spelled ? 0 : end;
}

/* The run of a local part from i, looked at once for all words in it. */
static void local_run(struct scan *s, size_t i)
{
    size_t next;

    for (;;) {
        uint8_t c;

        while (i < s->size && detect_classes[s->text[i]] & IS_LOCAL)
            i++;
        c = detect_fold(s, i, &next);
        if (c != FOLD_LETTER && !fold_is(c, IS_LOCAL))
            break;
        i = next;
    }
    s->local_end = i;
    s->local_at = read_at(s, i);
}

bool detect_email(struct scan *s, size_t i, struct detection *out)
{
    size_t end;
    bool bare;

    if (!scan_wants(s, DETECT_EMAIL))
        return false;
    local_run(s, i);
    if (s->local_at == 0)
        return false;
    bare = has_bytes(s, s->local_end, " at ") ||
           has_bytes(s, s->local_end, " AT ");
    end = read_host(s, s->local_at, bare);
    return end > 0 && detection_make(out, DETECT_EMAIL, i, end);
}

/* "john doe"@example.com, from its at-sign. */
bool detect_quoted_email(const struct scan *s, size_t at, struct detection *out)
{
    size_t end, low = at > 66 ? at - 66 : 0, p = at;

    if (low < s->floor)
        low = s->floor;
    if (!scan_wants(s, DETECT_EMAIL) || at < low + 3 || s->text[at - 1] != '"')
        return false;
    for (p = at - 1; p > low && s->text[p - 1] != '"'; p--)
        if (s->text[p - 1] == '\n')
            return false;
    if (p == low || p == at - 1)
        return false;
    end = read_host(s, at + 1, false);
    return end > 0 && detection_make(out, DETECT_EMAIL, p - 1, end);
}

/* user:password@ ----------------------------------------------------- */

bool detect_userinfo(const struct scan *s, size_t i, struct detection *out)
{
    size_t colon = 0, at = 0;

    if (!scan_wants(s, DETECT_CREDENTIAL))
        return false;
    for (size_t p = i; p < s->size; p++) {
        uint8_t b = s->text[p];

        if (b <= ' ' || b == '/' || b == '?' || b == '#' || b == '"' ||
            b == '<' || b == '>' || b == 0x7f)
            break;
        if (b == ':' && colon == 0)
            colon = p;
        else if (b == '@')
            at = p;
    }
    return colon > 0 && at > colon + 1 &&
           detection_make(out, DETECT_CREDENTIAL, i, at);
}

/* Tokens ------------------------------------------------------------- */

/* How the keys of known makers begin, and how long they are at least. */
static const struct maker {
    const char *begins;
    size_t size;
} makers[] = {
    {"eyJ", 20},      {"AKIA", 20},        {"ASIA", 20},     {"AIza", 35},
    {"ghp_", 30},     {"gho_", 30},        {"ghu_", 30},     {"ghs_", 30},
    {"ghr_", 30},     {"github_pat_", 30}, {"glpat-", 20},   {"sk_live_", 16},
    {"sk_test_", 16}, {"pk_live_", 16},    {"pk_test_", 16}, {"rk_live_", 16},
    {"rk_test_", 16}, {"sk-", 24},         {"xoxb-", 20},    {"xoxp-", 20},
    {"xoxa-", 20},    {"xoxr-", 20},       {"xoxs-", 20},    {"npm_", 30},
    {"hf_", 24},      {"shpat_", 30},      {"LTAI", 16},     {"whsec_", 24},
    {"dop_v1_", 30},
};

/* What one piece of a run is like: characters between two separators. */
struct piece {
    size_t size;
    unsigned turns;  /* changes between lower, upper and digits */
    unsigned uppers; /* pairs of upper case */
    unsigned digits;
    bool hex;
};

static void piece_add(struct piece *p, unsigned before, unsigned class,
                      uint8_t b)
{
    bool turned = p->size > 0 && class != before;

    p->turns += turned;
    p->uppers += !turned && p->size > 0 && class == IS_UPPER;
    p->digits += class == IS_DIGIT;
    p->hex =
        (p->size == 0 || p->hex) && (class == IS_DIGIT || (b | 0x20) <= 'f');
    p->size++;
}

/* A string that nobody made up from words: of random letters and digits two
 * neighbours in three are of different classes, of random hexadecimal digits
 * one pair in two. camelCase changes as often, but without digits, and hardly
 * ever has two capitals in a row. */
static bool is_random(const struct piece *p)
{
    if (p->hex && p->size >= 20 && p->digits > 0)
        return p->turns >= (p->size < 32 ? 4 : 2);
    if (p->size < 20)
        return false;
    if (p->digits == 0)
        return p->turns * 100 >= p->size * 30 && p->uppers >= 2;
    if (p->size >= 32)
        return p->turns * 100 >= p->size * 16;
    return p->turns * 100 >= p->size * 25;
}

/* The run of [A-Za-z0-9_-], with + and / between if `wide`. */
struct blob {
    size_t end;
    struct piece whole;
    bool random_piece, wide;
    unsigned seen; /* classes */
};

static void blob_read(const struct scan *s, size_t i, struct blob *b)
{
    struct piece piece = {0};
    unsigned before = 0;
    size_t at = i;

    memset(b, 0, sizeof(*b));
    for (; at < s->size; at++) {
        uint8_t c = s->text[at];
        unsigned class = detect_classes[c] & IS_WORD;

        if (class) {
            piece_add(&piece, before, class, c);
            piece_add(&b->whole, before, class, c);
            b->seen |= class;
            before = class;
        } else if (c == '-' || c == '_' || c == '+' || c == '/') {
            b->random_piece |= is_random(&piece);
            piece = (struct piece){0};
            b->wide |= c == '+' || c == '/';
        } else {
            break;
        }
    }
    b->random_piece |= is_random(&piece);
    while (at > i && !(detect_classes[s->text[at - 1]] & IS_WORD))
        at--;
    b->end = at;
}

static bool is_uuid(const struct scan *s, size_t i)
{
    for (unsigned k = 0; k < 36; k++) {
        uint8_t c = i + k < s->size ? s->text[i + k] : 0;
        bool dash = k == 8 || k == 13 || k == 18 || k == 23;

        if (dash ? c != '-'
                 : !(detect_classes[c] & IS_DIGIT ||
                     ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')))
            return false;
    }
    return i + 36 == s->size || !(detect_classes[s->text[i + 36]] & IS_WORD);
}

static bool has_maker(const struct scan *s, size_t i, size_t size)
{
    for (size_t k = 0; k < sizeof(makers) / sizeof(makers[0]); k++)
        if (size >= makers[k].size && has_bytes(s, i, makers[k].begins))
            return true;
    return false;
}

/* Past what belongs to the token that ends at end: the parts of a JWT and its
 * like, the padding of base64. */
static size_t token_end(const struct scan *s, size_t end)
{
    while (end + 1 < s->size && s->text[end] == '.') {
        struct blob part;

        blob_read(s, end + 1, &part);
        if (part.end < end + 1 + 4)
            break;
        end = part.end;
    }
    for (unsigned k = 0; k < 2 && end < s->size && s->text[end] == '='; k++)
        end++;
    return end;
}

/* Where the random part begins: behind "SG." and "ya29.". */
static size_t token_body(const struct scan *s, size_t i)
{
    if (has_bytes(s, i, "SG."))
        return i + 3;
    return has_bytes(s, i, "ya29.") ? i + 5 : i;
}

/* Words of a path have a slash before them; a key rarely does. */
static bool in_path(const struct scan *s, size_t i)
{
    return i > s->floor && (s->text[i - 1] == '/' || s->text[i - 1] == '.');
}

/* Whether the run as a whole is random, though no piece of it is enough. */
static bool blob_is_random(const struct scan *s, size_t i, const struct blob *b)
{
    unsigned percent = b->whole.size < 24 ? 45 : 35;

    if (b->wide)
        return b->whole.size >= 32 && b->seen == IS_WORD && !in_path(s, i) &&
               b->whole.turns * 100 >= b->whole.size * 30;
    return b->whole.size >= 20 && b->whole.digits > 0 &&
           b->whole.turns * 100 >= b->whole.size * percent;
}

bool detect_token(struct scan *s, size_t i, struct detection *out)
{
    size_t body = token_body(s, i);
    struct blob b;

    if (!scan_wants(s, DETECT_TOKEN) || body >= s->size ||
        !(detect_classes[s->text[body]] & IS_WORD))
        return false;
    blob_read(s, body, &b);
    s->blob_end = b.end;
    return b.end - body >= 16 &&
           (b.random_piece || has_maker(s, i, b.end - i) || is_uuid(s, i) ||
            blob_is_random(s, i, &b)) &&
           detection_make(out, DETECT_TOKEN, i, token_end(s, b.end));
}

/* Secrets by name ---------------------------------------------------- */

#define NAME_KEPT 24

/* How the names of secrets end, without _ and -. Common words have to be the
 * whole name, and count in a query, or if the value looks like a key. */
enum takes { ANY_VALUE, KEY_LIKE, ONLY_QUERY };
#define NAME(text, takes)                                                      \
    {                                                                          \
        text, sizeof(text) - 1, takes                                          \
    }
static const struct secret_name {
    const char *text;
    uint8_t size;
    uint8_t takes; /* enum takes */
} secret_names[] = {
    NAME("password", ANY_VALUE),    NAME("passwort", ANY_VALUE),
    NAME("passwd", ANY_VALUE),      NAME("kennwort", ANY_VALUE),
    NAME("pwd", ANY_VALUE),         NAME("dbpass", ANY_VALUE),
    NAME("secret", ANY_VALUE),      NAME("apikey", ANY_VALUE),
    NAME("token", ANY_VALUE),       NAME("passphrase", ANY_VALUE),
    NAME("passcode", ANY_VALUE),    NAME("motdepasse", ANY_VALUE),
    NAME("mdp", ANY_VALUE),         NAME("accesskey", ANY_VALUE),
    NAME("secretkey", ANY_VALUE),   NAME("privatekey", ANY_VALUE),
    NAME("authkey", ANY_VALUE),     NAME("sessionid", ANY_VALUE),
    NAME("credentials", ANY_VALUE), NAME("authorization", ANY_VALUE),
    NAME("passe", ANY_VALUE),       NAME("bearer", KEY_LIKE),
    NAME("key", KEY_LIKE),          NAME("pass", KEY_LIKE),
    NAME("sig", KEY_LIKE),          NAME("signature", KEY_LIKE),
    NAME("auth", KEY_LIKE),         NAME("session", KEY_LIKE),
    NAME("sid", KEY_LIKE),          NAME("pw", KEY_LIKE),
    NAME("pin", KEY_LIKE),          NAME("jwt", KEY_LIKE),
    NAME("code", ONLY_QUERY),
};
#undef NAME

/* The name in lower case without _ and -, its last NAME_KEPT characters. */
struct name {
    char text[NAME_KEPT];
    unsigned size;
    size_t end;
};

static void read_name(const struct scan *s, size_t i, struct name *name)
{
    size_t next;

    name->size = 0;
    for (;; i = next) {
        uint8_t c = detect_fold(s, i, &next);

        if (c == '_' || c == '-')
            continue;
        if (!fold_is(c, IS_WORD))
            break;
        if (name->size == NAME_KEPT)
            memmove(name->text, name->text + 1, --name->size);
        name->text[name->size++] = (char)fold_lower(c);
    }
    name->end = i;
}

static const struct secret_name *name_find(const struct name *name)
{
    for (size_t k = 0; k < sizeof(secret_names) / sizeof(secret_names[0]);
         k++) {
        const struct secret_name *row = &secret_names[k];

        if (row->size <= name->size &&
            (row->takes == ANY_VALUE || row->size == name->size) &&
            name->text[name->size - 1] == row->text[row->size - 1] &&
            memcmp(name->text + name->size - row->size, row->text, row->size) ==
                0)
            return row;
    }
    return NULL;
}

static bool is_quote(uint8_t c)
{
    return c == '"' || c == '\'' || c == '`';
}

/* How a name and its value are joined. */
enum join { JOIN_NONE, JOIN_EQUALS, JOIN_COLON, JOIN_IS };

/* Past " : ", "=", "\":", " is ", and how it was; or JOIN_NONE. */
static enum join read_join(const struct scan *s, size_t i, size_t *end)
{
    static const char *const verbs[] = {" is ", " ist ", " lautet ", " est ",
                                        NULL};
    enum join join = JOIN_NONE;
    size_t next;
    uint8_t c = detect_fold(s, i, &next);

    for (unsigned k = 0; c == ' ' && verbs[k]; k++)
        if ((*end = match_word(s, i, verbs[k])) != 0)
            return JOIN_IS;
    if (is_quote(c))
        i = next;
    i = skip_spaces(s, i, 2);
    c = detect_fold(s, i, &next);
    if (c != '=' && c != ':')
        return JOIN_NONE;
    join = c == '=' ? JOIN_EQUALS : JOIN_COLON;
    c = detect_fold(s, next, end);
    if (c == ':' || (c == '/' && join == JOIN_COLON))
        return JOIN_NONE; /* C++, or a scheme */
    if (c == '>' || c == '=')
        next = *end;
    *end = skip_spaces(s, next, 2);
    return join;
}

struct secret_value {
    size_t start, end;
    unsigned classes; /* of its characters; IS_HIGH: punctuation */
    bool stars;       /* masked already */
};

static void value_add(struct secret_value *v, uint8_t c)
{
    unsigned class = c < 0x80 ? detect_classes[c] & IS_WORD : 0u;

    v->classes |= class ? class : (unsigned)IS_HIGH;
    v->stars = v->stars && (c == '*' || c == 'x' || c == 'X' || c == '.');
}

/* The value at i: quoted, or up to a space, a Han character, a bracket. In a
 * query & and # end it too. */
static void read_value(const struct scan *s, size_t i, bool query,
                       struct secret_value *v)
{
    size_t next;
    uint8_t quote = detect_fold(s, i, &next);

    *v = (struct secret_value){i, i, 0, true};
    if (is_quote(quote))
        v->start = i = next;
    else
        quote = 0;
    for (;; i = next) {
        uint8_t c = detect_fold(s, i, &next), after;
        size_t beyond;

        if (c < ' ' || c == 0x7f || c == FOLD_OTHER || c == '<' || c == '>')
            break;
        if (quote ? c == quote : c == ' ' || is_quote(c) || c == FOLD_LETTER)
            break;
        if (query && (c == '&' || c == '#'))
            break;
        if (!quote && s->text[i] >= 0x80 && !fold_is_word(c))
            break; /* full-width punctuation is of the sentence */
        if (!quote && strchr(".,;:)]}", c)) {
            after = detect_fold(s, next, &beyond);
            if (after <= ' ' || after >= 0x80 || is_quote(after) ||
                strchr(".,;:)]}<&", after))
                break;
        }
        value_add(v, c);
    }
    v->end = i;
}

/* Words that stand where a value would in a sentence. */
static bool is_filler(const struct scan *s, const struct secret_value *v)
{
    static const char *const words[] = {
        "must",         "required", "reset",   "the",       "your",
        "none",         "null",     "true",    "false",     "invalid",
        "wrong",        "expired",  "missing", "incorrect", "muss",
        "erforderlich", "falsch",   "bitte",   "vergessen", "forgotten",
        "hidden",       "empty",    "requis",  "string",    "should",
        "optional",     "minimum",  "unknown", "please",    "changed",
    };

    for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++)
        if (match_word(s, v->start, words[k]) == v->end)
            return true;
    return false;
}

static bool is_value(const struct scan *s, const struct secret_value *v,
                     enum join join, enum takes takes, bool query)
{
    size_t size = v->end - v->start;
    uint8_t first = size > 0 ? s->text[v->start] : 0;
    bool mixed = v->classes & IS_DIGIT || v->classes & IS_HIGH ||
                 (v->classes & IS_WORD) == (IS_LOWER | IS_UPPER);

    if (size < 3 || first == '[' || first == '{' || v->stars ||
        has_bytes(s, v->start, "${"))
        return false;
    if (query)
        return true;
    if (takes != ANY_VALUE)
        return takes == KEY_LIKE && size >= 8 && v->classes & IS_DIGIT &&
               v->classes & (IS_LOWER | IS_UPPER);
    if (join == JOIN_IS)
        return size >= 4 && mixed && v->classes != (IS_LOWER | IS_HIGH) &&
               v->classes != (IS_LOWER | IS_UPPER);
    return !is_filler(s, v);
}

/* "Bearer" and the like before the value of an authorization. */
static size_t skip_scheme(const struct scan *s, size_t i)
{
    static const char *const schemes[] = {"bearer ", "basic ", "digest ",
                                          "token ", NULL};

    for (unsigned k = 0; schemes[k]; k++) {
        size_t end = match_word(s, i, schemes[k]);

        if (end)
            return end;
    }
    return i;
}

static bool secret_at(const struct scan *s, size_t i, enum join join,
                      enum takes takes, bool query, struct detection *out)
{
    struct secret_value v;

    read_value(s, skip_scheme(s, i), query, &v);
    return is_value(s, &v, join, takes, query) &&
           detection_make(out, DETECT_SECRET, v.start, v.end);
}

/* Whether a name that begins at i may be followed by a value at all: most
 * words are not, and need not be looked up. */
static bool may_join(const struct scan *s, size_t i)
{
    uint8_t c, after;

    while (i < s->size && (detect_classes[s->text[i]] & IS_WORD ||
                           s->text[i] == '_' || s->text[i] == '-'))
        i++;
    if (i >= s->size)
        return false;
    c = s->text[i];
    if (c != ' ')
        return c == ':' || c == '=' || c == 0xef || c == 0xe2 || c == 0xc2 ||
               is_quote(c); /* or a full-width colon, a wide space */
    c = i + 2 < s->size ? s->text[i + 1] : 0;
    after = c ? s->text[i + 2] : 0;
    return c == ':' || c == '=' || c == 0xef || /* full-width */
           ((c == 'i' || c == 'e') && after == 's') ||
           (c == 'l' && after == 'a');
}

bool detect_secret(const struct scan *s, size_t i, struct detection *out)
{
    const struct secret_name *row;
    struct name name;
    size_t value;
    enum join join;
    bool query =
        i > s->floor && (s->text[i - 1] == '?' || s->text[i - 1] == '&');

    if (!scan_wants(s, DETECT_SECRET) || !may_join(s, i))
        return false;
    read_name(s, i, &name);
    row = name.size >= 2 ? name_find(&name) : NULL;
    if (!row)
        return false;
    join = read_join(s, name.end, &value);
    query = query && join == JOIN_EQUALS;
    return join != JOIN_NONE &&
           secret_at(s, value, join, (enum takes)row->takes, query, out);
}

bool detect_han_secret(const struct scan *s, size_t i, struct detection *out)
{
    static const char *const words[] = {
        "\xe5\xaf\x86\xe7\xa0\x81", /* password */
        "\xe5\x8f\xa3\xe4\xbb\xa4", /* watchword */
        "\xe5\xaf\x86\xe9\x92\xa5", /* secret key */
        "\xe4\xbb\xa4\xe7\x89\x8c", /* token */
        NULL,
    };
    size_t value;
    enum join join;

    if (!scan_wants(s, DETECT_SECRET))
        return false;
    for (unsigned k = 0; words[k]; k++) {
        if (!has_bytes(s, i, words[k]))
            continue;
        i += 6;
        join = read_join(s, i, &value);
        if (join == JOIN_NONE) {
            join = JOIN_IS;
            value = skip_spaces(s, i, 1);
            if (has_bytes(s, value, "\xe6\x98\xaf") || /* is */
                has_bytes(s, value, "\xe4\xb8\xba"))
                value += 3;
            value = skip_spaces(s, value, 1);
        }
        return secret_at(s, value, join, ANY_VALUE, false, out);
    }
    return false;
}
