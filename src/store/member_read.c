#include "store/member_read.h"

#include "base/instant.h"

/*
 * Members.
 *
 * Problem: a segment may have a million members, and neither its page nor its
 * count may cost that. Invariant: a page walks the primary key (rule, value,
 * profile) from where the last one ended and looks up only the profiles it
 * shows; a count stops at `most`. Rejected: a counter per rule, which every
 * transition of every customer would have to lock.
 */

#define MEMBER_WHERE                            \
    " WHERE workspace_id = $1 AND rule_id = $2" \
    " AND ($3::text IS NULL OR value = $3)"

static const struct pg_statement member_page_sql = {
    "member_page",
    "SELECT m.profile_id, m.value, m.since, p.identified, p.email, p.phone, p.external_id,"
    " p.lifecycle, p.last_seen_at"
    " FROM (SELECT profile_id, value, since FROM membership" MEMBER_WHERE
    " AND (value, profile_id) > ($4, $5) ORDER BY value, profile_id LIMIT $6) m"
    " LEFT JOIN profile p ON p.workspace_id = $1 AND p.id = m.profile_id"
    " ORDER BY m.value, m.profile_id",
};

static const struct pg_statement member_count_sql = {
    "member_count",
    "SELECT count(*) FROM (SELECT 1 FROM membership" MEMBER_WHERE " LIMIT $4) m",
};

static const struct pg_statement member_counts_sql = {
    "member_counts",
    "SELECT c.n FROM unnest($2::uuid[]) WITH ORDINALITY AS r(id, place) CROSS JOIN LATERAL"
    " (SELECT count(*) AS n FROM (SELECT 1 FROM membership"
    "  WHERE workspace_id = $1 AND rule_id = r.id LIMIT $3) m) c ORDER BY r.place",
};

static const struct pg_statement member_drop_orphans_sql = {
    "member_drop_orphans",
    "DELETE FROM membership m USING (SELECT o.rule_id, o.value, o.profile_id FROM membership o"
    " WHERE o.workspace_id = $1 AND NOT EXISTS (SELECT 1 FROM rule r"
    "  WHERE r.workspace_id = $1 AND r.id = o.rule_id) LIMIT $2) d"
    " WHERE m.workspace_id = $1 AND m.rule_id = d.rule_id AND m.value = d.value"
    " AND m.profile_id = d.profile_id",
};

static void put_query(struct pg_params *params, const struct member_query *query)
{
    pg_put_id(params, query->workspace_id);
    pg_put_id(params, query->rule_id);
    if (query->has_value) {
        pg_put_text(params, query->value);
    } else {
        pg_put_null(params, PG_TEXT);
    }
}

enum status member_page(struct pg *pg, struct arena *arena, const struct member_query *query,
                        struct member_view **out_rows, size_t *out_count, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    put_query(&params, query);
    pg_put_text(&params, query->after_value);
    pg_put_id(&params, query->after_id);
    pg_put_i64(&params, (int64_t)query->limit);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &member_page_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct member_view *rows = ARENA_NEW_ARRAY(arena, count, struct member_view);
    if (rows == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        rows[i] = (struct member_view){
            .profile_id = pg_get_id(result, i, 0),
            .value = pg_get_text(result, i, 1),
            .since_ms = pg_get_instant(result, i, 2),
            .identified = pg_get_bool(result, i, 3),
            .email = pg_get_text(result, i, 4),
            .phone = pg_get_text(result, i, 5),
            .external_id = pg_get_text(result, i, 6),
            .lifecycle = pg_get_text(result, i, 7),
            .last_seen_at_ms = pg_get_instant(result, i, 8),
        };
    }
    *out_rows = rows;
    *out_count = count;
    return STATUS_OK;
}

enum status member_count(struct pg *pg, struct arena *arena, const struct member_query *query,
                         int64_t most, int64_t *out_count, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    put_query(&params, query);
    pg_put_i64(&params, most);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &member_count_sql, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_count = pg_get_i64(result, 0, 0);
    }
    return status;
}

enum status member_counts(struct pg *pg, struct arena *arena, struct id workspace_id,
                          const struct id *rule_ids, size_t rule_count, int64_t most,
                          int64_t **out_counts, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_ids(&params, rule_ids, rule_count);
    pg_put_i64(&params, most);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &member_counts_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    int64_t *counts = ARENA_NEW_ARRAY(arena, rule_count, int64_t);
    if (counts == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < rule_count; i++) {
        counts[i] = pg_get_i64(result, i, 0);
    }
    *out_counts = counts;
    return STATUS_OK;
}

enum status member_drop_orphans(struct pg *pg, struct arena *arena, struct id workspace_id,
                                size_t limit, size_t *out_count, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_i64(&params, (int64_t)limit);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &member_drop_orphans_sql, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_count = pg_affected(result);
    }
    return status;
}
