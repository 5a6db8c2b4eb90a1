#include "store/profile_filter.h"

#include "base/instant.h"
#include "profile_read_priv.h"

/*
 * Statements made at run time: the only ones. They have no name, so that a
 * connection does not keep a plan for every filter that was ever asked.
 *
 * A filter that seldom holds would read a workspace to its end for one page. So
 * a page first asks where its scan ends (a walk over an index) and then looks
 * no further.
 *
 * Parameters: $1 workspace, $2 identified, $3 updated since, $4 and $7 the place
 * before the first row, $5 limit, $6 lifecycle, $8 and $9 the edge.
 */

#define FILTER_WHERE                                                      \
    " FROM profile p WHERE p.workspace_id = $1 AND p.merged_into IS NULL" \
    " AND ($2::boolean IS NULL OR p.identified = $2)"                     \
    " AND ($3::timestamptz IS NULL OR p.updated_at >= $3)"                \
    " AND ($6::text IS NULL OR p.lifecycle = $6)"

static const struct filter_order {
    const char *place;
    const char *edge;
    const char *order;
} orders[2][2] = {
    [PROFILE_BY_CREATION] = {
        { " AND p.id > $4", " AND ($8::uuid IS NULL OR p.id <= $8)", " ORDER BY p.id" },
        { " AND p.id < $4", " AND ($8::uuid IS NULL OR p.id >= $8)", " ORDER BY p.id DESC" },
    },
    [PROFILE_BY_LAST_SEEN] = {
        { " AND p.last_seen_day >= ($7::timestamptz AT TIME ZONE 'UTC')::date"
          " AND (p.last_seen_at, p.id) > ($7, $4)",
          " AND ($8::uuid IS NULL OR (p.last_seen_at, p.id) <= ($9, $8))",
          " ORDER BY p.last_seen_day, p.last_seen_at, p.id" },
        { " AND p.last_seen_day <= ($7::timestamptz AT TIME ZONE 'UTC')::date"
          " AND (p.last_seen_at, p.id) < ($7, $4)",
          " AND ($8::uuid IS NULL OR (p.last_seen_at, p.id) >= ($9, $8))",
          " ORDER BY p.last_seen_day DESC, p.last_seen_at DESC, p.id DESC" },
    },
};

static const struct pg_statement profile_sample_sql = {
    "profile_sample",
    "SELECT " PROFILE_COLUMNS " FROM profile WHERE workspace_id = $1 AND merged_into IS NULL"
    " AND id > $2 AND (get_byte(uuid_send(id), 14) * 256 + get_byte(uuid_send(id), 15)) < $3"
    " ORDER BY id LIMIT $4",
};

static const struct filter_order *order_of(const struct profile_query *query)
{
    return &orders[query->order][query->descending];
}

static void put_query(struct pg_params *params, struct arena *arena,
                      const struct profile_query *query, const struct profile_edge *edge)
{
    int64_t first_ms = query->descending ? INSTANT_LAST_MS : 0;
    pg_params_init(params, arena);
    profile_put_filter(params, query);
    profile_put_place(params, query);
    pg_put_text_or_null(params, query->lifecycle);
    pg_put_instant(params, id_is_zero(query->after_id) ? first_ms : query->after_ms);
    pg_put_id_or_null(params, edge->id);
    pg_put_instant(params, edge->is_cut ? edge->at_ms : INSTANT_NONE);
}

static void put_filter_values(struct pg_params *params, const struct rule_sql *filter)
{
    for (size_t i = 0; i < filter->parameter_count; i++) {
        pg_put_text(params, filter->parameters[i]);
    }
}

static enum status run(struct pg *pg, struct arena *arena, struct str sql, struct pg_params *params,
                       struct pg_result **out_result, struct problem *problem)
{
    const struct pg_statement statement = { .name = "", .sql = str_dup_z(arena, sql) };
    if (statement.sql == NULL || sql.size == 0) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "the filter is too large");
    }
    return pg_run(pg, arena, &statement, params, out_result, problem);
}

static enum status find_edge(struct pg *pg, struct arena *arena, const struct profile_query *query,
                             size_t scan_max, struct profile_edge *out_edge,
                             struct problem *problem)
{
    struct profile_query last = *query;
    struct profile_edge edge = { .at_ms = INSTANT_NONE };
    struct pg_params params;
    struct pg_result *result = NULL;
    last.limit = 1;
    put_query(&params, arena, &last, &edge);
    const struct filter_order *order = order_of(query);
    struct str sql =
        str_printf(arena, "SELECT p.id, p.last_seen_at" FILTER_WHERE "%s%s%s OFFSET %zu LIMIT $5",
                   order->place, order->edge, order->order, scan_max);
    enum status status = run(pg, arena, sql, &params, &result, problem);
    if (status == STATUS_OK && pg_row_count(result) > 0) {
        edge = (struct profile_edge){ .is_cut = true,
                                      .id = pg_get_id(result, 0, 0),
                                      .at_ms = pg_get_instant(result, 0, 1) };
    }
    if (status == STATUS_OK) {
        *out_edge = edge;
    }
    return status;
}

static enum status take_rows(struct arena *arena, const struct pg_result *result,
                             struct profile_view **out_profiles, size_t *out_count)
{
    size_t count = pg_row_count(result);
    struct profile_view *profiles = ARENA_NEW_ARRAY(arena, count + 1, struct profile_view);
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

enum status profile_filter_page(struct pg *pg, struct arena *arena,
                                const struct profile_query *query, const struct rule_sql *filter,
                                size_t scan_max, struct profile_view **out_profiles,
                                size_t *out_count, struct profile_edge *out_edge,
                                struct problem *problem)
{
    struct profile_edge edge;
    struct pg_params params;
    struct pg_result *result = NULL;
    const struct filter_order *order = order_of(query);
    enum status status = find_edge(pg, arena, query, scan_max, &edge, problem);
    if (status != STATUS_OK) {
        return status;
    }
    put_query(&params, arena, query, &edge);
    put_filter_values(&params, filter);
    struct str sql =
        str_printf(arena, "SELECT " PROFILE_COLUMNS FILTER_WHERE "%s%s AND (%.*s)%s LIMIT $5",
                   order->place, order->edge, STR_ARG(filter->text), order->order);
    status = run(pg, arena, sql, &params, &result, problem);
    if (status == STATUS_OK) {
        status = take_rows(arena, result, out_profiles, out_count);
    }
    if (status == STATUS_OK) {
        *out_edge = edge;
    }
    return status;
}

enum status profile_filter_count(struct pg *pg, struct arena *arena,
                                 const struct profile_query *query, const struct rule_sql *filter,
                                 int64_t most, int64_t *out_count, struct problem *problem)
{
    struct profile_query whole = *query;
    const struct profile_edge none = { .at_ms = INSTANT_NONE };
    struct pg_params params;
    struct pg_result *result = NULL;
    whole.after_id = ID_ZERO;
    whole.limit = (size_t)most;
    put_query(&params, arena, &whole, &none);
    put_filter_values(&params, filter);
    const char *seen =
        query->order == PROFILE_BY_LAST_SEEN ? " AND p.last_seen_at IS NOT NULL" : "";
    struct str sql = str_printf(
        arena, "SELECT count(*) FROM (SELECT 1" FILTER_WHERE "%s AND (%.*s) LIMIT $5) AS counted",
        seen, STR_ARG(filter->text));
    enum status status = run(pg, arena, sql, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_count = pg_get_i64(result, 0, 0);
    }
    return status;
}

/* What is asked of every canonical profile, wherever it is found. */
static void put_any(struct pg_params *params, struct arena *arena, struct id workspace_id,
                    const struct rule_sql *filter)
{
    const struct profile_query query = { .workspace_id = workspace_id,
                                         .identified = -1,
                                         .updated_since_ms = INSTANT_NONE };
    const struct profile_edge none = { .at_ms = INSTANT_NONE };
    put_query(params, arena, &query, &none);
    put_filter_values(params, filter);
}

enum status profile_filter_among(struct pg *pg, struct arena *arena, struct id workspace_id,
                                 const struct id *ids, size_t id_count,
                                 const struct rule_sql *filter, struct profile_view **out_profiles,
                                 size_t *out_count, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    put_any(&params, arena, workspace_id, filter);
    pg_put_ids(&params, ids, id_count);
    struct str sql = str_printf(
        arena,
        "SELECT " PROFILE_COLUMNS " FROM unnest($%zu::uuid[]) AS k (wanted) CROSS JOIN LATERAL"
        " (SELECT p.* FROM profile p WHERE p.workspace_id = $1 AND p.id = k.wanted"
        " AND p.merged_into IS NULL AND (%.*s) OFFSET 0) p",
        PROFILE_FILTER_PARAMETER + filter->parameter_count, STR_ARG(filter->text));
    enum status status = run(pg, arena, sql, &params, &result, problem);
    return status == STATUS_OK ? take_rows(arena, result, out_profiles, out_count) : status;
}

enum status profile_filter_tally(struct pg *pg, struct arena *arena, struct id workspace_id,
                                 const struct rule_sql *filter, struct profile_tally *out_tally,
                                 struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    put_any(&params, arena, workspace_id, filter);
    struct str sql = str_printf(arena,
                                "SELECT count(*) FILTER (WHERE %.*s), count(*) FROM profile p"
                                " WHERE p.workspace_id = $1 AND p.merged_into IS NULL",
                                STR_ARG(filter->text));
    enum status status = run(pg, arena, sql, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_tally = (struct profile_tally){ .matching = pg_get_i64(result, 0, 0),
                                             .all = pg_get_i64(result, 0, 1) };
    }
    return status;
}

enum status profile_sample(struct pg *pg, struct arena *arena, struct id workspace_id,
                           int64_t threshold, struct id after_id, size_t limit,
                           struct profile_view **out_profiles, size_t *out_count,
                           struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, after_id);
    pg_put_i32(&params, threshold > 65536 ? 65536 : (int32_t)threshold);
    pg_put_i64(&params, (int64_t)limit);
    enum status status = pg_run(pg, arena, &profile_sample_sql, &params, &result, problem);
    return status == STATUS_OK ? take_rows(arena, result, out_profiles, out_count) : status;
}
