#include <jansson.h>

#include "base/limits.h"
#include "rule_priv.h"

/*
 * Reading a rule from JSON.
 *
 * What an answer carries may come back (a rule is kept in git as `rule show`
 * printed it), so members that only answers have are taken and ignored. What
 * this version cannot honour is refused with words.
 */

static const char *const FIELDS[] = {
    "name",
    "kind",
    "title",
    "when",
    "cases",
    "hysteresis",
    "enabled",
    "notify_existing",
    "expose",
    /* Of answers only. */
    "id",
    "shipped",
    "version",
    "uses",
    "used_by",
    "features",
    "members",
    "job",
    "warnings",
    "created_at",
    "updated_at",
};

static const char *const CASE_FIELDS[] = { "value", "when" };

enum {
    EXPOSE_MAX = 20
};

static void read_kind(struct document *document, struct rule_definition *definition)
{
    document_need(document, "kind");
    struct str name = document_text(document, "kind", LIMIT_NAME_BYTES);
    if (document->status != STATUS_OK) {
        return;
    }
    definition->kind = rule_kind_from_name(name);
    if (definition->kind == 0) {
        document_fail(document, "kind", "invalid-field",
                      "kind is \"tag\", \"segment\", \"lifecycle\" or \"tier\"");
    }
}

static bool has_cases(const struct rule_definition *definition)
{
    return definition->kind == RULE_KIND_LIFECYCLE || definition->kind == RULE_KIND_TIER;
}

static void read_when(struct document *document, struct rule_definition *definition)
{
    if (document_has(document, "cases")) {
        document_fail(document, "cases", "invalid-field",
                      "a tag or segment has one \"when\"; \"cases\" are a lifecycle's or tier's");
    }
    document_need(document, "when");
    struct rule_case *only = ARENA_NEW(document->arena, struct rule_case);
    if (only == NULL) {
        document->status =
            problem_set(document->problem, STATUS_LIMIT, "limit-reached", "the rule is too big");
        return;
    }
    *only = (struct rule_case){ .value = STR(""),
                                .when = document_text(document, "when", RULE_TEXT_BYTES_MAX) };
    definition->cases = only;
    definition->case_count = 1;
}

/* One {"value", "when"}; a fault in it is told as one of the whole document. */
static void read_case(struct document *document, size_t index, struct rule_case *out_case)
{
    json_t *item = json_array_get(json_object_get(document->root, "cases"), index);
    struct document CLEANUP(document_close) part = { .root = NULL };
    struct problem problem = { .type = "" };
    if (!json_is_object(item)) {
        document_fail(document, "cases", "invalid-field",
                      "cases[%zu] is not an object {\"value\", \"when\"}", index);
        return;
    }
    document_wrap(&part, document->arena, json_incref(item), &problem);
    document_allow(&part, CASE_FIELDS, ARRAY_COUNT(CASE_FIELDS));
    struct rule_case read = { .value = document_name(&part, "value") };
    document_need(&part, "when");
    read.when = document_text(&part, "when", RULE_TEXT_BYTES_MAX);
    if (part.status != STATUS_OK) {
        struct str pointer = str_drop(str_from_z(problem.pointer), 2);
        struct str name = str_printf(document->arena, "cases/%zu/%.*s", index, STR_ARG(pointer));
        const char *name_z = str_dup_z(document->arena, name);
        document_fail(document, name_z != NULL ? name_z : "cases", problem.type, "%s",
                      problem.detail);
        return;
    }
    *out_case = read;
}

static void check_values(struct document *document, const struct rule_case *cases, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (str_equal(cases[i].value, cases[k].value)) {
                document_fail(document, "cases", "invalid-field",
                              "cases[%zu] and cases[%zu] have the same value \"%.*s\"", k, i,
                              STR_ARG(cases[i].value));
            }
        }
    }
}

static void read_cases(struct document *document, struct rule_definition *definition)
{
    if (document_has(document, "when")) {
        document_fail(document, "when", "invalid-field",
                      "a lifecycle or tier has \"cases\", each with its own \"when\"");
    }
    document_need(document, "cases");
    if (document->status != STATUS_OK) {
        return;
    }
    const json_t *array = json_object_get(document->root, "cases");
    size_t count = json_array_size(array);
    if (!json_is_array(array) || count == 0 || count > RULE_CASES_MAX) {
        document_fail(document, "cases", "invalid-field",
                      "cases is a list of 1 to %d objects {\"value\", \"when\"}", RULE_CASES_MAX);
        return;
    }
    struct rule_case *cases = ARENA_NEW_ARRAY(document->arena, count, struct rule_case);
    for (size_t i = 0; cases != NULL && i < count; i++) {
        read_case(document, i, &cases[i]);
    }
    if (cases == NULL) {
        document->status =
            problem_set(document->problem, STATUS_LIMIT, "limit-reached", "the rule is too big");
        return;
    }
    if (document->status == STATUS_OK) {
        check_values(document, cases, count);
    }
    definition->cases = cases;
    definition->case_count = count;
}

/* 0.02 as millionths. */
static void read_hysteresis(struct document *document, struct rule_definition *definition)
{
    if (document->status != STATUS_OK || !document_has(document, "hysteresis")) {
        return;
    }
    const json_t *value = json_object_get(document->root, "hysteresis");
    double number = json_is_number(value) ? json_number_value(value) : -1.0;
    if (definition->kind != RULE_KIND_TIER) {
        document_fail(document, "hysteresis", "invalid-field", "hysteresis is a tier's");
    } else if (!(number >= 0.0 && number <= 0.5)) {
        document_fail(document, "hysteresis", "invalid-field",
                      "hysteresis is a number from 0 to 0.5, like 0.02");
    } else {
        definition->hysteresis = (int64_t)(number * 1e6 + 0.5);
    }
}

static void read_expose(struct document *document, struct rule_row *row)
{
    struct str *sources = NULL;
    row->expose_count = document_texts(document, "expose", EXPOSE_MAX, &sources);
    row->expose = sources;
}

static void read_all(struct document *document, const struct rule_reading *reading,
                     struct rule_row *row)
{
    struct rule_definition *definition = &row->definition;
    document_allow(document, FIELDS, ARRAY_COUNT(FIELDS));
    if (reading->is_named || document_has(document, "name")) {
        definition->name = document_name(document, "name");
    } else {
        definition->name = reading->name;
    }
    if (!reading->is_named && document->status == STATUS_OK &&
        !str_equal(definition->name, reading->name)) {
        document_fail(document, "name", "invalid-field", "a rule's name never changes");
    }
    read_kind(document, definition);
    definition->title = document_text(document, "title", LIMIT_TEXT_BYTES);
    definition->enabled = document_bool(document, "enabled", true);
    if (document->status == STATUS_OK && has_cases(definition)) {
        read_cases(document, definition);
    } else if (document->status == STATUS_OK) {
        read_when(document, definition);
    }
    read_hysteresis(document, definition);
    read_expose(document, row);
}

enum status rule_read(const struct resource_request *request, const struct rule_reading *reading,
                      struct rule_change *out_change, struct problem *problem)
{
    struct document CLEANUP(document_close) document = { .root = NULL };
    struct rule_change change = { .action = RULE_PUT };
    struct problem own = { .type = "" };
    document_wrap(&document, request->arena, reading->root_taken, &own);
    read_all(&document, reading, &change.wanted);
    change.notifies = document_bool(&document, "notify_existing", false);
    if (document.status != STATUS_OK) {
        struct str pointer = str_drop(str_from_z(own.pointer), 2);
        enum status status = problem_set(problem, document.status, own.type, "%s", own.detail);
        problem_point(problem, "#/%s%.*s", reading->prefix, STR_ARG(pointer));
        return status;
    }
    *out_change = change;
    return STATUS_OK;
}
