#include "base/jsonw.h"

#include <assert.h>
#include <string.h>

#include "base/instant.h"
#include "base/money.h"

/*
 * JSON without a tree.
 *
 * Invariant: comma's bit n says whether level n already has a member, and
 * after_key that the next value belongs to a key and takes no comma. Text is
 * copied in runs up to the next character that needs an escape; nearly all
 * text needs none. What is not ASCII passes unchanged: inputs were checked to
 * be UTF-8 at the border, and if one was not, it is copied and nothing more.
 */

enum {
    JSONW_DEPTH_MAX = 63
};

static void begin_value(struct jsonw *json)
{
    if (json->after_key) {
        json->after_key = false;
        return;
    }
    uint64_t level = UINT64_C(1) << json->depth;
    if ((json->comma & level) != 0) {
        buf_add_char(json->buf, ',');
    }
    json->comma |= level;
}

static void open_level(struct jsonw *json, char bracket)
{
    assert(json->depth < JSONW_DEPTH_MAX);
    begin_value(json);
    buf_add_char(json->buf, bracket);
    json->depth++;
    json->comma &= ~(UINT64_C(1) << json->depth);
}

static void close_level(struct jsonw *json, char bracket)
{
    assert(json->depth > 0);
    json->depth--;
    buf_add_char(json->buf, bracket);
}

/* The letter behind the backslash, 'u' for a long escape, 0 for none. */
static char escape_of(char c)
{
    switch (c) {
    case '"':
    case '\\':
        return c;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return (unsigned char)c < 0x20 ? 'u' : '\0';
    }
}

static void add_quoted(struct buf *buf, struct str text)
{
    static const char hex[] = "0123456789abcdef";
    buf_add_char(buf, '"');
    size_t copied = 0;
    for (size_t i = 0; i < text.size; i++) {
        char letter = escape_of(text.data[i]);
        if (letter == '\0') {
            continue;
        }
        buf_add(buf, text.data + copied, i - copied);
        copied = i + 1;
        char escape[6] = { '\\', letter, '0', '0' };
        unsigned char code = (unsigned char)text.data[i];
        escape[4] = hex[code >> 4];
        escape[5] = hex[code & 15];
        buf_add(buf, escape, letter == 'u' ? 6 : 2);
    }
    if (copied < text.size) {
        buf_add(buf, text.data + copied, text.size - copied);
    }
    buf_add_char(buf, '"');
}

static void add_literal(struct jsonw *json, struct str literal)
{
    begin_value(json);
    buf_add_str(json->buf, literal);
}

void jsonw_begin(struct jsonw *json, struct buf *buf)
{
    *json = (struct jsonw){ .buf = buf };
}

void jsonw_open(struct jsonw *json)
{
    open_level(json, '{');
}

void jsonw_close(struct jsonw *json)
{
    close_level(json, '}');
}

void jsonw_open_array(struct jsonw *json)
{
    open_level(json, '[');
}

void jsonw_close_array(struct jsonw *json)
{
    close_level(json, ']');
}

void jsonw_key(struct jsonw *json, const char *key)
{
    jsonw_key_str(json, str_from_z(key));
}

void jsonw_key_str(struct jsonw *json, struct str key)
{
    begin_value(json);
    add_quoted(json->buf, key);
    buf_add_char(json->buf, ':');
    json->after_key = true;
}

void jsonw_null(struct jsonw *json)
{
    add_literal(json, STR("null"));
}

void jsonw_bool(struct jsonw *json, bool value)
{
    add_literal(json, value ? STR("true") : STR("false"));
}

void jsonw_i64(struct jsonw *json, int64_t value)
{
    begin_value(json);
    buf_add_i64(json->buf, value);
}

void jsonw_str(struct jsonw *json, struct str value)
{
    begin_value(json);
    add_quoted(json->buf, value);
}

void jsonw_z(struct jsonw *json, const char *value)
{
    if (value == NULL) {
        jsonw_null(json);
        return;
    }
    jsonw_str(json, str_from_z(value));
}

void jsonw_raw(struct jsonw *json, struct str value)
{
    add_literal(json, value.size == 0 ? STR("null") : value);
}

void jsonw_id(struct jsonw *json, struct id value)
{
    if (id_is_zero(value)) {
        jsonw_null(json);
        return;
    }
    char text[ID_TEXT_SIZE];
    id_format(value, text);
    jsonw_str(json, (struct str){ text, ID_TEXT_SIZE - 1 });
}

void jsonw_instant(struct jsonw *json, int64_t ms)
{
    if (ms == INSTANT_NONE || ms == INSTANT_NEVER) {
        jsonw_null(json);
        return;
    }
    char text[INSTANT_TEXT_SIZE];
    instant_format(ms, text);
    jsonw_str(json, (struct str){ text, INSTANT_TEXT_SIZE - 1 });
}

void jsonw_money(struct jsonw *json, int64_t minor, struct str currency)
{
    char text[MONEY_TEXT_SIZE];
    money_format(minor, currency, text);
    add_literal(json, str_from_z(text));
}

void jsonw_put_str(struct jsonw *json, const char *key, struct str value)
{
    jsonw_key(json, key);
    jsonw_str(json, value);
}

void jsonw_put_str_or_null(struct jsonw *json, const char *key, struct str value)
{
    jsonw_key(json, key);
    if (value.size == 0) {
        jsonw_null(json);
    } else {
        jsonw_str(json, value);
    }
}

void jsonw_put_z(struct jsonw *json, const char *key, const char *value)
{
    jsonw_key(json, key);
    jsonw_z(json, value);
}

void jsonw_put_i64(struct jsonw *json, const char *key, int64_t value)
{
    jsonw_key(json, key);
    jsonw_i64(json, value);
}

void jsonw_put_bool(struct jsonw *json, const char *key, bool value)
{
    jsonw_key(json, key);
    jsonw_bool(json, value);
}

void jsonw_put_id(struct jsonw *json, const char *key, struct id value)
{
    jsonw_key(json, key);
    jsonw_id(json, value);
}

void jsonw_put_id_or_null(struct jsonw *json, const char *key, struct id value)
{
    if (id_is_zero(value)) {
        jsonw_put_null(json, key);
    } else {
        jsonw_put_id(json, key, value);
    }
}

void jsonw_put_instant(struct jsonw *json, const char *key, int64_t ms)
{
    jsonw_key(json, key);
    jsonw_instant(json, ms);
}

void jsonw_put_money(struct jsonw *json, const char *key, int64_t minor, struct str currency)
{
    jsonw_key(json, key);
    jsonw_money(json, minor, currency);
}

void jsonw_put_raw(struct jsonw *json, const char *key, struct str value)
{
    jsonw_key(json, key);
    jsonw_raw(json, value);
}

void jsonw_put_null(struct jsonw *json, const char *key)
{
    jsonw_key(json, key);
    jsonw_null(json);
}
