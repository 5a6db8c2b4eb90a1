#include "core/decide.h"

#include <assert.h>

#include "base/limits.h"
#include "decision_priv.h"
#include "profile/fact_priv.h"

/*
 * One event at a time (correctness 12).
 *
 *   step      the profile through every due instant up to now, each evaluated
 *             at that instant and its own transition: after 130 days of
 *             silence a customer lapses, then churns, and both are told
 *   resolve   whose event it is; what merges, moves or stays
 *   settle    a merge's own difference, silently (correctness 8 and 11)
 *   fold      what the event says, and its order
 *   decide    the stage at now, so that only the event's difference rings
 *
 * A batch is a commit boundary and nothing else: orders 9, 10 and 11 in one
 * batch give three profiles, of which the one with ten orders is seen.
 *
 * `order.completed` is derived, once per order, by the document that makes it
 * count first, whatever topic brought it; the flag on the order remembers. A
 * body that does so is itself recorded as order.completed at placed_at; with
 * any other event it is recorded beside it. A later "completed" of the same
 * order is an update.
 */

/* --- stages ------------------------------------------------------------- */

struct stage_change {
    const struct transition_row *transition; /* NULL: the stage stays */
    int64_t until_ms;
    int64_t previous_since_ms;
};

static struct transition_row *add_transition(struct decision *decision,
                                             const struct transition_row *values)
{
    struct transition_row *row = ARENA_NEW(decision->arena, struct transition_row);
    if (row == NULL) {
        return NULL;
    }
    struct id_hash hash;
    id_hash_begin(&hash, "transition");
    id_hash_add(&hash, STR("lifecycle"));
    id_hash_add_id(&hash, values->profile_id);
    id_hash_add_i64(&hash, values->from);
    id_hash_add_i64(&hash, values->to);
    id_hash_add_i64(&hash, values->cause);
    id_hash_add_id(&hash, values->event_id);
    id_hash_add_i64(&hash, values->at_ms);
    *row = *values;
    row->id = id_hash_end(&hash);
    list_add(decision->arena, &decision->transitions, row);
    return row;
}

/* The only place that changes a stage: evaluates at `at_ms`, and if the verdict
 * differs records that it did so as of `true_at_ms`. */
static struct stage_change change_stage(struct decision *decision, struct profile *profile,
                                        int64_t at_ms, int64_t true_at_ms, enum cause_kind cause,
                                        const struct event *event)
{
    const struct lifecycle_facts facts = {
        .first_seen_at_ms = profile->first_seen_at_ms,
        .last_seen_at_ms = profile->last_seen_at_ms,
        .order_count = profile->orders.count,
    };
    struct lifecycle_verdict verdict = lifecycle_at(&facts, at_ms);
    assert(verdict.until_ms > at_ms);
    struct stage_change change = {
        .until_ms = verdict.until_ms,
        .previous_since_ms = profile->lifecycle_since_ms,
    };
    profile->due_at_ms = verdict.until_ms;
    profile->is_dirty = true;
    if (profile->decided_at_ms < at_ms) {
        profile->decided_at_ms = at_ms;
    }
    if (verdict.stage == profile->lifecycle) {
        return change;
    }
    if (true_at_ms < profile->lifecycle_since_ms) {
        true_at_ms = profile->lifecycle_since_ms;
    }
    const struct transition_row values = {
        .profile_id = profile->id,
        .from = profile->lifecycle,
        .to = verdict.stage,
        .cause = cause,
        .event_id = event != NULL ? event->id : ID_ZERO,
        .at_ms = true_at_ms,
        .decided_at_ms = at_ms,
    };
    change.transition = add_transition(decision, &values);
    profile->lifecycle = verdict.stage;
    profile->lifecycle_since_ms = true_at_ms;
    return change;
}

static void ring_stage(struct decision *decision, struct profile *profile,
                       const struct stage_change *change, const struct event *event,
                       int64_t cause_at_ms, int64_t now_ms)
{
    if (change->transition == NULL) {
        return;
    }
    const struct bell bell = {
        .topic = STR("lifecycle.changed"),
        .profile = profile,
        .event = event,
        .cause_at_ms = cause_at_ms,
        .at_ms = change->transition->at_ms,
        .transition = change->transition,
        .until_ms = change->until_ms,
        .previous_since_ms = change->previous_since_ms,
    };
    bell_ring(decision, &bell, now_ms);
}

static int64_t now_of(const struct profile *profile, int64_t now_ms)
{
    return profile->decided_at_ms > now_ms ? profile->decided_at_ms : now_ms;
}

void decide_step(struct decision *decision, struct profile *profile, int64_t now_ms)
{
    now_ms = now_of(profile, now_ms);
    if (!id_is_zero(profile->merged_into) || profile->lifecycle == LIFECYCLE_NONE) {
        return;
    }
    while (profile->due_at_ms <= now_ms) {
        int64_t at_ms = profile->due_at_ms;
        struct stage_change change =
            change_stage(decision, profile, at_ms, at_ms, CAUSE_TIME, NULL);
        if (change.transition != NULL) {
            /* A wake-up for nothing (due_at is only lowered by writes) is no version. */
            profile->sequence++;
            profile->updated_at_ms = now_ms;
        }
        ring_stage(decision, profile, &change, NULL, at_ms, now_ms);
    }
}

enum status decide_due(struct decision *decision, struct profile *profile, int64_t now_ms)
{
    decide_step(decision, profile, now_ms);
    return arena_is_full(decision->arena) ? STATUS_LIMIT : STATUS_OK;
}

enum status decide_silently(struct decision *decision, struct profile *profile, int64_t now_ms,
                            enum cause_kind cause)
{
    now_ms = now_of(profile, now_ms);
    profile->sequence++;
    profile->updated_at_ms = now_ms;
    change_stage(decision, profile, now_ms, now_ms, cause, NULL);
    return arena_is_full(decision->arena) ? STATUS_LIMIT : STATUS_OK;
}

/* --- orders ------------------------------------------------------------- */

static bool contributions_differ(const struct order_contribution *a,
                                 const struct order_contribution *b)
{
    return a->counted != b->counted || a->foreign != b->foreign ||
           a->gross_minor != b->gross_minor || a->refunded_minor != b->refunded_minor;
}

/* Replaces what was counted of the order by what counts now. */
static void recount(struct profile *owner, const struct order *order,
                    const struct order_contribution *after, int64_t before_placed_at_ms)
{
    const struct order_contribution none = { 0 };
    const struct order_contribution *before = &order->contribution;
    bool moved = order->placed_at_ms != before_placed_at_ms && before->counted;
    if (moved) {
        profile_count_order(owner, before, &none, before_placed_at_ms);
        profile_count_order(owner, &none, after, order->placed_at_ms);
    } else if (contributions_differ(before, after)) {
        profile_count_order(owner, before, after, order->placed_at_ms);
    }
}

/* Folds the event's document into its order. *out_completes: the order counts
 * for the first time. */
static enum status fold_order(struct decision *decision, const struct event *event, int64_t now_ms,
                              struct resolution *resolution, const struct order **out_completed)
{
    const struct reach *reach = &resolution->reaches[resolution->reach_count - 1];
    assert(reach->order != NULL);
    struct order *order = reach->order->order;
    struct id owner_id = decision_canonical_id(decision, order->profile_id);
    struct profile *owner = decision_find_profile(decision, owner_id);
    if (owner == NULL) {
        return STATUS_RETRY;
    }
    if (owner != resolution->target) {
        decide_step(decision, owner, now_ms);
        list_add(decision->arena, &resolution->touched, owner);
    }
    int64_t before_placed_at_ms = order->placed_at_ms;
    reach->order->is_dirty = true;
    order->profile_id = owner_id;
    order_fold(decision->arena, order, event->order);
    struct order_contribution after = order_contribution_now(order, decision->context->currency);
    recount(owner, order, &after, before_placed_at_ms);
    order->contribution = after;
    if (after.counted && !order->completed) {
        order->completed = true;
        *out_completed = order;
    }
    return STATUS_OK;
}

static struct event *copy_event(struct decision *decision, const struct event *event,
                                enum event_type type)
{
    struct event *copy = ARENA_NEW(decision->arena, struct event);
    if (copy != NULL) {
        *copy = *event;
        copy->type = type;
        copy->name = str_from_z(event_type_info(type)->name);
        copy->act = event_type_info(type)->act;
    }
    return copy;
}

static struct event *completed_event(struct decision *decision, const struct event *event,
                                     const struct order *order)
{
    struct event *completed = copy_event(decision, event, EVENT_ORDER_COMPLETED);
    if (completed == NULL) {
        return NULL;
    }
    if (order->placed_at_ms != INSTANT_NONE) {
        completed->occurred_at_ms = event_clamp_instant(order->placed_at_ms, event->received_at_ms);
    }
    completed->properties_json = order->body_json;
    completed->currency = order->currency;
    completed->amount_minor = order->total_minor;
    completed->has_amount = true;
    return completed;
}

/* What stands on the timeline for an event: itself; or itself as the
 * completion of its order; or itself and that beside it. */
struct recorded {
    const struct event *event;
    const struct event *beside; /* NULL: nothing */
};

static struct recorded record_event(struct decision *decision, const struct event *event,
                                    const struct order *completed)
{
    struct recorded recorded = { .event = event };
    bool is_body_event = event->type == EVENT_ORDER_COMPLETED || event->type == EVENT_ORDER_UPDATED;
    if (completed != NULL && is_body_event) {
        recorded.event = completed_event(decision, event, completed);
    } else if (completed != NULL) {
        struct event *beside = completed_event(decision, event, completed);
        if (beside != NULL) {
            struct str part =
                str_printf(decision->arena, "%.*s/completed", STR_ARG(completed->order_ref));
            beside->id = event_id(completed->source_id, STR("order"), part);
            beside->facts = NULL;
            beside->fact_count = 0;
        }
        recorded.beside = beside;
    } else if (event->type == EVENT_ORDER_COMPLETED && event->order != NULL) {
        recorded.event = copy_event(decision, event, EVENT_ORDER_UPDATED);
    }
    return recorded;
}

/* --- one event ---------------------------------------------------------- */

/* Without room for what the event would add, nothing of it is folded. */
static bool has_room(struct decision *decision, const struct profile *profile,
                     const struct event *event)
{
    if (profile->fact_count + event->fact_count + FACT_IDENTITY_COUNT <= LIMIT_TRAITS_PER_PROFILE) {
        return true;
    }
    struct profile_fact *facts = NULL;
    size_t count = 0;
    if (!fact_collect(decision->arena, event, &facts, &count)) {
        return true; /* the arena is full, which is said elsewhere */
    }
    size_t added = 0;
    for (size_t i = 0; i < count; i++) {
        size_t position =
            fact_position(profile->facts, profile->fact_count, facts[i].kind, facts[i].key);
        bool known = position < profile->fact_count &&
                     fact_compare_key(&profile->facts[position], facts[i].kind, facts[i].key) == 0;
        added += known ? 0 : 1;
    }
    return profile->fact_count + added <= LIMIT_TRAITS_PER_PROFILE;
}

static void add_interaction(struct decision *decision, const struct event *event,
                            const struct event *recorded, const struct profile *profile)
{
    struct interaction_row *row = ARENA_NEW(decision->arena, struct interaction_row);
    if (row != NULL) {
        row->event = recorded;
        row->origin_id = decision_event_origin(decision, event);
        row->profile_id = profile->id;
        list_add(decision->arena, &decision->interactions, row);
    }
}

static void ring_event(struct decision *decision, struct profile *profile,
                       const struct event *recorded, int64_t cause_at_ms, int64_t now_ms)
{
    const struct event_type_info *info = event_type_info(recorded->type);
    if (info->universal) {
        return; /* reaches subscribers only through triggers */
    }
    const struct bell bell = {
        .topic = recorded->type == EVENT_CUSTOM ? recorded->name : str_from_z(info->name),
        .profile = profile,
        .event = recorded,
        .cause_at_ms = cause_at_ms,
        .at_ms = recorded->occurred_at_ms,
    };
    bell_ring(decision, &bell, now_ms);
}

static void ring_profile(struct decision *decision, struct profile *profile, const char *topic,
                         const struct event *recorded, int64_t cause_at_ms,
                         const struct identity_decision_row *merge)
{
    const struct bell bell = {
        .topic = str_from_z(topic),
        .profile = profile,
        .event = recorded,
        .cause_at_ms = cause_at_ms,
        .at_ms = recorded->occurred_at_ms,
        .merge = merge,
    };
    bell_ring(decision, &bell, recorded->received_at_ms);
}

/* A profile that lost something, or was made on the way: its own stage. */
static void settle_bystander(struct decision *decision, struct profile *profile,
                             const struct event *recorded, int64_t cause_at_ms, int64_t now_ms)
{
    now_ms = now_of(profile, now_ms);
    profile->sequence++;
    profile->updated_at_ms = now_ms;
    struct stage_change change =
        change_stage(decision, profile, now_ms, recorded->occurred_at_ms, CAUSE_EVENT, recorded);
    if (change.transition != NULL && change.transition->from == LIFECYCLE_NONE) {
        ring_profile(decision, profile, "profile.created", recorded, cause_at_ms, NULL);
        ring_profile(decision, profile, "profile.identified", recorded, cause_at_ms, NULL);
    }
    ring_stage(decision, profile, &change, recorded, cause_at_ms, now_ms);
}

static void settle_bystanders(struct decision *decision, const struct resolution *resolution,
                              const struct event *recorded, int64_t cause_at_ms, int64_t now_ms)
{
    for (size_t i = 0; i < resolution->strays.count; i++) {
        settle_bystander(decision, resolution->strays.items[i], recorded, cause_at_ms, now_ms);
    }
    for (size_t i = 0; i < resolution->touched.count; i++) {
        struct profile *profile = resolution->touched.items[i];
        bool repeated = profile == resolution->target || !id_is_zero(profile->merged_into);
        for (size_t j = 0; j < i; j++) {
            repeated = repeated || resolution->touched.items[j] == profile;
        }
        if (!repeated) {
            settle_bystander(decision, profile, recorded, cause_at_ms, now_ms);
        }
    }
}

/* Everything after it is known whose event it is. */
static enum status apply(struct decision *decision, const struct event *event, int64_t now_ms,
                         struct resolution *resolution)
{
    struct profile *target = resolution->target;
    if (resolution->merges.count > 0) {
        change_stage(decision, target, now_ms, event->occurred_at_ms, CAUSE_MERGE, event);
    }
    profile_fold_event(decision->arena, target, event);
    const struct order *completed = NULL;
    if (event->order != NULL) {
        enum status status = fold_order(decision, event, now_ms, resolution, &completed);
        if (status != STATUS_OK) {
            return status;
        }
    }
    struct recorded recorded = record_event(decision, event, completed);
    if (recorded.event == NULL || arena_is_full(decision->arena)) {
        return STATUS_LIMIT;
    }
    target->sequence++;
    target->updated_at_ms = now_ms;
    struct stage_change change = change_stage(
        decision, target, now_ms, recorded.event->occurred_at_ms, CAUSE_EVENT, recorded.event);
    add_interaction(decision, event, recorded.event, target);
    if (recorded.beside != NULL) {
        add_interaction(decision, event, recorded.beside, target);
    }
    if (resolution->is_created) {
        ring_profile(decision, target, "profile.created", recorded.event, event->occurred_at_ms,
                     NULL);
    }
    if (target->identified && !resolution->was_identified) {
        ring_profile(decision, target, "profile.identified", recorded.event, event->occurred_at_ms,
                     NULL);
    }
    for (size_t i = 0; i < resolution->merges.count; i++) {
        ring_profile(decision, target, "profile.merged", recorded.event, event->occurred_at_ms,
                     resolution->merges.items[i]);
    }
    ring_event(decision, target, recorded.event, event->occurred_at_ms, now_ms);
    if (recorded.beside != NULL) {
        ring_event(decision, target, recorded.beside, event->occurred_at_ms, now_ms);
    }
    ring_stage(decision, target, &change, recorded.event, event->occurred_at_ms, now_ms);
    settle_bystanders(decision, resolution, recorded.event, event->occurred_at_ms, now_ms);
    decision_add_event(decision, event->id, target->id);
    return arena_is_full(decision->arena) ? STATUS_LIMIT : STATUS_OK;
}

/* The event is refused, but its identities were inserted before we knew: they
 * must not point at a profile that does not exist. */
static void refuse(struct decision *decision, const struct event *event, int64_t now_ms,
                   struct resolution *resolution)
{
    resolve_attach(decision, event, now_ms, resolution);
    struct profile *target = resolution->target;
    target->sequence++;
    change_stage(decision, target, now_of(target, now_ms), event->occurred_at_ms, CAUSE_EVENT,
                 event);
    settle_bystanders(decision, resolution, event, event->occurred_at_ms, now_ms);
}

enum status decide_event(struct decision *decision, const struct event *event, int64_t now_ms,
                         enum decide_outcome *out_outcome)
{
    if (decision_find_event(decision, event->id) != NULL) {
        *out_outcome = DECIDE_APPLIED;
        return STATUS_OK;
    }
    struct resolution resolution = { 0 };
    enum status status = resolve_reaches(decision, event, &resolution);
    if (status != STATUS_OK) {
        return status;
    }
    if (resolution.reach_count == 0) {
        *out_outcome = DECIDE_NOBODY;
        return STATUS_OK;
    }
    status = resolve_target(decision, event, now_ms, &resolution);
    if (status != STATUS_OK) {
        return status;
    }
    decide_step(decision, resolution.target, now_ms);
    if (!has_room(decision, resolution.target, event)) {
        refuse(decision, event, now_ms, &resolution);
        *out_outcome = DECIDE_STATE_FULL;
        return arena_is_full(decision->arena) ? STATUS_LIMIT : STATUS_OK;
    }
    resolve_attach(decision, event, now_ms, &resolution);
    status = resolve_others(decision, event, now_ms, &resolution);
    if (status == STATUS_OK) {
        status = apply(decision, event, now_of(resolution.target, now_ms), &resolution);
    }
    if (status == STATUS_OK) {
        *out_outcome = DECIDE_APPLIED;
    }
    return status;
}
