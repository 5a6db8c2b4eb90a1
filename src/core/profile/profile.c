#include "core/profile/profile.h"

#include <assert.h>
#include <string.h>

#include "base/limits.h"
#include "fact_priv.h"

/*
 * The fold (design 7): each field is a maximum, a minimum, a sum that cancels
 * exactly, or the claim with the greatest stamp, so the order of arrival does
 * not matter. What is not of that form stays out of here: verdicts, since and
 * sequence are the log of what was decided.
 *
 * Placing an order is the customer's act, at placed_at. It is folded from
 * every body whose status counts or that is cancelled (it was placed before, and
 * the order's row is all that tells), not from the one that happened to make the
 * order count first: else a cancellation that overtakes its order would leave
 * another last_seen_at than one that follows it. The same instant empties an
 * older cart. The event's own time says only when the shop wrote to us.
 *
 * The facts array is replaced, never changed in place: a notification keeps
 * the profile as it was by copying the struct.
 */

void profile_init(struct profile *profile, struct id id, int64_t created_at_ms)
{
    memset(profile, 0, sizeof(*profile));
    profile->id = id;
    profile->created_at_ms = created_at_ms;
    profile->updated_at_ms = created_at_ms;
    profile->decided_at_ms = created_at_ms;
    profile->first_seen_at_ms = INSTANT_NONE;
    profile->last_seen_at_ms = INSTANT_NONE;
    profile->signed_up_at_ms = INSTANT_NONE;
    profile->page_seen_at_ms = INSTANT_NONE;
    profile->orders.first_at_ms = INSTANT_NONE;
    profile->orders.last_at_ms = INSTANT_NONE;
    profile->cart_at_ms = INSTANT_NONE;
    profile->due_at_ms = INSTANT_NEVER;
    indicators_init(&profile->indicators);
}

static int64_t earlier(int64_t a, int64_t b)
{
    if (a == INSTANT_NONE || b == INSTANT_NONE) {
        return a == INSTANT_NONE ? b : a;
    }
    return a < b ? a : b;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b; /* INSTANT_NONE is the least there is */
}

/* A fact with a newer stamp but the same value is stored; no rule can tell. */
static void mark_fact(struct profile *profile, const struct profile_fact *fact,
                      const struct profile_fact *before)
{
    profile->facts_changed = true;
    if (before != NULL && str_equal(before->value_json, fact->value_json)) {
        return;
    }
    switch (fact->kind) {
    case FACT_TRAIT:
        profile_touch(profile, RULE_PART_TRAITS);
        profile_touch(profile, RULE_PART_IDENTITY);
        break;
    case FACT_PREFERENCE:
        profile_touch(profile, RULE_PART_PREFERENCES);
        break;
    case FACT_CONSENT:
        profile_touch(profile, RULE_PART_CONSENT);
        break;
    }
}

/* Merges two sorted lists into a new one; of a pair the greater stamp stays.
 * With a limit, keys beyond it are left out. False when one was, or when the
 * arena is full. */
static bool fold_facts(struct arena *arena, struct profile *profile,
                       const struct profile_fact *facts, size_t count, size_t limit)
{
    size_t capacity = profile->fact_count + count;
    if (count == 0) {
        return true;
    }
    struct profile_fact *merged = ARENA_NEW_ARRAY(arena, capacity, struct profile_fact);
    if (merged == NULL) {
        return false;
    }
    size_t room = limit > profile->fact_count ? limit - profile->fact_count : 0;
    size_t size = 0;
    size_t old = 0;
    bool all_fit = true;
    for (size_t i = 0; i < count; i++) {
        while (old < profile->fact_count &&
               fact_compare_key(&profile->facts[old], facts[i].kind, facts[i].key) < 0) {
            merged[size++] = profile->facts[old++];
        }
        bool known = old < profile->fact_count &&
                     fact_compare_key(&profile->facts[old], facts[i].kind, facts[i].key) == 0;
        if (known) {
            bool wins = fact_wins(&facts[i], &profile->facts[old]);
            merged[size++] = wins ? facts[i] : profile->facts[old];
            if (wins) {
                mark_fact(profile, &facts[i], &profile->facts[old]);
            }
            old++;
        } else if (room > 0) {
            merged[size++] = facts[i];
            mark_fact(profile, &facts[i], NULL);
            room--;
        } else {
            all_fit = false;
        }
    }
    while (old < profile->fact_count) {
        merged[size++] = profile->facts[old++];
    }
    profile->facts = merged;
    profile->facts_bytes = (struct str){ 0 };
    profile->fact_count = size;
    return all_fit;
}

/* The newest claim about the cart stays; an order empties what is older. */
static void fold_cart(struct arena *arena, struct profile *profile, struct str cart_json,
                      int64_t at_ms, struct id event_id)
{
    if (at_ms < profile->cart_at_ms) {
        return;
    }
    if (at_ms == profile->cart_at_ms && id_compare(event_id, profile->cart_event_id) <= 0) {
        return;
    }
    bool cleared = str_equal(cart_json, STR("null"));
    profile_touch(profile, RULE_PART_CART);
    profile->cart_json = cleared ? ((struct str){ 0 }) : str_dup(arena, cart_json);
    profile->cart_at_ms = at_ms;
    profile->cart_event_id = event_id;
}

/* An order is told of by its own times, wherever it was placed. */
static bool is_act_on_page(const struct event *event)
{
    return event->trust == TRUST_PUBLIC && event->act && !event_type_is_of_order(event->type);
}

static void fold_instants(struct arena *arena, struct profile *profile, const struct event *event)
{
    profile->first_seen_at_ms = earlier(profile->first_seen_at_ms, event->occurred_at_ms);
    const struct order_document *order = event->order;
    if (order != NULL && order->kind == ORDER_BODY) {
        if (order->counts || order->rank == ORDER_CANCELLED) {
            int64_t placed_at_ms = event_clamp_instant(order->placed_at_ms, event->received_at_ms);
            profile->first_seen_at_ms = earlier(profile->first_seen_at_ms, placed_at_ms);
            profile->last_seen_at_ms = later(profile->last_seen_at_ms, placed_at_ms);
            fold_cart(arena, profile, STR("null"), placed_at_ms, ID_ZERO);
        }
    } else if (event->act) {
        profile->last_seen_at_ms = later(profile->last_seen_at_ms, event->occurred_at_ms);
    }
    if (is_act_on_page(event)) {
        profile->page_seen_at_ms = later(profile->page_seen_at_ms, event->occurred_at_ms);
    }
    if (event->type == EVENT_CUSTOMER_CREATED) {
        profile->signed_up_at_ms = earlier(profile->signed_up_at_ms, event->occurred_at_ms);
    }
}

bool profile_begins_session(const struct profile *profile, const struct event *event)
{
    int64_t seen_ms = profile->page_seen_at_ms;
    return is_act_on_page(event) && event->type != EVENT_SESSION_STARTED &&
           (seen_ms == INSTANT_NONE || event->occurred_at_ms - seen_ms >= LIMIT_SESSION_SILENCE_MS);
}

static void fold_seen(struct arena *arena, struct profile *profile, const struct event *event)
{
    int64_t first_ms = profile->first_seen_at_ms;
    int64_t last_ms = profile->last_seen_at_ms;
    int64_t signed_up_ms = profile->signed_up_at_ms;
    fold_instants(arena, profile, event);
    if (first_ms != profile->first_seen_at_ms || last_ms != profile->last_seen_at_ms ||
        signed_up_ms != profile->signed_up_at_ms) {
        profile_touch(profile, RULE_PART_SEEN);
    }
}

static bool fold_indicators(struct arena *arena, struct profile *profile, const struct event *event)
{
    bool failed = false;
    if (indicators_add_event(arena, &profile->indicators, event, &failed)) {
        profile_touch(profile, RULE_PART_ENGAGEMENT);
    }
    return !failed;
}

bool profile_fold_event(struct arena *arena, struct profile *profile, const struct event *event)
{
    fold_seen(arena, profile, event);
    if (event->cart_json.size > 0) {
        fold_cart(arena, profile, event->cart_json, event->occurred_at_ms, event->id);
    }
    struct profile_fact *facts = NULL;
    size_t count = 0;
    profile->is_dirty = true;
    return fold_indicators(arena, profile, event) && fact_collect(arena, event, &facts, &count) &&
           fold_facts(arena, profile, facts, count, LIMIT_TRAITS_PER_PROFILE);
}

static void subtract_order(struct profile_orders *orders, const struct order_contribution *before,
                           int64_t placed_at_ms, bool *shrunk)
{
    orders->count -= 1;
    orders->foreign_count -= before->foreign ? 1 : 0;
    orders->gross_minor -= before->gross_minor;
    orders->refunded_minor -= before->refunded_minor;
    assert(orders->count >= 0);
    assert(orders->foreign_count >= 0);
    *shrunk = *shrunk || placed_at_ms == orders->first_at_ms ||
              placed_at_ms == orders->last_at_ms ||
              (!before->foreign && before->gross_minor == orders->largest_minor);
}

static void add_order(struct profile_orders *orders, const struct order_contribution *after,
                      int64_t placed_at_ms)
{
    orders->count += 1;
    orders->foreign_count += after->foreign ? 1 : 0;
    orders->gross_minor += after->gross_minor;
    orders->refunded_minor += after->refunded_minor;
    orders->first_at_ms = earlier(orders->first_at_ms, placed_at_ms);
    orders->last_at_ms = later(orders->last_at_ms, placed_at_ms);
    if (after->gross_minor > orders->largest_minor) {
        orders->largest_minor = after->gross_minor;
    }
}

void profile_count_order(struct profile *profile, const struct order_contribution *before,
                         const struct order_contribution *after, int64_t placed_at_ms)
{
    struct profile_orders *orders = &profile->orders;
    bool in_place = before->counted && after->counted && before->foreign == after->foreign &&
                    after->gross_minor >= before->gross_minor;
    if (in_place) {
        /* Nothing an extreme stands on went away. */
        orders->count -= 1;
        orders->foreign_count -= before->foreign ? 1 : 0;
        orders->gross_minor -= before->gross_minor;
        orders->refunded_minor -= before->refunded_minor;
    } else if (before->counted) {
        subtract_order(orders, before, placed_at_ms, &profile->orders_shrunk);
    }
    if (after->counted) {
        add_order(orders, after, placed_at_ms);
    }
    if (orders->count == 0) {
        orders->first_at_ms = INSTANT_NONE;
        orders->last_at_ms = INSTANT_NONE;
        orders->largest_minor = 0;
        profile->orders_shrunk = false;
    }
    profile->is_dirty = true;
    profile_touch(profile, RULE_PART_ORDERS);
    profile_touch(profile, RULE_PART_HABITS);
}

static bool absorb_exclusives(struct arena *arena, struct profile *survivor,
                              const struct profile *loser)
{
    size_t capacity = survivor->exclusive_count + loser->exclusive_count;
    if (loser->exclusive_count == 0) {
        return true;
    }
    struct profile_identity *merged = ARENA_NEW_ARRAY(arena, capacity, struct profile_identity);
    if (merged == NULL) {
        return false;
    }
    size_t size = 0;
    while (size < survivor->exclusive_count) {
        merged[size] = survivor->exclusives[size];
        size++;
    }
    for (size_t i = 0; i < loser->exclusive_count; i++) {
        const struct profile_identity *theirs = &loser->exclusives[i];
        bool known = false;
        for (size_t j = 0; j < survivor->exclusive_count; j++) {
            known = known || (merged[j].kind == theirs->kind &&
                              id_equal(merged[j].source_id, theirs->source_id) &&
                              str_equal(merged[j].value, theirs->value));
        }
        if (!known) {
            merged[size++] = *theirs;
        }
    }
    survivor->exclusives = merged;
    survivor->exclusive_count = size;
    return true;
}

static void absorb_orders(struct profile_orders *ours, const struct profile_orders *theirs)
{
    ours->count += theirs->count;
    ours->foreign_count += theirs->foreign_count;
    ours->gross_minor += theirs->gross_minor;
    ours->refunded_minor += theirs->refunded_minor;
    ours->largest_minor = later(ours->largest_minor, theirs->largest_minor);
    ours->first_at_ms = earlier(ours->first_at_ms, theirs->first_at_ms);
    ours->last_at_ms = later(ours->last_at_ms, theirs->last_at_ms);
}

bool profile_absorb_events(struct arena *arena, struct profile *profile,
                           const struct profile *other)
{
    profile->first_seen_at_ms = earlier(profile->first_seen_at_ms, other->first_seen_at_ms);
    profile->last_seen_at_ms = later(profile->last_seen_at_ms, other->last_seen_at_ms);
    profile->signed_up_at_ms = earlier(profile->signed_up_at_ms, other->signed_up_at_ms);
    profile->page_seen_at_ms = later(profile->page_seen_at_ms, other->page_seen_at_ms);
    return fold_facts(arena, profile, other->facts, other->fact_count, SIZE_MAX) &&
           indicators_absorb(arena, &profile->indicators, &other->indicators);
}

bool profile_absorb(struct arena *arena, struct profile *survivor, const struct profile *loser)
{
    if (!profile_absorb_events(arena, survivor, loser) ||
        !absorb_exclusives(arena, survivor, loser)) {
        return false;
    }
    survivor->created_at_ms = earlier(survivor->created_at_ms, loser->created_at_ms);
    survivor->decided_at_ms = later(survivor->decided_at_ms, loser->decided_at_ms);
    survivor->identified = survivor->identified || loser->identified;
    survivor->merge_count += loser->merge_count + 1;
    for (size_t kind = 0; kind < IDENTITY_KIND_COUNT; kind++) {
        survivor->identity_counts[kind] += loser->identity_counts[kind];
    }
    absorb_orders(&survivor->orders, &loser->orders);
    survivor->orders_shrunk = survivor->orders_shrunk || loser->orders_shrunk;
    if (loser->cart_at_ms != INSTANT_NONE) {
        struct str cart = loser->cart_json.size > 0 ? loser->cart_json : STR("null");
        fold_cart(arena, survivor, cart, loser->cart_at_ms, loser->cart_event_id);
    }
    survivor->is_dirty = true;
    return true;
}

struct str profile_fact_value(const struct profile *profile, enum fact_kind kind, const char *key)
{
    struct str name = str_from_z(key);
    size_t position = fact_position(profile->facts, profile->fact_count, kind, name);
    if (position < profile->fact_count &&
        fact_compare_key(&profile->facts[position], kind, name) == 0) {
        return profile->facts[position].value_json;
    }
    return (struct str){ 0 };
}
