#include "catalogue_priv.h"
#include "fan_out_priv.h"

/*
 * What is worth telling of the catalogue: back in stock, out of stock, dearer,
 * cheaper; one fact a variant, since who waits for XL is not to hear of M.
 *
 * Problem: between two documents a stock goes 0, 3, 0, 2 and a price wobbles by
 * a cent; others learn the same from a level, late, twice, from two writers at
 * once. Compared with the document before, each of these is news.
 *
 * Invariant: compared is what is with what was last told (product.told_*), by
 * the last three statements of the batch, when the rows are settled and still
 * locked: two take what is news for told, stock and price each, the third writes
 * it down.
 * So a fact is told once for each crossing: out of stock at 0, back in stock
 * only at the workspace's minimum, a price when it is away from the last one told
 * by percentage and amount. A fact that repeats itself within the quiet time is
 * not told and not taken for told: the next word from the shop behind it is
 * compared again. A late document leaves the rows as they are, hence says
 * nothing, and neither does one that comes twice. The id is that of the cause:
 * whose, what, and the version that it became true with.
 *
 * Nothing is told of what is seen or counted for the first time, of a price in
 * another currency than the last one, and by history: an import only learns.
 * Stock that is not counted (NULL) is neither in nor out. What is deleted, or gone
 * from its product's document, and was in stock, is out of stock: it cannot be
 * bought, and who is being told that it can must not be. If it comes again it is
 * back. A price is not compared with what was deleted.
 *
 * The same sku in another shop does not matter here: a fact is of one source,
 * where one can buy. It carries the sku, by which interests in other shops are
 * found. What several documents of one batch say is told as their sum: nobody
 * could ever read what was between.
 *
 * Rejected: comparing in `put_variants` and `settle_stock`, where the rows still
 * hold what was. A level and a document of one batch write a row twice, and
 * hysteresis needs more than the row before.
 */

/* clang-format off */
/* Whatever the batch spoke of, whether or not it changed. (Compared with an
 * expression, a level's item would not be sought by its index.) */
#define TOUCHED                                                                      \
    "(SELECT DISTINCT r.source_id, r.product_id, r.variant_id FROM"                  \
    " unnest($2::uuid[], $3::text[], $10::smallint[], $11::jsonb[])"                 \
    " AS d (source_id, product_id, kind, body)"                                      \
    " CROSS JOIN LATERAL (SELECT " LEVEL_ITEM " AS item OFFSET 0) i CROSS JOIN LATERAL"\
    " (SELECT p.source_id, p.product_id, p.variant_id FROM product p WHERE d.kind = 1"\
    "  AND p.workspace_id = $1 AND p.source_id = d.source_id"                        \
    "  AND p.product_id = d.product_id UNION ALL"                                    \
    "  SELECT p.source_id, p.product_id, p.variant_id FROM product p WHERE d.kind = 2"\
    "  AND p.workspace_id = $1 AND p.source_id = d.source_id"                        \
    "  AND p.inventory_item_id = i.item) r) t"
#define OF_TOUCHED                                                                   \
    "p.workspace_id = $1 AND p.source_id = t.source_id AND p.product_id = t.product_id"\
    " AND p.variant_id = t.variant_id"
#define STOCK_AT "greatest(p.version_at, p.stock_at, p.deleted_at)"
#define DECIMALS                                                                     \
    "coalesce((SELECT c.decimals FROM unnest($14::text[], $15::int[])"               \
    " AS c (currency, decimals) WHERE c.currency = p.currency), 2)"

/* Only what can be bought is spoken of: variants, or the product if it has none. */
#define IS_SOLD                                                                      \
    " CROSS JOIN LATERAL (SELECT p.variant_id > '' OR NOT EXISTS (SELECT 1"          \
    "  FROM product v WHERE v.workspace_id = $1 AND v.source_id = p.source_id"       \
    "  AND v.product_id = p.product_id AND v.variant_id > '' AND v.deleted_at IS NULL)"\
    "  AS is_sold) s WHERE " OF_TOUCHED " OFFSET 0) r"

#define STOCK_NOW                                                                    \
    "(SELECT p.source_id, p.product_id, p.variant_id, p.told_stock, p.back_told_at," \
    " p.out_told_at, s.is_sold, CASE WHEN NOT s.is_sold THEN NULL"                   \
    "  WHEN p.deleted_at IS NULL THEN p.stock_total"                                 \
    "  WHEN p.told_stock > 0 THEN 0 ELSE p.told_stock END AS stock,"                 \
    " " STOCK_AT " AS at FROM product p" IS_SOLD
#define PRICE_NOW                                                                    \
    "(SELECT p.source_id, p.product_id, p.variant_id, p.told_price_minor,"           \
    " p.told_currency, p.dropped_told_at, p.raised_told_at, s.is_sold, p.currency,"  \
    " CASE WHEN s.is_sold AND p.deleted_at IS NULL THEN p.price_minor END AS price," \
    " abs(p.price_minor::numeric - p.told_price_minor) AS away,"                     \
    " power(10::numeric, " DECIMALS ") AS unit, p.version_at AS at FROM product p" IS_SOLD

#define SETTINGS                                                                     \
    "(SELECT w.back_in_stock_min AS least, w.price_change_percent::numeric AS percent,"\
    " w.price_change_amount AS amount, w.catalogue_quiet_ms * interval '1 ms' AS quiet"\
    " FROM workspace w WHERE w.id = $1 OFFSET 0) w"

/* On the other side of the line: up is 1, down is -1. */
#define STOCK_SIDE                                                                   \
    "(SELECT CASE WHEN r.told_stock <= 0 AND r.stock >= w.least THEN 1"              \
    " WHEN r.told_stock > 0 AND r.stock <= 0 THEN -1 END AS side) c"
#define PRICE_SIDE                                                                   \
    "(SELECT CASE WHEN r.currency IS NOT DISTINCT FROM r.told_currency"              \
    " AND r.away * 10000 >= w.percent * r.told_price_minor"                          \
    " AND r.away * 100 >= w.amount * r.unit"                                         \
    " THEN nullif(sign(r.price - r.told_price_minor), 0) END AS side) c"

/* Passed over, and left to be compared again, while it would repeat itself. */
#define IS_TAKEN(up_told_at, down_told_at)                                           \
    "c.side IS NOT NULL AND (NOT $12 OR coalesce(r.at >= w.quiet"                    \
    " + CASE c.side WHEN 1 THEN " up_told_at " ELSE " down_told_at " END, true))"
#define OF_GIVEN                                                                     \
    " ORDER BY r.source_id, r.product_id, r.variant_id OFFSET 0) g"                  \
    " WHERE x.workspace_id = g.workspace_id AND x.source_id = g.source_id"           \
    " AND x.product_id = g.product_id AND x.variant_id = g.variant_id"

const struct pg_statement catalogue_learn_stock = {
    "catalogue_learn_stock",
    "UPDATE product AS x SET told_stock = g.stock, stock_learnt_at = $13,"
    " told_from_stock = CASE WHEN g.is_told THEN x.told_stock END,"
    " back_told_at = CASE WHEN g.is_told AND g.stock > 0 THEN g.at ELSE x.back_told_at END,"
    " out_told_at = CASE WHEN g.is_told AND g.stock <= 0 THEN g.at ELSE x.out_told_at END"
    " FROM (SELECT $1::uuid AS workspace_id, r.source_id, r.product_id, r.variant_id, r.stock, r.at,"
    "  $12 AND c.side IS NOT NULL AS is_told"
    "  FROM " TOUCHED " CROSS JOIN LATERAL " STOCK_NOW " CROSS JOIN " SETTINGS
    "  CROSS JOIN LATERAL " STOCK_SIDE
    "  WHERE CASE WHEN NOT r.is_sold THEN r.told_stock IS NOT NULL"
    "   WHEN r.told_stock IS NULL THEN r.stock IS NOT NULL"
    "   ELSE " IS_TAKEN("r.back_told_at", "r.out_told_at") " END" OF_GIVEN,
};

const struct pg_statement catalogue_learn_price = {
    "catalogue_learn_price",
    "UPDATE product AS x SET told_price_minor = g.price, told_currency = g.currency,"
    " price_learnt_at = $13,"
    " told_from_price_minor = CASE WHEN g.is_told THEN x.told_price_minor END,"
    " dropped_told_at = CASE WHEN g.is_told AND g.price < x.told_price_minor THEN g.at"
    "  ELSE x.dropped_told_at END,"
    " raised_told_at = CASE WHEN g.is_told AND g.price > x.told_price_minor THEN g.at"
    "  ELSE x.raised_told_at END"
    " FROM (SELECT $1::uuid AS workspace_id, r.source_id, r.product_id, r.variant_id, r.price,"
    "  r.currency, r.at, $12 AND c.side IS NOT NULL AS is_told"
    "  FROM " TOUCHED " CROSS JOIN LATERAL " PRICE_NOW " CROSS JOIN " SETTINGS
    "  CROSS JOIN LATERAL " PRICE_SIDE
    "  WHERE CASE WHEN NOT r.is_sold THEN r.told_price_minor IS NOT NULL"
    "   WHEN r.price IS NULL THEN false WHEN r.told_price_minor IS NULL"
    "   OR r.currency IS DISTINCT FROM r.told_currency THEN true"
    "   ELSE " IS_TAKEN("r.raised_told_at", "r.dropped_told_at") " END" OF_GIVEN,
};

#define MAJOR(minor)                                                                 \
    "round(" minor " / power(10::numeric, p.decimals), p.decimals)"

/* Version 8, of what jsonb writes: one text for one cause. */
#define ID_OF_CAUSE                                                                  \
    "encode(set_byte(set_byte(h.hash, 6, get_byte(h.hash, 6) & 15 | 128), 8,"        \
    " get_byte(h.hash, 8) & 63 | 128), 'hex')::uuid"
#define HASH_OF_CAUSE                                                                \
    "substring(sha256(convert_to(jsonb_build_array(p.source_id, p.product_id,"       \
    " p.variant_id, e.type, (extract(epoch FROM e.at) * 1000)::bigint,"              \
    " p.version_hash)::text, 'UTF8')) FOR 16)"

#define FACT_PROPERTIES                                                              \
    "jsonb_build_object('product_id', p.product_id, 'variant_id',"                   \
    " nullif(p.variant_id, ''), 'sku', p.sku, 'name', p.name, 'variant_name',"       \
    " p.variant_name, 'category', p.category, 'brand', p.brand, 'url', p.url,"       \
    " 'image_url', p.image_url, 'price', " MAJOR("p.price_minor") ","                \
    " 'compare_at_price', " MAJOR("p.compare_at_minor") ", 'currency',"              \
    " nullif(p.currency, ''), 'stock', CASE WHEN p.is_deleted THEN p.told_stock"     \
    " ELSE p.stock_total END, 'previous_price', " MAJOR("e.from_price") ","          \
    " 'previous_stock', e.from_stock, 'deleted', p.is_deleted)"

/* What the statements before have taken: one row a fact, and none a second time; and the
 * jobs that ring whom it concerns. */
const struct pg_statement catalogue_tell = {
    "catalogue_tell",
    "WITH told AS (INSERT INTO universal_event (workspace_id, id, type, source_id, product_id,"
    " variant_id, sku, occurred_at, recorded_at, properties)"
    " SELECT $1, " ID_OF_CAUSE ", e.type, p.source_id, p.product_id, p.variant_id, p.sku, e.at, $13,"
    " " FACT_PROPERTIES " FROM " TOUCHED " CROSS JOIN LATERAL (SELECT p.source_id, p.product_id,"
    "  p.variant_id, p.version_hash, p.sku, p.name, p.variant_name, p.category, p.brand, p.url,"
    "  p.image_url, p.currency, p.price_minor, p.compare_at_minor, p.stock_total, p.told_stock,"
    "  CASE WHEN p.stock_learnt_at = $13 THEN p.told_from_stock END AS from_stock,"
    "  p.told_price_minor,"
    "  CASE WHEN p.price_learnt_at = $13 THEN p.told_from_price_minor END AS from_price,"
    "  p.version_at, " STOCK_AT " AS stock_at, p.deleted_at IS NOT NULL AS is_deleted,"
    "  " DECIMALS " AS decimals FROM product p WHERE " OF_TOUCHED " OFFSET 0) p"
    " CROSS JOIN LATERAL (VALUES (CASE WHEN p.told_stock > 0 THEN 'product.back_in_stock'"
    "   ELSE 'product.out_of_stock' END, p.stock_at, p.from_stock, NULL::bigint),"
    "  (CASE WHEN p.told_price_minor < p.from_price THEN 'product.price_dropped'"
    "   ELSE 'product.price_raised' END, p.version_at, NULL, p.from_price))"
    "  AS e (type, at, from_stock, from_price)"
    " CROSS JOIN LATERAL (SELECT " HASH_OF_CAUSE " AS hash) h"
    " WHERE $12 AND (e.from_stock IS NOT NULL OR e.from_price IS NOT NULL)"
    " ORDER BY 1, 2 ON CONFLICT (workspace_id, id) DO NOTHING RETURNING id, type, recorded_at) "
    FAN_OUT_JOBS,
};
/* clang-format on */
