#include "store/attempt_read.h"

#include "base/instant.h"

/*
 * Attempts, by what an operator looks for.
 *
 * The log is partitioned by day and has an index each for the notification, the
 * subscription and the profile. Whatever else is asked (an outcome, a topic, the
 * key that made the subscription) is compared on rows that such an index gave,
 * `scan_limit` of them at most: a page that found too few says where it stopped,
 * and the next goes on from there, as in transition_read.c.
 *
 * The topic stands with the notification, whose key an attempt holds. Rejected: a
 * copy of it in each attempt.
 */

#define ATTEMPT_COLUMNS                                                                \
    "a.id, a.at, a.notification_id, a.notification_created_at, a.subscription_id,"     \
    " a.profile_id, a.number, a.outcome, a.response_status, a.duration_ms, a.next_at," \
    " a.body_bytes, a.error, a.response"
#define ATTEMPT_RANGE                                                         \
    " FROM attempt a WHERE a.workspace_id = $1 AND a.at >= $2 AND a.at <= $3" \
    " AND (a.at, a.id) < ($3, $4)"
#define ATTEMPT_ORDER " ORDER BY a.at DESC, a.id DESC"

#define ATTEMPT_HEAD                                                                         \
    "SELECT a.id, a.at, a.notification_id, n.topic, s.name, s.url, s.headers, a.profile_id," \
    " a.number, a.outcome, a.response_status, a.duration_ms, a.next_at, a.body_bytes,"       \
    " a.error, a.response FROM ("
#define ATTEMPT_TAIL                                                                         \
    ") a LEFT JOIN subscription s ON s.workspace_id = $1 AND s.id = a.subscription_id"       \
    " LEFT JOIN LATERAL (SELECT p.topic FROM notification p WHERE p.workspace_id = $1"       \
    " AND p.created_at = a.notification_created_at AND p.id = a.notification_id OFFSET 0) n" \
    " ON true WHERE ($6::text IS NULL OR a.outcome = $6)"                                    \
    " AND ($7::text IS NULL OR n.topic = $7) AND ($8::uuid IS NULL OR s.owner_key_id = "     \
    "$8)" ATTEMPT_ORDER " LIMIT $9"

static const struct pg_statement attempt_page_sql = {
    "attempt_page",
    ATTEMPT_HEAD "SELECT " ATTEMPT_COLUMNS ATTEMPT_RANGE ATTEMPT_ORDER " LIMIT $5" ATTEMPT_TAIL,
};

static const struct pg_statement attempt_page_notification_sql = {
    "attempt_page_notification",
    ATTEMPT_HEAD "SELECT " ATTEMPT_COLUMNS ATTEMPT_RANGE
                 " AND a.notification_id = $10" ATTEMPT_ORDER " LIMIT $5" ATTEMPT_TAIL,
};

static const struct pg_statement attempt_page_subscription_sql = {
    "attempt_page_subscription",
    ATTEMPT_HEAD "SELECT " ATTEMPT_COLUMNS ATTEMPT_RANGE
                 " AND a.subscription_id = $10" ATTEMPT_ORDER " LIMIT $5" ATTEMPT_TAIL,
};

/* Of one customer there are a few hundred. */
static const struct pg_statement attempt_page_profile_sql = {
    "attempt_page_profile",
    ATTEMPT_HEAD
    "SELECT " ATTEMPT_COLUMNS
    " FROM unnest($10::uuid[]) AS o (id) CROSS JOIN LATERAL (SELECT " ATTEMPT_COLUMNS ATTEMPT_RANGE
    " AND a.profile_id = o.id OFFSET 0) a" ATTEMPT_ORDER " LIMIT $5" ATTEMPT_TAIL,
};

static const struct pg_statement attempt_cut_sql = {
    "attempt_cut",
    "SELECT a.at, a.id" ATTEMPT_RANGE ATTEMPT_ORDER " OFFSET $5 LIMIT 1",
};

static const struct pg_statement attempt_cut_subscription_sql = {
    "attempt_cut_subscription",
    "SELECT a.at, a.id" ATTEMPT_RANGE " AND a.subscription_id = $6" ATTEMPT_ORDER
    " OFFSET $5 LIMIT 1",
};

static struct attempt_view row_of(const struct pg_result *result, size_t row)
{
    return (struct attempt_view){
        .id = pg_get_id(result, row, 0),
        .at_ms = pg_get_instant(result, row, 1),
        .notification_id = pg_get_id(result, row, 2),
        .topic = pg_get_text(result, row, 3),
        .subscription = pg_get_text(result, row, 4),
        .url = pg_get_text(result, row, 5),
        .headers_json = pg_get_jsonb(result, row, 6),
        .profile_id = pg_get_id(result, row, 7),
        .number = pg_get_i64(result, row, 8),
        .outcome = pg_get_text(result, row, 9),
        .response_status = pg_get_i64(result, row, 10),
        .duration_ms = pg_get_i64(result, row, 11),
        .next_at_ms = pg_get_instant(result, row, 12),
        .body_bytes = pg_get_i64(result, row, 13),
        .error = pg_get_text(result, row, 14),
        .response = pg_get_text(result, row, 15),
    };
}

static void put_range(struct pg_params *params, const struct attempt_query *query)
{
    pg_put_id(params, query->workspace_id);
    pg_put_instant(params, query->from_ms);
    pg_put_instant(params, query->before_ms);
    pg_put_id(params, query->before_id);
}

/* The last row that was looked at, if it was the last that may be. A notification
 * or a profile has fewer. */
static enum status find_cut(struct pg *pg, struct arena *arena, const struct attempt_query *query,
                            struct attempt_page *page, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    bool is_of_subscription = !id_is_zero(query->subscription_id);
    if (query->profiles != NULL || !id_is_zero(query->notification_id)) {
        return STATUS_OK;
    }
    pg_params_init(&params, arena);
    put_range(&params, query);
    pg_put_i64(&params, (int64_t)query->scan_limit - 1);
    if (is_of_subscription) {
        pg_put_id(&params, query->subscription_id);
    }
    enum status status =
        pg_run(pg, arena, is_of_subscription ? &attempt_cut_subscription_sql : &attempt_cut_sql,
               &params, &result, problem);
    if (status == STATUS_OK && pg_row_count(result) > 0) {
        page->is_cut = true;
        page->cut_ms = pg_get_instant(result, 0, 0);
        page->cut_id = pg_get_id(result, 0, 1);
    }
    return status;
}

static enum status run_page(struct pg *pg, struct arena *arena, const struct attempt_query *query,
                            struct pg_result **out_result, struct problem *problem)
{
    struct pg_params params;
    const struct pg_statement *statement = &attempt_page_sql;
    pg_params_init(&params, arena);
    put_range(&params, query);
    pg_put_i64(&params, (int64_t)query->scan_limit);
    pg_put_text_or_null(&params, query->outcome);
    pg_put_text_or_null(&params, query->topic);
    pg_put_id_or_null(&params, query->owner);
    pg_put_i64(&params, (int64_t)query->limit);
    if (!id_is_zero(query->notification_id)) {
        statement = &attempt_page_notification_sql;
        pg_put_id(&params, query->notification_id);
    } else if (!id_is_zero(query->subscription_id)) {
        statement = &attempt_page_subscription_sql;
        pg_put_id(&params, query->subscription_id);
    } else if (query->profiles != NULL) {
        statement = &attempt_page_profile_sql;
        pg_put_ids(&params, query->profiles, query->profile_count);
    }
    return pg_run(pg, arena, statement, &params, out_result, problem);
}

enum status attempt_page(struct pg *pg, struct arena *arena, const struct attempt_query *query,
                         struct attempt_page *out_page, struct problem *problem)
{
    struct pg_result *result = NULL;
    enum status status = run_page(pg, arena, query, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct attempt_page page = { .count = pg_row_count(result) };
    page.rows = ARENA_NEW_ARRAY(arena, page.count + 1, struct attempt_view);
    if (page.rows == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < page.count; i++) {
        page.rows[i] = row_of(result, i);
    }
    bool is_filtered =
        query->outcome.size > 0 || query->topic.size > 0 || !id_is_zero(query->owner);
    if (is_filtered && page.count < query->limit) {
        status = find_cut(pg, arena, query, &page, problem);
    }
    if (status == STATUS_OK) {
        *out_page = page;
    }
    return status;
}
