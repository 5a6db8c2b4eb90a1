#ifndef CORE_RULE_PROGRAM_H
#define CORE_RULE_PROGRAM_H

/*
 * A checked tree as a flat program, and what it says of a profile at an
 * instant.
 *
 * The steps stand in postfix order, so the steps of a subtree are contiguous
 * and explain can run any part by itself. `and` and `or` jump over the right
 * side when the left decides. Evaluation allocates nothing but list and text
 * conversions in the arena, cannot fail, and cannot loop.
 *
 * "Until" is the first instant at which evaluating again may give another
 * verdict while no fact arrives; exact for the comparisons of windows, ages and
 * days with constants. A conjunction that is false stays so while any of its
 * false sides does: it holds until the latest of them, not the earliest. What
 * rests on another rule's verdict is not in it: that rule has its own instant,
 * at which both are decided again.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "core/rule/expression.h"
#include "core/rule/statistic.h"
#include "core/rule/value.h"

struct profile;
struct ruleset;
struct feature_table;
struct property_view;
struct interest;

struct rule_program; /* immutable; lives in the arena it was compiled in */

/* A verdict that changed, as filters name it. Empty texts are null. */
struct rule_transition {
    struct str rule;
    struct str kind;
    struct str from; /* of a tag or segment that held: "true" */
    struct str to;
};

/* A product as triggers name it; empty texts are null. */
struct rule_product {
    struct str source; /* name */
    struct str product_id;
    struct str variant_id;
    struct str sku;
    struct str name;
    struct str variant_name;
    const struct str *category; /* a path, the widest first */
    size_t category_count;
    struct str brand;
    struct str url;
    struct str image_url;
    struct str currency;
    bool has_price;
    int64_t price_minor;
    bool has_compare_at;
    int64_t compare_at_minor;
    bool has_stock;
    int64_t stock;
};

/* Everything a program may look at. What is NULL reads as nothing. */
struct rule_subject {
    const struct profile *profile; /* with features, verdicts, indicators */
    const struct ruleset *ruleset; /* whose feature numbers the program uses */
    const struct statistics *statistics;
    struct str currency;        /* the workspace's: its decimals make money of minor units */
    struct property_view *fact; /* the event: of where, filters and triggers */
    struct str source;          /* of the event, by name: of filters */
    const struct rule_transition *transition;
    const struct interest *interest; /* in `product`: of triggers, as the next */
    const struct rule_product *product;
};

/* Compiles a checked tree. Aggregates become features of `table`, which is
 * shared by all rules of a ruleset under construction (and NULL for a `where`,
 * which has none). STATUS_INVALID for an aggregate without a table; STATUS_LIMIT
 * when the arena is full or the tree is larger than parsing allows. */
NODISCARD enum status rule_compile(struct arena *arena, const struct rule_node *root,
                                   struct feature_table *table,
                                   const struct rule_program **out_program);

/* The verdict at `at_ms`. out_until_ms may be NULL: not wanted, and cheaper. */
bool rule_evaluate(struct arena *arena, const struct rule_program *program,
                   const struct rule_subject *subject, int64_t at_ms, int64_t *out_until_ms);

/* The value of one node of the tree that was compiled: for explain. */
struct rule_value rule_evaluate_node(struct arena *arena, const struct rule_program *program,
                                     const struct rule_node *node,
                                     const struct rule_subject *subject, int64_t at_ms,
                                     int64_t *out_until_ms, bool *out_at_least);

/* What it reads: rule_part bits, feature numbers (ascending, unique), rules by
 * name, properties by the first word of their path; and whether time alone can change it. */
struct rule_reads {
    uint32_t parts; /* 1u << enum rule_part */
    const uint32_t *features;
    size_t feature_count;
    const struct str *rules; /* tiers.<name>, and "x" in tags or segments: the literal names;
                                lifecycle */
    size_t rule_count;
    const struct str *properties; /* of the fact, each once: "category", "context", "products" */
    size_t property_count;
    bool is_timed;
    bool waiting;     /* interest.waiting, which substitutes end */
    bool substitutes; /* interest.substitute_bought_at */
};
const struct rule_reads *rule_program_reads(const struct rule_program *program);

#endif
