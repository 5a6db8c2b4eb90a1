#include "base/instant.h"
#include "profile_read_priv.h"

/*
 * Profiles as they are answered.
 *
 * Problem: lists must cost the same on page 1 and page 10,000, so a page
 * begins behind a key and never skips rows; and every order by which a list
 * can be asked has an index that gives it. One statement per order and filter
 * with an index of its own; the seldom filters are plain conditions. Rejected:
 * one statement with optional conditions, whose generic plan reads the table.
 *
 * A lifecycle stage's profiles are the members of a rule's value, and listed as such: an
 * index over profile.lifecycle would hold the same once more, and every change of a stage
 * would write both.
 */

#define PROFILE_LIST                                                  \
    "SELECT " PROFILE_COLUMNS " FROM profile WHERE workspace_id = $1" \
    " AND merged_into IS NULL"

#define PROFILE_FILTER                              \
    " AND ($2::boolean IS NULL OR identified = $2)" \
    " AND ($3::timestamptz IS NULL OR updated_at >= $3)"

/* The day first: it is what the index holds; within a day rows are sorted. */
#define PROFILE_SEEN "last_seen_day, last_seen_at, id"

static const struct pg_statement profile_canonical_sql = {
    "profile_canonical",
    "WITH RECURSIVE chain(id, merged_into, depth) AS ("
    "SELECT p.id, p.merged_into, 0 FROM profile p WHERE p.workspace_id = $1 AND p.id = $2"
    " UNION ALL SELECT p.id, p.merged_into, c.depth + 1 FROM chain c"
    " JOIN profile p ON p.workspace_id = $1 AND p.id = c.merged_into WHERE c.depth < 200)"
    " SELECT id FROM chain WHERE merged_into IS NULL",
};

static const struct pg_statement profile_origins_sql = {
    "profile_origins",
    "WITH RECURSIVE tree(id) AS (SELECT $2::uuid UNION SELECT p.id FROM tree t"
    " JOIN profile p ON p.workspace_id = $1 AND p.merged_into = t.id)"
    " SELECT id FROM tree LIMIT 1000",
};

static const struct pg_statement profile_read_sql = {
    "profile_read",
    "SELECT " PROFILE_COLUMNS " FROM profile WHERE workspace_id = $1 AND id = $2",
};

static const struct pg_statement profile_lookup_sql = {
    "profile_lookup",
    "SELECT profile_id FROM identity WHERE workspace_id = $1 AND kind = $2 AND source_id = $3"
    " AND value = $4",
};

static const struct pg_statement profile_identities_sql = {
    "profile_identities",
    "SELECT i.kind, i.value, s.name, i.trust, i.first_seen_at FROM unnest($2::uuid[]) AS o(id)"
    " JOIN identity i ON i.workspace_id = $1 AND i.profile_id = o.id"
    " LEFT JOIN source s ON s.workspace_id = $1 AND s.id = i.source_id"
    " ORDER BY i.first_seen_at, i.kind, i.value LIMIT 1000",
};

static const struct pg_statement profile_page_created_up_sql = {
    "profile_page_created_up",
    PROFILE_LIST PROFILE_FILTER " AND id > $4 ORDER BY id LIMIT $5",
};

static const struct pg_statement profile_page_created_down_sql = {
    "profile_page_created_down",
    PROFILE_LIST PROFILE_FILTER " AND id < $4 ORDER BY id DESC LIMIT $5",
};

#define STAGE_MEMBERS                                                                    \
    "SELECT profile_id FROM membership WHERE workspace_id = $1 AND rule_id = (SELECT id" \
    " FROM rule WHERE workspace_id = $1 AND kind = 'lifecycle')"

static const struct pg_statement profile_page_stage_up_sql = {
    "profile_page_stage_up",
    "SELECT p.* FROM (" STAGE_MEMBERS " AND value = $6 AND profile_id > $4 ORDER BY profile_id) m"
    " CROSS JOIN LATERAL (" PROFILE_LIST PROFILE_FILTER " AND lifecycle = $6"
    " AND id = m.profile_id OFFSET 0) p ORDER BY m.profile_id LIMIT $5",
};

static const struct pg_statement profile_page_stage_down_sql = {
    "profile_page_stage_down",
    "SELECT p.* FROM (" STAGE_MEMBERS " AND value = $6 AND profile_id < $4"
    " ORDER BY profile_id DESC) m"
    " CROSS JOIN LATERAL (" PROFILE_LIST PROFILE_FILTER " AND lifecycle = $6"
    " AND id = m.profile_id OFFSET 0) p ORDER BY m.profile_id DESC LIMIT $5",
};

static const struct pg_statement profile_page_seen_up_sql = {
    "profile_page_seen_up",
    PROFILE_LIST PROFILE_FILTER " AND ($6::text IS NULL OR lifecycle = $6)"
                                " AND last_seen_day >= ($7::timestamptz AT TIME ZONE 'UTC')::date"
                                " AND (last_seen_at, id) > ($7, $4)"
                                " ORDER BY " PROFILE_SEEN " LIMIT $5",
};

static const struct pg_statement profile_page_seen_down_sql = {
    "profile_page_seen_down",
    PROFILE_LIST PROFILE_FILTER " AND ($6::text IS NULL OR lifecycle = $6)"
                                " AND last_seen_day <= ($7::timestamptz AT TIME ZONE 'UTC')::date"
                                " AND (last_seen_at, id) < ($7, $4)"
                                " ORDER BY last_seen_day DESC, last_seen_at DESC, id DESC LIMIT $5",
};

#define SEEN_OR_ANY " AND (NOT $5 OR last_seen_at IS NOT NULL)"

static const struct pg_statement profile_count_sql = {
    "profile_count",
    "SELECT count(*) FROM (SELECT 1 FROM profile WHERE workspace_id = $1"
    " AND merged_into IS NULL" PROFILE_FILTER SEEN_OR_ANY " LIMIT $4) AS counted",
};

static const struct pg_statement profile_count_stage_sql = {
    "profile_count_stage",
    "SELECT count(*) FROM (SELECT 1 FROM (" STAGE_MEMBERS " AND value = $6) m"
    " CROSS JOIN LATERAL (SELECT 1 FROM profile WHERE workspace_id = $1 AND id = m.profile_id"
    " AND merged_into IS NULL AND lifecycle = $6" PROFILE_FILTER SEEN_OR_ANY " OFFSET 0) p"
    " LIMIT $4) AS counted",
};

struct profile_view profile_row(const struct pg_result *result, struct arena *arena, size_t row)
{
    struct str *tags = NULL;
    struct str *segments = NULL;
    size_t tag_count = pg_get_text_array(result, arena, row, 24, &tags);
    size_t segment_count = pg_get_text_array(result, arena, row, 25, &segments);
    return (struct profile_view){
        .id = pg_get_id(result, row, 0),
        .sequence = pg_get_i64(result, row, 1),
        .created_at_ms = pg_get_instant(result, row, 2),
        .updated_at_ms = pg_get_instant(result, row, 3),
        .first_seen_at_ms = pg_get_instant(result, row, 4),
        .last_seen_at_ms = pg_get_instant(result, row, 5),
        .signed_up_at_ms = pg_get_instant(result, row, 6),
        .identified = pg_get_bool(result, row, 7),
        .email = pg_get_text(result, row, 8),
        .phone = pg_get_text(result, row, 9),
        .external_id = pg_get_text(result, row, 10),
        .lifecycle = pg_get_text(result, row, 11),
        .lifecycle_since_ms = pg_get_instant(result, row, 12),
        .orders_count = pg_get_i64(result, row, 13),
        .orders_foreign_count = pg_get_i64(result, row, 14),
        .orders_gross_minor = pg_get_i64(result, row, 15),
        .orders_refunded_minor = pg_get_i64(result, row, 16),
        .orders_largest_minor = pg_get_i64(result, row, 17),
        .orders_first_at_ms = pg_get_instant(result, row, 18),
        .orders_last_at_ms = pg_get_instant(result, row, 19),
        .traits_json = pg_get_jsonb(result, row, 20),
        .preferences_json = pg_get_jsonb(result, row, 21),
        .consent_json = pg_get_jsonb(result, row, 22),
        .cart_json =
            pg_is_null(result, row, 23) ? (struct str){ NULL, 0 } : pg_get_jsonb(result, row, 23),
        .tags = tags,
        .tag_count = tag_count,
        .segments = segments,
        .segment_count = segment_count,
        .tiers_json = pg_get_jsonb(result, row, 26),
        .ruleset_version = pg_get_i64(result, row, 27),
        .statistics_version = pg_get_i64(result, row, 28),
        .state = pg_get_bytes(result, row, 29),
    };
}

/* Runs a statement over (workspace, id) that gives ids. */
static enum status ids_read(struct pg *pg, struct arena *arena,
                            const struct pg_statement *statement, struct id workspace_id,
                            struct id id, struct pg_result **out_result, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, id);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, statement, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (pg_row_count(result) == 0) {
        return STATUS_MISSING;
    }
    *out_result = result;
    return STATUS_OK;
}

enum status profile_canonical(struct pg *pg, struct arena *arena, struct id workspace_id,
                              struct id profile_id, struct id *out_canonical,
                              struct problem *problem)
{
    struct pg_result *result = NULL;
    enum status status =
        ids_read(pg, arena, &profile_canonical_sql, workspace_id, profile_id, &result, problem);
    if (status == STATUS_OK) {
        *out_canonical = pg_get_id(result, 0, 0);
    }
    return status;
}

enum status profile_origins(struct pg *pg, struct arena *arena, struct id workspace_id,
                            struct id canonical_id, struct id **out_ids, size_t *out_count,
                            struct problem *problem)
{
    struct pg_result *result = NULL;
    enum status status =
        ids_read(pg, arena, &profile_origins_sql, workspace_id, canonical_id, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct id *ids = ARENA_NEW_ARRAY(arena, count, struct id);
    if (ids == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        ids[i] = pg_get_id(result, i, 0);
    }
    *out_ids = ids;
    *out_count = count;
    return STATUS_OK;
}

enum status profile_read(struct pg *pg, struct arena *arena, struct id workspace_id,
                         struct id profile_id, struct profile_view *out_profile,
                         struct problem *problem)
{
    struct pg_result *result = NULL;
    enum status status =
        ids_read(pg, arena, &profile_read_sql, workspace_id, profile_id, &result, problem);
    if (status == STATUS_OK) {
        *out_profile = profile_row(result, arena, 0);
    }
    return status;
}

enum status profile_lookup(struct pg *pg, struct arena *arena, struct id workspace_id,
                           struct str kind, struct id source_id, struct str value,
                           struct id *out_profile_id, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_text(&params, kind);
    pg_put_id(&params, source_id);
    pg_put_text(&params, value);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &profile_lookup_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (pg_row_count(result) == 0) {
        return STATUS_MISSING;
    }
    *out_profile_id = pg_get_id(result, 0, 0);
    return STATUS_OK;
}

enum status profile_identities(struct pg *pg, struct arena *arena, struct id workspace_id,
                               const struct id *origins, size_t origin_count,
                               struct identity_view **out_identities, size_t *out_count,
                               struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    struct pg_array array;
    pg_array_begin(&array, &params, PG_UUID, origin_count);
    for (size_t i = 0; i < origin_count; i++) {
        pg_array_id(&array, origins[i]);
    }
    pg_array_end(&array);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &profile_identities_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct identity_view *identities = ARENA_NEW_ARRAY(arena, count, struct identity_view);
    if (identities == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        identities[i] = (struct identity_view){
            .kind = pg_get_text(result, i, 0),
            .value = pg_get_text(result, i, 1),
            .source = pg_get_text(result, i, 2),
            .trust = pg_get_i64(result, i, 3),
            .first_seen_at_ms = pg_get_instant(result, i, 4),
        };
    }
    *out_identities = identities;
    *out_count = count;
    return STATUS_OK;
}

void profile_put_filter(struct pg_params *params, const struct profile_query *query)
{
    pg_put_id(params, query->workspace_id);
    if (query->identified < 0) {
        pg_put_null(params, PG_BOOL);
    } else {
        pg_put_bool(params, query->identified == 1);
    }
    pg_put_instant(params, query->updated_since_ms);
}

static const struct pg_statement *page_statement(const struct profile_query *query)
{
    if (query->order == PROFILE_BY_LAST_SEEN) {
        return query->descending ? &profile_page_seen_down_sql : &profile_page_seen_up_sql;
    }
    if (query->lifecycle.size > 0) {
        return query->descending ? &profile_page_stage_down_sql : &profile_page_stage_up_sql;
    }
    return query->descending ? &profile_page_created_down_sql : &profile_page_created_up_sql;
}

/* The place before the first row, so that no statement has an optional start. */
void profile_put_place(struct pg_params *params, const struct profile_query *query)
{
    struct id id = query->after_id;
    if (id_is_zero(id) && query->descending) {
        memset(id.bytes, 0xff, sizeof(id.bytes));
    }
    pg_put_id(params, id);
    pg_put_i64(params, (int64_t)query->limit);
}

enum status profile_page(struct pg *pg, struct arena *arena, const struct profile_query *query,
                         struct profile_view **out_profiles, size_t *out_count,
                         struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    profile_put_filter(&params, query);
    profile_put_place(&params, query);
    bool by_seen = query->order == PROFILE_BY_LAST_SEEN;
    if (by_seen || query->lifecycle.size > 0) {
        pg_put_text_or_null(&params, query->lifecycle);
    }
    if (by_seen) {
        int64_t edge_ms = query->descending ? INSTANT_LAST_MS : 0;
        pg_put_instant(&params, id_is_zero(query->after_id) ? edge_ms : query->after_ms);
    }
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, page_statement(query), &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct profile_view *profiles = ARENA_NEW_ARRAY(arena, count, struct profile_view);
    if (profiles == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        profiles[i] = profile_row(result, arena, i);
    }
    *out_profiles = profiles;
    *out_count = count;
    return STATUS_OK;
}

enum status profile_count(struct pg *pg, struct arena *arena, const struct profile_query *query,
                          int64_t most, int64_t *out_count, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    profile_put_filter(&params, query);
    pg_put_i64(&params, most);
    pg_put_bool(&params, query->order == PROFILE_BY_LAST_SEEN);
    bool of_stage = query->lifecycle.size > 0;
    if (of_stage) {
        pg_put_text(&params, query->lifecycle);
    }
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, of_stage ? &profile_count_stage_sql : &profile_count_sql,
                                &params, &result, problem);
    if (status == STATUS_OK) {
        *out_count = pg_get_i64(result, 0, 0);
    }
    return status;
}
