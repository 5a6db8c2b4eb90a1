#ifndef CORE_RULE_SENTENCE_H
#define CORE_RULE_SENTENCE_H

/*
 * Why an expression is true or false, in words that a person who never wrote
 * one understands: "product.viewed with category "Shoes" happened 3 times in
 * 24h (at least 3 needed)".
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "core/rule/expression.h"
#include "core/rule/program.h"

struct rule_sentence {
    struct str text; /* a clause, to stand behind "because"; empty when the arena is full */
    /* It is true because something happened often enough lately: it ends when
     * the window has passed, unless another one arrives. */
    bool rests_on_count;
};

/* `program` is `root` compiled. With hides_values no text that a customer's
 * facts hold is told: who may not see the person may read why. */
struct rule_sentence rule_sentence(struct arena *arena, const struct rule_program *program,
                                   const struct rule_node *root, const struct rule_subject *subject,
                                   int64_t at_ms, bool hides_values);

#endif
