#include "sources/json_border.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/instant.h"
#include "base/limits.h"
#include "base/money.h"
#include "json_memory_priv.h"

/*
 * Foreign JSON becomes plain values here, and nowhere else in this layer.
 *
 * Invariant: what passes has one reading. Duplicate names are refused (the
 * first or the last would be a choice that a proxy may make differently), so
 * are U+0000 (PostgreSQL cannot store it), lone surrogates and invalid UTF-8;
 * integers stay 64-bit integers and never pass through a double. jansson
 * recurses once per level, so the depth is counted before it starts.
 *
 * Money that a shop sends as a JSON real has been a double before we saw it
 * or becomes one in jansson. Printing it with 15 significant digits gives back
 * the decimal text it came from whenever that had at most 15 digits, which is
 * all money below ten trillion with cents; "%.17g" would give 3.3500000000000001
 * and round the wrong way. Rejected: JSON_DECODE_INT_AS_REAL (ids above 2^53
 * would change) and a parser of our own (one more thing to be wrong).
 *
 * No locale is ever set in this program, so printf's decimal point is a point.
 */

enum {
    REAL_DIGITS = 15
};

/* Most documents open fewer than may be open at once, and need no second look. */
static bool may_be_too_deep(struct str bytes)
{
    size_t openers = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        openers += bytes.data[i] == '{' || bytes.data[i] == '[' ? 1 : 0;
    }
    return openers > LIMIT_JSON_DEPTH;
}

bool border_is_too_deep(struct str bytes)
{
    if (!may_be_too_deep(bytes)) {
        return false;
    }
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < bytes.size; i++) {
        char c = bytes.data[i];
        if (in_string) {
            i += c == '\\' ? 1 : 0;
            in_string = c != '"';
            continue;
        }
        if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
        if (depth > LIMIT_JSON_DEPTH) {
            return true;
        }
    }
    return false;
}

static json_t *parse(struct str bytes, size_t flags, size_t *out_used, struct problem *problem)
{
    if (border_is_too_deep(bytes)) {
        problem_set(problem, STATUS_INVALID, "malformed-json", "nested deeper than %u levels",
                    LIMIT_JSON_DEPTH);
        return NULL;
    }
    json_error_t error;
    json_t *root = border_load(bytes.size > 0 ? bytes.data : "", bytes.size,
                               JSON_REJECT_DUPLICATES | flags, &error);
    if (root == NULL) {
        problem_set(problem, STATUS_INVALID, "malformed-json", "line %d, column %d: %s", error.line,
                    error.column, error.text);
        return NULL;
    }
    if (out_used != NULL) {
        *out_used = (size_t)error.position;
    }
    return root;
}

json_t *border_parse(struct str bytes, struct problem *problem)
{
    return parse(bytes, 0, NULL, problem);
}

json_t *border_parse_first(struct str bytes, size_t *out_used, struct problem *problem)
{
    return parse(bytes, JSON_DISABLE_EOF_CHECK, out_used, problem);
}

void border_free(json_t *root)
{
    json_decref(root);
}

void border_free_at(json_t **root)
{
    json_decref(*root);
    *root = NULL;
}

json_t *border_object(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    return json_is_object(value) && json_object_size(value) > 0 ? value : NULL;
}

json_t *border_array(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    return json_is_array(value) && json_array_size(value) > 0 ? value : NULL;
}

static struct str text_of(const json_t *value)
{
    if (!json_is_string(value)) {
        return (struct str){ NULL, 0 };
    }
    return str_trim((struct str){ json_string_value(value), json_string_length(value) });
}

struct str border_text(const json_t *object, const char *key)
{
    return text_of(json_object_get(object, key));
}

/* Decimal text of a number, at the end of `text`; without printf, on a path that every line of
 * every order takes. */
enum {
    INTEGER_TEXT_SIZE = 24
};

static struct str integer_text(json_int_t number, char text[INTEGER_TEXT_SIZE])
{
    size_t at = INTEGER_TEXT_SIZE;
    /* Negating in unsigned arithmetic is defined for the least number, too. */
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        text[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0) {
        text[--at] = '-';
    }
    return (struct str){ text + at, INTEGER_TEXT_SIZE - at };
}

struct str border_scalar(struct arena *arena, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_integer(value)) {
        char text[INTEGER_TEXT_SIZE];
        return str_dup(arena, integer_text(json_integer_value(value), text));
    }
    if (json_is_boolean(value)) {
        return json_is_true(value) ? STR("true") : STR("false");
    }
    return text_of(value);
}

struct str border_id_of(struct arena *arena, const json_t *value)
{
    if (json_is_integer(value)) {
        char text[INTEGER_TEXT_SIZE];
        struct str number = integer_text(json_integer_value(value), text);
        return str_equal(number, STR("0")) ? (struct str){ NULL, 0 } : str_dup(arena, number);
    }
    struct str text = text_of(value);
    if (text.size == 0 || text.size > LIMIT_TEXT_BYTES || str_equal(text, STR("0"))) {
        return (struct str){ NULL, 0 };
    }
    return str_dup(arena, text);
}

struct str border_id(struct arena *arena, const json_t *object, const char *key)
{
    return border_id_of(arena, json_object_get(object, key));
}

bool border_is_true(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

bool border_integer(const json_t *object, const char *key, int64_t *out_value)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_integer(value)) {
        *out_value = (int64_t)json_integer_value(value);
        return true;
    }
    return str_to_i64(text_of(value), out_value);
}

static bool money_of_text(struct str text, struct str currency, int64_t *out_minor)
{
    int64_t minor = 0;
    if (!money_parse(text, currency, &minor) || minor > BORDER_MONEY_MINOR_MAX ||
        minor < -BORDER_MONEY_MINOR_MAX) {
        return false;
    }
    *out_minor = minor;
    return true;
}

bool border_money_of(const json_t *value, struct str currency, int64_t *out_minor)
{
    char text[64];
    if (json_is_string(value)) {
        return money_of_text(text_of(value), currency, out_minor);
    }
    if (json_is_integer(value)) {
        return money_of_text(integer_text(json_integer_value(value), text), currency, out_minor);
    }
    if (!json_is_real(value)) {
        return false;
    }
    double real = json_real_value(value);
    double size = real < 0 ? -real : real;
    /* Beyond 15 digits a double no longer says which cent was meant; below a
     * ten-thousandth "%g" turns to exponents, and no currency goes there. */
    if (size >= 1e15) {
        return false;
    }
    int length = size < 1e-4 ? snprintf(text, sizeof(text), "%.6f", real)
                             : snprintf(text, sizeof(text), "%.*g", REAL_DIGITS, real);
    return money_of_text((struct str){ text, (size_t)length }, currency, out_minor);
}

int64_t border_money_add(int64_t a_minor, int64_t b_minor)
{
    assert(a_minor <= BORDER_MONEY_MINOR_MAX && a_minor >= -BORDER_MONEY_MINOR_MAX);
    assert(b_minor <= BORDER_MONEY_MINOR_MAX && b_minor >= -BORDER_MONEY_MINOR_MAX);
    int64_t sum_minor = a_minor + b_minor;
    if (sum_minor > BORDER_MONEY_MINOR_MAX) {
        return BORDER_MONEY_MINOR_MAX;
    }
    return sum_minor < -BORDER_MONEY_MINOR_MAX ? -BORDER_MONEY_MINOR_MAX : sum_minor;
}

bool border_money(const json_t *object, const char *key, struct str currency, int64_t *out_minor)
{
    return border_money_of(json_object_get(object, key), currency, out_minor);
}

int64_t border_instant(const json_t *object, const char *key, const char *zone)
{
    return border_instant_of(json_object_get(object, key), zone);
}

int64_t border_instant_of(const json_t *value, const char *zone)
{
    int64_t instant_ms = INSTANT_NONE;
    bool had_offset = false;
    struct str text = text_of(value);
    if (text.size == 0 || !instant_parse(text, false, &instant_ms, &had_offset)) {
        return INSTANT_NONE;
    }
    if (had_offset || zone == NULL) {
        return instant_ms;
    }
    int64_t utc_ms = INSTANT_NONE;
    return instant_from_local(instant_ms, zone, &utc_ms) ? utc_ms : instant_ms;
}

static int dump_add(const char *data, size_t size, void *closure)
{
    struct buf *buf = closure;
    buf_add(buf, data, size);
    return buf->failed ? -1 : 0;
}

struct str border_dump(struct arena *arena, const json_t *value, size_t max_bytes)
{
    struct buf buf;
    buf_init(&buf, arena, max_bytes);
    if (json_dump_callback(value, dump_add, &buf,
                           JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(REAL_DIGITS)) !=
        0) {
        return (struct str){ NULL, 0 };
    }
    return buf_str(&buf);
}
