#include "base/instant.h"
#include "store/source_store.h"

/*
 * The health of sources, added up.
 *
 * Problem: every request counts, several instances count at once, and a
 * counter row per request would be the hottest row of the database. So counts
 * are gathered in memory and added once a second; addition commutes, so
 * instances share rows without knowing of each other. Rows come sorted by
 * key, so two flushes at once wait and do not deadlock.
 */

static const struct pg_statement source_hour_add_sql = {
    "source_hour_add",
    "INSERT INTO source_hour (workspace_id, source_id, hour, applied, duplicate, ignored,"
    " quarantined, refused, shed, thin)"
    " SELECT d.workspace_id, d.source_id, $3, d.applied, d.duplicate, d.ignored,"
    " d.quarantined, d.refused, d.shed, d.thin"
    " FROM unnest($1::uuid[], $2::uuid[], $4::bigint[], $5::bigint[], $6::bigint[],"
    " $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[]) AS d(workspace_id, source_id,"
    " applied, duplicate, ignored, quarantined, refused, shed, thin)"
    " ON CONFLICT (workspace_id, source_id, hour) DO UPDATE SET"
    " applied = source_hour.applied + excluded.applied,"
    " duplicate = source_hour.duplicate + excluded.duplicate,"
    " ignored = source_hour.ignored + excluded.ignored,"
    " quarantined = source_hour.quarantined + excluded.quarantined,"
    " refused = source_hour.refused + excluded.refused,"
    " shed = source_hour.shed + excluded.shed,"
    " thin = source_hour.thin + excluded.thin",
};

static const struct pg_statement source_health_add_sql = {
    "source_health_add",
    "INSERT INTO source_health (workspace_id, source_id, last_delivery_at, last_applied_at,"
    " last_failure, last_accepted_at)"
    " SELECT d.workspace_id, d.source_id, d.last_delivery_at, d.last_applied_at, d.last_failure,"
    " d.last_accepted_at"
    " FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::jsonb[],"
    " $6::timestamptz[]) AS d(workspace_id, source_id, last_delivery_at, last_applied_at,"
    " last_failure, last_accepted_at)"
    " ON CONFLICT (workspace_id, source_id) DO UPDATE SET"
    " last_delivery_at = greatest(source_health.last_delivery_at, excluded.last_delivery_at),"
    " last_applied_at = greatest(source_health.last_applied_at, excluded.last_applied_at),"
    " last_accepted_at = greatest(source_health.last_accepted_at, excluded.last_accepted_at),"
    " last_failure = coalesce(excluded.last_failure, source_health.last_failure)",
};

static const struct pg_statement source_secret_touch_sql = {
    "source_secret_touch",
    "UPDATE source_secret s SET last_used_at = u.at"
    " FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[])"
    " AS u(workspace_id, source_id, id, at)"
    " WHERE s.workspace_id = u.workspace_id AND s.source_id = u.source_id AND s.id = u.id",
};

/* A secret that was deleted meanwhile, or is live by now, is none to count for. */
static const struct pg_statement source_shadow_add_sql = {
    "source_shadow_add",
    "UPDATE source_secret s SET shadow_tried = s.shadow_tried + u.tried,"
    " shadow_matches = s.shadow_matches + u.matches,"
    " shadow_since = least(s.shadow_since, u.at),"
    " shadow_missed_at = greatest(s.shadow_missed_at, u.missed_at)"
    " FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[],"
    " $6::timestamptz[], $7::timestamptz[])"
    " AS u(workspace_id, source_id, id, tried, matches, at, missed_at)"
    " WHERE s.workspace_id = u.workspace_id AND s.source_id = u.source_id AND s.id = u.id"
    " AND s.shadow",
};

static void put_ids(struct pg_params *params, const struct source_health_delta *deltas,
                    size_t count)
{
    struct pg_array array;
    pg_array_begin(&array, params, PG_UUID, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_id(&array, deltas[i].workspace_id);
    }
    pg_array_end(&array);
    pg_array_begin(&array, params, PG_UUID, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_id(&array, deltas[i].source_id);
    }
    pg_array_end(&array);
}

static void put_counts(struct pg_params *params, const struct source_health_delta *deltas,
                       size_t count, int64_t (*pick)(const struct source_counts *counts))
{
    struct pg_array array;
    pg_array_begin(&array, params, PG_INT8, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_i64(&array, pick(&deltas[i].counts));
    }
    pg_array_end(&array);
}

static int64_t pick_applied(const struct source_counts *counts)
{
    return counts->applied;
}

static int64_t pick_duplicate(const struct source_counts *counts)
{
    return counts->duplicate;
}

static int64_t pick_ignored(const struct source_counts *counts)
{
    return counts->ignored;
}

static int64_t pick_quarantined(const struct source_counts *counts)
{
    return counts->quarantined;
}

static int64_t pick_refused(const struct source_counts *counts)
{
    return counts->refused;
}

static int64_t pick_shed(const struct source_counts *counts)
{
    return counts->shed;
}

static int64_t pick_thin(const struct source_counts *counts)
{
    return counts->thin;
}

static enum status hours_add(struct pg *pg, struct arena *arena, int64_t now_ms,
                             const struct source_health_delta *deltas, size_t count,
                             struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    put_ids(&params, deltas, count);
    pg_put_instant(&params, now_ms - now_ms % INSTANT_HOUR_MS);
    put_counts(&params, deltas, count, pick_applied);
    put_counts(&params, deltas, count, pick_duplicate);
    put_counts(&params, deltas, count, pick_ignored);
    put_counts(&params, deltas, count, pick_quarantined);
    put_counts(&params, deltas, count, pick_refused);
    put_counts(&params, deltas, count, pick_shed);
    put_counts(&params, deltas, count, pick_thin);
    return pg_run(pg, arena, &source_hour_add_sql, &params, NULL, problem);
}

static enum status health_add(struct pg *pg, struct arena *arena,
                              const struct source_health_delta *deltas, size_t count,
                              struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    put_ids(&params, deltas, count);
    struct pg_array array;
    pg_array_begin(&array, &params, PG_INSTANT, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_instant(&array, deltas[i].last_delivery_at_ms);
    }
    pg_array_end(&array);
    pg_array_begin(&array, &params, PG_INSTANT, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_instant(&array, deltas[i].last_applied_at_ms);
    }
    pg_array_end(&array);
    pg_array_begin(&array, &params, PG_JSONB, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_jsonb_or_null(&array, deltas[i].last_failure_json);
    }
    pg_array_end(&array);
    pg_array_begin(&array, &params, PG_INSTANT, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_instant(&array, deltas[i].last_accepted_at_ms);
    }
    pg_array_end(&array);
    return pg_run(pg, arena, &source_health_add_sql, &params, NULL, problem);
}

enum status source_health_add(struct pg *pg, struct arena *arena, int64_t now_ms,
                              const struct source_health_delta *deltas, size_t count,
                              struct problem *problem)
{
    struct pg_params none;
    pg_params_init(&none, arena);
    enum status status = pg_run(pg, arena, &pg_begin, &none, NULL, problem);
    if (status == STATUS_OK) {
        status = hours_add(pg, arena, now_ms, deltas, count, problem);
    }
    if (status == STATUS_OK) {
        status = health_add(pg, arena, deltas, count, problem);
    }
    if (status == STATUS_OK) {
        status = source_lags_add(pg, arena, now_ms, deltas, count, problem);
    }
    if (status == STATUS_OK) {
        status = source_gaps_add(pg, arena, deltas, count, problem);
    }
    if (status == STATUS_OK) {
        pg_params_init(&none, arena);
        status = pg_run(pg, arena, &pg_commit, &none, NULL, problem);
    }
    if (status != STATUS_OK) {
        pg_reset(pg);
    }
    return status;
}

enum status source_secret_touch(struct pg *pg, struct arena *arena,
                                const struct source_secret_use *uses, size_t count,
                                struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    struct pg_array array;
    pg_array_begin(&array, &params, PG_UUID, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_id(&array, uses[i].workspace_id);
    }
    pg_array_end(&array);
    pg_array_begin(&array, &params, PG_UUID, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_id(&array, uses[i].source_id);
    }
    pg_array_end(&array);
    pg_array_begin(&array, &params, PG_UUID, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_id(&array, uses[i].secret_id);
    }
    pg_array_end(&array);
    pg_array_begin(&array, &params, PG_INSTANT, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_instant(&array, uses[i].at_ms);
    }
    pg_array_end(&array);
    return pg_run(pg, arena, &source_secret_touch_sql, &params, NULL, problem);
}

enum status source_shadow_add(struct pg *pg, struct arena *arena,
                              const struct source_shadow_delta *deltas, size_t count,
                              struct problem *problem)
{
    static const enum pg_type types[] = { PG_UUID, PG_UUID,    PG_UUID,   PG_INT8,
                                          PG_INT8, PG_INSTANT, PG_INSTANT };
    struct pg_params params;
    struct pg_array columns[ARRAY_COUNT(types)];
    pg_params_init(&params, arena);
    pg_columns_begin(columns, &params, types, ARRAY_COUNT(types), count);
    for (size_t i = 0; i < count; i++) {
        pg_array_id(&columns[0], deltas[i].workspace_id);
        pg_array_id(&columns[1], deltas[i].source_id);
        pg_array_id(&columns[2], deltas[i].secret_id);
        pg_array_i64(&columns[3], deltas[i].tried);
        pg_array_i64(&columns[4], deltas[i].matches);
        pg_array_instant(&columns[5], deltas[i].at_ms);
        pg_array_instant(&columns[6], deltas[i].missed_at_ms);
    }
    pg_columns_end(columns, ARRAY_COUNT(types));
    return pg_run(pg, arena, &source_shadow_add_sql, &params, NULL, problem);
}
