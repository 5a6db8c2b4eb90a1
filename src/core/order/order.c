#include "core/order/order.h"

#include <assert.h>

#include "base/instant.h"

/*
 * An order as a fold of its documents (correctness 5).
 *
 * Shops stamp whole seconds, so the create, paid and updated bodies of one
 * checkout tie; refunds name neither version nor customer and may come before
 * the body. So bodies have a total order (version, rank, refunded, hash), each
 * refund and fulfilment counts once under its own id, and cancellation and
 * deletion are sets that only grow. Each of these is a maximum, a minimum or a
 * union: any order of arrival gives the same order.
 *
 * Rejected: "the last one wins" (arrival decides) and a running refund total
 * (a repeated refund counts twice).
 */

/* A shop that splits an order more often than this is a machine gone wild;
 * each part is about 40 bytes of a row that every write carries. */
#define ORDER_PARTS_MAX 1000u

static int64_t add_saturated(int64_t a, int64_t b)
{
    int64_t sum = 0;
    if (__builtin_add_overflow(a, b, &sum)) {
        return a > 0 ? INT64_MAX : INT64_MIN;
    }
    return sum;
}

static struct id body_hash(const struct order_document *document)
{
    struct id_hash hash;
    id_hash_begin(&hash, "order_body");
    id_hash_add(&hash, document->number);
    id_hash_add(&hash, document->status);
    id_hash_add(&hash, document->currency);
    id_hash_add_i64(&hash, document->total_minor);
    id_hash_add_i64(&hash, document->placed_at_ms);
    id_hash_add_i64(&hash, document->counts ? 1 : 0);
    id_hash_add(&hash, document->body_json);
    return id_hash_end(&hash);
}

static int compare_i64(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

/* Does the document come after the body that the order has? */
static bool body_wins(const struct order *order, const struct order_document *document,
                      struct id hash)
{
    if (!order->has_body) {
        return true;
    }
    int by_version = compare_i64(document->version_ms, order->version_ms);
    if (by_version != 0) {
        return by_version > 0;
    }
    int by_rank = compare_i64(document->rank, order->rank);
    if (by_rank != 0) {
        return by_rank > 0;
    }
    int by_refunded = compare_i64(document->refunded_minor, order->body_refunded_minor);
    if (by_refunded != 0) {
        return by_refunded > 0;
    }
    return id_compare(hash, order->body_hash) > 0;
}

static bool fold_body(struct arena *arena, struct order *order,
                      const struct order_document *document)
{
    struct id hash = body_hash(document);
    if (!body_wins(order, document, hash)) {
        return false;
    }
    order->has_body = true;
    order->version_ms = document->version_ms;
    order->rank = document->rank;
    order->counts = document->counts;
    order->placed_at_ms = document->placed_at_ms;
    order->number = str_dup(arena, document->number);
    order->status = str_dup(arena, document->status);
    order->currency = str_dup(arena, document->currency);
    order->total_minor = document->total_minor;
    order->body_refunded_minor = document->refunded_minor;
    order->body_json = str_dup(arena, document->body_json);
    order->body_hash = hash;
    return true;
}

/* Index of the first part whose ref is not less than `ref`. */
static size_t part_position(const struct order_part *parts, size_t count, struct str ref)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (str_compare(parts[middle].ref, ref) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Of two documents under one id the later one counts, then the larger. */
static bool part_replace(struct order_part *part, int64_t at_ms, int64_t amount_minor)
{
    int order = compare_i64(at_ms, part->at_ms);
    if (order == 0) {
        order = compare_i64(amount_minor, part->amount_minor);
    }
    if (order <= 0) {
        return false;
    }
    part->at_ms = at_ms;
    part->amount_minor = amount_minor;
    return true;
}

static bool fold_part(struct arena *arena, struct order_part **parts, size_t *count,
                      const struct order_document *document)
{
    size_t position = part_position(*parts, *count, document->document_ref);
    if (position < *count && str_equal((*parts)[position].ref, document->document_ref)) {
        return part_replace(&(*parts)[position], document->at_ms, document->amount_minor);
    }
    if (*count >= ORDER_PARTS_MAX) {
        return false;
    }
    struct order_part *grown = ARENA_NEW_ARRAY(arena, *count + 1, struct order_part);
    if (grown == NULL) {
        return false;
    }
    for (size_t i = 0; i < *count; i++) {
        grown[i < position ? i : i + 1] = (*parts)[i];
    }
    grown[position] = (struct order_part){
        .ref = str_dup(arena, document->document_ref),
        .at_ms = document->at_ms,
        .amount_minor = document->amount_minor,
    };
    *parts = grown;
    *count += 1;
    return true;
}

static bool fold_cancellation(struct order *order, int64_t at_ms)
{
    if (order->cancelled_at_ms != INSTANT_NONE && order->cancelled_at_ms <= at_ms) {
        return false;
    }
    order->cancelled_at_ms = at_ms;
    return true;
}

bool order_fold(struct arena *arena, struct order *order, const struct order_document *document)
{
    switch (document->kind) {
    case ORDER_BODY:
        return fold_body(arena, order, document);
    case ORDER_REFUND:
        return fold_part(arena, &order->refunds, &order->refund_count, document);
    case ORDER_FULFILMENT:
        return fold_part(arena, &order->fulfilments, &order->fulfilment_count, document);
    case ORDER_CANCELLATION:
        return fold_cancellation(order, document->at_ms);
    case ORDER_DELETION:
        if (document->at_ms <= order->deleted_at_ms) {
            return false;
        }
        order->deleted_at_ms = document->at_ms;
        return true;
    }
    assert(false);
    return false;
}

int64_t order_refunded_minor(const struct order *order)
{
    int64_t sum = 0;
    for (size_t i = 0; i < order->refund_count; i++) {
        sum = add_saturated(sum, order->refunds[i].amount_minor);
    }
    if (!order->has_body) {
        return sum;
    }
    int64_t refunded = sum > order->body_refunded_minor ? sum : order->body_refunded_minor;
    return refunded < order->total_minor ? refunded : order->total_minor;
}

bool order_is_deleted(const struct order *order)
{
    return order->deleted_at_ms != INSTANT_NONE &&
           (!order->has_body || order->version_ms <= order->deleted_at_ms);
}

struct order_contribution order_contribution_now(const struct order *order,
                                                 struct str workspace_currency)
{
    struct order_contribution contribution = { 0 };
    bool cancelled = order->rank == ORDER_CANCELLED || order->cancelled_at_ms != INSTANT_NONE;
    if (!order->has_body || !order->counts || cancelled || order_is_deleted(order)) {
        return contribution;
    }
    contribution.counted = true;
    contribution.foreign = !str_equal(order->currency, workspace_currency);
    if (!contribution.foreign) {
        contribution.gross_minor = order->total_minor;
        contribution.refunded_minor = order_refunded_minor(order);
    }
    return contribution;
}

const char *order_rank_name(enum order_rank rank)
{
    switch (rank) {
    case ORDER_OPEN:
        return "open";
    case ORDER_PAID:
        return "paid";
    case ORDER_FULFILLED:
        return "fulfilled";
    case ORDER_CANCELLED:
        return "cancelled";
    }
    assert(false);
    return NULL;
}
