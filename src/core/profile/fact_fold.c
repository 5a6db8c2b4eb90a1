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

struct folding {
    struct arena *arena;
    struct profile *profile;
    const struct ruleset *ruleset;
    int64_t now_ms;
};

static bool touch_rules(const struct folding *folding, size_t index)
{
    struct profile *profile = folding->profile;
    const struct ruleset *ruleset = folding->ruleset;
    if (profile->touched == NULL) {
        profile->touched = ARENA_NEW_ARRAY(folding->arena, ruleset->word_count + 1, uint64_t);
        if (profile->touched == NULL) {
            return false;
        }
    }
    const uint64_t *words = ruleset->by_feature[index].words;
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

static bool add_to(const struct folding *folding, size_t index, struct property_view *fact)
{
    return feature_add(folding->arena, &folding->profile->features,
                       &folding->ruleset->features[index], fact, folding->now_ms) &&
           touch_rules(folding, index);
}

static bool remove_from(const struct folding *folding, size_t index, struct property_view *fact)
{
    struct profile *profile = folding->profile;
    const struct feature *feature = &folding->ruleset->features[index];
    if (!feature_remove(folding->arena, &profile->features, feature, fact, folding->now_ms)) {
        return false;
    }
    const struct feature_state *state = feature_find(&profile->features, feature->number);
    profile->needs_history = profile->needs_history || (state != NULL && state->is_incomplete);
    return touch_rules(folding, index);
}

bool profile_add_fact(struct arena *arena, struct profile *profile, const struct ruleset *ruleset,
                      struct property_view *fact, int64_t now_ms)
{
    const struct folding folding = { arena, profile, ruleset, now_ms };
    uint32_t matching[RULESET_FEATURES_MAX];
    if (ruleset == NULL || is_order_fact(fact)) {
        return true;
    }
    size_t count = feature_match_all(arena, ruleset, fact, matching);
    for (size_t i = 0; i < count; i++) {
        if (!add_to(&folding, matching[i], fact)) {
            return false;
        }
    }
    return true;
}

bool profile_remove_fact(struct arena *arena, struct profile *profile,
                         const struct ruleset *ruleset, struct property_view *fact, int64_t now_ms)
{
    const struct folding folding = { arena, profile, ruleset, now_ms };
    uint32_t matching[RULESET_FEATURES_MAX];
    if (ruleset == NULL || is_order_fact(fact)) {
        return true;
    }
    size_t count = feature_match_all(arena, ruleset, fact, matching);
    for (size_t i = 0; i < count; i++) {
        if (!remove_from(&folding, matching[i], fact)) {
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

/* Of a feature that `before` matches: what it said goes, unless `after` says the
 * same. */
static bool change_one(const struct folding *folding, size_t index, struct property_view *before,
                       struct property_view *after)
{
    const struct feature *feature = &folding->ruleset->features[index];
    bool matches = after != NULL && feature_matches(folding->arena, feature, after);
    if (matches && say_the_same(folding->arena, feature, before, after)) {
        return true;
    }
    return remove_from(folding, index, before) && (!matches || add_to(folding, index, after));
}

bool profile_change_order(struct arena *arena, struct profile *profile,
                          const struct ruleset *ruleset, struct property_view *before,
                          struct property_view *after, int64_t now_ms)
{
    const struct folding folding = { arena, profile, ruleset, now_ms };
    uint32_t matching[RULESET_FEATURES_MAX];
    if (ruleset == NULL) {
        return true;
    }
    size_t count = before != NULL ? feature_match_all(arena, ruleset, before, matching) : 0;
    for (size_t i = 0; i < count; i++) {
        if (!change_one(&folding, matching[i], before, after)) {
            return false;
        }
    }
    count = after != NULL ? feature_match_all(arena, ruleset, after, matching) : 0;
    for (size_t i = 0; i < count; i++) {
        const struct feature *feature = &ruleset->features[matching[i]];
        bool is_done = before != NULL && feature_matches(arena, feature, before);
        if (!is_done && !add_to(&folding, matching[i], after)) {
            return false;
        }
    }
    return true;
}
