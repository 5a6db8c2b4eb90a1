#include "core/event/event.h"
#include "rule_priv.h"

/*
 * GET /v1/names: every word that an expression may use, and how they go
 * together. One answer is enough to write a rule, or to build an editor that
 * completes one: names with their types, this workspace's rules and values,
 * events with their typed properties, functions, operators, the grammar.
 */

/* As include/core/rule/expression.h has it; tests/lint/test_grammar.py
 * compares. */
static const char GRAMMAR[] =
    "expression = or\n"
    "or         = and { \"or\" and }\n"
    "and        = not { \"and\" not }\n"
    "not        = \"not\" not | comparison\n"
    "comparison = sum [ ( \"=\" | \"!=\" | \"<\" | \"<=\" | \">\" | \">=\" | \"~=\" | \"in\"\n"
    "                   | \"contains\" | \"starts_with\" ) sum\n"
    "                 | \"is\" [ \"not\" ] \"set\" ]\n"
    "sum        = product { ( \"+\" | \"-\" ) product }\n"
    "product    = unary { ( \"*\" | \"/\" ) unary }\n"
    "unary      = \"-\" unary | primary\n"
    "primary    = literal | list | name | function | aggregate | \"(\" expression \")\"\n"
    "literal    = text | number | duration | instant | \"true\" | \"false\"\n"
    "list       = \"(\" literal \",\" literal { \",\" literal } \")\" | \"[\" [ literal { \",\" "
    "literal } ] \"]\"\n"
    "function   = \"age\" \"(\" name \")\" | \"age_years\" \"(\" name \")\" | \"days_until\" \"(\" "
    "name \")\"\n"
    "           | \"percentile\" \"(\" name \",\" number \")\"\n"
    "aggregate  = ( \"count\" | \"sum\" | \"avg\" | \"min\" | \"max\" | \"distinct\" | \"first\" | "
    "\"last\"\n"
    "             | \"max_count\" ) \"(\" event [ \".\" property ] [ \"where\" expression ]\n"
    "             [ \"by\" property ] [ \"within\" duration ] [ \"after\" operand ] \")\"\n"
    "event      = word \".\" word          (an event type of contract 2, or custom.<name>)\n"
    "name       = word { \".\" word }      property = word { \".\" word }\n"
    "text       = '\"' characters '\"'     with \\\" \\\\ \\n \\t\n"
    "duration   = digits ( \"s\" | \"m\" | \"h\" | \"d\" | \"w\" )\n"
    "instant    = \"2026-11-22\" | \"2026-11-22T14:03:07Z\" and the like, unquoted\n"
    "comment    = \"#\" to the end of the line\n";

static const char *const TYPES[] = {
    [RULE_NULL] = "any",  [RULE_BOOL] = "boolean",    [RULE_NUMBER] = "number",
    [RULE_TEXT] = "text", [RULE_INSTANT] = "instant", [RULE_DURATION] = "duration",
    [RULE_DATE] = "date", [RULE_LIST] = "list",
};

/* Contract 2's typed core; what else a sender adds is there too, untyped. */
static const char *const PROPERTIES[] = {
    "product_id",
    "variant_id",
    "sku",
    "name",
    "category",
    "brand",
    "price",
    "compare_at_price",
    "quantity",
    "currency",
    "url",
    "image_url",
    "in_stock",
    "order_id",
    "number",
    "total",
    "net",
    "subtotal",
    "discount",
    "shipping",
    "tax",
    "revenue",
    "coupon",
    "channel",
    "location",
    "query",
    "cart_id",
    "checkout_id",
    "recovery_url",
    "occurred_at",
    "context.platform",
    "context.locale",
    "context.page_url",
    "context.referrer",
    "context.campaign.source",
    "context.campaign.medium",
    "context.campaign.name",
};

static const struct {
    const char *name;
    const char *usage;
    const char *title;
} FUNCTIONS[] = {
    { "age", "age(last_seen_at) > 60d", "How long ago; compared directly with a duration" },
    { "age_years", "age_years(traits.birth_date) >= 18", "Whole years since a date" },
    { "days_until", "days_until(traits.birth_date) <= 7", "Days until a date comes round again" },
    { "percentile", "orders.revenue >= percentile(orders.revenue, 90)",
      "The threshold that so many percent of all customers do not exceed" },
    { "count", "count(product.viewed where category = \"Shoes\" within 24h) >= 3",
      "How many events" },
    { "sum", "sum(order.completed.total within 90d) > 500", "Sum of a property" },
    { "avg", "avg(order.completed.total within 365d) > 80", "Average of a property" },
    { "min", "min(order.completed.total) >= 20", "Least value of a property" },
    { "max", "max(order.completed.total) >= 200", "Greatest value of a property" },
    { "distinct", "distinct(product.viewed.product_id within 7d) >= 5", "How many values" },
    { "first", "first(order.completed) < 2025-01-01", "The first event's instant, or property" },
    { "last", "last(product.viewed.category) = \"Shoes\"",
      "The last event's instant, or property" },
    { "max_count", "max_count(product.viewed by category within 24h) >= 3",
      "The most events that share a key" },
};

static const char *const OPERATORS[] = {
    "and", "or",       "not",         "=",      "!=",         "<", "<=", ">", ">=", "~=",
    "in",  "contains", "starts_with", "is set", "is not set", "+", "-",  "*", "/",
};

/* Names of the event and the transition in filters and triggers; of a product and the
 * interest in it in triggers. */
static bool exists_in(const struct rule_name_info *info, struct str context)
{
    if (info->part == RULE_PART_INTEREST) {
        return str_equal(context, STR("trigger"));
    }
    return (1u << info->part & RULE_PARTS_TOLD) == 0 || !str_equal(context, STR("rule"));
}

static void write_names(struct jsonw *json, struct str context)
{
    jsonw_key(json, "names");
    jsonw_open_array(json);
    for (size_t i = 0; rule_name_at(i) != NULL; i++) {
        const struct rule_name_info *info = rule_name_at(i);
        if (!exists_in(info, context)) {
            continue;
        }
        jsonw_open(json);
        jsonw_put_z(json, "name", info->path);
        jsonw_put_z(json, "title", info->title);
        jsonw_put_z(json, "type", TYPES[info->type]);
        jsonw_put_bool(json, "percentile", info->has_percentile);
        jsonw_put_bool(json, "time_moves", info->time_moves);
        jsonw_close(json);
    }
    jsonw_close_array(json);
}

static void write_properties(struct jsonw *json)
{
    jsonw_key(json, "properties");
    jsonw_open_array(json);
    for (size_t i = 0; i < ARRAY_COUNT(PROPERTIES); i++) {
        jsonw_open(json);
        jsonw_put_z(json, "name", PROPERTIES[i]);
        jsonw_put_z(json, "type", TYPES[rule_property_type(str_from_z(PROPERTIES[i]))]);
        jsonw_close(json);
    }
    jsonw_close_array(json);
}

static void write_events(struct jsonw *json)
{
    jsonw_key(json, "events");
    jsonw_open_array(json);
    for (int type = 1; type < EVENT_TYPE_COUNT; type++) {
        const struct event_type_info *info = event_type_info((enum event_type)type);
        if (info->universal) {
            continue;
        }
        jsonw_open(json);
        jsonw_put_z(json, "name", type == EVENT_CUSTOM ? "custom.<name>" : info->name);
        jsonw_put_z(json, "title", info->title);
        jsonw_put_bool(json, "act", info->act);
        jsonw_close(json);
    }
    jsonw_close_array(json);
    write_properties(json);
}

static void write_words(struct jsonw *json)
{
    jsonw_key(json, "functions");
    jsonw_open_array(json);
    for (size_t i = 0; i < ARRAY_COUNT(FUNCTIONS); i++) {
        jsonw_open(json);
        jsonw_put_z(json, "name", FUNCTIONS[i].name);
        jsonw_put_z(json, "title", FUNCTIONS[i].title);
        jsonw_put_z(json, "example", FUNCTIONS[i].usage);
        jsonw_close(json);
    }
    jsonw_close_array(json);
    jsonw_key(json, "operators");
    jsonw_open_array(json);
    for (size_t i = 0; i < ARRAY_COUNT(OPERATORS); i++) {
        jsonw_z(json, OPERATORS[i]);
    }
    jsonw_close_array(json);
    jsonw_put_z(json, "grammar", GRAMMAR);
}

static void write_rules(struct jsonw *json, const struct rule_row *rows, size_t count)
{
    jsonw_key(json, "rules");
    jsonw_open_array(json);
    for (size_t i = 0; i < count; i++) {
        const struct rule_definition *definition = &rows[i].definition;
        if (!definition->enabled) {
            continue;
        }
        jsonw_open(json);
        jsonw_put_str(json, "name", definition->name);
        jsonw_put_z(json, "kind", rule_kind_name(definition->kind));
        jsonw_put_str(json, "title", definition->title);
        jsonw_key(json, "values");
        jsonw_open_array(json);
        for (size_t c = 0; c < definition->case_count; c++) {
            if (definition->cases[c].value.size > 0) {
                jsonw_str(json, definition->cases[c].value);
            }
        }
        jsonw_close_array(json);
        jsonw_close(json);
    }
    jsonw_close_array(json);
}

enum status resource_name_list(const struct resource_request *request,
                               struct resource_answer *out_answer, struct problem *problem)
{
    struct str context = request->context.size > 0 ? request->context : STR("rule");
    bool is_rule = str_equal(context, STR("rule"));
    if (!is_rule && !str_equal(context, STR("trigger")) && !str_equal(context, STR("filter"))) {
        enum status status = problem_set(problem, STATUS_INVALID, "invalid-field",
                                         "context is rule, trigger or filter");
        problem_point(problem, "#/query/context");
        return status;
    }
    struct rule_row *rows = NULL;
    size_t count = 0;
    enum status status =
        rule_store_list(request->pg, request->arena, request->principal->workspace_id, STR(""),
                        RULESET_RULES_MAX, &rows, &count, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_str(&json, "context", context);
    write_names(&json, context);
    write_rules(&json, rows, count);
    write_events(&json);
    write_words(&json);
    jsonw_close(&json);
    return resource_answer_set(&buf, RESOURCE_SHOWN, 0, out_answer, problem);
}
