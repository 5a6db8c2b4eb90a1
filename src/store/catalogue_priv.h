#ifndef STORE_CATALOGUE_PRIV_H
#define STORE_CATALOGUE_PRIV_H

/*
 * Shared by catalogue.c and catalogue_tell.c: the facts of a batch as the rows
 * that their statements begin with. $1 is the workspace.
 */

#include "store/pg.h"

enum catalogue_kind {
    CATALOGUE_DOCUMENT = 1,
    CATALOGUE_LEVEL,
};

/* Texts with macros between them are taken apart by the formatter. */
/* clang-format off */
#define FACTS                                                                        \
    "unnest($2::uuid[], $3::text[], $4::timestamptz[], $5::uuid[], $6::boolean[],"   \
    " $7::int[], $8::text[], $9::timestamptz[], $10::smallint[], $11::jsonb[])"      \
    " AS u (source_id, product_id, version_at, version_hash, is_deleted, decimals,"  \
    " currency, received_at, kind, body)"

/* One document per product: the newest of the batch. */
#define DOCUMENTS                                                                    \
    "(SELECT DISTINCT ON (source_id, product_id) * FROM " FACTS " WHERE u.kind = 1"  \
    " ORDER BY source_id, product_id, version_at DESC, version_hash DESC) d"
#define LEVELS "(SELECT u.* FROM " FACTS " WHERE u.kind = 2) d"

#define TEXT_OF(object, key)                                                         \
    "CASE WHEN jsonb_typeof(" object "->'" key "') IN ('string', 'number')"          \
    " THEN nullif(left(" object "->>'" key "', 1024), '') END"
#define ITEM_OF(object, variant)                                                     \
    "coalesce(" TEXT_OF(object, "inventory_item_id")                                 \
    ", d.product_id || '/' || " variant ")"
#define LEVEL_ITEM                                                                   \
    ITEM_OF("d.body", "coalesce(" TEXT_OF("d.body", "variant_id") ", '')")
/* clang-format on */

/* The last three of a batch's statements, in this order: what is worth telling of the
 * rows that it touched. $12: is it told, or only learnt? $13: now; $14, $15:
 * currencies whose decimals are not two. */
extern const struct pg_statement catalogue_learn_stock;
extern const struct pg_statement catalogue_learn_price;
extern const struct pg_statement catalogue_tell;

#endif
