#include "core/profile/hydrate.h"
#include "decision_priv.h"

/*
 * A profile that lost sight of its history within a decision, and gets it back.
 *
 * Nothing of this batch is stored yet, so the batch's own interactions and
 * orders, as they stand now, are added to what the shell read. Only what can
 * lose sight is taken from the fold: features, indicators, and the first, last
 * and largest order. Facts, sums and identities lose nothing, and an identity
 * that a later event of the batch brings is inserted already.
 */

static bool is_of(const struct decision *decision, const struct profile *profile, struct id id)
{
    return id_equal(decision_canonical_id(decision, id), profile->id);
}

static bool gather_events(const struct decision *decision, const struct profile *profile,
                          const struct history *stored, struct history *whole)
{
    size_t capacity = stored->event_count + decision->interactions.count + 1;
    struct event *events = ARENA_NEW_ARRAY(decision->arena, capacity, struct event);
    if (events == NULL) {
        return false;
    }
    size_t count = 0;
    for (size_t i = 0; i < stored->event_count; i++) {
        events[count++] = stored->events[i];
    }
    for (size_t i = 0; i < decision->interactions.count; i++) {
        const struct interaction_row *row = decision->interactions.items[i];
        if (is_of(decision, profile, row->profile_id)) {
            events[count++] = *row->event;
        }
    }
    whole->events = events;
    whole->event_count = count;
    return true;
}

/* What the batch knows of an order is newer than what is stored. */
static bool gather_orders(const struct decision *decision, const struct profile *profile,
                          const struct history *stored, struct history *whole)
{
    size_t capacity = stored->order_count + decision->orders.count + 1;
    struct order **orders = ARENA_NEW_ARRAY(decision->arena, capacity, struct order *);
    if (orders == NULL) {
        return false;
    }
    size_t count = 0;
    for (size_t i = 0; i < stored->order_count; i++) {
        struct order *order = stored->orders[i];
        if (decision_find_order(decision, order->source_id, order->order_ref) == NULL) {
            orders[count++] = order;
        }
    }
    for (size_t i = 0; i < decision->orders.count; i++) {
        const struct order_slot *slot = decision->orders.items[i];
        if (is_of(decision, profile, slot->order->profile_id)) {
            orders[count++] = slot->order;
        }
    }
    whole->orders = orders;
    whole->order_count = count;
    return true;
}

static void take_extremes(struct profile *profile, const struct profile *folded)
{
    if (profile->orders_shrunk) {
        profile->orders.first_at_ms = folded->orders.first_at_ms;
        profile->orders.last_at_ms = folded->orders.last_at_ms;
        profile->orders.largest_minor = folded->orders.largest_minor;
        profile->orders_shrunk = false;
    }
}

enum status decision_recall(struct decision *decision, struct profile *profile,
                            const struct history *stored)
{
    struct history whole = *stored;
    struct profile folded = *profile;
    whole.ruleset = judge_ruleset(decision, profile);
    if (!gather_events(decision, profile, stored, &whole) ||
        !gather_orders(decision, profile, stored, &whole) ||
        !profile_hydrate(decision->arena, &folded, &whole)) {
        return STATUS_LIMIT;
    }
    profile->features = folded.features;
    profile->indicators = folded.indicators;
    profile->needs_history = false;
    profile->is_recalled = true;
    take_extremes(profile, &folded);
    return STATUS_OK;
}

size_t decision_merged_here(const struct decision *decision, struct profile *const *profiles,
                            size_t count, struct id **out_ids, size_t **out_owners)
{
    size_t capacity = decision->profiles.count + 1;
    struct id *ids = ARENA_NEW_ARRAY(decision->arena, capacity, struct id);
    size_t *owners = ARENA_NEW_ARRAY(decision->arena, capacity, size_t);
    size_t found = 0;
    for (size_t i = 0; ids != NULL && owners != NULL && i < decision->profiles.count; i++) {
        const struct profile *loser = decision->profiles.items[i];
        for (size_t k = 0; !id_is_zero(loser->merged_into) && k < count; k++) {
            if (is_of(decision, profiles[k], loser->id)) {
                ids[found] = loser->id;
                owners[found++] = k;
            }
        }
    }
    *out_ids = ids;
    *out_owners = owners;
    return found;
}

size_t decision_merged_into(const struct decision *decision, struct id profile_id,
                            struct id **out_ids)
{
    struct id *ids = NULL;
    size_t found = 0;
    for (size_t i = 0; i < decision->profiles.count; i++) {
        const struct profile *loser = decision->profiles.items[i];
        if (id_is_zero(loser->merged_into) ||
            !id_equal(decision_canonical_id(decision, loser->id), profile_id)) {
            continue;
        }
        ids = ids != NULL ? ids
                          : ARENA_NEW_ARRAY(decision->arena, decision->profiles.count, struct id);
        if (ids == NULL) {
            break; /* the arena is full, which is said elsewhere */
        }
        ids[found++] = loser->id;
    }
    *out_ids = ids;
    return found;
}
