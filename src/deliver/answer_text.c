#include "deliver/answer_text.h"

#include <curl/curl.h>

#include "base/instant.h"

/*
 * The answer of a stranger goes into our database and on an operator's screen.
 *
 * Invariant: what comes out is valid UTF-8 without control characters (C0, DEL
 * and C1, which terminals obey), so neither PostgreSQL refuses it nor a
 * terminal executes it.
 */

static size_t character_size(unsigned char lead)
{
    if (lead < 0x80) {
        return 1;
    }
    if (lead < 0xe0) {
        return 2;
    }
    return lead < 0xf0 ? 3 : 4;
}

static bool is_control(struct str character)
{
    unsigned char c = (unsigned char)character.data[0];
    return c < 0x20 || c == 0x7f ||
           (c == 0xc2 && character.size == 2 && (unsigned char)character.data[1] < 0xa0);
}

size_t answer_text_clean(struct str raw, char *text, size_t capacity)
{
    size_t size = 0;
    while (raw.size > 0) {
        struct str character = str_take(raw, character_size((unsigned char)raw.data[0]));
        bool control = is_control(character);
        bool valid = control || str_is_text(character);
        if (!valid || control) {
            character = str_take(raw, control ? character.size : 1);
        }
        size_t kept_size = valid && !control ? character.size : 1;
        if (size + kept_size > capacity) {
            break;
        }
        if (valid && !control) {
            memcpy(text + size, character.data, kept_size);
        } else {
            text[size] = control ? ' ' : '?';
        }
        size += kept_size;
        raw = str_drop(raw, character.size);
    }
    return size;
}

int64_t retry_after_parse(struct str value, int64_t now_ms)
{
    value = str_trim(value);
    uint64_t seconds = 0;
    if (str_to_u64(value, &seconds)) {
        return seconds > INSTANT_DAY_MS / 1000 ? INSTANT_DAY_MS : (int64_t)seconds * 1000;
    }
    char z[64];
    if (value.size == 0 || value.size >= sizeof(z)) {
        return 0;
    }
    memcpy(z, value.data, value.size);
    z[value.size] = '\0';
    time_t when = curl_getdate(z, NULL);
    if (when < 0 || (int64_t)when * 1000 <= now_ms) {
        return 0;
    }
    int64_t wait_ms = (int64_t)when * 1000 - now_ms;
    return wait_ms > INSTANT_DAY_MS ? INSTANT_DAY_MS : wait_ms;
}
