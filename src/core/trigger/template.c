#include "core/trigger/template.h"

/*
 * Text with names in it.
 *
 * Two signs are all there is to learn: {name} and {{. No conditions, no loops, no
 * functions: who needs more reads the whole body and makes what he likes of it.
 * Rejected: formats of dates and numbers in the template, which every ESP's own
 * editor has, and which would be a second language to keep.
 */

struct parsing {
    struct arena *arena;
    struct str text;
    const struct rule_vocabulary *names;
    struct template_part *parts;
    size_t count;
    size_t capacity;
    struct rule_error *error;
};

static enum status fail(struct parsing *parsing, size_t from, size_t size, struct str detail,
                        const char *suggestion)
{
    *parsing->error = rule_error_at(parsing->text, from, size, detail, "a name", suggestion);
    return STATUS_INVALID;
}

static enum status add_name(struct parsing *parsing, size_t from, size_t size)
{
    struct str name = str_take(str_drop(parsing->text, from), size);
    struct template_part part = { .is_name = true };
    const char *nearest = NULL;
    if (parsing->count == parsing->capacity) {
        return fail(
            parsing, from, size,
            str_printf(parsing->arena, "a template has at most %d parts", (int)TEMPLATE_PARTS_MAX),
            NULL);
    }
    if (!message_name_resolve(name, parsing->names, &part.name, &nearest)) {
        struct str shown = str_take_text(name, 100);
        struct str detail =
            nearest != NULL
                ? str_printf(parsing->arena, "no name is called \"%.*s\"; did you mean \"%s\"?",
                             STR_ARG(shown), nearest)
                : str_printf(parsing->arena, "no name is called \"%.*s\"", STR_ARG(shown));
        return fail(parsing, from, size, detail, nearest);
    }
    parsing->parts[parsing->count++] = part;
    return STATUS_OK;
}

static enum status add_literal(struct parsing *parsing, size_t from, size_t to)
{
    if (to == from) {
        return STATUS_OK;
    }
    if (parsing->count == parsing->capacity) {
        return fail(
            parsing, from, 1,
            str_printf(parsing->arena, "a template has at most %d parts", (int)TEMPLATE_PARTS_MAX),
            NULL);
    }
    parsing->parts[parsing->count++] =
        (struct template_part){ .text = str_take(str_drop(parsing->text, from), to - from) };
    return STATUS_OK;
}

/* What begins at the brace at `at`; *out_next is behind it. */
static enum status take_brace(struct parsing *parsing, size_t at, size_t *out_next)
{
    struct str text = parsing->text;
    if (at + 1 < text.size && text.data[at + 1] == '{') {
        *out_next = at + 2;
        return add_literal(parsing, at, at + 1);
    }
    ptrdiff_t end = str_find(text, '}', at);
    if (end < 0) {
        return fail(parsing, at, 1,
                    STR("this brace is not closed; a brace that is meant as text is written {{"),
                    "{{");
    }
    *out_next = (size_t)end + 1;
    return add_name(parsing, at + 1, (size_t)end - at - 1);
}

/* No more parts than this can be in it: a name and what stands before it for each
 * brace, and the end. */
static size_t part_capacity(struct str text)
{
    size_t count = 1;
    for (ptrdiff_t at = str_find(text, '{', 0); at >= 0; at = str_find(text, '{', (size_t)at + 1)) {
        count += 2;
    }
    return count < TEMPLATE_PARTS_MAX ? count : TEMPLATE_PARTS_MAX;
}

enum status template_parse(struct arena *arena, struct str text,
                           const struct rule_vocabulary *names, struct template *out_template,
                           struct rule_error *out_error)
{
    struct parsing parsing = {
        .arena = arena,
        .text = text,
        .names = names,
        .capacity = part_capacity(text),
        .error = out_error,
    };
    parsing.parts = ARENA_NEW_ARRAY(arena, parsing.capacity, struct template_part);
    if (parsing.parts == NULL) {
        return STATUS_LIMIT;
    }
    if (text.size > TEMPLATE_BYTES_MAX) {
        return fail(&parsing, 0, 0,
                    str_printf(arena, "a template has at most %d bytes", (int)TEMPLATE_BYTES_MAX),
                    NULL);
    }
    size_t from = 0;
    for (ptrdiff_t at = str_find(text, '{', 0); at >= 0; at = str_find(text, '{', from)) {
        enum status status = add_literal(&parsing, from, (size_t)at);
        if (status == STATUS_OK) {
            status = take_brace(&parsing, (size_t)at, &from);
        }
        if (status != STATUS_OK) {
            return arena_is_full(arena) ? STATUS_LIMIT : status;
        }
    }
    enum status status = add_literal(&parsing, from, text.size);
    if (status == STATUS_OK) {
        *out_template = (struct template){ parsing.parts, parsing.count };
    }
    return arena_is_full(arena) ? STATUS_LIMIT : status;
}

const struct message_name *template_name(const struct template *template)
{
    return template->part_count == 1 && template->parts[0].is_name ? &template->parts[0].name
                                                                   : NULL;
}

void template_add_text(struct arena *arena, struct buf *buf, const struct template *template,
                       const struct message *message)
{
    for (size_t i = 0; i < template->part_count; i++) {
        const struct template_part *part = &template->parts[i];
        if (part->is_name) {
            message_add_text(arena, buf, message, &part->name);
        } else {
            buf_add_str(buf, part->text);
        }
    }
}

enum {
    TEXT_BYTES_MAX = 1024 * 1024
};

void template_write(struct arena *arena, struct jsonw *json, const struct template *template,
                    const struct message *message)
{
    const struct message_name *name = template_name(template);
    if (name != NULL) {
        message_write_value(arena, json, message, name);
        return;
    }
    struct buf buf;
    buf_init(&buf, arena, TEXT_BYTES_MAX);
    template_add_text(arena, &buf, template, message);
    jsonw_str(json, buf_str(&buf));
}
