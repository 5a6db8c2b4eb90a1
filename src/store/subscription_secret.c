#include "base/instant.h"
#include "store/subscription_store.h"

/*
 * What a subscription signs with, and how its messages fared.
 *
 * Secrets rotate by overlap: the new one has no end, the former gets one, and
 * both sign until then. Figures are read from the newest attempts only, a
 * bounded sample: an exact count over a day of a busy endpoint would read a
 * million rows for a number nobody needs exact.
 */

static const struct pg_statement subscription_secret_insert_sql = {
    "subscription_secret_insert",
    "INSERT INTO subscription_secret (workspace_id, subscription_id, id, sealed, created_at)"
    " VALUES ($1, $2, $3, $4, $5)",
};

static const struct pg_statement subscription_secret_expire_sql = {
    "subscription_secret_expire",
    "UPDATE subscription_secret SET expires_at = least(coalesce(expires_at, $4), $4)"
    " WHERE workspace_id = $1 AND subscription_id = $2 AND id = $3",
};

static const struct pg_statement subscription_secret_purge_sql = {
    "subscription_secret_purge",
    "DELETE FROM subscription_secret WHERE workspace_id = $1 AND subscription_id = $2"
    " AND expires_at <= $3",
};

static const struct pg_statement subscription_secret_list_sql = {
    "subscription_secret_list",
    "SELECT s.id, t.id, t.sealed, t.created_at, t.expires_at"
    " FROM unnest($2::uuid[]) WITH ORDINALITY AS s(id, n)"
    " CROSS JOIN LATERAL (SELECT r.id, r.sealed, r.created_at, r.expires_at"
    " FROM subscription_secret r WHERE r.workspace_id = $1 AND r.subscription_id = s.id"
    " AND (r.expires_at IS NULL OR r.expires_at > $3)) t"
    " ORDER BY s.n, t.created_at DESC, t.id DESC",
};

static const struct pg_statement subscription_stats_sql = {
    "subscription_stats",
    "SELECT q.pending, q.oldest, a.attempts, a.delivered, a.p99"
    " FROM unnest($2::uuid[]) WITH ORDINALITY AS s(id, n)"
    " CROSS JOIN LATERAL (SELECT count(*) AS pending, min(n.created_at) AS oldest"
    " FROM (SELECT d.notification_created_at AS created_at FROM delivery d"
    " WHERE d.workspace_id = $1 AND d.subscription_id = s.id LIMIT 10000) n) q"
    " CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE r.outcome <> 'dropped') AS attempts,"
    " count(*) FILTER (WHERE r.outcome = 'delivered') AS delivered,"
    " coalesce(percentile_disc(0.99) WITHIN GROUP (ORDER BY r.duration_ms), 0) AS p99"
    " FROM (SELECT t.outcome, t.duration_ms FROM attempt t WHERE t.workspace_id = $1"
    " AND t.subscription_id = s.id AND t.at > $3 ORDER BY t.at DESC LIMIT $4) r) a"
    " ORDER BY s.n",
};

enum status subscription_secret_insert(struct pg *pg, struct arena *arena, struct id workspace_id,
                                       struct id subscription_id, struct id secret_id,
                                       struct str sealed, int64_t created_at_ms,
                                       struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, subscription_id);
    pg_put_id(&params, secret_id);
    pg_put_bytes(&params, sealed);
    pg_put_instant(&params, created_at_ms);
    return pg_run(pg, arena, &subscription_secret_insert_sql, &params, NULL, problem);
}

enum status subscription_secret_expire(struct pg *pg, struct arena *arena, struct id workspace_id,
                                       const struct subscription_secret_row *secret,
                                       int64_t expires_at_ms, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, secret->subscription_id);
    pg_put_id(&params, secret->id);
    pg_put_instant(&params, expires_at_ms);
    return pg_run(pg, arena, &subscription_secret_expire_sql, &params, NULL, problem);
}

enum status subscription_secret_purge(struct pg *pg, struct arena *arena, struct id workspace_id,
                                      struct id subscription_id, int64_t now_ms,
                                      struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, subscription_id);
    pg_put_instant(&params, now_ms);
    return pg_run(pg, arena, &subscription_secret_purge_sql, &params, NULL, problem);
}

enum status subscription_secret_list(struct pg *pg, struct arena *arena, struct id workspace_id,
                                     const struct id *ids, size_t id_count, int64_t now_ms,
                                     struct subscription_secret_row **out_secrets,
                                     size_t *out_count, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_ids(&params, ids, id_count);
    pg_put_instant(&params, now_ms);
    struct pg_result *result = NULL;
    enum status status =
        pg_run(pg, arena, &subscription_secret_list_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct subscription_secret_row *rows =
        ARENA_NEW_ARRAY(arena, count + 1, struct subscription_secret_row);
    if (rows == NULL) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "too many secrets at once");
    }
    for (size_t i = 0; i < count; i++) {
        rows[i] = (struct subscription_secret_row){
            .subscription_id = pg_get_id(result, i, 0),
            .id = pg_get_id(result, i, 1),
            .sealed = pg_get_bytes(result, i, 2),
            .created_at_ms = pg_get_instant(result, i, 3),
            .expires_at_ms = pg_get_instant(result, i, 4),
        };
    }
    *out_secrets = rows;
    *out_count = count;
    return STATUS_OK;
}

enum status subscription_stats_read(struct pg *pg, struct arena *arena, struct id workspace_id,
                                    const struct id *ids, size_t count, int64_t now_ms,
                                    int32_t sample, struct subscription_stats **out_stats,
                                    struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_ids(&params, ids, count);
    pg_put_instant(&params, now_ms - INSTANT_DAY_MS);
    pg_put_i64(&params, sample);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &subscription_stats_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct subscription_stats *stats = ARENA_NEW_ARRAY(arena, count, struct subscription_stats);
    if (stats == NULL || pg_row_count(result) != count) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached",
                           "too many subscriptions at once");
    }
    for (size_t i = 0; i < count; i++) {
        stats[i] = (struct subscription_stats){
            .pending = pg_get_i64(result, i, 0),
            .oldest_pending_at_ms = pg_get_instant(result, i, 1),
            .attempts = pg_get_i64(result, i, 2),
            .delivered = pg_get_i64(result, i, 3),
            .p99_ms = pg_get_i64(result, i, 4),
        };
    }
    *out_stats = stats;
    return STATUS_OK;
}
