#include <assert.h>

#include "base/buf.h"
#include "base/instant.h"
#include "core/rule/expression.h"

/*
 * A tree as its canonical text.
 *
 * Invariant: the text parses to an equal tree, and trees that mean the same by
 * the checker's normal form have the same text: single spaces, parentheses only
 * where the grammar needs them, names without "profile.", durations in their
 * shortest unit, lists of two or more in parentheses.
 *
 * A property is "category" within an aggregate's "where" and "event.category"
 * anywhere else, also when a piece of a "where" is formatted by itself.
 *
 * The walk recurses; parse.c bounds the height of trees.
 */

enum {
    FORMAT_BYTES_MAX = 64 * 1024
};

/* How tightly an operator binds. */
enum level {
    LEVEL_OR = 1,
    LEVEL_AND,
    LEVEL_NOT,
    LEVEL_COMPARISON,
    LEVEL_SUM,
    LEVEL_PRODUCT,
    LEVEL_UNARY,
    LEVEL_PRIMARY,
};

static const struct op_form {
    const char *word;
    enum level level;
} forms[] = {
    [RULE_OP_LITERAL] = { "", LEVEL_PRIMARY },
    [RULE_OP_NAME] = { "", LEVEL_PRIMARY },
    [RULE_OP_AND] = { " and ", LEVEL_AND },
    [RULE_OP_OR] = { " or ", LEVEL_OR },
    [RULE_OP_NOT] = { "not ", LEVEL_NOT },
    [RULE_OP_EQ] = { " = ", LEVEL_COMPARISON },
    [RULE_OP_NE] = { " != ", LEVEL_COMPARISON },
    [RULE_OP_LT] = { " < ", LEVEL_COMPARISON },
    [RULE_OP_LE] = { " <= ", LEVEL_COMPARISON },
    [RULE_OP_GT] = { " > ", LEVEL_COMPARISON },
    [RULE_OP_GE] = { " >= ", LEVEL_COMPARISON },
    [RULE_OP_LIKE] = { " ~= ", LEVEL_COMPARISON },
    [RULE_OP_IN] = { " in ", LEVEL_COMPARISON },
    [RULE_OP_CONTAINS] = { " contains ", LEVEL_COMPARISON },
    [RULE_OP_STARTS_WITH] = { " starts_with ", LEVEL_COMPARISON },
    [RULE_OP_IS_SET] = { " is set", LEVEL_COMPARISON },
    [RULE_OP_ADD] = { " + ", LEVEL_SUM },
    [RULE_OP_SUBTRACT] = { " - ", LEVEL_SUM },
    [RULE_OP_MULTIPLY] = { " * ", LEVEL_PRODUCT },
    [RULE_OP_DIVIDE] = { " / ", LEVEL_PRODUCT },
    [RULE_OP_NEGATE] = { "-", LEVEL_UNARY },
    [RULE_OP_AGE] = { "age", LEVEL_PRIMARY },
    [RULE_OP_AGE_YEARS] = { "age_years", LEVEL_PRIMARY },
    [RULE_OP_DAYS_UNTIL] = { "days_until", LEVEL_PRIMARY },
    [RULE_OP_PERCENTILE] = { "percentile", LEVEL_PRIMARY },
    [RULE_OP_AGGREGATE] = { "", LEVEL_PRIMARY },
};

static const char *const aggregates[] = {
    [RULE_COUNT] = "count", [RULE_SUM] = "sum",   [RULE_AVG] = "avg",
    [RULE_MIN] = "min",     [RULE_MAX] = "max",   [RULE_DISTINCT] = "distinct",
    [RULE_FIRST] = "first", [RULE_LAST] = "last", [RULE_MAX_COUNT] = "max_count",
};

struct format {
    struct buf *buf;
    bool in_where;
};

static void put_node(struct format *format, const struct rule_node *node, enum level least);

/* --- literals and names ---------------------------------------------------- */

static void put_text(struct buf *buf, struct str text)
{
    buf_add_char(buf, '"');
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '"' || c == '\\') {
            buf_add_char(buf, '\\');
            buf_add_char(buf, c);
        } else if (c == '\n' || c == '\t') {
            buf_add_z(buf, c == '\n' ? "\\n" : "\\t");
        } else {
            buf_add_char(buf, c);
        }
    }
    buf_add_char(buf, '"');
}

static void put_number(struct buf *buf, int64_t number)
{
    char text[24];
    buf_add(buf, text, rule_number_format(number, text));
}

static void put_duration(struct buf *buf, int64_t ms)
{
    char text[24];
    duration_format(ms, text);
    buf_add_z(buf, text);
}

static void put_instant(struct buf *buf, int64_t ms)
{
    char text[INSTANT_TEXT_SIZE];
    instant_format(ms, text);
    struct str whole = str_from_z(text);
    if (ms % INSTANT_SECOND_MS != 0) {
        buf_add_str(buf, whole);
        return;
    }
    buf_add_str(buf, str_take(whole, whole.size - STR(".000Z").size));
    buf_add_char(buf, 'Z');
}

static void put_date(struct buf *buf, int64_t days)
{
    char text[INSTANT_TEXT_SIZE];
    instant_format(days * INSTANT_DAY_MS, text);
    buf_add(buf, text, STR("2026-11-22").size);
}

static void put_scalar(struct buf *buf, struct rule_value value)
{
    switch (value.type) {
    case RULE_NULL:
    case RULE_LIST:
        assert(false);
        break;
    case RULE_BOOL:
        buf_add_z(buf, value.boolean ? "true" : "false");
        break;
    case RULE_NUMBER:
        put_number(buf, value.number);
        break;
    case RULE_TEXT:
        put_text(buf, value.text);
        break;
    case RULE_INSTANT:
        put_instant(buf, value.ms);
        break;
    case RULE_DURATION:
        put_duration(buf, value.ms);
        break;
    case RULE_DATE:
        put_date(buf, value.days);
        break;
    }
}

static void put_literal(struct buf *buf, struct rule_value value)
{
    if (value.type != RULE_LIST) {
        put_scalar(buf, value);
        return;
    }
    bool is_round = value.list.count >= 2;
    buf_add_char(buf, is_round ? '(' : '[');
    for (size_t i = 0; i < value.list.count; i++) {
        if (i > 0) {
            buf_add_z(buf, ", ");
        }
        put_scalar(buf, value.list.items[i]);
    }
    buf_add_char(buf, is_round ? ')' : ']');
}

/* The pattern "traits.<key>" with the key in place. */
static void put_name(const struct format *format, struct rule_name name)
{
    if (name.attribute == RULE_PROPERTY && format->in_where) {
        buf_add_str(format->buf, name.key);
        return;
    }
    struct str path = str_from_z(rule_name_info(name.attribute)->path);
    ptrdiff_t open = str_find(path, '<', 0);
    buf_add_str(format->buf, open < 0 ? path : str_take(path, (size_t)open));
    buf_add_str(format->buf, open < 0 ? STR("") : name.key);
}

/* --- operators ------------------------------------------------------------- */

static bool is_not_set(const struct rule_node *node)
{
    return node->op == RULE_OP_NOT && node->left->op == RULE_OP_IS_SET;
}

static enum level level_of(const struct rule_node *node)
{
    if (is_not_set(node)) {
        return LEVEL_COMPARISON;
    }
    bool is_negative = node->op == RULE_OP_LITERAL && node->literal.type == RULE_NUMBER &&
                       node->literal.number < 0;
    return is_negative ? LEVEL_UNARY : forms[node->op].level;
}

static void put_aggregate(struct format *format, const struct rule_aggregation *aggregation)
{
    struct buf *buf = format->buf;
    buf_add_z(buf, aggregates[aggregation->function]);
    buf_add_char(buf, '(');
    buf_add_str(buf, aggregation->event_name);
    if (aggregation->property.size > 0) {
        buf_add_char(buf, '.');
        buf_add_str(buf, aggregation->property);
    }
    if (aggregation->where != NULL) {
        bool was_in_where = format->in_where;
        format->in_where = true;
        buf_add_z(buf, " where ");
        put_node(format, aggregation->where, LEVEL_OR);
        format->in_where = was_in_where;
    }
    if (aggregation->by.size > 0) {
        buf_add_z(buf, " by ");
        buf_add_str(buf, aggregation->by);
    }
    if (aggregation->within_ms > 0) {
        buf_add_z(buf, " within ");
        put_duration(buf, aggregation->within_ms);
    }
    if (aggregation->after != NULL) {
        buf_add_z(buf, " after ");
        put_node(format, aggregation->after, LEVEL_SUM);
    }
    buf_add_char(buf, ')');
}

static void put_function(struct format *format, const struct rule_node *node)
{
    buf_add_z(format->buf, forms[node->op].word);
    buf_add_char(format->buf, '(');
    put_node(format, node->left, LEVEL_OR);
    if (node->op == RULE_OP_PERCENTILE) {
        buf_add_z(format->buf, ", ");
        put_number(format->buf, node->percent);
    }
    buf_add_char(format->buf, ')');
}

/* Chains group to the left; comparisons do not chain. */
static void put_binary(struct format *format, const struct rule_node *node)
{
    enum level level = forms[node->op].level;
    bool chains = level != LEVEL_COMPARISON;
    put_node(format, node->left, chains ? level : LEVEL_SUM);
    buf_add_z(format->buf, forms[node->op].word);
    put_node(format, node->right, level + 1);
}

static void put_plain(struct format *format, const struct rule_node *node)
{
    switch (node->op) {
    case RULE_OP_LITERAL:
        put_literal(format->buf, node->literal);
        break;
    case RULE_OP_NAME:
        put_name(format, node->name);
        break;
    case RULE_OP_NOT:
        if (is_not_set(node)) {
            put_node(format, node->left->left, LEVEL_SUM);
            buf_add_z(format->buf, " is not set");
            break;
        }
        buf_add_z(format->buf, forms[node->op].word);
        put_node(format, node->left, LEVEL_NOT);
        break;
    case RULE_OP_NEGATE:
        buf_add_z(format->buf, forms[node->op].word);
        put_node(format, node->left, LEVEL_UNARY);
        break;
    case RULE_OP_IS_SET:
        put_node(format, node->left, LEVEL_SUM);
        buf_add_z(format->buf, forms[node->op].word);
        break;
    case RULE_OP_AGE:
    case RULE_OP_AGE_YEARS:
    case RULE_OP_DAYS_UNTIL:
    case RULE_OP_PERCENTILE:
        put_function(format, node);
        break;
    case RULE_OP_AGGREGATE:
        put_aggregate(format, node->aggregation);
        break;
    default:
        put_binary(format, node);
        break;
    }
}

static void put_node(struct format *format, const struct rule_node *node, enum level least)
{
    bool is_loose = level_of(node) < least;
    if (is_loose) {
        buf_add_char(format->buf, '(');
    }
    put_plain(format, node);
    if (is_loose) {
        buf_add_char(format->buf, ')');
    }
}

struct str rule_format(struct arena *arena, const struct rule_node *node)
{
    struct buf buf;
    buf_init(&buf, arena, FORMAT_BYTES_MAX);
    struct format format = { .buf = &buf };
    put_node(&format, node, LEVEL_OR);
    return buf_str(&buf);
}
