#include "scan_priv.h"

/*
 * JSON told apart, not read.
 *
 * Invariant: the text is one that our adapters or the database wrote, so the
 * scan tells members apart and judges nothing. It never leaves the text: what
 * is cut off or out of place ends it, and what came before stands.
 */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

struct str scan_space(struct str json)
{
    size_t i = 0;
    while (i < json.size && is_space(json.data[i])) {
        i++;
    }
    return str_drop(json, i);
}

/* The size of the string at the start, quotes included; 0 when it has no end. */
size_t scan_string_size(struct str json)
{
    for (size_t i = 1; i < json.size; i++) {
        if (json.data[i] == '\\') {
            i++;
        } else if (json.data[i] == '"') {
            return i + 1;
        }
    }
    return 0;
}

static size_t container_size(struct str json)
{
    size_t depth = 0;
    for (size_t i = 0; i < json.size; i++) {
        char c = json.data[i];
        if (c == '"') {
            size_t size = scan_string_size(str_drop(json, i));
            if (size == 0) {
                return 0;
            }
            i += size - 1;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            depth--;
            if (depth == 0) {
                return i + 1;
            }
        }
    }
    return 0;
}

static size_t word_size(struct str json)
{
    size_t i = 0;
    while (i < json.size && !is_space(json.data[i]) && json.data[i] != ',' && json.data[i] != '}' &&
           json.data[i] != ']') {
        i++;
    }
    return i;
}

/* The size of the value at the start; 0 when there is none. */
size_t scan_value_size(struct str json)
{
    if (json.size == 0) {
        return 0;
    }
    switch (json.data[0]) {
    case '"':
        return scan_string_size(json);
    case '{':
    case '[':
        return container_size(json);
    default:
        return word_size(json);
    }
}

/* Takes the next value off the front of a container's inside, and the comma
 * behind it. False at the end, whatever the end is. */
bool scan_next_value(struct str *rest, struct str *out_value)
{
    struct str json = scan_space(*rest);
    size_t size = scan_value_size(json);
    if (size == 0) {
        return false;
    }
    *out_value = str_take(json, size);
    json = scan_space(str_drop(json, size));
    *rest = str_starts_with(json, STR(",")) ? str_drop(json, 1) : (struct str){ NULL, 0 };
    return true;
}

/* The same for a member; the key keeps its quotes. */
bool scan_next_member(struct str *rest, struct str *out_key, struct str *out_value)
{
    struct str json = scan_space(*rest);
    size_t size = json.size > 0 && json.data[0] == '"' ? scan_string_size(json) : 0;
    if (size == 0) {
        return false;
    }
    struct str key = str_take(json, size);
    json = scan_space(str_drop(json, size));
    if (!str_starts_with(json, STR(":"))) {
        return false;
    }
    *rest = str_drop(json, 1);
    if (!scan_next_value(rest, out_value)) {
        return false;
    }
    *out_key = key;
    return true;
}

bool scan_is_object(struct str json)
{
    return json.size > 0 && json.data[0] == '{';
}

bool scan_is_array(struct str json)
{
    return json.size > 0 && json.data[0] == '[';
}
