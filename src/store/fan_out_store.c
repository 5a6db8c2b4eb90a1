#include "store/fan_out_store.h"

/*
 * Fan-outs.
 *
 * A fact about a product is over when the opposite is told of the same variant: back in
 * stock by out of stock, dropped by raised. Such a job ends where it stands.
 *
 * Products are found anew for each step, by the primary key from where the last one ended:
 * a catalogue changes meanwhile, and one read of it is what a whole selector costs.
 */

static const struct pg_statement fan_out_overtaken_sql = {
    "fan_out_overtaken",
    "SELECT EXISTS (SELECT 1 FROM universal_event e WHERE e.workspace_id = $1"
    " AND e.product_id = $2 AND e.occurred_at > $3 AND e.source_id = $4"
    " AND coalesce(e.variant_id, '') = $5 AND e.type = $6)",
};

static const struct pg_statement fan_out_product_sql = {
    "fan_out_product",
    "SELECT p.source_id, p.product_id FROM product p WHERE p.workspace_id = $1"
    " AND (p.source_id, p.product_id) > ($3, $4) AND p.variant_id = '' AND p.deleted_at IS NULL"
    " AND (coalesce($2::jsonb->'products' ? p.product_id, false)"
    " OR EXISTS (SELECT 1 FROM unnest(p.category) c WHERE $2->'categories' ? c))"
    " ORDER BY p.source_id, p.product_id LIMIT 1",
};

static const struct pg_statement fan_out_rung_sql = {
    "fan_out_rung",
    "SELECT n.id FROM unnest($3::uuid[]) AS u (id) CROSS JOIN LATERAL (SELECT id FROM notification"
    " WHERE workspace_id = $1 AND created_at = $2 AND id = u.id OFFSET 0) n",
};

static const struct pg_statement fan_out_merged_sql = {
    "fan_out_merged",
    "SELECT u.id, p.id FROM unnest($2::uuid[]) AS u (id) CROSS JOIN LATERAL (SELECT id FROM profile"
    " WHERE workspace_id = $1 AND merged_into = u.id OFFSET 0) p",
};

static const char *opposite_of(struct str type)
{
    static const char *const pairs[][2] = {
        { "product.back_in_stock", "product.out_of_stock" },
        { "product.price_dropped", "product.price_raised" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(pairs); i++) {
        if (str_equal_z(type, pairs[i][0])) {
            return pairs[i][1];
        }
        if (str_equal_z(type, pairs[i][1])) {
            return pairs[i][0];
        }
    }
    return NULL;
}

enum status fan_out_is_overtaken(struct pg *pg, struct arena *arena, struct id workspace_id,
                                 const struct universal_event *fact, bool *out_overtaken,
                                 struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    const char *opposite = opposite_of(fact->type);
    *out_overtaken = false;
    if (opposite == NULL) {
        return STATUS_OK;
    }
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_text(&params, fact->product_id);
    pg_put_instant(&params, fact->occurred_at_ms);
    pg_put_id(&params, fact->source_id);
    pg_put_text(&params, fact->variant_id);
    pg_put_text(&params, str_from_z(opposite));
    enum status status = pg_run(pg, arena, &fan_out_overtaken_sql, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_overtaken = pg_get_bool(result, 0, 0);
    }
    return status;
}

enum status fan_out_product(struct pg *pg, struct arena *arena, struct id workspace_id,
                            struct str selector_json, struct id after_source_id,
                            struct str after_product_id, struct id *out_source_id,
                            struct str *out_product_id, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_jsonb(&params, selector_json);
    pg_put_id(&params, after_source_id);
    pg_put_text(&params, after_product_id);
    enum status status = pg_run(pg, arena, &fan_out_product_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (pg_row_count(result) == 0) {
        return STATUS_MISSING;
    }
    *out_source_id = pg_get_id(result, 0, 0);
    *out_product_id = pg_get_text(result, 0, 1);
    return STATUS_OK;
}

enum status fan_out_rung(struct pg *pg, struct arena *arena, struct id workspace_id,
                         int64_t recorded_at_ms, struct id *ids, size_t *io_count,
                         struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_instant(&params, recorded_at_ms);
    pg_put_ids(&params, ids, *io_count);
    enum status status = pg_run(pg, arena, &fan_out_rung_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    *io_count = pg_row_count(result);
    for (size_t row = 0; row < *io_count; row++) {
        ids[row] = pg_get_id(result, row, 0);
    }
    return STATUS_OK;
}

enum status fan_out_merged(struct pg *pg, struct arena *arena, struct id workspace_id,
                           const struct id *profile_ids, size_t count,
                           struct fan_out_merged **out_merged, size_t *out_count,
                           struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_ids(&params, profile_ids, count);
    enum status status = pg_run(pg, arena, &fan_out_merged_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t rows = pg_row_count(result);
    struct fan_out_merged *merged = ARENA_NEW_ARRAY(arena, rows + 1, struct fan_out_merged);
    if (merged == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t row = 0; row < rows; row++) {
        merged[row] =
            (struct fan_out_merged){ pg_get_id(result, row, 0), pg_get_id(result, row, 1) };
    }
    *out_merged = merged;
    *out_count = rows;
    return STATUS_OK;
}
