/* One reader of the three parts serves both directions: to cut a URL, and to
 * see that a text is a cut one.
 *
 * Worked example, parts host and path:
 *   https://ann:pw@Shop.example:8080/cups;jsessionid=1?q=x#top
 *   scheme  drop     host       drop path drop
 *   -> shop.example/cups */
#include "policy/url.h"

#include <string.h>

struct url_spans {
    struct span scheme, host, path;
};

unsigned url_part_of(struct span name)
{
    static const char *const names[] = {"scheme", "host", "path"};

    for (unsigned i = 0; i < 3; i++)
        if (span_equal(span_text(names[i]), name))
            return 1u << i;
    return 0;
}

bool url_parts_good(unsigned parts)
{
    return parts > 0 && parts <= URL_ALL && parts != (URL_SCHEME | URL_PATH);
}

static bool is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

static struct span eat(struct span *s, size_t size)
{
    struct span eaten = span_of(s->data, size);

    s->data += size;
    s->size -= size;
    return eaten;
}

static size_t scheme_size(struct span s)
{
    size_t size = 0;

    if (s.size == 0 || !is_letter(s.data[0]))
        return 0;
    while (size < s.size &&
           (is_letter(s.data[size]) || is_digit(s.data[size]) ||
            (s.data[size] && strchr("+-.", s.data[size]))))
        size++;
    return size;
}

/* A name, an IPv4 address, or an IPv6 address in brackets. */
static size_t host_size(struct span s)
{
    const char *others = "-._";
    size_t size = 0;

    if (s.size > 0 && s.data[0] == '[') {
        size = 1;
        while (size < s.size && s.data[size] != ']')
            if (!is_letter(s.data[size]) && !is_digit(s.data[size]) &&
                s.data[size] != ':' && s.data[size] != '.')
                return 0;
            else
                size++;
        return size > 1 && size < s.size ? size + 1 : 0;
    }
    while (size < s.size &&
           (is_letter(s.data[size]) || is_digit(s.data[size]) ||
            (s.data[size] && strchr(others, s.data[size]))))
        size++;
    return size;
}

static size_t path_size(struct span s)
{
    size_t size = 0;

    while (size < s.size && !strchr(";?#", s.data[size]))
        size++;
    return size;
}

static bool is_plain(struct span s)
{
    for (size_t i = 0; i < s.size; i++)
        if (s.data[i] <= ' ' || s.data[i] == 0x7f || s.data[i] == '\\')
            return false;
    return true;
}

/* user:password@host:port, up to the end. */
static bool authority_read(struct url_spans *u, struct span authority)
{
    size_t size;

    for (size_t i = authority.size; i > 0; i--)
        if (authority.data[i - 1] == '@') {
            eat(&authority, i);
            break;
        }
    size = host_size(authority);
    if (size == 0)
        return false;
    u->host = eat(&authority, size);
    if (authority.size > 0 && eat(&authority, 1).data[0] != ':')
        return false;
    for (size_t i = 0; i < authority.size; i++)
        if (!is_digit(authority.data[i]))
            return false;
    return true;
}

static bool url_read(struct url_spans *u, struct span url)
{
    static const char slashes[] = "://";
    size_t size = scheme_size(url);

    memset(u, 0, sizeof(*u));
    if (!is_plain(url))
        return false;
    if (size > 0) {
        u->scheme = eat(&url, size);
        if (url.size < 3 || memcmp(url.data, slashes, 3) != 0)
            return false;
        eat(&url, 3);
    } else if (url.size > 1 && url.data[0] == '/' && url.data[1] == '/') {
        eat(&url, 2); /* of the scheme of its page */
    } else {
        u->path = span_of(url.data, path_size(url));
        return url.size > 0 && url.data[0] == '/';
    }
    size = 0;
    while (size < url.size && !strchr("/?#", url.data[size]))
        size++;
    if (!authority_read(u, eat(&url, size)))
        return false;
    u->path = span_of(url.data, path_size(url));
    if (u->path.size == 0)
        u->path = span_text("/");
    return true;
}

size_t url_cut(char *out, size_t max, struct span url, unsigned parts)
{
    struct url_spans u;
    const struct {
        enum url_part part;
        const struct span *text;
        const char *after;
        bool lowered;
    } rows[] = {
        {URL_SCHEME, &u.scheme, parts & URL_HOST ? "://" : "", true},
        {URL_HOST, &u.host, "", true},
        {URL_PATH, &u.path, "", false},
    };
    size_t size = 0;

    if (!url_read(&u, url))
        return 0;
    for (unsigned i = 0; i < 3; i++) {
        struct span text = *rows[i].text;
        size_t after = strlen(rows[i].after);

        if (!(parts & rows[i].part))
            continue;
        if (text.size == 0 || text.size + after > max - size)
            return 0;
        for (size_t at = 0; at < text.size; at++)
            out[size++] =
                (char)(rows[i].lowered ? lower(text.data[at]) : text.data[at]);
        memcpy(out + size, rows[i].after, after);
        size += after;
    }
    return size;
}

static bool all_lower(struct span s)
{
    for (size_t i = 0; i < s.size; i++)
        if (lower(s.data[i]) != s.data[i])
            return false;
    return true;
}

bool url_fits(struct span text, unsigned parts)
{
    struct span left = text;

    if (!is_plain(text))
        return false;
    if (parts & URL_SCHEME) {
        size_t size = scheme_size(left);

        if (size == 0 || !all_lower(eat(&left, size)))
            return false;
        if (parts & URL_HOST &&
            (left.size < 3 || memcmp(eat(&left, 3).data, "://", 3) != 0))
            return false;
    }
    if (parts & URL_HOST) {
        size_t size = host_size(left);

        if (size == 0 || !all_lower(eat(&left, size)))
            return false;
    }
    if (parts & URL_PATH)
        return left.size > 0 && left.data[0] == '/' &&
               path_size(left) == left.size;
    return left.size == 0;
}
