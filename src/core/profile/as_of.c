#include "core/profile/as_of.h"

#include "base/instant.h"
#include "core/rule/verdict.h"

/*
 * A cut of the history, folded by the one fold there is. Rejected: walking back
 * from today's state by taking facts away, which features that keep only the
 * newest cannot do.
 *
 * A tier that is held is left later than it is entered; who held what then is
 * in the log of decisions, not in the facts, so here nothing is held before.
 */

static bool counts_event(const struct event *event, const struct as_of *as_of)
{
    return event->occurred_at_ms <= as_of->at_ms && event->received_at_ms <= as_of->known_at_ms;
}

static bool counts_order(const struct order *order, const struct as_of *as_of)
{
    return order->placed_at_ms != INSTANT_NONE && order->placed_at_ms <= as_of->at_ms;
}

static bool is_past(int64_t at_ms, const struct as_of *as_of)
{
    return at_ms != INSTANT_NONE && at_ms <= as_of->at_ms;
}

static bool keep_refunds(struct arena *arena, struct order *order, const struct as_of *as_of)
{
    struct order_part *refunds = ARENA_NEW_ARRAY(arena, order->refund_count + 1, struct order_part);
    size_t count = 0;
    for (size_t i = 0; refunds != NULL && i < order->refund_count; i++) {
        if (is_past(order->refunds[i].at_ms, as_of)) {
            refunds[count++] = order->refunds[i];
        }
    }
    order->refunds = refunds;
    order->refund_count = count;
    return refunds != NULL;
}

/* The order with what had been said of it by then. A body that speaks of a later
 * cancellation tells no status of before; that the order once counted does. */
static struct order *cut_order(struct arena *arena, const struct order *order,
                               const struct as_of *as_of)
{
    struct order *then = ARENA_NEW(arena, struct order);
    if (then == NULL) {
        return NULL;
    }
    *then = *order;
    if (!keep_refunds(arena, then, as_of)) {
        return NULL;
    }
    if (!is_past(order->version_ms, as_of)) {
        then->body_refunded_minor = 0;
    }
    if (order->cancelled_at_ms != INSTANT_NONE && !is_past(order->cancelled_at_ms, as_of)) {
        then->cancelled_at_ms = INSTANT_NONE;
        then->rank = order->rank == ORDER_CANCELLED ? ORDER_PAID : order->rank;
        then->counts = order->counts || order->completed;
    }
    if (!is_past(order->deleted_at_ms, as_of)) {
        then->deleted_at_ms = INSTANT_NONE;
    }
    then->contribution = order_contribution_now(then, as_of->currency);
    return then;
}

/* Each document that changes the order from its instant on. */
static size_t count_documents(const struct order *order, const struct as_of *as_of)
{
    size_t count = 1;
    for (size_t i = 0; i < order->refund_count; i++) {
        count += is_past(order->refunds[i].at_ms, as_of) ? 1 : 0;
    }
    count += is_past(order->version_ms, as_of) ? 1 : 0;
    count += is_past(order->cancelled_at_ms, as_of) ? 1 : 0;
    return count + (is_past(order->deleted_at_ms, as_of) ? 1 : 0);
}

bool as_of_can_tell(const struct history *whole, const struct as_of *as_of)
{
    int64_t received_ms = INSTANT_NONE;
    for (size_t i = 0; i < whole->base_count; i++) {
        int64_t last_ms = whole->bases[i].received_ms;
        received_ms = last_ms > received_ms ? last_ms : received_ms;
    }
    return as_of->at_ms + 1 >= bases_before(whole->bases, whole->base_count) &&
           as_of->known_at_ms >= received_ms;
}

size_t as_of_fact_count(const struct history *whole, const struct as_of *as_of)
{
    size_t count = 0;
    for (size_t i = 0; i < whole->base_count; i++) {
        count += (size_t)whole->bases[i].fact_count;
    }
    for (size_t i = 0; i < whole->event_count; i++) {
        count += counts_event(&whole->events[i], as_of) ? 1 : 0;
    }
    for (size_t i = 0; i < whole->order_count; i++) {
        const struct order *order = whole->orders[i];
        count += counts_order(order, as_of) ? count_documents(order, as_of) : 0;
    }
    return count;
}

static bool cut_events(struct arena *arena, const struct history *whole, const struct as_of *as_of,
                       struct history *cut)
{
    struct event *events = ARENA_NEW_ARRAY(arena, whole->event_count + 1, struct event);
    if (events == NULL) {
        return false;
    }
    cut->event_count = 0;
    for (size_t i = 0; i < whole->event_count; i++) {
        if (counts_event(&whole->events[i], as_of)) {
            events[cut->event_count++] = whole->events[i];
        }
    }
    cut->events = events;
    return true;
}

static bool cut_orders(struct arena *arena, const struct history *whole, const struct as_of *as_of,
                       struct history *cut)
{
    struct order **orders = ARENA_NEW_ARRAY(arena, whole->order_count + 1, struct order *);
    if (orders == NULL) {
        return false;
    }
    cut->order_count = 0;
    for (size_t i = 0; i < whole->order_count; i++) {
        if (counts_order(whole->orders[i], as_of)) {
            struct order *order = cut_order(arena, whole->orders[i], as_of);
            if (order == NULL) {
                return false;
            }
            orders[cut->order_count++] = order;
        }
    }
    cut->orders = orders;
    return true;
}

bool profile_decide_as_of(struct arena *arena, struct profile *profile,
                          const struct ruleset *ruleset, const struct as_of *as_of)
{
    const struct rule_subject subject = {
        .profile = profile,
        .ruleset = ruleset,
        .statistics = as_of->statistics,
        .currency = as_of->currency,
    };
    profile->verdicts = (struct verdict_set){ 0 };
    for (size_t i = 0; ruleset != NULL && i < ruleset->rule_count; i++) {
        const struct rule *rule = &ruleset->rules[i];
        struct verdict verdict = { .slot = rule->definition.slot, .since_ms = as_of->at_ms };
        if (rule_verdict(arena, rule, &subject, as_of->at_ms, &verdict.value, NULL) &&
            !verdict_put(arena, &profile->verdicts, verdict.slot, &verdict)) {
            return false;
        }
    }
    profile->ruleset_version = ruleset != NULL ? ruleset->version : 0;
    profile->statistics_version = as_of->statistics != NULL ? as_of->statistics->version : 0;
    profile->needs_history = false;
    return true;
}

bool profile_as_of(struct arena *arena, struct profile *profile, const struct history *whole,
                   const struct as_of *as_of)
{
    struct history cut = *whole;
    struct profile then = *profile;
    cut.now_ms = as_of->at_ms;
    if (!as_of_can_tell(whole, as_of) || !cut_events(arena, whole, as_of, &cut) ||
        !cut_orders(arena, whole, as_of, &cut) || !profile_hydrate(arena, &then, &cut) ||
        !profile_decide_as_of(arena, &then, whole->ruleset, as_of)) {
        return false;
    }
    *profile = then;
    return true;
}
