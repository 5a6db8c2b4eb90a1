#include "store/explain_read.h"

/*
 * Two look-ups of a few rows each. A workspace without a source has no history
 * that could be incomplete.
 */

static const struct pg_statement statistic_version_at_sql = {
    "statistic_version_at",
    "SELECT coalesce(max(version), 0) FROM statistic WHERE workspace_id = $1 AND computed_at <= $2",
};

static const struct pg_statement history_is_complete_sql = {
    "history_is_complete",
    "SELECT coalesce(bool_and(history_complete), true) FROM source WHERE workspace_id = $1"
    " AND deleted_at IS NULL",
};

enum status statistic_version_at(struct pg *pg, struct arena *arena, struct id workspace_id,
                                 int64_t at_ms, int64_t *out_version, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_instant(&params, at_ms);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &statistic_version_at_sql, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_version = pg_get_i64(result, 0, 0);
    }
    return status;
}

enum status history_is_complete(struct pg *pg, struct arena *arena, struct id workspace_id,
                                bool *out_complete, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &history_is_complete_sql, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_complete = pg_get_bool(result, 0, 0);
    }
    return status;
}
