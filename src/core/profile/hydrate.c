#include "core/profile/hydrate.h"

#include "core/rule/ruleset.h"

/*
 * Hydrating serves un-merge now and repair later. Rejected: subtracting the
 * loser from the survivor. Sums would allow it; seen times, and traits whose
 * former value was overwritten, would not.
 */

bool hydrate_owns(const struct history *history, struct id event_id)
{
    for (size_t i = 0; i < history->event_count; i++) {
        if (id_equal(history->events[i].id, event_id)) {
            return true;
        }
    }
    return bases_own_cart(history->bases, history->base_count, event_id);
}

static bool add_identifiers(struct arena *arena, struct profile *profile,
                            const struct history *history)
{
    profile->exclusives =
        ARENA_NEW_ARRAY(arena, history->identifier_count + 1, struct profile_identity);
    if (profile->exclusives == NULL) {
        return false;
    }
    for (size_t i = 0; i < history->identifier_count; i++) {
        const struct identifier *identifier = &history->identifiers[i];
        profile->identity_counts[identifier->kind]++;
        profile->identified = profile->identified || identity_kind_is_strong(identifier->kind);
        if (identity_kind_is_exclusive(identifier->kind)) {
            profile->exclusives[profile->exclusive_count++] =
                (struct profile_identity){ .kind = identifier->kind,
                                           .source_id = identifier->source_id,
                                           .value = identifier->value };
        }
    }
    return true;
}

/* A shop may correct when an order was placed, and may cancel it before we heard
 * of it; no event tells either, so what the order says now is seen too. Not what
 * a shop's clock put into the future. */
static void see_order(struct profile *profile, const struct order *order)
{
    int64_t placed_at_ms = order->placed_at_ms;
    bool was_placed = order->has_body && (order->counts || order->rank == ORDER_CANCELLED);
    if (!was_placed || placed_at_ms > order->version_ms) {
        return;
    }
    if (placed_at_ms < profile->first_seen_at_ms) {
        profile->first_seen_at_ms = placed_at_ms;
    }
    if (placed_at_ms > profile->last_seen_at_ms) {
        profile->last_seen_at_ms = placed_at_ms;
    }
}

static bool add_orders(struct arena *arena, struct profile *profile, const struct history *history)
{
    const struct order_contribution none = { 0 };
    for (size_t i = 0; i < history->order_count; i++) {
        const struct order *order = history->orders[i];
        see_order(profile, order);
        if (!order->contribution.counted) {
            continue;
        }
        profile_count_order(profile, &none, &order->contribution, order->placed_at_ms);
        struct property_view view;
        property_view_order(&view, order);
        if (!indicators_add_order(arena, &profile->indicators, order) ||
            !profile_change_order(arena, profile, history->ruleset, NULL, &view, history->now_ms)) {
            return false;
        }
    }
    return true;
}

void hydrate_begin(struct profile *fresh, const struct profile *profile)
{
    profile_init(fresh, profile->id, profile->created_at_ms);
    fresh->is_new = false;
    fresh->sequence = profile->sequence;
    fresh->updated_at_ms = profile->updated_at_ms;
    fresh->decided_at_ms = profile->decided_at_ms;
    fresh->verdicts = profile->verdicts;
    fresh->stored = profile->stored;
    fresh->stood_at_version = profile->stood_at_version;
    fresh->merge_count = profile->merge_count;
}

static bool absorb_features(struct arena *arena, struct profile *fresh,
                            const struct feature_set *features, const struct history *history)
{
    for (size_t i = 0; history->ruleset != NULL && i < features->count; i++) {
        const struct feature *feature =
            ruleset_feature(history->ruleset, features->items[i].number);
        if (feature != NULL &&
            !feature_absorb(arena, &fresh->features, feature, features, history->now_ms)) {
            return false;
        }
    }
    return true;
}

bool hydrate_bases(struct arena *arena, struct profile *fresh, const struct history *history)
{
    for (size_t i = 0; i < history->base_count; i++) {
        const struct profile *facts = &history->bases[i].facts;
        if (!profile_absorb_events(arena, fresh, facts) ||
            !absorb_features(arena, fresh, &facts->features, history)) {
            return false;
        }
    }
    return true;
}

bool hydrate_fold(struct arena *arena, struct profile *fresh, const struct history *history)
{
    for (size_t i = 0; i < history->event_count; i++) {
        const struct event *event = &history->events[i];
        struct property_view view;
        property_view_event(&view, event);
        if (!profile_fold_event(arena, fresh, event) ||
            !profile_add_fact(arena, fresh, history->ruleset, &view, history->now_ms)) {
            return false;
        }
    }
    return true;
}

bool hydrate_end(struct arena *arena, struct profile *fresh, struct profile *profile,
                 const struct history *history, bool owns_cart)
{
    if (!add_identifiers(arena, fresh, history) || !add_orders(arena, fresh, history)) {
        return false;
    }
    fresh->ruleset_version = history->ruleset != NULL ? history->ruleset->version : 0;
    /* No event: an order emptied it. */
    bool is_ours = id_is_zero(profile->cart_event_id) || owns_cart;
    if (profile->cart_at_ms != INSTANT_NONE && is_ours) {
        fresh->cart_json = profile->cart_json;
        fresh->cart_at_ms = profile->cart_at_ms;
        fresh->cart_event_id = profile->cart_event_id;
    }
    fresh->is_dirty = true;
    fresh->facts_changed = true;
    *profile = *fresh;
    return true;
}

bool profile_hydrate(struct arena *arena, struct profile *profile, const struct history *history)
{
    if (history_is_empty(history)) {
        return false;
    }
    struct profile fresh;
    hydrate_begin(&fresh, profile);
    return hydrate_bases(arena, &fresh, history) && hydrate_fold(arena, &fresh, history) &&
           hydrate_end(arena, &fresh, profile, history,
                       hydrate_owns(history, profile->cart_event_id));
}
