#include "core/trigger/choice.h"
#include "store/subscription_store.h"

/*
 * What subscriptions rest on: the rules that their filters and fields name.
 *
 * Invariant: a filter that was saved goes on compiling. So a save of rules that
 * takes one of its names away (a deletion, a rule disabled, another kind) is
 * refused, and a save of a subscription waits for the workspace's row, which a
 * save of rules holds, and then must find the rules that it was checked against.
 */

static const struct pg_statement subscription_lock_rules_sql = {
    "subscription_lock_rules",
    "SELECT id FROM workspace WHERE id = $1 FOR UPDATE",
};

/* A statement of its own: one that had to wait reads the rules as they were. */
static const struct pg_statement subscription_rules_version_sql = {
    "subscription_rules_version",
    "SELECT coalesce(max(version), 0) FROM ruleset WHERE workspace_id = $1",
};

static const struct pg_statement subscription_choices_sql = {
    "subscription_choices",
    "SELECT name, filter, fields, format, map FROM subscription WHERE workspace_id = $1"
    " AND (filter IS NOT NULL OR fields LIKE '[%' OR map <> '{}') ORDER BY name",
};

enum status subscription_hold_rules(struct pg *pg, struct arena *arena, struct id workspace_id,
                                    int64_t version, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    enum status status = pg_run(pg, arena, &subscription_lock_rules_sql, &params, NULL, problem);
    if (status != STATUS_OK) {
        return status;
    }
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    status = pg_run(pg, arena, &subscription_rules_version_sql, &params, &result, problem);
    if (status == STATUS_OK && pg_get_i64(result, 0, 0) != version) {
        return problem_set(problem, STATUS_RETRY, "overloaded",
                           "the rules were changed meanwhile; try again");
    }
    return status;
}

static enum status compiles(struct arena *arena, const struct choice_text *text,
                            const struct rule_vocabulary *names)
{
    struct choice choice;
    struct projection_error unseen;
    return choice_parse(arena, text, names, &choice, &unseen);
}

enum status subscription_find_broken(struct pg *pg, struct arena *arena,
                                     const struct subscription_rules *rules, struct str **out_names,
                                     size_t *out_count, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, rules->workspace_id);
    enum status status = pg_run(pg, arena, &subscription_choices_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct str *names = ARENA_NEW_ARRAY(arena, pg_row_count(result) + 1, struct str);
    size_t count = 0;
    for (size_t row = 0; names != NULL && row < pg_row_count(result); row++) {
        const struct choice_text text = { .filter = pg_get_text(result, row, 1),
                                          .fields = pg_get_text(result, row, 2),
                                          .format = pg_get_text(result, row, 3),
                                          .map_json = pg_get_jsonb(result, row, 4) };
        if (compiles(arena, &text, &rules->after) == STATUS_INVALID &&
            compiles(arena, &text, &rules->before) == STATUS_OK) {
            names[count++] = pg_get_text(result, row, 0);
        }
    }
    if (arena_is_full(arena)) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached",
                           "the subscriptions do not fit into memory");
    }
    *out_names = names;
    *out_count = count;
    return STATUS_OK;
}
