#include "base/form.h"

#include "base/arena.h"
#include "base/codec.h"

/*
 * Forms: queries of our own routes, and bodies of those senders that never went
 * over to JSON.
 *
 * Invariant: each field is decoded once and by itself, so an escaped "&" or "="
 * is text. Rejected: decoding in place (the bytes as they came are what a
 * signature is over).
 */

/* percent_decode leaves a "+" as it is, so it is put right in a copy first. */
static bool decode(struct arena *arena, struct str text, struct str *out_text)
{
    if (str_find(text, '+', 0) < 0) {
        return percent_decode(arena, text, out_text);
    }
    char *copy = arena_alloc_bytes(arena, text.size);
    if (copy == NULL) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        copy[i] = text.data[i];
        if (copy[i] == '+') {
            copy[i] = ' ';
        }
    }
    return percent_decode(arena, (struct str){ copy, text.size }, out_text);
}

static bool read_field(struct arena *arena, struct str piece, struct form_field *out)
{
    struct str name = piece;
    struct str value = { NULL, 0 };
    (void)str_split(piece, '=', &name, &value);
    return decode(arena, name, &out->name) && decode(arena, value, &out->value);
}

enum form_verdict form_parse(struct arena *arena, struct str text, size_t limit,
                             const struct form_field **out_fields, size_t *out_count)
{
    struct form_field *fields = ARENA_NEW_ARRAY(arena, limit, struct form_field);
    if (fields == NULL) {
        return FORM_MALFORMED;
    }
    size_t count = 0;
    while (text.size > 0) {
        struct str piece = text;
        struct str rest = { NULL, 0 };
        (void)str_split(text, '&', &piece, &rest);
        text = rest;
        if (piece.size == 0) {
            continue;
        }
        if (count == limit) {
            return FORM_TOO_MANY;
        }
        if (!read_field(arena, piece, &fields[count])) {
            return FORM_MALFORMED;
        }
        count++;
    }
    *out_fields = fields;
    *out_count = count;
    return FORM_OK;
}

struct str form_find(const struct form_field *fields, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal_z(fields[i].name, name)) {
            return fields[i].value;
        }
    }
    return (struct str){ NULL, 0 };
}
