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
 *   fold      what the event says, and its order, into facts and features
 *   judge     the rules that this touched, so that only the event's difference
 *             rings
 *
 * Between fold and judge the shell may supply the history of whoever lost sight
 * of it (correctness 9): nothing is said of the event until then.
 *
 * A batch is a commit boundary and nothing else: orders 9, 10 and 11 in one
 * batch give three profiles, of which the one with ten orders is seen.
 *
 * `order.completed` is derived, once per order, by the document that makes it
 * count first, whatever topic brought it; the flag on the order remembers. A
 * body that does so is itself recorded as order.completed at placed_at; with
 * any other event it is recorded beside it. A later "completed" of the same
 * order is an update.
 *
 * `session.started` is derived beside the first act that a page tells of after
 * half an hour without one, by the pages' time, once the event's merges are
 * known: who logs in on the way does not come in twice. What was derived is a
 * fact like any other and is never derived again.
 */

/* --- time --------------------------------------------------------------- */

static int64_t now_of(const struct profile *profile, int64_t now_ms)
{
    return profile->decided_at_ms > now_ms ? profile->decided_at_ms : now_ms;
}

void decide_step(struct decision *decision, struct profile *profile, int64_t now_ms)
{
    now_ms = now_of(profile, now_ms);
    if (!id_is_zero(profile->merged_into)) {
        return;
    }
    while (profile->due_at_ms <= now_ms) {
        int64_t at_ms = profile->due_at_ms;
        const struct occasion occasion = { .at_ms = at_ms,
                                           .true_at_ms = at_ms,
                                           .cause = CAUSE_TIME };
        struct judgement judgement;
        judge_timed(decision, profile, &occasion, &judgement);
        if (judgement.changes.count > 0) {
            /* A wake-up for nothing (due_at is only lowered by writes) is no version. */
            profile->sequence++;
            profile->updated_at_ms = now_ms;
        }
        judge_ring(decision, profile, &judgement, NULL, at_ms, now_ms);
    }
    judge_bring_up(decision, profile, now_ms);
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
    profile->is_dirty = true;
    judge_settle(decision, profile, now_ms, cause);
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

/* An order went: the newest and the oldest that remain are mostly known here, so
 * that no rule looks at one that is gone. The shell supplies what is not. */
static void restore_ends(struct profile *owner)
{
    const struct indicators *indicators = &owner->indicators;
    if (!owner->orders_shrunk || indicators->order_count == 0) {
        return;
    }
    owner->orders.last_at_ms = indicators->orders[0].at_ms;
    if (indicators->dropped_order_ms == INSTANT_NONE) {
        owner->orders.first_at_ms = indicators->orders[indicators->order_count - 1].at_ms;
    }
}

bool decide_change_order(struct decision *decision, struct profile *owner,
                         const struct order *before, const struct order *after, int64_t now_ms)
{
    struct property_view was;
    struct property_view is;
    bool counted = before != NULL && before->contribution.counted;
    bool counts = after != NULL && after->contribution.counted;
    if (counted) {
        property_view_order(&was, before);
    }
    if (counts) {
        property_view_order(&is, after);
    }
    bool complete =
        !counted || indicators_remove_order(decision->arena, &owner->indicators, before);
    complete =
        complete && (!counts || indicators_add_order(decision->arena, &owner->indicators, after));
    owner->needs_history = owner->needs_history || owner->indicators.is_incomplete;
    restore_ends(owner);
    if (counted || counts) {
        profile_touch(owner, RULE_PART_HABITS); /* another channel, the same amount */
    }
    return complete && profile_change_order(decision->arena, owner, judge_ruleset(decision, owner),
                                            counted ? &was : NULL, counts ? &is : NULL, now_ms);
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
    if (owner != resolution->target && event->trust == TRUST_PUBLIC) {
        return STATUS_OK; /* a page's script changes nobody else's order */
    }
    if (owner != resolution->target) {
        decide_step(decision, owner, now_ms);
        list_add(decision->arena, &resolution->touched, owner);
    }
    const struct order before = *order;
    interest_remember(decision, reach->order);
    reach->order->is_dirty = true;
    order->profile_id = owner_id;
    order_fold(decision->arena, order, event->order);
    struct order_contribution after = order_contribution_now(order, decision->context->currency);
    recount(owner, order, &after, before.placed_at_ms);
    order->contribution = after;
    if (!decide_change_order(decision, owner, &before, order, now_of(owner, now_ms))) {
        return STATUS_LIMIT;
    }
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
        /* What the body says of the customer it says as of now. */
        bool is_earlier = completed->occurred_at_ms != event->occurred_at_ms;
        completed->facts_at_ms = is_earlier ? event->occurred_at_ms : 0;
    }
    completed->properties_json = order->body_json;
    completed->currency = order->currency;
    completed->amount_minor = order->total_minor;
    completed->has_amount = true;
    return completed;
}

/* The visit that an event begins. Who it is and what they said, the event says. */
static struct event *session_event(struct decision *decision, const struct event *event)
{
    struct event *session = ARENA_NEW(decision->arena, struct event);
    if (session != NULL) {
        const struct event_type_info *info = event_type_info(EVENT_SESSION_STARTED);
        struct str part = str_printf(decision->arena, "%.*s/session", STR_ARG(event->part));
        *session = (struct event){
            .id = event_id(event->source_id, event->dedup_key, part),
            .source_id = event->source_id,
            .type = EVENT_SESSION_STARTED,
            .name = str_from_z(info->name),
            .trust = event->trust,
            .act = info->act,
            .occurred_at_ms = event->occurred_at_ms,
            .claimed_at_ms = event->claimed_at_ms,
            .received_at_ms = event->received_at_ms,
            .context_json = event->context_json,
        };
    }
    return session;
}

/* What stands on the timeline for an event: itself; or itself as the
 * completion of its order; or itself and that, or its session, beside it. */
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
    fire_event(decision, &bell, now_ms);
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

/* What rests on the first, last or largest of the orders that remain is asked
 * once more when the shell has looked at them. */
static void ask_again(struct decision *decision, struct profile *profile,
                      const struct event *recorded, int64_t now_ms)
{
    struct shrunk *shrunk = NULL;
    for (size_t i = 0; i < decision->shrunk.count; i++) {
        struct shrunk *item = decision->shrunk.items[i];
        shrunk = item->profile == profile ? item : shrunk;
    }
    if (shrunk == NULL) {
        shrunk = ARENA_NEW(decision->arena, struct shrunk);
        if (shrunk == NULL) {
            return; /* the arena is full, which is said elsewhere */
        }
        list_add(decision->arena, &decision->shrunk, shrunk);
    }
    *shrunk = (struct shrunk){ .profile = profile, .event = recorded, .now_ms = now_ms };
}

/* What the event changed for this profile; import asks once, at its end. */
static void judge_event(struct decision *decision, struct profile *profile,
                        const struct event *recorded, int64_t now_ms,
                        struct judgement *out_judgement)
{
    *out_judgement = (struct judgement){ 0 };
    if (decision->context->is_import) {
        decision->import_now_ms = now_ms;
        list_add(decision->arena, &decision->imported, profile);
        return;
    }
    const struct occasion occasion = { .at_ms = now_ms,
                                       .true_at_ms = recorded->occurred_at_ms,
                                       .cause = CAUSE_EVENT,
                                       .event = recorded };
    if ((profile->is_new && !profile->is_judged) || profile->is_recalled) {
        profile->is_judged = true;
        profile->is_recalled = false;
        judge_all(decision, profile, &occasion, out_judgement);
    } else {
        judge_touched(decision, profile, &occasion, out_judgement);
    }
    if (profile->orders_shrunk) {
        ask_again(decision, profile, recorded, now_ms);
    }
}

/* A profile that lost something. */
static void settle_bystander(struct decision *decision, struct profile *profile,
                             const struct event *recorded, int64_t cause_at_ms, int64_t now_ms)
{
    now_ms = now_of(profile, now_ms);
    profile->sequence++;
    profile->updated_at_ms = now_ms;
    struct judgement judgement;
    judge_event(decision, profile, recorded, now_ms, &judgement);
    judge_ring(decision, profile, &judgement, recorded, cause_at_ms, now_ms);
}

/* One that was made on the way. */
static void settle_stray(struct decision *decision, struct profile *profile,
                         const struct event *recorded, int64_t cause_at_ms, int64_t now_ms)
{
    ring_profile(decision, profile, "profile.created", recorded, cause_at_ms, NULL);
    ring_profile(decision, profile, "profile.identified", recorded, cause_at_ms, NULL);
    settle_bystander(decision, profile, recorded, cause_at_ms, now_ms);
}

static void settle_bystanders(struct decision *decision, const struct resolution *resolution,
                              const struct event *recorded, int64_t cause_at_ms, int64_t now_ms)
{
    for (size_t i = 0; i < resolution->strays.count; i++) {
        settle_stray(decision, resolution->strays.items[i], recorded, cause_at_ms, now_ms);
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

static bool fold_features(struct decision *decision, struct profile *target,
                          const struct event *event, int64_t now_ms)
{
    struct property_view view;
    if (event == NULL) {
        return true;
    }
    property_view_event(&view, event);
    return profile_add_fact(decision->arena, target, judge_ruleset(decision, target), &view,
                            now_ms);
}

/* A merge's own difference, silently (correctness 8 and 11). */
static void settle_merge(struct decision *decision, struct profile *target,
                         const struct event *event, int64_t now_ms)
{
    const struct occasion occasion = {
        .at_ms = now_ms, .true_at_ms = event->occurred_at_ms, .cause = CAUSE_MERGE, .event = event
    };
    judge_merge(decision, target, &occasion);
}

/* An event that is folded, and of which nothing has been said yet. */
struct unsaid {
    const struct event *event;
    struct recorded recorded;
    struct resolution resolution;
    int64_t now_ms;
};

/* What follows from it: verdicts, and bells. */
static enum status say(struct decision *decision, struct unsaid *unsaid)
{
    const struct event *event = unsaid->event;
    const struct event *recorded = unsaid->recorded.event;
    const struct event *beside = unsaid->recorded.beside;
    const struct resolution *resolution = &unsaid->resolution;
    struct profile *target = resolution->target;
    int64_t cause_at_ms = event->occurred_at_ms;
    int64_t now_ms = unsaid->now_ms;
    struct judgement judgement;
    judge_event(decision, target, recorded, now_ms, &judgement);
    if (resolution->is_created) {
        ring_profile(decision, target, "profile.created", recorded, cause_at_ms, NULL);
    }
    if (target->identified && !resolution->was_identified) {
        ring_profile(decision, target, "profile.identified", recorded, cause_at_ms, NULL);
    }
    for (size_t i = 0; i < resolution->merges.count; i++) {
        ring_profile(decision, target, "profile.merged", recorded, cause_at_ms,
                     resolution->merges.items[i]);
    }
    ring_event(decision, target, recorded, cause_at_ms, now_ms);
    if (beside != NULL) {
        ring_event(decision, target, beside, cause_at_ms, now_ms);
    }
    judge_ring(decision, target, &judgement, recorded, cause_at_ms, now_ms);
    settle_bystanders(decision, resolution, recorded, cause_at_ms, now_ms);
    return arena_is_full(decision->arena) ? STATUS_LIMIT : STATUS_OK;
}

enum status decide_rest(struct decision *decision)
{
    struct unsaid *unsaid = decision->unsaid;
    decision->unsaid = NULL;
    return unsaid != NULL ? say(decision, unsaid) : STATUS_OK;
}

static bool loses_sight(const struct profile *profile)
{
    return profile->needs_history && !profile->is_long && id_is_zero(profile->merged_into);
}

static bool anyone_loses_sight(const struct resolution *resolution)
{
    bool loses = loses_sight(resolution->target);
    for (size_t i = 0; i < resolution->touched.count; i++) {
        loses = loses || loses_sight(resolution->touched.items[i]);
    }
    return loses;
}

size_t decision_losing_sight(const struct decision *decision, struct profile ***out_profiles)
{
    *out_profiles = NULL;
    if (decision->unsaid == NULL) {
        return 0;
    }
    const struct resolution *resolution = &decision->unsaid->resolution;
    struct list losing = { 0 };
    if (loses_sight(resolution->target)) {
        list_add(decision->arena, &losing, resolution->target);
    }
    for (size_t i = 0; i < resolution->touched.count; i++) {
        struct profile *profile = resolution->touched.items[i];
        bool repeated = profile == resolution->target;
        for (size_t j = 0; j < losing.count; j++) {
            repeated = repeated || losing.items[j] == profile;
        }
        if (!repeated && loses_sight(profile)) {
            list_add(decision->arena, &losing, profile);
        }
    }
    *out_profiles = (struct profile **)losing.items;
    return losing.count;
}

/* Everything after it is known whose event it is. */
static enum status apply(struct decision *decision, const struct event *event, int64_t now_ms,
                         struct resolution *resolution)
{
    struct profile *target = resolution->target;
    if (resolution->merges.count > 0) {
        settle_merge(decision, target, event, now_ms);
    }
    bool begins_session = profile_begins_session(target, event);
    profile_fold_event(decision->arena, target, event);
    const struct order *completed = NULL;
    if (event->order != NULL) {
        enum status status = fold_order(decision, event, now_ms, resolution, &completed);
        if (status != STATUS_OK) {
            return status;
        }
    }
    struct unsaid unsaid = { .event = event,
                             .recorded = record_event(decision, event, completed),
                             .resolution = *resolution,
                             .now_ms = now_ms };
    if (begins_session) { /* no order's event does */
        unsaid.recorded.beside = session_event(decision, event);
    }
    const struct recorded *recorded = &unsaid.recorded;
    if (recorded->event == NULL || arena_is_full(decision->arena)) {
        return STATUS_LIMIT;
    }
    target->sequence++;
    target->updated_at_ms = now_ms;
    if (!fold_features(decision, target, recorded->event, now_ms) ||
        !fold_features(decision, target, recorded->beside, now_ms)) {
        return STATUS_LIMIT;
    }
    add_interaction(decision, event, recorded->event, target);
    if (recorded->beside != NULL) {
        add_interaction(decision, event, recorded->beside, target);
    }
    decision_add_event(decision, event->id, target->id);
    if (!decision->context->is_import && anyone_loses_sight(resolution)) {
        decision->unsaid = ARENA_NEW(decision->arena, struct unsaid);
        if (decision->unsaid == NULL) {
            return STATUS_LIMIT;
        }
        *decision->unsaid = unsaid;
        return STATUS_OK;
    }
    return say(decision, &unsaid);
}

/* The event is refused, but its identities were inserted before we knew: they
 * must not point at a profile that does not exist. */
static void refuse(struct decision *decision, const struct event *event, int64_t now_ms,
                   struct resolution *resolution)
{
    resolve_attach(decision, event, now_ms, resolution);
    struct profile *target = resolution->target;
    target->sequence++;
    struct judgement judgement;
    judge_event(decision, target, event, now_of(target, now_ms), &judgement);
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
    enum status status = decide_rest(decision);
    if (status == STATUS_OK) {
        status = resolve_reaches(decision, event, &resolution);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (resolution.reach_count == 0) {
        /* Of the world it says something all the same: the catalogue keeps it. */
        bool is_of_world = event_type_info(event->type)->universal;
        *out_outcome = is_of_world ? DECIDE_APPLIED : DECIDE_NOBODY;
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
