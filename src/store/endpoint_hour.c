#include "store/endpoint_hour.h"

#include "base/instant.h"

/*
 * Statistics of endpoints.
 *
 * Problem: a week of one busy endpoint is a billion calls, and its operator looks
 * at the page every minute. So what became of calls is added up by the hour while
 * they are settled (app/endpoint_tally.c): a week is at most 169 rows. Durations
 * are counts in classes, the only form of percentiles that adds up. The last hour
 * alone, for which the hour's row is too coarse, is read from the log, the newest
 * calls of it.
 *
 * Rejected: percentiles over a sample of the log (the newest 10,000 calls of a
 * week are its last minutes), and rows by the minute.
 */

/* $9 holds the classes of one after the other, so many each. */
static const struct pg_statement endpoint_hour_add_sql = {
    "endpoint_hour_add",
    "INSERT INTO endpoint_hour AS h (workspace_id, subscription_id, hour, delivered, retry,"
    " gave_up, gone, aborted, durations) SELECT $1, u.subscription_id, u.hour, u.delivered,"
    " u.retry, u.gave_up, u.gone, u.aborted,"
    " ($9::bigint[])[(u.n - 1) * $10::integer + 1 : u.n * $10::integer]"
    " FROM unnest($2::uuid[], $3::timestamptz[], $4::bigint[], $5::bigint[], $6::bigint[],"
    " $7::bigint[], $8::bigint[]) WITH ORDINALITY"
    " AS u (subscription_id, hour, delivered, retry, gave_up, gone, aborted, n)"
    " ON CONFLICT (workspace_id, subscription_id, hour) DO UPDATE SET"
    " delivered = h.delivered + excluded.delivered, retry = h.retry + excluded.retry,"
    " gave_up = h.gave_up + excluded.gave_up, gone = h.gone + excluded.gone,"
    " aborted = h.aborted + excluded.aborted,"
    " durations = ARRAY(SELECT coalesce(u.a, 0) + coalesce(u.b, 0)"
    " FROM unnest(h.durations, excluded.durations) WITH ORDINALITY AS u (a, b, n) ORDER BY u.n)",
};

static const struct pg_statement endpoint_hour_sum_sql = {
    "endpoint_hour_sum",
    "SELECT 0, coalesce(sum(delivered), 0)::bigint, coalesce(sum(retry), 0)::bigint,"
    " coalesce(sum(gave_up), 0)::bigint, coalesce(sum(gone), 0)::bigint,"
    " coalesce(sum(aborted), 0)::bigint FROM endpoint_hour"
    " WHERE workspace_id = $1 AND subscription_id = $2 AND hour >= $3"
    " UNION ALL SELECT u.n::int, sum(u.c)::bigint, 0, 0, 0, 0 FROM endpoint_hour h"
    " CROSS JOIN LATERAL unnest(h.durations) WITH ORDINALITY AS u (c, n)"
    " WHERE h.workspace_id = $1 AND h.subscription_id = $2 AND h.hour >= $3 GROUP BY u.n",
};

static const struct pg_statement endpoint_hour_expire_sql = {
    "endpoint_hour_expire",
    "DELETE FROM endpoint_hour WHERE workspace_id = $1 AND hour < $2",
};

static const struct pg_statement endpoint_recent_sql = {
    "endpoint_recent",
    "SELECT r.outcome, r.duration_ms, count(*), min(r.at) FROM (SELECT a.outcome, a.duration_ms,"
    " a.at FROM attempt a WHERE a.workspace_id = $1 AND a.subscription_id = $2 AND a.at > $3"
    " ORDER BY a.at DESC LIMIT $4) r GROUP BY 1, 2",
};

static const struct pg_statement endpoint_backlog_sql = {
    "endpoint_backlog",
    "SELECT count(*), count(*) FILTER (WHERE d.attempt = 0 AND NOT d.leased),"
    " count(*) FILTER (WHERE d.attempt > 0 AND NOT d.leased), count(*) FILTER (WHERE d.leased),"
    " min(d.created_at), (SELECT w.held_reason FROM workspace w WHERE w.id = $1),"
    " (SELECT w.held_at FROM workspace w WHERE w.id = $1) FROM"
    " (SELECT q.attempt, coalesce(q.lease_until > $3, false) AS leased,"
    " q.notification_created_at AS created_at FROM delivery q WHERE q.workspace_id = $1"
    " AND q.subscription_id = $2 ORDER BY q.due_at LIMIT $4) d",
};

static const struct pg_statement endpoint_failing_sql = {
    "endpoint_failing",
    "SELECT failing_since, failing_told FROM subscription WHERE workspace_id = $1 AND id = $2",
};

enum {
    ADD_COLUMNS = 7
};

static void put_delta(struct pg_array *columns, const struct endpoint_hour *delta)
{
    pg_array_id(&columns[0], delta->subscription_id);
    pg_array_instant(&columns[1], delta->hour_ms);
    pg_array_i64(&columns[2], delta->counts.delivered);
    pg_array_i64(&columns[3], delta->counts.retry);
    pg_array_i64(&columns[4], delta->counts.gave_up);
    pg_array_i64(&columns[5], delta->counts.gone);
    pg_array_i64(&columns[6], delta->counts.aborted);
}

enum status endpoint_hour_add(struct pg *pg, struct arena *arena,
                              const struct endpoint_hour *deltas, size_t count,
                              struct problem *problem)
{
    static const enum pg_type types[ADD_COLUMNS] = { PG_UUID, PG_INSTANT, PG_INT8, PG_INT8,
                                                     PG_INT8, PG_INT8,    PG_INT8 };
    struct pg_params params;
    struct pg_array columns[ADD_COLUMNS];
    struct pg_array durations;
    pg_params_init(&params, arena);
    pg_put_id(&params, deltas[0].workspace_id);
    pg_columns_begin(columns, &params, types, ARRAY_COUNT(types), count);
    pg_array_begin(&durations, &params, PG_INT8, count * LATENCY_CLASSES);
    for (size_t i = 0; i < count; i++) {
        put_delta(columns, &deltas[i]);
        for (size_t c = 0; c < LATENCY_CLASSES; c++) {
            pg_array_i64(&durations, deltas[i].counts.durations[c]);
        }
    }
    pg_columns_end(columns, ARRAY_COUNT(types));
    pg_array_end(&durations);
    pg_put_i32(&params, LATENCY_CLASSES);
    return pg_run(pg, arena, &endpoint_hour_add_sql, &params, NULL, problem);
}

enum status endpoint_hour_sum(struct pg *pg, struct arena *arena, struct id workspace_id,
                              struct id subscription_id, int64_t from_ms,
                              struct endpoint_counts *out_counts, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    struct endpoint_counts counts = { .delivered = 0 };
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, subscription_id);
    pg_put_instant(&params, from_ms);
    enum status status = pg_run(pg, arena, &endpoint_hour_sum_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    for (size_t row = 0; row < pg_row_count(result); row++) {
        size_t number = (size_t)pg_get_i64(result, row, 0);
        if (number == 0) {
            counts.delivered = pg_get_i64(result, row, 1);
            counts.retry = pg_get_i64(result, row, 2);
            counts.gave_up = pg_get_i64(result, row, 3);
            counts.gone = pg_get_i64(result, row, 4);
            counts.aborted = pg_get_i64(result, row, 5);
        } else if (number <= LATENCY_CLASSES) {
            counts.durations[number - 1] = pg_get_i64(result, row, 1);
        }
    }
    *out_counts = counts;
    return STATUS_OK;
}

enum status endpoint_hour_expire(struct pg *pg, struct arena *arena, struct id workspace_id,
                                 int64_t before_ms, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_instant(&params, before_ms);
    return pg_run(pg, arena, &endpoint_hour_expire_sql, &params, NULL, problem);
}

static int64_t *count_of(struct endpoint_counts *counts, struct str outcome)
{
    const struct {
        const char *outcome;
        int64_t *count;
    } known[] = {
        { "delivered", &counts->delivered }, { "retry", &counts->retry },
        { "gave_up", &counts->gave_up },     { "gone", &counts->gone },
        { "aborted", &counts->aborted },
    };
    for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
        if (str_equal_z(outcome, known[i].outcome)) {
            return known[i].count;
        }
    }
    return NULL; /* no call: dropped */
}

enum status endpoint_recent(struct pg *pg, struct arena *arena, struct id workspace_id,
                            struct id subscription_id, int64_t from_ms, int64_t most,
                            struct endpoint_counts *out_counts, int64_t *out_first_ms,
                            struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    struct endpoint_counts counts = { .delivered = 0 };
    int64_t first_ms = INSTANT_NEVER;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, subscription_id);
    pg_put_instant(&params, from_ms);
    pg_put_i64(&params, most);
    enum status status = pg_run(pg, arena, &endpoint_recent_sql, &params, &result, problem);
    for (size_t row = 0; status == STATUS_OK && row < pg_row_count(result); row++) {
        int64_t *count = count_of(&counts, pg_get_text(result, row, 0));
        int64_t number = pg_get_i64(result, row, 2);
        int64_t at_ms = pg_get_instant(result, row, 3);
        if (count != NULL) {
            *count += number;
            counts.durations[latency_class(pg_get_i64(result, row, 1))] += number;
            first_ms = at_ms < first_ms ? at_ms : first_ms;
        }
    }
    if (status == STATUS_OK) {
        *out_counts = counts;
        *out_first_ms = first_ms;
    }
    return status;
}

enum status endpoint_backlog(struct pg *pg, struct arena *arena, struct id workspace_id,
                             struct id subscription_id, int64_t now_ms, int64_t most,
                             struct endpoint_backlog *out_backlog, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, subscription_id);
    pg_put_instant(&params, now_ms);
    pg_put_i64(&params, most);
    enum status status = pg_run(pg, arena, &endpoint_backlog_sql, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_backlog = (struct endpoint_backlog){
            .count = pg_get_i64(result, 0, 0),
            .waiting = pg_get_i64(result, 0, 1),
            .retrying = pg_get_i64(result, 0, 2),
            .sending = pg_get_i64(result, 0, 3),
            .oldest_at_ms = pg_get_instant(result, 0, 4),
            .held_reason = pg_get_text(result, 0, 5),
            .held_at_ms = pg_get_instant(result, 0, 6),
        };
    }
    return status;
}

enum status endpoint_failing(struct pg *pg, struct arena *arena, struct id workspace_id,
                             struct id subscription_id, int64_t *out_since_ms, int64_t *out_told,
                             struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, subscription_id);
    enum status status = pg_run(pg, arena, &endpoint_failing_sql, &params, &result, problem);
    if (status == STATUS_OK && pg_row_count(result) == 0) {
        return STATUS_MISSING;
    }
    if (status == STATUS_OK) {
        *out_since_ms = pg_get_instant(result, 0, 0);
        *out_told = pg_get_i64(result, 0, 1);
    }
    return status;
}
