#include "core/rule/ruleset.h"

#include <assert.h>
#include <string.h>

#include "feature_table_priv.h"
#include "program_priv.h"
#include "ruleset_priv.h"

/*
 * All rules of a workspace, compiled together.
 *
 * Together, because features are shared, names are looked up among all rules,
 * and a circle is a property of the whole. The first thing that is wrong ends
 * the build and says which case of which rule it is in: a workspace runs with a
 * whole ruleset or with the one before.
 *
 * Order: rules are taken in the order they are defined, each as soon as all it
 * refers to have been; what is left when nothing more can be taken holds a
 * circle.
 */

enum {
    NAME_BYTES_MAX = 63,
};

struct draft { /* an enabled definition on its way to a rule */
    const struct rule_definition *definition;
    size_t index; /* among the definitions */
    const struct rule_node **trees;
    const struct rule_program **programs;
    uint32_t *uses; /* drafts */
    size_t use_count;
    uint32_t position;
    bool is_placed;
};

struct builder {
    struct arena *arena;
    struct draft *drafts;
    size_t draft_count;
    struct draft *conditions; /* of triggers */
    size_t condition_count;
    uint32_t *order; /* drafts in order of dependence */
    size_t placed_count;
    struct rule_vocabulary vocabulary;
    struct feature_table *table;
    struct ruleset *ruleset;
    struct ruleset_error *error;
};

/* --- what is wrong ----------------------------------------------------------- */

static void copy_text(char *text, size_t size, struct str source)
{
    size_t taken = source.size < size ? source.size : size - 1;
    if (taken > 0) {
        memcpy(text, source.data, taken);
    }
    text[taken] = '\0';
}

static enum status refuse(const struct builder *builder, size_t rule, const char *type,
                          struct str detail)
{
    if (arena_is_full(builder->arena)) {
        return STATUS_LIMIT;
    }
    struct ruleset_error *error = builder->error;
    *error = (struct ruleset_error){ .rule = rule, .type = type };
    error->error.line = 1;
    error->error.column = 1;
    copy_text(error->error.detail, sizeof(error->error.detail), detail);
    return STATUS_INVALID;
}

static enum status refuse_case(const struct builder *builder, const struct draft *draft,
                               size_t case_index, const char *type, struct str detail)
{
    enum status status = refuse(builder, draft->index, type, detail);
    builder->error->case_index = case_index;
    return status;
}

static bool is_name(struct str name)
{
    if (name.size == 0 || name.size > NAME_BYTES_MAX || name.data[0] < 'a' || name.data[0] > 'z') {
        return false;
    }
    for (size_t i = 1; i < name.size; i++) {
        char c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) {
            return false;
        }
    }
    return true;
}

/* --- definitions ------------------------------------------------------------- */

static enum status check_values(const struct builder *builder, const struct draft *draft)
{
    const struct rule_definition *definition = draft->definition;
    for (size_t i = 0; i < definition->case_count; i++) {
        struct str value = definition->cases[i].value;
        if (!is_name(value)) {
            return refuse_case(builder, draft, i, "invalid-field",
                               str_printf(builder->arena,
                                          "\"%.*s\" is not a value: lower-case letters, digits "
                                          "and _, at most 63, the first a letter",
                                          STR_ARG(value)));
        }
        for (size_t k = 0; k < i; k++) {
            if (str_equal(value, definition->cases[k].value)) {
                return refuse_case(builder, draft, i, "invalid-field",
                                   str_printf(builder->arena,
                                              "the value \"%.*s\" is that of an earlier case",
                                              STR_ARG(value)));
            }
        }
    }
    return STATUS_OK;
}

static enum status check_cases(const struct builder *builder, const struct draft *draft)
{
    const struct rule_definition *definition = draft->definition;
    bool has_values = definition->kind == RULE_KIND_LIFECYCLE || definition->kind == RULE_KIND_TIER;
    if (definition->case_count > RULE_CASES_MAX) {
        return refuse(builder, draft->index, "limit-reached",
                      str_printf(builder->arena, "a rule has at most %d cases", RULE_CASES_MAX));
    }
    if (definition->case_count == 0) {
        return refuse(builder, draft->index, "invalid-field", STR("a rule has at least one case"));
    }
    if (has_values) {
        return check_values(builder, draft);
    }
    if (definition->case_count > 1 || definition->cases[0].value.size > 0) {
        return refuse(builder, draft->index, "invalid-field",
                      STR("a tag or a segment has one case, without a value"));
    }
    return STATUS_OK;
}

static const struct draft *same_name(const struct builder *builder, const struct draft *draft)
{
    for (const struct draft *other = builder->drafts; other < draft; other++) {
        if (str_equal(other->definition->name, draft->definition->name)) {
            return other;
        }
    }
    return NULL;
}

static enum status check_definition(const struct builder *builder, const struct draft *draft)
{
    const struct rule_definition *definition = draft->definition;
    struct str name = definition->name;
    if (!is_name(name)) {
        return refuse(builder, draft->index, "invalid-field",
                      str_printf(builder->arena,
                                 "\"%.*s\" is not a name: lower-case letters, digits and _, at "
                                 "most 63, the first a letter",
                                 STR_ARG(name)));
    }
    if (same_name(builder, draft) != NULL) {
        return refuse(builder, draft->index, "invalid-field",
                      str_printf(builder->arena, "another rule is called \"%.*s\"", STR_ARG(name)));
    }
    for (const struct draft *other = builder->drafts; other < draft; other++) {
        if (definition->kind == RULE_KIND_LIFECYCLE &&
            other->definition->kind == RULE_KIND_LIFECYCLE) {
            return refuse(builder, draft->index, "invalid-field",
                          str_printf(builder->arena, "\"%.*s\" is the lifecycle already",
                                     STR_ARG(other->definition->name)));
        }
    }
    return check_cases(builder, draft);
}

/* Drafts of what is enabled, and the names they have for each other. */
static enum status take_definitions(struct builder *builder,
                                    const struct rule_definition *definitions, size_t count)
{
    builder->drafts = ARENA_NEW_ARRAY(builder->arena, count + 1, struct draft);
    builder->conditions = ARENA_NEW_ARRAY(builder->arena, count + 1, struct draft);
    struct rule_known *names = ARENA_NEW_ARRAY(builder->arena, count + 1, struct rule_known);
    if (builder->drafts == NULL || builder->conditions == NULL || names == NULL) {
        return STATUS_LIMIT;
    }
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        if (definitions[i].is_condition) {
            builder->conditions[builder->condition_count++] =
                (struct draft){ .definition = &definitions[i], .index = i };
        }
        if (!definitions[i].enabled || definitions[i].is_condition) {
            continue;
        }
        if (builder->draft_count == RULESET_RULES_MAX) {
            return refuse(
                builder, i, "limit-reached",
                str_printf(builder->arena, "a workspace has at most %d rules", RULESET_RULES_MAX));
        }
        struct draft *draft = &builder->drafts[builder->draft_count];
        *draft = (struct draft){ .definition = &definitions[i], .index = i };
        status = check_definition(builder, draft);
        names[builder->draft_count++] =
            (struct rule_known){ definitions[i].name, definitions[i].kind };
    }
    builder->vocabulary = (struct rule_vocabulary){
        .context = RULE_CONTEXT_RULE,
        .rules = names,
        .rule_count = builder->draft_count,
    };
    return status;
}

/* --- texts to programs -------------------------------------------------------- */

static enum status compile_case(struct builder *builder, struct draft *draft, size_t index)
{
    struct rule_node *root = NULL;
    struct rule_error error = { 0 };
    struct rule_vocabulary names = builder->vocabulary;
    names.context = draft->definition->is_condition ? RULE_CONTEXT_TRIGGER : names.context;
    enum status status =
        rule_parse(builder->arena, draft->definition->cases[index].when, &names, &root, &error);
    if (status == STATUS_INVALID) {
        *builder->error = (struct ruleset_error){
            .rule = draft->index,
            .case_index = index,
            .type = "invalid-expression",
            .error = error,
        };
    }
    if (status != STATUS_OK) {
        return status;
    }
    draft->trees[index] = root;
    status = rule_compile(builder->arena, root, builder->table, &draft->programs[index]);
    if (status != STATUS_OK) {
        return refuse_case(builder, draft, index, "limit-reached",
                           STR("the expression is too large or too deep"));
    }
    if (feature_table_count(builder->table) > RULESET_FEATURES_MAX) {
        return refuse_case(builder, draft, index, "limit-reached",
                           str_printf(builder->arena,
                                      "the rules of a workspace have at most %d aggregates that "
                                      "differ",
                                      RULESET_FEATURES_MAX));
    }
    return STATUS_OK;
}

static enum status compile_drafts(struct builder *builder, struct draft *drafts, size_t draft_count)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < draft_count && status == STATUS_OK; i++) {
        struct draft *draft = &drafts[i];
        size_t count = draft->definition->case_count;
        draft->trees = ARENA_NEW_ARRAY(builder->arena, count, const struct rule_node *);
        draft->programs = ARENA_NEW_ARRAY(builder->arena, count, const struct rule_program *);
        if (draft->trees == NULL || draft->programs == NULL) {
            return STATUS_LIMIT;
        }
        for (size_t k = 0; k < count && status == STATUS_OK; k++) {
            status = compile_case(builder, draft, k);
        }
    }
    return status;
}

/* --- which rule rests on which -------------------------------------------------- */

static bool reads_rule(const struct rule_program *program, const struct rule_definition *other)
{
    if ((program->reads_tags && other->kind == RULE_KIND_TAG) ||
        (program->reads_segments && other->kind == RULE_KIND_SEGMENT) ||
        (program->reads_lifecycle && other->kind == RULE_KIND_LIFECYCLE)) {
        return true;
    }
    for (size_t i = 0; i < program->reads.rule_count; i++) {
        if (str_equal(program->reads.rules[i], other->name)) {
            return true;
        }
    }
    return false;
}

static bool uses_rule(const struct draft *draft, const struct draft *other)
{
    for (size_t i = 0; i < draft->definition->case_count; i++) {
        if (reads_rule(draft->programs[i], other->definition)) {
            return true;
        }
    }
    return false;
}

static bool refers_at_all(const struct draft *draft)
{
    for (size_t i = 0; i < draft->definition->case_count; i++) {
        const struct rule_program *program = draft->programs[i];
        if (program->reads.rule_count > 0 || program->reads_tags || program->reads_segments) {
            return true;
        }
    }
    return false;
}

static enum status find_uses(struct builder *builder)
{
    for (size_t i = 0; i < builder->draft_count; i++) {
        struct draft *draft = &builder->drafts[i];
        if (!refers_at_all(draft)) {
            continue;
        }
        draft->uses = ARENA_NEW_ARRAY(builder->arena, builder->draft_count, uint32_t);
        if (draft->uses == NULL) {
            return STATUS_LIMIT;
        }
        for (size_t k = 0; k < builder->draft_count; k++) {
            if (uses_rule(draft, &builder->drafts[k])) {
                draft->uses[draft->use_count++] = (uint32_t)k;
            }
        }
    }
    return STATUS_OK;
}

static bool is_ready(const struct builder *builder, const struct draft *draft)
{
    for (size_t i = 0; i < draft->use_count; i++) {
        if (!builder->drafts[draft->uses[i]].is_placed) {
            return false;
        }
    }
    return !draft->is_placed;
}

/* The first rule it refers to that could not be placed: there is one. */
static uint32_t next_in_circle(const struct builder *builder, uint32_t index)
{
    const struct draft *draft = &builder->drafts[index];
    for (size_t i = 0; i < draft->use_count; i++) {
        if (!builder->drafts[draft->uses[i]].is_placed) {
            return draft->uses[i];
        }
    }
    assert(false); /* what is not placed waits for something */
    return index;
}

/* Whoever follows what is waited for comes round: after as many steps as there
 * are rules one stands in the circle. */
static enum status refuse_circle(const struct builder *builder)
{
    uint32_t index = 0;
    while (builder->drafts[index].is_placed) {
        index++;
    }
    for (size_t i = 0; i < builder->draft_count; i++) {
        index = next_in_circle(builder, index);
    }
    uint32_t first = index;
    struct str names = builder->drafts[first].definition->name;
    do {
        index = next_in_circle(builder, index);
        names = str_printf(builder->arena, "%.*s -> %.*s", STR_ARG(names),
                           STR_ARG(builder->drafts[index].definition->name));
    } while (index != first && names.size < PROBLEM_DETAIL_SIZE);
    return refuse(
        builder, builder->drafts[first].index, "expression-circular",
        str_printf(builder->arena, "rules refer to each other in a circle: %.*s", STR_ARG(names)));
}

static enum status order_drafts(struct builder *builder)
{
    builder->order = ARENA_NEW_ARRAY(builder->arena, builder->draft_count + 1, uint32_t);
    if (builder->order == NULL) {
        return STATUS_LIMIT;
    }
    size_t placed_before = SIZE_MAX;
    while (builder->placed_count != placed_before) {
        placed_before = builder->placed_count;
        for (size_t i = 0; i < builder->draft_count; i++) {
            struct draft *draft = &builder->drafts[i];
            if (is_ready(builder, draft)) {
                draft->is_placed = true;
                draft->position = (uint32_t)builder->placed_count;
                builder->order[builder->placed_count++] = (uint32_t)i;
            }
        }
    }
    return builder->placed_count == builder->draft_count ? STATUS_OK : refuse_circle(builder);
}

/* --- rules -------------------------------------------------------------------- */

static void insert_number(uint32_t *numbers, size_t *count, uint32_t number)
{
    size_t position = *count;
    while (position > 0 && numbers[position - 1] > number) {
        position--;
    }
    if (position > 0 && numbers[position - 1] == number) {
        return;
    }
    for (size_t i = *count; i > position; i--) {
        numbers[i] = numbers[i - 1];
    }
    numbers[position] = number;
    *count += 1;
}

static bool collect_features(struct arena *arena, struct rule *rule)
{
    size_t most = 0;
    for (size_t i = 0; i < rule->definition.case_count; i++) {
        most += rule->programs[i]->reads.feature_count;
    }
    uint32_t *numbers = ARENA_NEW_ARRAY(arena, most + 1, uint32_t);
    if (numbers == NULL) {
        return false;
    }
    for (size_t i = 0; i < rule->definition.case_count; i++) {
        program_number_features(rule->programs[i]);
        const struct rule_reads *reads = &rule->programs[i]->reads;
        for (size_t k = 0; k < reads->feature_count; k++) {
            insert_number(numbers, &rule->feature_count, reads->features[k]);
        }
        rule->is_timed = rule->is_timed || reads->is_timed;
    }
    rule->features = numbers;
    return true;
}

static bool fill_rule(const struct builder *builder, const struct draft *draft, struct rule *rule)
{
    *rule = (struct rule){
        .definition = *draft->definition,
        .trees = draft->trees,
        .programs = draft->programs,
        .use_count = draft->use_count,
    };
    uint32_t *uses = ARENA_NEW_ARRAY(builder->arena, draft->use_count + 1, uint32_t);
    if (uses == NULL) {
        return false;
    }
    size_t count = 0;
    for (size_t i = 0; i < draft->use_count; i++) {
        insert_number(uses, &count, builder->drafts[draft->uses[i]].position);
    }
    rule->uses = uses;
    return collect_features(builder->arena, rule);
}

/* One rule's features must fit into a profile's state by themselves. */
static enum status check_state(const struct builder *builder, const struct draft *draft,
                               const struct rule *rule)
{
    size_t total = 0;
    size_t largest_bytes = 0;
    const struct feature *largest = NULL;
    for (size_t i = 0; i < rule->feature_count; i++) {
        const struct feature *feature = ruleset_feature(builder->ruleset, rule->features[i]);
        size_t bytes = feature_bytes_max(feature);
        total += bytes;
        if (bytes > largest_bytes) {
            largest_bytes = bytes;
            largest = feature;
        }
    }
    if (total <= RULE_STATE_BYTES_MAX) {
        return STATUS_OK;
    }
    return refuse(builder, draft->index, "limit-reached",
                  str_printf(builder->arena,
                             "its aggregates can take %zu bytes of a profile, at most %d; "
                             "the largest is %.*s with %zu",
                             total, RULE_STATE_BYTES_MAX, STR_ARG(largest->text), largest_bytes));
}

static enum status fill_rules(struct builder *builder)
{
    struct rule *rules = ARENA_NEW_ARRAY(builder->arena, builder->draft_count + 1, struct rule);
    if (rules == NULL) {
        return STATUS_LIMIT;
    }
    builder->ruleset->rules = rules;
    builder->ruleset->rule_count = builder->draft_count;
    for (size_t i = 0; i < builder->draft_count; i++) {
        const struct draft *draft = &builder->drafts[builder->order[i]];
        if (!fill_rule(builder, draft, &rules[i])) {
            return STATUS_LIMIT;
        }
        enum status status = check_state(builder, draft, &rules[i]);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

static enum status check_conditions(const struct builder *builder)
{
    for (size_t i = 0; i < builder->condition_count; i++) {
        const struct draft *draft = &builder->conditions[i];
        struct rule rule = { .definition = *draft->definition, .programs = draft->programs };
        if (!collect_features(builder->arena, &rule)) {
            return STATUS_LIMIT;
        }
        enum status status = check_state(builder, draft, &rule);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

/* --- percentiles ---------------------------------------------------------------- */

static void add_percentile(struct ruleset *ruleset, int64_t *percents,
                           enum rule_attribute *attributes,
                           const struct program_percentile *percentile)
{
    for (size_t i = 0; i < ruleset->percent_count; i++) {
        if (percents[i] == percentile->percent && attributes[i] == percentile->attribute) {
            return;
        }
    }
    percents[ruleset->percent_count] = percentile->percent;
    attributes[ruleset->percent_count++] = percentile->attribute;
}

static size_t count_percentiles(const struct draft *drafts, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < drafts[i].definition->case_count; k++) {
            total += drafts[i].programs[k]->percentile_count;
        }
    }
    return total;
}

static void add_percentiles(struct ruleset *ruleset, const struct draft *drafts, size_t count,
                            int64_t *percents, enum rule_attribute *attributes)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < drafts[i].definition->case_count; k++) {
            const struct rule_program *program = drafts[i].programs[k];
            for (size_t n = 0; n < program->percentile_count; n++) {
                add_percentile(ruleset, percents, attributes, &program->percentiles[n]);
            }
        }
    }
}

static enum status collect_percentiles(struct builder *builder)
{
    size_t most = count_percentiles(builder->drafts, builder->draft_count) +
                  count_percentiles(builder->conditions, builder->condition_count);
    int64_t *percents = ARENA_NEW_ARRAY(builder->arena, most + 1, int64_t);
    enum rule_attribute *attributes =
        ARENA_NEW_ARRAY(builder->arena, most + 1, enum rule_attribute);
    if (percents == NULL || attributes == NULL) {
        return STATUS_LIMIT;
    }
    add_percentiles(builder->ruleset, builder->drafts, builder->draft_count, percents, attributes);
    add_percentiles(builder->ruleset, builder->conditions, builder->condition_count, percents,
                    attributes);
    builder->ruleset->percents = percents;
    builder->ruleset->percent_attributes = attributes;
    return STATUS_OK;
}

static bool has_attribute(const enum rule_attribute *attributes, size_t count,
                          enum rule_attribute attribute)
{
    for (size_t i = 0; i < count; i++) {
        if (attributes[i] == attribute) {
            return true;
        }
    }
    return false;
}

size_t ruleset_untold(const struct ruleset *ruleset, const struct statistics *statistics,
                      enum rule_attribute *out_attributes)
{
    size_t count = 0;
    for (size_t i = 0; i < ruleset->percent_count; i++) {
        enum rule_attribute attribute = ruleset->percent_attributes[i];
        int64_t threshold = 0;
        if (!statistics_percentile(statistics, attribute, ruleset->percents[i], &threshold) &&
            !has_attribute(out_attributes, count, attribute)) {
            out_attributes[count++] = attribute;
        }
    }
    return count;
}

/* --- the ruleset ------------------------------------------------------------------ */

enum status ruleset_build(struct arena *arena, int64_t version,
                          const struct rule_definition *definitions, size_t count,
                          const struct feature_number *known, size_t known_count,
                          uint32_t *next_number, struct ruleset **out_ruleset,
                          struct ruleset_error *out_error)
{
    struct builder builder = {
        .arena = arena,
        .table = feature_table_create(arena),
        .ruleset = ARENA_NEW(arena, struct ruleset),
        .error = out_error,
    };
    if (builder.table == NULL || builder.ruleset == NULL) {
        return STATUS_LIMIT;
    }
    uint32_t number = *next_number;
    builder.ruleset->version = version;
    enum status status = take_definitions(&builder, definitions, count);
    if (status == STATUS_OK) {
        status = compile_drafts(&builder, builder.drafts, builder.draft_count);
    }
    if (status == STATUS_OK) {
        status = compile_drafts(&builder, builder.conditions, builder.condition_count);
    }
    status = status == STATUS_OK ? find_uses(&builder) : status;
    status = status == STATUS_OK ? order_drafts(&builder) : status;
    if (status == STATUS_OK &&
        !feature_table_finish(builder.table, version, known, known_count, &number,
                              &builder.ruleset->features, &builder.ruleset->feature_count)) {
        status = STATUS_LIMIT;
    }
    status = status == STATUS_OK ? fill_rules(&builder) : status;
    status = status == STATUS_OK ? check_conditions(&builder) : status;
    status = status == STATUS_OK ? collect_percentiles(&builder) : status;
    if (status != STATUS_OK) {
        return status;
    }
    if (!ruleset_index(arena, builder.ruleset)) {
        return STATUS_LIMIT;
    }
    *next_number = number;
    *out_ruleset = builder.ruleset;
    return STATUS_OK;
}

bool ruleset_vocabulary(struct arena *arena, const struct ruleset *ruleset,
                        enum rule_context context, struct rule_vocabulary *out_names)
{
    size_t count = ruleset != NULL ? ruleset->rule_count : 0;
    struct rule_known *names = ARENA_NEW_ARRAY(arena, count + 1, struct rule_known);
    for (size_t i = 0; names != NULL && i < count; i++) {
        const struct rule_definition *definition = &ruleset->rules[i].definition;
        names[i] = (struct rule_known){ definition->name, definition->kind };
    }
    *out_names = (struct rule_vocabulary){ context, names, count };
    return names != NULL;
}

const struct rule *ruleset_rule(const struct ruleset *ruleset, struct str name)
{
    size_t low = 0;
    size_t high = ruleset->rule_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct rule *rule = &ruleset->rules[ruleset->by_name[middle]];
        int order = str_compare(rule->definition.name, name);
        if (order == 0) {
            return rule;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

const struct rule *ruleset_rule_by_slot(const struct ruleset *ruleset, uint32_t slot)
{
    size_t low = 0;
    size_t high = ruleset->rule_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct rule *rule = &ruleset->rules[ruleset->by_slot[middle]];
        if (rule->definition.slot == slot) {
            return rule;
        }
        if (rule->definition.slot < slot) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

const struct feature *ruleset_feature(const struct ruleset *ruleset, uint32_t number)
{
    size_t index = ruleset_feature_index(ruleset, number);
    return index < ruleset->feature_count ? &ruleset->features[index] : NULL;
}

bool ruleset_needs_history(const struct ruleset *before, const struct ruleset *after)
{
    for (size_t i = 0; i < after->feature_count; i++) {
        if (before == NULL || ruleset_feature(before, after->features[i].number) == NULL) {
            return true;
        }
    }
    return false;
}
