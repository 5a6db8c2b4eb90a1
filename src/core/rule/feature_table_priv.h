#ifndef CORE_RULE_FEATURE_TABLE_PRIV_H
#define CORE_RULE_FEATURE_TABLE_PRIV_H

/*
 * The features of a ruleset under construction: one for all aggregates that
 * mean the same.
 */

#include "base/arena.h"
#include "base/compiler.h"
#include "core/rule/feature.h"
#include "core/rule/ruleset.h"

struct feature_table;

/* NULL when the arena is full. */
struct feature_table *feature_table_create(struct arena *arena);

/* What the aggregate of `node` (RULE_OP_AGGREGATE) is compared with: the form
 * and what is kept follow from it. */
struct feature_demand {
    const struct rule_node *node;
    bool has_constant; /* compared with one number that is known now */
    int64_t constant;  /* millionths */
};

/* The feature for it, shared with all that asked for the same. Its number, keep
 * and text are final after feature_table_finish. NULL when the arena is full. */
const struct feature *feature_table_want(struct feature_table *table,
                                         const struct feature_demand *demand);

/* Gives numbers: a known one where key and keep allow it, else a new one from
 * *next_number. *out_features ascend by number. */
NODISCARD bool feature_table_finish(struct feature_table *table, int64_t version,
                                    const struct feature_number *known, size_t known_count,
                                    uint32_t *next_number, const struct feature **out_features,
                                    size_t *out_count);
size_t feature_table_count(const struct feature_table *table);

#endif
