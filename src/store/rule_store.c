#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/instant.h"
#include "core/trigger/choice.h"
#include "rule_store_priv.h"
#include "store/job_store.h"
#include "store/subscription_store.h"
#include "store/trigger_store.h"
#include "store/workspace.h"

/*
 * How edits become a version.
 *
 * Problem: a rule is right only among the others (it refers to them, shares
 * features with them, and has its place in the state of a million profiles),
 * two people may save at once, and instances must not disagree on what a
 * version means.
 *
 * Invariant: under the lock of the workspace's row, the whole new set is
 * compiled before a single row is written; so a version that exists compiles.
 * Versions ascend by one; slots and feature numbers are given once. An edit
 * that changes no meaning (a title) makes no version: a version is what a
 * million profiles must be brought up to. The job that does so replaces an
 * older one, because it goes to the newest version anyway.
 *
 * Rejected: compiling the one rule alone (limits on features and state, and
 * circles, are properties of the set), and one version per rule (a batch of
 * edits from git would be a thousand hydrations).
 */

enum {
    SHIP_ARENA_BYTES = 128 * 1024 * 1024,
    SHIP_PAGE = 100,
    FORMER_ARENA_BYTES = 128 * 1024 * 1024,
};

static const struct pg_statement rule_lock_sql = {
    "rule_lock",
    "SELECT time_zone FROM workspace WHERE id = $1 FOR NO KEY UPDATE",
};

static const struct pg_statement rule_has_profiles_sql = {
    "rule_has_profiles",
    "SELECT EXISTS (SELECT 1 FROM profile WHERE workspace_id = $1)",
};

static const struct pg_statement rule_unshipped_sql = {
    "rule_unshipped",
    "SELECT w.id FROM workspace w LEFT JOIN LATERAL (SELECT s.time_zone FROM ruleset s"
    " WHERE s.workspace_id = w.id ORDER BY s.version DESC LIMIT 1) s ON true"
    " WHERE s.time_zone IS DISTINCT FROM w.time_zone ORDER BY w.id LIMIT $1",
};

/* One save at work. `rules` are all of the workspace, as they will be. */
struct saving {
    struct pg *pg;
    struct arena *arena;
    struct id workspace_id;
    int64_t now_ms;
    const struct rule_change *changes;
    size_t change_count;
    struct str time_zone; /* the workspace's */
    struct rule_row *former;
    size_t former_count;
    struct rule_row *rules;
    size_t rule_count;
    struct ruleset_head head;
    struct rule_outcome *outcomes;
    struct rule_fault *fault;
    struct problem *problem;
};

static enum status too_big(struct saving *saving)
{
    return problem_set(saving->problem, STATUS_LIMIT, "limit-reached",
                       "the rules do not fit into memory");
}

/* --- reading -------------------------------------------------------------- */

static enum status lock_workspace(struct saving *saving)
{
    struct pg_params params;
    pg_params_init(&params, saving->arena);
    pg_put_id(&params, saving->workspace_id);
    struct pg_result *rows = NULL;
    enum status status =
        pg_run(saving->pg, saving->arena, &rule_lock_sql, &params, &rows, saving->problem);
    if (status == STATUS_OK && pg_row_count(rows) == 0) {
        return problem_set(saving->problem, STATUS_MISSING, "object-not-found",
                           "the workspace is gone");
    }
    if (status == STATUS_OK) {
        saving->time_zone = pg_get_text(rows, 0, 0);
    }
    return status;
}

static enum status load(struct saving *saving)
{
    enum status status = lock_workspace(saving);
    if (status == STATUS_OK) {
        status = rule_rows_read(saving->pg, saving->arena, saving->workspace_id, &saving->former,
                                &saving->former_count, saving->problem);
    }
    if (status == STATUS_OK) {
        status = ruleset_head_read(saving->pg, saving->arena, saving->workspace_id, &saving->head,
                                   saving->problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    size_t capacity = saving->former_count + saving->change_count;
    saving->rules = ARENA_NEW_ARRAY(saving->arena, capacity, struct rule_row);
    saving->outcomes = ARENA_NEW_ARRAY(saving->arena, saving->change_count, struct rule_outcome);
    if (saving->rules == NULL || saving->outcomes == NULL) {
        return too_big(saving);
    }
    for (size_t i = 0; i < saving->former_count; i++) {
        saving->rules[i] = saving->former[i];
    }
    saving->rule_count = saving->former_count;
    return STATUS_OK;
}

/* --- what an edit changes --------------------------------------------------- */

static struct rule_row *find_rule(struct saving *saving, struct str name)
{
    for (size_t i = 0; i < saving->rule_count; i++) {
        if (str_equal(saving->rules[i].definition.name, name)) {
            return &saving->rules[i];
        }
    }
    return NULL;
}

static bool means_the_same(const struct rule_definition *a, const struct rule_definition *b)
{
    bool is_same = a->case_count == b->case_count && a->hysteresis == b->hysteresis &&
                   a->enabled == b->enabled;
    for (size_t i = 0; i < a->case_count && is_same; i++) {
        is_same = str_equal(a->cases[i].value, b->cases[i].value) &&
                  str_equal(a->cases[i].when, b->cases[i].when);
    }
    return is_same;
}

static bool is_labelled_the_same(const struct rule_row *a, const struct rule_row *b)
{
    bool is_same =
        str_equal(a->definition.title, b->definition.title) && a->expose_count == b->expose_count;
    for (size_t i = 0; i < a->expose_count && is_same; i++) {
        is_same = str_equal(a->expose[i], b->expose[i]);
    }
    return is_same;
}

/* A profile has one lifecycle, and one column for it. */
static enum status check_lifecycle(struct saving *saving, const struct rule_definition *wanted)
{
    if (wanted->kind != RULE_KIND_LIFECYCLE) {
        return STATUS_OK;
    }
    for (size_t i = 0; i < saving->rule_count; i++) {
        const struct rule_definition *other = &saving->rules[i].definition;
        if (other->kind == RULE_KIND_LIFECYCLE && !str_equal(other->name, wanted->name)) {
            enum status status =
                problem_set(saving->problem, STATUS_INVALID, "invalid-field",
                            "a workspace has one lifecycle, and \"%.*s\" is it; change that one",
                            STR_ARG(other->name));
            problem_point(saving->problem, "#/kind");
            return status;
        }
    }
    return STATUS_OK;
}

/* Of a save that gives the rule a meaning; the one before it rings no more. */
static void set_notify(const struct saving *saving, const struct rule_change *change,
                       struct rule_row *rule)
{
    rule->notify_version = change->notifies ? saving->head.version + 1 : 0;
    rule->notify_at_ms = change->notifies ? saving->now_ms : INSTANT_NONE;
}

static enum status add_rule(struct saving *saving, const struct rule_change *change,
                            struct rule_outcome *outcome)
{
    enum status status = check_lifecycle(saving, &change->wanted.definition);
    if (status != STATUS_OK) {
        return status;
    }
    if (saving->rule_count >= RULESET_RULES_MAX) {
        return problem_set(saving->problem, STATUS_INVALID, "limit-reached",
                           "at most %d rules in a workspace", RULESET_RULES_MAX);
    }
    struct rule_row *rule = &saving->rules[saving->rule_count++];
    *rule = change->wanted;
    rule->workspace_id = saving->workspace_id;
    rule->definition.id = id_create();
    rule->definition.slot = saving->head.next_slot++;
    rule->definition.version = 1;
    rule->definition.since_version = saving->head.version + 1;
    rule->created_at_ms = saving->now_ms;
    rule->updated_at_ms = saving->now_ms;
    set_notify(saving, change, rule);
    *outcome = (struct rule_outcome){ .effect = RULE_CREATED, .row = *rule };
    return STATUS_OK;
}

static enum status replace_rule(struct saving *saving, struct rule_row *rule,
                                const struct rule_change *change, struct rule_outcome *outcome)
{
    const struct rule_row *wanted = &change->wanted;
    struct rule_definition *definition = &rule->definition;
    if (definition->kind != wanted->definition.kind) {
        enum status status =
            problem_set(saving->problem, STATUS_INVALID, "invalid-field",
                        "\"%.*s\" is a %s, and a rule's kind never changes; delete it first",
                        STR_ARG(definition->name), rule_kind_name(definition->kind));
        problem_point(saving->problem, "#/kind");
        return status;
    }
    bool has_meaning = means_the_same(definition, &wanted->definition);
    *outcome = (struct rule_outcome){ .effect = RULE_UNCHANGED };
    if (!has_meaning || !is_labelled_the_same(rule, wanted)) {
        outcome->effect = has_meaning ? RULE_RETITLED : RULE_CHANGED;
        definition->title = wanted->definition.title;
        definition->cases = wanted->definition.cases;
        definition->case_count = wanted->definition.case_count;
        definition->hysteresis = wanted->definition.hysteresis;
        definition->enabled = wanted->definition.enabled;
        definition->version++;
        definition->since_version =
            has_meaning ? definition->since_version : saving->head.version + 1;
        rule->expose = wanted->expose;
        rule->expose_count = wanted->expose_count;
        rule->updated_at_ms = saving->now_ms;
    }
    if (outcome->effect == RULE_CHANGED) {
        set_notify(saving, change, rule);
    }
    outcome->row = *rule;
    return STATUS_OK;
}

static void remove_rule(struct saving *saving, struct rule_row *rule, struct rule_outcome *outcome)
{
    *outcome = (struct rule_outcome){ .effect = RULE_DELETED, .row = *rule };
    size_t after = (size_t)(&saving->rules[saving->rule_count] - rule) - 1;
    memmove(rule, rule + 1, after * sizeof(*rule));
    saving->rule_count--;
}

static enum status check_expected(struct saving *saving, const struct rule_row *rule,
                                  const struct rule_change *change)
{
    if (change->expected_version == 0) {
        return STATUS_OK;
    }
    if (rule == NULL) {
        return problem_set(saving->problem, STATUS_CONFLICT, "etag-mismatch",
                           "there is no such rule yet");
    }
    int64_t version = rule->definition.version;
    if (change->expected_version > 0 && change->expected_version != version) {
        return problem_set(saving->problem, STATUS_CONFLICT, "etag-mismatch",
                           "the object is at version \"%lld\"", (long long)version);
    }
    return STATUS_OK;
}

static enum status name_taken(struct saving *saving, const struct rule_row *rule, const char *whose)
{
    enum status status =
        problem_set(saving->problem, STATUS_CONFLICT, "name-taken", "there is a rule \"%.*s\" %s",
                    STR_ARG(rule->definition.name), whose);
    problem_point(saving->problem, "#/name");
    return status;
}

static enum status apply_change(struct saving *saving, size_t index)
{
    const struct rule_change *change = &saving->changes[index];
    struct rule_outcome *outcome = &saving->outcomes[index];
    struct rule_row *rule = find_rule(saving, change->wanted.definition.name);
    saving->fault->change_index = index;
    enum status status = check_expected(saving, rule, change);
    if (status != STATUS_OK) {
        return status;
    }
    if (change->action == RULE_DELETE) {
        if (rule == NULL) {
            return STATUS_MISSING;
        }
        remove_rule(saving, rule, outcome);
        return STATUS_OK;
    }
    if (rule == NULL) {
        return add_rule(saving, change, outcome);
    }
    if (change->action == RULE_CREATE) {
        return name_taken(saving, rule, "already");
    }
    if (change->wanted.shipped && !rule->shipped) {
        return name_taken(saving, rule, "of your own; nothing was restored over it");
    }
    return replace_rule(saving, rule, change, outcome);
}

static enum status apply_changes(struct saving *saving)
{
    for (size_t i = 0; i < saving->change_count; i++) {
        enum status status = apply_change(saving, i);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

/* --- compiling ------------------------------------------------------------ */

/* The rules, and behind them the conditions of triggers. */
static enum status definitions_of(struct saving *saving, struct rule_definition **out_definitions,
                                  size_t *out_count)
{
    struct rule_definition *conditions = NULL;
    size_t condition_count = 0;
    enum status status = trigger_conditions(saving->pg, saving->arena, saving->workspace_id,
                                            &conditions, &condition_count, saving->problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = saving->rule_count + condition_count;
    struct rule_definition *definitions =
        ARENA_NEW_ARRAY(saving->arena, count, struct rule_definition);
    if (definitions == NULL) {
        return too_big(saving);
    }
    for (size_t i = 0; i < saving->rule_count; i++) {
        definitions[i] = saving->rules[i].definition;
    }
    for (size_t i = 0; i < condition_count; i++) {
        definitions[saving->rule_count + i] = conditions[i];
    }
    *out_definitions = definitions;
    *out_count = count;
    return STATUS_OK;
}

static size_t change_of(const struct saving *saving, struct str name)
{
    for (size_t i = 0; i < saving->change_count; i++) {
        if (str_equal(saving->changes[i].wanted.definition.name, name)) {
            return i;
        }
    }
    return SIZE_MAX;
}

static enum status report(struct saving *saving, const struct ruleset_error *error)
{
    struct str name = { NULL, 0 };
    if (error->rule < saving->rule_count) {
        name = saving->rules[error->rule].definition.name;
    }
    saving->fault->error = *error;
    saving->fault->rule = name;
    saving->fault->change_index = change_of(saving, name);
    return problem_set(saving->problem, STATUS_INVALID, error->type, "%s", error->error.detail);
}

static enum status refuse_broken(struct saving *saving, struct str *names, size_t count)
{
    saving->fault->triggers = names;
    saving->fault->trigger_count = count;
    return problem_set(saving->problem, STATUS_CONFLICT, "rule-in-use",
                       "trigger \"%.*s\"%s says a name that would be gone", STR_ARG(names[0]),
                       count > 1 ? " (and others)" : "");
}

/* A trigger's condition stood among the rules before: this save takes a name away. */
static enum status report_condition(struct saving *saving, struct str trigger)
{
    struct str *names = ARENA_NEW_ARRAY(saving->arena, 1, struct str);
    if (names == NULL) {
        return too_big(saving);
    }
    names[0] = trigger;
    return refuse_broken(saving, names, 1);
}

static enum status build(struct saving *saving, struct ruleset **out_ruleset)
{
    struct rule_definition *definitions = NULL;
    size_t count = 0;
    enum status status = definitions_of(saving, &definitions, &count);
    if (status != STATUS_OK) {
        return status;
    }
    struct ruleset_error error = { .type = "invalid-expression" };
    status = ruleset_build(saving->arena, saving->head.version + 1, definitions, count,
                           saving->head.known, saving->head.known_count, &saving->head.next_feature,
                           out_ruleset, &error);
    if (status == STATUS_LIMIT) {
        return too_big(saving);
    }
    bool is_of_trigger = error.rule >= saving->rule_count && error.rule < count;
    if (status != STATUS_OK && is_of_trigger && saving->change_count > 0) {
        return report_condition(saving, definitions[error.rule].name);
    }
    if (status != STATUS_OK) {
        return report(saving, &error);
    }
    return ruleset_set_zone(saving->arena, *out_ruleset, saving->time_zone) ? STATUS_OK
                                                                            : too_big(saving);
}

/* --- deleting ------------------------------------------------------------- */

static bool is_deleted(const struct saving *saving, struct str name)
{
    size_t index = change_of(saving, name);
    return index != SIZE_MAX && saving->changes[index].action == RULE_DELETE;
}

/* The rules that stay and refer to `name`, by the former set, which does not
 * outlive this: names are copied. */
static enum status find_users(struct saving *saving, const struct ruleset *former, struct str name,
                              size_t change_index)
{
    struct str *users = ARENA_NEW_ARRAY(saving->arena, former->rule_count, struct str);
    size_t count = 0;
    if (users == NULL) {
        return too_big(saving);
    }
    for (size_t i = 0; i < former->rule_count; i++) {
        const struct rule *rule = &former->rules[i];
        bool uses = false;
        for (size_t u = 0; u < rule->use_count && !uses; u++) {
            uses = str_equal(former->rules[rule->uses[u]].definition.name, name);
        }
        if (uses && !is_deleted(saving, rule->definition.name)) {
            users[count++] = str_dup(saving->arena, rule->definition.name);
        }
    }
    if (count == 0) {
        return STATUS_OK;
    }
    saving->fault->used_by = users;
    saving->fault->used_by_count = count;
    saving->fault->change_index = change_index;
    return problem_set(saving->problem, STATUS_CONFLICT, "rule-in-use",
                       "\"%.*s\" is used by rule \"%.*s\"%s", STR_ARG(name), STR_ARG(users[0]),
                       count > 1 ? " and others" : "");
}

/* The subscriptions whose filter or fields say a name that this save takes away. */
static enum status check_subscriptions(struct saving *saving, const struct ruleset *ruleset)
{
    struct subscription_rules rules = { .workspace_id = saving->workspace_id };
    struct rule_known *before =
        ARENA_NEW_ARRAY(saving->arena, saving->former_count + 1, struct rule_known);
    struct str *names = NULL;
    size_t count = 0;
    if (before == NULL || !choice_vocabulary(saving->arena, ruleset, &rules.after)) {
        return too_big(saving);
    }
    rules.before = (struct rule_vocabulary){ RULE_CONTEXT_FILTER, before, 0 };
    for (size_t i = 0; i < saving->former_count; i++) {
        const struct rule_definition *definition = &saving->former[i].definition;
        if (definition->enabled) {
            before[rules.before.rule_count++] =
                (struct rule_known){ definition->name, definition->kind };
        }
    }
    enum status status = subscription_find_broken(saving->pg, saving->arena, &rules, &names, &count,
                                                  saving->problem);
    if (status != STATUS_OK || count == 0) {
        return status;
    }
    saving->fault->subscriptions = names;
    saving->fault->subscription_count = count;
    return problem_set(saving->problem, STATUS_CONFLICT, "rule-in-use",
                       "subscription \"%.*s\"%s says a name that would be gone", STR_ARG(names[0]),
                       count > 1 ? " (and others)" : "");
}

/* And the triggers. */
static enum status check_triggers(struct saving *saving, const struct ruleset *ruleset)
{
    struct str *names = NULL;
    size_t count = 0;
    enum status status = trigger_find_broken(saving->pg, saving->arena, saving->workspace_id,
                                             ruleset, &names, &count, saving->problem);
    return status == STATUS_OK && count > 0 ? refuse_broken(saving, names, count) : status;
}

static bool deletes_any(const struct saving *saving)
{
    for (size_t i = 0; i < saving->change_count; i++) {
        if (saving->changes[i].action == RULE_DELETE) {
            return true;
        }
    }
    return false;
}

/* In an arena of its own: a large set compiled twice is more than a request
 * may hold. */
static enum status check_deletions(struct saving *saving)
{
    if (!deletes_any(saving)) {
        return STATUS_OK;
    }
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(FORMER_ARENA_BYTES);
    if (arena == NULL) {
        return problem_set(saving->problem, STATUS_BROKEN, "internal", "no memory");
    }
    struct ruleset *former = NULL;
    enum status status =
        rule_store_compile(saving->pg, arena, saving->workspace_id, &former, saving->problem);
    for (size_t i = 0; i < saving->change_count && status == STATUS_OK; i++) {
        if (saving->changes[i].action == RULE_DELETE) {
            status = find_users(saving, former, saving->changes[i].wanted.definition.name, i);
        }
    }
    return status;
}

/* --- writing -------------------------------------------------------------- */

static enum status write_row(struct saving *saving, const struct rule_outcome *outcome)
{
    struct pg *pg = saving->pg;
    struct arena *arena = saving->arena;
    switch (outcome->effect) {
    case RULE_CREATED:
        return rule_row_insert(pg, arena, &outcome->row, saving->problem);
    case RULE_RETITLED:
    case RULE_CHANGED:
        return rule_row_update(pg, arena, &outcome->row, saving->problem);
    case RULE_DELETED:
        return rule_row_delete(pg, arena, saving->workspace_id, outcome->row.definition.id,
                               saving->problem);
    case RULE_UNCHANGED:
        break;
    }
    return STATUS_OK;
}

static enum status queue_hydration(struct saving *saving, int64_t version, struct id *out_job_id)
{
    struct pg_params params;
    struct pg_result *rows = NULL;
    pg_params_init(&params, saving->arena);
    pg_put_id(&params, saving->workspace_id);
    enum status status =
        pg_run(saving->pg, saving->arena, &rule_has_profiles_sql, &params, &rows, saving->problem);
    if (status != STATUS_OK || !pg_get_bool(rows, 0, 0)) {
        return status;
    }
    struct job job = {
        .workspace_id = saving->workspace_id,
        .id = id_create(),
        .kind = STR("hydrate"),
        .parameters_json =
            str_printf(saving->arena, "{\"ruleset_version\":%lld}", (long long)version),
        .total = -1,
        .created_at_ms = saving->now_ms,
    };
    status = job_supersede(saving->pg, saving->arena, saving->workspace_id, job.kind,
                           saving->now_ms, saving->problem);
    if (status == STATUS_OK) {
        status = job_create(saving->pg, saving->arena, &job, saving->problem);
    }
    if (status == STATUS_OK) {
        *out_job_id = job.id;
    }
    return status;
}

static bool is_rezoned(const struct saving *saving)
{
    return !str_equal(saving->head.time_zone, saving->time_zone);
}

static bool changes_meaning(const struct saving *saving)
{
    bool is_changed = saving->head.version == 0 || is_rezoned(saving);
    for (size_t i = 0; i < saving->change_count; i++) {
        enum rule_effect effect = saving->outcomes[i].effect;
        is_changed = is_changed || effect == RULE_CREATED || effect == RULE_CHANGED ||
                     effect == RULE_DELETED;
    }
    return is_changed;
}

static enum status write_version(struct saving *saving, const struct ruleset *ruleset,
                                 struct id *out_job_id)
{
    enum status status = ruleset_insert(saving->pg, saving->arena, saving->workspace_id, ruleset,
                                        &saving->head, saving->now_ms, saving->problem);
    return status == STATUS_OK ? queue_hydration(saving, ruleset->version, out_job_id) : status;
}

static enum status write_all(struct saving *saving, const struct ruleset *ruleset,
                             struct id *out_job_id)
{
    for (size_t i = 0; i < saving->change_count; i++) {
        enum status status = write_row(saving, &saving->outcomes[i]);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return changes_meaning(saving) ? write_version(saving, ruleset, out_job_id) : STATUS_OK;
}

enum status rule_store_save(struct pg *pg, struct arena *arena, struct id workspace_id,
                            const struct rule_change *changes, size_t count, int64_t now_ms,
                            struct rule_saved *out_saved, struct rule_fault *out_fault,
                            struct problem *problem)
{
    struct rule_fault fault = { .change_index = SIZE_MAX };
    struct saving saving = {
        .pg = pg,
        .arena = arena,
        .workspace_id = workspace_id,
        .now_ms = now_ms,
        .changes = changes,
        .change_count = count,
        .fault = &fault,
        .problem = problem,
    };
    struct ruleset *ruleset = NULL;
    struct id job_id = ID_ZERO;
    enum status status = load(&saving);
    if (status == STATUS_OK) {
        status = check_deletions(&saving);
    }
    if (status == STATUS_OK) {
        status = apply_changes(&saving);
    }
    if (status == STATUS_OK) {
        status = changes_meaning(&saving)
                     ? build(&saving, &ruleset)
                     : rule_store_compile(pg, arena, workspace_id, &ruleset, problem);
    }
    if (status == STATUS_OK && changes_meaning(&saving)) {
        status = check_subscriptions(&saving, ruleset);
    }
    if (status == STATUS_OK && changes_meaning(&saving)) {
        status = check_triggers(&saving, ruleset);
    }
    if (status == STATUS_OK) {
        status = write_all(&saving, ruleset, &job_id);
    }
    if (status != STATUS_OK) {
        *out_fault = fault;
        return status;
    }
    *out_saved = (struct rule_saved){
        .outcomes = saving.outcomes,
        .ruleset = ruleset,
        .former_version = saving.head.version,
        .job_id = job_id,
    };
    return STATUS_OK;
}

enum status rule_store_keep(struct pg *pg, struct arena *arena, struct id workspace_id,
                            int64_t now_ms, struct ruleset_error *out_error,
                            struct problem *problem)
{
    struct rule_fault fault = { .change_index = SIZE_MAX };
    struct saving saving = {
        .pg = pg,
        .arena = arena,
        .workspace_id = workspace_id,
        .now_ms = now_ms,
        .fault = &fault,
        .problem = problem,
    };
    struct ruleset *ruleset = NULL;
    struct id job_id = ID_ZERO;
    enum status status = load(&saving);
    if (status == STATUS_OK) {
        status = build(&saving, &ruleset);
    }
    if (status == STATUS_OK) {
        status = write_version(&saving, ruleset, &job_id);
    }
    if (status == STATUS_INVALID) {
        *out_error = fault.error;
    }
    return status;
}

/* --- what every workspace starts with --------------------------------------- */

static struct rule_row shipped_row(const struct rule_definition *definition)
{
    struct rule_row row = { .definition = *definition, .shipped = true };
    row.definition.enabled = true;
    return row;
}

enum status rule_store_shipped(struct str name, struct rule_row *out_rule)
{
    for (size_t i = 0; rule_shipped(i) != NULL; i++) {
        if (str_equal(rule_shipped(i)->name, name)) {
            *out_rule = shipped_row(rule_shipped(i));
            return STATUS_OK;
        }
    }
    return STATUS_MISSING;
}

enum status rule_store_ship(struct pg *pg, struct arena *arena, struct id workspace_id,
                            int64_t now_ms, struct problem *problem)
{
    struct saving saving = {
        .pg = pg, .arena = arena, .workspace_id = workspace_id, .problem = problem
    };
    enum status status = lock_workspace(&saving);
    if (status == STATUS_OK) {
        status = ruleset_head_read(pg, arena, workspace_id, &saving.head, problem);
    }
    bool is_shipped = saving.head.version > 0;
    if (status != STATUS_OK || (is_shipped && !is_rezoned(&saving))) {
        return status;
    }
    size_t count = 0;
    while (!is_shipped && rule_shipped(count) != NULL) {
        count++;
    }
    struct rule_change *changes = ARENA_NEW_ARRAY(arena, count + 1, struct rule_change);
    if (changes == NULL) {
        return too_big(&saving);
    }
    for (size_t i = 0; i < count; i++) {
        changes[i] =
            (struct rule_change){ .action = RULE_PUT, .wanted = shipped_row(rule_shipped(i)) };
    }
    struct rule_saved saved;
    struct rule_fault fault;
    return rule_store_save(pg, arena, workspace_id, changes, count, now_ms, &saved, &fault,
                           problem);
}

static enum status ship_one(struct pg *pg, struct arena *arena, struct id workspace_id,
                            int64_t now_ms, struct problem *problem)
{
    enum status status = pg_run(pg, arena, &pg_begin, NULL, NULL, problem);
    if (status == STATUS_OK) {
        status = rule_store_ship(pg, arena, workspace_id, now_ms, problem);
    }
    if (status == STATUS_OK) {
        status = workspace_touch(pg, arena, workspace_id, problem);
    }
    if (status == STATUS_OK) {
        status = pg_run(pg, arena, &pg_commit, NULL, NULL, problem);
    }
    if (status != STATUS_OK) {
        pg_reset(pg);
    }
    return status;
}

static enum status unshipped(struct pg *pg, struct arena *arena, struct pg_result **out_rows,
                             struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_i64(&params, SHIP_PAGE);
    return pg_run(pg, arena, &rule_unshipped_sql, &params, out_rows, problem);
}

enum status rule_store_ship_all(struct pg *pg, int64_t now_ms, size_t *out_count,
                                struct problem *problem)
{
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(SHIP_ARENA_BYTES);
    CLEANUP(arena_destroy_at) struct arena *list = arena_create(SHIP_ARENA_BYTES);
    if (arena == NULL || list == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory");
    }
    size_t done = 0;
    for (;;) {
        struct pg_result *rows = NULL;
        arena_reset(list);
        enum status status = unshipped(pg, list, &rows, problem);
        for (size_t i = 0; status == STATUS_OK && i < pg_row_count(rows); i++) {
            arena_reset(arena);
            status = ship_one(pg, arena, pg_get_id(rows, i, 0), now_ms, problem);
            done++;
        }
        if (status != STATUS_OK) {
            return status;
        }
        if (pg_row_count(rows) == 0) {
            *out_count = done;
            return STATUS_OK;
        }
    }
}
