#ifndef CORE_RULE_PARSE_PRIV_H
#define CORE_RULE_PARSE_PRIV_H

/*
 * What the lexer, the grammar's actions and the checker share: one parse.
 *
 * Builders return NULL once the parse has failed and take NULL for an answer,
 * because the grammar may reduce a few more rules before it is asked to stop.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "core/rule/expression.h"

/* Bytes of the text; a token, or where an error is. */
struct rule_span {
    uint32_t start;
    uint32_t end;
};

enum {
    RULE_WITHIN_DAYS_MAX = 400,
    RULE_QUOTE_BYTES_MAX = 60,
};

/* What the lexer sees and the grammar never does; beyond all token codes. */
enum {
    RULE_LEX_OPEN_TEXT = 1000,
    RULE_LEX_WRONG,
};

struct rule_parser {
    struct arena *arena;
    struct str text;
    const struct rule_vocabulary *vocabulary;
    const char *begin;  /* a copy of the text that ends in NUL, for the lexer */
    const char *cursor; /* into the copy */
    struct rule_span token;
    struct rule_span previous;
    uint32_t open_count; /* "(" and "[" not closed yet */
    uint64_t open_kinds; /* enum rule_opening, two bits each, the innermost lowest */
    bool is_after_function;
    size_t node_count;
    struct rule_node *root;
    bool has_failed; /* with an error, or because the arena is full */
    bool has_error;
    struct rule_error error;
};

/* What is open: for messages only, so forgetting all but 32 levels is harmless. */
enum rule_opening {
    RULE_OPEN_GROUP,
    RULE_OPEN_FUNCTION,
    RULE_OPEN_LIST,
};

struct rule_arguments {
    struct rule_node *first;
    struct rule_node *second;
    size_t count;
};

/* The items of a list, last first: literals linked by `left`. */
struct rule_items {
    struct rule_node *last;
    size_t count;
};

/* --- lexer.re: the next token's code (0: the end); -1 after an error. ------ */
int rule_lex(struct rule_parser *parser, struct rule_span *out_span);

/* --- grammar.y: all tokens through the parser. ----------------------------- */
void rule_grammar_run(struct rule_parser *parser);

/* --- check.c: names, types; false when the parse has failed. --------------- */
bool rule_check(struct rule_parser *parser);

/* --- parse_error.c --------------------------------------------------------- */

/* The first error stays. Returns false, for `return rule_fail(...)`. An empty
 * detail is that of a full arena. `expected` and `suggestion` may be NULL. */
bool rule_fail(struct rule_parser *parser, struct rule_span span, struct str detail,
               const char *expected, const char *suggestion);

void rule_parser_unexpected(struct rule_parser *parser, int token, struct rule_span span,
                            uint64_t accepted);
void rule_parser_too_deep(struct rule_parser *parser);
void rule_parser_wrong_sign(struct rule_parser *parser, struct rule_span span);
void rule_parser_open_text(struct rule_parser *parser, struct rule_span span);

/* After the grammar took the token: keeps count of what is open. */
void rule_parser_took(struct rule_parser *parser, int token);

/* A piece of the rule; of a longer one `size_max` bytes and "...". */
struct str rule_quoted(const struct rule_parser *parser, struct rule_span span, size_t size_max);
/* "30d" for 1 and "month"; NULL when the word is no unit of anybody's. */
const char *rule_duration_meant(struct rule_parser *parser, int64_t count, struct str word);

/* --- parse.c --------------------------------------------------------------- */

struct str rule_span_text(const struct rule_parser *parser, struct rule_span span);
struct rule_span rule_node_span(const struct rule_node *node);
/* Where a piece of the text stands in it. */
struct rule_span rule_span_of(const struct rule_parser *parser, struct str piece);

struct rule_node *rule_node_text(struct rule_parser *parser, struct rule_span token);
struct rule_node *rule_node_number(struct rule_parser *parser, struct rule_span token);
struct rule_node *rule_node_duration(struct rule_parser *parser, struct rule_span token);
struct rule_node *rule_node_instant(struct rule_parser *parser, struct rule_span token);
struct rule_node *rule_node_bool(struct rule_parser *parser, struct rule_span token, bool boolean);
struct rule_node *rule_node_name(struct rule_parser *parser, struct rule_span token);
struct rule_node *rule_node_unary(struct rule_parser *parser, enum rule_op op,
                                  struct rule_span token, struct rule_node *operand);
struct rule_node *rule_node_binary(struct rule_parser *parser, enum rule_op op,
                                   struct rule_node *left, struct rule_node *right);
struct rule_node *rule_node_is_set(struct rule_parser *parser, struct rule_node *operand,
                                   bool is_negated, struct rule_span end);
struct rule_node *rule_node_group(struct rule_node *inner, struct rule_span open,
                                  struct rule_span close);
struct rule_items rule_items_add(struct rule_parser *parser, struct rule_items items,
                                 struct rule_node *item);
struct rule_node *rule_node_list(struct rule_parser *parser, struct rule_items items,
                                 struct rule_span open, struct rule_span close);
struct rule_arguments rule_arguments_add(struct rule_arguments arguments,
                                         struct rule_node *argument);
struct rule_aggregation *rule_clauses(struct rule_parser *parser, struct rule_node *where,
                                      struct rule_span by, struct rule_node *within,
                                      struct rule_node *after);
struct rule_node *rule_node_call(struct rule_parser *parser, struct rule_span function,
                                 struct rule_arguments arguments, struct rule_aggregation *clauses,
                                 struct rule_span close);

#endif
