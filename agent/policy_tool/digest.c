/* Both digests pad alike: a one bit, zeros, the length in bits; then a block
 * of 64 bytes at a time is mixed into the state. */
#include "agent/policy_tool/digest.h"

#define BLOCK 64

static uint32_t rotate(uint32_t x, unsigned by)
{
    return x << by | x >> (32 - by);
}

/* The block at number `index` of the padded bytes; false after the last. */
static bool block_of(uint8_t out[BLOCK], struct span bytes, size_t index,
                     bool big_endian)
{
    size_t at = index * BLOCK, blocks = (bytes.size + 8) / BLOCK + 1;
    uint64_t bits = (uint64_t)bytes.size * 8;

    if (index >= blocks)
        return false;
    for (size_t i = 0; i < BLOCK; i++, at++)
        out[i] = at < bytes.size ? bytes.data[at] : at == bytes.size ? 0x80 : 0;
    for (unsigned i = 0; index + 1 == blocks && i < 8; i++)
        out[56 + i] = (uint8_t)(bits >> 8 * (big_endian ? 7 - i : i));
    return true;
}

/* floor(2^32 |sin(i + 1)|), RFC 1321, section 3.4. */
static const uint32_t md5_sines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a,
    0xa8304613, 0xfd469501, 0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be,
    0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 0xf61e2562, 0xc040b340,
    0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8,
    0x676f02d9, 0x8d2a4c8a, 0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c,
    0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70, 0x289b7ec6, 0xeaa127fa,
    0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92,
    0xffeff47d, 0x85845dd1, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1,
    0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

static void md5_mix(uint32_t state[4], const uint8_t block[BLOCK])
{
    static const uint8_t turns[4][4] = {
        {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];

    for (unsigned i = 0; i < 64; i++) {
        unsigned round = i / 16;
        unsigned k = (round == 0   ? i
                      : round == 1 ? 5 * i + 1
                      : round == 2 ? 3 * i + 5
                                   : 7 * i) %
                     16;
        uint32_t f = round == 0   ? (b & c) | (~b & d)
                     : round == 1 ? (d & b) | (~d & c)
                     : round == 2 ? b ^ c ^ d
                                  : c ^ (b | ~d);
        uint32_t word =
            (uint32_t)block[4 * k] | (uint32_t)block[4 * k + 1] << 8 |
            (uint32_t)block[4 * k + 2] << 16 | (uint32_t)block[4 * k + 3] << 24;

        f += a + md5_sines[i] + word;
        a = d;
        d = c;
        c = b;
        b += rotate(f, turns[round][i % 4]);
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
}

void md5_of(uint8_t out[MD5_SIZE], struct span bytes)
{
    uint32_t state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    uint8_t block[BLOCK];

    for (size_t i = 0; block_of(block, bytes, i, false); i++)
        md5_mix(state, block);
    for (unsigned i = 0; i < MD5_SIZE; i++)
        out[i] = (uint8_t)(state[i / 4] >> 8 * (i % 4));
}

static void sha1_mix(uint32_t state[5], const uint8_t block[BLOCK])
{
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3],
             e = state[4], w[80];

    for (unsigned i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | (uint32_t)block[4 * i + 3];
    for (unsigned i = 16; i < 80; i++)
        w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (unsigned i = 0; i < 80; i++) {
        static const uint32_t constants[4] = {0x5a827999, 0x6ed9eba1,
                                              0x8f1bbcdc, 0xca62c1d6};
        unsigned round = i / 20;
        uint32_t f = round == 0   ? (b & c) | (~b & d)
                     : round == 2 ? (b & c) | (b & d) | (c & d)
                                  : b ^ c ^ d;
        uint32_t next = rotate(a, 5) + f + e + w[i] + constants[round];

        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

void sha1_of(uint8_t out[SHA1_SIZE], struct span bytes)
{
    uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476,
                         0xc3d2e1f0};
    uint8_t block[BLOCK];

    for (size_t i = 0; block_of(block, bytes, i, true); i++)
        sha1_mix(state, block);
    for (unsigned i = 0; i < SHA1_SIZE; i++)
        out[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
}
