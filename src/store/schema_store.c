#include "store/schema_store.h"

#include "base/instant.h"

/*
 * Tracking plans.
 *
 * Invariant: a schema that was deleted and put again is another one (its id is
 * new), so that what was counted or compiled for the old one is never taken for
 * the new one's; a change is guarded by the version that was read (ETag).
 */

#define SCHEMA_COLUMNS                                                                    \
    "e.workspace_id, e.source_id, s.name, e.event_type, e.id, e.mode, e.body, e.version," \
    " e.created_at, e.updated_at, e.checked, e.violated, h.checked, h.violated,"          \
    " e.last_violated_at, e.last_violations"

#define SCHEMA_FROM                                                                    \
    " FROM event_schema e JOIN source s ON s.workspace_id = $1 AND s.id = e.source_id" \
    " AND s.deleted_at IS NULL CROSS JOIN LATERAL ("                                   \
    " SELECT coalesce(sum(o.checked), 0)::bigint AS checked,"                          \
    " coalesce(sum(o.violated), 0)::bigint AS violated FROM event_schema_hour o"       \
    " WHERE o.workspace_id = $1 AND o.schema_id = e.id AND o.hour > $2) h"             \
    " WHERE e.workspace_id = $1"

static const struct pg_statement schema_find_sql = {
    "schema_find",
    "SELECT " SCHEMA_COLUMNS SCHEMA_FROM " AND e.source_id = $3 AND e.event_type = $4",
};

static const struct pg_statement schema_list_sql = {
    "schema_list",
    "SELECT " SCHEMA_COLUMNS SCHEMA_FROM " ORDER BY s.name, e.event_type",
};

static const struct pg_statement schema_count_sql = {
    "schema_count",
    "SELECT count(*) FROM event_schema WHERE workspace_id = $1",
};

static const struct pg_statement schema_insert_sql = {
    "schema_insert",
    "INSERT INTO event_schema (workspace_id, source_id, event_type, id, mode, body, created_at,"
    " updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7)"
    " ON CONFLICT (workspace_id, source_id, event_type) DO NOTHING",
};

static const struct pg_statement schema_update_sql = {
    "schema_update",
    "UPDATE event_schema SET mode = $4, body = $5, updated_at = $6, version = version + 1"
    " WHERE workspace_id = $1 AND id = $2 AND version = $3",
};

static const struct pg_statement schema_delete_sql = {
    "schema_delete",
    "DELETE FROM event_schema WHERE workspace_id = $1 AND id = $2 AND version = $3",
};

static const struct pg_statement schema_clear_hours_sql = {
    "schema_clear_hours",
    "DELETE FROM event_schema_hour WHERE workspace_id = $1 AND schema_id = $2",
};

static const struct pg_statement schema_add_sql = {
    "schema_add",
    "WITH hour AS (INSERT INTO event_schema_hour AS o (workspace_id, schema_id, slot, hour,"
    " checked, violated) SELECT e.workspace_id, e.id, $3, $4, $5, $6 FROM event_schema e"
    " WHERE e.workspace_id = $1 AND e.id = $2"
    " ON CONFLICT (workspace_id, schema_id, slot) DO UPDATE SET hour = excluded.hour,"
    " checked = excluded.checked + CASE WHEN o.hour = excluded.hour THEN o.checked ELSE 0 END,"
    " violated = excluded.violated + CASE WHEN o.hour = excluded.hour THEN o.violated ELSE 0 END)"
    " UPDATE event_schema SET checked = checked + $5, violated = violated + $6,"
    " last_violated_at = coalesce($7, last_violated_at),"
    " last_violations = coalesce($8, last_violations) WHERE workspace_id = $1 AND id = $2",
};

static struct schema_row row_read(const struct pg_result *result, size_t row)
{
    return (struct schema_row){
        .workspace_id = pg_get_id(result, row, 0),
        .source_id = pg_get_id(result, row, 1),
        .source = pg_get_text(result, row, 2),
        .event_type = pg_get_text(result, row, 3),
        .id = pg_get_id(result, row, 4),
        .mode = pg_get_text(result, row, 5),
        .body = pg_get_text(result, row, 6),
        .version = pg_get_i64(result, row, 7),
        .created_at_ms = pg_get_instant(result, row, 8),
        .updated_at_ms = pg_get_instant(result, row, 9),
        .checked = pg_get_i64(result, row, 10),
        .violated = pg_get_i64(result, row, 11),
        .checked_24h = pg_get_i64(result, row, 12),
        .violated_24h = pg_get_i64(result, row, 13),
        .last_violated_at_ms = pg_get_instant(result, row, 14),
        .last_violations_json =
            pg_is_null(result, row, 15) ? (struct str){ NULL, 0 } : pg_get_jsonb(result, row, 15),
    };
}

enum status schema_find(struct pg *pg, struct arena *arena, struct id workspace_id,
                        struct id source_id, struct str event_type, int64_t now_ms,
                        struct schema_row *out_row, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_instant(&params, now_ms - INSTANT_DAY_MS);
    pg_put_id(&params, source_id);
    pg_put_text(&params, event_type);
    enum status status = pg_run(pg, arena, &schema_find_sql, &params, &result, problem);
    if (status == STATUS_OK && pg_row_count(result) == 0) {
        return STATUS_MISSING;
    }
    if (status == STATUS_OK) {
        *out_row = row_read(result, 0);
    }
    return status;
}

enum status schema_list(struct pg *pg, struct arena *arena, struct id workspace_id, int64_t now_ms,
                        struct schema_row **out_rows, size_t *out_count, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_instant(&params, now_ms - INSTANT_DAY_MS);
    enum status status = pg_run(pg, arena, &schema_list_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct schema_row *rows = ARENA_NEW_ARRAY(arena, count, struct schema_row);
    if (rows == NULL) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "the list is too large");
    }
    for (size_t i = 0; i < count; i++) {
        rows[i] = row_read(result, i);
    }
    *out_rows = rows;
    *out_count = count;
    return STATUS_OK;
}

enum status schema_count(struct pg *pg, struct arena *arena, struct id workspace_id,
                         int64_t *out_count, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    enum status status = pg_run(pg, arena, &schema_count_sql, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_count = pg_get_i64(result, 0, 0);
    }
    return status;
}

static enum status run_guarded(struct pg *pg, struct arena *arena,
                               const struct pg_statement *statement, struct pg_params *params,
                               struct problem *problem)
{
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, statement, params, &result, problem);
    return status == STATUS_OK && pg_affected(result) == 0 ? STATUS_CONFLICT : status;
}

enum status schema_insert(struct pg *pg, struct arena *arena, const struct schema_row *row,
                          struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, row->workspace_id);
    pg_put_id(&params, row->source_id);
    pg_put_text(&params, row->event_type);
    pg_put_id(&params, row->id);
    pg_put_text(&params, row->mode);
    pg_put_text(&params, row->body);
    pg_put_instant(&params, row->updated_at_ms);
    return run_guarded(pg, arena, &schema_insert_sql, &params, problem);
}

enum status schema_update(struct pg *pg, struct arena *arena, const struct schema_row *row,
                          struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, row->workspace_id);
    pg_put_id(&params, row->id);
    pg_put_i64(&params, row->version);
    pg_put_text(&params, row->mode);
    pg_put_text(&params, row->body);
    pg_put_instant(&params, row->updated_at_ms);
    return run_guarded(pg, arena, &schema_update_sql, &params, problem);
}

enum status schema_delete(struct pg *pg, struct arena *arena, const struct schema_row *row,
                          struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, row->workspace_id);
    pg_put_id(&params, row->id);
    enum status status = pg_run(pg, arena, &schema_clear_hours_sql, &params, NULL, problem);
    if (status != STATUS_OK) {
        return status;
    }
    pg_put_i64(&params, row->version);
    return run_guarded(pg, arena, &schema_delete_sql, &params, problem);
}

enum status schema_add(struct pg *pg, struct arena *arena, int64_t now_ms,
                       const struct schema_delta *delta, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, delta->workspace_id);
    pg_put_id(&params, delta->schema_id);
    pg_put_i32(&params, (int32_t)(now_ms / INSTANT_HOUR_MS % 24));
    pg_put_instant(&params, now_ms - now_ms % INSTANT_HOUR_MS);
    pg_put_i64(&params, delta->checked);
    pg_put_i64(&params, delta->violated);
    pg_put_instant(&params, delta->last_violated_at_ms);
    if (delta->last_violations_json.size > 0) {
        pg_put_jsonb(&params, delta->last_violations_json);
    } else {
        pg_put_null(&params, PG_JSONB);
    }
    return pg_run(pg, arena, &schema_add_sql, &params, NULL, problem);
}
