#include "core/profile/profile.h"

/*
 * Facts into features, and features into rules to be decided again.
 *
 * A fact costs what it can change: the features that its event type feeds, of
 * those the ones whose `where` holds, and then the rules that read them. An
 * order is not one fact but a state that changes: what it said before goes,
 * what it says now comes, and a feature to which both say the same is left
 * alone, since taking away from a list that threw something away would make it
 * ask for the whole history.
 */

static bool touch_rules(struct arena *arena, struct profile *profile, const struct ruleset *ruleset,
                        size_t feature_index)
{
    if (profile->touched == NULL) {
        profile->touched = ARENA_NEW_ARRAY(arena, ruleset->word_count + 1, uint64_t);
        if (profile->touched == NULL) {
            return false;
        }
    }
    const uint64_t *words = ruleset->by_feature[feature_index].words;
    for (size_t i = 0; i < ruleset->word_count; i++) {
        profile->touched[i] |= words[i];
    }
    return true;
}

/* Orders feed features as orders, not by the interactions that told of them. */
static bool is_order_fact(const struct property_view *fact)
{
    return fact->type == EVENT_ORDER_COMPLETED;
}

static bool add_to(struct arena *arena, struct profile *profile, const struct ruleset *ruleset,
                   size_t index, struct property_view *fact, int64_t now_ms)
{
    return feature_add(arena, &profile->features, &ruleset->features[index], fact, now_ms) &&
           touch_rules(arena, profile, ruleset, index);
}

static bool remove_from(struct arena *arena, struct profile *profile, const struct ruleset *ruleset,
                        size_t index, struct property_view *fact, int64_t now_ms)
{
    const struct feature *feature = &ruleset->features[index];
    if (!feature_remove(arena, &profile->features, feature, fact, now_ms)) {
        return false;
    }
    const struct feature_state *state = feature_find(&profile->features, feature->number);
    profile->needs_history = profile->needs_history || (state != NULL && state->is_incomplete);
    return touch_rules(arena, profile, ruleset, index);
}

bool profile_add_fact(struct arena *arena, struct profile *profile, const struct ruleset *ruleset,
                      struct property_view *fact, int64_t now_ms)
{
    if (ruleset == NULL || is_order_fact(fact)) {
        return true;
    }
    for (size_t i = 0; i < ruleset->fed_count[fact->type]; i++) {
        size_t index = ruleset->fed[fact->type][i];
        if (feature_matches(arena, &ruleset->features[index], fact) &&
            !add_to(arena, profile, ruleset, index, fact, now_ms)) {
            return false;
        }
    }
    return true;
}

bool profile_remove_fact(struct arena *arena, struct profile *profile,
                         const struct ruleset *ruleset, struct property_view *fact, int64_t now_ms)
{
    if (ruleset == NULL || is_order_fact(fact)) {
        return true;
    }
    for (size_t i = 0; i < ruleset->fed_count[fact->type]; i++) {
        size_t index = ruleset->fed[fact->type][i];
        if (feature_matches(arena, &ruleset->features[index], fact) &&
            !remove_from(arena, profile, ruleset, index, fact, now_ms)) {
            return false;
        }
    }
    return true;
}

/* Do both views tell this feature the same? Both match it. */
static bool say_the_same(struct arena *arena, const struct feature *feature,
                         struct property_view *a, struct property_view *b)
{
    if (a->at_ms != b->at_ms) {
        return false;
    }
    const struct str properties[] = { feature->property, feature->by };
    for (size_t i = 0; i < ARRAY_COUNT(properties); i++) {
        if (properties[i].size > 0 && !rule_value_equal(property_get(arena, a, properties[i]),
                                                        property_get(arena, b, properties[i]))) {
            return false;
        }
    }
    return true;
}

bool profile_change_order(struct arena *arena, struct profile *profile,
                          const struct ruleset *ruleset, struct property_view *before,
                          struct property_view *after, int64_t now_ms)
{
    if (ruleset == NULL) {
        return true;
    }
    for (size_t i = 0; i < ruleset->fed_count[EVENT_ORDER_COMPLETED]; i++) {
        size_t index = ruleset->fed[EVENT_ORDER_COMPLETED][i];
        const struct feature *feature = &ruleset->features[index];
        bool matched = before != NULL && feature_matches(arena, feature, before);
        bool matches = after != NULL && feature_matches(arena, feature, after);
        if (matched && matches && say_the_same(arena, feature, before, after)) {
            continue;
        }
        if (matched && !remove_from(arena, profile, ruleset, index, before, now_ms)) {
            return false;
        }
        if (matches && !add_to(arena, profile, ruleset, index, after, now_ms)) {
            return false;
        }
    }
    return true;
}
