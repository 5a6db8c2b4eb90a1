#include "store/workspace.h"

#include "base/instant.h"
#include "base/limits.h"

/*
 * Workspaces.
 *
 * Problem: the name is what people write and the id what rows hold, so both
 * must find the row. A name begins with a letter and has no dash, an id has
 * four, so one parameter serves both without doubt. Rejected: two routes, or
 * a lookup of the name in a cache that may be a quarter of a second old.
 */

#define WORKSPACE_COLUMNS                                                              \
    "id, name, title, currency, time_zone, created_at, updated_at, held_at,"           \
    " held_reason, back_in_stock_min, price_change_percent, price_change_amount,"      \
    " catalogue_quiet_ms, ARRAY(SELECT c.channel || '/' || c.count || '/' || c.per_ms" \
    "  FROM channel_cap c WHERE c.workspace_id = workspace.id ORDER BY c.channel)"

static const struct pg_statement workspace_insert_sql = {
    "workspace_insert",
    "INSERT INTO workspace (id, name, title, currency, time_zone, created_at, updated_at,"
    " back_in_stock_min, price_change_percent, price_change_amount, catalogue_quiet_ms)"
    " VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $8, $9, $10)",
};

static const struct pg_statement workspace_find_sql = {
    "workspace_find",
    "SELECT " WORKSPACE_COLUMNS " FROM workspace WHERE id = $1 OR name = $2",
};

static const struct pg_statement workspace_list_sql = {
    "workspace_list",
    "SELECT " WORKSPACE_COLUMNS " FROM workspace WHERE name > $1 ORDER BY name LIMIT $2",
};

static const struct pg_statement workspace_count_sql = {
    "workspace_count",
    "SELECT count(*) FROM workspace",
};

static const struct pg_statement workspace_update_sql = {
    "workspace_update",
    "UPDATE workspace SET title = $2, time_zone = $3, updated_at = $4, back_in_stock_min = $5,"
    " price_change_percent = $6, price_change_amount = $7, catalogue_quiet_ms = $8 WHERE id = $1",
};

static const struct pg_statement workspace_caps_clear_sql = {
    "workspace_caps_clear",
    "DELETE FROM channel_cap WHERE workspace_id = $1",
};

static const struct pg_statement workspace_caps_insert_sql = {
    "workspace_caps_insert",
    "INSERT INTO channel_cap (workspace_id, channel, count, per_ms) SELECT $1, u.* FROM"
    " unnest($2::text[], $3::bigint[], $4::bigint[]) AS u",
};

/* Held already: since then, whatever the new reason. */
static const struct pg_statement workspace_hold_sql = {
    "workspace_hold",
    "UPDATE workspace SET held_at = coalesce(held_at, $2), held_reason = $3, updated_at = $2"
    " WHERE id = $1",
};

static const struct pg_statement workspace_release_sql = {
    "workspace_release",
    "UPDATE workspace SET held_at = NULL, held_reason = NULL, updated_at = $2 WHERE id = $1"
    " AND held_at IS NOT NULL",
};

static const struct pg_statement workspace_touch_sql = {
    "workspace_touch",
    "UPDATE workspace SET config_version = config_version + 1 WHERE id = $1",
};

static const struct pg_statement workspace_touch_first_sql = {
    "workspace_touch_first",
    "UPDATE workspace SET config_version = config_version + 1"
    " WHERE id = (SELECT id FROM workspace ORDER BY id LIMIT 1)",
};

/* "email/2/86400000" */
static struct workspace_cap cap_of(struct str text)
{
    struct workspace_cap cap = { .count = 0 };
    struct str rest = { NULL, 0 };
    struct str count = { NULL, 0 };
    struct str per_ms = { NULL, 0 };
    (void)str_split(text, '/', &cap.channel, &rest);
    (void)str_split(rest, '/', &count, &per_ms);
    (void)str_to_i64(count, &cap.count);
    (void)str_to_i64(per_ms, &cap.per_ms);
    return cap;
}

static struct workspace workspace_row(const struct pg_result *result, struct arena *arena,
                                      size_t row)
{
    struct str *texts = NULL;
    struct workspace workspace = {
        .id = pg_get_id(result, row, 0),
        .name = pg_get_text(result, row, 1),
        .title = pg_get_text(result, row, 2),
        .currency = pg_get_text(result, row, 3),
        .time_zone = pg_get_text(result, row, 4),
        .created_at_ms = pg_get_instant(result, row, 5),
        .updated_at_ms = pg_get_instant(result, row, 6),
        .held_at_ms = pg_get_instant(result, row, 7),
        .held_reason = pg_get_text(result, row, 8),
        .catalogue = {
            .back_in_stock_min = pg_get_i64(result, row, 9),
            .price_percent_hundredths = pg_get_i64(result, row, 10),
            .price_amount_hundredths = pg_get_i64(result, row, 11),
            .quiet_ms = pg_get_i64(result, row, 12),
        },
    };
    size_t count = pg_get_text_array(result, arena, row, 13, &texts);
    for (size_t i = 0; i < count && i < ARRAY_COUNT(workspace.caps); i++) {
        workspace.caps[workspace.cap_count++] = cap_of(texts[i]);
    }
    return workspace;
}

static void put_catalogue(struct pg_params *params, const struct catalogue_settings *settings)
{
    pg_put_i64(params, settings->back_in_stock_min);
    pg_put_i64(params, settings->price_percent_hundredths);
    pg_put_i64(params, settings->price_amount_hundredths);
    pg_put_i64(params, settings->quiet_ms);
}

enum status workspace_insert(struct pg *pg, struct arena *arena, const struct workspace *workspace,
                             struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace->id);
    pg_put_text(&params, workspace->name);
    pg_put_text(&params, workspace->title);
    pg_put_text(&params, workspace->currency);
    pg_put_text(&params, workspace->time_zone);
    pg_put_instant(&params, workspace->created_at_ms);
    put_catalogue(&params, &workspace->catalogue);
    return pg_run(pg, arena, &workspace_insert_sql, &params, NULL, problem);
}

enum status workspace_find(struct pg *pg, struct arena *arena, struct str name_or_id,
                           struct workspace *out_workspace, struct problem *problem)
{
    struct id id = ID_ZERO;
    (void)id_parse(name_or_id, &id);
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id_or_null(&params, id);
    pg_put_text(&params, name_or_id);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &workspace_find_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (pg_row_count(result) == 0) {
        return STATUS_MISSING;
    }
    *out_workspace = workspace_row(result, arena, 0);
    return STATUS_OK;
}

enum status workspace_list(struct pg *pg, struct arena *arena, struct str after, size_t limit,
                           struct workspace **out_workspaces, size_t *out_count,
                           struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_text(&params, after);
    pg_put_i64(&params, (int64_t)limit);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &workspace_list_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct workspace *workspaces = ARENA_NEW_ARRAY(arena, count, struct workspace);
    if (workspaces == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        workspaces[i] = workspace_row(result, arena, i);
    }
    *out_workspaces = workspaces;
    *out_count = count;
    return STATUS_OK;
}

enum status workspace_count(struct pg *pg, struct arena *arena, int64_t *out_count,
                            struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &workspace_count_sql, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_count = pg_get_i64(result, 0, 0);
    }
    return status;
}

enum status workspace_update(struct pg *pg, struct arena *arena, const struct workspace *workspace,
                             struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace->id);
    pg_put_text(&params, workspace->title);
    pg_put_text(&params, workspace->time_zone);
    pg_put_instant(&params, workspace->updated_at_ms);
    put_catalogue(&params, &workspace->catalogue);
    return pg_run(pg, arena, &workspace_update_sql, &params, NULL, problem);
}

enum status workspace_set_caps(struct pg *pg, struct arena *arena,
                               const struct workspace *workspace, struct problem *problem)
{
    struct pg_params params;
    struct pg_array c[3];
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace->id);
    enum status status = pg_run(pg, arena, &workspace_caps_clear_sql, &params, NULL, problem);
    if (status != STATUS_OK || workspace->cap_count == 0) {
        return status;
    }
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace->id);
    pg_array_begin(&c[0], &params, PG_TEXT, workspace->cap_count);
    pg_array_begin(&c[1], &params, PG_INT8, workspace->cap_count);
    pg_array_begin(&c[2], &params, PG_INT8, workspace->cap_count);
    for (size_t i = 0; i < workspace->cap_count; i++) {
        pg_array_text(&c[0], workspace->caps[i].channel);
        pg_array_i64(&c[1], workspace->caps[i].count);
        pg_array_i64(&c[2], workspace->caps[i].per_ms);
    }
    for (size_t i = 0; i < ARRAY_COUNT(c); i++) {
        pg_array_end(&c[i]);
    }
    return pg_run(pg, arena, &workspace_caps_insert_sql, &params, NULL, problem);
}

enum status workspace_hold(struct pg *pg, struct arena *arena, struct id workspace_id,
                           struct str reason, int64_t now_ms, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_instant(&params, now_ms);
    pg_put_text_or_null(&params, reason);
    return pg_run(pg, arena, &workspace_hold_sql, &params, NULL, problem);
}

enum status workspace_release(struct pg *pg, struct arena *arena, struct id workspace_id,
                              int64_t now_ms, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_instant(&params, now_ms);
    return pg_run(pg, arena, &workspace_release_sql, &params, NULL, problem);
}

enum status workspace_touch(struct pg *pg, struct arena *arena, struct id workspace_id,
                            struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    if (id_is_zero(workspace_id)) {
        return pg_run(pg, arena, &workspace_touch_first_sql, &params, NULL, problem);
    }
    pg_put_id(&params, workspace_id);
    return pg_run(pg, arena, &workspace_touch_sql, &params, NULL, problem);
}
