#include <jansson.h>

#include "api/mask.h"
#include "base/instant.h"
#include "explain_priv.h"

/*
 * A rule's tree with the value of each part.
 *
 * Each node is evaluated by itself, as the program would: so what is shown is
 * what decided, not a second reading of the text. Places are bytes of the text
 * as it was written.
 *
 * The walk recurses; parse.c bounds the height of trees.
 */

/* --- values ----------------------------------------------------------------- */

static void write_date(struct jsonw *json, int64_t days)
{
    int year = 0;
    int month = 0;
    int day = 0;
    char text[32];
    instant_civil_from_days(days, &year, &month, &day);
    (void)snprintf(text, sizeof(text), "%04d-%02d-%02d", year, month, day);
    jsonw_z(json, text);
}

static void write_scalar(struct jsonw *json, struct rule_value value)
{
    char text[32];
    switch (value.type) {
    case RULE_BOOL:
        jsonw_bool(json, value.boolean);
        return;
    case RULE_NUMBER:
        jsonw_raw(json, (struct str){ text, rule_number_format(value.number, text) });
        return;
    case RULE_TEXT:
        jsonw_str(json, value.text);
        return;
    case RULE_INSTANT:
        jsonw_instant(json, value.ms);
        return;
    case RULE_DURATION:
        duration_format(value.ms, text);
        jsonw_z(json, text);
        return;
    case RULE_DATE:
        write_date(json, value.days);
        return;
    case RULE_NULL:
    case RULE_LIST:
        break;
    }
    jsonw_null(json);
}

/* Numbers as numbers, durations as text. */
static void write_value(struct jsonw *json, struct rule_value value)
{
    if (value.type != RULE_LIST) {
        write_scalar(json, value);
        return;
    }
    jsonw_open_array(json);
    for (size_t i = 0; i < value.list.count; i++) {
        write_scalar(json, value.list.items[i]);
    }
    jsonw_close_array(json);
}

/* The name by which the mask knows whether a value is personal; empty: it is
 * none of the customer's. */
static struct str personal_key(const struct rule_node *node)
{
    struct str key = { NULL, 0 };
    if (node->op == RULE_OP_AGGREGATE) {
        key = node->aggregation->property;
    } else if (node->op == RULE_OP_NAME) {
        switch ((int)node->name.attribute) {
        case RULE_EMAIL:
            return STR("email");
        case RULE_PHONE:
            return STR("phone");
        case RULE_TRAIT:
        case RULE_PREFERENCE:
            key = node->name.key;
            break;
        default:
            break;
        }
    }
    for (ptrdiff_t dot = str_find(key, '.', 0); dot >= 0; dot = str_find(key, '.', 0)) {
        key = str_drop(key, (size_t)dot + 1);
    }
    return key;
}

/* The value under its name through the mask that profiles and events go
 * through. */
static void write_masked(struct jsonw *json, struct arena *arena, struct str key,
                         struct rule_value value)
{
    struct buf buf;
    struct jsonw inner;
    buf_init(&buf, arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&inner, &buf);
    jsonw_open(&inner);
    jsonw_key_str(&inner, key);
    write_value(&inner, value);
    jsonw_close(&inner);
    struct str masked = mask_json(arena, buf_str(&buf));
    json_t *root = json_loadb(masked.data, masked.size, 0, NULL);
    char *text =
        json_dumps(json_object_iter_value(json_object_iter(root)), JSON_COMPACT | JSON_ENCODE_ANY);
    jsonw_raw(json, str_dup(arena, str_from_z(text)));
    free(text);
    json_decref(root);
}

/* --- nodes ------------------------------------------------------------------ */

static const char *op_name(const struct rule_node *node)
{
    static const char *const ops[] = {
        [RULE_OP_LITERAL] = "literal",
        [RULE_OP_NAME] = "name",
        [RULE_OP_AND] = "and",
        [RULE_OP_OR] = "or",
        [RULE_OP_NOT] = "not",
        [RULE_OP_EQ] = "=",
        [RULE_OP_NE] = "!=",
        [RULE_OP_LT] = "<",
        [RULE_OP_LE] = "<=",
        [RULE_OP_GT] = ">",
        [RULE_OP_GE] = ">=",
        [RULE_OP_LIKE] = "~=",
        [RULE_OP_IN] = "in",
        [RULE_OP_CONTAINS] = "contains",
        [RULE_OP_STARTS_WITH] = "starts_with",
        [RULE_OP_IS_SET] = "is set",
        [RULE_OP_ADD] = "+",
        [RULE_OP_SUBTRACT] = "-",
        [RULE_OP_MULTIPLY] = "*",
        [RULE_OP_DIVIDE] = "/",
        [RULE_OP_NEGATE] = "-",
        [RULE_OP_AGE] = "age",
        [RULE_OP_AGE_YEARS] = "age_years",
        [RULE_OP_DAYS_UNTIL] = "days_until",
        [RULE_OP_PERCENTILE] = "percentile",
    };
    static const char *const aggregates[] = {
        [RULE_COUNT] = "count", [RULE_SUM] = "sum",   [RULE_AVG] = "avg",
        [RULE_MIN] = "min",     [RULE_MAX] = "max",   [RULE_DISTINCT] = "distinct",
        [RULE_FIRST] = "first", [RULE_LAST] = "last", [RULE_MAX_COUNT] = "max_count",
    };
    return node->op == RULE_OP_AGGREGATE ? aggregates[node->aggregation->function] : ops[node->op];
}

static struct rule_value value_of(struct explain *explain, const struct rule_node *node,
                                  int64_t *out_until_ms, bool *out_at_least)
{
    return rule_evaluate_node(explain->request->arena, explain->program, node, &explain->subject,
                              explain->moment->at_ms, out_until_ms, out_at_least);
}

/* From when on facts are counted, exclusive; INSTANT_NONE: all are. */
static int64_t window_start(struct explain *explain, const struct rule_aggregation *what)
{
    int64_t start_ms = INSTANT_NONE;
    if (what->within_ms > 0) {
        start_ms = explain->moment->at_ms - what->within_ms;
    }
    if (what->after != NULL) {
        struct rule_value after = value_of(explain, what->after, NULL, NULL);
        if (after.type == RULE_INSTANT && after.ms > start_ms) {
            start_ms = after.ms;
        }
    }
    return start_ms;
}

static void write_aggregate(struct jsonw *json, struct explain *explain,
                            const struct rule_node *node, bool at_least)
{
    int64_t start_ms = window_start(explain, node->aggregation);
    jsonw_put_bool(json, "at_least", at_least);
    jsonw_put_instant(json, "window_start", start_ms);
    explain_write_events(json, explain, node->aggregation, start_ms);
}

static void write_node_value(struct jsonw *json, struct explain *explain,
                             const struct rule_node *node, struct rule_value value)
{
    struct str key = explain->is_masked ? personal_key(node) : (struct str){ NULL, 0 };
    jsonw_key(json, "value");
    if (key.size > 0 && value.type != RULE_NULL) {
        write_masked(json, explain->request->arena, key, value);
    } else {
        write_value(json, value);
    }
}

void explain_write_tree(struct jsonw *json, struct explain *explain, const struct rule_node *node)
{
    int64_t until_ms = INSTANT_NEVER;
    bool at_least = false;
    struct rule_value value = value_of(explain, node, &until_ms, &at_least);
    jsonw_open(json);
    jsonw_put_str(json, "text",
                  str_take(str_drop(explain->text, node->start), node->end - node->start));
    jsonw_put_i64(json, "start", node->start);
    jsonw_put_i64(json, "end", node->end);
    jsonw_put_z(json, "op", op_name(node));
    write_node_value(json, explain, node, value);
    if (until_ms != INSTANT_NEVER) {
        jsonw_put_instant(json, "until", until_ms);
    }
    if (node->op == RULE_OP_AGGREGATE) {
        write_aggregate(json, explain, node, at_least);
    }
    jsonw_key(json, "args");
    jsonw_open_array(json);
    if (node->left != NULL) {
        explain_write_tree(json, explain, node->left);
    }
    if (node->right != NULL) {
        explain_write_tree(json, explain, node->right);
    }
    jsonw_close_array(json);
    jsonw_close(json);
}
