#include "store/catalogue.h"

#include "base/clock.h"
#include "base/money.h"
#include "catalogue_priv.h"

/*
 * The catalogue as a fold of documents and stock levels.
 *
 * Problem: shops tell of a product in whole documents, late and out of order,
 * and of stock by an inventory item alone (Shopify), often before the product
 * it belongs to. Two writers may hold two documents of one product at once.
 *
 * Invariant: the row of a product (variant_id '') is that of its newest
 * document by (version, hash); its variants are those of that document and no
 * other. Stock is kept per inventory item and location, newest wins; a
 * variant's total is the sum of its levels, or the document's own figure where
 * that is newer (of several locations only some may have spoken yet). So the
 * rows follow from the set of facts, whatever their order.
 *
 * Locks: a document locks its product, then the inventory items of its
 * variants, then writes variants; a level locks its item, then the variants.
 * Each statement sees what the writers it waited for have committed: that is
 * why they are eight in one round trip, and none where no event speaks of
 * products. The last three tell what has changed (catalogue_tell.c).
 *
 * Documents are taken apart by the database, which unnests them anyway. What is
 * not of its type is not there: a shop's odd field must not fail a batch.
 */

/* clang-format off */
#define NUMBER_OF(object, key, factor)                                               \
    "CASE WHEN jsonb_typeof(" object "->'" key "') = 'number'"                       \
    " AND abs((" object "->>'" key "')::numeric) < 1e12"                             \
    " THEN round((" object "->>'" key "')::numeric * " factor ")::bigint END"
#define MONEY_OF(object, key) NUMBER_OF(object, key, "power(10::numeric, d.decimals)")
#define WHOLE_OF(object, key) NUMBER_OF(object, key, "1")
/* ["a", "b"], or one text cut at `separator`. */
#define LIST_OF(object, key, separator)                                              \
    "coalesce(CASE jsonb_typeof(" object "->'" key "') WHEN 'array' THEN"            \
    " ARRAY(SELECT left(e.item, 1024) FROM jsonb_array_elements_text(" object        \
    "->'" key "') WITH ORDINALITY AS e (item, place) WHERE e.item <> ''"             \
    " ORDER BY e.place LIMIT 50) WHEN 'string' THEN string_to_array(nullif("         \
    object "->>'" key "', ''), " separator ") END, '{}')"

/* The variants of document d, each once. */
#define VARIANTS                                                                     \
    "(SELECT DISTINCT ON (e.id) e.id, e.v FROM (SELECT " TEXT_OF("v", "variant_id")  \
    " AS id, v FROM jsonb_array_elements(CASE jsonb_typeof(d.body->'variants')"      \
    " WHEN 'array' THEN d.body->'variants' ELSE '[]' END) AS v) e"                   \
    " WHERE e.id IS NOT NULL ORDER BY e.id) v"

/* Every inventory item that the batch speaks of; stock is NULL where only its
 * document does. */
#define ITEMS                                                                        \
    "(SELECT d.source_id, " ITEM_OF("d.body", "''") " AS item, '' AS location,"      \
    " NULL::bigint AS stock, NULL::timestamptz AS at"                                \
    " FROM " DOCUMENTS " WHERE NOT d.is_deleted"                                     \
    " UNION ALL SELECT d.source_id, " ITEM_OF("v.v", "v.id") ", '', NULL, NULL"      \
    " FROM " DOCUMENTS " CROSS JOIN LATERAL " VARIANTS " WHERE NOT d.is_deleted"     \
    " UNION ALL SELECT d.source_id, " LEVEL_ITEM ","                                 \
    " coalesce(" TEXT_OF("d.body", "location") ", ''), " WHOLE_OF("d.body", "stock") \
    ", d.version_at FROM " LEVELS ") k"

static const struct pg_statement put_products = {
    "catalogue_put_products",
    "INSERT INTO product AS p (workspace_id, source_id, product_id, variant_id,"
    " inventory_item_id, name, category, brand, url, image_url, substitutes, currency, sku,"
    " price_minor, compare_at_minor, own_stock, stock_total, version_at, version_hash,"
    " first_seen_at, deleted_at)"
    " SELECT $1, d.source_id, d.product_id, '', " ITEM_OF("d.body", "''") ","
    " " TEXT_OF("d.body", "name") ", " LIST_OF("d.body", "category", "' > '") ","
    " " TEXT_OF("d.body", "brand") ", " TEXT_OF("d.body", "url") ","
    " " TEXT_OF("d.body", "image_url") ", " LIST_OF("d.body", "substitutes", "','") ","
    " CASE WHEN NOT d.is_deleted THEN d.currency END, " TEXT_OF("d.body", "sku") ","
    " " MONEY_OF("d.body", "price") ", " MONEY_OF("d.body", "compare_at_price") ","
    " " WHOLE_OF("d.body", "stock") ", " WHOLE_OF("d.body", "stock") ","
    " d.version_at, d.version_hash, d.received_at,"
    " CASE WHEN d.is_deleted THEN d.version_at END FROM " DOCUMENTS
    " ON CONFLICT (workspace_id, source_id, product_id, variant_id) DO UPDATE SET"
    " inventory_item_id = EXCLUDED.inventory_item_id, name = EXCLUDED.name,"
    " category = EXCLUDED.category, brand = EXCLUDED.brand, url = EXCLUDED.url,"
    " image_url = EXCLUDED.image_url, substitutes = EXCLUDED.substitutes,"
    " currency = EXCLUDED.currency, sku = EXCLUDED.sku, price_minor = EXCLUDED.price_minor,"
    " compare_at_minor = EXCLUDED.compare_at_minor, own_stock = EXCLUDED.own_stock,"
    " stock = '{}', stock_total = EXCLUDED.stock_total, stock_at = NULL,"
    " version_at = EXCLUDED.version_at, version_hash = EXCLUDED.version_hash,"
    " deleted_at = EXCLUDED.deleted_at"
    " WHERE (p.version_at, p.version_hash) < (EXCLUDED.version_at, EXCLUDED.version_hash)",
};

static const struct pg_statement lock_items = {
    "catalogue_lock_items",
    "INSERT INTO inventory_item AS i (workspace_id, source_id, inventory_item_id, levels,"
    " newest_at) SELECT $1, n.source_id, n.item, n.levels, n.newest_at FROM (SELECT l.source_id,"
    " l.item, coalesce(jsonb_object_agg(l.location, jsonb_build_object('stock', l.stock, 'at',"
    " (extract(epoch FROM l.at) * 1000)::bigint)) FILTER (WHERE l.stock IS NOT NULL), '{}')"
    " AS levels, max(l.at) FILTER (WHERE l.stock IS NOT NULL) AS newest_at"
    " FROM (SELECT DISTINCT ON (k.source_id, k.item, k.location) k.* FROM " ITEMS
    " ORDER BY k.source_id, k.item, k.location, (k.stock IS NULL), k.at DESC, k.stock DESC) l"
    " GROUP BY l.source_id, l.item ORDER BY l.source_id, l.item) n"
    " ON CONFLICT (workspace_id, source_id, inventory_item_id) DO UPDATE SET"
    " levels = (SELECT jsonb_object_agg(m.key, m.value) FROM (SELECT DISTINCT ON (e.key) e.key,"
    "  e.value FROM (SELECT key, value FROM jsonb_each(i.levels) UNION ALL"
    "  SELECT key, value FROM jsonb_each(EXCLUDED.levels)) e ORDER BY e.key,"
    "  (e.value->>'at')::bigint DESC, (e.value->>'stock')::bigint DESC) m),"
    " newest_at = greatest(i.newest_at, EXCLUDED.newest_at)"
    " WHERE EXCLUDED.newest_at IS NOT NULL",
};

/* Of the documents that are the newest now. */
#define HEADS                                                                        \
    DOCUMENTS " CROSS JOIN LATERAL (SELECT p.* FROM product p"                       \
    " WHERE p.workspace_id = $1 AND p.source_id = d.source_id"                       \
    " AND p.product_id = d.product_id AND p.variant_id = ''"                         \
    " AND p.version_at = d.version_at AND p.version_hash = d.version_hash OFFSET 0) h"

static const struct pg_statement put_variants = {
    "catalogue_put_variants",
    "INSERT INTO product AS p (workspace_id, source_id, product_id, variant_id,"
    " inventory_item_id, name, variant_name, category, brand, url, image_url, substitutes,"
    " currency, sku, price_minor, compare_at_minor, own_stock, stock_total, version_at,"
    " version_hash, first_seen_at, told_price_minor, told_currency)"
    " SELECT $1, h.source_id, h.product_id, v.id, " ITEM_OF("v.v", "v.id") ", h.name,"
    " " TEXT_OF("v.v", "name") ", h.category, h.brand,"
    " coalesce(" TEXT_OF("v.v", "url") ", h.url),"
    " coalesce(" TEXT_OF("v.v", "image_url") ", h.image_url), h.substitutes, h.currency,"
    " " TEXT_OF("v.v", "sku") ", " MONEY_OF("v.v", "price") ","
    " " MONEY_OF("v.v", "compare_at_price") ", " WHOLE_OF("v.v", "stock") ","
    " " WHOLE_OF("v.v", "stock") ", h.version_at, h.version_hash, d.received_at,"
    " " MONEY_OF("v.v", "price") ", h.currency"
    " FROM " HEADS " CROSS JOIN LATERAL " VARIANTS " WHERE h.deleted_at IS NULL"
    " ORDER BY h.source_id, h.product_id, v.id"
    " ON CONFLICT (workspace_id, source_id, product_id, variant_id) DO UPDATE SET"
    " inventory_item_id = EXCLUDED.inventory_item_id, name = EXCLUDED.name,"
    " variant_name = EXCLUDED.variant_name, category = EXCLUDED.category,"
    " brand = EXCLUDED.brand, url = EXCLUDED.url, image_url = EXCLUDED.image_url,"
    " substitutes = EXCLUDED.substitutes, currency = EXCLUDED.currency, sku = EXCLUDED.sku,"
    " price_minor = EXCLUDED.price_minor, compare_at_minor = EXCLUDED.compare_at_minor,"
    " own_stock = EXCLUDED.own_stock, stock = '{}', stock_total = EXCLUDED.stock_total,"
    " stock_at = NULL, version_at = EXCLUDED.version_at, version_hash = EXCLUDED.version_hash,"
    " deleted_at = NULL"
    " WHERE (p.version_at, p.version_hash) < (EXCLUDED.version_at, EXCLUDED.version_hash)",
};

static const struct pg_statement drop_variants = {
    "catalogue_drop_variants",
    "UPDATE product AS p SET deleted_at = g.at FROM (SELECT $1::uuid AS workspace_id, r.source_id,"
    " r.product_id, r.variant_id, h.version_at AS at FROM " HEADS " CROSS JOIN LATERAL (SELECT p.source_id,"
    " p.product_id, p.variant_id FROM product p WHERE p.workspace_id = $1"
    " AND p.source_id = d.source_id AND p.product_id = d.product_id AND p.variant_id > ''"
    " AND p.deleted_at IS NULL AND (p.version_at, p.version_hash) < (d.version_at,"
    " d.version_hash) OFFSET 0) r ORDER BY r.source_id, r.product_id, r.variant_id OFFSET 0) g"
    " WHERE p.workspace_id = g.workspace_id AND p.source_id = g.source_id"
    " AND p.product_id = g.product_id AND p.variant_id = g.variant_id",
};

/* An insert that always meets its row: an UPDATE is a join with its target, and
 * on a table that it believes empty the planner begins with that. */
static const struct pg_statement settle_stock = {
    "catalogue_settle_stock",
    "INSERT INTO product AS p (workspace_id, source_id, product_id, variant_id,"
    " inventory_item_id, version_at, version_hash, first_seen_at, stock_at, stock, stock_total)"
    " SELECT $1, k.source_id, r.product_id, r.variant_id, k.item, r.version_at, r.version_hash,"
    " r.first_seen_at, i.newest_at, (SELECT jsonb_object_agg(l.key, l.value->'stock')"
    "  FROM jsonb_each(i.levels) l), CASE WHEN r.own_stock IS NULL OR i.newest_at > r.version_at"
    " THEN (SELECT sum((l.value->>'stock')::bigint) FROM jsonb_each(i.levels) l)"
    " ELSE r.own_stock END"
    " FROM (SELECT DISTINCT k.source_id, k.item FROM " ITEMS ") k"
    " CROSS JOIN LATERAL (SELECT i.newest_at, i.levels FROM inventory_item i"
    "  WHERE i.workspace_id = $1 AND i.source_id = k.source_id AND i.inventory_item_id = k.item"
    "  AND i.newest_at IS NOT NULL OFFSET 0) i"
    " CROSS JOIN LATERAL (SELECT p.product_id, p.variant_id, p.version_at, p.version_hash,"
    "  p.first_seen_at, p.own_stock FROM product p WHERE p.workspace_id = $1"
    "  AND p.source_id = k.source_id AND p.inventory_item_id = k.item AND p.deleted_at IS NULL"
    "  OFFSET 0) r ORDER BY k.source_id, r.product_id, r.variant_id"
    " ON CONFLICT (workspace_id, source_id, product_id, variant_id) DO UPDATE SET"
    " stock_at = EXCLUDED.stock_at, stock = EXCLUDED.stock, stock_total = EXCLUDED.stock_total",
};
/* clang-format on */

/* --- what the batch says --------------------------------------------------- */

/* A document needs its product; a level may name the item alone. */
static bool is_of_catalogue(const struct event *event)
{
    return event->type == EVENT_INVENTORY_UPDATED ||
           ((event->type == EVENT_PRODUCT_UPDATED || event->type == EVENT_PRODUCT_DELETED) &&
            event->product_id.size > 0);
}

static struct id hash_of(const struct event *event)
{
    struct id_hash hash;
    id_hash_begin(&hash, "product document");
    id_hash_add(&hash, str_from_z(event_type_info(event->type)->name));
    id_hash_add(&hash, event->properties_json);
    return id_hash_end(&hash);
}

static size_t find_facts(const struct batch *batch, const struct event **facts)
{
    size_t count = 0;
    for (size_t i = 0; i < batch->event_count; i++) {
        if (!batch->is_duplicate[i] && is_of_catalogue(batch->events[i])) {
            if (facts != NULL) {
                facts[count] = batch->events[i];
            }
            count++;
        }
    }
    return count;
}

static void put_fact(struct pg_array *c, const struct event *event)
{
    bool is_deleted = event->type == EVENT_PRODUCT_DELETED;
    pg_array_id(&c[0], event->source_id);
    pg_array_text(&c[1], event->product_id);
    pg_array_instant(&c[2], event->occurred_at_ms);
    pg_array_id(&c[3], hash_of(event));
    pg_array_bool(&c[4], is_deleted);
    pg_array_i32(&c[5], (int32_t)money_decimals(event->currency));
    pg_array_text(&c[6], event->currency);
    pg_array_instant(&c[7], event->received_at_ms);
    pg_array_i16(&c[8],
                 event->type == EVENT_INVENTORY_UPDATED ? CATALOGUE_LEVEL : CATALOGUE_DOCUMENT);
    pg_array_jsonb_or_null(&c[9], is_deleted ? (struct str){ NULL, 0 } : event->properties_json);
}

static void put_exceptions(struct pg_params *params)
{
    struct pg_array codes;
    struct pg_array decimals;
    size_t count = 0;
    while (money_exception(count) != NULL) {
        count++;
    }
    pg_array_begin(&codes, params, PG_TEXT, count);
    pg_array_begin(&decimals, params, PG_INT4, count);
    for (size_t i = 0; i < count; i++) {
        struct str code = str_from_z(money_exception(i));
        pg_array_text(&codes, code);
        pg_array_i32(&decimals, (int32_t)money_decimals(code));
    }
    pg_array_end(&codes);
    pg_array_end(&decimals);
}

bool catalogue_speaks(const struct batch *batch)
{
    return find_facts(batch, NULL) > 0;
}

enum status catalogue_queue(struct batch *batch, bool tells)
{
    static const enum pg_type types[] = { PG_UUID, PG_TEXT, PG_INSTANT, PG_UUID, PG_BOOL,
                                          PG_INT4, PG_TEXT, PG_INSTANT, PG_INT2, PG_JSONB };
    static const struct pg_statement *const statements[CATALOGUE_STATEMENTS_MAX] = {
        &put_products,          &lock_items,     &put_variants,
        &drop_variants,         &settle_stock,   &catalogue_learn_stock,
        &catalogue_learn_price, &catalogue_tell,
    };
    size_t count = find_facts(batch, NULL);
    if (count == 0) {
        return STATUS_OK;
    }
    const struct event **facts = ARENA_NEW_ARRAY(batch->arena, count, const struct event *);
    struct pg_params params;
    struct pg_array columns[ARRAY_COUNT(types)];
    if (facts == NULL) {
        return STATUS_LIMIT;
    }
    (void)find_facts(batch, facts);
    pg_params_init(&params, batch->arena);
    pg_put_id(&params, batch->workspace_id);
    pg_columns_begin(columns, &params, types, ARRAY_COUNT(types), count);
    for (size_t i = 0; i < count; i++) {
        put_fact(columns, facts[i]);
    }
    pg_columns_end(columns, ARRAY_COUNT(types));
    pg_put_bool(&params, tells);
    pg_put_instant(&params, clock_now_ms());
    put_exceptions(&params);
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < ARRAY_COUNT(statements); i++) {
        status = pg_queue(batch->pg, statements[i], &params);
    }
    return status;
}
