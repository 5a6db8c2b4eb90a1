#include "base/md5.h"

#include <stdint.h>
#include <string.h>

/*
 * MD5 in one call over bytes that are all there.
 *
 * Mailchimp's path to a member is the MD5 of the lower-case address. libsodium
 * has none (rightly), and libcrypto is not for core, which renders that path;
 * seventy lines of a frozen standard are cheaper than a library in the purest
 * layer. Held to the standard's own vectors by tests/unit/test_md5.c.
 */

enum {
    BLOCK = 64,
    TAIL = BLOCK - 8, /* the last block ends with the length */
};

/* floor(2^32 * |sin(i + 1)|) */
static const uint32_t sines[BLOCK] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

static const uint8_t turns[16] = { 7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21 };

static uint32_t mix(unsigned round, uint32_t b, uint32_t c, uint32_t d)
{
    switch (round) {
    case 0:
        return (b & c) | (~b & d);
    case 1:
        return (d & b) | (~d & c);
    case 2:
        return b ^ c ^ d;
    default:
        return c ^ (b | ~d);
    }
}

static unsigned word_of(unsigned step)
{
    static const uint8_t factors[4] = { 1, 5, 3, 7 };
    static const uint8_t offsets[4] = { 0, 1, 5, 0 };
    return (factors[step / 16] * step + offsets[step / 16]) % 16;
}

static void take_block(uint32_t state[4], const uint8_t *block)
{
    uint32_t words[16];
    for (size_t i = 0; i < 16; i++) {
        const uint8_t *at = block + 4 * i;
        words[i] = at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    }
    uint32_t a = state[0];
    uint32_t b = state[1];
    uint32_t c = state[2];
    uint32_t d = state[3];
    for (unsigned step = 0; step < BLOCK; step++) {
        uint32_t sum = a + mix(step / 16, b, c, d) + sines[step] + words[word_of(step)];
        unsigned turn = turns[step / 16 * 4 + step % 4];
        a = d;
        d = c;
        c = b;
        b += sum << turn | sum >> (32 - turn);
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
}

void md5_hex(struct str bytes, char *text)
{
    static const char digits[] = "0123456789abcdef";
    uint32_t state[4] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476 };
    size_t whole = bytes.size / BLOCK * BLOCK;
    for (size_t at = 0; at < whole; at += BLOCK) {
        take_block(state, (const uint8_t *)bytes.data + at);
    }
    uint8_t last[2 * BLOCK] = { 0 };
    size_t rest = bytes.size - whole;
    if (rest > 0) {
        memcpy(last, bytes.data + whole, rest);
    }
    last[rest] = 0x80;
    size_t size = rest < TAIL ? BLOCK : 2 * BLOCK;
    uint64_t bits = (uint64_t)bytes.size * 8;
    for (size_t i = 0; i < 8; i++) {
        last[size - 8 + i] = (uint8_t)(bits >> (8 * i));
    }
    for (size_t at = 0; at < size; at += BLOCK) {
        take_block(state, last + at);
    }
    for (size_t i = 0; i < 16; i++) {
        uint8_t byte = (uint8_t)(state[i / 4] >> (8 * (i % 4)));
        text[2 * i] = digits[byte >> 4];
        text[2 * i + 1] = digits[byte & 15];
    }
    text[MD5_HEX_SIZE - 1] = '\0';
}
