#include "store/bring_up.h"

#include "core/profile/hydrate.h"
#include "store/history.h"

/*
 * Shared by the hot path, which brings up whoever has a short history before the
 * event is folded, and by the background sweep, which takes everyone else.
 */

/* A stray that only has a name, or whose facts turned out to be another's: there is
 * nothing to fold but what it owns. When it was seen, nobody else knows. */
static bool stand_empty(struct arena *arena, struct profile *profile, const struct history *history)
{
    struct profile fresh;
    hydrate_begin(&fresh, profile);
    fresh.first_seen_at_ms = profile->first_seen_at_ms;
    fresh.last_seen_at_ms = profile->last_seen_at_ms;
    return hydrate_end(arena, &fresh, profile, history, true);
}

static enum status fold(const struct bring_up *bring_up, struct profile *profile,
                        const struct history_side *side)
{
    const struct decide_context *context = bring_up->context;
    const struct ruleset *newest = context->rulesets[context->ruleset_count - 1];
    enum cause_kind cause = profile->ruleset_version == 0 ? CAUSE_IMPORT : CAUSE_RULE;
    cause = bring_up->cause != 0 ? bring_up->cause : cause;
    const struct history history = history_of_side(side, newest, bring_up->now_ms);
    enum status status = decide_due(bring_up->decision, profile, bring_up->now_ms);
    if (status != STATUS_OK) {
        return status;
    }
    bool is_folded = history_is_empty(&history)
                         ? stand_empty(bring_up->arena, profile, &history)
                         : profile_hydrate(bring_up->arena, profile, &history);
    if (!is_folded) {
        return STATUS_LIMIT;
    }
    return decide_silently(bring_up->decision, profile, bring_up->now_ms, cause);
}

/* Of each profile and of whoever this batch merged into it; side = index. */
static enum status find_origins(const struct bring_up *bring_up, struct profile *const *profiles,
                                size_t count, struct history_request *request,
                                struct problem *problem)
{
    struct id *merged = NULL;
    size_t *owners = NULL;
    size_t merged_count =
        decision_merged_here(bring_up->decision, profiles, count, &merged, &owners);
    struct id *ids = ARENA_NEW_ARRAY(bring_up->arena, count + merged_count, struct id);
    struct history_origin *origins = NULL;
    if (ids == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count + merged_count; i++) {
        ids[i] = i < count ? profiles[i]->id : merged[i - count];
    }
    enum status status =
        history_origins(bring_up->pg, bring_up->arena, bring_up->context->workspace_id, ids,
                        count + merged_count, &origins, &request->origin_count, problem);
    for (size_t i = 0; status == STATUS_OK && i < request->origin_count; i++) {
        size_t side = origins[i].side;
        origins[i].side = side < count ? side : owners[side - count];
    }
    request->origins = origins;
    return status;
}

static enum status read_sides(const struct bring_up *bring_up, struct profile *const *profiles,
                              size_t count, struct history_side **out_sides,
                              struct problem *problem)
{
    struct history_request request = {
        .workspace_id = bring_up->context->workspace_id,
        .side_count = count,
        .facts_max = bring_up->facts_max,
    };
    enum status status = find_origins(bring_up, profiles, count, &request, problem);
    return status == STATUS_OK
               ? history_read(bring_up->pg, bring_up->arena, &request, out_sides, problem)
               : status;
}

enum status bring_up_profiles(const struct bring_up *bring_up, struct bring_up_left *out_left,
                              struct problem *problem)
{
    struct profile **profiles = NULL;
    size_t count = decision_wanting_history(bring_up->decision, &profiles);
    struct history_side *sides = NULL;
    struct bring_up_left left = { 0 };
    enum status status = STATUS_OK;
    if (decision_is_ahead(bring_up->decision)) {
        return problem_set(problem, STATUS_RETRY, "overloaded", "newer rules are in force");
    }
    if (count > 0) {
        status = read_sides(bring_up, profiles, count, &sides, problem);
        left.ids = ARENA_NEW_ARRAY(bring_up->arena, count, struct id);
    }
    if (status == STATUS_OK && count > 0 && left.ids == NULL) {
        status = STATUS_LIMIT;
    }
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        if (sides[i].is_cut) {
            profiles[i]->is_long = true;
            left.ids[left.count++] = profiles[i]->id;
        } else {
            status = fold(bring_up, profiles[i], &sides[i]);
        }
    }
    if (status == STATUS_OK && out_left != NULL) {
        *out_left = left;
    }
    return status;
}

enum status bring_up_sight(const struct bring_up *bring_up, struct problem *problem)
{
    struct profile **profiles = NULL;
    struct history_side *sides = NULL;
    size_t count = decision_losing_sight(bring_up->decision, &profiles);
    enum status status =
        count > 0 ? read_sides(bring_up, profiles, count, &sides, problem) : STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        /* Its rules are those that the decision folds it by. */
        const struct history history = history_of_side(&sides[i], NULL, bring_up->now_ms);
        profiles[i]->is_long = sides[i].is_cut;
        if (!sides[i].is_cut) {
            status = decision_recall(bring_up->decision, profiles[i], &history);
        }
    }
    return status;
}
