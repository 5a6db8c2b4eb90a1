#include "api/secret_mask.h"

#include <string.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/jsonw.h"

/*
 * Which header is a secret nobody says, so its name has to: what is spelled like a
 * credential is one. Too many are masked rather than too few; a header called
 * "X-Monkey" pays for it.
 *
 * Some endpoints answer a bad request with the request. So the answer as well
 * is searched for the values that are masked in the question.
 */

enum {
    SHOWN_BYTES_MAX = 256 * 1024,
    ECHO_BYTES_MIN = 6, /* shorter values would mask half of any text */
};

static const char MASK[] = "***";
static const char *const WORDS[] = { "auth",     "key",    "token", "secret",
                                     "password", "cookie", "sign",  "credential" };

static bool contains_word(struct str name, const char *word)
{
    size_t size = strlen(word);
    for (size_t i = 0; i + size <= name.size; i++) {
        if (str_equal_nocase_z(str_take(str_drop(name, i), size), word)) {
            return true;
        }
    }
    return false;
}

bool secret_is_named(struct str name)
{
    for (size_t i = 0; i < ARRAY_COUNT(WORDS); i++) {
        if (contains_word(name, WORDS[i])) {
            return true;
        }
    }
    return false;
}

static void add_parameter(struct buf *buf, struct str parameter)
{
    struct str name = parameter;
    struct str value = { NULL, 0 };
    bool has_value = str_split(parameter, '=', &name, &value);
    buf_add_str(buf, name);
    if (has_value) {
        buf_add_char(buf, '=');
        buf_add_str(buf, secret_is_named(name) ? STR("***") : value);
    }
}

struct str secret_mask_url(struct arena *arena, struct str url)
{
    struct buf buf;
    struct str head = { NULL, 0 };
    struct str rest = { NULL, 0 };
    struct str parameter = { NULL, 0 };
    if (!str_split(url, '?', &head, &rest)) {
        return url;
    }
    buf_init(&buf, arena, SHOWN_BYTES_MAX);
    buf_add_str(&buf, head);
    buf_add_char(&buf, '?');
    while (str_split(rest, '&', &parameter, &rest)) {
        add_parameter(&buf, parameter);
        buf_add_char(&buf, '&');
    }
    add_parameter(&buf, rest);
    return buf_str(&buf);
}

struct str secret_mask_headers(struct arena *arena, struct str headers_json)
{
    struct buf buf;
    struct jsonw json;
    const char *name = NULL;
    json_t *value = NULL;
    json_t *headers = json_loadb(headers_json.data, headers_json.size, 0, NULL);
    buf_init(&buf, arena, SHOWN_BYTES_MAX);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    json_object_foreach(headers, name, value)
    {
        struct str text = { json_string_value(value), json_string_length(value) };
        jsonw_put_str(&json, name, secret_is_named(str_from_z(name)) ? STR("***") : text);
    }
    jsonw_close(&json);
    json_decref(headers);
    return buf_str(&buf);
}

static struct str mask_value(struct arena *arena, struct str text, struct str value)
{
    struct buf buf;
    bool is_found = false;
    buf_init(&buf, arena, SHOWN_BYTES_MAX);
    for (size_t i = 0; i < text.size;) {
        bool is_here =
            i + value.size <= text.size && memcmp(text.data + i, value.data, value.size) == 0;
        is_found = is_found || is_here;
        if (is_here) {
            buf_add_z(&buf, MASK);
        } else {
            buf_add_char(&buf, text.data[i]);
        }
        i += is_here ? value.size : 1;
    }
    return is_found ? buf_str(&buf) : text;
}

/* "Bearer abc" is echoed as "abc", too. */
static struct str credential_of(struct str value)
{
    struct str scheme = { NULL, 0 };
    struct str rest = { NULL, 0 };
    return str_split(value, ' ', &scheme, &rest) && rest.size >= ECHO_BYTES_MIN ? rest : value;
}

struct str secret_mask_echo(struct arena *arena, struct str text, struct str headers_json)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_t *headers =
        text.size > 0 ? json_loadb(headers_json.data, headers_json.size, 0, NULL) : NULL;
    json_object_foreach(headers, name, value)
    {
        struct str secret = { json_string_value(value), json_string_length(value) };
        if (secret_is_named(str_from_z(name)) && secret.size >= ECHO_BYTES_MIN) {
            text = mask_value(arena, text, credential_of(secret));
        }
    }
    json_decref(headers);
    return text;
}
