#include "base/instant.h"
#include "core/trigger/gates.h"
#include "trigger_store_priv.h"

/*
 * Triggers.
 *
 * A trigger rests on rules (it names them, and the ruleset keeps what it counts), so
 * its save waits for the workspace's row as a save of rules does, and a save of rules
 * that would leave one behind is refused.
 */

static const struct pg_statement trigger_find_sql = {
    "trigger_find",
    "SELECT " TRIGGER_COLUMNS " FROM trigger WHERE workspace_id = $1 AND (id = $2 OR name = $3)",
};

static const struct pg_statement trigger_of_topic_sql = {
    "trigger_of_topic",
    "SELECT " TRIGGER_COLUMNS " FROM trigger WHERE workspace_id = $1 AND topic = $2 ORDER BY name"
    " LIMIT 1",
};

static const struct pg_statement trigger_list_sql = {
    "trigger_list",
    "SELECT " TRIGGER_COLUMNS " FROM trigger WHERE workspace_id = $1 AND name > $2 ORDER BY name"
    " LIMIT $3",
};

static const struct pg_statement trigger_all_sql = {
    "trigger_all",
    "SELECT " TRIGGER_COLUMNS " FROM trigger WHERE workspace_id = $1 ORDER BY name",
};

static const struct pg_statement trigger_count_sql = {
    "trigger_count",
    "SELECT count(*) FROM trigger WHERE workspace_id = $1",
};

static const struct pg_statement trigger_insert_sql = {
    "trigger_insert",
    "INSERT INTO trigger (workspace_id, id, title, topic, mode, paused_at, when_kind, when_what,"
    " when_from, when_to, condition, keeps, wait_ms, channel, once, cooldown_ms, cooldown_per,"
    " profile_cap_count, profile_cap_ms, total_cap_count, total_cap_ms, priority, expires_ms,"
    " quiet_from, quiet_to, quiet_zone, quiet_drops, holdout, require_history, audience,"
    " recheck, updated_at, name, created_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,"
    " $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34)",
};

static const struct pg_statement trigger_update_sql = {
    "trigger_update",
    "UPDATE trigger SET title = $3, topic = $4, mode = $5, paused_at = $6, when_kind = $7,"
    " when_what = $8, when_from = $9, when_to = $10, condition = $11, keeps = $12, wait_ms = $13,"
    " channel = $14, once = $15, cooldown_ms = $16, cooldown_per = $17, profile_cap_count = $18,"
    " profile_cap_ms = $19, total_cap_count = $20, total_cap_ms = $21, priority = $22,"
    " expires_ms = $23, quiet_from = $24, quiet_to = $25, quiet_zone = $26, quiet_drops = $27,"
    " holdout = $28, require_history = $29, audience = $30, recheck = $31,"
    " updated_at = $32, version = version + 1 WHERE workspace_id = $1 AND id = $2"
    " AND version = $33",
};

static const struct pg_statement trigger_delete_sql = {
    "trigger_delete",
    "DELETE FROM trigger WHERE workspace_id = $1 AND id = $2",
};

/* $3: as a draft. */
static const struct pg_statement trigger_rung_clear_sql = {
    "trigger_rung_clear",
    "DELETE FROM rung WHERE workspace_id = $1 AND trigger_id IN ($2, $3)",
};

static const struct pg_statement trigger_outcome_clear_sql = {
    "trigger_outcome_clear",
    "DELETE FROM trigger_outcome WHERE workspace_id = $1 AND trigger_id = $2",
};

static const struct pg_statement trigger_waiting_clear_sql = {
    "trigger_waiting_clear",
    "DELETE FROM trigger_waiting WHERE workspace_id = $1 AND trigger_id = $2",
};

static const struct pg_statement trigger_sharer_sql = {
    "trigger_sharer",
    "SELECT name, when_kind FROM trigger WHERE workspace_id = $1 AND topic = $2 AND id <> $3"
    " ORDER BY name LIMIT 1",
};

static const struct pg_statement trigger_rings_sql = {
    "trigger_rings",
    "SELECT EXISTS (SELECT 1 FROM trigger WHERE workspace_id = $1"
    " AND (topic = $2 OR starts_with(topic, $3)))",
};

static const struct pg_statement trigger_outcomes_sql = {
    "trigger_outcomes",
    "SELECT mode, outcome, sum(count)::bigint FROM trigger_outcome WHERE workspace_id = $1"
    " AND trigger_id = $2 AND day >= ($3::timestamptz AT TIME ZONE 'UTC')::date"
    " AND day <= (($4::timestamptz - interval '1 millisecond') AT TIME ZONE 'UTC')::date GROUP BY "
    "mode, outcome"
    " ORDER BY mode, outcome",
};

const struct pg_statement trigger_outcome_add_sql = {
    "trigger_outcome_add",
    "INSERT INTO trigger_outcome AS o (workspace_id, trigger_id, day, mode, outcome, count)"
    " SELECT $1, u.t, u.day, u.mode, u.outcome, u.count"
    " FROM unnest($2::uuid[], $3::date[], $4::text[], $5::text[], $6::bigint[])"
    " AS u (t, day, mode, outcome, count) ORDER BY u.t, u.day, u.mode, u.outcome"
    " ON CONFLICT (workspace_id, trigger_id, day, mode, outcome) DO UPDATE SET"
    " count = o.count + EXCLUDED.count",
};

static const struct pg_statement trigger_conditions_sql = {
    "trigger_conditions",
    "SELECT id, name, version, " TRIGGER_ASKS " FROM trigger WHERE workspace_id = $1 AND keeps"
    " ORDER BY id",
};

/* --- rows ------------------------------------------------------------------------ */

struct trigger_row trigger_row_read(const struct pg_result *result, size_t row)
{
    int64_t paused_at_ms = pg_get_instant(result, row, 7);
    return (struct trigger_row){
        .workspace_id = pg_get_id(result, row, 0),
        .keeps = pg_get_bool(result, row, 13),
        .paused_at_ms = paused_at_ms,
        .created_at_ms = pg_get_instant(result, row, 33),
        .updated_at_ms = pg_get_instant(result, row, 34),
        .definition = {
            .id = pg_get_id(result, row, 1),
            .name = pg_get_text(result, row, 2),
            .version = pg_get_i64(result, row, 3),
            .title = pg_get_text(result, row, 4),
            .topic = pg_get_text(result, row, 5),
            .mode = trigger_mode_from_name(pg_get_text(result, row, 6)),
            .is_paused = paused_at_ms != INSTANT_NONE,
            .when = trigger_when_from_name(pg_get_text(result, row, 8)),
            .what = pg_get_text(result, row, 9),
            .from = pg_get_text(result, row, 10),
            .to = pg_get_text(result, row, 11),
            .condition = pg_get_text(result, row, 12),
            .wait_ms = pg_get_i64(result, row, 14),
            .channel = pg_get_text(result, row, 15),
            .once = pg_get_bool(result, row, 16),
            .cooldown_ms = pg_get_i64(result, row, 17),
            .cooldown_per = trigger_per_from_name(pg_get_text(result, row, 18)),
            .profile_cap = { pg_get_i64(result, row, 19), pg_get_i64(result, row, 20) },
            .total_cap = { pg_get_i64(result, row, 21), pg_get_i64(result, row, 22) },
            .priority = (int32_t)pg_get_i64(result, row, 23),
            .expires_ms = pg_get_i64(result, row, 24),
            .quiet = { .is_set = !pg_is_null(result, row, 25),
                       .from_minute = (int32_t)pg_get_i64(result, row, 25),
                       .to_minute = (int32_t)pg_get_i64(result, row, 26),
                       .zone = pg_get_text(result, row, 27),
                       .drops = pg_get_bool(result, row, 28) },
            .holdout = pg_get_i64(result, row, 29),
            .require_history = pg_get_bool(result, row, 30),
            .audience = pg_get_text(result, row, 31),
            .recheck = pg_get_bool(result, row, 32),
        },
    };
}

static void put_unless_zero(struct pg_params *params, int64_t value)
{
    if (value == 0) {
        pg_put_null(params, PG_INT8);
    } else {
        pg_put_i64(params, value);
    }
}

static void put_quiet(struct pg_params *params, const struct trigger_quiet *quiet)
{
    if (quiet->is_set) {
        pg_put_i32(params, quiet->from_minute);
        pg_put_i32(params, quiet->to_minute);
    } else {
        pg_put_null(params, PG_INT4);
        pg_put_null(params, PG_INT4);
    }
    pg_put_text_or_null(params, quiet->zone);
    pg_put_bool(params, quiet->drops);
}

/* $3 to $32 of both statements that write. */
static void put_settable(struct pg_params *params, const struct trigger_row *row)
{
    const struct trigger *trigger = &row->definition;
    pg_put_text(params, trigger->title);
    pg_put_text(params, trigger->topic);
    pg_put_text(params, str_from_z(trigger_mode_name(trigger->mode)));
    pg_put_instant(params, row->paused_at_ms);
    pg_put_text(params, str_from_z(trigger_when_name(trigger->when)));
    pg_put_text(params, trigger->what);
    pg_put_text_or_null(params, trigger->from);
    pg_put_text_or_null(params, trigger->to);
    pg_put_text_or_null(params, trigger->condition);
    pg_put_bool(params, row->keeps);
    put_unless_zero(params, trigger->wait_ms);
    pg_put_text_or_null(params, trigger->channel);
    pg_put_bool(params, trigger->once);
    put_unless_zero(params, trigger->cooldown_ms);
    pg_put_text(params, str_from_z(trigger_per_name(trigger->cooldown_per)));
    put_unless_zero(params, trigger->profile_cap.count);
    put_unless_zero(params, trigger->profile_cap.per_ms);
    put_unless_zero(params, trigger->total_cap.count);
    put_unless_zero(params, trigger->total_cap.per_ms);
    pg_put_i32(params, trigger->priority);
    put_unless_zero(params, trigger->expires_ms);
    put_quiet(params, &trigger->quiet);
    pg_put_i64(params, trigger->holdout);
    pg_put_bool(params, trigger->require_history);
    pg_put_text_or_null(params, trigger->audience);
    pg_put_bool(params, trigger->recheck);
    pg_put_instant(params, row->updated_at_ms);
}

static struct pg_params params_of(struct arena *arena, struct id workspace_id)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    return params;
}

static enum status read_rows(struct pg *pg, struct arena *arena,
                             const struct pg_statement *statement, struct pg_params *params,
                             struct trigger_row **out_rows, size_t *out_count,
                             struct problem *problem)
{
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, statement, params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct trigger_row *rows = ARENA_NEW_ARRAY(arena, count + 1, struct trigger_row);
    if (rows == NULL) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "the triggers do not fit");
    }
    for (size_t i = 0; i < count; i++) {
        rows[i] = trigger_row_read(result, i);
    }
    *out_rows = rows;
    *out_count = count;
    return STATUS_OK;
}

/* --- one and many ------------------------------------------------------------------ */

enum status trigger_store_find(struct pg *pg, struct arena *arena, struct id workspace_id,
                               struct str name_or_id, struct trigger_row *out_trigger,
                               struct problem *problem)
{
    struct id id = ID_ZERO;
    struct trigger_row *rows = NULL;
    size_t count = 0;
    (void)id_parse(name_or_id, &id);
    struct pg_params params = params_of(arena, workspace_id);
    pg_put_id_or_null(&params, id);
    pg_put_text(&params, name_or_id);
    enum status status = read_rows(pg, arena, &trigger_find_sql, &params, &rows, &count, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (count == 0) {
        return STATUS_MISSING;
    }
    *out_trigger = rows[0];
    return STATUS_OK;
}

enum status trigger_store_of_topic(struct pg *pg, struct arena *arena, struct id workspace_id,
                                   struct str topic, struct trigger_row *out_trigger,
                                   struct problem *problem)
{
    struct trigger_row *rows = NULL;
    size_t count = 0;
    struct pg_params params = params_of(arena, workspace_id);
    pg_put_text(&params, topic);
    enum status status =
        read_rows(pg, arena, &trigger_of_topic_sql, &params, &rows, &count, problem);
    if (status == STATUS_OK && count == 0) {
        return STATUS_MISSING;
    }
    if (status == STATUS_OK) {
        *out_trigger = rows[0];
    }
    return status;
}

enum status trigger_store_list(struct pg *pg, struct arena *arena, struct id workspace_id,
                               struct str after, size_t limit, struct trigger_row **out_triggers,
                               size_t *out_count, struct problem *problem)
{
    struct pg_params params = params_of(arena, workspace_id);
    pg_put_text(&params, after);
    pg_put_i64(&params, (int64_t)limit);
    return read_rows(pg, arena, &trigger_list_sql, &params, out_triggers, out_count, problem);
}

enum status trigger_store_count(struct pg *pg, struct arena *arena, struct id workspace_id,
                                int64_t *out_count, struct problem *problem)
{
    struct pg_params params = params_of(arena, workspace_id);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &trigger_count_sql, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_count = pg_get_i64(result, 0, 0);
    }
    return status;
}

enum status trigger_store_insert(struct pg *pg, struct arena *arena,
                                 const struct trigger_row *trigger, struct problem *problem)
{
    struct pg_params params = params_of(arena, trigger->workspace_id);
    pg_put_id(&params, trigger->definition.id);
    put_settable(&params, trigger);
    pg_put_text(&params, trigger->definition.name);
    pg_put_instant(&params, trigger->created_at_ms);
    return pg_run(pg, arena, &trigger_insert_sql, &params, NULL, problem);
}

enum status trigger_store_update(struct pg *pg, struct arena *arena,
                                 const struct trigger_row *trigger, struct problem *problem)
{
    struct pg_params params = params_of(arena, trigger->workspace_id);
    struct pg_result *result = NULL;
    pg_put_id(&params, trigger->definition.id);
    put_settable(&params, trigger);
    pg_put_i64(&params, trigger->definition.version);
    enum status status = pg_run(pg, arena, &trigger_update_sql, &params, &result, problem);
    return status == STATUS_OK && pg_affected(result) == 0 ? STATUS_CONFLICT : status;
}

enum status trigger_store_delete(struct pg *pg, struct arena *arena, struct id workspace_id,
                                 struct id trigger_id, struct problem *problem)
{
    static const struct pg_statement *const statements[] = {
        &trigger_delete_sql,
        &trigger_rung_clear_sql,
        &trigger_outcome_clear_sql,
        &trigger_waiting_clear_sql,
    };
    for (size_t i = 0; i < ARRAY_COUNT(statements); i++) {
        struct pg_params params = params_of(arena, workspace_id);
        struct pg_result *result = NULL;
        pg_put_id(&params, trigger_id);
        if (statements[i] == &trigger_rung_clear_sql) {
            pg_put_id(&params, rung_trigger_id(trigger_id, TRIGGER_DRAFT));
        }
        enum status status = pg_run(pg, arena, statements[i], &params, &result, problem);
        if (status != STATUS_OK) {
            return status;
        }
        if (i == 0 && pg_affected(result) == 0) {
            return STATUS_MISSING;
        }
    }
    return STATUS_OK;
}

/* --- topics ------------------------------------------------------------------------ */

enum status trigger_store_sharer(struct pg *pg, struct arena *arena, struct id workspace_id,
                                 struct id but_id, struct str topic, struct str *out_name,
                                 enum trigger_when *out_when, struct problem *problem)
{
    struct pg_params params = params_of(arena, workspace_id);
    struct pg_result *result = NULL;
    pg_put_text(&params, topic);
    pg_put_id(&params, but_id);
    enum status status = pg_run(pg, arena, &trigger_sharer_sql, &params, &result, problem);
    if (status == STATUS_OK && pg_row_count(result) > 0) {
        *out_name = pg_get_text(result, 0, 0);
        *out_when = trigger_when_from_name(pg_get_text(result, 0, 1));
    }
    return status;
}

enum status trigger_store_rings(struct pg *pg, struct arena *arena, struct id workspace_id,
                                struct str pattern, bool *out_rings, struct problem *problem)
{
    struct pg_params params = params_of(arena, workspace_id);
    struct pg_result *result = NULL;
    bool is_prefix = str_ends_with(pattern, STR(".*"));
    pg_put_text(&params, pattern);
    pg_put_text_or_null(&params,
                        is_prefix ? str_take(pattern, pattern.size - 1) : (struct str){ NULL, 0 });
    enum status status = pg_run(pg, arena, &trigger_rings_sql, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_rings = pg_get_bool(result, 0, 0);
    }
    return status;
}

/* --- outcomes ---------------------------------------------------------------------- */

enum status trigger_store_outcomes(struct pg *pg, struct arena *arena, struct id workspace_id,
                                   struct id trigger_id, int64_t from_ms, int64_t to_ms,
                                   struct trigger_count **out_counts, size_t *out_count,
                                   struct problem *problem)
{
    struct pg_params params = params_of(arena, workspace_id);
    struct pg_result *result = NULL;
    pg_put_id(&params, trigger_id);
    pg_put_instant(&params, from_ms);
    pg_put_instant(&params, to_ms);
    enum status status = pg_run(pg, arena, &trigger_outcomes_sql, &params, &result, problem);
    size_t count = status == STATUS_OK ? pg_row_count(result) : 0;
    struct trigger_count *counts =
        status == STATUS_OK ? ARENA_NEW_ARRAY(arena, count + 1, struct trigger_count) : NULL;
    if (counts == NULL) {
        return status == STATUS_OK ? STATUS_LIMIT : status;
    }
    for (size_t i = 0; i < count; i++) {
        counts[i] = (struct trigger_count){ .mode = pg_get_text(result, i, 0),
                                            .outcome = pg_get_text(result, i, 1),
                                            .count = pg_get_i64(result, i, 2) };
    }
    *out_counts = counts;
    *out_count = count;
    return STATUS_OK;
}

void trigger_put_outcomes(struct pg_params *params, const struct outcome_row *rows, size_t count)
{
    static const enum pg_type types[] = { PG_UUID, PG_DATE, PG_TEXT, PG_TEXT, PG_INT8 };
    struct pg_array c[ARRAY_COUNT(types)];
    pg_columns_begin(c, params, types, ARRAY_COUNT(types), count);
    for (size_t i = 0; i < count; i++) {
        pg_array_id(&c[0], rows[i].trigger_id);
        pg_array_day(&c[1], rows[i].at_ms);
        pg_array_text(&c[2], str_from_z(trigger_mode_name(rows[i].mode)));
        pg_array_text(&c[3], str_from_z(trigger_outcome_name(rows[i].outcome)));
        pg_array_i64(&c[4], rows[i].count);
    }
    pg_columns_end(c, ARRAY_COUNT(types));
}

enum status trigger_store_add_outcomes(struct pg *pg, struct arena *arena, struct id workspace_id,
                                       const struct outcome_row *rows, size_t count,
                                       struct problem *problem)
{
    struct pg_params params = params_of(arena, workspace_id);
    trigger_put_outcomes(&params, rows, count);
    return pg_run(pg, arena, &trigger_outcome_add_sql, &params, NULL, problem);
}

/* --- and the workspace's rules ----------------------------------------------------- */

enum status trigger_conditions(struct pg *pg, struct arena *arena, struct id workspace_id,
                               struct rule_definition **out_conditions, size_t *out_count,
                               struct problem *problem)
{
    struct pg_params params = params_of(arena, workspace_id);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &trigger_conditions_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct rule_definition *conditions = ARENA_NEW_ARRAY(arena, count + 1, struct rule_definition);
    struct rule_case *cases = ARENA_NEW_ARRAY(arena, count + 1, struct rule_case);
    if (conditions == NULL || cases == NULL) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "the triggers do not fit");
    }
    for (size_t i = 0; i < count; i++) {
        cases[i] = (struct rule_case){ .when = pg_get_text(result, i, 3) };
        conditions[i] = (struct rule_definition){
            .id = pg_get_id(result, i, 0),
            .name = pg_get_text(result, i, 1),
            .version = pg_get_i64(result, i, 2),
            .cases = &cases[i],
            .case_count = 1,
            .enabled = true,
            .is_condition = true,
        };
    }
    *out_conditions = conditions;
    *out_count = count;
    return STATUS_OK;
}

enum status trigger_find_broken(struct pg *pg, struct arena *arena, struct id workspace_id,
                                const struct ruleset *ruleset, struct str **out_names,
                                size_t *out_count, struct problem *problem)
{
    struct pg_params params = params_of(arena, workspace_id);
    struct trigger_row *rows = NULL;
    size_t count = 0;
    size_t broken = 0;
    enum status status = read_rows(pg, arena, &trigger_all_sql, &params, &rows, &count, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct str *names = ARENA_NEW_ARRAY(arena, count + 1, struct str);
    for (size_t i = 0; names != NULL && i < count; i++) {
        struct trigger_error unseen;
        if (trigger_compile(arena, ruleset, &rows[i].definition, &unseen) == STATUS_INVALID) {
            names[broken++] = rows[i].definition.name;
        }
    }
    if (arena_is_full(arena)) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "the triggers do not fit");
    }
    *out_names = names;
    *out_count = broken;
    return STATUS_OK;
}
