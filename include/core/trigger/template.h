#ifndef CORE_TRIGGER_TEMPLATE_H
#define CORE_TRIGGER_TEMPLATE_H

/*
 * A line of text with names in it: "Entered {segment.title}". Pure.
 *
 *   template = { text | "{" name "}" | "{{" }
 *
 * "{{" is one brace; a closing brace outside of a name is itself. Names are those
 * of core/trigger/message.h. A template that is one name and nothing else keeps
 * the type of its value: {orders.count} is a number, {tags} a list.
 *
 * Parsed and checked when it is saved, so that rendering cannot fail.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/jsonw.h"
#include "base/status.h"
#include "base/str.h"
#include "core/rule/expression.h"
#include "core/trigger/message.h"

struct template_part {
    bool is_name;
    struct str text; /* literal */
    struct message_name name;
};

struct template
{ /* plain; parts live in the arena it was parsed in, texts in the text */
    const struct template_part *parts;
    size_t part_count;
};

/* STATUS_INVALID with *out_error filled (line, column, the nearest name);
 * STATUS_LIMIT when the arena is full. `names` as message_name_resolve. */
NODISCARD enum status template_parse(struct arena *arena, struct str text,
                                     const struct rule_vocabulary *names,
                                     struct template *out_template, struct rule_error *out_error);

/* The one name that the whole template is, or NULL. */
const struct message_name *template_name(const struct template *template);

/* As a JSON value: with its type if it is one name, else a text. */
void template_write(struct arena *arena, struct jsonw *json, const struct template *template,
                    const struct message *message);
/* As bare text; null is nothing. */
void template_add_text(struct arena *arena, struct buf *buf, const struct template *template,
                       const struct message *message);

enum {
    TEMPLATE_BYTES_MAX = 2048,
    TEMPLATE_PARTS_MAX = 64, /* a text with more is made by a program, not by a person */
};

#endif
