#include <string.h>

#include "base/id.h"
#include "indicator_priv.h"

/*
 * Where an order was placed, out of its body.
 *
 * The body is a JSON object that our adapters wrote, or the database's text of
 * it: spaces differ, escapes differ, values do not. So it is scanned for the
 * members of its top object and texts are unescaped; malformed text ends the
 * scan, and what was not found is unknown. The platform is "platform" or that
 * of "context" (contract 2). A text longer than is kept is cut between
 * characters, so that the same place always has the same name.
 */

/* The index behind a string that begins at `i`; the size if it does not end. */
static size_t skip_string(struct str json, size_t i)
{
    for (i++; i < json.size && json.data[i] != '"'; i++) {
        i += json.data[i] == '\\';
    }
    return i < json.size ? i + 1 : json.size;
}

static size_t skip_space(struct str json, size_t i)
{
    while (i < json.size && (json.data[i] == ' ' || json.data[i] == '\n' || json.data[i] == '\r' ||
                             json.data[i] == '\t')) {
        i++;
    }
    return i;
}

static bool is_end(char c)
{
    return c == ',' || c == '}' || c == ']' || c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static size_t skip_value(struct str json, size_t i)
{
    if (i < json.size && json.data[i] == '"') {
        return skip_string(json, i);
    }
    if (i < json.size && json.data[i] != '{' && json.data[i] != '[') {
        while (i < json.size && !is_end(json.data[i])) {
            i++;
        }
        return i;
    }
    size_t depth = 0;
    while (i < json.size) {
        char c = json.data[i];
        if (c == '"') {
            i = skip_string(json, i);
            continue;
        }
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        i++;
        if (depth == 0) {
            break;
        }
    }
    return i;
}

/* The raw text of a member of an object; empty when there is none. */
static struct str find_member(struct str json, const char *name)
{
    size_t i = skip_space(json, 0);
    if (i == json.size || json.data[i] != '{') {
        return (struct str){ 0 };
    }
    i = skip_space(json, i + 1);
    while (i < json.size && json.data[i] == '"') {
        size_t end = skip_string(json, i);
        struct str key = str_drop(str_take(json, end - 1), i + 1);
        i = skip_space(json, end);
        if (i == json.size || json.data[i] != ':') {
            break;
        }
        i = skip_space(json, i + 1);
        end = skip_value(json, i);
        if (str_equal_z(key, name)) {
            return str_drop(str_take(json, end), i);
        }
        i = skip_space(json, end);
        if (i == json.size || json.data[i] != ',') {
            break;
        }
        i = skip_space(json, i + 1);
    }
    return (struct str){ 0 };
}

/* ---- texts ---- */

static bool take_unit(struct str *rest, uint32_t *out_unit)
{
    uint32_t unit = 0;
    if (rest->size < 4) {
        return false;
    }
    for (size_t i = 0; i < 4; i++) {
        char c = rest->data[i];
        uint32_t digit = 0;
        if (c >= '0' && c <= '9') {
            digit = (uint32_t)(c - '0');
        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            digit = (uint32_t)((c | 0x20) - 'a' + 10);
        } else {
            return false;
        }
        unit = unit << 4 | digit;
    }
    *rest = str_drop(*rest, 4);
    *out_unit = unit;
    return true;
}

/* Behind "\u"; the second half of a pair is taken too. */
static bool take_code_point(struct str *rest, uint32_t *out_code)
{
    uint32_t unit = 0;
    uint32_t low = 0;
    if (!take_unit(rest, &unit)) {
        return false;
    }
    if (unit >= 0xd800 && unit < 0xdc00) {
        if (!str_starts_with(*rest, STR("\\u"))) {
            return false;
        }
        *rest = str_drop(*rest, 2);
        if (!take_unit(rest, &low) || low < 0xdc00 || low > 0xdfff) {
            return false;
        }
        unit = 0x10000 + ((unit - 0xd800) << 10 | (low - 0xdc00));
    }
    *out_code = unit;
    return unit != 0 && !(unit >= 0xdc00 && unit <= 0xdfff);
}

static size_t put_code_point(char *text, uint32_t code)
{
    if (code < 0x80) {
        text[0] = (char)code;
        return 1;
    }
    size_t more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const uint32_t LEAD[] = { 0, 0xc0, 0xe0, 0xf0 };
    text[0] = (char)(LEAD[more] | code >> (6 * more));
    for (size_t i = 1; i <= more; i++) {
        text[i] = (char)(0x80 | (code >> (6 * (more - i)) & 0x3f));
    }
    return more + 1;
}

/* The result is never longer than the text: "\u1234" is six bytes for three. */
static struct str unescape(char *text, struct str escaped)
{
    static const char NAMES[] = "\"\\/bfnrt";
    static const char VALUES[] = "\"\\/\b\f\n\r\t";
    size_t size = 0;
    while (escaped.size > 0) {
        char c = escaped.data[0];
        escaped = str_drop(escaped, 1);
        if (c != '\\') {
            text[size++] = c;
            continue;
        }
        c = escaped.size > 0 ? escaped.data[0] : '\0';
        const char *name = c == '\0' ? NULL : strchr(NAMES, c);
        uint32_t code = 0;
        escaped = str_drop(escaped, 1);
        if (name != NULL) {
            text[size++] = VALUES[name - NAMES];
        } else if (c == 'u' && take_code_point(&escaped, &code)) {
            size += put_code_point(text + size, code);
        } else {
            return (struct str){ 0 };
        }
    }
    return (struct str){ text, size };
}

static struct str cut(struct str text)
{
    if (text.size <= INDICATOR_TEXT_BYTES_MAX) {
        return text;
    }
    size_t size = INDICATOR_TEXT_BYTES_MAX;
    while (size > 0 && ((unsigned char)text.data[size] & 0xc0) == 0x80) {
        size--;
    }
    return str_take(text, size);
}

/* A text or number; null, true, false, lists and objects are unknown. */
static bool read_text(struct arena *arena, struct str raw, struct str *out_text)
{
    *out_text = (struct str){ 0 };
    if (raw.size == 0) {
        return true;
    }
    if (raw.data[0] == '-' || (raw.data[0] >= '0' && raw.data[0] <= '9')) {
        *out_text = cut(raw);
        return true;
    }
    if (raw.data[0] != '"' || raw.size < 2 || raw.data[raw.size - 1] != '"') {
        return true;
    }
    struct str text = str_take(str_drop(raw, 1), raw.size - 2);
    if (str_find(text, '\\', 0) >= 0) {
        char *unescaped = arena_alloc(arena, text.size);
        if (unescaped == NULL) {
            return false;
        }
        text = unescape(unescaped, text);
    }
    *out_text = cut(text);
    return true;
}

static uint64_t ref_hash(const struct order *order)
{
    struct str source = { (const char *)order->source_id.bytes, ID_SIZE };
    return hash64(order->order_ref, hash64(source, 0));
}

bool indicator_order_of(struct arena *arena, const struct order *order,
                        struct indicator_order *out_order)
{
    struct str platform = find_member(order->body_json, "platform");
    if (platform.size == 0) {
        platform = find_member(find_member(order->body_json, "context"), "platform");
    }
    struct indicator_order kept = { .at_ms = order->placed_at_ms, .ref_hash = ref_hash(order) };
    if (!read_text(arena, find_member(order->body_json, "channel"), &kept.channel) ||
        !read_text(arena, platform, &kept.platform) ||
        !read_text(arena, find_member(order->body_json, "location"), &kept.place)) {
        return false;
    }
    *out_order = kept;
    return true;
}
