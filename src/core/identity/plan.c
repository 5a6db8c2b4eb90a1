#include "decision_priv.h"

/*
 * Before anything is locked: which identities and orders exist nowhere yet,
 * and whose they shall be (correctness 2, step 2).
 *
 * Inserting them first, under one key order, is what lets two lanes that meet
 * a new email at once agree on one profile: the loser of the insert reads the
 * winner's row in its next statement. So the plan must not depend on profile
 * rows, which are not locked yet: a missing row goes to the owner of the
 * event's strongest known identifier, else to a fresh id. If that turns out to
 * be the wrong place (an exclusive kind would hold two values), decide moves
 * the row while it is still new, origin and all.
 */

/* An event names an order by its document, by an identifier, or both. */
static bool event_order_key(const struct event *event, struct id *out_source_id,
                            struct str *out_order_ref)
{
    if (event->order != NULL) {
        *out_source_id = event->source_id;
        *out_order_ref = event->order->order_ref;
        return true;
    }
    for (size_t i = 0; i < event->identifier_count; i++) {
        if (event->identifiers[i].kind == IDENTITY_ORDER) {
            *out_source_id = event->identifiers[i].source_id;
            *out_order_ref = event->identifiers[i].value;
            return true;
        }
    }
    return false;
}

/* The owner of the strongest known identifier; zero when all are new. */
static struct id known_owner(const struct decision *decision, const struct event *event)
{
    for (size_t i = 0; i < event->identifier_count; i++) {
        if (event->identifiers[i].kind == IDENTITY_ORDER) {
            continue;
        }
        const struct identity_slot *slot = decision_find_identity(decision, &event->identifiers[i]);
        if (slot != NULL) {
            return slot->row->profile_id;
        }
    }
    struct id source_id = ID_ZERO;
    struct str order_ref = { 0 };
    if (event_order_key(event, &source_id, &order_ref)) {
        const struct order_slot *slot = decision_find_order(decision, source_id, order_ref);
        if (slot != NULL) {
            return slot->order->profile_id;
        }
    }
    return ID_ZERO;
}

static void plan_identity(struct decision *decision, const struct event *event,
                          const struct identifier *identifier, struct id owner)
{
    struct identity_row *row = ARENA_NEW(decision->arena, struct identity_row);
    if (row == NULL) {
        return;
    }
    *row = (struct identity_row){
        .identifier = *identifier,
        .profile_id = owner,
        .origin_id = owner,
        .trust = event->trust,
        .first_seen_at_ms = event->occurred_at_ms,
        .is_new = true,
    };
    struct identity_slot *slot = decision_add_identity(decision, row);
    if (slot != NULL) {
        slot->is_planned = true;
        slot->is_attached = false;
        list_add(decision->arena, &decision->new_identities, row);
    }
}

static void plan_order(struct decision *decision, struct id source_id, struct str order_ref,
                       struct id owner)
{
    struct order *order = ARENA_NEW(decision->arena, struct order);
    if (order == NULL) {
        return;
    }
    *order = (struct order){
        .source_id = source_id,
        .order_ref = order_ref,
        .origin_id = owner,
        .profile_id = owner,
        .placed_at_ms = INSTANT_NONE,
        .cancelled_at_ms = INSTANT_NONE,
        .deleted_at_ms = INSTANT_NONE,
    };
    struct order_slot *slot = decision_add_order(decision, order);
    if (slot != NULL) {
        slot->is_planned = true;
        slot->is_attached = false;
        list_add(decision->arena, &decision->new_orders, order);
    }
}

static void plan_event(struct decision *decision, const struct event *event, int64_t now_ms)
{
    struct id source_id = ID_ZERO;
    struct str order_ref = { 0 };
    bool has_order = event_order_key(event, &source_id, &order_ref);
    if (event->identifier_count == 0 && !has_order) {
        return;
    }
    struct id owner = known_owner(decision, event);
    if (id_is_zero(owner)) {
        owner = decision_fresh_id(decision, now_ms);
    }
    for (size_t i = 0; i < event->identifier_count; i++) {
        const struct identifier *identifier = &event->identifiers[i];
        if (identifier->kind != IDENTITY_ORDER &&
            decision_find_identity(decision, identifier) == NULL) {
            plan_identity(decision, event, identifier, owner);
        }
    }
    if (has_order && decision_find_order(decision, source_id, order_ref) == NULL) {
        plan_order(decision, source_id, order_ref, owner);
    }
}

enum status decision_plan(struct decision *decision, struct event *const *events, size_t count,
                          int64_t now_ms)
{
    for (size_t i = 0; i < count; i++) {
        plan_event(decision, events[i], now_ms);
    }
    return arena_is_full(decision->arena) ? STATUS_LIMIT : STATUS_OK;
}

enum status resolve_reaches(const struct decision *decision, const struct event *event,
                            struct resolution *resolution)
{
    size_t capacity = event->identifier_count + 1;
    struct reach *reaches = ARENA_NEW_ARRAY(decision->arena, capacity, struct reach);
    if (reaches == NULL) {
        return STATUS_LIMIT;
    }
    size_t count = 0;
    for (size_t i = 0; i < event->identifier_count; i++) {
        const struct identifier *identifier = &event->identifiers[i];
        if (identifier->kind == IDENTITY_ORDER) {
            continue;
        }
        struct identity_slot *slot = decision_find_identity(decision, identifier);
        if (slot == NULL) {
            return STATUS_RETRY;
        }
        reaches[count++] = (struct reach){ .kind = identifier->kind, .identity = slot };
    }
    struct id source_id = ID_ZERO;
    struct str order_ref = { 0 };
    if (event_order_key(event, &source_id, &order_ref)) {
        struct order_slot *slot = decision_find_order(decision, source_id, order_ref);
        if (slot == NULL) {
            return STATUS_RETRY;
        }
        reaches[count++] = (struct reach){ .kind = IDENTITY_ORDER, .order = slot };
    }
    resolution->reaches = reaches;
    resolution->reach_count = count;
    return STATUS_OK;
}

/* A strong identity never leaves its owner but by a merge, so its origin is a
 * root of whoever it stands for. A weak one may have moved to another
 * customer, whose readers do not look under the old origin: then the owner
 * itself is the origin. */
static struct id origin_of(bool strong, struct id origin_id, struct id profile_id)
{
    return strong ? origin_id : profile_id;
}

struct id decision_event_origin(const struct decision *decision, const struct event *event)
{
    for (size_t i = 0; i < event->identifier_count; i++) {
        const struct identifier *identifier = &event->identifiers[i];
        const struct identity_slot *slot = identifier->kind == IDENTITY_ORDER
                                               ? NULL
                                               : decision_find_identity(decision, identifier);
        if (slot != NULL) {
            return origin_of(identity_kind_is_strong(identifier->kind), slot->row->origin_id,
                             decision_canonical_id(decision, slot->row->profile_id));
        }
    }
    struct id source_id = ID_ZERO;
    struct str order_ref = { 0 };
    if (event_order_key(event, &source_id, &order_ref)) {
        const struct order_slot *slot = decision_find_order(decision, source_id, order_ref);
        if (slot != NULL) {
            return decision_canonical_id(decision, slot->order->profile_id);
        }
    }
    return ID_ZERO;
}
