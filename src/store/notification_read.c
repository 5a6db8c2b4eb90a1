#include "store/notification_read.h"

#include "base/instant.h"
#include "core/trigger/delivery.h"

/*
 * Notifications, read.
 *
 * They are partitioned by day, so every list runs along an instant and leaves
 * out what is newer than its place. A notification by its id alone has no
 * index: the id of a partitioned table cannot be unique without its instant, and
 * an index on a hash costs every notification a write at a random place (117
 * bytes of WAL more, and whole pages after each checkpoint) for what somebody
 * asks a few times a day. Its attempts, which have an index, and its pending
 * delivery, in a table that is small by design, say when it was made. What has
 * neither is looked for in all partitions.
 */

#define NOTIFICATION_COLUMNS "n.id, n.created_at, n.profile_id, n.topic, n.sequence, n.body"

#define NOTIFICATION_RANGE                                                  \
    " FROM notification n WHERE n.workspace_id = $1 AND n.created_at >= $2" \
    " AND n.created_at <= $3 AND (n.created_at, n.id) < ($3, $4)"
#define NOTIFICATION_ORDER " ORDER BY n.created_at DESC, n.id DESC"

static const struct pg_statement notification_page_sql = {
    "notification_page",
    "SELECT " NOTIFICATION_COLUMNS
    " FROM (SELECT " NOTIFICATION_COLUMNS NOTIFICATION_RANGE NOTIFICATION_ORDER
    " LIMIT $5) n WHERE ($6::text IS NULL OR n.topic = $6)" NOTIFICATION_ORDER " LIMIT $7",
};

static const struct pg_statement notification_page_profile_sql = {
    "notification_page_profile",
    "SELECT " NOTIFICATION_COLUMNS " FROM (SELECT " NOTIFICATION_COLUMNS
    " FROM unnest($8::uuid[]) AS o (id) CROSS JOIN LATERAL (SELECT " NOTIFICATION_COLUMNS
        NOTIFICATION_RANGE " AND n.profile_id = o.id" NOTIFICATION_ORDER
    " LIMIT $5) n" NOTIFICATION_ORDER
    " LIMIT $5) n WHERE ($6::text IS NULL OR n.topic = $6)" NOTIFICATION_ORDER " LIMIT $7",
};

static const struct pg_statement notification_cut_sql = {
    "notification_cut",
    "SELECT n.created_at, n.id" NOTIFICATION_RANGE NOTIFICATION_ORDER " OFFSET $5 LIMIT 1",
};

/* Attempted for the subscription, or waiting in its name. */
static const struct pg_statement notification_sent_sql = {
    "notification_sent",
    "SELECT EXISTS (SELECT 1 FROM attempt a WHERE a.workspace_id = $1"
    " AND a.notification_id = u.id AND a.at >= u.created_at - interval '1 minute'"
    " AND a.subscription_id = $2) OR EXISTS (SELECT 1 FROM delivery d WHERE d.workspace_id = $1"
    " AND d.id = u.delivery_id) FROM unnest($3::uuid[], $4::timestamptz[], $5::uuid[])"
    " WITH ORDINALITY AS u (id, created_at, delivery_id, n) ORDER BY u.n",
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

static void put_range(struct pg_params *params, const struct notification_query *query)
{
    pg_put_id(params, query->workspace_id);
    pg_put_instant(params, query->from_ms);
    pg_put_instant(params, query->before_ms);
    pg_put_id(params, query->before_id);
}

static enum status read_page(struct pg *pg, struct arena *arena,
                             const struct notification_query *query, size_t limit,
                             struct notification_page *page, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    const struct pg_statement *statement = &notification_page_sql;
    pg_params_init(&params, arena);
    put_range(&params, query);
    pg_put_i64(&params, (int64_t)query->scan_limit);
    pg_put_text_or_null(&params, query->topic);
    pg_put_i64(&params, (int64_t)limit);
    if (query->profiles != NULL) {
        statement = &notification_page_profile_sql;
        pg_put_ids(&params, query->profiles, query->profile_count);
    }
    enum status status = pg_run(pg, arena, statement, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    page->count = pg_row_count(result);
    page->rows = ARENA_NEW_ARRAY(arena, page->count + 1, struct notification_view);
    for (size_t i = 0; page->rows != NULL && i < page->count; i++) {
        page->rows[i] = notification_row_read(result, i);
    }
    return page->rows != NULL ? STATUS_OK : STATUS_LIMIT;
}

/* The last row that was looked at, if it was the last that may be. */
static enum status find_cut(struct pg *pg, struct arena *arena,
                            const struct notification_query *query, struct notification_page *page,
                            struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    put_range(&params, query);
    pg_put_i64(&params, (int64_t)query->scan_limit - 1);
    enum status status = pg_run(pg, arena, &notification_cut_sql, &params, &result, problem);
    if (status == STATUS_OK && pg_row_count(result) > 0) {
        page->is_cut = true;
        page->cut_ms = pg_get_instant(result, 0, 0);
        page->cut_id = pg_get_id(result, 0, 1);
    }
    return status;
}

/* Leaves those that went to the subscription, at most query->limit of them. */
static enum status keep_sent(struct pg *pg, struct arena *arena,
                             const struct notification_query *query, struct notification_page *page,
                             struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    struct pg_array ids;
    struct pg_array instants;
    struct pg_array deliveries;
    size_t kept = 0;
    pg_params_init(&params, arena);
    pg_put_id(&params, query->workspace_id);
    pg_put_id(&params, query->subscription_id);
    pg_array_begin(&ids, &params, PG_UUID, page->count);
    pg_array_begin(&instants, &params, PG_INSTANT, page->count);
    pg_array_begin(&deliveries, &params, PG_UUID, page->count);
    for (size_t i = 0; i < page->count; i++) {
        pg_array_id(&ids, page->rows[i].id);
        pg_array_instant(&instants, page->rows[i].created_at_ms);
        pg_array_id(&deliveries, delivery_id(page->rows[i].id, query->subscription_id));
    }
    pg_array_end(&ids);
    pg_array_end(&instants);
    pg_array_end(&deliveries);
    enum status status = pg_run(pg, arena, &notification_sent_sql, &params, &result, problem);
    for (size_t i = 0; status == STATUS_OK && i < page->count && kept < query->limit; i++) {
        if (pg_get_bool(result, i, 0)) {
            page->rows[kept++] = page->rows[i];
        }
    }
    page->count = kept;
    return status;
}

enum status notification_page(struct pg *pg, struct arena *arena,
                              const struct notification_query *query,
                              struct notification_page *out_page, struct problem *problem)
{
    struct notification_page page = { .count = 0 };
    bool is_of_subscription = !id_is_zero(query->subscription_id);
    enum status status = read_page(
        pg, arena, query, is_of_subscription ? query->scan_limit : query->limit, &page, problem);
    if (status == STATUS_OK && is_of_subscription && page.count > 0) {
        status = keep_sent(pg, arena, query, &page, problem);
    }
    bool is_filtered = is_of_subscription || query->topic.size > 0;
    /* Of one customer all were looked at. */
    if (status == STATUS_OK && is_filtered && page.count < query->limit &&
        query->profiles == NULL) {
        status = find_cut(pg, arena, query, &page, problem);
    }
    if (status == STATUS_OK) {
        *out_page = page;
    }
    return status;
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
        { true, 0, INSTANT_LAST_MS },
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
