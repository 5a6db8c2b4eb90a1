#include "store/api_key.h"

/*
 * API keys.
 *
 * Invariant: the row never holds what opens the door. The prefix finds it, the
 * keyed hash recognises it; who steals the table cannot call, who steals the
 * master key as well still has to guess 190 bits.
 */

#define API_KEY_COLUMNS                                                           \
    "workspace_id, id, name, prefix, scopes, max_topics, max_fields, created_at," \
    " expires_at, last_used_at"

static const struct pg_statement api_key_insert_sql = {
    "api_key_insert",
    "INSERT INTO api_key (workspace_id, id, name, prefix, secret_hash, scopes, max_topics,"
    " max_fields, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
};

static const struct pg_statement api_key_find_sql = {
    "api_key_find",
    "SELECT " API_KEY_COLUMNS " FROM api_key WHERE workspace_id = $1 AND (id = $2 OR name = $3)",
};

static const struct pg_statement api_key_list_sql = {
    "api_key_list",
    "SELECT " API_KEY_COLUMNS " FROM api_key WHERE workspace_id = $1 AND name > $2"
    " ORDER BY name LIMIT $3",
};

static const struct pg_statement api_key_count_sql = {
    "api_key_count",
    "SELECT count(*) FROM api_key WHERE workspace_id = $1",
};

static const struct pg_statement api_key_delete_sql = {
    "api_key_delete",
    "DELETE FROM api_key WHERE workspace_id = $1 AND id = $2",
};

static const struct pg_statement api_key_touch_sql = {
    "api_key_touch",
    "UPDATE api_key k SET last_used_at = u.at"
    " FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS u(workspace_id, id, at)"
    " WHERE k.workspace_id = u.workspace_id AND k.id = u.id",
};

static struct api_key api_key_row(const struct pg_result *result, struct arena *arena, size_t row)
{
    struct api_key key = {
        .workspace_id = pg_get_id(result, row, 0),
        .id = pg_get_id(result, row, 1),
        .name = pg_get_text(result, row, 2),
        .prefix = pg_get_text(result, row, 3),
        .max_fields = pg_get_text(result, row, 6),
        .created_at_ms = pg_get_instant(result, row, 7),
        .expires_at_ms = pg_get_instant(result, row, 8),
        .last_used_at_ms = pg_get_instant(result, row, 9),
    };
    struct str *scopes = NULL;
    struct str *topics = NULL;
    key.scope_count = pg_get_text_array(result, arena, row, 4, &scopes);
    key.max_topic_count = pg_get_text_array(result, arena, row, 5, &topics);
    key.scopes = scopes;
    key.max_topics = topics;
    return key;
}

enum status api_key_insert(struct pg *pg, struct arena *arena, const struct api_key *key,
                           struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, key->workspace_id);
    pg_put_id(&params, key->id);
    pg_put_text(&params, key->name);
    pg_put_text(&params, key->prefix);
    pg_put_bytes(&params, key->secret_hash);
    pg_put_text_array(&params, key->scopes, key->scope_count);
    /* An empty list is no limit: a key that may ask for nothing has no use. */
    pg_put_text_array(&params, key->max_topics, key->max_topic_count);
    pg_put_text_or_null(&params, key->max_fields);
    pg_put_instant(&params, key->created_at_ms);
    pg_put_instant(&params, key->expires_at_ms);
    return pg_run(pg, arena, &api_key_insert_sql, &params, NULL, problem);
}

enum status api_key_find(struct pg *pg, struct arena *arena, struct id workspace_id,
                         struct str name_or_id, struct api_key *out_key, struct problem *problem)
{
    struct id id = ID_ZERO;
    (void)id_parse(name_or_id, &id);
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id_or_null(&params, id);
    pg_put_text(&params, name_or_id);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &api_key_find_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (pg_row_count(result) == 0) {
        return STATUS_MISSING;
    }
    *out_key = api_key_row(result, arena, 0);
    return STATUS_OK;
}

enum status api_key_list(struct pg *pg, struct arena *arena, struct id workspace_id,
                         struct str after, size_t limit, struct api_key **out_keys,
                         size_t *out_count, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_text(&params, after);
    pg_put_i64(&params, (int64_t)limit);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &api_key_list_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct api_key *keys = ARENA_NEW_ARRAY(arena, count, struct api_key);
    if (keys == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        keys[i] = api_key_row(result, arena, i);
    }
    *out_keys = keys;
    *out_count = count;
    return STATUS_OK;
}

enum status api_key_count(struct pg *pg, struct arena *arena, struct id workspace_id,
                          int64_t *out_count, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &api_key_count_sql, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_count = pg_get_i64(result, 0, 0);
    }
    return status;
}

enum status api_key_delete(struct pg *pg, struct arena *arena, struct id workspace_id,
                           struct id key_id, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, key_id);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &api_key_delete_sql, &params, &result, problem);
    if (status == STATUS_OK && pg_affected(result) == 0) {
        return STATUS_MISSING;
    }
    return status;
}

enum status api_key_touch(struct pg *pg, struct arena *arena, const struct api_key_use *uses,
                          size_t count, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    struct pg_array array;
    pg_array_begin(&array, &params, PG_UUID, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_id(&array, uses[i].workspace_id);
    }
    pg_array_end(&array);
    pg_array_begin(&array, &params, PG_UUID, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_id(&array, uses[i].key_id);
    }
    pg_array_end(&array);
    pg_array_begin(&array, &params, PG_INSTANT, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_instant(&array, uses[i].at_ms);
    }
    pg_array_end(&array);
    return pg_run(pg, arena, &api_key_touch_sql, &params, NULL, problem);
}
