#include "base/instant.h"
#include "core/trigger/choice.h"
#include "rule_priv.h"

/*
 * A rule as contract 10 shows it, and what is wrong with one as contract 17
 * does.
 *
 * What a rule refers to, what refers to it and which features it has are read
 * off the compiled set, so that the answer says what is in force. A rule that
 * is not enabled is not in the set and has none of them.
 */

enum {
    COMPILE_ARENA_BYTES = 128 * 1024 * 1024
};

/* --- the compiled set ----------------------------------------------------- */

static enum status find_job(const struct resource_request *request, struct rule_view *view,
                            struct problem *problem)
{
    enum status status = job_open_of(request->pg, request->arena, request->principal->workspace_id,
                                     STR("hydrate"), &view->job, problem);
    view->has_job = status == STATUS_OK;
    return status == STATUS_MISSING ? STATUS_OK : status;
}

static enum status compile(const struct resource_request *request, struct rule_view *view,
                           struct problem *problem)
{
    struct ruleset *ruleset = NULL;
    view->arena = arena_create(COMPILE_ARENA_BYTES);
    if (view->arena == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory");
    }
    enum status status = rule_store_compile(request->pg, view->arena,
                                            request->principal->workspace_id, &ruleset, problem);
    view->ruleset = ruleset;
    return status == STATUS_MISSING ? STATUS_OK : status;
}

enum status rule_view_open(const struct resource_request *request, struct rule_view *view,
                           struct problem *problem)
{
    *view = (struct rule_view){ .registry = request->api->registry };
    enum status status = find_job(request, view, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (view->registry != NULL) {
        view->snapshot = registry_hold(view->registry);
        const struct registry_workspace *workspace =
            snapshot_workspace(view->snapshot, request->principal->workspace_id);
        if (workspace != NULL && workspace->ruleset_count > 0) {
            view->ruleset = workspace->rulesets[workspace->ruleset_count - 1];
            return STATUS_OK;
        }
    }
    return compile(request, view, problem);
}

enum status rule_view_open_saved(const struct resource_request *request,
                                 const struct ruleset *ruleset, struct rule_view *view,
                                 struct problem *problem)
{
    *view = (struct rule_view){ .ruleset = ruleset };
    return find_job(request, view, problem);
}

void rule_view_close(struct rule_view *view)
{
    if (view->snapshot != NULL) {
        registry_release(view->registry, view->snapshot);
        view->snapshot = NULL;
    }
    arena_destroy(view->arena);
    view->arena = NULL;
}

/* --- a rule ----------------------------------------------------------------- */

static void write_cases(struct jsonw *json, const struct rule_definition *definition)
{
    bool has_cases = definition->kind == RULE_KIND_LIFECYCLE || definition->kind == RULE_KIND_TIER;
    if (!has_cases) {
        jsonw_put_str(json, "when", definition->cases[0].when);
        jsonw_put_null(json, "cases");
        return;
    }
    jsonw_put_null(json, "when");
    jsonw_key(json, "cases");
    jsonw_open_array(json);
    for (size_t i = 0; i < definition->case_count; i++) {
        jsonw_open(json);
        jsonw_put_str(json, "value", definition->cases[i].value);
        jsonw_put_str(json, "when", definition->cases[i].when);
        jsonw_close(json);
    }
    jsonw_close_array(json);
}

static void write_hysteresis(struct jsonw *json, const struct rule_definition *definition)
{
    if (definition->kind != RULE_KIND_TIER) {
        jsonw_put_null(json, "hysteresis");
        return;
    }
    char text[24];
    size_t size = rule_number_format(definition->hysteresis, text);
    jsonw_put_raw(json, "hysteresis", (struct str){ text, size });
}

static void write_rule_name(struct jsonw *json, struct str name)
{
    char text[80];
    int size = snprintf(text, sizeof(text), "rule:%.*s", STR_ARG(str_take_text(name, 63)));
    jsonw_str(json, (struct str){ text, size > 0 ? (size_t)size : 0 });
}

static void write_uses(struct jsonw *json, const struct ruleset *ruleset, const struct rule *rule)
{
    jsonw_key(json, "uses");
    jsonw_open_array(json);
    for (size_t i = 0; rule != NULL && i < rule->use_count; i++) {
        write_rule_name(json, ruleset->rules[rule->uses[i]].definition.name);
    }
    jsonw_close_array(json);
}

/* Active subscriptions whose filter or fields name the rule. */
static void write_subscribers(struct jsonw *json, const struct rule_view *view,
                              struct id workspace_id, struct str rule)
{
    const struct registry_workspace *workspace =
        view->snapshot != NULL ? snapshot_workspace(view->snapshot, workspace_id) : NULL;
    for (size_t i = 0; workspace != NULL && i < workspace->interest_count; i++) {
        const struct subscription_interest *interest = &workspace->interests[i];
        const struct choice choice = { .filter = interest->filter,
                                       .projection = interest->projection };
        const struct registry_subscription *subscription =
            snapshot_subscription(view->snapshot, interest->subscription_id);
        if (subscription != NULL && choice_uses_rule(&choice, rule)) {
            char text[80];
            (void)snprintf(text, sizeof(text), "subscription:%.*s",
                           STR_ARG(str_take_text(subscription->name, 63)));
            jsonw_z(json, text);
        }
    }
}

static void write_triggers(struct jsonw *json, const struct rule_view *view, struct id workspace_id,
                           struct str rule)
{
    const struct registry_workspace *workspace =
        view->snapshot != NULL ? snapshot_workspace(view->snapshot, workspace_id) : NULL;
    for (size_t i = 0; workspace != NULL && i < workspace->trigger_count; i++) {
        if (trigger_uses_rule(&workspace->triggers[i], rule)) {
            char text[80];
            (void)snprintf(text, sizeof(text), "trigger:%.*s",
                           STR_ARG(str_take_text(workspace->triggers[i].name, 63)));
            jsonw_z(json, text);
        }
    }
}

static void write_used_by(struct jsonw *json, const struct rule_view *view, struct id workspace_id,
                          const struct rule *rule)
{
    const struct ruleset *ruleset = view->ruleset;
    jsonw_key(json, "used_by");
    jsonw_open_array(json);
    if (rule != NULL) {
        write_subscribers(json, view, workspace_id, rule->definition.name);
        write_triggers(json, view, workspace_id, rule->definition.name);
    }
    for (size_t i = 0; rule != NULL && i < ruleset->rule_count; i++) {
        const struct rule *other = &ruleset->rules[i];
        for (size_t u = 0; u < other->use_count; u++) {
            if (&ruleset->rules[other->uses[u]] == rule) {
                write_rule_name(json, other->definition.name);
            }
        }
    }
    jsonw_close_array(json);
}

static void write_features(struct jsonw *json, const struct ruleset *ruleset,
                           const struct rule *rule)
{
    jsonw_key(json, "features");
    jsonw_open_array(json);
    for (size_t i = 0; rule != NULL && i < rule->feature_count; i++) {
        const struct feature *feature = ruleset_feature(ruleset, rule->features[i]);
        if (feature != NULL) {
            jsonw_str(json, feature->text);
        }
    }
    jsonw_close_array(json);
}

static void write_job(struct jsonw *json, const struct rule_view *view)
{
    jsonw_key(json, "job");
    if (!view->has_job) {
        jsonw_null(json);
        return;
    }
    jsonw_open(json);
    jsonw_put_id(json, "id", view->job.id);
    jsonw_put_str(json, "kind", view->job.kind);
    jsonw_put_z(json, "status", job_status_name(view->job.status));
    jsonw_key(json, "progress");
    jsonw_open(json);
    jsonw_put_i64(json, "done", view->job.done);
    if (view->job.total >= 0) {
        jsonw_put_i64(json, "total", view->job.total);
    } else {
        jsonw_put_null(json, "total");
    }
    jsonw_close(json);
    jsonw_close(json);
}

static void write_derived(struct jsonw *json, const struct rule_row *row,
                          const struct rule_view *view, struct rule_members members)
{
    const struct rule *rule =
        view->ruleset != NULL ? ruleset_rule(view->ruleset, row->definition.name) : NULL;
    write_uses(json, view->ruleset, rule);
    write_used_by(json, view, row->workspace_id, rule);
    write_features(json, view->ruleset, rule);
    jsonw_key(json, "members");
    jsonw_open(json);
    jsonw_put_i64(json, "count", members.count);
    jsonw_put_bool(json, "exact", members.exact);
    jsonw_close(json);
    write_job(json, view);
}

void rule_write_json(struct jsonw *json, const struct rule_row *row, const struct rule_view *view,
                     struct rule_members members, struct str warnings_json)
{
    const struct rule_definition *definition = &row->definition;
    jsonw_open(json);
    jsonw_put_id(json, "id", definition->id);
    jsonw_put_str(json, "name", definition->name);
    jsonw_put_z(json, "kind", rule_kind_name(definition->kind));
    jsonw_put_str(json, "title", definition->title);
    write_cases(json, definition);
    write_hysteresis(json, definition);
    jsonw_put_bool(json, "enabled", definition->enabled);
    jsonw_put_bool(json, "notify_existing", row->notify_version > 0);
    jsonw_key(json, "expose");
    jsonw_open_array(json);
    for (size_t i = 0; i < row->expose_count; i++) {
        jsonw_str(json, row->expose[i]);
    }
    jsonw_close_array(json);
    jsonw_put_bool(json, "shipped", row->shipped);
    jsonw_put_i64(json, "version", definition->version);
    write_derived(json, row, view, members);
    jsonw_put_raw(json, "warnings", warnings_json);
    jsonw_put_instant(json, "created_at", row->created_at_ms);
    jsonw_put_instant(json, "updated_at", row->updated_at_ms);
    jsonw_close(json);
}

/* --- what is wrong ---------------------------------------------------------- */

/* "#/when", "#/cases/1/when", "#/rules/3/cases/0/when"; "#" when the fault is
 * in a rule that was not edited. */
static struct str pointer_of(struct arena *arena, const struct rule_change *changes,
                             const struct rule_fault *fault, bool is_bulk)
{
    if (fault->change_index == SIZE_MAX) {
        return STR("#");
    }
    const struct rule_definition *definition = &changes[fault->change_index].wanted.definition;
    struct str prefix = STR("#");
    if (is_bulk) {
        prefix = str_printf(arena, "#/rules/%zu", fault->change_index);
    }
    if (definition->kind == RULE_KIND_TAG || definition->kind == RULE_KIND_SEGMENT) {
        return str_printf(arena, "%.*s/when", STR_ARG(prefix));
    }
    return str_printf(arena, "%.*s/cases/%zu/when", STR_ARG(prefix), fault->error.case_index);
}

static void write_error(struct jsonw *json, struct str pointer, const struct rule_error *error)
{
    jsonw_open_array(json);
    jsonw_open(json);
    jsonw_put_str(json, "pointer", pointer);
    jsonw_put_z(json, "detail", error->detail);
    jsonw_put_i64(json, "line", error->line);
    jsonw_put_i64(json, "column", error->column);
    jsonw_put_i64(json, "length", error->length);
    jsonw_put_str(json, "found", error->found);
    jsonw_put_z(json, "expected", error->expected);
    jsonw_put_str_or_null(json, "suggestion", str_from_z(error->suggestion));
    jsonw_close(json);
    jsonw_close_array(json);
}

static void write_user(struct jsonw *json, const char *what, struct str name)
{
    char detail[160];
    char used_by[96];
    struct str shown = str_take_text(name, 63);
    (void)snprintf(detail, sizeof(detail), "%s \"%.*s\" refers to it", what, STR_ARG(shown));
    (void)snprintf(used_by, sizeof(used_by), "%s:%.*s", what, STR_ARG(shown));
    jsonw_open(json);
    jsonw_put_z(json, "pointer", "#");
    jsonw_put_z(json, "detail", detail);
    jsonw_put_z(json, "used_by", used_by);
    jsonw_close(json);
}

static void write_users(struct jsonw *json, const struct rule_fault *fault)
{
    jsonw_open_array(json);
    for (size_t i = 0; i < fault->used_by_count; i++) {
        write_user(json, "rule", fault->used_by[i]);
    }
    for (size_t i = 0; i < fault->subscription_count; i++) {
        write_user(json, "subscription", fault->subscriptions[i]);
    }
    for (size_t i = 0; i < fault->trigger_count; i++) {
        write_user(json, "trigger", fault->triggers[i]);
    }
    jsonw_close_array(json);
}

static struct str detail_of(struct arena *arena, const struct rule_fault *fault, struct str pointer)
{
    const struct rule_error *error = &fault->error.error;
    struct str detail = str_from_z(error->detail);
    if (str_equal_z(STR("invalid-expression"), fault->error.type)) {
        detail =
            str_printf(arena, "line %u, column %u: %s", error->line, error->column, error->detail);
    }
    if (fault->change_index == SIZE_MAX) {
        return str_printf(arena, "rule \"%.*s\" would not hold any more: %.*s",
                          STR_ARG(fault->rule), STR_ARG(detail));
    }
    return str_printf(arena, "%.*s, %.*s", STR_ARG(pointer), STR_ARG(detail));
}

void rule_fault_write(const struct resource_request *request, const struct rule_change *changes,
                      const struct rule_fault *fault, bool is_bulk,
                      struct resource_answer *out_answer, struct problem *problem)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    if (fault->used_by_count + fault->subscription_count + fault->trigger_count > 0) {
        write_users(&json, fault);
    } else if (fault->rule.size > 0) {
        struct str pointer = pointer_of(request->arena, changes, fault, is_bulk);
        write_error(&json, pointer, &fault->error.error);
        (void)problem_set(problem, STATUS_INVALID, fault->error.type, "%.*s",
                          STR_ARG(detail_of(request->arena, fault, pointer)));
    } else {
        return;
    }
    out_answer->errors_json = buf_str(&buf);
}

enum status rule_error_refuse(const struct resource_request *request, struct str pointer,
                              const struct rule_error *error, const char *type,
                              struct resource_answer *out_answer, struct problem *problem)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    write_error(&json, pointer, error);
    out_answer->errors_json = buf_str(&buf);
    return problem_set(problem, STATUS_INVALID, type, "%.*s, line %u, column %u: %s",
                       STR_ARG(pointer), error->line, error->column, error->detail);
}
