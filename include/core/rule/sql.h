#ifndef CORE_RULE_SQL_H
#define CORE_RULE_SQL_H

/*
 * A checked tree as a boolean expression over the row of a profile, so that a
 * list with a filter is read by the database and not row by row here.
 *
 * Two-valued like the language (correctness 23): no part of the expression is
 * ever null, so NOT and AND mean the same on both sides. What is no column, or
 * what would not be exact, is refused, and the caller evaluates the program
 * instead. Values become parameters, never text of the statement.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "core/rule/expression.h"

struct rule_sql_options {
    struct str currency;    /* the workspace's */
    int64_t at_ms;          /* for ages */
    size_t first_parameter; /* the number of the first "$" that is free */
};

struct rule_sql {
    struct str text;              /* columns are those of table profile, called p */
    const struct str *parameters; /* in text form; the text says their types */
    size_t parameter_count;
};

/* STATUS_INVALID when a part "cannot be pushed down", with the part's text in
 * the problem; STATUS_LIMIT when the arena is full. */
NODISCARD enum status rule_sql(struct arena *arena, const struct rule_node *root,
                               const struct rule_sql_options *options, struct rule_sql *out_sql,
                               struct problem *problem);

#endif
