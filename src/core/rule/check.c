#include <assert.h>
#include <string.h>

#include "base/instant.h"
#include "check_priv.h"
#include "core/rule/expression.h"

/*
 * Names and types of a tree, and its normal form.
 *
 * Invariant: a tree that leaves this file can be evaluated on any profile at
 * any instant without an error. What is open (a trait, a property) is
 * converted at run time and is null where it cannot be. Evaluation is told
 * nothing twice: constants stand on the right of comparisons, a list's
 * "contains" is an "in", a day next to an instant is its midnight UTC, and
 * ("FR") after "in" is a list of one.
 *
 * What is refused, and why:
 *   age() computed with: the instant at which a comparison turns would no
 *     longer be exact (correctness 13).
 *   functions and aggregates within "where": a fact is folded once, when it
 *     comes; what depends on the hour or on other facts cannot be.
 *   after first(...): it moves backwards when an older fact comes, and what was
 *     thrown away is needed again (correctness 9).
 *   event.<x> within "where": a feature is shared by all customers and kept from
 *     before the event; a key of its own per event is not there yet.
 *   arithmetic on instants: age() says the same, and exactly.
 *   an open name as a condition: "traits.vip" might be "no"; say "= true".
 *
 * The walk recurses; parse.c bounds the height of what it is given.
 */

static bool check_node(struct check *check, struct rule_node *node);
static bool check_aggregate(struct check *check, struct rule_node *node);

/* --- conditions and numbers ------------------------------------------------ */

static bool require_bool(struct check *check, const struct rule_node *node)
{
    struct arena *arena = check->parser->arena;
    if (node->type == RULE_BOOL) {
        return true;
    }
    struct str text = check_shown(check, node);
    const char *meant = NULL;
    if (node->type == RULE_NULL && node->op == RULE_OP_NAME) {
        meant = str_dup_z(arena, str_printf(arena, "%.*s = true", STR_ARG(text)));
    }
    return check_fail(check, node,
                      str_printf(arena, "%.*s is %s, where true or false is expected",
                                 STR_ARG(text), rule_type_name(node->type)),
                      "a comparison", meant);
}

static bool check_condition(struct check *check, struct rule_node *node)
{
    return check_node(check, node) && require_bool(check, node);
}

static bool check_number(struct check *check, struct rule_node *node)
{
    if (!check_node(check, node)) {
        return false;
    }
    if (node->type == RULE_NUMBER || node->type == RULE_NULL) {
        return true;
    }
    bool is_time =
        node->type == RULE_INSTANT || node->type == RULE_DURATION || node->type == RULE_DATE;
    return check_fail(check, node,
                      str_printf(check->parser->arena,
                                 is_time ? "arithmetic is for numbers and this is %s; compare "
                                           "instants as age(x) with a duration"
                                         : "arithmetic is for numbers and this is %s",
                                 rule_type_name(node->type)),
                      "a number", NULL);
}

/* --- functions ------------------------------------------------------------- */

/* A filter is asked about a customer as he stands, and keeps nothing of his past. */
static bool refuse_in_filter(struct check *check, const struct rule_node *node, const char *what)
{
    if (check->parser->vocabulary->context != RULE_CONTEXT_FILTER) {
        return true;
    }
    return check_fail(check, node,
                      str_printf(check->parser->arena,
                                 "a filter %s; save it as a segment and filter by \"<its name>\" "
                                 "in segments",
                                 what),
                      "a name of the profile or the event", NULL);
}

static bool refuse_in_where(struct check *check, const struct rule_node *node)
{
    if (!check->in_where) {
        return true;
    }
    return check_fail(check, node,
                      STR("within \"where\" stand only properties of the event and constants"),
                      "a property of the counted event", NULL);
}

static bool check_time_function(struct check *check, struct rule_node *node)
{
    if (!refuse_in_where(check, node) || !check_node(check, node->left)) {
        return false;
    }
    enum rule_type type = node->left->type;
    bool takes_date = node->op != RULE_OP_AGE;
    if (type != RULE_INSTANT && type != RULE_NULL && !(takes_date && type == RULE_DATE)) {
        return check_fail(check, node->left,
                          str_printf(check->parser->arena,
                                     "%.*s is %s, where an instant is expected",
                                     STR_ARG(check_shown(check, node->left)), rule_type_name(type)),
                          "an instant", NULL);
    }
    node->type = takes_date ? RULE_NUMBER : RULE_DURATION;
    return true;
}

static bool check_percentile(struct check *check, struct rule_node *node)
{
    if (!refuse_in_where(check, node) ||
        !refuse_in_filter(check, node, "has no percentiles of its own") ||
        !check_node(check, node->left)) {
        return false;
    }
    const struct rule_name_info *info = rule_name_info(node->left->name.attribute);
    if (!info->has_percentile) {
        return check_fail(check, node->left,
                          str_printf(check->parser->arena, "no percentiles are kept of %.*s",
                                     STR_ARG(check_shown(check, node->left))),
                          "orders.count, revenue, net, average_value, largest_value or last_at",
                          NULL);
    }
    node->type = info->type;
    return true;
}

/* --- aggregates ------------------------------------------------------------ */

/* "order.completed.total" -> "order.completed" and "total". */
static void split_event(struct str path, struct str *out_event, struct str *out_property)
{
    ptrdiff_t first = str_find(path, '.', 0);
    ptrdiff_t second = first < 0 ? -1 : str_find(path, '.', (size_t)first + 1);
    *out_event = second < 0 ? path : str_take(path, (size_t)second);
    *out_property = second < 0 ? (struct str){ NULL, 0 } : str_drop(path, (size_t)second + 1);
}

static const char *event_nearest(struct str name)
{
    const char *names[EVENT_TYPE_COUNT];
    size_t count = 0;
    for (int type = EVENT_SESSION_STARTED; type < EVENT_CUSTOM; type++) {
        const struct event_type_info *info = event_type_info((enum event_type)type);
        if (!info->universal) {
            names[count++] = info->name;
        }
    }
    return str_nearest(name, names, count);
}

static bool check_event(struct check *check, struct rule_aggregation *aggregation)
{
    struct str event = { NULL, 0 };
    struct str property = { NULL, 0 };
    split_event(aggregation->event_name, &event, &property);
    enum event_type type = event_type_from_name(event);
    struct rule_span span = rule_span_of(check->parser, event);
    if (type == 0) {
        return check_fail_unknown(check, span, "an event type", event, event_nearest(event));
    }
    if (type != EVENT_CUSTOM && event_type_info(type)->universal) {
        return rule_fail(
            check->parser, span,
            str_printf(check->parser->arena,
                       "%.*s is about the shop, not about a customer; triggers hear it",
                       STR_ARG(event)),
            "an event of customers", NULL);
    }
    aggregation->event_type = type;
    aggregation->event_name = event;
    aggregation->property = property;
    return true;
}

/* Does the function take a property, and of which type? */
static bool check_aggregate_property(struct check *check, const struct rule_node *node,
                                     const char *function)
{
    const struct rule_aggregation *aggregation = node->aggregation;
    enum rule_aggregate kind = aggregation->function;
    struct arena *arena = check->parser->arena;
    bool takes_none = kind == RULE_COUNT || kind == RULE_MAX_COUNT;
    bool takes_number =
        kind == RULE_SUM || kind == RULE_AVG || kind == RULE_MIN || kind == RULE_MAX;
    bool has_property = aggregation->property.size > 0;
    if (takes_none && has_property) {
        return rule_fail(check->parser, rule_span_of(check->parser, aggregation->property),
                         str_printf(arena, "%s counts events and takes no property", function),
                         "an event without a property", kind == RULE_COUNT ? "distinct" : NULL);
    }
    if ((takes_number || kind == RULE_DISTINCT) && !has_property) {
        return rule_fail(check->parser, rule_span_of(check->parser, aggregation->event_name),
                         str_printf(arena, "%s needs a property, as in %s(order.completed.%s)",
                                    function, function, takes_number ? "total" : "channel"),
                         "an event and a property", NULL);
    }
    enum rule_type type = rule_property_type(aggregation->property);
    if (takes_number && type != RULE_NUMBER && type != RULE_NULL) {
        return rule_fail(check->parser, rule_span_of(check->parser, aggregation->property),
                         str_printf(arena, "%s takes a number and %.*s is %s", function,
                                    STR_ARG(aggregation->property), rule_type_name(type)),
                         "a property that is a number", NULL);
    }
    return true;
}

static bool check_by(struct check *check, const struct rule_node *node, const char *function)
{
    const struct rule_aggregation *aggregation = node->aggregation;
    bool takes_by = aggregation->function == RULE_MAX_COUNT;
    if (takes_by && aggregation->by.size == 0) {
        return check_fail(check, node,
                          STR("max_count needs \"by\", as in max_count(product.viewed by category "
                              "within 24h)"),
                          "by and a property", NULL);
    }
    if (!takes_by && aggregation->by.size > 0) {
        return rule_fail(check->parser, rule_span_of(check->parser, aggregation->by),
                         str_printf(check->parser->arena,
                                    "%s takes no \"by\"; max_count counts by a property", function),
                         "an aggregate without by", "max_count");
    }
    return true;
}

static bool is_last_instant(const struct rule_node *node)
{
    return node->op == RULE_OP_AGGREGATE && node->aggregation->function == RULE_LAST &&
           node->type == RULE_INSTANT && node->aggregation->after == NULL;
}

static void to_instant(struct rule_node *node)
{
    if (node->op == RULE_OP_LITERAL && node->type == RULE_DATE) {
        node->literal = rule_value_as(NULL, node->literal, RULE_INSTANT);
        node->type = RULE_INSTANT;
    }
}

static bool check_after(struct check *check, struct rule_node *after)
{
    if (after->op == RULE_OP_AGGREGATE && after->aggregation->function == RULE_FIRST) {
        return check_fail(check, after,
                          STR("first(...) moves backwards when an older event comes in, so nothing "
                              "can be counted after it; use last(...) or an attribute"),
                          "an instant, an attribute or last(...)", "last");
    }
    if (!check_node(check, after)) {
        return false;
    }
    to_instant(after);
    bool is_fixed = after->op == RULE_OP_LITERAL || after->op == RULE_OP_NAME;
    if ((is_fixed && after->type == RULE_INSTANT) || is_last_instant(after)) {
        return true;
    }
    return check_fail(
        check, after,
        STR("after takes an instant: a constant, an attribute such as orders.last_at, "
            "or last(...) of an event without after"),
        "an instant, an attribute or last(...)", NULL);
}

static const char *aggregate_name(enum rule_aggregate function)
{
    static const char *const names[] = {
        [RULE_COUNT] = "count", [RULE_SUM] = "sum",   [RULE_AVG] = "avg",
        [RULE_MIN] = "min",     [RULE_MAX] = "max",   [RULE_DISTINCT] = "distinct",
        [RULE_FIRST] = "first", [RULE_LAST] = "last", [RULE_MAX_COUNT] = "max_count",
    };
    return names[function];
}

static enum rule_type aggregate_type(const struct rule_aggregation *aggregation)
{
    if (aggregation->function != RULE_FIRST && aggregation->function != RULE_LAST) {
        return RULE_NUMBER;
    }
    return aggregation->property.size == 0 ? RULE_INSTANT
                                           : rule_property_type(aggregation->property);
}

static bool check_aggregate(struct check *check, struct rule_node *node)
{
    struct rule_aggregation *aggregation = node->aggregation;
    const char *function = aggregate_name(aggregation->function);
    if (!refuse_in_where(check, node) ||
        !refuse_in_filter(check, node, "counts no events, since it keeps none") ||
        !check_event(check, aggregation) || !check_aggregate_property(check, node, function)) {
        return false;
    }
    if (aggregation->where != NULL) {
        check->in_where = true;
        bool is_good = check_condition(check, aggregation->where);
        check->in_where = false;
        if (!is_good) {
            return false;
        }
    }
    if (!check_by(check, node, function)) {
        return false;
    }
    node->type = aggregate_type(aggregation);
    return aggregation->after == NULL || check_after(check, aggregation->after);
}

/* --- comparisons ----------------------------------------------------------- */

static bool is_max_count(const struct rule_node *node)
{
    return node->op == RULE_OP_AGGREGATE && node->aggregation->function == RULE_MAX_COUNT;
}

/* What may stand only beside a comparison is checked here and nowhere else. */
static bool check_operand(struct check *check, struct rule_node *node)
{
    if (node->op == RULE_OP_AGE) {
        return check_time_function(check, node);
    }
    if (node->op == RULE_OP_PERCENTILE) {
        return check_percentile(check, node);
    }
    return is_max_count(node) ? check_aggregate(check, node) : check_node(check, node);
}

static bool is_ordering(enum rule_op op)
{
    return op == RULE_OP_LT || op == RULE_OP_LE || op == RULE_OP_GT || op == RULE_OP_GE;
}

bool rule_op_is_relation(enum rule_op op)
{
    return op == RULE_OP_EQ || op == RULE_OP_NE || is_ordering(op);
}

enum rule_op rule_op_mirrored(enum rule_op op)
{
    switch (op) {
    case RULE_OP_LT:
        return RULE_OP_GT;
    case RULE_OP_LE:
        return RULE_OP_GE;
    case RULE_OP_GT:
        return RULE_OP_LT;
    case RULE_OP_GE:
        return RULE_OP_LE;
    default:
        return op;
    }
}

static void swap_sides(struct rule_node *node, enum rule_op op)
{
    struct rule_node *left = node->left;
    node->left = node->right;
    node->right = left;
    node->op = op;
}

static void put_constant_right(struct rule_node *node)
{
    bool is_symmetric = rule_op_is_relation(node->op) || node->op == RULE_OP_LIKE;
    bool left_is_literal = node->left->op == RULE_OP_LITERAL;
    bool right_is_literal = node->right->op == RULE_OP_LITERAL;
    bool left_is_threshold =
        node->left->op == RULE_OP_PERCENTILE && node->right->op != RULE_OP_PERCENTILE;
    if (is_symmetric && !right_is_literal && (left_is_literal || left_is_threshold)) {
        swap_sides(node, rule_op_mirrored(node->op));
    }
}

/* The constant as it was probably meant: 3 for "3", "3" for 3, age(x) for an
 * instant beside a duration. NULL. */
static const char *operand_meant(struct check *check, const struct rule_node *node,
                                 enum rule_type wanted)
{
    struct arena *arena = check->parser->arena;
    if (node->op != RULE_OP_LITERAL) {
        return NULL;
    }
    struct str text = rule_span_text(check->parser, rule_node_span(node));
    bool is_better = node->type == RULE_TEXT && wanted != RULE_TEXT &&
                     rule_value_as(arena, node->literal, wanted).type == wanted;
    if (is_better && node->literal.text.size + 2 == text.size) {
        return str_dup_z(arena, node->literal.text);
    }
    if (wanted == RULE_TEXT && node->type == RULE_NUMBER) {
        return str_dup_z(arena, str_printf(arena, "\"%.*s\"", STR_ARG(text)));
    }
    return NULL;
}

static bool fail_types(struct check *check, const struct rule_node *node)
{
    const struct rule_node *left = node->left;
    const struct rule_node *right = node->right;
    struct arena *arena = check->parser->arena;
    struct str left_text = check_shown(check, left);
    if (right->type == RULE_DURATION && left->type != RULE_DURATION) {
        const char *meant = NULL;
        if (left->op == RULE_OP_NAME && left->type == RULE_INSTANT) {
            meant = str_dup_z(arena, str_printf(arena, "age(%.*s)", STR_ARG(left_text)));
        }
        return check_fail(check, left,
                          str_printf(arena, "%.*s is %s; only age(...) is compared with a duration",
                                     STR_ARG(left_text), rule_type_name(left->type)),
                          "age(...)", meant);
    }
    const char *meant = operand_meant(check, right, left->type);
    return check_fail(check, right,
                      str_printf(arena, "%.*s is %s and %.*s is %s", STR_ARG(left_text),
                                 rule_type_name(left->type), STR_ARG(check_shown(check, right)),
                                 rule_type_name(right->type)),
                      rule_type_name(left->type), meant);
}

static bool check_age(struct check *check, const struct rule_node *node)
{
    const struct rule_node *right = node->right;
    if (node->left->op == RULE_OP_AGE && rule_op_is_relation(node->op) &&
        right->op == RULE_OP_LITERAL && right->type == RULE_DURATION) {
        return true;
    }
    const struct rule_node *wrong = node->left->op == RULE_OP_AGE ? right : node->left;
    return check_fail(check, wrong,
                      STR("age(...) is compared with a duration, as in age(last_seen_at) > 30d"),
                      "a duration", NULL);
}

static bool check_max_count(struct check *check, const struct rule_node *node)
{
    bool is_constant = node->right->op == RULE_OP_LITERAL && node->right->type == RULE_NUMBER;
    if (is_max_count(node->left) && rule_op_is_relation(node->op) && is_constant) {
        return true;
    }
    return check_fail(check, is_max_count(node->left) ? node->right : node->left,
                      STR("max_count is compared with a number written out"), "a number", NULL);
}

static bool check_relation(struct check *check, struct rule_node *node)
{
    struct rule_node *left = node->left;
    struct rule_node *right = node->right;
    if (left->type == RULE_INSTANT) {
        to_instant(right);
    }
    if (left->type == RULE_LIST || right->type == RULE_LIST) {
        return check_fail(check, left->type == RULE_LIST ? left : right,
                          STR("a list is asked with \"in\" or \"contains\""), "one value",
                          left->type == RULE_LIST ? "contains" : "in");
    }
    bool is_open = left->type == RULE_NULL || right->type == RULE_NULL;
    if (right->type == RULE_DURATION || left->type == RULE_DURATION ||
        (left->type != right->type && !is_open)) {
        return fail_types(check, node);
    }
    if (is_ordering(node->op) && (left->type == RULE_BOOL || right->type == RULE_BOOL)) {
        return check_fail(check, left->type == RULE_BOOL ? left : right,
                          STR("true and false have no order"), "= or !=", "=");
    }
    return true;
}

static bool is_text_like(const struct rule_node *node)
{
    return node->type == RULE_TEXT || node->type == RULE_NULL;
}

/* ~= and starts_with. */
static bool check_text_relation(struct check *check, struct rule_node *node)
{
    struct rule_node *wrong = !is_text_like(node->left)    ? node->left
                              : !is_text_like(node->right) ? node->right
                                                           : NULL;
    if (wrong == NULL) {
        return true;
    }
    return check_fail(check, wrong,
                      str_printf(check->parser->arena, "%.*s is %s; %s compares texts",
                                 STR_ARG(check_shown(check, wrong)), rule_type_name(wrong->type),
                                 node->op == RULE_OP_LIKE ? "~=" : "starts_with"),
                      "a text", operand_meant(check, wrong, RULE_TEXT));
}

/* The type of a list's items; null: of either kind. */
static enum rule_type item_type(const struct rule_node *list)
{
    if (list->type != RULE_LIST) {
        return RULE_NULL;
    }
    if (list->op != RULE_OP_LITERAL) {
        return RULE_TEXT;
    }
    return list->literal.list.count == 0 ? RULE_NULL : list->literal.list.items[0].type;
}

static bool check_rule_in(struct check *check, const struct rule_node *item,
                          const struct rule_node *list)
{
    bool is_tags = list->op == RULE_OP_NAME && list->name.attribute == RULE_TAGS;
    bool is_segments = list->op == RULE_OP_NAME && list->name.attribute == RULE_SEGMENTS;
    if (item->op != RULE_OP_LITERAL || (!is_tags && !is_segments)) {
        return true;
    }
    enum rule_kind kind = is_tags ? RULE_KIND_TAG : RULE_KIND_SEGMENT;
    struct str name = item->literal.text;
    if (check_known(check, name, kind) != NULL) {
        return true;
    }
    return check_fail_unknown(check, rule_node_span(item), is_tags ? "a tag" : "a segment", name,
                              check_known_nearest(check, name, kind));
}

/* An item against a list or what may be one at run time. */
static bool check_member(struct check *check, const struct rule_node *item,
                         const struct rule_node *list)
{
    struct arena *arena = check->parser->arena;
    enum rule_type wanted = item_type(list);
    bool is_scalar =
        item->type == RULE_TEXT || item->type == RULE_NUMBER || item->type == RULE_NULL;
    bool is_fitting = wanted == RULE_NULL || item->type == RULE_NULL || item->type == wanted;
    if (is_scalar && is_fitting) {
        return check_rule_in(check, item, list);
    }
    if (item->type == RULE_LIST) {
        return check_fail(check, item,
                          STR("a list is not in a list; ask for each item, joined with \"or\""),
                          "a text or a number", NULL);
    }
    const char *expected = wanted == RULE_NULL ? "a text or a number" : rule_type_name(wanted);
    return check_fail(check, item,
                      str_printf(arena, "%.*s is %s; the list holds %s",
                                 STR_ARG(check_shown(check, item)), rule_type_name(item->type),
                                 wanted == RULE_NULL     ? "texts or numbers"
                                 : wanted == RULE_NUMBER ? "numbers"
                                                         : "texts"),
                      expected, operand_meant(check, item, wanted));
}

/* ("FR") after "in" is a list of one: what people write who drop an item. */
static bool group_to_list(struct check *check, struct rule_node *node)
{
    bool is_group = check->parser->text.data[node->start] == '(';
    bool is_item = node->type == RULE_TEXT || node->type == RULE_NUMBER;
    if (node->op != RULE_OP_LITERAL || !is_group || !is_item) {
        return true;
    }
    struct rule_value *item = ARENA_NEW(check->parser->arena, struct rule_value);
    if (item == NULL) {
        check->parser->has_failed = true;
        return false;
    }
    *item = node->literal;
    node->literal = (struct rule_value){ .type = RULE_LIST, .list = { item, 1 } };
    node->type = RULE_LIST;
    return true;
}

static bool check_in(struct check *check, struct rule_node *node)
{
    if (!group_to_list(check, node->right)) {
        return false;
    }
    struct arena *arena = check->parser->arena;
    const struct rule_node *list = node->right;
    if (list->type == RULE_LIST || (list->type == RULE_NULL && list->op == RULE_OP_NAME)) {
        return check_member(check, node->left, list);
    }
    const char *meant = NULL;
    if (list->op == RULE_OP_LITERAL && (list->type == RULE_TEXT || list->type == RULE_NUMBER)) {
        meant = str_dup_z(arena, str_printf(arena, "[%.*s]", STR_ARG(check_shown(check, list))));
    }
    return check_fail(check, list,
                      str_printf(arena, "%.*s is %s, where a list is expected",
                                 STR_ARG(check_shown(check, list)), rule_type_name(list->type)),
                      "a list", meant);
}

static bool check_contains(struct check *check, struct rule_node *node)
{
    const struct rule_node *left = node->left;
    if (left->type == RULE_LIST) {
        swap_sides(node, RULE_OP_IN);
        return check_member(check, node->left, node->right);
    }
    if (left->type == RULE_NULL) {
        return check_member(check, node->right, left);
    }
    if (left->type == RULE_TEXT && is_text_like(node->right)) {
        return true;
    }
    const struct rule_node *wrong = left->type == RULE_TEXT ? node->right : left;
    return check_fail(
        check, wrong,
        str_printf(check->parser->arena,
                   "%.*s is %s; contains asks a list for an item or a text for a part",
                   STR_ARG(check_shown(check, wrong)), rule_type_name(wrong->type)),
        wrong == left ? "a list or a text" : "a text", operand_meant(check, wrong, RULE_TEXT));
}

static bool check_comparison(struct check *check, struct rule_node *node)
{
    if (!check_operand(check, node->left) || !check_operand(check, node->right)) {
        return false;
    }
    node->type = RULE_BOOL;
    put_constant_right(node);
    if (node->left->op == RULE_OP_AGE || node->right->op == RULE_OP_AGE) {
        return check_age(check, node);
    }
    if (is_max_count(node->left) || is_max_count(node->right)) {
        return check_max_count(check, node);
    }
    if (rule_op_is_relation(node->op)) {
        return check_relation(check, node);
    }
    if (node->op == RULE_OP_IN) {
        return check_in(check, node);
    }
    return node->op == RULE_OP_CONTAINS ? check_contains(check, node)
                                        : check_text_relation(check, node);
}

static bool check_is_set(struct check *check, struct rule_node *node)
{
    const struct rule_node *left = node->left;
    bool can_be =
        left->op == RULE_OP_NAME || (left->op == RULE_OP_AGGREGATE && !is_max_count(left));
    if (!can_be) {
        return check_fail(check, left,
                          STR("\"is set\" asks a name, or an aggregate other than max_count"),
                          "a name or an aggregate", NULL);
    }
    node->type = RULE_BOOL;
    return check_node(check, node->left);
}

/* age, percentile, max_count where nothing is compared with them. */
static bool fail_alone(struct check *check, const struct rule_node *node)
{
    struct str detail = STR("max_count is compared with a number written out");
    if (node->op == RULE_OP_AGE) {
        detail = STR("age(...) is compared with a duration, as in age(last_seen_at) > 30d");
    } else if (node->op == RULE_OP_PERCENTILE) {
        detail = STR("a percentile is compared with, as in orders.revenue >= "
                     "percentile(orders.revenue, 90), and never computed with");
    }
    return check_fail(check, node, detail, "a comparison", NULL);
}

static bool check_node(struct check *check, struct rule_node *node)
{
    switch (node->op) {
    case RULE_OP_LITERAL:
        return true;
    case RULE_OP_NAME:
        return check_name(check, node);
    case RULE_OP_AND:
    case RULE_OP_OR:
        node->type = RULE_BOOL;
        return check_condition(check, node->left) && check_condition(check, node->right);
    case RULE_OP_NOT:
        node->type = RULE_BOOL;
        return check_condition(check, node->left);
    case RULE_OP_EQ:
    case RULE_OP_NE:
    case RULE_OP_LT:
    case RULE_OP_LE:
    case RULE_OP_GT:
    case RULE_OP_GE:
    case RULE_OP_LIKE:
    case RULE_OP_IN:
    case RULE_OP_CONTAINS:
    case RULE_OP_STARTS_WITH:
        return check_comparison(check, node);
    case RULE_OP_IS_SET:
        return check_is_set(check, node);
    case RULE_OP_ADD:
    case RULE_OP_SUBTRACT:
    case RULE_OP_MULTIPLY:
    case RULE_OP_DIVIDE:
        node->type = RULE_NUMBER;
        return check_number(check, node->left) && check_number(check, node->right);
    case RULE_OP_NEGATE:
        node->type = RULE_NUMBER;
        return check_number(check, node->left);
    case RULE_OP_AGE_YEARS:
    case RULE_OP_DAYS_UNTIL:
        return check_time_function(check, node);
    case RULE_OP_AGE:
    case RULE_OP_PERCENTILE:
        return fail_alone(check, node);
    case RULE_OP_AGGREGATE:
        return is_max_count(node) ? fail_alone(check, node) : check_aggregate(check, node);
    }
    assert(false);
    return false;
}

bool rule_check(struct rule_parser *parser)
{
    struct check check = { .parser = parser };
    return check_condition(&check, parser->root);
}
