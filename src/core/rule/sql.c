#include "core/rule/sql.h"

#include "base/instant.h"
#include "base/money.h"

/*
 * Which parts of the language are columns.
 *
 * Invariant: every boolean this file writes is true or false in SQL, on rows full
 * of nulls too: a comparison is wrapped in COALESCE(..., false), "!=" is "is not
 * null, and not equal". An age is turned into a comparison of its instant with a
 * constant, so an index can serve it.
 *
 * Traits and preferences are JSON of any type. They are pushed down where they are
 * tested for being set or compared with a text, and then read as the language reads
 * them: a string as it is, a number rounded to six digits in its shortest form (null
 * beyond 9.2e12), all else as null. Comparing them as numbers or instants is left
 * to the program: SQL's casts take texts that ours refuse.
 *
 * The walk recurses; parse.c bounds the height of trees.
 */

enum {
    PARAMETERS_MAX = RULE_NODES_MAX + RULE_LIST_ITEMS_MAX,
};

struct writer {
    struct arena *arena;
    const struct rule_sql_options *options;
    struct str *parameters;
    size_t parameter_count;
    const struct rule_node *refused; /* the first part that is no column */
};

/* An operand; open ones are jsonb. */
struct operand {
    struct str sql;
    enum rule_type type;
};

static struct str refuse(struct writer *writer, const struct rule_node *node)
{
    if (writer->refused == NULL) {
        writer->refused = node;
    }
    return STR("false");
}

static struct str parameter(struct writer *writer, struct str value, const char *type)
{
    if (writer->parameter_count == PARAMETERS_MAX) {
        return STR("NULL"); /* the caller sees the count */
    }
    writer->parameters[writer->parameter_count] = str_dup(writer->arena, value);
    size_t number = writer->options->first_parameter + writer->parameter_count++;
    return str_printf(writer->arena, "$%zu::%s", number, type);
}

static struct str instant_parameter(struct writer *writer, int64_t ms)
{
    char text[INSTANT_TEXT_SIZE];
    instant_format(ms, text);
    return parameter(writer, str_from_z(text), "timestamptz");
}

/* --- columns ------------------------------------------------------------------ */

static const struct column {
    enum rule_attribute attribute;
    const char *sql;
} columns[] = {
    { RULE_EMAIL, "p.email" },
    { RULE_PHONE, "p.phone" },
    { RULE_EXTERNAL_ID, "p.external_id" },
    { RULE_IDENTIFIED, "p.identified" },
    { RULE_CREATED_AT, "p.created_at" },
    { RULE_FIRST_SEEN_AT, "p.first_seen_at" },
    { RULE_LAST_SEEN_AT, "p.last_seen_at" },
    { RULE_SIGNED_UP_AT, "p.signed_up_at" },
    { RULE_LIFECYCLE, "p.lifecycle" },
    { RULE_ORDERS_COUNT, "p.orders_count::numeric" },
    { RULE_ORDERS_FOREIGN_COUNT, "p.orders_foreign_count::numeric" },
    { RULE_ORDERS_FIRST_AT, "p.orders_first_at" },
    { RULE_ORDERS_LAST_AT, "p.orders_last_at" },
};

/* Amounts, in minor units. */
static const struct column amounts[] = {
    { RULE_ORDERS_REVENUE, "p.orders_gross_minor::numeric" },
    { RULE_ORDERS_NET, "(p.orders_gross_minor - p.orders_refunded_minor)::numeric" },
    { RULE_ORDERS_REFUNDED, "p.orders_refunded_minor::numeric" },
    { RULE_ORDERS_AVERAGE_VALUE,
      "CASE WHEN p.orders_count > p.orders_foreign_count THEN round(p.orders_gross_minor::numeric"
      " / (p.orders_count - p.orders_foreign_count)) END" },
    { RULE_ORDERS_LARGEST_VALUE,
      "CASE WHEN p.orders_count > p.orders_foreign_count THEN p.orders_largest_minor::numeric"
      " END" },
};

static const char *column_of(const struct column *table, size_t count,
                             enum rule_attribute attribute)
{
    for (size_t i = 0; i < count; i++) {
        if (table[i].attribute == attribute) {
            return table[i].sql;
        }
    }
    return NULL;
}

static struct str amount(struct writer *writer, const char *minor)
{
    static const char *const units[] = { "1", "10", "100", "1000", "10000" };
    unsigned decimals = money_decimals(writer->options->currency);
    return str_printf(writer->arena, "(%s / %s)", minor,
                      units[decimals < ARRAY_COUNT(units) ? decimals : ARRAY_COUNT(units) - 1]);
}

/* Addresses are columns of their own, not members of the column traits. */
static bool is_column_trait(struct str key)
{
    return str_equal(key, STR("email")) || str_equal(key, STR("phone")) ||
           str_equal(key, STR("external_id"));
}

static struct str name_sql(struct writer *writer, const struct rule_node *node)
{
    const struct rule_name *name = &node->name;
    const char *column = column_of(columns, ARRAY_COUNT(columns), name->attribute);
    if (column != NULL) {
        return str_from_z(column);
    }
    const char *minor = column_of(amounts, ARRAY_COUNT(amounts), name->attribute);
    if (minor != NULL) {
        return amount(writer, minor);
    }
    struct str key = name->key;
    switch ((int)name->attribute) {
    case RULE_TIER:
        key = parameter(writer, key, "text");
        return str_printf(writer->arena, "(p.tiers ->> %.*s)", STR_ARG(key));
    case RULE_CONSENT:
        key = parameter(writer, key, "text");
        return str_printf(writer->arena, "COALESCE(p.consent ->> %.*s, 'never')", STR_ARG(key));
    case RULE_TRAIT:
        if (is_column_trait(key)) {
            break;
        }
        key = parameter(writer, key, "text");
        return str_printf(writer->arena, "(p.traits -> %.*s)", STR_ARG(key));
    case RULE_PREFERENCE:
        key = parameter(writer, key, "text");
        return str_printf(writer->arena, "(p.preferences -> %.*s)", STR_ARG(key));
    default:
        break;
    }
    return refuse(writer, node);
}

static struct str literal_sql(struct writer *writer, const struct rule_node *node,
                              struct rule_value value)
{
    char text[32];
    switch ((int)value.type) {
    case RULE_NUMBER:
        return parameter(writer, (struct str){ text, rule_number_format(value.number, text) },
                         "numeric");
    case RULE_TEXT:
        return parameter(writer, value.text, "text");
    case RULE_INSTANT:
        return instant_parameter(writer, value.ms);
    case RULE_BOOL:
        return value.boolean ? STR("true") : STR("false");
    default:
        return refuse(writer, node);
    }
}

static struct operand operand_of(struct writer *writer, const struct rule_node *node)
{
    struct operand operand = { .type = node->type };
    if (node->op == RULE_OP_LITERAL) {
        operand.sql = literal_sql(writer, node, node->literal);
    } else if (node->op == RULE_OP_NAME && node->type != RULE_LIST) {
        operand.sql = name_sql(writer, node);
    } else {
        operand.sql = refuse(writer, node);
    }
    return operand;
}

/* --- open values ---------------------------------------------------------------- */

/* A JSON number as the language reads it: rounded, and null beyond its range. */
static struct str open_number(struct writer *writer, struct str json)
{
    return str_printf(writer->arena,
                      "(SELECT n FROM round((%.*s #>> '{}')::numeric, 6) n"
                      " WHERE abs(n) <= 9223372036854.775807)",
                      STR_ARG(json));
}

static struct str open_is_set(struct writer *writer, struct str json)
{
    struct str number = open_number(writer, json);
    return str_printf(writer->arena,
                      "COALESCE(CASE jsonb_typeof(%.*s) WHEN 'number' THEN %.*s IS NOT NULL"
                      " ELSE jsonb_typeof(%.*s) NOT IN ('null', 'object') END, false)",
                      STR_ARG(json), STR_ARG(number), STR_ARG(json));
}

static struct str open_text(struct writer *writer, struct str json)
{
    struct str number = open_number(writer, json);
    return str_printf(writer->arena,
                      "CASE jsonb_typeof(%.*s) WHEN 'string' THEN %.*s #>> '{}'"
                      " WHEN 'number' THEN trim_scale(%.*s)::text END",
                      STR_ARG(json), STR_ARG(json), STR_ARG(number));
}

/* --- comparisons ------------------------------------------------------------------ */

static const char *sql_operator(enum rule_op op)
{
    switch ((int)op) {
    case RULE_OP_EQ:
    case RULE_OP_NE:
        return "=";
    case RULE_OP_LT:
        return "<";
    case RULE_OP_LE:
        return "<=";
    case RULE_OP_GT:
        return ">";
    case RULE_OP_GE:
        return ">=";
    default:
        return NULL;
    }
}

/* Two texts, two numbers, two instants, two bools; never null. */
static struct str compare_sql(struct writer *writer, const struct rule_node *node, struct str left,
                              struct str right, enum rule_type type)
{
    bool is_text = type == RULE_TEXT;
    const char *relation = sql_operator(node->op);
    if (relation != NULL) {
        return str_printf(writer->arena, "COALESCE(%.*s%s %s %.*s, false)", STR_ARG(left),
                          is_text ? " COLLATE \"C\"" : "", relation, STR_ARG(right));
    }
    if (is_text && node->op == RULE_OP_LIKE) {
        return str_printf(
            writer->arena,
            "COALESCE(lower((%.*s) COLLATE \"C\") = lower((%.*s) COLLATE \"C\"), false)",
            STR_ARG(left), STR_ARG(right));
    }
    if (is_text && node->op == RULE_OP_STARTS_WITH) {
        return str_printf(writer->arena, "COALESCE(starts_with(%.*s, %.*s), false)", STR_ARG(left),
                          STR_ARG(right));
    }
    if (is_text && node->op == RULE_OP_CONTAINS) {
        return str_printf(writer->arena, "COALESCE(strpos(%.*s, %.*s) > 0, false)", STR_ARG(left),
                          STR_ARG(right));
    }
    return refuse(writer, node);
}

/* An open side is read as a text; refused when the other is none. */
static bool as_texts(struct writer *writer, const struct rule_node *node, struct operand *left,
                     struct operand *right)
{
    if (left->type == RULE_NULL && right->type == RULE_TEXT) {
        left->sql = open_text(writer, left->sql);
        left->type = RULE_TEXT;
    } else if (right->type == RULE_NULL && left->type == RULE_TEXT) {
        right->sql = open_text(writer, right->sql);
        right->type = RULE_TEXT;
    }
    if (left->type == RULE_NULL || left->type != right->type) {
        (void)refuse(writer, node);
        return false;
    }
    return true;
}

static struct str is_set_sql(struct writer *writer, const struct operand *operand)
{
    return operand->type == RULE_NULL
               ? open_is_set(writer, operand->sql)
               : str_printf(writer->arena, "(%.*s) IS NOT NULL", STR_ARG(operand->sql));
}

static struct str pair_sql(struct writer *writer, const struct rule_node *node)
{
    struct operand left = operand_of(writer, node->left);
    struct operand right = operand_of(writer, node->right);
    bool is_list = node->op == RULE_OP_CONTAINS && left.type == RULE_NULL;
    struct str set = node->op == RULE_OP_NE ? is_set_sql(writer, &left) : (struct str){ 0 };
    if (is_list || !as_texts(writer, node, &left, &right)) {
        return refuse(writer, node);
    }
    struct str compared = compare_sql(writer, node, left.sql, right.sql, left.type);
    return node->op != RULE_OP_NE
               ? compared
               : str_printf(writer->arena, "(%.*s AND NOT %.*s)", STR_ARG(set), STR_ARG(compared));
}

/* The relation of an instant to now - d that an age has to d. */
static const char *age_operator(enum rule_op op)
{
    switch ((int)op) {
    case RULE_OP_EQ:
        return "=";
    case RULE_OP_NE:
        return "<>";
    case RULE_OP_LT:
        return ">";
    case RULE_OP_LE:
        return ">=";
    case RULE_OP_GT:
        return "<";
    case RULE_OP_GE:
        return "<=";
    default:
        return NULL;
    }
}

/* age(x) >= d is x <= now - d. */
static struct str age_sql(struct writer *writer, const struct rule_node *node)
{
    const char *relation = age_operator(node->op);
    struct operand since = operand_of(writer, node->left->left);
    bool is_constant =
        node->right->op == RULE_OP_LITERAL && node->right->literal.type == RULE_DURATION;
    if (since.type != RULE_INSTANT || !is_constant || relation == NULL) {
        return refuse(writer, node);
    }
    struct str edge = instant_parameter(writer, writer->options->at_ms - node->right->literal.ms);
    return str_printf(writer->arena, "COALESCE(%.*s %s %.*s, false)", STR_ARG(since.sql), relation,
                      STR_ARG(edge));
}

static struct str labels_sql(struct writer *writer, const struct rule_node *node)
{
    struct operand item = operand_of(writer, node->left);
    if (item.type != RULE_TEXT) {
        return refuse(writer, node);
    }
    return str_printf(writer->arena, "COALESCE(%.*s = ANY(%s), false)", STR_ARG(item.sql),
                      node->right->name.attribute == RULE_TAGS ? "p.tags" : "p.segments");
}

/* A text among the members of an open list, or equal to an open scalar. */
static struct str open_list_sql(struct writer *writer, const struct rule_node *node)
{
    struct operand item = operand_of(writer, node->left);
    struct operand list = operand_of(writer, node->right);
    if (item.type != RULE_TEXT) {
        return refuse(writer, node);
    }
    struct str member = open_text(writer, STR("e.x"));
    return str_printf(writer->arena,
                      "EXISTS (SELECT 1 FROM (SELECT x FROM jsonb_array_elements(CASE"
                      " jsonb_typeof(%.*s) WHEN 'array' THEN %.*s ELSE jsonb_build_array(%.*s) END)"
                      " m(x) WHERE jsonb_typeof(x) NOT IN ('array', 'object') LIMIT %d) e"
                      " WHERE %.*s = %.*s)",
                      STR_ARG(list.sql), STR_ARG(list.sql), STR_ARG(list.sql), RULE_LIST_ITEMS_MAX,
                      STR_ARG(member), STR_ARG(item.sql));
}

static struct str literal_list_sql(struct writer *writer, const struct rule_node *node)
{
    struct operand item = operand_of(writer, node->left);
    struct rule_value list = node->right->literal;
    struct rule_node equal = { .op = RULE_OP_EQ };
    struct str any = STR("false");
    if (item.type == RULE_NULL) {
        item.sql = open_text(writer, item.sql);
        item.type = RULE_TEXT;
    }
    for (size_t i = 0; i < list.list.count; i++) {
        if (list.list.items[i].type != item.type) {
            return refuse(writer, node);
        }
        struct str value = literal_sql(writer, node, list.list.items[i]);
        struct str one = compare_sql(writer, &equal, item.sql, value, item.type);
        any = str_printf(writer->arena, "%.*s OR %.*s", STR_ARG(any), STR_ARG(one));
    }
    return str_printf(writer->arena, "(%.*s)", STR_ARG(any));
}

static struct str in_sql(struct writer *writer, const struct rule_node *node)
{
    const struct rule_node *list = node->right;
    if (list->op == RULE_OP_LITERAL && list->literal.type == RULE_LIST) {
        return literal_list_sql(writer, node);
    }
    if (list->op == RULE_OP_NAME &&
        (list->name.attribute == RULE_TAGS || list->name.attribute == RULE_SEGMENTS)) {
        return labels_sql(writer, node);
    }
    return list->type == RULE_NULL ? open_list_sql(writer, node) : refuse(writer, node);
}

/* --- conditions -------------------------------------------------------------------- */

static struct str condition(struct writer *writer, const struct rule_node *node)
{
    struct operand operand;
    struct str left;
    struct str right;
    switch (node->op) {
    case RULE_OP_AND:
    case RULE_OP_OR:
        left = condition(writer, node->left);
        right = condition(writer, node->right);
        return str_printf(writer->arena, "(%.*s %s %.*s)", STR_ARG(left),
                          node->op == RULE_OP_AND ? "AND" : "OR", STR_ARG(right));
    case RULE_OP_NOT:
        left = condition(writer, node->left);
        return str_printf(writer->arena, "NOT (%.*s)", STR_ARG(left));
    case RULE_OP_IS_SET:
        operand = operand_of(writer, node->left);
        return is_set_sql(writer, &operand);
    case RULE_OP_LITERAL:
    case RULE_OP_NAME:
        operand = operand_of(writer, node);
        return operand.type == RULE_BOOL ? operand.sql : refuse(writer, node);
    case RULE_OP_IN:
        return in_sql(writer, node);
    case RULE_OP_EQ:
    case RULE_OP_NE:
    case RULE_OP_LT:
    case RULE_OP_LE:
    case RULE_OP_GT:
    case RULE_OP_GE:
    case RULE_OP_LIKE:
    case RULE_OP_CONTAINS:
    case RULE_OP_STARTS_WITH:
        return node->left->op == RULE_OP_AGE ? age_sql(writer, node) : pair_sql(writer, node);
    case RULE_OP_ADD:
    case RULE_OP_SUBTRACT:
    case RULE_OP_MULTIPLY:
    case RULE_OP_DIVIDE:
    case RULE_OP_NEGATE:
    case RULE_OP_AGE:
    case RULE_OP_AGE_YEARS:
    case RULE_OP_DAYS_UNTIL:
    case RULE_OP_PERCENTILE:
    case RULE_OP_AGGREGATE:
        break;
    }
    return refuse(writer, node);
}

enum status rule_sql(struct arena *arena, const struct rule_node *root,
                     const struct rule_sql_options *options, struct rule_sql *out_sql,
                     struct problem *problem)
{
    struct writer writer = {
        .arena = arena,
        .options = options,
        .parameters = ARENA_NEW_ARRAY(arena, PARAMETERS_MAX, struct str),
    };
    if (writer.parameters == NULL) {
        return STATUS_LIMIT;
    }
    struct str text = condition(&writer, root);
    if (writer.refused == NULL && writer.parameter_count == PARAMETERS_MAX) {
        writer.refused = root;
    }
    if (arena_is_full(arena)) {
        return STATUS_LIMIT;
    }
    if (writer.refused != NULL) {
        struct str part = rule_format(arena, writer.refused);
        return problem_set(problem, STATUS_INVALID, "invalid-expression",
                           "%.*s cannot be pushed down", STR_ARG(part));
    }
    *out_sql = (struct rule_sql){ text, writer.parameters, writer.parameter_count };
    return STATUS_OK;
}
