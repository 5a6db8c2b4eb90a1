#ifndef CORE_RULE_EXPRESSION_H
#define CORE_RULE_EXPRESSION_H

/*
 * Text -> typed tree. The language of rules, filters and triggers; its grammar
 * is published (GET /v1/names serves it beside the names):
 *
 *   expression = or
 *   or         = and { "or" and }
 *   and        = not { "and" not }
 *   not        = "not" not | comparison
 *   comparison = sum [ ( "=" | "!=" | "<" | "<=" | ">" | ">=" | "~=" | "in"
 *                      | "contains" | "starts_with" ) sum
 *                    | "is" [ "not" ] "set" ]
 *   sum        = product { ( "+" | "-" ) product }
 *   product    = unary { ( "*" | "/" ) unary }
 *   unary      = "-" unary | primary
 *   primary    = literal | list | name | function | aggregate | "(" expression ")"
 *   literal    = text | number | duration | instant | "true" | "false"
 *   list       = "(" literal "," literal { "," literal } ")" | "[" [ literal { "," literal } ] "]"
 *   function   = "age" "(" name ")" | "age_years" "(" name ")" | "days_until" "(" name ")"
 *              | "percentile" "(" name "," number ")"
 *   aggregate  = ( "count" | "sum" | "avg" | "min" | "max" | "distinct" | "first" | "last"
 *                | "max_count" ) "(" event [ "." property ] [ "where" expression ]
 *                [ "by" property ] [ "within" duration ] [ "after" operand ] ")"
 *   event      = word "." word          (an event type of contract 2, or custom.<name>)
 *   name       = word { "." word }      property = word { "." word }
 *   text       = '"' characters '"'     with \" \\ \n \t
 *   duration   = digits ( "s" | "m" | "h" | "d" | "w" )
 *   instant    = "2026-11-22" | "2026-11-22T14:03:07Z" and the like, unquoted
 *   comment    = "#" to the end of the line
 *
 * Within "where", names are properties of the event (event.<p> is the event
 * that fires a trigger). "first" and "last" without a property are instants.
 *
 * Two-valued (correctness 23): a comparison with null is false, "not" inverts
 * that, "a != b" is "a is set and not a = b".
 *
 * Types are checked here, so that evaluation cannot fail: what is wrong is said
 * once, with line, column, what was expected, and the nearest known name.
 * age() is compared directly with a duration, never computed with: so the
 * instant at which a comparison turns is exact.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"
#include "core/event/event.h"
#include "core/rule/name.h"
#include "core/rule/value.h"

enum rule_op {
    RULE_OP_LITERAL,
    RULE_OP_NAME,
    RULE_OP_AND,
    RULE_OP_OR,
    RULE_OP_NOT,
    RULE_OP_EQ,
    RULE_OP_NE,
    RULE_OP_LT,
    RULE_OP_LE,
    RULE_OP_GT,
    RULE_OP_GE,
    RULE_OP_LIKE, /* ~= : equal but for ASCII case */
    RULE_OP_IN,
    RULE_OP_CONTAINS,
    RULE_OP_STARTS_WITH,
    RULE_OP_IS_SET,
    RULE_OP_ADD,
    RULE_OP_SUBTRACT,
    RULE_OP_MULTIPLY,
    RULE_OP_DIVIDE,
    RULE_OP_NEGATE,
    RULE_OP_AGE,
    RULE_OP_AGE_YEARS,
    RULE_OP_DAYS_UNTIL,
    RULE_OP_PERCENTILE,
    RULE_OP_AGGREGATE,
};

enum rule_aggregate {
    RULE_COUNT,
    RULE_SUM,
    RULE_AVG,
    RULE_MIN,
    RULE_MAX,
    RULE_DISTINCT,
    RULE_FIRST,
    RULE_LAST,
    RULE_MAX_COUNT,
};

/* = != < <= > >= */
bool rule_op_is_relation(enum rule_op op);
/* With its sides changed: < for >. Of what has no mirror image, itself. */
enum rule_op rule_op_mirrored(enum rule_op op);

struct rule_node;

struct rule_aggregation {
    enum rule_aggregate function;
    enum event_type event_type;
    struct str event_name;   /* "product.viewed", "custom.quiz_finished" */
    struct str property;     /* empty: the event itself */
    struct rule_node *where; /* NULL: all; its names are properties */
    struct str by;           /* max_count: the key property */
    int64_t within_ms;       /* 0: no window */
    struct rule_node *after; /* NULL; else of type instant: literal, name, or last(...) */
};

struct rule_node {
    enum rule_op op;
    enum rule_type type; /* RULE_NULL: an open name, known at run time */
    uint32_t start;      /* bytes of the text; end is exclusive */
    uint32_t end;
    struct rule_node *left; /* of unary operators and functions: the operand */
    struct rule_node *right;
    struct rule_value literal;            /* RULE_OP_LITERAL */
    struct rule_name name;                /* RULE_OP_NAME */
    struct rule_aggregation *aggregation; /* RULE_OP_AGGREGATE */
    int64_t percent;                      /* RULE_OP_PERCENTILE: millionths of 0 to 100 */
};

struct rule_error {
    uint32_t line;                    /* from 1 */
    uint32_t column;                  /* from 1, in characters */
    uint32_t length;                  /* in characters; 0 at the end of the text */
    struct str found;                 /* as written; empty at the end of the text */
    char detail[PROBLEM_DETAIL_SIZE]; /* "no event is called \"product.view\"; did you mean ..." */
    char expected[96];                /* "an event type" */
    char suggestion[96];              /* the nearest known name, or "" */
};

/* About the `size` bytes of `text` from `start` on, which it borrows. `suggestion`
 * may be NULL. */
struct rule_error rule_error_at(struct str text, size_t start, size_t size, struct str detail,
                                const char *expected, const char *suggestion);

/* Where the expression stands decides which names exist. */
enum rule_context {
    RULE_CONTEXT_RULE,    /* profile names */
    RULE_CONTEXT_FILTER,  /* and event.*, transition.*; no aggregates, no percentiles */
    RULE_CONTEXT_TRIGGER, /* and interest.*, product.* too, where one product is asked about */
};

/* Names of this workspace's rules, for tiers.<name> and the texts compared with
 * tags, segments and lifecycle. Borrowed. */
struct rule_vocabulary {
    enum rule_context context;
    const struct rule_known *rules;
    size_t rule_count;
};

/* Parses and checks; the root has type bool. STATUS_INVALID with *out_error
 * filled; STATUS_LIMIT when the arena is full. The tree borrows from `text`. */
NODISCARD enum status rule_parse(struct arena *arena, struct str text,
                                 const struct rule_vocabulary *vocabulary,
                                 struct rule_node **out_root, struct rule_error *out_error);

/* The canonical text of a node: one spelling for trees that mean the same, so
 * that features can be shared by it. */
struct str rule_format(struct arena *arena, const struct rule_node *node);

/* Size limits: a rule is read by people. */
enum {
    RULE_TEXT_BYTES_MAX = 4096,
    RULE_NODES_MAX = 256,
    RULE_DEPTH_MAX = 32,
};

#endif
