#include "base/codec.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "base/arena.h"

/*
 * Bytes as text and back.
 *
 * Invariant: of each decoder, exactly one text is accepted for given bytes
 * (hex aside, which is read in either case), so that a signature or a cursor
 * cannot be rewritten into a second spelling. libsodium's decoders do that
 * for base64: they refuse white space, missing or extra padding and stray
 * bits, and run in constant time, which matters because secrets pass here.
 */

static const char base62_digits[] =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static bool decode(struct str text, int variant, uint8_t *bytes, size_t capacity, size_t *out_size)
{
    size_t size = 0;
    /* With no end pointer the whole text has to be consumed. */
    if (text.size > 0 &&
        sodium_base642bin(bytes, capacity, text.data, text.size, NULL, &size, NULL, variant) != 0) {
        return false;
    }
    *out_size = size;
    return true;
}

bool base64_decode(struct str text, uint8_t *out_bytes, size_t capacity, size_t *out_size)
{
    return decode(text, sodium_base64_VARIANT_ORIGINAL, out_bytes, capacity, out_size);
}

bool base64url_decode(struct str text, uint8_t *out_bytes, size_t capacity, size_t *out_size)
{
    return decode(text, sodium_base64_VARIANT_URLSAFE_NO_PADDING, out_bytes, capacity, out_size);
}

bool hex_decode(struct str text, uint8_t *out_bytes, size_t capacity, size_t *out_size)
{
    size_t size = 0;
    if (text.size > 0 &&
        sodium_hex2bin(out_bytes, capacity, text.data, text.size, NULL, &size, NULL) != 0) {
        return false;
    }
    *out_size = size;
    return true;
}

static struct str encode(struct arena *arena, int variant, const uint8_t *bytes, size_t size)
{
    assert(size < SIZE_MAX / 2);
    size_t text_size = sodium_base64_encoded_len(size, variant); /* with NUL */
    char *text = arena_alloc_bytes(arena, text_size);
    if (text == NULL) {
        return (struct str){ NULL, 0 };
    }
    sodium_bin2base64(text, text_size, bytes, size, variant);
    return (struct str){ text, strlen(text) };
}

struct str base64_encode(struct arena *arena, const uint8_t *bytes, size_t size)
{
    return encode(arena, sodium_base64_VARIANT_ORIGINAL, bytes, size);
}

struct str base64url_encode(struct arena *arena, const uint8_t *bytes, size_t size)
{
    return encode(arena, sodium_base64_VARIANT_URLSAFE_NO_PADDING, bytes, size);
}

struct str hex_encode(struct arena *arena, const uint8_t *bytes, size_t size)
{
    assert(size < SIZE_MAX / 2);
    char *text = arena_alloc_bytes(arena, size * 2 + 1);
    if (text == NULL) {
        return (struct str){ NULL, 0 };
    }
    sodium_bin2hex(text, size * 2 + 1, bytes, size);
    return (struct str){ text, size * 2 };
}

void base62_random(char *text, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        text[i] = base62_digits[randombytes_uniform(62)];
    }
}

void base62_encode(uint64_t value, char *text, size_t width)
{
    for (size_t i = width; i > 0; i--) {
        text[i - 1] = base62_digits[value % 62];
        value /= 62;
    }
    assert(value == 0);
}

uint32_t crc32_of(struct str s)
{
    /* Half a byte per step: what is checked is the 40 characters of a key. */
    static const uint32_t nibbles[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < s.size; i++) {
        crc ^= (uint8_t)s.data[i];
        crc = crc >> 4 ^ nibbles[crc & 15];
        crc = crc >> 4 ^ nibbles[crc & 15];
    }
    return ~crc;
}

/* The byte that the two digits behind a '%' stand for, or -1. */
static int escaped_byte(struct str text, size_t at)
{
    uint8_t byte = 0;
    size_t count = 0;
    struct str digits = str_take(str_drop(text, at + 1), 2);
    bool good = digits.size == 2 && hex_decode(digits, &byte, 1, &count) && byte != 0;
    return good ? byte : -1;
}

bool percent_decode(struct arena *arena, struct str text, struct str *out_text)
{
    size_t capacity = SIZE_MAX;
    bool fits = size_add(text.size, 1, &capacity);
    char *decoded = arena_alloc_bytes(arena, capacity);
    if (!fits || decoded == NULL) {
        return false;
    }
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != '%') {
            decoded[size++] = text.data[i];
            continue;
        }
        int byte = escaped_byte(text, i);
        if (byte < 0) {
            return false;
        }
        decoded[size++] = (char)byte;
        i += 2;
    }
    decoded[size] = '\0';
    *out_text = (struct str){ decoded, size };
    return true;
}
