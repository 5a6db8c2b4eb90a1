#ifndef CORE_RULE_RULESET_PRIV_H
#define CORE_RULE_RULESET_PRIV_H

/*
 * Between ruleset.c, which compiles and orders rules, and ruleset_index.c, which
 * makes the sets that a write looks up.
 */

#include "base/arena.h"
#include "base/compiler.h"
#include "core/rule/ruleset.h"

/* Fills all indexes of a ruleset whose rules and features stand. False when the
 * arena is full. */
NODISCARD bool ruleset_index(struct arena *arena, struct ruleset *ruleset);

/* What a fact of this type and name with this text is looked up by. */
uint64_t feature_choice_hash(enum event_type type, struct str name, struct str text);

/* Index of a feature by its number; feature_count when there is none. */
size_t ruleset_feature_index(const struct ruleset *ruleset, uint32_t number);

#endif
