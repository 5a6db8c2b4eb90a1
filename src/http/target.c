#include "http/target.h"

#include <string.h>

#include "base/arena.h"
#include "base/codec.h"
#include "base/limits.h"

/*
 * Where a request goes.
 *
 * Problem: two readers of one target that disagree are a way around a proxy's
 * rules, so anything two readers could disagree about is refused: control
 * bytes, spaces, backslashes, '#', bytes beyond ASCII, "%00" and unfinished
 * escapes. Invariant: an accepted target decodes without failure.
 *
 * Rejected: normalising dot segments. Routes are literal, so "/v1/../x" names
 * nothing and is answered 404 like any other unknown path.
 */

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool escape_is_good(struct str raw, size_t at)
{
    if (raw.size - at < 3 || !is_hex(raw.data[at + 1]) || !is_hex(raw.data[at + 2])) {
        return false;
    }
    return raw.data[at + 1] != '0' || raw.data[at + 2] != '0';
}

static bool bytes_are_good(struct str raw)
{
    for (size_t i = 0; i < raw.size; i++) {
        unsigned char c = (unsigned char)raw.data[i];
        if (c <= ' ' || c >= 0x7f || c == '#' || c == '\\') {
            return false;
        }
        if (c == '%' && !escape_is_good(raw, i)) {
            return false;
        }
    }
    return true;
}

static void split_query(struct str rest, struct target *target)
{
    ptrdiff_t mark = str_find(rest, '?', 0);
    if (mark < 0) {
        target->path = rest;
        return;
    }
    target->path = str_take(rest, (size_t)mark);
    target->query = str_drop(rest, (size_t)mark + 1);
}

static bool read_absolute(struct str raw, struct target *target)
{
    size_t scheme_size = 0;
    if (raw.size > 7 && str_equal_nocase(str_take(raw, 7), STR("http://"))) {
        scheme_size = 7;
    } else if (raw.size > 8 && str_equal_nocase(str_take(raw, 8), STR("https://"))) {
        scheme_size = 8;
    } else {
        return false;
    }
    struct str rest = str_drop(raw, scheme_size);
    size_t end = 0;
    while (end < rest.size && rest.data[end] != '/' && rest.data[end] != '?') {
        end++;
    }
    if (end == 0) {
        return false;
    }
    target->form = TARGET_ABSOLUTE;
    target->authority = str_take(rest, end);
    split_query(str_drop(rest, end), target);
    if (target->path.size == 0) {
        target->path = STR("/");
    }
    return true;
}

enum target_verdict target_parse(struct str raw, struct target *out_target)
{
    struct target target = { .form = TARGET_ORIGIN };
    if (raw.size > LIMIT_TARGET_BYTES) {
        return TARGET_TOO_LONG;
    }
    if (raw.size == 0 || !bytes_are_good(raw)) {
        return TARGET_MALFORMED;
    }
    if (raw.data[0] == '/') {
        split_query(raw, &target);
    } else if (str_equal(raw, STR("*"))) {
        target.form = TARGET_ASTERISK;
        target.path = raw;
    } else if (!read_absolute(raw, &target)) {
        return TARGET_MALFORMED;
    }
    *out_target = target;
    return TARGET_OK;
}

enum target_verdict target_parse_query(struct arena *arena, struct str query,
                                       const struct form_field **out_parameters, size_t *out_count)
{
    switch (form_parse(arena, query, LIMIT_QUERY_PARAMETERS, out_parameters, out_count)) {
    case FORM_OK:
        return TARGET_OK;
    case FORM_TOO_MANY:
        return TARGET_QUERY_TOO_MANY;
    case FORM_MALFORMED:
        break;
    }
    return TARGET_MALFORMED;
}

bool target_decode_segment(struct arena *arena, struct str segment, struct str *out_text)
{
    return percent_decode(arena, segment, out_text);
}
