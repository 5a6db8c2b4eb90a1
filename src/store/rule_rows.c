#include "base/instant.h"
#include "rule_store_priv.h"

/*
 * Rules as rows.
 *
 * Cases are jsonb, because people read them there; in C they are two arrays of
 * text, taken apart and put together by the database, so that the store needs
 * no JSON reader. A tag has one case, whose value is null there and empty here.
 */

#define RULE_COLUMNS                                                                         \
    "workspace_id, id, name, slot, kind, title,"                                             \
    " ARRAY(SELECT coalesce(c.item->>'value', '') FROM jsonb_array_elements(cases)"          \
    "  WITH ORDINALITY AS c(item, place) ORDER BY c.place),"                                 \
    " ARRAY(SELECT c.item->>'when' FROM jsonb_array_elements(cases)"                         \
    "  WITH ORDINALITY AS c(item, place) ORDER BY c.place),"                                 \
    " hysteresis, enabled, expose, shipped, version, since_version, created_at, updated_at," \
    " notify_version, notify_at"

#define RULE_CASES(values, whens)                                                              \
    "(SELECT jsonb_agg(jsonb_build_object('value', nullif(c.value, ''), 'when', c.expression)" \
    " ORDER BY c.place) FROM unnest(" values ", " whens                                        \
    ") WITH ORDINALITY AS c(value, expression, place))"

static const struct pg_statement rule_find_sql = {
    "rule_find",
    "SELECT " RULE_COLUMNS " FROM rule WHERE workspace_id = $1 AND (id = $2 OR name = $3)",
};

static const struct pg_statement rule_list_sql = {
    "rule_list",
    "SELECT " RULE_COLUMNS " FROM rule WHERE workspace_id = $1 AND name > $2 ORDER BY name"
    " LIMIT $3",
};

static const struct pg_statement rule_rows_sql = {
    "rule_rows",
    "SELECT " RULE_COLUMNS " FROM rule WHERE workspace_id = $1 ORDER BY slot",
};

static const struct pg_statement rule_count_sql = {
    "rule_count",
    "SELECT count(*) FROM rule WHERE workspace_id = $1",
};

static const struct pg_statement rule_insert_sql = {
    "rule_insert",
    "INSERT INTO rule (workspace_id, id, name, slot, kind, title, cases, hysteresis, enabled,"
    " expose, shipped, version, since_version, created_at, updated_at, notify_version, notify_at)"
    " SELECT $1, $2, $3, $4, $5, $6, " RULE_CASES(
        "$7::text[]", "$8::text[]") ", $9, $10, $11, $12, $13, $14, $15, $15, $16, $17",
};

static const struct pg_statement rule_update_sql = {
    "rule_update",
    "UPDATE rule SET title = $3, cases = " RULE_CASES(
        "$4::text[]", "$5::text[]") ", hysteresis = $6, enabled = $7, expose = $8, version = $9, "
                                    "since_version = $10,"
                                    " updated_at = $11, notify_version = $12, notify_at = $13"
                                    " WHERE workspace_id = $1 AND id = $2",
};

static const struct pg_statement rule_silence_sql = {
    "rule_silence",
    "UPDATE rule SET notify_version = 0, notify_at = NULL"
    " WHERE workspace_id = $1 AND notify_version > 0 AND notify_version <= $2",
};

static const struct pg_statement rule_delete_sql = {
    "rule_delete",
    "DELETE FROM rule WHERE workspace_id = $1 AND id = $2",
};

/* --- reading -------------------------------------------------------------- */

static bool read_cases(const struct pg_result *result, struct arena *arena, size_t row,
                       struct rule_definition *definition)
{
    struct str *values = NULL;
    struct str *whens = NULL;
    size_t count = pg_get_text_array(result, arena, row, 6, &values);
    size_t when_count = pg_get_text_array(result, arena, row, 7, &whens);
    struct rule_case *cases = ARENA_NEW_ARRAY(arena, count, struct rule_case);
    if (cases == NULL || when_count != count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        cases[i] = (struct rule_case){ .value = values[i], .when = whens[i] };
    }
    definition->cases = cases;
    definition->case_count = count;
    return true;
}

static bool read_row(const struct pg_result *result, struct arena *arena, size_t row,
                     struct rule_row *rule)
{
    *rule = (struct rule_row){
        .workspace_id = pg_get_id(result, row, 0),
        .definition = { .id = pg_get_id(result, row, 1),
                        .name = pg_get_text(result, row, 2),
                        .slot = (uint32_t)pg_get_i64(result, row, 3),
                        .kind = rule_kind_from_name(pg_get_text(result, row, 4)),
                        .title = pg_get_text(result, row, 5),
                        .hysteresis = pg_get_i64(result, row, 8),
                        .enabled = pg_get_bool(result, row, 9),
                        .version = pg_get_i64(result, row, 12),
                        .since_version = pg_get_i64(result, row, 13) },
        .shipped = pg_get_bool(result, row, 11),
        .created_at_ms = pg_get_instant(result, row, 14),
        .updated_at_ms = pg_get_instant(result, row, 15),
        .notify_version = pg_get_i64(result, row, 16),
        .notify_at_ms = pg_get_instant(result, row, 17),
    };
    struct str *expose = NULL;
    rule->expose_count = pg_get_text_array(result, arena, row, 10, &expose);
    rule->expose = expose;
    return read_cases(result, arena, row, &rule->definition);
}

static enum status read_rows(struct pg *pg, struct arena *arena,
                             const struct pg_statement *statement, struct pg_params *params,
                             struct rule_row **out_rules, size_t *out_count,
                             struct problem *problem)
{
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, statement, params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct rule_row *rules = ARENA_NEW_ARRAY(arena, count, struct rule_row);
    for (size_t i = 0; rules != NULL && i < count; i++) {
        if (!read_row(result, arena, i, &rules[i])) {
            rules = NULL;
        }
    }
    if (rules == NULL) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "the rules do not fit");
    }
    *out_rules = rules;
    *out_count = count;
    return STATUS_OK;
}

enum status rule_store_find(struct pg *pg, struct arena *arena, struct id workspace_id,
                            struct str name_or_id, struct rule_row *out_rule,
                            struct problem *problem)
{
    struct id id = ID_ZERO;
    (void)id_parse(name_or_id, &id);
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id_or_null(&params, id);
    pg_put_text(&params, name_or_id);
    struct rule_row *rules = NULL;
    size_t count = 0;
    enum status status = read_rows(pg, arena, &rule_find_sql, &params, &rules, &count, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (count == 0) {
        return STATUS_MISSING;
    }
    *out_rule = rules[0];
    return STATUS_OK;
}

enum status rule_store_list(struct pg *pg, struct arena *arena, struct id workspace_id,
                            struct str after, size_t limit, struct rule_row **out_rules,
                            size_t *out_count, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_text(&params, after);
    pg_put_i64(&params, (int64_t)limit);
    return read_rows(pg, arena, &rule_list_sql, &params, out_rules, out_count, problem);
}

enum status rule_rows_read(struct pg *pg, struct arena *arena, struct id workspace_id,
                           struct rule_row **out_rules, size_t *out_count, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    return read_rows(pg, arena, &rule_rows_sql, &params, out_rules, out_count, problem);
}

enum status rule_store_count(struct pg *pg, struct arena *arena, struct id workspace_id,
                             int64_t *out_count, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &rule_count_sql, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_count = pg_get_i64(result, 0, 0);
    }
    return status;
}

/* --- writing -------------------------------------------------------------- */

static void put_cases(struct pg_params *params, const struct rule_definition *definition)
{
    struct pg_array values;
    struct pg_array whens;
    pg_array_begin(&values, params, PG_TEXT, definition->case_count);
    for (size_t i = 0; i < definition->case_count; i++) {
        pg_array_text(&values, definition->cases[i].value);
    }
    pg_array_end(&values);
    pg_array_begin(&whens, params, PG_TEXT, definition->case_count);
    for (size_t i = 0; i < definition->case_count; i++) {
        pg_array_text(&whens, definition->cases[i].when);
    }
    pg_array_end(&whens);
}

static void put_notify(struct pg_params *params, const struct rule_row *rule)
{
    pg_put_i64(params, rule->notify_version);
    pg_put_instant(params, rule->notify_version > 0 ? rule->notify_at_ms : INSTANT_NONE);
}

enum status rule_row_insert(struct pg *pg, struct arena *arena, const struct rule_row *rule,
                            struct problem *problem)
{
    const struct rule_definition *definition = &rule->definition;
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, rule->workspace_id);
    pg_put_id(&params, definition->id);
    pg_put_text(&params, definition->name);
    pg_put_i32(&params, (int32_t)definition->slot);
    pg_put_text(&params, str_from_z(rule_kind_name(definition->kind)));
    pg_put_text(&params, definition->title);
    put_cases(&params, definition);
    pg_put_i64(&params, definition->hysteresis);
    pg_put_bool(&params, definition->enabled);
    pg_put_text_array(&params, rule->expose, rule->expose_count);
    pg_put_bool(&params, rule->shipped);
    pg_put_i64(&params, definition->version);
    pg_put_i64(&params, definition->since_version);
    pg_put_instant(&params, rule->created_at_ms);
    put_notify(&params, rule);
    return pg_run(pg, arena, &rule_insert_sql, &params, NULL, problem);
}

enum status rule_row_update(struct pg *pg, struct arena *arena, const struct rule_row *rule,
                            struct problem *problem)
{
    const struct rule_definition *definition = &rule->definition;
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, rule->workspace_id);
    pg_put_id(&params, definition->id);
    pg_put_text(&params, definition->title);
    put_cases(&params, definition);
    pg_put_i64(&params, definition->hysteresis);
    pg_put_bool(&params, definition->enabled);
    pg_put_text_array(&params, rule->expose, rule->expose_count);
    pg_put_i64(&params, definition->version);
    pg_put_i64(&params, definition->since_version);
    pg_put_instant(&params, rule->updated_at_ms);
    put_notify(&params, rule);
    return pg_run(pg, arena, &rule_update_sql, &params, NULL, problem);
}

enum status rule_row_delete(struct pg *pg, struct arena *arena, struct id workspace_id,
                            struct id rule_id, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, rule_id);
    return pg_run(pg, arena, &rule_delete_sql, &params, NULL, problem);
}

enum status rule_store_silence(struct pg *pg, struct arena *arena, struct id workspace_id,
                               int64_t version, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_i64(&params, version);
    return pg_run(pg, arena, &rule_silence_sql, &params, NULL, problem);
}
