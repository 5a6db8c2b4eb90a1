#include "store/source_store.h"

#include "base/instant.h"

/*
 * Sources, secrets, webhooks kept.
 *
 * Invariant: a deleted source is a tombstone with deleted_at, so that its URL
 * goes on saying 410 and its facts keep a name; its secrets go at once, since
 * nothing may be verified with them any more. A change is guarded by the
 * version that was read (ETag), never by a lock held while a person thinks.
 */

#define SOURCE_COLUMNS                                                               \
    "s.workspace_id, s.id, s.name, s.platform, s.settings, s.history_complete,"      \
    " s.history_since, s.version, s.created_at, s.updated_at, h.last_delivery_at,"   \
    " h.last_applied_at, h.last_failure, c.applied, c.duplicate, c.ignored,"         \
    " c.quarantined, c.refused, c.shed, h.last_accepted_at, c.thin, c.accepted_now," \
    " c.accepted_before, c.refused_now, c.refused_before"

#define HOUR_ACCEPTED "o.applied + o.duplicate + o.ignored + o.quarantined"
#define HOUR_NOW "o.hour > $2 + interval '23 hours'"
#define HOUR_BEFORE "o.hour > $2 + interval '22 hours' AND o.hour <= $2 + interval '23 hours'"

#define SOURCE_FROM                                                                             \
    " FROM source s"                                                                            \
    " LEFT JOIN source_health h ON h.workspace_id = $1 AND h.source_id = s.id"                  \
    " CROSS JOIN LATERAL (SELECT"                                                               \
    " coalesce(sum(o.applied), 0)::bigint AS applied,"                                          \
    " coalesce(sum(o.duplicate), 0)::bigint AS duplicate,"                                      \
    " coalesce(sum(o.ignored), 0)::bigint AS ignored,"                                          \
    " coalesce(sum(o.quarantined), 0)::bigint AS quarantined,"                                  \
    " coalesce(sum(o.refused), 0)::bigint AS refused,"                                          \
    " coalesce(sum(o.shed), 0)::bigint AS shed,"                                                \
    " coalesce(sum(o.thin), 0)::bigint AS thin,"                                                \
    " coalesce(sum(" HOUR_ACCEPTED ") FILTER (WHERE " HOUR_NOW "), 0)::bigint AS accepted_now," \
    " coalesce(sum(" HOUR_ACCEPTED ") FILTER (WHERE " HOUR_BEFORE                               \
    "), 0)::bigint AS accepted_before,"                                                         \
    " coalesce(sum(o.refused) FILTER (WHERE " HOUR_NOW "), 0)::bigint AS refused_now,"          \
    " coalesce(sum(o.refused) FILTER (WHERE " HOUR_BEFORE "), 0)::bigint AS refused_before"     \
    " FROM source_hour o WHERE o.workspace_id = $1 AND o.source_id = s.id"                      \
    " AND o.hour > $2) c"

static const struct pg_statement source_insert_sql = {
    "source_insert",
    "INSERT INTO source (workspace_id, id, name, platform, settings, history_complete,"
    " history_since, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
};

static const struct pg_statement source_find_sql = {
    "source_find",
    "SELECT " SOURCE_COLUMNS SOURCE_FROM
    " WHERE s.workspace_id = $1 AND s.deleted_at IS NULL AND (s.id = $3 OR s.name = $4)",
};

static const struct pg_statement source_list_sql = {
    "source_list",
    "SELECT " SOURCE_COLUMNS SOURCE_FROM
    " WHERE s.workspace_id = $1 AND s.deleted_at IS NULL AND s.name > $3"
    " ORDER BY s.name LIMIT $4",
};

static const struct pg_statement source_count_sql = {
    "source_count",
    "SELECT count(*) FROM source WHERE workspace_id = $1 AND deleted_at IS NULL",
};

static const struct pg_statement source_update_sql = {
    "source_update",
    "UPDATE source SET settings = $3, history_complete = $4, history_since = $5,"
    " updated_at = $6, version = version + 1"
    " WHERE workspace_id = $1 AND id = $2 AND version = $7 AND deleted_at IS NULL",
};

static const struct pg_statement source_delete_sql = {
    "source_delete",
    "UPDATE source SET deleted_at = $3, updated_at = $3, version = version + 1"
    " WHERE workspace_id = $1 AND id = $2 AND deleted_at IS NULL",
};

static const struct pg_statement source_secret_clear_sql = {
    "source_secret_clear",
    "DELETE FROM source_secret WHERE workspace_id = $1 AND source_id = $2",
};

static const struct pg_statement source_schema_clear_sql = {
    "source_schema_clear",
    "WITH gone AS (DELETE FROM event_schema WHERE workspace_id = $1 AND source_id = $2"
    " RETURNING id) DELETE FROM event_schema_hour h USING gone"
    " WHERE h.workspace_id = $1 AND h.schema_id = gone.id",
};

static const struct pg_statement source_secret_insert_sql = {
    "source_secret_insert",
    "INSERT INTO source_secret (workspace_id, source_id, id, label, sealed, shadow, created_at,"
    " expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
};

static const struct pg_statement source_secret_list_sql = {
    "source_secret_list",
    "SELECT id, label, sealed, shadow, created_at, expires_at, last_used_at, shadow_tried,"
    " shadow_matches, shadow_since, shadow_missed_at FROM source_secret"
    " WHERE workspace_id = $1 AND source_id = $2 ORDER BY created_at, id",
};

static const struct pg_statement source_secret_update_sql = {
    "source_secret_update",
    "UPDATE source_secret SET label = $4, shadow = $5, expires_at = $6,"
    " shadow_tried = CASE WHEN $5 AND NOT shadow THEN 0 ELSE shadow_tried END,"
    " shadow_matches = CASE WHEN $5 AND NOT shadow THEN 0 ELSE shadow_matches END,"
    " shadow_since = CASE WHEN $5 AND NOT shadow THEN NULL ELSE shadow_since END,"
    " shadow_missed_at = CASE WHEN $5 AND NOT shadow THEN NULL ELSE shadow_missed_at END"
    " WHERE workspace_id = $1 AND source_id = $2 AND id = $3",
};

static const struct pg_statement source_secret_expire_sql = {
    "source_secret_expire",
    "UPDATE source_secret SET expires_at = $4 WHERE workspace_id = $1 AND source_id = $2"
    " AND id = $3 AND (expires_at IS NULL OR expires_at > $4)",
};

static const struct pg_statement source_secret_delete_sql = {
    "source_secret_delete",
    "DELETE FROM source_secret WHERE workspace_id = $1 AND source_id = $2 AND id = $3",
};

/* received_at stands twice: the row comparison gives the exact place, the
 * plain one lets the planner leave later partitions out. */
static const struct pg_statement webhook_list_sql = {
    "webhook_list",
    "SELECT id, received_at, topic, dedup_key, headers, octet_length(body) FROM webhook"
    " WHERE workspace_id = $1 AND source_id = $2 AND received_at <= $3"
    " AND (received_at, id) < ($3, $4) ORDER BY received_at DESC, id DESC LIMIT $5",
};

static struct source_row source_row_read(const struct pg_result *result, size_t row)
{
    return (struct source_row){
        .workspace_id = pg_get_id(result, row, 0),
        .id = pg_get_id(result, row, 1),
        .name = pg_get_text(result, row, 2),
        .platform = pg_get_text(result, row, 3),
        .settings_json = pg_get_jsonb(result, row, 4),
        .history_complete = pg_get_bool(result, row, 5),
        .history_since_ms = pg_get_instant(result, row, 6),
        .version = pg_get_i64(result, row, 7),
        .created_at_ms = pg_get_instant(result, row, 8),
        .updated_at_ms = pg_get_instant(result, row, 9),
        .last_delivery_at_ms = pg_get_instant(result, row, 10),
        .last_applied_at_ms = pg_get_instant(result, row, 11),
        .last_accepted_at_ms = pg_get_instant(result, row, 19),
        .last_failure_json = pg_is_null(result, row, 12) ? (struct str){ NULL, 0 }
                                                         : pg_get_jsonb(result, row, 12),
        .counts_24h = {
            .applied = pg_get_i64(result, row, 13),
            .duplicate = pg_get_i64(result, row, 14),
            .ignored = pg_get_i64(result, row, 15),
            .quarantined = pg_get_i64(result, row, 16),
            .refused = pg_get_i64(result, row, 17),
            .shed = pg_get_i64(result, row, 18),
            .thin = pg_get_i64(result, row, 20),
        },
        .hours = {
            .accepted = pg_get_i64(result, row, 21),
            .accepted_before = pg_get_i64(result, row, 22),
            .refused = pg_get_i64(result, row, 23),
            .refused_before = pg_get_i64(result, row, 24),
        },
    };
}

enum status source_insert(struct pg *pg, struct arena *arena, const struct source_row *source,
                          struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, source->workspace_id);
    pg_put_id(&params, source->id);
    pg_put_text(&params, source->name);
    pg_put_text(&params, source->platform);
    pg_put_jsonb(&params, source->settings_json);
    pg_put_bool(&params, source->history_complete);
    pg_put_instant(&params, source->history_since_ms);
    pg_put_instant(&params, source->created_at_ms);
    return pg_run(pg, arena, &source_insert_sql, &params, NULL, problem);
}

enum status source_find(struct pg *pg, struct arena *arena, struct id workspace_id,
                        struct str name_or_id, int64_t now_ms, struct source_row *out_source,
                        struct problem *problem)
{
    struct id id = ID_ZERO;
    (void)id_parse(name_or_id, &id);
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_instant(&params, now_ms - INSTANT_DAY_MS);
    pg_put_id_or_null(&params, id);
    pg_put_text(&params, name_or_id);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &source_find_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (pg_row_count(result) == 0) {
        return STATUS_MISSING;
    }
    *out_source = source_row_read(result, 0);
    return STATUS_OK;
}

enum status source_list(struct pg *pg, struct arena *arena, struct id workspace_id,
                        struct str after, size_t limit, int64_t now_ms,
                        struct source_row **out_sources, size_t *out_count, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_instant(&params, now_ms - INSTANT_DAY_MS);
    pg_put_text(&params, after);
    pg_put_i64(&params, (int64_t)limit);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &source_list_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct source_row *sources = ARENA_NEW_ARRAY(arena, count, struct source_row);
    if (sources == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        sources[i] = source_row_read(result, i);
    }
    *out_sources = sources;
    *out_count = count;
    return STATUS_OK;
}

enum status source_count(struct pg *pg, struct arena *arena, struct id workspace_id,
                         int64_t *out_count, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &source_count_sql, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_count = pg_get_i64(result, 0, 0);
    }
    return status;
}

enum status source_update(struct pg *pg, struct arena *arena, const struct source_row *source,
                          struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, source->workspace_id);
    pg_put_id(&params, source->id);
    pg_put_jsonb(&params, source->settings_json);
    pg_put_bool(&params, source->history_complete);
    pg_put_instant(&params, source->history_since_ms);
    pg_put_instant(&params, source->updated_at_ms);
    pg_put_i64(&params, source->version);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &source_update_sql, &params, &result, problem);
    if (status == STATUS_OK && pg_affected(result) == 0) {
        return STATUS_CONFLICT;
    }
    return status;
}

enum status source_delete(struct pg *pg, struct arena *arena, struct id workspace_id,
                          struct id source_id, int64_t now_ms, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, source_id);
    pg_put_instant(&params, now_ms);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &source_delete_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (pg_affected(result) == 0) {
        return STATUS_MISSING;
    }
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, source_id);
    status = pg_run(pg, arena, &source_secret_clear_sql, &params, NULL, problem);
    return status == STATUS_OK ? pg_run(pg, arena, &source_schema_clear_sql, &params, NULL, problem)
                               : status;
}

enum status source_secret_insert(struct pg *pg, struct arena *arena, struct id workspace_id,
                                 struct id source_id, const struct source_secret_row *secret,
                                 struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, source_id);
    pg_put_id(&params, secret->id);
    pg_put_text(&params, secret->label);
    pg_put_bytes(&params, secret->sealed);
    pg_put_bool(&params, secret->shadow);
    pg_put_instant(&params, secret->created_at_ms);
    pg_put_instant(&params, secret->expires_at_ms);
    return pg_run(pg, arena, &source_secret_insert_sql, &params, NULL, problem);
}

enum status source_secret_list(struct pg *pg, struct arena *arena, struct id workspace_id,
                               struct id source_id, struct source_secret_row **out_secrets,
                               size_t *out_count, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, source_id);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &source_secret_list_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct source_secret_row *secrets = ARENA_NEW_ARRAY(arena, count, struct source_secret_row);
    if (secrets == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        secrets[i] = (struct source_secret_row){
            .id = pg_get_id(result, i, 0),
            .label = pg_get_text(result, i, 1),
            .sealed = pg_get_bytes(result, i, 2),
            .shadow = pg_get_bool(result, i, 3),
            .created_at_ms = pg_get_instant(result, i, 4),
            .expires_at_ms = pg_get_instant(result, i, 5),
            .last_used_at_ms = pg_get_instant(result, i, 6),
            .check = {
                .tried = pg_get_i64(result, i, 7),
                .matches = pg_get_i64(result, i, 8),
                .since_ms = pg_get_instant(result, i, 9),
                .missed_at_ms = pg_get_instant(result, i, 10),
            },
        };
    }
    *out_secrets = secrets;
    *out_count = count;
    return STATUS_OK;
}

enum status source_secret_update(struct pg *pg, struct arena *arena, struct id workspace_id,
                                 struct id source_id, const struct source_secret_row *secret,
                                 struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, source_id);
    pg_put_id(&params, secret->id);
    pg_put_text(&params, secret->label);
    pg_put_bool(&params, secret->shadow);
    pg_put_instant(&params, secret->expires_at_ms);
    enum status status = pg_run(pg, arena, &source_secret_update_sql, &params, &result, problem);
    if (status == STATUS_OK && pg_affected(result) == 0) {
        return STATUS_MISSING;
    }
    return status;
}

enum status source_secret_expire(struct pg *pg, struct arena *arena, struct id workspace_id,
                                 struct id source_id, struct id secret_id, int64_t at_ms,
                                 struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, source_id);
    pg_put_id(&params, secret_id);
    pg_put_instant(&params, at_ms);
    return pg_run(pg, arena, &source_secret_expire_sql, &params, NULL, problem);
}

enum status source_secret_delete(struct pg *pg, struct arena *arena, struct id workspace_id,
                                 struct id source_id, struct id secret_id, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, source_id);
    pg_put_id(&params, secret_id);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &source_secret_delete_sql, &params, &result, problem);
    if (status == STATUS_OK && pg_affected(result) == 0) {
        return STATUS_MISSING;
    }
    return status;
}

enum status webhook_list(struct pg *pg, struct arena *arena, struct id workspace_id,
                         struct id source_id, int64_t before_ms, struct id before_id, size_t limit,
                         struct webhook_row **out_webhooks, size_t *out_count,
                         struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, source_id);
    pg_put_instant(&params, before_ms);
    pg_put_id(&params, before_id);
    pg_put_i64(&params, (int64_t)limit);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &webhook_list_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct webhook_row *webhooks = ARENA_NEW_ARRAY(arena, count, struct webhook_row);
    if (webhooks == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        webhooks[i] = (struct webhook_row){
            .id = pg_get_id(result, i, 0),
            .received_at_ms = pg_get_instant(result, i, 1),
            .topic = pg_get_text(result, i, 2),
            .dedup_key = pg_get_text(result, i, 3),
            .headers_json = pg_get_text(result, i, 4),
            .body_bytes = pg_get_i64(result, i, 5),
        };
    }
    *out_webhooks = webhooks;
    *out_count = count;
    return STATUS_OK;
}
