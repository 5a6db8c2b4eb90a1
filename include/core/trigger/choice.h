#ifndef CORE_TRIGGER_CHOICE_H
#define CORE_TRIGGER_CHOICE_H

/*
 * What a subscription chose, compiled: which notifications (its filter), and what
 * of them (its projection). One place for who saves it, who loads it, and who asks
 * what it rests on. Pure.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"
#include "core/rule/expression.h"
#include "core/rule/program.h"
#include "core/trigger/projection.h"

struct choice_text {   /* as subscriptions store it */
    struct str filter; /* empty: none */
    struct str fields;
    struct str format;
    struct str map_json;
    struct str settings_json;
    bool is_masked;
};

struct choice {
    const struct rule_node *root;        /* of the filter; NULL: none */
    const struct rule_program *filter;   /* NULL: all */
    const struct projection *projection; /* NULL: the default body */
};

/* The rules that filters and fields may name: those of `ruleset` (NULL: none). The
 * context is that of filters. False when the arena is full. */
bool choice_vocabulary(struct arena *arena, const struct ruleset *ruleset,
                       struct rule_vocabulary *out_names);

/* STATUS_INVALID with *out_error filled, whose member may be "filter" too;
 * STATUS_LIMIT when the arena is full. */
NODISCARD enum status choice_parse(struct arena *arena, const struct choice_text *text,
                                   const struct rule_vocabulary *names, struct choice *out_choice,
                                   struct projection_error *out_error);

/* Would it not compile without this rule? */
bool choice_uses_rule(const struct choice *choice, struct str rule);
/* Does the filter compare personal data? Whether there is any is no secret. */
bool choice_asks_person(const struct choice *choice);

#endif
