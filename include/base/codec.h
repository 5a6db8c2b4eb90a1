#ifndef BASE_CODEC_H
#define BASE_CODEC_H

/*
 * Bytes as text and back: base64 (strict: padding required, no white space,
 * nothing behind it), hex, base62, percent-encoding, CRC-32.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct arena;

/* False when the text is not exactly one well-formed encoding or the result
 * exceeds `capacity`. */
bool base64_decode(struct str text, uint8_t *out_bytes, size_t capacity, size_t *out_size);
bool base64url_decode(struct str text, uint8_t *out_bytes, size_t capacity, size_t *out_size);
bool hex_decode(struct str text, uint8_t *out_bytes, size_t capacity, size_t *out_size);

/* NUL-terminated copies in the arena; empty when it is full. */
struct str base64_encode(struct arena *arena, const uint8_t *bytes, size_t size);
struct str base64url_encode(struct arena *arena, const uint8_t *bytes,
                            size_t size); /* no padding */
struct str hex_encode(struct arena *arena, const uint8_t *bytes, size_t size);

/* `count` characters of 0-9A-Za-z from the system's randomness, unbiased. */
void base62_random(char *text, size_t count);
/* A number as exactly `width` base62 digits, most significant first. */
void base62_encode(uint64_t value, char *text, size_t width);

uint32_t crc32_of(struct str s); /* IEEE 802.3, as in zlib */

/* Percent-decodes into the arena ("+" stays). False on a bad escape, on %00,
 * or when the arena is full. */
bool percent_decode(struct arena *arena, struct str text, struct str *out_text);

#endif
