#ifndef STORE_CATALOGUE_H
#define STORE_CATALOGUE_H

/*
 * The catalogue of a workspace's shops: kept by the events of a batch, read in
 * pages. Values borrow from the arena.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "store/batch.h"
#include "store/pg.h"

enum {
    CATALOGUE_STATEMENTS_MAX = 8
};

/* Queues what the batch's new events say about products and stock, in the open
 * transaction; nothing at all when they say nothing. Behind the locks of
 * correctness 2, in its own order: products, inventory items, variants. What has
 * changed becomes universal events, if it `tells`; else it is only learnt. */
NODISCARD enum status catalogue_queue(struct batch *batch, bool tells);
/* Is there anything of the catalogue in it? */
bool catalogue_speaks(const struct batch *batch);

struct product_view {
    struct str source; /* its name */
    struct id source_id;
    struct str product_id;
    struct str variant_id; /* empty: the product has no variants */
    struct str inventory_item_id;
    struct str name;
    struct str variant_name;
    struct str *category;
    size_t category_count;
    struct str brand;
    struct str url;
    struct str image_url;
    struct str *substitutes;
    size_t substitute_count;
    struct str currency;
    struct str sku;
    bool has_price;
    int64_t price_minor;
    bool has_compare_at;
    int64_t compare_at_minor;
    bool has_stock;
    int64_t stock_total;
    struct str stock_json;
    int64_t stock_at_ms;
    int64_t version_at_ms;
    int64_t first_seen_at_ms;
};

/* In the order of source, product, variant, behind the place given. */
struct product_query {
    struct id workspace_id;
    struct id source_id;   /* zero: all */
    struct str product_id; /* empty: all */
    struct str sku;        /* empty: all */
    struct id after_source_id;
    struct str after_product_id;
    struct str after_variant_id;
    size_t limit;
};

/* What can be bought: the variants of a product, or the product if it has none. */
NODISCARD enum status product_page(struct pg *pg, struct arena *arena,
                                   const struct product_query *query,
                                   struct product_view **out_rows, size_t *out_count,
                                   struct problem *problem);
NODISCARD enum status product_count(struct pg *pg, struct arena *arena,
                                    const struct product_query *query, int64_t most,
                                    int64_t *out_count, struct problem *problem);

#endif
