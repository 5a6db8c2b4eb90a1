#include <assert.h>

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
    rows->woken = ARENA_NEW_ARRAY(decision->arena, decision->profiles.count + 1, struct profile *);
    if (rows->profiles == NULL || rows->woken == NULL) {
        return false;
    }
    for (size_t i = 0; i < decision->profiles.count; i++) {
        struct profile *profile = decision->profiles.items[i];
        if (profile->is_dirty) {
            rows->profiles[rows->profile_count++] = profile;
        } else if (profile->due_moved) {
            rows->woken[rows->woken_count++] = profile;
        }
    }
    return true;
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

/* What an import brought is decided once, at now (correctness 12). The list has
 * a profile for each of its events: the first settles it. */
static void finish_import(struct decision *decision)
{
    for (size_t i = 0; i < decision->imported.count; i++) {
        struct profile *profile = decision->imported.items[i];
        if (decision->context->leaves_verdicts) {
            profile->needs_history = true;
            continue;
        }
        bool is_asked = profile->changed_parts != 0 || profile->touched != NULL ||
                        (profile->is_new && !profile->is_judged);
        if (id_is_zero(profile->merged_into) && is_asked) {
            profile->is_judged = true;
            judge_settle(decision, profile, decision->import_now_ms, CAUSE_IMPORT);
        }
    }
}

/* The shell has supplied what only the remaining orders know. */
static void finish_shrunk(struct decision *decision)
{
    for (size_t i = 0; i < decision->shrunk.count; i++) {
        const struct shrunk *shrunk = decision->shrunk.items[i];
        struct profile *profile = shrunk->profile;
        if (!profile->orders_shrunk || !id_is_zero(profile->merged_into)) {
            continue;
        }
        const struct occasion occasion = { .at_ms = shrunk->now_ms,
                                           .true_at_ms = shrunk->event->occurred_at_ms,
                                           .cause = CAUSE_EVENT,
                                           .event = shrunk->event };
        struct judgement judgement;
        profile_touch(profile, RULE_PART_ORDERS);
        judge_touched(decision, profile, &occasion, &judgement);
        judge_ring(decision, profile, &judgement, shrunk->event, shrunk->event->occurred_at_ms,
                   shrunk->now_ms);
    }
}

static bool verdict_same(const struct verdict *a, const struct verdict *b)
{
    return a->since_ms == b->since_ms && str_equal(a->value, b->value);
}

static void add_membership(struct list *list, struct decision *decision,
                           const struct profile *profile, const struct ruleset *ruleset,
                           const struct verdict *verdict)
{
    const struct rule *rule = ruleset_rule_by_slot(ruleset, verdict->slot);
    struct membership_row *row = rule != NULL ? ARENA_NEW(decision->arena, struct membership_row)
                                              : NULL; /* a rule that is gone took its list along */
    if (row != NULL) {
        *row = (struct membership_row){ .profile_id = profile->id,
                                        .rule_id = rule->definition.id,
                                        .value = verdict->value,
                                        .since_ms = verdict->since_ms };
        list_add(decision->arena, list, row);
    }
}

/* The difference between what membership says and the verdicts now: both are
 * sorted by slot. */
static void diff_memberships(struct decision *decision, const struct profile *profile,
                             const struct ruleset *ruleset, struct list *gone, struct list *come)
{
    const struct verdict_set *before = &profile->stored;
    const struct verdict_set *after = &profile->verdicts;
    size_t b = 0;
    size_t a = 0;
    while (b < before->count || a < after->count) {
        const struct verdict *old = b < before->count ? &before->items[b] : NULL;
        const struct verdict *new = a < after->count ? &after->items[a] : NULL;
        bool same_slot = old != NULL && new != NULL && old->slot == new->slot;
        bool is_old = old != NULL && (new == NULL || old->slot <= new->slot);
        bool is_new = new != NULL && (old == NULL || new->slot <= old->slot);
        bool is_same = same_slot && verdict_same(old, new);
        if (is_old && !is_same && !(same_slot && str_equal(old->value, new->value))) {
            add_membership(gone, decision, profile, ruleset, old);
        }
        if (is_new && !is_same) {
            add_membership(come, decision, profile, ruleset, new);
        }
        b += is_old ? 1 : 0;
        a += is_new ? 1 : 0;
    }
}

static struct membership_row *membership_array(struct decision *decision, const struct list *list)
{
    struct membership_row *rows =
        ARENA_NEW_ARRAY(decision->arena, list->count + 1, struct membership_row);
    for (size_t i = 0; rows != NULL && i < list->count; i++) {
        rows[i] = *(const struct membership_row *)list->items[i];
    }
    return rows;
}

/* Labels of whoever's verdicts changed. */
static bool finish_labels(struct decision *decision, struct profile *profile,
                          const struct ruleset *ruleset)
{
    bool same = profile->verdicts.items == profile->stored.items &&
                profile->verdicts.count == profile->stored.count;
    if (same && !profile->is_new) {
        return true;
    }
    profile->has_labels = true;
    return profile_labels_of(decision->arena, profile, ruleset, &profile->labels);
}

static bool finish_memberships(struct decision *decision, struct decision_rows *rows)
{
    struct list gone = { 0 };
    struct list come = { 0 };
    const struct ruleset *newest = judge_newest(decision);
    for (size_t i = 0; i < rows->profile_count; i++) {
        struct profile *profile = rows->profiles[i];
        const struct ruleset *ruleset = judge_ruleset(decision, profile);
        ruleset = ruleset != NULL ? ruleset : newest;
        if (ruleset != NULL) {
            diff_memberships(decision, profile, ruleset, &gone, &come);
        }
        if (!finish_labels(decision, profile, ruleset)) {
            return false;
        }
    }
    rows->memberships_gone = membership_array(decision, &gone);
    rows->membership_gone_count = gone.count;
    rows->memberships_come = membership_array(decision, &come);
    rows->membership_come_count = come.count;
    return rows->memberships_gone != NULL && rows->memberships_come != NULL;
}

static bool finish_bells(struct decision *decision, int64_t recorded_at_ms,
                         struct decision_rows *rows)
{
    rows->notifications =
        ARENA_NEW_ARRAY(decision->arena, decision->bells.count + 1, struct notification_row);
    for (size_t i = 0; rows->notifications != NULL && i < decision->bells.count; i++) {
        struct pending_bell *bell = decision->bells.items[i];
        render_extremes(bell);
        if (bell->is_silent || !bell_settle(decision, bell)) {
            continue;
        }
        if (!render_row(decision, bell, recorded_at_ms)) {
            return false;
        }
        rows->notifications[rows->notification_count++] = bell->row;
    }
    return rows->notifications != NULL;
}

enum status decision_close(struct decision *decision)
{
    if (decision->is_closed) {
        return STATUS_OK;
    }
    enum status status = decide_rest(decision);
    if (status != STATUS_OK) {
        return status;
    }
    decision->is_closed = true;
    finish_import(decision);
    finish_shrunk(decision);
    fire_close(decision);
    return arena_is_full(decision->arena) ? STATUS_LIMIT : STATUS_OK;
}

enum status decision_finish(struct decision *decision, int64_t recorded_at_ms,
                            struct decision_rows *out_rows)
{
    struct decision_rows rows = { 0 };
    enum status status = decision_close(decision);
    if (status != STATUS_OK) {
        return status;
    }
    assert(decision->rungs.count == 0 || decision->knows_rungs);
    fire_settle(decision);
    bool complete =
        finish_profiles(decision, &rows) && finish_identities(decision, &rows) &&
        finish_orders(decision, &rows) && finish_log(decision, &rows) &&
        finish_memberships(decision, &rows) && finish_bells(decision, recorded_at_ms, &rows) &&
        fire_finish(decision, recorded_at_ms, &rows) && interest_gather(decision, &rows);
    if (!complete || arena_is_full(decision->arena)) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < rows.profile_count; i++) {
        rows.profiles[i]->orders_shrunk = false;
    }
    *out_rows = rows;
    return STATUS_OK;
}
