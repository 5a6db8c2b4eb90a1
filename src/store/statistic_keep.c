#include "base/instant.h"
#include "store/statistic_store.h"

/*
 * When a workspace needs a set of statistics, and when it needs one no longer.
 *
 * Sets stay for as_of, 400 days. The newest stays whatever its age, since it is
 * the one in force: a workspace that was asleep for two years wakes up with the
 * thresholds that its verdicts were decided by.
 */

static const struct pg_statement statistic_state_sql = {
    "statistic_state",
    "SELECT (SELECT s.computed_at FROM statistic s WHERE s.workspace_id = $1"
    " ORDER BY s.version DESC LIMIT 1),"
    " CASE WHEN EXISTS (SELECT 1 FROM statistic s WHERE s.workspace_id = $1) THEN $2"
    " ELSE (SELECT count(*) FROM (SELECT 1 FROM orders o WHERE o.workspace_id = $1 AND o.counted"
    " LIMIT $2) few) END",
};

static const struct pg_statement statistic_expire_sql = {
    "statistic_expire",
    "DELETE FROM statistic s WHERE s.workspace_id = $1 AND s.computed_at < $2"
    " AND s.version < (SELECT max(o.version) FROM statistic o WHERE o.workspace_id = $1)",
};

enum status statistic_store_expire(struct pg *pg, struct arena *arena, struct id workspace_id,
                                   int64_t now_ms, size_t *out_deleted, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_instant(&params, now_ms - STATISTIC_KEPT_DAYS * INSTANT_DAY_MS);
    enum status status = pg_run(pg, arena, &statistic_expire_sql, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_deleted = pg_affected(result);
    }
    return status;
}

enum status statistic_store_state(struct pg *pg, struct arena *arena, struct id workspace_id,
                                  struct statistic_state *out_state, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_i64(&params, STATISTIC_COUNT_MIN);
    enum status status = pg_run(pg, arena, &statistic_state_sql, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_state = (struct statistic_state){
            .computed_at_ms = pg_get_instant(result, 0, 0),
            .has_enough = pg_get_i64(result, 0, 1) >= STATISTIC_COUNT_MIN,
        };
    }
    return status;
}
