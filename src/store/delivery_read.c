#include "store/delivery_read.h"

#include "base/instant.h"

/*
 * The queue, looked at.
 *
 * It is walked as it is claimed, subscription by subscription along due_at, and a
 * page looks at `scan_limit` rows at most, as in attempt_read.c. Nothing is locked, and
 * the last attempt is looked up for rows that are shown and were tried.
 *
 * What a row waits for is told from what is known of it: its lease (somebody has
 * it in memory, or in the air), its subscription, the brake.
 */

#define PENDING_STATUS                                                               \
    "CASE WHEN s.status IS DISTINCT FROM 'active' THEN 'paused'"                     \
    " WHEN d.lease_until > $4 THEN 'sending' WHEN w.held_at IS NOT NULL THEN 'held'" \
    " WHEN d.attempt > 0 THEN 'retrying' ELSE 'waiting' END"

/* Of one subscription, or from its place on through those behind it. */
#define PENDING_WALK                                                             \
    " WHERE q.workspace_id = $1 AND q.subscription_id >= $12"                    \
    " AND (q.subscription_id, q.due_at, q.id) > ($12, $2, $3) AND q.due_at < $5" \
    " AND q.due_at >= $13"

#define PENDING_HEAD                                                              \
    "SELECT d.id, d.notification_id, d.notification_created_at, n.topic, s.name," \
    " d.profile_id, " PENDING_STATUS ", d.due_at, d.attempt, l.at, l.outcome,"    \
    " l.response_status, l.error, d.subscription_id FROM ("
#define PENDING_RANGE                                                               \
    "SELECT q.id, q.notification_id, q.notification_created_at, q.subscription_id," \
    " q.profile_id, q.due_at, q.attempt, q.lease_until FROM delivery q" PENDING_WALK
#define PENDING_ORDER " ORDER BY q.subscription_id, q.due_at, q.id LIMIT $6"
#define PENDING_TAIL                                                                         \
    ") d JOIN workspace w ON w.id = $1"                                                      \
    " LEFT JOIN subscription s ON s.workspace_id = $1 AND s.id = d.subscription_id"          \
    " LEFT JOIN LATERAL (SELECT p.topic FROM notification p WHERE p.workspace_id = $1"       \
    " AND p.created_at = d.notification_created_at AND p.id = d.notification_id OFFSET 0) n" \
    " ON true LEFT JOIN LATERAL (SELECT a.at, a.outcome, a.response_status, a.error"         \
    " FROM attempt a WHERE a.workspace_id = $1 AND a.notification_id = d.notification_id"    \
    " AND a.at >= d.notification_created_at AND a.subscription_id = d.subscription_id"       \
    " AND d.attempt > 0 ORDER BY a.at DESC LIMIT 1) l ON true"                               \
    " WHERE ($7::text IS NULL OR n.topic = $7)"                                              \
    " AND ($8::text IS NULL OR " PENDING_STATUS " = $8)"                                     \
    " AND ($9::uuid IS NULL OR s.owner_key_id = $9)"                                         \
    " AND (cardinality($10::uuid[]) = 0 OR d.profile_id = ANY ($10))"                        \
    " ORDER BY d.subscription_id, d.due_at, d.id LIMIT $11"

static const struct pg_statement delivery_page_sql = {
    "delivery_page",
    PENDING_HEAD PENDING_RANGE PENDING_ORDER PENDING_TAIL,
};

static const struct pg_statement delivery_page_subscription_sql = {
    "delivery_page_subscription",
    PENDING_HEAD PENDING_RANGE " AND q.subscription_id = $12" PENDING_ORDER PENDING_TAIL,
};

static const struct pg_statement delivery_cut_sql = {
    "delivery_cut",
    "SELECT q.subscription_id, q.due_at, q.id FROM delivery q WHERE q.workspace_id = $1"
    " AND q.subscription_id >= $2 AND (q.subscription_id, q.due_at, q.id) > ($2, $3, $4)"
    " AND q.due_at < $5 AND q.due_at >= $8 AND ($6::uuid IS NULL OR q.subscription_id = $6)"
    " ORDER BY q.subscription_id, q.due_at, q.id OFFSET $7 LIMIT 1",
};

static const struct pg_statement delivery_count_sql = {
    "delivery_count",
    "SELECT count(*) FROM (SELECT 1 FROM delivery WHERE workspace_id = $1 LIMIT $2) d",
};

static const struct pg_statement delivery_count_subscription_sql = {
    "delivery_count_subscription",
    "SELECT count(*) FROM (SELECT 1 FROM delivery WHERE workspace_id = $1"
    " AND subscription_id = $3 LIMIT $2) d",
};

static struct pending_view row_of(const struct pg_result *result, size_t row)
{
    return (struct pending_view){
        .id = pg_get_id(result, row, 0),
        .notification_id = pg_get_id(result, row, 1),
        .created_at_ms = pg_get_instant(result, row, 2),
        .topic = pg_get_text(result, row, 3),
        .subscription = pg_get_text(result, row, 4),
        .profile_id = pg_get_id(result, row, 5),
        .status = pg_get_text(result, row, 6),
        .due_at_ms = pg_get_instant(result, row, 7),
        .attempts = pg_get_i64(result, row, 8),
        .last_at_ms = pg_get_instant(result, row, 9),
        .last_outcome = pg_get_text(result, row, 10),
        .last_response_status = pg_get_i64(result, row, 11),
        .last_error = pg_get_text(result, row, 12),
        .subscription_id = pg_get_id(result, row, 13),
    };
}

static struct id first_subscription(const struct pending_query *query)
{
    bool is_behind = !id_is_zero(query->after.subscription_id);
    return is_behind ? query->after.subscription_id : query->subscription_id;
}

static enum status find_cut(struct pg *pg, struct arena *arena, const struct pending_query *query,
                            struct pending_page *page, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, query->workspace_id);
    pg_put_id(&params, first_subscription(query));
    pg_put_instant(&params, query->after.due_at_ms);
    pg_put_id(&params, query->after.id);
    pg_put_instant(&params, query->to_ms);
    pg_put_id_or_null(&params, query->subscription_id);
    pg_put_i64(&params, (int64_t)query->scan_limit - 1);
    pg_put_instant(&params, query->from_ms);
    enum status status = pg_run(pg, arena, &delivery_cut_sql, &params, &result, problem);
    if (status == STATUS_OK && pg_row_count(result) > 0) {
        page->is_cut = true;
        page->cut = (struct pending_place){ .subscription_id = pg_get_id(result, 0, 0),
                                            .due_at_ms = pg_get_instant(result, 0, 1),
                                            .id = pg_get_id(result, 0, 2) };
    }
    return status;
}

static enum status run_page(struct pg *pg, struct arena *arena, const struct pending_query *query,
                            struct pg_result **out_result, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, query->workspace_id);
    pg_put_instant(&params, query->after.due_at_ms);
    pg_put_id(&params, query->after.id);
    pg_put_instant(&params, query->now_ms);
    pg_put_instant(&params, query->to_ms);
    pg_put_i64(&params, (int64_t)query->scan_limit);
    pg_put_text_or_null(&params, query->topic);
    pg_put_text_or_null(&params, query->status);
    pg_put_id_or_null(&params, query->owner);
    pg_put_ids(&params, query->profiles, query->profiles != NULL ? query->profile_count : 0);
    pg_put_i64(&params, (int64_t)query->limit);
    pg_put_id(&params, first_subscription(query));
    pg_put_instant(&params, query->from_ms);
    return pg_run(pg, arena,
                  id_is_zero(query->subscription_id) ? &delivery_page_sql
                                                     : &delivery_page_subscription_sql,
                  &params, out_result, problem);
}

enum status delivery_page(struct pg *pg, struct arena *arena, const struct pending_query *query,
                          struct pending_page *out_page, struct problem *problem)
{
    struct pg_result *result = NULL;
    enum status status = run_page(pg, arena, query, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct pending_page page = { .count = pg_row_count(result) };
    page.rows = ARENA_NEW_ARRAY(arena, page.count + 1, struct pending_view);
    if (page.rows == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < page.count; i++) {
        page.rows[i] = row_of(result, i);
    }
    bool is_filtered = query->topic.size > 0 || query->status.size > 0 ||
                       !id_is_zero(query->owner) || query->profiles != NULL;
    if (is_filtered && page.count < query->limit) {
        status = find_cut(pg, arena, query, &page, problem);
    }
    if (status == STATUS_OK) {
        *out_page = page;
    }
    return status;
}

enum status delivery_count(struct pg *pg, struct arena *arena, struct id workspace_id,
                           struct id subscription_id, int64_t most, int64_t *out_count,
                           struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    bool is_of_subscription = !id_is_zero(subscription_id);
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_i64(&params, most);
    if (is_of_subscription) {
        pg_put_id(&params, subscription_id);
    }
    enum status status = pg_run(
        pg, arena, is_of_subscription ? &delivery_count_subscription_sql : &delivery_count_sql,
        &params, &result, problem);
    if (status == STATUS_OK) {
        *out_count = pg_get_i64(result, 0, 0);
    }
    return status;
}
