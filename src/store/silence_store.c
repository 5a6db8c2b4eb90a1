#include "store/silence_store.h"

#include "core/trigger/delivery.h"

/*
 * Silences told of.
 *
 * Problem: several instances look at once, a source may be heard while one looks,
 * and expected_silence may be changed while it lasts. So the row of the source's
 * health says which last delivery was told of, and telling is one statement that
 * begins by moving it: a second one finds it moved and inserts nothing.
 *
 * A notification must belong to a profile; these belong to the zero id, which no
 * profile has, so nothing that merges or erases a customer meets them.
 */

static const struct pg_statement silence_list_sql = {
    "silence_list",
    "SELECT source_id, last_accepted_at FROM source_health WHERE workspace_id = $1"
    " AND last_accepted_at IS DISTINCT FROM silence_told_of AND last_accepted_at IS NOT NULL",
};

static const struct pg_statement silence_alive_sql = {
    "silence_alive",
    "SELECT max(begun_at) FROM uptime",
};

/* Rows may be finer than our milliseconds. */
static const struct pg_statement silence_tell_sql = {
    "silence_tell",
    "WITH told AS (UPDATE source_health SET silence_told_of = last_accepted_at"
    " WHERE workspace_id = $1 AND source_id = $2 AND last_accepted_at < $3 + interval '1 ms'"
    " AND silence_told_of IS DISTINCT FROM last_accepted_at RETURNING source_id),"
    " rung AS (INSERT INTO notification (workspace_id, created_at, id, profile_id, topic,"
    " sequence, body) SELECT $1, $5, $4, $6, $7, 0, $8 FROM told"
    " ON CONFLICT (workspace_id, created_at, id) DO NOTHING RETURNING id)"
    " INSERT INTO delivery (workspace_id, id, notification_id, notification_created_at,"
    " subscription_id, profile_id, sequence, due_at)"
    " SELECT $1, d.id, r.id, $5, d.subscription_id, $6, 0, $9"
    " FROM rung r CROSS JOIN unnest($10::uuid[], $11::uuid[]) AS d (id, subscription_id)"
    " ON CONFLICT (workspace_id, id) DO NOTHING",
};

enum status silence_list(struct pg *pg, struct arena *arena, struct id workspace_id,
                         struct silence_row **out_rows, size_t *out_count, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    enum status status = pg_run(pg, arena, &silence_list_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct silence_row *rows = ARENA_NEW_ARRAY(arena, count, struct silence_row);
    if (rows == NULL && count > 0) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        rows[i] = (struct silence_row){ .source_id = pg_get_id(result, i, 0),
                                        .last_accepted_at_ms = pg_get_instant(result, i, 1) };
    }
    *out_rows = rows;
    *out_count = count;
    return STATUS_OK;
}

enum status silence_alive_since(struct pg *pg, struct arena *arena, int64_t *out_since_ms,
                                struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    enum status status = pg_run(pg, arena, &silence_alive_sql, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_since_ms = pg_get_instant(result, 0, 0);
    }
    return status;
}

enum status silence_tell(struct pg *pg, struct arena *arena, const struct silence_notice *notice,
                         int64_t now_ms, struct problem *problem)
{
    struct pg_params params;
    struct pg_array ids;
    pg_params_init(&params, arena);
    pg_put_id(&params, notice->workspace_id);
    pg_put_id(&params, notice->row.source_id);
    pg_put_instant(&params, notice->row.last_accepted_at_ms);
    pg_put_id(&params, notice->id);
    pg_put_instant(&params, notice->created_at_ms);
    pg_put_id(&params, ID_ZERO);
    pg_put_text(&params, notice->topic);
    pg_put_text(&params, notice->body);
    pg_put_instant(&params, now_ms);
    pg_array_begin(&ids, &params, PG_UUID, notice->subscription_count);
    for (size_t i = 0; i < notice->subscription_count; i++) {
        pg_array_id(&ids, delivery_id(notice->id, notice->subscription_ids[i]));
    }
    pg_array_end(&ids);
    pg_put_ids(&params, notice->subscription_ids, notice->subscription_count);
    return pg_run(pg, arena, &silence_tell_sql, &params, NULL, problem);
}
