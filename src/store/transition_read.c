#include "store/transition_read.h"

#include "base/instant.h"

/*
 * Transitions of a workspace.
 *
 * Problem: the table has every change of every customer, ordered by time, and
 * no index by rule: each would be one more write for each change. So a filter
 * is answered by walking the primary key backwards, and a rare rule could walk
 * for minutes. Invariant: one page looks at `scan_limit` rows at most. When
 * they hold fewer matches than a page, the page says where it stopped, and the
 * next one goes on from there. Empty pages with a token are the price.
 */

#define TRANSITION_SCAN                                              \
    " FROM transition WHERE workspace_id = $1 AND occurred_at >= $2" \
    " AND occurred_at <= $3 AND (occurred_at, id) < ($3, $4)"        \
    " ORDER BY occurred_at DESC, id DESC"

static const struct pg_statement transition_page_sql = {
    "transition_page",
    "SELECT id, profile_id, occurred_at, decided_at, rule, kind, from_value, to_value, cause,"
    " event_id, rule_version, ruleset_version FROM (SELECT id, profile_id, occurred_at,"
    " decided_at, rule, kind, from_value, to_value, cause, event_id, rule_version,"
    " ruleset_version" TRANSITION_SCAN " LIMIT $5) t"
    " WHERE ($6::text IS NULL OR rule = $6) AND ($7::text IS NULL OR kind = $7)"
    " AND ($8::text IS NULL OR cause = $8)"
    " ORDER BY occurred_at DESC, id DESC LIMIT $9",
};

static const struct pg_statement transition_cut_sql = {
    "transition_cut",
    "SELECT occurred_at, id" TRANSITION_SCAN " OFFSET $5 LIMIT 1",
};

static void put_scan(struct pg_params *params, const struct transition_query *query)
{
    pg_put_id(params, query->workspace_id);
    pg_put_instant(params, query->from_ms);
    pg_put_instant(params, query->before_ms);
    pg_put_id(params, query->before_id);
}

static struct transition_entry row_of(const struct pg_result *result, size_t row)
{
    return (struct transition_entry){
        .id = pg_get_id(result, row, 0),
        .profile_id = pg_get_id(result, row, 1),
        .occurred_at_ms = pg_get_instant(result, row, 2),
        .decided_at_ms = pg_get_instant(result, row, 3),
        .rule = pg_get_text(result, row, 4),
        .kind = pg_get_text(result, row, 5),
        .from_value = pg_get_text(result, row, 6),
        .to_value = pg_get_text(result, row, 7),
        .cause = pg_get_text(result, row, 8),
        .event_id = pg_get_id(result, row, 9),
        .rule_version = pg_get_i64(result, row, 10),
        .ruleset_version = pg_get_i64(result, row, 11),
    };
}

/* The last row that the scan looked at, if it was the last it may. */
static enum status find_cut(struct pg *pg, struct arena *arena,
                            const struct transition_query *query, struct transition_page *page,
                            struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    put_scan(&params, query);
    pg_put_i64(&params, (int64_t)query->scan_limit - 1);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &transition_cut_sql, &params, &result, problem);
    if (status == STATUS_OK && pg_row_count(result) > 0) {
        page->is_cut = true;
        page->cut_ms = pg_get_instant(result, 0, 0);
        page->cut_id = pg_get_id(result, 0, 1);
    }
    return status;
}

enum status transition_page(struct pg *pg, struct arena *arena,
                            const struct transition_query *query, struct transition_page *out_page,
                            struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    put_scan(&params, query);
    pg_put_i64(&params, (int64_t)query->scan_limit);
    pg_put_text_or_null(&params, query->rule);
    pg_put_text_or_null(&params, query->kind);
    pg_put_text_or_null(&params, query->cause);
    pg_put_i64(&params, (int64_t)query->limit);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &transition_page_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct transition_page page = { .count = pg_row_count(result) };
    page.rows = ARENA_NEW_ARRAY(arena, page.count, struct transition_entry);
    if (page.rows == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < page.count; i++) {
        page.rows[i] = row_of(result, i);
    }
    bool is_filtered = query->rule.size + query->kind.size + query->cause.size > 0;
    if (is_filtered && page.count < query->limit) {
        status = find_cut(pg, arena, query, &page, problem);
    }
    if (status == STATUS_OK) {
        *out_page = page;
    }
    return status;
}
