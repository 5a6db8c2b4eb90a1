#include <assert.h>
#include <string.h>

#include "base/buf.h"
#include "base/instant.h"
#include "core/rule/expression.h"
#include "grammar.h"
#include "parse_priv.h"

/*
 * Tokens -> tree.
 *
 * Invariant: a tree is at most RULE_DEPTH_MAX high and has at most
 * RULE_NODES_MAX nodes when it leaves this file, so whoever walks it may
 * recurse. The height is kept beside each node while the tree grows from its
 * leaves, and the parser's own stack is of fixed size, so no text, however it
 * nests, takes more.
 *
 * A node's span has its parentheses in it, so that the text of any node reads
 * as an expression by itself.
 */

enum {
    DURATION_DAYS_MAX = 36525, /* a hundred years: sums with any instant fit */
};

/* A node and its height: a leaf's is 1. */
struct grown_node {
    struct rule_node node;
    uint32_t height;
};

struct rule_span rule_node_span(const struct rule_node *node)
{
    return (struct rule_span){ node->start, node->end };
}

struct str rule_span_text(const struct rule_parser *parser, struct rule_span span)
{
    return str_take(str_drop(parser->text, span.start), span.end - span.start);
}

struct rule_span rule_span_of(const struct rule_parser *parser, struct str piece)
{
    assert(piece.data >= parser->text.data);
    uint32_t start = (uint32_t)(piece.data - parser->text.data);
    return (struct rule_span){ start, start + (uint32_t)piece.size };
}

/* --- nodes ----------------------------------------------------------------- */

static uint32_t height_of(const struct rule_node *node)
{
    return node == NULL ? 0 : ((const struct grown_node *)(const void *)node)->height;
}

static struct rule_node *node_new(struct rule_parser *parser, enum rule_op op,
                                  struct rule_span span, uint32_t height)
{
    if (parser->has_failed) {
        return NULL;
    }
    if (height > RULE_DEPTH_MAX) {
        rule_parser_too_deep(parser);
        return NULL;
    }
    struct grown_node *grown = ARENA_NEW(parser->arena, struct grown_node);
    if (grown == NULL) {
        parser->has_failed = true;
        return NULL;
    }
    grown->height = height;
    grown->node.op = op;
    grown->node.start = span.start;
    grown->node.end = span.end;
    return &grown->node;
}

/* A node that counts; items of lists do not. */
static struct rule_node *node_add(struct rule_parser *parser, enum rule_op op,
                                  struct rule_span span, uint32_t height)
{
    if (parser->node_count == RULE_NODES_MAX) {
        rule_fail(parser, parser->token,
                  str_printf(parser->arena,
                             "the expression has more than %d parts; make rules of parts of it",
                             (int)RULE_NODES_MAX),
                  "a shorter expression", NULL);
        return NULL;
    }
    parser->node_count++;
    return node_new(parser, op, span, height);
}

static struct rule_node *node_literal(struct rule_parser *parser, struct rule_span token,
                                      struct rule_value value)
{
    struct rule_node *node = node_new(parser, RULE_OP_LITERAL, token, 1);
    if (node != NULL) {
        node->literal = value;
        node->type = value.type;
    }
    return node;
}

/* --- literals -------------------------------------------------------------- */

/* What "\c" stands for; '\0' when the language has no such escape. */
static char escaped(char c)
{
    switch (c) {
    case '"':
    case '\\':
        return c;
    case 'n':
        return '\n';
    case 't':
        return '\t';
    default:
        return '\0';
    }
}

static bool fail_escape(struct rule_parser *parser, uint32_t start)
{
    struct str rest = str_drop(parser->text, start);
    uint32_t size = 2;
    while (size < rest.size && ((uint8_t)rest.data[size] & 0xc0) == 0x80) {
        size++;
    }
    return rule_fail(parser, (struct rule_span){ start, start + size },
                     str_printf(parser->arena,
                                "a text knows no %.*s; there are \\\", \\\\, \\n and \\t",
                                (int)size, rest.data),
                     "one of \\\" \\\\ \\n \\t", NULL);
}

struct rule_node *rule_node_text(struct rule_parser *parser, struct rule_span token)
{
    struct str inner = rule_span_text(parser, (struct rule_span){ token.start + 1, token.end - 1 });
    struct rule_value value = { .type = RULE_TEXT, .text = inner };
    if (str_find(inner, '\\', 0) < 0) {
        return node_literal(parser, token, value);
    }
    char *bytes = arena_alloc(parser->arena, inner.size);
    if (bytes == NULL) {
        parser->has_failed = true;
        return NULL;
    }
    size_t size = 0;
    for (size_t i = 0; i < inner.size; i++) {
        bool is_escape = inner.data[i] == '\\';
        char c = inner.data[i];
        if (is_escape) {
            c = escaped(inner.data[i + 1]);
        }
        if (c == '\0') {
            fail_escape(parser, token.start + 1 + (uint32_t)i);
            return NULL;
        }
        i += is_escape;
        bytes[size++] = c;
    }
    value.text = (struct str){ bytes, size };
    return node_literal(parser, token, value);
}

struct rule_node *rule_node_number(struct rule_parser *parser, struct rule_span token)
{
    struct str text = rule_span_text(parser, token);
    struct rule_value value = { .type = RULE_NUMBER };
    if (rule_number_parse(text, &value.number)) {
        return node_literal(parser, token, value);
    }
    ptrdiff_t point = str_find(text, '.', 0);
    bool is_large =
        !rule_number_parse(point < 0 ? text : str_take(text, (size_t)point), &value.number);
    if (is_large) {
        rule_fail(parser, token, STR("this number is too large: the largest is 9223372036854"),
                  "a smaller number", NULL);
    } else {
        rule_fail(parser, token, STR("a number has at most six digits after the point"),
                  "at most six digits after the point", NULL);
    }
    return NULL;
}

static void fail_unit(struct rule_parser *parser, struct rule_span token, int64_t count,
                      struct str word)
{
    const char *expected = "a duration in s, m, h, d or w";
    const char *meant = rule_duration_meant(parser, count, word);
    if (meant == NULL) {
        rule_fail(parser, token,
                  str_printf(parser->arena,
                             "no unit of time is called \"%.*s\"; there are s, m, h, d, w",
                             STR_ARG(str_take_text(word, RULE_QUOTE_BYTES_MAX))),
                  expected, NULL);
        return;
    }
    char first = word.data[0];
    bool is_month = first == 'M' || str_equal(str_take(word, 2), STR("mo"));
    const char *why = is_month                       ? "the language has no month, months differ"
                      : first == 'y' || first == 'Y' ? "the language has no year, years differ"
                                                     : "units are s, m, h, d and w";
    rule_fail(parser, token, str_printf(parser->arena, "%s; did you mean %s?", why, meant),
              expected, meant);
}

struct rule_node *rule_node_duration(struct rule_parser *parser, struct rule_span token)
{
    struct str text = rule_span_text(parser, token);
    struct rule_value value = { .type = RULE_DURATION };
    size_t digits = 0;
    while (digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9') {
        digits++;
    }
    struct str unit = str_drop(text, digits);
    int64_t count = 0;
    bool is_small = str_to_i64(str_take(text, digits), &count) && count < INT64_C(10000000000);
    bool is_unit = unit.size == 1 && str_find(STR("smhdw"), unit.data[0], 0) >= 0;
    if (unit.data[0] == '.') {
        rule_fail(parser, token, STR("a duration is a whole number: 90m, not 1.5h"),
                  "a whole number and a unit", NULL);
    } else if (is_unit && (!is_small || !duration_parse(text, false, &value.ms) ||
                           value.ms > DURATION_DAYS_MAX * INSTANT_DAY_MS)) {
        rule_fail(parser, token,
                  str_printf(parser->arena, "a duration is at most %dd", (int)DURATION_DAYS_MAX),
                  "a shorter duration", NULL);
    } else if (!is_unit) {
        fail_unit(parser, token, is_small ? count : INT64_MAX, unit);
    }
    return node_literal(parser, token, value);
}

struct rule_node *rule_node_instant(struct rule_parser *parser, struct rule_span token)
{
    struct str text = rule_span_text(parser, token);
    struct rule_value written = { .type = RULE_TEXT, .text = text };
    struct rule_value value = rule_value_as(parser->arena, written, RULE_DATE);
    int64_t ms = 0;
    if (value.type == RULE_NULL) {
        value = rule_value_as(parser->arena, written, RULE_INSTANT);
    }
    if (value.type != RULE_NULL) {
        return node_literal(parser, token, value);
    }
    if (instant_parse(text, false, &ms, NULL)) {
        const char *meant =
            str_dup_z(parser->arena, str_printf(parser->arena, "%.*sZ", STR_ARG(text)));
        rule_fail(parser, token, STR("an instant needs its offset: \"Z\" for UTC, or +02:00"),
                  "an instant with an offset", meant);
    } else {
        rule_fail(parser, token,
                  str_printf(parser->arena,
                             "%.*s is no date; dates look like 2026-11-22, instants like "
                             "2026-11-22T14:03:07Z",
                             STR_ARG(str_take_text(text, RULE_QUOTE_BYTES_MAX))),
                  "a date or an instant", NULL);
    }
    return NULL;
}

struct rule_node *rule_node_bool(struct rule_parser *parser, struct rule_span token, bool boolean)
{
    return node_literal(parser, token,
                        (struct rule_value){ .type = RULE_BOOL, .boolean = boolean });
}

struct rule_items rule_items_add(struct rule_parser *parser, struct rule_items items,
                                 struct rule_node *item)
{
    if (item == NULL || parser->has_failed) {
        return items;
    }
    struct rule_span span = rule_node_span(item);
    if (items.count == RULE_LIST_ITEMS_MAX) {
        rule_fail(
            parser, span,
            str_printf(parser->arena, "a list has at most %d items", (int)RULE_LIST_ITEMS_MAX),
            "a shorter list", NULL);
    } else if (item->type != RULE_TEXT && item->type != RULE_NUMBER) {
        rule_fail(parser, span, STR("a list holds texts or numbers"), "a text or a number", NULL);
    } else if (items.last != NULL && items.last->type != item->type) {
        rule_fail(parser, span,
                  str_printf(parser->arena, "a list is of one kind: this is %s, the first is %s",
                             rule_type_name(item->type), rule_type_name(items.last->type)),
                  rule_type_name(items.last->type), NULL);
    }
    item->left = items.last;
    return (struct rule_items){ item, items.count + 1 };
}

struct rule_node *rule_node_list(struct rule_parser *parser, struct rule_items items,
                                 struct rule_span open, struct rule_span close)
{
    struct rule_span span = { open.start, close.end };
    if (parser->has_failed) {
        return NULL;
    }
    struct rule_value *values = ARENA_NEW_ARRAY(parser->arena, items.count + 1, struct rule_value);
    if (values == NULL) {
        parser->has_failed = true;
        return NULL;
    }
    size_t left = items.count;
    for (const struct rule_node *item = items.last; item != NULL; item = item->left) {
        values[--left] = item->literal;
    }
    assert(left == 0);
    return node_literal(parser, span,
                        (struct rule_value){ .type = RULE_LIST, .list = { values, items.count } });
}

/* --- names and operators --------------------------------------------------- */

struct rule_node *rule_node_name(struct rule_parser *parser, struct rule_span token)
{
    struct rule_node *node = node_add(parser, RULE_OP_NAME, token, 1);
    if (node != NULL) {
        node->name.key = rule_span_text(parser, token); /* until check.c resolves it */
    }
    return node;
}

struct rule_node *rule_node_unary(struct rule_parser *parser, enum rule_op op,
                                  struct rule_span token, struct rule_node *operand)
{
    if (operand == NULL) {
        return NULL;
    }
    if (op == RULE_OP_NEGATE && operand->op == RULE_OP_LITERAL && operand->type == RULE_NUMBER) {
        operand->literal.number = -operand->literal.number;
        operand->start = token.start;
        return operand;
    }
    struct rule_span span = { token.start, operand->end };
    struct rule_node *node = node_add(parser, op, span, height_of(operand) + 1);
    if (node != NULL) {
        node->left = operand;
    }
    return node;
}

struct rule_node *rule_node_binary(struct rule_parser *parser, enum rule_op op,
                                   struct rule_node *left, struct rule_node *right)
{
    if (left == NULL || right == NULL) {
        return NULL;
    }
    uint32_t height = height_of(left) > height_of(right) ? height_of(left) : height_of(right);
    struct rule_span span = { left->start, right->end };
    struct rule_node *node = node_add(parser, op, span, height + 1);
    if (node != NULL) {
        node->left = left;
        node->right = right;
    }
    return node;
}

struct rule_node *rule_node_is_set(struct rule_parser *parser, struct rule_node *operand,
                                   bool is_negated, struct rule_span end)
{
    if (operand == NULL) {
        return NULL;
    }
    struct rule_span start = { operand->start, operand->end };
    struct rule_node *node = rule_node_unary(parser, RULE_OP_IS_SET, start, operand);
    if (node != NULL) {
        node->end = end.end;
    }
    return is_negated ? rule_node_unary(parser, RULE_OP_NOT, start, node) : node;
}

struct rule_node *rule_node_group(struct rule_node *inner, struct rule_span open,
                                  struct rule_span close)
{
    if (inner != NULL) {
        inner->start = open.start;
        inner->end = close.end;
    }
    return inner;
}

/* --- functions ------------------------------------------------------------- */

static const struct rule_function {
    const char *name;
    enum rule_op op;
    enum rule_aggregate aggregate;
} functions[] = {
    { "count", RULE_OP_AGGREGATE, RULE_COUNT },
    { "sum", RULE_OP_AGGREGATE, RULE_SUM },
    { "avg", RULE_OP_AGGREGATE, RULE_AVG },
    { "min", RULE_OP_AGGREGATE, RULE_MIN },
    { "max", RULE_OP_AGGREGATE, RULE_MAX },
    { "distinct", RULE_OP_AGGREGATE, RULE_DISTINCT },
    { "first", RULE_OP_AGGREGATE, RULE_FIRST },
    { "last", RULE_OP_AGGREGATE, RULE_LAST },
    { "max_count", RULE_OP_AGGREGATE, RULE_MAX_COUNT },
    { "age", RULE_OP_AGE, 0 },
    { "age_years", RULE_OP_AGE_YEARS, 0 },
    { "days_until", RULE_OP_DAYS_UNTIL, 0 },
    { "percentile", RULE_OP_PERCENTILE, 0 },
};

/* Words from other languages, and from this one's past. */
static const struct {
    const char *word;
    const char *meant;
} other_functions[] = {
    { "tag", "\"x\" in tags" }, { "segment", "\"x\" in segments" },
    { "tier", "tiers.x" },      { "cnt", "count" },
    { "average", "avg" },       { "mean", "avg" },
    { "total", "sum" },         { "minimum", "min" },
    { "maximum", "max" },       { "unique", "distinct" },
    { "now", "age" },
};

static const struct rule_function *function_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_COUNT(functions); i++) {
        if (str_equal_z(name, functions[i].name)) {
            return &functions[i];
        }
    }
    return NULL;
}

static const char *function_nearest(struct str name)
{
    const char *names[ARRAY_COUNT(functions)];
    for (size_t i = 0; i < ARRAY_COUNT(functions); i++) {
        if (str_equal_nocase_z(name, functions[i].name)) {
            return functions[i].name;
        }
        names[i] = functions[i].name;
    }
    for (size_t i = 0; i < ARRAY_COUNT(other_functions); i++) {
        if (str_equal_nocase_z(name, other_functions[i].word)) {
            return other_functions[i].meant;
        }
    }
    return str_nearest(name, names, ARRAY_COUNT(names));
}

static void fail_function(struct rule_parser *parser, struct rule_span span)
{
    const char *nearest = function_nearest(rule_span_text(parser, span));
    struct str shown = rule_quoted(parser, span, RULE_QUOTE_BYTES_MAX);
    rule_fail(parser, span,
              nearest == NULL
                  ? str_printf(parser->arena, "no function is called \"%.*s\"", STR_ARG(shown))
                  : str_printf(parser->arena, "no function is called \"%.*s\"; did you mean %s?",
                               STR_ARG(shown), nearest),
              "a function", nearest);
}

struct rule_arguments rule_arguments_add(struct rule_arguments arguments,
                                         struct rule_node *argument)
{
    if (arguments.count == 0) {
        arguments.first = argument;
    } else if (arguments.count == 1) {
        arguments.second = argument;
    }
    arguments.count++;
    return arguments;
}

struct rule_aggregation *rule_clauses(struct rule_parser *parser, struct rule_node *where,
                                      struct rule_span by, struct rule_node *within,
                                      struct rule_node *after)
{
    if (parser->has_failed) {
        return NULL;
    }
    struct rule_aggregation *clauses = ARENA_NEW(parser->arena, struct rule_aggregation);
    if (clauses == NULL) {
        parser->has_failed = true;
        return NULL;
    }
    clauses->where = where;
    clauses->by = rule_span_text(parser, by);
    clauses->after = after;
    if (within != NULL) {
        clauses->within_ms = within->literal.ms;
        if (within->literal.ms == 0 || within->literal.ms > RULE_WITHIN_DAYS_MAX * INSTANT_DAY_MS) {
            rule_fail(parser, rule_node_span(within),
                      str_printf(parser->arena, "within takes more than 0 and at most %dd",
                                 (int)RULE_WITHIN_DAYS_MAX),
                      "a duration up to 400d", NULL);
        }
    }
    return clauses;
}

/* "age(name)", "percentile(name, 66.7)": what stands in the parentheses. */
static bool check_arguments(struct rule_parser *parser, const struct rule_function *function,
                            struct rule_span span, struct rule_arguments arguments,
                            const struct rule_aggregation *clauses)
{
    bool is_percentile = function->op == RULE_OP_PERCENTILE;
    bool is_aggregate = function->op == RULE_OP_AGGREGATE;
    const char *form = is_aggregate    ? "an event, or an event and a property"
                       : is_percentile ? "a name and a number, as in percentile(orders.count, 90)"
                                       : "one name";
    if (arguments.count != (is_percentile ? 2 : 1) || arguments.first->op != RULE_OP_NAME) {
        return rule_fail(parser, span,
                         str_printf(parser->arena, "%s takes %s", function->name, form), form,
                         NULL);
    }
    bool has_clause = clauses->where != NULL || clauses->by.size > 0 || clauses->within_ms > 0 ||
                      clauses->after != NULL;
    if (!is_aggregate && has_clause) {
        return rule_fail(parser, span,
                         str_printf(parser->arena, "%s takes %s and no where, by, within or after",
                                    function->name, form),
                         form, NULL);
    }
    if (!is_percentile) {
        return true;
    }
    const struct rule_node *percent = arguments.second;
    if (percent->op != RULE_OP_LITERAL || percent->type != RULE_NUMBER ||
        percent->literal.number <= 0 || percent->literal.number >= 100 * RULE_NUMBER_ONE) {
        return rule_fail(parser, rule_node_span(percent),
                         STR("a percentile is a number between 0 and 100, neither included"),
                         "a number between 0 and 100", NULL);
    }
    return true;
}

struct rule_node *rule_node_call(struct rule_parser *parser, struct rule_span function_span,
                                 struct rule_arguments arguments, struct rule_aggregation *clauses,
                                 struct rule_span close)
{
    if (parser->has_failed || clauses == NULL) {
        return NULL;
    }
    const struct rule_function *function = function_find(rule_span_text(parser, function_span));
    if (function == NULL) {
        fail_function(parser, function_span);
        return NULL;
    }
    struct rule_span span = { function_span.start, close.end };
    if (!check_arguments(parser, function, span, arguments, clauses)) {
        return NULL;
    }
    uint32_t height = height_of(arguments.first);
    height = height_of(clauses->where) > height ? height_of(clauses->where) : height;
    height = height_of(clauses->after) > height ? height_of(clauses->after) : height;
    struct rule_node *node = node_add(parser, function->op, span, height + 1);
    if (node == NULL) {
        return NULL;
    }
    if (function->op == RULE_OP_AGGREGATE) {
        clauses->function = function->aggregate;
        clauses->event_name = arguments.first->name.key; /* until check.c takes it apart */
        node->aggregation = clauses;
        return node;
    }
    node->left = arguments.first;
    if (function->op == RULE_OP_PERCENTILE) {
        node->percent = arguments.second->literal.number;
    }
    return node;
}

/* --- the whole ------------------------------------------------------------- */

/* The start of what is not UTF-8 or NUL; the size when all is well. */
static size_t first_bad_byte(struct str text)
{
    size_t at = 0;
    while (at < text.size) {
        size_t size = 1;
        while (size < 4 && at + size < text.size &&
               ((uint8_t)text.data[at + size] & 0xc0) == 0x80) {
            size++;
        }
        if (!str_is_text(str_take(str_drop(text, at), size))) {
            break;
        }
        at += size;
    }
    return at;
}

static bool check_bytes(struct rule_parser *parser)
{
    struct str text = parser->text;
    if (text.size > RULE_TEXT_BYTES_MAX) {
        uint32_t at = (uint32_t)str_take_text(text, RULE_TEXT_BYTES_MAX).size;
        return rule_fail(parser, (struct rule_span){ at, at },
                         str_printf(parser->arena, "the expression has %zu bytes; %d is the most",
                                    text.size, (int)RULE_TEXT_BYTES_MAX),
                         "a shorter expression", NULL);
    }
    uint32_t at = (uint32_t)first_bad_byte(text);
    if (at == text.size) {
        return true;
    }
    uint8_t byte = (uint8_t)text.data[at];
    rule_fail(parser, (struct rule_span){ at, at + 1 },
              byte == 0 ? STR("the expression holds a NUL character")
                        : str_printf(parser->arena, "the byte 0x%02x is not UTF-8", (unsigned)byte),
              "UTF-8 text", NULL);
    parser->error.found = (struct str){ NULL, 0 }; /* it goes into a JSON answer */
    return false;
}

enum status rule_parse(struct arena *arena, struct str text,
                       const struct rule_vocabulary *vocabulary, struct rule_node **out_root,
                       struct rule_error *out_error)
{
    struct rule_parser parser = { .arena = arena, .text = text, .vocabulary = vocabulary };
    if (check_bytes(&parser)) {
        parser.begin = str_dup_z(arena, text);
        parser.cursor = parser.begin;
        parser.has_failed = parser.begin == NULL;
    }
    if (!parser.has_failed) {
        rule_grammar_run(&parser);
    }
    if (!parser.has_failed) {
        assert(parser.root != NULL);
        (void)rule_check(&parser);
    }
    if (arena_is_full(arena)) {
        return STATUS_LIMIT;
    }
    if (parser.has_failed) {
        assert(parser.has_error);
        *out_error = parser.error;
        return STATUS_INVALID;
    }
    *out_root = parser.root;
    return STATUS_OK;
}
