#include "base/instant.h"
#include "store/endpoint_hour.h"
#include "subscription_priv.h"

/*
 * How an endpoint fares: over an hour, a day, a week, and what waits for it.
 *
 * The last hour is read from the log, its newest calls; a day and a week are sums
 * of whole hours (store/endpoint_hour.c), so they begin at the full hour and say
 * at which. What waits is counted up to BACKLOG_MAX.
 */

enum {
    RECENT_MAX = 20000,
    BACKLOG_MAX = 10000,
};

struct window {
    const char *name;
    int64_t from_ms;
    struct endpoint_counts counts;
    bool is_sample; /* the newest ones only */
};

static int64_t calls_of(const struct endpoint_counts *counts)
{
    return counts->delivered + counts->retry + counts->gave_up + counts->gone + counts->aborted;
}

static void put_percentile(struct jsonw *json, const char *key,
                           const struct endpoint_counts *counts, int32_t per_mille)
{
    int64_t ms = latency_percentile_ms(counts->durations, per_mille);
    if (ms < 0) {
        jsonw_put_null(json, key);
    } else {
        jsonw_put_i64(json, key, ms);
    }
}

static void write_window(struct jsonw *json, const struct window *window)
{
    const struct endpoint_counts *counts = &window->counts;
    jsonw_key(json, window->name);
    jsonw_open(json);
    jsonw_put_instant(json, "from", window->from_ms);
    jsonw_put_bool(json, "sampled", window->is_sample);
    jsonw_put_i64(json, "attempts", calls_of(counts));
    subscription_put_share(json, "success_rate", counts->delivered, calls_of(counts));
    jsonw_key(json, "outcomes");
    jsonw_open(json);
    jsonw_put_i64(json, "delivered", counts->delivered);
    jsonw_put_i64(json, "retry", counts->retry);
    jsonw_put_i64(json, "gave_up", counts->gave_up);
    jsonw_put_i64(json, "gone", counts->gone);
    jsonw_put_i64(json, "aborted", counts->aborted);
    jsonw_close(json);
    put_percentile(json, "p50_ms", counts, 500);
    put_percentile(json, "p95_ms", counts, 950);
    put_percentile(json, "p99_ms", counts, 990);
    jsonw_close(json);
}

static enum status read_windows(const struct resource_request *request,
                                const struct subscription_row *row, struct window windows[3],
                                struct problem *problem)
{
    int64_t hour_ms = request->now_ms / INSTANT_HOUR_MS * INSTANT_HOUR_MS;
    int64_t first_ms = INSTANT_NEVER;
    windows[0] = (struct window){ "1h", request->now_ms - INSTANT_HOUR_MS, { 0 }, false };
    windows[1] = (struct window){ "24h", hour_ms - 23 * INSTANT_HOUR_MS, { 0 }, false };
    windows[2] = (struct window){ "7d", hour_ms - (7 * 24 - 1) * INSTANT_HOUR_MS, { 0 }, false };
    enum status status =
        endpoint_recent(request->pg, request->arena, row->workspace_id, row->id, windows[0].from_ms,
                        RECENT_MAX, &windows[0].counts, &first_ms, problem);
    if (status == STATUS_OK && calls_of(&windows[0].counts) >= RECENT_MAX) {
        windows[0].is_sample = true;
        windows[0].from_ms = first_ms;
    }
    for (size_t i = 1; status == STATUS_OK && i < 3; i++) {
        status = endpoint_hour_sum(request->pg, request->arena, row->workspace_id, row->id,
                                   windows[i].from_ms, &windows[i].counts, problem);
    }
    return status;
}

static void write_backlog(struct jsonw *json, const struct subscription_row *row,
                          const struct endpoint_backlog *backlog)
{
    bool is_held = backlog->held_at_ms != INSTANT_NONE;
    jsonw_key(json, "pending");
    jsonw_open(json);
    jsonw_put_i64(json, "count", backlog->count);
    jsonw_put_bool(json, "exact", backlog->count < BACKLOG_MAX);
    jsonw_put_i64(json, "waiting", backlog->waiting);
    jsonw_put_i64(json, "retrying", backlog->retrying);
    jsonw_put_i64(json, "sending", backlog->sending);
    jsonw_put_instant(json, "oldest_at", backlog->oldest_at_ms);
    jsonw_put_bool(json, "held", is_held);
    jsonw_put_bool(json, "paused", !str_equal_z(row->status, "active"));
    jsonw_close(json);
}

enum status resource_subscription_stats(const struct resource_request *request,
                                        struct resource_answer *out_answer, struct problem *problem)
{
    struct subscription_row row;
    struct window windows[3];
    struct endpoint_backlog backlog = { .count = 0 };
    int64_t failing_since_ms = INSTANT_NONE;
    int64_t told = 0;
    enum status status = subscription_load(request, &row, problem);
    if (status == STATUS_OK) {
        status = read_windows(request, &row, windows, problem);
    }
    if (status == STATUS_OK) {
        status = endpoint_backlog(request->pg, request->arena, row.workspace_id, row.id,
                                  request->now_ms, BACKLOG_MAX, &backlog, problem);
    }
    if (status == STATUS_OK) {
        status = endpoint_failing(request->pg, request->arena, row.workspace_id, row.id,
                                  &failing_since_ms, &told, problem);
    }
    if (status != STATUS_OK) {
        return resource_missing(status, "subscription", request->name, problem);
    }
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_str(&json, "subscription", row.name);
    jsonw_put_str(&json, "status", row.status);
    jsonw_put_str_or_null(&json, "status_reason", row.status_reason);
    jsonw_put_instant(&json, "as_of", request->now_ms);
    jsonw_put_instant(&json, "failing_since", failing_since_ms);
    jsonw_put_i64(&json, "failing_told_percent", told);
    write_backlog(&json, &row, &backlog);
    jsonw_key(&json, "windows");
    jsonw_open(&json);
    for (size_t i = 0; i < ARRAY_COUNT(windows); i++) {
        write_window(&json, &windows[i]);
    }
    jsonw_close(&json);
    jsonw_close(&json);
    return resource_answer_set(&buf, RESOURCE_SHOWN, 0, out_answer, problem);
}
