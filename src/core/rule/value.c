#include "core/rule/value.h"

#include <assert.h>
#include <string.h>

#include "base/instant.h"

/*
 * Exact values.
 *
 * Invariant: nothing here rounds but the two places that say so (a ratio, and a
 * JSON number with more than six digits after the point), and both round half
 * away from zero, as PostgreSQL's round(numeric, 6) does. All arithmetic is
 * checked; what does not fit is refused, never wrapped.
 *
 * JSON is scanned without recursion: our adapters wrote it, but it was stored
 * by whatever version ran then, so malformed text gives null and is never read
 * past its end. A lone surrogate and U+0000 become U+FFFD, because texts are
 * well-formed UTF-8 without NUL everywhere else.
 *
 * Null equals nothing, itself included: so a comparison with null is false
 * (correctness 23) even where a caller forgot to ask.
 *
 * Rejected: long double and __int128 for the ratio. The first is not exact, the
 * second no C17; a long division by hand takes six steps of ten additions.
 */

enum {
    NUMBER_DIGITS = 6,
    NUMBER_EXPONENT_MAX = 1000000, /* beyond it all digits are lost or do not fit */
    DATE_TEXT_SIZE = 10,
};

const char *rule_type_name(enum rule_type type)
{
    switch (type) {
    case RULE_NULL:
        return "a value of any type";
    case RULE_BOOL:
        return "true or false";
    case RULE_NUMBER:
        return "a number";
    case RULE_TEXT:
        return "a text";
    case RULE_INSTANT:
        return "an instant";
    case RULE_DURATION:
        return "a duration";
    case RULE_DATE:
        return "a date";
    case RULE_LIST:
        return "a list";
    }
    assert(false);
    return "";
}

/* --- numbers --------------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A decimal taken apart: digits[0..digit_count), the last of which stands for
 * 10^power; the point is left out. */
struct decimal {
    struct str text; /* digits with at most one point */
    int64_t power;
    bool is_negative;
};

static size_t digits_at(struct str text, size_t from)
{
    size_t i = from;
    while (i < text.size && is_digit(text.data[i])) {
        i++;
    }
    return i - from;
}

/* "e+12" up to the end of the text; far exponents are cut to the bound. */
static bool exponent_read(struct str text, int64_t *out_exponent)
{
    if (text.size == 0) {
        *out_exponent = 0;
        return true;
    }
    if (text.data[0] != 'e' && text.data[0] != 'E') {
        return false;
    }
    text = str_drop(text, 1);
    bool is_negative = text.size > 0 && text.data[0] == '-';
    if (text.size > 0 && (text.data[0] == '-' || text.data[0] == '+')) {
        text = str_drop(text, 1);
    }
    if (text.size == 0 || digits_at(text, 0) != text.size) {
        return false;
    }
    int64_t exponent = 0;
    for (size_t i = 0; i < text.size && exponent < NUMBER_EXPONENT_MAX; i++) {
        exponent = exponent * 10 + (text.data[i] - '0');
    }
    *out_exponent = is_negative ? -exponent : exponent;
    return true;
}

static bool decimal_read(struct str text, struct decimal *out_decimal)
{
    struct decimal decimal = { .is_negative = text.size > 0 && text.data[0] == '-' };
    if (decimal.is_negative) {
        text = str_drop(text, 1);
    }
    size_t size = digits_at(text, 0);
    size_t fraction = 0;
    if (size == 0) {
        return false;
    }
    if (size < text.size && text.data[size] == '.') {
        fraction = digits_at(text, size + 1);
        if (fraction == 0) {
            return false;
        }
        size += 1 + fraction;
    }
    int64_t exponent = 0;
    if (!exponent_read(str_drop(text, size), &exponent)) {
        return false;
    }
    decimal.text = str_take(text, size);
    decimal.power = exponent - (int64_t)fraction;
    *out_decimal = decimal;
    return true;
}

/* Digits are added up below zero, where the range is one wider. */
static bool push_digit(int64_t *sum, int digit)
{
    int64_t next = 0;
    if (__builtin_mul_overflow(*sum, 10, &next) || __builtin_sub_overflow(next, digit, &next)) {
        return false;
    }
    *sum = next;
    return true;
}

static bool decimal_value(const struct decimal *decimal, bool rounds, int64_t *out_number)
{
    /* The power of the first digit, in millionths. */
    size_t digit_count = decimal->text.size - (str_find(decimal->text, '.', 0) >= 0);
    int64_t power = decimal->power + NUMBER_DIGITS + (int64_t)digit_count - 1;
    int64_t sum = 0;
    int half = 0; /* the first digit that is cut */
    for (size_t i = 0; i < decimal->text.size; i++) {
        if (decimal->text.data[i] == '.') {
            continue;
        }
        int digit = decimal->text.data[i] - '0';
        if (power >= 0 && !push_digit(&sum, digit)) {
            return false;
        }
        half = power == -1 ? digit : half;
        if (power < 0 && digit != 0 && !rounds) {
            return false;
        }
        power--;
    }
    for (; power >= 0 && sum != 0; power--) {
        if (!push_digit(&sum, 0)) {
            return false;
        }
    }
    if (half >= 5 && __builtin_sub_overflow(sum, 1, &sum)) {
        return false;
    }
    if (!decimal->is_negative && __builtin_sub_overflow(INT64_C(0), sum, &sum)) {
        return false;
    }
    *out_number = sum;
    return true;
}

bool rule_number_parse(struct str text, int64_t *out_number)
{
    struct decimal decimal = { 0 };
    return decimal_read(text, &decimal) && decimal_value(&decimal, false, out_number);
}

static uint64_t magnitude(int64_t number)
{
    return number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
}

size_t rule_number_format(int64_t number, char *text)
{
    uint64_t left = magnitude(number);
    char reversed[24];
    size_t count = 0;
    bool has_fraction = false;
    for (int place = 0; left > 0 || place <= NUMBER_DIGITS; place++) {
        if (place == NUMBER_DIGITS && has_fraction) {
            reversed[count++] = '.';
        }
        has_fraction = has_fraction || (place < NUMBER_DIGITS && left % 10 != 0);
        if (has_fraction || place >= NUMBER_DIGITS) {
            reversed[count++] = (char)('0' + left % 10);
        }
        left /= 10;
    }
    size_t size = 0;
    if (number < 0) {
        text[size++] = '-';
    }
    while (count > 0) {
        text[size++] = reversed[--count];
    }
    text[size] = '\0';
    return size;
}

/* One decimal digit of remainder / divisor; the remainder moves on. Ten
 * additions instead of a product that may not fit. */
static unsigned ratio_digit(uint64_t *remainder, uint64_t divisor)
{
    uint64_t sum = 0;
    unsigned digit = 0;
    for (int i = 0; i < 10; i++) {
        sum += *remainder;
        if (sum >= divisor) {
            sum -= divisor;
            digit++;
        }
    }
    *remainder = sum;
    return digit;
}

bool rule_number_ratio(int64_t numerator, int64_t denominator, int64_t *out_number)
{
    uint64_t dividend = magnitude(numerator);
    uint64_t divisor = magnitude(denominator);
    if (divisor == 0) {
        return false;
    }
    bool is_negative = (numerator < 0) != (denominator < 0);
    uint64_t quotient = dividend / divisor;
    uint64_t remainder = dividend % divisor;
    for (int i = 0; i < NUMBER_DIGITS; i++) {
        uint64_t digit = ratio_digit(&remainder, divisor);
        if (__builtin_mul_overflow(quotient, 10, &quotient) ||
            __builtin_add_overflow(quotient, digit, &quotient)) {
            return false;
        }
    }
    quotient += remainder >= divisor - remainder;
    if (quotient > (uint64_t)INT64_MAX) {
        return false;
    }
    *out_number = is_negative ? -(int64_t)quotient : (int64_t)quotient;
    return true;
}

bool rule_number_from_minor(int64_t minor, int decimals, int64_t *out_number)
{
    assert(decimals >= 0);
    assert(decimals <= NUMBER_DIGITS);
    int64_t scale = 1;
    for (int i = decimals; i < NUMBER_DIGITS; i++) {
        scale *= 10;
    }
    return !__builtin_mul_overflow(minor, scale, out_number);
}

/* --- JSON ------------------------------------------------------------------ */

static bool is_json_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct str skip_space(struct str json)
{
    while (json.size > 0 && is_json_space(json.data[0])) {
        json = str_drop(json, 1);
    }
    return json;
}

/* The size of the string literal that `json` starts with, quotes included; 0
 * when it does not end. */
static size_t string_size(struct str json, bool *out_has_escape)
{
    bool has_escape = false;
    for (size_t i = 1; i < json.size; i++) {
        if (json.data[i] == '"') {
            *out_has_escape = has_escape;
            return i + 1;
        }
        if (json.data[i] == '\\') {
            has_escape = true;
            i++;
        }
    }
    return 0;
}

/* One step of value_size: the size of a string, or of one character. */
static size_t step_size(struct str json, size_t *depth)
{
    bool has_escape = false;
    char c = json.data[0];
    if (c == '"') {
        return string_size(json, &has_escape);
    }
    *depth += c == '{' || c == '[';
    *depth -= c == '}' || c == ']';
    return 1;
}

/* The size of the value that `json` starts with, without white space; 0 when
 * it does not end. What is inside an object is not looked at. */
static size_t value_size(struct str json)
{
    size_t depth = 0;
    size_t i = 0;
    while (i < json.size) {
        char c = json.data[i];
        bool closes = c == '}' || c == ']';
        if (depth == 0 && (closes || c == ',' || is_json_space(c))) {
            return i;
        }
        size_t size = step_size(str_drop(json, i), &depth);
        if (size == 0) {
            return 0;
        }
        i += size;
        if (depth == 0 && closes) {
            return i;
        }
    }
    return depth == 0 ? i : 0;
}

static int hex_value(char c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The four digits of \uXXXX; -1 when they are not there. */
static int32_t hex_unit(struct str text)
{
    int32_t unit = 0;
    for (size_t i = 0; i < 4; i++) {
        int digit = i < text.size ? hex_value(text.data[i]) : -1;
        if (digit < 0) {
            return -1;
        }
        unit = unit * 16 + digit;
    }
    return unit;
}

/* A \u escape whose digits `text` starts with; *out_size is what it took. */
static int32_t unicode_escape(struct str text, size_t *out_size)
{
    int32_t unit = hex_unit(text);
    if (unit < 0) {
        return -1;
    }
    *out_size = 4;
    if (unit >= 0xd800 && unit < 0xdc00 && str_starts_with(str_drop(text, 4), STR("\\u"))) {
        int32_t low = hex_unit(str_drop(text, 6));
        if (low >= 0xdc00 && low < 0xe000) {
            *out_size = 10;
            return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        }
    }
    bool is_none = unit == 0 || (unit >= 0xd800 && unit < 0xe000);
    return is_none ? 0xfffd : unit;
}

static size_t utf8_write(int32_t point, char *text)
{
    uint32_t p = (uint32_t)point;
    if (p < 0x80) {
        text[0] = (char)p;
        return 1;
    }
    size_t size = p < 0x800 ? 2 : p < 0x10000 ? 3 : 4;
    static const uint8_t leads[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    for (size_t i = size - 1; i > 0; i--) {
        text[i] = (char)(0x80 | (p & 0x3f));
        p >>= 6;
    }
    text[0] = (char)(leads[size] | p);
    return size;
}

static char simple_escape(char c)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    for (size_t i = 0; i + 1 < sizeof(from); i++) {
        if (from[i] == c) {
            return to[i];
        }
    }
    return '\0';
}

/* What the escape that `text` starts with means, into `bytes`; its own size, or
 * 0 when it is none. An escape never takes less room than what it means. */
static size_t unescape_one(struct str text, char *bytes, size_t *size)
{
    if (text.size < 2) {
        return 0;
    }
    if (text.data[1] == 'u') {
        size_t taken = 0;
        int32_t point = unicode_escape(str_drop(text, 2), &taken);
        if (point < 0) {
            return 0;
        }
        *size += utf8_write(point, bytes + *size);
        return 2 + taken;
    }
    char plain = simple_escape(text.data[1]);
    bytes[*size] = plain;
    *size += 1;
    return plain == '\0' ? 0 : 2;
}

/* `text` is what stands between the quotes. */
static struct rule_value unescape(struct arena *arena, struct str text)
{
    char *bytes = arena_alloc(arena, text.size);
    if (bytes == NULL) {
        return RULE_VALUE_NULL;
    }
    size_t size = 0;
    while (text.size > 0) {
        size_t taken = 1;
        if (text.data[0] == '\\') {
            taken = unescape_one(text, bytes, &size);
        } else {
            bytes[size++] = text.data[0];
        }
        if (taken == 0) {
            return RULE_VALUE_NULL;
        }
        text = str_drop(text, taken);
    }
    return (struct rule_value){ .type = RULE_TEXT, .text = { bytes, size } };
}

static struct rule_value text_from_json(struct arena *arena, struct str json)
{
    bool has_escape = false;
    if (string_size(json, &has_escape) != json.size) {
        return RULE_VALUE_NULL;
    }
    struct str inner = { json.data + 1, json.size - 2 };
    if (has_escape) {
        return unescape(arena, inner);
    }
    return (struct rule_value){ .type = RULE_TEXT, .text = inner };
}

static struct rule_value scalar_from_json(struct arena *arena, struct str json)
{
    struct decimal decimal = { 0 };
    int64_t number = 0;
    if (json.size > 0 && json.data[0] == '"') {
        return text_from_json(arena, json);
    }
    if (str_equal(json, STR("true")) || str_equal(json, STR("false"))) {
        return (struct rule_value){ .type = RULE_BOOL, .boolean = json.size == 4 };
    }
    if (decimal_read(json, &decimal) && decimal_value(&decimal, true, &number)) {
        return (struct rule_value){ .type = RULE_NUMBER, .number = number };
    }
    return RULE_VALUE_NULL;
}

/* The next item of an array whose "[" or "," was taken; false at its end or
 * where it is malformed. */
static bool next_item(struct str *rest, struct str *out_item)
{
    struct str json = skip_space(*rest);
    size_t size = value_size(json);
    if (size == 0) {
        return false;
    }
    *out_item = str_take(json, size);
    json = skip_space(str_drop(json, size));
    if (json.size > 0 && json.data[0] == ',') {
        json = str_drop(json, 1);
    }
    *rest = json;
    return true;
}

static struct rule_value list_from_json(struct arena *arena, struct str json)
{
    struct str item = { 0 };
    size_t capacity = 0;
    struct str rest = str_drop(json, 1);
    while (capacity < RULE_LIST_ITEMS_MAX && next_item(&rest, &item)) {
        capacity++;
    }
    struct rule_value *items = ARENA_NEW_ARRAY(arena, capacity + 1, struct rule_value);
    if (items == NULL) {
        return RULE_VALUE_NULL;
    }
    size_t count = 0;
    rest = str_drop(json, 1);
    for (size_t i = 0; i < capacity && next_item(&rest, &item); i++) {
        items[count] = scalar_from_json(arena, item);
        count += items[count].type != RULE_NULL;
    }
    return (struct rule_value){ .type = RULE_LIST, .list = { items, count } };
}

struct rule_value rule_value_from_json(struct arena *arena, struct str json)
{
    json = skip_space(json);
    while (json.size > 0 && is_json_space(json.data[json.size - 1])) {
        json.size--;
    }
    if (json.size == 0 || value_size(json) != json.size) {
        return RULE_VALUE_NULL;
    }
    return json.data[0] == '[' ? list_from_json(arena, json) : scalar_from_json(arena, json);
}

/* --- conversion ------------------------------------------------------------ */

static bool date_parse(struct str text, int64_t *out_days)
{
    char instant[] = "0000-00-00T00:00:00Z";
    int64_t ms = 0;
    if (text.size != DATE_TEXT_SIZE) {
        return false;
    }
    memcpy(instant, text.data, DATE_TEXT_SIZE);
    if (!instant_parse(str_from_z(instant), true, &ms, NULL)) {
        return false;
    }
    /* Midnight: exact below zero too. */
    *out_days = ms / INSTANT_DAY_MS;
    return true;
}

static struct rule_value instant_of(struct rule_value value)
{
    struct rule_value instant = { .type = RULE_INSTANT };
    int64_t days = 0;
    if (value.type == RULE_DATE) {
        instant.ms = value.days * INSTANT_DAY_MS;
        return instant;
    }
    if (value.type == RULE_TEXT && date_parse(value.text, &days)) {
        instant.ms = days * INSTANT_DAY_MS;
        return instant;
    }
    if (value.type == RULE_TEXT && instant_parse(value.text, true, &instant.ms, NULL)) {
        return instant;
    }
    return RULE_VALUE_NULL;
}

static struct rule_value text_of(struct arena *arena, struct rule_value value)
{
    char text[24];
    if (value.type != RULE_NUMBER) {
        return RULE_VALUE_NULL;
    }
    struct str copy = str_dup(arena, (struct str){ text, rule_number_format(value.number, text) });
    if (copy.data == NULL) {
        return RULE_VALUE_NULL;
    }
    return (struct rule_value){ .type = RULE_TEXT, .text = copy };
}

struct rule_value rule_value_as(struct arena *arena, struct rule_value value, enum rule_type type)
{
    int64_t number = 0;
    if (value.type == type) {
        return value;
    }
    switch (type) {
    case RULE_NUMBER:
        if (value.type == RULE_TEXT && rule_number_parse(value.text, &number)) {
            return (struct rule_value){ .type = RULE_NUMBER, .number = number };
        }
        return RULE_VALUE_NULL;
    case RULE_DATE:
        if (value.type == RULE_TEXT && date_parse(value.text, &number)) {
            return (struct rule_value){ .type = RULE_DATE, .days = number };
        }
        return RULE_VALUE_NULL;
    case RULE_INSTANT:
        return instant_of(value);
    case RULE_TEXT:
        return text_of(arena, value);
    case RULE_NULL:
    case RULE_BOOL:
    case RULE_DURATION:
    case RULE_LIST:
        return RULE_VALUE_NULL;
    }
    assert(false);
    return RULE_VALUE_NULL;
}

/* --- equality and order ---------------------------------------------------- */

static bool scalar_equal(struct rule_value a, struct rule_value b)
{
    int order = 0;
    if (a.type == RULE_BOOL && b.type == RULE_BOOL) {
        return a.boolean == b.boolean;
    }
    return rule_value_compare(a, b, &order) && order == 0;
}

bool rule_value_equal(struct rule_value a, struct rule_value b)
{
    if (a.type != RULE_LIST || b.type != RULE_LIST) {
        return scalar_equal(a, b);
    }
    if (a.list.count != b.list.count) {
        return false;
    }
    for (size_t i = 0; i < a.list.count; i++) {
        if (!scalar_equal(a.list.items[i], b.list.items[i])) {
            return false;
        }
    }
    return true;
}

static int order_of(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

bool rule_value_compare(struct rule_value a, struct rule_value b, int *out_order)
{
    if (a.type != b.type) {
        return false;
    }
    switch (a.type) {
    case RULE_NULL:
    case RULE_BOOL:
    case RULE_LIST:
        return false;
    case RULE_NUMBER:
        *out_order = order_of(a.number, b.number);
        return true;
    case RULE_INSTANT:
    case RULE_DURATION:
        *out_order = order_of(a.ms, b.ms);
        return true;
    case RULE_DATE:
        *out_order = order_of(a.days, b.days);
        return true;
    case RULE_TEXT:
        *out_order = str_compare(a.text, b.text);
        return true;
    }
    assert(false);
    return false;
}
