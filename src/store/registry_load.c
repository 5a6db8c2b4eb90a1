#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/instant.h"
#include "registry_priv.h"

/*
 * How a snapshot is built: fourteen reads in one round trip, joined in memory.
 *
 * Problem: the parts must belong together (a source and its secrets, the
 * number that says how new all of it is), and one bad row must not stop the
 * program: a secret sealed under a lost master key, settings of a platform
 * that a newer version knew.
 *
 * Invariant: everything is read in one REPEATABLE READ transaction, so the
 * number is the number of exactly these rows. Children are ordered like their
 * parents, so one pass with a cursor joins them. Plain secrets are in the
 * vault and nowhere else: what the seal leaves in scratch memory is wiped.
 */

enum {
    /* 10,000 workspaces with 20 sources and subscriptions each, and as much
     * again: a workspace costs about 10 KiB. */
    SNAPSHOT_ARENA_BYTES = 256 * 1024 * 1024,
    SCRATCH_ARENA_BYTES = 256 * 1024,
};

#define NUMBER_COLUMNS                                                               \
    "coalesce(sum(config_version), 0)::bigint, count(*),"                            \
    " (SELECT coalesce(sum(hashtext(k.id::text)::bigint), 0)::bigint FROM api_key k" \
    "  WHERE k.workspace_id = '00000000-0000-0000-0000-000000000000')"

static const struct pg_statement registry_number = {
    "registry_number",
    "SELECT " NUMBER_COLUMNS " FROM workspace",
};

static const struct pg_statement registry_begin = {
    "registry_begin",
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
};

static const struct pg_statement registry_workspaces = {
    "registry_workspaces",
    "SELECT w.id, w.name, w.currency, w.time_zone, w.held_at IS NOT NULL, NOT EXISTS (SELECT 1"
    " FROM source s WHERE s.workspace_id = w.id AND s.deleted_at IS NULL"
    " AND NOT s.history_complete) FROM workspace w ORDER BY w.id",
};

static const struct pg_statement registry_sources = {
    "registry_sources",
    "SELECT workspace_id, id, name, platform, settings, deleted_at IS NOT NULL FROM source"
    " ORDER BY workspace_id, id",
};

static const struct pg_statement registry_source_secrets = {
    "registry_source_secrets",
    "SELECT workspace_id, source_id, id, sealed, shadow, expires_at, label FROM source_secret"
    " WHERE expires_at IS NULL OR expires_at > $1"
    " ORDER BY workspace_id, source_id, created_at DESC, id",
};

static const struct pg_statement registry_keys = {
    "registry_keys",
    "SELECT workspace_id, id, name, prefix, secret_hash, scopes, expires_at FROM api_key"
    " ORDER BY workspace_id, id",
};

static const struct pg_statement registry_subscriptions = {
    "registry_subscriptions",
    "SELECT workspace_id, id, name, url, topics,"
    " ARRAY(SELECT h.key || ': ' || h.value FROM jsonb_each_text(headers) h"
    "  WHERE h.value IS NOT NULL ORDER BY h.key),"
    " concurrency, timeout_ms, max_age_ms, status, filter, fields, format, channel, map, settings,"
    " ordering, batch_max, batch_wait_ms, rate_count, rate_per_ms, recheck, signature, masked"
    " FROM subscription"
    " ORDER BY workspace_id, id",
};

static const struct pg_statement registry_subscription_secrets = {
    "registry_subscription_secrets",
    "SELECT workspace_id, subscription_id, id, sealed, expires_at FROM subscription_secret"
    " WHERE expires_at IS NULL OR expires_at > $1"
    " ORDER BY workspace_id, subscription_id, created_at DESC, id",
};

/* In the order in which they are queued. */
enum {
    RESULT_BEGIN,
    RESULT_NUMBER,
    RESULT_WORKSPACES,
    RESULT_SOURCES,
    RESULT_SOURCE_SECRETS,
    RESULT_KEYS,
    RESULT_SUBSCRIPTIONS,
    RESULT_SUBSCRIPTION_SECRETS,
    RESULT_RULESETS,
    RESULT_STATISTICS,
    RESULT_BACKFILLS,
    RESULT_EXPOSURES,
    RESULT_SCHEMAS,
    RESULT_TRIGGERS,
    RESULT_CHANNEL_CAPS,
    RESULT_COMMIT,
    RESULT_COUNT,
};

/* What is at hand while a snapshot is built. */
struct loading {
    struct registry_snapshot *snapshot;
    struct arena *arena; /* the snapshot's */
    const struct seal *seal;
    registry_parse_source_fn *parse_source;
    const struct registry_snapshot *former; /* may be NULL */
    struct pg_result *results[RESULT_COUNT];
};

static struct registry_number number_of(const struct pg_result *rows)
{
    return (struct registry_number){
        .version_sum = pg_get_i64(rows, 0, 0),
        .workspace_count = pg_get_i64(rows, 0, 1),
        .instance_key_sum = pg_get_i64(rows, 0, 2),
    };
}

enum status registry_number_read(struct pg *pg, struct arena *arena,
                                 struct registry_number *out_number, struct problem *problem)
{
    struct pg_result *rows = NULL;
    enum status status = pg_run(pg, arena, &registry_number, NULL, &rows, problem);
    if (status == STATUS_OK) {
        *out_number = number_of(rows);
    }
    return status;
}

/* --- secrets -------------------------------------------------------------- */

static enum status vault_create(struct loading *loading)
{
    struct registry_snapshot *snapshot = loading->snapshot;
    const struct pg_result *of_sources = loading->results[RESULT_SOURCE_SECRETS];
    const struct pg_result *of_subscriptions = loading->results[RESULT_SUBSCRIPTION_SECRETS];
    size_t size = 1;
    for (size_t i = 0; i < pg_row_count(of_sources); i++) {
        size += pg_get_bytes(of_sources, i, 3).size;
    }
    for (size_t i = 0; i < pg_row_count(of_subscriptions); i++) {
        size += pg_get_bytes(of_subscriptions, i, 3).size;
    }
    snapshot->vault = sodium_malloc(size);
    if (snapshot->vault == NULL) {
        return STATUS_BROKEN;
    }
    snapshot->vault_size = size;
    return STATUS_OK;
}

/* A sealed text is longer than its plain one, so the vault has room. */
static struct str vault_put(struct registry_snapshot *snapshot, struct str plain)
{
    char *at = snapshot->vault + snapshot->vault_used;
    memcpy(at, plain.data, plain.size);
    snapshot->vault_used += plain.size;
    return (struct str){ at, plain.size };
}

/* *out_plain is empty when it does not open: counted, not an error. */
static enum status open_secret(struct loading *loading, const char *table, struct id id,
                               struct str sealed, struct str *out_plain)
{
    CLEANUP(arena_destroy_at) struct arena *scratch = arena_create(SCRATCH_ARENA_BYTES);
    if (scratch == NULL) {
        return STATUS_BROKEN;
    }
    struct str plain = { 0 };
    enum status status = seal_open(loading->seal, scratch, table, id, sealed, &plain);
    if (status != STATUS_OK || plain.size == 0) {
        loading->snapshot->unreadable_secret_count++;
        *out_plain = (struct str){ 0 };
        return STATUS_OK;
    }
    *out_plain = vault_put(loading->snapshot, plain);
    void *left = NULL;
    memcpy(&left, &plain.data, sizeof(left)); /* the scratch is ours to wipe */
    sodium_memzero(left, plain.size);
    return STATUS_OK;
}

static int64_t expiry_of(struct registry_snapshot *snapshot, const struct pg_result *rows,
                         size_t row, int column)
{
    int64_t expires_at_ms = pg_get_instant(rows, row, column);
    if (expires_at_ms == INSTANT_NONE) {
        return INSTANT_NEVER;
    }
    if (expires_at_ms < snapshot->stale_at_ms) {
        snapshot->stale_at_ms = expires_at_ms;
    }
    return expires_at_ms;
}

/* --- joining -------------------------------------------------------------- */

/* Rows [begin, end) of `rows`, ordered by its first two columns, that have
 * this parent. `*cursor` moves behind them. */
struct children {
    size_t begin;
    size_t end;
};

static int compare_parent(const struct pg_result *rows, size_t row, struct id workspace_id,
                          struct id parent_id)
{
    int order = id_compare(pg_get_id(rows, row, 0), workspace_id);
    return order != 0 ? order : id_compare(pg_get_id(rows, row, 1), parent_id);
}

static struct children children_of(const struct pg_result *rows, size_t *cursor,
                                   struct id workspace_id, struct id parent_id)
{
    size_t count = pg_row_count(rows);
    size_t begin = *cursor;
    while (begin < count && compare_parent(rows, begin, workspace_id, parent_id) < 0) {
        begin++;
    }
    size_t end = begin;
    while (end < count && compare_parent(rows, end, workspace_id, parent_id) == 0) {
        end++;
    }
    *cursor = end;
    return (struct children){ begin, end };
}

struct registry_workspace *registry_workspace_of(struct registry_snapshot *snapshot, size_t *cursor,
                                                 struct id workspace_id)
{
    while (*cursor < snapshot->workspace_count &&
           id_compare(snapshot->workspaces[*cursor].id, workspace_id) < 0) {
        (*cursor)++;
    }
    bool is_found = *cursor < snapshot->workspace_count &&
                    id_equal(snapshot->workspaces[*cursor].id, workspace_id);
    return is_found ? &snapshot->workspaces[*cursor] : NULL;
}

/* Texts of rows live as long as the rows, which are in the snapshot's arena;
 * only what must end in NUL is copied. */
static struct str copy_z(struct arena *arena, struct str text)
{
    const char *copy = str_dup_z(arena, text);
    return copy != NULL ? (struct str){ copy, text.size } : (struct str){ 0 };
}

/* --- the parts ------------------------------------------------------------ */

static enum status load_workspaces(struct loading *loading)
{
    struct registry_snapshot *snapshot = loading->snapshot;
    const struct pg_result *rows = loading->results[RESULT_WORKSPACES];
    size_t count = pg_row_count(rows);
    snapshot->workspaces = ARENA_NEW_ARRAY(loading->arena, count, struct registry_workspace);
    if (snapshot->workspaces == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        snapshot->workspaces[i] = (struct registry_workspace){
            .id = pg_get_id(rows, i, 0),
            .name = pg_get_text(rows, i, 1),
            .currency = pg_get_text(rows, i, 2),
            .time_zone = copy_z(loading->arena, pg_get_text(rows, i, 3)),
            .held = pg_get_bool(rows, i, 4),
            .knows_history = pg_get_bool(rows, i, 5),
        };
    }
    snapshot->workspace_count = count;
    return STATUS_OK;
}

static enum status load_source_secrets(struct loading *loading, struct source *source,
                                       struct children rows_of_source)
{
    const struct pg_result *rows = loading->results[RESULT_SOURCE_SECRETS];
    size_t count = rows_of_source.end - rows_of_source.begin;
    struct source_secret *secrets = ARENA_NEW_ARRAY(loading->arena, count, struct source_secret);
    if (secrets == NULL) {
        return STATUS_LIMIT;
    }
    size_t kept = 0;
    for (size_t row = rows_of_source.begin; row < rows_of_source.end; row++) {
        struct source_secret *secret = &secrets[kept];
        secret->id = pg_get_id(rows, row, 2);
        enum status status = open_secret(loading, SOURCE_SECRET_TABLE, secret->id,
                                         pg_get_bytes(rows, row, 3), &secret->value);
        if (status != STATUS_OK) {
            return status;
        }
        secret->label = str_dup(loading->arena, pg_get_text(rows, row, 6));
        secret->shadow = pg_get_bool(rows, row, 4);
        secret->expires_at_ms = expiry_of(loading->snapshot, rows, row, 5);
        kept += secret->value.size > 0 ? 1 : 0;
    }
    source->secrets = secrets;
    source->secret_count = kept;
    return STATUS_OK;
}

/* What does not parse keeps the workspace's values, and is counted. */
static enum status parse_settings(struct loading *loading, struct source *source)
{
    if (loading->parse_source == NULL) {
        return STATUS_OK;
    }
    struct source parsed = *source;
    enum status status = loading->parse_source(loading->arena, &parsed);
    if (status == STATUS_LIMIT && arena_is_full(loading->arena)) {
        return STATUS_LIMIT;
    }
    if (status == STATUS_OK) {
        *source = parsed;
    } else {
        loading->snapshot->unreadable_source_count++;
    }
    return STATUS_OK;
}

static enum status load_sources(struct loading *loading)
{
    struct registry_snapshot *snapshot = loading->snapshot;
    const struct pg_result *rows = loading->results[RESULT_SOURCES];
    size_t workspace_cursor = 0;
    size_t secret_cursor = 0;
    snapshot->sources = ARENA_NEW_ARRAY(loading->arena, pg_row_count(rows), struct source);
    if (snapshot->sources == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < pg_row_count(rows); i++) {
        struct id workspace_id = pg_get_id(rows, i, 0);
        struct registry_workspace *workspace =
            registry_workspace_of(snapshot, &workspace_cursor, workspace_id);
        if (workspace == NULL) {
            continue;
        }
        struct source *source = &snapshot->sources[snapshot->source_count++];
        *source = (struct source){
            .id = pg_get_id(rows, i, 1),
            .workspace_id = workspace_id,
            .name = pg_get_text(rows, i, 2),
            .platform = pg_get_text(rows, i, 3),
            .workspace_name = workspace->name,
            .currency = workspace->currency,
            .time_zone = workspace->time_zone,
            .settings_json = pg_get_jsonb(rows, i, 4),
            .deleted = pg_get_bool(rows, i, 5),
        };
        if (workspace->source_count++ == 0) {
            workspace->sources = source;
        }
        struct children secrets = children_of(loading->results[RESULT_SOURCE_SECRETS],
                                              &secret_cursor, workspace_id, source->id);
        enum status status = load_source_secrets(loading, source, secrets);
        if (status == STATUS_OK) {
            status = parse_settings(loading, source);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

static enum status load_keys(struct loading *loading)
{
    struct registry_snapshot *snapshot = loading->snapshot;
    const struct pg_result *rows = loading->results[RESULT_KEYS];
    size_t workspace_cursor = 0;
    snapshot->keys = ARENA_NEW_ARRAY(loading->arena, pg_row_count(rows), struct registry_key);
    if (snapshot->keys == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < pg_row_count(rows); i++) {
        struct id workspace_id = pg_get_id(rows, i, 0);
        const struct registry_workspace *workspace =
            registry_workspace_of(snapshot, &workspace_cursor, workspace_id);
        struct str hash = pg_get_bytes(rows, i, 4);
        bool is_instance = id_is_zero(workspace_id);
        if ((workspace == NULL && !is_instance) || hash.size != SEAL_HASH_SIZE) {
            continue;
        }
        struct str *scopes = NULL;
        size_t scope_count = pg_get_text_array(rows, loading->arena, i, 5, &scopes);
        struct registry_key *key = &snapshot->keys[snapshot->key_count++];
        int64_t expires_at_ms = pg_get_instant(rows, i, 6);
        *key = (struct registry_key){
            .principal = { .key_id = pg_get_id(rows, i, 1),
                           .workspace_id = workspace_id,
                           .workspace_name = is_instance ? ((struct str){ 0 }) : workspace->name,
                           .key_name = pg_get_text(rows, i, 2) },
            .prefix = pg_get_text(rows, i, 3),
            .expires_at_ms = expires_at_ms == INSTANT_NONE ? INSTANT_NEVER : expires_at_ms,
        };
        memcpy(key->secret_hash, hash.data, SEAL_HASH_SIZE);
        for (size_t s = 0; s < scope_count; s++) {
            key->principal.scopes |= access_scope_from_name(scopes[s]);
        }
    }
    return STATUS_OK;
}

static enum status load_subscription_secrets(struct loading *loading,
                                             struct registry_subscription *subscription,
                                             struct children rows_of_subscription)
{
    const struct pg_result *rows = loading->results[RESULT_SUBSCRIPTION_SECRETS];
    size_t count = rows_of_subscription.end - rows_of_subscription.begin;
    struct str *secrets = ARENA_NEW_ARRAY(loading->arena, count, struct str);
    if (secrets == NULL) {
        return STATUS_LIMIT;
    }
    size_t kept = 0;
    for (size_t row = rows_of_subscription.begin; row < rows_of_subscription.end; row++) {
        enum status status =
            open_secret(loading, SUBSCRIPTION_SECRET_TABLE, pg_get_id(rows, row, 2),
                        pg_get_bytes(rows, row, 3), &secrets[kept]);
        if (status != STATUS_OK) {
            return status;
        }
        (void)expiry_of(loading->snapshot, rows, row, 4);
        kept += secrets[kept].size > 0 ? 1 : 0;
    }
    subscription->secrets = secrets;
    subscription->secret_count = kept;
    return STATUS_OK;
}

/* Interests are one array, in the order of the rows: a workspace's are
 * neighbours. */
static void add_interest(struct registry_workspace *workspace,
                         struct subscription_interest *interest, struct id subscription_id,
                         const struct pg_result *rows, size_t row, struct arena *arena)
{
    struct str *topics = NULL;
    interest->topic_count = pg_get_text_array(rows, arena, row, 4, &topics);
    interest->topics = topics;
    interest->subscription_id = subscription_id;
    if (workspace->interest_count++ == 0) {
        workspace->interests = interest;
    }
}

static struct registry_subscription subscription_of(const struct pg_result *rows, size_t row,
                                                    struct arena *arena)
{
    struct str *header_lines = NULL;
    size_t header_count = pg_get_text_array(rows, arena, row, 5, &header_lines);
    struct str *schemes = NULL;
    size_t scheme_count = pg_get_text_array(rows, arena, row, 22, &schemes);
    return (struct registry_subscription){
        .id = pg_get_id(rows, row, 1),
        .workspace_id = pg_get_id(rows, row, 0),
        .name = pg_get_text(rows, row, 2),
        .url = pg_get_text(rows, row, 3),
        .header_lines = header_lines,
        .header_count = header_count,
        .concurrency = (uint32_t)pg_get_i64(rows, row, 6),
        .timeout_ms = pg_get_i64(rows, row, 7),
        .max_age_ms = pg_get_i64(rows, row, 8),
        .status = pg_get_text(rows, row, 9),
        .filter = pg_get_text(rows, row, 10),
        .fields = pg_get_text(rows, row, 11),
        .format = pg_get_text(rows, row, 12),
        .channel = pg_get_text(rows, row, 13),
        .map_json = pg_get_jsonb(rows, row, 14),
        .settings_json = pg_get_jsonb(rows, row, 15),
        .ordering = pg_get_text(rows, row, 16),
        .batch_max = (int32_t)pg_get_i64(rows, row, 17),
        .batch_wait_ms = pg_get_i64(rows, row, 18),
        .rate_count = (int32_t)pg_get_i64(rows, row, 19),
        .rate_per_ms = pg_get_i64(rows, row, 20),
        .recheck = pg_get_bool(rows, row, 21),
        .signature = schemes,
        .signature_count = scheme_count,
        .is_masked = pg_get_bool(rows, row, 23),
    };
}

static enum status load_subscriptions(struct loading *loading)
{
    struct registry_snapshot *snapshot = loading->snapshot;
    const struct pg_result *rows = loading->results[RESULT_SUBSCRIPTIONS];
    size_t count = pg_row_count(rows);
    size_t workspace_cursor = 0;
    size_t secret_cursor = 0;
    struct subscription_interest *interest =
        ARENA_NEW_ARRAY(loading->arena, count, struct subscription_interest);
    snapshot->subscriptions = ARENA_NEW_ARRAY(loading->arena, count, struct registry_subscription);
    if (interest == NULL || snapshot->subscriptions == NULL) {
        return STATUS_LIMIT;
    }
    snapshot->interests = interest;
    for (size_t i = 0; i < count; i++) {
        struct registry_workspace *workspace =
            registry_workspace_of(snapshot, &workspace_cursor, pg_get_id(rows, i, 0));
        if (workspace == NULL) {
            continue;
        }
        struct registry_subscription *subscription =
            &snapshot->subscriptions[snapshot->subscription_count++];
        *subscription = subscription_of(rows, i, loading->arena);
        /* What is rung while one is paused waits for it. */
        if (str_equal_z(subscription->status, "active") ||
            str_equal_z(subscription->status, "paused")) {
            interest->way = (struct delivery_way){
                .is_ordered = str_equal_z(subscription->ordering, "profile"),
                .is_batched = subscription->batch_max > 0,
                .max_age_ms = subscription->max_age_ms,
            };
            add_interest(workspace, interest++, subscription->id, rows, i, loading->arena);
            snapshot->interest_count++;
        }
        struct children secrets = children_of(loading->results[RESULT_SUBSCRIPTION_SECRETS],
                                              &secret_cursor, workspace->id, subscription->id);
        enum status status = load_subscription_secrets(loading, subscription, secrets);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

/* --- tables --------------------------------------------------------------- */

static bool table_create(struct arena *arena, size_t count, struct registry_table *table)
{
    size_t size = 2;
    while (size < count * 2) {
        size *= 2;
    }
    table->mask = size - 1;
    table->slots = ARENA_NEW_ARRAY(arena, size, const void *);
    return table->slots != NULL;
}

static void table_put(struct registry_table *table, struct str key, const void *object)
{
    size_t i = hash64(key, 0) & table->mask;
    while (table->slots[i] != NULL) {
        i = (i + 1) & table->mask;
    }
    table->slots[i] = object;
}

static struct str id_bytes(const struct id *id)
{
    return (struct str){ (const char *)id->bytes, ID_SIZE };
}

static enum status load_tables(struct registry_snapshot *snapshot, struct arena *arena)
{
    if (!table_create(arena, snapshot->workspace_count, &snapshot->workspace_table) ||
        !table_create(arena, snapshot->source_count, &snapshot->source_table) ||
        !table_create(arena, snapshot->subscription_count, &snapshot->subscription_table) ||
        !table_create(arena, snapshot->key_count, &snapshot->key_table)) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < snapshot->workspace_count; i++) {
        const struct registry_workspace *workspace = &snapshot->workspaces[i];
        table_put(&snapshot->workspace_table, id_bytes(&workspace->id), workspace);
    }
    for (size_t i = 0; i < snapshot->source_count; i++) {
        const struct source *source = &snapshot->sources[i];
        table_put(&snapshot->source_table, id_bytes(&source->id), source);
    }
    for (size_t i = 0; i < snapshot->subscription_count; i++) {
        const struct registry_subscription *subscription = &snapshot->subscriptions[i];
        table_put(&snapshot->subscription_table, id_bytes(&subscription->id), subscription);
    }
    for (size_t i = 0; i < snapshot->key_count; i++) {
        table_put(&snapshot->key_table, snapshot->keys[i].prefix, &snapshot->keys[i]);
    }
    return STATUS_OK;
}

/* --- all of it ------------------------------------------------------------ */

static enum status read_rows(struct pg *pg, struct loading *loading, int64_t now_ms,
                             struct problem *problem)
{
    static const struct pg_statement *const statements[RESULT_COUNT] = {
        [RESULT_BEGIN] = &registry_begin,
        [RESULT_NUMBER] = &registry_number,
        [RESULT_WORKSPACES] = &registry_workspaces,
        [RESULT_SOURCES] = &registry_sources,
        [RESULT_SOURCE_SECRETS] = &registry_source_secrets,
        [RESULT_KEYS] = &registry_keys,
        [RESULT_SUBSCRIPTIONS] = &registry_subscriptions,
        [RESULT_SUBSCRIPTION_SECRETS] = &registry_subscription_secrets,
        [RESULT_RULESETS] = &registry_rulesets_sql,
        [RESULT_STATISTICS] = &registry_statistics_sql,
        [RESULT_BACKFILLS] = &registry_backfills_sql,
        [RESULT_EXPOSURES] = &registry_exposures_sql,
        [RESULT_SCHEMAS] = &registry_schemas_sql,
        [RESULT_TRIGGERS] = &registry_triggers_sql,
        [RESULT_CHANNEL_CAPS] = &registry_channel_caps_sql,
        [RESULT_COMMIT] = &pg_commit,
    };
    struct pg_params now;
    pg_params_init(&now, loading->arena);
    pg_put_instant(&now, now_ms);
    for (size_t i = 0; i < RESULT_COUNT; i++) {
        bool wants_now = i == RESULT_SOURCE_SECRETS || i == RESULT_SUBSCRIPTION_SECRETS;
        /* A failure is remembered by the queue and told by the sync. */
        (void)!pg_queue(pg, statements[i], wants_now ? &now : NULL);
    }
    enum status status = pg_sync(pg, loading->arena, loading->results, RESULT_COUNT, problem);
    pg_reset(pg);
    return status;
}

static enum status load_statistics(struct loading *loading)
{
    return registry_statistics_load(loading->results[RESULT_STATISTICS], loading->snapshot);
}

static enum status load_backfills(struct loading *loading)
{
    return registry_backfills_load(loading->results[RESULT_BACKFILLS], loading->snapshot);
}

static enum status load_exposures(struct loading *loading)
{
    return registry_exposures_load(loading->results[RESULT_EXPOSURES], loading->snapshot);
}

static enum status load_schemas(struct loading *loading)
{
    return registry_schemas_load(loading->results[RESULT_SCHEMAS], loading->former,
                                 loading->snapshot);
}

static enum status attach_rules(struct loading *loading)
{
    return registry_rules_attach(loading->snapshot);
}

static enum status load_choices(struct loading *loading)
{
    return registry_choices_load(loading->snapshot);
}

static enum status load_triggers(struct loading *loading)
{
    return registry_triggers_load(loading->results[RESULT_TRIGGERS], loading->snapshot);
}

static enum status load_channel_caps(struct loading *loading)
{
    return registry_channel_caps_load(loading->results[RESULT_CHANNEL_CAPS], loading->snapshot);
}

static enum status build(struct loading *loading)
{
    static enum status (*const steps[])(struct loading *) = {
        vault_create,    load_workspaces, load_sources,      load_keys,    load_subscriptions,
        load_statistics, load_backfills,  load_exposures,    load_schemas, attach_rules,
        load_choices,    load_triggers,   load_channel_caps,
    };
    loading->snapshot->number = number_of(loading->results[RESULT_NUMBER]);
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        enum status status = steps[i](loading);
        if (status != STATUS_OK) {
            return status;
        }
    }
    enum status status = load_tables(loading->snapshot, loading->arena);
    return status == STATUS_OK && arena_is_full(loading->arena) ? STATUS_LIMIT : status;
}

enum status registry_load(const struct registry_inputs *from, int64_t now_ms,
                          struct registry_snapshot **out_snapshot, struct problem *problem)
{
    struct registry_snapshot *snapshot = calloc(1, sizeof(*snapshot));
    struct arena *arena = arena_create(SNAPSHOT_ARENA_BYTES);
    if (snapshot == NULL || arena == NULL) {
        free(snapshot);
        arena_destroy(arena);
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory for the registry");
    }
    snapshot->self = snapshot;
    snapshot->arena = arena;
    snapshot->reference_count = 1;
    snapshot->stale_at_ms = INSTANT_NEVER;
    struct loading loading = {
        .snapshot = snapshot,
        .arena = arena,
        .seal = from->seal,
        .parse_source = from->parse_source,
        .former = from->former,
    };
    enum status status = read_rows(from->pg, &loading, now_ms, problem);
    if (status == STATUS_OK) {
        status = registry_rules_load(from->pg, loading.results[RESULT_RULESETS], from->former,
                                     snapshot, problem);
    }
    if (status == STATUS_OK) {
        status = build(&loading);
        if (status != STATUS_OK) {
            (void)problem_set(problem, status, "limit-reached",
                              "the configuration does not fit into memory");
        }
    }
    if (status != STATUS_OK) {
        registry_snapshot_destroy(snapshot);
        return status;
    }
    *out_snapshot = snapshot;
    return STATUS_OK;
}

void registry_snapshot_destroy(struct registry_snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->rules_count; i++) {
        registry_rules_release(snapshot->rules[i]);
    }
    registry_schemas_release(snapshot);
    sodium_free(snapshot->vault);
    arena_destroy(snapshot->arena);
    free(snapshot);
}
