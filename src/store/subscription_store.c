#include "store/subscription_store.h"

#include "base/instant.h"

/*
 * Subscriptions.
 *
 * Invariant: status changes here and at one other place, where the sender
 * settles a 410; both raise the version, so an edit based on what was read
 * before is refused instead of undoing it.
 */

#define SUBSCRIPTION_COLUMNS                                                                \
    "workspace_id, id, name, title, url, topics, fields, format, headers, concurrency,"     \
    " timeout_ms, max_age_ms, status, status_reason, challenge, challenge_expires_at,"      \
    " owner_key_id, version, created_at, updated_at, filter, channel, ordering, batch_max," \
    " batch_wait_ms, rate_count, rate_per_ms, recheck, signature, map, settings, masked"

static const struct pg_statement subscription_insert_sql = {
    "subscription_insert",
    "INSERT INTO subscription (workspace_id, id, title, url, topics, fields, format, headers,"
    " concurrency, timeout_ms, max_age_ms, filter, channel, ordering, batch_max, batch_wait_ms,"
    " rate_count, rate_per_ms, recheck, signature, map, settings, masked, status, status_reason,"
    " challenge, challenge_expires_at, updated_at, name, owner_key_id, created_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,"
    " $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31)",
};

static const struct pg_statement subscription_find_sql = {
    "subscription_find",
    "SELECT " SUBSCRIPTION_COLUMNS " FROM subscription WHERE workspace_id = $1"
    " AND (id = $2 OR name = $3) AND ($4::uuid IS NULL OR owner_key_id = $4)",
};

static const struct pg_statement subscription_list_sql = {
    "subscription_list",
    "SELECT " SUBSCRIPTION_COLUMNS " FROM subscription WHERE workspace_id = $1 AND name > $2"
    " AND ($3::uuid IS NULL OR owner_key_id = $3) ORDER BY name LIMIT $4",
};

static const struct pg_statement subscription_count_sql = {
    "subscription_count",
    "SELECT count(*) FROM subscription WHERE workspace_id = $1"
    " AND ($2::uuid IS NULL OR owner_key_id = $2)",
};

static const struct pg_statement subscription_update_sql = {
    "subscription_update",
    "UPDATE subscription SET title = $3, url = $4, topics = $5, fields = $6, format = $7,"
    " headers = $8, concurrency = $9, timeout_ms = $10, max_age_ms = $11, filter = $12,"
    " channel = $13, ordering = $14, batch_max = $15, batch_wait_ms = $16, rate_count = $17,"
    " rate_per_ms = $18, recheck = $19, signature = $20, map = $21, settings = $22, masked = $23,"
    " status = $24, status_reason = $25, challenge = $26, challenge_expires_at = $27,"
    " updated_at = $28, version = version + 1"
    " WHERE workspace_id = $1 AND id = $2 AND version = $29",
};

static const struct pg_statement subscription_delete_sql = {
    "subscription_delete",
    "DELETE FROM subscription WHERE workspace_id = $1 AND id = $2",
};

static const struct pg_statement subscription_secret_clear_sql = {
    "subscription_secret_clear",
    "DELETE FROM subscription_secret WHERE workspace_id = $1 AND subscription_id = $2",
};

static const struct pg_statement subscription_delivery_clear_sql = {
    "subscription_delivery_clear",
    "WITH b AS (DELETE FROM delivery_batch WHERE workspace_id = $1 AND subscription_id = $2)"
    " DELETE FROM delivery WHERE workspace_id = $1 AND subscription_id = $2",
};

static struct subscription_row subscription_row_read(const struct pg_result *result,
                                                     struct arena *arena, size_t row)
{
    struct subscription_row subscription = {
        .workspace_id = pg_get_id(result, row, 0),
        .id = pg_get_id(result, row, 1),
        .name = pg_get_text(result, row, 2),
        .title = pg_get_text(result, row, 3),
        .url = pg_get_text(result, row, 4),
        .fields = pg_get_text(result, row, 6),
        .format = pg_get_text(result, row, 7),
        .headers_json = pg_get_jsonb(result, row, 8),
        .concurrency = (int32_t)pg_get_i64(result, row, 9),
        .timeout_ms = pg_get_i64(result, row, 10),
        .max_age_ms = pg_get_i64(result, row, 11),
        .status = pg_get_text(result, row, 12),
        .status_reason = pg_get_text(result, row, 13),
        .challenge = pg_get_text(result, row, 14),
        .challenge_expires_at_ms = pg_get_instant(result, row, 15),
        .owner_key_id = pg_get_id(result, row, 16),
        .version = pg_get_i64(result, row, 17),
        .created_at_ms = pg_get_instant(result, row, 18),
        .updated_at_ms = pg_get_instant(result, row, 19),
        .filter = pg_get_text(result, row, 20),
        .channel = pg_get_text(result, row, 21),
        .ordering = pg_get_text(result, row, 22),
        .batch_max = (int32_t)pg_get_i64(result, row, 23),
        .batch_wait_ms = pg_get_i64(result, row, 24),
        .rate_count = (int32_t)pg_get_i64(result, row, 25),
        .rate_per_ms = pg_get_i64(result, row, 26),
        .recheck = pg_get_bool(result, row, 27),
        .map_json = pg_get_jsonb(result, row, 29),
        .settings_json = pg_get_jsonb(result, row, 30),
        .is_masked = pg_get_bool(result, row, 31),
    };
    struct str *topics = NULL;
    struct str *schemes = NULL;
    subscription.topic_count = pg_get_text_array(result, arena, row, 5, &topics);
    subscription.topics = topics;
    subscription.signature_count = pg_get_text_array(result, arena, row, 28, &schemes);
    subscription.signature = schemes;
    return subscription;
}

static void put_unless_zero(struct pg_params *params, enum pg_type type, int64_t value)
{
    if (value == 0) {
        pg_put_null(params, type);
    } else if (type == PG_INT4) {
        pg_put_i32(params, (int32_t)value);
    } else {
        pg_put_i64(params, value);
    }
}

/* $3 to $28 of both statements that write. */
static void put_settable(struct pg_params *params, const struct subscription_row *subscription)
{
    pg_put_text(params, subscription->title);
    pg_put_text(params, subscription->url);
    pg_put_text_array(params, subscription->topics, subscription->topic_count);
    pg_put_text(params, subscription->fields);
    pg_put_text(params, subscription->format);
    pg_put_jsonb(params, subscription->headers_json);
    pg_put_i32(params, subscription->concurrency);
    pg_put_i64(params, subscription->timeout_ms);
    put_unless_zero(params, PG_INT8, subscription->max_age_ms);
    pg_put_text_or_null(params, subscription->filter);
    pg_put_text_or_null(params, subscription->channel);
    pg_put_text(params, subscription->ordering);
    put_unless_zero(params, PG_INT4, subscription->batch_max);
    put_unless_zero(params, PG_INT8, subscription->batch_wait_ms);
    put_unless_zero(params, PG_INT4, subscription->rate_count);
    put_unless_zero(params, PG_INT8, subscription->rate_per_ms);
    pg_put_bool(params, subscription->recheck);
    pg_put_text_array(params, subscription->signature, subscription->signature_count);
    pg_put_jsonb(params, subscription->map_json);
    pg_put_jsonb(params, subscription->settings_json);
    pg_put_bool(params, subscription->is_masked);
    pg_put_text(params, subscription->status);
    pg_put_text_or_null(params, subscription->status_reason);
    pg_put_text_or_null(params, subscription->challenge);
    pg_put_instant(params, subscription->challenge_expires_at_ms);
    pg_put_instant(params, subscription->updated_at_ms);
}

enum status subscription_insert(struct pg *pg, struct arena *arena,
                                const struct subscription_row *subscription,
                                struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, subscription->workspace_id);
    pg_put_id(&params, subscription->id);
    put_settable(&params, subscription);
    pg_put_text(&params, subscription->name);
    pg_put_id_or_null(&params, subscription->owner_key_id);
    pg_put_instant(&params, subscription->created_at_ms);
    return pg_run(pg, arena, &subscription_insert_sql, &params, NULL, problem);
}

enum status subscription_find(struct pg *pg, struct arena *arena, struct id workspace_id,
                              struct id owner, struct str name_or_id,
                              struct subscription_row *out_subscription, struct problem *problem)
{
    struct id id = ID_ZERO;
    (void)id_parse(name_or_id, &id);
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id_or_null(&params, id);
    pg_put_text(&params, name_or_id);
    pg_put_id_or_null(&params, owner);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &subscription_find_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (pg_row_count(result) == 0) {
        return STATUS_MISSING;
    }
    *out_subscription = subscription_row_read(result, arena, 0);
    return STATUS_OK;
}

enum status subscription_list(struct pg *pg, struct arena *arena, struct id workspace_id,
                              struct id owner, struct str after, size_t limit,
                              struct subscription_row **out_subscriptions, size_t *out_count,
                              struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_text(&params, after);
    pg_put_id_or_null(&params, owner);
    pg_put_i64(&params, (int64_t)limit);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &subscription_list_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct subscription_row *rows = ARENA_NEW_ARRAY(arena, count, struct subscription_row);
    if (rows == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        rows[i] = subscription_row_read(result, arena, i);
    }
    *out_subscriptions = rows;
    *out_count = count;
    return STATUS_OK;
}

enum status subscription_count(struct pg *pg, struct arena *arena, struct id workspace_id,
                               struct id owner, int64_t *out_count, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id_or_null(&params, owner);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &subscription_count_sql, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_count = pg_get_i64(result, 0, 0);
    }
    return status;
}

enum status subscription_update(struct pg *pg, struct arena *arena,
                                const struct subscription_row *subscription,
                                struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, subscription->workspace_id);
    pg_put_id(&params, subscription->id);
    put_settable(&params, subscription);
    pg_put_i64(&params, subscription->version);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &subscription_update_sql, &params, &result, problem);
    if (status == STATUS_OK && pg_affected(result) == 0) {
        return STATUS_CONFLICT;
    }
    return status;
}

enum status subscription_secret_clear(struct pg *pg, struct arena *arena, struct id workspace_id,
                                      struct id subscription_id, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, subscription_id);
    return pg_run(pg, arena, &subscription_secret_clear_sql, &params, NULL, problem);
}

enum status subscription_delete(struct pg *pg, struct arena *arena, struct id workspace_id,
                                struct id subscription_id, struct problem *problem)
{
    const struct pg_statement *const statements[] = {
        &subscription_delete_sql,
        &subscription_secret_clear_sql,
        &subscription_delivery_clear_sql,
    };
    for (size_t i = 0; i < ARRAY_COUNT(statements); i++) {
        struct pg_params params;
        pg_params_init(&params, arena);
        pg_put_id(&params, workspace_id);
        pg_put_id(&params, subscription_id);
        struct pg_result *result = NULL;
        enum status status = pg_run(pg, arena, statements[i], &params, &result, problem);
        if (status != STATUS_OK) {
            return status;
        }
        if (i == 0 && pg_affected(result) == 0) {
            return STATUS_MISSING;
        }
    }
    return STATUS_OK;
}
