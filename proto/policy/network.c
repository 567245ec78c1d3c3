/* The C library reads and writes the addresses (inet_pton, inet_ntop: RFC 5952
 * for what is left of them); here they are cut. */
#include "policy/network.h"

#include <arpa/inet.h>
#include <sodium.h>
#include <string.h>

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct address {
    int family;
    uint8_t bytes[16];
};

static bool address_read(struct address *a, struct span text)
{
    char copy[INET6_ADDRSTRLEN + 1];
    const uint8_t *zone = memchr(text.data, '%', text.size);
    bool good;

    if (zone)
        text.size = (size_t)(zone - text.data);
    if (text.size == 0 || text.size > INET6_ADDRSTRLEN)
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    a->family = memchr(copy, ':', text.size) ? AF_INET6 : AF_INET;
    good =
        strlen(copy) == text.size && inet_pton(a->family, copy, a->bytes) == 1;
    sodium_memzero(copy, sizeof(copy));
    if (good && a->family == AF_INET6 &&
        memcmp(a->bytes, mapped, sizeof(mapped)) == 0) {
        memmove(a->bytes, a->bytes + sizeof(mapped), 4);
        a->family = AF_INET;
    }
    return good;
}

/* Zeros behind the first bits. */
static void mask(uint8_t *bytes, size_t size, unsigned bits)
{
    for (size_t i = 0; i < size; i++) {
        unsigned before = (unsigned)i * 8;

        if (before >= bits)
            bytes[i] = 0;
        else if (bits - before < 8)
            bytes[i] &= (uint8_t)(0xff << (8 - (bits - before)));
    }
}

size_t network_cut(char out[NETWORK_TEXT_MAX], struct span address, unsigned v4,
                   unsigned v6)
{
    char text[INET6_ADDRSTRLEN + 4];
    struct address a;
    unsigned bits;
    size_t size;

    if (!address_read(&a, address))
        return 0;
    bits = a.family == AF_INET ? v4 : v6;
    mask(a.bytes, sizeof(a.bytes), bits);
    inet_ntop(a.family, a.bytes, text, INET6_ADDRSTRLEN);
    size = strlen(text);
    text[size++] = '/';
    if (bits >= 10)
        text[size++] = (char)('0' + bits / 10);
    text[size++] = (char)('0' + bits % 10);
    memcpy(out, text, size);
    return size;
}

bool network_fits(struct span text, unsigned v4, unsigned v6)
{
    const uint8_t *slash = memchr(text.data, '/', text.size);
    char again[NETWORK_TEXT_MAX];
    size_t size;

    if (!slash || memchr(text.data, '%', text.size))
        return false;
    size = network_cut(again, span_of(text.data, (size_t)(slash - text.data)),
                       v4, v6);
    return size > 0 && span_equal(span_of(again, size), text);
}
