#include <assert.h>

#include "base/instant.h"
#include "feature_table_priv.h"
#include "program_priv.h"

/*
 * A checked tree -> postfix steps.
 *
 * The tree is walked with a list of tasks instead of recursion: a visit puts
 * back what must come after its children. So every node's steps are contiguous
 * and the stack that a run needs is known when the last step is written.
 *
 * A comparison with a side that moves by time alone is one step (program_priv.h):
 * computing the value first and comparing it then would know only when the value
 * changes, which for an age is the next millisecond. Which side moves is seen
 * here; the other side may be anything and says by itself until when it stands.
 */

enum task_kind {
    TASK_VISIT,
    TASK_TEST,
    TASK_FINISH
};

struct task {
    enum task_kind kind;
    const struct rule_node *node;
    enum step_code code;
    uint32_t from; /* where the node's steps begin */
    bool is_mirrored;
};

/* A side without a step of its own: its steps come behind the main run. */
struct side {
    const struct rule_node *node;
    const struct feature *feature;
};

struct compiler {
    struct arena *arena;
    struct feature_table *table;
    struct task *tasks;
    size_t task_count;
    struct rule_step *steps;
    uint32_t step_count;
    struct step_range *ranges;
    size_t range_count;
    struct side *sides;
    size_t side_count;
    uint32_t *tests; /* and/or tests whose jump is not known yet */
    size_t test_count;
    int depth; /* of the stack of the run after the last step */
    bool is_fragment;
    enum status status;
    /* What it reads. */
    uint32_t parts;
    const struct feature **features;
    size_t feature_count;
    struct str *rules;
    size_t rule_count;
    struct str *properties;
    size_t property_count;
    struct program_percentile *percentiles;
    size_t percentile_count;
    bool reads_tags;
    bool reads_segments;
    bool reads_lifecycle;
    bool reads_waiting;
    bool reads_substitutes;
    bool is_timed;
};

/* --- what a program reads -------------------------------------------------- */

static void note_feature(struct compiler *compiler, const struct feature *feature)
{
    for (size_t i = 0; i < compiler->feature_count; i++) {
        if (compiler->features[i] == feature) {
            return;
        }
    }
    compiler->features[compiler->feature_count++] = feature;
    compiler->is_timed = compiler->is_timed || feature->within_ms > 0;
}

static void note_word(struct str *words, size_t *count, struct str word)
{
    for (size_t i = 0; i < *count; i++) {
        if (str_equal(words[i], word)) {
            return;
        }
    }
    words[(*count)++] = word;
}

static void note_rule(struct compiler *compiler, struct str name)
{
    note_word(compiler->rules, &compiler->rule_count, name);
}

/* The member of the properties that the path begins with. */
static void note_property(struct compiler *compiler, struct str name)
{
    struct str path = rule_property_path(name);
    ptrdiff_t dot = str_find(path, '.', 0);
    note_word(compiler->properties, &compiler->property_count,
              dot < 0 ? path : str_take(path, (size_t)dot));
}

static void note_percentile(struct compiler *compiler, enum rule_attribute attribute,
                            int64_t percent)
{
    for (size_t i = 0; i < compiler->percentile_count; i++) {
        if (compiler->percentiles[i].attribute == attribute &&
            compiler->percentiles[i].percent == percent) {
            return;
        }
    }
    compiler->percentiles[compiler->percentile_count++] =
        (struct program_percentile){ attribute, percent };
}

static void note_attribute(struct compiler *compiler, enum rule_attribute attribute)
{
    const struct rule_name_info *info = rule_name_info(attribute);
    assert(info != NULL);
    compiler->parts |= 1u << info->part;
    compiler->reads_waiting = compiler->reads_waiting || attribute == RULE_INTEREST_WAITING;
    compiler->reads_substitutes =
        compiler->reads_substitutes || attribute == RULE_INTEREST_SUBSTITUTE_BOUGHT_AT;
    compiler->is_timed = compiler->is_timed || attribute_is_timed(attribute);
}

static void note_quintiles(struct compiler *compiler, enum rule_attribute attribute)
{
    compiler->parts |= 1u << RULE_PART_ORDERS;
    for (int64_t percent = 20; percent <= 80; percent += 20) {
        note_percentile(compiler, attribute, percent * RULE_NUMBER_ONE);
    }
}

/* A name read as such; members of tags and segments are noted by their step. A
 * fragment reads nothing that the main run does not. */
static void note_name(struct compiler *compiler, const struct rule_name *name)
{
    if (compiler->is_fragment) {
        return;
    }
    note_attribute(compiler, name->attribute);
    switch ((int)name->attribute) {
    case RULE_TAGS:
        compiler->reads_tags = true;
        break;
    case RULE_SEGMENTS:
        compiler->reads_segments = true;
        break;
    case RULE_LIFECYCLE:
        compiler->reads_lifecycle = true;
        note_rule(compiler, STR("lifecycle"));
        break;
    case RULE_TIER:
        note_rule(compiler, name->key);
        break;
    case RULE_PROPERTY:
        note_property(compiler, name->key);
        break;
    case RULE_RFM_RECENCY:
        note_quintiles(compiler, RULE_ORDERS_LAST_AT);
        break;
    case RULE_RFM_FREQUENCY:
        note_quintiles(compiler, RULE_ORDERS_COUNT);
        break;
    case RULE_RFM_MONETARY:
        note_quintiles(compiler, RULE_ORDERS_REVENUE);
        break;
    case RULE_ORDERS_CYCLE_DAYS:
    case RULE_ORDERS_CYCLE_STAGE:
    case RULE_ORDERS_NEXT_EXPECTED_AT:
        compiler->parts |= 1u << RULE_PART_ORDERS | 1u << RULE_PART_HABITS;
        break;
    default:
        break;
    }
}

/* --- steps ------------------------------------------------------------------ */

size_t step_takes(const struct rule_step *step)
{
    switch (step->code) {
    case STEP_LITERAL:
    case STEP_NAME:
    case STEP_MEMBER:
    case STEP_AND_TEST:
    case STEP_OR_TEST:
    case STEP_PERCENTILE:
    case STEP_FUSED_AGE:
    case STEP_FUSED_COMPARE:
    case STEP_FUSED_IS_SET:
    case STEP_FUSED_FEATURE:
        return 0;
    case STEP_NOT:
    case STEP_IS_SET:
    case STEP_NEGATE:
    case STEP_AGE:
    case STEP_YEARS:
    case STEP_DAYS:
    case STEP_COMPARE_SCORE:
    case STEP_COMPARE_STAGE:
        return 1;
    case STEP_AND:
    case STEP_OR:
    case STEP_COMPARE:
    case STEP_COMPARE_AGE:
    case STEP_COMPARE_YEARS:
    case STEP_COMPARE_DAYS:
    case STEP_ARITHMETIC:
        return 2;
    case STEP_FEATURE:
        return step->has_after ? 1 : 0;
    case STEP_COMPARE_FEATURE:
        return step->has_after ? 2 : 1;
    case STEP_CODE_COUNT:
        break;
    }
    assert(false); /* a step of the enum */
    return 0;
}

static void append(struct compiler *compiler, const struct rule_step *step)
{
    compiler->depth += (step_is_test(step) ? 0 : 1) - (int)step_takes(step);
    if (compiler->depth > RULE_STACK_MAX) {
        compiler->status = STATUS_LIMIT;
    }
    compiler->steps[compiler->step_count++] = *step;
}

static void push_task(struct compiler *compiler, struct task task)
{
    compiler->tasks[compiler->task_count++] = task;
}

static void push_visit(struct compiler *compiler, const struct rule_node *node)
{
    push_task(compiler, (struct task){ .kind = TASK_VISIT, .node = node });
}

static void push_finish(struct compiler *compiler, const struct rule_node *node,
                        enum step_code code, bool is_mirrored)
{
    push_task(compiler, (struct task){
                            .kind = TASK_FINISH,
                            .node = node,
                            .code = code,
                            .from = compiler->step_count,
                            .is_mirrored = is_mirrored,
                        });
}

/* --- comparisons ------------------------------------------------------------ */

/* The step for a comparison whose side `node` moves; STEP_COMPARE when it does
 * not. */
static enum step_code moving_code(const struct rule_node *node)
{
    switch ((int)node->op) {
    case RULE_OP_AGE:
        return STEP_COMPARE_AGE;
    case RULE_OP_AGE_YEARS:
        return STEP_COMPARE_YEARS;
    case RULE_OP_DAYS_UNTIL:
        return STEP_COMPARE_DAYS;
    case RULE_OP_AGGREGATE:
        return STEP_COMPARE_FEATURE;
    case RULE_OP_NAME:
        if (node->name.attribute == RULE_ENGAGEMENT_SCORE) {
            return STEP_COMPARE_SCORE;
        }
        return attribute_is_timed(node->name.attribute) ? STEP_COMPARE_STAGE : STEP_COMPARE;
    default:
        return STEP_COMPARE;
    }
}

static const struct feature *want_feature(struct compiler *compiler, const struct rule_node *node,
                                          const struct rule_node *constant)
{
    struct feature_demand demand = { .node = node };
    if (constant != NULL && constant->op == RULE_OP_LITERAL &&
        constant->literal.type == RULE_NUMBER) {
        demand.has_constant = true;
        demand.constant = constant->literal.number;
    }
    const struct feature *feature =
        compiler->table == NULL ? NULL : feature_table_want(compiler->table, &demand);
    if (feature == NULL) {
        compiler->status = compiler->table == NULL ? STATUS_INVALID : STATUS_LIMIT;
        return NULL;
    }
    note_feature(compiler, feature);
    return feature;
}

static void visit_moving(struct compiler *compiler, const struct rule_node *node,
                         enum step_code code, bool is_mirrored)
{
    const struct rule_node *moving = is_mirrored ? node->right : node->left;
    const struct rule_node *still = is_mirrored ? node->left : node->right;
    struct side *side = &compiler->sides[compiler->side_count++];
    *side = (struct side){ .node = moving };
    push_finish(compiler, node, code, is_mirrored);
    push_visit(compiler, still);
    if (code == STEP_COMPARE_FEATURE) {
        side->feature = want_feature(compiler, moving, still);
        if (moving->aggregation->after != NULL) {
            push_visit(compiler, moving->aggregation->after);
        }
    } else if (moving->op != RULE_OP_NAME) {
        push_visit(compiler, moving->left);
    } else {
        note_name(compiler, &moving->name);
    }
}

/* "x" in tags, tags contains "x": the name of the rule, or NULL. */
static const struct rule_node *member_literal(const struct rule_node *node)
{
    const struct rule_node *list = node->op == RULE_OP_IN ? node->right : node->left;
    const struct rule_node *item = node->op == RULE_OP_IN ? node->left : node->right;
    bool is_labels = (node->op == RULE_OP_IN || node->op == RULE_OP_CONTAINS) &&
                     list->op == RULE_OP_NAME &&
                     (list->name.attribute == RULE_TAGS || list->name.attribute == RULE_SEGMENTS);
    bool is_text = item->op == RULE_OP_LITERAL && item->literal.type == RULE_TEXT;
    return is_labels && is_text ? item : NULL;
}

static void visit_comparison(struct compiler *compiler, const struct rule_node *node)
{
    if (member_literal(node) != NULL) {
        compiler->sides[compiler->side_count++] = (struct side){ .node = node->left };
        compiler->sides[compiler->side_count++] = (struct side){ .node = node->right };
        push_finish(compiler, node, STEP_MEMBER, false);
        return;
    }
    if (rule_op_is_relation(node->op)) {
        enum step_code left = moving_code(node->left);
        enum step_code right = moving_code(node->right);
        if (left != STEP_COMPARE) {
            visit_moving(compiler, node, left, false);
            return;
        }
        if (right != STEP_COMPARE) {
            visit_moving(compiler, node, right, true);
            return;
        }
    }
    push_finish(compiler, node, STEP_COMPARE, false);
    push_visit(compiler, node->right);
    push_visit(compiler, node->left);
}

/* --- visits ----------------------------------------------------------------- */

static void visit_unary(struct compiler *compiler, const struct rule_node *node,
                        enum step_code code)
{
    push_finish(compiler, node, code, false);
    push_visit(compiler, node->left);
}

static void visit_binary(struct compiler *compiler, const struct rule_node *node,
                         enum step_code code)
{
    push_finish(compiler, node, code, false);
    push_visit(compiler, node->right);
    push_visit(compiler, node->left);
}

static void visit_logic(struct compiler *compiler, const struct rule_node *node)
{
    bool is_and = node->op == RULE_OP_AND;
    push_finish(compiler, node, is_and ? STEP_AND : STEP_OR, false);
    push_visit(compiler, node->right);
    push_task(compiler, (struct task){ .kind = TASK_TEST,
                                       .node = node,
                                       .code = is_and ? STEP_AND_TEST : STEP_OR_TEST });
    push_visit(compiler, node->left);
}

static void visit_aggregate(struct compiler *compiler, const struct rule_node *node)
{
    push_finish(compiler, node, STEP_FEATURE, false);
    if (node->aggregation->after != NULL) {
        push_visit(compiler, node->aggregation->after);
    }
}

static void visit(struct compiler *compiler, const struct rule_node *node)
{
    assert(node != NULL);
    switch (node->op) {
    case RULE_OP_LITERAL:
        push_finish(compiler, node, STEP_LITERAL, false);
        break;
    case RULE_OP_NAME:
        push_finish(compiler, node, STEP_NAME, false);
        break;
    case RULE_OP_PERCENTILE:
        compiler->sides[compiler->side_count++] = (struct side){ .node = node->left };
        push_finish(compiler, node, STEP_PERCENTILE, false);
        break;
    case RULE_OP_AND:
    case RULE_OP_OR:
        visit_logic(compiler, node);
        break;
    case RULE_OP_NOT:
        visit_unary(compiler, node, STEP_NOT);
        break;
    case RULE_OP_IS_SET:
        visit_unary(compiler, node, STEP_IS_SET);
        break;
    case RULE_OP_NEGATE:
        visit_unary(compiler, node, STEP_NEGATE);
        break;
    case RULE_OP_AGE:
        visit_unary(compiler, node, STEP_AGE);
        break;
    case RULE_OP_AGE_YEARS:
        visit_unary(compiler, node, STEP_YEARS);
        break;
    case RULE_OP_DAYS_UNTIL:
        visit_unary(compiler, node, STEP_DAYS);
        break;
    case RULE_OP_ADD:
    case RULE_OP_SUBTRACT:
    case RULE_OP_MULTIPLY:
    case RULE_OP_DIVIDE:
        visit_binary(compiler, node, STEP_ARITHMETIC);
        break;
    case RULE_OP_AGGREGATE:
        visit_aggregate(compiler, node);
        break;
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
        visit_comparison(compiler, node);
        break;
    }
}

/* --- finishing a node ------------------------------------------------------- */

static const struct feature *feature_of(struct compiler *compiler, const struct rule_node *node)
{
    for (size_t i = 0; i < compiler->side_count; i++) {
        if (compiler->sides[i].node == node) {
            return compiler->sides[i].feature;
        }
    }
    return want_feature(compiler, node, NULL);
}

static void fill_member(struct compiler *compiler, const struct rule_node *node,
                        struct rule_step *step)
{
    const struct rule_node *list = node->op == RULE_OP_IN ? node->right : node->left;
    const struct rule_node *literal = member_literal(node);
    assert(literal != NULL); /* or the step would be another */
    step->name = (struct rule_name){
        .attribute = list->name.attribute,
        .key = literal->literal.text,
    };
    note_attribute(compiler, step->name.attribute);
    note_rule(compiler, step->name.key);
}

static void fill_comparison(const struct task *task, struct rule_step *step)
{
    const struct rule_node *node = task->node;
    bool is_left_open = node->left->type == RULE_NULL;
    bool is_right_open = node->right->type == RULE_NULL;
    step->op = task->is_mirrored ? rule_op_mirrored(node->op) : node->op;
    step->is_mirrored = task->is_mirrored;
    if (task->is_mirrored) {
        bool is_open = is_left_open;
        is_left_open = is_right_open;
        is_right_open = is_open;
    }
    step->left_is_open = is_left_open && !is_right_open;
    step->right_is_open = is_right_open && !is_left_open;
}

static void fill_percentile(struct compiler *compiler, const struct rule_node *node,
                            struct rule_step *step)
{
    step->percentile.attribute = node->left->name.attribute;
    step->percentile.percent = node->percent;
    note_percentile(compiler, step->percentile.attribute, node->percent);
}

static struct rule_step step_of(struct compiler *compiler, const struct task *task)
{
    const struct rule_node *node = task->node;
    const struct rule_node *moving = task->is_mirrored ? node->right : node->left;
    struct rule_step step = { .code = task->code, .op = node->op, .type = node->type };
    switch ((int)task->code) {
    case STEP_LITERAL:
        step.literal = node->literal;
        break;
    case STEP_NAME:
        step.name = node->name;
        note_name(compiler, &node->name);
        break;
    case STEP_MEMBER:
        fill_member(compiler, node, &step);
        break;
    case STEP_PERCENTILE:
        fill_percentile(compiler, node, &step);
        break;
    case STEP_FEATURE:
        step.feature = feature_of(compiler, node);
        step.has_after = node->aggregation->after != NULL;
        break;
    case STEP_AGE:
    case STEP_YEARS:
    case STEP_DAYS:
        compiler->is_timed = true;
        break;
    case STEP_COMPARE_FEATURE:
        fill_comparison(task, &step);
        step.type = moving->type;
        step.feature = feature_of(compiler, moving);
        step.has_after = moving->aggregation->after != NULL;
        break;
    case STEP_COMPARE_SCORE:
    case STEP_COMPARE_STAGE:
        fill_comparison(task, &step);
        step.type = moving->type;
        step.name = moving->name;
        break;
    case STEP_COMPARE_AGE:
    case STEP_COMPARE_YEARS:
    case STEP_COMPARE_DAYS:
        compiler->is_timed = true;
        fill_comparison(task, &step);
        break;
    case STEP_COMPARE:
        fill_comparison(task, &step);
        break;
    default:
        break;
    }
    return step;
}

static void finish(struct compiler *compiler, const struct task *task)
{
    struct rule_step step = step_of(compiler, task);
    append(compiler, &step);
    if (task->code == STEP_AND || task->code == STEP_OR) {
        assert(compiler->test_count > 0);
        compiler->steps[compiler->tests[--compiler->test_count]].jump = compiler->step_count;
    }
    compiler->ranges[compiler->range_count++] =
        (struct step_range){ task->node, task->from, compiler->step_count };
}

static void run_tasks(struct compiler *compiler)
{
    while (compiler->task_count > 0 && compiler->status == STATUS_OK) {
        struct task task = compiler->tasks[--compiler->task_count];
        switch (task.kind) {
        case TASK_VISIT:
            visit(compiler, task.node);
            break;
        case TASK_TEST:
            compiler->tests[compiler->test_count++] = compiler->step_count;
            append(compiler, &(struct rule_step){ .code = task.code });
            break;
        case TASK_FINISH:
            finish(compiler, &task);
            break;
        }
    }
}

/* --- the program ------------------------------------------------------------ */

static size_t open_child(const struct rule_node **open, size_t open_count,
                         const struct rule_node *child)
{
    if (child != NULL) {
        open[open_count++] = child;
    }
    return open_count;
}

/* False when it is more than a person reads. */
static bool count_nodes(const struct rule_node *root, size_t *out_count)
{
    const struct rule_node *open[RULE_NODES_MAX + 3] = { root };
    size_t open_count = 1;
    size_t count = 0;
    while (open_count > 0) {
        const struct rule_node *node = open[--open_count];
        count++;
        if (open_count + count > RULE_NODES_MAX) {
            return false;
        }
        open_count = open_child(open, open_count, node->left);
        open_count = open_child(open, open_count, node->right);
        if (node->op == RULE_OP_AGGREGATE) {
            open_count = open_child(open, open_count, node->aggregation->after);
        }
    }
    *out_count = count;
    return true;
}

/* Room for the most that `nodes` can need: a step each, a test for each and/or,
 * and fragments, in which a node stands once more. */
static bool compiler_begin(struct compiler *compiler, struct arena *arena,
                           struct feature_table *table, size_t nodes)
{
    *compiler = (struct compiler){
        .arena = arena,
        .table = table,
        .tasks = ARENA_NEW_ARRAY(arena, 4 * nodes + 4, struct task),
        .steps = ARENA_NEW_ARRAY(arena, 3 * nodes, struct rule_step),
        .ranges = ARENA_NEW_ARRAY(arena, 2 * nodes, struct step_range),
        .sides = ARENA_NEW_ARRAY(arena, 2 * nodes, struct side),
        .tests = ARENA_NEW_ARRAY(arena, nodes, uint32_t),
        .features = ARENA_NEW_ARRAY(arena, nodes, const struct feature *),
        .rules = ARENA_NEW_ARRAY(arena, nodes, struct str),
        .properties = ARENA_NEW_ARRAY(arena, nodes, struct str),
        .percentiles = ARENA_NEW_ARRAY(arena, 4 * nodes, struct program_percentile),
    };
    return !arena_is_full(arena);
}

static void compile_fragments(struct compiler *compiler)
{
    compiler->is_fragment = true;
    for (size_t i = 0; i < compiler->side_count && compiler->status == STATUS_OK; i++) {
        compiler->depth = 0;
        push_visit(compiler, compiler->sides[i].node);
        run_tasks(compiler);
    }
}

static void fill_reads(const struct compiler *compiler, struct rule_program *program)
{
    program->reads = (struct rule_reads){
        .parts = compiler->parts,
        .features = program->feature_numbers,
        .feature_count = compiler->feature_count,
        .rules = compiler->rules,
        .rule_count = compiler->rule_count,
        .properties = compiler->properties,
        .property_count = compiler->property_count,
        .is_timed = compiler->is_timed,
        .waiting = compiler->reads_waiting,
        .substitutes = compiler->reads_substitutes,
    };
    program->reads_tags = compiler->reads_tags;
    program->reads_segments = compiler->reads_segments;
    program->reads_lifecycle = compiler->reads_lifecycle;
}

enum status rule_compile(struct arena *arena, const struct rule_node *root,
                         struct feature_table *table, const struct rule_program **out_program)
{
    struct compiler compiler;
    size_t nodes = 0;
    if (!count_nodes(root, &nodes) || !compiler_begin(&compiler, arena, table, nodes)) {
        return STATUS_LIMIT;
    }
    push_visit(&compiler, root);
    run_tasks(&compiler);
    uint32_t main_count = compiler.step_count;
    compile_fragments(&compiler);
    struct rule_program *program = ARENA_NEW(arena, struct rule_program);
    uint32_t *numbers = ARENA_NEW_ARRAY(arena, nodes, uint32_t);
    if (compiler.status != STATUS_OK) {
        return compiler.status;
    }
    if (program == NULL || numbers == NULL || arena_is_full(arena)) {
        return STATUS_LIMIT;
    }
    program->steps = compiler.steps;
    program->main_count = main_count;
    program->ranges = compiler.ranges;
    program->range_count = compiler.range_count;
    program->feature_numbers = numbers;
    program->features = compiler.features;
    program->percentiles = compiler.percentiles;
    program->percentile_count = compiler.percentile_count;
    fill_reads(&compiler, program);
    if (!program_fuse(arena, program)) {
        return STATUS_LIMIT;
    }
    *out_program = program;
    return STATUS_OK;
}

const struct rule_reads *rule_program_reads(const struct rule_program *program)
{
    return &program->reads;
}

void program_number_features(const struct rule_program *program)
{
    uint32_t *numbers = program->feature_numbers;
    for (size_t i = 0; i < program->reads.feature_count; i++) {
        uint32_t number = program->features[i]->number;
        size_t position = i;
        for (; position > 0 && numbers[position - 1] > number; position--) {
            numbers[position] = numbers[position - 1];
        }
        numbers[position] = number;
    }
}
