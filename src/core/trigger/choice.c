#include "core/trigger/choice.h"

#include "core/mask.h"
#include "core/rule/ruleset.h"

/*
 * A filter is a program without features: what it asks is the customer as he
 * stands. So it needs no ruleset to run, only names to be checked against.
 *
 * Who may not see people may not ask for them either: a filter on an address,
 * halved often enough, spells it out.
 */

bool choice_vocabulary(struct arena *arena, const struct ruleset *ruleset,
                       struct rule_vocabulary *out_names)
{
    return ruleset_vocabulary(arena, ruleset, RULE_CONTEXT_FILTER, out_names);
}

static enum status parse_filter(struct arena *arena, const struct choice_text *text,
                                const struct rule_vocabulary *names, struct choice *choice,
                                struct projection_error *out_error)
{
    struct rule_node *root = NULL;
    struct projection_error failed = { .member = "filter" };
    if (text->filter.size == 0) {
        return STATUS_OK;
    }
    enum status status = rule_parse(arena, text->filter, names, &root, &failed.error);
    if (status == STATUS_INVALID) {
        *out_error = failed;
    }
    if (status == STATUS_OK) {
        choice->root = root;
        status = rule_compile(arena, root, NULL, &choice->filter);
    }
    return status;
}

static bool is_usual(const struct choice_text *text)
{
    bool has_map = text->map_json.size > 0 && !str_equal(text->map_json, STR("{}"));
    return str_equal(text->fields, STR("default")) && str_equal(text->format, STR("shopbell")) &&
           !has_map && !text->is_masked;
}

static enum status parse_projection(struct arena *arena, const struct choice_text *text,
                                    const struct rule_vocabulary *names, struct choice *choice,
                                    struct projection_error *out_error)
{
    if (is_usual(text)) {
        return STATUS_OK;
    }
    struct projection *projection = ARENA_NEW(arena, struct projection);
    const struct projection_text wanted = { .fields = text->fields,
                                            .format = text->format,
                                            .map_json = text->map_json,
                                            .settings_json = text->settings_json,
                                            .is_masked = text->is_masked,
                                            .names = names };
    if (projection == NULL) {
        return STATUS_LIMIT;
    }
    choice->projection = projection;
    return projection_parse(arena, &wanted, projection, out_error);
}

enum status choice_parse(struct arena *arena, const struct choice_text *text,
                         const struct rule_vocabulary *names, struct choice *out_choice,
                         struct projection_error *out_error)
{
    struct choice choice = { .root = NULL };
    enum status status = parse_filter(arena, text, names, &choice, out_error);
    if (status == STATUS_OK) {
        status = parse_projection(arena, text, names, &choice, out_error);
    }
    if (status == STATUS_OK) {
        *out_choice = choice;
    }
    return status;
}

/* --- what it rests on -------------------------------------------------------- */

static bool is_tier(const struct message_name *name, struct str rule)
{
    return name->object == MESSAGE_PROFILE && name->rule.attribute == RULE_TIER &&
           str_equal(name->rule.key, rule);
}

static bool template_uses(const struct template *template, struct str rule)
{
    for (size_t i = 0; i < template->part_count; i++) {
        if (template->parts[i].is_name && is_tier(&template->parts[i].name, rule)) {
            return true;
        }
    }
    return false;
}

static bool projection_uses(const struct projection *projection, struct str rule)
{
    for (size_t i = 0; i < projection->name_count; i++) {
        if (is_tier(&projection->names[i], rule)) {
            return true;
        }
    }
    for (size_t i = 0; i < projection->member_count; i++) {
        if (template_uses(&projection->members[i].value, rule)) {
            return true;
        }
    }
    return template_uses(&projection->metric, rule);
}

bool choice_uses_rule(const struct choice *choice, struct str rule)
{
    const struct rule_reads *reads =
        choice->filter != NULL ? rule_program_reads(choice->filter) : NULL;
    for (size_t i = 0; reads != NULL && i < reads->rule_count; i++) {
        if (str_equal(reads->rules[i], rule)) {
            return true;
        }
    }
    return choice->projection != NULL && projection_uses(choice->projection, rule);
}

/* The last word of a key that is a path. */
static struct str last_word(struct str key)
{
    for (ptrdiff_t dot = str_find(key, '.', 0); dot >= 0; dot = str_find(key, '.', 0)) {
        key = str_drop(key, (size_t)dot + 1);
    }
    return key;
}

static bool is_personal(const struct rule_node *node)
{
    switch ((int)node->name.attribute) {
    case RULE_EMAIL:
    case RULE_PHONE:
        return true;
    case RULE_TRAIT:
    case RULE_PREFERENCE:
    case RULE_PROPERTY:
        return mask_kind_of(last_word(node->name.key)) != MASK_NOT;
    default:
        return false;
    }
}

bool choice_asks_person(const struct choice *choice)
{
    const struct rule_node *open[RULE_NODES_MAX + 3] = { choice->root };
    size_t count = choice->root != NULL ? 1 : 0;
    while (count > 0) {
        const struct rule_node *node = open[--count];
        if (node->op == RULE_OP_NAME && is_personal(node)) {
            return true;
        }
        bool is_leaf = node->op == RULE_OP_IS_SET || node->op == RULE_OP_LITERAL;
        if (!is_leaf && node->left != NULL && count < RULE_NODES_MAX) {
            open[count++] = node->left;
        }
        if (!is_leaf && node->right != NULL && count < RULE_NODES_MAX) {
            open[count++] = node->right;
        }
    }
    return false;
}
