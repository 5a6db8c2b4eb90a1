#include "base/instant.h"
#include "base/limits.h"
#include "core/trigger/gates.h"
#include "query_priv.h"
#include "rule_priv.h"
#include "store/subscription_store.h"
#include "trigger_priv.h"

/*
 * Triggers: put, show, list, delete, pause, resume, and what came of them.
 *
 * A trigger is checked against the rules in force and then saved under the lock
 * that a save of rules takes, if they are still those: so what was saved compiles for
 * as long as it stands. Where its condition counts, the same transaction makes the
 * version of the rules that keeps what it counts, and the job that brings customers
 * to it; until a customer is brought, his state does not know, and he is not rung.
 */

enum {
    RULES_ARENA_BYTES = 128 * 1024 * 1024, /* 2,000 rules of the largest size */
    NOT_CHECKED = -1,                      /* what it names stays as it is */
};

static struct id workspace_of(const struct resource_request *request)
{
    return request->principal->workspace_id;
}

static enum status answer(const struct resource_request *request, const struct trigger_row *row,
                          enum resource_effect effect, struct resource_answer *out_answer,
                          struct problem *problem)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    trigger_write_json(&json, row);
    return resource_answer_set(&buf, effect, row->definition.version, out_answer, problem);
}

static enum status find(const struct resource_request *request, struct trigger_row *out_row,
                        struct problem *problem)
{
    enum status status = trigger_store_find(request->pg, request->arena, workspace_of(request),
                                            request->name, out_row, problem);
    return resource_missing(status, "trigger", request->name, problem);
}

/* --- checking ---------------------------------------------------------------------- */

static enum status refuse(const struct resource_request *request, const struct trigger_error *error,
                          struct resource_answer *out_answer, struct problem *problem)
{
    struct str pointer = str_printf(request->arena, "#/%s", error->member);
    if (error->is_expression) {
        return rule_error_refuse(request, pointer, &error->error, "invalid-expression", out_answer,
                                 problem);
    }
    enum status status =
        problem_set(problem, STATUS_INVALID, "invalid-field", "%s", error->error.detail);
    problem_point(problem, "%.*s", STR_ARG(pointer));
    return status;
}

/* Against the rules in force. *out_version: theirs. */
static enum status check(const struct resource_request *request, struct trigger_row *row,
                         int64_t *out_version, struct resource_answer *out_answer,
                         struct problem *problem)
{
    struct trigger_error error = { .member = "" };
    struct ruleset *rules = NULL;
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(RULES_ARENA_BYTES);
    if (arena == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory");
    }
    enum status status =
        rule_store_compile(request->pg, arena, workspace_of(request), &rules, problem);
    if (status != STATUS_OK && status != STATUS_MISSING) {
        return status; /* missing: not one rule yet */
    }
    *out_version = rules != NULL ? rules->version : 0;
    struct trigger compiled = row->definition;
    status = trigger_compile(arena, rules, &compiled, &error);
    if (status == STATUS_INVALID) {
        return refuse(request, &error, out_answer, problem);
    }
    if (status != STATUS_OK) {
        return problem_set(problem, STATUS_INVALID, "limit-reached", "the trigger is too large");
    }
    row->keeps = trigger_keeps(&compiled);
    return STATUS_OK;
}

/* All that share a topic say the same members of it. */
static enum status check_topic(const struct resource_request *request,
                               const struct trigger_row *row, struct problem *problem)
{
    const struct trigger *trigger = &row->definition;
    struct str name = { NULL, 0 };
    enum trigger_when when = 0;
    enum status status = trigger_store_sharer(request->pg, request->arena, row->workspace_id,
                                              trigger->id, trigger->topic, &name, &when, problem);
    if (status == STATUS_OK && name.size > 0 && when != trigger->when) {
        status = problem_set(problem, STATUS_INVALID, "topic-reserved",
                             "trigger \"%.*s\" rings with \"%.*s\" when \"%s\": all of a topic have"
                             " the same kind of when",
                             STR_ARG(name), STR_ARG(trigger->topic), trigger_when_name(when));
        problem_point(problem, "#/topic");
    }
    return status;
}

/* --- saving ------------------------------------------------------------------------ */

struct saving {
    const struct trigger_row *row;
    bool is_new;
    bool is_deleted;
    bool changes_conditions; /* of those that the ruleset knows */
    int64_t rules_version;   /* that the row was checked against; NOT_CHECKED */
};

static enum status write_row(const struct resource_request *request, const struct saving *saving,
                             struct problem *problem)
{
    const struct trigger_row *row = saving->row;
    int64_t count = 0;
    if (saving->is_deleted) {
        return trigger_store_delete(request->pg, request->arena, row->workspace_id,
                                    row->definition.id, problem);
    }
    if (!saving->is_new) {
        return trigger_store_update(request->pg, request->arena, row, problem);
    }
    enum status status =
        trigger_store_count(request->pg, request->arena, row->workspace_id, &count, problem);
    if (status == STATUS_OK) {
        status = resource_room(count, TRIGGERS_MAX, "triggers a workspace", problem);
    }
    return status == STATUS_OK ? trigger_store_insert(request->pg, request->arena, row, problem)
                               : status;
}

static enum status save(const struct resource_request *request, const void *what,
                        struct problem *problem)
{
    const struct saving *saving = what;
    struct id workspace_id = saving->row->workspace_id;
    struct ruleset_error error = { .type = "" };
    enum status status = STATUS_OK;
    if (saving->rules_version != NOT_CHECKED) {
        status = subscription_hold_rules(request->pg, request->arena, workspace_id,
                                         saving->rules_version, problem);
    }
    if (status == STATUS_OK && saving->rules_version != NOT_CHECKED) {
        status = check_topic(request, saving->row, problem);
    }
    if (status == STATUS_OK) {
        status = write_row(request, saving, problem);
    }
    if (status != STATUS_OK || !saving->changes_conditions) {
        return status;
    }
    status = rule_store_keep(request->pg, request->arena, workspace_id, request->now_ms, &error,
                             problem);
    if (status == STATUS_INVALID) {
        problem_point(problem, "#/if");
    }
    return status;
}

static enum status run_save(const struct resource_request *request, const struct saving *saving,
                            struct problem *problem)
{
    if (!request->validate_only) {
        return resource_transact(request, saving->row->workspace_id, save, saving, problem);
    }
    enum status status = pg_run(request->pg, request->arena, &pg_begin, NULL, NULL, problem);
    if (status == STATUS_OK) {
        status = save(request, saving, problem);
    }
    pg_reset(request->pg);
    return status;
}

static enum status check_name(const struct resource_request *request, struct problem *problem)
{
    struct str name = request->name;
    bool is_name = name.size > 0 && name.size <= LIMIT_NAME_BYTES && name.data[0] >= 'a' &&
                   name.data[0] <= 'z';
    for (size_t i = 0; is_name && i < name.size; i++) {
        char c = name.data[i];
        is_name = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    }
    if (is_name) {
        return STATUS_OK;
    }
    enum status status = problem_set(problem, STATUS_INVALID, "invalid-field",
                                     "a name is lower-case letters, digits and _, at most %u, the"
                                     " first a letter",
                                     LIMIT_NAME_BYTES);
    problem_point(problem, "#/name");
    return status;
}

/* What is there, or what a new one begins with. */
static enum status begin_put(const struct resource_request *request, struct trigger_row *row,
                             bool *out_is_new, struct problem *problem)
{
    struct id id = ID_ZERO;
    struct problem unseen = { .type = "" };
    enum status status = trigger_store_find(request->pg, request->arena, workspace_of(request),
                                            request->name, row, &unseen);
    *out_is_new = status == STATUS_MISSING;
    if (status != STATUS_MISSING) {
        return status == STATUS_OK ? resource_match(request, row->definition.version, problem)
                                   : problem_set(problem, status, unseen.type, "%s", unseen.detail);
    }
    if (id_parse(request->name, &id)) {
        return resource_missing(status, "trigger", request->name, problem);
    }
    if (str_trim(request->if_match).size > 0) {
        return problem_set(problem, STATUS_CONFLICT, "etag-mismatch",
                           "there is no such trigger yet");
    }
    *row = (struct trigger_row){ .workspace_id = workspace_of(request),
                                 .definition = { .id = id_create(), .name = request->name },
                                 .paused_at_ms = INSTANT_NONE,
                                 .created_at_ms = request->now_ms };
    return check_name(request, problem);
}

/* Does what the ruleset knows of the trigger change? */
static bool changes_conditions(const struct trigger_row *former, bool was_there,
                               const struct trigger_row *row)
{
    bool kept = was_there && former->keeps;
    return kept != row->keeps ||
           (kept && (!str_equal(former->definition.condition, row->definition.condition) ||
                     !str_equal(former->definition.audience, row->definition.audience)));
}

enum status resource_trigger_put(const struct resource_request *request,
                                 struct resource_answer *out_answer, struct problem *problem)
{
    struct trigger_row row;
    struct saving saving = { .row = &row };
    enum status status = begin_put(request, &row, &saving.is_new, problem);
    const struct trigger_row former = status == STATUS_OK ? row : (struct trigger_row){ 0 };
    if (status == STATUS_OK) {
        status = trigger_read(request, &row, problem);
    }
    if (status == STATUS_OK) {
        status = check(request, &row, &saving.rules_version, out_answer, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    row.updated_at_ms = request->now_ms;
    saving.changes_conditions = changes_conditions(&former, !saving.is_new, &row);
    status = run_save(request, &saving, problem);
    if (status != STATUS_OK) {
        return resource_changed_meanwhile(status, problem);
    }
    row.definition.version++;
    enum resource_effect effect = request->validate_only ? RESOURCE_SHOWN
                                  : saving.is_new        ? RESOURCE_CREATED
                                                         : RESOURCE_CHANGED;
    status = answer(request, &row, effect, out_answer, problem);
    if (status == STATUS_OK && effect == RESOURCE_CREATED) {
        out_answer->location =
            str_printf(request->arena, "/v1/triggers/%.*s", STR_ARG(row.definition.name));
    }
    return status;
}

/* --- pausing and deleting ------------------------------------------------------------ */

static enum status pause_or_resume(const struct resource_request *request, bool pauses,
                                   struct resource_answer *out_answer, struct problem *problem)
{
    struct trigger_row row;
    struct saving saving = { .row = &row, .rules_version = NOT_CHECKED };
    enum status status = find(request, &row, problem);
    if (status == STATUS_OK) {
        status = resource_match(request, row.definition.version, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    bool is_same = pauses == (row.paused_at_ms != INSTANT_NONE);
    if (!is_same) {
        row.paused_at_ms = pauses ? request->now_ms : INSTANT_NONE;
        row.updated_at_ms = request->now_ms;
        status = run_save(request, &saving, problem);
        row.definition.version++;
    }
    return status == STATUS_OK ? answer(request, &row, RESOURCE_CHANGED, out_answer, problem)
                               : resource_changed_meanwhile(status, problem);
}

enum status resource_trigger_pause(const struct resource_request *request,
                                   struct resource_answer *out_answer, struct problem *problem)
{
    return pause_or_resume(request, true, out_answer, problem);
}

enum status resource_trigger_resume(const struct resource_request *request,
                                    struct resource_answer *out_answer, struct problem *problem)
{
    return pause_or_resume(request, false, out_answer, problem);
}

enum status resource_trigger_delete(const struct resource_request *request,
                                    struct resource_answer *out_answer, struct problem *problem)
{
    struct trigger_row row;
    struct saving saving = { .row = &row, .is_deleted = true, .rules_version = NOT_CHECKED };
    enum status status = find(request, &row, problem);
    if (status == STATUS_OK) {
        status = resource_match(request, row.definition.version, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    saving.changes_conditions = row.keeps;
    status = run_save(request, &saving, problem);
    *out_answer = (struct resource_answer){ .effect = RESOURCE_DELETED };
    return resource_missing(status, "trigger", request->name, problem);
}

/* --- reading ------------------------------------------------------------------------ */

enum status resource_trigger_show(const struct resource_request *request,
                                  struct resource_answer *out_answer, struct problem *problem)
{
    struct trigger_row row;
    enum status status = find(request, &row, problem);
    return status == STATUS_OK ? answer(request, &row, RESOURCE_SHOWN, out_answer, problem)
                               : status;
}

enum status resource_trigger_list(const struct resource_request *request,
                                  struct resource_answer *out_answer, struct problem *problem)
{
    struct page page;
    struct trigger_row *rows = NULL;
    size_t count = 0;
    int64_t total = -1;
    enum status status = page_open(&page, request, "triggers", STR(""), problem);
    if (status == STATUS_OK) {
        status = trigger_store_list(request->pg, request->arena, workspace_of(request), page.cursor,
                                    page.size + 1, &rows, &count, problem);
    }
    if (status == STATUS_OK && request->want_total) {
        status = trigger_store_count(request->pg, request->arena, workspace_of(request), &total,
                                     problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    size_t shown = count < page.size ? count : page.size;
    for (size_t i = 0; i < shown; i++) {
        trigger_write_json(&page.json, &rows[i]);
    }
    struct str next = count > page.size ? rows[shown - 1].definition.name : STR("");
    return page_close(&page, next, total, true, out_answer, problem);
}

/* All outcomes of one mode, zero or not: they are all counted. */
static void write_counts(struct jsonw *json, const struct trigger_count *counts, size_t count,
                         struct str mode)
{
    for (int outcome = OUTCOME_NOTIFIED; outcome < OUTCOME_COUNT; outcome++) {
        const char *name = trigger_outcome_name((enum trigger_outcome)outcome);
        int64_t number = 0;
        for (size_t i = 0; i < count; i++) {
            bool is_it = str_equal(counts[i].mode, mode) && str_equal_z(counts[i].outcome, name);
            number += is_it ? counts[i].count : 0;
        }
        jsonw_put_i64(json, name, number);
    }
}

static bool has_mode(const struct trigger_count *counts, size_t count, struct str mode)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal(counts[i].mode, mode)) {
            return true;
        }
    }
    return false;
}

enum status resource_trigger_outcomes(const struct resource_request *request,
                                      struct resource_answer *out_answer, struct problem *problem)
{
    struct trigger_row row;
    struct trigger_count *counts = NULL;
    size_t count = 0;
    struct buf buf;
    struct jsonw json;
    int64_t to_ms = request->now_ms;
    int64_t from_ms = INSTANT_NONE;
    enum status status = find(request, &row, problem);
    if (status == STATUS_OK) {
        status = query_instant(request->to, "to", &to_ms, problem);
    }
    if (status == STATUS_OK) {
        status = query_instant(request->from, "from", &from_ms, problem);
    }
    from_ms = from_ms == INSTANT_NONE ? to_ms - 31 * INSTANT_DAY_MS : from_ms;
    if (status == STATUS_OK) {
        status =
            trigger_store_outcomes(request->pg, request->arena, row.workspace_id, row.definition.id,
                                   from_ms, to_ms, &counts, &count, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    write_counts(&json, counts, count, STR("live"));
    for (int mode = TRIGGER_DRAFT; mode < TRIGGER_LIVE; mode++) {
        const char *name = trigger_mode_name((enum trigger_mode)mode);
        if (has_mode(counts, count, str_from_z(name))) {
            jsonw_key(&json, name);
            jsonw_open(&json);
            write_counts(&json, counts, count, str_from_z(name));
            jsonw_close(&json);
        }
    }
    jsonw_close(&json);
    return resource_answer_set(&buf, RESOURCE_SHOWN, 0, out_answer, problem);
}
