#include "store/care_store.h"

#include "base/instant.h"
#include "core/trigger/delivery.h"

/*
 * Endpoints that fail, found in the log of attempts.
 *
 * Problem: whether an endpoint has only failed for five days is asked every few
 * seconds of every endpoint, and the answer must not cost the settling of calls
 * anything. So nobody counts while settling: the newest call of each
 * subscription is one step into an index, and only one that failed is looked at
 * further, from the last look on.
 *
 * Attempts are known by when they began and written when they ended, so one may
 * turn up behind a later one: a look goes back by OVERLAP.
 *
 * Telling is one statement that begins by raising the stage: a second instance
 * finds it raised and inserts nothing. Notifications about the service belong to
 * the zero id, as those of silence_store.c.
 *
 * Rejected: a counter on the subscription's row, written by every settlement (a
 * row that all threads fight for), and an index of successes alone (a write more
 * for each call).
 */

/* More than the longest call lasts, and its settling. */
#define OVERLAP_MS INSTANT_MINUTE_MS
/* Looks are seconds apart; while nobody looks, nobody calls. */
#define LOOK_BACK_MS (10 * INSTANT_MINUTE_MS)
enum {
    CALLS_MAX = 10000
};

/* Others are no calls: dropped, expired. */
#define CARE_WELL "('delivered', 'aborted')"
#define CARE_CALLS "('delivered', 'aborted', 'retry', 'gave_up', 'gone')"

/* Calls of the subscription s.id after s.look_from, up to now, the newest first. The rows
 * are compared as (subscription, instant) because no other index has that order: asked
 * for `at` alone, the planner may walk the whole workspace's calls for an endpoint that
 * had none. The instants by themselves are there for the partitions. */
#define CARE_NEWEST_FIRST                                                             \
    " FROM attempt a WHERE a.workspace_id = $1 AND a.at > s.look_from AND a.at <= $2" \
    " AND (a.subscription_id, a.at) > (s.id, s.look_from)"                            \
    " AND (a.subscription_id, a.at) <= (s.id, $2) AND a.outcome IN " CARE_CALLS       \
    " ORDER BY a.subscription_id DESC, a.at DESC"

static const struct pg_statement care_list_sql = {
    "care_list",
    "SELECT s.id, s.name, s.status_reason, s.is_disabled, s.updated_at, s.failing_since,"
    " s.failing_told, s.failing_seen, n.at, n.outcome IN " CARE_WELL
    " FROM (SELECT b.id, b.name, b.status_reason, b.status = 'active' AS is_active,"
    " b.status = 'disabled' AS is_disabled, b.updated_at, b.failing_since, b.failing_told,"
    " b.failing_seen, CASE WHEN b.failing_since IS NULL"
    " THEN greatest(b.failing_seen - interval '1 minute', $3)"
    " ELSE coalesce(b.failing_seen - interval '1 minute', $3) END AS look_from"
    " FROM subscription b WHERE b.workspace_id = $1 AND b.status IN ('active', 'disabled')"
    " OFFSET 0) s LEFT JOIN LATERAL (SELECT a.at, a.outcome" CARE_NEWEST_FIRST
    " LIMIT 1) n ON s.is_active"
    " WHERE s.is_active AND n.at IS NOT NULL"
    " AND (s.failing_since IS NOT NULL OR n.outcome NOT IN " CARE_WELL ")"
    " OR s.is_disabled AND s.failing_told < 100",
};

static const struct pg_statement care_calls_sql = {
    "care_calls",
    "SELECT s.n, r.well_at, r.failed_at FROM unnest($3::uuid[], $4::timestamptz[])"
    " WITH ORDINALITY AS s (id, look_from, n) CROSS JOIN LATERAL ("
    "WITH t AS (SELECT a.at, a.outcome IN " CARE_WELL " AS went_well" CARE_NEWEST_FIRST
    " LIMIT $5),"
    " w AS (SELECT max(at) AS at FROM t WHERE went_well)"
    " SELECT w.at AS well_at, (SELECT min(t.at) FROM t WHERE NOT t.went_well"
    " AND t.at > coalesce(w.at, '-infinity')) AS failed_at FROM w) r",
};

static const struct pg_statement care_mark_sql = {
    "care_mark",
    "UPDATE subscription AS s SET failing_since = u.since, failing_told = u.told,"
    " failing_seen = greatest(s.failing_seen, u.seen)"
    " FROM (SELECT $1::uuid AS workspace_id, k.* FROM unnest($2::uuid[], $3::timestamptz[],"
    " $4::integer[], $5::timestamptz[]) AS k (id, since, told, seen) OFFSET 0) u"
    " WHERE s.workspace_id = u.workspace_id AND s.id = u.id AND s.status = 'active'",
};

static const struct pg_statement care_tell_sql = {
    "care_tell",
    "WITH told AS (UPDATE subscription SET failing_told = $3,"
    " status = CASE WHEN $4::text IS NULL THEN status ELSE 'disabled' END,"
    " status_reason = coalesce($4, status_reason),"
    " version = version + CASE WHEN $4::text IS NULL THEN 0 ELSE 1 END,"
    " updated_at = CASE WHEN $4::text IS NULL THEN updated_at ELSE $5 END"
    " WHERE workspace_id = $1 AND id = $2 AND failing_told < $3"
    " AND status IN ('active', 'disabled') RETURNING id),"
    " changed AS (UPDATE workspace SET config_version = config_version + 1 WHERE id = $1"
    " AND $4::text IS NOT NULL AND EXISTS (SELECT 1 FROM told)),"
    " rung AS (INSERT INTO notification (workspace_id, created_at, id, profile_id, topic,"
    " sequence, body) SELECT $1, $7, $6, $8, $9, 0, $10 FROM told"
    " WHERE cardinality($11::uuid[]) > 0"
    " ON CONFLICT (workspace_id, created_at, id) DO NOTHING RETURNING id),"
    " queued AS (INSERT INTO delivery (workspace_id, id, notification_id, notification_created_at,"
    " subscription_id, profile_id, sequence, due_at)"
    " SELECT $1, d.id, r.id, $7, d.subscription_id, $8, 0, $5"
    " FROM rung r CROSS JOIN unnest($11::uuid[], $12::uuid[]) AS d (id, subscription_id)"
    " ON CONFLICT (workspace_id, id) DO NOTHING)"
    " SELECT count(*) FROM told",
};

/* OVERLAP ahead, so that no look goes back behind it. */
static const struct pg_statement care_forgive_sql = {
    "care_forgive",
    "UPDATE subscription SET failing_since = NULL, failing_told = 0,"
    " failing_seen = $3::timestamptz + interval '1 minute' WHERE workspace_id = $1 AND id = $2",
};

enum status care_list(struct pg *pg, struct arena *arena, struct id workspace_id, int64_t now_ms,
                      struct care_row **out_rows, size_t *out_count, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_instant(&params, now_ms);
    pg_put_instant(&params, now_ms - LOOK_BACK_MS);
    enum status status = pg_run(pg, arena, &care_list_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct care_row *rows = ARENA_NEW_ARRAY(arena, count, struct care_row);
    if (rows == NULL && count > 0) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        rows[i] = (struct care_row){
            .subscription_id = pg_get_id(result, i, 0),
            .name = pg_get_text(result, i, 1),
            .reason = pg_get_text(result, i, 2),
            .is_disabled = pg_get_bool(result, i, 3),
            .disabled_at_ms = pg_get_instant(result, i, 4),
            .failing_since_ms = pg_get_instant(result, i, 5),
            .told = (int32_t)pg_get_i64(result, i, 6),
            .seen_ms = pg_get_instant(result, i, 7),
            .called_at_ms = pg_get_instant(result, i, 8),
            .went_well = !pg_is_null(result, i, 9) && pg_get_bool(result, i, 9),
        };
    }
    *out_rows = rows;
    *out_count = count;
    return STATUS_OK;
}

static int64_t look_from_ms(const struct care_row *row, int64_t now_ms)
{
    bool was_seen = row->seen_ms != INSTANT_NONE;
    int64_t from_ms = was_seen ? row->seen_ms - OVERLAP_MS : now_ms - LOOK_BACK_MS;
    bool is_failing = row->failing_since_ms != INSTANT_NONE;
    return is_failing || from_ms > now_ms - LOOK_BACK_MS ? from_ms : now_ms - LOOK_BACK_MS;
}

enum status care_calls(struct pg *pg, struct arena *arena, struct id workspace_id,
                       const struct care_row *rows, size_t count, int64_t now_ms,
                       struct care_calls *out_calls, struct problem *problem)
{
    struct pg_params params;
    struct pg_array ids;
    struct pg_array instants;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_instant(&params, now_ms);
    pg_array_begin(&ids, &params, PG_UUID, count);
    pg_array_begin(&instants, &params, PG_INSTANT, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_id(&ids, rows[i].subscription_id);
        pg_array_instant(&instants, look_from_ms(&rows[i], now_ms));
    }
    pg_array_end(&ids);
    pg_array_end(&instants);
    pg_put_i64(&params, CALLS_MAX);
    enum status status = pg_run(pg, arena, &care_calls_sql, &params, &result, problem);
    for (size_t row = 0; status == STATUS_OK && row < pg_row_count(result); row++) {
        out_calls[(size_t)pg_get_i64(result, row, 0) - 1] = (struct care_calls){
            .well_at_ms = pg_get_instant(result, row, 1),
            .failed_at_ms = pg_get_instant(result, row, 2),
        };
    }
    return status;
}

enum status care_mark(struct pg *pg, struct arena *arena, struct id workspace_id,
                      const struct care_row *const *rows, size_t count, struct problem *problem)
{
    struct pg_params params;
    struct pg_array ids;
    struct pg_array since;
    struct pg_array told;
    struct pg_array seen;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_array_begin(&ids, &params, PG_UUID, count);
    pg_array_begin(&since, &params, PG_INSTANT, count);
    pg_array_begin(&told, &params, PG_INT4, count);
    pg_array_begin(&seen, &params, PG_INSTANT, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_id(&ids, rows[i]->subscription_id);
        pg_array_instant(&since, rows[i]->failing_since_ms);
        pg_array_i32(&told, rows[i]->told);
        pg_array_instant(&seen, rows[i]->called_at_ms);
    }
    pg_array_end(&ids);
    pg_array_end(&since);
    pg_array_end(&told);
    pg_array_end(&seen);
    return pg_run(pg, arena, &care_mark_sql, &params, NULL, problem);
}

enum status care_tell(struct pg *pg, struct arena *arena, const struct care_telling *telling,
                      int64_t now_ms, bool *out_told, struct problem *problem)
{
    struct pg_params params;
    struct pg_array ids;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, telling->workspace_id);
    pg_put_id(&params, telling->subscription_id);
    pg_put_i32(&params, telling->stage);
    pg_put_text_or_null(&params, telling->disable);
    pg_put_instant(&params, now_ms);
    pg_put_id(&params, telling->id);
    pg_put_instant(&params, telling->created_at_ms);
    pg_put_id(&params, ID_ZERO);
    pg_put_text(&params, telling->topic);
    pg_put_text(&params, telling->body);
    pg_array_begin(&ids, &params, PG_UUID, telling->listener_count);
    for (size_t i = 0; i < telling->listener_count; i++) {
        pg_array_id(&ids, delivery_id(telling->id, telling->listener_ids[i]));
    }
    pg_array_end(&ids);
    pg_put_ids(&params, telling->listener_ids, telling->listener_count);
    enum status status = pg_run(pg, arena, &care_tell_sql, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_told = pg_get_i64(result, 0, 0) > 0;
    }
    return status;
}

enum status care_forgive(struct pg *pg, struct arena *arena, struct id workspace_id,
                         struct id subscription_id, int64_t now_ms, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, subscription_id);
    pg_put_instant(&params, now_ms);
    return pg_run(pg, arena, &care_forgive_sql, &params, NULL, problem);
}
