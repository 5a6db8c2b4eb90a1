#include "store/delivery_replay.h"

#include "base/instant.h"
#include "core/trigger/delivery.h"

/*
 * Replays of deliveries.
 *
 * A delivery's id is the hash of notification and subscription, and settling
 * deletes the row. So putting it back is an insert that does nothing where the
 * row still stands: what is pending is not doubled, however often somebody asks,
 * and a replay that meets the settlement of the same delivery waits for it and
 * then either finds the row or does not. The body is the notification's, never
 * rendered anew.
 *
 * What failed is what the log says: the last attempt of all has an outcome that
 * ended it without being delivered. A walk goes over the attempts of a range and
 * takes each notification at its last settled attempt within it, so that one with
 * ten attempts is taken once, wherever the walk was interrupted.
 */

static const struct pg_statement replay_scan_sql = {
    "replay_scan",
    "SELECT a.at, a.id, a.notification_id, a.notification_created_at,"
    " CASE WHEN a.outcome = 'retry' THEN false ELSE NOT EXISTS (SELECT 1 FROM attempt b"
    "  WHERE b.workspace_id = $1 AND b.notification_id = a.notification_id AND b.at >= a.at"
    "  AND b.at < $3 AND (b.at, b.id) > (a.at, a.id) AND b.subscription_id = $2"
    "  AND b.outcome <> 'retry')"
    " AND (NOT $4::boolean OR (SELECT l.outcome FROM attempt l WHERE l.workspace_id = $1"
    "  AND l.notification_id = a.notification_id AND l.at >= a.at AND l.subscription_id = $2"
    "  ORDER BY l.at DESC, l.id DESC LIMIT 1) IN ('gave_up', 'aborted', 'gone')) END"
    " FROM attempt a WHERE a.workspace_id = $1 AND a.subscription_id = $2 AND a.at >= $5"
    " AND a.at < $3 AND (a.at, a.id) > ($5, $6) ORDER BY a.at, a.id LIMIT $7",
};

static const struct pg_statement replay_queue_sql = {
    "replay_queue",
    "WITH kept AS (SELECT d.id, d.notification_id, d.created_at, n.profile_id, n.sequence"
    " FROM unnest($3::uuid[], $4::uuid[], $5::timestamptz[]) AS d (id, notification_id, created_at)"
    " CROSS JOIN LATERAL (SELECT p.profile_id, p.sequence FROM notification p"
    " WHERE p.workspace_id = $1 AND p.created_at = d.created_at AND p.id = d.notification_id"
    " OFFSET 0) n),"
    " queued AS (INSERT INTO delivery (workspace_id, id, notification_id,"
    " notification_created_at, subscription_id, profile_id, sequence, due_at)"
    " SELECT $1, k.id, k.notification_id, k.created_at, $2, k.profile_id, k.sequence, $6"
    " FROM kept k ON CONFLICT (workspace_id, id) DO NOTHING RETURNING id)"
    " SELECT (SELECT count(*) FROM kept), (SELECT count(*) FROM queued)",
};

static const struct pg_statement replay_targets_sql = {
    "replay_targets",
    "SELECT s.id, s.name, s.status, coalesce(s.max_age_ms, 0) FROM (SELECT DISTINCT"
    " a.subscription_id FROM attempt a WHERE a.workspace_id = $1 AND a.notification_id = $2) t"
    " JOIN subscription s ON s.workspace_id = $1 AND s.id = t.subscription_id"
    " WHERE $3::uuid IS NULL OR s.owner_key_id = $3 ORDER BY s.name",
};

static const struct pg_statement replay_max_age_sql = {
    "replay_max_age",
    "SELECT coalesce(max_age_ms, 0) FROM subscription WHERE workspace_id = $1 AND id = $2",
};

enum status delivery_replay_scan(struct pg *pg, struct arena *arena, const struct replay_walk *walk,
                                 struct replay_candidate **out_rows, size_t *out_count,
                                 struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, walk->workspace_id);
    pg_put_id(&params, walk->subscription_id);
    pg_put_instant(&params, walk->until_ms);
    pg_put_bool(&params, walk->only_failed);
    pg_put_instant(&params, walk->after_ms);
    pg_put_id(&params, walk->after_id);
    pg_put_i64(&params, (int64_t)walk->limit);
    enum status status = pg_run(pg, arena, &replay_scan_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct replay_candidate *rows = ARENA_NEW_ARRAY(arena, count + 1, struct replay_candidate);
    if (rows == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        rows[i] = (struct replay_candidate){
            .at_ms = pg_get_instant(result, i, 0),
            .attempt_id = pg_get_id(result, i, 1),
            .notification_id = pg_get_id(result, i, 2),
            .created_at_ms = pg_get_instant(result, i, 3),
            .is_wanted = !pg_is_null(result, i, 4) && pg_get_bool(result, i, 4),
        };
    }
    *out_rows = rows;
    *out_count = count;
    return STATUS_OK;
}

enum status delivery_replay_queue(struct pg *pg, struct arena *arena, struct id workspace_id,
                                  struct id subscription_id, const struct replay_item *items,
                                  size_t count, int64_t now_ms, size_t *out_found,
                                  size_t *out_queued, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    struct pg_array deliveries;
    struct pg_array notifications;
    struct pg_array instants;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, subscription_id);
    pg_array_begin(&deliveries, &params, PG_UUID, count);
    pg_array_begin(&notifications, &params, PG_UUID, count);
    pg_array_begin(&instants, &params, PG_INSTANT, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_id(&deliveries, delivery_id(items[i].notification_id, subscription_id));
        pg_array_id(&notifications, items[i].notification_id);
        pg_array_instant(&instants, items[i].created_at_ms);
    }
    pg_array_end(&deliveries);
    pg_array_end(&notifications);
    pg_array_end(&instants);
    pg_put_instant(&params, now_ms);
    enum status status = pg_run(pg, arena, &replay_queue_sql, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_found = (size_t)pg_get_i64(result, 0, 0);
        *out_queued = (size_t)pg_get_i64(result, 0, 1);
    }
    return status;
}

enum status delivery_replay_targets(struct pg *pg, struct arena *arena, struct id workspace_id,
                                    struct id notification_id, struct id owner,
                                    struct replay_target **out_targets, size_t *out_count,
                                    struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, notification_id);
    pg_put_id_or_null(&params, owner);
    enum status status = pg_run(pg, arena, &replay_targets_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct replay_target *targets = ARENA_NEW_ARRAY(arena, count + 1, struct replay_target);
    if (targets == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        targets[i] = (struct replay_target){
            .subscription_id = pg_get_id(result, i, 0),
            .name = pg_get_text(result, i, 1),
            .status = pg_get_text(result, i, 2),
            .max_age_ms = pg_get_i64(result, i, 3),
        };
    }
    *out_targets = targets;
    *out_count = count;
    return STATUS_OK;
}

enum status delivery_replay_max_age(struct pg *pg, struct arena *arena, struct id workspace_id,
                                    struct id subscription_id, int64_t *out_max_age_ms,
                                    struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, subscription_id);
    enum status status = pg_run(pg, arena, &replay_max_age_sql, &params, &result, problem);
    if (status == STATUS_OK && pg_row_count(result) == 0) {
        return STATUS_MISSING;
    }
    if (status == STATUS_OK) {
        *out_max_age_ms = pg_get_i64(result, 0, 0);
    }
    return status;
}
