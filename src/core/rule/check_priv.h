#ifndef CORE_RULE_CHECK_PRIV_H
#define CORE_RULE_CHECK_PRIV_H

/*
 * What the files of the checker share: one walk over a tree, and how it says what is
 * wrong. All but check_shown and the look-ups return false, having failed the parse.
 */

#include "parse_priv.h"

struct check {
    struct rule_parser *parser;
    bool in_where;
};

/* A node's text, shortened, for a message. */
struct str check_shown(const struct check *check, const struct rule_node *node);
bool check_fail(struct check *check, const struct rule_node *node, struct str detail,
                const char *expected, const char *suggestion);
/* "no X is called "Y"; did you mean "Z"?"; `expected` is X with its article. */
bool check_fail_unknown(struct check *check, struct rule_span span, const char *expected,
                        struct str name, const char *nearest);

/* A rule of the workspace; of any kind with 0. NULL: there is none. */
const struct rule_known *check_known(const struct check *check, struct str name,
                                     enum rule_kind kind);
/* In the arena; NULL when none is near. */
const char *check_known_nearest(const struct check *check, struct str name, enum rule_kind kind);

/* Resolves the node's name and gives it its type. */
bool check_name(struct check *check, struct rule_node *node);

#endif
