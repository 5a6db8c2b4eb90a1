#include "base/instant.h"
#include "base/limits.h"
#include "core/source.h"
#include "store/source_store.h"

/*
 * How well a source is served: how late its deliveries come, and when none
 * could be taken.
 *
 * Problem: a platform that does not repeat (WooCommerce) loses what it sends
 * while nobody answers, and nobody who is down can write that down. So life is
 * recorded instead: every few seconds any instance moves the end of the span
 * it lives in, and a beat that finds no span younger than LIMIT_UPTIME_GAP_MS
 * begins a new one. What lies between two spans is a gap, whether the process,
 * its machine or the database was away.
 *
 * Invariant: all of it adds up or takes a maximum, so instances share rows
 * without knowing of each other, and a repeated beat changes nothing.
 *
 * Rejected: one row per instance (who was alone is then a question over all of
 * them), and percentiles kept as such (they cannot be added).
 */

static const struct pg_statement source_uptime_beat_sql = {
    "source_uptime_beat",
    "WITH alive AS (UPDATE uptime SET ended_at = greatest(ended_at, $1) WHERE ended_at >= $2"
    " RETURNING begun_at)"
    " INSERT INTO uptime (begun_at, ended_at) SELECT $1, $1"
    " WHERE NOT EXISTS (SELECT begun_at FROM alive) ON CONFLICT (begun_at) DO NOTHING",
};

static const struct pg_statement source_uptime_gaps_sql = {
    "source_uptime_gaps",
    "SELECT g.from_at, g.to_at FROM (SELECT begun_at AS to_at, max(ended_at) OVER (ORDER BY"
    " begun_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS from_at FROM uptime) g"
    " WHERE g.from_at < g.to_at AND g.to_at > $1 ORDER BY g.to_at DESC LIMIT $2",
};

static const struct pg_statement source_gap_add_sql = {
    "source_gap_add",
    "INSERT INTO source_gap (workspace_id, source_id, begun_at, ended_at, shed)"
    " SELECT d.workspace_id, d.source_id, coalesce(r.begun_at, d.begun_at), d.ended_at, d.shed"
    " FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[],"
    " $6::bigint[]) AS d(workspace_id, source_id, begun_at, ended_at, near_at, shed)"
    " LEFT JOIN LATERAL (SELECT g.begun_at FROM source_gap g"
    " WHERE g.workspace_id = d.workspace_id AND g.source_id = d.source_id"
    " AND g.begun_at <= d.ended_at AND g.ended_at >= d.near_at"
    " ORDER BY g.begun_at DESC LIMIT 1) r ON true"
    " ON CONFLICT (workspace_id, source_id, begun_at) DO UPDATE SET"
    " ended_at = greatest(source_gap.ended_at, excluded.ended_at),"
    " shed = source_gap.shed + excluded.shed",
};

static const struct pg_statement source_gap_list_sql = {
    "source_gap_list",
    "SELECT begun_at, ended_at, shed FROM source_gap WHERE workspace_id = $1 AND source_id = $2"
    " AND ended_at > $3 ORDER BY begun_at DESC LIMIT $4",
};

/* A slot of the ring that holds yesterday's hour is overwritten. */
static const struct pg_statement source_lag_add_sql = {
    "source_lag_add",
    "INSERT INTO source_lag (workspace_id, source_id, slot, bucket, hour, deliveries)"
    " SELECT d.workspace_id, d.source_id, $3, d.bucket, $4, d.deliveries"
    " FROM unnest($1::uuid[], $2::uuid[], $5::bigint[], $6::bigint[])"
    " AS d(workspace_id, source_id, bucket, deliveries)"
    " ON CONFLICT (workspace_id, source_id, slot, bucket) DO UPDATE SET"
    " deliveries = CASE WHEN source_lag.hour = excluded.hour"
    "  THEN source_lag.deliveries + excluded.deliveries ELSE excluded.deliveries END,"
    " hour = excluded.hour",
};

static const struct pg_statement source_lag_read_sql = {
    "source_lag_read",
    "SELECT bucket, sum(deliveries)::bigint FROM source_lag WHERE workspace_id = $1"
    " AND source_id = $2 AND hour > $3 GROUP BY bucket",
};

static const struct pg_statement source_privacy_count_sql = {
    "source_privacy_count",
    "SELECT count(*) FROM quarantine WHERE workspace_id = $1 AND source_id = $2"
    " AND reason LIKE '" SOURCE_PRIVACY_REASON "%'",
};

/* --- writing -------------------------------------------------------------- */

enum status source_uptime_beat(struct pg *pg, struct arena *arena, int64_t now_ms,
                               struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_instant(&params, now_ms);
    pg_put_instant(&params, now_ms - LIMIT_UPTIME_GAP_MS);
    return pg_run(pg, arena, &source_uptime_beat_sql, &params, NULL, problem);
}

static bool has_shed(const struct source_health_delta *delta)
{
    return delta->counts.shed > 0 && delta->shed_from_ms != INSTANT_NONE;
}

static void put_gap_instants(struct pg_params *params, const struct source_health_delta *deltas,
                             size_t count, int64_t (*pick)(const struct source_health_delta *delta))
{
    struct pg_array array;
    pg_array_begin(&array, params, PG_INSTANT, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_instant(&array, pick(&deltas[i]));
    }
    pg_array_end(&array);
}

static int64_t pick_from(const struct source_health_delta *delta)
{
    return delta->shed_from_ms;
}

static int64_t pick_to(const struct source_health_delta *delta)
{
    return delta->shed_to_ms;
}

/* Refusals less than a minute apart are one gap. */
static int64_t pick_near(const struct source_health_delta *delta)
{
    return delta->shed_from_ms - INSTANT_MINUTE_MS;
}

static void put_gap_ids(struct pg_params *params, const struct source_health_delta *deltas,
                        size_t count, bool is_source)
{
    struct pg_array array;
    pg_array_begin(&array, params, PG_UUID, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_id(&array, is_source ? deltas[i].source_id : deltas[i].workspace_id);
    }
    pg_array_end(&array);
}

enum status source_gaps_add(struct pg *pg, struct arena *arena,
                            const struct source_health_delta *deltas, size_t count,
                            struct problem *problem)
{
    struct source_health_delta *shed = ARENA_NEW_ARRAY(arena, count, struct source_health_delta);
    size_t shed_count = 0;
    if (shed == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        if (has_shed(&deltas[i])) {
            shed[shed_count++] = deltas[i];
        }
    }
    if (shed_count == 0) {
        return STATUS_OK;
    }
    struct pg_params params;
    struct pg_array array;
    pg_params_init(&params, arena);
    put_gap_ids(&params, shed, shed_count, false);
    put_gap_ids(&params, shed, shed_count, true);
    put_gap_instants(&params, shed, shed_count, pick_from);
    put_gap_instants(&params, shed, shed_count, pick_to);
    put_gap_instants(&params, shed, shed_count, pick_near);
    pg_array_begin(&array, &params, PG_INT8, shed_count);
    for (size_t i = 0; i < shed_count; i++) {
        pg_array_i64(&array, shed[i].counts.shed);
    }
    pg_array_end(&array);
    return pg_run(pg, arena, &source_gap_add_sql, &params, NULL, problem);
}

struct lag_row {
    struct id workspace_id;
    struct id source_id;
    int64_t bucket;
    int64_t deliveries;
};

/* Sorted as the deltas are, then by bucket: one lock order for all. */
static size_t lag_rows(struct arena *arena, const struct source_health_delta *deltas, size_t count,
                       struct lag_row **out_rows)
{
    size_t capacity = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t b = 0; deltas[i].lag != NULL && b < SOURCE_LAG_BUCKETS; b++) {
            capacity += deltas[i].lag[b] > 0 ? 1 : 0;
        }
    }
    struct lag_row *rows = ARENA_NEW_ARRAY(arena, capacity + 1, struct lag_row);
    size_t filled = 0;
    for (size_t i = 0; rows != NULL && i < count; i++) {
        for (size_t b = 0; deltas[i].lag != NULL && b < SOURCE_LAG_BUCKETS; b++) {
            if (deltas[i].lag[b] > 0) {
                rows[filled++] = (struct lag_row){ deltas[i].workspace_id, deltas[i].source_id,
                                                   (int64_t)b, deltas[i].lag[b] };
            }
        }
    }
    *out_rows = rows;
    return filled;
}

enum status source_lags_add(struct pg *pg, struct arena *arena, int64_t now_ms,
                            const struct source_health_delta *deltas, size_t count,
                            struct problem *problem)
{
    struct lag_row *rows = NULL;
    size_t row_count = lag_rows(arena, deltas, count, &rows);
    if (row_count == 0) {
        return STATUS_OK;
    }
    struct pg_params params;
    struct pg_array array;
    pg_params_init(&params, arena);
    pg_array_begin(&array, &params, PG_UUID, row_count);
    for (size_t i = 0; i < row_count; i++) {
        pg_array_id(&array, rows[i].workspace_id);
    }
    pg_array_end(&array);
    pg_array_begin(&array, &params, PG_UUID, row_count);
    for (size_t i = 0; i < row_count; i++) {
        pg_array_id(&array, rows[i].source_id);
    }
    pg_array_end(&array);
    pg_put_i64(&params, now_ms / INSTANT_HOUR_MS % 24);
    pg_put_instant(&params, now_ms - now_ms % INSTANT_HOUR_MS);
    pg_array_begin(&array, &params, PG_INT8, row_count);
    for (size_t i = 0; i < row_count; i++) {
        pg_array_i64(&array, rows[i].bucket);
    }
    pg_array_end(&array);
    pg_array_begin(&array, &params, PG_INT8, row_count);
    for (size_t i = 0; i < row_count; i++) {
        pg_array_i64(&array, rows[i].deliveries);
    }
    pg_array_end(&array);
    return pg_run(pg, arena, &source_lag_add_sql, &params, NULL, problem);
}

/* --- reading -------------------------------------------------------------- */

static enum status read_lag(struct pg *pg, struct arena *arena, const struct source_row *source,
                            int64_t now_ms, struct source_service *service, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *rows = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, source->workspace_id);
    pg_put_id(&params, source->id);
    pg_put_instant(&params, now_ms - INSTANT_DAY_MS);
    enum status status = pg_run(pg, arena, &source_lag_read_sql, &params, &rows, problem);
    for (size_t i = 0; status == STATUS_OK && i < pg_row_count(rows); i++) {
        int64_t bucket = pg_get_i64(rows, i, 0);
        if (bucket >= 0 && bucket < SOURCE_LAG_BUCKETS) {
            service->lag[bucket] = pg_get_i64(rows, i, 1);
        }
    }
    return status;
}

static enum status read_down(struct pg *pg, struct arena *arena, int64_t since_ms,
                             struct source_service *service, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *rows = NULL;
    pg_params_init(&params, arena);
    pg_put_instant(&params, since_ms);
    pg_put_i64(&params, SOURCE_GAPS_MAX);
    enum status status = pg_run(pg, arena, &source_uptime_gaps_sql, &params, &rows, problem);
    for (size_t i = 0; status == STATUS_OK && i < pg_row_count(rows); i++) {
        service->gaps[service->gap_count++] = (struct source_gap){
            .from_ms = pg_get_instant(rows, i, 0),
            .to_ms = pg_get_instant(rows, i, 1),
        };
    }
    return status;
}

static enum status read_shed(struct pg *pg, struct arena *arena, const struct source_row *source,
                             int64_t since_ms, struct source_service *service,
                             struct problem *problem)
{
    struct pg_params params;
    struct pg_result *rows = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, source->workspace_id);
    pg_put_id(&params, source->id);
    pg_put_instant(&params, since_ms);
    pg_put_i64(&params, SOURCE_GAPS_MAX);
    enum status status = pg_run(pg, arena, &source_gap_list_sql, &params, &rows, problem);
    for (size_t i = 0; status == STATUS_OK && i < pg_row_count(rows); i++) {
        service->gaps[service->gap_count++] = (struct source_gap){
            .from_ms = pg_get_instant(rows, i, 0),
            .to_ms = pg_get_instant(rows, i, 1),
            .shed = pg_get_i64(rows, i, 2),
        };
    }
    return status;
}

/* Newest first. At most twice SOURCE_GAPS_MAX: sorted by insertion. */
static void sort_gaps(struct source_service *service)
{
    for (size_t i = 1; i < service->gap_count; i++) {
        struct source_gap moved = service->gaps[i];
        size_t at = i;
        for (; at > 0 && service->gaps[at - 1].from_ms < moved.from_ms; at--) {
            service->gaps[at] = service->gaps[at - 1];
        }
        service->gaps[at] = moved;
    }
}

static enum status read_privacy(struct pg *pg, struct arena *arena, const struct source_row *source,
                                struct source_service *service, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, source->workspace_id);
    pg_put_id(&params, source->id);
    enum status status = pg_run(pg, arena, &source_privacy_count_sql, &params, &result, problem);
    if (status == STATUS_OK) {
        service->privacy_requests = pg_get_i64(result, 0, 0);
    }
    return status;
}

enum status source_service_read(struct pg *pg, struct arena *arena, const struct source_row *source,
                                int64_t now_ms, struct source_service *out_service,
                                struct problem *problem)
{
    struct source_service service = { .gap_count = 0 };
    int64_t since_ms = now_ms - LIMIT_GAPS_SHOWN_MS;
    if (since_ms < source->created_at_ms) {
        since_ms = source->created_at_ms;
    }
    enum status status = read_lag(pg, arena, source, now_ms, &service, problem);
    if (status == STATUS_OK) {
        status = read_down(pg, arena, since_ms, &service, problem);
    }
    if (status == STATUS_OK) {
        status = read_shed(pg, arena, source, since_ms, &service, problem);
    }
    if (status == STATUS_OK) {
        status = read_privacy(pg, arena, source, &service, problem);
    }
    if (status == STATUS_OK) {
        sort_gaps(&service);
        *out_service = service;
    }
    return status;
}
