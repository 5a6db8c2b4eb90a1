#ifndef STORE_INTEREST_PRIV_H
#define STORE_INTEREST_PRIV_H

/*
 * Interests in SQL, shared by those who write and those who read them.
 */

#include "core/interest/interest.h"
#include "store/pg.h"

enum interest_addition {
    INTEREST_NEW_FACTS, /* on top of what is there */
    INTEREST_ALL_FACTS, /* what is there is at least this */
};

/* Queues the upsert of folded rows. None: nothing is queued. */
NODISCARD enum status interest_queue_rows(struct pg *pg, struct arena *arena,
                                          struct id workspace_id, struct interest_row *const *rows,
                                          size_t count, enum interest_addition addition);

/* The columns of all rows of a group `i`, joined as interest_join does; read by
 * interest_decode from column `first` on. */
#define INTEREST_JOINED                                                         \
    "max(i.viewed_at), sum(i.view_count)::bigint, max(i.out_of_stock_seen_at)," \
    " max(i.price_seen_at),"                                                    \
    " (array_agg(i.price_minor ORDER BY i.price_seen_at DESC NULLS LAST,"       \
    " i.price_minor DESC, i.currency DESC))[1],"                                \
    " (array_agg(i.currency ORDER BY i.price_seen_at DESC NULLS LAST,"          \
    " i.price_minor DESC, i.currency DESC))[1],"                                \
    " max(i.carted_at), max(i.wished_at), max(i.unwished_at), max(i.bought_at)"

/* clang-format off */
/* Is bought row `b` in place of product `k`? Its category is told by the catalogue of
 * its source or, where that has none, of the product's. */
#define IS_SUBSTITUTE(product, variant, declared, category, shops)                            \
    "CASE WHEN b.product_id = " product " THEN " variant " <> ''"                             \
    " AND b.variant_id NOT IN ('', " variant ") ELSE b.product_id = ANY (" declared ")"       \
    " OR EXISTS (SELECT 1 FROM unnest(ARRAY[" shops "]) AS x (id) CROSS JOIN LATERAL"         \
    " (SELECT q.category FROM product q WHERE q.workspace_id = $1 AND q.source_id = x.id"     \
    " AND q.product_id = b.product_id AND q.variant_id = '' OFFSET 0) c"                      \
    " WHERE c.category = nullif(" category ", '{}')) END"
/* clang-format on */

struct interest interest_decode(const struct pg_result *result, size_t row, int first);

#endif
