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
 * takes each notification at its first settled attempt within it, so that one with
 * ten attempts is taken once, wherever the walk was interrupted. Of an ordered
 * subscription that is the order of each customer, also when some were replayed before.
 *
 * Where order is asked for, a replay keeps it: it takes the place that the message had,
 * by sequence and rank, before what is newer and still pending. What is newer and was
 * sent, or is in the air, was before it: the receiver tells by its sequence. Whoever is
 * merged at the very instant of the statement is ordered among their own.
 *
 * A message has an age at which it is not worth sending unasked; who asks for it again
 * knows how old it is. So max_age counts from the asking, and all that ends a replay
 * before is that the notification is not kept any more. Rejected: counting from the
 * notification, by which an endpoint that was down for longer than its max_age could be
 * told of nothing it had missed.
 */

/* The attempts of one notification, fenced: the planner would take them from the log's
 * own order, which is right for a table that it knows and walks all of today's before its
 * first ANALYZE: 1.9 s a chunk of 200 among 6,000, and 36 ms so. */
#define OF_NOTIFICATION                                                            \
    " FROM (SELECT x.at, x.id, x.outcome FROM attempt x WHERE x.workspace_id = $1" \
    " AND x.notification_id = a.notification_id AND x.subscription_id = $2"

static const struct pg_statement replay_scan_sql = {
    "replay_scan",
    "SELECT a.at, a.id, a.notification_id, a.notification_created_at,"
    " CASE WHEN a.outcome = 'retry' THEN false ELSE NOT EXISTS (SELECT 1" OF_NOTIFICATION
    " AND x.at >= $8 AND x.at <= a.at OFFSET 0) b WHERE (b.at, b.id) < (a.at, a.id)"
    " AND b.outcome <> 'retry')"
    " AND (NOT $4::boolean OR (SELECT l.outcome" OF_NOTIFICATION
    " AND x.at >= a.at OFFSET 0) l ORDER BY l.at DESC, l.id DESC LIMIT 1)"
    " IN ('gave_up', 'aborted', 'gone')) END"
    " FROM attempt a WHERE a.workspace_id = $1 AND a.subscription_id = $2 AND a.at >= $5"
    " AND a.at < $3 AND (a.at, a.id) > ($5, $6) ORDER BY a.at, a.id LIMIT $7",
};

static const struct pg_statement replay_queue_sql = {
    "replay_queue",
    "WITH subscribed AS (SELECT s.ordering = 'profile' AS is_ordered FROM subscription s"
    " WHERE s.workspace_id = $1 AND s.id = $2),"
    " kept AS (SELECT d.id, d.notification_id, d.created_at, n.sequence, n.rank, n.is_ordered,"
    " coalesce(m.merged_into, n.profile_id) AS turn_id FROM subscribed s"
    " CROSS JOIN unnest($3::uuid[], $4::uuid[], $5::timestamptz[])"
    " AS d (id, notification_id, created_at)"
    /* What is about no customer has no order. */
    " CROSS JOIN LATERAL (SELECT p.profile_id, p.sequence, p.rank, s.is_ordered"
    " AND p.profile_id <> '00000000-0000-0000-0000-000000000000' AS is_ordered"
    " FROM notification p WHERE p.workspace_id = $1 AND p.created_at = d.created_at"
    " AND p.id = d.notification_id OFFSET 0) n"
    " LEFT JOIN LATERAL (SELECT c.merged_into FROM profile c WHERE n.is_ordered"
    " AND c.workspace_id = $1 AND c.id = n.profile_id OFFSET 0) m ON true),"
    " queued AS (INSERT INTO delivery (workspace_id, id, notification_id,"
    " notification_created_at, subscription_id, profile_id, sequence, rank, is_ordered, due_at,"
    " replayed_at)"
    " SELECT $1, k.id, k.notification_id, k.created_at, $2, k.turn_id, k.sequence, k.rank,"
    " k.is_ordered, $6, $6 FROM kept k ON CONFLICT (workspace_id, id) DO NOTHING RETURNING id)"
    " SELECT (SELECT count(*) FROM kept), (SELECT count(*) FROM queued),"
    " EXISTS (SELECT 1 FROM subscribed)",
};

static const struct pg_statement replay_targets_sql = {
    "replay_targets",
    "SELECT s.id, s.name, s.status FROM (SELECT DISTINCT"
    " a.subscription_id FROM attempt a WHERE a.workspace_id = $1 AND a.notification_id = $2) t"
    " JOIN subscription s ON s.workspace_id = $1 AND s.id = t.subscription_id"
    " WHERE $3::uuid IS NULL OR s.owner_key_id = $3 ORDER BY s.name",
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
    pg_put_instant(&params, walk->since_ms);
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
    if (status == STATUS_OK && !pg_get_bool(result, 0, 2)) {
        return STATUS_MISSING;
    }
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
        };
    }
    *out_targets = targets;
    *out_count = count;
    return STATUS_OK;
}
