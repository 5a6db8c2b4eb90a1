#include "store/interest_read.h"

#include <assert.h>
#include <string.h>

#include "base/instant.h"
#include "interest_priv.h"

/*
 * Interests by product: what is asked about (pages are interest_page.c's); and by
 * customer, as they are answered.
 *
 * A substitute is looked for here and not kept (interest_save.c says why): of each
 * customer the index of origins gives the rows that were bought, a handful, and each
 * is held against the catalogue. It is another variant of the product, a product that
 * the shop declares, or one of the very same category path.
 */

/* A page's source has no catalogue of its own: it speaks of everyone's. Of a variant
 * only its own rows and those of '' count. The variants by a loose scan. */
static const struct pg_statement target_sides = {
    "interest_target_sides",
    "SELECT s.id, v.id FROM (SELECT n.id, NOT EXISTS (SELECT 1 FROM product p"
    " WHERE p.workspace_id = $1 AND p.source_id = n.id) AS is_page FROM source n"
    " WHERE n.workspace_id = $1 OFFSET 0) s CROSS JOIN LATERAL (WITH RECURSIVE w (id) AS ("
    "(SELECT i.variant_id FROM interest i WHERE i.workspace_id = $1 AND i.source_id = s.id"
    " AND i.product_id = $3 ORDER BY i.variant_id LIMIT 1)"
    " UNION ALL SELECT (SELECT i.variant_id FROM interest i WHERE i.workspace_id = $1"
    " AND i.source_id = s.id AND i.product_id = $3 AND i.variant_id > w.id"
    " ORDER BY i.variant_id LIMIT 1) FROM w WHERE w.id IS NOT NULL)"
    " SELECT w.id FROM w WHERE w.id IS NOT NULL) v"
    " WHERE (s.id = $2 OR s.is_page) AND ($4 = '' OR v.id IN ('', $4))"
    " ORDER BY s.id, v.id",
};

static const struct pg_statement target_product = {
    "interest_target_product",
    "SELECT s.name, p.variant_id, p.sku, p.name, p.variant_name, p.category, p.brand, p.url,"
    " p.image_url, p.currency, p.price_minor, p.compare_at_minor, p.stock_total, p.substitutes"
    " FROM source s LEFT JOIN LATERAL (SELECT r.variant_id, r.sku, r.name, r.variant_name,"
    " r.category, r.brand, r.url, r.image_url, r.currency, r.price_minor, r.compare_at_minor,"
    " r.stock_total, r.substitutes FROM product r WHERE r.workspace_id = $1"
    " AND r.source_id = $2 AND r.product_id = $3 AND r.variant_id IN ('', $4)"
    " ORDER BY r.variant_id DESC LIMIT 1) p ON true"
    " WHERE s.workspace_id = $1 AND s.id = $2",
};

static const struct pg_statement target_shop = {
    "interest_target_shop",
    "SELECT s.id FROM source s CROSS JOIN LATERAL (SELECT 1 FROM product p"
    " WHERE p.workspace_id = $1 AND p.source_id = s.id AND p.product_id = $3"
    " AND p.variant_id = '' OFFSET 0) p"
    " WHERE s.workspace_id = $1 ORDER BY s.id <> $2, s.id LIMIT 1",
};

/* Texts with macros between them are taken apart by the formatter. */
/* clang-format off */
/* Under the source whose catalogue knows the product: its own, else the first. */
static const struct pg_statement list_rows = {
    "interest_list",
    "WITH own AS MATERIALIZED (SELECT COALESCE((SELECT s.id FROM source s CROSS JOIN LATERAL"
    " (SELECT 1 FROM product p WHERE p.workspace_id = $1 AND p.source_id = s.id"
    " AND p.product_id = n.product_id AND p.variant_id = '' OFFSET 0) p"
    " WHERE s.workspace_id = $1 ORDER BY s.id <> n.source_id, s.id LIMIT 1), n.source_id)"
    " AS shop_id,"
    " n.product_id, n.variant_id, n.viewed_at, n.view_count, n.out_of_stock_seen_at,"
    " n.price_seen_at, n.price_minor, n.currency, n.carted_at, n.wished_at, n.unwished_at,"
    " n.bought_at FROM unnest($2::uuid[]) AS o (id) CROSS JOIN LATERAL"
    " (SELECT i.source_id, i.product_id, i.variant_id, i.viewed_at, i.view_count,"
    " i.out_of_stock_seen_at, i.price_seen_at, i.price_minor, i.currency, i.carted_at,"
    " i.wished_at, i.unwished_at, i.bought_at FROM interest i WHERE i.workspace_id = $1"
    " AND i.origin_id = o.id OFFSET 0) n),"
    " page AS (SELECT i.shop_id, i.product_id, i.variant_id, greatest(max(i.viewed_at),"
    " max(i.carted_at), max(i.wished_at), max(i.unwished_at), max(i.bought_at)) AS newest_at,"
    " " INTEREST_JOINED " FROM own i WHERE ($3::uuid IS NULL OR i.shop_id = $3)"
    " AND ($4::text IS NULL OR i.product_id = $4)"
    " GROUP BY i.shop_id, i.product_id, i.variant_id)"
    " SELECT k.shop_id, s.name, k.product_id, k.variant_id, t.name, v.variant_name,"
    " k.newest_at, (SELECT max(b.bought_at) FROM own b WHERE b.bought_at IS NOT NULL"
    " AND " IS_SUBSTITUTE("k.product_id", "k.variant_id", "t.substitutes", "t.category",
                          "b.shop_id, k.shop_id") "),"
    " k.* FROM (SELECT page.* FROM page WHERE newest_at IS NOT NULL AND ($5::timestamptz IS NULL"
    " OR (newest_at, shop_id, product_id, variant_id) < ($5, $6, $7, $8))"
    " ORDER BY newest_at DESC, shop_id DESC, product_id DESC, variant_id DESC LIMIT $9) k"
    " LEFT JOIN source s ON s.workspace_id = $1 AND s.id = k.shop_id"
    " LEFT JOIN product t ON t.workspace_id = $1 AND t.source_id = k.shop_id"
    " AND t.product_id = k.product_id AND t.variant_id = ''"
    " LEFT JOIN product v ON v.workspace_id = $1 AND v.source_id = k.shop_id"
    " AND v.product_id = k.product_id AND v.variant_id = k.variant_id"
    " ORDER BY k.newest_at DESC, k.shop_id DESC, k.product_id DESC, k.variant_id DESC",
};
/* clang-format on */

enum {
    LIST_JOINED = 12 /* the column at which INTEREST_JOINED begins */
};

static const struct pg_statement stored_rows = {
    "interest_stored",
    "SELECT o.n, i.source_id, i.product_id, i.variant_id, " INTEREST_JOINED
    " FROM unnest($2::uuid[], $3::bigint[]) AS o (id, n) CROSS JOIN LATERAL"
    " (SELECT r.source_id, r.product_id, r.variant_id, r.viewed_at, r.view_count,"
    " r.out_of_stock_seen_at, r.price_seen_at, r.price_minor, r.currency, r.carted_at,"
    " r.wished_at, r.unwished_at, r.bought_at FROM interest r WHERE r.workspace_id = $1"
    " AND r.origin_id = o.id OFFSET 0) i"
    " GROUP BY o.n, i.source_id, i.product_id, i.variant_id"
    " ORDER BY o.n, i.source_id, i.product_id COLLATE \"C\", i.variant_id COLLATE \"C\"",
};

struct interest interest_decode(const struct pg_result *result, size_t row, int first)
{
    return (struct interest){
        .viewed_at_ms = pg_get_instant(result, row, first),
        .view_count = pg_get_i64(result, row, first + 1),
        .out_of_stock_seen_at_ms = pg_get_instant(result, row, first + 2),
        .price_seen_at_ms = pg_get_instant(result, row, first + 3),
        .price_minor = pg_get_i64(result, row, first + 4),
        .currency = pg_get_text(result, row, first + 5),
        .carted_at_ms = pg_get_instant(result, row, first + 6),
        .wished_at_ms = pg_get_instant(result, row, first + 7),
        .unwished_at_ms = pg_get_instant(result, row, first + 8),
        .bought_at_ms = pg_get_instant(result, row, first + 9),
        .substitute_bought_at_ms = INSTANT_NONE,
    };
}

/* --- what is asked about --------------------------------------------------- */

static bool take_sides(struct arena *arena, const struct pg_result *result,
                       struct interest_target *target)
{
    size_t count = pg_row_count(result);
    target->side_source_ids = ARENA_NEW_ARRAY(arena, count + 1, struct id);
    target->side_variant_ids = ARENA_NEW_ARRAY(arena, count + 1, struct str);
    if (target->side_source_ids == NULL || target->side_variant_ids == NULL) {
        return false;
    }
    for (size_t row = 0; row < count; row++) {
        target->side_source_ids[row] = pg_get_id(result, row, 0);
        target->side_variant_ids[row] = pg_get_text(result, row, 1);
    }
    target->side_count = count;
    return true;
}

static void take_product(struct arena *arena, const struct pg_result *result,
                         struct interest_target *target)
{
    struct rule_product product = { .product_id = target->product_id,
                                    .variant_id = target->variant_id };
    if (pg_row_count(result) > 0) {
        struct str *category = NULL;
        product.source = pg_get_text(result, 0, 0);
        product.sku = pg_get_text(result, 0, 2);
        product.name = pg_get_text(result, 0, 3);
        product.variant_name = pg_get_text(result, 0, 4);
        product.category_count = pg_get_text_array(result, arena, 0, 5, &category);
        product.category = category;
        product.brand = pg_get_text(result, 0, 6);
        product.url = pg_get_text(result, 0, 7);
        product.image_url = pg_get_text(result, 0, 8);
        product.currency = pg_get_text(result, 0, 9);
        product.has_price = !pg_is_null(result, 0, 10);
        product.price_minor = pg_get_i64(result, 0, 10);
        product.has_compare_at = !pg_is_null(result, 0, 11);
        product.compare_at_minor = pg_get_i64(result, 0, 11);
        product.has_stock = !pg_is_null(result, 0, 12);
        product.stock = pg_get_i64(result, 0, 12);
        target->substitute_count = pg_get_text_array(result, arena, 0, 13, &target->substitutes);
    }
    target->product = product;
}

enum status interest_target_read(struct pg *pg, struct arena *arena, struct interest_target *target,
                                 struct problem *problem)
{
    struct pg_params params;
    struct pg_result *results[2] = { NULL };
    pg_params_init(&params, arena);
    pg_put_id(&params, target->workspace_id);
    pg_put_id(&params, target->source_id);
    pg_put_text(&params, target->product_id);
    pg_put_text(&params, target->variant_id);
    enum status status = pg_queue(pg, &target_sides, &params);
    if (status == STATUS_OK) {
        status = pg_queue(pg, &target_product, &params);
    }
    if (status == STATUS_OK) {
        status = pg_sync(pg, arena, results, ARRAY_COUNT(results), problem);
    }
    if (status == STATUS_OK && !take_sides(arena, results[0], target)) {
        status = STATUS_LIMIT;
    }
    if (status == STATUS_OK) {
        take_product(arena, results[1], target);
    }
    return status;
}

enum status interest_target_shop(struct pg *pg, struct arena *arena, struct interest_target *target,
                                 struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, target->workspace_id);
    pg_put_id(&params, target->source_id);
    pg_put_text(&params, target->product_id);
    enum status status = pg_run(pg, arena, &target_shop, &params, &result, problem);
    if (status == STATUS_OK && pg_row_count(result) > 0) {
        target->source_id = pg_get_id(result, 0, 0);
    }
    return status;
}

/* --- one customer's -------------------------------------------------------- */

enum status interest_list_read(struct pg *pg, struct arena *arena,
                               const struct interest_query *query, struct interest_view **out_rows,
                               size_t *out_count, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, query->workspace_id);
    pg_put_ids(&params, query->origins, query->origin_count);
    pg_put_id_or_null(&params, query->source_id);
    pg_put_text_or_null(&params, query->product_id);
    pg_put_instant(&params, query->before_ms);
    pg_put_id(&params, query->before_source_id);
    pg_put_text(&params, query->before_product_id);
    pg_put_text(&params, query->before_variant_id);
    pg_put_i64(&params, (int64_t)query->limit);
    enum status status = pg_run(pg, arena, &list_rows, &params, &result, problem);
    size_t count = status == STATUS_OK ? pg_row_count(result) : 0;
    struct interest_view *rows = ARENA_NEW_ARRAY(arena, count + 1, struct interest_view);
    if (status == STATUS_OK && rows == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        rows[i] = (struct interest_view){
            .source_id = pg_get_id(result, i, 0),
            .source = pg_get_text(result, i, 1),
            .product_id = pg_get_text(result, i, 2),
            .variant_id = pg_get_text(result, i, 3),
            .name = pg_get_text(result, i, 4),
            .variant_name = pg_get_text(result, i, 5),
            .newest_at_ms = pg_get_instant(result, i, 6),
            .interest = interest_decode(result, i, LIST_JOINED),
        };
        rows[i].interest.substitute_bought_at_ms = pg_get_instant(result, i, 7);
    }
    *out_rows = rows;
    *out_count = count;
    return status;
}

/* --- as stored -------------------------------------------------------------- */

enum status interest_stored_read(struct pg *pg, struct arena *arena, struct id workspace_id,
                                 const struct id *origins, const size_t *groups, size_t count,
                                 struct interest_stored **out_rows, size_t *out_count,
                                 struct problem *problem)
{
    struct pg_params params;
    struct pg_array numbers;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_ids(&params, origins, count);
    pg_array_begin(&numbers, &params, PG_INT8, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_i64(&numbers, (int64_t)groups[i]);
    }
    pg_array_end(&numbers);
    enum status status = pg_run(pg, arena, &stored_rows, &params, &result, problem);
    size_t rows = status == STATUS_OK ? pg_row_count(result) : 0;
    *out_rows = ARENA_NEW_ARRAY(arena, rows + 1, struct interest_stored);
    if (status == STATUS_OK && *out_rows == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < rows; i++) {
        (*out_rows)[i] = (struct interest_stored){
            .group = (size_t)pg_get_i64(result, i, 0),
            .row = { .key = { .source_id = pg_get_id(result, i, 1),
                              .product_id = pg_get_text(result, i, 2),
                              .variant_id = pg_get_text(result, i, 3) },
                     .facts = interest_decode(result, i, 4),
                     .asked_at_ms = INSTANT_NONE },
        };
    }
    *out_count = rows;
    return status;
}
