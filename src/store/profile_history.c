#include "base/instant.h"
#include "store/profile_read.h"

/*
 * What happened to a profile: interactions, transitions, orders, merges.
 *
 * Problem: the facts of a merged profile lie under up to 101 origins, and a
 * page of its history is the newest of all of them. So each origin gives its
 * own newest rows through the index and the page is cut from those: 101 short
 * index scans at worst, whatever the length of the history. The instant stands
 * in each condition twice: the row comparison is exact, the plain one lets the
 * planner leave partitions out.
 */

#define FROM_ORIGINS " FROM unnest($2::uuid[]) AS o(id) CROSS JOIN LATERAL "

static const struct pg_statement profile_interactions_sql = {
    "profile_interactions",
    "SELECT i.id, i.origin_id, i.occurred_at, i.received_at, s.name, i.type, i.trust,"
    " i.product_id, i.category, i.currency, i.amount_minor, i.order_ref, i.properties,"
    " i.context" FROM_ORIGINS
    "(SELECT n.id, n.origin_id, n.occurred_at, n.received_at, n.source_id, n.type, n.trust,"
    " n.product_id, n.category, n.currency, n.amount_minor, n.order_ref, n.properties, n.context"
    " FROM interaction n WHERE n.workspace_id = $1 AND n.origin_id = o.id"
    " AND n.occurred_at <= $3 AND (n.occurred_at, n.id) < ($3, $4)"
    " ORDER BY n.occurred_at DESC, n.id DESC LIMIT $5) i"
    " LEFT JOIN source s ON s.workspace_id = $1 AND s.id = i.source_id"
    " ORDER BY i.occurred_at DESC, i.id DESC LIMIT $5",
};

static const struct pg_statement profile_transitions_sql = {
    "profile_transitions",
    "SELECT t.id, t.profile_id, t.occurred_at, t.rule, t.from_value, t.to_value, t.cause,"
    " t.event_id, t.decided_at, t.kind, t.rule_version" FROM_ORIGINS
    "(SELECT n.id, n.profile_id, n.occurred_at, n.rule, n.from_value, n.to_value, n.cause,"
    " n.event_id, n.decided_at, n.kind, n.rule_version FROM transition n"
    " WHERE n.workspace_id = $1 AND n.profile_id = o.id"
    " AND n.occurred_at <= $3 AND (n.occurred_at, n.id) < ($3, $4)"
    " ORDER BY n.occurred_at DESC, n.id DESC LIMIT $5) t"
    " ORDER BY t.occurred_at DESC, t.id DESC LIMIT $5",
};

static const struct pg_statement profile_orders_sql = {
    "profile_orders",
    "SELECT r.source_id, s.name, r.order_ref, r.rank, r.placed_at, r.number, r.status,"
    " r.currency, r.total_minor, r.refunded_minor, r.cancelled_at, r.deleted, r.completed,"
    " r.counted, r.counted_foreign, r.body" FROM_ORIGINS
    "(SELECT n.source_id, n.order_ref, n.rank, n.placed_at, n.number, n.status, n.currency,"
    " n.total_minor, n.refunded_minor, n.cancelled_at, n.deleted, n.completed, n.counted,"
    " n.counted_foreign, n.body FROM orders n"
    " WHERE n.workspace_id = $1 AND n.profile_id = o.id AND n.has_body AND n.placed_at <= $3"
    " AND (n.placed_at, n.source_id, n.order_ref) < ($3, $4, $5)"
    " ORDER BY n.placed_at DESC, n.source_id DESC, n.order_ref DESC LIMIT $6) r"
    " LEFT JOIN source s ON s.workspace_id = $1 AND s.id = r.source_id"
    " ORDER BY r.placed_at DESC, r.source_id DESC, r.order_ref DESC LIMIT $6",
};

static const struct pg_statement profile_merges_sql = {
    "profile_merges",
    "SELECT DISTINCT d.id, d.kind, d.event_id, d.from_id, d.into_id, d.because, d.at,"
    " d.undone_at FROM unnest($2::uuid[]) AS o(id) JOIN identity_decision d"
    " ON d.workspace_id = $1 AND (d.into_id = o.id OR d.from_id = o.id)"
    " WHERE (d.at, d.id) < ($3, $4) ORDER BY d.at DESC, d.id DESC LIMIT $5",
};

static void put_origins(struct pg_params *params, struct id workspace_id, const struct id *origins,
                        size_t origin_count)
{
    pg_put_id(params, workspace_id);
    pg_put_ids(params, origins, origin_count);
}

static enum status history_run(struct pg *pg, struct arena *arena,
                               const struct pg_statement *statement, struct id workspace_id,
                               const struct id *origins, size_t origin_count,
                               struct history_place place, size_t limit,
                               struct pg_result **out_result, struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    put_origins(&params, workspace_id, origins, origin_count);
    pg_put_instant(&params, place.before_ms);
    pg_put_id(&params, place.before_id);
    pg_put_i64(&params, (int64_t)limit);
    return pg_run(pg, arena, statement, &params, out_result, problem);
}

static struct str jsonb_or_empty(const struct pg_result *result, size_t row, int column)
{
    return pg_is_null(result, row, column) ? (struct str){ NULL, 0 }
                                           : pg_get_jsonb(result, row, column);
}

enum status profile_interactions(struct pg *pg, struct arena *arena, struct id workspace_id,
                                 const struct id *origins, size_t origin_count,
                                 struct history_place place, size_t limit,
                                 struct interaction_view **out_rows, size_t *out_count,
                                 struct problem *problem)
{
    struct pg_result *result = NULL;
    enum status status = history_run(pg, arena, &profile_interactions_sql, workspace_id, origins,
                                     origin_count, place, limit, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct interaction_view *rows = ARENA_NEW_ARRAY(arena, count, struct interaction_view);
    if (rows == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        rows[i] = (struct interaction_view){
            .id = pg_get_id(result, i, 0),
            .origin_id = pg_get_id(result, i, 1),
            .occurred_at_ms = pg_get_instant(result, i, 2),
            .received_at_ms = pg_get_instant(result, i, 3),
            .source = pg_get_text(result, i, 4),
            .type = pg_get_text(result, i, 5),
            .trust = pg_get_i64(result, i, 6),
            .product_id = pg_get_text(result, i, 7),
            .category = pg_get_text(result, i, 8),
            .currency = pg_get_text(result, i, 9),
            .has_amount = !pg_is_null(result, i, 10),
            .amount_minor = pg_get_i64(result, i, 10),
            .order_ref = pg_get_text(result, i, 11),
            .properties_json = jsonb_or_empty(result, i, 12),
            .context_json = jsonb_or_empty(result, i, 13),
        };
    }
    *out_rows = rows;
    *out_count = count;
    return STATUS_OK;
}

enum status profile_transitions(struct pg *pg, struct arena *arena, struct id workspace_id,
                                const struct id *origins, size_t origin_count,
                                struct history_place place, size_t limit,
                                struct transition_view **out_rows, size_t *out_count,
                                struct problem *problem)
{
    struct pg_result *result = NULL;
    enum status status = history_run(pg, arena, &profile_transitions_sql, workspace_id, origins,
                                     origin_count, place, limit, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct transition_view *rows = ARENA_NEW_ARRAY(arena, count, struct transition_view);
    if (rows == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        rows[i] = (struct transition_view){
            .id = pg_get_id(result, i, 0),
            .profile_id = pg_get_id(result, i, 1),
            .occurred_at_ms = pg_get_instant(result, i, 2),
            .rule = pg_get_text(result, i, 3),
            .from_value = pg_get_text(result, i, 4),
            .to_value = pg_get_text(result, i, 5),
            .cause = pg_get_text(result, i, 6),
            .event_id = pg_get_id(result, i, 7),
            .decided_at_ms = pg_get_instant(result, i, 8),
            .rule_kind = pg_get_text(result, i, 9),
            .rule_version = pg_get_i64(result, i, 10),
        };
    }
    *out_rows = rows;
    *out_count = count;
    return STATUS_OK;
}

enum status profile_orders_read(struct pg *pg, struct arena *arena, struct id workspace_id,
                                const struct id *origins, size_t origin_count,
                                struct order_place place, size_t limit,
                                struct order_view **out_rows, size_t *out_count,
                                struct problem *problem)
{
    struct pg_params params;
    pg_params_init(&params, arena);
    put_origins(&params, workspace_id, origins, origin_count);
    pg_put_instant(&params, place.before_ms);
    pg_put_id(&params, place.before_source_id);
    pg_put_text(&params, place.before_ref);
    pg_put_i64(&params, (int64_t)limit);
    struct pg_result *result = NULL;
    enum status status = pg_run(pg, arena, &profile_orders_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct order_view *rows = ARENA_NEW_ARRAY(arena, count, struct order_view);
    if (rows == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        rows[i] = (struct order_view){
            .source_id = pg_get_id(result, i, 0),
            .source = pg_get_text(result, i, 1),
            .order_ref = pg_get_text(result, i, 2),
            .rank = pg_get_text(result, i, 3),
            .placed_at_ms = pg_get_instant(result, i, 4),
            .number = pg_get_text(result, i, 5),
            .status = pg_get_text(result, i, 6),
            .currency = pg_get_text(result, i, 7),
            .total_minor = pg_get_i64(result, i, 8),
            .refunded_minor = pg_get_i64(result, i, 9),
            .cancelled_at_ms = pg_get_instant(result, i, 10),
            .deleted = pg_get_bool(result, i, 11),
            .completed = pg_get_bool(result, i, 12),
            .counted = pg_get_bool(result, i, 13),
            .counted_foreign = pg_get_bool(result, i, 14),
            .body_json = jsonb_or_empty(result, i, 15),
        };
    }
    *out_rows = rows;
    *out_count = count;
    return STATUS_OK;
}

enum status profile_merges(struct pg *pg, struct arena *arena, struct id workspace_id,
                           const struct id *origins, size_t origin_count,
                           struct history_place place, size_t limit, struct merge_view **out_rows,
                           size_t *out_count, struct problem *problem)
{
    struct pg_result *result = NULL;
    enum status status = history_run(pg, arena, &profile_merges_sql, workspace_id, origins,
                                     origin_count, place, limit, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct merge_view *rows = ARENA_NEW_ARRAY(arena, count, struct merge_view);
    if (rows == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        rows[i] = (struct merge_view){
            .id = pg_get_id(result, i, 0),
            .kind = pg_get_text(result, i, 1),
            .event_id = pg_get_id(result, i, 2),
            .from_id = pg_get_id(result, i, 3),
            .into_id = pg_get_id(result, i, 4),
            .because = pg_get_text(result, i, 5),
            .at_ms = pg_get_instant(result, i, 6),
            .undone_at_ms = pg_get_instant(result, i, 7),
        };
    }
    *out_rows = rows;
    *out_count = count;
    return STATUS_OK;
}
