#include "api/key_format.h"

#include <string.h>

#include "base/codec.h"

/*
 * Keys as text.
 *
 * Invariant: what key_format_create writes passes key_format_check, and a key
 * with any one character changed does not (CRC-32 finds every single error).
 */

enum {
    CHECKED_SIZE = API_KEY_SIZE - 6,
};

void key_format_create(char *text)
{
    memcpy(text, "sbk_", 4);
    base62_random(text + 4, 12);
    text[API_KEY_PREFIX_SIZE] = '_';
    base62_random(text + API_KEY_PREFIX_SIZE + 1, 32);
    char check[7];
    base62_encode(crc32_of((struct str){ text, CHECKED_SIZE }), check, 6);
    memcpy(text + CHECKED_SIZE, check, 6);
    text[API_KEY_SIZE] = '\0';
}

static bool is_base62(struct str s)
{
    for (size_t i = 0; i < s.size; i++) {
        char c = s.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))) {
            return false;
        }
    }
    return true;
}

bool key_format_check(struct str key, struct str *out_prefix)
{
    if (key.size != API_KEY_SIZE || !str_starts_with(key, STR("sbk_")) ||
        key.data[API_KEY_PREFIX_SIZE] != '_' || !is_base62((struct str){ key.data + 4, 12 }) ||
        !is_base62(str_drop(key, API_KEY_PREFIX_SIZE + 1))) {
        return false;
    }
    char check[7];
    base62_encode(crc32_of(str_take(key, CHECKED_SIZE)), check, 6);
    if (memcmp(check, key.data + CHECKED_SIZE, 6) != 0) {
        return false;
    }
    *out_prefix = str_take(key, API_KEY_PREFIX_SIZE);
    return true;
}
