#include "store/interest_save.h"

#include "base/instant.h"
#include "interest_priv.h"

/*
 * Interests of a batch: one statement adds what its facts say, and a second, only
 * where an order lost something, asks the orders that remain.
 *
 * Locks: a row is written only under the lock of the profile that its origin
 * belongs to now, as everything of a customer is, so two writers never meet here.
 * The cost is that of the keys of the batch: two probes of a unique index each,
 * whatever the customer's history.
 *
 * What a page showed of the stock it says itself, or the catalogue says what it
 * was: but only if that has stood since before the look, so that history which
 * comes in late, and is older than the stock we know, is not called sold out. The
 * page's source is seldom the shop's: the catalogues of the workspace's sources are
 * asked for the product's id, the page's own first. It is the one thing here that depends on when a
 * fact comes in, like `since` of a verdict: an observation, never computed again.
 *
 * Whether the customer bought a substitute is not kept: it would be a write to all
 * interests of the customer in a category with each order, to be taken back with
 * each refund, and wrong when the shop moves a product. Readers ask the few rows of
 * the customer that have bought_at, by the index of its origin (interest_read.c).
 */

/* Texts with macros between them are taken apart by the formatter. */
/* clang-format off */
#define IS_OUT                                                                        \
    "coalesce(p.stock_total, 1) <= 0 AND coalesce(p.stock_at, p.version_at) <= u.asked_at"
/* Of whichever catalogue knows it. */
#define WAS_OUT_OF(verdict, variant)                                                  \
    "(SELECT o.is_out FROM source s CROSS JOIN LATERAL (SELECT " verdict " AS is_out" \
    " FROM product p WHERE p.workspace_id = $1 AND p.source_id = s.id"                \
    " AND p.product_id = u.product_id AND p.variant_id " variant                      \
    " AND p.deleted_at IS NULL OFFSET 0) o WHERE s.workspace_id = $1"                 \
    " AND o.is_out IS NOT NULL ORDER BY s.id <> u.source_id, s.id LIMIT 1)"

/* A product without the variant named, or without variants: its own row. One that
 * was looked at as a whole: sold out when all its variants are. */
#define WAS_OUT                                                                       \
    "coalesce(CASE WHEN u.variant_id = '' THEN"                                       \
    " " WAS_OUT_OF("bool_and(" IS_OUT ")", "> ''") " ELSE"                            \
    " " WAS_OUT_OF(IS_OUT, "= u.variant_id") " END, " WAS_OUT_OF(IS_OUT, "= ''") ")"

/* Null where neither has one; of two in one millisecond the greater. */
#define OF_NEWER_PRICE(column)                                                        \
    "CASE WHEN i.price_seen_at IS NULL OR (EXCLUDED.price_seen_at,"                   \
    " EXCLUDED.price_minor, EXCLUDED.currency) > (i.price_seen_at, i.price_minor,"    \
    " i.currency) THEN EXCLUDED." column " ELSE i." column " END"

static const struct pg_statement save_interest = {
    "save_interest",
    "INSERT INTO interest AS i (workspace_id, source_id, product_id, variant_id, origin_id,"
    " viewed_at, view_count, out_of_stock_seen_at, price_seen_at, price_minor, currency,"
    " carted_at, wished_at, unwished_at, bought_at)"
    " SELECT $1, u.source_id, u.product_id, u.variant_id, u.origin_id, u.viewed_at,"
    " u.view_count, greatest(u.out_of_stock_seen_at, CASE WHEN u.asked_at IS NOT NULL"
    " AND " WAS_OUT " THEN u.asked_at END), u.price_seen_at, u.price_minor, u.currency,"
    " u.carted_at, u.wished_at, u.unwished_at, u.bought_at"
    " FROM unnest($2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::timestamptz[],"
    " $7::bigint[], $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::bigint[],"
    " $12::text[], $13::timestamptz[], $14::timestamptz[], $15::timestamptz[],"
    " $16::timestamptz[]) AS u (source_id, product_id, variant_id, origin_id, viewed_at,"
    " view_count, out_of_stock_seen_at, asked_at, price_seen_at, price_minor, currency,"
    " carted_at, wished_at, unwished_at, bought_at)"
    " ON CONFLICT (workspace_id, source_id, product_id, variant_id, origin_id) DO UPDATE SET"
    " viewed_at = greatest(i.viewed_at, EXCLUDED.viewed_at),"
    " view_count = CASE WHEN $17 THEN greatest(i.view_count, EXCLUDED.view_count)"
    " ELSE i.view_count + EXCLUDED.view_count END,"
    " out_of_stock_seen_at = greatest(i.out_of_stock_seen_at, EXCLUDED.out_of_stock_seen_at),"
    " price_seen_at = greatest(i.price_seen_at, EXCLUDED.price_seen_at),"
    " price_minor = " OF_NEWER_PRICE("price_minor") ","
    " currency = " OF_NEWER_PRICE("currency") ","
    " carted_at = greatest(i.carted_at, EXCLUDED.carted_at),"
    " wished_at = greatest(i.wished_at, EXCLUDED.wished_at),"
    " unwished_at = greatest(i.unwished_at, EXCLUDED.unwished_at),"
    " bought_at = greatest(i.bought_at, EXCLUDED.bought_at)",
};

/* The orders of an origin stand under whoever it belongs to now, or whoever was
 * merged into them. */
static const struct pg_statement save_interest_loss = {
    "save_interest_loss",
    "UPDATE interest AS i SET bought_at = u.bought_at"
    " FROM (SELECT $1::uuid AS workspace_id, k.source_id, k.product_id, k.variant_id,"
    " k.origin_id, (SELECT max(o.placed_at)"
    " FROM (SELECT k.profile_id AS id UNION ALL SELECT p.id FROM profile p"
    " WHERE p.workspace_id = $1 AND p.merged_into = k.profile_id) w"
    " CROSS JOIN LATERAL (SELECT r.source_id, r.origin_id, r.placed_at, r.body FROM orders r"
    " WHERE r.workspace_id = $1 AND r.profile_id = w.id AND r.counted OFFSET 0) o"
    " CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(o.body->'products')"
    " WHEN 'array' THEN o.body->'products' ELSE '[]' END) WITH ORDINALITY AS l (line, place)"
    " WHERE o.source_id = k.source_id AND o.origin_id = k.origin_id AND l.place <= $7"
    " AND l.line->>'product_id' = k.product_id"
    " AND coalesce(l.line->>'variant_id', '') = k.variant_id"
    " AND coalesce(l.line->>'quantity', '') <> '0') AS bought_at"
    " FROM unnest($2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::uuid[])"
    " AS k (source_id, product_id, variant_id, origin_id, profile_id)"
    " OFFSET 0) u"
    " WHERE i.workspace_id = u.workspace_id AND i.source_id = u.source_id"
    " AND i.product_id = u.product_id AND i.variant_id = u.variant_id"
    " AND i.origin_id = u.origin_id",
};
/* clang-format on */

enum {
    KEY_COLUMNS = 4,
    ROW_COLUMNS = 15
};

static void put_key(struct pg_array *c, const struct interest_key *key)
{
    pg_array_id(&c[0], key->source_id);
    pg_array_text(&c[1], key->product_id);
    pg_array_text(&c[2], key->variant_id);
    pg_array_id(&c[3], key->origin_id);
}

static void put_row(struct pg_array *c, const struct interest_row *row)
{
    const struct interest *facts = &row->facts;
    put_key(c, &row->key);
    pg_array_instant(&c[4], facts->viewed_at_ms);
    pg_array_i64(&c[5], facts->view_count);
    pg_array_instant(&c[6], facts->out_of_stock_seen_at_ms);
    pg_array_instant(&c[7], row->asked_at_ms);
    pg_array_instant(&c[8], facts->price_seen_at_ms);
    if (facts->price_seen_at_ms != INSTANT_NONE) {
        pg_array_i64(&c[9], facts->price_minor);
    } else {
        pg_array_null(&c[9]);
    }
    pg_array_text_or_null(&c[10], facts->currency);
    pg_array_instant(&c[11], facts->carted_at_ms);
    pg_array_instant(&c[12], facts->wished_at_ms);
    pg_array_instant(&c[13], facts->unwished_at_ms);
    pg_array_instant(&c[14], facts->bought_at_ms);
}

enum status interest_queue_rows(struct pg *pg, struct arena *arena, struct id workspace_id,
                                struct interest_row *const *rows, size_t count,
                                enum interest_addition addition)
{
    static const enum pg_type types[ROW_COLUMNS] = {
        PG_UUID,    PG_TEXT, PG_TEXT, PG_UUID,    PG_INSTANT, PG_INT8,    PG_INSTANT, PG_INSTANT,
        PG_INSTANT, PG_INT8, PG_TEXT, PG_INSTANT, PG_INSTANT, PG_INSTANT, PG_INSTANT,
    };
    struct pg_params params;
    struct pg_array columns[ROW_COLUMNS];
    if (count == 0) {
        return STATUS_OK;
    }
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_columns_begin(columns, &params, types, ROW_COLUMNS, count);
    for (size_t i = 0; i < count; i++) {
        put_row(columns, rows[i]);
    }
    pg_columns_end(columns, ROW_COLUMNS);
    pg_put_bool(&params, addition == INTEREST_ALL_FACTS);
    return pg_queue(pg, &save_interest, &params);
}

static enum status queue_losses(struct batch *batch, const struct decision_rows *rows)
{
    static const enum pg_type types[KEY_COLUMNS + 1] = { PG_UUID, PG_TEXT, PG_TEXT, PG_UUID,
                                                         PG_UUID };
    struct pg_params params;
    struct pg_array columns[KEY_COLUMNS + 1];
    pg_params_init(&params, batch->arena);
    pg_put_id(&params, batch->workspace_id);
    pg_columns_begin(columns, &params, types, ARRAY_COUNT(columns), rows->interest_loss_count);
    for (size_t i = 0; i < rows->interest_loss_count; i++) {
        put_key(columns, &rows->interest_losses[i].key);
        pg_array_id(&columns[KEY_COLUMNS], rows->interest_losses[i].profile_id);
    }
    pg_columns_end(columns, ARRAY_COUNT(columns));
    pg_put_i64(&params, INTEREST_LINES_MAX);
    return pg_queue(batch->pg, &save_interest_loss, &params);
}

enum status interest_queue(struct batch *batch, const struct decision_rows *rows)
{
    enum status status =
        interest_queue_rows(batch->pg, batch->arena, batch->workspace_id, rows->interests,
                            rows->interest_count, INTEREST_NEW_FACTS);
    if (status == STATUS_OK && rows->interest_loss_count > 0) {
        status = queue_losses(batch, rows);
    }
    return status;
}
