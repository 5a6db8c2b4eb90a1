#include "store/delivery_hold.h"

#include "base/instant.h"

/*
 * Dropping, in walks of short statements: a backlog of hours may be a million rows.
 *
 * What somebody holds a lease of is passed over: it may be in the air, and its
 * settlement must find the row. So is a member of a frozen batch: the batch is sent
 * as it was frozen, or not at all. Nothing disappears without a word: a dropped
 * delivery has an attempt in the log, under its own id, which an attempt of a
 * delivery can have once in an instant.
 */

static const struct pg_statement delivery_drop_old_sql = {
    "delivery_drop_old",
    "WITH seen AS (SELECT q.id, q.notification_created_at < $2"
    " AND (q.lease_until IS NULL OR q.lease_until < $3) AND q.batch_id IS NULL AS goes"
    " FROM delivery q"
    " WHERE q.workspace_id = $1 AND q.id > $4 ORDER BY q.id LIMIT $5),"
    " gone AS (DELETE FROM delivery AS d USING (SELECT $1::uuid AS workspace_id, s.id FROM seen s"
    " WHERE s.goes OFFSET 0) s WHERE d.workspace_id = s.workspace_id AND d.id = s.id"
    " AND (d.lease_until IS NULL OR d.lease_until < $3) AND d.batch_id IS NULL"
    " RETURNING d.id, d.notification_id, d.notification_created_at, d.subscription_id,"
    " d.profile_id, d.attempt),"
    " logged AS (INSERT INTO attempt (workspace_id, at, id, notification_id,"
    " notification_created_at, subscription_id, profile_id, number, outcome, response_status,"
    " duration_ms, body_bytes, error, response) SELECT $1, $3, g.id, g.notification_id,"
    " g.notification_created_at, g.subscription_id, g.profile_id, g.attempt + 1, 'dropped', 0, 0,"
    " 0, 'dropped when the workspace was released: too old', '' FROM gone g"
    " ON CONFLICT (workspace_id, at, id) DO NOTHING RETURNING id)"
    " SELECT (SELECT count(*) FROM seen), (SELECT count(*) FROM logged),"
    " (SELECT s.id FROM seen s ORDER BY s.id DESC LIMIT 1)",
};

enum status delivery_drop_old(struct pg *pg, struct arena *arena, struct id workspace_id,
                              int64_t before_ms, int64_t now_ms, size_t limit,
                              struct drop_walk *walk, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_instant(&params, before_ms);
    pg_put_instant(&params, now_ms);
    pg_put_id(&params, walk->after_id);
    pg_put_i64(&params, (int64_t)limit);
    enum status status = pg_run(pg, arena, &delivery_drop_old_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    walk->is_end = pg_get_i64(result, 0, 0) < (int64_t)limit;
    walk->dropped += pg_get_i64(result, 0, 1);
    if (!pg_is_null(result, 0, 2)) {
        walk->after_id = pg_get_id(result, 0, 2);
    }
    return STATUS_OK;
}
