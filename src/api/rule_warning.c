#include "base/limits.h"
#include "rule_priv.h"
#include "store/rule_seen.h"

/*
 * What a saved rule asks for and nobody has sent of late.
 *
 * A warning, never a refusal: rules are written before the pixel is installed.
 * The tree of each case is walked for its aggregates and the properties they
 * name; those that stand in columns of their own (amounts, product, category)
 * are left out, since every source fills them where it can.
 */

enum {
    QUESTIONS_MAX = 64,
    STACK_MAX = RULE_NODES_MAX + 1
};

struct asking {
    struct rule_seen_question questions[QUESTIONS_MAX];
    size_t count;
};

static const char *const COLUMNS[] = {
    "product_id", "category", "currency", "total", "revenue", "net", "order_id", "occurred_at",
};

static bool is_column(struct str property)
{
    for (size_t i = 0; i < ARRAY_COUNT(COLUMNS); i++) {
        if (str_equal_z(property, COLUMNS[i])) {
            return true;
        }
    }
    return false;
}

static void ask(struct asking *asking, struct str event, struct str property)
{
    if (is_column(property) || asking->count == QUESTIONS_MAX) {
        return;
    }
    for (size_t i = 0; i < asking->count; i++) {
        if (str_equal(asking->questions[i].event, event) &&
            str_equal(asking->questions[i].property, property)) {
            return;
        }
    }
    asking->questions[asking->count++] =
        (struct rule_seen_question){ .event = event, .property = property };
}

/* Nodes to look at, without recursion; a tree has RULE_NODES_MAX at most. */
struct walk {
    const struct rule_node *nodes[STACK_MAX];
    size_t count;
};

static void push(struct walk *walk, const struct rule_node *node)
{
    if (node != NULL && walk->count < STACK_MAX) {
        walk->nodes[walk->count++] = node;
    }
}

static void ask_where(struct asking *asking, struct str event, const struct rule_node *where)
{
    struct walk walk = { .count = 0 };
    push(&walk, where);
    while (walk.count > 0) {
        const struct rule_node *node = walk.nodes[--walk.count];
        if (node->op == RULE_OP_NAME && node->name.attribute == RULE_PROPERTY) {
            ask(asking, event, node->name.key);
        }
        push(&walk, node->left);
        push(&walk, node->right);
    }
}

static void ask_tree(struct asking *asking, const struct rule_node *root)
{
    struct walk walk = { .count = 0 };
    push(&walk, root);
    while (walk.count > 0) {
        const struct rule_node *node = walk.nodes[--walk.count];
        push(&walk, node->left);
        push(&walk, node->right);
        if (node->op != RULE_OP_AGGREGATE) {
            continue;
        }
        const struct rule_aggregation *aggregation = node->aggregation;
        ask(asking, aggregation->event_name, (struct str){ NULL, 0 });
        if (aggregation->property.size > 0) {
            ask(asking, aggregation->event_name, aggregation->property);
        }
        if (aggregation->by.size > 0) {
            ask(asking, aggregation->event_name, aggregation->by);
        }
        ask_where(asking, aggregation->event_name, aggregation->where);
        push(&walk, aggregation->after);
    }
}

/* The event itself was asked about before its properties. */
static bool event_was_seen(const struct asking *asking, const struct rule_seen_answer *answers,
                           struct str event)
{
    for (size_t i = 0; i < asking->count; i++) {
        if (str_equal(asking->questions[i].event, event)) {
            return answers[i].event;
        }
    }
    return false;
}

static struct str write_warnings(struct arena *arena, const struct asking *asking,
                                 const struct rule_seen_answer *answers)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    jsonw_open_array(&json);
    for (size_t i = 0; i < asking->count; i++) {
        const struct rule_seen_question *question = &asking->questions[i];
        bool is_event = question->property.size == 0;
        bool was_seen = event_was_seen(asking, answers, question->event);
        struct str what = { NULL, 0 };
        if (is_event && !was_seen) {
            what = str_printf(arena, "no %.*s", STR_ARG(question->event));
        } else if (!is_event && was_seen && !answers[i].property) {
            what = str_printf(arena, "no %.*s with the property \"%.*s\"", STR_ARG(question->event),
                              STR_ARG(question->property));
        } else {
            continue;
        }
        jsonw_str(&json,
                  str_printf(arena,
                             "%.*s was seen in the last %d days (looked at: the newest %d events"
                             " of the %d customers seen last)",
                             STR_ARG(what), RULE_SEEN_DAYS, RULE_SEEN_EVENTS, RULE_SEEN_PEOPLE));
    }
    jsonw_close_array(&json);
    return buf_str(&buf);
}

enum status rule_warnings(const struct resource_request *request, const struct ruleset *ruleset,
                          struct str name, struct str *out_json, struct problem *problem)
{
    const struct rule *rule = ruleset != NULL ? ruleset_rule(ruleset, name) : NULL;
    struct asking *asking = ARENA_NEW(request->arena, struct asking);
    if (asking == NULL) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "the request is too big");
    }
    for (size_t i = 0; rule != NULL && i < rule->definition.case_count; i++) {
        ask_tree(asking, rule->trees[i]);
    }
    *out_json = STR("[]");
    if (asking->count == 0) {
        return STATUS_OK;
    }
    struct rule_seen_answer *answers = NULL;
    int64_t sample = 0;
    enum status status =
        rule_seen(request->pg, request->arena, request->principal->workspace_id, asking->questions,
                  asking->count, request->now_ms, &answers, &sample, problem);
    if (status == STATUS_OK && sample > 0) {
        *out_json = write_warnings(request->arena, asking, answers);
    }
    return status;
}
