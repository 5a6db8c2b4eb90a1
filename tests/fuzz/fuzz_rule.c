#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "core/rule/expression.h"

/*
 * Any bytes as a rule, a filter or a trigger's condition, by the first byte;
 * then the same bytes as JSON and as a number. What the parser accepts is
 * within its limits and says the same again from its canonical text; what it
 * refuses is refused at a place within the text, with words.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    ARENA_BYTES = 16 * 1024 * 1024
};

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static const struct rule_known known_rules[] = {
    { { "lifecycle", 9 }, RULE_KIND_LIFECYCLE },
    { { "frequent_buyer", 14 }, RULE_KIND_TAG },
    { { "shoes", 5 }, RULE_KIND_SEGMENT },
    { { "basket", 6 }, RULE_KIND_TIER },
};

/* Within the text, and no higher and no larger than promised. */
static size_t check_tree(const struct rule_node *node, size_t size, unsigned depth)
{
    if (node == NULL) {
        return 0;
    }
    must(depth < RULE_DEPTH_MAX);
    must(node->start < node->end && node->end <= size);
    size_t count =
        1 + check_tree(node->left, size, depth + 1) + check_tree(node->right, size, depth + 1);
    if (node->op == RULE_OP_AGGREGATE) {
        must(node->aggregation->event_type != 0);
        count += check_tree(node->aggregation->where, size, depth + 1);
        count += check_tree(node->aggregation->after, size, depth + 1);
    }
    return count;
}

static void check_error(const struct rule_error *error, struct str text)
{
    must(error->line >= 1 && error->line <= text.size + 1);
    must(error->column >= 1 && error->column <= text.size + 1);
    must(error->length <= text.size);
    must(error->found.size == 0 ||
         (error->found.data >= text.data &&
          error->found.data + error->found.size <= text.data + text.size));
    must(error->detail[0] != '\0' && error->expected[0] != '\0');
    /* It goes into a JSON answer. */
    must(str_is_text(error->found) && str_is_text(str_from_z(error->detail)) &&
         str_is_text(str_from_z(error->expected)) && str_is_text(str_from_z(error->suggestion)));
}

static void fuzz_parse(struct arena *arena, struct str text, enum rule_context context)
{
    struct rule_vocabulary vocabulary = { context, known_rules, ARRAY_COUNT(known_rules) };
    struct rule_node *root = NULL;
    struct rule_error error = { 0 };
    enum status status = rule_parse(arena, text, &vocabulary, &root, &error);
    if (status != STATUS_OK) {
        must(status == STATUS_INVALID && root == NULL);
        check_error(&error, text);
        return;
    }
    must(root->type == RULE_BOOL);
    must(check_tree(root, text.size, 0) <= 2 * RULE_NODES_MAX + 1);
    struct str canonical = rule_format(arena, root);
    must(canonical.size > 0);
    if (canonical.size > RULE_TEXT_BYTES_MAX) {
        return; /* spaces were added to a text that was nearly too long */
    }
    struct rule_node *again = NULL;
    must(rule_parse(arena, canonical, &vocabulary, &again, &error) == STATUS_OK);
    must(str_equal(rule_format(arena, again), canonical));
}

static void fuzz_value(struct arena *arena, struct str text)
{
    int64_t number = 0;
    int64_t same = 0;
    if (rule_number_parse(text, &number)) {
        char again[24];
        size_t size = rule_number_format(number, again);
        must(rule_number_parse((struct str){ again, size }, &same) && same == number);
    }
    struct rule_value value = rule_value_from_json(arena, text);
    bool has_order = value.type != RULE_NULL;
    must(rule_value_equal(value, value) == has_order);
    for (int type = RULE_NULL; type <= RULE_LIST; type++) {
        enum rule_type got = rule_value_as(arena, value, (enum rule_type)type).type;
        must(got == RULE_NULL || got == (enum rule_type)type);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 64u * 1024) {
        return 0;
    }
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(ARENA_BYTES);
    must(arena != NULL);
    struct str text = { (const char *)data + 1, size - 1 };
    fuzz_parse(arena, text, (enum rule_context)(data[0] % 3));
    fuzz_value(arena, text);
    must(!arena_is_full(arena));
    return 0;
}
