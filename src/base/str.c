#include "base/str.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"

/*
 * Borrowed bytes.
 *
 * Invariant: no function reads outside data[0..size), none looks for a NUL,
 * and none depends on the locale, so the same bytes give the same answer on
 * every machine. Rejected: NUL-terminated text inside the program, because
 * what comes from the network may contain any byte.
 */

enum {
    NEAREST_WORD_SIZE_MAX = 64, /* names here are shorter; longer ones get no advice */
    NEAREST_DISTANCE_MAX = 3,
};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static char lower(char c)
{
    if (c < 'A' || c > 'Z') {
        return c;
    }
    return (char)(c + ('a' - 'A'));
}

struct str str_from_z(const char *text)
{
    return text == NULL ? (struct str){ NULL, 0 } : (struct str){ text, strlen(text) };
}

bool str_equal(struct str a, struct str b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* From the left: most words that differ do so at once, and b's length is not known. */
bool str_equal_z(struct str a, const char *b)
{
    b = b != NULL ? b : "";
    for (size_t i = 0; i < a.size; i++) {
        if (a.data[i] != b[i] || b[i] == '\0') {
            return false;
        }
    }
    return b[a.size] == '\0';
}

bool str_equal_nocase(struct str a, struct str b)
{
    if (a.size != b.size) {
        return false;
    }
    for (size_t i = 0; i < a.size; i++) {
        if (lower(a.data[i]) != lower(b.data[i])) {
            return false;
        }
    }
    return true;
}

bool str_equal_nocase_z(struct str a, const char *b)
{
    b = b != NULL ? b : "";
    for (size_t i = 0; i < a.size; i++) {
        if (lower(a.data[i]) != lower(b[i]) || b[i] == '\0') {
            return false;
        }
    }
    return b[a.size] == '\0';
}

int str_compare(struct str a, struct str b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    if (order != 0) {
        return order < 0 ? -1 : 1;
    }
    return a.size < b.size ? -1 : a.size > b.size;
}

bool str_starts_with(struct str s, struct str prefix)
{
    return s.size >= prefix.size && str_equal(str_take(s, prefix.size), prefix);
}

bool str_ends_with(struct str s, struct str suffix)
{
    return s.size >= suffix.size && str_equal(str_drop(s, s.size - suffix.size), suffix);
}

struct str str_trim(struct str s)
{
    while (s.size > 0 && is_space(s.data[0])) {
        s = str_drop(s, 1);
    }
    while (s.size > 0 && is_space(s.data[s.size - 1])) {
        s.size--;
    }
    return s;
}

struct str str_drop(struct str s, size_t count)
{
    if (s.size == 0) {
        return s;
    }
    size_t dropped = count < s.size ? count : s.size;
    return (struct str){ s.data + dropped, s.size - dropped };
}

struct str str_take(struct str s, size_t count)
{
    return (struct str){ s.data, count < s.size ? count : s.size };
}

struct str str_take_text(struct str s, size_t size_max)
{
    size_t size = s.size < size_max ? s.size : size_max;
    while (size < s.size && size > 0 && ((uint8_t)s.data[size] & 0xc0) == 0x80) {
        size--;
    }
    return str_take(s, size);
}

ptrdiff_t str_find(struct str s, char needle, size_t from)
{
    if (from >= s.size) {
        return -1;
    }
    const char *found = memchr(s.data + from, needle, s.size - from);
    return found == NULL ? -1 : found - s.data;
}

bool str_split(struct str s, char separator, struct str *out_head, struct str *out_tail)
{
    ptrdiff_t at = str_find(s, separator, 0);
    if (at < 0) {
        return false;
    }
    *out_head = str_take(s, (size_t)at);
    *out_tail = str_drop(s, (size_t)at + 1);
    return true;
}

bool str_to_u64(struct str s, uint64_t *out_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(s.data[i] - '0');
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, digit, &value)) {
            return false;
        }
    }
    if (s.size == 0) {
        return false;
    }
    *out_value = value;
    return true;
}

bool str_to_i64(struct str s, int64_t *out_value)
{
    bool negative = str_starts_with(s, STR("-"));
    uint64_t magnitude = 0;
    if (!str_to_u64(str_drop(s, negative ? 1 : 0), &magnitude)) {
        return false;
    }
    uint64_t limit = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    if (magnitude > limit) {
        return false;
    }
    /* Modulo 2^64, so that INT64_MIN needs no case of its own. */
    *out_value = (int64_t)(negative ? 0 - magnitude : magnitude);
    return true;
}

/* The size of the well-formed character at `at`, or 0. The second byte's
 * range is what excludes overlong forms, surrogates and values past
 * U+10FFFF (RFC 3629, table 3-7 of Unicode). */
static size_t utf8_size(const uint8_t *at, size_t left)
{
    uint8_t lead = at[0];
    if (lead < 0x80) {
        return lead != 0;
    }
    if (lead < 0xc2 || lead > 0xf4) {
        return 0;
    }
    size_t size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (left < size) {
        return 0;
    }
    uint8_t least = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < least || at[1] > most) {
        return 0;
    }
    for (size_t i = 2; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return size;
}

/* Eight bytes at once: none has its high bit set and none is zero. */
static bool is_plain_word(const uint8_t *at)
{
    uint64_t word = 0;
    memcpy(&word, at, sizeof(word));
    const uint64_t highs = UINT64_C(0x8080808080808080);
    const uint64_t ones = UINT64_C(0x0101010101010101);
    return (word & highs) == 0 && ((word - ones) & highs) == 0;
}

bool str_is_text(struct str s)
{
    const uint8_t *bytes = (const uint8_t *)s.data;
    size_t i = 0;
    while (i < s.size) {
        if (s.size - i >= 8 && is_plain_word(bytes + i)) {
            i += 8;
            continue;
        }
        size_t size = utf8_size(bytes + i, s.size - i);
        if (size == 0) {
            return false;
        }
        i += size;
    }
    return true;
}

const char *str_dup_z(struct arena *arena, struct str s)
{
    /* A size that overflows fits no arena, which has to remember that. */
    size_t size = SIZE_MAX;
    bool fits = size_add(s.size, 1, &size);
    char *copy = arena_alloc_bytes(arena, size);
    if (copy != NULL && fits) {
        memcpy(copy, s.size > 0 ? s.data : "", s.size);
        copy[s.size] = '\0';
    }
    return copy;
}

struct str str_dup(struct arena *arena, struct str s)
{
    const char *copy = str_dup_z(arena, s);
    return copy == NULL ? (struct str){ NULL, 0 } : (struct str){ copy, s.size };
}

struct str str_lower(struct arena *arena, struct str s)
{
    char *copy = arena_alloc_bytes(arena, s.size);
    if (copy == NULL) {
        return (struct str){ NULL, 0 };
    }
    for (size_t i = 0; i < s.size; i++) {
        copy[i] = lower(s.data[i]);
    }
    return (struct str){ copy, s.size };
}

struct str str_printf(struct arena *arena, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int length = vsnprintf(NULL, 0, format, list);
    va_end(list);
    assert(length >= 0);

    char *text = arena_alloc_bytes(arena, (size_t)length + 1);
    if (text == NULL) {
        return (struct str){ NULL, 0 };
    }
    va_start(list, format);
    vsnprintf(text, (size_t)length + 1, format, list);
    va_end(list);
    return (struct str){ text, (size_t)length };
}

/* Levenshtein's distance by one row of its table. */
static size_t edit_distance(struct str a, struct str b)
{
    size_t row[NEAREST_WORD_SIZE_MAX + 1];
    for (size_t j = 0; j <= b.size; j++) {
        row[j] = j;
    }
    for (size_t i = 0; i < a.size; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b.size; j++) {
            size_t best = diagonal + (a.data[i] != b.data[j]);
            diagonal = row[j + 1];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = diagonal + 1 < best ? diagonal + 1 : best;
            row[j + 1] = best;
        }
    }
    return row[b.size];
}

const char *str_nearest(struct str word, const char *const *candidates, size_t count)
{
    const char *nearest = NULL;
    size_t least = NEAREST_DISTANCE_MAX + 1;
    if (word.size > NEAREST_WORD_SIZE_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        struct str candidate = str_from_z(candidates[i]);
        if (candidate.size > NEAREST_WORD_SIZE_MAX) {
            continue;
        }
        size_t distance = edit_distance(word, candidate);
        if (distance < least && 2 * distance < word.size) {
            least = distance;
            nearest = candidates[i];
        }
    }
    return nearest;
}
