#ifndef CORE_ORDER_ORDER_H
#define CORE_ORDER_ORDER_H

/*
 * An order is a fold of its documents (correctness 5): the winning body, and
 * each refund, cancellation and fulfilment under its own id. Any order of
 * arrival gives the same order. The contribution counted on the profile is
 * kept here, so that a new document or owner subtracts exactly what was added.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/str.h"
#include "core/event/event.h"

struct order_part { /* a refund or fulfilment, by its own id */
    struct str ref;
    int64_t at_ms;
    int64_t amount_minor; /* refunds */
};

struct order_contribution {
    bool counted; /* adds one to orders.count */
    bool foreign; /* other currency: in foreign_count, not in sums */
    int64_t gross_minor;
    int64_t refunded_minor;
};

struct order {
    struct id source_id;
    struct str order_ref;
    struct id origin_id;  /* facts keep their origin (correctness 8) */
    struct id profile_id; /* owner: canonical at the last write */

    bool has_body;
    int64_t version_ms;
    enum order_rank rank;
    bool counts;
    int64_t placed_at_ms; /* INSTANT_NONE until a body came */
    struct str number;
    struct str status;
    struct str currency;
    int64_t total_minor;
    int64_t body_refunded_minor;
    struct str body_json;
    struct id body_hash; /* last resort of the total order */

    struct order_part *refunds; /* sorted by ref */
    size_t refund_count;
    struct order_part *fulfilments;
    size_t fulfilment_count;
    int64_t cancelled_at_ms; /* INSTANT_NONE: not cancelled */
    int64_t deleted_at_ms;   /* the latest deletion; INSTANT_NONE: never */
    bool completed;          /* order.completed was derived, once for good */

    struct order_contribution contribution; /* as counted on profile_id */
};

/* Applies one document. `arena` must outlive the order. Returns whether
 * anything changed. */
bool order_fold(struct arena *arena, struct order *order, const struct order_document *document);

/* max(the body's own figure, the sum of refunds), at most the total. */
int64_t order_refunded_minor(const struct order *order);

/* Deleted, and not restored since: no body is newer than the deletion. */
bool order_is_deleted(const struct order *order);

/* What the order adds to its owner now, given the workspace's currency. */
struct order_contribution order_contribution_now(const struct order *order,
                                                 struct str workspace_currency);

/* Versioned binary form of what has no column of its own (refunds,
 * fulfilments, body hash, flags): the `documents` column. Decode returns false
 * on a form it does not know. */
bool order_documents_encode(struct arena *arena, const struct order *order, struct str *out_bytes);
bool order_documents_decode(struct arena *arena, struct str bytes, struct order *order);

const char *order_rank_name(enum order_rank rank); /* open paid fulfilled cancelled */

#endif
