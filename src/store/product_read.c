#include "base/instant.h"
#include "store/catalogue.h"

/*
 * The catalogue, read. A page walks the primary key (source, product, variant)
 * from where the last one ended, or the index of a sku, which few rows share.
 */

#define PRODUCT_SELECT                                                                     \
    "SELECT s.name, p.source_id, p.product_id, p.variant_id, p.inventory_item_id, p.name," \
    " p.variant_name, p.category, p.brand, p.url, p.image_url, p.substitutes, p.currency," \
    " p.sku, p.price_minor, p.compare_at_minor, p.stock_total, p.stock, p.stock_at,"       \
    " p.version_at, p.first_seen_at"
#define PRODUCT_WHERE                                                                   \
    " WHERE p.workspace_id = $1 AND p.deleted_at IS NULL"                               \
    " AND ($2::uuid IS NULL OR p.source_id = $2)"                                       \
    " AND ($3::text IS NULL OR p.product_id = $3) AND ($4::text IS NULL OR p.sku = $4)" \
    " AND (p.variant_id > '' OR NOT EXISTS (SELECT 1 FROM product v"                    \
    "  WHERE v.workspace_id = $1 AND v.source_id = p.source_id"                         \
    "  AND v.product_id = p.product_id AND v.variant_id > '' AND v.deleted_at IS NULL))"

static const struct pg_statement product_page_sql = {
    "product_page",
    PRODUCT_SELECT " FROM product p LEFT JOIN source s ON s.workspace_id = $1"
                   " AND s.id = p.source_id" PRODUCT_WHERE
                   " AND (p.source_id, p.product_id, p.variant_id) > ($5, $6, $7)"
                   " ORDER BY p.source_id, p.product_id, p.variant_id LIMIT $8",
};

static const struct pg_statement product_count_sql = {
    "product_count",
    "SELECT count(*) FROM (SELECT 1 FROM product p" PRODUCT_WHERE " LIMIT $5) c",
};

static void put_query(struct pg_params *params, struct arena *arena,
                      const struct product_query *query)
{
    pg_params_init(params, arena);
    pg_put_id(params, query->workspace_id);
    pg_put_id_or_null(params, query->source_id);
    pg_put_text_or_null(params, query->product_id);
    pg_put_text_or_null(params, query->sku);
}

static struct product_view read_row(const struct pg_result *rows, struct arena *arena, size_t row)
{
    struct product_view view = {
        .source = pg_get_text(rows, row, 0),
        .source_id = pg_get_id(rows, row, 1),
        .product_id = pg_get_text(rows, row, 2),
        .variant_id = pg_get_text(rows, row, 3),
        .inventory_item_id = pg_get_text(rows, row, 4),
        .name = pg_get_text(rows, row, 5),
        .variant_name = pg_get_text(rows, row, 6),
        .brand = pg_get_text(rows, row, 8),
        .url = pg_get_text(rows, row, 9),
        .image_url = pg_get_text(rows, row, 10),
        .currency = pg_get_text(rows, row, 12),
        .sku = pg_get_text(rows, row, 13),
        .has_price = !pg_is_null(rows, row, 14),
        .price_minor = pg_get_i64(rows, row, 14),
        .has_compare_at = !pg_is_null(rows, row, 15),
        .compare_at_minor = pg_get_i64(rows, row, 15),
        .has_stock = !pg_is_null(rows, row, 16),
        .stock_total = pg_get_i64(rows, row, 16),
        .stock_json = pg_get_jsonb(rows, row, 17),
        .stock_at_ms = pg_get_instant(rows, row, 18),
        .version_at_ms = pg_get_instant(rows, row, 19),
        .first_seen_at_ms = pg_get_instant(rows, row, 20),
    };
    view.category_count = pg_get_text_array(rows, arena, row, 7, &view.category);
    view.substitute_count = pg_get_text_array(rows, arena, row, 11, &view.substitutes);
    return view;
}

enum status product_page(struct pg *pg, struct arena *arena, const struct product_query *query,
                         struct product_view **out_rows, size_t *out_count, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    put_query(&params, arena, query);
    pg_put_id(&params, query->after_source_id);
    pg_put_text(&params, query->after_product_id);
    pg_put_text(&params, query->after_variant_id);
    pg_put_i64(&params, (int64_t)query->limit);
    enum status status = pg_run(pg, arena, &product_page_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct product_view *rows = ARENA_NEW_ARRAY(arena, count, struct product_view);
    if (rows == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        rows[i] = read_row(result, arena, i);
    }
    *out_rows = rows;
    *out_count = count;
    return STATUS_OK;
}

enum status product_count(struct pg *pg, struct arena *arena, const struct product_query *query,
                          int64_t most, int64_t *out_count, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    put_query(&params, arena, query);
    pg_put_i64(&params, most);
    enum status status = pg_run(pg, arena, &product_count_sql, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_count = pg_get_i64(result, 0, 0);
    }
    return status;
}
