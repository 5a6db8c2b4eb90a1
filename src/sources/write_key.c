#include "sources/write_key.h"

#include <string.h>

#include "base/codec.h"

/*
 * An id in base62: 128 bits as 22 digits, most significant first, and behind them
 * two of its remainder by a prime. One wrong digit changes the number by d * 62^k,
 * two neighbours swapped by d * 61 * 62^k, and neither is a multiple of the prime,
 * so each such slip is found.
 *
 * Invariant: a key has one spelling. 22 digits hold more than 128 bits, so a
 * number that does not fit is no key.
 */

enum {
    PREFIX_SIZE = 4,
    DIGITS = 22,
    CHECK_DIGITS = 2,
    BASE = 62,
    CHECK_PRIME = 3833, /* the largest below 62 * 62 */
};

static const char ALPHABET[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static void write_check(struct id id, char *text)
{
    unsigned remainder = 0;
    for (size_t i = 0; i < ID_SIZE; i++) {
        remainder = (remainder << 8 | id.bytes[i]) % CHECK_PRIME;
    }
    base62_encode(remainder, text, CHECK_DIGITS);
}

void write_key_format(struct id source_id, char *text)
{
    struct id rest = source_id;
    memcpy(text, "sbw_", PREFIX_SIZE);
    for (size_t digit = DIGITS; digit > 0; digit--) {
        unsigned remainder = 0;
        for (size_t i = 0; i < ID_SIZE; i++) {
            unsigned value = remainder << 8 | rest.bytes[i];
            rest.bytes[i] = (uint8_t)(value / BASE);
            remainder = value % BASE;
        }
        text[PREFIX_SIZE + digit - 1] = ALPHABET[remainder];
    }
    char check[CHECK_DIGITS + 1];
    write_check(source_id, check);
    memcpy(text + PREFIX_SIZE + DIGITS, check, CHECK_DIGITS);
    text[WRITE_KEY_SIZE] = '\0';
}

bool write_key_parse(struct str text, struct id *out_source_id)
{
    struct id id = ID_ZERO;
    if (text.size != WRITE_KEY_SIZE || !str_starts_with(text, STR("sbw_"))) {
        return false;
    }
    for (size_t digit = 0; digit < DIGITS; digit++) {
        char c = text.data[PREFIX_SIZE + digit];
        const char *at = c == '\0' ? NULL : strchr(ALPHABET, c);
        if (at == NULL) {
            return false;
        }
        unsigned carry = (unsigned)(at - ALPHABET);
        for (size_t i = ID_SIZE; i > 0; i--) {
            unsigned value = (unsigned)id.bytes[i - 1] * BASE + carry;
            id.bytes[i - 1] = (uint8_t)(value & 0xff);
            carry = value >> 8;
        }
        if (carry > 0) {
            return false;
        }
    }
    char check[CHECK_DIGITS + 1];
    write_check(id, check);
    if (memcmp(check, text.data + PREFIX_SIZE + DIGITS, CHECK_DIGITS) != 0) {
        return false;
    }
    *out_source_id = id;
    return true;
}
