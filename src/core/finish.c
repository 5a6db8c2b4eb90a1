#include "decision_priv.h"

/*
 * What is to be written, as plain arrays: the shell saves exactly this, one
 * statement per table. Rows stand in the order in which they were decided.
 *
 * Bodies are rendered here, after the shell supplied what only the remaining
 * orders know, and with the instant of the commit in them; so a batch that is
 * given up has rendered nothing.
 */

static bool finish_profiles(struct decision *decision, struct decision_rows *rows)
{
    rows->profiles =
        ARENA_NEW_ARRAY(decision->arena, decision->profiles.count + 1, struct profile *);
    for (size_t i = 0; rows->profiles != NULL && i < decision->profiles.count; i++) {
        struct profile *profile = decision->profiles.items[i];
        if (profile->is_dirty) {
            rows->profiles[rows->profile_count++] = profile;
        }
    }
    return rows->profiles != NULL;
}

static bool finish_identities(struct decision *decision, struct decision_rows *rows)
{
    rows->moved_identities =
        ARENA_NEW_ARRAY(decision->arena, decision->identities.count + 1, struct identity_row *);
    for (size_t i = 0; rows->moved_identities != NULL && i < decision->identities.count; i++) {
        const struct identity_slot *slot = decision->identities.items[i];
        if (slot->row->is_moved) {
            rows->moved_identities[rows->moved_identity_count++] = slot->row;
        }
    }
    return rows->moved_identities != NULL;
}

static bool finish_orders(struct decision *decision, struct decision_rows *rows)
{
    rows->orders = ARENA_NEW_ARRAY(decision->arena, decision->orders.count + 1, struct order *);
    for (size_t i = 0; rows->orders != NULL && i < decision->orders.count; i++) {
        const struct order_slot *slot = decision->orders.items[i];
        if (slot->is_dirty) {
            rows->orders[rows->order_count++] = slot->order;
        }
    }
    return rows->orders != NULL;
}

static bool finish_log(struct decision *decision, struct decision_rows *rows)
{
    struct arena *arena = decision->arena;
    rows->interaction_count = decision->interactions.count;
    rows->interactions =
        ARENA_NEW_ARRAY(arena, rows->interaction_count + 1, struct interaction_row);
    rows->identity_decision_count = decision->identity_decisions.count;
    rows->identity_decisions =
        ARENA_NEW_ARRAY(arena, rows->identity_decision_count + 1, struct identity_decision_row);
    rows->transition_count = decision->transitions.count;
    rows->transitions = ARENA_NEW_ARRAY(arena, rows->transition_count + 1, struct transition_row);
    if (arena_is_full(arena)) {
        return false;
    }
    for (size_t i = 0; i < rows->interaction_count; i++) {
        rows->interactions[i] = *(const struct interaction_row *)decision->interactions.items[i];
    }
    for (size_t i = 0; i < rows->identity_decision_count; i++) {
        rows->identity_decisions[i] =
            *(const struct identity_decision_row *)decision->identity_decisions.items[i];
    }
    for (size_t i = 0; i < rows->transition_count; i++) {
        rows->transitions[i] = *(const struct transition_row *)decision->transitions.items[i];
    }
    return true;
}

static bool finish_bells(struct decision *decision, int64_t recorded_at_ms,
                         struct decision_rows *rows)
{
    rows->notifications =
        ARENA_NEW_ARRAY(decision->arena, decision->bells.count + 1, struct notification_row);
    for (size_t i = 0; rows->notifications != NULL && i < decision->bells.count; i++) {
        struct pending_bell *bell = decision->bells.items[i];
        if (!render_body(decision->arena, decision->context, bell, recorded_at_ms,
                         &bell->row.body)) {
            return false;
        }
        rows->notifications[rows->notification_count++] = bell->row;
    }
    return rows->notifications != NULL;
}

enum status decision_finish(struct decision *decision, int64_t recorded_at_ms,
                            struct decision_rows *out_rows)
{
    struct decision_rows rows = { 0 };
    bool complete = finish_profiles(decision, &rows) && finish_identities(decision, &rows) &&
                    finish_orders(decision, &rows) && finish_log(decision, &rows) &&
                    finish_bells(decision, recorded_at_ms, &rows);
    if (!complete || arena_is_full(decision->arena)) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < rows.profile_count; i++) {
        rows.profiles[i]->orders_shrunk = false;
    }
    *out_rows = rows;
    return STATUS_OK;
}
