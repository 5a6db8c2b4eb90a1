#include <assert.h>

#include "base/limits.h"
#include "decision_priv.h"

/*
 * Whose event is it, and who turns out to be the same customer?
 *
 * The event goes to the owner of its strongest identifier. Every other owner
 * that it reaches is merged with that one, or keeps what is strong and hands
 * over what is weak. Merges never join strangers (correctness 3):
 *
 *   - no exclusive kind would then hold two values, but for the numbers that
 *     the platform which gave them out says are one customer now;
 *   - two *known* customers merge only on the word of a trusted source that
 *     names a strong identity of each: a cookie on the family tablet, a cart
 *     or an order number is not enough, nor is anything a page's script says;
 *   - an anonymous profile follows whoever it turns out to be.
 *
 * A merge is an edge: the loser stays as a tombstone, its facts under their
 * origin; the survivor is the smaller id, whichever way the merge was found.
 * Every decision is logged, for it depends on the order of arrival and hydrate
 * must repeat it rather than decide again.
 *
 * Rejected: joining by any shared identifier (union-find, what most systems
 * do): one shared address then joins a town.
 */

/* --- reading ------------------------------------------------------------ */

static bool order_is_empty(const struct order *order)
{
    return !order->has_body && order->refund_count == 0 && order->fulfilment_count == 0 &&
           order->cancelled_at_ms == INSTANT_NONE && order->deleted_at_ms == INSTANT_NONE;
}

/* Planned by this batch, and no event has used it yet: it follows the event. */
static bool reach_is_new(const struct reach *reach)
{
    if (reach->identity != NULL) {
        return reach->identity->is_planned && !reach->identity->is_attached &&
               reach->identity->row->is_new;
    }
    return reach->order->is_planned && !reach->order->is_attached &&
           order_is_empty(reach->order->order);
}

static struct id reach_owner(const struct decision *decision, const struct reach *reach)
{
    struct id owner = reach->identity != NULL ? reach->identity->row->profile_id
                                              : reach->order->order->profile_id;
    return decision_canonical_id(decision, owner);
}

static bool same_exclusive_kind(const struct profile_identity *held,
                                const struct identifier *identifier)
{
    return held->kind == identifier->kind && id_equal(held->source_id, identifier->source_id);
}

/* A platform joins its own customers; of nobody else's names does it decide. */
static bool is_united(const struct event *event, const struct identifier *identifier)
{
    return event->unites_customers && event->trust == TRUST_SIGNED &&
           identifier->kind == IDENTITY_CUSTOMER_ID &&
           id_equal(identifier->source_id, event->source_id);
}

/* Would the profile hold two values of an exclusive kind? */
static bool identifier_conflicts(const struct profile *profile, const struct event *event,
                                 const struct identifier *identifier)
{
    if (!identity_kind_is_exclusive(identifier->kind) || is_united(event, identifier)) {
        return false;
    }
    for (size_t i = 0; i < profile->exclusive_count; i++) {
        if (same_exclusive_kind(&profile->exclusives[i], identifier) &&
            !str_equal(profile->exclusives[i].value, identifier->value)) {
            return true;
        }
    }
    return false;
}

static bool profiles_conflict(const struct event *event, const struct profile *a,
                              const struct profile *b)
{
    for (size_t i = 0; i < b->exclusive_count; i++) {
        const struct identifier identifier = {
            .kind = b->exclusives[i].kind,
            .source_id = b->exclusives[i].source_id,
            .value = b->exclusives[i].value,
        };
        if (identifier_conflicts(a, event, &identifier)) {
            return true;
        }
    }
    return false;
}

static bool limits_forbid(const struct profile *a, const struct profile *b)
{
    for (size_t kind = 0; kind < IDENTITY_KIND_COUNT; kind++) {
        if (a->identity_counts[kind] + b->identity_counts[kind] > LIMIT_IDENTITIES_PER_KIND) {
            return true;
        }
    }
    return a->merge_count + b->merge_count >= LIMIT_MERGES_PER_PROFILE;
}

static bool is_reached_strongly(const struct decision *decision,
                                const struct resolution *resolution, const struct profile *profile)
{
    for (size_t i = 0; i < resolution->reach_count; i++) {
        const struct reach *reach = &resolution->reaches[i];
        if (identity_kind_is_strong(reach->kind) &&
            id_equal(reach_owner(decision, reach), profile->id)) {
            return true;
        }
    }
    return false;
}

static bool may_merge(const struct decision *decision, const struct resolution *resolution,
                      const struct event *event, const struct profile *other)
{
    const struct profile *target = resolution->target;
    if (profiles_conflict(event, target, other) || limits_forbid(target, other)) {
        return false;
    }
    if (!target->identified || !other->identified) {
        return true;
    }
    return event->trust != TRUST_PUBLIC && is_reached_strongly(decision, resolution, target) &&
           is_reached_strongly(decision, resolution, other);
}

/* --- writing ------------------------------------------------------------ */

static struct identity_decision_row *
log_decision(struct decision *decision, const struct event *event, struct identity_decision_row row)
{
    struct identity_decision_row *logged = ARENA_NEW(decision->arena, struct identity_decision_row);
    if (logged == NULL) {
        return NULL;
    }
    struct id_hash hash;
    id_hash_begin(&hash, "identity_decision");
    id_hash_add_id(&hash, event->id);
    id_hash_add_i64(&hash, row.kind);
    id_hash_add_id(&hash, row.from_id);
    id_hash_add_id(&hash, row.into_id);
    /* One event may name two addresses of one kind: their place tells. */
    id_hash_add_i64(&hash, (int64_t)decision->identity_decisions.count);
    *logged = row;
    logged->id = id_hash_end(&hash);
    logged->event_id = event->id;
    list_add(decision->arena, &decision->identity_decisions, logged);
    return logged;
}

static struct profile *create_profile(struct decision *decision, struct id id,
                                      const struct event *event, int64_t now_ms)
{
    struct profile *profile = ARENA_NEW(decision->arena, struct profile);
    if (profile == NULL) {
        return NULL;
    }
    profile_init(profile, id, now_ms);
    profile->first_seen_at_ms = event->occurred_at_ms;
    profile->is_new = true;
    profile->is_dirty = true;
    profile->facts_changed = true;
    judge_welcome(decision, profile);
    decision_put_profile(decision, profile);
    return profile;
}

static void add_exclusive(struct arena *arena, struct profile *profile,
                          const struct identifier *identifier)
{
    size_t count = profile->exclusive_count;
    struct profile_identity *grown = ARENA_NEW_ARRAY(arena, count + 1, struct profile_identity);
    if (grown == NULL) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        grown[i] = profile->exclusives[i];
    }
    grown[count] = (struct profile_identity){
        .kind = identifier->kind,
        .source_id = identifier->source_id,
        .value = identifier->value,
    };
    profile->exclusives = grown;
    profile->exclusive_count = count + 1;
}

/* A row that is new takes its origin along: nothing is stored under it yet. */
static void attach_identity(struct decision *decision, const struct event *event,
                            struct identity_slot *slot, struct profile *profile)
{
    struct identity_row *row = slot->row;
    slot->is_attached = true;
    if (!id_equal(row->profile_id, profile->id)) {
        row->profile_id = profile->id;
        row->origin_id = profile->id;
        row->is_moved = true;
    }
    enum identity_kind kind = row->identifier.kind;
    profile->is_dirty = true;
    if (profile->identity_counts[kind] >= LIMIT_IDENTITIES_PER_KIND) {
        log_decision(decision, event,
                     (struct identity_decision_row){ .kind = IDENTITY_CONFLICT,
                                                     .from_id = profile->id,
                                                     .into_id = profile->id,
                                                     .because = kind,
                                                     .at_ms = event->received_at_ms });
        return;
    }
    profile->identity_counts[kind]++;
    if (identity_kind_is_exclusive(kind)) {
        add_exclusive(decision->arena, profile, &row->identifier);
    }
    profile->identified = profile->identified || identity_kind_is_strong(kind);
    profile_touch(profile, RULE_PART_IDENTITY);
}

static void attach_order(struct order_slot *slot, const struct profile *profile)
{
    slot->is_attached = true;
    slot->is_dirty = true;
    slot->order->profile_id = profile->id;
    slot->order->origin_id = profile->id;
}

/* Everything of the loser in the working set now belongs to the survivor; rows
 * elsewhere are found through merged_into. */
static void repoint(struct decision *decision, struct id from_id, struct id into_id)
{
    for (size_t i = 0; i < decision->identities.count; i++) {
        struct identity_slot *slot = decision->identities.items[i];
        if (id_equal(slot->row->profile_id, from_id)) {
            slot->row->profile_id = into_id;
            slot->row->is_moved = true;
        }
    }
    for (size_t i = 0; i < decision->orders.count; i++) {
        struct order_slot *slot = decision->orders.items[i];
        if (id_equal(slot->order->profile_id, from_id)) {
            slot->order->profile_id = into_id;
            slot->is_dirty = true;
        }
    }
    for (size_t i = 0; i < decision->interactions.count; i++) {
        struct interaction_row *row = decision->interactions.items[i];
        if (id_equal(row->profile_id, from_id)) {
            row->profile_id = into_id;
        }
    }
}

static void merge(struct decision *decision, const struct event *event, int64_t now_ms,
                  struct resolution *resolution, struct profile *other, enum identity_kind because)
{
    struct profile *target = resolution->target;
    decide_step(decision, other, now_ms);
    resolution->was_identified = resolution->was_identified || other->identified;
    resolution->is_created = false;
    bool target_survives = id_compare(target->id, other->id) < 0;
    struct profile *survivor = target_survives ? target : other;
    struct profile *loser = target_survives ? other : target;
    decide_step(decision, survivor, now_ms);
    if (!profile_absorb(decision->arena, survivor, loser)) {
        return; /* the arena is full */
    }
    judge_absorb(decision, survivor, loser, now_ms);
    loser->verdicts = (struct verdict_set){ 0 };
    if (survivor->sequence < loser->sequence) {
        survivor->sequence = loser->sequence;
    }
    loser->merged_into = survivor->id;
    loser->due_at_ms = INSTANT_NEVER;
    loser->orders_shrunk = false;
    loser->sequence++;
    loser->updated_at_ms = now_ms;
    loser->is_dirty = true;
    repoint(decision, loser->id, survivor->id);
    list_add(decision->arena, &resolution->merges,
             log_decision(decision, event,
                          (struct identity_decision_row){ .kind = IDENTITY_MERGED,
                                                          .from_id = loser->id,
                                                          .into_id = survivor->id,
                                                          .because = because,
                                                          .at_ms = event->received_at_ms }));
    resolution->target = survivor;
}

static void move_order(struct decision *decision, int64_t now_ms, struct resolution *resolution,
                       struct order_slot *slot, struct profile *owner)
{
    const struct order_contribution none = { 0 };
    struct order *order = slot->order;
    decide_step(decision, owner, now_ms);
    interest_remember(decision, slot);
    if (order->contribution.counted) {
        profile_count_order(owner, &order->contribution, &none, order->placed_at_ms);
        decide_change_order(decision, owner, order, NULL, now_ms);
        order->contribution = none;
    }
    /* The shop says that it never was the other's: its origin goes with it. */
    order->profile_id = resolution->target->id;
    order->origin_id = resolution->target->id;
    slot->is_dirty = true;
    list_add(decision->arena, &resolution->touched, owner);
}

static void move_identity(struct decision *decision, int64_t now_ms, struct resolution *resolution,
                          struct identity_slot *slot, struct profile *owner)
{
    enum identity_kind kind = slot->row->identifier.kind;
    slot->row->profile_id = resolution->target->id;
    slot->row->is_vouched = false; /* until somebody says so */
    slot->row->is_moved = true;
    resolution->target->identity_counts[kind]++;
    if (owner->identity_counts[kind] > 0) {
        owner->identity_counts[kind]--;
    }
    owner->is_dirty = true;
    decide_step(decision, owner, now_ms);
    profile_touch(owner, RULE_PART_IDENTITY);
    list_add(decision->arena, &resolution->touched, owner);
}

/* Strong ones stay where they are; weak ones follow the newcomer. A page's
 * script moves no orders: that would move revenue. */
static void leave_or_move(struct decision *decision, const struct event *event, int64_t now_ms,
                          struct resolution *resolution, struct reach *reach, struct profile *owner)
{
    uint32_t held = resolution->target->identity_counts[reach->kind];
    bool moves = !identity_kind_is_strong(reach->kind) && held < LIMIT_IDENTITIES_PER_KIND;
    if (reach->order != NULL) {
        moves = event->trust != TRUST_PUBLIC;
    }
    log_decision(decision, event,
                 (struct identity_decision_row){ .kind = moves ? IDENTITY_MOVED : IDENTITY_CONFLICT,
                                                 .from_id = owner->id,
                                                 .into_id = resolution->target->id,
                                                 .because = reach->kind,
                                                 .at_ms = event->received_at_ms });
    if (!moves) {
        return;
    }
    if (reach->order != NULL) {
        move_order(decision, now_ms, resolution, reach->order, owner);
    } else {
        move_identity(decision, now_ms, resolution, reach->identity, owner);
    }
}

/* --- the three steps ---------------------------------------------------- */

/* Would attaching the event's exclusive identifiers give the profile two
 * values of a kind? */
static bool event_conflicts(const struct profile *profile, const struct event *event,
                            const struct resolution *resolution)
{
    for (size_t i = 0; i < resolution->reach_count; i++) {
        const struct reach *reach = &resolution->reaches[i];
        if (reach->identity != NULL &&
            identifier_conflicts(profile, event, &reach->identity->row->identifier)) {
            return true;
        }
    }
    return false;
}

enum status resolve_target(struct decision *decision, const struct event *event, int64_t now_ms,
                           struct resolution *resolution)
{
    assert(resolution->reach_count > 0);
    const struct reach *strongest = &resolution->reaches[0];
    struct id owner = reach_owner(decision, strongest);
    struct profile *target = decision_find_profile(decision, owner);
    /* A conflict means that the event has an exclusive identifier, so the
     * strongest is one: known, it keeps its customer; new, it is a new one. */
    if (target != NULL && reach_is_new(strongest) && event_conflicts(target, event, resolution)) {
        owner = decision_fresh_id(decision, now_ms);
        target = NULL;
    }
    if (target == NULL) {
        if (!decision_is_fresh(decision, owner)) {
            return arena_is_full(decision->arena) ? STATUS_LIMIT : STATUS_RETRY;
        }
        target = create_profile(decision, owner, event, now_ms);
        if (target == NULL) {
            return STATUS_LIMIT;
        }
        resolution->is_created = true;
    }
    resolution->was_identified = target->identified;
    resolution->target = target;
    return STATUS_OK;
}

/* Somebody else's number beside a known customer's: a customer of its own, of
 * whom only the name is known yet. NULL when the arena is full. */
static struct profile *create_stray(struct decision *decision, const struct event *event,
                                    int64_t now_ms, struct resolution *resolution)
{
    struct id id = decision_fresh_id(decision, now_ms);
    struct profile *profile = create_profile(decision, id, event, now_ms);
    list_add(decision->arena, &resolution->strays, profile);
    return profile;
}

static void attach_reach(struct decision *decision, const struct event *event, int64_t now_ms,
                         struct resolution *resolution, struct reach *reach)
{
    if (reach->order != NULL) {
        attach_order(reach->order, resolution->target);
        return;
    }
    struct profile *profile = resolution->target;
    if (identifier_conflicts(profile, event, &reach->identity->row->identifier)) {
        profile = create_stray(decision, event, now_ms, resolution);
    }
    if (profile != NULL) {
        attach_identity(decision, event, reach->identity, profile);
    }
}

void resolve_attach(struct decision *decision, const struct event *event, int64_t now_ms,
                    struct resolution *resolution)
{
    for (size_t i = 0; i < resolution->reach_count; i++) {
        struct reach *reach = &resolution->reaches[i];
        if (reach_is_new(reach)) {
            attach_reach(decision, event, now_ms, resolution, reach);
        }
    }
}

/* Who says whose browser it is, if not a page: see expose.c. */
static void vouch(struct decision *decision, const struct event *event,
                  const struct resolution *resolution)
{
    if (event->trust == TRUST_PUBLIC ||
        !is_reached_strongly(decision, resolution, resolution->target)) {
        return;
    }
    for (size_t i = 0; i < resolution->reach_count; i++) {
        const struct reach *reach = &resolution->reaches[i];
        bool is_theirs = id_equal(reach_owner(decision, reach), resolution->target->id);
        if (reach->kind == IDENTITY_ANONYMOUS_ID && is_theirs &&
            !reach->identity->row->is_vouched) {
            reach->identity->row->is_vouched = true;
            reach->identity->row->is_moved = true;
        }
    }
}

enum status resolve_others(struct decision *decision, const struct event *event, int64_t now_ms,
                           struct resolution *resolution)
{
    for (size_t i = 0; i < resolution->reach_count; i++) {
        struct reach *reach = &resolution->reaches[i];
        struct id owner_id = reach_owner(decision, reach);
        if (id_equal(owner_id, resolution->target->id)) {
            continue;
        }
        struct profile *owner = decision_find_profile(decision, owner_id);
        if (owner == NULL) {
            return STATUS_RETRY;
        }
        if (may_merge(decision, resolution, event, owner)) {
            merge(decision, event, now_ms, resolution, owner, reach->kind);
        } else {
            leave_or_move(decision, event, now_ms, resolution, reach, owner);
        }
    }
    vouch(decision, event, resolution);
    return arena_is_full(decision->arena) ? STATUS_LIMIT : STATUS_OK;
}
