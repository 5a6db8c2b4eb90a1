#include "store/notification_read.h"

#include "base/instant.h"

/*
 * Notifications and attempts, read.
 *
 * Both are partitioned by day, so every list runs along an instant and leaves
 * out what is newer than its place. A notification by its id alone has no
 * index: the id of a partitioned table cannot be unique without its instant, and
 * an index on a hash costs every notification a write at a random place (117
 * bytes of WAL more, and whole pages after each checkpoint) for what somebody
 * asks a few times a day. Its attempts, which have an index, and its pending
 * delivery, in a table that is small by design, say when it was made. What has
 * neither is looked for in all partitions.
 */

#define NOTIFICATION_COLUMNS "n.id, n.created_at, n.profile_id, n.topic, n.sequence, n.body"

static const struct pg_statement notification_list_sql = {
    "notification_list",
    "SELECT " NOTIFICATION_COLUMNS " FROM notification n WHERE n.workspace_id = $1"
    " AND n.created_at <= $2 AND (n.created_at, n.id) < ($2, $3)"
    " AND ($4::text IS NULL OR n.topic = $4) ORDER BY n.created_at DESC, n.id DESC LIMIT $5",
};

static const struct pg_statement notification_list_profile_sql = {
    "notification_list_profile",
    "SELECT " NOTIFICATION_COLUMNS " FROM unnest($6::uuid[]) AS o(id) CROSS JOIN LATERAL"
    " (SELECT p.id, p.created_at, p.profile_id, p.topic, p.sequence, p.body"
    " FROM notification p WHERE p.workspace_id = $1 AND p.profile_id = o.id"
    " AND p.created_at <= $2 AND (p.created_at, p.id) < ($2, $3)"
    " AND ($4::text IS NULL OR p.topic = $4)"
    " ORDER BY p.created_at DESC, p.id DESC LIMIT $5) n"
    " ORDER BY n.created_at DESC, n.id DESC LIMIT $5",
};

static const struct pg_statement notification_first_attempt_sql = {
    "notification_first_attempt",
    "SELECT min(at) FROM attempt WHERE workspace_id = $1 AND notification_id = $2",
};

static const struct pg_statement notification_pending_sql = {
    "notification_pending",
    "SELECT min(notification_created_at) FROM delivery WHERE workspace_id = $1"
    " AND notification_id = $2",
};

static const struct pg_statement notification_find_sql = {
    "notification_find",
    "SELECT " NOTIFICATION_COLUMNS " FROM notification n WHERE n.workspace_id = $1 AND n.id = $2"
    " AND n.created_at BETWEEN $3 AND $4 LIMIT 1",
};

static const struct pg_statement notification_deliveries_sql = {
    "notification_deliveries",
    "SELECT d.id, s.name, d.due_at, d.attempt FROM delivery d"
    " LEFT JOIN subscription s ON s.workspace_id = $1 AND s.id = d.subscription_id"
    " WHERE d.workspace_id = $1 AND d.notification_id = $2 ORDER BY d.due_at, d.id LIMIT 1000",
};

#define ATTEMPT_SELECT                                                                \
    "SELECT a.id, a.at, a.notification_id, s.name, s.url, a.profile_id, a.number,"    \
    " a.outcome, a.response_status, a.duration_ms, a.next_at, a.body_bytes, a.error," \
    " a.response FROM attempt a"                                                      \
    " LEFT JOIN subscription s ON s.workspace_id = $1 AND s.id = a.subscription_id"   \
    " WHERE a.workspace_id = $1 AND a.at <= $2 AND (a.at, a.id) < ($2, $3)"           \
    " AND ($4::uuid IS NULL OR s.owner_key_id = $4)"
#define ATTEMPT_ORDER " ORDER BY a.at DESC, a.id DESC LIMIT $5"

static const struct pg_statement attempt_list_sql = {
    "attempt_list",
    ATTEMPT_SELECT ATTEMPT_ORDER,
};

static const struct pg_statement attempt_list_notification_sql = {
    "attempt_list_notification",
    ATTEMPT_SELECT " AND a.notification_id = $6" ATTEMPT_ORDER,
};

static const struct pg_statement attempt_list_subscription_sql = {
    "attempt_list_subscription",
    ATTEMPT_SELECT " AND a.subscription_id = $6" ATTEMPT_ORDER,
};

static struct notification_view notification_row_read(const struct pg_result *result, size_t row)
{
    return (struct notification_view){
        .id = pg_get_id(result, row, 0),
        .created_at_ms = pg_get_instant(result, row, 1),
        .profile_id = pg_get_id(result, row, 2),
        .topic = pg_get_text(result, row, 3),
        .sequence = pg_get_i64(result, row, 4),
        .body = pg_get_text(result, row, 5),
    };
}

enum status notification_list(struct pg *pg, struct arena *arena,
                              const struct notification_query *query,
                              struct notification_view **out_rows, size_t *out_count,
                              struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, query->workspace_id);
    pg_put_instant(&params, query->before_ms);
    pg_put_id(&params, query->before_id);
    pg_put_text_or_null(&params, query->topic);
    pg_put_i64(&params, (int64_t)query->limit);
    const struct pg_statement *statement = &notification_list_sql;
    if (query->profiles != NULL) {
        statement = &notification_list_profile_sql;
        pg_put_ids(&params, query->profiles, query->profile_count);
    }
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, statement, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct notification_view *rows = ARENA_NEW_ARRAY(arena, count, struct notification_view);
    if (rows == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        rows[i] = notification_row_read(result, i);
    }
    *out_rows = rows;
    *out_count = count;
    return STATUS_OK;
}

static enum status find_between(struct pg *pg, struct arena *arena, struct id workspace_id,
                                struct id notification_id, int64_t from_ms, int64_t until_ms,
                                struct notification_view *out_row, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, notification_id);
    pg_put_instant(&params, from_ms);
    pg_put_instant(&params, until_ms);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &notification_find_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (pg_row_count(result) == 0) {
        return STATUS_MISSING;
    }
    *out_row = notification_row_read(result, 0);
    return STATUS_OK;
}

enum status notification_find(struct pg *pg, struct arena *arena, struct id workspace_id,
                              struct id notification_id, struct notification_view *out_row,
                              struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, notification_id);
    struct pg_result *attempted = NULL;
    struct pg_result *pending = NULL;
    enum status status =
        pg_run(pg, arena, &notification_first_attempt_sql, &params, &attempted, problem);
    if (status == STATUS_OK) {
        status = pg_run(pg, arena, &notification_pending_sql, &params, &pending, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    bool is_attempted = !pg_is_null(attempted, 0, 0);
    bool is_pending = !pg_is_null(pending, 0, 0);
    int64_t first_ms = is_attempted ? pg_get_instant(attempted, 0, 0) : 0;
    int64_t made_ms = is_pending ? pg_get_instant(pending, 0, 0) : 0;
    const struct {
        bool is_known;
        int64_t from_ms;
        int64_t until_ms;
    } places[] = {
        { is_pending, made_ms, made_ms },
        /* Nearly all are attempted at once; clocks of instances differ. */
        { is_attempted, first_ms - INSTANT_MINUTE_MS, first_ms + INSTANT_MINUTE_MS },
        /* The schedule's length and more. */
        { is_attempted, first_ms - 10 * INSTANT_DAY_MS, first_ms + INSTANT_DAY_MS },
        { true, 0, INT64_C(253370764800000) },
    };
    status = STATUS_MISSING;
    for (size_t i = 0; i < ARRAY_COUNT(places) && status == STATUS_MISSING; i++) {
        if (places[i].is_known) {
            status = find_between(pg, arena, workspace_id, notification_id, places[i].from_ms,
                                  places[i].until_ms, out_row, problem);
        }
    }
    return status;
}

enum status notification_deliveries(struct pg *pg, struct arena *arena, struct id workspace_id,
                                    struct id notification_id, struct delivery_view **out_rows,
                                    size_t *out_count, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, notification_id);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &notification_deliveries_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct delivery_view *rows = ARENA_NEW_ARRAY(arena, count, struct delivery_view);
    if (rows == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        rows[i] = (struct delivery_view){
            .id = pg_get_id(result, i, 0),
            .subscription = pg_get_text(result, i, 1),
            .due_at_ms = pg_get_instant(result, i, 2),
            .attempts = pg_get_i64(result, i, 3),
        };
    }
    *out_rows = rows;
    *out_count = count;
    return STATUS_OK;
}

static struct attempt_view attempt_row_read(const struct pg_result *result, size_t row)
{
    return (struct attempt_view){
        .id = pg_get_id(result, row, 0),
        .at_ms = pg_get_instant(result, row, 1),
        .notification_id = pg_get_id(result, row, 2),
        .subscription = pg_get_text(result, row, 3),
        .url = pg_get_text(result, row, 4),
        .profile_id = pg_get_id(result, row, 5),
        .number = pg_get_i64(result, row, 6),
        .outcome = pg_get_text(result, row, 7),
        .response_status = pg_get_i64(result, row, 8),
        .duration_ms = pg_get_i64(result, row, 9),
        .next_at_ms = pg_get_instant(result, row, 10),
        .body_bytes = pg_get_i64(result, row, 11),
        .error = pg_get_text(result, row, 12),
        .response = pg_get_text(result, row, 13),
    };
}

enum status attempt_list(struct pg *pg, struct arena *arena, const struct attempt_query *query,
                         struct attempt_view **out_rows, size_t *out_count, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, query->workspace_id);
    pg_put_instant(&params, query->before_ms);
    pg_put_id(&params, query->before_id);
    pg_put_id_or_null(&params, query->owner);
    pg_put_i64(&params, (int64_t)query->limit);
    const struct pg_statement *statement = &attempt_list_sql;
    if (!id_is_zero(query->notification_id)) {
        statement = &attempt_list_notification_sql;
        pg_put_id(&params, query->notification_id);
    } else if (!id_is_zero(query->subscription_id)) {
        statement = &attempt_list_subscription_sql;
        pg_put_id(&params, query->subscription_id);
    }
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, statement, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct attempt_view *rows = ARENA_NEW_ARRAY(arena, count, struct attempt_view);
    if (rows == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        rows[i] = attempt_row_read(result, i);
    }
    *out_rows = rows;
    *out_count = count;
    return STATUS_OK;
}
