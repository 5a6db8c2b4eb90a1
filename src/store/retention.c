#include "store/retention.h"

#include "store/fan_out_store.h"

/*
 * Receipts fall by a BRIN index on the time they were written: they are
 * appended in that order, so their age is their place. Rejected: partitioning
 * the receipts by time, since their key (workspace, event) must stay unique
 * across all of it.
 */

static const struct pg_statement retention_receipt = {
    "retention_receipt",
    "DELETE FROM receipt WHERE workspace_id = $1 AND event_id IN (SELECT event_id FROM receipt"
    " WHERE workspace_id = $1 AND received_at < $2 LIMIT $3) AND received_at < $2",
};

/* What is still true is kept: a sale of three months is asked for until its end. */
static const struct pg_statement retention_universal_sql = {
    "retention_universal",
    "DELETE FROM universal_event WHERE workspace_id = $1 AND id IN (SELECT id FROM universal_event"
    " WHERE workspace_id = $1 AND recorded_at < $2 AND (expires_at IS NULL OR expires_at < $2)"
    " LIMIT $3) AND recorded_at < $2",
};

/* By the key, which begins with the time: other jobs that are as old are few. */
static const struct pg_statement retention_fan_out = {
    "retention_fan_out",
    "DELETE FROM job WHERE workspace_id = $1 AND id IN (SELECT id FROM job WHERE workspace_id = $1"
    " AND id < $2 AND kind = '" FAN_OUT_KIND "' AND finished_at IS NOT NULL ORDER BY id LIMIT $3)",
};

static const struct pg_statement retention_idempotent = {
    "retention_idempotent",
    "DELETE FROM idempotency WHERE workspace_id = $1 AND created_at < $2",
};

static const struct pg_statement retention_clock = {
    "retention_clock",
    "SELECT clock_timestamp()",
};

static enum status delete_some(struct pg *pg, struct arena *arena,
                               const struct pg_statement *statement, struct id workspace_id,
                               int64_t before_ms, size_t limit, size_t *out_deleted,
                               struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_instant(&params, before_ms);
    pg_put_i64(&params, (int64_t)limit);
    enum status status = pg_run(pg, arena, statement, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_deleted = pg_affected(result);
    }
    return status;
}

enum status retention_receipts(struct pg *pg, struct arena *arena, struct id workspace_id,
                               int64_t before_ms, size_t limit, size_t *out_deleted,
                               struct problem *problem)
{
    return delete_some(pg, arena, &retention_receipt, workspace_id, before_ms, limit, out_deleted,
                       problem);
}

enum status retention_universal(struct pg *pg, struct arena *arena, struct id workspace_id,
                                int64_t before_ms, size_t limit, size_t *out_deleted,
                                struct problem *problem)
{
    return delete_some(pg, arena, &retention_universal_sql, workspace_id, before_ms, limit,
                       out_deleted, problem);
}

enum status retention_fan_outs(struct pg *pg, struct arena *arena, struct id workspace_id,
                               int64_t before_ms, size_t limit, size_t *out_deleted,
                               struct problem *problem)
{
    static const uint8_t least[10] = { 0 };
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, id_from_time(before_ms, least));
    pg_put_i64(&params, (int64_t)limit);
    enum status status = pg_run(pg, arena, &retention_fan_out, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_deleted = pg_affected(result);
    }
    return status;
}

enum status retention_idempotency(struct pg *pg, struct arena *arena, struct id workspace_id,
                                  int64_t before_ms, size_t *out_deleted, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_instant(&params, before_ms);
    enum status status = pg_run(pg, arena, &retention_idempotent, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_deleted = pg_affected(result);
    }
    return status;
}

enum status retention_database_clock(struct pg *pg, struct arena *arena, int64_t *out_now_ms,
                                     struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    enum status status = pg_run(pg, arena, &retention_clock, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_now_ms = pg_get_instant(result, 0, 0);
    }
    return status;
}
